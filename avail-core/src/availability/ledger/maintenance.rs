//! Announced maintenance of a component, or of the whole system.
//!
//! - Its time is counted as maintenance, whatever runs and calls say; what is shown stays the truth.
//!   That of the whole system is the maintenance of every component too. For the system's own
//!   account a component in maintenance is not there: only that of the whole system counts there,
//!   and gives way to nothing but the process's own down time.
//! - No incident begins in it. One that was open stays open, and ends when the component comes up;
//!   the time is not part of its duration. One that is due at the end of the maintenance begins
//!   there.
//! - It has an announced end, can be ended before, and lasts through a restart.

use std::collections::BTreeMap;
use std::sync::Arc;

use chrono::{DateTime, Utc};
use serde::{Deserialize, Serialize};

use super::Ledger;
use super::fact::{Fact, Failure};
use crate::availability::component::Component;
use crate::availability::incident::{Incident, Severity};
use crate::availability::moment::{Moment, Span};
use crate::availability::periods::Periods;
use crate::availability::timeline::{ComponentState, Timeline, overlay};
use crate::error::MonitorError;
use crate::health::FailureClass;
use crate::health::dependencies::nearest;

/// A time in which a component, or the whole system, was announced to be out of service.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[non_exhaustive]
pub struct Maintenance {
    /// Which component; `None`: the whole system.
    pub component: Option<Arc<str>>,
    /// When it began.
    pub start_time: DateTime<Utc>,
    /// When it is announced to end; where it was ended before, when that was.
    pub end_time: DateTime<Utc>,
    /// Why.
    pub reason: Arc<str>,
}

impl Maintenance {
    fn end(&self) -> Moment {
        self.end_time.into()
    }
}

/// What is announced and under way, by component; `None`: the whole system.
#[derive(Debug, Default)]
pub(super) struct Announced {
    under_way: BTreeMap<Option<Arc<str>>, Maintenance>,
    /// Of the whole system.
    pub(super) of_system: Periods,
}

impl Announced {
    pub(super) fn is_due(&self, now: Moment) -> bool {
        self.under_way.values().any(|one| one.end() <= now)
    }
}

impl Ledger {
    /// Refuses a name that nothing is known by.
    pub(crate) fn must_know(&self, name: &Arc<str>) -> Result<(), MonitorError> {
        if self.components.get(name).is_some_and(Component::is_present) {
            return Ok(());
        }
        let nearest = nearest(name, self.present().map(|component| &component.name));
        Err(MonitorError::UnknownComponent { name: name.clone(), nearest })
    }

    /// Begins one, or gives the one that is under way another end and another reason.
    pub(crate) fn begin_maintenance(
        &mut self,
        component: Option<&Arc<str>>,
        until: Moment,
        reason: Arc<str>,
        now: Moment,
    ) -> Maintenance {
        let key = component.cloned();
        let before = self.announced.under_way.get(&key);
        let maintenance = Maintenance {
            start_time: before.map_or(now.to_datetime(), |before| before.start_time),
            end_time: until.max(now).to_datetime(),
            component: key,
            reason,
        };
        self.note_maintenance(maintenance.clone());
        self.rebuild_affected(component, now, now);
        self.facts.push(Fact::Maintenance { ended: false, maintenance: maintenance.clone() });
        maintenance
    }

    /// Ends the one that is under way, now or when it was announced to, whichever is first. Gives
    /// whether there was one.
    pub(crate) fn end_maintenance(&mut self, component: Option<&Arc<str>>, now: Moment) -> bool {
        let key = component.cloned();
        let Some(mut maintenance) = self.announced.under_way.remove(&key) else { return false };
        let at = maintenance.end().min(now);
        maintenance.end_time = at.to_datetime();
        self.periods_of(component, at).end(at);
        self.rebuild_affected(component, at, now);
        self.facts.push(Fact::Maintenance { ended: true, maintenance });
        for name in self.affected(component) {
            self.account_for_what_is_left(&name, at, now);
        }
        true
    }

