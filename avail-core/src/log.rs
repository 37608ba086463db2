//! Log lines for people, of what the feature `tracing` says in structured events instead: one fact
//! is never told twice.

use std::fmt::Display;
use std::path::Path;

use crate::availability::ledger::Fact;
use crate::breaker::{BreakerEvent, Cause, Mode};

pub(crate) fn breaker(event: &BreakerEvent) {
    let BreakerEvent { breaker, from, to, cause, .. } = event;
    if let Cause::Overridden { kind, actor, reason, .. } = cause {
        tracing::warn!(
            %breaker, %kind, %reason, %actor, "an override was laid over a circuit breaker"
        );
    }
    if from != to {
        tracing::info!(%breaker, %from, %to, ?cause, "a circuit breaker changed");
    }
}

pub(crate) fn mode(from: Mode, to: Mode) {
    tracing::warn!(%from, %to, "the mode of all circuit breakers was set");
}

pub(crate) fn fact(fact: &Fact) {
    match fact {
        Fact::State { .. } => {}
        Fact::Status { component, from, to, error } => {
            tracing::info!(%component, %from, %to, error, "the status of a component changed");
        }
        Fact::Incident { step, incident } => tracing::warn!(
            component = %incident.component, severity = %incident.severity,
            duration_seconds = incident.duration_seconds, error = incident.error,
            "an incident was {}", step.as_str()
        ),
        Fact::Maintenance { ended: false, maintenance } => tracing::info!(
            component = maintenance.component.as_deref(), until = %maintenance.end_time,
            reason = %maintenance.reason, "a maintenance is announced"
        ),
        Fact::Maintenance { ended: true, maintenance } => {
            tracing::info!(component = maintenance.component.as_deref(), "a maintenance is over");
        }
        Fact::Flapping { component, ended: false } => {
            tracing::warn!(%component, "a component is flapping");
        }
        Fact::Flapping { component, ended: true } => {
            tracing::info!(%component, "a component has calmed down");
        }
        Fact::Started => tracing::info!("every critical check has passed: started"),
    }
}

pub(crate) fn readiness(ready: bool) {
    tracing::info!(ready, "readiness was switched by hand");
}

pub(crate) fn draining() {
    tracing::info!("draining: not ready from now on");
}

pub(crate) fn fatal(reason: &str) {
    tracing::error!(reason, "the process was said to be beyond repair: not alive from now on");
}

/// It can't be opened, for another process has it or the disk does.
pub(crate) fn history_not_opened(path: &Path, error: &dyn Display) {
    tracing::error!(path = %path.display(), %error, "going on without a history");
}

pub(crate) fn history_not_written(path: &Path, error: &dyn Display) {
    tracing::error!(
        path = %path.display(), %error, "the history can't be written; it goes on in memory"
    );
}

pub(crate) fn history_not_compacted(path: &Path, error: &dyn Display) {
    tracing::error!(
        path = %path.display(), %error, "the history can't be made smaller; nothing of it is lost"
    );
}

pub(crate) fn history_recovered(path: &Path) {
    tracing::info!(path = %path.display(), "the history is written again");
}
