//! What the task of a check is told while it runs: to run now, or to run by another schedule.

use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Mutex, PoisonError};
use std::time::Duration;

use tokio::sync::Notify;
use tokio::time::timeout_at;

use super::check::Schedule;
use super::pace::{Jitter, Pace};

/// See the [module](self).
#[derive(Debug)]
pub(crate) struct Orders {
    schedule: Mutex<Schedule>,
    run_now: AtomicBool,
    news: Notify,
}

impl Orders {
    pub(crate) fn new(schedule: Schedule) -> Self {
        Orders {
            schedule: Mutex::new(schedule),
            run_now: AtomicBool::new(false),
            news: Notify::new(),
        }
    }

    pub(crate) fn schedule(&self) -> Schedule {
        *self.schedule.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// The next run is to come at once.
    pub(crate) fn run_now(&self) {
        // Release, and acquire where it is taken: whoever is woken sees it.
        self.run_now.store(true, Ordering::Release);
        self.news.notify_one();
    }

    /// From the next run on, and for the pause before it; a run that is under way ends as it began.
    pub(crate) fn reschedule(&self, schedule: Schedule) {
        *self.schedule.lock().unwrap_or_else(PoisonError::into_inner) = schedule;
        self.news.notify_one();
    }

    /// Waits until the next run is due by the schedule of that time, or is asked for.
    pub(super) async fn until_due(&self, pace: &mut Pace, jitter: &mut Jitter, undecided: bool) {
        let mut pause = self.pause(pace, jitter, undecided);
        while timeout_at(pace.due(), self.news.notified()).await.is_ok() {
            if self.run_now.swap(false, Ordering::Acquire) {
                return;
            }
            if self.schedule().pause(undecided) != pause {
                pause = self.pause(pace, jitter, undecided);
            }
        }
    }

    /// Sets the pace for the next run, and gives how long that is from the last one.
    pub(super) fn pause(&self, pace: &mut Pace, jitter: &mut Jitter, undecided: bool) -> Duration {
        let pause = self.schedule().pause(undecided);
        pace.next(jitter.spread(pause));
        pause
    }
}
