//! Each form of function, and each way in which a call to it may end: success, failure, panic, given
//! up, rejected.

mod futures;
mod methods;
mod signatures;
mod written;

use std::future::{Future, poll_fn};
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::pin::pin;
use std::task::Poll;

use avail::testing;

use super::breaker::{Error, breaker};

pub(crate) type Answer<T> = Result<T, Error>;

/// What the operation does.
#[derive(Clone, Copy, Debug)]
pub(crate) enum Act {
    Succeed,
    Fail,
    Panic,
    Hang,
}

pub(crate) async fn act(act: Act) -> Answer<u32> {
    tokio::task::yield_now().await;
    match act {
        Act::Hang => std::future::pending().await,
        other => act_now(other),
    }
}

pub(crate) fn act_now(act: Act) -> Answer<u32> {
    match act {
        Act::Succeed => Ok(1),
        Act::Fail => Err(Error::Broken),
        Act::Panic | Act::Hang => panic!("as it was told"),
    }
}

/// Calls a function that returns a future, so that it ends in every way.
pub(crate) async fn assert_ends(name: &str, call: impl AsyncFn(Act) -> Answer<()>) {
    let _isolated = testing::isolated();
    assert_eq!(call(Act::Succeed).await, Ok(()), "{name}");
    assert_eq!(call(Act::Fail).await, Err(Error::Broken), "{name}");
    assert!(unwinds(call(Act::Panic)).await, "{name}");
    {
        let mut hanging = pin!(call(Act::Hang));
        for _ in 0..3 {
            let polled = poll_fn(|context| Poll::Ready(hanging.as_mut().poll(context))).await;
            assert!(polled.is_pending(), "{name}");
        }
    }
    let calls = breaker(name).metrics().calls;
    let ends = [calls.success, calls.failure, calls.panic, calls.cancelled];
    assert_eq!(ends, [1; 4], "{name}");
    breaker(name).trip();
    let rejected = call(Act::Panic).await;
    assert!(matches!(rejected, Err(Error::Rejected(_))), "{name}: {rejected:?}");
    assert_eq!(breaker(name).metrics().rejections.open, 1, "{name}");
}

/// The same for a function that returns a value, and can't be given up.
pub(crate) fn assert_ends_now(name: &str, call: impl Fn(Act) -> Answer<()>) {
    let _isolated = testing::isolated();
    assert_eq!(call(Act::Succeed), Ok(()), "{name}");
    assert_eq!(call(Act::Fail), Err(Error::Broken), "{name}");
    assert!(catch_unwind(AssertUnwindSafe(|| call(Act::Panic))).is_err(), "{name}");
    let calls = breaker(name).metrics().calls;
    assert_eq!([calls.success, calls.failure, calls.panic], [1; 3], "{name}");
    breaker(name).trip();
    let rejected = call(Act::Panic);
    assert!(matches!(rejected, Err(Error::Rejected(_))), "{name}: {rejected:?}");
    assert_eq!(breaker(name).metrics().rejections.open, 1, "{name}");
}

async fn unwinds<F: Future>(future: F) -> bool {
    let mut future = pin!(future);
    poll_fn(|context| match catch_unwind(AssertUnwindSafe(|| future.as_mut().poll(context))) {
        Ok(polled) => polled.map(|_| false),
        Err(_) => Poll::Ready(true),
    })
    .await
}
