//! A small service that knows how available it is, from end to end.
//!
//! It stores text files in a database on disk and finds the passages in them that are nearest to a
//! question. Its three components, `storage`, `embedder` and `vector_search`, each have a circuit
//! breaker and a health check: look for `#[avail::…]` in `engine/`. All else that it takes is in
//! [`run`]: a monitor is started, and a server for the endpoints.
//!
//! ```text
//! cargo run --example availability_monitoring_integration --features http -- \
//!     --for 30s --outage storage=10s
//! ```
//!
//! | file | what it holds |
//! |---|---|
//! | `engine/` | the service itself |
//! | `ingest`, `load` | what it has to do |
//! | `outage` | how a component is made to fail |
//! | `status`, `summary` | what is printed |
//! | `args`, `corpus` | the command line, and the files to work on |

// A program has no API: here `pub` says what a module offers to the others.
#![allow(unreachable_pub)]

mod args;
mod corpus;
mod engine;
mod ingest;
mod load;
mod outage;
mod status;
mod summary;

use std::error::Error;
use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::process::ExitCode;
use std::time::Duration;

use avail::http::{Server, sigterm};
use avail::{AvailabilityMonitor, Window};
use clap::Parser;

use self::args::Args;
use self::engine::Engine;
use self::load::Tally;
use self::outage::Outage;
use self::status::say;

/// What ends the process early: one line that says what to do.
type Failure = Box<dyn Error + Send + Sync>;

#[tokio::main]
async fn main() -> ExitCode {
    match run(Args::parse()).await {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("error: {error}");
            ExitCode::FAILURE
        }
    }
}

async fn run(args: Args) -> Result<(), Failure> {
    outage::refuse_repeated(&args.outage)?;
    let documents = corpus::find(&args.paths)?;
    let data = args.data();
    let engine = open_engine(&data)?;
    let monitor = AvailabilityMonitor::builder()
        .history_file(data.join("availability_history.jsonl"))
        .start()
        .await?;
    let server = server(&monitor, &args).start()?;
    announce(&monitor, &data, server.local_addr());

    let work = tokio::spawn(work(engine, monitor.clone(), documents, args.outage));
    server.run_until(end(args.length)).await;
    work.abort();
    monitor.stop().await;
    say(summary::table(&monitor));
    engine.storage.close();
    Ok(())
}

fn open_engine(data: &Path) -> Result<&'static Engine, Failure> {
    let folder = data.display();
    let advice = "choose another folder with --data";
    std::fs::create_dir_all(data)
        .map_err(|error| format!("the folder `{folder}` can't be made: {error}; {advice}"))?;
    Engine::open(data).map_err(|error| match error.is_in_use() {
        true => {
            format!("another process works on the data in `{folder}`; stop it, or {advice}").into()
        }
        false => format!("the database in `{folder}` can't be opened: {error}; {advice}").into(),
    })
}

fn server(monitor: &AvailabilityMonitor, args: &Args) -> Server {
    let mut server = Server::new(monitor);
    if let Some(address) = &args.listen {
        server = server.listen(address).environment(false);
    }
    if args.length.is_some() {
        // The end is foreseen: there is nobody who has to notice first that it is not ready.
        server = server.drain_time(Duration::ZERO);
    }
    server
}

/// Reads everything, then bears the load, and whatever goes wrong, until it is ended.
async fn work(
    engine: &'static Engine,
    monitor: AvailabilityMonitor,
    documents: Vec<PathBuf>,
    outages: Vec<Outage>,
) {
    let tally = Tally::default();
    let work = async {
        ingest::store_all(engine, &documents).await;
        load::ask_once(engine, "when does the breaker open?").await;
        tokio::join!(
            load::ask_steadily(engine, &tally),
            load::ingest_steadily(engine, &documents, &tally),
            status::report(&monitor, &tally),
            outage::strike_each(engine, &monitor, outages),
        );
    };
    tokio::join!(status::narrate(&monitor), work);
}

/// Whichever comes first: the end of the time, Ctrl-C or SIGTERM.
async fn end(length: Option<Duration>) {
    let signal = sigterm();
    match length {
        None => signal.await,
        Some(length) => tokio::select! {
            () = signal => {}
            () = tokio::time::sleep(length) => {}
        },
    }
}

fn announce(monitor: &AvailabilityMonitor, data: &Path, address: SocketAddr) {
    say(format_args!("data: {}", data.display()));
    say(format_args!("history: {}", past(monitor)));
    say("try:");
    for path in ["health", "readiness", "liveness", "metrics", "metrics/prometheus", "incidents"] {
        say(format_args!("  curl http://{address}/{path}"));
    }
}

/// What the history says of the time before this start.
fn past(monitor: &AvailabilityMonitor) -> String {
    let Some(found) = monitor.recovery().filter(|found| found.records > 0) else {
        return "a new one".into();
    };
    let end = if found.unclean_end { "was killed or crashed" } else { "ended in order" };
    let process = monitor.component_metrics("process", Window::ALL_TIME).unwrap_or_default();
    let down = match process.incidents {
        0 => "no crash has cost any time yet".into(),
        1 => format!("a crash has cost {:.1} s", process.downtime_seconds),
        times => format!("{times} crashes have cost {:.1} s", process.downtime_seconds),
    };
    format!("{} records read back; the process before {end}; {down}", found.records)
}
