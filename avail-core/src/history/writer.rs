//! The thread that writes the history. Nothing in the process waits for the disk: records go into a
//! bounded queue, and when it is full the samples go first, then a record says what was lost.
//!
//! After an error the lines that are not on the disk are kept, up to a limit, and written again
//! with the next one; each attempt begins with a line feed, so that a torn line stands alone.

use std::collections::VecDeque;
use std::fs::{File, OpenOptions, TryLockError};
use std::io::{self, Write};
use std::path::{Path, PathBuf};
use std::sync::atomic::Ordering::Relaxed;
use std::sync::atomic::{AtomicU64, AtomicUsize};
use std::sync::mpsc::{self, RecvTimeoutError, SyncSender, TrySendError};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use serde::Serialize;

use super::record::{Line, Record};
use crate::availability::Moment;

/// How many records may wait; transitions get the last quarter for themselves.
const QUEUE: usize = 4_096;
const QUEUE_FOR_SAMPLES: usize = QUEUE * 3 / 4;
/// How many lines are kept for another attempt while the disk takes none.
const KEPT: usize = 4_096;
/// How many records go into one write.
const BATCH: usize = 1_024;
/// How often lines that could not be written are tried again.
const RETRY: Duration = Duration::from_secs(1);
/// How long the end of the process waits for the disk.
pub(crate) const CLOSE_LIMIT: Duration = Duration::from_secs(2);

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
    /// What is wrong at the moment, if something is.
    pub error: Option<String>,
}

/// The file of a history, locked for this process.
#[derive(Debug)]
pub(crate) struct Store {
    path: PathBuf,
    file: File,
    /// Held for as long as the store lives.
    _lock: File,
}

impl Store {
    /// Locks and opens, or makes, the file at `path`.
    ///
    /// The lock is beside the file and not on it, so that the file can be replaced.
    pub(crate) fn open(path: &Path) -> Result<Self, OpenError> {
        if std::fs::metadata(path).is_ok_and(|there| !there.is_file()) {
            let problem = "what is there is no regular file";
            return Err(OpenError::Io(io::Error::new(io::ErrorKind::InvalidInput, problem)));
        }
        let mut lock_path = path.as_os_str().to_owned();
        lock_path.push(".lock");
        let lock = OpenOptions::new()
            .create(true)
            .truncate(false)
            .write(true)
            .open(&lock_path)
            .map_err(OpenError::Io)?;
        lock.try_lock().map_err(|error| match error {
            TryLockError::WouldBlock => OpenError::Locked,
            TryLockError::Error(error) => OpenError::Io(error),
        })?;
        let file = append_to(path).map_err(OpenError::Io)?;
        Ok(Store { path: path.to_owned(), file, _lock: lock })
    }

    fn write(&mut self, bytes: &[u8], durable: bool) -> io::Result<()> {
        self.file.write_all(bytes)?;
        if durable { self.file.sync_data() } else { Ok(()) }
    }

    /// After an error the state of the old handle is not to be trusted: a failed fsync may have
    /// dropped what it should have written.
    fn reopen(&mut self) -> io::Result<()> {
        self.file = append_to(&self.path)?;
        Ok(())
    }
}

fn append_to(path: &Path) -> io::Result<File> {
    OpenOptions::new().create(true).append(true).read(true).open(path)
}

/// Why a history can't be opened.
#[derive(Debug)]
pub(crate) enum OpenError {
    /// Another process has it.
    Locked,
    Io(io::Error),
}

#[derive(Debug)]
struct Message {
    ts: Moment,
    record: Record,
}

#[derive(Debug, Default)]
struct Shared {
    status: Mutex<HistoryStatus>,
    waiting: AtomicUsize,
    lost: AtomicU64,
    /// What is written when everything else has been.
    last: Mutex<Option<(Moment, Record)>>,
}

impl Shared {
    fn status(&self) -> std::sync::MutexGuard<'_, HistoryStatus> {
        self.status.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// The near end of the queue.
#[derive(Debug)]
pub(crate) struct Writer {
    queue: Mutex<Option<SyncSender<Message>>>,
    shared: Arc<Shared>,
    /// Disconnected when the thread has ended.
    ended: Mutex<Option<mpsc::Receiver<()>>>,
}

impl Writer {
    /// In memory only: every record is passed over.
    pub(crate) fn none(error: Option<String>) -> Self {
        let shared = Arc::new(Shared::default());
        shared.status().error = error;
        Writer { queue: Mutex::default(), shared, ended: Mutex::default() }
    }

