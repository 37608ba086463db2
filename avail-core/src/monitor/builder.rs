//! How a monitor is put together and started.

use std::collections::{BTreeMap, BTreeSet};
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use super::inner::{Inner, Terms};
use super::reload::{change_of, log_settings};
use super::settings::{Plan, Settings, Sources};
use super::{AvailabilityMonitor, HISTORY};
use crate::availability::Moment;
use crate::availability::ledger::{CheckTerms, Ledger};
use crate::breaker::Mode;
use crate::breaker::fleet::MODE_VARIABLE;
use crate::error::MonitorError;
use crate::health::dependencies::{Dependencies, nearest, validate};
use crate::health::{HealthCheck, RESERVED, Schedule};
use crate::history::RecoveryReport;
use crate::history::disk::{OpenError, RealDisk};
use crate::history::layout::Layout;
use crate::history::record::Record;
use crate::history::recovery::{Recovered, recover};
use crate::history::store::Store;
use crate::history::writer::Writer;
use crate::log;
use crate::registry::CircuitBreakerRegistry;
use crate::scope::Scope;
use crate::settings::{ComponentChange, Tuned};
use crate::site::{self, CheckSite};

/// Puts a monitor together; see [`AvailabilityMonitor::builder`].
#[derive(Clone, Debug)]
#[must_use = "a builder does nothing until `start` is called"]
pub struct AvailabilityMonitorBuilder {
    check_interval: Duration,
    history_file: Option<PathBuf>,
    history_required: bool,
    history_max_bytes: u64,
    target: f64,
    checks: Vec<HealthCheck>,
    renames: Vec<(String, Arc<str>)>,
    excluded: Vec<String>,
    discover: bool,
    breakers: Option<CircuitBreakerRegistry>,
    pub(super) sources: Sources,
    pub(super) reload_on_sighup: bool,
    startup_grace: Duration,
    prolonged_after: Duration,
    prolonged_is_fatal: bool,
}

impl AvailabilityMonitorBuilder {
    pub(super) fn new() -> Self {
        AvailabilityMonitorBuilder {
            check_interval: Duration::from_secs(30),
            history_file: None,
            history_required: true,
            history_max_bytes: 4 << 20,
            target: 99.9,
            checks: Vec::new(),
            renames: Vec::new(),
            excluded: Vec::new(),
            discover: true,
            breakers: None,
            sources: Sources::default(),
            reload_on_sighup: true,
            startup_grace: Duration::from_secs(300),
            prolonged_after: Duration::from_secs(300),
            prolonged_is_fatal: false,
        }
    }

    /// How often a check runs that names no interval of its own. Default 30 s.
    pub fn check_interval(mut self, interval: Duration) -> Self {
        self.check_interval = interval;
        self
    }

    /// Keeps the history in this file, and reads it back at the start. Default: in memory only.
    ///
    /// Each line is a JSON object with a checksum. Older lines move to files beside it, whose names
    /// begin with its own (see [`history_max_bytes`](Self::history_max_bytes)); `….lock` keeps a
    /// second process out. Incidents and the end of the process are on the disk before anything else
    /// is written; the rest is at the latest when an incident is.
    pub fn history_file(mut self, path: impl Into<PathBuf>) -> Self {
        self.history_file = Some(path.into());
        self
    }

    /// Whether a history file that can't be opened, or that another process uses, is an error.
    /// Otherwise the monitor goes on in memory, and its component `history` is degraded; what the
    /// file holds is read if no other process writes it. Default true.
    pub fn history_required(mut self, required: bool) -> Self {
        self.history_required = required;
        self
    }

    /// How large the history file may get, in bytes; default 4 MiB, at least 4 KiB.
    ///
    /// Then it is closed, as `….1`, `….2` and so on, and a new one begins. What the closed ones come
    /// to is written to a snapshot: every change of the last 30 days (4,096 a component at most),
    /// older time by the hour, by the day after 90 days and by the month after two years, and the
    /// last 10,000 incidents. "All time" stays true through it. The latest two snapshots are kept,
    /// and the files after the older of them: if one is damaged, the other and those say the same.
    /// So neither the size of a history nor the time that it takes to read it back grows with age.
    ///
    /// ```
    /// use avail_core::AvailabilityMonitor;
    ///
    /// let builder = AvailabilityMonitor::builder()
    ///     .history_file("availability_history.jsonl")
    ///     .history_max_bytes(16 << 20);
    /// ```
    pub fn history_max_bytes(mut self, bytes: u64) -> Self {
        self.history_max_bytes = bytes.max(4_096);
        self
    }

