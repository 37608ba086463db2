//! Outages: how often a component was down, for how long, and how long each took.

use std::borrow::Cow;
use std::time::Duration;

use super::moment::Moment;
use super::timeline::Outage;

/// How long after it came up a component that fails again is in the same incident.
pub(crate) const REOPEN_WITHIN: Duration = Duration::from_secs(60);

/// All outages of a timeline, oldest first.
#[derive(Clone, Debug, PartialEq)]
pub(crate) struct Outages<'a> {
    /// Those that are over for good.
    past: &'a [Outage],
    recent: Cow<'a, [Outage]>,
    /// Of all of them, where that is known.
    repairs: Option<Repairs>,
}

impl<'a> Outages<'a> {
    pub(super) fn new(
        past: &'a [Outage],
        recent: Cow<'a, [Outage]>,
        repairs: Option<Repairs>,
    ) -> Self {
        Outages { past, recent, repairs }
    }

    /// Latest first.
    pub(super) fn back(&self) -> impl Iterator<Item = &Outage> + Clone {
        self.recent.iter().rev().chain(self.past.iter().rev())
    }

    pub(super) fn last(&self) -> Option<&Outage> {
        self.back().next()
    }

    /// How many have down time after `from`, and how long those took that are over. The latest, and
    /// so they are looked for from the end.
    pub(super) fn since(&self, from: Moment) -> (u64, Repairs) {
        let later = self.back().take_while(|outage| outage.end > from);
        let (spans, count) = later.clone().fold((0, 0), |(n, sum), one| (n + 1, sum + one.count));
        let all = spans == self.past.len() + self.recent.len();
        let repairs = self.repairs.filter(|_| all).unwrap_or_else(|| Repairs::of(later));
        (count, repairs)
    }
}

/// The outages of a window that are over, by their down time.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub(crate) struct Repairs {
    pub(crate) count: u64,
    /// Seconds, as all of these.
    pub(crate) mean: Option<f64>,
    pub(crate) median: Option<f64>,
    pub(crate) longest: Option<f64>,
}

impl Repairs {
    pub(crate) fn of<'a>(outages: impl Iterator<Item = &'a Outage>) -> Self {
        let over = outages.filter(|outage| !outage.open);
        let mut means = Vec::new();
        let (mut count, mut sum, mut longest) = (0, 0, 0);
        for outage in over {
            means.push((outage.down as f64 / outage.count.max(1) as f64, outage.count));
            count += outage.count;
            sum += outage.down;
            longest = longest.max(outage.longest);
        }
        if count == 0 {
            return Repairs::default();
        }
        Repairs {
            count,
            mean: Some(sum as f64 / 1000.0 / count as f64),
            median: Some(median(&mut means, count) / 1000.0),
            longest: Some(longest as f64 / 1000.0),
        }
    }
}

/// Of means that stand for so many outages each; the mean of the middle two where their number is
/// even.
fn median(means: &mut [(f64, u64)], count: u64) -> f64 {
    if count == means.len() as u64 {
        return median_of_single(means);
    }
    means.sort_unstable_by(|a, b| a.0.total_cmp(&b.0));
    let at = |index: u64| {
        let mut before = 0;
        let found = means.iter().find(|(_, count)| {
            before += count;
            before > index
        });
        found.map_or(0.0, |(mean, _)| *mean)
    };
    f64::midpoint(at((count - 1) / 2), at(count / 2))
}

/// Without sorting all of them: of which one lies in the middle nothing else depends.
fn median_of_single(means: &mut [(f64, u64)]) -> f64 {
    let is_odd = means.len() % 2 == 1;
    let middle = means.len() / 2;
    let (below, middle, _) = means.select_nth_unstable_by(middle, |a, b| a.0.total_cmp(&b.0));
    let lower = below.iter().map(|one| one.0).max_by(f64::total_cmp);
    lower.filter(|_| !is_odd).map_or(middle.0, |lower| f64::midpoint(lower, middle.0))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::availability::moment::Span;

    /// Each so many seconds, of so many outages; one of no seconds goes on.
    fn repairs(down: &[(i64, u64)]) -> Repairs {
        let outage = |&(seconds, count): &(i64, u64)| Outage {
            open: seconds == 0,
            count,
            ..Outage::begun(Span::new(Moment(0), Moment(seconds * 1000)))
        };
        Repairs::of(down.iter().map(outage).collect::<Vec<_>>().iter())
    }

    fn single(down: &[i64]) -> Repairs {
        repairs(&down.iter().map(|seconds| (*seconds, 1)).collect::<Vec<_>>())
    }

    #[test]
    fn the_median_of_repairs_is_the_middle() {
        let median = |down: &[i64]| single(down).median;
        assert_eq!(median(&[]), None);
        assert_eq!(median(&[7]), Some(7.0));
        assert_eq!(median(&[9, 1, 2]), Some(2.0));
        assert_eq!(median(&[4, 9, 1, 2]), Some(3.0));
        assert_eq!(median(&[5, 5, 5, 6]), Some(5.0));
        let summed_up = repairs(&[(9, 1), (6, 3), (1, 1)]);
        assert_eq!((summed_up.count, summed_up.median), (5, Some(2.0)), "three of 2 s");
    }

    #[test]
    fn what_goes_on_is_no_repair() {
        let found = single(&[10, 0, 30]);
        assert_eq!((found.count, found.mean, found.longest), (2, Some(20.0), Some(30.0)));
        assert_eq!(single(&[0]), Repairs::default());
    }
}
