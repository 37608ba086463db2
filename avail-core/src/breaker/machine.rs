//! The atomics that hold the [state machine](super::state): one packed word that admission reads,
//! and a lock under which every transition is made.
//!
//! The word is written under the lock alone, so each transition has one winner; a closed call only
//! reads it. What a reader takes beside the word (when the open time ends, when the first lease
//! ends) it takes between two equal reads of the word.

use std::collections::VecDeque;
use std::sync::Arc;
use std::time::Duration;

use chrono::{DateTime, Utc};

use super::config::CircuitBreakerConfig;
use super::error::OpenReason;
use super::events::Cause;
use super::overrides::{ActiveOverride, Mode, Override, OverrideOptions};
use super::state::{CircuitState, Word};
use crate::clock::Tick;
use crate::primitive::{AtomicU64, Mutex, MutexGuard, Ordering, lock};

const NEVER: u64 = u64::MAX;

/// The right to make one call: given out at admission, handed back when the call ends.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Ticket {
    pub(crate) epoch: u32,
    /// For a probe: when its slot is taken back.
    pub(crate) lease: Option<Tick>,
}

/// A call that may not be made.
#[derive(Debug)]
pub(crate) struct Rejection {
    pub(crate) reason: OpenReason,
    pub(crate) retry_after: Option<Duration>,
    pub(crate) state: RejectedBy,
}

/// What rejected a call: the label of the rejection counters.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum RejectedBy {
    Open,
    HalfOpen,
    ForcedOpen,
}

/// What the end of a call says about the dependency.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Verdict {
    Good,
    Bad,
    Nothing,
}

/// Whether the result of a call came in time to say anything.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Standing {
    Current,
    Stale,
}

/// One change, in the order in which they were made; [`events`](super::events) tells the listeners.
#[derive(Clone, Debug)]
pub(crate) struct Change {
    pub(crate) sequence: u64,
    pub(crate) at: Tick,
    pub(crate) from: CircuitState,
    pub(crate) to: CircuitState,
    pub(crate) cause: Cause,
}

#[derive(Debug)]
pub(crate) struct Machine {
    word: AtomicU64,
    /// The epoch that the streak belongs to, and its length: `epoch << 32 | failures`.
    streak: AtomicU64,
    last_failure: AtomicU64,
    open_until: AtomicU64,
    first_lease: AtomicU64,
    override_until: AtomicU64,
    cold: Mutex<Cold>,
}

#[derive(Debug)]
struct Cold {
    reason: OpenReason,
    failures: u32,
    since: Tick,
    leases: Vec<Tick>,
    own: Option<ActiveOverride>,
    mode: Mode,
    sequence: u64,
    changes: VecDeque<Change>,
    delivering: bool,
}

/// What [`Machine::observe`] shows: everything of one moment.
#[derive(Debug)]
pub(crate) struct Observation {
    pub(crate) state: CircuitState,
    pub(crate) since: Tick,
    pub(crate) probes_in_flight: u32,
    pub(crate) open_until: Option<Tick>,
    pub(crate) reason: Option<OpenReason>,
    pub(crate) active_override: Option<ActiveOverride>,
}

impl Machine {
    pub(crate) fn new(now: Tick, mode: Mode, own: Option<ActiveOverride>) -> Self {
        let over = own.as_ref().map(|own| own.kind).or(mode.as_override());
        let word = if over.is_some() { Word::NEW.overridden(over) } else { Word::NEW };
        Machine {
            word: AtomicU64::new(word.bits()),
            streak: AtomicU64::new(0),
            last_failure: AtomicU64::new(0),
            open_until: AtomicU64::new(0),
            first_lease: AtomicU64::new(NEVER),
            override_until: AtomicU64::new(NEVER),
            cold: Mutex::new(Cold {
                reason: OpenReason::Tripped,
                failures: 0,
                since: now,
                leases: Vec::new(),
                own,
                mode,
                sequence: 0,
                changes: VecDeque::new(),
                delivering: false,
            }),
        }
    }

    fn load(&self) -> Word {
        // Acquire: pairs with the Release in `Transition::publish`, so that what was written
        // before the word moved (open_until, first_lease) is seen by whoever sees the word.
        Word::from_bits(self.word.load(Ordering::Acquire))
    }

    /// The closed path: one acquire load.
    pub(crate) fn admit_closed(&self) -> Option<Ticket> {
        let word = self.load();
        word.is_plainly_closed().then(|| Ticket { epoch: word.epoch(), lease: None })
    }

