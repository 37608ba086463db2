use std::time::Duration;

use execution_policy::{
    CircuitBreaker, DefaultCore, ExecutionError, ExecutionPolicy, ExecutionPolicyBuilder,
};

use super::{MIN_CALLS, OPEN, RATE, STREAK};
use crate::contender::{Contender, Unavailable, Verdict, work_async};

type Policy = ExecutionPolicy<DefaultCore, u64, Unavailable>;

/// What a thread holds: the policy's own clone needs a core that clones, which the default one does
/// not.
type Handle = std::sync::Arc<Policy>;

pub struct Peer(Handle);

pub fn streak() -> Peer {
    build(CircuitBreaker::consecutive_failures(STREAK))
}

/// The rate of failures over thirty seconds.
pub fn rates() -> Peer {
    let breaker = CircuitBreaker::failure_ratio().ratio(RATE).minimum_throughput(MIN_CALLS);
    build(breaker.sampling_window(Duration::from_secs(30)))
}

fn build(breaker: CircuitBreaker<Unavailable>) -> Peer {
    let builder = ExecutionPolicyBuilder::new().circuit_breaker(breaker.open_for(OPEN));
    Peer(builder.build().into())
}

impl Contender for Peer {
    type Handle = Handle;

    fn handle(&self) -> Handle {
        self.0.clone()
    }

    async fn call(policy: &mut Handle, input: u64) -> Verdict {
        match policy.run(async || work_async(input).await).await {
            Err(ExecutionError::CircuitOpen { .. }) => Verdict::Rejected,
            Ok(output) => Verdict::done(output),
            Err(_) => Verdict::Failed,
        }
    }
}
