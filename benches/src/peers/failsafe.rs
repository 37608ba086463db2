use std::time::Duration;

use failsafe::backoff::{Constant, constant};
use failsafe::failure_policy::{
    ConsecutiveFailures, SuccessRateOverTimeWindow, consecutive_failures,
    success_rate_over_time_window,
};
use failsafe::{CircuitBreaker, Config, Error, FailurePolicy, StateMachine};

use super::{MIN_CALLS, OPEN, RATE, STREAK};
use crate::contender::{Contender, SyncContender, Unavailable, Verdict, work, work_async};

pub struct Failsafe<P>(StateMachine<P, ()>);

pub fn streak() -> Failsafe<ConsecutiveFailures<Constant>> {
    Failsafe(Config::new().failure_policy(consecutive_failures(STREAK, constant(OPEN))).build())
}

/// A moving average of successes over thirty seconds.
pub fn rates() -> Failsafe<SuccessRateOverTimeWindow<Constant>> {
    let window = Duration::from_secs(30);
    let policy = success_rate_over_time_window(1.0 - RATE, MIN_CALLS, window, constant(OPEN));
    Failsafe(Config::new().failure_policy(policy).build())
}

#[inline]
fn verdict(result: Result<u64, Error<Unavailable>>) -> Verdict {
    match result {
        Err(Error::Rejected) => Verdict::Rejected,
        Ok(output) => Verdict::done(output),
        Err(_) => Verdict::Failed,
    }
}

impl<P: FailurePolicy + Send + Sync> Contender for Failsafe<P> {
    type Handle = StateMachine<P, ()>;

    fn handle(&self) -> Self::Handle {
        self.0.clone()
    }

    async fn call(breaker: &mut Self::Handle, input: u64) -> Verdict {
        verdict(failsafe::futures::CircuitBreaker::call(breaker, work_async(input)).await)
    }
}

impl<P: FailurePolicy + Send + Sync> SyncContender for Failsafe<P> {
    #[inline]
    fn call_sync(breaker: &mut Self::Handle, input: u64) -> Verdict {
        verdict(CircuitBreaker::call(breaker, || work(input)))
    }
}
