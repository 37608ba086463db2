//! What an answer to `/metrics` costs: the snapshot alone, each text form with its snapshot, the same
//! as gzip, and JSON; in processor time of the thread, so that what the machine gave to others
//! meanwhile counts for nobody.
//!
//! ```sh
//! cargo run --release --locked --features http --bin scrape
//! ```

use std::hint::black_box;
use std::time::Duration;

use avail::http::HealthEndpoints;
use avail::http::prometheus::{Form, render_as};
use avail::{AvailabilityMonitor, CircuitBreakerRegistry, HealthCheck};

const ROUNDS: usize = 31;

fn main() -> Result<(), Box<dyn std::error::Error>> {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
    println!(
        "| components | snapshot | text | bytes | OpenMetrics | text as gzip | bytes | JSON | bytes |"
    );
    println!("|--:|--:|--:|--:|--:|--:|--:|--:|--:|");
    for components in [10, 1_000, 10_000] {
        let monitor = runtime.block_on(start(components))?;
        let endpoints = HealthEndpoints::new(monitor.clone(), monitor.breakers().clone());
        let json = || serde_json::to_vec(&endpoints.metrics()).expect("it is JSON");
        let text = |form| render_as(&monitor, form);
        let packed = || {
            let request = hyper::Request::get("/metrics/prometheus");
            let request = request.header("accept-encoding", "gzip").body(());
            avail::http::respond(&endpoints, &request.expect("a request")).into_body()
        };
        println!(
            "| {components} | {:.1?} | {:.1?} | {} | {:.1?} | {:.1?} | {} | {:.1?} | {} |",
            median(|| drop(black_box(monitor.snapshot()))),
            median(|| drop(black_box(text(Form::Text)))),
            text(Form::Text).len(),
            median(|| drop(black_box(text(Form::OpenMetrics)))),
            median(|| drop(black_box(packed()))),
            packed().len(),
            median(|| drop(black_box(json()))),
            json().len(),
        );
        runtime.block_on(monitor.stop());
    }
    Ok(())
}

/// Each has run some times, and one in ten has failed and recovered.
async fn start(components: usize) -> Result<AvailabilityMonitor, avail::MonitorError> {
    let mut builder =
        AvailabilityMonitor::builder().discover(false).breakers(CircuitBreakerRegistry::new());
    for component in 0..components {
        let check = HealthCheck::new(format!("component-{component}"), || async {});
        builder = builder.check(check.interval(Duration::from_secs(3_600)));
    }
    let monitor = builder.start().await?;
    while !monitor.status().started {
        tokio::task::yield_now().await;
    }
    for run in 0..10 {
        for component in 0..components {
            let good = run != 5 || component % 10 != 0;
            monitor.check_health(format!("component-{component}"), || async { good }).await;
        }
    }
    Ok(monitor)
}

fn median(mut work: impl FnMut()) -> Duration {
    let mut times: Vec<_> = (0..ROUNDS)
        .map(|_| {
            let began = processor_time();
            work();
            processor_time() - began
        })
        .collect();
    times.sort();
    times[ROUNDS / 2]
}

fn processor_time() -> Duration {
    let time = rustix::time::clock_gettime(rustix::time::ClockId::ThreadCPUTime);
    Duration::new(time.tv_sec as u64, time.tv_nsec as u32)
}
