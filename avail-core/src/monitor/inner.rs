//! What every handle, task and listener of a monitor shares.

mod tasks;

use std::collections::{BTreeMap, HashMap, VecDeque};
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError, Weak};
use std::thread::ThreadId;
use std::time::Duration;

use chrono::{DateTime, Utc};
use serde_json::Map;
use tokio::runtime::Handle;
use tokio::sync::broadcast;
use tokio::task::AbortHandle;
use tokio::time::{MissedTickBehavior, interval};

use super::audit::{AuditRecord, AuditTrail};
use super::builder::History;
use super::calls::Calls;
use super::recoveries::Recoveries;
use super::settings::Settings;
use super::status::Event;
use super::steady::SteadyClock;
use super::{AvailabilityMonitor, HISTORY};
use crate::availability::Moment;
use crate::availability::ledger::{BreakerState, Fact, IncidentStep, Ledger};
use crate::breaker::{BreakerEvent, CircuitState, Subscription};
use crate::clock::{Clock, Tick};
use crate::health::orders::Orders;
use crate::health::scheduler::{Scheduled, keep_checking};
use crate::health::slot::Slot;
use crate::health::{HealthCheckResult, HealthStatus, RESERVED};
use crate::history::RecoveryReport;
use crate::history::record::Record;
use crate::history::writer::{CLOSE_LIMIT, Writer};
use crate::log;
use crate::registry::CircuitBreakerRegistry;
use crate::scope::carry;
use crate::settings::Tuned;

/// How often the runtime shows that it lives, and time alone is looked at.
const PULSE: Duration = Duration::from_secs(1);
/// How often the history is told that the process lives.
const HEARTBEAT: Duration = Duration::from_secs(15);
/// The same while something is down: if the process dies then, little of the downtime is forgotten.
const HEARTBEAT_IN_INCIDENT: Duration = Duration::from_secs(1);
/// How often the history is told how many checks have run: a crash forgets at most that much.
const PROGRESS: Duration = Duration::from_secs(60);
/// A heartbeat older than this means that the runtime is wedged.
const WEDGED_AFTER: Duration = Duration::from_secs(30);
/// The runtime that a panic ends is gone within that time; if it lives on, somebody caught it.
const UNWINDING: Duration = Duration::from_secs(10);
/// How many results are kept in memory.
const RECENT: usize = 256;
/// How many events a subscriber may lag behind.
const EVENTS: usize = 1_024;

/// What the builder was told, for as long as the monitor lives.
#[derive(Clone, Debug)]
pub(super) struct Terms {
    pub(super) check_interval: Duration,
    pub(super) target: f64,
    pub(super) prolonged_after: Duration,
    pub(super) prolonged_is_fatal: bool,
    pub(super) keeps_history: bool,
    /// Checks that go by another name here than where they are declared.
    pub(super) renamed: BTreeMap<Arc<str>, Arc<str>>,
}

#[derive(Debug)]
pub(crate) struct Inner {
    pub(super) terms: Terms,
    pub(super) settings: Settings,
    clock: SteadyClock,
    ledger: Mutex<Ledger>,
    recent: Mutex<VecDeque<HealthCheckResult>>,
    tasks: Mutex<HashMap<Arc<str>, CheckTask>>,
    /// Where checks run, by name, also while one that was taken away hangs.
    slots: Mutex<HashMap<Arc<str>, Weak<Slot>>>,
    recoveries: Recoveries,
    calls: Calls,
    pulse: Mutex<Option<AbortHandle>>,
    /// What listens for SIGHUP.
    hangup: Mutex<Option<AbortHandle>>,
    writer: Writer,
    /// The history's error when the component `history` was last told of it, if it was.
    history_error: Mutex<Option<Option<String>>>,
    events: broadcast::Sender<Event>,
    pub(super) registry: CircuitBreakerRegistry,
    listening: Mutex<Option<Subscription>>,
    running: AtomicBool,
    ending: Mutex<()>,
    /// The runtime that checks run on.
    runtime: Handle,
    draining: AtomicBool,
    /// Readiness is switched off by hand.
    switched_off: AtomicBool,
    fatal: Mutex<Option<String>>,
    /// Runs by hand that found no room for their component.
    unrecorded: AtomicU64,
    heartbeat: AtomicU64,
    /// The thread that it was started on.
    started_on: ThreadId,
    /// When a panic last unwound a handle on that thread, outside of any task; 0: never.
    unwound_at: AtomicU64,
    pub(super) audit: AuditTrail,
    /// How many things have happened that a status shows.
    revision: AtomicU64,
    past: Option<(Moment, bool)>,
    recovery: Option<RecoveryReport>,
}

