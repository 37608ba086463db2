//! What a component was, from when to when.
//!
//! A timeline is a list of changes: each holds until the next, the last until now. It is changed
//! only at its end, or from a point of the recent past on, where a threshold has decided late what
//! had been true for a while. Changes beyond a fixed number are folded, oldest first, into a sum,
//! so that a timeline is bounded and its total stays exact.

use std::collections::VecDeque;
use std::fmt;

use serde::{Deserialize, Serialize};

use super::moment::{Moment, Span};

/// What wall-clock time is counted as: each moment of a component's life is exactly one of these.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum ComponentState {
    /// It worked (U).
    Up,
    /// It worked, slowly or not in every respect (G).
    Degraded,
    /// It did not work (D).
    Down,
    /// It was announced to be out of service (M).
    Maintenance,
    /// Nobody looked (X).
    Unobserved,
}

impl ComponentState {
    /// Every state, in the order in which metrics list them.
    pub const ALL: [ComponentState; 5] = [
        ComponentState::Up,
        ComponentState::Degraded,
        ComponentState::Down,
        ComponentState::Maintenance,
        ComponentState::Unobserved,
    ];

    /// `up`, `degraded`, `down`, `maintenance` or `unobserved`.
    pub fn as_str(self) -> &'static str {
        match self {
            ComponentState::Up => "up",
            ComponentState::Degraded => "degraded",
            ComponentState::Down => "down",
            ComponentState::Maintenance => "maintenance",
            ComponentState::Unobserved => "unobserved",
        }
    }

    /// Up or degraded: it served.
    pub(crate) fn serves(self) -> bool {
        matches!(self, ComponentState::Up | ComponentState::Degraded)
    }
}

impl fmt::Display for ComponentState {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(self.as_str())
    }
}

/// Milliseconds of each state.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct Totals([i64; 5]);

impl Totals {
    pub(crate) fn of(self, state: ComponentState) -> i64 {
        self.0[state as usize]
    }

    pub(crate) fn add(&mut self, state: ComponentState, millis: i64) {
        self.0[state as usize] += millis;
    }

    fn sum(self) -> i64 {
        self.0.iter().sum()
    }

    /// Its share for a part of the time that it covers; the remainder stays with the largest.
    fn scaled(self, part: i64) -> Totals {
        let whole = self.sum();
        if whole <= 0 || part >= whole {
            return self;
        }
        let mut scaled =
            self.0.map(|ms| (i128::from(ms) * i128::from(part) / i128::from(whole)) as i64);
        let rest = part - scaled.iter().sum::<i64>();
        let largest = (0..5).max_by_key(|&i| self.0[i]).unwrap_or(0);
        scaled[largest] += rest;
        Totals(scaled)
    }
}

impl std::ops::AddAssign for Totals {
    fn add_assign(&mut self, other: Totals) {
        for (own, more) in self.0.iter_mut().zip(other.0) {
            *own += more;
        }
    }
}

/// A time during which a component was down, and gaps that don't end it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Outage {
    pub(crate) start: Moment,
    /// The end of its last down time; the end of the timeline where `open`.
    pub(crate) end: Moment,
    /// Milliseconds of down time, gaps excluded.
    pub(crate) down: i64,
    /// Whether the component has not come up since.
    pub(crate) open: bool,
}

/// See the [module](self).
#[derive(Clone, Debug)]
pub(crate) struct Timeline {
    origin: Moment,
    folded: Totals,
    changes: VecDeque<(Moment, ComponentState)>,
    capacity: usize,
}

impl Timeline {
    /// So many changes are kept exactly.
    pub(crate) const CAPACITY: usize = 4_096;

    pub(crate) fn new(origin: Moment, state: ComponentState) -> Self {
        Self::with_capacity(origin, state, Self::CAPACITY)
    }

    pub(crate) fn with_capacity(origin: Moment, state: ComponentState, capacity: usize) -> Self {
        let changes = VecDeque::from([(origin, state)]);
        Timeline { origin, folded: Totals::default(), changes, capacity: capacity.max(2) }
    }

    /// One that was never anything else.
    pub(crate) fn constant(state: ComponentState) -> Self {
        Self::new(Moment(i64::MIN), state)
    }

    /// Where it begins.
    pub(crate) fn origin(&self) -> Moment {
        self.origin
    }

    fn first_exact(&self) -> Moment {
        self.changes.front().map_or(self.origin, |change| change.0)
    }

    /// What it is at its end.
    pub(crate) fn last(&self) -> (Moment, ComponentState) {
        self.changes.back().copied().unwrap_or((self.origin, ComponentState::Unobserved))
    }

