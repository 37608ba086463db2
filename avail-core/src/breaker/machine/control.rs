//! What operators do, and what is shown.

use std::sync::Arc;
use std::time::Duration;

use chrono::{DateTime, Utc};

use super::{Change, Cold, Machine, NEVER, Observation, Transition};
use crate::breaker::config::CircuitBreakerConfig;
use crate::breaker::error::OpenReason;
use crate::breaker::events::Cause;
use crate::breaker::overrides::{ActiveOverride, Mode, Override, OverrideOptions};
use crate::breaker::state::{CircuitState, Word};
use crate::clock::Tick;
use crate::primitive::{Ordering, lock};

impl Machine {
    /// Opens it now, unless an override decides what calls meet.
    pub(crate) fn trip(&self, now: Tick) {
        let mut transition = self.transition_now(now);
        if transition.word.active_override().is_none() {
            transition.open(OpenReason::Tripped);
        }
    }

    /// Fresh and closed; an override stays.
    pub(crate) fn reset(&self, now: Tick) {
        let mut transition = self.transition_now(now);
        transition.cold.failures = 0;
        transition.cold.trips = 0;
        transition.to(CircuitState::Closed, Cause::Reset);
    }

    pub(crate) fn set_override(
        &self,
        kind: Override,
        options: OverrideOptions,
        now: Tick,
        wall: DateTime<Utc>,
    ) {
        let own = ActiveOverride::new(kind, options, wall);
        let until = own.1.map_or(NEVER, |ttl| now.after(ttl).as_nanos());
        let mut transition = self.transition_now(now);
        // Relaxed: ordered by the word, which is published after it.
        self.override_until.store(until, Ordering::Relaxed);
        let cause = Cause::Overridden {
            kind,
            actor: own.0.actor.clone(),
            reason: own.0.reason.clone(),
            ttl: own.1,
        };
        transition.cold.own = Some(own.0);
        transition.relay_override(cause);
    }

    pub(crate) fn clear_override(&self, now: Tick) {
        let mut transition = self.transition_now(now);
        if transition.cold.own.is_some() {
            transition.drop_own_override(Cause::OverrideCleared);
        }
    }

    /// The switch for all; a breaker's own override stays above it.
    pub(crate) fn set_mode(&self, mode: Mode, now: Tick) {
        let mut transition = self.transition_now(now);
        if transition.cold.mode != mode {
            transition.cold.mode = mode;
            if transition.cold.own.is_none() {
                transition.relay_override(Cause::Mode { mode });
            }
        }
    }

    /// What calls meet. An override whose time is over says so; an open breaker whose time is over
    /// still says open, until a call probes it.
    pub(crate) fn state(&self, now: impl FnOnce() -> Tick) -> CircuitState {
        let word = self.load();
        if word.active_override().is_none() {
            return word.state();
        }
        let now = now();
        let cold = lock(&self.cold);
        self.shown(&cold, now).0.effective_state()
    }

    pub(crate) fn failure_count(&self, now: Tick) -> u32 {
        self.failures(&lock(&self.cold), now)
    }

    pub(super) fn failures(&self, cold: &Cold, now: Tick) -> u32 {
        if self.load().state() != CircuitState::Closed {
            return cold.failures;
        }
        let streak = self.streak.load(Ordering::Relaxed);
        let last = Tick::from_nanos(self.last_failure.load(Ordering::Relaxed));
        if now.since(last) <= self.rules.reset_timeout() { streak as u32 } else { 0 }
    }

    /// The word as it is shown, and when the override ended that is no longer.
    pub(super) fn shown(&self, cold: &Cold, now: Tick) -> (Word, Option<Tick>) {
        let word = self.load();
        let until = self.override_until.load(Ordering::Relaxed);
        if now.as_nanos() < until {
            return (word, None);
        }
        (word.overridden(cold.mode.as_override()), Some(Tick::from_nanos(until)))
    }

