#![cfg(feature = "test-util")]

mod dependencies;
mod events;
mod maintenance;
mod operators;
mod reload;
mod scheduler;
mod survives;

use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::mpsc;

use tokio::time::advance;

use super::*;
use crate::health::{FailureClass, Health, HealthStatus};
use crate::site::{BreakerSettings, Declaration, Origin};
use crate::testing::{Isolated, isolated};
use crate::{CircuitBreakerConfig, CircuitState, Severity};

fn seconds(seconds: u64) -> Duration {
    Duration::from_secs(seconds)
}

/// No check but those given, and none that another test's build has linked in.
fn builder() -> AvailabilityMonitorBuilder {
    AvailabilityMonitor::builder().discover(false)
}

/// A check that counts its runs and says what `say` says of each.
fn counted(
    name: &str,
    say: impl Fn(usize) -> Health + Send + Sync + 'static,
) -> (HealthCheck, Arc<AtomicUsize>) {
    let runs = Arc::new(AtomicUsize::new(0));
    let counter = runs.clone();
    let say = Arc::new(say);
    let check = HealthCheck::new(name, move || {
        let (run, say) = (counter.fetch_add(1, Ordering::SeqCst), say.clone());
        async move { say(run) }
    });
    (check, runs)
}

/// Lets every task run that can.
async fn settle() {
    for _ in 0..20 {
        tokio::task::yield_now().await;
    }
}

async fn pass(duration: Duration) {
    advance(duration).await;
    settle().await;
}

fn status_of(monitor: &AvailabilityMonitor, name: &str) -> HealthStatus {
    monitor.status().component(name).expect("the component is known").status
}

fn class_of(monitor: &AvailabilityMonitor, name: &str) -> Option<FailureClass> {
    monitor.status().component(name).expect("the component is known").class
}

#[tokio::test(start_paused = true)]
async fn a_check_runs_at_once_and_then_once_an_interval() {
    let _isolated = isolated();
    let (check, runs) = counted("db", |_| Health::healthy());
    let monitor = builder().check(check.interval(seconds(10))).start().await.expect("starts");
    settle().await;
    assert_eq!(runs.load(Ordering::SeqCst), 1);
    assert_eq!(status_of(&monitor, "db"), HealthStatus::Healthy);
    for _ in 0..300 {
        pass(seconds(1)).await;
    }
    let runs = runs.load(Ordering::SeqCst);
    assert!((28..=34).contains(&runs), "{runs} runs in 300 s");
    let all = monitor.availability_metrics(Window::ALL_TIME);
    assert_eq!(all.total_checks as usize, runs);
    assert_eq!(monitor.recent_checks(5).len(), 5);
}

#[tokio::test(start_paused = true)]
async fn before_its_first_run_a_component_is_unknown_and_the_service_not_ready() {
    let _isolated = isolated();
    let (check, _) = counted("db", |_| Health::healthy());
    let monitor = builder().check(check.initial_delay(seconds(5))).start().await.expect("starts");
    settle().await;
    let status = monitor.status();
    assert_eq!(
        (status.status, status.ready, status.started),
        (HealthStatus::Unknown, false, false)
    );
    assert!(status.alive);
    pass(seconds(6)).await;
    let status = monitor.status();
    assert_eq!((status.status, status.ready, status.started), (HealthStatus::Healthy, true, true));
}

#[tokio::test(start_paused = true)]
async fn a_run_that_outlives_its_timeout_fails_and_the_next_one_comes() {
    let _isolated = isolated();
    let hang_once = Arc::new(AtomicUsize::new(0));
    let check = HealthCheck::new("db", move || {
        let run = hang_once.fetch_add(1, Ordering::SeqCst);
        async move {
            if run == 0 {
                std::future::pending::<()>().await;
            }
        }
    });
    let monitor = builder().check(check.interval(seconds(10))).start().await.expect("starts");
    settle().await;
    pass(seconds(5)).await;
    assert_eq!(class_of(&monitor, "db"), Some(FailureClass::Timeout));
    pass(seconds(7)).await;
    assert_eq!(status_of(&monitor, "db"), HealthStatus::Healthy);
}

#[tokio::test(start_paused = true)]
async fn a_check_that_panics_fails_and_the_next_run_comes() {
    let _isolated = isolated();
    let (check, _) =
        counted("db", |run| if run == 0 { panic!("no pool") } else { Health::healthy() });
    let monitor = builder().check(check.interval(seconds(10))).start().await.expect("starts");
    settle().await;
    assert_eq!(class_of(&monitor, "db"), Some(FailureClass::Panicked));
    let status = monitor.status();
    let error = status.component("db").and_then(|db| db.error.as_deref());
    assert_eq!(error, Some("the check panicked: no pool"));
    pass(seconds(12)).await;
    assert_eq!(status_of(&monitor, "db"), HealthStatus::Healthy);
}

#[tokio::test(start_paused = true)]
async fn a_blocking_check_that_hangs_fails_until_it_returns_and_is_not_run_twice() {
    let _isolated = isolated();
    let runs = Arc::new(AtomicUsize::new(0));
    let (release, gate) = mpsc::channel::<()>();
    let (counter, gate) = (runs.clone(), std::sync::Mutex::new(gate));
    let check = HealthCheck::blocking("disk", move || {
        if counter.fetch_add(1, Ordering::SeqCst) == 0 {
            let _ = gate.lock().expect("only here").recv();
        }
    });
    let monitor = builder().check(check.interval(seconds(10))).start().await.expect("starts");
    while runs.load(Ordering::SeqCst) == 0 {
        settle().await;
    }
    pass(seconds(5)).await;
    assert_eq!(class_of(&monitor, "disk"), Some(FailureClass::Timeout));
    for _ in 0..3 {
        for _ in 0..10 {
            pass(seconds(1)).await;
        }
        assert_eq!(class_of(&monitor, "disk"), Some(FailureClass::Hung));
    }
    assert_eq!(runs.load(Ordering::SeqCst), 1);
    assert_eq!(monitor.snapshot().components[0].runs.skipped, 3);
    release.send(()).expect("it waits");
    // That it has returned ends the pause: no time has to pass, which a busy machine's threads would
    // not keep up with.
    while status_of(&monitor, "disk") != HealthStatus::Healthy {
        settle().await;
    }
    assert_eq!(runs.load(Ordering::SeqCst), 2);
}

