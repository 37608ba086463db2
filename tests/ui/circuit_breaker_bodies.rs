//! What is wrong in a body, or in a fallback, is reported there.

use std::future::Future;

use avail::{CircuitBreakerError, circuit_breaker};

type Answer<T> = Result<T, CircuitBreakerError>;

#[circuit_breaker]
async fn wrong_type() -> Answer<String> {
    Ok(5)
}

#[circuit_breaker]
async fn wrong_question_mark(text: &str) -> Answer<u32> {
    let number: u32 = text.parse()?;
    Ok(number)
}

#[circuit_breaker]
fn wrong_return(early: bool) -> Answer<u32> {
    if early {
        return "early";
    }
    Ok(1)
}

#[circuit_breaker]
fn wrong_future() -> impl Future<Output = Answer<u32>> {
    async { "late" }
}

#[circuit_breaker(fallback = "nothing")]
async fn wrong_fallback() -> Answer<u32> {
    Ok(1)
}

#[circuit_breaker(fallback = |error| Ok(error))]
fn wrong_closure() -> Answer<u32> {
    Ok(1)
}

#[circuit_breaker]
fn borrow_checked(text: String) -> Answer<String> {
    drop(text);
    Ok(text)
}

fn main() {}
