//! Markdown on standard output.

use std::collections::HashMap;

use crate::growth::Growth;
use crate::measure::{Entry, Role};
use crate::memory::Footprint;
use crate::workloads::Workload;

fn fastest(entries: &[Entry], roles: &[Role]) -> f64 {
    let fit = entries.iter().filter(|entry| roles.contains(&entry.role));
    fit.map(|entry| entry.summary().median).filter(|nanos| !nanos.is_nan()).fold(f64::NAN, f64::min)
}

/// `value`, or a dash where there is none.
fn shown(value: f64, decimals: usize) -> String {
    if value.is_nan() { "–".into() } else { format!("{value:.decimals$}") }
}

fn mark(role: Role) -> (&'static str, &'static str) {
    match role {
        Role::Floor => ("", ""),
        Role::Goal => ("", " ◂"),
        Role::Avail => ("**", "**"),
        Role::Peer => ("", ""),
        Role::Lesser => ("", " †"),
    }
}

pub fn workload(workload: &Workload, entries: &[Entry]) {
    println!("\n### `{}`: {}\n", workload.name, workload.title);
    println!(
        "| contender | ns a call | least | most | x limit | x fastest peer | allocations a call |"
    );
    println!("|---|--:|--:|--:|--:|--:|--:|");
    let limit = fastest(entries, &[Role::Goal]);
    let peer = fastest(entries, &[Role::Peer]);
    for entry in entries {
        let (before, after) = mark(entry.role);
        let name = entry.name;
        if let Some(failure) = &entry.failure {
            println!("| {before}{name}{after} | not measured: {failure} | | | | | |");
            continue;
        }
        let nanos = entry.summary();
        println!(
            "| {before}{name}{after} | {} | {} | {} | {} | {} | {} |",
            shown(nanos.median, 1),
            shown(nanos.min, 1),
            shown(nanos.max, 1),
            shown(nanos.median / limit, 2),
            shown(nanos.median / peer, 2),
            shown(entry.allocations(), 1),
        );
    }
}

pub fn memory(footprints: &[Footprint]) {
    println!("\n### `memory`: bytes of one breaker, over 10,000 of them\n");
    println!("| contender | as made | after a call | after eight threads called | allocations |");
    println!("|---|--:|--:|--:|--:|");
    for footprint in footprints {
        let Footprint { name, allocations, made, called, contended } = footprint;
        println!("| {name} | {made:.0} | {called:.0} | {contended:.0} | {allocations:.1} |");
    }
}

pub fn growth(growths: &[Growth]) {
    println!("\n### `growth`: breakers in one registry, one call each\n");
    println!("| breakers | ns each | least | most | slowest single one, ms | least | most |");
    println!("|--:|--:|--:|--:|--:|--:|--:|");
    for Growth { breakers, nanos_each, slowest_ms } in growths {
        println!(
            "| {breakers} | {:.0} | {:.0} | {:.0} | {:.2} | {:.2} | {:.2} |",
            nanos_each.median,
            nanos_each.min,
            nanos_each.max,
            slowest_ms.median,
            slowest_ms.min,
            slowest_ms.max,
        );
    }
}

/// What ran, and whether it is as good as it has to be.
#[derive(Default)]
pub struct Goals {
    medians: HashMap<(&'static str, &'static str), f64>,
    /// Those that are no comparison of two medians.
    plain: Vec<String>,
}

/// The peers with a streak rule, ours among them.
const EQUAL: [&str; 6] = [
    "mutex-ring",
    "failsafe",
    "nobreak",
    "circuitbreaker-rs",
    "execution-policy",
    "tower-resilience",
];

