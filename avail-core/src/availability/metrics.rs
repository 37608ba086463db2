//! The figures of a window of time.

use std::fmt;
use std::ops::AddAssign;
use std::time::Duration;

use chrono::{DateTime, Utc};
use serde::Serialize;

use super::checks::CheckCounts;
use super::moment::{Moment, Span};
use super::outages::Outages;
use super::timeline::{ComponentState, Timeline, Totals};

/// The time that figures are asked for: up to now, from some time ago.
///
/// ```
/// use std::time::Duration;
/// use avail_core::Window;
///
/// assert_eq!(Window::HOURS_24, Window::last(Duration::from_secs(86_400)));
/// assert_eq!(Window::DAYS_7.to_string(), "7d");
/// assert_eq!(Window::last(Duration::from_secs(90)).to_string(), "90s");
/// ```
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct Window {
    length: Option<Duration>,
}

impl Window {
    /// The last 24 hours.
    pub const HOURS_24: Window = Window::last(Duration::from_secs(24 * 3600));
    /// The last 7 days.
    pub const DAYS_7: Window = Window::last(Duration::from_secs(7 * 24 * 3600));
    /// The last 30 days.
    pub const DAYS_30: Window = Window::last(Duration::from_secs(30 * 24 * 3600));
    /// Since the first record of the history.
    pub const ALL_TIME: Window = Window { length: None };

    /// The four that endpoints show, in their order.
    pub const ALL: [Window; 4] =
        [Window::HOURS_24, Window::DAYS_7, Window::DAYS_30, Window::ALL_TIME];

    /// Any other length.
    pub const fn last(length: Duration) -> Window {
        Window { length: Some(length) }
    }

    pub(crate) fn span(self, origin: Moment, now: Moment) -> Span {
        Span::new(self.length.map_or(origin, |length| now.before(length)), now)
    }
}

impl fmt::Display for Window {
    /// `24h`, `7d`, `30d`, `all_time`, or a number of seconds: `90s`.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match *self {
            Window::ALL_TIME => f.pad("all_time"),
            Window::HOURS_24 => f.pad("24h"),
            Window::DAYS_7 => f.pad("7d"),
            Window::DAYS_30 => f.pad("30d"),
            Window { length } => f.pad(&format!("{}s", length.unwrap_or_default().as_secs_f64())),
        }
    }
}

/// How available a component, or the system, was in a window: seconds of each state, and what
/// follows from them.
///
/// With U, G, D, M and X for the time that was up, degraded, down, maintenance and unobserved:
///
/// - availability = (U + G) / (U + G + D). Maintenance and unobserved time are on neither side.
/// - coverage = (U + G + D) / (window − M): how much of the window anybody looked at.
/// - MTBF = (U + G) / outages; MTTR = the mean down time of the outages that ended in the window.
/// - success ratio = good calls / (good + bad calls), through the component's circuit breakers. It is
///   another figure than the availability, by requests and not by time, and the two are never mixed.
///
/// Where every outage lies in the window, availability = MTBF / (MTBF + MTTR): the steady-state
/// availability of IEC 60050-192, with observed time for operating time.
#[derive(Clone, Debug, Default, PartialEq, Serialize)]
#[non_exhaustive]
pub struct AvailabilityMetrics {
    /// U: seconds that it worked.
    pub uptime_seconds: f64,
    /// D: seconds that it did not work.
    pub downtime_seconds: f64,
    /// G: seconds that it worked slowly, or not in every respect. They count as available.
    pub degraded_seconds: f64,
    /// X: seconds in which nobody looked. They count for nothing.
    pub unobserved_seconds: f64,
    /// M: seconds of announced maintenance. They count for nothing.
    pub maintenance_seconds: f64,
    /// 100 · (U + G) / (U + G + D); `None` where nothing was observed, and never 100 while D > 0.
    pub availability_percentage: Option<f64>,
    /// (U + G + D) / (window − M): the part of the window that the percentage speaks of, 0 to 1.
    pub coverage: f64,
    /// Runs of checks that completed in the window.
    pub total_checks: u64,
    /// Those that succeeded, degraded ones included.
    pub successful_checks: u64,
    /// Those that failed.
    pub failed_checks: u64,
    /// Mean time between failures, in seconds: (U + G) / outages. `None` without an outage.
    pub mtbf: Option<f64>,
    /// Without an outage: the least that MTBF can be, (U + G) in seconds.
    pub mtbf_at_least: Option<f64>,
    /// Mean time to recovery, in seconds: the mean down time of the outages that ended in the
    /// window. `None` if none did.
    pub mttr: Option<f64>,
    /// Of how many outages that is the mean.
    pub mttr_count: u64,
    /// The median of the same.
    pub mttr_p50: Option<f64>,
    /// The longest of the same.
    pub mttr_max: Option<f64>,
    /// Outages with down time in the window.
    pub incidents: u64,
    /// When the latest outage up to now began, in the window or before it.
    pub last_incident: Option<DateTime<Utc>>,
    /// Calls through the component's circuit breakers that succeeded; counted once a second.
    pub successful_calls: u64,
    /// Those that failed: by an error, a panic, the breaker's timeout, or given up late. Calls that
    /// were rejected, ignored or given up early say nothing of the component.
    pub failed_calls: u64,
    /// Successful calls of both, 0 to 1; `None` where there were none.
    pub success_ratio: Option<f64>,
    /// How coarse the window's beginning is, in seconds; 0 where it is exact.
    pub resolution_seconds: f64,
}

