//! What a component was, from when to when.
//!
//! A timeline is a list of changes: each holds until the next, the last until now. It is changed
//! only at its end, or from a point of the recent past on, where a threshold has decided late what
//! had been true for a while. Changes that are too many or too old are folded, oldest first, into
//! roll-ups, so that a timeline is bounded and its total stays exact. Folding depends on nothing but
//! the changes: whoever is told the same has the same timeline.
//!
//! | file | what it holds |
//! |---|---|
//! | `totals` | milliseconds of each state |
//! | `rollup` | what has been folded, by the hour, the day and the month |
//! | `outages` | down times, and gaps too short to end them |
//! | `overlay` | what several timelines come to together |
//! | `image` | a timeline as it stands in a snapshot of the history |

mod image;
mod outages;
mod overlay;
mod rollup;
mod totals;

use std::collections::VecDeque;
use std::fmt;

use serde::{Deserialize, Serialize};

pub(crate) use self::image::TimelineImage;
pub(crate) use self::outages::Outage;
use self::outages::{PastOutages, Walk};
pub(crate) use self::overlay::overlay;
use self::rollup::RollUp;
pub(crate) use self::totals::Totals;
use super::grain::DAY_MS;
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

/// A moment and what holds from then on, in eight bytes: a timeline has thousands of them.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct Change(i64);

impl Change {
    const BITS: u32 = 3;
    /// So far from 1970 a moment still fits.
    const FARTHEST: i64 = i64::MAX >> Self::BITS;

    fn new(at: Moment, state: ComponentState) -> Self {
        let at = at.0.clamp(-Self::FARTHEST, Self::FARTHEST);
        Change(at << Self::BITS | state as i64)
    }

    fn at(self) -> Moment {
        Moment(self.0 >> Self::BITS)
    }

    fn state(self) -> ComponentState {
        let index = usize::try_from(self.0 & ((1 << Self::BITS) - 1)).unwrap_or(usize::MAX);
        ComponentState::ALL.get(index).copied().unwrap_or(ComponentState::Unobserved)
    }
}

/// See the [module](self).
#[derive(Clone, Debug, PartialEq)]
pub(crate) struct Timeline {
    origin: Moment,
    rollup: RollUp,
    /// Outages that are over for good, as far as the roll-up goes, and the walk that found them.
    past: PastOutages,
    walk: Walk,
    changes: VecDeque<Change>,
    capacity: usize,
    /// Whether what is folded is rolled up, or forgotten.
    remembers: bool,
}

impl Timeline {
    /// So many changes are kept exactly,
    pub(crate) const CAPACITY: usize = 4_096;
    /// and for so long before the last one, in milliseconds.
    const EXACT: i64 = 30 * DAY_MS;

    pub(crate) fn new(origin: Moment, state: ComponentState) -> Self {
        Self::with_capacity(origin, state, Self::CAPACITY)
    }

    pub(crate) fn with_capacity(origin: Moment, state: ComponentState, capacity: usize) -> Self {
        Timeline {
            origin,
            rollup: RollUp::new(origin),
            past: PastOutages::default(),
            walk: Walk::default(),
            changes: VecDeque::from([Change::new(origin, state)]),
            capacity: capacity.max(2),
            remembers: true,
        }
    }

    /// One that forgets all but its last changes, and of which nothing else is asked.
    pub(crate) fn forgetful(origin: Moment, state: ComponentState, capacity: usize) -> Self {
        let timeline = Self::with_capacity(origin, state, capacity);
        Timeline { remembers: false, ..timeline }
    }

    /// Where it begins.
    pub(crate) fn origin(&self) -> Moment {
        self.origin
    }

    fn first_exact(&self) -> Moment {
        self.changes.front().map_or(self.origin, |change| change.at())
    }

    /// What it is at its end.
    pub(crate) fn last(&self) -> (Moment, ComponentState) {
        let last = self.changes.back();
        last.map_or((self.origin, ComponentState::Unobserved), |last| (last.at(), last.state()))
    }

    /// What it was; unobserved before its origin, and what it was for the most part where that is
    /// only known as a sum.
    pub(crate) fn at(&self, moment: Moment) -> ComponentState {
        let after = self.changes.partition_point(|change| change.at() <= moment);
        match after.checked_sub(1) {
            Some(index) => self.changes[index].state(),
            None if moment >= self.origin => self.rollup.at(moment),
            None => ComponentState::Unobserved,
        }
    }

