//! The atomics that hold the [state machine](super::state): one packed word that admission reads,
//! and a lock under which every transition is made.
//!
//! The word is written under the lock alone, so each transition has one winner; a closed call only
//! reads it. What else a decision needs is read under the lock, if the word still is what was seen;
//! only two answers that change nothing are given without it: a call that passes under an override,
//! and a call that is rejected because all probes are under way.
//!
//! The streak is written without the lock by calls that end while it is closed. It carries its
//! epoch, which moves with the word's, so that the end of a call can't touch another epoch's.

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

/// The half of the streak that says whose it is.
const EPOCH_OF_STREAK: u64 = 0xFFFF_FFFF << 32;

fn empty_streak(word: Word) -> u64 {
    u64::from(word.epoch()) << 32
}

fn streak_epoch(streak: u64) -> u32 {
    (streak >> 32) as u32
}

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
    /// Beside probes under way; what it is while the lock is held is not for others to see.
    first_lease: AtomicU64,
    override_until: AtomicU64,
    cold: Mutex<Cold>,
}

#[derive(Debug)]
struct Cold {
    reason: OpenReason,
    open_until: Tick,
    failures: u32,
    since: Tick,
    leases: Vec<Tick>,
    own: Option<ActiveOverride>,
    mode: Mode,
    sequence: u64,
    transitions: [[u64; 3]; 3],
    would_open: u64,
    changes: VecDeque<Change>,
    delivering: bool,
}

/// What [`Machine::observe`] shows: everything of one moment.
#[derive(Debug)]
pub(crate) struct Observation {
    pub(crate) state: CircuitState,
    pub(crate) since: Tick,
    pub(crate) failures: u32,
    pub(crate) probes_in_flight: u32,
    pub(crate) open_until: Option<Tick>,
    pub(crate) reason: Option<OpenReason>,
    pub(crate) active_override: Option<ActiveOverride>,
    /// How often it went from one state, the first index, to another, the second.
    pub(crate) transitions: [[u64; 3]; 3],
    pub(crate) would_open: u64,
}

impl Machine {
    pub(crate) fn new(now: Tick, mode: Mode, own: Option<ActiveOverride>) -> Self {
        let over = own.as_ref().map(|own| own.kind).or(mode.as_override());
        let word = if over.is_some() { Word::NEW.overridden(over) } else { Word::NEW };
        Machine {
            word: AtomicU64::new(word.bits()),
            streak: AtomicU64::new(empty_streak(word)),
            last_failure: AtomicU64::new(0),
            first_lease: AtomicU64::new(NEVER),
            override_until: AtomicU64::new(NEVER),
            cold: Mutex::new(Cold {
                reason: OpenReason::Tripped,
                open_until: now,
                failures: 0,
                since: now,
                leases: Vec::new(),
                own,
                mode,
                sequence: 0,
                transitions: Default::default(),
                would_open: 0,
                changes: VecDeque::new(),
                delivering: false,
            }),
        }
    }

    /// One that has come as far as `epoch`.
    #[cfg(all(test, not(avail_loom)))]
    pub(crate) fn with_epoch(now: Tick, epoch: u32) -> Self {
        let machine = Self::new(now, Mode::On, None);
        let word = Word::from_bits(u64::from(epoch) << 32).moved_to(CircuitState::Closed);
        machine.transition_now(now).move_to(word, Cause::Reset);
        machine
    }

    fn load(&self) -> Word {
        // Acquire: pairs with the Release in `Transition::publish`, so that what was written
        // before the word moved (streak, first_lease, override_until) is seen by whoever sees the
        // word.
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
        // Acquire: pairs with the Release in `drop_own_override`, so that an end which was taken
        // away is not believed beside the word of the override that had it.
        let until = self.override_until.load(Ordering::Acquire);
        if over != Override::ForcedOpen && now.as_nanos() < until {
            let ticket = Ticket { epoch: word.epoch(), lease: None };
            return (self.load() == word).then_some(Ok(ticket));
        }
        let transition = self.transition(word, now)?;
        let until = transition.override_until();
        let reason =
            transition.cold.own.as_ref().map_or_else(|| "".into(), |own| own.reason.clone());
        (over == Override::ForcedOpen).then(|| {
            Err(Rejection {
                reason: OpenReason::Forced { reason },
                retry_after: until.map(|until| until.since(now)),
                state: RejectedBy::ForcedOpen,
            })
        })
    }

