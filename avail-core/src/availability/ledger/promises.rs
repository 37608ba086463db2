//! Objectives, and the calls through breakers that stand beside them.

use std::collections::BTreeMap;
use std::sync::Arc;

use super::{Ledger, PROCESS};
use crate::availability::checks::CheckCounts;
use crate::availability::component::Component;
use crate::availability::moment::Moment;
use crate::availability::slo::{Objective, Slo};

impl Ledger {
    /// What the component's check declares, in place of what one before it did.
    pub(crate) fn promise(&mut self, name: &str, objective: Option<Objective>) {
        if let Some(component) = self.components.get_mut(name) {
            component.objective = objective;
        }
    }

    /// The system's objective, which is the monitor's target.
    pub(crate) fn system_slo(&self, target: f64, now: Moment) -> Slo {
        Slo::of(Objective::of_target(target), &self.system, now)
    }

    /// One component's; `None` where it is not known.
    pub(crate) fn component_slo(&self, name: &str, target: f64, now: Moment) -> Option<Slo> {
        if name == PROCESS {
            return Some(Slo::of(Objective::of_target(target), &self.process, now));
        }
        self.components.get(name).map(|component| Self::slo_of(component, target, now))
    }

    pub(crate) fn slo_of(component: &Component, target: f64, now: Moment) -> Slo {
        let objective = component.objective.unwrap_or(Objective::of_target(target));
        Slo::of(objective, &component.timeline, now)
    }

    /// So many calls have ended since the last time.
    pub(crate) fn count_calls(&mut self, calls: &BTreeMap<Arc<str>, CheckCounts>, now: Moment) {
        for (name, counts) in calls {
            let component = self.components.get_mut(name).filter(|one| one.breaker.is_some());
            if let Some(component) = component {
                component.calls.add(now, *counts);
                component.untold_calls += *counts;
            }
        }
    }

    /// What the history tells of calls.
    pub(crate) fn replay_calls(&mut self, name: &Arc<str>, at: Moment, counts: CheckCounts) {
        self.component(name, at).calls.add(at, counts);
    }

    /// Calls that the history has not been told of, by component.
    pub(crate) fn take_untold_calls(&mut self) -> BTreeMap<Arc<str>, CheckCounts> {
        let components = self.components.values_mut().filter(|c| c.untold_calls.total() > 0);
        components.map(|c| (c.name.clone(), std::mem::take(&mut c.untold_calls))).collect()
    }
}
