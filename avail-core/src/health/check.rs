//! A check as declared: what to run, how often, and what its runs mean.

use std::fmt;
use std::future::Future;
use std::pin::Pin;
use std::sync::Arc;
use std::time::Duration;

use serde::{Deserialize, Serialize};

use super::outcome::{Health, IntoHealth};
use crate::availability::slo::{DEFAULT_WINDOW, Objective};
use crate::site::{self, CheckSite, Origin};

pub(crate) type CheckFuture = Pin<Box<dyn Future<Output = Health> + Send>>;

/// How a check is run.
#[derive(Clone)]
pub(crate) enum CheckFn {
    Async(Arc<dyn Fn() -> CheckFuture + Send + Sync>),
    /// On the blocking pool.
    Blocking(Arc<dyn Fn() -> Health + Send + Sync>),
}

/// Which endpoint reads a check.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Probe {
    /// Readiness, if the check is critical: the default.
    #[default]
    Readiness,
    /// Liveness, critical or not: only for facts local to the process, which a restart cures.
    Liveness,
    /// Only startup.
    Startup,
    /// None of them: it is shown and counted, and takes nothing out of service.
    None,
}

/// When a check runs, and when its runs mean up or down.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Schedule {
    pub(crate) interval: Duration,
    pub(crate) timeout: Duration,
    pub(crate) degraded_after: Duration,
    pub(crate) retry_interval: Duration,
    pub(crate) initial_delay: Duration,
    pub(crate) failure_threshold: u32,
    pub(crate) success_threshold: u32,
}

impl Schedule {
    /// How long after a run was due the next one is; sooner where it left its component undecided.
    pub(crate) fn pause(&self, undecided: bool) -> Duration {
        if undecided { self.retry_interval } else { self.interval }
    }

    /// No completed run for this long: nobody knows any more.
    pub(crate) fn stale_after(&self) -> Duration {
        let missed = self.interval.saturating_mul(3);
        missed.max(self.interval.saturating_add(self.timeout.saturating_mul(2)))
    }
}

/// A health check registered by hand: for one that needs an instance.
///
/// ```
/// use std::time::Duration;
/// use avail_core::HealthCheck;
///
/// # struct Pool; impl Pool { async fn ping(&self) -> Result<(), String> { Ok(()) } }
/// # let pool = std::sync::Arc::new(Pool);
/// let check = HealthCheck::new("db", move || {
///     let pool = pool.clone();
///     async move { pool.ping().await }
/// })
/// .interval(Duration::from_secs(10))
/// .critical(false);
/// ```
#[derive(Clone)]
#[must_use = "a check does nothing until it is registered with a monitor"]
pub struct HealthCheck {
    pub(crate) name: Arc<str>,
    pub(crate) run: CheckFn,
    pub(crate) origin: Option<Origin>,
    pub(crate) critical: bool,
    pub(crate) probe: Probe,
    pub(crate) depends_on: Arc<[Arc<str>]>,
    pub(crate) tags: Arc<[Arc<str>]>,
    pub(crate) interval: Option<Duration>,
    pub(crate) timeout: Option<Duration>,
    pub(crate) degraded_after: Option<Duration>,
    pub(crate) retry_interval: Option<Duration>,
    pub(crate) initial_delay: Duration,
    pub(crate) failure_threshold: u32,
    pub(crate) success_threshold: u32,
    pub(crate) slo: Option<f64>,
    pub(crate) slo_window: Option<Duration>,
}

impl HealthCheck {
    /// A check that runs an async function.
    pub fn new<F, Fut>(name: impl Into<Arc<str>>, check: F) -> Self
    where
        F: Fn() -> Fut + Send + Sync + 'static,
        Fut: Future + Send + 'static,
        Fut::Output: IntoHealth,
    {
        let run = move || -> CheckFuture {
            let future = check();
            Box::pin(async move { future.await.into_health() })
        };
        Self::of(name.into(), CheckFn::Async(Arc::new(run)))
    }

    /// A check that runs a function which may block, on tokio's blocking pool.
    pub fn blocking<F, R>(name: impl Into<Arc<str>>, check: F) -> Self
    where
        F: Fn() -> R + Send + Sync + 'static,
        R: IntoHealth,
    {
        Self::of(name.into(), CheckFn::Blocking(Arc::new(move || check().into_health())))
    }

    pub(crate) fn of(name: Arc<str>, run: CheckFn) -> Self {
        HealthCheck {
            name,
            run,
            origin: None,
            critical: true,
            probe: Probe::default(),
            depends_on: Arc::default(),
            tags: Arc::default(),
            interval: None,
            timeout: None,
            degraded_after: None,
            retry_interval: None,
            initial_delay: Duration::ZERO,
            failure_threshold: 1,
            success_threshold: 1,
            slo: None,
            slo_window: None,
        }
    }

