//! What goes on under other terms.

use super::*;

#[test]
fn a_schedule_that_is_shorter_makes_nothing_stale_that_was_not() {
    let long = Schedule { interval: seconds(600), ..schedule(1, 1) };
    let mut ledger = Ledger::new(at(0.0));
    ledger.begin(at(0.0), Duration::ZERO, None);
    ledger.join_check(&DB.into(), terms(true, long), at(0.0));
    ledger.all_have_joined(at(0.0));
    run(&mut ledger, DB, 0.0, HealthStatus::Healthy);
    ledger.retune(&DB.into(), terms(true, schedule(1, 1)), at(500.0));
    ledger.advance(at(529.0));
    assert_eq!(shown(&ledger), Some(HealthStatus::Healthy));
    assert_eq!(all_time(&ledger, DB, 529.0).unobserved_seconds, 0.0);
    // From then on it is awaited as often as it says now.
    ledger.advance(at(530.0));
    assert_eq!(shown(&ledger), Some(HealthStatus::Unknown));
    let unobserved = all_time(&ledger, DB, 540.0).unobserved_seconds;
    assert_eq!(unobserved, 30.0, "since the run that was due at 510 s");
}

#[test]
fn the_start_waits_for_what_is_critical_by_then() {
    let mut ledger = with_db(1, 1);
    let retune = |ledger: &mut Ledger, critical, now| {
        ledger.retune(&DB.into(), terms(critical, schedule(1, 1)), at(now));
    };
    retune(&mut ledger, false, 1.0);
    assert!(ledger.is_started(), "it waited for nothing else");

    let mut ledger = Ledger::new(at(0.0));
    ledger.begin(at(0.0), Duration::ZERO, None);
    for (name, critical) in [(DB, false), ("api", true)] {
        ledger.join_check(&name.into(), terms(critical, schedule(1, 1)), at(0.0));
    }
    ledger.all_have_joined(at(0.0));
    retune(&mut ledger, true, 1.0);
    run(&mut ledger, "api", 2.0, HealthStatus::Healthy);
    assert!(!ledger.is_started(), "one is left");
    run(&mut ledger, DB, 3.0, HealthStatus::Healthy);
    assert!(ledger.is_started());
}

#[test]
fn who_depends_on_whom_is_up_to_date() {
    let mut ledger = with_db(1, 1);
    let api: Arc<str> = "api".into();
    ledger.join_check(&api, terms(true, schedule(1, 1)), at(0.0));
    let on = |names: &[&str]| CheckTerms {
        depends_on: names.iter().map(|name| Arc::from(*name)).collect(),
        ..terms(true, schedule(1, 1))
    };
    ledger.retune(&api, on(&[DB]), at(1.0));
    for name in [DB, "api"] {
        run(&mut ledger, name, 2.0, HealthStatus::Unhealthy);
    }
    let listed = incidents(&ledger, 3.0);
    let of = |name: &str| listed.iter().find(|one| &*one.component == name).expect("it is down");
    assert_eq!(of("api").parent, Some(of(DB).id.clone()));

    let circle = [(DB.into(), [api.clone()].into())].into();
    let error = ledger.can_be_waited_for(&circle).expect_err("api waits for it").to_string();
    assert_eq!(error, "health checks depend on each other in a circle: `api` -> `db` -> `api`");
    ledger.retune(&api, on(&[]), at(4.0));
    assert!(ledger.can_be_waited_for(&circle).is_ok());
}

/// `db` leaves at 25 s and is there again from 27 s on; `api` was down from 10 s on, and at 40 s it
/// is found to be up since 20 s.
fn decided_after_db_was_there_again(was_critical: bool, is_critical: bool) -> Ledger {
    let mut ledger = with_db(1, 1);
    ledger.retune(&DB.into(), terms(was_critical, schedule(1, 1)), at(0.0));
    ledger.join_check(&"api".into(), terms(true, schedule(1, 2)), at(0.0));
    run(&mut ledger, DB, 0.0, HealthStatus::Healthy);
    run(&mut ledger, "api", 0.0, HealthStatus::Healthy);
    run(&mut ledger, "api", 1.0, HealthStatus::Healthy);
    run(&mut ledger, "api", 10.0, HealthStatus::Unhealthy);
    run(&mut ledger, DB, 15.0, HealthStatus::Unhealthy);
    run(&mut ledger, "api", 20.0, HealthStatus::Healthy);
    ledger.leave(DB, at(25.0));
    ledger.join_check(&DB.into(), terms(is_critical, schedule(1, 1)), at(26.0));
    run(&mut ledger, DB, 27.0, HealthStatus::Healthy);
    run(&mut ledger, "api", 40.0, HealthStatus::Healthy);
    ledger
}

