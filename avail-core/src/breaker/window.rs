//! The calls that a rate is taken over: the last so many, or those of the last so many seconds.
//!
//! A good call is counted where no other thread writes, and looks at one number that is seldom
//! written. A bad one takes a lock, adds the threads' counts up, and keeps its place among them: it
//! is in the window while no more than so many calls have come since, or while its slice of time is.
//!
//! A good call can't raise a rate, but for two cases, and the number says when it has to look: until
//! there are `min_calls`, and, over time, once in each slice, when older good calls have left.
//!
//! A result of an earlier epoch finds a later one and leaves it alone, and so does one of before a
//! change of the window's size: it begins anew then, where it is. The tally is read again under the
//! breaker's lock before anything is done about it.

use std::collections::VecDeque;
use std::time::Duration;

use super::config::RateWindow;
use super::shards::Shards;
use crate::clock::Tick;
use crate::primitive::{AtomicU64, Mutex, Ordering, fence, lock};

use Ordering::Relaxed;

/// What a call was, as far as rates go.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Mark {
    pub(crate) failed: bool,
    pub(crate) slow: bool,
}

impl Mark {
    fn is_bad(self) -> bool {
        self.failed || self.slow
    }
}

/// The calls in a window.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct Tally {
    pub(crate) calls: u64,
    pub(crate) failed: u64,
    pub(crate) slow: u64,
}

impl Tally {
    /// Whether `part` of the calls is at least the share `rate`.
    pub(crate) fn reaches(self, part: u64, rate: f64) -> bool {
        // A quotient, as the rate is one: 0.55 times 100 is more than 55 in binary.
        self.calls > 0 && part as f64 / self.calls as f64 >= rate
    }

    fn is_good(self) -> bool {
        self.failed + self.slow == 0
    }

    fn add(&mut self, mark: Mark) {
        self.failed += u64::from(mark.failed);
        self.slow += u64::from(mark.slow);
    }
}

/// Whose calls are counted: those of an epoch of the breaker, since the window last began anew.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Era(u64);

impl Era {
    /// `generation`: how often the window has begun; from 1 on, so that no era is zero.
    #[inline]
    pub(crate) fn new(generation: u32, epoch: u32) -> Self {
        Era(u64::from(generation) << 32 | u64::from(epoch))
    }

    /// Across a wrap of either.
    fn is_later_than(self, other: Era) -> bool {
        let [own, others] = [self.0, other.0].map(|era| ((era >> 32) as u32, era as u32));
        if own.0 == others.0 { is_later(own.1, others.1) } else { is_later(own.0, others.0) }
    }
}

/// Whether number `a` is later than `b`, across a wrap.
fn is_later(a: u32, b: u32) -> bool {
    a != b && a.wrapping_sub(b) < u32::MAX / 2
}

/// See the [module](self).
#[derive(Debug)]
pub(crate) enum Window {
    Calls(Box<Ring>),
    Time(Box<Wheel>),
}

impl Window {
    pub(crate) fn of(shape: RateWindow) -> Self {
        match shape {
            RateWindow::Calls(calls) => Self::of_calls(calls),
            RateWindow::Time(length) => Self::of_time(length),
        }
    }

    pub(crate) fn of_calls(calls: u32) -> Self {
        Window::Calls(Box::new(Ring::new(calls)))
    }

    pub(crate) fn of_time(length: Duration) -> Self {
        Window::Time(Box::new(Wheel::new(length)))
    }

    /// It is of that size from its next generation on.
    pub(crate) fn resize(&self, shape: RateWindow) {
        match (self, shape) {
            (Window::Calls(ring), RateWindow::Calls(calls)) => {
                ring.size.store(Ring::size_of(calls), Relaxed);
            }
            (Window::Time(wheel), RateWindow::Time(length)) => {
                wheel.slice.store(Wheel::slice_of(length), Relaxed);
            }
            (Window::Calls(_), RateWindow::Time(_)) | (Window::Time(_), RateWindow::Calls(_)) => {}
        }
    }

    /// Records a call of `era`, and gives the tally with it where that may have raised a rate.
    /// `None` also where a later era has begun. The time is asked for only where it matters.
    #[inline]
    pub(crate) fn record(
        &self,
        era: Era,
        mark: Mark,
        min_calls: u32,
        now: impl FnOnce() -> Tick,
    ) -> Option<Tally> {
        match (self, mark.is_bad()) {
            (Window::Calls(ring), false) => ring.good(era, min_calls),
            (Window::Calls(ring), true) => ring.bad(era, mark, min_calls),
            (Window::Time(wheel), false) => wheel.good(era, wheel.slice(now()), min_calls),
            (Window::Time(wheel), true) => wheel.bad(era, mark, wheel.slice(now()), min_calls),
        }
    }

