//! avail.

pub use avail_core::*;
#[cfg(feature = "http")]
pub use avail_http as http;
#[cfg(feature = "macros")]
pub use avail_macros::{circuit_breaker, health_check};
