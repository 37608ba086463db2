//! What a call to an annotated function counts as, and what it gives back.

use std::sync::atomic::{AtomicU32, Ordering};
use std::time::Duration;

use avail::{CircuitBreaker, CircuitBreakerError, CircuitBreakerRegistry, CircuitState, testing};

#[derive(Debug, PartialEq)]
pub(crate) enum Error {
    Rejected(CircuitBreakerError),
    Broken,
}

impl From<CircuitBreakerError> for Error {
    fn from(error: CircuitBreakerError) -> Self {
        Error::Rejected(error)
    }
}

pub(crate) fn breaker(name: &str) -> CircuitBreaker {
    CircuitBreakerRegistry::global().get(name).expect(name)
}

#[avail::circuit_breaker(name = "breaker::fetch", failure_threshold = 2, timeout = "10s")]
async fn fetch(answer: Result<u32, Error>) -> Result<u32, Error> {
    tokio::task::yield_now().await;
    answer
}

#[tokio::test]
async fn a_success_reaches_the_caller_and_is_counted() {
    let _isolated = testing::isolated();
    assert_eq!(fetch(Ok(7)).await, Ok(7));
    assert_eq!(breaker("breaker::fetch").metrics().calls.success, 1);
}

#[tokio::test]
async fn a_failure_reaches_the_caller_and_is_counted() {
    let _isolated = testing::isolated();
    assert_eq!(fetch(Err(Error::Broken)).await, Err(Error::Broken));
    assert_eq!(breaker("breaker::fetch").metrics().calls.failure, 1);
    assert_eq!(breaker("breaker::fetch").failure_count(), 1);
}

#[tokio::test(start_paused = true)]
async fn it_opens_rejects_through_from_and_closes_again() {
    let _isolated = testing::isolated();
    for _ in 0..2 {
        assert_eq!(fetch(Err(Error::Broken)).await, Err(Error::Broken));
    }
    let Err(Error::Rejected(error)) = fetch(Ok(7)).await else { panic!("it was let through") };
    assert_eq!(error.name(), "breaker::fetch");
    assert_eq!(error.retry_after(), Some(Duration::from_secs(10)));

    tokio::time::advance(Duration::from_secs(10)).await;
    assert_eq!(fetch(Ok(7)).await, Ok(7));
    assert_eq!(breaker("breaker::fetch").state(), CircuitState::HalfOpen);
    assert_eq!(fetch(Ok(7)).await, Ok(7));
    assert_eq!(breaker("breaker::fetch").state(), CircuitState::Closed);
}

#[tokio::test]
async fn nothing_is_done_before_the_first_poll() {
    let _isolated = testing::isolated();
    breaker("breaker::fetch").trip();
    drop(fetch(Ok(7)));
    assert_eq!(breaker("breaker::fetch").metrics().rejections.open, 0);
}

#[avail::circuit_breaker(name = "breaker::panics", failure_threshold = 1)]
async fn panics() -> Result<(), Error> {
    tokio::task::yield_now().await;
    panic!("out of order")
}

#[avail::circuit_breaker(name = "breaker::panics_sync", failure_threshold = 1)]
fn panics_sync() -> Result<(), Error> {
    panic!("out of order")
}

#[tokio::test]
async fn a_panic_unwinds_on_and_is_a_failure() {
    let isolated = testing::isolated();
    let joined = isolated.spawn(async { panics().await }).await;
    assert!(joined.expect_err("it panicked").is_panic());
    assert_eq!(breaker("breaker::panics").metrics().calls.panic, 1);
    assert_eq!(breaker("breaker::panics").state(), CircuitState::Open);

    std::panic::catch_unwind(panics_sync).expect_err("it panicked");
    assert_eq!(breaker("breaker::panics_sync").metrics().calls.panic, 1);
}

#[avail::circuit_breaker(name = "breaker::hangs", failure_threshold = 1)]
async fn hangs() -> Result<(), Error> {
    std::future::pending().await
}

#[tokio::test(start_paused = true)]
async fn a_young_call_that_is_cancelled_counts_for_nothing_and_an_old_one_as_a_failure() {
    let _isolated = testing::isolated();
    let young = tokio::time::timeout(Duration::from_millis(100), hangs()).await;
    assert!(young.is_err());
    assert_eq!(breaker("breaker::hangs").metrics().calls.cancelled, 1);
    assert_eq!(breaker("breaker::hangs").state(), CircuitState::Closed);

    let old = tokio::time::timeout(Duration::from_secs(2), hangs()).await;
    assert!(old.is_err());
    assert_eq!(breaker("breaker::hangs").metrics().calls.cancelled_overdue, 1);
    assert_eq!(breaker("breaker::hangs").state(), CircuitState::Open);
}

