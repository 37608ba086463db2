//! Settings from outside, at the start and while it runs.

use std::path::PathBuf;

use super::*;
use crate::{CircuitBreaker, Override, OverrideOptions, RateWindow, Reload, SettingsError};

/// A configuration file of a test's own.
pub(super) struct File {
    folder: tempfile::TempDir,
}

impl File {
    pub(super) fn new(text: &str) -> Self {
        let file = File { folder: tempfile::tempdir().expect("a folder") };
        file.write(text);
        file
    }

    fn path(&self) -> PathBuf {
        self.folder.path().join("avail.toml")
    }

    pub(super) fn write(&self, text: &str) {
        std::fs::write(self.path(), text).expect("it can be written");
    }

    /// With this file, and without the environment of whoever runs the tests.
    pub(super) fn builder(&self) -> AvailabilityMonitorBuilder {
        bare().config_file(self.path()).reload_on_sighup(false)
    }

    /// A message that begins with a place in it.
    fn says(&self, rest: &str) -> String {
        format!("{}:{rest}", self.path().display())
    }
}

fn bare() -> AvailabilityMonitorBuilder {
    builder().environment::<String, String>([])
}

fn global() -> CircuitBreakerRegistry {
    CircuitBreakerRegistry::global()
}

fn fail(breaker: &CircuitBreaker) {
    let _ = breaker.call_sync(|| Err::<(), _>("refused"));
}

fn changes(reload: &Reload) -> Vec<String> {
    reload.changed.iter().map(ToString::to_string).collect()
}

fn problems(error: MonitorError) -> SettingsError {
    match error {
        MonitorError::Settings(error) => error,
        other => panic!("{other}"),
    }
}

#[tokio::test(start_paused = true)]
async fn the_file_and_the_environment_are_laid_over_what_the_code_declares() {
    let _isolated = isolated();
    let file = File::new(
        "[defaults.breaker]\ntimeout = 30\n[breaker.storage]\nfailure_threshold = 2\n\
         [check.db]\ninterval = 10\ncritical = false\nslo = 99.5\ntags = [\"disk\"]\n",
    );
    let storage = global().get_or_create("storage");
    let (check, runs) = counted("db", |_| Health::healthy());
    let builder = file.builder().environment([("AVAIL_BREAKER_STORAGE__TIMEOUT", "20s")]);
    let monitor = builder.check(check).start().await.expect("starts");
    let config = storage.config();
    assert_eq!((config.failure_threshold, config.timeout), (Some(2), seconds(20)));
    tokio::time::sleep(seconds(120)).await;
    assert!((11..=14).contains(&runs.load(Ordering::SeqCst)));
    let status = monitor.status();
    let db = status.component("db").expect("it is checked");
    assert_eq!((db.critical, &*db.tags), (false, &["disk".into()][..]));
    assert_eq!(monitor.component_slo("db").map(|slo| slo.objective), Some(99.5));
    let settings = monitor.settings();
    assert_eq!(settings.config_file, Some(file.path()));
    assert_eq!((settings.last_reload, settings.warnings), (None, vec![]));
}

#[tokio::test(start_paused = true)]
async fn what_is_made_later_gets_them_too() {
    let _isolated = isolated();
    let file = File::new(
        "[breaker.later]\nmin_calls = 3\n[breaker.tenants]\nmin_calls = 4\n\
         [breaker.\"tenants[acme]\"]\nmin_calls = 5\n[check.later]\ninterval = 10\n",
    );
    let monitor = file.builder().start().await.expect("starts");
    let min_calls = |breaker: &CircuitBreaker| breaker.config().min_calls;
    assert_eq!(min_calls(&global().get_or_create("later")), 3);
    let declared = CircuitBreakerConfig::builder().failure_threshold(9).build().expect("valid");
    let tenants = global().family("tenants", declared.clone(), 10).expect("valid");
    assert_eq!(min_calls(&tenants.get("acme")), 5);
    assert_eq!(min_calls(&tenants.get("globex")), 4);
    assert_eq!(tenants.get("globex").config().failure_threshold, Some(9));
    let other = global().get_or_create_with("other", declared.clone()).expect("new");
    assert!(global().get_or_create_with("other", declared).is_ok_and(|o| o.is_same_as(&other)));

    let (check, runs) = counted("later", |_| Health::healthy());
    monitor.register(check).expect("it is new");
    tokio::time::sleep(seconds(60)).await;
    assert!((6..=8).contains(&runs.load(Ordering::SeqCst)));
    let (bad, _) = counted("later_still", |_| Health::healthy());
    file.write("check.later_still.timeout = 60");
    monitor.reload().await.expect("nobody minds");
    let error = monitor.register(bad).expect_err("the timeout is too long");
    let expected = "1:29: health check `later_still`: `timeout` (60s) must be shorter than \
                    `interval` (30s)";
    assert_eq!(error.to_string(), file.says(expected));
}

