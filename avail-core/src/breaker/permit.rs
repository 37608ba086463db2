//! The right to make one call. It is handed back whatever happens to the call: a result, a panic,
//! a dropped future.

use std::fmt;
use std::sync::Arc;
#[cfg(feature = "tower")]
use std::time::Duration;

#[cfg(feature = "tower")]
use super::error::CircuitBreakerError;
use super::inner::{Ended, Inner};
use super::machine::Ticket;
use super::metrics::End;
use super::rules::Duties;
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
