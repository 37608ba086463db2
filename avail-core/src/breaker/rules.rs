//! What a call looks at on its way, out of the configuration: plain numbers that can be read
//! without a lock, and changed while calls pass. All of it is relaxed: a call that passes while the
//! configuration changes may meet either.

use std::collections::BTreeMap;
use std::ops::Bound::{Excluded, Included};
use std::sync::OnceLock;
use std::sync::atomic::Ordering::Relaxed;
use std::sync::atomic::{AtomicU32, AtomicU64, Ordering};
use std::time::Duration;

use super::config::{CircuitBreakerConfig, RateWindow};
use super::error::OpenReason;
use super::window::{Era, Mark, Tally, Window};
use crate::clock::{Tick, coarse_step, nanos};
use crate::primitive;

/// Not a rule: a rate that nothing reaches, a time that never comes.
const NEVER: u64 = u64::MAX;

/// What a call has to do besides counting.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct Duties(u32);

impl Duties {
    pub(crate) const NONE: Duties = Duties(0);
    /// Put what it was into a window.
    pub(crate) const RATES: Duties = Duties(1);
    /// Measure how long it took.
    pub(crate) const LATENCY: Duties = Duties(2);
    /// Be cut off in time.
    pub(crate) const TIMEOUT: Duties = Duties(4);
    /// Be known while it is under way.
    pub(crate) const IN_FLIGHT: Duties = Duties(8);
    /// No duty, but a relief: the coarse clock will do for what a good call has to measure.
    pub(crate) const COARSE: Duties = Duties(16);

    fn of(config: &CircuitBreakerConfig) -> Self {
        let latency = config.slow_call_rate.is_some();
        let each = [
            (coarse_clock_will_do(config), Duties::COARSE),
            (config.has_rates(), Duties::RATES),
            (latency, Duties::LATENCY),
            (config.call_timeout.is_some(), Duties::TIMEOUT),
            (latency && config.slow_in_flight, Duties::IN_FLIGHT),
        ];
        Duties(each.iter().filter(|(has, _)| *has).map(|(_, duty)| duty.0).sum())
    }

    #[inline]
    pub(crate) fn without(self, duty: Duties) -> Self {
        Duties(self.0 & !duty.0)
    }

    #[inline]
    pub(crate) fn has(self, duty: Duties) -> bool {
        self.0 & duty.0 != 0
    }

    pub(crate) fn is_none(self) -> bool {
        self == Self::NONE
    }
}

/// Whether the coarse clock is exact to one percent of each time that it would be compared with.
fn coarse_clock_will_do(config: &CircuitBreakerConfig) -> bool {
    let slice = match config.window {
        RateWindow::Time(length) => Some(length / 10),
        RateWindow::Calls(_) => None,
    };
    let times = [config.slow_call, Some(config.overdue_after()).flatten(), slice];
    let shortest = times.into_iter().flatten().min();
    config.has_rates()
        && !config.slow_in_flight
        && shortest.is_none_or(|shortest| shortest >= 100 * coarse_step())
}

#[derive(Debug, Default)]
pub(crate) struct Rules {
    duties: AtomicU32,
    failure_threshold: AtomicU32,
    half_open_max_calls: AtomicU32,
    min_calls: AtomicU32,
    reset_timeout: AtomicU64,
    slow_call: AtomicU64,
    overdue_after: AtomicU64,
    lease: AtomicU64,
    failure_rate: AtomicU64,
    slow_call_rate: AtomicU64,
}

impl Rules {
    pub(crate) fn new(config: &CircuitBreakerConfig) -> Self {
        let rules = Rules::default();
        rules.set(config);
        rules
    }

    pub(crate) fn set(&self, config: &CircuitBreakerConfig) {
        let time = |time: Option<Duration>| time.map_or(NEVER, nanos);
        let rate = |rate: Option<f64>| rate.unwrap_or(f64::INFINITY).to_bits();
        self.failure_threshold.store(config.failure_threshold.unwrap_or(u32::MAX), Relaxed);
        self.half_open_max_calls.store(config.half_open_max_calls, Relaxed);
        self.min_calls.store(config.min_calls, Relaxed);
        self.reset_timeout.store(time(Some(config.reset_timeout)), Relaxed);
        self.slow_call.store(time(config.slow_call), Relaxed);
        self.overdue_after.store(time(config.overdue_after()), Relaxed);
        let twice_slow = config.slow_call.unwrap_or_default().saturating_mul(2);
        self.lease.store(nanos(config.probe_lease().max(twice_slow)), Relaxed);
        self.failure_rate.store(rate(config.failure_rate), Relaxed);
        self.slow_call_rate.store(rate(config.slow_call_rate), Relaxed);
        self.duties.store(Duties::of(config).0, Relaxed);
    }

