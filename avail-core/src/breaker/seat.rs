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
