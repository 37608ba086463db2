//! A check that somebody wants to run now.

use std::time::Duration;

use chrono::{DateTime, Utc};
use tokio::sync::broadcast::{Receiver, error::RecvError};

use super::AvailabilityMonitor;
use super::status::Event;
use crate::error::MonitorError;
use crate::health::HealthCheckResult;

/// What a run may take beside its own time: the way to its task and back.
const SLACK: Duration = Duration::from_secs(1);

impl AvailabilityMonitor {
    /// Runs a check of the schedule now, and gives what it gave. It runs where it always does, and
    /// never beside another run of itself: one that is under way is waited for first. The next run
    /// is due one interval later.
    ///
    /// It takes at most the check's `timeout` twice, and a second.
    ///
    /// # Errors
    ///
    /// [`MonitorError`] where there is no such check on a schedule, it did not come to an end within
    /// that time, since a run hangs or the runtime is busy, or the monitor has stopped.
    ///
    /// # Panics
    ///
    /// Outside a tokio runtime with its time enabled; it need not be that of the checks.
    ///
    /// ```
    /// # #[tokio::main(flavor = "current_thread")] async fn main() -> Result<(), Box<dyn std::error::Error>> {
    /// use avail_core::{AvailabilityMonitor, HealthCheck, HealthStatus};
    ///
    /// let check = HealthCheck::new("cache", || async { true });
    /// let monitor = AvailabilityMonitor::builder().discover(false).check(check).start().await?;
    /// assert_eq!(monitor.refresh("cache").await?.status, HealthStatus::Healthy);
    /// assert!(monitor.refresh("cash").await.is_err());
    /// # Ok(()) }
    /// ```
    pub async fn refresh(&self, name: &str) -> Result<HealthCheckResult, MonitorError> {
        if !self.is_running() {
            return Err(MonitorError::Stopped);
        }
        // Heard from before the run can begin.
        let events = self.subscribe();
        let (asked, _) = self.inner.moment();
        let Some(timeout) = self.inner.wake(name) else {
            self.inner.with_ledger(|ledger, _| ledger.must_know(&name.into()))?;
            return Err(MonitorError::NotOnSchedule { name: name.into() });
        };
        let limit = timeout.saturating_mul(2).saturating_add(SLACK);
        let result = tokio::time::timeout(limit, self.completed(events, name, asked)).await;
        let unfinished = || MonitorError::Unfinished { name: name.into(), after: limit };
        result.ok().flatten().ok_or_else(unfinished)
    }

    /// The first run that began at `asked` or later, once the status shows it.
    async fn completed(
        &self,
        mut events: Receiver<Event>,
        name: &str,
        asked: DateTime<Utc>,
    ) -> Option<HealthCheckResult> {
        let result = loop {
            match events.recv().await {
                Ok(Event::CheckCompleted(run))
                    if &*run.component == name && run.timestamp >= asked =>
                {
                    break run;
                }
                Ok(_) | Err(RecvError::Lagged(_)) => {}
                Err(RecvError::Closed) => return None,
            }
        };
        // It is told a moment before it is recorded.
        let shown = || self.inner.with_ledger(|ledger, _| ledger.last_run_of(name));
        while shown().is_some_and(|last| last < result.timestamp) {
            tokio::task::yield_now().await;
        }
        Some(result)
    }
}
