//! What a monitor shows, worked out from the ledger in one go.

use std::collections::HashMap;
use std::hash::{BuildHasherDefault, Hasher};

use super::PROCESS;
use super::inner::Inner;
use super::status::{
    ComponentSnapshot, ComponentStatus, IncidentTotals, ProcessSnapshot, Snapshot, SystemStatus,
};
use crate::availability::component::Component;
use crate::availability::incident::IncidentLog;
use crate::availability::ledger::Ledger;
use crate::availability::{Incident, Moment, StateSeconds, Window};
use crate::health::{HealthStatus, Probe};

pub(super) fn status(inner: &Inner) -> SystemStatus {
    inner.with_ledger(|ledger, now| {
        inner.join_breakers(ledger, now);
        status_of(inner, ledger, now)
    })
}

fn status_of(inner: &Inner, ledger: &Ledger, now: Moment) -> SystemStatus {
    let components: Vec<_> = ledger.present().map(|one| component(ledger, one)).collect();
    let incidents = ledger.active_incidents(now);
    let limit = inner.terms.prolonged_after.as_secs_f64();
    let prolonged = incidents.iter().filter(|incident| age(incident, now) > limit).count();
    let stuck = prolonged > 0 && inner.terms.prolonged_is_fatal;
    let switched_off = inner.is_switched_off();
    let (running, draining) = (inner.is_running(), inner.is_draining());
    let gates = |component: &&ComponentStatus| component.gates_readiness();
    let critical_up = components.iter().filter(gates).all(|component| component.status.is_up());
    let locally_dead = components.iter().any(|component| {
        component.probe == Probe::Liveness && component.status == HealthStatus::Unhealthy
    });
    let (fatal, responsive) = (inner.fatal(), inner.runtime_answers());
    SystemStatus {
        status: SystemStatus::overall(&components),
        timestamp: now.to_datetime(),
        uptime_seconds: inner.uptime().as_secs_f64(),
        availability_percentage: ledger.system_percentage(Window::HOURS_24, now),
        ready: running && !draining && !switched_off && ledger.is_started() && critical_up,
        alive: fatal.is_none() && !locally_dead && responsive && !stuck,
        responsive,
        started: ledger.is_started(),
        draining,
        switched_off,
        stuck,
        running,
        fatal,
        maintenance: ledger.maintenance().find(|one| one.component.is_none()).cloned(),
        active_incidents: incidents.len(),
        prolonged_incidents: prolonged,
        components,
    }
}

/// Seconds since it began.
fn age(incident: &Incident, now: Moment) -> f64 {
    now.since(incident.start()) as f64 / 1000.0
}

fn component(ledger: &Ledger, component: &Component) -> ComponentStatus {
    let run = component.last_run.as_ref();
    let failing = component.shown != HealthStatus::Healthy;
    ComponentStatus {
        name: component.name.clone(),
        status: component.shown,
        since: component.shown_since.to_datetime(),
        critical: component.is_critical(),
        probe: component.probe(),
        depends_on: component
            .check
            .as_ref()
            .map(|check| check.depends_on.clone())
            .unwrap_or_default(),
        tags: component.check.as_ref().map(|check| check.tags.clone()).unwrap_or_default(),
        flapping: component.flapping.is_flapping(),
        maintenance: ledger.maintenance_of(&component.name).cloned(),
        class: component.class().filter(|_| failing),
        error: run.and_then(|run| run.error.clone()).filter(|_| failing),
        details: run.map(|run| run.details.clone()).unwrap_or_default(),
        last_check: run.map(|run| run.timestamp),
        latency_seconds: run.map(|run| run.latency.as_secs_f64()),
        last_success: component.last_success.map(Moment::to_datetime),
    }
}

