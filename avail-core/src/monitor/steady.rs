//! A wall clock that never goes back.

use std::sync::{Mutex, PoisonError};
use std::time::Duration;

use crate::availability::Moment;
use crate::clock::{Clock, Tick};

/// How far the system's wall clock may be from ours before that counts as a jump.
const TOLERANCE: Duration = Duration::from_secs(2);

/// How far ahead of the wall clock the history may end.
const CREDIBLE: Duration = Duration::from_secs(2 * 3600);

/// The time of day at one moment, carried on by the monotonic clock: what a timeline is made of
/// must not go back. When the system's clock jumps ahead, or the machine slept, it follows; when the
/// system's clock is set back, it goes on and lets the other catch up.
#[derive(Debug)]
pub(crate) struct SteadyClock {
    clock: Clock,
    base: Mutex<(Tick, Moment)>,
}

impl SteadyClock {
    /// Starts at the time of day, but not before `floor`, the last sign of the past; unless that
    /// lies so far ahead that it was the past's clock that went wrong.
    pub(crate) fn new(clock: Clock, floor: Option<Moment>) -> Self {
        let wall = Moment::from(clock.wall());
        let start = match floor {
            Some(floor) if floor > wall.after(CREDIBLE) => {
                tracing::warn!(
                    last_record = %floor.to_datetime(), now = %wall.to_datetime(),
                    "the history ends in the future: what it says of that time is not believed"
                );
                wall
            }
            Some(floor) => floor.max(wall),
            None => wall,
        };
        let base = Mutex::new((clock.now(), start));
        SteadyClock { clock, base }
    }

    pub(crate) fn tick(&self) -> Tick {
        self.clock.now()
    }

    pub(crate) fn now(&self) -> Moment {
        let (tick, moment) = *self.base.lock().unwrap_or_else(PoisonError::into_inner);
        moment.after(self.clock.now().since(tick))
    }

    /// Follows a jump ahead, and gives the time that was skipped.
    pub(crate) fn follow_jump(&self) -> Option<(Moment, Moment)> {
        let (now, wall) = (self.now(), Moment::from(self.clock.wall()));
        if wall <= now.after(TOLERANCE) {
            return None;
        }
        *self.base.lock().unwrap_or_else(PoisonError::into_inner) = (self.clock.now(), wall);
        Some((now, wall))
    }
}
