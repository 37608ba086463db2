//! One component: what its check and its breaker say, and the timeline that follows from both.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use serde::Serialize;

use super::checks::{CheckCounts, CheckHistory};
use super::flapping::Flapping;
use super::ledger::{CheckTerms, Tally};
use super::moment::{Moment, Span};
use super::periods::Periods;
use super::slo::Objective;
use super::timeline::{ComponentState, Timeline, overlay};
use crate::breaker::CircuitState;
use crate::health::hysteresis::{Decision, Hysteresis};
use crate::health::{FailureClass, HealthCheckResult, HealthStatus, Probe, Schedule};
use crate::monitor::HISTORY;

/// So many changes of a check or a breaker are kept beside the merged timeline: enough to go back
/// to the beginning of any streak.
const TRACK: usize = 64;

/// So many spans are kept in which a component was critical: enough for any streak.
const FORMER: usize = 16;

/// What a check says of a component.
#[derive(Clone, Debug)]
pub(crate) struct CheckSide {
    pub(crate) critical: bool,
    pub(crate) probe: Probe,
    /// `None`: it is run by hand, and never goes stale.
    pub(crate) schedule: Option<Schedule>,
    pub(crate) depends_on: Arc<[Arc<str>]>,
    pub(crate) tags: Arc<[Arc<str>]>,
    pub(crate) hysteresis: Hysteresis,
    pub(crate) track: Timeline,
    pub(crate) status: HealthStatus,
    pub(crate) last_started: Option<Moment>,
    pub(crate) last_completed: Option<Moment>,
    /// Since when the schedule is what it is: nobody was late by it before.
    scheduled_since: Moment,
    /// Failing since before the startup grace was over: not down yet.
    pub(crate) in_grace: bool,
}

impl CheckSide {
    pub(crate) fn new(terms: CheckTerms, now: Moment) -> Self {
        let CheckTerms { critical, probe, schedule, depends_on, tags } = terms;
        let (failures, successes) =
            schedule.map_or((1, 1), |s| (s.failure_threshold, s.success_threshold));
        CheckSide {
            critical,
            probe,
            schedule,
            depends_on,
            tags,
            hysteresis: Hysteresis::new(failures, successes),
            track: Timeline::forgetful(now, ComponentState::Unobserved, TRACK),
            status: HealthStatus::Unknown,
            last_started: None,
            last_completed: None,
            scheduled_since: now,
            in_grace: false,
        }
    }

    pub(crate) fn is_by_hand(&self) -> bool {
        self.schedule.is_none()
    }

    /// Other terms hold from now on.
    pub(crate) fn retune(&mut self, terms: CheckTerms, now: Moment) {
        let CheckTerms { critical, probe, schedule, depends_on, tags } = terms;
        if let Some(schedule) = schedule {
            self.hysteresis.set_thresholds(schedule.failure_threshold, schedule.success_threshold);
        }
        if schedule != self.schedule {
            (self.schedule, self.scheduled_since) = (schedule, now);
        }
        (self.critical, self.probe, self.depends_on, self.tags) =
            (critical, probe, depends_on, tags);
    }

    /// Down, and accountable for it.
    pub(crate) fn is_down(&self) -> bool {
        self.hysteresis.is_down() && !self.in_grace
    }

    /// Since when the next run is awaited.
    fn awaited_since(&self) -> Option<Moment> {
        self.last_completed.map(|completed| completed.max(self.scheduled_since))
    }

