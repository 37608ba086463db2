//! The endpoints inside a server of hyper's.

mod common;

use common::{get, monitor};
use hyper_util::rt::TokioIo;

#[tokio::test(flavor = "multi_thread")]
async fn hyper_takes_the_service_as_it_is() {
    let service = avail_http::service(&monitor().await);
    let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.expect("a free port");
    let address = listener.local_addr().expect("bound");
    tokio::spawn(async move {
        let (stream, _) = listener.accept().await.expect("a client");
        let http = hyper::server::conn::http1::Builder::new();
        http.serve_connection(TokioIo::new(stream), service).await.expect("it is served");
    });
    let answer = get(address, "/readyz");
    assert_eq!(answer.status, 200);
    assert!(answer.body.starts_with("{\"ready\":true,"), "{}", answer.body);
}