#[tokio::test(start_paused = true)]
async fn slow_is_degraded_and_still_ready() {
    let _isolated = isolated();
    let check = HealthCheck::new("db", || tokio::time::sleep(Duration::from_millis(1_500)));
    let monitor = builder().check(check.interval(seconds(10))).start().await.expect("starts");
    settle().await;
    pass(Duration::from_millis(1_500)).await;
    let status = monitor.status();
    assert_eq!((status.status, status.ready), (HealthStatus::Degraded, true));
    assert_eq!(monitor.recent_checks(1)[0].latency, Duration::from_millis(1_500));
}

#[tokio::test(start_paused = true)]
async fn while_it_fails_below_its_threshold_it_is_run_more_often() {
    let _isolated = isolated();
    let (check, runs) =
        counted(
            "db",
            |run| {
                if run == 0 { Health::healthy() } else { Health::unhealthy("refused") }
            },
        );
    let check = check.interval(seconds(30)).failure_threshold(3);
    let monitor = builder().check(check).start().await.expect("starts");
    settle().await;
    // The second run comes after 27 s at the earliest and 33 s at the latest; two more within 3.6
    // to 6 s, since time passes here in whole seconds.
    for _ in 0..30 {
        pass(seconds(1)).await;
    }
    assert_eq!(status_of(&monitor, "db"), HealthStatus::Healthy);
    for _ in 0..12 {
        pass(seconds(1)).await;
    }
    assert_eq!(runs.load(Ordering::SeqCst), 4);
    assert_eq!(status_of(&monitor, "db"), HealthStatus::Unhealthy);
    let [incident] = &monitor.active_incidents()[..] else { panic!("one incident") };
    assert!(incident.start_time < incident.detected_at);
    assert_eq!(incident.failures, 3);
}

#[tokio::test(start_paused = true)]
async fn a_check_by_hand_is_recorded_and_may_borrow_what_is_around_it() {
    let _isolated = isolated();
    let monitor = builder().start().await.expect("starts");
    let address = String::from("cache:6379");
    let bad = monitor.check_health("cache", || async { Err::<(), _>(&address) }).await;
    assert_eq!((bad.status, bad.error.as_deref()), (HealthStatus::Unhealthy, Some("cache:6379")));
    let status = monitor.status();
    assert_eq!((status.status, status.ready), (HealthStatus::Degraded, true), "it is not critical");
    assert_eq!(monitor.active_incidents()[0].severity, Severity::Major);
    pass(seconds(3_600)).await;
    assert_eq!(status_of(&monitor, "cache"), HealthStatus::Unhealthy, "it never goes stale");
    let panicked = monitor.check_health("cache", || async { assert_eq!(1, 2) }).await;
    assert_eq!(panicked.class, Some(FailureClass::Panicked));
    let hung = monitor.check_health("cache", std::future::pending::<()>).await;
    assert_eq!((hung.class, hung.latency), (Some(FailureClass::Timeout), seconds(5)));
    let good = monitor.check_health("cache", || async { true }).await;
    assert_eq!(good.status, HealthStatus::Healthy);
    assert!(monitor.active_incidents().is_empty());
    let one = monitor.component_metrics("cache", Window::ALL_TIME).expect("known");
    assert_eq!((one.total_checks, one.failed_checks, one.incidents), (4, 3, 1));
    assert_eq!(monitor.component_metrics("unheard of", Window::ALL_TIME), None);
}

#[tokio::test(start_paused = true)]
async fn checks_come_and_go_while_it_runs() {
    let _isolated = isolated();
    let monitor = builder().start().await.expect("starts");
    let (check, runs) = counted("late", |_| Health::unhealthy("refused"));
    monitor.register(check.clone()).expect("the name is free");
    settle().await;
    assert_eq!(runs.load(Ordering::SeqCst), 1);
    let error = monitor.register(check).expect_err("the name is taken");
    assert!(error.to_string().contains("two health checks are named `late`"), "{error}");
    assert_eq!(monitor.status().status, HealthStatus::Unhealthy);
    assert!(monitor.unregister("late"));
    assert!(!monitor.unregister("late"));
    for _ in 0..100 {
        pass(seconds(1)).await;
    }
    assert_eq!(runs.load(Ordering::SeqCst), 1);
    assert!(monitor.status().component("late").is_none());
    assert!(monitor.active_incidents().is_empty());
}

#[tokio::test(start_paused = true)]
async fn what_is_declared_wrongly_is_refused_with_a_reason() {
    let _isolated = isolated();
    let (check, _) = counted("db", |_| Health::healthy());
    let twice = builder().check(check.clone()).check(check.clone()).start().await;
    assert_eq!(
        twice.expect_err("one name").to_string(),
        "two health checks are named `db`: the one registered by hand and the one registered by \
         hand; give one another name, or use `rename` or `exclude`"
    );
    let target = builder().target(0.0).start().await.expect_err("no target");
    assert_eq!(
        target.to_string(),
        "the availability target is 0, and must be above 0 and at most 100"
    );
    let slow = builder().check(check.timeout(seconds(60))).start().await.expect_err("too slow");
    assert!(slow.to_string().starts_with("health check `db`: `timeout` (60s)"), "{slow}");
}

