//! The forms of functions that the attribute goes on: each is called, and counted.

use std::fmt::Display;
use std::future::Future;
use std::pin::Pin;
use std::sync::Arc;

use avail::{circuit_breaker, testing};

use super::breaker::{Error, breaker};

type Answer<T> = Result<T, Error>;

/// Successes and failures of a breaker.
fn counted(name: &str) -> (u64, u64) {
    let calls = breaker(name).metrics().calls;
    (calls.success, calls.failure)
}

#[derive(Clone, Default)]
struct Store {
    rows: Vec<String>,
}

impl Store {
    #[circuit_breaker(name = "shapes::methods")]
    async fn first(&self) -> Answer<&str> {
        self.rows.first().map(String::as_str).ok_or(Error::Broken)
    }

    #[circuit_breaker(name = "shapes::methods")]
    fn first_mut(&mut self) -> Answer<&mut String> {
        self.rows.first_mut().ok_or(Error::Broken)
    }

    #[circuit_breaker(name = "shapes::methods")]
    async fn push<'a>(&'a mut self, row: &str) -> Answer<&'a mut String> {
        self.rows.push(row.to_owned());
        self.rows.last_mut().ok_or(Error::Broken)
    }

    #[circuit_breaker(name = "shapes::methods")]
    async fn consumed(mut self) -> Answer<Vec<String>> {
        self.rows.push("last".into());
        Ok(self.rows)
    }

    #[circuit_breaker(name = "shapes::methods")]
    async fn shared(self: Arc<Self>) -> Answer<usize> {
        Ok(self.rows.len())
    }

    #[circuit_breaker(name = "shapes::methods")]
    async fn pinned(self: Pin<&mut Self>) -> Answer<usize> {
        Ok(self.rows.len())
    }

    #[circuit_breaker(name = "shapes::methods")]
    fn boxed_self(self: Box<Self>) -> Answer<Vec<String>> {
        Ok(self.rows)
    }

    #[circuit_breaker(name = "shapes::methods")]
    fn open() -> Answer<Self> {
        Ok(Self::default())
    }
}

#[tokio::test]
async fn methods_with_self_in_every_form() {
    let _isolated = testing::isolated();
    let mut store = Store::open().expect("opens");
    assert_eq!(store.first().await, Err(Error::Broken));
    store.push("one").await.expect("pushed").push('!');
    store.first_mut().expect("there is one").push('?');
    assert_eq!(store.first().await, Ok("one!?"));
    assert_eq!(Arc::new(store.clone()).shared().await, Ok(1));
    assert_eq!(Pin::new(&mut store).pinned().await, Ok(1));
    assert_eq!(Box::new(store.clone()).boxed_self().map(|rows| rows.len()), Ok(1));
    assert_eq!(store.consumed().await.map(|rows| rows.len()), Ok(2));
    assert_eq!(counted("shapes::methods"), (8, 1));
}

