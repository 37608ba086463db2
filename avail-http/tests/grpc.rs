//! `grpc.health.v1`, as tonic's client sees it over a socket.
#![cfg(feature = "grpc")]

mod common;

use std::net::SocketAddr;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use avail_core::{AvailabilityMonitor, CircuitBreakerRegistry, HealthCheck};
use avail_http::grpc::{GrpcHealth, service};
use common::PATIENCE;
use tokio_stream::StreamExt;
use tonic::transport::server::TcpIncoming;
use tonic::transport::{Channel, Server};
use tonic::{Code, Request, Streaming};
use tonic_health::pb::health_check_response::ServingStatus::{
    self, NotServing, ServiceUnknown, Serving, Unknown,
};
use tonic_health::pb::health_client::HealthClient;
use tonic_health::pb::health_server::Health;
use tonic_health::pb::{HealthCheckRequest, HealthCheckResponse};

async fn client(monitor: &AvailabilityMonitor) -> HealthClient<Channel> {
    let any: SocketAddr = "127.0.0.1:0".parse().expect("an address");
    let incoming = TcpIncoming::bind(any).expect("a free port");
    let address = incoming.local_addr().expect("it listens");
    let router = Server::builder().add_service(service(monitor));
    tokio::spawn(router.serve_with_incoming(incoming));
    let endpoint = Channel::from_shared(format!("http://{address}")).expect("a URI");
    HealthClient::new(endpoint.connect().await.expect("it listens"))
}

fn of(service: &str) -> HealthCheckRequest {
    HealthCheckRequest { service: service.to_owned() }
}

async fn check(client: &mut HealthClient<Channel>, service: &str) -> Result<ServingStatus, Code> {
    let answer = client.check(of(service)).await.map_err(|status| status.code())?;
    Ok(answer.into_inner().status())
}

async fn watch(
    client: &mut HealthClient<Channel>,
    service: &str,
) -> Streaming<HealthCheckResponse> {
    client.watch(of(service)).await.expect("it may watch").into_inner()
}

/// `None` at the end of the stream.
async fn next(stream: &mut Streaming<HealthCheckResponse>) -> Option<ServingStatus> {
    let item = tokio::time::timeout(PATIENCE, stream.message()).await.expect("something comes");
    item.expect("no error").map(|answer| answer.status())
}

/// The flag says whether `db` works, which is looked at often.
async fn monitor() -> (AvailabilityMonitor, Arc<AtomicBool>) {
    let works = Arc::new(AtomicBool::new(true));
    let seen = works.clone();
    let check = HealthCheck::new("db", move || {
        let works = seen.load(Ordering::SeqCst);
        async move { works }
    });
    let monitor = AvailabilityMonitor::builder()
        .discover(false)
        .breakers(CircuitBreakerRegistry::new())
        .check(check.interval(Duration::from_millis(20)))
        .start()
        .await
        .expect("it starts");
    (monitor, works)
}

#[tokio::test]
async fn the_whole_follows_its_components_and_a_component_its_checks() {
    let (monitor, works) = monitor().await;
    let mut client = client(&monitor).await;
    let (mut whole, mut db) = (watch(&mut client, "").await, watch(&mut client, "db").await);
    for stream in [&mut whole, &mut db] {
        // The first run may not be over.
        let mut first = next(stream).await;
        if first != Some(Serving) {
            first = next(stream).await;
        }
        assert_eq!(first, Some(Serving));
    }
    for (now_works, expected) in [(false, NotServing), (true, Serving), (false, NotServing)] {
        works.store(now_works, Ordering::SeqCst);
        assert_eq!(next(&mut db).await, Some(expected));
        assert_eq!(next(&mut whole).await, Some(expected));
        assert_eq!(check(&mut client, "db").await, Ok(expected));
        assert_eq!(check(&mut client, "").await, Ok(expected));
    }
    works.store(true, Ordering::SeqCst);
    assert_eq!(next(&mut whole).await, Some(Serving));
    monitor.set_ready(false);
    assert_eq!(next(&mut whole).await, Some(NotServing), "of which no event tells");
    assert_eq!(check(&mut client, "db").await, Ok(Serving));
    monitor.stop().await;
}

#[tokio::test]
async fn what_does_not_decide_readiness_leaves_the_whole_alone() {
    let monitor = common::monitor().await;
    let mut client = client(&monitor).await;
    monitor.check_health("cache", || async { false }).await;
    assert_eq!(check(&mut client, "cache").await, Ok(NotServing));
    assert_eq!(check(&mut client, "").await, Ok(Serving));
    let late = HealthCheck::new("late", || async { true });
    let late = late.critical(false).initial_delay(Duration::from_secs(60));
    monitor.register(late).expect("it is new");
    assert_eq!(check(&mut client, "late").await, Ok(Unknown));
    monitor.stop().await;
}

