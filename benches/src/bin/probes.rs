//! How many probes are answered, beside a bare server of the same stack that gives a constant of the
//! same size: both on a thread of their own, asked in turns by `wrk`. Beside the rate stands the
//! processor time of the server's thread for an answer, which other programs disturb less.
//!
//! ```sh
//! cargo run --release --locked --features http --bin probes             # 7 rounds of 3 s each
//! cargo run --release --locked --features http --bin probes -- 3 1      # for a look
//! ```

use std::convert::Infallible;
use std::future::ready;
use std::io::{Read, Write};
use std::net::{SocketAddr, TcpStream};
use std::process::Command;
use std::time::Duration;

use avail::http::Server;
use avail::{AvailabilityMonitor, CircuitBreakerRegistry, HealthCheck};
use bytes::Bytes;
use http_body_util::Full;
use hyper::body::Incoming;
use hyper::header::HeaderValue;
use hyper::server::conn::http1;
use hyper::service::service_fn;
use hyper::{Request, Response};
use hyper_util::rt::{TokioIo, TokioTimer};
use tokio::task::JoinSet;

type Failure = Box<dyn std::error::Error>;

const COMPONENTS: usize = 5;
const CONNECTIONS: usize = 16;

fn main() -> Result<(), Failure> {
    let mut arguments = std::env::args().skip(1).map(|text| text.parse::<u32>());
    let rounds = arguments.next().transpose()?.unwrap_or(7);
    let seconds = arguments.next().transpose()?.unwrap_or(3);
    let runtime = tokio::runtime::Builder::new_multi_thread().enable_all().build()?;
    let monitor = runtime.block_on(monitor())?;
    let server = Server::new(&monitor).listen("127.0.0.1:0").environment(false).start()?;
    println!(
        "| path | bytes | server | answers a second | least | most | of bare | p99 | µs of its thread an answer | of bare |"
    );
    println!("|---|--:|---|--:|--:|--:|--:|--:|--:|--:|");
    for path in ["/liveness", "/readiness"] {
        let body = body(server.local_addr(), path)?;
        let bare = bare(body.clone())?;
        let threads = [thread_of(bare), "avail-http".to_owned()];
        let mut runs: [Vec<Run>; 2] = Default::default();
        for round in 0..rounds {
            for turn in 0..2 {
                // Every other round goes backwards.
                let which = ((round + turn) % 2) as usize;
                let address = [bare, server.local_addr()][which];
                let before = processor_time(&threads[which])?;
                let (rate, p99) = wrk(address, path, seconds)?;
                let time = processor_time(&threads[which])? - before;
                let answers = rate * f64::from(seconds);
                runs[which].push(Run { rate, p99, micros: time.as_secs_f64() * 1e6 / answers });
            }
        }
        report(path, body.len(), &runs);
    }
    runtime.block_on(server.shutdown());
    Ok(())
}

async fn monitor() -> Result<AvailabilityMonitor, Failure> {
    let mut builder =
        AvailabilityMonitor::builder().discover(false).breakers(CircuitBreakerRegistry::new());
    for component in 0..COMPONENTS {
        builder = builder.check(
            HealthCheck::new(format!("component-{component}"), || async {})
                .interval(Duration::from_secs(1)),
        );
    }
    let monitor = builder.start().await?;
    while !monitor.status().ready {
        tokio::time::sleep(Duration::from_millis(1)).await;
    }
    Ok(monitor)
}

/// What a probe says.
fn body(address: SocketAddr, path: &str) -> Result<Bytes, Failure> {
    let mut stream = TcpStream::connect(address)?;
    write!(stream, "GET {path} HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n")?;
    let mut text = String::new();
    stream.read_to_string(&mut text)?;
    let (_, body) = text.split_once("\r\n\r\n").ok_or("no answer")?;
    Ok(Bytes::copy_from_slice(body.as_bytes()))
}