#[circuit_breaker(name = "shapes::generic")]
async fn generic<'a, T, const N: usize>(
    parts: &'a [T; N],
    end: impl Display,
) -> Answer<(&'a T, String)>
where
    T: Display + Sync,
{
    let first = parts.first().ok_or(Error::Broken)?;
    Ok((first, format!("{first}{N}{end}")))
}

#[circuit_breaker(name = "shapes::generic")]
fn iterates(up_to: u32) -> Answer<impl Iterator<Item = u32>> {
    if up_to == 0 {
        return Err(Error::Broken);
    }
    Ok(0..up_to)
}

#[circuit_breaker(name = "shapes::generic")]
async fn iterates_later(up_to: u32) -> Answer<impl Iterator<Item = u32> + Send> {
    Ok(0..iterates(up_to)?.max().ok_or(Error::Broken)?)
}

#[tokio::test]
async fn generics_impl_trait_arguments_and_results() {
    let _isolated = testing::isolated();
    assert_eq!(iterates_later(4).await.map(Iterator::sum), Ok(3));
    breaker("shapes::generic").reset();
    let (good, _) = counted("shapes::generic");
    let (first, all) = generic(&[1, 2, 3], '!').await.expect("it is not empty");
    assert_eq!((*first, &*all), (1, "13!"));
    assert_eq!(generic::<u8, 0>(&[], '!').await, Err(Error::Broken));
    assert_eq!(iterates(3).map(Iterator::sum), Ok(3));
    assert!(iterates(0).is_err());
    assert_eq!(counted("shapes::generic"), (good + 2, 2));
}

#[circuit_breaker(name = "shapes::names", fallback = Ok(error + guard))]
async fn names(breaker: u32, guard: u32, rules: u32, reject: u32, error: u32) -> Answer<u32> {
    let (future, output) = (1, 2);
    Ok(breaker + guard + rules + reject + error + future + output)
}

#[tokio::test]
async fn arguments_may_have_any_name() {
    let _isolated = testing::isolated();
    assert_eq!(names(1, 1, 1, 1, 1).await, Ok(8));
    breaker("shapes::names").trip();
    assert_eq!(names(1, 1, 1, 1, 1).await, Ok(2));
}

#[circuit_breaker(name = "shapes::patterns")]
async fn patterns((a, b): (u32, u32), [c, ..]: [u32; 3], mut d: u32, _: u32) -> Answer<u32> {
    d += 1;
    Ok(a + b + c + d)
}

#[tokio::test]
async fn patterns_in_arguments() {
    let _isolated = testing::isolated();
    assert_eq!(patterns((1, 2), [3, 0, 0], 4, 5).await, Ok(11));
}

trait Fetch {
    fn look_up(&self, id: u32) -> impl Future<Output = Answer<u32>> + Send;

    #[circuit_breaker(name = "shapes::traits")]
    fn fetch_now(&self, id: u32) -> Answer<u32> {
        if id == 0 { Err(Error::Broken) } else { Ok(id) }
    }
}

impl Fetch for Store {
    #[circuit_breaker(name = "shapes::traits")]
    async fn look_up(&self, id: u32) -> Answer<u32> {
        self.fetch_now(id)
    }
}

#[tokio::test]
async fn functions_in_traits_and_their_implementations() {
    let _isolated = testing::isolated();
    assert_eq!(Store::default().look_up(1).await, Ok(1));
    assert_eq!(Store::default().look_up(0).await, Err(Error::Broken));
    assert_eq!(counted("shapes::traits"), (2, 2));
}

#[async_trait::async_trait]
trait Dynamic: Send + Sync {
    async fn fetch(&self, id: String) -> Answer<String>;

    #[circuit_breaker(name = "shapes::dynamic")]
    async fn fetch_twice(&self, id: &str) -> Answer<String> {
        let first = self.fetch(id.to_owned()).await?;
        self.fetch(first).await
    }
}

#[async_trait::async_trait]
impl Dynamic for Store {
    #[circuit_breaker(name = "shapes::dynamic", fallback = Ok(self.rows.concat()))]
    async fn fetch(&self, id: String) -> Answer<String> {
        tokio::task::yield_now().await;
        if id.is_empty() {
            return Err(Error::Broken);
        }
        Ok(id + "!")
    }
}

#[tokio::test]
async fn async_trait_on_both_sides() {
    let _isolated = testing::isolated();
    let store: Box<dyn Dynamic> = Box::new(Store { rows: vec!["known".into()] });
    assert_eq!(store.fetch_twice("a").await.as_deref(), Ok("a!!"));
    assert_eq!(store.fetch(String::new()).await, Err(Error::Broken));
    assert_eq!(counted("shapes::dynamic"), (3, 1));
    breaker("shapes::dynamic").trip();
    assert_eq!(store.fetch("a".into()).await.as_deref(), Ok("known"));
}

impl Store {
    #[circuit_breaker(name = "shapes::futures")]
    fn lazily(&self, id: u32) -> impl Future<Output = Answer<u32>> + Send + '_ {
        let found = self.rows.get(id as usize);
        async move {
            tokio::task::yield_now().await;
            found.ok_or(Error::Broken)?;
            Ok(id)
        }
    }

    #[circuit_breaker(name = "shapes::futures", fallback = Ok(id))]
    fn boxed(&self, id: u32) -> Pin<Box<dyn Future<Output = Answer<u32>> + Send + '_>> {
        if id == 7 {
            return Box::pin(std::future::ready(Err(Error::Broken)));
        }
        Box::pin(self.lazily(id))
    }
}

