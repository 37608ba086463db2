//! What a breaker can be told, and what is refused.

use std::sync::Arc;
use std::time::Duration;

use serde::{Serialize, Serializer};

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
/// assert_eq!(config.failure_threshold, 3);
/// assert_eq!(config.success_threshold, 2);
/// # Ok::<(), avail_core::ConfigError>(())
/// ```
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
#[non_exhaustive]
pub struct CircuitBreakerConfig {
    /// So many failures in a row open it. Default 5.
    pub failure_threshold: u32,
    /// So many successful probes close it again. Default 2.
    pub success_threshold: u32,
    /// How long it stays open before it lets a probe through. Default 60 s.
    #[serde(serialize_with = "seconds")]
    pub timeout: Duration,
    /// A streak of failures whose last is older than this is forgotten. Default 300 s.
    #[serde(serialize_with = "seconds")]
    pub reset_timeout: Duration,
    /// How many probes may be under way at once while it is half-open. Default 1.
    pub half_open_max_calls: u32,
    /// How long a probe may take before its slot is taken back and it counts as failed. Default:
    /// the larger of 60 s and `timeout`.
    #[serde(serialize_with = "optional_seconds")]
    pub probe_timeout: Option<Duration>,
    /// When a call that is given up by its caller counts as a failure. Default: after 1 s.
    pub cancel_failure_after: CancelFailure,
    /// Whether its being open makes the component unhealthy and counts as downtime. Default false.
    pub critical: bool,
    /// Whether it starts in [`Override::Shadow`](crate::Override::Shadow). Default false.
    pub shadow: bool,
}

/// When a call whose future is dropped before it ended counts as a failure.
///
/// A caller that gives up after `tokio::time::timeout` drops the future: a hung dependency is seen
/// by nothing else.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Default)]
#[non_exhaustive]
pub enum CancelFailure {
    /// After one second.
    #[default]
    Default,
    /// After this long.
    After(Duration),
    /// Never: giving up says nothing about the dependency.
    Never,
}

impl CancelFailure {
    pub(crate) fn threshold(self) -> Option<Duration> {
        match self {
            CancelFailure::Default => Some(Duration::from_secs(1)),
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
        match self.threshold() {
            Some(after) => serializer.serialize_f64(after.as_secs_f64()),
            None => serializer.serialize_str("never"),
        }
    }
}

fn seconds<S: Serializer>(duration: &Duration, serializer: S) -> Result<S::Ok, S::Error> {
    serializer.serialize_f64(duration.as_secs_f64())
}

fn optional_seconds<S: Serializer>(
    duration: &Option<Duration>,
    serializer: S,
) -> Result<S::Ok, S::Error> {
    duration.map(|d| d.as_secs_f64()).serialize(serializer)
}

impl Default for CircuitBreakerConfig {
    fn default() -> Self {
        CircuitBreakerConfig {
            failure_threshold: 5,
            success_threshold: 2,
            timeout: Duration::from_secs(60),
            reset_timeout: Duration::from_secs(300),
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
        CircuitBreakerConfigBuilder { config: CircuitBreakerConfig::default() }
    }

    /// How long a probe may take: what was set, or the larger of 60 s and `timeout`.
    pub fn probe_lease(&self) -> Duration {
        self.probe_timeout.unwrap_or_else(|| self.timeout.max(Duration::from_secs(60)))
    }

    /// Its fields are public: what was written into them past the builder is brought to where no
    /// breaker can be stuck by it.
    pub(crate) fn bounded(mut self) -> Self {
        self.failure_threshold = self.failure_threshold.max(1);
        self.success_threshold = self.success_threshold.clamp(1, PROBE_LIMIT);
        self.half_open_max_calls = self.half_open_max_calls.clamp(1, PROBE_LIMIT);
        self.probe_timeout = self.probe_timeout.filter(|timeout| !timeout.is_zero());
        self
    }

    pub(crate) fn validate(self) -> Result<Self, ConfigError> {
        at_least_one("failure_threshold", self.failure_threshold)?;
        at_least_one("success_threshold", self.success_threshold)?;
        at_least_one("half_open_max_calls", self.half_open_max_calls)?;
        at_most("success_threshold", self.success_threshold, PROBE_LIMIT)?;
        at_most("half_open_max_calls", self.half_open_max_calls, PROBE_LIMIT)?;
        above_zero("timeout", self.timeout)?;
        above_zero("reset_timeout", self.reset_timeout)?;
        above_zero("probe_timeout", self.probe_lease())?;
        Ok(self)
    }
}

fn at_least_one(key: &'static str, value: u32) -> Result<(), ConfigError> {
    if value == 0 { Err(ConfigError::Zero { key }) } else { Ok(()) }
}

fn at_most(key: &'static str, value: u32, max: u32) -> Result<(), ConfigError> {
    if value > max { Err(ConfigError::TooLarge { key, value, max }) } else { Ok(()) }
}

fn above_zero(key: &'static str, value: Duration) -> Result<(), ConfigError> {
    if value.is_zero() { Err(ConfigError::NoTime { key }) } else { Ok(()) }
}

/// Builds a [`CircuitBreakerConfig`]; each setter is named as its attribute key.
#[derive(Clone, Debug)]
#[must_use = "a builder does nothing until `build` is called"]
pub struct CircuitBreakerConfigBuilder {
    config: CircuitBreakerConfig,
}

impl CircuitBreakerConfigBuilder {
    /// So many failures in a row open it; at least 1. Default 5.
    pub fn failure_threshold(mut self, failures: u32) -> Self {
        self.config.failure_threshold = failures;
        self
    }

