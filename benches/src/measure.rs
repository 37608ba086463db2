//! Runs calls and times them: interleaved rounds, medians.

use std::future::Future;
use std::hint::black_box;
use std::pin::pin;
use std::sync::{Arc, Barrier};
use std::task::{Context, Poll, Wake, Waker};
use std::thread::{self, Thread};
use std::time::{Duration, Instant};

use rustix::thread::{CpuSet, sched_setaffinity};
use rustix::time::{ClockId, clock_gettime};

use crate::contender::{Contender, FAIL, SyncContender, Verdict};
use crate::memory::{self, Allocations};

/// The inputs of ten calls, over and over.
pub type Inputs = [u64; 10];

pub const SUCCESS: Inputs = [1; 10];
pub const TENTH_FAILS: Inputs = [1, 1, 1, 1, 1, 1, 1, 1, 1, FAIL];

/// How many calls ended in each way.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Tally {
    pub calls: u64,
    pub done: u64,
    pub rejected: u64,
}

impl Tally {
    fn add(&mut self, other: Tally) {
        self.calls += other.calls;
        self.done += other.done;
        self.rejected += other.rejected;
    }
}

/// What the calls of a workload must come to; a contender that does something else is not measured
/// but reported.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Expected {
    AllDone,
    TenthFailed,
    AllRejected,
}

impl Expected {
    fn holds(self, tally: Tally) -> bool {
        match self {
            Expected::AllDone => tally.done == tally.calls,
            Expected::TenthFailed => tally.rejected == 0 && tally.done == tally.calls / 10 * 9,
            Expected::AllRejected => tally.rejected == tally.calls,
        }
    }
}

struct Unpark(Thread);

impl Wake for Unpark {
    fn wake(self: Arc<Self>) {
        self.0.unpark();
    }
}

/// Polls until it is ready. A future that is ready at once costs one poll and nothing else; one
/// that has to wait, as for a peer's async lock, parks the thread.
#[inline]
fn block_on<F: Future>(future: F, context: &mut Context<'_>) -> F::Output {
    let mut future = pin!(future);
    loop {
        match future.as_mut().poll(context) {
            Poll::Ready(output) => return output,
            Poll::Pending => thread::park(),
        }
    }
}

/// The measured loop.
#[inline(never)]
pub fn calls<C: Contender>(handle: &mut C::Handle, inputs: &Inputs, tens: u64) -> Tally {
    let waker = Waker::from(Arc::new(Unpark(thread::current())));
    let mut context = Context::from_waker(&waker);
    repeat(inputs, tens, |input| block_on(C::call(handle, input), &mut context))
}

/// The measured loop for functions that are not async.
#[inline(never)]
pub fn sync_calls<C: SyncContender>(handle: &mut C::Handle, inputs: &Inputs, tens: u64) -> Tally {
    repeat(inputs, tens, |input| C::call_sync(handle, input))
}

#[inline(always)]
fn repeat(inputs: &Inputs, tens: u64, mut call: impl FnMut(u64) -> Verdict) -> Tally {
    let mut tally = Tally { calls: tens * inputs.len() as u64, ..Tally::default() };
    for _ in 0..tens {
        for &input in black_box(&inputs[..]) {
            let verdict = black_box(call(input));
            tally.done += u64::from(verdict == Verdict::Done);
            tally.rejected += u64::from(verdict == Verdict::Rejected);
        }
    }
    tally
}

/// Calls until it rejects: by way of its own rule, whatever that is.
fn trip<C: Contender>(handle: &mut C::Handle) {
    let failing = [FAIL; 10];
    for _ in 0..100 {
        if calls::<C>(handle, &failing, 1).rejected == 10 {
            return;
        }
    }
}

/// How many threads call one breaker at once.
#[derive(Clone, Copy, Debug)]
pub struct Threads(pub u64);

/// One run: how many calls, in how long.
#[derive(Clone, Copy, Debug)]
pub struct Run {
    tally: Tally,
    took: Duration,
}

type Calls<C> = fn(&mut <C as Contender>::Handle, &Inputs, u64) -> Tally;

fn run<C: Contender>(contender: &C, calls: Calls<C>, inputs: &Inputs, tens: u64) -> Run {
    let mut handle = contender.handle();
    let begun = processor_time();
    let tally = calls(&mut handle, inputs, tens);
    Run { tally, took: processor_time().saturating_sub(begun) }
}

