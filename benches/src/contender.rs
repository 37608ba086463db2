//! What is called: one operation, the same for all, through whatever stands in front of it.

use std::fmt;
use std::future::Future;
use std::hint::black_box;

/// The input that makes the operation fail.
pub const FAIL: u64 = u64::MAX;

/// The operation's error.
#[derive(Clone, Copy, Debug)]
pub struct Unavailable;

impl fmt::Display for Unavailable {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("unavailable")
    }
}

impl std::error::Error for Unavailable {}

/// The operation. The compiler can't see which way it goes.
#[inline]
pub fn work(input: u64) -> Result<u64, Unavailable> {
    let input = black_box(input);
    if input == FAIL { Err(Unavailable) } else { Ok(input) }
}

/// The operation as a future that is ready at its first poll.
pub async fn work_async(input: u64) -> Result<u64, Unavailable> {
    work(input)
}

/// How a call ended, as its caller sees it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Verdict {
    Done,
    Failed,
    Rejected,
}

impl Verdict {
    /// For a contender whose result is the operation's own.
    #[inline]
    pub fn of<E>(result: Result<u64, E>) -> Self {
        match result {
            Ok(output) => Verdict::done(output),
            Err(_) => Verdict::Failed,
        }
    }

    /// The caller uses the output.
    #[inline]
    pub fn done(output: u64) -> Self {
        black_box(output);
        Verdict::Done
    }
}

/// A breaker, or a limit, with the operation behind it.
pub trait Contender: Send + Sync {
    /// What a thread holds to make its calls.
    type Handle: Send;

    fn handle(&self) -> Self::Handle;

    /// Makes one call; `FAIL` makes the operation fail.
    fn call(handle: &mut Self::Handle, input: u64) -> impl Future<Output = Verdict>;
}

/// A contender that also takes functions that are not async.
pub trait SyncContender: Contender {
    fn call_sync(handle: &mut Self::Handle, input: u64) -> Verdict;
}
