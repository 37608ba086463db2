//! A permit that borrows: what `call` and the attributes hold while a call is under way.

use std::fmt;
use std::future::Future;
use std::mem::ManuallyDrop;
use std::pin::Pin;
use std::task::{Context, Poll};
use std::time::Duration;

use pin_project_lite::pin_project;

use super::call::{Judged, JudgedOr, JudgedOrCutOff, Running};
use super::error::CircuitBreakerError;
use super::inner::{Ended, Inner};
use super::machine::Ticket;
use super::metrics::End;
use super::rules::Duties;
use super::state::Word;
use crate::clock::Tick;

/// A permit that borrows its breaker and touches no reference count: what `call` and the macros
/// use.
///
/// What is not on every call's way takes it, or its parts, by value: so the compiler keeps the guard
/// of a call that need not wait in registers.
#[must_use = "dropping a guard gives its slot back"]
pub struct Guard<'a> {
    breaker: &'a Inner,
    /// The breaker's word at admission.
    word: Word,
    /// For a probe: when its slot is taken back.
    lease: Option<Tick>,
    /// Set when the call first had to wait; from the start for a probe, and where the time that a
    /// call takes is measured.
    started: Option<Tick>,
    /// Cuts the call off; made when it first had to wait. Only a call with duties has one, and what
    /// ends such a call takes it away: so the guard's own drop is one comparison.
    timer: ManuallyDrop<Option<Pin<Box<Timer>>>>,
    duties: Duties,
    phase: Phase,
}

/// What a call that is not plain is let pass with.
struct Admitted {
    word: Word,
    lease: Option<Tick>,
    started: Option<Tick>,
    duties: Duties,
}

pin_project! {
    /// Cuts a call off. Behind a pointer, so that a call which need not wait has none in it.
    #[derive(Debug)]
    struct Timer {
        #[pin]
        sleep: tokio::time::Sleep,
        after: Duration,
    }
}

impl Timer {
    fn new(after: Duration) -> Pin<Box<Self>> {
        Box::pin(Timer { sleep: tokio::time::sleep(after), after })
    }

    /// The time that the call was given, once it is over.
    fn poll(self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<Duration> {
        let this = self.project();
        this.sleep.poll(context).map(|()| *this.after)
    }
}

/// What a guard's drop finds.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Phase {
    Waiting,
    /// The operation's own code is running: if the guard is dropped now, it panicked.
    Running,
    Settled,
}

impl Inner {
    /// Asks for the right to make a call that has more to do than to be counted.
    #[inline(never)]
    fn enter_slowly(&self) -> Result<Admitted, CircuitBreakerError> {
        if let Some(refusal) = self.refuse_early() {
            return Err(self.refused(refusal));
        }
        let mut guard = Guard::new(self);
        guard.enter_slowly()?;
        guard.phase = Phase::Settled;
        let Guard { word, lease, started, duties, .. } = guard;
        Ok(Admitted { word, lease, started, duties })
    }

    #[inline(never)]
    fn end_slowly(
        &self,
        word: Word,
        lease: Option<Tick>,
        started: Option<Tick>,
        duties: Duties,
        end: End,
    ) {
        self.settle(Ended { ticket: Ticket { word, lease }, duties, started, end });
    }

    /// The end of a call that was plain at its admission and has not had to wait.
    #[inline(never)]
    pub(super) fn end_plain_slowly(&self, word: Word, end: End) {
        let (ticket, duties) = (Ticket::closed(word), Duties::NONE);
        self.settle(Ended { ticket, duties, started: None, end });
    }
}

#[cold]
#[inline(never)]
fn let_timer_go(timer: Option<Pin<Box<Timer>>>) {
    drop(timer);
}

/// The guard of a plain call at its first poll, while the operation's code is running: all that its
/// drop can mean is that the code panicked.
pub(super) struct PlainGuard<'a> {
    pub(super) breaker: &'a Inner,
    pub(super) word: Word,
}

