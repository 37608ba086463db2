//! The system's incidents as the union of those of its critical components.

use super::*;

const NAMES: [&str; 3] = ["a", "b", "c"];

/// Three critical components, each of which is looked at each second and is down in those spans of
/// seconds. `names` says which is called what.
fn observed(names: [&str; 3], down: &[Vec<(u32, u32)>; 3], end: u32) -> Ledger {
    let mut ledger = Ledger::new(at(0.0));
    ledger.begin(at(0.0), Duration::ZERO, None);
    for name in names {
        ledger.join_check(&name.into(), terms(true, schedule(1, 1)), at(0.0));
    }
    ledger.all_have_joined(at(0.0));
    for second in 0..=end {
        ledger.advance(at(f64::from(second)));
        for (name, down) in names.iter().zip(down) {
            let fails = down.iter().any(|(from, to)| (*from..*to).contains(&second));
            let status = if fails { HealthStatus::Unhealthy } else { HealthStatus::Healthy };
            run(&mut ledger, name, f64::from(second), status);
        }
    }
    ledger
}

/// Start, end and down time in seconds, of those that are over.
fn of_system(ledger: &Ledger, now: u32) -> Vec<(i64, i64, f64)> {
    let listed = ledger.system_incidents(Window::ALL_TIME, at(f64::from(now) + 0.2));
    let over = listed.iter().filter(|one| one.resolved);
    let ends = over.map(|one| {
        let end = one.end_time.expect("it is over").timestamp();
        (one.start_time.timestamp(), end, one.duration_seconds)
    });
    ends.collect()
}

#[test]
fn incidents_that_overlap_are_one_of_the_system() {
    let down = [vec![(10, 30)], vec![(20, 50), (500, 510)], vec![(22, 24)]];
    let ledger = observed(NAMES, &down, 600);
    assert_eq!(of_system(&ledger, 600), [(10, 50, 40.0), (500, 510, 10.0)]);
    let listed = ledger.system_incidents(Window::ALL_TIME, at(601.0));
    assert_eq!((&*listed[0].component, listed[0].severity), ("system", Severity::Critical));
    assert_eq!(listed[0].failures, 20 + 30 + 2, "all that failed meanwhile");
    assert_eq!(listed[0].error.as_deref(), Some("failed at 10"), "as the first to fail says");
    assert_eq!(listed[0].detected_at, at(10.1).to_datetime());
    assert_eq!(incidents(&ledger, 601.0).len(), 4, "each component has its own all the same");
    let figures = system(&ledger, 601.0);
    assert_eq!((figures.incidents, figures.mttr), (2, Some(25.0)));
    let last_two_minutes = Window::last(seconds(120));
    assert_eq!(ledger.system_incidents(last_two_minutes, at(601.0)).len(), 1);
}

#[test]
fn one_that_lasts_is_open() {
    let ledger = observed(NAMES, &[vec![(10, 100)], vec![], vec![]], 20);
    let [open] = &ledger.system_incidents(Window::ALL_TIME, at(20.0))[..] else { panic!("one") };
    assert_eq!((open.resolved, open.end_time, open.duration_seconds), (false, None, 10.0));
}

#[test]
fn what_is_not_critical_and_an_open_breaker_are_none() {
    let mut ledger = with_db(1, 1);
    ledger.join_check(&"mail".into(), terms(false, schedule(1, 1)), at(0.0));
    run(&mut ledger, DB, 0.0, HealthStatus::Healthy);
    run(&mut ledger, "mail", 0.0, HealthStatus::Unhealthy);
    ledger.breaker_changed(&opened(DB, false, 1, 5.0), at(5.0));
    assert_eq!(incidents(&ledger, 10.0).len(), 2);
    assert_eq!(ledger.system_incidents(Window::ALL_TIME, at(10.0)), []);
}

#[test]
fn a_crash_is_one() {
    let mut ledger = with_db(1, 1);
    run(&mut ledger, DB, 0.0, HealthStatus::Healthy);
    ledger.begin(at(60.0), Duration::ZERO, Some((at(30.0), false)));
    let [crash] = &ledger.system_incidents(Window::ALL_TIME, at(70.0))[..] else { panic!("one") };
    assert_eq!((crash.duration_seconds, crash.class), (30.0, Some(FailureClass::Crashed)));
}

/// Second by second: when any of them is down; gaps of up to a minute end nothing.
fn union(down: &[Vec<(u32, u32)>; 3], end: u32) -> Vec<(i64, i64, f64)> {
    let mut found: Vec<(i64, i64, f64)> = Vec::new();
    for second in 0..end {
        let fails = down.iter().flatten().any(|(from, to)| (*from..*to).contains(&second));
        if !fails {
            continue;
        }
        let second = i64::from(second);
        match found.last_mut() {
            Some(last) if second - last.1 <= 60 => *last = (last.0, second + 1, last.2 + 1.0),
            _ => found.push((second, second + 1, 1.0)),
        }
    }
    found
}

fn any_spans() -> impl Strategy<Value = Vec<(u32, u32)>> {
    let span = (1_u32..400, 1_u32..40).prop_map(|(from, length)| (from, from + length));
    prop::collection::vec(span, 0..4)
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(48))]

    #[test]
    fn they_are_the_union_and_the_order_of_what_overlaps_is_irrelevant(
        down in [any_spans(), any_spans(), any_spans()],
        turn in 0_usize..3,
    ) {
        const END: u32 = 450;
        let ledger = observed(NAMES, &down, END);
        let expected = union(&down, END);
        prop_assert_eq!(of_system(&ledger, END), expected.clone());
        let figures = system(&ledger, f64::from(END));
        prop_assert_eq!(figures.incidents, expected.len() as u64);
        prop_assert_eq!(figures.downtime_seconds, expected.iter().map(|one| one.2).sum::<f64>());

        let mut turned = down;
        turned.rotate_left(turn);
        let mut names = NAMES;
        names.rotate_right(turn);
        let other = observed(names, &turned, END);
        prop_assert_eq!(of_system(&other, END), expected);
        prop_assert_eq!(system(&other, f64::from(END)), figures);
    }
}
