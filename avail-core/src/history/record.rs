//! One line of the history.
//!
//! ```text
//! {"v":1,"ts":"2026-02-26T10:00:00.000Z","seq":7,"boot":"19c9…","type":"state",…,"crc":"1b2e3f40"}
//! ```
//!
//! The checksum is the CRC-32 (IEEE 802.3) of everything before `,"crc"`, in hexadecimal.

use std::collections::BTreeMap;
use std::sync::Arc;

use serde::{Deserialize, Serialize};

use crate::availability::checks::{CheckCounts, CheckHistory};
use crate::availability::ledger::PastImage;
use crate::availability::periods::Periods;
use crate::availability::timeline::TimelineImage;
use crate::availability::{ComponentState, Incident, Maintenance, Moment};
use crate::monitor::AuditRecord;

/// The version of the format that is written.
const VERSION: u32 = 1;

/// What a line tells.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(tag = "type", rename_all = "snake_case")]
pub(crate) enum Record {
    /// A process began.
    Start { pid: u32, version: String },
    /// It was alive.
    Heartbeat,
    /// It ended, and said so.
    Stop,
    /// From `at` on a component, or without one the system, is counted as that.
    State {
        #[serde(skip_serializing_if = "Option::is_none")]
        component: Option<Arc<str>>,
        at: Moment,
        state: ComponentState,
    },
    /// An incident as it is now.
    Incident { incident: Incident },
    /// A maintenance as it is now: begun, changed or ended.
    Maintenance { maintenance: Maintenance },
    /// Runs completed since the last such record.
    Checks { counts: BTreeMap<Arc<str>, CheckCounts> },
    /// Calls through breakers that ended since the last such record.
    Calls { counts: BTreeMap<Arc<str>, CheckCounts> },
    /// An operator did something.
    Audit { audit: AuditRecord },
    /// Records that were lost before this one: the queue was full, or the disk for too long.
    Gap { lost: u64 },
    /// The first line of a snapshot: so many lines follow, which hold what was recorded up to this
    /// line's `boot` and `seq`, the last of which were in that segment. Its `ts` is the last sign of
    /// life, and `clean` whether that said that the process ended.
    Snapshot { segment: u64, lines: u64, clean: bool },
    /// In a snapshot: what a component, or without one the system, has been.
    Past(Box<PastImage>),
    /// In a snapshot: how many incidents there ever were, by component: minor, major, critical.
    IncidentsOpened { opened: BTreeMap<Arc<str>, [u64; 3]> },
}

impl Record {
    /// Whether it must be on the disk before anything else is done.
    pub(crate) fn is_durable(&self) -> bool {
        matches!(
            self,
            Record::Incident { .. }
                | Record::Maintenance { .. }
                | Record::Audit { .. }
                | Record::Stop
                | Record::Start { .. }
        )
    }

    /// Whether it is dropped before any other: it tells of no change.
    pub(crate) fn is_sample(&self) -> bool {
        matches!(self, Record::Heartbeat | Record::Checks { .. } | Record::Calls { .. })
    }

    /// The earliest time that it tells something of; `ts`: when it was made.
    pub(crate) fn tells_from(&self, ts: Moment) -> Moment {
        match self {
            Record::State { at, .. } => ts.min(*at),
            Record::Incident { incident } => {
                ts.min(incident.start()).min(incident.end().unwrap_or(ts))
            }
            Record::Maintenance { maintenance } => ts.min(maintenance.end_time.into()),
            _ => ts,
        }
    }

    /// Whether nothing is lost with it: the next one says the same.
    pub(crate) fn comes_again(&self) -> bool {
        matches!(self, Record::Heartbeat)
    }
}

/// A record, and where it stands.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub(crate) struct Line {
    pub(crate) v: u32,
    pub(crate) ts: Moment,
    pub(crate) seq: u64,
    pub(crate) boot: Arc<str>,
    #[serde(flatten)]
    pub(crate) record: Record,
}

impl Line {
    pub(crate) fn new(ts: Moment, seq: u64, boot: Arc<str>, record: Record) -> Self {
        Line { v: VERSION, ts, seq, boot, record }
    }

    /// As it stands in the file, with its line feed.
    pub(crate) fn encode(&self) -> Result<String, serde_json::Error> {
        let mut text = serde_json::to_string(self)?;
        text.pop();
        let crc = crc32fast::hash(text.as_bytes());
        text.push_str(&format!("{CRC}{crc:08x}\"}}\n"));
        Ok(text)
    }
}

const CRC: &str = ",\"crc\":\"";
/// `,"crc":"` and eight digits and `"}`.
const TAIL: usize = CRC.len() + 8 + 2;

