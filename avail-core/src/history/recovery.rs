//! Reading a history back. Whatever the process was doing when it died, every record that is whole
//! is found: a bad line is passed over alone, a good one that is glued to the remains of another is
//! salvaged, and nothing that was read is rewritten.

use std::collections::HashSet;
use std::fs::File;
use std::io::{self, BufRead, BufReader};
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use serde::Serialize;

use super::record::{BEGINNING, Decoded, ENDING, Line, Record, decode};
use crate::availability::Moment;
use crate::availability::ledger::Ledger;

/// What was found in a history at the start.
#[derive(Clone, Debug, Default, PartialEq, Serialize)]
#[non_exhaustive]
pub struct RecoveryReport {
    /// The file.
    pub path: PathBuf,
    /// Records that were taken.
    pub records: u64,
    /// Lines that were passed over because they are damaged.
    pub corrupt_records: u64,
    /// Records that were found behind the remains of another on the same line.
    pub salvaged_records: u64,
    /// Whole records of a kind that this release does not know.
    pub unknown_records: u64,
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
}

#[derive(Debug)]
pub(crate) struct Past {
    pub(crate) ledger: Ledger,
    /// The last sign of life of the boot before, and whether it said that it ended.
    pub(crate) last_sign: Moment,
    pub(crate) clean: bool,
}

/// Reads the history at `path`; one that does not exist is empty.
pub(crate) fn recover(path: &Path) -> io::Result<Recovered> {
    let mut reading = Reading::new(path);
    match File::open(path) {
        Ok(file) => reading.read(BufReader::new(file))?,
        Err(error) if error.kind() == io::ErrorKind::NotFound => {}
        Err(error) => return Err(error),
    }
    Ok(reading.finish())
}

struct Reading {
    past: Option<Past>,
    seen: HashSet<u64>,
    boot: Option<Arc<str>>,
    report: RecoveryReport,
}

impl Reading {
    fn new(path: &Path) -> Self {
        let report = RecoveryReport { path: path.to_owned(), ..RecoveryReport::default() };
        Reading { past: None, seen: HashSet::new(), boot: None, report }
    }

    fn read(&mut self, mut file: impl BufRead) -> io::Result<()> {
        let mut bytes = Vec::new();
        loop {
            bytes.clear();
            if file.read_until(b'\n', &mut bytes)? == 0 {
                return Ok(());
            }
            self.report.torn_tail = bytes.last() != Some(&b'\n');
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
        // Its first line, whatever that is: the record of the start may be lost.
        let is_new_boot = self.boot.as_ref() != Some(&line.boot);
        if is_new_boot {
            self.boot = Some(line.boot.clone());
            self.seen.clear();
        }
        if !self.seen.insert(line.seq) {
            return; // written twice, after an error that did not say how far the first had come
        }
        self.report.records += 1;
        let past = self.past.get_or_insert_with(|| Past {
            ledger: Ledger::new(line.ts),
            last_sign: line.ts,
            clean: true,
        });
        if is_new_boot {
            past.ledger.begin(line.ts, Duration::ZERO, Some((past.last_sign, past.clean)));
        }
        past.clean = matches!(line.record, Record::Stop);
        // Of another boot: its clock may have been set back.
        past.last_sign = if is_new_boot { line.ts } else { past.last_sign.max(line.ts) };
        past.replay(line);
    }

    fn finish(mut self) -> Recovered {
        if let Some(past) = &mut self.past {
            past.ledger.take_facts(); // the history knows them already
            self.report.unclean_end = !past.clean;
        }
        Recovered { past: self.past, report: self.report }
    }
}

impl Past {
    fn replay(&mut self, line: Line) {
        let ledger = &mut self.ledger;
        match line.record {
            Record::State { component, at, state } => {
                ledger.replay_state(component.as_ref(), at, state);
            }
            Record::Incident { incident } => ledger.replay_incident(incident),
            Record::Maintenance { maintenance } => ledger.replay_maintenance(maintenance),
            Record::Checks { counts } => {
                for (name, counts) in counts {
                    ledger.replay_checks(&name, line.ts, counts);
                }
            }
            Record::Start { .. } | Record::Heartbeat | Record::Stop | Record::Gap { .. } => {}
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::availability::ComponentState;

    fn lines() -> Vec<String> {
        let boot: Arc<str> = "b1".into();
        let state = |at, state| Record::State { component: Some("db".into()), at, state };
        let records = [
            (0, Record::Start { pid: 1, version: "0.1.0".into() }),
            (10, state(Moment(10), ComponentState::Up)),
            (500, state(Moment(500), ComponentState::Down)),
            (800, state(Moment(800), ComponentState::Up)),
            (1_000, Record::Heartbeat),
        ];
        let line = |(seq, (ts, record))| Line::new(Moment(ts), seq as u64, boot.clone(), record);
        records.into_iter().enumerate().map(|pair| line(pair).encode().expect("valid")).collect()
    }

    fn read(bytes: &[u8]) -> Recovered {
        let mut reading = Reading::new(Path::new("history.jsonl"));
        reading.read(bytes).expect("memory can be read");
        reading.finish()
    }

    /// Which of `lines` have survived whole in `bytes`.
    fn intact(bytes: &[u8], lines: &[String]) -> usize {
        let text = String::from_utf8_lossy(bytes);
        lines.iter().filter(|line| text.contains(line.trim_end())).count()
    }

    #[test]
    fn every_prefix_is_read_without_losing_a_whole_record() {
        let lines = lines();
        let file = lines.concat().into_bytes();
        for length in 0..=file.len() {
            let recovered = read(&file[..length]);
            let expected = intact(&file[..length], &lines);
            assert_eq!(recovered.report.records as usize, expected, "{length} bytes");
        }
    }

    #[test]
    fn every_flipped_bit_costs_at_most_the_records_that_it_touches() {
        let lines = lines();
        let file = lines.concat().into_bytes();
        for bit in 0..file.len() * 8 {
            let mut flipped = file.clone();
            flipped[bit / 8] ^= 1 << (bit % 8);
            let recovered = read(&flipped);
            let expected = intact(&flipped, &lines);
            assert!(recovered.report.records as usize >= expected, "bit {bit}");
            // Two, where the flip has made a line feed of a letter.
            assert!(recovered.report.corrupt_records <= 2, "bit {bit}");
        }
    }

    #[test]
    fn a_record_glued_to_a_torn_one_is_salvaged() {
        let lines = lines();
        let glued = format!("{}{}{}", lines[0], &lines[1][..40], lines[2]);
        let report = read(glued.as_bytes()).report;
        assert_eq!((report.records, report.corrupt_records, report.salvaged_records), (2, 1, 1));
    }

    #[test]
    fn a_record_that_was_written_twice_counts_once() {
        let lines = lines();
        let doubled = format!("{}{}\n{}", lines[0], lines[1], lines[1]);
        assert_eq!(read(doubled.as_bytes()).report.records, 2);
    }

    #[test]
    fn what_was_down_is_still_known() {
        let recovered = read(lines().concat().as_bytes());
        assert!(recovered.report.unclean_end);
        let past = recovered.past.expect("something was recorded");
        assert_eq!(past.last_sign, Moment(1_000));
        let [all] = past
            .ledger
            .component_metrics("db", [crate::Window::ALL_TIME], Moment(1_000))
            .expect("db is known");
        assert_eq!((all.downtime_seconds, all.uptime_seconds), (0.3, 0.69));
    }
}