/// A server that does nothing but answer: the same builder, timer, limits, kind of thread and
/// headers.
fn bare(body: Bytes) -> Result<SocketAddr, Failure> {
    let listener = std::net::TcpListener::bind("127.0.0.1:0")?;
    listener.set_nonblocking(true)?;
    let address = listener.local_addr()?;
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
    let (tell, told) = std::sync::mpsc::channel();
    let thread = std::thread::Builder::new().name(thread_of(address));
    thread.spawn(move || {
        let _ = tell.send(()); // by now it has its name
        runtime.block_on(async {
            let Ok(listener) = tokio::net::TcpListener::from_std(listener) else { return };
            let mut connections = JoinSet::new();
            while let Ok((stream, _)) = listener.accept().await {
                let _ = stream.set_nodelay(true);
                let body = body.clone();
                connections.spawn(async move {
                    let answer = service_fn(|_: Request<Incoming>| {
                        ready(Ok::<_, Infallible>(constant(body.clone())))
                    });
                    let _ = http1::Builder::new()
                        .timer(TokioTimer::new())
                        .header_read_timeout(Duration::from_secs(30))
                        .max_buf_size(8 * 1024)
                        .serve_connection(TokioIo::new(stream), answer)
                        .await;
                });
            }
        });
    })?;
    told.recv()?;
    Ok(address)
}

fn constant(body: Bytes) -> Response<Full<Bytes>> {
    let mut response = Response::new(Full::new(body));
    for (name, value) in [
        ("content-type", "application/json"),
        ("cache-control", "no-store"),
        ("x-content-type-options", "nosniff"),
    ] {
        response.headers_mut().insert(name, HeaderValue::from_static(value));
    }
    response
}

/// What a turn gave.
#[derive(Clone, Debug)]
struct Run {
    rate: f64,
    p99: String,
    micros: f64,
}

/// The name of a bare server's thread.
fn thread_of(bare: SocketAddr) -> String {
    format!("bare-{}", bare.port())
}

/// How long the thread of that name has run on a processor.
fn processor_time(name: &str) -> Result<Duration, Failure> {
    for task in std::fs::read_dir("/proc/self/task")? {
        let task = task?.path();
        if std::fs::read_to_string(task.join("comm"))?.trim() == name {
            let text = std::fs::read_to_string(task.join("schedstat"))?;
            let nanos = text.split(' ').next().unwrap_or_default().parse()?;
            return Ok(Duration::from_nanos(nanos));
        }
    }
    Err(format!("no thread is named {name}").into())
}

/// Answers a second, and the 99th percentile of how long one took.
fn wrk(address: SocketAddr, path: &str, seconds: u32) -> Result<(f64, String), Failure> {
    let connections = format!("-c{CONNECTIONS}");
    let output = Command::new("wrk")
        .args(["-t1", &connections, &format!("-d{seconds}s"), "--latency"])
        .arg(format!("http://{address}{path}"))
        .output()
        .map_err(|error| format!("wrk is needed, such as by `apt-get install wrk`: {error}"))?;
    let text = String::from_utf8(output.stdout)?;
    if text.contains("Non-2xx") || text.contains("Socket errors") {
        return Err(format!("not every answer was a good one:\n{text}").into());
    }
    let value = |key: &str| {
        let line = text.lines().find_map(|line| line.trim().strip_prefix(key));
        line.map(|rest| rest.trim().to_owned()).ok_or_else(|| format!("no {key} in:\n{text}"))
    };
    Ok((value("Requests/sec:")?.parse()?, value("99%")?))
}

fn report(path: &str, bytes: usize, runs: &[Vec<Run>; 2]) {
    let sorted = |runs: &[Run], key: fn(&Run) -> f64| {
        let mut runs = runs.to_vec();
        runs.sort_by(|a, b| key(a).total_cmp(&key(b)));
        runs
    };
    let middle = |runs: &[Run], key| sorted(runs, key)[runs.len() / 2].clone();
    let (rate, micros) = (|run: &Run| run.rate, |run: &Run| run.micros);
    let bare = (middle(&runs[0], rate).rate, middle(&runs[0], micros).micros);
    for (name, runs) in ["bare", "avail"].into_iter().zip(runs) {
        let by_rate = sorted(runs, rate);
        let (median, time) = (middle(runs, rate), middle(runs, micros).micros);
        println!(
            "| `{path}` | {bytes} | {name} | {:.0} | {:.0} | {:.0} | {:.0} % | {} | {time:.2} | {:.0} % |",
            median.rate,
            by_rate[0].rate,
            by_rate[by_rate.len() - 1].rate,
            median.rate / bare.0 * 100.0,
            median.p99,
            time / bare.1 * 100.0,
        );
    }
}
