//! The server's thread, and what stops it.

use std::future::Future;
use std::io;
use std::net::{SocketAddr, TcpListener};
use std::sync::mpsc;
use std::thread::JoinHandle;
use std::time::Duration;

use avail_core::AvailabilityMonitor;
use tokio::runtime::{Builder, Handle};
use tokio::sync::{oneshot, watch};
use tokio::task::AbortHandle;

use super::{ServerError, connections};
use crate::{HealthEndpoints, HealthService};

/// A server that runs. It is stopped by [`shutdown`](Self::shutdown), or at the end of
/// [`run_until`](Self::run_until); dropping the handle stops nothing, and the server then lives for
/// as long as the process.
#[derive(Debug)]
pub struct ServerHandle {
    address: SocketAddr,
    monitor: AvailabilityMonitor,
    drain_time: Duration,
    runtime: Handle,
    stop: watch::Sender<bool>,
    ended: oneshot::Receiver<()>,
    thread: JoinHandle<()>,
}

impl ServerHandle {
    pub(super) fn start(
        listener: TcpListener,
        endpoints: HealthEndpoints,
        drain_time: Duration,
    ) -> Result<Self, ServerError> {
        let address = listener.local_addr().map_err(ServerError::of_thread)?;
        listener.set_nonblocking(true).map_err(ServerError::of_thread)?;
        let monitor = endpoints.monitor().clone();
        let (stop, stopped) = watch::channel(false);
        let (end, ended) = oneshot::channel();
        let (tell, told) = mpsc::sync_channel(1);
        let work = move || {
            run(listener, HealthService::from(endpoints), stopped, &tell);
            // Nobody may be waiting.
            let _ = end.send(());
        };
        let thread = std::thread::Builder::new().name("avail-http".into()).spawn(work);
        let thread = thread.map_err(ServerError::of_thread)?;
        let runtime = told.recv().map_err(io::Error::other).flatten();
        let runtime = runtime.map_err(ServerError::of_thread)?;
        tracing::info!(%address, "the endpoints are served");
        Ok(ServerHandle { address, monitor, drain_time, runtime, stop, ended, thread })
    }

    /// Where it listens: with port 0, this is how the port is known.
    pub fn local_addr(&self) -> SocketAddr {
        self.address
    }

    /// Closes the listener, then the connections: those that wait at once, one that is being
    /// answered within a second. It is over when this is.
    pub async fn shutdown(self) {
        self.stop.send_replace(true);
        // An error says the same: the thread has ended.
        let _ = self.ended.await;
        if self.thread.join().is_err() {
            tracing::error!("the server's thread panicked");
        }
    }

    /// Serves until `signal` is ready and the process is drained; see
    /// [`Server::run_until`](super::Server::run_until).
    pub async fn run_until<S>(self, signal: S)
    where
        S: Future + Send + 'static,
    {
        let (monitor, drain_time) = (self.monitor.clone(), self.drain_time);
        let (seen, drained) = oneshot::channel();
        let task = self.runtime.spawn(async move {
            signal.await;
            monitor.drain();
            tokio::time::sleep(drain_time).await;
            let _ = seen.send(());
        });
        let guard = StopOnDrop { stop: self.stop.clone(), task: task.abort_handle() };
        if drained.await.is_err() {
            tracing::error!("what was to end the server panicked, or its thread did: it ends now");
        }
        drop(guard);
        self.shutdown().await;
    }
}

/// Whoever gives up waiting for the end of the server gets it at once.
struct StopOnDrop {
    stop: watch::Sender<bool>,
    task: AbortHandle,
}

impl Drop for StopOnDrop {
    fn drop(&mut self) {
        self.task.abort();
        self.stop.send_replace(true);
    }
}

/// What the thread does: tells whether it could begin, and serves.
fn run(
    listener: TcpListener,
    service: HealthService,
    stopped: watch::Receiver<bool>,
    tell: &mpsc::SyncSender<io::Result<Handle>>,
) {
    let begun = Builder::new_current_thread().enable_all().build().and_then(|runtime| {
        let listener = {
            let _entered = runtime.enter();
            tokio::net::TcpListener::from_std(listener)?
        };
        Ok((runtime, listener))
    });
    match begun {
        Ok((runtime, listener)) => {
            let _ = tell.send(Ok(runtime.handle().clone()));
            runtime.block_on(connections::serve(listener, service, stopped));
        }
        Err(error) => {
            let _ = tell.send(Err(error));
        }
    }
}
