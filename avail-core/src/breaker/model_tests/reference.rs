//! A breaker as the contract tells it: no clock, no atomics, and every outcome of an epoch is kept.
//! Time is in whole seconds.

use super::{Call, CircuitState, Closed, HalfOpen, Open, Override, RejectedBy, Settings, Verdict};

#[derive(Debug)]
pub(super) struct Reference {
    pub(super) settings: Settings,
    pub(super) over: Option<Override>,
    pub(super) state: CircuitState,
    pub(super) epoch: u32,
    /// Of the calls that ended in this epoch: when, whether it failed, whether it was slow.
    pub(super) outcomes: Vec<(u64, bool, bool)>,
    pub(super) leases: Vec<u64>,
    pub(super) failures: u32,
    pub(super) closed_since: u64,
    pub(super) open_until: u64,
    pub(super) trips: u32,
    pub(super) would_open: u64,
    pub(super) quiet_until: u64,
}

impl Reference {
    pub(super) fn failures(&self, now: u64) -> u32 {
        let last = self.outcomes.iter().rfind(|(_, failed, _)| *failed);
        let forgotten = last.is_some_and(|(at, ..)| now - at > self.settings.reset_timeout);
        if self.state == Closed && forgotten { 0 } else { self.failures }
    }

    pub(super) fn to(&mut self, state: CircuitState, at: u64) {
        (self.state, self.epoch) = (state, self.epoch + 1);
        (self.outcomes, self.leases) = (Vec::new(), Vec::new());
        if state == Closed {
            (self.failures, self.closed_since) = (0, at);
        }
    }

    pub(super) fn open(&mut self, failures: u32, at: u64) {
        let Settings { timeout, backoff, max_extra, .. } = self.settings;
        let health = if self.state == Closed { at - self.closed_since } else { 0 };
        self.trips = self.trips.saturating_sub((health / timeout) as u32) + 1;
        let grown = timeout * backoff.pow((self.trips - 1).min(10));
        (self.failures, self.open_until) = (failures, at + grown.min(timeout + max_extra));
        self.to(Open, at);
    }

    /// At the lease's end, whenever that is noticed.
    pub(super) fn expire_lease(&mut self, now: u64) {
        if let Some(&first) = self.leases.iter().min().filter(|first| now >= **first) {
            self.open(self.failures + 1, first);
        }
    }

    pub(super) fn admit(&mut self, now: u64) -> Result<Call, RejectedBy> {
        let slots_taken = self.leases.len() as u32 >= self.settings.half_open_max_calls;
        match (self.over, self.state) {
            (Some(Override::ForcedOpen), _) => return Err(RejectedBy::ForcedOpen),
            (Some(_), _) | (None, Closed) => return Ok((self.epoch, None)),
            (None, Open) if now < self.open_until => return Err(RejectedBy::Open),
            (None, Open) => self.to(HalfOpen, now),
            (None, HalfOpen) if slots_taken => return Err(RejectedBy::HalfOpen),
            (None, HalfOpen) => {}
        }
        self.leases.push(now + self.settings.probe_timeout);
        Ok((self.epoch, self.leases.last().copied()))
    }

    /// Whether it came in time to say anything.
    pub(super) fn settle(&mut self, call: Call, (end, slow): (Verdict, bool), now: u64) -> bool {
        let current = call.0 == self.epoch;
        if let Some(place) = self.leases.iter().position(|end| current && Some(*end) == call.1) {
            self.leases.remove(place);
        }
        if current && end != Verdict::Nothing {
            let failures = if end == Verdict::Bad { self.failures(now) + 1 } else { 0 };
            self.outcomes.push((now, end == Verdict::Bad, slow));
            self.judge(failures, now);
        }
        current
    }

    fn judge(&mut self, failures: u32, now: u64) {
        let Settings { failure_threshold, success_threshold, timeout, .. } = self.settings;
        let row = failure_threshold.is_some_and(|threshold| failures >= threshold);
        let rate = self.settings.rate_reached(&self.outcomes, now);
        match (self.over, self.state) {
            (None, HalfOpen) if failures > 0 => self.open(failures, now),
            (None, HalfOpen) if self.outcomes.len() < success_threshold as usize => {}
            (None, HalfOpen) => self.to(Closed, now),
            (None, _) if row || rate => self.open(failures, now),
            (Some(Override::Shadow), _) => {
                let told = rate && now >= self.quiet_until;
                self.quiet_until = if told { now + timeout } else { self.quiet_until };
                self.would_open += u64::from(row) + u64::from(told);
                self.failures = if row { 0 } else { failures };
            }
            _ => self.failures = failures,
        }
    }
}
