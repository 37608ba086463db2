//! From a request's body to what is to be done, or an error that says what is allowed.

use std::time::Duration;

use http::StatusCode;
use serde::de::{DeserializeOwned, Error};
use serde::{Deserialize, Deserializer};
use serde_json::json;

use super::gate::{Command, Target};
use crate::answer::Answer;
use crate::quote::defused;
use crate::security::mask;

/// How long a text may be, in characters.
const LONGEST: usize = 1_000;

/// What is to be done, by whom and why.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Action {
    pub(super) what: What,
    pub(super) actor: String,
    pub(super) reason: String,
}

/// What is to be done.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum What {
    Breaker {
        name: String,
        command: Command,
        ttl: Option<Duration>,
    },
    /// Of the whole system where there is no component.
    Maintain {
        component: Option<String>,
        duration: Duration,
    },
    EndMaintenance {
        component: Option<String>,
    },
    Refresh {
        name: String,
    },
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Plain {
    #[serde(deserialize_with = "text")]
    actor: String,
    #[serde(deserialize_with = "text")]
    reason: String,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Passing {
    #[serde(deserialize_with = "text")]
    actor: String,
    #[serde(deserialize_with = "text")]
    reason: String,
    #[serde(default, deserialize_with = "maybe_time")]
    ttl: Option<Duration>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Maintenance {
    #[serde(deserialize_with = "text")]
    actor: String,
    #[serde(deserialize_with = "text")]
    reason: String,
    component: Option<String>,
    #[serde(deserialize_with = "time")]
    duration: Duration,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct EndOfMaintenance {
    #[serde(deserialize_with = "text")]
    actor: String,
    #[serde(deserialize_with = "text")]
    reason: String,
    component: Option<String>,
}

impl Target {
    /// What the body asks for.
    pub(super) fn read(self, body: &[u8]) -> Result<Action, Box<Answer>> {
        match self {
            Target::Breaker { name, command } if command.passes() => {
                let Passing { actor, reason, ttl } = parse(body, PASSING)?;
                let what = What::Breaker { name, command, ttl };
                Ok(Action { what, actor, reason })
            }
            Target::Breaker { name, command } => {
                let Plain { actor, reason } = parse(body, PLAIN)?;
                let what = What::Breaker { name, command, ttl: None };
                Ok(Action { what, actor, reason })
            }
            Target::Maintenance => {
                let Maintenance { actor, reason, component, duration } = parse(body, MAINTENANCE)?;
                Ok(Action { what: What::Maintain { component, duration }, actor, reason })
            }
            Target::EndOfMaintenance => {
                let EndOfMaintenance { actor, reason, component } = parse(body, END)?;
                Ok(Action { what: What::EndMaintenance { component }, actor, reason })
            }
            Target::Check { name } => {
                let Plain { actor, reason } = parse(body, PLAIN)?;
                Ok(Action { what: What::Refresh { name }, actor, reason })
            }
        }
    }
}

impl Command {
    /// Whether it lays something over the breaker that may end by itself.
    fn passes(self) -> bool {
        matches!(self, Command::ForceOpen | Command::Disable | Command::Shadow)
    }
}

const PLAIN: &str = r#"{ "actor": "anna", "reason": "the disk is back" }"#;
const PASSING: &str = r#"{ "actor": "anna", "reason": "moving the disk", "ttl": "10m" }, and without `ttl` until it is cleared"#;
const MAINTENANCE: &str = r#"{ "actor": "anna", "reason": "moving the disk", "duration": "1h 30m", "component": "storage" }, and without `component` of the whole system"#;
const END: &str = r#"{ "actor": "anna", "reason": "it went well", "component": "storage" }, and without `component` of the whole system"#;

fn parse<T: DeserializeOwned>(body: &[u8], allowed: &str) -> Result<T, Box<Answer>> {
    // serde would take a list of the values, too.
    let parsed = match body.trim_ascii_start().first() {
        Some(b'{') => serde_json::from_slice(body).map_err(|error| defused(&error.to_string())),
        _ => Err("it is no JSON object".into()),
    };
    parsed.map_err(|error| {
        let error = format!("the body is not as it has to be: {error}");
        let body = json!({ "error": error, "allowed": allowed });
        Answer::json(StatusCode::BAD_REQUEST, &body).into()
    })
}

/// Something that says who or why, on one line.
fn text<'de, D: Deserializer<'de>>(deserializer: D) -> Result<String, D::Error> {
    let text = String::deserialize(deserializer)?;
    let trimmed = text.trim();
    if trimmed.is_empty() || trimmed.chars().nth(LONGEST).is_some() {
        return Err(D::Error::custom(format_args!(
            "`actor` and `reason` have 1 to {LONGEST} characters each"
        )));
    }
    if trimmed.chars().any(is_out_of_line) {
        return Err(D::Error::custom("`actor` and `reason` are each one line of text"));
    }
    // They go into the log and the history, where secrets have no more business than in an answer.
    Ok(mask(trimmed))
}

/// What begins another line somewhere, or turns the rest of one around.
fn is_out_of_line(c: char) -> bool {
    c.is_control()
        || matches!(c, '\u{61c}' | '\u{200e}' | '\u{200f}' | '\u{2028}'..='\u{202e}' | '\u{2066}'..='\u{2069}')
}

fn time<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Duration, D::Error> {
    let text = String::deserialize(deserializer)?;
    let time = humantime::parse_duration(&text).ok().filter(|time| !time.is_zero());
    time.ok_or_else(|| {
        D::Error::custom("a time is a text of more than 0 such as `30s`, `10m` or `1h 30m`")
    })
}

fn maybe_time<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Option<Duration>, D::Error> {
    time(deserializer).map(Some)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read(target: Target, body: &str) -> Result<Action, String> {
        target.read(body.as_bytes()).map_err(|answer| {
            let response = answer.into_response(false);
            assert_eq!(response.status(), 400);
            String::from_utf8(response.into_body().to_vec()).expect("UTF-8")
        })
    }

    fn breaker(command: Command) -> Target {
        Target::Breaker { name: "storage".into(), command }
    }

    #[test]
    fn each_target_takes_its_own_body() {
        let who = r#""actor": " anna ", "reason": "why""#;
        let minutes = |minutes: u64| Duration::from_secs(60 * minutes);
        let name = || "storage".to_owned();
        let of_breaker = |command, ttl| What::Breaker { name: name(), command, ttl };
        let check = || Target::Check { name: name() };
        let table = [
            (breaker(Command::Reset), "", of_breaker(Command::Reset, None)),
            (breaker(Command::ForceOpen), "", of_breaker(Command::ForceOpen, None)),
            (
                breaker(Command::Shadow),
                r#", "ttl": "10m""#,
                of_breaker(Command::Shadow, Some(minutes(10))),
            ),
            (
                Target::Maintenance,
                r#", "duration": "1h 30m""#,
                What::Maintain { component: None, duration: minutes(90) },
            ),
            (
                Target::Maintenance,
                r#", "duration": "1m", "component": "storage""#,
                What::Maintain { component: Some(name()), duration: minutes(1) },
            ),
            (Target::EndOfMaintenance, "", What::EndMaintenance { component: None }),
            (check(), "", What::Refresh { name: name() }),
        ];
        for (target, more, what) in table {
            let action = read(target, &format!("{{ {who}{more} }}"));
            let expected = Action { what, actor: "anna".into(), reason: "why".into() };
            assert_eq!(action, Ok(expected));
        }
    }

    #[test]
    fn a_secret_in_a_text_is_not_kept() {
        let body = r#"{"actor":"anna","reason":"new password=hunter2 for the disk"}"#;
        let action = read(breaker(Command::Reset), body).expect("a good body");
        assert_eq!((&*action.actor, &*action.reason), ("anna", "new password=*** for the disk"));
    }

    #[test]
    fn a_body_that_is_not_as_it_has_to_be_is_refused_with_what_is_allowed() {
        let long = format!(r#"{{"actor":"{}","reason":"b"}}"#, "x".repeat(1_001));
        let table = [
            (breaker(Command::Reset), "", "no JSON object"),
            (breaker(Command::Reset), "{", "EOF"),
            (breaker(Command::Reset), r#"["a", "b"]"#, "no JSON object"),
            (breaker(Command::Reset), "null", "no JSON object"),
            (breaker(Command::Reset), r#"{"actor":"a"}"#, "missing field `reason`"),
            (breaker(Command::Reset), r#"{"actor":" ","reason":"b"}"#, "1 to 1000 characters"),
            (breaker(Command::Reset), &long, "1 to 1000 characters"),
            (breaker(Command::Reset), r#"{"actor":"a\nb","reason":"b"}"#, "one line of text"),
            (breaker(Command::Reset), r#"{"actor":"a","reason":"b\u2028c"}"#, "one line of text"),
            (breaker(Command::Reset), r#"{"actor":"a\u202Eb","reason":"c"}"#, "one line of text"),
            (
                breaker(Command::Reset),
                r#"{"actor":"a\u001b[2Jb","reason":"c"}"#,
                "one line of text",
            ),
            (
                breaker(Command::Reset),
                r#"{"actor":"a","reason":"b","ttl":"1m"}"#,
                "unknown field `ttl`",
            ),
            (
                breaker(Command::Disable),
                r#"{"actor":"a","reason":"b","tll":"1m"}"#,
                "expected one of `actor`, `reason`, `ttl`",
            ),
            (
                breaker(Command::Disable),
                r#"{"actor":"a","reason":"b","actor":"c"}"#,
                "duplicate field `actor`",
            ),
            (
                breaker(Command::Disable),
                r#"{"actor":"a","reason":"b","ttl":"0s"}"#,
                "such as `30s`",
            ),
            (breaker(Command::Disable), r#"{"actor":"a","reason":"b","ttl":5}"#, "invalid type"),
            (Target::Maintenance, r#"{"actor":"a","reason":"b"}"#, "missing field `duration`"),
            (
                Target::Maintenance,
                r#"{"actor":"a","reason":"b","duration":"soon"}"#,
                "such as `30s`",
            ),
            (breaker(Command::Reset), r#"{"actor":"a","reason":"b"} x"#, "trailing characters"),
            (breaker(Command::Reset), r#"{"<script>":1}"#, "u{3c}script"),
        ];
        for (target, body, expected) in table {
            let error = read(target, body).expect_err(body);
            assert!(error.contains(expected), "{body}: {error}");
            assert!(error.contains("\"allowed\":\"{ "), "{body}: {error}");
            assert!(!error.contains('<'), "{body}: {error}");
        }
    }
}
