//! Incidents: opened when a component goes down or a breaker opens, resolved when that is over.

use std::collections::{HashMap, VecDeque};
use std::fmt;
use std::sync::Arc;

use chrono::{DateTime, Utc};
use serde::{Deserialize, Serialize};

use super::metrics::REOPEN_WITHIN;
use super::moment::{Moment, Span, millis};
use crate::health::FailureClass;

/// How bad an incident is.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Severity {
    /// A breaker opened; nothing is down.
    Minor,
    /// A component is down that the service can do without.
    Major,
    /// A critical component is down.
    Critical,
}

impl Severity {
    /// Every severity, in the order in which metrics list them.
    pub const ALL: [Severity; 3] = [Severity::Minor, Severity::Major, Severity::Critical];

    /// `minor`, `major` or `critical`.
    pub fn as_str(self) -> &'static str {
        match self {
            Severity::Minor => "minor",
            Severity::Major => "major",
            Severity::Critical => "critical",
        }
    }
}

impl fmt::Display for Severity {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(self.as_str())
    }
}

/// A failure of a component, from its beginning to its end.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[non_exhaustive]
pub struct Incident {
    /// Unique in a history; sorts by time.
    pub id: Arc<str>,
    /// The component that failed.
    pub component: Arc<str>,
    /// How bad it is: the worst that it has been.
    pub severity: Severity,
    /// When it began: the start of the first failing run.
    pub start_time: DateTime<Utc>,
    /// When it was known: later than the start where a threshold had to be reached.
    pub detected_at: DateTime<Utc>,
    /// When it was over: the start of the first good run; `None` while it lasts.
    pub end_time: Option<DateTime<Utc>>,
    /// Seconds of down time, gaps excluded; up to now while it lasts. For one without down time:
    /// seconds from start to end.
    pub duration_seconds: f64,
    /// What was wrong, in the words of the check or of the breaker.
    pub error: Option<String>,
    /// In which way it failed last, as far as that is known.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub class: Option<FailureClass>,
    /// How many runs failed, and how often the breaker opened.
    pub failures: u64,
    /// Whether it is over.
    pub resolved: bool,
    /// The incident of a component that this one depends on.
    pub parent: Option<Arc<str>>,
}

impl Incident {
    pub(crate) fn start(&self) -> Moment {
        self.start_time.into()
    }

    pub(crate) fn end(&self) -> Option<Moment> {
        self.end_time.map(Moment::from)
    }

    pub(crate) fn overlaps(&self, span: Span) -> bool {
        self.start() < span.to && self.end().is_none_or(|end| end > span.from)
    }

    /// Whether the component is down in it, and not only its breaker open.
    pub(crate) fn has_downtime(&self) -> bool {
        self.severity > Severity::Minor
    }
}

/// The incidents of a history: a bounded list, oldest first, and how many there ever were.
#[derive(Clone, Debug, Default)]
pub(crate) struct IncidentLog {
    list: VecDeque<Incident>,
    next: u64,
    /// By component and severity; never decreases.
    opened: HashMap<Arc<str>, [u64; 3]>,
}

impl IncidentLog {
    /// So many are kept; what the figures say does not depend on it.
    const CAPACITY: usize = 10_000;

    /// A new incident, or the component's last one again if it was over only just now.
    pub(crate) fn open(
        &mut self,
        component: &Arc<str>,
        severity: Severity,
        start: Moment,
        detected: Moment,
        error: Option<String>,
    ) -> (&mut Incident, bool) {
        let reopened = self.last_of(component).filter(|&index| {
            let last = &self.list[index];
            last.has_downtime()
                && severity > Severity::Minor
                && last.end().is_some_and(|end| start.since(end) <= millis(REOPEN_WITHIN))
        });
        if let Some(index) = reopened {
            let incident = &mut self.list[index];
            incident.end_time = None;
            incident.resolved = false;
            incident.error = error.or(incident.error.take());
            self.raise(component, severity);
            return (&mut self.list[index], true);
        }
        let id = self.id(start);
        self.count(component, severity);
        self.push(Incident {
            id,
            component: component.clone(),
            severity,
            start_time: start.to_datetime(),
            detected_at: detected.to_datetime(),
            end_time: None,
            duration_seconds: 0.0,
            error,
            class: None,
            failures: 0,
            resolved: false,
            parent: None,
        });
        let last = self.list.len() - 1;
        (&mut self.list[last], false)
    }

    /// Sorts by time, and stays unique where two begin in one millisecond.
    fn id(&mut self, start: Moment) -> Arc<str> {
        self.next += 1;
        format!("{:011x}-{:04x}", start.0.max(0), self.next & 0xffff).into()
    }

    fn push(&mut self, incident: Incident) {
        if self.list.len() >= Self::CAPACITY {
            let oldest = self.list.iter().position(|incident| incident.resolved);
            self.list.remove(oldest.unwrap_or(0));
        }
        self.list.push_back(incident);
    }

    /// One that the history tells of, as it was last.
    pub(crate) fn restore(&mut self, incident: Incident) {
        match self.list.iter().rposition(|known| known.id == incident.id) {
            Some(index) => {
                if incident.severity > self.list[index].severity {
                    self.count(&incident.component, incident.severity);
                }
                self.list[index] = incident;
            }
            None => {
                self.next += 1;
                self.count(&incident.component, incident.severity);
                self.push(incident);
            }
        }
    }

    fn last_of(&self, component: &str) -> Option<usize> {
        self.list.iter().rposition(|incident| &*incident.component == component)
    }

    /// The component's open incident.
    pub(crate) fn open_of(&mut self, component: &str) -> Option<&mut Incident> {
        let index = self.last_of(component)?;
        Some(&mut self.list[index]).filter(|incident| !incident.resolved)
    }

    /// Raises the severity of the component's open incident, if it is not that bad yet. It then
    /// counts under both severities: the counters never decrease.
    pub(crate) fn raise(&mut self, component: &str, severity: Severity) {
        let Some(incident) = self.open_of(component) else { return };
        if severity > incident.severity {
            incident.severity = severity;
            let component = incident.component.clone();
            self.count(&component, severity);
        }
    }

    fn count(&mut self, component: &Arc<str>, severity: Severity) {
        self.opened.entry(component.clone()).or_default()[severity as usize] += 1;
    }

    pub(crate) fn iter(&self) -> impl DoubleEndedIterator<Item = &Incident> {
        self.list.iter()
    }

    /// How many of the component there ever were, by severity.
    pub(crate) fn opened_of(&self, component: &str) -> [u64; 3] {
        self.opened.get(component).copied().unwrap_or_default()
    }

    /// How many there ever were, by severity.
    pub(crate) fn opened(&self) -> [u64; 3] {
        let by_component = self.opened.values();
        by_component.fold([0; 3], |sum, one| [sum[0] + one[0], sum[1] + one[1], sum[2] + one[2]])
    }
}
