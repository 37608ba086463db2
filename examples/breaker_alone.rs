//! A circuit breaker alone: no runtime, no monitor, no attributes.
//!
//! ```text
//! cargo run --example breaker_alone
//! ```

use std::error::Error;
use std::thread::sleep;
use std::time::Duration;

use avail::{CallError, CircuitBreaker, CircuitBreakerConfig, CircuitBreakerError};

/// A printer that has run out of paper, until somebody comes.
struct Printer {
    paper: u32,
}

impl Printer {
    fn print(&mut self) -> Result<u32, &'static str> {
        self.paper = self.paper.checked_sub(1).ok_or("out of paper")?;
        Ok(self.paper)
    }
}

fn main() -> Result<(), Box<dyn Error>> {
    let config = CircuitBreakerConfig::builder()
        .failure_threshold(3)
        .success_threshold(2)
        .timeout(Duration::from_millis(500))
        .build()?;
    let breaker = CircuitBreaker::new("printer", config);
    let mut printer = Printer { paper: 2 };

    for _ in 0..7 {
        print_page(&breaker, &mut printer);
    }

    println!("somebody brings paper; the breaker finds out by itself once its open time is over");
    printer.paper = 100;
    sleep(Duration::from_millis(600));
    for _ in 0..3 {
        print_page(&breaker, &mut printer);
    }

    let metrics = breaker.metrics();
    let rejected = metrics.rejections.open;
    println!(
        "{} good, {} failed, {rejected} rejected",
        metrics.calls.success, metrics.calls.failure
    );
    Ok(())
}

fn print_page(breaker: &CircuitBreaker, printer: &mut Printer) {
    let told = match breaker.call_sync(|| printer.print()) {
        Ok(left) => format!("printed, {left} sheets left"),
        Err(CallError::Operation(error)) => format!("failed: {error}"),
        // The printer was not even asked.
        Err(CallError::CircuitBreaker(rejected @ CircuitBreakerError::Open { .. })) => {
            format!("rejected: {rejected}")
        }
        Err(CallError::CircuitBreaker(other)) => other.to_string(),
    };
    println!("{:9} {told}", breaker.state().to_string());
}
