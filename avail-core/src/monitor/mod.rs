//! The monitor: runs the checks, watches the breakers, keeps the books.
//!
//! | file | what it holds |
//! |---|---|
//! | `builder` | how it is put together and started |
//! | `inner` | what its handles, tasks and listeners share |
//! | `recoveries` | breakers that wait for a health check |
//! | `calls` | calls through breakers since the last look |
//! | `steady` | a wall clock that never goes back |
//! | `audit` | what operators did |
//! | `refresh` | a check that is to run now |
//! | `settings` | settings from outside, and what they are to fit |
//! | `reload`, `hangup` | how and when they are read anew |
//! | `status` | what it shows and tells |
//! | `view` | how that is worked out |

mod audit;
mod builder;
mod calls;
#[cfg(unix)]
mod hangup;
mod inner;
mod recoveries;
mod refresh;
mod reload;
mod settings;
mod status;
mod steady;
mod view;

#[cfg(test)]
mod tests;

use std::future::Future;
use std::sync::Arc;
use std::time::Duration;

use tokio::sync::broadcast;

pub use self::audit::AuditRecord;
pub use self::builder::AvailabilityMonitorBuilder;
pub(crate) use self::inner::Inner;
pub use self::settings::{LastReload, SettingsStatus};
pub use self::status::{
    ComponentSnapshot, ComponentStatus, Event, IncidentTotals, ProcessSnapshot, Snapshot,
    SystemStatus,
};
use crate::availability::ledger::BY_HAND;
pub(crate) use crate::availability::ledger::PROCESS;

use crate::availability::{
    AvailabilityMetrics, AvailabilityReport, Incident, Maintenance, Slo, Window,
};
use crate::error::MonitorError;
use crate::health::runner::run_here;
use crate::health::{HealthCheck, HealthCheckResult, IntoHealth};
use crate::history::{HistoryStatus, RecoveryReport};
use crate::registry::CircuitBreakerRegistry;

/// The built-in component that is degraded while the history can't be written.
pub(crate) const HISTORY: &str = "history";

/// So that its end can be written as a date.
const LONGEST_MAINTENANCE: Duration = Duration::from_secs(10 * 365 * 24 * 3600);

/// Runs every health check, watches every circuit breaker, and knows how available each component
/// and the whole system were.
///
/// It is a handle: clones are the same monitor, and dropping them stops nothing;
/// [`stop`](Self::stop) does, or the end of the runtime that it was started in. Keep one in `main`:
/// where a panic of `main` ends the runtime, it tells the history that this was no clean stop.
///
/// ```
/// # #[tokio::main(flavor = "current_thread")] async fn main() -> Result<(), Box<dyn std::error::Error>> {
/// use avail_core::{AvailabilityMonitor, HealthStatus, Window};
///
/// # async fn ping() -> Result<(), String> { Ok(()) }
/// let monitor = AvailabilityMonitor::builder().start().await?;
/// let result = monitor.check_health("cache", || async { ping().await }).await;
/// assert_eq!(result.status, HealthStatus::Healthy);
///
/// let all = monitor.availability_metrics(Window::DAYS_7);
/// assert_eq!(all.successful_checks, 1);
/// monitor.stop().await;
/// # Ok(()) }
/// ```
#[derive(Clone, Debug)]
pub struct AvailabilityMonitor {
    pub(crate) inner: Arc<Inner>,
}

/// A handle in `main` is dropped before the runtime is: it tells whether a panic is the reason, which
/// the runtime's own threads can't.
impl Drop for AvailabilityMonitor {
    fn drop(&mut self) {
        if std::thread::panicking() {
            self.inner.is_unwound();
        }
    }
}

impl AvailabilityMonitor {
    /// So many components at once may be known only through [`check_health`](Self::check_health).
    pub const MAX_COMPONENTS_BY_HAND: usize = 10_000;

    /// Starts from the defaults: every annotated check and breaker, a check every 30 s, a target of
    /// 99.9 %, no history file.
    pub fn builder() -> AvailabilityMonitorBuilder {
        AvailabilityMonitorBuilder::new()
    }

