//! What an operator lays over the automatic state, and the switch for all.

use std::fmt;
use std::str::FromStr;
use std::time::Duration;

use chrono::{DateTime, Utc};
use serde::{Deserialize, Serialize};

use super::label::Label;

/// What an operator lays over a breaker's automatic state. It wins until it is cleared or expires.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
#[non_exhaustive]
pub enum Override {
    /// Every call is rejected.
    ForcedOpen,
    /// Every call passes; results are still counted.
    Disabled,
    /// Every call passes; the breaker counts how often it would have tripped.
    Shadow,
}

impl Override {
    /// `forced_open`, `disabled` or `shadow`.
    pub fn as_str(self) -> &'static str {
        match self {
            Override::ForcedOpen => "forced_open",
            Override::Disabled => "disabled",
            Override::Shadow => "shadow",
        }
    }
}

impl fmt::Display for Override {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(self.as_str())
    }
}

/// Who lays an override over a breaker, why, and for how long.
///
/// ```
/// use avail_core::{CircuitBreaker, Override, OverrideOptions};
///
/// let breaker = CircuitBreaker::new("storage", Default::default());
/// let mut options = OverrideOptions::default();
/// options.reason = "migrating to the new cluster".into();
/// options.actor = "anna".into();
/// options.ttl = Some(std::time::Duration::from_secs(600));
/// breaker.set_override(Override::ForcedOpen, options);
/// assert!(breaker.acquire().is_err());
/// ```
#[derive(Clone, Debug, Default, PartialEq, Eq)]
#[non_exhaustive]
pub struct OverrideOptions {
    /// Why, in the operator's words; it is shown in errors, metrics and the history.
    pub reason: String,
    /// Who.
    pub actor: String,
    /// How long it lasts; `None`: until it is cleared.
    pub ttl: Option<Duration>,
}

impl OverrideOptions {
    /// Only a reason: no actor, no end.
    pub fn reason(reason: impl Into<String>) -> Self {
        OverrideOptions { reason: reason.into(), ..OverrideOptions::default() }
    }
}

/// An override that is in force, as [`CircuitBreaker::active_override`] shows it.
///
/// [`CircuitBreaker::active_override`]: crate::CircuitBreaker::active_override
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
#[non_exhaustive]
pub struct ActiveOverride {
    /// What it does.
    #[serde(rename = "override")]
    pub kind: Override,
    /// Why, in the operator's words.
    pub reason: Label,
    /// Who.
    pub actor: Label,
    /// Since when.
    pub since: DateTime<Utc>,
    /// Until when; `None`: until it is cleared.
    pub until: Option<DateTime<Utc>>,
}

/// The switch for all breakers at once: [`set_mode`](crate::set_mode), or `AVAIL_BREAKERS` at
/// startup.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Mode {
    /// Breakers do their work.
    #[default]
    On,
    /// Breakers watch and report, and reject nothing.
    Shadow,
    /// Every call passes; results are still counted.
    Off,
}

impl Mode {
    /// Every mode, in the order in which metrics list them.
    pub const ALL: [Mode; 3] = [Mode::On, Mode::Shadow, Mode::Off];

    /// `on`, `shadow` or `off`.
    pub fn as_str(self) -> &'static str {
        match self {
            Mode::On => "on",
            Mode::Shadow => "shadow",
            Mode::Off => "off",
        }
    }

    /// What it lays over a breaker that has no override of its own.
    pub(crate) fn as_override(self) -> Option<Override> {
        match self {
            Mode::On => None,
            Mode::Shadow => Some(Override::Shadow),
            Mode::Off => Some(Override::Disabled),
        }
    }
}

impl fmt::Display for Mode {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(self.as_str())
    }
}

impl FromStr for Mode {
    type Err = ParseModeError;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        Mode::ALL
            .into_iter()
            .find(|mode| mode.as_str().eq_ignore_ascii_case(text.trim()))
            .ok_or_else(|| ParseModeError { text: text.to_owned() })
    }
}

/// A text that names no [`Mode`].
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("`{text}` is no mode for the breakers: it is one of `on`, `shadow`, `off`")]
pub struct ParseModeError {
    text: String,
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_an_override_shows_as_is_what_it_is_written_as() {
        let all = [Override::ForcedOpen, Override::Disabled, Override::Shadow];
        assert_eq!(all.map(|kind| kind.to_string()), ["forced_open", "disabled", "shadow"]);
        for kind in all {
            let written = serde_json::to_value(kind).expect("a word");
            assert_eq!(written, kind.to_string());
        }
    }

    #[test]
    fn a_mode_is_read_back_from_what_it_shows_as() {
        for mode in Mode::ALL {
            assert_eq!(mode.to_string().parse(), Ok(mode));
        }
        assert_eq!(" OFF ".parse(), Ok(Mode::Off));
        assert_eq!(
            "disabled".parse::<Mode>().expect_err("not a mode").to_string(),
            "`disabled` is no mode for the breakers: it is one of `on`, `shadow`, `off`"
        );
    }
}
