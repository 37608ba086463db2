//! The task of each check: a run at once, then one each interval, one at a time.

use std::hash::{BuildHasher, RandomState};
use std::sync::Arc;
use std::time::Duration;

use tokio::sync::Notify;
use tokio::time::{Instant, sleep, timeout_at};

use super::check::{HealthCheck, Schedule};
use super::runner::{Ended, Run};
use crate::monitor::Inner;

/// Runs the check until the task is aborted or the runtime ends. `wake`: the next run is to come at
/// once.
pub(crate) async fn keep_checking(
    monitor: Arc<Inner>,
    check: HealthCheck,
    schedule: Schedule,
    wake: Arc<Notify>,
) {
    sleep(schedule.initial_delay).await;
    let mut jitter = Jitter::new();
    loop {
        let began = Instant::now();
        let (timestamp, tick) = monitor.moment();
        let mut run = Run::start(&check.run);
        let Some(ended) = run.end_within(schedule.timeout).await else { return };
        let timed_out = matches!(ended, Ended::TimedOut(_));
        let latency = monitor.elapsed_since(tick);
        let name = check.name.clone();
        let result = ended.into_result(name, timestamp, latency, schedule.degraded_after);
        let undecided = monitor.record(result);
        while timed_out && !run.is_over(schedule.interval).await {
            report_hang(&monitor, &check, schedule, tick);
        }
        let pause = if undecided { schedule.retry_interval } else { schedule.interval };
        // Whatever the time is that is waited for, being woken ends it.
        let _ = timeout_at(began + jitter.spread(pause), wake.notified()).await;
    }
}

/// The run that is due now can't begin; that it can't is its result.
fn report_hang(
    monitor: &Inner,
    check: &HealthCheck,
    schedule: Schedule,
    began: crate::clock::Tick,
) {
    let (timestamp, _) = monitor.moment();
    let hangs = Ended::Hangs(monitor.elapsed_since(began));
    let name = check.name.clone();
    let result = hangs.into_result(name, timestamp, Duration::ZERO, schedule.degraded_after);
    monitor.record(result);
}

/// No pause is longer, so that the moment at which it ends can be expressed.
const LONGEST: Duration = Duration::from_secs(10 * 365 * 24 * 3600);

/// Spreads what would fall together by up to a tenth to either side: a xorshift generator (Marsaglia,
/// "Xorshift RNGs", 2003), seeded by the standard library's.
struct Jitter {
    state: u64,
}

impl Jitter {
    fn new() -> Self {
        Jitter { state: RandomState::new().hash_one(0) | 1 }
    }

    fn spread(&mut self, pause: Duration) -> Duration {
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

    #[test]
    fn jitter_stays_within_a_tenth_and_does_not_stand_still() {
        let mut jitter = Jitter::new();
        let pauses: Vec<_> =
            (0..1_000).map(|_| jitter.spread(Duration::from_secs(10)).as_secs_f64()).collect();
        assert!(pauses.iter().all(|pause| (9.0..=11.0).contains(pause)));
        assert!(
            pauses.iter().any(|pause| *pause < 9.5) && pauses.iter().any(|pause| *pause > 10.5)
        );
    }
}
