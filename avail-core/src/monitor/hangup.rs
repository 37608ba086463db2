//! SIGHUP: the settings are to be read anew.

use std::panic::catch_unwind;
use std::sync::Arc;

use tokio::signal::unix::{Signal, SignalKind, signal};
use tokio::task::AbortHandle;

use super::inner::Inner;
use crate::scope::carry;

/// Listens from now on, on the runtime that this is called in; what ends it is the handle.
pub(super) fn listen(inner: &Arc<Inner>) -> Option<AbortHandle> {
    // Where the runtime has no I/O, asking panics; nothing else tells.
    let hangups = catch_unwind(|| signal(SignalKind::hangup()));
    let hangups = hangups.unwrap_or_else(|_| Err(std::io::Error::other("the runtime has no I/O")));
    match hangups {
        Ok(hangups) => {
            let task = inner.runtime().spawn(carry(reload_at_each(hangups, inner.clone())));
            Some(task.abort_handle())
        }
        Err(error) => {
            tracing::warn!(%error, "SIGHUP can't be heard: the settings are read anew by `reload`");
            None
        }
    }
}

async fn reload_at_each(mut hangups: Signal, inner: Arc<Inner>) {
    while hangups.recv().await.is_some() {
        // What went wrong is logged and announced.
        let _ = inner.reload().await;
    }
}
