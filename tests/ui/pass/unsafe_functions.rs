//! The body of an unsafe function is unsafe where it was, and calls of it are counted as any other's.

use avail::{CircuitBreaker, CircuitBreakerError, CircuitBreakerRegistry, circuit_breaker};

#[derive(Debug, PartialEq)]
enum Error {
    Rejected(CircuitBreakerError),
    Null,
}

impl From<CircuitBreakerError> for Error {
    fn from(error: CircuitBreakerError) -> Self {
        Error::Rejected(error)
    }
}

/// # Safety
///
/// `number` points to a number, or is null.
#[circuit_breaker(name = "unsafe")]
unsafe fn read(number: *const u32) -> Result<u32, Error> {
    if number.is_null() {
        return Err(Error::Null);
    }
    // SAFETY: the caller says so.
    let number = unsafe { *number };
    assert_ne!(number, 0, "it panics at zero");
    Ok(number)
}

#[allow(unsafe_op_in_unsafe_fn)]
#[circuit_breaker(name = "unsafe and plain")]
unsafe fn read_plainly(number: *const u32) -> Result<u32, Error> {
    Ok(*number)
}

struct Cell(u32);

#[circuit_breaker(prefix = "unsafe")]
impl Cell {
    unsafe fn read(&self, number: *const u32) -> Result<u32, Error> {
        // SAFETY: the caller says so.
        Ok(self.0 + unsafe { *number })
    }
}

fn breaker(name: &str) -> CircuitBreaker {
    CircuitBreakerRegistry::global().get(name).expect(name)
}

fn main() {
    let number = 7;
    let number = &raw const number;
    // SAFETY: it points to a number.
    let all = unsafe { (read(number), read_plainly(number), Cell(1).read(number)) };
    assert_eq!(all, (Ok(7), Ok(7), Ok(8)));
    // SAFETY: null is allowed.
    assert_eq!(unsafe { read(std::ptr::null()) }, Err(Error::Null));
    // SAFETY: it points to a number.
    std::panic::catch_unwind(|| unsafe { read(&0) }).expect_err("it panicked");
    let calls = breaker("unsafe").metrics().calls;
    assert_eq!((calls.success, calls.failure, calls.panic), (1, 1, 1));
    breaker("unsafe").trip();
    // SAFETY: it points to a number.
    assert!(matches!(unsafe { read(number) }, Err(Error::Rejected(_))));
    assert_eq!(breaker("unsafe::Cell::read").metrics().calls.success, 1);
}
