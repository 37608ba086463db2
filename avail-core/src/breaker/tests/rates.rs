//! The rules over many calls, the open times that grow, and settings that change.

use std::future::pending;
use std::mem::ManuallyDrop;
use std::sync::Mutex;

use tokio::time::{Instant, advance, sleep, timeout};

use super::*;
use crate::testing::isolated;

const SLOW: Duration = Duration::from_millis(500);
const NEARLY_SLOW: Duration = Duration::from_millis(499);

/// Half of the last ten calls, once there are four.
fn rates() -> CircuitBreakerConfigBuilder {
    CircuitBreakerConfig::builder()
        .failure_rate(0.5)
        .window(10)
        .min_calls(4)
        .success_threshold(1)
        .timeout(OPEN_TIME)
}

/// Half of the last four calls took half a second.
fn slowness() -> CircuitBreakerConfigBuilder {
    CircuitBreakerConfig::builder()
        .slow_call_rate(0.5)
        .slow_call(SLOW)
        .window(4)
        .min_calls(4)
        .success_threshold(1)
        .timeout(OPEN_TIME)
}

fn reason(breaker: &CircuitBreaker) -> Option<OpenReason> {
    breaker.metrics().reason
}

/// A call that takes its time and succeeds.
async fn take(breaker: &CircuitBreaker, time: Duration) {
    let slowly = || async {
        advance(time).await;
        Ok::<_, &str>(())
    };
    assert_eq!(breaker.call(slowly).await, Ok(()));
}

/// A call that hangs until its caller has had enough.
async fn give_up_after(breaker: &CircuitBreaker, patience: Duration) {
    let call = breaker.call(pending::<Result<(), &str>>);
    timeout(patience, call).await.expect_err("it hangs");
}

/// Opens it, and lets `times` probes fail, each as soon as it may; how long it was open each time.
async fn open_times(breaker: &CircuitBreaker, times: usize) -> Vec<f64> {
    breaker.trip();
    let mut seconds = Vec::new();
    for _ in 0..times {
        let wait = retry_after(breaker).expect("it is open");
        seconds.push(wait.as_secs_f64());
        advance(wait).await;
        fail(breaker);
    }
    seconds
}

#[tokio::test(start_paused = true)]
async fn a_failure_rate_opens_it_as_soon_as_it_is_reached_and_everyone_is_told_why() {
    let _isolated = isolated();
    let breaker = breaker(rates());
    let causes: Arc<Mutex<Vec<Cause>>> = Arc::default();
    let heard = causes.clone();
    let _subscription = breaker.subscribe(move |event| {
        heard.lock().expect("no listener panics here").push(event.cause.clone());
    });
    for call in [succeed, succeed, fail] {
        call(&breaker);
    }
    assert_eq!(breaker.state(), CircuitState::Closed);
    let failed = breaker.call(|| async { Err::<(), _>("refused") }).await;
    assert_eq!(failed, Err(CallError::Operation("refused")));
    assert_eq!(breaker.state(), CircuitState::Open);

    let reason = OpenReason::FailureRate { failed: 2, calls: 4 };
    let error = breaker.acquire().expect_err("open");
    assert_eq!(
        error.to_string(),
        "circuit breaker `storage` is open: 2 of 4 calls failed (retry after 10.0 s)"
    );
    let CircuitBreakerError::Open { reason: told, .. } = error else { unreachable!("{error}") };
    assert_eq!(told, reason);
    let opened = Cause::Opened { reason: reason.clone(), for_at_least: OPEN_TIME };
    assert_eq!(*causes.lock().expect("no listener panics here"), [opened]);
    assert_eq!(breaker.metrics().reason, Some(reason));
    let json = serde_json::to_value(breaker.metrics()).expect("it can be shown");
    assert_eq!(
        json["reason"],
        serde_json::json!({ "kind": "failure_rate", "failed": 2, "calls": 4 })
    );
}

