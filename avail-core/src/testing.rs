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

#[cfg(all(test, not(avail_loom)))]
mod tests {
    use super::*;
    use crate::{CircuitBreaker, CircuitBreakerRegistry, CircuitState, mode, set_mode};

    fn is_known(name: &str) -> bool {
        CircuitBreakerRegistry::global().get(name).is_some()
    }

    fn make(name: &str) -> CircuitBreaker {
        CircuitBreakerRegistry::global().get_or_create(name)
    }

    #[tokio::test(start_paused = true)]
    async fn what_a_test_does_in_isolation_harms_no_other() {
        let isolation = isolated();
        let own = make("what_a_test_does");
        own.trip();
        set_mode(Mode::Off);
        drop(isolation);
        assert!(!is_known("what_a_test_does"));
        assert_eq!(mode(), Mode::On);

        let _next = isolated();
        assert!(!is_known("what_a_test_does"));
        assert_eq!((mode(), make("what_a_test_does").state()), (Mode::On, CircuitState::Closed));
    }

    #[tokio::test(start_paused = true)]
    async fn isolations_may_end_in_any_order() {
        let mut isolation = isolated();
        make("first");
        isolation = {
            let next = isolated();
            drop(isolation);
            next
        };
        assert!(!is_known("first"));
        make("second");
        let inner = isolated();
        assert!(!is_known("second"));
        drop(isolation);
        make("third");
        drop(inner);
        assert!(["first", "second", "third"].into_iter().all(|name| !is_known(name)));
        assert!(Scope::isolated().is_none());
    }

    #[tokio::test(start_paused = true)]
    async fn a_task_stays_in_the_isolation_that_it_was_spawned_in() {
        let isolation = isolated();
        make("spawned");
        let task = isolation.spawn(async {
            tokio::task::yield_now().await;
            is_known("spawned")
        });
        drop(isolation);
        assert!(task.await.expect("it does not panic"));
    }

    #[tokio::test(start_paused = true)]
    async fn a_task_of_the_process_stays_out_of_an_isolation_that_begins_later() {
        let outside = tokio::spawn(carry(async { is_known("a_task_of_the_process") }));
        let _isolation = isolated();
        make("a_task_of_the_process");
        assert!(!outside.await.expect("it does not panic"));
    }

    #[tokio::test(start_paused = true)]
    async fn a_breaker_keeps_the_clock_it_was_born_with() {
        let isolation = isolated();
        let own = make("a_breaker");
        drop(isolation);
        own.trip();
        tokio::time::advance(Duration::from_secs(60)).await;
        assert!(own.acquire().is_ok());
    }
}
