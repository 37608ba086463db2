//! Makes a service's availability visible and defends it, by annotation alone.
//!
//! # A tutorial
//!
//! ## Guard a call
//!
//! `#[circuit_breaker]` goes on any function that returns a `Result`, async or not, free or a
//! method. Its signature stays as it is: a call that the breaker rejects returns the function's own
//! error type, which says how to hold the breaker's:
//!
//! ```
//! # #[cfg(feature = "macros")] mod example {
//! use avail::CircuitBreakerError;
//!
//! #[derive(Debug)]
//! enum StorageError {
//!     Unavailable(CircuitBreakerError),
//!     Missing(u64),
//! }
//!
//! impl From<CircuitBreakerError> for StorageError {
//!     fn from(error: CircuitBreakerError) -> Self {
//!         StorageError::Unavailable(error)
//!     }
//! }
//!
//! #[avail::circuit_breaker(name = "storage", failure_threshold = 5, timeout = "30s")]
//! async fn fetch(id: u64) -> Result<Vec<u8>, StorageError> {
//!     Err(StorageError::Missing(id))
//! }
//! # }
//! ```
//!
//! After five failures in a row the breaker is *open*: calls are rejected at once. When the timeout
//! is over one call passes as a probe, and after two good probes the breaker is *closed* again.
//! Where there is something better than an error, `fallback = …` says what.
//!
//! On an `impl` block the attribute guards each method that returns a `Result`, with a breaker of its
//! own; and with `key = …` there is one for each tenant, host or shard, so that one which fails is cut
//! off alone:
//!
//! ```
//! # #[cfg(feature = "macros")] mod example {
//! # type Bytes = Vec<u8>;
//! struct Store;
//!
//! #[avail::circuit_breaker(prefix = "blobs", failure_rate = "50%", call_timeout = "2s")]
//! impl Store {
//!     async fn read(&self, id: u64) -> std::io::Result<Bytes> { // blobs::Store::read
//! #       let _ = id;
//!         // …
//! #       Ok(Vec::new())
//!     }
//!
//!     async fn write(&self, bytes: Bytes) -> std::io::Result<u64> { // blobs::Store::write
//! #       let _ = bytes;
//!         // …
//! #       Ok(1)
//!     }
//!
//!     #[avail(skip)]
//!     async fn close(self) -> std::io::Result<()> {
//!         Ok(())
//!     }
//! }
//!
//! #[avail::circuit_breaker(name = "tenants", key = tenant, max_keys = 500)]
//! async fn search(tenant: &str, words: &str) -> std::io::Result<Vec<u64>> {
//!     Ok(vec![(tenant.len() + words.len()) as u64])
//! }
//! # }
//! ```
//!
//! [`circuit_breaker`](macro@crate::circuit_breaker) lists every key.
//!
//! ## Look at a component
//!
//! `#[health_check]` goes on a function without arguments. It runs at once, and then as often as
//! `interval` says. A check and a breaker of one name are one component.
//!
//! ```
//! # #[cfg(feature = "macros")] mod example {
//! #[avail::health_check(name = "storage", interval = "10s")]
//! async fn storage_answers() -> std::io::Result<()> {
//!     // Do what a caller would do, and no more than it takes to know.
//!     Ok(())
//! }
//! # }
//! ```
//!
//! ## Start
//!
//! Nothing is registered by hand: [`AvailabilityMonitor`] finds both.
//!
//! ```standalone_crate
//! # #[tokio::main(flavor = "current_thread")] async fn main() -> Result<(), avail::MonitorError> {
//! use avail::{AvailabilityMonitor, Window};
//!
//! # let folder = tempfile::tempdir().expect("a folder");
//! # let history = folder.path().join("availability_history.jsonl");
//! let monitor = AvailabilityMonitor::builder()
//!     .history_file(history) // what happened outlives the process
//!     .start()
//!     .await?;
//!
//! let day = monitor.availability_metrics(Window::HOURS_24);
//! println!("{} % available, {} incidents", day.percentage_text(), day.incidents);
//! for incident in monitor.active_incidents() {
//!     println!("{} is down: {:?}", incident.component, incident.error);
//! }
//! monitor.stop().await;
//! # Ok(()) }
//! ```
//!
//! ## Show it
//!
//! With the feature `http`, [`http::Server`](crate::http) answers at `/health`, `/readiness`,
//! `/liveness`, `/metrics` and `/incidents`, on a thread of its own. An application that serves HTTP
//! already takes `http::service` or, with the feature `axum`, `http::router`.
//!
//! ## Change it without a build
//!
//! What the code declares is the default. A file
//! ([`config_file`](AvailabilityMonitorBuilder::config_file)) and the environment
//! (`AVAIL_BREAKER_STORAGE__FAILURE_THRESHOLD=10`) change it, for all or by name;
//! [`reload`](AvailabilityMonitor::reload) and SIGHUP do so while the service runs, and keep every
//! state. `docs/configuration.md` has all of it.
//!
//! ## Change it without a build
//!
//! What the code declares is the default. `config_file("avail.toml")` and the environment
//! (`AVAIL_BREAKER_STORAGE__FAILURE_THRESHOLD=10`) are laid over it, and SIGHUP or
//! [`AvailabilityMonitor::reload`] reads them anew while the service runs: every breaker keeps its state,
//! and a mistake changes nothing.
//!
//! ## Act on it
//!
//! [`AvailabilityMonitor::subscribe`] tells of every incident as it opens and as it is resolved.
//!
//! # What the figures mean
//!
//! Downtime starts with the first failing run of a check and ends with the first good one: a
//! threshold delays the signal, not the arithmetic. Time in which nobody looked counts for nothing,
//! and is shown as such. After a crash the process itself was down; after a clean stop it was not.
//! The formulas stand at [`AvailabilityMetrics`], and those of objectives and error budgets at
//! [`Slo`]. [`AvailabilityMonitor::report`] gives all of a window, for a program or for a ticket.
//!
//! # In tests
//!
//! With the feature `test-util`, `avail::testing::isolated()` gives a test a registry of its own and
//! a clock that follows tokio's paused time, so that a breaker which one test trips harms no other.
//!
//! # Features
//!
//! | feature | what it adds | default |
//! |---|---|---|
//! | `macros` | the attributes [`circuit_breaker`](macro@crate::circuit_breaker) and [`health_check`](macro@crate::health_check) | yes |
//! | `http` | the endpoints and their server | no |
//! | `axum` | the endpoints as a router for axum | no |
//! | `grpc` | `grpc.health.v1` for a tonic application | no |
//! | `metrics` | the figures of `/metrics` through the `metrics` facade | no |
//! | `systemd` | readiness, status line and watchdog of systemd | no |
//! | `test-util` | a registry and a clock of its own for each test | no |
//! | `tower` | a circuit breaker as a tower layer | no |
//! | `tracing` | what happens as structured events with stable names, `avail::events` | no |
//! | `full` | `macros`, `http`, `axum`, `grpc`, `metrics`, `systemd`, `tower` and `tracing` | no |
//!
//! # Known limits
//!
//! What the linker drops can't be found before it is called: a crate that stands in `Cargo.toml` and
//! is never named (`use my_lib as _;` mends it), and release `staticlib`s that a foreign linker
//! links without `--whole-archive`.

#[doc(inline)]
pub use avail_core::*;
#[cfg(feature = "http")]
pub use avail_http as http;
#[cfg(feature = "macros")]
pub use avail_macros::{circuit_breaker, health_check};

/// The README's quick start compiles.
#[cfg(all(doctest, feature = "http", feature = "macros"))]
#[doc = include_str!("../README.md")]
struct Readme;
