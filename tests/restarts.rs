//! What a crash costs is counted once, however often the process starts after it.

use std::path::Path;
use std::time::Duration;

use avail::{AvailabilityMonitor, Window};

async fn start(history: &Path) -> AvailabilityMonitor {
    let builder = AvailabilityMonitor::builder().discover(false).history_file(history);
    builder.start().await.expect("a history that nobody else writes")
}

fn downtime_of_the_process(monitor: &AvailabilityMonitor) -> f64 {
    let process = monitor.component_metrics("process", Window::ALL_TIME);
    process.expect("it is always there").downtime_seconds
}

/// Until the process has been up for a while, as it is itself counted.
async fn live(monitor: &AvailabilityMonitor) {
    while monitor.uptime() < Duration::from_millis(50) {
        tokio::time::sleep(Duration::from_millis(5)).await;
    }
}

#[tokio::test]
async fn the_time_after_a_crash_is_no_downtime_of_the_process_at_later_starts() {
    let folder = tempfile::tempdir().expect("a folder");
    let (first, copy) = (folder.path().join("first.jsonl"), folder.path().join("copy.jsonl"));
    let running = start(&first).await;
    while std::fs::metadata(&first).map_or(0, |file| file.len()) == 0 {
        tokio::time::sleep(Duration::from_millis(5)).await;
    }
    // A history whose process has not said that it ended: as after a crash.
    std::fs::copy(&first, &copy).expect("room for a copy");
    live(&running).await;

    let after_crash = start(&copy).await;
    assert!(after_crash.recovery().expect("a history").unclean_end);
    let cost = downtime_of_the_process(&after_crash);
    assert!(cost > 0.0);
    live(&after_crash).await;
    after_crash.stop().await;

    let after_stop = start(&copy).await;
    assert!(!after_stop.recovery().expect("a history").unclean_end);
    assert_eq!(downtime_of_the_process(&after_stop), cost);
    after_stop.stop().await;
    running.stop().await;
}
