//! The counts of two periods by their steps, and the test for a difference.

use std::collections::BTreeMap;

use statrs::distribution::{ContinuousCDF, StudentsT};

use crate::model::period::Period;
use crate::model::time::{Hour, MICROS_PER_SEC};
use crate::report::compare::Compared;
use crate::report::compare::sides::Obstacle;
use crate::report::shape::Counts;
use crate::report::span::Span;
use crate::report::store::Store;
use crate::report::trend::fit::{self, Point};
use crate::report::{ReportError, query, rollup};

/// Observed steps of each period from which on an interval is told: with fewer the scatter cannot be told.
const STEPS_MIN: usize = 6;
/// A factor beyond this at either end of an interval is none.
const FACTOR_MAX: f64 = 10_000.0;
/// Steps of a period at most: hours of a year, were it told by hours.
const STEPS_MAX: usize = 9_000;

/// Site and class.
type Cell = (String, String);

/// What was counted in both periods.
pub(super) struct Numbers {
    /// Observed seconds of each step of each period.
    observed: [Vec<f64>; 2],
    /// Counts by site and class, step by step; absent steps counted nothing.
    cells: BTreeMap<Cell, [BTreeMap<usize, Counts>; 2]>,
    /// Number of the first step of the second period, counted from the first of the first: neighbours differ by one.
    apart: usize,
}

impl Numbers {
    pub(super) fn read(store: &Store, spans: [&Span; 2], site: Option<&str>) -> Result<Self, ReportError> {
        let mut numbers =
            Self { observed: [Vec::new(), Vec::new()], cells: BTreeMap::new(), apart: STEPS_MAX };
        for (number, span) in spans.into_iter().enumerate() {
            let kept = rollup::finest(store.connection(), span).map_err(store.wrap())?;
            let refused = || ReportError::RolledUp { span: span.name.clone(), kept: kept.name() };
            let span = &span.told_by(kept).ok_or_else(refused)?;
            numbers.read_side(store, (number, span), site)?;
        }
        let [first, second] = spans;
        if first.to == second.from {
            let [steps, _] = &numbers.observed;
            numbers.apart = steps.len();
        }
        Ok(numbers)
    }

    fn read_side(
        &mut self,
        store: &Store,
        (number, span): (usize, &Span),
        site: Option<&str>,
    ) -> Result<(), ReportError> {
        let watch = query::watch(store, span)?;
        let mut step = Period::containing(span.step(), span.from.start());
        let mut starts: BTreeMap<Hour, usize> = BTreeMap::new();
        let mut observed = Vec::new();
        while step.first_hour() < span.to && observed.len() < STEPS_MAX {
            starts.insert(step.first_hour(), observed.len());
            let micros: i64 =
                watch.range(step.first_hour()..step.end_hour()).map(|(_, micros)| *micros).sum();
            observed.push((micros / MICROS_PER_SEC) as f64);
            step = step.next();
        }
        if let Some(known) = self.observed.get_mut(number) {
            *known = observed;
        }
        query::each_row(store, span, site, |row| {
            let Some((_, at)) = starts.range(..=row.hour).next_back() else { return };
            let cell = self.cells.entry((row.site.clone(), row.class.clone())).or_default();
            if let Some(steps) = cell.get_mut(number) {
                steps.entry(*at).or_default().add(row.counts);
            }
        })
    }

    /// The headline's numbers.
    pub(super) fn totals(&self, declared: bool, obstacles: &[Obstacle]) -> Vec<Compared> {
        let mut rows = vec![self.row(Of::Headline, ("", ""), obstacles)];
        if declared {
            rows.push(self.row(Of::Overseas, ("", ""), obstacles));
        }
        rows
    }

    /// By site.
    pub(super) fn sites(&self, obstacles: &[Obstacle]) -> Vec<Compared> {
        let names: std::collections::BTreeSet<&str> =
            self.cells.keys().map(|(site, _)| site.as_str()).collect();
        names.into_iter().map(|site| self.row(Of::Headline, (site, ""), obstacles)).collect()
    }

    /// By class, in the order of the class table.
    pub(super) fn classes(&self, obstacles: &[Obstacle]) -> Vec<Compared> {
        let counted = |class: &str| self.cells.keys().any(|(_, known)| known == class);
        let ids = crate::model::class::CLASSES.iter().map(|row| row.id).filter(|id| counted(id));
        ids.map(|class| self.row(Of::Attempts, ("", class), obstacles)).collect()
    }

    /// By site and class.
    pub(super) fn cells(&self, obstacles: &[Obstacle]) -> Vec<Compared> {
        self.cells.keys().map(|(site, class)| self.row(Of::Attempts, (site, class), obstacles)).collect()
    }