type BoxFuture<'a, T> = Pin<Box<dyn Future<Output = T> + Send + 'a>>;

#[circuit_breaker(name = "shapes::futures")]
fn by_name(text: &str) -> BoxFuture<'_, Answer<usize>> {
    Box::pin(async move { Ok(text.len()) })
}

#[tokio::test]
async fn the_future_is_guarded_and_not_the_making_of_it() {
    let _isolated = testing::isolated();
    let store = Store { rows: vec!["one".into()] };
    drop(store.lazily(0));
    assert_eq!(counted("shapes::futures"), (0, 0));
    assert_eq!(store.lazily(0).await, Ok(0));
    assert_eq!(store.lazily(9).await, Err(Error::Broken));
    assert_eq!(store.boxed(7).await, Err(Error::Broken));
    assert_eq!(by_name("four").await, Ok(4));
    assert_eq!(counted("shapes::futures"), (2, 2));
    breaker("shapes::futures").trip();
    assert!(matches!(store.lazily(0).await, Err(Error::Rejected(_))));
    assert_eq!(store.boxed(5).await, Ok(5));
}

#[circuit_breaker(name = "shapes::foreign")]
#[expect(improper_ctypes_definitions, reason = "attributes of the function stay in force")]
extern "C" fn foreign() -> Answer<usize> {
    Ok(4)
}

#[test]
fn extern_functions() {
    let _isolated = testing::isolated();
    assert_eq!(foreign(), Ok(4));
    assert_eq!(counted("shapes::foreign"), (1, 0));
}

#[circuit_breaker(name = "shapes::recursive")]
fn factorial(n: u64) -> Answer<u64> {
    if n == 0 { Ok(1) } else { Ok(n * factorial(n - 1)?) }
}

#[circuit_breaker(name = "shapes::recursive")]
async fn slow_factorial(n: u64) -> Answer<u64> {
    if n == 0 { Ok(1) } else { Ok(n * Box::pin(slow_factorial(n - 1)).await?) }
}

#[tokio::test]
async fn recursive_functions() {
    let isolated = testing::isolated();
    assert_eq!(factorial(5), Ok(120));
    let spawned = isolated.spawn(async { Box::pin(slow_factorial(3)).await });
    assert_eq!(spawned.await.expect("joined"), Ok(6));
    assert_eq!(counted("shapes::recursive"), (10, 0));
}

#[circuit_breaker(name = "shapes::stacked::outer")]
#[tracing::instrument(skip_all)]
#[circuit_breaker(name = "shapes::stacked::inner")]
async fn stacked(id: u32) -> Answer<u32> {
    if id == 0 { Err(Error::Broken) } else { Ok(id) }
}

#[tracing::instrument]
#[circuit_breaker(name = "shapes::stacked::under")]
fn stacked_under(id: u32) -> Answer<u32> {
    Ok(id)
}

#[tokio::test]
async fn stacked_with_instrument_and_itself() {
    let _isolated = testing::isolated();
    assert_eq!(stacked(0).await, Err(Error::Broken));
    assert_eq!(stacked(1).await, Ok(1));
    assert_eq!(stacked_under(1), Ok(1));
    assert_eq!(counted("shapes::stacked::outer"), (1, 1));
    assert_eq!(counted("shapes::stacked::inner"), (1, 1));
    assert_eq!(counted("shapes::stacked::under"), (1, 0));
}