    /// The calls of `era` that are in it now.
    pub(crate) fn tally(&self, era: Era, now: Tick) -> Tally {
        match self {
            Window::Calls(ring) => ring.tally(era),
            Window::Time(wheel) => wheel.tally(era, wheel.slice(now)),
        }
    }

    /// The rules have changed: the next call looks.
    pub(crate) fn look_again(&self) {
        match self {
            Window::Calls(ring) => ring.watch.store(ALWAYS, Relaxed),
            Window::Time(wheel) => wheel.watch.store(ALWAYS, Relaxed),
        }
    }
}

/// When a good call has to look: from this slice on. Without slices it is always, or never.
const ALWAYS: u64 = 0;
const NEVER: u64 = u64::MAX;

/// Between what one thread counts and what it looks at then: either a good call sees that it has to
/// look, or the bad one that said so sees the good one's count. Only the first `min_calls` of a
/// thread can matter.
#[inline]
fn count_before_looking(counted: u64, min_calls: u32) {
    if counted <= u64::from(min_calls) {
        fence(Ordering::SeqCst);
    }
}

/// The last `size` calls, exactly.
#[derive(Debug)]
pub(crate) struct Ring {
    size: AtomicU64,
    counts: Shards<Count>,
    bad: Mutex<BadCalls>,
    watch: AtomicU64,
}

/// Which era the counts of one thread are of; 0: it has counted nothing yet. It alone writes it.
#[derive(Debug)]
struct Whose(AtomicU64);

impl Default for Whose {
    fn default() -> Self {
        Whose(AtomicU64::new(0))
    }
}

impl Whose {
    /// Counts of an earlier era are forgotten; `None` where a later one has begun.
    #[inline]
    fn enter(&self, era: Era, forget: impl FnOnce()) -> Option<()> {
        if self.0.load(Relaxed) == era.0 { Some(()) } else { self.begin(era, forget) }
    }

    #[cold]
    fn begin(&self, era: Era, forget: impl FnOnce()) -> Option<()> {
        let own = self.0.load(Relaxed);
        if own != 0 && Era(own).is_later_than(era) {
            return None;
        }
        forget();
        // Release: pairs with the Acquire in `is`, so that who sees the era sees no count of
        // another.
        self.0.store(era.0, Ordering::Release);
        Some(())
    }

    fn is(&self, era: Era) -> bool {
        self.0.load(Ordering::Acquire) == era.0
    }
}

/// The calls of one thread in an era. It alone writes them.
#[derive(Debug)]
struct Count {
    whose: Whose,
    calls: AtomicU64,
}

impl Default for Count {
    fn default() -> Self {
        Count { whose: Whose::default(), calls: AtomicU64::new(0) }
    }
}

impl Count {
    /// Gives how many there are with this one; `None` where a later era has begun.
    #[inline]
    fn add(&self, era: Era) -> Option<u64> {
        self.whose.enter(era, || self.calls.store(0, Relaxed))?;
        let calls = self.calls.load(Relaxed) + 1;
        self.calls.store(calls, Relaxed);
        Some(calls)
    }

    fn of(&self, era: Era) -> u64 {
        if self.whose.is(era) { self.calls.load(Relaxed) } else { 0 }
    }
}

/// The bad calls of an era that are in the ring, oldest first.
#[derive(Debug, Default)]
struct BadCalls {
    era: Option<Era>,
    /// Which of all calls each was, and what it was.
    calls: VecDeque<(u64, Mark)>,
    bad: Tally,
    /// Calls of threads that have no shard.
    guests: u64,
}

impl BadCalls {
    /// `None` where a later era has begun.
    fn of(&mut self, era: Era) -> Option<&mut Self> {
        if self.era.is_some_and(|own| own.is_later_than(era)) {
            return None;
        }
        if self.era != Some(era) {
            *self = BadCalls { era: Some(era), ..BadCalls::default() };
        }
        Some(self)
    }

    /// Forgets those that are no longer among the last `size` of `calls`.
    fn forget(&mut self, calls: u64, size: u64) {
        while let Some(&(_, mark)) = self.calls.front().filter(|(place, _)| place + size <= calls) {
            self.calls.pop_front();
            self.bad.failed -= u64::from(mark.failed);
            self.bad.slow -= u64::from(mark.slow);
        }
    }
}

impl Ring {
    fn new(calls: u32) -> Self {
        Ring {
            size: AtomicU64::new(Self::size_of(calls)),
            counts: Shards::default(),
            bad: Mutex::new(BadCalls::default()),
            watch: AtomicU64::new(NEVER),
        }
    }

