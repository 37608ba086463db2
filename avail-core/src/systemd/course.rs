//! What is to be told next: pure, from a status and the time.

use std::fmt::Write;
use std::time::{Duration, Instant};

use crate::health::HealthStatus;
use crate::monitor::SystemStatus;

/// How often time alone is looked at, and how long a change of the status line may have to wait.
const POLL: Duration = Duration::from_secs(1);
/// However short systemd waits for a sign of life.
const SHORTEST: Duration = Duration::from_millis(1);
/// So many components are named in the status line.
const NAMED: usize = 5;

/// What has been told so far.
#[derive(Debug)]
pub(super) struct Course {
    /// How often a sign of life is due.
    sign_every: Option<Duration>,
    signed_at: Option<Instant>,
    is_ready: bool,
    is_stopping: bool,
    line: String,
    line_at: Option<Instant>,
}

impl Course {
    /// `watchdog`: how long systemd waits for a sign of life.
    pub(super) fn new(watchdog: Option<Duration>) -> Self {
        Course {
            sign_every: watchdog.map(|watchdog| (watchdog / 2).max(SHORTEST)),
            signed_at: None,
            is_ready: false,
            is_stopping: false,
            line: String::new(),
            line_at: None,
        }
    }

    /// The message that is due now, if one is.
    pub(super) fn next(&mut self, status: &SystemStatus, now: Instant) -> Option<String> {
        let mut message = String::new();
        let ends = status.draining || !status.running;
        if status.started && !ends && !self.is_ready {
            self.is_ready = true;
            message.push_str("READY=1\n");
        }
        if ends && !self.is_stopping {
            self.is_stopping = true;
            message.push_str("STOPPING=1\n");
        }
        let line = line(status);
        let waited = self.line_at.is_none_or(|at| now.saturating_duration_since(at) >= POLL);
        if line != self.line && (waited || !message.is_empty()) {
            // Writing into a string can't fail.
            let _ = writeln!(message, "STATUS={line}");
            (self.line, self.line_at) = (line, Some(now));
        }
        if status.alive && self.sign_at(now).is_some_and(|due| due <= now) {
            self.signed_at = Some(now);
            message.push_str("WATCHDOG=1\n");
        }
        (!message.is_empty()).then_some(message)
    }

    /// When to look again, if nothing happens before.
    pub(super) fn look_at(&self, now: Instant) -> Instant {
        let soon = now + self.sign_every.map_or(POLL, |every| every.min(POLL));
        // One that is overdue waits for the process to be alive again.
        let sign = self.sign_at(now).filter(|due| *due > now);
        sign.map_or(soon, |due| due.min(soon))
    }

    fn sign_at(&self, now: Instant) -> Option<Instant> {
        let every = self.sign_every?;
        Some(self.signed_at.map_or(now, |at| at + every))
    }
}

/// In one line, which changes only where something does.
fn line(status: &SystemStatus) -> String {
    let mut line = match status {
        SystemStatus { running: false, .. } => return "stopped".into(),
        SystemStatus { draining: true, .. } => "draining".into(),
        SystemStatus { started: false, .. } => "starting".into(),
        SystemStatus { status, .. } => status.to_string(),
    };
    if status.started && !status.draining && !status.ready {
        line.push_str(", not ready");
    }
    if !status.alive {
        line.push_str(", not alive");
    }
    let unwell = || {
        let all = status.components.iter();
        all.filter(|component| component.status != HealthStatus::Healthy)
    };
    for (place, component) in unwell().take(NAMED).enumerate() {
        let separator = if place == 0 { ": " } else { ", " };
        // A name is whatever the user says: it must not begin a line of its own.
        let name = component.name.replace(|c: char| c.is_control(), " ");
        let _ = write!(line, "{separator}{name} {}", component.status);
    }
    let more = unwell().skip(NAMED).count();
    if more > 0 {
        let _ = write!(line, " and {more} more");
    }
    line
}

#[cfg(all(test, feature = "test-util"))]
mod tests;
