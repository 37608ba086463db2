//! The state machine by itself: ticks in, tickets out.

use chrono::Utc;

use super::*;
use crate::breaker::machine::{
    Change, Observation, RejectedBy, Rejection, Standing, Ticket, Verdict,
};
use crate::breaker::overrides::{Mode, OverrideOptions};
use crate::clock::Tick;

fn at(seconds: u64) -> Tick {
    Tick::from_nanos(1_000_000_000).after(Duration::from_secs(seconds))
}

struct Rig {
    machine: Machine,
}

impl Rig {
    fn new(config: CircuitBreakerConfigBuilder) -> Self {
        let config = config.build().expect("a valid configuration");
        Rig { machine: Machine::new(Arc::new(config), at(0), Mode::On, None) }
    }

    fn admit(&self, second: u64) -> Result<Ticket, Rejection> {
        self.machine.admit(at(second))
    }

    fn ticket(&self, second: u64) -> Ticket {
        self.admit(second).expect("the call is let through")
    }

    fn settle(&self, ticket: Ticket, verdict: Verdict, second: u64) -> Standing {
        self.machine.settle(ticket, verdict, false, &|| at(second))
    }

    fn fail(&self, second: u64) {
        self.settle(self.ticket(second), Verdict::Bad, second);
    }

    fn force_open(&self, second: u64, ttl: Duration) {
        let options = OverrideOptions { ttl: Some(ttl), ..OverrideOptions::reason("migrating") };
        self.machine.set_override(Override::ForcedOpen, options, at(second), Utc::now());
    }

    fn observe(&self, now: Tick) -> Observation {
        self.machine.observe(now)
    }

    fn state(&self) -> CircuitState {
        self.observe(at(0)).state
    }

    fn causes(&self) -> Vec<Cause> {
        self.changes().into_iter().map(|change| change.cause).collect()
    }

    fn changes(&self) -> Vec<Change> {
        let mut first = true;
        std::iter::from_fn(|| self.machine.next_change(std::mem::take(&mut first))).collect()
    }
}

#[test]
fn the_open_time_runs_from_the_first_lease_that_ended_not_from_its_discovery() {
    let rig = Rig::new(config().half_open_max_calls(2));
    rig.machine.trip(at(0));
    rig.ticket(10); // hangs: its lease ends at 70
    let second = rig.ticket(30); // hangs too: its lease ends at 90
    assert_eq!(rig.settle(second, Verdict::Good, 95), Standing::Stale);
    assert_eq!(rig.state(), CircuitState::Open);
    // Ten seconds from 70 were over long ago.
    assert!(rig.admit(95).is_ok());
}

#[test]
fn it_makes_no_difference_who_notices_that_a_lease_ended() {
    let rig = Rig::new(config().half_open_max_calls(2));
    rig.machine.trip(at(0));
    rig.ticket(10); // hangs: its lease ends at 70
    let second = rig.ticket(30);
    // A good result after 70 comes from an epoch that had ended by then.
    assert_eq!(rig.settle(second, Verdict::Good, 71), Standing::Stale);
    let rejection = rig.admit(71).expect_err("it re-opened at 70");
    assert_eq!(rejection.reason, OpenReason::ProbeExpired);
    assert_eq!(rejection.retry_after, Some(Duration::from_secs(9)));
}

#[test]
fn a_check_is_awaited_of_an_open_breaker_alone_once_its_open_time_is_over() {
    let rig = Rig::new(config().recovery_check("storage"));
    let awaited = |second| rig.machine.awaited_check(at(second));
    assert_eq!(awaited(0), None, "closed");
    rig.machine.trip(at(0));
    assert_eq!(awaited(9), None, "for a second more");
    assert_eq!(awaited(10).as_deref(), Some("storage"));
    rig.force_open(10, Duration::from_secs(5));
    assert_eq!(awaited(11), None, "forced");
    rig.machine.reset(at(20));
    assert_eq!(awaited(20), None, "closed again");
    rig.machine.trip(at(20));
    rig.ticket(30);
    assert_eq!(awaited(30), None, "a call probes");
}

#[test]
fn calls_leave_the_probing_to_the_check_while_somebody_runs_it() {
    let rig = Rig::new(config().recovery_check("storage"));
    rig.machine.trip(at(0));
    rig.machine.supervise(at(20));
    for second in [10, 19] {
        let rejection = rig.admit(second).expect_err("the check decides");
        assert_eq!(rejection.state, RejectedBy::AwaitingCheck);
        assert_eq!(rejection.reason, OpenReason::AwaitingRecoveryCheck);
        assert_eq!(rejection.retry_after, None);
    }
    assert!(rig.ticket(20).lease.is_some(), "nobody runs it any more");

    let without = Rig::new(config());
    without.machine.trip(at(0));
    without.machine.supervise(at(20));
    assert!(without.ticket(10).lease.is_some(), "it has none");
}

