//! A process that writes two boots' worth of records to a disk, each of whose operations fails in
//! turn, or is the last.

use std::time::{Duration, Instant};

use super::model::Fault;
use super::*;
use crate::availability::ComponentState::{Down, Up};

/// So that there are several compactions.
const MAX_BYTES: u64 = 1_800;
const NOW: i64 = 1_000_000;

/// What two boots tell, in the order in which it happens.
fn boots() -> [Vec<Message>; 2] {
    [0, 500_000].map(|start| {
        let mut told = vec![message(start, Record::Start { pid: 1, version: "0".into() })];
        for index in 0..6 {
            let (at, component) =
                (start + 1_000 * (index + 1), ["db", "queue"][index as usize % 2]);
            told.push(message(at, state(Some(component), at, Down)));
            told.push(message(at, state(None, at, Down)));
            told.push(message(at, incident(component, at, None)));
            told.push(message(at + 100, checks(component, 3, 1)));
            told.push(message(at + 200, Record::Heartbeat));
            told.push(message(at + 300, state(Some(component), at + 250, Up)));
            told.push(message(at + 300, state(None, at + 250, Up)));
            told.push(message(at + 300, incident(component, at, Some(at + 250))));
        }
        told.push(message(start + 20_000, Record::Stop));
        told
    })
}

/// What is found after each number of records.
fn expectations() -> Vec<String> {
    let all = boots().map(|boot| boot.len());
    let expect = |count: usize| {
        let disk = ModelDisk::default();
        let mut left = count;
        for (name, boot) in ["b1", "b2"].into_iter().zip(boots()) {
            let next = disk_of_next_process(&disk);
            let (mut scribe, _) = scribe(&next, name, u64::MAX).expect("it works");
            boot.into_iter().take(left).for_each(|message| scribe.keep(message));
            scribe.write(true);
            left = left.saturating_sub(all[0]);
        }
        figures(&read(&disk), NOW)
    };
    (0..=all[0] + all[1]).map(expect).collect()
}

/// What is known of a life when it is over.
struct Life {
    /// So many records were said to be on the disk.
    synced: usize,
    errors: u64,
    error: Option<String>,
}

/// Both boots, as far as they come.
fn live(disk: &ModelDisk) -> Life {
    let mut life = Life { synced: 0, errors: 0, error: None };
    let mut now = Instant::now();
    for (name, boot) in ["b1", "b2"].into_iter().zip(boots()) {
        // Whoever starts a process whose history can't be opened starts it again.
        let opened = (0..40).find_map(|_| scribe(&disk_of_next_process(disk), name, MAX_BYTES));
        let Some((mut scribe, shared)) = opened else { return life };
        let before = life.synced;
        for message in boot {
            let durable = message.record.is_durable();
            scribe.keep(message);
            scribe.write(durable);
            now += Duration::from_secs(61);
            scribe.tidy(now);
        }
        disk.heal();
        for _ in 0..3 {
            scribe.write(true);
            now += Duration::from_secs(61);
            scribe.tidy(now);
        }
        let status = shared.status().clone();
        life.synced = before + status.synced_records as usize;
        life.errors += status.write_errors;
        life.error = status.error;
    }
    life
}

/// The locks of the process before are gone.
fn disk_of_next_process(disk: &ModelDisk) -> ModelDisk {
    disk.unlock();
    disk.clone()
}

#[test]
fn no_operation_that_fails_costs_anything_and_the_writer_goes_on() {
    let expected = expectations().pop().expect("there are some");
    let healthy = ModelDisk::default();
    let life = live(&healthy);
    assert_eq!((life.errors, figures(&read(&healthy), NOW)), (0, expected.clone()));
    let names = healthy.names();
    assert!(names.iter().any(|name| name.ends_with(".snapshot")), "{names:?}");
    for at in 0..healthy.operations() {
        for count in if at % 4 == 0 { &[1, 2, 25][..] } else { &[1] } {
            let disk = ModelDisk::failing(at, Fault::Errors(*count));
            let life = live(&disk);
            let which = format!("{count} from operation {at}: {:?}", disk.names());
            assert_eq!(life.error, None, "{which}");
            assert!(figures(&read(&disk.after_death()), NOW) == expected, "{which}");
            assert!(figures(&read(&disk.after_power_loss()), NOW) == expected, "{which}");
        }
    }
}

