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

/// The medians of every workload that ran, by workload and contender.
#[derive(Default)]
pub struct Medians(HashMap<(&'static str, &'static str), f64>);

impl Medians {
    pub fn keep(&mut self, workload: &'static str, entries: &[Entry]) {
        for entry in entries.iter().filter(|entry| entry.failure.is_none()) {
            self.0.insert((workload, entry.name), entry.summary().median);
        }
    }

    fn of(&self, (workload, contender): (&'static str, &'static str)) -> Option<f64> {
        self.0.get(&(workload, contender)).copied()
    }

    /// The fastest peer with the rules of a workload; ours, the mutex ring, among them.
    fn peer(&self, workload: &'static str, peers: &[&'static str]) -> Option<f64> {
        let nanos = peers.iter().filter_map(|peer| self.of((workload, peer)));
        nanos.reduce(f64::min)
    }

    /// Each goal that can be judged by what ran.
    pub fn goals(&self) {
        let equal: &[_] = &[
            "mutex-ring",
            "failsafe",
            "nobreak",
            "circuitbreaker-rs",
            "execution-policy",
            "tower-resilience",
        ];
        let judged: Vec<_> = [
            self.goal(
                "async: at most 1.5 x load-counter",
                1.5,
                ("async", "avail"),
                self.of(("async", "load-counter")),
            ),
            self.goal(
                "async: at most half of the fastest peer with the rule",
                0.5,
                ("async", "avail"),
                self.peer("async", equal),
            ),
            self.goal(
                "sync: at most 1.5 x load-counter",
                1.5,
                ("sync", "avail"),
                self.of(("sync", "load-counter")),
            ),
            self.goal(
                "sync: at most half of the fastest peer with the rule",
                0.5,
                ("sync", "avail"),
                self.peer("sync", equal),
            ),
            self.goal(
                "rates: at most 1.3 x full-job",
                1.3,
                ("rates", "avail"),
                self.of(("rates", "full-job")),
            ),
            self.goal(
                "rates: no slower than recloser",
                1.0,
                ("rates", "avail"),
                self.of(("rates", "recloser")),
            ),
            self.goal(
                "threads-2: at most 1.5 x one thread",
                1.5,
                ("threads-2", "avail"),
                self.of(("async", "avail")),
            ),
            self.goal(
                "threads-8: at most 1.5 x one thread",
                1.5,
                ("threads-8", "avail"),
                self.of(("async", "avail")),
            ),
            self.goal(
                "rates-threads-2: at most half of recloser",
                0.5,
                ("rates-threads-2", "avail"),
                self.of(("rates-threads-2", "recloser")),
            ),
            self.goal(
                "rates-threads-8: at most half of recloser",
                0.5,
                ("rates-threads-8", "avail"),
                self.of(("rates-threads-8", "recloser")),
            ),
            self.goal(
                "mixed: at most 1.3 x success",
                1.3,
                ("mixed", "avail"),
                self.of(("async", "avail")),
            ),
            self.goal(
                "rates-mixed: at most 1.3 x success",
                1.3,
                ("rates-mixed", "avail"),
                self.of(("rates", "avail")),
            ),
            self.goal("open: at most 15 ns", 1.0, ("open", "avail"), Some(15.0)),
            self.goal(
                "registry: the cached handle within 2 ns of the direct one",
                1.0,
                ("registry", "avail-cached"),
                self.of(("registry", "avail")).map(|direct| direct + 2.0),
            ),
        ]
        .into_iter()
        .flatten()
        .collect();
        if !judged.is_empty() {
            println!("\n### Goals\n\n| goal | allowed, ns | measured, ns | |\n|---|--:|--:|---|");
            judged.iter().for_each(|line| println!("{line}"));
        }
    }

    fn goal(
        &self,
        what: &str,
        factor: f64,
        subject: (&'static str, &'static str),
        against: Option<f64>,
    ) -> Option<String> {
        let (measured, allowed) = (self.of(subject)?, against? * factor);
        let met = if measured <= allowed { "met" } else { "missed" };
        Some(format!("| {what} | {allowed:.1} | {measured:.1} | {met} |"))
    }
}
