//! The breakers of a service by name, in a map that readers do not wait for.

use std::fmt;
use std::sync::{Arc, Mutex, OnceLock, PoisonError};

use dashmap::DashMap;
use dashmap::mapref::entry::Entry;

use crate::breaker::fleet::Fleet;
use crate::breaker::{
    BreakerEvent, CircuitBreaker, CircuitBreakerConfig, CircuitBreakerMetrics, ConfigError,
    Listeners, Subscription,
};
use crate::clock::Clock;
use crate::family::BreakerFamily;
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
    /// Whether what the linker kept has been registered.
    linked: OnceLock<()>,
    /// The components that its breakers belong to, and whether they are critical: a breaker's own
    /// name, or its family's.
    components: DashMap<Arc<str>, bool>,
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
                linked: OnceLock::new(),
                components: DashMap::new(),
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
        registry.inner.linked.get_or_init(|| site::register_linked_breakers(&registry));
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
                let (name, config) = (entry.key().clone(), CircuitBreakerConfig::default());
                let breaker = self.make(name.clone(), name, config);
                entry.insert(breaker).clone()
            }
        }
    }

    /// The breaker of that name with these settings; where there is none, a new one.
    ///
    /// # Errors
    ///
    /// [`ConfigError::Conflict`] where it exists with other settings, and what the builder's
    /// [`build`](crate::CircuitBreakerConfigBuilder::build) says of settings that can't work.
    pub fn get_or_create_with(
        &self,
        name: impl Into<Arc<str>>,
        config: CircuitBreakerConfig,
    ) -> Result<CircuitBreaker, ConfigError> {
        let config = config.validate()?;
        let breaker = match self.inner.breakers.entry(name.into()) {
            Entry::Occupied(entry) => entry.get().clone(),
            Entry::Vacant(entry) => {
                let name = entry.key().clone();
                let breaker = self.make(name.clone(), name, config);
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

    /// A family of breakers: one for each key, at most `max_keys` at once.
    ///
    /// # Errors
    ///
    /// [`ConfigError`] for settings that can't work, or no keys at all.
    pub fn family(
        &self,
        name: impl Into<Arc<str>>,
        config: CircuitBreakerConfig,
        max_keys: usize,
    ) -> Result<BreakerFamily, ConfigError> {
        BreakerFamily::new(self.clone(), name.into(), config, max_keys)
    }

    /// The member of a family by its full name, made if it is new.
    pub(crate) fn member(
        &self,
        name: Arc<str>,
        family: Arc<str>,
        config: CircuitBreakerConfig,
    ) -> CircuitBreaker {
        match self.inner.breakers.entry(name) {
            Entry::Occupied(entry) => entry.get().clone(),
            Entry::Vacant(entry) => {
                let breaker = self.make(entry.key().clone(), family, config);
                entry.insert(breaker).clone()
            }
        }
    }

    /// Lists it no longer.
    pub(crate) fn forget(&self, breaker: &CircuitBreaker) {
        let same = |_: &Arc<str>, listed: &CircuitBreaker| listed.is_same_as(breaker);
        self.inner.breakers.remove_if(breaker.name(), same);
    }

    /// The components that its breakers belong to, and whether they are critical.
    pub(crate) fn components(&self) -> Vec<(Arc<str>, bool)> {
        self.inner.components.iter().map(|entry| (entry.key().clone(), *entry.value())).collect()
    }

    fn make(
        &self,
        name: Arc<str>,
        component: Arc<str>,
        config: CircuitBreakerConfig,
    ) -> CircuitBreaker {
        self.inner.components.entry(component.clone()).or_insert(config.critical);
        CircuitBreaker::make(
            name,
            component,
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

    /// Looks at every breaker, in no order; `look` must not use the registry.
    pub(crate) fn for_each(&self, mut look: impl FnMut(&CircuitBreaker)) {
        self.inner.breakers.iter().for_each(|entry| look(entry.value()));
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

#[cfg(all(test, not(avail_loom)))]
mod tests {
    use std::time::Duration;

    use super::*;
    use crate::{CircuitState, Outcome};

    fn config() -> CircuitBreakerConfig {
        CircuitBreakerConfig::builder().failure_threshold(1).build().expect("it is valid")
    }

    #[test]
    fn one_name_is_one_breaker() {
        let registry = CircuitBreakerRegistry::new();
        let first = registry.get_or_create("storage");
        first.trip();
        assert_eq!(registry.get_or_create("storage").state(), CircuitState::Open);
        assert_eq!(registry.clone().get("storage").map(|b| b.state()), Some(CircuitState::Open));
        assert!(registry.get("embedder").is_none());
        assert_eq!(*first.config(), CircuitBreakerConfig::default());
    }

    #[test]
    fn the_same_settings_give_the_same_breaker_and_others_an_error_that_names_both() {
        let registry = CircuitBreakerRegistry::new();
        let first = registry.get_or_create_with("storage", config()).expect("it is new");
        first.trip();
        let again = registry.get_or_create_with("storage", config()).expect("it is the same");
        assert_eq!(again.state(), CircuitState::Open);
        let error = registry
            .get_or_create_with("storage", CircuitBreakerConfig::default())
            .expect_err("five failures are not one");
        let message = error.to_string();
        assert!(message.starts_with("circuit breaker `storage` exists with other settings"));
        assert!(message.contains("failure_threshold: Some(1)"), "{message}");
        assert!(Arc::ptr_eq(&registry.get_or_create("storage").inner, &first.inner));
    }

    #[test]
    fn settings_that_can_not_work_are_an_error_and_make_nothing() {
        let registry = CircuitBreakerRegistry::new();
        let mut wild = config();
        wild.half_open_max_calls = 0;
        let error = registry.get_or_create_with("storage", wild).expect_err("no probe at all");
        assert_eq!(error.to_string(), "`half_open_max_calls` must be at least 1");
        assert!(registry.get("storage").is_none());
    }

    #[test]
    fn breakers_are_listed_by_name_from_a_snapshot() {
        let registry = CircuitBreakerRegistry::new();
        for name in ["vectors", "embedder", "storage"] {
            registry.get_or_create(name);
        }
        let listed: Vec<_> = registry
            .iter()
            .map(|breaker| {
                registry.get_or_create(format!("{}-copy", breaker.name())); // nothing is locked
                breaker.name().to_owned()
            })
            .collect();
        assert_eq!(listed, ["embedder", "storage", "vectors"]);
        assert_eq!(registry.all_metrics().len(), 6);
        assert_eq!(registry.into_iter().count(), 6);
    }

    #[test]
    fn reset_all_closes_every_breaker_and_leaves_overrides() {
        let registry = CircuitBreakerRegistry::new();
        registry.get_or_create("storage").trip();
        registry.get_or_create("embedder").force_open("deploying");
        registry.reset_all();
        assert_eq!(registry.get_or_create("storage").state(), CircuitState::Closed);
        assert_eq!(registry.get_or_create("embedder").state(), CircuitState::Open);
    }

    #[test]
    fn one_subscription_hears_every_breaker_also_later_ones() {
        let registry = CircuitBreakerRegistry::new();
        let early = registry.get_or_create("early");
        let names: Arc<Mutex<Vec<String>>> = Arc::default();
        let heard = names.clone();
        let subscription = registry.subscribe(move |event| {
            heard.lock().expect("nothing panics under it").push(event.breaker.to_string());
        });
        early.trip();
        let late = registry.get_or_create_with("late", config()).expect("it is new");
        let _ = late.call_sync(|| Err::<(), _>("refused"));
        drop(subscription);
        late.reset();
        assert_eq!(*names.lock().expect("nothing panics under it"), ["early", "late"]);
    }

    #[test]
    fn of_many_threads_that_ask_for_one_name_all_get_the_same() {
        let registry = CircuitBreakerRegistry::new();
        let made: Vec<_> = std::thread::scope(|scope| {
            let threads: Vec<_> =
                (0..8).map(|_| scope.spawn(|| registry.get_or_create("storage"))).collect();
            threads.into_iter().map(|thread| thread.join().expect("no panic")).collect()
        });
        assert!(made.iter().all(|breaker| Arc::ptr_eq(&breaker.inner, &made[0].inner)));
        assert_eq!(registry.iter().count(), 1);
    }

    #[tokio::test]
    async fn a_breaker_of_a_registry_works_as_any_other() {
        let registry = CircuitBreakerRegistry::new();
        let breaker = registry.get_or_create_with("storage", config()).expect("it is new");
        let result = breaker.call_classified(|| async { 503 }, |_| Outcome::Failure).await;
        assert_eq!((result, breaker.state()), (Ok(503), CircuitState::Open));
        assert!(breaker.acquire().expect_err("open").retry_after() > Some(Duration::from_secs(59)));
    }
}
