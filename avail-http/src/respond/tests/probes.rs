//! What the probes say, and how soon: of dependencies, of the process, of the runtime.

use super::*;

#[tokio::test(start_paused = true)]
async fn health_and_the_probes_say_what_the_status_says() {
    let _isolated = isolated();
    let service = Service::started().await;
    let status = service.monitor.status();

    let health = service.json("/health");
    assert_eq!(health["status"], "healthy");
    assert_eq!(health["uptime_seconds"], status.uptime_seconds);
    assert_eq!(health["availability_percentage"], json!(status.availability_percentage));
    assert_eq!(health["components"], json!({ "storage": "healthy" }));
    assert_eq!(health["unhealthy_components"], json!([]));
    assert_eq!(health["degraded_components"], json!([]));
    assert_eq!(health["active_incidents"], 0);

    let readiness = service.json("/readiness");
    assert_eq!(readiness["ready"], true);
    assert_eq!(readiness["critical_components"], json!({ "storage": "healthy" }));
    assert_eq!(readiness["unhealthy_critical"], json!([]));

    let liveness = service.json("/liveness");
    assert_eq!(liveness["alive"], true);
    assert_eq!(liveness["uptime_seconds"], status.uptime_seconds);
    assert_eq!(liveness["prolonged_incidents"], 0);
    assert_eq!(service.json("/startup")["started"], true);
}

#[tokio::test(start_paused = true)]
async fn an_outage_is_seen_by_health_and_readiness_and_not_by_liveness() {
    let _isolated = isolated();
    let service = Service::started().await;
    service.storage_works(false).await;

    let health = service.json("/health");
    assert_eq!(health["status"], "unhealthy");
    assert_eq!(health["unhealthy_components"], json!(["storage"]));
    assert_eq!(health["active_incidents"], 1);
    assert_eq!(service.json("/readiness")["unhealthy_critical"], json!(["storage"]));
    for (path, status) in [
        ("/health", 503),
        ("/health/storage", 503),
        ("/readiness", 503),
        ("/readyz/", 503),
        ("/liveness", 200),
        ("/livez", 200),
        ("/startup", 200),
        ("/metrics", 200),
        ("/metrics/prometheus", 200),
        ("/incidents", 200),
    ] {
        assert_eq!(service.status(path), status, "{path}");
    }
    assert!(!service.get("/readiness").headers().contains_key("retry-after"));

    service.storage_works(true).await;
    assert_eq!((service.status("/health"), service.status("/readiness")), (200, 200));
}

#[tokio::test(start_paused = true)]
async fn before_the_first_run_nothing_is_ready_or_started_and_clients_are_told_to_retry() {
    let _isolated = isolated();
    let service = Service::start().await;
    assert_eq!(service.json("/health")["status"], "unknown");
    for (path, status) in
        [("/health", 503), ("/readiness", 503), ("/startup", 503), ("/liveness", 200)]
    {
        assert_eq!(service.status(path), status, "{path}");
    }
    assert_eq!(service.get("/readiness").headers()["retry-after"], "5");
    assert_eq!(service.get("/readyz?verbose").headers()["retry-after"], "5");
    assert!(!service.get("/startup").headers().contains_key("retry-after"));
}

#[tokio::test(start_paused = true)]
async fn a_draining_process_is_not_ready_and_alive() {
    let _isolated = isolated();
    let service = Service::started().await;
    assert!(!service.get("/readiness").headers().contains_key("retry-after"));
    service.monitor.drain();
    let readiness = service.get("/readiness");
    assert_eq!(readiness.status(), 503);
    assert_eq!(readiness.headers()["retry-after"], "5");
    assert_eq!((service.status("/liveness"), service.status("/health")), (200, 200));
}

#[tokio::test(start_paused = true)]
async fn a_fatal_process_is_not_alive() {
    let _isolated = isolated();
    let service = Service::started().await;
    service.monitor.fatal(LEAKY);
    assert_eq!((service.status("/liveness"), service.status("/livez/")), (503, 503));
    let verbose = service.get("/livez?verbose");
    assert_eq!(verbose.status(), 503);
    let expected = "[+]runtime ok\n[-]fatal failed: reason withheld\nliveness check failed\n";
    assert_eq!(text(&verbose), expected);
}

