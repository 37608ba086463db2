use avail::{CircuitBreakerError, circuit_breaker};

#[circuit_breaker]
const fn at_compile_time() -> Result<(), CircuitBreakerError> {
    Ok(())
}

#[circuit_breaker(name = "storage")]
pub struct Store;

trait Fetch {
    #[circuit_breaker]
    async fn fetch(&self) -> Result<(), CircuitBreakerError>;
}

impl Store {
    fn new() -> Self {
        Store
    }
}

#[circuit_breaker]
mod storage {}

fn main() {
    at_compile_time().unwrap();
    Store::new();
}
