//! The circuit breaker: stops calling what keeps failing, and tries again with care.
//!
//! | file | what it holds |
//! |---|---|
//! | `inner` | what every handle of a breaker shares |
//! | `state` | the state machine as plain values |
//! | `machine` | the atomics and the lock around it |
//! | `rules`, `window` | what opens it, and over which calls |
//! | `seat`, `shards` | what no two threads write |
//! | `permit`, `guard` | the right to make one call, returned whatever happens to the call |
//! | `call` | a call under way, as a future |
//! | `config`, `builder`, `overrides` | what it can be told |
//! | `events`, `metrics`, `error`, `label` | what it tells |
//! | `nested` | how it sees the rejection of another one |
//! | `fleet` | the switch for all breakers |

mod builder;
mod call;
mod config;
mod error;
mod events;
pub(crate) mod fleet;
mod guard;
mod inner;
mod label;
mod machine;
mod metrics;
mod nested;
mod overrides;
mod permit;
mod rules;
mod seat;
mod shards;
mod state;
mod window;

#[cfg(all(test, avail_loom))]
mod loom_tests;
#[cfg(all(test, not(avail_loom)))]
mod model_tests;
#[cfg(all(test, not(avail_loom)))]
mod tests;

use std::fmt;
use std::future::Future;
use std::sync::Arc;

pub use self::builder::{CircuitBreakerConfigBuilder, ConfigError};
pub use self::config::{CancelFailure, CircuitBreakerConfig, RateWindow};
pub use self::error::{CallError, CircuitBreakerError, OpenReason};
pub use self::events::{BreakerEvent, Cause, Subscription};
pub use self::guard::Guard;
pub use self::label::Label;
pub use self::metrics::{
    CallCounts, CircuitBreakerMetrics, RejectionCounts, TimeInState, TransitionCount,
};
pub use self::overrides::{ActiveOverride, Mode, Override, OverrideOptions, ParseModeError};
pub use self::permit::{Outcome, Permit};
pub use self::state::CircuitState;

pub(crate) use self::events::Listeners;

use self::call::{ByResult, Call, Classified, Finish};
use self::fleet::Fleet;
pub(crate) use self::inner::Inner;
use self::machine::Machine;
use self::metrics::Counters;
pub use self::metrics::End;
pub(crate) use self::nested::is_rejection;
use crate::clock::Clock;
use crate::scope::Scope;

/// A circuit breaker: closed it lets calls through, open it rejects them at once, half-open it lets
/// a few through to see.
///
/// It is a handle: clones are the same breaker. It needs no runtime and no task; time is read where
/// it matters.
///
/// ```
/// use avail_core::{CallError, CircuitBreaker, CircuitBreakerConfig, CircuitState};
///
/// # #[tokio::main(flavor = "current_thread")] async fn main() -> Result<(), Box<dyn std::error::Error>> {
/// let config = CircuitBreakerConfig::builder().failure_threshold(2).build()?;
/// let breaker = CircuitBreaker::new("storage", config);
///
/// for _ in 0..2 {
///     let result = breaker.call(|| async { Err::<(), _>("connection refused") }).await;
///     assert_eq!(result, Err(CallError::Operation("connection refused")));
/// }
/// assert_eq!(breaker.state(), CircuitState::Open);
///
/// let rejected = breaker.call(|| async { Ok::<_, &str>(1) }).await;
/// assert!(matches!(rejected, Err(CallError::CircuitBreaker(_))));
/// # Ok(()) }
/// ```
#[derive(Clone)]
pub struct CircuitBreaker {
    pub(crate) inner: Arc<Inner>,
}

/// Why a breaker is in shadow that nobody has laid there by hand.
const IN_SHADOW: &str = "declared in shadow";

impl CircuitBreaker {
    /// A breaker that stands alone. One that the monitor and the endpoints are to see comes from a
    /// [`CircuitBreakerRegistry`](crate::CircuitBreakerRegistry).
    pub fn new(name: impl Into<Arc<str>>, config: CircuitBreakerConfig) -> Self {
        let scope = Scope::current();
        let name = name.into();
        let (clock, fleet) = (scope.clock.clone(), scope.fleet.clone());
        Self::make(name.clone(), name, config, clock, fleet, None)
    }

