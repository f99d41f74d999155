//! From where: countries, networks, campaigns, incidents, and what has units of its own.

use crate::model::class::Class;
use crate::report::campaigns::CampaignRow;
use crate::report::incidents::IncidentRow;
use crate::report::networks::NOT_DETERMINED;
use crate::report::sentence::{duration, grouped};
use crate::report::shape::{OriginRow, Report};
use crate::report::text::lines::{Lines, grid, known, named};
use crate::report::text::{NETWORKS_MAX, ROWS_MAX};

/// Kinds of network, with the title of their table and the words for one of them.
const KINDS: [(&str, &str, &str); 4] = [
    ("as", "By autonomous system", "autonomous system"),
    ("prefix", "By prefix", "prefix"),
    ("infrastructure", "By kind of network", "kind of network"),
    ("registered", "By country of registration", "country of registration"),
];

/// What is counted in units of its own: the classes and the first origins of scans and floods.
pub(super) fn units(report: &Report, text: &mut Lines) {
    for unit in report.units.iter().filter(|unit| unit.is_apart() && unit.counts.attempts > 0) {
        text.title(&format!("{}: not in the headline", unit.title));
        let rows = unit.classes.iter().chain(unit.sites.iter().take(ROWS_MAX));
        let rows: Vec<_> = rows
            .chain(unit.origins.iter().take(NETWORKS_MAX))
            .map(|row| {
                let counts = [row.counts.attempts, row.counts.incidents].map(grouped);
                (row.title.clone(), counts)
            })
            .collect();
        text.grid(["attempts", "incidents"], &rows);
    }
}

fn of_kind<'r>(report: &'r Report, kind: &'r str) -> impl Iterator<Item = &'r OriginRow> {
    report.origins.iter().filter(move |row| row.kind == kind)
}

fn counts(row: &OriginRow) -> [String; 4] {
    let [attempts, headline, incidents] =
        [row.counts.attempts, row.counts.headline_attempts, row.counts.incidents].map(grouped);
    [attempts, headline, incidents, known(row.sources)]
}

/// That a table goes on elsewhere.
fn rest(text: &mut Lines, shown: usize, all: usize, table: &str) {
    if all > shown {
        text.line(&format!("… and {} more, see the {table} table", all - shown));
    }
}

pub(super) fn origins(report: &Report, text: &mut Lines) {
    text.title("By origin");
    let rows: Vec<_> = of_kind(report, "country")
        .take(ROWS_MAX)
        .map(|row| {
            let share = row.share.map_or_else(|| "-".to_owned(), |share| format!("{:.1}", share * 100.0));
            let [attempts, headline, _, sources] = counts(row);
            (named(&row.code, &row.name), [attempts, headline, share, sources])
        })
        .collect();
    text.grid(["attempts", "headline", "share %", "sources"], &rows);
    rest(text, rows.len(), of_kind(report, "country").count(), "origins");
}

/// What is finer than countries; the kinds of which nothing is determined are one sentence.
pub(super) fn networks(report: &Report, text: &mut Lines) {
    let mut untold = Vec::new();
    for (kind, title, word) in KINDS {
        let rows: Vec<&OriginRow> = of_kind(report, kind).collect();
        if rows.is_empty() {
            continue;
        }
        if rows.iter().all(|row| row.code == NOT_DETERMINED) {
            untold.push(word);
            continue;
        }
        text.title(title);
        let shown: Vec<_> =
            rows.iter().take(NETWORKS_MAX).map(|row| (named(&row.code, &row.name), counts(row))).collect();
        text.grid(["attempts", "headline", "incidents", "sources"], &shown);
        rest(text, shown.len(), rows.len(), "origins");
    }
    if !untold.is_empty() {
        text.line("");
        text.paragraph(&format!("Not determined, since no database in use tells it: {}.", untold.join(", ")));
    }
}

/// Which classes each site was sent, the largest first.
pub(super) fn by_site(report: &Report, text: &mut Lines) {
    if report.by_site.len() < 2 {
        return;
    }
    for part in report.by_site.iter().take(NETWORKS_MAX) {
        text.title(&format!("At {}", part.site));
        let rows: Vec<_> = part
            .classes
            .iter()
            .take(NETWORKS_MAX)
            .map(|row| {
                let counts = &row.counts;
                let numbers = [counts.attempts, counts.headline_attempts, counts.incidents];
                (row.title.clone(), numbers.map(grouped))
            })
            .collect();
        text.grid(["attempts", "headline", "incidents"], &rows);
        rest(text, rows.len(), part.classes.len(), "by_site");
    }
    rest(text, NETWORKS_MAX, report.by_site.len(), "by_site");
}

pub(super) fn campaigns(report: &Report, text: &mut Lines) {
    if report.campaigns.is_empty() {
        return;
    }
    text.title("Campaigns: incidents that share a fingerprint");
    let name = |row: &CampaignRow| format!("{}  {}", row.rule, row.payload);
    let rows: Vec<_> = report
        .campaigns
        .iter()
        .take(NETWORKS_MAX)
        .map(|row| (name(row), [row.attempts, row.incidents, row.countries, row.sources].map(grouped)))
        .collect();
    text.grid(["attempts", "incidents", "countries", "sources"], &rows);
    rest(text, rows.len(), report.campaigns.len(), "campaigns");
}

/// The largest incidents, each with its site and times below it.
pub(super) fn incidents(report: &Report, text: &mut Lines) {
    let zone = report.zone.other_than_utc().unwrap_or("UTC");
    for (headline, title) in
        [(true, "Largest incidents in the headline"), (false, "Largest incidents that are not in it")]
    {
        let shown: Vec<&IncidentRow> =
            report.incidents.iter().filter(|row| row.headline == headline).take(NETWORKS_MAX).collect();
        if shown.is_empty() {
            continue;
        }
        text.title(title);
        let rows: Vec<_> = shown
            .iter()
            .map(|row| {
                let class = Class::from_id(&row.class).map_or(row.class.as_str(), |class| class.row().title);
                let name = format!("{} {}  {class}", row.source, row.place);
                let numbers = [duration(row.seconds), grouped(row.attempts), grouped(row.peak_per_minute)];
                (name.trim_start().to_owned(), numbers)
            })
            .collect();
        let mut lines = grid(["length", "attempts", "in a minute"], &rows).into_iter();
        lines.next().iter().for_each(|head| text.line(head));
        for (line, row) in lines.zip(shown) {
            text.line(&line);
            let [first, last] = [&row.first_seen, &row.last_seen].map(|moment| report.zone.second(moment));
            let until = if row.seconds > 0 { format!(" to {last}") } else { String::new() };
            text.line(&format!("  {first}{until} {zone}, {}", row.site));
        }
    }
}
