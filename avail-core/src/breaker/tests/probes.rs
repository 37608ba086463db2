//! Open, half-open and back, on tokio's paused time.

use tokio::time::advance;

use super::*;
use crate::testing::isolated;

#[tokio::test(start_paused = true)]
async fn it_stays_open_for_its_timeout_to_the_millisecond() {
    let _isolated = isolated();
    let breaker = breaker(config());
    breaker.trip();
    advance(OPEN_TIME - Duration::from_millis(1)).await;
    assert_eq!(retry_after(&breaker), Some(Duration::from_millis(1)));
    advance(Duration::from_millis(1)).await;
    assert_eq!(breaker.state(), CircuitState::Open);
    succeed(&breaker);
    assert_eq!(breaker.state(), CircuitState::Closed);
}

#[tokio::test(start_paused = true)]
async fn as_many_successes_as_asked_for_close_it() {
    let _isolated = isolated();
    let breaker = breaker(config().success_threshold(3));
    breaker.trip();
    advance(OPEN_TIME).await;
    for _ in 0..3 {
        assert_ne!(breaker.state(), CircuitState::Closed);
        succeed(&breaker);
    }
    assert_eq!((breaker.state(), breaker.failure_count()), (CircuitState::Closed, 0));
    fail(&breaker);
    assert_eq!(breaker.state(), CircuitState::Closed);
}

#[tokio::test(start_paused = true)]
async fn a_failed_probe_ends_the_other_probes_too() {
    let _isolated = isolated();
    let breaker = breaker(config().half_open_max_calls(2));
    breaker.trip();
    advance(OPEN_TIME).await;
    let (first, second) = (breaker.acquire().expect("a probe"), breaker.acquire().expect("one"));
    let rejected = breaker.acquire().expect_err("two at once");
    assert_eq!(rejected.to_string(), "circuit breaker `storage` is open: its probes are under way");
    assert_eq!(breaker.metrics().rejections.half_open, 1);
    first.failure();
    second.success();
    assert_eq!((breaker.state(), breaker.metrics().calls.stale), (CircuitState::Open, 1));
}

#[tokio::test(start_paused = true)]
async fn successes_of_an_earlier_half_open_do_not_count() {
    let _isolated = isolated();
    let breaker = breaker(config().success_threshold(2));
    breaker.trip();
    for end in [succeed, fail] {
        advance(OPEN_TIME).await;
        end(&breaker);
    }
    advance(OPEN_TIME).await;
    succeed(&breaker);
    assert_eq!(breaker.state(), CircuitState::HalfOpen);
}

#[tokio::test(start_paused = true)]
async fn a_hung_probe_reopens_when_its_lease_ends_and_its_late_success_changes_nothing() {
    let _isolated = isolated();
    let breaker = breaker(config());
    breaker.trip();
    advance(OPEN_TIME).await;
    let hung = breaker.acquire().expect("a probe");
    advance(LEASE - Duration::from_millis(1)).await;
    assert_eq!(retry_after(&breaker), None);
    advance(Duration::from_secs(4)).await;
    // The open time runs from the end of the lease, 3.999 s ago.
    assert_eq!(retry_after(&breaker), Some(OPEN_TIME - Duration::from_millis(3999)));
    assert_eq!(breaker.metrics().reason, Some(OpenReason::ProbeExpired));

    advance(OPEN_TIME).await;
    let next = breaker.acquire().expect("the next probe");
    hung.success();
    let metrics = breaker.metrics();
    assert_eq!((metrics.state, metrics.probes_in_flight), (CircuitState::HalfOpen, 1));
    assert_eq!(metrics.calls.stale, 1);
    next.success();
    assert_eq!(breaker.state(), CircuitState::Closed);
}

#[tokio::test(start_paused = true)]
async fn a_forgotten_permit_can_not_wedge_it() {
    let _isolated = isolated();
    let breaker = breaker(config().half_open_max_calls(2));
    breaker.trip();
    advance(OPEN_TIME).await;
    let leaked: Vec<_> = (0..2).map(|_| breaker.acquire().expect("a probe")).collect();
    Box::leak(Box::new(leaked));
    breaker.acquire().expect_err("both slots are taken");
    advance(LEASE + OPEN_TIME).await;
    succeed(&breaker);
    assert_eq!(breaker.state(), CircuitState::Closed);
}

#[tokio::test(start_paused = true)]
async fn beside_a_probe_whose_lease_never_ends_calls_are_rejected() {
    let _isolated = isolated();
    let breaker = breaker(config().probe_timeout(Duration::MAX));
    breaker.trip();
    advance(OPEN_TIME).await;
    let probe = breaker.acquire().expect("a probe");
    assert_eq!(retry_after(&breaker), None);
    advance(Duration::from_secs(365 * 86_400)).await;
    assert_eq!(retry_after(&breaker), None);
    probe.success();
    assert_eq!(breaker.state(), CircuitState::Closed);
}

