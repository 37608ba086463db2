//! What happens, as structured [`tracing`] events (cargo feature `tracing`): for whoever counts,
//! routes or searches log lines by their fields.
//!
//! Each has the target [`TARGET`], and its name both as the name of the event and as the field
//! `event`. Without the feature the same facts are log lines of the module that they come from,
//! with fields that may change.
//!
//! | event | level | when | fields beside `event` |
//! |---|---|---|---|
//! | `breaker_tripped` | warn | a rule tripped a circuit breaker, or a probe failed | those of a breaker, `rule`, `open_seconds` |
//! | `breaker_changed` | info | it went to another state otherwise | those of a breaker |
//! | `breaker_would_trip` | info | in shadow, it would have been tripped | those of a breaker, `rule` |
//! | `breaker_overridden` | warn | an operator laid an override over it | those of a breaker, `kind`, `actor`, `reason`, `ttl_seconds` |
//! | `breaker_override_ended` | info | that was cleared, or its time ran out | those of a breaker |
//! | `breakers_mode_set` | warn | the switch for all breakers was set | `from`, `to` |
//! | `status_changed` | info | what is shown of a component changed | `component`, `from`, `to`, `error` |
//! | `incident_opened` | warn | a component went down, or its breaker opened | those of an incident |
//! | `incident_reopened` | warn | it failed again so soon that it is the same incident | those of an incident |
//! | `incident_raised` | warn | it became more severe | those of an incident |
//! | `incident_adopted` | info | it follows from another one, which was noticed later | those of an incident |
//! | `incident_resolved` | info | it is over | those of an incident |
//! | `flapping_began` | warn | a component changes too often | `component` |
//! | `flapping_ended` | info | it no longer does | `component` |
//! | `maintenance_began` | info | a maintenance was announced, or given another end | `component`, `start_time`, `end_time`, `reason` |
//! | `maintenance_ended` | info | it is over | `component`, `start_time`, `end_time`, `reason` |
//! | `started` | info | every critical check has passed for the first time | |
//! | `readiness_switched` | info | somebody switched readiness off by hand, or on again | `ready` |
//! | `draining` | info | no new work is taken from now on | |
//! | `fatal` | error | somebody said that the process can't go on | `reason` |
//! | `history_degraded` | error | the history can't be opened, written or made smaller | `path`, `operation`, `error` |
//! | `history_recovered` | info | it is in order again | `path` |
//!
//! Those of a breaker are `breaker`, `component`, `critical`, `sequence`, `from`, `to` and `cause`;
//! those of an incident are `incident`, `parent`, `component`, `severity`, `class`, `error`,
//! `failures`, `start_time` and `duration_seconds`. A field without a value is left out.
//!
//! | field | type | unit, or what it says |
//! |---|---|---|
//! | `actor` | string | who laid the override over it |
//! | `breaker` | string | the circuit breaker's name |
//! | `cause` | string | `opened`, `open_time_over`, `recovery_check_passed`, `recovered`, `reset`, `overridden`, `override_cleared`, `override_expired`, `mode`, `would_open` |
//! | `class` | string | `timeout`, `failed`, `panicked`, `hung`, `open` |
//! | `component` | string | its name; of a maintenance of the whole system it is left out |
//! | `critical` | bool | whether the breaker is declared critical |
//! | `duration_seconds` | f64 | seconds of down time so far |
//! | `end_time` | string | RFC 3339, UTC, milliseconds |
//! | `error` | string | what is wrong, in the words of the check: nothing is masked |
//! | `failures` | u64 | runs that failed, and openings of the breaker |
//! | `from`, `to` | string | of a component `healthy`, `degraded`, `unhealthy`, `unknown`; of a breaker `closed`, `open`, `half_open`; of all breakers `on`, `shadow`, `off` |
//! | `incident` | string | its id, which sorts by time |
//! | `kind` | string | `forced_open`, `disabled`, `shadow` |
//! | `open_seconds` | f64 | seconds before a call may probe |
//! | `operation` | string | `open`, `write`, `compact` |
//! | `parent` | string | the id of the incident that it follows from |
//! | `path` | string | the history's file |
//! | `ready` | bool | whether readiness is switched on |
//! | `reason` | string | why, in the words of whoever did it |
//! | `rule` | string | `consecutive_failures`, `failure_rate`, `slow_call_rate`, `recovery_check_failed`, `probe_failed`, `probe_expired`, `tripped` |
//! | `sequence` | u64 | counts the breaker's changes from 1; those that no event tells leave gaps |
//! | `severity` | string | `minor`, `major`, `critical` |
//! | `start_time` | string | RFC 3339, UTC, milliseconds |
//! | `ttl_seconds` | f64 | seconds until the override ends by itself |

use std::fmt::Display;
use std::path::Path;

use chrono::{DateTime, SecondsFormat, Utc};

use crate::availability::ledger::{Fact, IncidentStep};
use crate::availability::{Incident, Maintenance};
use crate::breaker::{BreakerEvent, Cause, Mode};

/// The target of every event here: in an `EnvFilter`, `avail=info`.
pub const TARGET: &str = "avail";

macro_rules! event {
    ($level:ident, $name:literal, $($rest:tt)*) => {
        tracing::$level!(name: $name, target: TARGET, event = $name, $($rest)*)
    };
}

macro_rules! breaker_event {
    ($level:ident, $name:literal, $of:ident, $($rest:tt)*) => {
        event!(
            $level, $name,
            breaker = &*$of.breaker, component = &*$of.component, critical = $of.critical,
            sequence = $of.sequence, from = $of.from.as_str(), to = $of.to.as_str(),
            cause = $of.cause.as_str(), $($rest)*
        )
    };
}

