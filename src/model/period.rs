//! Calendar periods of UTC: what a report covers and how its files are named.

use std::fmt;
use std::str::FromStr;

use jiff::civil::Date;

use crate::model::time::{Hour, Timestamp};

/// The kinds of period, shortest first.
#[derive(Clone, Copy, Debug, Eq, Hash, Ord, PartialEq, PartialOrd)]
pub enum PeriodKind {
    /// `2012-06-30T14`
    Hour,
    /// `2012-06-30`
    Day,
    /// `2012-06`
    Month,
    /// `2012`
    Year,
}

impl PeriodKind {
    /// Every kind, shortest first.
    pub const ALL: [Self; 4] = [Self::Hour, Self::Day, Self::Month, Self::Year];

    /// The name in settings and files.
    pub const fn name(self) -> &'static str {
        match self {
            Self::Hour => "hour",
            Self::Day => "day",
            Self::Month => "month",
            Self::Year => "year",
        }
    }

    /// The kind of that name.
    pub fn from_name(name: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|kind| kind.name() == name)
    }
}

/// One period: a kind and its first hour. Its text form names files and sorts by time.
#[derive(Clone, Copy, Debug, Eq, Hash, Ord, PartialEq, PartialOrd)]
pub struct Period {
    kind: PeriodKind,
    /// Invariant: the first hour of a period of `kind`.
    first: Hour,
}

impl Period {
    /// The period of `kind` that holds `time`.
    pub fn containing(kind: PeriodKind, time: Timestamp) -> Self {
        let date = civil(time);
        let first = match kind {
            PeriodKind::Hour => return Self { kind, first: time.hour() },
            PeriodKind::Day => date,
            PeriodKind::Month => date.first_of_month(),
            PeriodKind::Year => date.first_of_year(),
        };
        Self { kind, first: hour_of(first) }
    }

    /// Its kind.
    pub const fn kind(self) -> PeriodKind {
        self.kind
    }

    /// Its first hour.
    pub const fn first_hour(self) -> Hour {
        self.first
    }

    /// The first hour after it.
    pub fn end_hour(self) -> Hour {
        let date = civil(self.first.start());
        let next = match self.kind {
            PeriodKind::Hour => return Hour(self.first.0 + 1),
            PeriodKind::Day => return Hour(self.first.0 + 24),
            PeriodKind::Month => date.last_of_month(),
            PeriodKind::Year => date.last_of_year(),
        };
        Hour(hour_of(next).0 + 24)
    }

    /// Its first microsecond.
    pub const fn start(self) -> Timestamp {
        self.first.start()
    }

    /// The first microsecond after it.
    pub fn end(self) -> Timestamp {
        self.end_hour().start()
    }

    /// The period of the same kind that follows.
    #[must_use]
    pub fn next(self) -> Self {
        Self { kind: self.kind, first: self.end_hour() }
    }

    /// Whether it holds `hour`.
    pub fn contains(self, hour: Hour) -> bool {
        self.first <= hour && hour < self.end_hour()
    }

    /// Calendar months in it: 12 for a year, 1 for a month, none for shorter periods.
    pub const fn months(self) -> Option<u32> {
        match self.kind {
            PeriodKind::Year => Some(12),
            PeriodKind::Month => Some(1),
            PeriodKind::Day | PeriodKind::Hour => None,
        }
    }
}

fn civil(time: Timestamp) -> Date {
    jiff::tz::TimeZone::UTC.to_datetime(time.to_jiff()).date()
}

fn hour_of(date: Date) -> Hour {
    let days = date.since((jiff::Unit::Day, Date::constant(1970, 1, 1))).map_or(0, |span| span.get_days());
    Hour(i64::from(days) * 24)
}

impl fmt::Display for Period {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let format = match self.kind {
            PeriodKind::Hour => "%Y-%m-%dT%H",
            PeriodKind::Day => "%Y-%m-%d",
            PeriodKind::Month => "%Y-%m",
            PeriodKind::Year => "%Y",
        };
        write!(f, "{}", self.start().to_jiff().strftime(format))
    }
}

/// Why a text is no period.
#[derive(Debug, thiserror::Error)]
#[error("{0:?} is not a period: write 2012, 2012-06, 2012-06-30 or 2012-06-30T14")]
pub struct NotAPeriod(String);

impl FromStr for Period {
    type Err = NotAPeriod;

    fn from_str(text: &str) -> Result<Self, NotAPeriod> {
        let wrong = || NotAPeriod(text.chars().take(32).collect());
        let (kind, padded) = match text.len() {
            4 => (PeriodKind::Year, format!("{text}-01-01T00")),
            7 => (PeriodKind::Month, format!("{text}-01T00")),
            10 => (PeriodKind::Day, format!("{text}T00")),
            13 => (PeriodKind::Hour, text.to_owned()),
            _ => return Err(wrong()),
        };
        let start: jiff::Timestamp = format!("{padded}:00:00Z").parse().map_err(|_| wrong())?;
        Ok(Self::containing(kind, Timestamp(start.as_microsecond())))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn periods_read_back_what_they_print() {
        for text in ["2012", "2012-06", "2012-06-30", "2012-06-30T14", "1969-12-31T23", "2000-02-29"] {
            assert_eq!(text.parse::<Period>().unwrap().to_string(), text);
        }
        for text in ["", "12", "2012-13", "2012-02-30", "2012-06-30T24", "2012-6"] {
            assert!(text.parse::<Period>().is_err(), "{text}");
        }
    }

    #[test]
    fn a_leap_february_has_29_days() {
        let month: Period = "2012-02".parse().unwrap();
        assert_eq!(month.end_hour().0 - month.first_hour().0, 29 * 24);
        assert_eq!(month.next().to_string(), "2012-03");
        assert_eq!(
            "2012".parse::<Period>().unwrap().end_hour().0 - "2012".parse::<Period>().unwrap().first_hour().0,
            366 * 24
        );
    }

    #[test]
    fn the_last_microsecond_of_a_year_is_in_it() {
        let year: Period = "2012".parse().unwrap();
        let last = year.end().plus_micros(-1);
        for kind in PeriodKind::ALL {
            assert!(Period::containing(kind, last).to_string().starts_with("2012"));
        }
        assert_eq!(Period::containing(PeriodKind::Year, year.end()).to_string(), "2013");
    }
}
