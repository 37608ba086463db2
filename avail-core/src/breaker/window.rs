//! The calls that a rate is taken over: the last so many, or those of the last so many seconds.
//!
//! There is no lock and no turn of the wheel that anybody must make: each cell carries the epoch,
//! and for time the slice, that it belongs to. A cell of the past is empty to whoever reads it and is
//! taken over by whoever writes it; a result of an earlier epoch finds a later one and leaves it
//! alone. The numbers guard no other memory, and are read again under the lock before anything is
//! done about them.

use std::time::Duration;

use crate::clock::Tick;
use crate::primitive::{AtomicU64, Ordering};

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

    /// In the lowest bits of a ring's cell: present, failed, slow.
    fn bits(self) -> u64 {
        1 | u64::from(self.failed) << 1 | u64::from(self.slow) << 2
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
}

/// See the [module](self).
#[derive(Debug)]
pub(crate) enum Window {
    Calls(Ring),
    /// Boxed: it is much larger.
    Time(Box<Wheel>),
}

impl Window {
    pub(crate) fn of_calls(calls: u32) -> Self {
        Window::Calls(Ring::new(calls))
    }

    pub(crate) fn of_time(length: Duration) -> Self {
        Window::Time(Box::new(Wheel::new(length)))
    }

    /// Records a call of `epoch`, and gives the tally with it, if there is a bad call in it. `None`
    /// also where a later epoch has begun.
    /// The time is asked for only where it matters.
    pub(crate) fn record(
        &self,
        epoch: u32,
        mark: Mark,
        now: impl FnOnce() -> Tick,
    ) -> Option<Tally> {
        match self {
            Window::Calls(ring) => ring.record(epoch, mark),
            Window::Time(wheel) => wheel.record(epoch, mark, now()),
        }
    }

    /// The calls of `epoch` that are in it now.
    pub(crate) fn tally(&self, epoch: u32, now: Tick) -> Tally {
        match self {
            Window::Calls(ring) => ring.tally(epoch),
            Window::Time(wheel) => wheel.tally(epoch, wheel.slice(now)),
        }
    }
}

/// Whether epoch `a` is later than `b`, across a wrap.
fn is_later(a: u32, b: u32) -> bool {
    a != b && a.wrapping_sub(b) < u32::MAX / 2
}

/// The last `cells.len()` calls, exactly.
#[derive(Debug)]
pub(crate) struct Ring {
    /// Epoch and how many calls it has had: `epoch << 32 | calls`.
    head: AtomicU64,
    /// Epoch and mark: `epoch << 32 | bits`.
    cells: Box<[AtomicU64]>,
    /// Epoch and failed calls in the ring; the same for slow ones. The count is signed: of two calls
    /// that follow each other in a cell, the second may be the first to say what it changed.
    failed: AtomicU64,
    slow: AtomicU64,
}

const COUNT: u64 = u32::MAX as u64;

fn tag(epoch: u32) -> u64 {
    u64::from(epoch) << 32
}

fn epoch_of(word: u64) -> u32 {
    (word >> 32) as u32
}

/// Replaces the word by what `next` makes of it; `None` leaves it. Gives the word before.
fn replace(word: &AtomicU64, mut next: impl FnMut(u64) -> Option<u64>) -> Option<u64> {
    let mut current = word.load(Relaxed);
    loop {
        // Acquire and Release pair with each other: of several failures at once, the last to be
        // added to `failed` sees the calls of all of them, and so that they reach the rate.
        match word.compare_exchange_weak(current, next(current)?, Ordering::AcqRel, Relaxed) {
            Ok(before) => return Some(before),
            Err(changed) => current = changed,
        }
    }
}

/// The count of a word in `epoch`: what it says, nothing if it is of an earlier one.
fn count_in(word: u64, epoch: u32) -> u64 {
    if epoch_of(word) == epoch { word & COUNT } else { 0 }
}

/// Whether a call of `epoch` may write the word: it is fresh, or not of a later epoch.
fn may_take(word: u64, epoch: u32) -> bool {
    word == 0 || !is_later(epoch_of(word), epoch)
}

/// Adds to the word's signed count in `epoch`, unless it is of a later one.
fn add_in(word: &AtomicU64, epoch: u32, delta: i32) {
    replace(word, |current| {
        let count = (count_in(current, epoch) as u32).wrapping_add_signed(delta);
        may_take(current, epoch).then_some(tag(epoch) | u64::from(count))
    });
}

