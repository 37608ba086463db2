//! The ledger against the plain reference, and what must hold whatever happens.

use super::model::{self, Check, INTERVAL, Lines, Step};
use super::*;
use crate::availability::slo::Slo;

const NAMES: [&str; 3] = ["a", "b", "c"];

type Script = Vec<(i64, Step)>;

/// What happens after how long; seconds are worked out so that nothing falls into a restart.
fn any_script(gaps: std::ops::Range<i64>, restarts: bool) -> impl Strategy<Value = Script> {
    let run =
        (0..NAMES.len(), any_status()).prop_map(|(check, status)| Step::Run { check, status });
    let restart = (0_i64..100, any::<bool>()).prop_map(|(off, clean)| Step::Restart { off, clean });
    let step = if restarts { prop_oneof![12 => run, 1 => restart].boxed() } else { run.boxed() };
    prop::collection::vec((gaps, step), 1..80).prop_map(|steps| {
        let mut second = 0;
        let timed = steps.into_iter().map(|(gap, step)| {
            let at = second + gap;
            // A process lives for a second at least.
            second = if let Step::Restart { off, .. } = step { at + off.max(1) } else { at };
            (at, step)
        });
        timed.collect()
    })
}

/// All run, at least once an interval, and change less often than flapping takes: a restart forgets
/// those changes.
fn regular_script() -> impl Strategy<Value = Script> {
    let statuses = [HealthStatus::Healthy, HealthStatus::Degraded, HealthStatus::Unhealthy];
    let status = prop::sample::select(statuses.to_vec());
    let round = (1..=INTERVAL, [status.clone(), status.clone(), status]);
    prop::collection::vec(round, 1..30).prop_map(|rounds| {
        let mut second = 0;
        let mut script = Script::new();
        let mut last = [(HealthStatus::Unknown, 0); 3];
        for (gap, statuses) in rounds {
            second += gap;
            for (check, status) in statuses.into_iter().enumerate() {
                let (before, changes) = &mut last[check];
                if status != *before && *changes < 6 {
                    (*before, *changes) = (status, *changes + 1); // the first is no change
                }
                script.push((second, Step::Run { check, status: *before }));
            }
        }
        script
    })
}

fn any_checks() -> impl Strategy<Value = [Check; 3]> {
    let one = (any::<bool>(), 1_u32..4, 1_u32..4)
        .prop_map(|(critical, failures, successes)| Check { critical, failures, successes });
    [one.clone(), one.clone(), one]
}

/// Decides at once, and counts for the system.
const STRICT: [Check; 3] = [Check { critical: true, failures: 1, successes: 1 }; 3];

fn join(ledger: &mut Ledger, names: [&str; 3], checks: &[Check; 3], now: i64) {
    for (name, check) in names.iter().zip(checks) {
        let schedule = schedule(check.failures, check.successes);
        assert_eq!(schedule.interval.as_secs() as i64, INTERVAL);
        ledger.join_check(&Arc::from(*name), terms(check.critical, schedule), Moment(now * 1000));
    }
    ledger.all_have_joined(Moment(now * 1000));
}

fn play(names: [&str; 3], checks: &[Check; 3], script: &Script, end: i64) -> Ledger {
    let mut ledger = Ledger::new(at(0.0));
    ledger.begin(at(0.0), Duration::ZERO, None);
    join(&mut ledger, names, checks, 0);
    for &(second, step) in script {
        let now = Moment(second * 1000);
        ledger.advance(now);
        match step {
            Step::Run { check, status } => {
                let result = HealthCheckResult {
                    component: names[check].into(),
                    status,
                    latency: Duration::ZERO,
                    timestamp: now.to_datetime(),
                    error: None,
                    class: None,
                    details: serde_json::Map::new(),
                };
                ledger.record(result, now);
            }
            Step::Restart { off, clean } => {
                let next = second + off;
                ledger.begin(Moment(next * 1000), Duration::ZERO, Some((now, clean)));
                join(&mut ledger, names, checks, next);
            }
        }
    }
    ledger.advance(Moment(end * 1000));
    ledger
}

