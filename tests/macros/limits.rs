//! `call_timeout`: the breaker cuts a call off.

use std::cell::Cell;
use std::future::Future;
use std::pin::Pin;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use avail::{CircuitBreakerConfig, CircuitBreakerError, CircuitState, circuit_breaker, testing};
use tokio::time::{Instant, sleep};

use super::breaker::{Error, breaker};

const SECOND: Duration = Duration::from_secs(1);

/// Cut off calls, and all other ends that are counted as failures.
fn timeouts(name: &str) -> (u64, u64) {
    let calls = breaker(name).metrics().calls;
    (calls.timeout, calls.failed() - calls.timeout)
}

#[circuit_breaker(name = "limits::error", call_timeout = "1s", failure_threshold = 2)]
async fn fetch(time: Duration) -> Result<Duration, Error> {
    sleep(time).await;
    Ok(time)
}

#[tokio::test(start_paused = true)]
async fn a_call_that_takes_too_long_is_cut_off_and_is_a_failure() {
    let _isolated = testing::isolated();
    assert_eq!(fetch(SECOND / 2).await, Ok(SECOND / 2));
    let start = Instant::now();
    for _ in 0..2 {
        let Err(Error::Rejected(error)) = fetch(SECOND * 9).await else { panic!("not cut off") };
        assert!(matches!(error, CircuitBreakerError::Timeout { after: SECOND, .. }), "{error:?}");
        assert_eq!(error.name(), "limits::error");
    }
    // A timer may come a millisecond late.
    assert!(start.elapsed().as_millis().abs_diff(2_000) <= 4, "{:?}", start.elapsed());
    assert_eq!(breaker("limits::error").state(), CircuitState::Open);
    assert_eq!(timeouts("limits::error"), (2, 0));
}

static TORN_DOWN: AtomicBool = AtomicBool::new(false);

struct Connection;

impl Drop for Connection {
    fn drop(&mut self) {
        TORN_DOWN.store(true, Ordering::Relaxed);
    }
}

#[circuit_breaker(
    name = "limits::expression",
    call_timeout = "1s",
    fallback = {
        assert!(TORN_DOWN.load(Ordering::Relaxed), "the body is gone");
        sleep(SECOND * 2).await;
        Ok(format!("stale {name}"))
    },
)]
async fn expression(name: String, count: &mut u32) -> Result<String, Error> {
    let _connection = Connection;
    *count += 1;
    sleep(SECOND * 9).await;
    Ok(name.to_uppercase())
}

#[tokio::test(start_paused = true)]
async fn a_fallback_answers_for_a_call_that_was_cut_off_and_uses_what_the_body_borrowed() {
    let _isolated = testing::isolated();
    let mut count = 0;
    assert_eq!(expression("a".into(), &mut count).await.as_deref(), Ok("stale a"));
    assert_eq!(timeouts("limits::expression"), (1, 0));
    breaker("limits::expression").trip();
    assert_eq!(expression("b".into(), &mut count).await.as_deref(), Ok("stale b"));
    assert_eq!(count, 1);
}

#[circuit_breaker(
    name = "limits::closure",
    call_timeout = 1,
    fallback = |error| match error {
        CircuitBreakerError::Timeout { .. } => Ok("too late".to_owned()),
        error => Err(error.into()),
    },
)]
async fn closure(time: Duration, not_shared: Cell<u32>) -> Result<String, Error> {
    sleep(time).await;
    if not_shared.get() == 0 {
        return Err(Error::Broken);
    }
    Ok("in time".to_owned())
}

#[tokio::test(start_paused = true)]
async fn a_closure_is_told_why_and_the_operations_own_error_passes() {
    let isolated = testing::isolated();
    let spawned = isolated.spawn(closure(SECOND * 2, Cell::new(1)));
    assert_eq!(spawned.await.expect("joined").as_deref(), Ok("too late"));
    assert_eq!(closure(SECOND / 2, Cell::new(1)).await.as_deref(), Ok("in time"));
    assert_eq!(closure(SECOND / 2, Cell::new(0)).await, Err(Error::Broken));
    assert_eq!(timeouts("limits::closure"), (1, 1));
}

#[circuit_breaker(name = "limits::option", call_timeout = "1s", fallback = None)]
async fn option(time: Duration) -> Option<Duration> {
    sleep(time).await;
    Some(time)
}

#[tokio::test(start_paused = true)]
async fn an_output_of_any_type_can_be_cut_off() {
    let _isolated = testing::isolated();
    assert_eq!(option(SECOND / 2).await, Some(SECOND / 2));
    assert_eq!(option(SECOND * 2).await, None);
    assert_eq!(timeouts("limits::option"), (1, 0));
}

#[circuit_breaker(name = "limits::futures", call_timeout = "1s")]
fn future(time: Duration) -> impl Future<Output = Result<(), Error>> + Send {
    async move {
        sleep(time).await;
        Ok(())
    }
}

#[circuit_breaker(
    name = "limits::futures",
    call_timeout = "1s",
    fallback = async |_| { sleep(time).await; Ok(()) },
)]
fn boxed(time: Duration) -> Pin<Box<dyn Future<Output = Result<(), Error>> + Send>> {
    Box::pin(async move {
        sleep(time).await;
        Err(Error::Broken)
    })
}

