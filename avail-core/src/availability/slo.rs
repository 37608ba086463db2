//! Service level objectives: how much of the error budget is left, and how fast it burns.
//!
//! The windows, the factors and the rule that a long and a short window must agree are those of the
//! chapter "Alerting on SLOs" in *The Site Reliability Workbook* (Beyer and others, O'Reilly 2018),
//! with time instead of requests.

use std::fmt;
use std::time::Duration;

use serde::Serialize;

use super::moment::{Moment, Span};
use super::timeline::{ComponentState, Timeline, Totals};

/// How long an objective looks back where nothing else is said.
pub(crate) const DEFAULT_WINDOW: Duration = Duration::from_secs(30 * 24 * 3600);

/// So much availability over so long a time.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(crate) struct Objective {
    /// Above 0; 100 only where it is the monitor's target.
    pub(crate) percent: f64,
    pub(crate) window: Duration,
    /// Whether it is the component's own, and not the monitor's target.
    pub(crate) declared: bool,
}

impl Objective {
    /// The monitor's target, for what declares none of its own.
    pub(crate) fn of_target(percent: f64) -> Self {
        Objective { percent, window: DEFAULT_WINDOW, declared: false }
    }

    /// The part of the observed time that may be down. Percentages are decimal numbers of a few
    /// digits: to nine of them, 100 − 99.9 is 0.1.
    fn allowed(self) -> f64 {
        ((100.0 - self.percent) * 1e9).round() / 1e11
    }
}

/// A service level objective, and how it stands.
///
/// With U, G and D for the time in the objective's window that was up, degraded and down:
///
/// - error budget = (1 − objective) · (U + G + D), of which D is spent. Time that nobody observed and
///   maintenance are on neither side, so something is left exactly while the availability meets the
///   objective. Where all of 30 days was observed, 99.9 % is a budget of 43.2 minutes.
/// - burn rate over a window = D / (U + G + D) / (1 − objective), all in that window: at 1 the budget
///   is spent when the objective's window is over, at 14.4 in 50 hours of 30 days.
///
/// An objective of 100 % (a monitor's target may be that) leaves nothing to burn: it has no burn
/// rates and no alerts.
#[derive(Clone, Debug, PartialEq, Serialize)]
#[non_exhaustive]
pub struct Slo {
    /// The availability that is to be reached, in percent.
    pub objective: f64,
    /// Over how many seconds up to now.
    pub window_seconds: f64,
    /// Whether a check declares it; otherwise it is the monitor's target.
    pub declared: bool,
    /// The availability in that window, in percent; `None` where nothing was observed.
    pub availability_percentage: Option<f64>,
    /// The part of the window, without maintenance, that was observed: 0 to 1.
    pub coverage: f64,
    /// The down time that the objective leaves room for.
    pub error_budget: ErrorBudget,
    /// How fast it is being spent, over 5 m, 30 m, 1 h, 2 h, 6 h, 1 d and 3 d.
    pub burn_rates: [BurnRate; 7],
    /// The four rules of the multi-window alert.
    pub alerts: [BurnAlert; 4],
    /// The worst of the rules that hold; `None` where none does.
    pub alert: Option<AlertSeverity>,
}

/// Down time that an objective leaves room for, in its window.
#[derive(Clone, Copy, Debug, PartialEq, Serialize)]
#[non_exhaustive]
pub struct ErrorBudget {
    /// (1 − objective) of the observed time, in seconds.
    pub total_seconds: f64,
    /// Down time, in seconds.
    pub spent_seconds: f64,
    /// What is left, in seconds; negative where more was spent.
    pub remaining_seconds: f64,
    /// The part that is left, at most 1; negative where more was spent; `None` where there is no
    /// budget, since nothing was observed or the objective is 100 %.
    pub remaining_ratio: Option<f64>,
}

/// How fast the error budget was being spent over a window up to now.
#[derive(Clone, Copy, Debug, PartialEq, Serialize)]
#[non_exhaustive]
pub struct BurnRate {
    /// `5m`, `30m`, `1h`, `2h`, `6h`, `1d` or `3d`.
    pub window: &'static str,
    /// Down time as a part of the observed time, by the part that the objective allows; `None`
    /// where nothing was observed, never 0 for it.
    pub rate: Option<f64>,
    /// The part of the window, without maintenance, that was observed: 0 to 1.
    pub coverage: f64,
}

/// What a rule asks for.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize)]
#[serde(rename_all = "lowercase")]
pub enum AlertSeverity {
    /// Somebody should look at it in the next days.
    Ticket,
    /// Somebody should look at it now.
    Page,
}

impl AlertSeverity {
    /// `ticket` or `page`.
    pub fn as_str(self) -> &'static str {
        match self {
            AlertSeverity::Ticket => "ticket",
            AlertSeverity::Page => "page",
        }
    }
}

impl fmt::Display for AlertSeverity {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(self.as_str())
    }
}

