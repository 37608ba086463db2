use std::sync::Arc;

use recloser::{AsyncRecloser, Error, Recloser};

use super::{OPEN, RATE, WINDOW};
use crate::contender::{Contender, SyncContender, Unavailable, Verdict, work, work_async};

/// Its async form.
pub struct Async(AsyncRecloser);

/// Its form for functions that are not async; their async form is not called.
pub struct Plain {
    plain: Arc<Recloser>,
    other: Async,
}

/// Its one rule: the rate of failures over the last hundred.
pub fn rates() -> Async {
    Async(build().into())
}

pub fn plain() -> Plain {
    Plain { plain: Arc::new(build()), other: rates() }
}

fn build() -> Recloser {
    Recloser::custom().error_rate(RATE as f32).closed_len(WINDOW).open_wait(OPEN).build()
}

#[inline]
fn verdict(result: Result<u64, Error<Unavailable>>) -> Verdict {
    match result {
        Err(Error::Rejected) => Verdict::Rejected,
        Ok(output) => Verdict::done(output),
        Err(_) => Verdict::Failed,
    }
}

impl Contender for Async {
    type Handle = AsyncRecloser;

    fn handle(&self) -> AsyncRecloser {
        self.0.clone()
    }

    async fn call(breaker: &mut AsyncRecloser, input: u64) -> Verdict {
        verdict(breaker.call(work_async(input)).await)
    }
}

impl Contender for Plain {
    type Handle = (Arc<Recloser>, AsyncRecloser);

    fn handle(&self) -> Self::Handle {
        (self.plain.clone(), self.other.handle())
    }

    async fn call((_, breaker): &mut Self::Handle, input: u64) -> Verdict {
        Async::call(breaker, input).await
    }
}

impl SyncContender for Plain {
    #[inline]
    fn call_sync((breaker, _): &mut Self::Handle, input: u64) -> Verdict {
        verdict(breaker.call(|| work(input)))
    }
}
