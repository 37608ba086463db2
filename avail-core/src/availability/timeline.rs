//! What a component was, from when to when.
//!
//! A timeline is a list of changes: each holds until the next, the last until now. It is changed
//! only at its end, or from a point of the recent past on, where a threshold has decided late what
//! had been true for a while. Changes beyond a fixed number are folded, oldest first, into a sum,
//! so that a timeline is bounded and its total stays exact.

use std::borrow::Cow;
use std::cell::OnceCell;
use std::cmp::Reverse;
use std::collections::VecDeque;
use std::fmt;

use serde::{Deserialize, Serialize};

use super::moment::{Moment, Span};
use super::outages::Outages;

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

    /// Up, degraded and down: somebody looked, and it counts.
    pub(crate) fn observed(self) -> i64 {
        let states = [ComponentState::Up, ComponentState::Degraded, ComponentState::Down];
        states.into_iter().map(|state| self.of(state)).sum()
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

/// See the [module](self).
#[derive(Clone, Debug)]
pub(crate) struct Timeline {
    origin: Moment,
    folded: Totals,
    /// From its origin to the last change, what is folded included: its life is one addition.
    settled: Totals,
    changes: VecDeque<(Moment, ComponentState)>,
    /// Up to the last change, once they have been asked for.
    outages: OnceCell<Outages>,
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
        let (folded, settled, outages) = Default::default();
        Timeline { origin, folded, settled, changes, outages, capacity: capacity.max(2) }
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
        if self.last().0 <= moment {
            return self.last().1;
        }
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
        self.outages.take();
        while self.changes.len() > 1 && self.last().0 >= at {
            let (end, _) = self.last();
            self.changes.pop_back();
            let (from, was) = self.last();
            self.settled.add(was, from.since(end));
        }
        let (last_at, last) = self.last();
        if last_at >= at {
            self.changes.clear();
            self.changes.push_back((at, state));
        } else if last != state {
            self.settled.add(last, at.since(last_at));
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

    /// The same for several spans that begin at each of `begins` and end at `until`, in one walk
    /// back over the changes.
    pub(crate) fn totals_since<const N: usize>(
        &self,
        begins: [Moment; N],
        until: Moment,
    ) -> [Totals; N] {
        let mut latest_first: [usize; N] = std::array::from_fn(|index| index);
        latest_first.sort_unstable_by_key(|&index| Reverse(begins[index]));
        let mut waiting = latest_first.into_iter().peekable();
        let mut totals = [Totals::default(); N];
        let (mut sum, mut end) = (Totals::default(), until);
        for &(from, state) in self.changes.iter().rev() {
            while let Some(index) = waiting.next_if(|&index| begins[index] >= from) {
                totals[index] = sum;
                totals[index].add(state, end.since(begins[index]).max(0));
            }
            if waiting.peek().is_none_or(|&index| begins[index] <= self.origin) {
                break;
            }
            if from < end {
                sum.add(state, end.since(from));
                end = from;
            }
        }
        // What is left holds all of its life, or begins before the first change that is kept.
        for index in waiting {
            let begin = begins[index];
            if begin <= self.origin {
                totals[index] = self.life(until);
                totals[index].add(ComponentState::Unobserved, self.origin.since(begin));
            } else {
                totals[index] = self.totals(Span::new(begin, end));
                totals[index] += sum;
            }
        }
        totals
    }

    /// Milliseconds of each state from its origin to `until`.
    pub(crate) fn life(&self, until: Moment) -> Totals {
        let (last_at, last) = self.last();
        if until < last_at {
            return self.totals(Span::new(self.origin, until));
        }
        let mut life = self.settled;
        life.add(last, until.since(last_at));
        life
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

    /// Every outage up to `now`.
    pub(crate) fn outages(&self, now: Moment) -> Cow<'_, Outages> {
        let (last_at, last) = self.last();
        if now <= last_at {
            let before = self.changes.iter().take_while(|change| change.0 < now);
            return Cow::Owned(Outages::of(before, now, self.at(now)));
        }
        let settled = self.outages.get_or_init(|| Outages::of(self.changes.iter(), last_at, last));
        if last != ComponentState::Down {
            return Cow::Borrowed(settled);
        }
        let mut outages = settled.clone();
        if let Some(open) = outages.list.last_mut() {
            open.down += now.since(last_at);
            open.end = now;
        }
        Cow::Owned(outages)
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
    use super::super::outages::Outage;
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

    proptest::proptest! {
        #[test]
        fn one_walk_back_gives_what_each_span_gives_by_itself(
            // Also what is decided late, and replaces what was said since.
            changes in proptest::collection::vec((-30_i64..50, 0_usize..5), 0..40),
            begins in proptest::array::uniform5(-100_i64..2_000),
            tail in 0_i64..300,
        ) {
            let mut line = Timeline::with_capacity(at(0), Unobserved, 16);
            let mut second = 0;
            for (gap, state) in changes {
                second = (second + gap).max(0);
                line.set_from(at(second), ComponentState::ALL[state]);
            }
            // Also an end before the last changes, and beginnings after the end.
            let until = at((second + 100 - tail).max(0));
            let begins = begins.map(at);
            let each = begins.map(|from| line.totals(Span::new(from, until)));
            proptest::prop_assert_eq!(line.totals_since(begins, until), each);
        }

        #[test]
        fn outages_that_are_kept_are_those_that_would_be_found_anew(
            changes in proptest::collection::vec((-90_i64..200, 0_usize..5), 1..40),
        ) {
            let mut line = Timeline::with_capacity(at(0), Unobserved, 16);
            let mut second = 0;
            for (gap, state) in changes {
                second = (second + gap).max(0);
                line.set_from(at(second), ComponentState::ALL[state]);
                for now in [second - 50, second, second + 1, second + 100] {
                    let anew = Timeline { outages: OnceCell::new(), ..line.clone() };
                    proptest::prop_assert_eq!(line.outages(at(now)), anew.outages(at(now)));
                    let found = line.outages(at(now));
                    let down: i64 = found.list.iter().map(|outage| outage.down).sum();
                    let exact = Span::new(line.first_exact(), at(now));
                    proptest::prop_assert_eq!(down, line.totals(exact).of(Down));
                }
            }
        }
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
        let outages = line.outages(at(1010));
        assert_eq!(
            outages.list,
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
