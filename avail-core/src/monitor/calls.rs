//! How many calls have ended since the last look, from counters that only grow.

use std::collections::{BTreeMap, HashMap};
use std::sync::{Arc, Mutex};

use super::inner::lock;
use crate::availability::checks::CheckCounts;
use crate::breaker::CircuitBreaker;
use crate::registry::CircuitBreakerRegistry;

/// What each breaker had counted at the last look. One that is new since then counts from zero; what
/// a family's member counted between the last look and making room for another is lost.
#[derive(Debug, Default)]
pub(super) struct Calls {
    seen: Mutex<HashMap<u64, CheckCounts>>,
}

impl Calls {
    /// Calls that have ended since the last look, by component: a family's members together.
    pub(super) fn take_new(
        &self,
        registry: &CircuitBreakerRegistry,
    ) -> BTreeMap<Arc<str>, CheckCounts> {
        let mut new: BTreeMap<Arc<str>, CheckCounts> = BTreeMap::new();
        let mut seen = lock(&self.seen);
        let mut now_seen = HashMap::with_capacity(seen.len());
        registry.for_each(|breaker| {
            let counts = counts(breaker);
            let since = counts.since(seen.get(&breaker.id()).copied().unwrap_or_default());
            now_seen.insert(breaker.id(), counts);
            if since.total() > 0 {
                *new.entry(breaker.component().clone()).or_default() += since;
            }
        });
        *seen = now_seen;
        new
    }
}

fn counts(breaker: &CircuitBreaker) -> CheckCounts {
    let calls = breaker.calls();
    CheckCounts { successful: calls.success, failed: calls.failed() }
}