pub(super) fn snapshot(inner: &Inner) -> Snapshot {
    // Before the lock: what a breaker shows is its own, and costs a lock of its own.
    let breakers = inner.registry.all_metrics();
    inner.count_calls();
    inner.with_ledger(|ledger, now| {
        let target = inner.terms.target;
        let (system_seconds, seconds) = ledger.tell_seconds(now);
        let incidents = Counted::of(ledger, now);
        let status = status_of(inner, ledger, now);
        let mut components = Vec::with_capacity(status.components.len());
        let mut counted = ledger.counted_of_gone(Window::ALL, now);
        for (component, seconds) in ledger.present().zip(seconds) {
            let figures = figures(ledger, component, seconds, &incidents, target, now);
            for (sum, window) in counted.iter_mut().zip(&figures.availability) {
                *sum += window.counted();
            }
            components.push(figures);
        }
        Snapshot {
            status,
            target,
            availability: ledger.system_metrics_of(Window::ALL, counted, now),
            slo: ledger.system_slo(target, now),
            state_seconds: system_seconds,
            components,
            process: ProcessSnapshot {
                availability: ledger.process_metrics(Window::ALL, now),
                incidents: incidents.totals(PROCESS),
            },
            incidents: incidents.all,
            unrecorded_checks: inner.unrecorded(),
            breakers,
            mode: inner.registry.mode(),
            history: inner.writer().status(),
        }
    })
}

fn figures(
    ledger: &Ledger,
    component: &Component,
    state_seconds: StateSeconds,
    incidents: &Counted<'_>,
    target: f64,
    now: Moment,
) -> ComponentSnapshot {
    ComponentSnapshot {
        name: component.name.clone(),
        availability: ledger.figures_of(component, Window::ALL, now),
        slo: Ledger::slo_of(component, target, now),
        state_seconds,
        runs: component.runs,
        latency: component.latency.clone(),
        incidents: incidents.totals(&component.name),
    }
}

/// Incidents counted in one walk over them, for the system and for each component.
struct Counted<'a> {
    log: &'a IncidentLog,
    all: IncidentTotals,
    /// Of those that have one that is recent or not over.
    by_component: HashMap<&'a str, IncidentTotals, BuildHasherDefault<Fnv>>,
}

impl<'a> Counted<'a> {
    fn of(ledger: &'a Ledger, now: Moment) -> Self {
        let log = ledger.incident_log();
        let [day, week] = [Window::HOURS_24, Window::DAYS_7].map(|window| window.span(now, now));
        let mut all = IncidentTotals::ever(log.opened());
        let mut by_component: HashMap<&str, IncidentTotals, _> = HashMap::default();
        for incident in log.iter() {
            let in_week = incident.overlaps(week);
            if incident.resolved && !in_week {
                continue;
            }
            let in_day = in_week && incident.overlaps(day);
            let own = by_component.entry(&incident.component).or_default();
            for totals in [&mut all, own] {
                totals.active += usize::from(!incident.resolved);
                totals.total_24h += usize::from(in_day);
                totals.total_7d += usize::from(in_week);
            }
        }
        Counted { log, all, by_component }
    }

    fn totals(&self, component: &str) -> IncidentTotals {
        let recent = self.by_component.get(component).copied().unwrap_or_default();
        let ever = IncidentTotals::ever(self.log.opened_of(component));
        IncidentTotals {
            active: recent.active,
            total_24h: recent.total_24h,
            total_7d: recent.total_7d,
            ..ever
        }
    }
}

/// FNV-1a (<http://www.isthe.com/chongo/tech/comp/fnv/>): names are short, they are the program's
/// own, and there are thousands of look-ups for one answer.
struct Fnv(u64);

impl Default for Fnv {
    fn default() -> Self {
        Fnv(0xcbf2_9ce4_8422_2325)
    }
}

impl Hasher for Fnv {
    fn write(&mut self, bytes: &[u8]) {
        for byte in bytes {
            self.0 = (self.0 ^ u64::from(*byte)).wrapping_mul(0x0100_0000_01b3);
        }
    }

    fn finish(&self) -> u64 {
        self.0
    }
}

impl IncidentTotals {
    fn ever([minor, major, critical]: [u64; 3]) -> Self {
        IncidentTotals { minor, major, critical, ..IncidentTotals::default() }
    }
}
