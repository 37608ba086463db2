//! A call under way, as a future.

use std::fmt;
use std::future::Future;
use std::pin::Pin;
use std::task::{Context, Poll};

use pin_project_lite::pin_project;

use super::error::{CallError, CircuitBreakerError};
use super::guard::{Guard, PlainGuard, Waiting};
use super::inner::Inner;
use super::metrics::End;
use super::permit::Outcome;
use super::state::Word;

/// What is made of a call's output; each of its methods is called once at most.
pub trait Finish<T> {
    /// What the caller gets.
    type Output;
    /// How the call ended. This may be the user's code.
    fn judge(&mut self, output: &T) -> End;
    /// The call has ended.
    fn give(&mut self, output: T) -> Self::Output;
    /// The call was not let through, or was cut off.
    fn refuse(&mut self, error: CircuitBreakerError) -> Self::Output;
}

/// `Ok` is a success, `Err` a failure.
#[derive(Debug)]
pub(super) struct ByResult;

impl<T, E> Finish<Result<T, E>> for ByResult {
    type Output = Result<T, CallError<E>>;

    #[inline]
    fn judge(&mut self, output: &Result<T, E>) -> End {
        if output.is_ok() { End::Success } else { End::Failure }
    }

    #[inline]
    fn give(&mut self, output: Result<T, E>) -> Self::Output {
        output.map_err(CallError::Operation)
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
    fn judge(&mut self, output: &T) -> End {
        taken(&mut self.0)(output).into()
    }

    #[inline]
    fn give(&mut self, output: T) -> Self::Output {
        Ok(output)
    }

    fn refuse(&mut self, error: CircuitBreakerError) -> Self::Output {
        Err(error)
    }
}

/// As the output's type says: for the attributes.
pub struct Judged<C>(pub(super) C);

impl<T, C: Fn(&T) -> End> Finish<T> for Judged<C> {
    type Output = T;

    #[inline]
    fn judge(&mut self, output: &T) -> End {
        (self.0)(output)
    }

    #[inline]
    fn give(&mut self, output: T) -> T {
        output
    }

    fn refuse(&mut self, _: CircuitBreakerError) -> T {
        unreachable!("a call without a limit is not cut off")
    }
}

/// As the output's type says, with the answer of one that is cut off.
pub struct JudgedOr<C, R>(pub(super) C, pub(super) R);

impl<T, C, R> Finish<T> for JudgedOr<C, R>
where
    C: Fn(&T) -> End,
    R: Fn(CircuitBreakerError) -> T,
{
    type Output = T;

    #[inline]
    fn judge(&mut self, output: &T) -> End {
        (self.0)(output)
    }

    #[inline]
    fn give(&mut self, output: T) -> T {
        output
    }

    fn refuse(&mut self, error: CircuitBreakerError) -> T {
        (self.1)(error)
    }
}

/// As the output's type says, or the error of one that is cut off.
pub struct JudgedOrCutOff<C>(pub(super) C);

impl<T, C: Fn(&T) -> End> Finish<T> for JudgedOrCutOff<C> {
    type Output = Result<T, CircuitBreakerError>;

    #[inline]
    fn judge(&mut self, output: &T) -> End {
        (self.0)(output)
    }

    #[inline]
    fn give(&mut self, output: T) -> Self::Output {
        Ok(output)
    }

    fn refuse(&mut self, error: CircuitBreakerError) -> Self::Output {
        Err(error)
    }
}

pin_project! {
    /// A call that does nothing until it is polled. Dropped before its end, it is one that was given
    /// up.
    ///
    /// It is written by hand, so that a call which need not wait leaves nothing here but its
    /// operation: its guard is kept only once it has to wait.
    #[must_use = "futures do nothing unless polled"]
    pub(super) struct Call<'a, Op, F, J> {
        // Before the future, so that the call is taken into account before it is torn down.
        guard: Waiting<'a>,
        breaker: &'a Inner,
        op: Option<Op>,
        finish: J,
        #[pin]
        future: Option<F>,
    }
}

