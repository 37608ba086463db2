//! Who runs in which workload.

use crate::contender::Contender;
use crate::limits::{
    Bare, FullJob, FullJobCoarse, Limit, Load, LoadCounter, LoadCounterClock, Reject, RejectCoarse,
    SharedRing,
};
use crate::measure::Role::{self, Avail, Floor, Goal, Lesser, Peer};
use crate::measure::{Entry, Threads};
use crate::memory::{Footprint, footprint};
use crate::peers::{
    circuitbreaker_rs, execution_policy, failsafe, mutex_ring, nobreak, recloser, seatbelt,
    tower_resilience,
};
use crate::subject;

pub struct Workload {
    pub name: &'static str,
    pub title: &'static str,
    pub entries: fn() -> Vec<Entry>,
}

pub const WORKLOADS: &[Workload] = &[
    Workload {
        name: "async",
        title: "Closed, success, streak rule, async",
        entries: || streak(Form::Calls),
    },
    Workload { name: "sync", title: "Closed, success, streak rule, not async", entries: sync },
    Workload {
        name: "rates",
        title: "Closed, success, failure and slow-call rates with latency, async",
        entries: || rates(Form::Calls),
    },
    Workload {
        name: "threads-2",
        title: "Two threads on one breaker, streak rule, async",
        entries: || streak(Form::Threads(2)),
    },
    Workload {
        name: "threads-8",
        title: "Eight threads on one breaker, streak rule, async",
        entries: || streak(Form::Threads(8)),
    },
    Workload {
        name: "rates-threads-2",
        title: "Two threads on one breaker, rates, async",
        entries: || rates(Form::Threads(2)),
    },
    Workload {
        name: "rates-threads-8",
        title: "Eight threads on one breaker, rates, async",
        entries: || rates(Form::Threads(8)),
    },
    Workload {
        name: "mixed",
        title: "One call in ten fails, streak rule, async",
        entries: || streak(Form::Mixed),
    },
    Workload {
        name: "rates-mixed",
        title: "One call in ten fails, rates, async",
        entries: || rates(Form::Mixed),
    },
    Workload { name: "open", title: "Open, a rejection, async", entries: open },
    Workload {
        name: "registry",
        title: "The ways to a breaker of avail; closed, success, streak rule, async",
        entries: registry,
    },
];

/// Every name that can be asked for.
pub fn names() -> impl Iterator<Item = &'static str> {
    WORKLOADS.iter().map(|workload| workload.name).chain(["memory", "growth"])
}

/// How the async calls are made.
#[derive(Clone, Copy)]
enum Form {
    Calls,
    Threads(u64),
    Mixed,
    Open,
}

