//! The arithmetic of the trend: a log-linear rate with level shifts, fitted to counts that scatter more than chance.
//!
//! Quasi-Poisson regression (Wedderburn, 1974) of an interrupted
//! time series (Wagner and others, 2002): a change of how is counted has a level of its own and is not called a trend.

/// Rounds of the fit; a sound one settles in ten.
const ROUNDS_MAX: usize = 60;
/// A round is halved so often before the fit is given up.
const HALVINGS_MAX: usize = 20;
/// A step shorter than this has settled.
const SETTLED: f64 = 1e-8;
/// Logarithms beyond this (a factor of a million) are no rate of anything, but a stretch without a single attempt.
const LOG_MAX: f64 = 13.8;
/// A pivot below this part of its row's scale: what is asked for cannot be told apart.
const PIVOT_MIN: f64 = 1e-9;
/// A correlation of neighbours beyond this would say that there is one observation only.
const CORRELATION_MAX: f64 = 0.95;

/// A month as the fit sees it.
#[derive(Clone, Debug)]
pub struct Point {
    /// Number of the month; neighbours differ by one.
    pub month: usize,
    /// When, in years from anywhere.
    pub years: f64,
    /// What was counted.
    pub count: f64,
    /// How long was watched, in any unit, above zero.
    pub exposure: f64,
    /// For each change of how is counted, the part of the month after it, 0 to 1. As many in every point.
    pub after: Vec<f64>,
}

/// What was found.
#[derive(Clone, Debug)]
pub struct Fit {
    /// Logarithm of the factor a year.
    pub rate: f64,
    /// Its standard error.
    pub error: f64,
    /// Residual degrees of freedom.
    pub degrees: f64,
    /// Pearson's chi-squared by degrees of freedom, at least 1.
    pub dispersion: f64,
    /// Correlation of the residuals of neighbouring months.
    pub correlation: f64,
    /// Logarithm of the factor of each change of how is counted.
    pub levels: Vec<f64>,
}

/// The rows of a square matrix.
type Matrix = Vec<Vec<f64>>;

/// Fits; none where the points do not tell.
pub fn fit(points: &[Point]) -> Option<Fit> {
    let (count, exposure) = points
        .iter()
        .fold((0.0, 0.0), |(count, exposure), point| (count + point.count, exposure + point.exposure));
    let levels = points.first()?.after.len();
    let degrees = points.len().checked_sub(2 + levels).filter(|left| *left > 0)? as f64;
    let middle = points.iter().map(|point| point.years).sum::<f64>() / points.len() as f64;
    let mut found = vec![0.0; 2 + levels];
    *found.first_mut()? = (count / exposure).ln();
    if !found.iter().all(|value| value.is_finite()) {
        return None;
    }
    let mut settled = false;
    for _ in 0..ROUNDS_MAX {
        let slope = slope(points, middle, &found)?;
        let inverse = inverted(slope.information)?;
        let step: Vec<f64> = inverse.iter().map(|row| product(row, &slope.gradient)).collect();
        found = stepped(points, middle, &found, &step)?;
        settled = step.iter().all(|part| part.abs() < SETTLED);
        if settled {
            break;
        }
    }
    if !settled || found.iter().skip(1).any(|value| value.abs() > LOG_MAX) {
        return None;
    }
    let last = slope(points, middle, &found)?;
    let inverse = inverted(last.information)?;
    let chi_squared: f64 = last.residuals.iter().map(|residual| residual * residual).sum();
    let dispersion = (chi_squared / degrees).max(1.0);
    let correlation = correlation(points, &last.residuals);
    // Neighbours that resemble each other are fewer observations than they seem: n (1 − r) / (1 + r) of them (Bayley and
    // Hammersley, "The effective number of independent observations in an autocorrelated time series", 1946).
    let resemblance = correlation.max(0.0);
    let variance = inverse.get(1)?.get(1)? * dispersion * (1.0 + resemblance) / (1.0 - resemblance);
    let fit = Fit {
        rate: *found.get(1)?,
        error: variance.sqrt(),
        degrees,
        dispersion,
        correlation,
        levels: found.split_off(2),
    };
    (fit.rate.is_finite() && fit.error.is_finite() && fit.error > 0.0 && dispersion.is_finite())
        .then_some(fit)
}

/// First and expected second derivative of the likelihood, and Pearson's residuals.
struct Slope {
    gradient: Vec<f64>,
    information: Matrix,
    residuals: Vec<f64>,
}

