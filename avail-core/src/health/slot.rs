//! One run of a check at a time, always: also of one that was taken away and registered again while
//! a run of it still hangs.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use tokio::sync::{OwnedSemaphorePermit, Semaphore};

use crate::clock::Tick;

/// Where a check of one name runs.
#[derive(Debug)]
pub(crate) struct Slot {
    free: Arc<Semaphore>,
    /// When the latest run began.
    began: AtomicU64,
}

/// The slot, for as long as a run is under way: its code holds it, whoever has given it up.
#[derive(Debug)]
pub(crate) struct Taken {
    _slot: Arc<Slot>,
    _permit: OwnedSemaphorePermit,
}

impl Slot {
    pub(crate) fn new(now: Tick) -> Self {
        Slot { free: Arc::new(Semaphore::new(1)), began: AtomicU64::new(now.as_nanos()) }
    }

    /// For a run that begins now; `None` where another is under way.
    pub(crate) fn take(self: &Arc<Self>, now: Tick) -> Option<Taken> {
        let permit = self.free.clone().try_acquire_owned().ok()?;
        // Relaxed: a number that guards no other memory.
        self.began.store(now.as_nanos(), Ordering::Relaxed);
        Some(Taken { _slot: self.clone(), _permit: permit })
    }

    /// Waits until no run is under way.
    pub(crate) async fn freed(&self) {
        // The semaphore is never closed.
        let _permit = self.free.acquire().await;
    }

    /// When the run that is under way began.
    pub(crate) fn taken_since(&self) -> Tick {
        Tick::from_nanos(self.began.load(Ordering::Relaxed))
    }
}
