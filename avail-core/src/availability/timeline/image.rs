//! A timeline as it stands in a snapshot of the history: everything that it holds, in numbers.
//!
//! Moments are milliseconds since 1970, and of a change since the change before.

use serde::{Deserialize, Serialize};

use super::outages::{Outage, PastOutages, Walk};
use super::rollup::{Bucket, RollUp};
use super::{Change, ComponentState, Timeline};
use crate::availability::moment::Moment;

/// From when to when, milliseconds of down time, of the longest, and how many.
type OutageImage = (i64, i64, i64, i64, u64);

/// See the [module](self).
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub(crate) struct TimelineImage {
    /// In milliseconds since 1970, as is everything here.
    origin: i64,
    /// From when, and milliseconds of degraded, down, maintenance and unobserved; the rest was up.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    rolled_up: Vec<(i64, u32, u32, u32, u32)>,
    /// Those that are over for good.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    outages: Vec<OutageImage>,
    /// The one that may go on, and whether it is open.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    last_outage: Option<(OutageImage, bool)>,
    /// Milliseconds that it has served since.
    #[serde(default)]
    served: i64,
    /// Milliseconds since the change before, the first since 1970, and into what: `u`p,
    /// `d`egraded, `D`own, `m`aintenance or unobserved (`x`).
    changes: Vec<(i64, char)>,
}

impl From<&Timeline> for TimelineImage {
    fn from(timeline: &Timeline) -> Self {
        let mut before = 0;
        let changes = timeline.changes.iter().map(|change| {
            let gap = change.at().0 - before;
            before = change.at().0;
            (gap, letter(change.state()))
        });
        let buckets = timeline.rollup.buckets().iter();
        TimelineImage {
            origin: timeline.origin.0,
            rolled_up: buckets
                .map(|Bucket { from, millis: [g, d, m, x] }| (from.0, *g, *d, *m, *x))
                .collect(),
            outages: timeline.past.0.iter().map(of_outage).collect(),
            last_outage: timeline.walk.current.map(|outage| (of_outage(&outage), outage.open)),
            served: timeline.walk.served,
            changes: changes.collect(),
        }
    }
}

impl TimelineImage {
    /// The timeline that it is of; `None` where it is of none.
    pub(crate) fn restore(self) -> Option<Timeline> {
        let (first, _) = self.changes.first()?;
        let buckets = self
            .rolled_up
            .iter()
            .map(|&(from, g, d, m, x)| Bucket { from: Moment(from), millis: [g, d, m, x] });
        let mut timeline = Timeline::new(Moment(self.origin), ComponentState::Unobserved);
        timeline.rollup = RollUp::restore(buckets.collect(), Moment(*first));
        timeline.past = PastOutages(self.outages.iter().map(|&one| outage(one, false)).collect());
        let current = self.last_outage.map(|(one, open)| outage(one, open));
        timeline.walk = Walk { current, served: self.served };
        let mut at = 0_i64;
        let changes = self.changes.iter().map(|&(gap, letter)| {
            at = at.saturating_add(gap);
            Some(Change::new(Moment(at), state(letter)?))
        });
        timeline.changes = changes.collect::<Option<_>>()?;
        timeline.settle();
        Some(timeline)
    }
}

fn of_outage(outage: &Outage) -> OutageImage {
    (outage.start.0, outage.end.0, outage.down, outage.longest, outage.count)
}

fn outage((start, end, down, longest, count): OutageImage, open: bool) -> Outage {
    Outage { start: Moment(start), end: Moment(end), down, open, count, longest }
}

fn letter(state: ComponentState) -> char {
    match state {
        ComponentState::Up => 'u',
        ComponentState::Degraded => 'd',
        ComponentState::Down => 'D',
        ComponentState::Maintenance => 'm',
        ComponentState::Unobserved => 'x',
    }
}

fn state(letter: char) -> Option<ComponentState> {
    ComponentState::ALL.into_iter().find(|state| self::letter(*state) == letter)
}
