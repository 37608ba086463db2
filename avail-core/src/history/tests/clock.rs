//! A clock that jumps while a history is written, and what is read back of it.

use std::time::Duration;

use tokio::time::advance;

use super::*;
use crate::testing::isolated;
use crate::{AvailabilityMetrics, AvailabilityMonitor, HealthCheck};

async fn start(path: &Path) -> AvailabilityMonitor {
    let check = HealthCheck::new("db", || async {}).interval(Duration::from_secs(10));
    let builder = AvailabilityMonitor::builder().discover(false).history_file(path).check(check);
    let monitor = builder.start().await.expect("starts");
    pass(0).await;
    monitor
}

async fn pass(seconds: u64) {
    for _ in 0..=seconds {
        for _ in 0..20 {
            tokio::task::yield_now().await;
        }
        advance(Duration::from_secs(u64::from(seconds > 0))).await;
    }
}

/// The system, the process and the component; what they have in common is time.
fn all(monitor: &AvailabilityMonitor) -> [AvailabilityMetrics; 3] {
    let of = |name| monitor.component_metrics(name, Window::ALL_TIME).expect("known");
    [monitor.availability_metrics(Window::ALL_TIME), of("process"), of("db")]
}

fn seconds(metrics: &AvailabilityMetrics) -> [f64; 3] {
    [metrics.uptime_seconds, metrics.downtime_seconds, metrics.unobserved_seconds]
}

#[tokio::test(start_paused = true)]
async fn a_clock_that_jumps_is_the_same_time_live_and_read_back() {
    let isolated = isolated();
    let dir = tempfile::tempdir().expect("a folder");
    let path = dir.path().join("history.jsonl");
    let first = start(&path).await;
    pass(60).await;
    isolated.set_wall_clock_forward(Duration::from_secs(86_400));
    pass(60).await;
    isolated.set_wall_clock_back(Duration::from_secs(3_600));
    pass(60).await;
    let live = all(&first);
    first.stop().await;
    let second = start(&path).await;
    for (live, back) in live.iter().zip(all(&second)) {
        assert_eq!(live.downtime_seconds, 0.0, "{live:?}");
        assert!((live.unobserved_seconds - 86_400.0).abs() < 3.0, "{live:?}");
        let differences = seconds(live).into_iter().zip(seconds(&back));
        for (live, back) in differences {
            assert!((live - back).abs() < 3.0, "{live:?} {back:?}");
        }
    }
    second.stop().await;

    // Two hours and more behind the history: the clock was wrong then, or is now.
    isolated.set_wall_clock_back(Duration::from_secs(3_600 * 3));
    let third = start(&path).await;
    pass(60).await;
    for metrics in all(&third) {
        assert_eq!(metrics.downtime_seconds, 0.0, "{metrics:?}");
        assert!(seconds(&metrics).iter().all(|seconds| *seconds >= 0.0), "{metrics:?}");
    }
}
