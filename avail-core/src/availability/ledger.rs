//! All components, the system and the process: what happens goes in with its time, and what
//! follows from it comes out as facts, for the history and for whoever listens.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use super::checks::CheckCounts;
use super::component::{BreakerSide, CheckSide, Component};
use super::incident::{Incident, IncidentLog, Severity};
use super::metrics::{self, AvailabilityMetrics, StateSeconds, Window};
use super::moment::{Moment, Span};
use super::timeline::{ComponentState, Timeline, overlay};
use crate::breaker::{BreakerEvent, Cause, CircuitState};
use crate::health::hysteresis::Decision;
use crate::health::{FailureClass, HealthCheckResult, HealthStatus, Probe, Schedule};
use crate::monitor::HISTORY;

/// The built-in component that is down from the last sign of life of a boot that ended uncleanly to
/// the next start.
pub(crate) const PROCESS: &str = "process";

/// Something that follows from what happened.
#[derive(Clone, Debug, PartialEq)]
pub(crate) enum Fact {
    /// From `at` on it is counted as that. `None`: the system.
    State {
        component: Option<Arc<str>>,
        at: Moment,
        state: ComponentState,
    },
    /// What is shown of a component changed.
    Status {
        component: Arc<str>,
        from: HealthStatus,
        to: HealthStatus,
        error: Option<String>,
    },
    Incident {
        step: IncidentStep,
        incident: Incident,
    },
    /// Every critical check has passed for the first time.
    Started,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum IncidentStep {
    Opened,
    Reopened,
    /// It got worse.
    Raised,
    Resolved,
}

impl IncidentStep {
    pub(crate) fn as_str(self) -> &'static str {
        match self {
            IncidentStep::Opened => "opened",
            IncidentStep::Reopened => "reopened",
            IncidentStep::Raised => "raised",
            IncidentStep::Resolved => "resolved",
        }
    }
}

/// How a check joins.
#[derive(Clone, Copy, Debug)]
pub(crate) struct CheckTerms {
    pub(crate) critical: bool,
    pub(crate) probe: Probe,
    pub(crate) schedule: Option<Schedule>,
}

impl CheckTerms {
    /// Known only because it was run by hand.
    pub(crate) fn by_hand() -> Self {
        CheckTerms { critical: false, probe: Probe::None, schedule: None }
    }
}

/// See the [module](self).
#[derive(Debug)]
pub(crate) struct Ledger {
    boot: Moment,
    grace_until: Moment,
    started: bool,
    components: BTreeMap<Arc<str>, Component>,
    system: Timeline,
    process: Timeline,
    incidents: IncidentLog,
    facts: Vec<Fact>,
}

impl Ledger {
    /// Nothing has happened yet.
    pub(crate) fn new(origin: Moment) -> Self {
        Ledger {
            boot: origin,
            grace_until: origin,
            started: false,
            components: BTreeMap::new(),
            system: Timeline::new(origin, ComponentState::Unobserved),
            process: Timeline::new(origin, ComponentState::Unobserved),
            incidents: IncidentLog::default(),
            facts: Vec::new(),
        }
    }

    /// A process begins, after what the history tells. `last_sign`: the last record of the boot
    /// before; `clean`: whether it said that it ended.
    pub(crate) fn begin(
        &mut self,
        now: Moment,
        grace: Duration,
        last_sign: Option<Moment>,
        clean: bool,
    ) {
        self.boot = now;
        self.grace_until = now.after(grace);
        self.started = false;
        if let Some(last) = last_sign {
            self.interrupt(last, now, clean);
        }
        self.process.set_from(now, ComponentState::Up);
        // Recorded, since the history is read in the order in which it was written, and `interrupt`
        // has just said something of an earlier time.
        let (component, state) = (Some(PROCESS.into()), ComponentState::Up);
        self.facts.push(Fact::State { component, at: now, state });
        self.rebuild_system(now, now);
    }

