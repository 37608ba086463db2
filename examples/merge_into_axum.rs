//! The endpoints in an axum application that is there already. It asks itself a few questions, and
//! ends.
//!
//! ```text
//! cargo run --example merge_into_axum --features axum
//! ```

use std::error::Error;
use std::net::SocketAddr;

use avail::{AvailabilityMonitor, CircuitBreakerError};
use axum::Router;
use axum::http::StatusCode;
use axum::response::{IntoResponse, Response};
use axum::routing::get;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream};

/// What a handler answers when it can't.
struct Unavailable(CircuitBreakerError);

impl From<CircuitBreakerError> for Unavailable {
    fn from(error: CircuitBreakerError) -> Self {
        Unavailable(error)
    }
}

impl IntoResponse for Unavailable {
    fn into_response(self) -> Response {
        (StatusCode::SERVICE_UNAVAILABLE, self.0.to_string()).into_response()
    }
}

#[avail::circuit_breaker(name = "greetings")]
async fn greet() -> Result<&'static str, Unavailable> {
    Ok("good morning")
}

#[avail::health_check(name = "greetings", interval = "1s")]
async fn greetings_are_ready() -> bool {
    greet().await.is_ok()
}

#[tokio::main]
async fn main() -> Result<(), Box<dyn Error>> {
    let monitor = AvailabilityMonitor::builder().start().await?;
    let app = Router::new().route("/greet", get(greet)).merge(avail::http::router(&monitor));

    let listener = TcpListener::bind("127.0.0.1:0").await?;
    let address = listener.local_addr()?;
    let server = tokio::spawn(async move { axum::serve(listener, app).await });

    for path in ["/greet", "/health", "/liveness"] {
        println!("GET {path}\n{}\n", ask(address, path).await?);
    }
    server.abort();
    monitor.stop().await;
    Ok(())
}

/// The status line and the body.
async fn ask(address: SocketAddr, path: &str) -> Result<String, Box<dyn Error>> {
    let mut stream = TcpStream::connect(address).await?;
    let request = format!("GET {path} HTTP/1.1\r\nHost: {address}\r\nConnection: close\r\n\r\n");
    stream.write_all(request.as_bytes()).await?;
    let mut response = String::new();
    stream.read_to_string(&mut response).await?;
    let (head, body) = response.split_once("\r\n\r\n").ok_or("no end of the head")?;
    Ok(format!("{}\n{body}", head.lines().next().unwrap_or_default()))
}
