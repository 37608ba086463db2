//! Every endpoint on a monitor whose time is paused: what it says, to whom, and in which words.

mod fuzz;

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use avail_core::testing::isolated;
use avail_core::{AvailabilityMonitor, CircuitBreakerRegistry, Health, HealthCheck};
use serde::Deserialize;
use serde::de::{Deserializer, IgnoredAny, MapAccess, Visitor};
use serde_json::Value;

use super::*;
use crate::Details;

const SECOND: Duration = Duration::from_secs(1);
const LEAKY: &str = "no route to postgres://app:hunter2@db";

/// A monitor of one critical component, `storage`, which is checked every second and works for as
/// long as `works` says so.
struct Service {
    works: Arc<AtomicBool>,
    monitor: AvailabilityMonitor,
    endpoints: HealthEndpoints,
}

impl Service {
    async fn start() -> Self {
        let works = Arc::new(AtomicBool::new(true));
        let seen = works.clone();
        let storage = HealthCheck::new("storage", move || {
            let works = seen.load(Ordering::Relaxed);
            async move {
                let health = if works { Health::healthy() } else { Health::unhealthy(LEAKY) };
                health.detail("url", "postgres://app:hunter2@db")
            }
        });
        let monitor = AvailabilityMonitor::builder()
            .discover(false)
            .breakers(CircuitBreakerRegistry::new())
            .check(storage.interval(SECOND))
            .start()
            .await
            .expect("it starts");
        let endpoints = HealthEndpoints::of(&monitor);
        Service { works, monitor, endpoints }
    }

    async fn started() -> Self {
        let service = Self::start().await;
        tokio::time::sleep(SECOND / 10).await;
        service
    }

    /// Breaks `storage`, or mends it, and waits until that is known.
    async fn storage_works(&self, works: bool) {
        self.works.store(works, Ordering::Relaxed);
        tokio::time::sleep(2 * SECOND).await;
    }

    fn ask(&self, method: &str, path: &str, headers: &[(&str, &str)]) -> Response<Bytes> {
        let request = Request::builder().method(method).uri(path);
        let request =
            headers.iter().fold(request, |request, (name, value)| request.header(*name, *value));
        respond(&self.endpoints, &request.body(()).expect("a request"))
    }

    fn get(&self, path: &str) -> Response<Bytes> {
        self.ask("GET", path, &[])
    }

    fn json(&self, path: &str) -> Value {
        serde_json::from_slice(self.get(path).body()).expect("JSON")
    }

    fn status(&self, path: &str) -> u16 {
        self.get(path).status().as_u16()
    }
}

fn text(response: &Response<Bytes>) -> &str {
    std::str::from_utf8(response.body()).expect("UTF-8")
}

/// The keys of an object, in the order in which they were written.
fn keys(json: &str) -> Vec<String> {
    struct Keys(Vec<String>);

    impl<'de> Deserialize<'de> for Keys {
        fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
            struct KeyVisitor;

            impl<'de> Visitor<'de> for KeyVisitor {
                type Value = Keys;

                fn expecting(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
                    f.write_str("an object")
                }

                fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<Keys, A::Error> {
                    let mut keys = Vec::new();
                    while let Some((key, IgnoredAny)) = map.next_entry()? {
                        keys.push(key);
                    }
                    Ok(Keys(keys))
                }
            }

            deserializer.deserialize_map(KeyVisitor)
        }
    }

    let Keys(keys) = serde_json::from_str(json).expect("an object");
    keys
}

fn is_timestamp(value: &Value) -> bool {
    let text = value.as_str().unwrap_or_default();
    text.ends_with('Z') && chrono::DateTime::parse_from_rfc3339(text).is_ok()
}

const GETTABLE: [&str; 11] = [
    "/health",
    "/health/storage",
    "/readiness",
    "/readyz",
    "/liveness",
    "/livez",
    "/startup",
    "/startupz",
    "/metrics",
    "/metrics/prometheus",
    "/incidents",
];

