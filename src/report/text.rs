//! Plain text for terminals and mail: at most 72 columns, nothing a terminal could be made to obey.

use std::fmt::Write;

use serde_json::Value;

use crate::report::format::Output;
use crate::report::networks::NOT_DETERMINED;
use crate::report::sentence::{self, grouped, per_cent};
use crate::report::shape::{OriginRow, Report, Row};

/// Columns of a line.
const WIDTH: usize = 72;
/// Columns of a row's name.
const NAME_WIDTH: usize = 28;
/// Columns of a number.
const NUMBER_WIDTH: usize = 11;
/// Origins listed; the JSON and CSV have all of them.
const ORIGINS_MAX: usize = 25;
/// Networks of each kind, and campaigns, listed.
const NETWORKS_MAX: usize = 10;
/// Steps of a spark line, low to high.
const SPARKS: [char; 8] = ['▁', '▂', '▃', '▄', '▅', '▆', '▇', '█'];

/// Writes the text.
pub fn write(report: &Report, sealed: &Value) -> Vec<Output> {
    let mut text = Lines::default();
    head(report, &mut text);
    ladder(report, &mut text);
    text.table("By row of the statement", &report.sectors, true);
    text.table("By site", &report.sites, false);
    text.table("By class", &report.classes, false);
    units(report, &mut text);
    origins(report, &mut text);
    networks(report, &mut text);
    campaigns(report, &mut text);
    text.table("By grade of origin evidence", &report.grades, true);
    if !report.labels.is_empty() {
        text.table("By label", &report.labels, false);
    }
    readings(report, &mut text);
    series(report, &mut text);
    trend(report, &mut text);
    doubtful(report, &mut text);
    foot(report, sealed, &mut text);
    vec![Output { suffix: ".txt".into(), content: text.0 }]
}

/// Likely false alarms, each with the exception to paste.
fn doubtful(report: &Report, text: &mut Lines) {
    if report.likely_false_alarms.is_empty() {
        return;
    }
    text.title("Likely false alarms");
    text.paragraph(
        "One rule, one place, and many clients that did nothing else and were served. If they are honest, except them:",
    );
    for row in &report.likely_false_alarms {
        text.line("");
        text.paragraph(&format!(
            "# {} attempts, {} clients",
            grouped(row.attempts),
            grouped(row.clean_sources)
        ));
        for line in row.exception.lines() {
            text.line(&safe(line));
        }
    }
}

/// A text that grows by lines.
#[derive(Default)]
pub(super) struct Lines(String);

impl Lines {
    /// What was written.
    pub(super) fn into_text(self) -> String {
        self.0
    }

    pub(super) fn line(&mut self, line: &str) {
        self.0.push_str(line.trim_end());
        self.0.push('\n');
    }

    pub(super) fn title(&mut self, title: &str) {
        self.line("");
        self.line(title);
        self.line(&"-".repeat(title.chars().count()));
    }

    /// Words folded to the width.
    pub(super) fn paragraph(&mut self, text: &str) {
        let mut line = String::new();
        for word in safe(text).split_whitespace() {
            if !line.is_empty() && line.chars().count() + 1 + word.chars().count() > WIDTH {
                self.line(&line);
                line.clear();
            }
            if !line.is_empty() {
                line.push(' ');
            }
            line.push_str(word);
        }
        self.line(&line);
    }

    fn table(&mut self, title: &str, rows: &[Row], with_empty: bool) {
        self.title(title);
        self.header(["attempts", "headline", "incidents", "sources"]);
        for row in rows.iter().filter(|row| with_empty || row.counts.attempts > 0) {
            let name =
                if row.id == row.title { row.title.clone() } else { format!("{}  {}", row.id, row.title) };
            let counts = &row.counts;
            self.row(
                &name,
                [
                    grouped(counts.attempts),
                    grouped(counts.headline_attempts),
                    grouped(counts.incidents),
                    known(row.sources),
                ],
            );
        }
    }

    fn header(&mut self, columns: [&str; 4]) {
        self.row("", columns.map(str::to_owned));
    }

