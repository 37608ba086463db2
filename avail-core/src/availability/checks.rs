//! How many runs, or calls, there were: exact since ever, by the hour for the windows.

use std::collections::VecDeque;

use serde::{Deserialize, Serialize};

use super::moment::{Moment, Span};

/// Completed runs of a check, or calls through a breaker that said whether it works.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct CheckCounts {
    pub(crate) successful: u64,
    pub(crate) failed: u64,
}

impl CheckCounts {
    pub(crate) fn total(self) -> u64 {
        self.successful + self.failed
    }

    pub(crate) fn count(&mut self, success: bool) {
        if success { self.successful += 1 } else { self.failed += 1 }
    }

    /// Successful ones of all, 0 to 1; `None` where there were none.
    pub(crate) fn success_ratio(self) -> Option<f64> {
        (self.total() > 0).then(|| self.successful as f64 / self.total() as f64)
    }

    /// What has come since `earlier`, a smaller count of the same.
    pub(crate) fn since(self, earlier: CheckCounts) -> CheckCounts {
        CheckCounts {
            successful: self.successful.saturating_sub(earlier.successful),
            failed: self.failed.saturating_sub(earlier.failed),
        }
    }
}

impl std::ops::AddAssign for CheckCounts {
    fn add_assign(&mut self, other: CheckCounts) {
        self.successful += other.successful;
        self.failed += other.failed;
    }
}

impl std::iter::Sum for CheckCounts {
    fn sum<I: Iterator<Item = CheckCounts>>(counts: I) -> Self {
        counts.fold(CheckCounts::default(), |mut sum, one| {
            sum += one;
            sum
        })
    }
}

/// An hour in which something was counted. How much is what stands before the next one, less what
/// stands before it: any window is one subtraction, however many hours it has.
#[derive(Clone, Copy, Debug)]
struct Hour {
    /// Since 1970.
    number: i64,
    /// Milliseconds from its beginning to the first that was counted, and to the last.
    first: u32,
    last: u32,
    /// All that was counted before it.
    before: CheckCounts,
}

impl Hour {
    fn life(&self) -> Span {
        let begin = self.number.saturating_mul(HOUR_MS);
        let at = |offset: u32| Moment(begin.saturating_add(offset.into()));
        Span::new(at(self.first), at(self.last))
    }
}

/// Counts by the hour, for the longest window that is asked for by name, and their sum since ever.
#[derive(Clone, Debug, Default)]
pub(crate) struct CheckHistory {
    all: CheckCounts,
    hours: VecDeque<Hour>,
}

const HOUR_MS: i64 = 3_600_000;
/// Thirty days, and the hour that is under way.
const HOURS: usize = 30 * 24 + 1;

impl CheckHistory {
    pub(crate) fn add(&mut self, at: Moment, counts: CheckCounts) {
        let number = at.0.div_euclid(HOUR_MS);
        let offset = at.0.rem_euclid(HOUR_MS) as u32;
        match self.hours.back_mut() {
            Some(hour) if hour.number == number => hour.last = hour.last.max(offset),
            // One that comes late is of the hour that is under way.
            Some(hour) if hour.number > number => {}
            _ => {
                let (first, last) = (offset, offset);
                self.make_room();
                self.hours.push_back(Hour { number, first, last, before: self.all });
            }
        }
        self.all += counts;
    }

    /// For one hour more: the oldest goes, or there is memory for as many again, and never for more
    /// than are kept.
    fn make_room(&mut self) {
        let len = self.hours.len();
        if len == HOURS {
            self.hours.pop_front();
        } else if len == self.hours.capacity() {
            self.hours.reserve_exact(len.max(4).min(HOURS - len));
        }
    }

    pub(crate) fn all(&self) -> CheckCounts {
        self.all
    }

    /// Those in the span: exact where it cuts no hour in two, else in proportion.
    pub(crate) fn within(&self, span: Span) -> CheckCounts {
        let first = self.first_since(span.from);
        // Nearly always a span reaches up to now.
        let all = self.hours.back().is_some_and(|hour| hour.life().from <= span.to);
        let end = match all {
            true => self.hours.len(),
            false => self.hours.partition_point(|hour| hour.life().from <= span.to),
        };
        let Some(last) = end.checked_sub(1).filter(|last| first <= *last) else {
            return CheckCounts::default();
        };
        if first == last {
            return self.part(first, span);
        }
        let mut sum = self.before(last).since(self.before(first + 1));
        sum += self.part(first, span);
        sum += self.part(last, span);
        sum
    }