/// The task of a check.
#[derive(Debug)]
struct CheckTask {
    handle: AbortHandle,
    orders: Arc<Orders>,
    tuned: Tuned,
}

pub(super) fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

impl Inner {
    pub(super) fn new(
        terms: Terms,
        settings: Settings,
        clock: Clock,
        registry: CircuitBreakerRegistry,
        mut history: History,
        runtime: Handle,
    ) -> Self {
        let floor = history.recovered.as_ref().and_then(|recovered| recovered.past.as_ref());
        let clock = SteadyClock::new(clock, floor.map(|past| past.last_sign));
        let (ledger, past) = history.take_ledger(clock.now());
        let recovery = history.recovered.map(|recovered| recovered.report);
        tracing::debug!(boot = %history.boot, ?recovery, "the monitor starts");
        Inner {
            terms,
            settings,
            heartbeat: AtomicU64::new(clock.tick().as_nanos()),
            clock,
            ledger: Mutex::new(ledger),
            recent: Mutex::default(),
            tasks: Mutex::default(),
            slots: Mutex::default(),
            recoveries: Recoveries::default(),
            calls: Calls::default(),
            pulse: Mutex::default(),
            hangup: Mutex::default(),
            writer: history.writer,
            history_error: Mutex::default(),
            events: broadcast::channel(EVENTS).0,
            registry,
            listening: Mutex::default(),
            running: AtomicBool::new(true),
            ending: Mutex::default(),
            runtime,
            draining: AtomicBool::new(false),
            switched_off: AtomicBool::new(false),
            fatal: Mutex::default(),
            unrecorded: AtomicU64::new(0),
            started_on: std::thread::current().id(),
            unwound_at: AtomicU64::new(0),
            audit: AuditTrail::default(),
            revision: AtomicU64::new(0),
            past,
            recovery,
        }
    }

    pub(super) fn past(&self) -> Option<(Moment, bool)> {
        self.past
    }

    pub(super) fn recovery(&self) -> Option<&RecoveryReport> {
        self.recovery.as_ref()
    }

    pub(super) fn keeps_history(&self) -> bool {
        self.terms.keeps_history
    }

    pub(super) fn write(&self, record: Record) {
        self.writer.send(self.clock.now(), record);
    }

    pub(super) fn writer(&self) -> &Writer {
        &self.writer
    }

    /// The time of day, and the monotonic time.
    pub(crate) fn moment(&self) -> (DateTime<Utc>, Tick) {
        (self.clock.now().to_datetime(), self.clock.tick())
    }

    pub(crate) fn elapsed_since(&self, tick: Tick) -> Duration {
        self.clock.tick().since(tick)
    }

    pub(super) fn uptime(&self) -> Duration {
        self.clock.tick().age()
    }

    /// Runs `work` on the ledger, with all that time alone has brought about since: what questions
    /// need, and the pulse does each second.
    pub(super) fn with_ledger<R>(&self, work: impl FnOnce(&mut Ledger, Moment) -> R) -> R {
        self.update(|ledger, now| {
            ledger.advance(now);
            work(ledger, now)
        })
    }

    /// Runs `work` on the ledger, and tells what follows from it: the history and the subscribers
    /// under the lock, so that both have one order, and telling them waits for nobody; the log after
    /// it, since what takes log lines is the user's.
    pub(super) fn update<R>(&self, work: impl FnOnce(&mut Ledger, Moment) -> R) -> R {
        let mut ledger = lock(&self.ledger);
        let jump = self.clock.follow_jump();
        if let Some((from, to)) = jump {
            ledger.skip(from, to);
        }
        let now = self.clock.now();
        let result = work(&mut ledger, now);
        let facts = ledger.take_facts();
        facts.iter().for_each(|fact| self.tell(fact, now));
        if jump.is_some() || !facts.is_empty() {
            self.changed();
        }
        drop(ledger);
        if let Some((from, to)) = jump {
            tracing::warn!(seconds = to.since(from) / 1000, "the clock jumped ahead");
        }
        facts.iter().for_each(log::fact);
        result
    }

