//! The bodies of the probes: small, and made of a status alone.

use std::collections::BTreeMap;
use std::sync::Arc;

use avail_core::{ComponentStatus, FailureClass, HealthStatus, Maintenance, SystemStatus};
use chrono::{DateTime, Utc};
use serde::Serialize;
use serde_json::{Map, Value};

use super::timestamp;
use crate::security::Sight;

/// `GET /health`: how the whole system is.
#[derive(Clone, Debug, PartialEq, Serialize)]
#[non_exhaustive]
pub struct HealthBody {
    /// The system's status.
    pub status: HealthStatus,
    /// When this was so.
    #[serde(serialize_with = "timestamp::serialize")]
    pub timestamp: DateTime<Utc>,
    /// Seconds since the monitor started.
    pub uptime_seconds: f64,
    /// The system's availability of the last 24 hours; `null` where nothing was observed.
    pub availability_percentage: Option<f64>,
    /// Every component and its status.
    pub components: BTreeMap<Arc<str>, HealthStatus>,
    /// Those that do not work, critical or not.
    pub unhealthy_components: Vec<Arc<str>>,
    /// Those that work slowly, or not in every respect.
    pub degraded_components: Vec<Arc<str>>,
    /// Incidents that are not over.
    pub active_incidents: usize,
    /// Whether the whole system is in announced maintenance; left out where it is not.
    #[serde(skip_serializing_if = "std::ops::Not::not")]
    pub maintenance: bool,
}

impl HealthBody {
    pub(crate) fn of(status: &SystemStatus) -> Self {
        let named = |wanted| {
            let found = status.components.iter().filter(|one| one.status == wanted);
            found.map(|one| one.name.clone()).collect()
        };
        HealthBody {
            status: status.status,
            timestamp: status.timestamp,
            uptime_seconds: status.uptime_seconds,
            availability_percentage: status.availability_percentage,
            components: by_name(status.components.iter()),
            unhealthy_components: named(HealthStatus::Unhealthy),
            degraded_components: named(HealthStatus::Degraded),
            active_incidents: status.active_incidents,
            maintenance: status.maintenance.is_some(),
        }
    }
}

/// `GET /health/{component}`: how one component is.
#[derive(Clone, Debug, PartialEq, Serialize)]
#[non_exhaustive]
pub struct ComponentBody {
    /// Its name.
    pub component: Arc<str>,
    /// The worse of what its check and its circuit breaker say.
    pub status: HealthStatus,
    /// When this was so.
    #[serde(serialize_with = "timestamp::serialize")]
    pub timestamp: DateTime<Utc>,
    /// Since when it has been that.
    #[serde(serialize_with = "timestamp::serialize")]
    pub since: DateTime<Utc>,
    /// Whether it decides the system's status.
    pub critical: bool,
    /// The components that it can't work without.
    pub depends_on: Arc<[Arc<str>]>,
    /// Words to group components by.
    pub tags: Arc<[Arc<str>]>,
    /// Whether it changes too often to be relied on.
    pub flapping: bool,
    /// The announced maintenance that it is in, if it is; the status is the true one all the same.
    pub maintenance: Option<MaintenanceBody>,
    /// In which way it is failing, if it is.
    pub class: Option<FailureClass>,
    /// What is wrong; `null` for a caller who may not see it.
    pub error: Option<String>,
    /// What its check wanted to be known; `null` for a caller who may not see it.
    pub details: Option<Map<String, Value>>,
    /// When the last run of its check started.
    #[serde(serialize_with = "timestamp::optional::serialize")]
    pub last_check: Option<DateTime<Utc>>,
    /// How long that run took, in seconds.
    pub latency_seconds: Option<f64>,
    /// When a run of its check last ended well.
    #[serde(serialize_with = "timestamp::optional::serialize")]
    pub last_success: Option<DateTime<Utc>>,
}

impl ComponentBody {
    pub(crate) fn of(one: &ComponentStatus, timestamp: DateTime<Utc>, sight: Sight) -> Self {
        ComponentBody {
            component: one.name.clone(),
            status: one.status,
            timestamp,
            since: one.since,
            critical: one.critical,
            depends_on: one.depends_on.clone(),
            tags: one.tags.clone(),
            flapping: one.flapping,
            maintenance: MaintenanceBody::of(one.maintenance.as_ref(), sight),
            class: one.class,
            error: sight.text(one.error.as_deref()),
            details: sight.details(&one.details),
            last_check: one.last_check,
            latency_seconds: one.latency_seconds,
            last_success: one.last_success,
        }
    }
}