/// Lets time pass in which the runtime runs no other task: its only worker is busy here.
fn block_the_runtime_for(time: Duration) {
    let mut passing = std::pin::pin!(tokio::time::advance(time));
    let mut context = std::task::Context::from_waker(std::task::Waker::noop());
    // The time moves at the first poll; what follows it only lets other tasks run.
    assert!(passing.as_mut().poll(&mut context).is_pending());
}

#[tokio::test(start_paused = true)]
async fn a_runtime_that_is_blocked_is_alive_for_30_s_and_then_no_more() {
    let _isolated = isolated();
    let service = Service::started().await;
    block_the_runtime_for(29 * SECOND);
    assert_eq!(service.status("/liveness"), 200);
    block_the_runtime_for(2 * SECOND);
    assert_eq!((service.status("/liveness"), service.status("/livez/")), (503, 503));
    let verbose = service.get("/livez?verbose");
    assert!(text(&verbose).starts_with("[-]runtime failed: it has not run a task for too long\n"));
    tokio::time::sleep(2 * SECOND).await;
    assert_eq!(service.status("/liveness"), 200, "it runs tasks again");
}

#[tokio::test(start_paused = true)]
async fn a_prolonged_incident_fails_liveness_only_where_that_was_asked_for() {
    let _isolated = isolated();
    for fatal in [false, true] {
        let monitor = AvailabilityMonitor::builder()
            .discover(false)
            .breakers(CircuitBreakerRegistry::new())
            .check(HealthCheck::new("storage", || async { true }).interval(SECOND))
            .prolonged_is_fatal(fatal)
            .start()
            .await
            .expect("it starts");
        tokio::time::sleep(SECOND / 10).await;
        monitor.register(HealthCheck::new("dead", || async { false })).expect("a new name");
        let endpoints = HealthEndpoints::of(&monitor);
        let liveness = || {
            let request = Request::get("/liveness").body(()).expect("a request");
            let response = respond(&endpoints, &request);
            let body: Value = serde_json::from_slice(response.body()).expect("JSON");
            (response.status().as_u16(), body["prolonged_incidents"].clone())
        };
        tokio::time::sleep(290 * SECOND).await;
        assert_eq!(liveness(), (200, json!(0)));
        tokio::time::sleep(20 * SECOND).await;
        assert_eq!(liveness(), (if fatal { 503 } else { 200 }, json!(1)), "fatal: {fatal}");
    }
}

#[tokio::test(start_paused = true)]
async fn a_probes_answer_is_given_again_for_50_ms_and_only_while_nothing_happens() {
    let _isolated = isolated();
    let service = Service::started().await;
    for path in ["/health", "/readiness", "/liveness", "/startup"] {
        let first = service.get(path);
        block_the_runtime_for(Duration::from_millis(49));
        assert_eq!(service.get(path).body(), first.body(), "{path}");
        assert_eq!(service.get(path).headers(), first.headers(), "{path}");
        block_the_runtime_for(Duration::from_millis(1));
        assert_ne!(service.get(path).body(), first.body(), "{path}: it has a time of its own");
    }
    service.get("/health");
    service.monitor.register(HealthCheck::new("new", || async {})).expect("a new name");
    assert_eq!(service.json("/health")["components"]["new"], "unknown", "at once");
    service.monitor.unregister("new");
    assert_eq!(service.json("/health")["components"].get("new"), None, "at once");
    service.monitor.maintenance(None, SECOND, "moving").expect("the system");
    assert_eq!(service.json("/health")["maintenance"], true, "at once");
    service.monitor.check_health("storage", || async { false }).await;
    assert_eq!((service.status("/health"), service.status("/readiness")), (503, 503), "at once");
}

#[tokio::test(start_paused = true)]
async fn what_happens_to_a_breaker_or_to_the_process_shows_in_the_next_answer() {
    let _isolated = isolated();
    let service = Service::started().await;
    let mut config = CircuitBreakerConfig::default();
    config.critical = true;
    let breaker = service.monitor.breakers().get_or_create_with("cache", config).expect("good");
    assert_eq!(service.status("/readiness"), 200);
    breaker.trip();
    assert_eq!((service.status("/health"), service.status("/readiness")), (503, 503), "tripped");
    breaker.reset();
    assert_eq!((service.status("/health"), service.status("/readiness")), (200, 200), "reset");

    let mut options = OverrideOptions::reason("a test");
    options.ttl = Some(SECOND);
    breaker.set_override(Override::ForcedOpen, options);
    assert_eq!(service.status("/readiness"), 503, "forced open");
    tokio::time::sleep(SECOND - Duration::from_millis(50)).await;
    assert_eq!(service.status("/readiness"), 503, "still");
    tokio::time::sleep(Duration::from_millis(150)).await;
    assert_eq!(service.status("/readiness"), 200, "its time is over, and nobody called");

    service.monitor.set_ready(false);
    assert_eq!(service.status("/readiness"), 503, "switched off");
    service.monitor.set_ready(true);
    assert_eq!((service.status("/readiness"), service.status("/liveness")), (200, 200));
    service.monitor.fatal("beyond repair");
    assert_eq!((service.status("/readiness"), service.status("/liveness")), (200, 503), "fatal");
    service.monitor.drain();
    assert_eq!(service.status("/readiness"), 503, "draining");
}