/// What a line of the file turned out to be.
#[derive(Clone, Debug, PartialEq)]
pub(crate) enum Decoded {
    /// Boxed: a line is much larger than its neighbours.
    Line(Box<Line>),
    /// Whole, but of a type or a version that this release does not know.
    Unknown,
    Corrupt,
}

/// Reads one line, without its line feed.
pub(crate) fn decode(bytes: &[u8]) -> Decoded {
    if !has_valid_checksum(bytes) {
        return Decoded::Corrupt;
    }
    let line = if tells_a_past(bytes) {
        serde_json::from_slice::<PastLine>(bytes).map(Line::from)
    } else {
        serde_json::from_slice::<Line>(bytes)
    };
    match line {
        Ok(line) if line.v == VERSION => Decoded::Line(Box::new(line)),
        _ => Decoded::Unknown,
    }
}

/// A line of a snapshot with a component's past, without the detour that serde makes for a tagged
/// record: there is more in one of these than in a hundred others.
#[derive(Deserialize)]
struct PastLine {
    v: u32,
    ts: Moment,
    seq: u64,
    boot: Arc<str>,
    component: Option<Arc<str>>,
    timeline: TimelineImage,
    checks: CheckHistory,
    calls: CheckHistory,
    #[serde(default)]
    maintenance: Periods,
}

/// The type stands before everything that could be mistaken for it, but for the name of a boot.
fn tells_a_past(bytes: &[u8]) -> bool {
    const TYPE: &[u8] = b"\"type\":\"past\"";
    bytes[..bytes.len().min(256)].windows(TYPE.len()).any(|window| window == TYPE)
}

impl From<PastLine> for Line {
    fn from(line: PastLine) -> Self {
        let PastLine { v, ts, seq, boot, component, timeline, checks, calls, maintenance } = line;
        let past = PastImage { component, timeline, checks, calls, maintenance };
        Line { v, ts, seq, boot, record: Record::Past(Box::new(past)) }
    }
}

fn has_valid_checksum(bytes: &[u8]) -> bool {
    let Some(split) = bytes.len().checked_sub(TAIL) else { return false };
    let (body, tail) = bytes.split_at(split);
    let digits = tail.strip_prefix(CRC.as_bytes()).and_then(|rest| rest.strip_suffix(b"\"}"));
    let expected = digits.and_then(|digits| std::str::from_utf8(digits).ok());
    expected == Some(format!("{:08x}", crc32fast::hash(body)).as_str())
}

/// Where a line begins that is glued to the remains of another.
pub(crate) const BEGINNING: &[u8] = b"{\"v\":";
/// How every line ends.
pub(crate) const ENDING: &[u8] = b"\"}";

#[cfg(test)]
mod tests {
    use super::*;

    fn line() -> Line {
        let state = Record::State {
            component: Some("storage".into()),
            at: Moment(1_772_100_000_000),
            state: ComponentState::Down,
        };
        Line::new(Moment(1_772_100_000_500), 7, "boot".into(), state)
    }

    #[test]
    fn a_line_reads_like_what_it_tells() {
        let text = line().encode().expect("it can be written");
        let (body, crc) = text.split_at(text.len() - TAIL - 1);
        assert_eq!(
            body,
            r#"{"v":1,"ts":"2026-02-26T10:00:00.500Z","seq":7,"boot":"boot","type":"state","component":"storage","at":"2026-02-26T10:00:00.000Z","state":"down""#
        );
        assert!(crc.starts_with(",\"crc\":\"") && crc.ends_with("\"}\n"));
        let decoded = decode(text.trim_end().as_bytes());
        assert_eq!(decoded, Decoded::Line(Box::new(line())));
    }

    #[test]
    fn every_flipped_bit_and_every_missing_end_is_noticed() {
        let text = line().encode().expect("it can be written");
        let bytes = text.trim_end().as_bytes();
        for length in 0..bytes.len() {
            assert_eq!(decode(&bytes[..length]), Decoded::Corrupt, "{length} bytes");
        }
        for bit in 0..bytes.len() * 8 {
            let mut flipped = bytes.to_vec();
            flipped[bit / 8] ^= 1 << (bit % 8);
            assert_eq!(decode(&flipped), Decoded::Corrupt, "bit {bit}");
        }
    }

    #[test]
    fn a_type_of_a_later_release_is_passed_over_and_not_called_corrupt() {
        let body =
            r#"{"v":1,"ts":"2026-02-26T10:00:00.500Z","seq":7,"boot":"b","type":"moon_phase""#;
        let text = format!("{body}{CRC}{:08x}\"}}", crc32fast::hash(body.as_bytes()));
        assert_eq!(decode(text.as_bytes()), Decoded::Unknown);
    }
}
