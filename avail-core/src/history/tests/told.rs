//! What is told of a disk that fails.

use tracing::Level;

use super::model::Fault;
use super::*;
use crate::events::tests::{Lines, line};

#[test]
fn a_history_that_fails_and_is_written_again_is_told_once_each() {
    let (lines, _guard) = Lines::listen();
    let disk = ModelDisk::default();
    let (mut scribe, shared) = scribe(&disk, "b1", u64::MAX).expect("it works");
    disk.fail(disk.operations(), Fault::Errors(3));
    for _ in 0..5 {
        scribe.keep(message(0, Record::Heartbeat));
        scribe.write(true);
    }
    let status = shared.status().clone();
    assert_eq!((status.write_errors, status.error), (3, None));
    let told = lines.take();
    let [degraded, recovered] = &told[..] else { panic!("{told:?}") };
    assert_eq!((degraded.level, degraded.name), (Level::ERROR, "history_degraded"));
    assert_eq!((&*degraded.fields["operation"], &*degraded.fields["path"]), ("write", PATH));
    assert!(degraded.fields.contains_key("error"), "{degraded:?}");
    assert_eq!(*recovered, line(Level::INFO, "history_recovered", [("path", PATH)]));
}