    fn row(&mut self, name: &str, columns: [String; 4]) {
        let mut line = fit(&safe(name), NAME_WIDTH - 1);
        line.push(' ');
        for column in columns {
            let _ = write!(line, "{column:>NUMBER_WIDTH$}");
        }
        self.line(&line);
    }
}

/// A number that may not be told.
fn known(count: Option<u64>) -> String {
    count.map_or_else(|| "-".to_owned(), grouped)
}

/// Text that no terminal obeys: control and direction characters are shown as `·`.
pub(super) fn safe(text: &str) -> String {
    text.chars()
        .map(|letter| match letter {
            '\u{200b}'..='\u{200f}' | '\u{202a}'..='\u{202e}' | '\u{2060}'..='\u{206f}' | '\u{feff}' => '·',
            _ if letter.is_control() => '·',
            _ => letter,
        })
        .collect()
}

/// Columns that a letter takes: two for wide East Asian ones.
fn columns(letter: char) -> usize {
    match u32::from(letter) {
        0x1100..=0x115f
        | 0x2e80..=0xa4cf
        | 0xac00..=0xd7a3
        | 0xf900..=0xfaff
        | 0xfe30..=0xfe6f
        | 0xff00..=0xff60
        | 0xffe0..=0xffe6
        | 0x1f300..=0x1faff
        | 0x20000..=0x3fffd => 2,
        0x0300..=0x036f => 0,
        _ => 1,
    }
}

/// Cut or padded to exactly so many columns.
pub(super) fn fit(text: &str, width: usize) -> String {
    let total: usize = text.chars().map(columns).sum();
    let keep = if total > width { width - 1 } else { width };
    let mut used = 0;
    let mut fitted = String::new();
    for letter in text.chars() {
        if used + columns(letter) > keep {
            break;
        }
        used += columns(letter);
        fitted.push(letter);
    }
    if total > width {
        fitted.push('…');
        used += 1;
    }
    fitted.extend(std::iter::repeat_n(' ', width - used));
    fitted
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
        text.line(&format!("{} {count:>20}", fit(unit, NAME_WIDTH - 1)));
    }
}