#[tokio::test(start_paused = true)]
async fn a_monitor_that_has_stopped_is_not_ready_at_once_and_not_healthy_for_ever() {
    let _isolated = isolated();
    let service = Service::started().await;
    assert_eq!((service.status("/readiness"), service.status("/health")), (200, 200));
    service.monitor.stop().await;
    assert_eq!((service.status("/readiness"), service.status("/health")), (503, 200));
    assert!(text(&service.get("/readyz?verbose")).starts_with("[-]running failed: "));
    tokio::time::sleep(12 * SECOND).await;
    assert_eq!(service.json("/health")["status"], "unknown");
    assert_eq!((service.status("/health"), service.status("/liveness")), (503, 200));
}

#[tokio::test(start_paused = true)]
async fn a_check_that_is_declared_for_liveness_is_read_by_it_alone() {
    let _isolated = isolated();
    let service = Service::started().await;
    let local = HealthCheck::new("disk", || async { false }).probe(avail_core::Probe::Liveness);
    service.monitor.register(local).expect("a new name");
    tokio::time::sleep(SECOND).await;
    assert_eq!((service.status("/liveness"), service.status("/readiness")), (503, 200));
    let expected = "[+]runtime ok\n[+]fatal ok\n[-]disk failed: reason withheld\n\
                    liveness check failed\n";
    assert_eq!(text(&service.get("/livez?verbose")), expected);
    assert_eq!(service.status("/livez?exclude=disk"), 200);
}

#[tokio::test(start_paused = true)]
async fn verbose_lists_what_a_probe_looks_at() {
    let _isolated = isolated();
    let service = Service::started().await;
    let ready = service.get("/readyz?verbose");
    assert_eq!(ready.status(), 200);
    assert_eq!(ready.headers()["content-type"], "text/plain; charset=utf-8");
    let expected = "[+]running ok\n[+]started ok\n[+]shutdown ok\n[+]storage ok\n\
                    readiness check passed\n";
    assert_eq!(text(&ready), expected);
    assert_eq!(text(&service.get("/health?verbose")), "[+]storage ok\nhealth check passed\n");
    assert_eq!(text(&service.get("/startupz?verbose")), "[+]started ok\nstartup check passed\n");

    service.storage_works(false).await;
    let health = service.get("/health/?verbose");
    assert_eq!(health.status(), 503);
    let expected = "[-]storage failed: reason withheld\nhealth check failed\n";
    assert_eq!(text(&health), expected);
    assert_eq!(service.status("/readyz?exclude=storage"), 200);
    assert_eq!(text(&service.get("/readyz?exclude=storage")), "ok");
}

#[tokio::test(start_paused = true)]
async fn a_probe_of_20_components_answers_in_less_than_1_kib() {
    let _isolated = isolated();
    let service = Service::started().await;
    for number in 1..20 {
        let check = HealthCheck::new(format!("component-number-{number}"), || async { true });
        service.monitor.register(check).expect("a new name");
    }
    tokio::time::sleep(SECOND).await;
    assert_eq!(service.monitor.status().components.len(), 20);
    for path in ["/health", "/readiness", "/liveness", "/startup"] {
        let length = service.get(path).body().len();
        assert!(length < 1_024, "{path}: {length}");
    }
}

#[tokio::test(start_paused = true)]
async fn readiness_that_is_switched_off_by_hand_says_so() {
    let _isolated = isolated();
    let service = Service::started().await;
    service.monitor.set_ready(false);
    let response = service.get("/readiness?verbose");
    assert_eq!(response.status(), 503);
    let text = text(&response);
    assert!(text.contains("[-]switch failed: it is switched off by hand\n"), "{text}");
    service.monitor.set_ready(true);
    assert_eq!(service.get("/readiness").status(), 200);
}