    /// The check of an attribute.
    pub(crate) fn of_site(name: Arc<str>, site: &'static CheckSite) -> Self {
        let run = match site.run {
            site::CheckFn::Async(run) => CheckFn::Async(Arc::new(run)),
            site::CheckFn::Blocking(run) => CheckFn::Blocking(Arc::new(run)),
        };
        let settings = site.settings;
        HealthCheck {
            origin: Some(site.origin),
            critical: settings.critical,
            probe: settings.probe,
            depends_on: names(settings.depends_on.iter().copied()),
            tags: names(settings.tags.iter().copied()),
            interval: settings.interval,
            timeout: settings.timeout,
            degraded_after: settings.degraded_after,
            retry_interval: settings.retry_interval,
            initial_delay: settings.initial_delay.unwrap_or_default(),
            failure_threshold: settings.failure_threshold.unwrap_or(1),
            success_threshold: settings.success_threshold.unwrap_or(1),
            slo: settings.slo,
            slo_window: settings.slo_window,
            ..Self::of(name, run)
        }
    }

    /// How often it runs. Default: the monitor's `check_interval`, 30 s.
    pub fn interval(mut self, interval: Duration) -> Self {
        self.interval = Some(interval);
        self
    }

    /// How long a run may take; shorter than the interval. Default: the smaller of 5 s and half the
    /// interval.
    pub fn timeout(mut self, timeout: Duration) -> Self {
        self.timeout = Some(timeout);
        self
    }

    /// A run that takes longer than this is degraded. Default 1 s.
    pub fn degraded_after(mut self, latency: Duration) -> Self {
        self.degraded_after = Some(latency);
        self
    }

    /// How soon it runs again while it is failing but not yet down; at most the interval. Default
    /// 2 s.
    pub fn retry_interval(mut self, interval: Duration) -> Self {
        self.retry_interval = Some(interval);
        self
    }

    /// How long the first run waits after the start. Default 0.
    pub fn initial_delay(mut self, delay: Duration) -> Self {
        self.initial_delay = delay;
        self
    }

    /// So many failures in a row mean down; at least 1. Default 1.
    pub fn failure_threshold(mut self, failures: u32) -> Self {
        self.failure_threshold = failures;
        self
    }

    /// So many successes in a row mean up again; at least 1. Default 1.
    pub fn success_threshold(mut self, successes: u32) -> Self {
        self.success_threshold = successes;
        self
    }

    /// The availability that its component is to reach, in percent: above 0 and below 100. Default:
    /// the monitor's [`target`](crate::AvailabilityMonitorBuilder::target).
    pub fn slo(mut self, percent: f64) -> Self {
        self.slo = Some(percent);
        self
    }

    /// Over how long its component is to reach that. Default 30 days.
    pub fn slo_window(mut self, window: Duration) -> Self {
        self.slo_window = Some(window);
        self
    }

    /// Whether it decides the overall status and the system's availability. Default true.
    pub fn critical(mut self, critical: bool) -> Self {
        self.critical = critical;
        self
    }

    /// Which endpoint reads it. Default: readiness.
    pub fn probe(mut self, probe: Probe) -> Self {
        self.probe = probe;
        self
    }

    /// The components that it can't work without, by name: checks, circuit breakers, or others that
    /// the monitor knows. While one of them is down, an incident of this one is its child
    /// ([`Incident::parent`](crate::Incident::parent)): one cause is told from what follows from it.
    /// Nothing is hidden: its status, its timeline and its recovery are its own. Default: none.
    ///
    /// ```
    /// use avail_core::HealthCheck;
    ///
    /// let check = HealthCheck::new("orders", || async {}).depends_on(["postgres", "redis"]);
    /// # let _ = check;
    /// ```
    pub fn depends_on<N: Into<Arc<str>>>(
        mut self,
        components: impl IntoIterator<Item = N>,
    ) -> Self {
        self.depends_on = names(components);
        self
    }

    /// Words to group components by, shown beside its status. Default: none.
    pub fn tags<N: Into<Arc<str>>>(mut self, tags: impl IntoIterator<Item = N>) -> Self {
        self.tags = names(tags);
        self
    }

    /// The name of its component.
    pub fn name(&self) -> &str {
        &self.name
    }

    /// What it declares, the rest by default; `None` where it declares nothing.
    pub(crate) fn objective(&self, target: f64) -> Option<Objective> {
        let declared = self.slo.is_some() || self.slo_window.is_some();
        declared.then(|| Objective {
            percent: self.slo.unwrap_or(target),
            window: self.slo_window.unwrap_or(DEFAULT_WINDOW),
            declared,
        })
    }

