//! Whether it is getting worse: months side by side, and a test that a change of how is counted does not pass.

pub(super) mod fit;
pub mod months;

use serde::Serialize;
use statrs::distribution::{ContinuousCDF, StudentsT};

use crate::model::period::{Period, PeriodKind};
use crate::model::time::MICROS_PER_SEC;
use crate::report::provenance::Provenance;
use crate::report::regimes::Way;
use crate::report::span::Span;
use crate::report::store::Store;
use crate::report::trend::fit::Point;
use crate::report::trend::months::Sums;
use crate::report::{ReportError, query, regimes, summary};

/// Months from which on a rate is told: with less than two years a season looks like a trend.
const MONTHS_MIN: usize = 24;
/// Residual degrees of freedom from which on it is told.
const DEGREES_MIN: usize = 12;
/// Changes of how is counted that a rate is told beside; with more of them every year has a level of its own.
const LEVEL_SHIFTS_MAX: usize = 8;
/// A month of which less than this was observed is left out: an hour of attacks is no month of them.
pub const OBSERVED_MIN: f64 = 0.1;
/// Seconds that the numbers of months are scaled to.
pub const NORMAL_SECS: f64 = 30.0 * 86_400.0;
/// A factor a year, at either end of the interval, beyond this is no rate.
const FACTOR_MAX: f64 = 10_000.0;

const METHOD: &str = "Quasi-Poisson log-linear regression of monthly counts on time by observed seconds, with a level of its own after \
     each change of the detection set (and of database or home where the number is overseas); months observed for less \
     than a tenth left out; errors from Pearson's chi-squared and widened by the lag-1 autocorrelation; Student's t.";

/// `trend`
#[derive(Clone, Debug, Serialize)]
pub struct Trend {
    /// Which number of the months it is about: that of the headline.
    pub of: &'static str,
    /// The months, oldest first.
    pub months: Vec<Month>,
    /// Factor a year less 1; `null` where `reason` says why.
    pub change_per_year: Option<f64>,
    /// Its 95 per cent interval.
    pub interval: Option<[f64; 2]>,
    /// How likely a change as large would be by chance.
    pub p_value: Option<f64>,
    /// Why no change is told.
    pub reason: Option<String>,
    /// How much more the months scatter than chance, at least 1.
    pub dispersion: Option<f64>,
    /// Correlation of the residuals of neighbouring months.
    pub autocorrelation: Option<f64>,
    /// Months that were used.
    pub months_used: usize,
    /// Changes of how is counted that have a level of their own.
    pub level_shifts: Vec<LevelShift>,
    /// How it was tested.
    pub method: &'static str,
}

impl Trend {
    /// How it was tested, where there is something to tell of it.
    pub fn method_told(&self) -> Option<&'static str> {
        self.change_per_year.map(|_| self.method)
    }
}

/// A month of the trend.
#[derive(Clone, Debug, Serialize)]
pub struct Month {
    /// `2012-06`
    pub period: String,
    /// Seconds in it.
    pub seconds: i64,
    /// Seconds observed.
    pub seconds_observed: i64,
    /// Attempts.
    pub attempts: u64,
    /// Of these, in the headline.
    pub headline_attempts: u64,
    /// Of these, from overseas; `null` where no home was declared.
    pub overseas_attempts: Option<u64>,
    /// The headline's number by 30 days of observed time; `null` where less than a tenth was observed.
    pub normalised: Option<f64>,
    /// What changed in it of how is counted, and `coverage` where less than nine tenths were observed.
    pub breaks: Vec<&'static str>,
}

/// A change of how is counted, as the fit sees it.
#[derive(Clone, Debug, Serialize)]
pub struct LevelShift {
    /// Month of the change.
    pub period: String,
    /// What changed: `database`, `detectors`, `home`.
    pub changed: Vec<&'static str>,
    /// The factor of the number by it; `null` where no rate is told.
    pub factor: Option<f64>,
}

