//! When incidents begin and end.

use std::sync::Arc;

use super::fact::{Fact, Failure, IncidentStep};
use super::{Ledger, PROCESS};
use crate::availability::incident::{Incident, Severity};
use crate::availability::moment::{Moment, Span};
use crate::availability::timeline::ComponentState;
use crate::health::FailureClass;

impl Ledger {
    pub(super) fn went_down(
        &mut self,
        name: &Arc<str>,
        critical: bool,
        since: Moment,
        failure: Failure,
        now: Moment,
    ) {
        let severity = if critical { Severity::Critical } else { Severity::Major };
        let Some(since) = self.accountable_from(name, since, now) else { return };
        if self.incidents.open_of(name).is_none() {
            return self.open(name, severity, since, failure, now);
        }
        self.incidents.raise(name, severity);
        if let Some(incident) = self.incidents.open_of_mut(name) {
            failure.note_in(incident);
            // A breaker may have opened in the middle of the streak that a threshold waited for.
            incident.start_time = incident.start_time.min(since.to_datetime());
        }
        self.relate(name, now);
        self.tell(name, IncidentStep::Raised, now);
    }

    pub(super) fn open(
        &mut self,
        name: &Arc<str>,
        severity: Severity,
        since: Moment,
        failure: Failure,
        now: Moment,
    ) {
        let goes_on = self.has_not_served_since_the_last(name, since);
        let reopened = self.incidents.open(name, severity, since, now, goes_on);
        if let Some(incident) = self.incidents.open_of_mut(name) {
            failure.note_in(incident);
        }
        self.relate(name, now);
        let step = if reopened { IncidentStep::Reopened } else { IncidentStep::Opened };
        self.tell(name, step, now);
    }

    /// The check passes: the incident is over, unless a critical breaker keeps the component down.
    pub(super) fn came_up(&mut self, name: &str, since: Moment) {
        let held = self.components.get(name).and_then(|c| c.breaker.as_ref());
        if held.is_some_and(|breaker| breaker.critical && !breaker.is_closed()) {
            return;
        }
        if self.incidents.open_of(name).is_some_and(Incident::has_downtime) {
            self.resolve(name, since);
        }
    }

    pub(super) fn resolve(&mut self, name: &str, end: Moment) {
        let Some(resolved) = self.incidents.resolve(name, end).cloned() else { return };
        let seconds = self.duration_seconds(&resolved, end);
        let incident = Incident { duration_seconds: seconds, ..resolved };
        self.incidents.restore(incident.clone());
        self.facts.push(Fact::Incident { step: IncidentStep::Resolved, incident });
    }

    /// Puts the component's open incident among the facts.
    pub(super) fn tell(&mut self, name: &str, step: IncidentStep, now: Moment) {
        let Some(incident) = self.incidents.open_of(name) else { return };
        let incident = self.up_to_date(incident, now);
        self.facts.push(Fact::Incident { step, incident });
    }

    pub(super) fn duration_seconds(&self, incident: &Incident, now: Moment) -> f64 {
        let span = Span::new(incident.start(), incident.end().unwrap_or(now));
        let timeline = if &*incident.component == PROCESS {
            Some(&self.process)
        } else {
            self.components.get(&incident.component).map(|component| &component.timeline)
        };
        let millis = match timeline {
            Some(timeline) if incident.has_downtime() => {
                timeline.totals(span).of(ComponentState::Down)
            }
            Some(timeline) => span.length() - timeline.totals(span).of(ComponentState::Maintenance),
            None => span.length(),
        };
        millis as f64 / 1000.0
    }

    /// An opening is noted in the open incident; where there is none it starts one.
    pub(super) fn opened(
        &mut self,
        name: &Arc<str>,
        critical: bool,
        at: Moment,
        error: String,
        now: Moment,
    ) {
        if let Some(incident) = self.incidents.open_of_mut(name) {
            incident.failures += 1;
            return;
        }
        if self.accountable_from(name, at, now).is_none() {
            return;
        }
        let severity = if critical { Severity::Critical } else { Severity::Minor };
        let class = Some(FailureClass::Open);
        let failure = Failure { count: 1, class, error: Some(error) };
        self.open(name, severity, at, failure, now);
    }
}
