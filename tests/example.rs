//! The example `availability_monitoring_integration` as its users meet it: a real process, real
//! HTTP, real outages, a real `kill -9`.
//!
//! Everything is waited for with a deadline, and nothing by a fixed sleep.

#![cfg(all(feature = "http", feature = "macros", unix))]

use std::fs::File;
use std::io::{Read, Write};
use std::net::{SocketAddr, TcpListener, TcpStream};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, ExitStatus, Output, Stdio};
use std::sync::OnceLock;
use std::thread::sleep;
use std::time::{Duration, Instant};

use serde_json::Value;
use tempfile::TempDir;

const NAME: &str = "availability_monitoring_integration";
/// How long anything may take that takes its time only on a slow machine.
const PATIENCE: Duration = Duration::from_secs(20);
/// The interval of the example's checks with its jitter, and a little for the machine.
const CHECK: f64 = 1.1 + 0.4;

/// Where cargo put the example, next to this test. It is built here if only this test was asked for.
fn program() -> &'static Path {
    static PROGRAM: OnceLock<PathBuf> = OnceLock::new();
    PROGRAM.get_or_init(|| {
        let test = std::env::current_exe().expect("a test runs from a file");
        let profile = test.ancestors().nth(2).expect("it is in deps, in the profile's folder");
        let program = profile.join("examples").join(NAME);
        if !program.exists() {
            let mut cargo = Command::new(env!("CARGO"));
            cargo.args(["build", "--features", "http", "--example", NAME]);
            let built = cargo.current_dir(env!("CARGO_MANIFEST_DIR")).status();
            assert!(built.expect("cargo runs").success(), "the example can't be built");
        }
        program
    })
}

/// The example, at work on this repository's core, in a folder and on a port of its own.
struct Service {
    process: Child,
    address: SocketAddr,
    log: PathBuf,
}

impl Service {
    fn start(data: &Path, options: &[&str]) -> Self {
        let address = free_address();
        let log = data.join(format!("stdout-{}", address.port()));
        let process = command(data, address)
            .args(options)
            .stdout(File::create(&log).expect("a file for the output"))
            .spawn()
            .expect("the example starts");
        Service { process, address, log }
    }

    /// The status code and the body; `None` while nobody answers.
    fn try_ask(&self, path: &str) -> Option<(u16, Value)> {
        let mut stream = TcpStream::connect(self.address).ok()?;
        stream.set_read_timeout(Some(PATIENCE)).ok()?;
        let host = self.address;
        write!(stream, "GET {path} HTTP/1.1\r\nHost: {host}\r\nConnection: close\r\n\r\n").ok()?;
        let mut response = String::new();
        stream.read_to_string(&mut response).ok()?;
        let (head, body) = response.split_once("\r\n\r\n")?;
        let code = head.split(' ').nth(1)?.parse().ok()?;
        Some((code, serde_json::from_str(body).ok()?))
    }

    fn ask(&self, path: &str) -> (u16, Value) {
        self.try_ask(path).unwrap_or_else(|| panic!("no answer to {path}\n{}", self.said()))
    }

    fn body(&self, path: &str) -> Value {
        self.ask(path).1
    }

    /// Asks until `wanted` finds in the answer what it looks for.
    fn wait<T>(&self, path: &str, wanted: impl Fn(u16, &Value) -> Option<T>) -> T {
        let mut last = None;
        let deadline = Instant::now() + PATIENCE;
        while Instant::now() < deadline {
            last = self.try_ask(path);
            if let Some(found) = last.as_ref().and_then(|(code, body)| wanted(*code, body)) {
                return found;
            }
            sleep(Duration::from_millis(50));
        }
        panic!("{path} did not become what it should: {last:#?}\n{}", self.said())
    }

    fn wait_until_ready(&self) {
        self.wait("/readiness", |code, _| (code == 200).then_some(()));
    }