#[tokio::test(start_paused = true)]
async fn a_breaker_is_a_component_and_its_opening_an_incident() {
    let isolated = isolated();
    let monitor = builder().start().await.expect("starts");
    let config = CircuitBreakerConfig::builder().timeout(seconds(3)).build().expect("valid");
    let breaker = monitor.breakers().get_or_create_with("api", config).expect("new");
    assert_eq!(status_of(&monitor, "api"), HealthStatus::Healthy);
    breaker.trip();
    assert_eq!(status_of(&monitor, "api"), HealthStatus::Degraded);
    assert_eq!(class_of(&monitor, "api"), Some(FailureClass::Open));
    assert_eq!(monitor.active_incidents()[0].severity, Severity::Minor);
    pass(seconds(3)).await;
    for _ in 0..2 {
        breaker.acquire().expect("a probe").success();
    }
    assert_eq!(breaker.state(), CircuitState::Closed);
    assert_eq!(status_of(&monitor, "api"), HealthStatus::Healthy);
    assert!(monitor.active_incidents().is_empty());
    assert_eq!(monitor.incidents(Window::ALL_TIME)[0].duration_seconds, 3.0);
    drop(isolated);
}

#[tokio::test(start_paused = true)]
async fn a_family_of_breakers_is_one_component() {
    let _isolated = isolated();
    let monitor = builder().start().await.expect("starts");
    let config = CircuitBreakerConfig::builder().failure_threshold(1).build().expect("valid");
    let tenants = monitor.breakers().family("tenants", config, 10).expect("valid");
    let (a, b) = (tenants.get("a"), tenants.get("b"));
    assert_eq!(status_of(&monitor, "tenants"), HealthStatus::Healthy);
    a.trip();
    b.trip();
    assert_eq!(status_of(&monitor, "tenants"), HealthStatus::Degraded);
    a.reset();
    assert_eq!(status_of(&monitor, "tenants"), HealthStatus::Degraded, "b is still open");
    assert_eq!(monitor.active_incidents().len(), 1);
    b.reset();
    assert_eq!(status_of(&monitor, "tenants"), HealthStatus::Healthy);
    assert!(monitor.active_incidents().is_empty());
    let snapshot = monitor.snapshot();
    let listed: Vec<_> = snapshot.breakers.iter().map(|one| &*one.name).collect();
    assert_eq!(listed, ["tenants[a]", "tenants[b]"]);
    assert!(snapshot.status.component("tenants[a]").is_none());
}

#[tokio::test(start_paused = true)]
async fn a_recovery_check_is_run_before_any_call_is_risked() {
    let _isolated = isolated();
    let (check, runs) = counted("storage", |run| match run {
        0 | 2.. => Health::healthy(),
        _ => Health::unhealthy("still gone"),
    });
    let monitor = builder().check(check.interval(seconds(3_600))).start().await.expect("starts");
    settle().await;
    let config = CircuitBreakerConfig::builder()
        .timeout(seconds(10))
        .recovery_check("storage")
        .build()
        .expect("valid");
    let breaker = monitor.breakers().get_or_create_with("calls", config).expect("new");
    pass(seconds(1)).await; // the pulse takes it under its wing
    breaker.trip();
    for _ in 0..9 {
        pass(seconds(1)).await;
        assert_eq!(breaker.state(), CircuitState::Open);
    }
    assert_eq!(runs.load(Ordering::SeqCst), 1, "the open time is not over");
    for _ in 0..3 {
        pass(seconds(1)).await;
        assert!(breaker.acquire().is_err(), "no call is risked");
    }
    assert_eq!((breaker.state(), runs.load(Ordering::SeqCst)), (CircuitState::Open, 2));
    let metrics = breaker.metrics();
    assert_eq!(metrics.reason.map(|reason| reason.as_str()), Some("recovery_check_failed"));
    for _ in 0..12 {
        pass(seconds(1)).await;
    }
    assert_eq!((breaker.state(), runs.load(Ordering::SeqCst)), (CircuitState::HalfOpen, 3));
    for _ in 0..2 {
        breaker.acquire().expect("a probe").success();
    }
    assert_eq!(breaker.state(), CircuitState::Closed);
}

#[tokio::test(start_paused = true)]
async fn where_no_monitor_runs_the_recovery_check_calls_probe_as_usual() {
    let _isolated = isolated();
    let (check, _) = counted("storage", |_| Health::healthy());
    let monitor = builder().check(check).start().await.expect("starts");
    settle().await;
    let config = |check: &str| {
        let builder = CircuitBreakerConfig::builder().timeout(seconds(10));
        builder.recovery_check(check).build().expect("valid")
    };
    let alone = monitor.breakers().get_or_create_with("a", config("unheard of")).expect("new");
    let left = monitor.breakers().get_or_create_with("b", config("storage")).expect("new");
    pass(seconds(1)).await;
    monitor.stop().await;
    for breaker in [alone, left] {
        breaker.trip();
        pass(seconds(10)).await;
        breaker.acquire().expect("a probe").success();
        assert_eq!(breaker.state(), CircuitState::HalfOpen);
    }
}

static RECOVERS: Declaration = Declaration::new(
    Origin::new("storage", "fetch", "src/storage.rs", 12),
    Some("storage"),
    BreakerSettings::new().recovery_check("disk"),
);

