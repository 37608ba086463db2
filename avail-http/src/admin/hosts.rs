//! Which hosts a request may name. A page whose name is bound to this machine by its own DNS sends
//! that name, whatever the browser takes for its origin.

use std::sync::Arc;

use http::uri::Authority;

/// The port of a host that names none.
const HTTP: u16 = 80;

/// See the [module](self).
#[derive(Clone, Debug)]
pub(super) struct Hosts {
    allowed: Arc<[(String, Option<u16>)]>,
    are_default: bool,
}

impl Default for Hosts {
    fn default() -> Self {
        Hosts { are_default: true, ..Hosts::of(["localhost", "127.0.0.1", "[::1]"]) }
    }
}

impl Hosts {
    /// What is no host allows nothing.
    pub(super) fn of<H: AsRef<str>>(hosts: impl IntoIterator<Item = H>) -> Self {
        let hosts = hosts.into_iter().filter_map(|host| parse(host.as_ref().trim()));
        Hosts { allowed: hosts.collect(), are_default: false }
    }

    pub(super) fn listening_on(&mut self, port: u16) {
        if self.are_default {
            self.allowed =
                self.allowed.iter().map(|(name, _)| (name.clone(), Some(port))).collect();
        }
    }

    pub(super) fn allow(&self, host: &str) -> bool {
        let Some((name, port)) = parse(host) else { return false };
        let port = port.unwrap_or(HTTP);
        self.allowed.iter().any(|(allowed, of_port)| {
            *allowed == name && of_port.is_none_or(|allowed| allowed == port)
        })
    }
}

/// A name in lower case, and a port. One with a user in it is none, nor is one whose port is no
/// port: that does not stand for every port.
fn parse(host: &str) -> Option<(String, Option<u16>)> {
    let authority: Authority = host.parse().ok()?;
    let (name, port) = (authority.host(), authority.port_u16());
    let is_whole = match port {
        Some(_) => !authority.as_str().contains('@'),
        None => authority.as_str() == name,
    };
    is_whole.then(|| (name.to_ascii_lowercase(), port))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn hosts_are_compared_by_name_and_where_it_matters_by_port() {
        let mut of_server = Hosts::default();
        of_server.listening_on(8000);
        let mut given = Hosts::of(["ops.example.org", "10.0.0.7:8000", "not a host", "x:99999"]);
        given.listening_on(9);
        let table = [
            (&of_server, "localhost:8000", true),
            (&of_server, "LOCALHOST:8000", true),
            (&of_server, "127.0.0.1:8000", true),
            (&of_server, "[::1]:8000", true),
            (&of_server, "localhost:8001", false),
            (&of_server, "localhost", false),
            (&of_server, "localhost.:8000", false),
            (&of_server, "[0:0:0:0:0:0:0:1]:8000", false),
            (&of_server, "localhost:", false),
            (&Hosts::default(), "localhost:99999", false),
            (&given, "x", false),
            (&given, "x:1", false),
            (&of_server, "evil.example.org:8000", false),
            (&of_server, "localhost:8000@evil.example.org", false),
            (&of_server, "evil@localhost:8000", false),
            (&of_server, "localhost.evil.example.org:8000", false),
            (&of_server, "", false),
            (&of_server, "not a host", false),
            (&Hosts::default(), "localhost:1", true),
            (&Hosts::default(), "localhost", true),
            (&Hosts::default(), "10.0.0.7", false),
            (&given, "ops.example.org", true),
            (&given, "ops.example.org:443", true),
            (&given, "10.0.0.7:8000", true),
            (&given, "10.0.0.7", false),
            (&given, "localhost:8000", false),
        ];
        for (hosts, host, allowed) in table {
            assert_eq!(hosts.allow(host), allowed, "{host:?} of {hosts:?}");
        }
    }
}
