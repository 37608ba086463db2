//! Probes are answered while the application's runtime is not.

mod common;

use std::sync::{Arc, Barrier};
use std::time::{Duration, Instant};

use common::{get, monitor, serve};

#[test]
fn probes_are_answered_while_every_worker_of_the_applications_runtime_is_blocked() {
    let workers = 2;
    let runtime = tokio::runtime::Builder::new_multi_thread()
        .worker_threads(workers)
        .enable_all()
        .build()
        .expect("a runtime");
    let monitor = runtime.block_on(monitor());
    let server = serve(&monitor);

    // Every worker meets this thread at the first barrier, and is held until the second.
    let (blocked, released) =
        (Arc::new(Barrier::new(workers + 1)), Arc::new(Barrier::new(workers + 1)));
    for _ in 0..workers {
        let (blocked, released) = (blocked.clone(), released.clone());
        runtime.spawn(async move {
            blocked.wait();
            released.wait();
        });
    }
    blocked.wait();
    let stuck = runtime.spawn(async {});

    let begun = Instant::now();
    for path in ["/livez", "/readyz", "/health", "/metrics", "/metrics/prometheus", "/incidents"] {
        assert_eq!(get(server.local_addr(), path).status, 200, "{path}");
    }
    assert!(begun.elapsed() < Duration::from_secs(1), "{:?}", begun.elapsed());
    assert!(!stuck.is_finished(), "the runtime was not blocked");
    if common::soaks() {
        liveness_ends_after_30_s(server.local_addr(), begun);
    }
    released.wait();
    runtime.block_on(server.shutdown());
}

/// The runtime has been blocked since about `begun`.
fn liveness_ends_after_30_s(address: std::net::SocketAddr, begun: Instant) {
    while begun.elapsed() < Duration::from_secs(28) {
        assert_eq!(get(address, "/livez").status, 200, "after {:?}", begun.elapsed());
        std::thread::sleep(Duration::from_millis(500)); // as a kubelet would
    }
    while get(address, "/livez").status == 200 {
        assert!(begun.elapsed() < Duration::from_secs(32), "still alive");
        std::thread::sleep(Duration::from_millis(100));
    }
    assert!(begun.elapsed() > Duration::from_secs(29), "{:?}", begun.elapsed());
}
