//! From a request's head to what it is about, or a refusal: before a byte of the body is read.

use http::header::{self, HeaderMap, HeaderValue};
use http::{Method, StatusCode, Uri};
use serde_json::json;

use super::Admin;
use super::service::BODY;
use crate::answer::Answer;
use crate::query::decode;
use crate::security::bearer;

/// Every path, as answers list them.
const PATHS: [&str; 9] = [
    "/admin/breakers/{name}/reset",
    "/admin/breakers/{name}/trip",
    "/admin/breakers/{name}/force-open",
    "/admin/breakers/{name}/disable",
    "/admin/breakers/{name}/shadow",
    "/admin/breakers/{name}/clear",
    "/admin/maintenance",
    "/admin/maintenance/end",
    "/admin/checks/{name}/refresh",
];

/// What a request is about.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Target {
    Breaker { name: String, command: Command },
    Maintenance,
    EndOfMaintenance,
    Check { name: String },
}

/// What can be done to a breaker.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Command {
    Reset,
    Trip,
    ForceOpen,
    Disable,
    Shadow,
    Clear,
}

impl Target {
    fn of(path: &str) -> Option<Target> {
        let path = path.strip_suffix('/').unwrap_or(path).strip_prefix("/admin/")?;
        match path {
            "maintenance" => return Some(Target::Maintenance),
            "maintenance/end" => return Some(Target::EndOfMaintenance),
            _ => {}
        }
        let (kind, rest) = path.split_once('/')?;
        let (name, word) = rest.rsplit_once('/').filter(|(name, _)| !name.is_empty())?;
        let name = decode(name);
        match kind {
            "breakers" => Some(Target::Breaker { name, command: Command::of(word)? }),
            "checks" if word == "refresh" => Some(Target::Check { name }),
            _ => None,
        }
    }
}

impl Command {
    fn of(word: &str) -> Option<Command> {
        match word {
            "reset" => Some(Command::Reset),
            "trip" => Some(Command::Trip),
            "force-open" => Some(Command::ForceOpen),
            "disable" => Some(Command::Disable),
            "shadow" => Some(Command::Shadow),
            "clear" => Some(Command::Clear),
            _ => None,
        }
    }
}

/// Lets a request in, or says why not. The token is asked for before anything is said of the
/// request's body.
pub(super) fn admit(
    admin: &Admin,
    method: &Method,
    uri: &Uri,
    headers: &HeaderMap,
) -> Result<Target, Box<Answer>> {
    let Some(target) = Target::of(uri.path()) else {
        let body = json!({ "error": "there is nothing at this path", "paths": PATHS });
        return Err(Answer::json(StatusCode::NOT_FOUND, &body).into());
    };
    if method != Method::POST {
        let answer = refuse(StatusCode::METHOD_NOT_ALLOWED, "this path takes POST only");
        return Err(answer.with(header::ALLOW, HeaderValue::from_static("POST")).into());
    }
    if !names_allowed_host(admin, uri, headers) {
        let error = "this host is none of those that may be named here; the program lists them \
                     by `Admin::hosts`";
        return Err(refuse(StatusCode::FORBIDDEN, error).into());
    }
    let authorization = headers.get(header::AUTHORIZATION).map(HeaderValue::as_bytes);
    if !authorization.and_then(bearer).is_some_and(|shown| admin.token.is(shown)) {
        let answer = refuse(StatusCode::UNAUTHORIZED, "this path needs the bearer token");
        let scheme = HeaderValue::from_static("Bearer realm=\"avail\"");
        return Err(answer.with(header::WWW_AUTHENTICATE, scheme).into());
    }
    has_acceptable_body(headers).map(|()| target)
}

/// Every host that it names is one of the list, and it names one.
fn names_allowed_host(admin: &Admin, uri: &Uri, headers: &HeaderMap) -> bool {
    let named = headers.get_all(header::HOST).iter().map(|host| host.to_str().unwrap_or_default());
    let named = named.chain(uri.authority().map(http::uri::Authority::as_str));
    let named: Vec<_> = named.collect();
    !named.is_empty() && named.iter().all(|host| admin.hosts.allow(host))
}

/// A form of a web page can send none that is said to be JSON.
fn has_acceptable_body(headers: &HeaderMap) -> Result<(), Box<Answer>> {
    let text = |name| headers.get(name).and_then(|value: &HeaderValue| value.to_str().ok());
    let media = text(header::CONTENT_TYPE).unwrap_or_default();
    let media = media.split(';').next().unwrap_or_default().trim();
    if !media.eq_ignore_ascii_case("application/json") {
        let error = "the body has to be `Content-Type: application/json`";
        return Err(refuse(StatusCode::UNSUPPORTED_MEDIA_TYPE, error).into());
    }
    match text(header::CONTENT_LENGTH).and_then(|length| length.parse::<usize>().ok()) {
        None => Err(refuse(StatusCode::LENGTH_REQUIRED, "the body needs a Content-Length").into()),
        Some(length) if length > BODY => Err(too_long().into()),
        Some(_) => Ok(()),
    }
}

pub(super) fn too_long() -> Answer {
    refuse(StatusCode::PAYLOAD_TOO_LARGE, "the body may be 8 KiB long")
}

pub(super) fn refuse(status: StatusCode, error: &str) -> Answer {
    Answer::json(status, &json!({ "error": error }))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_path_has_its_target_with_and_without_a_trailing_slash() {
        let breaker = |name: &str, command| Target::Breaker { name: name.into(), command };
        let table = [
            ("/admin/breakers/storage/reset", breaker("storage", Command::Reset)),
            ("/admin/breakers/storage/trip", breaker("storage", Command::Trip)),
            (
                "/admin/breakers/tenants[a%2Fb]/force-open",
                breaker("tenants[a/b]", Command::ForceOpen),
            ),
            ("/admin/breakers/a/b/disable", breaker("a/b", Command::Disable)),
            ("/admin/breakers/a%20b/shadow", breaker("a b", Command::Shadow)),
            ("/admin/breakers/reset/clear", breaker("reset", Command::Clear)),
            ("/admin/maintenance", Target::Maintenance),
            ("/admin/maintenance/end", Target::EndOfMaintenance),
            ("/admin/checks/app::db/refresh", Target::Check { name: "app::db".into() }),
        ];
        for (path, target) in table {
            assert_eq!(Target::of(path).as_ref(), Some(&target), "{path}");
            assert_eq!(Target::of(&format!("{path}/")), Some(target), "{path}/");
        }
        for path in PATHS {
            assert!(Target::of(path).is_some(), "{path}");
        }
    }

    #[test]
    fn any_other_path_has_none() {
        for path in [
            "/admin",
            "/admin/",
            "/admin/breakers",
            "/admin/breakers/storage",
            "/admin/breakers//reset",
            "/admin/breakers/reset",
            "/admin/breakers/storage/open",
            "/admin/checks/storage/reset",
            "/admin/maintenance/start",
            "/administer/breakers/storage/reset",
        ] {
            assert_eq!(Target::of(path), None, "{path}");
        }
    }
}