    /// From `at` on it is `state`: whatever was said of the time after `at` is replaced. Gives
    /// whether that is news.
    pub(crate) fn set_from(&mut self, at: Moment, state: ComponentState) -> bool {
        if at < self.origin {
            let remembers = self.remembers; // and nothing else of it
            *self = Self::with_capacity(at, state, self.capacity);
            self.remembers = remembers;
            return true;
        }
        if self.last().0 <= at && self.last().1 == state {
            return false;
        }
        while self.changes.back().is_some_and(|last| last.at() >= at) {
            self.changes.pop_back();
        }
        if self.changes.is_empty() {
            self.rollup.truncate(at);
            self.past.truncate(at);
            self.walk.truncate(at);
        }
        if self.changes.back().is_none_or(|last| last.state() != state) {
            self.push(Change::new(at, state));
        }
        true
    }

    fn push(&mut self, change: Change) {
        let too_old = Moment(change.at().0.saturating_sub(Self::EXACT));
        while self.changes.len() >= self.capacity
            || self.changes.get(1).is_some_and(|second| second.at() <= too_old)
        {
            self.fold_first(change.at());
        }
        let len = self.changes.len();
        if len == self.changes.capacity() {
            self.changes.reserve_exact((len / 2).clamp(2, 512).min(self.capacity - len));
        } else if self.changes.capacity() > 2 * (len + 512) {
            self.changes.shrink_to(len + 512);
        }
        self.changes.push_back(change);
    }

    fn fold_first(&mut self, next: Moment) {
        let Some(first) = self.changes.pop_front().filter(|_| self.remembers) else { return };
        let until = self.changes.front().map_or(next, |second| second.at());
        let left = self.capacity.saturating_sub(self.changes.len());
        self.rollup.add(until, first.state(), left);
        if let Some(over) = self.walk.step(Span::new(first.at(), until), first.state()) {
            self.past.push(over);
        }
    }

