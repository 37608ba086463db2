//! What a rejected or failed call gives back.

use std::error::Error;
use std::fmt;
use std::time::Duration;

use serde::Serialize;

use super::label::Label;
use super::nested::CallNotMade;

/// Why a breaker let a call not through.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case", tag = "kind")]
#[non_exhaustive]
pub enum OpenReason {
    /// So many calls failed in a row.
    ConsecutiveFailures {
        /// How many.
        failures: u32,
    },
    /// This share of the calls in the window failed.
    FailureRate {
        /// How many failed.
        failed: u32,
        /// Of how many.
        calls: u32,
    },
    /// This share of the calls in the window was slow.
    SlowCallRate {
        /// How many were slow.
        slow: u32,
        /// Of how many.
        calls: u32,
    },
    /// The health check failed that is run before any call is risked.
    RecoveryCheckFailed,
    /// The open time is over, and the health check has not been run yet that is run before any call
    /// is risked.
    AwaitingRecoveryCheck,
    /// A probe failed while the breaker was half-open.
    ProbeFailed,
    /// A probe did not come back within its lease.
    ProbeExpired,
    /// All probes that may run at once are under way.
    ProbesInFlight,
    /// It was tripped by hand, with [`CircuitBreaker::trip`](crate::CircuitBreaker::trip).
    Tripped,
    /// An operator forced it open.
    Forced {
        /// In the operator's words.
        reason: Label,
    },
}

impl OpenReason {
    /// A short stable word for it, as in metric labels.
    pub fn as_str(&self) -> &'static str {
        match self {
            OpenReason::ConsecutiveFailures { .. } => "consecutive_failures",
            OpenReason::FailureRate { .. } => "failure_rate",
            OpenReason::SlowCallRate { .. } => "slow_call_rate",
            OpenReason::RecoveryCheckFailed => "recovery_check_failed",
            OpenReason::AwaitingRecoveryCheck => "awaiting_recovery_check",
            OpenReason::ProbeFailed => "probe_failed",
            OpenReason::ProbeExpired => "probe_expired",
            OpenReason::ProbesInFlight => "probes_in_flight",
            OpenReason::Tripped => "tripped",
            OpenReason::Forced { .. } => "forced",
        }
    }
}

/// In one number, so that a rejection finds it without a lock: `kind (8 bits) | a (28) | b (28)`.
/// Counts beyond 28 bits are shown as their largest value.
impl OpenReason {
    const FIELD: u64 = (1 << 28) - 1;

    pub(crate) fn to_bits(&self) -> u64 {
        let (kind, a, b) = match *self {
            OpenReason::ConsecutiveFailures { failures } => (1, u64::from(failures), 0),
            OpenReason::FailureRate { failed, calls } => (2, failed.into(), calls.into()),
            OpenReason::SlowCallRate { slow, calls } => (3, slow.into(), calls.into()),
            OpenReason::RecoveryCheckFailed => (4, 0, 0),
            OpenReason::ProbeFailed => (5, 0, 0),
            OpenReason::ProbeExpired => (6, 0, 0),
            OpenReason::Tripped => (7, 0, 0),
            OpenReason::AwaitingRecoveryCheck
            | OpenReason::ProbesInFlight
            | OpenReason::Forced { .. } => (0, 0, 0),
        };
        kind << 56 | a.min(Self::FIELD) << 28 | b.min(Self::FIELD)
    }

    /// `None` for what no breaker opens for.
    #[inline]
    pub(crate) fn from_bits(bits: u64) -> Option<Self> {
        let (a, b) = (bits >> 28 & Self::FIELD, bits & Self::FIELD);
        Some(match bits >> 56 {
            1 => OpenReason::ConsecutiveFailures { failures: a as u32 },
            2 => OpenReason::FailureRate { failed: a as u32, calls: b as u32 },
            3 => OpenReason::SlowCallRate { slow: a as u32, calls: b as u32 },
            4 => OpenReason::RecoveryCheckFailed,
            5 => OpenReason::ProbeFailed,
            6 => OpenReason::ProbeExpired,
            7 => OpenReason::Tripped,
            _ => return None,
        })
    }
}

