//! What the attribute makes of each kind of output, and of its predicates.

use std::io;
use std::time::Duration;

use avail::{CircuitBreakerError, CircuitState, circuit_breaker, testing};

use super::breaker::{Error, breaker};

/// Successes, failures, ignored calls and rejected ones.
fn counted(name: &str) -> [u64; 4] {
    let calls = breaker(name).metrics().calls;
    [calls.success, calls.failure, calls.ignored, calls.rejected]
}

#[circuit_breaker(
    name = "outputs::option",
    failure_threshold = 2,
    failure_if = |found| found.is_none_or(|found| found == 0),
    fallback = None,
)]
fn option(found: Option<u32>) -> Option<u32> {
    found
}

#[test]
fn an_option_fails_where_the_attribute_says_so() {
    let _isolated = testing::isolated();
    assert_eq!(option(Some(1)), Some(1));
    assert_eq!((option(None), option(None)), (None, None));
    assert_eq!(breaker("outputs::option").state(), CircuitState::Open);
    assert_eq!(option(Some(1)), None);
    assert_eq!(counted("outputs::option"), [1, 2, 0, 0]);
}

fn is_server_error(status: &u16) -> bool {
    *status >= 500
}

#[circuit_breaker(name = "outputs::plain", failure_if = is_server_error, fallback = |_| 503)]
async fn plain(status: u16) -> u16 {
    tokio::task::yield_now().await;
    status
}

#[tokio::test]
async fn a_plain_value_is_judged_by_a_path() {
    let _isolated = testing::isolated();
    assert_eq!((plain(200).await, plain(404).await, plain(500).await), (200, 404, 500));
    assert_eq!(counted("outputs::plain"), [2, 1, 0, 0]);
    breaker("outputs::plain").trip();
    assert_eq!(plain(200).await, 503);
}

#[circuit_breaker(name = "outputs::nothing", failure_if = |()| true, fallback = ())]
fn nothing() {}

#[test]
fn a_function_without_a_result_has_one_all_the_same() {
    let _isolated = testing::isolated();
    nothing();
    assert_eq!(counted("outputs::nothing"), [0, 1, 0, 0]);
}

#[circuit_breaker(
    name = "outputs::iterator",
    failure_if = |numbers| numbers.size_hint().0 == 0,
    fallback = 0..1,
)]
fn iterator(up_to: u32) -> impl Iterator<Item = u32> {
    0..up_to
}

#[test]
fn an_output_without_a_name_is_judged_too() {
    let _isolated = testing::isolated();
    assert_eq!((iterator(3).sum::<u32>(), iterator(0).count()), (3, 0));
    assert_eq!(counted("outputs::iterator"), [1, 1, 0, 0]);
}

#[circuit_breaker(
    name = "outputs::slow",
    slow_call = "100ms",
    slow_call_rate = 1,
    min_calls = 2,
    fallback = 0
)]
async fn slow(time: u64) -> u64 {
    tokio::time::sleep(Duration::from_millis(time)).await;
    time
}

#[tokio::test(start_paused = true)]
async fn a_plain_value_may_be_too_slow() {
    let _isolated = testing::isolated();
    assert_eq!((slow(150).await, slow(150).await), (150, 150));
    assert_eq!(breaker("outputs::slow").state(), CircuitState::Open);
    assert_eq!(slow(1).await, 0);
    assert_eq!(counted("outputs::slow"), [2, 0, 0, 0]);
}

#[circuit_breaker(name = "outputs::predicates", ignore = |error| matches!(error, Error::Broken))]
fn ignoring(answer: Result<u32, Error>) -> Result<u32, Error> {
    answer
}

fn open() -> CircuitBreakerError {
    breaker("outputs::inner").trip();
    inner().expect_err("it is open")
}

#[circuit_breaker(name = "outputs::inner")]
fn inner() -> Result<u32, CircuitBreakerError> {
    Ok(1)
}

#[test]
fn an_error_that_is_ignored_says_nothing() {
    let _isolated = testing::isolated();
    assert_eq!(ignoring(Err(Error::Broken)), Err(Error::Broken));
    assert_eq!(ignoring(Ok(1)), Ok(1));
    assert!(ignoring(Err(open().into())).is_err());
    assert_eq!(counted("outputs::predicates"), [1, 1, 1, 0], "`Error` shows nothing of its inside");
}

fn not_found(error: &io::Error) -> bool {
    error.kind() == io::ErrorKind::NotFound
}

#[circuit_breaker(
    name = "outputs::both",
    ignore = not_found,
    failure_if = |answer| answer.as_ref().map_or(true, |size| *size == 0),
)]
async fn both(answer: io::Result<u64>) -> io::Result<u64> {
    answer
}

