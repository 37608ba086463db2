//! What a restart costs after two years: a hundred components, each checked every thirty seconds and
//! down for ten minutes a day, whose history was summed up as it grew.
//!
//! ```sh
//! cargo run --release --locked --bin restart
//! ```

use std::fmt::Write as _;
use std::fs::{File, OpenOptions};
use std::io::{BufWriter, Write};
use std::path::Path;
use std::time::{Duration, Instant};

use avail::{AvailabilityMonitor, HealthCheck, Window};
use chrono::{DateTime, SecondsFormat, TimeDelta, Utc};

const COMPONENTS: usize = 100;
const DAYS: i64 = 730;
const ROUNDS: usize = 7;

type Result<T> = std::result::Result<T, Box<dyn std::error::Error>>;

fn main() -> Result<()> {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
    let folder = std::env::temp_dir().join(format!("avail-restart-{}", std::process::id()));
    std::fs::create_dir_all(&folder)?;
    let measured = runtime.block_on(measure(&folder.join("history.jsonl")));
    std::fs::remove_dir_all(&folder)?;
    measured
}

async fn measure(history: &Path) -> Result<()> {
    let end = Utc::now() - TimeDelta::minutes(1);
    let raw = write_days(history, "b1", end - TimeDelta::days(DAYS), DAYS)?;
    println!("{DAYS} days of {COMPONENTS} components: {} MB of records", raw >> 20);

    let began = Instant::now();
    let monitor = start(history).await?;
    println!("read back whole, before any snapshot: {:.2?}", began.elapsed());
    let before = monitor.availability_metrics(Window::ALL_TIME).incidents;
    while size(history)? > 1 << 20 || !snapshots(history)? {
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
    monitor.stop().await;

    // As much as there ever is after a snapshot.
    write_days(history, "b2", end - TimeDelta::days(12), 12)?;
    for file in std::fs::read_dir(history.parent().ok_or("a folder")?)? {
        let file = file?;
        println!("{:>9} kB {}", file.metadata()?.len() >> 10, file.file_name().display());
    }
    let mut times = Vec::new();
    for _ in 0..ROUNDS {
        let began = Instant::now();
        let monitor = start(history).await?;
        times.push(began.elapsed());
        assert!(monitor.availability_metrics(Window::ALL_TIME).incidents >= before);
        monitor.stop().await;
    }
    times.sort();
    println!(
        "restart: {:.1?} (fastest {:.1?}, slowest {:.1?})",
        times[ROUNDS / 2],
        times[0],
        times[ROUNDS - 1]
    );
    Ok(())
}

async fn start(history: &Path) -> Result<AvailabilityMonitor> {
    // The file that is written by hand is not to be summed up while restarts are measured.
    let limit = if snapshots(history)? { u64::MAX } else { 4 << 20 };
    let builder = AvailabilityMonitor::builder().discover(false).history_file(history);
    let mut builder = builder.history_max_bytes(limit);
    for component in 0..COMPONENTS {
        let check = HealthCheck::new(format!("c{component}"), || async {});
        builder = builder.check(check.interval(Duration::from_secs(3_600)));
    }
    Ok(builder.start().await?)
}

fn size(history: &Path) -> Result<u64> {
    Ok(std::fs::metadata(history)?.len())
}

fn snapshots(history: &Path) -> Result<bool> {
    let names = std::fs::read_dir(history.parent().ok_or("a folder")?)?;
    Ok(names.flatten().any(|name| name.file_name().to_string_lossy().ends_with(".snapshot")))
}

/// As a monitor would have written it; gives how many bytes that were.
fn write_days(history: &Path, boot: &str, from: DateTime<Utc>, days: i64) -> Result<u64> {
    let file = OpenOptions::new().create(true).append(true).open(history)?;
    let mut lines = Lines { file: BufWriter::new(file), boot, seq: 0 };
    for hour in 0..days * 24 {
        let at = from + TimeDelta::hours(hour);
        for component in (0..COMPONENTS).filter(|component| *component as i64 % 24 == hour % 24) {
            lines.outage(component, at)?;
        }
        let mut counts = String::new();
        for component in 0..COMPONENTS {
            let comma = if component == 0 { "" } else { "," };
            write!(counts, r#"{comma}"c{component}":{{"successful":119,"failed":1}}"#)?;
        }
        let at = at + TimeDelta::minutes(59);
        lines.write(at, &format!(r#""type":"checks","counts":{{{counts}}}"#))?;
        for second in (0..3_600).step_by(15 * 60) {
            lines.write(at + TimeDelta::seconds(second), r#""type":"heartbeat""#)?;
        }
    }
    lines.file.flush()?;
    size(history)
}

struct Lines<'a> {
    file: BufWriter<File>,
    boot: &'a str,
    seq: u64,
}

impl Lines<'_> {
    fn outage(&mut self, component: usize, at: DateTime<Utc>) -> Result<()> {
        let end = at + TimeDelta::minutes(10);
        let (start, over) = (time(at), time(end));
        for (now, state) in [(at, "down"), (end, "up")] {
            let since = time(now);
            let told = format!(
                r#""type":"state","component":"c{component}","at":"{since}","state":"{state}""#
            );
            self.write(now, &told)?;
            let (end, resolved) = match state {
                "up" => (format!("\"{over}\""), true),
                _ => ("null".into(), false),
            };
            let told = format!(
                r#""type":"incident","incident":{{"id":"{:011x}-c{component}","component":"c{component}","severity":"critical","start_time":"{start}","detected_at":"{start}","end_time":{end},"duration_seconds":600.0,"error":"connection refused","failures":20,"resolved":{resolved},"parent":null}}"#,
                at.timestamp_millis()
            );
            self.write(now, &told)?;
        }
        Ok(())
    }

    fn write(&mut self, at: DateTime<Utc>, told: &str) -> Result<()> {
        self.seq += 1;
        let (ts, seq, boot) = (time(at), self.seq, self.boot);
        let body = format!(r#"{{"v":1,"ts":"{ts}","seq":{seq},"boot":"{boot}",{told}"#);
        let crc = crc32fast::hash(body.as_bytes());
        Ok(writeln!(self.file, r#"{body},"crc":"{crc:08x}"}}"#)?)
    }
}

fn time(at: DateTime<Utc>) -> String {
    at.to_rfc3339_opts(SecondsFormat::Millis, true)
}
