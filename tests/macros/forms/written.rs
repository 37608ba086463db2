//! What stands around a function: attributes, macros, modules.

use avail::circuit_breaker;

use super::{Act, Answer, act, act_now, assert_ends, assert_ends_now};

/// Documented.
#[circuit_breaker(name = "written::attributes")]
#[inline]
#[must_use = "it is an answer"]
#[cfg(test)]
#[cfg_attr(test, allow(clippy::unused_async, reason = "it is one of many attributes"))]
#[deprecated(note = "so are others")]
pub(super) async fn attributes(
    #[cfg(test)] how: Act,
    #[cfg(not(test))] how: String,
    #[allow(unused_variables)] unused: u32,
) -> Answer<u32> {
    #![allow(unused_mut)]
    #![allow(clippy::let_and_return)]
    let mut answer = act(how).await;
    answer
}

#[cfg_attr(test, circuit_breaker(name = "written::conditional_now"))]
#[inline(always)]
#[must_use = "it is an answer"]
fn conditional_now(how: Act) -> Answer<u32> {
    #![allow(unused_variables)]
    let unused = 1;
    act_now(how)
}

#[tokio::test]
#[expect(deprecated, reason = "attributes of the function stay in force")]
async fn attributes_conditions_and_inner_attributes() {
    assert_ends("written::attributes", async |how| attributes(how, 0).await.map(drop)).await;
    assert_ends_now("written::conditional_now", |how| conditional_now(how).map(drop));
}

macro_rules! guarded {
    ($(#[$meta:meta])* $vis:vis fn $name:ident($($arg:ident: $ty:ty),*) -> $out:ty
     $body:block, $breaker:literal, $threshold:expr) => {
        $(#[$meta])*
        #[circuit_breaker(name = $breaker, failure_threshold = 5, fallback = $threshold)]
        $vis fn $name($($arg: $ty),*) -> $out $body
    };
    ($name:ident, $breaker:literal, |$how:ident| $body:expr) => {
        #[circuit_breaker(name = $breaker)]
        async fn $name($how: Act) -> Answer<u32> {
            $body.await
        }
    };
}

guarded!(
    /// In a macro.
    pub(super) fn in_macro(how: Act) -> Answer<u32> {
        act_now(how)
    },
    "written::in_macro",
    |error| Err(error.into())
);

guarded!(in_macro_async, "written::in_macro_async", |how| act(how));

#[tokio::test]
async fn inside_macro_rules() {
    assert_ends_now("written::in_macro", |how| in_macro(how).map(drop));
    assert_ends("written::in_macro_async", async |how| in_macro_async(how).await.map(drop)).await;
}

#[circuit_breaker(name = "written::upper")]
#[tracing::instrument(skip_all)]
#[circuit_breaker(name = "written::lower")]
async fn stacked(how: Act) -> Answer<u32> {
    act(how).await
}

#[tracing::instrument(skip(how))]
#[circuit_breaker(name = "written::under_now")]
fn under_now(how: Act) -> Answer<u32> {
    act_now(how)
}

#[tracing::instrument]
#[circuit_breaker(name = "written::under")]
async fn under(how: Act) -> Answer<u32> {
    act(how).await
}

#[tokio::test]
async fn stacked_with_instrument_and_itself() {
    assert_ends("written::upper", async |how| stacked(how).await.map(drop)).await;
    assert_ends("written::under", async |how| under(how).await.map(drop)).await;
    assert_ends_now("written::under_now", |how| under_now(how).map(drop));
    // An attribute works on what those above it have made: the lowest is the first that is asked.
    let _isolated = avail::testing::isolated();
    assert_eq!(stacked(Act::Fail).await, Err(super::Error::Broken));
    super::breaker("written::lower").trip();
    assert!(matches!(stacked(Act::Panic).await, Err(super::Error::Rejected(_))));
    let [upper, lower] =
        ["written::upper", "written::lower"].map(|name| super::breaker(name).metrics());
    assert_eq!((upper.calls.failure, lower.calls.failure, lower.rejections.open), (1, 1, 1));
}

#[expect(dead_code, non_camel_case_types, reason = "they are only there to be in the way")]
mod shadowed {
    use super::super::{Act, act, act_now};

    pub(super) type StdResult = ::std::result::Result<::std::primitive::u32, super::super::Error>;

    struct Result;
    struct Option;
    struct Some;
    struct None;
    struct Ok;
    struct Err;
    struct Box;
    struct Fn;
    struct Future;
    struct From;
    struct Into;
    struct Default;
    struct String;
    struct u32;
    struct bool;
    mod core {}
    mod std {}
    mod alloc {}
    mod avail {}
    mod tokio {}
    mod inventory {}

    #[::avail::circuit_breaker(name = "written::shadowed", critical = true)]
    pub(super) async fn fetch(how: Act) -> StdResult {
        act(how).await
    }

    #[::avail::circuit_breaker(
        name = "written::shadowed_now",
        ignore = |_| false,
        fallback = |error| StdResult::Err(super::super::Error::Rejected(error)),
    )]
    pub(super) fn fetch_now(how: Act) -> StdResult {
        act_now(how)
    }

    #[::avail::circuit_breaker(
        name = "written::shadowed_limit",
        call_timeout = "60s",
        failure_if = |answer| answer.as_ref().is_err(),
        fallback = |error| StdResult::Err(super::super::Error::Rejected(error)),
    )]
    pub(super) async fn limited(how: Act) -> StdResult {
        act(how).await
    }

    #[::avail::circuit_breaker(name = "written::shadowed_family", key = key)]
    pub(super) fn of_family(key: &'static str, how: Act) -> StdResult {
        act_now(how)
    }
}

#[tokio::test]
async fn in_a_module_that_shadows_the_prelude() {
    assert_ends("written::shadowed", async |how| shadowed::fetch(how).await.map(drop)).await;
    assert_ends_now("written::shadowed_now", |how| shadowed::fetch_now(how).map(drop));
    assert_ends("written::shadowed_limit", async |how| shadowed::limited(how).await.map(drop))
        .await;
    let of_family = |how| shadowed::of_family("a", how).map(drop);
    assert_ends_now("written::shadowed_family[a]", of_family);
}

mod in_tests {
    use super::*;

    #[tokio::test]
    #[circuit_breaker(name = "written::test_itself")]
    async fn a_test_may_be_annotated() -> Answer<()> {
        act(Act::Succeed).await.map(drop)
    }

    #[test]
    #[circuit_breaker(name = "written::test_itself_now")]
    fn a_test_that_is_not_async_may_be_annotated() -> Answer<()> {
        act_now(Act::Succeed).map(drop)
    }

    #[tokio::test]
    async fn a_function_in_a_function() {
        #[circuit_breaker(name = "written::local")]
        async fn local(how: Act) -> Answer<u32> {
            act(how).await
        }
        assert_ends("written::local", async |how| local(how).await.map(drop)).await;
    }
}