    /// Takes a completed run into account. Gives when it started, what it decides, and from when on
    /// the track has changed, if it has.
    pub(crate) fn take_run(
        &mut self,
        run: &HealthCheckResult,
        in_grace: bool,
        now: Moment,
    ) -> (Moment, Decision, Option<Moment>) {
        let began = Moment::from(run.timestamp);
        let started = self.last_started.map_or(began, |last| began.max(last)).min(now);
        if self.was_silent_until(started) {
            self.hysteresis.break_off();
        }
        self.last_started = Some(started);
        self.last_completed = Some(now);
        let success = run.status.is_up();
        let decision = self.hysteresis.apply(success, started);
        let from = match decision {
            Decision::Up(since) => {
                self.in_grace = false;
                since
            }
            Decision::Down(since, _) => {
                self.in_grace = in_grace;
                since
            }
            Decision::Unchanged => started,
        };
        let decided = if success { self.hysteresis.is_up() } else { self.hysteresis.is_down() };
        let changed = decided && {
            self.status = run.status;
            self.track.set_from(from, self.state_of(run.status))
        };
        (started, decision, changed.then_some(from))
    }

    fn state_of(&self, status: HealthStatus) -> ComponentState {
        match status {
            HealthStatus::Healthy => ComponentState::Up,
            HealthStatus::Degraded => ComponentState::Degraded,
            _ if self.in_grace => ComponentState::Unobserved,
            _ => ComponentState::Down,
        }
    }

    /// Nobody has looked since then: a streak that had begun before is broken off.
    pub(crate) fn went_silent(&mut self, since: Moment) {
        self.status = HealthStatus::Unknown;
        self.hysteresis.break_off();
        self.track.set_from(since, ComponentState::Unobserved);
    }

    /// Whether nobody had looked for so long, when a run began, that it goes on with no streak: also
    /// of one that has decided nothing yet.
    fn was_silent_until(&self, started: Moment) -> bool {
        let awaited = self.awaited_since().zip(self.schedule);
        awaited.is_some_and(|(since, schedule)| started >= since.after(schedule.stale_after()))
    }

    /// Since when nobody has looked, if that is too long and not yet shown.
    pub(crate) fn stale_since(&self, now: Moment) -> Option<Moment> {
        let schedule = self.schedule?;
        let since = self.awaited_since().filter(|_| self.status != HealthStatus::Unknown)?;
        let due = since.after(schedule.interval);
        (now >= since.after(schedule.stale_after())).then_some(due)
    }
}

/// What a component's breaker says of it, or the breakers of a family.
#[derive(Clone, Debug)]
pub(crate) struct BreakerSide {
    pub(crate) critical: bool,
    /// Those that are not closed, by name.
    not_closed: BTreeMap<Arc<str>, NotClosed>,
    pub(crate) track: Timeline,
}

#[derive(Clone, Copy, Debug)]
struct NotClosed {
    state: ComponentState,
    /// Until when a critical open breaker is down; then a call may probe it.
    down_until: Option<Moment>,
}

impl BreakerSide {
    pub(crate) fn new(critical: bool, now: Moment) -> Self {
        let track = Timeline::forgetful(now, ComponentState::Up, TRACK);
        BreakerSide { critical, not_closed: BTreeMap::new(), track }
    }

    /// A breaker is in that state since `at`; open for so long before a call may probe it, if that
    /// is known.
    pub(crate) fn set(
        &mut self,
        breaker: &Arc<str>,
        state: CircuitState,
        open_for: Option<Duration>,
        at: Moment,
    ) {
        let down = self.critical && state == CircuitState::Open;
        let down_until = open_for.filter(|_| down).map(|time| at.after(time));
        let counts_as = if down { ComponentState::Down } else { ComponentState::Degraded };
        if state == CircuitState::Closed {
            self.not_closed.remove(breaker);
        } else {
            let one = NotClosed { state: counts_as, down_until };
            self.not_closed.insert(breaker.clone(), one);
        }
        self.track.set_from(at, self.worst());
    }

    fn worst(&self) -> ComponentState {
        let states = self.not_closed.values().map(|one| one.state);
        states.min_by_key(|state| rank(*state)).unwrap_or(ComponentState::Up)
    }

    /// The first by name of those that are not.
    pub(crate) fn first_not_closed(&self) -> Option<&Arc<str>> {
        self.not_closed.keys().next()
    }

    pub(crate) fn is_closed(&self) -> bool {
        self.not_closed.is_empty()
    }

