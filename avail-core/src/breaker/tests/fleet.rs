//! The switch for all breakers.

use std::process::Command;

use super::*;
use crate::testing::isolated;

#[test]
fn the_switch_reaches_living_and_later_breakers_and_gives_them_back_fresh() {
    let _isolated = isolated();
    let living = breaker(config());
    living.trip();
    set_mode(Mode::Off);
    let later = breaker(config());
    for breaker in [&living, &later] {
        (0..5).for_each(|_| fail(breaker));
        let metrics = breaker.metrics();
        assert_eq!((metrics.state, metrics.mode), (CircuitState::Closed, Mode::Off));
        assert_eq!((metrics.calls.failure, metrics.would_open), (5, 0));
        assert_eq!(breaker.active_override(), None);
    }
    set_mode(Mode::Shadow);
    for breaker in [&living, &later] {
        (0..6).for_each(|_| fail(breaker));
        assert_eq!(breaker.metrics().would_open, 2);
    }
    set_mode(Mode::On);
    for breaker in [&living, &later] {
        assert_eq!((breaker.state(), breaker.failure_count()), (CircuitState::Closed, 0));
        (0..3).for_each(|_| fail(breaker));
        assert_eq!(breaker.state(), CircuitState::Open);
    }
}

#[test]
fn setting_the_mode_it_has_changes_nothing() {
    let _isolated = isolated();
    let breaker = breaker(config());
    breaker.trip();
    set_mode(Mode::On);
    assert_eq!((breaker.state(), mode()), (CircuitState::Open, Mode::On));
}

#[test]
fn an_override_of_one_breaker_stays_above_the_switch() {
    let _isolated = isolated();
    let breaker = breaker(config());
    breaker.force_open("deploying");
    set_mode(Mode::Off);
    breaker.acquire().expect_err("forced open");
    breaker.clear_override();
    (0..5).for_each(|_| fail(&breaker)); // what is left is the switch
    set_mode(Mode::On);
    assert_eq!(breaker.state(), CircuitState::Closed);
}

#[test]
fn a_listener_may_throw_the_switch() {
    let _isolated = isolated();
    let breaker = breaker(config());
    let _subscription = breaker.subscribe(|event| {
        if event.to == CircuitState::Open {
            set_mode(Mode::Off);
        }
    });
    breaker.trip();
    assert_eq!((breaker.state(), mode()), (CircuitState::Closed, Mode::Off));
}

#[test]
fn a_breaker_that_is_gone_leaves_nothing_behind() {
    let _isolated = isolated();
    let kept = breaker(config());
    for _ in 0..1000 {
        drop(breaker(config()));
    }
    assert_eq!(kept.inner.fleet.size(), 1);
}

/// Started by itself in a process of its own by the next test.
#[test]
fn this_process_has_the_mode_of_its_environment() {
    let text = std::env::var("AVAIL_BREAKERS").unwrap_or_default();
    assert_eq!(mode(), text.parse().unwrap_or(Mode::On));
    let breaker = breaker(config());
    breaker.trip();
    assert_eq!(breaker.acquire().is_err(), mode() == Mode::On);
}

#[test]
fn the_environment_sets_the_mode_at_startup() {
    let name = "breaker::tests::fleet::this_process_has_the_mode_of_its_environment";
    let program = std::env::current_exe().expect("this very program");
    for text in ["on", "shadow", "OFF", "", "nonsense"] {
        let mut command = Command::new(&program);
        command.args(["--exact", name]).env("AVAIL_BREAKERS", text);
        let output = command.output().expect("it can be started");
        let said = String::from_utf8_lossy(&output.stdout);
        assert!(output.status.success() && said.contains("1 passed"), "{text:?}: {said}");
    }
}

#[test]
fn a_mode_that_is_not_understood_is_an_error_and_not_a_silence() {
    assert_eq!(Mode::from_environment(None), Ok(Mode::On));
    assert_eq!(Mode::from_environment(Some("shadow".into())), Ok(Mode::Shadow));
    assert!(Mode::from_environment(Some("nonsense".into())).is_err());
    #[cfg(unix)]
    {
        use std::os::unix::ffi::OsStringExt as _;
        let bytes = std::ffi::OsString::from_vec(vec![b'o', b'f', b'f', 0xFF]);
        assert!(Mode::from_environment(Some(bytes)).is_err());
    }
}
