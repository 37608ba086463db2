//! Health checks: what a check may return, how it is declared, how it is run, and what its runs
//! make of a component.
//!
//! | file | what it holds |
//! |---|---|
//! | `status` | the four statuses, and the result of one run |
//! | `outcome` | what a check's function may return |
//! | `check` | a check as declared |
//! | `dependencies` | which component waits for which: pure |
//! | `hysteresis` | from runs to up and down: pure |
//! | `runner` | one run: timeout, panic, latency |
//! | `slot` | one run at a time |
//! | `pace` | when the next run is due: pure |
//! | `orders` | what a check's task is told while it runs |
//! | `scheduler` | the task of each check |

mod check;
pub(crate) mod dependencies;
pub(crate) mod hysteresis;
pub(crate) mod orders;
mod outcome;
mod pace;
pub(crate) mod runner;
pub(crate) mod scheduler;
pub(crate) mod slot;
mod status;

pub use self::check::{CheckError, HealthCheck, Probe};
pub use self::outcome::{Health, IntoHealth};
pub use self::status::{FailureClass, HealthCheckResult, HealthStatus};

pub(crate) use self::check::{RESERVED, Schedule};
