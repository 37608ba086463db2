//! The machine against a reference that is plain enough to be read at a glance: random histories
//! of everything that can be done to a breaker, compared after every step.

mod reference;

use std::sync::Arc;
use std::time::Duration;

use chrono::Utc;
use proptest::prelude::*;
use proptest::test_runner::{TestError, TestRunner};

use self::reference::Reference;
use super::machine::{Machine, RejectedBy, Standing, Ticket, Verdict};
use super::overrides::{Mode, Override, OverrideOptions};
use super::{CircuitBreakerConfig, CircuitState, RateWindow};
use crate::clock::Tick;

use CircuitState::{Closed, HalfOpen, Open};

/// So many calls must be in the window before a rate says anything.
const MIN_CALLS: u32 = 3;

/// Of what the machine is made, in the reference's words.
#[derive(Clone, Copy, Debug)]
struct Settings {
    failure_threshold: Option<u32>,
    /// Tenths of the calls of a window: where so many fail or are slow, it opens.
    rates: Option<(u32, RateWindow)>,
    backoff: u64,
    max_extra: u64,
    success_threshold: u32,
    half_open_max_calls: u32,
    timeout: u64,
    reset_timeout: u64,
    probe_timeout: u64,
}

impl Settings {
    fn config(self) -> CircuitBreakerConfig {
        let mut builder = CircuitBreakerConfig::builder()
            .success_threshold(self.success_threshold)
            .half_open_max_calls(self.half_open_max_calls)
            .timeout(Duration::from_secs(self.timeout))
            .reset_timeout(Duration::from_secs(self.reset_timeout))
            .probe_timeout(Duration::from_secs(self.probe_timeout))
            .backoff(self.backoff as f64)
            .max_timeout(Duration::from_secs(self.timeout + self.max_extra))
            .jitter(0.0);
        if let Some(threshold) = self.failure_threshold {
            builder = builder.failure_threshold(threshold);
        }
        if let Some((tenths, window)) = self.rates {
            let rate = f64::from(tenths) / 10.0;
            builder = builder.failure_rate(rate).slow_call_rate(rate).window(window);
            builder = builder.slow_call(Duration::from_secs(1)).min_calls(MIN_CALLS);
        }
        builder.build().expect("small settings are valid")
    }

    /// Whether too many calls in the window failed, or were slow.
    fn rate_reached(self, outcomes: &[(u64, bool, bool)], now: u64) -> bool {
        let Some((tenths, window)) = self.rates else { return false };
        let in_window: Vec<_> = match window {
            RateWindow::Calls(calls) => outcomes.iter().rev().take(calls as usize).collect(),
            // Slices of a second.
            _ => outcomes.iter().filter(|(at, ..)| at + 10 >= now).collect(),
        };
        let failed = in_window.iter().filter(|(_, failed, _)| *failed).count();
        let slow = in_window.iter().filter(|(_, _, slow)| *slow).count();
        let all = in_window.len();
        all >= MIN_CALLS as usize && failed.max(slow) * 10 >= all * tenths as usize
    }

    fn reference(self) -> Reference {
        Reference {
            settings: self,
            over: None,
            state: Closed,
            epoch: 0,
            outcomes: Vec::new(),
            leases: Vec::new(),
            failures: 0,
            closed_since: 0,
            open_until: 0,
            trips: 0,
            would_open: 0,
            quiet_until: 0,
        }
    }
}

/// The epoch of a call, and the end of its lease if it is a probe.
type Call = (u32, Option<u64>);

#[derive(Clone, Debug)]
enum Step {
    Admit,
    /// One of the calls under way, counted round.
    Settle(usize, (Verdict, bool)),
    Advance(u64),
    Trip,
    Reset,
    Override(Override, Option<u64>),
    Clear,
    SetMode(Mode),
    /// All but the window: its size, and whether there is one.
    Reconfigure(Settings),
}

fn settings() -> impl Strategy<Value = Settings> {
    let window = prop_oneof![
        (MIN_CALLS..7).prop_map(RateWindow::Calls),
        Just(RateWindow::Time(Duration::from_secs(10))),
    ];
    let rules = prop_oneof![
        (1..4_u32).prop_map(|failures| (Some(failures), None)),
        (2..=10_u32, window.clone()).prop_map(|rate| (None, Some(rate))),
        (2..4_u32, (2..=10_u32, window)).prop_map(|(failures, rate)| (Some(failures), Some(rate))),
    ];
    let half_open = (1..4_u32, 1..4_u32, 1..9_u64);
    (rules, half_open, 1..6_u64, 1..9_u64, 1..3_u64, 0..20_u64).prop_map(
        |((failure_threshold, rates), half_open, timeout, reset_timeout, backoff, max_extra)| {
            let (success_threshold, half_open_max_calls, probe_timeout) = half_open;
            Settings {
                failure_threshold,
                rates,
                backoff,
                max_extra,
                success_threshold,
                half_open_max_calls,
                timeout,
                reset_timeout,
                probe_timeout,
            }
        },
    )
}

