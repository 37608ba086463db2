//! The functions and traits that the attributes' expansions call, so that the expansions stay a
//! dozen lines each.
//!
//! Types are judged by traits, not by how they are spelled. Where a trait is missing, the compiler's
//! message is in the words of whoever wrote the attribute, and points at the return type, where the
//! expansion asks once: `<ReturnType as Rejectable>::RULES`. What it gets has a type of its own and
//! not one that depends on more traits, so that one mistake gives one message.

mod judge;

use std::fmt;
use std::future::Future;
use std::marker::PhantomData;

use crate::breaker::CircuitBreakerError;
use crate::health::{Health, IntoHealth};
use crate::site::CheckFuture;

pub use self::judge::Judge;

/// An output that says by itself whether the call succeeded.
#[diagnostic::on_unimplemented(
    message = "`#[circuit_breaker]` can't tell whether `{Self}` means success or failure",
    label = "this is not a `Result`",
    note = "it goes on functions that return a `Result`, or a future of one that is spelled \
            `impl Future`, `Pin<Box<dyn Future>>` or `BoxFuture`"
)]
pub trait CallOutput {
    /// See [`RULES`](Self::RULES).
    type Rules;
    /// How such outputs are judged.
    const RULES: Self::Rules;
}

impl<T, E> CallOutput for Result<T, E> {
    type Rules = ResultRules<T, E>;
    const RULES: Self::Rules = ResultRules(PhantomData);
}

/// A [`CallOutput`] that can hold the breaker's own error: what is asked for where there is no
/// fallback.
#[diagnostic::on_unimplemented(
    message = "`#[circuit_breaker]` can't tell whether `{Self}` means success or failure",
    label = "this is not a `Result`",
    note = "it goes on functions that return a `Result`, or a future of one that is spelled \
            `impl Future`, `Pin<Box<dyn Future>>` or `BoxFuture`"
)]
pub trait Rejectable {
    /// See [`RULES`](Self::RULES).
    type Rules;
    /// How such outputs are judged; and what a call returns that was not let through.
    const RULES: Self::Rules;
}

impl<T, E: HoldsRejection> Rejectable for Result<T, E> {
    type Rules = (ResultRules<T, E>, fn(CircuitBreakerError) -> Self);
    const RULES: Self::Rules = (ResultRules(PhantomData), |error| Err(E::hold(error)));
}

/// An error that can hold the breaker's own.
#[diagnostic::on_unimplemented(
    message = "the error type `{Self}` has no place for the error of an open circuit breaker",
    label = "`{Self}` does not implement `From<avail::CircuitBreakerError>`",
    note = "implement `From<avail::CircuitBreakerError>` for it, or answer for the breaker with \
            `fallback = …` in the attribute"
)]
pub trait HoldsRejection {
    /// The error of a call that was not let through.
    fn hold(error: CircuitBreakerError) -> Self;
}

#[diagnostic::do_not_recommend] // else the message is the compiler's about `From`
impl<E: From<CircuitBreakerError>> HoldsRejection for E {
    fn hold(error: CircuitBreakerError) -> Self {
        error.into()
    }
}

/// `Err` is a failure, or the rejection of another breaker: see [`Judge`]. It names both types,
/// since the compiler may have to infer them from here.
pub struct ResultRules<T, E>(PhantomData<fn() -> Result<T, E>>);

impl<T, E> Clone for ResultRules<T, E> {
    fn clone(&self) -> Self {
        *self
    }
}

impl<T, E> Copy for ResultRules<T, E> {}

impl<T, E> ResultRules<T, E> {
    /// The same, once the types are those of this output: the choice of [`Judge`] needs them.
    #[inline]
    pub fn of(self, _output: &Result<T, E>) -> Self {
        self
    }
}

impl<T, E> fmt::Debug for ResultRules<T, E> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("ResultRules")
    }
}

/// What a call returns that was not let through, where the fallback is a closure. It is a function
/// so that the closure's argument needs no type.
#[cold]
pub fn answer<R>(error: CircuitBreakerError, fallback: impl FnOnce(CircuitBreakerError) -> R) -> R {
    fallback(error)
}

/// [`answer`] where the closure is async.
#[cold]
pub async fn answer_async<R>(
    error: CircuitBreakerError,
    fallback: impl AsyncFnOnce(CircuitBreakerError) -> R,
) -> R {
    fallback(error).await
}

/// Runs the body of a function that returns a future: it is not guarded itself.
#[inline]
pub fn eager<F>(body: impl FnOnce() -> F) -> F {
    body()
}

/// The future that such a body has made, if it gives what the function declares.
#[inline]
pub fn future_of<R, F>(future: F) -> <F::Output as Is<R>>::Future<F>
where
    F: Future,
    F::Output: Is<R>,
{
    <F::Output as Is<R>>::future(future)
}

/// Two types that are one. It is not `Future<Output = R>`, which the compiler would miss again at
/// every later use of the future.
#[diagnostic::on_unimplemented(
    message = "the body makes a future of `{Self}`, and the function declares one of `{R}`",
    label = "the body makes a future of `{Self}`"
)]
pub trait Is<R> {
    /// `F`.
    type Future<F>;
    /// The same future.
    fn future<F>(future: F) -> Self::Future<F>;
}

impl<R> Is<R> for R {
    type Future<F> = F;

    #[inline]
    fn future<F>(future: F) -> F {
        future
    }
}

/// The value of a `return` that is never reached. It tells the compiler what the body of a closure
/// or an async block returns, so that a type error is reported at the user's own expression.
///
/// # Panics
///
/// If it is called, which no expansion does.
#[cold]
pub fn declared<R>() -> R {
    unreachable!("the return edge is never taken")
}

/// A run of an annotated check that is async.
pub fn check<F>(run: F) -> CheckFuture
where
    F: Future + Send + 'static,
    F::Output: IntoHealth,
{
    Box::pin(async { run.await.into_health() })
}

/// What an annotated check that is not async has said.
pub fn health(said: impl IntoHealth) -> Health {
    said.into_health()
}
