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

mod control;
mod transition;

use std::collections::VecDeque;
use std::hash::{BuildHasher, RandomState};
use std::sync::Arc;
use std::time::Duration;

use self::transition::Transition;
use super::config::CircuitBreakerConfig;
use super::error::OpenReason;
use super::events::Cause;
use super::overrides::{ActiveOverride, Mode, Override};
use super::rules::{Duties, InFlight, Rules, Windows};
use super::state::{CircuitState, Word};
use super::window::{Mark, Tally};
use crate::clock::Tick;
use crate::primitive::{AtomicU64, Mutex, Ordering, lock};

const NEVER: u64 = u64::MAX;

/// The half of the streak that says whose it is.
const EPOCH_OF_STREAK: u64 = 0xFFFF_FFFF << 32;

fn empty_streak(word: Word) -> u64 {
    u64::from(word.epoch()) << 32
}

fn streak_epoch(streak: u64) -> u32 {
    (streak >> 32) as u32
}

/// The right to make one call: given out at admission, handed back when the call ends. Two plain
/// numbers, so that it travels in registers.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Ticket {
    /// The word at admission.
    word: Word,
    /// For a probe: when its slot is taken back.
    pub(crate) lease: Option<Tick>,
}

impl Ticket {
    #[inline]
    pub(crate) fn closed(word: Word) -> Self {
        Ticket { word, lease: None }
    }

    #[inline]
    pub(crate) fn epoch(self) -> u32 {
        self.word.epoch()
    }
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
    AwaitingCheck,
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
    /// What a rejection says while it is open: `open_until`, and the reason in one number.
    open_until: AtomicU64,
    open_reason: AtomicU64,
    /// How many changes have not been told yet.
    untold: AtomicU64,
    /// Until when somebody runs the recovery check, so that no call has to.
    supervised_until: AtomicU64,
    rules: Rules,
    windows: Windows,
    in_flight: InFlight,
    cold: Mutex<Cold>,
}

#[derive(Debug)]
struct Cold {
    config: Arc<CircuitBreakerConfig>,
    reason: OpenReason,
    open_until: Tick,
    /// Openings without lasting health.
    trips: u32,
    /// The state of the generator that the jitter is drawn from.
    random: u64,
    /// In shadow: until when it would be open.
    quiet_until: Tick,
    /// How long each state was met until `since`.
    spent: [Duration; 3],
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
    /// How long each state has been met.
    pub(crate) spent: [Duration; 3],
    pub(crate) config: Arc<CircuitBreakerConfig>,
}

