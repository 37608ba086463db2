//! All components, the system and the process: what happens goes in with its time, and what
//! follows from it comes out as facts, for the history and for whoever listens.
//!
//! | file | what it holds |
//! |---|---|
//! | `fact` | what goes in and what comes out |
//! | `incidents` | when incidents begin and end |
//! | `maintenance` | announced maintenance |
//! | `parents` | which incident follows from which |
//! | `critical` | which components the system's timeline has to look at |
//! | `system` | the incidents of the whole system |
//! | `tally` | the seconds of each state of this boot |
//! | `terms` | what goes on under other terms |
//! | `questions` | what the history tells, and what is asked |
//! | `image` | what outlives the process |
//! | `again` | what is told again after some of it was lost |
//! | `promises` | objectives, and the calls through breakers |

mod again;
mod critical;
mod fact;
mod image;
mod incidents;
mod maintenance;
mod parents;
mod promises;
mod questions;
mod system;
mod tally;
mod terms;

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;
use std::time::Duration;

use self::critical::CriticalSet;
use self::fact::Failure;
pub(crate) use self::fact::{CheckTerms, Fact, IncidentStep};
pub(crate) use self::image::PastImage;
use self::maintenance::Announced;
pub use self::maintenance::Maintenance;
use self::parents::Dependents;
pub(crate) use self::questions::BY_HAND;
pub(crate) use self::tally::Tally;
pub(crate) use self::terms::BreakerState;
use super::checks::CheckCounts;
use super::component::{BreakerSide, CheckSide, Component};
use super::flapping::Flapping;
use super::incident::{Incident, IncidentLog, Severity};
use super::moment::{Moment, Span};
use super::timeline::{ComponentState, Timeline, overlay};
use crate::breaker::{BreakerEvent, Cause, CircuitState};
use crate::health::hysteresis::Decision;
use crate::health::{FailureClass, HealthCheckResult};
use crate::monitor::HISTORY;

/// The built-in component that is down from the last sign of life of a boot that ended uncleanly to
/// the next start.
pub(crate) const PROCESS: &str = "process";