    /// When the first critical open breaker is to be probed.
    pub(crate) fn down_until(&self) -> Option<Moment> {
        self.not_closed.values().filter_map(|one| one.down_until).min()
    }

    /// Those whose open time is over are no longer down. Gives since when that has changed
    /// anything.
    pub(crate) fn advance(&mut self, now: Moment) -> Option<Moment> {
        let first = self.down_until().filter(|until| *until <= now)?;
        for one in self.not_closed.values_mut() {
            if one.down_until.is_some_and(|until| until <= now) {
                *one = NotClosed { state: ComponentState::Degraded, down_until: None };
            }
        }
        self.track.set_from(first, self.worst());
        Some(first)
    }

    pub(crate) fn status(&self) -> HealthStatus {
        match self.track.last().1 {
            ComponentState::Down => HealthStatus::Unhealthy,
            ComponentState::Up => HealthStatus::Healthy,
            _ => HealthStatus::Degraded,
        }
    }
}

/// Completed runs of a component's check since the process started, by how they ended.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize)]
#[non_exhaustive]
pub struct RunCounts {
    /// In time, and healthy.
    pub success: u64,
    /// It works, but slowly or not in every respect.
    pub slow: u64,
    /// The check said that it does not work.
    pub error: u64,
    /// Outlived its timeout.
    pub timeout: u64,
    /// Panicked.
    pub panic: u64,
    /// Was not begun, because the one before it hangs.
    pub skipped: u64,
}

impl RunCounts {
    fn count(&mut self, result: &HealthCheckResult) {
        let counter = match (result.class, result.status) {
            (Some(FailureClass::Timeout), _) => &mut self.timeout,
            (Some(FailureClass::Panicked), _) => &mut self.panic,
            (Some(FailureClass::Hung), _) => &mut self.skipped,
            (_, HealthStatus::Healthy) => &mut self.success,
            (_, HealthStatus::Degraded) => &mut self.slow,
            _ => &mut self.error,
        };
        *counter += 1;
    }

    /// Each with its label in the metric `avail_check_runs_total`.
    pub fn by_result(&self) -> [(&'static str, u64); 6] {
        [
            ("success", self.success),
            ("slow", self.slow),
            ("error", self.error),
            ("timeout", self.timeout),
            ("panic", self.panic),
            ("skipped", self.skipped),
        ]
    }
}

/// How long runs took since the process started.
#[derive(Clone, Debug, Default, PartialEq, Serialize)]
#[non_exhaustive]
pub struct LatencyHistogram {
    /// How many took up to [`BOUNDS`](Self::BOUNDS)`[i]` seconds and longer than the bound before;
    /// the last counts those above every bound.
    pub counts: [u64; 12],
    /// The sum of all, in seconds.
    pub sum_seconds: f64,
}

impl LatencyHistogram {
    /// Upper bounds of the buckets, in seconds.
    pub const BOUNDS: [f64; 11] =
        [0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 5.0];

    fn observe(&mut self, latency: Duration) {
        let seconds = latency.as_secs_f64();
        let bucket = Self::BOUNDS.partition_point(|bound| *bound < seconds);
        self.counts[bucket] += 1;
        self.sum_seconds += seconds;
    }

    /// How many there were.
    pub fn count(&self) -> u64 {
        self.counts.iter().sum()
    }

    /// Upper bound in seconds and how many took up to that, for each bucket but the last.
    pub fn cumulative(&self) -> impl Iterator<Item = (f64, u64)> + '_ {
        let sums = self.counts.iter().scan(0, |sum, count| {
            *sum += count;
            Some(*sum)
        });
        Self::BOUNDS.into_iter().zip(sums)
    }
}

