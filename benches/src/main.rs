//! Measures avail's circuit breaker beside its peers and beside what the machine allows; see the
//! README.

mod contender;
mod growth;
mod limits;
mod measure;
mod memory;
mod peers;
mod report;
mod subject;
mod workloads;

use std::process::ExitCode;
use std::time::Duration;

use measure::{Effort, rounds};
use workloads::WORKLOADS;

#[global_allocator]
static ALLOCATOR: memory::Counting = memory::Counting;

const USAGE: &str = "\
avail-benches [--quick] [--rounds N] [--millis N] [WORKLOAD…]
avail-benches --list
avail-benches --exactly WORKLOAD CONTENDER CALLS

  --quick     short runs, for a look: under 20 seconds
  --rounds N  how often each contender runs; the median counts (default 7, at least 5)
  --millis N  how long a run is (default 100)
  --list      every workload with its contenders
  --exactly   makes so many calls and prints nothing, for a tool that counts instructions";

struct Options {
    effort: Effort,
    chosen: Vec<String>,
}

fn parse(mut words: impl Iterator<Item = String>) -> Result<Options, String> {
    let mut effort = Effort { time: Duration::from_millis(100), rounds: 7 };
    let mut chosen = Vec::new();
    while let Some(word) = words.next() {
        let mut number = || {
            let word = words.next().ok_or("a number is missing")?;
            word.parse::<u64>().map_err(|error| format!("`{word}`: {error}"))
        };
        match word.as_str() {
            "--quick" => effort = Effort { time: Duration::from_millis(8), rounds: 5 },
            "--rounds" => effort.rounds = (number()? as usize).max(5),
            "--millis" => effort.time = Duration::from_millis(number()?.max(1)),
            known if workloads::names().any(|name| name == known) => chosen.push(word),
            _ => return Err(format!("`{word}` is no workload and no option")),
        }
    }
    Ok(Options { effort, chosen })
}

fn exactly(words: &[String]) -> Option<()> {
    let [workload, contender, calls] = words else { return None };
    let workload = WORKLOADS.iter().find(|known| known.name == workload)?;
    let entries = (workload.entries)();
    let entry = entries.iter().find(|entry| entry.name == contender)?;
    entry.exactly(calls.parse().ok()?);
    Some(())
}

fn list() {
    for workload in WORKLOADS {
        for entry in (workload.entries)() {
            println!("{} {}", workload.name, entry.name);
        }
    }
    println!("memory\ngrowth");
}

fn measure(options: &Options) {
    let chosen = |name: &str| {
        options.chosen.is_empty() || options.chosen.iter().any(|chosen| chosen == name)
    };
    let mut goals = report::Goals::default();
    for workload in WORKLOADS.iter().filter(|workload| chosen(workload.name)) {
        let mut entries = (workload.entries)();
        rounds(&mut entries, options.effort);
        report::workload(workload, &entries);
        goals.workload(workload.name, &entries);
    }
    if chosen("memory") {
        let footprints = workloads::footprints();
        report::memory(&footprints);
        goals.memory(&footprints);
    }
    if chosen("growth") {
        let growths = growth::measure(options.effort.rounds);
        report::growth(&growths);
        goals.growth(&growths);
    }
    goals.print();
}

fn main() -> ExitCode {
    let words: Vec<_> = std::env::args().skip(1).collect();
    match words.first().map(String::as_str) {
        Some("--list") => list(),
        Some("--exactly") if exactly(&words[1..]).is_some() => {}
        Some("--exactly" | "--help" | "-h") => {
            eprintln!("{USAGE}");
            return ExitCode::from(2);
        }
        _ => match parse(words.into_iter()) {
            Ok(options) => measure(&options),
            Err(error) => {
                eprintln!("{error}\n\n{USAGE}");
                return ExitCode::from(2);
            }
        },
    }
    ExitCode::SUCCESS
}