fn step() -> impl Strategy<Value = Step> {
    let verdict = prop_oneof![Just(Verdict::Good), Just(Verdict::Bad), Just(Verdict::Nothing)];
    let kind =
        prop_oneof![Just(Override::ForcedOpen), Just(Override::Disabled), Just(Override::Shadow)];
    let mode = prop_oneof![Just(Mode::On), Just(Mode::Shadow), Just(Mode::Off)];
    prop_oneof![
        30 => Just(Step::Admit),
        30 => (0..8_usize, (verdict, any::<bool>())).prop_map(|(which, end)| Step::Settle(which, end)),
        15 => (1..5_u64).prop_map(Step::Advance),
        2 => Just(Step::Trip),
        1 => Just(Step::Reset),
        2 => (kind, prop::option::of(1..6_u64)).prop_map(|(kind, ttl)| Step::Override(kind, ttl)),
        2 => Just(Step::Clear),
        1 => mode.prop_map(Step::SetMode),
        1 => settings().prop_map(Step::Reconfigure),
    ]
}

/// The end of what has none.
const NEVER: u64 = u64::MAX;

fn at(seconds: u64) -> Tick {
    Tick::from_nanos(1_000_000_000).after(Duration::from_secs(seconds))
}

/// Both of them, and the calls that are under way.
struct Pair {
    now: u64,
    machine: Machine,
    reference: Reference,
    mode: Mode,
    /// The breaker's own override, which stays above the mode, and its end.
    own: Option<(Override, u64)>,
    under_way: Vec<(Ticket, Call)>,
    /// The number of the last change that was told, and where it led.
    told: (u64, CircuitState),
}

impl Pair {
    fn new(settings: Settings) -> Self {
        Pair {
            now: 0,
            machine: Machine::new(Arc::new(settings.config()), at(0), Mode::On, None),
            reference: settings.reference(),
            mode: Mode::On,
            own: None,
            under_way: Vec::new(),
            told: (0, Closed),
        }
    }

    fn run(&mut self, step: &Step) -> Result<(), TestCaseError> {
        let now = self.now;
        self.expire_override();
        match *step {
            Step::Admit => self.admit()?,
            Step::Settle(which, end) => self.settle(which, end)?,
            Step::Advance(seconds) => self.now += seconds,
            Step::Trip => {
                self.machine.trip(at(now));
                if self.reference.over.is_none() {
                    self.reference.open(self.reference.failures(now), now);
                }
            }
            Step::Reset => {
                self.machine.reset(at(now));
                self.reference.trips = 0;
                self.reference.to(Closed, now);
            }
            Step::Override(kind, ttl) => {
                let ttl_or_not = ttl.map(Duration::from_secs);
                let options = OverrideOptions { ttl: ttl_or_not, ..OverrideOptions::reason("") };
                self.machine.set_override(kind, options, at(now), Utc::now());
                self.own = Some((kind, ttl.map_or(NEVER, |ttl| now + ttl)));
                self.lay_over(now);
            }
            Step::Clear => {
                self.machine.clear_override(at(now));
                if self.own.take().is_some() {
                    self.lay_over(now);
                }
            }
            Step::SetMode(mode) => {
                self.machine.set_mode(mode, at(now));
                let before = std::mem::replace(&mut self.mode, mode);
                if before != mode && self.own.is_none() {
                    self.lay_over(now);
                }
            }
            Step::Reconfigure(settings) => {
                let Settings { rates, failure_threshold, .. } = self.reference.settings;
                let failure_threshold = settings.failure_threshold.or(failure_threshold);
                self.reference.settings = Settings { rates, failure_threshold, ..settings };
                let config = self.reference.settings.config();
                self.machine.reconfigure(Arc::new(config));
            }
        }
        self.compare()
    }

    /// A fresh closed breaker, beneath what lies over it now.
    fn lay_over(&mut self, now: u64) {
        self.reference.over = self.own.map(|(kind, _)| kind).or(match self.mode {
            Mode::On => None,
            Mode::Shadow => Some(Override::Shadow),
            Mode::Off => Some(Override::Disabled),
        });
        (self.reference.trips, self.reference.quiet_until) = (0, now);
        self.reference.to(Closed, now);
    }

    fn expire_override(&mut self) {
        if let Some((_, until)) = self.own.filter(|(_, until)| self.now >= *until) {
            self.own = None;
            self.lay_over(until);
        }
    }