    #[inline]
    pub(crate) fn duties(&self) -> Duties {
        Duties(self.duties.load(Relaxed))
    }

    /// `None`: failures in a row open nothing.
    pub(crate) fn failure_threshold(&self) -> Option<u32> {
        Some(self.failure_threshold.load(Relaxed)).filter(|threshold| *threshold != u32::MAX)
    }

    pub(crate) fn half_open_max_calls(&self) -> u32 {
        self.half_open_max_calls.load(Relaxed)
    }

    pub(crate) fn min_calls(&self) -> u32 {
        self.min_calls.load(Relaxed)
    }

    pub(crate) fn reset_timeout(&self) -> Duration {
        Duration::from_nanos(self.reset_timeout.load(Relaxed))
    }

    /// Whether a call that took so long was slow.
    pub(crate) fn is_slow(&self, took: Duration) -> bool {
        nanos(took) >= self.slow_call.load(Relaxed)
    }

    /// Whether a call that is given up at this age is a failure.
    pub(crate) fn is_overdue(&self, age: Duration) -> bool {
        nanos(age) >= self.overdue_after.load(Relaxed)
    }

    /// How long a call that has not ended is under way, at most: it may have been forgotten.
    fn lease(&self) -> u64 {
        self.lease.load(Relaxed)
    }

    /// What a tally opens the breaker for, if it does.
    pub(crate) fn broken_by(&self, tally: Tally) -> Option<OpenReason> {
        if tally.calls < u64::from(self.min_calls()) {
            return None;
        }
        let rate = |rate: &AtomicU64| f64::from_bits(rate.load(Relaxed));
        let Tally { calls, failed, slow } = tally;
        if tally.reaches(failed, rate(&self.failure_rate)) {
            return Some(OpenReason::FailureRate { failed: shown(failed), calls: shown(calls) });
        }
        let slowness = rate(&self.slow_call_rate);
        let reason = OpenReason::SlowCallRate { slow: shown(slow), calls: shown(calls) };
        tally.reaches(slow, slowness).then_some(reason)
    }
}

/// A count as a reason shows it.
fn shown(count: u64) -> u32 {
    u32::try_from(count).unwrap_or(u32::MAX)
}

/// The window that is recorded in: one of two, which are made when they are first asked for, and
/// begin anew, where they are, when their size changes. So a breaker keeps no window of the past,
/// however often it is changed.
#[derive(Debug, Default)]
pub(crate) struct Windows {
    /// One of calls, one of time.
    kinds: [OnceLock<Window>; 2],
    /// Which of them, and how often one has begun: `generation << 1 | kind`; 0: none has yet.
    current: primitive::AtomicU64,
}

impl Windows {
    pub(crate) fn of(config: &CircuitBreakerConfig) -> Self {
        let windows = Windows::default();
        if config.has_rates() {
            windows.begin(config.window);
        }
        windows
    }

    /// A window of another size begins empty, and so does one that was not recorded in for a while;
    /// one of the same size goes on. Called under the lock.
    pub(crate) fn set(&self, before: &CircuitBreakerConfig, now: &CircuitBreakerConfig) {
        if before.has_rates() && now.has_rates() && before.window == now.window {
            self.look_again();
        } else if now.has_rates() {
            self.begin(now.window);
        }
    }

    fn begin(&self, shape: RateWindow) {
        let kind = match shape {
            RateWindow::Calls(_) => 0,
            RateWindow::Time(_) => 1,
        };
        self.kinds[kind].get_or_init(|| Window::of(shape)).resize(shape);
        let generation = (self.current.load(Relaxed) >> 1) + 1;
        // Release: pairs with the Acquire in `current`, so that who sees the generation finds a
        // window of its size.
        self.current.store(generation << 1 | kind as u64, Ordering::Release);
    }

    /// The next call looks at the rates, whatever it is.
    pub(crate) fn look_again(&self) {
        if let Some(current) = self.current() {
            current.window.look_again();
        }
    }

    #[inline]
    pub(crate) fn current(&self) -> Option<CurrentWindow<'_>> {
        let current = self.current.load(Ordering::Acquire);
        let window = self.kinds[(current & 1) as usize].get()?;
        Some(CurrentWindow { window, generation: (current >> 1) as u32 })
    }
}

/// A window as it is now. Who looked it up before it began anew changes nothing of what follows.
#[derive(Clone, Copy)]
pub(crate) struct CurrentWindow<'a> {
    window: &'a Window,
    generation: u32,
}

impl CurrentWindow<'_> {
    /// As [`Window::record`].
    #[inline]
    pub(crate) fn record(
        self,
        epoch: u32,
        mark: Mark,
        min_calls: u32,
        now: impl FnOnce() -> Tick,
    ) -> Option<Tally> {
        self.window.record(Era::new(self.generation, epoch), mark, min_calls, now)
    }

    /// As [`Window::tally`].
    pub(crate) fn tally(self, epoch: u32, now: Tick) -> Tally {
        self.window.tally(Era::new(self.generation, epoch), now)
    }
}

