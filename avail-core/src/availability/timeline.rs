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

use std::borrow::Cow;
use std::cell::OnceCell;
use std::cmp::Reverse;
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
use super::outages::{Outages, Repairs};

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
    /// From its origin to the last change, what is rolled up included: its life is one addition.
    settled: Totals,
    /// Outages up to the last change, once they have been asked for and where they are few.
    kept: OnceCell<Box<KeptOutages>>,
    capacity: usize,
    /// Whether what is folded is rolled up, or forgotten.
    remembers: bool,
}

/// Outages since the first change that is kept, and how long all took that are over.
#[derive(Clone, Debug, PartialEq)]
struct KeptOutages {
    recent: Box<[Outage]>,
    repairs: Repairs,
}

impl Timeline {
    /// So many outages are few: a component may not take more memory than is promised.
    const FEW_OUTAGES: usize = 32;
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
            settled: Totals::default(),
            kept: OnceCell::new(),
            capacity: capacity.max(2),
            remembers: true,
        }
    }

    /// One that forgets all but its last changes, and of which nothing else is asked.
    pub(crate) fn forgetful(origin: Moment, state: ComponentState, capacity: usize) -> Self {
        let timeline = Self::with_capacity(origin, state, capacity);
        Timeline { remembers: false, ..timeline }
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
        if self.last().0 <= moment {
            return self.last().1;
        }
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
        self.kept.take();
        while let Some(end) = self.changes.back().map(|last| last.at()).filter(|end| *end >= at) {
            self.changes.pop_back();
            let (from, was) = self.last();
            self.settled.add(was, from.since(end));
        }
        if self.changes.is_empty() {
            self.rollup.truncate(at);
            self.past.truncate(at);
            self.walk.truncate(at);
            self.settled = self.rollup.sum();
        }
        let (last_at, last) = self.last();
        if self.changes.is_empty() {
            self.push(Change::new(at, state));
        } else if last != state {
            self.settled.add(last, at.since(last_at));
            self.push(Change::new(at, state));
        }
        true
    }

    /// Sums up anew what lies before the last change.
    fn settle(&mut self) {
        self.settled = self.totals(Span::new(self.origin, self.last().0));
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
        for change in self.changes.iter().rev() {
            let (from, state) = (change.at(), change.state());
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
        if from <= self.origin { 0.0 } else { self.rollup.resolution(from) as f64 / 1000.0 }
    }

    /// Every outage up to `now`. Down times are one outage where what lies between them is shorter
    /// than [`REOPEN_WITHIN`](super::outages::REOPEN_WITHIN), or never served.
    pub(crate) fn outages(&self, now: Moment) -> Outages<'_> {
        let (last_at, last) = self.last();
        let found = |recent| Outages::new(&self.past.0, recent, None);
        if now < last_at || last == ComponentState::Down {
            return found(Cow::Owned(self.recent_outages(now)));
        }
        let Some(kept) = self.kept.get() else {
            let recent = self.recent_outages(last_at);
            if recent.len() > Self::FEW_OUTAGES {
                return found(Cow::Owned(recent));
            }
            let repairs = Repairs::of(self.past.0.iter().chain(&recent));
            let kept = KeptOutages { recent: recent.into_boxed_slice(), repairs };
            return self.known_outages(self.kept.get_or_init(|| Box::new(kept)));
        };
        self.known_outages(kept)
    }

    fn known_outages<'a>(&'a self, kept: &'a KeptOutages) -> Outages<'a> {
        Outages::new(&self.past.0, Cow::Borrowed(&kept.recent), Some(kept.repairs))
    }

    /// Those since the first change that is kept.
    fn recent_outages(&self, now: Moment) -> Vec<Outage> {
        let mut walk = self.walk;
        let exact = self.spans(Span::new(self.first_exact(), now));
        let mut outages: Vec<_> =
            exact.filter_map(|(span, state)| walk.step(span, state)).collect();
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
        let kept = self
            .kept
            .get()
            .map_or(0, |kept| size_of::<KeptOutages>() + kept.recent.len() * size_of::<Outage>());
        changes + kept + self.rollup.heap() + self.past.0.capacity() * size_of::<Outage>()
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
        assert_eq!(line.outages(at(now)).back().map(|one| one.count).sum::<u64>(), 80 * 12 - 1);
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
                        line.outages(at(days * day)).back().map(|one| one.count).sum::<u64>();
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
        assert!(line.outages(at(end + 10)).back().all(|outage| outage.start < at(end)));
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
                    let anew = Timeline { kept: OnceCell::new(), ..line.clone() };
                    proptest::prop_assert_eq!(line.outages(at(now)), anew.outages(at(now)));
                    let found = line.outages(at(now));
                    let down: i64 = found.back().map(|outage| outage.down).sum();
                    let life = line.totals(Span::new(line.origin(), at(now)));
                    proptest::prop_assert_eq!(down, life.of(Down));
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
            outages.back().copied().collect::<Vec<_>>(),
            [
                Outage::begun(span(1000, 1010)),
                Outage {
                    end: at(510),
                    down: 30_000,
                    open: false,
                    longest: 30_000,
                    ..Outage::begun(span(10, 20))
                },
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
