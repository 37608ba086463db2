//! How many runs, or calls, there were: exact since ever; by the hour, the day and the month for the windows.

use std::collections::VecDeque;

use serde::{Deserialize, Serialize};

use super::grain::{DAYS_BY_DAY, Grain};
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

    /// Its part in `span`, where it is spread evenly over `life`.
    fn within(self, life: Span, span: Span) -> CheckCounts {
        if span.from <= life.from && life.to <= span.to {
            return self;
        }
        let share = life.overlap(span).length() as f64 / life.length().max(1) as f64;
        let part = |count: u64| (count as f64 * share).round() as u64;
        CheckCounts { successful: part(self.successful), failed: part(self.failed) }
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

/// Runs of one hour, in eight bytes: a component has thousands of them.
#[derive(Clone, Copy, Debug, Default, PartialEq, Serialize, Deserialize)]
struct Hour(u32, u32);

impl Hour {
    fn add(&mut self, counts: CheckCounts) {
        let sum = |own: u32, more: u64| own.saturating_add(u32::try_from(more).unwrap_or(u32::MAX));
        *self = Hour(sum(self.0, counts.successful), sum(self.1, counts.failed));
    }

    fn counts(self) -> CheckCounts {
        CheckCounts { successful: self.0.into(), failed: self.1.into() }
    }
}

/// The number of a day or a month, and the runs of it that were successful and that failed.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
struct Row(i64, u64, u64);

impl Row {
    fn counts(self) -> CheckCounts {
        CheckCounts { successful: self.1, failed: self.2 }
    }
}

/// Runs by the hour for thirty days, by the day for two years, by the month before, and their sum
/// since ever.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub(crate) struct CheckHistory {
    all: CheckCounts,
    /// When the last one was.
    last: Option<Moment>,
    /// The number of the first of `hours`.
    first_hour: i64,
    hours: VecDeque<Hour>,
    /// All that was counted up to the end of each block of hours, but for the last one: any window is
    /// a subtraction, however many hours it has.
    ends: VecDeque<CheckCounts>,
    /// Oldest first; only those in which there were any.
    days: Vec<Row>,
    months: Vec<Row>,
}

/// The longest window that is asked for by name, thirty days, and the hour that is under way. By the
/// hour for longer, runs and calls would take the memory that a component's timeline needs.
const HOURS: i64 = 30 * 24 + 1;
/// So many hours are a block.
const BLOCK: i64 = 64;

impl CheckHistory {
    pub(crate) fn add(&mut self, at: Moment, counts: CheckCounts) {
        self.last = self.last.max(Some(at));
        let number = Grain::Hour.number(at);
        if self.hours.is_empty() || number < self.first_hour {
            // Before all that is known by the hour: the clock was wrong then, or is now.
            self.hours.clear();
            self.ends.clear();
            self.first_hour = number;
            self.last = Some(at);
        }
        while number - self.first_hour >= HOURS {
            if !self.roll_up_first_hour() {
                self.first_hour = number;
            }
        }
        let index = usize::try_from(number - self.first_hour).unwrap_or(0);
        while self.hours.len() <= index {
            self.push_hour();
        }
        self.hours[index].add(counts);
        self.all += counts;
        let first_end = self.block_of(index);
        for end in self.ends.iter_mut().skip(first_end) {
            *end += counts; // it comes late
        }
    }

    fn push_hour(&mut self) {
        let len = self.hours.len();
        if len > 0 && self.number_of(len).rem_euclid(BLOCK) == 0 {
            self.ends.push_back(self.all);
        }
        if len == self.hours.capacity() {
            self.hours.reserve_exact((len / 4).clamp(4, 96));
        }
        self.hours.push_back(Hour::default());
    }

    fn number_of(&self, index: usize) -> i64 {
        self.first_hour + i64::try_from(index).unwrap_or(i64::MAX)
    }

    /// Which block since the first one.
    fn block_of(&self, index: usize) -> usize {
        let block = self.number_of(index).div_euclid(BLOCK) - self.first_hour.div_euclid(BLOCK);
        usize::try_from(block).unwrap_or(0)
    }

    /// Gives whether there was one.
    fn roll_up_first_hour(&mut self) -> bool {
        let Some(hour) = self.hours.pop_front() else { return false };
        let day = Grain::Day.number(Grain::Hour.span(self.first_hour).from);
        self.first_hour += 1;
        if self.first_hour.rem_euclid(BLOCK) == 0 {
            self.ends.pop_front();
        }
        if hour != Hour::default() {
            add_to_last(&mut self.days, day, hour.counts());
        }
        while let Some(&first) = self.days.first().filter(|first| first.0 < day - DAYS_BY_DAY) {
            self.days.remove(0);
            let month = Grain::Month.number(Grain::Day.span(first.0).from);
            add_to_last(&mut self.months, month, first.counts());
        }
        true
    }

    pub(crate) fn all(&self) -> CheckCounts {
        self.all
    }

