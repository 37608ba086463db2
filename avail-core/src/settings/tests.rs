//! What a file and the environment come to, and what is said of mistakes in them.

use std::collections::BTreeSet;
use std::time::Duration;

use proptest::prelude::*;

use super::keys::Configured;
use super::*;
use crate::breaker::{CancelFailure, CircuitBreakerConfig, RateWindow};
use crate::health::{HealthCheck, Probe};

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
    Subject { name, component, declared, may_be_cut_off: true }
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
fn a_mistake_in_the_file_is_named_with_its_place_and_what_is_allowed() {
    let cases = [
        (
            "[breaker.storage]\nfailure_treshold = 5",
            "avail.toml:2:1: a circuit breaker has no key `failure_treshold`: did you mean \
             `failure_threshold`?",
        ),
        (
            "[check.storage]\nintervall = 5",
            "avail.toml:2:1: a health check has no key `intervall`: did you mean `interval`?",
        ),
        (
            "[check.storage]\ncolour = 5",
            "avail.toml:2:1: a health check has no key `colour`: it has `critical`, \
             `degraded_after`, `depends_on`, `failure_threshold`, `initial_delay`, `interval`, \
             `probe`, `retry_interval`, `slo`, `slo_window`, `success_threshold`, `tags`, `timeout`",
        ),
        (
            "[defaults.breaker]\n\n  failure_threshold = 0 # none",
            "avail.toml:3:23: `failure_threshold`: expected an integer from 1 to 4294967295, or \
             `off`, got `0`",
        ),
        (
            "breaker.storage = { timeout = \"soon\" }",
            "avail.toml:1:31: `timeout`: expected a duration longer than zero, such as `60s`, \
             `1m 30s` or `500ms`, or a number of seconds, got `\"soon\"`",
        ),
        (
            "[breaker.storage]\nfailure_rate = 50",
            "avail.toml:2:16: `failure_rate`: expected a number above 0 and at most 1, such as \
             `0.5`, or `50%`, or `off`, got `50`",
        ),
        (
            "[breaker.storage]\nfallback = 1",
            "avail.toml:2:1: `fallback` is part of the code: it can't be given from outside",
        ),
        (
            "[breaker.storage]\nshadow = \"true\"",
            "avail.toml:2:10: `shadow`: expected `true` or `false`, got `\"true\"`",
        ),
        (
            "[check.storage]\nprobe = \"ready\"",
            "avail.toml:2:9: `probe`: expected one of `readiness`, `liveness`, `startup`, `none`, \
             got `\"ready\"`",
        ),
        (
            "[check.storage]\ntags = [1]",
            "avail.toml:2:8: `tags`: expected a list of names, such as `[\"postgres\"]` in a file \
             and `postgres,redis` in the environment, got a list",
        ),
        (
            "[breaker.storage]\nmin_calls = 99999999999999999999",
            "avail.toml:2:13: `min_calls`: expected an integer from 1 to 4294967295, got an integer \
             of more than 64 bits",
        ),
        (
            "[breaker.storage]\ntimeout = 2026-01-01",
            "avail.toml:2:11: `timeout`: expected a duration longer than zero, such as `60s`, \
             `1m 30s` or `500ms`, or a number of seconds, got a date or time",
        ),
        (
            "[breaker.app.fetch]\ntimeout = 1",
            "avail.toml:1:14: `fetch` is a table: a name with dots in it has to be quoted",
        ),
        ("[breakers.storage]", "avail.toml:1:2: there is no `breakers`: did you mean `breaker`?"),
        ("[history]", "avail.toml:1:2: there is no `history`, but `defaults`, `breaker`, `check`"),
        (
            "[defaults.checks]",
            "avail.toml:1:11: there is no `defaults.checks`: did you mean `defaults.check`?",
        ),
        ("breaker = 1", "avail.toml:1:11: expected a table, as `[breaker.name]`, got `1`"),
        (
            "[breaker]\nstorage = 1",
            "avail.toml:2:11: expected a table, as `[breaker.name]`, got `1`",
        ),
        ("defaults = 1", "avail.toml:1:12: expected a table, as `[defaults.breaker]`, got `1`"),
        (
            "[defaults]\ncheck = 1",
            "avail.toml:2:9: expected a table, as `[defaults.check]`, got `1`",
        ),
        ("[breaker.storage]\ntimeout = 1\n\ntimeout = 2", "avail.toml:4:1: duplicate key"),
    ];
    for (file, message) in cases {
        let error = read(file, &[]).expect_err(message);
        assert_eq!(error.to_string(), message, "{file}");
    }
}

