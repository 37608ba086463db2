//! A report as plain text: columns as wide as what stands in them.

use std::fmt::{self, Write};

use super::{AvailabilityReport, ReportEntry};
use crate::availability::slo::Slo;

type Column = (&'static str, fn(&ReportEntry) -> String);

/// Where the window went. The five times add up to it.
const TIME: [Column; 7] = [
    ("available", |entry| percent(&entry.metrics.percentage_text())),
    ("coverage", |entry| share(entry.metrics.coverage)),
    ("up", |entry| time(entry.metrics.uptime_seconds)),
    ("degraded", |entry| time(entry.metrics.degraded_seconds)),
    ("down", |entry| time(entry.metrics.downtime_seconds)),
    ("maintenance", |entry| time(entry.metrics.maintenance_seconds)),
    ("unobserved", |entry| time(entry.metrics.unobserved_seconds)),
];

/// What failed, and what that leaves of the objective.
const FAILURES: [Column; 9] = [
    ("incidents", |entry| entry.metrics.incidents.to_string()),
    ("MTBF", mtbf),
    ("MTTR", |entry| known(entry.metrics.mttr, time)),
    ("longest", |entry| known(entry.metrics.mttr_max, time)),
    ("objective", |entry| format!("{} %", entry.slo.objective)),
    ("budget left", |entry| known(entry.slo.error_budget.remaining_ratio, share)),
    ("alert", |entry| alert(&entry.slo)),
    ("checks ok", |entry| of(entry.metrics.successful_checks, entry.metrics.total_checks)),
    ("calls ok", |entry| known(entry.metrics.success_ratio, share)),
];

pub(super) fn write(report: &AvailabilityReport, f: &mut fmt::Formatter<'_>) -> fmt::Result {
    let [from, to] = [report.from, report.to].map(|time| time.format("%Y-%m-%d %H:%M:%S"));
    writeln!(f, "Availability from {from} to {to} UTC ({})\n", report.window)?;
    f.write_str(&table(report, &TIME))?;
    f.write_char('\n')?;
    f.write_str(&table(report, &FAILURES))
}

fn table(report: &AvailabilityReport, columns: &[Column]) -> String {
    let heads = columns.iter().map(|(head, _)| (*head).to_owned());
    let mut lines: Vec<Vec<String>> = vec![[String::new()].into_iter().chain(heads).collect()];
    for entry in [&report.system].into_iter().chain(&report.components) {
        let cells = columns.iter().map(|(_, cell)| cell(entry));
        lines.push([name(entry)].into_iter().chain(cells).collect());
    }
    let width = |column: usize| lines.iter().map(|line| line[column].chars().count()).max();
    let widths: Vec<_> = (0..=columns.len()).map(|column| width(column).unwrap_or(0)).collect();
    let mut text = String::new();
    for line in &lines {
        let mut row = format!("{:<width$}", line[0], width = widths[0]);
        for (cell, width) in line.iter().zip(&widths).skip(1) {
            // Writing into a string can't fail.
            let _ = write!(row, "  {cell:>width$}");
        }
        text.push_str(row.trim_end());
        text.push('\n');
    }
    text
}

/// A line feed in a name must not break the table.
fn name(entry: &ReportEntry) -> String {
    match &*entry.name {
        "" => "the system".into(),
        name => name.chars().map(|c| if c.is_control() { '\u{fffd}' } else { c }).collect(),
    }
}

fn percent(number: &str) -> String {
    if number == "n/a" { "-".into() } else { format!("{number} %") }
}

/// In percent with three decimals, cut off towards less.
fn share(ratio: f64) -> String {
    // The margin is for ratios that no binary number holds, such as 0.29.
    let thousandths = (ratio * 100_000.0 + 1e-9).floor();
    format!("{:.3} %", thousandths / 1000.0)
}

/// `1:02:03`, with days before it and thousandths after it where there are any.
fn time(seconds: f64) -> String {
    let millis = (seconds * 1000.0).round() as u64;
    let (seconds, thousandths) = (millis / 1000, millis % 1000);
    let (days, hours) = (seconds / 86_400, seconds / 3_600 % 24);
    let (minutes, seconds) = (seconds / 60 % 60, seconds % 60);
    let mut text = if days > 0 { format!("{days}d ") } else { String::new() };
    let _ = write!(text, "{hours}:{minutes:02}:{seconds:02}");
    if thousandths > 0 {
        let _ = write!(text, ".{thousandths:03}");
    }
    text
}

fn mtbf(entry: &ReportEntry) -> String {
    match (entry.metrics.mtbf, entry.metrics.mtbf_at_least) {
        (Some(mtbf), _) => time(mtbf),
        (None, Some(least)) => format!(">{}", time(least)),
        (None, None) => "-".into(),
    }
}

fn known(value: Option<f64>, text: impl Fn(f64) -> String) -> String {
    value.map_or_else(|| "-".into(), text)
}

fn alert(slo: &Slo) -> String {
    slo.alert.map_or_else(|| "-".into(), |severity| severity.to_string())
}

fn of(part: u64, whole: u64) -> String {
    if whole == 0 { "-".into() } else { format!("{part}/{whole}") }
}
