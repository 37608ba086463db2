//! Availability as arithmetic: timelines, windows, MTBF and MTTR, incidents. Pure: no clock, no
//! input or output, no runtime; `now` is an argument.
//!
//! | file | what it holds |
//! |---|---|
//! | `moment` | wall-clock time in milliseconds |
//! | `timeline` | what a component was, from when to when |
//! | `metrics` | the figures of a window |
//! | `incident` | incidents, opened and resolved |
//! | `periods` | times during which something else decides |
//! | `flapping` | components that keep changing |
//! | `checks` | how many runs there were, by the hour |
//! | `component` | one component: its check, its breaker, its timeline |
//! | `ledger` | all components, the system and the process |

pub(crate) mod checks;
pub(crate) mod component;
mod flapping;
mod incident;
pub(crate) mod ledger;
mod metrics;
mod moment;
mod periods;
mod timeline;

pub use self::incident::{Incident, Severity};
pub use self::ledger::Maintenance;
pub use self::metrics::{AvailabilityMetrics, StateSeconds, Window};
pub use self::timeline::ComponentState;

pub(crate) use self::moment::Moment;