    /// The availability to be reached, in percent: above 0, at most 100. Default 99.9.
    pub fn target(mut self, percent: f64) -> Self {
        self.target = percent;
        self
    }

    /// Adds a check by hand; may be called again.
    pub fn check(mut self, check: HealthCheck) -> Self {
        self.checks.push(check);
        self
    }

    /// Gives the annotated check at `site` (`module::path::function`) another name.
    pub fn rename(mut self, site: impl Into<String>, name: impl Into<Arc<str>>) -> Self {
        self.renames.push((site.into(), name.into()));
        self
    }

    /// Leaves out annotated checks: by `module::path::function`, or a whole module or crate by
    /// `lib_b::*`.
    pub fn exclude(mut self, pattern: impl Into<String>) -> Self {
        self.excluded.push(pattern.into());
        self
    }

    /// Whether annotated checks are found by themselves. Default true.
    pub fn discover(mut self, discover: bool) -> Self {
        self.discover = discover;
        self
    }

    /// Watches the circuit breakers of this registry. Default: the global one.
    pub fn breakers(mut self, registry: CircuitBreakerRegistry) -> Self {
        self.breakers = Some(registry);
        self
    }

    /// For so long after the start a component that has never passed is no incident. Default 5 min.
    pub fn startup_grace(mut self, grace: Duration) -> Self {
        self.startup_grace = grace;
        self
    }

    /// An incident that lasts longer than this is counted as prolonged. Default 5 min.
    pub fn prolonged_after(mut self, duration: Duration) -> Self {
        self.prolonged_after = duration;
        self
    }

    /// Whether liveness fails while an incident is prolonged. Only where a restart cures what checks
    /// and breakers watch: a dependency that is down would have every instance restarted. Default
    /// false.
    pub fn prolonged_is_fatal(mut self, fatal: bool) -> Self {
        self.prolonged_is_fatal = fatal;
        self
    }

    /// Finds every annotated check and breaker, reads the history back, and runs each check at
    /// once and then as often as it says, on the tokio runtime that this is called in.
    ///
    /// # Errors
    ///
    /// [`MonitorError`] where two checks have one name, attributes contradict each other, a check
    /// depends on what is not there or on itself, a check, the target, `AVAIL_BREAKERS` or a setting
    /// from outside can't work as given, the configuration file can't be read, or the history file
    /// can't be used.
    pub async fn start(self) -> Result<AvailabilityMonitor, MonitorError> {
        let runtime = tokio::runtime::Handle::try_current().map_err(|_| MonitorError::NoRuntime)?;
        // Where the runtime has no timer, making a sleep panics; nothing else tells.
        let has_time = std::panic::catch_unwind(|| drop(tokio::time::sleep(Duration::ZERO)));
        has_time.map_err(|_| MonitorError::NoRuntime)?;
        if !(self.target > 0.0 && self.target <= 100.0) {
            return Err(MonitorError::Target { target: self.target });
        }
        Mode::from_environment(std::env::var_os(MODE_VARIABLE))?;
        let registry = self.breakers.clone().unwrap_or_else(CircuitBreakerRegistry::global);
        if let Some(conflict) = registry.conflicts().into_iter().next() {
            return Err(conflict.into());
        }
        let declared = self.all_checks(&registry)?;
        if self.discover {
            self.recovery_checks_are_there(&declared, &registry)?;
        }
        let overlay = self.sources.read(&runtime).await?;
        let plan = Plan::new(overlay, declared, &registry, self.check_interval)?;
        can_be_waited_for(&plan.checks, &registry).map_err(|error| plan.with_places(error))?;
        let history = self.open_history().await?;

        let clock = Scope::current().clock.clone();
        let settings = Settings::new(self.sources.clone(), &plan, clock.wall());
        let mut changed = plan.lay(&registry);
        changed.extend(plan.checks.iter().map(change_of_tuned));
        changed.retain(|change| !change.settings.is_empty());
        log_settings(&changed, &plan.warnings);
        let inner = Inner::new(self.terms(), settings, clock, registry, history, runtime);
        let inner = Arc::new(inner);
        inner.begin(&plan.checks, self.startup_grace);
        let monitor = AvailabilityMonitor { inner };
        monitor.inner.run(plan.checks);
        if self.reload_on_sighup && self.sources.file.is_some() {
            monitor.inner.listen_for_hangups();
        }
        Ok(monitor)
    }

    fn terms(&self) -> Terms {
        Terms {
            check_interval: self.check_interval,
            target: self.target,
            prolonged_after: self.prolonged_after,
            prolonged_is_fatal: self.prolonged_is_fatal,
            keeps_history: self.history_file.is_some(),
            renamed: self.renamed(),
        }
    }

