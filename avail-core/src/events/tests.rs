//! With a subscriber that keeps every line of this thread, whatever its target.

use std::collections::BTreeMap;
use std::fmt;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use tracing::Level;
use tracing::field::{Field, Visit};
use tracing::subscriber::DefaultGuard;

use super::TARGET;
use crate::listening::hear_every_thread;
use crate::testing::isolated;
use crate::{
    AvailabilityMonitor, CircuitBreaker, CircuitBreakerConfig, CircuitBreakerRegistry, Health,
    HealthCheck, Mode, Override, OverrideOptions,
};

/// The tables, and the code.
const SOURCE: &str = include_str!("mod.rs");

/// A line: its level, its name, and its fields as `name=value`, but for `event`, which must be the
/// name, and the message, which must be there.
#[derive(Debug, PartialEq)]
pub(crate) struct Line {
    pub(crate) level: Level,
    pub(crate) name: &'static str,
    pub(crate) fields: BTreeMap<&'static str, String>,
}

#[derive(Clone, Default)]
pub(crate) struct Lines(Arc<Mutex<Vec<Line>>>);

impl Lines {
    pub(crate) fn listen() -> (Self, DefaultGuard) {
        hear_every_thread();
        let lines = Lines::default();
        let guard = tracing::subscriber::set_default(lines.clone());
        (lines, guard)
    }

    pub(crate) fn take(&self) -> Vec<Line> {
        std::mem::take(&mut *self.0.lock().expect("nothing panics under it"))
    }

    fn names(&self) -> Vec<&'static str> {
        self.take().into_iter().map(|line| line.name).collect()
    }
}

impl tracing::Subscriber for Lines {
    fn enabled(&self, _: &tracing::Metadata<'_>) -> bool {
        true
    }

    fn new_span(&self, _: &tracing::span::Attributes<'_>) -> tracing::span::Id {
        tracing::span::Id::from_u64(1)
    }

