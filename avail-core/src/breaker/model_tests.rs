//! The machine against a reference that is plain enough to be read at a glance: random histories
//! of everything that can be done to a breaker, compared after every step.

use std::time::Duration;

use chrono::Utc;
use proptest::prelude::*;

use super::machine::{Machine, RejectedBy, Standing, Ticket, Verdict};
use super::overrides::{Mode, Override, OverrideOptions};
use super::{CircuitBreakerConfig, CircuitState};
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
    streak: u32,
    last_failure: u64,
    failures_of_opening: u32,
    open_until: u64,
    leases: Vec<u64>,
    successes: u32,
    would_open: u64,
}

impl Reference {
    fn new(settings: Settings) -> Self {
        Reference {
            settings,
            mode: Mode::On,
            own: None,
            epoch: 0,
            state: Closed,
            streak: 0,
            last_failure: 0,
            failures_of_opening: 0,
            open_until: 0,
            leases: Vec::new(),
            successes: 0,
            would_open: 0,
        }
    }

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

    fn next_epoch(&mut self, state: CircuitState) {
        (self.epoch, self.state, self.streak, self.successes) = (self.epoch + 1, state, 0, 0);
        self.leases.clear();
    }

    fn open(&mut self, failures: u32, at: u64) {
        self.failures_of_opening = failures;
        self.open_until = at + self.settings.timeout;
        self.next_epoch(Open);
    }

    fn override_is_over(&self, now: u64) -> bool {
        self.own.is_some_and(|(_, until)| now >= until)
    }

    fn expire_override(&mut self, now: u64) {
        if self.override_is_over(now) {
            self.own = None;
            self.next_epoch(Closed);
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
            (None, Open) => self.next_epoch(HalfOpen),
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
        verdict: Verdict,
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
            (None, Verdict::Good) => self.streak = 0,
            (None, Verdict::Bad) => self.fail(now),
            (Some(_), Verdict::Bad) => self.open(self.failures_of_opening + 1, now),
            (Some(_), Verdict::Good) => {
                self.successes += 1;
                if self.successes >= self.settings.success_threshold {
                    self.next_epoch(Closed);
                }
            }
        }
        Standing::Current
    }

    fn fail(&mut self, now: u64) {
        self.streak = self.failures(now) + 1;
        self.last_failure = now;
        if self.streak >= self.settings.failure_threshold {
            match self.active_override() {
                None => self.open(self.streak, now),
                Some(Override::Shadow) => (self.streak, self.would_open) = (0, self.would_open + 1),
                Some(_) => {}
            }
        }
    }
}

#[derive(Clone, Copy, Debug)]
struct Settings {
    failure_threshold: u32,
    success_threshold: u32,
    half_open_max_calls: u32,
    timeout: u64,
    reset_timeout: u64,
    probe_timeout: u64,
}

impl Settings {
    fn config(self) -> CircuitBreakerConfig {
        CircuitBreakerConfig::builder()
            .failure_threshold(self.failure_threshold)
            .success_threshold(self.success_threshold)
            .half_open_max_calls(self.half_open_max_calls)
            .timeout(Duration::from_secs(self.timeout))
            .reset_timeout(Duration::from_secs(self.reset_timeout))
            .probe_timeout(Duration::from_secs(self.probe_timeout))
            .build()
            .expect("small settings are valid")
    }
}

#[derive(Clone, Debug)]
enum Step {
    Admit,
    /// One of the calls under way, counted round.
    Settle(usize, Verdict),
    Advance(u64),
    Trip,
    Reset,
    Override(Override, Option<u64>),
    Clear,
    SetMode(Mode),
}

fn settings() -> impl Strategy<Value = Settings> {
    (1..4_u32, 1..4_u32, 1..4_u32, 1..6_u64, 1..9_u64, 1..9_u64).prop_map(
        |(failures, successes, probes, timeout, reset_timeout, probe_timeout)| Settings {
            failure_threshold: failures,
            success_threshold: successes,
            half_open_max_calls: probes,
            timeout,
            reset_timeout,
            probe_timeout,
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
        30 => (0..8_usize, verdict).prop_map(|(which, verdict)| Step::Settle(which, verdict)),
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
    config: CircuitBreakerConfig,
    machine: Machine,
    reference: Reference,
    under_way: Vec<(Ticket, (u32, Option<u64>))>,
    /// The number of the last change that was told, and where it led.
    told: (u64, CircuitState),
}

impl Pair {
    fn new(settings: Settings) -> Self {
        Pair {
            // The reference takes the time of no failure for long ago.
            now: 1000,
            config: settings.config(),
            machine: Machine::new(at(1000), Mode::On, None),
            reference: Reference::new(settings),
            under_way: Vec::new(),
            told: (0, Closed),
        }
    }

    fn run(&mut self, step: &Step) -> Result<(), TestCaseError> {
        let now = self.now;
        self.reference.expire_override(now);
        match *step {
            Step::Admit => self.admit()?,
            Step::Settle(which, verdict) => self.settle(which, verdict)?,
            Step::Advance(seconds) => self.now += seconds,
            Step::Trip => {
                self.machine.trip(at(now), &self.config);
                if self.reference.active_override().is_none() {
                    self.reference.open(self.reference.failures(now), now);
                }
            }
            Step::Reset => {
                self.machine.reset(at(now));
                self.reference.next_epoch(Closed);
            }
            Step::Override(kind, ttl) => {
                let ttl_or_not = ttl.map(Duration::from_secs);
                let options = OverrideOptions { ttl: ttl_or_not, ..OverrideOptions::reason("") };
                self.machine.set_override(kind, options, at(now), Utc::now());
                self.reference.own = Some((kind, ttl.map_or(u64::MAX, |ttl| now + ttl)));
                self.reference.next_epoch(Closed);
            }
            Step::Clear => {
                self.machine.clear_override(at(now));
                if self.reference.own.take().is_some() {
                    self.reference.next_epoch(Closed);
                }
            }
            Step::SetMode(mode) => {
                self.machine.set_mode(mode, at(now));
                let before = std::mem::replace(&mut self.reference.mode, mode);
                if before != mode && self.reference.own.is_none() {
                    self.reference.next_epoch(Closed);
                }
            }
        }
        self.compare()
    }

    fn admit(&mut self) -> Result<(), TestCaseError> {
        let now = self.now;
        let admitted = match self.machine.admit_closed() {
            Some(ticket) => Ok(ticket),
            None => self.machine.admit(at(now), &self.config),
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

    fn settle(&mut self, which: usize, verdict: Verdict) -> Result<(), TestCaseError> {
        if self.under_way.is_empty() {
            return Ok(());
        }
        let (now, which) = (self.now, which % self.under_way.len());
        let (ticket, expected) = self.under_way.swap_remove(which);
        let standing = self.machine.settle(ticket, verdict, &self.config, || at(now));
        prop_assert_eq!(standing, self.reference.settle(expected, verdict, now));
        Ok(())
    }

    fn compare(&mut self) -> Result<(), TestCaseError> {
        let now = self.now;
        let seen = self.machine.observe(at(now), &self.config);
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
        let seen = self.machine.observe(at(0), &self.config);
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