/// A signed count; nothing where it is below zero for a moment.
fn signed_count_in(word: u64, epoch: u32) -> u64 {
    (count_in(word, epoch) as i32).max(0) as u64
}

impl Ring {
    fn new(calls: u32) -> Self {
        Ring {
            head: AtomicU64::new(0),
            cells: (0..calls.max(1)).map(|_| AtomicU64::new(0)).collect(),
            failed: AtomicU64::new(0),
            slow: AtomicU64::new(0),
        }
    }

    fn record(&self, epoch: u32, mark: Mark) -> Option<Tally> {
        let size = self.cells.len() as u64;
        // Counts up to the size and then round and round above it, so that it says both how many
        // calls there are and where the next one goes.
        let head = replace(&self.head, |head| {
            let count = count_in(head, epoch) + 1;
            let count = if count >= 2 * size { size } else { count };
            may_take(head, epoch).then_some(tag(epoch) | count)
        })?;
        let place = (count_in(head, epoch) % size) as usize;
        let cell = tag(epoch) | mark.bits();
        let before =
            replace(&self.cells[place], |current| may_take(current, epoch).then_some(cell))?;
        let left = if epoch_of(before) == epoch { before } else { 0 };
        for (word, bit) in [(&self.failed, 2), (&self.slow, 4)] {
            let delta = i32::from(cell & bit != 0) - i32::from(left & bit != 0);
            if delta != 0 {
                add_in(word, epoch, delta);
            }
        }
        let tally = self.tally(epoch);
        (mark.is_bad() || tally.failed + tally.slow > 0).then_some(tally)
    }

    fn tally(&self, epoch: u32) -> Tally {
        let count = |word: &AtomicU64| signed_count_in(word.load(Relaxed), epoch);
        Tally {
            calls: count_in(self.head.load(Relaxed), epoch).min(self.cells.len() as u64),
            failed: count(&self.failed),
            slow: count(&self.slow),
        }
    }
}

/// The calls of the last so many slices of time, each counted exactly.
#[derive(Debug)]
pub(crate) struct Wheel {
    /// Nanoseconds.
    slice: u64,
    buckets: [Bucket; BUCKETS],
    /// When a bad call was last recorded.
    last_bad: AtomicU64,
}

/// The slice under way and ten whole ones before it: at least the window's length is covered, and
/// at most a tenth more.
const BUCKETS: usize = 11;

/// Each word: `epoch (12 bits) | turn (24 bits) | count (28 bits)`.
#[derive(Debug)]
struct Bucket {
    calls: AtomicU64,
    failed: AtomicU64,
    slow: AtomicU64,
}

/// The upper part of a bucket's words: the epoch, and how often the wheel has gone round.
#[derive(Clone, Copy)]
struct Stamp {
    epoch: u32,
    turn: u64,
}

impl Stamp {
    const COUNT: u64 = (1 << 28) - 1;
    const TURN: u64 = (1 << 24) - 1;
    const EPOCH: u64 = (1 << 12) - 1;

    fn new(epoch: u32, slice: u64) -> Self {
        Stamp { epoch, turn: slice / BUCKETS as u64 }
    }

    fn bits(self) -> u64 {
        (u64::from(self.epoch) & Self::EPOCH) << 52 | (self.turn & Self::TURN) << 28
    }

    /// The word's count, if it is of this epoch and turn.
    fn count_of(self, word: u64) -> u64 {
        if word & !Self::COUNT == self.bits() { word & Self::COUNT } else { 0 }
    }

    /// Whether a word is of a later turn, or of a later epoch in this one.
    ///
    /// Of a little later, that is: no call is far behind the others, and a word that nobody has
    /// written for ages may have any number.
    fn is_before(self, word: u64) -> bool {
        let later = |shift: u32, mask| (word >> shift).wrapping_sub(self.bits() >> shift) & mask;
        match later(28, Self::TURN) {
            0 => (1..1 << 6).contains(&later(52, Self::EPOCH)),
            turns => turns < 1 << 10,
        }
    }
}