#[tokio::test(start_paused = true)]
async fn a_rate_over_calls_is_over_the_last_ones_alone() {
    let _isolated = isolated();
    let breaker = breaker(rates().min_calls(10));
    (0..4).for_each(|_| fail(&breaker));
    (0..10).for_each(|_| succeed(&breaker));
    (0..4).for_each(|_| fail(&breaker));
    assert_eq!(breaker.state(), CircuitState::Closed);
    fail(&breaker);
    assert_eq!(reason(&breaker), Some(OpenReason::FailureRate { failed: 5, calls: 10 }));
}

#[tokio::test(start_paused = true)]
async fn a_rate_over_time_is_over_that_time_alone() {
    let _isolated = isolated();
    let over_time = || rates().window(Duration::from_secs(10)).min_calls(2);
    let within = breaker(over_time());
    fail(&within);
    advance(Duration::from_secs(10)).await;
    fail(&within);
    assert_eq!(reason(&within), Some(OpenReason::FailureRate { failed: 2, calls: 2 }));

    let apart = breaker(over_time());
    for _ in 0..10 {
        fail(&apart);
        advance(Duration::from_secs(11)).await;
    }
    assert_eq!(apart.state(), CircuitState::Closed);
}

#[tokio::test(start_paused = true)]
async fn a_success_that_completes_the_least_number_of_calls_opens_it_too() {
    let _isolated = isolated();
    for config in [rates(), rates().window(Duration::from_secs(10))] {
        let breaker = breaker(config);
        for call in [fail, fail, succeed] {
            call(&breaker);
        }
        assert_eq!(breaker.state(), CircuitState::Closed);
        succeed(&breaker);
        assert_eq!(reason(&breaker), Some(OpenReason::FailureRate { failed: 2, calls: 4 }));
    }
}

#[tokio::test(start_paused = true)]
async fn a_rate_by_itself_has_no_streak_beside_it() {
    let _isolated = isolated();
    let breaker = breaker(rates().min_calls(10));
    (0..9).for_each(|_| fail(&breaker));
    assert_eq!((breaker.state(), breaker.failure_count()), (CircuitState::Closed, 9));
    fail(&breaker);
    assert_eq!(reason(&breaker), Some(OpenReason::FailureRate { failed: 10, calls: 10 }));
}

#[tokio::test(start_paused = true)]
async fn a_rate_and_a_streak_each_open_it() {
    let _isolated = isolated();
    let streak = breaker(rates().failure_threshold(3));
    (0..3).for_each(|_| fail(&streak));
    assert_eq!(reason(&streak), Some(OpenReason::ConsecutiveFailures { failures: 3 }));

    let rate = breaker(rates().failure_threshold(3));
    for call in [fail, fail, succeed, succeed] {
        call(&rate);
    }
    assert_eq!(reason(&rate), Some(OpenReason::FailureRate { failed: 2, calls: 4 }));
}

#[tokio::test(start_paused = true)]
async fn calls_that_succeed_but_are_slow_open_it() {
    let _isolated = isolated();
    let breaker = breaker(slowness());
    for time in [NEARLY_SLOW, SLOW, NEARLY_SLOW] {
        take(&breaker, time).await;
    }
    assert_eq!(breaker.state(), CircuitState::Closed);
    take(&breaker, SLOW).await;
    assert_eq!(reason(&breaker), Some(OpenReason::SlowCallRate { slow: 2, calls: 4 }));
    assert_eq!(breaker.metrics().calls.success, 4);
    let error = breaker.acquire().expect_err("open");
    assert!(error.to_string().contains("2 of 4 calls were slow"), "{error}");
}

#[tokio::test(start_paused = true)]
async fn a_permit_is_timed_from_the_moment_it_was_acquired() {
    let _isolated = isolated();
    let breaker = breaker(slowness());
    let permits: Vec<_> = (0..4).map(|_| breaker.acquire().expect("closed")).collect();
    for (index, permit) in permits.into_iter().enumerate() {
        if index == 2 {
            advance(SLOW).await;
        }
        permit.success();
    }
    assert_eq!(reason(&breaker), Some(OpenReason::SlowCallRate { slow: 2, calls: 4 }));
}

#[tokio::test(start_paused = true)]
async fn a_call_longer_than_the_window_counts_when_it_ends() {
    let _isolated = isolated();
    let breaker = breaker(slowness().window(Duration::from_secs(1)).min_calls(1));
    take(&breaker, Duration::from_secs(60)).await;
    assert_eq!(reason(&breaker), Some(OpenReason::SlowCallRate { slow: 1, calls: 1 }));
}

