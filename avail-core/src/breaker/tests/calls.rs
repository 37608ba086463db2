//! What the end of a call counts as: each row of the contract's table, closed and half-open.

use std::future::pending;

use tokio::time::{advance, timeout};

use super::*;
use crate::testing::isolated;

const LATE: Duration = Duration::from_secs(1);
const EARLY: Duration = Duration::from_millis(999);

/// Half-open at the next admission.
async fn about_to_probe(config: CircuitBreakerConfigBuilder) -> CircuitBreaker {
    let breaker = breaker(config);
    breaker.trip();
    advance(OPEN_TIME).await;
    breaker
}

/// A call that hangs until its caller has had enough.
async fn give_up_after(breaker: &CircuitBreaker, patience: Duration) {
    let call = breaker.call(pending::<Result<(), &str>>);
    timeout(patience, call).await.expect_err("it hangs");
}

/// Its slot is free again, and nothing was decided.
fn assert_still_probing(breaker: &CircuitBreaker) {
    let metrics = breaker.metrics();
    assert_eq!((metrics.state, metrics.probes_in_flight), (CircuitState::HalfOpen, 0));
    succeed(breaker);
    assert_eq!(breaker.state(), CircuitState::Closed);
}

fn assert_reopened(breaker: &CircuitBreaker) {
    let metrics = breaker.metrics();
    assert_eq!((metrics.state, metrics.probes_in_flight), (CircuitState::Open, 0));
    assert_eq!(metrics.reason, Some(OpenReason::ProbeFailed));
    assert_eq!(retry_after(breaker), Some(OPEN_TIME));
}

#[tokio::test(start_paused = true)]
async fn ok_is_a_success() {
    let _isolated = isolated();
    let closed = breaker(config());
    fail(&closed);
    fail(&closed);
    assert_eq!(closed.call(|| async { Ok::<_, &str>(7) }).await, Ok(7));
    assert_eq!(closed.failure_count(), 0);
    assert_eq!(closed.metrics().calls.success, 1);

    let probed = about_to_probe(config()).await;
    assert_eq!(probed.call(|| async { Ok::<_, &str>(7) }).await, Ok(7));
    assert_eq!(probed.state(), CircuitState::Closed);
    assert_eq!(probed.metrics().calls.success, 1);
}

#[tokio::test(start_paused = true)]
async fn err_is_a_failure() {
    let _isolated = isolated();
    let closed = breaker(config());
    for failures in 1..=3 {
        assert_eq!(closed.state(), CircuitState::Closed);
        let result = closed.call(|| async { Err::<(), _>("refused") }).await;
        assert_eq!(result, Err(CallError::Operation("refused")));
        assert_eq!(closed.failure_count(), failures);
    }
    assert_eq!(closed.state(), CircuitState::Open);
    assert_eq!(closed.metrics().calls.failure, 3);
    assert_eq!(
        closed.acquire().expect_err("open").to_string(),
        "circuit breaker `storage` is open: 3 failures in a row (retry after 10.0 s)"
    );

    let probed = about_to_probe(config()).await;
    fail(&probed);
    assert_reopened(&probed);
    assert_eq!(probed.metrics().calls.failure, 1);
}

#[tokio::test(start_paused = true)]
async fn ignored_is_in_no_streak_and_gives_its_slot_back() {
    let _isolated = isolated();
    let closed = breaker(config());
    for call in [fail, ignore, fail, ignore] {
        call(&closed);
    }
    assert_eq!((closed.state(), closed.failure_count()), (CircuitState::Closed, 2));
    fail(&closed);
    assert_eq!(closed.state(), CircuitState::Open);
    assert_eq!(closed.metrics().calls.ignored, 2);

    let probed = about_to_probe(config()).await;
    for _ in 0..100 {
        ignore(&probed);
    }
    assert_eq!(probed.metrics().calls.ignored, 100);
    assert_still_probing(&probed);
}