/// The trend up to a month or year; none for other spans. `declared`: whether the headline's number is that of overseas.
pub fn read(
    (store, span, site): (&Store, &Span, Option<&str>),
    declared: bool,
) -> Result<Option<Trend>, ReportError> {
    if !matches!(span.kind, Some(PeriodKind::Month | PeriodKind::Year)) {
        return Ok(None);
    }
    let periods = months::periods(store, span)?;
    let (Some(first), Some(last)) = (periods.first(), periods.last()) else { return Ok(None) };
    let window = Span::between(*first, *last);
    let watch = query::watch(store, &window)?;
    let ways = regimes::ways(store, &window)?;
    let month = |period: &Period| {
        let micros: i64 =
            watch.range(period.first_hour()..period.end_hour()).map(|(_, micros)| *micros).sum();
        let home = way_at(&ways, *period).map_or(declared, |way| way.provenance.home_declared);
        let sums = months::sums(store, *period, site)?;
        Ok(month(*period, sums, micros / MICROS_PER_SEC, (&ways, declared, home)))
    };
    let months = periods.iter().map(month).collect::<Result<Vec<Month>, ReportError>>()?;
    let shifts = shifts(&periods, &ways, declared);
    Ok(Some(tested(months, shifts, declared)))
}

fn month(
    period: Period,
    [attempts, headline, overseas]: Sums,
    observed: i64,
    (ways, declared, home): (&[Way], bool, bool),
) -> Month {
    let seconds = (period.end_hour().0 - period.first_hour().0) * 3_600;
    let overseas_attempts = home.then_some(overseas);
    let number = if declared { overseas_attempts } else { Some(headline) };
    Month {
        period: period.to_string(),
        seconds,
        seconds_observed: observed,
        attempts,
        headline_attempts: headline,
        overseas_attempts,
        normalised: number
            .filter(|_| observed > 0 && observed as f64 >= OBSERVED_MIN * seconds as f64)
            .map(|number| rounded(number as f64 * NORMAL_SECS / observed as f64, 1e3)),
        breaks: summary::breaks(period, ways.iter(), observed),
    }
}

/// The way in which a month was counted last.
fn way_at(ways: &[Way], period: Period) -> Option<&Way> {
    ways.iter().rev().find(|way| way.from < period.end_hour()).or_else(|| ways.first())
}

/// A level shift before it is known what the months tell of it.
struct Shift {
    /// Which month.
    month: usize,
    /// The part of that month after it.
    after: f64,
    changed: Vec<&'static str>,
    period: String,
}

impl Shift {
    fn part_after(&self, month: usize) -> f64 {
        match month.cmp(&self.month) {
            std::cmp::Ordering::Less => 0.0,
            std::cmp::Ordering::Equal => self.after,
            std::cmp::Ordering::Greater => 1.0,
        }
    }
}

/// What differs between two ways of counting that moves the number, so that it must not pass for a trend.
fn moving(then: &Provenance, now: &Provenance, overseas: bool) -> Vec<&'static str> {
    let moves = |name: &&'static str| *name == "detectors" || overseas && *name == "database";
    let mut changed: Vec<&'static str> = regimes::changes(then, now).into_iter().filter(moves).collect();
    if overseas && (&then.home, then.home_declared) != (&now.home, now.home_declared) {
        changed.push("home");
    }
    changed
}

/// Changes of how is counted, one a month: the first of a month stands for those after it.
fn shifts(periods: &[Period], ways: &[Way], overseas: bool) -> Vec<Shift> {
    let mut shifts: Vec<Shift> = Vec::new();
    for (then, now) in ways.iter().zip(ways.iter().skip(1)) {
        let changed = moving(&then.provenance, &now.provenance, overseas);
        let month = periods.iter().position(|period| period.contains(now.from));
        let Some((month, period)) = month.and_then(|at| Some((at, periods.get(at)?))) else { continue };
        if changed.is_empty() {
            continue;
        }
        match shifts.last_mut().filter(|shift| shift.month == month) {
            Some(shift) => shift.take(&changed),
            None => shifts.push(Shift {
                month,
                after: (period.end_hour().0 - now.from.0) as f64
                    / (period.end_hour().0 - period.first_hour().0) as f64,
                changed,
                period: period.to_string(),
            }),
        }
    }
    shifts
}

