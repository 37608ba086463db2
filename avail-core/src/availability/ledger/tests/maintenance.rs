//! Announced maintenance.

use super::*;

fn begin(ledger: &mut Ledger, component: Option<&str>, from: f64, until: f64) {
    ledger.advance(at(from));
    ledger.begin_maintenance(component.map(Arc::from).as_ref(), at(until), "disk".into(), at(from));
}

/// Runs of `db` every ten seconds: a span of seconds and whether they are good.
fn looks(ledger: &mut Ledger, spans: &[(u32, u32, bool)]) {
    for &(from, to, good) in spans {
        for second in (from..to).step_by(10) {
            ledger.advance(at(f64::from(second)));
            let status = if good { HealthStatus::Healthy } else { HealthStatus::Unhealthy };
            run(ledger, DB, f64::from(second), status);
        }
    }
}

fn seconds_of(metrics: &AvailabilityMetrics) -> [f64; 5] {
    [
        metrics.uptime_seconds,
        metrics.degraded_seconds,
        metrics.downtime_seconds,
        metrics.maintenance_seconds,
        metrics.unobserved_seconds,
    ]
}

#[test]
fn its_time_is_on_neither_side_and_no_incident_begins_in_it() {
    let mut ledger = with_db(1, 1);
    looks(&mut ledger, &[(0, 100, true)]);
    begin(&mut ledger, Some(DB), 100.0, 200.0);
    looks(&mut ledger, &[(100, 180, false), (180, 300, true)]);
    let db = all_time(&ledger, DB, 300.0);
    assert_eq!(seconds_of(&db), [200.0, 0.0, 0.0, 100.0, 0.0]);
    assert_eq!((db.availability_percentage, db.coverage), (Some(100.0), 1.0));
    assert_eq!((db.incidents, incidents(&ledger, 300.0).len()), (0, 0));
}

#[test]
fn what_is_shown_stays_the_truth() {
    let mut ledger = with_db(1, 1);
    looks(&mut ledger, &[(0, 10, true)]);
    begin(&mut ledger, Some(DB), 10.0, 100.0);
    looks(&mut ledger, &[(10, 30, false)]);
    assert_eq!(shown(&ledger), Some(HealthStatus::Unhealthy));
    assert_eq!(ledger.maintenance_of(&DB.into()).map(|one| &*one.reason), Some("disk"));
    ledger.advance(at(100.0));
    assert_eq!(ledger.maintenance_of(&DB.into()), None);
}

#[test]
fn what_is_still_down_at_its_end_is_an_incident_from_then_on() {
    for ended_early in [false, true] {
        let mut ledger = with_db(1, 1);
        looks(&mut ledger, &[(0, 100, true)]);
        begin(&mut ledger, Some(DB), 100.0, if ended_early { 500.0 } else { 200.0 });
        looks(&mut ledger, &[(100, 200, false)]);
        if ended_early {
            assert!(ledger.end_maintenance(Some(&DB.into()), at(200.0)));
            assert!(!ledger.end_maintenance(Some(&DB.into()), at(200.0)));
        }
        looks(&mut ledger, &[(200, 230, false), (230, 300, true)]);
        let db = all_time(&ledger, DB, 300.0);
        assert_eq!(seconds_of(&db), [170.0, 0.0, 30.0, 100.0, 0.0]);
        let [incident] = &incidents(&ledger, 300.0)[..] else { panic!("one incident") };
        assert_eq!(incident.start_time, at(200.0).to_datetime());
        assert_eq!((incident.duration_seconds, incident.resolved), (30.0, true));
        assert_eq!(incident.error.as_deref(), Some("failed at 190"));
        assert_eq!(system(&ledger, 300.0).downtime_seconds, 30.0);
    }
}

