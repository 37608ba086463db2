//! The seconds of each state of this boot, as counters tell them.
//!
//! They begin at zero with each process, as every counter of Prometheus does. What the history tells
//! of the boots before is not in them: it lacks the last moments before a kill, so that a counter
//! that went on from there would step back a little, and whoever reads it would take that for a new
//! beginning and count all of it again.

use super::Ledger;
use crate::availability::component::Component;
use crate::availability::metrics::StateSeconds;
use crate::availability::moment::Moment;
use crate::availability::timeline::{Timeline, Totals};

/// What has been counted of one timeline.
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct Tally {
    /// What it came to when this boot began to count.
    before: Totals,
    /// What has been told.
    told: Totals,
}

impl Tally {
    fn begun(timeline: &Timeline, at: Moment) -> Self {
        Tally { before: timeline.life(at.max(timeline.origin())), told: Totals::default() }
    }

    /// What has come to be final. A decision that reaches back further than was thought final, such
    /// as that of a check which has just become critical, makes it wait, and never takes anything
    /// back.
    fn tell(&mut self, timeline: &Timeline, until: Moment) -> StateSeconds {
        let until = until.max(timeline.origin());
        self.told = self.told.at_least(timeline.life(until).beyond(self.before));
        StateSeconds::of(self.told)
    }
}

impl Ledger {
    /// Counting begins where the boot before this one was last heard of, since no process has told of
    /// the time from then on.
    pub(super) fn begin_tallies(&mut self, at: Moment) {
        self.system_tally = Tally::begun(&self.system, at);
        for component in self.components.values_mut() {
            component.tally = Tally::begun(&component.timeline, at);
        }
    }

    /// The seconds of the system and of each that something looks at, by name: up to where nothing
    /// can change them any more.
    pub(crate) fn tell_seconds(&mut self, now: Moment) -> (StateSeconds, Vec<StateSeconds>) {
        let critical = self.present().filter(|component| component.is_critical());
        let until = critical.map(|component| component.final_until(now)).min().unwrap_or(now);
        let system = self.system_tally.tell(&self.system, until);
        let present = self.components.values_mut().filter(|component| component.is_present());
        (system, present.map(|component| component.tell_seconds(now)).collect())
    }
}

impl Component {
    fn tell_seconds(&mut self, now: Moment) -> StateSeconds {
        let until = self.final_until(now);
        self.tally.tell(&self.timeline, until)
    }
}
