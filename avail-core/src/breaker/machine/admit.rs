//! What happens when a call comes.

use std::num::NonZeroU64;

use super::{Machine, NEVER, Refusal, RejectedBy, Rejection, Ticket};
use crate::breaker::error::OpenReason;
use crate::breaker::events::Cause;
use crate::breaker::overrides::Override;
use crate::breaker::state::{CircuitState, Word};
use crate::clock::{Tick, coarse_nanos};
use crate::primitive::Ordering;

impl Machine {
    /// The word, if a call passes and has nothing to do but to be counted: one acquire load.
    #[inline]
    pub(crate) fn plain_word(&self) -> Option<Word> {
        let word = self.load();
        word.is_plain().then_some(word)
    }

    /// The word, if it is closed and nothing else.
    #[inline]
    fn closed_word(&self) -> Option<Word> {
        let word = self.load();
        word.is_plainly_closed().then_some(word)
    }

    #[inline]
    pub(crate) fn is_plainly_open(&self) -> bool {
        self.load().is_plainly_open()
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
        if let Some(refusal) = self.refusal(word, now, 0) {
            return Some(Err(refusal.into()));
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

    /// The rejection of a breaker that is open for a good while yet, by the coarse clock.
    #[inline]
    pub(crate) fn refuse_early(&self, coarse: impl FnOnce() -> Tick) -> Option<Refusal> {
        let word = self.load();
        if !word.is_plainly_open() {
            return None;
        }
        let (now, margin) = (coarse(), 2 * coarse_nanos());
        self.refusal(word, now, margin)
    }

    /// The rejection of an open breaker, without the lock: what it says is written before the word
    /// that opens it, and belongs to it while the word stays.
    #[inline]
    fn refusal(&self, word: Word, now: Tick, margin: u64) -> Option<Refusal> {
        // Acquire, so that the word is not read again before them.
        let until = self.open_until.load(Ordering::Acquire);
        let reason = NonZeroU64::new(self.open_reason.load(Ordering::Acquire))?;
        let left = until.saturating_sub(now.as_nanos());
        (left > margin && self.load() == word).then_some(Refusal { reason, left })
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
}
