use avail::{CircuitBreakerError, circuit_breaker};

type Answer = Result<(), CircuitBreakerError>;

#[circuit_breaker(failure_treshold = 3)]
fn misspelt() -> Answer {
    Ok(())
}

#[circuit_breaker(colour = "red")]
fn unknown() -> Answer {
    Ok(())
}

#[circuit_breaker(name = "a", critical, name = "b")]
fn repeated() -> Answer {
    Ok(())
}

#[circuit_breaker(failure_threshold = 0)]
fn zero() -> Answer {
    Ok(())
}

#[circuit_breaker(success_threshold = -1)]
fn negative() -> Answer {
    Ok(())
}

#[circuit_breaker(timeout = "5 parsecs")]
fn not_a_duration() -> Answer {
    Ok(())
}

#[circuit_breaker(reset_timeout = "0s")]
fn no_duration() -> Answer {
    Ok(())
}

#[circuit_breaker(name)]
fn no_value() -> Answer {
    Ok(())
}

#[circuit_breaker(timeout = )]
fn nothing_behind_the_sign() -> Answer {
    Ok(())
}

#[circuit_breaker(name = "")]
fn empty_name() -> Answer {
    Ok(())
}

#[circuit_breaker("storage")]
fn no_key() -> Answer {
    Ok(())
}

#[circuit_breaker(name("storage"))]
fn no_sign() -> Answer {
    Ok(())
}

#[circuit_breaker(critical = "yes")]
fn not_a_flag() -> Answer {
    Ok(())
}

#[circuit_breaker(name = "a" critical)]
fn no_comma() -> Answer {
    Ok(())
}

#[circuit_breaker(fallback = || Ok(()))]
fn fallback_without_argument() -> Answer {
    Ok(())
}

#[circuit_breaker(failure_threshold = 0, timeout = "soon", kritical)]
fn three_mistakes() -> Answer {
    Ok(())
}

fn main() {
    // Each is there all the same: no error says that it is not found.
    let _ = (misspelt(), unknown(), repeated(), zero(), negative(), not_a_duration());
    let _ = (no_duration(), no_value(), nothing_behind_the_sign(), empty_name(), no_key());
    let _ = (no_sign(), not_a_flag(), no_comma(), fallback_without_argument(), three_mistakes());
}
