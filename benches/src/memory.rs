//! An allocator that counts while it is told to, and what it says of breakers by the thousand.

use std::alloc::{GlobalAlloc, Layout, System};
use std::hint::black_box;
use std::sync::atomic::{AtomicBool, AtomicI64, AtomicU64, Ordering};
use std::thread;

use crate::contender::Contender;
use crate::measure::{SUCCESS, calls};

/// The system's allocator. While it does not count it costs one load of a line that nobody writes.
pub struct Counting;

static COUNTS: AtomicBool = AtomicBool::new(false);
static ALLOCATED: AtomicU64 = AtomicU64::new(0);
static LIVE: AtomicI64 = AtomicI64::new(0);

fn note(count: u64, bytes: i64) {
    if COUNTS.load(Ordering::Relaxed) {
        ALLOCATED.fetch_add(count, Ordering::Relaxed);
        LIVE.fetch_add(bytes, Ordering::Relaxed);
    }
}

// SAFETY: every method hands on to the system's allocator what it was given.
#[allow(unsafe_code)]
unsafe impl GlobalAlloc for Counting {
    unsafe fn alloc(&self, layout: Layout) -> *mut u8 {
        note(1, layout.size() as i64);
        // SAFETY: the caller keeps the contract of `alloc`.
        unsafe { System.alloc(layout) }
    }

    unsafe fn alloc_zeroed(&self, layout: Layout) -> *mut u8 {
        note(1, layout.size() as i64);
        // SAFETY: the caller keeps the contract of `alloc_zeroed`.
        unsafe { System.alloc_zeroed(layout) }
    }

    unsafe fn dealloc(&self, pointer: *mut u8, layout: Layout) {
        note(0, -(layout.size() as i64));
        // SAFETY: the caller keeps the contract of `dealloc`.
        unsafe { System.dealloc(pointer, layout) }
    }

    unsafe fn realloc(&self, pointer: *mut u8, layout: Layout, size: usize) -> *mut u8 {
        note(1, size as i64 - layout.size() as i64);
        // SAFETY: the caller keeps the contract of `realloc`.
        unsafe { System.realloc(pointer, layout, size) }
    }
}

/// What was allocated, and how much of it is still there.
#[derive(Clone, Copy, Debug)]
pub struct Allocations {
    pub count: u64,
    pub live_bytes: i64,
}

/// Counts what `run` allocates, on whatever thread.
pub fn count<R>(run: impl FnOnce() -> R) -> (R, Allocations) {
    let before = (ALLOCATED.load(Ordering::Relaxed), LIVE.load(Ordering::Relaxed));
    COUNTS.store(true, Ordering::Relaxed);
    let result = run();
    COUNTS.store(false, Ordering::Relaxed);
    let allocations = Allocations {
        count: ALLOCATED.load(Ordering::Relaxed) - before.0,
        live_bytes: LIVE.load(Ordering::Relaxed) - before.1,
    };
    (result, allocations)
}

const BREAKERS: usize = 10_000;
const THREADS: usize = 8;

/// What one breaker takes, the place of its handle included: as made, after one call, and after
/// eight threads have called it at once.
#[derive(Clone, Copy, Debug)]
pub struct Footprint {
    pub name: &'static str,
    pub allocations: f64,
    pub made: f64,
    pub called: f64,
    pub contended: f64,
}

pub fn footprint<C: Contender>(name: &'static str, make: impl Fn(&str) -> C) -> Footprint {
    let names: Vec<_> = (0..BREAKERS).map(|index| format!("breaker-{index:05}")).collect();
    let (breakers, made) = count(|| {
        let mut breakers = Vec::with_capacity(BREAKERS);
        breakers.extend(names.iter().map(|name| make(name)));
        breakers
    });
    let ((), called) = count(|| breakers.iter().for_each(call_tens::<C>));
    let ((), contended) = count(|| {
        thread::scope(|scope| {
            for _ in 0..THREADS {
                scope.spawn(|| breakers.iter().for_each(call_tens::<C>));
            }
        });
    });
    let each = |bytes: i64| bytes as f64 / BREAKERS as f64;
    let called_bytes = made.live_bytes + called.live_bytes;
    black_box(&breakers);
    Footprint {
        name,
        allocations: made.count as f64 / BREAKERS as f64,
        made: each(made.live_bytes),
        called: each(called_bytes),
        contended: each(called_bytes + contended.live_bytes),
    }
}

fn call_tens<C: Contender>(breaker: &C) {
    calls::<C>(&mut breaker.handle(), &SUCCESS, 1);
}
