//! The endpoints on a port of their own.
//!
//! | file | what it holds |
//! |---|---|
//! | `address` | where it listens |
//! | `error` | why it can't |
//! | `handle` | what stops it |
//! | `host` | what every request must say |
//! | `connections` | accepting, and how many at once |
//! | `patience` | how long a client may take |
//! | `served` | what answers a request |
//! | `signal` | SIGTERM |

mod address;
mod connections;
mod error;
mod handle;
mod host;
mod patience;
mod served;
mod signal;

use std::future::Future;
use std::time::Duration;

use avail_core::AvailabilityMonitor;

pub use self::error::ServerError;
pub use self::handle::ServerHandle;
pub use self::signal::sigterm;

use crate::{Admin, Details, HealthEndpoints};

/// Serves the endpoints of a monitor on a port of their own, from an operating system's thread of
/// its own: probes are answered while every worker of the application's runtime is busy.
///
/// By default it listens on 127.0.0.1:8000. The environment variable `AVAIL_LISTEN` overrides that
/// and [`listen`](Self::listen): in a container it is `0.0.0.0:8000`.
///
/// Slow clients are closed: a request's head may take 2 s and be 8 KiB long, and a connection may be
/// idle for 30 s. There are at most 256 connections; where one more comes, the oldest that waits
/// for a head is closed in its favour, or else the oldest that does not read its answer, so that a
/// probe always gets in. No body of a request is
/// read, but for those of the routes of an [`Admin`], which may be 8 KiB long and take 2 s.
///
/// ```
/// # #[tokio::main(flavor = "current_thread")] async fn main() -> Result<(), Box<dyn std::error::Error>> {
/// # use avail_core::AvailabilityMonitor;
/// use avail_http::Server;
///
/// let monitor = AvailabilityMonitor::builder().start().await?;
/// let server = Server::new(&monitor).listen("127.0.0.1:0").start()?;
/// println!("http://{}/health", server.local_addr());
/// server.shutdown().await;
/// # Ok(()) }
/// ```
#[derive(Clone, Debug)]
#[must_use = "a server does nothing until it is started"]
pub struct Server {
    endpoints: HealthEndpoints,
    admin: Option<Admin>,
    listen: Option<String>,
    heeds_environment: bool,
    drain_time: Duration,
}

impl Server {
    /// The endpoints of this monitor and of the breakers that it watches.
    pub fn new(monitor: &AvailabilityMonitor) -> Self {
        Self::from(HealthEndpoints::of(monitor))
    }

    /// Where it listens: `host:port`, with port 0 for any that is free. Default `127.0.0.1:8000`.
    #[expect(clippy::needless_pass_by_value, reason = "a text and a `SocketAddr` both fit")]
    pub fn listen(mut self, address: impl ToString) -> Self {
        self.listen = Some(address.to_string());
        self
    }

    /// Whether `AVAIL_LISTEN` overrides where it listens. Default true; a program with an option
    /// for it, which should win, sets it to false where the option is given.
    pub fn environment(mut self, heed: bool) -> Self {
        self.heeds_environment = heed;
        self
    }

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

    /// Switches on the routes that change something. Default: they are not there.
    pub fn admin(mut self, admin: Admin) -> Self {
        self.admin = Some(admin);
        self
    }

    /// How long it serves on after the signal of [`run_until`](Self::run_until), so that load
    /// balancers notice that it is not ready. Default 5 s.
    pub fn drain_time(mut self, time: Duration) -> Self {
        self.drain_time = time;
        self
    }

    /// Binds the port, and serves until it is shut down. It needs no runtime.
    ///
    /// # Errors
    ///
    /// [`ServerError`] where the address is none, or can't be bound.
    pub fn start(self) -> Result<ServerHandle, ServerError> {
        let variable = if self.heeds_environment { address::of_environment()? } else { None };
        let address = address::choose(variable.as_deref(), self.listen.as_deref());
        ServerHandle::start(address, self.endpoints, self.admin, self.drain_time)
    }

    /// Serves until `signal` is ready and the process is drained: from the signal on `/readiness`
    /// says 503, the other endpoints what they said before; after the drain time the listener
    /// closes, last of all.
    ///
    /// The signal is awaited on the server's own thread, so that it is heard while the
    /// application's runtime is busy. Dropping the returned future ends the server at once.
    ///
    /// # Errors
    ///
    /// As [`start`](Self::start).
    ///
    /// ```no_run
    /// # async fn run(monitor: avail_core::AvailabilityMonitor) -> Result<(), avail_http::ServerError> {
    /// use avail_http::{Server, sigterm};
    ///
    /// Server::new(&monitor).run_until(sigterm()).await?;
    /// monitor.stop().await;
    /// # Ok(()) }
    /// ```
    pub async fn run_until<S>(self, signal: S) -> Result<(), ServerError>
    where
        S: Future + Send + 'static,
    {
        self.start()?.run_until(signal).await;
        Ok(())
    }
}

impl From<HealthEndpoints> for Server {
    fn from(endpoints: HealthEndpoints) -> Self {
        let drain_time = Duration::from_secs(5);
        Server { endpoints, admin: None, listen: None, heeds_environment: true, drain_time }
    }
}
