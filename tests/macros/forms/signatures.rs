//! Generics, lifetimes, `impl Trait`, patterns, borrowed results.

use std::fmt::Display;

use avail::circuit_breaker;

use super::{Act, Answer, act, act_now, assert_ends, assert_ends_now};

#[circuit_breaker(name = "signatures::generic")]
async fn generic<T, const N: usize>(all: [T; N], how: Act) -> Answer<String>
where
    T: Display + Clone,
    [T; N]: Sized,
{
    let sum = act(how).await?;
    Ok(all.iter().map(|one| format!("{one}{sum}")).collect())
}

#[circuit_breaker(name = "signatures::generic_now")]
fn generic_now<T: Display, const N: usize>(all: &[T; N], how: Act) -> Answer<String> {
    act_now(how).map(|sum| format!("{sum}{}", all.len()))
}

struct Holder<T>(T);

impl<T: Display + Send + Sync> Holder<T> {
    #[circuit_breaker(name = "signatures::in_generic_impl")]
    async fn show<U: Display>(&self, other: U, how: Act) -> Answer<String> {
        act(how).await.map(|sum| format!("{}{other}{sum}", self.0))
    }
}

#[tokio::test]
async fn generics_constants_and_where_clauses() {
    let one = async |how| generic(["a"], how).await.map(drop);
    assert_ends("signatures::generic", one).await;
    assert_ends_now("signatures::generic_now", |how| generic_now(&[1, 2], how).map(drop));
    let show = async |how| Holder(1).show("a", how).await.map(drop);
    assert_ends("signatures::in_generic_impl", show).await;
}

#[circuit_breaker(name = "signatures::named")]
async fn named<'a, 'b: 'a>(first: &'a str, second: &'b str, how: Act) -> Answer<&'a str> {
    act(how).await?;
    Ok(if first.is_empty() { second } else { first })
}

#[circuit_breaker(name = "signatures::elided_now")]
fn elided_now(text: &mut String, how: Act) -> Answer<&mut str> {
    act_now(how)?;
    Ok(text.as_mut_str())
}

struct Rows<'a>(&'a [u32]);

