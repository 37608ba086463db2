//! The two text forms. They differ in the name of a counter's family, in the type of an info
//! metric, and in the end.
//!
//! - Prometheus' text format 0.0.4: <https://prometheus.io/docs/instrumenting/exposition_formats/>
//! - OpenMetrics 1.0.0: <https://prometheus.io/docs/specs/om/open_metrics_spec/>

use std::fmt::{self, Write};

use super::Form;

/// What a family's values mean.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Kind {
    /// Goes up and down.
    Gauge,
    /// Only grows; its samples end in `_total`.
    Counter,
    /// Buckets, a sum and a count.
    Histogram,
    /// A constant 1 whose labels say something; its samples end in `_info`.
    Info,
}

impl Kind {
    /// What a sample's name has behind that of its family.
    pub(crate) fn suffix(self) -> &'static str {
        match self {
            Kind::Counter => "_total",
            Kind::Info => "_info",
            Kind::Gauge | Kind::Histogram => "",
        }
    }
}

/// A label's name and its value.
pub(crate) type Label<'a> = (&'static str, &'a str);

/// Writes families one after the other: each is begun once, and its samples follow at once.
#[derive(Debug)]
pub(super) struct Encoder {
    text: String,
    form: Form,
    family: Family,
}

#[derive(Clone, Copy, Debug)]
struct Family {
    name: &'static str,
    kind: Kind,
    help: &'static str,
    is_announced: bool,
}

impl Encoder {
    pub(super) fn new(form: Form) -> Self {
        let family = Family { name: "", kind: Kind::Gauge, help: "", is_announced: true };
        Encoder { text: String::with_capacity(8 * 1024), form, family }
    }

    /// Begins a family; one that gets no sample is not written. `name` is without `_total` and
    /// `_info`; `help` is one line without a backslash.
    pub(super) fn family(&mut self, name: &'static str, kind: Kind, help: &'static str) {
        self.family = Family { name, kind, help, is_announced: false };
    }