#[tokio::test]
#[circuit_breaker(name = "shapes::test_itself")]
async fn under_tokio_test() -> Answer<()> {
    Ok(())
}

macro_rules! guarded {
    ($(#[$meta:meta])* $vis:vis $name:ident($($arg:ident: $ty:ty),*) -> $ret:ty $body:block, $n:literal) => {
        $(#[$meta])*
        #[circuit_breaker(name = "shapes::by_macro", failure_threshold = $n, timeout = $n)]
        $vis async fn $name($($arg: $ty),*) -> $ret $body
    };
}

guarded!(
    /// Adds.
    pub(crate) add(a: u32, b: u32) -> Answer<u32> { Ok(a + b) }, 3
);

#[tokio::test]
async fn inside_macro_rules() {
    let _isolated = testing::isolated();
    assert_eq!(add(1, 2).await, Ok(3));
    assert_eq!(breaker("shapes::by_macro").config().failure_threshold, Some(3));
}

#[circuit_breaker(name = "shapes::attributes")]
fn inner_attributes(#[cfg(test)] id: u32, #[cfg(not(test))] id: String) -> Answer<u32> {
    #![allow(unused_variables)]
    let unused = 1;
    Ok(id)
}

#[test]
fn inner_attributes_and_conditional_arguments() {
    let _isolated = testing::isolated();
    assert_eq!(inner_attributes(1), Ok(1));
    assert_eq!(counted("shapes::attributes"), (1, 0));
}

#[expect(dead_code, non_camel_case_types, reason = "they are only there to be in the way")]
mod shadowed {
    use super::Error;

    pub(super) type StdResult<T> = ::std::result::Result<T, Error>;

    struct Result;
    struct Option;
    struct Some;
    struct None;
    struct Ok;
    struct Err;
    struct Box;
    struct Future;
    struct u32;
    struct bool;
    mod core {}
    mod std {}
    mod avail {}
    mod tokio {}

    #[::avail::circuit_breaker(name = "shapes::shadowed", failure_threshold = 3, shadow = false)]
    pub(super) async fn fetch(fails: ::std::primitive::bool) -> StdResult<()> {
        if fails {
            return StdResult::Err(Error::Broken);
        }
        StdResult::Ok(())
    }

    #[::avail::health_check(name = "shapes::shadowed_check", interval = 9, probe = "none")]
    pub(super) fn check() {}
}

#[tokio::test]
async fn in_a_module_that_shadows_the_prelude() {
    let _isolated = testing::isolated();
    shadowed::check();
    assert_eq!(shadowed::fetch(false).await, Ok(()));
    assert_eq!(shadowed::fetch(true).await, Err(Error::Broken));
    assert_eq!(counted("shapes::shadowed"), (1, 1));
}

#[circuit_breaker(name = "shapes::send")]
async fn sends(shared: std::cell::Cell<u32>) -> Answer<u32> {
    shared.set(shared.get() + 1);
    tokio::task::yield_now().await;
    Ok(shared.get())
}

#[tokio::test]
async fn the_future_stays_send_even_with_an_argument_that_can_not_be_shared() {
    let isolated = testing::isolated();
    let spawned = isolated.spawn(sends(std::cell::Cell::new(1)));
    assert_eq!(spawned.await.expect("joined"), Ok(2));
}

#[test]
fn a_future_that_is_not_send_is_guarded_too() {
    #[circuit_breaker(name = "shapes::not_send")]
    async fn not_send(shared: std::rc::Rc<u32>) -> Answer<u32> {
        Ok(*shared)
    }
    let _isolated = testing::isolated();
    let runtime = tokio::runtime::Builder::new_current_thread().build().expect("a runtime");
    assert_eq!(runtime.block_on(not_send(std::rc::Rc::new(4))), Ok(4));
    assert_eq!(counted("shapes::not_send"), (1, 0));
}
