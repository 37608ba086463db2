//! How a breaker sees that a call ended with the rejection of another one further down.
//!
//! Such a call says nothing about what this breaker guards: the one further down has said it. So
//! that it can be seen through wrappers that show the inner error's source and hide the inner error
//! (thiserror's `transparent`, `Box`, `Arc`, [`io::Error`](std::io::Error)), the rejection itself has
//! a source: that the call was not made. Errors may borrow, so nothing here asks for `'static`
//! unless it has to.

use std::error::Error;
use std::fmt;
use std::io;
use std::iter::successors;

use super::error::CircuitBreakerError;
use super::permit::Outcome;

/// The source of every rejection, and of nothing else.
#[derive(Debug)]
pub(super) struct CallNotMade;

impl fmt::Display for CallNotMade {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("the call was not made")
    }
}

impl Error for CallNotMade {}

/// So many errors of a chain are looked at: somebody's may have no end.
const DEPTH: usize = 32;

/// Whether it is a breaker's rejection, or was caused by one.
#[cold]
pub(crate) fn is_rejection(error: &dyn Error) -> bool {
    successors(error.source(), |&error| error.source())
        .take(DEPTH)
        .any(<dyn Error>::is::<CallNotMade>)
}

impl CircuitBreakerError {
    /// The breaker's error that `error` is or was caused by, if there is one: how a layer further up
    /// finds whom to name and when to retry. Of a chain of sources the first 32 are looked at.
    ///
    /// ```
    /// use avail_core::{CircuitBreaker, CircuitBreakerError};
    ///
    /// let breaker = CircuitBreaker::new("storage", Default::default());
    /// breaker.force_open("deploying");
    /// let error: Box<dyn std::error::Error> =
    ///     std::io::Error::from(breaker.acquire().expect_err("it is open")).into();
    /// let found = CircuitBreakerError::find(&*error).expect("it is inside");
    /// assert_eq!(found.name(), "storage");
    /// ```
    ///
    /// It is not found behind a wrapper that gives out only the source of what it wraps, such as
    /// thiserror's `transparent`. Whether a call was rejected is seen there as well: see
    /// [`Outcome::of_error`].
    pub fn find<'a>(error: &'a (dyn Error + 'static)) -> Option<&'a CircuitBreakerError> {
        successors(Some(error), |&error| inner(error))
            .take(DEPTH)
            .find_map(|error| error.downcast_ref())
    }
}

/// What an error wraps: an `io::Error` leaves itself out, and names the source of what it wraps.
fn inner<'a>(error: &'a (dyn Error + 'static)) -> Option<&'a (dyn Error + 'static)> {
    match error.downcast_ref::<io::Error>() {
        Some(error) => error.get_ref().map(|error| error as _),
        None => error.source(),
    }
}

impl Outcome {
    /// [`Rejected`](Outcome::Rejected) for the rejection of a circuit breaker and for what was
    /// caused by one, [`Failure`](Outcome::Failure) for any other error.
    ///
    /// Only [`CircuitBreakerError::Open`] is a rejection. Where a breaker further down has cut its
    /// call off ([`Timeout`](CircuitBreakerError::Timeout)), the call was made, and failed.
    ///
    /// ```
    /// use avail_core::{CircuitBreaker, Outcome};
    ///
    /// let storage = CircuitBreaker::new("storage", Default::default());
    /// storage.force_open("deploying");
    /// let error = std::io::Error::from(storage.acquire().expect_err("it is open"));
    /// assert_eq!(Outcome::of_error(&error), Outcome::Rejected);
    /// assert_eq!(Outcome::of_error(&std::fmt::Error), Outcome::Failure);
    /// ```
    pub fn of_error(error: &(dyn Error + '_)) -> Outcome {
        if is_rejection(error) { Outcome::Rejected } else { Outcome::Failure }
    }

    /// `Ok` is a success, `Err` is what [`of_error`](Self::of_error) says: for a breaker around
    /// calls that pass through others.
    ///
    /// ```
    /// use avail_core::{CircuitBreaker, Outcome};
    ///
    /// # #[tokio::main(flavor = "current_thread")] async fn main() -> Result<(), avail_core::CircuitBreakerError> {
    /// let storage = CircuitBreaker::new("storage", Default::default());
    /// let search = CircuitBreaker::new("search", Default::default());
    /// storage.force_open("deploying");
    /// let read = || storage.call(|| async { std::fs::read("index") });
    /// assert!(search.call_classified(read, Outcome::of_nested).await?.is_err());
    /// assert_eq!(search.metrics().calls.rejected, 1);
    /// # Ok(()) }
    /// ```
    pub fn of_nested<T, E: Error>(result: &Result<T, E>) -> Outcome {
        match result {
            Ok(_) => Outcome::Success,
            Err(error) => Outcome::of_error(error),
        }
    }
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;
    use std::time::Duration;

    use super::*;
    use crate::{CallError, OpenReason};

    fn open() -> CircuitBreakerError {
        CircuitBreakerError::Open {
            name: "storage".into(),
            reason: OpenReason::Tripped,
            retry_after: None,
        }
    }

    fn timeout() -> CircuitBreakerError {
        CircuitBreakerError::Timeout { name: "storage".into(), after: Duration::from_secs(1) }
    }

    #[derive(Debug, thiserror::Error)]
    #[error("the index can't be read")]
    struct Wraps<E: Error + 'static>(#[source] E);

    #[derive(Debug, thiserror::Error)]
    #[error(transparent)]
    struct Transparent<E: Error + 'static>(E);

    fn io(error: impl Into<Box<dyn Error + Send + Sync>>) -> io::Error {
        io::Error::other(error)
    }

    #[test]
    fn a_rejection_is_seen_through_every_wrapper_and_found_where_it_is_shown() {
        let cases: [(Box<dyn Error>, bool); 13] = [
            (Box::new(open()), true),
            (Box::new(Wraps(open())), true),
            (Box::new(Wraps(Wraps(open()))), true),
            (Box::new(io::Error::from(open())), true),
            (Box::new(Wraps(io::Error::from(open()))), true),
            (Box::new(io(Wraps(io(io(open()))))), true),
            (Box::new(CallError::<io::Error>::CircuitBreaker(open())), true),
            (Box::new(CallError::Operation(Wraps(open()))), true),
            (Box::new(CallError::Operation(CallError::<io::Error>::from(open()))), true),
            (Box::new(CallError::Operation(open())), false),
            (Box::new(Transparent(open())), false),
            (Box::new(Wraps(Box::new(open()))), false),
            (
                Box::new(Wraps(Arc::<dyn Error + Send + Sync>::from(Box::new(open()) as Box<_>))),
                false,
            ),
        ];
        for (error, shown) in cases {
            assert_eq!(Outcome::of_error(&*error), Outcome::Rejected, "{error:?}");
            assert_eq!(CircuitBreakerError::find(&*error), shown.then(open).as_ref(), "{error:?}");
        }
    }

    #[test]
    fn a_call_that_another_breaker_cut_off_was_made_and_failed() {
        for error in [&timeout() as &(dyn Error + 'static), &Wraps(timeout())] {
            assert_eq!(Outcome::of_error(error), Outcome::Failure);
            assert_eq!(CircuitBreakerError::find(error), Some(&timeout()));
        }
    }

    #[test]
    fn any_other_error_is_a_failure() {
        for error in [&fmt::Error as &(dyn Error + 'static), &io("refused"), &Wraps(io("refused"))]
        {
            assert_eq!(Outcome::of_error(error), Outcome::Failure);
            assert_eq!(CircuitBreakerError::find(error), None);
        }
    }

    #[test]
    fn a_chain_without_an_end_is_given_up() {
        #[derive(Debug)]
        struct Cycle;
        impl fmt::Display for Cycle {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("again")
            }
        }
        impl Error for Cycle {
            fn source(&self) -> Option<&(dyn Error + 'static)> {
                Some(self)
            }
        }
        assert_eq!(Outcome::of_error(&Cycle), Outcome::Failure);
        assert_eq!(CircuitBreakerError::find(&Cycle), None);
    }

    #[test]
    fn an_error_that_borrows_is_looked_through_too() {
        #[derive(Debug, thiserror::Error)]
        #[error("`{text}` can't be read")]
        struct Borrows<'a> {
            text: &'a str,
            source: CircuitBreakerError,
        }
        let text = String::from("index");
        let error = Borrows { text: &text, source: open() };
        assert_eq!(Outcome::of_nested(&Err::<(), _>(error)), Outcome::Rejected);
        assert_eq!(Outcome::of_nested(&Ok::<_, fmt::Error>(1)), Outcome::Success);
    }
}