#[tokio::test(start_paused = true)]
async fn what_says_nothing_is_in_no_rate() {
    let _isolated = isolated();
    for config in [rates().min_calls(2), slowness().min_calls(2).failure_rate(0.5)] {
        let breaker = breaker(config);
        fail(&breaker);
        (0..20).for_each(|_| ignore(&breaker));
        for _ in 0..20 {
            give_up_after(&breaker, NEARLY_SLOW).await;
        }
        let late = breaker.acquire().expect("closed");
        advance(SLOW).await;
        late.ignore();
        assert_eq!(breaker.state(), CircuitState::Closed);
        fail(&breaker);
        assert_eq!(reason(&breaker), Some(OpenReason::FailureRate { failed: 2, calls: 2 }));
    }
}

#[tokio::test(start_paused = true)]
async fn a_call_that_is_given_up_late_has_failed_and_was_slow() {
    let _isolated = isolated();
    let failed = breaker(rates().min_calls(2));
    let slow = breaker(slowness().min_calls(2).cancel_failure_after(SLOW));
    for breaker in [&failed, &slow] {
        assert_eq!(breaker.state(), CircuitState::Closed);
        for _ in 0..2 {
            give_up_after(breaker, Duration::from_secs(1)).await;
        }
        assert_eq!(breaker.metrics().calls.cancelled_overdue, 2);
    }
    assert_eq!(reason(&failed), Some(OpenReason::FailureRate { failed: 2, calls: 2 }));
    assert_eq!(reason(&slow), Some(OpenReason::SlowCallRate { slow: 2, calls: 2 }));
}

#[tokio::test(start_paused = true)]
async fn a_call_that_is_cut_off_has_failed_and_was_slow_and_says_so() {
    let _isolated = isolated();
    let limit = Duration::from_secs(3);
    let streak = breaker(config().failure_threshold(2).call_timeout(limit));
    let failed = breaker(rates().min_calls(2).call_timeout(limit));
    // Slow, although five seconds were never reached.
    let slow_call = Duration::from_secs(5);
    let slow = breaker(slowness().slow_call(slow_call).min_calls(2).call_timeout(limit));
    for breaker in [&streak, &failed, &slow] {
        for _ in 0..2 {
            assert_eq!(breaker.state(), CircuitState::Closed);
            let held = Arc::new(());
            let inside = held.clone();
            let hang = || async move {
                let _held = inside;
                pending::<Result<(), &str>>().await
            };
            let began = tokio::time::Instant::now();
            let error = breaker.call(hang).await.expect_err("it hangs");
            assert_eq!(began.elapsed(), limit);
            let own = error.circuit_breaker().expect("the breaker's own");
            let CircuitBreakerError::Timeout { name, after } = own else { unreachable!("{own}") };
            assert_eq!((&**name, *after), ("storage", limit));
            assert_eq!(Arc::strong_count(&held), 1, "its future is gone");
        }
        let calls = breaker.metrics().calls;
        assert_eq!((calls.timeout, calls.failure, calls.cancelled_overdue), (2, 0, 0));
        breaker.acquire().expect_err("open");
    }
    assert_eq!(reason(&streak), Some(OpenReason::ConsecutiveFailures { failures: 2 }));
    assert_eq!(reason(&failed), Some(OpenReason::FailureRate { failed: 2, calls: 2 }));
    assert_eq!(reason(&slow), Some(OpenReason::SlowCallRate { slow: 2, calls: 2 }));
}

#[tokio::test(start_paused = true)]
async fn a_call_under_way_keeps_the_limit_that_it_began_with() {
    let _isolated = isolated();
    let (second, limit) = (Duration::from_secs(1), Duration::from_secs(10));
    for other in [config(), config().call_timeout(second), config().call_timeout(10 * limit)] {
        let breaker = breaker(config().call_timeout(limit));
        let reconfigured = async {
            sleep(second).await;
            breaker.reconfigure(other.build().expect("valid")).expect("valid");
            sleep(2 * second).await; // both futures are polled again then
        };
        let began = Instant::now();
        let call = breaker.call(pending::<Result<(), &str>>);
        let (result, ()) = tokio::join!(timeout(100 * limit, call), reconfigured);
        let error = result.expect("it is cut off").expect_err("it hangs");
        let error = error.circuit_breaker().expect("by the breaker").to_string();
        assert!(error.ends_with("gave the call up after 10s"), "{error}");
        assert_eq!(began.elapsed(), limit);
    }
}

