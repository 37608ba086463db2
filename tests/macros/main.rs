//! What the attributes promise, as a user meets it.
#![cfg(all(feature = "macros", feature = "test-util"))]

mod breaker;
mod checks;
mod registration;
mod shapes;
