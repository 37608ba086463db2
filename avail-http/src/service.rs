//! The endpoints as a service.

use std::convert::Infallible;
use std::future::{Ready, ready};
use std::task::{Context, Poll};

use avail_core::AvailabilityMonitor;
use bytes::Bytes;
use http::{Request, Response};
use http_body_util::Full;

use crate::{Details, HealthEndpoints, respond};

/// The endpoints of a monitor as a service that axum, tonic and hyper take as it is.
///
/// ```
/// # #[tokio::main(flavor = "current_thread")] async fn main() -> Result<(), Box<dyn std::error::Error>> {
/// # use avail_core::AvailabilityMonitor;
/// let monitor = AvailabilityMonitor::builder().start().await?;
/// let service = avail_http::service(&monitor).token("s3cret");
/// let app: axum::Router = axum::Router::new().fallback_service(service);
/// # Ok(()) }
/// ```
pub fn service(monitor: &AvailabilityMonitor) -> HealthService {
    HealthService::from(HealthEndpoints::of(monitor))
}

/// What [`service`] gives: a [`tower_service::Service`] and a [`hyper::service::Service`] that
/// never fails, and is cheap to clone.
///
/// A path that is none of the endpoints is answered with 404.
#[derive(Clone, Debug)]
pub struct HealthService {
    endpoints: HealthEndpoints,
}

impl HealthService {
    /// Who is shown the texts of errors and the details of checks. Default:
    /// [`Details::Authorized`].
    pub fn details(mut self, details: Details) -> Self {
        self.endpoints = self.endpoints.details(details);
        self
    }

    /// The bearer token that authorizes a caller. Default, and where it is empty: there is none.
    pub fn token(mut self, token: impl AsRef<str>) -> Self {
        self.endpoints = self.endpoints.token(token);
        self
    }

    pub(crate) fn endpoints(&self) -> &HealthEndpoints {
        &self.endpoints
    }

    pub(crate) fn answer<B>(&self, request: &Request<B>) -> Response<Full<Bytes>> {
        respond(&self.endpoints, request).map(Full::new)
    }
}

impl From<HealthEndpoints> for HealthService {
    fn from(endpoints: HealthEndpoints) -> Self {
        HealthService { endpoints }
    }
}

impl<B> tower_service::Service<Request<B>> for HealthService {
    type Response = Response<Full<Bytes>>;
    type Error = Infallible;
    type Future = Ready<Result<Self::Response, Infallible>>;

    fn poll_ready(&mut self, _: &mut Context<'_>) -> Poll<Result<(), Infallible>> {
        Poll::Ready(Ok(()))
    }

    fn call(&mut self, request: Request<B>) -> Self::Future {
        ready(Ok(self.answer(&request)))
    }
}

impl<B> hyper::service::Service<Request<B>> for HealthService {
    type Response = Response<Full<Bytes>>;
    type Error = Infallible;
    type Future = Ready<Result<Self::Response, Infallible>>;

    fn call(&self, request: Request<B>) -> Self::Future {
        ready(Ok(self.answer(&request)))
    }
}
