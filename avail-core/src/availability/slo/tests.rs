use proptest::prelude::*;

use super::*;
use crate::availability::timeline::ComponentState::{Degraded, Down, Maintenance, Unobserved, Up};

const DAY: i64 = 86_400;
const NOW: i64 = 30 * DAY;

fn line(changes: &[(i64, ComponentState)]) -> Timeline {
    let mut timeline = Timeline::new(Moment(changes[0].0 * 1000), changes[0].1);
    for &(seconds, state) in &changes[1..] {
        timeline.set_from(Moment(seconds * 1000), state);
    }
    timeline
}

fn slo(percent: f64, timeline: &Timeline) -> Slo {
    Slo::of(Objective::of_target(percent), timeline, Moment(NOW * 1000))
}

/// Up for 30 days, but for the last `seconds` before `ago` seconds ago.
fn down_for(seconds: i64, ago: i64) -> Timeline {
    line(&[(0, Up), (NOW - ago - seconds, Down), (NOW - ago, Up)])
}

#[test]
fn three_nines_of_thirty_days_leave_room_for_43_minutes() {
    let slo = slo(99.9, &down_for(600, 10 * DAY));
    let budget = slo.error_budget;
    assert_eq!((budget.total_seconds, budget.spent_seconds), (2_592.0, 600.0));
    assert_eq!(budget.remaining_seconds, 1_992.0);
    assert_eq!(budget.remaining_ratio, Some(1_992.0 / 2_592.0));
    assert_eq!((slo.objective, slo.window_seconds, slo.coverage), (99.9, NOW as f64, 1.0));
}

#[test]
fn what_was_overspent_is_negative() {
    let budget = slo(99.9, &down_for(5_184, 10 * DAY)).error_budget;
    assert_eq!((budget.remaining_seconds, budget.remaining_ratio), (-2_592.0, Some(-1.0)));
}

#[test]
fn the_common_objectives_allow_what_they_say_to_the_digit() {
    let cases = [(99.0, 0.01), (99.5, 0.005), (99.9, 0.001), (99.95, 0.0005), (99.99, 0.0001)];
    for (percent, allowed) in cases {
        assert_eq!(Objective::of_target(percent).allowed(), allowed, "{percent} %");
    }
}

#[test]
fn unobserved_time_and_maintenance_are_on_neither_side() {
    let timeline = line(&[
        (0, Unobserved),
        (NOW - 5_000, Up),
        (NOW - 3_000, Maintenance),
        (NOW - 2_000, Degraded),
        (NOW - 900, Down),
    ]);
    let slo = slo(90.0, &timeline);
    assert_eq!((slo.error_budget.total_seconds, slo.error_budget.spent_seconds), (400.0, 900.0));
    assert_eq!(slo.burn_rate("30m"), Some(5.0), "900 of 1,800 seconds");
    assert_eq!(slo.burn_rate("3d"), Some(2.25), "900 of 4,000 seconds");
    let coverage: Vec<_> = slo.burn_rates.iter().map(|rate| rate.coverage).collect();
    assert_eq!(coverage[..2], [1.0, 1.0]);
    assert_eq!(coverage[2], 2_600.0 / 2_600.0, "an hour with a thousand seconds of maintenance");
    assert_eq!(coverage[6], 4_000.0 / (259_200.0 - 1_000.0));
}

#[test]
fn where_nothing_was_observed_there_is_no_rate_no_budget_and_no_alert() {
    let slo = slo(99.9, &line(&[(0, Down), (DAY, Unobserved), (29 * DAY, Maintenance)]));
    assert!(slo.burn_rates.iter().all(|rate| rate.rate.is_none() && rate.coverage == 0.0));
    assert_eq!(slo.alert, None);
    let never =
        super::Slo::of(Objective::of_target(99.9), &line(&[(NOW, Unobserved)]), Moment(NOW * 1000));
    assert_eq!((never.availability_percentage, never.error_budget.remaining_ratio), (None, None));
    assert_eq!(
        serde_json::to_value(never.burn_rates[0]).expect("JSON")["rate"],
        serde_json::Value::Null
    );
}

#[test]
fn a_target_of_100_percent_leaves_nothing_to_burn() {
    let slo = slo(100.0, &down_for(600, 0));
    assert_eq!(slo.error_budget.remaining_seconds, -600.0);
    assert_eq!((slo.error_budget.remaining_ratio, slo.burn_rate("5m")), (None, None));
    assert_eq!(slo.alert, None);
}