impl Shift {
    fn take(&mut self, changed: &[&'static str]) {
        let new: Vec<_> = changed.iter().copied().filter(|name| !self.changed.contains(name)).collect();
        self.changed.extend(new);
    }
}

/// The trend of months whose way of counting changed at `shifts`.
fn tested(months: Vec<Month>, shifts: Vec<Shift>, declared: bool) -> Trend {
    let used: Vec<(usize, &Month, u64)> = months
        .iter()
        .enumerate()
        .filter(|(_, month)| month.seconds_observed as f64 >= OBSERVED_MIN * month.seconds as f64)
        .filter_map(|(at, month)| {
            let number = if declared { month.overseas_attempts? } else { month.headline_attempts };
            Some((at, month, number))
        })
        .collect();
    let shifts = told_apart(shifts, &used.iter().map(|(at, ..)| *at).collect::<Vec<_>>());
    let points: Vec<Point> = used
        .iter()
        .map(|(at, month, number)| Point {
            month: *at,
            years: *at as f64 / 12.0,
            count: *number as f64,
            exposure: month.seconds_observed as f64 / NORMAL_SECS,
            after: shifts.iter().map(|shift| shift.part_after(*at)).collect(),
        })
        .collect();
    let rate = rate(&points, shifts.len());
    let factors = rate.as_ref().map(|rate| rate.factors.clone()).unwrap_or_default();
    let factors = factors.into_iter().map(Some).chain(std::iter::repeat(None));
    let level_shifts = shifts
        .into_iter()
        .zip(factors)
        .map(|(shift, factor)| LevelShift { period: shift.period, changed: shift.changed, factor })
        .collect();
    let (rate, reason) = match rate {
        Ok(rate) => (Some(rate), None),
        Err(reason) => (None, Some(reason)),
    };
    Trend {
        of: if declared { "overseas_attempts" } else { "headline_attempts" },
        months_used: points.len(),
        months,
        change_per_year: rate.as_ref().map(|rate| rate.change),
        interval: rate.as_ref().map(|rate| rate.interval),
        p_value: rate.as_ref().map(|rate| rate.p_value),
        reason,
        dispersion: rate.as_ref().map(|rate| rate.dispersion),
        autocorrelation: rate.as_ref().map(|rate| rate.correlation),
        level_shifts,
        method: METHOD,
    }
}

/// The shifts that the months used can tell: those before the first or after the last of them are none, and those
/// between the same two of them are one.
fn told_apart(shifts: Vec<Shift>, used: &[usize]) -> Vec<Shift> {
    let column = |shift: &Shift| -> Vec<f64> { used.iter().map(|month| shift.part_after(*month)).collect() };
    let mut told: Vec<Shift> = Vec::new();
    for shift in shifts {
        let parts = column(&shift);
        let first = parts.first().copied().unwrap_or(0.0);
        if parts.iter().all(|part| part.total_cmp(&first).is_eq()) {
            continue;
        }
        match told.last_mut().filter(|last| column(last) == parts) {
            Some(last) => last.take(&shift.changed),
            None => told.push(shift),
        }
    }
    told
}

/// A rate as it is told.
struct Rate {
    change: f64,
    interval: [f64; 2],
    p_value: f64,
    dispersion: f64,
    correlation: f64,
    factors: Vec<f64>,
}

/// The rate, or why there is none to tell.
fn rate(points: &[Point], shifts: usize) -> Result<Rate, String> {
    const UNTOLD: &str = "whether it is getting worse cannot be told";
    if points.len() < MONTHS_MIN {
        return Err(format!("Fewer than {MONTHS_MIN} months were observed: {UNTOLD}."));
    }
    if points.iter().all(|point| point.count <= 0.0) {
        return Err(format!("Nothing was counted in {} months: {UNTOLD}.", points.len()));
    }
    if shifts > LEVEL_SHIFTS_MAX || points.len() < 2 + shifts + DEGREES_MIN {
        return Err(format!(
            "In {} months the way of counting changed {shifts} times: {UNTOLD} from that.",
            points.len()
        ));
    }
    let uneven = || format!("The {} months are too uneven for a rate of change: {UNTOLD}.", points.len());
    let fit = fit::fit(points).ok_or_else(uneven)?;
    let student = StudentsT::new(0.0, 1.0, fit.degrees).map_err(|_| uneven())?;
    let reach = student.inverse_cdf(0.975) * fit.error;
    let [low, high] = [fit.rate - reach, fit.rate + reach].map(f64::exp);
    if !(high < FACTOR_MAX && low > 1.0 / FACTOR_MAX) {
        return Err(uneven());
    }
    let p_value = 2.0 * student.sf((fit.rate / fit.error).abs());
    if !p_value.is_finite() {
        return Err(uneven());
    }
    Ok(Rate {
        change: rounded(fit.rate.exp() - 1.0, 1e4),
        interval: [low, high].map(|factor| rounded(factor - 1.0, 1e4)),
        p_value: rounded(p_value.min(1.0), 1e4),
        dispersion: rounded(fit.dispersion, 1e3),
        correlation: rounded(fit.correlation, 1e3),
        factors: fit.levels.iter().map(|level| rounded(level.exp(), 1e3)).collect(),
    })
}

fn rounded(value: f64, steps: f64) -> f64 {
    // A zero has no sign in a report.
    (value * steps).round() / steps + 0.0
}

#[cfg(test)]
mod tests {
    use rand_chacha::ChaCha8Rng;
    use rand_chacha::rand_core::SeedableRng;
    use rand_distr::{Distribution, Gamma, Poisson};
    use rusqlite::params;

