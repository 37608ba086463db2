//! A call under way, as a future.

use std::fmt;
use std::future::Future;
use std::pin::Pin;
use std::task::{Context, Poll};

use pin_project_lite::pin_project;

use super::error::{CallError, CircuitBreakerError};
use super::metrics::End;
use super::permit::{Guard, Outcome};

/// What is made of a call's output; each of its methods is called once at most.
pub trait Finish<T> {
    /// What the caller gets.
    type Output;
    /// The call has ended.
    fn finish(&mut self, guard: &mut Guard<'_>, output: T) -> Self::Output;
    /// The call was not let through, or was cut off.
    fn refuse(&mut self, error: CircuitBreakerError) -> Self::Output;
}

/// `Ok` is a success, `Err` a failure.
#[derive(Debug)]
pub(super) struct ByResult;

impl<T, E> Finish<Result<T, E>> for ByResult {
    type Output = Result<T, CallError<E>>;

    #[inline]
    fn finish(&mut self, guard: &mut Guard<'_>, output: Result<T, E>) -> Self::Output {
        match output {
            Ok(value) => {
                guard.end(End::Success);
                Ok(value)
            }
            Err(error) => {
                guard.end(End::Failure);
                Err(CallError::Operation(error))
            }
        }
    }

    fn refuse(&mut self, error: CircuitBreakerError) -> Self::Output {
        Err(CallError::CircuitBreaker(error))
    }
}

/// As its caller says.
pub(super) struct Classified<C>(pub(super) Option<C>);

impl<T, C: FnOnce(&T) -> Outcome> Finish<T> for Classified<C> {
    type Output = Result<T, CircuitBreakerError>;

    #[inline]
    fn finish(&mut self, guard: &mut Guard<'_>, output: T) -> Self::Output {
        guard.settle(&output, taken(&mut self.0));
        Ok(output)
    }

    fn refuse(&mut self, error: CircuitBreakerError) -> Self::Output {
        Err(error)
    }
}

/// As the output's type says: for the attributes.
pub struct Judged<C>(pub(super) Option<C>);

impl<T, C: FnOnce(&T) -> End> Finish<T> for Judged<C> {
    type Output = T;

    #[inline]
    fn finish(&mut self, guard: &mut Guard<'_>, output: T) -> T {
        guard.settle(&output, taken(&mut self.0));
        output
    }

    fn refuse(&mut self, _: CircuitBreakerError) -> T {
        unreachable!("a call without a limit is not cut off")
    }
}

pin_project! {
    /// A call that does nothing until it is polled. Dropped before its end, it is one that was given
    /// up.
    ///
    /// It is written by hand, so that the guard stays where it is: what is moved as soon as it is
    /// written costs more than the rest of a call that need not wait.
    #[must_use = "futures do nothing unless polled"]
    pub(super) struct Call<'a, Op, F, J> {
        // Before the future, so that the call is taken into account before it is torn down.
        guard: Guard<'a>,
        op: Option<Op>,
        finish: J,
        #[pin]
        future: Option<F>,
    }
}

impl<'a, Op, F, J> Call<'a, Op, F, J> {
    #[inline]
    pub(super) fn new(guard: Guard<'a>, op: Op, finish: J) -> Self {
        Call { guard, op: Some(op), finish, future: None }
    }
}

impl<Op, F, J> Future for Call<'_, Op, F, J>
where
    Op: FnOnce() -> F,
    F: Future,
    J: Finish<F::Output>,
{
    type Output = J::Output;

    /// # Panics
    ///
    /// If it is polled after it has given its output.
    #[inline]
    fn poll(self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<J::Output> {
        let mut this = self.project();
        if let Some(op) = this.op.take() {
            if !this.guard.enter_plainly() {
                let refused = enter(this.guard, this.finish);
                if refused.is_ready() {
                    return refused;
                }
            }
            let future = this.guard.watch(op);
            this.future.set(Some(future));
        }
        let polled = match this.future.as_mut().as_pin_mut() {
            Some(future) => poll(this.guard, future, this.finish, context),
            None => polled_again(),
        };
        if polled.is_ready() {
            // What it holds is let go with the output, also where the call itself stays; and it
            // can't be polled, and its end counted, once more.
            this.future.set(None);
        }
        polled
    }
}

/// A future under a guard that has been let pass: for the attributes.
#[must_use = "futures do nothing unless polled"]
pub struct Running<'g, 'a, F, J> {
    guard: &'g mut Guard<'a>,
    future: F,
    finish: J,
}

impl<'g, 'a, F, J> Running<'g, 'a, F, J> {
    #[inline]
    pub(super) fn new(guard: &'g mut Guard<'a>, future: F, finish: J) -> Self {
        Running { guard, future, finish }
    }
}

/// What finishes a call is no future, and need not stay where it is.
impl<F: Unpin, J> Unpin for Running<'_, '_, F, J> {}

impl<F: Future + Unpin, J: Finish<F::Output>> Future for Running<'_, '_, F, J> {
    type Output = J::Output;

    /// # Panics
    ///
    /// If it is polled after it has given its output.
    #[inline]
    fn poll(self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<J::Output> {
        let this = self.get_mut();
        poll(this.guard, Pin::new(&mut this.future), &mut this.finish, context)
    }
}

/// What happens once and has not happened yet.
#[inline]
fn taken<T>(once: &mut Option<T>) -> T {
    match once.take() {
        Some(once) => once,
        None => polled_again(),
    }
}

#[cold]
#[inline(never)]
fn polled_again() -> ! {
    panic!("a call is not polled after its output")
}

/// Asks for the right to make a call that has more to do than to be counted. Pending: it may be
/// made.
#[inline(never)]
fn enter<T, J: Finish<T>>(guard: &mut Guard<'_>, finish: &mut J) -> Poll<J::Output> {
    match guard.enter_slowly() {
        Ok(()) => Poll::Pending,
        Err(error) => Poll::Ready(finish.refuse(error)),
    }
}

/// The call has to wait, if it is not cut off.
#[cold]
#[inline(never)]
fn wait<T, J: Finish<T>>(
    guard: &mut Guard<'_>,
    finish: &mut J,
    context: &mut Context<'_>,
) -> Poll<J::Output> {
    match guard.wait(context) {
        None => Poll::Pending,
        Some(error) => Poll::Ready(finish.refuse(error)),
    }
}

#[inline]
fn poll<F: Future, J: Finish<F::Output>>(
    guard: &mut Guard<'_>,
    future: Pin<&mut F>,
    finish: &mut J,
    context: &mut Context<'_>,
) -> Poll<J::Output> {
    match guard.watch(|| future.poll(context)) {
        Poll::Ready(output) => Poll::Ready(finish.finish(guard, output)),
        Poll::Pending => wait(guard, finish, context),
    }
}

impl<Op, F, J> fmt::Debug for Call<'_, Op, F, J> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Call").field("guard", &self.guard).finish_non_exhaustive()
    }
}

impl<F, J> fmt::Debug for Running<'_, '_, F, J> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Running").field("guard", &self.guard).finish_non_exhaustive()
    }
}

impl<C> fmt::Debug for Judged<C> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Judged")
    }
}
