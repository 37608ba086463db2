//! The thread that tells systemd.

use std::io;
use std::os::unix::net::{SocketAddr, UnixDatagram};
use std::thread::{Builder, JoinHandle};
use std::time::{Duration, Instant};

use tokio::sync::broadcast;
use tokio::time::timeout_at;

use super::course::Course;
use super::settings::Settings;
use crate::monitor::{AvailabilityMonitor, Event};

/// How long a message may have to wait for room.
const PATIENCE: Duration = Duration::from_secs(1);

pub(super) fn start(
    monitor: &AvailabilityMonitor,
    settings: Settings,
) -> io::Result<JoinHandle<()>> {
    let socket = UnixDatagram::unbound()?;
    socket.set_write_timeout(Some(PATIENCE))?;
    let line = Line { socket, address: settings.address, is_broken: false };
    let course = Course::new(settings.watchdog);
    // The application's own may be blocked, or gone.
    let runtime = tokio::runtime::Builder::new_current_thread().enable_time().build()?;
    // Before the thread begins, so that it hears of whatever comes after this.
    let (monitor, events) = (monitor.clone(), monitor.subscribe());
    let work = move || runtime.block_on(keep_telling(&monitor, events, line, course));
    Builder::new().name("avail-systemd".into()).spawn(work)
}

async fn keep_telling(
    monitor: &AvailabilityMonitor,
    mut events: broadcast::Receiver<Event>,
    mut line: Line,
    mut course: Course,
) {
    loop {
        // What was told so far is in the status.
        events = events.resubscribe();
        let (status, now) = (monitor.status(), Instant::now());
        if let Some(message) = course.next(&status, now) {
            line.send(&message);
        }
        if !status.running {
            return;
        }
        // An error says that it is time to look without an event.
        let _ = timeout_at(course.look_at(now).into(), something_happened(&mut events)).await;
    }
}

/// A run alone changes nothing here; what follows from it comes as an event of its own.
async fn something_happened(events: &mut broadcast::Receiver<Event>) {
    while let Ok(Event::CheckCompleted(_)) = events.recv().await {}
}

/// The way to systemd.
struct Line {
    socket: UnixDatagram,
    address: SocketAddr,
    is_broken: bool,
}

impl Line {
    /// One that fails is lost; the first of a row is logged.
    fn send(&mut self, message: &str) {
        let sent = self.socket.send_to_addr(message.as_bytes(), &self.address);
        let was_broken = std::mem::replace(&mut self.is_broken, sent.is_err());
        if let Err(error) = sent
            && !was_broken
        {
            tracing::warn!(%error, "systemd could not be told");
        }
    }
}