    /// Runs `check` once, here and now, and records what it gave as a run of the component `name`.
    ///
    /// It may take as long as the component's scheduled check may, or 5 s. A component that is
    /// known only in this way is not critical, and is never missed. What the monitor keeps itself,
    /// `process` and `history`, and a component without a name are looked at and not recorded.
    ///
    /// Nor is a new name where [`MAX_COMPONENTS_BY_HAND`](Self::MAX_COMPONENTS_BY_HAND) others are
    /// known in this way: each is kept until it is [unregistered](Self::unregister), and who makes
    /// up a name for each call would fill the memory. The first time that is logged, and each is
    /// counted in [`Snapshot::unrecorded_checks`].
    ///
    /// # Panics
    ///
    /// Outside a tokio runtime with its time enabled.
    pub async fn check_health<F, Fut>(
        &self,
        name: impl Into<Arc<str>>,
        check: F,
    ) -> HealthCheckResult
    where
        F: FnOnce() -> Fut,
        Fut: Future,
        Fut::Output: IntoHealth,
    {
        let name = name.into();
        let terms = self.inner.begin_by_hand(&name);
        let (timeout, degraded_after) = terms.unwrap_or(BY_HAND);
        let (timestamp, tick) = self.inner.moment();
        let ended = run_here(async { check().await.into_health() }, timeout).await;
        let latency = self.inner.elapsed_since(tick);
        let result = ended.into_result(name.clone(), timestamp, latency, degraded_after);
        if terms.is_some() {
            self.inner.record(result.clone());
        }
        result
    }

    /// Adds a check while it runs, and runs it at once, on the runtime that the monitor was started
    /// in.
    ///
    /// # Errors
    ///
    /// [`MonitorError`] where a check of that name is there already, it can't work as declared, it
    /// depends on what is not there or on itself, or the monitor has stopped.
    pub fn register(&self, check: HealthCheck) -> Result<(), MonitorError> {
        let settings = self.inner.settings.overlay();
        let tuned = self.inner.tune(check)?;
        if !self.is_running() {
            return Err(MonitorError::Stopped);
        }
        let check = &tuned.check;
        let terms = builder::terms(check, tuned.schedule);
        let objective = check.objective(self.inner.terms.target);
        self.inner.with_ledger(|ledger, now| {
            if ledger.is_scheduled(&check.name) {
                return Err(MonitorError::DuplicateCheck {
                    name: check.name.clone(),
                    first: "the one that runs".into(),
                    second: "the one to be registered".into(),
                });
            }
            if !check.depends_on.is_empty() {
                self.inner.join_breakers(ledger, now);
                let joining = [(check.name.clone(), check.depends_on.clone())];
                ledger.can_be_waited_for(&joining.into())?;
            }
            ledger.join_check(&check.name, terms, now);
            ledger.promise(&check.name, objective);
            Ok(())
        })?;
        let name = check.name.clone();
        self.inner.schedule(tuned);
        // A reload in between may have passed it over.
        if !Arc::ptr_eq(&settings, &self.inner.settings.overlay()) {
            self.inner.retune(&name);
        }
        self.inner.changed();
        Ok(())
    }

    /// Takes a component's check away, also one that is run by hand; its past stays in the history.
    /// Gives whether there was one.
    pub fn unregister(&self, name: &str) -> bool {
        if Inner::is_reserved(name) {
            return false;
        }
        self.inner.unschedule(name);
        self.inner.with_ledger(|ledger, now| {
            let was_there = ledger.is_checked(name);
            ledger.leave(name, now);
            self.inner.changed();
            was_there
        })
    }

    /// The system's figures: it is down while a critical component is, or the process itself.
    pub fn availability_metrics(&self, window: Window) -> AvailabilityMetrics {
        let [metrics] = self.inner.with_ledger(|ledger, now| ledger.system_metrics([window], now));
        metrics
    }

    /// A component's figures; `None` where no component has that name.
    pub fn component_metrics(&self, name: &str, window: Window) -> Option<AvailabilityMetrics> {
        let metrics =
            self.inner.with_ledger(|ledger, now| ledger.component_metrics(name, [window], now));
        metrics.map(|[metrics]| metrics)
    }

    /// The system's objective, the monitor's [`target`](Self::target) over 30 days: how much of the
    /// error budget is left, how fast it burns, and whether that calls for somebody.
    ///
    /// ```
    /// # #[tokio::main(flavor = "current_thread")] async fn main() -> Result<(), Box<dyn std::error::Error>> {
    /// use avail_core::AvailabilityMonitor;
    ///
    /// let monitor = AvailabilityMonitor::builder().target(99.95).start().await?;
    /// let slo = monitor.slo();
    /// assert_eq!((slo.objective, slo.alert), (99.95, None));
    /// if let Some(severity) = slo.alert {
    ///     println!("{severity}: {:?} of the error budget is left", slo.error_budget.remaining_ratio);
    /// }
    /// # Ok(()) }
    /// ```
    pub fn slo(&self) -> Slo {
        let target = self.target();
        self.inner.with_ledger(|ledger, now| ledger.system_slo(target, now))
    }

