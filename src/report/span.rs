//! What is reported on: a period, or a range of them.

use crate::model::period::{Period, PeriodKind};
use crate::model::time::Hour;

/// What is reported on: whole hours from the first to before the last.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct Span {
    /// `2012-06`, or `2012-03_2012-05` for a range.
    pub name: String,
    /// Kind of the period; `None` for a range.
    pub kind: Option<PeriodKind>,
    /// First hour.
    pub from: Hour,
    /// First hour after.
    pub to: Hour,
    /// Calendar months in it, where it is made of whole ones.
    pub months: Option<u32>,
    /// The finest step in which it is told.
    pub finest: PeriodKind,
}

impl Span {
    /// One period.
    pub fn of(period: Period) -> Self {
        Self {
            name: period.to_string(),
            kind: Some(period.kind()),
            from: period.first_hour(),
            to: period.end_hour(),
            months: period.months(),
            finest: PeriodKind::Hour,
        }
    }

    /// The same, told in steps no finer than `kind`; none where it does not begin and end with such a step.
    pub fn told_by(&self, kind: PeriodKind) -> Option<Self> {
        let begins = |hour: Hour| Period::containing(kind, hour.start()).first_hour() == hour;
        (begins(self.from) && begins(self.to)).then(|| Self { finest: kind, ..self.clone() })
    }

    /// What a series of it steps by.
    pub fn step(&self) -> PeriodKind {
        let step = match (self.kind, self.to.0 - self.from.0) {
            (Some(PeriodKind::Hour | PeriodKind::Day), _) => PeriodKind::Hour,
            (Some(PeriodKind::Month), _) => PeriodKind::Day,
            (None, hours) if hours <= 48 => PeriodKind::Hour,
            (None, hours) if hours <= 93 * 24 => PeriodKind::Day,
            _ => PeriodKind::Month,
        };
        step.max(self.finest)
    }

    /// The days of it, for what is kept by days: whole ones, or hours of a single one. None where it is neither.
    pub fn days(&self) -> Option<Days> {
        let first = self.from.0.div_euclid(24) * 24;
        let (begin, end) = (self.from.0 - first, self.to.0 - first);
        if begin == 0 && end % 24 == 0 {
            return Some(Days { from: first, to: self.to.0, hours: 0 });
        }
        let hours = (begin..end.min(24)).fold(0, |bits, hour| bits | 1_u32 << hour);
        (end <= 24).then_some(Days { from: first, to: first + 24, hours })
    }

    /// From the first of one period to the last of another. A range of whole months has a monthly mean.
    pub fn between(first: Period, last: Period) -> Self {
        if first == last {
            return Self::of(first);
        }
        let (from, to) = (first.first_hour(), last.end_hour().max(first.end_hour()));
        let mut month = Period::containing(PeriodKind::Month, from.start());
        let mut months = (month.first_hour() == from).then_some(0_u32);
        while let Some(count) = months
            && month.first_hour() < to
        {
            months = (month.end_hour() <= to).then_some(count + 1);
            month = month.next();
        }
        Self { name: format!("{first}_{last}"), kind: None, from, to, months, finest: PeriodKind::Hour }
    }
}

/// Days of a span, for conditions on what is kept by days.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub struct Days {
    /// First hour of the first day.
    pub from: i64,
    /// First hour after the last.
    pub to: i64,
    /// The hours of the single day that are meant, a bit each; 0: all.
    pub hours: u32,
}

impl Days {
    /// Whether whole days are meant, so that sums kept by days are sums of the span.
    pub const fn are_whole(self) -> bool {
        self.hours == 0
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn days_of_a_span_are_whole_or_hours_of_one() {
        let of = |text: &str| Span::of(text.parse().unwrap()).days();
        let day = Period::containing(PeriodKind::Day, "2012-06-30".parse::<Period>().unwrap().start());
        let first = day.first_hour().0;
        assert_eq!(of("2012-06-30"), Some(Days { from: first, to: first + 24, hours: 0 }));
        assert_eq!(of("2012-06-30T14"), Some(Days { from: first, to: first + 24, hours: 1 << 14 }));
        assert_eq!(of("2012").map(Days::are_whole), Some(true));
        let between = |a: &str, b: &str| Span::between(a.parse().unwrap(), b.parse().unwrap()).days();
        assert_eq!(between("2012-06-30T22", "2012-06-30T23").map(|days| days.hours), Some(3 << 22));
        assert_eq!(between("2012-06-30T22", "2012-07-01T01"), None);
    }
}
