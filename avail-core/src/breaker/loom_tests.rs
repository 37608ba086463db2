//! Every interleaving of two or three threads at the machine's edges, under loom:
//!
//! ```text
//! RUSTFLAGS="--cfg avail_loom" cargo test -p avail-core --lib --release loom
//! ```
//!
//! Time is a number that each thread brings along, as it does in a process where a thread reads
//! the clock and then waits for the lock.
//!
//! Bugs that were planted, and that these models caught: the word published or loaded with Relaxed;
//! no second look at the word after taking the lock; a probe's epoch not checked under it; a streak
//! that does not move with the epoch, or is changed without a check of it; a success that gives up
//! at the first race; an old streak forgotten without the lock, or without a second look under it;
//! a lease that ended believed without that second look; a rejection while a change takes the
//! probes back; a streak in shadow reported by each of its last failures; two threads that deliver
//! at once; a late result of a probe that counts; an override's end taken away before the word, or
//! with Relaxed, or believed beside an old word; in a window, either fence left out, good calls told
//! to look after the count instead of before it, a thread's era written or read with Relaxed, or
//! its count kept from one era to the next, an earlier era not told from a later one, a window's
//! generation left out, or published with Relaxed, or before the window's size; the time of a failure
//! not kept, or after it is in the streak, or as it comes and not the latest of them; an old streak
//! forgotten though it has grown since, or though it was read or written with Relaxed.
//!
//! Not caught: Release and Acquire of `last_failure` made Relaxed, and `first_lease` stored after
//! the word. A lease that is not seen yet sends the caller to the lock, which puts it right.

use std::cell::Cell;
use std::time::Duration;

use chrono::Utc;
use loom::sync::Arc;
use loom::thread;

use super::machine::{Machine, Observation, RejectedBy, Rejection, Standing, Ticket, Verdict};
use super::overrides::{Mode, Override, OverrideOptions};
use super::state::CircuitState;
use super::window::{Era, Mark, Tally, Window};
use super::{CircuitBreakerConfig, CircuitBreakerConfigBuilder, RateWindow};
use crate::clock::Tick;

const OPEN_TIME: u64 = 10;
const LEASE: u64 = 60;

fn at(seconds: u64) -> Tick {
    Tick::from_nanos(1_000_000_000).after(Duration::from_secs(seconds))
}

/// Two failures open it for ten seconds, one success closes it.
fn config() -> CircuitBreakerConfigBuilder {
    CircuitBreakerConfig::builder()
        .failure_threshold(2)
        .success_threshold(1)
        .timeout(Duration::from_secs(OPEN_TIME))
}

struct Rig {
    machine: Machine,
}

impl Rig {
    fn new(config: CircuitBreakerConfigBuilder) -> Arc<Self> {
        let config = config.build().expect("a valid configuration");
        Arc::new(Rig { machine: Machine::new(std::sync::Arc::new(config), at(0), Mode::On, None) })
    }

    /// As [`CircuitBreaker::acquire`](super::CircuitBreaker::acquire) does it.
    fn admit(&self, second: u64) -> Result<Ticket, Rejection> {
        match self.machine.admit_closed() {
            Some(ticket) => Ok(ticket),
            None => self.machine.admit(at(second)),
        }
    }

    fn ticket(&self, second: u64) -> Ticket {
        self.admit(second).expect("the call is let through")
    }

    fn settle(&self, ticket: Ticket, verdict: Verdict, second: u64) -> Standing {
        self.machine.settle(ticket, verdict, false, &|| at(second))
    }

    fn fail(&self, second: u64) {
        let ticket = self.ticket(second);
        self.settle(ticket, Verdict::Bad, second);
    }

    fn trip(&self, second: u64) {
        self.machine.trip(at(second));
    }

    fn observe(&self, now: Tick) -> Observation {
        self.machine.observe(now)
    }

    fn state(&self) -> CircuitState {
        self.observe(at(0)).state
    }