    /// Starts the thread.
    pub(crate) fn start(
        store: Store,
        boot: Arc<str>,
        corrupt_records: u64,
        torn_tail: bool,
    ) -> io::Result<Self> {
        let (queue, inbox) = mpsc::sync_channel(QUEUE);
        let (alive, ended) = mpsc::sync_channel(0);
        let shared = Arc::new(Shared::default());
        *shared.status() = HistoryStatus {
            path: Some(store.path.clone()),
            corrupt_records,
            ..HistoryStatus::default()
        };
        let kept = VecDeque::new();
        let mut scribe =
            Scribe { store, boot, seq: 0, kept, torn: torn_tail, shared: shared.clone() };
        std::thread::Builder::new().name("avail-history".into()).spawn(move || {
            scribe.run(&inbox);
            drop(scribe); // gives the lock back before the end is told
            drop::<SyncSender<()>>(alive);
        })?;
        let (queue, ended) = (Mutex::new(Some(queue)), Mutex::new(Some(ended)));
        Ok(Writer { queue, shared, ended })
    }

    /// Queues a record; never waits.
    pub(crate) fn send(&self, ts: Moment, record: Record) {
        let queue = self.queue.lock().unwrap_or_else(PoisonError::into_inner);
        let Some(queue) = &*queue else { return };
        // Relaxed, here and below: numbers that guard no other memory.
        if record.is_sample() && self.shared.waiting.load(Relaxed) >= QUEUE_FOR_SAMPLES {
            return;
        }
        self.shared.waiting.fetch_add(1, Relaxed);
        if let Err(TrySendError::Full(_)) = queue.try_send(Message { ts, record }) {
            self.shared.waiting.fetch_sub(1, Relaxed);
            self.shared.lost.fetch_add(1, Relaxed);
            self.shared.status().dropped_records += 1;
        }
    }

    /// Takes no more records, and waits until those queued, and `last` after them, are on the disk
    /// and the file is free, or until `limit` is over.
    pub(crate) fn close(&self, last: Option<(Moment, Record)>, limit: Duration) {
        *self.shared.last.lock().unwrap_or_else(PoisonError::into_inner) = last;
        self.queue.lock().unwrap_or_else(PoisonError::into_inner).take();
        let ended = self.ended.lock().unwrap_or_else(PoisonError::into_inner).take();
        if let Some(ended) = ended
            && ended.recv_timeout(limit) == Err(RecvTimeoutError::Timeout)
        {
            tracing::error!(?limit, "the disk did not take the end of the history in time");
        }
    }

    pub(crate) fn status(&self) -> HistoryStatus {
        self.shared.status().clone()
    }
}

impl Drop for Writer {
    fn drop(&mut self) {
        if self.queue.get_mut().is_ok_and(|queue| queue.is_some()) {
            self.close(None, CLOSE_LIMIT);
        }
    }
}

/// The far end: what the thread owns.
struct Scribe {
    store: Store,
    boot: Arc<str>,
    seq: u64,
    /// Lines that are not known to be on the disk, oldest first.
    kept: VecDeque<String>,
    /// Whether the file may end in the middle of a line.
    torn: bool,
    shared: Arc<Shared>,
}

impl Scribe {
    fn run(&mut self, inbox: &mpsc::Receiver<Message>) {
        loop {
            match inbox.recv_timeout(RETRY) {
                Ok(first) => {
                    let durable = self.take(first);
                    // What has come meanwhile goes with it, in one write and at most one fsync.
                    let more = inbox.try_iter().take(BATCH);
                    let durable = more.fold(durable, |durable, next| self.take(next) || durable);
                    self.write(durable);
                }
                Err(RecvTimeoutError::Timeout) if self.kept.is_empty() => {}
                Err(RecvTimeoutError::Timeout) => self.write(true),
                Err(RecvTimeoutError::Disconnected) => return self.end(),
            }
        }
    }

    fn end(&mut self) {
        let last = self.shared.last.lock().unwrap_or_else(PoisonError::into_inner).take();
        if let Some((ts, record)) = last {
            self.note_losses(ts);
            self.keep(ts, record);
        }
        self.write(true);
    }

    /// Gives whether the record must be on the disk before anything else is done.
    fn take(&mut self, Message { ts, record }: Message) -> bool {
        self.shared.waiting.fetch_sub(1, Relaxed);
        self.note_losses(ts);
        let durable = record.is_durable();
        self.keep(ts, record);
        durable
    }

    fn note_losses(&mut self, ts: Moment) {
        let lost = self.shared.lost.swap(0, Relaxed);
        if lost > 0 {
            self.keep(ts, Record::Gap { lost });
        }
    }

    fn keep(&mut self, ts: Moment, record: Record) {
        self.seq += 1;
        match Line::new(ts, self.seq, self.boot.clone(), record).encode() {
            Ok(line) => self.kept.push_back(line),
            Err(error) => tracing::error!(%error, "a record of the history could not be encoded"),
        }
        if self.kept.len() > KEPT {
            self.kept.pop_front();
            self.shared.status().dropped_records += 1;
        }
    }

