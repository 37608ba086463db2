//! All components, the system and the process: what happens goes in with its time, and what
//! follows from it comes out as facts, for the history and for whoever listens.

use std::collections::{BTreeMap, BTreeSet};
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

/// What an incident is told of a failure.
#[derive(Debug, Default)]
struct Failure {
    count: u64,
    class: Option<FailureClass>,
    error: Option<String>,
}

impl Failure {
    fn of(run: &HealthCheckResult) -> Self {
        Failure { count: 1, class: run.class, error: run.error.clone() }
    }

    /// What is known of the latest failure stands in for what was known before.
    fn note_in(self, incident: &mut Incident) {
        incident.failures += self.count;
        incident.class = self.class.or(incident.class);
        incident.error = self.error.or(incident.error.take());
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

/// Which critical components can make the system something else than up, from a given moment on:
/// those that are not up, and those that changed after it. The others need not be looked at, however
/// many there are.
#[derive(Debug, Default)]
struct CriticalSet {
    not_up: BTreeSet<Arc<str>>,
    by_last_change: BTreeSet<(Moment, Arc<str>)>,
    known: BTreeMap<Arc<str>, Moment>,
}

impl CriticalSet {
    /// The component has changed, or joined, or left.
    fn update(&mut self, component: &Component) {
        let name = &component.name;
        if let Some(before) = self.known.remove(name) {
            self.by_last_change.remove(&(before, name.clone()));
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
    }

    fn matters_since(&self, at: Moment) -> BTreeSet<&Arc<str>> {
        let after = Moment(at.0.saturating_add(1));
        let changed = self.by_last_change.range((after, Arc::from(""))..).map(|(_, name)| name);
        changed.chain(&self.not_up).collect()
    }
}

/// See the [module](self).
#[derive(Debug)]
pub(crate) struct Ledger {
    boot: Moment,
    grace_until: Moment,
    /// Critical checks that have never passed in this boot; empty: started.
    waited_for: BTreeSet<Arc<str>>,
    started: bool,
    components: BTreeMap<Arc<str>, Component>,
    critical: CriticalSet,
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
            waited_for: BTreeSet::new(),
            started: false,
            components: BTreeMap::new(),
            critical: CriticalSet::default(),
            system: Timeline::new(origin, ComponentState::Unobserved),
            process: Timeline::new(origin, ComponentState::Unobserved),
            incidents: IncidentLog::default(),
            facts: Vec::new(),
        }
    }

    /// A process begins. `before`: the last sign of life of the boot before it, and whether that
    /// said that it ended.
    pub(crate) fn begin(&mut self, now: Moment, grace: Duration, before: Option<(Moment, bool)>) {
        self.boot = now;
        self.grace_until = now.after(grace);
        self.started = false;
        self.waited_for.clear();
        self.critical = CriticalSet::default();
        if let Some((last_sign, clean)) = before {
            self.interrupt(last_sign, now, clean);
        }
        self.process.set_from(now, ComponentState::Up);
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
        if !clean && now > last {
            let error = Some("the process ended without saying so".to_owned());
            let failure = Failure { count: 1, class: Some(FailureClass::Crashed), error };
            self.open(&PROCESS.into(), Severity::Critical, last, failure, now);
            self.resolve(PROCESS, now);
        }
    }

    /// A check joins, or takes the place of one of the same name.
    pub(crate) fn join_check(&mut self, name: &Arc<str>, terms: CheckTerms, now: Moment) {
        let component = self.component(name, now);
        component.check = Some(CheckSide::new(terms.critical, terms.probe, terms.schedule, now));
        if terms.critical && !self.started {
            self.waited_for.insert(name.clone());
        }
        self.rebuild(name, now, now);
    }

    /// The breaker of a component joins, closed.
    pub(crate) fn join_breaker(&mut self, name: &Arc<str>, critical: bool, now: Moment) {
        if [PROCESS, HISTORY].contains(&&**name) {
            return;
        }
        let component = self.component(name, now);
        if component.breaker.is_some() {
            return;
        }
        let alone = component.check.is_none();
        component.breaker = Some(BreakerSide::new(critical, now));
        if critical && alone {
            component.member = Some(Span::new(now, Moment::MAX));
        }
        self.rebuild(name, now, now);
    }

    /// A breaker was in that state before anybody listened to it.
    pub(crate) fn found_breaker(
        &mut self,
        name: &Arc<str>,
        breaker: &Arc<str>,
        state: CircuitState,
        now: Moment,
    ) {
        let Some(component) = self.components.get_mut(name) else { return };
        if let Some(side) = component.breaker.as_mut().filter(|_| state != CircuitState::Closed) {
            side.set(breaker, state, Some(Duration::ZERO), now);
            self.rebuild(name, now, now);
        }
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
            self.critical.update(component);
            self.resolve(name, now);
            self.rebuild_system(now, now);
        } else {
            let name = component.name.clone();
            self.rebuild(&name, now, now);
        }
        self.waited_for.remove(name);
        self.see_whether_started();
    }

