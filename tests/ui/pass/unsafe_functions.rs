//! The body of an unsafe function is unsafe where it was.

use avail::{CircuitBreakerError, circuit_breaker};

/// # Safety
///
/// `number` points to a number.
#[circuit_breaker(name = "unsafe")]
unsafe fn read(number: *const u32) -> Result<u32, CircuitBreakerError> {
    // SAFETY: the caller says so.
    Ok(unsafe { *number })
}

#[allow(unsafe_op_in_unsafe_fn)]
#[circuit_breaker(name = "unsafe")]
unsafe fn read_plainly(number: *const u32) -> Result<u32, CircuitBreakerError> {
    Ok(*number)
}

fn main() {
    let number = 7;
    // SAFETY: it points to a number.
    let both = unsafe { (read(&raw const number), read_plainly(&raw const number)) };
    assert_eq!(both, (Ok(7), Ok(7)));
}