impl Wheel {
    fn new(length: Duration) -> Self {
        let slice = u64::try_from(length.as_nanos()).unwrap_or(u64::MAX) / (BUCKETS as u64 - 1);
        Wheel {
            slice: slice.max(1),
            buckets: std::array::from_fn(|_| Bucket {
                calls: AtomicU64::new(0),
                failed: AtomicU64::new(0),
                slow: AtomicU64::new(0),
            }),
            last_bad: AtomicU64::new(0),
        }
    }

    fn slice(&self, now: Tick) -> u64 {
        now.as_nanos() / self.slice
    }

    fn record(&self, epoch: u32, mark: Mark, now: Tick) -> Option<Tally> {
        let slice = self.slice(now);
        let stamp = Stamp::new(epoch, slice);
        let bucket = &self.buckets[(slice % BUCKETS as u64) as usize];
        bucket.add(&bucket.calls, stamp)?;
        if mark.failed {
            bucket.add(&bucket.failed, stamp)?;
        }
        if mark.slow {
            bucket.add(&bucket.slow, stamp)?;
        }
        if mark.is_bad() {
            self.last_bad.fetch_max(slice, Relaxed);
        }
        // Without a bad call in the window there is nothing to add up.
        let since_bad = slice.saturating_sub(self.last_bad.load(Relaxed));
        (since_bad < BUCKETS as u64).then(|| self.tally(epoch, slice))
    }

    fn tally(&self, epoch: u32, now: u64) -> Tally {
        let mut tally = Tally::default();
        for back in 0..BUCKETS as u64 {
            let Some(slice) = now.checked_sub(back) else { break };
            let stamp = Stamp::new(epoch, slice);
            let bucket = &self.buckets[(slice % BUCKETS as u64) as usize];
            let count = |word: &AtomicU64| stamp.count_of(word.load(Relaxed));
            tally.calls += count(&bucket.calls);
            tally.failed += count(&bucket.failed);
            tally.slow += count(&bucket.slow);
        }
        tally
    }
}

impl Bucket {
    /// Adds one to the word, taking it over from the past; `None` where it is of the future.
    fn add(&self, word: &AtomicU64, stamp: Stamp) -> Option<u64> {
        replace(word, |current| {
            let next = stamp.bits() | (stamp.count_of(current) + 1).min(Stamp::COUNT);
            (current == 0 || !stamp.is_before(current)).then_some(next)
        })
    }
}

#[cfg(all(test, not(avail_loom)))]
mod tests {
    use proptest::prelude::*;

    use super::*;

