//! The two text forms. They differ in the name of a counter's family, in the type of an info
//! metric, and in the end.
//!
//! - Prometheus' text format 0.0.4: <https://prometheus.io/docs/instrumenting/exposition_formats/>
//! - OpenMetrics 1.0.0: <https://prometheus.io/docs/specs/om/open_metrics_spec/>

use std::fmt::Write;

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
    /// `room`: about how many bytes there will be. A text of megabytes that grows is copied over and
    /// over.
    pub(super) fn new(form: Form, room: usize) -> Self {
        let family = Family { name: "", kind: Kind::Gauge, help: "", is_announced: true };
        Encoder { text: String::with_capacity(room), form, family }
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
        self.text.push(' ');
        value.write(&mut self.text);
        self.text.push('\n');
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
        // Writing into a string can't fail.
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
            self.text.push(separator);
            self.text.push_str("le=\"");
            Number::Float(bound).write(&mut self.text);
            self.text.push('"');
            separator = ',';
        }
        if separator == ',' {
            self.text.push('}');
        }
    }
}

/// The same in both forms: a backslash, a quote and a line feed. Hardly any value has one.
fn escape(value: &str, text: &mut String) {
    if !value.bytes().any(|byte| matches!(byte, b'\\' | b'"' | b'\n')) {
        return text.push_str(value);
    }
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

impl Number {
    /// OpenMetrics wants a bound of 1 to be written `1.0`; infinity is `+Inf` in both forms.
    ///
    /// There are tens of thousands in one answer, so that what `Display` could do with a width and a
    /// precision is not paid for.
    pub(crate) fn write(self, text: &mut String) {
        match self {
            Number::Whole(whole) => text.push_str(itoa::Buffer::new().format(whole)),
            Number::Float(f64::INFINITY) => text.push_str("+Inf"),
            Number::Float(f64::NEG_INFINITY) => text.push_str("-Inf"),
            Number::Float(float) if float.is_nan() => text.push_str("NaN"),
            Number::Float(float) => text.push_str(zmij::Buffer::new().format_finite(float)),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn numbers_are_written_shortest_and_read_back_as_they_were() {
        let table = [
            (Number::Whole(0), "0"),
            (Number::Whole(u64::MAX), "18446744073709551615"),
            (Number::Float(0.0), "0.0"),
            (Number::Float(1.0), "1.0"),
            (Number::Float(-0.25), "-0.25"),
            (Number::Float(0.1), "0.1"),
            (Number::Float(86_400.0), "86400.0"),
            (Number::Float(1_772_100_000.123), "1772100000.123"),
            (Number::Float(f64::INFINITY), "+Inf"),
            (Number::Float(f64::NEG_INFINITY), "-Inf"),
            (Number::Float(f64::NAN), "NaN"),
        ];
        for (number, written) in table {
            let mut text = String::new();
            number.write(&mut text);
            assert_eq!(text, written);
        }
        for float in [1e-7, 1e16, 1.5e300, f64::MIN_POSITIVE, 123_456_789_012_345_680.0] {
            let mut text = String::new();
            Number::Float(float).write(&mut text);
            assert_eq!(text.parse(), Ok(float), "{text}");
        }
    }

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
        let mut encoder = Encoder::new(Form::Text, 0);
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
        let mut encoder = Encoder::new(Form::OpenMetrics, 0);
        sample(&mut encoder);
        let text = encoder.finish();
        assert!(text.contains("# TYPE calls counter\ncalls_total{"), "{text}");
        assert!(text.contains("# TYPE build info\nbuild_info{version=\"1\"} 1\n"), "{text}");
        assert!(text.ends_with("\nup 0\n# EOF\n"), "{text}");
    }
}