impl Machine {
    pub(crate) fn new(
        config: Arc<CircuitBreakerConfig>,
        now: Tick,
        mode: Mode,
        own: Option<ActiveOverride>,
    ) -> Self {
        let over = own.as_ref().map(|own| own.kind).or(mode.as_override());
        let word = if over.is_some() { Word::NEW.overridden(over) } else { Word::NEW };
        Machine {
            word: AtomicU64::new(word.bits()),
            streak: AtomicU64::new(empty_streak(word)),
            last_failure: AtomicU64::new(0),
            first_lease: AtomicU64::new(NEVER),
            override_until: AtomicU64::new(NEVER),
            open_until: AtomicU64::new(0),
            open_reason: AtomicU64::new(0),
            untold: AtomicU64::new(0),
            supervised_until: AtomicU64::new(0),
            rules: Rules::new(&config),
            windows: Windows::of(&config),
            in_flight: InFlight::default(),
            cold: Mutex::new(Cold {
                random: seed(&config),
                config,
                reason: OpenReason::Tripped,
                open_until: now,
                trips: 0,
                quiet_until: now,
                spent: Default::default(),
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
    pub(crate) fn with_epoch(config: CircuitBreakerConfig, now: Tick, epoch: u32) -> Self {
        let machine = Self::new(Arc::new(config), now, Mode::On, None);
        let word = Word::from_bits(u64::from(epoch) << 32).moved_to(CircuitState::Closed);
        machine.transition_now(now).move_to(word, Cause::Reset);
        machine
    }

    #[inline]
    pub(crate) fn duties(&self) -> Duties {
        self.rules.duties()
    }

    /// Whether there may be changes to tell. Whoever made one sees it here.
    #[inline]
    pub(crate) fn has_changes(&self) -> bool {
        // Relaxed: it is looked at again under the lock.
        self.untold.load(Ordering::Relaxed) != 0
    }

    pub(crate) fn rules(&self) -> &Rules {
        &self.rules
    }

    pub(crate) fn in_flight(&self) -> &InFlight {
        &self.in_flight
    }

    /// Nothing has changed since the call was admitted, and no failure waits to be forgotten: a
    /// success has nothing to do but to be counted.
    #[inline]
    pub(crate) fn is_calm(&self, ticket: Ticket) -> bool {
        // Relaxed: as in `end_streak`.
        self.load() == ticket.word
            && ticket.word.is_plainly_closed()
            && self.streak.load(Ordering::Relaxed) as u32 == 0
    }

    #[inline]
    fn load(&self) -> Word {
        // Acquire: pairs with the Release in `Transition::publish`, so that what was written
        // before the word moved (streak, first_lease, override_until) is seen by whoever sees the
        // word.
        Word::from_bits(self.word.load(Ordering::Acquire))
    }

    /// The word, if it is closed and nothing else: one acquire load.
    #[inline]
    pub(crate) fn closed_word(&self) -> Option<Word> {
        let word = self.load();
        word.is_plainly_closed().then_some(word)
    }

    /// The closed path.
    #[inline]
    pub(crate) fn admit_closed(&self) -> Option<Ticket> {
        self.closed_word().map(Ticket::closed)
    }

    /// Every other path.
    pub(crate) fn admit(&self, now: Tick) -> Result<Ticket, Rejection> {
        loop {
            if let Some(decided) = self.try_admit(now) {
                return decided;
            }
        }
    }

    /// `None`: the breaker has moved on meanwhile.
    fn try_admit(&self, now: Tick) -> Option<Result<Ticket, Rejection>> {
        let word = self.load();
        match (word.active_override(), word.state()) {
            (Some(over), _) => self.admit_overridden(word, over, now),
            (None, CircuitState::Closed) => Some(Ok(Ticket { word, lease: None })),
            (None, CircuitState::Open) => self.admit_open(word, now),
            (None, CircuitState::HalfOpen) => self.admit_half_open(word, now),
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
            let ticket = Ticket { word, lease: None };
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

    fn admit_open(&self, word: Word, now: Tick) -> Option<Result<Ticket, Rejection>> {
        if let Some(rejection) = self.still_open(word, now) {
            return Some(Err(rejection));
        }
        let mut transition = self.transition(word, now)?;
        if now < transition.cold.open_until {
            return None;
        }
        if self.is_supervised(now) && transition.cold.config.recovery_check.is_some() {
            return Some(Err(Rejection {
                reason: OpenReason::AwaitingRecoveryCheck,
                retry_after: None,
                state: RejectedBy::AwaitingCheck,
            }));
        }
        transition.to(CircuitState::HalfOpen, Cause::OpenTimeOver);
        transition.take_slot().map(Ok)
    }

    /// The rejection of an open breaker, without the lock: what it says is written before the word
    /// that opens it, and belongs to it while the word stays.
    fn still_open(&self, word: Word, now: Tick) -> Option<Rejection> {
        // Acquire, so that the word is not read again before them.
        let until = Tick::from_nanos(self.open_until.load(Ordering::Acquire));
        let reason = OpenReason::from_bits(self.open_reason.load(Ordering::Acquire))?;
        (now < until && self.load() == word).then(|| Rejection {
            reason,
            retry_after: Some(until.since(now)),
            state: RejectedBy::Open,
        })
    }

    fn is_supervised(&self, now: Tick) -> bool {
        // Relaxed: a time that guards no other memory.
        now.as_nanos() < self.supervised_until.load(Ordering::Relaxed)
    }

    fn admit_half_open(&self, word: Word, now: Tick) -> Option<Result<Ticket, Rejection>> {
        // Relaxed: a lease of these probes or of later ones; and where a change is under way that
        // takes them all back, the lock is waited for.
        let lease = self.first_lease.load(Ordering::Relaxed);
        let all_under_way = word.in_flight() >= self.rules.half_open_max_calls();
        if all_under_way && now.as_nanos() < lease && lease != NEVER {
            return Some(Err(Rejection {
                reason: OpenReason::ProbesInFlight,
                retry_after: None,
                state: RejectedBy::HalfOpen,
            }));
        }
        let mut transition = self.transition(word, now)?;
        if transition.open_if_expired() {
            return None;
        }
        transition.take_slot().map(Ok)
    }

    /// Takes the end of a call into account. `now` is asked for only where it matters.
    pub(crate) fn settle(
        &self,
        ticket: Ticket,
        verdict: Verdict,
        slow: bool,
        now: impl Fn() -> Tick,
    ) -> Standing {
        let word = self.load();
        let overridden = word.active_override().is_some();
        if word.epoch() != ticket.epoch() || overridden && self.override_is_over(ticket, &now) {
            return Standing::Stale;
        }
        match (ticket.lease, verdict) {
            (Some(lease), _) => return self.settle_probe(ticket, lease, verdict, now()),
            (None, Verdict::Nothing) => return Standing::Current,
            (None, Verdict::Good) => self.end_streak(ticket.epoch()),
            (None, Verdict::Bad) => {
                if self.lengthen_streak(word, now()) == Standing::Stale {
                    return Standing::Stale;
                }
            }
        }
        if self.duties().has(Duties::RATES) {
            self.record(word, Mark { failed: verdict == Verdict::Bad, slow }, now);
        }
        Standing::Current
    }

    fn record(&self, word: Word, mark: Mark, now: impl Fn() -> Tick) {
        let Some(window) = self.windows.current() else { return };
        let told = window.record(word.epoch(), mark, &now);
        if self.duties().has(Duties::IN_FLIGHT) {
            self.look_at_rates(word, now());
        } else if told.is_some_and(|tally| self.rules.broken_by(tally).is_some()) {
            self.rate_reached(word, now());
        }
    }

    /// Whether the calls that are under way and overdue make the rate: asked at admission too, since
    /// of calls that all hang none ends.
    pub(crate) fn look_at_rates(&self, word: Word, now: Tick) {
        if self.rules.broken_by(self.tally(word.epoch(), now)).is_some() {
            self.rate_reached(word, now);
        }
    }

    /// Called when a call enters that has to be known while it is under way.
    pub(crate) fn look_at_overdue(&self, now: Tick) {
        let word = self.load();
        if word.state() == CircuitState::Closed {
            self.look_at_rates(word, now);
        }
    }

    /// The calls in the window, with those under way that are overdue where they count.
    fn tally(&self, epoch: u32, now: Tick) -> Tally {
        let window = self.windows.current();
        let mut tally = window.map_or_else(Tally::default, |window| window.tally(epoch, now));
        if self.duties().has(Duties::IN_FLIGHT) {
            let overdue = self.in_flight.overdue(epoch, &self.rules, now);
            tally.calls += overdue;
            tally.slow += overdue;
        }
        tally
    }

    #[cold]
    fn rate_reached(&self, word: Word, now: Tick) {
        let Some(shadow) = is_shadow(word) else { return };
        let Some(mut transition) = self.transition(word, now) else { return };
        // Another call may have been here first, or have ended well meanwhile.
        let Some(reason) = self.rules.broken_by(self.tally(word.epoch(), now)) else { return };
        if !shadow {
            transition.open(reason);
        } else if transition.at >= transition.cold.quiet_until {
            // The window can't be emptied within an epoch: it is reported once, and then not again
            // for as long as it would be open.
            transition.cold.quiet_until = transition.at.after(transition.cold.config.timeout);
            transition.note(Cause::WouldOpen { reason });
        }
    }

    /// Whether the epoch of this call was that of an override that has ended since.
    fn override_is_over(&self, ticket: Ticket, now: impl Fn() -> Tick) -> bool {
        // Acquire: as in `admit_overridden`.
        let until = self.override_until.load(Ordering::Acquire);
        if until != NEVER {
            let now = now();
            if now.as_nanos() >= until {
                return self.transition_now(now).word.epoch() != ticket.epoch();
            }
        }
        self.load().epoch() != ticket.epoch()
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

    fn lengthen_streak(&self, word: Word, now: Tick) -> Standing {
        let Some(failures) = self.count_failure(word.epoch(), now) else {
            return Standing::Stale;
        };
        if self.rules.failure_threshold().is_some_and(|threshold| failures >= threshold) {
            self.streak_complete(word, now);
        }
        Standing::Current
    }

    /// The length of the streak with this failure in it; `None` if the epoch has moved on.
    fn count_failure(&self, epoch: u32, now: Tick) -> Option<u32> {
        // Acquire: pairs with the Release in `forget_streak`, so that whoever sees the time of a
        // failure that began a streak sees that the one before it is gone.
        let last = Tick::from_nanos(self.last_failure.load(Ordering::Acquire));
        if now.since(last) > self.rules.reset_timeout() {
            self.forget_streak(now);
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
    fn forget_streak(&self, now: Tick) {
        let _cold = lock(&self.cold);
        let last = Tick::from_nanos(self.last_failure.load(Ordering::Relaxed));
        if now.since(last) > self.rules.reset_timeout() {
            self.streak.fetch_and(EPOCH_OF_STREAK, Ordering::Relaxed);
            // Release: pairs with the Acquire in `count_failure`.
            self.last_failure.fetch_max(now.as_nanos(), Ordering::Release);
        }
    }

    #[cold]
    fn streak_complete(&self, word: Word, now: Tick) {
        let Some(shadow) = is_shadow(word) else { return };
        let Some(mut transition) = self.transition(word, now) else { return };
        // Another failure of the same streak may have been here first.
        let failures = self.streak.load(Ordering::Relaxed) as u32;
        if self.rules.failure_threshold().is_none_or(|threshold| failures < threshold) {
            return;
        }
        let reason = OpenReason::ConsecutiveFailures { failures };
        if shadow {
            self.streak.fetch_and(EPOCH_OF_STREAK, Ordering::Relaxed);
            transition.note(Cause::WouldOpen { reason });
        } else {
            transition.open(reason);
        }
    }

    fn settle_probe(&self, ticket: Ticket, lease: Tick, verdict: Verdict, now: Tick) -> Standing {
        let mut transition = self.transition_now(now);
        // A lease that ended, this one or that of another probe, re-opened the breaker then: it
        // makes no difference that it is noticed here instead of at an admission.
        if transition.word.epoch() != ticket.epoch() || transition.open_if_expired() {
            return Standing::Stale;
        }
        transition.end_lease(lease);
        match verdict {
            Verdict::Good => {
                let next =
                    transition.word.probe_succeeded(transition.cold.config.success_threshold);
                if next.state() == CircuitState::Closed {
                    transition.to(CircuitState::Closed, Cause::Recovered);
                } else {
                    transition.publish(next);
                }
            }
            Verdict::Bad => transition.open(OpenReason::ProbeFailed),
            Verdict::Nothing => {
                let next = transition.word.probe_returned();
                transition.publish(next);
            }
        }
        Standing::Current
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

/// Whether a rule that is broken is only reported; `None`: not even that.
fn is_shadow(word: Word) -> Option<bool> {
    match word.active_override() {
        None => Some(false),
        Some(Override::Shadow) => Some(true),
        Some(Override::Disabled | Override::ForcedOpen) => None,
    }
}

/// What the jitter's generator starts from; never zero. Mixed, since from small numbers it draws
/// small ones first (the finalizer of SplitMix64: Steele, Lea, Flood, "Fast splittable pseudorandom
/// number generators", 2014).
fn seed(config: &CircuitBreakerConfig) -> u64 {
    let seed = config.jitter_seed.unwrap_or_else(|| RandomState::new().hash_one(0));
    let mixed = seed.wrapping_add(0x9E37_79B9_7F4A_7C15);
    let mixed = (mixed ^ mixed >> 30).wrapping_mul(0xBF58_476D_1CE4_E5B9);
    let mixed = (mixed ^ mixed >> 27).wrapping_mul(0x94D0_49BB_1331_11EB);
    (mixed ^ mixed >> 31) | 1
}
