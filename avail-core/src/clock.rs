//! Where the time comes from: read once at the edge, then passed down as a value.

use std::num::NonZeroU64;
use std::sync::LazyLock;
use std::time::{Duration, Instant};

use chrono::{DateTime, SubsecRound, Utc};

/// The monotonic origin of every [`Tick`] of this process.
static ORIGIN: LazyLock<Instant> = LazyLock::new(Instant::now);

/// A point in monotonic time: nanoseconds since one second before the first clock read of the
/// process, so that it is never zero and fits an atomic integer for 584 years.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub(crate) struct Tick(NonZeroU64);

impl Tick {
    const LEAD: Duration = Duration::from_secs(1);

    /// Zero is as good as one: no clock has ever shown either.
    #[inline]
    pub(crate) fn from_nanos(nanos: u64) -> Self {
        Tick(NonZeroU64::new(nanos).unwrap_or(NonZeroU64::MIN))
    }

    #[inline]
    pub(crate) fn as_nanos(self) -> u64 {
        self.0.get()
    }

    fn since_origin(elapsed: Duration) -> Self {
        Tick::from_nanos(nanos(elapsed.saturating_add(Self::LEAD)))
    }

    /// This point moved forward; the far end of time instead of an overflow.
    pub(crate) fn after(self, delay: Duration) -> Self {
        Tick(self.0.saturating_add(nanos(delay)))
    }

    /// The time since the first clock read of the process: as good as its start.
    pub(crate) fn age(self) -> Duration {
        Duration::from_nanos(self.as_nanos()).saturating_sub(Self::LEAD)
    }

    /// The time since `earlier`; zero if that lies ahead.
    pub(crate) fn since(self, earlier: Tick) -> Duration {
        Duration::from_nanos(self.as_nanos().saturating_sub(earlier.as_nanos()))
    }
}

/// A duration in whole nanoseconds, capped instead of wrapped.
pub(crate) fn nanos(duration: Duration) -> u64 {
    u64::try_from(duration.as_nanos()).unwrap_or(u64::MAX)
}

/// A source of monotonic and of wall-clock time.
///
/// Without the feature `test-util` there is one kind, it has no size, and reading it is a read of
/// the system's clock.
#[derive(Clone, Debug, Default)]
pub(crate) struct Clock {
    #[cfg(feature = "test-util")]
    manual: Option<std::sync::Arc<manual::ManualClock>>,
}

impl Clock {
    /// The monotonic time.
    pub(crate) fn now(&self) -> Tick {
        #[cfg(feature = "test-util")]
        if let Some(manual) = &self.manual {
            return Tick::since_origin(manual.elapsed());
        }
        Tick::since_origin(ORIGIN.elapsed())
    }

    /// The time of day, in whole milliseconds: what timestamps show.
    pub(crate) fn wall(&self) -> DateTime<Utc> {
        #[cfg(feature = "test-util")]
        if let Some(manual) = &self.manual {
            return manual.wall().trunc_subsecs(3);
        }
        Utc::now().trunc_subsecs(3)
    }
}

#[cfg(feature = "test-util")]
pub(crate) mod manual {
    use std::sync::Arc;
    use std::sync::atomic::{AtomicI64, Ordering};
    use std::time::Duration;

    use chrono::{DateTime, TimeDelta, Utc};
    use tokio::time::Instant;

    use super::Clock;

    /// A clock that follows tokio's (paused or real) time, and whose wall clock can be set apart.
    #[derive(Debug)]
    pub(crate) struct ManualClock {
        origin: Instant,
        wall_origin: DateTime<Utc>,
        wall_offset_ms: AtomicI64,
    }

    impl ManualClock {
        pub(super) fn elapsed(&self) -> Duration {
            Instant::now().saturating_duration_since(self.origin)
        }

        pub(super) fn wall(&self) -> DateTime<Utc> {
            // Relaxed: a plain number that pairs with nothing.
            let offset = TimeDelta::milliseconds(self.wall_offset_ms.load(Ordering::Relaxed));
            let elapsed = TimeDelta::from_std(self.elapsed()).unwrap_or(TimeDelta::MAX);
            self.wall_origin + elapsed + offset
        }

        pub(crate) fn shift_wall(&self, by: TimeDelta) {
            self.wall_offset_ms.fetch_add(by.num_milliseconds(), Ordering::Relaxed);
        }
    }

    impl Clock {
        pub(crate) fn manual() -> (Self, Arc<ManualClock>) {
            let clock = Arc::new(ManualClock {
                origin: Instant::now(),
                wall_origin: Utc::now(),
                wall_offset_ms: AtomicI64::new(0),
            });
            (Clock { manual: Some(clock.clone()) }, clock)
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_tick_is_never_zero_and_never_overflows() {
        let first = Clock::default().now();
        assert!(first.as_nanos() >= 1_000_000_000);
        assert_eq!(first.after(Duration::MAX).as_nanos(), u64::MAX);
        assert_eq!(first.since(first.after(Duration::from_secs(1))), Duration::ZERO);
    }
}
