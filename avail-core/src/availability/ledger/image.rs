//! What outlives the process: taken out of a ledger for a snapshot of the history, and put back.

use std::collections::BTreeMap;
use std::sync::Arc;

use serde::{Deserialize, Serialize};

use super::{Ledger, PROCESS};
use crate::availability::checks::CheckHistory;
use crate::availability::incident::Incident;
use crate::availability::periods::Periods;
use crate::availability::timeline::{Timeline, TimelineImage};

/// What a component, or without one the system, has been.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub(crate) struct PastImage {
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(crate) component: Option<Arc<str>>,
    pub(crate) timeline: TimelineImage,
    pub(crate) checks: CheckHistory,
    pub(crate) calls: CheckHistory,
    /// When it was in maintenance of late, or is.
    #[serde(default, skip_serializing_if = "Periods::is_empty")]
    pub(crate) maintenance: Periods,
}

impl PastImage {
    fn of(component: Option<Arc<str>>, timeline: &Timeline) -> Self {
        PastImage {
            component,
            timeline: timeline.into(),
            checks: CheckHistory::default(),
            calls: CheckHistory::default(),
            maintenance: Periods::default(),
        }
    }
}

impl Ledger {
    /// How many [`pasts`](Self::pasts) there are.
    pub(crate) fn past_count(&self) -> usize {
        self.components.len() + 2
    }

    /// The past of the system, of the process, and of every component.
    pub(crate) fn pasts(&self) -> impl Iterator<Item = PastImage> {
        let mut system = PastImage::of(None, &self.system);
        system.maintenance = self.announced.of_system.clone();
        let process = PastImage::of(Some(PROCESS.into()), &self.process);
        let components = self.components.values().map(|component| PastImage {
            checks: component.checks.clone(),
            calls: component.calls.clone(),
            maintenance: component.maintenance.clone(),
            ..PastImage::of(Some(component.name.clone()), &component.timeline)
        });
        [system, process].into_iter().chain(components)
    }

    /// Puts one of them back. Gives whether it could be.
    pub(crate) fn restore_past(&mut self, past: PastImage) -> bool {
        let Some(timeline) = past.timeline.restore() else { return false };
        match past.component {
            None => {
                self.system = timeline;
                self.announced.of_system = past.maintenance;
            }
            Some(name) if &*name == PROCESS => self.process = timeline,
            Some(name) => {
                let component = self.component(&name, timeline.origin());
                component.timeline = timeline;
                (component.checks, component.calls) = (past.checks, past.calls);
                component.maintenance = past.maintenance;
            }
        }
        true
    }

    /// The incidents that are kept, in the order in which they are put back.
    pub(crate) fn past_incidents(&self) -> impl Iterator<Item = &Incident> {
        self.incidents.iter()
    }

    /// How many incidents there ever were, by component and severity.
    pub(crate) fn incidents_opened(&self) -> BTreeMap<Arc<str>, [u64; 3]> {
        self.incidents.opened_by_component()
    }

    /// After the incidents themselves have been put back.
    pub(crate) fn restore_incidents_opened(&mut self, opened: BTreeMap<Arc<str>, [u64; 3]>) {
        self.incidents.restore_opened(opened);
    }

    /// Where a state that the history tells of belongs.
    pub(super) fn timeline_of(
        &mut self,
        whose: Option<&Arc<str>>,
        at: crate::availability::Moment,
    ) -> &mut Timeline {
        match whose {
            None => &mut self.system,
            Some(name) if &**name == PROCESS => &mut self.process,
            Some(name) => &mut self.component(name, at).timeline,
        }
    }
}

#[cfg(test)]
mod tests {
    use crate::availability::checks::CheckCounts;
    use crate::availability::component::{BreakerSide, CheckSide, Component};
    use crate::availability::ledger::CheckTerms;
    use crate::availability::{ComponentState, Moment};

    /// A component that has changed and been checked all the time.
    fn busy(days: i64, every_minutes: i64) -> Component {
        let mut component = Component::new("c".into(), Moment(0));
        component.check = Some(CheckSide::new(CheckTerms::by_hand(), Moment(0)));
        component.breaker = Some(BreakerSide::new(false, Moment(0)));
        for minute in (0..days * 1_440).step_by(every_minutes as usize) {
            let (at, state) = (Moment(minute * 60_000), ComponentState::ALL[minute as usize % 3]);
            component.timeline.set_from(at, state);
            if let (Some(check), Some(breaker)) = (&mut component.check, &mut component.breaker) {
                check.track.set_from(at, state);
                breaker.track.set_from(at, state);
            }
            let counts = CheckCounts { successful: 1, failed: 1 };
            component.checks.add(at, counts);
            component.calls.add(at, counts);
        }
        component.timeline.outages(Moment(days * 86_400_000));
        component
    }

    fn bytes(component: &Component) -> usize {
        let check = component.check.as_ref().map_or(0, |check| check.track.heap());
        let breaker = component.breaker.as_ref().map_or(0, |breaker| breaker.track.heap());
        let past = component.timeline.heap() + component.checks.heap() + component.calls.heap();
        size_of::<Component>() + check + breaker + past
    }

    #[test]
    fn a_component_takes_four_kib_at_rest_and_sixty_four_with_ninety_days_of_history() {
        assert!(bytes(&busy(0, 1)) <= 4 << 10, "{} bytes", bytes(&busy(0, 1)));
        for every_minutes in [1, 7, 10, 31, 61, 601] {
            let bytes = bytes(&busy(90, every_minutes));
            assert!(bytes <= 64 << 10, "{bytes} bytes, a change every {every_minutes} min");
        }
    }
}
