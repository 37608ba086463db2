//! Settings from outside, read anew: they are read and looked at as a whole before anything is
//! changed.

use std::sync::Arc;

use super::inner::Inner;
use super::settings::{Plan, SettingsStatus};
use super::status::Event;
use super::{AvailabilityMonitor, builder};
use crate::error::MonitorError;
use crate::health::HealthCheck;
use crate::settings::{
    ComponentChange, Configurable, Overlay, Reload, SettingsError, SettingsWarning, Tuned,
    differences,
};

impl AvailabilityMonitor {
    /// Reads the configuration file and the environment anew, and goes on by what they say: all of
    /// it, or where anything is wrong with it, nothing.
    ///
    /// A circuit breaker keeps its state, its open time, its windows and its epoch; a check its
    /// state, its streaks and its incidents. What was given before and no longer is goes back to
    /// what the code declares. With a [`config_file`](crate::AvailabilityMonitorBuilder::config_file) the
    /// signal SIGHUP does the same.
    ///
    /// ```
    /// # #[tokio::main(flavor = "current_thread")] async fn main() -> Result<(), Box<dyn std::error::Error>> {
    /// # let folder = std::env::temp_dir().join(format!("avail-reload-{}", std::process::id()));
    /// # std::fs::create_dir_all(&folder)?;
    /// # let path = folder.join("avail.toml");
    /// # std::fs::write(&path, "")?;
    /// # use avail_core::{AvailabilityMonitor, CircuitBreakerRegistry};
    /// let registry = CircuitBreakerRegistry::new();
    /// let storage = registry.get_or_create("storage");
    /// let builder = AvailabilityMonitor::builder().config_file(&path).breakers(registry);
    /// let monitor = builder.start().await?;
    ///
    /// std::fs::write(&path, "[breaker.storage]\nfailure_threshold = 10\n")?;
    /// let reload = monitor.reload().await?;
    /// assert_eq!(
    ///     reload.changed[0].to_string(),
    ///     "circuit breaker `storage`: failure_threshold 5 to 10",
    /// );
    /// assert_eq!(storage.config().failure_threshold, Some(10));
    /// # monitor.stop().await;
    /// # std::fs::remove_dir_all(&folder)?;
    /// # Ok(()) }
    /// ```
    ///
    /// # Errors
    ///
    /// As [`start`](crate::AvailabilityMonitorBuilder::start) for settings that can't work; it is logged
    /// too, shown by [`settings`](Self::settings), and an [`Event`]. [`MonitorError::Stopped`] where
    /// the monitor has stopped.
    pub async fn reload(&self) -> Result<Reload, MonitorError> {
        self.inner.reload().await
    }

    /// How the settings from outside are doing: when they were read, how the last reload ended, and
    /// what looks like a mistake.
    pub fn settings(&self) -> SettingsStatus {
        self.inner.settings.status()
    }
}

impl Inner {
    /// Reads the settings anew; see [`AvailabilityMonitor::reload`](super::AvailabilityMonitor).
    pub(super) async fn reload(&self) -> Result<Reload, MonitorError> {
        let _alone = self.settings.reloading.lock().await;
        let reload = self.try_reload().await;
        self.settings.note(&reload, self.moment().0);
        match &reload {
            Ok(reload) => {
                log_settings(&reload.changed, &reload.warnings);
                tracing::info!(changed = reload.changed.len(), "the settings were read anew");
                self.announce(Event::Reloaded(reload.clone()));
            }
            Err(error) => {
                tracing::error!(%error, "the settings stay as they were");
                self.announce(Event::ReloadRefused { error: error.to_string() });
            }
        }
        reload
    }

