//! The task of each check: a run at once, then one each interval, one at a time.

use std::sync::Arc;
use std::time::Duration;

use tokio::time::{Instant, sleep_until, timeout, timeout_at};

use super::check::HealthCheck;
use super::orders::Orders;
use super::pace::{Jitter, Pace};
use super::runner::{Ended, Run};
use super::slot::Slot;
use crate::monitor::Inner;

/// What a check's task is given: the check, and where and when it runs.
pub(crate) struct Scheduled {
    pub(crate) check: HealthCheck,
    pub(crate) slot: Arc<Slot>,
    pub(crate) orders: Arc<Orders>,
}

/// Runs the check until the task is aborted or the runtime ends.
pub(crate) async fn keep_checking(monitor: Arc<Inner>, one: Scheduled) {
    let Scheduled { orders, slot, .. } = &one;
    let first = Pace::beginning_in(orders.schedule().initial_delay, Instant::now());
    let (mut pace, mut jitter) = (first, Jitter::new());
    sleep_until(pace.due()).await;
    // One of the same name that was taken away may not have ended yet. It is given that time.
    let _ = timeout(orders.schedule().timeout, slot.freed()).await;
    loop {
        pace.begin(Instant::now());
        let Some((undecided, hangs)) = one.run(&monitor).await else { return };
        if hangs {
            // That it has returned ends the pause, and nothing else could.
            orders.pause(&mut pace, &mut jitter, undecided);
            let _ = timeout_at(pace.due(), slot.freed()).await;
        } else {
            orders.until_due(&mut pace, &mut jitter, undecided).await;
        }
    }
}

impl Scheduled {
    /// The run that is due now, or that it can't begin since one hangs. Gives whether it left its
    /// component undecided, and whether one hangs; `None` where the runtime itself is ending.
    async fn run(&self, monitor: &Inner) -> Option<(bool, bool)> {
        let (timestamp, tick) = monitor.moment();
        let schedule = self.orders.schedule();
        let (ended, latency) = match self.slot.take(tick) {
            Some(taken) => {
                let run = Run::start(&self.check.run, taken);
                let ended = run.end_within(schedule.timeout).await?;
                (ended, monitor.elapsed_since(tick))
            }
            None => (Ended::Hangs(monitor.elapsed_since(self.slot.taken_since())), Duration::ZERO),
        };
        let hangs = matches!(ended, Ended::Hangs(_));
        let (name, degraded_after) = (self.check.name.clone(), schedule.degraded_after);
        let result = ended.into_result(name, timestamp, latency, degraded_after);
        Some((monitor.record(result), hangs))
    }
}
