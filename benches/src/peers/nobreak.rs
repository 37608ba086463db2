use std::sync::Arc;

use nobreak::{CircuitBreaker, CircuitError};

use super::{OPEN, STREAK};
use crate::contender::{Contender, SyncContender, Unavailable, Verdict, work, work_async};

pub struct Nobreak(Arc<CircuitBreaker>);

pub fn streak() -> Nobreak {
    let builder = nobreak::builder().with_failure_threshold(STREAK as usize);
    Nobreak(Arc::new(builder.with_open_duration(OPEN).build()))
}

#[inline]
fn verdict(result: Result<u64, CircuitError<Unavailable>>) -> Verdict {
    match result {
        Err(CircuitError::Open) => Verdict::Rejected,
        Ok(output) => Verdict::done(output),
        Err(_) => Verdict::Failed,
    }
}

impl Contender for Nobreak {
    type Handle = Arc<CircuitBreaker>;

    fn handle(&self) -> Self::Handle {
        self.0.clone()
    }

    async fn call(breaker: &mut Self::Handle, input: u64) -> Verdict {
        verdict(breaker.call_async(|| work_async(input)).await)
    }
}

impl SyncContender for Nobreak {
    #[inline]
    fn call_sync(breaker: &mut Self::Handle, input: u64) -> Verdict {
        verdict(breaker.call(|| work(input)))
    }
}