    fn failures(&self, second: u64) -> u32 {
        self.machine.failure_count(at(second))
    }

    fn opened(&self) -> usize {
        self.moves().into_iter().filter(|&to| to == CircuitState::Open).count()
    }

    /// Where each change that is still to be told led.
    fn moves(&self) -> Vec<CircuitState> {
        let mut first = true;
        std::iter::from_fn(|| self.machine.next_change(std::mem::take(&mut first)))
            .filter(|change| change.from != change.to)
            .map(|change| change.to)
            .collect()
    }

    fn override_with(&self, kind: Override, second: u64, ttl: Option<Duration>) {
        let options = OverrideOptions { ttl, ..OverrideOptions::reason("deploying") };
        self.machine.set_override(kind, options, at(second), Utc::now());
    }
}

thread_local! {
    /// Which of two threads is begun first.
    static SECOND_FIRST: Cell<bool> = const { Cell::new(false) };
}

/// Explores every interleaving. It is begun from either side: loom goes back to an access only from
/// the last one before it, and so does not find, behind a thread that reads and then writes, the
/// reader that came before.
fn explore(model: impl Fn() + Send + Sync + Clone + 'static) {
    for second_first in [false, true] {
        SECOND_FIRST.set(second_first);
        loom::model(model.clone());
    }
}

/// Runs both at once, each on a thread of its own.
fn beside<T: 'static, R: 'static, S: 'static>(
    rig: &Arc<T>,
    first: impl FnOnce(&T) -> R + 'static,
    second: impl FnOnce(&T) -> S + 'static,
) -> (R, S) {
    let (of_first, of_second) = (rig.clone(), rig.clone());
    let first = move || first(&of_first);
    let second = move || second(&of_second);
    let (first, second) = if SECOND_FIRST.get() {
        let second = thread::spawn(second);
        (thread::spawn(first), second)
    } else {
        (thread::spawn(first), thread::spawn(second))
    };
    let results = if SECOND_FIRST.get() {
        let second = second.join();
        (first.join(), second)
    } else {
        (first.join(), second.join())
    };
    (results.0.expect("it does not panic"), results.1.expect("it does not panic"))
}

#[test]
fn loom_at_the_edge_one_of_two_callers_probes() {
    explore(|| {
        let rig = Rig::new(config());
        rig.trip(0);
        let (here, there) = beside(&rig, |rig| rig.admit(10), |rig| rig.admit(10));
        assert_ne!(here.is_ok(), there.is_ok());
        let rejection = here.err().or(there.err()).expect("one is rejected");
        assert_eq!(rejection.state, RejectedBy::HalfOpen);
        assert_eq!(rig.observe(at(10)).probes_in_flight, 1);
        assert_eq!(rig.moves(), [CircuitState::Open, CircuitState::HalfOpen]);
    });
}

#[test]
fn loom_whoever_sees_it_open_sees_until_when() {
    explore(|| {
        let rig = Rig::new(config());
        beside(
            &rig,
            move |rig| rig.trip(5),
            move |rig| match rig.admit(6) {
                Ok(ticket) => assert_eq!((ticket.lease, ticket.epoch()), (None, 0)),
                Err(rejection) => {
                    assert_eq!(rejection.state, RejectedBy::Open);
                    assert_eq!(rejection.retry_after, Some(Duration::from_secs(9)));
                }
            },
        );
    });
}

#[test]
fn loom_whoever_sees_it_half_open_sees_when_the_lease_ends() {
    explore(|| {
        let rig = Rig::new(config());
        rig.trip(0);
        let _ = beside(
            &rig,
            move |rig| rig.admit(10),
            move |rig| {
                // Long after the other's lease: whichever of the two probes first, both pass.
                let late = rig.ticket(10 + LEASE + OPEN_TIME);
                assert!(late.lease.is_some());
            },
        );
        assert_eq!(rig.state(), CircuitState::HalfOpen);
    });
}