    fn write(&mut self, durable: bool) {
        let mut bytes = if self.torn { b"\n".to_vec() } else { Vec::new() };
        bytes.extend(self.kept.iter().flat_map(|line| line.bytes()));
        match self.store.write(&bytes, durable) {
            Ok(()) => {
                self.torn = false;
                self.kept.clear();
                self.recovered();
            }
            Err(error) => self.failed(&error),
        }
    }

    fn recovered(&mut self) {
        let mut status = self.shared.status();
        if status.error.take().is_some() {
            tracing::info!(path = %self.store.path.display(), "the history is written again");
        }
    }

    fn failed(&mut self, error: &io::Error) {
        self.torn = true;
        let mut status = self.shared.status();
        status.write_errors += 1;
        if status.error.replace(error.to_string()).is_none() {
            tracing::error!(
                path = %self.store.path.display(), %error,
                "the history can't be written; it goes on in memory"
            );
        }
        drop(status);
        if let Err(error) = self.store.reopen() {
            self.shared.status().error = Some(error.to_string());
        }
    }
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeMap;

    use super::super::recovery::recover;
    use super::*;

    fn start(path: &Path) -> Writer {
        let recovered = recover(path).expect("readable");
        let store = Store::open(path).expect("free");
        let report = recovered.report;
        Writer::start(store, "boot".into(), report.corrupt_records, report.torn_tail)
            .expect("a thread")
    }

    #[test]
    fn what_was_queued_before_the_end_can_be_read_back() {
        let dir = tempfile::tempdir().expect("a folder");
        let path = dir.path().join("history.jsonl");
        let writer = start(&path);
        writer.send(Moment(1), Record::Start { pid: 1, version: "0".into() });
        writer.send(Moment(2), Record::Heartbeat);
        writer.close(None, Duration::from_secs(10));
        assert_eq!(recover(&path).expect("readable").report.records, 2);
    }

    #[test]
    fn a_full_queue_waits_for_nobody_and_keeps_room_for_what_is_no_sample() {
        let (queue, inbox) = mpsc::sync_channel(QUEUE); // whose far end takes nothing
        let shared = Arc::new(Shared::default());
        let queue = Mutex::new(Some(queue));
        let writer = Writer { queue, shared, ended: Mutex::default() };
        for _ in 0..QUEUE {
            writer.send(Moment(1), Record::Heartbeat);
        }
        assert_eq!(writer.shared.waiting.load(Relaxed), QUEUE_FOR_SAMPLES);
        assert_eq!(writer.status().dropped_records, 0, "what comes again is no loss");
        for _ in 0..QUEUE {
            writer.send(Moment(1), Record::Checks { counts: BTreeMap::new() });
        }
        assert_eq!(writer.status().dropped_records as usize, QUEUE_FOR_SAMPLES);
        assert_eq!(inbox.try_iter().count(), QUEUE);
    }

    #[test]
    fn a_torn_tail_is_sealed_and_costs_only_itself() {
        let dir = tempfile::tempdir().expect("a folder");
        let path = dir.path().join("history.jsonl");
        let writer = start(&path);
        writer.send(Moment(1), Record::Heartbeat);
        drop(writer);
        let mut file = append_to(&path).expect("open");
        file.write_all(b"{\"v\":1,\"ts\":\"2026").expect("written");
        let writer = start(&path);
        writer.send(Moment(2), Record::Heartbeat);
        drop(writer);
        let report = recover(&path).expect("readable").report;
        // The second boot has the first one's name here, and so the same numbers.
        assert_eq!((report.corrupt_records, report.torn_tail), (1, false));
        let text = std::fs::read_to_string(&path).expect("text");
        assert_eq!(text.lines().count(), 3);
    }

    #[test]
    fn a_second_process_is_told_that_the_file_is_taken() {
        let dir = tempfile::tempdir().expect("a folder");
        let path = dir.path().join("history.jsonl");
        let first = Store::open(&path).expect("free");
        assert!(matches!(Store::open(&path), Err(OpenError::Locked)));
        drop(first);
        assert!(Store::open(&path).is_ok());
    }

    #[test]
    fn lines_that_could_not_be_written_are_written_when_the_disk_takes_them_again() {
        let dir = tempfile::tempdir().expect("a folder");
        let path = dir.path().join("history.jsonl");
        let mut store = Store::open(&path).expect("free");
        store.file = File::open(&path).expect("a handle that can't be written to");
        let shared = Arc::new(Shared::default());
        let kept = VecDeque::new();
        let mut scribe =
            Scribe { store, boot: "b".into(), seq: 0, kept, torn: false, shared: shared.clone() };
        scribe.keep(Moment(1), Record::Heartbeat);
        scribe.write(false);
        assert_eq!(shared.status().write_errors, 1);
        assert!(shared.status().error.is_some());
        scribe.keep(Moment(2), Record::Heartbeat);
        scribe.write(false); // the handle was opened anew after the error
        assert_eq!(shared.status().error, None);
        assert_eq!(recover(&path).expect("readable").report.records, 2);
    }
}