#[test]
fn a_check_decides_about_an_open_breaker_whose_time_is_over_and_about_no_other() {
    let rig = Rig::new(config().recovery_check("storage"));
    let check = |passed, second| rig.machine.recovery_checked(passed, at(second));
    check(false, 0);
    assert_eq!(rig.state(), CircuitState::Closed, "nothing was to be found out");
    rig.machine.trip(at(0));
    check(true, 9);
    assert_eq!(rig.state(), CircuitState::Open, "for a second more");
    check(false, 10);
    check(true, 19);
    assert_eq!(rig.state(), CircuitState::Open, "for ten seconds more");
    check(true, 20);
    assert_eq!(rig.state(), CircuitState::HalfOpen);
    check(false, 21);
    assert_eq!(rig.state(), CircuitState::HalfOpen, "calls probe");
    rig.machine.trip(at(22));
    rig.force_open(30, Duration::from_secs(100));
    check(true, 40);
    assert_eq!(rig.machine.state(|| at(40)), CircuitState::Open, "forced");
    let opened = |reason| Cause::Opened { reason, for_at_least: OPEN_TIME };
    assert_eq!(
        rig.causes()[..4],
        [
            opened(OpenReason::Tripped),
            opened(OpenReason::RecoveryCheckFailed),
            Cause::RecoveryCheckPassed,
            opened(OpenReason::Tripped),
        ]
    );
}

#[test]
fn an_expired_override_does_not_stand_in_the_way_of_a_trip() {
    let rig = Rig::new(config());
    rig.force_open(0, Duration::from_secs(5));
    rig.machine.trip(at(6));
    assert_eq!(rig.observe(at(6)).state, CircuitState::Open);
    let rejection = rig.admit(7).expect_err("it was tripped by hand");
    assert_eq!(rejection.reason, OpenReason::Tripped);
}

#[test]
fn an_expired_override_ends_at_its_time_whatever_comes_next() {
    type Step = fn(&Rig);
    let steps: [(&str, Step); 5] = [
        ("trip", |rig| rig.machine.trip(at(9))),
        ("reset", |rig| rig.machine.reset(at(9))),
        ("clear", |rig| rig.machine.clear_override(at(9))),
        ("mode", |rig| rig.machine.set_mode(Mode::Off, at(9))),
        ("override", |rig| rig.force_open(9, Duration::from_secs(1))),
    ];
    for (name, step) in steps {
        let rig = Rig::new(config());
        rig.force_open(0, Duration::from_secs(5));
        step(&rig);
        let changes = rig.changes();
        assert_eq!(changes[1].cause, Cause::OverrideExpired, "{name}");
        assert_eq!(changes[1].at, at(5), "{name}");
        assert_eq!((changes[1].from, changes[1].to), (CircuitState::Open, CircuitState::Closed));
        assert!(changes.iter().skip(2).all(|change| change.at == at(9)), "{name}");
    }
}

#[test]
fn a_result_of_an_expired_shadow_reports_nothing() {
    let rig = Rig::new(config().failure_threshold(1));
    let options =
        OverrideOptions { ttl: Some(Duration::from_secs(5)), ..OverrideOptions::reason("trial") };
    rig.machine.set_override(Override::Shadow, options, at(0), Utc::now());
    let ticket = rig.ticket(1);
    rig.settle(ticket, Verdict::Bad, 6);
    assert!(!rig.causes().iter().any(|cause| matches!(cause, Cause::WouldOpen { .. })));
}

#[test]
fn an_expired_override_says_since_when_it_is_over() {
    let rig = Rig::new(config());
    rig.force_open(0, Duration::from_secs(5));
    let seen = rig.observe(at(8));
    assert_eq!((seen.state, seen.since), (CircuitState::Closed, at(5)));
}

#[test]
fn a_trip_by_hand_does_not_show_the_failures_of_an_older_one() {
    let rig = Rig::new(config());
    (0..3).for_each(|second| rig.fail(second));
    assert_eq!(rig.machine.failure_count(at(2)), 3);
    rig.settle(rig.ticket(12), Verdict::Good, 12);
    rig.fail(13);
    rig.machine.trip(at(13));
    assert_eq!(rig.machine.failure_count(at(13)), 1);
}

#[test]
fn a_failed_and_an_expired_probe_are_counted_alike() {
    let rig = Rig::new(config());
    (0..3).for_each(|second| rig.fail(second));
    rig.settle(rig.ticket(12), Verdict::Bad, 12);
    assert_eq!(rig.machine.failure_count(at(12)), 4);
    rig.ticket(22); // hangs until 82
    rig.admit(83).expect_err("it re-opened at 82");
    assert_eq!(rig.machine.failure_count(at(83)), 5);
}