    /// The time from `last` to `now`, in which there was no process: nobody looked at the
    /// components; the process itself was down, unless it had ended cleanly.
    fn interrupt(&mut self, last: Moment, now: Moment, clean: bool) {
        for component in self.components.values_mut() {
            component.timeline.set_from(last, ComponentState::Unobserved);
            component.member = None;
        }
        let state = if clean { ComponentState::Unobserved } else { ComponentState::Down };
        self.process.set_from(last, state);
        self.system.set_from(last, state);
        self.facts.push(Fact::State { component: Some(PROCESS.into()), at: last, state });
        self.facts.push(Fact::State { component: None, at: last, state });
        if !clean && now > last {
            let error = Some("the process ended without saying so".to_owned());
            let process: Arc<str> = PROCESS.into();
            let (incident, _) = self.incidents.open(&process, Severity::Critical, last, now, error);
            incident.failures += 1;
            self.tell(PROCESS, IncidentStep::Opened, now);
            self.resolve(PROCESS, now);
        }
    }

    /// A check joins, or takes the place of one of the same name.
    pub(crate) fn join_check(&mut self, name: &Arc<str>, terms: CheckTerms, now: Moment) {
        let component = self.component(name, now);
        component.check = Some(CheckSide::new(terms.critical, terms.probe, terms.schedule, now));
        self.rebuild(name, now, now);
    }

    /// A breaker joins, closed or as it is.
    pub(crate) fn join_breaker(
        &mut self,
        name: &Arc<str>,
        critical: bool,
        state: CircuitState,
        now: Moment,
    ) {
        let component = self.component(name, now);
        if component.breaker.is_some() {
            return;
        }
        let mut breaker = BreakerSide::new(critical, now);
        breaker.state = state;
        if state != CircuitState::Closed {
            breaker.track.set_from(now, ComponentState::Degraded);
        }
        let alone = component.check.is_none();
        component.breaker = Some(breaker);
        if critical && alone {
            component.member = Some(Span::new(now, Moment::MAX));
        }
        self.rebuild(name, now, now);
    }

    /// Nothing checks it any more; what it was stays.
    pub(crate) fn leave(&mut self, name: &str, now: Moment) {
        let Some(component) = self.components.get_mut(name) else { return };
        component.check = None;
        component.last_run = None;
        if component.breaker.is_none() {
            component.timeline.set_from(now, ComponentState::Unobserved);
            self.facts.push(Fact::State {
                component: Some(component.name.clone()),
                at: now,
                state: ComponentState::Unobserved,
            });
            if let Some(member) = &mut component.member {
                member.to = now;
            }
            self.resolve(name, now);
            self.rebuild_system(now, now);
        } else {
            let name = component.name.clone();
            self.rebuild(&name, now, now);
        }
        self.see_whether_started();
    }

    fn component(&mut self, name: &Arc<str>, now: Moment) -> &mut Component {
        self.components.entry(name.clone()).or_insert_with(|| Component::new(name.clone(), now))
    }