    /// Something has happened that a status shows. Called once it is there to be seen: whoever then
    /// reads the new number (acquire) and looks, sees it.
    pub(super) fn changed(&self) {
        self.revision.fetch_add(1, Ordering::Release);
    }

    pub(super) fn revision(&self) -> u64 {
        self.revision.load(Ordering::Acquire)
    }

    fn tell(&self, fact: &Fact, now: Moment) {
        self.tell_history(fact, now);
        match fact.clone() {
            Fact::State { .. } => {}
            Fact::Status { component, from, to, error } => {
                self.announce(Event::StatusChanged { component, from, to, error });
            }
            Fact::Incident { step, incident } => self.announce(match step {
                IncidentStep::Opened => Event::IncidentOpened(incident),
                IncidentStep::Reopened => Event::IncidentReopened(incident),
                IncidentStep::Raised => Event::IncidentRaised(incident),
                IncidentStep::Adopted => Event::IncidentAdopted(incident),
                IncidentStep::Resolved => Event::IncidentResolved(incident),
            }),
            Fact::Maintenance { ended, maintenance } => self.announce(match ended {
                false => Event::MaintenanceBegan(maintenance),
                true => Event::MaintenanceEnded(maintenance),
            }),
            Fact::Flapping { component, ended: false } => {
                self.announce(Event::FlappingBegan { component });
            }
            Fact::Flapping { component, ended: true } => {
                self.announce(Event::FlappingEnded { component });
            }
            Fact::Started => self.announce(Event::Started),
        }
    }

    fn tell_history(&self, fact: &Fact, now: Moment) {
        let record = match fact.clone() {
            Fact::State { component, at, state } => Record::State { component, at, state },
            Fact::Incident { incident, .. } => Record::Incident { incident },
            Fact::Maintenance { maintenance, .. } => Record::Maintenance { maintenance },
            Fact::Status { .. } | Fact::Flapping { .. } | Fact::Started => return,
        };
        self.writer.send(now, record);
    }

    /// What the history has lost it is told again, so that the next process reads the truth.
    fn tell_again(&self) {
        let Some(since) = self.writer.take_lost_changes() else { return };
        self.with_ledger(|ledger, now| {
            let facts = ledger.told_again(since, now);
            facts.iter().for_each(|fact| self.tell_history(fact, now));
        });
        tracing::warn!(since = %since.to_datetime(), "what the history had lost was told again");
    }

    /// An error only says that nobody listens.
    pub(super) fn announce(&self, event: Event) {
        let _ = self.events.send(event);
    }

    pub(super) fn listen(&self) -> broadcast::Receiver<Event> {
        self.events.subscribe()
    }

    /// Somebody is about to run a check by hand. Gives how long it may take, and from when on it is
    /// slow; `None` where it is not to be recorded.
    pub(super) fn begin_by_hand(&self, name: &Arc<str>) -> Option<(Duration, Duration)> {
        if Self::is_reserved(name) {
            tracing::error!(%name, "a check by hand can't have this name: it is not recorded");
            return None;
        }
        let limit = AvailabilityMonitor::MAX_COMPONENTS_BY_HAND;
        let terms = self.update(|ledger, now| ledger.begin_by_hand(name, limit, now));
        // Relaxed: a number that guards no other memory.
        if terms.is_none() && self.unrecorded.fetch_add(1, Ordering::Relaxed) == 0 {
            tracing::error!(
                %name, limit,
                "there are too many components by hand: this one is not recorded, nor are others \
                 that are new; use fewer names, or unregister those that are done with"
            );
        }
        terms
    }

    /// How many runs by hand found no room for their component.
    pub(super) fn unrecorded(&self) -> u64 {
        self.unrecorded.load(Ordering::Relaxed)
    }

