//! One run of a check: its timeout, its panics, its latency.

use std::any::Any;
use std::future::Future;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::pin::pin;
use std::sync::Arc;
use std::task::Poll;
use std::time::Duration;

use chrono::{DateTime, Utc};
use serde_json::Map;
use tokio::task::{JoinError, JoinHandle};

use super::check::CheckFn;
use super::outcome::Health;
use super::slot::Taken;
use super::status::{FailureClass, HealthCheckResult, HealthStatus};
use crate::scope::carry;

/// How the check's own code ended.
#[derive(Debug)]
pub(crate) enum Ended {
    Said(Health),
    TimedOut(Duration),
    Panicked(String),
    /// Still running since an earlier run.
    Hangs(Duration),
}

impl Ended {
    /// The result of a run that began at `timestamp` and took `latency`.
    pub(crate) fn into_result(
        self,
        component: Arc<str>,
        timestamp: DateTime<Utc>,
        latency: Duration,
        degraded_after: Duration,
    ) -> HealthCheckResult {
        let (mut status, mut error, class, details) = match self {
            Ended::Said(health) => {
                let (status, error, details) = health.into_parts();
                let failed = status == HealthStatus::Unhealthy;
                (status, error, failed.then_some(FailureClass::Failed), details)
            }
            Ended::TimedOut(after) => {
                failure(FailureClass::Timeout, format!("no answer within {after:?}"))
            }
            Ended::Panicked(message) => {
                failure(FailureClass::Panicked, format!("the check panicked: {message}"))
            }
            Ended::Hangs(since) => {
                failure(FailureClass::Hung, format!("the check has been hanging for {since:.1?}"))
            }
        };
        if status == HealthStatus::Healthy && latency > degraded_after {
            status = HealthStatus::Degraded;
            error = Some(format!("slow: it took {latency:.1?}"));
        }
        HealthCheckResult { component, status, latency, timestamp, error, class, details }
    }
}

type Parts = (HealthStatus, Option<String>, Option<FailureClass>, Map<String, serde_json::Value>);

fn failure(class: FailureClass, error: String) -> Parts {
    (HealthStatus::Unhealthy, Some(error), Some(class), Map::new())
}

/// Runs a future here, within `timeout`; a panic ends it and nothing else.
pub(crate) async fn run_here(future: impl Future<Output = Health>, timeout: Duration) -> Ended {
    let mut future = pin!(future);
    let caught = std::future::poll_fn(|context| {
        match catch_unwind(AssertUnwindSafe(|| future.as_mut().poll(context))) {
            Ok(Poll::Ready(health)) => Poll::Ready(Ended::Said(health)),
            Ok(Poll::Pending) => Poll::Pending,
            Err(panic) => Poll::Ready(Ended::Panicked(message(panic.as_ref()))),
        }
    });
    tokio::time::timeout(timeout, caught).await.unwrap_or(Ended::TimedOut(timeout))
}

/// A run in a task of its own, so that one which blocks or hangs holds up nothing else.
#[derive(Debug)]
pub(crate) struct Run {
    task: JoinHandle<Health>,
}

impl Run {
    /// Holds the slot until the check's own code is over.
    pub(crate) fn start(check: &CheckFn, taken: Taken) -> Self {
        let task = match check {
            CheckFn::Async(run) => {
                let run = run.clone();
                // Called within the task, so that a panic before the first await is its own.
                tokio::spawn(carry(async move {
                    let _taken = taken;
                    run().await
                }))
            }
            CheckFn::Blocking(run) => {
                let run = run.clone();
                tokio::task::spawn_blocking(move || {
                    let _taken = taken;
                    run()
                })
            }
        };
        Run { task }
    }

    /// Waits for its end, at most `timeout`; `None` where the runtime itself is ending. After that
    /// it is told to stop, and its slot tells when it has.
    pub(crate) async fn end_within(mut self, timeout: Duration) -> Option<Ended> {
        match tokio::time::timeout(timeout, &mut self.task).await {
            Ok(joined) => ended(joined),
            Err(_) => Some(Ended::TimedOut(timeout)),
        }
    }
}

impl Drop for Run {
    fn drop(&mut self) {
        self.task.abort();
    }
}

fn ended(joined: Result<Health, JoinError>) -> Option<Ended> {
    match joined {
        Ok(health) => Some(Ended::Said(health)),
        Err(error) => error.try_into_panic().ok().map(|p| Ended::Panicked(message(p.as_ref()))),
    }
}

fn message(panic: &(dyn Any + Send)) -> String {
    let text = panic.downcast_ref::<&str>().map(|text| (*text).to_owned());
    let text = text.or_else(|| panic.downcast_ref::<String>().cloned());
    text.unwrap_or_else(|| "without a message".into())
}
