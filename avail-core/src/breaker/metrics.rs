//! Counters of a breaker, and the snapshot that shows them.

use std::sync::Arc;
use std::time::Duration;

use chrono::{DateTime, Utc};
use serde::Serialize;

use super::config::CircuitBreakerConfig;
use super::error::OpenReason;
use super::machine::RejectedBy;
use super::overrides::{ActiveOverride, Mode};
use super::shards::Sharded;
use super::state::CircuitState;

/// How a call ended: the index of its counter.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[allow(missing_docs)] // each is explained at its counter in `CallCounts`
pub enum End {
    Success,
    Failure,
    Ignored,
    Cancelled,
    CancelledOverdue,
    Panic,
    Rejected,
    Stale,
    Timeout,
}

/// Lifetime counters. Each only grows.
#[derive(Debug, Default)]
pub(crate) struct Counters(Sharded<COUNTERS>);

/// How calls end comes first, then what rejects them.
const ENDS: usize = 9;
const COUNTERS: usize = ENDS + 4;

impl Counters {
    #[inline]
    pub(crate) fn count(&self, end: End) {
        self.0.count(end as usize);
    }

    #[inline]
    pub(crate) fn count_rejection(&self, by: RejectedBy) {
        self.0.count(ENDS + by as usize);
    }

    fn end(&self, end: End) -> u64 {
        self.0.sum(end as usize)
    }

    pub(crate) fn calls(&self) -> CallCounts {
        CallCounts {
            success: self.end(End::Success),
            failure: self.end(End::Failure),
            ignored: self.end(End::Ignored),
            timeout: self.end(End::Timeout),
            cancelled: self.end(End::Cancelled),
            cancelled_overdue: self.end(End::CancelledOverdue),
            panic: self.end(End::Panic),
            rejected: self.end(End::Rejected),
            stale: self.end(End::Stale),
        }
    }

    pub(crate) fn rejections(&self) -> RejectionCounts {
        let by = |by: RejectedBy| self.0.sum(ENDS + by as usize);
        RejectionCounts {
            open: by(RejectedBy::Open),
            half_open: by(RejectedBy::HalfOpen),
            forced_open: by(RejectedBy::ForcedOpen),
            awaiting_check: by(RejectedBy::AwaitingCheck),
        }
    }
}

/// How calls through a breaker ended, since it was made.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize)]
#[non_exhaustive]
pub struct CallCounts {
    /// Succeeded.
    pub success: u64,
    /// Failed.
    pub failure: u64,
    /// Classified as saying nothing.
    pub ignored: u64,
    /// Cut off by the breaker's `call_timeout`.
    pub timeout: u64,
    /// Given up early by the caller.
    pub cancelled: u64,
    /// Given up late by the caller: a failure.
    pub cancelled_overdue: u64,
    /// Panicked: a failure.
    pub panic: u64,
    /// Ended with the rejection of a breaker further down.
    pub rejected: u64,
    /// Ended after the breaker had moved on; changed nothing.
    pub stale: u64,
}

impl CallCounts {
    /// Those that failed, in whichever way.
    pub fn failed(&self) -> u64 {
        self.failure + self.timeout + self.cancelled_overdue + self.panic
    }

    /// Each with its label in the metric `avail_circuit_breaker_calls_total`.
    pub fn by_outcome(&self) -> [(&'static str, u64); 9] {
        [
            ("success", self.success),
            ("failure", self.failure),
            ("ignored", self.ignored),
            ("timeout", self.timeout),
            ("cancelled", self.cancelled),
            ("cancelled_overdue", self.cancelled_overdue),
            ("panic", self.panic),
            ("rejected", self.rejected),
            ("stale", self.stale),
        ]
    }
}

/// Calls that a breaker did not let through, since it was made.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize)]
#[non_exhaustive]
pub struct RejectionCounts {
    /// While it was open.
    pub open: u64,
    /// While it was half-open and all its probes were under way.
    pub half_open: u64,
    /// While an operator forced it open.
    pub forced_open: u64,
    /// While its open time was over and its recovery check had not been run.
    pub awaiting_check: u64,
}

impl RejectionCounts {
    /// Each with its label in the metric `avail_circuit_breaker_rejected_total`.
    pub fn by_reason(&self) -> [(&'static str, u64); 4] {
        [
            ("open", self.open),
            ("half_open", self.half_open),
            ("forced_open", self.forced_open),
            ("awaiting_check", self.awaiting_check),
        ]
    }
}

/// How long calls have met each state, in seconds, since the breaker was made.
#[derive(Clone, Copy, Debug, Default, PartialEq, Serialize)]
#[non_exhaustive]
pub struct TimeInState {
    /// Closed.
    pub closed: f64,
    /// Open.
    pub open: f64,
    /// Half-open.
    pub half_open: f64,
}

impl TimeInState {
    pub(crate) fn of(spent: [Duration; 3]) -> Self {
        let [closed, open, half_open] = spent.map(|time| time.as_secs_f64());
        TimeInState { closed, open, half_open }
    }
}

/// How often a breaker went from one state to another.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[non_exhaustive]
pub struct TransitionCount {
    /// What calls met before.
    pub from: CircuitState,
    /// What calls met after.
    pub to: CircuitState,
    /// How often.
    pub count: u64,
}

impl TransitionCount {
    /// Every pair of states, also what never happened.
    pub(crate) fn of(counts: [[u64; 3]; 3]) -> Vec<Self> {
        let pairs = CircuitState::ALL
            .into_iter()
            .flat_map(|from| CircuitState::ALL.map(|to| (from, to)))
            .filter(|(from, to)| from != to);
        pairs
            .map(|(from, to)| {
                let count = counts[from as usize][to as usize];
                TransitionCount { from, to, count }
            })
            .collect()
    }
}

/// A breaker at one moment.
#[derive(Clone, Debug, Serialize)]
#[non_exhaustive]
pub struct CircuitBreakerMetrics {
    /// Its name.
    pub name: Arc<str>,
    /// What calls meet.
    pub state: CircuitState,
    /// Since when calls meet that.
    pub state_since: DateTime<Utc>,
    /// Failures in a row, failed probes included.
    pub failure_count: u32,
    /// How long until a call may probe it; only while it is open by itself.
    pub retry_after_seconds: Option<f64>,
    /// Why it is not closed; only while it is open or half-open by itself.
    pub reason: Option<OpenReason>,
    /// The operator's override, if one is in force.
    #[serde(rename = "override")]
    pub active_override: Option<ActiveOverride>,
    /// The switch for all breakers.
    pub mode: Mode,
    /// Probes under way.
    pub probes_in_flight: u32,
    /// How calls ended.
    pub calls: CallCounts,
    /// Calls that were not let through.
    pub rejections: RejectionCounts,
    /// How often it changed, every pair of states listed.
    pub transitions: Vec<TransitionCount>,
    /// How long calls have met each state.
    pub state_seconds: TimeInState,
    /// How often it would have opened while in shadow.
    pub would_open: u64,
    /// Its settings.
    pub config: Arc<CircuitBreakerConfig>,
}
