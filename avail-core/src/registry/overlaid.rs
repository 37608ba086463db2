//! Settings from outside, laid over what the code says of each breaker.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use super::{CircuitBreakerRegistry, lock};
use crate::breaker::{CircuitBreaker, CircuitBreakerConfig};
use crate::settings::{
    ComponentChange, Configurable, Overlay, SettingProblem, SettingsError, Subject, differences,
};

/// So many reasons are kept until somebody asks for them: members of families come without end.
const UNFIT: usize = 64;

impl CircuitBreakerRegistry {
    /// What a breaker that is made now begins with. Where the settings from outside don't fit it, it
    /// is made as the code says: nothing that a call needs is to fail for that.
    pub(super) fn overlaid(
        &self,
        name: &str,
        component: &str,
        declared: &CircuitBreakerConfig,
    ) -> CircuitBreakerConfig {
        let subject = self.subject(name, component, declared);
        self.overlay().breaker(subject).unwrap_or_else(|problem| {
            let mut unfit = lock(&self.inner.unfit);
            if unfit.len() < UNFIT && !unfit.contains(&problem) {
                unfit.push(problem);
            }
            declared.clone()
        })
    }

    /// Why breakers that were made since it was last asked were made without the settings from
    /// outside. It is told to whoever asks, since a breaker is made under a guard.
    pub(crate) fn take_unfit(&self) -> Vec<SettingProblem> {
        std::mem::take(&mut lock(&self.inner.unfit))
    }

    fn subject<'a>(
        &self,
        name: &'a str,
        component: &'a str,
        declared: &'a CircuitBreakerConfig,
    ) -> Subject<'a> {
        let uncut = self.inner.uncut.get(component).map(|found| *found.value());
        Subject { name, component, declared, uncut }
    }

    pub(crate) fn overlay(&self) -> Arc<Overlay> {
        lock(&self.inner.overlay).clone()
    }

    /// Refuses an overlay that does not fit every breaker that there is.
    pub(crate) fn fits(&self, overlay: &Overlay) -> Result<(), SettingsError> {
        let mut problems: Vec<SettingProblem> = Vec::new();
        for (breaker, declared) in self.listed() {
            let subject = self.subject(breaker.name(), breaker.component(), &declared);
            let combined = overlay.breaker(subject);
            // The members of a family have theirs in common.
            if let Some(problem) = combined.err().filter(|problem| !problems.contains(problem)) {
                problems.push(problem);
            }
        }
        for (family, declared) in self.families() {
            let combined = overlay.breaker(self.subject(&family, &family, &declared));
            if let Some(problem) = combined.err().filter(|problem| !problems.contains(problem)) {
                problems.push(problem);
            }
        }
        SettingsError::unless_none(problems)
    }

    /// Lays an overlay over every breaker, in place of the one before, and gives what that changes.
    /// One that it changes nothing of is left alone, also where it was reconfigured by hand.
    pub(crate) fn lay(&self, overlay: &Arc<Overlay>) -> Vec<ComponentChange> {
        let before = std::mem::replace(&mut *lock(&self.inner.overlay), overlay.clone());
        let mut changes = Vec::new();
        let mut critical: BTreeMap<Arc<str>, bool> = BTreeMap::new();
        for (breaker, declared) in self.listed() {
            let subject = self.subject(breaker.name(), breaker.component(), &declared);
            let of = |overlay: &Overlay| {
                overlay.breaker(subject).unwrap_or_else(|_| (*declared).clone())
            };
            let (from, to) = (of(&before), of(overlay));
            *critical.entry(breaker.component().clone()).or_default() |= to.critical;
            let settings = differences(&from, &to);
            if settings.is_empty() {
                continue;
            }
            let shadow = (from.shadow != to.shadow).then_some(to.shadow);
            breaker.go_on_with(to);
            if let Some(shadow) = shadow {
                breaker.set_declared_shadow(shadow);
            }
            let (kind, name) = (Configurable::CircuitBreaker, breaker.name().into());
            changes.push(ComponentChange { kind, name, settings });
        }
        for (family, declared) in self.families() {
            let known = self.inner.components.contains_key(&family);
            if known && let Ok(config) = overlay.breaker(self.subject(&family, &family, &declared))
            {
                *critical.entry(family).or_default() |= config.critical;
            }
        }
        for (component, critical) in critical {
            self.inner.components.insert(component, critical);
        }
        changes
    }

    /// Every family with what the code says of it: also one that has no members yet.
    fn families(&self) -> BTreeMap<Arc<str>, CircuitBreakerConfig> {
        self.inner.families.lock().configs()
    }

    /// Every breaker with what the code says of it, sorted by name.
    fn listed(&self) -> Vec<(CircuitBreaker, Arc<CircuitBreakerConfig>)> {
        let each = self.inner.breakers.iter();
        let mut all: Vec<_> =
            each.map(|entry| (entry.breaker.clone(), entry.declared.clone())).collect();
        all.sort_by(|(a, _), (b, _)| a.name().cmp(b.name()));
        all
    }

    /// The names that settings from outside can be given for.
    pub(crate) fn names(&self) -> BTreeSet<Arc<str>> {
        let components = self.components().into_iter().map(|(component, _)| component);
        let breakers = self.listed().into_iter().map(|(breaker, _)| Arc::from(breaker.name()));
        components.chain(breakers).chain(self.families().into_keys()).collect()
    }
}
