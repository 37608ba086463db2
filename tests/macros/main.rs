//! What the attributes promise, as a user meets it.
#![cfg(all(feature = "macros", feature = "test-util"))]

mod breaker;
mod checks;
mod nested;
mod registration;
mod sent;
mod shapes;