#[tokio::test(start_paused = true)]
async fn every_path_answers_with_its_headers_with_and_without_a_trailing_slash() {
    let _isolated = isolated();
    let service = Service::started().await;
    for path in GETTABLE {
        for path in [path.to_owned(), format!("{path}/"), format!("{path}?x=1")] {
            let response = service.get(&path);
            assert_eq!(response.status(), 200, "{path}");
            let headers = response.headers();
            assert_eq!(headers["cache-control"], "no-store", "{path}");
            assert_eq!(headers["x-content-type-options"], "nosniff", "{path}");
            assert_eq!(headers["content-length"], response.body().len().to_string(), "{path}");
            let expected = if path.contains("prometheus") {
                "text/plain; version=0.0.4; charset=utf-8"
            } else {
                "application/json"
            };
            assert_eq!(headers["content-type"], expected, "{path}");
        }
    }
}

#[tokio::test(start_paused = true)]
async fn head_has_the_headers_of_get_and_no_body() {
    let _isolated = isolated();
    let service = Service::started().await;
    for path in GETTABLE.into_iter().chain(["/nowhere", "/health/nobody", "/readyz?verbose"]) {
        let (get, head) = (service.get(path), service.ask("HEAD", path, &[]));
        assert_eq!(head.status(), get.status(), "{path}");
        assert_eq!(head.headers(), get.headers(), "{path}");
        assert!(head.body().is_empty() && !get.body().is_empty(), "{path}");
    }
}

#[tokio::test(start_paused = true)]
async fn any_other_method_is_refused_with_what_is_allowed() {
    let _isolated = isolated();
    let service = Service::started().await;
    for method in ["POST", "PUT", "DELETE", "PATCH", "OPTIONS", "TRACE", "CONNECT", "PURGE"] {
        for path in GETTABLE {
            let response = service.ask(method, path, &[]);
            assert_eq!(response.status(), 405, "{method} {path}");
            assert_eq!(response.headers()["allow"], "GET, HEAD", "{method} {path}");
            assert!(text(&response).contains("GET and HEAD"), "{method} {path}");
        }
    }
}

#[tokio::test(start_paused = true)]
async fn an_unknown_path_is_told_which_there_are() {
    let _isolated = isolated();
    let service = Service::started().await;
    for path in ["/", "/healthz", "/metrics/x", "/health//"] {
        let response = service.get(path);
        assert_eq!(response.status(), 404, "{path}");
        let body: Value = serde_json::from_slice(response.body()).expect("JSON");
        assert_eq!(body["paths"], json!(PATHS), "{path}");
    }
}

#[tokio::test(start_paused = true)]
async fn an_unknown_component_is_told_which_there_are() {
    let _isolated = isolated();
    let service = Service::started().await;
    for path in ["/health/nobody", "/incidents?component=nobody"] {
        let response = service.get(path);
        assert_eq!(response.status(), 404, "{path}");
        let body: Value = serde_json::from_slice(response.body()).expect("JSON");
        let expected =
            json!({ "error": "there is no component `nobody`", "components": ["storage"] });
        assert_eq!(body, expected, "{path}");
    }
}

