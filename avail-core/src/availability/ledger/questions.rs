//! What the history tells, and what is asked.

use std::sync::Arc;
use std::time::Duration;

use chrono::{DateTime, Utc};

use super::{CheckTerms, Ledger, PROCESS};
use crate::availability::checks::{CheckCounts, CheckHistory};
use crate::availability::component::Component;
use crate::availability::incident::{Incident, IncidentLog};
use crate::availability::metrics::{self, AvailabilityMetrics, Counted, Window};
use crate::availability::moment::Moment;
use crate::availability::timeline::ComponentState;

/// How long a check may take that nobody has declared, and from when on it is slow.
pub(crate) const BY_HAND: (Duration, Duration) = (Duration::from_secs(5), Duration::from_secs(1));

/// What the history tells, one record at a time.
impl Ledger {
    pub(crate) fn replay_state(
        &mut self,
        component: Option<&Arc<str>>,
        at: Moment,
        state: ComponentState,
    ) {
        self.timeline_of(component, at).set_from(at, state);
    }

    pub(crate) fn replay_incident(&mut self, incident: Incident) {
        self.incidents.restore(incident);
    }

    pub(crate) fn replay_checks(&mut self, name: &Arc<str>, at: Moment, counts: CheckCounts) {
        self.component(name, at).checks.add(at, counts);
    }
}

/// Questions.
impl Ledger {
    pub(crate) fn is_started(&self) -> bool {
        self.started
    }

    pub(crate) fn has_open_incident(&self) -> bool {
        self.incidents.active().next().is_some()
    }

    /// Failing, and not yet down.
    pub(crate) fn is_undecided(&self, name: &str) -> bool {
        let check = self.components.get(name).and_then(|component| component.check.as_ref());
        check.is_some_and(|check| {
            !check.hysteresis.is_down() && check.hysteresis.undecided_since().is_some()
        })
    }

    pub(crate) fn is_scheduled(&self, name: &str) -> bool {
        let check = self.components.get(name).and_then(|component| component.check.as_ref());
        check.is_some_and(|check| check.schedule.is_some())
    }

    /// Somebody runs a check of the component by hand. Gives how long that may take, and from when
    /// on it is slow; `None` where there are `limit` such components already, and this is another.
    pub(crate) fn begin_by_hand(
        &mut self,
        name: &Arc<str>,
        limit: usize,
        now: Moment,
    ) -> Option<(Duration, Duration)> {
        if !self.is_checked(name) {
            if self.by_hand >= limit {
                return None;
            }
            self.join_check(name, CheckTerms::by_hand(), now);
            self.by_hand += 1;
        }
        let check = self.components.get(name).and_then(|component| component.check.as_ref());
        let schedule = check.and_then(|check| check.schedule);
        Some(schedule.map_or(BY_HAND, |schedule| (schedule.timeout, schedule.degraded_after)))
    }

    /// When the last run of the component's check began.
    pub(crate) fn last_run_of(&self, name: &str) -> Option<DateTime<Utc>> {
        let run = self.components.get(name).and_then(|component| component.last_run.as_ref());
        run.map(|run| run.timestamp)
    }

    /// Whether there is a check of the component, on a schedule or by hand.
    pub(crate) fn is_checked(&self, name: &str) -> bool {
        self.components.get(name).is_some_and(|component| component.check.is_some())
    }

    /// Those that something looks at in this boot, by name.
    pub(crate) fn present(&self) -> impl Iterator<Item = &Component> {
        self.components.values().filter(|component| component.is_present())
    }

    /// The system, in each window.
    pub(crate) fn system_metrics<const N: usize>(
        &self,
        windows: [Window; N],
        now: Moment,
    ) -> [AvailabilityMetrics; N] {
        let all = self.components.values();
        self.system_metrics_of(windows, sum(all, windows, now), now)
    }

    /// The same where it is known what was counted.
    pub(crate) fn system_metrics_of<const N: usize>(
        &self,
        windows: [Window; N],
        counted: [Counted; N],
        now: Moment,
    ) -> [AvailabilityMetrics; N] {
        AvailabilityMetrics::in_windows(&self.system, windows, counted, now)
    }

    /// What was counted of components that nothing looks at any more.
    pub(crate) fn counted_of_gone<const N: usize>(
        &self,
        windows: [Window; N],
        now: Moment,
    ) -> [Counted; N] {
        let gone = self.components.values().filter(|component| !component.is_present());
        sum(gone, windows, now)
    }

    pub(crate) fn system_percentage(&self, window: Window, now: Moment) -> Option<f64> {
        metrics::percentage(self.system.totals(window.span(self.system.origin(), now)))
    }

    /// One component, in each window; `None` where it is not known.
    pub(crate) fn component_metrics<const N: usize>(
        &self,
        name: &str,
        windows: [Window; N],
        now: Moment,
    ) -> Option<[AvailabilityMetrics; N]> {
        if name == PROCESS {
            return Some(self.process_metrics(windows, now));
        }
        Some(self.figures_of(self.components.get(name)?, windows, now))
    }

    pub(crate) fn process_metrics<const N: usize>(
        &self,
        windows: [Window; N],
        now: Moment,
    ) -> [AvailabilityMetrics; N] {
        let nothing = windows.map(|_| Counted::default());
        AvailabilityMetrics::in_windows(&self.process, windows, nothing, now)
    }

    pub(crate) fn figures_of<const N: usize>(
        &self,
        component: &Component,
        windows: [Window; N],
        now: Moment,
    ) -> [AvailabilityMetrics; N] {
        let counted = windows.map(|window| counted(component, window, now));
        AvailabilityMetrics::in_windows(&component.timeline, windows, counted, now)
    }

    /// Incidents with their duration up to now, oldest first.
    pub(crate) fn incidents(&self, window: Window, now: Moment) -> Vec<Incident> {
        let span = window.span(Moment(i64::MIN), now.after(Duration::from_millis(1)));
        let listed = self.incidents.iter().filter(|incident| incident.overlaps(span));
        let mut listed: Vec<_> = listed.map(|incident| self.up_to_date(incident, now)).collect();
        listed.sort_by(|a, b| a.id.cmp(&b.id));
        listed
    }

    pub(crate) fn active_incidents(&self, now: Moment) -> Vec<Incident> {
        let mut open: Vec<_> =
            self.incidents.active().map(|incident| self.up_to_date(incident, now)).collect();
        open.sort_by(|a, b| a.id.cmp(&b.id));
        open
    }

    pub(super) fn up_to_date(&self, incident: &Incident, now: Moment) -> Incident {
        let mut incident = incident.clone();
        if !incident.resolved {
            incident.duration_seconds = self.duration_seconds(&incident, now);
        }
        incident
    }

    pub(crate) fn incident_log(&self) -> &IncidentLog {
        &self.incidents
    }
}

fn counted(component: &Component, window: Window, now: Moment) -> Counted {
    let within = |history: &CheckHistory| match window {
        Window::ALL_TIME => history.all(),
        _ => history.within(window.span(now, now)),
    };
    Counted { checks: within(&component.checks), calls: within(&component.calls) }
}

fn sum<'a, const N: usize>(
    components: impl Iterator<Item = &'a Component>,
    windows: [Window; N],
    now: Moment,
) -> [Counted; N] {
    let mut sums = windows.map(|_| Counted::default());
    for component in components {
        for (sum, window) in sums.iter_mut().zip(windows) {
            *sum += counted(component, window, now);
        }
    }
    sums
}
