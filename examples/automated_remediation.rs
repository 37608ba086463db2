//! Automated remediation: when a component's incident opens, it is connected anew, and the monitor
//! finds out whether that helped.
//!
//! ```text
//! cargo run --example automated_remediation
//! ```

use std::error::Error;
use std::io::{self, Read, Write};
use std::net::{TcpListener, TcpStream};
use std::sync::{Mutex, PoisonError};
use std::time::Duration;

use avail::{AvailabilityMonitor, Event};
use tokio::time::timeout;

/// The connection to a server that echoes what it is sent.
static CONNECTION: Mutex<Option<TcpStream>> = Mutex::new(None);

/// Sends a byte there and back.
#[avail::health_check(name = "echo", interval = "200ms")]
fn echo_answers() -> io::Result<()> {
    let connection = CONNECTION.lock().unwrap_or_else(PoisonError::into_inner);
    let mut stream = connection.as_ref().ok_or(io::ErrorKind::NotConnected)?;
    stream.write_all(b"?")?;
    stream.read_exact(&mut [0])
}

fn connect(address: &str) -> io::Result<()> {
    let stream = TcpStream::connect(address)?;
    stream.set_read_timeout(Some(Duration::from_millis(50)))?;
    *CONNECTION.lock().unwrap_or_else(PoisonError::into_inner) = Some(stream);
    Ok(())
}

/// Echoes ten bytes on each connection, then hangs up on it.
fn echo(listener: &TcpListener) -> io::Result<()> {
    for stream in listener.incoming() {
        let mut stream = stream?;
        let mut byte = [0];
        for _ in 0..10 {
            stream.read_exact(&mut byte)?;
            stream.write_all(&byte)?;
        }
    }
    Ok(())
}

#[tokio::main]
async fn main() -> Result<(), Box<dyn Error>> {
    let listener = TcpListener::bind("127.0.0.1:0")?;
    let address = listener.local_addr()?.to_string();
    std::thread::spawn(move || echo(&listener));
    connect(&address)?;
    let monitor = AvailabilityMonitor::builder().start().await?;
    let mut events = monitor.subscribe();

    // Twice is enough to see. A service would go on for ever.
    let mut resolved = 0;
    while resolved < 2 {
        match timeout(Duration::from_secs(10), events.recv()).await?? {
            Event::IncidentOpened(incident) | Event::IncidentReopened(incident)
                if &*incident.component == "echo" =>
            {
                println!("down: {}; connecting anew", incident.error.unwrap_or_default());
                connect(&address)?;
            }
            Event::IncidentResolved(incident) => {
                resolved += 1;
                println!("resolved, {:.1} s of downtime so far", incident.duration_seconds);
            }
            _ => {}
        }
    }
    monitor.stop().await;
    Ok(())
}
