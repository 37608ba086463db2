//! Objectives, the calls through breakers that stand beside them, and the report of all.

use std::collections::BTreeMap;
use std::sync::Arc;

use super::{Ledger, PROCESS};
use crate::availability::checks::CheckCounts;
use crate::availability::component::Component;
use crate::availability::metrics::Window;
use crate::availability::moment::Moment;
use crate::availability::report::{AvailabilityReport, ReportEntry};
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
        let objective = component.objective.unwrap_or_else(|| Objective::of_target(target));
        Slo::of(objective, &component.timeline, now)
    }

    /// The system, the process, and each component that is looked at, or was in the window.
    pub(crate) fn report(&self, window: Window, target: f64, now: Moment) -> AvailabilityReport {
        let [metrics] = self.system_metrics([window], now);
        let slo = self.system_slo(target, now);
        let system = ReportEntry { name: "".into(), critical: true, metrics, slo };
        let [metrics] = self.process_metrics([window], now);
        let slo = Slo::of(Objective::of_target(target), &self.process, now);
        let process = ReportEntry { name: PROCESS.into(), critical: true, metrics, slo };
        let components = self.components.values().filter_map(|component| {
            let entry = self.entry(component, window, target, now);
            (component.is_present() || entry.was_observed()).then_some(entry)
        });
        let mut components: Vec<_> = components.chain([process]).collect();
        components.sort_by(|a, b| a.name.cmp(&b.name));
        let span = window.span(self.system.origin(), now);
        let [from, to] = [span.from, span.to].map(Moment::to_datetime);
        AvailabilityReport { window, from, to, system, components }
    }

    fn entry(
        &self,
        component: &Component,
        window: Window,
        target: f64,
        now: Moment,
    ) -> ReportEntry {
        let [metrics] = self.figures_of(component, [window], now);
        let slo = Self::slo_of(component, target, now);
        let critical = component.is_critical();
        ReportEntry { name: component.name.clone(), critical, metrics, slo }
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
