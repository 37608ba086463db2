use circuitbreaker_rs::{BreakerError, CircuitBreaker, DefaultPolicy};

use super::{MIN_CALLS, OPEN, RATE, STREAK};
use crate::contender::{Contender, SyncContender, Unavailable, Verdict, work, work_async};

type Breaker = CircuitBreaker<DefaultPolicy, Unavailable>;

pub struct Peer(Breaker);

/// Both of its rules, which always stand together.
pub fn both() -> Peer {
    let builder = Breaker::builder().failure_threshold(RATE).min_throughput(MIN_CALLS.into());
    Peer(builder.consecutive_failures(STREAK.into()).cooldown(OPEN).build())
}

#[inline]
fn verdict(result: Result<u64, BreakerError<Unavailable>>) -> Verdict {
    match result {
        Err(BreakerError::Open) => Verdict::Rejected,
        Ok(output) => Verdict::done(output),
        Err(_) => Verdict::Failed,
    }
}

impl Contender for Peer {
    type Handle = Breaker;

    fn handle(&self) -> Breaker {
        self.0.clone()
    }

    async fn call(breaker: &mut Breaker, input: u64) -> Verdict {
        verdict(breaker.call_async(|| work_async(input)).await)
    }
}

impl SyncContender for Peer {
    #[inline]
    fn call_sync(breaker: &mut Breaker, input: u64) -> Verdict {
        verdict(breaker.call(|| work(input)))
    }
}