    /// So many successful probes close it again; 1 to 16,383. Default 2.
    pub fn success_threshold(mut self, successes: u32) -> Self {
        self.config.success_threshold = successes;
        self
    }

    /// How long it stays open before it lets a probe through; above zero. Default 60 s.
    pub fn timeout(mut self, timeout: Duration) -> Self {
        self.config.timeout = timeout;
        self
    }

    /// A streak of failures whose last is older than this is forgotten; above zero. Default 300 s.
    pub fn reset_timeout(mut self, timeout: Duration) -> Self {
        self.config.reset_timeout = timeout;
        self
    }

    /// How many probes may be under way at once; 1 to 16,383. Default 1.
    pub fn half_open_max_calls(mut self, calls: u32) -> Self {
        self.config.half_open_max_calls = calls;
        self
    }

    /// How long a probe may take before it counts as failed; above zero. Default: the larger of
    /// 60 s and `timeout`.
    pub fn probe_timeout(mut self, timeout: Duration) -> Self {
        self.config.probe_timeout = Some(timeout);
        self
    }

    /// When a call that its caller gives up counts as a failure: a duration, or
    /// [`CancelFailure::Never`]. Default 1 s.
    pub fn cancel_failure_after(mut self, after: impl Into<CancelFailure>) -> Self {
        self.config.cancel_failure_after = after.into();
        self
    }

    /// Whether its being open makes the component unhealthy and counts as downtime.
    pub fn critical(mut self, critical: bool) -> Self {
        self.config.critical = critical;
        self
    }

    /// Whether it starts in [`Override::Shadow`](crate::Override::Shadow): it watches, reports
    /// what it would have done, and rejects nothing.
    pub fn shadow(mut self, shadow: bool) -> Self {
        self.config.shadow = shadow;
        self
    }

    /// Checks what was set.
    ///
    /// # Errors
    ///
    /// [`ConfigError`] where a threshold is zero or too large, or a duration is zero.
    pub fn build(self) -> Result<CircuitBreakerConfig, ConfigError> {
        self.config.validate()
    }
}

/// What is wrong with a configuration.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum ConfigError {
    /// A threshold is zero.
    #[error("`{key}` must be at least 1")]
    #[non_exhaustive]
    Zero {
        /// The setting.
        key: &'static str,
    },
    /// A number is larger than can be counted.
    #[error("`{key}` is {value}, and may be at most {max}")]
    #[non_exhaustive]
    TooLarge {
        /// The setting.
        key: &'static str,
        /// What was given.
        value: u32,
        /// The largest that is taken.
        max: u32,
    },
    /// A duration is zero.
    #[error("`{key}` must be longer than zero")]
    #[non_exhaustive]
    NoTime {
        /// The setting.
        key: &'static str,
    },
    /// A breaker of that name exists, with other settings.
    #[error(
        "circuit breaker `{name}` exists with other settings ({existing}): \
         give it another name, or use `get_or_create`"
    )]
    #[non_exhaustive]
    Conflict {
        /// The breaker's name.
        name: Arc<str>,
        /// What it was made with, or where.
        existing: String,
    },
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_defaults_are_those_of_the_contract() {
        let config = CircuitBreakerConfig::builder().build().expect("defaults are valid");
        assert_eq!(config, CircuitBreakerConfig::default());
        assert_eq!((config.failure_threshold, config.success_threshold), (5, 2));
        assert_eq!(config.timeout, Duration::from_secs(60));
        assert_eq!(config.reset_timeout, Duration::from_secs(300));
        assert_eq!(config.half_open_max_calls, 1);
        assert_eq!(config.probe_lease(), Duration::from_secs(60));
    }

    #[test]
    fn each_bad_value_is_refused_by_name() {
        let base = CircuitBreakerConfig::builder;
        let cases = [
            (base().failure_threshold(0), "`failure_threshold` must be at least 1"),
            (base().success_threshold(0), "`success_threshold` must be at least 1"),
            (base().half_open_max_calls(0), "`half_open_max_calls` must be at least 1"),
            (
                base().success_threshold(16_384),
                "`success_threshold` is 16384, and may be at most 16383",
            ),
            (base().timeout(Duration::ZERO), "`timeout` must be longer than zero"),
            (base().reset_timeout(Duration::ZERO), "`reset_timeout` must be longer than zero"),
            (base().probe_timeout(Duration::ZERO), "`probe_timeout` must be longer than zero"),
        ];
        for (builder, message) in cases {
            let error = builder.build().expect_err(message);
            assert_eq!(error.to_string(), message);
        }
    }
}