/// What was counted in a window.
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct Counted {
    pub(crate) checks: CheckCounts,
    pub(crate) calls: CheckCounts,
}

impl AddAssign for Counted {
    fn add_assign(&mut self, other: Counted) {
        self.checks += other.checks;
        self.calls += other.calls;
    }
}

impl AvailabilityMetrics {
    /// A timeline in each window up to `now`, and what was counted in it.
    pub(crate) fn in_windows<const N: usize>(
        timeline: &Timeline,
        windows: [Window; N],
        counted: [Counted; N],
        now: Moment,
    ) -> [Self; N] {
        let outages = timeline.outages(now);
        let spans = windows.map(|window| window.span(timeline.origin(), now));
        let totals = timeline.totals_since(spans.map(|span| span.from), now);
        std::array::from_fn(|index| {
            let span = spans[index];
            let resolution_seconds = timeline.resolution_seconds(span.from);
            Self::of(totals[index], &outages, counted[index], span, resolution_seconds)
        })
    }

    fn of(
        totals: Totals,
        outages: &Outages<'_>,
        counted: Counted,
        span: Span,
        resolution_seconds: f64,
    ) -> Self {
        let seconds = |state| totals.of(state) as f64 / 1000.0;
        let (up, degraded) = (seconds(ComponentState::Up), seconds(ComponentState::Degraded));
        let served = up + degraded;
        // In whole milliseconds, so that the parts of a window are never more than the whole.
        let accountable = span.length() - totals.of(ComponentState::Maintenance);

        let (incidents, repairs) = outages.since(span.from);
        AvailabilityMetrics {
            uptime_seconds: up,
            downtime_seconds: seconds(ComponentState::Down),
            degraded_seconds: degraded,
            unobserved_seconds: seconds(ComponentState::Unobserved),
            maintenance_seconds: seconds(ComponentState::Maintenance),
            availability_percentage: percentage(totals),
            coverage: ratio(totals.observed() as f64, accountable as f64).unwrap_or(0.0),
            total_checks: counted.checks.total(),
            successful_checks: counted.checks.successful,
            failed_checks: counted.checks.failed,
            mtbf: (incidents > 0).then(|| served / incidents as f64),
            mtbf_at_least: (incidents == 0 && served > 0.0).then_some(served),
            mttr: repairs.mean,
            mttr_count: repairs.count,
            mttr_p50: repairs.median,
            mttr_max: repairs.longest,
            incidents,
            last_incident: outages.last().map(|outage| outage.start.to_datetime()),
            successful_calls: counted.calls.successful,
            failed_calls: counted.calls.failed,
            success_ratio: counted.calls.success_ratio(),
            resolution_seconds,
        }
    }

