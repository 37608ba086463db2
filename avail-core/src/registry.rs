//! The breakers of a service by name, in a map that readers do not wait for.

mod overlaid;
#[cfg(all(test, not(avail_loom)))]
mod tests;

use std::fmt;
use std::sync::{Arc, Mutex, MutexGuard, OnceLock, PoisonError};

use dashmap::DashMap;
use dashmap::mapref::entry::Entry;

use crate::breaker::fleet::Fleet;
use crate::breaker::{
    BreakerEvent, CircuitBreaker, CircuitBreakerConfig, CircuitBreakerMetrics, ConfigError,
    Listeners, Subscription,
};
use crate::clock::Clock;
use crate::conflict::{Conflict, SiteConflict};
use crate::family::{BreakerFamily, Families};
use crate::scope::Scope;
use crate::settings::{Overlay, SettingProblem};
use crate::site::{self, Declaration, Origin, Uncut};

/// Circuit breakers by name.
///
/// It is a handle: clones are the same registry. [`global`](Self::global) is the one that annotated
/// functions, the monitor and the endpoints share. Settings that a monitor takes from outside
/// ([`config_file`](crate::AvailabilityMonitorBuilder::config_file)) are laid over those that its
/// breakers are made with, also later.
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
    breakers: DashMap<Arc<str>, Listed>,
    families: Families,
    /// Where each name that an attribute declares was declared.
    declared: DashMap<Arc<str>, &'static Declaration>,
    /// The function of each such name that can't be cut off, if there is one.
    uncut: DashMap<Arc<str>, (Origin, Uncut)>,
    conflicts: Mutex<Vec<Conflict>>,
    /// Whether what the linker kept has been registered.
    linked: OnceLock<()>,
    /// The components that its breakers belong to, and whether they are critical: a breaker's own
    /// name, or its family's.
    components: DashMap<Arc<str>, bool>,
    /// Settings from outside, for every breaker that is made.
    overlay: Mutex<Arc<Overlay>>,
    /// Why breakers were made without them.
    unfit: Mutex<Vec<SettingProblem>>,
    listeners: Arc<Listeners>,
    clock: Clock,
    fleet: Arc<Fleet>,
}

struct Listed {
    breaker: CircuitBreaker,
    /// What the code says, before settings from outside are laid over it; it may have been
    /// reconfigured since.
    declared: Arc<CircuitBreakerConfig>,
    /// Where the attribute stands that it was made for; `None`: it was made by hand.
    origin: Option<Origin>,
}

fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

impl Listed {
    fn describe(&self) -> String {
        match self.origin {
            Some(origin) => format!("declared at {origin}"),
            None => format!("{:?}", self.declared),
        }
    }
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
                families: Families::default(),
                declared: DashMap::new(),
                uncut: DashMap::new(),
                conflicts: Mutex::default(),
                linked: OnceLock::new(),
                components: DashMap::new(),
                overlay: Mutex::default(),
                unfit: Mutex::default(),
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
    ///
    /// Where the name is a [family](Self::family)'s, the breaker is one of its own beside it, and an
    /// error is logged: the two are one component.
    pub fn get_or_create(&self, name: impl Into<Arc<str>>) -> CircuitBreaker {
        let name = name.into();
        if let Some(found) = self.get(&name) {
            return found;
        }
        let family = self.inner.families.lock().describe(&name);
        if let Some(family) = family {
            tracing::error!(%name, family, "a circuit breaker has the name of a family");
        }
        self.member(name.clone(), name, CircuitBreakerConfig::default())
    }

    /// The breaker of that name with these settings; where there is none, a new one.
    ///
    /// The settings are compared with those that it was made with, whatever
    /// [`reconfigure`](CircuitBreaker::reconfigure) has made of them since: code that declares a
    /// breaker goes on finding it.
    ///
    /// # Errors
    ///
    /// [`ConfigError::Conflict`] where it was made with other settings, and what the builder's
    /// [`build`](crate::CircuitBreakerConfigBuilder::build) says of settings that can't work.
    pub fn get_or_create_with(
        &self,
        name: impl Into<Arc<str>>,
        config: CircuitBreakerConfig,
    ) -> Result<CircuitBreaker, ConfigError> {
        self.get_or_declare(name.into(), config, None)
    }

