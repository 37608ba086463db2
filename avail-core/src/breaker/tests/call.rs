//! What `call` is as a future.

use std::future::{Future, poll_fn};
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::pin::pin;
use std::sync::Arc;
use std::task::{Context, Poll, Waker};

use super::*;

#[test]
fn a_call_that_is_polled_after_its_output_is_not_counted_again() {
    let breaker = CircuitBreaker::new("b", CircuitBreakerConfig::default());
    {
        let mut call = pin!(breaker.call(|| poll_fn(|_| Poll::Ready(Ok::<_, ()>(1)))));
        let mut context = Context::from_waker(Waker::noop());
        assert!(call.as_mut().poll(&mut context).is_ready());
        let again = catch_unwind(AssertUnwindSafe(|| call.as_mut().poll(&mut context).is_ready()));
        assert!(again.is_err(), "it panics, as every async function does");
    }
    let calls = breaker.metrics().calls;
    assert_eq!((calls.success, calls.panic, calls.cancelled), (1, 0, 0));
}

#[test]
fn a_call_that_panics_at_its_first_poll_is_counted_once_wherever_it_does() {
    let breaker = CircuitBreaker::new("b", CircuitBreakerConfig::default());
    let mut context = Context::from_waker(Waker::noop());
    let mut panics = |call: &mut dyn FnMut(&mut Context<'_>)| {
        assert!(catch_unwind(AssertUnwindSafe(|| call(&mut context))).is_err());
    };
    type Ready = std::future::Ready<Result<u32, ()>>;
    panics(&mut |context| {
        let _ = pin!(breaker.call(|| -> Ready { panic!("in the operation") })).poll(context);
    });
    panics(&mut |context| {
        let op = || poll_fn(|_| -> Poll<Result<u32, ()>> { panic!("in the future") });
        let _ = pin!(breaker.call(op)).poll(context);
    });
    panics(&mut |context| {
        let classify = |_: &u32| panic!("in the classifier");
        let _ = pin!(breaker.call_classified(|| std::future::ready(1), classify)).poll(context);
    });
    let calls = breaker.metrics().calls;
    assert_eq!((calls.panic, calls.failed(), calls.success, calls.cancelled), (3, 3, 0, 0));
}

#[test]
fn a_call_lets_its_operation_go_when_it_gives_its_output() {
    let breaker = CircuitBreaker::new("b", CircuitBreakerConfig::default());
    let held = Arc::new(());
    let kept = held.clone();
    let mut call = pin!(breaker.call(|| poll_fn(move |_| {
        let _ = &kept;
        Poll::Ready(Ok::<_, ()>(1))
    })));
    assert!(call.as_mut().poll(&mut Context::from_waker(Waker::noop())).is_ready());
    assert_eq!(Arc::strong_count(&held), 1);
}

#[test]
fn a_good_call_that_completes_a_rate_opens_for_the_whole_open_time() {
    let rates = || {
        CircuitBreakerConfig::builder()
            .slow_call_rate(0.5)
            .slow_call(Duration::from_secs(10))
            .failure_rate(0.5)
            .min_calls(2)
            .timeout(OPEN_TIME)
    };
    for _ in 0..20 {
        let breaker = breaker(rates());
        fail(&breaker);
        let before = breaker.inner.clock.now();
        succeed(&breaker);
        let until = breaker.inner.machine.observe(before).open_until.expect("it is open");
        assert!(until >= before.after(OPEN_TIME), "{before:?} {until:?}");
    }
}

#[test]
fn what_is_printed_of_a_permit_names_its_breaker() {
    let permit = breaker(config()).acquire().expect("closed");
    assert!(format!("{permit:?}").contains("CircuitBreaker { name: \"storage\""), "{permit:?}");
    permit.ignore();
}
