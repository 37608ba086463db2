//! What a circuit breaker must survive, point 13: its live heap stays flat. A program of its own,
//! without the test harness: the allocator that counts is the whole process's, and the harness's
//! main thread allocates beside the test.

use std::alloc::System;
use std::time::Duration;

use avail::{CircuitBreaker, CircuitBreakerConfig, CircuitState};
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

    let kept = growth(|| Box::leak(Box::new(0_u64)).clone_from(&1));
    assert_eq!(kept, (8, 1), "the allocator counts");
}