/// An announced maintenance.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
#[non_exhaustive]
pub struct MaintenanceBody {
    /// When it began.
    #[serde(serialize_with = "timestamp::serialize")]
    pub start_time: DateTime<Utc>,
    /// When it is announced to end.
    #[serde(serialize_with = "timestamp::serialize")]
    pub end_time: DateTime<Utc>,
    /// Why; `null` for a caller who may not see it.
    pub reason: Option<String>,
}

impl MaintenanceBody {
    pub(super) fn of(maintenance: Option<&Maintenance>, sight: Sight) -> Option<Self> {
        maintenance.map(|announced| MaintenanceBody {
            start_time: announced.start_time,
            end_time: announced.end_time,
            reason: sight.text(Some(&announced.reason)),
        })
    }
}

/// `GET /readiness`: whether it can take work.
#[derive(Clone, Debug, PartialEq, Serialize)]
#[non_exhaustive]
pub struct ReadinessBody {
    /// Whether it is started, not draining, and every component below is healthy or degraded.
    pub ready: bool,
    /// When this was so.
    #[serde(serialize_with = "timestamp::serialize")]
    pub timestamp: DateTime<Utc>,
    /// The critical components that readiness reads.
    pub critical_components: BTreeMap<Arc<str>, HealthStatus>,
    /// Those of them that keep it from being ready: unhealthy or unknown.
    pub unhealthy_critical: Vec<Arc<str>>,
    /// Those of them that are in announced maintenance: it does not change whether it is ready.
    /// Left out where there are none.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub critical_in_maintenance: Vec<Arc<str>>,
}

impl ReadinessBody {
    pub(crate) fn of(status: &SystemStatus) -> Self {
        let failing = status.critical().filter(|one| !one.status.is_up());
        let announced = status.critical().filter(|one| one.maintenance.is_some());
        ReadinessBody {
            ready: status.ready,
            timestamp: status.timestamp,
            critical_components: by_name(status.critical()),
            unhealthy_critical: failing.map(|one| one.name.clone()).collect(),
            critical_in_maintenance: announced.map(|one| one.name.clone()).collect(),
        }
    }
}

/// `GET /liveness`: whether a restart would not help.
#[derive(Clone, Debug, PartialEq, Serialize)]
#[non_exhaustive]
pub struct LivenessBody {
    /// Whether the process is in order, whatever it depends on.
    pub alive: bool,
    /// When this was so.
    #[serde(serialize_with = "timestamp::serialize")]
    pub timestamp: DateTime<Utc>,
    /// Seconds since the monitor started.
    pub uptime_seconds: f64,
    /// Open incidents that have lasted longer than the monitor's `prolonged_after`.
    pub prolonged_incidents: usize,
}

impl LivenessBody {
    pub(crate) fn of(status: &SystemStatus) -> Self {
        LivenessBody {
            alive: status.alive,
            timestamp: status.timestamp,
            uptime_seconds: status.uptime_seconds,
            prolonged_incidents: status.prolonged_incidents,
        }
    }
}

/// `GET /startup`: whether it has started.
#[derive(Clone, Debug, PartialEq, Serialize)]
#[non_exhaustive]
pub struct StartupBody {
    /// Whether every critical check has passed once.
    pub started: bool,
    /// When this was so.
    #[serde(serialize_with = "timestamp::serialize")]
    pub timestamp: DateTime<Utc>,
    /// Seconds since the monitor started.
    pub uptime_seconds: f64,
}

impl StartupBody {
    pub(crate) fn of(status: &SystemStatus) -> Self {
        StartupBody {
            started: status.started,
            timestamp: status.timestamp,
            uptime_seconds: status.uptime_seconds,
        }
    }
}

fn by_name<'a>(
    components: impl Iterator<Item = &'a ComponentStatus>,
) -> BTreeMap<Arc<str>, HealthStatus> {
    components.map(|one| (one.name.clone(), one.status)).collect()
}