#[tokio::test(start_paused = true)]
async fn futures_that_are_returned_are_cut_off() {
    let _isolated = testing::isolated();
    assert_eq!(future(SECOND / 2).await, Ok(()));
    assert!(matches!(future(SECOND * 2).await, Err(Error::Rejected(_))));
    assert_eq!(boxed(SECOND * 2).await, Ok(()));
    assert_eq!(boxed(SECOND / 2).await, Err(Error::Broken));
    assert_eq!(timeouts("limits::futures"), (2, 1));
}

#[circuit_breaker(name = "limits::from_outside")]
async fn from_outside() -> Result<(), Error> {
    sleep(SECOND * 3).await;
    Ok(())
}

#[circuit_breaker(name = "limits::from_outside", fallback = Err(Error::Broken))]
async fn from_outside_with_fallback() -> Result<(), Error> {
    sleep(SECOND * 3).await;
    Ok(())
}

#[circuit_breaker(name = "limits::from_outside")]
fn from_outside_sync() -> Result<(), Error> {
    Ok(())
}

/// With a fallback it is not: that may need what the body has consumed.
#[tokio::test(start_paused = true)]
async fn a_limit_that_is_set_later_cuts_off_what_has_no_fallback() {
    let _isolated = testing::isolated();
    assert_eq!(from_outside().await, Ok(()));
    let config = CircuitBreakerConfig::builder().call_timeout(SECOND).build().expect("valid");
    breaker("limits::from_outside").reconfigure(config).expect("valid");
    assert!(matches!(from_outside().await, Err(Error::Rejected(_))));
    assert_eq!(from_outside_with_fallback().await, Ok(()));
    assert_eq!(from_outside_sync(), Ok(()));
    assert_eq!(timeouts("limits::from_outside"), (1, 0));
}

#[circuit_breaker(name = "limits::given_up", cancel_failure_after = "never")]
async fn never_given_up() -> Result<(), Error> {
    std::future::pending().await
}

#[circuit_breaker(name = "limits::given_up_soon", cancel_failure_after = "10ms")]
async fn given_up_soon() -> Result<(), Error> {
    std::future::pending().await
}

#[tokio::test(start_paused = true)]
async fn the_attribute_says_when_giving_up_is_a_failure() {
    let _isolated = testing::isolated();
    assert!(tokio::time::timeout(SECOND * 60, never_given_up()).await.is_err());
    assert_eq!(breaker("limits::given_up").metrics().calls.cancelled, 1);
    assert!(tokio::time::timeout(SECOND / 50, given_up_soon()).await.is_err());
    assert_eq!(breaker("limits::given_up_soon").metrics().calls.cancelled_overdue, 1);
}

#[circuit_breaker(name = "limits::outside")]
async fn limited_from_outside(time: Duration) -> Result<Duration, Error> {
    sleep(time).await;
    Ok(time)
}

#[circuit_breaker(name = "limits::answered", fallback = Ok(time))]
async fn answered(time: Duration) -> Result<Duration, Error> {
    sleep(time).await;
    Ok(time)
}

#[circuit_breaker(name = "limits::value")]
fn value() -> Result<(), Error> {
    Ok(())
}

#[circuit_breaker(name = "limits::changed", call_timeout = "1h", fallback = Ok(SECOND))]
async fn changed(time: Duration) -> Result<Duration, Error> {
    sleep(time).await;
    Ok(time)
}

async fn limited(name: &str) -> Result<avail::AvailabilityMonitor, avail::MonitorError> {
    let variable = format!("AVAIL_BREAKER_LIMITS__{name}__CALL_TIMEOUT");
    avail::AvailabilityMonitor::builder().environment([(variable, "1s")]).start().await
}

#[tokio::test(start_paused = true)]
async fn a_limit_from_outside_cuts_off_a_function_that_was_written_without_one() {
    let _isolated = testing::isolated();
    let monitor = limited("OUTSIDE").await.expect("it can be cut off");
    let cut_off = limited_from_outside(SECOND * 9).await;
    assert!(matches!(cut_off, Err(Error::Rejected(CircuitBreakerError::Timeout { .. }))));
    monitor.stop().await;
    let monitor = limited("CHANGED").await.expect("it can be cut off");
    assert_eq!(changed(SECOND * 9).await, Ok(SECOND), "the fallback's answer");
    monitor.stop().await;
}

#[tokio::test(start_paused = true)]
async fn a_limit_from_outside_is_refused_by_name_where_it_can_not_hold() {
    let _isolated = testing::isolated();
    let cases = [
        (
            "ANSWERED",
            "answered`) has a `fallback` that is for calls that were not let through alone",
        ),
        ("VALUE", "value`) returns no future, and can't be cut off"),
    ];
    for (name, expected) in cases {
        let error = limited(name).await.expect_err(name).to_string();
        assert!(error.contains(expected), "{error}");
    }
    assert_eq!(answered(SECOND).await, Ok(SECOND));
    assert_eq!(value(), Ok(()));
}
