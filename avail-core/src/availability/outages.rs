//! Outages: how often a component was down, for how long, and how long each took.

use std::time::Duration;

use super::moment::{Moment, Span, millis};
use super::timeline::ComponentState;

/// How long after it came up a component that fails again is in the same incident.
pub(crate) const REOPEN_WITHIN: Duration = Duration::from_secs(60);

/// A time during which a component was down, and gaps that don't end it: those that are no longer
/// than [`REOPEN_WITHIN`], and those in which it never served.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Outage {
    pub(crate) start: Moment,
    /// The end of its last down time; the end of the timeline where `open`.
    pub(crate) end: Moment,
    /// Milliseconds of down time, gaps excluded.
    pub(crate) down: i64,
    /// Whether the component has not come up since.
    pub(crate) open: bool,
}

impl Outage {
    fn of(span: Span) -> Self {
        Outage { start: span.from, end: span.to, down: span.length(), open: true }
    }

    /// Whether a down time that begins at `moment` is still of this one.
    fn reaches(&self, moment: Moment) -> bool {
        moment.since(self.end) <= millis(REOPEN_WITHIN)
    }

    fn go_on(&mut self, span: Span) {
        self.down += span.length();
        self.end = span.to;
        self.open = true;
    }
}

/// All outages of a timeline, oldest first.
#[derive(Clone, Debug, Default, PartialEq)]
pub(crate) struct Outages {
    pub(super) list: Vec<Outage>,
    repairs: Repairs,
}

impl Outages {
    /// What these changes come to up to `now`, when the state is `at_now`.
    pub(super) fn of<'a>(
        changes: impl Iterator<Item = &'a (Moment, ComponentState)>,
        now: Moment,
        at_now: ComponentState,
    ) -> Self {
        let mut outages: Vec<Outage> = Vec::new();
        let mut served = 0;
        let mut changes = changes.peekable();
        while let Some(&(from, state)) = changes.next() {
            let span = Span::new(from, changes.peek().map_or(now, |next| next.0));
            match state {
                ComponentState::Down => {
                    match outages.last_mut() {
                        Some(last) if last.reaches(span.from) || served == 0 => last.go_on(span),
                        _ => outages.push(Outage::of(span)),
                    }
                    served = 0;
                }
                state if state.serves() => {
                    served += span.length();
                    if let Some(last) = outages.last_mut() {
                        last.open = false;
                    }
                }
                _ => {}
            }
        }
        // One that ends at this very moment has no span of its own yet.
        if let Some(last) = outages.last_mut().filter(|_| at_now.serves()) {
            last.open = false;
        }
        Outages { repairs: Repairs::of(&outages), list: outages }
    }

    /// Those with down time after `from`: the latest, and so they are looked for from the end.
    pub(super) fn since(&self, from: Moment) -> &[Outage] {
        let before = self.list.iter().rposition(|outage| outage.end <= from);
        &self.list[before.map_or(0, |index| index + 1)..]
    }

    /// How long those took that are over.
    pub(super) fn repairs(&self, of: &[Outage]) -> Repairs {
        if of.len() == self.list.len() { self.repairs } else { Repairs::of(of) }
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
