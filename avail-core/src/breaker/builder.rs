//! Putting a configuration together, and what is refused.

use std::sync::Arc;
use std::time::Duration;

use super::config::{CancelFailure, CircuitBreakerConfig, RateWindow, WINDOW_LIMIT};
use super::state::PROBE_LIMIT;

/// Builds a [`CircuitBreakerConfig`]; each setter is named as its attribute key.
#[derive(Clone, Debug)]
#[must_use = "a builder does nothing until `build` is called"]
pub struct CircuitBreakerConfigBuilder {
    pub(super) config: CircuitBreakerConfig,
    /// As given; whether the rule holds that nobody spoke of depends on the others.
    pub(super) streak: Option<u32>,
}

impl CircuitBreakerConfigBuilder {
    /// So many failures in a row open it; at least 1. Default 5, and no such rule where a rate is
    /// given and this is not.
    pub fn failure_threshold(mut self, failures: u32) -> Self {
        self.streak = Some(failures);
        self
    }

    /// This share of the calls in the window failed: it opens. In (0, 1].
    pub fn failure_rate(mut self, rate: f64) -> Self {
        self.config.failure_rate = Some(rate);
        self
    }

    /// This share of the calls in the window was slow: it opens. In (0, 1]; needs `slow_call`.
    pub fn slow_call_rate(mut self, rate: f64) -> Self {
        self.config.slow_call_rate = Some(rate);
        self
    }

    /// A call that takes at least this long is slow; above zero. It is measured to the nanosecond
    /// below some 0.4 s, and to one percent above, where a clock does that costs less.
    pub fn slow_call(mut self, after: Duration) -> Self {
        self.config.slow_call = Some(after);
        self
    }

    /// Whether calls that are under way and overdue count as slow already. It costs a lock a call.
    /// One that never ends, since its future was forgotten, counts for no longer than a probe may
    /// take ([`probe_timeout`](Self::probe_timeout)), or twice `slow_call` where that is longer.
    pub fn slow_in_flight(mut self, counts: bool) -> Self {
        self.config.slow_in_flight = counts;
        self
    }

    /// The calls that rates are taken over: a number of them, or a time. Default the last 100.
    pub fn window(mut self, window: impl Into<RateWindow>) -> Self {
        self.config.window = window.into();
        self
    }

    /// So many calls must be in the window before a rate says anything; at least 1. Default 10.
    pub fn min_calls(mut self, calls: u32) -> Self {
        self.config.min_calls = calls;
        self
    }

    /// A call that takes longer is cut off, and is a failure; above zero. It needs a tokio runtime
    /// with its time enabled, and holds for calls that are futures.
    pub fn call_timeout(mut self, timeout: Duration) -> Self {
        self.config.call_timeout = Some(timeout);
        self
    }

    /// Each further opening without lasting health is longer by this factor; at least 1. Default 1.
    ///
    /// Openings are forgotten one by one, each after a `timeout` of closed health.
    pub fn backoff(mut self, factor: f64) -> Self {
        self.config.backoff = factor;
        self
    }

    /// No opening is longer than this, jitter aside; at least `timeout`.
    pub fn max_timeout(mut self, timeout: Duration) -> Self {
        self.config.max_timeout = Some(timeout);
        self
    }

    /// An opening is longer or shorter by up to this share, at random; in [0, 1). Default 0.1 where
    /// `backoff` is above 1, else 0.
    pub fn jitter(mut self, share: f64) -> Self {
        self.config.jitter = Some(share);
        self
    }

    /// What the random numbers of the jitter start from, for a run that can be repeated.
    pub fn jitter_seed(mut self, seed: u64) -> Self {
        self.config.jitter_seed = Some(seed);
        self
    }

    /// The name of the health check that the monitor runs when the open time ends, before any call
    /// is risked. Where no monitor runs it, calls probe as usual.
    pub fn recovery_check(mut self, name: impl Into<Arc<str>>) -> Self {
        self.config.recovery_check = Some(name.into());
        self
    }

    /// So many successful probes close it again; 1 to 8,191. Default 2.
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

    /// How many probes may be under way at once; 1 to 8,191. Default 1.
    pub fn half_open_max_calls(mut self, calls: u32) -> Self {
        self.config.half_open_max_calls = calls;
        self
    }

    /// How long a probe may take before it counts as failed; above zero. Default: the largest
    /// of 60 s, `timeout`, twice `call_timeout` and twice `slow_call`.
    pub fn probe_timeout(mut self, timeout: Duration) -> Self {
        self.config.probe_timeout = Some(timeout);
        self
    }