    /// A run of a check has completed.
    pub(crate) fn record(&mut self, result: HealthCheckResult, now: Moment) {
        let name = result.component.clone();
        if self.component(&name, now).check.is_none() {
            self.join_check(&name, CheckTerms::by_hand(), now);
        }
        let in_grace = self.in_grace(&name, now);
        let component = self.component(&name, now);
        if &*name != HISTORY {
            component.count(&result);
        }
        let critical = component.is_critical();
        let Some(check) = &mut component.check else { return };

        let began = Moment::from(result.timestamp);
        let started = check.last_started.map_or(began, |last| began.max(last)).min(now);
        let success = result.status.is_up();
        let level = match result.status {
            HealthStatus::Degraded => ComponentState::Degraded,
            _ => ComponentState::Up,
        };
        let first = check.last_completed.is_none();
        let was_stale = check.status == HealthStatus::Unknown && !first;
        check.last_started = Some(started);
        check.last_completed = Some(now);
        let decision = check.hysteresis.apply(success, started);
        let mut changed_from = None;
        match decision {
            Decision::Up(since) => {
                check.in_grace = false;
                check.status = result.status;
                check.track.set_from(since, level);
                changed_from = Some(since);
            }
            Decision::Down(since, _) => {
                check.in_grace = in_grace;
                check.status = HealthStatus::Unhealthy;
                let state =
                    if in_grace { ComponentState::Unobserved } else { ComponentState::Down };
                check.track.set_from(since, state);
                changed_from = Some(since);
            }
            Decision::Unchanged if success && check.hysteresis.is_up() => {
                check.status = result.status;
                if check.track.last().1 != level {
                    check.track.set_from(started, level);
                    changed_from = Some(started);
                }
            }
            Decision::Unchanged if !success && check.hysteresis.is_down() => {
                check.status = HealthStatus::Unhealthy;
                if was_stale && !check.in_grace {
                    check.track.set_from(started, ComponentState::Down);
                    changed_from = Some(started);
                }
            }
            Decision::Unchanged => {}
        }
        let error = result.error.clone();
        component.last_run = Some(result);
        if first && component.member.is_none_or(|member| member.to < Moment::MAX) {
            component.member = Some(Span::new(started, Moment::MAX));
            changed_from = Some(changed_from.map_or(started, |from| from.min(started)));
        }
        if let Some(from) = changed_from {
            self.rebuild(&name, from, now);
        }
        match decision {
            Decision::Down(since, failures) if !in_grace => {
                self.went_down(&name, critical, since, u64::from(failures), error, now);
            }
            Decision::Up(since) => self.came_up(&name, since),
            _ if !success => {
                if let Some(incident) = self.incidents.open_of(&name) {
                    incident.failures += 1;
                }
            }
            _ => {}
        }
        self.show(&name, now);
        self.see_whether_started();
    }

    fn in_grace(&mut self, name: &str, now: Moment) -> bool {
        let known_open = self.incidents.open_of(name).is_some_and(|open| open.has_downtime());
        !self.started && now < self.grace_until && !known_open
    }

    fn went_down(
        &mut self,
        name: &Arc<str>,
        critical: bool,
        since: Moment,
        failures: u64,
        error: Option<String>,
        now: Moment,
    ) {
        let severity = if critical { Severity::Critical } else { Severity::Major };
        let class = self.components.get(name).and_then(Component::class);
        if self.incidents.open_of(name).is_some() {
            self.incidents.raise(name, severity);
            if let Some(incident) = self.incidents.open_of(name) {
                incident.failures += failures;
                incident.class = class.or(incident.class);
                incident.error = error.or(incident.error.take());
            }
            self.tell(name, IncidentStep::Raised, now);
            return;
        }
        let (incident, reopened) = self.incidents.open(name, severity, since, now, error);
        incident.failures += failures;
        incident.class = class.or(incident.class);
        let step = if reopened { IncidentStep::Reopened } else { IncidentStep::Opened };
        self.tell(name, step, now);
    }

    /// The check passes: the incident is over, unless a critical breaker keeps the component down.
    fn came_up(&mut self, name: &str, since: Moment) {
        let held = self.components.get(name).and_then(|c| c.breaker.as_ref());
        if held.is_some_and(|breaker| breaker.critical && breaker.state != CircuitState::Closed) {
            return;
        }
        if self.incidents.open_of(name).is_some_and(|open| open.has_downtime()) {
            self.resolve(name, since);
        }
    }

    fn resolve(&mut self, name: &str, end: Moment) {
        let Some(incident) = self.incidents.open_of(name) else { return };
        let end = end.max(incident.start());
        incident.end_time = Some(end.to_datetime());
        incident.resolved = true;
        self.tell(name, IncidentStep::Resolved, end);
    }

    /// Puts the component's latest incident among the facts, with its duration up to `now`.
    fn tell(&mut self, name: &str, step: IncidentStep, now: Moment) {
        let Some(mut incident) =
            self.incidents.iter().rev().find(|incident| &*incident.component == name).cloned()
        else {
            return;
        };
        incident.duration_seconds = self.duration_seconds(&incident, now);
        self.incidents.restore(incident.clone());
        self.facts.push(Fact::Incident { step, incident });
    }

