//! What answers a request of a connection: at once, but for what operators ask for.

use std::convert::Infallible;
use std::future::{Ready, ready};
use std::net::SocketAddr;
use std::pin::Pin;
use std::task::{Context, Poll};

use bytes::Bytes;
use http::header::{CONNECTION, HeaderValue};
use http::{Request, Response};
use http_body::Body;
use http_body_util::Full;
use hyper::body::Incoming;

use super::connections::{Phase, PhaseCell};
use super::host;
use crate::{Admin, AdminService, HealthService, PeerAddress};

/// The endpoints, with or without those that change something.
#[derive(Clone, Debug)]
pub(super) enum Served {
    Health(HealthService),
    Admin(AdminService),
}

type Said = Result<Response<Full<Bytes>>, Infallible>;

/// What is longer than this took time to make. A client that asks for it again and again, without
/// waiting, must leave some for the others.
const LONG: u64 = 4_096;

/// An answer that is there, or in the making.
pub(super) enum Answering {
    There(Ready<Said>),
    /// There, once every other connection has had its turn.
    Next(Ready<Said>),
    Made(Pin<Box<dyn Future<Output = Said> + Send>>),
}

impl Served {
    pub(super) fn new(health: HealthService, admin: Option<Admin>, port: u16) -> Self {
        match admin {
            Some(admin) => Served::Admin(health.admin(admin.listening_on(port))),
            None => Served::Health(health),
        }
    }

    pub(super) fn answer(
        &self,
        mut request: Request<Incoming>,
        peer: SocketAddr,
        phase: &PhaseCell,
    ) -> Answering {
        if let Some(refusal) = host::refusal(&request) {
            return at_once(refusal, &request);
        }
        let service = match self {
            Served::Health(service) => return at_once(service.answer(&request), &request),
            Served::Admin(service) => service,
        };
        request.extensions_mut().insert(PeerAddress(peer));
        match service.admit(&request) {
            Ok(admitted) => {
                // It has shown the token: from here on the limits are those of its own work.
                phase.set(Phase::Working);
                let work = service.clone().perform(admitted, request.into_body());
                Answering::Made(Box::pin(async { Ok(work.await) }))
            }
            Err(answer) => at_once(*answer, &request),
        }
    }
}

/// A body is not read, so that nothing can be told from it any more.
fn at_once(mut response: Response<Full<Bytes>>, request: &Request<Incoming>) -> Answering {
    if !request.body().is_end_stream() {
        response.headers_mut().insert(CONNECTION, HeaderValue::from_static("close"));
    }
    let is_long = response.body().size_hint().lower() > LONG;
    let answer = ready(Ok(response));
    if is_long { Answering::Next(answer) } else { Answering::There(answer) }
}

impl Future for Answering {
    type Output = Said;

    fn poll(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<Said> {
        match &mut *self {
            Answering::There(answer) => Pin::new(answer).poll(context),
            Answering::Next(answer) => {
                let answer = std::mem::replace(answer, ready(Ok(Response::default())));
                *self = Answering::There(answer);
                context.waker().wake_by_ref();
                Poll::Pending
            }
            Answering::Made(answer) => answer.as_mut().poll(context),
        }
    }
}
