//! A value as it was given, and what a setting can make of it.

use std::fmt;
use std::sync::Arc;
use std::time::Duration;

use crate::breaker::{CancelFailure, RateWindow};
use crate::health::Probe;

/// A value before anybody has asked what it is to be.
#[derive(Clone, Debug, PartialEq)]
pub(crate) enum Raw {
    Integer(i64),
    Number(f64),
    Flag(bool),
    Text(String),
    List(Vec<Raw>),
    /// From the environment, where everything is text: also what would be a number in a file.
    Word(String),
    /// Nothing that a setting can be, by what it is called.
    Other(&'static str),
}

impl Raw {
    fn integer(&self) -> Option<i64> {
        match self {
            Raw::Integer(integer) => Some(*integer),
            Raw::Word(word) => word.trim().parse().ok(),
            _ => None,
        }
    }

    pub(super) fn number(&self) -> Option<f64> {
        match self {
            Raw::Integer(integer) => Some(*integer as f64),
            Raw::Number(number) => Some(*number),
            Raw::Word(word) => word.trim().parse().ok(),
            _ => None,
        }
    }

    fn text(&self) -> Option<&str> {
        match self {
            Raw::Text(text) => Some(text),
            Raw::Word(word) => Some(word.trim()),
            _ => None,
        }
    }

    pub(super) fn is_word(&self, word: &str) -> bool {
        self.text() == Some(word)
    }

    pub(super) fn count(&self) -> Option<u32> {
        self.integer().and_then(|count| u32::try_from(count).ok()).filter(|count| *count > 0)
    }

    pub(super) fn flag(&self) -> Option<bool> {
        match self {
            Raw::Flag(flag) => Some(*flag),
            Raw::Word(word) => word.trim().parse().ok(),
            _ => None,
        }
    }

    /// Text with units, or a number of seconds.
    pub(super) fn delay(&self) -> Option<Duration> {
        if let Some(seconds) = self.integer() {
            return u64::try_from(seconds).ok().map(Duration::from_secs);
        }
        match self.number() {
            Some(seconds) => Duration::try_from_secs_f64(seconds).ok(),
            None => humantime::parse_duration(self.text()?).ok(),
        }
    }

    pub(super) fn duration(&self) -> Option<Duration> {
        self.delay().filter(|duration| !duration.is_zero())
    }

    /// `0.5` or `"50%"`.
    fn part(&self) -> Option<f64> {
        self.number().or_else(|| Some(self.percent()? / 100.0))
    }

    fn percent(&self) -> Option<f64> {
        self.text()?.strip_suffix('%')?.trim_end().parse().ok()
    }

    pub(super) fn share(&self) -> Option<f64> {
        self.part().filter(|share| *share > 0.0 && *share <= 1.0)
    }

    pub(super) fn spread(&self) -> Option<f64> {
        self.part().filter(|share| (0.0..1.0).contains(share))
    }

    pub(super) fn factor(&self) -> Option<f64> {
        self.number().filter(|factor| *factor >= 1.0 && factor.is_finite())
    }

    pub(super) fn percentage(&self) -> Option<f64> {
        let percent = self.number().or_else(|| self.percent());
        percent.filter(|percent| *percent > 0.0 && *percent < 100.0)
    }

    /// A number is one of calls: a time needs its unit.
    pub(super) fn window(&self) -> Option<RateWindow> {
        match self.number() {
            Some(_) => self.count().map(RateWindow::Calls),
            None => self.duration().map(RateWindow::Time),
        }
    }

    pub(super) fn cancel_failure(&self) -> Option<CancelFailure> {
        if self.is_word("never") {
            return Some(CancelFailure::Never);
        }
        self.delay().map(CancelFailure::After)
    }

    pub(super) fn probe(&self) -> Option<Probe> {
        match self.text()? {
            "readiness" => Some(Probe::Readiness),
            "liveness" => Some(Probe::Liveness),
            "startup" => Some(Probe::Startup),
            "none" => Some(Probe::None),
            _ => None,
        }
    }

    pub(super) fn name(&self) -> Option<Arc<str>> {
        self.text().filter(|name| !name.is_empty()).map(Arc::from)
    }

    /// A list; in the environment, with commas between. Each name once.
    pub(super) fn names(&self) -> Option<Vec<Arc<str>>> {
        let given: Vec<Arc<str>> = match self {
            Raw::List(list) => list.iter().map(Raw::name).collect::<Option<_>>()?,
            Raw::Word(word) => {
                let names = word.split(',').map(str::trim).filter(|name| !name.is_empty());
                names.map(Arc::from).collect()
            }
            _ => return None,
        };
        let mut names = Vec::with_capacity(given.len());
        for name in given {
            if !names.contains(&name) {
                names.push(name);
            }
        }
        Some(names)
    }
}

/// As it stands in an error.
impl fmt::Display for Raw {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Raw::Integer(integer) => write!(f, "`{integer}`"),
            Raw::Number(number) => write!(f, "`{number:?}`"),
            Raw::Flag(flag) => write!(f, "`{flag}`"),
            Raw::Text(text) => write!(f, "`{text:?}`"),
            Raw::Word(word) => write!(f, "`{word}`"),
            Raw::List(_) => f.write_str("a list"),
            Raw::Other(what) => f.write_str(what),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn text(text: &str) -> Raw {
        Raw::Text(text.into())
    }

