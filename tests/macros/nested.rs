//! An annotated function that calls another: the breaker further down is open, and the one around it
//! does not trip for that.

use std::error::Error;
use std::fmt::{self, Debug, Display};
use std::io;
use std::sync::Arc;

use avail::{CallError, CircuitBreakerError, CircuitState, circuit_breaker, testing};

use super::breaker::breaker;

#[circuit_breaker(name = "nested::inner")]
fn inner() -> Result<u32, CircuitBreakerError> {
    Ok(1)
}

/// Calls the function with the inner breaker open: the outer breaker stays as it is.
#[track_caller]
fn assert_rejected<T, E>(name: &str, call: impl FnOnce() -> Result<T, E>) -> E {
    let _isolated = testing::isolated();
    breaker("nested::inner").trip();
    let Err(error) = call() else { panic!("the inner breaker is open") };
    let calls = breaker(name).metrics().calls;
    assert_eq!((calls.rejected, calls.failure, calls.success), (1, 0, 0), "{name}");
    assert_eq!(breaker(name).state(), CircuitState::Closed, "{name}");
    error
}

#[track_caller]
fn assert_failed<T, E>(name: &str, call: impl FnOnce() -> Result<T, E>) {
    let _isolated = testing::isolated();
    assert!(call().is_err());
    let calls = breaker(name).metrics().calls;
    assert_eq!((calls.rejected, calls.failure), (0, 1), "{name}");
    assert_eq!(breaker(name).state(), CircuitState::Open, "{name}");
}

#[circuit_breaker(name = "nested::own", failure_threshold = 1)]
fn own() -> Result<u32, CircuitBreakerError> {
    inner()
}

#[test]
fn the_rejection_itself() {
    let error = assert_rejected("nested::own", own);
    assert_eq!(error.name(), "nested::inner");
}

