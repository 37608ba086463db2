//! Values out of range, and keys that contradict each other.

use avail::{CircuitBreakerError, circuit_breaker};

type Answer = Result<(), CircuitBreakerError>;

#[circuit_breaker(failure_rate = 1.5, slow_call = "1s", slow_call_rate = "0%")]
fn rates() -> Answer {
    Ok(())
}

#[circuit_breaker(window = 0, min_calls = "ten")]
fn windows() -> Answer {
    Ok(())
}

#[circuit_breaker(window = 1_000_001)]
fn window_too_large() -> Answer {
    Ok(())
}

#[circuit_breaker(backoff = 0.5, jitter = 1)]
fn growth() -> Answer {
    Ok(())
}

#[circuit_breaker(success_threshold = 8_192, half_open_max_calls = 10_000)]
fn probes() -> Answer {
    Ok(())
}

#[circuit_breaker(cancel_failure_after = "always")]
async fn given_up() -> Answer {
    Ok(())
}

#[circuit_breaker(slow_call_rate = 0.5)]
fn slow_from_when() -> Answer {
    Ok(())
}

// One mistake: the rate needs no second one.
#[circuit_breaker(slow_call_rate = 0.5, slow_call = "soon")]
fn slow_from_soon() -> Answer {
    Ok(())
}

#[circuit_breaker(slow_in_flight)]
fn nobody_looks() -> Answer {
    Ok(())
}

#[circuit_breaker(failure_rate = 0.5, window = 20, min_calls = 21)]
fn never_so_many() -> Answer {
    Ok(())
}

#[circuit_breaker(failure_rate = 0.5, window = 5)]
fn never_so_many_by_default() -> Answer {
    Ok(())
}

#[circuit_breaker(timeout = "2m", max_timeout = "1m")]
fn shorter() -> Answer {
    Ok(())
}

#[circuit_breaker(max_timeout = "30s")]
fn shorter_than_by_default() -> Answer {
    Ok(())
}

#[circuit_breaker(call_timeout = "1s", cancel_failure_after = "never")]
fn can_not_be_cut_off() -> Answer {
    Ok(())
}

#[circuit_breaker(max_keys = 10)]
fn of_what() -> Answer {
    Ok(())
}

#[circuit_breaker(key = |tenant| tenant, max_keys = 0)]
fn keys(tenant: &str) -> Answer {
    let _ = tenant;
    Ok(())
}

#[circuit_breaker(failure_if = || true, ignore = 5)]
fn predicates() -> Answer {
    Ok(())
}

#[circuit_breaker(slow_cal = "1s", ignored = not_found, recovery_check = 7)]
fn misspelt() -> Answer {
    Ok(())
}

#[circuit_breaker]
fn a_future_of_what() -> impl std::future::Future {
    async { Ok::<_, std::io::Error>(()) }
}

fn main() {
    let _ = (rates(), windows(), window_too_large(), growth(), probes(), given_up());
    let _ = (slow_from_when(), slow_from_soon(), nobody_looks(), never_so_many(), keys("a"));
    let _ = (never_so_many_by_default(), shorter(), shorter_than_by_default(), of_what());
    let _ = (can_not_be_cut_off(), predicates(), misspelt());
}