    fn component(&mut self, name: &Arc<str>, now: Moment) -> &mut Component {
        self.components.entry(name.clone()).or_insert_with(|| Component::new(name.clone(), now))
    }

    /// A run of a check has completed. One that calls itself as the process does is passed over.
    pub(crate) fn record(&mut self, result: HealthCheckResult, now: Moment) {
        if &*result.component == PROCESS {
            return;
        }
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
        let first = check.last_completed.is_none();
        let (started, decision, changed) = check.take_run(&result, in_grace, now);
        let success = result.status.is_up();
        let mut failure = Failure::of(&result);
        component.last_run = Some(result);
        let joins = first && component.member.is_none_or(|member| member.to < Moment::MAX);
        if joins {
            component.member = Some(Span::new(started, Moment::MAX));
        }
        if let Some(from) = changed.or(joins.then_some(started)) {
            self.rebuild(&name, from, now);
        }
        match decision {
            Decision::Down(since, failures) if !in_grace => {
                failure.count = u64::from(failures);
                self.went_down(&name, critical, since, failure, now);
            }
            Decision::Up(since) => {
                self.waited_for.remove(&name);
                self.came_up(&name, since);
            }
            _ if !success => self.failed_again(&name),
            _ => {}
        }
        self.show(&name, now);
        self.see_whether_started();
    }

    fn failed_again(&mut self, name: &str) {
        if let Some(incident) = self.incidents.open_of_mut(name) {
            incident.failures += 1;
        }
    }

    fn in_grace(&self, name: &str, now: Moment) -> bool {
        let known_open = self.incidents.open_of(name).is_some_and(Incident::has_downtime);
        !self.started && now < self.grace_until && !known_open
    }

    fn went_down(
        &mut self,
        name: &Arc<str>,
        critical: bool,
        since: Moment,
        failure: Failure,
        now: Moment,
    ) {
        let severity = if critical { Severity::Critical } else { Severity::Major };
        if self.incidents.open_of(name).is_none() {
            return self.open(name, severity, since, failure, now);
        }
        self.incidents.raise(name, severity);
        if let Some(incident) = self.incidents.open_of_mut(name) {
            failure.note_in(incident);
        }
        self.tell(name, IncidentStep::Raised, now);
    }

    fn open(
        &mut self,
        name: &Arc<str>,
        severity: Severity,
        since: Moment,
        failure: Failure,
        now: Moment,
    ) {
        let reopened = self.incidents.open(name, severity, since, now);
        if let Some(incident) = self.incidents.open_of_mut(name) {
            failure.note_in(incident);
        }
        let step = if reopened { IncidentStep::Reopened } else { IncidentStep::Opened };
        self.tell(name, step, now);
    }

    /// The check passes: the incident is over, unless a critical breaker keeps the component down.
    fn came_up(&mut self, name: &str, since: Moment) {
        let held = self.components.get(name).and_then(|c| c.breaker.as_ref());
        if held.is_some_and(|breaker| breaker.critical && !breaker.is_closed()) {
            return;
        }
        if self.incidents.open_of(name).is_some_and(Incident::has_downtime) {
            self.resolve(name, since);
        }
    }