    /// Those in the span: exact where it cuts no hour in two, or no day or month where only those
    /// are known; else in proportion.
    pub(crate) fn within(&self, span: Span) -> CheckCounts {
        let mut sum = self.hours_within(span);
        let known_by_hour = Grain::Hour.span(self.first_hour).from;
        if span.from < known_by_hour {
            for (grain, rows) in [(Grain::Day, &self.days), (Grain::Month, &self.months)] {
                for row in rows {
                    let life = grain.span(row.0);
                    let life = Span::new(life.from, life.to.min(known_by_hour));
                    sum += row.counts().within(life, span);
                }
            }
        }
        sum
    }

    fn hours_within(&self, span: Span) -> CheckCounts {
        let Some(newest) = self.hours.len().checked_sub(1) else { return CheckCounts::default() };
        let index = |moment| {
            let index = Grain::Hour.number(moment).saturating_sub(self.first_hour);
            usize::try_from(index).unwrap_or(0).min(newest)
        };
        let (first, last) = (index(span.from), index(span.to));
        let mut sum = self.hours[first].counts().within(self.life(first), span);
        if last > first {
            sum += self.before(last).since(self.before(first + 1));
            sum += self.hours[last].counts().within(self.life(last), span);
        }
        sum
    }

    /// All that was counted before an hour: what was up to the end of its block, less what has come
    /// since.
    fn before(&self, index: usize) -> CheckCounts {
        let end = self.ends.get(self.block_of(index)).copied().unwrap_or(self.all);
        let left = usize::try_from(BLOCK - self.number_of(index).rem_euclid(BLOCK)).unwrap_or(0);
        let block = self.hours.range(index..self.hours.len().min(index + left));
        end.since(block.map(|hour| hour.counts()).sum())
    }

    /// From when to when an hour's runs were: the newest hour is not over.
    fn life(&self, index: usize) -> Span {
        let hour = Grain::Hour.span(self.number_of(index));
        match self.last.filter(|last| hour.contains(*last)) {
            Some(last) => Span::new(hour.from, last),
            None => hour,
        }
    }

    /// Bytes beside its own size.
    #[cfg(test)]
    pub(crate) fn heap(&self) -> usize {
        let rows = self.days.capacity() + self.months.capacity();
        let ends = self.ends.capacity() * size_of::<CheckCounts>();
        self.hours.capacity() * size_of::<Hour>() + ends + rows * size_of::<Row>()
    }
}

fn add_to_last(rows: &mut Vec<Row>, number: i64, counts: CheckCounts) {
    match rows.last_mut() {
        Some(last) if last.0 == number => {
            last.1 += counts.successful;
            last.2 += counts.failed;
        }
        _ => rows.push(Row(number, counts.successful, counts.failed)),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::availability::grain::{DAY_MS, HOUR_MS};

    const ONE: CheckCounts = CheckCounts { successful: 1, failed: 0 };

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

    /// As it would be counted without sums: hour by hour.
    fn one_by_one(history: &CheckHistory, span: Span) -> CheckCounts {
        let hours = history.hours.iter().enumerate();
        hours.map(|(index, hour)| hour.counts().within(history.life(index), span)).sum()
    }

    proptest::proptest! {
        #[test]
        fn sums_over_many_hours_are_those_of_each(
            // Also what comes late, and a clock that was wrong.
            gaps in proptest::collection::vec((-9_000_000_i64..60_000_000, 0_u64..9, 0_u64..9), 1..300),
            from in -3_600_000_i64..9_000_000_000,
            length in 0_i64..9_000_000_000,
        ) {
            let mut at = 0;
            let mut history = CheckHistory::default();
            for (gap, successful, failed) in gaps {
                at += gap;
                history.add(Moment(at), CheckCounts { successful, failed });
            }
            let known = Grain::Hour.span(history.first_hour).from.0;
            let from = Moment(known + from);
            let span = Span::new(from, Moment(from.0 + length));
            proptest::prop_assert_eq!(history.hours_within(span), one_by_one(&history, span));
        }
    }

    #[test]
    fn every_window_and_the_sum_stay_true_for_years_in_bounded_memory() {
        let mut history = CheckHistory::default();
        let hours = 24 * 365 * 5;
        for hour in 0..hours {
            history.add(Moment(hour * HOUR_MS), ONE);
            if hour == 24 * 90 {
                assert!(history.heap() <= 9 * 1_024, "{} bytes", history.heap());
            }
        }
        assert_eq!(history.all().total() as i64, hours);
        assert!(history.heap() <= 64 * 1_024, "{} bytes", history.heap());
        let now = Moment(hours * HOUR_MS);
        for days in [1, 30, 90, 91, 400, 730, 1_500, 1_824] {
            let counted = history.within(Span::new(Moment(now.0 - days * DAY_MS), now)).total();
            assert!((counted as i64 - days * 24).abs() <= 24, "{counted} in {days} days");
        }
        let exact = history.within(Span::new(Moment(now.0 - 60 * DAY_MS), now));
        assert_eq!(exact.total(), 60 * 24);
    }

    #[test]
    fn a_wrong_clock_loses_no_run_from_the_sum() {
        let mut history = CheckHistory::default();
        for moment in [0, 400 * DAY_MS, HOUR_MS, 5_000 * DAY_MS, 2 * HOUR_MS] {
            history.add(Moment(moment), ONE);
        }
        assert_eq!(history.all().total(), 5);
        let today = Span::new(Moment(0), Moment(3 * HOUR_MS));
        assert!(history.within(today).total() >= 1, "of the latest run at least");
    }
}
