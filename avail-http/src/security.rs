//! Who may see what: error texts and details name hosts, queries and users, so that they are
//! withheld from callers who have not shown a token, and secrets in them are masked from everybody.

use std::fmt;
use std::sync::Arc;

use serde_json::{Map, Value};
use subtle::ConstantTimeEq;

mod mask;

pub(crate) use self::mask::mask;
use self::mask::names_a_secret;

/// Who is shown the texts of errors and the details of checks. The class of an error, such as
/// `timeout`, is shown to everybody.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
pub enum Details {
    /// Nobody.
    Never,
    /// Whoever shows the bearer token; nobody, where there is no token.
    #[default]
    Authorized,
    /// Everybody.
    Always,
}

/// Who asks.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
pub enum Caller {
    /// Anybody.
    #[default]
    Anonymous,
    /// One who has shown the token.
    Authorized,
}

/// What endpoints are told about who may see what.
#[derive(Clone, Debug, Default)]
pub(crate) struct Access {
    pub(crate) details: Details,
    token: Option<Token>,
}

impl Access {
    /// An empty token is none: it would let everybody in.
    pub(crate) fn set_token(&mut self, token: &str) {
        self.token = Token::new(token);
    }

    /// Who sends this `Authorization` header.
    pub(crate) fn caller(&self, authorization: Option<&[u8]>) -> Caller {
        let shown = authorization.and_then(bearer);
        match (shown, &self.token) {
            (Some(shown), Some(token)) if token.is(shown) => Caller::Authorized,
            _ => Caller::Anonymous,
        }
    }

    pub(crate) fn sight(&self, caller: Caller) -> Sight {
        match (self.details, caller) {
            (Details::Always, _) | (Details::Authorized, Caller::Authorized) => Sight::Full,
            _ => Sight::Withheld,
        }
    }
}

#[derive(Clone)]
pub(crate) struct Token(Arc<str>);

impl Token {
    /// None where it is empty. A file that holds one ends with a line feed, which no header can.
    pub(crate) fn new(token: &str) -> Option<Self> {
        let token = token.trim();
        (!token.is_empty()).then(|| Token(token.into()))
    }

    /// In constant time for every token of the same length.
    pub(crate) fn is(&self, shown: &[u8]) -> bool {
        self.0.as_bytes().ct_eq(shown).into()
    }
}

impl fmt::Debug for Token {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Token(…)")
    }
}

/// The token of `Bearer <token>`; the scheme's case does not matter (RFC 9110, 11.1).
pub(crate) fn bearer(authorization: &[u8]) -> Option<&[u8]> {
    let (scheme, token) = authorization.split_at_checked(b"bearer ".len())?;
    scheme.eq_ignore_ascii_case(b"bearer ").then(|| token.trim_ascii())
}

/// How much a caller is shown.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Sight {
    /// Texts and details, secrets masked.
    Full,
    /// Neither.
    Withheld,
}

impl Sight {
    /// An error's text, as far as it may be seen.
    pub(crate) fn text(self, text: Option<&str>) -> Option<String> {
        text.filter(|_| self == Sight::Full).map(mask)
    }

    /// A check's details, as far as they may be seen.
    pub(crate) fn details(self, details: &Map<String, Value>) -> Option<Map<String, Value>> {
        (self == Sight::Full).then(|| masked(details))
    }
}

fn masked(details: &Map<String, Value>) -> Map<String, Value> {
    let entries = details.iter().map(|(key, value)| {
        let value = if names_a_secret(key) { mask::MASK.into() } else { masked_value(value) };
        (key.clone(), value)
    });
    entries.collect()
}

fn masked_value(value: &Value) -> Value {
    match value {
        Value::String(text) => mask(text).into(),
        Value::Array(items) => items.iter().map(masked_value).collect(),
        Value::Object(entries) => masked(entries).into(),
        other => other.clone(),
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn access(details: Details, token: &str) -> Access {
        let mut access = Access { details, ..Access::default() };
        access.set_token(token);
        access
    }

    #[test]
    fn only_the_right_token_authorizes() {
        let access = access(Details::Authorized, "s3cret");
        let cases: [(Option<&[u8]>, Caller); 9] = [
            (Some(b"Bearer s3cret"), Caller::Authorized),
            (Some(b"bearer s3cret"), Caller::Authorized),
            (Some(b"Bearer  s3cret "), Caller::Authorized),
            (Some(b"Bearer s3cre"), Caller::Anonymous),
            (Some(b"Bearer s3cret2"), Caller::Anonymous),
            (Some(b"Bearer "), Caller::Anonymous),
            (Some(b"Basic s3cret"), Caller::Anonymous),
            (Some(b"s3cret"), Caller::Anonymous),
            (None, Caller::Anonymous),
        ];
        for (authorization, caller) in cases {
            assert_eq!(access.caller(authorization), caller, "{authorization:?}");
        }
    }

    #[test]
    fn an_empty_token_lets_nobody_in() {
        assert_eq!(access(Details::Authorized, "").caller(Some(b"Bearer ")), Caller::Anonymous);
        assert_eq!(Access::default().caller(Some(b"Bearer ")), Caller::Anonymous);
        assert_eq!(access(Details::Authorized, " \n").caller(Some(b"Bearer ")), Caller::Anonymous);
    }

    #[test]
    fn the_line_feed_of_a_file_is_no_part_of_a_token() {
        let access = access(Details::Authorized, "s3cret\n");
        assert_eq!(access.caller(Some(b"Bearer s3cret")), Caller::Authorized);
    }

    #[test]
    fn details_decide_who_sees_texts() {
        let table = [
            (Details::Never, Sight::Withheld, Sight::Withheld),
            (Details::Authorized, Sight::Withheld, Sight::Full),
            (Details::Always, Sight::Full, Sight::Full),
        ];
        for (details, anonymous, authorized) in table {
            let access = access(details, "s3cret");
            assert_eq!(access.sight(Caller::Anonymous), anonymous, "{details:?}");
            assert_eq!(access.sight(Caller::Authorized), authorized, "{details:?}");
        }
        assert_eq!(Access::default().details, Details::Authorized);
    }

    #[test]
    fn a_token_is_not_printed() {
        assert!(!format!("{:?}", access(Details::Authorized, "s3cret")).contains("s3cret"));
    }

    #[test]
    fn details_are_masked_at_every_depth() {
        let Value::Object(details) = json!({
            "pool": { "url": "postgres://app:hunter2@db/x", "size": 5, "db_password": 7 },
            "tried": ["password=hunter2"],
        }) else {
            unreachable!("an object")
        };
        let shown = Sight::Full.details(&details).expect("shown");
        assert_eq!(
            Value::from(shown),
            json!({
                "pool": { "url": "postgres://app:***@db/x", "size": 5, "db_password": "***" },
                "tried": ["password=***"],
            })
        );
        assert_eq!(Sight::Withheld.details(&details), None);
    }
}