    /// A component's objective, as its check declares it, or the monitor's target over 30 days;
    /// `None` where no component has that name.
    pub fn component_slo(&self, name: &str) -> Option<Slo> {
        let target = self.target();
        self.inner.with_ledger(|ledger, now| ledger.component_slo(name, target, now))
    }

    /// The figures of a window, with every incident and objective counted in: serialisable, and
    /// written with `{}` two tables of plain text.
    ///
    /// ```
    /// # #[tokio::main(flavor = "current_thread")] async fn main() -> Result<(), Box<dyn std::error::Error>> {
    /// use avail_core::{AvailabilityMonitor, Window};
    ///
    /// let monitor = AvailabilityMonitor::builder().start().await?;
    /// monitor.check_health("cache", || async { true }).await;
    /// let report = monitor.report(Window::DAYS_7);
    /// println!("{report}"); // for a ticket
    /// let json = serde_json::to_string(&report)?; // for a program
    /// # assert!(report.component("cache").is_some() && json.contains("mtbf"));
    /// # Ok(()) }
    /// ```
    pub fn report(&self, window: Window) -> AvailabilityReport {
        self.inner.count_calls();
        let target = self.target();
        self.inner.with_ledger(|ledger, now| ledger.report(window, target, now))
    }

    /// The latest results of checks, newest first: at most `limit`, and at most the last 256.
    pub fn recent_checks(&self, limit: usize) -> Vec<HealthCheckResult> {
        self.inner.recent(limit)
    }

    /// Incidents that are not over, oldest first.
    pub fn active_incidents(&self) -> Vec<Incident> {
        self.inner.with_ledger(|ledger, now| ledger.active_incidents(now))
    }

    /// Incidents that lasted at some time of the window, oldest first.
    pub fn incidents(&self, window: Window) -> Vec<Incident> {
        self.inner.with_ledger(|ledger, now| ledger.incidents(window, now))
    }

    /// Incidents of the whole system that lasted at some time of the window, oldest first: the union
    /// of the down times of its critical components and of the process. However many were down
    /// together, it is one, as in the system's figures; each has its own beside it in
    /// [`incidents`](Self::incidents), where these are not.
    pub fn system_incidents(&self, window: Window) -> Vec<Incident> {
        self.inner.with_ledger(|ledger, now| ledger.system_incidents(window, now))
    }

    /// The system and each component at this moment. It runs no check, and is cheap.
    pub fn status(&self) -> SystemStatus {
        view::status(&self.inner)
    }

    /// How many things have happened so far that [`status`](Self::status) shows: for whoever keeps
    /// what it gave. While this number stays the same only time has passed since, which changes the
    /// figures, and now and then a word: what is kept is good for a tenth of a second.
    ///
    /// ```
    /// # #[tokio::main(flavor = "current_thread")] async fn main() -> Result<(), Box<dyn std::error::Error>> {
    /// # let monitor = avail_core::AvailabilityMonitor::builder().discover(false).start().await?;
    /// let before = monitor.revision();
    /// monitor.drain();
    /// assert_ne!(monitor.revision(), before);
    /// # Ok(()) }
    /// ```
    pub fn revision(&self) -> u64 {
        self.inner.revision()
    }

    /// Everything at this moment, in figures.
    pub fn snapshot(&self) -> Snapshot {
        view::snapshot(&self.inner)
    }

    /// Whether checks are being run: from its start until it is stopped.
    pub fn is_running(&self) -> bool {
        self.inner.is_running()
    }

    /// Stops every check, tells the history that the process ends in order, and waits until that is
    /// on the disk. What was known can still be asked for; after a while it is stale.
    pub async fn stop(&self) {
        let inner = self.inner.clone();
        // The disk is waited for, so it is not done on a worker of the runtime.
        if tokio::task::spawn_blocking(move || inner.end(true)).await.is_err() {
            tracing::error!("the monitor could not be stopped");
        }
    }

    /// Not ready from now on: the process is about to end, and takes no new work. It is no incident.
    pub fn drain(&self) {
        self.inner.drain();
    }

    /// Switches readiness off by hand, or on again: nothing else changes, and it is no incident. On,
    /// it is ready as soon as everything else says so.
    ///
    /// ```
    /// # #[tokio::main(flavor = "current_thread")] async fn main() -> Result<(), Box<dyn std::error::Error>> {
    /// # let monitor = avail_core::AvailabilityMonitor::builder().discover(false).start().await?;
    /// monitor.set_ready(false);
    /// assert!(!monitor.status().ready);
    /// monitor.set_ready(true);
    /// assert!(monitor.status().ready);
    /// # Ok(()) }
    /// ```
    pub fn set_ready(&self, ready: bool) {
        self.inner.switch(ready);
    }

