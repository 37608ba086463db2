//! What a snapshot costs after ninety days, in a clock that is set forward: with an incident a week
//! or a day for each component, and runs in every hour. It must not depend on how many runs there
//! were.
//!
//! ```sh
//! cargo run --release --locked --features aged --bin ninety_days
//! ```

use std::time::{Duration, Instant};

use avail::{AvailabilityMonitor, CircuitBreakerRegistry, HealthCheck, Window};

const DAYS: usize = 90;
const ROUNDS: usize = 51;

fn main() -> Result<(), Box<dyn std::error::Error>> {
    println!("| components | runs an hour | days between incidents | status | snapshot | report |");
    println!("|--:|--:|--:|--:|--:|--:|");
    for (components, runs_an_hour, days) in
        [(100, 1, 1), (100, 20, 1), (1_000, 1, 7), (1_000, 1, 1)]
    {
        let runtime = tokio::runtime::Builder::new_current_thread()
            .enable_all()
            .start_paused(true)
            .build()?;
        let row = runtime.block_on(measure(components, runs_an_hour, days))?;
        println!("| {components} | {runs_an_hour} | {days} | {row} |");
    }
    Ok(())
}

async fn measure(
    components: usize,
    runs_an_hour: usize,
    days: usize,
) -> Result<String, avail::MonitorError> {
    let _isolated = avail::testing::isolated();
    let monitor = start(components).await?;
    let names: Vec<_> = (0..components).map(|component| format!("c{component}")).collect();
    for hour in 0..DAYS * 24 {
        for run in 0..runs_an_hour {
            tokio::time::advance(Duration::from_secs(3_600) / runs_an_hour as u32).await;
            for (component, name) in names.iter().enumerate() {
                // For half an hour or one, and no two neighbours in the same.
                let fails = hour % (24 * days) == component % (24 * days);
                let good = !fails || run * 2 >= runs_an_hour.max(2);
                monitor.check_health(name.as_str(), || async { good }).await;
            }
        }
    }
    let of_one = monitor.component_metrics("c0", Window::ALL_TIME);
    assert!(of_one.is_some_and(|metrics| metrics.incidents as usize >= DAYS / days));
    let status = median(|| drop(monitor.status()));
    let snapshot = median(|| drop(monitor.snapshot()));
    let report = median(|| drop(monitor.report(Window::DAYS_30)));
    monitor.stop().await;
    Ok(format!("{status:.1?} | {snapshot:.1?} | {report:.1?}"))
}

/// One component in 24 is critical: those that fail in the same hour.
async fn start(components: usize) -> Result<AvailabilityMonitor, avail::MonitorError> {
    let registry = CircuitBreakerRegistry::new();
    let mut builder = AvailabilityMonitor::builder().discover(false).breakers(registry);
    for component in 0..components {
        let check = HealthCheck::new(format!("c{component}"), || async {});
        let check = check.interval(Duration::from_secs(3_600 * 24 * 1_000));
        builder = builder.check(check.critical(component % 24 == 0));
    }
    builder.start().await
}

fn median(mut look: impl FnMut()) -> Duration {
    let mut times: Vec<_> = (0..ROUNDS)
        .map(|_| {
            let began = Instant::now();
            look();
            began.elapsed()
        })
        .collect();
    times.sort();
    times[times.len() / 2]
}
