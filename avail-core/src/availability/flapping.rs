//! A component that keeps changing: whatever it is at the moment, it can't be relied on.
//!
//! Changes are counted between healthy, degraded and unhealthy, as thresholds decide them; a time in
//! which nobody looked is no change. Six of them within ten minutes are flapping, from the sixth on;
//! it is over as soon as the last ten minutes have seen fewer than three. The distance between the
//! two numbers keeps this mark from flapping itself.

use std::collections::VecDeque;
use std::time::Duration;

use super::moment::Moment;
use super::periods::Periods;
use crate::health::HealthStatus;

const WITHIN: Duration = Duration::from_secs(600);
/// So many changes begin it.
const CHANGES: usize = 6;
/// Fewer than so many end it.
const CALM: usize = 3;

/// See the [module](self).
#[derive(Clone, Debug, Default)]
pub(crate) struct Flapping {
    last: Option<HealthStatus>,
    /// The latest changes, oldest first: as many as are needed to tell.
    changes: VecDeque<Moment>,
    is_flapping: bool,
    periods: Periods,
}

impl Flapping {
    /// It is in that state, flapping aside. Gives whether it is flapping since this moment.
    pub(crate) fn observe(&mut self, status: HealthStatus, now: Moment) -> bool {
        if status == HealthStatus::Unknown {
            return false;
        }
        let before = self.last.replace(status);
        if before.is_none_or(|before| before == status) {
            return false;
        }
        self.changes.push_back(now);
        if self.changes.len() > CHANGES {
            self.changes.pop_front();
        }
        let recent = self.changes.len() == CHANGES
            && self.changes.front().is_some_and(|first| now < first.after(WITHIN));
        let begins = recent && !self.is_flapping;
        if begins {
            self.is_flapping = true;
            self.periods.set(now, Moment::MAX);
        }
        begins
    }

    /// When it will have calmed down if it changes no more; `None` where it is calm.
    pub(crate) fn calm_at(&self) -> Option<Moment> {
        let third_last = self.changes.iter().rev().nth(CALM - 1).filter(|_| self.is_flapping);
        third_last.map(|change| change.after(WITHIN))
    }

    /// Gives since when it has calmed down, if it has.
    pub(crate) fn calm_down(&mut self, now: Moment) -> Option<Moment> {
        let since = self.calm_at().filter(|calm| *calm <= now)?;
        self.is_flapping = false;
        self.periods.end(since);
        Some(since)
    }

    pub(crate) fn is_flapping(&self) -> bool {
        self.is_flapping
    }

    pub(crate) fn periods(&self) -> &Periods {
        &self.periods
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Changes at these seconds. Gives from when to when it was flapping, up to `end`.
    fn flapping(changes: &[i64], end: i64) -> Vec<(i64, i64)> {
        let mut flapping = Flapping::default();
        flapping.observe(HealthStatus::Healthy, Moment(0));
        let mut healthy = true;
        for second in 0..=end {
            let now = Moment(second * 1000);
            flapping.calm_down(now);
            if changes.contains(&second) {
                healthy = !healthy;
            }
            let status = if healthy { HealthStatus::Healthy } else { HealthStatus::Unhealthy };
            flapping.observe(status, now);
        }
        let seconds = |moment: Moment| moment.0 / 1000;
        flapping.periods.iter().map(|span| (seconds(span.from), seconds(span.to))).collect()
    }

    const STILL: i64 = i64::MAX / 1000;

    #[test]
    fn six_changes_in_ten_minutes_are_flapping_from_the_sixth_on() {
        assert_eq!(flapping(&[1, 2, 3, 4, 5], 2_000), []);
        assert_eq!(flapping(&[1, 100, 200, 300, 400, 600], 700), [(600, STILL)]);
        assert_eq!(flapping(&[1, 100, 200, 300, 400, 601], 700), [], "ten minutes after the first");
    }

    #[test]
    fn it_is_over_when_the_last_ten_minutes_saw_fewer_than_three() {
        assert_eq!(flapping(&[1, 2, 3, 10, 20, 30], 5_000), [(30, 610)], "since that at 10 is old");
        let goes_on = [1, 2, 3, 10, 20, 30, 400];
        assert_eq!(flapping(&goes_on, 5_000), [(30, 620)]);
        let six_more = [1, 2, 3, 10, 20, 30, 1_000, 1_001, 1_002, 1_003, 1_004, 1_005];
        assert_eq!(flapping(&six_more, 5_000), [(30, 610), (1_005, 1_603)]);
    }

    #[test]
    fn not_to_be_looked_at_is_no_change() {
        let mut flapping = Flapping::default();
        for second in 0..100 {
            let status =
                if second % 2 == 0 { HealthStatus::Healthy } else { HealthStatus::Unknown };
            assert!(!flapping.observe(status, Moment(second * 1000)));
        }
        assert_eq!(flapping.changes.len(), 0);
    }
}
