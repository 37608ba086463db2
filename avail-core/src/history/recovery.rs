//! Reading a history back. Whatever the process was doing when it died, every record that is whole
//! is found: a bad line is passed over alone, a good one that is glued to the remains of another is
//! salvaged, and nothing that was read is rewritten.
//!
//! It begins with the newest snapshot that is whole, and goes on with the segments after it. Nothing
//! is written for it.

use std::io::{self, BufRead};
use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use serde::Serialize;

use super::disk::Disk;
use super::layout::Layout;
use super::record::{BEGINNING, Decoded, ENDING, Line, Record, decode};
use super::snapshot::{self, Contents, Snapshot, nothing_before};
use crate::availability::Moment;
use crate::availability::ledger::Ledger;

/// What was found in a history at the start.
#[derive(Clone, Debug, Default, PartialEq, Serialize)]
#[non_exhaustive]
pub struct RecoveryReport {
    /// The file.
    pub path: PathBuf,
    /// Where older records had been summed up already: the newest such file that is whole.
    pub snapshot: Option<PathBuf>,
    /// Snapshots that were passed over, or taken as far as they are whole, because they are damaged.
    pub damaged_snapshots: u64,
    /// Records that were taken, without those that a snapshot holds.
    pub records: u64,
    /// Lines that were passed over because they are damaged.
    pub corrupt_records: u64,
    /// Records that were found behind the remains of another on the same line.
    pub salvaged_records: u64,
    /// Whole records of a kind that this release does not know.
    pub unknown_records: u64,
    /// Records that the process before could not write, as it said itself.
    pub lost_records: u64,
    /// Whether the last line has no end: it was being written when the process died.
    pub torn_tail: bool,
    /// Whether the boot before this one ended without saying so.
    pub unclean_end: bool,
}

/// A history that has been read back.
#[derive(Debug)]
pub(crate) struct Recovered {
    /// `None` where nothing had been recorded.
    pub(crate) past: Option<Past>,
    pub(crate) report: RecoveryReport,
    /// The last record.
    boot: Option<Arc<str>>,
    seq: u64,
    /// The number of the snapshot that it began with.
    pub(super) base: Option<u64>,
}

#[derive(Debug)]
pub(crate) struct Past {
    pub(crate) ledger: Ledger,
    /// The last sign of life of the boot before, and whether it said that it ended.
    pub(crate) last_sign: Moment,
    pub(crate) clean: bool,
}

/// Whether what is under way is to be given up, asked at each line of it.
pub(super) type GiveUp<'a> = &'a dyn Fn() -> bool;

/// An error where it is.
pub(super) fn go_on(give_up: GiveUp<'_>) -> io::Result<()> {
    match give_up() {
        true => Err(io::Error::new(io::ErrorKind::Interrupted, "given up: the process ends")),
        false => Ok(()),
    }
}

/// Reads a history; one that does not exist is empty.
pub(crate) fn recover(disk: &dyn Disk, layout: &Layout) -> io::Result<Recovered> {
    let mut reading = recover_segments(disk, layout, u64::MAX, &|| false)?;
    match disk.read(layout.active()) {
        Ok(file) => reading.report.torn_tail = reading.read(file)?,
        Err(error) if error.kind() == io::ErrorKind::NotFound => {}
        Err(error) => return Err(error),
    }
    reading.finish()
}

/// Reads what no longer changes: the newest snapshot, and the segments after it up to that number.
pub(super) fn recover_closed(
    disk: &dyn Disk,
    layout: &Layout,
    segment: u64,
    give_up: GiveUp<'_>,
) -> io::Result<Recovered> {
    recover_segments(disk, layout, segment, give_up)?.finish()
}

fn recover_segments<'a>(
    disk: &dyn Disk,
    layout: &Layout,
    last: u64,
    give_up: GiveUp<'a>,
) -> io::Result<Reading<'a>> {
    let found = layout.look(disk)?;
    let mut reading = Reading::new(layout, give_up);
    let (mut damaged, mut unreadable) = (None, None);
    for &number in found.snapshots.iter().rev() {
        let read = disk.read(&layout.snapshot(number));
        match read.and_then(|file| snapshot::read(file, give_up)) {
            Ok(Contents::Whole(snapshot)) => {
                reading.begin_with(snapshot, number, layout);
                break;
            }
            Ok(Contents::Damaged(rest)) => damaged = damaged.or(rest.map(|rest| (rest, number))),
            Err(error) => unreadable = Some(error),
        }
        reading.report.damaged_snapshots += 1;
    }
    match (reading.base, unreadable, damaged) {
        (Some(_), ..) | (None, None, None) => {}
        // Another time it may be read: nothing may be made of what is left without it.
        (None, Some(error), _) => return Err(error),
        (None, None, Some((rest, number))) => reading.begin_with(rest, number, layout),
    }
    let first = reading.base.map_or(0, |base| base.saturating_add(1));
    for &number in found.segments.range(first..=last.max(first)) {
        reading.read(disk.read(&layout.segment(number))?)?;
    }
    Ok(reading)
}

/// The records that one boot wrote without another's between them.
#[derive(Debug)]
struct Run {
    boot: Arc<str>,
    lines: Vec<Line>,
}

struct Reading<'a> {
    give_up: GiveUp<'a>,
    past: Option<Past>,
    /// What the snapshot held last.
    held: Option<(Arc<str>, u64)>,
    base: Option<u64>,
    runs: Vec<Run>,
    report: RecoveryReport,
}

impl<'a> Reading<'a> {
    fn new(layout: &Layout, give_up: GiveUp<'a>) -> Self {
        let path = layout.active().to_owned();
        let report = RecoveryReport { path, ..RecoveryReport::default() };
        Reading { give_up, past: None, held: None, base: None, runs: Vec::new(), report }
    }

