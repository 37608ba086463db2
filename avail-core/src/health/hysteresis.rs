//! From runs to up and down: thresholds delay the decision, not the moment from which it holds.

use crate::availability::Moment;

/// What a run decides.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Decision {
    /// It is up since then.
    Up(Moment),
    /// It is down since then: so many runs have failed in a row.
    Down(Moment, u32),
    /// It is what it was.
    Unchanged,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Side {
    Unknown,
    Up,
    Down,
}

/// The state of a check between runs.
#[derive(Clone, Debug)]
pub(crate) struct Hysteresis {
    failure_threshold: u32,
    success_threshold: u32,
    side: Side,
    /// Runs in a row that speak against `side`, and the start of the first of them.
    against: Option<(u32, Moment)>,
}

impl Hysteresis {
    pub(crate) fn new(failure_threshold: u32, success_threshold: u32) -> Self {
        Hysteresis { failure_threshold, success_threshold, side: Side::Unknown, against: None }
    }

    /// Takes a run into account that began at `started`.
    pub(crate) fn apply(&mut self, success: bool, started: Moment) -> Decision {
        let (agrees, threshold) = match (self.side, success) {
            (Side::Up, true) | (Side::Down, false) => (true, 0),
            (Side::Up | Side::Unknown, false) => (false, self.failure_threshold),
            (Side::Down, true) => (false, self.success_threshold),
            // Nothing to recover from: the first success will do.
            (Side::Unknown, true) => (false, 1),
        };
        if agrees {
            self.against = None;
            return Decision::Unchanged;
        }
        let (count, since) = match self.against {
            Some((count, since)) if self.side != Side::Unknown || !success => (count + 1, since),
            _ => (1, started),
        };
        if count < threshold {
            self.against = Some((count, since));
            return Decision::Unchanged;
        }
        self.against = None;
        self.side = if success { Side::Up } else { Side::Down };
        if success { Decision::Up(since) } else { Decision::Down(since, count) }
    }

    /// Other thresholds hold from the next run on; a streak goes on.
    pub(crate) fn set_thresholds(&mut self, failures: u32, successes: u32) {
        (self.failure_threshold, self.success_threshold) = (failures, successes);
    }

    /// A streak that has decided nothing yet begins anew.
    pub(crate) fn break_off(&mut self) {
        self.against = None;
    }

    pub(crate) fn is_down(&self) -> bool {
        self.side == Side::Down
    }

    pub(crate) fn is_up(&self) -> bool {
        self.side == Side::Up
    }

    /// The start of the streak that may yet turn it round.
    pub(crate) fn undecided_since(&self) -> Option<Moment> {
        self.against.map(|(_, since)| since)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// A table: runs as `+` and `-`, one a second, and what each decides.
    fn decisions(failures: u32, successes: u32, runs: &str) -> Vec<(usize, Decision)> {
        let mut hysteresis = Hysteresis::new(failures, successes);
        let decide = |(second, run)| {
            let decision = hysteresis.apply(run == '+', Moment(second as i64));
            (second, decision)
        };
        let all = runs.chars().enumerate().map(decide);
        all.filter(|(_, decision)| *decision != Decision::Unchanged).collect()
    }

    #[test]
    fn thresholds_delay_the_decision_and_not_the_moment() {
        use Decision::{Down, Up};
        let up = |at| Up(Moment(at));
        let down = |at, count| Down(Moment(at), count);
        assert_eq!(decisions(1, 1, "+-+"), [(0, up(0)), (1, down(1, 1)), (2, up(2))]);
        assert_eq!(decisions(3, 1, "+--+---+"), [(0, up(0)), (6, down(4, 3)), (7, up(7))]);
        assert_eq!(decisions(1, 2, "+-+-++"), [(0, up(0)), (1, down(1, 1)), (5, up(4))]);
        assert_eq!(decisions(2, 2, "--++"), [(1, down(0, 2)), (3, up(2))]);
        assert_eq!(decisions(2, 3, "-+"), [(1, up(1))]);
    }

    #[test]
    fn a_streak_goes_on_under_other_thresholds() {
        let mut hysteresis = Hysteresis::new(5, 1);
        assert_eq!(hysteresis.apply(true, Moment(0)), Decision::Up(Moment(0)));
        for second in 1..=3 {
            assert_eq!(hysteresis.apply(false, Moment(second)), Decision::Unchanged);
        }
        hysteresis.set_thresholds(2, 3);
        assert!(hysteresis.is_up(), "the next run decides");
        assert_eq!(hysteresis.apply(false, Moment(4)), Decision::Down(Moment(1), 4));
        assert_eq!(hysteresis.apply(true, Moment(5)), Decision::Unchanged);
        hysteresis.set_thresholds(2, 2);
        assert_eq!(hysteresis.apply(true, Moment(6)), Decision::Up(Moment(5)));
    }

    #[test]
    fn a_streak_below_the_threshold_decides_nothing() {
        assert_eq!(decisions(3, 1, "+--+--+").len(), 1);
    }
}
