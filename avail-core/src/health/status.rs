//! How healthy a component is, and what one run of a check gave.

use std::fmt;
use std::sync::Arc;
use std::time::Duration;

use chrono::{DateTime, Utc};
use serde::{Deserialize, Serialize, Serializer};
use serde_json::{Map, Value};

/// How healthy a component is, or the whole system.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum HealthStatus {
    /// It works.
    Healthy,
    /// It works, but slowly or not in every respect.
    Degraded,
    /// It does not work: its check failed, timed out, panicked or hangs.
    Unhealthy,
    /// Nobody has looked yet, or nobody has looked for too long.
    Unknown,
}

impl HealthStatus {
    /// Every status, in the order in which metrics list them.
    pub const ALL: [HealthStatus; 4] = [
        HealthStatus::Healthy,
        HealthStatus::Degraded,
        HealthStatus::Unhealthy,
        HealthStatus::Unknown,
    ];

    /// `healthy`, `degraded`, `unhealthy` or `unknown`.
    pub fn as_str(self) -> &'static str {
        match self {
            HealthStatus::Healthy => "healthy",
            HealthStatus::Degraded => "degraded",
            HealthStatus::Unhealthy => "unhealthy",
            HealthStatus::Unknown => "unknown",
        }
    }

    /// Healthy or degraded: it can be used.
    pub fn is_up(self) -> bool {
        matches!(self, HealthStatus::Healthy | HealthStatus::Degraded)
    }

    /// The worse of the two: nothing masks unhealthy, and healthy never masks unknown.
    pub fn worse(self, other: HealthStatus) -> HealthStatus {
        if self.badness() >= other.badness() { self } else { other }
    }

    fn badness(self) -> u8 {
        match self {
            HealthStatus::Healthy => 0,
            HealthStatus::Degraded => 1,
            HealthStatus::Unknown => 2,
            HealthStatus::Unhealthy => 3,
        }
    }
}

impl fmt::Display for HealthStatus {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(self.as_str())
    }
}

/// In which way a check or a component failed: always shown, where its text may be withheld.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
#[non_exhaustive]
pub enum FailureClass {
    /// The check outlived its timeout.
    Timeout,
    /// The check said so.
    Failed,
    /// The check panicked.
    Panicked,
    /// The check outlived its timeout, can't be stopped, and has not come back since.
    Hung,
    /// The component's circuit breaker is open.
    Open,
    /// The process itself ended without saying so.
    Crashed,
}

impl FailureClass {
    /// `timeout`, `failed`, `panicked`, `hung`, `open` or `crashed`.
    pub fn as_str(self) -> &'static str {
        match self {
            FailureClass::Timeout => "timeout",
            FailureClass::Failed => "failed",
            FailureClass::Panicked => "panicked",
            FailureClass::Hung => "hung",
            FailureClass::Open => "open",
            FailureClass::Crashed => "crashed",
        }
    }
}

impl fmt::Display for FailureClass {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(self.as_str())
    }
}

/// What one run of a check gave.
#[derive(Clone, Debug, PartialEq, Serialize)]
#[non_exhaustive]
pub struct HealthCheckResult {
    /// The component that was looked at.
    pub component: Arc<str>,
    /// What the run says: healthy, degraded or unhealthy.
    pub status: HealthStatus,
    /// How long the run took; in JSON `latency_seconds`.
    #[serde(rename = "latency_seconds", serialize_with = "as_seconds")]
    pub latency: Duration,
    /// When the run started.
    pub timestamp: DateTime<Utc>,
    /// What is wrong, where something is.
    pub error: Option<String>,
    /// In which way it failed, if it did.
    pub class: Option<FailureClass>,
    /// What the check wanted to be known.
    pub details: Map<String, Value>,
}

fn as_seconds<S: Serializer>(latency: &Duration, serializer: S) -> Result<S::Ok, S::Error> {
    serializer.serialize_f64(latency.as_secs_f64())
}

#[cfg(test)]
mod tests {
    use super::HealthStatus::{Degraded, Healthy, Unhealthy, Unknown};

    #[test]
    fn nothing_masks_unhealthy_and_healthy_never_masks_unknown() {
        let from_best_to_worst = [Healthy, Degraded, Unknown, Unhealthy];
        for (i, a) in from_best_to_worst.into_iter().enumerate() {
            for (j, b) in from_best_to_worst.into_iter().enumerate() {
                assert_eq!(a.worse(b), from_best_to_worst[i.max(j)], "{a} and {b}");
            }
        }
    }
}
