//! CSV (RFC 4180), a file a table.

use serde_json::Value;

use crate::report::campaigns::CampaignRow;
use crate::report::doubtful::Doubtful;
use crate::report::format::Output;
use crate::report::incidents::IncidentRow;
use crate::report::reading::ReadingRow;
use crate::report::regimes::RegimeRow;
use crate::report::rhythm::{Cell, Rhythm, WEEKDAYS};
use crate::report::shape::{Counts, OriginRow, Report, Row, Step};
use crate::report::trend::Month;

/// A table being written.
#[derive(Debug)]
pub struct Table {
    text: String,
    columns: usize,
}

impl Table {
    /// Begins with a header.
    pub fn new(header: &[&str]) -> Self {
        let mut table = Self { text: String::new(), columns: header.len() };
        table.row(header);
        table
    }

    /// Adds a row.
    pub fn row<T: AsRef<str>>(&mut self, fields: &[T]) {
        debug_assert_eq!(fields.len(), self.columns);
        for (at, field) in fields.iter().enumerate() {
            if at > 0 {
                self.text.push(',');
            }
            self.field(field.as_ref());
        }
        self.text.push_str("\r\n");
    }

    /// What was written.
    pub fn into_text(self) -> String {
        self.text
    }

    fn field(&mut self, field: &str) {
        let mut clean: String =
            field.chars().map(|letter| if letter.is_control() { ' ' } else { letter }).collect();
        if is_formula(&clean) {
            clean.insert(0, '\'');
        }
        if clean.contains([',', '"']) || clean.starts_with(' ') || clean.ends_with(' ') {
            self.text.push('"');
            self.text.push_str(&clean.replace('"', "\"\""));
            self.text.push('"');
        } else {
            self.text.push_str(&clean);
        }
    }
}

/// Whether a spreadsheet would take a text for a formula and carry it out; an apostrophe before it says that it is text.
fn is_formula(field: &str) -> bool {
    field.trim_start().starts_with(['=', '+', '-', '@']) && field.trim().parse::<f64>().is_err()
}

