//! What a breaker tells its listeners: outside every lock, in order, and whatever they do.

use std::fmt;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::{Arc, Mutex, PoisonError, Weak};
use std::time::Duration;

use chrono::{DateTime, Utc};
use serde::Serialize;

use super::config::{optional_seconds, seconds};
use super::error::OpenReason;
use super::label::Label;
use super::overrides::{Mode, Override};
use super::state::CircuitState;

/// A change of a breaker, in the order in which they happened.
#[derive(Clone, Debug, Serialize)]
#[non_exhaustive]
pub struct BreakerEvent {
    /// The breaker's name.
    pub breaker: Arc<str>,
    /// The component that it belongs to: its own name, or its family's.
    pub component: Arc<str>,
    /// Counts this breaker's events from 1, without a gap.
    pub sequence: u64,
    /// When it happened; for a lease or an override that ran out, when that was.
    pub at: DateTime<Utc>,
    /// What calls met before.
    pub from: CircuitState,
    /// What calls meet since; the same as `from` where only an override changed.
    pub to: CircuitState,
    /// What brought it about.
    pub cause: Cause,
    /// Whether the breaker is declared critical.
    pub critical: bool,
}

/// What brought a change of a breaker about.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case", tag = "cause")]
#[non_exhaustive]
pub enum Cause {
    /// A rule tripped it, or a probe failed.
    #[non_exhaustive]
    Opened {
        /// Which rule.
        reason: OpenReason,
        /// How long it stays open before a call may probe; in JSON seconds.
        #[serde(serialize_with = "seconds")]
        for_at_least: Duration,
    },
    /// The open time was over and a call came to probe.
    OpenTimeOver,
    /// The open time was over and the health check passed that is run before any call is risked.
    RecoveryCheckPassed,
    /// Enough probes succeeded.
    Recovered,
    /// [`CircuitBreaker::reset`](crate::CircuitBreaker::reset).
    Reset,
    /// An operator laid an override over it.
    #[non_exhaustive]
    Overridden {
        /// Which.
        kind: Override,
        /// Who.
        actor: Label,
        /// Why.
        reason: Label,
        /// For how long, in JSON seconds; `None`: until it is cleared.
        #[serde(serialize_with = "optional_seconds")]
        ttl: Option<Duration>,
    },
    /// An operator took the override away.
    OverrideCleared,
    /// The override's time ran out.
    OverrideExpired,
    /// The switch for all breakers was set.
    #[non_exhaustive]
    Mode {
        /// To what.
        mode: Mode,
    },
    /// In shadow: it would have opened now.
    #[non_exhaustive]
    WouldOpen {
        /// By which rule.
        reason: OpenReason,
    },
}

impl Cause {
    /// A short stable word for it, as in JSON.
    pub fn as_str(&self) -> &'static str {
        match self {
            Cause::Opened { .. } => "opened",
            Cause::OpenTimeOver => "open_time_over",
            Cause::RecoveryCheckPassed => "recovery_check_passed",
            Cause::Recovered => "recovered",
            Cause::Reset => "reset",
            Cause::Overridden { .. } => "overridden",
            Cause::OverrideCleared => "override_cleared",
            Cause::OverrideExpired => "override_expired",
            Cause::Mode { .. } => "mode",
            Cause::WouldOpen { .. } => "would_open",
        }
    }
}

#[cfg(test)]
impl Cause {
    /// As after five failures.
    pub(crate) fn opened_for(for_at_least: Duration) -> Self {
        Cause::Opened { reason: OpenReason::ConsecutiveFailures { failures: 5 }, for_at_least }
    }
}

impl fmt::Display for Cause {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Cause::Opened { reason, .. } => reason.fmt(f),
            Cause::OpenTimeOver => f.write_str("its open time was over"),
            Cause::RecoveryCheckPassed => f.write_str("its recovery check passed"),
            Cause::Recovered => f.write_str("its probes succeeded"),
            Cause::Reset => f.write_str("it was reset"),
            Cause::Overridden { kind, reason, .. } => write!(f, "{kind}: {reason}"),
            Cause::OverrideCleared => f.write_str("its override was cleared"),
            Cause::OverrideExpired => f.write_str("its override expired"),
            Cause::Mode { mode } => write!(f, "all breakers were set to {mode}"),
            Cause::WouldOpen { reason } => write!(f, "it would have opened: {reason}"),
        }
    }
}

type Callback = Arc<dyn Fn(&BreakerEvent) + Send + Sync>;

/// Who listens; shared by a registry's breakers, so that one subscription hears all of them.
#[derive(Default)]
pub(crate) struct Listeners {
    list: Mutex<Vec<(u64, Callback)>>,
}

impl fmt::Debug for Listeners {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Listeners").field("count", &self.lock().len()).finish()
    }
}

impl Listeners {
    fn lock(&self) -> std::sync::MutexGuard<'_, Vec<(u64, Callback)>> {
        self.list.lock().unwrap_or_else(PoisonError::into_inner)
    }

    pub(crate) fn subscribe(
        self: &Arc<Self>,
        callback: impl Fn(&BreakerEvent) + Send + Sync + 'static,
    ) -> Subscription {
        let mut list = self.lock();
        let id = list.last().map_or(1, |(last, _)| last + 1);
        list.push((id, Arc::new(callback)));
        Subscription { id, listeners: Arc::downgrade(self) }
    }

    /// Tells everyone; a listener that panics is passed over.
    pub(crate) fn tell(&self, event: &BreakerEvent) {
        let callbacks: Vec<_> = self.lock().iter().map(|(_, callback)| callback.clone()).collect();
        for callback in callbacks {
            if catch_unwind(AssertUnwindSafe(|| callback(event))).is_err() {
                tracing::error!(breaker = %event.breaker, "a listener of the breaker panicked");
            }
        }
    }
}

/// Listens to a breaker for as long as it is kept; dropping it ends that.
#[derive(Debug)]
#[must_use = "the subscription ends when this is dropped"]
pub struct Subscription {
    id: u64,
    listeners: Weak<Listeners>,
}

impl Drop for Subscription {
    fn drop(&mut self) {
        if let Some(listeners) = self.listeners.upgrade() {
            let mut list = listeners.lock();
            let place = list.iter().position(|(id, _)| *id == self.id);
            let callback = place.map(|place| list.remove(place));
            drop(list);
            drop(callback); // what it holds is the user's: not under the lock
        }
    }
}