#[tokio::test(start_paused = true)]
async fn the_bodies_have_the_fields_of_the_contract_in_its_order() {
    let _isolated = isolated();
    let service = Service::started().await;
    service.monitor.breakers().get_or_create("storage");
    service.storage_works(false).await;
    service.storage_works(true).await;

    let table: [(&str, &[&str]); 6] = [
        (
            "/health",
            &[
                "status",
                "timestamp",
                "uptime_seconds",
                "availability_percentage",
                "components",
                "unhealthy_components",
                "degraded_components",
                "active_incidents",
            ],
        ),
        ("/readiness", &["ready", "timestamp", "critical_components", "unhealthy_critical"]),
        ("/liveness", &["alive", "timestamp", "uptime_seconds", "prolonged_incidents"]),
        ("/startup", &["started", "timestamp", "uptime_seconds"]),
        (
            "/metrics",
            &[
                "timestamp",
                "availability",
                "health_checks",
                "components",
                "circuit_breakers",
                "incidents",
                "slo",
            ],
        ),
        ("/incidents", &["timestamp", "active_incidents", "recent_incidents_24h"]),
    ];
    for (path, expected) in table {
        let response = service.get(path);
        assert_eq!(keys(text(&response)), expected, "{path}");
        assert!(is_timestamp(&service.json(path)["timestamp"]), "{path}");
    }
}

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
async fn texts_are_withheld_from_whoever_has_no_token_and_never_tell_a_secret() {
    let _isolated = isolated();
    let mut service = Service::started().await;
    service.storage_works(false).await;
    let paths = [
        "/health",
        "/health/storage",
        "/readiness",
        "/liveness",
        "/metrics",
        "/metrics/prometheus",
        "/incidents",
        "/health?verbose",
        "/readyz?verbose",
    ];
    let shows = ["/health/storage", "/metrics", "/incidents", "/health?verbose", "/readyz?verbose"];
    let table = [
        (Details::Authorized, "", false),
        (Details::Authorized, "Bearer wrong", false),
        (Details::Authorized, "Bearer s3cret", true),
        (Details::Never, "Bearer s3cret", false),
        (Details::Always, "", true),
    ];
    for (details, authorization, shown) in table {
        service.endpoints = service.endpoints.clone().details(details).token("s3cret");
        for path in paths {
            let response = service.ask("GET", path, &[("authorization", authorization)]);
            let body = text(&response);
            let expected = shown && shows.contains(&path);
            assert_eq!(body.contains("no route to"), expected, "{details:?} {path}: {body}");
            assert!(!body.contains("hunter2"), "{details:?} {path}: {body}");
        }
    }
}

#[tokio::test(start_paused = true)]
async fn the_class_is_shown_to_everybody() {
    let _isolated = isolated();
    let service = Service::started().await;
    service.storage_works(false).await;
    let component = service.json("/health/storage");
    assert_eq!(component["class"], "failed");
    assert_eq!((&component["error"], &component["details"]), (&Value::Null, &Value::Null));
    assert_eq!(service.json("/metrics")["components"]["storage"]["class"], "failed");
    let incident = &service.json("/incidents")["active_incidents"][0];
    assert_eq!((&incident["class"], &incident["error"]), (&json!("failed"), &json!("failed")));
}

#[tokio::test(start_paused = true)]
async fn metrics_add_up() {
    let _isolated = isolated();
    let service = Service::started().await;
    service.storage_works(false).await;
    service.storage_works(true).await;

    let response = service.get("/metrics");
    let body: Value = serde_json::from_slice(response.body()).expect("JSON");
    for window in ["24h", "7d", "30d", "all_time"] {
        let figures = &body["availability"][window];
        assert_eq!(figures["downtime_seconds"], figures["mttr"], "one outage in {window}");
        let (up, down) = (&figures["uptime_seconds"], &figures["downtime_seconds"]);
        let (up, down) = (up.as_f64().expect("U"), down.as_f64().expect("D"));
        assert!(up > 1.0 && down > 1.0, "{figures}");
        let percentage = figures["percentage"].as_f64().expect("a percentage");
        assert!((percentage - up / (up + down) * 100.0).abs() < 1e-9, "{figures}");
        assert_eq!(figures["mtbf"], up, "one outage in {window}");
        assert_eq!(figures["incidents"], 1);
        assert_eq!(&body["components"]["storage"]["availability"][window], figures);
    }
    assert_eq!(body["availability"]["all_time"]["coverage"], 1.0);
    let day = serde_json::to_string(&body["availability"]["24h"]).expect("JSON");
    for key in ["percentage", "uptime_seconds", "downtime_seconds", "mtbf", "mttr", "coverage"] {
        assert!(day.contains(&format!("\"{key}\":")), "{key}");
    }

    let slo = &body["slo"];
    assert_eq!((&slo["objective"], &slo["declared"]), (&json!(99.9), &json!(false)));
    let spent = &body["availability"]["30d"]["downtime_seconds"];
    assert_eq!(&slo["error_budget"]["spent_seconds"], spent);
    assert_eq!((&slo["alert"], &slo["burn_rates"][0]["window"]), (&json!("page"), &json!("5m")));
    assert_eq!(body["components"]["storage"]["slo"], *slo);

    let checks = &body["health_checks"];
    let [total, successful, failed] =
        ["total", "successful", "failed"].map(|key| checks[key].as_u64().expect("a count"));
    assert!(failed > 0 && successful > 0, "{checks}");
    assert_eq!(total, successful + failed);
    let rate = successful as f64 / total as f64 * 100.0;
    assert_eq!(checks["success_rate"], rate);
    assert_eq!(body["incidents"], json!({ "active": 0, "total_24h": 1, "total_7d": 1 }));

    let storage = &body["components"]["storage"];
    assert_eq!((&storage["status"], &storage["critical"]), (&json!("healthy"), &json!(true)));
    assert!(is_timestamp(&storage["last_check"]), "{storage}");
    assert!(storage["latency_seconds"].is_f64(), "{storage}");
}

