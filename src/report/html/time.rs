//! Over time: the steps of the period, and the months before it.

use maud::{Markup, html};

use crate::model::period::{Period, PeriodKind};
use crate::report::earlier;
use crate::report::html::chart::{Bars, Step, observed, week};
use crate::report::html::tables::{Cell, Table, count, text};
use crate::report::html::words::{period, shown, step};
use crate::report::rhythm::WEEKDAYS;
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
        "Attempts in the headline {}from {} to {}. {}",
        match report.series.len() {
            1 => "",
            _ => each(&first.period),
        },
        step(&first.period, &report.zone),
        step(&last.period, &report.zone),
        peak.map_or_else(
            || "There were none.".to_owned(),
            |peak| format!("The highest: {} ({}).", grouped(peak.whole), step(peak.period, &report.zone))
        )
    );
    let (strong, weak) = if declared {
        ("from overseas", "other attempts in the headline")
    } else {
        ("attempts in the headline", "")
    };
    Some(html! {
        p { (told) }
        (Bars { told: told.clone(), strong, weak, hole: "not observed", zone: &report.zone, steps }.write())
        (steps_table(report))
    })
}

/// The part of a time that was observed.
fn observed_cell(seconds_observed: i64, seconds: i64) -> Cell {
    Cell::Number(format!("{} %", sentence::observed(seconds_observed, seconds)))
}

/// What a step of the series is.
fn each(period: &str) -> &'static str {
    match period.parse::<Period>().map(Period::kind) {
        Ok(PeriodKind::Hour) => "hour by hour, ",
        Ok(PeriodKind::Day) => "day by day, ",
        _ => "month by month, ",
    }
}

/// The week, an hour a square.
pub fn rhythm(report: &Report) -> Option<Markup> {
    let rhythm = report.rhythm.as_ref()?;
    let (busiest, _) = rhythm.busiest()?;
    let told = format!(
        "Most on {} UTC: {} in {:.1} observed hours.",
        busiest.name(),
        grouped(busiest.attempts),
        busiest.seconds as f64 / 3_600.0
    );
    let rows = WEEKDAYS
        .iter()
        .zip(&rhythm.headline_attempts)
        .map(|(day, counts)| std::iter::once(text(day)).chain(counts.iter().copied().map(count)).collect())
        .collect();
    let hours: Vec<String> = (0..24).map(|hour| format!("#{hour:02}")).collect();
    let columns: Vec<&str> = std::iter::once("Day").chain(hours.iter().map(String::as_str)).collect();
    Some(html! {
        p { "Attempts in the headline by weekday and hour of the day (UTC), by the time that each was observed. " (told) }
        (week(rhythm, &told))
        details {
            summary { "The same as a table" }
            (Table { caption: "Headline attempts by weekday and hour, UTC", columns: &columns, rows }.write())
        }
    })
}

/// The periods that readers set beside this one.
pub fn earlier(report: &Report) -> Markup {
    let periods = earlier::periods(report);
    let rows = periods
        .iter()
        .map(|row| {
            vec![
                Cell::Text(period(&row.period)),
                observed_cell(row.seconds_observed, row.seconds),
                count(row.headline_attempts),
                Cell::Count(row.overseas_attempts),
                Cell::Count(row.scaled()),
                Cell::Number(row.change.map_or_else(|| "–".to_owned(), earlier::change)),
                text(&row.differs.join(", ")),
            ]
        })
        .collect();
    let columns = &[
        "Period",
        "#Observed",
        "#In the headline",
        "#From overseas",
        "#In 30 observed days",
        "#Change to this period",
        "Not alike in",
    ];
    html! {
        (Table { caption: "Beside earlier periods", columns, rows }.write())
        @if let [this, before, ..] = &periods[..] {
            p.note {
                "The change is that of the headline's number in 30 observed days. It means little where the two are not alike. Whether it is more than "
                "chance tells " code { "gatewatch report --compare " (shown(&before.period)) " " (shown(&this.period)) } "."
            }
        }
    }
}

fn steps_table(report: &Report) -> Markup {
    let rows = report
        .series
        .iter()
        .map(|step| {
            vec![
                text(&report.zone.hour(&step.period)),
                observed_cell(step.seconds_observed, Step::seconds(&step.period)),
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
        @if trend.months.len() > 1 { (months(report, trend)) }
        (months_table(trend))
        @for shift in &trend.level_shifts { p { (sentence::level_shift(shift)) } }
        @if let Some(reason) = &trend.reason { p.note { (shown(reason)) } }
        @if let Some(method) = trend.method_told() { p.note { (method) } }
    })
}

fn months(report: &Report, trend: &Trend) -> Markup {
    #[expect(clippy::cast_sign_loss, reason = "counts are not below zero")]
    let scaled = |month: &Month| month.normalised.map_or(0, |number| number.round() as u64);
    let steps: Vec<Step<'_>> = trend
        .months
        .iter()
        .map(|month| Step {
            period: &month.period,
            whole: scaled(month),
            part: scaled(month),
            // What was hardly observed has no number that could stand beside the others.
            observed: month.normalised.map_or(0.0, |_| observed(&month.period, month.seconds_observed)),
            breaks: &month.breaks,
        })
        .collect();
    let ends = trend.months.first().zip(trend.months.last());
    let told = ends.map_or_else(String::new, |(first, last)| {
        format!(
            "The headline's number of each month from {} to {}, scaled to 30 observed days.",
            period(&first.period),
            period(&last.period)
        )
    });
    html! {
        p { (told) }
        (Bars {
            told: told.clone(),
            strong: "attempts in 30 observed days",
            weak: "",
            hole: "hardly observed, or no home declared",
            zone: &report.zone,
            steps,
        }.write())
    }
}

fn months_table(trend: &Trend) -> Markup {
    let rows = trend
        .months
        .iter()
        .map(|month| {
            vec![
                text(&month.period),
                observed_cell(month.seconds_observed, month.seconds),
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
