//! Markdown: the same tables for a wiki, an issue or a mail.

pub(super) mod escape;
mod time;

use std::collections::BTreeMap;
use std::fmt::Write;

use serde_json::Value;

use crate::report::format::Output;
use crate::report::markdown::escape::{cell, paragraph};
use crate::report::markdown::time::{earlier, rhythm, series, trend};
use crate::report::sentence::{self, grouped};
use crate::report::shape::{Report, Row};
use crate::report::text::lines::safe;

/// Writes the text.
pub fn write(report: &Report, sealed: &Value) -> Vec<Output> {
    let mut text = String::new();
    head(&mut text, report);
    earlier(&mut text, report);
    for (title, rows) in [
        ("Rows of the statement", &report.sectors),
        ("Sites", &report.sites),
        ("Classes", &report.classes),
        ("Grades", &report.grades),
    ] {
        table(&mut text, title, rows);
    }
    if !report.labels.is_empty() {
        table(&mut text, "Labels", &report.labels);
    }
    ladder_and_origins(&mut text, report);
    by_site(&mut text, report);
    units(&mut text, report);
    readings(&mut text, report);
    series(&mut text, report);
    rhythm(&mut text, report);
    trend(&mut text, report);
    incidents(&mut text, report);
    campaigns(&mut text, report);
    counts(&mut text, "Losses", &report.losses);
    counts(&mut text, "Not judged: watched, and no attack", &report.not_judged);
    doubtful(&mut text, report);
    foot(&mut text, report, sealed);
    vec![Output { suffix: ".md".into(), content: text }]
}

fn head(text: &mut String, report: &Report) {
    let coverage = &report.period.coverage;
    // Writing to a String cannot fail.
    let _ = write!(
        text,
        "# gatewatch report for {}{}\n\n> {}\n\nPeriod {} to {}{}. Observed {} of {} seconds ({} %).{}\n",
        cell(&report.period.name),
        if report.open { " (open: it will still change)" } else { "" },
        paragraph(&sentence::capital(&report.headline.text)),
        report.zone.moment(&report.period.from),
        report.zone.moment(&report.period.to),
        report.zone.other_than_utc().map_or_else(String::new, |name| {
            format!(" (times are shown in {}; periods are those of UTC)", cell(name))
        }),
        grouped(coverage.seconds_observed.unsigned_abs()),
        grouped(coverage.seconds.unsigned_abs()),
        sentence::observed(coverage.seconds_observed, coverage.seconds),
        if report.headline.lower_bound { " Something was lost: counts are lower bounds (≥)." } else { "" },
    );
    for told in sentence::certainty(report) {
        let _ = write!(text, "\n{}\n", paragraph(&told));
    }
}

/// How much of each site's conversations could be read.
fn readings(text: &mut String, report: &Report) {
    if report.readings.is_empty() {
        return;
    }
    text.push_str(
        "\n## What could be read\n\n| site | in clear | encrypted | unknown | readable | hidden by encryption |\n\
         | --- | ---: | ---: | ---: | ---: | --- |\n",
    );
    for row in &report.readings {
        let _ = writeln!(
            text,
            "| {} | {} | {} | {} | {:.1} % | {} |",
            cell(&row.site),
            grouped(row.clear),
            grouped(row.hidden),
            grouped(row.unknown),
            row.inspectable_share * 100.0,
            cell(&row.hidden_classes.join(", "))
        );
    }
}

fn counts(text: &mut String, title: &str, counts: &BTreeMap<String, u64>) {
    let _ = write!(text, "\n## {title}\n\n| counter | count |\n| --- | ---: |\n");
    for (name, count) in counts {
        let _ = writeln!(text, "| {} | {} |", cell(name), grouped(*count));
    }
}

fn doubtful(text: &mut String, report: &Report) {
    if report.likely_false_alarms.is_empty() {
        return;
    }
    text.push_str("\n## Likely false alarms\n\n| site | path | place | rule | attempts | clients |\n| --- | --- | --- | --- | ---: | ---: |\n");
    for row in &report.likely_false_alarms {
        let _ = writeln!(
            text,
            "| {} | {} | {} | {} | {} | {} |",
            cell(&row.site),
            cell(&row.path),
            cell(&row.place),
            cell(&row.rule),
            grouped(row.attempts),
            grouped(row.clean_sources)
        );
    }
}

/// What made the numbers.
fn foot(text: &mut String, report: &Report, sealed: &Value) {
    text.push_str("\n## How it was made\n");
    for database in &report.databases {
        let _ = write!(
            text,
            "\nDatabase {} of {}, SHA-256 `{}`. {}\n",
            cell(&database.kind),
            cell(&database.build_date),
            cell(&database.sha256),
            // Its link is what the licence asks for.
            safe(database.attribution.as_deref().unwrap_or_default()),
        );
    }
    let definition = &report.definition;
    for (unit, meaning) in [
        ("attempt", definition.attempt),
        ("session", definition.session),
        ("incident", definition.incident),
        ("campaign", definition.campaign),
        ("source", definition.source),
        ("overseas", definition.overseas),
    ] {
        let _ = write!(text, "\n*{unit}*: {}.\n", paragraph(meaning));
    }
    let home = report.home.join(" ");
    let _ = write!(
        text,
        "\ngatewatch {}, detection set `{}`, settings `{}`, home {}, JSON SHA-256 `{}`.\n",
        report.gatewatch_version,
        report.detectors.set_hash,
        report.config_hash,
        if home.is_empty() { "not declared".to_owned() } else { cell(&home) },
        crate::report::format::hash_of(sealed),
    );
}