    /// A run has completed. Gives whether it left its component undecided: failing, and not yet
    /// down.
    pub(crate) fn record(&self, result: HealthCheckResult) -> bool {
        let name = result.component.clone();
        self.remember(result.clone());
        self.announce(Event::CheckCompleted(result.clone()));
        self.recoveries.checked(&result);
        self.update(|ledger, now| {
            ledger.record(result, now);
            ledger.is_undecided(&name)
        })
    }

    fn remember(&self, result: HealthCheckResult) {
        let mut recent = lock(&self.recent);
        if recent.len() == RECENT {
            recent.pop_front();
        }
        recent.push_back(result);
    }

    /// The latest results, newest first.
    pub(super) fn recent(&self, limit: usize) -> Vec<HealthCheckResult> {
        lock(&self.recent).iter().rev().take(limit).cloned().collect()
    }

    pub(super) fn join_breakers(&self, ledger: &mut Ledger, now: Moment) {
        for (component, critical) in self.registry.components() {
            ledger.join_breaker(&component, critical, now);
            // By settings from outside, which may be another monitor's.
            if ledger.breaker_weighs_otherwise(&component, critical) {
                let states = self.breaker_states(&component);
                ledger.weigh_breaker(&component, critical, &states, now);
            }
        }
    }

    /// Those of a component that are not closed.
    fn breaker_states(&self, component: &Arc<str>) -> Vec<BreakerState> {
        let of_it = self.registry.iter().filter(|breaker| breaker.component() == component);
        let states = of_it.map(|breaker| {
            let seen = breaker.metrics();
            let open_for = seen.retry_after_seconds.map(Duration::from_secs_f64);
            (seen.name, seen.state, open_for)
        });
        states.filter(|(_, state, _)| *state != CircuitState::Closed).collect()
    }

    /// Adds the calls that have ended since the last look, and the breakers that are new.
    pub(super) fn count_calls(&self) {
        let calls = self.calls.take_new(&self.registry);
        self.with_ledger(|ledger, now| {
            self.join_breakers(ledger, now);
            ledger.count_calls(&calls, now);
        });
    }

    /// Calls that ended before the monitor started are nobody's: another may have counted them.
    pub(super) fn pass_over_calls(&self) {
        self.calls.take_new(&self.registry);
    }

    /// Breakers that were open before anybody listened.
    pub(super) fn find_breakers(&self, ledger: &mut Ledger, now: Moment) {
        self.join_breakers(ledger, now);
        for breaker in &self.registry {
            let (name, seen) = (breaker.name().into(), breaker.metrics());
            let open_for = seen.retry_after_seconds.map(Duration::from_secs_f64);
            ledger.found_breaker(breaker.component(), &name, seen.state, open_for, now);
        }
    }

    fn breaker_changed(&self, event: &BreakerEvent) {
        // First what happened, then what follows from it.
        self.announce(Event::BreakerChanged(event.clone()));
        self.update(|ledger, now| ledger.breaker_changed(event, now));
    }

    /// Starts the tasks.
    pub(super) fn run(self: &Arc<Self>, checks: Vec<Tuned>) {
        let weak: Weak<Inner> = Arc::downgrade(self);
        let listening = self.registry.subscribe(move |event| {
            if let Some(inner) = weak.upgrade() {
                inner.breaker_changed(event);
            }
        });
        *lock(&self.listening) = Some(listening);
        for tuned in checks {
            self.schedule(tuned);
        }
        let end = EndOfRuntime { inner: self.clone() };
        let task = self.runtime.spawn(carry(async move { end.inner.pulse().await }));
        *lock(&self.pulse) = Some(task.abort_handle());
    }

    /// Starts the check's task, in place of one of the same name.
    pub(super) fn schedule(self: &Arc<Self>, tuned: Tuned) {
        let (check, orders) = (tuned.check.clone(), Arc::new(Orders::new(tuned.schedule)));
        let name = check.name.clone();
        let slot = self.slot(&name);
        let scheduled = Scheduled { check, slot, orders: orders.clone() };
        let task = keep_checking(self.clone(), scheduled);
        let handle = self.runtime.spawn(carry(task)).abort_handle();
        let mut tasks = lock(&self.tasks);
        if let Some(before) = tasks.insert(name.clone(), CheckTask { handle, orders, tuned }) {
            before.handle.abort();
        }
        // The end takes the tasks away under this lock: one that comes after it is taken here.
        if !self.is_running()
            && let Some(late) = tasks.remove(&name)
        {
            late.handle.abort();
        }
    }

