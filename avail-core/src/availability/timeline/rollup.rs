//! Time that is no longer known change by change: milliseconds of each state by the hour, then by
//! the day, then by the month. Where nothing changed there is one bucket, however long that was, and
//! it is exact.

use super::{Change, ComponentState, Totals};
use crate::availability::grain::{DAY_MS, DAYS_BY_DAY, DAYS_BY_HOUR, Grain, HOUR_MS};
use crate::availability::moment::{Moment, Span};

/// From `from` to the next bucket.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(super) struct Bucket {
    pub(super) from: Moment,
    /// Degraded, down, maintenance and unobserved; the rest of its time was up.
    pub(super) millis: [u32; 4],
}

impl Bucket {
    /// No bucket is longer, so that its milliseconds fit.
    const LONGEST: i64 = 31 * DAY_MS;

    fn of(from: Moment, totals: Totals) -> Self {
        let part = |index: usize| u32::try_from(totals.0[index]).unwrap_or(u32::MAX);
        Bucket { from, millis: [part(1), part(2), part(3), part(4)] }
    }

    fn totals(&self, length: i64) -> Totals {
        let [degraded, down, maintenance, unobserved] = self.millis.map(i64::from);
        let up = length - degraded - down - maintenance - unobserved;
        Totals([up, degraded, down, maintenance, unobserved])
    }
}

/// See the [module](self).
#[derive(Clone, Debug, PartialEq)]
pub(crate) struct RollUp {
    buckets: Vec<Bucket>,
    end: Moment,
    sum: Totals,
}

impl RollUp {
    /// So many buckets at the least are kept by the hour.
    const BY_HOUR: usize = 192;
    const STEP: usize = 64;

    pub(super) fn new(origin: Moment) -> Self {
        RollUp { buckets: Vec::new(), end: origin, sum: Totals::default() }
    }

    /// From what [`buckets`](Self::buckets) gave.
    pub(super) fn restore(buckets: Vec<Bucket>, end: Moment) -> Self {
        let mut rollup = RollUp { buckets, end, sum: Totals::default() };
        for index in 0..rollup.buckets.len() {
            rollup.sum += rollup.totals_of(index);
        }
        rollup
    }

    pub(super) fn buckets(&self) -> &[Bucket] {
        &self.buckets
    }

    /// Milliseconds of each state from the origin to its end.
    pub(super) fn sum(&self) -> Totals {
        self.sum
    }

    fn span_of(&self, index: usize) -> Span {
        let to = self.buckets.get(index + 1).map_or(self.end, |next| next.from);
        Span::new(self.buckets[index].from, to)
    }

    fn totals_of(&self, index: usize) -> Totals {
        self.buckets[index].totals(self.span_of(index).length())
    }

    /// Adds what comes next. So many exact changes could yet be kept: what they leave is room for
    /// more buckets by the hour.
    pub(super) fn add(&mut self, until: Moment, state: ComponentState, changes_left: usize) {
        let steps = self.buckets.len() / Self::STEP;
        self.extend(until, state);
        if self.buckets.len() / Self::STEP > steps {
            self.coarsen(Self::BY_HOUR + changes_left * size_of::<Change>() / size_of::<Bucket>());
        }
    }

    fn extend(&mut self, until: Moment, state: ComponentState) {
        let hour = Moment(self.end.0.div_euclid(HOUR_MS) * HOUR_MS);
        if self.end > hour {
            self.cut_last_at(hour);
            self.fill(until.min(Moment(hour.0 + HOUR_MS)), state);
        }
        while self.end < until {
            let to = until.min(Moment(self.end.0 + Bucket::LONGEST));
            self.push(Bucket { from: self.end, millis: [0; 4] });
            self.extend_last(to, state);
        }
    }

    /// Into the bucket of the hour that has begun.
    fn fill(&mut self, until: Moment, state: ComponentState) {
        let hour = self.end.0.div_euclid(HOUR_MS);
        if self.buckets.last().is_none_or(|last| last.from.0.div_euclid(HOUR_MS) != hour) {
            self.push(Bucket { from: self.end, millis: [0; 4] });
        }
        self.extend_last(until, state);
    }

    fn extend_last(&mut self, until: Moment, state: ComponentState) {
        let Some(index) = self.buckets.len().checked_sub(1) else { return };
        let length = until.since(self.end);
        let mut totals = self.totals_of(index);
        totals.add(state, length);
        self.sum.add(state, length);
        self.end = until;
        self.buckets[index] = Bucket::of(self.buckets[index].from, totals);
    }

    /// A bucket that began before this hour gives it its last part.
    fn cut_last_at(&mut self, hour: Moment) {
        let Some(index) = self.buckets.len().checked_sub(1) else { return };
        let (span, totals) = (self.span_of(index), self.totals_of(index));
        if span.from >= hour {
            return;
        }
        let head = totals.scaled(hour.since(span.from));
        let mut tail = totals;
        for (left, taken) in tail.0.iter_mut().zip(head.0) {
            *left -= taken;
        }
        self.buckets[index] = Bucket::of(span.from, head);
        self.push(Bucket::of(hour, tail));
    }

    fn push(&mut self, bucket: Bucket) {
        if self.buckets.len() == self.buckets.capacity() {
            self.buckets.reserve_exact(if self.buckets.is_empty() { 2 } else { Self::STEP });
        }
        self.buckets.push(bucket);
    }

