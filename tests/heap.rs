//! What a circuit breaker must survive, point 13: its live heap stays flat. A program of its own,
//! without the test harness: the allocator that counts is the whole process's, and the harness's
//! main thread allocates beside the test.

use std::alloc::System;
use std::future::{Future, pending, poll_fn};
use std::task::Poll;
use std::time::Duration;

use avail::{CircuitBreaker, CircuitBreakerConfig, CircuitBreakerConfigBuilder, CircuitState};
use stats_alloc::{INSTRUMENTED_SYSTEM, Region, StatsAlloc};

#[global_allocator]
static ALLOCATOR: &StatsAlloc<System> = &INSTRUMENTED_SYSTEM;

const MILLION: u64 = 1_000_000;

fn config() -> CircuitBreakerConfig {
    CircuitBreakerConfig::builder()
        .failure_threshold(1)
        .success_threshold(1)
        .failure_rate(0.5)
        .slow_call(Duration::from_secs(1))
        .slow_call_rate(0.5)
        .slow_in_flight(true)
        .timeout(Duration::from_nanos(1))
        .build()
        .expect("valid")
}

/// By how many bytes more `work` leaves than it found; by how many allocations.
fn growth(work: impl FnOnce()) -> (isize, isize) {
    let region = Region::new(ALLOCATOR);
    work();
    let change = region.change();
    let bytes = change.bytes_allocated as isize - change.bytes_deallocated as isize;
    (bytes, change.allocations as isize - change.deallocations as isize)
}

/// Three changes of state a round: it trips, it probes, it closes.
fn cycle(breaker: &CircuitBreaker, rounds: u64) {
    for _ in 0..rounds {
        let _ = breaker.call_sync(|| Err::<(), _>("refused"));
        while breaker.call_sync(|| Ok::<_, &str>(())).is_err() {}
    }
}

fn main() {
    the_live_heap_is_flat_over_a_million_transitions_and_a_million_breakers();
    println!("test the_live_heap_is_flat_over_a_million_transitions_and_a_million_breakers ... ok");
    a_window_of_the_past_is_not_kept();
    println!("test a_window_of_the_past_is_not_kept ... ok");
    a_call_that_may_be_cut_off_leaves_no_timer_however_it_ends();
    println!("test a_call_that_may_be_cut_off_leaves_no_timer_however_it_ends ... ok");
    #[cfg(feature = "macros")]
    {
        annotated::calls_allocate_nothing();
        println!("test calls_of_annotated_functions_allocate_nothing ... ok");
    }
}

#[cfg(feature = "macros")]
mod annotated {
    use avail::CircuitBreakerError;
    use stats_alloc::Region;

    type Answer = Result<usize, CircuitBreakerError>;

    #[avail::circuit_breaker(name = "heap::plain")]
    async fn plain(text: &str) -> Answer {
        Ok(text.len())
    }

    #[avail::circuit_breaker(name = "heap::text", key = text)]
    fn by_text(text: &str) -> Answer {
        Ok(text.len())
    }

    struct Tenant(String);

    #[avail::circuit_breaker(name = "heap::owned", key = tenant.0)]
    async fn by_owned_text(tenant: &Tenant) -> Answer {
        Ok(tenant.0.len())
    }

    #[avail::circuit_breaker(name = "heap::number", key = number % 8)]
    fn by_number(number: usize) -> Answer {
        Ok(number)
    }

    /// Once the breaker is found, and each member of a family has been made.
    pub(super) fn calls_allocate_nothing() {
        let runtime = tokio::runtime::Builder::new_current_thread().build().expect("a runtime");
        let tenants: Vec<_> = (0..8).map(|number| Tenant(format!("tenant {number}"))).collect();
        let round = async || {
            for (number, tenant) in tenants.iter().enumerate() {
                let text = &*tenant.0;
                let all = [plain(text).await, by_text(text), by_owned_text(tenant).await];
                assert!(all.iter().all(Result::is_ok) && by_number(number).is_ok());
            }
        };
        let rounds = async || {
            for _ in 0..100 {
                round().await;
            }
        };
        runtime.block_on(round());
        let region = Region::new(super::ALLOCATOR);
        runtime.block_on(rounds());
        assert_eq!(region.change().allocations, 0);
    }
}

