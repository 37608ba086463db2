//! What a monitor shows: values of one moment, for endpoints and for programs.

use std::sync::Arc;

use chrono::{DateTime, Utc};
use serde::Serialize;
use serde_json::{Map, Value};

use crate::availability::component::{LatencyHistogram, RunCounts};
use crate::availability::{AvailabilityMetrics, Incident, Maintenance, Slo, StateSeconds};
use crate::breaker::{BreakerEvent, CircuitBreakerMetrics, Mode};
use crate::health::{FailureClass, HealthCheckResult, HealthStatus, Probe};
use crate::history::HistoryStatus;
use crate::settings::Reload;

/// The whole system at one moment: what probes read. Cheap, and no user code is run for it.
#[derive(Clone, Debug, Serialize)]
#[non_exhaustive]
pub struct SystemStatus {
    /// Unhealthy if a critical component is; else unknown if one is; else degraded if anything is,
    /// or if a component is unhealthy that is not critical; else healthy.
    pub status: HealthStatus,
    /// When this was so.
    pub timestamp: DateTime<Utc>,
    /// Seconds since the process started.
    pub uptime_seconds: f64,
    /// The system's availability of the last 24 hours; `None` where nothing was observed.
    pub availability_percentage: Option<f64>,
    /// Whether it is started, not draining, not switched off by hand, and every critical component
    /// that readiness reads is healthy or degraded.
    pub ready: bool,
    /// Whether a restart would not help: the runtime's heartbeat is young, nothing is fatal, no
    /// check that is declared for liveness is down, and it is not stuck.
    pub alive: bool,
    /// Whether the runtime that runs the checks answers: its heartbeat is young.
    pub responsive: bool,
    /// Whether every critical check has passed once.
    pub started: bool,
    /// Whether it takes no new work, since it is about to end.
    pub draining: bool,
    /// Whether readiness is switched off by hand.
    pub switched_off: bool,
    /// Whether an incident is prolonged where the builder was told that only a restart cures that.
    pub stuck: bool,
    /// Whether checks are being run.
    pub running: bool,
    /// Why the process can't go on, if somebody said so.
    pub fatal: Option<String>,
    /// The maintenance that the whole system is in, if it is.
    pub maintenance: Option<Maintenance>,
    /// Incidents that are not over.
    pub active_incidents: usize,
    /// Those of them that have lasted longer than `prolonged_after`.
    pub prolonged_incidents: usize,
    /// Every component, sorted by name.
    pub components: Vec<ComponentStatus>,
}

impl SystemStatus {
    /// The component of that name.
    pub fn component(&self, name: &str) -> Option<&ComponentStatus> {
        self.components.iter().find(|component| &*component.name == name)
    }

    /// The critical components that readiness reads.
    pub fn critical(&self) -> impl Iterator<Item = &ComponentStatus> {
        self.components.iter().filter(|component| component.gates_readiness())
    }

    /// The worst of the components, by the rule of [`SystemStatus::status`].
    pub(crate) fn overall(components: &[ComponentStatus]) -> HealthStatus {
        let seen = components.iter().map(|component| match component.status {
            status if component.critical => status,
            HealthStatus::Unhealthy | HealthStatus::Degraded => HealthStatus::Degraded,
            HealthStatus::Healthy | HealthStatus::Unknown => HealthStatus::Healthy,
        });
        seen.fold(HealthStatus::Healthy, HealthStatus::worse)
    }
}

/// One component at one moment.
#[derive(Clone, Debug, Serialize)]
#[non_exhaustive]
pub struct ComponentStatus {
    /// Its name.
    pub name: Arc<str>,
    /// The worse of what its check and its circuit breaker say.
    pub status: HealthStatus,
    /// Since when it has been that.
    pub since: DateTime<Utc>,
    /// Whether it decides the overall status and the system's availability.
    pub critical: bool,
    /// Which endpoint reads it.
    pub probe: Probe,
    /// The components that it can't work without.
    pub depends_on: Arc<[Arc<str>]>,
    /// Words to group components by.
    pub tags: Arc<[Arc<str>]>,
    /// Whether it changes too often to be relied on: six times within ten minutes, and not yet
    /// fewer than three times.
    pub flapping: bool,
    /// The maintenance that it is in, its own or that of the whole system. It hides nothing: the
    /// status is the true one, and readiness goes by that.
    pub maintenance: Option<Maintenance>,
    /// In which way it is failing, if it is.
    pub class: Option<FailureClass>,
    /// What is wrong, in the words of the check's last run.
    pub error: Option<String>,
    /// What the check's last run wanted to be known.
    pub details: Map<String, Value>,
    /// When the last run of its check started.
    pub last_check: Option<DateTime<Utc>>,
    /// How long that run took, in seconds.
    pub latency_seconds: Option<f64>,
    /// When a run of its check last ended well.
    pub last_success: Option<DateTime<Utc>>,
}

impl ComponentStatus {
    /// Whether readiness reads it: it is critical and declared for readiness.
    pub fn gates_readiness(&self) -> bool {
        self.critical && self.probe == Probe::Readiness
    }
}