/// How much of each site's conversations could be read.
fn readings(report: &Report, text: &mut Lines) {
    if report.readings.is_empty() {
        return;
    }
    text.title("What could be read (conversations)");
    text.header(["in clear", "encrypted", "unknown", "readable %"]);
    for row in report.readings.iter().take(ORIGINS_MAX) {
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

/// What is counted in units of its own: the classes and the first origins of scans and floods.
fn units(report: &Report, text: &mut Lines) {
    for unit in report.units.iter().filter(|unit| unit.is_apart() && unit.counts.attempts > 0) {
        text.title(&format!("{}: not in the headline", unit.title));
        text.header(["attempts", "", "incidents", ""]);
        let rows = unit.classes.iter().chain(unit.sites.iter().take(ORIGINS_MAX));
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

fn origins(report: &Report, text: &mut Lines) {
    text.title("By origin");
    text.header(["attempts", "headline", "share %", "sources"]);
    for row in of_kind(report, "country").take(ORIGINS_MAX) {
        let share = row.share.map_or_else(|| "-".to_owned(), |share| format!("{:.1}", share * 100.0));
        text.row(
            &format!("{:<8}{}", row.code, row.name),
            [grouped(row.counts.attempts), grouped(row.counts.headline_attempts), share, known(row.sources)],
        );
    }
    let more = of_kind(report, "country").count().saturating_sub(ORIGINS_MAX);
    if more > 0 {
        text.line(&format!("… and {more} more, see the origins table"));
    }
}

/// What is finer than countries; a kind of which nothing is determined is a line.
fn networks(report: &Report, text: &mut Lines) {
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

fn campaigns(report: &Report, text: &mut Lines) {
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

fn series(report: &Report, text: &mut Lines) {
    text.title("Over time (headline attempts)");
    let highest = report.series.iter().map(|step| step.counts.headline_attempts).max().unwrap_or(0);
    let sparks: String = report
        .series
        .iter()
        .map(|step| {
            let level = (step.counts.headline_attempts * 7).checked_div(highest).unwrap_or(0);
            SPARKS.get(usize::try_from(level).unwrap_or(0)).copied().unwrap_or(' ')
        })
        .collect();
    if report.series.len() <= WIDTH {
        text.line(&sparks);
    }
    for step in report.series.iter().filter(|step| {
        step.counts.attempts > 0
            || !step.breaks.is_empty() && step.breaks != ["coverage"]
            || report.series.len() <= 12
    }) {
        let watched = if step.seconds_observed == 0 { "  not observed" } else { "" };
        let broken: Vec<&str> = step.breaks.iter().copied().filter(|name| *name != "coverage").collect();
        let broken =
            if broken.is_empty() { String::new() } else { format!("  changed: {}", broken.join(", ")) };
        text.line(&format!(
            "{:<16}{:>14}{watched}{broken}",
            step.period,
            grouped(step.counts.headline_attempts)
        ));
    }
}

fn trend(report: &Report, text: &mut Lines) {
    let Some(trend) = &report.trend else { return };
    text.title("Month by month");
    text.header(["observed %", "headline", "overseas", "in 30 days"]);
    for month in &trend.months {
        let observed = per_cent(month.seconds_observed.unsigned_abs(), month.seconds.unsigned_abs());
        let (headline, overseas) = (grouped(month.headline_attempts), known(month.overseas_attempts));
        let name = format!("{}  {}", month.period, month.breaks.join(" "));
        text.row(name.trim_end(), [observed, headline, overseas, sentence::normalised(month)]);
    }
    for shift in &trend.level_shifts {
        text.paragraph(&sentence::level_shift(shift));
    }
    if let Some(method) = trend.method_told() {
        text.paragraph(method);
    }
}

fn foot(report: &Report, sealed: &Value, text: &mut Lines) {
    text.title("Losses");
    let lost: Vec<_> = report.losses.iter().filter(|(_, count)| **count > 0).collect();
    if lost.is_empty() {
        text.line("none was seen");
    }
    for (name, count) in lost {
        text.line(&format!("{} {:>20}", fit(name, NAME_WIDTH - 1), grouped(*count)));
    }
    if report.not_judged.values().any(|count| *count > 0) {
        text.title("Not judged: watched, and no attack");
        for (name, count) in &report.not_judged {
            let name = name.replace('_', " ");
            text.line(&format!("{} {:>20}", fit(&name, NAME_WIDTH - 1), grouped(*count)));
        }
    }
    text.title("How it was made");
    for regime in &report.regimes {
        let changed = if regime.changed.is_empty() {
            String::new()
        } else {
            format!(", changed: {}", regime.changed.join(", "))
        };
        text.paragraph(&format!(
            "From {} to {} UTC: {} attempts{changed}.",
            regime.from,
            regime.last,
            grouped(regime.attempts)
        ));
    }
    for database in &report.databases {
        text.paragraph(&format!(
            "Database {} of {}, SHA-256 {}",
            database.kind, database.build_date, database.sha256
        ));
        if let Some(attribution) = &database.attribution {
            text.paragraph(attribution);
        }
    }
    let mut how =
        format!("gatewatch {}, detection set {}, ", report.gatewatch_version, report.detectors.set_hash);
    let _ = write!(
        how,
        "settings {}, home {}",
        report.config_hash,
        if report.home.is_empty() { "not declared".to_owned() } else { report.home.join(" ") }
    );
    text.paragraph(&how);
    text.paragraph(&format!("SHA-256 of the JSON form: {}", crate::report::format::hash_of(sealed)));
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_of_any_kind_keep_the_columns() {
        for name in [
            "plain",
            "名前の長い日本語のサイトの名前がここにあります",
            "a\u{301}ccent",
            "evil\u{1b}[31m\u{202e}txet",
            &"x".repeat(500),
        ] {
            let fitted = fit(&safe(name), 20);
            assert_eq!(fitted.chars().map(columns).sum::<usize>(), 20, "{name}");
            assert!(!fitted.contains('\u{1b}') && !fitted.contains('\u{202e}'));
        }
    }
}
