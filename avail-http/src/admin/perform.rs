//! Doing what was asked for, and keeping a record of it.

use std::time::Duration;

use avail_core::{
    AuditRecord, CircuitBreaker, HealthCheckResult, Maintenance, MonitorError, Override,
    OverrideOptions,
};
use chrono::{DateTime, Utc};
use http::StatusCode;
use serde_json::{Value, json};

use super::action::{Action, What};
use super::gate::{Command, refuse};
use crate::HealthEndpoints;
use crate::answer::Answer;
use crate::body::{ComponentBody, stamp};
use crate::quote::{Quoted, defused};
use crate::security::Caller;

/// How long an answer waits for the record of what was done: an operator must be able to act while
/// the disk is stuck.
const KEPT_WITHIN: Duration = Duration::from_millis(500);
/// How often it is looked whether the record is there.
const GLANCE: Duration = Duration::from_millis(1);

/// An operator's wish, and from where it came.
#[derive(Debug)]
pub(super) struct Performance<'a> {
    pub(super) endpoints: &'a HealthEndpoints,
    pub(super) action: Action,
    pub(super) caller: Option<String>,
}

impl Performance<'_> {
    /// Does it, and says what is in force now.
    pub(super) async fn perform(self) -> Answer {
        match self.action.what.clone() {
            What::Breaker { name, command, ttl } => self.command(&name, command, ttl).await,
            What::Maintain { component, duration } => {
                self.maintain(component.as_deref(), duration).await
            }
            What::EndMaintenance { component } => self.end_maintenance(component.as_deref()).await,
            What::Refresh { name } => self.refresh(&name).await,
        }
    }

    async fn command(&self, name: &str, command: Command, ttl: Option<Duration>) -> Answer {
        let breakers = self.endpoints.breakers();
        let Some(breaker) = breakers.get(name) else {
            let names: Vec<_> = breakers.iter().map(|one| one.name().to_owned()).collect();
            let error = format!("there is no circuit breaker {}", Quoted(name));
            return not_found(&json!({ "error": error, "circuit_breakers": names }));
        };
        self.apply(&breaker, command, ttl);
        let active = breaker.active_override();
        let until = active.as_ref().and_then(|active| active.until);
        // One that is over already had an end, too.
        let until = ttl.and(until.or_else(|| Some(self.endpoints.status().timestamp)));
        self.record(command.as_str(), Some(name), until).await;
        self.in_force(
            command.as_str(),
            json!({
                "breaker": breaker.name(), "state": breaker.state(), "override": active,
            }),
        )
    }

    fn apply(&self, breaker: &CircuitBreaker, command: Command, ttl: Option<Duration>) {
        let lay = |kind| {
            let mut options = OverrideOptions::reason(&self.action.reason);
            options.actor.clone_from(&self.action.actor);
            options.ttl = ttl;
            breaker.set_override(kind, options);
        };
        match command {
            Command::Reset => breaker.reset(),
            Command::Trip => breaker.trip(),
            Command::Clear => breaker.clear_override(),
            Command::ForceOpen => lay(Override::ForcedOpen),
            Command::Disable => lay(Override::Disabled),
            Command::Shadow => lay(Override::Shadow),
        }
    }

    async fn maintain(&self, component: Option<&str>, duration: Duration) -> Answer {
        let reason = self.action.reason.as_str();
        match self.endpoints.monitor().maintenance(component, duration, reason) {
            Ok(announced) => {
                self.record("maintenance", component, Some(announced.end_time)).await;
                self.in_force("maintenance", json!({ "maintenance": written(&announced) }))
            }
            Err(error) => not_found(&json!({ "error": defused(&error.to_string()) })),
        }
    }

    async fn end_maintenance(&self, component: Option<&str>) -> Answer {
        let monitor = self.endpoints.monitor();
        let ended = monitor.end_maintenance(component);
        let left: Vec<_> = monitor.maintenances().iter().map(written).collect();
        if ended {
            self.record("end_maintenance", component, None).await;
            return self.in_force("end_maintenance", json!({ "maintenances": left }));
        }
        let whose = component.map_or("the whole system".into(), |name| Quoted(name).to_string());
        let error = format!("no maintenance of {whose} is under way");
        not_found(&json!({ "error": error, "maintenances": left }))
    }

    async fn refresh(&self, name: &str) -> Answer {
        let monitor = self.endpoints.monitor();
        if monitor.status().component(name).is_some() {
            // Before it is waited for: whoever asked may go away meanwhile.
            self.record("refresh", Some(name), None).await;
        }
        match monitor.refresh(name).await {
            Ok(result) => self.refreshed(&result),
            Err(error @ (MonitorError::Unfinished { .. } | MonitorError::Stopped)) => {
                refuse(StatusCode::CONFLICT, &defused(&error.to_string()))
            }
            Err(error) => not_found(&json!({ "error": defused(&error.to_string()) })),
        }
    }

    fn refreshed(&self, run: &HealthCheckResult) -> Answer {
        let (sight, status) = (self.endpoints.sight(Caller::Authorized), self.endpoints.status());
        let shown = status.component(&run.component);
        let shown = shown.map(|one| ComponentBody::of(one, status.timestamp, sight));
        let body = json!({
            "check": run.component,
            "run": {
                "status": run.status, "class": run.class,
                "error": sight.text(run.error.as_deref()),
                "latency_seconds": run.latency.as_secs_f64(),
            },
            "component": shown,
        });
        self.in_force("refresh", body)
    }

    /// Keeps a record, and gives it time to reach the disk: what an operator is told is done is not
    /// forgotten, even where the process is killed the moment after.
    async fn record(&self, action: &str, target: Option<&str>, until: Option<DateTime<Utc>>) {
        let Action { actor, reason, .. } = &self.action;
        let mut record = AuditRecord::new(actor, action, reason);
        record.target = target.map(str::to_owned);
        record.until = until;
        record.caller.clone_from(&self.caller);
        let monitor = self.endpoints.monitor();
        monitor.record_audit(record);
        let told = monitor.history().records;
        let is_waiting = || {
            let history = monitor.history();
            history.path.is_some() && history.error.is_none() && history.synced_records < told
        };
        let kept = async {
            while is_waiting() {
                tokio::time::sleep(GLANCE).await;
            }
        };
        let _ = tokio::time::timeout(KEPT_WITHIN, kept).await;
    }

    fn in_force(&self, action: &str, mut body: Value) -> Answer {
        body["action"] = action.into();
        body["timestamp"] = stamp(self.endpoints.status().timestamp).into();
        Answer::json(StatusCode::OK, &body)
    }
}

impl Command {
    /// As records and answers name it.
    fn as_str(self) -> &'static str {
        match self {
            Command::Reset => "reset",
            Command::Trip => "trip",
            Command::ForceOpen => "force_open",
            Command::Disable => "disable",
            Command::Shadow => "shadow",
            Command::Clear => "clear",
        }
    }
}

fn written(announced: &Maintenance) -> Value {
    json!({
        "component": announced.component, "start_time": stamp(announced.start_time),
        "end_time": stamp(announced.end_time), "reason": announced.reason,
    })
}

fn not_found(body: &Value) -> Answer {
    Answer::json(StatusCode::NOT_FOUND, body)
}