#[tokio::test(start_paused = true)]
async fn an_attribute_whose_recovery_check_is_not_there_is_an_error_at_the_start() {
    let _isolated = isolated();
    let registry = CircuitBreakerRegistry::new();
    registry.attach("storage".into(), &RECOVERS);
    let start = |check: &str| {
        let (check, _) = counted(check, |_| Health::healthy());
        AvailabilityMonitor::builder().breakers(registry.clone()).check(check).start()
    };
    let error = start("disks").await.expect_err("there is no such check");
    assert_eq!(
        error.to_string(),
        "circuit breaker `storage`, declared at src/storage.rs:12 (`storage::fetch`), has the \
         recovery check `disk`, which is no health check here: did you mean `disks`?"
    );
    start("disk").await.expect("it is there").stop().await;
}

#[tokio::test(start_paused = true)]
async fn who_makes_up_a_name_for_each_check_is_answered_and_does_not_fill_the_memory() {
    let _isolated = isolated();
    let monitor = builder().start().await.expect("starts");
    let most = AvailabilityMonitor::MAX_COMPONENTS_BY_HAND;
    for name in 0..most {
        monitor.check_health(name.to_string(), || async {}).await;
    }
    let answers = [
        monitor.check_health("one more", || async { false }).await,
        monitor.check_health("and another", || async { true }).await,
    ];
    let answers = answers.map(|answer| (answer.component.to_string(), answer.status));
    let [one, other] = ["one more", "and another"].map(str::to_owned);
    assert_eq!(answers, [(one, HealthStatus::Unhealthy), (other, HealthStatus::Healthy)]);
    let snapshot = monitor.snapshot();
    assert_eq!((snapshot.status.components.len(), snapshot.unrecorded_checks), (most, 2));
    assert_eq!(&*monitor.recent_checks(1)[0].component, (most - 1).to_string());
    assert!(monitor.component_metrics("one more", Window::ALL_TIME).is_none());

    // Those that are known go on, and there is room again where one is done with.
    monitor.check_health("7", || async { false }).await;
    assert_eq!(status_of(&monitor, "7"), HealthStatus::Unhealthy);
    assert!(monitor.unregister("7"));
    monitor.check_health("one more", || async { false }).await;
    assert_eq!(status_of(&monitor, "one more"), HealthStatus::Unhealthy);
    // One that is put on a schedule is known by that.
    monitor.register(counted("8", |_| Health::healthy()).0).expect("it was run by hand");
    monitor.check_health("and another", || async { true }).await;
    monitor.check_health("too many", || async { true }).await;
    let snapshot = monitor.snapshot();
    assert_eq!((snapshot.status.components.len(), snapshot.unrecorded_checks), (most + 1, 3));
}

#[tokio::test(start_paused = true)]
async fn subscribers_hear_what_happens_in_order() {
    let _isolated = isolated();
    let monitor = builder().start().await.expect("starts");
    let mut events = monitor.subscribe();
    monitor.check_health("cache", || async { false }).await;
    monitor.check_health("cache", || async { true }).await;
    let mut heard = Vec::new();
    while let Ok(event) = events.try_recv() {
        heard.push(match event {
            Event::CheckCompleted(result) => format!("run {}", result.status),
            Event::StatusChanged { from, to, .. } => format!("{from} to {to}"),
            Event::IncidentOpened(incident) => format!("opened {}", incident.component),
            Event::IncidentResolved(incident) => format!("resolved {}", incident.component),
            other => format!("{other:?}"),
        });
    }
    assert_eq!(
        heard,
        [
            "run unhealthy",
            "unknown to unhealthy",
            "opened cache",
            "run healthy",
            "unhealthy to healthy",
            "resolved cache"
        ]
    );
}

#[tokio::test(start_paused = true)]
async fn draining_is_not_ready_and_fatal_is_not_alive() {
    let _isolated = isolated();
    let monitor = builder().start().await.expect("starts");
    assert!(monitor.status().ready && monitor.status().alive);
    monitor.drain();
    let status = monitor.status();
    assert!(!status.ready && status.alive && status.draining);
    assert!(monitor.active_incidents().is_empty());
    monitor.fatal("the licence has expired");
    assert!(!monitor.status().alive);
    assert_eq!(monitor.status().fatal.as_deref(), Some("the licence has expired"));
}

#[tokio::test(start_paused = true)]
async fn a_monitor_that_was_stopped_is_not_healthy_for_ever() {
    let _isolated = isolated();
    let (check, runs) = counted("db", |_| Health::healthy());
    let monitor = builder().check(check).start().await.expect("starts");
    settle().await;
    monitor.stop().await;
    assert!(!monitor.is_running());
    let status = monitor.status();
    assert!(!status.ready && status.alive);
    pass(seconds(200)).await;
    assert_eq!(monitor.status().status, HealthStatus::Unknown);
    assert_eq!(runs.load(Ordering::SeqCst), 1);
    monitor.stop().await; // twice does no harm
}

#[tokio::test(start_paused = true)]
async fn a_jump_of_the_wall_clock_is_unobserved_and_never_down() {
    let isolated = isolated();
    let (check, _) = counted("db", |_| Health::healthy());
    let monitor = builder().check(check.interval(seconds(10))).start().await.expect("starts");
    settle().await;
    let pass_a_minute = || async {
        for _ in 0..60 {
            pass(seconds(1)).await;
        }
    };
    pass_a_minute().await;
    isolated.set_wall_clock_forward(seconds(86_400));
    pass_a_minute().await;
    let db = monitor.component_metrics("db", Window::ALL_TIME).expect("known");
    assert_eq!(db.downtime_seconds, 0.0);
    assert!((db.unobserved_seconds - 86_400.0).abs() < 3.0, "{}", db.unobserved_seconds);
    assert!((db.uptime_seconds - 120.0).abs() < 3.0, "{}", db.uptime_seconds);

    let before = monitor.status().timestamp;
    isolated.set_wall_clock_back(seconds(3_600));
    pass_a_minute().await;
    let db = monitor.component_metrics("db", Window::ALL_TIME).expect("known");
    assert_eq!((db.downtime_seconds, monitor.status().timestamp > before), (0.0, true));
    assert!((db.uptime_seconds - 180.0).abs() < 3.0, "{}", db.uptime_seconds);
}

