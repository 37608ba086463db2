//! What operators do, over real sockets: who is let in, and how long a body may take.

mod common;

use std::io::Write;
use std::net::SocketAddr;
use std::time::{Duration, Instant};

use avail_core::CircuitState;
use avail_http::{Admin, ServerHandle};
use common::{Answer, connect, get, monitor, rest, send, server};

const WHO: &str = r#"{"actor":"anna","reason":"moving the disk"}"#;

fn operated(monitor: &avail_core::AvailabilityMonitor) -> ServerHandle {
    let admin = Admin::new("s3cret").expect("a token");
    server(monitor).admin(admin).start().expect("it listens")
}

fn head(address: SocketAddr, path: &str, length: usize) -> String {
    format!(
        "POST {path} HTTP/1.1\r\nHost: {address}\r\nConnection: close\r\n\
         Authorization: Bearer s3cret\r\nContent-Type: application/json\r\n\
         Content-Length: {length}\r\n\r\n"
    )
}

fn post(address: SocketAddr, path: &str, body: &str) -> Answer {
    send(address, &format!("{}{body}", head(address, path, body.len())))
}

#[tokio::test]
async fn a_breaker_is_opened_by_hand_and_it_is_kept_from_where() {
    let monitor = monitor().await;
    let breaker = monitor.breakers().get_or_create("cache");
    let server = operated(&monitor);
    let answer = post(server.local_addr(), "/admin/breakers/cache/force-open", WHO);
    assert_eq!(answer.status, 200, "{}", answer.body);
    assert!(answer.body.contains(r#""override":"forced_open""#), "{}", answer.body);
    assert_eq!(breaker.state(), CircuitState::Open);
    let caller = monitor.audit(1)[0].caller.clone().expect("an address");
    assert!(caller.starts_with("127.0.0.1:"), "{caller}");
    assert_eq!(get(server.local_addr(), "/readyz").status, 200, "the rest is as before");
    server.shutdown().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_check_that_takes_longer_than_a_head_may_is_waited_for() {
    let monitor = monitor().await;
    let slow = avail_core::HealthCheck::new("slow", || tokio::time::sleep(Duration::from_secs(3)));
    monitor.register(slow).expect("a new name");
    let server = operated(&monitor);
    let address = server.local_addr();
    let asked =
        tokio::task::spawn_blocking(move || post(address, "/admin/checks/slow/refresh", WHO));
    let begun = Instant::now();
    while !asked.is_finished() {
        let probe = tokio::task::spawn_blocking(move || get(address, "/livez").status);
        assert_eq!(probe.await.expect("it ends"), 200);
        assert!(begun.elapsed() < common::PATIENCE, "it takes too long");
        tokio::time::sleep(Duration::from_millis(100)).await; // as a prober would
    }
    let answer = asked.await.expect("it ends");
    assert_eq!(answer.status, 200, "{}", answer.body);
    assert!(answer.body.contains(r#""check":"slow""#), "{}", answer.body);
    server.shutdown().await;
}

#[tokio::test]
async fn only_this_machine_by_the_port_that_is_listened_on_may_be_named() {
    let monitor = monitor().await;
    monitor.breakers().get_or_create("cache");
    let server = operated(&monitor);
    let address = server.local_addr();
    let port = address.port();
    for (host, status) in [
        (format!("localhost:{port}"), 200),
        (format!("[::1]:{port}"), 200),
        ("localhost".into(), 403),
        (format!("localhost:{}", port ^ 1), 403),
        (format!("evil.example.org:{port}"), 403),
    ] {
        let head = head(address, "/admin/breakers/cache/reset", WHO.len());
        let request = head.replace(&format!("Host: {address}"), &format!("Host: {host}"));
        assert_eq!(send(address, &format!("{request}{WHO}")).status, status, "{host}");
    }
    server.shutdown().await;
}

#[tokio::test]
async fn a_body_that_does_not_come_is_given_up_and_one_that_may_not_is_not_read() {
    let monitor = monitor().await;
    monitor.breakers().get_or_create("cache");
    let server = operated(&monitor);
    let address = server.local_addr();
    let path = "/admin/breakers/cache/trip";

    let mut slow = connect(address);
    let begun = Instant::now();
    slow.write_all(head(address, path, WHO.len()).as_bytes()).expect("it reads");
    let mut dribble = slow.try_clone().expect("a socket");
    let writer = std::thread::spawn(move || {
        for byte in WHO.as_bytes() {
            if dribble.write_all(&[*byte]).is_err() || begun.elapsed() > Duration::from_secs(4) {
                break;
            }
            std::thread::sleep(Duration::from_millis(300)); // a client that is slow on purpose
        }
    });
    let text = rest(&mut slow);
    assert!(text.starts_with("HTTP/1.1 408 "), "{text}");
    assert!(begun.elapsed() < Duration::from_secs(3), "{:?}", begun.elapsed());
    writer.join().expect("it ends");

    let begun = Instant::now();
    let anonymous = head(address, path, 1_000).replace("Bearer s3cret", "Bearer wrong");
    let answer = send(address, &anonymous);
    assert_eq!((answer.status, answer.header("connection")), (401, Some("close")));
    assert_eq!(send(address, &head(address, path, 1_000_000)).status, 413);
    assert!(begun.elapsed() < Duration::from_secs(1), "{:?}", begun.elapsed());

    let chunked = head(address, path, 0).replace("Content-Length: 0", "Transfer-Encoding: chunked");
    assert_eq!(send(address, &format!("{chunked}2\r\n{{}}\r\n0\r\n\r\n")).status, 411);
    assert_eq!(monitor.audit(1), []);
    server.shutdown().await;
}