    fn size_of(calls: u32) -> u64 {
        u64::from(calls.max(1))
    }

    #[inline]
    fn good(&self, era: Era, min_calls: u32) -> Option<Tally> {
        let Some(count) = self.counts.mine() else { return self.guest(era, min_calls) };
        count_before_looking(count.add(era)?, min_calls);
        // Relaxed: ordered by the fence where it matters, and else by nothing.
        if self.watch.load(Relaxed) == NEVER { None } else { self.look(era, min_calls) }
    }

    #[cold]
    fn guest(&self, era: Era, min_calls: u32) -> Option<Tally> {
        let mut bad = lock(&self.bad);
        let bad = bad.of(era)?;
        bad.guests += 1;
        Some(self.judge(era, bad, min_calls))
    }

    #[inline(never)]
    fn look(&self, era: Era, min_calls: u32) -> Option<Tally> {
        Some(self.judge(era, lock(&self.bad).of(era)?, min_calls))
    }

    #[inline(never)]
    fn bad(&self, era: Era, mark: Mark, min_calls: u32) -> Option<Tally> {
        let mut bad = lock(&self.bad);
        let bad = bad.of(era)?;
        self.watch.store(ALWAYS, Relaxed);
        fence(Ordering::SeqCst);
        // Counted under the lock, so that no two bad calls have one place.
        match self.counts.mine() {
            Some(count) => _ = count.add(era)?,
            None => bad.guests += 1,
        }
        let place = self.calls(era, bad);
        bad.calls.push_back((place, mark));
        bad.bad.add(mark);
        Some(self.judge(era, bad, min_calls))
    }

    /// How many calls the era has had.
    fn calls(&self, era: Era, bad: &BadCalls) -> u64 {
        self.counts.iter().map(|count| count.of(era)).sum::<u64>() + bad.guests
    }

    /// The tally of the era, and when good calls have to look from now on.
    fn judge(&self, era: Era, bad: &mut BadCalls, min_calls: u32) -> Tally {
        let tally = self.tally_of(era, bad);
        let settled = tally.is_good() || tally.calls >= u64::from(min_calls);
        self.watch.store(if settled { NEVER } else { ALWAYS }, Relaxed);
        tally
    }

    fn tally_of(&self, era: Era, bad: &mut BadCalls) -> Tally {
        let calls = self.calls(era, bad);
        let size = self.size.load(Relaxed);
        bad.forget(calls, size);
        Tally { calls: calls.min(size), ..bad.bad }
    }

    fn tally(&self, era: Era) -> Tally {
        lock(&self.bad).of(era).map_or_else(Tally::default, |bad| self.tally_of(era, bad))
    }
}

/// The calls of the last so many slices of time, each counted exactly.
#[derive(Debug)]
pub(crate) struct Wheel {
    /// Nanoseconds.
    slice: AtomicU64,
    counts: Shards<Buckets>,
    bad: Mutex<BadSlices>,
    watch: AtomicU64,
}

/// The slice under way and ten whole ones before it: at least the window's length is covered, and
/// at most a tenth more.
const BUCKETS: usize = 11;

/// The calls of one thread in an era, by slice. It alone writes them.
///
/// Each word: `turn (36 bits) | count (28 bits)`.
#[derive(Debug)]
struct Buckets {
    whose: Whose,
    words: [AtomicU64; BUCKETS],
}

impl Default for Buckets {
    fn default() -> Self {
        let words = std::array::from_fn(|_| AtomicU64::new(0));
        Buckets { whose: Whose::default(), words }
    }
}

impl Buckets {
    /// Gives how many the slice has with this one; `None` where a later one has begun.
    #[inline]
    fn add(&self, era: Era, slice: u64) -> Option<u64> {
        self.whose.enter(era, || self.words.iter().for_each(|word| word.store(0, Relaxed)))?;
        let stamp = Stamp::new(slice);
        let word = &self.words[stamp.place];
        let current = word.load(Relaxed);
        if current != 0 && stamp.is_before(current) {
            return None;
        }
        let calls = (stamp.count_of(current) + 1).min(Stamp::COUNT);
        word.store(stamp.bits() | calls, Relaxed);
        Some(calls)
    }

    fn of(&self, era: Era, slices: std::ops::RangeInclusive<u64>) -> u64 {
        let count = |stamp: Stamp| stamp.count_of(self.words[stamp.place].load(Relaxed));
        if self.whose.is(era) { slices.map(Stamp::new).map(count).sum() } else { 0 }
    }
}

/// The upper part of a bucket's word: how often the wheel has gone round.
#[derive(Clone, Copy)]
struct Stamp {
    turn: u64,
    /// Which bucket.
    place: usize,
}