#[tokio::test(start_paused = true)]
async fn a_breaker_that_they_do_not_fit_is_made_as_the_code_says_and_is_named() {
    let _isolated = isolated();
    let file = File::new("defaults.breaker.min_calls = 50");
    let monitor = file.builder().start().await.expect("nothing contradicts it");
    let declared = CircuitBreakerConfig::builder().failure_rate(0.5).window(20).build();
    let made = global().get_or_create_with("narrow", declared.clone().expect("valid"));
    assert_eq!(made.map(|breaker| (*breaker.config()).clone()), declared);
    pass(seconds(2)).await;
    let unfit = monitor.settings().unfit;
    let expected = "1:30: circuit breaker `narrow`: `min_calls` is 50, and may be at most 20";
    assert_eq!(unfit.len(), 1);
    assert_eq!(unfit[0].to_string(), file.says(expected));
    let refused = problems(monitor.reload().await.expect_err("now it contradicts"));
    assert_eq!(refused.problems(), unfit);
    file.write("");
    monitor.reload().await.expect("valid");
    assert_eq!(monitor.settings().unfit, []);
}

#[tokio::test(start_paused = true)]
async fn a_file_that_is_wrong_or_missing_stops_the_start_and_changes_nothing() {
    let _isolated = isolated();
    let storage = global().get_or_create("storage");
    let file = File::new("[breaker.storage]\nmin_calls = 3\nfailure_treshold = 2\n");
    let error = file.builder().start().await.expect_err("there is no such key");
    let expected = "3:1: a circuit breaker has no key `failure_treshold`: did you mean \
                    `failure_threshold`?";
    assert_eq!(error.to_string(), file.says(expected));
    file.write("[breaker.storage]\nfailure_rate = 0.1\nwindow = 5\n");
    let error = file.builder().start().await.expect_err("it contradicts itself");
    let expected = "2:16, {}:3:10: circuit breaker `storage`: `min_calls` is 10, and may be at \
                    most 5";
    let expected = expected.replace("{}", &file.path().display().to_string());
    assert_eq!(error.to_string(), file.says(&expected));
    assert_eq!(*storage.config(), CircuitBreakerConfig::default());

    let missing = file.folder.path().join("none.toml");
    let error = bare().config_file(&missing).start().await.expect_err("there is none");
    let text = format!("the configuration file `{}` can't be read: ", missing.display());
    assert!(error.to_string().starts_with(&text), "{error}");
    let bad = bare().environment([("AVAIL_CHECK_DB__INTERVAL", "soon")]).start().await;
    let error = bad.expect_err("that is no duration").to_string();
    assert!(error.starts_with("AVAIL_CHECK_DB__INTERVAL: expected a duration"), "{error}");
}

#[tokio::test(start_paused = true)]
async fn a_reload_while_a_breaker_is_open_keeps_its_open_time_its_window_and_its_epoch() {
    let _isolated = isolated();
    let file = File::new("");
    let config = CircuitBreakerConfig::builder().failure_rate(0.5).window(100).min_calls(4);
    let config = config.failure_threshold(100).build().expect("valid");
    let [open, closed] = ["open", "closed"]
        .map(|name| global().get_or_create_with(name, config.clone()).expect("it is new"));
    let monitor = file.builder().start().await.expect("starts");
    open.trip();
    for _ in 0..3 {
        fail(&closed);
    }
    let of_this_epoch = closed.acquire().expect("it is closed");
    pass(seconds(20)).await;
    let before = open.metrics();
    assert_eq!(before.retry_after_seconds, Some(40.0));

    file.write("[defaults.breaker]\ntimeout = 5\nfailure_rate = 0.9\n");
    let reload = monitor.reload().await.expect("valid");
    let expected = ["closed", "open"]
        .map(|name| format!("circuit breaker `{name}`: timeout 1m to 5s, failure_rate 0.5 to 0.9"));
    assert_eq!(changes(&reload), expected);
    let after = open.metrics();
    assert_eq!(after.retry_after_seconds, Some(40.0));
    assert_eq!((after.state, after.reason), (before.state, before.reason));
    assert_eq!((after.state_since, after.transitions), (before.state_since, before.transitions));
    // The window still holds the three failures, and the permit still counts: four of four.
    of_this_epoch.failure();
    assert_eq!(closed.state(), CircuitState::Open);
    assert_eq!(closed.metrics().calls.stale, 0);
    assert_eq!(closed.metrics().retry_after_seconds, Some(5.0), "the next opening is shorter");
    pass(seconds(40)).await;
    assert!(open.acquire().is_ok());
}