/// A column: its name, and what a row has in it.
type Column<T> = (&'static str, fn(&T) -> String);

/// Rows that hold the counts of every unit.
trait Counted {
    fn counts(&self) -> &Counts;
}

macro_rules! counted {
    ($($row:ty),*) => { $(impl Counted for $row { fn counts(&self) -> &Counts { &self.counts } })* };
}
counted!(OriginRow, Row, Step);

/// Writes every table.
pub fn write(report: &Report, _: &Value) -> Vec<Output> {
    vec![
        table("sites", &named(), &report.sites),
        table("classes", &named(), &report.classes),
        table("grades", &named(), &report.grades),
        table("sectors", &named(), &report.sectors),
        table("labels", &named(), &report.labels),
        table("by_site", &by_site(), &site_rows(report)),
        table("origins", &origins(), &report.origins),
        table("series", &series(), &report.series),
        table("rhythm", &rhythm(), &rhythm_cells(report)),
        table(
            "totals",
            &[("unit", |row: &Pair| row.0.clone()), ("count", |row| row.1.clone())],
            &totals(report),
        ),
        table(
            "losses",
            &[("counter", |row: &Pair| row.0.clone()), ("count", |row| row.1.clone())],
            &losses(report),
        ),
        table("likely_false_alarms", &doubtful(), &report.likely_false_alarms),
        table("incidents", &incidents(), &report.incidents),
        table("campaigns", &campaigns(), &report.campaigns),
        table("regimes", &regimes(), &report.regimes),
        table("trend", &trend(), report.trend.iter().flat_map(|trend| &trend.months)),
        table("units", &units(), &unit_rows(report)),
        table("readings", &readings(), &report.readings),
    ]
}

/// `.<name>.csv`: the columns of every row.
fn table<'r, T: 'r>(name: &str, columns: &[Column<T>], rows: impl IntoIterator<Item = &'r T>) -> Output {
    let names: Vec<&str> = columns.iter().map(|(name, _)| *name).collect();
    let mut table = Table::new(&names);
    for row in rows {
        let fields: Vec<String> = columns.iter().map(|(_, field)| field(row)).collect();
        table.row(&fields);
    }
    Output { suffix: format!(".{name}.csv"), content: table.into_text() }
}

fn optional<T: ToString>(value: Option<T>) -> String {
    value.map(|value| value.to_string()).unwrap_or_default()
}

fn counts<T: Counted>() -> Vec<Column<T>> {
    vec![
        ("attempts", |row| row.counts().attempts.to_string()),
        ("headline_attempts", |row| row.counts().headline_attempts.to_string()),
        ("overseas_attempts", |row| row.counts().overseas_attempts.to_string()),
        ("sessions", |row| row.counts().sessions.to_string()),
        ("incidents", |row| row.counts().incidents.to_string()),
    ]
}

/// Columns before the counts, the counts, columns behind them.
fn around_counts<T: Counted>(before: Vec<Column<T>>, behind: Vec<Column<T>>) -> Vec<Column<T>> {
    before.into_iter().chain(counts()).chain(behind).collect()
}

fn named() -> Vec<Column<Row>> {
    around_counts(
        vec![("id", |row| row.id.clone()), ("title", |row| row.title.clone())],
        vec![("campaigns", |row| optional(row.campaigns)), ("sources", |row| optional(row.sources))],
    )
}

fn origins() -> Vec<Column<OriginRow>> {
    around_counts(
        vec![
            ("kind", |row| row.kind.to_owned()),
            ("code", |row| row.code.clone()),
            ("name", |row| row.name.clone()),
        ],
        vec![
            ("share", |row| optional(row.share)),
            ("share_low", |row| optional(row.interval.map(|[low, _]| low))),
            ("share_high", |row| optional(row.interval.map(|[_, high]| high))),
            ("base_rate", |row| optional(row.base_rate)),
            ("campaigns", |row| optional(row.campaigns)),
            ("sources", |row| optional(row.sources)),
            ("disputed", |row| optional(row.disputed)),
        ],
    )
}

fn series() -> Vec<Column<Step>> {
    around_counts(
        vec![
            ("period", |row| row.period.clone()),
            ("seconds_observed", |row| row.seconds_observed.to_string()),
        ],
        vec![
            ("campaigns", |row| optional(row.campaigns)),
            ("sources", |row| optional(row.sources)),
            ("breaks", |row| row.breaks.join(" ")),
        ],
    )
}

fn rhythm_cells(report: &Report) -> Vec<Cell> {
    report.rhythm.iter().flat_map(Rhythm::cells).collect()
}

fn rhythm() -> Vec<Column<Cell>> {
    vec![
        ("weekday", |row| WEEKDAYS.get(row.weekday).copied().unwrap_or_default().to_owned()),
        ("hour", |row| row.hour.to_string()),
        ("headline_attempts", |row| row.attempts.to_string()),
        ("seconds_observed", |row| row.seconds.to_string()),
    ]
}

/// A name and its number.
type Pair = (String, String);

fn totals(report: &Report) -> Vec<Pair> {
    let totals = &report.totals;
    let [low, high] = totals.interval.map_or([None, None], |interval| interval.map(Some));
    [
        ("packets", totals.packets.to_string()),
        ("attempts", totals.attempts.to_string()),
        ("attempts_low", optional(low)),
        ("attempts_high", optional(high)),
        ("sessions", totals.sessions.to_string()),
        ("incidents", totals.incidents.to_string()),
        ("campaigns", optional(totals.campaigns)),
        ("sources", optional(totals.sources)),
    ]
    .map(|(unit, count)| (unit.to_owned(), count))
    .to_vec()
}

fn losses(report: &Report) -> Vec<Pair> {
    report.losses.iter().map(|(name, count)| (name.clone(), count.to_string())).collect()
}

fn doubtful() -> Vec<Column<Doubtful>> {
    vec![
        ("site", |row| row.site.clone()),
        ("path", |row| row.path.clone()),
        ("place", |row| row.place.clone()),
        ("rule", |row| row.rule.clone()),
        ("attempts", |row| row.attempts.to_string()),
        ("clean_sources", |row| row.clean_sources.to_string()),
    ]
}

fn incidents() -> Vec<Column<IncidentRow>> {
    vec![
        ("source", |row| row.source.clone()),
        ("place", |row| row.place.clone()),
        ("class", |row| row.class.clone()),
        ("site", |row| row.site.clone()),
        ("headline", |row| row.headline.to_string()),
        ("first_seen", |row| row.first_seen.clone()),
        ("last_seen", |row| row.last_seen.clone()),
        ("seconds", |row| row.seconds.to_string()),
        ("attempts", |row| row.attempts.to_string()),
        ("peak_per_minute", |row| row.peak_per_minute.to_string()),
    ]
}

/// A class or an origin of a site.
struct SiteRow<'r> {
    site: &'r str,
    table: &'static str,
    id: &'r str,
    title: &'r str,
    counts: &'r Counts,
}

impl Counted for SiteRow<'_> {
    fn counts(&self) -> &Counts {
        self.counts
    }
}

fn site_rows(report: &Report) -> Vec<SiteRow<'_>> {
    let mut rows = Vec::new();
    for part in &report.by_site {
        for (table, of_table) in [("classes", &part.classes), ("origins", &part.origins)] {
            rows.extend(of_table.iter().map(|row| SiteRow {
                site: &part.site,
                table,
                id: &row.id,
                title: &row.title,
                counts: &row.counts,
            }));
        }
    }
    rows
}

