//! What goes on under other terms than before: nothing of the past is rewritten, and no streak,
//! state or incident is lost.

use std::sync::Arc;
use std::time::Duration;

use super::Ledger;
use super::fact::{CheckTerms, IncidentStep};
use crate::availability::component::Component;
use crate::availability::incident::Severity;
use crate::availability::moment::Moment;
use crate::breaker::CircuitState;

/// A breaker's name, its state, and for how long it is open yet, if that is known.
pub(crate) type BreakerState = (Arc<str>, CircuitState, Option<Duration>);

impl Ledger {
    /// A check goes on under other terms. What its runs have shown stays; the next one is judged by
    /// the new terms.
    pub(crate) fn retune(&mut self, name: &Arc<str>, terms: CheckTerms, now: Moment) {
        let Some(component) = self.components.get(name) else { return };
        let Some(check) = &component.check else { return };
        self.dependents.leave(name, &check.depends_on);
        self.dependents.join(name, &terms.depends_on);
        let by_breaker = component.breaker.as_ref().is_some_and(|breaker| breaker.critical);
        self.weigh(name, terms.critical || by_breaker, now, |component| {
            if let Some(check) = &mut component.check {
                check.retune(terms, now);
            }
        });
        let is_down = |component: &Component| {
            component.check.as_ref().is_some_and(|check| check.critical && check.is_down())
        };
        if self.components.get(name).is_some_and(is_down) {
            self.raise(name, now);
        }
    }

    /// Whether a component's breaker is known, and to weigh otherwise than that.
    pub(crate) fn breaker_weighs_otherwise(&self, name: &str, critical: bool) -> bool {
        let side = self.components.get(name).and_then(|component| component.breaker.as_ref());
        side.is_some_and(|side| side.critical != critical)
    }

    /// A component's breaker is critical from now on, or no longer; `breakers` are those of it that
    /// are not closed.
    pub(crate) fn weigh_breaker(
        &mut self,
        name: &Arc<str>,
        critical: bool,
        breakers: &[BreakerState],
        now: Moment,
    ) {
        let Some(component) = self.components.get(name) else { return };
        let by_check = component.check.as_ref().is_some_and(|check| check.critical);
        self.weigh(name, critical || by_check, now, |component| {
            let Some(side) = &mut component.breaker else { return };
            side.critical = critical;
            let at = now.max(side.track.last().0);
            for (breaker, state, open_for) in breakers {
                side.set(breaker, *state, *open_for, at);
            }
        });
        let open = breakers.iter().find(|(_, state, _)| *state == CircuitState::Open);
        if let Some((breaker, ..)) = open.filter(|_| critical) {
            if self.incidents.open_of(name).is_some() {
                self.raise(name, now);
            } else {
                let error = format!("circuit breaker `{breaker}` is open");
                self.opened(name, true, now, error, now);
            }
        }
    }

    fn raise(&mut self, name: &Arc<str>, now: Moment) {
        let milder = |severity| severity < Severity::Critical;
        if self.incidents.open_of(name).is_some_and(|incident| milder(incident.severity)) {
            self.incidents.raise(name, Severity::Critical);
            self.relate(name, now);
            self.tell(name, IncidentStep::Raised, now);
        }
    }

    /// Changes a component, which is critical from now on or is not: what it was before stays what
    /// it was for the system.
    fn weigh(
        &mut self,
        name: &Arc<str>,
        critical: bool,
        now: Moment,
        change: impl FnOnce(&mut Component),
    ) {
        let Some(component) = self.components.get_mut(name) else { return };
        let was = component.is_critical();
        if was && !critical {
            self.critical.leaves(component, now);
        }
        change(component);
        // A check counts from its first completed run on.
        let seen = component.check.as_ref().is_none_or(|check| check.last_completed.is_some());
        if critical && !was && seen {
            component.begin_to_count(now);
        }
        self.rebuild(name, now, now);
        if was != critical {
            self.rebuild_system(now, now);
            self.wait_for(name, critical);
        }
    }

    /// Whether the start waits for it.
    fn wait_for(&mut self, name: &Arc<str>, critical: bool) {
        let check = self.components.get(name).and_then(|component| component.check.as_ref());
        let has_passed = check.is_none_or(|check| check.hysteresis.is_up());
        if !critical {
            self.waited_for.remove(name);
            self.see_whether_started();
        } else if !self.started && !has_passed {
            self.waited_for.insert(name.clone());
        }
    }
}
