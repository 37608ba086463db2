//! The near end of the thread that writes the history. Nothing in the process waits for the disk:
//! records go into a bounded queue, and when it is full the samples go first, then a record says
//! what was lost.

use std::io;
use std::path::PathBuf;
use std::sync::mpsc::{self, RecvTimeoutError, SyncSender};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use serde::Serialize;

use super::queue::{Message, Queue};
use super::record::Record;
use super::scribe::Scribe;
use super::store::Store;
use crate::availability::Moment;

/// How long the end of the process waits for the disk.
pub(crate) const CLOSE_LIMIT: Duration = Duration::from_secs(2);
/// So much longer for each record that waits: a full queue may take 6.5 s more.
const CLOSE_LIMIT_OF_ONE: Duration = Duration::from_micros(100);

/// How the history is doing.
#[derive(Clone, Debug, Default, PartialEq, Serialize)]
#[non_exhaustive]
pub struct HistoryStatus {
    /// The file; `None` where the history is kept in memory only.
    pub path: Option<PathBuf>,
    /// Attempts to write that failed, since the process started.
    pub write_errors: u64,
    /// Records that were lost because the queue was full or the disk took none for too long.
    pub dropped_records: u64,
    /// Lines that were found damaged at the start.
    pub corrupt_records: u64,
    /// Records that this process has made.
    pub records: u64,
    /// So many of them, from the first on, are known to be on the disk: no loss of power takes them
    /// away.
    pub synced_records: u64,
    /// What is wrong at the moment, if something is.
    pub error: Option<String>,
}

/// What both ends see.
#[derive(Debug, Default)]
pub(super) struct Shared {
    pub(super) queue: Queue,
    status: Mutex<HistoryStatus>,
}

impl Shared {
    pub(super) fn status(&self) -> MutexGuard<'_, HistoryStatus> {
        self.status.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// The near end of the queue.
#[derive(Debug)]
pub(crate) struct Writer {
    shared: Arc<Shared>,
    /// Disconnected when the thread has ended; `None` where there is none.
    ended: Mutex<Option<mpsc::Receiver<()>>>,
}

impl Writer {
    /// In memory only: every record is passed over.
    pub(crate) fn none(error: Option<String>) -> Self {
        let shared = Arc::new(Shared::default());
        shared.status().error = error;
        shared.queue.close(None);
        Writer { shared, ended: Mutex::default() }
    }

    /// Starts the thread.
    pub(crate) fn start(store: Store, boot: Arc<str>, corrupt_records: u64) -> io::Result<Self> {
        let (alive, ended) = mpsc::sync_channel(0);
        let shared = Arc::new(Shared::default());
        *shared.status() = HistoryStatus {
            path: Some(store.layout().active().to_owned()),
            corrupt_records,
            ..HistoryStatus::default()
        };
        let mut scribe = Scribe::new(store, boot, shared.clone());
        std::thread::Builder::new().name("avail-history".into()).spawn(move || {
            scribe.run();
            drop(scribe); // gives the lock back before the end is told
            drop::<SyncSender<()>>(alive);
        })?;
        Ok(Writer { shared, ended: Mutex::new(Some(ended)) })
    }

    /// Queues a record; never waits.
    pub(crate) fn send(&self, ts: Moment, record: Record) {
        let lost = self.shared.queue.push(Message { ts, record });
        if lost > 0 {
            self.shared.status().dropped_records += lost;
        }
    }

    /// From when on changes are missing in the history, since the queue was full or the disk took
    /// none for too long; asked when it is written again. Whoever asks tells them anew.
    pub(crate) fn take_lost_changes(&self) -> Option<Moment> {
        let is_written = self.shared.status().error.is_none();
        if is_written { self.shared.queue.take_lost_changes() } else { None }
    }

    /// The queue has no room from now on, or again.
    #[cfg(test)]
    pub(crate) fn set_full(&self, full: bool) {
        self.shared.queue.set_full(full);
    }

    /// Takes no more records, and waits until those queued, and `last` after them, are on the disk
    /// and the file is free, or until `limit` is over, and what those queued may take.
    pub(crate) fn close(&self, last: Option<(Moment, Record)>, limit: Duration) {
        self.shared.queue.close(last.map(|(ts, record)| Message { ts, record }));
        let limit = limit + CLOSE_LIMIT_OF_ONE * self.shared.queue.len() as u32;
        let ended = self.ended.lock().unwrap_or_else(PoisonError::into_inner).take();
        if let Some(ended) = ended
            && ended.recv_timeout(limit) == Err(RecvTimeoutError::Timeout)
        {
            tracing::error!(?limit, "the disk did not take the end of the history in time");
        }
    }

    pub(crate) fn status(&self) -> HistoryStatus {
        let records = self.shared.queue.accepted();
        HistoryStatus { records, ..self.shared.status().clone() }
    }
}

impl Drop for Writer {
    fn drop(&mut self) {
        if !self.shared.queue.is_closed() {
            self.close(None, CLOSE_LIMIT);
        }
    }
}
