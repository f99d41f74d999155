//! The periods that readers set beside this one: the month before and the same month a year before, or the year before.
//!
//! Numbers are scaled to the same time observed. Where something of how was counted differs, it is named beside the change.

use crate::model::period::{Period, PeriodKind};
use crate::report::shape::Report;
use crate::report::trend::{Month, NORMAL_SECS, OBSERVED_MIN};

/// A period beside this one.
#[derive(Clone, Debug, PartialEq)]
pub struct Earlier {
    /// Its name: `2012-06`, `2012`.
    pub period: String,
    /// Seconds in it.
    pub seconds: i64,
    /// Seconds observed.
    pub seconds_observed: i64,
    /// Attempts in the headline.
    pub headline_attempts: u64,
    /// Of these, from overseas; none where no home was declared.
    pub overseas_attempts: Option<u64>,
    /// The headline's number by 30 observed days; none where too little was observed.
    pub normalised: Option<f64>,
    /// How that of this period differs from it, as a part of it: 0.1 is a tenth more. None of this period itself.
    pub change: Option<f64>,
    /// What differs of how the two were counted, or was observed too little.
    pub differs: Vec<&'static str>,
}

impl Earlier {
    /// The headline's number by 30 observed days, whole; nothing where there is none.
    pub fn scaled(&self) -> Option<u64> {
        #[expect(clippy::cast_sign_loss, reason = "counts are not below zero")]
        self.normalised.map(|number| number.round() as u64)
    }
}

/// This period and those beside it, itself first; empty where the store has none to set beside it.
pub fn periods(report: &Report) -> Vec<Earlier> {
    let Some(trend) = &report.trend else { return Vec::new() };
    let Ok(this) = report.period.name.parse::<Period>() else { return Vec::new() };
    let before = Period::containing(this.kind(), this.start().plus_micros(-1));
    let beside = match this.kind() {
        PeriodKind::Month => vec![before, a_year_before(this)],
        PeriodKind::Year => vec![before],
        PeriodKind::Day | PeriodKind::Hour => return Vec::new(),
    };
    let overseas = trend.of == "overseas_attempts";
    let Some(this) = summed(this, &trend.months, overseas) else { return Vec::new() };
    let earlier = beside.into_iter().filter_map(|period| {
        let mut earlier = summed(period, &trend.months, overseas)?;
        earlier.change = this
            .normalised
            .zip(earlier.normalised.filter(|number| *number > 0.0))
            .map(|(now, before)| now / before - 1.0);
        earlier.differs = differs(&trend.months, [&earlier.period, &this.period]);
        Some(earlier)
    });
    let earlier: Vec<Earlier> = earlier.collect();
    if earlier.is_empty() { Vec::new() } else { std::iter::once(this).chain(earlier).collect() }
}

/// The change in words: `+12 %`, `-3 %`, `3 times as many`.
pub fn change(change: f64) -> String {
    match change {
        large if large >= 2.0 => format!("{:.1} times", large + 1.0),
        _ => format!("{:+.0} %", (change * 100.0).round() + 0.0),
    }
}

fn a_year_before(month: Period) -> Period {
    let mut before = month;
    for _ in 0..12 {
        before = Period::containing(PeriodKind::Month, before.start().plus_micros(-1));
    }
    before
}