/// Everything at one moment: what `/metrics` shows.
#[derive(Clone, Debug, Serialize)]
#[non_exhaustive]
pub struct Snapshot {
    /// The system.
    pub status: SystemStatus,
    /// The availability target, in percent.
    pub target: f64,
    /// The system's figures, in the order of [`Window::ALL`](crate::Window::ALL).
    pub availability: [AvailabilityMetrics; 4],
    /// The system's objective.
    pub slo: Slo,
    /// The system's time, since the process started.
    pub state_seconds: StateSeconds,
    /// Every component, in the order of `status.components`.
    pub components: Vec<ComponentSnapshot>,
    /// The process itself: it is down from the last sign of life of a boot that ended uncleanly to
    /// the next start.
    pub process: ProcessSnapshot,
    /// Incidents in numbers.
    pub incidents: IncidentTotals,
    /// Runs of checks by hand that were not recorded, since there are too many components; see
    /// [`AvailabilityMonitor::MAX_COMPONENTS_BY_HAND`](crate::AvailabilityMonitor::MAX_COMPONENTS_BY_HAND).
    pub unrecorded_checks: u64,
    /// Every circuit breaker, sorted by name.
    pub breakers: Vec<CircuitBreakerMetrics>,
    /// The switch for all breakers.
    pub mode: Mode,
    /// How the history is doing.
    pub history: HistoryStatus,
}

/// One component in figures.
#[derive(Clone, Debug, Serialize)]
#[non_exhaustive]
pub struct ComponentSnapshot {
    /// Its name.
    pub name: Arc<str>,
    /// Its figures, in the order of [`Window::ALL`](crate::Window::ALL).
    pub availability: [AvailabilityMetrics; 4],
    /// Its objective.
    pub slo: Slo,
    /// Its time, since the process started.
    pub state_seconds: StateSeconds,
    /// How its runs ended, since the process started.
    pub runs: RunCounts,
    /// How long they took.
    pub latency: LatencyHistogram,
    /// Its incidents.
    pub incidents: IncidentTotals,
}

/// The built-in component `process` in figures.
#[derive(Clone, Debug, Serialize)]
#[non_exhaustive]
pub struct ProcessSnapshot {
    /// Its figures, in the order of [`Window::ALL`](crate::Window::ALL).
    pub availability: [AvailabilityMetrics; 4],
    /// Its incidents.
    pub incidents: IncidentTotals,
}

/// Incidents in numbers.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize)]
#[non_exhaustive]
pub struct IncidentTotals {
    /// Not over.
    pub active: usize,
    /// That lasted at some time of the last 24 hours.
    pub total_24h: usize,
    /// That lasted at some time of the last 7 days.
    pub total_7d: usize,
    /// That began since the first record, as minor ones.
    pub minor: u64,
    /// That began, or became, major ones.
    pub major: u64,
    /// That began, or became, critical ones.
    pub critical: u64,
}

impl IncidentTotals {
    /// Each with its label in the metric `avail_incidents_total`.
    pub fn by_severity(&self) -> [(&'static str, u64); 3] {
        [("minor", self.minor), ("major", self.major), ("critical", self.critical)]
    }
}

/// What a monitor tells its subscribers, in the order in which it happened.
#[derive(Clone, Debug, Serialize)]
#[serde(rename_all = "snake_case", tag = "event")]
#[non_exhaustive]
pub enum Event {
    /// Every critical check has passed for the first time.
    Started,
    /// A run of a check completed.
    CheckCompleted(HealthCheckResult),
    /// What is shown of a component changed.
    #[non_exhaustive]
    StatusChanged {
        /// Which.
        component: Arc<str>,
        /// What it was.
        from: HealthStatus,
        /// What it is.
        to: HealthStatus,
        /// What is wrong, if something is.
        error: Option<String>,
    },
    /// A component went down, or its breaker opened.
    IncidentOpened(Incident),
    /// It failed again so soon that it is the same incident.
    IncidentReopened(Incident),
    /// An open incident got worse.
    IncidentRaised(Incident),
    /// A component that it depends on is down too, which was noticed later: it follows from the
    /// incident that its `parent` names now.
    IncidentAdopted(Incident),
    /// It is over.
    IncidentResolved(Incident),
    /// A component changed six times within ten minutes: it is at least degraded from now on.
    #[non_exhaustive]
    FlappingBegan {
        /// Which.
        component: Arc<str>,
    },
    /// It changed fewer than three times within the last ten minutes.
    #[non_exhaustive]
    FlappingEnded {
        /// Which.
        component: Arc<str>,
    },
    /// A maintenance was announced, or given another end.
    MaintenanceBegan(Maintenance),
    /// It is over, as announced or before.
    MaintenanceEnded(Maintenance),
    /// A circuit breaker changed.
    BreakerChanged(BreakerEvent),
    /// The settings were read anew, and hold.
    Reloaded(Reload),
    /// They were to be read anew, and stay as they were.
    #[non_exhaustive]
    ReloadRefused {
        /// Why.
        error: String,
    },
    /// It takes no new work from now on.
    Draining,
    /// Somebody said that the process can't go on.
    #[non_exhaustive]
    Fatal {
        /// Why.
        reason: String,
    },
    /// The monitor stopped.
    Stopped,
}
