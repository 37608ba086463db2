//! Which metrics there are. The names are a contract: dashboards and rules depend on them.

use avail_core::{CircuitState, HealthStatus, Mode, Snapshot, Window};

use super::encoder::Kind::{Counter, Gauge, Histogram, Info};
use super::encoder::Number;
use super::sink::Sink;

/// The label of what is no component, but all of them.
const SYSTEM: &str = "";
/// The built-in component that is down where the process was: no check can have its name.
const PROCESS: &str = "process";

pub(crate) fn write(snapshot: &Snapshot, to: &mut impl Sink) {
    states(snapshot, to);
    checks(snapshot, to);
    availability(snapshot, to);
    objectives(snapshot, to);
    incidents(snapshot, to);
    breakers(snapshot, to);
    probes(snapshot, to);
    history(snapshot, to);
}

fn states(snapshot: &Snapshot, to: &mut impl Sink) {
    to.family(
        "avail_component_up",
        Gauge,
        "1 if the component is healthy or degraded, 0 if it is unhealthy; absent while unknown.",
    );
    for one in &snapshot.status.components {
        let critical = if one.critical { "true" } else { "false" };
        if one.status != HealthStatus::Unknown {
            to.sample(&[("component", &one.name), ("critical", critical)], one.status.is_up());
        }
    }
    to.family("avail_component_status", Gauge, "1 for the status of the component, else 0.");
    for one in &snapshot.status.components {
        for status in HealthStatus::ALL {
            let labels = [("component", &*one.name), ("status", status.as_str())];
            to.sample(&labels, one.status == status);
        }
    }
    to.family(
        "avail_component_flapping",
        Gauge,
        "1 while the component changes too often, else 0.",
    );
    for one in &snapshot.status.components {
        to.sample(&[("component", &one.name)], one.flapping);
    }
    to.family(
        "avail_component_maintenance",
        Gauge,
        "1 while the component is in announced maintenance, else 0.",
    );
    for one in &snapshot.status.components {
        to.sample(&[("component", &one.name)], one.maintenance.is_some());
    }
    to.family(
        "avail_state_seconds",
        Counter,
        "Time in each state since the process started and while there was none before, added once it \
         is final; component \"\" is the system.",
    );
    let components = snapshot.components.iter().map(|one| (&*one.name, &one.state_seconds));
    for (component, seconds) in [(SYSTEM, &snapshot.state_seconds)].into_iter().chain(components) {
        for (state, seconds) in seconds.by_state() {
            to.sample(&[("component", component), ("state", state)], seconds);
        }
    }
}

fn checks(snapshot: &Snapshot, to: &mut impl Sink) {
    to.family("avail_check_runs", Counter, "Completed runs of the check, by how they ended.");
    for one in &snapshot.components {
        for (result, runs) in one.runs.by_result() {
            to.sample(&[("component", &one.name), ("result", result)], runs);
        }
    }
    to.family("avail_check_duration_seconds", Histogram, "How long runs of the check took.");
    for one in &snapshot.components {
        let (buckets, count) = (one.latency.cumulative(), one.latency.count());
        to.histogram(&[("component", &one.name)], buckets, count, one.latency.sum_seconds);
    }
    to.family(
        "avail_check_last_success_timestamp_seconds",
        Gauge,
        "When a run of the check last ended well; absent before the first.",
    );
    for one in &snapshot.status.components {
        if let Some(time) = one.last_success {
            let seconds = time.timestamp_millis() as f64 / 1000.0;
            to.sample(&[("component", &one.name)], seconds);
        }
    }
}

fn availability(snapshot: &Snapshot, to: &mut impl Sink) {
    let figures = || {
        let components = snapshot.components.iter().map(|one| (&*one.name, &one.availability));
        let own = [(SYSTEM, &snapshot.availability), (PROCESS, &snapshot.process.availability)];
        let all = own.into_iter().chain(components);
        all.flat_map(|(component, figures)| {
            let windows = WINDOWS.iter().zip(figures);
            windows.map(move |(window, figures)| {
                ([("component", component), ("window", *window)], figures)
            })
        })
    };
    to.family(
        "avail_availability_ratio",
        Gauge,
        "Available part of the observed time, 0 to 1; absent where nothing was observed. \
         Component \"\" is the system.",
    );
    for (labels, figures) in figures() {
        if let Some(percentage) = figures.availability_percentage {
            to.sample(&labels, percentage / 100.0);
        }
    }
    to.family("avail_coverage_ratio", Gauge, "Observed part of the window, 0 to 1.");
    for (labels, figures) in figures() {
        to.sample(&labels, figures.coverage);
    }
    to.family("avail_mtbf_seconds", Gauge, "Mean time between failures; absent without a failure.");
    for (labels, figures) in figures() {
        if let Some(mtbf) = figures.mtbf {
            to.sample(&labels, mtbf);
        }
    }
    to.family("avail_mttr_seconds", Gauge, "Mean time to recovery; absent without a recovery.");
    for (labels, figures) in figures() {
        if let Some(mttr) = figures.mttr {
            to.sample(&labels, mttr);
        }
    }
}