    fn get_or_declare(
        &self,
        name: Arc<str>,
        config: CircuitBreakerConfig,
        origin: Option<Origin>,
    ) -> Result<CircuitBreaker, ConfigError> {
        let config = config.validate()?;
        let families = self.inner.families.lock();
        if let Some(existing) = families.describe(&name) {
            return Err(ConfigError::Conflict { name, existing });
        }
        match self.inner.breakers.entry(name) {
            Entry::Occupied(entry) => {
                let listed = entry.get();
                if *listed.declared == config {
                    return Ok(listed.breaker.clone());
                }
                Err(ConfigError::Conflict {
                    name: entry.key().clone(),
                    existing: listed.describe(),
                })
            }
            Entry::Vacant(entry) => {
                let name = entry.key().clone();
                Ok(entry.insert(self.make(name.clone(), name, config, origin)).breaker.clone())
            }
        }
    }

    /// A family of breakers: one for each key, at most `max_keys` at once. The family of that name
    /// with these settings; where there is none, a new one.
    ///
    /// # Errors
    ///
    /// [`ConfigError::Conflict`] where a family of that name was made with other settings, or the
    /// name is a breaker's, and other [`ConfigError`]s for settings that can't work, or no keys at
    /// all.
    pub fn family(
        &self,
        name: impl Into<Arc<str>>,
        config: CircuitBreakerConfig,
        max_keys: usize,
    ) -> Result<BreakerFamily, ConfigError> {
        self.declare(BreakerFamily::new(self.clone(), name.into(), config, max_keys)?)
    }

    fn declare(&self, family: BreakerFamily) -> Result<BreakerFamily, ConfigError> {
        let taken = |name: &str| self.inner.breakers.get(name).map(|listed| listed.describe());
        self.inner.families.lock().get_or_declare(family, taken)
    }

    /// The member of a family by its full name, made if it is new.
    pub(crate) fn member(
        &self,
        name: Arc<str>,
        family: Arc<str>,
        config: CircuitBreakerConfig,
    ) -> CircuitBreaker {
        match self.inner.breakers.entry(name) {
            Entry::Occupied(entry) => entry.get().breaker.clone(),
            Entry::Vacant(entry) => {
                let name = entry.key().clone();
                entry.insert(self.make(name, family, config, None)).breaker.clone()
            }
        }
    }

    /// Lists it no longer.
    pub(crate) fn forget(&self, breaker: &CircuitBreaker) {
        let same = |_: &Arc<str>, listed: &Listed| listed.breaker.is_same_as(breaker);
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
        origin: Option<Origin>,
    ) -> Listed {
        // Under the guard of the breaker's name: an overlay that comes meanwhile finds it listed.
        let effective = self.overlaid(&name, &component, &config);
        let declared = (effective != config).then(|| config.bounded().shared());
        // A member that is critical by settings of its own makes its family so.
        let of_component = self.inner.components.entry(component.clone());
        let critical = effective.critical;
        of_component.and_modify(|known| *known |= critical).or_insert(critical);
        let breaker = CircuitBreaker::make(
            name,
            component,
            effective,
            self.inner.clock.clone(),
            self.inner.fleet.clone(),
            Some(self.inner.listeners.clone()),
        );
        let declared = declared.unwrap_or_else(|| breaker.config());
        Listed { breaker, declared, origin }
    }

    /// The breaker of that name, if there is one.
    pub fn get(&self, name: &str) -> Option<CircuitBreaker> {
        self.inner.breakers.get(name).map(|found| found.breaker.clone())
    }