fn a_call_that_may_be_cut_off_leaves_no_timer_however_it_ends() {
    let limited = |limit| {
        let config =
            CircuitBreakerConfig::builder().call_timeout(limit).failure_threshold(u32::MAX - 1);
        CircuitBreaker::new("storage", config.build().expect("valid"))
    };
    let (patient, strict) = (limited(Duration::from_secs(60)), limited(Duration::from_nanos(1)));
    let runtime = tokio::runtime::Builder::new_current_thread().enable_time().build();
    let runtime = runtime.expect("a runtime");
    let round = async || {
        let later = async || {
            tokio::task::yield_now().await;
            Ok::<_, &str>(())
        };
        patient.call(later).await.expect("it ends in time");
        let fails = async || later().await.and(Err::<(), _>("refused"));
        patient.call(fails).await.expect_err("it fails in time");
        let mut given_up = Box::pin(patient.call(pending::<Result<(), &str>>));
        poll_fn(|context| Poll::Ready(given_up.as_mut().poll(context))).await.is_pending();
        drop(given_up);
        strict.call(pending::<Result<(), &str>>).await.expect_err("it is cut off");
    };
    let rounds = async |rounds: u32| {
        for _ in 0..rounds {
            round().await;
        }
    };
    runtime.block_on(rounds(10));
    assert_eq!(growth(|| runtime.block_on(rounds(300))), (0, 0));
    let calls = patient.metrics().calls;
    assert_eq!((calls.success, calls.failure, calls.cancelled), (310, 310, 310));
    assert_eq!(strict.metrics().calls.timeout, 310);
}

fn a_window_of_the_past_is_not_kept() {
    let sized = |builder: CircuitBreakerConfigBuilder| builder.failure_rate(0.5).build();
    let sizes = |round: u32| {
        [
            sized(CircuitBreakerConfig::builder().window(20 + round % 7)),
            sized(
                CircuitBreakerConfig::builder().window(Duration::from_secs(20 + u64::from(round))),
            ),
            CircuitBreakerConfig::builder().build(),
        ]
    };
    let breaker = CircuitBreaker::new("storage", config());
    let reconfigure = |rounds: u32| {
        for config in (0..rounds).flat_map(sizes) {
            breaker.reconfigure(config.expect("valid")).expect("valid");
            let _ = breaker.call_sync(|| Ok::<_, &str>(()));
        }
    };
    reconfigure(10);
    assert_eq!(growth(|| reconfigure(1_000)), (0, 0));
}

fn the_live_heap_is_flat_over_a_million_transitions_and_a_million_breakers() {
    let breaker = CircuitBreaker::new("storage", config());
    let subscription = breaker.subscribe(|event| drop(event.cause.to_string()));
    cycle(&breaker, 10); // what is kept once is there now
    assert_eq!(growth(|| cycle(&breaker, MILLION / 3 + 1)), (0, 0));
    let metrics = breaker.metrics();
    let transitions: u64 = metrics.transitions.iter().map(|one| one.count).sum();
    assert!(transitions > MILLION && metrics.state == CircuitState::Closed);
    drop(subscription);

    let make = |breakers: u64| {
        for _ in 0..breakers {
            let breaker = CircuitBreaker::new("storage", CircuitBreakerConfig::default());
            breaker.trip();
            drop(breaker.acquire().expect_err("open"));
        }
    };
    make(10);
    assert_eq!(growth(|| make(MILLION)), (0, 0));

    let mut named = 0..u64::MAX;
    let mut make_named = |breakers| {
        for number in named.by_ref().take(breakers) {
            let name = format!("storage-{number}");
            let breaker = CircuitBreaker::new(name.as_str(), CircuitBreakerConfig::default());
            breaker.trip();
            let error = breaker.acquire().expect_err("open");
            drop(breaker);
            assert_eq!(error.name(), name);
        }
    };
    make_named(5_000); // more than are kept for ever
    assert_eq!(growth(|| make_named(100_000)), (0, 0));

    let kept = growth(|| Box::leak(Box::new(0_u64)).clone_from(&1));
    assert_eq!(kept, (8, 1), "the allocator counts");
}
