//! A registry and a clock of its own for each test (feature `test-util`).

use std::future::Future;
use std::sync::Arc;
use std::time::Duration;

use chrono::TimeDelta;

use crate::breaker::Mode;
use crate::clock::Clock;
use crate::clock::manual::ManualClock;
use crate::scope::{Entered, Scope, carry};

/// Gives the current test a fresh registry, a mode of its own for [`set_mode`](crate::set_mode),
/// and a clock that follows tokio's paused time, until the returned value is dropped.
///
/// It holds for this thread, which is where `#[tokio::test]` polls the test itself, and for tasks
/// that are spawned through [`Isolated::spawn`]. It can't be sent to another thread, nor held
/// across an `.await` in a task that can.
///
/// ```
/// # #[tokio::main(flavor = "current_thread", start_paused = true)] async fn main() {
/// use std::time::Duration;
/// use avail_core::{CircuitBreakerRegistry, CircuitState};
///
/// let isolated = avail_core::testing::isolated();
/// let breaker = CircuitBreakerRegistry::global().get_or_create("storage");
/// breaker.trip();
/// assert!(breaker.acquire().is_err());
///
/// tokio::time::advance(Duration::from_secs(60)).await; // no waiting
/// assert!(breaker.acquire().is_ok());
///
/// drop(isolated); // the process's registry has never heard of it
/// assert!(CircuitBreakerRegistry::global().get("storage").is_none());
/// # }
/// ```
pub fn isolated() -> Isolated {
    let (clock, manual) = Clock::manual();
    let scope = Arc::new(Scope::new(clock, Mode::On));
    Isolated { manual, _entered: Entered::new(Some(scope)) }
}

/// A test of its own; see [`isolated`].
#[derive(Debug)]
#[must_use = "the isolation ends when this is dropped"]
pub struct Isolated {
    manual: Arc<ManualClock>,
    _entered: Entered,
}

impl Isolated {
    /// Spawns a task that lives in the same isolation.
    ///
    /// # Panics
    ///
    /// Outside a tokio runtime, as [`tokio::spawn`] does.
    pub fn spawn<F>(&self, future: F) -> tokio::task::JoinHandle<F::Output>
    where
        F: Future + Send + 'static,
        F::Output: Send + 'static,
    {
        tokio::spawn(carry(future))
    }

    /// Sets the wall clock forward, as a time server would; the monotonic clock does not notice.
    pub fn set_wall_clock_forward(&self, by: Duration) {
        self.manual.shift_wall(TimeDelta::from_std(by).unwrap_or(TimeDelta::MAX));
    }

    /// Sets the wall clock back; the monotonic clock does not notice.
    pub fn set_wall_clock_back(&self, by: Duration) {
        self.manual.shift_wall(-TimeDelta::from_std(by).unwrap_or(TimeDelta::MAX));
    }
}
