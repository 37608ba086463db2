//! Real threads, real time, many rounds.

use std::sync::Barrier;
use std::sync::atomic::{AtomicUsize, Ordering};

use super::*;

const THREADS: usize = 8;

/// Runs `op` on every thread at once, as nearly as can be.
fn at_once(op: impl Fn(usize) + Sync) {
    let barrier = Barrier::new(THREADS);
    std::thread::scope(|scope| {
        for thread in 0..THREADS {
            let (barrier, op) = (&barrier, &op);
            scope.spawn(move || {
                barrier.wait();
                op(thread);
            });
        }
    });
}

#[test]
fn at_the_edge_of_half_open_exactly_so_many_calls_are_admitted() {
    for limit in [1, 3] {
        let soon = config().timeout(Duration::from_nanos(1)).half_open_max_calls(limit);
        let breaker = breaker(soon.success_threshold(1000));
        for round in 0..100 {
            breaker.trip();
            let permits = std::sync::Mutex::new(Vec::new());
            at_once(|_| {
                if let Ok(permit) = breaker.acquire() {
                    permits.lock().expect("no thread panics").push(permit);
                }
            });
            let permits = permits.into_inner().expect("no thread panics");
            assert_eq!(permits.len(), limit as usize, "round {round}, limit {limit}");
            assert_eq!(breaker.metrics().probes_in_flight, limit);
        }
    }
}

#[test]
fn a_burst_of_failures_trips_once() {
    for round in 0..100 {
        let breaker = breaker(config().failure_threshold(THREADS as u32));
        let events = AtomicUsize::new(0);
        let events = std::sync::Arc::new(events);
        let counted = events.clone();
        let _subscription = breaker.subscribe(move |_| {
            counted.fetch_add(1, Ordering::Relaxed);
        });
        let permits: Vec<_> = (0..THREADS)
            .map(|_| std::sync::Mutex::new(Some(breaker.acquire().expect("closed"))))
            .collect();
        at_once(|thread| {
            let permit = permits[thread].lock().expect("no thread panics").take();
            permit.expect("one for each thread").failure();
        });
        assert_eq!(breaker.state(), CircuitState::Open, "round {round}");
        assert_eq!(events.load(Ordering::Relaxed), 1, "round {round}");
        assert_eq!(breaker.failure_count(), THREADS as u32);
    }
}

#[test]
fn a_million_successes_then_failures_trip() {
    let breaker = breaker(config());
    (0..1_000_000).for_each(|_| succeed(&breaker));
    (0..3).for_each(|_| fail(&breaker));
    assert_eq!(breaker.state(), CircuitState::Open);
    let calls = breaker.metrics().calls;
    assert_eq!((calls.success, calls.failure), (1_000_000, 3));
}

#[test]
fn whatever_threads_do_at_once_every_admitted_call_is_counted_once() {
    let soon = config().timeout(Duration::from_nanos(1)).half_open_max_calls(2);
    let breaker = breaker(soon.success_threshold(2));
    let admitted = AtomicUsize::new(0);
    at_once(|thread| {
        for round in 0..2000 {
            if round % 97 == thread {
                breaker.reset();
            }
            if round % 101 == thread {
                breaker.trip();
            }
            let Ok(permit) = breaker.acquire() else { continue };
            admitted.fetch_add(1, Ordering::Relaxed);
            match (round + thread) % 4 {
                0 => permit.failure(),
                1 => permit.ignore(),
                2 => drop(permit),
                _ => permit.success(),
            }
        }
    });
    let metrics = breaker.metrics();
    let settled: u64 = metrics.calls.by_outcome().iter().map(|(_, count)| count).sum();
    assert_eq!(settled, admitted.load(Ordering::Relaxed) as u64);
    assert_eq!(metrics.probes_in_flight, 0);
    breaker.reset();
    succeed(&breaker);
    assert_eq!(breaker.state(), CircuitState::Closed);
}

#[test]
fn a_permit_can_be_sent_to_another_thread_and_outlive_its_breaker() {
    fn is_send_and_static<T: Send + 'static>(value: T) -> T {
        value
    }
    let breaker = breaker(config());
    let permit = is_send_and_static(breaker.acquire().expect("closed"));
    drop(breaker);
    std::thread::spawn(move || permit.success()).join().expect("no panic");
}
