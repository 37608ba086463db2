//! Breakers that wait for a health check before any call is risked.

use std::sync::{Arc, Mutex};
use std::time::Duration;

use chrono::{DateTime, Utc};

use super::inner::lock;
use crate::breaker::CircuitBreaker;
use crate::health::HealthCheckResult;
use crate::registry::CircuitBreakerRegistry;

/// For so long a breaker relies on the monitor to run its recovery check; renewed each second. When
/// the monitor falls silent, calls probe as usual.
const SUPERVISION: Duration = Duration::from_secs(5);

/// The breakers whose open time is over and whose check has been asked for.
#[derive(Debug, Default)]
pub(super) struct Recoveries {
    waiting: Mutex<Vec<Waiting>>,
}

#[derive(Debug)]
struct Waiting {
    breaker: CircuitBreaker,
    check: Arc<str>,
    since: DateTime<Utc>,
}

impl Recoveries {
    /// Looks for breakers that wait, and gives the checks that are to run for them. `runs`: by which
    /// name the monitor runs a check of that name, if it does.
    pub(super) fn look(
        &self,
        registry: &CircuitBreakerRegistry,
        runs: impl Fn(&Arc<str>) -> Option<Arc<str>>,
        now: DateTime<Utc>,
    ) -> Vec<Arc<str>> {
        let mut waiting = lock(&self.waiting);
        waiting.retain(|one| one.breaker.awaited_check().is_some());
        let mut due = Vec::new();
        for breaker in registry {
            let check = breaker.config().recovery_check.as_ref().and_then(&runs);
            let Some(check) = check else { continue };
            breaker.supervise(SUPERVISION);
            let known = waiting.iter().any(|one| one.breaker.is_same_as(&breaker));
            if breaker.awaited_check().is_some() && !known {
                due.push(check.clone());
                waiting.push(Waiting { breaker, check, since: now });
            }
        }
        due
    }

    /// A run of a check has completed: it decides for the breakers that have waited since before it
    /// began.
    pub(super) fn checked(&self, result: &HealthCheckResult) {
        let decided: Vec<_> = lock(&self.waiting)
            .extract_if(.., |one| one.check == result.component && result.timestamp >= one.since)
            .collect();
        // The breakers tell their listeners, so not under the lock.
        for Waiting { breaker, .. } in decided {
            breaker.recovery_checked(result.status.is_up());
        }
    }
}
