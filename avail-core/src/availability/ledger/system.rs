//! The incidents of the whole system: the union of those of its critical components and of the
//! process. They are worked out from its timeline and kept nowhere, so that they can't say anything
//! else than its figures do.

use std::sync::Arc;

use super::Ledger;
use crate::availability::incident::{Incident, Severity};
use crate::availability::metrics::Window;
use crate::availability::moment::{Moment, Span};
use crate::availability::timeline::Outage;

/// What stands for the component in an incident of the whole system.
const SYSTEM: &str = "system";

impl Ledger {
    /// Oldest first. However many components were down together, it is one; so are those of one hour,
    /// day or month, long ago, that are only known as a sum.
    pub(crate) fn system_incidents(&self, window: Window, now: Moment) -> Vec<Incident> {
        let span = window.span(Moment(i64::MIN), now.after(std::time::Duration::from_millis(1)));
        let critical = self.incidents.iter().filter(|one| one.severity == Severity::Critical);
        let mut causes: Vec<_> = critical.filter(|one| one.overlaps(span)).collect();
        causes.sort_by(|a, b| a.id.cmp(&b.id));
        let outages = self.system.outages(now);
        let within = outages.back().filter(|one| one.start < span.to && one.end > span.from);
        let mut incidents: Vec<_> = within.map(|outage| of_system(outage, &causes)).collect();
        incidents.reverse();
        incidents
    }
}

fn of_system(outage: &Outage, causes: &[&Incident]) -> Incident {
    let span = Span::new(outage.start, outage.end);
    let mut causes = causes.iter().filter(|one| one.overlaps(span)).peekable();
    let first = causes.peek().copied().copied();
    let name: Arc<str> = SYSTEM.into();
    let mut incident = Incident::new(&name, Severity::Critical, outage.start, outage.start);
    incident.error = first.and_then(|first| first.error.clone());
    incident.class = first.and_then(|first| first.class);
    incident.detected_at = first.map_or(incident.start_time, |first| first.detected_at);
    for cause in causes {
        incident.failures += cause.failures;
        incident.detected_at = incident.detected_at.min(cause.detected_at);
    }
    incident.duration_seconds = outage.down as f64 / 1000.0;
    incident.resolved = !outage.open;
    incident.end_time = (!outage.open).then(|| outage.end.to_datetime());
    incident
}
