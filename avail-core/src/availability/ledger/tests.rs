mod again;
mod flapping;
mod maintenance;
mod model;
mod parents;
mod properties;
mod system;
mod tally;
mod terms;
mod worked_example;

use proptest::prelude::*;

use super::*;
use crate::availability::{AvailabilityMetrics, Window};
use crate::health::{HealthStatus, Probe, Schedule};

const DB: &str = "db";

fn at(seconds: f64) -> Moment {
    Moment((seconds * 1000.0) as i64)
}

fn seconds(seconds: u64) -> Duration {
    Duration::from_secs(seconds)
}

fn schedule(failure_threshold: u32, success_threshold: u32) -> Schedule {
    Schedule {
        interval: seconds(10),
        timeout: seconds(2),
        degraded_after: seconds(1),
        retry_interval: seconds(2),
        initial_delay: Duration::ZERO,
        failure_threshold,
        success_threshold,
    }
}

fn terms(critical: bool, schedule: Schedule) -> CheckTerms {
    CheckTerms {
        critical,
        probe: Probe::Readiness,
        schedule: Some(schedule),
        ..CheckTerms::by_hand()
    }
}

/// A ledger that began at 0, with one critical check `db`.
fn with_db(failure_threshold: u32, success_threshold: u32) -> Ledger {
    let mut ledger = Ledger::new(at(0.0));
    ledger.begin(at(0.0), Duration::ZERO, None);
    let schedule = schedule(failure_threshold, success_threshold);
    ledger.join_check(&DB.into(), terms(true, schedule), at(0.0));
    ledger.all_have_joined(at(0.0));
    ledger
}

/// A run of the component's check that took a tenth of a second.
fn run(ledger: &mut Ledger, component: &str, started: f64, status: HealthStatus) {
    let failed = status == HealthStatus::Unhealthy;
    let result = HealthCheckResult {
        component: component.into(),
        status,
        latency: Duration::from_millis(100),
        timestamp: at(started).to_datetime(),
        error: failed.then(|| format!("failed at {started}")),
        class: failed.then_some(FailureClass::Failed),
        details: serde_json::Map::new(),
    };
    ledger.record(result, at(started + 0.1));
}

/// `+` good, `~` slow, `-` failed: one run every ten seconds, from 0 on.
fn runs(ledger: &mut Ledger, component: &str, runs: &str) {
    for (index, run_is) in runs.chars().enumerate() {
        let status = match run_is {
            '+' => HealthStatus::Healthy,
            '~' => HealthStatus::Degraded,
            _ => HealthStatus::Unhealthy,
        };
        run(ledger, component, index as f64 * 10.0, status);
    }
}

fn all_time(ledger: &Ledger, component: &str, now: f64) -> AvailabilityMetrics {
    let [metrics] = ledger
        .component_metrics(component, [Window::ALL_TIME], at(now))
        .expect("the component is known");
    metrics
}

fn system(ledger: &Ledger, now: f64) -> AvailabilityMetrics {
    let [metrics] = ledger.system_metrics([Window::ALL_TIME], at(now));
    metrics
}

fn incidents(ledger: &Ledger, now: f64) -> Vec<Incident> {
    ledger.incidents(Window::ALL_TIME, at(now))
}

/// What is shown of the first component.
fn shown(ledger: &Ledger) -> Option<HealthStatus> {
    ledger.present().next().map(|component| component.shown)
}

fn opened(component: &str, critical: bool, sequence: u64, when: f64) -> BreakerEvent {
    let cause = Cause::opened_for(seconds(30));
    breaker_event(component, critical, sequence, when, CircuitState::Open, cause)
}

fn breaker_event(
    component: &str,
    critical: bool,
    sequence: u64,
    when: f64,
    to: CircuitState,
    cause: Cause,
) -> BreakerEvent {
    let from = if to == CircuitState::Open { CircuitState::Closed } else { CircuitState::HalfOpen };
    BreakerEvent {
        breaker: component.into(),
        component: component.into(),
        sequence,
        at: at(when).to_datetime(),
        from,
        to,
        cause,
        critical,
    }
}