#[test]
fn loom_a_result_and_a_trip() {
    for verdict in [Verdict::Good, Verdict::Bad, Verdict::Nothing] {
        explore(move || {
            let rig = Rig::new(config());
            rig.fail(0);
            let ticket = rig.ticket(0);
            beside(
                &rig,
                move |rig| rig.trip(3),
                move |rig| {
                    rig.settle(ticket, verdict, 2);
                },
            );
            let rejection = rig.admit(4).expect_err("tripped");
            assert!(rejection.retry_after >= Some(Duration::from_secs(9)), "{rejection:?}");
            // A streak of the epoch that ended is no part of the next.
            rig.machine.reset(at(4));
            assert_eq!(rig.failures(4), 0);
        });
    }
}

#[test]
fn loom_a_stale_success_does_not_clear_the_streak_of_the_next_epoch() {
    explore(|| {
        let rig = Rig::new(config());
        rig.fail(0);
        let stale = rig.ticket(0);
        beside(
            &rig,
            move |rig| {
                rig.machine.reset(at(1));
                rig.fail(1);
                rig.fail(1);
            },
            move |rig| {
                rig.settle(stale, Verdict::Good, 1);
            },
        );
        assert_eq!(rig.state(), CircuitState::Open);
    });
}

#[test]
fn loom_a_failure_and_a_reset() {
    explore(|| {
        let rig = Rig::new(config());
        rig.fail(0);
        let ticket = rig.ticket(0);
        let stale = rig.ticket(0);
        let (standing, ()) = beside(
            &rig,
            move |rig| rig.settle(ticket, Verdict::Bad, 0),
            move |rig| rig.machine.reset(at(0)),
        );
        // Either it tripped first and was reset, or it was stale: nothing is left over.
        assert_eq!((rig.state(), rig.failures(0)), (CircuitState::Closed, 0));
        assert!(rig.opened() <= usize::from(standing == Standing::Current));
        assert_eq!(rig.settle(stale, Verdict::Bad, 0), Standing::Stale);
    });
}

#[test]
fn loom_a_probe_and_a_reset() {
    for verdict in [Verdict::Good, Verdict::Bad, Verdict::Nothing] {
        explore(move || {
            let rig = Rig::new(config());
            rig.trip(0);
            let probe = rig.ticket(10);
            beside(
                &rig,
                move |rig| rig.settle(probe, verdict, 10),
                move |rig| rig.machine.reset(at(10)),
            );
            let seen = rig.observe(at(10));
            assert_eq!((seen.state, seen.probes_in_flight), (CircuitState::Closed, 0));
        });
    }
}

#[test]
fn loom_a_call_of_the_next_epoch_counts_in_it() {
    explore(|| {
        let rig = Rig::new(config());
        rig.fail(0);
        beside(
            &rig,
            move |rig| rig.machine.reset(at(0)),
            move |rig| {
                let ticket = rig.ticket(0);
                let standing = rig.settle(ticket, Verdict::Bad, 0);
                let of_the_next = ticket.epoch() == 1;
                assert!(!of_the_next || standing == Standing::Current);
                assert!(!of_the_next || rig.failures(0) == 1);
            },
        );
    });
}

#[test]
fn loom_whoever_sees_an_override_sees_when_it_ends() {
    explore(|| {
        let rig = Rig::new(config());
        beside(
            &rig,
            move |rig| rig.override_with(Override::Disabled, 0, Some(Duration::from_secs(5))),
            move |rig| {
                // Before it, in the epoch 0, or after it, in 2: at this time it is over.
                let ticket = rig.ticket(6);
                assert_ne!(ticket.epoch(), 1);
            },
        );
    });
}

#[test]
fn loom_a_call_under_an_override_is_stale_once_that_is_over() {
    explore(|| {
        let rig = Rig::new(config());
        rig.override_with(Override::Shadow, 0, Some(Duration::from_secs(5)));
        let ticket = rig.ticket(1);
        let (standing, ()) =
            beside(&rig, move |rig| rig.settle(ticket, Verdict::Good, 6), |rig| rig.fail(6));
        assert_eq!((standing, rig.failures(6)), (Standing::Stale, 1));
    });
}

