//! The right to make one call. It is handed back whatever happens to the call: a result, a panic,
//! a dropped future.

use std::future::Future;
use std::pin::{Pin, pin};
use std::sync::Arc;
use std::task::{Context, Poll};
#[cfg(feature = "tower")]
use std::time::Duration;

use super::error::CircuitBreakerError;
use super::inner::{Ended, Inner};
use super::machine::Ticket;
use super::metrics::End;
use super::rules::Duties;
use super::state::Word;
use crate::clock::Tick;

/// What the result of a call counts as.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Outcome {
    /// The dependency works.
    Success,
    /// The dependency does not work.
    Failure,
    /// It says nothing about the dependency, as when the caller asked for something impossible.
    Ignored,
    /// Another breaker further down did not let it through: it says nothing about the dependency
    /// either.
    Rejected,
}

impl Outcome {
    /// `Ok` is a success, `Err` a failure, whatever it holds; see [`of_nested`](Self::of_nested).
    pub fn of_result<T, E>(result: &Result<T, E>) -> Outcome {
        match result {
            Ok(_) => Outcome::Success,
            Err(_) => Outcome::Failure,
        }
    }
}

impl From<Outcome> for End {
    fn from(outcome: Outcome) -> Self {
        match outcome {
            Outcome::Success => End::Success,
            Outcome::Failure => End::Failure,
            Outcome::Ignored => End::Ignored,
            Outcome::Rejected => End::Rejected,
        }
    }
}

/// The right to make one call, from [`CircuitBreaker::acquire`](crate::CircuitBreaker::acquire).
///
/// Say how the call ended with [`success`](Permit::success), [`failure`](Permit::failure) or
/// [`ignore`](Permit::ignore). A permit that is dropped without a word counts as a call that was
/// given up; one that is dropped by a panic, as a failure.
#[derive(Debug)]
#[must_use = "dropping a permit gives its slot back, as for a call that was given up"]
pub struct Permit {
    breaker: Arc<Inner>,
    ticket: Ticket,
    duties: Duties,
    started: Tick,
    /// Acquired while a panic unwound already: then its drop says nothing about the call.
    born_in_panic: bool,
    /// Whether code of the operation is running under [`watch`](Self::watch).
    running: bool,
    settled: bool,
}

impl std::fmt::Debug for Inner {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("CircuitBreaker").field("name", &self.name).finish_non_exhaustive()
    }
}

impl Permit {
    pub(super) fn new(breaker: Arc<Inner>, ticket: Ticket) -> Self {
        let (duties, started) = (breaker.machine.duties(), breaker.clock.now());
        breaker.enter(ticket, duties, started);
        let born_in_panic = std::thread::panicking();
        Permit { breaker, ticket, duties, started, born_in_panic, running: false, settled: false }
    }

    /// The call succeeded.
    pub fn success(self) {
        self.settle(End::Success);
    }

    /// The call failed.
    pub fn failure(self) {
        self.settle(End::Failure);
    }

    /// The call says nothing about the dependency; a probe's slot is given back.
    pub fn ignore(self) {
        self.settle(End::Ignored);
    }

    fn settle(mut self, end: End) {
        self.settled = true;
        self.end(end);
    }

    /// Runs the operation's code: a panic in it is the operation's, whenever the permit is dropped.
    #[cfg(feature = "tower")]
    pub(crate) fn watch<R>(&mut self, op: impl FnOnce() -> R) -> R {
        self.running = true;
        let result = op();
        self.running = false;
        result
    }

    /// How long the call may take before the breaker cuts it off.
    #[cfg(feature = "tower")]
    pub(crate) fn limit(&self) -> Option<Duration> {
        if self.duties.has(Duties::TIMEOUT) { self.breaker.config().call_timeout } else { None }
    }

    #[cfg(feature = "tower")]
    pub(crate) fn end_as(self, end: End) {
        self.settle(end);
    }

    /// The call is cut off after so long.
    #[cfg(feature = "tower")]
    pub(crate) fn time_out(self, after: Duration) -> CircuitBreakerError {
        let name = self.breaker.name.clone();
        self.settle(End::Timeout);
        CircuitBreakerError::Timeout { name, after }
    }

    fn end(&self, end: End) {
        let Permit { ticket, duties, .. } = *self;
        self.breaker.settle(Ended { ticket, duties, started: Some(self.started), end });
    }
}

impl Drop for Permit {
    fn drop(&mut self) {
        if self.settled {
            return;
        }
        if self.running || (std::thread::panicking() && !self.born_in_panic) {
            self.end(End::Panic);
        } else {
            self.end(self.breaker.given_up(Some(self.started)));
        }
    }
}

/// A permit that borrows its breaker and touches no reference count: what `call` and the macros
/// use.
#[derive(Debug)]
#[must_use = "dropping a guard gives its slot back"]
pub struct Guard<'a> {
    breaker: &'a Inner,
    ticket: Ticket,
    duties: Duties,
    /// Set when the call first had to wait; from the start for a probe, and where the time that a
    /// call takes is measured.
    started: Option<Tick>,
    /// Cuts the call off; made when it first had to wait.
    timer: Option<Pin<Box<tokio::time::Sleep>>>,
    /// Whether the operation's own code is running: if the guard is dropped then, it panicked.
    running: bool,
    settled: bool,
}

