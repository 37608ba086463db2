//! The same figures as `/metrics`, by way of the [`metrics`] facade: for those whose figures leave
//! the process by another exporter than a scrape of [`prometheus`](crate::prometheus).
//!
//! ```
//! # #[tokio::main(flavor = "current_thread")] async fn main() -> Result<(), Box<dyn std::error::Error>> {
//! use std::time::Duration;
//!
//! use avail_core::AvailabilityMonitor;
//!
//! // First the recorder of your exporter, then:
//! let monitor = AvailabilityMonitor::builder().start().await?;
//! let bridge = avail_http::bridge::spawn(&monitor, Duration::from_secs(10));
//! # let _bridge = bridge; // for as long as figures are to be published
//! # Ok(()) }
//! ```
//!
//! Each line of the text form is one series here, with its name, labels and value. The facade knows
//! less than the text form, so:
//!
//! | in the text form | here |
//! |---|---|
//! | a counter of whole numbers | a counter |
//! | `avail_state_seconds_total` | a gauge that only grows: a counter of the facade can't hold a part of a second |
//! | a gauge, `avail_build_info` | a gauge |
//! | the histogram's `_bucket`, with the label `le`, and `_count` | counters: a histogram of the facade takes single values and no buckets |
//! | the histogram's `_sum` | a gauge that only grows |
//!
//! Nothing can be taken back from a recorder. A gauge that is gone, since its component was
//! unregistered or the figure has become undefined, is set to NaN once, so that it does not stay at
//! an old value for ever, and is left alone until it is back: an exporter with an idle time for
//! gauges drops it. In a sum leave it out, in PromQL with `sum(x >= 0)`. A counter that is gone no
//! longer grows, which says the same.

use std::collections::BTreeSet;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::time::Duration;

use avail_core::{AvailabilityMonitor, Snapshot};
use metrics::{Key, KeyName, Level, Metadata, Recorder, Unit};
use tokio::task::AbortHandle;
use tokio::time::{MissedTickBehavior, interval};

use crate::prometheus::{Kind, Label, Number, Sink, write_families};

const METADATA: Metadata<'static> = Metadata::new("avail", Level::INFO, Some(module_path!()));

/// Publishes once, to the recorder of this thread or else of the process. Without one it does
/// nothing.
///
/// What is published again and again needs to know what has gone since: that takes a [`Bridge`], or
/// [`spawn`].
pub fn publish(monitor: &AvailabilityMonitor) {
    Bridge::new(monitor).publish();
}

/// Publishes now and then `every` so often, until the handle is dropped.
///
/// A recorder that panics is logged, and asked again the next time.
///
/// # Panics
///
/// Outside a tokio runtime with its time enabled, and where `every` is zero.
pub fn spawn(monitor: &AvailabilityMonitor, every: Duration) -> BridgeHandle {
    let mut bridge = Bridge::new(monitor);
    let mut ticks = interval(every);
    ticks.set_missed_tick_behavior(MissedTickBehavior::Delay);
    let task = tokio::spawn(async move {
        loop {
            ticks.tick().await;
            if catch_unwind(AssertUnwindSafe(|| bridge.publish())).is_err() {
                tracing::error!("the recorder of the metrics facade panicked");
            }
        }
    });
    BridgeHandle { task: task.abort_handle() }
}

/// Publishes for as long as it is kept. What was published last stays as it is when it is dropped.
#[derive(Debug)]
#[must_use = "publishing ends when this is dropped"]
pub struct BridgeHandle {
    task: AbortHandle,
}

impl Drop for BridgeHandle {
    fn drop(&mut self) {
        self.task.abort();
    }
}

/// Publishes when it is told to, and knows what it published before: for those who do so on a
/// schedule of their own.
///
/// ```
/// # #[tokio::main(flavor = "current_thread")] async fn main() -> Result<(), Box<dyn std::error::Error>> {
/// # use avail_core::AvailabilityMonitor;
/// let monitor = AvailabilityMonitor::builder().start().await?;
/// let mut bridge = avail_http::bridge::Bridge::new(&monitor);
/// bridge.publish(); // before each export
/// # Ok(()) }
/// ```
#[derive(Debug)]
pub struct Bridge {
    monitor: AvailabilityMonitor,
    /// The gauges that have a value.
    gauges: BTreeSet<Key>,
}

