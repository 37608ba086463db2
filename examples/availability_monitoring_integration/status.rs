//! What the service says while it runs: a line of status, and each thing that happens.

use std::fmt::Display;
use std::io::Write;
use std::sync::atomic::Ordering::Relaxed; // counters that guard no other memory
use std::time::Duration;

use avail::{AvailabilityMonitor, Event, Incident, Window};
use tokio::sync::broadcast::error::RecvError;
use tokio::time::{MissedTickBehavior, interval};

use crate::load::Tally;

/// How often a line of status is shown.
const BETWEEN_LINES: Duration = Duration::from_secs(2);

/// Prints a line. That nobody reads it any more, as behind `| head`, is no reason to end.
pub fn say(line: impl Display) {
    let _ = writeln!(std::io::stdout(), "{line}");
}

/// A line of status every two seconds, for ever.
pub async fn report(monitor: &AvailabilityMonitor, tally: &Tally) {
    let mut ticks = interval(BETWEEN_LINES);
    ticks.set_missed_tick_behavior(MissedTickBehavior::Delay);
    loop {
        ticks.tick().await;
        say(line(monitor, tally));
    }
}

fn line(monitor: &AvailabilityMonitor, tally: &Tally) -> String {
    let status = monitor.status();
    let all_time = monitor.availability_metrics(Window::ALL_TIME);
    let breakers = monitor.breakers().iter();
    let breakers = breakers.map(|breaker| format!("{} {}", breaker.name(), breaker.state()));
    format!(
        "{:5.1} s  {:9}  {:>7} % available  breakers: {}  incidents: {} open  queries: {} full, {} \
         partial, {} failed  ingests: {}, {} failed",
        monitor.uptime().as_secs_f64(),
        status.status,
        all_time.percentage_text(),
        breakers.collect::<Vec<_>>().join(", "),
        status.active_incidents,
        tally.full.load(Relaxed),
        tally.partial.load(Relaxed),
        tally.failed.load(Relaxed),
        tally.stored.load(Relaxed),
        tally.not_stored.load(Relaxed),
    )
}

/// A line for each thing that happens, until the monitor stops.
pub async fn narrate(monitor: &AvailabilityMonitor) {
    let mut events = monitor.subscribe();
    loop {
        let told = match events.recv().await {
            Ok(event) => tell(&event),
            Err(RecvError::Lagged(missed)) => Some(format!("{missed} events were missed")),
            Err(RecvError::Closed) => return,
        };
        if let Some(told) = told {
            say(format_args!("{:5.1} s  -> {told}", monitor.uptime().as_secs_f64()));
        }
    }
}

fn tell(event: &Event) -> Option<String> {
    Some(match event {
        Event::Started => "started: every critical check has passed".into(),
        Event::StatusChanged { component, from, to, error, .. } => {
            let error = error.as_ref().map_or_else(String::new, |error| format!(": {error}"));
            format!("{component} was {from}, is {to}{error}")
        }
        Event::BreakerChanged(change) => {
            format!("breaker {} was {}, is {}", change.breaker, change.from, change.to)
        }
        Event::IncidentOpened(incident) => tell_incident(incident, "opened"),
        Event::IncidentReopened(incident) => tell_incident(incident, "opened again"),
        Event::IncidentRaised(incident) => tell_incident(incident, "raised"),
        Event::IncidentResolved(incident) => tell_incident(incident, "resolved"),
        Event::Draining => "draining: not ready any more".into(),
        _ => return None,
    })
}

fn tell_incident(incident: &Incident, step: &str) -> String {
    let Incident { component, severity, duration_seconds, .. } = incident;
    format!("incident of {component} {step}: {severity}, {duration_seconds:.1} s")
}
