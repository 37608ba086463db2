//! A snapshot: what everything up to some segment comes to, so that it need not be read again.

use std::io::{self, BufRead};
use std::sync::Arc;

use super::disk::{Appending, Disk};
use super::layout::Layout;
use super::record::{Decoded, Line, Record, decode};
use super::recovery::{GiveUp, Past, go_on};
use crate::availability::Moment;
use crate::availability::ledger::Ledger;

/// So many bytes go into one write.
const CHUNK: usize = 1 << 18;

/// What is known up to some record.
#[derive(Debug)]
pub(super) struct Snapshot {
    pub(super) past: Past,
    /// Up to this boot's record of this number.
    pub(super) boot: Arc<str>,
    pub(super) seq: u64,
}

/// What a snapshot's file holds.
#[derive(Debug)]
pub(super) enum Contents {
    Whole(Snapshot),
    /// Some lines are damaged or missing; the others are here.
    Damaged(Option<Snapshot>),
}

impl Snapshot {
    /// Writes it whole and gives it its name only then. After an error nothing has changed.
    pub(super) fn write(
        &self,
        disk: &dyn Disk,
        layout: &Layout,
        segment: u64,
        give_up: GiveUp<'_>,
    ) -> io::Result<()> {
        let unfinished = layout.unfinished_snapshot();
        let written = disk.create(&unfinished).and_then(|mut file| {
            self.write_lines(&mut *file, segment, give_up)?;
            file.sync()
        });
        let renamed = written.and_then(|()| disk.rename(&unfinished, &layout.snapshot(segment)));
        if let Err(error) = renamed {
            let _ = disk.remove(&unfinished); // the first error says more
            return Err(error);
        }
        disk.sync_folder(&layout.folder())
    }

    fn write_lines(
        &self,
        file: &mut dyn Appending,
        segment: u64,
        give_up: GiveUp<'_>,
    ) -> io::Result<()> {
        let mut chunk = String::new();
        for record in self.records(segment) {
            go_on(give_up)?;
            let line = Line::new(self.past.last_sign, self.seq, self.boot.clone(), record);
            chunk.push_str(&line.encode()?);
            if chunk.len() >= CHUNK {
                file.write(chunk.as_bytes())?;
                chunk.clear();
            }
        }
        file.write(chunk.as_bytes())
    }

    fn records(&self, segment: u64) -> impl Iterator<Item = Record> {
        let ledger = &self.past.ledger;
        let told = ledger.past_incidents().count() + ledger.maintenance().count();
        let lines = ledger.past_count() + told + 1;
        let first = Record::Snapshot { segment, lines: lines as u64, clean: self.past.clean };
        let incidents = ledger.past_incidents().cloned();
        let incidents = incidents.map(|incident| Record::Incident { incident });
        let opened = Record::IncidentsOpened { opened: ledger.incidents_opened() };
        let maintenance = ledger.maintenance().cloned();
        let maintenance = maintenance.map(|maintenance| Record::Maintenance { maintenance });
        let pasts = ledger.pasts().map(|past| Record::Past(Box::new(past)));
        let first = std::iter::once(first);
        first.chain(incidents).chain([opened]).chain(maintenance).chain(pasts)
    }
}

/// Reads a snapshot; whatever the file holds is no error, but that it can't be read.
pub(super) fn read(file: impl BufRead, give_up: GiveUp<'_>) -> io::Result<Contents> {
    let mut lines = file.split(b'\n').map(|line| line.map(|line| decode(line.trim_ascii_end())));
    let Some(Decoded::Line(first)) = lines.next().transpose()? else {
        return Ok(Contents::Damaged(None));
    };
    let Line { ts, seq, boot, record: Record::Snapshot { lines: promised, clean, .. }, .. } =
        *first
    else {
        return Ok(Contents::Damaged(None));
    };
    let mut ledger = Ledger::new(ts);
    let (mut restored, mut damaged) = (0, 0);
    for line in lines {
        go_on(give_up)?;
        let intact = match line? {
            Decoded::Line(line) => restore(&mut ledger, line.record),
            Decoded::Unknown => true,
            Decoded::Corrupt => false,
        };
        if intact { restored += 1 } else { damaged += 1 }
    }
    let snapshot = Snapshot { past: Past { ledger, last_sign: ts, clean }, boot, seq };
    let whole = damaged == 0 && restored == promised;
    Ok(if whole { Contents::Whole(snapshot) } else { Contents::Damaged(Some(snapshot)) })
}

fn restore(ledger: &mut Ledger, record: Record) -> bool {
    match record {
        Record::Incident { incident } => ledger.replay_incident(incident),
        Record::IncidentsOpened { opened } => ledger.restore_incidents_opened(opened),
        Record::Maintenance { maintenance } => ledger.restore_maintenance(maintenance),
        Record::Past(past) => return ledger.restore_past(*past),
        _ => return false,
    }
    true
}

/// A ledger's last word before any record: the time at which its first one is.
pub(super) fn nothing_before(first: Moment) -> Past {
    Past { ledger: Ledger::new(first), last_sign: first, clean: true }
}
