//! Thousands of clients that come and go: what they leave behind is nothing. It counts what the whole
//! process holds, and so is alone in its file.

#![cfg(target_os = "linux")]

mod common;

use std::io::Write;
use std::time::{Duration, Instant};

use avail_http::ServerHandle;
use common::{connect, get, monitor, serve};

/// What a process holds.
#[derive(Debug)]
struct Held {
    descriptors: usize,
    tasks: usize,
    kib: usize,
}

fn held(server: &ServerHandle) -> Held {
    let descriptors = std::fs::read_dir("/proc/self/fd").expect("Linux").count();
    let status = std::fs::read_to_string("/proc/self/status").expect("Linux");
    let kib = status.lines().find_map(|line| line.strip_prefix("RssAnon:"));
    let kib = kib.and_then(|kib| kib.trim().trim_end_matches(" kB").parse().ok());
    Held { descriptors, tasks: server.connections(), kib: kib.expect("a size") }
}

#[tokio::test(flavor = "multi_thread")]
async fn clients_that_come_and_go_leave_nothing_behind() {
    let server = serve(&monitor().await);
    let address = server.local_addr();
    let visit = |visits: usize| {
        for visit in 0..visits {
            let mut stream = connect(address);
            match visit % 4 {
                0 => {}
                1 => stream.write_all(b"GET /livez HT").expect("it reads"),
                2 => {
                    // Gone before the answer is.
                    stream
                        .write_all(b"GET /metrics HTTP/1.1\r\nHost: x\r\n\r\n")
                        .expect("it reads");
                }
                _ => assert_eq!(get(address, "/livez").status, 200),
            }
        }
        // All of them are gone once the server has noticed.
        let begun = Instant::now();
        while held(&server).tasks > 0 {
            assert!(begun.elapsed() < common::PATIENCE, "{:?}", held(&server));
            std::thread::sleep(Duration::from_millis(10));
        }
        held(&server)
    };
    // More in a minute than there are ports would only try the system.
    let visits = if common::soaks() { 10_000 } else { 3_000 };
    let before = visit(500); // so that every buffer has its size
    let after = visit(visits);
    assert_eq!(after.descriptors, before.descriptors, "{before:?}, then {after:?}");
    assert!(after.kib < before.kib + 8 * 1024, "{before:?}, then {after:?}");
    assert_eq!(get(address, "/livez").status, 200);
    server.shutdown().await;
}