#[test]
fn a_streak_trips_however_many_epochs_went_by_without_one() {
    // So many resets take minutes; the word is put there instead.
    let config = config().build().expect("a valid configuration");
    let machine = Machine::with_epoch(config, at(0), (1 << 31) + 5);
    for second in 0..3 {
        let ticket = machine.admit(at(second)).expect("closed");
        machine.settle(ticket, Verdict::Bad, false, &|| at(second));
    }
    assert_eq!(machine.observe(at(3)).state, CircuitState::Open);
}

#[test]
fn the_time_of_changes_never_goes_back() {
    let rig = Rig::new(config());
    rig.machine.trip(at(20));
    rig.machine.reset(at(19)); // its thread had read the clock before, and waited for the lock
    let changes = rig.changes();
    assert_eq!(changes[1].at, at(20));
    assert_eq!(rig.observe(at(20)).since, at(20));
}

#[test]
fn a_streak_older_than_the_reset_timeout_is_forgotten() {
    let rig = Rig::new(config().reset_timeout(Duration::from_secs(100)));
    rig.fail(0);
    rig.fail(100); // just young enough
    assert_eq!(rig.machine.failure_count(at(100)), 2);
    assert_eq!(rig.machine.failure_count(at(201)), 0);
    rig.fail(201);
    assert_eq!(rig.machine.failure_count(at(201)), 1);
    assert_eq!(rig.state(), CircuitState::Closed);
    rig.fail(202);
    rig.fail(203);
    assert_eq!(rig.state(), CircuitState::Open);
}

#[test]
fn a_late_failure_does_not_lengthen_the_open_time() {
    let rig = Rig::new(config());
    let late: Vec<_> = (0..100).map(|_| rig.ticket(0)).collect();
    rig.machine.trip(at(1));
    for ticket in late {
        assert_eq!(rig.settle(ticket, Verdict::Bad, 9), Standing::Stale);
    }
    let rejection = rig.admit(9).expect_err("open until 11");
    assert_eq!(rejection.retry_after, Some(Duration::from_secs(2)));
    assert!(rig.admit(11).is_ok());
}

#[test]
fn a_result_of_an_earlier_epoch_changes_nothing_in_any_later_state() {
    for verdict in [Verdict::Good, Verdict::Bad, Verdict::Nothing] {
        let rig = Rig::new(config().failure_threshold(1));
        let tickets: Vec<_> = (0..3).map(|_| rig.ticket(0)).collect();
        rig.machine.trip(at(0));
        assert_eq!(rig.settle(tickets[0], verdict, 1), Standing::Stale);
        assert_eq!(rig.state(), CircuitState::Open);

        let probe = rig.ticket(10);
        assert_eq!(rig.settle(tickets[1], verdict, 10), Standing::Stale);
        let seen = rig.observe(at(10));
        assert_eq!((seen.state, seen.probes_in_flight), (CircuitState::HalfOpen, 1));

        assert_eq!(rig.settle(probe, Verdict::Good, 11), Standing::Current);
        assert_eq!(rig.settle(tickets[2], verdict, 11), Standing::Stale);
        assert_eq!(rig.settle(probe, verdict, 11), Standing::Stale);
        assert_eq!(rig.state(), CircuitState::Closed);
        assert_eq!(rig.machine.failure_count(at(11)), 0);
    }
}

#[test]
fn looking_changes_nothing() {
    let rig = Rig::new(config());
    rig.machine.trip(at(0));
    rig.changes();
    assert_eq!(rig.machine.state(|| at(100)), CircuitState::Open);
    assert_eq!(rig.observe(at(100)).state, CircuitState::Open);
    rig.ticket(100);
    assert_eq!(rig.observe(at(1000)).state, CircuitState::HalfOpen);
    rig.force_open(1000, Duration::from_secs(1));
    rig.changes();
    assert_eq!(rig.machine.state(|| at(1001)), CircuitState::Closed);
    assert_eq!(rig.observe(at(1001)).state, CircuitState::Closed);
    assert_eq!(rig.causes(), []);
}

#[test]
fn a_call_is_only_counted_where_it_is_closed_and_no_rule_asks_for_more() {
    let plain = |rig: &Rig| rig.machine.plain_word().is_some();
    let rig = Rig::new(config());
    assert!(plain(&rig));
    rig.machine.trip(at(0));
    assert!(!plain(&rig), "open");
    rig.ticket(10);
    assert!(!plain(&rig), "half-open");
    rig.machine.reset(at(11));
    assert!(plain(&rig));
    rig.force_open(11, OPEN_TIME);
    assert!(!plain(&rig), "forced");
    assert!(!plain(&Rig::new(config().failure_rate(0.5))), "a window to write to");
}