#[test]
fn an_incident_that_is_open_stays_open_and_is_not_prolonged_by_it() {
    let mut ledger = with_db(1, 1);
    looks(&mut ledger, &[(0, 50, true), (50, 100, false)]);
    begin(&mut ledger, Some(DB), 100.0, 200.0);
    looks(&mut ledger, &[(100, 220, false)]);
    let [incident] = &incidents(&ledger, 220.0)[..] else { panic!("one incident") };
    assert_eq!((incident.duration_seconds, incident.resolved), (70.0, false));
    looks(&mut ledger, &[(220, 230, true)]);
    let [incident] = &incidents(&ledger, 230.0)[..] else { panic!("one incident") };
    assert_eq!((incident.duration_seconds, incident.resolved), (70.0, true));
    let db = all_time(&ledger, DB, 230.0);
    assert_eq!((db.incidents, db.mttr, db.downtime_seconds), (1, Some(70.0), 70.0));
}

#[test]
fn one_that_came_up_within_it_is_over_then() {
    let mut ledger = with_db(1, 1);
    looks(&mut ledger, &[(0, 50, true), (50, 100, false)]);
    begin(&mut ledger, Some(DB), 100.0, 400.0);
    looks(&mut ledger, &[(100, 120, false), (120, 300, true)]);
    let [incident] = &incidents(&ledger, 300.0)[..] else { panic!("one incident") };
    assert_eq!(incident.end_time, Some(at(120.0).to_datetime()));
    assert_eq!(incident.duration_seconds, 50.0);
    looks(&mut ledger, &[(300, 430, false), (430, 440, true)]);
    let db = all_time(&ledger, DB, 440.0);
    assert_eq!(incidents(&ledger, 440.0).len() as u64, db.incidents, "the account knows of one");
    assert_eq!((db.incidents, db.mttr, db.downtime_seconds), (1, Some(80.0), 80.0));
}

#[test]
fn a_streak_that_began_before_it_is_downtime_up_to_it() {
    let mut ledger = with_db(3, 1);
    looks(&mut ledger, &[(0, 80, true), (80, 100, false)]);
    begin(&mut ledger, Some(DB), 100.0, 200.0);
    looks(&mut ledger, &[(100, 180, false), (180, 210, true)]);
    let [incident] = &incidents(&ledger, 210.0)[..] else { panic!("one incident") };
    assert_eq!((incident.duration_seconds, incident.resolved), (20.0, true));
    assert_eq!(all_time(&ledger, DB, 210.0).downtime_seconds, 20.0);
}

#[test]
fn a_streak_that_began_within_it_and_is_decided_after_it_counts_from_its_end() {
    let mut ledger = with_db(3, 1);
    looks(&mut ledger, &[(0, 80, true)]);
    begin(&mut ledger, Some(DB), 80.0, 105.0);
    looks(&mut ledger, &[(80, 90, true), (90, 120, false), (120, 130, true)]);
    let [incident] = &incidents(&ledger, 130.0)[..] else { panic!("one incident") };
    assert_eq!(incident.start_time, at(105.0).to_datetime());
    assert_eq!(incident.duration_seconds, 15.0);
    assert_eq!(all_time(&ledger, DB, 130.0).downtime_seconds, 15.0);
}

#[test]
fn it_can_be_given_another_end() {
    let mut ledger = with_db(1, 1);
    looks(&mut ledger, &[(0, 100, true)]);
    begin(&mut ledger, Some(DB), 100.0, 150.0);
    looks(&mut ledger, &[(100, 140, false)]);
    begin(&mut ledger, Some(DB), 140.0, 180.0);
    looks(&mut ledger, &[(140, 190, false)]);
    assert_eq!(seconds_of(&all_time(&ledger, DB, 190.0))[2..4], [10.0, 80.0]);
}

