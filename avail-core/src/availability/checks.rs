//! How many runs there were: exact since ever, by the hour for the windows.

use std::collections::VecDeque;

use serde::{Deserialize, Serialize};

use super::moment::{Moment, Span};

/// Completed runs.
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
}

impl std::ops::AddAssign for CheckCounts {
    fn add_assign(&mut self, other: CheckCounts) {
        self.successful += other.successful;
        self.failed += other.failed;
    }
}

#[derive(Clone, Copy, Debug)]
struct Hour {
    /// Since 1970.
    number: i64,
    first: Moment,
    last: Moment,
    counts: CheckCounts,
}

/// Runs by the hour, for the longest window that is asked for by name, and their sum since ever.
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
        self.all += counts;
        let number = at.0.div_euclid(HOUR_MS);
        match self.hours.back_mut() {
            Some(hour) if hour.number >= number => {
                hour.counts += counts;
                hour.last = hour.last.max(at);
            }
            _ => self.hours.push_back(Hour { number, first: at, last: at, counts }),
        }
        if self.hours.len() > HOURS {
            self.hours.pop_front();
        }
    }

    pub(crate) fn all(&self) -> CheckCounts {
        self.all
    }

    /// Those in the span: exact where it cuts no hour in two, else in proportion.
    pub(crate) fn within(&self, span: Span) -> CheckCounts {
        let mut sum = CheckCounts::default();
        for hour in self.hours.iter().rev() {
            if hour.last < span.from {
                break;
            }
            sum += hour.within(span);
        }
        sum
    }
}

impl Hour {
    fn within(&self, span: Span) -> CheckCounts {
        if span.from <= self.first && self.last <= span.to {
            return self.counts;
        }
        let length = self.last.since(self.first).max(1) as f64;
        let life = Span::new(self.first, self.last);
        let share = life.overlap(span).length() as f64 / length;
        let part = |count: u64| (count as f64 * share).round() as u64;
        CheckCounts { successful: part(self.counts.successful), failed: part(self.counts.failed) }
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
        assert_eq!(history.hours.len(), HOURS);
        assert_eq!(history.all().total(), 2_000);
    }
}
