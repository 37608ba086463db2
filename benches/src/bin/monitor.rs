//! What watching costs: a check's run from its start to its record in the history, a look at the
//! system, everything for `/metrics`, and a restart.
//!
//! ```sh
//! cargo run --release --locked --bin monitor
//! ```

use std::path::Path;
use std::time::{Duration, Instant};

use avail::{AvailabilityMonitor, HealthCheck};

const ROUNDS: usize = 7;
const RUNS: usize = 2_000;

fn main() -> Result<(), Box<dyn std::error::Error>> {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
    let folder = std::env::temp_dir().join(format!("avail-benches-{}", std::process::id()));
    std::fs::create_dir_all(&folder)?;
    println!("| components | a run | a run that changes the state | status | snapshot | restart |");
    println!("|--:|--:|--:|--:|--:|--:|");
    for components in [10, 1_000, 10_000] {
        let history = folder.join(format!("{components}.jsonl"));
        let row = runtime.block_on(measure(components, &history))?;
        println!("| {components} | {} |", row.map(|time| format!("{time:.1?}")).join(" | "));
    }
    std::fs::remove_dir_all(&folder)?;
    Ok(())
}

async fn start(
    components: usize,
    history: &Path,
) -> Result<AvailabilityMonitor, avail::MonitorError> {
    let mut builder = AvailabilityMonitor::builder().discover(false).history_file(history);
    for component in 0..components {
        let check = HealthCheck::new(format!("c{component}"), || async {});
        builder = builder.check(check.interval(Duration::from_secs(3_600)));
    }
    builder.start().await
}

async fn measure(components: usize, history: &Path) -> Result<[Duration; 5], avail::MonitorError> {
    let monitor = start(components, history).await?;
    while !monitor.status().started {
        tokio::task::yield_now().await;
    }
    let names: Vec<_> = (0..RUNS).map(|run| format!("c{}", run % components)).collect();
    let mut rounds: [Vec<Duration>; 4] = Default::default();
    for _ in 0..ROUNDS {
        rounds[0].push(runs(&monitor, &names, |_| true).await);
        // Each component fails and recovers by turns: every run changes something.
        rounds[1]
            .push(runs(&monitor, &names, |run| (run / components.min(RUNS / 2)) % 2 == 1).await);
        rounds[2].push(once(|| drop(monitor.status())));
        rounds[3].push(once(|| drop(monitor.snapshot())));
    }
    monitor.stop().await;
    let began = Instant::now();
    start(components, history).await?.stop().await;
    let restart = began.elapsed();
    let [run, change, status, snapshot] = rounds.map(median);
    Ok([run, change, status, snapshot, restart])
}

/// The time of one run.
async fn runs(
    monitor: &AvailabilityMonitor,
    names: &[String],
    good: impl Fn(usize) -> bool,
) -> Duration {
    let began = Instant::now();
    for (run, name) in names.iter().enumerate() {
        let good = good(run);
        monitor.check_health(name.as_str(), || async { good }).await;
    }
    began.elapsed() / names.len() as u32
}

fn once(look: impl FnOnce()) -> Duration {
    let began = Instant::now();
    look();
    began.elapsed()
}

fn median(mut times: Vec<Duration>) -> Duration {
    times.sort();
    times[times.len() / 2]
}
