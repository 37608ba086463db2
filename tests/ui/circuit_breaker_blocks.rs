//! What is wrong with an `impl` block, or with what stands in it.

use avail::{CircuitBreakerError, circuit_breaker};

type StoreResult = Result<(), CircuitBreakerError>;

struct Store;

#[circuit_breaker(name = "storage", key = id, max_keys = 5)]
impl Store {
    fn named(&self) -> StoreResult {
        Ok(())
    }
}

#[circuit_breaker(prefixx = "storage", prefix = "")]
impl Store {
    fn misspelt(&self) -> StoreResult {
        Ok(())
    }
}

#[circuit_breaker(prefix = "storage")]
fn function() -> StoreResult {
    Ok(())
}

#[circuit_breaker]
impl Store {
    #[avail(skipp)]
    fn skipp(&self) -> StoreResult {
        Ok(())
    }

    #[avail]
    fn no_word(&self) -> StoreResult {
        Ok(())
    }

    #[avail(skip)]
    const SIZE: usize = 1;

    const fn at_compile_time() -> StoreResult {
        Ok(())
    }

    const fn new() -> Self {
        Store
    }

    #[avail(skip)]
    fn skipped(&self) -> StoreResult {
        Ok(())
    }
}

#[circuit_breaker(call_timeout = "1s")]
impl Store {
    async fn in_time(&self) -> StoreResult {
        Ok(())
    }

    fn at_once(&self) -> StoreResult {
        Ok(())
    }
}

#[circuit_breaker]
impl Store {
    fn wrong_type(&self) -> StoreResult {
        5
    }

    async fn wrong_error(&self) -> Result<(), String> {
        Ok(())
    }
}

#[circuit_breaker(failure_threshold = 3)]
impl Store {
    fn len(&self) -> usize {
        1
    }

    #[avail(skip)]
    fn none_is_left(&self) -> StoreResult {
        Ok(())
    }
}

fn main() {
    // Each is there all the same: no error says that it is not found.
    let _ = (Store.named(), Store.misspelt(), function(), Store.skipp(), Store.no_word());
    let _ = (Store::SIZE, Store::at_compile_time(), Store::new().skipped());
    let _ = (Store.in_time(), Store.at_once());
    let _ = (Store.len(), Store.none_is_left());
}
