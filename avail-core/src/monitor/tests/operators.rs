//! What operators do: checks that are to run now, and what is kept of who did what.

use super::*;

#[tokio::test(start_paused = true)]
async fn a_refreshed_check_runs_at_once_and_is_due_an_interval_later() {
    let _isolated = isolated();
    let (check, runs) = counted("db", |run| match run {
        0 => Health::healthy(),
        _ => Health::unhealthy("gone"),
    });
    let monitor = builder().check(check.interval(seconds(100))).start().await.expect("starts");
    settle().await;
    pass(seconds(50)).await;
    let result = monitor.refresh("db").await.expect("it runs");
    assert_eq!((result.status, result.error.as_deref()), (HealthStatus::Unhealthy, Some("gone")));
    assert_eq!(status_of(&monitor, "db"), HealthStatus::Unhealthy, "it is shown at once");
    assert_eq!(runs.load(Ordering::SeqCst), 2);
    pass(seconds(80)).await;
    assert_eq!(runs.load(Ordering::SeqCst), 2, "the interval begins anew");
    pass(seconds(31)).await;
    assert_eq!(runs.load(Ordering::SeqCst), 3);
}

#[tokio::test(start_paused = true)]
async fn a_refresh_waits_for_the_run_under_way_and_never_runs_beside_it() {
    let _isolated = isolated();
    let running = Arc::new(AtomicUsize::new(0));
    let seen = running.clone();
    let check = HealthCheck::new("slow", move || {
        let running = seen.clone();
        async move {
            assert_eq!(running.fetch_add(1, Ordering::SeqCst), 0, "beside another run");
            tokio::time::sleep(seconds(2)).await;
            running.fetch_sub(1, Ordering::SeqCst);
        }
    });
    let check = check.degraded_after(seconds(3)).interval(seconds(100));
    let monitor = builder().check(check).start().await.expect("starts");
    settle().await;
    pass(seconds(1)).await; // the first run is under way
    let (asked, _) = monitor.inner.moment();
    let (one, other) = tokio::join!(monitor.refresh("slow"), monitor.refresh("slow"));
    for result in [one, other] {
        let result = result.expect("it runs");
        assert_eq!(result.status, HealthStatus::Healthy, "{:?}", result.error);
        assert!(result.timestamp >= asked + seconds(1), "it began after the one under way");
    }
}

#[tokio::test(start_paused = true)]
async fn a_refresh_ends_although_the_check_does_not() {
    let _isolated = isolated();
    let check = HealthCheck::new("stuck", std::future::pending::<()>).timeout(seconds(2));
    let monitor = builder().check(check).start().await.expect("starts");
    let result = monitor.refresh("stuck").await.expect("its timeout ends it");
    assert_eq!(result.class, Some(FailureClass::Timeout));

    let (hold, held) = mpsc::channel::<()>();
    let held = std::sync::Mutex::new(held);
    let blocking = HealthCheck::blocking("hung", move || {
        let held = held.lock().unwrap_or_else(std::sync::PoisonError::into_inner);
        let _ = held.recv();
    });
    monitor.register(blocking.timeout(seconds(2))).expect("a new name");
    pass(seconds(3)).await;
    // Time does not pass by itself while a blocking task runs.
    let (refreshed, ()) = tokio::join!(monitor.refresh("hung"), pass(seconds(6)));
    let error = refreshed.expect_err("it hangs").to_string();
    assert_eq!(
        error,
        "health check `hung` has not come to an end within 5s: a run of it hangs, or the runtime is \
         busy"
    );
    drop(hold);
}

#[tokio::test(start_paused = true)]
async fn what_can_not_be_refreshed_is_refused_with_a_reason() {
    let _isolated = isolated();
    let (check, _) = counted("storage", |_| Health::healthy());
    let monitor = builder().check(check).start().await.expect("starts");
    monitor.check_health("cache", || async {}).await;
    let refused = async |name: &str| monitor.refresh(name).await.expect_err(name).to_string();
    assert_eq!(
        refused("storge").await,
        "there is no component `storge` here: did you mean `storage`?"
    );
    assert!(refused("cache").await.contains("has no health check on a schedule"));
    monitor.stop().await;
    assert!(refused("storage").await.contains("has stopped"));
}

#[tokio::test(start_paused = true)]
async fn what_operators_did_is_kept_in_memory_and_in_the_history() {
    let _isolated = isolated();
    let folder = tempfile::tempdir().expect("a folder");
    let path = folder.path().join("history.jsonl");
    let start = async || builder().history_file(&path).start().await.expect("starts");
    let monitor = start().await;
    for (action, target) in [("trip", Some("storage")), ("maintenance", None)] {
        let mut record = AuditRecord::new("anna", action, "moving");
        record.target = target.map(str::to_owned);
        record.caller = Some("10.0.0.7:4711".into());
        monitor.record_audit(record);
        pass(seconds(1)).await;
    }
    let [later, earlier] = &monitor.audit(10)[..] else { panic!("{:?}", monitor.audit(10)) };
    assert_eq!((&*later.action, &*earlier.action), ("maintenance", "trip"));
    assert_eq!(later.timestamp - earlier.timestamp, chrono::TimeDelta::seconds(1));
    monitor.stop().await;

    let text = std::fs::read_to_string(&path).expect("a history");
    let lines = text.lines().map(serde_json::from_str::<serde_json::Value>);
    let lines: Vec<_> = lines.map(|line| line.expect("JSON")).collect();
    let kept: Vec<_> = lines.iter().filter(|line| line["type"] == "audit").collect();
    assert_eq!(kept.len(), 2, "{text}");
    let first = &kept[0]["audit"];
    assert_eq!(
        [&first["actor"], &first["action"], &first["target"], &first["reason"], &first["caller"]],
        ["anna", "trip", "storage", "moving", "10.0.0.7:4711"]
    );

    let again = start().await;
    let report = again.recovery().expect("a file");
    assert_eq!((report.corrupt_records, report.unclean_end), (0, false));
    assert_eq!(again.audit(10), [], "those of another boot are in the file alone");
}
