//! Listeners: outside every lock, in order, and whatever they do.

use std::sync::Mutex;
use std::sync::atomic::{AtomicU64, Ordering::Relaxed};
use std::sync::mpsc;

use tokio::time::advance;

use chrono::TimeDelta;

use super::*;
use crate::testing::isolated;

type Seen = Arc<Mutex<Vec<BreakerEvent>>>;

fn listen(breaker: &CircuitBreaker) -> (Seen, Subscription) {
    let seen = Seen::default();
    let kept = seen.clone();
    let subscription = breaker.subscribe(move |event| {
        kept.lock().expect("no listener panics here").push(event.clone());
    });
    (seen, subscription)
}

fn states(seen: &Seen) -> Vec<(CircuitState, CircuitState)> {
    seen.lock().expect("no listener panics here").iter().map(|e| (e.from, e.to)).collect()
}

#[tokio::test(start_paused = true)]
async fn every_change_is_told_once_in_order_with_its_cause() {
    use CircuitState::{Closed, HalfOpen, Open};
    let _isolated = isolated();
    let breaker = breaker(config());
    let (seen, subscription) = listen(&breaker);
    (0..3).for_each(|_| fail(&breaker));
    advance(OPEN_TIME).await;
    succeed(&breaker);
    breaker.force_open("deploying");
    breaker.clear_override();
    drop(subscription);
    breaker.trip();

    let expected =
        [(Closed, Open), (Open, HalfOpen), (HalfOpen, Closed), (Closed, Open), (Open, Closed)];
    assert_eq!(states(&seen), expected);
    let seen = seen.lock().expect("no listener panics here");
    let causes: Vec<_> = seen.iter().map(|event| event.cause.to_string()).collect();
    assert_eq!(
        causes,
        [
            "3 failures in a row",
            "its open time was over",
            "its probes succeeded",
            "forced_open: deploying",
            "its override was cleared"
        ]
    );
    assert!(seen.iter().map(|event| event.sequence).eq(1..=5));
    assert_eq!(seen[1].at - seen[0].at, TimeDelta::seconds(10));
}

#[tokio::test(start_paused = true)]
async fn a_listener_that_reenters_and_panics_leaves_the_call_untouched() {
    let _isolated = isolated();
    let breaker = breaker(config().failure_threshold(1));
    let inside = breaker.clone();
    let _hostile = breaker.subscribe(move |event| {
        if event.to == CircuitState::Open {
            inside.metrics();
            inside.reset();
            let _ = inside.acquire().map(Permit::success);
        }
        panic!("a listener's own fault");
    });
    let (seen, _subscription) = listen(&breaker);
    let result = breaker.call(|| async { Err::<(), _>("refused") }).await;
    assert_eq!(result, Err(CallError::Operation("refused")));
    assert_eq!(breaker.state(), CircuitState::Closed);
    let seen = seen.lock().expect("no listener panics here");
    let order: Vec<_> = seen.iter().map(|event| (event.sequence, event.to)).collect();
    assert_eq!(order, [(1, CircuitState::Open), (2, CircuitState::Closed)]);
}

#[tokio::test(start_paused = true)]
async fn a_listener_that_panics_while_a_call_unwinds_is_passed_over() {
    let _isolated = isolated();
    let breaker = breaker(config().failure_threshold(1));
    let _hostile = breaker.subscribe(|_| panic!("a listener's own fault"));
    let (seen, _subscription) = listen(&breaker);
    assert_eq!(
        panic_of(|| drop(breaker.call_sync::<_, (), ()>(|| panic!("the call")))),
        "the call"
    );
    assert_eq!(states(&seen), [(CircuitState::Closed, CircuitState::Open)]);
}

/// Panics where it is dropped.
struct Grenade;

impl Drop for Grenade {
    fn drop(&mut self) {
        panic!("dropped");
    }
}

#[tokio::test(start_paused = true)]
async fn what_a_listener_holds_may_panic_when_it_goes_and_later_events_are_told() {
    let _isolated = isolated();
    let breaker = breaker(config());
    let own: Arc<Mutex<Option<Subscription>>> = Arc::default();
    let (inside, grenade) = (own.clone(), Grenade);
    let subscription = breaker.subscribe(move |_| {
        let _held = &grenade;
        drop(inside.lock().expect("nothing panics under it").take());
    });
    *own.lock().expect("nothing panics under it") = Some(subscription);
    let (seen, _subscription) = listen(&breaker);
    breaker.trip();
    breaker.reset();
    assert_eq!(seen.lock().expect("no listener panics here").last().map(|e| e.sequence), Some(2));
}

