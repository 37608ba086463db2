//! The seconds of each state as counters tell them.

use super::*;
use crate::availability::StateSeconds;

/// Up, down and unobserved seconds.
fn told(seconds: &StateSeconds) -> [f64; 3] {
    [seconds.up, seconds.down, seconds.unobserved]
}

#[test]
fn each_boot_counts_from_zero_and_with_the_time_without_a_process_before_it() {
    let mut ledger = with_db(1, 1);
    runs(&mut ledger, DB, "++++");
    let (system, components) = ledger.tell_seconds(at(35.0));
    assert_eq!((told(&system), told(&components[0])), ([30.0, 0.0, 0.0], [30.0, 0.0, 0.0]));

    // The last that the history has heard is from before what was told.
    ledger.begin(at(50.0), Duration::ZERO, Some((at(28.0), false)));
    ledger.join_check(&DB.into(), terms(true, schedule(1, 1)), at(50.0));
    ledger.all_have_joined(at(50.0));
    let (system, _) = ledger.tell_seconds(at(50.0));
    assert_eq!(told(&system), [0.0, 22.0, 0.0]);
    run(&mut ledger, DB, 50.0, HealthStatus::Healthy);
    run(&mut ledger, DB, 60.0, HealthStatus::Healthy);
    let (system, components) = ledger.tell_seconds(at(61.0));
    assert_eq!((told(&system), told(&components[0])), ([10.0, 22.0, 0.0], [10.0, 0.0, 22.0]));
}

#[test]
fn after_a_clean_end_nobody_was_down() {
    let mut ledger = with_db(1, 1);
    runs(&mut ledger, DB, "++");
    ledger.begin(at(50.0), Duration::ZERO, Some((at(20.0), true)));
    ledger.join_check(&DB.into(), terms(true, schedule(1, 1)), at(50.0));
    run(&mut ledger, DB, 51.0, HealthStatus::Healthy);
    let (system, _) = ledger.tell_seconds(at(52.0));
    assert_eq!(told(&system), [1.0, 0.0, 30.0]);
}

#[test]
fn the_history_counts_though_it_has_nothing_new_to_say() {
    let mut ledger = with_db(1, 1);
    ledger.join_check(&HISTORY.into(), CheckTerms::by_hand(), at(0.0));
    run(&mut ledger, HISTORY, 0.0, HealthStatus::Healthy);
    let (_, components) = ledger.tell_seconds(at(90.0));
    assert_eq!(components[1].up, 90.0);
}

#[test]
fn nothing_is_taken_back_when_a_check_joins_again_or_becomes_critical() {
    let mut ledger = Ledger::new(at(0.0));
    ledger.begin(at(0.0), Duration::ZERO, None);
    ledger.join_check(&DB.into(), terms(true, schedule(1, 1)), at(0.0));
    ledger.join_check(&"mail".into(), terms(false, schedule(3, 1)), at(0.0));
    ledger.all_have_joined(at(0.0));
    let mut before = [0.0; 3];
    let mut grows = |ledger: &mut Ledger, now: f64, up: f64| {
        let next = told(&ledger.tell_seconds(at(now)).0);
        assert!(before.iter().zip(next).all(|(before, next)| *before <= next), "{next:?}");
        assert_eq!(next[0], up, "at {now} s");
        before = next;
    };
    for second in [0.0, 10.0, 20.0, 30.0] {
        run(&mut ledger, DB, second, HealthStatus::Healthy);
    }
    run(&mut ledger, "mail", 0.0, HealthStatus::Healthy);
    grows(&mut ledger, 31.0, 30.0);
    ledger.leave(DB, at(31.0));
    grows(&mut ledger, 40.0, 40.0);
    // Its own time ended at 31 s; what the system was until now does not depend on it.
    ledger.join_check(&DB.into(), terms(true, schedule(1, 1)), at(41.0));
    grows(&mut ledger, 42.0, 41.0);
    // The latest run of this one is from 0 s.
    ledger.join_check(&"mail".into(), terms(true, schedule(3, 1)), at(42.0));
    grows(&mut ledger, 43.0, 41.0);
}
