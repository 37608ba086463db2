//! What the attribute adds to the size of a future.

use std::future::Future;

use super::breaker::Error;

/// It is there twice, as the argument and as what the body works on: so it is without the attribute.
type Block = [u8; 1024];

#[avail::circuit_breaker]
async fn plainly(block: Block) -> Result<u8, Error> {
    tokio::task::yield_now().await;
    block.first().copied().ok_or(Error::Broken)
}

#[avail::circuit_breaker(call_timeout = "1s")]
async fn limited(block: Block) -> Result<u8, Error> {
    tokio::task::yield_now().await;
    block.first().copied().ok_or(Error::Broken)
}

#[avail::circuit_breaker(call_timeout = "1s", fallback = Ok(block.len() as u8))]
async fn answered(block: Block) -> Result<u8, Error> {
    tokio::task::yield_now().await;
    block.first().copied().ok_or(Error::Broken)
}

#[avail::circuit_breaker(failure_if = |answer| *answer == Ok(0), ignore = |error| *error == Error::Broken)]
async fn judged(block: Block) -> Result<u8, Error> {
    tokio::task::yield_now().await;
    block.first().copied().ok_or(Error::Broken)
}

#[avail::circuit_breaker(key = name)]
async fn of_a_family(name: &str, block: Block) -> Result<u8, Error> {
    tokio::task::yield_now().await;
    block.get(name.len()).copied().ok_or(Error::Broken)
}

async fn without_a_family(name: &str, block: Block) -> Result<u8, Error> {
    tokio::task::yield_now().await;
    block.get(name.len()).copied().ok_or(Error::Broken)
}

async fn without(block: Block) -> Result<u8, Error> {
    tokio::task::yield_now().await;
    block.first().copied().ok_or(Error::Broken)
}

fn size<F: Future>(future: impl FnOnce(Block) -> F) -> usize {
    size_of_val(&future([0; 1024]))
}

/// What a caller can see: a word for the breaker, what its guard holds, and whether it waits.
const AT_MOST: usize = 64;

#[test]
fn the_future_of_an_annotated_function_is_at_most_64_bytes_larger() {
    let plain = size(without);
    for annotated in [size(plainly), size(limited), size(judged)] {
        assert!(annotated <= plain + AT_MOST, "{annotated} bytes, and {plain} without");
    }
    // What the fallback uses is shared with the body, by a reference.
    assert!(size(answered) <= plain + AT_MOST + size_of::<&Block>());
}

#[test]
fn that_of_a_family_keeps_what_its_key_borrows() {
    let plain = size(|block| without_a_family("", block));
    let annotated = size(|block| of_a_family("", block));
    let at_most = plain + AT_MOST + size_of::<&str>();
    assert!(annotated <= at_most, "{annotated} bytes, and {plain} without");
}
