//! The probes' answers, kept for a moment: working one out takes the monitor's lock and looks at
//! every component, which a balancer that asks thousands of times a second need not wait for.
//!
//! An answer is given again while nothing has happened that it shows, and for [`LIFE`] at most: its
//! timestamp is never older than that, nor is anything that time alone brings about, such as that a
//! monitor which has stopped is no longer believed.

use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use avail_core::AvailabilityMonitor;

use crate::answer::Answer;

/// How long an answer is given again.
const LIFE: Duration = Duration::from_millis(50);

/// Who asks.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Probe {
    Health,
    Readiness,
    Liveness,
    Startup,
}

/// The latest answer to each probe.
#[derive(Debug, Default)]
pub(crate) struct Kept {
    answers: [Mutex<Option<Arc<Entry>>>; 4],
}

#[derive(Debug)]
struct Entry {
    revision: u64,
    made: Duration,
    answer: Answer,
}

impl Kept {
    /// The answer to a probe: that of before, or the one that `make` gives. Nobody waits for another's
    /// `make`.
    pub(crate) fn answer(
        &self,
        probe: Probe,
        monitor: &AvailabilityMonitor,
        make: impl FnOnce() -> Answer,
    ) -> Answer {
        // Read before anything is looked at: what happens while an answer is made outdates it.
        let (revision, now) = (monitor.revision(), monitor.uptime());
        let place = &self.answers[probe as usize];
        let entry = place.lock().unwrap_or_else(PoisonError::into_inner).clone();
        if let Some(entry) = entry.filter(|entry| entry.is_good(revision, now)) {
            return entry.answer.clone();
        }
        let answer = make();
        let entry = Arc::new(Entry { revision, made: now, answer: answer.clone() });
        *place.lock().unwrap_or_else(PoisonError::into_inner) = Some(entry);
        answer
    }
}

impl Entry {
    /// One that was made later than `now` is another thread's, and as good.
    fn is_good(&self, revision: u64, now: Duration) -> bool {
        self.revision == revision && now.saturating_sub(self.made) < LIFE
    }
}
