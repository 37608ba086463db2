//! Milliseconds of each state.

use super::ComponentState;

/// See the [module](self).
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct Totals(pub(super) [i64; 5]);

impl Totals {
    pub(crate) fn of(self, state: ComponentState) -> i64 {
        self.0[state as usize]
    }

    pub(crate) fn add(&mut self, state: ComponentState, millis: i64) {
        self.0[state as usize] += millis;
    }

    /// What it has more of than `before`; nothing where it has less.
    pub(crate) fn beyond(self, before: Totals) -> Totals {
        Totals(std::array::from_fn(|state| (self.0[state] - before.0[state]).max(0)))
    }

    /// The greater of both, state by state.
    pub(crate) fn at_least(self, other: Totals) -> Totals {
        Totals(std::array::from_fn(|state| self.0[state].max(other.0[state])))
    }

    /// Up, degraded and down: somebody looked, and it counts.
    pub(crate) fn observed(self) -> i64 {
        let states = [ComponentState::Up, ComponentState::Degraded, ComponentState::Down];
        states.into_iter().map(|state| self.of(state)).sum()
    }

    pub(super) fn sum(self) -> i64 {
        self.0.iter().sum()
    }

    /// Its share for a part of the time that it covers; the remainder stays with the largest.
    pub(super) fn scaled(self, part: i64) -> Totals {
        let whole = self.sum();
        if whole <= 0 || part >= whole {
            return self;
        }
        let mut scaled =
            self.0.map(|ms| (i128::from(ms) * i128::from(part) / i128::from(whole)) as i64);
        let rest = part - scaled.iter().sum::<i64>();
        let largest = (0..5).max_by_key(|&i| self.0[i]).unwrap_or(0);
        scaled[largest] += rest;
        Totals(scaled)
    }
}

impl std::ops::AddAssign for Totals {
    fn add_assign(&mut self, other: Totals) {
        for (own, more) in self.0.iter_mut().zip(other.0) {
            *own += more;
        }
    }
}
