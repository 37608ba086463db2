//! The end of a process: not ready at once, alive to the last, the listener closed last of all.

mod common;

use std::net::TcpStream;
use std::time::{Duration, Instant};

use common::{PATIENCE, get, monitor, server};
use tokio::sync::oneshot;

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn after_the_signal_it_is_not_ready_and_serves_on_for_the_drain_time() {
    let monitor = monitor().await;
    let drain_time = Duration::from_millis(600);
    let handle = server(&monitor).drain_time(drain_time).start().expect("it listens");
    let address = handle.local_addr();
    let (signal, signalled) = oneshot::channel::<()>();
    let running = tokio::spawn(handle.run_until(signalled));
    assert_eq!(get(address, "/readyz").status, 200);

    let begun = Instant::now();
    signal.send(()).expect("it waits");
    while get(address, "/readyz").status != 503 {
        assert!(begun.elapsed() < drain_time, "not draining");
    }
    let readiness = get(address, "/readiness");
    assert_eq!((readiness.status, readiness.header("retry-after")), (503, Some("5")));
    assert_eq!(get(address, "/livez").status, 200);
    assert_eq!(get(address, "/health").status, 200, "draining is no incident");
    assert!(!running.is_finished());

    running.await.expect("it ends");
    assert!(begun.elapsed() >= drain_time, "{:?}", begun.elapsed());
    assert!(begun.elapsed() < drain_time + PATIENCE);
    assert!(TcpStream::connect(address).is_err(), "nobody listens any more");
    assert!(monitor.status().draining);
}

#[tokio::test]
async fn whoever_gives_up_waiting_ends_the_server_without_draining() {
    let monitor = monitor().await;
    let handle = server(&monitor).start().expect("it listens");
    let address = handle.local_addr();
    tokio::select! {
        () = handle.run_until(std::future::pending::<()>()) => panic!("there was no signal"),
        () = tokio::task::yield_now() => {}
    }
    let begun = Instant::now();
    while TcpStream::connect(address).is_ok() {
        assert!(begun.elapsed() < PATIENCE, "it still listens");
        tokio::time::sleep(Duration::from_millis(1)).await;
    }
    assert!(!monitor.status().draining);
}

#[tokio::test]
async fn a_signal_that_panics_ends_the_server() {
    let monitor = monitor().await;
    let handle = server(&monitor).start().expect("it listens");
    let address = handle.local_addr();
    handle.run_until(async { panic!("on purpose") }).await;
    assert!(TcpStream::connect(address).is_err(), "nobody listens any more");
}