fn any_status() -> impl Strategy<Value = HealthStatus> {
    prop_oneof![
        4 => Just(HealthStatus::Healthy),
        1 => Just(HealthStatus::Degraded),
        3 => Just(HealthStatus::Unhealthy),
    ]
}

#[test]
fn downtime_starts_with_the_first_failing_run_and_ends_with_the_first_good_one() {
    let mut ledger = with_db(3, 2);
    runs(&mut ledger, DB, "+++---++");
    let db = all_time(&ledger, DB, 80.0);
    assert_eq!(db.downtime_seconds, 30.0, "from 30 to 60");
    assert_eq!((db.incidents, db.mttr), (1, Some(30.0)));
    let [incident] = &incidents(&ledger, 80.0)[..] else { panic!("one incident") };
    assert_eq!(incident.start_time, at(30.0).to_datetime());
    assert_eq!(incident.detected_at, at(50.1).to_datetime());
    assert_eq!(incident.end_time, Some(at(60.0).to_datetime()));
    assert_eq!((incident.duration_seconds, incident.failures), (30.0, 3));
    assert_eq!(incident.error.as_deref(), Some("failed at 50"));
    assert!(incident.resolved);
}

#[test]
fn a_streak_below_the_threshold_is_no_downtime_anywhere() {
    let mut ledger = with_db(3, 1);
    runs(&mut ledger, DB, "+--+--+");
    assert_eq!(all_time(&ledger, DB, 70.0).downtime_seconds, 0.0);
    assert_eq!(system(&ledger, 70.0).downtime_seconds, 0.0);
    assert!(incidents(&ledger, 70.0).is_empty());
    assert!(!ledger.is_undecided(DB));
    run(&mut ledger, DB, 70.0, HealthStatus::Unhealthy);
    assert!(ledger.is_undecided(DB));
}

#[test]
fn slow_runs_are_degraded_time_and_count_as_available() {
    let mut ledger = with_db(1, 1);
    runs(&mut ledger, DB, "+~~+");
    let db = all_time(&ledger, DB, 40.0);
    assert_eq!((db.degraded_seconds, db.uptime_seconds), (20.0, 20.0));
    assert_eq!(db.availability_percentage, Some(100.0));
    assert_eq!((db.total_checks, db.successful_checks), (4, 4));
}

#[test]
fn the_system_is_down_while_any_critical_component_is_and_for_no_other() {
    let mut ledger = with_db(1, 1);
    for (name, critical) in [("queue", true), ("mail", false)] {
        ledger.join_check(&name.into(), terms(critical, schedule(1, 1)), at(0.0));
    }
    let all = [(DB, "+--+++++"), ("queue", "++--++++"), ("mail", "+++++---")];
    // In the order in which they would happen.
    for index in 0..8 {
        for (name, series) in all {
            let good = series.as_bytes()[index] == b'+';
            let status = if good { HealthStatus::Healthy } else { HealthStatus::Unhealthy };
            run(&mut ledger, name, index as f64 * 10.0, status);
        }
    }
    let whole = system(&ledger, 80.0);
    assert_eq!(whole.downtime_seconds, 30.0, "the union of 10 to 30 and 20 to 40");
    assert_eq!((whole.incidents, whole.mttr), (1, Some(30.0)));
    assert_eq!(all_time(&ledger, "mail", 80.0).downtime_seconds, 30.0);
    let severities: Vec<_> = incidents(&ledger, 80.0).iter().map(|i| i.severity).collect();
    assert_eq!(severities, [Severity::Critical, Severity::Critical, Severity::Major]);
}

#[test]
fn a_component_that_joins_or_leaves_rewrites_no_past() {
    let mut ledger = with_db(1, 1);
    runs(&mut ledger, DB, "+-+");
    let before = system(&ledger, 30.0);
    ledger.join_check(&"late".into(), terms(true, schedule(1, 1)), at(30.0));
    run(&mut ledger, "late", 30.0, HealthStatus::Unhealthy);
    assert_eq!(system(&ledger, 40.0).downtime_seconds, before.downtime_seconds + 10.0);
    ledger.leave("late", at(40.0));
    ledger.advance(at(50.0));
    assert_eq!(system(&ledger, 50.0).downtime_seconds, before.downtime_seconds + 10.0);
    assert_eq!(all_time(&ledger, "late", 50.0).downtime_seconds, 10.0, "its past stays");
    assert!(incidents(&ledger, 50.0).iter().all(|incident| incident.resolved));
}

