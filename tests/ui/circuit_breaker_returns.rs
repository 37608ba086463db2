use std::future::Future;
use std::pin::Pin;

use avail::{CircuitBreakerError, circuit_breaker};

#[derive(Debug)]
struct OwnError;

type Own<T> = Result<T, OwnError>;
type Alias = Pin<Box<dyn Future<Output = Result<(), CircuitBreakerError>> + Send>>;

#[circuit_breaker]
fn no_from() -> Result<Vec<u8>, OwnError> {
    Ok(Vec::new())
}

#[circuit_breaker]
async fn no_from_async(id: u32) -> Own<u32> {
    Ok(id)
}

#[circuit_breaker]
fn no_result() -> Option<u32> {
    None
}

#[circuit_breaker]
async fn no_result_async() -> u32 {
    7
}

#[circuit_breaker(fallback = None)]
async fn no_result_with_fallback() -> Option<u32> {
    None
}

#[circuit_breaker(failure_if = Option::is_none)]
fn no_fallback() -> Option<u32> {
    None
}

#[circuit_breaker]
fn nothing() {}

#[circuit_breaker]
fn hidden_future() -> Alias {
    Box::pin(async { Ok(()) })
}

#[circuit_breaker(slow_call = 1, slow_call_rate = 0.5, fallback = Box::pin(async { Ok(()) }))]
fn hidden_future_with_fallback() -> Alias {
    Box::pin(async { Ok(()) })
}

#[circuit_breaker(failure_if = |_| false, fallback = Box::pin(async { Ok(()) }))]
async fn future_of_a_hidden_future() -> Alias {
    Box::pin(async { Ok(()) })
}

#[circuit_breaker]
fn future_without_from() -> impl Future<Output = Result<(), OwnError>> {
    async { Ok(()) }
}

#[circuit_breaker]
fn generic<E>(error: E) -> Result<(), E> {
    Err(error)
}

fn main() {}
