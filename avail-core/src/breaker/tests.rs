//! What a breaker promises, one sentence a test. The state machine is driven by ticks, whole
//! breakers by tokio's paused time; nothing here waits.

mod call;
#[cfg(feature = "test-util")]
mod calls;
#[cfg(feature = "test-util")]
mod events;
#[cfg(feature = "test-util")]
mod fleet;
mod machine;
#[cfg(feature = "test-util")]
mod overrides;
#[cfg(feature = "test-util")]
mod probes;
#[cfg(feature = "test-util")]
mod rates;
mod threads;

use std::time::Duration;

use super::*;

const OPEN_TIME: Duration = Duration::from_secs(10);
#[cfg(feature = "test-util")]
const LEASE: Duration = Duration::from_secs(60);

/// Three failures open it for ten seconds, one success closes it.
fn config() -> CircuitBreakerConfigBuilder {
    CircuitBreakerConfig::builder().failure_threshold(3).success_threshold(1).timeout(OPEN_TIME)
}

fn breaker(config: CircuitBreakerConfigBuilder) -> CircuitBreaker {
    CircuitBreaker::new("storage", config.build().expect("a valid configuration"))
}

fn fail(breaker: &CircuitBreaker) {
    let _ = breaker.call_sync(|| Err::<(), _>("refused"));
}

fn succeed(breaker: &CircuitBreaker) {
    assert_eq!(breaker.call_sync(|| Ok::<_, &str>(())), Ok(()));
}

#[cfg(feature = "test-util")]
fn ignore(breaker: &CircuitBreaker) {
    breaker.acquire().expect("it lets calls through").ignore();
}

/// Runs what panics, and says what it panicked with.
#[cfg(feature = "test-util")]
fn panic_of(op: impl FnOnce()) -> &'static str {
    let payload = std::panic::catch_unwind(std::panic::AssertUnwindSafe(op));
    let payload = payload.expect_err("it panics");
    payload.downcast_ref::<&'static str>().copied().unwrap_or("something else")
}

/// How long the error says to wait.
#[cfg(feature = "test-util")]
fn retry_after(breaker: &CircuitBreaker) -> Option<Duration> {
    breaker.acquire().expect_err("it rejects").retry_after()
}