#[test]
fn one_that_fails_again_within_a_minute_is_in_the_same_incident() {
    let mut ledger = with_db(1, 1);
    runs(&mut ledger, DB, "+--++--+");
    let listed = incidents(&ledger, 80.0);
    assert_eq!(listed.len(), 1);
    assert_eq!(listed[0].duration_seconds, 40.0, "the gap is left out");
    assert_eq!(all_time(&ledger, DB, 80.0).incidents, 1);
    assert_eq!(all_time(&ledger, DB, 80.0).mttr, Some(40.0));
}

#[test]
fn failing_before_it_has_ever_started_is_unobserved_until_the_grace_is_over() {
    let mut ledger = Ledger::new(at(0.0));
    ledger.begin(at(0.0), seconds(60), None);
    ledger.join_check(&DB.into(), terms(true, schedule(1, 1)), at(0.0));
    ledger.all_have_joined(at(0.0));
    for second in (0..60).step_by(10) {
        run(&mut ledger, DB, f64::from(second), HealthStatus::Unhealthy);
    }
    assert!(incidents(&ledger, 59.0).is_empty());
    assert_eq!(all_time(&ledger, DB, 59.0).downtime_seconds, 0.0);
    assert!(!ledger.is_started());
    ledger.advance(at(61.0));
    assert_eq!(all_time(&ledger, DB, 70.0).downtime_seconds, 10.0, "from the end of the grace");
    assert_eq!(incidents(&ledger, 70.0).len(), 1);
    run(&mut ledger, DB, 70.0, HealthStatus::Healthy);
    assert!(ledger.is_started());
    assert_eq!(incidents(&ledger, 80.0)[0].duration_seconds, 10.0);
}

#[test]
fn one_that_starts_within_the_grace_was_never_down() {
    let mut ledger = Ledger::new(at(0.0));
    ledger.begin(at(0.0), seconds(60), None);
    ledger.join_check(&DB.into(), terms(true, schedule(1, 1)), at(0.0));
    ledger.all_have_joined(at(0.0));
    runs(&mut ledger, DB, "--+-");
    let db = all_time(&ledger, DB, 40.0);
    assert_eq!((db.unobserved_seconds, db.uptime_seconds), (20.0, 10.0));
    assert_eq!(db.downtime_seconds, 10.0, "there is no grace after the start");
}

#[test]
fn silence_is_unobserved_from_when_the_next_run_was_due() {
    let mut ledger = with_db(1, 1);
    run(&mut ledger, DB, 0.0, HealthStatus::Healthy);
    ledger.advance(at(30.0));
    assert_eq!(shown(&ledger), Some(HealthStatus::Healthy));
    ledger.advance(at(30.2));
    assert_eq!(shown(&ledger), Some(HealthStatus::Unknown));
    assert_eq!(all_time(&ledger, DB, 40.0).uptime_seconds, 10.1);
    run(&mut ledger, DB, 40.0, HealthStatus::Healthy);
    assert_eq!(shown(&ledger), Some(HealthStatus::Healthy));
    let db = all_time(&ledger, DB, 50.0);
    assert_eq!((db.uptime_seconds, db.unobserved_seconds), (20.1, 29.9));
}

#[test]
fn an_incident_outlives_silence_and_goes_on() {
    let mut ledger = with_db(1, 1);
    runs(&mut ledger, DB, "+-");
    ledger.advance(at(100.0));
    run(&mut ledger, DB, 100.0, HealthStatus::Unhealthy);
    run(&mut ledger, DB, 110.0, HealthStatus::Healthy);
    let listed = incidents(&ledger, 120.0);
    assert_eq!(listed.len(), 1);
    assert!(listed[0].resolved);
    assert_eq!(listed[0].duration_seconds, 20.1, "10 to 20.1, when it was due, and 100 to 110");
}