#[tokio::test]
async fn an_unknown_service_is_not_found_and_can_be_watched_until_it_comes() {
    let monitor = common::monitor().await;
    let mut client = client(&monitor).await;
    assert_eq!(check(&mut client, "cache").await, Err(Code::NotFound));
    let mut cache = watch(&mut client, "cache").await;
    assert_eq!(next(&mut cache).await, Some(ServiceUnknown));
    monitor.check_health("cache", || async { true }).await;
    let mut now = next(&mut cache).await;
    if now == Some(Unknown) {
        now = next(&mut cache).await; // it was there before it was known to be well
    }
    assert_eq!(now, Some(Serving));
    assert_eq!(check(&mut client, "cache").await, Ok(Serving));
    assert!(monitor.unregister("cache"));
    assert_eq!(next(&mut cache).await, Some(ServiceUnknown), "it has gone");
    assert_eq!(check(&mut client, "cache").await, Err(Code::NotFound));
    monitor.stop().await;
}

#[tokio::test]
async fn draining_says_not_serving_for_good_and_ends_the_streams() {
    let (monitor, works) = monitor().await;
    let mut client = client(&monitor).await;
    let mut unknown = watch(&mut client, "cache").await;
    assert_eq!(next(&mut unknown).await, Some(ServiceUnknown));
    let (mut whole, mut db) = (watch(&mut client, "").await, watch(&mut client, "db").await);
    for stream in [&mut whole, &mut db] {
        while next(stream).await != Some(Serving) {}
    }
    monitor.drain();
    for stream in [&mut whole, &mut db] {
        assert_eq!(next(stream).await, Some(NotServing));
        assert_eq!(next(stream).await, None, "it is over");
    }
    assert_eq!(next(&mut unknown).await, None);
    works.store(false, Ordering::SeqCst);
    works.store(true, Ordering::SeqCst);
    monitor.check_health("cache", || async { true }).await;
    for service in ["", "db", "cache"] {
        assert_eq!(check(&mut client, service).await, Ok(NotServing), "{service}");
        let mut late = watch(&mut client, service).await;
        let said = next(&mut late).await;
        // The board is as it was at the end, when there was no `cache`.
        assert_eq!(said, Some(if service == "cache" { ServiceUnknown } else { NotServing }));
        assert_eq!(next(&mut late).await, None, "{service}");
    }
    monitor.stop().await;
}

#[tokio::test]
async fn a_stop_without_draining_ends_the_streams_too() {
    let monitor = common::monitor().await;
    let mut client = client(&monitor).await;
    let mut whole = watch(&mut client, "").await;
    assert_eq!(next(&mut whole).await, Some(Serving));
    monitor.stop().await;
    assert_eq!((next(&mut whole).await, next(&mut whole).await), (Some(NotServing), None));
}

#[tokio::test]
async fn watchers_are_bounded_and_one_that_goes_makes_room() {
    let monitor = common::monitor().await;
    let health = GrpcHealth::new(&monitor);
    let mut streams = Vec::new();
    for _ in 0..1_024 {
        streams.push(health.watch(Request::new(of(""))).await.expect("there is room"));
    }
    let refused = health.watch(Request::new(of(""))).await.map(|_| ()).expect_err("no room");
    assert_eq!(refused.code(), Code::ResourceExhausted);
    assert!(health.check(Request::new(of(""))).await.is_ok(), "checks are no streams");
    drop(streams.pop());
    assert!(health.watch(Request::new(of(""))).await.is_ok());
    monitor.stop().await;
}

#[tokio::test]
async fn a_name_that_is_long_and_unknown_is_not_kept() {
    let monitor = common::monitor().await;
    let long = "x".repeat(2_000);
    monitor.check_health(long.as_str(), || async { true }).await;
    let health = GrpcHealth::new(&monitor);
    assert!(health.watch(Request::new(of(&long))).await.is_ok(), "it is known");
    assert!(health.watch(Request::new(of(&"y".repeat(1_024)))).await.is_ok());
    let refused = health.watch(Request::new(of(&"y".repeat(1_025)))).await.map(|_| ());
    assert_eq!(refused.expect_err("too long").code(), Code::InvalidArgument);
    monitor.stop().await;
}

#[tokio::test]
async fn one_who_does_not_read_gets_the_latest_alone_and_slows_nobody() {
    let monitor = common::monitor().await;
    let health = GrpcHealth::new(&monitor);
    monitor.check_health("cache", || async { true }).await;
    let mut slow = health.watch(Request::new(of("cache"))).await.expect("room").into_inner();
    let mut quick = health.watch(Request::new(of("cache"))).await.expect("room").into_inner();
    let status = |item: Option<Result<HealthCheckResponse, tonic::Status>>| {
        item.expect("it goes on").expect("no error").status()
    };
    assert_eq!(status(quick.next().await), Serving);
    for run in 0..2_000 {
        let works = run % 2 == 1;
        monitor.check_health("cache", || async move { works }).await;
        let expected = if works { Serving } else { NotServing };
        let item = tokio::time::timeout(PATIENCE, quick.next()).await.expect("it comes");
        assert_eq!(status(item), expected, "run {run}");
    }
    monitor.check_health("cache", || async { false }).await;
    assert_eq!(status(quick.next().await), NotServing);
    assert_eq!(status(slow.next().await), NotServing, "of 2,001 changes the last");
    monitor.drain();
    assert!(slow.next().await.is_none(), "it was not serving already");
    monitor.stop().await;
}
