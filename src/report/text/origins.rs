//! From where: countries, networks, campaigns, and what has units of its own.

use crate::report::networks::NOT_DETERMINED;
use crate::report::sentence::grouped;
use crate::report::shape::{OriginRow, Report};
use crate::report::text::lines::{Lines, known};
use crate::report::text::{NETWORKS_MAX, ROWS_MAX};

/// What is counted in units of its own: the classes and the first origins of scans and floods.
pub(super) fn units(report: &Report, text: &mut Lines) {
    for unit in report.units.iter().filter(|unit| unit.is_apart() && unit.counts.attempts > 0) {
        text.title(&format!("{}: not in the headline", unit.title));
        text.header(["attempts", "", "incidents", ""]);
        let rows = unit.classes.iter().chain(unit.sites.iter().take(ROWS_MAX));
        for row in rows.chain(unit.origins.iter().take(NETWORKS_MAX)) {
            let name =
                if row.id == row.title { row.title.clone() } else { format!("{}  {}", row.id, row.title) };
            let counts = [grouped(row.counts.attempts), grouped(row.counts.incidents)];
            let [attempts, incidents] = counts;
            text.row(&name, [attempts, String::new(), incidents, String::new()]);
        }
    }
}

fn of_kind<'r>(report: &'r Report, kind: &'r str) -> impl Iterator<Item = &'r OriginRow> {
    report.origins.iter().filter(move |row| row.kind == kind)
}

pub(super) fn origins(report: &Report, text: &mut Lines) {
    text.title("By origin");
    text.header(["attempts", "headline", "share %", "sources"]);
    for row in of_kind(report, "country").take(ROWS_MAX) {
        let share = row.share.map_or_else(|| "-".to_owned(), |share| format!("{:.1}", share * 100.0));
        text.row(
            &format!("{:<8}{}", row.code, row.name),
            [grouped(row.counts.attempts), grouped(row.counts.headline_attempts), share, known(row.sources)],
        );
    }
    let more = of_kind(report, "country").count().saturating_sub(ROWS_MAX);
    if more > 0 {
        text.line(&format!("… and {more} more, see the origins table"));
    }
}

/// What is finer than countries; a kind of which nothing is determined is a line.
pub(super) fn networks(report: &Report, text: &mut Lines) {
    for (kind, title) in [
        ("as", "By autonomous system"),
        ("prefix", "By prefix"),
        ("infrastructure", "By infrastructure"),
        ("registered", "By country of registration"),
    ] {
        let rows: Vec<&OriginRow> = of_kind(report, kind).collect();
        if rows.is_empty() {
            continue;
        }
        text.title(title);
        if rows.iter().all(|row| row.code == NOT_DETERMINED) {
            text.paragraph("not determined: no database in use tells it");
            continue;
        }
        text.header(["attempts", "headline", "incidents", "sources"]);
        for row in rows.iter().take(NETWORKS_MAX) {
            text.row(
                format!("{}  {}", row.code, row.name).trim_end(),
                [
                    grouped(row.counts.attempts),
                    grouped(row.counts.headline_attempts),
                    grouped(row.counts.incidents),
                    known(row.sources),
                ],
            );
        }
        if rows.len() > NETWORKS_MAX {
            text.line(&format!("… and {} more, see the origins table", rows.len() - NETWORKS_MAX));
        }
    }
}

pub(super) fn campaigns(report: &Report, text: &mut Lines) {
    if report.campaigns.is_empty() {
        return;
    }
    text.title("Campaigns: incidents that share a fingerprint");
    text.header(["attempts", "incidents", "countries", "sources"]);
    for row in report.campaigns.iter().take(NETWORKS_MAX) {
        text.row(
            &format!("{} {}", row.rule, row.client),
            [grouped(row.attempts), grouped(row.incidents), grouped(row.countries), grouped(row.sources)],
        );
    }
}
