//! The endpoints inside an axum application.

#![cfg(feature = "axum")]

mod common;

use std::net::SocketAddr;

use axum::Router;
use axum::routing::get;
use common::{PATHS, ask, monitor};

/// Serves an application, and stops with the test's runtime.
async fn listen(app: Router) -> SocketAddr {
    let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.expect("a free port");
    let address = listener.local_addr().expect("bound");
    tokio::spawn(async move { axum::serve(listener, app).await });
    address
}

#[tokio::test(flavor = "multi_thread")]
async fn the_router_merges_into_an_application_and_leaves_its_fallback_alone() {
    let monitor = monitor().await;
    let app = Router::new()
        .route("/", get(async || "hello"))
        .fallback(async || "the application's own")
        .merge(avail_http::router(&monitor));
    let address = listen(app).await;
    for path in PATHS {
        for path in [path.to_owned(), format!("{path}/")] {
            assert_eq!(ask(address, "GET", &path).status, 200, "{path}");
            let head = ask(address, "HEAD", &path);
            assert_eq!((head.status, &*head.body), (200, ""), "{path}");
            assert!(head.header("content-length").is_some_and(|length| length != "0"), "{path}");
            let post = ask(address, "POST", &path);
            assert_eq!((post.status, post.header("allow")), (405, Some("GET, HEAD")), "{path}");
        }
    }
    assert_eq!(ask(address, "GET", "/").body, "hello");
    assert_eq!(ask(address, "GET", "/nowhere").body, "the application's own");
    assert_eq!(ask(address, "GET", "/health/nobody").status, 404);
}

#[tokio::test(flavor = "multi_thread")]
async fn the_router_can_be_nested_and_has_the_options_of_its_service() {
    let monitor = monitor().await;
    monitor.check_health("cache", || async { Err::<(), _>("no route to 10.0.0.7") }).await;
    let service = avail_http::service(&monitor).details(avail_http::Details::Always);
    let state: Router<u8> = Router::new().merge(service.into_router().with_state(()));
    let address = listen(Router::new().nest("/internal", state.with_state(1))).await;
    let cache = ask(address, "GET", "/internal/health/cache");
    assert_eq!(cache.status, 503);
    assert!(cache.body.contains("10.0.0.7"), "{}", cache.body);
}

#[tokio::test(flavor = "multi_thread")]
async fn the_router_of_an_operator_has_the_routes_that_change_something() {
    let monitor = monitor().await;
    let breaker = monitor.breakers().get_or_create("cache");
    let admin = avail_http::Admin::new("s3cret").expect("a token");
    let router = avail_http::service(&monitor).admin(admin).into_router();
    let address = listen(Router::new().nest("/internal", router)).await;
    assert_eq!(ask(address, "GET", "/internal/readyz").status, 200);
    let body = r#"{"actor":"anna","reason":"moving the disk"}"#;
    let request = |token: &str| {
        format!(
            "POST /internal/admin/breakers/cache/trip HTTP/1.1\r\nHost: {address}\r\n\
             Connection: close\r\nAuthorization: Bearer {token}\r\n\
             Content-Type: application/json\r\nContent-Length: {}\r\n\r\n{body}",
            body.len()
        )
    };
    assert_eq!(common::send(address, &request("wrong")).status, 401);
    assert_eq!(breaker.state(), avail_core::CircuitState::Closed);
    assert_eq!(common::send(address, &request("s3cret")).status, 200);
    assert_eq!(breaker.state(), avail_core::CircuitState::Open);
}

#[tokio::test(flavor = "multi_thread")]
async fn the_service_is_a_fallback() {
    let monitor = monitor().await;
    let app = Router::new()
        .route("/", get(async || "hello"))
        .fallback_service(avail_http::service(&monitor));
    let address = listen(app).await;
    for path in PATHS {
        assert_eq!(ask(address, "GET", path).status, 200, "{path}");
    }
    assert_eq!(ask(address, "GET", "/").body, "hello");
    let nowhere = ask(address, "GET", "/nowhere");
    assert_eq!(nowhere.status, 404);
    assert!(nowhere.body.contains("/readyz"), "{}", nowhere.body);
}
