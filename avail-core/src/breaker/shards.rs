//! What no two threads write.
//!
//! A shared counter costs its cache line's travel from core to core at every call. Here each thread
//! has a *seat*, a small number that is its own while it lives, and each breaker a shard for each
//! seat that ever used it. To count is to load and to store: nobody else stores there. To read is to
//! add the shards up.
//!
//! The first thread to use a breaker gets the shard inside it; others get theirs on the heap, when
//! they come. So a breaker that is not contended stays small.

use std::sync::OnceLock;
use std::sync::atomic::{AtomicU32, AtomicU64, Ordering};

use super::seat::{GONE, seat, taken_seat};

/// Relaxed throughout: each counter stands alone, and guards no other memory.
use Ordering::Relaxed;

/// On cache lines of its own.
#[derive(Debug, Default)]
#[repr(align(64))]
struct Apart<T>(T);

/// No thread has it yet. Neither a seat nor what stands for none.
const FREE: u32 = GONE - 1;

/// A `T` for each thread.
#[derive(Debug)]
pub(crate) struct Shards<T> {
    /// The seat whose shard is `own`, or [`FREE`].
    owner: AtomicU32,
    own: Apart<T>,
    others: OnceLock<Box<Tiers<T>>>,
    shared: OnceLock<Box<T>>,
}

/// Shards of all other seats: tier `t` has room for 2^t of them, and is made when one comes.
type Tiers<T> = [OnceLock<Box<[Apart<T>]>>; TIERS];

/// 2^16 − 1 threads at once have shards of their own.
const TIERS: usize = 16;

impl<T: Default> Default for Shards<T> {
    fn default() -> Self {
        let shards = Shards {
            owner: AtomicU32::new(FREE),
            own: Apart::default(),
            others: OnceLock::new(),
            shared: OnceLock::new(),
        };
        // A model does not see that one thread makes a shard before another reads it.
        #[cfg(avail_loom)]
        (0..2).for_each(|tier| _ = shards.tier(tier));
        shards
    }
}

impl<T: Default> Shards<T> {
    /// This thread's, which no other writes; `None` where it can't have one, as at its very end.
    #[inline]
    pub(crate) fn mine(&self) -> Option<&T> {
        self.mine_here().or_else(|| self.mine_elsewhere())
    }

    /// This thread's, if that is the one inside.
    #[inline]
    fn mine_here(&self) -> Option<&T> {
        (self.owner.load(Relaxed) == taken_seat()).then_some(&self.own.0)
    }

    #[inline(never)]
    fn mine_elsewhere(&self) -> Option<&T> {
        self.of(seat())
    }

    fn of(&self, seat: u32) -> Option<&T> {
        if seat >= FREE {
            return None;
        }
        let owner = self.owner.load(Relaxed);
        let takes = || self.owner.compare_exchange(FREE, seat, Relaxed, Relaxed).is_ok();
        if owner == seat || owner == FREE && takes() {
            return Some(&self.own.0);
        }
        let place = seat + 1;
        let tier = place.ilog2();
        let shard = self.tier(tier)?.get((place - (1 << tier)) as usize)?;
        Some(&shard.0)
    }

    #[inline]
    fn tier(&self, tier: u32) -> Option<&[Apart<T>]> {
        let tiers = self.others.get_or_init(|| Box::new([const { OnceLock::new() }; TIERS]));
        let made = || (0..1 << tier).map(|_| Apart::default()).collect();
        Some(tiers.get(tier as usize)?.get_or_init(made))
    }

    /// That of all threads that have none of their own.
    #[cold]
    fn shared(&self) -> &T {
        self.shared.get_or_init(Box::default)
    }

    /// Those of all threads.
    pub(crate) fn iter(&self) -> impl Iterator<Item = &T> {
        let tiers = self.others.get().into_iter().flat_map(|tiers| tiers.iter());
        let others = tiers.filter_map(OnceLock::get).flatten();
        let shared = self.shared.get().map(|shared| &**shared);
        [&self.own].into_iter().chain(others).map(|shard| &shard.0).chain(shared)
    }
}

/// `N` counters.
#[derive(Debug)]
pub(crate) struct Sharded<const N: usize>(Shards<Counts<N>>);

#[derive(Debug)]
struct Counts<const N: usize>([AtomicU64; N]);

impl<const N: usize> Counts<N> {
    /// Nobody else writes it, so that a load and a store lose nothing.
    #[inline]
    fn add(&self, counter: usize) {
        self.0[counter].store(self.0[counter].load(Relaxed).wrapping_add(1), Relaxed);
    }
}

impl<const N: usize> Default for Counts<N> {
    fn default() -> Self {
        Counts([const { AtomicU64::new(0) }; N])
    }
}

impl<const N: usize> Default for Sharded<N> {
    fn default() -> Self {
        Sharded(Shards::default())
    }
}

impl<const N: usize> Sharded<N> {
    /// Adds one to the counter.
    #[inline]
    pub(crate) fn count(&self, counter: usize) {
        match self.0.mine_here() {
            Some(own) => own.add(counter),
            None => self.count_elsewhere(counter),
        }
    }

    #[inline(never)]
    fn count_elsewhere(&self, counter: usize) {
        match self.0.mine_elsewhere() {
            Some(own) => own.add(counter),
            None => _ = self.0.shared().0[counter].fetch_add(1, Relaxed),
        }
    }

    /// The sum over all threads: each count that happened before is in it.
    pub(crate) fn sum(&self, counter: usize) -> u64 {
        let all = self.0.iter().map(|counts| counts.0[counter].load(Relaxed));
        all.fold(0, u64::wrapping_add)
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
        let (up, down): (Vec<u32>, Vec<u32>) = ((0..100).collect(), (0..100).rev().collect());
        for seats in [up, down] {
            let shards: Shards<AtomicU64> = Shards::default();
            for seat in seats {
                shards.of(seat).expect("there is room").fetch_add(1, Relaxed);
            }
            let counts: Vec<_> = shards.iter().map(|shard| shard.load(Relaxed)).collect();
            assert_eq!(counts.iter().filter(|count| **count == 1).count(), 100);
            assert!(counts.iter().all(|count| *count <= 1));
            assert!([FREE, GONE, u32::MAX].into_iter().all(|none| shards.of(none).is_none()));
        }
    }

    #[test]
    fn an_uncontended_breaker_has_no_shards_on_the_heap() {
        let counters: Sharded<9> = Sharded::default();
        counters.count(0);
        assert!(counters.0.others.get().is_none() && counters.0.shared.get().is_none());
        assert!(size_of::<Sharded<9>>() <= 256);
    }
}