fn slope(points: &[Point], middle: f64, found: &[f64]) -> Option<Slope> {
    let size = found.len();
    let mut slope = Slope {
        gradient: vec![0.0; size],
        information: vec![vec![0.0; size]; size],
        residuals: Vec::with_capacity(points.len()),
    };
    for point in points {
        let (logarithm, derivatives) = expected(point, middle, found);
        let expected = logarithm.exp();
        if !expected.is_normal() {
            return None;
        }
        let missing = point.count - expected;
        slope.residuals.push(missing / expected.sqrt());
        for ((gradient, row), left) in slope.gradient.iter_mut().zip(&mut slope.information).zip(&derivatives)
        {
            *gradient += left * missing;
            for (cell, right) in row.iter_mut().zip(&derivatives) {
                *cell += expected * left * right;
            }
        }
    }
    Some(slope)
}

/// Logarithm of what a month should count, and how it answers to each part of `found`: level, rate, level shifts. A month
/// in which the way of counting changed is a mixture of both levels, by its days.
fn expected(point: &Point, middle: f64, found: &[f64]) -> (f64, Vec<f64>) {
    let years = point.years - middle;
    let mut derivatives = vec![1.0, years];
    let mut logarithm = point.exposure.ln();
    let mut parts = found.iter();
    logarithm += parts.next().unwrap_or(&0.0) + parts.next().unwrap_or(&0.0) * years;
    for (level, after) in parts.zip(&point.after) {
        let factor = 1.0 - after + after * level.exp();
        logarithm += factor.ln();
        derivatives.push(after * level.exp() / factor);
    }
    (logarithm, derivatives)
}

/// `found` moved by `step`, or by as much of it as makes the points likelier.
fn stepped(points: &[Point], middle: f64, found: &[f64], step: &[f64]) -> Option<Vec<f64>> {
    let likelihood = |found: &[f64]| -> f64 {
        points
            .iter()
            .map(|point| {
                let (logarithm, _) = expected(point, middle, found);
                point.count * logarithm - logarithm.exp()
            })
            .sum()
    };
    let before = likelihood(found);
    // What rounding takes from a sum of large numbers is no step back.
    let tolerance = before.abs() * 1e-12 + 1e-9;
    let mut part = 1.0;
    for _ in 0..HALVINGS_MAX {
        let moved: Vec<f64> = found.iter().zip(step).map(|(from, by)| from + part * by).collect();
        if likelihood(&moved) >= before - tolerance {
            return Some(moved);
        }
        part /= 2.0;
    }
    None
}

/// Correlation of the residuals of neighbouring months.
fn correlation(points: &[Point], residuals: &[f64]) -> f64 {
    let dated = points.iter().map(|point| point.month).zip(residuals);
    let neighbours = dated.clone().zip(dated.skip(1)).filter(|((then, _), (now, _))| then + 1 == *now);
    let together: f64 = neighbours.map(|((_, then), (_, now))| then * now).sum();
    let all: f64 = residuals.iter().map(|residual| residual * residual).sum();
    if all > 0.0 { (together / all).clamp(-CORRELATION_MAX, CORRELATION_MAX) } else { 0.0 }
}

fn product(left: &[f64], right: &[f64]) -> f64 {
    left.iter().zip(right).map(|(left, right)| left * right).sum()
}

/// The inverse of a symmetric matrix; none where it has none to speak of. Scaled to a diagonal of ones first, since levels
/// and rates are of unlike size.
fn inverted(mut matrix: Matrix) -> Option<Matrix> {
    let scale: Vec<f64> =
        matrix.iter().enumerate().map(|(at, row)| row.get(at).copied().unwrap_or(0.0).sqrt()).collect();
    if !scale.iter().all(|scale| scale.is_normal()) {
        return None;
    }
    let size = scale.len();
    for (at, (row, left)) in matrix.iter_mut().zip(&scale).enumerate() {
        row.iter_mut().zip(&scale).for_each(|(cell, right)| *cell /= left * right);
        row.extend((0..size).map(|column| if column == at { 1.0 } else { 0.0 }));
    }
    for column in 0..size {
        let below = matrix.iter().enumerate().skip(column);
        let size_of = |row: &Vec<f64>| row.get(column).map_or(0.0, |cell| cell.abs());
        let (largest, _) = below.max_by(|(_, a), (_, b)| size_of(a).total_cmp(&size_of(b)))?;
        matrix.swap(column, largest);
        let mut row = std::mem::take(matrix.get_mut(column)?);
        let pivot = *row.get(column)?;
        if pivot.abs() < PIVOT_MIN || !pivot.is_finite() {
            return None;
        }
        for cell in &mut row {
            *cell /= pivot;
        }
        for other in matrix.iter_mut().filter(|other| !other.is_empty()) {
            let times = *other.get(column)?;
            other.iter_mut().zip(&row).for_each(|(cell, pivotal)| *cell -= times * pivotal);
        }
        *matrix.get_mut(column)? = row;
    }
    for (row, left) in matrix.iter_mut().zip(&scale) {
        row.drain(..size);
        row.iter_mut().zip(&scale).for_each(|(cell, right)| *cell /= left * right);
    }
    Some(matrix)
}