#[derive(Clone, Debug)]
pub(crate) struct Component {
    pub(crate) name: Arc<str>,
    pub(crate) check: Option<CheckSide>,
    pub(crate) breaker: Option<BreakerSide>,
    /// What both come to; it outlives restarts.
    pub(crate) timeline: Timeline,
    pub(crate) tally: Tally,
    /// When it counts for the system, if it is critical: since its first completed run of this
    /// boot.
    pub(crate) member: Option<Span>,
    /// When it was critical before, and has ceased to be: the latest few of those.
    former: Vec<Span>,
    pub(crate) shown: HealthStatus,
    pub(crate) shown_since: Moment,
    pub(crate) checks: CheckHistory,
    /// Runs that the history has not been told of.
    pub(crate) untold: CheckCounts,
    /// Calls through its breakers, counted as runs are.
    pub(crate) calls: CheckHistory,
    pub(crate) untold_calls: CheckCounts,
    /// What its check declares; `None` where it has none.
    pub(crate) objective: Option<Objective>,
    pub(crate) runs: RunCounts,
    pub(crate) latency: LatencyHistogram,
    pub(crate) last_run: Option<HealthCheckResult>,
    pub(crate) last_success: Option<Moment>,
    pub(crate) flapping: Flapping,
    /// Its own; that of the whole system is kept elsewhere.
    pub(crate) maintenance: Periods,
}

impl Component {
    /// Known by its timeline alone until a check or a breaker joins it.
    pub(crate) fn new(name: Arc<str>, now: Moment) -> Self {
        Component {
            name,
            check: None,
            breaker: None,
            timeline: Timeline::new(now, ComponentState::Unobserved),
            tally: Tally::default(),
            member: None,
            former: Vec::new(),
            shown: HealthStatus::Unknown,
            shown_since: now,
            checks: CheckHistory::default(),
            untold: CheckCounts::default(),
            calls: CheckHistory::default(),
            untold_calls: CheckCounts::default(),
            objective: None,
            runs: RunCounts::default(),
            latency: LatencyHistogram::default(),
            last_run: None,
            last_success: None,
            flapping: Flapping::default(),
            maintenance: Periods::default(),
        }
    }

    /// Whether anything looks at it in this boot.
    pub(crate) fn is_present(&self) -> bool {
        self.check.is_some() || self.breaker.is_some()
    }

    pub(crate) fn is_critical(&self) -> bool {
        let check = self.check.as_ref().is_some_and(|check| check.critical);
        check || self.breaker.as_ref().is_some_and(|breaker| breaker.critical)
    }

    /// It counts for the system from now on.
    pub(crate) fn begin_to_count(&mut self, now: Moment) {
        self.member = Some(Span::new(now, Moment::MAX));
    }

    /// It no longer counts for the system; that it did is kept.
    pub(crate) fn cease_to_count(&mut self) {
        if let Some(member) = self.member.take() {
            if self.former.len() == FORMER {
                self.former.remove(0);
            }
            self.former.push(member);
        }
    }

    /// A process begins.
    pub(crate) fn forget_membership(&mut self) {
        self.member = None;
        self.former.clear();
    }

    /// Every span in which it counts for the system.
    pub(crate) fn memberships(&self) -> impl Iterator<Item = Span> {
        let critical = self.is_critical();
        let counts = move |member: &Span| critical || member.to < Moment::MAX;
        self.former.iter().copied().chain(self.member.filter(counts))
    }

    pub(crate) fn probe(&self) -> Probe {
        self.check.as_ref().map_or(Probe::Readiness, |check| check.probe)
    }

    /// The worse of what its check and its breaker say; at least degraded while it is flapping.
    pub(crate) fn status(&self) -> HealthStatus {
        let own = self.status_but_for_flapping();
        if self.flapping.is_flapping() { own.worse(HealthStatus::Degraded) } else { own }
    }

    pub(crate) fn status_but_for_flapping(&self) -> HealthStatus {
        match (&self.check, &self.breaker) {
            (Some(check), Some(breaker)) => check.status.worse(breaker.status()),
            (Some(check), None) => check.status,
            (None, Some(breaker)) => breaker.status(),
            (None, None) => HealthStatus::Unknown,
        }
    }

