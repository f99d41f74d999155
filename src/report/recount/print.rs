//! A recount as JSON and as text.

use std::fmt::Write;

use crate::report::countries;
use crate::report::format::Output;
use crate::report::provenance::Database;
use crate::report::recount::{Figures, Part, Recount};
use crate::report::sentence::{grouped, per_cent};
use crate::report::text::lines::{Lines, fit, safe};

/// Columns of a line.
const WIDTH: usize = 72;
/// Columns of a number.
const COLUMN_WIDTH: usize = 8;
/// Columns of a name at most.
const NAME_MAX: usize = 36;

impl Recount {
    /// As JSON.
    pub fn json(&self) -> Output {
        // Text keys and finite numbers only, so this cannot fail.
        let mut content = serde_json::to_value(self)
            .and_then(|value| serde_json::to_string_pretty(&value))
            .unwrap_or_default();
        content.push('\n');
        Output { suffix: ".json".into(), content }
    }

    /// For terminals: at most 72 columns.
    pub fn text(&self) -> Output {
        let mut text = Lines::default();
        text.paragraph(&format!("gatewatch recount of {}", self.period));
        text.line(&"=".repeat(WIDTH));
        for database in &self.databases_before {
            text.paragraph(&told("Before", database));
        }
        text.paragraph(&told("Now", &self.database_after));
        text.line("");
        text.paragraph(&self.before.told("Before"));
        text.paragraph(&self.after.told("Now"));
        for told in self.remarks() {
            text.paragraph(&told);
        }
        text.title("By country (attempts in the headline)");
        text.line(&row("", ["before", "now", "in", "out", "% before", "% now"].map(str::to_owned)));
        let hundredth = |share: Option<f64>| {
            share.map_or_else(|| "-".to_owned(), |share| format!("{:.1}", share * 100.0))
        };
        for country in &self.countries {
            let [before, after, moved_in, moved_out] =
                [country.before, country.after, country.moved_in, country.moved_out].map(grouped);
            let shares = [country.share_before, country.share_after].map(hundredth);
            let [share_before, share_after] = shares;
            let columns = [before, after, moved_in, moved_out, share_before, share_after];
            text.line(&row(&format!("{} {}", country.code, country.name), columns));
        }
        text.title("By row of the statement (all attempts)");
        for sector in &self.sectors {
            text.line(&row(sector.title, [grouped(sector.before), grouped(sector.after)]));
        }
        Output { suffix: ".txt".into(), content: text.into_text() }
    }

    fn remarks(&self) -> Vec<String> {
        let of_all = |part: Part| {
            format!("{} attempts ({} per cent)", grouped(part.attempts), per_cent(part.attempts, self.total))
        };
        let mut told = vec![format!(
            "Of {} attempts in the headline the database alone moved {} to another place.",
            grouped(self.total),
            of_all(self.moved)
        )];
        if self.by_prefix.attempts > 0 {
            told.push(format!(
                "{} were looked up by the prefix of their source, since its address is gone; {} are in prefixes that the database splits, and stand where most of the prefix is.",
                of_all(self.by_prefix),
                of_all(self.in_split_prefixes)
            ));
        }
        if self.not_recountable.attempts > 0 {
            told.push(format!(
                "{} are not recountable and stay where they were: neither address nor prefix is kept.",
                of_all(self.not_recountable)
            ));
        }
        if self.not_kept > 0 {
            told.push(format!(
                "{} more attempts were counted of which no row of sources is kept; they are in no row here.",
                grouped(self.not_kept)
            ));
        }
        told
    }
}

impl Figures {
    fn told(&self, when: &str) -> String {
        let mut text = match self.overseas_attempts {
            Some(overseas) => format!("{when}: {} attempts from overseas", grouped(overseas)),
            None => format!("{when}: no home is declared"),
        };
        if let Some(code) = &self.top_country {
            let country = countries::in_sentence(code);
            let _ = write!(text, "; {:.1} per cent came from {country}", self.top_share * 100.0);
        }
        text.push('.');
        text
    }
}

fn told(when: &str, database: &Database) -> String {
    let mut text =
        format!("{when}: database {} of {}, SHA-256 {}", database.kind, database.build_date, database.sha256);
    if let Some(attribution) = &database.attribution {
        let _ = write!(text, ". {attribution}");
    }
    text
}

/// A row of 72 columns at most; of seven numbers and more there would be no room for a name.
fn row<const COLUMNS: usize>(name: &str, columns: [String; COLUMNS]) -> String {
    let mut line = fit(&safe(name), WIDTH.saturating_sub(COLUMNS * COLUMN_WIDTH).min(NAME_MAX));
    for column in columns {
        let _ = write!(line, "{column:>COLUMN_WIDTH$}");
    }
    line
}
