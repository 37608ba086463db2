//! Incidents: opened when a component goes down or a breaker opens, resolved when that is over.

use std::collections::{BTreeMap, BTreeSet, HashMap, HashSet, VecDeque};
use std::fmt;
use std::sync::Arc;

use chrono::{DateTime, Utc};
use serde::{Deserialize, Serialize};

use super::moment::{Moment, Span, millis};
use super::outages::REOPEN_WITHIN;
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
    /// The incident of a component that this one depends on, if that was down too.
    pub parent: Option<Arc<str>>,
}

impl Incident {
    pub(crate) fn new(
        component: &Arc<str>,
        severity: Severity,
        start: Moment,
        detected: Moment,
    ) -> Self {
        Incident {
            id: id(component, start),
            component: component.clone(),
            severity,
            start_time: start.to_datetime(),
            detected_at: detected.to_datetime(),
            end_time: None,
            duration_seconds: 0.0,
            error: None,
            class: None,
            failures: 0,
            resolved: false,
            parent: None,
        }
    }

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

/// The incidents of a history: those that are open, at most one a component, a bounded list of those
/// that are over, oldest first, and how many there ever were.
#[derive(Clone, Debug, Default)]
pub(crate) struct IncidentLog {
    open: BTreeMap<Arc<str>, Incident>,
    over: VecDeque<Incident>,
    /// The ids of all of them.
    ids: HashSet<Arc<str>>,
    /// When the last one of each component that had down time and is over ended: there is no need
    /// to look through thousands for it.
    ended: HashMap<Arc<str>, Moment>,
    /// By component and severity; never decreases.
    opened: HashMap<Arc<str>, [u64; 3]>,
}

impl IncidentLog {
    /// So many are kept that are over; what the figures say does not depend on it.
    const CAPACITY: usize = 10_000;

    /// A new incident of a component that has none open, or its last one again if that was over
    /// only just now, or in fact `goes_on`. Gives whether it is that.
    pub(crate) fn open(
        &mut self,
        component: &Arc<str>,
        severity: Severity,
        start: Moment,
        detected: Moment,
        goes_on: bool,
    ) -> bool {
        if let Some(mut incident) = self.take_reopened(component, severity, start, goes_on) {
            incident.end_time = None;
            incident.resolved = false;
            self.open.insert(component.clone(), incident);
            self.raise(component, severity);
            return true;
        }
        self.count(component, severity);
        let incident = Incident::new(component, severity, start, detected);
        self.ids.insert(incident.id.clone());
        self.open.insert(component.clone(), incident);
        false
    }

    fn take_reopened(
        &mut self,
        component: &str,
        severity: Severity,
        start: Moment,
        goes_on: bool,
    ) -> Option<Incident> {
        if severity == Severity::Minor {
            return None;
        }
        let end = self.last_end_of(component)?;
        if !goes_on && start.since(end) > millis(REOPEN_WITHIN) {
            return None;
        }
        // Its breaker may have had one of its own since.
        let is_it = |one: &Incident| one.has_downtime() && &*one.component == component;
        let index = self.over.iter().rposition(is_it)?;
        // One that lies ahead is of a clock that has been set back since.
        if goes_on || start >= self.over[index].start() { self.over.remove(index) } else { None }
    }

    /// When the last one of the component that had down time and is over ended.
    pub(crate) fn last_end_of(&self, component: &str) -> Option<Moment> {
        self.ended.get(component).copied()
    }

    /// The component's open incident.
    pub(crate) fn open_of(&self, component: &str) -> Option<&Incident> {
        self.open.get(component)
    }

    pub(crate) fn open_of_mut(&mut self, component: &str) -> Option<&mut Incident> {
        self.open.get_mut(component)
    }

    /// The component's open incident is over.
    pub(crate) fn resolve(&mut self, component: &str, end: Moment) -> Option<&mut Incident> {
        let mut incident = self.open.remove(component)?;
        incident.end_time = Some(end.max(incident.start()).to_datetime());
        incident.resolved = true;
        self.keep(incident);
        self.over.back_mut()
    }

