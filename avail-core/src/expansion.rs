//! The functions and traits that the attributes' expansions call, so that the expansions stay a
//! dozen lines each.
//!
//! Types are judged by traits, not by how they are spelled. Where a trait is missing, the compiler's
//! message is in the words of whoever wrote the attribute, and points at the return type: the
//! expansion gives the paths of [`judge`] and [`reject`] the position of that type.

use std::future::Future;

use crate::breaker::{CircuitBreakerError, End};
use crate::health::{Health, IntoHealth};
use crate::site::CheckFuture;

/// An output that says by itself whether the call succeeded.
#[diagnostic::on_unimplemented(
    message = "`#[circuit_breaker]` can't tell whether `{Self}` means success or failure",
    label = "this is not a `Result`",
    note = "it goes on functions that return a `Result`, or a future of one that is spelled \
            `impl Future`, `Pin<Box<dyn Future>>` or `BoxFuture`"
)]
pub trait CallOutput {
    /// How the call ended that gave this.
    fn end(&self) -> End;
}

impl<T, E> CallOutput for Result<T, E> {
    #[inline]
    fn end(&self) -> End {
        match self {
            Ok(_) => End::Success,
            Err(_) => End::Failure,
        }
    }
}

/// An output that can hold the breaker's own error.
#[diagnostic::on_unimplemented(
    message = "`{Self}` has no place for the error of an open circuit breaker",
    label = "the error type does not implement `From<avail::CircuitBreakerError>`",
    note = "implement `From<avail::CircuitBreakerError>` for the error type, or answer for the \
            breaker with `fallback = …` in the attribute"
)]
pub trait Rejectable: CallOutput {
    /// What a call returns that was not let through.
    fn reject(error: CircuitBreakerError) -> Self;
}

#[diagnostic::do_not_recommend]
impl<T, E: From<CircuitBreakerError>> Rejectable for Result<T, E> {
    fn reject(error: CircuitBreakerError) -> Self {
        Err(error.into())
    }
}

/// How the call ended that gave `output`.
#[inline]
pub fn judge<R: CallOutput>(output: &R) -> End {
    output.end()
}

/// What a call returns that was not let through, where there is no fallback.
#[cold]
pub fn reject<R: Rejectable>(error: CircuitBreakerError) -> R {
    R::reject(error)
}

/// What a call returns that was not let through, where the fallback is a closure. It is a function
/// so that the closure's argument needs no type.
#[cold]
pub fn answer<R>(error: CircuitBreakerError, fallback: impl FnOnce(CircuitBreakerError) -> R) -> R {
    fallback(error)
}

/// Runs the body of a function that returns a future, whose own code is not guarded. `R` is the
/// output that the function declares: a body of another one is an error at the body.
#[inline]
pub fn eager<F: Future<Output = R>, R>(body: impl FnOnce() -> F) -> F {
    body()
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
