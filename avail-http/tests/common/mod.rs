//! A client made of a plain socket, and monitors for it to ask about.

#![allow(dead_code, unreachable_pub)] // each test file uses its own part

use std::io::{ErrorKind, Read, Write};
use std::net::{SocketAddr, TcpStream};
use std::time::{Duration, Instant};

use avail_core::{AvailabilityMonitor, CircuitBreakerRegistry, HealthCheck};
use avail_http::{Server, ServerHandle};

/// Every path, for a monitor that has a component `storage`.
pub const PATHS: [&str; 11] = [
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

/// Longer than anything here takes that goes well.
pub const PATIENCE: Duration = Duration::from_secs(10);

/// Whether there is time for what takes minutes: `AVAIL_SOAK` says so.
pub fn soaks() -> bool {
    std::env::var_os("AVAIL_SOAK").is_some_and(|value| !value.is_empty())
}

/// A monitor of a component `storage` that works, once that is known.
pub async fn monitor() -> AvailabilityMonitor {
    let monitor = AvailabilityMonitor::builder()
        .discover(false)
        .breakers(CircuitBreakerRegistry::new())
        .check(HealthCheck::new("storage", || async { true }))
        .start()
        .await
        .expect("it starts");
    let begun = Instant::now();
    while !monitor.status().ready {
        assert!(begun.elapsed() < PATIENCE, "not ready: {:?}", monitor.status());
        tokio::time::sleep(Duration::from_millis(1)).await;
    }
    monitor
}

/// A server on a free port.
pub fn serve(monitor: &AvailabilityMonitor) -> ServerHandle {
    server(monitor).start().expect("it listens")
}

pub fn server(monitor: &AvailabilityMonitor) -> Server {
    Server::new(monitor).listen("127.0.0.1:0").environment(false)
}

pub fn connect(address: SocketAddr) -> TcpStream {
    let stream = TcpStream::connect(address).expect("it listens");
    stream.set_read_timeout(Some(PATIENCE)).expect("a time");
    stream
}

/// An answer, as it came over the socket.
#[derive(Debug)]
pub struct Answer {
    pub status: u16,
    pub head: String,
    pub body: String,
}

impl Answer {
    /// Lower-case name.
    pub fn header(&self, name: &str) -> Option<&str> {
        self.head.lines().find_map(|line| {
            let (found, value) = line.split_once(": ")?;
            found.eq_ignore_ascii_case(name).then_some(value)
        })
    }

    fn parse(text: &str) -> Self {
        let (head, body) =
            text.split_once("\r\n\r\n").unwrap_or_else(|| panic!("no head: {text:?}"));
        let status = head.split(' ').nth(1).and_then(|status| status.parse().ok());
        let status = status.unwrap_or_else(|| panic!("no status: {head}"));
        Answer { status, head: head.to_owned(), body: body.to_owned() }
    }
}

/// One request on a connection of its own.
pub fn ask(address: SocketAddr, method: &str, path: &str) -> Answer {
    let request = format!("{method} {path} HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n");
    send(address, &request)
}

pub fn get(address: SocketAddr, path: &str) -> Answer {
    ask(address, "GET", path)
}

/// Sends `request` and reads up to the end of the connection.
pub fn send(address: SocketAddr, request: &str) -> Answer {
    let mut stream = connect(address);
    stream.write_all(request.as_bytes()).expect("it reads");
    Answer::parse(&rest(&mut stream))
}

/// Everything up to the end of the connection.
pub fn rest(stream: &mut TcpStream) -> String {
    let mut text = Vec::new();
    if let Err(error) = stream.read_to_end(&mut text) {
        // What the server did not read, it answers with a reset when it closes.
        assert_eq!(error.kind(), ErrorKind::ConnectionReset);
    }
    String::from_utf8(text).expect("UTF-8")
}

/// One answer on a connection that stays open: its head, and as much as its length says.
pub fn answer_on(stream: &mut TcpStream) -> Answer {
    let mut text = Vec::new();
    while !text.ends_with(b"\r\n\r\n") {
        let mut byte = [0];
        stream.read_exact(&mut byte).expect("an answer");
        text.push(byte[0]);
    }
    let mut answer = Answer::parse(&String::from_utf8(text).expect("UTF-8"));
    let length = answer.header("content-length").and_then(|length| length.parse().ok());
    let mut body = vec![0; length.expect("a length")];
    stream.read_exact(&mut body).expect("a body");
    answer.body = String::from_utf8(body).expect("UTF-8");
    answer
}
