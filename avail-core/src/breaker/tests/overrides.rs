//! What an operator lays over a breaker.

use tokio::time::advance;

use chrono::TimeDelta;

use super::*;
use crate::testing::isolated;

fn for_a_while(ttl: Duration) -> OverrideOptions {
    OverrideOptions { ttl: Some(ttl), actor: "anna".into(), ..OverrideOptions::reason("migrating") }
}

#[tokio::test(start_paused = true)]
async fn forced_open_outlives_ten_open_times() {
    let _isolated = isolated();
    let breaker = breaker(config());
    breaker.force_open("deploying");
    for _ in 0..10 {
        advance(OPEN_TIME).await;
        let error = breaker.acquire().expect_err("forced open");
        assert_eq!(error.to_string(), "circuit breaker `storage` is open: forced open: deploying");
        assert_eq!(breaker.state(), CircuitState::Open);
    }
    assert_eq!(breaker.metrics().rejections.forced_open, 10);
    breaker.reset();
    breaker.acquire().expect_err("a reset leaves the override");
    breaker.clear_override();
    succeed(&breaker);
    assert_eq!((breaker.state(), breaker.active_override()), (CircuitState::Closed, None));
}

#[tokio::test(start_paused = true)]
async fn clearing_gives_a_fresh_closed_breaker_whatever_stood_beneath() {
    let _isolated = isolated();
    let breaker = breaker(config());
    breaker.trip();
    let before = breaker.metrics().state;
    breaker.set_override(Override::Disabled, OverrideOptions::default());
    assert_eq!((before, breaker.state()), (CircuitState::Open, CircuitState::Closed));
    (0..10).for_each(|_| fail(&breaker));
    breaker.clear_override();
    assert_eq!((breaker.state(), breaker.failure_count()), (CircuitState::Closed, 0));
    breaker.clear_override(); // a second time it does nothing
    fail(&breaker);
    assert_eq!(breaker.failure_count(), 1);
}

#[tokio::test(start_paused = true)]
async fn disabled_lets_every_call_pass_and_counts_it() {
    let _isolated = isolated();
    let breaker = breaker(config());
    breaker.set_override(Override::Disabled, OverrideOptions::reason("it lies"));
    (0..10).for_each(|_| fail(&breaker));
    breaker.trip(); // does nothing
    let metrics = breaker.metrics();
    assert_eq!((metrics.state, metrics.calls.failure), (CircuitState::Closed, 10));
    assert_eq!((metrics.failure_count, metrics.would_open), (10, 0));
}

#[tokio::test(start_paused = true)]
async fn shadow_rejects_nothing_and_reports_each_time_it_would_have_opened() {
    let _isolated = isolated();
    let breaker = breaker(config().shadow(true));
    let kind = breaker.active_override().map(|own| own.kind);
    assert_eq!(kind, Some(Override::Shadow));
    (0..7).for_each(|_| fail(&breaker));
    let metrics = breaker.metrics();
    assert_eq!((metrics.state, metrics.would_open), (CircuitState::Closed, 2));
    assert_eq!(metrics.failure_count, 1);
    breaker.clear_override();
    (0..3).for_each(|_| fail(&breaker));
    assert_eq!(breaker.state(), CircuitState::Open);
}

#[tokio::test(start_paused = true)]
async fn an_override_says_who_why_and_until_when_and_ends_then() {
    let _isolated = isolated();
    let breaker = breaker(config());
    breaker.set_override(Override::ForcedOpen, for_a_while(Duration::from_secs(60)));
    let own = breaker.active_override().expect("it is in force");
    assert_eq!((&*own.reason, &*own.actor), ("migrating", "anna"));
    assert_eq!(own.until, Some(own.since + TimeDelta::seconds(60)));
    advance(Duration::from_secs(59)).await;
    assert_eq!(retry_after(&breaker), Some(Duration::from_secs(1)));
    advance(Duration::from_secs(1)).await;
    assert_eq!((breaker.state(), breaker.active_override()), (CircuitState::Closed, None));
    succeed(&breaker);
}

#[tokio::test(start_paused = true)]
async fn an_override_without_an_end_takes_the_place_of_one_with() {
    let _isolated = isolated();
    let breaker = breaker(config());
    breaker.set_override(Override::ForcedOpen, for_a_while(Duration::from_secs(60)));
    breaker.force_open("longer than we thought");
    advance(Duration::from_secs(3600)).await;
    assert_eq!(retry_after(&breaker), None);
    breaker.set_override(Override::ForcedOpen, for_a_while(Duration::MAX));
    advance(Duration::from_secs(3600)).await;
    breaker.acquire().expect_err("it lasts longer than time");
}

#[tokio::test(start_paused = true)]
async fn calls_under_way_count_for_nothing_once_an_override_comes_or_goes() {
    let _isolated = isolated();
    let breaker = breaker(config().failure_threshold(1));
    let before = breaker.acquire().expect("closed");
    breaker.set_override(Override::Disabled, OverrideOptions::default());
    let during = breaker.acquire().expect("disabled");
    before.failure();
    breaker.clear_override();
    during.failure();
    assert_eq!((breaker.state(), breaker.metrics().calls.stale), (CircuitState::Closed, 2));
}

#[tokio::test(start_paused = true)]
async fn the_time_in_a_state_never_shrinks_when_an_end_is_noticed_late() {
    let _isolated = isolated();
    let forced = breaker(config());
    forced.set_override(Override::ForcedOpen, for_a_while(Duration::from_secs(60)));
    advance(Duration::from_secs(100)).await;
    let before = forced.metrics().state_seconds;
    assert_eq!((before.open, before.closed), (60.0, 40.0));
    succeed(&forced);
    assert_eq!(forced.metrics().state_seconds, before);

    let probed = breaker(config());
    probed.trip();
    advance(OPEN_TIME).await;
    let _hung = probed.acquire().expect("a probe");
    advance(LEASE + Duration::from_secs(5)).await;
    let before = probed.metrics().state_seconds;
    assert_eq!((before.open, before.half_open), (10.0, 60.0));
    probed.acquire().expect_err("it re-opened five seconds ago");
    let after = probed.metrics().state_seconds;
    assert_eq!((after.open, after.half_open), (15.0, 60.0));
}
