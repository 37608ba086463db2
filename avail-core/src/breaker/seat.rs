//! A small number for each thread, its own while it lives.

/// Not seated yet.
const STANDING: u32 = u32::MAX;
/// The thread is ending, and has given its seat back. Every seat is below it.
pub(super) const GONE: u32 = u32::MAX - 1;

pub(super) use self::of_thread::{seat, taken_seat};

#[cfg(not(avail_loom))]
mod of_thread {
    use std::cell::Cell;
    use std::cmp::Reverse;
    use std::collections::BinaryHeap;
    use std::sync::{Mutex, PoisonError};

    use super::{GONE, STANDING};

    /// A thread's seat; given back when the thread ends.
    #[derive(Debug)]
    struct Seat;

    struct Seats {
        next: u32,
        free: BinaryHeap<Reverse<u32>>,
    }

    static SEATS: Mutex<Seats> = Mutex::new(Seats { next: 0, free: BinaryHeap::new() });

    thread_local! {
        /// Beside `KEEPER`, since a value without a destructor is reached without a check.
        static NUMBER: Cell<u32> = const { Cell::new(STANDING) };
        static KEEPER: Seat = const { Seat };
    }

    /// The thread's seat, if it has one yet; else a number that is no seat.
    #[inline]
    pub(in crate::breaker) fn taken_seat() -> u32 {
        NUMBER.get()
    }

    /// The thread's seat number, or [`GONE`].
    pub(in crate::breaker) fn seat() -> u32 {
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
}

/// All threads of a model run on one.
#[cfg(avail_loom)]
mod of_thread {
    use std::cell::Cell;
    use std::sync::atomic::{AtomicU32, Ordering};

    use super::STANDING;

    loom::thread_local! {
        static NUMBER: Cell<u32> = Cell::new(STANDING);
    }

    // Of one execution, so that each has the same seats.
    loom::lazy_static! {
        static ref NEXT: AtomicU32 = AtomicU32::new(0);
    }

    pub(in crate::breaker) fn taken_seat() -> u32 {
        seat()
    }

    pub(in crate::breaker) fn seat() -> u32 {
        NUMBER.with(|number| {
            if number.get() == STANDING {
                number.set(NEXT.fetch_add(1, Ordering::Relaxed));
            }
            number.get()
        })
    }
}

#[cfg(all(test, not(avail_loom)))]
mod tests {
    use std::collections::HashSet;

    use super::*;

    #[test]
    fn the_seat_of_a_thread_that_has_ended_is_given_to_another() {
        let seat_of_a_thread = || std::thread::spawn(seat).join().expect("it ends");
        let seats: HashSet<u32> = (0..200).map(|_| seat_of_a_thread()).collect();
        // Tests beside this one have seats too, and come and go.
        assert!(seats.len() < 100, "{seats:?}");
    }

    #[test]
    fn a_thread_is_told_its_seat_once_it_has_taken_one() {
        let together = std::sync::Barrier::new(20);
        std::thread::scope(|scope| {
            for _ in 0..20 {
                scope.spawn(|| {
                    assert!(taken_seat() >= GONE, "it is standing");
                    let seat = seat();
                    together.wait();
                    assert_eq!(taken_seat(), seat);
                });
            }
        });
    }

    #[test]
    fn threads_that_live_at_once_have_different_seats() {
        let together = std::sync::Barrier::new(20);
        let seats: HashSet<u32> = std::thread::scope(|scope| {
            let sit = || {
                let seats = [seat(), seat()];
                together.wait();
                seats
            };
            let threads: Vec<_> = (0..20).map(|_| scope.spawn(sit)).collect();
            threads.into_iter().flat_map(|thread| thread.join().expect("it ends")).collect()
        });
        assert_eq!(seats.len(), 20, "{seats:?}");
        assert!(seats.iter().all(|seat| *seat < GONE), "{seats:?}");
    }
}