#[test]
fn what_a_listener_holds_may_use_the_breaker_when_it_goes() {
    struct LooksAround(CircuitBreaker, Option<Subscription>);
    impl Drop for LooksAround {
        fn drop(&mut self) {
            drop(self.1.take());
            drop(self.0.subscribe(|_| {}));
        }
    }
    let (done, is_done) = mpsc::channel();
    std::thread::spawn(move || {
        let breaker = breaker(config());
        let other = breaker.subscribe(|_| {});
        let held = LooksAround(breaker.clone(), Some(other));
        drop(breaker.subscribe(move |_| {
            let _held = &held;
        }));
        done.send(()).expect("the test waits for it");
    });
    is_done.recv_timeout(Duration::from_secs(10)).expect("it does not wait for itself");
}

#[tokio::test(start_paused = true)]
async fn the_transition_counters_do_not_wait_for_a_slow_listener() {
    let _isolated = isolated();
    let breaker = breaker(config());
    let inside = breaker.clone();
    let counted = Arc::new(Mutex::new(None));
    let kept = counted.clone();
    let _slow = breaker.subscribe(move |event| {
        if event.sequence == 1 {
            inside.reset(); // told only after this listener is back
            let transitions = inside.metrics().transitions;
            let count = |from, to| {
                transitions.iter().find(|t| (t.from, t.to) == (from, to)).map(|t| t.count)
            };
            let open = count(CircuitState::Closed, CircuitState::Open);
            let closed = count(CircuitState::Open, CircuitState::Closed);
            *kept.lock().expect("nothing panics under it") = Some((open, closed));
        }
    });
    breaker.trip();
    let counted = *counted.lock().expect("nothing panics under it");
    assert_eq!(counted, Some((Some(1), Some(1))));
}

#[tokio::test(start_paused = true)]
async fn events_say_when_it_happened_not_when_it_was_noticed() {
    let _isolated = isolated();
    let breaker = breaker(config());
    let (seen, _subscription) = listen(&breaker);
    breaker.trip();
    advance(OPEN_TIME).await;
    let _hung = breaker.acquire().expect("a probe");
    advance(LEASE + Duration::from_secs(7)).await;
    breaker.acquire().expect_err("it re-opened seven seconds ago");
    let seen = seen.lock().expect("no listener panics here");
    assert_eq!(seen[2].at - seen[1].at, TimeDelta::seconds(60));
}

#[tokio::test(start_paused = true)]
async fn to_ask_for_the_awaited_check_tells_nobody_since_the_monitor_asks_under_a_lock() {
    let _isolated = isolated();
    let breaker = breaker(config().recovery_check("storage"));
    let (seen, _subscription) = listen(&breaker);
    breaker.inner.machine.trip(breaker.inner.clock.now()); // another thread is about to tell
    assert_eq!(breaker.awaited_check(), None);
    advance(OPEN_TIME).await;
    assert_eq!(breaker.awaited_check().as_deref(), Some("storage"));
    assert_eq!(states(&seen), []);
    breaker.inner.deliver();
    assert_eq!(states(&seen), [(CircuitState::Closed, CircuitState::Open)]);
}

/// Counts the log lines.
struct Lines(Arc<AtomicU64>);

impl tracing::Subscriber for Lines {
    fn enabled(&self, _: &tracing::Metadata<'_>) -> bool {
        true
    }

    fn new_span(&self, _: &tracing::span::Attributes<'_>) -> tracing::span::Id {
        tracing::span::Id::from_u64(1)
    }

    fn record(&self, _: &tracing::span::Id, _: &tracing::span::Record<'_>) {}

    fn record_follows_from(&self, _: &tracing::span::Id, _: &tracing::span::Id) {}

    fn event(&self, _: &tracing::Event<'_>) {
        self.0.fetch_add(1, Relaxed);
    }

    fn enter(&self, _: &tracing::span::Id) {}

    fn exit(&self, _: &tracing::span::Id) {}
}

#[test]
fn a_change_of_what_calls_meet_is_a_log_line_and_no_other_change_is() {
    let _isolated = isolated();
    crate::listening::hear_every_thread();
    let lines: Arc<AtomicU64> = Arc::default();
    let _logged = tracing::subscriber::set_default(Lines(lines.clone()));
    let breaker = breaker(config());
    breaker.reset();
    assert_eq!(lines.load(Relaxed), 0, "it was closed already");
    breaker.trip();
    assert_eq!(lines.load(Relaxed), 1);
    breaker.reset();
    assert_eq!(lines.load(Relaxed), 2);
}
