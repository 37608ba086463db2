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
//!
//! | file | what it holds |
//! |---|---|
//! | `admit` | what happens when a call comes |
//! | `settle` | what happens when it ends |
//! | `transition` | what is done under the lock |
//! | `control` | what operators do, and what is shown |

mod admit;
mod control;
mod settle;
mod transition;

use std::collections::VecDeque;
use std::hash::{BuildHasher, RandomState};
use std::num::NonZeroU64;
use std::sync::Arc;
use std::time::Duration;

use self::transition::Transition;
use super::config::CircuitBreakerConfig;
use super::error::OpenReason;
use super::events::Cause;
use super::overrides::{ActiveOverride, Mode};
use super::rules::{Duties, InFlight, Rules, Windows};
use super::state::{CircuitState, Word};
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
    pub(crate) word: Word,
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

/// The rejection of a call by an open breaker, as two numbers that travel in registers: what is
/// moved in memory as soon as it is written costs more than the rest of a rejection.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Refusal {
    reason: NonZeroU64,
    /// How long it stays open, in nanoseconds.
    left: u64,
}

impl Refusal {
    #[inline]
    pub(crate) fn reason(self) -> OpenReason {
        // It is one that opened the breaker.
        OpenReason::from_bits(self.reason.get()).unwrap_or(OpenReason::Tripped)
    }

    #[inline]
    pub(crate) fn retry_after(self) -> Duration {
        Duration::from_nanos(self.left)
    }
}

impl From<Refusal> for Rejection {
    fn from(refusal: Refusal) -> Self {
        let retry_after = Some(refusal.retry_after());
        Rejection { reason: refusal.reason(), retry_after, state: RejectedBy::Open }
    }
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
    /// In nanoseconds.
    spent: [u64; 3],
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
        let rules = Rules::new(&config);
        let word = word.with_duties(!rules.duties().is_none());
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
            rules,
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
        let word = word.with_duties(!machine.duties().is_none());
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

    /// Nothing has changed since the call was admitted, and no failure waits to be forgotten: what
    /// a success of a closed breaker has to do is to be counted, and what its duties ask.
    #[inline]
    pub(crate) fn is_calm(&self, admitted: Word) -> bool {
        // Relaxed: as in `end_streak`.
        self.load() == admitted && self.streak.load(Ordering::Relaxed) as u32 == 0
    }

    #[inline]
    fn load(&self) -> Word {
        // Acquire: pairs with the Release in `Transition::publish`, so that what was written
        // before the word moved (streak, first_lease, override_until) is seen by whoever sees the
        // word.
        Word::from_bits(self.word.load(Ordering::Acquire))
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

    /// Takes the lock, and gives up if the epoch has moved on since `seen`.
    fn transition(&self, seen: Word, at: Tick) -> Option<Transition<'_>> {
        let transition = self.transition_now(at);
        (transition.word.epoch() == seen.epoch()).then_some(transition)
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
