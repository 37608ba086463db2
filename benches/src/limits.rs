//! What the machine allows: the least that a breaker of each kind has to do.

use std::cell::Cell;
use std::hint::black_box;
use std::sync::Arc;
use std::sync::atomic::{AtomicU8, AtomicU32, AtomicU64, AtomicUsize, Ordering};
use std::time::{Duration, Instant};

use rustix::time::{ClockId, clock_gettime};

use crate::contender::{Contender, SyncContender, Verdict, work, work_async};

const CLOSED: u64 = 0;
const OPEN: u64 = 1;

/// The operation with nothing in front of it.
pub struct Bare;

impl Contender for Bare {
    type Handle = ();

    fn handle(&self) {}

    async fn call(_: &mut (), input: u64) -> Verdict {
        Verdict::of(work_async(input).await)
    }
}

impl SyncContender for Bare {
    #[inline]
    fn call_sync(_: &mut (), input: u64) -> Verdict {
        Verdict::of(work(input))
    }
}

/// A job: what is done at admission, and what once the call has ended.
pub trait Job: Send + Sync {
    type Begun;

    /// `None` rejects the call.
    fn begin(&self) -> Option<Self::Begun>;

    fn end(&self, begun: Self::Begun, success: bool);
}

/// A job with the operation in the middle.
pub struct Limit<J>(Arc<J>);

impl<J> Limit<J> {
    pub fn new(job: J) -> Self {
        Limit(Arc::new(job))
    }
}

impl<J: Job> Contender for Limit<J> {
    type Handle = Arc<J>;

    fn handle(&self) -> Arc<J> {
        self.0.clone()
    }

    async fn call(job: &mut Arc<J>, input: u64) -> Verdict {
        let Some(begun) = job.begin() else { return Verdict::Rejected };
        let result = work_async(input).await;
        job.end(begun, result.is_ok());
        Verdict::of(result)
    }
}

impl<J: Job> SyncContender for Limit<J> {
    #[inline]
    fn call_sync(job: &mut Arc<J>, input: u64) -> Verdict {
        let Some(begun) = job.begin() else { return Verdict::Rejected };
        let result = work(input);
        job.end(begun, result.is_ok());
        Verdict::of(result)
    }
}

/// One acquire load.
#[derive(Default)]
pub struct Load {
    state: AtomicU64,
}

impl Job for Load {
    type Begun = ();

    #[inline]
    fn begin(&self) -> Option<()> {
        (self.state.load(Ordering::Acquire) == CLOSED).then_some(())
    }

    #[inline]
    fn end(&self, (): (), _: bool) {}
}

/// The counters that one thread writes, on cache lines of their own.
#[repr(align(128))]
#[derive(Default)]
struct Stripe {
    ends: [AtomicU64; 2],
    seen: AtomicU64,
}

/// More than the threads of any workload, so that no two that run at once share one.
const STRIPES: usize = 64;

/// Which stripe this thread writes.
fn stripe() -> usize {
    static NEXT: AtomicUsize = AtomicUsize::new(0);
    thread_local!(static MINE: Cell<usize> = const { Cell::new(usize::MAX) });

    let mine = MINE.get();
    if mine < STRIPES {
        return mine;
    }
    let mine = NEXT.fetch_add(1, Ordering::Relaxed) % STRIPES;
    MINE.set(mine);
    mine
}

fn stripes<S: Default>() -> Box<[S; STRIPES]> {
    Box::new(std::array::from_fn(|_| S::default()))
}

/// Adds to a number that this thread alone writes.
#[inline]
fn add(owned: &AtomicU64, more: u64) {
    owned.store(owned.load(Ordering::Relaxed).wrapping_add(more), Ordering::Relaxed);
}

/// One acquire load, and one counter that the thread finds by a thread-local index and that no
/// other thread writes.
pub struct LoadCounter {
    load: Load,
    stripes: Box<[Stripe; STRIPES]>,
}

impl Default for LoadCounter {
    fn default() -> Self {
        LoadCounter { load: Load::default(), stripes: stripes() }
    }
}

impl Job for LoadCounter {
    type Begun = ();

    #[inline]
    fn begin(&self) -> Option<()> {
        self.load.begin()
    }

    #[inline]
    fn end(&self, (): (), success: bool) {
        add(&self.stripes[stripe()].ends[usize::from(success)], 1);
    }
}