    fn admit_open(
        &self,
        word: Word,
        now: Tick,
        config: &CircuitBreakerConfig,
    ) -> Option<Result<Ticket, Rejection>> {
        let mut transition = self.transition(word, now)?;
        let until = transition.cold.open_until;
        if now < until {
            return Some(Err(Rejection {
                reason: transition.cold.reason.clone(),
                retry_after: Some(until.since(now)),
                state: RejectedBy::Open,
            }));
        }
        transition.to(CircuitState::HalfOpen, Cause::OpenTimeOver);
        transition.take_slot(config).map(Ok)
    }

    fn admit_half_open(
        &self,
        word: Word,
        now: Tick,
        config: &CircuitBreakerConfig,
    ) -> Option<Result<Ticket, Rejection>> {
        // Relaxed: a lease of these probes or of later ones; and where a change is under way that
        // takes them all back, the lock is waited for.
        let lease = self.first_lease.load(Ordering::Relaxed);
        let all_under_way = word.in_flight() >= config.half_open_max_calls;
        if all_under_way && now.as_nanos() < lease && lease != NEVER {
            return Some(Err(Rejection {
                reason: OpenReason::ProbesInFlight,
                retry_after: None,
                state: RejectedBy::HalfOpen,
            }));
        }
        let mut transition = self.transition(word, now)?;
        if transition.open_if_expired(config) {
            return None;
        }
        transition.take_slot(config).map(Ok)
    }

