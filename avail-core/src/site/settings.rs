//! What `#[circuit_breaker(…)]` was told.

use std::time::Duration;

use crate::breaker::{CancelFailure, CircuitBreakerConfig, RateWindow};

macro_rules! settings {
    ($($key:ident: $value:ty,)*) => {
        /// What `#[circuit_breaker(…)]` was told; each setter is named as its key, and a key that
        /// was not given is `None`.
        #[derive(Clone, Copy, Debug, Default, PartialEq)]
        pub struct BreakerSettings {
            $(pub(crate) $key: Option<$value>,)*
        }

        #[allow(missing_docs)] // the setters are documented at `CircuitBreakerConfigBuilder`
        impl BreakerSettings {
            pub const fn new() -> Self {
                BreakerSettings { $($key: None,)* }
            }

            $(pub const fn $key(mut self, value: $value) -> Self {
                self.$key = Some(value);
                self
            })*

            /// The attribute has checked each value at expansion.
            pub(crate) fn config(&self) -> CircuitBreakerConfig {
                let mut builder = CircuitBreakerConfig::builder();
                $(if let Some(value) = self.$key {
                    builder = builder.$key(value);
                })*
                builder.unchecked()
            }
        }
    };
}

settings! {
    failure_threshold: u32,
    success_threshold: u32,
    timeout: Duration,
    reset_timeout: Duration,
    failure_rate: f64,
    slow_call_rate: f64,
    slow_call: Duration,
    slow_in_flight: bool,
    window: RateWindow,
    min_calls: u32,
    call_timeout: Duration,
    probe_timeout: Duration,
    cancel_failure_after: CancelFailure,
    half_open_max_calls: u32,
    backoff: f64,
    max_timeout: Duration,
    jitter: f64,
    recovery_check: &'static str,
    critical: bool,
    shadow: bool,
}

#[cfg(all(test, not(avail_loom)))]
mod tests {
    use super::*;

    #[test]
    fn what_was_not_given_is_as_the_builder_has_it() {
        assert_eq!(BreakerSettings::new().config(), CircuitBreakerConfig::default());
    }

    #[test]
    fn a_rate_without_a_threshold_turns_the_streak_rule_off_as_in_the_builder() {
        let rate = BreakerSettings::new().failure_rate(0.5);
        let built = CircuitBreakerConfig::builder().failure_rate(0.5).build().expect("valid");
        assert_eq!(rate.config(), built);
        assert_eq!(rate.failure_threshold(3).config().failure_threshold, Some(3));
    }
}
