//! Counters that no two threads write.
//!
//! A shared counter costs its cache line's travel from core to core at every call. Here each thread
//! has a *seat*, a small number that is its own while it lives, and each breaker a shard of counters
//! for each seat that ever used it. To count is to load and to store: nobody else stores there. To
//! read is to add the shards up.
//!
//! The first thread to use a breaker gets the shard inside it; others get theirs on the heap, when
//! they come. So a breaker that is not contended stays small.

use std::cell::Cell;
use std::cmp::Reverse;
use std::collections::BinaryHeap;
use std::sync::atomic::{AtomicU32, AtomicU64, Ordering};
use std::sync::{Mutex, OnceLock, PoisonError};

/// Counters are relaxed throughout: each stands alone, and guards no other memory.
use Ordering::Relaxed;

/// A thread's seat; given back when the thread ends.
#[derive(Debug)]
struct Seat;

struct Seats {
    next: u32,
    free: BinaryHeap<Reverse<u32>>,
}

static SEATS: Mutex<Seats> = Mutex::new(Seats { next: 0, free: BinaryHeap::new() });

/// Not seated yet.
const STANDING: u32 = u32::MAX;
/// The thread is ending, and has given its seat back.
const GONE: u32 = u32::MAX - 1;

thread_local! {
    /// Beside `KEEPER`, since a value without a destructor is reached without a check.
    static NUMBER: Cell<u32> = const { Cell::new(STANDING) };
    static KEEPER: Seat = const { Seat };
}

/// The thread's seat number, or [`GONE`].
#[inline]
fn seat() -> u32 {
    let number = NUMBER.get();
    if number == STANDING { sit_down() } else { number }
}

#[cold]
fn sit_down() -> u32 {
    // Registers the destructor that gives the seat back.
    if KEEPER.try_with(|_| ()).is_err() {
        return GONE;
    }
    let mut seats = SEATS.lock().unwrap_or_else(PoisonError::into_inner);
    let number = seats.free.pop().map_or(seats.next, |Reverse(number)| number);
    seats.next = seats.next.max(number + 1);
    NUMBER.set(number);
    number
}

impl Drop for Seat {
    fn drop(&mut self) {
        let number = NUMBER.replace(GONE);
        if number < GONE {
            // The lock orders this thread's last count before the next owner's first.
            SEATS.lock().unwrap_or_else(PoisonError::into_inner).free.push(Reverse(number));
        }
    }
}

/// One thread's counters, on cache lines of their own.
#[derive(Debug)]
#[repr(align(64))]
struct Shard<const N: usize>([AtomicU64; N]);

impl<const N: usize> Shard<N> {
    fn new() -> Self {
        Shard([const { AtomicU64::new(0) }; N])
    }
}

/// `N` counters.
#[derive(Debug)]
pub(crate) struct Sharded<const N: usize> {
    /// The seat whose shard is `own`, plus one; 0: nobody's yet.
    owner: AtomicU32,
    own: Shard<N>,
    others: OnceLock<Box<Others<N>>>,
}

/// Shards of all other seats: tier `t` has room for 2^t of them, and is made when one comes.
#[derive(Debug)]
struct Others<const N: usize> {
    tiers: [OnceLock<Box<[Shard<N>]>>; TIERS],
    /// For threads without a seat; counted by adding atomically.
    shared: Shard<N>,
}

/// 2^16 − 1 threads at once have shards of their own.
const TIERS: usize = 16;

impl<const N: usize> Default for Sharded<N> {
    fn default() -> Self {
        Sharded { owner: AtomicU32::new(0), own: Shard::new(), others: OnceLock::new() }
    }
}

impl<const N: usize> Sharded<N> {
    /// Adds one to the counter.
    #[inline]
    pub(crate) fn count(&self, counter: usize) {
        let seat = seat();
        if self.owner.load(Relaxed) == seat.wrapping_add(1) {
            bump(&self.own.0[counter]);
        } else {
            self.count_elsewhere(seat, counter);
        }
    }