    const GOOD: Mark = Mark { failed: false, slow: false };
    const FAILED: Mark = Mark { failed: true, slow: false };

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
            assert_eq!(window.record(7, GOOD, || at(0)), None);
        }
        assert_eq!(window.record(7, FAILED, || at(0)).map(|tally| tally.failed), Some(1));
        assert_eq!(window.record(7, FAILED, || at(0)).map(|tally| tally.failed), Some(2));
        let tally = window.record(7, FAILED, || at(0)).expect("bad calls");
        assert!(tally.reaches(tally.failed, 1.0));
    }

    #[test]
    fn a_result_of_an_earlier_epoch_finds_a_later_one_and_changes_nothing() {
        for window in [Window::of_calls(3), Window::of_time(Duration::from_secs(1))] {
            window.record(4, FAILED, || at(0));
            window.record(5, GOOD, || at(0));
            assert_eq!(window.record(4, FAILED, || at(1)), None);
            let expected = Tally { calls: 1, failed: 0, slow: 0 };
            assert_eq!(window.tally(5, at(1)), expected, "{window:?}");
        }
    }

    #[test]
    fn a_wheel_holds_at_least_its_length_and_at_most_a_tenth_more() {
        let window = Window::of_time(Duration::from_secs(10));
        window.record(0, FAILED, || at(0));
        assert_eq!(window.tally(0, at(10_000)).calls, 1);
        assert_eq!(window.tally(0, at(11_000)).calls, 0);
    }

    #[test]
    fn a_call_that_comes_late_takes_no_bucket_from_those_after_it() {
        for turns in [1, 2, 1_000] {
            let window = Window::of_time(Duration::from_secs(1));
            let later = turns * 1_100;
            window.record(0, FAILED, || at(later));
            assert_eq!(window.record(0, FAILED, || at(0)), None);
            let expected = Tally { calls: 1, failed: 1, slow: 0 };
            assert_eq!(window.tally(0, at(later)), expected, "{turns} turns later");
        }
    }

    #[test]
    fn a_wheel_that_stood_still_counts_what_comes_next() {
        const HOUR: u64 = 3_600_000;
        let day = |days: u64| days * 24 * HOUR;
        for idle in [1_100, HOUR, 15 * HOUR, 28 * HOUR, 30 * HOUR, day(7), day(90), day(400)] {
            let window = Window::of_time(Duration::from_secs(1));
            (0..BUCKETS as u64).for_each(|slice| {
                window.record(0, FAILED, || at(slice * 100));
            });
            let later = 1_000 + idle;
            let expected = Tally { calls: 1, failed: 1, slow: 0 };
            assert_eq!(window.record(0, FAILED, || at(later)), Some(expected), "{idle} ms");
        }
    }

    #[test]
    fn after_a_day_of_health_a_wheel_counts_failures() {
        let window = Window::of_time(Duration::from_secs(1));
        (0..BUCKETS as u64).for_each(|slice| {
            window.record(0, FAILED, || at(slice * 100));
        });
        let slices = 20 * 3_600 * 10;
        (BUCKETS as u64..slices).for_each(|slice| {
            window.record(0, GOOD, || at(slice * 100));
        });
        let tally = window.record(0, FAILED, || at(slices * 100)).expect("a bad call");
        assert_eq!((tally.calls, tally.failed), (BUCKETS as u64, 1));
    }

    #[test]
    fn a_wheel_counts_however_many_epochs_have_gone_by() {
        for later in [1, 100, 2_000, 2_049, 4_000, 100_000] {
            let window = Window::of_time(Duration::from_secs(1));
            window.record(7, FAILED, || at(0));
            let expected = Tally { calls: 1, failed: 1, slow: 0 };
            assert_eq!(window.record(7 + later, FAILED, || at(0)), Some(expected), "{later}");
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
                            window.record(3, if call % 2 == 0 { GOOD } else { FAILED }, || at(5));
                        }
                    });
                }
            });
            let calls = u64::from(calls * threads);
            let expected = Tally { calls, failed: calls / 2, slow: 0 };
            assert_eq!(window.tally(3, at(5)), expected);
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
                            window.record(3, if call % 2 == 0 { GOOD } else { FAILED }, || at(5));
                        }
                    });
                }
            });
            (0..size).for_each(|_| {
                window.record(3, GOOD, || at(5));
            });
            let expected = Tally { calls: u64::from(size), failed: 0, slow: 0 };
            assert_eq!(window.tally(3, at(5)), expected);
        }
    }

    proptest! {
        #[test]
        fn a_ring_is_the_last_so_many_calls(
            size in 1_usize..12,
            marks in prop::collection::vec(any_mark(), 0..100),
        ) {
            let window = Window::of_calls(size as u32);
            for (index, &mark) in marks.iter().enumerate() {
                let told = window.record(9, mark, || at(0));
                let recent = &marks[(index + 1).saturating_sub(size)..=index];
                let expected = tally_of(recent.iter());
                prop_assert_eq!(window.tally(9, at(0)), expected);
                prop_assert_eq!(told, (expected.failed + expected.slow > 0).then_some(expected));
            }
        }

        #[test]
        fn a_wheel_is_the_calls_of_its_slices(
            calls in prop::collection::vec((0_u64..3_000, any_mark()), 0..100),
        ) {
            let window = Window::of_time(Duration::from_secs(10));
            let mut now = 0;
            let mut seen = Vec::new();
            for (gap, mark) in calls {
                now += gap;
                let told = window.record(9, mark, || at(now));
                // A second before the first tick, so that a slice begins with each second.
                let slice = |millis: u64| millis / 1_000;
                seen.push((slice(now), mark));
                let recent = seen.iter().filter(|(at, _)| *at + 10 >= slice(now));
                let expected = tally_of(recent.map(|(_, mark)| mark));
                prop_assert_eq!(window.tally(9, at(now)), expected);
                if expected.failed + expected.slow > 0 {
                    prop_assert_eq!(told, Some(expected));
                }
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
                    window.record(epoch, mark, || at(0));
                    of_epoch.push(mark);
                    let kept = match window {
                        Window::Calls(_) => of_epoch.len().saturating_sub(size as usize),
                        Window::Time(_) => 0,
                    };
                    prop_assert_eq!(window.tally(epoch, at(0)), tally_of(of_epoch[kept..].iter()));
                }
            }
        }
    }
}
