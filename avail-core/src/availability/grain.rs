//! Hours, days and months of the calendar, in UTC: what older figures are rolled up by.

use chrono::{Datelike, NaiveDate};

use super::moment::{Moment, Span};

pub(crate) const HOUR_MS: i64 = 3_600_000;
pub(crate) const DAY_MS: i64 = 24 * HOUR_MS;
/// So many days are kept by the hour,
pub(crate) const DAYS_BY_HOUR: i64 = 90;
/// and so many by the day; what is older, by the month.
pub(crate) const DAYS_BY_DAY: i64 = 730;

/// How coarse a roll-up is.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum Grain {
    Hour,
    Day,
    Month,
}

impl Grain {
    /// Which hour, day or month since 1970 a moment falls into.
    pub(crate) fn number(self, moment: Moment) -> i64 {
        match self {
            Grain::Hour => moment.0.div_euclid(HOUR_MS),
            Grain::Day => moment.0.div_euclid(DAY_MS),
            Grain::Month => {
                let date = moment.to_datetime();
                (i64::from(date.year()) - 1970) * 12 + i64::from(date.month0())
            }
        }
    }

    /// From when to when the hour, day or month of that number is.
    pub(crate) fn span(self, number: i64) -> Span {
        let start = |number: i64| match self {
            Grain::Hour => Moment(number.saturating_mul(HOUR_MS)),
            Grain::Day => Moment(number.saturating_mul(DAY_MS)),
            Grain::Month => start_of_month(number),
        };
        Span::new(start(number), start(number.saturating_add(1)))
    }
}

fn start_of_month(number: i64) -> Moment {
    let year = i32::try_from(number.div_euclid(12).saturating_add(1970)).unwrap_or(i32::MAX);
    let month0 = u32::try_from(number.rem_euclid(12)).unwrap_or(0);
    let date =
        NaiveDate::from_ymd_opt(year, month0 + 1, 1).and_then(|date| date.and_hms_opt(0, 0, 0));
    date.map_or(Moment::MAX, |date| date.and_utc().into())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_moment_lies_in_the_span_of_its_number() {
        for grain in [Grain::Hour, Grain::Day, Grain::Month] {
            for moment in [-1, 0, 1_772_100_000_000, 951_782_400_000, 4_102_444_799_999].map(Moment)
            {
                let span = grain.span(grain.number(moment));
                assert!(span.contains(moment), "{grain:?} {moment:?} {span:?}");
                assert_eq!(grain.number(span.to), grain.number(moment) + 1);
            }
        }
    }

    #[test]
    fn months_are_those_of_the_calendar() {
        let february = Grain::Month.number(
            "2028-02-10T00:00:00Z"
                .parse::<chrono::DateTime<_>>()
                .map(Moment::from)
                .expect("a date"),
        );
        assert_eq!(Grain::Month.span(february).length(), 29 * DAY_MS);
    }
}
