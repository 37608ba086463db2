//! The right to make one call. It is handed back whatever happens to the call: a result, a panic,
//! a dropped future.

use std::fmt;
use std::future::Future;
use std::mem::ManuallyDrop;
use std::pin::Pin;
use std::sync::Arc;
use std::task::Context;
#[cfg(feature = "tower")]
use std::time::Duration;

use super::call::{Judged, Running};
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

impl fmt::Debug for Inner {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
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
#[must_use = "dropping a guard gives its slot back"]
pub struct Guard<'a> {
    breaker: &'a Inner,
    ticket: Ticket,
    /// Set when the call first had to wait; from the start for a probe, and where the time that a
    /// call takes is measured.
    started: Option<Tick>,
    /// Cuts the call off; made when it first had to wait. Only a call with duties has one, and what
    /// ends such a call takes it away: so the guard's own drop is one comparison.
    timer: ManuallyDrop<Option<Timer>>,
    duties: Duties,
    phase: Phase,
}

/// Behind a pointer, so that a call which need not wait has no timer in it; and not named, so that
/// the code which tears one down is not put into every call.
type Timer = Pin<Box<dyn Future<Output = ()> + Send + Sync>>;

/// What a guard's drop finds.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Phase {
    Waiting,
    /// The operation's own code is running: if the guard is dropped now, it panicked.
    Running,
    Settled,
}

impl<'a> Guard<'a> {
    /// Of no call yet.
    #[inline]
    pub(super) fn new(breaker: &'a Inner) -> Self {
        let (ticket, duties) = (Ticket::closed(Word::NEW), Duties::NONE);
        let timer = ManuallyDrop::new(None);
        Guard { breaker, ticket, started: None, timer, duties, phase: Phase::Settled }
    }

    /// Asks for the right to make a call.
    ///
    /// # Errors
    ///
    /// [`CircuitBreakerError::Open`] where it may not be made.
    #[inline]
    pub fn enter(&mut self) -> Result<(), CircuitBreakerError> {
        if self.enter_plainly() { Ok(()) } else { self.enter_apart() }
    }

    #[inline(never)]
    fn enter_apart(&mut self) -> Result<(), CircuitBreakerError> {
        self.enter_slowly()
    }

    /// Whether a call may be made that has nothing to do but to be counted.
    #[inline]
    pub(super) fn enter_plainly(&mut self) -> bool {
        match self.breaker.machine.plain_word() {
            Some(word) => {
                self.ticket.word = word;
                self.phase = Phase::Waiting;
                true
            }
            None => false,
        }
    }

    #[inline]
    pub(super) fn enter_slowly(&mut self) -> Result<(), CircuitBreakerError> {
        self.ticket = self.breaker.admit()?;
        self.phase = Phase::Waiting;
        // Read after the word, which they may have outrun: a plain call has none.
        let plain = self.ticket.word.is_plain();
        self.duties = if plain { Duties::NONE } else { self.breaker.machine.duties() };
        if self.ticket.lease.is_some() || self.duties.has(Duties::LATENCY) {
            self.start();
        }
        Ok(())
    }

    /// The call is timed from now on.
    fn start(&mut self) {
        self.started = Some(self.breaker.start(self.ticket, self.duties));
    }

    /// Runs the operation's code under watch: a panic in it is the operation's.
    #[inline]
    pub fn watch<R>(&mut self, op: impl FnOnce() -> R) -> R {
        self.phase = Phase::Running;
        let result = op();
        self.phase = Phase::Waiting;
        result
    }

    /// Runs a future to its end, however long that takes, and takes its output into account.
    #[inline]
    pub fn run<F, C>(&mut self, future: F, classify: C) -> Running<'_, 'a, F, Judged<C>>
    where
        F: Future + Unpin,
        C: FnOnce(&F::Output) -> End,
    {
        self.duties = self.duties.without(Duties::TIMEOUT);
        Running::new(self, future, Judged(Some(classify)))
    }

    /// The call has to wait. Gives the error of one that is cut off.
    #[cold]
    #[inline(never)]
    pub(super) fn wait(&mut self, context: &mut Context<'_>) -> Option<CircuitBreakerError> {
        if self.started.is_none() {
            self.start();
        }
        if !self.duties.has(Duties::TIMEOUT) {
            return None;
        }
        let limit = self.breaker.config().call_timeout?;
        let timer = self.timer.get_or_insert_with(|| Box::pin(tokio::time::sleep(limit)));
        timer.as_mut().poll(context).is_ready().then(|| {
            self.end(End::Timeout);
            CircuitBreakerError::Timeout { name: self.breaker.name.clone(), after: limit }
        })
    }

    /// Runs a function to its end, and takes its output into account.
    #[inline]
    pub fn run_sync<R>(&mut self, op: impl FnOnce() -> R, classify: impl FnOnce(&R) -> End) -> R {
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

    #[inline]
    pub(super) fn end(&mut self, end: End) {
        self.phase = Phase::Settled;
        let word = self.ticket.word;
        if end == End::Success && word.is_plain() && self.breaker.machine.is_calm(word) {
            self.breaker.counters.count(End::Success);
        } else {
            self.end_slowly(end);
        }
    }

    #[inline(never)]
    fn end_slowly(&mut self, end: End) {
        drop(self.timer.take());
        let Guard { breaker, ticket, duties, started, .. } = *self;
        breaker.settle(Ended { ticket, duties, started, end });
    }

    /// Dropped before the call's end: it was given up, or its own code panicked.
    #[cold]
    #[inline(never)]
    fn give_up(&mut self) {
        let panicked = self.phase == Phase::Running;
        let end = if panicked { End::Panic } else { self.breaker.given_up(self.started) };
        self.end_slowly(end);
    }
}

impl Drop for Guard<'_> {
    #[inline]
    fn drop(&mut self) {
        if self.phase != Phase::Settled {
            self.give_up();
        }
    }
}

impl fmt::Debug for Guard<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Guard { breaker, ticket, duties, phase, .. } = self;
        f.debug_struct("Guard")
            .field("breaker", breaker)
            .field("ticket", ticket)
            .field("duties", duties)
            .field("phase", phase)
            .finish_non_exhaustive()
    }
}