    /// Every other path.
    pub(crate) fn admit(
        &self,
        now: Tick,
        config: &CircuitBreakerConfig,
    ) -> Result<Ticket, Rejection> {
        loop {
            let word = self.load();
            let decided = match (word.active_override(), word.state()) {
                (Some(over), _) => self.admit_overridden(word, over, now),
                (None, CircuitState::Closed) => {
                    Some(Ok(Ticket { epoch: word.epoch(), lease: None }))
                }
                (None, CircuitState::Open) => self.admit_open(word, now, config),
                (None, CircuitState::HalfOpen) => self.admit_half_open(word, now, config),
            };
            if let Some(decided) = decided {
                return decided;
            }
        }
    }

    fn admit_overridden(
        &self,
        word: Word,
        over: Override,
        now: Tick,
    ) -> Option<Result<Ticket, Rejection>> {
        // Relaxed: written under the lock, and read again under it before anything is done.
        let until = self.override_until.load(Ordering::Relaxed);
        if now.as_nanos() >= until {
            self.expire_override(now);
            return None;
        }
        if over != Override::ForcedOpen {
            return Some(Ok(Ticket { epoch: word.epoch(), lease: None }));
        }
        let cold = lock(&self.cold);
        let reason = cold.own.as_ref().map_or_else(|| "".into(), |own| own.reason.clone());
        let retry_after = (until != NEVER).then(|| Tick::from_nanos(until).since(now));
        Some(Err(Rejection {
            reason: OpenReason::Forced { reason },
            retry_after,
            state: RejectedBy::ForcedOpen,
        }))
    }

    fn admit_open(
        &self,
        word: Word,
        now: Tick,
        config: &CircuitBreakerConfig,
    ) -> Option<Result<Ticket, Rejection>> {
        // Acquire, so that the second read of the word is not taken before it.
        let until = Tick::from_nanos(self.open_until.load(Ordering::Acquire));
        if self.load() != word {
            return None;
        }
        if now < until {
            let reason = lock(&self.cold).reason.clone();
            return Some(Err(Rejection {
                reason,
                retry_after: Some(until.since(now)),
                state: RejectedBy::Open,
            }));
        }
        let mut transition = self.transition(word, now)?;
        transition.to(CircuitState::HalfOpen, Cause::OpenTimeOver);
        transition.take_slot(config).map(Ok)
    }

    fn admit_half_open(
        &self,
        word: Word,
        now: Tick,
        config: &CircuitBreakerConfig,
    ) -> Option<Result<Ticket, Rejection>> {
        let lease = Tick::from_nanos(self.first_lease.load(Ordering::Acquire));
        if self.load() != word {
            return None;
        }
        if now >= lease {
            let mut transition = self.transition(word, lease)?;
            transition.open(OpenReason::ProbeExpired, config);
            return None;
        }
        if word.in_flight() >= config.half_open_max_calls {
            return Some(Err(Rejection {
                reason: OpenReason::ProbesInFlight,
                retry_after: None,
                state: RejectedBy::HalfOpen,
            }));
        }
        self.transition(word, now)?.take_slot(config).map(Ok)
    }

    /// Takes the end of a call into account. `now` is asked for only where it matters.
    pub(crate) fn settle(
        &self,
        ticket: Ticket,
        verdict: Verdict,
        config: &CircuitBreakerConfig,
        now: impl FnOnce() -> Tick,
    ) -> Standing {
        let word = self.load();
        if word.epoch() != ticket.epoch {
            return Standing::Stale;
        }
        match (ticket.lease, verdict) {
            (Some(lease), _) => return self.settle_probe(ticket, lease, verdict, config, now()),
            (None, Verdict::Good) => self.end_streak(ticket.epoch),
            (None, Verdict::Bad) => return self.lengthen_streak(word, config, now()),
            (None, Verdict::Nothing) => {}
        }
        Standing::Current
    }

    fn end_streak(&self, epoch: u32) {
        // Relaxed: the streak stands alone; a success and a failure that end at once may be
        // counted in either order.
        let streak = self.streak.load(Ordering::Relaxed);
        if streak & u64::from(u32::MAX) != 0 && (streak >> 32) as u32 == epoch {
            let _ = self.streak.compare_exchange(
                streak,
                u64::from(epoch) << 32,
                Ordering::Relaxed,
                Ordering::Relaxed,
            );
        }
    }