fn by_site<'r>() -> Vec<Column<SiteRow<'r>>> {
    around_counts(
        vec![
            ("site", |row| row.site.to_owned()),
            ("table", |row| row.table.to_owned()),
            ("id", |row| row.id.to_owned()),
            ("title", |row| row.title.to_owned()),
        ],
        Vec::new(),
    )
}

fn campaigns() -> Vec<Column<CampaignRow>> {
    vec![
        ("id", |row| row.id.clone()),
        ("class", |row| row.class.clone()),
        ("rule", |row| row.rule.clone()),
        ("client", |row| row.client.clone()),
        ("payload", |row| row.payload.clone()),
        ("attempts", |row| row.attempts.to_string()),
        ("headline_attempts", |row| row.headline_attempts.to_string()),
        ("share", |row| row.share.to_string()),
        ("incidents", |row| row.incidents.to_string()),
        ("sources", |row| row.sources.to_string()),
        ("countries", |row| row.countries.to_string()),
        ("sites", |row| row.sites.to_string()),
        ("first_seen", |row| row.first_seen.clone()),
        ("last_seen", |row| row.last_seen.clone()),
    ]
}

fn regimes() -> Vec<Column<RegimeRow>> {
    vec![
        ("from", |row| row.from.clone()),
        ("last", |row| row.last.clone()),
        ("attempts", |row| row.attempts.to_string()),
        ("changed", |row| row.changed.join(" ")),
        ("databases", |row| {
            let hashes: Vec<&str> = row.databases.iter().map(|database| database.sha256.as_str()).collect();
            hashes.join(" ")
        }),
        ("detector_set", |row| row.detector_set.clone()),
        ("config_hash", |row| row.config_hash.clone()),
        ("version", |row| row.version.clone()),
    ]
}

fn trend() -> Vec<Column<Month>> {
    vec![
        ("period", |row| row.period.clone()),
        ("seconds", |row| row.seconds.to_string()),
        ("seconds_observed", |row| row.seconds_observed.to_string()),
        ("attempts", |row| row.attempts.to_string()),
        ("headline_attempts", |row| row.headline_attempts.to_string()),
        ("overseas_attempts", |row| optional(row.overseas_attempts)),
        ("normalised", |row| optional(row.normalised)),
        ("breaks", |row| row.breaks.join(" ")),
    ]
}

/// A row of a unit's table, or its total.
struct UnitRow<'r> {
    unit: &'static str,
    table: &'static str,
    id: &'r str,
    title: &'r str,
    counts: &'r Counts,
}

impl Counted for UnitRow<'_> {
    fn counts(&self) -> &Counts {
        self.counts
    }
}

fn unit_rows(report: &Report) -> Vec<UnitRow<'_>> {
    let mut rows = Vec::new();
    for unit in &report.units {
        rows.push(UnitRow { unit: unit.id, table: "total", id: "", title: unit.title, counts: &unit.counts });
        for (table, of_table) in [
            ("classes", &unit.classes),
            ("sites", &unit.sites),
            ("origins", &unit.origins),
            ("grades", &unit.grades),
        ] {
            rows.extend(of_table.iter().map(|row| UnitRow {
                unit: unit.id,
                table,
                id: &row.id,
                title: &row.title,
                counts: &row.counts,
            }));
        }
    }
    rows
}

fn units<'r>() -> Vec<Column<UnitRow<'r>>> {
    around_counts(
        vec![
            ("unit", |row| row.unit.to_owned()),
            ("table", |row| row.table.to_owned()),
            ("id", |row| row.id.to_owned()),
            ("title", |row| row.title.to_owned()),
        ],
        Vec::new(),
    )
}

fn readings() -> Vec<Column<ReadingRow>> {
    vec![
        ("site", |row| row.site.clone()),
        ("clear", |row| row.clear.to_string()),
        ("hidden", |row| row.hidden.to_string()),
        ("unknown", |row| row.unknown.to_string()),
        ("inspectable_share", |row| row.inspectable_share.to_string()),
    ]
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn fields_are_quoted_where_they_must_and_hold_no_control_characters() {
        let mut table = Table::new(&["a", "b"]);
        table.row(&["x,\"y\"", "line\nbreak\u{1b}[2J"]);
        table.row(&["=cmd|'/c calc'!A1", "-0.5"]);
        assert_eq!(table.into_text(), "a,b\r\n\"x,\"\"y\"\"\",line break [2J\r\n'=cmd|'/c calc'!A1,-0.5\r\n");
    }
}
