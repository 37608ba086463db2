//! What the service manager systemd wants to know (cargo feature `systemd`): that the service is
//! ready, what it is doing, that it stops, and that it still lives.
//!
//! | told | when |
//! |---|---|
//! | `READY=1` | every critical check has passed once |
//! | `STATUS=…` | in one line, when that has changed, at most once a second |
//! | `STOPPING=1` | draining begins, or the monitor stops |
//! | `WATCHDOG=1` | twice in each `WatchdogSec`, while `/liveness` would say alive |
//!
//! ```ini
//! [Service]
//! Type=notify
//! WatchdogSec=30s
//! Restart=on-failure
//! TimeoutStartSec=infinity
//! ```
//!
//! A service whose dependency is down when the machine starts is not ready before that is up. By
//! default systemd ends it after 90 s of that: `TimeoutStartSec` says for how long it may wait.
//!
//! It is told by a thread of its own, so that nothing that the service does can hold it up; and the
//! liveness is that of the runtime's heartbeat, so that a runtime that is blocked is not fed for.
//! That is noticed after 30 s, and the service then ended after `WatchdogSec`. The protocol is that
//! of [`sd_notify(3)`](https://www.freedesktop.org/software/systemd/man/latest/sd_notify.html).
//!
//! Not started by systemd, without `NOTIFY_SOCKET`, and on other systems than Unix it does nothing.

#[cfg(unix)]
mod course;
#[cfg(unix)]
mod settings;
#[cfg(unix)]
mod thread;

use std::io;
use std::thread::JoinHandle;

use crate::monitor::AvailabilityMonitor;

/// Tells systemd from now on, until the monitor is stopped.
///
/// ```
/// # #[tokio::main(flavor = "current_thread")] async fn main() -> Result<(), Box<dyn std::error::Error>> {
/// use avail_core::{AvailabilityMonitor, systemd};
///
/// let monitor = AvailabilityMonitor::builder().start().await?;
/// let systemd = systemd::spawn(&monitor)?;
/// // … serve …
/// monitor.stop().await;
/// systemd.join();
/// # Ok(()) }
/// ```
///
/// # Errors
///
/// [`SystemdError`] where the environment can't be understood, or there is no socket or thread to be
/// had.
pub fn spawn(monitor: &AvailabilityMonitor) -> Result<Notifier, SystemdError> {
    #[cfg(unix)]
    let thread = match settings::Settings::from_environment()? {
        Some(settings) => Some(thread::start(monitor, settings)?),
        None => None,
    };
    #[cfg(not(unix))]
    let thread = {
        let _ = monitor;
        None
    };
    Ok(Notifier { thread })
}

/// What [`spawn`] has begun. Dropping it stops nothing.
#[derive(Debug)]
pub struct Notifier {
    thread: Option<JoinHandle<()>>,
}

impl Notifier {
    /// Whether there is a service manager that is told.
    pub fn is_active(&self) -> bool {
        self.thread.is_some()
    }

    /// Waits until the end of the monitor has been told: a process that ends at once after
    /// [`stop`](AvailabilityMonitor::stop) may be quicker than that. Before the monitor is stopped
    /// it blocks.
    pub fn join(self) {
        if let Some(thread) = self.thread
            && thread.join().is_err()
        {
            tracing::error!("the thread that tells systemd panicked");
        }
    }
}

/// Why systemd can't be told.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum SystemdError {
    /// What `NOTIFY_SOCKET` says is no address.
    #[error(
        "NOTIFY_SOCKET is `{value}`: it is an absolute path, or on Linux `@` and the name of an \
         abstract socket"
    )]
    #[non_exhaustive]
    Address {
        /// What it says.
        value: String,
    },
    /// What `WATCHDOG_USEC` or `WATCHDOG_PID` says is no number.
    #[error("{variable} is `{value}`: it is a whole number")]
    #[non_exhaustive]
    Number {
        /// Which of them.
        variable: &'static str,
        /// What it says.
        value: String,
    },
    /// There is no socket or thread to be had.
    #[error("systemd can't be told: {0}")]
    Io(#[from] io::Error),
}