    /// What was counted in it.
    pub(crate) fn counted(&self) -> Counted {
        let [checks, calls] = [
            (self.successful_checks, self.failed_checks),
            (self.successful_calls, self.failed_calls),
        ]
        .map(|(successful, failed)| CheckCounts { successful, failed });
        Counted { checks, calls }
    }

    /// Whether the percentage is at least `target`; `None` where nothing was observed.
    pub fn meets(&self, target: f64) -> Option<bool> {
        self.availability_percentage.map(|percentage| percentage >= target)
    }

    /// The percentage with three decimals, cut off and never rounded up: `99.999` for 99.9999, and
    /// `n/a` where nothing was observed.
    pub fn percentage_text(&self) -> String {
        // In whole milliseconds: what is exactly 99.9 must not be cut off to 99.899.
        let millis = |seconds: f64| (seconds * 1000.0).round() as u128;
        let served = millis(self.uptime_seconds) + millis(self.degraded_seconds);
        match (served * 100_000).checked_div(served + millis(self.downtime_seconds)) {
            Some(thousandths) => format!("{}.{:03}", thousandths / 1000, thousandths % 1000),
            None => "n/a".into(),
        }
    }
}

/// Seconds of each state in this boot, without those that a threshold has not decided yet: each only
/// grows. The time without a process before this boot is among them, up to where the boot before it
/// was last heard of.
#[derive(Clone, Copy, Debug, Default, PartialEq, Serialize)]
#[non_exhaustive]
pub struct StateSeconds {
    /// U.
    pub up: f64,
    /// G.
    pub degraded: f64,
    /// D.
    pub down: f64,
    /// M.
    pub maintenance: f64,
    /// X.
    pub unobserved: f64,
}

impl StateSeconds {
    pub(crate) fn of(totals: Totals) -> Self {
        let seconds = |state| totals.of(state) as f64 / 1000.0;
        StateSeconds {
            up: seconds(ComponentState::Up),
            degraded: seconds(ComponentState::Degraded),
            down: seconds(ComponentState::Down),
            maintenance: seconds(ComponentState::Maintenance),
            unobserved: seconds(ComponentState::Unobserved),
        }
    }

    /// Each with its label in the metric `avail_state_seconds_total`.
    pub fn by_state(&self) -> [(&'static str, f64); 5] {
        [
            ("up", self.up),
            ("degraded", self.degraded),
            ("down", self.down),
            ("maintenance", self.maintenance),
            ("unobserved", self.unobserved),
        ]
    }
}

fn ratio(part: f64, whole: f64) -> Option<f64> {
    (whole > 0.0).then(|| part / whole)
}

/// 100 · (U + G) / (U + G + D); `None` where nothing was observed.
pub(crate) fn percentage(totals: Totals) -> Option<f64> {
    let observed = totals.observed();
    let served = observed - totals.of(ComponentState::Down);
    ratio(served as f64, observed as f64).map(|share| share * 100.0)
}

#[cfg(test)]
mod tests {
    use super::super::timeline::ComponentState::{Degraded, Down, Maintenance, Unobserved, Up};
    use super::*;

    fn line(changes: &[(i64, ComponentState)]) -> Timeline {
        let mut timeline = Timeline::new(Moment(changes[0].0 * 1000), changes[0].1);
        for &(seconds, state) in &changes[1..] {
            timeline.set_from(Moment(seconds * 1000), state);
        }
        timeline
    }

    fn of_millis(timeline: &Timeline, from: i64, to: i64) -> AvailabilityMetrics {
        let window = Window::last(Duration::from_millis((to - from) as u64));
        let counted = [Counted::default()];
        let [metrics] = AvailabilityMetrics::in_windows(timeline, [window], counted, Moment(to));
        metrics
    }

