//! What every handle of a breaker shares: the machine, its counters, who listens.

use std::cell::Cell;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::Arc;

use chrono::{DateTime, SubsecRound, TimeDelta, Utc};

use super::config::CircuitBreakerConfig;
use super::error::CircuitBreakerError;
use super::events::{BreakerEvent, Listeners};
use super::fleet::Fleet;
use super::label::Label;
use super::machine::{Change, Machine, Refusal, RejectedBy, Rejection, Standing, Ticket, Verdict};
use super::metrics::{CircuitBreakerMetrics, Counters, End, TimeInState, TransitionCount};
use super::rules::Duties;
use crate::clock::{Clock, ReadTime, Tick};
use crate::log;

pub(crate) struct Inner {
    pub(super) name: Label,
    /// What the monitor knows it as: its own name, or its family's.
    pub(super) component: Arc<str>,
    pub(crate) clock: Clock,
    pub(crate) machine: Machine,
    pub(super) counters: Counters,
    pub(super) listeners: Arc<Listeners>,
    pub(super) registry_listeners: Option<Arc<Listeners>>,
    pub(super) fleet: Arc<Fleet>,
    pub(super) fleet_id: u64,
}

/// A call that has ended.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Ended {
    pub(super) ticket: Ticket,
    pub(super) duties: Duties,
    pub(super) started: Option<Tick>,
    pub(super) end: End,
}

impl Inner {
    pub(super) fn config(&self) -> Arc<CircuitBreakerConfig> {
        self.machine.config()
    }

    #[inline]
    pub(super) fn admit(&self) -> Result<Ticket, CircuitBreakerError> {
        match self.refuse_early() {
            Some(refusal) => Err(self.refused(refusal)),
            None => self.admit_slowly(),
        }
    }

    /// Of a call that is not to be refused early.
    #[inline]
    pub(super) fn admit_slowly(&self) -> Result<Ticket, CircuitBreakerError> {
        if self.machine.duties().has(Duties::IN_FLIGHT) {
            self.look_at_overdue();
        }
        match self.machine.admit_closed() {
            Some(ticket) => Ok(ticket),
            None => self.admit_apart(),
        }
    }

    #[inline(never)]
    fn admit_apart(&self) -> Result<Ticket, CircuitBreakerError> {
        match self.machine.admit(self.clock.now()) {
            Ok(ticket) => {
                self.deliver();
                Ok(ticket)
            }
            Err(rejection) => Err(self.reject(rejection)),
        }
    }

    /// Most calls that are rejected are so long before the end of the open time.
    #[inline]
    pub(super) fn refuse_early(&self) -> Option<Refusal> {
        if self.machine.is_plainly_open() { self.refuse_early_if_open() } else { None }
    }

    #[inline(never)]
    fn refuse_early_if_open(&self) -> Option<Refusal> {
        let refusal = self.machine.refuse_early(|| self.clock.coarse())?;
        self.counters.count_rejection(RejectedBy::Open);
        self.deliver();
        Some(refusal)
    }

    #[inline]
    pub(super) fn refused(&self, refusal: Refusal) -> CircuitBreakerError {
        CircuitBreakerError::Open {
            name: self.name.clone(),
            reason: refusal.reason(),
            retry_after: Some(refusal.retry_after()),
        }
    }

    fn reject(&self, rejection: Rejection) -> CircuitBreakerError {
        self.counters.count_rejection(rejection.state);
        self.deliver();
        CircuitBreakerError::Open {
            name: self.name.clone(),
            reason: rejection.reason,
            retry_after: rejection.retry_after,
        }
    }

    /// Of calls that all hang none ends: whether they make a rate is asked where the next one comes.
    #[cold]
    fn look_at_overdue(&self) {
        self.machine.look_at_overdue(self.clock.now());
        self.deliver();
    }

    /// A call has begun that may have to be known while it is under way.
    pub(super) fn enter(&self, ticket: Ticket, duties: Duties, now: Tick) {
        if duties.has(Duties::IN_FLIGHT) {
            self.machine.in_flight().enter(ticket.epoch(), self.machine.rules(), now);
        }
    }

    #[inline]
    pub(super) fn settle(&self, ended: Ended) {
        if self.settle_measured(ended) {
            self.counters.count(End::Success);
            self.deliver();
        } else {
            self.settle_any(ended);
        }
    }

    /// A good call that is nothing but measured, where the coarse clock will do: what rates cost.
    /// `false`: there is more to it, and nothing is done yet.
    #[inline]
    fn settle_measured(&self, Ended { ticket, duties, started, end }: Ended) -> bool {
        let plain = ticket.lease.is_none() && ticket.word.is_plainly_closed();
        if end != End::Success || !duties.has(Duties::COARSE) || !plain {
            return false;
        }
        let now = duties.has(Duties::LATENCY).then(|| self.clock.coarse());
        let took = now.zip(started).map(|(now, started)| now.since(started));
        if took.is_some_and(|took| self.machine.rules().is_slow(took)) {
            return false;
        }
        let coarse = || now.unwrap_or_else(|| self.clock.coarse());
        self.machine.record_good(ticket.word, coarse, || self.clock.now())
    }

