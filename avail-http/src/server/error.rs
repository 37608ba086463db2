//! Why a server can't start.

use std::{fmt, io};

/// Why a server can't start.
///
/// `Debug` shows what `Display` does, so that a `main` which returns it says what to do.
#[derive(thiserror::Error)]
#[non_exhaustive]
pub enum ServerError {
    /// The text is no address.
    #[error(
        "`{text}`, from {origin}, is no address to listen on: {reason}; give it as `host:port`, \
         such as `127.0.0.1:8000` or `0.0.0.0:8000`"
    )]
    #[non_exhaustive]
    Address {
        /// What was given.
        text: String,
        /// Who gave it: `AVAIL_LISTEN`, the program, or the default.
        origin: &'static str,
        /// What is wrong with it.
        reason: String,
    },
    /// Another process listens there.
    #[error(
        "the address {address} is in use by another process; stop that one, or choose another \
         address by `AVAIL_LISTEN` or `--listen`"
    )]
    #[non_exhaustive]
    InUse {
        /// The address.
        address: String,
    },
    /// The system does not let it listen there.
    #[error(
        "can't listen on {address}: {source}; choose another address by `AVAIL_LISTEN` or \
         `--listen`"
    )]
    #[non_exhaustive]
    Bind {
        /// The address.
        address: String,
        /// What the system says.
        source: io::Error,
    },
    /// The server's thread or its runtime could not be made.
    #[error("the server's thread could not be started: {source}")]
    #[non_exhaustive]
    Thread {
        /// What the system says.
        source: io::Error,
    },
}

impl ServerError {
    pub(super) fn of_address(text: &str, origin: &'static str, reason: String) -> Self {
        ServerError::Address { text: text.to_owned(), origin, reason }
    }

    pub(super) fn of_bind(address: &str, source: io::Error) -> Self {
        let address = address.to_owned();
        match source.kind() {
            io::ErrorKind::AddrInUse => ServerError::InUse { address },
            _ => ServerError::Bind { address, source },
        }
    }

    pub(super) fn of_thread(source: io::Error) -> Self {
        ServerError::Thread { source }
    }
}

impl fmt::Debug for ServerError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self, f)
    }
}