#[test]
fn a_mistake_in_the_environment_is_named_with_the_variable() {
    let cases = [
        (
            ("AVAIL_BREAKER_STORAGE__FAILURE_TRESHOLD", "5"),
            "a circuit breaker has no key `failure_treshold`: did you mean `failure_threshold`?",
        ),
        (
            ("AVAIL_BREAKER_STORAGE__FAILURE_THRESHOLD", "many"),
            "expected an integer from 1 to 4294967295, or `off`, got `many`",
        ),
        (
            ("AVAIL_DEFAULTS_CHECK__INTERVAL", "-1"),
            "expected a duration longer than zero, such as `60s`, `1m 30s` or `500ms`, or a number \
             of seconds, got `-1`",
        ),
        (
            ("AVAIL_BREAKER_STORAGE__FALLBACK", "x"),
            "`fallback` is part of the code: it can't be given from outside",
        ),
        (
            ("AVAIL_BREAKER_STORAGE_TIMEOUT", "5"),
            "expected `AVAIL_BREAKER_NAME__KEY`, with `__` before the key",
        ),
        (
            ("AVAIL_CHECK___TIMEOUT", "5"),
            "expected `AVAIL_CHECK_NAME__KEY`, with `__` before the key",
        ),
        (
            ("AVAIL_BREAKER_STORAGE__timeout", "5"),
            "variables are in upper case: expected `TIMEOUT` and not `timeout`",
        ),
        (
            ("AVAIL_DEFAULTS_BREAKERS__TIMEOUT", "5"),
            "expected `AVAIL_DEFAULTS_BREAKER__KEY` or `AVAIL_DEFAULTS_CHECK__KEY`",
        ),
    ];
    for ((name, value), message) in cases {
        let error = read("", &[(name, value)]).expect_err(message);
        assert_eq!(error.to_string(), format!("{name}: {message}"));
    }
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
fn every_mistake_is_named_at_once() {
    let file = "[breaker.a]\ntimeout = 0\nwindow = 0\n[checks.b]\n";
    let error = read(file, &[("AVAIL_BREAKER_A__JITTER", "1")]).expect_err("four mistakes");
    let places: Vec<_> = error.problems().iter().map(|one| one.sources[0].to_string()).collect();
    let expected =
        ["avail.toml:2:11", "avail.toml:3:10", "avail.toml:4:2", "AVAIL_BREAKER_A__JITTER"];
    assert_eq!(places, expected);
    assert_eq!(error.to_string().lines().count(), 4);
}

#[test]
fn what_can_not_work_together_is_named_with_every_place_that_is_to_blame() {
    let file = "[defaults.breaker]\nmin_calls = 20\n[breaker.storage]\nfailure_rate = 0.5\n\
                success_threshold = 3\n";
    let overlay = read(file, &[("AVAIL_BREAKER_STORAGE__WINDOW", "15")]).expect("each is valid");
    let declared = CircuitBreakerConfig::default();
    let error = overlay.breaker(subject("storage", &declared)).expect_err("no such window");
    assert_eq!(
        error.to_string(),
        "avail.toml:2:13, avail.toml:4:16, AVAIL_BREAKER_STORAGE__WINDOW: circuit breaker \
         `storage`: `min_calls` is 20, and may be at most 15"
    );
    assert_eq!(breaker(&overlay, "cache").min_calls, 20);

    let overlay = read("", &[("AVAIL_CHECK_DB__INTERVAL", "4")]).expect("valid by itself");
    let declared = HealthCheck::new("db", || async {}).timeout(seconds(5));
    let Unfit { sources, error } = overlay.tune(declared, INTERVAL).expect_err("too long");
    assert_eq!(sources, [SettingSource::Variable("AVAIL_CHECK_DB__INTERVAL".into())]);
    assert_eq!(
        error.to_string(),
        "health check `db`: `timeout` (5s) must be shorter than `interval` (4s)"
    );
}

#[test]
fn where_two_mistakes_hide_each_other_all_that_was_given_is_to_blame() {
    let file = "[breaker.a]\nslow_call_rate = 0.5\nmax_timeout = 1\n";
    let overlay = read(file, &[]).expect("each is valid");
    let error = overlay.breaker(subject("a", &CircuitBreakerConfig::default())).expect_err("two");
    let places: Vec<_> = error.sources.iter().map(ToString::to_string).collect();
    assert_eq!(places, ["avail.toml:2:18", "avail.toml:3:15"]);
}

#[test]
fn a_function_that_has_no_answer_for_being_cut_off_is_not() {
    let declared = CircuitBreakerConfig::default();
    let of = Subject { may_be_cut_off: false, ..subject("storage", &declared) };
    let for_all = read("defaults.breaker.call_timeout = 1", &[]).expect("valid");
    assert_eq!(for_all.breaker(of).map(|config| config.call_timeout), Ok(None));
    let by_name = read("breaker.storage.call_timeout = 1", &[]).expect("valid");
    assert_eq!(
        by_name.breaker(of).expect_err("it has no answer").to_string(),
        "avail.toml:1:32: circuit breaker `storage`: `call_timeout` can be changed only where the \
         attribute gives one: the function has no answer for a call that is cut off"
    );
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

#[test]
fn a_name_that_nothing_has_is_warned_of_with_a_suggestion() {
    let file = "[breaker.storagee]\ntimeout = 1\n[check.\"app::db\"]\n[breaker.kafka]\n";
    let variables =
        [("AVAIL_BREAKER_STORAG__TIMEOUT", "1"), ("AVAIL_BREAKER_STORAGE__JITTER", "0")];
    let overlay = read(file, &variables).expect("valid");
    let known = BTreeSet::from(["storage".into(), "app::db".into()]);
    let (warnings, problems) = overlay.breakers.look_at_names(&known);
    let warnings: Vec<_> = warnings.iter().map(ToString::to_string).collect();
    assert_eq!(
        warnings,
        [
            "avail.toml:1:10: there is no circuit breaker `storagee` so far: did you mean `storage`?",
            "avail.toml:4:10: there is no circuit breaker `kafka` so far",
            "AVAIL_BREAKER_STORAG__TIMEOUT: there is no circuit breaker `STORAG` so far: did you \
             mean `STORAGE`?",
        ]
    );
    assert_eq!(problems, []);
    assert_eq!(overlay.checks.look_at_names(&known), (vec![], vec![]));
}

#[test]
fn a_variable_that_stands_for_two_names_is_refused_and_names_both() {
    let overlay = read("", &[("AVAIL_BREAKER_APP__DB_MAIN__TIMEOUT", "1")]).expect("valid");
    let one = BTreeSet::from(["app::db-main".into(), "app".into()]);
    assert_eq!(overlay.breakers.look_at_names(&one), (vec![], vec![]));
    assert_eq!(breaker(&overlay, "app::db-main").timeout, seconds(1));
    assert_eq!(breaker(&overlay, "app").timeout, seconds(60));
    let two = BTreeSet::from(["app::db-main".into(), "app::db_main".into()]);
    let (warnings, problems) = overlay.breakers.look_at_names(&two);
    let problems: Vec<_> = problems.iter().map(ToString::to_string).collect();
    assert_eq!(warnings, []);
    assert_eq!(
        problems,
        ["AVAIL_BREAKER_APP__DB_MAIN__TIMEOUT: it stands for both circuit breaker `app::db-main` \
          and `app::db_main`: give one another name, or configure them in the file"]
    );
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
