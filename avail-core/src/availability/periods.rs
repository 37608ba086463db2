//! Times during which something else than runs and calls says what a component is.

use std::collections::VecDeque;

use serde::{Deserialize, Serialize};

use super::moment::{Moment, Span};

/// So many are remembered: a threshold changes no past that is older.
const REMEMBERED: usize = 16;

/// Periods of a component in its recent past, at most one of them under way; oldest first, and none
/// overlaps another.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(into = "Vec<(i64, i64)>", from = "Vec<(i64, i64)>")]
pub(crate) struct Periods(VecDeque<Span>);

impl Periods {
    /// One begins, and lasts until then; one that is under way, or is told again, is given that end.
    pub(crate) fn set(&mut self, from: Moment, until: Moment) {
        let known = self.0.iter().position(|period| period.from == from);
        let under_way = || self.0.back().is_some_and(|last| last.from <= from && last.to > from);
        match known.or_else(|| under_way().then(|| self.0.len() - 1)) {
            Some(index) => self.0[index].to = until.max(from),
            None => {
                let later = self.0.partition_point(|period| period.from <= from);
                self.0.insert(later, Span::new(from, until));
            }
        }
        if self.0.len() > REMEMBERED {
            self.0.pop_front();
        }
    }

    /// The one that is under way ends then, if one is.
    pub(crate) fn end(&mut self, at: Moment) {
        if let Some(last) = self.0.back_mut().filter(|last| last.to > at) {
            last.to = at.max(last.from);
        }
    }

    /// Those that begin later are forgotten.
    pub(crate) fn forget_after(&mut self, at: Moment) {
        self.0.retain(|period| period.from <= at);
    }

    pub(crate) fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    pub(crate) fn iter(&self) -> impl Iterator<Item = Span> + '_ {
        self.0.iter().copied()
    }
}

impl From<Periods> for Vec<(i64, i64)> {
    /// In milliseconds since 1970.
    fn from(periods: Periods) -> Self {
        periods.iter().map(|period| (period.from.0, period.to.0)).collect()
    }
}

impl From<Vec<(i64, i64)>> for Periods {
    fn from(periods: Vec<(i64, i64)>) -> Self {
        Periods(periods.into_iter().map(|(from, to)| Span::new(Moment(from), Moment(to))).collect())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn periods(of: &Periods) -> Vec<(i64, i64)> {
        of.iter().map(|span| (span.from.0, span.to.0)).collect()
    }

    #[test]
    fn one_that_is_under_way_is_given_another_end_and_one_that_is_over_is_not() {
        let mut all = Periods::default();
        all.set(Moment(10), Moment(20));
        all.set(Moment(15), Moment(30));
        assert_eq!(periods(&all), [(10, 30)]);
        all.end(Moment(17));
        all.end(Moment(18));
        assert_eq!(periods(&all), [(10, 17)]);
        all.set(Moment(17), Moment(40));
        assert_eq!(periods(&all), [(10, 17), (17, 40)]);
    }

    #[test]
    fn one_that_is_told_late_or_again_finds_its_place() {
        let mut all = Periods::default();
        all.set(Moment(10), Moment(20));
        all.set(Moment(50), Moment(60));
        all.set(Moment(10), Moment(15));
        all.set(Moment(30), Moment(40));
        assert_eq!(periods(&all), [(10, 15), (30, 40), (50, 60)]);
    }

    #[test]
    fn old_ones_are_forgotten() {
        let mut all = Periods::default();
        for start in 0..1_000 {
            all.set(Moment(start * 10), Moment(start * 10 + 5));
        }
        assert_eq!(periods(&all).len(), REMEMBERED);
        assert_eq!(periods(&all).last(), Some(&(9_990, 9_995)));
    }
}
