//! What follows from what happened, and what goes in.

use std::sync::Arc;

use super::maintenance::Maintenance;
use crate::availability::incident::Incident;
use crate::availability::moment::Moment;
use crate::availability::timeline::ComponentState;
use crate::health::{FailureClass, HealthCheckResult, HealthStatus, Probe, Schedule};

/// Something that follows from what happened.
#[derive(Clone, Debug, PartialEq)]
pub(crate) enum Fact {
    /// From `at` on it is counted as that. `None`: the system.
    State {
        component: Option<Arc<str>>,
        at: Moment,
        state: ComponentState,
    },
    /// What is shown of a component changed.
    Status {
        component: Arc<str>,
        from: HealthStatus,
        to: HealthStatus,
        error: Option<String>,
    },
    Incident {
        step: IncidentStep,
        incident: Incident,
    },
    Maintenance {
        ended: bool,
        maintenance: Maintenance,
    },
    /// It has begun, or ceased, to change too often.
    Flapping {
        component: Arc<str>,
        ended: bool,
    },
    /// Every critical check has passed for the first time.
    Started,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum IncidentStep {
    Opened,
    Reopened,
    /// It got worse.
    Raised,
    /// It follows from another one, which was noticed later.
    Adopted,
    Resolved,
}

impl IncidentStep {
    pub(crate) fn as_str(self) -> &'static str {
        match self {
            IncidentStep::Opened => "opened",
            IncidentStep::Reopened => "reopened",
            IncidentStep::Raised => "raised",
            IncidentStep::Adopted => "adopted",
            IncidentStep::Resolved => "resolved",
        }
    }
}

/// What an incident is told of a failure.
#[derive(Debug, Default)]
pub(super) struct Failure {
    pub(super) count: u64,
    pub(super) class: Option<FailureClass>,
    pub(super) error: Option<String>,
}

impl Failure {
    pub(super) fn of(run: &HealthCheckResult) -> Self {
        Failure { count: 1, class: run.class, error: run.error.clone() }
    }

    /// What is known of the latest failure stands in for what was known before.
    pub(super) fn note_in(self, incident: &mut Incident) {
        incident.failures += self.count;
        incident.class = self.class.or(incident.class);
        incident.error = self.error.or(incident.error.take());
    }
}

/// How a check joins.
#[derive(Clone, Debug)]
pub(crate) struct CheckTerms {
    pub(crate) critical: bool,
    pub(crate) probe: Probe,
    pub(crate) schedule: Option<Schedule>,
    pub(crate) depends_on: Arc<[Arc<str>]>,
    pub(crate) tags: Arc<[Arc<str>]>,
}

impl CheckTerms {
    /// Known only because it was run by hand.
    pub(crate) fn by_hand() -> Self {
        CheckTerms {
            critical: false,
            probe: Probe::None,
            schedule: None,
            depends_on: Arc::default(),
            tags: Arc::default(),
        }
    }
}
