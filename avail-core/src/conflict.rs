//! One circuit breaker, declared twice with different settings.

use std::fmt;
use std::sync::Arc;

use crate::error::MonitorError;
use crate::site::Origin;

/// Two attributes that declare one name with other keys.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct SiteConflict {
    /// The name.
    pub name: Arc<str>,
    /// The place that serves.
    pub first: Origin,
    /// The place that differs.
    pub second: Origin,
}

impl fmt::Display for SiteConflict {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "`{}` is declared at {} and at {}", self.name, self.first, self.second)
    }
}

/// An attribute that declares a name with other settings than whoever was first with it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Conflict {
    /// That was another attribute.
    Sites(SiteConflict),
    /// That was a call of the registry, which has left no place.
    ByHand { name: Arc<str>, origin: Origin, existing: String },
}

impl fmt::Display for Conflict {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Conflict::Sites(conflict) => conflict.fmt(f),
            Conflict::ByHand { name, origin, existing } => {
                write!(f, "`{name}` is declared at {origin}, and was made by hand with {existing}")
            }
        }
    }
}

impl From<Conflict> for MonitorError {
    fn from(conflict: Conflict) -> Self {
        match conflict {
            Conflict::Sites(conflict) => MonitorError::ConflictingBreakers(Box::new(conflict)),
            Conflict::ByHand { name, origin, existing } => {
                MonitorError::BreakerMadeByHand { name, origin: Box::new(origin), existing }
            }
        }
    }
}
