//! A disk that is full, and one that is read-only. It takes a small file system of its own:
//! `scripts/full-disk` mounts one and runs this.

use std::io::Write;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::Duration;

use avail::{AvailabilityMonitor, AvailabilityMonitorBuilder, HealthStatus, Window};

fn small_file_system() -> PathBuf {
    std::env::var_os("AVAIL_SMALL_FILE_SYSTEM").expect("scripts/full-disk gives it").into()
}

fn builder(history: &Path) -> AvailabilityMonitorBuilder {
    AvailabilityMonitor::builder().discover(false).history_file(history)
}

/// Until nothing goes in any more.
fn fill(folder: &Path) -> PathBuf {
    let path = folder.join("filler");
    let mut filler = std::fs::File::create(&path).expect("a file");
    while filler.write_all(&[b'x'; 512]).is_ok() {}
    path
}

/// Asks until it is so; fails after half a minute.
async fn until(what: &str, mut is_so: impl FnMut() -> bool) {
    for _ in 0..3_000 {
        if is_so() {
            return;
        }
        tokio::time::sleep(Duration::from_millis(10)).await;
    }
    panic!("not within half a minute: {what}");
}

async fn fail_once(monitor: &AvailabilityMonitor, name: &str) {
    monitor.check_health(name, || async { false }).await;
    monitor.check_health(name, || async { true }).await;
}

fn status_of_history(monitor: &AvailabilityMonitor) -> HealthStatus {
    monitor.status().component("history").expect("it is kept").status
}

#[tokio::test]
#[ignore = "needs a small file system of its own: scripts/full-disk"]
async fn a_full_or_read_only_disk_is_survived_and_shown_and_read_from() {
    let folder = small_file_system();
    let history = folder.join("history.jsonl");
    let first = builder(&history).start().await.expect("there is room");
    fail_once(&first, "before").await;
    until("it is on the disk", || first.history().synced_records > 4).await;

    let filler = fill(&folder);
    for index in 0..100 {
        fail_once(&first, &format!("while-full-{index}")).await;
    }
    until("the error is shown", || first.history().error.is_some()).await;
    until("its component is degraded", || status_of_history(&first) == HealthStatus::Degraded)
        .await;
    assert!(first.history().write_errors > 0);
    assert!(first.status().ready, "it goes on in memory");
    assert_eq!(first.incidents(Window::ALL_TIME).len(), 101);

    std::fs::remove_file(&filler).expect("removed");
    until("it is written again", || first.history().error.is_none()).await;
    until("its component is well", || status_of_history(&first) == HealthStatus::Healthy).await;
    assert_eq!(first.history().dropped_records, 0);
    first.stop().await;

    let filler = fill(&folder);
    let second = builder(&history).start().await.expect("recovery needs no free disk");
    assert_eq!(second.incidents(Window::ALL_TIME).len(), 101);
    assert!(!second.recovery().expect("a file").unclean_end);
    std::fs::remove_file(&filler).expect("removed");
    second.stop().await; // and says so: there is room again

    let remount = Command::new("mount").args(["-o", "remount,ro"]).arg(&folder).status();
    assert!(remount.expect("mount can be run").success());
    builder(&history).start().await.expect_err("it can't be written");
    let third = builder(&history).history_required(false).start().await.expect("in memory");
    assert_eq!(third.incidents(Window::ALL_TIME).len(), 101, "what it holds is read");
    assert_eq!(status_of_history(&third), HealthStatus::Degraded);
    third.stop().await;
}
