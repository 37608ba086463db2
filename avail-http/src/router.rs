//! The endpoints as an axum router.

use avail_core::AvailabilityMonitor;
use axum::Router;

use crate::route::PATHS;
use crate::{AdminService, HealthService, service};

/// The endpoints of a monitor as an [`axum::Router`], to be merged into an application's.
///
/// It has a route for each path and no fallback of its own, so that the application's stays in
/// force. Where the application has one of the paths itself, put it elsewhere by
/// [`Router::nest`].
///
/// ```
/// # #[tokio::main(flavor = "current_thread")] async fn main() -> Result<(), Box<dyn std::error::Error>> {
/// use axum::{Router, routing::get};
/// # use avail_core::AvailabilityMonitor;
///
/// let monitor = AvailabilityMonitor::builder().start().await?;
/// let app: Router = Router::new()
///     .route("/", get(|| async { "hello" }))
///     .merge(avail_http::router(&monitor));
/// # Ok(()) }
/// ```
pub fn router(monitor: &AvailabilityMonitor) -> Router {
    service(monitor).into_router()
}

impl HealthService {
    /// As [`router`], with what this service was told about who may see what.
    ///
    /// Where the application's router has a state that it has not been given yet,
    /// `into_router().with_state(())` fits it.
    pub fn into_router(self) -> Router {
        PATHS.into_iter().fold(Router::new(), |router, path| {
            router
                .route_service(path, self.clone())
                .route_service(&format!("{path}/"), self.clone())
        })
    }
}

impl AdminService {
    /// As [`HealthService::into_router`], with a route for everything below `/admin/`.
    pub fn into_router(self) -> Router {
        self.health().clone().into_router().route_service("/admin/{*path}", self)
    }
}
