//! The signals that tell a process to end.

/// Ready when the process is told to end: by SIGTERM, which is what an orchestrator sends, or by
/// SIGINT, which is Ctrl-C. On Windows: Ctrl-C.
///
/// Nothing is changed before it is first polled. From then on these signals no longer end the
/// process by themselves, even after this is dropped: whoever awaits it has to end the process.
///
/// ```no_run
/// # async fn example() {
/// avail_http::sigterm().await;
/// println!("told to end");
/// # }
/// ```
pub async fn sigterm() {
    if let Err(error) = told_to_end().await {
        tracing::error!(%error, "signals can't be heard: they end the process at once");
        std::future::pending::<()>().await;
    }
}

#[cfg(unix)]
async fn told_to_end() -> std::io::Result<()> {
    use tokio::signal::unix::{SignalKind, signal};

    let mut terminate = signal(SignalKind::terminate())?;
    let mut interrupt = signal(SignalKind::interrupt())?;
    tokio::select! {
        _ = terminate.recv() => {}
        _ = interrupt.recv() => {}
    }
    Ok(())
}

#[cfg(not(unix))]
async fn told_to_end() -> std::io::Result<()> {
    tokio::signal::ctrl_c().await
}