    /// Takes the end of a call into account. `now` is asked for only where it matters.
    pub(crate) fn settle(
        &self,
        ticket: Ticket,
        verdict: Verdict,
        config: &CircuitBreakerConfig,
        now: impl Fn() -> Tick,
    ) -> Standing {
        let word = self.load();
        let overridden = word.active_override().is_some();
        if word.epoch() != ticket.epoch || overridden && self.override_is_over(ticket, &now) {
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

    /// Whether the epoch of this call was that of an override that has ended since.
    fn override_is_over(&self, ticket: Ticket, now: impl Fn() -> Tick) -> bool {
        // Acquire: as in `admit_overridden`.
        let until = self.override_until.load(Ordering::Acquire);
        if until != NEVER {
            let now = now();
            if now.as_nanos() >= until {
                return self.transition_now(now).word.epoch() != ticket.epoch;
            }
        }
        self.load().epoch() != ticket.epoch
    }

    fn end_streak(&self, epoch: u32) {
        // Relaxed: the streak stands alone. A success and a failure that end at once may be
        // counted in either order, but both are counted.
        if self.streak.load(Ordering::Relaxed) as u32 != 0 {
            let _ = self.streak.fetch_update(Ordering::Relaxed, Ordering::Relaxed, |streak| {
                (streak_epoch(streak) == epoch).then_some(streak & EPOCH_OF_STREAK)
            });
        }
    }

    fn lengthen_streak(&self, word: Word, config: &CircuitBreakerConfig, now: Tick) -> Standing {
        let Some(failures) = self.count_failure(word.epoch(), config, now) else {
            return Standing::Stale;
        };
        if failures >= config.failure_threshold {
            self.streak_complete(word, config, now);
        }
        Standing::Current
    }

    /// The length of the streak with this failure in it; `None` if the epoch has moved on.
    fn count_failure(&self, epoch: u32, config: &CircuitBreakerConfig, now: Tick) -> Option<u32> {
        // Acquire: pairs with the Release in `forget_streak`, so that whoever sees the time of a
        // failure that began a streak sees that the one before it is gone.
        let last = Tick::from_nanos(self.last_failure.load(Ordering::Acquire));
        if now.since(last) > config.reset_timeout {
            self.forget_streak(config, now);
        }
        // Relaxed: as a read-modify-write it carries that Release on. It comes before the streak,
        // so that a failure which sees this one in the streak does not take it for an old one.
        self.last_failure.fetch_max(now.as_nanos(), Ordering::Relaxed);
        let before = self.streak.fetch_update(Ordering::Relaxed, Ordering::Relaxed, |streak| {
            let room = u64::from(streak as u32 != u32::MAX);
            (streak_epoch(streak) == epoch).then_some(streak + room)
        });
        before.ok().map(|before| (before as u32).saturating_add(1))
    }

    /// Under the lock, so that of several failures after a long silence one forgets the streak,
    /// and all of them count in the next.
    #[cold]
    fn forget_streak(&self, config: &CircuitBreakerConfig, now: Tick) {
        let _cold = lock(&self.cold);
        let last = Tick::from_nanos(self.last_failure.load(Ordering::Relaxed));
        if now.since(last) > config.reset_timeout {
            self.streak.fetch_and(EPOCH_OF_STREAK, Ordering::Relaxed);
            // Release: pairs with the Acquire in `count_failure`.
            self.last_failure.fetch_max(now.as_nanos(), Ordering::Release);
        }
    }

    #[cold]
    fn streak_complete(&self, word: Word, config: &CircuitBreakerConfig, now: Tick) {
        let shadow = match word.active_override() {
            None => false,
            Some(Override::Shadow) => true,
            Some(Override::Disabled | Override::ForcedOpen) => return,
        };
        let Some(mut transition) = self.transition(word, now) else { return };
        // Another failure of the same streak may have been here first.
        let failures = self.streak.load(Ordering::Relaxed) as u32;
        if failures < config.failure_threshold {
            return;
        }
        let reason = OpenReason::ConsecutiveFailures { failures };
        if shadow {
            self.streak.fetch_and(EPOCH_OF_STREAK, Ordering::Relaxed);
            transition.note(Cause::WouldOpen { reason });
        } else {
            transition.open(reason, config);
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
        let mut transition = self.transition_now(now);
        // A lease that ended, this one or that of another probe, re-opened the breaker then: it
        // makes no difference that it is noticed here instead of at an admission.
        if transition.word.epoch() != ticket.epoch || transition.open_if_expired(config) {
            return Standing::Stale;
        }
        transition.end_lease(lease);
        match verdict {
            Verdict::Good => {
                let next = transition.word.probe_succeeded(config.success_threshold);
                if next.state() == CircuitState::Closed {
                    transition.to(CircuitState::Closed, Cause::Recovered);
                } else {
                    transition.publish(next);
                }
            }
            Verdict::Bad => transition.open(OpenReason::ProbeFailed, config),
            Verdict::Nothing => {
                let next = transition.word.probe_returned();
                transition.publish(next);
            }
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

    pub(crate) fn failure_count(&self, now: Tick, config: &CircuitBreakerConfig) -> u32 {
        self.failures(&lock(&self.cold), now, config)
    }

    fn failures(&self, cold: &Cold, now: Tick, config: &CircuitBreakerConfig) -> u32 {
        if self.load().state() != CircuitState::Closed {
            return cold.failures;
        }
        let streak = self.streak.load(Ordering::Relaxed);
        let last = Tick::from_nanos(self.last_failure.load(Ordering::Relaxed));
        if now.since(last) <= config.reset_timeout { streak as u32 } else { 0 }
    }

    /// The word as it is shown, and when the override ended that is no longer.
    fn shown(&self, cold: &Cold, now: Tick) -> (Word, Option<Tick>) {
        let word = self.load();
        let until = self.override_until.load(Ordering::Relaxed);
        if now.as_nanos() < until {
            return (word, None);
        }
        (word.overridden(cold.mode.as_override()), Some(Tick::from_nanos(until)))
    }

    /// Everything of this moment. Nothing is changed: an override whose time is over is shown as
    /// over, and ends when the next call or command comes.
    pub(crate) fn observe(&self, now: Tick, config: &CircuitBreakerConfig) -> Observation {
        let cold = lock(&self.cold);
        let (shown, ended) = self.shown(&cold, now);
        let moved = shown.effective_state() != self.load().effective_state();
        let automatic = shown.active_override().is_none();
        Observation {
            state: shown.effective_state(),
            since: ended.filter(|_| moved).unwrap_or(cold.since),
            failures: if ended.is_some() { 0 } else { self.failures(&cold, now, config) },
            probes_in_flight: shown.in_flight(),
            open_until: (automatic && shown.state() == CircuitState::Open)
                .then_some(cold.open_until),
            reason: (automatic && shown.state() != CircuitState::Closed)
                .then(|| cold.reason.clone()),
            active_override: cold.own.clone().filter(|_| ended.is_none()),
            transitions: cold.transitions,
            would_open: cold.would_open,
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

    /// Takes the lock. An override whose time is over ends first, at its time, whoever comes; and
    /// time does not go back where a thread had read the clock before it waited for the lock.
    fn transition_now(&self, at: Tick) -> Transition<'_> {
        let cold = lock(&self.cold);
        let at = at.max(cold.since);
        let mut transition = Transition { machine: self, word: self.load(), cold, at };
        transition.expire_override();
        transition
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
        self.cold.would_open += u64::from(matches!(cause, Cause::WouldOpen { .. }));
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
        // Relaxed: ordered by the word, which is published after them. A swap and no store: calls
        // that end change the streak without the lock, and those changes have one order.
        self.machine.first_lease.store(NEVER, Ordering::Relaxed);
        self.machine.streak.swap(empty_streak(next), Ordering::Relaxed);
        self.publish(next);
        let to = self.word.effective_state();
        if from != to {
            self.cold.since = self.at;
            self.cold.transitions[from as usize][to as usize] += 1;
        }
        self.record(from, to, cause);
    }

    fn to(&mut self, state: CircuitState, cause: Cause) {
        self.move_to(self.word.moved_to(state), cause);
    }

    fn open(&mut self, reason: OpenReason, config: &CircuitBreakerConfig) {
        let probes = matches!(reason, OpenReason::ProbeFailed | OpenReason::ProbeExpired);
        let failures = self.machine.failures(&self.cold, self.at, config);
        self.cold.failures = failures.saturating_add(u32::from(probes));
        self.cold.open_until = self.at.after(config.timeout);
        self.cold.reason = reason.clone();
        self.to(CircuitState::Open, Cause::Opened { reason, for_at_least: config.timeout });
    }

    /// Opens it where a lease ended, from that moment on.
    fn open_if_expired(&mut self, config: &CircuitBreakerConfig) -> bool {
        let first = self.machine.first_lease.load(Ordering::Relaxed);
        let expired = self.at.as_nanos() >= first;
        if expired {
            self.at = Tick::from_nanos(first);
            self.open(OpenReason::ProbeExpired, config);
        }
        expired
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

    fn override_until(&self) -> Option<Tick> {
        let until = self.machine.override_until.load(Ordering::Relaxed);
        (until != NEVER).then(|| Tick::from_nanos(until))
    }

    fn expire_override(&mut self) {
        let now = self.at;
        if let Some(until) = self.override_until().filter(|until| now >= *until) {
            self.at = until.max(self.cold.since);
            self.drop_own_override(Cause::OverrideExpired);
            self.at = now;
        }
    }

    fn drop_own_override(&mut self, cause: Cause) {
        self.cold.own = None;
        self.relay_override(cause);
        // Release, and after the word: pairs with the Acquire in `admit_overridden`.
        self.machine.override_until.store(NEVER, Ordering::Release);
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