    use super::*;
    use crate::model::time::Hour;

    /// Months with these counts from overseas, observed whole.
    fn months(counts: &[u64]) -> Vec<Month> {
        let mut period: Period = "2010-01".parse().unwrap();
        let mut months = Vec::new();
        for count in counts {
            let seconds = (period.end_hour().0 - period.first_hour().0) * 3_600;
            months.push(month(period, [*count, *count, *count], seconds, (&[], true, true)));
            period = period.next();
        }
        months
    }

    fn of(counts: &[u64], shifts: Vec<Shift>) -> Trend {
        tested(months(counts), shifts, true)
    }

    fn shift(month: usize, after: f64) -> Shift {
        Shift { month, after, changed: vec!["detectors"], period: format!("month {month}") }
    }

    /// Counts around `mean` of each month that scatter more than chance: their means are drawn from a gamma distribution.
    #[expect(clippy::cast_sign_loss, reason = "counts are not below zero")]
    fn scattered(seed: u64, number: usize, mean: impl Fn(f64) -> f64) -> Vec<u64> {
        let mut random = ChaCha8Rng::seed_from_u64(seed);
        let shape = 8.0;
        (0..number)
            .map(|at| {
                let wanted = mean(at as f64);
                let mean: f64 = Gamma::new(shape, wanted / shape).unwrap().sample(&mut random);
                Poisson::new(mean).unwrap().sample(&mut random) as u64
            })
            .collect()
    }

    #[test]
    fn intervals_hold_the_truth_as_often_as_they_say() {
        const RUNS: u64 = 300;
        for truth in [0.0_f64, 0.3] {
            let (mut held, mut alarms) = (0_u32, 0_u32);
            for seed in 0..RUNS {
                let mean = |month: f64| 400.0 * (1.0 + truth).powf(month / 12.0);
                let trend = of(&scattered(seed, 36, mean), Vec::new());
                let [low, high] = trend.interval.unwrap();
                held += u32::from(low <= truth && truth <= high);
                alarms += u32::from(trend.p_value.unwrap() < 0.05);
                assert!(trend.dispersion.unwrap() > 5.0, "{trend:?}");
            }
            let part = f64::from(held) / RUNS as f64;
            assert!((0.90..=0.99).contains(&part), "{part} of the intervals hold {truth}");
            let alarmed = f64::from(alarms) / RUNS as f64;
            if truth == 0.0 {
                assert!((0.01..=0.08).contains(&alarmed), "{alarmed} false alarms where 0.05 are meant");
            } else {
                assert!(alarmed > 0.9, "only {alarmed} of the growing ones were found");
            }
        }
    }

