//! The peers, each called as its own documentation calls it.
//!
//! Every breaker opens after five failures in a row, where it has such a rule (`streak`), or where
//! half of its calls fail or are slow, as far as it has such rules (`rates`), and stays open for an
//! hour, so that none probes while it is measured.

pub mod circuitbreaker_rs;
pub mod execution_policy;
pub mod failsafe;
pub mod mutex_ring;
pub mod nobreak;
pub mod recloser;
pub mod seatbelt;
pub mod tower_resilience;

use std::time::Duration;

pub const STREAK: u32 = 5;
pub const RATE: f64 = 0.5;
pub const WINDOW: usize = 100;
pub const MIN_CALLS: u32 = 20;
pub const OPEN: Duration = Duration::from_secs(3600);
