//! Outages: down times, and gaps too short to end them.

use super::ComponentState;
use crate::availability::grain::Grain;
use crate::availability::moment::{Moment, Span, millis};
use crate::availability::outages::REOPEN_WITHIN;

/// A time during which a component was down, and gaps that don't end it; or several such times of
/// one hour, day or month, long ago.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Outage {
    pub(crate) start: Moment,
    /// The end of its last down time; the end of the timeline where `open`.
    pub(crate) end: Moment,
    /// Milliseconds of down time, gaps excluded.
    pub(crate) down: i64,
    /// Whether the component has not come up since.
    pub(crate) open: bool,
    /// How many these were.
    pub(crate) count: u64,
    /// Milliseconds of down time of the longest.
    pub(crate) longest: i64,
}

impl Outage {
    /// One that began with this down time and is not over.
    pub(crate) fn begun(down: Span) -> Self {
        let length = down.length();
        Outage {
            start: down.from,
            end: down.to,
            down: length,
            open: true,
            count: 1,
            longest: length,
        }
    }

    fn goes_on(&mut self, down: Span) {
        self.down += down.length();
        self.longest = self.down;
        self.end = down.to;
        self.open = true;
    }

    fn absorb(&mut self, later: Outage) {
        self.end = later.end;
        self.down += later.down;
        self.count += later.count;
        self.longest = self.longest.max(later.longest);
    }
}

/// A walk along a timeline that finds its outages. Down times are one outage where what lies between
/// them is shorter than [`REOPEN_WITHIN`], or never served.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub(super) struct Walk {
    pub(super) current: Option<Outage>,
    /// Milliseconds that the component has served since it was last down.
    pub(super) served: i64,
}

impl Walk {
    /// Goes on by one span. Gives the outage that can't go on any more, where another has begun.
    pub(super) fn step(&mut self, span: Span, state: ComponentState) -> Option<Outage> {
        if state.serves() {
            self.served += span.length();
            if let Some(current) = &mut self.current {
                current.open = false;
            }
        }
        if state != ComponentState::Down {
            return None;
        }
        let served = std::mem::take(&mut self.served);
        match &mut self.current {
            Some(current)
                if span.from.since(current.end) <= millis(REOPEN_WITHIN) || served == 0 =>
            {
                current.goes_on(span);
                None
            }
            current => current.replace(Outage::begun(span)),
        }
    }

    /// What was said of the time after `at` is taken back.
    pub(super) fn truncate(&mut self, at: Moment) {
        self.current = self.current.filter(|current| current.start < at);
        if let Some(current) = self.current.as_mut().filter(|current| current.end > at) {
            current.down = (current.down - current.end.since(at)).max(0);
            current.end = at;
        }
    }
}

/// Outages that are over for good, oldest first: one by one as long as they are few, then those of
/// one hour, day or month together.
#[derive(Clone, Debug, Default, PartialEq)]
pub(super) struct PastOutages(pub(super) Vec<Outage>);

impl PastOutages {
    const CAPACITY: usize = 64;
    const STEP: usize = 16;

    pub(super) fn push(&mut self, outage: Outage) {
        let list = &mut self.0;
        if list.len() == list.capacity() {
            list.reserve_exact(if list.is_empty() { 1 } else { Self::STEP });
        }
        list.push(outage);
        if list.len() >= Self::CAPACITY && list.len().is_multiple_of(Self::STEP) {
            self.squeeze();
        }
    }

    fn squeeze(&mut self) {
        for grain in [Grain::Hour, Grain::Day, Grain::Month] {
            self.0.dedup_by(|later, earlier| {
                let together = grain.number(later.start) == grain.number(earlier.start);
                if together {
                    earlier.absorb(*later);
                }
                together
            });
            if self.0.len() <= Self::CAPACITY - Self::STEP {
                break;
            }
        }
    }

    pub(super) fn truncate(&mut self, at: Moment) {
        let kept = self.0.partition_point(|outage| outage.start < at);
        self.0.truncate(kept);
    }
}
