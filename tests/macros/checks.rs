//! Annotated health checks.

use std::time::Duration;

use avail::{AvailabilityMonitor, CircuitState, Health, HealthStatus, Probe, testing};

use super::breaker::{Error, breaker};

const QUEUE: &str = "checks::queue";

#[avail::health_check(name = QUEUE, critical = false, interval = "20s", timeout = 2.5)]
async fn queue_is_short() -> Health {
    Health::degraded("the queue is long")
}

#[avail::health_check(
    name = "checks::disk",
    degraded_after = "500ms",
    retry_interval = 1,
    initial_delay = "0s",
    failure_threshold = 2,
    success_threshold = 3,
    depends_on = [QUEUE, "checks::boxed"],
    probe = "liveness",
    slo = 99.95,
    slo_window = "7d",
    tags = ["disk", "local"],
)]
fn disk_has_room() -> bool {
    true
}

#[avail::health_check]
async fn unnamed() -> Result<(), std::io::Error> {
    Err(std::io::Error::other("refused"))
}

#[avail::health_check(name = "checks::boxed")]
fn boxed() -> std::pin::Pin<Box<dyn Future<Output = Result<Health, String>> + Send>> {
    Box::pin(async { Ok(Health::healthy()) })
}

#[tokio::test]
async fn a_check_stays_callable_as_it_was() {
    assert_eq!(queue_is_short().await, Health::degraded("the queue is long"));
    assert!(disk_has_room());
    assert!(unnamed().await.is_err());
}

#[tokio::test(start_paused = true)]
async fn checks_are_found_and_run_and_nobody_called_them() {
    let _isolated = testing::isolated();
    let monitor = AvailabilityMonitor::builder().start().await.expect("it starts");
    tokio::time::sleep(Duration::from_secs(5)).await;
    let system = monitor.status();
    let component = |name: &str| {
        let found = system.components.iter().find(|component| &*component.name == name);
        found.expect(name)
    };
    assert_eq!(component(QUEUE).status, HealthStatus::Degraded);
    assert!(!component(QUEUE).critical);
    assert_eq!(component("checks::disk").status, HealthStatus::Healthy);
    assert_eq!(component("checks::disk").probe, Probe::Liveness);
    let slo = monitor.component_slo("checks::disk").expect("known");
    assert_eq!((slo.objective, slo.window_seconds), (99.95, 604_800.0));
    assert_eq!(*component("checks::disk").depends_on, [QUEUE.into(), "checks::boxed".into()]);
    assert_eq!(*component("checks::disk").tags, ["disk".into(), "local".into()]);
    let unnamed = component("macros::checks::unnamed");
    assert_eq!(unnamed.status, HealthStatus::Unhealthy);
    assert_eq!(unnamed.error.as_deref(), Some("refused"));
    assert!(unnamed.critical);
    assert_eq!(component("checks::boxed").status, HealthStatus::Healthy);
    monitor.stop().await;
}

#[tokio::test(start_paused = true)]
async fn a_dependency_follows_a_check_to_its_new_name_and_out_of_the_way() {
    let _isolated = testing::isolated();
    let builder = || AvailabilityMonitor::builder().exclude("macros::checks::boxed");
    let renamed = builder().rename("macros::checks::queue_is_short", "queue");
    let monitor = renamed.start().await.expect("it starts");
    let status = monitor.status();
    let disk = status.component("checks::disk").expect("known");
    assert_eq!(*disk.depends_on, ["queue".into()]);
    monitor.stop().await;
}

#[avail::circuit_breaker(name = "checks::recovers", recovery_check = QUEUE, timeout = "10s")]
async fn recovers() -> Result<(), Error> {
    Ok(())
}

#[tokio::test(start_paused = true)]
async fn a_recovery_check_is_followed_to_its_new_name_and_spares_the_calls() {
    let _isolated = testing::isolated();
    let builder = AvailabilityMonitor::builder();
    let renamed = builder.rename("macros::checks::queue_is_short", "queue");
    let monitor = renamed.start().await.expect("it starts");
    let breaker = breaker("checks::recovers");
    recovers().await.expect("closed");
    tokio::time::sleep(Duration::from_secs(2)).await;
    breaker.trip();
    tokio::time::sleep(Duration::from_secs(13)).await;
    assert_eq!(breaker.state(), CircuitState::HalfOpen, "the check has passed");
    assert_eq!(breaker.metrics().rejections.awaiting_check, 0);
    recovers().await.expect("a probe");
    monitor.stop().await;
}
