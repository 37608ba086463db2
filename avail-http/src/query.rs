//! Query strings: their pairs, percent-decoding, and the filters of `/incidents`.

use avail_core::Incident;
use chrono::{DateTime, Utc};

use crate::quote::Quoted;

/// The pairs of a query string; a key without a value has an empty one.
pub(crate) fn pairs(query: &str) -> impl Iterator<Item = (String, String)> + '_ {
    query.split('&').filter(|pair| !pair.is_empty()).map(|pair| {
        let (key, value) = pair.split_once('=').unwrap_or((pair, ""));
        (decode(&key.replace('+', " ")), decode(&value.replace('+', " ")))
    })
}

/// Percent-decoding; what is no escape stays as it is, and what is no UTF-8 becomes `U+FFFD`.
pub(crate) fn decode(text: &str) -> String {
    let mut bytes = Vec::with_capacity(text.len());
    let mut rest = text.as_bytes();
    while let [first, tail @ ..] = rest {
        let escaped = match rest {
            [b'%', high, low, ..] => hex(*high).zip(hex(*low)),
            _ => None,
        };
        match escaped {
            Some((high, low)) => {
                bytes.push(high << 4 | low);
                rest = &rest[3..];
            }
            None => {
                bytes.push(*first);
                rest = tail;
            }
        }
    }
    String::from_utf8_lossy(&bytes).into_owned()
}

fn hex(digit: u8) -> Option<u8> {
    let value = char::from(digit).to_digit(16)?;
    u8::try_from(value).ok()
}

/// Which incidents `/incidents` lists: `?status=open|resolved&component=&since=&limit=`.
///
/// ```
/// use avail_http::IncidentQuery;
///
/// let query = IncidentQuery::parse("status=open&component=storage&limit=5")?;
/// assert_eq!(query.component.as_deref(), Some("storage"));
/// assert!(IncidentQuery::parse("status=closed").is_err());
/// # Ok::<(), avail_http::QueryError>(())
/// ```
#[derive(Clone, Debug, Default, PartialEq, Eq)]
#[non_exhaustive]
pub struct IncidentQuery {
    /// `status=open`: false, `status=resolved`: true. Default: both.
    pub resolved: Option<bool>,
    /// Only those of this component.
    pub component: Option<String>,
    /// Only those that lasted at this time or later; it takes the place of the last 24 hours, so
    /// that one can look further back.
    pub since: Option<DateTime<Utc>>,
    /// At most so many in each list: the latest.
    pub limit: Option<usize>,
}

impl IncidentQuery {
    /// Reads the filters of a query string; keys that it does not know mean nothing.
    ///
    /// # Errors
    ///
    /// [`QueryError`] where a value is none of those that are allowed, or a key is there twice.
    pub fn parse(query: &str) -> Result<Self, QueryError> {
        let mut parsed = IncidentQuery::default();
        for (key, value) in pairs(query) {
            match &*key {
                "status" => once(&mut parsed.resolved, "status", resolved(&value)?)?,
                "component" => once(&mut parsed.component, "component", value)?,
                "since" => once(&mut parsed.since, "since", since(&value)?)?,
                "limit" => once(&mut parsed.limit, "limit", limit(&value)?)?,
                _ => {}
            }
        }
        Ok(parsed)
    }

    pub(crate) fn admits(&self, incident: &Incident) -> bool {
        let component = self.component.as_deref();
        self.resolved.is_none_or(|resolved| incident.resolved == resolved)
            && component.is_none_or(|component| *incident.component == *component)
            && self.since.is_none_or(|since| incident.end_time.is_none_or(|end| end >= since))
    }
}

/// What is wrong with a query: a value that is none of those that are allowed, or a key that is
/// there more than once.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error(transparent)]
pub struct QueryError(Wrong);

