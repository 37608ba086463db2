//! The endpoints of [avail](https://docs.rs/avail): `/health`, `/readiness`, `/liveness`,
//! `/startup`, `/metrics` and `/incidents` over HTTP. Applications depend on `avail` with its
//! feature `http`, which re-exports this crate as `avail::http`.
//!
//! The heart is [`respond`]: from a monitor and a request to a response, over the types of the
//! [`http`] crate. It reads a snapshot, and runs no check and no other code of the user's. Around
//! it stand thin adapters:
//!
//! | to | use |
//! |---|---|
//! | listen on a port of its own | [`Server`] |
//! | serve from axum, hyper or anything that takes a tower service | [`service()`] |
//! | merge the routes into an axum application | `router()` (cargo feature `axum`) |
//! | answer in another framework | [`HealthEndpoints`], [`prometheus::render`] |
//! | answer `grpc.health.v1` in a tonic application | `grpc::service` (cargo feature `grpc`) |
//! | export the figures by the `metrics` facade | `bridge` (cargo feature `metrics`) |
//!
//! What changes something, such as opening a breaker by hand, is off unless an [`Admin`] is given.
//!
//! ```no_run
//! # #[tokio::main(flavor = "current_thread")] async fn main() -> Result<(), Box<dyn std::error::Error>> {
//! use avail_core::AvailabilityMonitor;
//! use avail_http::{Server, sigterm};
//!
//! let monitor = AvailabilityMonitor::builder().start().await?;
//! // 127.0.0.1:8000, or where AVAIL_LISTEN says
//! Server::new(&monitor).run_until(sigterm()).await?;
//! monitor.stop().await;
//! # Ok(()) }
//! ```

mod accept;
mod admin;
mod answer;
pub mod body;
#[cfg(feature = "metrics")]
pub mod bridge;
mod endpoints;
#[cfg(feature = "grpc")]
pub mod grpc;
mod gzip;
mod kept;
pub mod prometheus;
mod query;
mod quote;
mod respond;
mod route;
#[cfg(feature = "axum")]
mod router;
mod security;
mod server;
mod service;
mod verbose;

pub use self::admin::{Admin, AdminService, NoToken, PeerAddress};
pub use self::endpoints::HealthEndpoints;
pub use self::query::{IncidentQuery, QueryError};
pub use self::respond::respond;
#[cfg(feature = "axum")]
pub use self::router::router;
pub use self::security::{Caller, Details};
pub use self::server::{Server, ServerError, ServerHandle, sigterm};
pub use self::service::{HealthService, service};

/// So many cases, unless `PROPTEST_CASES` asks for more or fewer; and no file of failed ones, which
/// belong into a test of their own.
#[cfg(test)]
fn cases(cases: u32) -> proptest::prelude::ProptestConfig {
    let asked = std::env::var("PROPTEST_CASES").ok().and_then(|text| text.parse().ok());
    proptest::prelude::ProptestConfig {
        cases: asked.unwrap_or(cases),
        failure_persistence: None,
        ..proptest::prelude::ProptestConfig::default()
    }
}