/// The system's coarse clock: as of its last tick, some milliseconds ago at most.
#[inline]
fn coarse_now() -> Duration {
    let now = clock_gettime(ClockId::MonotonicCoarse);
    Duration::new(now.tv_sec as u64, now.tv_nsec as u32)
}

/// That, and a read of the coarse clock once the call has ended.
#[derive(Default)]
pub struct LoadCounterClock(LoadCounter);

impl Job for LoadCounterClock {
    type Begun = ();

    #[inline]
    fn begin(&self) -> Option<()> {
        self.0.begin()
    }

    #[inline]
    fn end(&self, (): (), success: bool) {
        let now = coarse_now();
        let mine = &self.0.stripes[stripe()];
        add(&mine.ends[usize::from(success)], 1);
        mine.seen.store(now.subsec_nanos().into(), Ordering::Relaxed);
    }
}

const WINDOW: usize = 100;
const MIN_CALLS: u32 = 20;
const FAILED: u8 = 1;
const SLOW: u8 = 2;
pub const SLOW_CALL: Duration = Duration::from_secs(1);

/// The last hundred outcomes of one thread, and what is summed over them.
#[repr(align(128))]
struct OwnedWindow {
    ends: [AtomicU64; 2],
    nanos: AtomicU64,
    next: AtomicU32,
    filled: AtomicU32,
    failed: AtomicU32,
    slow: AtomicU32,
    ring: [AtomicU8; WINDOW],
}

impl Default for OwnedWindow {
    fn default() -> Self {
        OwnedWindow {
            ends: Default::default(),
            nanos: AtomicU64::new(0),
            next: AtomicU32::new(0),
            filled: AtomicU32::new(0),
            failed: AtomicU32::new(0),
            slow: AtomicU32::new(0),
            ring: [const { AtomicU8::new(0) }; WINDOW],
        }
    }
}

fn is(outcome: u8, bit: u8) -> u32 {
    u32::from(outcome & bit != 0)
}

fn outcome_of(success: bool, took: Duration) -> u8 {
    let failed = if success { 0 } else { FAILED };
    let slow = if took >= SLOW_CALL { SLOW } else { 0 };
    failed | slow
}

/// Whether half of the calls in a window failed, or half were slow.
fn trips(filled: u32, failed: u32, slow: u32) -> bool {
    filled >= MIN_CALLS && (2 * failed >= filled || 2 * slow >= filled)
}

impl OwnedWindow {
    /// Puts an outcome in the place of the oldest, and says whether a rule trips.
    #[inline]
    fn record(&self, outcome: u8) -> bool {
        let relaxed = Ordering::Relaxed;
        let at = self.next.load(relaxed) as usize % WINDOW;
        let oldest = self.ring[at].load(relaxed);
        self.ring[at].store(outcome, relaxed);
        self.next.store(if at + 1 == WINDOW { 0 } else { at as u32 + 1 }, relaxed);
        let filled = (self.filled.load(relaxed) + 1).min(WINDOW as u32);
        let failed = self.failed.load(relaxed) + is(outcome, FAILED) - is(oldest, FAILED);
        let slow = self.slow.load(relaxed) + is(outcome, SLOW) - is(oldest, SLOW);
        self.filled.store(filled, relaxed);
        self.failed.store(failed, relaxed);
        self.slow.store(slow, relaxed);
        trips(filled, failed, slow)
    }
}

/// The full job: an acquire load; the clock before and after the call; counters of outcomes and of
/// time, and a ring of the last hundred outcomes with their sums, all found by a thread-local index
/// and written by one thread alone; and both rates compared with their limits.
///
/// With more than one thread it does less than a breaker must: each thread judges its own window.
pub struct FullJob {
    load: Load,
    windows: Box<[OwnedWindow; STRIPES]>,
}

impl Default for FullJob {
    fn default() -> Self {
        FullJob { load: Load::default(), windows: stripes() }
    }
}

impl FullJob {
    #[inline]
    fn settle(&self, took: Duration, success: bool) {
        let mine = &self.windows[stripe()];
        add(&mine.ends[usize::from(success)], 1);
        add(&mine.nanos, took.as_nanos() as u64);
        if mine.record(outcome_of(success, took)) {
            self.load.state.store(OPEN, Ordering::Release);
        }
    }
}

