//! SIGTERM, in a process of its own: this test's file is one.

#![cfg(unix)]

mod common;

use std::process::Command;
use std::time::{Duration, Instant};

use common::{PATIENCE, get, monitor, server};

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn sigterm_drains_and_ends_the_server() {
    // Heard from now on, so that it can't end the test.
    let _guard = tokio::signal::unix::signal(tokio::signal::unix::SignalKind::terminate());
    let monitor = monitor().await;
    let drain_time = Duration::from_millis(500);
    let handle = server(&monitor).drain_time(drain_time).start().expect("it listens");
    let address = handle.local_addr();
    let running = tokio::spawn(handle.run_until(avail_http::sigterm()));

    let begun = Instant::now();
    while !monitor.status().draining {
        assert!(begun.elapsed() < PATIENCE, "the signal was not heard");
        // Again and again: the server's thread may not have come to listen yet.
        let sent = Command::new("kill").args(["-TERM", &std::process::id().to_string()]).status();
        assert!(sent.is_ok_and(|status| status.success()));
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
    assert_eq!((get(address, "/readyz").status, get(address, "/livez").status), (503, 200));
    running.await.expect("it ends");
    assert!(std::net::TcpStream::connect(address).is_err(), "nobody listens any more");
}
