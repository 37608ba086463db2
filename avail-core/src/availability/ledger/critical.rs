//! Which components the system's timeline has to look at.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use crate::availability::component::Component;
use crate::availability::moment::Moment;
use crate::availability::timeline::ComponentState;

/// Which critical components can make the system something else than up, from a given moment on:
/// those that are not up, and those that changed after it. The others need not be looked at, however
/// many there are.
#[derive(Debug, Default)]
pub(super) struct CriticalSet {
    not_up: BTreeSet<Arc<str>>,
    /// Those that are down, by since when.
    down: BTreeSet<(Moment, Arc<str>)>,
    by_last_change: BTreeSet<(Moment, Arc<str>)>,
    known: BTreeMap<Arc<str>, Moment>,
}

impl CriticalSet {
    /// The component has changed, or joined, or left.
    pub(super) fn update(&mut self, component: &Component) {
        let name = &component.name;
        if let Some(before) = self.known.remove(name) {
            self.by_last_change.remove(&(before, name.clone()));
            self.down.remove(&(before, name.clone()));
            self.not_up.remove(name);
        }
        let Some(member) = component.member.filter(|_| component.is_critical()) else { return };
        let (changed, state) = component.timeline.last();
        let last = if member.to < Moment::MAX { changed.max(member.to) } else { changed };
        self.known.insert(name.clone(), last);
        self.by_last_change.insert((last, name.clone()));
        if state != ComponentState::Up && member.to == Moment::MAX {
            self.not_up.insert(name.clone());
        }
        if state == ComponentState::Down && member.to == Moment::MAX && member.from <= changed {
            self.down.insert((last, name.clone()));
        }
    }

    pub(super) fn matters_since(&self, at: Moment) -> BTreeSet<&Arc<str>> {
        // One that is down since before decides alone, whatever the others are.
        if let Some((_, name)) = self.down.first().filter(|(since, _)| *since <= at) {
            return BTreeSet::from([name]);
        }
        let after = Moment(at.0.saturating_add(1));
        let changed = self.by_last_change.range((after, Arc::from(""))..).map(|(_, name)| name);
        changed.chain(&self.not_up).collect()
    }
}
