use std::future::poll_fn;

use tower::{Layer, Service, service_fn};
use tower_resilience_circuitbreaker::{
    CircuitBreakerConfigBuilder, CircuitBreakerError, CircuitBreakerLayer, DefaultClassifier,
};

use super::{MIN_CALLS, OPEN, RATE, STREAK, WINDOW};
use crate::contender::{Contender, Unavailable, Verdict, work_async};
use crate::limits::SLOW_CALL;

pub struct TowerResilience<S>(S);

/// A service that a thread can clone and call.
pub trait Guarded:
    Service<u64, Response = u64, Error = CircuitBreakerError<Unavailable>> + Clone + Send + Sync
{
}

impl<S> Guarded for S where
    S: Service<u64, Response = u64, Error = CircuitBreakerError<Unavailable>> + Clone + Send + Sync
{
}

pub fn streak() -> TowerResilience<impl Guarded> {
    build(CircuitBreakerLayer::builder().consecutive_failures(STREAK as usize))
}

/// The rates of failures and of slow calls since its last change of state.
pub fn rates() -> TowerResilience<impl Guarded> {
    let builder = CircuitBreakerLayer::builder().failure_rate_threshold(RATE);
    let builder = builder.slow_call_duration_threshold(SLOW_CALL).slow_call_rate_threshold(RATE);
    build(builder.sliding_window_size(WINDOW).minimum_number_of_calls(MIN_CALLS as usize))
}

fn build(builder: CircuitBreakerConfigBuilder<DefaultClassifier>) -> TowerResilience<impl Guarded> {
    let layer = builder.wait_duration_in_open(OPEN).build().expect("the settings are valid");
    TowerResilience(layer.layer(service_fn(work_async)))
}

impl<S: Guarded> Contender for TowerResilience<S> {
    type Handle = S;

    fn handle(&self) -> S {
        self.0.clone()
    }

    async fn call(service: &mut S, input: u64) -> Verdict {
        let result = match poll_fn(|context| service.poll_ready(context)).await {
            Ok(()) => service.call(input).await,
            Err(error) => Err(error),
        };
        match result {
            Err(CircuitBreakerError::OpenCircuit) => Verdict::Rejected,
            Ok(output) => Verdict::done(output),
            Err(_) => Verdict::Failed,
        }
    }
}