    /// Fills in the defaults and refuses what can't work.
    pub(crate) fn schedule(&self, default_interval: Duration) -> Result<Schedule, CheckError> {
        let interval = self.interval.unwrap_or(default_interval);
        let timeout = self.timeout.unwrap_or_else(|| (interval / 2).min(Duration::from_secs(5)));
        let retry = self.retry_interval.unwrap_or(Duration::from_secs(2)).min(interval);
        let schedule = Schedule {
            interval,
            timeout,
            degraded_after: self.degraded_after.unwrap_or(Duration::from_secs(1)),
            retry_interval: retry,
            initial_delay: self.initial_delay,
            failure_threshold: self.failure_threshold,
            success_threshold: self.success_threshold,
        };
        match self.problem(&schedule) {
            Some(problem) => Err(CheckError { check: self.name.clone(), problem }),
            None => Ok(schedule),
        }
    }

    fn problem(&self, schedule: &Schedule) -> Option<String> {
        if self.name.is_empty() {
            return Some("its name is empty".into());
        }
        if RESERVED.contains(&&*self.name) {
            return Some(format!("`{}` is the name of a built-in component", self.name));
        }
        let durations = [
            ("interval", schedule.interval),
            ("timeout", schedule.timeout),
            ("retry_interval", schedule.retry_interval),
            ("slo_window", self.slo_window.unwrap_or(DEFAULT_WINDOW)),
        ];
        if let Some((key, _)) = durations.iter().find(|(_, duration)| duration.is_zero()) {
            return Some(format!("`{key}` must be longer than zero"));
        }
        if schedule.timeout >= schedule.interval {
            return Some(format!(
                "`timeout` ({:?}) must be shorter than `interval` ({:?})",
                schedule.timeout, schedule.interval
            ));
        }
        if let Some(slo) = self.slo.filter(|slo| !(*slo > 0.0 && *slo < 100.0)) {
            return Some(format!("`slo` is {slo}, and must be above 0 and below 100"));
        }
        let thresholds = [
            ("failure_threshold", schedule.failure_threshold),
            ("success_threshold", schedule.success_threshold),
        ];
        let zero = thresholds.iter().find(|(_, threshold)| *threshold == 0);
        zero.map(|(key, _)| format!("`{key}` must be at least 1"))
    }
}

/// Each once, in the order in which they were given.
fn names<N: Into<Arc<str>>>(given: impl IntoIterator<Item = N>) -> Arc<[Arc<str>]> {
    let mut names: Vec<Arc<str>> = Vec::new();
    for name in given.into_iter().map(Into::into) {
        if !names.contains(&name) {
            names.push(name);
        }
    }
    names.into()
}

/// Components that the monitor keeps itself.
pub(crate) const RESERVED: [&str; 2] = [crate::monitor::PROCESS, crate::monitor::HISTORY];

impl fmt::Debug for HealthCheck {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("HealthCheck").field("name", &self.name).finish_non_exhaustive()
    }
}

/// What is wrong with a check as declared.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("health check `{check}`: {problem}")]
pub struct CheckError {
    pub(crate) check: Arc<str>,
    pub(crate) problem: String,
}

#[cfg(test)]
mod tests {
    use super::*;

    const DEFAULT: Duration = Duration::from_secs(30);

    fn check() -> HealthCheck {
        HealthCheck::new("db", || async {})
    }

    #[test]
    fn the_defaults_are_those_of_the_contract() {
        let schedule = check().schedule(DEFAULT).expect("valid");
        assert_eq!(schedule.interval, DEFAULT);
        assert_eq!(schedule.timeout, Duration::from_secs(5));
        assert_eq!(schedule.degraded_after, Duration::from_secs(1));
        assert_eq!(schedule.retry_interval, Duration::from_secs(2));
        assert_eq!(schedule.stale_after(), Duration::from_secs(90));
        let quick = check().interval(Duration::from_secs(1)).schedule(DEFAULT).expect("valid");
        assert_eq!(quick.timeout, Duration::from_millis(500));
        assert_eq!(quick.retry_interval, Duration::from_secs(1));
    }

    #[test]
    fn each_bad_value_is_refused_by_name() {
        let second = Duration::from_secs(1);
        let cases = [
            (check().interval(Duration::ZERO), "`interval` must be longer than zero"),
            (
                check().interval(second).timeout(second),
                "`timeout` (1s) must be shorter than `interval` (1s)",
            ),
            (check().failure_threshold(0), "`failure_threshold` must be at least 1"),
            (check().success_threshold(0), "`success_threshold` must be at least 1"),
            (check().slo(0.0), "`slo` is 0, and must be above 0 and below 100"),
            (check().slo(100.0), "`slo` is 100, and must be above 0 and below 100"),
            (check().slo(f64::NAN), "`slo` is NaN, and must be above 0 and below 100"),
            (check().slo_window(Duration::ZERO), "`slo_window` must be longer than zero"),
        ];
        for (check, problem) in cases {
            let error = check.schedule(DEFAULT).expect_err(problem);
            assert_eq!(error.to_string(), format!("health check `db`: {problem}"));
        }
        let reserved = HealthCheck::new("process", || async {}).schedule(DEFAULT);
        assert_eq!(
            reserved.expect_err("reserved").to_string(),
            "health check `process`: `process` is the name of a built-in component"
        );
    }
}