    fn breaker(&self, name: &str) -> Value {
        let metrics = self.body("/metrics");
        let breakers = metrics["circuit_breakers"].as_array().expect("a list");
        breakers.iter().find(|breaker| breaker["name"] == name).expect("it is listed").clone()
    }

    fn signal(&self, signal: &str) {
        let sent = Command::new("kill").args([signal, &self.process.id().to_string()]).status();
        assert!(sent.expect("kill is there").success());
    }

    fn wait_for_exit(&mut self) -> ExitStatus {
        let deadline = Instant::now() + PATIENCE;
        while Instant::now() < deadline {
            if let Some(status) = self.process.try_wait().expect("a child of ours") {
                return status;
            }
            sleep(Duration::from_millis(50));
        }
        panic!("it did not end\n{}", self.said())
    }

    fn wait_to_say(&self, text: &str) {
        let deadline = Instant::now() + PATIENCE;
        while !self.said().contains(text) {
            assert!(Instant::now() < deadline, "it does not say `{text}`\n{}", self.said());
            sleep(Duration::from_millis(50));
        }
    }

    /// What it has printed up to now.
    fn said(&self) -> String {
        std::fs::read_to_string(&self.log).unwrap_or_default()
    }
}

impl Drop for Service {
    fn drop(&mut self) {
        // It may have ended by itself.
        let _ = self.process.kill();
        let _ = self.process.wait();
    }
}

fn command(data: &Path, address: SocketAddr) -> Command {
    let mut command = Command::new(program());
    command.arg("--data").arg(data).args(["--listen", &address.to_string()]);
    command.arg(Path::new(env!("CARGO_MANIFEST_DIR")).join("avail-core/src/health"));
    command.env_remove("AVAIL_LISTEN").env_remove("AVAIL_BREAKERS").stdin(Stdio::null());
    command
}

fn free_address() -> SocketAddr {
    let listener = TcpListener::bind("127.0.0.1:0").expect("a free port");
    listener.local_addr().expect("it is bound")
}

fn folder() -> TempDir {
    tempfile::tempdir().expect("a folder")
}

fn number(value: &Value) -> f64 {
    value.as_f64().unwrap_or_else(|| panic!("{value} is no number"))
}

/// The incidents of the last day of one component.
fn incidents_of(incidents: &Value, component: &str) -> Vec<Value> {
    let all = incidents["recent_incidents_24h"].as_array().expect("a list");
    all.iter().filter(|incident| incident["component"] == component).cloned().collect()
}

#[test]
fn an_outage_is_seen_at_every_endpoint_and_so_is_its_end() {
    let data = folder();
    let service = Service::start(data.path(), &["--outage", "storage=6s"]);
    service.wait_until_ready();
    let health = service.body("/health");
    assert_eq!(health["status"], "healthy");
    for component in ["storage", "embedder", "vector_search"] {
        assert_eq!(health["components"][component], "healthy", "{component}");
        assert_eq!(service.breaker(component)["state"], "closed", "{component}");
    }

    service
        .wait("/health", |code, body| (code == 503 && body["status"] == "unhealthy").then_some(()));
    let (code, readiness) = service.ask("/readiness");
    assert_eq!((code, &readiness["ready"]), (503, &Value::Bool(false)));
    assert_eq!(readiness["unhealthy_critical"], serde_json::json!(["storage"]));
    assert_eq!(service.ask("/liveness").0, 200);
    service.wait("/metrics", |_, metrics| {
        let breakers = metrics["circuit_breakers"].as_array()?;
        let storage = breakers.iter().find(|breaker| breaker["name"] == "storage")?;
        (storage["state"] == "open").then_some(())
    });
    let incidents = service.body("/incidents");
    assert_eq!(incidents["active_incidents"][0]["component"], "storage");
    assert_eq!(incidents["active_incidents"][0]["resolved"], false);

    service.wait_until_ready();
    service.wait("/metrics", |_, metrics| {
        let breakers = metrics["circuit_breakers"].as_array()?;
        breakers.iter().all(|breaker| breaker["state"] == "closed").then_some(())
    });
    service.wait("/health", |_, health| (health["status"] == "healthy").then_some(()));
    assert!(service.said().lines().any(fallbacks_served), "{}", service.said());
    let incidents = service.body("/incidents");
    assert_eq!(incidents["active_incidents"], serde_json::json!([]));
    let [incident] = &incidents_of(&incidents, "storage")[..] else { panic!("{incidents:#}") };
    assert_eq!(incident["resolved"], true);
    let duration = number(&incident["duration_seconds"]);
    assert!((duration - 6.0).abs() < CHECK, "an outage of 6 s gave {incident:#}");
    the_figures_are_those_of_one_outage(&service.body("/metrics"), duration);
}

