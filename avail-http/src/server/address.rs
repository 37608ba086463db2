//! Where the server listens, and who said so.

use std::net::{SocketAddr, ToSocketAddrs};

use super::ServerError;

/// The environment variable that overrides where it listens.
const VARIABLE: &str = "AVAIL_LISTEN";
const DEFAULT: &str = "127.0.0.1:8000";

/// An address as text, and where the text comes from.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Address<'a> {
    text: &'a str,
    origin: &'static str,
}

/// What the environment says; an empty variable says nothing.
pub(super) fn of_environment() -> Result<Option<String>, ServerError> {
    let Some(text) = std::env::var_os(VARIABLE).filter(|text| !text.is_empty()) else {
        return Ok(None);
    };
    let text = text.into_string();
    text.map(Some).map_err(|text| {
        ServerError::of_address(&text.to_string_lossy(), VARIABLE, "it is no Unicode".into())
    })
}

/// The environment wins over the program, and the program over the default.
pub(super) fn choose<'a>(variable: Option<&'a str>, listen: Option<&'a str>) -> Address<'a> {
    match (variable, listen) {
        (Some(text), _) => Address { text, origin: VARIABLE },
        (None, Some(text)) => Address { text, origin: "the program" },
        (None, None) => Address { text: DEFAULT, origin: "the default" },
    }
}

impl<'a> Address<'a> {
    pub(super) fn text(self) -> &'a str {
        self.text
    }

    /// A name may stand for several addresses; the first that can be bound is taken.
    pub(super) fn resolve(self) -> Result<Vec<SocketAddr>, ServerError> {
        let refuse = |reason| Err(ServerError::of_address(self.text, self.origin, reason));
        match self.text.trim().to_socket_addrs() {
            Ok(addresses) => {
                let addresses: Vec<_> = addresses.collect();
                if addresses.is_empty() {
                    refuse("it has no address".into())
                } else {
                    Ok(addresses)
                }
            }
            Err(error) => refuse(error.to_string()),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_environment_wins_over_the_program_and_that_over_the_default() {
        assert_eq!(choose(None, None).text(), "127.0.0.1:8000");
        assert_eq!(choose(None, Some("[::1]:1")).text(), "[::1]:1");
        assert_eq!(choose(Some("0.0.0.0:2"), Some("[::1]:1")).text(), "0.0.0.0:2");
    }

    #[test]
    fn a_bad_address_is_refused_and_says_where_it_comes_from() {
        for text in ["8000", "127.0.0.1", "127.0.0.1:80000", "127.0.0.1:x", "", "http://x:1/"] {
            let error = choose(Some(text), None).resolve().expect_err(text).to_string();
            let beginning = format!("`{text}`, from AVAIL_LISTEN, is no address to listen on: ");
            assert!(error.starts_with(&beginning), "{error}");
            assert!(error.ends_with("such as `127.0.0.1:8000` or `0.0.0.0:8000`"), "{error}");
        }
    }

    #[test]
    fn addresses_and_names_are_resolved() {
        let resolved = choose(None, Some(" 127.0.0.1:9 ")).resolve().expect("an address");
        assert_eq!(resolved, [SocketAddr::from(([127, 0, 0, 1], 9))]);
        assert!(choose(None, Some("localhost:0")).resolve().is_ok());
    }
}