    fn begin_with(&mut self, snapshot: Snapshot, number: u64, layout: &Layout) {
        self.report.snapshot = Some(layout.snapshot(number));
        self.past = Some(snapshot.past);
        self.held = Some((snapshot.boot, snapshot.seq));
        self.base = Some(number);
    }

    /// Gives whether the last line has no end.
    fn read(&mut self, mut file: impl BufRead) -> io::Result<bool> {
        let mut bytes = Vec::new();
        let mut torn = false;
        loop {
            bytes.clear();
            if file.read_until(b'\n', &mut bytes)? == 0 {
                return Ok(torn);
            }
            go_on(self.give_up)?;
            torn = bytes.last() != Some(&b'\n');
            self.line(bytes.trim_ascii_end());
        }
    }

    fn line(&mut self, bytes: &[u8]) {
        if bytes.is_empty() {
            return;
        }
        match decode(bytes) {
            Decoded::Line(line) => self.take(*line),
            Decoded::Unknown => self.report.unknown_records += 1,
            Decoded::Corrupt => self.salvage(bytes),
        }
    }

    /// Looks for whole records within a damaged line: from each beginning to the last end before
    /// the next.
    fn salvage(&mut self, bytes: &[u8]) {
        self.report.corrupt_records += 1;
        let windows = bytes.windows(BEGINNING.len()).enumerate();
        let mut starts: Vec<_> =
            windows.filter(|(_, window)| *window == BEGINNING).map(|(start, _)| start).collect();
        starts.push(bytes.len());
        for pair in starts.windows(2) {
            let piece = &bytes[pair[0]..pair[1]];
            let end = piece.windows(ENDING.len()).rposition(|window| window == ENDING);
            let whole = end.map(|end| decode(&piece[..end + ENDING.len()]));
            if let Some(Decoded::Line(line)) = whole {
                self.report.salvaged_records += 1;
                self.take(*line);
            }
        }
    }

    fn take(&mut self, line: Line) {
        let held = self.held.as_ref();
        if held.is_some_and(|(boot, seq)| *boot == line.boot && line.seq <= *seq) {
            return;
        }
        match self.runs.last_mut() {
            Some(run) if run.boot == line.boot => run.lines.push(line),
            _ => self.runs.push(Run { boot: line.boot.clone(), lines: vec![line] }),
        }
    }

    fn finish(mut self) -> io::Result<Recovered> {
        let (mut boot, mut seq) = match self.held.take() {
            Some((boot, seq)) => (Some(boot), seq),
            None => (None, 0),
        };
        for mut run in std::mem::take(&mut self.runs) {
            // After an error that did not say how far the lines had come, they were written again:
            // some twice, and some behind what came after them.
            run.lines.sort_by_key(|line| line.seq);
            run.lines.dedup_by_key(|line| line.seq);
            self.report.records += run.lines.len() as u64;
            let is_new_boot = boot.as_ref() != Some(&run.boot);
            seq = run.lines.last().map_or(seq, |line| line.seq);
            boot = Some(run.boot);
            self.replay(run.lines, is_new_boot)?;
        }
        if let Some(past) = &mut self.past {
            past.ledger.take_facts(); // the history knows them already
            self.report.unclean_end = !past.clean;
        }
        Ok(Recovered { past: self.past, report: self.report, boot, seq, base: self.base })
    }

    fn replay(&mut self, lines: Vec<Line>, mut is_new_boot: bool) -> io::Result<()> {
        for line in lines {
            go_on(self.give_up)?;
            if let Record::Gap { lost } = line.record {
                self.report.lost_records += lost;
            }
            let past = self.past.get_or_insert_with(|| nothing_before(line.ts));
            past.replay(line, is_new_boot);
            is_new_boot = false;
        }
        Ok(())
    }
}

impl Recovered {
    /// As a snapshot of everything that was read; `None` where nothing was.
    pub(super) fn into_snapshot(self) -> Option<Snapshot> {
        Some(Snapshot { past: self.past?, boot: self.boot?, seq: self.seq })
    }
}

impl Past {
    /// `is_new_boot`: it is the first that is known of its boot, whatever it tells. The record of
    /// the start may be lost.
    fn replay(&mut self, line: Line, is_new_boot: bool) {
        let before = Some((self.last_sign, self.clean));
        if is_new_boot {
            self.ledger.begin(line.ts, Duration::ZERO, before);
        }
        self.clean = matches!(line.record, Record::Stop);
        // Of another boot: its clock may have been set back.
        self.last_sign = if is_new_boot { line.ts } else { self.last_sign.max(line.ts) };
        let ledger = &mut self.ledger;
        match line.record {
            Record::State { component, at, state } => {
                ledger.replay_state(component.as_ref(), at, state);
            }
            Record::Incident { incident } => ledger.replay_incident(incident),
            Record::Maintenance { maintenance } => ledger.replay_maintenance(maintenance, line.ts),
            Record::Checks { counts } => {
                for (name, counts) in counts {
                    ledger.replay_checks(&name, line.ts, counts);
                }
            }
            Record::Calls { counts } => {
                for (name, counts) in counts {
                    ledger.replay_calls(&name, line.ts, counts);
                }
            }
            // The last three have no place outside a snapshot.
            Record::Start { .. }
            | Record::Heartbeat
            | Record::Stop
            | Record::Audit { .. }
            | Record::Gap { .. }
            | Record::Snapshot { .. }
            | Record::Past(_)
            | Record::IncidentsOpened { .. } => {}
        }
    }
}
