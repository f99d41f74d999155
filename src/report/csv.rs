//! CSV (RFC 4180), a file a table.

use serde_json::Value;

use crate::report::format::Output;
use crate::report::shape::{Counts, Report, Row};

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
        let clean: String =
            field.chars().map(|letter| if letter.is_control() { ' ' } else { letter }).collect();
        if clean.contains([',', '"']) || clean.starts_with(' ') || clean.ends_with(' ') {
            self.text.push('"');
            self.text.push_str(&clean.replace('"', "\"\""));
            self.text.push('"');
        } else {
            self.text.push_str(&clean);
        }
    }
}

/// Writes every table.
pub fn write(report: &Report, _: &Value) -> Vec<Output> {
    let counted = |rows: &[Row], name: &str| {
        let mut table = Table::new(&[
            "id",
            "title",
            "attempts",
            "headline_attempts",
            "overseas_attempts",
            "sessions",
            "incidents",
            "campaigns",
            "sources",
        ]);
        for row in rows {
            let mut fields = vec![row.id.clone(), row.title.clone()];
            fields.extend(numbers(&row.counts));
            fields.extend([optional(row.campaigns), optional(row.sources)]);
            table.row(&fields);
        }
        Output { suffix: format!(".{name}.csv"), content: table.into_text() }
    };
    let mut outputs = vec![
        counted(&report.sites, "sites"),
        counted(&report.classes, "classes"),
        counted(&report.grades, "grades"),
        counted(&report.sectors, "sectors"),
        counted(&report.labels, "labels"),
    ];
    outputs.extend([origins(report), series(report), totals(report), losses(report), doubtful(report)]);
    outputs.extend([campaigns(report), regimes(report), trend(report), units(report), readings(report)]);
    outputs
}

fn numbers(counts: &Counts) -> [String; 5] {
    [counts.attempts, counts.headline_attempts, counts.overseas_attempts, counts.sessions, counts.incidents]
        .map(|number| number.to_string())
}

fn readings(report: &Report) -> Output {
    let mut table = Table::new(&["site", "clear", "hidden", "unknown", "inspectable_share"]);
    for row in &report.readings {
        let counts = [row.clear, row.hidden, row.unknown].map(|count| count.to_string());
        table.row(
            &[vec![row.site.clone()], counts.to_vec(), vec![row.inspectable_share.to_string()]].concat(),
        );
    }
    Output { suffix: ".readings.csv".into(), content: table.into_text() }
}

fn units(report: &Report) -> Output {
    let mut table = Table::new(&[
        "unit",
        "table",
        "id",
        "title",
        "attempts",
        "headline_attempts",
        "overseas_attempts",
        "sessions",
        "incidents",
    ]);
    for unit in &report.units {
        let total = [unit.id, "total", "", unit.title].map(str::to_owned);
        table.row(&[total.to_vec(), numbers(&unit.counts).to_vec()].concat());
        for (name, rows) in [
            ("classes", &unit.classes),
            ("sites", &unit.sites),
            ("origins", &unit.origins),
            ("grades", &unit.grades),
        ] {
            for row in rows {
                let named = vec![unit.id.to_owned(), name.to_owned(), row.id.clone(), row.title.clone()];
                table.row(&[named, numbers(&row.counts).to_vec()].concat());
            }
        }
    }
    Output { suffix: ".units.csv".into(), content: table.into_text() }
}

fn doubtful(report: &Report) -> Output {
    let mut table = Table::new(&["site", "path", "place", "rule", "attempts", "clean_sources"]);
    for row in &report.likely_false_alarms {
        let counts = [row.attempts, row.clean_sources].map(|count| count.to_string());
        let [attempts, clean] = &counts;
        table.row(&[&row.site, &row.path, &row.place, &row.rule, attempts, clean]);
    }
    Output { suffix: ".likely_false_alarms.csv".into(), content: table.into_text() }
}

fn optional<T: ToString>(value: Option<T>) -> String {
    value.map(|value| value.to_string()).unwrap_or_default()
}

fn origins(report: &Report) -> Output {
    let mut table = Table::new(&[
        "kind",
        "code",
        "name",
        "attempts",
        "headline_attempts",
        "overseas_attempts",
        "sessions",
        "incidents",
        "share",
        "base_rate",
        "campaigns",
        "sources",
        "disputed",
    ]);
    for row in &report.origins {
        let mut fields = vec![row.kind.to_owned(), row.code.clone(), row.name.clone()];
        fields.extend(numbers(&row.counts));
        fields.extend([optional(row.share), optional(row.base_rate)]);
        fields.extend([row.campaigns, row.sources, row.disputed].map(optional));
        table.row(&fields);
    }
    Output { suffix: ".origins.csv".into(), content: table.into_text() }
}