#[tokio::test(start_paused = true)]
async fn without_a_run_there_is_no_rate_and_no_percentage() {
    let _isolated = isolated();
    let service = Service::start().await;
    let body = service.json("/metrics");
    let none = json!({ "total": 0, "successful": 0, "failed": 0, "success_rate": null });
    assert_eq!(body["health_checks"], none);
    assert_eq!(body["components"]["storage"]["availability"]["24h"]["percentage"], Value::Null);
    assert_eq!(body["components"]["storage"]["last_check"], Value::Null);
}

#[tokio::test(start_paused = true)]
async fn circuit_breakers_are_listed_as_they_are() {
    let _isolated = isolated();
    let service = Service::started().await;
    let breakers = service.monitor.breakers();
    breakers.get_or_create("cache").trip();
    let listed = service.json("/metrics")["circuit_breakers"].clone();
    assert_eq!(listed.as_array().map(Vec::len), Some(1));
    assert_eq!((&listed[0]["name"], &listed[0]["state"]), (&json!("cache"), &json!("open")));
    assert_eq!(listed[0]["failure_count"], 0);
    assert_eq!(listed, serde_json::to_value(breakers.all_metrics()).expect("JSON"));
}

#[tokio::test(start_paused = true)]
async fn an_incident_has_the_fields_of_the_contract() {
    let _isolated = isolated();
    let service = Service::started().await;
    service.storage_works(false).await;
    let body = service.json("/incidents");
    let active = &body["active_incidents"][0];
    assert_eq!((&active["end_time"], &active["resolved"]), (&Value::Null, &json!(false)));
    assert_eq!(&body["recent_incidents_24h"][0], active, "an active one is recent, too");

    service.storage_works(true).await;
    let body = service.json("/incidents");
    assert_eq!(body["active_incidents"], json!([]));
    let incident = &body["recent_incidents_24h"][0];
    assert_eq!((&incident["component"], &incident["resolved"]), (&json!("storage"), &json!(true)));
    assert_eq!((&incident["severity"], &incident["class"]), (&json!("critical"), &json!("failed")));
    let time = |key: &str| {
        assert!(is_timestamp(&incident[key]), "{key}: {incident}");
        let text = incident[key].as_str().expect("a text");
        chrono::DateTime::parse_from_rfc3339(text).expect("a time")
    };
    let length = (time("end_time") - time("start_time")).num_milliseconds() as f64 / 1000.0;
    assert_eq!(incident["duration_seconds"], length);
    assert!(time("detected_at") >= time("start_time"));

    let listed = serde_json::to_string(&service.endpoints.incidents().recent_incidents_24h[0]);
    let expected = [
        "component",
        "start_time",
        "end_time",
        "duration_seconds",
        "error",
        "resolved",
        "id",
        "severity",
        "detected_at",
        "failures",
        "class",
        "parent",
    ];
    assert_eq!(keys(&listed.expect("JSON")), expected);
}