    pub(crate) fn make(
        name: Arc<str>,
        component: Arc<str>,
        config: CircuitBreakerConfig,
        clock: Clock,
        fleet: Arc<Fleet>,
        registry_listeners: Option<Arc<Listeners>>,
    ) -> Self {
        let config = config.bounded();
        let own = config.shadow.then(|| {
            let options = OverrideOptions::reason(IN_SHADOW);
            ActiveOverride::new(Override::Shadow, options, clock.wall()).0
        });
        let inner = fleet.clone().admit(move |fleet_id, mode| {
            Arc::new(Inner {
                // Of the members of a family there may be any number.
                name: if name == component { Label::kept(name) } else { name.into() },
                component,
                machine: Machine::new(config.shared(), clock.now(), mode, own),
                clock,
                counters: Counters::default(),
                listeners: Arc::default(),
                registry_listeners,
                fleet,
                fleet_id,
            })
        });
        CircuitBreaker { inner }
    }

    /// Its name.
    pub fn name(&self) -> &str {
        &self.inner.name
    }

    /// Its settings.
    pub fn config(&self) -> Arc<CircuitBreakerConfig> {
        self.inner.config()
    }

    /// What calls meet. Looking changes nothing: an open breaker whose open time is over says
    /// [`Open`](CircuitState::Open) until a call probes it.
    pub fn state(&self) -> CircuitState {
        self.inner.machine.state(|| self.inner.clock.now())
    }

    /// How many calls failed in a row. While it is open or half-open: how many had failed when it
    /// opened, and the failed probes since.
    pub fn failure_count(&self) -> u32 {
        self.inner.machine.failure_count(self.inner.clock.now())
    }

    /// Everything about it at this moment.
    pub fn metrics(&self) -> CircuitBreakerMetrics {
        self.inner.metrics()
    }

    /// Runs `op` if the breaker lets it, and takes its result into account: `Ok` is a success,
    /// `Err` a failure, a panic a failure that unwinds on. Of an error of any type it can't see
    /// whether it is the rejection of another breaker: see [`Outcome::of_nested`].
    ///
    /// Nothing happens before the returned future is polled; if it is dropped, the slot is given
    /// back.
    ///
    /// # Errors
    ///
    /// [`CallError::CircuitBreaker`] where the call was not let through, else
    /// [`CallError::Operation`] with the operation's own error.
    #[inline]
    pub fn call<F, Fut, T, E>(&self, op: F) -> impl Future<Output = Result<T, CallError<E>>>
    where
        F: FnOnce() -> Fut,
        Fut: Future<Output = Result<T, E>>,
    {
        Call::new(&self.inner, op, ByResult)
    }

    /// [`call`](Self::call) for a function that is not async.
    ///
    /// # Errors
    ///
    /// As [`call`](Self::call).
    ///
    /// ```
    /// use avail_core::CircuitBreaker;
    ///
    /// let breaker = CircuitBreaker::new("parser", Default::default());
    /// assert_eq!(breaker.call_sync(|| "42".parse::<u32>()), Ok(42));
    /// ```
    #[inline]
    pub fn call_sync<F, T, E>(&self, op: F) -> Result<T, CallError<E>>
    where
        F: FnOnce() -> Result<T, E>,
    {
        let mut guard = self.guard();
        guard.enter()?;
        let output = guard.watch(op);
        guard.settle(|| ByResult.judge(&output));
        ByResult.give(output)
    }

