//! Every endpoint on a monitor whose time is paused: what it says, to whom, and in which words.

mod figures;
mod fuzz;
mod probes;

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use avail_core::testing::isolated;
use avail_core::{
    AvailabilityMonitor, CircuitBreakerConfig, CircuitBreakerRegistry, Health, HealthCheck,
    Override, OverrideOptions,
};
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