    /// What it was; unobserved before its origin.
    pub(crate) fn at(&self, moment: Moment) -> ComponentState {
        let after = self.changes.partition_point(|change| change.0 <= moment);
        match after.checked_sub(1) {
            Some(index) => self.changes[index].1,
            None => ComponentState::Unobserved,
        }
    }

    /// From `at` on it is `state`: whatever was said of the time after `at` is replaced. Gives
    /// whether that is news.
    pub(crate) fn set_from(&mut self, at: Moment, state: ComponentState) -> bool {
        if at < self.origin {
            *self = Self::with_capacity(at, state, self.capacity); // nothing is left of it
            return true;
        }
        let at = at.max(self.first_exact());
        if self.last().0 <= at && self.last().1 == state {
            return false;
        }
        while self.changes.len() > 1 && self.last().0 >= at {
            self.changes.pop_back();
        }
        let (last_at, last) = self.last();
        if last_at >= at {
            self.changes.clear();
            self.changes.push_back((at, state));
        } else if last != state {
            self.changes.push_back((at, state));
        }
        self.fold();
        true
    }

    fn fold(&mut self) {
        while self.changes.len() > self.capacity {
            if let Some((from, state)) = self.changes.pop_front() {
                self.folded.add(state, self.first_exact().since(from));
            }
        }
    }

    /// Each change within the span, the state at its beginning first.
    pub(crate) fn spans(&self, span: Span) -> impl Iterator<Item = (Span, ComponentState)> + '_ {
        let first = self.changes.partition_point(|change| change.0 <= span.from).saturating_sub(1);
        self.changes.range(first..).enumerate().map_while(move |(offset, &(from, state))| {
            let next = self.changes.get(first + offset + 1).map_or(span.to, |change| change.0);
            let shared = Span::new(from, next).overlap(span);
            (from < span.to).then_some((shared, state))
        })
    }

    /// Milliseconds of each state: they add up to the span's length. What lies before the origin is
    /// unobserved; what has been folded is shared out evenly.
    pub(crate) fn totals(&self, span: Span) -> Totals {
        let mut totals = Totals::default();
        let life = Span::new(self.origin, span.to).overlap(span);
        totals.add(ComponentState::Unobserved, span.length() - life.length());
        let folded = Span::new(self.origin, self.first_exact()).overlap(life);
        totals += self.folded.scaled(folded.length());
        let exact = Span::new(self.first_exact(), life.to).overlap(life);
        for (part, state) in self.spans(exact) {
            totals.add(state, part.length());
        }
        totals
    }

    /// Milliseconds of each state from its origin to `until`.
    pub(crate) fn life(&self, until: Moment) -> Totals {
        self.totals(Span::new(self.origin, until))
    }

    /// How coarse an answer for a span that begins at `from` is: seconds, 0 where it is exact.
    pub(crate) fn resolution_seconds(&self, from: Moment) -> f64 {
        let folded = Span::new(self.origin, self.first_exact());
        if from > folded.from && folded.contains(from) {
            folded.length() as f64 / 1000.0
        } else {
            0.0
        }
    }

    /// Every outage up to `now`, oldest first. Down times are one outage where what lies between
    /// them is shorter than `reopen_within`, or never served.
    pub(crate) fn outages(&self, now: Moment, reopen_within: i64) -> Vec<Outage> {
        let mut outages: Vec<Outage> = Vec::new();
        let mut served = 0;
        for (span, state) in self.spans(Span::new(self.first_exact(), now)) {
            match state {
                ComponentState::Down => {
                    match outages.last_mut() {
                        Some(last) if span.from.since(last.end) <= reopen_within || served == 0 => {
                            last.down += span.length();
                            last.end = span.to;
                            last.open = true;
                        }
                        _ => outages.push(Outage {
                            start: span.from,
                            end: span.to,
                            down: span.length(),
                            open: true,
                        }),
                    }
                    served = 0;
                }
                state if state.serves() => {
                    served += span.length();
                    if let Some(last) = outages.last_mut() {
                        last.open = false;
                    }
                }
                _ => {}
            }
        }
        // One that ends at this very moment has no span of its own yet.
        if let Some(last) = outages.last_mut().filter(|_| self.at(now).serves()) {
            last.open = false;
        }
        outages
    }
}

