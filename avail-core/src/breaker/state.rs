//! The breaker's state machine as plain values: a packed word and the steps between words. No
//! clock, no atomics, no locks; [`machine`](super::machine) holds the word and calls the steps.
//!
//! ```text
//!            trip (epoch+1)                  open time over (epoch+1)
//!  Closed ───────────────────▶ Open ──────────────────────────────────▶ HalfOpen
//!    ▲                          ▲      a probe fails or expires (epoch+1)  │ │
//!    │                          └──────────────────────────────────────────┘ │
//!    └───────────────────────────────────────────────────────────────────────┘
//!                  success_threshold probes succeed (epoch+1)
//! ```

use std::fmt;

use serde::{Deserialize, Serialize};

use super::overrides::Override;

/// The largest number of probes, and of probe successes, that the word can count.
pub(crate) const PROBE_LIMIT: u32 = (1 << PROBES) - 1;

/// What calls meet at a breaker.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum CircuitState {
    /// Calls pass.
    Closed,
    /// Calls are rejected.
    Open,
    /// A few calls pass as probes, the others are rejected.
    HalfOpen,
}

impl CircuitState {
    /// Every state, in the order in which metrics list them.
    pub const ALL: [CircuitState; 3] =
        [CircuitState::Closed, CircuitState::Open, CircuitState::HalfOpen];

    /// `closed`, `open` or `half_open`.
    pub fn as_str(self) -> &'static str {
        match self {
            CircuitState::Closed => "closed",
            CircuitState::Open => "open",
            CircuitState::HalfOpen => "half_open",
        }
    }
}

impl fmt::Display for CircuitState {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(self.as_str())
    }
}

/// Everything that admission looks at, in 64 bits, so that a call reads one atomic.
///
/// From the lowest bit: state (2), override (2), whether calls have duties (1), probes in flight
/// (13), successful probes (13), nothing (1), epoch (32). A closed breaker without an override, under
/// the streak rule, has zeros everywhere below the epoch.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(crate) struct Word(u64);

/// The states, in their place.
const CLOSED: u64 = 0;
const OPEN: u64 = 1;
const HALF_OPEN: u64 = 2;

const STATE: u32 = 0;
const OVERRIDE: u32 = 2;
const DUTIES: u32 = 4;
const IN_FLIGHT: u32 = 5;
const SUCCESSES: u32 = 18;
const EPOCH: u32 = 32;

/// The width of what counts probes.
const PROBES: u32 = 13;

impl Word {
    pub(crate) const NEW: Word = Word(0);

    #[inline]
    pub(crate) fn from_bits(bits: u64) -> Self {
        Word(bits)
    }

    #[inline]
    pub(crate) fn bits(self) -> u64 {
        self.0
    }

    #[inline]
    fn field(self, shift: u32, width: u32) -> u32 {
        ((self.0 >> shift) & ((1 << width) - 1)) as u32
    }

    fn with(self, shift: u32, width: u32, value: u32) -> Self {
        let mask = ((1_u64 << width) - 1) << shift;
        Word((self.0 & !mask) | (u64::from(value) << shift))
    }

    /// Closed and left alone.
    #[inline]
    pub(crate) fn is_plainly_closed(self) -> bool {
        self.0 & ((1 << DUTIES) - 1) == 0
    }

    /// Open and left alone.
    #[inline]
    pub(crate) fn is_plainly_open(self) -> bool {
        self.0 & ((1 << DUTIES) - 1) == OPEN
    }

    /// Closed and left alone, and calls have nothing to do but to be counted: the one question of the fast path.
    #[inline]
    pub(crate) fn is_plain(self) -> bool {
        self.0 & ((1 << IN_FLIGHT) - 1) == 0
    }

    /// Whether calls have more to do than to be counted.
    pub(crate) fn with_duties(self, duties: bool) -> Self {
        self.with(DUTIES, 1, u32::from(duties))
    }

    /// The automatic state, whatever an override makes of it.
    pub(crate) fn state(self) -> CircuitState {
        match u64::from(self.field(STATE, 2)) {
            CLOSED => CircuitState::Closed,
            OPEN => CircuitState::Open,
            _ => CircuitState::HalfOpen,
        }
    }

    fn with_state(self, state: CircuitState) -> Self {
        let code = match state {
            CircuitState::Closed => CLOSED,
            CircuitState::Open => OPEN,
            CircuitState::HalfOpen => HALF_OPEN,
        };
        self.with(STATE, 2, code as u32)
    }

    pub(crate) fn active_override(self) -> Option<Override> {
        match self.field(OVERRIDE, 2) {
            1 => Some(Override::ForcedOpen),
            2 => Some(Override::Disabled),
            3 => Some(Override::Shadow),
            _ => None,
        }
    }

    fn with_override(self, over: Option<Override>) -> Self {
        let code = match over {
            None => 0,
            Some(Override::ForcedOpen) => 1,
            Some(Override::Disabled) => 2,
            Some(Override::Shadow) => 3,
        };
        self.with(OVERRIDE, 2, code)
    }

    pub(crate) fn in_flight(self) -> u32 {
        self.field(IN_FLIGHT, PROBES)
    }

