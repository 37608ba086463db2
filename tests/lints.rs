//! The expansions are silent under the strictest lints of a user's crate. It is enough that this
//! compiles; `clippy` reads it too.
#![cfg(feature = "macros")]
#![forbid(unsafe_code)]
#![deny(
    warnings,
    clippy::pedantic,
    clippy::allow_attributes,
    clippy::let_underscore_untyped,
    clippy::shadow_unrelated,
    future_incompatible,
    keyword_idents,
    let_underscore,
    missing_docs,
    nonstandard_style,
    rust_2018_idioms,
    single_use_lifetimes,
    trivial_casts,
    trivial_numeric_casts,
    unreachable_pub,
    unused,
    unused_lifetimes,
    unused_qualifications,
    unused_results,
    variant_size_differences
)]

use std::future::Future;
use std::pin::Pin;
use std::time::Duration;

use avail::{CircuitBreakerError, Health, circuit_breaker, health_check};

const NAME: &str = "lints::named";

#[derive(Debug)]
struct Error(String);

impl std::fmt::Display for Error {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(&self.0)
    }
}

impl From<CircuitBreakerError> for Error {
    fn from(error: CircuitBreakerError) -> Self {
        Error(error.to_string())
    }
}

#[derive(Debug)]
struct Store(Vec<u8>);

impl Store {
    #[circuit_breaker(name = NAME, critical, timeout = "30s")]
    async fn first(&self) -> Result<&u8, Error> {
        tokio::time::sleep(Duration::ZERO).await;
        self.0.first().ok_or_else(|| Error("empty".into()))
    }

    #[circuit_breaker]
    fn first_mut(&mut self) -> Result<&mut u8, Error> {
        self.0.first_mut().ok_or_else(|| Error("empty".into()))
    }

    #[circuit_breaker(fallback = Ok(count))]
    async fn grow(mut self, mut count: usize) -> Result<usize, Error> {
        while count > 0 {
            tokio::task::yield_now().await;
            self.0.push(0);
            count -= 1;
        }
        Ok(self.0.len())
    }

    #[circuit_breaker(fallback = |error| Err(error.into()))]
    fn lazily(&self) -> impl Future<Output = Result<usize, Error>> + Send + '_ {
        async { Ok(self.0.len()) }
    }

    #[circuit_breaker]
    fn boxed(&self) -> Pin<Box<dyn Future<Output = Result<usize, Error>> + Send + '_>> {
        Box::pin(self.lazily())
    }
}

#[circuit_breaker(
    failure_rate = "50%",
    slow_call = "1s",
    slow_call_rate = 0.5,
    slow_in_flight,
    window = "30s",
    min_calls = 20,
    call_timeout = "2s",
    probe_timeout = "1m",
    cancel_failure_after = "never",
    max_timeout = "10m",
    backoff = 2,
    jitter = 0.2,
    recovery_check = "lints::check",
    fallback = Err(Error(format!("no answer for {name}")))
)]
async fn every_key(name: String) -> Result<usize, Error> {
    tokio::task::yield_now().await;
    Ok(name.len())
}

#[circuit_breaker(call_timeout = 2, fallback = |error| error.to_string().len())]
async fn told_why(name: &str) -> usize {
    tokio::task::yield_now().await;
    name.len()
}

fn is_empty(error: &Error) -> bool {
    error.0.is_empty()
}

#[circuit_breaker(
    key = name,
    max_keys = 10,
    ignore = is_empty,
    failure_if = |answer| answer.as_ref().is_ok_and(|length| *length > limit)
)]
async fn of_a_family(name: &str, limit: usize) -> Result<usize, Error> {
    tokio::task::yield_now().await;
    Ok(name.len())
}

#[circuit_breaker(key = first + second, failure_if = Option::is_none, fallback = None)]
fn plain(first: u32, second: u32) -> Option<u32> {
    first.checked_sub(second)
}

#[circuit_breaker(shadow, failure_threshold = 3)]
fn iterates(up_to: u32) -> Result<impl Iterator<Item = u32>, Error> {
    if up_to == 0 {
        return Err(Error("nothing to do".into()));
    }
    Ok(0..up_to)
}

#[circuit_breaker(prefix = "lints")]
impl Store {
    const ROWS: usize = 1;

    fn rows(&self) -> Result<usize, Error> {
        Ok(self.0.len() + Self::ROWS)
    }

    #[avail(skip)]
    fn unguarded(&self) -> Result<usize, Error> {
        self.rows()
    }
}

#[circuit_breaker]
async fn only_fails<T: Send>(value: T) -> Result<(), Error> {
    drop(value);
    Err(Error("always".into()))
}

#[circuit_breaker]
fn nothing() -> Result<(), Error> {
    Ok(())
}

#[health_check(name = "lints::check", interval = "10s", critical = false)]
async fn check() -> Result<(), Error> {
    tokio::task::yield_now().await;
    nothing()
}

#[health_check(probe = "none")]
fn blocking_check() -> Health {
    Health::healthy()
}

#[health_check]
fn silent_check() {}

#[tokio::test]
async fn expansions_are_silent_under_strict_lints() {
    let mut store = Store(vec![1]);
    *store.first_mut().expect("one") += 1;
    assert_eq!(*store.first().await.expect("one"), 2);
    assert_eq!(store.lazily().await.expect("open"), 1);
    assert_eq!(store.boxed().await.expect("open"), 1);
    assert_eq!(store.unguarded().expect("open"), 2);
    assert_eq!(store.grow(2).await.expect("open"), 3);
    assert_eq!(iterates(3).expect("not nothing").sum::<u32>(), 3);
    assert!(only_fails(1).await.is_err());
    assert_eq!(every_key("abc".into()).await.expect("open"), 3);
    assert_eq!(told_why("abc").await, 3);
    assert_eq!(of_a_family("abc", 9).await.expect("open"), 3);
    assert_eq!(plain(3, 2), Some(1));
    check().await.expect("healthy");
    assert!(blocking_check().status().is_up());
    silent_check();
}