#[tokio::test(start_paused = true)]
async fn the_classifier_decides_what_a_value_counts_as() {
    let _isolated = isolated();
    let breaker = breaker(config());
    for outcome in [Outcome::Failure, Outcome::Ignored, Outcome::Failure] {
        assert_eq!(breaker.call_classified(|| async { 5 }, |_| outcome).await, Ok(5));
    }
    assert_eq!(breaker.failure_count(), 2);
    assert_eq!(breaker.call_classified(|| async { 5 }, |_| Outcome::Success).await, Ok(5));
    let calls = breaker.metrics().calls;
    assert_eq!((calls.failure, calls.ignored, calls.success), (2, 1, 1));
    assert_eq!(breaker.failure_count(), 0);
}

#[tokio::test(start_paused = true)]
async fn dropped_early_is_nothing_and_gives_its_slot_back() {
    let _isolated = isolated();
    let closed = breaker(config());
    fail(&closed);
    for _ in 0..10 {
        give_up_after(&closed, EARLY).await;
    }
    assert_eq!((closed.state(), closed.failure_count()), (CircuitState::Closed, 1));
    assert_eq!(closed.metrics().calls.cancelled, 10);

    let probed = about_to_probe(config()).await;
    give_up_after(&probed, EARLY).await;
    assert_eq!(probed.metrics().calls.cancelled, 1);
    assert_still_probing(&probed);
}

#[tokio::test(start_paused = true)]
async fn dropped_late_is_a_failure() {
    let _isolated = isolated();
    let closed = breaker(config());
    for _ in 0..3 {
        assert_eq!(closed.state(), CircuitState::Closed);
        give_up_after(&closed, LATE).await;
    }
    assert_eq!(closed.state(), CircuitState::Open);
    assert_eq!(closed.metrics().calls.cancelled_overdue, 3);

    let probed = about_to_probe(config()).await;
    give_up_after(&probed, LATE).await;
    assert_reopened(&probed);
    assert_eq!(probed.metrics().calls.cancelled_overdue, 1);
}

#[tokio::test(start_paused = true)]
async fn a_dropped_permit_is_a_call_that_was_given_up() {
    let _isolated = isolated();
    let breaker = breaker(config());
    let (early, late) = (breaker.acquire().expect("closed"), breaker.acquire().expect("closed"));
    advance(EARLY).await;
    drop(early);
    assert_eq!((breaker.failure_count(), breaker.metrics().calls.cancelled), (0, 1));
    advance(LATE - EARLY).await;
    drop(late);
    assert_eq!((breaker.failure_count(), breaker.metrics().calls.cancelled_overdue), (1, 1));
}

#[tokio::test(start_paused = true)]
async fn when_a_dropped_call_is_late_can_be_set() {
    let _isolated = isolated();
    let patient = breaker(config().cancel_failure_after(Duration::from_secs(30)));
    give_up_after(&patient, Duration::from_secs(29)).await;
    assert_eq!(patient.failure_count(), 0);
    give_up_after(&patient, Duration::from_secs(30)).await;
    assert_eq!(patient.failure_count(), 1);

    let endless = breaker(config().cancel_failure_after(CancelFailure::Never));
    give_up_after(&endless, Duration::from_secs(86_400)).await;
    assert_eq!((endless.failure_count(), endless.metrics().calls.cancelled), (0, 1));
}

#[tokio::test(start_paused = true)]
async fn while_the_process_drains_a_dropped_call_is_nothing() {
    let _isolated = isolated();
    let registry = crate::CircuitBreakerRegistry::global();
    let breaker = registry.get_or_create("storage");
    registry.set_draining(true);
    give_up_after(&breaker, LATE).await;
    assert_eq!((breaker.failure_count(), breaker.metrics().calls.cancelled), (0, 1));
    registry.set_draining(false);
    give_up_after(&breaker, LATE).await;
    assert_eq!(breaker.failure_count(), 1);
}

#[tokio::test(start_paused = true)]
async fn a_panic_is_a_failure_and_unwinds_on() {
    let isolated = isolated();
    let closed = breaker(config().failure_threshold(2));
    assert_eq!(panic_of(|| drop(closed.call_sync::<_, (), ()>(|| panic!("sync")))), "sync");
    let inside = closed.clone();
    let task = isolated.spawn(async move {
        let _ = inside
            .call(|| async {
                tokio::task::yield_now().await;
                if true {
                    panic!("async");
                }
                Ok::<_, ()>(())
            })
            .await;
    });
    let payload = task.await.expect_err("it panics").into_panic();
    assert_eq!(payload.downcast_ref::<&str>(), Some(&"async"));
    assert_eq!((closed.state(), closed.metrics().calls.panic), (CircuitState::Open, 2));

    let probed = about_to_probe(config()).await;
    assert_eq!(panic_of(|| drop(probed.call_sync::<_, (), ()>(|| panic!("probe")))), "probe");
    assert_reopened(&probed);
    assert_eq!(probed.metrics().calls.panic, 1);
}