    fn lengthen_streak(&self, word: Word, config: &CircuitBreakerConfig, now: Tick) -> Standing {
        let epoch = word.epoch();
        let last = Tick::from_nanos(self.last_failure.swap(now.as_nanos(), Ordering::Relaxed));
        let forgotten = now.since(last) > config.reset_timeout;
        let mut streak = self.streak.load(Ordering::Relaxed);
        let failures = loop {
            let of_epoch = (streak >> 32) as u32;
            if of_epoch != epoch && of_epoch.wrapping_sub(epoch) < u32::MAX / 2 {
                return Standing::Stale; // a later epoch has begun its own streak
            }
            let failures = match streak as u32 {
                counted if of_epoch == epoch && !forgotten => counted.saturating_add(1),
                _ => 1,
            };
            let next = (u64::from(epoch) << 32) | u64::from(failures);
            match self.streak.compare_exchange(streak, next, Ordering::Relaxed, Ordering::Relaxed) {
                Ok(_) => break failures,
                Err(current) => streak = current,
            }
        };
        if failures >= config.failure_threshold {
            self.streak_complete(word, failures, config, now);
        }
        Standing::Current
    }

    fn streak_complete(&self, word: Word, failures: u32, config: &CircuitBreakerConfig, now: Tick) {
        let Some(mut transition) = self.transition(word, now) else { return };
        let reason = OpenReason::ConsecutiveFailures { failures };
        match word.active_override() {
            None => {
                transition.cold.failures = failures;
                transition.open(reason, config);
            }
            Some(Override::Shadow) => {
                self.streak.store(u64::from(word.epoch()) << 32, Ordering::Relaxed);
                transition.note(Cause::WouldOpen { reason });
            }
            Some(Override::Disabled | Override::ForcedOpen) => {}
        }
    }

    fn settle_probe(
        &self,
        ticket: Ticket,
        lease: Tick,
        verdict: Verdict,
        config: &CircuitBreakerConfig,
        now: Tick,
    ) -> Standing {
        let cold = lock(&self.cold);
        let word = self.load();
        if word.epoch() != ticket.epoch {
            return Standing::Stale;
        }
        let mut transition = Transition { machine: self, word, cold, at: now };
        if now >= lease {
            // It came back, but too late: noticed here instead of at the next admission.
            transition.at = lease;
            transition.open(OpenReason::ProbeExpired, config);
            return Standing::Stale;
        }
        transition.end_lease(lease);
        match verdict {
            Verdict::Good => {
                let next = word.probe_succeeded(config.success_threshold);
                if next.state() == CircuitState::Closed {
                    transition.to(CircuitState::Closed, Cause::Recovered);
                } else {
                    transition.publish(next);
                }
            }
            Verdict::Bad => {
                transition.cold.failures = transition.cold.failures.saturating_add(1);
                transition.open(OpenReason::ProbeFailed, config);
            }
            Verdict::Nothing => transition.publish(word.probe_returned()),
        }
        Standing::Current
    }

    /// Opens it now, unless an override decides what calls meet.
    pub(crate) fn trip(&self, now: Tick, config: &CircuitBreakerConfig) {
        let mut transition = self.transition_now(now);
        if transition.word.active_override().is_none() {
            transition.open(OpenReason::Tripped, config);
        }
    }

    /// Fresh and closed; an override stays.
    pub(crate) fn reset(&self, now: Tick) {
        let mut transition = self.transition_now(now);
        transition.cold.failures = 0;
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
        let cause =
            Cause::Overridden { kind, actor: own.0.actor.clone(), reason: own.0.reason.clone() };
        transition.cold.own = Some(own.0);
        transition.relay_override(cause);
    }

    pub(crate) fn clear_override(&self, now: Tick) {
        let mut transition = self.transition_now(now);
        if transition.cold.own.is_some() {
            transition.drop_own_override(Cause::OverrideCleared);
        }
    }

    fn expire_override(&self, now: Tick) {
        let mut transition = self.transition_now(now);
        let until = self.override_until.load(Ordering::Relaxed);
        if now.as_nanos() >= until {
            transition.at = Tick::from_nanos(until);
            transition.drop_own_override(Cause::OverrideExpired);
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
        self.observe(now()).state
    }

    pub(crate) fn failure_count(&self, now: Tick, config: &CircuitBreakerConfig) -> u32 {
        let word = self.load();
        if word.state() == CircuitState::Closed {
            self.streak_length(word, now, config)
        } else {
            lock(&self.cold).failures
        }
    }

    fn streak_length(&self, word: Word, now: Tick, config: &CircuitBreakerConfig) -> u32 {
        let streak = self.streak.load(Ordering::Relaxed);
        let last = Tick::from_nanos(self.last_failure.load(Ordering::Relaxed));
        let counts =
            (streak >> 32) as u32 == word.epoch() && now.since(last) <= config.reset_timeout;
        if counts { streak as u32 } else { 0 }
    }

    pub(crate) fn observe(&self, now: Tick) -> Observation {
        let cold = lock(&self.cold);
        let word = self.load();
        // Relaxed: all of these are written under the lock that is held.
        let expired = now.as_nanos() >= self.override_until.load(Ordering::Relaxed);
        let over = if expired { cold.mode.as_override() } else { word.active_override() };
        let state = match over {
            Some(Override::ForcedOpen) => CircuitState::Open,
            Some(_) => CircuitState::Closed,
            None if expired => CircuitState::Closed,
            None => word.state(),
        };
        let automatic = over.is_none() && word.state() != CircuitState::Closed && !expired;
        let open = automatic && word.state() == CircuitState::Open;
        Observation {
            state,
            since: cold.since,
            probes_in_flight: word.in_flight(),
            open_until: open.then(|| Tick::from_nanos(self.open_until.load(Ordering::Relaxed))),
            reason: automatic.then(|| cold.reason.clone()),
            active_override: cold.own.clone().filter(|_| !expired),
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
        cold.delivering = change.is_some();
        change
    }

    fn transition_now(&self, at: Tick) -> Transition<'_> {
        let cold = lock(&self.cold);
        Transition { machine: self, word: self.load(), cold, at }
    }

    /// Takes the lock, and gives up if the word has moved on since `seen`.
    fn transition(&self, seen: Word, at: Tick) -> Option<Transition<'_>> {
        let transition = self.transition_now(at);
        (transition.word == seen).then_some(transition)
    }
}