#[tokio::test(start_paused = true)]
async fn incidents_are_filtered_as_asked() {
    let isolated = isolated();
    let service = Service::started().await;
    for _ in 0..3 {
        service.storage_works(false).await;
        service.storage_works(true).await;
        tokio::time::sleep(90 * SECOND).await; // so that the next is another incident
    }
    service.storage_works(false).await;
    let last = service.json("/incidents")["active_incidents"][0].clone();
    let start = last["start_time"].as_str().expect("a time").to_owned();

    let table = [
        (String::new(), 1, 4),
        ("?status=open".into(), 1, 1),
        ("?status=resolved".into(), 0, 3),
        ("?component=storage".into(), 1, 4),
        ("?component=process".into(), 0, 0),
        ("?limit=2".into(), 1, 2),
        ("?status=resolved&limit=2".into(), 0, 2),
        (format!("?since={start}"), 1, 1),
        ("?since=2000-01-01T00:00:00%2B00:00".into(), 1, 4),
    ];
    for (query, active, recent) in table {
        let body = service.json(&format!("/incidents{query}"));
        let count = |key: &str| body[key].as_array().map(Vec::len);
        assert_eq!(count("active_incidents"), Some(active), "{query}");
        assert_eq!(count("recent_incidents_24h"), Some(recent), "{query}");
    }
    let latest = &service.json("/incidents?limit=1")["recent_incidents_24h"][0];
    assert_eq!(latest["id"], last["id"], "a limit keeps the latest");

    isolated.set_wall_clock_forward(86_400 * SECOND);
    tokio::time::sleep(2 * SECOND).await;
    let count = |path: &str| service.json(path)["recent_incidents_24h"].as_array().map(Vec::len);
    assert_eq!(count("/incidents"), Some(1), "a day later only the one that lasts");
    assert_eq!(count("/incidents?since=2000-01-01T00:00:00Z"), Some(4), "since looks back");
}

#[tokio::test(start_paused = true)]
async fn a_bad_filter_is_refused_with_what_is_allowed() {
    let _isolated = isolated();
    let service = Service::started().await;
    for (query, allowed) in [
        ("incidents?status=closed", "`open` or `resolved`"),
        ("incidents?since=yesterday", "RFC 3339"),
        ("incidents?limit=many", "a whole number of at least 1"),
        ("incidents?limit=1&limit=2", "`limit` is there more than once"),
        ("readyz?verbose&exclude=a&verbose", "`verbose` is there more than once"),
    ] {
        let response = service.get(&format!("/{query}"));
        assert_eq!(response.status(), 400, "{query}");
        let body: Value = serde_json::from_slice(response.body()).expect("JSON");
        assert!(body["error"].as_str().is_some_and(|e| e.contains(allowed)), "{query}: {body}");
    }
}