#[tokio::test(start_paused = true)]
async fn what_is_given_no_longer_goes_back_to_what_the_code_declares() {
    let _isolated = isolated();
    let file = File::new(
        "[breaker.storage]\nmin_calls = 3\nwindow = \"30s\"\nfailure_threshold = \"off\"\n\
         [check.db]\ninterval = 5\nprobe = \"none\"\n",
    );
    let storage = global().get_or_create("storage");
    let (check, _) = counted("db", |_| Health::healthy());
    let check = check.interval(seconds(20));
    let monitor = file.builder().check(check).start().await.expect("starts");
    assert_eq!(storage.config().window, RateWindow::Time(seconds(30)));
    assert_eq!(monitor.reload().await.map(|reload| reload.changed).ok(), Some(vec![]));
    file.write("");
    let reload = monitor.reload().await.expect("valid");
    assert_eq!(
        changes(&reload),
        [
            "circuit breaker `storage`: failure_threshold unset to 5, window 30s to 100 calls, \
             min_calls 3 to 10",
            "health check `db`: interval 5s to 20s, probe none to readiness",
        ]
    );
    assert_eq!(*storage.config(), CircuitBreakerConfig::default());
}

#[tokio::test(start_paused = true)]
async fn a_breaker_that_was_reconfigured_by_hand_is_left_alone_until_it_is_meant() {
    let _isolated = isolated();
    let file = File::new("breaker.storage.min_calls = 3");
    let storage = global().get_or_create("storage");
    let monitor = file.builder().start().await.expect("starts");
    let by_hand = CircuitBreakerConfig::builder().failure_threshold(1).build().expect("valid");
    storage.reconfigure(by_hand.clone()).expect("valid");
    monitor.reload().await.expect("valid");
    assert_eq!(*storage.config(), by_hand);
    file.write("breaker.storage.min_calls = 4");
    monitor.reload().await.expect("valid");
    let config = storage.config();
    assert_eq!((config.failure_threshold, config.min_calls), (Some(5), 4));
}

#[tokio::test(start_paused = true)]
async fn a_bad_reload_changes_nothing_and_says_why() {
    let _isolated = isolated();
    let good = "[breaker.storage]\nmin_calls = 3\n[check.db]\ninterval = 5\n";
    let file = File::new(good);
    let storage = global().get_or_create("storage");
    let (check, runs) = counted("db", |_| Health::healthy());
    let monitor = file.builder().check(check).start().await.expect("starts");
    let mut events = monitor.subscribe();
    let loaded_at = monitor.settings().loaded_at;
    pass(seconds(3)).await;
    let cases = [
        ("[breaker.storage\n", "1:17: "),
        (
            "[breaker.storage]\nmin_calls = 7\n[check.db]\ninterval = \"never\"\n",
            "4:12: `interval`: ",
        ),
        (
            "[breaker.storage]\nmin_calls = 7\n[check.db]\ntimeout = 60\n",
            "4:11: health check `db`: ",
        ),
        (
            "[check.db]\ninterval = 7\n[breaker.storage]\nmax_timeout = 1\n",
            "4:15: circuit breaker ",
        ),
    ];
    for (text, place) in cases {
        file.write(text);
        let error = monitor.reload().await.expect_err(text).to_string();
        assert!(error.starts_with(&file.says(place)), "{error}");
        let last = monitor.settings().last_reload.expect("there was one");
        assert_eq!(last.error.as_ref(), Some(&error));
        let told = std::iter::from_fn(|| events.try_recv().ok());
        let refused = told.filter_map(|event| match event {
            Event::ReloadRefused { error } => Some(error),
            _ => None,
        });
        assert_eq!(refused.collect::<Vec<_>>(), [error]);
        assert_eq!(storage.config().min_calls, 3);
    }
    let dependencies = [
        ("check.db.depends_on = [\"postgrse\"]", "which is no check"),
        ("check.db.depends_on = [\"db\"]", "in a circle: `db` -> `db`"),
    ];
    for (text, problem) in dependencies {
        file.write(text);
        let error = monitor.reload().await.expect_err(text).to_string();
        assert!(error.starts_with(&file.says("1:23: health check")), "{error}");
        assert!(error.contains(problem), "{error}");
    }
    std::fs::remove_file(file.path()).expect("it is there");
    let error = monitor.reload().await.expect_err("it is gone").to_string();
    assert!(error.contains("can't be read"), "{error}");
    assert_eq!(monitor.settings().loaded_at, loaded_at);

    runs.store(0, Ordering::SeqCst);
    tokio::time::sleep(seconds(60)).await;
    assert!((10..=14).contains(&runs.load(Ordering::SeqCst)), "each 5 s, as before");
    file.write(good);
    assert_eq!(monitor.reload().await.map(|reload| reload.changed).ok(), Some(vec![]));
    assert_eq!(monitor.settings().last_reload.and_then(|last| last.error), None);
    assert!(monitor.settings().loaded_at > loaded_at);
    monitor.stop().await;
    assert!(matches!(monitor.reload().await, Err(MonitorError::Stopped)));
}