    fn duration_seconds(&self, incident: &Incident, now: Moment) -> f64 {
        let span = Span::new(incident.start(), incident.end().unwrap_or(now));
        let timeline = if &*incident.component == PROCESS {
            Some(&self.process)
        } else {
            self.components.get(&incident.component).map(|component| &component.timeline)
        };
        let millis = match timeline {
            Some(timeline) if incident.has_downtime() => {
                timeline.totals(span).of(ComponentState::Down)
            }
            _ => span.length(),
        };
        millis as f64 / 1000.0
    }

    /// A breaker changed.
    pub(crate) fn breaker_changed(&mut self, event: &BreakerEvent, now: Moment) {
        if [PROCESS, HISTORY].contains(&&*event.breaker) {
            return;
        }
        let name = event.breaker.clone();
        self.join_breaker(&name, event.critical, CircuitState::Closed, now);
        let at = Moment::from(event.at).min(now);
        let component = self.component(&name, now);
        let Some(breaker) = &mut component.breaker else { return };
        let at = at.max(breaker.track.last().0);
        breaker.state = event.to;
        breaker.down_until = None;
        let state = match (event.to, &event.cause) {
            (CircuitState::Closed, _) => ComponentState::Up,
            (CircuitState::Open, Cause::Opened { for_at_least, .. }) if breaker.critical => {
                breaker.down_until = Some(at.after(*for_at_least));
                ComponentState::Down
            }
            (CircuitState::Open, _) if breaker.critical => ComponentState::Down,
            _ => ComponentState::Degraded,
        };
        breaker.track.set_from(at, state);
        let critical = breaker.critical;
        let check_is_down =
            component.check.as_ref().is_some_and(|check| check.hysteresis.is_down());
        self.rebuild(&name, at, now);
        match event.to {
            CircuitState::Open if event.from != CircuitState::Open => {
                self.opened(&name, critical, at, event, now);
            }
            CircuitState::Closed if event.from != CircuitState::Closed && !check_is_down => {
                self.resolve(&name, at);
            }
            _ => {}
        }
        self.show(&name, now);
    }

    /// An opening is noted in the open incident; where there is none it starts one.
    fn opened(
        &mut self,
        name: &Arc<str>,
        critical: bool,
        at: Moment,
        event: &BreakerEvent,
        now: Moment,
    ) {
        if let Some(incident) = self.incidents.open_of(name) {
            incident.failures += 1;
            return;
        }
        let severity = if critical { Severity::Critical } else { Severity::Minor };
        let error = format!("circuit breaker `{name}` opened: {}", event.cause);
        let (incident, reopened) = self.incidents.open(name, severity, at, now, Some(error));
        incident.failures += 1;
        incident.class = Some(FailureClass::Open);
        let step = if reopened { IncidentStep::Reopened } else { IncidentStep::Opened };
        self.tell(name, step, now);
    }

    /// Works the component's timeline out again from `at` on, and the system's with it.
    fn rebuild(&mut self, name: &Arc<str>, at: Moment, now: Moment) {
        let Some(component) = self.components.get_mut(name) else { return };
        for (at, state) in component.rebuild(at, now) {
            self.facts.push(Fact::State { component: Some(name.clone()), at, state });
        }
        if component.is_critical() && component.member.is_some() {
            self.rebuild_system(at, now);
        }
        self.show(name, now);
    }

    fn rebuild_system(&mut self, at: Moment, now: Moment) {
        let at = at.max(self.boot);
        let critical = self.components.values().filter(|component| component.is_critical());
        let parts = critical.filter_map(|component| Some((&component.timeline, component.member?)));
        let process = (&self.process, Span::new(self.boot, Moment::MAX));
        let parts: Vec<_> = parts.chain([process]).collect();
        let span = Span::new(at, now.after(Duration::from_millis(1)));
        for (at, state) in overlay(&parts, span, system_rank) {
            if self.system.set_from(at, state) {
                self.facts.push(Fact::State { component: None, at, state });
            }
        }
    }

