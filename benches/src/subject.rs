//! avail's breaker, by each of the ways to it.

use avail::{
    CallError, CircuitBreaker, CircuitBreakerConfig, CircuitBreakerConfigBuilder,
    CircuitBreakerError, CircuitBreakerRegistry, circuit_breaker,
};

use crate::contender::{Contender, SyncContender, Unavailable, Verdict, work, work_async};
use crate::peers::{OPEN, STREAK};

/// A breaker by its handle.
pub struct Avail(CircuitBreaker);

pub fn streak(name: &str) -> Avail {
    make(name, CircuitBreakerConfig::builder().failure_threshold(STREAK))
}

/// As it is without a word.
pub fn default(name: &str) -> Avail {
    Avail(CircuitBreaker::new(name, CircuitBreakerConfig::default()))
}

/// The rates of failures and of slow calls over the last hundred.
#[cfg(feature = "rules")]
pub fn rates(name: &str) -> Avail {
    make(name, with_rates().window(100))
}

/// The same over thirty seconds.
#[cfg(feature = "rules")]
pub fn rates_over_time(name: &str) -> Avail {
    make(name, with_rates().window(std::time::Duration::from_secs(30)))
}

#[cfg(feature = "rules")]
fn with_rates() -> CircuitBreakerConfigBuilder {
    use crate::limits::SLOW_CALL;
    use crate::peers::{MIN_CALLS, RATE};

    let builder = CircuitBreakerConfig::builder().failure_rate(RATE).min_calls(MIN_CALLS);
    builder.slow_call(SLOW_CALL).slow_call_rate(RATE)
}

fn make(name: &str, builder: CircuitBreakerConfigBuilder) -> Avail {
    let config = builder.timeout(OPEN).build().expect("the settings are valid");
    Avail(CircuitBreaker::new(name, config))
}

#[inline]
fn verdict(result: Result<u64, CallError<Unavailable>>) -> Verdict {
    match result {
        Err(CallError::CircuitBreaker(_)) => Verdict::Rejected,
        Ok(output) => Verdict::done(output),
        Err(_) => Verdict::Failed,
    }
}

impl Contender for Avail {
    type Handle = CircuitBreaker;

    fn handle(&self) -> CircuitBreaker {
        self.0.clone()
    }

    async fn call(breaker: &mut CircuitBreaker, input: u64) -> Verdict {
        verdict(breaker.call(|| work_async(input)).await)
    }
}

impl SyncContender for Avail {
    #[inline]
    fn call_sync(breaker: &mut CircuitBreaker, input: u64) -> Verdict {
        verdict(breaker.call_sync(|| work(input)))
    }
}

/// The handle of a breaker that a registry made: asked for by name once, and kept.
pub fn cached() -> Avail {
    let registry = CircuitBreakerRegistry::new();
    let config = CircuitBreakerConfig::builder().failure_threshold(STREAK).timeout(OPEN).build();
    let config = config.expect("the settings are valid");
    Avail(registry.get_or_create_with("cached", config).expect("the name is free"))
}

/// A function with the attribute: its handle is found once.
pub struct Attribute;

#[derive(Debug)]
enum GuardedError {
    Rejected,
    Unavailable,
}

impl From<CircuitBreakerError> for GuardedError {
    fn from(_: CircuitBreakerError) -> Self {
        GuardedError::Rejected
    }
}

#[circuit_breaker(name = "guarded", failure_threshold = 5, timeout = "1h")]
async fn guarded(input: u64) -> Result<u64, GuardedError> {
    work(input).map_err(|_| GuardedError::Unavailable)
}

impl Contender for Attribute {
    type Handle = ();

    fn handle(&self) {}

    async fn call(_: &mut (), input: u64) -> Verdict {
        match guarded(input).await {
            Err(GuardedError::Rejected) => Verdict::Rejected,
            Ok(output) => Verdict::done(output),
            Err(_) => Verdict::Failed,
        }
    }
}

/// A breaker that every call asks the registry for, by name, among a hundred.
pub struct ByName(CircuitBreakerRegistry);

const NAME: &str = "breaker-050";

pub fn by_name() -> ByName {
    let registry = CircuitBreakerRegistry::new();
    for index in 0..100 {
        registry.get_or_create(format!("breaker-{index:03}"));
    }
    ByName(registry)
}

impl Contender for ByName {
    type Handle = CircuitBreakerRegistry;

    fn handle(&self) -> CircuitBreakerRegistry {
        self.0.clone()
    }

    async fn call(registry: &mut CircuitBreakerRegistry, input: u64) -> Verdict {
        let breaker = registry.get(NAME).expect("it was made");
        verdict(breaker.call(|| work_async(input)).await)
    }
}
