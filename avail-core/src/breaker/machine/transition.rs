//! What is done under the lock: every change of the word is one of these.

use std::time::Duration;

use super::{Change, Cold, Machine, NEVER, Ticket, empty_streak};
use crate::breaker::error::OpenReason;
use crate::breaker::events::Cause;
use crate::breaker::state::{CircuitState, Word};
use crate::clock::{Tick, nanos};
use crate::primitive::{MutexGuard, Ordering};

/// A change under way: the lock is held, the word is what it was when the lock was taken.
pub(super) struct Transition<'a> {
    pub(super) machine: &'a Machine,
    pub(super) word: Word,
    pub(super) cold: MutexGuard<'a, Cold>,
    pub(super) at: Tick,
}

impl Transition<'_> {
    pub(super) fn publish(&mut self, next: Word) {
        // Release: pairs with the Acquire in `Machine::load`. Whoever holds the lock is alone in
        // writing the word, so that it is what it was; if it were not, nothing would be overwritten.
        let (seen, next_bits) = (self.word.bits(), next.bits());
        let (success, failure) = (Ordering::Release, Ordering::Relaxed);
        let written = self.machine.word.compare_exchange(seen, next_bits, success, failure);
        debug_assert!(written.is_ok(), "the word is written under the lock alone");
        self.word = next;
    }

    pub(super) fn note(&mut self, cause: Cause) {
        self.cold.would_open += u64::from(matches!(cause, Cause::WouldOpen { .. }));
        let state = self.word.effective_state();
        self.record(state, state, cause);
    }

    fn record(&mut self, from: CircuitState, to: CircuitState, cause: Cause) {
        self.cold.sequence += 1;
        let change = Change { sequence: self.cold.sequence, at: self.at, from, to, cause };
        self.cold.changes.push_back(change);
        // Relaxed: written under the lock.
        self.machine.untold.store(self.cold.changes.len() as u64, Ordering::Relaxed);
    }

    /// To a word of the next epoch: no lease of this one is left.
    pub(super) fn move_to(&mut self, next: Word, cause: Cause) {
        let from = self.word.effective_state();
        self.cold.leases.clear();
        // Relaxed: ordered by the word, which is published after them. A swap and no store: calls
        // that end change the streak without the lock, and those changes have one order.
        self.machine.first_lease.store(NEVER, Ordering::Relaxed);
        self.machine.streak.swap(empty_streak(next), Ordering::Relaxed);
        self.publish(next);
        let to = self.word.effective_state();
        if from != to {
            let met = nanos(self.at.since(self.cold.since));
            self.cold.spent[from as usize] += met;
            self.cold.since = self.at;
            self.cold.transitions[from as usize][to as usize] += 1;
        }
        self.record(from, to, cause);
    }

    pub(super) fn to(&mut self, state: CircuitState, cause: Cause) {
        self.move_to(self.word.moved_to(state), cause);
    }

    pub(super) fn open(&mut self, reason: OpenReason) {
        let probes = matches!(reason, OpenReason::ProbeFailed | OpenReason::ProbeExpired);
        let failures = self.machine.failures(&self.cold, self.at);
        self.cold.failures = failures.saturating_add(u32::from(probes));
        let open_time = self.next_open_time();
        self.cold.open_until = self.at.after(open_time);
        // Relaxed: ordered by the word, which is published after them.
        self.machine.open_until.store(self.cold.open_until.as_nanos(), Ordering::Relaxed);
        self.machine.open_reason.store(reason.to_bits(), Ordering::Relaxed);
        self.cold.reason = reason.clone();
        self.to(CircuitState::Open, Cause::Opened { reason, for_at_least: open_time });
    }

    /// Counts this opening, and works out how long it is: each `timeout` of closed health has made
    /// up for one opening before it.
    fn next_open_time(&mut self) -> Duration {
        let config = self.cold.config.clone();
        if self.word.effective_state() == CircuitState::Closed {
            let health = self.at.since(self.cold.since).as_nanos();
            let made_up_for = health / config.timeout.as_nanos().max(1);
            let made_up_for = u32::try_from(made_up_for).unwrap_or(u32::MAX);
            self.cold.trips = self.cold.trips.saturating_sub(made_up_for);
        }
        let open_time = config.open_time(self.cold.trips, self.random());
        self.cold.trips = self.cold.trips.saturating_add(1);
        open_time
    }

    /// A number in [0, 1): a xorshift generator (Marsaglia, "Xorshift RNGs", 2003).
    fn random(&mut self) -> f64 {
        let state = &mut self.cold.random;
        *state ^= *state << 13;
        *state ^= *state >> 7;
        *state ^= *state << 17;
        (*state >> 11) as f64 / (1_u64 << 53) as f64
    }

    /// Open, and the open time is over: the recovery check decides, if there is one.
    pub(super) fn awaits_check(&self) -> bool {
        self.word.active_override().is_none()
            && self.word.state() == CircuitState::Open
            && self.at >= self.cold.open_until
    }

    /// Opens it where a lease ended, from that moment on.
    pub(super) fn open_if_expired(&mut self) -> bool {
        let first = self.machine.first_lease.load(Ordering::Relaxed);
        let expired = self.at.as_nanos() >= first;
        if expired {
            self.at = Tick::from_nanos(first);
            self.open(OpenReason::ProbeExpired);
        }
        expired
    }

    pub(super) fn take_slot(&mut self) -> Option<Ticket> {
        let next = self.word.probe_admitted(self.cold.config.half_open_max_calls)?;
        // Before the end of time, which stands for no lease at all.
        let lease = self.at.after(self.cold.config.probe_lease());
        let lease = lease.min(Tick::from_nanos(NEVER - 1));
        self.cold.leases.push(lease);
        self.show_first_lease();
        self.publish(next);
        Some(Ticket { word: next, lease: Some(lease) })
    }

    /// Leases of one length are alike: any that ends at that moment will do.
    pub(super) fn end_lease(&mut self, lease: Tick) {
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

    pub(super) fn override_until(&self) -> Option<Tick> {
        let until = self.machine.override_until.load(Ordering::Relaxed);
        (until != NEVER).then(|| Tick::from_nanos(until))
    }

    pub(super) fn expire_override(&mut self) {
        let now = self.at;
        if let Some(until) = self.override_until().filter(|until| now >= *until) {
            self.at = until.max(self.cold.since);
            self.drop_own_override(Cause::OverrideExpired);
            self.at = now;
        }
    }

    pub(super) fn drop_own_override(&mut self, cause: Cause) {
        self.cold.own = None;
        self.relay_override(cause);
        // Release, and after the word: pairs with the Acquire in `admit_overridden`.
        self.machine.override_until.store(NEVER, Ordering::Release);
    }

    /// Puts into the word what the breaker's own override, or else the mode, asks for.
    pub(super) fn relay_override(&mut self, cause: Cause) {
        let over = self.cold.own.as_ref().map(|own| own.kind).or(self.cold.mode.as_override());
        self.cold.failures = 0;
        self.cold.trips = 0;
        self.cold.quiet_until = self.at;
        self.move_to(self.word.overridden(over), cause);
    }
}
