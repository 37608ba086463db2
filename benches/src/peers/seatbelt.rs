use std::sync::Arc;
use std::task::Waker;
use std::time::Duration;

use layered::{Execute, Service, Stack};
use seatbelt::breaker::Breaker;
use seatbelt::{RecoveryInfo, ResilienceContext};
use tick::runtime::InactiveClock;

use super::{MIN_CALLS, OPEN, RATE};
use crate::contender::{Contender, Verdict, work_async};

/// The service's error holds the rejection.
#[derive(Debug)]
pub enum Error {
    Rejected,
    Unavailable,
}

pub struct Seatbelt<S>(Arc<S>);

/// Its one rule: the rate of failures over thirty seconds.
pub fn rates() -> Seatbelt<impl Service<u64, Out = Result<u64, Error>> + 'static> {
    // The driver serves timers, of which a breaker starts none.
    let (clock, _driver) = InactiveClock::default().activate(Waker::noop().clone());
    let context = ResilienceContext::new(&clock);
    let stack = (
        Breaker::layer("bench", &context)
            .recovery_with(|result: &Result<u64, Error>, _| match result {
                Ok(_) => RecoveryInfo::never(),
                Err(_) => RecoveryInfo::retry(),
            })
            .rejected_input_error(|_, _| Error::Rejected)
            .failure_threshold(RATE as f32)
            .min_throughput(MIN_CALLS)
            .sampling_duration(Duration::from_secs(30))
            .break_duration(OPEN),
        Execute::new(
            |input| async move { work_async(input).await.map_err(|_| Error::Unavailable) },
        ),
    );
    Seatbelt(Arc::new(stack.into_service()))
}

impl<S: Service<u64, Out = Result<u64, Error>> + 'static> Contender for Seatbelt<S> {
    type Handle = Arc<S>;

    fn handle(&self) -> Arc<S> {
        self.0.clone()
    }

    async fn call(service: &mut Arc<S>, input: u64) -> Verdict {
        match service.execute(input).await {
            Err(Error::Rejected) => Verdict::Rejected,
            Ok(output) => Verdict::done(output),
            Err(_) => Verdict::Failed,
        }
    }
}