#[test]
fn loom_an_override_and_a_failure_that_trips() {
    for kind in [Override::ForcedOpen, Override::Disabled, Override::Shadow] {
        explore(move || {
            let rig = Rig::new(config().failure_threshold(1));
            let ticket = rig.ticket(0);
            beside(
                &rig,
                move |rig| rig.settle(ticket, Verdict::Bad, 0),
                move |rig| rig.override_with(kind, 0, None),
            );
            let forced = kind == Override::ForcedOpen;
            assert_eq!(rig.state() == CircuitState::Open, forced);
            assert_eq!(rig.admit(0).is_err(), forced);
            rig.machine.clear_override(at(0));
            assert_eq!((rig.state(), rig.failures(0)), (CircuitState::Closed, 0));
        });
    }
}

#[test]
fn loom_whoever_is_rejected_by_force_is_told_the_reason() {
    explore(|| {
        let rig = Rig::new(config());
        rig.override_with(Override::ForcedOpen, 0, None);
        beside(
            &rig,
            move |rig| rig.machine.clear_override(at(0)),
            move |rig| {
                if let Err(rejection) = rig.admit(0) {
                    assert_eq!(rejection.reason.to_string(), "forced open: deploying");
                }
            },
        );
        assert!(rig.admit(0).is_ok());
    });
}

#[test]
fn loom_an_override_expires_once() {
    explore(|| {
        let rig = Rig::new(config());
        rig.override_with(Override::ForcedOpen, 0, Some(Duration::from_secs(5)));
        beside(&rig, |rig| assert!(rig.admit(6).is_ok()), |rig| assert!(rig.admit(6).is_ok()));
        assert_eq!(rig.moves(), [CircuitState::Open, CircuitState::Closed]);
    });
}

#[test]
fn loom_an_override_that_expires_does_not_take_the_next_with_it() {
    explore(|| {
        let rig = Rig::new(config());
        rig.override_with(Override::Disabled, 0, Some(Duration::from_secs(5)));
        beside(
            &rig,
            move |rig| rig.override_with(Override::ForcedOpen, 6, Some(Duration::from_secs(5))),
            move |rig| {
                let _ = rig.admit(6);
            },
        );
        assert!(rig.admit(7).is_err());
    });
}

#[test]
fn loom_the_switch_and_a_call_under_way() {
    explore(|| {
        let rig = Rig::new(config().failure_threshold(1));
        let ticket = rig.ticket(0);
        beside(
            &rig,
            move |rig| rig.settle(ticket, Verdict::Bad, 0),
            move |rig| {
                rig.machine.set_mode(Mode::Off, at(0));
                assert!(rig.admit(0).is_ok());
                rig.machine.set_mode(Mode::On, at(0));
                assert!(rig.admit(0).is_ok());
            },
        );
        assert_eq!((rig.state(), rig.failures(0)), (CircuitState::Closed, 0));
    });
}

#[test]
fn loom_a_lease_that_ends_and_the_late_result() {
    explore(|| {
        let rig = Rig::new(config());
        rig.trip(0);
        let probe = rig.ticket(10);
        let late = 10 + LEASE + 1;
        let (standing, ()) = beside(
            &rig,
            move |rig| rig.settle(probe, Verdict::Good, late),
            move |rig| {
                let rejection = rig.admit(late).expect_err("it re-opened a second ago");
                assert_eq!(rejection.retry_after, Some(Duration::from_secs(9)));
            },
        );
        assert_eq!(standing, Standing::Stale);
        assert_eq!(rig.state(), CircuitState::Open);
    });
}

