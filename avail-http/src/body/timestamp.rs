//! RFC 3339, UTC, milliseconds: of one width, so that it sorts as text.

use chrono::{DateTime, SecondsFormat, Utc};
use serde::Serializer;

pub(super) fn serialize<S: Serializer>(
    time: &DateTime<Utc>,
    serializer: S,
) -> Result<S::Ok, S::Error> {
    serializer.serialize_str(&stamp(*time))
}

/// As it is written.
pub(crate) fn stamp(time: DateTime<Utc>) -> String {
    time.to_rfc3339_opts(SecondsFormat::Millis, true)
}

pub(super) mod optional {
    use super::{DateTime, Serializer, Utc};

    pub(in crate::body) fn serialize<S: Serializer>(
        time: &Option<DateTime<Utc>>,
        serializer: S,
    ) -> Result<S::Ok, S::Error> {
        match time {
            Some(time) => super::serialize(time, serializer),
            None => serializer.serialize_none(),
        }
    }
}