#[tokio::test(start_paused = true)]
async fn a_check_goes_on_at_another_interval_without_running_twice_or_losing_what_it_was() {
    let _isolated = isolated();
    let file = File::new("check.db.interval = \"10m\"");
    let (now, most) = (Arc::new(AtomicUsize::new(0)), Arc::new(AtomicUsize::new(0)));
    let runs = Arc::new(AtomicUsize::new(0));
    let check = {
        let (now, most, runs) = (now.clone(), most.clone(), runs.clone());
        HealthCheck::new("db", move || {
            let (now, most, runs) = (now.clone(), most.clone(), runs.clone());
            async move {
                most.fetch_max(now.fetch_add(1, Ordering::SeqCst) + 1, Ordering::SeqCst);
                tokio::time::sleep(Duration::from_millis(900)).await;
                now.fetch_sub(1, Ordering::SeqCst);
                runs.fetch_add(1, Ordering::SeqCst);
            }
        })
    };
    let monitor = file.builder().check(check).start().await.expect("starts");
    pass(seconds(1)).await;
    tokio::time::sleep(seconds(300)).await;
    assert_eq!(runs.load(Ordering::SeqCst), 1);
    let since = monitor.status().component("db").map(|db| db.since);

    // By the new interval it is long overdue: it runs at once, and is unknown at no time.
    file.write("check.db.interval = \"10s\"");
    monitor.reload().await.expect("valid");
    assert_eq!(status_of(&monitor, "db"), HealthStatus::Healthy);
    for second in 1..=60 {
        if second % 7 == 0 {
            // In the middle of a run too: neither a reload nor what is asked for starts another.
            monitor.reload().await.expect("valid");
        }
        pass(seconds(1)).await;
        assert_eq!(status_of(&monitor, "db"), HealthStatus::Healthy, "after {second} s");
    }
    let in_a_minute = runs.load(Ordering::SeqCst) - 1;
    assert!((5..=7).contains(&in_a_minute), "{in_a_minute}");
    assert_eq!(most.load(Ordering::SeqCst), 1);
    assert_eq!(monitor.status().component("db").map(|db| db.since), since);
    let all = monitor.availability_metrics(Window::ALL_TIME);
    assert_eq!((all.unobserved_seconds, all.downtime_seconds), (0.0, 0.0));

    // And back: the next run is as far away as it is to be.
    file.write("check.db.interval = \"10m\"");
    monitor.reload().await.expect("valid");
    let before = runs.load(Ordering::SeqCst);
    tokio::time::sleep(seconds(500)).await;
    assert!(runs.load(Ordering::SeqCst) <= before + 1);
}

