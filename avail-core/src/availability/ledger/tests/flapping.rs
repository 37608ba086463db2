//! Components that keep changing.

use super::*;

fn flapping_facts(ledger: &mut Ledger) -> Vec<bool> {
    let facts = ledger.take_facts().into_iter().filter_map(|fact| match fact {
        Fact::Flapping { ended, .. } => Some(ended),
        _ => None,
    });
    facts.collect()
}

/// Looks at `db` every ten seconds from then on, and finds it well.
fn stays_up(ledger: &mut Ledger, from: u32, to: u32) {
    for second in (from..to).step_by(10) {
        ledger.advance(at(f64::from(second)));
        run(ledger, DB, f64::from(second), HealthStatus::Healthy);
    }
    ledger.advance(at(f64::from(to)));
}

#[test]
fn up_time_is_degraded_from_when_flapping_is_noticed_until_it_has_calmed_down() {
    let mut ledger = with_db(1, 1);
    runs(&mut ledger, DB, "+-+-+-+");
    assert_eq!(shown(&ledger), Some(HealthStatus::Degraded), "six changes");
    assert_eq!(flapping_facts(&mut ledger), [false]);
    assert!(ledger.present().all(|component| component.flapping.is_flapping()));
    let db = all_time(&ledger, DB, 70.0);
    assert_eq!((db.downtime_seconds, db.uptime_seconds), (30.0, 30.1));
    assert_eq!(db.degraded_seconds, 9.9, "from the end of the run that told");
    assert_eq!(db.availability_percentage.map(|p| (p * 10.0).round()), Some(571.0), "40 of 70");
    assert_eq!(system(&ledger, 70.0).degraded_seconds, 9.9);

    stays_up(&mut ledger, 70, 640);
    assert_eq!(shown(&ledger), Some(HealthStatus::Degraded), "three changes in ten minutes");
    stays_up(&mut ledger, 640, 650);
    assert_eq!(shown(&ledger), Some(HealthStatus::Healthy));
    assert_eq!(flapping_facts(&mut ledger), [true]);
    let db = all_time(&ledger, DB, 650.0);
    assert_eq!(db.degraded_seconds, 580.0, "to ten minutes after the third last change, at 40.1");
    assert_eq!(ledger.incident_log().iter().count(), 1, "re-opened each time");
}

#[test]
fn it_is_at_least_degraded_and_so_may_be_down() {
    let mut ledger = with_db(1, 1);
    runs(&mut ledger, DB, "+-+-+-+-");
    assert_eq!(shown(&ledger), Some(HealthStatus::Unhealthy));
    assert_eq!(all_time(&ledger, DB, 80.0).downtime_seconds, 40.0);
}

#[test]
fn a_breaker_and_a_check_flap_together() {
    let mut ledger = with_db(1, 1);
    runs(&mut ledger, DB, "+-+");
    for (sequence, when) in [(1, 31.0), (3, 33.0)] {
        ledger.breaker_changed(&opened(DB, false, sequence, when), at(when));
        assert!(flapping_facts(&mut ledger).is_empty());
        let closed = breaker_event(
            DB,
            false,
            sequence + 1,
            when + 1.0,
            CircuitState::Closed,
            Cause::Recovered,
        );
        ledger.breaker_changed(&closed, at(when + 1.0));
    }
    assert_eq!(flapping_facts(&mut ledger), [false]);
}

#[test]
fn what_a_threshold_holds_back_is_no_change() {
    let mut ledger = with_db(2, 1);
    runs(&mut ledger, DB, "+-+-+-+-+-+-+-+");
    assert_eq!(shown(&ledger), Some(HealthStatus::Healthy));
    assert!(flapping_facts(&mut ledger).is_empty());
}

#[test]
fn one_that_left_and_joins_again_begins_calmly() {
    let mut ledger = with_db(1, 1);
    runs(&mut ledger, DB, "+-+-+-+");
    ledger.leave(DB, at(70.0));
    ledger.join_check(&DB.into(), terms(true, schedule(1, 1)), at(80.0));
    run(&mut ledger, DB, 80.0, HealthStatus::Healthy);
    assert_eq!(shown(&ledger), Some(HealthStatus::Healthy));
    assert_eq!(all_time(&ledger, DB, 90.0).degraded_seconds, 9.9);
}