#[tokio::test]
async fn what_is_ignored_and_what_was_rejected_is_not_asked_about_any_more() {
    let _isolated = testing::isolated();
    both(Ok(1)).await.expect("closed");
    both(Ok(0)).await.expect("closed");
    both(Err(io::ErrorKind::TimedOut.into())).await.expect_err("as given");
    both(Err(io::ErrorKind::NotFound.into())).await.expect_err("as given");
    both(Err(open().into())).await.expect_err("as given");
    assert_eq!(counted("outputs::both"), [1, 2, 1, 1]);
}

#[circuit_breaker(name = "outputs::limits", failure_if = |answer| answer.as_ref().is_ok_and(|n| *n > limit))]
async fn within(limit: usize, text: String, suffix: &str) -> Result<usize, Error> {
    tokio::task::yield_now().await;
    Ok(text.len() + suffix.len())
}

#[circuit_breaker(
    name = "outputs::limits",
    failure_if = |answer| answer.as_ref().is_ok_and(|n| *n > text.len()),
)]
async fn within_text(text: String) -> Result<usize, Error> {
    Ok(text.trim_end().len() + 1)
}

#[tokio::test]
async fn predicates_see_the_arguments() {
    let isolated = testing::isolated();
    assert_eq!(within(3, "abc".into(), "").await, Ok(3));
    assert_eq!(within(3, "abc".into(), "d").await, Ok(4));
    assert_eq!(counted("outputs::limits"), [1, 1, 0, 0]);
    let spawned = isolated.spawn(async { within_text("abc".into()).await });
    assert_eq!(spawned.await.expect("joined"), Ok(4));
    assert_eq!(counted("outputs::limits"), [1, 2, 0, 0]);
}

#[circuit_breaker(name = "outputs::judge_panics", failure_if = |_| panic!("no judge"))]
fn judge_panics() -> Result<u32, Error> {
    Ok(1)
}

#[test]
fn a_predicate_that_panics_is_a_panic_of_the_call() {
    let _isolated = testing::isolated();
    std::panic::catch_unwind(judge_panics).expect_err("it panicked");
    assert_eq!(breaker("outputs::judge_panics").metrics().calls.panic, 1);
}

#[derive(Debug, thiserror::Error)]
enum StorageError {
    #[error("unavailable")]
    Unavailable(#[from] CircuitBreakerError),
    #[error("unreadable")]
    Io(#[from] io::Error),
}

type Stored<T, E = StorageError> = std::result::Result<T, E>;

#[circuit_breaker(name = "outputs::results")]
fn own_enum(path: &str) -> Stored<String> {
    Ok(std::fs::read_to_string(path)?)
}

#[circuit_breaker(name = "outputs::results")]
fn io_result(path: &str) -> io::Result<String> {
    std::fs::read_to_string(path)
}

#[circuit_breaker(name = "outputs::results")]
async fn boxed(path: &str) -> Result<String, Box<dyn std::error::Error + Send + Sync>> {
    Ok(std::fs::read_to_string(path)?)
}

#[circuit_breaker(name = "outputs::results")]
async fn any(path: &str) -> anyhow::Result<String> {
    Ok(std::fs::read_to_string(path)?)
}

#[circuit_breaker(name = "outputs::results")]
fn alias_of_another_error(text: &str) -> Stored<u32, Box<dyn std::error::Error>> {
    Ok(text.parse()?)
}

#[tokio::test]
async fn results_under_any_alias_hold_the_breakers_error() {
    let _isolated = testing::isolated();
    let (none, here) = ("/no/such/file", file!());
    let failed = [
        own_enum(none).is_err(),
        io_result(none).is_err(),
        boxed(none).await.is_err(),
        any(none).await.is_err(),
    ];
    assert_eq!(failed, [true; 4]);
    breaker("outputs::results").reset();
    assert!(alias_of_another_error("x").is_err() && alias_of_another_error("1").is_ok());
    assert_eq!(counted("outputs::results"), [1, 5, 0, 0]);
    breaker("outputs::results").trip();
    assert!(matches!(own_enum(here), Err(StorageError::Unavailable(_))));
    assert!(io_result(here).is_err_and(|error| error.to_string().contains("is open")));
    assert!(boxed(here).await.is_err_and(|error| error.is::<CircuitBreakerError>()));
    assert!(any(here).await.is_err_and(|error| error.is::<CircuitBreakerError>()));
    assert!(alias_of_another_error("1").is_err_and(|error| error.is::<CircuitBreakerError>()));
}
