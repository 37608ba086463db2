//! The body of `/incidents`.

use std::sync::Arc;

use avail_core::{FailureClass, Incident, Severity};
use chrono::{DateTime, Utc};
use serde::Serialize;

use super::timestamp;
use crate::security::Sight;

/// What stands for an error whose class is not known, for a caller who may not see its text.
const WITHHELD: &str = "withheld";

/// `GET /incidents`: what is failing, and what was.
#[derive(Clone, Debug, PartialEq, Serialize)]
#[non_exhaustive]
pub struct IncidentsBody {
    /// When this was so.
    #[serde(serialize_with = "timestamp::serialize")]
    pub timestamp: DateTime<Utc>,
    /// Those that are not over, oldest first.
    pub active_incidents: Vec<IncidentBody>,
    /// Those that lasted at some time of the last 24 hours, active ones included, oldest first;
    /// with `?since=`, those that lasted at that time or later.
    pub recent_incidents_24h: Vec<IncidentBody>,
}

/// One incident.
#[derive(Clone, Debug, PartialEq, Serialize)]
#[non_exhaustive]
pub struct IncidentBody {
    /// The component that failed.
    pub component: Arc<str>,
    /// When it began.
    #[serde(serialize_with = "timestamp::serialize")]
    pub start_time: DateTime<Utc>,
    /// When it was over; `null` while it lasts.
    #[serde(serialize_with = "timestamp::optional::serialize")]
    pub end_time: Option<DateTime<Utc>>,
    /// Seconds of down time, up to now while it lasts.
    pub duration_seconds: f64,
    /// What was wrong. A caller who may not see it is shown the word of its class instead, such as
    /// `timeout`, or `withheld` where the class is not known.
    pub error: Option<String>,
    /// Whether it is over.
    pub resolved: bool,
    /// Unique; sorts by time.
    pub id: Arc<str>,
    /// How bad it was at its worst.
    pub severity: Severity,
    /// When it was known.
    #[serde(serialize_with = "timestamp::serialize")]
    pub detected_at: DateTime<Utc>,
    /// How many runs failed, and how often the breaker opened.
    pub failures: u64,
    /// In which way it failed, as far as that is known.
    pub class: Option<FailureClass>,
    /// The `id` of the incident that it follows from.
    pub parent: Option<Arc<str>>,
}

impl IncidentBody {
    pub(crate) fn of(incident: &Incident, sight: Sight) -> Self {
        let instead = || incident.class.map_or(WITHHELD, FailureClass::as_str).to_owned();
        let error = incident.error.as_deref();
        IncidentBody {
            component: incident.component.clone(),
            start_time: incident.start_time,
            end_time: incident.end_time,
            duration_seconds: incident.duration_seconds,
            error: sight.text(error).or_else(|| error.map(|_| instead())),
            resolved: incident.resolved,
            id: incident.id.clone(),
            severity: incident.severity,
            detected_at: incident.detected_at,
            failures: incident.failures,
            class: incident.class,
            parent: incident.parent.clone(),
        }
    }
}