impl Bridge {
    /// Of this monitor's figures. Nothing is published yet.
    pub fn new(monitor: &AvailabilityMonitor) -> Self {
        Bridge { monitor: monitor.clone(), gauges: BTreeSet::new() }
    }

    /// Publishes to the recorder of this thread or else of the process. Without one it does nothing.
    pub fn publish(&mut self) {
        let snapshot = self.monitor.snapshot();
        metrics::with_recorder(|recorder| self.publish_to(recorder, &snapshot));
    }

    fn publish_to(&mut self, recorder: &dyn Recorder, snapshot: &Snapshot) {
        let mut publication = Publication::new(recorder);
        write_families(snapshot, &mut publication);
        for gone in self.gauges.difference(&publication.gauges) {
            recorder.register_gauge(gone, &METADATA).set(f64::NAN);
        }
        self.gauges = publication.gauges;
    }
}

/// One walk over the families.
struct Publication<'a> {
    recorder: &'a dyn Recorder,
    gauges: BTreeSet<Key>,
    family: Family,
}

#[derive(Clone, Copy)]
struct Family {
    name: &'static str,
    kind: Kind,
    help: &'static str,
    /// The suffixes of those of its series that are described.
    described: [Option<&'static str>; 3],
}

impl<'a> Publication<'a> {
    fn new(recorder: &'a dyn Recorder) -> Self {
        let family = Family { name: "", kind: Kind::Gauge, help: "", described: [None; 3] };
        Publication { recorder, gauges: BTreeSet::new(), family }
    }

    fn put(&mut self, suffix: &'static str, labels: Vec<metrics::Label>, kind: Kind, to: Number) {
        let name = KeyName::from(format!("{}{suffix}", self.family.name));
        let is_new = self.is_new(suffix);
        let help = || self.family.help.into();
        let key = Key::from_parts(name.clone(), labels);
        match (kind, to) {
            (Kind::Counter, Number::Whole(count)) => {
                if is_new {
                    self.recorder.describe_counter(name, Some(Unit::Count), help());
                }
                self.recorder.register_counter(&key, &METADATA).absolute(count);
            }
            (_, value) => {
                if is_new {
                    self.recorder.describe_gauge(name, self.unit(), help());
                }
                self.recorder.register_gauge(&key, &METADATA).set(f64::from(value));
                self.gauges.insert(key);
            }
        }
    }

    /// Whether a series with that suffix comes for the first time; from now on it does not.
    fn is_new(&mut self, suffix: &'static str) -> bool {
        let described = &mut self.family.described;
        if described.contains(&Some(suffix)) {
            return false;
        }
        if let Some(free) = described.iter_mut().find(|one| one.is_none()) {
            *free = Some(suffix);
        }
        true
    }

    fn unit(&self) -> Option<Unit> {
        self.family.name.ends_with("_seconds").then_some(Unit::Seconds)
    }
}

impl Sink for Publication<'_> {
    fn family(&mut self, name: &'static str, kind: Kind, help: &'static str) {
        self.family = Family { name, kind, help, described: [None; 3] };
    }

    fn sample(&mut self, labels: &[Label<'_>], value: impl Into<Number>) {
        let kind = self.family.kind;
        self.put(kind.suffix(), owned(labels), kind, value.into());
    }

    fn histogram(
        &mut self,
        labels: &[Label<'_>],
        buckets: impl Iterator<Item = (f64, u64)>,
        count: u64,
        sum: f64,
    ) {
        for (bound, up_to) in buckets.chain([(f64::INFINITY, count)]) {
            let (mut labels, mut le) = (owned(labels), String::new());
            Number::Float(bound).write(&mut le);
            labels.push(metrics::Label::new("le", le));
            self.put("_bucket", labels, Kind::Counter, up_to.into());
        }
        self.put("_sum", owned(labels), Kind::Gauge, sum.into());
        self.put("_count", owned(labels), Kind::Counter, count.into());
    }
}

impl From<Number> for f64 {
    fn from(number: Number) -> Self {
        match number {
            Number::Whole(whole) => whole as f64,
            Number::Float(float) => float,
        }
    }
}

fn owned(labels: &[Label<'_>]) -> Vec<metrics::Label> {
    let labels = labels.iter();
    labels.map(|(name, value)| metrics::Label::new(*name, (*value).to_owned())).collect()
}

#[cfg(test)]
mod tests;