impl PlainGuard<'_> {
    /// The code has run.
    #[inline]
    pub(super) fn leave(self) {
        let _ = ManuallyDrop::new(self);
    }
}

impl Drop for PlainGuard<'_> {
    #[inline]
    fn drop(&mut self) {
        self.breaker.end_plain_slowly(self.word, End::Panic);
    }
}

impl<'a> Guard<'a> {
    /// Of no call yet.
    #[inline]
    pub(super) fn new(breaker: &'a Inner) -> Self {
        Guard::of(breaker, Word::NEW, Phase::Settled)
    }

    /// Of a call that has been let pass and has nothing to do but to be counted.
    #[inline]
    pub(super) fn plain(breaker: &'a Inner, word: Word) -> Self {
        Guard::of(breaker, word, Phase::Waiting)
    }

    #[inline]
    fn of(breaker: &'a Inner, word: Word, phase: Phase) -> Self {
        let (duties, timer) = (Duties::NONE, ManuallyDrop::new(None));
        Guard { breaker, word, lease: None, started: None, timer, duties, phase }
    }

    /// Asks for the right to make a call.
    ///
    /// # Errors
    ///
    /// [`CircuitBreakerError::Open`] where it may not be made.
    #[inline]
    pub fn enter(&mut self) -> Result<(), CircuitBreakerError> {
        match self.breaker.machine.plain_word() {
            Some(word) => self.word = word,
            None => {
                let Admitted { word, lease, started, duties } = self.breaker.enter_slowly()?;
                (self.word, self.lease, self.started, self.duties) = (word, lease, started, duties);
            }
        }
        self.phase = Phase::Waiting;
        Ok(())
    }

    /// The guard of a call that may be made.
    ///
    /// # Errors
    ///
    /// [`CircuitBreakerError::Open`] where it may not be made.
    #[inline]
    pub fn admitted(mut self) -> Result<Self, CircuitBreakerError> {
        self.enter()?;
        Ok(self)
    }

