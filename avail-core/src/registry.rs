//! The breakers of a service by name, in a map that readers do not wait for.

use std::fmt;
use std::sync::{Arc, Mutex, PoisonError};

use dashmap::DashMap;
use dashmap::mapref::entry::Entry;

use crate::breaker::fleet::Fleet;
use crate::breaker::{
    BreakerEvent, CircuitBreaker, CircuitBreakerConfig, CircuitBreakerMetrics, ConfigError,
    Listeners, Subscription,
};
use crate::clock::Clock;
use crate::scope::Scope;
use crate::site::{self, BreakerSite, SiteConflict};

/// Circuit breakers by name.
///
/// It is a handle: clones are the same registry. [`global`](Self::global) is the one that annotated
/// functions, the monitor and the endpoints share.
///
/// ```
/// use avail_core::CircuitBreakerRegistry;
///
/// let registry = CircuitBreakerRegistry::new();
/// let storage = registry.get_or_create("storage");
/// let embedder = registry.get_or_create("embedder");
/// assert_eq!(registry.all_metrics().len(), 2);
/// registry.reset_all();
/// ```
#[derive(Clone)]
pub struct CircuitBreakerRegistry {
    inner: Arc<Inner>,
}

struct Inner {
    breakers: DashMap<Arc<str>, CircuitBreaker>,
    /// Where each name that an attribute declares was declared.
    declared: DashMap<Arc<str>, &'static BreakerSite>,
    conflicts: Mutex<Vec<SiteConflict>>,
    listeners: Arc<Listeners>,
    clock: Clock,
    fleet: Arc<Fleet>,
}

impl CircuitBreakerRegistry {
    /// An empty registry.
    pub fn new() -> Self {
        let scope = Scope::current();
        Self::of(scope.clock.clone(), scope.fleet.clone())
    }

    pub(crate) fn of(clock: Clock, fleet: Arc<Fleet>) -> Self {
        CircuitBreakerRegistry {
            inner: Arc::new(Inner {
                breakers: DashMap::new(),
                declared: DashMap::new(),
                conflicts: Mutex::default(),
                listeners: Arc::default(),
                clock,
                fleet,
            }),
        }
    }

    /// The registry of the process, with the breaker of every `#[circuit_breaker]` in it from the
    /// start, called or not. Inside [`testing::isolated`](crate::testing) it is the test's own.
    pub fn global() -> Self {
        let registry = Scope::current().registry.clone();
        site::register_linked_breakers(&registry);
        registry
    }

    /// The breaker of that name; where there is none, a new one with the default settings.
    pub fn get_or_create(&self, name: impl Into<Arc<str>>) -> CircuitBreaker {
        let name = name.into();
        if let Some(found) = self.get(&name) {
            return found;
        }
        match self.inner.breakers.entry(name) {
            Entry::Occupied(entry) => entry.get().clone(),
            Entry::Vacant(entry) => {
                let breaker = self.make(entry.key().clone(), CircuitBreakerConfig::default());
                entry.insert(breaker).clone()
            }
        }
    }

    /// The breaker of that name with these settings; where there is none, a new one.
    ///
    /// # Errors
    ///
    /// [`ConfigError::Conflict`] where it exists with other settings.
    pub fn get_or_create_with(
        &self,
        name: impl Into<Arc<str>>,
        config: CircuitBreakerConfig,
    ) -> Result<CircuitBreaker, ConfigError> {
        let breaker = match self.inner.breakers.entry(name.into()) {
            Entry::Occupied(entry) => entry.get().clone(),
            Entry::Vacant(entry) => {
                let breaker = self.make(entry.key().clone(), config);
                return Ok(entry.insert(breaker).clone());
            }
        };
        if *breaker.config() == config {
            return Ok(breaker);
        }
        Err(ConfigError::Conflict {
            name: breaker.name().into(),
            existing: self.describe(breaker.name(), &breaker.config()),
        })
    }

    fn describe(&self, name: &str, config: &CircuitBreakerConfig) -> String {
        match self.inner.declared.get(name).map(|site| *site.value()) {
            Some(site) => format!("declared at {}", site.origin()),
            None => format!("{config:?}"),
        }
    }

    fn make(&self, name: Arc<str>, config: CircuitBreakerConfig) -> CircuitBreaker {
        CircuitBreaker::make(
            name,
            config,
            self.inner.clock.clone(),
            self.inner.fleet.clone(),
            Some(self.inner.listeners.clone()),
        )
    }

    /// The breaker of that name, if there is one.
    pub fn get(&self, name: &str) -> Option<CircuitBreaker> {
        self.inner.breakers.get(name).map(|found| found.value().clone())
    }

    /// Every breaker, sorted by name; handles, so that nothing is locked while they are used.
    pub fn iter(&self) -> std::vec::IntoIter<CircuitBreaker> {
        let mut all: Vec<_> =
            self.inner.breakers.iter().map(|entry| entry.value().clone()).collect();
        all.sort_by(|a, b| a.name().cmp(b.name()));
        all.into_iter()
    }

    /// What every breaker shows, sorted by name.
    pub fn all_metrics(&self) -> Vec<CircuitBreakerMetrics> {
        self.iter().map(|breaker| breaker.metrics()).collect()
    }

    /// Makes every breaker fresh and closed; overrides stay.
    pub fn reset_all(&self) {
        self.iter().for_each(|breaker| breaker.reset());
    }

    /// Calls `callback` with every change of every breaker, now and later in this registry; see
    /// [`CircuitBreaker::subscribe`].
    pub fn subscribe(
        &self,
        callback: impl Fn(&BreakerEvent) + Send + Sync + 'static,
    ) -> Subscription {
        self.inner.listeners.subscribe(callback)
    }

    /// The breaker that an attribute declares: the first declaration of a name makes it, and one
    /// that differs is kept as a conflict that `start()` reports.
    pub(crate) fn attach(&self, name: Arc<str>, site: &'static BreakerSite) -> CircuitBreaker {
        let first = *self.inner.declared.entry(name.clone()).or_insert(site).value();
        let differs = !std::ptr::eq(first, site) && first.settings() != site.settings();
        if differs {
            self.note_conflict(SiteConflict::new(name.clone(), first.origin(), site.origin()));
        }
        let made = self.get_or_create_with(name.clone(), first.settings().config());
        made.unwrap_or_else(|_| self.get_or_create(name))
    }

    fn note_conflict(&self, conflict: SiteConflict) {
        let mut conflicts = self.inner.conflicts.lock().unwrap_or_else(PoisonError::into_inner);
        if !conflicts.contains(&conflict) {
            tracing::error!(%conflict, "two attributes declare one circuit breaker differently");
            conflicts.push(conflict);
        }
    }

    pub(crate) fn conflicts(&self) -> Vec<SiteConflict> {
        self.inner.conflicts.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }

    pub(crate) fn set_draining(&self, draining: bool) {
        self.inner.fleet.set_draining(draining);
    }

    /// The switch for all breakers, as these breakers see it.
    pub fn mode(&self) -> crate::Mode {
        self.inner.fleet.mode()
    }
}

impl Default for CircuitBreakerRegistry {
    fn default() -> Self {
        Self::new()
    }
}

impl IntoIterator for &CircuitBreakerRegistry {
    type Item = CircuitBreaker;
    type IntoIter = std::vec::IntoIter<CircuitBreaker>;

    fn into_iter(self) -> Self::IntoIter {
        self.iter()
    }
}

impl fmt::Debug for CircuitBreakerRegistry {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_list().entries(self).finish()
    }
}
