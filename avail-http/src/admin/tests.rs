//! What operators can do, to what, and who can't: on a monitor whose time is paused.

use std::time::Duration;

use avail_core::testing::isolated;
use avail_core::{
    AvailabilityMonitor, CircuitBreakerConfig, CircuitBreakerRegistry, CircuitState, HealthCheck,
    Override,
};
use bytes::Bytes;
use http::{Request, Response, StatusCode};
use http_body_util::{BodyExt, Full};
use proptest::prelude::*;
use proptest::test_runner::TestRunner;
use serde_json::{Value, json};
use tower_service::Service;

use super::gate::admit;
use super::*;
use crate::service;

const WHO: &str = r#"{"actor":"anna","reason":"moving the disk"}"#;

struct Operated {
    monitor: AvailabilityMonitor,
    service: AdminService,
}

/// What a request has in its head, but for its path.
#[derive(Clone, Copy)]
struct Head<'a> {
    method: &'a str,
    host: Option<&'a str>,
    authorization: Option<&'a str>,
    media: Option<&'a str>,
    has_length: bool,
}

const GOOD: Head<'_> = Head {
    method: "POST",
    host: Some("localhost:8000"),
    authorization: Some("Bearer s3cret"),
    media: Some("application/json"),
    has_length: true,
};

fn request(head: Head<'_>, path: &str, body: &str) -> Request<Full<Bytes>> {
    let mut request = Request::builder().method(head.method).uri(path);
    for (name, value) in
        [("host", head.host), ("authorization", head.authorization), ("content-type", head.media)]
    {
        if let Some(value) = value {
            request = request.header(name, value);
        }
    }
    if head.has_length {
        request = request.header("content-length", body.len());
    }
    request.body(Full::new(Bytes::copy_from_slice(body.as_bytes()))).expect("a request")
}

impl Operated {
    async fn start() -> Self {
        let monitor = AvailabilityMonitor::builder()
            .discover(false)
            .breakers(CircuitBreakerRegistry::new())
            .check(HealthCheck::new("storage", || async { true }))
            .start()
            .await
            .expect("it starts");
        monitor
            .breakers()
            .get_or_create_with("cache", CircuitBreakerConfig::default())
            .expect("a good configuration");
        tokio::time::sleep(Duration::from_millis(10)).await;
        let admin = Admin::new("s3cret").expect("a token");
        let service = service(&monitor).admin(admin);
        Operated { monitor, service }
    }

    async fn send(&mut self, head: Head<'_>, path: &str, body: &str) -> Response<Value> {
        let Ok(response) = self.service.call(request(head, path, body)).await;
        let (parts, body) = response.into_parts();
        let body = body.collect().await.expect("a body").to_bytes();
        let body = if body.is_empty() {
            Value::Null
        } else {
            serde_json::from_slice(&body).expect("JSON")
        };
        Response::from_parts(parts, body)
    }

    async fn post(&mut self, path: &str, body: &str) -> (u16, Value) {
        let response = self.send(GOOD, path, body).await;
        (response.status().as_u16(), response.into_body())
    }

    fn state(&self) -> CircuitState {
        self.monitor.breakers().get("cache").expect("it is there").state()
    }

    fn override_of_cache(&self) -> Option<Override> {
        let breaker = self.monitor.breakers().get("cache").expect("it is there");
        breaker.active_override().map(|active| active.kind)
    }
}

#[test]
fn without_a_token_there_is_nothing_to_switch_on() {
    for token in ["", " "] {
        let error = Admin::new(token).expect_err("no token").to_string();
        assert!(error.contains("need a token"), "{error}");
    }
    assert!(!format!("{:?}", Admin::new("s3cret").expect("a token")).contains("s3cret"));
}

#[tokio::test(start_paused = true)]
async fn unless_switched_on_there_is_nothing_at_these_paths() {
    let _isolated = isolated();
    let operated = Operated::start().await;
    let mut health = service(&operated.monitor).token("s3cret");
    let Ok(response) = health.call(request(GOOD, "/admin/breakers/cache/trip", WHO)).await;
    assert_eq!(response.status(), 404);
    assert_eq!(operated.state(), CircuitState::Closed);
}

#[tokio::test(start_paused = true)]
async fn the_endpoints_are_there_as_before() {
    let _isolated = isolated();
    let mut operated = Operated::start().await;
    let get = Head { method: "GET", authorization: None, ..GOOD };
    assert_eq!(operated.send(get, "/readiness", "").await.status(), 200);
    assert_eq!(operated.send(get, "/nowhere", "").await.status(), 404);
    assert_eq!(operated.send(GOOD, "/readiness", WHO).await.status(), 405);
}

