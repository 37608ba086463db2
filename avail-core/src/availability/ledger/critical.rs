//! Which components the system's timeline has to look at.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use crate::availability::component::Component;
use crate::availability::moment::Moment;
use crate::availability::timeline::ComponentState;

/// Which critical components can make the system something else than up, from a given moment on:
/// those that changed after it, and of those that are steadily down, unobserved or degraded since
/// before, one each. The others need not be looked at, however many there are.
#[derive(Debug, Default)]
pub(super) struct CriticalSet {
    /// By state: those that are it, by since when.
    steady: [BTreeSet<(Moment, Arc<str>)>; 5],
    /// Those that were something else than up already when they joined.
    joined_late: BTreeSet<Arc<str>>,
    by_last_change: BTreeSet<(Moment, Arc<str>)>,
    known: BTreeMap<Arc<str>, Moment>,
}

impl CriticalSet {
    /// The component has changed, or joined, or left.
    pub(super) fn update(&mut self, component: &Component) {
        let name = &component.name;
        if let Some(before) = self.known.remove(name) {
            let key = (before, name.clone());
            self.by_last_change.remove(&key);
            for set in &mut self.steady {
                set.remove(&key);
            }
            self.joined_late.remove(name);
        }
        let Some(member) = component.member.filter(|_| component.is_critical()) else { return };
        let (changed, state) = component.timeline.last();
        let last = if member.to < Moment::MAX { changed.max(member.to) } else { changed };
        self.known.insert(name.clone(), last);
        self.by_last_change.insert((last, name.clone()));
        if member.to < Moment::MAX || state == ComponentState::Up {
            return;
        }
        if member.from <= changed {
            self.steady[state as usize].insert((last, name.clone()));
        } else {
            self.joined_late.insert(name.clone());
        }
    }

    /// The component counts for the system no longer, if it did; it still says whether.
    pub(super) fn leaves(&mut self, component: &mut Component, now: Moment) {
        if !component.is_critical() {
            component.member = None;
            return;
        }
        if let Some(member) = &mut component.member {
            member.to = member.to.min(now);
        }
        self.update(component);
        component.cease_to_count();
    }

    pub(super) fn matters_since(&self, at: Moment) -> BTreeSet<&Arc<str>> {
        let steadily = |state: ComponentState| {
            let first = self.steady[state as usize].first().filter(|(since, _)| *since <= at);
            first.map(|(_, name)| name)
        };
        // One that is down since before decides alone, whatever the others are.
        if let Some(name) = steadily(ComponentState::Down) {
            return BTreeSet::from([name]);
        }
        let after = Moment(at.0.saturating_add(1));
        let changed = self.by_last_change.range((after, Arc::from(""))..).map(|(_, name)| name);
        let steady = [ComponentState::Unobserved, ComponentState::Degraded].map(steadily);
        changed.chain(&self.joined_late).chain(steady.into_iter().flatten()).collect()
    }
}
