//! What the attributes promise, as a user meets it.
#![cfg(all(feature = "macros", feature = "test-util"))]

mod blocks;
mod breaker;
mod checks;
mod families;
mod forms;
mod limits;
mod nested;
mod outputs;
mod registration;
mod sent;
mod shapes;
mod sizes;
