//! What is wrong in a predicate, a key, or a fallback that comes after the body, is reported there.

use std::path::PathBuf;

use avail::{CircuitBreakerError, circuit_breaker};

type Answer<T> = Result<T, CircuitBreakerError>;

#[circuit_breaker(failure_if = |answer| answer.len())]
fn no_bool() -> Answer<String> {
    Ok(String::new())
}

#[circuit_breaker(ignore = |error| 5)]
async fn no_bool_either() -> Answer<u32> {
    Ok(1)
}

fn is_long(text: &str) -> bool {
    text.len() > 9
}

#[circuit_breaker(failure_if = is_long)]
fn of_another_type() -> Answer<u32> {
    Ok(1)
}

#[circuit_breaker(ignore = is_long)]
async fn of_another_error() -> Answer<u32> {
    Ok(1)
}

#[circuit_breaker(ignore = |_| true, failure_if = Option::is_none, fallback = None)]
fn no_error() -> Option<u32> {
    None
}

#[circuit_breaker(ignore = |_| true)]
fn no_error_and_no_fallback() -> Option<u32> {
    None
}

#[circuit_breaker(key = path)]
fn no_text(path: PathBuf) -> Answer<u64> {
    let _ = path;
    Ok(1)
}

async fn consume(text: String) -> usize {
    text.len()
}

#[circuit_breaker(call_timeout = "1s", fallback = Ok(text.len()))]
async fn consumed(text: String) -> Answer<usize> {
    Ok(consume(text).await)
}

#[circuit_breaker(failure_if = |answer| answer.is_err() && text.is_empty())]
async fn consumed_before(text: String) -> Answer<usize> {
    Ok(consume(text).await)
}

fn main() {}