impl<'a, Op, F, J> Call<'a, Op, F, J> {
    #[inline]
    pub(super) fn new(breaker: &'a Inner, op: Op, finish: J) -> Self {
        Call { guard: Waiting::default(), breaker, op: Some(op), finish, future: None }
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
    fn poll(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<J::Output> {
        let mut this = self.as_mut().project();
        let breaker = *this.breaker;
        // Before the word is loaded, beyond which the compiler carries nothing that it knows.
        let slowly = match this.op.take() {
            None => self.go_on(context),
            Some(op) => match breaker.machine.plain_word() {
                None => self.begin(op, context),
                Some(word) => {
                    let guard = PlainGuard { breaker, word };
                    this.future.set(Some(op()));
                    let Some(future) = this.future.as_mut().as_pin_mut() else { polled_again() };
                    match future.poll(context) {
                        Poll::Ready(output) => {
                            let end = this.finish.judge(&output);
                            guard.leave();
                            if end == End::Success && breaker.machine.is_calm(word) {
                                breaker.counters.count(End::Success);
                                this.guard.none();
                                this.future.set(None);
                                return Poll::Ready(this.finish.give(output));
                            }
                            self.end(word, end, output)
                        }
                        Poll::Pending => {
                            guard.leave();
                            self.wait(Guard::plain(breaker, word), context)
                        }
                    }
                }
            },
        };
        slowly.map_or(Poll::Pending, Poll::Ready)
    }
}

/// What is not on the way of a plain call that need not wait stands apart, so that little is put
/// where the call is awaited. `None`: it has to wait.
impl<'a, Op, F, J> Call<'a, Op, F, J>
where
    Op: FnOnce() -> F,
    F: Future,
    J: Finish<F::Output>,
{
    /// The first poll of a call that is not plain.
    #[inline(never)]
    fn begin(mut self: Pin<&mut Self>, op: Op, context: &mut Context<'_>) -> Option<J::Output> {
        let mut this = self.as_mut().project();
        if let Some(refusal) = this.breaker.refuse_early() {
            return Some(this.finish.refuse(this.breaker.refused(refusal)));
        }
        let mut guard = Guard::new(this.breaker);
        if let Err(error) = guard.enter_slowly() {
            return Some(this.finish.refuse(error));
        }
        let future = guard.watch(op);
        this.future.set(Some(future));
        self.run(&mut guard, context)
    }

    /// The end of a plain call at its first poll that has more to do than to be counted.
    #[inline(never)]
    fn end(self: Pin<&mut Self>, word: Word, end: End, output: F::Output) -> Option<J::Output> {
        let mut this = self.project();
        this.breaker.end_plain_slowly(word, end);
        this.future.set(None);
        Some(this.finish.give(output))
    }

    /// A later poll.
    #[inline(never)]
    fn go_on(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Option<J::Output> {
        match self.as_mut().project().guard.take() {
            Some(mut guard) => self.run(&mut guard, context),
            None => polled_again(),
        }
    }

    fn run(
        mut self: Pin<&mut Self>,
        guard: &mut Guard<'a>,
        context: &mut Context<'_>,
    ) -> Option<J::Output> {
        let mut this = self.as_mut().project();
        let Some(future) = this.future.as_mut().as_pin_mut() else { polled_again() };
        let Poll::Ready(output) = guard.watch(|| future.poll(context)) else {
            return self.wait(guard.take(), context);
        };
        guard.settle(|| this.finish.judge(&output));
        // What it holds is let go with the output, also where the call itself stays; and it can't be
        // polled, and its end counted, once more.
        this.future.set(None);
        Some(this.finish.give(output))
    }

    #[inline(never)]
    fn wait(
        self: Pin<&mut Self>,
        guard: Guard<'a>,
        context: &mut Context<'_>,
    ) -> Option<J::Output> {
        let mut this = self.project();
        match guard.wait(context) {
            Ok(guard) => {
                this.guard.keep(guard);
                None
            }
            Err(error) => {
                this.future.set(None);
                Some(this.finish.refuse(error))
            }
        }
    }
}

pin_project! {
    /// A future under a guard that has been let pass: for the attributes.
    #[must_use = "futures do nothing unless polled"]
    pub struct Running<'a, F, J> {
        // Before the future, so that the call is taken into account before it is torn down.
        guard: Guard<'a>,
        finish: J,
        #[pin]
        future: F,
    }
}

impl<'a, F, J> Running<'a, F, J> {
    #[inline]
    pub(super) fn new(guard: Guard<'a>, future: F, finish: J) -> Self {
        Running { guard, finish, future }
    }
}

impl<F: Future, J: Finish<F::Output>> Future for Running<'_, F, J> {
    type Output = J::Output;

    #[inline]
    fn poll(self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<J::Output> {
        let this = self.project();
        let (guard, finish, future) = (this.guard, this.finish, this.future);
        match guard.watch(|| future.poll(context)) {
            Poll::Ready(output) => {
                guard.settle(|| finish.judge(&output));
                Poll::Ready(finish.give(output))
            }
            Poll::Pending => match guard.take().wait(context) {
                Ok(waiting) => {
                    *guard = waiting;
                    Poll::Pending
                }
                Err(error) => Poll::Ready(finish.refuse(error)),
            },
        }
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

impl<Op, F, J> fmt::Debug for Call<'_, Op, F, J> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Call").field("breaker", &self.breaker).finish_non_exhaustive()
    }
}

impl<F, J> fmt::Debug for Running<'_, F, J> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Running").field("guard", &self.guard).finish_non_exhaustive()
    }
}

impl<C> fmt::Debug for Judged<C> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Judged")
    }
}

impl<C, R> fmt::Debug for JudgedOr<C, R> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("JudgedOr")
    }
}

impl<C> fmt::Debug for JudgedOrCutOff<C> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("JudgedOrCutOff")
    }
}
