//! The endpoints with those that change something: the only place that reads a body.

use std::convert::Infallible;
use std::error::Error;
use std::future::Future;
use std::net::SocketAddr;
use std::pin::Pin;
use std::task::{Context, Poll};
use std::time::Duration;

use bytes::Bytes;
use http::{Request, Response, StatusCode};
use http_body::Body;
use http_body_util::{BodyExt, Full, LengthLimitError, Limited};

use super::gate::{Target, admit, refuse, too_long};
use super::perform::Performance;
use super::{Admin, is_admin};
use crate::HealthService;
use crate::answer::Answer;

/// How long a body may be, in bytes.
pub(super) const BODY: usize = 8 * 1024;
/// How long it may take.
const TIME: Duration = Duration::from_secs(2);

type Answering = Pin<Box<dyn Future<Output = Result<Response<Full<Bytes>>, Infallible>> + Send>>;

/// Where a request comes from, among its [extensions](http::Request::extensions): it is noted in the
/// record of what was done. [`Server`](crate::Server) knows it; whoever serves an [`AdminService`]
/// otherwise may set it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct PeerAddress(pub SocketAddr);

/// The endpoints, and the routes of an [`Admin`] below `/admin/`: a [`tower_service::Service`] and a
/// [`hyper::service::Service`] that never fails, and is cheap to clone. It needs a tokio runtime with
/// its time enabled.
///
/// ```
/// # #[tokio::main(flavor = "current_thread")] async fn main() -> Result<(), Box<dyn std::error::Error>> {
/// # use avail_core::AvailabilityMonitor;
/// let monitor = AvailabilityMonitor::builder().start().await?;
/// let admin = avail_http::Admin::new("s3cret")?;
/// let service = avail_http::service(&monitor).admin(admin);
/// let app: axum::Router = axum::Router::new().fallback_service(service);
/// # Ok(()) }
/// ```
#[derive(Clone, Debug)]
pub struct AdminService {
    health: HealthService,
    pub(super) admin: Admin,
}

impl HealthService {
    /// With the routes that change something.
    pub fn admin(self, admin: Admin) -> AdminService {
        AdminService { health: self, admin }
    }
}

impl AdminService {
    #[cfg(feature = "axum")]
    pub(crate) fn health(&self) -> &HealthService {
        &self.health
    }

    /// What a request asks to be done, or the answer where nothing is.
    pub(crate) fn admit<B>(
        &self,
        request: &Request<B>,
    ) -> Result<Admitted, Box<Response<Full<Bytes>>>> {
        if !is_admin(request.uri().path()) {
            return Err(self.health.answer(request).into());
        }
        match admit(&self.admin, request.method(), request.uri(), request.headers()) {
            Ok(target) => Ok(Admitted { target, peer: request.extensions().get().copied() }),
            Err(refusal) => Err(complete(*refusal, request.method() == http::Method::HEAD).into()),
        }
    }

    /// Reads the body of one that was let in, and does what it says.
    pub(crate) async fn perform<B>(self, admitted: Admitted, body: B) -> Response<Full<Bytes>>
    where
        B: Body,
        B::Error: Into<Box<dyn Error + Send + Sync>>,
    {
        let Admitted { target, peer } = admitted;
        let answer = match read(body).await.and_then(|body| target.read(&body)) {
            Ok(action) => {
                let caller = peer.map(|PeerAddress(address)| address.to_string());
                let endpoints = self.health.endpoints();
                Performance { endpoints, action, caller }.perform().await
            }
            Err(refusal) => *refusal,
        };
        complete(answer, false)
    }

    fn serve<B>(&self, request: Request<B>) -> Answering
    where
        B: Body + Send + 'static,
        B::Data: Send,
        B::Error: Into<Box<dyn Error + Send + Sync>>,
    {
        match self.admit(&request) {
            Ok(admitted) => {
                let service = self.clone();
                Box::pin(async move { Ok(service.perform(admitted, request.into_body()).await) })
            }
            Err(answer) => Box::pin(std::future::ready(Ok(*answer))),
        }
    }
}

/// A request that was let in.
#[derive(Debug)]
pub(crate) struct Admitted {
    target: Target,
    peer: Option<PeerAddress>,
}

fn complete(answer: Answer, head: bool) -> Response<Full<Bytes>> {
    answer.into_response(head).map(Full::new)
}

/// The body, if it comes in time and is no longer than it may be.
async fn read<B>(body: B) -> Result<Bytes, Box<Answer>>
where
    B: Body,
    B::Error: Into<Box<dyn Error + Send + Sync>>,
{
    match tokio::time::timeout(TIME, Limited::new(body, BODY).collect()).await {
        Ok(Ok(collected)) => Ok(collected.to_bytes()),
        Ok(Err(error)) if error.is::<LengthLimitError>() => Err(too_long().into()),
        Ok(Err(_)) => Err(refuse(StatusCode::BAD_REQUEST, "the body could not be read").into()),
        Err(_) => Err(refuse(StatusCode::REQUEST_TIMEOUT, "the body took more than 2 s").into()),
    }
}

impl<B> tower_service::Service<Request<B>> for AdminService
where
    B: Body + Send + 'static,
    B::Data: Send,
    B::Error: Into<Box<dyn Error + Send + Sync>>,
{
    type Response = Response<Full<Bytes>>;
    type Error = Infallible;
    type Future = Answering;

    fn poll_ready(&mut self, _: &mut Context<'_>) -> Poll<Result<(), Infallible>> {
        Poll::Ready(Ok(()))
    }

    fn call(&mut self, request: Request<B>) -> Self::Future {
        self.serve(request)
    }
}

impl<B> hyper::service::Service<Request<B>> for AdminService
where
    B: Body + Send + 'static,
    B::Data: Send,
    B::Error: Into<Box<dyn Error + Send + Sync>>,
{
    type Response = Response<Full<Bytes>>;
    type Error = Infallible;
    type Future = Answering;

    fn call(&self, request: Request<B>) -> Self::Future {
        self.serve(request)
    }
}