#[test]
fn loom_a_lease_that_ended_is_not_taken_for_that_of_the_next_probe() {
    explore(|| {
        let rig = Rig::new(config());
        rig.trip(0);
        let first = rig.ticket(10);
        // The one thread has read the clock just before the lease ends, the other just after.
        let (second, ()) = beside(
            &rig,
            move |rig| {
                rig.settle(first, Verdict::Nothing, 69);
                rig.admit(69)
            },
            move |rig| {
                let _ = rig.admit(70);
            },
        );
        if let Ok(second) = second {
            assert_eq!(rig.settle(second, Verdict::Good, 71), Standing::Current);
            assert_eq!(rig.state(), CircuitState::Closed);
        }
    });
}

#[test]
fn loom_a_slot_that_is_given_back_is_given_to_one_caller() {
    explore(|| {
        let rig = Rig::new(config());
        rig.trip(0);
        let probe = rig.ticket(10);
        let (back, taken) = beside(
            &rig,
            move |rig| rig.settle(probe, Verdict::Nothing, 10),
            |rig| rig.admit(10).is_ok(),
        );
        assert_eq!(back, Standing::Current);
        assert_eq!(rig.observe(at(10)).probes_in_flight, u32::from(taken));
        assert_eq!(rig.admit(10).is_ok(), !taken);
    });
}

#[test]
fn loom_two_failures_at_once_trip_once() {
    explore(|| {
        let rig = Rig::new(config());
        let (here, there) = (rig.ticket(0), rig.ticket(0));
        beside(
            &rig,
            move |rig| rig.settle(there, Verdict::Bad, 0),
            move |rig| {
                rig.settle(here, Verdict::Bad, 0);
            },
        );
        assert_eq!((rig.state(), rig.failures(0)), (CircuitState::Open, 2));
        assert_eq!(rig.opened(), 1);
    });
}

#[test]
fn loom_in_shadow_one_streak_is_reported_once() {
    explore(|| {
        let rig = Rig::new(config());
        rig.machine.set_mode(Mode::Shadow, at(0));
        rig.fail(0);
        let (here, there) = (rig.ticket(0), rig.ticket(0));
        beside(
            &rig,
            move |rig| rig.settle(there, Verdict::Bad, 0),
            move |rig| {
                rig.settle(here, Verdict::Bad, 0);
            },
        );
        // Three failures, two to a streak. Both at once may go into the one streak.
        assert_eq!(rig.observe(at(0)).would_open, 1);
        assert!(rig.failures(0) <= 1);
    });
}

#[test]
fn loom_a_success_beside_a_failure_breaks_the_streak() {
    explore(|| {
        let rig = Rig::new(config().failure_threshold(3));
        rig.fail(0);
        rig.fail(0);
        let (here, there) = (rig.ticket(0), rig.ticket(0));
        beside(
            &rig,
            move |rig| rig.settle(there, Verdict::Good, 0),
            move |rig| {
                rig.settle(here, Verdict::Bad, 0);
            },
        );
        // The failure came first and tripped, or the success came first; it was not lost.
        match rig.state() {
            CircuitState::Open => assert_eq!(rig.opened(), 1),
            _ => assert!(rig.failures(0) <= 1, "{}", rig.failures(0)),
        }
    });
}

#[test]
fn loom_a_success_is_not_lost_between_failures() {
    explore(|| {
        let rig = Rig::new(config().failure_threshold(3));
        rig.fail(0);
        let (here, there) = (rig.ticket(0), rig.ticket(0));
        beside(
            &rig,
            move |rig| rig.settle(there, Verdict::Good, 0),
            move |rig| {
                rig.settle(here, Verdict::Bad, 0);
            },
        );
        assert!(rig.failures(0) <= 1, "{} in a row", rig.failures(0));
    });
}

#[test]
fn loom_two_failures_after_a_silence_forget_the_old_streak_together() {
    explore(|| {
        let rig = Rig::new(config().failure_threshold(3));
        rig.fail(0);
        rig.fail(0);
        let (here, there) = (rig.ticket(0), rig.ticket(0));
        beside(
            &rig,
            move |rig| rig.settle(there, Verdict::Bad, 301),
            move |rig| {
                rig.settle(here, Verdict::Bad, 301);
            },
        );
        assert_eq!((rig.state(), rig.failures(301)), (CircuitState::Closed, 2));
    });
}