    fn slot(&self, name: &Arc<str>) -> Arc<Slot> {
        let checks = lock(&self.tasks).len();
        let mut slots = lock(&self.slots);
        // Names may come and go for ever: those that are gone are swept out now and then.
        if slots.len() > 2 * checks + 64 {
            slots.retain(|_, slot| slot.strong_count() > 0);
        }
        let known = slots.get(name).and_then(Weak::upgrade);
        known.unwrap_or_else(|| {
            let slot = Arc::new(Slot::new(self.clock.tick()));
            slots.insert(name.clone(), Arc::downgrade(&slot));
            slot
        })
    }

    pub(super) fn unschedule(&self, name: &str) -> bool {
        let task = lock(&self.tasks).remove(name);
        task.as_ref().inspect(|task| task.handle.abort()).is_some()
    }

    /// Has a check of the schedule run now, or after the run that is under way. Gives how long a run
    /// may take; `None` where there is no such check.
    pub(super) fn wake(&self, name: &str) -> Option<Duration> {
        let tasks = lock(&self.tasks);
        let task = tasks.get(name)?;
        task.orders.run_now();
        Some(task.orders.schedule().timeout)
    }

    pub(super) fn record_audit(&self, mut record: AuditRecord) {
        record.timestamp = self.clock.now().to_datetime();
        tracing::warn!(
            actor = record.actor,
            action = record.action,
            target_name = record.target,
            reason = record.reason,
            until = record.until.map(tracing::field::display),
            caller = record.caller,
            "an operator did something"
        );
        self.write(Record::Audit { audit: record.clone() });
        self.audit.add(record);
    }

    #[cfg(test)]
    pub(super) fn known_slots(&self) -> usize {
        lock(&self.slots).len()
    }

    /// Every check that runs on a schedule runs now.
    #[cfg(test)]
    pub(super) fn run_all_now(&self) {
        lock(&self.tasks).values().for_each(|task| task.orders.run_now());
    }

    async fn pulse(&self) {
        let mut ticks = interval(PULSE);
        ticks.set_missed_tick_behavior(MissedTickBehavior::Delay);
        let mut told_at = self.clock.tick();
        let mut progress_at = told_at;
        loop {
            ticks.tick().await;
            // Relaxed: a number that guards no other memory.
            self.heartbeat.store(self.clock.tick().as_nanos(), Ordering::Relaxed);
            self.count_calls();
            self.report_history();
            self.report_unfit();
            self.tell_again();
            self.run_awaited_checks();
            let in_incident = self.with_ledger(|ledger, _| ledger.has_open_incident());
            let heartbeat = if in_incident { HEARTBEAT_IN_INCIDENT } else { HEARTBEAT };
            if self.elapsed_since(told_at) >= heartbeat {
                told_at = self.clock.tick();
                self.write(Record::Heartbeat);
            }
            if self.elapsed_since(progress_at) >= PROGRESS {
                progress_at = self.clock.tick();
                self.tell_progress();
            }
        }
    }

    /// Where a breaker's recovery check is due, that check runs now.
    fn run_awaited_checks(&self) {
        let tasks = lock(&self.tasks);
        let runs = |check: &Arc<str>| {
            let check = self.terms.renamed.get(check).unwrap_or(check);
            tasks.contains_key(check).then(|| check.clone())
        };
        let (now, _) = self.moment();
        for check in self.recoveries.look(&self.registry, runs, now) {
            if let Some(task) = tasks.get(&check) {
                task.orders.run_now();
            }
        }
    }

    fn tell_progress(&self) {
        self.count_calls();
        let (checks, calls) =
            self.with_ledger(|ledger, _| (ledger.take_untold(), ledger.take_untold_calls()));
        if !checks.is_empty() {
            self.write(Record::Checks { counts: checks });
        }
        if !calls.is_empty() {
            self.write(Record::Calls { counts: calls });
        }
    }