#[tokio::test(start_paused = true)]
async fn whoever_may_not_is_refused_and_nothing_is_done() {
    let _isolated = isolated();
    let mut operated = Operated::start().await;
    let path = "/admin/breakers/cache/trip";
    let table = [
        (Head { method: "GET", ..GOOD }, 405, "POST only"),
        (Head { method: "PUT", ..GOOD }, 405, "POST only"),
        (Head { method: "OPTIONS", ..GOOD }, 405, "POST only"),
        (Head { host: Some("evil.example.org"), ..GOOD }, 403, "host"),
        (Head { host: None, ..GOOD }, 403, "host"),
        (Head { authorization: None, ..GOOD }, 401, "bearer token"),
        (Head { authorization: Some("Bearer s3cre"), ..GOOD }, 401, "bearer token"),
        (Head { authorization: Some("Basic s3cret"), ..GOOD }, 401, "bearer token"),
        (Head { media: None, ..GOOD }, 415, "application/json"),
        (Head { media: Some("text/plain"), ..GOOD }, 415, "application/json"),
        (
            Head { media: Some("application/x-www-form-urlencoded"), ..GOOD },
            415,
            "application/json",
        ),
        (Head { has_length: false, ..GOOD }, 411, "Content-Length"),
    ];
    for (head, status, error) in table {
        let response = operated.send(head, path, WHO).await;
        assert_eq!(response.status(), status, "{error}");
        assert_eq!(response.headers()["cache-control"], "no-store");
        let body = response.body()["error"].as_str().unwrap_or_default();
        assert!(body.contains(error), "{body}");
        match status {
            401 => assert_eq!(response.headers()["www-authenticate"], "Bearer realm=\"avail\""),
            405 => assert_eq!(response.headers()["allow"], "POST"),
            _ => {}
        }
    }
    let long = format!(r#"{{"actor":"anna","reason":"{}"}}"#, "x".repeat(8 * 1024));
    assert_eq!(operated.post(path, &long).await.0, 413);
    assert_eq!(operated.post(path, "{}").await.0, 400);
    assert_eq!(operated.state(), CircuitState::Closed);
    assert_eq!(operated.monitor.audit(1), []);
    let charset = Head { media: Some("Application/JSON; charset=utf-8"), ..GOOD };
    assert_eq!(operated.send(charset, path, WHO).await.status(), 200);
}

#[tokio::test(start_paused = true)]
async fn a_host_that_a_proxy_or_http_2_names_in_the_target_counts_too() {
    let _isolated = isolated();
    let mut operated = Operated::start().await;
    let none = Head { host: None, ..GOOD };
    let path = "/admin/breakers/cache/trip";
    for (head, origin, status) in [
        (none, "http://localhost:8000", 200),
        (none, "http://evil.example.org", 403),
        (GOOD, "http://evil.example.org", 403),
        (Head { host: Some("evil.example.org"), ..GOOD }, "http://localhost:8000", 403),
    ] {
        let response = operated.send(head, &format!("{origin}{path}"), WHO).await;
        assert_eq!(response.status(), status, "{origin}");
    }
}

#[tokio::test(start_paused = true)]
async fn an_unknown_path_or_name_is_told_which_there_are() {
    let _isolated = isolated();
    let mut operated = Operated::start().await;
    let (status, body) = operated.post("/admin/breakers/cache/explode", WHO).await;
    assert_eq!(status, 404);
    assert!(body["paths"].as_array().is_some_and(|paths| paths.len() == 9), "{body}");
    let (status, body) = operated.post("/admin/breakers/cash/trip", WHO).await;
    let expected =
        json!({ "error": "there is no circuit breaker `cash`", "circuit_breakers": ["cache"] });
    assert_eq!((status, body), (404, expected));
    let (status, body) = operated.post("/admin/checks/storge/refresh", WHO).await;
    assert_eq!(status, 404);
    assert!(body["error"].as_str().is_some_and(|e| e.contains("`storage`")), "{body}");
    let body = r#"{"actor":"a","reason":"b","duration":"1m","component":"storge"}"#;
    let (status, body) = operated.post("/admin/maintenance", body).await;
    assert_eq!(status, 404);
    assert!(body["error"].as_str().is_some_and(|e| e.contains("`storage`")), "{body}");
    assert_eq!(operated.monitor.audit(1), []);
}

#[tokio::test(start_paused = true)]
async fn each_command_does_to_a_breaker_what_its_name_says() {
    let _isolated = isolated();
    let mut operated = Operated::start().await;
    let (forced, off, shadow) =
        (Some(Override::ForcedOpen), Some(Override::Disabled), Some(Override::Shadow));
    let table = [
        ("trip", "trip", CircuitState::Open, None),
        ("reset", "reset", CircuitState::Closed, None),
        ("force-open", "force_open", CircuitState::Open, forced),
        ("disable", "disable", CircuitState::Closed, off),
        ("shadow", "shadow", CircuitState::Closed, shadow),
        ("clear", "clear", CircuitState::Closed, None),
    ];
    for (word, action, state, laid) in table {
        let (status, body) = operated.post(&format!("/admin/breakers/cache/{word}"), WHO).await;
        assert_eq!((status, &body["action"]), (200, &json!(action)));
        assert_eq!((&body["breaker"], &body["state"]), (&json!("cache"), &json!(state)));
        assert_eq!((operated.state(), operated.override_of_cache()), (state, laid), "{word}");
        assert_eq!(body["override"]["reason"].is_string(), laid.is_some(), "{body}");
        let [kept] = &operated.monitor.audit(1)[..] else { panic!("nothing was kept") };
        assert_eq!((&*kept.actor, &*kept.action), ("anna", action));
        assert_eq!((kept.target.as_deref(), &*kept.reason), (Some("cache"), "moving the disk"));
    }
}

#[tokio::test(start_paused = true)]
async fn who_laid_an_override_and_why_is_shown_to_those_who_may_see_details() {
    let _isolated = isolated();
    let mut operated = Operated::start().await;
    assert_eq!(operated.post("/admin/breakers/cache/disable", WHO).await.0, 200);
    let head = |authorization| Head { method: "GET", authorization, has_length: false, ..GOOD };
    let service = service(&operated.monitor).token("seer");
    operated.service = service.admin(Admin::new("s3cret").expect("a token"));
    for (authorization, actor, reason) in [
        (None, "withheld", "withheld"),
        (Some("Bearer s3cret"), "withheld", "withheld"),
        (Some("Bearer seer"), "anna", "moving the disk"),
    ] {
        let body = operated.send(head(authorization), "/metrics", "").await.into_body();
        let laid = &body["circuit_breakers"][0]["override"];
        assert_eq!((&laid["actor"], &laid["reason"]), (&json!(actor), &json!(reason)), "{laid}");
        assert_eq!(laid["override"], "disabled", "{laid}");
    }
}

#[tokio::test(start_paused = true)]
async fn an_override_with_a_time_to_live_ends_by_itself() {
    let _isolated = isolated();
    let mut operated = Operated::start().await;
    let body = r#"{"actor":"anna","reason":"moving the disk","ttl":"10m"}"#;
    let (_, body) = operated.post("/admin/breakers/cache/force-open", body).await;
    assert_eq!(body["override"]["actor"], "anna");
    assert!(body["override"]["until"].is_string(), "{body}");
    let kept = &operated.monitor.audit(1)[0];
    assert_eq!(kept.until.map(|until| (until - kept.timestamp).num_seconds()), Some(600));
    tokio::time::sleep(Duration::from_secs(601)).await;
    assert_eq!(operated.override_of_cache(), None);
    let body = r#"{"actor":"anna","reason":"no time at all","ttl":"1ns"}"#;
    assert_eq!(operated.post("/admin/breakers/cache/disable", body).await.0, 200);
    assert!(operated.monitor.audit(1)[0].until.is_some(), "it had an end");
}

#[tokio::test(start_paused = true)]
async fn maintenance_is_announced_and_ended() {
    let _isolated = isolated();
    let mut operated = Operated::start().await;
    let body = r#"{"actor":"a","reason":"b","duration":"1h","component":"storage"}"#;
    let (status, body) = operated.post("/admin/maintenance", body).await;
    assert_eq!((status, &body["maintenance"]["component"]), (200, &json!("storage")));
    let (status, body) =
        operated.post("/admin/maintenance", r#"{"actor":"a","reason":"b","duration":"1m"}"#).await;
    assert_eq!((status, &body["maintenance"]["component"]), (200, &Value::Null));
    assert_eq!(operated.monitor.maintenances().len(), 2);

    let (status, body) = operated.post("/admin/maintenance/end", WHO).await;
    assert_eq!((status, body["maintenances"].as_array().map(Vec::len)), (200, Some(1)));
    let (status, body) = operated.post("/admin/maintenance/end", WHO).await;
    assert_eq!((status, body["maintenances"].as_array().map(Vec::len)), (404, Some(1)));
    let end = r#"{"actor":"a","reason":"b","component":"storage"}"#;
    assert_eq!(operated.post("/admin/maintenance/end", end).await.0, 200);
    assert_eq!(operated.monitor.maintenances(), []);
    let actions: Vec<_> = operated.monitor.audit(9).into_iter().map(|one| one.action).collect();
    assert_eq!(actions, ["end_maintenance", "end_maintenance", "maintenance", "maintenance"]);
}

#[tokio::test(start_paused = true)]
async fn a_check_is_run_now_and_one_that_hangs_is_said_to() {
    let _isolated = isolated();
    let mut operated = Operated::start().await;
    let (status, body) = operated.post("/admin/checks/storage/refresh", WHO).await;
    assert_eq!((status, &body["run"]["status"]), (200, &json!("healthy")));
    assert_eq!(body["component"]["status"], "healthy");
    assert_eq!(operated.monitor.recent_checks(9).len(), 2);
    operated.monitor.stop().await;
    let (status, body) = operated.post("/admin/checks/storage/refresh", WHO).await;
    assert_eq!(status, 409, "{body}");
}

/// Requests that are near to good ones.
fn near() -> impl Strategy<Value = (String, String, [String; 4], Vec<u8>)> {
    let select = |choices: &'static [&'static str]| proptest::sample::select(choices);
    let path = proptest::collection::vec(
        prop_oneof![
            select(&[
                "/admin/",
                "breakers/",
                "checks/",
                "maintenance",
                "/end",
                "cache",
                "storage",
                "/reset",
                "/force-open",
                "/refresh",
                "%2F",
                "%ff",
                "/",
            ])
            .prop_map(str::to_owned),
            "[!$&'()*+,;=:@a-z0-9%/._~-]{0,6}",
        ],
        0..6,
    );
    let path = path.prop_map(|pieces| format!("/admin/{}", pieces.concat()));
    let method = select(&["POST", "POST", "POST", "GET", "HEAD", "PUT"]).prop_map(str::to_owned);
    let mostly = |good: &'static str| prop_oneof![9 => Just(good.to_owned()), 1 => "[ -~]{0,20}"];
    let heads = (
        mostly("localhost:8000"),
        mostly("Bearer s3cret"),
        mostly("application/json"),
        mostly("40"),
    );
    let body = prop_oneof![
        Just(WHO.as_bytes().to_vec()),
        Just(br#"{"actor":"a","reason":"b","duration":"1h","component":"storage"}"#.to_vec()),
        Just(br#"{"actor":"a","reason":"b","ttl":"584554049253y"}"#.to_vec()),
        "\\{\"actor\":\"[ -~]{0,8}\",\"reason\":\"b\",\"(ttl|duration)\":\"[0-9a-z ]{0,24}\"\\}"
            .prop_map(String::into_bytes),
        proptest::collection::vec(any::<u8>(), 0..60),
    ];
    (method, path, heads, body).prop_map(|(method, path, (host, token, media, length), body)| {
        (method, path, [host, token, media, length], body)
    })
}

#[tokio::test(start_paused = true)]
async fn no_request_of_an_operator_makes_it_fail() {
    let _isolated = isolated();
    let operated = Operated::start().await;
    let service = operated.service.clone();
    let run = TestRunner::new(crate::cases(1_000)).run(&near(), |(method, path, heads, body)| {
        let Ok(uri) = path.parse::<http::Uri>() else { return Ok(()) };
        let mut request = Request::builder().method(&*method).uri(uri);
        for (name, value) in
            ["host", "authorization", "content-type", "content-length"].into_iter().zip(&heads)
        {
            request = request.header(name, value);
        }
        let Ok(request) = request.body(Full::new(Bytes::from(body))) else { return Ok(()) };
        let admitted = admit(&service.admin, request.method(), request.uri(), request.headers());
        let mut future = Box::pin(service.clone().call(request));
        let mut context = std::task::Context::from_waker(std::task::Waker::noop());
        let status = match future.as_mut().poll(&mut context) {
            std::task::Poll::Ready(Ok(response)) => response.status(),
            std::task::Poll::Pending => StatusCode::OK, // a refresh that is waited for
        };
        prop_assert!(status.is_client_error() || status == StatusCode::OK, "{status}");
        prop_assert!(status != StatusCode::OK || admitted.is_ok());
        Ok(())
    });
    run.expect("every request is answered");
}