/// What this thread has used of its processor: one thread alone waits for nothing, so this is its
/// time without what the machine gave to others meanwhile.
fn processor_time() -> Duration {
    let used = clock_gettime(ClockId::ThreadCPUTime);
    Duration::new(used.tv_sec as u64, used.tv_nsec as u32)
}

/// Binds this thread to a processor, so that a short run is not over before the threads have been
/// spread. Where that is not allowed the thread stays where it is.
fn stay_on(processor: usize) {
    let mut set = CpuSet::new();
    set.set(processor);
    let _ = sched_setaffinity(None, &set);
}

/// Every thread makes an equal part of the calls. The time is from the first one's begin to the
/// last one's end.
fn run_threads<C: Contender>(contender: &C, inputs: &Inputs, tens: u64, threads: u64) -> Run {
    let barrier = Barrier::new(threads as usize);
    let each = (tens / threads).max(1);
    let processors = thread::available_parallelism().map_or(1, usize::from);
    let ran: Vec<_> = thread::scope(|scope| {
        let spawned: Vec<_> = (0..threads as usize)
            .map(|index| {
                let mut handle = contender.handle();
                let barrier = &barrier;
                scope.spawn(move || {
                    stay_on(index % processors);
                    barrier.wait();
                    let begun = Instant::now();
                    let tally = calls::<C>(&mut handle, inputs, each);
                    (tally, begun, Instant::now())
                })
            })
            .collect();
        spawned.into_iter().map(|thread| thread.join().expect("a call panicked")).collect()
    });
    let mut tally = Tally::default();
    ran.iter().for_each(|(part, ..)| tally.add(*part));
    let begun = ran.iter().map(|(_, begun, _)| *begun).min().expect("there is a thread");
    let ended = ran.iter().map(|(.., ended)| *ended).max().expect("there is a thread");
    Run { tally, took: ended - begun }
}

/// What a row of the table is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Role {
    /// What the machine allows.
    Floor,
    /// The row that avail is held against.
    Goal,
    Avail,
    /// A peer with the rules of the workload.
    Peer,
    /// A peer that lacks some of them, and so does less.
    Lesser,
}

/// A contender, ready to run.
pub struct Entry {
    pub name: &'static str,
    pub role: Role,
    expected: Expected,
    /// Over how many processors the calls are spread.
    processors: u64,
    go: Box<dyn Fn(u64) -> Run>,
    allocations: Box<dyn Fn(u64) -> Allocations>,
    tens: u64,
    nanos: Vec<f64>,
    pub failure: Option<String>,
}