#[test]
fn an_opening_within_it_is_an_incident_only_if_it_outlasts_it() {
    let mut ledger = with_db(1, 1);
    looks(&mut ledger, &[(0, 20, true)]);
    begin(&mut ledger, Some(DB), 20.0, 100.0);
    ledger.breaker_changed(&opened(DB, false, 1, 30.0), at(30.0));
    looks(&mut ledger, &[(30, 100, true)]);
    assert!(incidents(&ledger, 99.0).is_empty());
    looks(&mut ledger, &[(100, 110, true)]);
    let [incident] = &incidents(&ledger, 110.0)[..] else { panic!("one incident") };
    assert_eq!(
        (incident.severity, incident.start_time),
        (Severity::Minor, at(100.0).to_datetime())
    );
    assert_eq!(incident.error.as_deref(), Some("circuit breaker `db` is open"));
}

#[test]
fn a_minor_incident_becomes_worse_only_at_its_end() {
    let mut ledger = with_db(1, 1);
    looks(&mut ledger, &[(0, 20, true)]);
    ledger.breaker_changed(&opened(DB, false, 1, 20.0), at(20.0));
    begin(&mut ledger, Some(DB), 30.0, 100.0);
    looks(&mut ledger, &[(30, 100, false)]);
    assert_eq!(incidents(&ledger, 99.0)[0].severity, Severity::Minor);
    assert_eq!(incidents(&ledger, 99.0)[0].duration_seconds, 10.0);
    looks(&mut ledger, &[(100, 120, false)]);
    let [incident] = &incidents(&ledger, 120.0)[..] else { panic!("one incident") };
    assert_eq!((incident.severity, incident.duration_seconds), (Severity::Critical, 20.0));
}

#[test]
fn a_component_in_maintenance_is_not_there_for_the_system() {
    let mut ledger = with_db(1, 1);
    ledger.join_check(&"queue".into(), terms(true, schedule(1, 1)), at(0.0));
    looks(&mut ledger, &[(0, 10, true)]);
    run(&mut ledger, "queue", 0.0, HealthStatus::Healthy);
    begin(&mut ledger, Some(DB), 10.0, 100.0);
    looks(&mut ledger, &[(10, 30, false)]);
    assert_eq!(seconds_of(&system(&ledger, 30.0)), [30.0, 0.0, 0.0, 0.0, 0.0]);
    run(&mut ledger, "queue", 30.0, HealthStatus::Unhealthy);
    assert_eq!(system(&ledger, 40.0).downtime_seconds, 10.0, "the others count");
}

#[test]
fn that_of_the_whole_system_is_that_of_every_component() {
    let mut ledger = with_db(1, 1);
    ledger.join_check(&"mail".into(), terms(false, schedule(1, 1)), at(0.0));
    looks(&mut ledger, &[(0, 100, true)]);
    run(&mut ledger, "mail", 90.0, HealthStatus::Healthy);
    begin(&mut ledger, None, 100.0, 200.0);
    looks(&mut ledger, &[(100, 180, false)]);
    run(&mut ledger, "mail", 180.0, HealthStatus::Unhealthy);
    ledger.join_check(&"late".into(), terms(true, schedule(1, 1)), at(185.0));
    run(&mut ledger, "late", 185.0, HealthStatus::Healthy);
    looks(&mut ledger, &[(180, 200, true)]);
    assert!(incidents(&ledger, 200.0).is_empty());
    assert_eq!(seconds_of(&system(&ledger, 200.0)), [100.0, 0.0, 0.0, 100.0, 0.0]);
    assert_eq!(seconds_of(&all_time(&ledger, DB, 200.0)), [100.0, 0.0, 0.0, 100.0, 0.0]);
    assert_eq!(all_time(&ledger, "late", 200.0).maintenance_seconds, 15.0);
    ledger.advance(at(200.0));
    let [incident] = &incidents(&ledger, 210.0)[..] else { panic!("one incident") };
    assert_eq!((&*incident.component, incident.start_time), ("mail", at(200.0).to_datetime()));
    assert_eq!(seconds_of(&system(&ledger, 210.0)), [110.0, 0.0, 0.0, 100.0, 0.0]);
}