    /// The annotated checks that go by another name here.
    fn renamed(&self) -> BTreeMap<Arc<str>, Arc<str>> {
        let renamed = site::linked_checks().into_iter().filter_map(|(name, site)| {
            let path = site.origin.path();
            let to = self.renames.iter().find(|(from, _)| *from == path);
            to.map(|(_, to)| (name, to.clone()))
        });
        renamed.collect()
    }

    /// Discovered and given by hand.
    fn all_checks(
        &self,
        registry: &CircuitBreakerRegistry,
    ) -> Result<Vec<HealthCheck>, MonitorError> {
        let mut by_name: BTreeMap<Arc<str>, HealthCheck> = BTreeMap::new();
        let found = if self.discover { self.discovered(registry) } else { Vec::new() };
        for check in found.into_iter().chain(self.checks.iter().cloned()) {
            if let Some(first) = by_name.insert(check.name.clone(), check.clone()) {
                return Err(MonitorError::DuplicateCheck {
                    name: check.name.clone(),
                    first: place(&first),
                    second: place(&check),
                });
            }
        }
        Ok(by_name.into_values().collect())
    }

    /// A dependency on a check follows that check: to its new name where it is renamed, and out of
    /// the way where it is left out.
    fn discovered(&self, registry: &CircuitBreakerRegistry) -> Vec<HealthCheck> {
        let linked = site::linked_checks();
        let (left_out, kept): (Vec<_>, Vec<_>) =
            linked.into_iter().partition(|(_, site)| self.excludes(&site.origin.path()));
        let renamed = |name: &Arc<str>, site: &'static CheckSite| {
            let path = site.origin.path();
            let renamed = self.renames.iter().find(|(from, _)| *from == path);
            renamed.map_or_else(|| name.clone(), |(_, to)| to.clone())
        };
        let names: BTreeMap<_, _> =
            kept.iter().map(|(name, site)| (name.clone(), renamed(name, site))).collect();
        let left_out: BTreeSet<_> = left_out.into_iter().map(|(name, _)| name).collect();
        let by_hand = self.checks.iter().map(|check| check.name.clone());
        let breakers = registry.components().into_iter().map(|(name, _)| name);
        let others: BTreeSet<_> = by_hand.chain(breakers).collect();
        let follow = |parent: &Arc<str>| match names.get(parent) {
            Some(name) => Some(name.clone()),
            None if left_out.contains(parent) && !others.contains(parent) => None,
            None => Some(parent.clone()),
        };
        let named = kept.iter().map(|(name, site)| {
            let mut check = HealthCheck::of_site(renamed(name, site), site);
            check.depends_on = check.depends_on.iter().filter_map(follow).collect();
            check
        });
        named.collect()
    }

    /// Refuses attributes whose `recovery_check` names no check. One that is left out is there: then
    /// calls probe as usual.
    fn recovery_checks_are_there(
        &self,
        checks: &[HealthCheck],
        registry: &CircuitBreakerRegistry,
    ) -> Result<(), MonitorError> {
        let linked = site::linked_checks().into_iter().map(|(name, _)| name);
        let named = checks.iter().map(|check| check.name.clone());
        let known: BTreeSet<_> = linked.chain(named).collect();
        for (breaker, declaration) in registry.declarations() {
            let check = declaration.settings().recovery_check;
            if let Some(check) = check.filter(|check| !known.contains(*check)) {
                return Err(MonitorError::UnknownRecoveryCheck {
                    breaker,
                    origin: Box::new(declaration.origin()),
                    check: check.into(),
                    nearest: nearest(check, &known),
                });
            }
        }
        Ok(())
    }

    fn excludes(&self, path: &str) -> bool {
        self.excluded.iter().any(|pattern| match pattern.strip_suffix("::*") {
            Some(module) => path.strip_prefix(module).is_some_and(|rest| rest.starts_with("::")),
            None => path == pattern,
        })
    }

    async fn open_history(&self) -> Result<History, MonitorError> {
        let Some(path) = self.history_file.clone() else { return Ok(History::none(None)) };
        let (max_bytes, required) = (self.history_max_bytes, self.history_required);
        let opened = move || History::open(&path, max_bytes, required);
        let opened = tokio::task::spawn_blocking(opened).await;
        opened.unwrap_or_else(|error| {
            let path = self.history_file.clone().unwrap_or_default();
            Err(MonitorError::History { path, source: std::io::Error::other(error) })
        })
    }
}

