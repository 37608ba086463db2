//! What an annotated function leaves behind: a `static` that knows where it stands and what was
//! declared there.
//!
//! Sites are found in two layers. *At link time* each submits a reference to itself, so that a
//! breaker or a check that was never called is visible from the start. *At its first call* a
//! breaker's site attaches itself, so that one which the linker dropped works all the same.
//!
//! After its first call a breaker's site costs one load: it keeps its handle.

mod settings;

use std::collections::HashMap;
use std::fmt;
use std::future::Future;
use std::ops::Deref;
use std::pin::Pin;
use std::sync::Arc;
use std::time::Duration;

use once_cell::sync::OnceCell;

use crate::breaker::CircuitBreaker;
use crate::family::BreakerFamily;
use crate::health::{Health, Probe};
use crate::registry::CircuitBreakerRegistry;
use crate::scope::Scope;

pub use self::settings::BreakerSettings;

/// Where an attribute stands.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Origin {
    module_path: &'static str,
    function: &'static str,
    file: &'static str,
    line: u32,
}

impl Origin {
    /// From `module_path!()`, the function's name, `file!()` and `line!()`.
    pub const fn new(
        module_path: &'static str,
        function: &'static str,
        file: &'static str,
        line: u32,
    ) -> Self {
        Origin { module_path, function, file, line }
    }

    /// `module::path::function`: the default name, and what `exclude` and `rename` are matched with.
    pub fn path(&self) -> String {
        format!("{}::{}", self.module_path, self.function)
    }

    fn place(&self) -> (&'static str, u32) {
        (self.file, self.line)
    }
}

impl fmt::Display for Origin {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}:{} (`{}::{}`)", self.file, self.line, self.module_path, self.function)
    }
}

/// Why the calls of a function can't be cut off, whatever its settings are.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Uncut {
    /// It returns a value and no future.
    Value,
    /// It has a fallback that was written without the limit: it may use what the body consumes.
    Fallback,
}

impl fmt::Display for Uncut {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Uncut::Value => "returns no future, and can't be cut off before it returns",
            Uncut::Fallback => {
                "has a `fallback` that is for calls that were not let through alone: give a \
                 `call_timeout` in the attribute too, and it can be changed from outside"
            }
        })
    }
}

/// What a `#[circuit_breaker]` declares.
#[derive(Debug)]
pub struct Declaration {
    origin: Origin,
    /// As spelled out.
    name: Option<&'static str>,
    /// The default name of one whose place says less than this.
    title: Option<&'static str>,
    settings: BreakerSettings,
    /// Of a family: for how many keys.
    max_keys: Option<u32>,
    uncut: Option<Uncut>,
}

impl Declaration {
    /// `name`: as spelled out; `None`: `module::path::function`.
    pub const fn new(
        origin: Origin,
        name: Option<&'static str>,
        settings: BreakerSettings,
    ) -> Self {
        Declaration { origin, name, title: None, settings, max_keys: None, uncut: None }
    }

    /// With another default name than `module::path::function`.
    pub const fn titled(mut self, title: &'static str) -> Self {
        self.title = Some(title);
        self
    }

    /// Of a family of breakers, at most so many.
    pub const fn keyed(mut self, max_keys: u32) -> Self {
        self.max_keys = Some(max_keys);
        self
    }

    /// Of a function whose calls can't be cut off.
    pub const fn uncut(mut self, why: Uncut) -> Self {
        self.uncut = Some(why);
        self
    }

    pub(crate) fn origin(&self) -> Origin {
        self.origin
    }

    pub(crate) fn is_uncut(&self) -> Option<Uncut> {
        self.uncut
    }

    pub(crate) fn settings(&self) -> BreakerSettings {
        self.settings
    }

    pub(crate) fn max_keys(&self) -> Option<u32> {
        self.max_keys
    }

    /// Whether one breaker, or one family, can be both.
    pub(crate) fn agrees_with(&self, other: &Declaration) -> bool {
        self.settings.config() == other.settings.config() && self.max_keys == other.max_keys
    }

    fn default_name(&self) -> String {
        self.title.map_or_else(|| self.origin.path(), str::to_owned)
    }

    /// Its name in full, linked or not.
    fn full_name(&'static self) -> Arc<str> {
        let linked = linked_breakers().iter().find(|(_, linked)| std::ptr::eq(*linked, self));
        match (linked, self.name) {
            (Some((name, _)), _) => name.clone(),
            (None, Some(name)) => name.into(),
            (None, None) => self.default_name().into(),
        }
    }
}

/// The `static` of a `#[circuit_breaker]`, which keeps the breaker or the family once it is found.
#[derive(Debug)]
pub struct Site<H> {
    declaration: Declaration,
    handle: OnceCell<H>,
}