/// Starts a monitor on the file, lets `db` fail for ten seconds, and stops it or not.
async fn one_boot(path: &std::path::Path, isolated: &Isolated, clean: bool) -> AvailabilityMonitor {
    let (check, _) = counted("db", |run| match run {
        3..6 => Health::unhealthy("refused"),
        _ => Health::healthy(),
    });
    let check = check.interval(seconds(10));
    let monitor = builder().history_file(path).check(check).start().await.expect("starts");
    settle().await;
    for _ in 0..100 {
        pass(seconds(1)).await;
    }
    if clean {
        monitor.stop().await;
    } else {
        monitor.inner.end(false);
    }
    let _ = isolated;
    monitor
}

#[tokio::test(start_paused = true)]
async fn the_history_is_carried_on_and_a_crash_is_accounted_for() {
    let isolated = isolated();
    let dir = tempfile::tempdir().expect("a folder");
    let path = dir.path().join("history.jsonl");
    let first = one_boot(&path, &isolated, true).await;
    assert_eq!(first.recovery().expect("a file").records, 0);
    let of_first = first.component_metrics("db", Window::ALL_TIME).expect("known");
    // Three pauses of 9 to 11 s, since time passes here in whole seconds.
    assert!((26.0..=34.0).contains(&of_first.downtime_seconds), "{of_first:?}");

    pass(seconds(50)).await; // stopped in order
    let second = one_boot(&path, &isolated, false).await;
    assert!(!second.recovery().expect("a file").unclean_end);
    let of_second = second.component_metrics("db", Window::ALL_TIME).expect("known");
    assert!(of_second.downtime_seconds >= of_first.downtime_seconds + 26.0);
    assert!(of_second.total_checks > of_first.total_checks);
    assert_eq!(of_second.incidents, 2);
    let process = second.component_metrics("process", Window::ALL_TIME).expect("known");
    assert_eq!((process.downtime_seconds, process.incidents), (0.0, 0));

    pass(seconds(500)).await; // dead
    let third = one_boot(&path, &isolated, true).await;
    let report = third.recovery().expect("a file");
    assert!(report.unclean_end);
    assert_eq!(report.corrupt_records, 0);
    let process = third.component_metrics("process", Window::ALL_TIME).expect("known");
    assert_eq!((process.downtime_seconds, process.incidents), (500.0, 1));
    let system = third.availability_metrics(Window::ALL_TIME);
    let db = third.component_metrics("db", Window::ALL_TIME).expect("known");
    assert!((system.downtime_seconds - 500.0 - db.downtime_seconds).abs() < 0.01);
    assert!((db.unobserved_seconds - 550.0).abs() < 1.0, "{}", db.unobserved_seconds);
    // Counters begin anew, but for the time that no process was there to count.
    let counted = third.snapshot().state_seconds;
    assert!((500.0..540.0).contains(&counted.down) && counted.up < 101.0, "{counted:?}");

    // Read once more, the books say the same.
    let again = builder().history_file(&path).start().await.expect("starts");
    assert_eq!(
        again.component_metrics("db", Window::ALL_TIME).map(|m| m.downtime_seconds),
        Some(db.downtime_seconds)
    );
    assert_eq!(
        again.component_metrics("process", Window::ALL_TIME).map(|m| m.downtime_seconds),
        Some(500.0)
    );
    let all = again.availability_metrics(Window::ALL_TIME);
    assert!((all.downtime_seconds - system.downtime_seconds).abs() < 0.01);
    assert_eq!(again.incidents(Window::ALL_TIME).len(), 4);
    assert!(again.incidents(Window::ALL_TIME).iter().all(|incident| incident.resolved));
}

#[tokio::test(start_paused = true)]
async fn a_second_monitor_on_one_file_is_refused_or_goes_on_in_memory() {
    let _isolated = isolated();
    let dir = tempfile::tempdir().expect("a folder");
    let path = dir.path().join("history.jsonl");
    let first = builder().history_file(&path).start().await.expect("starts");
    let error = builder().history_file(&path).start().await.expect_err("it is taken");
    assert!(error.to_string().contains("is in use by another monitor of this process"), "{error}");
    let second = builder().history_file(&path).history_required(false).start().await;
    let second = second.expect("in memory");
    assert_eq!(status_of(&second, HISTORY), HealthStatus::Degraded);
    assert_eq!((second.status().status, second.status().ready), (HealthStatus::Degraded, true));
    assert_eq!(status_of(&first, HISTORY), HealthStatus::Healthy);
    first.stop().await;
    builder().history_file(&path).start().await.expect("it is free again");
}

#[tokio::test(start_paused = true)]
async fn a_history_that_cannot_be_opened_is_named_and_told_what_to_do() {
    let _isolated = isolated();
    let dir = tempfile::tempdir().expect("a folder");
    let error = builder().history_file(dir.path()).start().await.expect_err("it is a folder");
    let text = error.to_string();
    assert!(text.contains(&dir.path().display().to_string()), "{text}");
    assert!(text.contains("mend its path or its permissions"), "{text}");
}