impl Entry {
    fn new<C: Contender + 'static>(
        name: &'static str,
        role: Role,
        expected: Expected,
        contender: Arc<C>,
        calls: Calls<C>,
        inputs: Inputs,
    ) -> Self {
        let counted = contender.clone();
        Entry {
            name,
            role,
            expected,
            processors: 1,
            go: Box::new(move |tens| run(&*contender, calls, &inputs, tens)),
            allocations: Box::new(move |tens| {
                let mut handle = counted.handle();
                calls(&mut handle, &inputs, 10);
                memory::count(|| calls(&mut handle, &inputs, tens)).1
            }),
            tens: 1,
            nanos: Vec::new(),
            failure: None,
        }
    }

    /// Async calls from one thread.
    pub fn calls<C>(name: &'static str, role: Role, contender: C) -> Self
    where
        C: Contender + 'static,
    {
        Self::new(name, role, Expected::AllDone, Arc::new(contender), calls::<C>, SUCCESS)
    }

    /// Calls that are not async, from one thread.
    pub fn sync_calls<C>(name: &'static str, role: Role, contender: C) -> Self
    where
        C: SyncContender + 'static,
    {
        Self::new(name, role, Expected::AllDone, Arc::new(contender), sync_calls::<C>, SUCCESS)
    }

    /// Async calls of which each tenth fails.
    pub fn mixed<C>(name: &'static str, role: Role, contender: C) -> Self
    where
        C: Contender + 'static,
    {
        Self::new(name, role, Expected::TenthFailed, Arc::new(contender), calls::<C>, TENTH_FAILS)
    }

    /// Async calls to a breaker that is open.
    pub fn open<C: Contender + 'static>(name: &'static str, role: Role, contender: C) -> Self {
        trip::<C>(&mut contender.handle());
        Self::new(name, role, Expected::AllRejected, Arc::new(contender), calls::<C>, SUCCESS)
    }

    /// Async calls from several threads.
    pub fn threads<C: Contender + 'static>(
        name: &'static str,
        role: Role,
        Threads(threads): Threads,
        contender: C,
    ) -> Self {
        let contender = Arc::new(contender);
        let shared = contender.clone();
        let mut entry =
            Self::new(name, role, Expected::AllDone, contender, calls::<C>, SUCCESS);
        let processors = thread::available_parallelism().map_or(1, usize::from) as u64;
        entry.processors = threads.min(processors);
        entry.go = Box::new(move |tens| run_threads(&*shared, &SUCCESS, tens, threads));
        entry
    }

    /// Runs exactly so many calls: for a tool that counts instructions.
    pub fn exactly(&self, calls: u64) {
        (self.go)(calls / 10);
    }

    /// Finds how many calls fill the time. The best of three runs counts, since on a busy machine
    /// one that was interrupted would say that the calls are slow.
    fn calibrate(&mut self, time: Duration) {
        self.tens = 10;
        loop {
            let runs = [(); 3].map(|()| (self.go)(self.tens));
            if let Some(run) = runs.iter().find(|run| !self.expected.holds(run.tally)) {
                self.failure = Some(format!("{:?} expected, got {:?}", self.expected, run.tally));
                return;
            }
            let best = runs.map(|run| run.took).into_iter().min().unwrap_or_default();
            let factor = time.as_secs_f64() / best.as_secs_f64().max(1e-9);
            let next = self.tens as f64 * factor.min(20.0);
            self.tens = (next as u64).max(10);
            if factor < 4.0 {
                return;
            }
        }
    }

    fn round(&mut self) {
        if self.failure.is_some() {
            return;
        }
        let ran = (self.go)(self.tens);
        if self.expected.holds(ran.tally) {
            let calls = ran.tally.calls as f64 / self.processors as f64;
            self.nanos.push(ran.took.as_nanos() as f64 / calls);
        } else {
            self.failure = Some(format!("{:?} expected, got {:?}", self.expected, ran.tally));
        }
    }

    /// Nanoseconds a call.
    pub fn summary(&self) -> Summary {
        Summary::of(&self.nanos)
    }

    /// Allocations a call: what a longer run has more than a shorter one.
    pub fn allocations(&self) -> f64 {
        let tens = 100;
        let more = (self.allocations)(2 * tens).count - (self.allocations)(tens).count;
        more as f64 / (10 * tens) as f64
    }
}

/// Median, least and most of the rounds.
#[derive(Clone, Copy, Debug)]
pub struct Summary {
    pub median: f64,
    pub min: f64,
    pub max: f64,
}

impl Summary {
    pub fn of(values: &[f64]) -> Self {
        let mut sorted = values.to_vec();
        sorted.sort_by(f64::total_cmp);
        let at = |index: usize| sorted.get(index).copied().unwrap_or(f64::NAN);
        let middle = sorted.len() / 2;
        let median = match sorted.len() % 2 {
            0 => (at(middle.wrapping_sub(1)) + at(middle)) / 2.0,
            _ => at(middle),
        };
        Summary { median, min: at(0), max: at(sorted.len().wrapping_sub(1)) }
    }
}

/// How long a run is, and how many rounds there are.
#[derive(Clone, Copy, Debug)]
pub struct Effort {
    pub time: Duration,
    pub rounds: usize,
}

/// Every entry runs once a round, each round beginning with another one.
pub fn rounds(entries: &mut [Entry], effort: Effort) {
    entries.iter_mut().for_each(|entry| entry.calibrate(effort.time));
    let count = entries.len();
    for round in 0..effort.rounds {
        // A stride through the list, so that the one that runs before another changes as well.
        let first = round * count / effort.rounds.max(1);
        for step in 0..count {
            let index = if round % 2 == 0 { first + step } else { first + count - step };
            entries[index % count].round();
        }
    }
}
