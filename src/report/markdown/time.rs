//! Over time: the steps of the period, the week, and the periods before it.

use std::fmt::Write;

use crate::report::earlier;
use crate::report::markdown::escape::paragraph;
use crate::report::markdown::optional;
use crate::report::rhythm::WEEKDAYS;
use crate::report::sentence::{self, grouped};
use crate::report::shape::Report;

/// The steps of the period that counted something, or in which something changed.
pub(super) fn series(text: &mut String, report: &Report) {
    text.push_str(
        "\n## Over time\n\n| from | attempts | headline | observed seconds | changed |\n| --- | ---: | ---: | ---: | --- |\n",
    );
    for step in report.series.iter().filter(|step| step.counts.attempts > 0 || !step.breaks.is_empty()) {
        let _ = writeln!(
            text,
            "| {} | {} | {} | {} | {} |",
            report.zone.hour(&step.period),
            grouped(step.counts.attempts),
            grouped(step.counts.headline_attempts),
            grouped(step.seconds_observed.unsigned_abs()),
            step.breaks.join(", ")
        );
    }
}

/// The headline's attempts by weekday and hour.
pub(super) fn rhythm(text: &mut String, report: &Report) {
    let Some(rhythm) = report.rhythm.as_ref().filter(|rhythm| rhythm.busiest().is_some()) else { return };
    text.push_str("\n## When in the week (headline attempts, UTC)\n\n| day |");
    (0..24).for_each(|hour| {
        let _ = write!(text, " {hour} |");
    });
    let _ = write!(text, "\n| --- |{}\n", " ---: |".repeat(24));
    for (day, row) in WEEKDAYS.iter().zip(&rhythm.headline_attempts) {
        let counts: Vec<String> = row.iter().map(|count| grouped(*count)).collect();
        let _ = writeln!(text, "| {day} | {} |", counts.join(" | "));
    }
}

/// The periods that readers set beside this one.
pub(super) fn earlier(text: &mut String, report: &Report) {
    let periods = earlier::periods(report);
    if periods.is_empty() {
        return;
    }
    text.push_str(
        "\n## Beside earlier periods\n\n| period | observed | headline | overseas | in 30 observed days | change to this period | not alike in |\n\
         | --- | ---: | ---: | ---: | ---: | ---: | --- |\n",
    );
    for row in periods {
        let _ = writeln!(
            text,
            "| {} | {} % | {} | {} | {} | {} | {} |",
            row.period,
            sentence::observed(row.seconds_observed, row.seconds),
            grouped(row.headline_attempts),
            optional(row.overseas_attempts),
            optional(row.scaled()),
            row.change.map_or_else(String::new, earlier::change),
            row.differs.join(", ")
        );
    }
}

pub(super) fn trend(text: &mut String, report: &Report) {
    let Some(trend) = &report.trend else { return };
    text.push_str(
        "\n## Month by month\n\n| month | observed | headline | overseas | a 30-day month | changed |\n\
         | --- | ---: | ---: | ---: | ---: | --- |\n",
    );
    for month in &trend.months {
        let _ = writeln!(
            text,
            "| {} | {} % | {} | {} | {} | {} |",
            month.period,
            sentence::observed(month.seconds_observed, month.seconds),
            grouped(month.headline_attempts),
            optional(month.overseas_attempts),
            sentence::normalised(month),
            month.breaks.join(", ")
        );
    }
    let shifts = trend.level_shifts.iter().map(sentence::level_shift);
    for told in shifts.chain(trend.method_told().map(str::to_owned)) {
        let _ = write!(text, "\n{}\n", paragraph(&told));
    }
}
