//! What a breaker can be told, and what is refused.

use std::sync::Arc;
use std::time::Duration;

use once_cell::sync::Lazy;
use serde::{Serialize, Serializer};

use super::builder::CircuitBreakerConfigBuilder;
use super::state::PROBE_LIMIT;

/// The settings of a [`CircuitBreaker`](crate::CircuitBreaker).
///
/// ```
/// use std::time::Duration;
/// use avail_core::CircuitBreakerConfig;
///
/// let config = CircuitBreakerConfig::builder()
///     .failure_threshold(3)
///     .timeout(Duration::from_secs(10))
///     .build()?;
/// assert_eq!(config.failure_threshold, Some(3));
/// assert_eq!(config.success_threshold, 2);
/// # Ok::<(), avail_core::ConfigError>(())
/// ```
#[derive(Clone, Debug, PartialEq, Serialize)]
#[non_exhaustive]
pub struct CircuitBreakerConfig {
    /// So many failures in a row open it; `None`: no such rule. Default 5, or `None` where a rate is
    /// given and this is not.
    pub failure_threshold: Option<u32>,
    /// So many successful probes close it again. Default 2.
    pub success_threshold: u32,
    /// How long it stays open before it lets a probe through. Default 60 s.
    #[serde(serialize_with = "seconds")]
    pub timeout: Duration,
    /// A streak of failures whose last is older than this is forgotten. Default 300 s.
    #[serde(serialize_with = "seconds")]
    pub reset_timeout: Duration,
    /// This share of the calls in the window failed: it opens. In (0, 1]. Default `None`.
    pub failure_rate: Option<f64>,
    /// This share of the calls in the window was slow: it opens. In (0, 1]. Default `None`.
    pub slow_call_rate: Option<f64>,
    /// A call that takes at least this long is slow. Default `None`. It is measured to the
    /// nanosecond below some 0.4 s, and to one percent above, where a clock does that costs less.
    #[serde(serialize_with = "optional_seconds")]
    pub slow_call: Option<Duration>,
    /// Whether calls that are under way and overdue count as slow already. Default false.
    pub slow_in_flight: bool,
    /// The calls that rates are taken over. Default the last 100.
    pub window: RateWindow,
    /// So many calls must be in the window before a rate says anything. Default 10.
    pub min_calls: u32,
    /// A call that takes longer is cut off, and is a failure. Default `None`.
    #[serde(serialize_with = "optional_seconds")]
    pub call_timeout: Option<Duration>,
    /// Each further opening without lasting health is longer by this factor; at least 1. Default 1.
    pub backoff: f64,
    /// No opening is longer than this, jitter aside. Default `None`.
    #[serde(serialize_with = "optional_seconds")]
    pub max_timeout: Option<Duration>,
    /// An opening is longer or shorter by up to this share, at random; in [0, 1). Default `None`:
    /// 0.1 where `backoff` is above 1, else 0.
    pub jitter: Option<f64>,
    /// What the random numbers of the jitter start from. Default `None`: at random.
    pub jitter_seed: Option<u64>,
    /// The health check that is run when the open time ends, before any call is risked. Default
    /// `None`.
    pub recovery_check: Option<Arc<str>>,
    /// How many probes may be under way at once while it is half-open. Default 1.
    pub half_open_max_calls: u32,
    /// How long a probe may take before its slot is taken back and it counts as failed. Default:
    /// the largest of 60 s, `timeout`, twice `call_timeout` and twice `slow_call`.
    #[serde(serialize_with = "optional_seconds")]
    pub probe_timeout: Option<Duration>,
    /// When a call that is given up by its caller counts as a failure. Default: after `slow_call`,
    /// else after 1 s.
    pub cancel_failure_after: CancelFailure,
    /// Whether its being open makes the component unhealthy and counts as downtime. Default false.
    pub critical: bool,
    /// Whether it starts in [`Override::Shadow`](crate::Override::Shadow). Default false.
    pub shadow: bool,
}

/// The calls that a rate is taken over: a number of them, or a time.
///
/// ```
/// use std::time::Duration;
/// use avail_core::RateWindow;
///
/// assert_eq!(RateWindow::from(100), RateWindow::Calls(100));
/// assert_eq!(RateWindow::from(Duration::from_secs(30)), RateWindow::Time(Duration::from_secs(30)));
/// ```
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
#[non_exhaustive]
pub enum RateWindow {
    /// The last so many calls; 1 to 1,000,000.
    Calls(u32),
    /// The calls of the last so long, counted in eleven slices of a tenth of it.
    #[serde(serialize_with = "seconds")]
    Time(Duration),
}

impl From<u32> for RateWindow {
    fn from(calls: u32) -> Self {
        RateWindow::Calls(calls)
    }
}

impl From<Duration> for RateWindow {
    fn from(length: Duration) -> Self {
        RateWindow::Time(length)
    }
}

/// When a call whose future is dropped before it ended counts as a failure.
///
/// A caller that gives up after `tokio::time::timeout` drops the future: a hung dependency is seen
/// by nothing else.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Default)]
#[non_exhaustive]
pub enum CancelFailure {
    /// After `slow_call` where that is set, else after one second.
    #[default]
    Default,
    /// After this long.
    After(Duration),
    /// Never: giving up says nothing about the dependency.
    Never,
}