/// In a line of status: `…  queries: 140 full, 60 partial, 0 failed  …`.
fn fallbacks_served(line: &str) -> bool {
    let partial = line.split(", ").find_map(|part| part.strip_suffix(" partial"));
    partial.is_some_and(|count| count != "0")
}

/// Of the system, whose only incident it was.
fn the_figures_are_those_of_one_outage(metrics: &Value, duration: f64) {
    let figures = &metrics["availability"]["all_time"];
    assert!((number(&figures["mttr"]) - duration).abs() < CHECK, "{figures:#}, {duration} s");
    let down = number(&figures["downtime_seconds"]);
    assert!((down - duration).abs() < CHECK, "{figures:#}, {duration} s");
    let up = number(&figures["uptime_seconds"]) + number(&figures["degraded_seconds"]);
    let percentage = number(&figures["percentage"]);
    assert!((percentage - 100.0 * up / (up + down)).abs() < 0.01, "{figures:#}");
    assert!((number(&figures["mtbf"]) - up).abs() < 0.01, "{figures:#}");
}

#[test]
fn what_was_killed_carries_on_and_accounts_for_the_time_it_was_dead() {
    let data = folder();
    let mut service = Service::start(data.path(), &[]);
    service.wait_until_ready();
    let ready = Instant::now();
    service.wait("/metrics", |_, metrics| {
        (metrics["health_checks"]["total"].as_u64()? >= 6).then_some(())
    });
    service.process.kill().expect("a child of ours");
    service.wait_for_exit();
    let killed = Instant::now();

    let service = Service::start(data.path(), &[]);
    service.wait_until_ready();
    let dead = killed.elapsed().as_secs_f64();
    let incidents = service.body("/incidents");
    let [incident] = &incidents_of(&incidents, "process")[..] else { panic!("{incidents:#}") };
    assert_eq!((&incident["resolved"], &incident["severity"]), (&true.into(), &"critical".into()));
    let figures = service.body("/metrics")["availability"]["all_time"].clone();
    let down = number(&figures["downtime_seconds"]);
    assert!(
        (down - number(&incident["duration_seconds"])).abs() < 0.01,
        "{figures:#} {incident:#}"
    );
    // From its last record, which may be a heartbeat ago.
    assert!(down > 0.0 && down < dead + 15.0, "{down} s, and it was dead for {dead} s at most");
    service.wait_to_say("was killed or crashed");
    service.wait_to_say("left out, 0 new chunks");
    // The window of all time goes back to before the kill.
    let states = ["uptime", "degraded", "downtime", "unobserved"];
    let window: f64 = states.iter().map(|state| number(&figures[format!("{state}_seconds")])).sum();
    assert!(window > killed.duration_since(ready).as_secs_f64() + down, "{figures:#}");
}

#[test]
fn sigterm_takes_it_out_of_service_before_it_ends() {
    let data = folder();
    let mut service = Service::start(data.path(), &[]);
    service.wait_until_ready();
    service.signal("-TERM");
    service.wait("/readiness", |code, _| (code == 503).then_some(()));
    assert_eq!(service.ask("/liveness").0, 200);
    assert_eq!(service.wait_for_exit().code(), Some(0), "{}", service.said());
    assert!(service.said().contains("the system"), "it sums up: {}", service.said());
    assert!(TcpStream::connect(service.address).is_err(), "the port is free again");
}