#[circuit_breaker(name = "signatures::anonymous")]
async fn anonymous(rows: Rows<'_>, how: Act) -> Answer<Rows<'_>> {
    act(how).await?;
    Ok(Rows(&rows.0[1..]))
}

#[tokio::test]
async fn lifetimes_elided_and_named() {
    let text = String::from("b");
    assert_ends("signatures::named", async |how| named("", &text, how).await.map(drop)).await;
    let elided = |how| elided_now(&mut String::from("a"), how).map(str::make_ascii_uppercase);
    assert_ends_now("signatures::elided_now", elided);
    let rows = async |how| anonymous(Rows(&[1, 2]), how).await.map(|rows| assert_eq!(rows.0, [2]));
    assert_ends("signatures::anonymous", rows).await;
}

#[circuit_breaker(name = "signatures::mutable")]
async fn mutable(all: &mut Vec<u32>, how: Act) -> Answer<&mut u32> {
    all.push(act(how).await?);
    all.last_mut().ok_or(super::Error::Broken)
}

#[tokio::test]
async fn results_that_borrow_mutably() {
    let mutable = async |how| mutable(&mut Vec::new(), how).await.map(|last| *last += 1);
    assert_ends("signatures::mutable", mutable).await;
}

#[circuit_breaker(name = "signatures::impl_trait")]
async fn impl_trait(
    all: impl Iterator<Item = u32> + Send,
    how: Act,
) -> Answer<impl Iterator<Item = u32>> {
    let sum = act(how).await?;
    Ok(all.map(move |one| one + sum))
}

#[circuit_breaker(name = "signatures::impl_trait_now")]
fn impl_trait_now(apply: impl Fn(u32) -> u32, how: Act) -> Answer<impl Fn(u32) -> u32> {
    let sum = act_now(how)?;
    Ok(move |one| apply(one) + sum)
}

#[tokio::test]
async fn impl_trait_in_arguments_and_results() {
    let all = async |how| impl_trait(0..3, how).await.map(|all| assert_eq!(all.sum::<u32>(), 6));
    assert_ends("signatures::impl_trait", all).await;
    let apply = |how| impl_trait_now(|one| one * 2, how).map(|f| assert_eq!(f(3), 7));
    assert_ends_now("signatures::impl_trait_now", apply);
}

struct Pair {
    left: u32,
    right: u32,
}

#[circuit_breaker(name = "signatures::patterns")]
async fn patterns(
    (a, mut b): (u32, u32),
    Pair { left, right: c }: Pair,
    &[d, ..]: &[u32; 2],
    _: u32,
    how: Act,
) -> Answer<u32> {
    b += act(how).await?;
    Ok(a + b + c + d + left)
}

#[circuit_breaker(name = "signatures::patterns_now")]
fn patterns_now(Pair { left, .. }: Pair, mut all: Vec<u32>, how: Act) -> Answer<Vec<u32>> {
    all.push(left + act_now(how)?);
    Ok(all)
}

#[tokio::test]
async fn patterns_in_arguments() {
    let pair = || Pair { left: 1, right: 2 };
    let call = async |how| {
        let sum = patterns((1, 2), pair(), &[3, 4], 5, how).await?;
        assert_eq!((sum, pair().right), (10, 2));
        Ok(())
    };
    assert_ends("signatures::patterns", call).await;
    let now = |how| patterns_now(pair(), vec![1], how).map(|all| assert_eq!(all, [1, 2]));
    assert_ends_now("signatures::patterns_now", now);
}

#[circuit_breaker(name = "signatures::foreign_now")]
#[expect(improper_ctypes_definitions, reason = "attributes of the function stay in force")]
extern "C" fn foreign_now(how: Act) -> Answer<u32> {
    act_now(how)
}

#[test]
fn extern_functions() {
    // No panic: it may not unwind out of one.
    let _isolated = avail::testing::isolated();
    assert_eq!(foreign_now(Act::Succeed), Ok(1));
    assert_eq!(foreign_now(Act::Fail), Err(super::Error::Broken));
    super::breaker("signatures::foreign_now").trip();
    assert!(matches!(foreign_now(Act::Panic), Err(super::Error::Rejected(_))));
}

#[circuit_breaker(name = "signatures::unwinding_now")]
#[expect(improper_ctypes_definitions, reason = "attributes of the function stay in force")]
extern "C-unwind" fn unwinding_now(how: Act) -> Answer<u32> {
    act_now(how)
}

#[test]
fn extern_functions_that_may_unwind() {
    assert_ends_now("signatures::unwinding_now", |how| unwinding_now(how).map(drop));
}

#[circuit_breaker(name = "signatures::recursive::async")]
async fn recursive(depth: u32, how: Act) -> Answer<u32> {
    if depth > 0 { Box::pin(recursive(depth - 1, how)).await } else { act(how).await }
}

#[circuit_breaker(name = "signatures::recursive::sync")]
fn recursive_now(depth: u32, how: Act) -> Answer<u32> {
    if depth > 0 { recursive_now(depth - 1, how) } else { act_now(how) }
}

/// At depth 0 they end as any other; what deeper ones count is in `shapes`.
#[tokio::test]
async fn recursive_functions() {
    let call = async |how| recursive(0, how).await.map(drop);
    assert_ends("signatures::recursive::async", call).await;
    assert_ends_now("signatures::recursive::sync", |how| recursive_now(0, how).map(drop));
    let _isolated = avail::testing::isolated();
    assert_eq!((recursive(3, Act::Succeed).await, recursive_now(3, Act::Succeed)), (Ok(1), Ok(1)));
    for name in ["signatures::recursive::async", "signatures::recursive::sync"] {
        assert_eq!(super::breaker(name).metrics().calls.success, 4, "{name}");
    }
}