/// See the [module](self).
#[derive(Debug)]
pub(crate) struct Ledger {
    boot: Moment,
    grace_until: Moment,
    /// Critical checks that have never passed in this boot; empty: started.
    waited_for: BTreeSet<Arc<str>>,
    started: bool,
    components: BTreeMap<Arc<str>, Component>,
    /// How many of them are known only since somebody runs their checks by hand.
    by_hand: usize,
    critical: CriticalSet,
    dependents: Dependents,
    announced: Announced,
    system: Timeline,
    system_tally: Tally,
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
            by_hand: 0,
            critical: CriticalSet::default(),
            dependents: Dependents::default(),
            announced: Announced::default(),
            system: Timeline::new(origin, ComponentState::Unobserved),
            system_tally: Tally::default(),
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
        self.dependents = Dependents::default();
        self.resume_maintenance(now);
        if let Some((last_sign, clean)) = before {
            self.interrupt(last_sign.min(now), now, clean);
        }
        self.process.set_from(now, ComponentState::Up);
        self.rebuild_system(now, now);
        self.begin_tallies(before.map_or(now, |(last_sign, _)| last_sign.min(now)));
    }

    /// The time from `last` to `now`, in which there was no process: nobody looked at the
    /// components; the process itself was down, unless it had ended cleanly.
    fn interrupt(&mut self, last: Moment, now: Moment, clean: bool) {
        for component in self.components.values_mut() {
            let from = Self::end_without_process(component, &self.announced.of_system, last);
            if from < now {
                component.timeline.set_from(from, ComponentState::Unobserved);
            }
            component.forget_membership();
            component.flapping = Flapping::default(); // changes are not recorded
        }
        let state = if clean { ComponentState::Unobserved } else { ComponentState::Down };
        self.process.set_from(last, state);
        self.system.set_from(last, state);
        self.mask_system(last, now);
        if !clean && now > last {
            let error = Some("the process ended without saying so".to_owned());
            let failure = Failure { count: 1, class: Some(FailureClass::Crashed), error };
            self.open(&PROCESS.into(), Severity::Critical, last, failure, now);
            self.resolve(PROCESS, now);
        }
    }

    /// A check joins, or takes the place of one of the same name.
    pub(crate) fn join_check(&mut self, name: &Arc<str>, terms: CheckTerms, now: Moment) {
        if terms.critical && !self.started {
            self.waited_for.insert(name.clone());
        }
        let depends_on = terms.depends_on.clone();
        let before = self.component(name, now).check.replace(CheckSide::new(terms, now));
        if let Some(before) = before {
            self.by_hand -= usize::from(before.is_by_hand());
            self.dependents.leave(name, &before.depends_on);
        }
        self.dependents.join(name, &depends_on);
        self.rebuild(name, now, now);
    }

    /// The breaker of a component joins, closed.
    pub(crate) fn join_breaker(&mut self, name: &Arc<str>, critical: bool, now: Moment) {
        if name.is_empty() || [PROCESS, HISTORY].contains(&&**name) {
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

    /// A breaker was in that state before anybody listened to it, and is open for so long yet.
    pub(crate) fn found_breaker(
        &mut self,
        name: &Arc<str>,
        breaker: &Arc<str>,
        state: CircuitState,
        open_for: Option<Duration>,
        now: Moment,
    ) {
        let Some(component) = self.components.get_mut(name) else { return };
        let Some(side) = component.breaker.as_mut().filter(|_| state != CircuitState::Closed)
        else {
            return;
        };
        side.set(breaker, state, open_for, now);
        let critical = side.critical;
        self.rebuild(name, now, now);
        if state == CircuitState::Open {
            let error = format!("circuit breaker `{breaker}` is open");
            self.opened(name, critical, now, error, now);
        }
    }

    /// Nothing checks it any more; what it was stays.
    pub(crate) fn leave(&mut self, name: &str, now: Moment) {
        let Some(component) = self.components.get_mut(name) else { return };
        let Some(depends_on) = component.check.as_ref().map(|check| check.depends_on.clone())
        else {
            return;
        };
        if !component.breaker.as_ref().is_some_and(|breaker| breaker.critical) {
            self.critical.leaves(component, now);
        }
        let check = component.check.take();
        self.by_hand -= usize::from(check.is_some_and(|check| check.is_by_hand()));
        self.dependents.leave(name, &depends_on);
        component.last_run = None;
        if component.breaker.is_none() {
            component.flapping = Flapping::default();
            component.timeline.set_from(now, ComponentState::Unobserved);
            self.facts.push(Fact::State {
                component: Some(component.name.clone()),
                at: now,
                state: ComponentState::Unobserved,
            });
            self.resolve(name, now);
        } else {
            let name = component.name.clone();
            let is_closed = component.breaker.as_ref().is_some_and(BreakerSide::is_closed);
            self.rebuild(&name, now, now);
            if is_closed {
                self.resolve(&name, now);
            }
        }
        self.rebuild_system(now, now);
        self.waited_for.remove(name);
        self.see_whether_started();
    }

    fn component(&mut self, name: &Arc<str>, now: Moment) -> &mut Component {
        self.components.entry(name.clone()).or_insert_with(|| Component::new(name.clone(), now))
    }

    /// A run of a check has completed. That of a check which has left meanwhile is nobody's.
    pub(crate) fn record(&mut self, result: HealthCheckResult, now: Moment) {
        let name = result.component.clone();
        if self.components.get(&name).is_none_or(|component| component.check.is_none()) {
            return;
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
            Cause::Overridden { ttl, .. } => *ttl,
            _ => None,
        };
        side.set(&event.breaker, event.to, open_for, at);
        let (critical, closed) = (side.critical, side.is_closed());
        let check_is_down =
            component.check.as_ref().is_some_and(|check| check.hysteresis.is_down());
        self.rebuild(&name, at, now);
        if event.to == CircuitState::Open && event.from != CircuitState::Open {
            let error = format!("circuit breaker `{}` opened: {}", event.breaker, event.cause);
            self.opened(&name, critical, at, error, now);
        } else if closed && event.from != CircuitState::Closed && !check_is_down {
            self.resolve(&name, at);
        }
        self.show(&name, now);
    }

    /// Works the component's timeline out again from `at` on, and the system's with it.
    fn rebuild(&mut self, name: &Arc<str>, at: Moment, now: Moment) {
        if self.rebuild_component(name, at, now) {
            self.rebuild_system(at, now);
        }
        self.show(name, now);
    }

    /// Gives whether it counts for the system.
    fn rebuild_component(&mut self, name: &Arc<str>, at: Moment, now: Moment) -> bool {
        let Some(component) = self.components.get_mut(name) else { return false };
        for (at, state) in component.rebuild(&self.announced.of_system, at, now) {
            self.facts.push(Fact::State { component: Some(name.clone()), at, state });
        }
        if component.is_critical() && component.member.is_some() {
            self.critical.update(component);
            return true;
        }
        component.memberships().any(|span| at < span.to)
    }

    fn rebuild_system(&mut self, at: Moment, now: Moment) {
        let at = at.max(self.boot);
        let matter = self.critical.matters_since(at).into_iter();
        let matter = matter.filter_map(|name| self.components.get(name));
        let parts = matter
            .flat_map(|component| component.memberships().map(|span| (&component.timeline, span)));
        // Where nothing else is said the process's own time shows: it is up.
        let process = (&self.process, Span::new(self.boot, Moment::MAX));
        let parts: Vec<_> = parts.chain([process]).collect();
        let span = Span::new(at, now.after(Duration::from_millis(1)));
        let changes = overlay(&parts, span, system_rank);
        for (at, state) in self.with_maintenance(changes, span) {
            if self.system.set_from(at, state) {
                self.facts.push(Fact::State { component: None, at, state });
            }
        }
    }

    fn show(&mut self, name: &Arc<str>, now: Moment) {
        let Some(component) = self.components.get_mut(name) else { return };
        if component.flapping.observe(component.status_but_for_flapping(), now) {
            self.facts.push(Fact::Flapping { component: name.clone(), ended: false });
            return self.rebuild(name, now, now);
        }
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

    /// Everything has joined. Where no check is critical, this is the start. Of the incidents that
    /// the history left open, those go on whose component is down by its check: a breaker is born
    /// closed, and of a component that is gone nobody will say that it came up.
    pub(crate) fn all_have_joined(&mut self, now: Moment) {
        let goes_on = |incident: &Incident| {
            let component = self.components.get(&incident.component);
            incident.has_downtime() && component.is_some_and(|one| one.check.is_some())
        };
        let over = self.incidents.active().filter(|incident| !goes_on(incident));
        let over: Vec<_> = over.map(|incident| incident.component.clone()).collect();
        for name in over {
            let open = self.components.get(&name).and_then(|one| one.breaker.as_ref());
            if open.is_none_or(BreakerSide::is_closed) {
                self.resolve(&name, now);
            }
        }
        self.see_whether_started();
    }

    /// What time alone brings about: the end of the startup grace, of a critical breaker's open
    /// time, of the time that a check may be silent.
    pub(crate) fn advance(&mut self, now: Moment) {
        self.end_due_maintenance(now);
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
        if let Some(since) = component.flapping.calm_down(now) {
            self.facts.push(Fact::Flapping { component: name.clone(), ended: true });
            self.rebuild(name, since, now);
        }
        let Some(component) = self.components.get_mut(name) else { return };
        let critical = component.is_critical();
        let Some(check) = &mut component.check else { return };
        if let Some(since) = check.stale_since(now) {
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
        for (at, state) in [(from, ComponentState::Unobserved), (to, self.process.last().1)] {
            self.facts.push(Fact::State { component: Some(PROCESS.into()), at, state });
        }
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

/// For the system: down is the union of what is critical; then what nobody looked at. A component in
/// maintenance is not there.
fn system_rank(state: ComponentState) -> u8 {
    match state {
        ComponentState::Down => 0,
        ComponentState::Unobserved => 1,
        ComponentState::Degraded => 2,
        ComponentState::Up => 3,
        ComponentState::Maintenance => 4,
    }
}

#[cfg(test)]
mod tests;
