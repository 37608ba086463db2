//! `grpc.health.v1.Health` for a tonic application (cargo feature `grpc`): what load balancers,
//! Kubernetes' `grpc` probes and gRPC clients ask.
//!
//! | service | `SERVING` | `NOT_SERVING` | `UNKNOWN` |
//! |---|---|---|---|
//! | `""`, the whole | `/readiness` says ready | it does not | |
//! | a component's name | healthy, degraded | unhealthy | unknown |
//! | any | | draining or stopped, for good | |
//!
//! - `Check` of a service that is none of these fails with `NOT_FOUND`.
//! - `Watch` of one says `SERVICE_UNKNOWN`, and goes on: the component may come. What changes comes
//!   within a second, mostly at once; a client that reads slowly gets the latest status alone, and
//!   slows nobody. The name of a service that is not known is at most 1 KiB long. Draining and stopping end every stream, after a last `NOT_SERVING`.
//! - `List` is not there: tonic answers it with `UNIMPLEMENTED`.

use std::collections::BTreeMap;
use std::pin::Pin;
use std::sync::{Arc, OnceLock};
use std::time::Duration;

use avail_core::{AvailabilityMonitor, Event, HealthStatus, SystemStatus};
use tokio::sync::{Semaphore, broadcast, watch};
use tokio::time::{MissedTickBehavior, interval};
use tokio_stream::wrappers::WatchStream;
use tokio_stream::{Stream, StreamExt};
use tonic::{Request, Response, Status};
use tonic_health::pb::health_check_response::ServingStatus;
use tonic_health::pb::health_server::{Health, HealthServer};
use tonic_health::pb::{HealthCheckRequest, HealthCheckResponse};

/// So many streams may be watched at once.
const WATCHERS: usize = 1_024;
/// So long may the name be that an unknown service is watched by, in bytes: it is kept for as long as
/// the stream.
const NAME: usize = 1_024;
/// How often time alone is looked at, and what no event tells.
const POLL: Duration = Duration::from_secs(1);

/// The health service of a monitor, to be added to a tonic server.
///
/// ```
/// # #[tokio::main(flavor = "current_thread")] async fn main() -> Result<(), Box<dyn std::error::Error>> {
/// use avail_core::AvailabilityMonitor;
/// use tonic::transport::Server;
///
/// let monitor = AvailabilityMonitor::builder().start().await?;
/// let router = Server::builder().add_service(avail_http::grpc::service(&monitor));
/// # let _ = router;
/// # Ok(()) }
/// ```
pub fn service(monitor: &AvailabilityMonitor) -> HealthServer<GrpcHealth> {
    HealthServer::new(GrpcHealth::new(monitor))
}

/// What [`service`] serves: for those who want to set up the [`HealthServer`] around it in another
/// way.
#[derive(Debug)]
pub struct GrpcHealth {
    monitor: AvailabilityMonitor,
    /// From the first watcher on.
    board: OnceLock<watch::Receiver<Arc<Board>>>,
    watchers: Arc<Semaphore>,
}

impl GrpcHealth {
    /// Of this monitor. Nothing runs until somebody watches.
    pub fn new(monitor: &AvailabilityMonitor) -> Self {
        GrpcHealth {
            monitor: monitor.clone(),
            board: OnceLock::new(),
            watchers: Arc::new(Semaphore::new(WATCHERS)),
        }
    }

    fn board(&self) -> watch::Receiver<Arc<Board>> {
        let board = self.board.get_or_init(|| {
            let events = self.monitor.subscribe();
            let (sender, receiver) = watch::channel(Arc::new(Board::of(&self.monitor.status())));
            tokio::spawn(keep_posting(self.monitor.clone(), events, sender));
            receiver
        });
        board.clone()
    }
}

#[tonic::async_trait]
impl Health for GrpcHealth {
    async fn check(
        &self,
        request: Request<HealthCheckRequest>,
    ) -> Result<Response<HealthCheckResponse>, Status> {
        let board = Board::of(&self.monitor.status());
        match board.status(&request.get_ref().service) {
            ServingStatus::ServiceUnknown => {
                Err(Status::not_found("no component has that name; \"\" is the whole"))
            }
            status => Ok(Response::new(response(status))),
        }
    }

    type WatchStream =
        Pin<Box<dyn Stream<Item = Result<HealthCheckResponse, Status>> + Send + 'static>>;

    async fn watch(
        &self,
        request: Request<HealthCheckRequest>,
    ) -> Result<Response<Self::WatchStream>, Status> {
        let Ok(permit) = self.watchers.clone().try_acquire_owned() else {
            return Err(Status::resource_exhausted(format!("{WATCHERS} streams are watched")));
        };
        let service = request.into_inner().service;
        if service.len() > NAME && !self.board().borrow().components.contains_key(&*service) {
            return Err(Status::invalid_argument(format!("a name is at most {NAME} bytes long")));
        }
        let mut last = None;
        let changes = WatchStream::new(self.board()).filter_map(move |board| {
            // Given back when the stream is dropped.
            let _held = &permit;
            let status = board.status(&service);
            (last.replace(status) != Some(status)).then(|| Ok(response(status)))
        });
        Ok(Response::new(Box::pin(changes)))
    }
}

fn response(status: ServingStatus) -> HealthCheckResponse {
    HealthCheckResponse { status: status.into() }
}

/// Posts what is known until everybody is gone, or it is over: then the sender goes too, and each
/// stream ends behind the last status.
async fn keep_posting(
    monitor: AvailabilityMonitor,
    mut events: broadcast::Receiver<Event>,
    board: watch::Sender<Arc<Board>>,
) {
    let mut ticks = interval(POLL);
    ticks.set_missed_tick_behavior(MissedTickBehavior::Delay);
    loop {
        // What was told so far is in the status.
        events = events.resubscribe();
        let next = Board::of(&monitor.status());
        let is_over = next.is_over;
        board.send_if_modified(|posted| {
            let changed = **posted != next;
            if changed {
                *posted = Arc::new(next);
            }
            changed
        });
        if is_over {
            return;
        }
        tokio::select! {
            () = something_happened(&mut events) => {}
            _ = ticks.tick() => {}
            () = board.closed() => return,
        }
    }
}

/// A run alone changes nothing here; what follows from it comes as an event of its own.
async fn something_happened(events: &mut broadcast::Receiver<Event>) {
    while let Ok(Event::CheckCompleted(_)) = events.recv().await {}
}

/// What is said of each service.
#[derive(Debug, PartialEq)]
struct Board {
    whole: ServingStatus,
    components: BTreeMap<Arc<str>, ServingStatus>,
    is_over: bool,
}

impl Board {
    fn of(status: &SystemStatus) -> Self {
        let is_over = status.draining || !status.running;
        let serving = |yes| if yes { ServingStatus::Serving } else { ServingStatus::NotServing };
        let components = status.components.iter().map(|component| {
            let status = match component.status {
                _ if is_over => ServingStatus::NotServing,
                HealthStatus::Unknown => ServingStatus::Unknown,
                status => serving(status.is_up()),
            };
            (component.name.clone(), status)
        });
        Board {
            whole: serving(status.ready && !is_over),
            components: components.collect(),
            is_over,
        }
    }

    fn status(&self, service: &str) -> ServingStatus {
        match service {
            "" => self.whole,
            name => self.components.get(name).copied().unwrap_or(ServingStatus::ServiceUnknown),
        }
    }
}