#[tokio::test(start_paused = true)]
async fn a_call_within_its_limit_is_not_cut_off_and_a_probe_beyond_it_reopens() {
    let _isolated = isolated();
    let breaker = breaker(config().call_timeout(Duration::from_secs(3)));
    take(&breaker, Duration::from_millis(2_999)).await;
    breaker.trip();
    advance(OPEN_TIME).await;
    breaker.call(pending::<Result<(), &str>>).await.expect_err("it hangs");
    assert_eq!(reason(&breaker), Some(OpenReason::ProbeFailed));
    let calls = breaker.metrics().calls;
    assert_eq!((calls.success, calls.timeout), (1, 1));
}

#[tokio::test(start_paused = true)]
async fn calls_that_hang_open_it_where_they_count_while_they_are_under_way() {
    let _isolated = isolated();
    for counts in [true, false] {
        let breaker = breaker(slowness().min_calls(3).slow_in_flight(counts));
        let _hung: Vec<_> = (0..3).map(|_| breaker.acquire().expect("closed")).collect();
        advance(NEARLY_SLOW).await;
        drop(breaker.acquire());
        assert_eq!(breaker.state(), CircuitState::Closed);
        advance(SLOW - NEARLY_SLOW).await;
        drop(breaker.acquire());
        let expected = counts.then_some(OpenReason::SlowCallRate { slow: 3, calls: 3 });
        assert_eq!(reason(&breaker), expected);
    }
}

#[tokio::test(start_paused = true)]
async fn of_calls_that_began_together_those_that_ended_are_under_way_no_more() {
    let _isolated = isolated();
    let breaker = breaker(slowness().slow_in_flight(true));
    let mut permits: Vec<_> = (0..6).map(|_| breaker.acquire().expect("closed")).collect();
    permits.drain(..4).for_each(Permit::success);
    let [one, other] = <[Permit; 2]>::try_from(permits).expect("two are left");
    one.success();
    advance(SLOW).await;
    drop(breaker.acquire());
    assert_eq!(breaker.state(), CircuitState::Closed, "one of five is slow");
    other.success();
    drop(breaker.acquire());
    assert_eq!(breaker.state(), CircuitState::Closed, "one of four was slow");

    breaker.reset();
    let mut permits: Vec<_> = (0..4).map(|_| breaker.acquire().expect("closed")).collect();
    permits.drain(..2).for_each(Permit::success);
    advance(SLOW).await;
    drop(breaker.acquire());
    assert_eq!(reason(&breaker), Some(OpenReason::SlowCallRate { slow: 2, calls: 4 }));
}

#[tokio::test(start_paused = true)]
async fn a_call_that_never_ends_is_under_way_for_as_long_as_a_probe_may_be() {
    let _isolated = isolated();
    let just_before = |time| time - Duration::from_nanos(1);
    let short = SLOW / 10;
    let cases = [
        (LEASE, just_before(LEASE), true),
        (LEASE, LEASE, false),
        (short, just_before(2 * SLOW), true),
        (short, 2 * SLOW, false),
    ];
    for (lease, age, opens) in cases {
        let breaker = breaker(slowness().slow_in_flight(true).probe_timeout(lease));
        let _forgotten = [0; 3].map(|_| ManuallyDrop::new(breaker.acquire().expect("closed")));
        advance(age).await;
        succeed(&breaker);
        assert_eq!(breaker.state() == CircuitState::Open, opens, "{age:?}");
    }
}

