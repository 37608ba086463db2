//! What must leave the monitor, the history and the rest of the components correct.

use std::path::Path;

use super::*;

/// A second look at what one boot has written.
async fn read_back(path: &Path) -> AvailabilityMonitor {
    let again = builder().history_file(path).start().await.expect("the history is whole");
    let report = again.recovery().expect("a file");
    assert_eq!((report.corrupt_records, report.unclean_end), (0, false));
    again
}

/// What a process would read that began now.
fn read_beside(path: &Path, seconds: Duration) -> (Vec<crate::Incident>, f64) {
    use crate::history::{disk::RealDisk, layout::Layout, recovery::recover};
    let past = recover(&RealDisk, &Layout::new(path)).expect("readable").past.expect("a start");
    let now = past.last_sign.after(seconds);
    let metrics = past.ledger.component_metrics("db", [Window::ALL_TIME], now);
    let downtime = metrics.map_or(0.0, |[metrics]| metrics.downtime_seconds);
    (past.ledger.incidents(Window::ALL_TIME, now), downtime)
}

#[tokio::test(start_paused = true)]
async fn what_the_history_had_no_room_for_it_is_told_again_while_the_process_lives() {
    let _isolated = isolated();
    let dir = tempfile::tempdir().expect("a folder");
    let path = dir.path().join("history.jsonl");
    let (db, _) = counted("db", |run| match run {
        0 | 4.. => Health::healthy(),
        _ => Health::unhealthy("refused"),
    });
    let builder = builder().history_file(&path).check(db.interval(seconds(10)));
    let monitor = builder.start().await.expect("starts");
    settle().await;
    monitor.inner.writer().set_full(true);
    for _ in 0..60 {
        pass(seconds(1)).await;
    }
    let known = monitor.incidents(Window::ALL_TIME);
    assert!(known.len() == 1 && known[0].resolved, "{known:?}");
    monitor.inner.writer().set_full(false);
    pass(seconds(1)).await;
    let until = std::time::Instant::now() + seconds(10);
    while read_beside(&path, Duration::ZERO).0.is_empty() && std::time::Instant::now() < until {
        std::thread::sleep(Duration::from_millis(5));
    }
    let (incidents, downtime) = read_beside(&path, Duration::ZERO);
    assert_eq!((incidents, downtime), (known.clone(), known[0].duration_seconds));
    assert!(downtime > 1.0 && monitor.history().dropped_records > 0);
}

fn downtime(monitor: &AvailabilityMonitor, name: &str) -> f64 {
    let metrics = monitor.component_metrics(name, Window::ALL_TIME).expect("known");
    metrics.downtime_seconds
}

/// Beside the one that misbehaves, `db` is fine throughout, and the history tells the same. Time
/// passes from when it `has_begun`.
async fn beside(bad: HealthCheck, class: FailureClass, has_begun: impl Fn() -> bool) {
    let _isolated = isolated();
    let dir = tempfile::tempdir().expect("a folder");
    let path = dir.path().join("history.jsonl");
    let (db, runs) = counted("db", |_| Health::healthy());
    let builder = builder().history_file(&path).startup_grace(Duration::ZERO);
    let each = |check: HealthCheck| check.interval(seconds(10)).timeout(seconds(2));
    let monitor = builder.check(each(bad)).check(each(db)).start().await.expect("starts");
    settle().await;
    while !has_begun() {
        settle().await;
    }
    for _ in 0..100 {
        pass(seconds(1)).await;
    }
    let status = monitor.status();
    assert_eq!(status_of(&monitor, "db"), HealthStatus::Healthy);
    assert_eq!(class_of(&monitor, "bad"), Some(class));
    assert_eq!((status.status, status.alive), (HealthStatus::Unhealthy, true));
    let runs = runs.load(Ordering::SeqCst);
    assert!((9..=12).contains(&runs), "{runs} runs of db in 100 s");
    let [incident] = &monitor.active_incidents()[..] else { panic!("one incident") };
    assert_eq!((&*incident.component, incident.class.is_some()), ("bad", true));
    monitor.stop().await;
    let [bad, db] = ["bad", "db"].map(|name| downtime(&monitor, name));
    assert!((bad, db) == (100.0, 0.0), "{bad} s and {db} s");
    let again = read_back(&path).await;
    assert_eq!((downtime(&again, "bad"), downtime(&again, "db")), (bad, db));
    assert_eq!(again.incidents(Window::ALL_TIME).len(), 1);
}

#[tokio::test(start_paused = true)]
async fn a_hang() {
    let hangs = HealthCheck::new("bad", std::future::pending::<()>);
    beside(hangs, FailureClass::Timeout, || true).await;
}

