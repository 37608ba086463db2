//! Availability as arithmetic: timelines, windows, MTBF and MTTR, incidents. Pure: no clock, no
//! input or output, no runtime; `now` is an argument.
//!
//! | file | what it holds |
//! |---|---|
//! | `moment` | wall-clock time in milliseconds |
//! | `timeline` | what a component was, from when to when |
//! | `metrics` | the figures of a window |
//! | `report` | the figures of a window, for a person |
//! | `slo` | objectives, error budgets and how fast they burn |
//! | `outages` | when a timeline was down, and how long that took |
//! | `incident` | incidents, opened and resolved |
//! | `periods` | times during which something else decides |
//! | `flapping` | components that keep changing |
//! | `grain` | hours, days and months |
//! | `checks` | how many runs and calls there were, by the hour |
//! | `component` | one component: its check, its breaker, its timeline |
//! | `ledger` | all components, the system and the process |

pub(crate) mod checks;
pub(crate) mod component;
mod flapping;
mod grain;
pub(crate) mod incident;
pub(crate) mod ledger;
mod metrics;
mod moment;
mod outages;
pub(crate) mod periods;
pub(crate) mod report;
pub(crate) mod slo;
pub(crate) mod timeline;

pub use self::incident::{Incident, Severity};
pub use self::ledger::Maintenance;
pub use self::metrics::{AvailabilityMetrics, StateSeconds, Window};
pub use self::report::{AvailabilityReport, ReportEntry};
pub use self::slo::{AlertSeverity, BurnAlert, BurnRate, ErrorBudget, Slo};
pub use self::timeline::ComponentState;

pub(crate) use self::moment::Moment;