    fn resolve(&mut self, name: &str, end: Moment) {
        let Some(resolved) = self.incidents.resolve(name, end).cloned() else { return };
        let seconds = self.duration_seconds(&resolved, end);
        let incident = Incident { duration_seconds: seconds, ..resolved };
        self.incidents.restore(incident.clone());
        self.facts.push(Fact::Incident { step: IncidentStep::Resolved, incident });
    }

    /// Puts the component's open incident among the facts.
    fn tell(&mut self, name: &str, step: IncidentStep, now: Moment) {
        let Some(incident) = self.incidents.open_of(name) else { return };
        let incident = self.up_to_date(incident, now);
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
        let name = event.component.clone();
        self.join_breaker(&name, event.critical, now);
        let at = Moment::from(event.at).min(now);
        let Some(component) = self.components.get_mut(&name) else { return };
        let Some(side) = &mut component.breaker else { return };
        let at = at.max(side.track.last().0);
        let open_for = match &event.cause {
            Cause::Opened { for_at_least, .. } => Some(*for_at_least),
            _ => None,
        };
        side.set(&event.breaker, event.to, open_for, at);
        let (critical, closed) = (side.critical, side.is_closed());
        let check_is_down =
            component.check.as_ref().is_some_and(|check| check.hysteresis.is_down());
        self.rebuild(&name, at, now);
        if event.to == CircuitState::Open && event.from != CircuitState::Open {
            self.opened(&name, critical, at, event, now);
        } else if closed && event.from != CircuitState::Closed && !check_is_down {
            self.resolve(&name, at);
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
        if let Some(incident) = self.incidents.open_of_mut(name) {
            incident.failures += 1;
            return;
        }
        let severity = if critical { Severity::Critical } else { Severity::Minor };
        let error = format!("circuit breaker `{}` opened: {}", event.breaker, event.cause);
        let class = Some(FailureClass::Open);
        let failure = Failure { count: 1, class, error: Some(error) };
        self.open(name, severity, at, failure, now);
    }

    /// Works the component's timeline out again from `at` on, and the system's with it.
    fn rebuild(&mut self, name: &Arc<str>, at: Moment, now: Moment) {
        let Some(component) = self.components.get_mut(name) else { return };
        for (at, state) in component.rebuild(at, now) {
            self.facts.push(Fact::State { component: Some(name.clone()), at, state });
        }
        let counts = component.is_critical() && component.member.is_some();
        if counts {
            self.critical.update(component);
            self.rebuild_system(at, now);
        }
        self.show(name, now);
    }

    fn rebuild_system(&mut self, at: Moment, now: Moment) {
        let at = at.max(self.boot);
        let matter = self.critical.matters_since(at).into_iter();
        let matter = matter.filter_map(|name| self.components.get(name));
        let parts = matter.filter_map(|component| Some((&component.timeline, component.member?)));
        // Where nothing else is said the process's own time shows: it is up.
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
        if !self.started && self.waited_for.is_empty() {
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
        let (grace_over, components) = (self.started || now >= self.grace_until, &self.components);
        let due = components.values().filter(|component| component.is_due(now, grace_over));
        let due: Vec<_> = due.map(|component| component.name.clone()).collect();
        for name in due {
            self.advance_component(&name, now);
        }
    }

    fn advance_component(&mut self, name: &Arc<str>, now: Moment) {
        let grace_until = self.grace_until;
        let Some(component) = self.components.get_mut(name) else { return };
        if let Some(from) = component.breaker.as_mut().and_then(|breaker| breaker.advance(now)) {
            self.rebuild(name, from, now);
        }
        let Some(component) = self.components.get_mut(name) else { return };
        let critical = component.is_critical();
        let Some(check) = &mut component.check else { return };
        if let Some(since) =
            check.stale_since(now).filter(|_| check.status != HealthStatus::Unknown)
        {
            check.went_silent(since);
            self.rebuild(name, since, now);
        } else if check.in_grace && (self.started || now >= grace_until) {
            check.in_grace = false;
            let since = check.last_started.map_or(now, |started| started.max(grace_until)).min(now);
            check.track.set_from(since, ComponentState::Down);
            let failure = component.last_run.as_ref().map(Failure::of).unwrap_or_default();
            self.rebuild(name, since, now);
            self.went_down(name, critical, since, failure, now);
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
