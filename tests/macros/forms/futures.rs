//! Functions that return a future: the future is guarded.

use std::future::Future;
use std::pin::Pin;

use avail::circuit_breaker;

use super::{Act, Answer, act, assert_ends};

#[circuit_breaker(name = "futures::opaque")]
fn opaque(how: Act) -> impl Future<Output = Answer<u32>> + Send {
    act(how)
}

#[circuit_breaker(name = "futures::borrowing")]
fn borrowing<'a>(text: &'a str, how: Act) -> impl Future<Output = Answer<&'a str>> + 'a {
    let trimmed = text.trim();
    async move {
        act(how).await?;
        Ok(trimmed)
    }
}

#[circuit_breaker(name = "futures::not_send")]
fn not_send(text: std::rc::Rc<str>, how: Act) -> impl Future<Output = Answer<usize>> {
    async move { act(how).await.map(|_| text.len()) }
}

#[tokio::test]
async fn impl_future() {
    assert_ends("futures::opaque", async |how| opaque(how).await.map(drop)).await;
    let text = String::from(" a ");
    assert_ends("futures::borrowing", async |how| borrowing(&text, how).await.map(drop)).await;
    assert_ends("futures::not_send", async |how| not_send("a".into(), how).await.map(drop)).await;
}

#[circuit_breaker(name = "futures::boxed")]
fn boxed(how: Act) -> Pin<Box<dyn Future<Output = Answer<u32>> + Send>> {
    Box::pin(act(how))
}

#[circuit_breaker(name = "futures::boxed_early")]
fn boxed_early(text: &str, how: Act) -> Pin<Box<dyn Future<Output = Answer<usize>> + '_>> {
    if text.is_empty() {
        return Box::pin(async { Ok(0) });
    }
    Box::pin(async move { act(how).await.map(|_| text.len()) })
}

type BoxFuture<'a, T> = Pin<Box<dyn Future<Output = T> + Send + 'a>>;
type LocalBoxFuture<'a, T> = Pin<Box<dyn Future<Output = T> + 'a>>;

#[circuit_breaker(name = "futures::by_name")]
fn by_name(text: &str, how: Act) -> BoxFuture<'_, Answer<usize>> {
    Box::pin(async move { act(how).await.map(|_| text.len()) })
}

#[circuit_breaker(name = "futures::local_by_name")]
fn local_by_name(text: std::rc::Rc<str>, how: Act) -> LocalBoxFuture<'static, Answer<usize>> {
    Box::pin(async move { act(how).await.map(|_| text.len()) })
}

#[tokio::test]
async fn boxed_futures() {
    assert_ends("futures::boxed", async |how| boxed(how).await.map(drop)).await;
    assert_ends("futures::boxed_early", async |how| boxed_early("a", how).await.map(drop)).await;
    assert_ends("futures::by_name", async |how| by_name("a", how).await.map(drop)).await;
    let local = async |how| local_by_name("a".into(), how).await.map(drop);
    assert_ends("futures::local_by_name", local).await;
}

trait Later {
    fn later(&self, how: Act) -> impl Future<Output = Answer<u32>> + Send;
}

impl Later for u32 {
    #[circuit_breaker(name = "futures::in_trait")]
    fn later(&self, how: Act) -> impl Future<Output = Answer<u32>> + Send {
        let own = *self;
        async move { act(how).await.map(|one| one + own) }
    }
}

#[tokio::test]
async fn futures_of_traits() {
    assert_ends("futures::in_trait", async |how| 1.later(how).await.map(drop)).await;
}
