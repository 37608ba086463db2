//! | file | what it proves |
//! |---|---|
//! | `damage` | whatever is cut off or flipped, every intact record is found |
//! | `faults` | whatever operation fails, nothing that was synchronised is lost |
//! | `compaction` | what was summed up says the same as what it was summed up from |
//! | `writing` | the thread, its queue and the real disk |
//! | `clock` | a clock that jumps |
//! | `told` | a history that fails is told as a structured event |
//! | `model` | a disk that fails and loses its power |

#[cfg(feature = "test-util")]
mod clock;
mod compaction;
mod damage;
mod faults;
mod model;
#[cfg(all(feature = "test-util", feature = "tracing"))]
mod told;
mod writing;

use std::collections::BTreeMap;
use std::path::Path;
use std::sync::Arc;

use self::model::ModelDisk;
use super::layout::Layout;
use super::queue::Message;
use super::record::Record;
use super::recovery::{Recovered, recover};
use super::scribe::Scribe;
use super::store::Store;
use super::writer::Shared;
use crate::Window;
use crate::availability::checks::CheckCounts;
use crate::availability::{ComponentState, Incident, Maintenance, Moment, Severity};

const PATH: &str = "data/history.jsonl";

fn layout() -> Layout {
    Layout::new(Path::new(PATH))
}

fn read(disk: &ModelDisk) -> Recovered {
    recover(disk, &layout()).expect("a disk that can be read")
}

/// One that writes to the disk when it is told to, in this thread.
fn scribe(disk: &ModelDisk, boot: &str, max_bytes: u64) -> Option<(Scribe, Arc<Shared>)> {
    let store = Store::open(Box::new(disk.clone()), Path::new(PATH), max_bytes).ok()?;
    let recovered = recover(store.disk(), store.layout()).ok()?;
    let mut store = store;
    store.set_torn(recovered.report.torn_tail);
    let shared = Arc::new(Shared::default());
    Some((Scribe::new(store, boot.into(), shared.clone()), shared))
}

fn state(component: Option<&str>, at: i64, state: ComponentState) -> Record {
    Record::State { component: component.map(Arc::from), at: Moment(at), state }
}

fn checks(component: &str, successful: u64, failed: u64) -> Record {
    let counts = CheckCounts { successful, failed };
    Record::Checks { counts: BTreeMap::from([(component.into(), counts)]) }
}

fn calls(component: &str, successful: u64, failed: u64) -> Record {
    let counts = CheckCounts { successful, failed };
    Record::Calls { counts: BTreeMap::from([(component.into(), counts)]) }
}

fn maintenance(component: Option<&str>, from: i64, until: i64) -> Record {
    let maintenance = Maintenance {
        component: component.map(Arc::from),
        start_time: Moment(from).to_datetime(),
        end_time: Moment(until).to_datetime(),
        reason: "a new disk".into(),
    };
    Record::Maintenance { maintenance }
}

fn incident(component: &str, start: i64, end: Option<i64>) -> Record {
    let incident = Incident {
        id: format!("{start:011x}-{component}").into(),
        component: component.into(),
        severity: Severity::Critical,
        start_time: Moment(start).to_datetime(),
        detected_at: Moment(start).to_datetime(),
        end_time: end.map(|end| Moment(end).to_datetime()),
        duration_seconds: end.map_or(0.0, |end| (end - start) as f64 / 1000.0),
        error: Some("refused".into()),
        class: None,
        failures: 1,
        resolved: end.is_some(),
        parent: None,
    };
    Record::Incident { incident }
}

fn message(ts: i64, record: Record) -> Message {
    Message { ts: Moment(ts), record }
}

/// Everything that can be asked of what was read back, at a time after all of it.
fn figures(recovered: &Recovered, now: i64) -> String {
    let Some(past) = &recovered.past else { return "nothing".into() };
    let now = Moment(now);
    let windows = [1, 60, 3_600, 86_400, 20 * 86_400, 50 * 86_400, 400 * 86_400];
    let windows = windows.map(|seconds| Window::last(std::time::Duration::from_secs(seconds)));
    let mut said = vec![format!("{:?} {}", past.last_sign, past.clean)];
    for window in windows.into_iter().chain([Window::ALL_TIME]) {
        said.push(format!("{:?}", past.ledger.system_metrics([window], now)));
        for name in ["process", "db", "queue", "c0", "c1", "c2"] {
            said.push(format!("{:?}", past.ledger.component_metrics(name, [window], now)));
        }
    }
    said.push(format!("{:?}", past.ledger.incidents(Window::ALL_TIME, now)));
    said.push(format!("{:?}", past.ledger.maintenance().collect::<Vec<_>>()));
    let opened = past.ledger.incidents_opened();
    said.push(format!("{opened:?} {:?}", past.ledger.incident_log().opened()));
    said.join("\n")
}