#[tokio::test(start_paused = true)]
async fn the_lease_can_be_set() {
    let _isolated = isolated();
    let breaker = breaker(config().probe_timeout(Duration::from_secs(5)));
    breaker.trip();
    advance(OPEN_TIME).await;
    let _hung = breaker.acquire().expect("a probe");
    advance(Duration::from_secs(5)).await;
    assert_eq!(retry_after(&breaker), Some(OPEN_TIME));
}

#[tokio::test(start_paused = true)]
async fn settings_written_past_the_builder_can_not_wedge_it() {
    let _isolated = isolated();
    let mut wild = config().build().expect("a valid configuration");
    wild.failure_threshold = Some(0);
    wild.success_threshold = u32::MAX;
    wild.half_open_max_calls = 0;
    wild.probe_timeout = Some(Duration::ZERO);
    wild.jitter = Some(5.0);
    wild.window = RateWindow::Calls(u32::MAX);
    wild.failure_rate = Some(0.5);
    let breaker = CircuitBreaker::new("storage", wild);
    assert_eq!(breaker.config().window, RateWindow::Calls(1_000_000));
    succeed(&breaker);
    breaker.trip();
    assert!(retry_after(&breaker) <= Some(OPEN_TIME * 2));
    advance(OPEN_TIME * 2).await;
    let probe = breaker.acquire().expect("at least one probe");
    probe.success();
    let limit = breaker.config().success_threshold;
    for _ in 1..limit {
        assert_eq!(breaker.state(), CircuitState::HalfOpen);
        succeed(&breaker);
    }
    assert_eq!(breaker.state(), CircuitState::Closed);
}

#[tokio::test(start_paused = true)]
async fn a_jump_of_the_wall_clock_changes_nothing() {
    let isolated = isolated();
    let breaker = breaker(config());
    fail(&breaker);
    isolated.set_wall_clock_forward(Duration::from_secs(86_400 * 365));
    assert_eq!(breaker.failure_count(), 1);
    breaker.trip();
    isolated.set_wall_clock_back(Duration::from_secs(86_400 * 730));
    assert_eq!(retry_after(&breaker), Some(OPEN_TIME));
    isolated.set_wall_clock_forward(Duration::from_secs(86_400 * 730));
    assert_eq!(retry_after(&breaker), Some(OPEN_TIME));
    advance(OPEN_TIME).await;
    let probe = breaker.acquire().expect("a probe");
    isolated.set_wall_clock_forward(LEASE);
    probe.success();
    assert_eq!(breaker.state(), CircuitState::Closed);
}

#[tokio::test(start_paused = true)]
async fn after_three_cycles_the_counters_agree() {
    let _isolated = isolated();
    let breaker = breaker(config());
    for _ in 0..3 {
        (0..3).for_each(|_| fail(&breaker));
        assert!(breaker.acquire().is_err());
        advance(OPEN_TIME).await;
        fail(&breaker);
        advance(OPEN_TIME).await;
        succeed(&breaker);
    }
    let metrics = breaker.metrics();
    let transitions: Vec<_> =
        metrics.transitions.iter().map(|t| (t.from.as_str(), t.to.as_str(), t.count)).collect();
    assert_eq!(
        transitions,
        [
            ("closed", "open", 3),
            ("closed", "half_open", 0),
            ("open", "closed", 0),
            ("open", "half_open", 6),
            ("half_open", "closed", 3),
            ("half_open", "open", 3),
        ]
    );
    assert_eq!((metrics.calls.success, metrics.calls.failure), (3, 12));
    assert_eq!((metrics.rejections.open, metrics.state), (3, CircuitState::Closed));
}

#[tokio::test(start_paused = true)]
async fn a_reset_leaves_it_fresh_and_closed() {
    let _isolated = isolated();
    let breaker = breaker(config());
    fail(&breaker);
    fail(&breaker);
    breaker.reset();
    assert_eq!(breaker.failure_count(), 0);
    fail(&breaker);
    assert_eq!(breaker.state(), CircuitState::Closed);
    breaker.trip();
    breaker.reset();
    let metrics = breaker.metrics();
    assert_eq!((metrics.state, metrics.failure_count), (CircuitState::Closed, 0));
    assert_eq!((metrics.reason, metrics.retry_after_seconds), (None, None));
    succeed(&breaker);
}

#[tokio::test(start_paused = true)]
async fn tripping_again_lengthens_the_open_time() {
    let _isolated = isolated();
    let breaker = breaker(config());
    breaker.trip();
    advance(OPEN_TIME / 2).await;
    breaker.trip();
    assert_eq!(retry_after(&breaker), Some(OPEN_TIME));
}
