//! Maintenance and flapping, in a monitor.

use super::*;

async fn look(monitor: &AvailabilityMonitor, good: bool) {
    monitor.check_health("db", || async move { good }).await;
}

/// What was heard of maintenance and flapping, in order.
fn heard(events: &mut broadcast::Receiver<Event>) -> Vec<String> {
    let mut heard = Vec::new();
    while let Ok(event) = events.try_recv() {
        match event {
            Event::MaintenanceBegan(one) => heard.push(format!("{:?} begins", one.component)),
            Event::MaintenanceEnded(one) => heard.push(format!("{:?} ends", one.component)),
            Event::FlappingBegan { component } => heard.push(format!("{component} flaps")),
            Event::FlappingEnded { component } => heard.push(format!("{component} is calm")),
            Event::IncidentOpened(one) => heard.push(format!("{} is down", one.component)),
            _ => {}
        }
    }
    heard
}

#[tokio::test(start_paused = true)]
async fn a_maintenance_is_shown_ends_by_itself_and_touches_no_readiness() {
    let _isolated = isolated();
    let (check, _) = counted("db", |run| match run {
        0 => Health::healthy(),
        _ => Health::unhealthy("refused"),
    });
    let monitor = builder().check(check.interval(seconds(10))).start().await.expect("starts");
    let mut events = monitor.subscribe();
    settle().await;
    let announced = monitor.maintenance("db", seconds(60), "a new disk").expect("known");
    assert_eq!((announced.end_time - announced.start_time).num_seconds(), 60);
    for _ in 0..30 {
        pass(seconds(1)).await;
    }
    let status = monitor.status();
    let db = status.component("db").expect("known");
    assert_eq!(db.maintenance.as_ref(), Some(&announced));
    assert_eq!((db.status, status.ready), (HealthStatus::Unhealthy, false), "as it is");
    assert_eq!((status.active_incidents, status.maintenance), (0, None));
    assert_eq!(monitor.maintenances(), [announced]);
    for _ in 0..31 {
        pass(seconds(1)).await;
    }
    assert_eq!(monitor.maintenances(), []);
    assert_eq!(heard(&mut events), ["Some(\"db\") begins", "Some(\"db\") ends", "db is down"]);
    let db = monitor.component_metrics("db", Window::ALL_TIME).expect("known");
    assert_eq!(db.maintenance_seconds, 60.0);
}

#[tokio::test(start_paused = true)]
async fn a_component_that_is_not_there_has_no_maintenance() {
    let _isolated = isolated();
    let monitor = builder().start().await.expect("starts");
    look(&monitor, true).await;
    let error = monitor.maintenance("dc", seconds(60), "").expect_err("not there");
    assert_eq!(error.to_string(), "there is no component `dc` here");
    monitor.check_health("storage", || async {}).await;
    let error = monitor.maintenance("storrage", seconds(60), "").expect_err("a typo");
    assert_eq!(error.to_string(), "there is no component `storrage` here: did you mean `storage`?");
    assert!(!monitor.end_maintenance("db") && !monitor.end_maintenance(None));
    let longest = monitor.maintenance(None, Duration::MAX, "for good").expect("the system");
    assert!(longest.end_time > longest.start_time);
    assert_eq!(monitor.status().maintenance, Some(longest));
    assert!(monitor.end_maintenance(None));
}

#[tokio::test(start_paused = true)]
async fn a_maintenance_is_in_the_history_and_so_is_its_early_end() {
    let dir = tempfile::tempdir().expect("a folder");
    let path = dir.path().join("history.jsonl");
    let _isolated = isolated();
    let start = || builder().history_file(&path).start();
    let first = start().await.expect("starts");
    look(&first, true).await;
    first.maintenance("db", seconds(300), "a new disk").expect("known");
    let of_all = first.maintenance(None, seconds(1_000), "a new house").expect("the system");
    pass(seconds(100)).await;
    first.end_maintenance("db");
    first.stop().await;
    pass(seconds(100)).await;

    let second = start().await.expect("starts");
    assert_eq!(second.maintenances(), [of_all]);
    look(&second, false).await;
    pass(seconds(100)).await;
    assert!(second.active_incidents().is_empty());
    second.end_maintenance(None);
    assert_eq!(second.active_incidents().len(), 1);
    pass(seconds(50)).await;
    let of_second = second.component_metrics("db", Window::ALL_TIME).expect("known");
    let system = second.availability_metrics(Window::ALL_TIME);
    assert_eq!((of_second.maintenance_seconds, of_second.downtime_seconds), (300.0, 50.0));
    assert_eq!((system.maintenance_seconds, system.downtime_seconds), (300.0, 0.0));
    second.maintenance("db", seconds(30), "once more").expect("known");
    second.stop().await;

    pass(seconds(100)).await;
    let third = start().await.expect("starts");
    let of_third = third.component_metrics("db", Window::ALL_TIME).expect("known");
    assert_eq!((of_third.maintenance_seconds, of_third.downtime_seconds), (330.0, 50.0));
    assert_eq!(of_third.unobserved_seconds, 70.0);
    assert_eq!(third.availability_metrics(Window::ALL_TIME).maintenance_seconds, 300.0);
    assert_eq!(third.maintenances(), []);
}

#[tokio::test(start_paused = true)]
async fn flapping_is_shown_and_told() {
    let _isolated = isolated();
    let monitor = builder().start().await.expect("starts");
    let mut events = monitor.subscribe();
    for run in 0..7 {
        look(&monitor, run % 2 == 0).await;
        pass(seconds(10)).await;
    }
    let status = monitor.status();
    let db = status.component("db").expect("known");
    assert_eq!((db.status, db.flapping, db.error.is_none()), (HealthStatus::Degraded, true, true));
    for _ in 0..60 {
        pass(seconds(10)).await;
    }
    let status = monitor.status();
    let db = status.component("db").expect("known");
    assert_eq!((db.status, db.flapping), (HealthStatus::Healthy, false));
    assert_eq!(heard(&mut events), ["db is down", "db flaps", "db is calm"]);
}
