//! The protected sites: a panel each, then all of them in one table, then classes by site.

use maud::{Markup, html};

use crate::report::by_site::SitePart;
use crate::report::html::tables::{Cell, Table, bar, count, per_cent, text, titled};
use crate::report::html::words::{shown, so_many};
use crate::report::sentence::grouped;
use crate::report::shape::{Report, Row};
use crate::report::units::UnitRow;

/// Sites with a panel of their own; all of them stand in the table.
const PANELS_MAX: usize = 12;
/// Classes and origins named in a panel.
const NAMED_MAX: usize = 5;
/// Rows of the table of classes by site; the JSON has all of them.
const CROSSED_MAX: usize = 200;

/// Panels and table.
pub fn sites(report: &Report) -> Option<Markup> {
    (!report.sites.is_empty()).then(|| {
        html! {
            div.panels { @for row in report.sites.iter().take(PANELS_MAX) { (panel(report, row)) } }
            (rows("All sites", "Site", &report.sites))
        }
    })
}

fn panel(report: &Report, row: &Row) -> Markup {
    let part = report.by_site.iter().find(|part| part.site == row.id);
    let reading = report.readings.iter().find(|reading| reading.site == row.id);
    html! {
        article.panel {
            h3 { (shown(&row.title)) }
            p.figure { strong { (grouped(row.counts.headline_attempts)) } " in the headline" }
            p.note {
                (so_many(row.counts.attempts, "attempt")) " of any kind, " (so_many(row.counts.incidents, "incident"))
                @if let Some(sources) = row.sources { ", " (so_many(sources, "source")) }
                "."
            }
            @if let Some(part) = part { (largest("By class", &part.classes)) (largest("By origin", &part.origins)) }
            p.note {
                @match reading {
                    Some(reading) => {
                        (per_cent(reading.inspectable_share)) " of its conversations could be read."
                        @if reading.hidden > 0 { " The rest is encrypted or unknown: see " a href="#unseen" { "what could not be seen" } "." }
                    },
                    None => "How much of its conversations could be read is not known.",
                }
            }
        }
    }
}

/// The largest rows with bars; of the headline where it has any, else of all.
fn largest(title: &str, rows: &[UnitRow]) -> Markup {
    let headline = rows.iter().any(|row| row.counts.headline_attempts > 0);
    let size = |row: &UnitRow| if headline { row.counts.headline_attempts } else { row.counts.attempts };
    let whole: u64 = rows.iter().map(size).sum();
    html! {
        @if whole > 0 {
            h4 { (title) @if !headline { " (not in the headline)" } }
            ul.bars {
                @for row in rows.iter().filter(|row| size(row) > 0).take(NAMED_MAX + 1) {
                    li { span { (shown(&row.title)) } span.n { (grouped(size(row))) } (bar(size(row) as f64 / whole as f64)) }
                }
            }
        }
    }
}

/// Rows that have the whole ladder.
pub fn rows(caption: &str, first: &str, rows: &[Row]) -> Markup {
    let cells = |row: &Row| {
        vec![
            titled(&row.title, &row.id),
            count(row.counts.headline_attempts),
            count(row.counts.overseas_attempts),
            count(row.counts.attempts),
            count(row.counts.sessions),
            count(row.counts.incidents),
            Cell::Count(row.campaigns),
            Cell::Count(row.sources),
        ]
    };
    let columns = &[
        first,
        "#In the headline",
        "#From overseas",
        "#All attempts",
        "#Sessions",
        "#Incidents",
        "#Campaigns",
        "#Sources",
    ];
    Table { caption, columns, rows: rows.iter().map(cells).collect() }.write()
}

/// Classes, then classes by site.
pub fn classes(report: &Report) -> Option<Markup> {
    (!report.classes.is_empty()).then(|| {
        html! {
            (rows("Classes of attack", "Class", &report.classes))
            @if report.by_site.len() > 1 { (crossed(&report.by_site)) }
        }
    })
}

fn crossed(parts: &[SitePart]) -> Markup {
    let rows = parts
        .iter()
        .flat_map(|part| part.classes.iter().map(|row| (&part.site, row)))
        .take(CROSSED_MAX)
        .map(|(site, row)| {
            vec![
                text(site),
                titled(&row.title, &row.id),
                count(row.counts.headline_attempts),
                count(row.counts.overseas_attempts),
                count(row.counts.attempts),
                count(row.counts.incidents),
            ]
        })
        .collect();
    let columns = &["Site", "Class", "#In the headline", "#From overseas", "#All attempts", "#Incidents"];
    Table { caption: "Classes by site", columns, rows }.write()
}
