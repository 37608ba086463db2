//! Where the time comes from: read once at the edge, then passed down as a value.

use std::num::NonZeroU64;
use std::sync::LazyLock;
use std::time::Duration;

use chrono::{DateTime, SubsecRound, Utc};

/// The monotonic origin of every [`Tick`] of this process, in the system's nanoseconds.
static ORIGIN: LazyLock<u64> = LazyLock::new(system::now);

/// The system's monotonic clocks, in nanoseconds. The coarse one is read in a fifth of the time; it
/// moves with the kernel's timer, and so is at most [`coarse_step`] behind.
#[cfg(target_os = "linux")]
mod system {
    use rustix::time::{ClockId, Timespec, clock_getres, clock_gettime};

    #[inline]
    fn nanos(time: Timespec) -> u64 {
        time.tv_sec as u64 * 1_000_000_000 + time.tv_nsec as u64
    }

    #[inline]
    pub(super) fn now() -> u64 {
        nanos(clock_gettime(ClockId::Monotonic))
    }

    #[inline]
    pub(super) fn coarse() -> u64 {
        nanos(clock_gettime(ClockId::MonotonicCoarse))
    }

    pub(super) fn coarse_step() -> u64 {
        nanos(clock_getres(ClockId::MonotonicCoarse))
    }
}

#[cfg(not(target_os = "linux"))]
mod system {
    use std::sync::LazyLock;
    use std::time::Instant;

    pub(super) fn now() -> u64 {
        static START: LazyLock<Instant> = LazyLock::new(Instant::now);
        super::nanos(START.elapsed())
    }

    pub(super) fn coarse() -> u64 {
        now()
    }

    pub(super) fn coarse_step() -> u64 {
        0
    }
}

/// How far the coarse clock may be behind.
pub(crate) fn coarse_step() -> Duration {
    Duration::from_nanos(coarse_nanos())
}

/// [`coarse_step`] in nanoseconds.
#[inline]
pub(crate) fn coarse_nanos() -> u64 {
    static STEP: LazyLock<u64> = LazyLock::new(system::coarse_step);
    *STEP
}

/// A point in monotonic time: nanoseconds since one second before the first clock read of the
/// process, so that it is never zero and fits an atomic integer for 584 years.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub(crate) struct Tick(NonZeroU64);

impl Tick {
    const LEAD: u64 = 1_000_000_000;

    /// Zero is as good as one: no clock has ever shown either.
    #[inline]
    pub(crate) fn from_nanos(nanos: u64) -> Self {
        Tick(NonZeroU64::new(nanos).unwrap_or(NonZeroU64::MIN))
    }

    #[inline]
    pub(crate) fn as_nanos(self) -> u64 {
        self.0.get()
    }

    #[inline]
    fn since_origin(nanos: u64) -> Self {
        Tick::from_nanos(nanos.saturating_add(Self::LEAD))
    }

    #[inline]
    fn of_system(nanos: u64) -> Self {
        Tick::since_origin(nanos.saturating_sub(*ORIGIN))
    }

    /// This point moved forward; the far end of time instead of an overflow.
    pub(crate) fn after(self, delay: Duration) -> Self {
        self.after_nanos(nanos(delay))
    }

    /// [`after`](Self::after) so many nanoseconds.
    #[inline]
    pub(crate) fn after_nanos(self, delay: u64) -> Self {
        Tick(self.0.saturating_add(delay))
    }

    /// The time since the first clock read of the process: as good as its start.
    pub(crate) fn age(self) -> Duration {
        Duration::from_nanos(self.as_nanos().saturating_sub(Self::LEAD))
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
    #[inline]
    pub(crate) fn now(&self) -> Tick {
        #[cfg(feature = "test-util")]
        if let Some(manual) = &self.manual {
            return Tick::since_origin(nanos(manual.elapsed()));
        }
        Tick::of_system(system::now())
    }

    /// The monotonic time, or up to [`coarse_step`] before it.
    #[inline]
    pub(crate) fn coarse(&self) -> Tick {
        #[cfg(feature = "test-util")]
        if self.manual.is_some() {
            return self.now();
        }
        Tick::of_system(system::coarse())
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

/// The time, read by whoever needs it.
pub(crate) trait ReadTime {
    /// The monotonic time.
    fn now(&self) -> Tick;

    /// The monotonic time, or up to [`coarse_step`] before it.
    fn coarse(&self) -> Tick {
        self.now()
    }

    /// The monotonic time, also where the coarse clock would do for [`now`](Self::now).
    fn exact(&self) -> Tick {
        self.now()
    }
}

impl<F: Fn() -> Tick> ReadTime for F {
    fn now(&self) -> Tick {
        self()
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
    fn the_coarse_clock_is_a_little_behind_and_never_ahead() {
        let clock = Clock::default();
        for _ in 0..100_000 {
            let (before, coarse, after) = (clock.now(), clock.coarse(), clock.now());
            assert!(coarse <= after, "{coarse:?} {after:?}");
            // Two steps: the kernel's timer may be late itself.
            assert!(before.since(coarse) <= 2 * coarse_step(), "{before:?} {coarse:?}");
        }
    }

    #[test]
    fn a_tick_is_never_zero_and_never_overflows() {
        let first = Clock::default().now();
        assert!(first.as_nanos() >= 1_000_000_000);
        assert_eq!(first.after(Duration::MAX).as_nanos(), u64::MAX);
        assert_eq!(first.since(first.after(Duration::from_secs(1))), Duration::ZERO);
    }
}