#[test]
fn loom_a_late_failure_forgets_the_old_streak_and_none_that_ends_beside_it() {
    explore(|| {
        let rig = Rig::new(config().failure_threshold(9));
        rig.fail(0);
        let (here, there) = (rig.ticket(0), rig.ticket(0));
        beside(
            &rig,
            move |rig| rig.settle(there, Verdict::Bad, 301),
            move |rig| {
                rig.settle(here, Verdict::Bad, 200);
            },
        );
        // In the order of their times all three are in the streak; the other way round, two.
        // It is remembered from the later of them on.
        assert!(rig.failures(601) >= 2, "{}", rig.failures(601));
    });
}

#[test]
fn loom_each_change_is_told_once_and_in_order() {
    explore(|| {
        let rig = Rig::new(config());
        let told = Arc::new(loom::sync::Mutex::new(Vec::new()));
        let deliver = |rig: &Rig, told: &loom::sync::Mutex<Vec<u64>>| {
            let mut next = rig.machine.next_change(true);
            while let Some(change) = next {
                told.lock().expect("no thread panics").push(change.sequence);
                next = rig.machine.next_change(false);
            }
        };
        let (first, second) = (told.clone(), told.clone());
        beside(
            &rig,
            move |rig| {
                rig.trip(0);
                deliver(rig, &first);
            },
            move |rig| {
                rig.machine.reset(at(0));
                deliver(rig, &second);
            },
        );
        assert_eq!(*told.lock().expect("no thread panics"), [1, 2]);
    });
}

const GOOD: Mark = Mark { failed: false, slow: false };
const FAILED: Mark = Mark { failed: true, slow: false };

/// A rate over two calls.
fn rate() -> CircuitBreakerConfigBuilder {
    CircuitBreakerConfig::builder().failure_rate(1.0).window(2).min_calls(2)
}

fn era(epoch: u32) -> Era {
    Era::new(1, epoch)
}

fn either_window(of_time: bool) -> Arc<Window> {
    Arc::new(match of_time {
        false => Window::of_calls(5),
        true => Window::of_time(Duration::from_secs(1)),
    })
}

#[test]
fn loom_a_call_of_an_earlier_epoch_leaves_no_mark_in_a_window() {
    for of_time in [false, true] {
        explore(move || {
            let window = either_window(of_time);
            beside(
                &window,
                |window| window.record(era(1), FAILED, 2, || at(0)),
                |window| window.record(era(2), FAILED, 2, || at(0)),
            );
            assert_eq!(window.tally(era(2), at(0)), Tally { calls: 1, failed: 1, slow: 0 });
        });
    }
}

#[test]
fn loom_a_thread_that_begins_an_epoch_counts_nothing_of_the_one_before() {
    for of_time in [false, true] {
        explore(move || {
            let window = either_window(of_time);
            beside(
                &window,
                |window| {
                    for epoch in [1, 1, 2] {
                        window.record(era(epoch), GOOD, 0, || at(0));
                    }
                },
                |window| {
                    let told = window.record(era(2), FAILED, 0, || at(0)).expect("a bad call");
                    assert!(told.calls <= 2, "{told:?}");
                },
            );
            assert_eq!(window.tally(era(2), at(0)).calls, 2);
        });
    }
}

#[test]
fn loom_the_later_of_a_good_and_a_bad_call_that_make_a_rate_is_told_of_both() {
    for of_time in [false, true] {
        explore(move || {
            let window = either_window(of_time);
            let both = Some(Tally { calls: 2, failed: 1, slow: 0 });
            let (bad, good) = beside(
                &window,
                |window| window.record(era(1), FAILED, 2, || at(0)),
                |window| window.record(era(1), GOOD, 2, || at(0)),
            );
            assert!(bad == both || good == both, "{bad:?} {good:?}");
        });
    }
}