    /// A sample of the family, by its kind: `_total` and `_info` are put to its name.
    pub(super) fn sample(&mut self, labels: &[Label<'_>], value: impl Into<Number>) {
        self.line(self.family.kind.suffix(), labels, None, value.into());
    }

    /// A histogram: upper bounds with how many lie up to each, how many there are, and their sum.
    pub(super) fn histogram(
        &mut self,
        labels: &[Label<'_>],
        buckets: impl Iterator<Item = (f64, u64)>,
        count: u64,
        sum: f64,
    ) {
        for (bound, up_to) in buckets {
            self.line("_bucket", labels, Some(bound), up_to.into());
        }
        self.line("_bucket", labels, Some(f64::INFINITY), count.into());
        self.line("_sum", labels, None, sum.into());
        self.line("_count", labels, None, count.into());
    }

    pub(super) fn finish(mut self) -> String {
        if self.form == Form::OpenMetrics {
            self.text.push_str("# EOF\n");
        }
        self.text
    }

    fn line(&mut self, suffix: &str, labels: &[Label<'_>], bound: Option<f64>, value: Number) {
        if !self.family.is_announced {
            self.family.is_announced = true;
            self.announce();
        }
        self.text.push_str(self.family.name);
        self.text.push_str(suffix);
        self.labels(labels, bound);
        // Writing into a string can't fail.
        let _ = writeln!(self.text, " {value}");
    }

    fn announce(&mut self) {
        let Family { name, kind, help, .. } = self.family;
        let (suffix, kind) = match (kind, self.form) {
            (Kind::Gauge, _) => ("", "gauge"),
            (Kind::Histogram, _) => ("", "histogram"),
            (Kind::Counter, Form::Text) => ("_total", "counter"),
            (Kind::Counter, Form::OpenMetrics) => ("", "counter"),
            (Kind::Info, Form::Text) => ("_info", "gauge"),
            (Kind::Info, Form::OpenMetrics) => ("", "info"),
        };
        let _ = writeln!(self.text, "# HELP {name}{suffix} {help}");
        let _ = writeln!(self.text, "# TYPE {name}{suffix} {kind}");
    }

    fn labels(&mut self, labels: &[Label<'_>], bound: Option<f64>) {
        let mut separator = '{';
        for (name, value) in labels {
            self.text.push(separator);
            self.text.push_str(name);
            self.text.push_str("=\"");
            escape(value, &mut self.text);
            self.text.push('"');
            separator = ',';
        }
        if let Some(bound) = bound {
            let _ = write!(self.text, "{separator}le=\"{}\"", Number::Float(bound));
            separator = ',';
        }
        if separator == ',' {
            self.text.push('}');
        }
    }
}

/// The same in both forms: a backslash, a quote and a line feed.
fn escape(value: &str, text: &mut String) {
    for c in value.chars() {
        match c {
            '\\' => text.push_str("\\\\"),
            '"' => text.push_str("\\\""),
            '\n' => text.push_str("\\n"),
            c => text.push(c),
        }
    }
}

/// A value: a whole number stays one.
#[derive(Clone, Copy, Debug)]
pub(crate) enum Number {
    Whole(u64),
    Float(f64),
}

impl From<u64> for Number {
    fn from(whole: u64) -> Self {
        Number::Whole(whole)
    }
}

impl From<bool> for Number {
    fn from(yes: bool) -> Self {
        Number::Whole(yes.into())
    }
}

impl From<f64> for Number {
    fn from(float: f64) -> Self {
        Number::Float(float)
    }
}

impl fmt::Display for Number {
    /// OpenMetrics wants a bound of 1 to be written `1.0`; infinity is `+Inf` in both forms.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Number::Whole(whole) => write!(f, "{whole}"),
            Number::Float(f64::INFINITY) => f.write_str("+Inf"),
            Number::Float(f64::NEG_INFINITY) => f.write_str("-Inf"),
            Number::Float(float) => write!(f, "{float:?}"),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn sample(encoder: &mut Encoder) {
        encoder.family("empty", Kind::Gauge, "Never written.");
        encoder.family("calls", Kind::Counter, "Calls.");
        encoder.sample(&[("name", "a\\b\"c\nd é")], 3_u64);
        encoder.sample(&[("name", "x"), ("end", "")], 0.5);
        encoder.family("build", Kind::Info, "The build.");
        encoder.sample(&[("version", "1")], true);
        encoder.family("wait_seconds", Kind::Histogram, "Waits.");
        encoder.histogram(&[("name", "x")], [(0.5, 1), (1.0, 2)].into_iter(), 3, 7.25);
        encoder.family("up", Kind::Gauge, "Whether it is up.");
        encoder.sample(&[], false);
    }

    #[test]
    fn the_form_of_prometheus_is_written_to_the_letter() {
        let mut encoder = Encoder::new(Form::Text);
        sample(&mut encoder);
        let expected = "# HELP calls_total Calls.\n\
            # TYPE calls_total counter\n\
            calls_total{name=\"a\\\\b\\\"c\\nd é\"} 3\n\
            calls_total{name=\"x\",end=\"\"} 0.5\n\
            # HELP build_info The build.\n\
            # TYPE build_info gauge\n\
            build_info{version=\"1\"} 1\n\
            # HELP wait_seconds Waits.\n\
            # TYPE wait_seconds histogram\n\
            wait_seconds_bucket{name=\"x\",le=\"0.5\"} 1\n\
            wait_seconds_bucket{name=\"x\",le=\"1.0\"} 2\n\
            wait_seconds_bucket{name=\"x\",le=\"+Inf\"} 3\n\
            wait_seconds_sum{name=\"x\"} 7.25\n\
            wait_seconds_count{name=\"x\"} 3\n\
            # HELP up Whether it is up.\n\
            # TYPE up gauge\n\
            up 0\n";
        assert_eq!(encoder.finish(), expected);
    }

    #[test]
    fn openmetrics_differs_in_counters_infos_and_the_end() {
        let mut encoder = Encoder::new(Form::OpenMetrics);
        sample(&mut encoder);
        let text = encoder.finish();
        assert!(text.contains("# TYPE calls counter\ncalls_total{"), "{text}");
        assert!(text.contains("# TYPE build info\nbuild_info{version=\"1\"} 1\n"), "{text}");
        assert!(text.ends_with("\nup 0\n# EOF\n"), "{text}");
    }
}