/// A change under way: the lock is held, the word is what it was when the lock was taken.
struct Transition<'a> {
    machine: &'a Machine,
    word: Word,
    cold: MutexGuard<'a, Cold>,
    at: Tick,
}

impl Transition<'_> {
    fn publish(&mut self, next: Word) {
        // Release: pairs with the Acquire in `Machine::load`.
        self.machine.word.store(next.bits(), Ordering::Release);
        self.word = next;
    }

    fn note(&mut self, cause: Cause) {
        let state = self.word.effective_state();
        self.record(state, state, cause);
    }

    fn record(&mut self, from: CircuitState, to: CircuitState, cause: Cause) {
        self.cold.sequence += 1;
        let change = Change { sequence: self.cold.sequence, at: self.at, from, to, cause };
        self.cold.changes.push_back(change);
    }

    /// To a word of the next epoch: no lease of this one is left.
    fn move_to(&mut self, next: Word, cause: Cause) {
        let from = self.word.effective_state();
        self.cold.leases.clear();
        self.machine.first_lease.store(NEVER, Ordering::Relaxed);
        self.publish(next);
        let to = self.word.effective_state();
        if from != to {
            self.cold.since = self.at;
        }
        self.record(from, to, cause);
    }

    fn to(&mut self, state: CircuitState, cause: Cause) {
        self.move_to(self.word.moved_to(state), cause);
    }

    fn open(&mut self, reason: OpenReason, config: &CircuitBreakerConfig) {
        let until = self.at.after(config.timeout);
        // Relaxed: ordered by the word, which is published after it.
        self.machine.open_until.store(until.as_nanos(), Ordering::Relaxed);
        self.cold.reason = reason.clone();
        self.to(CircuitState::Open, Cause::Opened { reason, for_at_least: config.timeout });
    }

    fn take_slot(&mut self, config: &CircuitBreakerConfig) -> Option<Ticket> {
        let next = self.word.probe_admitted(config.half_open_max_calls)?;
        let lease = self.at.after(config.probe_lease());
        self.cold.leases.push(lease);
        self.show_first_lease();
        self.publish(next);
        Some(Ticket { epoch: next.epoch(), lease: Some(lease) })
    }

    /// Leases of one length are alike: any that ends at that moment will do.
    fn end_lease(&mut self, lease: Tick) {
        if let Some(index) = self.cold.leases.iter().position(|&other| other == lease) {
            self.cold.leases.swap_remove(index);
        }
        self.show_first_lease();
    }

    fn show_first_lease(&mut self) {
        let first = self.cold.leases.iter().min().map_or(NEVER, |lease| lease.as_nanos());
        // Relaxed: ordered by the word, which is published after it.
        self.machine.first_lease.store(first, Ordering::Relaxed);
    }

    fn drop_own_override(&mut self, cause: Cause) {
        self.cold.own = None;
        self.machine.override_until.store(NEVER, Ordering::Relaxed);
        self.relay_override(cause);
    }

    /// Puts into the word what the breaker's own override, or else the mode, asks for.
    fn relay_override(&mut self, cause: Cause) {
        let over = self.cold.own.as_ref().map(|own| own.kind).or(self.cold.mode.as_override());
        self.cold.failures = 0;
        self.move_to(self.word.overridden(over), cause);
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
            reason: Arc::from(options.reason),
            actor: Arc::from(options.actor),
            since,
            until,
        };
        (own, options.ttl)
    }
}