#[test]
fn one_maintenance_within_another_ends_alone() {
    let mut ledger = with_db(1, 1);
    looks(&mut ledger, &[(0, 10, true)]);
    begin(&mut ledger, None, 10.0, 100.0);
    begin(&mut ledger, Some(DB), 20.0, 60.0);
    looks(&mut ledger, &[(20, 110, false)]);
    assert_eq!(seconds_of(&all_time(&ledger, DB, 110.0)), [10.0, 0.0, 10.0, 90.0, 0.0]);
    assert_eq!(incidents(&ledger, 110.0).len(), 1);
}

/// The process is gone from 50 to `back`, in a maintenance of `whole`, or `db`, from 20 to 100.
fn restarted(whole: bool, clean: bool, back: f64) -> Ledger {
    let mut ledger = with_db(1, 1);
    looks(&mut ledger, &[(0, 20, true)]);
    begin(&mut ledger, (!whole).then_some(DB), 20.0, 100.0);
    looks(&mut ledger, &[(20, 50, false)]);
    ledger.begin(at(back), Duration::ZERO, Some((at(50.0), clean)));
    ledger.join_check(&DB.into(), terms(true, schedule(1, 1)), at(back));
    ledger.all_have_joined(at(back));
    ledger
}

#[test]
fn it_lasts_through_a_restart() {
    let mut ledger = restarted(false, true, 70.0);
    looks(&mut ledger, &[(70, 110, false), (110, 130, true)]);
    assert_eq!(seconds_of(&all_time(&ledger, DB, 130.0)), [40.0, 0.0, 10.0, 80.0, 0.0]);
    assert_eq!(incidents(&ledger, 130.0)[0].duration_seconds, 10.0);
    assert_eq!(seconds_of(&system(&ledger, 130.0)), [100.0, 0.0, 10.0, 0.0, 20.0]);
}

#[test]
fn one_that_ended_while_there_was_no_process_ended_when_it_was_to() {
    let mut ledger = restarted(true, true, 150.0);
    assert_eq!(ledger.maintenance().count(), 0);
    looks(&mut ledger, &[(150, 170, true)]);
    for metrics in [all_time(&ledger, DB, 170.0), system(&ledger, 170.0)] {
        assert_eq!(seconds_of(&metrics), [40.0, 0.0, 0.0, 80.0, 50.0]);
    }
}

#[test]
fn only_the_processs_own_downtime_comes_before_that_of_the_whole_system() {
    let mut ledger = restarted(true, false, 70.0);
    looks(&mut ledger, &[(70, 110, true)]);
    assert_eq!(seconds_of(&system(&ledger, 110.0)), [30.0, 0.0, 20.0, 60.0, 0.0]);
    assert_eq!(seconds_of(&all_time(&ledger, DB, 110.0)), [30.0, 0.0, 0.0, 80.0, 0.0]);
}

#[test]
fn one_of_a_component_that_is_gone_ends_all_the_same() {
    let mut ledger = with_db(1, 1);
    looks(&mut ledger, &[(0, 20, true)]);
    begin(&mut ledger, Some(DB), 20.0, 100.0);
    ledger.begin(at(60.0), Duration::ZERO, Some((at(50.0), true)));
    ledger.all_have_joined(at(60.0));
    ledger.advance(at(100.0));
    assert_eq!(seconds_of(&all_time(&ledger, DB, 200.0)), [20.0, 0.0, 0.0, 80.0, 100.0]);
}

