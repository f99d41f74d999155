//! Plain text for terminals and mail: at most 72 columns, nothing a terminal could be made to obey.

pub(super) mod colour;
mod foot;
pub mod lines;
mod origins;
mod time;

use serde_json::Value;

use crate::report::format::Output;
use crate::report::sentence::{self, grouped};
use crate::report::shape::Report;
use crate::report::text::foot::{doubtful, foot};
use crate::report::text::lines::{Empty, Lines, WIDTH};
use crate::report::text::origins::{by_site, campaigns, incidents, networks, origins, units};
use crate::report::text::time::{earlier, rhythm, series, trend};

/// Origins and sites listed; the JSON and CSV have all of them.
const ROWS_MAX: usize = 25;
/// Networks of each kind, and campaigns, listed.
const NETWORKS_MAX: usize = 10;

/// Writes the text.
pub fn write(report: &Report, sealed: &Value) -> Vec<Output> {
    let mut text = Lines::default();
    head(report, &mut text);
    zone(report, &mut text);
    earlier(report, &mut text);
    ladder(report, &mut text);
    text.table("By row of the statement", &report.sectors, Empty::Shown);
    text.table("By site", &report.sites, Empty::Hidden);
    text.table("By class", &report.classes, Empty::Hidden);
    by_site(report, &mut text);
    units(report, &mut text);
    origins(report, &mut text);
    networks(report, &mut text);
    incidents(report, &mut text);
    campaigns(report, &mut text);
    text.table("By grade of origin evidence", &report.grades, Empty::Shown);
    if !report.labels.is_empty() {
        text.table("By label", &report.labels, Empty::Hidden);
    }
    readings(report, &mut text);
    series(report, &mut text);
    rhythm(report, &mut text);
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
    text.paragraph(&sentence::capital(&report.headline.text));
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
        sentence::observed(coverage.seconds_observed, coverage.seconds),
        if report.headline.lower_bound { " Something was lost: every count is a lower bound (≥), see Losses." } else { "" },
    ));
}

/// Which zone is shown, where it is another than that of the periods.
fn zone(report: &Report, text: &mut Lines) {
    if let Some(name) = report.zone.other_than_utc() {
        let [from, to] = [&report.period.from, &report.period.to].map(|moment| report.zone.moment(moment));
        text.paragraph(&format!(
            "Times are shown in {name}, where the period is {from} to {to}; periods, days and months are those of UTC."
        ));
    }
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
    let rows: Vec<_> = report
        .readings
        .iter()
        .take(ROWS_MAX)
        .map(|row| {
            let share = format!("{:.1}", row.inspectable_share * 100.0);
            let [clear, hidden, unknown] = [row.clear, row.hidden, row.unknown].map(grouped);
            (row.site.clone(), [clear, hidden, unknown, share])
        })
        .collect();
    text.grid(["in clear", "encrypted", "unknown", "readable %"], &rows);
    if report.readings.iter().any(|row| row.hidden > 0) {
        text.paragraph(
            "In encrypted conversations no web attack, no web, mail or database login and no exploit is seen; of SSH and remote \
             desktop logins and of floods only what lengths, times and handshakes tell (inferred).",
        );
    }
}

#[cfg(test)]
mod tests {
    use rusqlite::params;

    use super::*;
    use crate::model::period::Period;
    use crate::report::provenance::Provenance;
    use crate::report::span::Span;
    use crate::report::store::Store;
    use crate::report::summary;
    use crate::report::text::lines::width;
    use crate::report::zone::Zone;

    /// A month with these rows: site, place, row of the statement, attempts.
    fn month(rows: &[(&str, &str, &str, i64)]) -> Report {
        let folder = tempfile::tempdir().unwrap();
        let (store, _) = Store::open(folder.path()).unwrap();
        let period: Period = "2012-06".parse().unwrap();
        for (site, place, sector, attempts) in rows {
            let values = params![period.first_hour().0, site, place, sector, attempts];
            let sql =
                "INSERT INTO tally VALUES (?1, ?2, 'web.sqli', 'E2', ?3, ?4, '', 1, 1, ?5, ?5, ?5, 0, 0)";
            store.connection().execute(sql, values).unwrap();
        }
        store
            .connection()
            .execute("INSERT INTO watch VALUES (?1, 3600000000)", [period.first_hour().0])
            .unwrap();
        let provenance = Provenance { home_declared: true, home: vec!["CN".into()], ..Provenance::default() };
        summary::build(&store, &Span::of(period), None, &provenance).unwrap()
    }

