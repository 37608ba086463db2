//! The body of `/metrics` in JSON: everything in figures.

use std::collections::BTreeMap;
use std::sync::Arc;

use avail_core::{
    AvailabilityMetrics, CircuitBreakerMetrics, ComponentSnapshot, ComponentStatus, FailureClass,
    HealthStatus, IncidentTotals, Probe, Slo, Snapshot,
};
use chrono::{DateTime, Utc};
use serde::Serialize;
use serde_json::{Map, Value};

use super::probes::MaintenanceBody;
use super::timestamp;
use crate::security::Sight;

/// `GET /metrics`: everything in figures.
#[derive(Clone, Debug, Serialize)]
#[non_exhaustive]
pub struct MetricsBody {
    /// When this was so.
    #[serde(serialize_with = "timestamp::serialize")]
    pub timestamp: DateTime<Utc>,
    /// The system's availability, by window.
    pub availability: Windows,
    /// Runs of checks since the first record.
    pub health_checks: CheckTotals,
    /// Each component.
    pub components: BTreeMap<Arc<str>, ComponentFigures>,
    /// Each circuit breaker.
    pub circuit_breakers: Vec<CircuitBreakerMetrics>,
    /// Incidents in numbers.
    pub incidents: IncidentCounts,
    /// The system's objective.
    pub slo: Slo,
}

impl MetricsBody {
    pub(crate) fn of(snapshot: Snapshot, sight: Sight) -> Self {
        let statuses = snapshot.status.components.iter();
        let components = statuses.zip(&snapshot.components).map(|(status, figures)| {
            (status.name.clone(), ComponentFigures::of(status, figures, sight))
        });
        MetricsBody {
            timestamp: snapshot.status.timestamp,
            availability: Windows::of(&snapshot.availability),
            health_checks: CheckTotals::of(&snapshot.availability),
            components: components.collect(),
            circuit_breakers: snapshot.breakers.into_iter().map(|one| seen(one, sight)).collect(),
            incidents: IncidentCounts::of(&snapshot.incidents),
            slo: snapshot.slo,
        }
    }
}

/// The breaker without what an operator wrote, where that may not be seen.
fn seen(mut breaker: CircuitBreakerMetrics, sight: Sight) -> CircuitBreakerMetrics {
    if let Some(laid) = &mut breaker.active_override {
        for text in [&mut laid.actor, &mut laid.reason] {
            *text = sight.text(Some(text)).unwrap_or_else(|| WITHHELD.into()).into();
        }
    }
    breaker
}

/// Stands where a text must, and may not be seen.
const WITHHELD: &str = "withheld";

/// The figures of the four windows.
#[derive(Clone, Debug, PartialEq, Serialize)]
#[non_exhaustive]
pub struct Windows {
    /// The last 24 hours; in JSON `24h`.
    #[serde(rename = "24h")]
    pub hours_24: WindowFigures,
    /// The last 7 days; in JSON `7d`.
    #[serde(rename = "7d")]
    pub days_7: WindowFigures,
    /// The last 30 days; in JSON `30d`.
    #[serde(rename = "30d")]
    pub days_30: WindowFigures,
    /// Since the first record.
    pub all_time: WindowFigures,
}

impl Windows {
    fn of([day, week, month, all]: &[AvailabilityMetrics; 4]) -> Self {
        Windows {
            hours_24: WindowFigures::of(day),
            days_7: WindowFigures::of(week),
            days_30: WindowFigures::of(month),
            all_time: WindowFigures::of(all),
        }
    }
}

/// How available something was in one window. See [`AvailabilityMetrics`] for the formulas.
#[derive(Clone, Debug, PartialEq, Serialize)]
#[non_exhaustive]
pub struct WindowFigures {
    /// Availability in percent; `null` where nothing was observed.
    pub percentage: Option<f64>,
    /// Seconds that it worked.
    pub uptime_seconds: f64,
    /// Seconds that it did not work.
    pub downtime_seconds: f64,
    /// Mean time between failures, in seconds; `null` without a failure.
    pub mtbf: Option<f64>,
    /// Mean time to recovery, in seconds; `null` without one.
    pub mttr: Option<f64>,
    /// The part of the window that the percentage speaks of, 0 to 1.
    pub coverage: f64,
    /// Seconds that it worked slowly, or not in every respect.
    pub degraded_seconds: f64,
    /// Seconds in which nobody looked.
    pub unobserved_seconds: f64,
    /// Seconds of announced maintenance.
    pub maintenance_seconds: f64,
    /// Failures with down time in the window.
    pub incidents: u64,
    /// Without a failure: the least that the mean time between failures can be, in seconds.
    pub mtbf_at_least: Option<f64>,
    /// Of how many recoveries that is the mean.
    pub mttr_count: u64,
    /// The median time to recovery, in seconds.
    pub mttr_p50: Option<f64>,
    /// The longest time to recovery, in seconds.
    pub mttr_max: Option<f64>,
    /// When the latest failure began.
    #[serde(serialize_with = "timestamp::optional::serialize")]
    pub last_incident: Option<DateTime<Utc>>,
    /// Calls through its circuit breakers that succeeded, as a part of those that succeeded or
    /// failed, 0 to 1; `null` where there were none.
    pub success_ratio: Option<f64>,
    /// How coarse the window's beginning is, in seconds; 0 where it is exact.
    pub resolution_seconds: f64,
}