proptest! {
    #[test]
    fn it_masks_whatever_would_have_been_and_changes_nothing_else(
        thresholds in (1_u32..4, 1_u32..4),
        runs in prop::collection::vec((1_i64..20, any_status()), 1..30),
        (from, length, cut, whole) in (0_i64..200, 0_i64..200, 0_i64..300, any::<bool>()),
    ) {
        let mut plain = with_db(thresholds.0, thresholds.1);
        let mut masked = with_db(thresholds.0, thresholds.1);
        let component = (!whole).then(|| Arc::<str>::from(DB));
        let mut starts = Vec::new();
        let mut second = 0;
        for (gap, status) in runs {
            second += gap;
            starts.push((second, status));
        }
        let end = second.max(from + length) + 5;
        let until = from + length.min(cut);
        for now in 0..=end {
            for ledger in [&mut plain, &mut masked] {
                ledger.advance(at(now as f64));
            }
            if now == from {
                let announced = at((from + length) as f64);
                masked.begin_maintenance(component.as_ref(), announced, "".into(), at(now as f64));
            }
            if now == until {
                masked.end_maintenance(component.as_ref(), at(now as f64));
            }
            for (started, status) in starts.iter().filter(|(started, _)| *started == now) {
                run(&mut plain, DB, *started as f64, *status);
                run(&mut masked, DB, *started as f64, *status);
            }
        }
        let span = Span::new(at(from as f64), at(until as f64));
        for second in 0..end {
            let now = at(second as f64 + 0.5);
            let state = |ledger: &Ledger| ledger.components[DB].timeline.at(now);
            let expected = if span.contains(now) { ComponentState::Maintenance } else { state(&plain) };
            prop_assert_eq!(state(&masked), expected, "second {}", second);
        }
        let db = all_time(&masked, DB, end as f64);
        let listed = incidents(&masked, end as f64);
        let by_incidents: f64 = listed.iter().map(|one| one.duration_seconds).sum();
        prop_assert!((by_incidents - db.downtime_seconds).abs() < 1e-6);
    }
}

#[test]
fn one_of_a_clock_that_was_set_back_hides_none_that_is_announced_since() {
    for whole_system in [false, true] {
        let whose = (!whole_system).then_some(DB);
        let mut ledger = with_db(1, 1);
        looks(&mut ledger, &[(0, 10, true)]);
        begin(&mut ledger, whose, 90_000.0, 90_100.0);
        ledger.end_maintenance(whose.map(Arc::from).as_ref(), at(90_050.0));
        ledger.begin(at(1_000.0), Duration::ZERO, Some((at(90_060.0), true)));
        ledger.join_check(&DB.into(), terms(true, schedule(1, 1)), at(1_000.0));
        looks(&mut ledger, &[(1_000, 1_010, true)]);
        begin(&mut ledger, whose, 1_010.0, 1_060.0);
        looks(&mut ledger, &[(1_010, 1_050, false), (1_050, 1_100, true)]);
        let db = all_time(&ledger, DB, 1_100.0);
        assert_eq!((db.maintenance_seconds, db.downtime_seconds), (50.0, 0.0), "{whose:?}");
    }
}

#[test]
fn one_that_was_ended_before_stays_over_when_the_clock_has_been_set_back() {
    for (announced, restart) in [(90_000.0, 1_000.0), (900.0, 1_000.0)] {
        let mut ledger = Ledger::new(at(0.0));
        ledger.begin(at(0.0), Duration::ZERO, None);
        for (end, told_at) in [(99_000.0, announced), (90_050.0, 90_050.0)] {
            let maintenance = Maintenance {
                component: Some(DB.into()),
                start_time: at(announced).to_datetime(),
                end_time: at(end).to_datetime(),
                reason: "disk".into(),
            };
            ledger.replay_maintenance(maintenance, at(told_at));
        }
        ledger.begin(at(restart), Duration::ZERO, Some((at(90_060.0), true)));
        assert_eq!(ledger.maintenance().count(), 0);
        ledger.join_check(&DB.into(), terms(true, schedule(1, 1)), at(restart));
        looks(&mut ledger, &[(1_000, 1_100, true)]);
        let window = [Window::last(seconds(100))];
        let [db] = ledger.component_metrics(DB, window, at(1_100.0)).expect("it is known");
        assert_eq!(seconds_of(&db), [100.0, 0.0, 0.0, 0.0, 0.0], "announced at {announced}");
    }
}
