//! Markdown: the same tables for a wiki, an issue or a mail.

use std::collections::BTreeMap;
use std::fmt::Write;

use serde_json::Value;

use crate::report::earlier;
use crate::report::format::Output;
use crate::report::rhythm::WEEKDAYS;
use crate::report::sentence::{self, grouped};
use crate::report::shape::{Report, Row};
use crate::report::text::lines::safe;

/// Letters of a cell: a name of 64 KiB from the wire must not be the page.
const CELL_LETTERS_MAX: usize = 200;
/// Letters of a paragraph.
const PARAGRAPH_LETTERS_MAX: usize = 4_000;

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

/// The steps of the period that counted something, or in which something changed.
fn series(text: &mut String, report: &Report) {
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
fn rhythm(text: &mut String, report: &Report) {
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

/// The periods that readers set beside this one.
fn earlier(text: &mut String, report: &Report) {
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

/// A text that cannot leave its cell or become markup, and is cut where it would be the page.
pub(super) fn cell(text: &str) -> String {
    escaped(text, CELL_LETTERS_MAX)
}

/// A sentence that does not become markup.
pub(super) fn paragraph(text: &str) -> String {
    escaped(text, PARAGRAPH_LETTERS_MAX)
}

/// With every sign of `CommonMark` and of the tables escaped, and addresses that GitHub's dialect makes links of by themselves.
fn escaped(text: &str, letters_max: usize) -> String {
    let mut letters = text.chars();
    let mut cut: String = letters.by_ref().take(letters_max).collect();
    if letters.next().is_some() {
        cut.push('…');
    }
    let clean = safe(&cut).chars().fold(String::new(), |mut clean, letter| {
        if matches!(letter, '|' | '<' | '>' | '`' | '*' | '_' | '[' | ']' | '\\' | '&' | '~' | '#' | '@') {
            clean.push('\\');
        }
        clean.push(letter);
        clean
    });
    clean.replace("://", "\\://").replace("www.", "www\\.")
}