    /// When a call that its caller gives up counts as a failure: a duration, or
    /// [`CancelFailure::Never`]. Default `slow_call`, else 1 s.
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
    /// [`ConfigError`] where a value is out of the range that its setter names, or two contradict
    /// each other.
    pub fn build(self) -> Result<CircuitBreakerConfig, ConfigError> {
        self.unchecked().validate()
    }

    /// What was set, once it is known whether the rule holds that nobody spoke of.
    pub(crate) fn unchecked(mut self) -> CircuitBreakerConfig {
        let default = if self.config.has_rates() { None } else { self.config.failure_threshold };
        self.config.failure_threshold = self.streak.or(default);
        self.config
    }
}

impl CircuitBreakerConfig {
    pub(crate) fn validate(self) -> Result<Self, ConfigError> {
        at_least_one("failure_threshold", self.failure_threshold.unwrap_or(1))?;
        at_least_one("success_threshold", self.success_threshold)?;
        at_least_one("half_open_max_calls", self.half_open_max_calls)?;
        at_least_one("min_calls", self.min_calls)?;
        at_most("success_threshold", self.success_threshold, PROBE_LIMIT)?;
        at_most("half_open_max_calls", self.half_open_max_calls, PROBE_LIMIT)?;
        above_zero("timeout", Some(self.timeout))?;
        above_zero("reset_timeout", Some(self.reset_timeout))?;
        above_zero("probe_timeout", self.probe_timeout)?;
        above_zero("slow_call", self.slow_call)?;
        above_zero("call_timeout", self.call_timeout)?;
        self.validate_rates()?;
        self.validate_backoff()?;
        Ok(self)
    }

    fn validate_rates(&self) -> Result<(), ConfigError> {
        let share = "above 0 and at most 1";
        in_range("failure_rate", self.failure_rate, share, |rate| rate > 0.0 && rate <= 1.0)?;
        in_range("slow_call_rate", self.slow_call_rate, share, |rate| rate > 0.0 && rate <= 1.0)?;
        if self.slow_call_rate.is_some() && self.slow_call.is_none() {
            let problem = "`slow_call_rate` needs `slow_call`: from which time on is a call slow?";
            return Err(ConfigError::Contradiction { problem });
        }
        if self.slow_in_flight && self.slow_call_rate.is_none() {
            let problem = "`slow_in_flight` needs `slow_call_rate`: nothing else looks at it";
            return Err(ConfigError::Contradiction { problem });
        }
        match self.window {
            RateWindow::Time(length) => above_zero("window", Some(length)),
            RateWindow::Calls(calls) => {
                at_least_one("window", calls)?;
                at_most("window", calls, WINDOW_LIMIT)?;
                if self.has_rates() { at_most("min_calls", self.min_calls, calls) } else { Ok(()) }
            }
        }
    }

    fn validate_backoff(&self) -> Result<(), ConfigError> {
        let finite = |factor: f64| factor >= 1.0 && factor.is_finite();
        in_range("backoff", Some(self.backoff), "at least 1", finite)?;
        let jitter = "at least 0 and below 1";
        in_range("jitter", self.jitter, jitter, |share| (0.0..1.0).contains(&share))?;
        if self.max_timeout.is_some_and(|most| most < self.timeout) {
            let problem = "`max_timeout` is shorter than `timeout`, and must be at least as long";
            return Err(ConfigError::Contradiction { problem });
        }
        Ok(())
    }
}

fn at_least_one(key: &'static str, value: u32) -> Result<(), ConfigError> {
    if value == 0 { Err(ConfigError::Zero { key }) } else { Ok(()) }
}

fn at_most(key: &'static str, value: u32, max: u32) -> Result<(), ConfigError> {
    if value > max { Err(ConfigError::TooLarge { key, value, max }) } else { Ok(()) }
}

fn above_zero(key: &'static str, value: Option<Duration>) -> Result<(), ConfigError> {
    if value.is_some_and(|time| time.is_zero()) { Err(ConfigError::NoTime { key }) } else { Ok(()) }
}

fn in_range(
    key: &'static str,
    value: Option<f64>,
    range: &'static str,
    allowed: impl Fn(f64) -> bool,
) -> Result<(), ConfigError> {
    match value {
        Some(value) if !allowed(value) => Err(ConfigError::Range { key, value, range }),
        _ => Ok(()),
    }
}

