//! Where figures go: the text forms, or another way out.

use super::encoder::{Encoder, Kind, Label, Number};

/// Takes families one after the other: each is begun once, and its samples follow at once.
pub(crate) trait Sink {
    /// Begins a family; one that gets no sample is not there. `name` is without `_total` and
    /// `_info`; `help` is one line without a backslash.
    fn family(&mut self, name: &'static str, kind: Kind, help: &'static str);

    /// A sample of the family that was begun last.
    fn sample(&mut self, labels: &[Label<'_>], value: impl Into<Number>);

    /// A histogram: upper bounds with how many lie up to each, how many there are, and their sum.
    fn histogram(
        &mut self,
        labels: &[Label<'_>],
        buckets: impl Iterator<Item = (f64, u64)>,
        count: u64,
        sum: f64,
    );
}

impl Sink for Encoder {
    fn family(&mut self, name: &'static str, kind: Kind, help: &'static str) {
        Encoder::family(self, name, kind, help);
    }

    fn sample(&mut self, labels: &[Label<'_>], value: impl Into<Number>) {
        Encoder::sample(self, labels, value);
    }

    fn histogram(
        &mut self,
        labels: &[Label<'_>],
        buckets: impl Iterator<Item = (f64, u64)>,
        count: u64,
        sum: f64,
    ) {
        Encoder::histogram(self, labels, buckets, count, sum);
    }
}
