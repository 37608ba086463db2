//! Against the text form, with a recorder that can be read.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use avail_core::testing::isolated;
use avail_core::{CircuitBreakerRegistry, HealthCheck};
use metrics_util::debugging::{DebugValue, DebuggingRecorder, Snapshotter};

use super::*;
use crate::prometheus::render;

/// Name, labels as in the text form, and value.
type Series = BTreeMap<String, f64>;

/// `storage` has failed and works again, `embedder` works; the breaker `storage` is open.
async fn monitor() -> AvailabilityMonitor {
    monitor_of(Arc::default()).await
}

/// The same, which counts the runs of `storage`: how many there are in a time is left to chance,
/// since the pauses between them differ by up to a tenth.
async fn monitor_of(runs: Arc<AtomicU64>) -> AvailabilityMonitor {
    let second = Duration::from_secs(1);
    let storage = move || {
        let run = runs.fetch_add(1, Ordering::Relaxed);
        async move { run != 2 }
    };
    let monitor = AvailabilityMonitor::builder()
        .discover(false)
        .breakers(CircuitBreakerRegistry::new())
        .check(HealthCheck::new("storage", storage).interval(second).slo(99.0))
        .check(HealthCheck::new("embedder", || async { true }).critical(false))
        .start()
        .await
        .expect("it starts");
    tokio::time::sleep(Duration::from_millis(10_250)).await;
    // None is under way after this, and the next is due in a second.
    monitor.refresh("storage").await.expect("it runs");
    monitor.breakers().get_or_create("storage").trip();
    monitor
}

fn read(snapshotter: &Snapshotter) -> Series {
    let all = snapshotter.snapshot().into_vec();
    let series = all.into_iter().map(|(key, _, _, value)| {
        let labels = key.key().labels();
        let labels: Vec<_> =
            labels.map(|label| format!("{}={:?}", label.key(), label.value())).collect();
        let value = match value {
            DebugValue::Counter(count) => count as f64,
            DebugValue::Gauge(gauge) => gauge.into_inner(),
            DebugValue::Histogram(values) => panic!("no histogram is published: {values:?}"),
        };
        let name = key.key().name();
        let labels =
            if labels.is_empty() { String::new() } else { format!("{{{}}}", labels.join(",")) };
        (format!("{name}{labels}"), value)
    });
    series.collect()
}

fn parse(text: &str) -> Series {
    let lines = text.lines().filter(|line| !line.starts_with('#'));
    let series = lines.map(|line| {
        let (name, value) = line.rsplit_once(' ').expect("a name and a value");
        (name.to_owned(), value.parse().expect("a number"))
    });
    series.collect()
}

#[tokio::test(start_paused = true)]
async fn each_line_of_the_text_form_is_one_series_of_the_same_value() {
    let _isolated = isolated();
    let runs = Arc::new(AtomicU64::new(0));
    let monitor = monitor_of(runs.clone()).await;
    let recorder = DebuggingRecorder::new();
    metrics::with_local_recorder(&recorder, || publish(&monitor));
    let (published, text) = (read(&recorder.snapshotter()), parse(&render(&monitor)));
    assert_eq!(published, text);
    assert!(text.keys().any(|name| name.starts_with("avail_mtbf_seconds")), "{text:?}");
    assert!(published["avail_state_seconds_total{component=\"storage\",state=\"down\"}"] > 0.0);
    let count = published["avail_check_duration_seconds_count{component=\"storage\"}"];
    assert_eq!(count, runs.load(Ordering::Relaxed) as f64);
}

#[tokio::test(start_paused = true)]
async fn what_is_published_says_what_it_is() {
    let _isolated = isolated();
    let monitor = monitor().await;
    let recorder = DebuggingRecorder::new();
    metrics::with_local_recorder(&recorder, || publish(&monitor));
    let mut units = BTreeMap::new();
    for (key, unit, help, value) in recorder.snapshotter().snapshot().into_vec() {
        assert!(help.is_some_and(|help| help.ends_with('.')), "{key:?}");
        let is_counter = matches!(value, DebugValue::Counter(_));
        units.insert(key.key().name().to_owned(), (is_counter, unit));
    }
    for (name, is_counter, unit) in [
        ("avail_check_runs_total", true, Some(Unit::Count)),
        ("avail_check_duration_seconds_bucket", true, Some(Unit::Count)),
        ("avail_check_duration_seconds_count", true, Some(Unit::Count)),
        ("avail_check_duration_seconds_sum", false, Some(Unit::Seconds)),
        ("avail_state_seconds_total", false, Some(Unit::Seconds)),
        ("avail_check_last_success_timestamp_seconds", false, Some(Unit::Seconds)),
        ("avail_availability_ratio", false, None),
        ("avail_build_info", false, None),
        ("avail_ready", false, None),
    ] {
        assert_eq!(units[name], (is_counter, unit), "{name}");
    }
}

