//! The machine against a reference that is plain enough to be read at a glance: random histories
//! of everything that can be done to a breaker, compared after every step.

use std::sync::Arc;
use std::time::Duration;

use chrono::Utc;
use proptest::prelude::*;

use super::machine::{Machine, RejectedBy, Standing, Ticket, Verdict};
use super::overrides::{Mode, Override, OverrideOptions};
use super::{CircuitBreakerConfig, CircuitState, RateWindow};
use crate::clock::Tick;

use CircuitState::{Closed, HalfOpen, Open};

/// A breaker as the contract tells it. Time is in whole seconds.
#[derive(Debug)]
struct Reference {
    settings: Settings,
    mode: Mode,
    own: Option<(Override, u64)>,
    epoch: u32,
    state: CircuitState,
    since: u64,
    streak: u32,
    last_failure: u64,
    calls: Vec<(u64, bool, bool)>,
    failures_of_opening: u32,
    trips: u32,
    open_until: u64,
    leases: Vec<u64>,
    successes: u32,
    would_open: u64,
    quiet_until: u64,
}

impl Reference {
    fn active_override(&self) -> Option<Override> {
        self.own.map(|(kind, _)| kind).or(match self.mode {
            Mode::On => None,
            Mode::Shadow => Some(Override::Shadow),
            Mode::Off => Some(Override::Disabled),
        })
    }

    /// What calls meet.
    fn effective_state(&self) -> CircuitState {
        match self.active_override() {
            Some(Override::ForcedOpen) => Open,
            Some(_) => Closed,
            None => self.state,
        }
    }

    fn failures(&self, now: u64) -> u32 {
        let old = now - self.last_failure > self.settings.reset_timeout;
        match self.state {
            Closed if old => 0,
            Closed => self.streak,
            Open | HalfOpen => self.failures_of_opening,
        }
    }

    /// `before`: what calls met until then.
    fn next_epoch(&mut self, before: CircuitState, state: CircuitState, at: u64) {
        (self.epoch, self.state, self.streak, self.successes) = (self.epoch + 1, state, 0, 0);
        self.leases.clear();
        self.calls.clear();
        if before != self.effective_state() {
            self.since = at;
        }
    }

    /// A fresh closed breaker beneath whatever lies over it now.
    fn afresh(&mut self, before: CircuitState, at: u64) {
        (self.trips, self.quiet_until) = (0, at);
        self.next_epoch(before, Closed, at);
    }

    fn open(&mut self, failures: u32, at: u64) {
        let before = self.effective_state();
        if before == Closed {
            let healthy = (at - self.since) / self.settings.timeout;
            self.trips = self.trips.saturating_sub(healthy as u32);
        }
        let grown = self.settings.timeout * self.settings.backoff.pow(self.trips.min(10));
        self.open_until = at + grown.min(self.settings.timeout + self.settings.max_extra);
        self.trips += 1;
        self.failures_of_opening = failures;
        self.next_epoch(before, Open, at);
    }

    fn expire_override(&mut self, now: u64) {
        if let Some((_, until)) = self.own.filter(|(_, until)| now >= *until) {
            let before = self.effective_state();
            self.own = None;
            self.afresh(before, until);
        }
    }

    fn expire_lease(&mut self, now: u64) {
        if let Some(&first) = self.leases.iter().min().filter(|first| now >= **first) {
            self.open(self.failures_of_opening + 1, first);
        }
    }

    /// The epoch and the lease of an admitted call; what rejects it, and until when.
    fn admit(&mut self, now: u64) -> Result<(u32, Option<u64>), (RejectedBy, Option<u64>)> {
        self.expire_lease(now);
        match (self.active_override(), self.state) {
            (Some(Override::ForcedOpen), _) => {
                let until = self.own.map(|(_, until)| until).filter(|until| *until != u64::MAX);
                return Err((RejectedBy::ForcedOpen, until));
            }
            (Some(_), _) | (None, Closed) => return Ok((self.epoch, None)),
            (None, Open) if now < self.open_until => {
                return Err((RejectedBy::Open, Some(self.open_until)));
            }
            (None, Open) => self.next_epoch(Open, HalfOpen, now),
            (None, HalfOpen) => {}
        }
        if self.leases.len() as u32 >= self.settings.half_open_max_calls {
            return Err((RejectedBy::HalfOpen, None));
        }
        let lease = now + self.settings.probe_timeout;
        self.leases.push(lease);
        Ok((self.epoch, Some(lease)))
    }

