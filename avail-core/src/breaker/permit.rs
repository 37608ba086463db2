//! The right to make one call. It is handed back whatever happens to the call: a result, a panic,
//! a dropped future.

use std::future::Future;
use std::pin::pin;
use std::sync::Arc;

use super::Inner;
use super::machine::Ticket;
use super::metrics::End;
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
}

impl Outcome {
    /// `Ok` is a success, `Err` a failure.
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
    started: Tick,
    /// Acquired while a panic unwound already: then its drop says nothing about the call.
    born_in_panic: bool,
    settled: bool,
}

impl std::fmt::Debug for Inner {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("CircuitBreaker").field("name", &self.name).finish_non_exhaustive()
    }
}

impl Permit {
    pub(super) fn new(breaker: Arc<Inner>, ticket: Ticket) -> Self {
        let started = breaker.clock.now();
        let born_in_panic = std::thread::panicking();
        Permit { breaker, ticket, started, born_in_panic, settled: false }
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
        self.breaker.settle(self.ticket, end);
    }
}

impl Drop for Permit {
    fn drop(&mut self) {
        if self.settled {
            return;
        }
        let end = if std::thread::panicking() && !self.born_in_panic {
            End::Panic
        } else {
            let age = self.breaker.clock.now().since(self.started);
            self.breaker.cancelled(Some(age))
        };
        self.breaker.settle(self.ticket, end);
    }
}

/// A permit that borrows its breaker and touches no reference count: what `call` and the macros
/// use.
#[derive(Debug)]
#[must_use = "dropping a guard gives its slot back"]
pub struct Guard<'a> {
    breaker: &'a Inner,
    ticket: Ticket,
    /// Set when the call first had to wait; for a probe from the start.
    started: Option<Tick>,
    /// Whether the operation's own code is running: if the guard is dropped then, it panicked.
    running: bool,
    settled: bool,
}

impl<'a> Guard<'a> {
    pub(super) fn new(breaker: &'a Inner, ticket: Ticket) -> Self {
        let started = ticket.lease.map(|_| breaker.clock.now());
        Guard { breaker, ticket, started, running: false, settled: false }
    }

    /// Runs the operation's code under watch: a panic in it is the operation's.
    pub fn watch<R>(&mut self, op: impl FnOnce() -> R) -> R {
        self.running = true;
        let result = op();
        self.running = false;
        result
    }

    /// Runs a future to its end, and takes its output into account.
    #[expect(clippy::manual_async_fn, reason = "an `async fn` keeps each argument twice")]
    pub fn run<F, C, O>(mut self, future: F, classify: C) -> impl Future<Output = F::Output>
    where
        F: Future,
        C: FnOnce(&F::Output) -> O,
        O: Into<End>,
    {
        async move {
            let mut future = pin!(future);
            let output = std::future::poll_fn(|context| {
                let polled = self.watch(|| future.as_mut().poll(context));
                if polled.is_pending() && self.started.is_none() {
                    self.started = Some(self.breaker.clock.now());
                }
                polled
            })
            .await;
            self.settle(&output, classify);
            output
        }
    }

    /// Runs a function to its end, and takes its output into account.
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
    fn settle<R, O: Into<End>>(mut self, output: &R, classify: impl FnOnce(&R) -> O) {
        let end = self.watch(|| classify(output)).into();
        self.settled = true;
        self.breaker.settle(self.ticket, end);
    }
}

impl Drop for Guard<'_> {
    fn drop(&mut self) {
        if self.settled {
            return;
        }
        let end = if self.running {
            End::Panic
        } else {
            let now = self.breaker.clock.now();
            self.breaker.cancelled(self.started.map(|started| now.since(started)))
        };
        self.breaker.settle(self.ticket, end);
    }
}
