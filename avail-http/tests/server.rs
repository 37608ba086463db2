//! The server over real sockets: every path, and what HTTP asks of it.

mod common;

use std::io::Write;
use std::net::TcpListener;

use avail_http::{Details, Server, ServerError};
use common::{PATHS, answer_on, ask, connect, get, monitor, send, serve, server};

#[tokio::test]
async fn every_path_answers_with_and_without_a_trailing_slash() {
    let server = serve(&monitor().await);
    for path in PATHS {
        for path in [path.to_owned(), format!("{path}/")] {
            let answer = get(server.local_addr(), &path);
            assert_eq!(answer.status, 200, "{path}");
            assert_eq!(answer.header("cache-control"), Some("no-store"), "{path}");
            assert_eq!(answer.header("x-content-type-options"), Some("nosniff"), "{path}");
            let length = answer.body.len().to_string();
            assert_eq!(answer.header("content-length"), Some(&*length), "{path}");
            let text = path.contains("prometheus");
            let begins = if text { "# HELP " } else { "{\"" };
            assert!(answer.body.starts_with(begins), "{path}: {}", answer.body);
        }
    }
    server.shutdown().await;
}

#[tokio::test]
async fn head_has_the_length_of_get_and_no_body() {
    let server = serve(&monitor().await);
    for path in ["/startup", "/nowhere"] {
        let head = ask(server.local_addr(), "HEAD", path);
        let get = get(server.local_addr(), path);
        assert_eq!(head.status, get.status);
        assert_eq!(head.body, "");
        assert!(head.header("content-length").is_some_and(|length| length != "0"), "{head:?}");
        assert_eq!(head.header("content-type"), get.header("content-type"));
    }
    server.shutdown().await;
}

#[tokio::test]
async fn other_methods_and_paths_are_refused_in_json() {
    let server = serve(&monitor().await);
    let post = ask(server.local_addr(), "POST", "/health");
    assert_eq!((post.status, post.header("allow")), (405, Some("GET, HEAD")));
    let nowhere = get(server.local_addr(), "/nowhere");
    assert_eq!((nowhere.status, nowhere.header("content-type")), (404, Some("application/json")));
    assert!(nowhere.body.contains("/readiness"), "{}", nowhere.body);
    let nobody = get(server.local_addr(), "/health/nobody");
    assert_eq!(nobody.status, 404);
    assert!(nobody.body.contains("storage"), "{}", nobody.body);
    server.shutdown().await;
}

#[tokio::test]
async fn a_connection_takes_one_request_after_another() {
    let server = serve(&monitor().await);
    let mut stream = connect(server.local_addr());
    for path in ["/livez", "/readyz", "/metrics", "/nowhere", "/livez"] {
        write!(stream, "GET {path} HTTP/1.1\r\nHost: x\r\n\r\n").expect("it reads");
        let answer = answer_on(&mut stream);
        assert_eq!(answer.status, if path == "/nowhere" { 404 } else { 200 }, "{path}");
    }
    server.shutdown().await;
}

#[tokio::test]
async fn a_request_with_a_body_is_answered_without_reading_it() {
    let server = serve(&monitor().await);
    // One that comes with its head, and one that never does.
    for body in ["2\r\n\r\n{}", "1000000\r\n\r\n{"] {
        let request = format!("GET /livez HTTP/1.1\r\nHost: x\r\nContent-Length: {body}");
        let answer = send(server.local_addr(), &request);
        assert_eq!((answer.status, answer.header("connection")), (200, Some("close")), "{body}");
    }
    server.shutdown().await;
}

#[tokio::test]
async fn a_head_of_more_than_8_kib_is_refused() {
    let server = serve(&monitor().await);
    let long = "x".repeat(10_000);
    let request = format!("GET /livez HTTP/1.1\r\nHost: x\r\nX-Long: {long}\r\n\r\n");
    assert_eq!(send(server.local_addr(), &request).status, 431);
    server.shutdown().await;
}

#[tokio::test]
async fn a_request_of_http_1_1_without_a_host_is_refused_and_one_of_1_0_is_answered() {
    let server = serve(&monitor().await);
    let table = [
        ("HTTP/1.1\r\nConnection: close\r\n", 400),
        ("HTTP/1.1\r\nConnection: close\r\nHost: x\r\nHost: y\r\n", 400),
        ("HTTP/1.1\r\nConnection: close\r\nHost: x\r\n", 200),
        ("HTTP/1.0\r\n", 200),
    ];
    for (rest, status) in table {
        let answer = send(server.local_addr(), &format!("GET /livez {rest}\r\n"));
        assert_eq!(answer.status, status, "{rest:?}");
    }
    server.shutdown().await;
}

#[tokio::test]
async fn the_token_opens_what_is_withheld() {
    let monitor = monitor().await;
    monitor.check_health("cache", || async { Err::<(), _>("no route to 10.0.0.7") }).await;
    let server =
        server(&monitor).details(Details::Authorized).token("s3cret").start().expect("it listens");
    let anonymous = get(server.local_addr(), "/health/cache");
    assert!(!anonymous.body.contains("10.0.0.7"), "{}", anonymous.body);
    let request = "GET /health/cache HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\
                   Authorization: Bearer s3cret\r\n\r\n";
    let authorized = send(server.local_addr(), request);
    assert!(authorized.body.contains("no route to 10.0.0.7"), "{}", authorized.body);
    server.shutdown().await;
}

#[tokio::test]
async fn a_port_in_use_is_one_clear_error() {
    let monitor = monitor().await;
    let other = TcpListener::bind("127.0.0.1:0").expect("a free port");
    let address = other.local_addr().expect("bound").to_string();
    let error = Server::new(&monitor).listen(&address).environment(false).start();
    let error = error.expect_err("in use");
    assert!(matches!(error, ServerError::InUse { .. }), "{error:?}");
    let expected = format!(
        "the address {address} is in use by another process; stop that one, or choose another \
         address by `AVAIL_LISTEN` or `--listen`"
    );
    assert_eq!(error.to_string(), expected);
}

#[tokio::test]
async fn a_bad_address_is_one_clear_error() {
    let monitor = monitor().await;
    let error = Server::new(&monitor).listen("8000").environment(false).start();
    let error = error.expect_err("no address").to_string();
    assert!(error.starts_with("`8000`, from the program, is no address to listen on: "), "{error}");
}

#[tokio::test]
async fn after_the_shutdown_the_port_is_free_and_idle_connections_are_closed() {
    let server = serve(&monitor().await);
    let address = server.local_addr();
    let mut idle = connect(address);
    write!(idle, "GET /livez HTTP/1.1\r\nHost: x\r\n\r\n").expect("it reads");
    answer_on(&mut idle);
    server.shutdown().await;
    assert_eq!(common::rest(&mut idle), "");
    assert!(std::net::TcpStream::connect(address).is_err(), "nobody listens any more");
    TcpListener::bind(address).expect("the port is free");
}

#[test]
fn it_needs_no_runtime_and_outlives_its_handle() {
    let runtime = tokio::runtime::Runtime::new().expect("a runtime");
    let monitor = runtime.block_on(monitor());
    let server = serve(&monitor);
    let address = server.local_addr();
    drop(server);
    assert_eq!(get(address, "/livez").status, 200);
    drop(runtime);
    assert_eq!(get(address, "/readyz").status, 503, "the monitor ended with its runtime");
}