#[test]
fn the_end_of_the_runtime_is_a_clean_stop() {
    let dir = tempfile::tempdir().expect("a folder");
    let path = dir.path().join("history.jsonl");
    let runtime = || tokio::runtime::Builder::new_multi_thread().enable_all().build();
    let start = || builder().history_file(&path).start();
    let first = runtime().expect("a runtime");
    let monitor = first.block_on(start()).expect("starts");
    drop(first);
    assert!(!monitor.is_running());
    let second = runtime().expect("a runtime").block_on(start()).expect("starts");
    assert!(!second.recovery().expect("a file").unclean_end);
}

#[tokio::test]
async fn ten_failing_checks_at_once_are_ten_incidents() {
    let checks = (0..10).map(|n| counted(&format!("c{n}"), |_| Health::unhealthy("refused")).0);
    let mut builder = builder().startup_grace(Duration::ZERO);
    for check in checks {
        builder = builder.check(check);
    }
    let monitor = builder.start().await.expect("starts");
    let mut events = monitor.subscribe();
    while monitor.active_incidents().len() < 10 {
        events.recv().await.expect("more comes");
    }
    // An outage is counted once it has lasted for a millisecond.
    let outages = || monitor.availability_metrics(Window::ALL_TIME).incidents;
    while outages() == 0 {
        tokio::task::yield_now().await;
    }
    assert_eq!(outages(), 1, "one for the system");
    monitor.stop().await;
}

/// A breaker of the monitor that is down while it is open, for ten seconds.
fn critical_breaker(monitor: &AvailabilityMonitor, name: &str) -> crate::CircuitBreaker {
    let config = CircuitBreakerConfig::builder().critical(true).timeout(seconds(10));
    let config = config.build().expect("valid");
    monitor.breakers().get_or_create_with(name, config).expect("new")
}

#[tokio::test(start_paused = true)]
async fn an_incident_that_nobody_can_end_any_more_ends_at_the_next_start() {
    let dir = tempfile::tempdir().expect("a folder");
    let path = dir.path().join("history.jsonl");
    {
        let _isolated = isolated();
        let (check, _) = counted("old_name", |_| Health::unhealthy("refused"));
        let builder = builder().history_file(&path).startup_grace(Duration::ZERO);
        let monitor = builder.check(check).start().await.expect("starts");
        settle().await;
        monitor.breakers().get_or_create("api").trip();
        critical_breaker(&monitor, "pool").trip();
        assert_eq!(monitor.active_incidents().len(), 3);
        monitor.stop().await;
    }
    let _isolated = isolated();
    let (check, _) = counted("new_name", |_| Health::healthy());
    let builder = builder().history_file(&path).check(check);
    let monitor = builder.start().await.expect("starts");
    monitor.breakers().get_or_create("api");
    assert!(monitor.active_incidents().is_empty(), "{:?}", monitor.active_incidents());
    assert_eq!(monitor.incidents(Window::ALL_TIME).len(), 3);
}

#[tokio::test(start_paused = true)]
async fn a_component_by_hand_can_be_taken_away_and_does_not_come_back() {
    let _isolated = isolated();
    let monitor = builder().start().await.expect("starts");
    monitor.check_health("cache", || async { false }).await;
    assert!(monitor.unregister("cache"));
    assert!(monitor.status().component("cache").is_none());
    assert!(monitor.active_incidents().is_empty());
    let (handle, under_way) = (monitor.clone(), monitor.clone());
    let run = tokio::spawn(carry_on(async move {
        handle.check_health("cache", || tokio::time::sleep(seconds(2))).await
    }));
    settle().await;
    assert!(under_way.unregister("cache"));
    pass(seconds(3)).await;
    run.await.expect("it ends");
    assert!(monitor.status().component("cache").is_none(), "its result is nobody's");
    for name in ["process", "history", ""] {
        assert!(!monitor.unregister(name));
        monitor.check_health(name, || async { false }).await;
    }
    assert_eq!(monitor.status().status, HealthStatus::Healthy);
    assert!(monitor.active_incidents().is_empty());
}

/// In the isolation of the test, as tasks of the monitor are.
fn carry_on<F: Future>(future: F) -> impl Future<Output = F::Output> {
    crate::scope::carry(future)
}

/// Takes log lines, and looks at the monitor for each of them.
struct LooksAtTheMonitor {
    monitor: AvailabilityMonitor,
    lines: Arc<AtomicUsize>,
}

impl tracing::Subscriber for LooksAtTheMonitor {
    fn enabled(&self, _: &tracing::Metadata<'_>) -> bool {
        true
    }

    fn new_span(&self, _: &tracing::span::Attributes<'_>) -> tracing::span::Id {
        tracing::span::Id::from_u64(1)
    }