#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
enum Wrong {
    #[error("{} is no value for `{key}`: it is {allowed}", Quoted(.value))]
    Value { key: &'static str, value: String, allowed: &'static str },
    #[error("`{0}` is there more than once: it is allowed once")]
    Repeated(&'static str),
}

/// Puts a value where it belongs. Two of one key contradict each other: whoever wrote them meant
/// something else.
pub(crate) fn once<T>(
    place: &mut Option<T>,
    key: &'static str,
    value: T,
) -> Result<(), QueryError> {
    match place.replace(value) {
        None => Ok(()),
        Some(_) => Err(QueryError(Wrong::Repeated(key))),
    }
}

fn resolved(value: &str) -> Result<bool, QueryError> {
    match value {
        "open" => Ok(false),
        "resolved" => Ok(true),
        _ => Err(refuse("status", value, "`open` or `resolved`")),
    }
}

fn since(value: &str) -> Result<DateTime<Utc>, QueryError> {
    // The `+` of an offset is a space where the client did not escape it.
    let time = DateTime::parse_from_rfc3339(&value.replace(' ', "+"));
    let allowed = "a time as in RFC 3339, such as `2026-02-26T10:00:00Z`";
    time.map(|time| time.to_utc()).map_err(|_| refuse("since", value, allowed))
}

fn limit(value: &str) -> Result<usize, QueryError> {
    let number = value.parse().ok().filter(|limit| *limit > 0);
    number.ok_or_else(|| refuse("limit", value, "a whole number of at least 1"))
}

fn refuse(key: &'static str, value: &str, allowed: &'static str) -> QueryError {
    QueryError(Wrong::Value { key, value: value.to_owned(), allowed })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn percent_escapes_are_decoded_and_broken_ones_kept() {
        let table = [
            ("storage", "storage"),
            ("a%20b", "a b"),
            ("a+b", "a+b"),
            ("%C3%BC%2f%2F", "ü//"),
            ("100%", "100%"),
            ("%4", "%4"),
            ("%zz%+1", "%zz%+1"),
            ("%ff", "\u{fffd}"),
        ];
        for (text, decoded) in table {
            assert_eq!(decode(text), decoded);
        }
    }

    #[test]
    fn a_query_is_a_list_of_pairs() {
        let listed: Vec<_> = pairs("verbose&exclude=a%26b&&exclude=c+d&x==").collect();
        let expected = [("verbose", ""), ("exclude", "a&b"), ("exclude", "c d"), ("x", "=")];
        assert_eq!(listed, expected.map(|(key, value)| (key.to_owned(), value.to_owned())));
    }

    #[test]
    fn each_filter_is_read() {
        let query = "status=resolved&component=a%20b&since=2026-02-26T10:00:00+01:00&limit=3&_=1";
        let since = DateTime::parse_from_rfc3339("2026-02-26T09:00:00Z").expect("valid").to_utc();
        let expected = IncidentQuery {
            resolved: Some(true),
            component: Some("a b".into()),
            since: Some(since),
            limit: Some(3),
        };
        assert_eq!(IncidentQuery::parse(query), Ok(expected));
        assert_eq!(IncidentQuery::parse(""), Ok(IncidentQuery::default()));
    }

    #[test]
    fn a_bad_value_is_refused_with_what_is_allowed() {
        let table = [
            ("status=closed", "`closed` is no value for `status`: it is `open` or `resolved`"),
            (
                "since=yesterday",
                "`yesterday` is no value for `since`: it is a time as in RFC 3339, such as \
                 `2026-02-26T10:00:00Z`",
            ),
            ("limit=0", "`0` is no value for `limit`: it is a whole number of at least 1"),
            ("limit=-1", "`-1` is no value for `limit`: it is a whole number of at least 1"),
            ("limit=", "`` is no value for `limit`: it is a whole number of at least 1"),
            (
                "status=%3Cscript%3E",
                "`\\u{3c}script\\u{3e}` is no value for `status`: it is `open` or `resolved`",
            ),
            ("status=open&status=open", "`status` is there more than once: it is allowed once"),
            ("component=a&component=b", "`component` is there more than once: it is allowed once"),
            ("limit=1&x&limit=1", "`limit` is there more than once: it is allowed once"),
        ];
        for (query, message) in table {
            assert_eq!(IncidentQuery::parse(query).expect_err(query).to_string(), message);
        }
    }
}