    #[test]
    fn a_rule_update_is_a_level_and_no_trend() {
        const RUNS: u64 = 200;
        let (mut fooled, mut alarms, mut factor) = (0_u32, 0_u32, 0.0);
        for seed in 0..RUNS {
            // Twice as much is recognised from the middle of month 18 on; nothing else changes.
            let mean = |month: f64| match month.total_cmp(&18.0) {
                std::cmp::Ordering::Less => 400.0,
                std::cmp::Ordering::Equal => 600.0,
                std::cmp::Ordering::Greater => 800.0,
            };
            let counts = scattered(seed, 36, mean);
            fooled += u32::from(of(&counts, Vec::new()).p_value.unwrap() < 0.05);
            let trend = of(&counts, vec![shift(18, 0.5)]);
            alarms += u32::from(trend.p_value.unwrap() < 0.05);
            factor += trend.level_shifts[0].factor.unwrap() / RUNS as f64;
        }
        assert!(f64::from(fooled) / RUNS as f64 > 0.9, "without the level it would look like growth");
        assert!(f64::from(alarms) / RUNS as f64 <= 0.10, "{alarms} of {RUNS} took it for a trend");
        assert!((1.8..=2.25).contains(&factor), "{factor}");
    }

    #[test]
    fn nothing_is_told_of_less_than_two_years() {
        let trend = of(&[500; 23], Vec::new());
        assert_eq!((trend.change_per_year, trend.interval, trend.p_value), (None, None, None));
        assert_eq!(
            trend.reason.as_deref(),
            Some("Fewer than 24 months were observed: whether it is getting worse cannot be told.")
        );
        let mut hardly = months(&[500; 24]);
        hardly[3].seconds_observed /= 11;
        let trend = tested(hardly, Vec::new(), true);
        assert_eq!((trend.months_used, trend.p_value), (23, None), "a month hardly observed is none");
        let hour = month("2010-01".parse().unwrap(), [7; 3], 3_600, (&[], true, true));
        assert_eq!(hour.normalised, None, "an hour of attacks is no month of them");
        assert_eq!(of(&[500; 24], Vec::new()).reason, None);
    }

    #[test]
    fn what_cannot_be_told_has_a_reason_and_no_number_is_wild() {
        let mut last = [0; 36];
        last[35] = u64::MAX / 4;
        let mut alternating = [0; 36];
        alternating.iter_mut().step_by(2).for_each(|count| *count = u64::MAX / 4);
        let silent: Vec<u64> = (0..36).map(|month| if month < 18 { 0 } else { 500 }).collect();
        let many = || (1..36).step_by(3).map(|month| shift(month, 1.0)).collect::<Vec<_>>();
        let cases = [
            (of(&[], Vec::new()), false),
            (of(&[7], Vec::new()), false),
            (of(&[0; 36], Vec::new()), false),
            (of(&last, Vec::new()), false),
            (of(&silent, vec![shift(18, 1.0)]), false),
            (of(&[500; 36], many()), false),
            (of(&[500; 25], (1..20).step_by(2).map(|month| shift(month, 0.5)).collect()), false),
            (of(&[u64::MAX / 4; 36], Vec::new()), true),
            (of(&[1; 36], Vec::new()), true),
            // A change before the first month, after the last, and two of one month tell nothing of themselves.
            (of(&[500; 36], vec![shift(0, 1.0), shift(40, 1.0)]), true),
        ];
        for (trend, told) in cases {
            assert_eq!(trend.p_value.is_some(), told, "{trend:?}");
            assert_eq!(trend.reason.is_none(), told, "{trend:?}");
            let json = serde_json::to_value(&trend).unwrap();
            for name in ["change_per_year", "p_value", "interval"] {
                assert_eq!(json[name].is_null(), !told, "{name}: {json}");
            }
        }
        let trend = of(&alternating, Vec::new());
        assert!(trend.interval.is_none_or(|[low, high]| low < high && high.is_finite()), "{trend:?}");
    }

    #[test]
    fn quantiles_are_those_of_the_printed_tables() {
        for (degrees, wanted) in [(12.0, 2.179), (22.0, 2.074), (34.0, 2.032)] {
            let student = StudentsT::new(0.0, 1.0, degrees).unwrap();
            assert!((student.inverse_cdf(0.975) - wanted).abs() < 6e-4, "{degrees}");
            assert!((student.sf(wanted) - 0.025).abs() < 1e-4, "{degrees}");
        }
    }