impl Form {
    fn entry<C>(self, name: &'static str, role: Role, contender: C) -> Entry
    where
        C: Contender + 'static,
    {
        match self {
            Form::Calls => Entry::calls(name, role, contender),
            Form::Threads(threads) => Entry::threads(name, role, Threads(threads), contender),
            Form::Mixed => Entry::mixed(name, role, contender),
            Form::Open => Entry::open(name, role, contender),
        }
    }
}

fn streak(form: Form) -> Vec<Entry> {
    let mut entries = vec![
        form.entry("bare", Floor, Bare),
        form.entry("load", Floor, Limit::new(Load::default())),
        form.entry("load-counter", Goal, Limit::new(LoadCounter::default())),
        form.entry("load-counter-clock", Floor, Limit::new(LoadCounterClock::default())),
    ];
    entries.extend(streak_peers(form));
    entries
}

fn streak_peers(form: Form) -> Vec<Entry> {
    vec![
        form.entry("avail", Avail, subject::streak("streak")),
        form.entry("mutex-ring", Peer, mutex_ring::streak()),
        form.entry("failsafe", Peer, failsafe::streak()),
        form.entry("nobreak", Peer, nobreak::streak()),
        form.entry("circuitbreaker-rs", Peer, circuitbreaker_rs::both()),
        form.entry("execution-policy", Peer, execution_policy::streak()),
        form.entry("tower-resilience", Peer, tower_resilience::streak()),
        form.entry("recloser", Lesser, recloser::rates()),
        form.entry("seatbelt", Lesser, seatbelt::rates()),
    ]
}

fn sync() -> Vec<Entry> {
    vec![
        Entry::sync_calls("bare", Floor, Bare),
        Entry::sync_calls("load", Floor, Limit::new(Load::default())),
        Entry::sync_calls("load-counter", Goal, Limit::new(LoadCounter::default())),
        Entry::sync_calls("load-counter-clock", Floor, Limit::new(LoadCounterClock::default())),
        Entry::sync_calls("avail", Avail, subject::streak("sync")),
        Entry::sync_calls("mutex-ring", Peer, mutex_ring::streak()),
        Entry::sync_calls("failsafe", Peer, failsafe::streak()),
        Entry::sync_calls("nobreak", Peer, nobreak::streak()),
        Entry::sync_calls("circuitbreaker-rs", Peer, circuitbreaker_rs::both()),
        Entry::sync_calls("recloser", Lesser, recloser::plain()),
    ]
}

fn rates(form: Form) -> Vec<Entry> {
    vec![
        form.entry("bare", Floor, Bare),
        form.entry("full-job", Goal, Limit::new(FullJob::default())),
        form.entry("full-job-coarse-clock", Floor, Limit::new(FullJobCoarse::default())),
        form.entry("full-job-shared-ring", Floor, Limit::new(SharedRing::default())),
        #[cfg(feature = "rules")]
        form.entry("avail", Avail, subject::rates("rates")),
        #[cfg(feature = "rules")]
        form.entry("avail-time-window", Avail, subject::rates_over_time("rates-over-time")),
        form.entry("mutex-ring", Peer, mutex_ring::rates()),
        form.entry("tower-resilience", Peer, tower_resilience::rates()),
        form.entry("failsafe", Lesser, failsafe::rates()),
        form.entry("recloser", Lesser, recloser::rates()),
        form.entry("circuitbreaker-rs", Lesser, circuitbreaker_rs::both()),
        form.entry("execution-policy", Lesser, execution_policy::rates()),
        form.entry("seatbelt", Lesser, seatbelt::rates()),
    ]
}

fn open() -> Vec<Entry> {
    let mut entries = vec![
        Form::Open.entry("load-clock", Goal, Limit::new(Reject::default())),
        Form::Open.entry("load-coarse-clock", Floor, Limit::new(RejectCoarse::default())),
    ];
    entries.extend(streak_peers(Form::Open));
    entries
}

fn registry() -> Vec<Entry> {
    vec![
        Entry::calls("avail", Goal, subject::streak("direct")),
        Entry::calls("avail-cached", Avail, subject::cached()),
        Entry::calls("avail-attribute", Avail, subject::Attribute),
        Entry::calls("avail-by-name", Floor, subject::by_name()),
    ]
}

pub fn footprints() -> Vec<Footprint> {
    vec![
        footprint("avail", subject::default),
        footprint("avail, other settings", subject::streak),
        #[cfg(feature = "rules")]
        footprint("avail, rates", subject::rates),
        #[cfg(feature = "rules")]
        footprint("avail, rates over time", subject::rates_over_time),
        footprint("mutex-ring", |_| mutex_ring::rates()),
        footprint("failsafe", |_| failsafe::streak()),
        footprint("failsafe, rates", |_| failsafe::rates()),
        footprint("nobreak", |_| nobreak::streak()),
        footprint("recloser", |_| recloser::rates()),
        footprint("circuitbreaker-rs", |_| circuitbreaker_rs::both()),
        footprint("execution-policy", |_| execution_policy::streak()),
        footprint("seatbelt", |_| seatbelt::rates()),
        footprint("tower-resilience", |_| tower_resilience::streak()),
        footprint("tower-resilience, rates", |_| tower_resilience::rates()),
    ]
}