impl Stamp {
    const COUNT: u64 = (1 << 28) - 1;
    const TURN: u64 = (1 << 36) - 1;

    #[inline]
    fn new(slice: u64) -> Self {
        Stamp { turn: slice / BUCKETS as u64, place: (slice % BUCKETS as u64) as usize }
    }

    #[inline]
    fn bits(self) -> u64 {
        (self.turn & Self::TURN) << 28
    }

    /// The word's count, if it is of this turn.
    #[inline]
    fn count_of(self, word: u64) -> u64 {
        if word & !Self::COUNT == self.bits() { word & Self::COUNT } else { 0 }
    }

    /// Whether a word is of a later turn.
    ///
    /// Of a little later, that is: no call is far behind the others, and a word that nobody has
    /// written for ages may have any number.
    #[inline]
    fn is_before(self, word: u64) -> bool {
        (1..1 << 10).contains(&((word >> 28).wrapping_sub(self.turn) & Self::TURN))
    }
}

/// The bad calls of an era by slice.
#[derive(Debug, Default)]
struct BadSlices {
    era: Option<Era>,
    slices: [BadSlice; BUCKETS],
}

#[derive(Clone, Copy, Debug, Default)]
struct BadSlice {
    slice: u64,
    /// Those that were bad; and all calls of threads that have no shard.
    tally: Tally,
}

impl BadSlices {
    /// `None` where a later era has begun.
    fn of(&mut self, era: Era) -> Option<&mut Self> {
        if self.era.is_some_and(|own| own.is_later_than(era)) {
            return None;
        }
        if self.era != Some(era) {
            *self = BadSlices { era: Some(era), ..BadSlices::default() };
        }
        Some(self)
    }

    /// The slice under way for a call that takes `slice` for it: one that has read its clock before
    /// others did, or the coarse clock, hides nothing of a later slice.
    fn current(&self, slice: u64) -> u64 {
        self.slices.iter().map(|kept| kept.slice).fold(slice, u64::max)
    }

    /// `None` where a later slice has taken its bucket.
    fn at(&mut self, slice: u64) -> Option<&mut Tally> {
        let bucket = &mut self.slices[(slice % BUCKETS as u64) as usize];
        if bucket.slice > slice {
            return None;
        }
        if bucket.slice < slice {
            *bucket = BadSlice { slice, tally: Tally::default() };
        }
        Some(&mut bucket.tally)
    }
}

impl Wheel {
    fn new(length: Duration) -> Self {
        Wheel {
            slice: AtomicU64::new(Self::slice_of(length)),
            counts: Shards::default(),
            bad: Mutex::new(BadSlices::default()),
            watch: AtomicU64::new(NEVER),
        }
    }

    fn slice_of(length: Duration) -> u64 {
        (u64::try_from(length.as_nanos()).unwrap_or(u64::MAX) / (BUCKETS as u64 - 1)).max(1)
    }

    #[inline]
    fn slice(&self, now: Tick) -> u64 {
        now.as_nanos() / self.slice.load(Relaxed)
    }

    #[inline]
    fn good(&self, era: Era, slice: u64, min_calls: u32) -> Option<Tally> {
        let Some(counts) = self.counts.mine() else { return self.guest(era, slice, min_calls) };
        count_before_looking(counts.add(era, slice)?, min_calls);
        // Relaxed: as in a ring.
        if slice < self.watch.load(Relaxed) { None } else { self.look(era, slice, min_calls) }
    }

    #[cold]
    fn guest(&self, era: Era, slice: u64, min_calls: u32) -> Option<Tally> {
        let mut bad = lock(&self.bad);
        let bad = bad.of(era)?;
        bad.at(slice)?.calls += 1;
        Some(self.judge(era, bad, slice, min_calls))
    }

    #[inline(never)]
    fn look(&self, era: Era, slice: u64, min_calls: u32) -> Option<Tally> {
        Some(self.judge(era, lock(&self.bad).of(era)?, slice, min_calls))
    }

    #[inline(never)]
    fn bad(&self, era: Era, mark: Mark, slice: u64, min_calls: u32) -> Option<Tally> {
        let mut bad = lock(&self.bad);
        let bad = bad.of(era)?;
        let tally = bad.at(slice)?;
        self.watch.store(ALWAYS, Relaxed);
        fence(Ordering::SeqCst);
        match self.counts.mine() {
            Some(counts) => _ = counts.add(era, slice)?,
            None => tally.calls += 1,
        }
        tally.add(mark);
        Some(self.judge(era, bad, slice, min_calls))
    }