impl CancelFailure {
    fn threshold(self, slow_call: Option<Duration>) -> Option<Duration> {
        match self {
            CancelFailure::Default => Some(slow_call.unwrap_or(Duration::from_secs(1))),
            CancelFailure::After(after) => Some(after),
            CancelFailure::Never => None,
        }
    }
}

impl From<Duration> for CancelFailure {
    fn from(after: Duration) -> Self {
        CancelFailure::After(after)
    }
}

impl Serialize for CancelFailure {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        match self {
            CancelFailure::Default => serializer.serialize_str("default"),
            CancelFailure::After(after) => seconds(after, serializer),
            CancelFailure::Never => serializer.serialize_str("never"),
        }
    }
}

pub(super) fn seconds<S: Serializer>(
    duration: &Duration,
    serializer: S,
) -> Result<S::Ok, S::Error> {
    serializer.serialize_f64(duration.as_secs_f64())
}

pub(super) fn optional_seconds<S: Serializer>(
    duration: &Option<Duration>,
    serializer: S,
) -> Result<S::Ok, S::Error> {
    duration.map(|d| d.as_secs_f64()).serialize(serializer)
}

impl Default for CircuitBreakerConfig {
    fn default() -> Self {
        CircuitBreakerConfig {
            failure_threshold: Some(5),
            success_threshold: 2,
            timeout: Duration::from_secs(60),
            reset_timeout: Duration::from_secs(300),
            failure_rate: None,
            slow_call_rate: None,
            slow_call: None,
            slow_in_flight: false,
            window: RateWindow::Calls(100),
            min_calls: 10,
            call_timeout: None,
            backoff: 1.0,
            max_timeout: None,
            jitter: None,
            jitter_seed: None,
            recovery_check: None,
            half_open_max_calls: 1,
            probe_timeout: None,
            cancel_failure_after: CancelFailure::Default,
            critical: false,
            shadow: false,
        }
    }
}

impl CircuitBreakerConfig {
    /// Starts from the defaults.
    pub fn builder() -> CircuitBreakerConfigBuilder {
        CircuitBreakerConfigBuilder { config: CircuitBreakerConfig::default(), streak: None }
    }

    /// In an `Arc`; breakers with the default settings share theirs.
    pub(crate) fn shared(self) -> Arc<Self> {
        static DEFAULT: Lazy<Arc<CircuitBreakerConfig>> = Lazy::new(Arc::default);
        if self == **DEFAULT { DEFAULT.clone() } else { Arc::new(self) }
    }

    /// How long a probe may take: what was set, or the largest of 60 s, `timeout`, twice
    /// `call_timeout` and twice `slow_call`.
    pub fn probe_lease(&self) -> Duration {
        let twice = |time: Option<Duration>| time.unwrap_or_default().saturating_mul(2);
        self.probe_timeout.unwrap_or_else(|| {
            let least = Duration::from_secs(60);
            least.max(self.timeout).max(twice(self.call_timeout)).max(twice(self.slow_call))
        })
    }

    /// After which time a call that is given up counts as a failure, if ever.
    pub(crate) fn overdue_after(&self) -> Option<Duration> {
        self.cancel_failure_after.threshold(self.slow_call)
    }

    /// Whether any rule looks at rates.
    pub(crate) fn has_rates(&self) -> bool {
        self.failure_rate.is_some() || self.slow_call_rate.is_some()
    }

    /// How long it stays open after `trips` openings without lasting health. `unit` is a random
    /// number in [0, 1).
    pub(crate) fn open_time(&self, trips: u32, unit: f64) -> Duration {
        let exponent = i32::try_from(trips).unwrap_or(i32::MAX);
        let grown = self.timeout.as_secs_f64() * self.backoff.powi(exponent);
        let most = self.max_timeout.unwrap_or(LONGEST).as_secs_f64();
        let jitter = self.jitter.unwrap_or(if self.backoff > 1.0 { 0.1 } else { 0.0 });
        let spread = 1.0 + jitter * (2.0 * unit - 1.0);
        Duration::try_from_secs_f64(grown.min(most) * spread).unwrap_or(LONGEST)
    }

    /// As it is, but for values that would wedge a breaker: they can be written past the builder.
    pub(crate) fn bounded(mut self) -> Self {
        self.failure_threshold = self.failure_threshold.map(|failures| failures.max(1));
        self.success_threshold = self.success_threshold.clamp(1, PROBE_LIMIT);
        self.half_open_max_calls = self.half_open_max_calls.clamp(1, PROBE_LIMIT);
        self.probe_timeout = self.probe_timeout.filter(|timeout| !timeout.is_zero());
        self.backoff = if self.backoff >= 1.0 { self.backoff } else { 1.0 };
        self.jitter = self.jitter.filter(|share| (0.0..1.0).contains(share));
        if let RateWindow::Calls(calls) = &mut self.window {
            *calls = (*calls).clamp(1, WINDOW_LIMIT);
        }
        self
    }
}

/// The largest number of calls in a window.
pub(super) const WINDOW_LIMIT: u32 = 1_000_000;

/// Longer than anything runs: what an open time that can't be expressed becomes.
const LONGEST: Duration = Duration::from_secs(10 * 365 * 24 * 3600);
