//! What a file and the environment come to.

mod messages;
mod page;

use std::collections::BTreeSet;
use std::time::Duration;

use proptest::prelude::*;

use super::keys::Configured;
use super::*;
use crate::breaker::{CancelFailure, CircuitBreakerConfig, RateWindow};
use crate::health::{HealthCheck, Probe};
use crate::site::{Origin, Uncut};

const INTERVAL: Duration = Duration::from_secs(30);

fn seconds(seconds: u64) -> Duration {
    Duration::from_secs(seconds)
}

fn read(file: &str, variables: &[(&str, &str)]) -> Result<Overlay, SettingsError> {
    let path: Arc<Path> = Path::new("avail.toml").into();
    let variables = variables.iter().map(|(name, value)| ((*name).into(), (*value).into()));
    Overlay::read(Some((&path, file)), variables)
}

fn member<'a>(
    name: &'a str,
    component: &'a str,
    declared: &'a CircuitBreakerConfig,
) -> Subject<'a> {
    Subject { name, component, declared, uncut: None }
}

fn subject<'a>(name: &'a str, declared: &'a CircuitBreakerConfig) -> Subject<'a> {
    member(name, name, declared)
}

fn breaker(overlay: &Overlay, name: &str) -> CircuitBreakerConfig {
    overlay.breaker(subject(name, &CircuitBreakerConfig::default())).expect("valid")
}

fn check(overlay: &Overlay, name: &str) -> HealthCheck {
    let declared = HealthCheck::new(name, || async {});
    overlay.tune(declared, INTERVAL).map(|tuned| tuned.check).expect("valid")
}

#[test]
fn every_key_of_a_breaker_can_be_given_in_the_file() {
    let overlay = read(
        r#"
        [breaker.storage]
        failure_threshold = 10
        success_threshold = 3
        timeout = "1m 30s"
        reset_timeout = 600
        failure_rate = "50%"
        slow_call_rate = 0.9
        slow_call = 0.5
        slow_in_flight = true
        window = "30s"
        min_calls = 20
        call_timeout = "2s"
        probe_timeout = "30s"
        cancel_failure_after = "never"
        max_timeout = "10m"
        half_open_max_calls = 2
        backoff = 2
        jitter = 0.2
        recovery_check = "storage"
        critical = true
        shadow = true
        "#,
        &[],
    );
    let config = breaker(&overlay.expect("valid"), "storage");
    let expected = CircuitBreakerConfig {
        failure_threshold: Some(10),
        success_threshold: 3,
        timeout: seconds(90),
        reset_timeout: seconds(600),
        failure_rate: Some(0.5),
        slow_call_rate: Some(0.9),
        slow_call: Some(Duration::from_millis(500)),
        slow_in_flight: true,
        window: RateWindow::Time(seconds(30)),
        min_calls: 20,
        call_timeout: Some(seconds(2)),
        probe_timeout: Some(seconds(30)),
        cancel_failure_after: CancelFailure::Never,
        max_timeout: Some(seconds(600)),
        half_open_max_calls: 2,
        backoff: 2.0,
        jitter: Some(0.2),
        recovery_check: Some("storage".into()),
        critical: true,
        shadow: true,
        ..CircuitBreakerConfig::default()
    };
    assert_eq!(config, expected);
    assert_eq!(CircuitBreakerConfig::KEYS.len(), 20, "each of them stands above");
}

#[test]
fn every_key_of_a_check_can_be_given_in_the_environment() {
    let variables = [
        ("AVAIL_CHECK_STORAGE__CRITICAL", "false"),
        ("AVAIL_CHECK_STORAGE__INTERVAL", "10s"),
        ("AVAIL_CHECK_STORAGE__TIMEOUT", "2"),
        ("AVAIL_CHECK_STORAGE__DEGRADED_AFTER", "0.5"),
        ("AVAIL_CHECK_STORAGE__RETRY_INTERVAL", "1s"),
        ("AVAIL_CHECK_STORAGE__INITIAL_DELAY", "0"),
        ("AVAIL_CHECK_STORAGE__FAILURE_THRESHOLD", "3"),
        ("AVAIL_CHECK_STORAGE__SUCCESS_THRESHOLD", "2"),
        ("AVAIL_CHECK_STORAGE__DEPENDS_ON", "postgres, redis"),
        ("AVAIL_CHECK_STORAGE__PROBE", "startup"),
        ("AVAIL_CHECK_STORAGE__SLO", "99.95%"),
        ("AVAIL_CHECK_STORAGE__SLO_WINDOW", "7d"),
        ("AVAIL_CHECK_STORAGE__TAGS", "db"),
    ];
    let overlay = read("", &variables).expect("valid");
    let check = check(&overlay, "storage");
    assert_eq!((check.critical, check.probe), (false, Probe::Startup));
    assert_eq!((check.interval, check.timeout), (Some(seconds(10)), Some(seconds(2))));
    assert_eq!(check.degraded_after, Some(Duration::from_millis(500)));
    assert_eq!((check.retry_interval, check.initial_delay), (Some(seconds(1)), Duration::ZERO));
    assert_eq!((check.failure_threshold, check.success_threshold), (3, 2));
    assert_eq!(check.depends_on.to_vec(), ["postgres".into(), "redis".into()]);
    assert_eq!((check.slo, check.slo_window), (Some(99.95), Some(seconds(7 * 24 * 3600))));
    assert_eq!(check.tags.to_vec(), ["db".into()]);
    assert_eq!(HealthCheck::KEYS.len(), variables.len(), "each of them stands above");
}