/// The system, and the components whose checks declare an objective: the others would only repeat
/// the target.
fn objectives(snapshot: &Snapshot, to: &mut impl Sink) {
    let all = || {
        let components = snapshot.components.iter().map(|one| (&*one.name, &one.slo));
        [(SYSTEM, &snapshot.slo)].into_iter().chain(components.filter(|(_, slo)| slo.declared))
    };
    to.family(
        "avail_slo_objective_ratio",
        Gauge,
        "The availability to be reached, 0 to 1; component \"\" is the system.",
    );
    for (component, slo) in all() {
        to.sample(&[("component", component)], as_ratio(slo.objective));
    }
    to.family(
        "avail_error_budget_remaining_ratio",
        Gauge,
        "The part of the error budget that is left; negative where more was spent, absent where \
         nothing was observed.",
    );
    for (component, slo) in all() {
        if let Some(left) = slo.error_budget.remaining_ratio {
            to.sample(&[("component", component)], left);
        }
    }
    to.family(
        "avail_burn_rate",
        Gauge,
        "How fast the error budget is spent, 1 where it lasts just as long as its window; absent \
         where nothing was observed.",
    );
    for (component, slo) in all() {
        for burn in &slo.burn_rates {
            if let Some(rate) = burn.rate {
                to.sample(&[("component", component), ("window", burn.window)], rate);
            }
        }
    }
}

/// Percent as a ratio, its decimals those that were written: 99.9 / 100 is 0.9990000000000001.
fn as_ratio(percent: f64) -> f64 {
    format!("{percent}e-2").parse().unwrap_or(percent / 100.0)
}

/// The labels of [`Window::ALL`].
const WINDOWS: [&str; 4] = ["24h", "7d", "30d", "all_time"];
const _: () = assert!(WINDOWS.len() == Window::ALL.len());

fn incidents(snapshot: &Snapshot, to: &mut impl Sink) {
    let all = || {
        let components = snapshot.components.iter().map(|one| (&*one.name, &one.incidents));
        [(PROCESS, &snapshot.process.incidents)].into_iter().chain(components)
    };
    to.family("avail_incidents", Counter, "Incidents that began, or became so severe.");
    for (component, totals) in all() {
        for (severity, incidents) in totals.by_severity() {
            to.sample(&[("component", component), ("severity", severity)], incidents);
        }
    }
    to.family("avail_incidents_open", Gauge, "Incidents that are not over.");
    for (component, totals) in all() {
        to.sample(&[("component", component)], totals.active as u64);
    }
}

fn breakers(snapshot: &Snapshot, to: &mut impl Sink) {
    to.family("avail_circuit_breaker_state", Gauge, "1 for the state that calls meet, else 0.");
    for breaker in &snapshot.breakers {
        for state in CircuitState::ALL {
            let labels = [("name", &*breaker.name), ("state", state.as_str())];
            to.sample(&labels, breaker.state == state);
        }
    }
    to.family("avail_circuit_breaker_calls", Counter, "Calls let through, by how they ended.");
    for breaker in &snapshot.breakers {
        for (outcome, calls) in breaker.calls.by_outcome() {
            to.sample(&[("name", &breaker.name), ("outcome", outcome)], calls);
        }
    }
    to.family("avail_circuit_breaker_rejected", Counter, "Calls that were not let through.");
    for breaker in &snapshot.breakers {
        for (reason, calls) in breaker.rejections.by_reason() {
            to.sample(&[("name", &breaker.name), ("reason", reason)], calls);
        }
    }
    to.family("avail_circuit_breaker_transitions", Counter, "Changes from one state to another.");
    for breaker in &snapshot.breakers {
        for change in &breaker.transitions {
            let (from, to_state) = (change.from.as_str(), change.to.as_str());
            let labels = [("name", &*breaker.name), ("from", from), ("to", to_state)];
            to.sample(&labels, change.count);
        }
    }
    to.family("avail_breakers_mode", Gauge, "1 for the mode of all circuit breakers, else 0.");
    for mode in Mode::ALL {
        to.sample(&[("mode", mode.as_str())], snapshot.mode == mode);
    }
}

fn probes(snapshot: &Snapshot, to: &mut impl Sink) {
    let status = &snapshot.status;
    single(to, "avail_ready", "1 if /readiness says so, else 0.", status.ready);
    single(to, "avail_live", "1 if /liveness says so, else 0.", status.alive);
    single(to, "avail_draining", "1 while no new work is taken, else 0.", status.draining);
}

fn history(snapshot: &Snapshot, to: &mut impl Sink) {
    let history = &snapshot.history;
    let counters = [
        (
            "avail_history_write_errors",
            "Attempts to write the history that failed.",
            history.write_errors,
        ),
        (
            "avail_history_dropped_records",
            "Records that are lost to the history.",
            history.dropped_records,
        ),
        (
            "avail_history_corrupt_records",
            "Lines of the history that were found damaged at the start.",
            history.corrupt_records,
        ),
    ];
    for (name, help, count) in counters {
        to.family(name, Counter, help);
        to.sample(&[], count);
    }
    to.family("avail_build", Info, "The version of avail.");
    to.sample(&[("version", env!("CARGO_PKG_VERSION"))], true);
}

fn single(to: &mut impl Sink, name: &'static str, help: &'static str, value: impl Into<Number>) {
    to.family(name, Gauge, help);
    to.sample(&[], value);
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_objective_has_the_decimals_that_were_written() {
        for (percent, ratio) in [
            (99.9, "0.999"),
            (99.99, "0.9999"),
            (99.95, "0.9995"),
            (99.999, "0.99999"),
            (99.5, "0.995"),
            (100.0, "1"),
            (0.07, "0.0007"),
            (0.0, "0"),
        ] {
            assert_eq!(as_ratio(percent).to_string(), ratio, "{percent}");
        }
        assert!(as_ratio(f64::NAN).is_nan());
    }
}