    pub(crate) fn successes(self) -> u32 {
        self.field(SUCCESSES, PROBES)
    }

    /// Moves on every change of state or override and on reset; a result from another epoch
    /// changes nothing.
    #[inline]
    pub(crate) fn epoch(self) -> u32 {
        self.field(EPOCH, 32)
    }

    /// What calls meet: the override first, then the automatic state.
    pub(crate) fn effective_state(self) -> CircuitState {
        match self.active_override() {
            Some(Override::ForcedOpen) => CircuitState::Open,
            Some(Override::Disabled | Override::Shadow) => CircuitState::Closed,
            None => self.state(),
        }
    }

    /// The next epoch, with no probe under way.
    fn next_epoch(self) -> Self {
        self.with(EPOCH, 32, self.epoch().wrapping_add(1))
            .with(IN_FLIGHT, PROBES, 0)
            .with(SUCCESSES, PROBES, 0)
    }

    /// To another state: the next epoch.
    pub(crate) fn moved_to(self, state: CircuitState) -> Self {
        self.next_epoch().with_state(state)
    }

    /// Under another override, or none: freshly closed beneath it, in the next epoch.
    pub(crate) fn overridden(self, over: Option<Override>) -> Self {
        self.next_epoch().with_state(CircuitState::Closed).with_override(over)
    }

    /// One more probe under way, if `limit` allows it.
    pub(crate) fn probe_admitted(self, limit: u32) -> Option<Self> {
        let in_flight = self.in_flight();
        (in_flight < limit).then(|| self.with(IN_FLIGHT, PROBES, in_flight + 1))
    }

    /// The probe gives its slot back and says nothing.
    pub(crate) fn probe_returned(self) -> Self {
        self.with(IN_FLIGHT, PROBES, self.in_flight().saturating_sub(1))
    }

    /// The probe succeeded: closed if it was the last that was needed.
    pub(crate) fn probe_succeeded(self, needed: u32) -> Self {
        let successes = self.successes() + 1;
        if successes >= needed {
            self.moved_to(CircuitState::Closed)
        } else {
            self.probe_returned().with(SUCCESSES, PROBES, successes)
        }
    }
}

impl fmt::Debug for Word {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Word")
            .field("state", &self.state())
            .field("override", &self.active_override())
            .field("duties", &(self.field(DUTIES, 1) == 1))
            .field("in_flight", &self.in_flight())
            .field("successes", &self.successes())
            .field("epoch", &self.epoch())
            .finish()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_a_state_shows_as_is_what_it_is_written_as() {
        let shown = CircuitState::ALL.map(|state| state.to_string());
        assert_eq!(shown, ["closed", "open", "half_open"]);
        for state in CircuitState::ALL {
            assert_eq!(serde_json::to_value(state).expect("a word"), state.as_str());
        }
    }

    #[test]
    fn fields_do_not_touch_each_other() {
        let word = Word::from_bits(u64::MAX).with(IN_FLIGHT, PROBES, 0);
        assert_eq!((word.in_flight(), word.successes(), word.epoch()), (0, PROBE_LIMIT, u32::MAX));
        let word = Word::NEW.with(SUCCESSES, PROBES, PROBE_LIMIT);
        assert_eq!((word.in_flight(), word.successes(), word.epoch()), (0, PROBE_LIMIT, 0));
        assert_eq!(word.state(), CircuitState::Closed);
    }

    #[test]
    fn each_change_moves_the_epoch_and_empties_the_probes() {
        let half = Word::NEW.moved_to(CircuitState::Open).moved_to(CircuitState::HalfOpen);
        let probing = half.probe_admitted(1).expect("the first probe is admitted");
        assert_eq!(probing.epoch(), half.epoch());
        assert_eq!(probing.probe_admitted(1), None);
        let once = probing.probe_succeeded(2);
        assert_eq!(
            (once.state(), once.successes(), once.in_flight()),
            (CircuitState::HalfOpen, 1, 0)
        );
        let closed = once.probe_admitted(1).expect("a second probe").probe_succeeded(2);
        assert_eq!(closed.state(), CircuitState::Closed);
        assert_eq!(closed.epoch(), half.epoch() + 1);
        assert!(closed.is_plainly_closed());
    }

    #[test]
    fn an_override_wins_over_the_state_and_leaves_a_fresh_closed_breaker() {
        let forced = Word::NEW.moved_to(CircuitState::Open).overridden(Some(Override::ForcedOpen));
        assert_eq!(forced.effective_state(), CircuitState::Open);
        assert!(!forced.is_plainly_closed());
        let shadow = forced.overridden(Some(Override::Shadow));
        assert_eq!(shadow.effective_state(), CircuitState::Closed);
        assert!(shadow.overridden(None).is_plainly_closed());
    }

    #[test]
    fn the_epoch_wraps_without_touching_its_neighbours() {
        let last = Word::NEW.with(EPOCH, 32, u32::MAX);
        let next = last.moved_to(CircuitState::Open);
        assert_eq!((next.epoch(), next.state()), (0, CircuitState::Open));
    }
}
