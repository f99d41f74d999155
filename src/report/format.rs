//! The report formats: an enum and its table. A new format is a file and a row.

use serde_json::Value;

use crate::report::shape::Report;
use crate::report::{csv, html, json, markdown, text};

/// One file of a report: what stands between `report-<period>` and its end, and the content.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct Output {
    /// `.json`, `.classes.csv`, …
    pub suffix: String,
    /// The bytes.
    pub content: String,
}

/// A format.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum Format {
    /// RFC 4180, a file a table.
    Csv,
    /// One self-contained page.
    Html,
    /// One object.
    Json,
    /// `CommonMark` with tables.
    Markdown,
    /// For terminals and mail.
    Text,
}

/// A row of the format table.
pub struct FormatRow {
    /// The format.
    pub format: Format,
    /// Name in settings and on the command line.
    pub name: &'static str,
    /// Writes a report; the value is its sealed JSON (with hash).
    pub write: fn(&Report, &Value) -> Vec<Output>,
}

/// The format table.
pub const FORMATS: &[FormatRow] = &[
    FormatRow { format: Format::Json, name: "json", write: json::write },
    FormatRow { format: Format::Csv, name: "csv", write: csv::write },
    FormatRow { format: Format::Text, name: "text", write: text::write },
    FormatRow { format: Format::Html, name: "html", write: html::write },
    FormatRow { format: Format::Markdown, name: "md", write: markdown::write },
];

/// The row of a name.
pub fn by_name(name: &str) -> Option<&'static FormatRow> {
    FORMATS.iter().find(|row| row.name == name)
}

/// A text for a terminal that shows colours.
pub fn coloured(text: &str) -> String {
    text::colour::coloured(text)
}

/// The names, for a message.
pub fn names() -> String {
    FORMATS.iter().map(|row| row.name).collect::<Vec<_>>().join(", ")
}

/// A report as JSON with its own hash, for the formats and the chain.
pub fn seal(report: &Report) -> Value {
    json::seal(report)
}

/// The hash that [`seal`] put in.
pub fn hash_of(sealed: &Value) -> String {
    sealed.get("sha256").and_then(Value::as_str).unwrap_or_default().to_owned()
}