    async fn try_reload(&self) -> Result<Reload, MonitorError> {
        if !self.is_running() {
            return Err(MonitorError::Stopped);
        }
        let overlay = self.settings.sources.read(self.runtime()).await?;
        let before = self.tuned();
        let declared = before.iter().map(|tuned| tuned.declared.clone()).collect();
        let plan = Plan::new(overlay, declared, &self.registry, self.terms.check_interval)?;
        let may_depend = self.may_depend(&before, &plan.checks);
        may_depend.map_err(|error| plan.with_places(error))?;
        // Nothing can fail from here on. First the overlay: what is made meanwhile gets it.
        self.settings.set_overlay(plan.overlay.clone());
        let mut changed = plan.lay(&self.registry);
        changed.extend(plan.checks.iter().filter_map(|tuned| self.retune(tuned.declared.name())));
        self.with_ledger(|ledger, now| self.join_breakers(ledger, now));
        Ok(Reload { changed, warnings: plan.warnings })
    }

    /// Refuses checks that would depend on what is not there, or on each other. What stays as it is
    /// may depend on what has left since.
    fn may_depend(&self, before: &[Tuned], after: &[Tuned]) -> Result<(), MonitorError> {
        let pairs = before.iter().zip(after);
        let other =
            pairs.filter(|(before, after)| before.check.depends_on != after.check.depends_on);
        let joining =
            other.map(|(_, after)| (after.check.name.clone(), after.check.depends_on.clone()));
        let joining = joining.collect();
        self.with_ledger(|ledger, now| {
            self.join_breakers(ledger, now);
            ledger.can_be_waited_for(&joining)
        })
    }

    /// What becomes of a check by the settings that hold now.
    pub(super) fn tune(&self, declared: HealthCheck) -> Result<Tuned, MonitorError> {
        let tuned = self.settings.overlay().tune(declared, self.terms.check_interval);
        tuned.map_err(|unfit| match unfit.sources.is_empty() {
            true => unfit.error.into(),
            false => SettingsError::of(unfit.into()).into(),
        })
    }

    /// Lets a running check go on by the settings that hold now. Gives what that changes.
    pub(super) fn retune(&self, name: &str) -> Option<ComponentChange> {
        loop {
            let overlay = self.settings.overlay();
            let change = self.retune_by(&overlay, name);
            // Others may have come meanwhile, and been overtaken.
            if Arc::ptr_eq(&overlay, &self.settings.overlay()) {
                return change;
            }
        }
    }

    fn retune_by(&self, overlay: &Overlay, name: &str) -> Option<ComponentChange> {
        let (before, orders) = self.task(name)?;
        // It fits: all were looked at before the settings were taken.
        let tuned = overlay.tune(before.declared, self.terms.check_interval).ok()?;
        let change = change_of(&tuned.check.name, &before.check, &tuned.check);
        if change.settings.is_empty() || !self.replace_task(tuned, &orders) {
            return None; // or it was taken away, or is another one by now
        }
        self.with_ledger(|ledger, now| {
            // What it is by now, so that the last word is the same here and there.
            let Some((Tuned { check, schedule, .. }, _)) = self.task(name) else { return };
            ledger.retune(&check.name, builder::terms(&check, schedule), now);
            ledger.promise(&check.name, check.objective(self.terms.target));
        });
        Some(change)
    }

    /// Breakers that were made without the settings from outside are made known.
    pub(super) fn report_unfit(&self) {
        for problem in self.registry.take_unfit() {
            if self.settings.note_unfit(&problem) {
                tracing::error!(%problem, "a circuit breaker was made as the code declares it");
            }
        }
    }
}

/// A line for each component, and for each name that nothing has.
pub(super) fn log_settings(changed: &[ComponentChange], warnings: &[SettingsWarning]) {
    for change in changed {
        tracing::info!(%change, "settings from outside");
    }
    for warning in warnings {
        tracing::warn!(%warning, "settings for what is not there");
    }
}

/// How a check differs from what the code declares.
pub(super) fn change_of(name: &Arc<str>, from: &HealthCheck, to: &HealthCheck) -> ComponentChange {
    let settings = differences(from, to);
    ComponentChange { kind: Configurable::HealthCheck, name: name.clone(), settings }
}
