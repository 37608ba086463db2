//! What an expansion keeps while it waits can be sent, where the function's own is.

use std::cell::Cell;
use std::time::Duration;

use super::breaker::Error;

async fn cached(id: u32) -> Result<u32, Error> {
    tokio::time::sleep(Duration::from_millis(1)).await;
    Ok(id)
}

#[avail::circuit_breaker(name = "sent::waits", fallback = cached(id).await)]
async fn waits(id: u32, not_shared: Cell<u32>, text: &str) -> Result<u32, Error> {
    tokio::task::yield_now().await;
    Ok(id + not_shared.get() + text.len() as u32)
}

#[avail::circuit_breaker(name = "sent::question", fallback = { let x = cached(id).await?; Ok(x) })]
async fn question(id: u32) -> Result<u32, Error> {
    tokio::task::yield_now().await;
    Err(Error::Broken)
}

#[avail::circuit_breaker(name = "sent::closure", fallback = async |_| cached(1).await)]
async fn closure(id: u32) -> Result<u32, Error> {
    tokio::task::yield_now().await;
    Ok(id)
}

#[tokio::test]
async fn a_function_with_a_fallback_that_waits_can_be_spawned() {
    let text = String::from("a");
    let task = tokio::spawn(async move { waits(1, Cell::new(1), &text).await });
    assert_eq!(task.await.expect("it ends"), Ok(3));
    tokio::spawn(question(1)).await.expect("it ends").expect_err("it fails");
    assert_eq!(tokio::spawn(closure(1)).await.expect("it ends"), Ok(1));
}
