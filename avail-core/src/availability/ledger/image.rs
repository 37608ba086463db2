//! What outlives the process: taken out of a ledger for a snapshot of the history, and put back.

use std::collections::BTreeMap;
use std::sync::Arc;

use super::{Ledger, PROCESS};
use crate::availability::checks::CheckHistory;
use crate::availability::component::Component;
use crate::availability::incident::Incident;
use crate::availability::timeline::{Timeline, TimelineImage};

/// Whose timeline it is. `None`: the system's.
pub(crate) type Whose = Option<Arc<str>>;

impl Ledger {
    /// How many [`pasts`](Self::pasts) there are.
    pub(crate) fn past_count(&self) -> usize {
        self.components.len() + 2
    }

    /// The past of the system, of the process, and of every component.
    pub(crate) fn pasts(&self) -> impl Iterator<Item = (Whose, TimelineImage, CheckHistory)> {
        let system = (None, (&self.system).into(), CheckHistory::default());
        let process = (Some(PROCESS.into()), (&self.process).into(), CheckHistory::default());
        let components = self.components.values().map(|component| {
            let Component { name, timeline, checks, .. } = component;
            (Some(name.clone()), timeline.into(), checks.clone())
        });
        [system, process].into_iter().chain(components)
    }

    /// Puts one of them back. Gives whether it could be.
    pub(crate) fn restore_past(
        &mut self,
        whose: Option<&Arc<str>>,
        timeline: TimelineImage,
        checks: CheckHistory,
    ) -> bool {
        let Some(timeline) = timeline.restore() else { return false };
        match whose {
            None => self.system = timeline,
            Some(name) if &**name == PROCESS => self.process = timeline,
            Some(name) => {
                let component = self.component(name, timeline.origin());
                (component.timeline, component.checks) = (timeline, checks);
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
