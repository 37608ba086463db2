//! What a literal means: a duration, a share, a number.

use std::time::Duration;

use syn::Lit;

/// `"1m 30s"`, or a number of seconds.
pub(super) fn duration(lit: &Lit) -> Option<Duration> {
    match lit {
        Lit::Str(text) => humantime::parse_duration(&text.value()).ok(),
        Lit::Int(seconds) if seconds.suffix().is_empty() => {
            seconds.base10_parse().ok().map(Duration::from_secs)
        }
        Lit::Float(seconds) if seconds.suffix().is_empty() => seconds
            .base10_parse()
            .ok()
            .and_then(|seconds| Duration::try_from_secs_f64(seconds).ok()),
        _ => None,
    }
}

/// A percentage above 0 and below 100: `99.95`, or `"99.95%"`.
pub(super) fn percentage(lit: &Lit) -> Option<f64> {
    let percent = percent_text(lit).or_else(|| number(lit))?;
    (percent > 0.0 && percent < 100.0).then_some(percent)
}

/// A part of all, above 0: `0.5`, or `"50%"`.
pub(super) fn share(lit: &Lit) -> Option<f64> {
    let share = percent_text(lit).map(|percent| percent / 100.0).or_else(|| number(lit))?;
    (share > 0.0 && share <= 1.0).then_some(share)
}

pub(super) fn number(lit: &Lit) -> Option<f64> {
    let number: f64 = match lit {
        Lit::Int(number) if number.suffix().is_empty() => number.base10_parse().ok()?,
        Lit::Float(number) if number.suffix().is_empty() => number.base10_parse().ok()?,
        _ => return None,
    };
    number.is_finite().then_some(number)
}

pub(super) fn integer(lit: &Lit) -> Option<u32> {
    match lit {
        Lit::Int(integer) => integer.base10_parse().ok(),
        _ => None,
    }
}

fn percent_text(lit: &Lit) -> Option<f64> {
    match lit {
        Lit::Str(text) => text.value().strip_suffix('%')?.trim_end().parse().ok(),
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn percentages_are_numbers_or_text_and_neither_nothing_nor_all() {
        let cases = [
            ("99.95", Some(99.95)),
            ("99", Some(99.0)),
            ("\"99.95%\"", Some(99.95)),
            ("\"99.95 %\"", Some(99.95)),
            ("0.001", Some(0.001)),
            ("0", None),
            ("100", None),
            ("100.0", None),
            ("\"100%\"", None),
            ("\"99.95\"", None),
            ("\"NaN%\"", None),
            ("99.9f64", None),
            ("true", None),
        ];
        for (text, expected) in cases {
            let lit = syn::parse_str(text).expect(text);
            assert_eq!(percentage(&lit), expected, "{text}");
        }
    }

    #[test]
    fn shares_are_numbers_or_percentages_and_not_nothing() {
        let cases = [
            ("0.5", Some(0.5)),
            ("1", Some(1.0)),
            ("1.0", Some(1.0)),
            ("\"50%\"", Some(0.5)),
            ("\"12.5 %\"", Some(0.125)),
            ("\"100%\"", Some(1.0)),
            ("0", None),
            ("0.0", None),
            ("1.5", None),
            ("50", None),
            ("\"0%\"", None),
            ("\"101%\"", None),
            ("\"0.5\"", None),
            ("\"NaN%\"", None),
            ("0.5f64", None),
        ];
        for (text, expected) in cases {
            let lit = syn::parse_str(text).expect(text);
            assert_eq!(share(&lit), expected, "{text}");
        }
    }

    #[test]
    fn durations_are_text_or_seconds() {
        let cases = [
            ("\"60s\"", Some(Duration::from_secs(60))),
            ("\"1m 30s\"", Some(Duration::from_secs(90))),
            ("\"500ms\"", Some(Duration::from_millis(500))),
            ("60", Some(Duration::from_secs(60))),
            ("1_000", Some(Duration::from_secs(1000))),
            ("0.25", Some(Duration::from_millis(250))),
            ("0", Some(Duration::ZERO)),
            ("\"60\"", None),
            ("\"\"", None),
            ("\"-1s\"", None),
            ("\"soon\"", None),
            ("60u64", None),
            ("1e300", None),
            ("true", None),
        ];
        for (text, expected) in cases {
            let lit = syn::parse_str(text).expect(text);
            assert_eq!(duration(&lit), expected, "{text}");
        }
    }
}