/// What is counted in units of its own.
fn units(text: &mut String, report: &Report) {
    for unit in report.units.iter().filter(|unit| unit.is_apart() && unit.counts.attempts > 0) {
        let _ = write!(
            text,
            "\n## {} (not in the headline)\n\n| of | id | name | attempts | incidents |\n| --- | --- | --- | ---: | ---: |\n",
            unit.title
        );
        for (name, rows) in [("class", &unit.classes), ("site", &unit.sites), ("origin", &unit.origins)] {
            for row in rows {
                let counts = (grouped(row.counts.attempts), grouped(row.counts.incidents));
                let _ = writeln!(
                    text,
                    "| {name} | {} | {} | {} | {} |",
                    cell(&row.id),
                    cell(&row.title),
                    counts.0,
                    counts.1
                );
            }
        }
    }
}

fn ladder_and_origins(text: &mut String, report: &Report) {
    text.push_str("\n## The ladder\n\n| unit | count |\n| --- | ---: |\n");
    for (unit, count) in sentence::ladder(&report.totals) {
        let _ = writeln!(text, "| {unit} | {count} |");
    }
    text.push_str(
        "\n## Origins\n\n| of | code | name | attempts | headline | share | 95 % interval | of all addresses | sources |\n\
         | --- | --- | --- | ---: | ---: | ---: | ---: | ---: | ---: |\n",
    );
    let percent = |part: f64| format!("{:.1} %", part * 100.0);
    for row in &report.origins {
        let between = row
            .interval
            .map_or_else(String::new, |[low, high]| format!("{:.1} to {}", low * 100.0, percent(high)));
        let _ = writeln!(
            text,
            "| {} | {} | {} | {} | {} | {} | {between} | {} | {} |",
            row.kind,
            cell(&row.code),
            cell(&row.name),
            grouped(row.counts.attempts),
            grouped(row.counts.headline_attempts),
            row.share.map_or_else(String::new, percent),
            row.base_rate.map_or_else(String::new, percent),
            optional(row.sources)
        );
    }
}

/// Which classes each site was sent.
fn by_site(text: &mut String, report: &Report) {
    if report.by_site.len() < 2 {
        return;
    }
    text.push_str(
        "\n## Classes by site\n\n| site | class | title | attempts | headline | overseas | incidents |\n\
         | --- | --- | --- | ---: | ---: | ---: | ---: |\n",
    );
    for (part, row) in report.by_site.iter().flat_map(|part| part.classes.iter().map(move |row| (part, row)))
    {
        let _ = writeln!(
            text,
            "| {} | {} | {} | {} | {} | {} | {} |",
            cell(&part.site),
            cell(&row.id),
            cell(&row.title),
            grouped(row.counts.attempts),
            grouped(row.counts.headline_attempts),
            grouped(row.counts.overseas_attempts),
            grouped(row.counts.incidents)
        );
    }
}

/// The largest incidents.
fn incidents(text: &mut String, report: &Report) {
    if report.incidents.is_empty() {
        return;
    }
    let _ = write!(
        text,
        "\n## Largest incidents\n\n| source | origin | class | site | first ({0}) | last ({0}) | attempts | busiest minute | headline |\n\
         | --- | --- | --- | --- | --- | --- | ---: | ---: | --- |\n",
        cell(report.zone.other_than_utc().unwrap_or("UTC"))
    );
    for row in &report.incidents {
        let _ = writeln!(
            text,
            "| {} | {} | {} | {} | {} | {} | {} | {} | {} |",
            cell(&row.source),
            cell(&row.place),
            cell(&row.class),
            cell(&row.site),
            report.zone.second(&row.first_seen),
            report.zone.second(&row.last_seen),
            grouped(row.attempts),
            grouped(row.peak_per_minute),
            if row.headline { "yes" } else { "no" }
        );
    }
}

fn campaigns(text: &mut String, report: &Report) {
    text.push_str(
        "\n## Campaigns\n\n| rule | client | payload | attempts | incidents | sources | countries |\n\
         | --- | --- | --- | ---: | ---: | ---: | ---: |\n",
    );
    for row in &report.campaigns {
        let _ = writeln!(
            text,
            "| {} | {} | {} | {} | {} | {} | {} |",
            cell(&row.rule),
            cell(&row.client),
            cell(&row.payload),
            grouped(row.attempts),
            grouped(row.incidents),
            grouped(row.sources),
            grouped(row.countries)
        );
    }
    text.push_str(
        "\n## How it was counted\n\n| from | to | attempts | changed |\n| --- | --- | ---: | --- |\n",
    );
    for row in &report.regimes {
        let _ = writeln!(
            text,
            "| {} | {} | {} | {} |",
            report.zone.hour(&row.from),
            report.zone.hour(&row.last),
            grouped(row.attempts),
            row.changed.join(", ")
        );
    }
}

fn table(text: &mut String, title: &str, rows: &[Row]) {
    let _ = write!(
        text,
        "\n## {title}\n\n| id | title | attempts | headline | overseas | sessions | incidents | campaigns | sources |\n\
         | --- | --- | ---: | ---: | ---: | ---: | ---: | ---: | ---: |\n"
    );
    for row in rows {
        let counts = &row.counts;
        let _ = writeln!(
            text,
            "| {} | {} | {} | {} | {} | {} | {} | {} | {} |",
            cell(&row.id),
            cell(&row.title),
            grouped(counts.attempts),
            grouped(counts.headline_attempts),
            grouped(counts.overseas_attempts),
            grouped(counts.sessions),
            grouped(counts.incidents),
            optional(row.campaigns),
            optional(row.sources)
        );
    }
}

fn optional(count: Option<u64>) -> String {
    count.map_or_else(String::new, grouped)
}
