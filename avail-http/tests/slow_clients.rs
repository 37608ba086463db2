//! Clients that dribble, idle or flood: they are closed, and delay nobody.

mod common;

use std::io::{ErrorKind, Read, Write};
use std::net::{SocketAddr, TcpStream};
use std::time::{Duration, Instant};

use common::{answer_on, connect, get, monitor, serve};

/// Waits until the server closes the connection, and gives how long that took.
fn closed_after(begun: Instant, stream: &mut TcpStream) -> Duration {
    match stream.read(&mut [0; 1024]) {
        Ok(_) => {}
        Err(error) => assert_eq!(error.kind(), ErrorKind::ConnectionReset),
    }
    begun.elapsed()
}

#[tokio::test(flavor = "multi_thread")]
async fn a_head_that_does_not_come_to_its_end_is_given_up_after_2_s() {
    let server = serve(&monitor().await);
    let address = server.local_addr();
    let begun = Instant::now();
    let mut silent = connect(address);
    let mut dribbling = connect(address);
    dribbling.write_all(b"GET /livez HTTP/1.1\r\n").expect("it reads");
    // The second request of a connection has the same 2 s, although it may be idle for longer.
    let mut second = connect(address);
    second.write_all(b"GET /livez HTTP/1.1\r\nHost: x\r\n\r\n").expect("it reads");
    assert_eq!(answer_on(&mut second).status, 200);
    second.write_all(b"GET /livez HT").expect("it reads");
    let mut idle = connect(address);
    idle.write_all(b"GET /livez HTTP/1.1\r\nHost: x\r\n\r\n").expect("it reads");
    assert_eq!(answer_on(&mut idle).status, 200);

    let mut dribble = dribbling.try_clone().expect("a socket");
    let writer = std::thread::spawn(move || {
        while begun.elapsed() < Duration::from_secs(4) && dribble.write_all(b"X: y\r\n").is_ok() {
            std::thread::sleep(Duration::from_millis(100)); // a client that is slow on purpose
        }
    });
    for (name, stream) in
        [("silent", &mut silent), ("dribbling", &mut dribbling), ("second", &mut second)]
    {
        let after = closed_after(begun, stream);
        assert!(after >= Duration::from_millis(1_900), "{name}: {after:?}");
        assert!(after < Duration::from_secs(4), "{name}: {after:?}");
    }
    writer.join().expect("it ends");
    idle.write_all(b"GET /readyz HTTP/1.1\r\nHost: x\r\n\r\n").expect("it reads");
    assert_eq!(answer_on(&mut idle).status, 200, "an idle connection may be so for 30 s");
    server.shutdown().await;
}

#[tokio::test]
async fn a_probe_gets_in_where_300_connections_wait_and_those_that_were_answered_are_kept() {
    let server = serve(&monitor().await);
    let address = server.local_addr();
    let mut scraper = connect(address);
    scraper.write_all(b"GET /metrics HTTP/1.1\r\nHost: x\r\n\r\n").expect("it reads");
    assert_eq!(answer_on(&mut scraper).status, 200);

    let mut crowd: Vec<_> = (0..300).map(|_| connect(address)).collect();
    for stream in &mut crowd {
        // Those that came first are closed already, which a write may notice.
        let _ = stream.write_all(b"GET /livez HT");
    }
    let begun = Instant::now();
    assert_eq!(get(address, "/livez").status, 200);
    assert!(begun.elapsed() < Duration::from_secs(1), "{:?}", begun.elapsed());

    scraper.write_all(b"GET /metrics HTTP/1.1\r\nHost: x\r\n\r\n").expect("it reads");
    assert_eq!(answer_on(&mut scraper).status, 200, "it was answered before, and is kept");
    let after = closed_after(begun, &mut crowd[0]);
    assert!(after < Duration::from_secs(1), "the oldest made room at once: {after:?}");
    server.shutdown().await;
}

/// A client that asks for much, again and again, and reads nothing of it.
async fn glutton(address: SocketAddr) -> TcpStream {
    let socket = tokio::net::TcpSocket::new_v4().expect("a socket");
    socket.set_recv_buffer_size(4_096).expect("a size");
    let stream = socket.connect(address).await.expect("it listens").into_std();
    let mut stream = stream.expect("a socket");
    let asked = b"GET /metrics/prometheus HTTP/1.1\r\nHost: x\r\n\r\n".repeat(8_000);
    // As much as it takes: the server reads no further once it can't write.
    let _ = stream.write(&asked);
    stream
}

#[tokio::test(flavor = "multi_thread")]
async fn a_probe_gets_in_where_300_connections_do_not_read_their_answers() {
    let server = serve(&monitor().await);
    let address = server.local_addr();
    let mut crowd = Vec::new();
    for _ in 0..300 {
        crowd.push(glutton(address).await);
    }
    for _ in 0..3 {
        let probe = tokio::task::spawn_blocking(move || get(address, "/livez").status);
        assert_eq!(probe.await.expect("an answer"), 200);
    }
    drop(crowd);
    server.shutdown().await;
}

/// 300 clients that send a byte a second, each replaced when it is closed, for so long.
#[tokio::test(flavor = "multi_thread")]
async fn clients_that_dribble_delay_no_probe_and_are_closed_when_their_head_is_due() {
    let server = serve(&monitor().await);
    let address = server.local_addr();
    let length = Duration::from_secs(if common::soaks() { 60 } else { 4 });
    let begun = Instant::now();
    let dribbling = std::thread::spawn(move || dribble(address, begun, length));

    let mut slowest = Duration::ZERO;
    let mut probes = 0;
    while !dribbling.is_finished() {
        let asked = Instant::now();
        assert_eq!(get(address, if probes % 2 == 0 { "/livez" } else { "/readyz" }).status, 200);
        slowest = slowest.max(asked.elapsed());
        probes += 1;
        std::thread::sleep(Duration::from_millis(20)); // as an eager prober would
    }
    let closed = dribbling.join().expect("it ends");
    assert!(slowest < Duration::from_millis(500), "the slowest of {probes} took {slowest:?}");
    // Each is given 2 s: in that time all 300 are replaced about once.
    assert!(closed >= 300, "{closed} were closed");
    server.shutdown().await;
}

/// Gives how many of the clients were closed by the server.
fn dribble(address: SocketAddr, begun: Instant, length: Duration) -> usize {
    let head = b"GET /livez HTTP/1.1\r\nHost: x\r\nX-Never: ends".iter().cycle();
    let client = || {
        let stream = connect(address);
        stream.set_nonblocking(true).expect("a mode");
        (stream, head.clone())
    };
    let mut clients: Vec<_> = (0..300).map(|_| client()).collect();
    let mut closed = 0;
    while begun.elapsed() < length {
        for one in &mut clients {
            let byte = one.1.next().copied().unwrap_or_default();
            let over = one.0.write_all(&[byte]).is_err() || ended(&mut one.0);
            if over {
                closed += 1;
                *one = client();
            }
        }
        std::thread::sleep(Duration::from_secs(1)); // clients that are slow on purpose
    }
    closed
}

fn ended(stream: &mut TcpStream) -> bool {
    match stream.read(&mut [0; 1024]) {
        Ok(0) => true,
        Ok(_) => panic!("half a head was answered"),
        Err(error) => error.kind() != ErrorKind::WouldBlock,
    }
}