impl fmt::Display for OpenReason {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            OpenReason::ConsecutiveFailures { failures: 1 } => f.write_str("1 failure"),
            OpenReason::ConsecutiveFailures { failures } => {
                write!(f, "{failures} failures in a row")
            }
            OpenReason::FailureRate { failed, calls } => {
                write!(f, "{failed} of {calls} calls failed")
            }
            OpenReason::SlowCallRate { slow, calls } => {
                write!(f, "{slow} of {calls} calls were slow")
            }
            OpenReason::RecoveryCheckFailed => f.write_str("its recovery check failed"),
            OpenReason::AwaitingRecoveryCheck => f.write_str("its recovery check is awaited"),
            OpenReason::ProbeFailed => f.write_str("a probe failed"),
            OpenReason::ProbeExpired => f.write_str("a probe did not come back in time"),
            OpenReason::ProbesInFlight => f.write_str("its probes are under way"),
            OpenReason::Tripped => f.write_str("tripped by hand"),
            OpenReason::Forced { reason } => write!(f, "forced open: {reason}"),
        }
    }
}

/// The breaker's own error: the call was not made, or was cut off by the breaker.
///
/// An operation's own error is never wrapped in it; see [`CallError`]. Annotated functions give it
/// to the caller through `E: From<CircuitBreakerError>`:
///
/// ```
/// use avail_core::CircuitBreakerError;
///
/// #[derive(Debug)]
/// enum StorageError {
///     Unavailable(CircuitBreakerError),
///     Corrupt,
/// }
///
/// impl From<CircuitBreakerError> for StorageError {
///     fn from(error: CircuitBreakerError) -> Self {
///         StorageError::Unavailable(error)
///     }
/// }
/// ```
///
/// A breaker further up does not count a rejection that it sees, also where it is the
/// [source](Error::source) of another error. The source of a rejection is that the call was not
/// made.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum CircuitBreakerError {
    /// The breaker is open, or half-open with all its probes under way: the call was not made.
    #[non_exhaustive]
    Open {
        /// The breaker's name.
        name: Label,
        /// Why it rejects.
        reason: OpenReason,
        /// How long until it lets a probe through, where that is known.
        retry_after: Option<Duration>,
    },
    /// The call was cut off by the breaker's `call_timeout`.
    #[non_exhaustive]
    Timeout {
        /// The breaker's name.
        name: Label,
        /// The time that the call was given.
        after: Duration,
    },
}

impl CircuitBreakerError {
    /// The name of the breaker that says so.
    pub fn name(&self) -> &str {
        match self {
            CircuitBreakerError::Open { name, .. } | CircuitBreakerError::Timeout { name, .. } => {
                name
            }
        }
    }

    /// What it did to the call.
    fn verb(&self) -> &'static str {
        match self {
            CircuitBreakerError::Open { .. } => "rejected",
            CircuitBreakerError::Timeout { .. } => "cut off",
        }
    }

    /// How long to wait before it is worth trying again, where that is known.
    pub fn retry_after(&self) -> Option<Duration> {
        match self {
            CircuitBreakerError::Open { retry_after, .. } => *retry_after,
            CircuitBreakerError::Timeout { .. } => None,
        }
    }
}

impl fmt::Display for CircuitBreakerError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            CircuitBreakerError::Open { name, reason, retry_after } => {
                let retry = RetryAfter(*retry_after);
                write!(f, "circuit breaker `{name}` is open: {reason}{retry}")
            }
            CircuitBreakerError::Timeout { name, after } => {
                write!(f, "circuit breaker `{name}` gave the call up after {after:?}")
            }
        }
    }
}

impl Error for CircuitBreakerError {
    /// Of a rejection: that the call was not made. Wrappers hide their inner error more often than
    /// its source, so that this is how a breaker further up sees it.
    fn source(&self) -> Option<&(dyn Error + 'static)> {
        match self {
            CircuitBreakerError::Open { .. } => Some(&CallNotMade),
            CircuitBreakerError::Timeout { .. } => None,
        }
    }
}

struct RetryAfter(Option<Duration>);

impl fmt::Display for RetryAfter {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.0 {
            Some(after) => write!(f, " (retry after {:.1} s)", after.as_secs_f64()),
            None => Ok(()),
        }
    }
}

impl From<CircuitBreakerError> for std::io::Error {
    fn from(error: CircuitBreakerError) -> Self {
        let kind = match error {
            CircuitBreakerError::Open { .. } => std::io::ErrorKind::ConnectionRefused,
            CircuitBreakerError::Timeout { .. } => std::io::ErrorKind::TimedOut,
        };
        std::io::Error::new(kind, error)
    }
}

