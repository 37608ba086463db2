//! Breakers of one kind by key: one for each tenant, shard or host.

use std::collections::{BTreeMap, HashMap, VecDeque};
use std::fmt;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use dashmap::DashMap;

use crate::breaker::{CircuitBreaker, CircuitBreakerConfig, ConfigError};
use crate::registry::CircuitBreakerRegistry;

/// Circuit breakers of one configuration by key, at most so many at once: a tenant that keeps
/// failing is cut off alone.
///
/// Members are named `name[key]` and listed by their registry; for the monitor they are one
/// component, the family. When there is no room for another key, the oldest member that is closed,
/// has no failures in a row and is held by nobody makes room. Where there is none, further keys share
/// the member `name[*]`.
///
/// ```
/// use avail_core::{CircuitBreakerConfig, CircuitBreakerRegistry, CircuitState};
///
/// let registry = CircuitBreakerRegistry::new();
/// let tenants = registry.family("tenants", CircuitBreakerConfig::default(), 1_000)?;
/// tenants.get("acme").trip();
/// assert_eq!(tenants.get("acme").state(), CircuitState::Open);
/// assert_eq!(tenants.get("globex").state(), CircuitState::Closed);
/// assert_eq!(tenants.get("acme").name(), "tenants[acme]");
/// # Ok::<(), avail_core::ConfigError>(())
/// ```
#[derive(Clone)]
pub struct BreakerFamily {
    inner: Arc<Inner>,
    registry: CircuitBreakerRegistry,
}

/// Without its registry, which holds it.
struct Inner {
    name: Arc<str>,
    config: CircuitBreakerConfig,
    max_keys: usize,
    members: DashMap<Arc<str>, CircuitBreaker>,
    /// Keys in the order in which they came; held while one is added.
    order: Mutex<VecDeque<Arc<str>>>,
}

/// How many members are looked at for one that can make room, before the key has to share.
const TRIES: usize = 32;

/// The key of the member that is shared.
const SHARED: &str = "*";

/// The families of a registry by name.
#[derive(Default)]
pub(crate) struct Families(Mutex<HashMap<Arc<str>, Arc<Inner>>>);

impl Families {
    /// Held while a name is taken, so that it becomes a breaker's or a family's, and not both.
    pub(crate) fn lock(&self) -> LockedFamilies<'_> {
        LockedFamilies(self.0.lock().unwrap_or_else(PoisonError::into_inner))
    }
}

pub(crate) struct LockedFamilies<'a>(MutexGuard<'a, HashMap<Arc<str>, Arc<Inner>>>);

impl LockedFamilies<'_> {
    /// What the family of that name was made with, if there is one.
    pub(crate) fn describe(&self, name: &str) -> Option<String> {
        self.0.get(name).map(|family| family.describe())
    }

    /// What each was made with, by name.
    pub(crate) fn configs(&self) -> BTreeMap<Arc<str>, CircuitBreakerConfig> {
        self.0.iter().map(|(name, family)| (name.clone(), family.config.clone())).collect()
    }

    /// The family that has the name of this one.
    pub(crate) fn named_as(&self, family: &BreakerFamily) -> Option<BreakerFamily> {
        let inner = self.0.get(&family.inner.name)?.clone();
        Some(BreakerFamily { inner, registry: family.registry.clone() })
    }

    /// The family of that name with these settings; where there is none, and no breaker has
    /// `taken` the name, a new one.
    pub(crate) fn get_or_declare(
        &mut self,
        family: BreakerFamily,
        taken: impl FnOnce(&str) -> Option<String>,
    ) -> Result<BreakerFamily, ConfigError> {
        let BreakerFamily { inner, registry } = family;
        let existing = match self.0.get(&inner.name) {
            Some(found) if found.is_declared_as(&inner) => {
                return Ok(BreakerFamily { inner: found.clone(), registry });
            }
            Some(found) => Some(found.describe()),
            None => taken(&inner.name),
        };
        if let Some(existing) = existing {
            return Err(ConfigError::Conflict { name: inner.name.clone(), existing });
        }
        self.0.insert(inner.name.clone(), inner.clone());
        Ok(BreakerFamily { inner, registry })
    }
}

impl Inner {
    fn is_declared_as(&self, other: &Inner) -> bool {
        self.config == other.config && self.max_keys == other.max_keys
    }

    fn describe(&self) -> String {
        format!("a family of at most {}, each {:?}", self.max_keys, self.config)
    }
}

impl BreakerFamily {
    /// One that its registry does not know yet.
    pub(crate) fn new(
        registry: CircuitBreakerRegistry,
        name: Arc<str>,
        config: CircuitBreakerConfig,
        max_keys: usize,
    ) -> Result<Self, ConfigError> {
        let config = config.validate()?;
        if max_keys == 0 {
            return Err(ConfigError::Zero { key: "max_keys" });
        }
        Ok(Self::of(registry, name, config, max_keys))
    }

    /// What an attribute declares, which has checked it at expansion.
    pub(crate) fn declared(
        registry: CircuitBreakerRegistry,
        name: Arc<str>,
        config: CircuitBreakerConfig,
        max_keys: u32,
    ) -> Self {
        Self::of(registry, name, config, max_keys as usize)
    }

