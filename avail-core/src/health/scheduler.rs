//! The task of each check: a run at once, then one each interval, one at a time.

use std::sync::Arc;
use std::time::Duration;

use tokio::sync::Notify;
use tokio::time::{Instant, sleep_until, timeout, timeout_at};

use super::check::{HealthCheck, Schedule};
use super::pace::{Jitter, Pace};
use super::runner::{Ended, Run};
use super::slot::Slot;
use crate::monitor::Inner;

/// What a check's task is given: the check, and where and when it runs.
pub(crate) struct Scheduled {
    pub(crate) check: HealthCheck,
    pub(crate) schedule: Schedule,
    pub(crate) slot: Arc<Slot>,
    /// The next run is to come at once.
    pub(crate) wake: Arc<Notify>,
}

/// Runs the check until the task is aborted or the runtime ends.
pub(crate) async fn keep_checking(monitor: Arc<Inner>, one: Scheduled) {
    let Scheduled { schedule, slot, .. } = &one;
    let (mut pace, mut jitter) =
        (Pace::beginning_in(schedule.initial_delay, Instant::now()), Jitter::new());
    sleep_until(pace.due()).await;
    // One of the same name that was taken away may not have ended yet. It is given that time.
    let _ = timeout(schedule.timeout, slot.freed()).await;
    loop {
        pace.begin(Instant::now());
        let Some((undecided, hangs)) = one.run(&monitor).await else { return };
        let pause = if undecided { schedule.retry_interval } else { schedule.interval };
        pace.next(jitter.spread(pause));
        // Whatever the time is that is waited for, being woken ends it. Where a run hangs, that it
        // has returned does, and nothing else could.
        let _ = match hangs {
            true => timeout_at(pace.due(), slot.freed()).await,
            false => timeout_at(pace.due(), one.wake.notified()).await,
        };
    }
}

impl Scheduled {
    /// The run that is due now, or that it can't begin since one hangs. Gives whether it left its
    /// component undecided, and whether one hangs; `None` where the runtime itself is ending.
    async fn run(&self, monitor: &Inner) -> Option<(bool, bool)> {
        let (timestamp, tick) = monitor.moment();
        let (ended, latency) = match self.slot.take(tick) {
            Some(taken) => {
                let run = Run::start(&self.check.run, taken);
                let ended = run.end_within(self.schedule.timeout).await?;
                (ended, monitor.elapsed_since(tick))
            }
            None => (Ended::Hangs(monitor.elapsed_since(self.slot.taken_since())), Duration::ZERO),
        };
        let hangs = matches!(ended, Ended::Hangs(_));
        let (name, degraded_after) = (self.check.name.clone(), self.schedule.degraded_after);
        let result = ended.into_result(name, timestamp, latency, degraded_after);
        Some((monitor.record(result), hangs))
    }
}
