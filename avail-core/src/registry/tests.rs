use std::time::Duration;

use super::*;
use crate::site::{BreakerSettings, BreakerSite, Declaration};
use crate::{CircuitState, MonitorError, Outcome};

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
fn a_breaker_that_was_reconfigured_is_found_by_the_settings_that_declared_it() {
    let registry = CircuitBreakerRegistry::new();
    let breaker = registry.get_or_create_with("storage", config()).expect("it is new");
    breaker.reconfigure(CircuitBreakerConfig::default()).expect("valid");
    let again = registry.get_or_create_with("storage", config()).expect("it is declared so");
    assert!(again.is_same_as(&breaker));
    assert_eq!(*again.config(), CircuitBreakerConfig::default());

    let other = registry.get_or_create_with("storage", CircuitBreakerConfig::default());
    let message = other.expect_err("nobody declared it so").to_string();
    assert!(message.contains("failure_threshold: Some(1)"), "{message}");
}

const DECLARED: Declaration = Declaration::new(
    Origin::new("storage", "fetch", "src/storage.rs", 12),
    Some("storage"),
    BreakerSettings::new().failure_threshold(3),
);

static SITE: Declaration = DECLARED;
static CALLED: BreakerSite = BreakerSite::new(DECLARED);

fn attach(registry: &CircuitBreakerRegistry) -> CircuitBreaker {
    registry.attach("storage".into(), &SITE)
}

#[test]
fn an_attribute_finds_what_was_made_by_hand_with_the_same_settings() {
    let registry = CircuitBreakerRegistry::new();
    let by_hand = registry.get_or_create_with("storage", SITE.settings().config());
    assert!(attach(&registry).is_same_as(&by_hand.expect("it is new")));
    assert_eq!(registry.conflicts(), []);
}

#[test]
fn an_attribute_goes_on_finding_its_breaker_after_a_reconfiguration() {
    let registry = CircuitBreakerRegistry::new();
    attach(&registry).reconfigure(config()).expect("valid");
    assert_eq!(*attach(&registry).config(), config());
    assert_eq!(registry.conflicts(), []);
}

#[test]
fn an_attribute_that_differs_from_what_was_made_by_hand_is_reported_once_with_its_place() {
    let registry = CircuitBreakerRegistry::new();
    let by_hand = registry.get_or_create_with("storage", config()).expect("it is new");
    for _ in 0..2 {
        assert!(attach(&registry).is_same_as(&by_hand));
    }
    let conflicts = registry.conflicts();
    assert_eq!(conflicts.len(), 1);
    let message = MonitorError::from(conflicts[0].clone()).to_string();
    let start = "circuit breaker `storage` is declared at src/storage.rs:12 \
                 (`storage::fetch`), and was made by hand before with other settings: \
                 CircuitBreakerConfig { failure_threshold: Some(1)";
    assert!(message.starts_with(start), "{message}");
}

#[test]
fn what_differs_from_an_attribute_is_told_its_place() {
    let registry = CircuitBreakerRegistry::new();
    attach(&registry);
    let error = registry.get_or_create_with("storage", config()).expect_err("it differs");
    let place = "declared at src/storage.rs:12 (`storage::fetch`)";
    assert!(error.to_string().contains(place), "{error}");
}

static FAMILY: Declaration = Declaration::new(
    Origin::new("storage", "fetch_for", "src/storage.rs", 30),
    Some("storage"),
    BreakerSettings::new().failure_threshold(1),
)
.keyed(2);

/// What is spelled out as it would be anyway makes no difference.
static SAME_FAMILY: Declaration = Declaration::new(
    Origin::new("storage", "store_for", "src/storage.rs", 40),
    Some("storage"),
    BreakerSettings::new().failure_threshold(1).success_threshold(2).critical(false),
)
.keyed(2);

static LARGER_FAMILY: Declaration = Declaration::new(
    Origin::new("storage", "drop_for", "src/storage.rs", 50),
    Some("storage"),
    BreakerSettings::new().failure_threshold(1),
)
.keyed(3);

