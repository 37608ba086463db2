//! For tests that take log lines, each of its own thread.

use std::sync::OnceLock;

use tracing::Dispatch;
use tracing::subscriber::NoSubscriber;

/// Makes sure that a subscriber of one thread gets its lines whatever other threads do.
///
/// Whether anybody wants the lines of a place in the code is asked when the first thread comes by,
/// and kept. While at most one subscriber lives, tracing asks that thread's own, which in another
/// test is none; where there are more, it asks all of them. These two want nothing.
pub(crate) fn hear_every_thread() {
    static ALWAYS: OnceLock<[Dispatch; 2]> = OnceLock::new();
    ALWAYS.get_or_init(|| [(); 2].map(|()| Dispatch::new(NoSubscriber::new())));
}