    fn record(&self, _: &tracing::span::Id, _: &tracing::span::Record<'_>) {}

    fn record_follows_from(&self, _: &tracing::span::Id, _: &tracing::span::Id) {}

    fn event(&self, _: &tracing::Event<'_>) {
        if self.lines.fetch_add(1, Ordering::SeqCst) < 100 {
            self.monitor.status();
        }
    }

    fn enter(&self, _: &tracing::span::Id) {}

    fn exit(&self, _: &tracing::span::Id) {}
}

#[tokio::test(start_paused = true)]
async fn whoever_takes_the_log_lines_may_ask_the_monitor() {
    let _isolated = isolated();
    let monitor = builder().start().await.expect("starts");
    let lines: Arc<AtomicUsize> = Arc::default();
    crate::listening::hear_every_thread();
    let looks = LooksAtTheMonitor { monitor: monitor.clone(), lines: lines.clone() };
    let _default = tracing::subscriber::set_default(looks);
    monitor.check_health("cache", || async { false }).await;
    critical_breaker(&monitor, "pool").trip();
    assert!(lines.load(Ordering::SeqCst) >= 4, "{lines:?}");
}

#[tokio::test(start_paused = true)]
async fn a_forced_opening_with_an_end_is_down_until_then() {
    let _isolated = isolated();
    let monitor = builder().start().await.expect("starts");
    let breaker = critical_breaker(&monitor, "pool");
    let mut options = crate::OverrideOptions::reason("deploying");
    options.ttl = Some(seconds(5));
    breaker.set_override(crate::Override::ForcedOpen, options);
    assert_eq!(
        (status_of(&monitor, "pool"), monitor.status().ready),
        (HealthStatus::Unhealthy, false)
    );
    pass(seconds(6)).await;
    assert_eq!(
        (status_of(&monitor, "pool"), monitor.status().ready),
        (HealthStatus::Degraded, true)
    );
}

#[tokio::test(start_paused = true)]
async fn a_critical_breaker_that_was_open_before_is_down_for_the_rest_of_its_open_time() {
    let _isolated = isolated();
    let registry = crate::CircuitBreakerRegistry::global();
    let config = CircuitBreakerConfig::builder().critical(true).timeout(seconds(10));
    let config = config.build().expect("valid");
    registry.get_or_create_with("pool", config).expect("new").trip();
    advance(seconds(4)).await;
    let monitor = builder().start().await.expect("starts");
    let status = monitor.status();
    assert_eq!((status.status, status.active_incidents), (HealthStatus::Unhealthy, 1));
    pass(seconds(6)).await;
    assert_eq!(monitor.status().status, HealthStatus::Degraded);
    let pool = monitor.component_metrics("pool", Window::ALL_TIME).expect("known");
    assert_eq!(pool.downtime_seconds, 6.0);
}

#[tokio::test(start_paused = true)]
async fn an_incident_that_a_breaker_began_starts_with_the_first_failing_run() {
    let _isolated = isolated();
    let (check, _) = counted("db", |run| match run {
        1..4 => Health::unhealthy("refused"),
        _ => Health::healthy(),
    });
    let check = check.interval(seconds(10)).failure_threshold(3);
    let monitor = builder().check(check).start().await.expect("starts");
    settle().await;
    while monitor.recent_checks(1)[0].status == HealthStatus::Healthy {
        pass(seconds(1)).await;
    }
    let first_failure = monitor.recent_checks(1)[0].timestamp;
    pass(Duration::from_millis(500)).await;
    monitor.breakers().get_or_create("db").trip();
    while monitor.recent_checks(1)[0].status != HealthStatus::Healthy {
        pass(seconds(1)).await;
    }
    let [incident] = &monitor.incidents(Window::ALL_TIME)[..] else { panic!("one incident") };
    assert_eq!(incident.start_time, first_failure);
    let db = monitor.component_metrics("db", Window::ALL_TIME).expect("known");
    assert_eq!(Some(incident.duration_seconds), db.mttr);
}

#[tokio::test(start_paused = true)]
async fn a_history_that_ends_far_in_the_future_is_not_believed() {
    let dir = tempfile::tempdir().expect("a folder");
    let path = dir.path().join("history.jsonl");
    {
        let isolated = isolated();
        isolated.set_wall_clock_forward(seconds(400 * 86_400));
        let monitor = builder().history_file(&path).start().await.expect("starts");
        monitor.check_health("cache", || async { false }).await;
        monitor.stop().await;
    }
    for _ in 0..2 {
        let _isolated = isolated();
        let monitor = builder().history_file(&path).start().await.expect("starts");
        let ahead = monitor.status().timestamp - chrono::Utc::now();
        assert!(ahead.num_days() < 1, "{ahead}");
        pass(seconds(10)).await;
        let process = monitor.component_metrics("process", Window::HOURS_24).expect("known");
        assert_eq!((process.downtime_seconds, process.uptime_seconds >= 10.0), (0.0, true));
        monitor.stop().await;
    }
}

#[tokio::test(start_paused = true)]
async fn a_monitor_that_has_stopped_takes_no_checks() {
    let _isolated = isolated();
    let monitor = builder().start().await.expect("starts");
    monitor.stop().await;
    let (check, runs) = counted("late", |_| Health::healthy());
    let error = monitor.register(check).expect_err("it has stopped");
    assert!(error.to_string().contains("has stopped"), "{error}");
    assert_eq!(runs.load(Ordering::SeqCst), 0);
}

#[test]
fn a_check_can_be_registered_from_any_thread() {
    let runtime = tokio::runtime::Builder::new_multi_thread().enable_all().build();
    let runtime = runtime.expect("a runtime");
    let monitor = runtime.block_on(builder().start()).expect("starts");
    let (check, runs) = counted("late", |_| Health::healthy());
    monitor.register(check).expect("outside the runtime");
    while runs.load(Ordering::SeqCst) == 0 {
        std::thread::yield_now();
    }
    assert!(monitor.status().component("late").is_some());
}

#[test]
fn a_runtime_without_time_is_refused() {
    let runtime = tokio::runtime::Builder::new_current_thread().build().expect("a runtime");
    let error = runtime.block_on(builder().start()).expect_err("no timer");
    assert!(error.to_string().contains("with its time enabled"), "{error}");
}

#[tokio::test(start_paused = true)]
async fn draining_ends_with_the_next_start() {
    let _isolated = isolated();
    let first = builder().start().await.expect("starts");
    first.drain();
    first.stop().await;
    let second = builder().start().await.expect("starts");
    assert!(second.status().ready);
    let config = CircuitBreakerConfig::builder().failure_threshold(1).build().expect("valid");
    let breaker = second.breakers().get_or_create_with("api", config).expect("new");
    let given_up = breaker.call(std::future::pending::<Result<(), ()>>);
    tokio::time::timeout(seconds(2), given_up).await.expect_err("it hangs");
    assert_eq!(breaker.state(), CircuitState::Open);
}

#[tokio::test(start_paused = true)]
async fn calls_through_breakers_give_a_ratio_of_their_own_by_component_and_window() {
    let _isolated = isolated();
    let monitor = builder().start().await.expect("starts");
    let shadow = CircuitBreakerConfig::builder().failure_threshold(1_000).build().expect("valid");
    let api = monitor.breakers().get_or_create_with("api", shadow.clone()).expect("new");
    let tenants = monitor.breakers().family("tenants", shadow, 10).expect("valid");
    let call = |breaker: &crate::CircuitBreaker, good: bool| {
        let _ = breaker.call_sync(|| if good { Ok(()) } else { Err("refused") });
    };
    (0..8).for_each(|index| call(&api, index != 0));
    for key in ["a", "b"] {
        call(&tenants.get(key), key == "a");
    }
    pass(seconds(1)).await;
    let ratio = |name: &str, window| {
        let metrics = monitor.component_metrics(name, window).expect("known");
        (metrics.successful_calls, metrics.failed_calls, metrics.success_ratio)
    };
    assert_eq!(ratio("api", Window::ALL_TIME), (7, 1, Some(0.875)));
    assert_eq!(ratio("tenants", Window::ALL_TIME), (1, 1, Some(0.5)));
    let system = monitor.availability_metrics(Window::HOURS_24);
    assert_eq!((system.successful_calls, system.failed_calls), (8, 2));
    assert_eq!(system.success_ratio, Some(0.8));
    assert_eq!(system.availability_percentage, Some(100.0), "by time, and nothing was down");

    pass(seconds(2 * 86_400)).await;
    call(&api, true);
    let snapshot = monitor.snapshot();
    let api_is = snapshot.components.iter().find(|one| &*one.name == "api").expect("known");
    assert_eq!(api_is.availability[0].success_ratio, Some(1.0), "of the last 24 hours");
    assert_eq!(api_is.availability[3].success_ratio, Some(8.0 / 9.0), "since ever");
    assert_eq!(ratio("tenants", Window::HOURS_24), (0, 0, None));
}

#[tokio::test(start_paused = true)]
async fn calls_outlive_a_restart_and_are_counted_once() {
    let _isolated = isolated();
    let folder = tempfile::tempdir().expect("a folder");
    let history = folder.path().join("history.jsonl");
    let breaker = crate::CircuitBreakerRegistry::global().get_or_create("api");
    let ratio = |monitor: &AvailabilityMonitor| {
        let metrics = monitor.component_metrics("api", Window::ALL_TIME).expect("known");
        (metrics.successful_calls, metrics.failed_calls)
    };
    for round in 1..=3 {
        let monitor = builder().history_file(&history).start().await.expect("starts");
        let _ = breaker.call_sync(|| Ok::<_, &str>(()));
        monitor.stop().await;
        assert_eq!(ratio(&monitor), (round, 0));
    }
}

#[tokio::test(start_paused = true)]
async fn a_check_declares_an_objective_and_the_target_stands_in_for_it() {
    let _isolated = isolated();
    let good = || counted("db", |_| Health::healthy()).0;
    let own = good().slo(99.95).slo_window(seconds(7 * 86_400));
    let (plain, _) = counted("cache", |_| Health::healthy());
    let monitor = builder().target(99.5).check(own).check(plain).start().await.expect("starts");
    settle().await;
    let of = |name: &str| {
        let slo = monitor.component_slo(name).expect("known");
        (slo.objective, slo.window_seconds, slo.declared)
    };
    assert_eq!(of("db"), (99.95, 604_800.0, true));
    assert_eq!(of("cache"), (99.5, 2_592_000.0, false));
    assert_eq!(of("process"), (99.5, 2_592_000.0, false));
    assert_eq!(monitor.component_slo("unheard of"), None);
    monitor.unregister("db");
    monitor.register(good().slo(99.0)).expect("the name is free");
    assert_eq!(of("db"), (99.0, 2_592_000.0, true));

    monitor.check_health("by hand", || async { false }).await;
    pass(seconds(1_800)).await;
    monitor.check_health("by hand", || async { false }).await;
    let slo = monitor.component_slo("by hand").expect("known");
    assert_eq!(slo.alert, Some(crate::AlertSeverity::Page));
    assert_eq!(monitor.slo().alert, None, "it is not critical");
}

#[tokio::test(start_paused = true)]
async fn a_prolonged_incident_is_counted_and_fails_liveness_only_where_that_is_asked_for() {
    for fatal in [false, true] {
        let _isolated = isolated();
        let monitor = builder().prolonged_is_fatal(fatal).start().await.expect("starts");
        monitor.check_health("cache", || async { false }).await;
        pass(seconds(300)).await;
        assert_eq!((monitor.status().prolonged_incidents, monitor.status().alive), (0, true));
        pass(seconds(1)).await;
        let status = monitor.status();
        assert_eq!((status.prolonged_incidents, status.alive, status.stuck), (1, !fatal, fatal));
        monitor.check_health("cache", || async { true }).await;
        assert!(monitor.status().alive);
    }
}

#[tokio::test(start_paused = true)]
async fn readiness_can_be_switched_off_by_hand_and_on_again() {
    let _isolated = isolated();
    let monitor = builder().start().await.expect("starts");
    monitor.set_ready(false);
    let status = monitor.status();
    assert_eq!((status.ready, status.switched_off, status.alive), (false, true, true));
    assert_eq!((status.status, status.active_incidents), (HealthStatus::Healthy, 0));
    monitor.set_ready(true);
    assert!(monitor.status().ready && !monitor.status().switched_off);
}