#[test]
fn attributes_that_declare_the_same_family_share_it() {
    let registry = CircuitBreakerRegistry::new();
    let [first, second] =
        [&FAMILY, &SAME_FAMILY].map(|one| registry.attach_family("storage".into(), one));
    first.get("a").trip();
    assert_eq!(second.get("a").state(), CircuitState::Open);
    assert_eq!(registry.components(), [("storage".into(), false)]);
    assert_eq!(registry.conflicts(), []);
}

#[test]
fn a_family_of_another_size_and_a_breaker_of_its_name_are_conflicts_that_name_both_places() {
    let cases = [
        (&LARGER_FAMILY, "src/storage.rs:50 (`storage::drop_for`)"),
        (&SITE, "src/storage.rs:12 (`storage::fetch`)"),
    ];
    for (other, place) in cases {
        let registry = CircuitBreakerRegistry::new();
        registry.attach_family("storage".into(), &FAMILY);
        if other.max_keys().is_some() {
            registry.attach_family("storage".into(), other);
        } else {
            registry.attach("storage".into(), other);
        }
        let [conflict] = &registry.conflicts()[..] else { panic!("one conflict") };
        let message = MonitorError::from(conflict.clone()).to_string();
        let expected = format!(
            "circuit breaker `storage` is declared at src/storage.rs:30 (`storage::fetch_for`) and \
             at {place}, with other settings; make them the same, or give one another name"
        );
        assert_eq!(message, expected);
    }
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

#[test]
fn one_name_and_the_same_settings_are_one_family() {
    let registry = CircuitBreakerRegistry::new();
    let first = registry.family("tenants", config(), 2).expect("it is new");
    first.get("acme").trip();
    let again = registry.clone().family("tenants", config(), 2).expect("it is the same");
    assert_eq!((again.get("acme").state(), again.len()), (CircuitState::Open, 1));
    drop(first);
    let later = registry.family("tenants", config(), 2).expect("it is the same");
    assert_eq!(later.len(), 1, "it is kept while nobody holds it");
    let _held = ["acme", "globex"].map(|key| later.get(key));
    assert_eq!(again.get("initech").name(), "tenants[*]", "there is room for two, whoever asks");
}

#[test]
fn of_many_threads_that_ask_for_one_family_all_get_the_same() {
    let registry = CircuitBreakerRegistry::new();
    std::thread::scope(|scope| {
        for thread in 0..8 {
            let registry = &registry;
            scope.spawn(move || {
                let family = registry.family("tenants", config(), 8).expect("one declaration");
                family.get(&thread.to_string());
            });
        }
    });
    assert_eq!(registry.family("tenants", config(), 8).expect("the same").len(), 8);
}

#[test]
fn a_family_that_differs_is_an_error_that_names_what_there_is() {
    let registry = CircuitBreakerRegistry::new();
    registry.family("tenants", config(), 2).expect("it is new");
    let others = [(CircuitBreakerConfig::default(), 2), (config(), 3)];
    for (other, max_keys) in others {
        let error = registry.family("tenants", other, max_keys).expect_err("it differs");
        let message = error.to_string();
        let start = "circuit breaker `tenants` exists with other settings \
                     (a family of at most 2, each CircuitBreakerConfig { failure_threshold: Some(1)";
        assert!(message.starts_with(start), "{message}");
    }
}

#[test]
fn a_name_is_a_breakers_or_a_familys() {
    let registry = CircuitBreakerRegistry::new();
    registry.family("tenants", config(), 2).expect("it is new");
    let error = registry.get_or_create_with("tenants", config()).expect_err("a family has it");
    assert!(error.to_string().contains("a family of at most 2"), "{error}");
    assert!(registry.get("tenants").is_none());

    registry.get_or_create_with("storage", config()).expect("it is new");
    let error = registry.family("storage", config(), 2).expect_err("a breaker has it");
    assert!(error.to_string().contains("(CircuitBreakerConfig { failure_threshold"), "{error}");
    assert_eq!(registry.family("others", config(), 2).map(|family| family.len()), Ok(0));
}

#[test]
fn an_attribute_whose_name_is_a_familys_is_reported_and_has_a_breaker_of_its_own() {
    let registry = CircuitBreakerRegistry::new();
    let family = registry.family("storage", config(), 2).expect("it is new");
    attach(&registry).trip();
    assert_eq!(family.get("acme").state(), CircuitState::Closed);
    let conflicts = registry.conflicts();
    let [conflict] = conflicts.as_slice() else { panic!("{conflicts:?}") };
    let message = MonitorError::from(conflict.clone()).to_string();
    assert!(message.contains("src/storage.rs:12") && message.contains("a family of"), "{message}");
}

#[tokio::test]
async fn a_breaker_of_a_registry_works_as_any_other() {
    let registry = CircuitBreakerRegistry::new();
    let breaker = registry.get_or_create_with("storage", config()).expect("it is new");
    let result = breaker.call_classified(|| async { 503 }, |_| Outcome::Failure).await;
    assert_eq!((result, breaker.state()), (Ok(503), CircuitState::Open));
    assert!(breaker.acquire().expect_err("open").retry_after() > Some(Duration::from_secs(59)));
}

/// A site that the linker dropped is attached at its first call, and thus after what was made by
/// hand.
#[cfg(feature = "test-util")]
#[tokio::test(start_paused = true)]
async fn a_monitor_does_not_start_where_an_attribute_differs_from_what_was_made_by_hand() {
    let _isolated = crate::testing::isolated();
    let registry = CircuitBreakerRegistry::global();
    registry.get_or_create_with("storage", config()).expect("it is new");
    assert!(CALLED.breaker().call_sync(|| Err::<(), _>("refused")).is_err());
    let started = crate::AvailabilityMonitor::builder().discover(false).start().await;
    let error = started.expect_err("they contradict");
    let MonitorError::BreakerMadeByHand { name, origin, .. } = &error else { panic!("{error}") };
    assert_eq!((&**name, **origin), ("storage", SITE.origin()));
}

/// Takes log lines, and asks for the conflicts at each.
struct AsksForConflicts(CircuitBreakerRegistry, Arc<Mutex<Vec<usize>>>);

impl tracing::Subscriber for AsksForConflicts {
    fn enabled(&self, _: &tracing::Metadata<'_>) -> bool {
        true
    }

    fn new_span(&self, _: &tracing::span::Attributes<'_>) -> tracing::span::Id {
        tracing::span::Id::from_u64(1)
    }

    fn record(&self, _: &tracing::span::Id, _: &tracing::span::Record<'_>) {}

    fn record_follows_from(&self, _: &tracing::span::Id, _: &tracing::span::Id) {}

    fn event(&self, _: &tracing::Event<'_>) {
        let free = self.0.inner.conflicts.try_lock().map(|conflicts| conflicts.len());
        self.1.lock().expect("nothing panics under it").push(free.unwrap_or(usize::MAX));
    }

    fn enter(&self, _: &tracing::span::Id) {}

    fn exit(&self, _: &tracing::span::Id) {}
}

#[test]
fn whoever_takes_the_log_line_of_a_conflict_may_ask_the_registry() {
    let registry = CircuitBreakerRegistry::new();
    registry.get_or_create_with("storage", config()).expect("it is new");
    let seen: Arc<Mutex<Vec<usize>>> = Arc::default();
    let asks = AsksForConflicts(registry.clone(), seen.clone());
    crate::listening::hear_every_thread();
    tracing::subscriber::with_default(asks, || attach(&registry));
    assert_eq!(*seen.lock().expect("nothing panics under it"), [1]);
}

#[test]
fn settings_for_a_family_are_looked_at_before_it_has_a_member() {
    let registry = CircuitBreakerRegistry::new();
    registry.attach_family("tenants".into(), &FAMILY);
    registry.family("shards", config(), 2).expect("it is new");
    let names = registry.names();
    assert!(["tenants", "shards"].iter().all(|name| names.contains(*name)), "{names:?}");
    for name in ["tenants", "shards"] {
        let text = format!("breaker.{name} = {{ failure_rate = 0.5, window = 2 }}");
        let message = registry.fits(&overlay(&text)).expect_err("never 10 in 2").to_string();
        assert!(message.contains(&format!("circuit breaker `{name}`: `min_calls`")), "{message}");
    }
}

#[test]
fn a_family_without_members_is_as_critical_as_settings_from_outside_say() {
    let registry = CircuitBreakerRegistry::new();
    let is_critical = |registry: &CircuitBreakerRegistry| {
        registry.components().into_iter().find(|(name, _)| &**name == "tenants").map(|one| one.1)
    };
    registry.attach_family("tenants".into(), &FAMILY);
    registry.lay(&overlay("breaker.tenants.critical = true"));
    assert_eq!(is_critical(&registry), Some(true));
    registry.lay(&overlay(""));
    assert_eq!(is_critical(&registry), Some(false));

    let later = CircuitBreakerRegistry::new();
    later.lay(&overlay("breaker.tenants.critical = true"));
    later.attach_family("tenants".into(), &FAMILY);
    assert_eq!(is_critical(&later), Some(true));
}

/// What a file of that text says.
fn overlay(text: &str) -> Arc<Overlay> {
    let path: Arc<std::path::Path> = std::path::Path::new("avail.toml").into();
    Arc::new(Overlay::read(Some((&path, text)), []).expect("valid"))
}

#[test]
fn settings_from_outside_hold_for_what_is_there_and_for_what_comes() {
    let registry = CircuitBreakerRegistry::new();
    let before = registry.get_or_create_with("before", config()).expect("new");
    let changed = registry.lay(&overlay("defaults.breaker.min_calls = 3"));
    assert_eq!(changed.len(), 1);
    assert_eq!(changed[0].to_string(), "circuit breaker `before`: min_calls 10 to 3");
    let after = registry.get_or_create_with("after", config()).expect("new");
    assert_eq!((before.config().min_calls, after.config().min_calls), (3, 3));
    // Code that declares them goes on finding them.
    for name in ["before", "after"] {
        assert!(registry.get_or_create_with(name, config()).is_ok());
    }
    let other = registry.get_or_create_with("after", (*after.config()).clone());
    assert!(other.is_err(), "nobody declared it so");
    registry.lay(&overlay(""));
    assert_eq!((*before.config()).clone(), config());
}

#[test]
fn a_breaker_that_is_made_while_they_change_is_not_passed_over() {
    const THREADS: u32 = 4;
    const EACH: u32 = 500;
    let registry = CircuitBreakerRegistry::new();
    std::thread::scope(|scope| {
        for thread in 0..THREADS {
            let registry = registry.clone();
            scope.spawn(move || {
                for number in 0..EACH {
                    registry.get_or_create(format!("{thread}-{number}"));
                }
            });
        }
        for min_calls in 1..=20 {
            registry.lay(&overlay(&format!("defaults.breaker.min_calls = {min_calls}")));
        }
    });
    assert_eq!(registry.iter().count(), (THREADS * EACH) as usize);
    assert!(registry.iter().all(|breaker| breaker.config().min_calls == 20));
}

#[test]
fn an_annotated_function_is_cut_off_where_it_can_be() {
    const SECOND: Option<Duration> = Some(Duration::from_secs(1));
    let registry = CircuitBreakerRegistry::new();
    let async_one = attach(&registry);
    let sync_one = registry.attach("sync".into(), &UNCUT);
    registry.lay(&overlay("defaults.breaker.call_timeout = 1"));
    assert_eq!(async_one.config().call_timeout, SECOND);
    assert_eq!(sync_one.config().call_timeout, None);
    assert!(registry.fits(&overlay("breaker.storage.call_timeout = 1")).is_ok());
    assert!(registry.fits(&overlay("breaker.sync.call_timeout = 1")).is_err());
    // A second function of that name, which can't.
    registry.attach("storage".into(), &UNCUT);
    let refused = registry.fits(&overlay("breaker.storage.call_timeout = 1"));
    let message = refused.expect_err("not for both").to_string();
    assert!(message.contains("src/sync.rs:3 (`sync::read`) returns no future"), "{message}");
}

static UNCUT: Declaration = Declaration::new(
    Origin::new("sync", "read", "src/sync.rs", 3),
    Some("sync"),
    BreakerSettings::new().failure_threshold(3),
)
.uncut(Uncut::Value);
