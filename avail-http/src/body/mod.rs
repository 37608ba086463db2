//! The bodies as typed values. What they serialise to is a contract: names are never changed, and
//! fields are only added.
//!
//! | file | what it holds |
//! |---|---|
//! | `probes` | `/health`, `/readiness`, `/liveness`, `/startup` |
//! | `metrics` | `/metrics` |
//! | `incidents` | `/incidents` |
//! | `timestamp` | how a point in time is written |

mod incidents;
mod metrics;
mod probes;
mod timestamp;

pub(crate) use self::timestamp::stamp;

pub use self::incidents::{IncidentBody, IncidentsBody};
pub use self::metrics::{
    CheckTotals, ComponentFigures, IncidentCounts, MetricsBody, WindowFigures, Windows,
};
pub use self::probes::{
    ComponentBody, HealthBody, LivenessBody, MaintenanceBody, ReadinessBody, StartupBody,
};