#[test]
fn an_open_breaker_is_a_minor_incident_and_no_downtime() {
    let mut ledger = with_db(1, 1);
    run(&mut ledger, DB, 0.0, HealthStatus::Healthy);
    ledger.breaker_changed(&opened(DB, false, 1, 10.0), at(10.0));
    assert_eq!(shown(&ledger), Some(HealthStatus::Degraded));
    let recovered = Cause::Recovered;
    let closed = breaker_event(DB, false, 2, 20.0, CircuitState::Closed, recovered);
    ledger.breaker_changed(&closed, at(20.0));
    let db = all_time(&ledger, DB, 30.0);
    assert_eq!((db.degraded_seconds, db.downtime_seconds, db.incidents), (10.0, 0.0, 0));
    let [incident] = &incidents(&ledger, 30.0)[..] else { panic!("one incident") };
    assert_eq!(incident.severity, Severity::Minor);
    assert_eq!((incident.duration_seconds, incident.resolved), (10.0, true));
}

#[test]
fn a_check_that_fails_after_its_breaker_opened_makes_the_incident_worse() {
    let mut ledger = with_db(1, 1);
    run(&mut ledger, DB, 0.0, HealthStatus::Healthy);
    ledger.breaker_changed(&opened(DB, false, 1, 5.0), at(5.0));
    run(&mut ledger, DB, 10.0, HealthStatus::Unhealthy);
    run(&mut ledger, DB, 20.0, HealthStatus::Healthy);
    let [incident] = &incidents(&ledger, 30.0)[..] else { panic!("one incident") };
    assert_eq!(incident.severity, Severity::Critical);
    assert_eq!(incident.start_time, at(5.0).to_datetime());
    assert_eq!((incident.duration_seconds, incident.resolved), (10.0, true));
    assert_eq!(ledger.incident_log().opened_of(DB), [1, 0, 1]);
}

#[test]
fn a_critical_breaker_is_down_until_its_open_time_is_over() {
    let mut ledger = with_db(1, 1);
    run(&mut ledger, DB, 0.0, HealthStatus::Healthy);
    ledger.breaker_changed(&opened(DB, true, 1, 5.0), at(5.0));
    assert_eq!(shown(&ledger), Some(HealthStatus::Unhealthy));
    run(&mut ledger, DB, 10.0, HealthStatus::Healthy);
    run(&mut ledger, DB, 20.0, HealthStatus::Healthy);
    run(&mut ledger, DB, 30.0, HealthStatus::Healthy);
    ledger.advance(at(36.0));
    assert_eq!(shown(&ledger), Some(HealthStatus::Degraded));
    assert_eq!(system(&ledger, 36.0).downtime_seconds, 30.0);
    assert!(!incidents(&ledger, 36.0)[0].resolved, "its breaker has not closed");
    let closed = breaker_event(DB, true, 2, 40.0, CircuitState::Closed, Cause::Recovered);
    ledger.breaker_changed(&closed, at(40.0));
    let [incident] = &incidents(&ledger, 41.0)[..] else { panic!("one incident") };
    assert_eq!((incident.severity, incident.resolved), (Severity::Critical, true));
    assert_eq!(incident.duration_seconds, 30.0);
}

#[test]
fn a_skipped_hour_is_unobserved_for_all() {
    let mut ledger = with_db(1, 1);
    runs(&mut ledger, DB, "++");
    ledger.skip(at(15.0), at(3_615.0));
    run(&mut ledger, DB, 3_620.0, HealthStatus::Healthy);
    for metrics in [all_time(&ledger, DB, 3_630.0), system(&ledger, 3_630.0)] {
        assert_eq!(metrics.unobserved_seconds, 3_600.0);
        assert_eq!((metrics.uptime_seconds, metrics.downtime_seconds), (30.0, 0.0));
    }
}