    /// Runs `op` if the breaker lets it, and asks `classify` what its result counts as.
    ///
    /// # Errors
    ///
    /// [`CircuitBreakerError`] where the call was not let through.
    ///
    /// ```
    /// use avail_core::{CircuitBreaker, Outcome};
    ///
    /// # #[tokio::main(flavor = "current_thread")] async fn main() -> Result<(), avail_core::CircuitBreakerError> {
    /// let breaker = CircuitBreaker::new("api", Default::default());
    /// let status = breaker
    ///     .call_classified(|| async { 404_u16 }, |status| match status {
    ///         500.. => Outcome::Failure,
    ///         404 => Outcome::Ignored,
    ///         _ => Outcome::Success,
    ///     })
    ///     .await?;
    /// assert_eq!(status, 404);
    /// assert_eq!(breaker.metrics().calls.ignored, 1);
    /// # Ok(()) }
    /// ```
    #[inline]
    pub fn call_classified<F, Fut, R, C>(
        &self,
        op: F,
        classify: C,
    ) -> impl Future<Output = Result<R, CircuitBreakerError>>
    where
        F: FnOnce() -> Fut,
        Fut: Future<Output = R>,
        C: FnOnce(&R) -> Outcome,
    {
        Call::new(&self.inner, op, Classified(Some(classify)))
    }

    /// Asks for the right to make one call, for code that can't be put into a closure. The slot is
    /// given back when the permit is dropped.
    ///
    /// # Errors
    ///
    /// [`CircuitBreakerError::Open`] where the call may not be made.
    ///
    /// ```
    /// use avail_core::CircuitBreaker;
    ///
    /// let breaker = CircuitBreaker::new("upload", Default::default());
    /// let permit = breaker.acquire()?;
    /// // … the call …
    /// permit.success();
    /// # Ok::<(), avail_core::CircuitBreakerError>(())
    /// ```
    pub fn acquire(&self) -> Result<Permit, CircuitBreakerError> {
        let ticket = self.inner.admit()?;
        Ok(Permit::new(self.inner.clone(), ticket))
    }

    /// The health check that has to pass before a call may probe, if the time for it has come.
    pub(crate) fn awaited_check(&self) -> Option<Arc<str>> {
        self.inner.machine.awaited_check(self.inner.clock.now())
    }

    /// Somebody runs the recovery check, for so long from now on.
    pub(crate) fn supervise(&self, time: std::time::Duration) {
        self.inner.machine.supervise(self.inner.clock.now().after(time));
    }

    /// The recovery check has been run.
    pub(crate) fn recovery_checked(&self, passed: bool) {
        self.inner.machine.recovery_checked(passed, self.inner.clock.now());
        self.inner.deliver();
    }

    /// What the monitor knows it as.
    pub(crate) fn component(&self) -> &Arc<str> {
        &self.inner.component
    }

    /// Closed, without a failure that is remembered, and held by nobody but its `keepers`.
    /// Tells it from every other of its registry, also from one of the same name that came before.
    pub(crate) fn id(&self) -> u64 {
        self.inner.fleet_id
    }

    /// How calls ended: the counters alone, without a look at the state.
    pub(crate) fn calls(&self) -> CallCounts {
        self.inner.counters.calls()
    }

    pub(crate) fn is_idle(&self, keepers: usize) -> bool {
        let seen = self.inner.machine.observe(self.inner.clock.now());
        let clean = seen.state == CircuitState::Closed && seen.failures == 0;
        clean && seen.active_override.is_none() && Arc::strong_count(&self.inner) <= keepers
    }

    pub(crate) fn is_same_as(&self, other: &CircuitBreaker) -> bool {
        Arc::ptr_eq(&self.inner, &other.inner)
    }

