//! The queue before the thread that writes: bounded, and whoever fills it never waits.

use std::collections::VecDeque;
use std::sync::{Condvar, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use super::record::Record;
use crate::availability::Moment;

/// How many records may wait: an outage of ten thousand components is some forty thousand.
pub(super) const QUEUE: usize = 65_536;
/// Samples leave the last quarter to what is none.
pub(super) const QUEUE_FOR_SAMPLES: usize = QUEUE * 3 / 4;

#[derive(Debug)]
pub(super) struct Message {
    pub(super) ts: Moment,
    pub(super) record: Record,
}

/// What the far end was given.
#[derive(Debug)]
pub(super) enum Taken {
    /// Some records, and how many were lost before the first of them.
    Some { messages: Vec<Message>, lost: u64 },
    /// None came in time.
    Nothing,
    /// No more will come.
    Closed,
}

#[derive(Debug, Default)]
struct State {
    messages: VecDeque<Message>,
    /// How many of them are samples.
    samples: usize,
    /// Ever.
    accepted: u64,
    /// Since the far end was last told.
    lost: u64,
    /// From when on changes are missing in the history.
    changes_lost_from: Option<Moment>,
    closed: bool,
    /// Whatever there is.
    #[cfg(test)]
    full: bool,
}

#[derive(Debug, Default)]
pub(super) struct Queue {
    state: Mutex<State>,
    changed: Condvar,
}

impl Queue {
    fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Gives how many records that has cost: this one or an older one.
    pub(super) fn push(&self, message: Message) -> u64 {
        let mut state = self.state();
        if state.closed {
            return 0;
        }
        let lost = state.make_room(&message.record);
        if let Some(lost) = lost {
            state.samples += usize::from(message.record.is_sample());
            state.messages.push_back(message);
            state.accepted += 1;
            state.lost += lost;
            drop(state);
            self.changed.notify_one();
            return lost;
        }
        let lost = u64::from(!message.record.comes_again());
        state.lost += lost;
        if !message.record.is_sample() {
            state.lose_changes(message.record.tells_from(message.ts));
        }
        lost
    }

    /// A change from then on is missing in the history.
    pub(super) fn lose_changes(&self, from: Moment) {
        self.state().lose_changes(from);
    }

    /// From when on changes are missing in the history, if some are, and there is room again to tell
    /// them.
    pub(super) fn take_lost_changes(&self) -> Option<Moment> {
        let mut state = self.state();
        let has_room = !state.closed && state.messages.len() < QUEUE / 8;
        if has_room { state.changes_lost_from.take() } else { None }
    }

    /// Waits for records, or until `patience` is over.
    pub(super) fn take(&self, patience: Duration, most: usize) -> Taken {
        let state = self.state();
        let waited = self.changed.wait_timeout_while(state, patience, |state| {
            state.messages.is_empty() && !state.closed
        });
        let (mut state, _) = waited.unwrap_or_else(PoisonError::into_inner);
        let count = state.messages.len().min(most);
        if count == 0 {
            return if state.closed { Taken::Closed } else { Taken::Nothing };
        }
        let messages: Vec<_> = state.messages.drain(..count).collect();
        state.samples -= messages.iter().filter(|one| one.record.is_sample()).count();
        Taken::Some { messages, lost: std::mem::take(&mut state.lost) }
    }

    /// Takes no more, but `last` after all that wait.
    pub(super) fn close(&self, last: Option<Message>) {
        let mut state = self.state();
        if !state.closed {
            state.closed = true;
            state.accepted += u64::from(last.is_some());
            state.messages.extend(last);
        }
        drop(state);
        self.changed.notify_all();
    }

    #[cfg(test)]
    pub(super) fn set_full(&self, full: bool) {
        self.state().full = full;
    }

    /// How many records there ever were.
    pub(super) fn accepted(&self) -> u64 {
        self.state().accepted
    }

    pub(super) fn is_closed(&self) -> bool {
        self.state().closed
    }

    pub(super) fn len(&self) -> usize {
        self.state().messages.len()
    }
}

impl State {
    fn lose_changes(&mut self, from: Moment) {
        let known = self.changes_lost_from;
        self.changes_lost_from = Some(known.map_or(from, |known| known.min(from)));
    }

    /// Gives how many records that has cost, or nothing where there is no room.
    fn make_room(&mut self, record: &Record) -> Option<u64> {
        #[cfg(test)]
        if self.full {
            return None;
        }
        let waiting = self.messages.len();
        if record.is_sample() {
            return (waiting < QUEUE_FOR_SAMPLES).then_some(0);
        }
        if waiting < QUEUE {
            return Some(0);
        }
        if self.samples == 0 {
            return None;
        }
        let sample = self.messages.iter().position(|one| one.record.is_sample())?;
        let sample = self.messages.remove(sample)?;
        self.samples -= 1;
        Some(u64::from(!sample.record.comes_again()))
    }
}