/// What [`CircuitBreaker::call`](crate::CircuitBreaker::call) returns when there is no value: the
/// breaker's own error, which is its source then, or the operation's, whose text and source it has.
///
/// By itself it says who rejected the call; why, and when to try again, its source says:
///
/// ```
/// use std::error::Error;
/// use avail_core::CircuitBreaker;
///
/// let breaker = CircuitBreaker::new("storage", Default::default());
/// breaker.force_open("deploying");
/// let error = breaker.call_sync(|| std::fs::read("index")).expect_err("it is open");
/// assert_eq!(error.to_string(), "rejected by circuit breaker `storage`");
/// let why = error.source().expect("the breaker's own error").to_string();
/// assert_eq!(why, "circuit breaker `storage` is open: forced open: deploying");
/// ```
///
/// A rejection is not the last of a chain of sources: so that it is seen behind wrappers that hide
/// it, its own source is that the call was not made. [`CircuitBreakerError::find`] finds it.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum CallError<E> {
    /// The breaker rejected the call, or gave it up.
    // Not transparent: that would hide it.
    #[error("{} by circuit breaker `{}`", .0.verb(), .0.name())]
    CircuitBreaker(#[source] CircuitBreakerError),
    /// The operation ran and failed.
    #[error(transparent)]
    Operation(E),
}

impl<E> CallError<E> {
    /// One error type for both, where the operation's own can hold the breaker's.
    pub fn flatten(self) -> E
    where
        E: From<CircuitBreakerError>,
    {
        match self {
            CallError::CircuitBreaker(error) => error.into(),
            CallError::Operation(error) => error,
        }
    }

    /// The breaker's own error, if it is that.
    pub fn circuit_breaker(&self) -> Option<&CircuitBreakerError> {
        match self {
            CallError::CircuitBreaker(error) => Some(error),
            CallError::Operation(_) => None,
        }
    }
}

impl<E> From<CircuitBreakerError> for CallError<E> {
    fn from(error: CircuitBreakerError) -> Self {
        CallError::CircuitBreaker(error)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_open_breaker_says_who_why_and_when_to_retry() {
        let error = CircuitBreakerError::Open {
            name: "storage".into(),
            reason: OpenReason::ConsecutiveFailures { failures: 5 },
            retry_after: Some(Duration::from_millis(1500)),
        };
        assert_eq!(
            error.to_string(),
            "circuit breaker `storage` is open: 5 failures in a row (retry after 1.5 s)"
        );
    }

    /// As anyhow shows it by `{:#}`.
    fn chain(error: &(dyn Error + 'static)) -> String {
        let all = std::iter::successors(Some(error), |&error| error.source());
        all.map(ToString::to_string).collect::<Vec<_>>().join(": ")
    }

    #[test]
    fn a_chain_says_each_line_once() {
        let open = CircuitBreakerError::Open {
            name: "storage".into(),
            reason: OpenReason::Tripped,
            retry_after: None,
        };
        assert_eq!(
            chain(&CallError::<std::io::Error>::CircuitBreaker(open)),
            "rejected by circuit breaker `storage`: \
             circuit breaker `storage` is open: tripped by hand: the call was not made"
        );
        let after = Duration::from_secs(1);
        let timeout = CircuitBreakerError::Timeout { name: "storage".into(), after };
        assert_eq!(
            chain(&CallError::<std::io::Error>::CircuitBreaker(timeout)),
            "cut off by circuit breaker `storage`: \
             circuit breaker `storage` gave the call up after 1s"
        );
        let own = CallError::Operation(std::io::Error::other("the disk is full"));
        assert_eq!(chain(&own), "the disk is full");
    }

    #[test]
    fn what_a_breaker_opens_for_fits_into_a_number() {
        let reasons = [
            OpenReason::ConsecutiveFailures { failures: 5 },
            OpenReason::FailureRate { failed: 51, calls: 100 },
            OpenReason::SlowCallRate { slow: 1, calls: 268_435_455 },
            OpenReason::RecoveryCheckFailed,
            OpenReason::ProbeFailed,
            OpenReason::ProbeExpired,
            OpenReason::Tripped,
        ];
        for reason in reasons {
            assert_eq!(OpenReason::from_bits(reason.to_bits()), Some(reason));
        }
        let forced = OpenReason::Forced { reason: "deploying".into() };
        assert_eq!(OpenReason::from_bits(forced.to_bits()), None);
        let many = OpenReason::FailureRate { failed: u32::MAX, calls: 7 };
        let shown = OpenReason::FailureRate { failed: 268_435_455, calls: 7 };
        assert_eq!(OpenReason::from_bits(many.to_bits()), Some(shown));
    }

    #[test]
    fn as_an_io_error_it_keeps_its_kind_and_can_be_found_again() {
        let error =
            CircuitBreakerError::Timeout { name: "storage".into(), after: Duration::from_secs(1) };
        let io = std::io::Error::from(error.clone());
        assert_eq!(io.kind(), std::io::ErrorKind::TimedOut);
        let inner = io.get_ref().and_then(|e| e.downcast_ref::<CircuitBreakerError>());
        assert_eq!(inner, Some(&error));
    }
}