    fn word(word: &str) -> Raw {
        Raw::Word(word.into())
    }

    #[test]
    fn durations_are_text_with_units_or_numbers_of_seconds() {
        let cases = [
            (text("60s"), Some(60_000)),
            (text("1m 30s"), Some(90_000)),
            (text("500ms"), Some(500)),
            (Raw::Integer(60), Some(60_000)),
            (Raw::Number(0.25), Some(250)),
            (word("10s"), Some(10_000)),
            (word(" 10s "), Some(10_000)),
            (word("10"), Some(10_000)),
            (word("0.25"), Some(250)),
            (Raw::Integer(0), None),
            (text("0s"), None),
            (text("60"), None),
            (text("-1s"), None),
            (text(""), None),
            (text("soon"), None),
            (Raw::Integer(-1), None),
            (Raw::Number(1e300), None),
            (Raw::Number(f64::NAN), None),
            (word("NaN"), None),
            (word("inf"), None),
            (Raw::Flag(true), None),
        ];
        for (raw, millis) in cases {
            assert_eq!(raw.duration(), millis.map(Duration::from_millis), "{raw:?}");
        }
        assert_eq!(Raw::Integer(0).delay(), Some(Duration::ZERO));
        assert_eq!(text("0s").delay(), Some(Duration::ZERO));
    }

    #[test]
    fn shares_are_numbers_or_percentages_up_to_all() {
        let cases = [
            (Raw::Number(0.5), Some(0.5)),
            (Raw::Integer(1), Some(1.0)),
            (text("50%"), Some(0.5)),
            (text("50 %"), Some(0.5)),
            (word("0.5"), Some(0.5)),
            (word("50%"), Some(0.5)),
            (Raw::Number(0.0), None),
            (Raw::Number(1.5), None),
            (text("150%"), None),
            (text("0.5"), None),
            (text("NaN%"), None),
            (Raw::Number(f64::NAN), None),
        ];
        for (raw, share) in cases {
            assert_eq!(raw.share(), share, "{raw:?}");
        }
        assert_eq!((Raw::Integer(0).spread(), Raw::Integer(1).spread()), (Some(0.0), None));
        assert_eq!((text("10%").spread(), text("100%").spread()), (Some(0.1), None));
        assert_eq!((Raw::Integer(1).factor(), Raw::Number(0.9).factor()), (Some(1.0), None));
        assert_eq!(word("inf").factor(), None);
    }

    #[test]
    fn percentages_lie_between_nothing_and_all() {
        let cases = [
            (Raw::Number(99.95), Some(99.95)),
            (Raw::Integer(99), Some(99.0)),
            (text("99.95%"), Some(99.95)),
            (word("99.95"), Some(99.95)),
            (word("99.95%"), Some(99.95)),
            (Raw::Integer(0), None),
            (Raw::Integer(100), None),
            (text("100%"), None),
            (text("99.95"), None),
        ];
        for (raw, percent) in cases {
            assert_eq!(raw.percentage(), percent, "{raw:?}");
        }
    }

    #[test]
    fn a_window_is_a_number_of_calls_or_a_time_with_its_unit() {
        let half_a_minute = RateWindow::Time(Duration::from_secs(30));
        let cases = [
            (Raw::Integer(100), Some(RateWindow::Calls(100))),
            (word("100"), Some(RateWindow::Calls(100))),
            (text("30s"), Some(half_a_minute)),
            (word("30s"), Some(half_a_minute)),
            (Raw::Integer(0), None),
            (Raw::Number(0.5), None),
            (word("0.5"), None),
            (text("100"), None),
        ];
        for (raw, window) in cases {
            assert_eq!(raw.window(), window, "{raw:?}");
        }
    }

    #[test]
    fn the_rest_is_what_it_says() {
        assert_eq!(text("never").cancel_failure(), Some(CancelFailure::Never));
        let second = CancelFailure::After(Duration::from_secs(1));
        assert_eq!(word("1").cancel_failure(), Some(second));
        assert_eq!(text("always").cancel_failure(), None);
        assert_eq!((Raw::Integer(5).count(), Raw::Integer(0).count()), (Some(5), None));
        assert_eq!((Raw::Integer(1 << 32).count(), Raw::Number(5.0).count()), (None, None));
        assert_eq!((text("5").count(), word("5").count()), (None, Some(5)));
        assert_eq!((Raw::Flag(true).flag(), word("false").flag()), (Some(true), Some(false)));
        assert_eq!((text("true").flag(), word("yes").flag()), (None, None));
        assert_eq!((word("startup").probe(), text("ready").probe()), (Some(Probe::Startup), None));
        let two = Some(vec![Arc::from("a"), Arc::from("b")]);
        assert_eq!(Raw::List(vec![text("a"), text("b")]).names(), two);
        assert_eq!(word("a, b,a,").names(), two);
        assert_eq!(word("").names(), Some(vec![]));
        assert_eq!(Raw::List(vec![Raw::Integer(1)]).names(), None);
        assert_eq!((text("").name(), Raw::Integer(1).name()), (None, None));
    }
}