    /// In which way it is failing, if it is.
    pub(crate) fn class(&self) -> Option<FailureClass> {
        let open = self.breaker.as_ref().is_some_and(|breaker| !breaker.is_closed());
        match &self.last_run {
            Some(run) if run.class.is_some() => run.class,
            _ => open.then_some(FailureClass::Open),
        }
    }

    /// Whether time alone changes it now.
    pub(crate) fn is_due(&self, now: Moment, grace_over: bool) -> bool {
        let check = self.check.as_ref();
        let breaker = self.breaker.as_ref().and_then(BreakerSide::down_until);
        breaker.is_some_and(|until| until <= now)
            || self.flapping.calm_at().is_some_and(|calm| calm <= now)
            || check.is_some_and(|c| c.stale_since(now).is_some() || (c.in_grace && grace_over))
    }

    /// A completed run goes into the counts; what it means for the state is decided elsewhere.
    pub(crate) fn count(&mut self, result: &HealthCheckResult) {
        let (at, success) = (Moment::from(result.timestamp), result.status.is_up());
        let mut counts = CheckCounts::default();
        counts.count(success);
        self.checks.add(at, counts);
        self.untold.count(success);
        self.runs.count(result);
        self.latency.observe(result.latency);
        if success {
            self.last_success = Some(at.after(result.latency));
        }
    }

    /// Works the timeline out again, from `at` on, and gives what is new in it. `system`: when the
    /// whole system was in maintenance.
    pub(crate) fn rebuild(
        &mut self,
        system: &Periods,
        at: Moment,
        now: Moment,
    ) -> Vec<(Moment, ComponentState)> {
        if !self.is_present() {
            return Vec::new();
        }
        let check = self.check.as_ref().map(|check| &check.track);
        let breaker = self.breaker.as_ref().map(|breaker| &breaker.track);
        let tracks = check.into_iter().chain(breaker);
        let mut parts: Vec<_> =
            tracks.map(|track| (track, Span::new(track.origin(), Moment::MAX))).collect();
        let [degraded, maintenance] =
            [ComponentState::Degraded, ComponentState::Maintenance].map(Timeline::constant);
        parts.extend(self.flapping.periods().iter().map(|period| (&degraded, period)));
        let periods = self.maintenance.iter().chain(system.iter());
        parts.extend(periods.map(|period| (&maintenance, period)));
        let span = Span::new(at, now.after(Duration::from_millis(1)));
        let mut changes = overlay(&parts, span, rank);
        changes.retain(|&(at, state)| self.timeline.set_from(at, state));
        changes
    }

    /// Up to when nothing that a later run decides can change the timeline.
    pub(crate) fn final_until(&self, now: Moment) -> Moment {
        let Some(check) = &self.check else { return now };
        // It tells of itself, and at once.
        if &*self.name == HISTORY {
            return now;
        }
        let undecided = check.hysteresis.undecided_since();
        undecided.or(check.last_started).unwrap_or(check.track.origin()).min(now)
    }
}

/// For a component: the worse of its check and its breaker.
fn rank(state: ComponentState) -> u8 {
    match state {
        ComponentState::Maintenance => 0,
        ComponentState::Down => 1,
        ComponentState::Unobserved => 2,
        ComponentState::Degraded => 3,
        ComponentState::Up => 4,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_latency_falls_into_the_bucket_that_it_does_not_exceed() {
        let mut histogram = LatencyHistogram::default();
        for micros in [1_000, 1_001, 5_000_000, 5_000_001] {
            histogram.observe(Duration::from_micros(micros));
        }
        assert_eq!(histogram.count(), 4);
        let cumulative: Vec<_> = histogram.cumulative().collect();
        assert_eq!(cumulative[0], (0.001, 1));
        assert_eq!(cumulative[1], (0.0025, 2));
        assert_eq!(cumulative[10], (5.0, 3));
    }
}