#[test]
fn a_crash_costs_the_process_its_time_and_leaves_the_components_unobserved() {
    let mut ledger = with_db(1, 1);
    runs(&mut ledger, DB, "+++");
    ledger.begin(at(60.0), Duration::ZERO, Some((at(30.0), false)));
    ledger.join_check(&DB.into(), terms(true, schedule(1, 1)), at(60.0));
    run(&mut ledger, DB, 60.0, HealthStatus::Healthy);
    let process = all_time(&ledger, PROCESS, 70.0);
    assert_eq!((process.downtime_seconds, process.uptime_seconds), (30.0, 40.0));
    let db = all_time(&ledger, DB, 70.0);
    assert_eq!((db.unobserved_seconds, db.downtime_seconds), (30.0, 0.0));
    let whole = system(&ledger, 70.0);
    assert_eq!((whole.downtime_seconds, whole.incidents), (30.0, 1));
    let [incident] = &incidents(&ledger, 70.0)[..] else { panic!("one incident") };
    assert_eq!((&*incident.component, incident.resolved), (PROCESS, true));
    assert_eq!(incident.duration_seconds, 30.0);
}

#[test]
fn a_clean_stop_is_out_of_the_account() {
    let mut ledger = with_db(1, 1);
    runs(&mut ledger, DB, "+++");
    ledger.begin(at(60.0), Duration::ZERO, Some((at(30.0), true)));
    let whole = system(&ledger, 70.0);
    assert_eq!((whole.downtime_seconds, whole.unobserved_seconds), (0.0, 30.0));
    assert!(incidents(&ledger, 70.0).is_empty());
}

#[test]
fn an_incident_that_is_open_in_the_history_stays_open_and_gets_no_grace() {
    let mut ledger = with_db(1, 1);
    runs(&mut ledger, DB, "+--");
    ledger.begin(at(60.0), seconds(300), Some((at(30.0), false)));
    ledger.join_check(&DB.into(), terms(true, schedule(1, 1)), at(60.0));
    ledger.all_have_joined(at(60.0));
    run(&mut ledger, DB, 60.0, HealthStatus::Unhealthy);
    run(&mut ledger, DB, 70.0, HealthStatus::Healthy);
    let db = all_time(&ledger, DB, 80.0);
    assert_eq!((db.downtime_seconds, db.unobserved_seconds), (30.0, 30.0));
    assert_eq!((db.incidents, db.mttr), (1, Some(30.0)));
    let listed = incidents(&ledger, 80.0);
    let of_db: Vec<_> = listed.iter().filter(|incident| &*incident.component == DB).collect();
    assert_eq!(of_db.len(), 1);
    assert_eq!((of_db[0].duration_seconds, of_db[0].resolved), (30.0, true));
}

#[test]
fn seconds_are_final_only_when_no_later_run_can_change_them() {
    let mut ledger = with_db(2, 1);
    runs(&mut ledger, DB, "++");
    let until = |ledger: &Ledger, now| {
        ledger.present().next().map(|component| component.final_until(at(now)))
    };
    assert_eq!(until(&ledger, 19.0), Some(at(10.0)));
    run(&mut ledger, DB, 20.0, HealthStatus::Unhealthy);
    assert_eq!(until(&ledger, 29.0), Some(at(20.0)));
    run(&mut ledger, DB, 30.0, HealthStatus::Healthy);
    assert_eq!(until(&ledger, 31.0), Some(at(30.0)));
}

#[test]
fn an_incident_goes_on_within_a_minute_though_its_breaker_had_one_of_its_own_since() {
    let mut ledger = with_db(1, 1);
    runs(&mut ledger, DB, "+-+");
    ledger.breaker_changed(&opened(DB, false, 1, 22.0), at(22.0));
    let closed = breaker_event(DB, false, 2, 25.0, CircuitState::Closed, Cause::Recovered);
    ledger.breaker_changed(&closed, at(25.0));
    run(&mut ledger, DB, 30.0, HealthStatus::Unhealthy);
    run(&mut ledger, DB, 40.0, HealthStatus::Healthy);
    let listed = incidents(&ledger, 50.0);
    let with_downtime = listed.iter().filter(|incident| incident.has_downtime()).count();
    assert_eq!(with_downtime as u64, all_time(&ledger, DB, 50.0).incidents);
    assert_eq!(listed[0].duration_seconds, 20.0);
}