fn end_of(script: &Script) -> i64 {
    let ends = script.iter().map(|(second, step)| match step {
        Step::Restart { off, .. } => second + off.max(&1),
        Step::Run { .. } => *second,
    });
    ends.max().unwrap_or(0) + 25
}

/// What the ledger says of each second.
fn lines_of(ledger: &Ledger, names: [&str; 3], end: i64) -> Lines {
    let line = |timeline: &Timeline| {
        (0..end).map(|second| timeline.at(Moment(second * 1000))).collect::<Vec<_>>()
    };
    Lines {
        checks: names.iter().map(|name| line(&ledger.components[*name].timeline)).collect(),
        process: line(&ledger.process),
        system: line(&ledger.system),
    }
}

fn of_window(ledger: &Ledger, name: &str, length: u64, end: i64) -> AvailabilityMetrics {
    let window = [Window::last(seconds(length))];
    let now = Moment(end * 1000);
    let [metrics] = match name {
        "" => ledger.system_metrics(window, now),
        name => ledger.component_metrics(name, window, now).expect("known"),
    };
    metrics
}

fn partition(metrics: &AvailabilityMetrics) -> [f64; 5] {
    [
        metrics.uptime_seconds,
        metrics.degraded_seconds,
        metrics.downtime_seconds,
        metrics.maintenance_seconds,
        metrics.unobserved_seconds,
    ]
}

/// Each line of the reference with the name that the ledger knows it by.
fn named(lines: &Lines) -> impl Iterator<Item = (&'static str, &Vec<ComponentState>)> {
    let others = [(PROCESS, &lines.process), ("", &lines.system)];
    NAMES.into_iter().zip(&lines.checks).chain(others)
}

