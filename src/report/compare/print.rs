//! A comparison as text, Markdown, JSON and CSV.

use std::fmt::Write;

use crate::model::class::Class;
use crate::report::compare::{Compared, Comparison};
use crate::report::csv::Table;
use crate::report::format::Output;
use crate::report::markdown::escape::{cell, paragraph};
use crate::report::sentence::grouped;
use crate::report::text::lines::{Lines, WIDTH, width};

/// Formats of a comparison, as they are named on the command line.
pub const FORMATS: [&str; 4] = ["text", "md", "json", "csv"];

/// Cells of site and class that the text lists; the other forms have all of them.
const CELLS_MAX: usize = 40;
/// Columns that the name of a period may take; longer ones are called first and second.
const NAME_WIDTH: usize = 10;

impl Comparison {
    /// In one of [`FORMATS`]; none of any other.
    pub fn write(&self, format: &str) -> Option<Output> {
        let (suffix, content) = match format {
            "text" => (".txt", self.text()),
            "md" => (".md", self.markdown()),
            // Text keys and finite numbers only, so this cannot fail.
            "json" => (".json", serde_json::to_string_pretty(self).unwrap_or_default() + "\n"),
            "csv" => (".comparison.csv", self.csv()),
            _ => return None,
        };
        Some(Output { suffix: suffix.into(), content })
    }

    /// The tables: title, rows.
    fn tables(&self) -> [(&'static str, &[Compared]); 4] {
        [
            ("The headline", &self.totals),
            ("By site (attempts in the headline)", &self.sites),
            ("By class (attempts)", &self.classes),
            ("By site and class (attempts)", &self.cells),
        ]
    }

    /// What can be told of each number of the headline, a sentence each.
    pub fn told(&self) -> Vec<String> {
        self.totals.iter().map(|row| self.told_of(row)).collect()
    }

    fn told_of(&self, row: &Compared) -> String {
        let [first, second] = &self.periods;
        let what = match row.of {
            "overseas_attempts" => "Attempts from overseas",
            _ => "Attempts in the headline",
        };
        let [before, after] = row.per_hour.map(rate);
        let mut text =
            format!("{what}: {before} an observed hour in {}, {after} in {}", first.name, second.name);
        let interval = |[low, high]: [f64; 2]| format!("95 per cent interval {low:.2} to {high:.2}");
        match (row.ratio, row.interval, row.reason) {
            (Some(ratio), Some(range), _) => {
                let _ = write!(text, ", {ratio:.2} times as many ({})", interval(range));
            }
            (Some(ratio), None, Some(reason)) => {
                let _ = write!(text, ", {ratio:.2} times as many ({reason})");
            }
            (.., reason) => {
                let _ = write!(text, "; {}", reason.unwrap_or("no ratio can be told"));
            }
        }
        match (row.verdict(), row.p_value) {
            (Some("no change"), Some(p_value)) => {
                let _ = write!(text, ": no change can be told from chance (p = {p_value:.3})");
            }
            (Some(_), Some(p_value)) if p_value < 0.001 => text.push_str(": a change (p < 0.001)"),
            (Some(_), Some(p_value)) => {
                let _ = write!(text, ": a change (p = {p_value:.3})");
            }
            _ if !row.not_comparable.is_empty() => {
                let _ = write!(text, ": not comparable, because of {}", row.not_comparable.join(", "));
            }
            _ => {}
        }
        text.push('.');
        text
    }

    /// The qualifiers that stand above the tables.
    fn remarks(&self) -> Vec<String> {
        let mut remarks: Vec<String> = self
            .periods
            .iter()
            .map(|side| {
                let observed = side.observed();
                let lost =
                    if side.lower_bound { "; something was lost, its counts are lower bounds" } else { "" };
                format!("{} was observed for {observed} per cent of its time{lost}.", side.name)
            })
            .collect();
        remarks.extend(self.obstacles.iter().map(|obstacle| {
            let concerned = if obstacle.of_origin { " (what comes from overseas)" } else { "" };
            format!("Not comparable{concerned} because {}.", obstacle.text)
        }));
        if !self.obstacles.is_empty() {
            remarks.push(
                "A ratio marked * holds that difference as well as any change of the attacks.".to_owned(),
            );
        }
        remarks
    }

    fn text(&self) -> String {
        let [first, second] = &self.periods;
        let mut text = Lines::default();
        let site = self.site.as_ref().map_or_else(String::new, |site| format!(" at {site}"));
        text.paragraph(&format!("gatewatch: {} compared with {}{site}", second.name, first.name));
        text.line(&"=".repeat(WIDTH));
        text.line("");
        for told in self.told().iter().chain(&self.remarks()) {
            text.paragraph(told);
        }
        let heads = if [first, second].iter().all(|side| width(&side.name) <= NAME_WIDTH) {
            [first.name.as_str(), second.name.as_str()]
        } else {
            ["first", "second"]
        };
        let [before, after] = heads;
        let heads = [before, after, "ratio", "95 % interval"];
        for (title, rows) in self.tables().into_iter().take(3).filter(|(_, rows)| !rows.is_empty()) {
            text.title(title);
            text.grid(heads, &lines(rows, CELLS_MAX));
        }
        let mut left = CELLS_MAX;
        for rows in self.cells.chunk_by(|one, other| one.site == other.site).filter(|_| self.sites.len() > 1)
        {
            let Some(row) = rows.first().filter(|_| left > 0) else { break };
            text.title(&format!("At {}, by class (attempts)", row.site));
            text.grid(heads, &lines(rows, left));
            left = left.saturating_sub(rows.len());
        }
        let longest = [self.sites.len(), self.cells.len()].into_iter().max().unwrap_or(0);
        if longest > CELLS_MAX {
            text.line("");
            text.paragraph("Not all rows are told here: see the CSV.");
        }
        text.line("");
        text.paragraph(self.method);
        text.into_text()
    }

    fn markdown(&self) -> String {
        let [first, second] = &self.periods;
        let mut text = format!("# {} compared with {}\n", second.name, first.name);
        // Writing to a String cannot fail.
        if let Some(site) = &self.site {
            let _ = write!(text, "\nSite: {}\n", cell(site));
        }
        for told in self.told().iter().chain(&self.remarks()) {
            let _ = write!(text, "\n{}\n", paragraph(told));
        }
        for (title, rows) in self.tables() {
            let _ = write!(
                text,
                "\n## {title}\n\n| of | {0} | {1} | {0} an hour | {1} an hour | ratio | 95 % interval | p |\n\
                 | --- | ---: | ---: | ---: | ---: | ---: | ---: | ---: |\n",
                first.name, second.name
            );
            for row in rows {
                let [before, after] = row.counts.map(grouped);
                let [rate_before, rate_after] = row.per_hour.map(rate);
                let ratio = row.ratio.map_or_else(String::new, |ratio| format!("{ratio:.2}{}", row.mark()));
                let _ = writeln!(
                    text,
                    "| {} | {before} | {after} | {rate_before} | {rate_after} | {} | {} | {} |",
                    cell(&row.name()),
                    cell(&ratio),
                    row.interval.map_or_else(String::new, told_interval),
                    row.p_value.map_or_else(String::new, |p_value| format!("{p_value:.4}"))
                );
            }
        }
        let _ = write!(text, "\n{}\n", paragraph(self.method));
        text
    }

    fn csv(&self) -> String {
        let mut table = Table::new(&[
            "site",
            "class",
            "of",
            "period_1",
            "period_2",
            "count_1",
            "count_2",
            "per_hour_1",
            "per_hour_2",
            "ratio",
            "ratio_low",
            "ratio_high",
            "p_value",
            "not_comparable",
            "reason",
        ]);
        let [first, second] = &self.periods;
        let number = |number: Option<f64>| number.map_or_else(String::new, |number| number.to_string());
        for row in self.tables().into_iter().flat_map(|(_, rows)| rows) {
            let [before, after] = row.counts.map(|count| count.to_string());
            let [rate_before, rate_after] = row.per_hour.map(number);
            table.row(&[
                &row.site,
                &row.class,
                row.of,
                &first.name,
                &second.name,
                &before,
                &after,
                &rate_before,
                &rate_after,
                &number(row.ratio),
                &number(row.interval.map(|[low, _]| low)),
                &number(row.interval.map(|[_, high]| high)),
                &number(row.p_value),
                &row.not_comparable.join(" "),
                row.reason.unwrap_or_default(),
            ]);
        }
        table.into_text()
    }
}

impl Compared {
    fn name(&self) -> String {
        match (self.site.as_str(), self.class.as_str(), self.of) {
            ("", "", "overseas_attempts") => "from overseas".to_owned(),
            ("", "", _) => "attempts in the headline".to_owned(),
            (site, "", _) => site.to_owned(),
            ("", ..) => self.title(),
            (site, ..) => format!("{}, {site}", self.title()),
        }
    }

