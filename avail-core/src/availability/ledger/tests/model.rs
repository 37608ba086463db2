//! A plain reference: it walks second by second and knows nothing of intervals. Runs take no time
//! and start on whole seconds.

use crate::availability::ComponentState::{self, Degraded, Down, Unobserved, Up};
use crate::health::HealthStatus;

/// How often checks are to run.
pub(super) const INTERVAL: i64 = 10;
/// Without a run for so long, nobody has looked since the next one was due.
const SILENT_AFTER: i64 = 30;
/// Down times that lie no further apart are one incident.
const REOPEN_WITHIN: usize = 60;
/// So many seconds are looked back over for changes: six of them are flapping, until fewer than three
/// are left.
const FLAPPING_WITHIN: i64 = 600;

#[derive(Clone, Copy, Debug)]
pub(super) struct Check {
    pub(super) critical: bool,
    pub(super) failures: u32,
    pub(super) successes: u32,
}

#[derive(Clone, Copy, Debug)]
pub(super) enum Step {
    Run {
        check: usize,
        status: HealthStatus,
    },
    /// The process ends, and begins again after so many seconds.
    Restart {
        off: i64,
        clean: bool,
    },
}

/// What each was in each second.
#[derive(Debug, PartialEq)]
pub(super) struct Lines {
    pub(super) checks: Vec<Vec<ComponentState>>,
    pub(super) process: Vec<ComponentState>,
    pub(super) system: Vec<ComponentState>,
}

#[derive(Debug, Default)]
struct Walker {
    line: Vec<ComponentState>,
    /// In which seconds it had run since the process began.
    joined: Vec<bool>,
    current: Option<ComponentState>,
    up: Option<bool>,
    /// The seconds of runs in a row that speak against `up`.
    against: Vec<i64>,
    last_run: Option<i64>,
    seen: Option<ComponentState>,
    changes: Vec<i64>,
    is_flapping: bool,
    /// In which seconds it was flapping.
    flaps: Vec<bool>,
}

impl Walker {
    fn look_for_silence(&mut self, second: i64) {
        let Some(last) = self.last_run.filter(|last| second - last >= SILENT_AFTER) else { return };
        if self.current.is_some() {
            self.current = Some(Unobserved);
            self.line[(last + INTERVAL) as usize..].fill(Unobserved);
        }
        self.against.clear();
    }

    fn run(&mut self, check: Check, second: i64, status: HealthStatus) {
        let good = status.is_up();
        let state = match status {
            HealthStatus::Healthy => Up,
            HealthStatus::Degraded => Degraded,
            _ => Down,
        };
        self.last_run = Some(second);
        let needed = match (self.up, good) {
            (Some(up), good) if up == good => 0,
            (None, true) => 1,
            (_, true) => check.successes,
            (_, false) => check.failures,
        };
        if needed == 0 || (self.up.is_none() && good) {
            self.against.clear();
        }
        self.against.push(second);
        if self.against.len() as u32 >= needed {
            self.line[self.against[0] as usize..].fill(state);
            (self.current, self.up) = (Some(state), Some(good));
            self.against.clear();
            if self.seen.replace(state).is_some_and(|seen| seen != state) {
                self.changes.push(second);
            }
        }
    }

    fn restart(&mut self) {
        let (line, joined) = (std::mem::take(&mut self.line), std::mem::take(&mut self.joined));
        *self =
            Walker { line, joined, flaps: std::mem::take(&mut self.flaps), ..Walker::default() };
    }

    fn look_for_flapping(&mut self, second: i64) {
        let recent = self.changes.iter().filter(|change| second - **change < FLAPPING_WITHIN);
        let before = self.is_flapping;
        self.is_flapping = recent.count() >= if before { 3 } else { 6 };
        self.flaps.push(self.is_flapping);
    }

    /// What works while it is flapping is degraded.
    fn mark_flapping(&mut self) {
        let seconds = self.line.iter_mut().zip(&self.flaps);
        seconds.filter(|(state, flaps)| **flaps && **state == Up).for_each(|(state, _)| {
            *state = Degraded;
        });
    }
}

/// Steps are in the order of their seconds, and none is in the time of a restart.
pub(super) fn walk(checks: &[Check], steps: &[(i64, Step)], end: i64) -> Lines {
    let mut walkers: Vec<Walker> = checks.iter().map(|_| Walker::default()).collect();
    let mut process = Vec::new();
    let (mut off_until, mut off_is) = (0, Up);
    for second in 0..end {
        walkers.iter_mut().for_each(|walker| walker.look_for_silence(second));
        for (_, step) in steps.iter().filter(|(at, _)| *at == second) {
            match *step {
                Step::Run { check, status } => walkers[check].run(checks[check], second, status),
                Step::Restart { off, clean } => {
                    (off_until, off_is) = (second + off, if clean { Unobserved } else { Down });
                    walkers.iter_mut().for_each(Walker::restart);
                }
            }
        }
        for walker in &mut walkers {
            walker.line.push(walker.current.unwrap_or(Unobserved));
            walker.joined.push(walker.last_run.is_some());
            walker.look_for_flapping(second);
        }
        process.push(if second < off_until { off_is } else { Up });
    }
    for walker in &mut walkers {
        walker.look_for_silence(end);
        walker.mark_flapping();
    }
    let system = (0..end as usize).map(|second| {
        let counts = |(walker, check): &(&Walker, &Check)| check.critical && walker.joined[second];
        let members = walkers.iter().zip(checks).filter(counts);
        let states: Vec<_> = members.map(|(walker, _)| walker.line[second]).collect();
        let all = [&states[..], &[process[second]]].concat();
        let worst = [Down, Unobserved, Degraded].into_iter().find(|state| all.contains(state));
        worst.unwrap_or(Up)
    });
    let system = system.collect();
    Lines { checks: walkers.into_iter().map(|walker| walker.line).collect(), process, system }
}

/// Seconds of each state in the last `length` seconds.
pub(super) fn seconds(line: &[ComponentState], length: usize) -> [f64; 5] {
    let before = length.saturating_sub(line.len()) as f64;
    let part = &line[line.len().saturating_sub(length)..];
    let count = |state| part.iter().filter(|second| **second == state).count() as f64;
    let mut seconds = ComponentState::ALL.map(count);
    seconds[Unobserved as usize] += before;
    seconds
}

/// An incident: when it was last down, how long it was down, and whether it has come up since.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(super) struct Outage {
    pub(super) end: usize,
    pub(super) down: f64,
    pub(super) over: bool,
}

pub(super) fn outages(line: &[ComponentState]) -> Vec<Outage> {
    let mut outages: Vec<Outage> = Vec::new();
    for (second, state) in line.iter().enumerate() {
        match (state, outages.last_mut()) {
            (Down, Some(last)) if !last.over || second - last.end <= REOPEN_WITHIN => {
                *last = Outage { end: second + 1, down: last.down + 1.0, over: false };
            }
            (Down, _) => outages.push(Outage { end: second + 1, down: 1.0, over: false }),
            (Up | Degraded, Some(last)) => last.over = true,
            _ => {}
        }
    }
    outages
}