#[tokio::test(start_paused = true)]
async fn a_panic_before_the_future_and_one_in_the_classifier_are_failures_too() {
    let isolated = isolated();
    let breaker = breaker(config());
    let inside = breaker.clone();
    let before = isolated.spawn(async move {
        let _ = inside.call(|| -> std::future::Ready<Result<(), ()>> { panic!("before") }).await;
    });
    assert!(before.await.is_err());
    let inside = breaker.clone();
    let after = isolated.spawn(async move {
        let classify = |_: &()| -> Outcome { panic!("after") };
        let _ = inside.call_classified(|| async {}, classify).await;
    });
    assert!(after.await.is_err());
    assert_eq!((breaker.failure_count(), breaker.metrics().calls.panic), (2, 2));
}

#[tokio::test(start_paused = true)]
async fn a_permit_dropped_by_a_panic_is_a_failure() {
    let _isolated = isolated();
    let breaker = breaker(config());
    let message = panic_of(|| {
        let _permit = breaker.acquire();
        panic!("while it is held");
    });
    assert_eq!(message, "while it is held");
    assert_eq!((breaker.failure_count(), breaker.metrics().calls.panic), (1, 1));
}

#[tokio::test(start_paused = true)]
async fn a_permit_acquired_and_dropped_while_another_panic_unwinds_is_none() {
    struct CallsWhenDropped(CircuitBreaker);
    impl Drop for CallsWhenDropped {
        fn drop(&mut self) {
            drop(self.0.acquire());
        }
    }
    let _isolated = isolated();
    let breaker = breaker(config());
    panic_of(|| {
        let _calls = CallsWhenDropped(breaker.clone());
        panic!("elsewhere");
    });
    let calls = breaker.metrics().calls;
    assert_eq!((calls.panic, calls.cancelled), (0, 1));
}

#[tokio::test(start_paused = true)]
async fn a_result_after_the_epoch_has_moved_on_is_stale() {
    let _isolated = isolated();
    let breaker = breaker(config().failure_threshold(1));
    let permits: Vec<_> = (0..4).map(|_| breaker.acquire().expect("closed")).collect();
    breaker.reset();
    for (end, permit) in permits.into_iter().enumerate() {
        match end {
            0 => permit.success(),
            1 => permit.failure(),
            2 => permit.ignore(),
            _ => {
                advance(LATE).await;
                drop(permit);
            }
        }
    }
    assert_eq!((breaker.state(), breaker.failure_count()), (CircuitState::Closed, 0));
    let calls = breaker.metrics().calls;
    let settled: u64 = calls.by_outcome().iter().map(|(_, count)| count).sum();
    assert_eq!((calls.stale, settled), (4, 4));
}

#[tokio::test(start_paused = true)]
async fn a_call_that_outlives_its_epoch_is_stale_however_well_it_ends() {
    let _isolated = isolated();
    let breaker = breaker(config());
    let outlive = || {
        breaker.reset();
        Ok::<_, &str>(())
    };
    assert_eq!(breaker.call_sync(outlive), Ok(()));
    assert_eq!(breaker.call(|| async { outlive() }).await, Ok(()));
    let calls = breaker.metrics().calls;
    assert_eq!((calls.success, calls.stale), (0, 2));
}

#[tokio::test(start_paused = true)]
async fn a_rejected_call_does_not_run_and_says_how_long_to_wait() {
    let _isolated = isolated();
    let breaker = breaker(config());
    breaker.trip();
    advance(Duration::from_secs(4)).await;
    let mut ran = false;
    let result = breaker.call_sync(|| {
        ran = true;
        Ok::<_, ()>(())
    });
    let error = result.expect_err("open");
    let error = error.circuit_breaker().expect("the breaker's own");
    assert_eq!((error.name(), error.retry_after()), ("storage", Some(Duration::from_secs(6))));
    assert!(!ran);
    assert_eq!(breaker.metrics().rejections.open, 1);
}

