//! Which incident follows from which.
//!
//! An incident has at most one parent: the open incident, with down time, of the nearest component
//! that its own depends on, and among equally near ones of the one that is named first. It is given
//! once, and stays when the parent is over.
//!
//! The child's failure is often noticed first, since its check runs sooner or has a lower threshold.
//! So a component that goes down also adopts what came before it was noticed: the incidents of its
//! dependents that are open, and those, over by now, that began after its own did.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use super::Ledger;
use super::fact::{Fact, IncidentStep};
use crate::availability::incident::Incident;
use crate::availability::moment::Moment;
use crate::error::MonitorError;
use crate::health::RESERVED;
use crate::health::dependencies::{Dependencies, validate};

/// Who depends on a component, by its name.
#[derive(Debug, Default)]
pub(super) struct Dependents(BTreeMap<Arc<str>, BTreeSet<Arc<str>>>);

impl Dependents {
    pub(super) fn join(&mut self, child: &Arc<str>, parents: &[Arc<str>]) {
        for parent in parents {
            self.0.entry(parent.clone()).or_default().insert(child.clone());
        }
    }

    pub(super) fn leave(&mut self, child: &str, parents: &[Arc<str>]) {
        for parent in parents {
            if let Some(children) = self.0.get_mut(parent) {
                children.remove(child);
                if children.is_empty() {
                    self.0.remove(parent);
                }
            }
        }
    }

    /// Those that depend on it, and those that depend on them.
    fn all_of(&self, name: &str) -> BTreeSet<Arc<str>> {
        let mut found = BTreeSet::new();
        let mut next: Vec<&Arc<str>> = self.0.get(name).into_iter().flatten().collect();
        while let Some(child) = next.pop() {
            if found.insert(child.clone()) {
                next.extend(self.0.get(child).into_iter().flatten());
            }
        }
        found
    }
}

impl Ledger {
    /// Refuses checks that are to join, or to go on under other terms, where they depend on what is
    /// not there or on themselves.
    pub(crate) fn can_be_waited_for(&self, joining: &Dependencies) -> Result<(), MonitorError> {
        let mut dependencies = self.dependencies();
        let present = self.present().map(|component| component.name.clone());
        let known: BTreeSet<_> =
            present.chain(joining.keys().cloned()).chain(RESERVED.map(Arc::from)).collect();
        // What others depend on may have left since: that is for them, and not for these.
        for others in dependencies.values_mut() {
            *others = others.iter().filter(|other| known.contains(*other)).cloned().collect();
        }
        dependencies.extend(joining.iter().map(|(name, parents)| (name.clone(), parents.clone())));
        validate(&dependencies, &known)
    }

    /// What each check depends on.
    fn dependencies(&self) -> Dependencies {
        let components = self.components.iter();
        let declared = components.filter_map(|(name, component)| {
            let parents = &component.check.as_ref()?.depends_on;
            (!parents.is_empty()).then(|| (name.clone(), parents.clone()))
        });
        declared.collect()
    }

    /// The component's open incident gets its parent, and the incidents that follow from it get it
    /// as theirs.
    pub(super) fn relate(&mut self, name: &str, now: Moment) {
        let parent = self.nearest_that_is_down(name).map(|incident| incident.id.clone());
        let Some(incident) = self.incidents.open_of_mut(name) else { return };
        if incident.parent.is_none() {
            incident.parent = parent;
        }
        if incident.has_downtime() {
            let (id, since) = (incident.id.clone(), incident.start());
            self.adopt(name, &id, since, now);
        }
    }

    /// Going up level by level.
    fn nearest_that_is_down(&self, name: &str) -> Option<&Incident> {
        let parents = |name: &str| {
            let check = self.components.get(name).and_then(|component| component.check.as_ref());
            check.map_or(&[][..], |check| &check.depends_on)
        };
        let mut seen = BTreeSet::new();
        let mut level: Vec<&Arc<str>> = parents(name).iter().collect();
        while !level.is_empty() {
            let open = level.iter().filter_map(|parent| self.incidents.open_of(parent));
            if let Some(incident) = open.into_iter().find(|incident| incident.has_downtime()) {
                return Some(incident);
            }
            let new: Vec<_> = level.into_iter().filter(|parent| seen.insert(*parent)).collect();
            level = new.into_iter().flat_map(|parent| parents(parent)).collect();
        }
        None
    }

    fn adopt(&mut self, name: &str, parent: &Arc<str>, since: Moment, now: Moment) {
        let children = self.dependents.all_of(name);
        if children.is_empty() {
            return;
        }
        for incident in self.incidents.adopt(parent, since, &children) {
            let incident = self.up_to_date(&incident, now);
            self.facts.push(Fact::Incident { step: IncidentStep::Adopted, incident });
        }
    }
}