#[derive(Debug, thiserror::Error)]
enum StorageError {
    #[error("the storage is not available")]
    Unavailable(#[from] CircuitBreakerError),
    #[error("blob {0} is corrupt")]
    Corrupt(u32),
}

#[derive(Debug, thiserror::Error)]
enum SearchError {
    #[error("search is not available")]
    Unavailable(#[from] CircuitBreakerError),
    #[error(transparent)]
    Storage(#[from] StorageError),
}

#[circuit_breaker(name = "nested::enumerated", failure_threshold = 1)]
fn enumerated(corrupt: Option<u32>) -> Result<u32, SearchError> {
    if let Some(blob) = corrupt {
        return Err(StorageError::Corrupt(blob).into());
    }
    Ok(inner().map_err(StorageError::from)?)
}

#[test]
fn an_error_enum_that_wraps_it_twice() {
    assert_rejected("nested::enumerated", || enumerated(None));
    assert_failed("nested::enumerated", || enumerated(Some(7)));
}

#[derive(Debug, thiserror::Error)]
#[error(transparent)]
struct Transparent(#[from] CircuitBreakerError);

#[circuit_breaker(name = "nested::transparent", failure_threshold = 1)]
fn transparent() -> Result<u32, Transparent> {
    Ok(inner()?)
}

#[test]
fn an_error_that_is_transparent() {
    assert_rejected("nested::transparent", transparent);
}

#[circuit_breaker(name = "nested::boxed", failure_threshold = 1)]
fn boxed(text: &str) -> Result<u32, Box<dyn Error + Send + Sync>> {
    Ok(inner()? + text.parse::<u32>()?)
}

#[circuit_breaker(name = "nested::boxed_local", failure_threshold = 1)]
fn boxed_local(text: &str) -> Result<u32, Box<dyn Error>> {
    Ok(inner()? + text.parse::<u32>()?)
}

#[test]
fn boxed_errors() {
    assert_rejected("nested::boxed", || boxed("1"));
    assert_failed("nested::boxed", || boxed("one"));
    assert_rejected("nested::boxed_local", || boxed_local("1"));
    assert_failed("nested::boxed_local", || boxed_local("one"));
}

/// Made as anyhow's: no `Error` itself, and made of every one.
#[derive(Debug)]
struct Anyhow(Box<dyn Error + Send + Sync>);

impl<E: Error + Send + Sync + 'static> From<E> for Anyhow {
    fn from(error: E) -> Self {
        Anyhow(error.into())
    }
}

impl AsRef<dyn Error + Send + Sync> for Anyhow {
    fn as_ref(&self) -> &(dyn Error + Send + Sync + 'static) {
        &*self.0
    }
}

impl AsRef<dyn Error> for Anyhow {
    fn as_ref(&self) -> &(dyn Error + 'static) {
        &*self.0
    }
}

#[circuit_breaker(name = "nested::anyhow", failure_threshold = 1)]
fn anyhow(text: &str) -> Result<u32, Anyhow> {
    Ok(inner()? + text.parse::<u32>()?)
}

#[test]
fn an_error_like_anyhows() {
    assert_rejected("nested::anyhow", || anyhow("1"));
    assert_failed("nested::anyhow", || anyhow("one"));
}

#[circuit_breaker(name = "nested::io", failure_threshold = 1)]
fn in_io() -> io::Result<u32> {
    Ok(inner()?)
}

#[circuit_breaker(name = "nested::io_in_io", failure_threshold = 1)]
fn in_io_in_io() -> io::Result<u32> {
    in_io().map_err(io::Error::other)
}

#[test]
fn io_errors() {
    assert_rejected("nested::io", in_io);
    assert_rejected("nested::io_in_io", in_io_in_io);
}

#[circuit_breaker(name = "nested::call", failure_threshold = 1)]
fn call() -> Result<u32, CallError<io::Error>> {
    Ok(inner()?)
}

#[circuit_breaker(name = "nested::call_of_text", failure_threshold = 1)]
fn call_of_text(broken: bool) -> Result<u32, CallError<String>> {
    if broken { Err(CallError::Operation("broken".into())) } else { Ok(inner()?) }
}

#[test]
fn errors_of_a_call() {
    assert_rejected("nested::call", call);
    assert_rejected("nested::call_of_text", || call_of_text(false));
    assert_failed("nested::call_of_text", || call_of_text(true));
}

#[circuit_breaker(name = "nested::generic", failure_threshold = 1)]
fn generic<E>() -> Result<u32, E>
where
    E: Error + From<CircuitBreakerError>,
{
    Ok(inner()?)
}

#[circuit_breaker(name = "nested::generic_boxed", failure_threshold = 1)]
async fn generic_boxed<T: From<u32>>() -> Result<T, Box<dyn Error + Send + Sync>> {
    Ok(inner()?.into())
}

#[circuit_breaker(name = "nested::blind", failure_threshold = 1)]
fn blind<E: From<CircuitBreakerError>>() -> Result<u32, E> {
    Ok(inner()?)
}

#[test]
fn generic_functions_see_what_their_bounds_let_them_see() {
    assert_rejected("nested::generic", generic::<io::Error>);
    let _isolated = testing::isolated();
    breaker("nested::inner").trip();
    assert!(blind::<io::Error>().is_err());
    assert_eq!(breaker("nested::blind").metrics().calls.failure, 1);
}

#[tokio::test]
async fn async_generic_functions() {
    let _isolated = testing::isolated();
    breaker("nested::inner").trip();
    assert!(generic_boxed::<u64>().await.is_err());
    assert_eq!(breaker("nested::generic_boxed").metrics().calls.rejected, 1);
}

/// Not an `Error`, and nothing else that one could look through.
#[derive(Debug)]
struct Plain(#[expect(dead_code, reason = "nobody can look")] Option<CircuitBreakerError>);

impl From<CircuitBreakerError> for Plain {
    fn from(error: CircuitBreakerError) -> Self {
        Plain(Some(error))
    }
}

#[circuit_breaker(name = "nested::plain", failure_threshold = 1)]
fn plain() -> Result<u32, Plain> {
    Ok(inner()?)
}

#[test]
fn an_error_that_shows_nothing_is_a_failure() {
    let _isolated = testing::isolated();
    breaker("nested::inner").trip();
    plain().expect_err("the inner breaker is open");
    assert_eq!(breaker("nested::plain").metrics().calls.failure, 1);
}

/// Borrows; it must not have to live for ever.
#[derive(Debug)]
struct Borrows<'a>(&'a str, Option<CircuitBreakerError>);

impl Display for Borrows<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.0)
    }
}

impl Error for Borrows<'_> {
    fn source(&self) -> Option<&(dyn Error + 'static)> {
        self.1.as_ref().map(|error| error as _)
    }
}

impl From<CircuitBreakerError> for Borrows<'_> {
    fn from(error: CircuitBreakerError) -> Self {
        Borrows("it is open", Some(error))
    }
}

#[circuit_breaker(name = "nested::borrows", failure_threshold = 1)]
fn borrows(text: &str) -> Result<u32, Borrows<'_>> {
    inner().map_err(|error| Borrows(text, Some(error)))
}

type Borrowed<'a, T> = Result<T, Box<dyn Error + Send + Sync + 'a>>;