    /// Everything of this moment. Nothing is changed: an override whose time is over is shown as
    /// over, and ends when the next call or command comes.
    pub(crate) fn observe(&self, now: Tick) -> Observation {
        let cold = lock(&self.cold);
        let (shown, ended) = self.shown(&cold, now);
        let moved = shown.effective_state() != self.load().effective_state();
        let automatic = shown.active_override().is_none();
        // A lease that has ended unnoticed re-opened it then: since that moment no state is counted,
        // so that no figure shrinks when it is noticed.
        let lease = Tick::from_nanos(self.first_lease.load(Ordering::Relaxed));
        let mut spent = cold.spent.map(Duration::from_nanos);
        let met = ended.unwrap_or(lease).min(now).since(cold.since);
        spent[self.load().effective_state() as usize] += met;
        if let Some(ended) = ended {
            spent[shown.effective_state() as usize] += now.since(ended.max(cold.since));
        }
        Observation {
            state: shown.effective_state(),
            since: ended.filter(|_| moved).unwrap_or(cold.since),
            failures: if ended.is_some() { 0 } else { self.failures(&cold, now) },
            probes_in_flight: shown.in_flight(),
            open_until: (automatic && shown.state() == CircuitState::Open)
                .then_some(cold.open_until),
            reason: (automatic && shown.state() != CircuitState::Closed)
                .then(|| cold.reason.clone()),
            active_override: cold.own.clone().filter(|_| ended.is_none()),
            transitions: cold.transitions,
            would_open: cold.would_open,
            spent,
            config: cold.config.clone(),
        }
    }

    pub(crate) fn config(&self) -> Arc<CircuitBreakerConfig> {
        lock(&self.cold).config.clone()
    }

    /// Goes on with other settings: state, open time, epoch and what the windows hold stay.
    pub(crate) fn reconfigure(&self, config: Arc<CircuitBreakerConfig>) {
        let cold = lock(&self.cold);
        let at = cold.since;
        let mut transition = Transition { machine: self, word: self.load(), cold, at };
        // The rules first: the next call looks at the window, and has to look by them.
        self.rules.set(&config);
        self.windows.set(&transition.cold.config, &config);
        transition.cold.config = config;
        transition.publish(transition.word.with_duties(!self.duties().is_none()));
    }

    /// Somebody runs the recovery check for the time up to then.
    pub(crate) fn supervise(&self, until: Tick) {
        // Relaxed: a time that guards no other memory.
        self.supervised_until.store(until.as_nanos(), Ordering::Relaxed);
    }

    /// The health check that has to pass before a call may probe, if the time for it has come.
    pub(crate) fn awaited_check(&self, now: Tick) -> Option<Arc<str>> {
        let cold = lock(&self.cold);
        let word = self.load();
        let open = word.active_override().is_none() && word.state() == CircuitState::Open;
        cold.config.recovery_check.clone().filter(|_| open && now >= cold.open_until)
    }

    /// The recovery check has been run.
    pub(crate) fn recovery_checked(&self, passed: bool, now: Tick) {
        let mut transition = self.transition_now(now);
        if !transition.awaits_check() {
            return;
        }
        if passed {
            transition.to(CircuitState::HalfOpen, Cause::RecoveryCheckPassed);
        } else {
            transition.open(OpenReason::RecoveryCheckFailed);
        }
    }

    /// The next change to tell, if this caller is the one who tells. Whoever is told `Some` asks
    /// again until told `None`.
    pub(crate) fn next_change(&self, first: bool) -> Option<Change> {
        let mut cold = lock(&self.cold);
        if first && cold.delivering {
            return None;
        }
        let change = cold.changes.pop_front();
        // Relaxed: written under the lock.
        self.untold.store(cold.changes.len() as u64, Ordering::Relaxed);
        cold.delivering = change.is_some();
        change
    }
}

impl ActiveOverride {
    pub(crate) fn new(
        kind: Override,
        options: OverrideOptions,
        since: DateTime<Utc>,
    ) -> (Self, Option<Duration>) {
        let until = options
            .ttl
            .and_then(|ttl| chrono::TimeDelta::from_std(ttl).ok())
            .and_then(|ttl| since.checked_add_signed(ttl));
        let own = ActiveOverride {
            kind,
            reason: options.reason.into(),
            actor: options.actor.into(),
            since,
            until,
        };
        (own, options.ttl)
    }
}
