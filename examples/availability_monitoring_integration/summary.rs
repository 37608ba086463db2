//! The table at the end: each component and the system in figures.

use std::fmt::Write;

use avail::{
    AvailabilityMetrics, AvailabilityMonitor, CircuitBreakerMetrics, CircuitState, Window,
};

/// Every component's figures since the first record of the history, and the system's.
pub fn table(monitor: &AvailabilityMonitor) -> String {
    let mut table = format!(
        "{:13} {:>12} {:>10} {:>10} {:>10} {:>10} {:>9} {:>12}  breaker\n",
        "all time",
        "availability",
        "uptime",
        "downtime",
        "MTBF",
        "MTTR",
        "incidents",
        "good checks",
    );
    let breakers = monitor.breakers().all_metrics();
    let status = monitor.status();
    // The process is counted like a component, and stands in no list of them: while it can be asked
    // it is up.
    let names = status.components.iter().map(|component| &*component.name).chain(["process"]);
    for name in names {
        let metrics = monitor.component_metrics(name, Window::ALL_TIME).unwrap_or_default();
        let breaker = breakers.iter().find(|breaker| *breaker.name == *name);
        row(&mut table, name, &metrics, &breaker.map_or_else(String::new, describe));
    }
    let system = monitor.availability_metrics(Window::ALL_TIME);
    let verdict = match system.meets(monitor.target()) {
        Some(true) => format!("at least the target of {} %", monitor.target()),
        Some(false) => format!("below the target of {} %", monitor.target()),
        None => "nothing was observed".into(),
    };
    row(&mut table, "the system", &system, &verdict);
    table
}

fn row(table: &mut String, name: &str, metrics: &AvailabilityMetrics, remark: &str) {
    // Writing to a string can't fail.
    let _ = writeln!(
        table,
        "{name:13} {:>10} % {:>10} {:>10} {:>10} {:>10} {:>9} {:>12}  {remark}",
        metrics.percentage_text(),
        seconds(Some(metrics.uptime_seconds + metrics.degraded_seconds)),
        seconds(Some(metrics.downtime_seconds)),
        seconds(metrics.mtbf),
        seconds(metrics.mttr),
        metrics.incidents,
        format!("{} of {}", metrics.successful_checks, metrics.total_checks),
    );
}

fn seconds(seconds: Option<f64>) -> String {
    seconds.map_or_else(|| "-".into(), |seconds| format!("{seconds:.1} s"))
}

fn describe(breaker: &CircuitBreakerMetrics) -> String {
    let opened = breaker.transitions.iter().filter(|change| change.to == CircuitState::Open);
    let rejected = breaker.rejections.by_reason().map(|(_, count)| count);
    format!(
        "{}: opened {} times; {} good calls, {} failed, {} rejected",
        breaker.state,
        opened.map(|change| change.count).sum::<u64>(),
        breaker.calls.success,
        breaker.calls.failure,
        rejected.iter().sum::<u64>(),
    )
}