    /// Those that end by themselves.
    pub(super) fn end_due_maintenance(&mut self, now: Moment) {
        while self.announced.is_due(now) {
            let due = self.announced.under_way.iter().find(|(_, one)| one.end() <= now);
            let Some(component) = due.map(|(component, _)| component.clone()) else { return };
            self.end_maintenance(component.as_ref(), now);
        }
    }

    /// A process begins: what has ended while there was none is over. Nothing that lies ahead is
    /// believed but the announced ends: the clock was wrong then, and has been set back.
    pub(super) fn resume_maintenance(&mut self, now: Moment) {
        let Announced { under_way, of_system } = &mut self.announced;
        under_way.retain(|_, one| one.end() > now && Moment::from(one.start_time) <= now);
        let of_components = self.components.iter_mut();
        let of_components = of_components.map(|(name, one)| (Some(name), &mut one.maintenance));
        for (whose, periods) in of_components.chain([(None, of_system)]) {
            periods.forget_after(now);
            if !under_way.contains_key(&whose.cloned()) {
                periods.end(now);
            }
        }
    }

    /// What the history told at `told_at`.
    pub(crate) fn replay_maintenance(&mut self, maintenance: Maintenance, told_at: Moment) {
        let (whose, is_over) = (maintenance.component.clone(), maintenance.end() <= told_at);
        self.note_maintenance(maintenance);
        if is_over {
            self.announced.under_way.remove(&whose);
        }
    }

    /// It is under way, in place of what was said of it before.
    fn note_maintenance(&mut self, maintenance: Maintenance) {
        let (from, until) = (Moment::from(maintenance.start_time), maintenance.end());
        self.periods_of(maintenance.component.as_ref(), from).set(from, until);
        self.restore_maintenance(maintenance);
    }

    /// One that stands in a snapshot, where its periods stand for themselves.
    pub(crate) fn restore_maintenance(&mut self, maintenance: Maintenance) {
        self.announced.under_way.insert(maintenance.component.clone(), maintenance);
    }

    /// Those that are under way: first that of the whole system, then by component.
    pub(crate) fn maintenance(&self) -> impl Iterator<Item = &Maintenance> {
        self.announced.under_way.values()
    }

    /// The one that the component is in: its own, or that of the whole system.
    pub(crate) fn maintenance_of(&self, name: &Arc<str>) -> Option<&Maintenance> {
        let under_way = &self.announced.under_way;
        let own = if under_way.is_empty() { None } else { under_way.get(&Some(name.clone())) };
        own.or_else(|| under_way.get(&None))
    }

    fn periods_of(&mut self, component: Option<&Arc<str>>, now: Moment) -> &mut Periods {
        match component {
            Some(name) => &mut self.component(name, now).maintenance,
            None => &mut self.announced.of_system,
        }
    }

    fn affected(&self, component: Option<&Arc<str>>) -> Vec<Arc<str>> {
        match component {
            Some(name) => vec![name.clone()],
            None => self.components.keys().cloned().collect(),
        }
    }

    fn rebuild_affected(&mut self, component: Option<&Arc<str>>, at: Moment, now: Moment) {
        for name in self.affected(component) {
            self.rebuild_component(&name, at, now);
        }
        self.rebuild_system(at, now);
    }

    /// The maintenance of a component is over: what is not in order yet is an incident from then on.
    fn account_for_what_is_left(&mut self, name: &Arc<str>, at: Moment, now: Moment) {
        if self.is_in_maintenance(name, now) {
            return;
        }
        let Some(component) = self.components.get_mut(name) else { return };
        let (changed, state) = component.timeline.last();
        let breaker_is_open = component.breaker.as_ref().is_some_and(|one| !one.is_closed());
        if !component.is_present() && state == ComponentState::Maintenance {
            // Nobody looks at it any more.
            component.timeline.set_from(at, ComponentState::Unobserved);
            let component = Some(name.clone());
            self.facts.push(Fact::State { component, at, state: ComponentState::Unobserved });
            return;
        }
        let known = self.incidents.open_of(name);
        if known.is_some_and(Incident::has_downtime) {
            return;
        }
        let Some(component) = self.components.get(name) else { return };
        let (is_known, critical) = (known.is_some(), component.is_critical());
        let failure = what_is_wrong(component);
        if state == ComponentState::Down {
            self.went_down(name, critical, changed.max(at), failure, now);
        } else if breaker_is_open && !is_known {
            self.open(name, Severity::Minor, at, failure, now);
        }
    }