    fn admit(&mut self) -> Result<(), TestCaseError> {
        let now = self.now;
        let admitted = match self.machine.admit_closed() {
            Some(ticket) => Ok(ticket),
            None => self.machine.admit(at(now)),
        };
        self.reference.expire_lease(now);
        match (admitted, self.reference.admit(now)) {
            (Ok(ticket), Ok(expected)) => {
                prop_assert_eq!(ticket.lease, expected.1.map(at));
                self.under_way.push((ticket, expected));
            }
            (Err(rejection), Err(by)) => {
                prop_assert_eq!(rejection.state, by);
                let until = match by {
                    RejectedBy::Open => Some(self.reference.open_until),
                    RejectedBy::ForcedOpen => self.own.map(|own| own.1).filter(|end| *end != NEVER),
                    RejectedBy::HalfOpen | RejectedBy::AwaitingCheck => None,
                };
                let wait = until.map(|until| Duration::from_secs(until - now));
                prop_assert_eq!(rejection.retry_after, wait);
            }
            (real, expected) => prop_assert!(false, "{real:?}, expected {expected:?}"),
        }
        Ok(())
    }

    fn settle(&mut self, which: usize, end: (Verdict, bool)) -> Result<(), TestCaseError> {
        if self.under_way.is_empty() {
            return Ok(());
        }
        let (now, which) = (self.now, which % self.under_way.len());
        let (ticket, expected) = self.under_way.swap_remove(which);
        let standing = self.machine.settle(ticket, end.0, end.1, &|| at(now));
        if expected.0 == self.reference.epoch {
            self.reference.expire_lease(now);
        }
        let current = self.reference.settle(expected, end, now);
        prop_assert_eq!(standing == Standing::Current, current);
        Ok(())
    }

    /// What calls meet.
    fn met(&self) -> CircuitState {
        match self.reference.over {
            Some(Override::ForcedOpen) => Open,
            Some(_) => Closed,
            None => self.reference.state,
        }
    }

    fn compare(&mut self) -> Result<(), TestCaseError> {
        let now = self.now;
        let seen = self.machine.observe(at(now));
        prop_assert_eq!(self.machine.state(|| at(now)), seen.state);
        self.expire_override(); // it is shown as over, noticed or not
        let expected = &self.reference;
        prop_assert_eq!(seen.state, self.met());
        prop_assert_eq!(seen.failures, expected.failures(now));
        prop_assert_eq!(seen.probes_in_flight as usize, expected.leases.len());
        let automatic = expected.over.is_none();
        let open_until = (automatic && expected.state == Open).then(|| at(expected.open_until));
        prop_assert_eq!(seen.open_until, open_until);
        prop_assert_eq!(seen.reason.is_some(), automatic && expected.state != Closed);
        prop_assert_eq!(seen.active_override.map(|own| own.kind), self.own.map(|own| own.0));
        prop_assert_eq!(seen.would_open, expected.would_open);
        self.follow()
    }

    /// Each change begins where the one before it ended, and the last where it stands; the
    /// counters agree.
    fn follow(&mut self) -> Result<(), TestCaseError> {
        let mut first = true;
        while let Some(change) = self.machine.next_change(std::mem::take(&mut first)) {
            prop_assert_eq!((change.sequence, change.from), (self.told.0 + 1, self.told.1));
            self.told = (change.sequence, change.to);
        }
        // Before this moment, so that an override whose end is not noticed is still shown.
        let seen = self.machine.observe(at(0));
        prop_assert_eq!(seen.state, self.told.1);
        for state in CircuitState::ALL {
            let into: u64 = seen.transitions.iter().map(|from| from[state as usize]).sum();
            let out: u64 = seen.transitions[state as usize].iter().sum();
            let (first, last) = (u64::from(state == Closed), u64::from(state == seen.state));
            prop_assert_eq!(first + into, out + last);
        }
        Ok(())
    }
}

fn run(settings: Settings, steps: &[Step]) -> Result<(), TestCaseError> {
    let mut pair = Pair::new(settings);
    steps.iter().try_for_each(|step| pair.run(step))
}

/// What is left of a history that fails without the steps that it fails without.
fn shortest(settings: Settings, mut steps: Vec<Step>) -> String {
    let mut index = 0;
    while index < steps.len() {
        let step = steps.remove(index);
        if run(settings, &steps).is_ok() {
            steps.insert(index, step);
            index += 1;
        } else {
            index = 0;
        }
    }
    let lines: String = steps.iter().map(|step| format!("\n  {step:?}")).collect();
    let error = run(settings, &steps).expect_err("it still fails");
    format!("{settings:?}{lines}\n{error}")
}

#[test]
fn whatever_is_done_to_it_it_does_what_the_reference_does() {
    let config = ProptestConfig { cases: 3000, failure_persistence: None, ..Default::default() };
    let histories = (settings(), prop::collection::vec(step(), 1..80));
    let ran = TestRunner::new(config).run(&histories, |(settings, steps)| run(settings, &steps));
    match ran {
        Ok(()) => {}
        Err(TestError::Fail(_, (settings, steps))) => panic!("{}", shortest(settings, steps)),
        Err(TestError::Abort(reason)) => panic!("{reason}"),
    }
}
