//! Over time: the steps of the period, and the months before it.

use crate::report::earlier;
use crate::report::rhythm::WEEKDAYS;
use crate::report::sentence::{self, grouped};
use crate::report::shape::Report;
use crate::report::text::lines::{Lines, WIDTH, bar, known, sparks};

/// Columns of the longest bar.
const BAR_COLUMNS: usize = 36;

pub(super) fn series(report: &Report, text: &mut Lines) {
    text.title("Over time (headline attempts)");
    if report.series.len() <= WIDTH {
        let values: Vec<u64> = report.series.iter().map(|step| step.counts.headline_attempts).collect();
        text.line(&sparks(&values));
    }
    let highest = report.series.iter().map(|step| step.counts.headline_attempts).max().unwrap_or(0);
    for step in report.series.iter().filter(|step| {
        step.counts.attempts > 0
            || !step.breaks.is_empty() && step.breaks != ["coverage"]
            || report.series.len() <= 12
    }) {
        let count = step.counts.headline_attempts;
        let changed: Vec<&str> = step.breaks.iter().copied().filter(|name| *name != "coverage").collect();
        let beside = match (step.seconds_observed, changed.is_empty()) {
            (0, _) => "not observed".to_owned(),
            (_, false) => format!("changed: {}", changed.join(", ")),
            _ => bar(count, highest, BAR_COLUMNS),
        };
        text.line(&format!("{:<16}{:>14}  {beside}", report.zone.hour(&step.period), grouped(count)));
    }
}

/// The week: a line a day, a sign an hour, each by what was observed of it.
pub(super) fn rhythm(report: &Report, text: &mut Lines) {
    let Some(rhythm) = report.rhythm.as_ref() else { return };
    let Some((busiest, _)) = rhythm.busiest() else { return };
    // Rates in thousandths: what is shown is a height.
    #[expect(clippy::cast_sign_loss, reason = "rates are not below zero")]
    let height = |rate: f64| (rate * 1e3).round() as u64;
    let rates: Vec<Option<u64>> = rhythm.rates().map(|(_, rate)| rate.map(height)).collect();
    let heights: Vec<u64> = rates.iter().map(|rate| rate.unwrap_or(0)).collect();
    let signs = sparks(&heights);
    let signs: Vec<char> =
        signs.chars().zip(&rates).map(|(sign, rate)| if rate.is_some() { sign } else { ' ' }).collect();
    text.title("When in the week (headline attempts by observed hour, UTC)");
    text.line("            0     6     12    18");
    for (day, signs) in WEEKDAYS.iter().zip(signs.chunks(24)) {
        text.line(&format!("{day:<12}{}", signs.iter().collect::<String>()));
    }
    text.paragraph(&format!(
        "Most on {}: {} in {:.1} observed hours.",
        busiest.name(),
        grouped(busiest.attempts),
        busiest.seconds as f64 / 3_600.0
    ));
}

/// The periods that readers set beside this one.
pub(super) fn earlier(report: &Report, text: &mut Lines) {
    let periods = earlier::periods(report);
    if periods.is_empty() {
        return;
    }
    text.title("Beside earlier periods");
    let rows: Vec<_> = periods
        .iter()
        .map(|row| {
            let observed = sentence::observed(row.seconds_observed, row.seconds);
            let change = row.change.map_or_else(|| "-".to_owned(), earlier::change);
            (row.period.clone(), [observed, grouped(row.headline_attempts), known(row.scaled()), change])
        })
        .collect();
    text.grid(["observed %", "headline", "in 30 days", "change to now"], &rows);
    for row in periods.iter().filter(|row| !row.differs.is_empty()) {
        text.paragraph(&format!(
            "Compare {} with care: not alike in {}.",
            row.period,
            row.differs.join(", ")
        ));
    }
}

pub(super) fn trend(report: &Report, text: &mut Lines) {
    let Some(trend) = &report.trend else { return };
    text.title("Month by month");
    let rows: Vec<_> = trend
        .months
        .iter()
        .map(|month| {
            let observed = sentence::observed(month.seconds_observed, month.seconds);
            let (headline, overseas) = (grouped(month.headline_attempts), known(month.overseas_attempts));
            let name = format!("{}  {}", month.period, month.breaks.join(" "));
            (name.trim_end().to_owned(), [observed, headline, overseas, sentence::normalised(month)])
        })
        .collect();
    text.grid(["observed %", "headline", "overseas", "in 30 days"], &rows);
    for shift in &trend.level_shifts {
        text.paragraph(&sentence::level_shift(shift));
    }
    if let Some(method) = trend.method_told() {
        text.paragraph(method);
    }
}
