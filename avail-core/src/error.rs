//! Why a monitor can't start, or can't take a check.

use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;
use std::{fmt, io};

use crate::breaker::ParseModeError;
use crate::conflict::SiteConflict;
use crate::health::CheckError;
use crate::settings::SettingsError;
use crate::site::Origin;

/// Why a monitor can't start, or can't take a check.
///
/// `Debug` shows what `Display` does, so that a `main` which returns it says what to do.
#[derive(thiserror::Error)]
#[non_exhaustive]
pub enum MonitorError {
    /// Two checks have one name.
    #[error(
        "two health checks are named `{name}`: {first} and {second}; \
         give one another name, or use `rename` or `exclude`"
    )]
    #[non_exhaustive]
    DuplicateCheck {
        /// The name.
        name: Arc<str>,
        /// Where the first stands.
        first: String,
        /// Where the second stands.
        second: String,
    },
    /// Attributes declare one circuit breaker with different settings.
    #[error(
        "circuit breaker {0}, with other settings; make them the same, or give one another name"
    )]
    ConflictingBreakers(Box<SiteConflict>),
    /// An attribute declares a circuit breaker that was made by hand before, through the registry,
    /// with other settings.
    #[error(
        "circuit breaker `{name}` is declared at {origin}, and was made by hand before with other \
         settings: {existing}; make them the same, or give one another name"
    )]
    #[non_exhaustive]
    BreakerMadeByHand {
        /// The name.
        name: Arc<str>,
        /// Where the attribute stands.
        origin: Box<Origin>,
        /// The settings that it was made with, which serve.
        existing: String,
    },
    /// The configuration file can't be read.
    #[error(
        "the configuration file `{}` can't be read: {source}; mend its path or its permissions",
        path.display()
    )]
    #[non_exhaustive]
    ConfigFile {
        /// The file.
        path: PathBuf,
        /// What the system says.
        source: io::Error,
    },
    /// The configuration file or the environment says what it may not.
    #[error(transparent)]
    Settings(#[from] SettingsError),
    /// A check can't work as it is declared.
    #[error(transparent)]
    Check(#[from] CheckError),
    /// A check depends on what is not there.
    #[error(
        "health check `{check}` depends on `{dependency}`, which is no check, circuit breaker or \
         other component here{}", did_you_mean(nearest.as_deref())
    )]
    #[non_exhaustive]
    UnknownDependency {
        /// The check.
        check: Arc<str>,
        /// What it depends on.
        dependency: Arc<str>,
        /// What may have been meant.
        nearest: Option<Arc<str>>,
    },
    /// An attribute names a `recovery_check` that is not there.
    #[error(
        "circuit breaker `{breaker}`, declared at {origin}, has the recovery check `{check}`, which \
         is no health check here{}", did_you_mean(nearest.as_deref())
    )]
    #[non_exhaustive]
    UnknownRecoveryCheck {
        /// The circuit breaker.
        breaker: Arc<str>,
        /// Where the attribute stands.
        origin: Box<Origin>,
        /// What it names.
        check: Arc<str>,
        /// What may have been meant.
        nearest: Option<Arc<str>>,
    },
    /// Nothing of that name is looked at.
    #[error("there is no component `{name}` here{}", did_you_mean(nearest.as_deref()))]
    #[non_exhaustive]
    UnknownComponent {
        /// The name.
        name: Arc<str>,
        /// What may have been meant.
        nearest: Option<Arc<str>>,
    },
    /// Checks depend on each other, so that each would be the child of the other.
    #[error("health checks depend on each other in a circle: {}", way(names))]
    #[non_exhaustive]
    CircularDependency {
        /// The way round: the last name is the first one again.
        names: Vec<Arc<str>>,
    },
    /// `AVAIL_BREAKERS` does not say what it may.
    #[error("the environment variable AVAIL_BREAKERS: {0}")]
    Mode(#[from] ParseModeError),
    /// The target is no percentage.
    #[error("the availability target is {target}, and must be above 0 and at most 100")]
    #[non_exhaustive]
    Target {
        /// What was given.
        target: f64,
    },
    /// Another process writes the history file, or another monitor of this one.
    #[error(
        "the history file `{}` is in use by another {}; stop that one, choose another file, \
         or go on without a history by `history_required(false)`",
        path.display(), if *by_this_process { "monitor of this process" } else { "process" }
    )]
    #[non_exhaustive]
    HistoryInUse {
        /// The file.
        path: PathBuf,
        /// Whether it is this process that has it.
        by_this_process: bool,
    },
    /// The history file can't be read or written.
    #[error(
        "the history file `{}` can't be opened: {source}; mend its path or its permissions, or go \
         on without a history by `history_required(false)`",
        path.display()
    )]
    #[non_exhaustive]
    History {
        /// The file.
        path: PathBuf,
        /// What the system says.
        source: io::Error,
    },
    /// A component has no check on a schedule that could be run.
    #[error(
        "component `{name}` has no health check on a schedule: it is a circuit breaker, or is \
         checked by hand"
    )]
    #[non_exhaustive]
    NotOnSchedule {
        /// The component.
        name: Arc<str>,
    },
    /// A check that was to run now did not come to an end.
    #[error(
        "health check `{name}` has not come to an end within {after:?}: a run of it hangs, or the \
         runtime is busy"
    )]
    #[non_exhaustive]
    Unfinished {
        /// The check.
        name: Arc<str>,
        /// How long it was waited for.
        after: Duration,
    },
    /// A check was registered with a monitor that has stopped, or was to be run by it.
    #[error("the monitor has stopped, and takes no checks any more; start another one")]
    Stopped,
    /// It was called outside a tokio runtime.
    #[error("a monitor runs in a tokio runtime with its time enabled, and there is none here")]
    NoRuntime,
}

fn did_you_mean(nearest: Option<&str>) -> String {
    nearest.map(|name| format!(": did you mean `{name}`?")).unwrap_or_default()
}

fn way(names: &[Arc<str>]) -> String {
    let names: Vec<_> = names.iter().map(|name| format!("`{name}`")).collect();
    names.join(" -> ")
}

impl fmt::Debug for MonitorError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self, f)
    }
}