    /// Each change within the span, the state at its beginning first; only as far back as changes
    /// are kept.
    pub(crate) fn spans(&self, span: Span) -> impl Iterator<Item = (Span, ComponentState)> + '_ {
        let first = self.changes.partition_point(|change| change.at() <= span.from);
        let mut changes = self.changes.range(first.saturating_sub(1)..).peekable();
        std::iter::from_fn(move || {
            let change = changes.next().filter(|change| change.at() < span.to)?;
            let next = changes.peek().map_or(span.to, |next| next.at());
            Some((Span::new(change.at(), next).overlap(span), change.state()))
        })
    }

    /// Milliseconds of each state: they add up to the span's length. What lies before the origin is
    /// unobserved; where the span cuts a roll-up in two, that is shared out evenly.
    pub(crate) fn totals(&self, span: Span) -> Totals {
        let mut totals = Totals::default();
        let life = Span::new(self.origin, span.to).overlap(span);
        totals.add(ComponentState::Unobserved, span.length() - life.length());
        totals += self.rollup.totals(life);
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
        if from <= self.origin { 0.0 } else { self.rollup.resolution(from) as f64 / 1000.0 }
    }

    /// Every outage up to `now`, oldest first. Down times are one outage where what lies between
    /// them is shorter than [`REOPEN_WITHIN`](super::metrics::REOPEN_WITHIN), or never served.
    pub(crate) fn outages(&self, now: Moment) -> Vec<Outage> {
        let mut outages = self.past.0.clone();
        let mut walk = self.walk;
        let exact = self.spans(Span::new(self.first_exact(), now));
        outages.extend(exact.filter_map(|(span, state)| walk.step(span, state)));
        outages.extend(walk.current);
        // One that ends at this very moment has no span of its own yet.
        if let Some(last) = outages.last_mut().filter(|_| self.at(now).serves()) {
            last.open = false;
        }
        outages
    }

    /// Bytes beside its own size.
    #[cfg(test)]
    pub(crate) fn heap(&self) -> usize {
        let changes = self.changes.capacity() * size_of::<Change>();
        changes + self.rollup.heap() + self.past.0.capacity() * size_of::<Outage>()
    }
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

    /// One that went down for `down` of every `every` seconds.
    fn flapping(every: i64, down: i64, until: i64, capacity: usize) -> Timeline {
        let mut line = Timeline::with_capacity(at(0), Up, capacity);
        for start in (every..until).step_by(every as usize) {
            line.set_from(at(start), Down);
            line.set_from(at(start + down), Up);
        }
        line
    }

    #[test]
    fn thirty_days_are_exact_and_what_is_older_is_exact_to_the_hour() {
        let day = 86_400;
        let line = flapping(7_200, 600, 80 * day, Timeline::CAPACITY);
        let now = 80 * day;
        for days in [1, 7, 29, 30] {
            assert_eq!(line.resolution_seconds(at(now - days * day + 300)), 0.0, "{days} days");
            assert_eq!(line.totals(span(now - days * day, now)).of(Down), days * 12 * 600_000);
        }
        assert_eq!(line.resolution_seconds(at(10 * day)), 0.0, "on the hour");
        assert_eq!(line.resolution_seconds(at(10 * day + 300)), 3_600.0, "within a mixed hour");
        assert_eq!(line.resolution_seconds(at(10 * day + 5_400)), 0.0, "nothing changed there");
        assert_eq!(line.totals(span(10 * day, now)).of(Down), 70 * 12 * 600_000);
        assert_eq!(line.totals(span(10 * day + 300, now)).of(Down), (70 * 12) * 600_000 - 50_000);
        assert_eq!(line.life(at(now)).of(Down), (80 * 12 - 1) * 600_000);
        assert_eq!(line.outages(at(now)).iter().map(|one| one.count).sum::<u64>(), 80 * 12 - 1);
    }

    #[test]
    fn ten_years_take_no_more_memory_than_promised_and_stay_true() {
        let day = 86_400;
        for (every, down) in [(100, 30), (4_000, 600), (43_200, 20_000), (10 * day, 60)] {
            let years = if every < 1_000 { 1 } else { 10 };
            for days in [30, 90, years * 365] {
                let line = flapping(every, down, days * day, Timeline::CAPACITY);
                let most = if days <= 90 { 43 } else { 96 } * 1_024;
                assert!(line.heap() <= most, "{} bytes, {days} days, every {every} s", line.heap());
                let outages = (days * day - 1) / every;
                let life = line.life(at(days * day));
                assert_eq!(life.of(Down), outages * down * 1000);
                assert_eq!(life.sum(), days * day * 1000);
                if every - down > 60 {
                    let counted =
                        line.outages(at(days * day)).iter().map(|one| one.count).sum::<u64>();
                    assert_eq!(counted, outages as u64);
                }
                let half = line.totals(span(days * day / 2, days * day));
                assert_eq!(half.sum(), (days * day - days * day / 2) * 1000);
            }
        }
    }

    #[test]
    fn what_is_decided_late_may_reach_into_what_has_been_folded() {
        let mut line = flapping(1_000, 100, 100_000, 4);
        let end = line.first_exact().0 / 1000 - 50_000;
        line.set_from(at(end), Degraded);
        let life = line.life(at(end + 10));
        assert_eq!((life.sum(), life.of(Degraded)), ((end + 10) * 1000, 10_000));
        assert_eq!(line.last(), (at(end), Degraded));
        assert!(line.outages(at(end + 10)).iter().all(|outage| outage.start < at(end)));
    }

    #[test]
    fn an_image_of_a_timeline_is_the_timeline() {
        for line in [
            timeline(&[(0, Up)]),
            timeline(&[(-10, Unobserved), (0, Maintenance), (10, Degraded), (20, Down), (30, Up)]),
            flapping(4_000, 600, 86_400 * 200, Timeline::CAPACITY),
            flapping(90, 30, 86_400 * 20, Timeline::CAPACITY),
        ] {
            let text = serde_json::to_string(&TimelineImage::from(&line)).expect("valid");
            let image: TimelineImage = serde_json::from_str(&text).expect("valid");
            assert_eq!(image.restore(), Some(line));
        }
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
        let outages = line.outages(at(1010));
        assert_eq!(
            outages,
            [
                Outage {
                    end: at(510),
                    down: 30_000,
                    open: false,
                    longest: 30_000,
                    ..Outage::begun(span(10, 20))
                },
                Outage::begun(span(1000, 1010)),
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
