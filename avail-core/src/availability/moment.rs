//! Wall-clock time in whole milliseconds, and half-open spans of it.

use std::time::Duration;

use chrono::{DateTime, SecondsFormat, Utc};
use serde::{Deserialize, Deserializer, Serialize, Serializer};

/// A point in time: milliseconds since 1970 UTC. In JSON: RFC 3339 UTC with milliseconds.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub(crate) struct Moment(pub(crate) i64);

impl Moment {
    pub(crate) const MAX: Moment = Moment(i64::MAX);

    pub(crate) fn after(self, delay: Duration) -> Self {
        Moment(self.0.saturating_add(millis(delay)))
    }

    pub(crate) fn before(self, lead: Duration) -> Self {
        Moment(self.0.saturating_sub(millis(lead)))
    }

    /// Milliseconds from `earlier` to this point; negative if that lies ahead.
    pub(crate) fn since(self, earlier: Moment) -> i64 {
        self.0.saturating_sub(earlier.0)
    }

    pub(crate) fn to_datetime(self) -> DateTime<Utc> {
        let far = if self.0 < 0 { DateTime::<Utc>::MIN_UTC } else { DateTime::<Utc>::MAX_UTC };
        DateTime::from_timestamp_millis(self.0).unwrap_or(far)
    }
}

pub(crate) fn millis(duration: Duration) -> i64 {
    i64::try_from(duration.as_millis()).unwrap_or(i64::MAX)
}

impl From<DateTime<Utc>> for Moment {
    fn from(time: DateTime<Utc>) -> Self {
        Moment(time.timestamp_millis())
    }
}

impl Serialize for Moment {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.serialize_str(&self.to_datetime().to_rfc3339_opts(SecondsFormat::Millis, true))
    }
}

impl<'de> Deserialize<'de> for Moment {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        DateTime::<Utc>::deserialize(deserializer).map(Moment::from)
    }
}

/// From a point in time up to, but not including, another.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Span {
    pub(crate) from: Moment,
    pub(crate) to: Moment,
}

impl Span {
    pub(crate) fn new(from: Moment, to: Moment) -> Self {
        Span { from, to: to.max(from) }
    }

    /// Milliseconds.
    pub(crate) fn length(self) -> i64 {
        self.to.since(self.from)
    }

    /// What it shares with `other`; empty if they lie apart.
    pub(crate) fn overlap(self, other: Span) -> Span {
        Span::new(self.from.max(other.from), self.to.min(other.to))
    }

    pub(crate) fn contains(self, moment: Moment) -> bool {
        self.from <= moment && moment < self.to
    }
}
