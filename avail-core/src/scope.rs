//! What a breaker or a monitor is born into: a registry, a fleet, a clock. There is one for the
//! process, and with the feature `test-util` one for each test that asks for it.

use std::sync::Arc;

use once_cell::sync::Lazy;

use crate::breaker::Mode;
use crate::breaker::fleet::{Fleet, MODE_VARIABLE};
use crate::clock::Clock;
use crate::registry::CircuitBreakerRegistry;

static GLOBAL: Lazy<Arc<Scope>> = Lazy::new(|| {
    let mode = Mode::from_environment(std::env::var_os(MODE_VARIABLE)).unwrap_or_else(|error| {
        tracing::error!(%error, "the environment variable {MODE_VARIABLE} was not understood");
        Mode::On
    });
    Arc::new(Scope::new(Clock::default(), mode))
});

#[derive(Debug)]
pub(crate) struct Scope {
    pub(crate) clock: Clock,
    pub(crate) fleet: Arc<Fleet>,
    pub(crate) registry: CircuitBreakerRegistry,
}

impl Scope {
    pub(crate) fn new(clock: Clock, mode: Mode) -> Self {
        let fleet = Arc::new(Fleet::new(mode));
        let registry = CircuitBreakerRegistry::of(clock.clone(), fleet.clone());
        Scope { clock, fleet, registry }
    }

    /// The test's own scope where there is one, else the process's.
    pub(crate) fn current() -> Arc<Scope> {
        #[cfg(feature = "test-util")]
        if let Some(scope) = Scope::isolated() {
            return scope;
        }
        GLOBAL.clone()
    }

    /// The scope that a test has laid over this thread.
    #[cfg(feature = "test-util")]
    pub(crate) fn isolated() -> Option<Arc<Scope>> {
        isolation::uppermost()
    }
}

/// Runs `future` in the scope of whoever calls this, wherever it is polled.
#[cfg(not(feature = "test-util"))]
pub(crate) fn carry<F: Future>(future: F) -> F {
    future
}

#[cfg(feature = "test-util")]
pub(crate) use isolation::{Entered, carry};

#[cfg(feature = "test-util")]
mod isolation {
    use std::cell::RefCell;
    use std::future::Future;
    use std::marker::PhantomData;
    use std::pin::pin;
    use std::sync::Arc;

    use super::Scope;

    type Laid = (u64, Option<Arc<Scope>>);

    thread_local! {
        /// What is laid over this thread, the uppermost last.
        static LAID: RefCell<Vec<Laid>> = const { RefCell::new(Vec::new()) };
    }

    pub(super) fn uppermost() -> Option<Arc<Scope>> {
        LAID.with_borrow(|laid| laid.last().and_then(|(_, scope)| scope.clone()))
    }

    /// Lays a scope over this thread, or the process's own, until it is dropped; they may be
    /// dropped in any order. It is bound to the thread.
    #[derive(Debug)]
    pub(crate) struct Entered {
        id: u64,
        not_send: PhantomData<*const ()>,
    }

    impl Entered {
        pub(crate) fn new(scope: Option<Arc<Scope>>) -> Self {
            let id = LAID.with_borrow_mut(|laid| {
                let id = laid.last().map_or(0, |(last, _)| last + 1);
                laid.push((id, scope));
                id
            });
            Entered { id, not_send: PhantomData }
        }
    }

    impl Drop for Entered {
        fn drop(&mut self) {
            let taken = LAID.with_borrow_mut(|laid| {
                let place = laid.iter().position(|(id, _)| *id == self.id);
                place.map(|place| laid.remove(place))
            });
            drop(taken); // what it holds may look for its scope: not while the list is borrowed
        }
    }

    /// Runs `future` in the scope of whoever calls this, wherever it is polled.
    pub(crate) fn carry<F: Future>(future: F) -> impl Future<Output = F::Output> {
        let scope = Scope::isolated();
        async move {
            let mut future = pin!(future);
            std::future::poll_fn(|context| {
                let _entered = Entered::new(scope.clone());
                future.as_mut().poll(context)
            })
            .await
        }
    }
}
