//! What every request must say: which host it means (RFC 9112, 3.2). hyper leaves that to us.

use bytes::Bytes;
use http::uri::Authority;
use http::{HeaderMap, Request, Response, StatusCode, Version, header};
use http_body_util::Full;
use serde_json::json;

use crate::answer::Answer;

/// The refusal of a request that names no host, several, or what is none.
pub(super) fn refusal<B>(request: &Request<B>) -> Option<Response<Full<Bytes>>> {
    let error = fault(request.version(), request.headers())?;
    let answer = Answer::json(StatusCode::BAD_REQUEST, &json!({ "error": error }));
    Some(answer.into_response(request.method() == http::Method::HEAD).map(Full::new))
}

fn fault(version: Version, headers: &HeaderMap) -> Option<&'static str> {
    let mut hosts = headers.get_all(header::HOST).iter();
    match (hosts.next(), hosts.next()) {
        (None, _) if version >= Version::HTTP_11 => Some("a request of HTTP/1.1 needs a Host"),
        (None, _) => None,
        (Some(_), Some(_)) => Some("a request has one Host, and this has several"),
        (Some(host), None) => (!is_host(host.as_bytes()))
            .then_some("this Host is none: it is a name or an address, and maybe a port"),
    }
}

/// Most are made of what any host may be made of, and need no parsing.
fn is_host(text: &[u8]) -> bool {
    let is_plain = |byte: &u8| byte.is_ascii_alphanumeric() || matches!(byte, b'.' | b'-');
    let (name, port) = match text.iter().position(|byte| *byte == b':') {
        Some(colon) => (&text[..colon], &text[colon + 1..]),
        None => (text, [].as_slice()),
    };
    let plain = name.iter().all(is_plain) && port.len() <= 4 && port.iter().all(u8::is_ascii_digit);
    text.is_empty() || (plain && !name.is_empty()) || Authority::try_from(text).is_ok()
}

#[cfg(test)]
mod tests {
    use http::HeaderValue;

    use super::*;

    #[test]
    fn a_request_names_one_host_unless_it_is_of_http_1_0() {
        let table: [(Version, &[&str], bool); 13] = [
            (Version::HTTP_11, &["x"], true),
            (Version::HTTP_11, &["10.0.0.7:8000"], true),
            (Version::HTTP_11, &["[::1]:8000"], true),
            (Version::HTTP_11, &[""], true),
            (Version::HTTP_11, &[], false),
            (Version::HTTP_11, &["x", "x"], false),
            (Version::HTTP_11, &["x y"], false),
            (Version::HTTP_11, &["a.example-1.org:65535"], true),
            (Version::HTTP_11, &["x:1:2"], false),
            (Version::HTTP_11, &["x/y"], false),
            (Version::HTTP_11, &["[::1"], false),
            (Version::HTTP_10, &[], true),
            (Version::HTTP_10, &["x", "y"], false),
        ];
        for (version, hosts, good) in table {
            let mut headers = HeaderMap::new();
            for host in hosts {
                headers.append(header::HOST, HeaderValue::from_static(host));
            }
            assert_eq!(fault(version, &headers).is_none(), good, "{version:?} {hosts:?}");
        }
    }
}