/// What is wrong with a configuration.
#[derive(Clone, Debug, PartialEq, thiserror::Error)]
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
    /// A number is out of its range.
    #[error("`{key}` is {value}, and must be {range}")]
    #[non_exhaustive]
    Range {
        /// The setting.
        key: &'static str,
        /// What was given.
        value: f64,
        /// What is allowed.
        range: &'static str,
    },
    /// Settings contradict each other, or one needs another.
    #[error("{problem}")]
    #[non_exhaustive]
    Contradiction {
        /// What is wrong, and what to do.
        problem: &'static str,
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

    const SECOND: Duration = Duration::from_secs(1);

    #[test]
    fn the_defaults_are_those_of_the_contract() {
        let config = CircuitBreakerConfig::builder().build().expect("defaults are valid");
        assert_eq!(config, CircuitBreakerConfig::default());
        assert_eq!((config.failure_threshold, config.success_threshold), (Some(5), 2));
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
                base().success_threshold(8_192),
                "`success_threshold` is 8192, and may be at most 8191",
            ),
            (base().failure_rate(0.0), "`failure_rate` is 0, and must be above 0 and at most 1"),
            (
                base().failure_rate(f64::NAN),
                "`failure_rate` is NaN, and must be above 0 and at most 1",
            ),
            (
                base().slow_call(SECOND).slow_call_rate(1.5),
                "`slow_call_rate` is 1.5, and must be above 0 and at most 1",
            ),
            (
                base().slow_call_rate(0.5),
                "`slow_call_rate` needs `slow_call`: from which time on is a call slow?",
            ),
            (
                base().slow_in_flight(true),
                "`slow_in_flight` needs `slow_call_rate`: nothing else looks at it",
            ),
            (base().window(0), "`window` must be at least 1"),
            (base().window(Duration::ZERO), "`window` must be longer than zero"),
            (base().min_calls(0), "`min_calls` must be at least 1"),
            (base().failure_rate(0.5).window(5), "`min_calls` is 10, and may be at most 5"),
            (base().backoff(0.5), "`backoff` is 0.5, and must be at least 1"),
            (base().jitter(1.0), "`jitter` is 1, and must be at least 0 and below 1"),
            (
                base().max_timeout(SECOND),
                "`max_timeout` is shorter than `timeout`, and must be at least as long",
            ),
            (base().slow_call(Duration::ZERO), "`slow_call` must be longer than zero"),
            (base().call_timeout(Duration::ZERO), "`call_timeout` must be longer than zero"),
            (base().timeout(Duration::ZERO), "`timeout` must be longer than zero"),
            (base().reset_timeout(Duration::ZERO), "`reset_timeout` must be longer than zero"),
            (base().probe_timeout(Duration::ZERO), "`probe_timeout` must be longer than zero"),
        ];
        for (builder, message) in cases {
            let error = builder.build().expect_err(message);
            assert_eq!(error.to_string(), message);
        }
    }

    #[test]
    fn a_rate_without_a_threshold_turns_the_streak_rule_off_and_both_have_both() {
        let rate = CircuitBreakerConfig::builder().failure_rate(0.5);
        assert_eq!(rate.clone().build().map(|config| config.failure_threshold), Ok(None));
        let both = rate.failure_threshold(5).build();
        assert_eq!(both.map(|config| config.failure_threshold), Ok(Some(5)));
    }

    #[test]
    fn the_open_time_grows_up_to_its_limit_and_is_spread() {
        let config = CircuitBreakerConfig::builder()
            .timeout(SECOND)
            .backoff(2.0)
            .max_timeout(Duration::from_secs(10))
            .build()
            .expect("valid");
        let seconds = |trips, unit| config.open_time(trips, unit).as_secs_f64();
        let grown: Vec<_> = (0..6).map(|trips| seconds(trips, 0.5)).collect();
        assert_eq!(grown, [1.0, 2.0, 4.0, 8.0, 10.0, 10.0]);
        assert_eq!((seconds(0, 0.0), seconds(u32::MAX, 0.0)), (0.9, 9.0));
        let plain = CircuitBreakerConfig::default();
        assert_eq!(
            plain.open_time(1_000, 0.0),
            plain.timeout,
            "without backoff there is no jitter"
        );
    }

    #[test]
    fn the_lease_of_a_probe_covers_what_a_call_may_take() {
        let base = CircuitBreakerConfig::builder;
        let lease = |builder: CircuitBreakerConfigBuilder| {
            builder.build().map(|config| config.probe_lease().as_secs())
        };
        assert_eq!(lease(base().call_timeout(Duration::from_secs(50))), Ok(100));
        assert_eq!(lease(base().slow_call(Duration::from_secs(40))), Ok(80));
        assert_eq!(lease(base().timeout(Duration::from_secs(70))), Ok(70));
        assert_eq!(lease(base().probe_timeout(SECOND)), Ok(1));
    }
}
