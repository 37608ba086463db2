//! A health check alone, without HTTP: a folder that must have room in it for a file.
//!
//! ```text
//! cargo run --example health_check_alone
//! ```

use std::error::Error;
use std::time::Duration;
use std::{env, fs, io};

use avail::{AvailabilityMonitor, Health, Window};
use tokio::time::sleep;

/// Looks at the real thing: it writes and reads, and does not only ask whether the folder is there.
#[avail::health_check(name = "scratch", interval = "200ms", degraded_after = "50ms")]
fn scratch_can_be_written() -> io::Result<Health> {
    let file = env::temp_dir().join(format!("avail-scratch-{}", std::process::id()));
    fs::write(&file, "some text")?;
    let read = fs::read(&file)?.len();
    fs::remove_file(&file)?;
    Ok(Health::healthy().detail("bytes", read))
}

#[tokio::main]
async fn main() -> Result<(), Box<dyn Error>> {
    // The check above is found by itself.
    let monitor = AvailabilityMonitor::builder().start().await?;
    sleep(Duration::from_secs(1)).await;

    // A component that has no schedule can be looked at on demand.
    let result =
        monitor.check_health("manifest", || async { fs::metadata("Cargo.toml").map(|_| ()) }).await;
    println!("manifest: {} in {:?}", result.status, result.latency);

    for component in monitor.status().components {
        println!("{}: {} since {}", component.name, component.status, component.since);
    }
    let metrics = monitor.component_metrics("scratch", Window::HOURS_24).unwrap_or_default();
    println!(
        "scratch: {} % available over {:.1} s, {} of {} checks good",
        metrics.percentage_text(),
        metrics.uptime_seconds + metrics.degraded_seconds,
        metrics.successful_checks,
        metrics.total_checks,
    );
    monitor.stop().await;
    Ok(())
}
