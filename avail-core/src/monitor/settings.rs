//! Settings from outside: read at the start, and anew whenever that is asked for. A reload is read and
//! validated as a whole before anything is changed.

use std::collections::BTreeSet;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use chrono::{DateTime, Utc};
use serde::Serialize;

use super::builder;
use super::inner::{Inner, lock};
use super::status::Event;
use crate::error::MonitorError;
use crate::health::HealthCheck;
use crate::registry::CircuitBreakerRegistry;
use crate::settings::{
    ComponentChange, Configurable, Overlay, Reload, SettingProblem, SettingsError, SettingsWarning,
    Tuned, Unfit, differences,
};

/// Where settings come from.
#[derive(Clone, Debug, Default)]
pub(super) struct Sources {
    pub(super) file: Option<Arc<Path>>,
    /// `None`: the process's.
    pub(super) environment: Option<Vec<(String, String)>>,
}

impl Sources {
    pub(super) async fn read(
        &self,
        runtime: &tokio::runtime::Handle,
    ) -> Result<Overlay, MonitorError> {
        let text = match &self.file {
            Some(path) => Some((path, read_file(path.clone(), runtime).await?)),
            None => None,
        };
        let file = text.as_ref().map(|(path, text)| (*path, text.as_str()));
        let variables = self.environment.clone().unwrap_or_else(process_environment);
        Ok(Overlay::read(file, variables)?)
    }
}

fn process_environment() -> Vec<(String, String)> {
    let text = |text: std::ffi::OsString| text.to_string_lossy().into_owned();
    std::env::vars_os().map(|(name, value)| (text(name), text(value))).collect()
}

async fn read_file(
    path: Arc<Path>,
    runtime: &tokio::runtime::Handle,
) -> Result<String, MonitorError> {
    let from = path.clone();
    let read = runtime.spawn_blocking(move || std::fs::read_to_string(from)).await;
    let read = read.unwrap_or_else(|error| Err(std::io::Error::other(error)));
    read.map_err(|source| MonitorError::ConfigFile { path: path.to_path_buf(), source })
}

/// Settings that fit everything that is there.
#[derive(Debug)]
pub(super) struct Plan {
    pub(super) overlay: Arc<Overlay>,
    pub(super) checks: Vec<Tuned>,
    pub(super) warnings: Vec<SettingsWarning>,
    /// Whether it is for the breakers too: one of another monitor, from a file, is stronger than
    /// what comes from the environment alone, which is the same for both.
    lays: bool,
}

impl Plan {
    /// # Errors
    ///
    /// Where the settings don't fit, or a check can't work as the code declares it.
    pub(super) fn new(
        overlay: Overlay,
        declared: Vec<HealthCheck>,
        registry: &CircuitBreakerRegistry,
        check_interval: Duration,
    ) -> Result<Self, MonitorError> {
        let mut problems = Vec::new();
        let names: BTreeSet<_> = declared.iter().map(|check| check.name.clone()).collect();
        let (mut warnings, ambiguous) = overlay.breakers.look_at_names(&registry.names());
        problems.extend(ambiguous);
        let (unknown, ambiguous) = overlay.checks.look_at_names(&names);
        warnings.extend(unknown);
        problems.extend(ambiguous);
        let lays = overlay.has_file || !registry.overlay().has_file;
        if lays && let Err(unfit) = registry.fits(&overlay) {
            problems.extend(unfit.problems().iter().cloned());
        }
        let mut checks = Vec::with_capacity(declared.len());
        for check in declared {
            match overlay.tune(check, check_interval) {
                Ok(tuned) => checks.push(tuned),
                Err(unfit) if unfit.sources.is_empty() => return Err(unfit.error.into()),
                Err(unfit) => problems.push(unfit.into()),
            }
        }
        SettingsError::unless_none(problems)?;
        Ok(Plan { overlay: Arc::new(overlay), checks, warnings, lays })
    }

    /// From here on it holds for the breakers. Gives what that changes.
    pub(super) fn lay(&self, registry: &CircuitBreakerRegistry) -> Vec<ComponentChange> {
        if self.lays { registry.lay(self.overlay.clone()) } else { Vec::new() }
    }
}