    /// Not alive from now on: something is wrong that only a restart can cure.
    pub fn fatal(&self, reason: impl Into<String>) {
        self.inner.set_fatal(reason.into());
    }

    /// Hears everything that happens from now on. One who lags more than 1,024 events behind is
    /// told so, and slows nobody.
    pub fn subscribe(&self) -> broadcast::Receiver<Event> {
        self.inner.listen()
    }

    /// Announces that a component, or with `None` the whole system, is out of service from now on,
    /// for so long and for that reason; once more, to give it another end. It lasts through a
    /// restart, ends by itself, and [`end_maintenance`](Self::end_maintenance) ends it before.
    ///
    /// Its time is counted as maintenance, which is on neither side of availability, and no incident
    /// begins in it. One that was open stays open until the component comes up, and the maintenance
    /// is no part of its duration; what is still down at the end is an incident from then on. What
    /// is shown stays the truth, with a mark: checks run on, and readiness goes by the status.
    ///
    /// In the system's own account a component in maintenance is not there; that of the whole system
    /// is maintenance of every component too.
    ///
    /// ```
    /// # #[tokio::main(flavor = "current_thread")] async fn main() -> Result<(), Box<dyn std::error::Error>> {
    /// # use std::time::Duration;
    /// # let monitor = avail_core::AvailabilityMonitor::builder().discover(false).start().await?;
    /// # monitor.check_health("db", || async {}).await;
    /// let hour = Duration::from_secs(3_600);
    /// monitor.maintenance("db", hour, "moving to another disk")?;
    /// monitor.maintenance(None, hour, "moving to another data centre")?;
    /// assert_eq!(monitor.maintenances().len(), 2);
    /// assert!(monitor.end_maintenance("db"));
    /// # Ok(()) }
    /// ```
    ///
    /// # Errors
    ///
    /// [`MonitorError::UnknownComponent`] where nothing of that name is looked at.
    pub fn maintenance<'a>(
        &self,
        component: impl Into<Option<&'a str>>,
        duration: Duration,
        reason: impl Into<Arc<str>>,
    ) -> Result<Maintenance, MonitorError> {
        let (component, reason) = (component.into().map(Arc::<str>::from), reason.into());
        self.inner.with_ledger(|ledger, now| {
            self.inner.join_breakers(ledger, now);
            if let Some(name) = &component {
                ledger.must_know(name)?;
            }
            let until = now.after(duration.min(LONGEST_MAINTENANCE));
            Ok(ledger.begin_maintenance(component.as_ref(), until, reason, now))
        })
    }

    /// Ends the maintenance of a component, or with `None` that of the whole system, before it is
    /// due. Gives whether there was one.
    pub fn end_maintenance<'a>(&self, component: impl Into<Option<&'a str>>) -> bool {
        let component = component.into().map(Arc::<str>::from);
        self.inner.with_ledger(|ledger, now| ledger.end_maintenance(component.as_ref(), now))
    }

    /// What is announced and under way: first that of the whole system, then by component.
    pub fn maintenances(&self) -> Vec<Maintenance> {
        self.inner.with_ledger(|ledger, _| ledger.maintenance().cloned().collect())
    }

    /// Keeps a record of what an operator did: in memory, in the history, and in the log. Its time is
    /// now.
    pub fn record_audit(&self, record: AuditRecord) {
        self.inner.record_audit(record);
    }

    /// What operators did since the monitor started, newest first: at most `limit`, and at most the
    /// last 256. What was before is in the history file.
    pub fn audit(&self, limit: usize) -> Vec<AuditRecord> {
        self.inner.audit.latest(limit)
    }

    /// The availability to be reached, in percent.
    pub fn target(&self) -> f64 {
        self.inner.terms.target
    }

    /// How long the process has been running.
    pub fn uptime(&self) -> Duration {
        self.inner.uptime()
    }

    /// The registry whose breakers it watches.
    pub fn breakers(&self) -> &CircuitBreakerRegistry {
        &self.inner.registry
    }

    /// How the history is doing.
    pub fn history(&self) -> HistoryStatus {
        self.inner.writer().status()
    }

    /// What was found in the history file at the start; `None` without a file.
    pub fn recovery(&self) -> Option<RecoveryReport> {
        self.inner.recovery().cloned()
    }
}