    /// Those of the `children` that have no parent yet get this one, where they are open, or began
    /// at `since` or later. Gives them.
    pub(crate) fn adopt(
        &mut self,
        parent: &Arc<str>,
        since: Moment,
        children: &BTreeSet<Arc<str>>,
    ) -> Vec<Incident> {
        let over = self.over.iter_mut().filter(|one| one.start() >= since);
        let all = over.chain(self.open.values_mut());
        let orphans = all.filter(|one| one.parent.is_none() && children.contains(&one.component));
        let adopted = orphans.map(|orphan| {
            orphan.parent = Some(parent.clone());
            orphan.clone()
        });
        adopted.collect()
    }

    fn keep(&mut self, incident: Incident) {
        if self.over.len() >= Self::CAPACITY
            && let Some(oldest) = self.over.pop_front()
        {
            self.ids.remove(&oldest.id);
        }
        if let Some(end) = incident.end().filter(|_| incident.has_downtime()) {
            self.ended.insert(incident.component.clone(), end);
        }
        self.over.push_back(incident);
    }

    /// One that the history tells of, as it was last.
    pub(crate) fn restore(&mut self, incident: Incident) {
        let known = self.forget(&incident.id, &incident.component);
        if known.is_none_or(|severity| severity < incident.severity) {
            self.count(&incident.component, incident.severity);
        }
        self.ids.insert(incident.id.clone());
        if incident.resolved {
            self.keep(incident);
        } else {
            self.open.insert(incident.component.clone(), incident);
        }
    }

    /// Takes an incident out, and gives its severity.
    fn forget(&mut self, id: &str, component: &str) -> Option<Severity> {
        if !self.ids.contains(id) {
            return None;
        }
        if self.open.get(component).is_some_and(|open| &*open.id == id) {
            return self.open.remove(component).map(|incident| incident.severity);
        }
        let index = self.over.iter().rposition(|incident| &*incident.id == id)?;
        self.over.remove(index).map(|incident| incident.severity)
    }

    /// Raises the severity of the component's open incident, if it is not that bad yet. It then
    /// counts under both severities: the counters never decrease.
    pub(crate) fn raise(&mut self, component: &Arc<str>, severity: Severity) {
        let Some(incident) = self.open.get_mut(component) else { return };
        if severity > incident.severity {
            incident.severity = severity;
            self.count(component, severity);
        }
    }

    fn count(&mut self, component: &Arc<str>, severity: Severity) {
        self.opened.entry(component.clone()).or_default()[severity as usize] += 1;
    }

    /// Those that are over, and those that are open.
    pub(crate) fn iter(&self) -> impl Iterator<Item = &Incident> {
        self.over.iter().chain(self.open.values())
    }

    pub(crate) fn active(&self) -> impl Iterator<Item = &Incident> {
        self.open.values()
    }

    /// How many of the component there ever were, by severity.
    pub(crate) fn opened_of(&self, component: &str) -> [u64; 3] {
        self.opened.get(component).copied().unwrap_or_default()
    }

    /// The same of every component.
    pub(crate) fn opened_by_component(&self) -> BTreeMap<Arc<str>, [u64; 3]> {
        self.opened.iter().map(|(component, opened)| (component.clone(), *opened)).collect()
    }

    /// Says how many there ever were: more than those that are kept.
    pub(crate) fn restore_opened(&mut self, opened: BTreeMap<Arc<str>, [u64; 3]>) {
        self.opened.extend(opened);
    }

    /// How many there ever were, by severity.
    pub(crate) fn opened(&self) -> [u64; 3] {
        let by_component = self.opened.values();
        by_component.fold([0; 3], |sum, one| [sum[0] + one[0], sum[1] + one[1], sum[2] + one[2]])
    }
}

/// Sorts by time, and is the same whenever the history is read again.
fn id(component: &str, start: Moment) -> Arc<str> {
    format!("{:011x}-{:08x}", start.0.max(0), crc32fast::hash(component.as_bytes())).into()
}