    fn texts(report: &Report) -> [String; 2] {
        let sealed = crate::report::format::seal(report);
        [write, crate::report::markdown::write].map(|write| write(report, &sealed).remove(0).content)
    }

    #[test]
    fn months_of_any_kind_keep_the_columns_and_obey_nobody() {
        let hostile =
            "| <img src=x> [a](http://evil.example) *b* `c`\n# www.evil.example & \u{1b}]0;x\u{7}\u{202e}";
        let large = "漢x".repeat(32_768);
        let months = vec![
            (month(&[]), "not attacked from overseas"),
            (month(&[("a", "US", "overseas", 1)]), "attacked from overseas once"),
            (month(&[("a", "unknown", "unknown", 7)]), "not attacked from overseas"),
            (month(&[("a", "US", "overseas", 10_000_000)]), "10,000,000"),
            (
                month(&[
                    (hostile, "US", "overseas", 2),
                    (&large, "DE", "overseas", 3),
                    ("a", "FR", "overseas", 4),
                ]),
                "our three web sites",
            ),
        ];
        for (report, told) in months {
            let [text, markdown] = texts(&report);
            let joined = text.split_whitespace().collect::<Vec<_>>().join(" ");
            assert!(joined.contains(told) && markdown.contains(told), "{told}: {text}");
            for line in text.lines() {
                assert!(width(line) <= WIDTH, "{line}");
            }
            assert!(!text.contains(['\u{1b}', '\u{7}', '\u{202e}']) && text.len() < 20_000);
            assert_columns(&text);
            assert_tables(&markdown);
            assert!(!markdown.replace("\\<", "").contains("<img"), "each sign of markup is escaped");
            assert!(
                !markdown.contains("http://") && !markdown.contains("www.evil"),
                "nothing becomes a link"
            );
            assert!(!markdown.contains(['\u{1b}', '\u{7}', '\u{202e}']) && markdown.len() < 40_000);
        }
    }

    /// In the table of sites each number ends where its head ends.
    fn assert_columns(text: &str) {
        let table: Vec<&str> = text
            .lines()
            .skip_while(|line| *line != "By site")
            .skip(2)
            .take_while(|line| !line.is_empty())
            .collect();
        for row in &table {
            assert_eq!(width(row), WIDTH, "{row}");
        }
        assert!(!table.is_empty());
    }

    /// Each row of a table has as many cells as its head.
    fn assert_tables(markdown: &str) {
        let mut cells = 0;
        for line in markdown.lines() {
            let now = line.replace("\\|", "").matches('|').count();
            assert!(cells == 0 || now == 0 || now == cells, "{line:.200}");
            cells = now;
        }
    }

    #[test]
    fn another_zone_is_named_where_times_are_shown() {
        let mut report = month(&[("a", "US", "overseas", 1)]);
        let [text, markdown] = texts(&report);
        assert!(!text.contains("Times are shown") && text.contains("2012-06-01T00:00:00Z"));
        assert!(markdown.contains("2012-06-01T00:00:00Z"));
        let Ok(zone) = Zone::named("Asia/Shanghai") else { return };
        report.zone = zone;
        let [text, markdown] = texts(&report);
        assert!(
            text.contains("Times are shown in Asia/Shanghai, where the period is 2012-06-01 08:00"),
            "{text}"
        );
        assert!(markdown.contains(
            "Period 2012-06-01 08:00 +08:00 to 2012-07-01 08:00 +08:00 (times are shown in Asia/Shanghai"
        ));
        let sealed = crate::report::format::seal(&report);
        assert_eq!(sealed["period"]["from"], "2012-06-01T00:00:00Z", "stored times are UTC");
        assert!(sealed.get("zone").is_none());
    }
}
