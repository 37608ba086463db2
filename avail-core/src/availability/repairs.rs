//! How long outages took.

use super::timeline::Outage;

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
    /// Without sorting all of them: of which one lies in the middle nothing else depends.
    pub(crate) fn of(outages: &[Outage]) -> Self {
        let over = outages.iter().filter(|outage| !outage.open);
        let mut millis: Vec<i64> = over.map(|outage| outage.down).collect();
        let Some(longest) = millis.iter().max().copied() else { return Repairs::default() };
        let sum: i64 = millis.iter().sum();
        Repairs {
            count: millis.len() as u64,
            mean: Some(sum as f64 / 1000.0 / millis.len() as f64),
            median: Some(median(&mut millis) / 1000.0),
            longest: Some(longest as f64 / 1000.0),
        }
    }
}

/// The mean of the middle two where their number is even; at least one.
fn median(millis: &mut [i64]) -> f64 {
    let is_odd = millis.len() % 2 == 1;
    let (below, middle, _) = millis.select_nth_unstable(millis.len() / 2);
    match below.iter().max().filter(|_| !is_odd) {
        Some(lower) => f64::midpoint(*lower as f64, *middle as f64),
        None => *middle as f64,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::availability::Moment;

    fn repairs(down: &[i64]) -> Repairs {
        let outage = |down: &i64| Outage {
            start: Moment(0),
            end: Moment(*down),
            down: down * 1000,
            open: *down == 0,
        };
        Repairs::of(&down.iter().map(outage).collect::<Vec<_>>())
    }

    #[test]
    fn the_median_of_repairs_is_the_middle() {
        let median = |down: &[i64]| repairs(down).median;
        assert_eq!(median(&[]), None);
        assert_eq!(median(&[7]), Some(7.0));
        assert_eq!(median(&[9, 1, 2]), Some(2.0));
        assert_eq!(median(&[4, 9, 1, 2]), Some(3.0));
        assert_eq!(median(&[5, 5, 5, 6]), Some(5.0));
    }

    #[test]
    fn what_goes_on_is_no_repair() {
        let found = repairs(&[10, 0, 30]);
        assert_eq!((found.count, found.mean, found.longest), (2, Some(20.0), Some(30.0)));
        assert_eq!(repairs(&[0]), Repairs::default());
    }
}