/// From `at` on, what the timelines come to together: at each moment the state that ranks first.
/// Gives the changes, the state at `at` first.
pub(crate) fn overlay(
    timelines: &[(&Timeline, Span)],
    span: Span,
    rank: impl Fn(ComponentState) -> u8,
) -> Vec<(Moment, ComponentState)> {
    let mut edges = vec![span.from];
    for (timeline, part) in timelines {
        let part = part.overlap(span);
        if part.length() == 0 && !part.contains(span.from) {
            continue;
        }
        edges.push(part.from);
        edges.push(part.to);
        edges.extend(timeline.spans(part).map(|(shared, _)| shared.from));
    }
    edges.retain(|edge| *edge >= span.from && (*edge < span.to || *edge == span.from));
    edges.sort_unstable();
    edges.dedup();
    let mut changes: Vec<(Moment, ComponentState)> = Vec::new();
    for edge in edges {
        let states = timelines
            .iter()
            .filter(|(_, part)| part.contains(edge))
            .map(|(timeline, _)| timeline.at(edge));
        let Some(state) = states.min_by_key(|state| rank(*state)) else { continue };
        if changes.last().map(|last| last.1) != Some(state) {
            changes.push((edge, state));
        }
    }
    changes
}

#[cfg(test)]
mod tests {
    use super::ComponentState::{Degraded, Down, Maintenance, Unobserved, Up};
    use super::*;

    fn at(seconds: i64) -> Moment {
        Moment(seconds * 1000)
    }

    fn span(from: i64, to: i64) -> Span {
        Span::new(at(from), at(to))
    }

    fn timeline(changes: &[(i64, ComponentState)]) -> Timeline {
        let mut timeline = Timeline::new(at(changes[0].0), changes[0].1);
        for &(seconds, state) in &changes[1..] {
            timeline.set_from(at(seconds), state);
        }
        timeline
    }

    #[test]
    fn what_is_decided_late_replaces_what_was_said_since() {
        let mut line = timeline(&[(0, Up), (10, Degraded), (20, Up)]);
        line.set_from(at(5), Down);
        assert_eq!(line.at(at(4)), Up);
        assert_eq!(line.at(at(30)), Down);
        assert_eq!(line.totals(span(0, 30)).of(Down), 25_000);
        assert_eq!(line.totals(span(0, 30)).of(Degraded), 0);
    }

    #[test]
    fn what_is_said_of_a_time_before_its_origin_replaces_all_of_it() {
        let mut line = timeline(&[(100, Up), (110, Down)]);
        line.set_from(at(50), Degraded);
        assert_eq!((line.origin(), line.last()), (at(50), (at(50), Degraded)));
    }

    #[test]
    fn setting_the_same_state_again_adds_nothing() {
        let mut line = timeline(&[(0, Up)]);
        for seconds in 1..100 {
            line.set_from(at(seconds), Up);
        }
        assert_eq!(line.changes.len(), 1);
    }

    #[test]
    fn a_span_that_begins_before_the_origin_is_unobserved_until_then() {
        let line = timeline(&[(100, Up), (110, Down)]);
        let totals = line.totals(span(0, 120));
        assert_eq!(totals.of(Unobserved), 100_000);
        assert_eq!((totals.of(Up), totals.of(Down)), (10_000, 10_000));
    }

    #[test]
    fn folded_changes_keep_the_sum_exact() {
        let mut line = Timeline::with_capacity(at(0), Up, 4);
        for second in 1..100 {
            line.set_from(at(second), if second % 2 == 0 { Up } else { Down });
        }
        let totals = line.totals(span(0, 100));
        assert_eq!((totals.of(Up), totals.of(Down)), (50_000, 50_000));
        assert!(line.resolution_seconds(at(50)) > 0.0);
        assert_eq!(line.resolution_seconds(at(0)), 0.0);
        assert_eq!(line.totals(span(30, 100)).sum(), 70_000);
    }

    #[test]
    fn short_gaps_and_gaps_in_which_nobody_looked_do_not_end_an_outage() {
        let line = timeline(&[
            (0, Up),
            (10, Down),
            (20, Up),
            (30, Down),
            (40, Unobserved),
            (500, Down),
            (510, Up),
            (1000, Down),
        ]);
        let outages = line.outages(at(1010), 60_000);
        assert_eq!(
            outages,
            [
                Outage { start: at(10), end: at(510), down: 30_000, open: false },
                Outage { start: at(1000), end: at(1010), down: 10_000, open: true },
            ]
        );
    }

    #[test]
    fn an_overlay_shows_at_each_moment_the_state_that_ranks_first() {
        let a = timeline(&[(0, Up), (10, Down), (20, Up)]);
        let b = timeline(&[(0, Up), (15, Down), (25, Degraded)]);
        let parts = [(&a, span(0, 100)), (&b, span(5, 40))];
        let rank = |state| match state {
            Down => 0,
            Maintenance => 1,
            Unobserved => 2,
            Degraded => 3,
            Up => 4,
        };
        assert_eq!(
            overlay(&parts, span(0, 50), rank),
            [(at(0), Up), (at(10), Down), (at(25), Degraded), (at(40), Up)]
        );
    }
}