/// Refuses checks that depend on what is not there, or on each other.
fn can_be_waited_for(
    checks: &[Tuned],
    registry: &CircuitBreakerRegistry,
) -> Result<(), MonitorError> {
    let checks = checks.iter().map(|tuned| &tuned.check);
    let named = checks.map(|check| (check.name.clone(), check.depends_on.clone()));
    let dependencies: Dependencies = named.collect();
    let breakers = registry.components().into_iter().map(|(name, _)| name);
    let known = dependencies.keys().cloned().chain(breakers).chain(RESERVED.map(Arc::from));
    validate(&dependencies, &known.collect())
}

fn change_of_tuned(tuned: &Tuned) -> ComponentChange {
    change_of(&tuned.check.name, &tuned.declared, &tuned.check)
}

fn place(check: &HealthCheck) -> String {
    match check.origin {
        Some(origin) => format!("the one at {origin}"),
        None => "the one registered by hand".into(),
    }
}

/// What a monitor starts from.
pub(super) struct History {
    pub(super) recovered: Option<Recovered>,
    pub(super) writer: Writer,
    pub(super) boot: Arc<str>,
}

impl History {
    fn none(error: Option<String>) -> Self {
        History { recovered: None, writer: Writer::none(error), boot: boot_id() }
    }

    fn open(path: &Path, max_bytes: u64, required: bool) -> Result<Self, MonitorError> {
        match Self::open_to_write(path, max_bytes) {
            Err(error) if !required => {
                log::history_not_opened(path, &error);
                let mut history = History::none(Some(error.to_string()));
                if matches!(error, MonitorError::History { .. }) {
                    history.recovered = recover(&RealDisk, &Layout::new(path)).ok();
                }
                Ok(history)
            }
            opened => opened,
        }
    }

    /// Locks it first, so that nothing is read which another process still writes.
    fn open_to_write(path: &Path, max_bytes: u64) -> Result<Self, MonitorError> {
        let io = |source| MonitorError::History { path: path.to_owned(), source };
        let store = Store::open(Box::new(RealDisk), path, max_bytes);
        let mut store = store.map_err(|error| match error {
            OpenError::Io(source) => io(source),
            locked => MonitorError::HistoryInUse {
                path: path.to_owned(),
                by_this_process: matches!(locked, OpenError::LockedHere),
            },
        })?;
        let recovered = recover(store.disk(), store.layout()).map_err(io)?;
        let RecoveryReport { corrupt_records, torn_tail, .. } = recovered.report;
        store.set_torn(torn_tail);
        let boot = boot_id();
        let writer = Writer::start(store, boot.clone(), corrupt_records).map_err(io)?;
        Ok(History { recovered: Some(recovered), writer, boot })
    }

    pub(super) fn take_ledger(&mut self, now: Moment) -> (Ledger, Option<(Moment, bool)>) {
        match self.recovered.as_mut().and_then(|recovered| recovered.past.take()) {
            Some(past) => (past.ledger, Some((past.last_sign, past.clean))),
            None => (Ledger::new(now), None),
        }
    }
}

/// Tells this monitor from every other that writes, or wrote, the same history.
fn boot_id() -> Arc<str> {
    static STARTED: AtomicU64 = AtomicU64::new(0);
    let now = chrono::Utc::now().timestamp_millis();
    // Relaxed: a number that guards no other memory.
    let count = STARTED.fetch_add(1, Ordering::Relaxed);
    format!("{now:011x}-{:x}-{count:x}", std::process::id()).into()
}

impl Inner {
    /// The first record, what the time without a process comes to, and who takes part.
    pub(super) fn begin(&self, checks: &[Tuned], grace: Duration) {
        let pid = std::process::id();
        self.registry.set_draining(false);
        self.pass_over_calls();
        let start = Record::Start { pid, version: env!("CARGO_PKG_VERSION").into() };
        // Nothing that time alone has brought about counts before the boot itself.
        self.update(|ledger, now| {
            // Of one moment with what is counted, so that a later start counts the same.
            self.writer().send(now, start);
            ledger.begin(now, grace, self.past());
            if self.keeps_history() {
                let terms = CheckTerms::by_hand();
                ledger.join_check(&HISTORY.into(), terms, now);
            }
            for Tuned { check, schedule, .. } in checks {
                ledger.join_check(&check.name, terms(check, *schedule), now);
                ledger.promise(&check.name, check.objective(self.terms.target));
            }
            self.find_breakers(ledger, now);
            ledger.all_have_joined(now);
        });
        self.report_history();
    }
}

pub(super) fn terms(check: &HealthCheck, schedule: Schedule) -> CheckTerms {
    CheckTerms {
        critical: check.critical,
        probe: check.probe,
        schedule: Some(schedule),
        depends_on: check.depends_on.clone(),
        tags: check.tags.clone(),
    }
}
