//! A kubelet, a Service and clients, in short: three replicas are restarted one after the other, and
//! nobody notices. Periods are those of a manifest, a tenth of a second for a second.

mod common;

use std::collections::VecDeque;
use std::io::{Read, Write};
use std::net::{SocketAddr, TcpStream};
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant};

use avail_core::{AvailabilityMonitor, CircuitBreakerRegistry, HealthCheck, Window};
use avail_http::Server;
use common::PATIENCE;
use tokio::sync::oneshot;
use tokio::task::JoinHandle;

const SECOND: Duration = Duration::from_millis(100);
const REPLICAS: usize = 3;
/// Of the readiness probe, in seconds of ours.
const PERIOD: u32 = 1;
const FAILURE_THRESHOLD: usize = 2;
/// Longer than readiness needs to fail, and the Service to hear of it.
const DRAIN: u32 = 10;

/// One replica, until it is told to end.
struct Replica {
    monitor: AvailabilityMonitor,
    address: SocketAddr,
    signal: oneshot::Sender<()>,
    running: JoinHandle<()>,
}

impl Replica {
    /// Its check takes a while to pass for the first time.
    async fn start(history: &Path) -> Self {
        let begun = Instant::now();
        let storage = HealthCheck::new("storage", move || async move {
            if begun.elapsed() > 3 * SECOND { Ok(()) } else { Err("not connected yet") }
        });
        let monitor = AvailabilityMonitor::builder()
            .discover(false)
            .breakers(CircuitBreakerRegistry::new())
            .history_file(history)
            .check(storage.interval(SECOND).retry_interval(SECOND))
            .start()
            .await
            .expect("it starts");
        let server = Server::new(&monitor).listen("127.0.0.1:0").environment(false);
        let server = server.drain_time(DRAIN * SECOND).start().expect("it listens");
        let (address, (signal, signalled)) = (server.local_addr(), oneshot::channel());
        let running = tokio::spawn(server.run_until(signalled));
        Replica { monitor, address, signal, running }
    }

    /// As SIGTERM does. Gives what it was.
    async fn end(self) -> AvailabilityMonitor {
        self.signal.send(()).expect("it waits");
        self.running.await.expect("it ends");
        self.monitor.stop().await;
        self.monitor
    }
}

/// What a kubelet knows of a container.
#[derive(Debug, Default)]
struct Pod {
    ready: AtomicBool,
    startup_failures: AtomicUsize,
    liveness_failures: AtomicUsize,
    gone: AtomicBool,
}

/// The status of the answer to a request, if there is one within a second.
fn status(address: SocketAddr, path: &str, agent: &str) -> Option<u16> {
    let limit = Duration::from_secs(1);
    let mut stream = TcpStream::connect_timeout(&address, limit).ok()?;
    stream.set_read_timeout(Some(limit)).ok()?;
    let request = format!(
        "GET {path} HTTP/1.1\r\nHost: {address}\r\nUser-Agent: {agent}\r\nAccept: */*\r\n\
         Connection: close\r\n\r\n"
    );
    stream.write_all(request.as_bytes()).ok()?;
    let mut answer = String::new();
    stream.read_to_string(&mut answer).ok()?;
    answer.strip_prefix("HTTP/1.1 ")?.get(..3)?.parse().ok()
}

/// As the kubelet does: any status from 200 to 399 is a success.
fn probe(address: SocketAddr, path: &str) -> bool {
    status(address, path, "kube-probe/1.31").is_some_and(|status| (200..400).contains(&status))
}

/// Probes a container until it is gone: startup first, then readiness and liveness.
fn watch(address: SocketAddr, pod: &Pod) {
    let gone = || pod.gone.load(Ordering::Acquire);
    while !gone() && !probe(address, "/startupz") {
        pod.startup_failures.fetch_add(1, Ordering::Relaxed);
        std::thread::sleep(PERIOD * SECOND);
    }
    let mut failures = 0;
    while !gone() {
        failures = if probe(address, "/readyz") { 0 } else { failures + 1 };
        if failures == 0 {
            pod.ready.store(true, Ordering::Release);
        } else if failures >= FAILURE_THRESHOLD {
            pod.ready.store(false, Ordering::Release);
        }
        // One that has closed its listener is gone, and not dead.
        if !probe(address, "/livez") && !gone() {
            pod.liveness_failures.fetch_add(1, Ordering::Relaxed);
        }
        std::thread::sleep(PERIOD * SECOND);
    }
    pod.ready.store(false, Ordering::Release);
}

