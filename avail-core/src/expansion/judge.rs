//! How a result is judged: by what the type of its error lets one see, without asking anything of
//! it.

use std::error::Error;

use super::ResultRules;
use crate::breaker::{CallError, CircuitBreakerError, End, is_rejection};

/// Says how the call ended that gave a result.
///
/// It is implemented for as many references to [`ResultRules`] as its choice is good. The expansion
/// calls it with more references than any of them, and the compiler takes one off after the other
/// until a choice fits the type (David Tolnay, "Autoref-based stable specialization"). None of them
/// asks for `'static`, which the compiler would miss only after it has chosen.
pub trait Judge {
    /// The result.
    type Output;

    /// How the call ended that gave `output`. The method of a user's own trait for every type would
    /// be in the way if it had the same name.
    fn avail_judge(&self, output: &Self::Output) -> End;
}

/// The error can be looked through.
impl<T, E: Error> Judge for &&&&ResultRules<T, E> {
    type Output = Result<T, E>;

    #[inline]
    fn avail_judge(&self, output: &Result<T, E>) -> End {
        judge(output, |error| is_rejection(error))
    }
}

/// The error holds one: `Box<dyn Error + Send + Sync>`, anyhow's.
impl<'a, T, E: AsRef<dyn Error + Send + Sync + 'a>> Judge for &&&ResultRules<T, E> {
    type Output = Result<T, E>;

    #[inline]
    fn avail_judge(&self, output: &Result<T, E>) -> End {
        judge(output, |error| is_rejection(error.as_ref()))
    }
}

/// The error holds one: `Box<dyn Error>`.
impl<'a, T, E: AsRef<dyn Error + 'a>> Judge for &&ResultRules<T, E> {
    type Output = Result<T, E>;

    #[inline]
    fn avail_judge(&self, output: &Result<T, E>) -> End {
        judge(output, |error| is_rejection(error.as_ref()))
    }
}

/// The error is that of a breaker's `call`, around one of which nothing is known.
impl<T, E> Judge for &ResultRules<T, CallError<E>> {
    type Output = Result<T, CallError<E>>;

    #[inline]
    fn avail_judge(&self, output: &Self::Output) -> End {
        judge(output, |error| {
            matches!(error.circuit_breaker(), Some(CircuitBreakerError::Open { .. }))
        })
    }
}

/// Nothing is known of the error.
impl<T, E> Judge for ResultRules<T, E> {
    type Output = Result<T, E>;

    #[inline]
    fn avail_judge(&self, output: &Result<T, E>) -> End {
        judge(output, |_| false)
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