/// That of a breaker.
pub type BreakerSite = Site<CircuitBreaker>;

/// That of a family.
pub type FamilySite = Site<BreakerFamily>;

/// What a site submits at link time.
#[derive(Debug)]
pub struct BreakerEntry(&'static Declaration);

impl BreakerEntry {
    /// Of that site.
    pub const fn of<H>(site: &'static Site<H>) -> Self {
        BreakerEntry(&site.declaration)
    }
}

inventory::collect!(BreakerEntry);

impl<H> Site<H> {
    /// Of that declaration.
    pub const fn new(declaration: Declaration) -> Self {
        Site { declaration, handle: OnceCell::new() }
    }

    #[cold]
    fn find(
        &'static self,
        attach: fn(&CircuitBreakerRegistry, Arc<str>, &'static Declaration) -> H,
    ) -> &'static H {
        self.handle.get_or_init(|| {
            let registry = &Scope::current().registry;
            register_linked_breakers(registry);
            attach(registry, self.declaration.full_name(), &self.declaration)
        })
    }
}

impl BreakerSite {
    /// The site's breaker. It is found once and kept.
    #[inline]
    pub fn breaker(&'static self) -> BreakerRef {
        #[cfg(feature = "test-util")]
        if let Some(scope) = Scope::isolated() {
            let name = self.declaration.full_name();
            return BreakerRef { breaker: scope.registry.attach(name, &self.declaration) };
        }
        match self.handle.get() {
            Some(breaker) => BreakerRef::kept(breaker),
            None => BreakerRef::kept(self.find(CircuitBreakerRegistry::attach)),
        }
    }
}

impl FamilySite {
    /// The breaker of that key. The family is found once and kept.
    pub fn member(&'static self, key: &str) -> CircuitBreaker {
        #[cfg(feature = "test-util")]
        if let Some(scope) = Scope::isolated() {
            let name = self.declaration.full_name();
            return scope.registry.attach_family(name, &self.declaration).get(key);
        }
        match self.handle.get() {
            Some(family) => family.get(key),
            None => self.find(CircuitBreakerRegistry::attach_family).get(key),
        }
    }
}

/// A site's breaker, which is kept for ever; with `test-util` it may be that of one test, and is held.
#[derive(Debug)]
pub struct BreakerRef {
    #[cfg(not(feature = "test-util"))]
    breaker: &'static CircuitBreaker,
    #[cfg(feature = "test-util")]
    breaker: CircuitBreaker,
}

impl BreakerRef {
    #[cfg(not(feature = "test-util"))]
    #[inline]
    fn kept(breaker: &'static CircuitBreaker) -> Self {
        BreakerRef { breaker }
    }

    #[cfg(feature = "test-util")]
    fn kept(breaker: &'static CircuitBreaker) -> Self {
        BreakerRef { breaker: breaker.clone() }
    }
}

impl Deref for BreakerRef {
    type Target = CircuitBreaker;

    #[inline]
    fn deref(&self) -> &CircuitBreaker {
        #[cfg(not(feature = "test-util"))]
        return self.breaker;
        #[cfg(feature = "test-util")]
        return &self.breaker;
    }
}

/// A name as spelled out, or the default one; of those that would collide, the second by file and
/// line gets `#2`, the third `#3`.
fn names<S>(
    sites: impl Iterator<Item = &'static S>,
    origin: impl Fn(&S) -> Origin,
    name: impl Fn(&S) -> Option<&'static str>,
    default: impl Fn(&S) -> String,
) -> Vec<(Arc<str>, &'static S)> {
    let mut sites: Vec<_> = sites.collect();
    sites.sort_by_key(|site| {
        (name(site).map_or_else(|| default(site), str::to_owned), origin(site).place())
    });
    let mut taken: HashMap<String, u32> = HashMap::new();
    let mut named = Vec::with_capacity(sites.len());
    for site in sites {
        let unique: Arc<str> = match name(site) {
            Some(name) => name.into(),
            None => {
                let path = default(site);
                let count = taken.entry(path.clone()).or_default();
                *count += 1;
                if *count == 1 { path.into() } else { format!("{path}#{count}").into() }
            }
        };
        named.push((unique, site));
    }
    named
}

fn linked_breakers() -> &'static [(Arc<str>, &'static Declaration)] {
    static LINKED: OnceCell<Vec<(Arc<str>, &'static Declaration)>> = OnceCell::new();
    LINKED.get_or_init(|| {
        let declared = inventory::iter::<BreakerEntry>.into_iter().map(|entry| entry.0);
        names(declared, |one| one.origin, |one| one.name, Declaration::default_name)
    })
}

/// Makes the breaker of every site that the linker kept; a second time it does nothing.
pub(crate) fn register_linked_breakers(registry: &CircuitBreakerRegistry) {
    // What is known of a name goes before what is made of it.
    for (name, declaration) in linked_breakers() {
        registry.first_declared(name, declaration);
    }
    for (name, declaration) in linked_breakers() {
        if declaration.max_keys.is_some() {
            registry.attach_family(name.clone(), declaration);
        } else {
            registry.attach(name.clone(), declaration);
        }
    }
}

/// The type of an annotated check, behind one signature.
pub type CheckFuture = Pin<Box<dyn Future<Output = Health> + Send>>;

/// How an annotated check is run.
#[derive(Clone, Copy, Debug)]
pub enum CheckFn {
    /// An async function.
    Async(fn() -> CheckFuture),
    /// A function that may block: it runs on the blocking pool.
    Blocking(fn() -> Health),
}

/// What `#[health_check(…)]` was told; each setter is named as its key.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct CheckSettings {
    pub(crate) critical: bool,
    pub(crate) interval: Option<Duration>,
    pub(crate) timeout: Option<Duration>,
    pub(crate) degraded_after: Option<Duration>,
    pub(crate) retry_interval: Option<Duration>,
    pub(crate) initial_delay: Option<Duration>,
    pub(crate) failure_threshold: Option<u32>,
    pub(crate) success_threshold: Option<u32>,
    pub(crate) probe: Probe,
    pub(crate) slo: Option<f64>,
    pub(crate) slo_window: Option<Duration>,
    pub(crate) depends_on: &'static [&'static str],
    pub(crate) tags: &'static [&'static str],
}

