//! Which breakers there are, and what they are called.

use std::fmt::Display;

use avail::{CircuitBreakerRegistry, testing};

use super::breaker::{Error, breaker};

#[avail::circuit_breaker(
    name = "registration::never_called",
    failure_threshold = 3,
    success_threshold = 4,
    timeout = "1m 30s",
    reset_timeout = 0.5,
    half_open_max_calls = 2,
    critical
)]
#[expect(dead_code, reason = "this is what the test is about")]
async fn never_called() -> Result<(), Error> {
    Ok(())
}

#[test]
fn a_breaker_that_nobody_called_is_there_from_the_start_with_its_settings() {
    let _isolated = testing::isolated();
    let config = breaker("registration::never_called").config();
    let expected = avail::CircuitBreakerConfig::builder()
        .failure_threshold(3)
        .success_threshold(4)
        .timeout(std::time::Duration::from_secs(90))
        .reset_timeout(std::time::Duration::from_millis(500))
        .half_open_max_calls(2)
        .critical(true)
        .build()
        .expect("valid");
    assert_eq!(*config, expected);
}

const CHECK: &str = "checks::boxed";

#[avail::circuit_breaker(
    name = "registration::every_key",
    failure_rate = "50%",
    slow_call_rate = 0.25,
    slow_call = "200ms",
    slow_in_flight,
    window = "30s",
    min_calls = 20,
    call_timeout = 2,
    probe_timeout = "1m",
    cancel_failure_after = "3s",
    max_timeout = "10m",
    backoff = 2,
    jitter = 0.2,
    recovery_check = CHECK,
    shadow
)]
async fn every_key() -> Result<(), Error> {
    Ok(())
}

#[avail::circuit_breaker(
    name = "registration::both_rules",
    failure_threshold = 4,
    failure_rate = 1.0,
    window = 50,
    jitter = 0,
    backoff = 1.5,
    cancel_failure_after = "never"
)]
async fn both_rules() -> Result<(), Error> {
    Ok(())
}

#[tokio::test]
async fn each_key_is_that_of_the_builder() {
    let _isolated = testing::isolated();
    let seconds = std::time::Duration::from_secs;
    let expected = avail::CircuitBreakerConfig::builder()
        .failure_rate(0.5)
        .slow_call_rate(0.25)
        .slow_call(std::time::Duration::from_millis(200))
        .slow_in_flight(true)
        .window(seconds(30))
        .min_calls(20)
        .call_timeout(seconds(2))
        .probe_timeout(seconds(60))
        .cancel_failure_after(seconds(3))
        .max_timeout(seconds(600))
        .backoff(2.0)
        .jitter(0.2)
        .recovery_check("checks::boxed")
        .shadow(true)
        .build()
        .expect("valid");
    assert_eq!(every_key().await, Ok(()));
    assert_eq!(*breaker("registration::every_key").config(), expected);
    assert_eq!(expected.failure_threshold, None, "a rate alone is the only rule");

    let both = avail::CircuitBreakerConfig::builder()
        .failure_threshold(4)
        .failure_rate(1.0)
        .window(50)
        .jitter(0.0)
        .backoff(1.5)
        .cancel_failure_after(avail::CancelFailure::Never)
        .build()
        .expect("valid");
    assert_eq!(both_rules().await, Ok(()));
    assert_eq!(*breaker("registration::both_rules").config(), both);
}

#[avail::circuit_breaker(name = "registration::never_instantiated")]
#[expect(dead_code, reason = "this is what the test is about")]
fn never_instantiated<T: Display>(value: T) -> Result<String, Error> {
    Ok(value.to_string())
}

#[test]
fn a_generic_function_that_was_never_instantiated_is_there() {
    let _isolated = testing::isolated();
    breaker("registration::never_instantiated");
}

const SHARED: &str = "registration::shared";

#[avail::circuit_breaker(name = SHARED, failure_threshold = 1)]
fn reads() -> Result<(), Error> {
    Err(Error::Broken)
}

#[avail::circuit_breaker(name = "registration::shared", failure_threshold = 1)]
fn writes() -> Result<(), Error> {
    Ok(())
}

#[test]
fn the_same_name_with_the_same_settings_is_one_breaker() {
    let _isolated = testing::isolated();
    assert_eq!(reads(), Err(Error::Broken));
    assert!(matches!(writes(), Err(Error::Rejected(_))));
}

struct Left;
struct Right;

impl Left {
    #[avail::circuit_breaker(failure_threshold = 1)]
    fn load() -> Result<(), Error> {
        Err(Error::Broken)
    }
}

impl Right {
    #[avail::circuit_breaker(failure_threshold = 1)]
    fn load() -> Result<(), Error> {
        Ok(())
    }
}

#[test]
fn default_names_are_never_shared() {
    let _isolated = testing::isolated();
    assert_eq!(Left::load(), Err(Error::Broken));
    assert_eq!(Right::load(), Ok(()));
    let path = "macros::registration::load";
    assert_eq!(breaker(path).metrics().calls.failure, 1);
    assert_eq!(breaker(&format!("{path}#2")).metrics().calls.success, 1);
}

#[avail::circuit_breaker]
fn r#match() -> Result<(), Error> {
    Ok(())
}

#[test]
fn a_raw_name_is_written_plainly() {
    let _isolated = testing::isolated();
    r#match().expect("closed");
    assert!(CircuitBreakerRegistry::global().get("macros::registration::match").is_some());
}

mod elsewhere {
    pub(super) use avail as monitoring;
}

#[avail::circuit_breaker(name = "registration::renamed", crate = elsewhere::monitoring)]
fn renamed() -> Result<(), Error> {
    Ok(())
}

#[test]
fn avail_may_be_reached_by_another_path() {
    let _isolated = testing::isolated();
    renamed().expect("closed");
    assert_eq!(breaker("registration::renamed").metrics().calls.success, 1);
}

#[test]
fn outside_of_isolation_the_first_call_finds_the_processs_breaker() {
    #[avail::circuit_breaker(name = "registration::process")]
    fn in_process() -> Result<(), Error> {
        Ok(())
    }
    in_process().expect("closed");
    in_process().expect("closed");
    assert_eq!(breaker("registration::process").metrics().calls.success, 2);
}