#[test]
fn the_incident_of_a_check_that_leaves_is_over_where_its_breaker_is_closed() {
    let mut ledger = with_db(1, 1);
    ledger.join_breaker(&DB.into(), false, at(0.0));
    runs(&mut ledger, DB, "+-");
    ledger.leave(DB, at(20.0));
    assert_eq!(shown(&ledger), Some(HealthStatus::Healthy));
    let [incident] = &incidents(&ledger, 100.0)[..] else { panic!("one incident") };
    assert_eq!((incident.resolved, incident.duration_seconds), (true, 10.0));
}

#[test]
fn what_has_left_stays_in_the_past_that_another_decides_late() {
    let mut ledger = with_db(1, 1);
    ledger.join_check(&"queue".into(), terms(true, schedule(1, 3)), at(0.0));
    run(&mut ledger, "queue", 0.0, HealthStatus::Healthy);
    runs(&mut ledger, DB, "+-");
    run(&mut ledger, "queue", 12.0, HealthStatus::Unhealthy);
    run(&mut ledger, "queue", 15.0, HealthStatus::Healthy);
    run(&mut ledger, DB, 20.0, HealthStatus::Unhealthy);
    ledger.leave(DB, at(30.0));
    let before = system(&ledger, 30.0).downtime_seconds;
    run(&mut ledger, "queue", 35.0, HealthStatus::Healthy);
    run(&mut ledger, "queue", 36.0, HealthStatus::Healthy);
    assert_eq!((before, system(&ledger, 40.0).downtime_seconds), (20.0, 20.0));
}

#[test]
fn a_failure_after_the_clock_was_set_back_is_an_incident_of_its_own() {
    let mut ledger = with_db(1, 1);
    for (second, status) in [(0.0, HealthStatus::Healthy), (90_000.0, HealthStatus::Unhealthy)] {
        run(&mut ledger, DB, second, status);
    }
    run(&mut ledger, DB, 90_010.0, HealthStatus::Healthy);
    ledger.begin(at(1_000.0), Duration::ZERO, Some((at(90_020.0), true)));
    ledger.join_check(&DB.into(), terms(true, schedule(1, 1)), at(1_000.0));
    run(&mut ledger, DB, 1_000.0, HealthStatus::Healthy);
    run(&mut ledger, DB, 1_010.0, HealthStatus::Unhealthy);
    run(&mut ledger, DB, 1_020.0, HealthStatus::Healthy);
    let [incident] = &incidents(&ledger, 1_030.0)[..] else { panic!("one incident") };
    assert_eq!(incident.start_time, at(1_010.0).to_datetime());
    assert_eq!((incident.resolved, incident.duration_seconds), (true, 10.0));
}

#[test]
fn a_component_that_is_critical_no_more_decides_nothing_for_the_system() {
    let mut ledger = with_db(1, 1);
    ledger.join_check(&"queue".into(), terms(true, schedule(1, 1)), at(0.0));
    ledger.join_breaker(&DB.into(), false, at(0.0));
    run(&mut ledger, "queue", 0.0, HealthStatus::Healthy);
    runs(&mut ledger, DB, "+-");
    ledger.leave(DB, at(20.0));
    assert_eq!(system(&ledger, 25.0).downtime_seconds, 10.0, "from 10 to 20");
    run(&mut ledger, "queue", 30.0, HealthStatus::Unhealthy);
    assert_eq!(system(&ledger, 45.0).downtime_seconds, 25.0, "and from 30 on");
}

#[test]
fn a_check_that_comes_back_and_still_fails_is_in_the_same_incident() {
    let mut ledger = with_db(1, 1);
    runs(&mut ledger, DB, "+-");
    ledger.leave(DB, at(20.0));
    ledger.join_check(&DB.into(), terms(true, schedule(1, 1)), at(200.0));
    run(&mut ledger, DB, 200.0, HealthStatus::Unhealthy);
    run(&mut ledger, DB, 210.0, HealthStatus::Healthy);
    let (db, listed) = (all_time(&ledger, DB, 220.0), incidents(&ledger, 220.0));
    assert_eq!((db.incidents, db.mttr, listed.len()), (1, Some(20.0), 1));
    assert_eq!(listed[0].duration_seconds, 20.0, "nobody looked in between");
}