#[tokio::test(start_paused = true)]
async fn a_panic() {
    let panics = counted("bad", |_| panic!("no pool")).0;
    beside(panics, FailureClass::Panicked, || true).await;
}

#[tokio::test(start_paused = true)]
async fn a_panic_before_the_first_await() {
    let panics = HealthCheck::new("bad", || -> std::future::Ready<()> { panic!("no pool") });
    beside(panics, FailureClass::Panicked, || true).await;
}

#[tokio::test(start_paused = true)]
async fn a_blocked_thread_of_the_blocking_pool() {
    let (release, gate) = mpsc::channel::<()>();
    let gate = std::sync::Mutex::new(gate);
    let begun: Arc<AtomicUsize> = Arc::default();
    let counter = begun.clone();
    let blocks = HealthCheck::blocking("bad", move || {
        counter.fetch_add(1, Ordering::SeqCst);
        let _ = gate.lock().expect("only here").recv();
    });
    beside(blocks, FailureClass::Hung, || begun.load(Ordering::SeqCst) > 0).await;
    assert_eq!(begun.load(Ordering::SeqCst), 1, "and never a second run");
    drop(release);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_blocked_worker_of_the_runtime() {
    let dir = tempfile::tempdir().expect("a folder");
    let path = dir.path().join("history.jsonl");
    let (release, gate) = mpsc::channel::<()>();
    let gate = Arc::new(std::sync::Mutex::new(Some(gate)));
    let blocks = HealthCheck::new("bad", move || {
        let gate = gate.lock().expect("only here").take();
        async move { gate.map(|gate| gate.recv().is_ok()).is_none_or(|_| true) }
    });
    let (db, runs) = counted("db", |_| Health::healthy());
    let each = |check: HealthCheck| {
        check.interval(Duration::from_millis(40)).timeout(Duration::from_millis(10))
    };
    let builder = builder().history_file(&path).startup_grace(Duration::ZERO);
    let monitor = builder.check(each(blocks)).check(each(db)).start().await.expect("starts");
    while class_of(&monitor, "bad") != Some(FailureClass::Hung) {
        tokio::time::sleep(Duration::from_millis(1)).await;
    }
    let before = runs.load(Ordering::SeqCst);
    while runs.load(Ordering::SeqCst) < before + 5 {
        tokio::time::sleep(Duration::from_millis(1)).await;
    }
    assert_eq!(status_of(&monitor, "db"), HealthStatus::Healthy);
    assert_eq!(monitor.active_incidents().len(), 1);
    release.send(()).expect("it waits");
    while status_of(&monitor, "bad") != HealthStatus::Healthy {
        tokio::time::sleep(Duration::from_millis(1)).await;
    }
    monitor.stop().await;
    let again = read_back(&path).await;
    assert_eq!(downtime(&again, "bad"), downtime(&monitor, "bad"));
    assert_eq!((downtime(&again, "db"), again.incidents(Window::ALL_TIME).len()), (0.0, 1));
}

#[test]
fn a_cancelled_runtime() {
    let dir = tempfile::tempdir().expect("a folder");
    let path = dir.path().join("history.jsonl");
    let runtime = || tokio::runtime::Builder::new_multi_thread().enable_all().build();
    let first = runtime().expect("a runtime");
    let (bad, _) = counted("bad", |_| Health::unhealthy("refused"));
    let (db, _) = counted("db", |_| Health::healthy());
    let builder = builder().history_file(&path).startup_grace(Duration::ZERO);
    let monitor = first.block_on(builder.check(bad).check(db).start()).expect("starts");
    while monitor.recent_checks(2).len() < 2 || monitor.active_incidents().is_empty() {
        std::thread::yield_now();
    }
    first.shutdown_timeout(seconds(1));
    while monitor.is_running() {
        std::thread::yield_now();
    }
    monitor.inner.end(true); // waits until the one that is under way is through
    assert_eq!(monitor.status().component("bad").map(|one| one.status.is_up()), Some(false));
    let again = runtime().expect("a runtime");
    let again = again.block_on(read_back(&path));
    let told = again.incidents(Window::ALL_TIME);
    assert_eq!(told.iter().map(|one| &*one.component).collect::<Vec<_>>(), ["bad"]);
}

#[tokio::test(start_paused = true)]
async fn ten_thousand_failing_checks_at_once() {
    const MANY: usize = 10_000;
    let _isolated = isolated();
    let dir = tempfile::tempdir().expect("a folder");
    let path = dir.path().join("history.jsonl");
    let (db, runs) = counted("db", |_| Health::healthy());
    let builder = builder().history_file(&path).startup_grace(Duration::ZERO);
    let done: Arc<AtomicUsize> = Arc::default();
    let bad = (0..MANY).map(|number| {
        let done = done.clone();
        let fails_once = move |run| {
            done.fetch_add(1, Ordering::SeqCst);
            if run == 1 { Health::unhealthy("refused") } else { Health::healthy() }
        };
        // They run when they are told to, and all at once.
        counted(&format!("c{number}"), fails_once).0.interval(seconds(86_400))
    });
    let all_have_run = async |times: usize| {
        while done.load(Ordering::SeqCst) < times * MANY {
            settle().await;
        }
        for _ in 0..100 {
            settle().await; // until the last of them is recorded
        }
    };
    let all = bad.fold(builder, AvailabilityMonitorBuilder::check);
    let monitor = all.check(db.interval(seconds(10))).start().await.expect("starts");
    all_have_run(1).await;
    assert!(monitor.status().started);
    let mut slow = monitor.subscribe();
    let (began, runs_before) = (monitor.status().timestamp, runs.load(Ordering::SeqCst));
    monitor.inner.run_all_now();
    all_have_run(2).await;
    assert_eq!(monitor.active_incidents().len(), MANY);
    for _ in 0..100 {
        pass(seconds(1)).await;
    }
    assert_eq!(status_of(&monitor, "db"), HealthStatus::Healthy);
    assert!(runs.load(Ordering::SeqCst) > runs_before + 8);
    let system = monitor.availability_metrics(Window::ALL_TIME);
    assert_eq!((system.incidents, system.downtime_seconds > 99.0), (1, true), "the union is one");
    assert!(matches!(slow.try_recv(), Err(broadcast::error::TryRecvError::Lagged(_))));

    monitor.inner.run_all_now();
    all_have_run(3).await;
    assert!(monitor.active_incidents().is_empty());
    let all = monitor.snapshot().components;
    let bad = all.iter().filter(|one| one.name.starts_with('c'));
    let down: Vec<f64> = bad.map(|one| one.availability[3].downtime_seconds).collect();
    assert_eq!(down.len(), MANY);
    assert!(down.iter().all(|seconds| (100.0..102.0).contains(seconds)), "{:?}", &down[..5]);
    let ended = monitor.status().timestamp;
    assert!((ended - began).num_seconds() <= 102);
    monitor.stop().await;
    assert_eq!(monitor.history().dropped_records, 0, "no transition was lost");
    let again = read_back(&path).await;
    for number in [0, 1, 4_999, MANY - 1] {
        let name = format!("c{number}");
        assert_eq!(downtime(&again, &name), downtime(&monitor, &name));
    }
    assert_eq!(downtime(&again, "db"), 0.0);
}

#[tokio::test(start_paused = true)]
async fn ten_thousand_slow_checks_at_once_cost_no_more_than_others() {
    const MANY: usize = 10_000;
    let _isolated = isolated();
    let slow = (0..MANY).map(|number| {
        counted(&format!("c{number}"), |_| Health::degraded("slow")).0.interval(seconds(86_400))
    });
    let all = slow.fold(builder(), AvailabilityMonitorBuilder::check);
    let monitor = all.start().await.expect("starts");
    // A walk over all of them at each of their runs would take minutes.
    let began = std::time::Instant::now();
    while !monitor.status().started {
        settle().await;
    }
    assert!(began.elapsed() < seconds(60), "{:?}", began.elapsed());
    assert_eq!(monitor.status().status, HealthStatus::Degraded);
}

/// A boot whose main does `what` with the monitor, on a runtime of many threads. Gives whether the
/// next one finds that it ended uncleanly.
fn ends_uncleanly<F: Future<Output = ()>>(
    what: impl FnOnce(AvailabilityMonitor) -> F + Send + 'static,
) -> bool {
    let dir = tempfile::tempdir().expect("a folder");
    let path = dir.path().join("history.jsonl");
    let runtime = || tokio::runtime::Builder::new_multi_thread().enable_all().build();
    let first = path.clone();
    let main = std::thread::spawn(move || {
        let runtime = runtime().expect("a runtime");
        runtime.block_on(async {
            let monitor = builder().history_file(first).start().await.expect("starts");
            what(monitor).await;
        });
    });
    let _ = main.join();
    let again = runtime().expect("a runtime").block_on(builder().history_file(&path).start());
    again.expect("starts").recovery().expect("a file").unclean_end
}

#[test]
fn a_panic_of_main_is_no_clean_stop_and_one_of_a_task_is_not_the_end() {
    assert!(!ends_uncleanly(async |_monitor| {}));
    assert!(ends_uncleanly(async |_monitor| panic!("no configuration")));
    let caught = async |monitor: AvailabilityMonitor| {
        let task = tokio::spawn(async move {
            let _in_use = monitor;
            panic!("a handler's mistake")
        });
        task.await.expect_err("it panicked");
    };
    assert!(!ends_uncleanly(caught));
}