/// The months of a period put together; none where the store has none of them.
fn summed(period: Period, months: &[Month], overseas: bool) -> Option<Earlier> {
    let name = period.to_string();
    let of_it: Vec<&Month> = months.iter().filter(|month| month.period.starts_with(&name)).collect();
    of_it.first()?;
    let seconds = (period.end_hour().0 - period.first_hour().0) * 3_600;
    let seconds_observed: i64 = of_it.iter().map(|month| month.seconds_observed).sum();
    let headline_attempts = of_it.iter().map(|month| month.headline_attempts).sum();
    let overseas_attempts = of_it.iter().map(|month| month.overseas_attempts).sum::<Option<u64>>();
    let number = if overseas { overseas_attempts } else { Some(headline_attempts) };
    let is_enough = seconds_observed as f64 >= OBSERVED_MIN * seconds as f64
        // Reports of several sensors scale nothing.
        && of_it.iter().any(|month| month.normalised.is_some());
    Some(Earlier {
        period: name,
        seconds,
        seconds_observed,
        headline_attempts,
        overseas_attempts,
        normalised: number
            .filter(|_| is_enough)
            .map(|number| number as f64 * NORMAL_SECS / seconds_observed as f64),
        change: None,
        differs: Vec::new(),
    })
}

/// What changed from the first to the last of two periods, and what of them was observed too little.
fn differs(months: &[Month], [first, last]: [&str; 2]) -> Vec<&'static str> {
    let mut differs: Vec<&'static str> = Vec::new();
    // Names of months sort by time; the end of a year sorts behind its months.
    let within =
        |month: &&Month| month.period.as_str() >= first && month.period.as_str() <= &*format!("{last}~");
    for month in months.iter().filter(within) {
        let is_end = month.period.starts_with(first) || month.period.starts_with(last);
        let breaks = month.breaks.iter().filter(|name| is_end || **name != "coverage");
        for name in breaks {
            if !differs.contains(name) {
                differs.push(name);
            }
        }
    }
    differs
}

#[cfg(test)]
mod tests {
    use super::*;

    fn months() -> Vec<Month> {
        let mut period: Period = "2011-01".parse().unwrap();
        (0..24_u64)
            .map(|at| {
                let seconds = (period.end_hour().0 - period.first_hour().0) * 3_600;
                let breaks = match at {
                    5 => vec!["coverage"],
                    20 => vec!["detectors"],
                    _ => Vec::new(),
                };
                let month = Month {
                    period: period.to_string(),
                    seconds,
                    seconds_observed: if at == 5 { seconds / 2 } else { seconds },
                    attempts: 900,
                    headline_attempts: 600,
                    overseas_attempts: Some(if at < 12 { 100 } else { 300 }),
                    normalised: Some(100.0),
                    breaks,
                };
                period = period.next();
                month
            })
            .collect()
    }

    #[test]
    fn months_of_a_year_are_put_together_by_what_was_observed_of_them() {
        let year = summed("2011".parse().unwrap(), &months(), true).unwrap();
        assert_eq!((year.headline_attempts, year.overseas_attempts), (7_200, Some(1_200)));
        assert_eq!(year.seconds_observed, (365 - 15) * 86_400);
        assert!((year.normalised.unwrap() - 1_200.0 * 30.0 / 350.0).abs() < 1e-9);
        assert_eq!(summed("2013".parse().unwrap(), &months(), true), None);
        assert_eq!(a_year_before("2012-03".parse().unwrap()).to_string(), "2011-03");
    }

    #[test]
    fn what_differs_is_named_and_a_hole_between_the_two_is_none() {
        let between = |first, last| differs(&months(), [first, last]);
        assert_eq!(between("2011-08", "2011-09"), Vec::<&str>::new());
        assert_eq!(between("2011-05", "2011-07"), Vec::<&str>::new(), "June is between them");
        assert_eq!(between("2011-06", "2011-07"), ["coverage"]);
        assert_eq!(between("2011-09", "2012-09"), ["detectors"]);
        assert_eq!(between("2012-09", "2012-10"), ["detectors"], "within the first of them");
        assert_eq!(between("2011", "2012"), ["coverage", "detectors"]);
    }

    #[test]
    fn changes_are_told_in_per_cent_or_in_times() {
        assert_eq!(
            [0.0, -0.001, 0.124, -1.0, 1.99, 2.0, 61.6].map(change),
            ["+0 %", "+0 %", "+12 %", "-100 %", "+199 %", "3.0 times", "62.6 times"]
        );
    }
}
