//! Plain text for terminals and mail: at most 72 columns, nothing a terminal could be made to obey.

pub(super) mod colour;
mod foot;
pub(super) mod lines;
mod origins;
mod time;

use serde_json::Value;

use crate::report::format::Output;
use crate::report::sentence::{self, grouped, per_cent};
use crate::report::shape::Report;
use crate::report::text::foot::{doubtful, foot};
use crate::report::text::lines::{Empty, Lines, WIDTH};
use crate::report::text::origins::{campaigns, networks, origins, units};
use crate::report::text::time::{series, trend};

/// Origins and sites listed; the JSON and CSV have all of them.
const ROWS_MAX: usize = 25;
/// Networks of each kind, and campaigns, listed.
const NETWORKS_MAX: usize = 10;

/// Writes the text.
pub fn write(report: &Report, sealed: &Value) -> Vec<Output> {
    let mut text = Lines::default();
    head(report, &mut text);
    ladder(report, &mut text);
    text.table("By row of the statement", &report.sectors, Empty::Shown);
    text.table("By site", &report.sites, Empty::Hidden);
    text.table("By class", &report.classes, Empty::Hidden);
    units(report, &mut text);
    origins(report, &mut text);
    networks(report, &mut text);
    campaigns(report, &mut text);
    text.table("By grade of origin evidence", &report.grades, Empty::Shown);
    if !report.labels.is_empty() {
        text.table("By label", &report.labels, Empty::Hidden);
    }
    readings(report, &mut text);
    series(report, &mut text);
    trend(report, &mut text);
    doubtful(report, &mut text);
    foot(report, sealed, &mut text);
    vec![Output { suffix: ".txt".into(), content: text.into_text() }]
}

fn head(report: &Report, text: &mut Lines) {
    let state = if report.open { " (open: it will still change)" } else { "" };
    text.paragraph(&format!("gatewatch report for {}{state}", report.period.name));
    text.line(&"=".repeat(WIDTH));
    text.line("");
    text.paragraph(&report.headline.text);
    for told in sentence::certainty(report) {
        text.paragraph(&told);
    }
    text.line("");
    let coverage = &report.period.coverage;
    text.paragraph(&format!(
        "Counted: attempts of web.*, auth.* and exploit.* whose origin is proven (grade E1 or better). Period {} to {} UTC; \
         observed {} of {} seconds ({} per cent).{}",
        report.period.from,
        report.period.to,
        grouped(coverage.seconds_observed.unsigned_abs()),
        grouped(coverage.seconds.unsigned_abs()),
        per_cent(coverage.seconds_observed.unsigned_abs(), coverage.seconds.unsigned_abs()),
        if report.headline.lower_bound { " Something was lost: every count is a lower bound (≥), see Losses." } else { "" },
    ));
}

fn ladder(report: &Report, text: &mut Lines) {
    text.title("The ladder of units");
    for (unit, count) in sentence::ladder(&report.totals) {
        text.count(unit, &count);
    }
}

/// How much of each site's conversations could be read.
fn readings(report: &Report, text: &mut Lines) {
    if report.readings.is_empty() {
        return;
    }
    text.title("What could be read (conversations)");
    text.header(["in clear", "encrypted", "unknown", "readable %"]);
    for row in report.readings.iter().take(ROWS_MAX) {
        let share = format!("{:.1}", row.inspectable_share * 100.0);
        text.row(&row.site, [grouped(row.clear), grouped(row.hidden), grouped(row.unknown), share]);
    }
    if report.readings.iter().any(|row| row.hidden > 0) {
        text.paragraph(
            "In encrypted conversations no web attack, no web, mail or database login and no exploit is seen; of SSH and remote \
             desktop logins and of floods only what lengths, times and handshakes tell (inferred).",
        );
    }
}