    /// Tells the component `history` how the history is doing, when that has changed.
    pub(super) fn report_history(&self) {
        if !self.keeps_history() {
            return;
        }
        let error = self.writer.status().error;
        let told = lock(&self.history_error).replace(error.clone());
        if told.as_ref() == Some(&error) {
            return;
        }
        let status = if error.is_some() { HealthStatus::Degraded } else { HealthStatus::Healthy };
        let result = HealthCheckResult {
            component: HISTORY.into(),
            status,
            latency: Duration::ZERO,
            timestamp: self.clock.now().to_datetime(),
            error,
            class: None,
            details: Map::new(),
        };
        self.with_ledger(|ledger, now| ledger.record(result, now));
    }

    pub(super) fn is_running(&self) -> bool {
        self.running.load(Ordering::Acquire)
    }

    pub(super) fn is_draining(&self) -> bool {
        self.draining.load(Ordering::Acquire)
    }

    pub(super) fn is_switched_off(&self) -> bool {
        self.switched_off.load(Ordering::Acquire)
    }

    pub(super) fn switch(&self, ready: bool) {
        if self.switched_off.swap(!ready, Ordering::AcqRel) == ready {
            self.changed();
            log::readiness(ready);
        }
    }

    /// Whether this monitor keeps a component of that name itself, or nobody can.
    pub(super) fn is_reserved(name: &str) -> bool {
        name.is_empty() || RESERVED.contains(&name)
    }

    pub(super) fn drain(&self) {
        if !self.draining.swap(true, Ordering::AcqRel) {
            self.changed();
            log::draining();
            self.registry.set_draining(true);
            self.announce(Event::Draining);
        }
    }

    /// A panic drops a handle. The runtime catches those of its tasks; one of the thread that the
    /// monitor was started on, outside of them, is that of `main`.
    pub(super) fn is_unwound(&self) {
        let here = std::thread::current().id() == self.started_on;
        if here && tokio::task::try_id().is_none() {
            // Relaxed: a number that guards no other memory.
            self.unwound_at.store(self.clock.tick().as_nanos(), Ordering::Relaxed);
        }
    }

    /// Whether a panic of `main` is why the runtime ends.
    fn is_ended_by_panic(&self) -> bool {
        let at = self.unwound_at.load(Ordering::Relaxed);
        let lately = || self.elapsed_since(Tick::from_nanos(at)) < UNWINDING;
        std::thread::panicking() || (at > 0 && lately())
    }

    pub(super) fn set_fatal(&self, reason: String) {
        log::fatal(&reason);
        *lock(&self.fatal) = Some(reason.clone());
        self.changed();
        self.announce(Event::Fatal { reason });
    }

    pub(super) fn fatal(&self) -> Option<String> {
        lock(&self.fatal).clone()
    }

    /// Whether the runtime still runs tasks. A monitor that was stopped says nothing of it.
    pub(super) fn runtime_answers(&self) -> bool {
        let heartbeat = Tick::from_nanos(self.heartbeat.load(Ordering::Relaxed));
        !self.is_running() || self.elapsed_since(heartbeat) < WEDGED_AFTER
    }

    /// The end: once, by whoever comes first; others wait for it. `clean`: whether the history is
    /// told that it ended.
    pub(super) fn end(&self, clean: bool) {
        let _ending = lock(&self.ending);
        if !self.running.swap(false, Ordering::AcqRel) {
            return;
        }
        self.changed();
        for (_, task) in lock(&self.tasks).drain() {
            task.handle.abort();
        }
        for task in [&self.pulse, &self.hangup] {
            if let Some(task) = lock(task).take() {
                task.abort();
            }
        }
        lock(&self.listening).take();
        self.tell_again();
        self.tell_progress();
        self.announce(Event::Stopped);
        let last = clean.then(|| (self.clock.now(), Record::Stop));
        self.writer.close(last, CLOSE_LIMIT);
    }
}

/// Lives in the pulse's task: dropped with it when the runtime shuts down, which is a clean stop,
/// unless a panic brought it about.
struct EndOfRuntime {
    inner: Arc<Inner>,
}

impl Drop for EndOfRuntime {
    fn drop(&mut self) {
        // Aborted by the end itself, it has nothing to add, and must not wait for it.
        if self.inner.is_running() {
            self.inner.end(!self.inner.is_ended_by_panic());
        }
    }
}
