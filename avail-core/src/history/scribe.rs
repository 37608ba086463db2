//! What the thread that writes does: it numbers the records, writes them, and keeps those that are
//! not known to be on the disk.

use std::collections::VecDeque;
use std::io;
use std::sync::Arc;
use std::time::{Duration, Instant};

use super::queue::{Message, Taken};
use super::record::{Line, Record};
use super::store::{Store, WriteError};
use super::writer::Shared;
use crate::availability::Moment;
use crate::log;

/// How many lines are kept for another attempt while the disk takes none.
pub(super) const KEPT: usize = 65_536;
/// So many lines may wait for an fsync before there is one for their sake.
const UNSYNCED: usize = 4_096;
/// How many records go into one write.
const BATCH: usize = 1_024;
/// How often lines that could not be written are tried again.
const RETRY: Duration = Duration::from_secs(1);

#[derive(Debug)]
struct Kept {
    seq: u64,
    tells_from: Moment,
    text: String,
    sample: bool,
    comes_again: bool,
}

#[derive(Debug)]
pub(super) struct Scribe {
    store: Store,
    boot: Arc<str>,
    seq: u64,
    /// Written, but not known to be on the disk; oldest first.
    unsynced: VecDeque<Kept>,
    /// Not written, or not to be relied on; oldest first.
    unwritten: VecDeque<Kept>,
    /// Of them, those that are samples.
    samples: usize,
    /// Lines that were dropped from these since the last gap record.
    lost: u64,
    write_error: Option<String>,
    compaction_error: Option<String>,
    shared: Arc<Shared>,
}

impl Scribe {
    pub(super) fn new(store: Store, boot: Arc<str>, shared: Arc<Shared>) -> Self {
        Scribe {
            store,
            boot,
            seq: 0,
            unsynced: VecDeque::new(),
            unwritten: VecDeque::new(),
            samples: 0,
            lost: 0,
            write_error: None,
            compaction_error: None,
            shared,
        }
    }

    /// Until the queue is closed and empty.
    pub(super) fn run(&mut self) {
        loop {
            match self.shared.queue.take(RETRY, BATCH) {
                Taken::Some { messages, lost } => {
                    self.lost += lost;
                    // What has come meanwhile goes together: one write, and at most one fsync.
                    let durable = messages.iter().any(|message| message.record.is_durable());
                    messages.into_iter().for_each(|message| self.keep(message));
                    self.write(durable);
                }
                Taken::Nothing if self.unwritten.is_empty() => {}
                Taken::Nothing => self.write(true),
                Taken::Closed => return self.write(true),
            }
            if !self.shared.queue.is_closed() {
                self.tidy(Instant::now());
            }
        }
    }

    pub(super) fn keep(&mut self, Message { ts, record }: Message) {
        if self.lost > 0 {
            let lost = std::mem::take(&mut self.lost);
            self.number(ts, Record::Gap { lost });
        }
        self.number(ts, record);
        while self.unwritten.len() > KEPT {
            self.drop_one();
        }
    }

    fn number(&mut self, ts: Moment, record: Record) {
        self.seq += 1;
        let (sample, comes_again) = (record.is_sample(), record.comes_again());
        let tells_from = record.tells_from(ts);
        match Line::new(ts, self.seq, self.boot.clone(), record).encode() {
            Ok(text) => {
                self.samples += usize::from(sample);
                self.unwritten.push_back(Kept {
                    seq: self.seq,
                    tells_from,
                    text,
                    sample,
                    comes_again,
                });
            }
            Err(error) => tracing::error!(%error, "a record of the history could not be encoded"),
        }
    }

    /// The oldest sample; where there is none, the oldest line.
    fn drop_one(&mut self) {
        let sample =
            if self.samples > 0 { self.unwritten.iter().position(|one| one.sample) } else { None };
        let Some(dropped) = self.unwritten.remove(sample.unwrap_or(0)) else { return };
        self.samples -= usize::from(dropped.sample);
        if !dropped.sample {
            self.shared.queue.lose_changes(dropped.tells_from);
        }
        if !dropped.comes_again {
            self.lost += 1;
            self.shared.status().dropped_records += 1;
        }
    }

    /// Writes what is to be written; what fails is kept.
    pub(super) fn write(&mut self, durable: bool) {
        let lines: String = self.unwritten.iter().map(|kept| &*kept.text).collect();
        let durable = durable || self.unsynced.len() + self.unwritten.len() > UNSYNCED;
        match self.store.write(&lines, durable) {
            Ok(()) => {
                self.samples = 0;
                self.unsynced.append(&mut self.unwritten);
                if durable {
                    self.synced();
                }
                self.write_error = None;
                self.publish();
            }
            Err(error) => self.failed(error),
        }
    }

    fn synced(&mut self) {
        if let Some(last) = self.unsynced.back() {
            self.shared.status().synced_records = last.seq;
        }
        self.unsynced.clear();
    }

    fn failed(&mut self, error: WriteError) {
        let error = match error {
            WriteError::Write(error) => error,
            WriteError::Sync(error) => {
                // None of them can be relied on: they are written again, to another file.
                self.samples += self.unsynced.iter().filter(|kept| kept.sample).count();
                self.unsynced.append(&mut self.unwritten);
                std::mem::swap(&mut self.unsynced, &mut self.unwritten);
                error
            }
        };
        self.shared.status().write_errors += 1;
        if self.write_error.replace(error.to_string()).is_none() {
            log::history_not_written(self.store.layout().active(), &error);
        }
        self.publish();
    }

    /// Begins a new file and sums up the old ones, where it is time to.
    pub(super) fn tidy(&mut self, now: Instant) {
        if !self.unwritten.is_empty() || !self.store.is_due(now) {
            return;
        }
        match self.store.rotate(now) {
            Ok(rotated) => {
                if rotated {
                    self.synced();
                }
                // An end waits for no file to be summed up: the next process does that.
                let queue = &self.shared.queue;
                let compacted = self.store.compact(now, &|| queue.is_closed());
                self.compacted(compacted);
            }
            Err(error) => self.failed(error),
        }
    }

    fn compacted(&mut self, compacted: io::Result<()>) {
        if compacted.as_ref().is_err_and(|error| error.kind() == io::ErrorKind::Interrupted) {
            return;
        }
        if let Err(error) = &compacted {
            self.shared.status().write_errors += 1;
            log::history_not_compacted(self.store.layout().active(), error);
        }
        self.compaction_error = compacted.err().map(|error| error.to_string());
        self.publish();
    }

    fn publish(&self) {
        let error = self.write_error.clone().or_else(|| self.compaction_error.clone());
        let recovered = error.is_none();
        let before = std::mem::replace(&mut self.shared.status().error, error);
        if before.is_some() && recovered {
            log::history_recovered(self.store.layout().active());
        }
    }
}
