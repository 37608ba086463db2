//! What has been since some time, told again: for a history that has lost some of it.

use std::sync::Arc;
use std::time::Duration;

use super::fact::{Fact, IncidentStep};
use super::maintenance::Maintenance;
use super::{Ledger, PROCESS};
use crate::availability::moment::{Moment, Span};
use crate::availability::periods::Periods;
use crate::availability::timeline::Timeline;

impl Ledger {
    /// Every state from then on, and each incident and maintenance that was under way since: who
    /// takes them in knows what this one does, whatever of it was lost. Counts of runs and calls are
    /// not among them.
    pub(crate) fn told_again(&self, since: Moment, now: Moment) -> Vec<Fact> {
        let span = Span::new(since, now.after(Duration::from_millis(1)));
        let process = Arc::from(PROCESS);
        let components = self.components.iter().map(|(name, one)| (Some(name), &one.timeline));
        let timelines =
            [(None, &self.system), (Some(&process), &self.process)].into_iter().chain(components);
        let mut facts: Vec<_> =
            timelines.flat_map(|(component, timeline)| states(component, timeline, span)).collect();
        facts.extend(self.ended_maintenance(Span::new(since, span.to)));
        let under_way = self.maintenance().cloned();
        facts.extend(under_way.map(|maintenance| Fact::Maintenance { ended: false, maintenance }));
        let incidents =
            self.incidents.iter().filter(|one| one.end().is_none_or(|end| end >= since));
        facts.extend(incidents.map(|incident| Fact::Incident {
            step: if incident.resolved { IncidentStep::Resolved } else { IncidentStep::Opened },
            incident: self.up_to_date(incident, now),
        }));
        facts
    }

    /// Of those that ended within that time only their times are known.
    fn ended_maintenance(&self, within: Span) -> impl Iterator<Item = Fact> {
        let components = self.components.iter().map(|(name, one)| (Some(name), &one.maintenance));
        let all = components.chain([(None, &self.announced.of_system)]);
        all.flat_map(move |(component, periods): (_, &Periods)| {
            let recent = periods.iter().filter(move |period| within.contains(period.to));
            recent.map(move |period| {
                let maintenance = Maintenance {
                    component: component.cloned(),
                    start_time: period.from.to_datetime(),
                    end_time: period.to.to_datetime(),
                    reason: "".into(),
                };
                Fact::Maintenance { ended: true, maintenance }
            })
        })
    }
}

fn states<'a>(
    component: Option<&Arc<str>>,
    timeline: &'a Timeline,
    span: Span,
) -> impl Iterator<Item = Fact> + use<'a> {
    let component = component.cloned();
    timeline.spans(span).map(move |(part, state)| Fact::State {
        component: component.clone(),
        at: part.from,
        state,
    })
}