/// A rule of the multi-window alert: it holds while the budget burns that fast over both windows.
/// The long one says that it matters, the short one that it still goes on.
#[derive(Clone, Copy, Debug, PartialEq, Serialize)]
#[non_exhaustive]
pub struct BurnAlert {
    /// What it asks for.
    pub severity: AlertSeverity,
    /// The burn rate from which on it holds.
    pub factor: f64,
    /// The window that says that it matters.
    pub long_window: &'static str,
    /// The window that says that it still goes on.
    pub short_window: &'static str,
    /// Whether it holds. A window in which nothing was observed speaks for no alert.
    pub firing: bool,
}

const WINDOWS: [(&str, u64); 7] = [
    ("5m", 300),
    ("30m", 1_800),
    ("1h", 3_600),
    ("2h", 7_200),
    ("6h", 21_600),
    ("1d", 86_400),
    ("3d", 259_200),
];

/// Severity, factor, long and short window.
const RULES: [(AlertSeverity, f64, &str, &str); 4] = [
    (AlertSeverity::Page, 14.4, "1h", "5m"),
    (AlertSeverity::Page, 6.0, "6h", "30m"),
    (AlertSeverity::Ticket, 3.0, "1d", "2h"),
    (AlertSeverity::Ticket, 1.0, "3d", "6h"),
];

impl Slo {
    pub(crate) fn of(objective: Objective, timeline: &Timeline, now: Moment) -> Self {
        let allowed = objective.allowed();
        let begin = |length| now.before(length);
        let [b1, b2, b3, b4, b5, b6, b7] =
            WINDOWS.map(|(_, seconds)| begin(Duration::from_secs(seconds)));
        let begins = [b1, b2, b3, b4, b5, b6, b7, begin(objective.window)];
        let totals = timeline.totals_since(begins, now);
        let share = |index: usize| Share::of(totals[index], Span::new(begins[index], now));
        let burn_rates = std::array::from_fn(|index| {
            let (window, _) = WINDOWS[index];
            let share = share(index);
            let rate = share.down_ratio().filter(|_| allowed > 0.0).map(|down| down / allowed);
            BurnRate { window, rate, coverage: share.coverage() }
        });
        let alerts = RULES.map(|rule| BurnAlert::of(rule, &burn_rates));
        let whole = share(WINDOWS.len());
        Slo {
            objective: objective.percent,
            window_seconds: objective.window.as_secs_f64(),
            declared: objective.declared,
            availability_percentage: whole.available().map(|available| available * 100.0),
            coverage: whole.coverage(),
            error_budget: ErrorBudget::of(allowed, whole),
            burn_rates,
            alerts,
            alert: alerts.iter().filter(|rule| rule.firing).map(|rule| rule.severity).max(),
        }
    }

    /// The burn rate over that window: `5m`, `30m`, `1h`, `2h`, `6h`, `1d` or `3d`.
    pub fn burn_rate(&self, window: &str) -> Option<f64> {
        rate_of(&self.burn_rates, window)
    }
}

fn rate_of(rates: &[BurnRate], window: &str) -> Option<f64> {
    rates.iter().find(|rate| rate.window == window)?.rate
}

impl BurnAlert {
    fn of(
        (severity, factor, long_window, short_window): (
            AlertSeverity,
            f64,
            &'static str,
            &'static str,
        ),
        rates: &[BurnRate],
    ) -> Self {
        let burns = |window| rate_of(rates, window).is_some_and(|rate| rate >= factor);
        let firing = burns(long_window) && burns(short_window);
        BurnAlert { severity, factor, long_window, short_window, firing }
    }
}

impl ErrorBudget {
    fn of(allowed: f64, share: Share) -> Self {
        let total = allowed * share.observed as f64 / 1000.0;
        let spent = share.down as f64 / 1000.0;
        ErrorBudget {
            total_seconds: total,
            spent_seconds: spent,
            remaining_seconds: total - spent,
            remaining_ratio: (total > 0.0).then(|| (total - spent) / total),
        }
    }
}

/// Milliseconds of a window.
#[derive(Clone, Copy, Debug)]
struct Share {
    down: i64,
    observed: i64,
    /// Without maintenance.
    accountable: i64,
}

impl Share {
    fn of(totals: Totals, span: Span) -> Self {
        Share {
            down: totals.of(ComponentState::Down),
            observed: totals.observed(),
            accountable: span.length() - totals.of(ComponentState::Maintenance),
        }
    }

    fn down_ratio(self) -> Option<f64> {
        (self.observed > 0).then(|| self.down as f64 / self.observed as f64)
    }

    fn available(self) -> Option<f64> {
        let served = self.observed - self.down;
        (self.observed > 0).then(|| served as f64 / self.observed as f64)
    }

    fn coverage(self) -> f64 {
        if self.accountable > 0 { self.observed as f64 / self.accountable as f64 } else { 0.0 }
    }
}

#[cfg(test)]
mod tests;
