//! Which settings can be given from outside, and what each takes: one table for the file, the
//! environment, the errors, the suggestions and the log lines.

use std::fmt;
use std::sync::Arc;
use std::time::Duration;

use super::value::Raw;
use crate::breaker::{CancelFailure, CircuitBreakerConfig, RateWindow};
use crate::health::dependencies::nearest;
use crate::health::{HealthCheck, Probe};

/// What sets one key of a configuration to the value that was given for it.
pub(crate) type Set<C> = Arc<dyn Fn(&mut C) + Send + Sync>;

/// A setting that can be given from outside.
pub(crate) struct Key<C> {
    pub(crate) name: &'static str,
    takes: Takes<C>,
    show: fn(&C) -> String,
}

/// What a setting takes, and where it goes.
enum Takes<C> {
    Count(fn(&mut C, u32)),
    CountOrOff(fn(&mut C, Option<u32>)),
    Duration(fn(&mut C, Duration)),
    DurationOrOff(fn(&mut C, Option<Duration>)),
    Delay(fn(&mut C, Duration)),
    ShareOrOff(fn(&mut C, Option<f64>)),
    Spread(fn(&mut C, f64)),
    Factor(fn(&mut C, f64)),
    PercentageOrOff(fn(&mut C, Option<f64>)),
    Window(fn(&mut C, RateWindow)),
    CancelFailure(fn(&mut C, CancelFailure)),
    Flag(fn(&mut C, bool)),
    Probe(fn(&mut C, Probe)),
    NameOrOff(fn(&mut C, Option<Arc<str>>)),
    Names(fn(&mut C, Vec<Arc<str>>)),
}

/// What takes the value away that the code declares.
const OFF: &str = "off";

impl<C: 'static> Takes<C> {
    fn read(&self, raw: &Raw) -> Option<Set<C>> {
        match *self {
            Takes::Count(set) => to(set, raw.count()),
            Takes::CountOrOff(set) => to(set, or_off(raw, Raw::count)),
            Takes::Duration(set) => to(set, raw.duration()),
            Takes::DurationOrOff(set) => to(set, or_off(raw, Raw::duration)),
            Takes::Delay(set) => to(set, raw.delay()),
            Takes::ShareOrOff(set) => to(set, or_off(raw, Raw::share)),
            Takes::Spread(set) => to(set, raw.spread()),
            Takes::Factor(set) => to(set, raw.factor()),
            Takes::PercentageOrOff(set) => to(set, or_off(raw, Raw::percentage)),
            Takes::Window(set) => to(set, raw.window()),
            Takes::CancelFailure(set) => to(set, raw.cancel_failure()),
            Takes::Flag(set) => to(set, raw.flag()),
            Takes::Probe(set) => to(set, raw.probe()),
            Takes::NameOrOff(set) => to(set, or_off(raw, Raw::name)),
            Takes::Names(set) => to(set, raw.names()),
        }
    }

    fn expected(&self) -> &'static str {
        match self {
            Takes::Count(_) => "an integer from 1 to 4294967295",
            Takes::CountOrOff(_) => "an integer from 1 to 4294967295, or `off`",
            Takes::Duration(_) => {
                "a duration longer than zero, such as `60s`, `1m 30s` or `500ms`, or a number of \
                 seconds"
            }
            Takes::DurationOrOff(_) => {
                "a duration longer than zero, such as `60s`, `1m 30s` or `500ms`, a number of \
                 seconds, or `off`"
            }
            Takes::Delay(_) => {
                "a duration, such as `60s`, `1m 30s` or `500ms`, or a number of seconds"
            }
            Takes::ShareOrOff(_) => {
                "a number above 0 and at most 1, such as `0.5`, or `50%`, or `off`"
            }
            Takes::Spread(_) => "a number from 0 to below 1, such as `0.1`, or `10%`",
            Takes::Factor(_) => "a number of at least 1",
            Takes::PercentageOrOff(_) => {
                "a percentage above 0 and below 100, such as `99.95` or `99.95%`, or `off`"
            }
            Takes::Window(_) => "a number of calls, such as `100`, or a duration, such as `30s`",
            Takes::CancelFailure(_) => {
                "a duration, such as `60s`, `1m 30s` or `500ms`, a number of seconds, or `never`"
            }
            Takes::Flag(_) => "`true` or `false`",
            Takes::Probe(_) => "one of `readiness`, `liveness`, `startup`, `none`",
            Takes::NameOrOff(_) => "the name of a health check, or `off`",
            Takes::Names(_) => {
                "a list of names, such as `[\"postgres\"]` in a file and `postgres,redis` in the \
                 environment"
            }
        }
    }
}

fn to<C: 'static, V>(set: fn(&mut C, V), value: Option<V>) -> Option<Set<C>>
where
    V: Clone + Send + Sync + 'static,
{
    let value = value?;
    Some(Arc::new(move |config| set(config, value.clone())))
}

fn or_off<V>(raw: &Raw, read: fn(&Raw) -> Option<V>) -> Option<Option<V>> {
    if raw.is_word(OFF) { Some(None) } else { read(raw).map(Some) }
}