#[circuit_breaker(name = "nested::boxed_borrows", failure_threshold = 1)]
fn boxed_borrows<'a>(text: &'a str) -> Borrowed<'a, &'a str> {
    inner().map_err(|error| Borrows(text, Some(error)))?;
    Ok(text)
}

#[circuit_breaker(name = "nested::call_borrows", failure_threshold = 1)]
fn call_borrows(text: &str) -> Result<u32, CallError<Borrows<'_>>> {
    inner().map_err(|error| CallError::Operation(Borrows(text, Some(error))))
}

#[test]
fn errors_that_borrow() {
    let text = String::from("it is open");
    assert_rejected("nested::borrows", || borrows(&text));
    assert_rejected("nested::boxed_borrows", || boxed_borrows(&text));
    assert_rejected("nested::call_borrows", || call_borrows(&text));
}

#[circuit_breaker(name = "nested::opaque", failure_threshold = 1, fallback = Err(Opaque))]
fn opaque() -> Result<impl Iterator<Item = u32>, impl Debug> {
    if inner().is_err() {
        return Err(Opaque);
    }
    Ok(0..1)
}

#[circuit_breaker(name = "nested::opaque_later", failure_threshold = 1, fallback = Err(Opaque))]
async fn opaque_later() -> Result<impl Iterator<Item = u32>, impl Debug> {
    opaque().map_err(|_| Opaque)
}

#[derive(Debug)]
struct Opaque;

#[circuit_breaker(name = "nested::opaque_error", failure_threshold = 1)]
async fn opaque_error() -> Result<u32, impl Error + From<CircuitBreakerError>> {
    Ok::<_, StorageError>(inner()?)
}

#[circuit_breaker(
    name = "nested::opaque_value",
    failure_threshold = 1,
    fallback = |error| Err(Arc::new(error.into())),
)]
async fn opaque_value() -> Result<impl Display, Arc<StorageError>> {
    inner().map_err(|error| Arc::new(error.into()))
}

#[tokio::test]
async fn types_without_a_name() {
    let _isolated = testing::isolated();
    breaker("nested::inner").trip();
    assert!(opaque_later().await.is_err());
    assert_eq!(breaker("nested::opaque").metrics().calls.failure, 1);
    assert_eq!(breaker("nested::opaque_later").metrics().calls.failure, 1);
    assert!(opaque_error().await.is_err());
    assert_eq!(breaker("nested::opaque_error").metrics().calls.rejected, 1);
    assert!(opaque_value().await.is_err());
    assert_eq!(breaker("nested::opaque_value").metrics().calls.rejected, 1);
}

trait Fetch {
    type Error: From<CircuitBreakerError>;

    #[circuit_breaker(name = "nested::method")]
    fn fetch(&self) -> Result<u32, Self::Error> {
        Ok(inner()?)
    }
}

impl Fetch for () {
    type Error = io::Error;
}

/// Of a trait for everything, with methods named as those of avail.
#[allow(dead_code)] // to be in the way is all that they do
trait InTheWay {
    fn breaker(&self) {}
    fn enter(&self) {}
    fn guard(&self) {}
    fn judge(&self) {}
    fn run(&self) {}
    fn run_sync(&self) {}
}

impl<T: ?Sized> InTheWay for T {}

#[test]
fn functions_of_traits_see_what_their_bounds_let_them_see() {
    let _isolated = testing::isolated();
    breaker("nested::inner").trip();
    ().judge();
    ().run();
    assert!(().fetch().is_err());
    assert_eq!(breaker("nested::method").metrics().calls.failure, 1);
}

#[circuit_breaker(name = "nested::probe", failure_threshold = 1, timeout = "10s")]
async fn probe() -> Result<u32, Box<dyn Error + Send + Sync>> {
    Ok(inner()?)
}

#[tokio::test(start_paused = true)]
async fn a_probe_that_meets_an_open_breaker_gives_its_slot_back() {
    let _isolated = testing::isolated();
    let (outer, inner) = (breaker("nested::probe"), breaker("nested::inner"));
    outer.trip();
    inner.force_open("deploying");
    tokio::time::advance(std::time::Duration::from_secs(10)).await;
    for calls in 1..4 {
        assert!(probe().await.is_err());
        let metrics = outer.metrics();
        assert_eq!((metrics.state, metrics.calls.rejected), (CircuitState::HalfOpen, calls));
        assert_eq!(metrics.probes_in_flight, 0);
    }
    inner.clear_override();
    probe().await.expect("it is let through");
    probe().await.expect("it is let through");
    assert_eq!(outer.state(), CircuitState::Closed);
}
