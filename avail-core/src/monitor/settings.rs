//! Settings from outside: where they come from, and whether they fit what is there.

use std::collections::BTreeSet;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use chrono::{DateTime, Utc};
use serde::Serialize;

use super::AvailabilityMonitorBuilder;
use super::inner::lock;
use crate::error::MonitorError;
use crate::health::HealthCheck;
use crate::registry::CircuitBreakerRegistry;
use crate::settings::{
    ComponentChange, Overlay, Reload, SettingProblem, SettingsError, SettingsWarning, Tuned, Unfit,
    text_of,
};

impl AvailabilityMonitorBuilder {
    /// Takes settings of circuit breakers and health checks from this TOML file, which has to be
    /// there. They are laid over what the code declares, and the environment's over them, which needs
    /// no file: `AVAIL_BREAKER_STORAGE__FAILURE_THRESHOLD=10`.
    ///
    /// ```toml
    /// [defaults.check]      # for all checks
    /// interval = "20s"
    ///
    /// [breaker.storage]     # for one circuit breaker, or a family of them
    /// failure_threshold = 10
    /// ```
    ///
    /// The keys are those of the attributes. The file is read anew by
    /// [`reload`](crate::AvailabilityMonitor::reload), and on Unix at SIGHUP: see
    /// [`reload_on_sighup`](Self::reload_on_sighup). Where several monitors watch one registry, the
    /// file that was read last holds for its breakers. Default: no file.
    pub fn config_file(mut self, path: impl AsRef<Path>) -> Self {
        self.sources.file = Some(path.as_ref().into());
        self
    }

    /// Whether SIGHUP reads the [`config_file`](Self::config_file) anew, where there is one. The
    /// signal then no longer ends the process, also not when its terminal is closed or the monitor
    /// has stopped. It needs a runtime with I/O enabled, and on other systems than Unix there is no
    /// such signal. Default true.
    pub fn reload_on_sighup(mut self, reload: bool) -> Self {
        self.reload_on_sighup = reload;
        self
    }

    /// Takes these variables in place of the process's environment for settings: for tests, and for
    /// programs that keep theirs elsewhere. `AVAIL_BREAKERS` is not among them.
    ///
    /// ```
    /// use avail_core::AvailabilityMonitor;
    ///
    /// let builder = AvailabilityMonitor::builder()
    ///     .environment([("AVAIL_CHECK_STORAGE__INTERVAL", "10s")]);
    /// ```
    pub fn environment<N: Into<String>, V: Into<String>>(
        mut self,
        variables: impl IntoIterator<Item = (N, V)>,
    ) -> Self {
        let variables = variables.into_iter().map(|(name, value)| (name.into(), value.into()));
        self.sources.environment = Some(variables.collect());
        self
    }
}

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
    let read = runtime.spawn_blocking(move || std::fs::read(from)).await;
    let read = read.unwrap_or_else(|error| Err(std::io::Error::other(error)));
    match read {
        Ok(bytes) => Ok(text_of(&path, bytes)?),
        Err(source) => Err(MonitorError::ConfigFile { path: path.to_path_buf(), source }),
    }
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
        warnings.extend(overlay.look_at_recovery_checks(&names));
        warnings.extend(overlay.strangers().iter().cloned());
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

    /// An error about what checks depend on, with the places where that was given, if it was given
    /// from outside.
    pub(super) fn with_places(&self, error: MonitorError) -> MonitorError {
        let checks = match &error {
            MonitorError::UnknownDependency { check, .. } => std::slice::from_ref(check),
            MonitorError::CircularDependency { names } => names,
            _ => return error,
        };
        let sources = self.overlay.sources_of_dependencies(checks);
        if sources.is_empty() {
            return error;
        }
        SettingsError::of(SettingProblem { sources, problem: error.to_string() }).into()
    }

    /// From here on it holds for the breakers. Gives what that changes.
    pub(super) fn lay(&self, registry: &CircuitBreakerRegistry) -> Vec<ComponentChange> {
        if self.lays { registry.lay(&self.overlay) } else { Vec::new() }
    }
}

impl<E: std::fmt::Display> From<Unfit<E>> for SettingProblem {
    fn from(Unfit { sources, error }: Unfit<E>) -> Self {
        SettingProblem { sources, problem: error.to_string() }
    }
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
    pub(super) sources: Sources,
    /// One reload at a time.
    pub(super) reloading: tokio::sync::Mutex<()>,
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

    pub(super) fn set_overlay(&self, overlay: Arc<Overlay>) {
        *lock(&self.overlay) = overlay;
    }

    pub(super) fn note(&self, reload: &Result<Reload, MonitorError>, at: DateTime<Utc>) {
        let mut status = lock(&self.status);
        let error = reload.as_ref().err().map(ToString::to_string);
        status.last_reload = Some(LastReload { at, error });
        if let Ok(reload) = reload {
            status.loaded_at = at;
            status.warnings.clone_from(&reload.warnings);
            status.unfit.clear();
        }
    }

    /// Gives whether it is new.
    pub(super) fn note_unfit(&self, problem: &SettingProblem) -> bool {
        let mut status = lock(&self.status);
        let new = status.unfit.len() < UNFIT && !status.unfit.contains(problem);
        if new {
            status.unfit.push(problem.clone());
        }
        new
    }
}