    #[inline(never)]
    fn settle_any(&self, Ended { ticket, duties, started, end }: Ended) {
        let verdict = match end {
            End::Success => Verdict::Good,
            End::Failure | End::Panic | End::CancelledOverdue | End::Timeout => Verdict::Bad,
            End::Ignored | End::Cancelled | End::Rejected | End::Stale => Verdict::Nothing,
        };
        // The coarse clock will do for a good call, but for nothing that it may bring about.
        let good = verdict == Verdict::Good && ticket.lease.is_none();
        let time = Reading::new(&self.clock, good && duties.has(Duties::COARSE));
        if let Some(started) = started.filter(|_| duties.has(Duties::IN_FLIGHT)) {
            self.machine.in_flight().leave(ticket.epoch(), started);
        }
        let slow = match end {
            End::Timeout | End::CancelledOverdue => true,
            _ if verdict == Verdict::Nothing || !duties.has(Duties::LATENCY) => false,
            _ => started.is_some_and(|start| self.machine.rules().is_slow(time.now().since(start))),
        };
        if slow {
            time.be_exact();
        }
        let stale = self.machine.settle(ticket, verdict, slow, &time) == Standing::Stale;
        self.counters.count(if stale { End::Stale } else { end });
        self.deliver();
    }

    /// The call has to be timed from now on.
    #[inline]
    pub(super) fn start(&self, ticket: Ticket, duties: Duties) -> Tick {
        let now = if duties.has(Duties::COARSE) { self.clock.coarse() } else { self.clock.now() };
        self.enter(ticket, duties, now);
        now
    }

    /// What a call counts as that is given up now; `None`: before it ever waited.
    pub(super) fn given_up(&self, started: Option<Tick>) -> End {
        let age = started.map(|started| self.clock.now().since(started));
        let overdue = age.is_some_and(|age| self.machine.rules().is_overdue(age));
        if overdue && !self.fleet.is_draining() { End::CancelledOverdue } else { End::Cancelled }
    }

    /// Tells the listeners what has happened, unless another thread is telling them already.
    #[inline]
    pub(crate) fn deliver(&self) {
        if self.machine.has_changes() {
            self.deliver_all();
        }
    }

    #[cold]
    pub(super) fn deliver_all(&self) {
        let mut next = self.machine.next_change(true);
        while let Some(change) = next {
            // What listens, and what takes log lines, is the user's: this call is none of its
            // business, and the next change is to be told all the same.
            let _ = catch_unwind(AssertUnwindSafe(|| self.tell(change)));
            next = self.machine.next_change(false);
        }
    }

    pub(super) fn tell(&self, change: Change) {
        let event = BreakerEvent {
            breaker: self.name.shared().clone(),
            component: self.component.clone(),
            sequence: change.sequence,
            at: self.wall_at(change.at),
            from: change.from,
            to: change.to,
            cause: change.cause,
            critical: self.config().critical,
        };
        log::breaker(&event);
        self.listeners.tell(&event);
        if let Some(listeners) = &self.registry_listeners {
            listeners.tell(&event);
        }
    }

    /// The time of day at a moment of the recent past.
    pub(super) fn wall_at(&self, tick: Tick) -> DateTime<Utc> {
        let ago = TimeDelta::from_std(self.clock.now().since(tick)).unwrap_or(TimeDelta::zero());
        (self.clock.wall() - ago).trunc_subsecs(3)
    }

    pub(super) fn metrics(&self) -> CircuitBreakerMetrics {
        let now = self.clock.now();
        let seen = self.machine.observe(now);
        CircuitBreakerMetrics {
            name: self.name.shared().clone(),
            state: seen.state,
            state_since: self.wall_at(seen.since),
            failure_count: seen.failures,
            retry_after_seconds: seen.open_until.map(|until| until.since(now).as_secs_f64()),
            reason: seen.reason,
            active_override: seen.active_override,
            mode: self.fleet.mode(),
            probes_in_flight: seen.probes_in_flight,
            calls: self.counters.calls(),
            rejections: self.counters.rejections(),
            transitions: TransitionCount::of(seen.transitions),
            would_open: seen.would_open,
            state_seconds: TimeInState::of(seen.spent),
            config: seen.config,
        }
    }
}

impl Drop for Inner {
    fn drop(&mut self) {
        self.fleet.discharge(self.fleet_id);
    }
}

/// The time at the end of a call: read once at most, and only where it matters.
struct Reading<'a> {
    clock: &'a Clock,
    coarse: Cell<bool>,
    read: Cell<Option<Tick>>,
}

impl<'a> Reading<'a> {
    fn new(clock: &'a Clock, coarse: bool) -> Self {
        Reading { clock, coarse: Cell::new(coarse), read: Cell::new(None) }
    }

    /// What follows now is not for the coarse clock.
    fn be_exact(&self) {
        if self.coarse.replace(false) {
            self.read.set(None);
        }
    }
}

impl ReadTime for Reading<'_> {
    fn now(&self) -> Tick {
        let clock = || if self.coarse.get() { self.clock.coarse() } else { self.clock.now() };
        let now = self.read.get().unwrap_or_else(clock);
        self.read.set(Some(now));
        now
    }

    fn coarse(&self) -> Tick {
        self.read.get().unwrap_or_else(|| self.clock.coarse())
    }

    fn exact(&self) -> Tick {
        self.be_exact();
        self.now()
    }
}