type Endpoint = (SocketAddr, Arc<Pod>);

/// The replicas that requests go to, by what the kubelet says.
#[derive(Clone, Default)]
struct Service(Arc<Mutex<Vec<Endpoint>>>);

impl Service {
    fn pods(&self) -> Vec<Endpoint> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }

    fn add(&self, address: SocketAddr) -> Arc<Pod> {
        let pod = Arc::new(Pod::default());
        let watched = pod.clone();
        std::thread::spawn(move || watch(address, &watched));
        self.0.lock().unwrap_or_else(PoisonError::into_inner).push((address, pod.clone()));
        pod
    }

    fn endpoints(&self) -> Vec<SocketAddr> {
        let pods = self.pods().into_iter();
        pods.filter(|(_, pod)| pod.ready.load(Ordering::Acquire)).map(|(at, _)| at).collect()
    }
}

/// Sends requests to the endpoints in turns, and gives how many went well and which did not.
fn call(service: &Service, over: &AtomicBool) -> (usize, Vec<String>) {
    let (mut good, mut bad) = (0, Vec::new());
    for turn in 0.. {
        if over.load(Ordering::Acquire) {
            break;
        }
        let endpoints = service.endpoints();
        if endpoints.is_empty() {
            bad.push("there was no endpoint".into());
        } else {
            let address = endpoints[turn % endpoints.len()];
            match status(address, "/health/storage", "client") {
                Some(200) => good += 1,
                other => bad.push(format!("{address} said {other:?}")),
            }
        }
        std::thread::sleep(SECOND / 20); // a client that is busy, and no flood
    }
    (good, bad)
}

async fn until_ready(pod: &Pod) {
    let begun = Instant::now();
    while !pod.ready.load(Ordering::Acquire) {
        assert!(begun.elapsed() < PATIENCE, "not ready: {pod:?}");
        tokio::time::sleep(SECOND / 10).await;
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_rolling_restart_costs_no_request_and_is_no_incident() {
    let folder = tempfile::tempdir().expect("a folder");
    let history = |replica: usize| -> PathBuf { folder.path().join(format!("{replica}.jsonl")) };
    let service = Service::default();
    let mut replicas = VecDeque::new();
    for number in 0..REPLICAS {
        let replica = Replica::start(&history(number)).await;
        let pod = service.add(replica.address);
        replicas.push_back((replica, pod));
    }
    for (_, pod) in &replicas {
        until_ready(pod).await;
        assert!(pod.startup_failures.load(Ordering::Relaxed) > 0, "it was waited for");
    }

    let over = Arc::new(AtomicBool::new(false));
    let (calling, ended) = (service.clone(), over.clone());
    let client = std::thread::spawn(move || call(&calling, &ended));
    for number in 0..REPLICAS {
        let (replica, pod) = replicas.pop_front().expect("one of three");
        let ended = replica.end().await;
        assert!(!pod.ready.load(Ordering::Acquire), "the Service heard of it before the end");
        pod.gone.store(true, Ordering::Release);
        assert!(!ended.is_running());
        assert_eq!(ended.incidents(Window::ALL_TIME), [], "draining is no incident");

        let again = Replica::start(&history(number)).await;
        assert!(!again.monitor.recovery().expect("a file").unclean_end);
        let pod = service.add(again.address);
        until_ready(&pod).await;
        replicas.push_back((again, pod));
    }
    over.store(true, Ordering::Release);
    let (good, bad) = client.join().expect("it ends");
    assert_eq!(bad, Vec::<String>::new(), "{good} went well");
    assert!(good > 50, "{good}");

    for (replica, pod) in &replicas {
        let monitor = &replica.monitor;
        assert_eq!(monitor.incidents(Window::ALL_TIME), [], "a restart is no incident");
        let process = monitor.component_metrics("process", Window::ALL_TIME).expect("it is known");
        assert_eq!((process.incidents, process.downtime_seconds), (0, 0.0));
        let storage = monitor.component_metrics("storage", Window::ALL_TIME).expect("it is known");
        assert_eq!(storage.downtime_seconds, 0.0, "what fails before the start is no down time");
        assert_eq!(pod.liveness_failures.load(Ordering::Relaxed), 0, "nobody would restart it");
        pod.gone.store(true, Ordering::Release);
    }
    for (replica, _) in replicas {
        replica.end().await;
    }
}
