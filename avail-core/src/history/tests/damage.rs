//! Files that are cut off or flipped anywhere.

use super::model::ModelDisk;
use super::*;
use crate::availability::ComponentState::{Down, Up};
use crate::history::record::{Decoded, decode};
use std::time::{Duration, Instant};

const NOW: i64 = 10_000;

/// One line of every kind that stands in a segment.
fn lines() -> Vec<String> {
    let records = [
        Record::Start { pid: 1, version: "0.1.0".into() },
        state(Some("db"), 10, Up),
        state(None, 10, Up),
        state(Some("db"), 500, Down),
        incident("db", 500, None),
        checks("db", 3, 1),
        Record::Gap { lost: 1 },
        state(Some("db"), 800, Up),
        incident("db", 500, Some(800)),
        Record::Heartbeat,
        Record::Stop,
    ];
    let disk = ModelDisk::default();
    let (mut scribe, _) = scribe(&disk, "b1", u64::MAX).expect("it works");
    for (at, record) in records.into_iter().enumerate() {
        scribe.keep(message(100 * at as i64, record));
    }
    scribe.write(true);
    let text = String::from_utf8(disk.contents(Path::new(PATH))).expect("text");
    text.split_inclusive('\n').map(str::to_owned).collect()
}

fn read_bytes(bytes: &[u8]) -> Recovered {
    let disk = ModelDisk::default();
    disk.put(Path::new(PATH), bytes);
    read(&disk)
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
        let recovered = read_bytes(&file[..length]);
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
        let recovered = read_bytes(&flipped);
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
    let report = read_bytes(glued.as_bytes()).report;
    assert_eq!((report.records, report.corrupt_records, report.salvaged_records), (2, 1, 1));
}

#[test]
fn a_record_that_was_written_twice_counts_once_and_one_that_was_written_late_in_its_place() {
    let lines = lines();
    let doubled = format!("{}{}\n{}", lines[0], lines[1], lines[1]);
    assert_eq!(read_bytes(doubled.as_bytes()).report.records, 2);
    let mut late = lines.clone();
    late.swap(3, 7); // down and up again
    let expected = figures(&read_bytes(lines.concat().as_bytes()), NOW);
    assert!(figures(&read_bytes(late.concat().as_bytes()), NOW) == expected);
}

#[test]
fn what_was_down_is_still_known() {
    let recovered = read_bytes(lines()[..10].concat().as_bytes());
    assert!(recovered.report.unclean_end);
    assert_eq!(recovered.report.lost_records, 1);
    let past = recovered.past.expect("something was recorded");
    assert_eq!(past.last_sign, Moment(900));
    let db = past.ledger.component_metrics("db", [Window::ALL_TIME], Moment(1_000));
    let [all] = db.expect("db is known");
    assert_eq!((all.downtime_seconds, all.uptime_seconds), (0.3, 0.69));
}

/// Two snapshots, the segments after the older one, and an active file.
fn compacted() -> ModelDisk {
    let disk = ModelDisk::default();
    let (mut scribe, _) = scribe(&disk, "b1", 1_200).expect("it works");
    let mut now = Instant::now();
    scribe.keep(message(0, Record::Start { pid: 1, version: "0.1.0".into() }));
    for round in 0..6 {
        let at = 1_000 * round;
        for record in [
            state(Some("db"), at + 10, Up),
            state(Some("db"), at + 500, Down),
            incident("db", at + 500, None),
            checks("db", 3, 1),
            state(Some("db"), at + 800, Up),
            incident("db", at + 500, Some(at + 800)),
        ] {
            scribe.keep(message(at + 900, record));
            scribe.write(true);
        }
        now += Duration::from_secs(61);
        if round < 5 {
            scribe.tidy(now);
        }
    }
    disk
}

fn newest_snapshot(disk: &ModelDisk) -> String {
    let names = disk.names();
    names.into_iter().filter(|name| name.ends_with(".snapshot")).max().expect("there is one")
}

#[test]
fn a_snapshot_that_is_cut_off_anywhere_costs_nothing() {
    let disk = compacted();
    let expected = figures(&read(&disk), NOW);
    let newest = newest_snapshot(&disk);
    let whole = disk.contents(Path::new(&newest));
    for length in 0..whole.len() - 1 {
        disk.put(Path::new(&newest), &whole[..length]);
        let recovered = read(&disk);
        assert_eq!(recovered.report.damaged_snapshots, 1, "{length} bytes");
        assert!(figures(&recovered, NOW) == expected, "{length} bytes");
    }
}

#[test]
fn a_flipped_bit_in_a_snapshot_costs_nothing() {
    let disk = compacted();
    let expected = figures(&read(&disk), NOW);
    let newest = newest_snapshot(&disk);
    let whole = disk.contents(Path::new(&newest));
    // Of each byte one bit, another each time.
    for byte in 0..whole.len() {
        let mut flipped = whole.clone();
        flipped[byte] ^= 1 << (byte % 8);
        disk.put(Path::new(&newest), &flipped);
        let recovered = read(&disk);
        let lost = recovered.report.damaged_snapshots == 1 || byte + 1 == whole.len();
        assert!(lost && figures(&recovered, NOW) == expected, "byte {byte}");
    }
}

#[test]
fn where_both_snapshots_are_damaged_what_is_whole_of_the_newest_is_taken() {
    let disk = compacted();
    let names = disk.names();
    for name in names.iter().filter(|name| name.ends_with(".snapshot")) {
        let mut text = disk.contents(Path::new(name));
        let middle = text.len() - 20; // in the last line, which is a component's
        text[middle] ^= 1;
        disk.put(Path::new(name), &text);
    }
    let recovered = read(&disk);
    assert_eq!(recovered.report.damaged_snapshots, 2);
    let past = recovered.past.expect("something is left");
    assert_eq!(past.ledger.incidents(Window::ALL_TIME, Moment(NOW)).len(), 6);
}

#[test]
fn every_line_of_every_file_is_json_with_a_checksum() {
    let disk = compacted();
    let files: Vec<_> = disk.names().into_iter().filter(|name| !name.ends_with(".lock")).collect();
    assert_eq!(files.len(), 4, "{files:?}");
    for name in files {
        for line in disk.contents(Path::new(&name)).split(|byte| *byte == b'\n') {
            assert!(line.is_empty() || matches!(decode(line), Decoded::Line(_)), "{name}");
        }
    }
}
