//! What the guide that avail started from lets a service do, step by step. `docs/parity.md` says
//! which test stands for which of its items.
#![cfg(feature = "test-util")]

use std::time::Duration;

use avail::{
    AvailabilityMonitor, CallError, CircuitBreaker, CircuitBreakerConfig, CircuitBreakerRegistry,
    CircuitState, HealthCheck, HealthStatus, Severity, Window,
};
use tokio::time::advance;

fn seconds(seconds: u64) -> Duration {
    Duration::from_secs(seconds)
}

/// No check but those of the test itself.
fn builder() -> avail::AvailabilityMonitorBuilder {
    AvailabilityMonitor::builder().discover(false)
}

async fn failing() -> Result<(), &'static str> {
    Err("connection refused")
}

async fn working() -> Result<(), &'static str> {
    Ok(())
}

#[tokio::test(start_paused = true)]
async fn a_monitor_is_started_checks_a_component_shows_its_figures_and_is_stopped() {
    let _isolated = avail::testing::isolated();
    let dir = tempfile::tempdir().expect("a folder");
    let monitor = builder()
        .check_interval(seconds(60))
        .history_file(dir.path().join("availability_history.jsonl"))
        .start()
        .await
        .expect("it starts");
    assert!(monitor.is_running());
    assert_eq!(monitor.target(), 99.9);

    let result = monitor.check_health("component_name", || async { true }).await;
    assert_eq!(&*result.component, "component_name");
    assert_eq!(result.status, HealthStatus::Healthy);
    advance(seconds(90)).await;
    monitor.check_health("component_name", failing).await;
    advance(seconds(10)).await;
    monitor.check_health("component_name", working).await;

    let of_it = monitor.component_metrics("component_name", Window::ALL_TIME).expect("known");
    assert_eq!((of_it.uptime_seconds, of_it.downtime_seconds), (90.0, 10.0));
    assert_eq!(of_it.availability_percentage, Some(90.0));
    assert_eq!((of_it.mtbf, of_it.mttr), (Some(90.0), Some(10.0)));
    let system = monitor.availability_metrics(Window::ALL_TIME);
    assert_eq!((system.total_checks, system.successful_checks, system.failed_checks), (3, 2, 1));
    let last = of_it.last_incident.expect("there was one");
    assert_eq!(last, monitor.incidents(Window::HOURS_24)[0].start_time);

    monitor.stop().await;
    assert!(!monitor.is_running());
}

#[tokio::test(start_paused = true)]
async fn a_check_gives_one_of_four_statuses() {
    let _isolated = avail::testing::isolated();
    let monitor = builder()
        .check(HealthCheck::new("never_run", working).initial_delay(seconds(3600)))
        .start()
        .await
        .expect("it starts");
    let slow = || tokio::time::sleep(Duration::from_millis(1_001));
    let hangs = || tokio::time::sleep(seconds(60));
    assert_eq!(monitor.check_health("fast", working).await.status, HealthStatus::Healthy);
    assert_eq!(monitor.check_health("slow", slow).await.status, HealthStatus::Degraded);
    assert_eq!(monitor.check_health("failed", failing).await.status, HealthStatus::Unhealthy);
    assert_eq!(monitor.check_health("timed_out", hangs).await.status, HealthStatus::Unhealthy);
    let status = monitor.status();
    let never_run = status.component("never_run").map(|component| component.status);
    assert_eq!(never_run, Some(HealthStatus::Unknown));
}

#[tokio::test(start_paused = true)]
async fn an_incident_is_recorded_and_resolved_with_all_that_is_known_of_it() {
    let _isolated = avail::testing::isolated();
    let monitor = builder().start().await.expect("it starts");
    monitor.check_health("embedder", failing).await;
    let [active] = &monitor.active_incidents()[..] else { panic!("one incident") };
    assert_eq!((&*active.component, active.resolved, active.end_time), ("embedder", false, None));
    assert_eq!((active.severity, active.failures), (Severity::Major, 1));
    advance(seconds(30)).await;
    monitor.check_health("embedder", working).await;
    assert!(monitor.active_incidents().is_empty());
    let [incident] = &monitor.incidents(Window::HOURS_24)[..] else { panic!("one incident") };
    assert_eq!((incident.duration_seconds, incident.resolved), (30.0, true));
    assert_eq!(incident.error.as_deref(), Some("connection refused"));
    assert_eq!(incident.end_time.map(|end| (end - incident.start_time).num_seconds()), Some(30));
}

