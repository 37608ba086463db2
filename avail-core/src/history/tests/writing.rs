//! The thread, its queue and the real disk.

use std::io::Write;
use std::time::Duration;

use super::*;
use crate::history::disk::{Disk, OpenError, RealDisk};
use crate::history::queue::{QUEUE, QUEUE_FOR_SAMPLES, Queue};
use crate::history::scribe::KEPT;
use crate::history::writer::Writer;

fn open(path: &Path, max_bytes: u64) -> Result<Store, OpenError> {
    Store::open(Box::new(RealDisk), path, max_bytes)
}

fn start(path: &Path, boot: &str) -> Writer {
    let mut store = open(path, 4_096).expect("free");
    let report = recover(store.disk(), store.layout()).expect("readable").report;
    store.set_torn(report.torn_tail);
    Writer::start(store, boot.into(), report.corrupt_records).expect("a thread")
}

fn report(path: &Path) -> crate::RecoveryReport {
    recover(&RealDisk, &Layout::new(path)).expect("readable").report
}

#[test]
fn what_was_queued_before_the_end_can_be_read_back() {
    let dir = tempfile::tempdir().expect("a folder");
    let path = dir.path().join("history.jsonl");
    let writer = start(&path, "b");
    writer.send(Moment(1), Record::Start { pid: 1, version: "0".into() });
    writer.send(Moment(2), Record::Heartbeat);
    writer.close(Some((Moment(3), Record::Stop)), Duration::from_secs(10));
    assert_eq!((report(&path).records, report(&path).unclean_end), (3, false));
    assert_eq!(writer.status().synced_records, 3);
}

#[test]
fn on_a_real_disk_too_old_files_are_summed_up_and_removed() {
    let dir = tempfile::tempdir().expect("a folder");
    let path = dir.path().join("history.jsonl");
    let writer = start(&path, "b");
    for at in 0..2_000 {
        writer.send(Moment(at), incident("db", at, Some(at)));
        while at % 50 == 0 && (writer.status().synced_records as i64) < at {
            std::thread::yield_now();
        }
    }
    writer.close(None, Duration::from_secs(60));
    assert_eq!((writer.status().write_errors, writer.status().error), (0, None));
    let files = RealDisk.list(dir.path()).expect("readable");
    assert!(files.len() <= 6, "{files:?}");
    let found = recover(&RealDisk, &Layout::new(&path)).expect("readable");
    assert!(found.report.snapshot.is_some());
    let ledger = found.past.expect("something").ledger;
    assert_eq!(ledger.incidents(Window::ALL_TIME, Moment(3_000)).len(), 2_000);
}

#[test]
fn a_full_queue_waits_for_nobody_and_drops_samples_first() {
    let queue = Queue::default(); // whose far end takes nothing
    let push = |record| queue.push(message(1, record));
    for _ in 0..QUEUE {
        assert_eq!(push(Record::Heartbeat), 0, "what comes again is no loss");
    }
    assert_eq!(queue.len(), QUEUE_FOR_SAMPLES);
    let lost: u64 = (0..QUEUE).map(|at| push(state(None, at as i64, ComponentState::Up))).sum();
    assert_eq!((lost, queue.len()), (0, QUEUE), "each has taken the place of a sample");
    assert_eq!(push(Record::Stop), 1);
    assert_eq!(push(checks("db", 1, 0)), 1, "a loss, but no change's");
}

#[test]
fn what_the_queue_had_no_room_for_leaves_a_gap_record() {
    let disk = ModelDisk::default();
    let (mut scribe, shared) = scribe(&disk, "b", u64::MAX).expect("it works");
    for at in 0..QUEUE as i64 + 5 {
        shared.queue.push(message(at, state(None, at, ComponentState::Up)));
    }
    shared.queue.close(None);
    scribe.run();
    let report = read(&disk).report;
    assert_eq!((report.lost_records, report.records), (5, QUEUE as u64 + 1));
}

#[test]
fn it_is_known_from_when_on_changes_were_lost_and_asked_for_once_there_is_room() {
    let (queue, up) = (Queue::default(), ComponentState::Up);
    let push = |ts, record| queue.push(message(ts, record));
    assert_eq!(queue.take_lost_changes(), None);
    (0..QUEUE).for_each(|_| _ = push(1, state(None, 1, up)));
    assert_eq!(push(9, checks("db", 1, 0)), 1, "a sample");
    push(50, state(None, 40, up));
    push(60, incident("db", 30, None));
    push(70, incident("db", 30, Some(20)));
    push(80, Record::Stop);
    assert_eq!(queue.take_lost_changes(), None, "there is no room to tell them");
    queue.take(Duration::ZERO, QUEUE - QUEUE / 8 + 1);
    assert_eq!(queue.take_lost_changes(), Some(Moment(20)));
    assert_eq!(queue.take_lost_changes(), None, "they are told now");
}

#[test]
fn it_is_known_from_when_on_the_disk_has_taken_no_changes() {
    let disk = ModelDisk::default();
    let (mut scribe, shared) = scribe(&disk, "b", u64::MAX).expect("it works");
    scribe.keep(message(1, checks("db", 1, 0)));
    for at in 2..=KEPT as i64 + 1 {
        scribe.keep(message(at, state(None, at, ComponentState::Up)));
    }
    assert_eq!(shared.queue.take_lost_changes(), None, "the sample went first");
    scribe.keep(message(KEPT as i64 + 2, state(None, 7, ComponentState::Up)));
    assert_eq!(shared.queue.take_lost_changes(), Some(Moment(2)));
}

#[test]
fn a_torn_tail_is_sealed_and_costs_only_itself() {
    let dir = tempfile::tempdir().expect("a folder");
    let path = dir.path().join("history.jsonl");
    let writer = start(&path, "b1");
    writer.send(Moment(1), Record::Heartbeat);
    drop(writer);
    let mut file = std::fs::OpenOptions::new().append(true).open(&path).expect("open");
    file.write_all(b"{\"v\":1,\"ts\":\"2026").expect("written");
    assert!(report(&path).torn_tail);
    let writer = start(&path, "b2");
    writer.send(Moment(2), Record::Heartbeat);
    drop(writer);
    let report = report(&path);
    assert_eq!((report.records, report.corrupt_records, report.torn_tail), (2, 1, false));
    let text = std::fs::read_to_string(&path).expect("text");
    assert_eq!(text.lines().count(), 3);
}

#[test]
fn who_opens_a_file_twice_is_told_so_whatever_it_is_called() {
    let dir = tempfile::tempdir().expect("a folder");
    let path = dir.path().join("history.jsonl");
    let first = open(&path, 4_096).expect("free");
    let elsewhere = tempfile::tempdir().expect("a folder");
    let other = open(&elsewhere.path().join("history.jsonl"), 4_096).expect("free");
    let roundabout = dir.path().join(".").join("history.jsonl");
    for path in [&path, &roundabout] {
        assert!(matches!(open(path, 4_096), Err(OpenError::LockedHere)));
    }
    drop((first, other));
    assert!(open(&path, 4_096).is_ok());
}

#[test]
fn files_whose_names_only_look_like_ours_are_left_alone() {
    let dir = tempfile::tempdir().expect("a folder");
    let path = dir.path().join("history.jsonl");
    for name in ["history.jsonl.007", "history.jsonl.bak", "history.jsonl.+7.snapshot", "other.7"] {
        std::fs::write(dir.path().join(name), "nothing of ours").expect("written");
    }
    let report = report(&path);
    assert_eq!((report.corrupt_records, report.damaged_snapshots), (0, 0));
}