impl Job for FullJob {
    type Begun = Instant;

    #[inline]
    fn begin(&self) -> Option<Instant> {
        self.load.begin().map(|()| Instant::now())
    }

    #[inline]
    fn end(&self, begun: Instant, success: bool) {
        self.settle(Instant::now() - begun, success);
    }
}

/// The full job with the coarse clock in the place of the exact one.
#[derive(Default)]
pub struct FullJobCoarse(FullJob);

impl Job for FullJobCoarse {
    type Begun = Duration;

    #[inline]
    fn begin(&self) -> Option<Duration> {
        self.0.load.begin().map(|()| coarse_now())
    }

    #[inline]
    fn end(&self, begun: Duration, success: bool) {
        self.0.settle(coarse_now().saturating_sub(begun), success);
    }
}

/// The full job with one ring for all threads: a cursor that each call moves, a slot that it swaps,
/// and sums that it touches only where they change.
pub struct SharedRing {
    load: Load,
    stripes: Box<[Stripe; STRIPES]>,
    cursor: AtomicU64,
    failed: AtomicU32,
    slow: AtomicU32,
    ring: [AtomicU8; WINDOW],
}

impl Default for SharedRing {
    fn default() -> Self {
        SharedRing {
            load: Load::default(),
            stripes: stripes(),
            cursor: AtomicU64::new(0),
            failed: AtomicU32::new(0),
            slow: AtomicU32::new(0),
            ring: [const { AtomicU8::new(0) }; WINDOW],
        }
    }
}

fn shift(sum: &AtomicU32, before: u32, after: u32) -> u32 {
    match (before, after) {
        (0, 1) => sum.fetch_add(1, Ordering::Relaxed) + 1,
        (1, 0) => sum.fetch_sub(1, Ordering::Relaxed) - 1,
        _ => sum.load(Ordering::Relaxed),
    }
}

impl Job for SharedRing {
    type Begun = Instant;

    #[inline]
    fn begin(&self) -> Option<Instant> {
        self.load.begin().map(|()| Instant::now())
    }

    #[inline]
    fn end(&self, begun: Instant, success: bool) {
        let took = Instant::now() - begun;
        let mine = &self.stripes[stripe()];
        add(&mine.ends[usize::from(success)], 1);
        add(&mine.seen, took.as_nanos() as u64);
        let outcome = outcome_of(success, took);
        let count = self.cursor.fetch_add(1, Ordering::Relaxed);
        let oldest = self.ring[(count % WINDOW as u64) as usize].swap(outcome, Ordering::Relaxed);
        let failed = shift(&self.failed, is(oldest, FAILED), is(outcome, FAILED));
        let slow = shift(&self.slow, is(oldest, SLOW), is(outcome, SLOW));
        if trips((count + 1).min(WINDOW as u64) as u32, failed, slow) {
            self.load.state.store(OPEN, Ordering::Release);
        }
    }
}

/// Open: one acquire load, and the clock compared with the end of the open time.
pub struct Reject {
    state: AtomicU64,
    until: Instant,
}

impl Default for Reject {
    fn default() -> Self {
        let until = Instant::now() + Duration::from_secs(3600);
        Reject { state: AtomicU64::new(OPEN), until }
    }
}

impl Job for Reject {
    type Begun = ();

    #[inline]
    fn begin(&self) -> Option<()> {
        if self.state.load(Ordering::Acquire) == CLOSED {
            return Some(());
        }
        let left = self.until.saturating_duration_since(Instant::now());
        black_box(left).is_zero().then_some(())
    }

    #[inline]
    fn end(&self, (): (), _: bool) {}
}

/// The same with the coarse clock.
pub struct RejectCoarse {
    state: AtomicU64,
    until: Duration,
}

impl Default for RejectCoarse {
    fn default() -> Self {
        let until = coarse_now() + Duration::from_secs(3600);
        RejectCoarse { state: AtomicU64::new(OPEN), until }
    }
}

impl Job for RejectCoarse {
    type Begun = ();

    #[inline]
    fn begin(&self) -> Option<()> {
        if self.state.load(Ordering::Acquire) == CLOSED {
            return Some(());
        }
        let left = self.until.saturating_sub(coarse_now());
        black_box(left).is_zero().then_some(())
    }

    #[inline]
    fn end(&self, (): (), _: bool) {}
}