#[tokio::test(start_paused = true)]
async fn a_hung_call_under_its_callers_own_timeout_trips_within_the_threshold() {
    let _isolated = isolated();
    let breaker = breaker(config());
    let mut rejected = 0;
    for _ in 0..10 {
        let call = breaker.call(pending::<Result<(), ()>>);
        match timeout(Duration::from_secs(2), call).await {
            Err(_elapsed) => assert_eq!(rejected, 0, "it lets no call through once it is open"),
            Ok(result) => {
                assert!(matches!(result, Err(CallError::CircuitBreaker(_))));
                rejected += 1;
            }
        }
    }
    assert_eq!(rejected, 7);
}

#[tokio::test(start_paused = true)]
async fn an_aborted_task_gives_its_slot_back() {
    let isolated = isolated();
    let breaker = about_to_probe(config()).await;
    let inside = breaker.clone();
    let task = isolated.spawn(async move { inside.call(pending::<Result<(), ()>>).await });
    tokio::task::yield_now().await;
    assert_eq!(breaker.metrics().probes_in_flight, 1);
    task.abort();
    assert!(task.await.expect_err("aborted").is_cancelled());
    assert_eq!(breaker.metrics().calls.cancelled, 1);
    assert_still_probing(&breaker);
}

#[tokio::test(start_paused = true)]
async fn the_loser_of_a_select_gives_its_slot_back() {
    let _isolated = isolated();
    let breaker = about_to_probe(config()).await;
    tokio::select! {
        biased;
        _ = breaker.call(pending::<Result<(), ()>>) => unreachable!("it hangs"),
        () = async {} => {}
    }
    assert_eq!(breaker.metrics().calls.cancelled, 1);
    assert_still_probing(&breaker);
}

#[tokio::test(start_paused = true)]
async fn after_a_thousand_cancelled_probes_the_next_is_admitted_at_once() {
    let _isolated = isolated();
    let breaker = about_to_probe(config()).await;
    for _ in 0..1000 {
        give_up_after(&breaker, Duration::from_millis(1)).await;
    }
    assert_eq!(breaker.metrics().calls.cancelled, 1000);
    assert_still_probing(&breaker);
}

#[tokio::test(start_paused = true)]
async fn a_call_does_nothing_until_it_is_polled() {
    let _isolated = isolated();
    let breaker = about_to_probe(config()).await;
    let call = breaker.call(|| async { Ok::<_, ()>(()) });
    assert_eq!(breaker.state(), CircuitState::Open);
    drop(call);
    let calls = breaker.metrics().calls;
    assert!(calls.by_outcome().iter().all(|&(_, count)| count == 0));
}

#[tokio::test(start_paused = true)]
async fn a_permit_is_admitted_at_once() {
    let _isolated = isolated();
    let breaker = about_to_probe(config()).await;
    let permit = breaker.acquire().expect("its open time is over");
    let metrics = breaker.metrics();
    assert_eq!((metrics.state, metrics.probes_in_flight), (CircuitState::HalfOpen, 1));
    permit.success();
    assert_eq!(breaker.state(), CircuitState::Closed);
}

#[tokio::test(start_paused = true)]
async fn the_age_of_a_call_begins_where_it_first_waits() {
    let _isolated = isolated();
    let breaker = breaker(config());
    let call = breaker.call(pending::<Result<(), ()>>);
    advance(LATE).await; // not polled yet: nobody waits
    timeout(EARLY, call).await.expect_err("it hangs");
    assert_eq!(breaker.metrics().calls.cancelled, 1);
}

#[tokio::test(start_paused = true)]
async fn a_call_without_an_answer_for_it_outlives_a_limit_that_is_set_later_than_the_code() {
    let _isolated = isolated();
    let breaker = breaker(CircuitBreakerConfig::builder().call_timeout(LATE));
    let mut guard = breaker.guard();
    guard.enter().expect("it is closed");
    let slow = std::pin::pin!(tokio::time::sleep(2 * LATE));
    guard.run(slow, |()| crate::breaker::End::Success).await;
    assert_eq!(breaker.metrics().calls.success, 1);
}