#[cfg(test)]
mod tests {
    use std::cmp::Ordering;

    use super::*;

    fn points(counts: &[f64], after: impl Fn(usize) -> Vec<f64>) -> Vec<Point> {
        let of = |(month, count): (usize, &f64)| Point {
            month,
            years: month as f64 / 12.0,
            count: *count,
            exposure: 1.0,
            after: after(month),
        };
        counts.iter().enumerate().map(of).collect()
    }

    #[test]
    fn a_matrix_times_its_inverse_is_one() {
        let matrix = vec![vec![4e6, 2.0, -1.0], vec![2.0, 3e-6, 1e-4], vec![-1.0, 1e-4, 2.0]];
        let inverse = inverted(matrix.clone()).unwrap();
        for (at, row) in matrix.iter().enumerate() {
            for column in 0..3 {
                let cell: f64 = (0..3).map(|k| row[k] * inverse[k][column]).sum();
                let one = if at == column { 1.0 } else { 0.0 };
                // Scaled by the sizes of row and column, as an error of rounding is.
                let scale = (matrix[at][at] / matrix[column][column]).sqrt().max(1.0);
                assert!((cell - one).abs() < 1e-9 * scale, "{at} {column}: {cell}");
            }
        }
        assert!(inverted(vec![vec![1.0, 1.0], vec![1.0, 1.0]]).is_none(), "singular");
        assert!(inverted(vec![vec![0.0]]).is_none());
        assert!(inverted(vec![vec![f64::NAN]]).is_none());
    }

    #[test]
    fn exact_growth_and_levels_are_found_exactly() {
        // Doubled a year; from the middle of month 20 on three times as much is recognised.
        let after = |month: usize| {
            vec![match month.cmp(&20) {
                Ordering::Less => 0.0,
                Ordering::Equal => 0.5,
                Ordering::Greater => 1.0,
            }]
        };
        let counts: Vec<f64> = (0..36)
            .map(|month| {
                1e4 * 2.0_f64.powf(f64::from(month) / 12.0)
                    * (1.0 + 2.0 * after(usize::try_from(month).unwrap())[0])
            })
            .collect();
        let found = fit(&points(&counts, after)).unwrap();
        assert!((found.rate - 2.0_f64.ln()).abs() < 1e-6, "{found:?}");
        assert!((found.levels[0] - 3.0_f64.ln()).abs() < 1e-6, "{found:?}");
        assert!((found.dispersion - 1.0).abs() < 1e-9, "never below that of chance");
    }

    #[test]
    fn neighbours_that_resemble_each_other_widen_the_error() {
        let wave = |length: usize| -> Vec<f64> {
            (0..36).map(|month| if (month / length).is_multiple_of(2) { 900.0 } else { 1_100.0 }).collect()
        };
        let (slow, fast) =
            (fit(&points(&wave(3), |_| vec![])).unwrap(), fit(&points(&wave(1), |_| vec![])).unwrap());
        assert!(slow.correlation > 0.3 && fast.correlation < -0.8, "{slow:?} {fast:?}");
        assert!(slow.error > 1.3 * fast.error, "{slow:?} {fast:?}");
    }

    #[test]
    fn what_cannot_be_told_is_none_and_no_number() {
        let none = |_: usize| vec![];
        assert!(fit(&[]).is_none());
        assert!(fit(&points(&[3.0, 4.0], none)).is_none(), "no degree of freedom");
        assert!(fit(&points(&[0.0; 36], none)).is_none());
        let mut last_only = [0.0; 36];
        last_only[35] = 1e9;
        assert!(fit(&points(&last_only, none)).is_none(), "separated");
        let silent: Vec<f64> = (0..36).map(|month| if month < 18 { 0.0 } else { 500.0 }).collect();
        assert!(fit(&points(&silent, |month| vec![f64::from(u8::from(month >= 18))])).is_none());
        assert!(fit(&points(&[5.0; 36], |_| vec![1.0])).is_none(), "a level that never was another");
        assert!(
            fit(&points(&[5.0; 36], |month| vec![f64::from(u8::from(month > 9)); 2])).is_none(),
            "twice the same"
        );
        let huge = fit(&points(&[u64::MAX as f64; 36], none)).unwrap();
        assert!(huge.rate.abs() < 1e-6 && huge.error.is_finite());
    }
}
