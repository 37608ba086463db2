//! What happens when a call ends: streaks, rates, probes.

use super::{EPOCH_OF_STREAK, Machine, NEVER, Standing, Ticket, Verdict, streak_epoch};
use crate::breaker::error::OpenReason;
use crate::breaker::events::Cause;
use crate::breaker::overrides::Override;
use crate::breaker::rules::Duties;
use crate::breaker::state::{CircuitState, Word};
use crate::breaker::window::{Mark, Tally};
use crate::clock::{ReadTime, Tick, coarse_step};
use crate::primitive::{Ordering, lock};

impl Machine {
    /// Takes the end of a call into account. The time is asked for only where it matters.
    pub(crate) fn settle(
        &self,
        ticket: Ticket,
        verdict: Verdict,
        slow: bool,
        time: &impl ReadTime,
    ) -> Standing {
        let word = self.load();
        let overridden = word.active_override().is_some();
        if word.epoch() != ticket.epoch() || overridden && self.override_is_over(ticket, time) {
            return Standing::Stale;
        }
        match (ticket.lease, verdict) {
            (Some(lease), _) => return self.settle_probe(ticket, lease, verdict, time.now()),
            (None, Verdict::Nothing) => return Standing::Current,
            (None, Verdict::Good) => self.end_streak(ticket.epoch()),
            (None, Verdict::Bad) => {
                if self.lengthen_streak(word, time) == Standing::Stale {
                    return Standing::Stale;
                }
            }
        }
        if self.duties().has(Duties::RATES) {
            self.record(word, Mark { failed: verdict == Verdict::Bad, slow }, time);
        }
        Standing::Current
    }

    /// Takes a good call into account that was admitted under this word, and that was not slow.
    /// `false`: there is more to it, and nothing is done yet.
    #[inline]
    pub(crate) fn record_good(
        &self,
        word: Word,
        coarse: impl FnOnce() -> Tick,
        exact: impl FnOnce() -> Tick,
    ) -> bool {
        let Some(window) = self.windows.current().filter(|_| self.is_calm(word)) else {
            return false;
        };
        let good = Mark { failed: false, slow: false };
        let told = window.record(word.epoch(), good, self.rules.min_calls(), coarse);
        if told.is_some_and(|tally| self.rules.broken_by(tally).is_some()) {
            self.rate_reached(word, exact());
        }
        true
    }

    fn record(&self, word: Word, mark: Mark, time: &impl ReadTime) {
        let Some(window) = self.windows.current() else { return };
        let told = window.record(word.epoch(), mark, self.rules.min_calls(), || time.now());
        if self.duties().has(Duties::IN_FLIGHT) {
            self.look_at_rates(word, time.now());
        } else if told.is_some_and(|tally| self.rules.broken_by(tally).is_some()) {
            self.rate_reached(word, time.exact());
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
            return;
        }
        // It stays broken: good calls look on, so that it is reported again in time.
        self.windows.look_again();
        if transition.at >= transition.cold.quiet_until {
            // The window can't be emptied within an epoch: it is reported once, and then not again
            // for as long as it would be open.
            transition.cold.quiet_until = transition.at.after(transition.cold.config.timeout);
            transition.note(Cause::WouldOpen { reason });
        }
    }

    /// Whether the epoch of this call was that of an override that has ended since.
    fn override_is_over(&self, ticket: Ticket, time: &impl ReadTime) -> bool {
        // Acquire: as in `admit_overridden`.
        let until = self.override_until.load(Ordering::Acquire);
        if until != NEVER {
            let now = time.now();
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

    fn lengthen_streak(&self, word: Word, time: &impl ReadTime) -> Standing {
        // The coarse clock will do for the age of a streak, where that is a hundred of its steps.
        let coarse = self.rules.reset_timeout() >= 100 * coarse_step();
        let now = if coarse { time.coarse() } else { time.now() };
        let Some(failures) = self.count_failure(word.epoch(), now) else {
            return Standing::Stale;
        };
        if self.rules.failure_threshold().is_some_and(|threshold| failures >= threshold) {
            self.streak_complete(word, time.now());
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
        // Relaxed: as a read-modify-write it carries that Release on.
        if last < now {
            // Else it is as late already, as in a burst within one step of the coarse clock.
            self.last_failure.fetch_max(now.as_nanos(), Ordering::Relaxed);
        }
        // Release: pairs with the Acquire in `forget_streak`, so that a failure which sees this one
        // in the streak does not take it for an old one.
        let before = self.streak.fetch_update(Ordering::Release, Ordering::Relaxed, |streak| {
            let room = u64::from(streak as u32 != u32::MAX);
            (streak_epoch(streak) == epoch).then_some(streak + room)
        });
        before.ok().map(|before| (before as u32).saturating_add(1))
    }

    /// Under the lock, so that of several failures after a long silence one forgets the streak,
    /// and all of them count in the next. A failure that is in time and ends beside it is not
    /// forgotten: the streak is looked at before the time of the last one, and has to be the same
    /// then.
    #[cold]
    fn forget_streak(&self, now: Tick) {
        let _cold = lock(&self.cold);
        loop {
            // Acquire: pairs with the Release in `count_failure`.
            let streak = self.streak.load(Ordering::Acquire);
            let last = Tick::from_nanos(self.last_failure.load(Ordering::Relaxed));
            if now.since(last) <= self.rules.reset_timeout() {
                return;
            }
            let (empty, relaxed) = (streak & EPOCH_OF_STREAK, Ordering::Relaxed);
            if self.streak.compare_exchange(streak, empty, relaxed, relaxed).is_ok() {
                // Release: pairs with the Acquire in `count_failure`.
                self.last_failure.fetch_max(now.as_nanos(), Ordering::Release);
                return;
            }
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
}

/// Whether a rule that is broken is only reported; `None`: not even that.
fn is_shadow(word: Word) -> Option<bool> {
    match word.active_override() {
        None => Some(false),
        Some(Override::Shadow) => Some(true),
        Some(Override::Disabled | Override::ForcedOpen) => None,
    }
}