#[tokio::test(start_paused = true)]
async fn calls_that_hang_since_an_earlier_epoch_are_in_no_rate() {
    let _isolated = isolated();
    let breaker = breaker(slowness().min_calls(3).slow_in_flight(true));
    let hung: Vec<_> = (0..3).map(|_| breaker.acquire().expect("closed")).collect();
    advance(OPEN_TIME).await;
    breaker.acquire().expect_err("all calls under way are slow: this one is not made");
    assert_eq!(breaker.state(), CircuitState::Open);
    advance(OPEN_TIME).await;
    (0..10).for_each(|_| succeed(&breaker));
    assert_eq!(breaker.state(), CircuitState::Closed);
    hung.into_iter().for_each(Permit::success);
    assert_eq!((breaker.state(), breaker.metrics().calls.stale), (CircuitState::Closed, 3));
}

#[tokio::test(start_paused = true)]
async fn a_window_is_empty_after_every_change() {
    let _isolated = isolated();
    for config in [rates(), rates().window(Duration::from_secs(1_000))] {
        let breaker = breaker(config);
        (0..3).for_each(|_| fail(&breaker));
        breaker.reset();
        (0..3).for_each(|_| fail(&breaker));
        assert_eq!(breaker.state(), CircuitState::Closed);
        fail(&breaker);
        assert_eq!(breaker.state(), CircuitState::Open);
        advance(OPEN_TIME).await;
        (0..4).for_each(|_| succeed(&breaker)); // a probe, and three calls
        (0..2).for_each(|_| fail(&breaker));
        assert_eq!(breaker.state(), CircuitState::Closed);
        fail(&breaker);
        assert_eq!(reason(&breaker), Some(OpenReason::FailureRate { failed: 3, calls: 6 }));
    }
}

#[tokio::test(start_paused = true)]
async fn openings_grow_up_to_their_limit() {
    let _isolated = isolated();
    let growing = || config().backoff(2.0).jitter(0.0);
    let endless = breaker(growing());
    assert_eq!(open_times(&endless, 5).await, [10.0, 20.0, 40.0, 80.0, 160.0]);
    let limited = breaker(growing().max_timeout(Duration::from_secs(30)));
    assert_eq!(open_times(&limited, 5).await, [10.0, 20.0, 30.0, 30.0, 30.0]);
    let constant = breaker(config());
    assert_eq!(open_times(&constant, 3).await, [10.0, 10.0, 10.0]);
}

#[tokio::test(start_paused = true)]
async fn each_timeout_of_health_makes_up_for_one_opening_and_for_no_more() {
    let _isolated = isolated();
    let breaker = breaker(config().backoff(2.0).jitter(0.0));
    // Openings before it, seconds of health, and how long the next opening is.
    for (openings, health, next) in [(4, 0, 160.0), (4, 9, 160.0), (4, 29, 40.0), (4, 1_000, 10.0)]
    {
        breaker.reset();
        open_times(&breaker, openings - 1).await;
        advance(retry_after(&breaker).expect("open")).await;
        succeed(&breaker);
        advance(Duration::from_secs(health)).await;
        (0..3).for_each(|_| fail(&breaker));
        let wait = retry_after(&breaker).expect("it failed three times");
        assert_eq!(wait.as_secs_f64(), next, "{openings} openings, {health} s of health");
    }
}

#[tokio::test(start_paused = true)]
async fn a_jitter_can_be_repeated_and_stays_within_its_bounds() {
    let _isolated = isolated();
    let jittered = |seed: u64| breaker(config().jitter(0.3).jitter_seed(seed));
    let first = open_times(&jittered(7), 50).await;
    assert_eq!(first, open_times(&jittered(7), 50).await);
    assert_ne!(first, open_times(&jittered(8), 50).await);
    assert!(first.iter().all(|seconds| (7.0..=13.0).contains(seconds)), "{first:?}");
    let (short, long) = (|s: &&f64| **s < 8.5, |s: &&f64| **s > 11.5);
    assert!(first.iter().filter(short).count() > 5 && first.iter().filter(long).count() > 5);
}

#[tokio::test(start_paused = true)]
async fn small_seeds_spread_the_first_opening_as_well() {
    let _isolated = isolated();
    let mut short = 0;
    for seed in 0..40 {
        let breaker = breaker(config().jitter(0.5).jitter_seed(seed));
        short += usize::from(open_times(&breaker, 1).await[0] < 10.0);
    }
    assert!((10..=30).contains(&short), "{short} of 40 are shorter");
}