#[tokio::test(start_paused = true)]
async fn a_breaker_opens_probes_and_closes_as_its_four_settings_say() {
    let _isolated = avail::testing::isolated();
    let config = CircuitBreakerConfig::builder()
        .failure_threshold(5)
        .success_threshold(2)
        .timeout(seconds(60))
        .reset_timeout(seconds(300))
        .build()
        .expect("valid");
    assert_eq!(config, CircuitBreakerConfig::default());
    let breaker = CircuitBreaker::new("storage", config);

    for _ in 0..4 {
        breaker.call(failing).await.expect_err("it fails");
    }
    assert_eq!((breaker.failure_count(), breaker.state()), (4, CircuitState::Closed));
    advance(seconds(301)).await;
    assert_eq!(breaker.failure_count(), 0, "an old streak is forgotten");

    for _ in 0..5 {
        breaker.call(failing).await.expect_err("it fails");
    }
    assert_eq!(breaker.state(), CircuitState::Open);
    let error = breaker.call(working).await.expect_err("it is open");
    let CallError::CircuitBreaker(rejection) = error else { panic!("the breaker's own error") };
    assert_eq!(rejection.retry_after(), Some(seconds(60)));

    advance(seconds(60)).await;
    breaker.call(working).await.expect("a probe");
    assert_eq!(breaker.state(), CircuitState::HalfOpen);
    breaker.call(working).await.expect("a second probe");
    assert_eq!(breaker.state(), CircuitState::Closed);
}

#[test]
fn a_registry_keeps_breakers_by_name_shows_and_resets_them_all() {
    let registry = CircuitBreakerRegistry::new();
    let storage = registry.get_or_create("storage");
    let embedder = registry.get_or_create("embedder");
    storage.trip();
    let metrics = registry.all_metrics();
    let names: Vec<_> = metrics.iter().map(|one| (&*one.name, one.state)).collect();
    assert_eq!(names, [("embedder", CircuitState::Closed), ("storage", CircuitState::Open)]);
    registry.reset_all();
    assert_eq!((storage.state(), embedder.state()), (CircuitState::Closed, CircuitState::Closed));
    assert_eq!(
        registry.get("storage").map(|found| found.name().to_owned()).as_deref(),
        Some("storage")
    );
}

#[tokio::test(start_paused = true)]
async fn low_availability_is_looked_into_step_by_step() {
    let _isolated = avail::testing::isolated();
    let monitor = builder().start().await.expect("it starts");
    monitor.check_health("storage", working).await;
    advance(seconds(100)).await;
    monitor.check_health("storage", failing).await;
    monitor.breakers().get_or_create("storage").trip();
    advance(seconds(1)).await;

    let storage = monitor.component_metrics("storage", Window::ALL_TIME).expect("known");
    assert_eq!(storage.meets(monitor.target()), Some(false));
    assert_eq!(&*monitor.active_incidents()[0].component, "storage");
    assert_eq!(monitor.recent_checks(100)[0].error.as_deref(), Some("connection refused"));
    assert_eq!(monitor.breakers().all_metrics()[0].state, CircuitState::Open);
    monitor.check_health("storage", working).await;
    let storage = monitor.component_metrics("storage", Window::ALL_TIME).expect("known");
    assert_eq!(
        (storage.mttr, storage.mttr_p50, storage.mttr_max),
        (Some(1.0), Some(1.0), Some(1.0))
    );
}

#[tokio::test(start_paused = true)]
async fn a_breaker_that_stays_open_is_looked_into_step_by_step() {
    let _isolated = avail::testing::isolated();
    let monitor = builder().start().await.expect("it starts");
    let breaker = monitor.breakers().get_or_create("storage");
    for _ in 0..5 {
        breaker.call(failing).await.expect_err("it fails");
    }
    assert_eq!(breaker.failure_count(), 5);
    assert_eq!(breaker.config().timeout, seconds(60));
    let by_hand = monitor.check_health("storage", working).await;
    assert_eq!(by_hand.status, HealthStatus::Healthy, "it has recovered");
    breaker.reset();
    assert_eq!(breaker.state(), CircuitState::Closed);
    breaker.call(working).await.expect("it passes");
}

#[tokio::test(start_paused = true)]
async fn missing_checks_are_looked_into_step_by_step() {
    let _isolated = avail::testing::isolated();
    let panics = HealthCheck::new("index", || async { assert_eq!(1 + 1, 3) });
    let monitor = builder().check(panics).start().await.expect("it starts");
    assert!(monitor.is_running());
    for _ in 0..100 {
        advance(seconds(1)).await;
        tokio::task::yield_now().await;
    }
    let runs = monitor.recent_checks(100);
    assert!((3..=5).contains(&runs.len()), "a panic does not end the loop: {} runs", runs.len());
    assert!(runs[0].error.as_deref().is_some_and(|error| error.contains("the check panicked")));
}
