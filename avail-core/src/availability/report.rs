//! A window of time as a report: for a program, and as a table for a person.

mod table;

use std::fmt;
use std::sync::Arc;

use chrono::{DateTime, Utc};
use serde::{Serialize, Serializer};

use super::metrics::{AvailabilityMetrics, Window};
use super::slo::Slo;

/// How available the system and each of its components were in a window of time; see
/// [`AvailabilityMonitor::report`](crate::AvailabilityMonitor::report).
///
/// It serialises, and `Display` writes it as two aligned tables of plain text, with which a person
/// can answer a ticket. Times are hours, minutes and seconds, percentages are cut off and never
/// rounded up, and `-` is what nobody can know.
#[derive(Clone, Debug, PartialEq, Serialize)]
#[non_exhaustive]
pub struct AvailabilityReport {
    /// The window, as [`Window`] writes it: `7d`.
    #[serde(serialize_with = "as_text")]
    pub window: Window,
    /// Where the window begins; for one over all time, where the history does.
    pub from: DateTime<Utc>,
    /// Where it ends: the moment of the report.
    pub to: DateTime<Utc>,
    /// The system: down while a critical component is, or the process itself.
    pub system: ReportEntry,
    /// Each component that is looked at, or was in the window, by name; the process among them.
    pub components: Vec<ReportEntry>,
}

/// The system in a report, or one component.
#[derive(Clone, Debug, PartialEq, Serialize)]
#[non_exhaustive]
pub struct ReportEntry {
    /// The component; empty for the system.
    pub name: Arc<str>,
    /// Whether the system is down while it is.
    pub critical: bool,
    /// The partition of the window, and what follows from it.
    pub metrics: AvailabilityMetrics,
    /// Its objective, in the objective's own window.
    pub slo: Slo,
}

impl AvailabilityReport {
    /// The component of that name.
    pub fn component(&self, name: &str) -> Option<&ReportEntry> {
        self.components.iter().find(|component| &*component.name == name)
    }
}

impl ReportEntry {
    /// Whether the report has anything to say of it.
    pub(crate) fn was_observed(&self) -> bool {
        let metrics = &self.metrics;
        metrics.availability_percentage.is_some() || metrics.maintenance_seconds > 0.0
    }
}

impl fmt::Display for AvailabilityReport {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        table::write(self, f)
    }
}

fn as_text<S: Serializer>(window: &Window, serializer: S) -> Result<S::Ok, S::Error> {
    serializer.collect_str(window)
}

#[cfg(test)]
mod tests;
