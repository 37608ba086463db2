//! How an output is judged: by what its type lets one see, without asking anything of it; and by what
//! the attribute's predicates say.

use std::error::Error;

use super::Rules;
use crate::breaker::{CallError, CircuitBreakerError, End, is_rejection};

/// Says how the call ended that gave an output.
///
/// It is implemented for as many references to [`Rules`] as its choice is good. The expansion
/// calls it with more references than any of them, and the compiler takes one off after the other
/// until a choice fits the type (David Tolnay, "Autoref-based stable specialization"). None of them
/// asks for `'static`, which the compiler would miss only after it has chosen.
pub trait Judge {
    /// The output.
    type Output;

    /// How the call ended that gave `output`. The method of a user's own trait for every type would
    /// be in the way if it had the same name.
    fn avail_judge(&self, output: &Self::Output) -> End;
}

/// The error can be looked through.
impl<T, E: Error> Judge for &&&&&Rules<Result<T, E>> {
    type Output = Result<T, E>;

    #[inline]
    fn avail_judge(&self, output: &Result<T, E>) -> End {
        judge(output, |error| is_rejection(error))
    }
}

/// The error holds one: `Box<dyn Error + Send + Sync>`, anyhow's.
impl<'a, T, E: AsRef<dyn Error + Send + Sync + 'a>> Judge for &&&&Rules<Result<T, E>> {
    type Output = Result<T, E>;

    #[inline]
    fn avail_judge(&self, output: &Result<T, E>) -> End {
        judge(output, |error| is_rejection(error.as_ref()))
    }
}

/// The error holds one: `Box<dyn Error>`.
impl<'a, T, E: AsRef<dyn Error + 'a>> Judge for &&&Rules<Result<T, E>> {
    type Output = Result<T, E>;

    #[inline]
    fn avail_judge(&self, output: &Result<T, E>) -> End {
        judge(output, |error| is_rejection(error.as_ref()))
    }
}

/// The error is that of a breaker's `call`, around one of which nothing is known.
impl<T, E> Judge for &&Rules<Result<T, CallError<E>>> {
    type Output = Result<T, CallError<E>>;

    #[inline]
    fn avail_judge(&self, output: &Self::Output) -> End {
        judge(output, |error| {
            matches!(error.circuit_breaker(), Some(CircuitBreakerError::Open { .. }))
        })
    }
}

/// Nothing is known of the error.
impl<T, E> Judge for &Rules<Result<T, E>> {
    type Output = Result<T, E>;

    #[inline]
    fn avail_judge(&self, output: &Result<T, E>) -> End {
        judge(output, |_| false)
    }
}

/// It is no result: that it is there is all that is known.
impl<R> Judge for Rules<R> {
    type Output = R;

    #[inline]
    fn avail_judge(&self, _: &R) -> End {
        End::Success
    }
}

/// What `failure_if` says of an output, if it is not the rejection of a breaker further down. It is a
/// function so that the argument of a closure needs no type.
#[inline]
pub fn failure_if<R>(end: End, output: &R, test: impl FnOnce(&R) -> bool) -> End {
    match end {
        End::Rejected => end,
        _ if test(output) => End::Failure,
        _ => End::Success,
    }
}

#[inline]
fn judge<T, E>(output: &Result<T, E>, is_rejection: impl FnOnce(&E) -> bool) -> End {
    match output {
        Ok(_) => End::Success,
        Err(error) if is_rejection(error) => End::Rejected,
        Err(_) => End::Failure,
    }
}