#[tokio::test(start_paused = true)]
async fn a_probe_that_is_cancelled_gives_its_slot_back() {
    let _isolated = testing::isolated();
    breaker("breaker::hangs").trip();
    tokio::time::advance(Duration::from_secs(60)).await;
    for _ in 0..3 {
        let probe = tokio::time::timeout(Duration::from_millis(1), hangs()).await;
        assert!(probe.is_err(), "each is let through: {probe:?}");
    }
    assert_eq!(breaker("breaker::hangs").state(), CircuitState::HalfOpen);
    assert_eq!(breaker("breaker::hangs").metrics().calls.cancelled, 3);
}

#[avail::circuit_breaker(name = "breaker::leaves_early")]
async fn leaves_early(text: &str) -> Result<u32, Box<dyn std::error::Error + Send + Sync>> {
    if text.is_empty() {
        return Ok(0);
    }
    let number: u32 = text.parse()?;
    Ok(number)
}

#[tokio::test]
async fn question_mark_and_return_are_counted_as_any_other_end() {
    let _isolated = testing::isolated();
    assert_eq!(leaves_early("").await.expect("returned early"), 0);
    assert_eq!(leaves_early("12").await.expect("a number"), 12);
    assert!(leaves_early("twelve").await.is_err());
    let calls = breaker("breaker::leaves_early").metrics().calls;
    assert_eq!((calls.success, calls.failure), (2, 1));
}

async fn stale(id: u32) -> Result<String, std::num::ParseIntError> {
    "42".parse::<u32>().map(|number| format!("{}", number + id))
}

#[avail::circuit_breaker(
    name = "breaker::with_expression",
    fallback = {
        let known = stale(id).await?;
        Ok(format!("{suffix}{known}"))
    },
)]
async fn with_expression(id: u32, suffix: String) -> Result<String, std::num::ParseIntError> {
    Ok(id.to_string() + &suffix)
}

#[avail::circuit_breaker(name = "breaker::with_closure", fallback = |error| Ok(error.to_string()))]
fn with_closure(path: String) -> Result<String, std::io::Error> {
    std::fs::read_to_string(path)
}

#[avail::circuit_breaker(
    name = "breaker::with_async_closure",
    fallback = async |_error| stale(1).await,
)]
async fn with_async_closure() -> Result<String, std::num::ParseIntError> {
    Ok("fresh".to_owned())
}

#[tokio::test]
async fn a_fallback_answers_for_the_breaker() {
    let _isolated = testing::isolated();
    assert_eq!(with_expression(1, "a".into()).await.as_deref(), Ok("1a"));
    assert_eq!(with_async_closure().await.as_deref(), Ok("fresh"));
    for name in ["with_expression", "with_closure", "with_async_closure"] {
        breaker(&format!("breaker::{name}")).trip();
    }
    assert_eq!(with_expression(1, "a".into()).await.as_deref(), Ok("a43"));
    assert_eq!(with_async_closure().await.as_deref(), Ok("43"));
    let said = with_closure("/nowhere".into()).expect("the fallback answers");
    assert!(said.starts_with("circuit breaker `breaker::with_closure` is open: tripped"), "{said}");
}

#[test]
fn a_fallback_does_not_hide_the_operations_own_error() {
    let _isolated = testing::isolated();
    assert!(with_closure("/no/such/file".into()).is_err());
    assert_eq!(breaker("breaker::with_closure").metrics().calls.failure, 1);
}

#[avail::circuit_breaker(name = "breaker::in_shadow", shadow, failure_threshold = 1)]
fn in_shadow() -> Result<(), Error> {
    Err(Error::Broken)
}

#[test]
fn in_shadow_it_rejects_nothing() {
    let _isolated = testing::isolated();
    for _ in 0..3 {
        assert_eq!(in_shadow(), Err(Error::Broken));
    }
    assert_eq!(breaker("breaker::in_shadow").state(), CircuitState::Closed);
}

static BODIES: AtomicU32 = AtomicU32::new(0);

#[avail::circuit_breaker(name = "breaker::body")]
fn body() -> Result<(), Error> {
    BODIES.fetch_add(1, Ordering::Relaxed);
    Ok(())
}

#[test]
fn the_body_runs_once_a_call_and_not_at_all_when_rejected() {
    let _isolated = testing::isolated();
    body().expect("closed");
    breaker("breaker::body").trip();
    body().expect_err("open");
    assert_eq!(BODIES.load(Ordering::Relaxed), 1);
}