    #[inline(never)]
    fn count_elsewhere(&self, seat: u32, counter: usize) {
        if seat < GONE && self.owner.compare_exchange(0, seat + 1, Relaxed, Relaxed).is_ok() {
            return bump(&self.own.0[counter]);
        }
        let others = self.others.get_or_init(Box::default);
        match others.shard(seat) {
            Some(shard) => bump(&shard.0[counter]),
            None => {
                others.shared.0[counter].fetch_add(1, Relaxed);
            }
        }
    }

    /// The sum over all threads: each count that happened before is in it.
    pub(crate) fn sum(&self, counter: usize) -> u64 {
        let own = self.own.0[counter].load(Relaxed);
        let others = self.others.get().map_or(0, |others| others.sum(counter));
        own.wrapping_add(others)
    }
}

/// Only the shard's owner writes it, so that a load and a store lose nothing.
#[inline]
fn bump(counter: &AtomicU64) {
    counter.store(counter.load(Relaxed).wrapping_add(1), Relaxed);
}

impl<const N: usize> Default for Others<N> {
    fn default() -> Self {
        Others { tiers: [const { OnceLock::new() }; TIERS], shared: Shard::new() }
    }
}

impl<const N: usize> Others<N> {
    fn shard(&self, seat: u32) -> Option<&Shard<N>> {
        let place = seat.checked_add(1)?;
        let tier = place.ilog2();
        let first = 1 << tier;
        let shards = self
            .tiers
            .get(tier as usize)?
            .get_or_init(|| (0..first).map(|_| Shard::new()).collect());
        shards.get((place - first) as usize)
    }

    fn sum(&self, counter: usize) -> u64 {
        let made = self.tiers.iter().filter_map(OnceLock::get).flatten();
        let shards = made.chain([&self.shared]);
        shards.map(|shard| shard.0[counter].load(Relaxed)).fold(0, u64::wrapping_add)
    }
}

#[cfg(test)]
mod tests {
    use std::sync::{Arc, Barrier};

    use super::*;

    #[test]
    fn no_count_is_lost_whoever_counts() {
        let counters: Arc<Sharded<2>> = Arc::default();
        for _ in 0..3 {
            let together = Arc::new(Barrier::new(8));
            let threads: Vec<_> = (0..8)
                .map(|_| {
                    let (counters, together) = (counters.clone(), together.clone());
                    std::thread::spawn(move || {
                        together.wait();
                        for _ in 0..10_000 {
                            counters.count(1);
                        }
                    })
                })
                .collect();
            for thread in threads {
                thread.join().expect("it counts");
            }
        }
        assert_eq!((counters.sum(0), counters.sum(1)), (0, 240_000));
    }

    #[test]
    fn a_thread_that_ends_while_it_counts_is_still_counted() {
        struct CountsInItsDestructor(Arc<Sharded<1>>);
        impl Drop for CountsInItsDestructor {
            fn drop(&mut self) {
                self.0.count(0);
            }
        }
        thread_local! {
            static LATE: std::cell::RefCell<Option<CountsInItsDestructor>> =
                const { std::cell::RefCell::new(None) };
        }
        let counters: Arc<Sharded<1>> = Arc::default();
        let handed = counters.clone();
        let thread = std::thread::spawn(move || {
            LATE.set(Some(CountsInItsDestructor(handed.clone())));
            handed.count(0);
        });
        thread.join().expect("it ends");
        assert_eq!(counters.sum(0), 2);
    }

    #[test]
    fn each_seat_has_a_shard_of_its_own_and_the_last_one_none() {
        let others: Others<1> = Others::default();
        for seat in 0..100 {
            bump(&others.shard(seat).expect("there is room").0[0]);
        }
        let counts: Vec<_> =
            (0..100).filter_map(|seat| others.shard(seat)).map(|s| s.0[0].load(Relaxed)).collect();
        assert_eq!(counts, [1; 100]);
        assert!(others.shard(GONE).is_none() && others.shard(STANDING).is_none());
    }

    #[test]
    fn an_uncontended_breaker_has_no_shards_on_the_heap() {
        let counters: Sharded<9> = Sharded::default();
        counters.count(0);
        assert!(counters.others.get().is_none());
        assert!(size_of::<Sharded<9>>() <= 256);
    }
}
