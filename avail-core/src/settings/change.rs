//! What a reload has changed.

use std::fmt;
use std::sync::Arc;

use serde::Serialize;

use super::error::SettingsWarning;

/// What a reload of the settings came to.
#[derive(Clone, Debug, Default, PartialEq, Serialize)]
#[non_exhaustive]
pub struct Reload {
    /// What goes on under other settings than before: circuit breakers, then health checks, each by
    /// name.
    pub changed: Vec<ComponentChange>,
    /// What was given for a name that is not there.
    pub warnings: Vec<SettingsWarning>,
}

/// The settings of one circuit breaker or health check that changed.
///
/// With `{}`: ``circuit breaker `storage`: failure_threshold 5 to 10, timeout 1m to 30s``.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
#[non_exhaustive]
pub struct ComponentChange {
    /// Which of the two.
    pub kind: Configurable,
    /// Its name.
    pub name: Arc<str>,
    /// Each setting that changed.
    pub settings: Vec<SettingChange>,
}

/// What can be configured from outside.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
#[non_exhaustive]
pub enum Configurable {
    /// A circuit breaker.
    CircuitBreaker,
    /// A health check.
    HealthCheck,
}

/// A setting that changed, as text.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
#[non_exhaustive]
pub struct SettingChange {
    /// The key.
    pub key: &'static str,
    /// What it was.
    pub from: String,
    /// What it is.
    pub to: String,
}

impl fmt::Display for Configurable {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(match self {
            Configurable::CircuitBreaker => "circuit breaker",
            Configurable::HealthCheck => "health check",
        })
    }
}

impl fmt::Display for ComponentChange {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} `{}`: ", self.kind, self.name)?;
        for (number, setting) in self.settings.iter().enumerate() {
            write!(f, "{}{setting}", if number == 0 { "" } else { ", " })?;
        }
        Ok(())
    }
}

impl fmt::Display for SettingChange {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} {} to {}", self.key, self.from, self.to)
    }
}