    fn row(&self, of: Of, (site, class): (&str, &str), obstacles: &[Obstacle]) -> Compared {
        let mut steps: [BTreeMap<usize, u64>; 2] = Default::default();
        let mut add = |cell: &[BTreeMap<usize, Counts>; 2]| {
            for (sums, cell) in steps.iter_mut().zip(cell) {
                for (at, counts) in cell {
                    *sums.entry(*at).or_default() += of.count(counts);
                }
            }
        };
        if site.is_empty() || class.is_empty() {
            let meant = self.cells.iter().filter(|((its_site, its_class), _)| {
                (site.is_empty() || site == its_site) && (class.is_empty() || class == its_class)
            });
            meant.for_each(|(_, cell)| add(cell));
        } else if let Some(cell) = self.cells.get(&(site.to_owned(), class.to_owned())) {
            add(cell);
        }
        let counts = [0, 1].map(|side: usize| steps.get(side).map_or(0, |steps| steps.values().sum()));
        let mut row = Compared {
            site: site.to_owned(),
            class: class.to_owned(),
            of: of.name(),
            counts,
            per_hour: self.rates(counts).map(|rate| rate.map(|rate| rounded(rate, 1e6))),
            ratio: None,
            interval: None,
            p_value: None,
            reason: None,
            not_comparable: obstacles
                .iter()
                .filter(|obstacle| !obstacle.of_origin || of == Of::Overseas)
                .map(|obstacle| obstacle.id)
                .collect(),
        };
        self.test(&steps, &mut row);
        row
    }

    fn rates(&self, counts: [u64; 2]) -> [Option<f64>; 2] {
        let [first, second] = &self.observed;
        let [before, after] = counts;
        [(first, before), (second, after)].map(|(observed, count)| {
            let hours = observed.iter().sum::<f64>() / 3_600.0;
            (hours > 0.0).then(|| count as f64 / hours)
        })
    }

    /// Fills in the ratio and how sure it is, or why there is none.
    fn test(&self, steps: &[BTreeMap<usize, u64>; 2], row: &mut Compared) {
        match self.rates(row.counts) {
            [Some(before), Some(after)] if before > 0.0 && after > 0.0 => {
                row.ratio = Some(rounded(after / before, 1e4));
            }
            [Some(_), Some(_)] => {
                row.reason = Some("nothing was counted in one of the periods");
                return;
            }
            _ => {
                row.reason = Some("nothing was observed in one of the periods");
                return;
            }
        }
        let points = self.points(steps);
        let of_second = points.iter().filter(|point| point.years > 0.0).count();
        if of_second < STEPS_MIN || points.len() - of_second < STEPS_MIN {
            row.reason = Some("too few steps were observed for an interval");
            return;
        }
        let Some((interval, p_value)) = tested(&points) else {
            row.reason = Some("too few or too uneven for an interval");
            return;
        };
        row.interval = Some(interval);
        row.p_value = row.not_comparable.is_empty().then_some(p_value);
    }

    /// The observed steps of both periods, a step in the first at 0 and one in the second at 1.
    fn points(&self, steps: &[BTreeMap<usize, u64>; 2]) -> Vec<Point> {
        let mut points = Vec::new();
        let sides = self.observed.iter().zip(steps);
        for ((observed, counts), (first, years)) in sides.zip([(0, 0.0), (self.apart, 1.0)]) {
            let observed = observed.iter().enumerate().filter(|(_, seconds)| **seconds > 0.0);
            points.extend(observed.map(|(at, seconds)| Point {
                month: first + at,
                years,
                count: counts.get(&at).copied().unwrap_or(0) as f64,
                exposure: *seconds,
                after: Vec::new(),
            }));
        }
        points
    }
}

/// Which of the counts.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
enum Of {
    Attempts,
    Headline,
    Overseas,
}

impl Of {
    const fn name(self) -> &'static str {
        match self {
            Self::Attempts => "attempts",
            Self::Headline => "headline_attempts",
            Self::Overseas => "overseas_attempts",
        }
    }

    const fn count(self, counts: &Counts) -> u64 {
        match self {
            Self::Attempts => counts.attempts,
            Self::Headline => counts.headline_attempts,
            Self::Overseas => counts.overseas_attempts,
        }
    }
}

/// The interval of the factor, and how likely one as far from 1 would be by chance.
fn tested(points: &[Point]) -> Option<([f64; 2], f64)> {
    let fit = fit::fit(points)?;
    let student = StudentsT::new(0.0, 1.0, fit.degrees).ok()?;
    let reach = student.inverse_cdf(0.975) * fit.error;
    let [low, high] = [fit.rate - reach, fit.rate + reach].map(f64::exp);
    let p_value = 2.0 * student.sf((fit.rate / fit.error).abs());
    let told = high < FACTOR_MAX && low > 1.0 / FACTOR_MAX && p_value.is_finite();
    told.then(|| ([low, high].map(|factor| rounded(factor, 1e4)), rounded(p_value.min(1.0), 1e4)))
}

fn rounded(value: f64, steps: f64) -> f64 {
    (value * steps).round() / steps + 0.0
}