#[tokio::test(start_paused = true)]
async fn a_jitter_is_spread_evenly_however_often_it_is_drawn() {
    let _isolated = isolated();
    let breaker = breaker(config().jitter(0.5).jitter_seed(7));
    let mut drawn = [0; 10];
    for seconds in open_times(&breaker, 1_000).await {
        drawn[(seconds - 5.0) as usize] += 1;
    }
    assert!(drawn.iter().all(|draws| (60..=140).contains(draws)), "{drawn:?}");
}

#[tokio::test(start_paused = true)]
async fn a_growing_opening_is_spread_by_a_tenth_unless_told_otherwise() {
    let _isolated = isolated();
    let breaker = breaker(config().backoff(2.0).max_timeout(OPEN_TIME));
    let seconds = open_times(&breaker, 50).await;
    assert!(seconds.iter().all(|s| (9.0..=11.0).contains(s)), "{seconds:?}");
    assert!(seconds.iter().any(|s| *s != 10.0));
}

#[tokio::test(start_paused = true)]
async fn a_probe_has_as_long_as_a_call_may_take() {
    let _isolated = isolated();
    let cases = [
        (config(), 60),
        (config().call_timeout(Duration::from_secs(50)), 100),
        (config().slow_call(Duration::from_secs(45)), 90),
    ];
    for (config, lease) in cases {
        let breaker = breaker(config);
        breaker.trip();
        advance(OPEN_TIME).await;
        let _hung = breaker.acquire().expect("a probe");
        advance(Duration::from_secs(lease - 1)).await;
        assert_eq!(retry_after(&breaker), None, "{lease} s");
        advance(Duration::from_secs(1)).await;
        assert_eq!(retry_after(&breaker), Some(OPEN_TIME), "{lease} s");
    }
}

#[tokio::test(start_paused = true)]
async fn other_settings_leave_an_open_breaker_its_open_time() {
    let _isolated = isolated();
    let breaker = breaker(rates());
    (0..4).for_each(|_| fail(&breaker));
    advance(Duration::from_secs(4)).await;
    let before = (retry_after(&breaker), reason(&breaker), breaker.failure_count());
    let longer = rates().timeout(Duration::from_secs(600)).build().expect("valid");
    breaker.reconfigure(longer).expect("valid");
    assert_eq!((retry_after(&breaker), reason(&breaker), breaker.failure_count()), before);
    advance(Duration::from_secs(6)).await;
    fail(&breaker);
    assert_eq!(retry_after(&breaker), Some(Duration::from_secs(600)), "the next one is longer");
}

#[tokio::test(start_paused = true)]
async fn other_settings_leave_probes_their_slots_and_successes() {
    let _isolated = isolated();
    let breaker = breaker(config().success_threshold(3).half_open_max_calls(2));
    breaker.trip();
    advance(OPEN_TIME).await;
    succeed(&breaker);
    let probe = breaker.acquire().expect("a probe");
    breaker.reconfigure(config().success_threshold(2).build().expect("valid")).expect("valid");
    assert_eq!(breaker.metrics().probes_in_flight, 1);
    breaker.acquire().expect_err("one at once, from now on");
    probe.success();
    assert_eq!((breaker.state(), breaker.metrics().calls.stale), (CircuitState::Closed, 0));
}

#[tokio::test(start_paused = true)]
async fn other_settings_leave_a_closed_breaker_its_calls_and_what_it_counted() {
    let _isolated = isolated();
    for window in [RateWindow::Calls(10), RateWindow::Time(Duration::from_secs(10))] {
        let breaker = breaker(rates().window(window));
        let under_way = breaker.acquire().expect("closed");
        (0..2).for_each(|_| fail(&breaker));
        let stricter = rates().window(window).min_calls(3).build().expect("valid");
        breaker.reconfigure(stricter.clone()).expect("valid");
        assert_eq!((breaker.state(), breaker.failure_count()), (CircuitState::Closed, 2));
        under_way.failure();
        assert_eq!(reason(&breaker), Some(OpenReason::FailureRate { failed: 3, calls: 3 }));
        assert_eq!((breaker.metrics().calls.stale, &*breaker.config()), (0, &stricter));
    }
}

