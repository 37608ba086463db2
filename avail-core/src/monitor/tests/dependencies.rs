//! Checks that depend on each other, in a monitor.

use super::*;

fn check(name: &str, parents: &[&str]) -> HealthCheck {
    counted(name, |_| Health::healthy()).0.depends_on(parents.iter().copied())
}

async fn refusal(checks: impl IntoIterator<Item = HealthCheck>) -> String {
    let all = checks.into_iter().fold(builder(), AvailabilityMonitorBuilder::check);
    all.start().await.expect_err("it is refused").to_string()
}

#[tokio::test(start_paused = true)]
async fn what_is_not_there_and_circles_are_refused_at_the_start() {
    let _isolated = isolated();
    crate::CircuitBreakerRegistry::global().get_or_create("storage");
    assert_eq!(
        refusal([check("api", &["storrage"])]).await,
        "health check `api` depends on `storrage`, which is no check, circuit breaker or other \
         component here: did you mean `storage`?"
    );
    assert_eq!(
        refusal([check("a", &["storage", "b"]), check("b", &["a"])]).await,
        "health checks depend on each other in a circle: `a` -> `b` -> `a`"
    );
    let checks = [check("api", &["storage", "db", "history", "process"]), check("db", &[])];
    let all = checks.into_iter().fold(builder(), AvailabilityMonitorBuilder::check);
    all.start().await.expect("breakers, checks and what it keeps itself may be waited for");
}

#[tokio::test(start_paused = true)]
async fn what_is_not_there_and_circles_are_refused_by_register() {
    let _isolated = isolated();
    let monitor = builder().check(check("b", &["process"])).start().await.expect("starts");
    let error = monitor.register(check("api", &["cache"])).expect_err("nobody knows a cache");
    assert!(error.to_string().contains("depends on `cache`"), "{error}");
    assert!(monitor.status().component("api").is_none());

    monitor.check_health("cache", || async { true }).await;
    monitor.register(check("api", &["cache"])).expect("known by hand");
    monitor.breakers().get_or_create("calls");
    monitor.register(check("web", &["calls", "api"])).expect("a breaker");
    let error = monitor.register(check("loop", &["loop"])).expect_err("itself");
    assert_eq!(
        error.to_string(),
        "health checks depend on each other in a circle: `loop` -> `loop`"
    );
    assert!(monitor.unregister("api"));
    let error = monitor.register(check("api", &["web"])).expect_err("web still waits for it");
    assert!(error.to_string().contains("`api` -> `web` -> `api`"), "{error}");
    monitor.register(check("last", &["web"])).expect("that api has gone is not its fault");
}

#[tokio::test(start_paused = true)]
async fn parents_and_tags_are_shown_and_children_are_told_to_subscribers_and_to_the_history() {
    let dir = tempfile::tempdir().expect("a folder");
    let path = dir.path().join("history.jsonl");
    {
        let _isolated = isolated();
        let (db, _) = counted("db", |run| match run {
            0 => Health::healthy(),
            _ => Health::unhealthy("refused"),
        });
        let (api, _) = counted("api", |run| match run {
            0 => Health::healthy(),
            _ => Health::unhealthy("no db"),
        });
        let db = db.interval(seconds(20));
        let api = api.interval(seconds(10)).depends_on(["db"]).tags(["team:web", "http"]);
        let builder = builder().history_file(&path).check(db).check(api);
        let monitor = builder.start().await.expect("starts");
        let mut events = monitor.subscribe();
        settle().await;
        let status = monitor.status();
        let shown = status.component("api").expect("known");
        assert_eq!(*shown.depends_on, [Arc::from("db")]);
        assert_eq!(*shown.tags, [Arc::from("team:web"), Arc::from("http")]);
        while monitor.active_incidents().len() < 2 {
            pass(seconds(1)).await;
        }
        let mut adopted = Vec::new();
        while let Ok(event) = events.try_recv() {
            if let Event::IncidentAdopted(incident) = event {
                adopted.push(incident.component);
            }
        }
        assert_eq!(adopted, [Arc::from("api")], "it was noticed first");
        monitor.stop().await;
    }
    let _isolated = isolated();
    let monitor = builder().history_file(&path).start().await.expect("starts");
    let listed = monitor.incidents(Window::ALL_TIME);
    let of = |name: &str| listed.iter().find(|one| &*one.component == name).expect("known");
    assert_eq!(of("api").parent.as_ref(), Some(&of("db").id));
    assert_eq!(of("db").parent, None);
}