    /// Whether the component did not serve since its last incident, as far as its account says, since
    /// it was in maintenance or nobody looked: that incident goes on, as its outage does.
    pub(super) fn has_not_served_since_the_last(&self, name: &Arc<str>, since: Moment) -> bool {
        let Some(component) = self.components.get(name) else { return false };
        let Some(end) = self.incidents.last_end_of(name) else { return false };
        let between = component.timeline.totals(Span::new(end, since));
        let served = between.of(ComponentState::Up) + between.of(ComponentState::Degraded);
        served == 0 && end <= since
    }

    /// When an incident that is due at `since` begins: where that lies in a maintenance, at its end.
    /// `None` where that has not come.
    pub(super) fn accountable_from(
        &self,
        name: &Arc<str>,
        since: Moment,
        now: Moment,
    ) -> Option<Moment> {
        let own = self.components.get(name).map(|component| &component.maintenance);
        let periods =
            || own.into_iter().flat_map(Periods::iter).chain(self.announced.of_system.iter());
        let mut since = since;
        while let Some(period) = periods().find(|period| period.contains(since)) {
            since = period.to;
        }
        (since <= now).then_some(since)
    }

    /// What the system was, as its components say, with the maintenance of all: only down comes
    /// before that.
    pub(super) fn with_maintenance(
        &self,
        changes: Vec<(Moment, ComponentState)>,
        span: Span,
    ) -> Vec<(Moment, ComponentState)> {
        let touches = |period: &Span| period.to > span.from;
        let periods: Vec<_> = self.announced.of_system.iter().filter(touches).collect();
        let (Some(first), false) = (changes.first(), periods.is_empty()) else { return changes };
        let mut said = Timeline::new(first.0, first.1);
        for (at, state) in &changes {
            said.set_from(*at, *state);
        }
        let maintenance = Timeline::constant(ComponentState::Maintenance);
        let masks = periods.into_iter().map(|period| (&maintenance, period));
        let parts: Vec<_> = masks.chain([(&said, Span::new(first.0, Moment::MAX))]).collect();
        overlay(&parts, span, |state| match state {
            ComponentState::Down => 0,
            ComponentState::Maintenance => 1,
            _ => 2,
        })
    }

    /// The same for the time without a process, from `last` to `now`.
    pub(super) fn mask_system(&mut self, last: Moment, now: Moment) {
        let changes = vec![self.system.last()];
        for (at, state) in self.with_maintenance(changes, Span::new(last, now)) {
            self.system.set_from(at, state);
        }
    }

    fn is_in_maintenance(&self, name: &Arc<str>, now: Moment) -> bool {
        self.accountable_from(name, now, now).is_none()
    }

    /// There was no process from `last` to `now`. A maintenance goes on meanwhile; gives when it
    /// ended, for a component that was in one.
    pub(super) fn end_without_process(
        component: &Component,
        system: &Periods,
        last: Moment,
    ) -> Moment {
        let in_maintenance = component.timeline.last().1 == ComponentState::Maintenance;
        let periods = component.maintenance.iter().chain(system.iter());
        let ends =
            periods.filter(|period| in_maintenance && period.to > last).map(|period| period.to);
        ends.max().unwrap_or(last)
    }
}

/// Why the component is down, or degraded by its breaker.
fn what_is_wrong(component: &Component) -> Failure {
    let is_down = component.check.as_ref().is_some_and(|check| check.hysteresis.is_down());
    if let Some(run) = component.last_run.as_ref().filter(|_| is_down) {
        return Failure::of(run);
    }
    let open = component.breaker.as_ref().and_then(|breaker| breaker.first_not_closed());
    let error = open.map(|breaker| format!("circuit breaker `{breaker}` is open"));
    Failure { count: 1, class: open.map(|_| FailureClass::Open), error }
}
