//! Over time: the steps of the period, and the months before it.

use maud::{Markup, html};

use crate::report::html::chart::{Bars, Step, observed};
use crate::report::html::tables::{Cell, Table, count, text};
use crate::report::html::words::{period, shown};
use crate::report::sentence::{self, grouped};
use crate::report::shape::Report;
use crate::report::trend::{Month, Trend};

/// Bars of the headline, hour by hour, day by day or month by month.
pub fn series(report: &Report) -> Option<Markup> {
    let (first, last) = (report.series.first()?, report.series.last()?);
    let declared = report.headline.overseas_attempts.is_some();
    let steps: Vec<Step<'_>> = report
        .series
        .iter()
        .map(|step| Step {
            period: &step.period,
            whole: step.counts.headline_attempts,
            part: if declared { step.counts.overseas_attempts } else { step.counts.headline_attempts },
            observed: observed(&step.period, step.seconds_observed),
            breaks: &step.breaks,
        })
        .collect();
    let peak = steps
        .iter()
        .max_by(|a, b| a.whole.cmp(&b.whole).then_with(|| b.period.cmp(a.period)))
        .filter(|step| step.whole > 0);
    let told = format!(
        "Attempts in the headline from {} to {}. {}",
        period(&first.period),
        period(&last.period),
        peak.map_or_else(
            || "There were none.".to_owned(),
            |peak| format!("The highest: {} ({}).", grouped(peak.whole), period(peak.period))
        )
    );
    let (strong, weak) = if declared {
        ("from overseas", "other attempts in the headline")
    } else {
        ("attempts in the headline", "")
    };
    Some(html! {
        p { (told) }
        (Bars { told: told.clone(), strong, weak, steps }.write())
        (steps_table(report))
    })
}

fn steps_table(report: &Report) -> Markup {
    let rows = report
        .series
        .iter()
        .map(|step| {
            vec![
                text(&step.period),
                Cell::Rate(Some(observed(&step.period, step.seconds_observed))),
                count(step.counts.headline_attempts),
                count(step.counts.overseas_attempts),
                count(step.counts.attempts),
                count(step.counts.incidents),
                Cell::Count(step.sources),
                text(&step.breaks.join(", ")),
            ]
        })
        .collect();
    let columns = &[
        "Step",
        "#Observed",
        "#In the headline",
        "#From overseas",
        "#All attempts",
        "#Incidents",
        "#Sources",
        "Changed",
    ];
    html! {
        details {
            summary { "The same as a table" }
            (Table { caption: "Step by step", columns, rows }.write())
        }
    }
}

/// The months, scaled to the same length and to full coverage, and what the test for change says.
pub fn trend(report: &Report) -> Option<Markup> {
    let trend = report.trend.as_ref()?;
    Some(html! {
        @if trend.months.len() > 1 { (months(trend)) }
        (months_table(trend))
        @for shift in &trend.level_shifts { p { (sentence::level_shift(shift)) } }
        @if let Some(reason) = &trend.reason { p.note { (shown(reason)) } }
        @if let Some(method) = trend.method_told() { p.note { (method) } }
    })
}

fn months(trend: &Trend) -> Markup {
    #[expect(clippy::cast_sign_loss, reason = "counts are not below zero")]
    let scaled = |month: &Month| month.normalised.map_or(0, |number| number.round() as u64);
    let steps: Vec<Step<'_>> = trend
        .months
        .iter()
        .map(|month| Step {
            period: &month.period,
            whole: scaled(month),
            part: scaled(month),
            observed: observed(&month.period, month.seconds_observed),
            breaks: &month.breaks,
        })
        .collect();
    let ends = trend.months.first().zip(trend.months.last());
    let told = ends.map_or_else(String::new, |(first, last)| {
        format!(
            "Headline attempts month by month from {} to {}, each scaled to 30 observed days.",
            period(&first.period),
            period(&last.period)
        )
    });
    html! {
        p { (told) }
        (Bars { told: told.clone(), strong: "attempts in 30 observed days", weak: "", steps }.write())
    }
}

fn months_table(trend: &Trend) -> Markup {
    let rows = trend
        .months
        .iter()
        .map(|month| {
            vec![
                text(&month.period),
                Cell::Rate(Some(observed(&month.period, month.seconds_observed))),
                count(month.headline_attempts),
                Cell::Count(month.overseas_attempts),
                Cell::Number(sentence::normalised(month)),
                text(&month.breaks.join(", ")),
            ]
        })
        .collect();
    let columns =
        &["Month", "#Observed", "#In the headline", "#From overseas", "#In 30 observed days", "Changed"];
    Table { caption: "The months in numbers", columns, rows }.write()
}