    /// The first hour that has anything from `moment` on. Where no hour is missing, it is found
    /// without a search: what is searched is seldom in the cache.
    fn first_since(&self, moment: Moment) -> usize {
        let number = moment.0.div_euclid(HOUR_MS);
        let Some(last) = self.hours.back() else { return 0 };
        let from_end = usize::try_from(last.number.saturating_sub(number)).unwrap_or(0);
        // No hour before this one can be it: each is one later than the one before, at least.
        let least = self.hours.len().saturating_sub(from_end.saturating_add(1));
        match self.hours.get(least) {
            Some(hour) if hour.number == number => least + usize::from(hour.life().to < moment),
            Some(hour) if least == 0 && hour.number > number => 0,
            _ => self.hours.partition_point(|hour| hour.life().to < moment),
        }
    }

    fn before(&self, hour: usize) -> CheckCounts {
        self.hours.get(hour).map_or(self.all, |hour| hour.before)
    }

    /// What the span has of one hour.
    fn part(&self, hour: usize, span: Span) -> CheckCounts {
        let counts = self.before(hour + 1).since(self.before(hour));
        let life = self.hours[hour].life();
        if span.from <= life.from && life.to <= span.to {
            return counts;
        }
        let share = life.overlap(span).length() as f64 / life.length().max(1) as f64;
        let part = |count: u64| (count as f64 * share).round() as u64;
        CheckCounts { successful: part(counts.successful), failed: part(counts.failed) }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn whole_hours_are_exact_and_cut_ones_in_proportion() {
        let mut history = CheckHistory::default();
        for minute in 0..180 {
            let mut counts = CheckCounts::default();
            counts.count(minute % 10 != 0);
            history.add(Moment(minute * 60_000), counts);
        }
        assert_eq!(history.all(), CheckCounts { successful: 162, failed: 18 });
        let last_two_hours = Span::new(Moment(60 * 60_000), Moment(180 * 60_000));
        assert_eq!(history.within(last_two_hours).total(), 120);
        let last_half_hour = Span::new(Moment(150 * 60_000), Moment(180 * 60_000));
        assert!((29..=31).contains(&history.within(last_half_hour).total()));
    }

    #[test]
    fn it_keeps_thirty_days_and_never_forgets_the_sum() {
        let mut history = CheckHistory::default();
        for hour in 0..2_000 {
            history.add(Moment(hour * HOUR_MS), CheckCounts { successful: 1, failed: 0 });
        }
        assert_eq!((history.hours.len(), history.hours.capacity()), (HOURS, HOURS));
        assert_eq!(history.all().total(), 2_000);
    }

    /// As it would be counted without sums: hour by hour.
    fn one_by_one(runs: &[(i64, bool)], span: Span) -> CheckCounts {
        let mut hours: std::collections::BTreeMap<i64, CheckHistory> = Default::default();
        for &(at, success) in runs {
            let mut counts = CheckCounts::default();
            counts.count(success);
            hours.entry(at / HOUR_MS).or_default().add(Moment(at), counts);
        }
        hours.values().map(|hour| hour.within(span)).sum()
    }

    proptest::proptest! {
        #[test]
        fn sums_over_many_hours_are_those_of_each(
            gaps in proptest::collection::vec((0_i64..9_000_000, proptest::bool::ANY), 1..60),
            from in -3_600_000_i64..100_000_000,
            length in 0_i64..100_000_000,
        ) {
            let mut at = 0;
            let timed = gaps.iter().map(|&(gap, success)| { at += gap; (at, success) });
            let runs: Vec<_> = timed.collect();
            let mut history = CheckHistory::default();
            for &(at, success) in &runs {
                let mut counts = CheckCounts::default();
                counts.count(success);
                history.add(Moment(at), counts);
            }
            let span = Span::new(Moment(from), Moment(from + length));
            proptest::prop_assert_eq!(history.within(span), one_by_one(&runs, span));
        }
    }

    #[test]
    fn an_hour_costs_32_bytes() {
        assert_eq!(size_of::<Hour>(), 32);
    }
}