#[tokio::test(start_paused = true)]
async fn a_stricter_rate_holds_from_the_next_call_on_even_a_good_one() {
    let _isolated = isolated();
    for window in [RateWindow::Calls(10), RateWindow::Time(Duration::from_secs(10))] {
        let breaker = breaker(rates().window(window));
        (0..4).for_each(|_| succeed(&breaker));
        (0..3).for_each(|_| fail(&breaker));
        assert_eq!(breaker.state(), CircuitState::Closed);
        let stricter = rates().window(window).failure_rate(0.3).build().expect("valid");
        breaker.reconfigure(stricter).expect("valid");
        succeed(&breaker);
        assert_eq!(reason(&breaker), Some(OpenReason::FailureRate { failed: 3, calls: 8 }));
    }
}

#[tokio::test(start_paused = true)]
async fn a_window_of_another_size_begins_empty() {
    let _isolated = isolated();
    let breaker = breaker(rates());
    (0..3).for_each(|_| fail(&breaker));
    breaker.reconfigure(rates().window(20).build().expect("valid")).expect("valid");
    (0..3).for_each(|_| fail(&breaker));
    assert_eq!(breaker.state(), CircuitState::Closed);
    fail(&breaker);
    assert_eq!(reason(&breaker), Some(OpenReason::FailureRate { failed: 4, calls: 4 }));
}

#[tokio::test(start_paused = true)]
async fn a_window_that_gets_an_earlier_size_again_begins_empty_each_time() {
    let _isolated = isolated();
    let breaker = breaker(rates());
    let [seconds, minute] = [10, 60].map(|s| RateWindow::Time(Duration::from_secs(s)));
    let [ten, twenty] = [10, 20].map(RateWindow::Calls);
    for window in [twenty, ten, seconds, minute, ten, seconds, ten] {
        (0..3).for_each(|_| fail(&breaker));
        assert_eq!(breaker.state(), CircuitState::Closed, "{window:?}");
        let other = rates().window(window).build().expect("valid");
        breaker.reconfigure(other).expect("valid");
    }
    (0..4).for_each(|_| fail(&breaker));
    assert_eq!(reason(&breaker), Some(OpenReason::FailureRate { failed: 4, calls: 4 }));
}

#[tokio::test(start_paused = true)]
async fn rules_can_be_laid_on_and_taken_away_at_run_time() {
    let _isolated = isolated();
    let breaker = breaker(config());
    breaker.reconfigure(slowness().build().expect("valid")).expect("valid");
    (0..3).for_each(|_| fail(&breaker)); // the streak is no rule any more
    take(&breaker, SLOW).await;
    assert_eq!(breaker.state(), CircuitState::Closed);
    take(&breaker, SLOW).await;
    assert_eq!(reason(&breaker), Some(OpenReason::SlowCallRate { slow: 2, calls: 4 }));
    breaker.reset();
    breaker.reconfigure(config().build().expect("valid")).expect("valid");
    for _ in 0..10 {
        take(&breaker, SLOW).await;
    }
    (0..3).for_each(|_| fail(&breaker));
    assert_eq!(reason(&breaker), Some(OpenReason::ConsecutiveFailures { failures: 3 }));
}

#[tokio::test(start_paused = true)]
async fn settings_that_can_not_work_change_nothing() {
    let _isolated = isolated();
    let breaker = breaker(rates());
    let before = breaker.config();
    let mut wild = (*before).clone();
    wild.failure_rate = Some(2.0);
    breaker.reconfigure(wild).expect_err("more than all");
    assert_eq!(breaker.config(), before);
}

#[tokio::test(start_paused = true)]
async fn disabled_it_counts_and_no_rate_opens_it() {
    let _isolated = isolated();
    let breaker = breaker(rates());
    breaker.set_override(Override::Disabled, OverrideOptions::reason("it lies"));
    (0..50).for_each(|_| fail(&breaker));
    let metrics = breaker.metrics();
    assert_eq!((metrics.state, metrics.calls.failure), (CircuitState::Closed, 50));
    assert_eq!(metrics.would_open, 0);
    breaker.clear_override();
    (0..3).for_each(|_| fail(&breaker));
    assert_eq!(breaker.state(), CircuitState::Closed, "what it counted then is forgotten");
}

