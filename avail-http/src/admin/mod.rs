//! What changes something: overrides of breakers, maintenance, a check that is to run now. Off unless
//! the program says otherwise.
//!
//! | file | what it holds |
//! |---|---|
//! | `hosts` | which hosts a request may name |
//! | `gate` | who is let in: from a request's head to what it is about, or a refusal; pure |
//! | `action` | from its body to what is to be done, or an error; pure |
//! | `perform` | doing it, with a record of who and why |
//! | `service` | reading the body, within limits |

mod action;
mod gate;
mod hosts;
mod perform;
mod service;

pub use self::service::{AdminService, PeerAddress};

use self::hosts::Hosts;
use crate::security::Token;

/// Switches on the routes that change something:
///
/// | `POST` | what it does | in its body, beside `actor` and `reason` |
/// |---|---|---|
/// | `/admin/breakers/{name}/reset` | makes a breaker fresh and closed; an override stays | |
/// | `/admin/breakers/{name}/trip` | opens it, as if a rule had tripped it | |
/// | `/admin/breakers/{name}/force-open` | rejects every call | `ttl`, if it is to end by itself |
/// | `/admin/breakers/{name}/disable` | lets every call pass | `ttl` |
/// | `/admin/breakers/{name}/shadow` | the same, and counts what it would have done | `ttl` |
/// | `/admin/breakers/{name}/clear` | takes the override away | |
/// | `/admin/maintenance` | announces maintenance | `duration`; `component`, or else it is the whole system's |
/// | `/admin/maintenance/end` | ends it before it is due | `component` |
/// | `/admin/checks/{name}/refresh` | runs a check now, and waits for what it gives | |
///
/// ```sh
/// curl http://localhost:8000/admin/breakers/storage/force-open \
///   --header "Authorization: Bearer $TOKEN" --json '{
///     "actor": "anna", "reason": "moving to another disk", "ttl": "10m" }'
/// ```
///
/// A request needs the bearer token, `Content-Type: application/json`, and a `Host` of the list, so
/// that no web page can make a browser send it: neither by a form, nor by a name that is bound to
/// this machine. Each thing that is done is kept, secrets in `actor` and `reason` masked: see
/// [`AvailabilityMonitor::audit`](avail_core::AvailabilityMonitor::audit). It is answered once the
/// record is on the disk, or half a second has passed.
///
/// ```
/// # #[tokio::main(flavor = "current_thread")] async fn main() -> Result<(), Box<dyn std::error::Error>> {
/// # use avail_core::AvailabilityMonitor;
/// use avail_http::{Admin, Server};
///
/// # let monitor = AvailabilityMonitor::builder().start().await?;
/// let admin = Admin::new("s3cret")?.hosts(["localhost:8000", "ops.example.org"]);
/// let server = Server::new(&monitor).admin(admin).listen("127.0.0.1:0").start()?;
/// # server.shutdown().await;
/// # Ok(()) }
/// ```
#[derive(Clone, Debug)]
pub struct Admin {
    token: Token,
    hosts: Hosts,
}

impl Admin {
    /// For whoever shows this bearer token. It need not be the one that shows details.
    ///
    /// # Errors
    ///
    /// [`NoToken`] where it is empty: everybody could do everything.
    pub fn new(token: impl AsRef<str>) -> Result<Self, NoToken> {
        let token = Token::new(token.as_ref().trim()).ok_or(NoToken)?;
        Ok(Admin { token, hosts: Hosts::default() })
    }

    /// Which hosts a request may name: `host:port`, or `host` for every port. It takes the place of
    /// the default, which is `localhost`, `127.0.0.1` and `[::1]`, with the port that a
    /// [`Server`](crate::Server) listens on.
    pub fn hosts<I, H>(mut self, hosts: I) -> Self
    where
        I: IntoIterator<Item = H>,
        H: AsRef<str>,
    {
        self.hosts = Hosts::of(hosts);
        self
    }

    pub(crate) fn listening_on(mut self, port: u16) -> Self {
        self.hosts.listening_on(port);
        self
    }
}

/// The routes that change something can't be switched on without a token.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("the admin routes need a token, and this one is empty: everybody could use them")]
pub struct NoToken;

/// Whether it is for us to answer.
pub(crate) fn is_admin(path: &str) -> bool {
    path == "/admin" || path.starts_with("/admin/")
}

#[cfg(test)]
mod tests;
