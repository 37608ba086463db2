//! Structured events as a subscriber of the whole process gets them, from whichever thread.
#![cfg(feature = "tracing")]

use std::fmt::Debug;
use std::path::Path;
use std::sync::Mutex;

use avail_core::events::TARGET;
use avail_core::{AvailabilityMonitor, HealthCheck};
use tracing::field::{Field, Visit};
use tracing::span;

/// Name and fields of each, one after the other.
static TOLD: Mutex<Vec<String>> = Mutex::new(Vec::new());

struct Keeps;

impl tracing::Subscriber for Keeps {
    fn enabled(&self, metadata: &tracing::Metadata<'_>) -> bool {
        metadata.target() == TARGET
    }

    fn new_span(&self, _: &span::Attributes<'_>) -> span::Id {
        span::Id::from_u64(1)
    }

    fn record(&self, _: &span::Id, _: &span::Record<'_>) {}

    fn record_follows_from(&self, _: &span::Id, _: &span::Id) {}

    fn event(&self, event: &tracing::Event<'_>) {
        let mut line = Line(event.metadata().name().to_owned());
        event.record(&mut line);
        TOLD.lock().expect("nothing panics under it").push(line.0);
    }

    fn enter(&self, _: &span::Id) {}

    fn exit(&self, _: &span::Id) {}
}

struct Line(String);

impl Visit for Line {
    fn record_debug(&mut self, field: &Field, value: &dyn Debug) {
        self.0 += &format!(" {field}={value:?}");
    }
}

async fn run(history: &Path) -> AvailabilityMonitor {
    let builder = AvailabilityMonitor::builder().discover(false).history_required(false);
    let builder = builder.check(HealthCheck::new("db", || async { true }));
    builder.history_file(history).start().await.expect("it starts")
}

fn told(name: &str) -> Vec<String> {
    let told = TOLD.lock().expect("nothing panics under it");
    let told = told.iter().filter(|line| line.split(' ').next() == Some(name));
    told.cloned().collect()
}

#[tokio::test]
async fn a_history_that_another_has_is_told_once_as_degraded() {
    tracing::subscriber::set_global_default(Keeps).expect("it is the only one");
    let folder = tempfile::tempdir().expect("a folder");
    let path = folder.path().join("history.jsonl");
    let first = run(&path).await;
    assert_eq!(told("history_degraded"), [""; 0]);
    let second = run(&path).await;
    let degraded = told("history_degraded");
    let [line] = &degraded[..] else { panic!("{degraded:?}") };
    assert!(line.contains(&format!("path={path:?} operation=\"open\"")), "{line}");
    for monitor in [first, second] {
        monitor.stop().await;
    }
}
