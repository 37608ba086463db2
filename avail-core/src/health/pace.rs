//! When the next run is due: pure. Each run is due so long after the one before it *was due*, not
//! after it began or ended, so that what runs take and how late timers ring adds up to nothing.

use std::hash::{BuildHasher, RandomState};
use std::time::Duration;

use tokio::time::Instant;

/// No pause is longer, so that the moment at which it ends can be expressed.
const LONGEST: Duration = Duration::from_secs(10 * 365 * 24 * 3600);

/// See the [module](self).
#[derive(Debug)]
pub(crate) struct Pace {
    due: Instant,
    /// When the last run was due.
    last: Instant,
    /// So late a run may begin and still be the one that was due.
    slack: Duration,
}

impl Pace {
    pub(crate) fn beginning_in(delay: Duration, now: Instant) -> Self {
        Pace { due: now + delay.min(LONGEST), last: now, slack: Duration::ZERO }
    }

    pub(crate) fn due(&self) -> Instant {
        self.due
    }

    /// A run begins. One that was asked for early, or that comes so late that others were missed,
    /// sets the pace anew: missed ones are not made up for.
    pub(crate) fn begin(&mut self, now: Instant) {
        if now < self.due || now > self.due + self.slack {
            self.due = now;
        }
        self.last = self.due;
    }

    /// The next one is due so long after that one was; said once more, in place of what was said
    /// before.
    pub(crate) fn next(&mut self, pause: Duration) {
        let pause = pause.min(LONGEST);
        self.due = self.last + pause;
        self.slack = pause / 10;
    }
}

/// Spreads what would fall together by up to a tenth to either side: a xorshift generator (Marsaglia,
/// "Xorshift RNGs", 2003), seeded by the standard library's.
#[derive(Debug)]
pub(crate) struct Jitter {
    state: u64,
}

impl Jitter {
    pub(crate) fn new() -> Self {
        Jitter { state: RandomState::new().hash_one(0) | 1 }
    }

    pub(crate) fn spread(&mut self, pause: Duration) -> Duration {
        self.state ^= self.state << 13;
        self.state ^= self.state >> 7;
        self.state ^= self.state << 17;
        let unit = (self.state >> 11) as f64 / (1_u64 << 53) as f64;
        pause.min(LONGEST).mul_f64(0.9 + 0.2 * unit)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const INTERVAL: Duration = Duration::from_secs(10);

    fn ms(millis: u64) -> Duration {
        Duration::from_millis(millis)
    }

    #[test]
    fn jitter_stays_within_a_tenth_and_does_not_stand_still() {
        let mut jitter = Jitter::new();
        let pauses: Vec<_> = (0..1_000).map(|_| jitter.spread(INTERVAL).as_secs_f64()).collect();
        assert!(pauses.iter().all(|pause| (9.0..=11.0).contains(pause)));
        assert!(
            pauses.iter().any(|pause| *pause < 9.5) && pauses.iter().any(|pause| *pause > 10.5)
        );
    }

    #[test]
    fn late_timers_add_up_to_nothing() {
        let start = Instant::now();
        let mut pace = Pace::beginning_in(Duration::ZERO, start);
        for run in 0..100_000 {
            assert_eq!(pace.due(), start + INTERVAL * run);
            pace.begin(pace.due() + ms(u64::from(run) % 900));
            pace.next(INTERVAL);
        }
    }

    #[test]
    fn what_was_missed_is_not_made_up_for() {
        let start = Instant::now();
        let mut pace = Pace::beginning_in(Duration::ZERO, start);
        pace.begin(start);
        pace.next(INTERVAL);
        let late = start + INTERVAL * 7 + ms(1);
        pace.begin(late);
        pace.next(INTERVAL);
        assert_eq!(pace.due(), late + INTERVAL);
    }

    #[test]
    fn one_that_was_asked_for_sets_the_pace() {
        let start = Instant::now();
        let mut pace = Pace::beginning_in(INTERVAL, start);
        pace.begin(start + ms(3_000));
        pace.next(INTERVAL);
        assert_eq!(pace.due(), start + ms(13_000));
    }

    #[test]
    fn another_pause_takes_the_place_of_the_one_before() {
        let start = Instant::now();
        let mut pace = Pace::beginning_in(Duration::ZERO, start);
        pace.begin(start);
        pace.next(INTERVAL * 6);
        pace.next(INTERVAL);
        assert_eq!(pace.due(), start + INTERVAL);
        pace.next(ms(1)); // shorter than what has passed: it is due, and sets the pace
        let now = start + INTERVAL / 2;
        pace.begin(now);
        pace.next(INTERVAL);
        assert_eq!(pace.due(), now + INTERVAL);
    }

    #[test]
    fn times_without_end_can_be_waited_for() {
        let now = Instant::now();
        let mut pace = Pace::beginning_in(Duration::MAX, now);
        pace.begin(now);
        pace.next(Jitter::new().spread(Duration::MAX));
        assert!(pace.due() > now);
    }
}