    fn show(&mut self, name: &str, now: Moment) {
        let Some(component) = self.components.get_mut(name) else { return };
        let (from, to) = (component.shown, component.status());
        if from != to {
            component.shown = to;
            component.shown_since = now;
            let error = component.last_run.as_ref().and_then(|run| run.error.clone());
            self.facts.push(Fact::Status { component: component.name.clone(), from, to, error });
        }
    }

    fn see_whether_started(&mut self) {
        let passed = |component: &Component| {
            component.check.as_ref().is_none_or(|c| !c.critical || c.hysteresis.is_up())
        };
        if !self.started && self.components.values().all(passed) {
            self.started = true;
            self.facts.push(Fact::Started);
        }
    }

    /// Everything has joined: where no check is critical, this is the start.
    pub(crate) fn all_have_joined(&mut self) {
        self.see_whether_started();
    }

    /// What time alone brings about: the end of the startup grace, of a critical breaker's open
    /// time, of the time that a check may be silent.
    pub(crate) fn advance(&mut self, now: Moment) {
        let names: Vec<_> = self.components.keys().cloned().collect();
        for name in names {
            self.advance_component(&name, now);
        }
    }

    fn advance_component(&mut self, name: &Arc<str>, now: Moment) {
        let grace_until = self.grace_until;
        let grace_over = self.started || now >= grace_until;
        let Some(component) = self.components.get_mut(name) else { return };
        if let Some(breaker) = &mut component.breaker
            && let Some(until) = breaker.down_until.filter(|until| *until <= now)
        {
            breaker.down_until = None;
            breaker.track.set_from(until, ComponentState::Degraded);
            self.rebuild(name, until, now);
        }
        let Some(component) = self.components.get_mut(name) else { return };
        let critical = component.is_critical();
        let Some(check) = &mut component.check else { return };
        if let Some(since) =
            check.stale_since(now).filter(|_| check.status != HealthStatus::Unknown)
        {
            check.status = HealthStatus::Unknown;
            check.track.set_from(since, ComponentState::Unobserved);
            self.rebuild(name, since, now);
        } else if check.in_grace && grace_over {
            check.in_grace = false;
            let since = check.last_started.map_or(now, |started| started.max(grace_until)).min(now);
            check.track.set_from(since, ComponentState::Down);
            let error = component.last_run.as_ref().and_then(|run| run.error.clone());
            self.rebuild(name, since, now);
            self.went_down(name, critical, since, 1, error, now);
        }
    }

    /// The clock went from `from` to `to` at once: the machine slept, or its clock was set. Nobody
    /// looked in between.
    pub(crate) fn skip(&mut self, from: Moment, to: Moment) {
        let skip = |track: &mut Timeline| {
            let state = track.last().1;
            track.set_from(from, ComponentState::Unobserved);
            track.set_from(to, state);
        };
        skip(&mut self.process);
        let names: Vec<_> = self.present().map(|component| component.name.clone()).collect();
        for name in &names {
            let Some(component) = self.components.get_mut(name) else { continue };
            if let Some(check) = &mut component.check {
                skip(&mut check.track);
                check.last_completed = check.last_completed.map(|last| last.max(to));
                check.last_started = check.last_started.map(|last| last.max(to));
            }
            if let Some(breaker) = &mut component.breaker {
                skip(&mut breaker.track);
            }
            self.rebuild(name, from, to);
        }
        self.rebuild_system(from, to);
    }

    /// What has followed since it was last asked.
    pub(crate) fn take_facts(&mut self) -> Vec<Fact> {
        std::mem::take(&mut self.facts)
    }

    /// Runs that the history has not been told of, by component.
    pub(crate) fn take_untold(&mut self) -> BTreeMap<Arc<str>, CheckCounts> {
        let components = self.components.values_mut().filter(|c| c.untold.total() > 0);
        components.map(|c| (c.name.clone(), std::mem::take(&mut c.untold))).collect()
    }
}

/// For the system: down is the union of what is critical; then what nobody looked at.
fn system_rank(state: ComponentState) -> u8 {
    match state {
        ComponentState::Down => 0,
        ComponentState::Maintenance => 1,
        ComponentState::Unobserved => 2,
        ComponentState::Degraded => 3,
        ComponentState::Up => 4,
    }
}