#[tokio::test(start_paused = true)]
async fn a_gauge_that_is_gone_becomes_nan_once_and_a_counter_stays() {
    let _isolated = isolated();
    let monitor = monitor().await;
    let recorder = DebuggingRecorder::new();
    let snapshotter = recorder.snapshotter();
    let mut bridge = Bridge::new(&monitor);
    let mut next = || {
        metrics::with_local_recorder(&recorder, || bridge.publish());
        read(&snapshotter)
    };
    let gone = "avail_component_up{component=\"embedder\",critical=\"false\"}";
    assert_eq!(next()[gone], 1.0);

    assert!(monitor.unregister("embedder"));
    let after = next();
    assert!(after[gone].is_nan(), "{after:?}");
    assert!(after["avail_availability_ratio{component=\"embedder\",window=\"24h\"}"].is_nan());
    assert_eq!(after["avail_component_up{component=\"storage\",critical=\"true\"}"], 1.0);
    // Whoever reads this recorder sets what it reads to zero: so far it has, and nobody since.
    assert_eq!(next()[gone], 0.0, "it is left alone");

    monitor.register(HealthCheck::new("embedder", || async { true }).critical(false)).expect("new");
    tokio::time::sleep(Duration::from_secs(1)).await;
    assert_eq!(next()[gone], 1.0, "it is back");
}

#[tokio::test(start_paused = true)]
async fn it_publishes_at_once_and_then_until_the_handle_is_dropped() {
    let _isolated = isolated();
    let monitor = monitor().await;
    let recorder = DebuggingRecorder::new();
    let _local = metrics::set_default_local_recorder(&recorder);
    let runs = || {
        let runs = "avail_check_runs_total{component=\"storage\",result=\"success\"}";
        read(&recorder.snapshotter()).get(runs).copied()
    };
    let handle = spawn(&monitor, Duration::from_secs(60));
    tokio::time::sleep(Duration::from_millis(100)).await;
    let first = runs().expect("published at once");
    tokio::time::sleep(Duration::from_secs(60)).await;
    assert!(runs().expect("published again") > first);
    drop(handle);
    tokio::time::sleep(Duration::from_secs(600)).await;
    assert_eq!(runs(), Some(0.0), "read, and never set again");
}

/// Panics once, when the first counter comes.
#[derive(Debug)]
struct Falling {
    to: DebuggingRecorder,
    counters: Arc<AtomicU64>,
}

impl Recorder for Falling {
    fn describe_counter(&self, _: KeyName, _: Option<Unit>, _: metrics::SharedString) {}
    fn describe_gauge(&self, _: KeyName, _: Option<Unit>, _: metrics::SharedString) {}
    fn describe_histogram(&self, _: KeyName, _: Option<Unit>, _: metrics::SharedString) {}

    fn register_counter(&self, key: &Key, metadata: &Metadata<'_>) -> metrics::Counter {
        assert_ne!(self.counters.fetch_add(1, Ordering::Relaxed), 0, "a recorder that panics");
        self.to.register_counter(key, metadata)
    }

    fn register_gauge(&self, key: &Key, metadata: &Metadata<'_>) -> metrics::Gauge {
        self.to.register_gauge(key, metadata)
    }

    fn register_histogram(&self, key: &Key, metadata: &Metadata<'_>) -> metrics::Histogram {
        self.to.register_histogram(key, metadata)
    }
}

#[tokio::test(start_paused = true)]
async fn a_recorder_that_panics_is_asked_again() {
    let _isolated = isolated();
    let monitor = monitor().await;
    let counters = Arc::new(AtomicU64::new(0));
    let recorder = Falling { to: DebuggingRecorder::new(), counters: counters.clone() };
    let _local = metrics::set_default_local_recorder(&recorder);
    let _handle = spawn(&monitor, Duration::from_secs(60));
    tokio::time::sleep(Duration::from_millis(100)).await;
    assert_eq!(counters.load(Ordering::Relaxed), 1);
    tokio::time::sleep(Duration::from_secs(60)).await;
    assert!(read(&recorder.to.snapshotter()).contains_key("avail_ready"));
}
