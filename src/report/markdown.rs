//! Markdown: the same tables for a wiki, an issue or a mail.

use std::fmt::Write;

use serde_json::Value;

use crate::report::format::Output;
use crate::report::sentence::{self, grouped, per_cent};
use crate::report::shape::{Report, Row};
use crate::report::text::lines::safe;

/// Writes the text.
pub fn write(report: &Report, sealed: &Value) -> Vec<Output> {
    let mut text = String::new();
    let coverage = &report.period.coverage;
    // Writing to a String cannot fail.
    let _ = write!(
        text,
        "# gatewatch report for {}\n\n> {}\n\nObserved {} of {} seconds ({} %).{}\n",
        cell(&report.period.name),
        cell(&report.headline.text),
        grouped(coverage.seconds_observed.unsigned_abs()),
        grouped(coverage.seconds.unsigned_abs()),
        per_cent(coverage.seconds_observed.unsigned_abs(), coverage.seconds.unsigned_abs()),
        if report.headline.lower_bound { " Something was lost: counts are lower bounds (≥)." } else { "" },
    );
    for told in sentence::certainty(report) {
        let _ = write!(text, "\n{}\n", cell(&told));
    }
    for (title, rows) in [
        ("Rows of the statement", &report.sectors),
        ("Sites", &report.sites),
        ("Classes", &report.classes),
        ("Grades", &report.grades),
    ] {
        table(&mut text, title, rows);
    }
    ladder_and_origins(&mut text, report);
    units(&mut text, report);
    trend(&mut text, report);
    campaigns(&mut text, report);
    text.push_str("\n## Losses\n\n| counter | count |\n| --- | ---: |\n");
    for (name, count) in &report.losses {
        let _ = writeln!(text, "| {} | {} |", cell(name), grouped(*count));
    }
    if !report.likely_false_alarms.is_empty() {
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
    let attributions = report.databases.iter().filter_map(|database| database.attribution.as_deref());
    let _ = write!(
        text,
        "\ngatewatch {}, detection set `{}`, JSON SHA-256 `{}`. {}\n",
        report.gatewatch_version,
        report.detectors.set_hash,
        crate::report::format::hash_of(sealed),
        attributions.collect::<Vec<_>>().join(". "),
    );
    vec![Output { suffix: ".md".into(), content: text }]
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
        "\n## Origins\n\n| of | code | name | attempts | headline | share |\n| --- | --- | --- | ---: | ---: | ---: |\n",
    );
    for row in &report.origins {
        let share = row.share.map_or_else(String::new, |share| format!("{:.1} %", share * 100.0));
        let _ = writeln!(
            text,
            "| {} | {} | {} | {} | {} | {share} |",
            row.kind,
            cell(&row.code),
            cell(&row.name),
            grouped(row.counts.attempts),
            grouped(row.counts.headline_attempts)
        );
    }
}

fn trend(text: &mut String, report: &Report) {
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
            per_cent(month.seconds_observed.unsigned_abs(), month.seconds.unsigned_abs()),
            grouped(month.headline_attempts),
            optional(month.overseas_attempts),
            sentence::normalised(month),
            month.breaks.join(", ")
        );
    }
    let shifts = trend.level_shifts.iter().map(sentence::level_shift);
    for told in shifts.chain(trend.method_told().map(str::to_owned)) {
        let _ = write!(text, "\n{}\n", cell(&told));
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
            row.from,
            row.last,
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

/// Text that cannot leave its cell or become markup.
pub(super) fn cell(text: &str) -> String {
    safe(text).chars().fold(String::new(), |mut clean, letter| {
        if matches!(letter, '|' | '<' | '>' | '`' | '*' | '_' | '[' | ']' | '\\') {
            clean.push('\\');
        }
        clean.push(letter);
        clean
    })
}
