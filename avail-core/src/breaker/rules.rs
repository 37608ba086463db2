//! What a call looks at on its way, out of the configuration: plain numbers that can be read
//! without a lock, and changed while calls pass. All of it is relaxed: a call that passes while the
//! configuration changes may meet either.

use std::collections::BTreeMap;
use std::sync::OnceLock;
use std::sync::atomic::Ordering::Relaxed;
use std::sync::atomic::{AtomicBool, AtomicU32, AtomicU64};
use std::time::Duration;

use super::config::{CircuitBreakerConfig, RateWindow};
use super::error::OpenReason;
use super::window::{Tally, Window};
use crate::clock::{Tick, coarse_step, nanos};

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

/// The window that is recorded in: the last of a chain, so that a change of its size finds a place
/// while calls still write to the one before.
#[derive(Debug, Default)]
pub(crate) struct Windows {
    first: OnceLock<Box<Link>>,
    /// No rule asks for rates at the moment: what the window holds is of the past.
    paused: AtomicBool,
}

#[derive(Debug)]
struct Link {
    shape: RateWindow,
    window: Window,
    next: OnceLock<Box<Link>>,
}

impl Link {
    fn new(shape: RateWindow) -> Self {
        let window = match shape {
            RateWindow::Calls(calls) => Window::of_calls(calls),
            RateWindow::Time(length) => Window::of_time(length),
        };
        Link { shape, window, next: OnceLock::new() }
    }

    fn last(&self) -> &Link {
        let mut link = self;
        while let Some(next) = link.next.get() {
            link = next;
        }
        link
    }
}

/// One after the other: a chain that drops itself link within link needs a stack of its length.
impl Drop for Link {
    fn drop(&mut self) {
        let mut next = self.next.take();
        while let Some(mut link) = next {
            next = link.next.take();
        }
    }
}

impl Windows {
    pub(crate) fn of(config: &CircuitBreakerConfig) -> Self {
        let windows = Windows::default();
        windows.set(config);
        windows
    }

    /// A window of another size begins empty, and so does one that was not recorded in for a while;
    /// one of the same size goes on. Called under the lock.
    pub(crate) fn set(&self, config: &CircuitBreakerConfig) {
        if !config.has_rates() {
            self.paused.store(true, Relaxed);
            return;
        }
        let goes_on = !self.paused.swap(false, Relaxed) || self.first.get().is_none();
        let last = self.first.get_or_init(|| Box::new(Link::new(config.window))).last();
        if last.shape == config.window && goes_on {
            last.window.look_again();
        } else {
            last.next.get_or_init(|| Box::new(Link::new(config.window)));
        }
    }

    /// The next call looks at the rates, whatever it is.
    pub(crate) fn look_again(&self) {
        if let Some(window) = self.current() {
            window.look_again();
        }
    }

    #[inline]
    pub(crate) fn current(&self) -> Option<&Window> {
        self.first.get().map(|first| &first.last().window)
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

    pub(crate) fn enter(&self, epoch: u32, began: Tick) {
        *self.lock().entry((epoch, began)).or_default() += 1;
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
        let of_epoch = all.range((epoch, Tick::from_nanos(0))..=(epoch, now));
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
    fn a_breaker_whose_window_changed_often_can_be_dropped() {
        let windows = Windows::default();
        for calls in 0..20_000 {
            let config = CircuitBreakerConfig::builder().failure_rate(0.5).window(10 + calls % 2);
            windows.set(&config.build().expect("a valid configuration"));
        }
        drop(windows);
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