    fn settle(
        &mut self,
        (epoch, lease): (u32, Option<u64>),
        (verdict, slow): (Verdict, bool),
        now: u64,
    ) -> Standing {
        if lease.is_some() && epoch == self.epoch {
            self.expire_lease(now);
        }
        if epoch != self.epoch {
            return Standing::Stale;
        }
        if let Some(lease) = lease {
            let place = self.leases.iter().position(|other| *other == lease);
            self.leases.remove(place.expect("the probes of this epoch have a lease"));
        }
        match (lease, verdict) {
            (_, Verdict::Nothing) => {}
            (None, Verdict::Good) => {
                self.streak = 0;
                self.rate(false, slow, now);
            }
            (None, Verdict::Bad) => {
                self.fail(now);
                if self.epoch == epoch {
                    self.rate(true, slow, now);
                }
            }
            (Some(_), Verdict::Bad) => self.open(self.failures_of_opening + 1, now),
            (Some(_), Verdict::Good) => {
                self.successes += 1;
                if self.successes >= self.settings.success_threshold {
                    self.next_epoch(HalfOpen, Closed, now);
                }
            }
        }
        Standing::Current
    }

    fn fail(&mut self, now: u64) {
        self.streak = self.failures(now) + 1;
        self.last_failure = now;
        if self.settings.failure_threshold.is_some_and(|threshold| self.streak >= threshold) {
            match self.active_override() {
                None => self.open(self.streak, now),
                Some(Override::Shadow) => (self.streak, self.would_open) = (0, self.would_open + 1),
                Some(_) => {}
            }
        }
    }

    fn rate(&mut self, failed: bool, slow: bool, now: u64) {
        let Some((tenths, window)) = self.settings.rates else { return };
        self.calls.push((now, failed, slow));
        let in_window: Vec<_> = match window {
            RateWindow::Calls(calls) => self.calls.iter().rev().take(calls as usize).collect(),
            // Slices of a second.
            _ => self.calls.iter().filter(|(at, ..)| at + 10 >= now).collect(),
        };
        let total = in_window.len();
        let failed = in_window.iter().filter(|(_, failed, _)| *failed).count();
        let slow = in_window.iter().filter(|(_, _, slow)| *slow).count();
        let reached = |part: usize| part * 10 >= total * tenths as usize;
        if total < MIN_CALLS as usize || !(reached(failed) || reached(slow)) {
            return;
        }
        match self.active_override() {
            None => self.open(self.failures(now), now),
            Some(Override::Shadow) if now >= self.quiet_until => {
                self.quiet_until = now + self.settings.timeout;
                self.would_open += 1;
            }
            Some(_) => {}
        }
    }
}

/// So many calls must be in the window before a rate says anything.
const MIN_CALLS: u32 = 3;

#[derive(Clone, Copy, Debug)]
struct Settings {
    failure_threshold: Option<u32>,
    /// Tenths of the calls that may neither fail nor be slow, and of which calls.
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

    fn reference(self) -> Reference {
        Reference {
            settings: self,
            mode: Mode::On,
            own: None,
            epoch: 0,
            state: Closed,
            since: START,
            streak: 0,
            last_failure: 0,
            calls: Vec::new(),
            failures_of_opening: 0,
            trips: 0,
            open_until: 0,
            leases: Vec::new(),
            successes: 0,
            would_open: 0,
            quiet_until: START,
        }
    }
}

/// The reference takes the time of no failure for long ago.
const START: u64 = 1000;

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
    ]
}

fn at(seconds: u64) -> Tick {
    Tick::from_nanos(1_000_000_000).after(Duration::from_secs(seconds))
}