/// In which epoch and when the calls began that are under way, and how many began then.
#[derive(Debug, Default)]
pub(crate) struct InFlight {
    began: std::sync::Mutex<BTreeMap<(u32, Tick), u64>>,
}

impl InFlight {
    fn lock(&self) -> std::sync::MutexGuard<'_, BTreeMap<(u32, Tick), u64>> {
        self.began.lock().unwrap_or_else(std::sync::PoisonError::into_inner)
    }

    pub(crate) fn enter(&self, epoch: u32, rules: &Rules, began: Tick) {
        let mut all = self.lock();
        // Those that never end are not kept for ever.
        let expired = began.as_nanos().saturating_sub(rules.lease());
        while all.first_key_value().is_some_and(|((_, began), _)| began.as_nanos() <= expired) {
            all.pop_first();
        }
        *all.entry((epoch, began)).or_default() += 1;
    }

    pub(crate) fn leave(&self, epoch: u32, began: Tick) {
        let mut all = self.lock();
        if let Some(calls) = all.get_mut(&(epoch, began)) {
            *calls -= 1;
            if *calls == 0 {
                all.remove(&(epoch, began));
            }
        }
    }

    /// How many of this epoch are slow already.
    pub(crate) fn overdue(&self, epoch: u32, rules: &Rules, now: Tick) -> u64 {
        let all = self.lock();
        let expired = Tick::from_nanos(now.as_nanos().saturating_sub(rules.lease()));
        let of_epoch = all.range((Excluded((epoch, expired)), Included((epoch, now))));
        let slow = of_epoch.take_while(|((_, began), _)| rules.is_slow(now.since(*began)));
        slow.map(|(_, calls)| calls).sum()
    }
}

#[cfg(all(test, not(avail_loom)))]
mod tests {
    use super::*;
    use crate::breaker::CircuitBreakerConfigBuilder;

    fn rates() -> CircuitBreakerConfigBuilder {
        CircuitBreakerConfig::builder().failure_rate(0.5).window(100)
    }

    fn duties(config: CircuitBreakerConfigBuilder) -> Duties {
        Rules::new(&config.build().expect("a valid configuration")).duties()
    }

    #[test]
    fn calls_that_never_end_are_not_kept_for_ever() {
        let second = Duration::from_secs(1);
        let config = rates().probe_timeout(second).build().expect("a valid configuration");
        let (rules, in_flight) = (Rules::new(&config), InFlight::default());
        for epoch in 0..100 {
            let now = Tick::from_nanos(1).after(second * epoch / 10);
            (0..2).for_each(|_| in_flight.enter(epoch / 7, &rules, now));
        }
        assert_eq!(in_flight.lock().len(), 10);
    }

    #[test]
    fn a_call_has_the_duties_that_its_rules_ask_for_and_no_others() {
        let has = |config: CircuitBreakerConfigBuilder| {
            let duties = duties(config);
            [Duties::RATES, Duties::LATENCY, Duties::TIMEOUT, Duties::IN_FLIGHT]
                .map(|duty| duties.has(duty))
        };
        let second = Duration::from_secs(1);
        let streak = CircuitBreakerConfig::builder;
        let slow = || streak().slow_call(second).slow_call_rate(0.5);
        assert!(duties(streak()).is_none() && !duties(rates()).is_none());
        assert_eq!(has(rates()), [true, false, false, false]);
        assert_eq!(has(streak().call_timeout(second)), [false, false, true, false]);
        assert_eq!(has(slow()), [true, true, false, false]);
        assert_eq!(has(slow().slow_in_flight(true)), [true, true, false, true]);
    }

    #[test]
    #[cfg(target_os = "linux")] // elsewhere the coarse clock is the other one
    fn the_coarse_clock_will_do_where_it_is_exact_to_a_percent_of_all_that_is_timed() {
        let coarse = |config| duties(config).has(Duties::COARSE);
        let least = 100 * coarse_step();
        let too_short = least - Duration::from_nanos(1);
        let slow = |time| rates().slow_call(time).slow_call_rate(0.5);
        assert!(coarse(rates()));
        assert!(!coarse(CircuitBreakerConfig::builder()), "nothing is timed");
        assert!(coarse(slow(least)) && !coarse(slow(too_short)));
        assert!(!coarse(slow(least).slow_in_flight(true)));
        let overdue = |time| rates().cancel_failure_after(time);
        assert!(coarse(overdue(least)) && !coarse(overdue(too_short)));
        let over = |slice| rates().window(10 * slice);
        assert!(coarse(over(least)) && !coarse(over(too_short)));
    }
}
