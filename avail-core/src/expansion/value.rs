//! Tells a value from a future behind an alias: a guard around the making of a future would measure
//! the wrong thing.

use std::future::Future;
use std::marker::PhantomData;

/// An output of a function that is not recognised as one that returns a future.
#[derive(Debug)]
pub struct MaybeFuture<'a, R>(pub &'a R);

/// A future: chosen first, since it asks for one more reference (as in [`Judge`](super::Judge)).
pub trait OfFuture {
    /// The future.
    type Output;
    /// That it is one.
    fn avail_kind(&self) -> Unpolled<Self::Output>;
}

impl<F: Future> OfFuture for &MaybeFuture<'_, F> {
    type Output = F;

    #[inline]
    fn avail_kind(&self) -> Unpolled<F> {
        Unpolled(PhantomData)
    }
}

/// Anything else.
pub trait OfValue {
    /// That it is none.
    fn avail_kind(&self) -> Value;
}

impl<R> OfValue for MaybeFuture<'_, R> {
    #[inline]
    fn avail_kind(&self) -> Value {
        Value
    }
}

/// A future that has not been polled.
#[derive(Debug)]
pub struct Unpolled<F>(PhantomData<fn() -> F>);

/// Not a future.
#[derive(Debug)]
pub struct Value;

/// What a call may give that is not a future by its spelling.
#[diagnostic::on_unimplemented(
    message = "`#[circuit_breaker]` would guard the making of this future, and not the future",
    label = "this is a future behind an alias",
    note = "spell it `impl Future`, `Pin<Box<dyn Future>>` or `BoxFuture`"
)]
pub trait IsValue {}

impl IsValue for Value {}

/// Asks for a value.
#[inline]
pub fn value(_: impl IsValue) {}