    /// The tally of the era, and when good calls have to look from now on.
    fn judge(&self, era: Era, bad: &BadSlices, slice: u64, min_calls: u32) -> Tally {
        let slice = bad.current(slice);
        let tally = self.tally_of(era, bad, slice);
        let next = match tally {
            tally if tally.is_good() => NEVER,
            tally if tally.calls < u64::from(min_calls) => ALWAYS,
            _ => slice + 1,
        };
        self.watch.store(next, Relaxed);
        tally
    }

    fn tally_of(&self, era: Era, bad: &BadSlices, now: u64) -> Tally {
        let oldest = now.saturating_sub(BUCKETS as u64 - 1);
        let mut tally = Tally::default();
        for kept in bad.slices.iter().filter(|kept| (oldest..=now).contains(&kept.slice)) {
            tally.calls += kept.tally.calls;
            tally.failed += kept.tally.failed;
            tally.slow += kept.tally.slow;
        }
        let counts = self.counts.iter().map(|counts| counts.of(era, oldest..=now));
        tally.calls += counts.sum::<u64>();
        tally
    }

    fn tally(&self, era: Era, now: u64) -> Tally {
        let mut bad = lock(&self.bad);
        let tally = |bad: &mut BadSlices| self.tally_of(era, bad, bad.current(now));
        bad.of(era).map_or_else(Tally::default, tally)
    }
}

#[cfg(all(test, not(avail_loom)))]
mod tests {
    use proptest::prelude::*;

    use super::*;

    const GOOD: Mark = Mark { failed: false, slow: false };
    const FAILED: Mark = Mark { failed: true, slow: false };

    fn era(epoch: u32) -> Era {
        Era::new(1, epoch)
    }

    fn at(millis: u64) -> Tick {
        Tick::from_nanos(1_000_000_000 + millis * 1_000_000)
    }