    #[inline]
    pub(crate) fn guard(&self) -> Guard<'_> {
        Guard::new(&self.inner)
    }

    /// Goes on with other settings. Its state, its open time, what its windows hold and the calls
    /// under way stay as they are; a window of another size begins empty.
    ///
    /// # Errors
    ///
    /// What [`CircuitBreakerConfigBuilder::build`] says of settings that can't work; then nothing
    /// is changed.
    ///
    /// ```
    /// use avail_core::{CircuitBreaker, CircuitBreakerConfig, CircuitState};
    ///
    /// let breaker = CircuitBreaker::new("storage", Default::default());
    /// breaker.trip();
    /// breaker.reconfigure(CircuitBreakerConfig::builder().failure_threshold(3).build()?)?;
    /// assert_eq!(breaker.state(), CircuitState::Open);
    /// # Ok::<(), avail_core::ConfigError>(())
    /// ```
    pub fn reconfigure(&self, config: CircuitBreakerConfig) -> Result<(), ConfigError> {
        let config = config.validate()?;
        tracing::info!(breaker = self.name(), ?config, "a circuit breaker was reconfigured");
        self.go_on_with(config);
        Ok(())
    }

    /// [`reconfigure`](Self::reconfigure) with settings that have been validated, and without a word.
    pub(crate) fn go_on_with(&self, config: CircuitBreakerConfig) {
        self.inner.machine.reconfigure(config.bounded().shared());
    }

    /// Its settings put it into shadow, or no longer do. What an operator has laid over it stays.
    pub(crate) fn set_declared_shadow(&self, shadow: bool) {
        let active = self.active_override();
        match active {
            None if shadow => {
                self.set_override(Override::Shadow, OverrideOptions::reason(IN_SHADOW));
            }
            Some(own) if !shadow && own.kind == Override::Shadow && &*own.reason == IN_SHADOW => {
                self.clear_override();
            }
            _ => {}
        }
    }

    /// Opens it by hand, as if a rule had tripped it. Under an override it does nothing.
    pub fn trip(&self) {
        self.inner.machine.trip(self.inner.clock.now());
        self.inner.deliver();
    }

    /// Makes it fresh and closed: calls under way count for nothing. An override stays.
    pub fn reset(&self) {
        self.inner.machine.reset(self.inner.clock.now());
        self.inner.deliver();
    }

    /// Rejects every call until [`clear_override`](Self::clear_override), however often the
    /// open time ends.
    pub fn force_open(&self, reason: impl Into<String>) {
        self.set_override(Override::ForcedOpen, OverrideOptions::reason(reason));
    }

    /// Lays an override over the automatic state, in place of any other.
    pub fn set_override(&self, kind: Override, options: OverrideOptions) {
        let Inner { machine, clock, .. } = &*self.inner;
        machine.set_override(kind, options, clock.now(), clock.wall());
        self.inner.deliver();
    }

    /// The override in force, if there is one. The switch for all is not one: see
    /// [`mode`](crate::mode).
    pub fn active_override(&self) -> Option<ActiveOverride> {
        self.inner.machine.observe(self.inner.clock.now()).active_override
    }

    /// Takes the override away: what is left is a fresh closed breaker.
    pub fn clear_override(&self) {
        self.inner.machine.clear_override(self.inner.clock.now());
        self.inner.deliver();
    }

    /// Calls `callback` with every change, in order and outside every lock, on the thread that
    /// brought it about. It may call the breaker, and it may panic.
    ///
    /// ```
    /// use avail_core::CircuitBreaker;
    ///
    /// let breaker = CircuitBreaker::new("storage", Default::default());
    /// let subscription = breaker.subscribe(|event| println!("{} is {}", event.breaker, event.to));
    /// breaker.trip();
    /// drop(subscription);
    /// ```
    pub fn subscribe(
        &self,
        callback: impl Fn(&BreakerEvent) + Send + Sync + 'static,
    ) -> Subscription {
        self.inner.listeners.subscribe(callback)
    }
}

impl fmt::Debug for CircuitBreaker {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("CircuitBreaker")
            .field("name", &self.inner.name)
            .field("state", &self.state())
            .finish_non_exhaustive()
    }
}

/// Sets the mode of every breaker at once, with a log line: the switch for "turn it off, now".
///
/// An override that an operator laid over a single breaker stays above it. At startup the
/// environment variable `AVAIL_BREAKERS` (`on`, `shadow`, `off`) says the same.
///
/// ```
/// use avail_core::{CircuitBreaker, Mode};
///
/// let breaker = CircuitBreaker::new("storage", Default::default());
/// breaker.trip();
/// assert!(breaker.acquire().is_err());
///
/// avail_core::set_mode(Mode::Off);
/// assert!(breaker.acquire().is_ok());
/// # avail_core::set_mode(Mode::On);
/// ```
pub fn set_mode(mode: Mode) {
    Scope::current().fleet.set_mode(mode);
}

/// The mode of all breakers; see [`set_mode`].
pub fn mode() -> Mode {
    Scope::current().fleet.mode()
}