impl<E: std::fmt::Display> From<Unfit<E>> for SettingProblem {
    fn from(Unfit { sources, error }: Unfit<E>) -> Self {
        SettingProblem { sources, problem: error.to_string() }
    }
}

/// How a check differs from what the code declares.
pub(super) fn change_of(name: &Arc<str>, from: &HealthCheck, to: &HealthCheck) -> ComponentChange {
    let settings = differences(from, to);
    ComponentChange { kind: Configurable::HealthCheck, name: name.clone(), settings }
}

/// How the settings from outside are doing.
#[derive(Clone, Debug, Serialize)]
#[non_exhaustive]
pub struct SettingsStatus {
    /// The configuration file, where one was given.
    pub config_file: Option<PathBuf>,
    /// When the settings were read that hold.
    pub loaded_at: DateTime<Utc>,
    /// The last time that they were to be read anew; `None`: never since the start.
    pub last_reload: Option<LastReload>,
    /// What was given for a name that was not there when the settings were read.
    pub warnings: Vec<SettingsWarning>,
    /// Why circuit breakers that were made since then are without them.
    pub unfit: Vec<SettingProblem>,
}

/// How a reload ended.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
#[non_exhaustive]
pub struct LastReload {
    /// When.
    pub at: DateTime<Utc>,
    /// Why nothing was changed; `None`: it went well.
    pub error: Option<String>,
}

/// So many reasons are kept.
const UNFIT: usize = 64;

/// What a monitor keeps of them.
#[derive(Debug)]
pub(super) struct Settings {
    sources: Sources,
    /// One reload at a time.
    reloading: tokio::sync::Mutex<()>,
    overlay: Mutex<Arc<Overlay>>,
    status: Mutex<SettingsStatus>,
}

impl Settings {
    pub(super) fn new(sources: Sources, plan: &Plan, now: DateTime<Utc>) -> Self {
        let status = SettingsStatus {
            config_file: sources.file.as_deref().map(Path::to_path_buf),
            loaded_at: now,
            last_reload: None,
            warnings: plan.warnings.clone(),
            unfit: Vec::new(),
        };
        Settings {
            sources,
            reloading: tokio::sync::Mutex::default(),
            overlay: Mutex::new(plan.overlay.clone()),
            status: Mutex::new(status),
        }
    }

    pub(super) fn status(&self) -> SettingsStatus {
        lock(&self.status).clone()
    }

    pub(super) fn overlay(&self) -> Arc<Overlay> {
        lock(&self.overlay).clone()
    }

    fn note(&self, reload: &Result<Reload, MonitorError>, at: DateTime<Utc>) {
        let mut status = lock(&self.status);
        let error = reload.as_ref().err().map(ToString::to_string);
        status.last_reload = Some(LastReload { at, error });
        if let Ok(reload) = reload {
            status.loaded_at = at;
            status.warnings.clone_from(&reload.warnings);
            status.unfit.clear();
        }
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
        self.may_depend(&before, &plan.checks)?;
        // Nothing can fail from here on. First the overlay: what is made meanwhile gets it.
        *lock(&self.settings.overlay) = plan.overlay.clone();
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
        let (before, orders) = self.task(name)?;
        // It fits: all were looked at before the settings were taken.
        let tuned = self.tune(before.declared).ok()?;
        let change = change_of(&tuned.check.name, &before.check, &tuned.check);
        if change.settings.is_empty() {
            return None;
        }
        let Tuned { check, schedule, .. } = tuned.clone();
        if !self.replace_task(tuned, &orders) {
            return None; // it was taken away, or is another one by now
        }
        self.with_ledger(|ledger, now| {
            ledger.retune(&check.name, builder::terms(&check, schedule), now);
            ledger.promise(&check.name, check.objective(self.terms.target));
        });
        Some(change)
    }

    /// Breakers that were made without the settings from outside are made known.
    pub(super) fn report_unfit(&self) {
        for problem in self.registry.take_unfit() {
            let mut status = lock(&self.settings.status);
            if status.unfit.len() < UNFIT && !status.unfit.contains(&problem) {
                status.unfit.push(problem.clone());
                drop(status);
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