    /// Title of its class.
    fn title(&self) -> String {
        Class::from_id(&self.class).map_or_else(|| self.class.clone(), |class| class.row().title.to_owned())
    }

    fn mark(&self) -> &'static str {
        if self.not_comparable.is_empty() { "" } else { "*" }
    }
}

fn told_interval([low, high]: [f64; 2]) -> String {
    format!("{low:.2} to {high:.2}")
}

fn rate(rate: Option<f64>) -> String {
    match rate {
        None => "not observed".to_owned(),
        Some(0.0) => "0".to_owned(),
        // Three digits say enough, of large and of small rates.
        Some(rate) if rate < 0.01 => format!("{rate:.4}"),
        Some(rate) if rate < 0.1 => format!("{rate:.3}"),
        Some(rate) if rate < 10.0 => format!("{rate:.2}"),
        Some(rate) => format!("{rate:.1}"),
    }
}

/// The rows of a table of the text, the name of each being what the table goes by.
fn lines(rows: &[Compared], rows_max: usize) -> Vec<(String, [String; 4])> {
    let line = |row: &Compared| {
        let name = if row.class.is_empty() { row.name() } else { row.title() };
        let [before, after] = row.counts.map(grouped);
        let ratio = row.ratio.map_or_else(|| "-".to_owned(), |ratio| format!("{ratio:.2}{}", row.mark()));
        (name, [before, after, ratio, row.interval.map_or_else(|| "-".to_owned(), told_interval)])
    };
    rows.iter().take(rows_max).map(line).collect()
}
