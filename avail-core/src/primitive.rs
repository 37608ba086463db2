//! The atomics and locks of the breaker, swapped for loom's under `--cfg avail_loom`, so that the
//! very code that ships is the code that loom explores.

#[cfg(avail_loom)]
pub(crate) use loom::sync::atomic::{AtomicU64, Ordering, fence};
#[cfg(not(avail_loom))]
pub(crate) use std::sync::atomic::{AtomicU64, Ordering, fence};

#[cfg(avail_loom)]
pub(crate) use loom::sync::{Mutex, MutexGuard};
#[cfg(not(avail_loom))]
pub(crate) use std::sync::{Mutex, MutexGuard};

/// Locks, going on with the data that a panicking holder left: every critical section of ours
/// leaves it whole.
pub(crate) fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(std::sync::PoisonError::into_inner)
}
