//! What is said of mistakes.

use super::*;

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

#[test]
fn a_file_that_is_not_utf_8_is_named_with_the_place() {
    let path: Arc<Path> = Path::new("avail.toml").into();
    let error = text_of(&path, b"a = 1\nb = '\xff'".to_vec()).expect_err("not UTF-8");
    assert_eq!(error.to_string(), "avail.toml:2:6: the file is not UTF-8 from here on");
}

#[test]
fn one_for_all_that_names_one_is_told_where_that_goes() {
    let error = read("[defaults.breaker.storage]\ntimeout = 3", &[]).expect_err("a name");
    let expected = "avail.toml:1:19: `[defaults.breaker]` is for all: for one, write \
                    `[breaker.storage]`";
    assert_eq!(error.to_string(), expected);
}

/// In the square of its length it would take minutes.
#[test]
fn the_places_of_a_long_file_are_found_in_its_length() {
    let table = |number| format!("[breaker.n{number}]\ntimeout = 3\n");
    let text: String = (0..100_000).map(table).collect();
    let overlay = read(&text, &[]).expect("valid");
    let (source, _) = &overlay.breakers.file["n99999"];
    assert_eq!(source.to_string(), "avail.toml:199999:10");
}

#[test]
fn a_variable_that_looks_like_a_setting_and_is_none_is_warned_of() {
    let variables = [
        ("AVAIL_BREKER_STORAGE__TIMEOUT", "5", Some("AVAIL_BREAKER_STORAGE__TIMEOUT")),
        ("AVAIL_CHECKS_DB__INTERVAL", "5", Some("AVAIL_CHECK_DB__INTERVAL")),
        ("AVAIL_DEFAULT_CHECK__INTERVAL", "5", Some("AVAIL_DEFAULTS_CHECK__INTERVAL")),
        ("AVAIL_QUEUE__LENGTH", "5", None),
        ("avail_check_db__interval", "5", Some("AVAIL_CHECK_DB__INTERVAL")),
    ];
    let given = variables.map(|(name, value, _)| (name, value));
    let overlay = read("", &given).expect("none of them is ours");
    let strangers = overlay.strangers();
    assert_eq!(strangers.len(), variables.len());
    for (stranger, (name, _, nearest)) in strangers.iter().zip(variables) {
        assert_eq!((&*stranger.name, stranger.nearest.as_deref()), (name, nearest));
    }
    assert_eq!(
        strangers[0].to_string(),
        "AVAIL_BREKER_STORAGE__TIMEOUT: there is no setting `AVAIL_BREKER_STORAGE__TIMEOUT` so far: \
         did you mean `AVAIL_BREAKER_STORAGE__TIMEOUT`?"
    );
}

#[test]
fn of_very_many_mistakes_the_first_are_written() {
    let lines: String = (0..1_000).map(|number| format!("key{number} = 1\n")).collect();
    let error = read(&format!("[breaker.storage]\n{lines}"), &[]).expect_err("no such keys");
    assert_eq!(error.problems().len(), 1_000);
    let text = error.to_string();
    assert_eq!(text.lines().count(), 21);
    assert!(text.ends_with("\nand 980 more"), "{text}");
}