#[test]
fn each_rule_holds_from_its_factor_on_in_both_its_windows() {
    // Objective 99 %: the budget burns at 14.4 where 14.4 % of the time is down. The down time is
    // spread so that both windows of the rule have just that much, and no rule before it holds.
    let at_end = |short: i64, long: i64, factor: f64| {
        let (in_short, in_long) = (factor * short as f64 / 100.0, factor * long as f64 / 100.0);
        let [in_short, in_long] = [in_short, in_long].map(|seconds| seconds.ceil() as i64);
        line(&[
            (0, Up),
            (NOW - long, Down),
            (NOW - long + in_long - in_short, Up),
            (NOW - short, Down),
            (NOW - short + in_short, Up),
        ])
    };
    let cases = [
        (14.4, 300, 3_600, 0, AlertSeverity::Page),
        (6.0, 1_800, 21_600, 1, AlertSeverity::Page),
        (3.0, 7_200, 86_400, 2, AlertSeverity::Ticket),
        (1.0, 21_600, 259_200, 3, AlertSeverity::Ticket),
    ];
    for (factor, short, long, rule, severity) in cases {
        let holds = slo(99.0, &at_end(short, long, factor));
        assert!(holds.alerts[rule].firing, "{factor}x: {:?}", holds.burn_rates);
        assert!(holds.alert >= Some(severity), "{factor}x");
        let below = slo(99.0, &at_end(short, long, factor * 0.97));
        assert!(!below.alerts[rule].firing, "{factor}x: {:?}", below.burn_rates);
    }
}

#[test]
fn an_outage_that_is_over_pages_nobody_and_one_that_has_just_begun_neither() {
    let over = slo(99.9, &down_for(600, 1_800));
    assert!(over.burn_rate("1h") > Some(14.4));
    assert_eq!((over.burn_rate("5m"), over.alert), (Some(0.0), Some(AlertSeverity::Ticket)));
    let begun = slo(99.9, &down_for(10, 0));
    assert!(begun.burn_rate("5m") > Some(14.4));
    assert!(!begun.alerts[0].firing && begun.alert.is_none());
    assert_eq!(slo(99.9, &down_for(600, 0)).alert, Some(AlertSeverity::Page));
}

fn any_state() -> impl Strategy<Value = ComponentState> {
    prop::sample::select(ComponentState::ALL.to_vec())
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(64))]

    #[test]
    fn something_is_left_exactly_while_the_objective_is_met(
        changes in prop::collection::vec((1_i64..200_000, any_state()), 1..40),
        thousandths in 1_u32..100_000,
    ) {
        let mut at = 0;
        let changes = changes.into_iter().map(|(gap, state)| { at += gap; (at, state) });
        let timeline = line(&[(0, Unobserved)].into_iter().chain(changes).collect::<Vec<_>>());
        let objective = f64::from(thousandths) / 1000.0;
        let slo = slo(objective, &timeline);
        let totals = timeline.totals(Span::new(Moment(0), Moment(NOW * 1000)));
        // In whole numbers: D · 100,000 at most (100,000 − thousandths) · observed.
        let observed = i128::from(totals.observed());
        let allowed = i128::from(100_000 - thousandths) * observed;
        let margin = allowed - i128::from(totals.of(Down)) * 100_000;
        let left = slo.error_budget.remaining_ratio;
        if margin != 0 {
            prop_assert_eq!(left.map(|left| left >= 0.0), (observed > 0).then_some(margin > 0));
        }
    }

    #[test]
    fn burn_rates_are_what_counting_each_second_gives(
        changes in prop::collection::vec((1_i64..20_000, any_state()), 1..40),
        percent in 50.0..99.99,
    ) {
        let begin = NOW - 4 * DAY;
        let mut at = begin;
        let mut seconds = vec![Unobserved; (NOW - begin) as usize];
        let mut all = vec![(at, Unobserved)];
        for (gap, state) in changes {
            at += gap;
            if at >= NOW { break; }
            all.push((at, state));
            seconds[(at - begin) as usize..].fill(state);
        }
        let slo = slo(percent, &line(&all));
        for (rate, (window, length)) in slo.burn_rates.iter().zip(WINDOWS) {
            let part = &seconds[(NOW - length as i64 - begin) as usize..];
            let count = |state| part.iter().filter(|second| **second == state).count() as f64;
            let observed = count(Up) + count(Degraded) + count(Down);
            let expected = (observed > 0.0).then(|| count(Down) / observed / ((100.0 - percent) / 100.0));
            match (rate.rate, expected) {
                (Some(rate), Some(expected)) => {
                    prop_assert!((rate - expected).abs() <= 1e-6 * expected, "{window}: {rate}, {expected}");
                }
                (rate, expected) => prop_assert_eq!(rate, expected, "{}", window),
            }
        }
    }
}
