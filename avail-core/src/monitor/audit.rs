//! What operators did: who, what, why and when.

use std::collections::VecDeque;
use std::sync::{Mutex, MutexGuard, PoisonError};

use chrono::{DateTime, Utc};
use serde::{Deserialize, Serialize};

/// How many are kept in memory.
const KEPT: usize = 256;

/// Something that an operator did to the monitor or to a circuit breaker.
///
/// In the history file it is a record of the type `audit`, which `jq 'select(.type == "audit")'`
/// finds for as long as the file holds records of that time.
///
/// ```
/// # #[tokio::main(flavor = "current_thread")] async fn main() -> Result<(), Box<dyn std::error::Error>> {
/// use avail_core::{AuditRecord, AvailabilityMonitor};
///
/// let monitor = AvailabilityMonitor::builder().discover(false).start().await?;
/// let mut done = AuditRecord::new("anna", "reset", "the cluster is back");
/// done.target = Some("storage".into());
/// monitor.record_audit(done);
/// assert_eq!(monitor.audit(1)[0].actor, "anna");
/// # Ok(()) }
/// ```
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[non_exhaustive]
pub struct AuditRecord {
    /// When; it is set when it is recorded.
    pub timestamp: DateTime<Utc>,
    /// Who, as they said themselves.
    pub actor: String,
    /// What was done, such as `force_open`.
    pub action: String,
    /// To which breaker, component or check; `None`: to the whole system.
    pub target: Option<String>,
    /// Why, in the operator's words.
    pub reason: String,
    /// Until when it holds, where it ends by itself.
    pub until: Option<DateTime<Utc>>,
    /// From which address it was asked for, where that is known.
    pub caller: Option<String>,
}

impl AuditRecord {
    /// Of the whole system, without an end, and from nobody knows where.
    pub fn new(
        actor: impl Into<String>,
        action: impl Into<String>,
        reason: impl Into<String>,
    ) -> Self {
        AuditRecord {
            timestamp: DateTime::<Utc>::UNIX_EPOCH,
            actor: actor.into(),
            action: action.into(),
            target: None,
            reason: reason.into(),
            until: None,
            caller: None,
        }
    }
}

/// The latest of this boot.
#[derive(Debug, Default)]
pub(super) struct AuditTrail {
    records: Mutex<VecDeque<AuditRecord>>,
}

impl AuditTrail {
    fn records(&self) -> MutexGuard<'_, VecDeque<AuditRecord>> {
        self.records.lock().unwrap_or_else(PoisonError::into_inner)
    }

    pub(super) fn add(&self, record: AuditRecord) {
        let mut records = self.records();
        if records.len() == KEPT {
            records.pop_front();
        }
        records.push_back(record);
    }

    /// Newest first.
    pub(super) fn latest(&self, limit: usize) -> Vec<AuditRecord> {
        self.records().iter().rev().take(limit).cloned().collect()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_latest_256_are_kept() {
        let trail = AuditTrail::default();
        for number in 0..300 {
            trail.add(AuditRecord::new(number.to_string(), "reset", "why"));
        }
        let actors = |limit| {
            let latest = trail.latest(limit).into_iter();
            latest.map(|record| record.actor).collect::<Vec<_>>()
        };
        assert_eq!(actors(2), ["299", "298"]);
        assert_eq!(actors(usize::MAX).len(), KEPT);
        assert_eq!(actors(usize::MAX).last().map(String::as_str), Some("44"));
    }
}