#[test]
fn loom_a_wheel_that_turns_loses_no_call() {
    explore(|| {
        let window = either_window(true);
        window.record(era(1), FAILED, 1, || at(0));
        beside(
            &window,
            |window| window.record(era(1), FAILED, 1, || at(11)),
            |window| window.record(era(1), FAILED, 1, || at(11)),
        );
        assert_eq!(window.tally(era(1), at(11)), Tally { calls: 2, failed: 2, slow: 0 });
    });
}

#[test]
fn loom_a_failure_beside_a_reset_is_in_no_later_rate() {
    explore(|| {
        let rig = Rig::new(rate());
        let ticket = rig.ticket(0);
        beside(
            &rig,
            move |rig| rig.settle(ticket, Verdict::Bad, 0),
            move |rig| rig.machine.reset(at(0)),
        );
        rig.fail(0);
        assert_eq!(rig.state(), CircuitState::Closed);
        rig.fail(0);
        assert_eq!(rig.state(), CircuitState::Open);
    });
}

#[test]
fn loom_two_failures_that_complete_a_rate_trip_once() {
    explore(|| {
        let rig = Rig::new(rate());
        let (here, there) = (rig.ticket(0), rig.ticket(0));
        beside(
            &rig,
            move |rig| rig.settle(there, Verdict::Bad, 0),
            move |rig| {
                rig.settle(here, Verdict::Bad, 0);
            },
        );
        assert_eq!((rig.state(), rig.opened()), (CircuitState::Open, 1));
    });
}

#[test]
fn loom_a_call_beside_a_change_of_the_windows_size_leaves_no_mark_in_what_follows() {
    for of_time in [false, true] {
        explore(move || {
            let window = either_window(of_time);
            beside(
                &window,
                |window| window.record(era(1), FAILED, 2, || at(0)),
                |window| {
                    window.resize(RateWindow::Calls(2));
                    window.resize(RateWindow::Time(Duration::from_secs(9)));
                    window.record(Era::new(2, 1), FAILED, 2, || at(0))
                },
            );
            assert_eq!(window.tally(Era::new(2, 1), at(0)), Tally { calls: 1, failed: 1, slow: 0 });
        });
    }
}

#[test]
fn loom_a_failure_beside_a_change_of_the_window_is_in_one_of_them() {
    for window in [RateWindow::Calls(3), RateWindow::Time(Duration::from_secs(9))] {
        explore(move || {
            let rig = Rig::new(rate());
            rig.fail(0);
            let ticket = rig.ticket(0);
            let other = std::sync::Arc::new(rate().window(window).build().expect("valid"));
            beside(
                &rig,
                move |rig| rig.settle(ticket, Verdict::Bad, 0),
                move |rig| rig.machine.reconfigure(other.clone()),
            );
            if rig.state() == CircuitState::Closed {
                let tickets = [rig.ticket(0), rig.ticket(0)];
                tickets.map(|ticket| rig.settle(ticket, Verdict::Bad, 0));
            }
            assert_eq!((rig.state(), rig.opened()), (CircuitState::Open, 1));
        });
    }
}

#[test]
fn loom_whoever_sees_a_window_begin_anew_sees_its_size() {
    explore(|| {
        let rig = Rig::new(rate().window(Duration::from_secs(1)));
        let ticket = rig.ticket(20);
        let longer = rate().window(Duration::from_secs(100)).build().expect("valid");
        let longer = std::sync::Arc::new(longer);
        beside(
            &rig,
            move |rig| rig.settle(ticket, Verdict::Bad, 20),
            move |rig| rig.machine.reconfigure(longer.clone()),
        );
        // A slice of the old length has a number that is far ahead of the new ones, and would hide
        // what follows.
        for _ in 0..2 {
            if rig.state() == CircuitState::Closed {
                rig.fail(20);
            }
        }
        assert_eq!((rig.state(), rig.opened()), (CircuitState::Open, 1));
    });
}