#[test]
fn a_death_or_a_loss_of_power_at_any_operation_costs_nothing_that_was_synchronised() {
    let expected = expectations();
    let healthy = ModelDisk::default();
    live(&healthy);
    for at in 0..healthy.operations() {
        let disk = ModelDisk::failing(at, Fault::Death);
        let life = live(&disk);
        for (what, found) in [
            ("death", disk.after_death()),
            ("power", disk.after_power_loss()),
            ("power, out of order", disk.after_power_loss_out_of_order()),
        ] {
            let found = figures(&read(&found), NOW);
            let known = expected[life.synced..].contains(&found);
            assert!(known, "{what} at {at}, {} synced: {:?}", life.synced, disk.names());
        }
    }
}

#[test]
fn each_error_is_counted_and_shown_until_it_is_over() {
    let disk = ModelDisk::default();
    let (mut scribe, shared) = scribe(&disk, "b", u64::MAX).expect("it works");
    disk.fail(disk.operations(), Fault::Errors(3));
    for count in 1..=3 {
        scribe.keep(message(count, Record::Heartbeat));
        scribe.write(false);
        let status = shared.status().clone();
        assert_eq!((status.write_errors, status.error.is_some()), (count as u64, true));
    }
    scribe.write(true);
    let status = shared.status().clone();
    assert_eq!((status.error, status.synced_records), (None, 3));
    assert_eq!(read(&disk).report.records, 3);
}

#[test]
fn a_file_whose_fsync_failed_is_not_relied_on_again() {
    let disk = ModelDisk::default();
    let (mut scribe, shared) = scribe(&disk, "b", u64::MAX).expect("it works");
    scribe.keep(message(1, Record::Heartbeat));
    scribe.write(true);
    scribe.keep(message(2, Record::Heartbeat));
    disk.fail(disk.operations() + 1, Fault::Errors(1)); // written, and not synchronised
    scribe.write(true);
    assert_eq!(shared.status().synced_records, 1);
    scribe.keep(message(3, Record::Heartbeat));
    scribe.write(true);
    assert_eq!(shared.status().synced_records, 3);
    assert_eq!(read(&disk.after_power_loss()).report.records, 3);
    assert!(disk.names().contains(&format!("{PATH}.1")), "{:?}", disk.names());
}

#[test]
fn a_disk_that_takes_nothing_for_long_costs_samples_first_and_leaves_a_gap_record() {
    let disk = ModelDisk::default();
    let (mut scribe, shared) = scribe(&disk, "b", u64::MAX).expect("it works");
    disk.fail(disk.operations(), Fault::Errors(1));
    scribe.write(true);
    scribe.keep(message(0, checks("db", 1, 0)));
    let kept = super::super::scribe::KEPT as i64;
    for at in 0..kept {
        scribe.keep(message(at, state(Some("db"), at, if at % 2 == 0 { Down } else { Up })));
    }
    assert_eq!(shared.status().dropped_records, 1, "the sample");
    scribe.keep(message(kept, state(Some("db"), kept, Down)));
    scribe.write(true);
    let report = read(&disk).report;
    assert_eq!(report.records as i64, kept);
    assert_eq!(report.lost_records, 1, "as the gap record says; it cost one more to be kept");
    assert!(shared.status().dropped_records >= 2);
}

#[test]
fn files_that_were_deleted_behind_its_back_are_begun_anew() {
    let disk = ModelDisk::default();
    let (mut first, shared) = scribe(&disk, "b1", 100).expect("it works");
    first.keep(message(1, Record::Heartbeat));
    first.write(true);
    for name in [PATH.into(), format!("{PATH}.lock")] {
        disk.delete(Path::new(&name));
    }
    first.keep(message(2, Record::Heartbeat));
    first.write(true);
    assert_eq!((read(&disk).report.records, shared.status().error.clone()), (1, None));
    assert!(scribe(&disk, "b2", 100).is_none(), "it is locked again");
}

#[test]
fn one_whose_lock_another_process_has_taken_leaves_the_files_alone() {
    let disk = ModelDisk::default();
    let (mut first, shared) = scribe(&disk, "b1", 100).expect("it works");
    first.keep(message(1, Record::Heartbeat));
    first.write(true);
    for name in [PATH.into(), format!("{PATH}.lock")] {
        disk.delete(Path::new(&name));
    }
    let (mut second, _) = scribe(&disk, "b2", 100).expect("the lock is gone");
    second.keep(message(2, Record::Heartbeat));
    second.write(true);
    let before = (disk.names(), disk.contents(Path::new(PATH)));
    first.keep(message(3, Record::Heartbeat));
    first.write(true);
    first.tidy(Instant::now() + Duration::from_secs(1_000));
    assert_eq!((disk.names(), disk.contents(Path::new(PATH))), before);
    let error = shared.status().error.clone().expect("it says so");
    assert!(error.contains("another process"), "{error}");
}