    /// Every breaker, sorted by name; handles, so that nothing is locked while they are used.
    pub fn iter(&self) -> std::vec::IntoIter<CircuitBreaker> {
        let mut all: Vec<_> =
            self.inner.breakers.iter().map(|entry| entry.breaker.clone()).collect();
        all.sort_by(|a, b| a.name().cmp(b.name()));
        all.into_iter()
    }

    /// Looks at every breaker, in no order; `look` must not use the registry.
    pub(crate) fn for_each(&self, mut look: impl FnMut(&CircuitBreaker)) {
        self.inner.breakers.iter().for_each(|entry| look(&entry.breaker));
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

    /// The breaker that an attribute declares: whoever is first with a name makes it, and an
    /// attribute that differs is kept as a conflict that `start()` reports.
    pub(crate) fn attach(
        &self,
        name: Arc<str>,
        declaration: &'static Declaration,
    ) -> CircuitBreaker {
        let first = self.first_declared(&name, declaration);
        let origin = first.origin();
        match self.get_or_declare(name.clone(), first.settings().config(), Some(origin)) {
            Ok(breaker) => breaker,
            Err(error) => {
                self.note_made_by_hand(error, first, declaration);
                self.get_or_create(name)
            }
        }
    }

    /// The family that an attribute declares, likewise. It is a component from now on.
    pub(crate) fn attach_family(
        &self,
        name: Arc<str>,
        declaration: &'static Declaration,
    ) -> BreakerFamily {
        let first = self.first_declared(&name, declaration);
        let config = first.settings().config();
        let critical = self.overlaid(&name, &name, &config).critical;
        self.inner.components.entry(name.clone()).or_insert(critical);
        let max_keys = first.max_keys().or(declaration.max_keys()).unwrap_or(u32::MAX);
        let family = BreakerFamily::declared(self.clone(), name, config, max_keys);
        match self.declare(family.clone()) {
            Ok(declared) => declared,
            Err(error) => {
                self.note_made_by_hand(error, first, declaration);
                self.inner.families.lock().named_as(&family).unwrap_or(family)
            }
        }
    }

    /// Who was first to declare the name: its settings serve.
    pub(crate) fn first_declared(
        &self,
        name: &Arc<str>,
        declaration: &'static Declaration,
    ) -> &'static Declaration {
        if let Some(why) = declaration.is_uncut() {
            self.inner.uncut.entry(name.clone()).or_insert((declaration.origin(), why));
        }
        let first = *self.inner.declared.entry(name.clone()).or_insert(declaration).value();
        if !std::ptr::eq(first, declaration) && !first.agrees_with(declaration) {
            let (first, second) = (first.origin(), declaration.origin());
            self.note(&Conflict::Sites(SiteConflict { name: name.clone(), first, second }));
        }
        first
    }

    /// Where two attributes differ that is the conflict, and noted.
    fn note_made_by_hand(&self, error: ConfigError, first: &Declaration, second: &Declaration) {
        match error {
            ConfigError::Conflict { name, existing } if first.agrees_with(second) => {
                self.note(&Conflict::ByHand { name, origin: first.origin(), existing });
            }
            _ => {}
        }
    }

    /// What attributes declare, each with its name.
    pub(crate) fn declarations(&self) -> Vec<(Arc<str>, &'static Declaration)> {
        let declared = self.inner.declared.iter();
        let mut all: Vec<_> = declared.map(|entry| (entry.key().clone(), *entry.value())).collect();
        all.sort_by(|(a, _), (b, _)| a.cmp(b));
        all
    }

    /// It is logged once, also where no monitor is started.
    fn note(&self, conflict: &Conflict) {
        let mut conflicts = lock(&self.inner.conflicts);
        if conflicts.contains(conflict) {
            return;
        }
        conflicts.push(conflict.clone());
        // What takes log lines is the user's, and may come back here.
        drop(conflicts);
        tracing::error!(%conflict, "one circuit breaker is declared twice, and differently");
    }

    pub(crate) fn conflicts(&self) -> Vec<Conflict> {
        lock(&self.inner.conflicts).clone()
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