    /// A store with 36 months from 2010-01 on of 600 attempts each, 500 of them in the headline and 400 from overseas; from
    /// 2011-07-16 on, with another detection set, twice as many.
    fn store(folder: &std::path::Path) -> Store {
        let (mut store, _) = Store::open(folder).unwrap();
        let mut month: Period = "2010-01".parse().unwrap();
        let change: Period = "2011-07-16".parse().unwrap();
        let (mut provenance, mut changed) =
            (Provenance { home_declared: true, ..Provenance::default() }, false);
        store.set_regime(&provenance).unwrap();
        // One transaction: each alone would wait for the disk.
        store.connection().execute_batch("BEGIN").unwrap();
        for _ in 0..36 {
            for hour in month.first_hour().0..month.end_hour().0 {
                let now = hour >= change.first_hour().0;
                if now && !changed {
                    (provenance.detector_set, changed) = ("another".into(), true);
                    store.set_regime(&provenance).unwrap();
                }
                let regime = regimes::number(store.connection(), &provenance).unwrap();
                regimes::note(store.connection(), Hour(hour), regime).unwrap();
            }
            let hour = |at: i64| month.first_hour().0 + at;
            let add = |at: i64, attempts: i64, sector: &str, headline: bool| {
                let values = params![hour(at), sector, headline, attempts];
                let sql = "INSERT INTO tally VALUES (?1, 'a', 'web.sqli', 'E2', 'US', ?2, '', ?3, 1, ?4, 0, 0, 0, 0)";
                store.connection().execute(sql, values).unwrap();
            };
            // The first half of the month, and the second.
            for half in [1, 400] {
                let times = if hour(half) >= change.first_hour().0 { 2 } else { 1 };
                add(half, 200 * times, "overseas", true);
                add(half, 50 * times, "domestic", true);
                add(half, 50 * times, "overseas", false);
            }
            let all = "WITH RECURSIVE h(n) AS (SELECT ?1 UNION ALL SELECT n + 1 FROM h WHERE n + 1 < ?2)
                INSERT INTO watch SELECT n, 3600000000 FROM h";
            store.connection().execute(all, [month.first_hour().0, month.end_hour().0]).unwrap();
            month = month.next();
        }
        store.connection().execute_batch("COMMIT").unwrap();
        store
    }

    #[test]
    fn the_store_gives_months_their_breaks_and_levels() {
        let folder = tempfile::tempdir().unwrap();
        let store = store(folder.path());
        let ask = |period: &str, declared| {
            read((&store, &Span::of(period.parse().unwrap()), None), declared).unwrap()
        };
        assert!(ask("2012-12-31", true).is_none(), "of a day there is none");
        let trend = ask("2012", true).unwrap();
        assert_eq!((trend.of, trend.months.len(), trend.months_used), ("overseas_attempts", 36, 36));
        let july = &trend.months[18];
        assert_eq!((july.period.as_str(), july.breaks.as_slice()), ("2011-07", &["detectors"][..]));
        assert_eq!((july.attempts, july.headline_attempts, july.overseas_attempts), (900, 750, Some(600)));
        assert_eq!(july.normalised, Some(580.645), "of 31 days");
        assert_eq!(trend.level_shifts.len(), 1);
        assert!((trend.level_shifts[0].factor.unwrap() - 2.0).abs() < 0.1, "{:?}", trend.level_shifts);
        assert!(trend.change_per_year.unwrap().abs() < 0.02, "{trend:?}");
        assert!(trend.p_value.unwrap() > 0.1, "{trend:?}");
        let undeclared = ask("2012-12", false).unwrap();
        assert_eq!(undeclared.of, "headline_attempts");
        assert_eq!(ask("2011-11", true).unwrap().months.len(), 23, "from the first month of the store on");
        assert_eq!(ask("2013", true).unwrap().months.len(), 36, "up to its last");
        assert!(ask("2009", true).is_none());
    }
}
