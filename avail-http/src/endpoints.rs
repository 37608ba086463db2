//! The bodies of the endpoints as typed values, for whoever serves them in another framework.

use std::sync::Arc;

use avail_core::{AvailabilityMonitor, CircuitBreakerRegistry, Snapshot, SystemStatus, Window};
use chrono::{DateTime, TimeDelta, Utc};

use crate::body::{
    ComponentBody, HealthBody, IncidentBody, IncidentsBody, LivenessBody, MetricsBody,
    ReadinessBody, StartupBody,
};
use crate::kept::Kept;
use crate::query::IncidentQuery;
use crate::security::{Access, Caller, Details, Sight};

/// The five bodies as typed values, which any framework can serialise.
///
/// It is a handle, and cheap to clone. No check is run for a body: each is a snapshot of what the
/// monitor knows.
///
/// ```
/// # #[tokio::main(flavor = "current_thread")] async fn main() -> Result<(), Box<dyn std::error::Error>> {
/// use avail_core::{AvailabilityMonitor, CircuitBreakerRegistry, HealthStatus};
/// use avail_http::HealthEndpoints;
///
/// let monitor = AvailabilityMonitor::builder().start().await?;
/// let endpoints = HealthEndpoints::new(monitor, CircuitBreakerRegistry::global());
///
/// let health = endpoints.health();
/// assert_eq!(health.status, HealthStatus::Healthy);
/// assert!(endpoints.readiness().ready && endpoints.liveness().alive);
/// let body = serde_json::to_string(&endpoints.metrics())?;
/// # assert!(body.contains("all_time")); assert!(endpoints.incidents().active_incidents.is_empty());
/// # Ok(()) }
/// ```
#[derive(Clone, Debug)]
pub struct HealthEndpoints {
    monitor: AvailabilityMonitor,
    breakers: CircuitBreakerRegistry,
    access: Access,
    kept: Arc<Kept>,
}

impl HealthEndpoints {
    /// What this monitor knows, and these breakers.
    pub fn new(monitor: AvailabilityMonitor, breakers: CircuitBreakerRegistry) -> Self {
        HealthEndpoints { monitor, breakers, access: Access::default(), kept: Arc::default() }
    }

    /// Those of a monitor and the breakers that it watches.
    pub(crate) fn of(monitor: &AvailabilityMonitor) -> Self {
        Self::new(monitor.clone(), monitor.breakers().clone())
    }

    /// Who is shown the texts of errors and the details of checks. Default:
    /// [`Details::Authorized`].
    pub fn details(mut self, details: Details) -> Self {
        self.access.details = details;
        self
    }

    /// The bearer token that authorizes a caller. Default, and where it is empty: there is none.
    pub fn token(mut self, token: impl AsRef<str>) -> Self {
        self.access.set_token(token.as_ref());
        self
    }

    /// Who sends this value of the header `Authorization`.
    pub fn caller(&self, authorization: Option<&[u8]>) -> Caller {
        self.access.caller(authorization)
    }

    /// The body of `/health`.
    pub fn health(&self) -> HealthBody {
        HealthBody::of(&self.status())
    }

    /// The body of `/health/{component}`; `None` where no component has that name.
    pub fn component(&self, name: &str, caller: Caller) -> Option<ComponentBody> {
        let status = self.status();
        let component = status.component(name)?;
        Some(ComponentBody::of(component, status.timestamp, self.sight(caller)))
    }

    /// The body of `/readiness`.
    pub fn readiness(&self) -> ReadinessBody {
        ReadinessBody::of(&self.status())
    }

    /// The body of `/liveness`.
    pub fn liveness(&self) -> LivenessBody {
        LivenessBody::of(&self.status())
    }

    /// The body of `/startup`.
    pub fn startup(&self) -> StartupBody {
        StartupBody::of(&self.status())
    }

    /// The body of `/metrics`, as anybody may see it.
    pub fn metrics(&self) -> MetricsBody {
        self.metrics_for(Caller::Anonymous)
    }

    /// The body of `/metrics`, as this caller may see it.
    pub fn metrics_for(&self, caller: Caller) -> MetricsBody {
        MetricsBody::of(self.snapshot(), self.sight(caller))
    }

    /// The body of `/incidents`, as anybody may see it.
    pub fn incidents(&self) -> IncidentsBody {
        self.incidents_for(Caller::Anonymous, &IncidentQuery::default())
    }

    /// The body of `/incidents`, as this caller may see it, of those that the query admits.
    pub fn incidents_for(&self, caller: Caller, query: &IncidentQuery) -> IncidentsBody {
        let (sight, now) = (self.sight(caller), self.status().timestamp);
        let list = |incidents: Vec<avail_core::Incident>| {
            let admitted = incidents.iter().filter(|incident| query.admits(incident));
            let mut bodies: Vec<_> = admitted.map(|one| IncidentBody::of(one, sight)).collect();
            let surplus = bodies.len().saturating_sub(query.limit.unwrap_or(usize::MAX));
            bodies.drain(..surplus);
            bodies
        };
        IncidentsBody {
            timestamp: now,
            active_incidents: list(self.monitor.active_incidents()),
            recent_incidents_24h: list(self.monitor.incidents(window(query.since, now))),
        }
    }

    /// Whether a component of that name is there, or was.
    pub(crate) fn knows(&self, component: &str) -> bool {
        self.status().component(component).is_some()
            || self.monitor.component_metrics(component, Window::ALL_TIME).is_some()
    }

    pub(crate) fn status(&self) -> SystemStatus {
        self.monitor.status()
    }

    pub(crate) fn snapshot(&self) -> Snapshot {
        let mut snapshot = self.monitor.snapshot();
        snapshot.breakers = self.breakers.all_metrics();
        snapshot
    }

    pub(crate) fn sight(&self, caller: Caller) -> Sight {
        self.access.sight(caller)
    }

    pub(crate) fn breakers(&self) -> &CircuitBreakerRegistry {
        &self.breakers
    }

    /// Answers of the probes, which every clone shares.
    pub(crate) fn kept(&self) -> &Kept {
        &self.kept
    }

    pub(crate) fn monitor(&self) -> &AvailabilityMonitor {
        &self.monitor
    }
}

/// The window that reaches back to `since`, with a second to spare: the query looks closer.
fn window(since: Option<DateTime<Utc>>, now: DateTime<Utc>) -> Window {
    let Some(since) = since else { return Window::HOURS_24 };
    let length = (now - since + TimeDelta::seconds(1)).to_std().unwrap_or_default();
    Window::last(length)
}