/// What the history tells, one record at a time.
impl Ledger {
    pub(crate) fn replay_state(
        &mut self,
        component: Option<&Arc<str>>,
        at: Moment,
        state: ComponentState,
    ) {
        match component {
            None => self.system.set_from(at, state),
            Some(name) if &**name == PROCESS => self.process.set_from(at, state),
            Some(name) => self.component(name, at).timeline.set_from(at, state),
        };
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

    /// How long a run of the component's check may take, and from when on it is slow.
    pub(crate) fn limits(&self, name: &str) -> (Duration, Duration) {
        let check = self.components.get(name).and_then(|component| component.check.as_ref());
        let schedule = check.and_then(|check| check.schedule);
        schedule.map_or((Duration::from_secs(5), Duration::from_secs(1)), |schedule| {
            (schedule.timeout, schedule.degraded_after)
        })
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
        let outages = metrics::outages(&self.system, now);
        windows.map(|window| {
            let span = window.span(self.system.origin(), now);
            let mut checks = CheckCounts::default();
            for component in self.components.values() {
                checks += counts(component, window, span);
            }
            AvailabilityMetrics::of(&self.system, &outages, checks, span)
        })
    }

    pub(crate) fn system_percentage(&self, window: Window, now: Moment) -> Option<f64> {
        let span = window.span(self.system.origin(), now);
        AvailabilityMetrics::of(&self.system, &[], CheckCounts::default(), span)
            .availability_percentage
    }

    /// The system's time up to where nothing can change it any more.
    pub(crate) fn system_seconds(&self, now: Moment) -> StateSeconds {
        let critical = self.present().filter(|component| component.is_critical());
        let until = critical.map(|component| component.final_until(now)).min().unwrap_or(now);
        StateSeconds::of(self.system.life(until))
    }

    /// One component, in each window; `None` where it is not known.
    pub(crate) fn component_metrics<const N: usize>(
        &self,
        name: &str,
        windows: [Window; N],
        now: Moment,
    ) -> Option<[AvailabilityMetrics; N]> {
        if name == PROCESS {
            return Some(figures(&self.process, |_, _| CheckCounts::default(), windows, now));
        }
        Some(self.figures_of(self.components.get(name)?, windows, now))
    }

    pub(crate) fn figures_of<const N: usize>(
        &self,
        component: &Component,
        windows: [Window; N],
        now: Moment,
    ) -> [AvailabilityMetrics; N] {
        let checks = |window, span| counts(component, window, span);
        figures(&component.timeline, checks, windows, now)
    }

    /// Incidents with their duration up to now, oldest first.
    pub(crate) fn incidents(&self, window: Window, now: Moment) -> Vec<Incident> {
        let span = window.span(Moment(i64::MIN), now.after(Duration::from_millis(1)));
        let listed = self.incidents.iter().filter(|incident| incident.overlaps(span));
        listed.map(|incident| self.up_to_date(incident, now)).collect()
    }

    pub(crate) fn active_incidents(&self, now: Moment) -> Vec<Incident> {
        let open = self.incidents.iter().filter(|incident| !incident.resolved);
        open.map(|incident| self.up_to_date(incident, now)).collect()
    }

    fn up_to_date(&self, incident: &Incident, now: Moment) -> Incident {
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

fn counts(component: &Component, window: Window, span: Span) -> CheckCounts {
    if window == Window::ALL_TIME { component.checks.all() } else { component.checks.within(span) }
}

fn figures<const N: usize>(
    timeline: &Timeline,
    checks: impl Fn(Window, Span) -> CheckCounts,
    windows: [Window; N],
    now: Moment,
) -> [AvailabilityMetrics; N] {
    let outages = metrics::outages(timeline, now);
    windows.map(|window| {
        let span = window.span(timeline.origin(), now);
        AvailabilityMetrics::of(timeline, &outages, checks(window, span), span)
    })
}

#[cfg(test)]
mod tests;