#[test]
fn it_ends_by_itself_and_sums_up() {
    let data = folder();
    let mut service = Service::start(data.path(), &["--for", "3s"]);
    assert_eq!(service.wait_for_exit().code(), Some(0), "{}", service.said());
    for row in ["storage", "embedder", "vector_search", "process", "the system"] {
        assert!(
            service.said().lines().any(|line| line.starts_with(row)),
            "{row}: {}",
            service.said()
        );
    }
}

/// It gives up at once, with one line that says what to do.
fn assert_refused(output: &Output, code: i32, advice: &str) {
    let error = String::from_utf8_lossy(&output.stderr);
    assert_eq!(output.status.code(), Some(code), "{error}");
    assert!(error.starts_with("error: ") && error.contains(advice), "{error}");
    assert!(!error.contains("panicked"), "{error}");
    if code == 1 {
        assert_eq!(error.lines().count(), 1, "{error}");
    }
}

#[test]
fn the_environment_says_where_it_listens() {
    let data = folder();
    let address = free_address();
    let mut command = Command::new(program());
    command.arg("--data").arg(data.path()).arg(env!("CARGO_MANIFEST_DIR"));
    command.env("AVAIL_LISTEN", address.to_string()).stdout(Stdio::null());
    let process = command.spawn().expect("the example starts");
    let service = Service { process, address, log: PathBuf::new() };
    service.wait("/liveness", |code, _| (code == 200).then_some(()));
}

#[test]
fn a_bad_option_is_refused_with_what_would_be_right() {
    let data = folder();
    let cases = [
        (["--outage", "disk=10s"], "it is one of storage, embedder, vector_search"),
        (["--outage", "storage"], "as in storage=10s"),
        (["--outage", "storage=soon"], "write one like 30s"),
        (["--for", "a while"], "write one like 30s"),
    ];
    for (options, advice) in cases {
        let mut command = Command::new(program());
        let output = command.arg("--data").arg(data.path()).args(options).output();
        assert_refused(&output.expect("it starts"), 2, advice);
    }
}

#[test]
fn a_path_that_does_not_exist_is_refused() {
    let data = folder();
    let output = command(data.path(), free_address()).arg("no/such/file").output();
    assert_refused(&output.expect("it starts"), 1, "`no/such/file` can't be read");
}

#[test]
fn an_address_that_is_none_is_refused() {
    let data = folder();
    let mut command = Command::new(program());
    let output = command.arg("--data").arg(data.path()).args(["--listen", "here"]).output();
    assert_refused(&output.expect("it starts"), 1, "`here`");
}

#[test]
fn a_port_in_use_is_refused() {
    let data = folder();
    let taken = TcpListener::bind("127.0.0.1:0").expect("a free port");
    let address = taken.local_addr().expect("it is bound");
    let output = command(data.path(), address).output();
    assert_refused(&output.expect("it starts"), 1, &address.to_string());
}

#[test]
fn a_second_process_on_the_same_data_is_refused() {
    let data = folder();
    let service = Service::start(data.path(), &[]);
    service.wait_until_ready();
    let output = command(data.path(), free_address()).output();
    assert_refused(&output.expect("it starts"), 1, "choose another folder with --data");
}

#[tokio::test]
async fn a_history_that_another_process_writes_is_refused() {
    let data = folder();
    let history = data.path().join("availability_history.jsonl");
    let monitor = avail::AvailabilityMonitor::builder().discover(false).history_file(history);
    let monitor = monitor.start().await.expect("a new history");
    let output = command(data.path(), free_address()).output();
    assert_refused(&output.expect("it starts"), 1, "is in use by another process");
    monitor.stop().await;
}