#[tokio::test(start_paused = true)]
async fn in_shadow_a_rate_is_reported_once_for_as_long_as_it_would_be_open() {
    let _isolated = isolated();
    let breaker = breaker(rates().shadow(true));
    let causes: Arc<Mutex<Vec<Cause>>> = Arc::default();
    let heard = causes.clone();
    let _subscription = breaker.subscribe(move |event| {
        heard.lock().expect("no listener panics here").push(event.cause.clone());
    });
    (0..50).for_each(|_| fail(&breaker));
    assert_eq!((breaker.state(), breaker.metrics().would_open), (CircuitState::Closed, 1));
    advance(OPEN_TIME).await;
    (0..50).for_each(|_| fail(&breaker));
    assert_eq!((breaker.state(), breaker.metrics().would_open), (CircuitState::Closed, 2));
    let rate =
        |failed, calls| Cause::WouldOpen { reason: OpenReason::FailureRate { failed, calls } };
    assert_eq!(*causes.lock().expect("no listener panics here"), [rate(4, 4), rate(10, 10)]);
}

#[tokio::test(start_paused = true)]
async fn in_shadow_a_rate_that_stays_reached_is_reported_again_by_a_good_call_too() {
    let _isolated = isolated();
    for window in [RateWindow::Calls(10), RateWindow::Time(Duration::from_secs(100))] {
        let breaker = breaker(rates().window(window).shadow(true));
        (0..5).for_each(|_| fail(&breaker));
        succeed(&breaker);
        assert_eq!(breaker.metrics().would_open, 1);
        advance(OPEN_TIME).await;
        succeed(&breaker);
        assert_eq!(breaker.metrics().would_open, 2);
    }
}

#[tokio::test(start_paused = true)]
async fn times_without_end_are_times_like_any_other() {
    let _isolated = isolated();
    let all = Duration::MAX;
    let breaker = breaker(
        slowness()
            .failure_threshold(3)
            .failure_rate(0.5)
            .timeout(all)
            .reset_timeout(all)
            .probe_timeout(all)
            .call_timeout(all)
            .slow_call(all)
            .slow_in_flight(true)
            .cancel_failure_after(all)
            .window(all)
            .backoff(1e300)
            .jitter(0.9),
    );
    let year = Duration::from_secs(365 * 86_400);
    give_up_after(&breaker, Duration::from_secs(86_400)).await;
    for _ in 0..2 {
        fail(&breaker);
        advance(year).await;
        take(&breaker, Duration::from_secs(1)).await;
    }
    assert_eq!(reason(&breaker), Some(OpenReason::FailureRate { failed: 2, calls: 4 }));
    for _ in 0..3 {
        let wait = retry_after(&breaker).expect("it is open");
        assert!(wait > year / 2, "{wait:?}");
        advance(wait).await;
        let probe = breaker.acquire().expect("a probe");
        assert_eq!(retry_after(&breaker), None);
        probe.failure();
    }
}

#[tokio::test(start_paused = true)]
async fn rates_that_are_taken_up_again_know_nothing_of_the_calls_before() {
    let _isolated = isolated();
    for window in [RateWindow::Calls(10), RateWindow::Time(Duration::from_secs(1_000))] {
        let with_rates = || rates().window(window).min_calls(4);
        let breaker = breaker(with_rates());
        (0..3).for_each(|_| fail(&breaker));
        let without = CircuitBreakerConfig::builder().failure_threshold(100).build();
        breaker.reconfigure(without.expect("valid")).expect("valid");
        (0..100).for_each(|_| succeed(&breaker));
        breaker.reconfigure(with_rates().build().expect("valid")).expect("valid");
        succeed(&breaker);
        assert_eq!(breaker.state(), CircuitState::Closed, "one good call is all that it knows");
        (0..3).for_each(|_| fail(&breaker));
        assert_eq!(reason(&breaker), Some(OpenReason::FailureRate { failed: 3, calls: 4 }));
    }
}