    /// What is old goes by the day and then by the month; where very much has changed, so does what
    /// is younger.
    fn coarsen(&mut self, room: usize) {
        self.merge(DAYS_BY_HOUR);
        // Some more than is needed, so that it is not needed again at once.
        let mut younger = [60, 30, 14, 7, 3, 1].into_iter();
        let (mut days, mut most) = (DAYS_BY_HOUR, room);
        while self.younger_than(days) > most
            && let Some(fewer) = younger.next()
        {
            (days, most) = (fewer, room * 3 / 4);
            self.merge(days);
        }
        self.buckets.shrink_to(self.buckets.len() + Self::STEP);
    }

    fn younger_than(&self, days: i64) -> usize {
        let first = Moment(self.end.0 - days * DAY_MS);
        self.buckets.len() - self.buckets.partition_point(|bucket| bucket.from < first)
    }

    fn merge(&mut self, days_by_hour: i64) {
        let mut merged = RollUp { buckets: Vec::new(), end: self.end, sum: self.sum };
        merged.buckets.reserve_exact(self.buckets.len());
        for index in 0..self.buckets.len() {
            let (span, totals) = (self.span_of(index), self.totals_of(index));
            let grain = match self.end.since(span.from) / DAY_MS {
                days if days > DAYS_BY_DAY => Grain::Month,
                days if days > days_by_hour => Grain::Day,
                _ => Grain::Hour,
            };
            // The last stays as it is: its hour may go on.
            if grain == Grain::Hour || index + 1 == self.buckets.len() {
                merged.buckets.push(self.buckets[index]);
                continue;
            }
            // One that is longer gives its first and its last day, or month, to theirs.
            let first = grain.span(grain.number(span.from)).to.min(span.to);
            let last = grain.span(grain.number(Moment(span.to.0 - 1))).from.max(first);
            let parts =
                [Span::new(span.from, first), Span::new(first, last), Span::new(last, span.to)];
            for part in parts.into_iter().filter(|part| part.length() > 0) {
                merged.absorb(part.from, totals.scaled(part.length()), grain);
            }
        }
        self.buckets = merged.buckets;
    }

    /// Adds a part to the bucket that began in the same day or month, or as a bucket of its own.
    fn absorb(&mut self, from: Moment, totals: Totals, grain: Grain) {
        let part = Bucket::of(from, totals);
        match self.buckets.last_mut() {
            Some(before) if grain.number(before.from) == grain.number(from) => {
                for (sum, more) in before.millis.iter_mut().zip(part.millis) {
                    *sum += more;
                }
            }
            _ => self.buckets.push(part),
        }
    }

    /// What was said of the time after `at` is taken back.
    pub(super) fn truncate(&mut self, at: Moment) {
        while let Some(index) = self.buckets.len().checked_sub(1).filter(|_| at < self.end) {
            let (span, totals) = (self.span_of(index), self.totals_of(index));
            let kept = totals.scaled(at.since(span.from).max(0));
            for (sum, (all, kept)) in self.sum.0.iter_mut().zip(totals.0.into_iter().zip(kept.0)) {
                *sum -= all - kept;
            }
            self.end = at.max(span.from);
            if at > span.from {
                self.buckets[index] = Bucket::of(span.from, kept);
            } else {
                self.buckets.pop();
            }
        }
    }

    fn index_of(&self, moment: Moment) -> usize {
        self.buckets.partition_point(|bucket| bucket.from <= moment).saturating_sub(1)
    }

    /// Milliseconds of each state: where the span cuts a bucket in two, in proportion.
    pub(super) fn totals(&self, span: Span) -> Totals {
        let Some(first) = self.buckets.first().filter(|_| span.from < self.end) else {
            return Totals::default();
        };
        if span.from <= first.from && span.to >= self.end {
            return self.sum;
        }
        let mut totals = Totals::default();
        for index in self.index_of(span.from)..self.buckets.len() {
            let bucket = self.span_of(index);
            if bucket.from >= span.to {
                break;
            }
            totals += self.totals_of(index).scaled(bucket.overlap(span).length());
        }
        totals
    }

    /// What it was for the most part; unobserved where nothing is known.
    pub(super) fn at(&self, moment: Moment) -> ComponentState {
        if self.buckets.is_empty() {
            return ComponentState::Unobserved;
        }
        let totals = self.totals_of(self.index_of(moment));
        let states = ComponentState::ALL.into_iter();
        states.max_by_key(|state| totals.of(*state)).unwrap_or(ComponentState::Unobserved)
    }

    /// Milliseconds of the bucket that `moment` cuts in two, if it is not all of one state.
    pub(super) fn resolution(&self, moment: Moment) -> i64 {
        if self.buckets.is_empty() || moment >= self.end {
            return 0;
        }
        let index = self.index_of(moment);
        let (span, totals) = (self.span_of(index), self.totals_of(index));
        let mixed = ComponentState::ALL.iter().filter(|state| totals.of(**state) > 0).count() > 1;
        if mixed && moment > span.from { span.length() } else { 0 }
    }

    #[cfg(test)]
    pub(super) fn heap(&self) -> usize {
        self.buckets.capacity() * size_of::<Bucket>()
    }
}
