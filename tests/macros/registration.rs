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