#[tokio::test(start_paused = true)]
async fn a_streak_and_an_incident_outlive_a_reload() {
    let _isolated = isolated();
    let file = File::new("[check.db]\ninterval = 10\nretry_interval = 10\nfailure_threshold = 9\n");
    let (check, _) = counted("db", |run| match run {
        0 | 9.. => Health::healthy(),
        _ => Health::unhealthy("refused"),
    });
    let monitor = file.builder().check(check).start().await.expect("starts");
    settle().await;
    tokio::time::sleep(seconds(35)).await;
    assert_eq!(status_of(&monitor, "db"), HealthStatus::Healthy, "three failures are not nine");
    file.write("[check.db]\ninterval = 10\nretry_interval = 10\nfailure_threshold = 2\n");
    let reload = monitor.reload().await.expect("valid");
    assert_eq!(changes(&reload), ["health check `db`: failure_threshold 9 to 2"]);
    tokio::time::sleep(seconds(12)).await;
    assert_eq!(status_of(&monitor, "db"), HealthStatus::Unhealthy);
    let [incident] = &monitor.active_incidents()[..] else { panic!("one") };
    assert!((3..=5).contains(&incident.failures), "the streak from before counts: {incident:?}");
    assert!(incident.duration_seconds > 20.0, "since its beginning: {incident:?}");

    file.write("[check.db]\ninterval = 5\nsuccess_threshold = 2\n");
    monitor.reload().await.expect("valid");
    assert_eq!(status_of(&monitor, "db"), HealthStatus::Unhealthy);
    assert_eq!(monitor.active_incidents()[0].id, incident.id);
    tokio::time::sleep(seconds(60)).await;
    assert_eq!(status_of(&monitor, "db"), HealthStatus::Healthy);
    assert_eq!(monitor.active_incidents(), []);
    assert_eq!(monitor.incidents(Window::ALL_TIME).len(), 1);
}

#[tokio::test(start_paused = true)]
async fn what_becomes_critical_counts_from_then_on_and_no_past_is_rewritten() {
    let _isolated = isolated();
    let file = File::new("check.db.critical = false");
    let (check, _) = counted("db", |run| match run {
        0 => Health::healthy(),
        _ => Health::unhealthy("refused"),
    });
    let check = check.interval(seconds(10));
    let monitor = file.builder().check(check).start().await.expect("starts");
    tokio::time::sleep(seconds(100)).await;
    let system = || monitor.availability_metrics(Window::ALL_TIME).downtime_seconds;
    assert_eq!((system(), monitor.status().status), (0.0, HealthStatus::Degraded));
    assert_eq!(monitor.active_incidents()[0].severity, Severity::Major);
    file.write("");
    monitor.reload().await.expect("valid");
    assert_eq!((system(), monitor.status().status), (0.0, HealthStatus::Unhealthy));
    assert_eq!(monitor.active_incidents()[0].severity, Severity::Critical);
    tokio::time::sleep(seconds(50)).await;
    assert!((49.0..=51.0).contains(&system()), "{}", system());
    file.write("check.db.critical = false");
    monitor.reload().await.expect("valid");
    tokio::time::sleep(seconds(50)).await;
    assert!((49.0..=51.0).contains(&system()), "{}", system());
    assert_eq!(monitor.status().status, HealthStatus::Degraded);
    assert_eq!(monitor.active_incidents().len(), 1, "and it is still down");
}

#[tokio::test(start_paused = true)]
async fn a_breaker_that_becomes_critical_is_down_as_long_as_it_is_open() {
    let _isolated = isolated();
    let file = File::new("");
    let storage = global().get_or_create("storage");
    let monitor = file.builder().start().await.expect("starts");
    storage.trip();
    pass(seconds(10)).await;
    assert_eq!(status_of(&monitor, "storage"), HealthStatus::Degraded);
    file.write("breaker.storage.critical = true");
    let reload = monitor.reload().await.expect("valid");
    assert_eq!(changes(&reload), ["circuit breaker `storage`: critical false to true"]);
    assert_eq!(status_of(&monitor, "storage"), HealthStatus::Unhealthy);
    let [incident] = &monitor.active_incidents()[..] else { panic!("one") };
    assert_eq!(incident.severity, Severity::Critical);
    pass(seconds(20)).await;
    let down = || monitor.availability_metrics(Window::ALL_TIME).downtime_seconds;
    assert_eq!(down(), 20.0, "and not before");
    file.write("");
    monitor.reload().await.expect("valid");
    pass(seconds(20)).await;
    assert_eq!((status_of(&monitor, "storage"), down()), (HealthStatus::Degraded, 20.0));
    storage.reset();
    assert_eq!(monitor.active_incidents(), []);
}

#[tokio::test(start_paused = true)]
async fn shadow_is_laid_and_taken_away_but_never_over_an_operator_s_override() {
    let _isolated = isolated();
    let file = File::new("defaults.breaker.shadow = true");
    let [plain, forced] = ["plain", "forced"].map(|name| global().get_or_create(name));
    forced.force_open("deploying");
    let monitor = file.builder().start().await.expect("starts");
    plain.trip();
    assert!(plain.acquire().is_ok(), "in shadow nothing is rejected");
    assert!(forced.acquire().is_err());
    file.write("");
    monitor.reload().await.expect("valid");
    assert_eq!(plain.active_override(), None);
    assert!(forced.acquire().is_err());

    plain.set_override(Override::Shadow, OverrideOptions::reason("a trial"));
    file.write("defaults.breaker.shadow = true");
    monitor.reload().await.expect("valid");
    file.write("");
    monitor.reload().await.expect("valid");
    let own = plain.active_override().expect("it is the operator's");
    assert_eq!(&*own.reason, "a trial");
}