    /// Where it stays, since what is moved as soon as it is written costs more than the rest.
    #[inline(never)]
    pub(super) fn enter_slowly(&mut self) -> Result<(), CircuitBreakerError> {
        let Ticket { word, lease } = self.breaker.admit_slowly()?;
        // Read after the word, which they may have outrun: a plain call has none.
        let duties = if word.is_plain() { Duties::NONE } else { self.breaker.machine.duties() };
        (self.word, self.lease, self.duties) = (word, lease, duties);
        if lease.is_some() || duties.has(Duties::LATENCY) {
            self.started = Some(self.breaker.start(Ticket { word, lease }, duties));
        }
        self.phase = Phase::Waiting;
        Ok(())
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
    pub fn run<F, C>(mut self, future: F, classify: C) -> Running<'a, F, Judged<C>>
    where
        F: Future,
        C: Fn(&F::Output) -> End,
    {
        self.duties = self.duties.without(Duties::TIMEOUT);
        Running::new(self, future, Judged(classify))
    }

    /// Runs a future to its end, and takes its output into account. Of one that is cut off, gives
    /// what `reject` makes of the error.
    #[inline]
    pub fn run_or<F, C, R>(
        self,
        future: F,
        classify: C,
        reject: R,
    ) -> Running<'a, F, JudgedOr<C, R>>
    where
        F: Future,
        C: Fn(&F::Output) -> End,
        R: Fn(CircuitBreakerError) -> F::Output,
    {
        Running::new(self, future, JudgedOr(classify, reject))
    }

    /// Runs a future to its end, or until it is cut off, and takes that into account.
    #[inline]
    pub fn run_in_time<F, C>(self, future: F, classify: C) -> Running<'a, F, JudgedOrCutOff<C>>
    where
        F: Future,
        C: Fn(&F::Output) -> End,
    {
        Running::new(self, future, JudgedOrCutOff(classify))
    }

    /// The call has to wait. Gives the error of one that is cut off.
    #[cold]
    #[inline(never)]
    pub(super) fn wait(mut self, context: &mut Context<'_>) -> Result<Self, CircuitBreakerError> {
        let Guard { breaker, word, lease, duties, .. } = self;
        if self.started.is_none() {
            self.started = Some(breaker.start(Ticket { word, lease }, duties));
        }
        if !duties.has(Duties::TIMEOUT) {
            return Ok(self);
        }
        // The limit is that of now, for as long as the call takes.
        if self.timer.is_none() {
            *self.timer = breaker.config().call_timeout.map(Timer::new);
        }
        let Some(timer) = &mut *self.timer else { return Ok(self) };
        let Poll::Ready(after) = timer.as_mut().poll(context) else { return Ok(self) };
        self.end(End::Timeout);
        Err(CircuitBreakerError::Timeout { name: breaker.name.clone(), after })
    }

    /// Runs a function to its end, and takes its output into account.
    #[inline]
    pub fn run_sync<R>(mut self, op: impl FnOnce() -> R, classify: impl FnOnce(&R) -> End) -> R {
        let output = self.watch(op);
        self.settle(|| classify(&output));
        output
    }

    /// A classifier is the user's code: if it panics, the guard's drop counts that.
    #[inline]
    pub(super) fn settle(&mut self, judge: impl FnOnce() -> End) {
        let end = self.watch(judge);
        self.end(end);
    }

    #[inline]
    pub(super) fn end(&mut self, end: End) {
        self.phase = Phase::Settled;
        let Guard { breaker, word, .. } = *self;
        if end == End::Success && word.is_plain() && breaker.machine.is_calm(word) {
            breaker.counters.count(End::Success);
        } else {
            self.end_slowly(end);
        }
    }

    /// In numbers, so that they travel in registers.
    #[inline]
    fn end_slowly(&mut self, end: End) {
        if self.timer.is_some() {
            let_timer_go(self.timer.take());
        }
        let Guard { breaker, word, lease, started, duties, .. } = *self;
        breaker.end_slowly(word, lease, started, duties, end);
    }

    /// Dropped before the call's end: it was given up, or its own code panicked.
    #[cold]
    #[inline(never)]
    fn give_up(mut self) {
        let panicked = self.phase == Phase::Running;
        let end = if panicked { End::Panic } else { self.breaker.given_up(self.started) };
        self.phase = Phase::Settled;
        self.end_slowly(end);
    }

    /// Leaves one in its place that is of no call.
    #[inline]
    pub(super) fn take(&mut self) -> Self {
        std::mem::replace(self, Guard::new(self.breaker))
    }
}

/// The guard of a call that has to wait. Its drop is one comparison, and the rest stands apart.
#[derive(Debug, Default)]
pub(super) struct Waiting<'a>(ManuallyDrop<Option<Guard<'a>>>);

impl<'a> Waiting<'a> {
    pub(super) fn keep(&mut self, guard: Guard<'a>) {
        *self.0 = Some(guard);
    }

    /// There is none: the compiler does not know that from before other memory was written.
    #[inline]
    pub(super) fn none(&mut self) {
        let _ = ManuallyDrop::new(self.0.take());
    }

    /// The guard, if there is one.
    pub(super) fn take(&mut self) -> Option<Guard<'a>> {
        self.0.take()
    }

    #[cold]
    #[inline(never)]
    fn give_up(&mut self) {
        drop(self.take());
    }
}

impl Drop for Waiting<'_> {
    #[inline]
    fn drop(&mut self) {
        if self.0.is_some() {
            self.give_up();
        }
    }
}

impl Drop for Guard<'_> {
    #[inline]
    fn drop(&mut self) {
        if self.phase != Phase::Settled {
            self.take().give_up();
        }
    }
}

impl fmt::Debug for Guard<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Guard { breaker, word, phase, .. } = self;
        f.debug_struct("Guard")
            .field("breaker", breaker)
            .field("word", word)
            .field("phase", phase)
            .finish_non_exhaustive()
    }
}
