//! A process that is killed at once: what an operator was told is done is kept, and what Prometheus
//! counts begins anew and goes back nowhere else.

mod common;

use std::io::{BufRead, BufReader};
use std::net::SocketAddr;
use std::path::Path;
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

use avail_core::{AvailabilityMonitor, CircuitBreakerRegistry, HealthCheck};
use avail_http::Admin;
use common::{PATIENCE, get, send, server};

/// Set for the process that is to be killed: where its history is.
const HISTORY: &str = "AVAIL_TEST_HISTORY_OF_KILLED";

struct Process {
    child: Child,
    address: SocketAddr,
}

impl Process {
    fn start(history: &Path) -> Self {
        let mut child = Command::new(std::env::current_exe().expect("this test"))
            .args(["--exact", "serve_until_killed", "--nocapture"])
            .env(HISTORY, history)
            .stdout(Stdio::piped())
            .spawn()
            .expect("it starts");
        let lines = BufReader::new(child.stdout.take().expect("a pipe")).lines();
        let mut lines = lines.map(|line| line.expect("text"));
        let address = lines.find_map(|line| line.split_once("listens on ")?.1.parse().ok());
        Process { child, address: address.expect("an address") }
    }

    /// The value of one series.
    fn figure(&self, series: &str) -> f64 {
        let text = get(self.address, "/metrics/prometheus").body;
        let value = text.lines().find_map(|line| line.strip_prefix(series)?.trim().parse().ok());
        value.unwrap_or_else(|| panic!("no {series}: {text}"))
    }

    fn until(&self, series: &str, least: f64) {
        let begun = Instant::now();
        while self.figure(series) < least {
            assert!(begun.elapsed() < PATIENCE, "{series} is {}", self.figure(series));
            std::thread::sleep(Duration::from_millis(20)); // another process's time
        }
    }
}

impl Drop for Process {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

/// Does nothing unless it is started by [`Process`].
#[tokio::test(flavor = "multi_thread")]
async fn serve_until_killed() {
    let Some(history) = std::env::var_os(HISTORY) else { return };
    let check = HealthCheck::new("storage", || async { true });
    let monitor = AvailabilityMonitor::builder()
        .discover(false)
        .breakers(CircuitBreakerRegistry::new())
        .history_file(history)
        .check(check.interval(Duration::from_millis(50)).timeout(Duration::from_millis(40)))
        .start()
        .await
        .expect("it starts");
    monitor.breakers().get_or_create("cache");
    let admin = Admin::new("s3cret").expect("a token");
    let server = server(&monitor).admin(admin).start().expect("it listens");
    println!("listens on {}", server.local_addr());
    std::future::pending::<()>().await;
}

#[test]
fn what_an_operator_was_told_is_done_is_kept_though_the_process_is_killed_at_once() {
    let folder = tempfile::tempdir().expect("a folder");
    let path = folder.path().join("history.jsonl");
    let body = r#"{"actor":"anna","reason":"moving, password=hunter2"}"#;
    for round in 1..=5 {
        let process = Process::start(&path);
        let address = process.address;
        let answer = send(
            address,
            &format!(
                "POST /admin/breakers/cache/trip HTTP/1.1\r\nHost: {address}\r\nConnection: close\r\n\
                 Authorization: Bearer s3cret\r\nContent-Type: application/json\r\n\
                 Content-Length: {}\r\n\r\n{body}",
                body.len()
            ),
        );
        drop(process);
        assert_eq!(answer.status, 200, "{}", answer.body);
        let history = std::fs::read_to_string(&path).expect("a history");
        let kept = history.lines().filter(|line| line.contains(r#""type":"audit""#));
        assert_eq!(kept.count(), round, "{history}");
        assert!(!history.contains("hunter2"), "{history}");
    }
}

#[test]
fn counted_seconds_begin_anew_with_each_process_and_hold_the_time_between_them() {
    const UP: &str = r#"avail_state_seconds_total{component="",state="up"}"#;
    const DOWN: &str = r#"avail_state_seconds_total{component="",state="down"}"#;
    const OF_HISTORY: &str = r#"avail_state_seconds_total{component="history",state="up"}"#;
    let folder = tempfile::tempdir().expect("a folder");
    let path = folder.path().join("history.jsonl");
    let first = Process::start(&path);
    first.until(UP, 2.0);
    assert!(first.figure(OF_HISTORY) >= 2.0);
    assert_eq!(first.figure(DOWN), 0.0);
    drop(first);
    std::thread::sleep(Duration::from_millis(500)); // nobody is there

    let begun = Instant::now();
    let second = Process::start(&path);
    let up = second.figure(UP);
    assert!(up <= begun.elapsed().as_secs_f64(), "{up} s up, of what the history tells");
    second.until(UP, 0.1);
    assert!(second.figure(DOWN) >= 0.5, "{} s down", second.figure(DOWN));
}
