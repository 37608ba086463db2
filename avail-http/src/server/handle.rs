//! The server's thread, and what stops it.

use std::future::Future;
use std::io;
use std::net::SocketAddr;
use std::sync::mpsc;
use std::thread::JoinHandle;
use std::time::Duration;

use avail_core::AvailabilityMonitor;
use tokio::net::{TcpListener, TcpSocket};
use tokio::runtime::{Builder, Handle, Runtime};
use tokio::sync::{oneshot, watch};
use tokio::task::AbortHandle;

use super::address::Address;
use super::served::Served;
use super::{ServerError, connections};
use crate::{Admin, HealthEndpoints, HealthService};

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
        address: Address<'_>,
        endpoints: HealthEndpoints,
        admin: Option<Admin>,
        drain_time: Duration,
    ) -> Result<Self, ServerError> {
        let (resolved, text) = (address.resolve()?, address.text().to_owned());
        let monitor = endpoints.monitor().clone();
        let (stop, stopped) = watch::channel(false);
        let (end, ended) = oneshot::channel();
        let (tell, told) = mpsc::sync_channel(1);
        let work = move || {
            match begin(&resolved, &text) {
                Ok((runtime, listener, begun)) => {
                    let port = begun.address.port();
                    // Whoever started it waits for this.
                    let _ = tell.send(Ok(begun));
                    let served = Served::new(HealthService::from(endpoints), admin, port);
                    runtime.block_on(connections::serve(listener, served, stopped));
                }
                Err(error) => {
                    let _ = tell.send(Err(error));
                }
            }
            // Nobody may be waiting.
            let _ = end.send(());
        };
        let thread = std::thread::Builder::new().name("avail-http".into()).spawn(work);
        let thread = thread.map_err(ServerError::of_thread)?;
        let Begun { runtime, address } =
            told.recv().map_err(|error| ServerError::of_thread(io::Error::other(error)))??;
        tracing::info!(%address, "the endpoints are served");
        Ok(ServerHandle { address, monitor, drain_time, runtime, stop, ended, thread })
    }

    /// Where it listens: with port 0, this is how the port is known.
    pub fn local_addr(&self) -> SocketAddr {
        self.address
    }

    /// How many connections it has at this moment.
    pub fn connections(&self) -> usize {
        self.runtime.metrics().num_alive_tasks()
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

/// What the thread tells once it listens.
struct Begun {
    runtime: Handle,
    address: SocketAddr,
}

/// Makes the runtime and binds the port.
fn begin(
    addresses: &[SocketAddr],
    text: &str,
) -> Result<(Runtime, TcpListener, Begun), ServerError> {
    let runtime = Builder::new_current_thread().enable_all().build();
    let runtime = runtime.map_err(ServerError::of_thread)?;
    let refuse = |error| ServerError::of_bind(text, error);
    let listener = runtime.block_on(async { bind(addresses) }).map_err(refuse)?;
    let address = listener.local_addr().map_err(refuse)?;
    let begun = Begun { runtime: runtime.handle().clone(), address };
    Ok((runtime, listener, begun))
}

/// How many connections may wait to be accepted. The 128 of std are taken in a moment when many
/// clients come at once, and the next then waits a second for its second attempt.
const QUEUE: u32 = 1_024;

/// Binds the first of the addresses that can be bound.
fn bind(addresses: &[SocketAddr]) -> io::Result<TcpListener> {
    let mut refused = io::ErrorKind::AddrNotAvailable.into();
    for address in addresses {
        match bind_to(*address) {
            Ok(listener) => return Ok(listener),
            Err(error) => refused = error,
        }
    }
    Err(refused)
}

fn bind_to(address: SocketAddr) -> io::Result<TcpListener> {
    let socket = if address.is_ipv4() { TcpSocket::new_v4() } else { TcpSocket::new_v6() }?;
    // As std does: a restart must not wait for connections of before to time out. On Windows the
    // same option would let two processes listen on one port.
    #[cfg(unix)]
    socket.set_reuseaddr(true)?;
    socket.bind(address)?;
    socket.listen(QUEUE)
}