proptest! {
    #[test]
    fn every_second_is_what_the_reference_says_and_is_counted_once(
        checks in any_checks(),
        script in any_script(0..40, true),
        length in 0_usize..4_000,
    ) {
        let end = end_of(&script);
        let ledger = play(NAMES, &checks, &script, end);
        let model = model::walk(&checks, &script, end);
        prop_assert_eq!(&lines_of(&ledger, NAMES, end), &model);
        for (name, line) in named(&model) {
            let parts = partition(&of_window(&ledger, name, length as u64, end));
            prop_assert_eq!(parts, model::seconds(line, length), "{} in {} s", name, length);
            prop_assert_eq!(parts.iter().sum::<f64>(), length as f64, "U + G + D + M + X of {}", name);
        }
    }

    #[test]
    fn incidents_and_repairs_are_those_of_the_reference(
        checks in any_checks(),
        script in any_script(0..40, true),
        length in 1_usize..4_000,
    ) {
        let end = end_of(&script);
        let ledger = play(NAMES, &checks, &script, end);
        let model = model::walk(&checks, &script, end);
        for (name, line) in named(&model) {
            let from = (end as usize).saturating_sub(length);
            let outages = model::outages(line).into_iter().filter(|outage| outage.end > from);
            let outages: Vec<_> = outages.collect();
            let over: Vec<_> = outages.iter().filter(|outage| outage.over).collect();
            let repaired: f64 = over.iter().map(|outage| outage.down).sum();
            let metrics = of_window(&ledger, name, length as u64, end);
            prop_assert_eq!(metrics.incidents, outages.len() as u64, "{}", name);
            prop_assert_eq!(metrics.mttr_count, over.len() as u64, "{}", name);
            let mean = (!over.is_empty()).then(|| repaired / over.len() as f64);
            prop_assert_eq!(metrics.mttr, mean, "{}", name);
            let [up, degraded, down, ..] = model::seconds(line, length);
            let served = up + degraded;
            let mtbf = (!outages.is_empty()).then(|| served / outages.len() as f64);
            prop_assert_eq!(metrics.mtbf, mtbf, "{}", name);
            let least = (outages.is_empty() && served > 0.0).then_some(served);
            prop_assert_eq!(metrics.mtbf_at_least, least, "{}", name);
            let available = (served + down > 0.0).then(|| served / (served + down) * 100.0);
            prop_assert_eq!(metrics.availability_percentage, available, "{}", name);
        }
        for (name, line) in NAMES.into_iter().zip(&model.checks) {
            let of_it = incidents(&ledger, end as f64).into_iter().filter(|i| &*i.component == name);
            let down: f64 = of_it.map(|incident| incident.duration_seconds).sum();
            prop_assert_eq!(down, model::seconds(line, end as usize)[2], "what {}'s incidents say", name);
        }
    }

    #[test]
    fn the_order_of_overlapping_incidents_is_irrelevant(
        checks in any_checks(),
        mut script in any_script(0..2, false),
        order in Just([0_usize, 1, 2]).prop_shuffle(),
    ) {
        // Every ten seconds several runs, and many incidents at once.
        script.iter_mut().for_each(|(second, _)| *second *= INTERVAL);
        let end = end_of(&script);
        let ledger = play(NAMES, &checks, &script, end);
        let told = lines_of(&ledger, NAMES, end);

        // Those of one second in another order, and each check's among themselves in theirs.
        let place = |step: &Step| match step {
            Step::Run { check, .. } => order[*check],
            Step::Restart { .. } => 0,
        };
        let mut other = script.clone();
        other.sort_by_key(|(second, step)| (*second, place(step)));
        prop_assert_eq!(&lines_of(&play(NAMES, &checks, &other, end), NAMES, end), &told);

        // The same to components that are called otherwise.
        let names = order.map(|index| NAMES[index]);
        prop_assert_eq!(&lines_of(&play(names, &checks, &script, end), names, end), &told);
    }

    #[test]
    fn cutting_a_run_in_two_changes_nothing(
        script in any_script(2..20, false),
    ) {
        let end = end_of(&script);
        let whole = play(NAMES, &STRICT, &script, end);
        // Between each run and the next of its component, the same once more.
        let mut cut = script.clone();
        for (index, &(second, step)) in script.iter().enumerate() {
            let Step::Run { check, .. } = step else { continue };
            let later = script[index + 1..].iter();
            let next = later.filter(|(_, step)| matches!(step, Step::Run { check: c, .. } if *c == check));
            let until = next.map(|(second, _)| *second).next().unwrap_or(end);
            cut.extend((second..until).step_by(9).skip(1).map(|middle| (middle, step)));
        }
        cut.sort_by_key(|(second, _)| *second);
        let filled = model::walk(&STRICT, &cut, end);
        prop_assert_eq!(&lines_of(&play(NAMES, &STRICT, &cut, end), NAMES, end), &filled);
        // What was silent is observed now; of all else every second is the same.
        let before = lines_of(&whole, NAMES, end);
        for (line, cut) in before.checks.iter().zip(&filled.checks) {
            for (was, is) in line.iter().zip(cut) {
                prop_assert!(was == is || *was == ComponentState::Unobserved);
            }
        }
    }

    #[test]
    fn a_span_that_is_told_in_two_parts_is_one(
        changes in prop::collection::vec((2_i64..500, 0_usize..5), 1..30),
    ) {
        let mut second = 0;
        let mut timelines = [(); 2].map(|()| Timeline::new(at(0.0), ComponentState::Unobserved));
        for (gap, state) in changes {
            let [whole, cut] = &mut timelines;
            let (_, before) = cut.last();
            cut.set_from(Moment((second + gap / 2) * 1000), before);
            second += gap;
            for line in [whole, cut] {
                line.set_from(Moment(second * 1000), ComponentState::ALL[state]);
            }
        }
        let [whole, cut] = &timelines;
        let (now, target) = (Moment((second + 100) * 1000), crate::availability::slo::Objective::of_target(99.9));
        prop_assert_eq!(whole.life(now), cut.life(now));
        prop_assert_eq!(whole.outages(now), cut.outages(now));
        prop_assert_eq!(Slo::of(target, whole, now), Slo::of(target, cut, now));
    }

    #[test]
    fn a_longer_window_never_has_less_of_anything(
        checks in any_checks(),
        script in any_script(0..40, true),
        mut lengths in prop::collection::vec(0_u64..4_000, 2..8),
    ) {
        let end = end_of(&script);
        let ledger = play(NAMES, &checks, &script, end);
        lengths.sort_unstable();
        for name in NAMES.into_iter().chain([PROCESS, ""]) {
            let windows: Vec<_> =
                lengths.iter().map(|length| of_window(&ledger, name, *length, end)).collect();
            for pair in windows.windows(2) {
                let states = partition(&pair[0]).into_iter().zip(partition(&pair[1]));
                for (shorter, longer) in states {
                    prop_assert!(shorter <= longer, "{} in {:?}", name, pair);
                }
                prop_assert!(pair[0].incidents <= pair[1].incidents);
                prop_assert!(pair[0].mttr_count <= pair[1].mttr_count);
            }
        }
    }

    #[test]
    fn a_restart_in_the_middle_changes_only_unobserved_time_and_the_process(
        script in regular_script(),
        place in any::<prop::sample::Index>(),
        off in 1_i64..19,
        clean in any::<bool>(),
    ) {
        // Right behind a run; what would have happened while it is off does not.
        let cut = script[place.index(script.len())].0 + 1;
        let back = cut + off;
        let end = end_of(&script).max(back + 1);
        let happens = |(second, _): &&(i64, Step)| *second < cut || *second >= back;
        let kept: Script = script.iter().filter(happens).copied().collect();
        let mut restarted = kept.clone();
        let restart = (cut, Step::Restart { off, clean });
        restarted.insert(kept.partition_point(|(second, _)| *second < cut), restart);

        let without = lines_of(&play(NAMES, &STRICT, &kept, end), NAMES, end);
        let with = lines_of(&play(NAMES, &STRICT, &restarted, end), NAMES, end);
        for (index, (was, is)) in without.checks.iter().zip(&with.checks).enumerate() {
            let of_it = |step: &Step| matches!(step, Step::Run { check, .. } if *check == index);
            let next = kept.iter().find(|(second, step)| *second >= back && of_it(step));
            let seen_again = next.map_or(end, |(second, _)| *second);
            for second in 0..end {
                let (was, is) = (was[second as usize], is[second as usize]);
                let nobody_looked = (cut..seen_again).contains(&second);
                let expected = if nobody_looked { ComponentState::Unobserved } else { was };
                prop_assert_eq!(is, expected, "{} at {}", NAMES[index], second);
            }
        }
        let state = if clean { ComponentState::Unobserved } else { ComponentState::Down };
        for second in 0..end {
            let off = (cut..back).contains(&second);
            let expected = if off { state } else { ComponentState::Up };
            prop_assert_eq!(with.process[second as usize], expected);
            if off {
                prop_assert_eq!(with.system[second as usize], state);
            }
        }
    }

    #[test]
    fn availability_is_mtbf_over_mtbf_and_mttr_where_every_incident_lies_inside(
        mut script in any_script(1..40, true),
    ) {
        // All are well at the end, so that nothing is left open.
        let last = end_of(&script) + 100;
        let status = HealthStatus::Healthy;
        script.extend((0..NAMES.len()).map(|check| (last, Step::Run { check, status })));
        let end = last + 20;
        let ledger = play(NAMES, &STRICT, &script, end);
        for name in NAMES.into_iter().chain([PROCESS, ""]) {
            let all = of_window(&ledger, name, end as u64, end);
            let holds = match (all.mtbf, all.mttr, all.availability_percentage) {
                (Some(mtbf), Some(mttr), Some(percentage)) => {
                    (percentage / 100.0 - mtbf / (mtbf + mttr)).abs() < 1e-9
                }
                (mtbf, mttr, _) => mtbf.is_none() && mttr.is_none() && all.downtime_seconds == 0.0,
            };
            prop_assert!(holds, "{}: {:?}", name, all);
        }
    }
}