#[tokio::test(start_paused = true)]
async fn what_a_client_sent_is_never_said_back_as_it_came() {
    let _isolated = isolated();
    let service = Service::started().await;
    for path in [
        "/incidents?status=%3Cscript%3E%22",
        "/incidents?component=%3Cscript%3E%22",
        "/incidents?limit=%3Cscript%3E",
        "/health/%3Cscript%3E%22",
    ] {
        let response = service.get(path);
        assert!(response.status().is_client_error(), "{path}");
        assert!(text(&response).contains("script"), "{path}: {}", text(&response));
        assert!(!text(&response).contains(['<', '>']), "{path}: {}", text(&response));
    }
    let long = format!("/incidents?since={}", "x".repeat(4_000));
    assert!(service.get(&long).body().len() < 300);
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
async fn the_client_decides_what_metrics_are_written_in() {
    let _isolated = isolated();
    let service = Service::started().await;
    let open = "application/openmetrics-text;version=1.0.0;q=0.5,text/plain;version=0.0.4;q=0.3";
    let (json, plain, metrics) = (
        "application/json",
        "text/plain; version=0.0.4; charset=utf-8",
        "application/openmetrics-text; version=1.0.0; charset=utf-8",
    );
    for (path, accept, expected) in [
        ("/metrics", "*/*", json),
        ("/metrics", "text/plain", plain),
        ("/metrics", open, metrics),
        ("/metrics/prometheus", "*/*", plain),
        ("/metrics/prometheus", "application/json", plain),
        ("/metrics/prometheus", open, metrics),
    ] {
        let response = service.ask("GET", path, &[("accept", accept)]);
        assert_eq!(response.headers()["content-type"], expected, "{path} for {accept}");
        let vary = &response.headers()["vary"];
        assert_eq!(vary, "accept, accept-encoding", "{path} for {accept}");
        assert_eq!(text(&response).ends_with("# EOF\n"), expected == metrics, "{path} {accept}");
        assert_eq!(text(&response).starts_with('{'), expected == json, "{path} for {accept}");
    }
}

#[tokio::test(start_paused = true)]
async fn a_client_that_takes_gzip_is_given_it_and_any_other_is_not() {
    use std::io::Read;

    let _isolated = isolated();
    let service = Service::started().await;
    for (path, accept) in [
        ("/metrics", "application/json"),
        ("/metrics", "text/plain"),
        ("/metrics", "application/openmetrics-text"),
        ("/metrics/prometheus", "*/*"),
    ] {
        let with = |encoding| {
            service.ask("GET", path, &[("accept", accept), ("accept-encoding", encoding)])
        };
        let (plain, packed) = (with("gzip;q=0"), with("br, gzip;q=0.5"));
        assert_eq!(plain.headers().get("content-encoding"), None, "{path} {accept}");
        assert_eq!(packed.headers()["content-encoding"], "gzip", "{path} {accept}");
        assert_eq!(packed.headers()["content-type"], plain.headers()["content-type"]);
        assert_eq!(packed.headers()["content-length"], packed.body().len().to_string());
        let mut unpacked = String::new();
        let mut reader = flate2::read::GzDecoder::new(&**packed.body());
        reader.read_to_string(&mut unpacked).expect("gzip");
        assert_eq!(unpacked, text(&plain), "{path} {accept}");
        let head = service
            .ask("HEAD", path, &[("accept", accept), ("accept-encoding", "gzip")])
            .headers()
            .clone();
        assert_eq!(&head, packed.headers(), "{path} {accept}");
    }
    let probe = service.ask("GET", "/health", &[("accept-encoding", "gzip")]);
    assert_eq!(probe.headers().get("content-encoding"), None);
}

#[test]
fn a_panic_is_an_answer_with_500_and_a_json_body() {
    let response = guarded(|| panic!("on purpose")).into_response(false);
    assert_eq!(response.status(), 500);
    assert_eq!(response.headers()["content-type"], "application/json");
    assert_eq!(response.headers()["cache-control"], "no-store");
    let body: Value = serde_json::from_slice(response.body()).expect("JSON");
    assert!(body["error"].is_string());
}

#[tokio::test(start_paused = true)]
async fn tags_parents_maintenance_and_flapping_are_shown_where_a_component_is() {
    let _isolated = isolated();
    let service = Service::started().await;
    let check = HealthCheck::new("embedder", || async {});
    let check = check.depends_on(["storage"]).tags(["ml"]);
    service.monitor.register(check).expect("the name is free");
    let calm = service.json("/health/embedder");
    assert_eq!((&calm["depends_on"], &calm["tags"]), (&json!(["storage"]), &json!(["ml"])));
    assert_eq!((&calm["flapping"], &calm["maintenance"]), (&json!(false), &Value::Null));
    assert_eq!(service.json("/health").get("maintenance"), None);

    for run in 0..7 {
        service.storage_works(run % 2 == 0).await;
    }
    service.monitor.maintenance(None, Duration::from_secs(60), "moving").expect("the system");
    assert_eq!(service.json("/health")["maintenance"], json!(true));
    for one in
        [service.json("/health/storage"), service.json("/metrics")["components"]["storage"].clone()]
    {
        assert_eq!((&one["status"], &one["flapping"]), (&json!("degraded"), &json!(true)));
        assert!(is_timestamp(&one["maintenance"]["end_time"]));
        assert_eq!(one["maintenance"]["reason"], Value::Null, "a text, and so withheld");
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