impl Default for CheckSettings {
    fn default() -> Self {
        Self::new()
    }
}

#[allow(missing_docs)] // the setters are documented at `HealthCheck`
impl CheckSettings {
    pub const fn new() -> Self {
        CheckSettings {
            critical: true,
            interval: None,
            timeout: None,
            degraded_after: None,
            retry_interval: None,
            initial_delay: None,
            failure_threshold: None,
            success_threshold: None,
            probe: Probe::Readiness,
            slo: None,
            slo_window: None,
            depends_on: &[],
            tags: &[],
        }
    }

    pub const fn critical(mut self, value: bool) -> Self {
        self.critical = value;
        self
    }

    pub const fn interval(mut self, value: Duration) -> Self {
        self.interval = Some(value);
        self
    }

    pub const fn timeout(mut self, value: Duration) -> Self {
        self.timeout = Some(value);
        self
    }

    pub const fn degraded_after(mut self, value: Duration) -> Self {
        self.degraded_after = Some(value);
        self
    }

    pub const fn retry_interval(mut self, value: Duration) -> Self {
        self.retry_interval = Some(value);
        self
    }

    pub const fn initial_delay(mut self, value: Duration) -> Self {
        self.initial_delay = Some(value);
        self
    }

    pub const fn failure_threshold(mut self, value: u32) -> Self {
        self.failure_threshold = Some(value);
        self
    }

    pub const fn success_threshold(mut self, value: u32) -> Self {
        self.success_threshold = Some(value);
        self
    }

    pub const fn probe(mut self, value: Probe) -> Self {
        self.probe = value;
        self
    }

    pub const fn slo(mut self, percent: f64) -> Self {
        self.slo = Some(percent);
        self
    }

    pub const fn slo_window(mut self, value: Duration) -> Self {
        self.slo_window = Some(value);
        self
    }

    pub const fn depends_on(mut self, value: &'static [&'static str]) -> Self {
        self.depends_on = value;
        self
    }

    pub const fn tags(mut self, value: &'static [&'static str]) -> Self {
        self.tags = value;
        self
    }
}

/// The `static` of a `#[health_check]`.
#[derive(Debug)]
pub struct CheckSite {
    pub(crate) origin: Origin,
    pub(crate) name: Option<&'static str>,
    pub(crate) settings: CheckSettings,
    pub(crate) run: CheckFn,
}

/// What a site submits at link time.
#[derive(Debug)]
pub struct CheckEntry(pub &'static CheckSite);

inventory::collect!(CheckEntry);

impl CheckSite {
    /// `name`: as spelled out; `None`: `module::path::function`.
    pub const fn new(
        origin: Origin,
        name: Option<&'static str>,
        settings: CheckSettings,
        run: CheckFn,
    ) -> Self {
        CheckSite { origin, name, settings, run }
    }
}

/// Every check that the linker kept, with its name, sorted by name, file and line.
pub(crate) fn linked_checks() -> Vec<(Arc<str>, &'static CheckSite)> {
    let sites = inventory::iter::<CheckEntry>.into_iter().map(|entry| entry.0);
    names(sites, |site| site.origin, |site| site.name, |site| site.origin.path())
}