    fn metrics(timeline: &Timeline, from: i64, to: i64) -> AvailabilityMetrics {
        of_millis(timeline, from * 1000, to * 1000)
    }

    #[test]
    fn a_day_with_one_outage_of_a_minute() {
        let timeline = line(&[(0, Up), (40_000, Down), (40_060, Up)]);
        let metrics = metrics(&timeline, 0, 86_400);
        assert_eq!(metrics.downtime_seconds, 60.0);
        assert_eq!(metrics.uptime_seconds, 86_340.0);
        assert_eq!(metrics.percentage_text(), "99.930");
        assert_eq!((metrics.mtbf, metrics.mttr), (Some(86_340.0), Some(60.0)));
        assert_eq!(metrics.coverage, 1.0);
        assert_eq!(metrics.meets(99.9), Some(true));
        assert_eq!(metrics.last_incident.map(|t| t.timestamp()), Some(40_000));
    }

    #[test]
    fn nothing_observed_is_not_100_percent() {
        let metrics = metrics(&line(&[(0, Unobserved), (10, Maintenance)]), 0, 20);
        assert_eq!(metrics.availability_percentage, None);
        assert_eq!((metrics.mtbf, metrics.mttr, metrics.mtbf_at_least), (None, None, None));
        assert_eq!(metrics.coverage, 0.0);
        assert_eq!(metrics.percentage_text(), "n/a");
    }

    #[test]
    fn maintenance_and_unobserved_time_are_on_neither_side() {
        let timeline =
            line(&[(0, Up), (10, Maintenance), (20, Unobserved), (30, Degraded), (40, Down)]);
        let metrics = metrics(&timeline, 0, 60);
        assert_eq!(metrics.availability_percentage, Some(50.0));
        assert_eq!(metrics.coverage, 40.0 / 50.0);
        assert_eq!((metrics.incidents, metrics.mttr), (1, None));
    }

    #[test]
    fn coverage_is_never_more_than_the_whole() {
        for up in 1..200 {
            for down in 1..200 {
                let mut timeline = line(&[(0, Up)]);
                timeline.set_from(Moment(up), Down);
                let metrics = of_millis(&timeline, 0, up + down);
                assert_eq!(metrics.coverage, 1.0, "{up} ms up, {down} ms down");
            }
        }
    }

    #[test]
    fn a_millisecond_of_downtime_in_ten_years_is_not_100_percent() {
        let mut timeline = line(&[(0, Up)]);
        timeline.set_from(Moment(1_000), Down);
        timeline.set_from(Moment(1_001), Up);
        let metrics = metrics(&timeline, 0, 315_360_000);
        assert!(metrics.availability_percentage < Some(100.0));
        assert_eq!(metrics.percentage_text(), "99.999");
    }

    #[test]
    fn a_percentage_is_cut_off_and_an_exact_one_is_shown_as_it_is() {
        for thousandths in 0..=100_000_i64 {
            let mut timeline = line(&[(0, Up)]);
            timeline.set_from(Moment(thousandths), Down);
            let metrics = of_millis(&timeline, 0, 100_000);
            let expected = format!("{}.{:03}", thousandths / 1000, thousandths % 1000);
            assert_eq!(metrics.percentage_text(), expected);
        }
    }

    #[test]
    fn the_mean_repair_stands_beside_how_many_there_were() {
        let timeline =
            line(&[(0, Up), (100, Down), (110, Up), (300, Down), (330, Up), (500, Down)]);
        let all = metrics(&timeline, 0, 600);
        assert_eq!((all.incidents, all.mttr_count), (3, 2), "the last one goes on");
        assert_eq!((all.mttr, all.mttr_p50, all.mttr_max), (Some(20.0), Some(20.0), Some(30.0)));
        let late = metrics(&timeline, 320, 600);
        assert_eq!((late.incidents, late.mttr_count), (2, 1));
        assert_eq!(late.mttr, Some(30.0), "also what lies before the window");
    }
}