#[test]
fn what_was_down_counts_also_where_its_check_left_and_came_again() {
    for is_critical in [true, false] {
        let ledger = decided_after_db_was_there_again(true, is_critical);
        assert_eq!(system(&ledger, 41.0).downtime_seconds, 15.0, "from 10 s to 25 s");
    }
    for is_critical in [true, false] {
        let ledger = decided_after_db_was_there_again(false, is_critical);
        assert_eq!(system(&ledger, 41.0).downtime_seconds, 10.0, "from 10 s to 20 s");
    }
}

proptest! {
    /// Two components that are looked at each second, and are critical in some of them: also where
    /// what they were is decided only later, when that may have changed.
    #[test]
    fn what_is_down_counts_for_the_system_while_it_is_critical(
        each in proptest::collection::vec(proptest::array::uniform2(any::<(bool, bool)>()), 1..60),
        thresholds in proptest::array::uniform2(1_u32..4),
    ) {
        let mut ledger = with_db(thresholds[0], 1);
        ledger.join_check(&"api".into(), terms(true, schedule(thresholds[1], 1)), at(0.0));
        for (second, both) in each.iter().enumerate() {
            for ((name, threshold), (critical, fails)) in [DB, "api"].iter().zip(thresholds).zip(both) {
                let terms = terms(*critical, schedule(threshold, 1));
                ledger.retune(&(*name).into(), terms, at(second as f64));
                let status = if *fails { HealthStatus::Unhealthy } else { HealthStatus::Healthy };
                run(&mut ledger, name, second as f64, status);
            }
        }
        let end = each.len() as f64;
        ledger.advance(at(end));
        let (mut of_system, mut of_each) = (vec![false; each.len()], [0; 2]);
        for one in 0..2 {
            // So many failures in a row are down time, from the first of them on.
            let numbered: Vec<_> = each.iter().map(|both| both[one]).enumerate().collect();
            let streaks = numbered.chunk_by(|(_, (_, fails)), (_, (_, next))| fails == next);
            let long = |streak: &&[(usize, (bool, bool))]| streak.len() >= thresholds[one] as usize;
            for (second, (critical, _)) in streaks.filter(|s| s[0].1.1).filter(long).flatten() {
                of_each[one] += 1;
                of_system[*second] |= critical;
            }
        }
        let of_system = of_system.iter().filter(|down| **down).count();
        prop_assert_eq!(all_time(&ledger, DB, end).downtime_seconds, f64::from(of_each[0]));
        prop_assert_eq!(all_time(&ledger, "api", end).downtime_seconds, f64::from(of_each[1]));
        prop_assert_eq!(system(&ledger, end).downtime_seconds, of_system as f64);
    }

    #[test]
    fn the_same_terms_once_more_change_nothing(
        runs in proptest::collection::vec((any::<bool>(), any::<bool>()), 1..60),
        failures in 1_u32..4,
        successes in 1_u32..4,
    ) {
        let [mut plain, mut retuned] = [(); 2].map(|()| with_db(failures, successes));
        for (second, (good, again)) in runs.iter().enumerate() {
            let status = if *good { HealthStatus::Healthy } else { HealthStatus::Unhealthy };
            for ledger in [&mut plain, &mut retuned] {
                run(ledger, DB, second as f64, status);
            }
            if *again {
                let terms = terms(true, schedule(failures, successes));
                retuned.retune(&DB.into(), terms, at(second as f64 + 0.5));
            }
        }
        let end = runs.len() as f64;
        prop_assert_eq!(plain.take_facts(), retuned.take_facts());
        prop_assert_eq!(all_time(&plain, DB, end), all_time(&retuned, DB, end));
        prop_assert_eq!(system(&plain, end), system(&retuned, end));
    }
}