impl<C: 'static> Key<C> {
    /// What sets it to that value.
    ///
    /// # Errors
    ///
    /// What is expected instead.
    pub(crate) fn read(&self, raw: &Raw) -> Result<Set<C>, &'static str> {
        self.takes.read(raw).ok_or_else(|| self.takes.expected())
    }

    /// What it is in that configuration.
    pub(crate) fn show(&self, config: &C) -> String {
        (self.show)(config)
    }
}

/// What can be configured from outside: circuit breakers and health checks.
pub(crate) trait Configured: Clone + 'static {
    const NOUN: &str;
    /// Its table in the file.
    const TABLE: &str;
    /// What the variables of those that are meant by name begin with.
    const VARIABLES: &str;
    /// What the variables for all of them begin with.
    const DEFAULTS: &str;
    const KEYS: &[Key<Self>];
    /// Keys of the attribute that are part of the code.
    const FIXED: &[&str];

    /// The setting of that name.
    ///
    /// # Errors
    ///
    /// What is wrong with the name, and what was probably meant.
    fn key(name: &str) -> Result<&'static Key<Self>, String> {
        if let Some(key) = Self::KEYS.iter().find(|key| key.name == name) {
            return Ok(key);
        }
        if Self::FIXED.contains(&name) {
            return Err(format!("`{name}` is part of the code: it can't be given from outside"));
        }
        let mut names: Vec<_> = Self::KEYS.iter().map(|key| key.name).collect();
        names.sort_unstable();
        Err(match nearest(name, &names) {
            Some(nearest) => {
                format!("a {} has no key `{name}`: did you mean `{nearest}`?", Self::NOUN)
            }
            None => {
                format!("a {} has no key `{name}`: it has `{}`", Self::NOUN, names.join("`, `"))
            }
        })
    }
}

/// Each key by what it takes; it is named as the field that it sets.
macro_rules! keys {
    ($($takes:ident $field:ident,)*) => {
        &[$(Key {
            name: stringify!($field),
            takes: Takes::$takes(|config, value| config.$field = value.into()),
            show: |config| config.$field.shown(),
        }),*]
    };
}

impl Configured for CircuitBreakerConfig {
    const NOUN: &str = "circuit breaker";
    const TABLE: &str = "breaker";
    const VARIABLES: &str = "AVAIL_BREAKER_";
    const DEFAULTS: &str = "AVAIL_DEFAULTS_BREAKER__";
    const KEYS: &[Key<Self>] = keys![
        CountOrOff failure_threshold,
        Count success_threshold,
        Duration timeout,
        Duration reset_timeout,
        ShareOrOff failure_rate,
        ShareOrOff slow_call_rate,
        DurationOrOff slow_call,
        Flag slow_in_flight,
        Window window,
        Count min_calls,
        DurationOrOff call_timeout,
        Duration probe_timeout,
        CancelFailure cancel_failure_after,
        DurationOrOff max_timeout,
        Count half_open_max_calls,
        Factor backoff,
        Spread jitter,
        NameOrOff recovery_check,
        Flag critical,
        Flag shadow,
    ];
    const FIXED: &[&str] =
        &["name", "key", "max_keys", "failure_if", "ignore", "fallback", "crate"];
}

impl Configured for HealthCheck {
    const NOUN: &str = "health check";
    const TABLE: &str = "check";
    const VARIABLES: &str = "AVAIL_CHECK_";
    const DEFAULTS: &str = "AVAIL_DEFAULTS_CHECK__";
    const KEYS: &[Key<Self>] = keys![
        Flag critical,
        Duration interval,
        Duration timeout,
        Duration degraded_after,
        Duration retry_interval,
        Delay initial_delay,
        Count failure_threshold,
        Count success_threshold,
        Names depends_on,
        Probe probe,
        PercentageOrOff slo,
        Duration slo_window,
        Names tags,
    ];
    const FIXED: &[&str] = &["name", "crate"];
}

/// A setting in a log line.
trait Shown {
    fn shown(&self) -> String;
}

impl Shown for u32 {
    fn shown(&self) -> String {
        self.to_string()
    }
}

impl Shown for f64 {
    fn shown(&self) -> String {
        self.to_string()
    }
}

impl Shown for bool {
    fn shown(&self) -> String {
        self.to_string()
    }
}

impl Shown for Duration {
    fn shown(&self) -> String {
        humantime::format_duration(*self).to_string()
    }
}

impl Shown for Arc<str> {
    fn shown(&self) -> String {
        format!("`{self}`")
    }
}

impl Shown for Arc<[Arc<str>]> {
    fn shown(&self) -> String {
        format!("[{}]", self.join(", "))
    }
}

impl Shown for Probe {
    fn shown(&self) -> String {
        format!("{self:?}").to_lowercase()
    }
}

impl Shown for RateWindow {
    fn shown(&self) -> String {
        match self {
            RateWindow::Calls(calls) => format!("{calls} calls"),
            RateWindow::Time(length) => length.shown(),
        }
    }
}

impl Shown for CancelFailure {
    fn shown(&self) -> String {
        match self {
            CancelFailure::Default => "unset".into(),
            CancelFailure::After(after) => after.shown(),
            CancelFailure::Never => "never".into(),
        }
    }
}

impl<V: Shown> Shown for Option<V> {
    fn shown(&self) -> String {
        self.as_ref().map_or_else(|| "unset".into(), V::shown)
    }
}

impl<C> fmt::Debug for Key<C> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.name)
    }
}