#[tokio::test(start_paused = true)]
async fn a_name_that_nothing_has_is_a_warning_and_no_error() {
    let _isolated = isolated();
    let file = File::new("[breaker.storagee]\nmin_calls = 3\n[check.dbs]\n");
    global().get_or_create("storage");
    let (check, _) = counted("db", |_| Health::healthy());
    let monitor = file.builder().check(check).start().await.expect("starts");
    let warnings: Vec<_> = monitor.settings().warnings.iter().map(ToString::to_string).collect();
    let expected = [
        file.says("1:10: there is no circuit breaker `storagee` so far: did you mean `storage`?"),
        file.says("3:8: there is no health check `dbs` so far: did you mean `db`?"),
    ];
    assert_eq!(warnings, expected);
    file.write("breaker.storage.recovery_check = \"bd\"\ndefaults.breaker.recovery_check = \"db\"");
    let reload = monitor.reload().await.expect("calls probe as usual");
    let warnings: Vec<_> = reload.warnings.iter().map(ToString::to_string).collect();
    assert_eq!(warnings, [file.says("1:34: there is no health check `bd` so far")]);
    file.write("[breaker.storage]\nmin_calls = 3\n");
    assert_eq!(monitor.reload().await.expect("valid").warnings, []);
    assert_eq!(monitor.settings().warnings, []);

    global().get_or_create("app::db");
    global().get_or_create("app-_db");
    let both = bare().environment([("AVAIL_BREAKER_APP__DB__TIMEOUT", "1")]).breakers(global());
    drop(monitor);
    let error = both.start().await.expect_err("which of them?").to_string();
    assert!(error.contains("both circuit breaker `app-_db` and `app::db`"), "{error}");
}

#[test]
fn without_io_no_signal_is_heard_and_a_reload_by_hand_works() {
    let _isolated = isolated();
    let file = File::new("");
    let storage = global().get_or_create("storage");
    let runtime = tokio::runtime::Builder::new_current_thread().enable_time().build();
    runtime.expect("a runtime").block_on(async {
        let monitor = bare().config_file(file.path()).start().await.expect("starts");
        file.write("breaker.storage.min_calls = 3");
        monitor.reload().await.expect("valid");
        monitor.stop().await;
    });
    assert_eq!(storage.config().min_calls, 3);
}

#[tokio::test(start_paused = true)]
async fn a_monitor_without_a_file_leaves_the_breakers_to_the_one_that_has_one() {
    let _isolated = isolated();
    let file = File::new("breaker.storage.min_calls = 3");
    let storage = global().get_or_create("storage");
    let _first = file.builder().start().await.expect("starts");
    let second = bare().start().await.expect("starts");
    second.reload().await.expect("there is nothing to read");
    assert_eq!(storage.config().min_calls, 3);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn a_check_that_is_registered_during_a_reload_is_not_passed_over() {
    let file = File::new("");
    let registry = CircuitBreakerRegistry::new();
    let monitor = file.builder().breakers(registry).start().await.expect("starts");
    let registering: Vec<_> = (0..4)
        .map(|task| {
            let monitor = monitor.clone();
            tokio::spawn(async move {
                for number in 0..50 {
                    let check = HealthCheck::new(format!("{task}-{number}"), || async {});
                    monitor.register(check).expect("it is new");
                    tokio::task::yield_now().await;
                }
            })
        })
        .collect();
    for minutes in 1..=20 {
        file.write(&format!("defaults.check.interval = \"{minutes}m\""));
        monitor.reload().await.expect("valid");
    }
    for task in registering {
        task.await.expect("it does not panic");
    }
    let tuned = monitor.inner.tuned();
    assert_eq!(tuned.len(), 200);
    for tuned in tuned {
        assert_eq!(tuned.schedule.interval, seconds(20 * 60), "{:?}", tuned.check);
        let (_, orders) = monitor.inner.task(tuned.check.name()).expect("it runs");
        assert_eq!(orders.schedule(), tuned.schedule);
    }
    monitor.stop().await;
}
