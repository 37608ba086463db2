//! The core of [avail](https://docs.rs/avail): circuit breakers, health checks, incidents,
//! availability arithmetic and history. Applications depend on `avail`, which re-exports all of it.
//!
//! Data flows one way: a call or a check ends, its outcome moves a state, the state goes into a
//! timeline, and what endpoints show is worked out from timelines at the moment of asking.

mod availability;
mod breaker;
mod clock;
mod conflict;
mod error;
#[cfg(feature = "tracing")]
pub mod events;
mod expansion;
mod family;
mod health;
mod history;
#[cfg(test)]
mod listening;
#[cfg(not(feature = "tracing"))]
mod log;
mod monitor;
mod primitive;
mod registry;
mod scope;
mod settings;
mod site;
#[cfg(feature = "systemd")]
pub mod systemd;
#[cfg(feature = "test-util")]
pub mod testing;
#[cfg(feature = "tower")]
pub mod tower;

#[cfg(feature = "tracing")]
pub(crate) use self::events as log;

pub use self::availability::component::{LatencyHistogram, RunCounts};
pub use self::availability::{
    AlertSeverity, AvailabilityMetrics, AvailabilityReport, BurnAlert, BurnRate, ComponentState,
    ErrorBudget, Incident, Maintenance, ReportEntry, Severity, Slo, StateSeconds, Window,
};
pub use self::breaker::{
    ActiveOverride, BreakerEvent, CallCounts, CallError, CancelFailure, Cause, CircuitBreaker,
    CircuitBreakerConfig, CircuitBreakerConfigBuilder, CircuitBreakerError, CircuitBreakerMetrics,
    CircuitState, ConfigError, Label, Mode, OpenReason, Outcome, Override, OverrideOptions,
    ParseModeError, Permit, RateWindow, RejectionCounts, Subscription, TimeInState,
    TransitionCount, mode, set_mode,
};
pub use self::conflict::SiteConflict;
pub use self::error::MonitorError;
pub use self::family::BreakerFamily;
pub use self::health::{
    CheckError, FailureClass, Health, HealthCheck, HealthCheckResult, HealthStatus, IntoHealth,
    Probe,
};
pub use self::history::{HistoryStatus, RecoveryReport};
pub use self::monitor::{
    AuditRecord, AvailabilityMonitor, AvailabilityMonitorBuilder, ComponentSnapshot,
    ComponentStatus, Event, IncidentTotals, LastReload, ProcessSnapshot, SettingsStatus, Snapshot,
    SystemStatus,
};
pub use self::registry::CircuitBreakerRegistry;
pub use self::settings::{
    ComponentChange, Configurable, Reload, SettingChange, SettingProblem, SettingSource,
    SettingsError, SettingsWarning,
};
pub use self::site::Origin;

/// What the attributes expand to. Not for use by hand: it changes without notice.
///
/// The prelude's names are here too: a user's module may mean something else by `Ok` or `Box`.
#[doc(hidden)]
pub mod __private {
    pub use std::boxed::Box;
    pub use std::option::Option::{None, Some};
    pub use std::pin::pin;
    pub use std::result::Result::{Err, Ok};
    pub use std::time::Duration;
    pub use std::{file, line, module_path};

    pub use inventory;

    pub use crate::breaker::{CancelFailure, End, Guard, RateWindow};
    pub use crate::expansion::*;
    pub use crate::health::Probe;
    pub use crate::site::*;
}