#[test]
fn off_takes_away_what_the_code_declares() {
    let overlay = read(
        "defaults.breaker.failure_threshold = \"off\"",
        &[
            ("AVAIL_DEFAULTS_BREAKER__FAILURE_RATE", "50%"),
            ("AVAIL_BREAKER_STORAGE__CALL_TIMEOUT", "off"),
            ("AVAIL_CHECK_STORAGE__SLO", "off"),
        ],
    )
    .expect("valid");
    let declared = CircuitBreakerConfig::builder().call_timeout(seconds(1)).build();
    let declared = declared.expect("valid");
    let config = overlay.breaker(subject("storage", &declared)).expect("valid");
    assert_eq!(config.failure_threshold, None);
    assert_eq!((config.failure_rate, config.call_timeout), (Some(0.5), None));
    let check = HealthCheck::new("storage", || async {}).slo(99.9);
    assert_eq!(overlay.tune(check, INTERVAL).map(|tuned| tuned.check.slo).ok(), Some(None));
}

#[test]
fn what_is_not_about_settings_is_left_alone() {
    let variables = [
        ("AVAIL_BREAKERS", "off"),
        ("AVAIL_LISTEN", "127.0.0.1:1"),
        ("AVAIL_BREAKER_STORAGE__TIMEOUT", ""),
        ("PATH", "/bin"),
    ];
    let overlay = read("", &variables).expect("valid");
    assert_eq!(breaker(&overlay, "storage"), CircuitBreakerConfig::default());
}

#[test]
fn a_function_that_can_not_be_cut_off_is_not() {
    let declared = CircuitBreakerConfig::default();
    let origin = Origin::new("storage", "fetch", "src/storage.rs", 12);
    let of = Subject { uncut: Some((origin, Uncut::Value)), ..subject("storage", &declared) };
    let for_all = read("defaults.breaker.call_timeout = 1", &[]).expect("valid");
    assert_eq!(for_all.breaker(of).map(|config| config.call_timeout), Ok(None));
    let by_name = read("breaker.storage.call_timeout = 1", &[]).expect("valid");
    assert_eq!(
        by_name.breaker(of).expect_err("it can't hold").to_string(),
        "avail.toml:1:32: circuit breaker `storage`: `call_timeout` can't hold: the function at \
         src/storage.rs:12 (`storage::fetch`) returns no future, and can't be cut off before it \
         returns"
    );
    let off = read("breaker.storage.call_timeout = 'off'", &[]).expect("valid");
    assert_eq!(off.breaker(of).map(|config| config.call_timeout), Ok(None));
    assert_eq!(breaker(&by_name, "storage").call_timeout, Some(seconds(1)));
}

#[test]
fn a_family_s_name_holds_for_its_members_and_a_member_s_own_is_stronger() {
    let file =
        "[breaker.tenants]\ntimeout = 1\nmin_calls = 3\n[breaker.\"tenants[acme]\"]\ntimeout = 2\n";
    let overlay = read(file, &[("AVAIL_BREAKER_TENANTS__TIMEOUT", "5")]).expect("valid");
    let timeout = |name: &str| {
        let config = overlay.breaker(member(name, "tenants", &CircuitBreakerConfig::default()));
        config.map(|config| (config.timeout.as_secs(), config.min_calls)).expect("valid")
    };
    assert_eq!(timeout("tenants[globex]"), (5, 3));
    assert_eq!(timeout("tenants[acme]"), (2, 3));
}

proptest! {
    /// The table of the documentation, from the weakest to the strongest.
    #[test]
    fn the_strongest_of_those_that_are_given_holds(
        given in proptest::array::uniform7(proptest::option::of(1_u32..1_000)),
    ) {
        let [declared, file_all, env_all, file_family, env_family, file_own, env_own] = given;
        let table = |header: &str, value: Option<u32>| {
            value.map(|value| format!("[{header}]\nmin_calls = {value}\n")).unwrap_or_default()
        };
        let file = table("defaults.breaker", file_all)
            + &table("breaker.tenants", file_family)
            + &table("breaker.\"tenants[a]\"", file_own);
        let variables = [
            ("AVAIL_DEFAULTS_BREAKER__MIN_CALLS", env_all),
            ("AVAIL_BREAKER_TENANTS__MIN_CALLS", env_family),
            ("AVAIL_BREAKER_TENANTS_A___MIN_CALLS", env_own),
        ];
        let variables = variables.map(|(name, value)| {
            (name, value.map(|value| value.to_string()).unwrap_or_default())
        });
        let variables = variables.each_ref().map(|(name, value)| (*name, value.as_str()));
        let overlay = read(&file, &variables).expect("valid");
        let declared = CircuitBreakerConfig {
            min_calls: declared.unwrap_or(10),
            ..CircuitBreakerConfig::default()
        };
        let config = overlay.breaker(member("tenants[a]", "tenants", &declared)).expect("valid");
        let strongest = given.into_iter().flatten().next_back();
        prop_assert_eq!(config.min_calls, strongest.unwrap_or(10));
        prop_assert_eq!(&CircuitBreakerConfig { min_calls: declared.min_calls, ..config }, &declared);
    }

    /// Whatever stands in it: no panic, and a place within it.
    #[test]
    fn no_text_is_too_strange(
        file in "([a-z\"'\\[\\]{}=.,#0-9é ]|\n|breaker|defaults|check|timeout){0,40}",
    ) {
        if let Err(error) = read(&file, &[]) {
            for problem in error.problems() {
                let [SettingSource::File { line, .. }] = problem.sources[..] else {
                    panic!("{problem:?}")
                };
                prop_assert!((1..=file.matches('\n').count() + 1).contains(&line), "{problem:?}");
            }
        }
    }
}
