//! What a breaker or a monitor is born into: a registry, a fleet, a clock. There is one for the
//! process, and with the feature `test-util` one for each test that asks for it.

use std::sync::Arc;

use once_cell::sync::Lazy;

use crate::breaker::Mode;
use crate::breaker::fleet::{Fleet, mode_from_environment};
use crate::clock::Clock;
use crate::registry::CircuitBreakerRegistry;

static GLOBAL: Lazy<Arc<Scope>> = Lazy::new(|| {
    let mode = mode_from_environment().unwrap_or_else(|error| {
        tracing::error!(%error, "the environment variable AVAIL_BREAKERS was not understood");
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
        isolation::CURRENT.with_borrow(Clone::clone)
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

    thread_local! {
        pub(super) static CURRENT: RefCell<Option<Arc<Scope>>> = const { RefCell::new(None) };
    }

    /// Lays a scope over this thread until it is dropped. It is bound to the thread.
    #[derive(Debug)]
    pub(crate) struct Entered {
        before: Option<Arc<Scope>>,
        not_send: PhantomData<*const ()>,
    }

    impl Entered {
        pub(crate) fn new(scope: Option<Arc<Scope>>) -> Self {
            Entered { before: CURRENT.replace(scope), not_send: PhantomData }
        }
    }

    impl Drop for Entered {
        fn drop(&mut self) {
            CURRENT.set(self.before.take());
        }
    }

    /// Runs `future` in the scope of whoever calls this, wherever it is polled.
    pub(crate) fn carry<F: Future>(future: F) -> impl Future<Output = F::Output> {
        let scope = Scope::isolated();
        async move {
            let mut future = pin!(future);
            std::future::poll_fn(|context| {
                let _entered = scope.clone().map(|scope| Entered::new(Some(scope)));
                future.as_mut().poll(context)
            })
            .await
        }
    }
}
