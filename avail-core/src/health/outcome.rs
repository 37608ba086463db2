//! What a check's function may return.

use std::fmt::Display;

use serde_json::{Map, Value};

use super::status::HealthStatus;

/// What a check may return when `()`, `bool` and `Result<(), E>` say too little: a status, a reason
/// and details.
///
/// ```
/// use avail_core::Health;
///
/// fn queue_is_short() -> Health {
///     let waiting = 1_250;
///     let health = if waiting < 1_000 {
///         Health::healthy()
///     } else {
///         Health::degraded("the queue is long")
///     };
///     health.detail("waiting", waiting)
/// }
/// # assert!(queue_is_short().status().is_up());
/// ```
#[derive(Clone, Debug, PartialEq)]
pub struct Health {
    status: HealthStatus,
    error: Option<String>,
    details: Map<String, Value>,
}

impl Health {
    /// It works.
    pub fn healthy() -> Self {
        Health { status: HealthStatus::Healthy, error: None, details: Map::new() }
    }

    /// It works, but not as it should.
    pub fn degraded(reason: impl Into<String>) -> Self {
        Health { status: HealthStatus::Degraded, error: Some(reason.into()), ..Self::healthy() }
    }

    /// It does not work.
    pub fn unhealthy(reason: impl Into<String>) -> Self {
        Health { status: HealthStatus::Unhealthy, error: Some(reason.into()), ..Self::healthy() }
    }

    /// Adds a detail to be shown, such as the length of a queue.
    #[must_use]
    pub fn detail(mut self, key: impl Into<String>, value: impl Into<Value>) -> Self {
        self.details.insert(key.into(), value.into());
        self
    }

    /// The status that it stands for.
    pub fn status(&self) -> HealthStatus {
        self.status
    }

    pub(crate) fn into_parts(self) -> (HealthStatus, Option<String>, Map<String, Value>) {
        (self.status, self.error, self.details)
    }
}

/// What a check's function may return: `()`, `bool`, [`Health`], or a `Result` of one of these
/// whose error can be displayed.
///
/// `()` and `true` are healthy; `false` and `Err` are unhealthy.
#[diagnostic::on_unimplemented(
    message = "a health check can't return `{Self}`",
    label = "it returns `{Self}`",
    note = "a health check returns `()`, `bool`, `Health`, or a `Result` of one of these whose \
            error implements `Display`"
)]
pub trait IntoHealth {
    /// What it says.
    fn into_health(self) -> Health;
}

impl IntoHealth for () {
    fn into_health(self) -> Health {
        Health::healthy()
    }
}

impl IntoHealth for bool {
    fn into_health(self) -> Health {
        if self { Health::healthy() } else { Health::unhealthy("the check returned false") }
    }
}

impl IntoHealth for Health {
    fn into_health(self) -> Health {
        self
    }
}

#[diagnostic::do_not_recommend] // else the message is about `Display` alone
impl<T: IntoHealth, E: Display> IntoHealth for Result<T, E> {
    fn into_health(self) -> Health {
        match self {
            Ok(value) => value.into_health(),
            // The alternate form is where error types with a chain, such as anyhow's, show it.
            Err(error) => Health::unhealthy(format!("{error:#}")),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_return_type_says_what_it_looks_like() {
        let cases = [
            (().into_health(), HealthStatus::Healthy, None),
            (true.into_health(), HealthStatus::Healthy, None),
            (false.into_health(), HealthStatus::Unhealthy, Some("the check returned false")),
            (Ok::<(), String>(()).into_health(), HealthStatus::Healthy, None),
            (Err::<(), _>("refused").into_health(), HealthStatus::Unhealthy, Some("refused")),
            (
                Ok::<_, String>(Health::degraded("slow")).into_health(),
                HealthStatus::Degraded,
                Some("slow"),
            ),
        ];
        for (health, status, error) in cases {
            assert_eq!((health.status, health.error.as_deref()), (status, error));
        }
    }
}
