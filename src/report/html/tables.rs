//! Tables: a caption, headers with their scope, cells by what they hold. Wide ones scroll by themselves, never the page.

use maud::{Markup, html};

use crate::report::html::words::shown;
use crate::report::sentence::grouped;

/// Rows shown at once; more stand in a part that is folded.
const ROWS_SHOWN: usize = 20;

/// What a cell holds.
pub enum Cell {
    /// Something from the wire or a database, in the type of code.
    Code(String),
    /// The same, one below the other.
    Codes(Vec<String>),
    /// A count, where it is told.
    Count(Option<u64>),
    /// From and to, as shares.
    Interval(Option<[f64; 2]>),
    /// A number that is written already.
    Number(String),
    /// A share of 1, with its bar.
    Share(Option<f64>),
    /// A share of 1 without a bar.
    Rate(Option<f64>),
    /// Two moments, one below the other; one where both are the same.
    Span([String; 2]),
    /// Words.
    Text(String),
    /// Words, and below them something in the type of code.
    Titled(String, String),
}

/// A count that is told.
pub const fn count(count: u64) -> Cell {
    Cell::Count(Some(count))
}

/// Words.
pub fn text(text: &str) -> Cell {
    Cell::Text(text.to_owned())
}

/// A title, and what it is in the type of code below it.
pub fn titled_code(title: &str, code: &str) -> Cell {
    Cell::Titled(title.to_owned(), code.to_owned())
}

/// A title with its id behind it, where that says more: `Germany (DE)`, `SQL injection (web.sqli)`, but no `Hosting (hosting)`.
pub fn titled(title: &str, id: &str) -> Cell {
    let is_word = id.bytes().all(|byte| byte.is_ascii_lowercase() || byte == b'_');
    Cell::Text(match (title.is_empty() || title == id, is_word) {
        (true, _) => id.to_owned(),
        (false, true) => title.to_owned(),
        (false, false) => format!("{title} ({id})"),
    })
}

/// A table before it is written. The first column names the row.
pub struct Table<'t> {
    /// What it is, unique in the page: its region is named by it.
    pub caption: &'t str,
    /// Headers. Those that begin with `#` stand over numbers.
    pub columns: &'t [&'t str],
    /// Rows, as many cells each as there are columns.
    pub rows: Vec<Vec<Cell>>,
}

impl Table<'_> {
    /// The table; nothing where it has no rows.
    pub fn write(self) -> Markup {
        let Self { caption, columns, mut rows } = self;
        let rest = if rows.len() > ROWS_SHOWN + 2 { rows.split_off(ROWS_SHOWN) } else { Vec::new() };
        html! {
            @if !rows.is_empty() {
                (part(caption, columns, &rows))
            }
            @if !rest.is_empty() {
                details {
                    summary { (grouped(rest.len() as u64)) " more rows of “" (caption) "”" }
                    (part(&format!("{caption}, continued"), columns, &rest))
                }
            }
        }
    }
}

fn part(caption: &str, columns: &[&str], rows: &[Vec<Cell>]) -> Markup {
    html! {
        // Reached by keyboard, so that it can be scrolled without a pointer.
        div.wide role="region" aria-label=(format!("Table: {caption}")) tabindex="0" {
            table {
                caption { span { (caption) } }
                thead { tr {
                    @for column in columns {
                        @match column.strip_prefix('#') {
                            Some(name) => th.n scope="col" { (name) },
                            None => th scope="col" { (column) },
                        }
                    }
                } }
                tbody {
                    @for row in rows {
                        tr { @for (at, cell) in row.iter().enumerate() { (written(cell, at == 0)) } }
                    }
                }
            }
        }
    }
}

fn written(cell: &Cell, names_row: bool) -> Markup {
    match cell {
        // A row without a name still has a header, or nobody could ask for it.
        Cell::Text(text) | Cell::Code(text) if names_row && text.is_empty() => {
            html! { th scope="row" { "not named" } }
        }
        Cell::Text(text) if names_row => html! { th scope="row" { (shown(text)) } },
        Cell::Titled(title, code) if names_row && title.is_empty() && code.is_empty() => {
            html! { th scope="row" { "not named" } }
        }
        Cell::Titled(title, code) if names_row => {
            html! { th scope="row" { (shown(title)) " " code.line { (shown(code)) } } }
        }
        Cell::Titled(title, code) => html! { td.text { (shown(title)) " " code.line { (shown(code)) } } },
        Cell::Code(text) if names_row => html! { th scope="row" { code { (shown(text)) } } },
        Cell::Codes(texts) => {
            html! { td.text.wide-text { @for text in texts { code.line { (shown(text)) } } } }
        }
        Cell::Span([first, last]) if first == last => html! { td.n { (first) } },
        Cell::Span([first, last]) => html! { td.n { (first) br; (last) } },
        Cell::Text(text) => html! { td.text { (shown(text)) } },
        Cell::Code(text) => html! { td.text { code { (shown(text)) } } },
        Cell::Count(count) => html! { td.n { (count.map_or_else(untold, grouped)) } },
        Cell::Number(text) => html! { td.n { (text) } },
        Cell::Rate(rate) => html! { td.n { (rate.map_or_else(untold, per_cent)) } },
        Cell::Share(share) => html! {
            td.n { (share.map_or_else(untold, per_cent)) @if let Some(share) = share { (bar(*share)) } }
        },
        Cell::Interval(interval) => html! { td.n { (interval.map_or_else(untold, between)) } },
    }
}

/// A number that is not told.
fn untold() -> String {
    "–".to_owned()
}

/// A share of 1 as per cent.
pub fn per_cent(share: f64) -> String {
    let percent = share * 100.0;
    match percent {
        small if small > 0.0 && small < 0.05 => "< 0.1 %".to_owned(),
        large if (99.95..100.0).contains(&large) => "> 99.9 %".to_owned(),
        _ => format!("{percent:.1} %"),
    }
}

fn between([low, high]: [f64; 2]) -> String {
    format!("{:.1}–{:.1} %", low * 100.0, high * 100.0)
}

/// A bar of a share, beside a number that says the same.
pub fn bar(share: f64) -> Markup {
    let width = format!("{:.1}%", share.clamp(0.0, 1.0) * 100.0);
    html! { svg.bar aria-hidden="true" focusable="false" { rect width=(width) height="100%" {} } }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn table(rows: usize) -> String {
        let rows = (0..rows).map(|at| vec![text(&format!("row {at}")), count(at as u64)]).collect();
        Table { caption: "Things", columns: &["Thing", "#Count"], rows }.write().into_string()
    }

    #[test]
    fn a_table_has_a_caption_and_scopes_and_folds_what_is_long() {
        assert_eq!(table(0), "");
        let short = table(22);
        assert!(
            short.contains("<caption><span>Things</span></caption>")
                && short.contains("scope=\"row\">row 21")
        );
        assert!(short.contains("<th class=\"n\" scope=\"col\">Count</th>") && !short.contains("<details>"));
        let long = table(1_500);
        assert!(long.contains("<summary>1,480 more rows") && long.contains("row 1499"));
    }

    #[test]
    fn shares_are_told_to_a_tenth_and_never_as_nothing_or_all_when_they_are_not() {
        assert_eq!(
            [0.0, 0.0004, 0.0005, 0.629, 0.9999, 1.0].map(per_cent),
            ["0.0 %", "< 0.1 %", "0.1 %", "62.9 %", "> 99.9 %", "100.0 %"]
        );
    }
}