    fn of(
        registry: CircuitBreakerRegistry,
        name: Arc<str>,
        config: CircuitBreakerConfig,
        max_keys: usize,
    ) -> Self {
        let (members, order) = (DashMap::new(), Mutex::default());
        let inner = Inner { name, config, max_keys, members, order };
        BreakerFamily { inner: Arc::new(inner), registry }
    }

    /// The name of the family.
    pub fn name(&self) -> &str {
        &self.inner.name
    }

    /// The breaker of that key. Keep the handle for as long as calls of the key go on: a member
    /// that somebody holds is not given up.
    pub fn get(&self, key: &str) -> CircuitBreaker {
        match self.inner.members.get(key).map(|found| found.value().clone()) {
            Some(found) => found,
            None => self.add(key),
        }
    }

    /// How many members there are, the shared one aside.
    pub fn len(&self) -> usize {
        self.inner.members.len()
    }

    /// Whether no key has been asked for yet.
    pub fn is_empty(&self) -> bool {
        self.inner.members.is_empty()
    }

    #[cold]
    fn add(&self, key: &str) -> CircuitBreaker {
        let Inner { members, order, max_keys, .. } = &*self.inner;
        let mut order = order.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(found) = members.get(key).map(|found| found.value().clone()) {
            return found; // another thread has added it meanwhile
        }
        if key == SHARED || (members.len() >= *max_keys && !self.make_room(&mut order)) {
            return self.make(SHARED);
        }
        let (key, breaker) = (Arc::<str>::from(key), self.make(key));
        order.push_back(key.clone());
        members.insert(key, breaker.clone());
        breaker
    }

    fn make(&self, key: &str) -> CircuitBreaker {
        let Inner { name, config, .. } = &*self.inner;
        self.registry.member(format!("{name}[{key}]").into(), name.clone(), config.clone())
    }

    fn make_room(&self, order: &mut VecDeque<Arc<str>>) -> bool {
        for _ in 0..TRIES.min(order.len()) {
            let Some(key) = order.pop_front() else { break };
            // Two handles are the family's and the registry's.
            let removed = self.inner.members.remove_if(&key, |_, breaker| breaker.is_idle(2));
            match removed {
                Some((_, breaker)) => {
                    self.registry.forget(&breaker);
                    return true;
                }
                None => order.push_back(key),
            }
        }
        false
    }
}

impl fmt::Debug for BreakerFamily {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("BreakerFamily")
            .field("name", &self.inner.name)
            .field("members", &self.len())
            .finish_non_exhaustive()
    }
}

#[cfg(all(test, not(avail_loom)))]
mod tests {
    use super::*;
    use crate::CircuitState;

    fn family(max_keys: usize) -> (CircuitBreakerRegistry, BreakerFamily) {
        let registry = CircuitBreakerRegistry::new();
        let config = CircuitBreakerConfig::builder().failure_threshold(2).build().expect("valid");
        let family = registry.family("tenants", config, max_keys).expect("valid");
        (registry, family)
    }

    fn fail(breaker: &CircuitBreaker) {
        let _ = breaker.call_sync(|| Err::<(), _>("refused"));
    }

    fn names(registry: &CircuitBreakerRegistry) -> Vec<String> {
        registry.iter().map(|breaker| breaker.name().to_owned()).collect()
    }

    #[test]
    fn each_key_has_a_breaker_of_its_own_and_keeps_it() {
        let (registry, family) = family(10);
        for _ in 0..2 {
            fail(&family.get("a"));
        }
        assert_eq!(family.get("a").state(), CircuitState::Open);
        assert_eq!(family.get("b").state(), CircuitState::Closed);
        assert_eq!(names(&registry), ["tenants[a]", "tenants[b]"]);
    }

    #[test]
    fn only_clean_closed_and_idle_members_make_room() {
        let (registry, family) = family(4);
        for _ in 0..2 {
            fail(&family.get("open"));
        }
        fail(&family.get("failing"));
        let held = family.get("held");
        family.get("idle");
        family.get("new");
        let expected = ["failing", "held", "new", "open"].map(|key| format!("tenants[{key}]"));
        assert_eq!(names(&registry), expected);
        assert_eq!(held.state(), CircuitState::Closed);
    }

    #[test]
    fn where_nobody_makes_room_further_keys_share_one() {
        let (registry, family) = family(2);
        let _held = ["a", "b"].map(|key| family.get(key));
        assert_eq!(family.get("c").name(), "tenants[*]");
        fail(&family.get("c"));
        fail(&family.get("d"));
        assert_eq!(family.get("e").state(), CircuitState::Open);
        assert_eq!((family.len(), names(&registry).len()), (2, 3));
    }

    #[test]
    fn a_hundred_thousand_keys_stay_within_the_limit() {
        let (registry, family) = family(1_000);
        for key in 0..100_000 {
            let _ = family.get(&key.to_string()).call_sync(|| Ok::<_, ()>(()));
        }
        assert_eq!((family.len(), registry.iter().count()), (1_000, 1_000));
    }

    #[test]
    fn what_can_not_work_is_refused() {
        let registry = CircuitBreakerRegistry::new();
        let none = registry.family("tenants", CircuitBreakerConfig::default(), 0);
        assert_eq!(none.expect_err("no room").to_string(), "`max_keys` must be at least 1");
    }
}