    fn tally_of<'a>(marks: impl Iterator<Item = &'a Mark>) -> Tally {
        let mut tally = Tally::default();
        for mark in marks {
            tally.calls += 1;
            tally.failed += u64::from(mark.failed);
            tally.slow += u64::from(mark.slow);
        }
        tally
    }

    fn any_mark() -> impl Strategy<Value = Mark> {
        (any::<bool>(), any::<bool>()).prop_map(|(failed, slow)| Mark { failed, slow })
    }

    /// How many calls there have to be, and the rate that opens the breaker then.
    fn any_rule() -> impl Strategy<Value = (u32, f64)> {
        (1_u32..8, (1_u32..=10).prop_map(|tenths| f64::from(tenths) / 10.0))
    }

    fn breaks(tally: Tally, min_calls: u32, rate: f64) -> bool {
        let reached = tally.reaches(tally.failed, rate) || tally.reaches(tally.slow, rate);
        tally.calls >= u64::from(min_calls) && reached
    }

    #[test]
    fn a_share_that_is_just_reached_is_reached() {
        for percent in 1..=100_u32 {
            let written = format!("{}.{:02}", percent / 100, percent % 100);
            let rate: f64 = written.parse().expect("a number");
            let tally = Tally { calls: 100, ..Tally::default() };
            assert!(tally.reaches(u64::from(percent), rate), "{percent} of 100 is {rate}");
            assert!(!tally.reaches(u64::from(percent) - 1, rate), "less than {rate}");
        }
    }

    #[test]
    fn a_ring_forgets_what_is_older_than_its_size() {
        let window = Window::of_calls(3);
        for _ in 0..1_000_000 {
            assert_eq!(window.record(era(7), GOOD, 1, || at(0)), None);
        }
        assert_eq!(window.record(era(7), FAILED, 1, || at(0)).map(|tally| tally.failed), Some(1));
        assert_eq!(window.record(era(7), FAILED, 1, || at(0)).map(|tally| tally.failed), Some(2));
        let tally = window.record(era(7), FAILED, 1, || at(0)).expect("bad calls");
        assert!(tally.reaches(tally.failed, 1.0));
    }

    #[test]
    fn a_result_of_an_earlier_epoch_finds_a_later_one_and_changes_nothing() {
        for window in [Window::of_calls(3), Window::of_time(Duration::from_secs(1))] {
            window.record(era(4), FAILED, 1, || at(0));
            window.record(era(5), GOOD, 1, || at(0));
            assert_eq!(window.record(era(4), FAILED, 1, || at(1)), None);
            let expected = Tally { calls: 1, failed: 0, slow: 0 };
            assert_eq!(window.tally(era(5), at(1)), expected, "{window:?}");
        }
    }

    #[test]
    fn a_wheel_holds_at_least_its_length_and_at_most_a_tenth_more() {
        let window = Window::of_time(Duration::from_secs(10));
        window.record(era(0), FAILED, 1, || at(0));
        assert_eq!(window.tally(era(0), at(10_000)).calls, 1);
        assert_eq!(window.tally(era(0), at(11_000)).calls, 0);
    }

    #[test]
    fn a_call_that_comes_late_takes_no_bucket_from_those_after_it() {
        for turns in [1, 2, 1_000] {
            let window = Window::of_time(Duration::from_secs(1));
            let later = turns * 1_100;
            window.record(era(0), FAILED, 1, || at(later));
            assert_eq!(window.record(era(0), FAILED, 1, || at(0)), None);
            let expected = Tally { calls: 1, failed: 1, slow: 0 };
            assert_eq!(window.tally(era(0), at(later)), expected, "{turns} turns later");
        }
    }

    #[test]
    fn a_good_call_that_comes_late_takes_no_count_from_those_after_it() {
        for turns in [1, 2, 1_000] {
            let window = Window::of_time(Duration::from_secs(1));
            let later = turns * 1_100;
            (0..3).for_each(|_| _ = window.record(era(0), GOOD, 1, || at(later)));
            window.record(era(0), GOOD, 1, || at(0));
            let expected = Tally { calls: 3, failed: 0, slow: 0 };
            assert_eq!(window.tally(era(0), at(later)), expected, "{turns} turns later");
        }
    }

    #[test]
    fn a_wheel_that_stood_still_counts_what_comes_next() {
        const HOUR: u64 = 3_600_000;
        let day = |days: u64| days * 24 * HOUR;
        for idle in [1_100, HOUR, 15 * HOUR, 28 * HOUR, 30 * HOUR, day(7), day(90), day(400)] {
            let window = Window::of_time(Duration::from_secs(1));
            (0..BUCKETS as u64).for_each(|slice| {
                window.record(era(0), FAILED, 1, || at(slice * 100));
            });
            let later = 1_000 + idle;
            let expected = Tally { calls: 1, failed: 1, slow: 0 };
            assert_eq!(window.record(era(0), FAILED, 1, || at(later)), Some(expected), "{idle} ms");
        }
    }

    #[test]
    fn after_a_day_of_health_a_wheel_counts_failures() {
        let window = Window::of_time(Duration::from_secs(1));
        (0..BUCKETS as u64).for_each(|slice| {
            window.record(era(0), FAILED, 1, || at(slice * 100));
        });
        let slices = 20 * 3_600 * 10;
        (BUCKETS as u64..slices).for_each(|slice| {
            window.record(era(0), GOOD, 1, || at(slice * 100));
        });
        let tally = window.record(era(0), FAILED, 1, || at(slices * 100)).expect("a bad call");
        assert_eq!((tally.calls, tally.failed), (BUCKETS as u64, 1));
    }

    #[test]
    fn a_wheel_counts_however_many_epochs_have_gone_by() {
        for later in [1, 100, 2_000, 2_049, 4_000, 4_090, 100_000] {
            let window = Window::of_time(Duration::from_secs(1));
            window.record(era(7), FAILED, 1, || at(0));
            let expected = Tally { calls: 1, failed: 1, slow: 0 };
            assert_eq!(
                window.record(era(7 + later), FAILED, 1, || at(0)),
                Some(expected),
                "{later}"
            );
        }
    }

    const SHAPES: [RateWindow; 2] =
        [RateWindow::Calls(3), RateWindow::Time(Duration::from_secs(1))];

    #[test]
    fn a_window_that_begins_anew_knows_nothing_of_the_calls_before_whatever_its_size() {
        let others = [1, 3, 1_000].map(|size| [size, 1_000_000]).concat();
        for (shape, size) in
            SHAPES.into_iter().flat_map(|shape| others.iter().map(move |size| (shape, *size)))
        {
            let window = Window::of(shape);
            let record =
                |generation, mark| window.record(Era::new(generation, 7), mark, 1, || at(5_000));
            [GOOD, FAILED, GOOD].into_iter().for_each(|mark| _ = record(1, mark));
            window.resize(match shape {
                RateWindow::Calls(_) => RateWindow::Calls(size),
                RateWindow::Time(_) => RateWindow::Time(Duration::from_millis(size.into())),
            });
            assert_eq!(window.tally(Era::new(2, 7), at(5_000)), Tally::default());
            let told = record(2, FAILED);
            let alone = Some(Tally { calls: 1, failed: 1, slow: 0 });
            assert_eq!(told, alone, "{shape:?} {size}");
            // It was admitted before, or had looked the window up.
            [GOOD, FAILED].into_iter().for_each(|mark| _ = record(1, mark));
            assert_eq!(Some(window.tally(Era::new(2, 7), at(5_000))), alone, "{shape:?} {size}");
        }
    }

    #[test]
    fn a_window_is_of_the_size_that_it_was_given_last() {
        let window = Window::of_calls(100);
        window.resize(RateWindow::Calls(2));
        [FAILED, GOOD, GOOD]
            .into_iter()
            .for_each(|mark| _ = window.record(Era::new(2, 0), mark, 1, || at(0)));
        assert_eq!(window.tally(Era::new(2, 0), at(0)), Tally { calls: 2, failed: 0, slow: 0 });

        let window = Window::of_time(Duration::from_secs(1));
        window.resize(RateWindow::Time(Duration::from_secs(10)));
        window.record(Era::new(2, 0), FAILED, 1, || at(0));
        assert_eq!(window.tally(Era::new(2, 0), at(10_000)).calls, 1);
        assert_eq!(window.tally(Era::new(2, 0), at(11_000)).calls, 0);
    }

    /// What is done by a thread that has given its seat back, as a destructor at its very end may.
    fn at_the_end_of_a_thread<T: Send + 'static>(op: impl FnOnce() -> T + Send + 'static) -> T {
        struct Last(Option<Box<dyn FnOnce()>>);
        impl Drop for Last {
            fn drop(&mut self) {
                self.0.take().into_iter().for_each(|op| op());
            }
        }
        thread_local! {
            static LAST: std::cell::RefCell<Last> =
                const { std::cell::RefCell::new(Last(None)) };
        }
        let (told, said) = std::sync::mpsc::channel();
        let thread = std::thread::spawn(move || {
            LAST.set(Last(Some(Box::new(move || told.send(op()).expect("it is waited for")))));
            // Seated after that, and so unseated before it.
            assert!(Shards::<Count>::default().mine().is_some());
        });
        thread.join().expect("it ends");
        said.recv().expect("it was done")
    }

    #[test]
    fn a_thread_at_its_end_has_no_shard_not_even_where_it_comes_first() {
        let has_one = || Shards::<Count>::default().mine().is_some();
        assert!(has_one() && !at_the_end_of_a_thread(has_one));
    }

    #[test]
    fn the_calls_of_a_thread_without_a_shard_are_counted_as_any_other() {
        for window in [Window::of_calls(4), Window::of_time(Duration::from_secs(1))] {
            let window = std::sync::Arc::new(window);
            let record_as_guest = |mark| {
                let window = window.clone();
                at_the_end_of_a_thread(move || window.record(era(3), mark, 3, || at(0)))
            };
            let tally = |calls, failed| Some(Tally { calls, failed, slow: 0 });
            assert_eq!(window.record(era(3), FAILED, 3, || at(0)), tally(1, 1));
            assert_eq!(record_as_guest(GOOD), tally(2, 1));
            assert_eq!(window.record(era(3), GOOD, 3, || at(0)), tally(3, 1));
            assert_eq!(record_as_guest(FAILED), tally(4, 2));
            assert_eq!(Some(window.tally(era(3), at(0))), tally(4, 2));
        }
    }

    #[test]
    fn good_calls_look_no_more_once_there_are_enough_or_all_are_good() {
        let windows = || [Window::of_calls(4), Window::of_time(Duration::from_secs(1))];
        for window in windows() {
            window.record(era(3), FAILED, 2, || at(0));
            let both = Tally { calls: 2, failed: 1, slow: 0 };
            assert_eq!(window.record(era(3), GOOD, 2, || at(0)), Some(both));
            assert_eq!(
                window.record(era(3), GOOD, 2, || at(0)),
                None,
                "there are enough: {window:?}"
            );
        }
        for window in windows() {
            window.record(era(3), FAILED, 9, || at(0));
            let alone = Tally { calls: 1, failed: 0, slow: 0 };
            assert_eq!(window.record(era(4), GOOD, 9, || at(0)), Some(alone));
            assert_eq!(window.record(era(4), GOOD, 9, || at(0)), None, "all are good: {window:?}");
        }
    }

    #[test]
    fn while_bad_calls_are_in_a_wheel_a_good_one_looks_once_in_each_slice() {
        let window = Window::of_time(Duration::from_secs(1));
        window.record(era(3), FAILED, 1, || at(0));
        for slice in 0..=BUCKETS as u64 + 1 {
            let told = [1, 2, 3].map(|_| window.record(era(3), GOOD, 1, || at(slice * 100)));
            let looked = (1..=BUCKETS as u64).contains(&slice);
            assert_eq!(told.map(|told| told.is_some()), [looked, false, false], "slice {slice}");
        }
    }

    #[test]
    fn threads_lose_no_call() {
        let (calls, threads) = (10_000_u32, 4);
        for window in [Window::of_calls(100_000), Window::of_time(Duration::from_secs(100))] {
            std::thread::scope(|scope| {
                for _ in 0..threads {
                    scope.spawn(|| {
                        for call in 0..calls {
                            window.record(
                                era(3),
                                if call % 2 == 0 { GOOD } else { FAILED },
                                1,
                                || at(5),
                            );
                        }
                    });
                }
            });
            let calls = u64::from(calls * threads);
            let expected = Tally { calls, failed: calls / 2, slow: 0 };
            assert_eq!(window.tally(era(3), at(5)), expected);
        }
    }

    #[test]
    fn threads_leave_no_failure_behind() {
        for size in [1, 2, 3] {
            let window = Window::of_calls(size);
            std::thread::scope(|scope| {
                for _ in 0..4 {
                    scope.spawn(|| {
                        for call in 0..100_000 {
                            window.record(
                                era(3),
                                if call % 2 == 0 { GOOD } else { FAILED },
                                1,
                                || at(5),
                            );
                        }
                    });
                }
            });
            (0..size).for_each(|_| {
                window.record(era(3), GOOD, 1, || at(5));
            });
            let expected = Tally { calls: u64::from(size), failed: 0, slow: 0 };
            assert_eq!(window.tally(era(3), at(5)), expected);
        }
    }

    proptest! {
        #[test]
        fn a_ring_is_the_last_so_many_calls(
            size in 1_usize..12,
            (min_calls, rate) in any_rule(),
            marks in prop::collection::vec(any_mark(), 0..100),
        ) {
            let window = Window::of_calls(size as u32);
            for (index, &mark) in marks.iter().enumerate() {
                let told = window.record(era(9), mark, min_calls, || at(0));
                let recent = &marks[(index + 1).saturating_sub(size)..=index];
                let expected = tally_of(recent.iter());
                if told.is_some() || breaks(expected, min_calls, rate) {
                    prop_assert_eq!(told, Some(expected));
                }
                if breaks(expected, min_calls, rate) {
                    break;
                }
                prop_assert_eq!(window.tally(era(9), at(0)), expected);
            }
        }

        #[test]
        fn a_wheel_is_the_calls_of_its_slices(
            (min_calls, rate) in any_rule(),
            calls in prop::collection::vec((0_u64..3_000, any_mark()), 0..100),
        ) {
            let window = Window::of_time(Duration::from_secs(10));
            let mut now = 0;
            let mut seen = Vec::new();
            for (gap, mark) in calls {
                now += gap;
                let told = window.record(era(9), mark, min_calls, || at(now));
                // A second before the first tick, so that a slice begins with each second.
                let slice = |millis: u64| millis / 1_000;
                seen.push((slice(now), mark));
                let recent = seen.iter().filter(|(at, _)| *at + 10 >= slice(now));
                let expected = tally_of(recent.map(|(_, mark)| mark));
                if told.is_some() || breaks(expected, min_calls, rate) {
                    prop_assert_eq!(told, Some(expected));
                }
                if breaks(expected, min_calls, rate) {
                    break;
                }
                prop_assert_eq!(window.tally(era(9), at(now)), expected);
            }
        }

        #[test]
        fn a_clear_is_a_new_epoch(
            size in 1_u32..8,
            calls in prop::collection::vec((any_mark(), prop::bool::weighted(0.2)), 0..60),
        ) {
            for window in [Window::of_calls(size), Window::of_time(Duration::from_secs(1))] {
                let (mut epoch, mut of_epoch) = (u32::MAX - 3, Vec::new());
                for &(mark, cleared) in &calls {
                    if cleared {
                        epoch = epoch.wrapping_add(1);
                        of_epoch.clear();
                    }
                    window.record(era(epoch), mark, 1, || at(0));
                    of_epoch.push(mark);
                    let kept = match window {
                        Window::Calls(_) => of_epoch.len().saturating_sub(size as usize),
                        Window::Time(_) => 0,
                    };
                    prop_assert_eq!(window.tally(era(epoch), at(0)), tally_of(of_epoch[kept..].iter()));
                }
            }
        }
    }

    #[test]
    fn a_good_call_that_is_a_slice_late_does_not_hide_a_bad_one() {
        let window = Window::of_time(Duration::from_secs(1));
        assert_eq!(window.record(era(0), FAILED, 3, || at(100)).map(|tally| tally.failed), Some(1));
        // Their clocks were read before the slice of the failure began.
        window.record(era(0), GOOD, 3, || at(99));
        let told = window.record(era(0), GOOD, 3, || at(99));
        let expected = Tally { calls: 3, failed: 1, slow: 0 };
        assert_eq!((told, window.tally(era(0), at(99))), (Some(expected), expected));
    }
}
