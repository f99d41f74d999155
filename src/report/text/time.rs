//! Over time: the steps of the period, and the months before it.

use crate::report::sentence::{self, grouped, per_cent};
use crate::report::shape::Report;
use crate::report::text::lines::{Lines, WIDTH, known, sparks};

pub(super) fn series(report: &Report, text: &mut Lines) {
    text.title("Over time (headline attempts)");
    if report.series.len() <= WIDTH {
        let values: Vec<u64> = report.series.iter().map(|step| step.counts.headline_attempts).collect();
        text.line(&sparks(&values));
    }
    for step in report.series.iter().filter(|step| {
        step.counts.attempts > 0
            || !step.breaks.is_empty() && step.breaks != ["coverage"]
            || report.series.len() <= 12
    }) {
        let watched = if step.seconds_observed == 0 { "  not observed" } else { "" };
        let broken: Vec<&str> = step.breaks.iter().copied().filter(|name| *name != "coverage").collect();
        let broken =
            if broken.is_empty() { String::new() } else { format!("  changed: {}", broken.join(", ")) };
        text.line(&format!(
            "{:<16}{:>14}{watched}{broken}",
            report.zone.hour(&step.period),
            grouped(step.counts.headline_attempts)
        ));
    }
}

pub(super) fn trend(report: &Report, text: &mut Lines) {
    let Some(trend) = &report.trend else { return };
    text.title("Month by month");
    text.header(["observed %", "headline", "overseas", "in 30 days"]);
    for month in &trend.months {
        let observed = per_cent(month.seconds_observed.unsigned_abs(), month.seconds.unsigned_abs());
        let (headline, overseas) = (grouped(month.headline_attempts), known(month.overseas_attempts));
        let name = format!("{}  {}", month.period, month.breaks.join(" "));
        text.row(name.trim_end(), [observed, headline, overseas, sentence::normalised(month)]);
    }
    for shift in &trend.level_shifts {
        text.paragraph(&sentence::level_shift(shift));
    }
    if let Some(method) = trend.method_told() {
        text.paragraph(method);
    }
}