/// `(what, factor, workload, workload of the other side, its contender)`; each is of avail.
const COMPARED: [(&str, f64, &str, &str, &str); 10] = [
    ("at most 1.5 x load-counter", 1.5, "async", "async", "load-counter"),
    ("at most 1.5 x load-counter", 1.5, "sync", "sync", "load-counter"),
    ("at most 1.3 x full-job", 1.3, "rates", "rates", "full-job"),
    ("no slower than recloser", 1.0, "rates", "rates", "recloser"),
    ("at most 1.5 x one thread", 1.5, "threads-2", "async", "avail"),
    ("at most 1.5 x one thread", 1.5, "threads-8", "async", "avail"),
    ("at most half of recloser", 0.5, "rates-threads-2", "rates-threads-2", "recloser"),
    ("at most half of recloser", 0.5, "rates-threads-8", "rates-threads-8", "recloser"),
    ("at most 1.3 x success", 1.3, "mixed", "async", "avail"),
    ("at most 1.3 x success", 1.3, "rates-mixed", "rates", "avail"),
];

impl Goals {
    pub fn workload(&mut self, workload: &'static str, entries: &[Entry]) {
        let measured = entries.iter().filter(|entry| entry.failure.is_none());
        self.medians.extend(measured.map(|e| ((workload, e.name), e.summary().median)));
        let avail = entries.iter().find(|entry| entry.name == "avail");
        if let (Some(avail), "open") = (avail, workload) {
            self.judge("open: allocations", 0.0, avail.allocations());
        }
    }

    pub fn memory(&mut self, footprints: &[Footprint]) {
        if let Some(avail) = footprints.iter().find(|footprint| footprint.name == "avail") {
            self.judge("memory: at most 1 KiB until contended, bytes", 1024.0, avail.called);
        }
    }

    pub fn growth(&mut self, growths: &[Growth]) {
        if let [.., fewer, most] = growths {
            let linear = 2.0 * fewer.nanos_each.median;
            self.judge(
                "growth: ten times as many, at most twice each",
                linear,
                most.nanos_each.median,
            );
            self.judge("growth: the slowest single one, ms", 10.0, most.slowest_ms.median);
        }
    }

    fn judge(&mut self, what: &str, allowed: f64, measured: f64) {
        let met = if measured <= allowed { "met" } else { "missed" };
        self.plain.push(format!("| {what} | {allowed:.1} | {measured:.1} | {met} |"));
    }

    fn median(&self, workload: &'static str, contender: &'static str) -> Option<f64> {
        self.medians.get(&(workload, contender)).copied()
    }

    fn compare(&mut self, what: &str, subject: Option<f64>, allowed: Option<f64>) {
        if let (Some(measured), Some(allowed)) = (subject, allowed) {
            self.judge(what, allowed, measured);
        }
    }

    /// Threads that share nothing take as long as one does, unless others use the processors.
    fn warn_if_busy(&self) {
        let Some(one) = self.median("async", "bare") else { return };
        for workload in ["threads-2", "threads-8", "rates-threads-2", "rates-threads-8"] {
            let Some(several) = self.median(workload, "bare") else { continue };
            if several > 1.3 * one {
                let times = several / one;
                println!(
                    "\n`{workload}`: the machine was busy, `bare` took {times:.1} x its own time."
                );
            }
        }
    }

    /// Each goal that can be judged by what ran.
    pub fn print(mut self) {
        for (what, factor, workload, other, contender) in COMPARED {
            let allowed = self.median(other, contender).map(|nanos| nanos * factor);
            self.compare(&format!("{workload}: {what}"), self.median(workload, "avail"), allowed);
        }
        for workload in ["async", "sync"] {
            let peers = EQUAL.iter().filter_map(|peer| self.median(workload, peer));
            let allowed = peers.reduce(f64::min).map(|nanos| nanos / 2.0);
            let what = format!("{workload}: at most half of the fastest peer with the rule");
            self.compare(&what, self.median(workload, "avail"), allowed);
        }
        let open = self.median("open", "avail");
        self.compare("open: at most 15 ns", open, Some(15.0));
        let direct = self.median("registry", "avail").map(|nanos| nanos + 2.0);
        let cached = self.median("registry", "avail-cached");
        self.compare("registry: the cached handle within 2 ns of the direct one", cached, direct);
        self.warn_if_busy();
        if !self.plain.is_empty() {
            println!("\n### Goals\n\n| goal | allowed | measured | |\n|---|--:|--:|---|");
            self.plain.iter().for_each(|line| println!("{line}"));
        }
    }
}