/// Both of them, and the calls that are under way.
struct Pair {
    now: u64,
    machine: Machine,
    reference: Reference,
    under_way: Vec<(Ticket, (u32, Option<u64>))>,
    /// The number of the last change that was told, and where it led.
    told: (u64, CircuitState),
}

impl Pair {
    fn new(settings: Settings) -> Self {
        Pair {
            now: START,
            machine: Machine::new(Arc::new(settings.config()), at(START), Mode::On, None),
            reference: settings.reference(),
            under_way: Vec::new(),
            told: (0, Closed),
        }
    }

    fn run(&mut self, step: &Step) -> Result<(), TestCaseError> {
        let now = self.now;
        self.reference.expire_override(now);
        let before = self.reference.effective_state();
        match *step {
            Step::Admit => self.admit()?,
            Step::Settle(which, end) => self.settle(which, end)?,
            Step::Advance(seconds) => self.now += seconds,
            Step::Trip => {
                self.machine.trip(at(now));
                if self.reference.active_override().is_none() {
                    self.reference.open(self.reference.failures(now), now);
                }
            }
            Step::Reset => {
                self.machine.reset(at(now));
                self.reference.trips = 0;
                self.reference.next_epoch(before, Closed, now);
            }
            Step::Override(kind, ttl) => {
                let ttl_or_not = ttl.map(Duration::from_secs);
                let options = OverrideOptions { ttl: ttl_or_not, ..OverrideOptions::reason("") };
                self.machine.set_override(kind, options, at(now), Utc::now());
                self.reference.own = Some((kind, ttl.map_or(u64::MAX, |ttl| now + ttl)));
                self.reference.afresh(before, now);
            }
            Step::Clear => {
                self.machine.clear_override(at(now));
                if self.reference.own.take().is_some() {
                    self.reference.afresh(before, now);
                }
            }
            Step::SetMode(mode) => {
                self.machine.set_mode(mode, at(now));
                let mode_before = std::mem::replace(&mut self.reference.mode, mode);
                if mode_before != mode && self.reference.own.is_none() {
                    self.reference.afresh(before, now);
                }
            }
        }
        self.compare()
    }

    fn admit(&mut self) -> Result<(), TestCaseError> {
        let now = self.now;
        let admitted = match self.machine.admit_closed() {
            Some(ticket) => Ok(ticket),
            None => self.machine.admit(at(now)),
        };
        match (admitted, self.reference.admit(now)) {
            (Ok(ticket), Ok(expected)) => {
                prop_assert_eq!(ticket.lease, expected.1.map(at));
                self.under_way.push((ticket, expected));
            }
            (Err(rejection), Err((by, until))) => {
                prop_assert_eq!(rejection.state, by);
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
        let standing = self.machine.settle(ticket, end.0, end.1, || at(now));
        prop_assert_eq!(standing, self.reference.settle(expected, end, now));
        Ok(())
    }

    fn compare(&mut self) -> Result<(), TestCaseError> {
        let now = self.now;
        let seen = self.machine.observe(at(now));
        prop_assert_eq!(self.machine.state(|| at(now)), seen.state);
        self.reference.expire_override(now); // it is shown as over, noticed or not
        let expected = &self.reference;
        prop_assert_eq!(seen.state, expected.effective_state());
        prop_assert_eq!(seen.failures, expected.failures(now));
        prop_assert_eq!(seen.probes_in_flight as usize, expected.leases.len());
        let automatic = expected.active_override().is_none();
        let open_until = (automatic && expected.state == Open).then(|| at(expected.open_until));
        prop_assert_eq!(seen.open_until, open_until);
        prop_assert_eq!(seen.reason.is_some(), automatic && expected.state != Closed);
        prop_assert_eq!(seen.active_override.map(|own| own.kind), expected.own.map(|own| own.0));
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

proptest! {
    #![proptest_config(ProptestConfig { cases: 3000, failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn whatever_is_done_to_it_it_does_what_the_reference_does(
        settings in settings(),
        steps in prop::collection::vec(step(), 1..80),
    ) {
        let mut pair = Pair::new(settings);
        for step in &steps {
            pair.run(step)?;
        }
    }
}