impl<'a> Guard<'a> {
    #[inline]
    pub(super) fn new(breaker: &'a Inner, ticket: Ticket) -> Self {
        let mut guard = Self::untimed(breaker, ticket);
        let duties = guard.duties;
        if ticket.lease.is_some() || duties.has(Duties::LATENCY) {
            guard.started = Some(breaker.start(guard.ticket, duties));
        }
        guard
    }

    #[inline]
    fn untimed(breaker: &'a Inner, ticket: Ticket) -> Self {
        Guard {
            breaker,
            ticket,
            duties: breaker.machine.duties(),
            started: None,
            timer: None,
            running: false,
            settled: false,
        }
    }

    /// Of a call that a closed breaker lets pass.
    #[inline]
    pub(super) fn closed(breaker: &'a Inner, word: Word) -> Self {
        let mut guard = Self::untimed(breaker, Ticket::closed(word));
        let duties = guard.duties;
        if duties.has(Duties::LATENCY) {
            guard.started = Some(breaker.start(guard.ticket, duties));
        }
        guard
    }

    /// Runs the operation's code under watch: a panic in it is the operation's.
    #[inline]
    pub fn watch<R>(&mut self, op: impl FnOnce() -> R) -> R {
        self.running = true;
        let result = op();
        self.running = false;
        result
    }

    #[inline]
    fn poll<R>(&mut self, poll: impl FnOnce() -> Poll<R>) -> Poll<R> {
        let polled = self.watch(poll);
        if polled.is_pending() && self.started.is_none() {
            self.started = Some(self.breaker.start(self.ticket, self.duties));
        }
        polled
    }

    /// Runs a future to its end, and takes its output into account.
    #[expect(clippy::manual_async_fn, reason = "an `async fn` keeps each argument twice")]
    #[inline]
    pub fn run<F, C, O>(mut self, future: F, classify: C) -> impl Future<Output = F::Output>
    where
        F: Future,
        C: FnOnce(&F::Output) -> O,
        O: Into<End>,
    {
        async move {
            let mut future = pin!(future);
            let poll = std::future::poll_fn(|context| self.poll(|| future.as_mut().poll(context)));
            let output = poll.await;
            self.settle(&output, classify);
            output
        }
    }

    /// Polls a call that may be cut off; `None`: it is.
    #[inline]
    pub(super) fn poll_limited<R>(
        &mut self,
        context: &mut Context<'_>,
        poll: impl FnOnce(&mut Context<'_>) -> Poll<R>,
    ) -> Poll<Option<R>> {
        match self.watch(|| poll(context)) {
            Poll::Ready(output) => Poll::Ready(Some(output)),
            Poll::Pending if self.waits(context) => Poll::Ready(None),
            Poll::Pending => Poll::Pending,
        }
    }

    /// The call has to wait. Gives whether it is cut off.
    #[cold]
    #[inline(never)]
    fn waits(&mut self, context: &mut Context<'_>) -> bool {
        if self.started.is_none() {
            self.started = Some(self.breaker.start(self.ticket, self.duties));
        }
        if !self.duties.has(Duties::TIMEOUT) {
            return false;
        }
        let Some(limit) = self.breaker.config().call_timeout else { return false };
        // In a box, so that a call which need not wait has no timer in it.
        let timer = self.timer.get_or_insert_with(|| Box::pin(tokio::time::sleep(limit)));
        timer.as_mut().poll(context).is_ready()
    }

    /// The call is cut off.
    #[cold]
    pub(super) fn time_out(mut self) -> CircuitBreakerError {
        let name = self.breaker.name.clone();
        let after = self.breaker.config().call_timeout.unwrap_or_default();
        self.end(End::Timeout);
        CircuitBreakerError::Timeout { name, after }
    }

    /// Runs a function to its end, and takes its output into account.
    #[inline]
    pub fn run_sync<R, C, O>(mut self, op: impl FnOnce() -> R, classify: C) -> R
    where
        C: FnOnce(&R) -> O,
        O: Into<End>,
    {
        let output = self.watch(op);
        self.settle(&output, classify);
        output
    }

    /// A classifier is the user's code: if it panics, the guard's drop counts that.
    #[inline]
    pub(super) fn settle<R, O: Into<End>>(&mut self, output: &R, classify: impl FnOnce(&R) -> O) {
        let end = self.watch(|| classify(output)).into();
        self.end(end);
    }

    /// A success of a closed breaker without other duties is counted and nothing else.
    #[inline]
    pub(super) fn end(&mut self, end: End) {
        self.settled = true;
        let plain = end == End::Success && self.duties.is_none() && self.ticket.lease.is_none();
        if plain && self.breaker.machine.is_calm(self.ticket) {
            self.breaker.counters.count(End::Success);
        } else {
            let Guard { breaker, ticket, duties, started, .. } = *self;
            breaker.settle(Ended { ticket, duties, started, end });
        }
    }
}

impl Drop for Guard<'_> {
    /// By value into the cold part, so that the guard itself can stay in registers.
    #[inline]
    fn drop(&mut self) {
        if !self.settled {
            let Guard { breaker, ticket, duties, started, .. } = *self;
            let end = End::Cancelled;
            breaker.give_up(Ended { ticket, duties, started, end }, self.running);
        }
    }
}
