//! What one would write in an afternoon: everything behind one mutex.

use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant};

use super::{MIN_CALLS, OPEN, STREAK, WINDOW};
use crate::contender::{Contender, SyncContender, Unavailable, Verdict, work, work_async};
use crate::limits::SLOW_CALL;

#[derive(Clone, Copy, Default)]
struct Outcome {
    failed: bool,
    slow: bool,
}

struct Inner {
    open_until: Option<Instant>,
    streak: u32,
    ring: [Outcome; WINDOW],
    recorded: usize,
    failed: u32,
    slow: u32,
}

pub struct Breaker {
    rates: bool,
    inner: Mutex<Inner>,
}

pub struct MutexRing(Arc<Breaker>);

/// Failures in a row; the ring is kept but not judged, and no latency is measured.
pub fn streak() -> MutexRing {
    build(false)
}

/// The rates of failures and of slow calls over the last hundred.
pub fn rates() -> MutexRing {
    build(true)
}

fn build(rates: bool) -> MutexRing {
    let inner = Inner {
        open_until: None,
        streak: 0,
        ring: [Outcome::default(); WINDOW],
        recorded: 0,
        failed: 0,
        slow: 0,
    };
    MutexRing(Arc::new(Breaker { rates, inner: Mutex::new(inner) }))
}

impl Breaker {
    fn with<R>(&self, look: impl FnOnce(&mut Inner) -> R) -> R {
        look(&mut self.inner.lock().unwrap_or_else(PoisonError::into_inner))
    }

    fn admit(&self) -> Option<Option<Instant>> {
        let closed = self.with(|inner| match inner.open_until {
            Some(until) => Instant::now() >= until,
            None => true,
        });
        closed.then(|| self.rates.then(Instant::now))
    }

    fn settle(&self, begun: Option<Instant>, result: &Result<u64, Unavailable>) {
        let took = begun.map_or(Duration::ZERO, |begun| begun.elapsed());
        let outcome = Outcome { failed: result.is_err(), slow: took >= SLOW_CALL };
        self.with(|inner| {
            let trips = inner.record(outcome);
            if (self.rates && trips) || (!self.rates && inner.streak >= STREAK) {
                inner.open_until = Some(Instant::now() + OPEN);
            }
        });
    }
}

impl Inner {
    fn record(&mut self, outcome: Outcome) -> bool {
        let oldest = std::mem::replace(&mut self.ring[self.recorded % WINDOW], outcome);
        self.recorded += 1;
        self.streak = if outcome.failed { self.streak + 1 } else { 0 };
        self.failed = self.failed + u32::from(outcome.failed) - u32::from(oldest.failed);
        self.slow = self.slow + u32::from(outcome.slow) - u32::from(oldest.slow);
        let filled = self.recorded.min(WINDOW) as u32;
        filled >= MIN_CALLS && (2 * self.failed >= filled || 2 * self.slow >= filled)
    }
}

impl Contender for MutexRing {
    type Handle = Arc<Breaker>;

    fn handle(&self) -> Arc<Breaker> {
        self.0.clone()
    }

    async fn call(breaker: &mut Arc<Breaker>, input: u64) -> Verdict {
        let Some(begun) = breaker.admit() else { return Verdict::Rejected };
        let result = work_async(input).await;
        breaker.settle(begun, &result);
        Verdict::of(result)
    }
}

impl SyncContender for MutexRing {
    #[inline]
    fn call_sync(breaker: &mut Arc<Breaker>, input: u64) -> Verdict {
        let Some(begun) = breaker.admit() else { return Verdict::Rejected };
        let result = work(input);
        breaker.settle(begun, &result);
        Verdict::of(result)
    }
}
