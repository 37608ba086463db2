//! What subscribers hear.

use std::collections::BTreeSet;

use super::*;

/// How many events may wait for a subscriber.
const KEPT: usize = 1_024;

async fn look(monitor: &AvailabilityMonitor, name: &str, good: bool) {
    monitor.check_health(name, || async move { good }).await;
}

#[tokio::test(start_paused = true)]
async fn one_who_lags_is_told_how_much_it_missed_and_slows_nobody() {
    const MISSED: usize = 76;
    let _isolated = isolated();
    let monitor = builder().start().await.expect("starts");
    look(&monitor, "db", true).await;
    let (mut lags, mut keeps_up) = (monitor.subscribe(), monitor.subscribe());
    let began = tokio::time::Instant::now();
    for number in 0..KEPT + MISSED {
        look(&monitor, &format!("{}", number % 7), true).await;
        while keeps_up.try_recv().is_ok() {}
    }
    assert_eq!(began.elapsed(), Duration::ZERO, "nothing waited");
    let all = monitor.availability_metrics(Window::ALL_TIME);
    assert_eq!(all.total_checks as usize, KEPT + MISSED + 1);

    // Each of seven components also became healthy.
    let missed = (MISSED + 7) as u64;
    let told = lags.try_recv().expect_err("it lagged");
    assert_eq!(told, broadcast::error::TryRecvError::Lagged(missed));
    let mut heard = Vec::new();
    while let Ok(event) = lags.try_recv() {
        if let Event::CheckCompleted(result) = event {
            heard.push(result.component);
        }
    }
    assert_eq!(heard.len(), KEPT);
    let expected = (MISSED..KEPT + MISSED).map(|number| Arc::from(format!("{}", number % 7)));
    assert_eq!(heard, expected.collect::<Vec<_>>(), "the latest, in order");
    look(&monitor, "db", true).await;
    assert!(lags.try_recv().is_ok(), "and it goes on");
}

/// Which kind of event it is. There is no other: the compiler looks.
fn kind(event: &Event) -> &'static str {
    match event {
        Event::Started => "started",
        Event::CheckCompleted(_) => "check_completed",
        Event::StatusChanged { .. } => "status_changed",
        Event::IncidentOpened(_) => "incident_opened",
        Event::IncidentReopened(_) => "incident_reopened",
        Event::IncidentRaised(_) => "incident_raised",
        Event::IncidentAdopted(_) => "incident_adopted",
        Event::IncidentResolved(_) => "incident_resolved",
        Event::FlappingBegan { .. } => "flapping_began",
        Event::FlappingEnded { .. } => "flapping_ended",
        Event::MaintenanceBegan(_) => "maintenance_began",
        Event::MaintenanceEnded(_) => "maintenance_ended",
        Event::BreakerChanged(_) => "breaker_changed",
        Event::Reloaded(_) => "reloaded",
        Event::ReloadRefused { .. } => "reload_refused",
        Event::Draining => "draining",
        Event::Fatal { .. } => "fatal",
        Event::Stopped => "stopped",
    }
}

#[tokio::test(start_paused = true)]
async fn every_kind_of_event_is_told_under_its_name() {
    let _isolated = isolated();
    let (db, _) = counted("db", |_| Health::healthy());
    let (api, _) = counted("api", |_| Health::healthy());
    let long = |check: HealthCheck| check.interval(seconds(86_400));
    let file = reload::File::new("");
    let builder = file.builder().check(long(db)).check(long(api).depends_on(["db"]));
    let monitor = builder.start().await.expect("starts");
    let mut events = monitor.subscribe();
    settle().await;
    look(&monitor, "api", false).await;
    let breaker = monitor.breakers().get_or_create("db");
    breaker.trip();
    for run in 0..6 {
        look(&monitor, "db", run % 2 == 1).await;
    }
    breaker.reset();
    monitor.maintenance("db", seconds(60), "a new disk").expect("known");
    for _ in 0..12 {
        pass(seconds(60)).await;
    }
    monitor.reload().await.expect("nothing is wrong with nothing");
    file.write("[nothing]");
    monitor.reload().await.expect_err("there is no such table");
    monitor.drain();
    monitor.fatal("the licence has expired");
    monitor.stop().await;
    let (mut heard, mut names) = (BTreeSet::new(), BTreeSet::new());
    while let Ok(event) = events.try_recv() {
        heard.insert(kind(&event));
        let json = serde_json::to_value(&event).expect("it can be written");
        names.insert(json["event"].as_str().expect("its name").to_owned());
    }
    let all = [
        "breaker_changed",
        "check_completed",
        "draining",
        "fatal",
        "flapping_began",
        "flapping_ended",
        "incident_adopted",
        "incident_opened",
        "incident_raised",
        "incident_reopened",
        "incident_resolved",
        "maintenance_began",
        "maintenance_ended",
        "reload_refused",
        "reloaded",
        "started",
        "status_changed",
        "stopped",
    ];
    assert_eq!(heard.into_iter().collect::<Vec<_>>(), all);
    assert_eq!(names.into_iter().collect::<Vec<_>>(), all);
}