pub(crate) fn breaker(event: &BreakerEvent) {
    match &event.cause {
        Cause::Opened { reason, for_at_least } => breaker_event!(
            warn,
            "breaker_tripped",
            event,
            rule = reason.as_str(),
            open_seconds = for_at_least.as_secs_f64(),
            "a circuit breaker opened: {reason}"
        ),
        Cause::WouldOpen { reason } => breaker_event!(
            info,
            "breaker_would_trip",
            event,
            rule = reason.as_str(),
            "a circuit breaker would have opened: {reason}"
        ),
        Cause::Overridden { kind, actor, reason, ttl } => breaker_event!(
            warn,
            "breaker_overridden",
            event,
            kind = kind.as_str(),
            actor = &**actor,
            reason = &**reason,
            ttl_seconds = ttl.map(|ttl| ttl.as_secs_f64()),
            "an override was laid over a circuit breaker"
        ),
        Cause::OverrideCleared | Cause::OverrideExpired => {
            breaker_event!(info, "breaker_override_ended", event, "{}", event.cause);
        }
        // The mode of all, and a reset of one that is closed, change nothing that calls meet.
        _ if event.from == event.to => {}
        _ => breaker_event!(info, "breaker_changed", event, "{}", event.cause),
    }
}

pub(crate) fn mode(from: Mode, to: Mode) {
    event!(
        warn,
        "breakers_mode_set",
        from = from.as_str(),
        to = to.as_str(),
        "the mode of all circuit breakers was set"
    );
}

pub(crate) fn fact(fact: &Fact) {
    match fact {
        Fact::State { .. } => {}
        Fact::Status { component, from, to, error } => event!(
            info,
            "status_changed",
            component = &**component,
            from = from.as_str(),
            to = to.as_str(),
            error = error.as_deref(),
            "the status of a component changed"
        ),
        Fact::Incident { step, incident } => of_incident(*step, incident),
        Fact::Maintenance { ended, maintenance } => of_maintenance(*ended, maintenance),
        Fact::Flapping { component, ended: false } => {
            event!(warn, "flapping_began", component = &**component, "a component is flapping");
        }
        Fact::Flapping { component, ended: true } => {
            event!(info, "flapping_ended", component = &**component, "a component has calmed down");
        }
        Fact::Started => event!(info, "started", "every critical check has passed: started"),
    }
}

macro_rules! incident_event {
    ($level:ident, $name:literal, $of:ident, $step:ident) => {
        event!(
            $level,
            $name,
            incident = &*$of.id,
            parent = $of.parent.as_deref(),
            component = &*$of.component,
            severity = $of.severity.as_str(),
            class = $of.class.map(|class| class.as_str()),
            error = $of.error.as_deref(),
            failures = $of.failures,
            start_time = time($of.start_time),
            duration_seconds = $of.duration_seconds,
            "an incident was {}",
            $step.as_str()
        )
    };
}

fn of_incident(step: IncidentStep, incident: &Incident) {
    match step {
        IncidentStep::Opened => incident_event!(warn, "incident_opened", incident, step),
        IncidentStep::Reopened => incident_event!(warn, "incident_reopened", incident, step),
        IncidentStep::Raised => incident_event!(warn, "incident_raised", incident, step),
        IncidentStep::Adopted => incident_event!(info, "incident_adopted", incident, step),
        IncidentStep::Resolved => incident_event!(info, "incident_resolved", incident, step),
    }
}

macro_rules! maintenance_event {
    ($name:literal, $of:ident, $message:literal) => {
        event!(
            info,
            $name,
            component = $of.component.as_deref(),
            start_time = time($of.start_time),
            end_time = time($of.end_time),
            reason = &*$of.reason,
            $message
        )
    };
}

fn of_maintenance(ended: bool, maintenance: &Maintenance) {
    match ended {
        false => {
            maintenance_event!("maintenance_began", maintenance, "a maintenance is announced");
        }
        true => maintenance_event!("maintenance_ended", maintenance, "a maintenance is over"),
    }
}

fn time(at: DateTime<Utc>) -> String {
    at.to_rfc3339_opts(SecondsFormat::Millis, true)
}

pub(crate) fn readiness(ready: bool) {
    event!(info, "readiness_switched", ready, "readiness was switched by hand");
}

pub(crate) fn draining() {
    event!(info, "draining", "draining: not ready from now on");
}

pub(crate) fn fatal(reason: &str) {
    event!(
        error,
        "fatal",
        reason,
        "the process was said to be beyond repair: not alive from now on"
    );
}

/// It can't be opened, for another process has it or the disk does.
pub(crate) fn history_not_opened(path: &Path, error: &dyn Display) {
    history_degraded(path, "open", error);
}

pub(crate) fn history_not_written(path: &Path, error: &dyn Display) {
    history_degraded(path, "write", error);
}

pub(crate) fn history_not_compacted(path: &Path, error: &dyn Display) {
    history_degraded(path, "compact", error);
}

fn history_degraded(path: &Path, operation: &'static str, error: &dyn Display) {
    let (path, error) = (path.display().to_string(), error.to_string());
    event!(error, "history_degraded", path, operation, error, "the history is degraded");
}

pub(crate) fn history_recovered(path: &Path) {
    let path = path.display().to_string();
    event!(info, "history_recovered", path, "the history is written again");
}

#[cfg(all(test, feature = "test-util"))]
pub(crate) mod tests;