impl WindowFigures {
    fn of(metrics: &AvailabilityMetrics) -> Self {
        WindowFigures {
            percentage: metrics.availability_percentage,
            uptime_seconds: metrics.uptime_seconds,
            downtime_seconds: metrics.downtime_seconds,
            mtbf: metrics.mtbf,
            mttr: metrics.mttr,
            coverage: metrics.coverage,
            degraded_seconds: metrics.degraded_seconds,
            unobserved_seconds: metrics.unobserved_seconds,
            maintenance_seconds: metrics.maintenance_seconds,
            incidents: metrics.incidents,
            mtbf_at_least: metrics.mtbf_at_least,
            mttr_count: metrics.mttr_count,
            mttr_p50: metrics.mttr_p50,
            mttr_max: metrics.mttr_max,
            last_incident: metrics.last_incident,
            success_ratio: metrics.success_ratio,
            resolution_seconds: metrics.resolution_seconds,
        }
    }
}

/// Runs of checks since the first record.
#[derive(Clone, Copy, Debug, PartialEq, Serialize)]
#[non_exhaustive]
pub struct CheckTotals {
    /// How many completed.
    pub total: u64,
    /// Those that succeeded, slow ones included.
    pub successful: u64,
    /// Those that failed.
    pub failed: u64,
    /// Successful ones in percent of all; `null` where there were none.
    pub success_rate: Option<f64>,
}

impl CheckTotals {
    fn of([.., all]: &[AvailabilityMetrics; 4]) -> Self {
        let (total, successful) = (all.total_checks, all.successful_checks);
        CheckTotals {
            total,
            successful,
            failed: all.failed_checks,
            success_rate: (total > 0).then(|| successful as f64 / total as f64 * 100.0),
        }
    }
}

/// One component in figures.
#[derive(Clone, Debug, PartialEq, Serialize)]
#[non_exhaustive]
pub struct ComponentFigures {
    /// The worse of what its check and its circuit breaker say.
    pub status: HealthStatus,
    /// Since when it has been that.
    #[serde(serialize_with = "timestamp::serialize")]
    pub since: DateTime<Utc>,
    /// Whether it decides the system's status and availability.
    pub critical: bool,
    /// Which endpoint reads it.
    pub probe: Probe,
    /// The components that it can't work without.
    pub depends_on: Arc<[Arc<str>]>,
    /// Words to group components by.
    pub tags: Arc<[Arc<str>]>,
    /// Whether it changes too often to be relied on.
    pub flapping: bool,
    /// The announced maintenance that it is in, if it is.
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
    /// Its availability, by window.
    pub availability: Windows,
    /// Runs of its check since the first record.
    pub health_checks: CheckTotals,
    /// Its incidents in numbers.
    pub incidents: IncidentCounts,
    /// Its objective.
    pub slo: Slo,
}

impl ComponentFigures {
    fn of(status: &ComponentStatus, figures: &ComponentSnapshot, sight: Sight) -> Self {
        ComponentFigures {
            status: status.status,
            since: status.since,
            critical: status.critical,
            probe: status.probe,
            depends_on: status.depends_on.clone(),
            tags: status.tags.clone(),
            flapping: status.flapping,
            maintenance: MaintenanceBody::of(status.maintenance.as_ref(), sight),
            class: status.class,
            error: sight.text(status.error.as_deref()),
            details: sight.details(&status.details),
            last_check: status.last_check,
            latency_seconds: status.latency_seconds,
            last_success: status.last_success,
            availability: Windows::of(&figures.availability),
            health_checks: CheckTotals::of(&figures.availability),
            incidents: IncidentCounts::of(&figures.incidents),
            slo: figures.slo.clone(),
        }
    }
}

/// Incidents in numbers.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[non_exhaustive]
pub struct IncidentCounts {
    /// Not over.
    pub active: usize,
    /// That lasted at some time of the last 24 hours.
    pub total_24h: usize,
    /// That lasted at some time of the last 7 days.
    pub total_7d: usize,
}

impl IncidentCounts {
    fn of(totals: &IncidentTotals) -> Self {
        IncidentCounts {
            active: totals.active,
            total_24h: totals.total_24h,
            total_7d: totals.total_7d,
        }
    }
}
