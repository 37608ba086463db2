//! A process that is killed while it writes, over and over, also while it sums its history up:
//! nothing that it said was on the disk is lost, and every start finds all of it.
//!
//! Its main function is its own: it starts itself again, to be killed. `AVAIL_KILL_ROUNDS` says how
//! often; five times where it does not.

use std::collections::BTreeSet;
use std::io::{BufRead, BufReader};
use std::path::Path;
use std::process::{Command, Stdio};
use std::time::Duration;

use avail::{AvailabilityMonitor, AvailabilityMonitorBuilder, HealthStatus, Window};

type Result<T> = std::result::Result<T, Box<dyn std::error::Error>>;

/// Components that fail in each round.
const COMPONENTS: usize = 20;

fn main() -> Result<()> {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
    let arguments: Vec<_> = std::env::args().collect();
    match &arguments[1..] {
        [child, history, round] if child == "child" => {
            runtime.block_on(fail_for_ever(Path::new(history), round))
        }
        _ => runtime.block_on(kill_and_look()),
    }
}

/// So small that it is nearly always about to begin a new file, or to sum up the old ones.
fn builder(history: &Path) -> AvailabilityMonitorBuilder {
    let builder = AvailabilityMonitor::builder().discover(false);
    builder.history_file(history).history_max_bytes(4_096)
}

/// Lets components fail and recover, and names each when its first failure is on the disk.
async fn fail_for_ever(history: &Path, round: &str) -> Result<()> {
    let monitor = builder(history).start().await?;
    let mut awaited = Vec::new();
    for run in 0.. {
        let name = format!("{round}-{}", run / 2 % COMPONENTS);
        monitor.check_health(name.as_str(), || async { run % 2 == 1 }).await;
        let status = monitor.history();
        if run % 2 == 0 && run / 2 < COMPONENTS {
            awaited.push((status.records, name));
        }
        awaited.retain(|(record, name)| {
            let synced = *record <= status.synced_records;
            if synced {
                println!("{name}");
            }
            !synced
        });
        if status.records > status.synced_records + 100 {
            tokio::time::sleep(Duration::from_millis(1)).await;
        }
    }
    Ok(())
}

async fn kill_and_look() -> Result<()> {
    let rounds = match std::env::var("AVAIL_KILL_ROUNDS") {
        Ok(rounds) => rounds.parse()?,
        Err(_) => 5,
    };
    let folder = tempfile::tempdir()?;
    let history = folder.path().join("history.jsonl");
    let mut promised = BTreeSet::new();
    let (mut snapshots, mut torn, mut dead) = (0, 0, 0.0);
    for round in 0..rounds {
        promised.extend(one_life(&history, round).await?);
        let monitor = builder(&history).start().await?;
        let report = monitor.recovery().ok_or("a file was given")?;
        assert!(report.unclean_end, "round {round}: {report:?}");
        assert_eq!(report.damaged_snapshots, 0, "round {round}: {report:?}");
        assert!(report.corrupt_records <= round + 1, "round {round}: {report:?}");
        snapshots += u64::from(report.snapshot.is_some());
        torn += u64::from(report.torn_tail);
        let incidents = monitor.incidents(Window::ALL_TIME);
        let found: BTreeSet<_> = incidents.iter().map(|one| one.component.to_string()).collect();
        let missing: Vec<_> = promised.difference(&found).collect();
        assert!(missing.is_empty(), "round {round}: {missing:?} of {report:?}");
        let process = monitor.component_metrics("process", Window::ALL_TIME).ok_or("built in")?;
        assert!(process.downtime_seconds > dead, "round {round}: each kill costs some time");
        dead = process.downtime_seconds;
        monitor.stop().await;
    }
    assert!(snapshots > 0, "none of the histories was summed up");
    println!(
        "killed {rounds} times: {} failures promised and found, {snapshots} histories with a \
         snapshot, {torn} torn tails",
        promised.len()
    );
    Ok(())
}

/// Starts a process and kills it after a while that differs from round to round. Gives what it said
/// was on the disk.
async fn one_life(history: &Path, round: u64) -> Result<Vec<String>> {
    let mut child = Command::new(std::env::current_exe()?)
        .arg("child")
        .arg(history)
        .arg(round.to_string())
        .stdout(Stdio::piped())
        .spawn()?;
    let output = child.stdout.take().ok_or("it was piped")?;
    let mut lines = BufReader::new(output).lines();
    let mut promised = Vec::new();
    for line in lines.by_ref().take(1 + (round as usize * 7) % COMPONENTS) {
        promised.push(line?);
    }
    stay_out(history).await?;
    // Spread over the time that it takes to begin a file and to sum it up.
    std::thread::sleep(Duration::from_micros(round.wrapping_mul(7_919) % 50_000));
    child.kill()?;
    child.wait()?;
    for line in lines {
        promised.push(line?);
    }
    Ok(promised)
}

/// While another process has the history, this one is told so, or goes on in memory.
async fn stay_out(history: &Path) -> Result<()> {
    let error = builder(history).start().await.expect_err("another process has it").to_string();
    assert!(error.contains(&history.display().to_string()), "{error}");
    assert!(error.contains("is in use by another process"), "{error}");
    let monitor = builder(history).history_required(false).start().await?;
    let status = monitor.status();
    let kept = status.component("history").ok_or("it is built in")?;
    assert_eq!(kept.status, HealthStatus::Degraded);
    assert_eq!((monitor.history().path, monitor.recovery()), (None, None));
    monitor.stop().await;
    Ok(())
}