    fn record(&self, _: &tracing::span::Id, _: &tracing::span::Record<'_>) {}

    fn record_follows_from(&self, _: &tracing::span::Id, _: &tracing::span::Id) {}

    fn event(&self, event: &tracing::Event<'_>) {
        let metadata = event.metadata();
        let mut fields = Fields::default();
        event.record(&mut fields);
        let Fields(mut fields) = fields;
        let said = fields.remove("event");
        if metadata.target() == TARGET {
            assert_eq!(said.as_deref(), Some(metadata.name()));
            assert!(fields.remove("message").is_some_and(|message| !message.is_empty()));
            for field in fields.keys() {
                assert!(SOURCE.contains(&format!("`{field}`")), "{field} is in no table");
            }
        }
        if metadata.target() == TARGET || *metadata.level() <= Level::INFO {
            let line = Line { level: *metadata.level(), name: metadata.name(), fields };
            self.0.lock().expect("nothing panics under it").push(line);
        }
    }

    fn enter(&self, _: &tracing::span::Id) {}

    fn exit(&self, _: &tracing::span::Id) {}
}

#[derive(Default)]
struct Fields(BTreeMap<&'static str, String>);

impl Visit for Fields {
    fn record_debug(&mut self, field: &Field, value: &dyn fmt::Debug) {
        // No field here is of such a type, but for the message.
        self.0.insert(field.name(), format!("debug {value:?}"));
    }

    fn record_str(&mut self, field: &Field, value: &str) {
        self.0.insert(field.name(), value.to_owned());
    }

    fn record_u64(&mut self, field: &Field, value: u64) {
        self.0.insert(field.name(), format!("{value}u64"));
    }

    fn record_f64(&mut self, field: &Field, value: f64) {
        self.0.insert(field.name(), format!("{value:?}"));
    }

    fn record_bool(&mut self, field: &Field, value: bool) {
        self.0.insert(field.name(), value.to_string());
    }
}

pub(crate) fn line<const N: usize>(
    level: Level,
    name: &'static str,
    fields: [(&'static str, &str); N],
) -> Line {
    let fields = fields.map(|(name, value)| (name, value.to_owned()));
    Line { level, name, fields: BTreeMap::from(fields) }
}

#[test]
fn each_change_of_a_breaker_is_one_event() {
    let _isolated = isolated();
    let (lines, _guard) = Lines::listen();
    let config = CircuitBreakerConfig::builder().failure_threshold(1).critical(true).build();
    let breaker = CircuitBreaker::new("db", config.expect("it is in order"));
    breaker.reset();
    assert_eq!(lines.take(), [], "it was closed already");
    breaker.acquire().expect("it is closed").failure();
    let opened = [
        ("breaker", "db"),
        ("component", "db"),
        ("critical", "true"),
        ("sequence", "2u64"),
        ("from", "closed"),
        ("to", "open"),
        ("cause", "opened"),
        ("rule", "consecutive_failures"),
        ("open_seconds", "60.0"),
    ];
    assert_eq!(lines.take(), [line(Level::WARN, "breaker_tripped", opened)]);

    let mut options = OverrideOptions::reason("moving");
    options.actor = "anna".into();
    options.ttl = Some(Duration::from_secs(90));
    breaker.set_override(Override::ForcedOpen, options);
    let overridden = [
        ("breaker", "db"),
        ("component", "db"),
        ("critical", "true"),
        ("sequence", "3u64"),
        ("from", "open"),
        ("to", "open"),
        ("cause", "overridden"),
        ("kind", "forced_open"),
        ("actor", "anna"),
        ("reason", "moving"),
        ("ttl_seconds", "90.0"),
    ];
    assert_eq!(lines.take(), [line(Level::WARN, "breaker_overridden", overridden)]);

    breaker.clear_override();
    breaker.trip();
    breaker.reset();
    breaker.set_override(Override::Shadow, OverrideOptions::reason("trying"));
    breaker.acquire().expect("it only watches").failure();
    assert_eq!(
        lines.names(),
        [
            "breaker_override_ended",
            "breaker_tripped",
            "breaker_changed",
            "breaker_overridden",
            "breaker_would_trip"
        ]
    );
}

#[test]
fn the_switch_for_all_breakers_is_one_event_and_one_for_each_that_changes_by_it() {
    let _isolated = isolated();
    let registry = CircuitBreakerRegistry::global();
    registry.get_or_create("closed");
    registry.get_or_create("open").trip();
    let (lines, _guard) = Lines::listen();
    crate::set_mode(Mode::Off);
    let [all, changed] = <[Line; 2]>::try_from(lines.take()).expect("two");
    let switched = [("from", "on"), ("to", "off")];
    assert_eq!(all, line(Level::WARN, "breakers_mode_set", switched));
    assert_eq!((changed.level, changed.name), (Level::INFO, "breaker_changed"));
    assert_eq!((&*changed.fields["breaker"], &*changed.fields["cause"]), ("open", "mode"));
}

async fn monitor() -> AvailabilityMonitor {
    let monitor = AvailabilityMonitor::builder().discover(false);
    monitor.breakers(CircuitBreakerRegistry::new()).start().await.expect("it starts")
}

async fn look(monitor: &AvailabilityMonitor, name: &str, health: Result<(), &'static str>) {
    monitor.check_health(name, || async move { health }).await;
    tokio::time::sleep(Duration::from_secs(1)).await;
}

#[tokio::test(start_paused = true)]
async fn an_incident_is_told_with_all_that_is_known_of_it() {
    let _isolated = isolated();
    let monitor = monitor().await;
    let (lines, _guard) = Lines::listen();
    look(&monitor, "cache", Err("refused")).await;
    let seen = monitor.active_incidents();
    let [incident] = &seen[..] else { panic!("{seen:?}") };
    let start = super::time(incident.start_time);
    let mut fields = vec![
        ("incident", &*incident.id),
        ("component", "cache"),
        ("severity", "major"),
        ("class", "failed"),
        ("error", "refused"),
        ("failures", "1u64"),
        ("start_time", &start),
        ("duration_seconds", "0.0"),
    ];
    let told = lines.take();
    let is_incident = |line: &&Line| line.name.starts_with("incident");
    let opened: Vec<_> = told.iter().filter(is_incident).collect();
    let expected = |name, fields: &[(&'static str, &str)], level| Line {
        level,
        name,
        fields: fields.iter().map(|(name, value)| (*name, (*value).to_owned())).collect(),
    };
    assert_eq!(opened, [&expected("incident_opened", &fields, Level::WARN)]);
    let changed =
        [("component", "cache"), ("from", "unknown"), ("to", "unhealthy"), ("error", "refused")];
    assert!(told.contains(&line(Level::INFO, "status_changed", changed)), "{told:?}");

    look(&monitor, "cache", Ok(())).await;
    *fields.last_mut().expect("the duration") = ("duration_seconds", "1.0");
    let told = lines.take();
    let resolved: Vec<_> = told.iter().filter(is_incident).collect();
    assert_eq!(resolved, [&expected("incident_resolved", &fields, Level::INFO)]);
    let changed = [("component", "cache"), ("from", "unhealthy"), ("to", "healthy")];
    assert!(told.contains(&line(Level::INFO, "status_changed", changed)), "{told:?}");
}

#[tokio::test(start_paused = true)]
async fn an_incident_that_gets_worse_comes_again_or_follows_from_another_says_so() {
    let _isolated = isolated();
    let monitor = monitor().await;
    let (lines, _guard) = Lines::listen();
    let breaker = monitor.breakers().get_or_create("pool");
    breaker.trip();
    look(&monitor, "pool", Err("refused")).await;
    breaker.reset();
    look(&monitor, "pool", Ok(())).await;
    look(&monitor, "pool", Err("refused")).await;
    let incidents = |names: Vec<&'static str>| -> Vec<_> {
        names.into_iter().filter(|name| name.starts_with("incident")).collect()
    };
    assert_eq!(
        incidents(lines.names()),
        ["incident_opened", "incident_raised", "incident_resolved", "incident_reopened"]
    );

    monitor.check_health("parent", || async {}).await;
    let child = HealthCheck::new("child", || async { Health::unhealthy("refused") });
    monitor.register(child.depends_on(["parent"])).expect("it is new");
    tokio::time::sleep(Duration::from_secs(1)).await;
    look(&monitor, "parent", Err("refused")).await;
    let parents = monitor.active_incidents();
    let parent = parents.iter().find(|one| &*one.component == "parent").expect("it is down");
    let told = lines.take();
    let adopted = told.iter().find(|line| line.name == "incident_adopted");
    let adopted = adopted.unwrap_or_else(|| panic!("{told:?}"));
    assert_eq!(adopted.fields["parent"], *parent.id);
}

#[tokio::test(start_paused = true)]
async fn what_operators_do_is_told_in_their_words() {
    let _isolated = isolated();
    let monitor = monitor().await;
    look(&monitor, "cache", Ok(())).await;
    let (lines, _guard) = Lines::listen();
    let hour = Duration::from_secs(3_600);
    let announced = monitor.maintenance("cache", hour, "a new disk").expect("it is known");
    let [start, end] = [announced.start_time, announced.end_time].map(super::time);
    let began = [
        ("component", "cache"),
        ("start_time", &*start),
        ("end_time", &end),
        ("reason", "a new disk"),
    ];
    assert_eq!(lines.take(), [line(Level::INFO, "maintenance_began", began)]);
    monitor.end_maintenance("cache");
    monitor.maintenance(None, hour, "moving").expect("always");
    monitor.set_ready(false);
    monitor.drain();
    monitor.fatal("out of ideas");
    let [ended, all, switched, draining, fatal] =
        <[Line; 5]>::try_from(lines.take()).expect("five");
    assert_eq!(ended.name, "maintenance_ended");
    assert_eq!((all.name, all.fields.get("component")), ("maintenance_began", None));
    assert_eq!(switched, line(Level::INFO, "readiness_switched", [("ready", "false")]));
    assert_eq!(draining, line(Level::INFO, "draining", []));
    assert_eq!(fatal, line(Level::ERROR, "fatal", [("reason", "out of ideas")]));
}

#[tokio::test(start_paused = true)]
async fn the_start_and_flapping_are_told() {
    let _isolated = isolated();
    let (lines, _guard) = Lines::listen();
    let monitor = monitor().await;
    monitor.register(HealthCheck::new("db", || async { true })).expect("it is new");
    tokio::time::sleep(Duration::from_secs(1)).await;
    for run in 0..8 {
        look(&monitor, "cache", if run % 2 == 0 { Err("refused") } else { Ok(()) }).await;
    }
    tokio::time::sleep(Duration::from_secs(1_200)).await;
    let told = lines.take();
    let flapping: Vec<_> = told.iter().filter(|line| line.name.starts_with("flapping")).collect();
    assert_eq!(
        flapping,
        [
            &line(Level::WARN, "flapping_began", [("component", "cache")]),
            &line(Level::INFO, "flapping_ended", [("component", "cache")])
        ]
    );
    assert!(told.contains(&line(Level::INFO, "started", [])), "{told:?}");
}

#[test]
fn every_event_stands_in_the_table() {
    let (docs, code) = SOURCE.split_once("use std::fmt::Display;").expect("both are there");
    let mut names: Vec<_> =
        code.split("\"").filter(|text| text.contains('_') || *text == "draining").collect();
    names.retain(|name| name.chars().all(|c| c.is_ascii_lowercase() || c == '_'));
    assert!(names.len() >= 20, "{names:?}");
    for name in names {
        assert!(docs.contains(&format!("//! | `{name}` | ")), "{name}");
    }
}