fn series(report: &Report) -> Output {
    let mut table = Table::new(&[
        "period",
        "seconds_observed",
        "attempts",
        "headline_attempts",
        "overseas_attempts",
        "sessions",
        "incidents",
        "campaigns",
        "sources",
        "breaks",
    ]);
    for step in &report.series {
        let mut fields = vec![step.period.clone(), step.seconds_observed.to_string()];
        fields.extend(numbers(&step.counts));
        fields.extend([optional(step.campaigns), optional(step.sources), step.breaks.join(" ")]);
        table.row(&fields);
    }
    Output { suffix: ".series.csv".into(), content: table.into_text() }
}

fn totals(report: &Report) -> Output {
    let totals = &report.totals;
    let mut table = Table::new(&["unit", "count"]);
    table.row(&["packets".to_owned(), totals.packets.to_string()]);
    table.row(&["attempts".to_owned(), totals.attempts.to_string()]);
    let [low, high] = totals.interval.map_or([None, None], |interval| interval.map(Some));
    table.row(&["attempts_low".to_owned(), optional(low)]);
    table.row(&["attempts_high".to_owned(), optional(high)]);
    table.row(&["sessions".to_owned(), totals.sessions.to_string()]);
    table.row(&["incidents".to_owned(), totals.incidents.to_string()]);
    table.row(&["campaigns".to_owned(), optional(totals.campaigns)]);
    table.row(&["sources".to_owned(), optional(totals.sources)]);
    Output { suffix: ".totals.csv".into(), content: table.into_text() }
}

fn losses(report: &Report) -> Output {
    let mut table = Table::new(&["counter", "count"]);
    for (name, count) in &report.losses {
        table.row(&[name.clone(), count.to_string()]);
    }
    Output { suffix: ".losses.csv".into(), content: table.into_text() }
}

fn campaigns(report: &Report) -> Output {
    let mut table = Table::new(&[
        "id",
        "class",
        "rule",
        "client",
        "payload",
        "attempts",
        "headline_attempts",
        "share",
        "incidents",
        "sources",
        "countries",
        "sites",
        "first_seen",
        "last_seen",
    ]);
    for row in &report.campaigns {
        let texts = [&row.id, &row.class, &row.rule, &row.client, &row.payload].map(String::clone);
        let counts = [row.incidents, row.sources, row.countries, row.sites].map(|count| count.to_string());
        let mut fields = texts.to_vec();
        fields.extend([row.attempts.to_string(), row.headline_attempts.to_string(), row.share.to_string()]);
        fields.extend(counts);
        fields.extend([row.first_seen.clone(), row.last_seen.clone()]);
        table.row(&fields);
    }
    Output { suffix: ".campaigns.csv".into(), content: table.into_text() }
}

fn regimes(report: &Report) -> Output {
    let mut table = Table::new(&[
        "from",
        "last",
        "attempts",
        "changed",
        "databases",
        "detector_set",
        "config_hash",
        "version",
    ]);
    for row in &report.regimes {
        let databases: Vec<&str> = row.databases.iter().map(|database| database.sha256.as_str()).collect();
        table.row(&[
            row.from.clone(),
            row.last.clone(),
            row.attempts.to_string(),
            row.changed.join(" "),
            databases.join(" "),
            row.detector_set.clone(),
            row.config_hash.clone(),
            row.version.clone(),
        ]);
    }
    Output { suffix: ".regimes.csv".into(), content: table.into_text() }
}

fn trend(report: &Report) -> Output {
    let mut table = Table::new(&[
        "period",
        "seconds",
        "seconds_observed",
        "attempts",
        "headline_attempts",
        "overseas_attempts",
        "normalised",
        "breaks",
    ]);
    for month in report.trend.iter().flat_map(|trend| &trend.months) {
        table.row(&[
            month.period.clone(),
            month.seconds.to_string(),
            month.seconds_observed.to_string(),
            month.attempts.to_string(),
            month.headline_attempts.to_string(),
            optional(month.overseas_attempts),
            optional(month.normalised),
            month.breaks.join(" "),
        ]);
    }
    Output { suffix: ".trend.csv".into(), content: table.into_text() }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn fields_are_quoted_where_they_must_and_hold_no_control_characters() {
        let mut table = Table::new(&["a", "b"]);
        table.row(&["x,\"y\"", "line\nbreak\u{1b}[2J"]);
        assert_eq!(table.into_text(), "a,b\r\n\"x,\"\"y\"\"\",line break [2J\r\n");
    }
}
