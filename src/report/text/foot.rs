//! What was lost, likely false alarms, and how the numbers were made.

use std::fmt::Write;

use serde_json::Value;

use crate::report::sentence::grouped;
use crate::report::shape::Report;
use crate::report::text::lines::{Lines, WIDTH, width};

/// Likely false alarms, each with the exception to paste.
pub(super) fn doubtful(report: &Report, text: &mut Lines) {
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
        if row.exception.lines().any(|line| width(line) > WIDTH) {
            // Half an exception would be pasted and refused, or worse, taken.
            text.paragraph("(wider than these columns; likely_false_alarms of the JSON has it)");
            continue;
        }
        row.exception.lines().for_each(|line| text.line(line));
    }
}

pub(super) fn foot(report: &Report, sealed: &Value, text: &mut Lines) {
    text.title("Losses");
    let lost: Vec<_> = report.losses.iter().filter(|(_, count)| **count > 0).collect();
    if lost.is_empty() {
        text.line("none was seen");
    }
    for (name, count) in lost {
        text.count(name, &grouped(*count));
    }
    if report.not_judged.values().any(|count| *count > 0) {
        text.title("Not judged: watched, and no attack");
        for (name, count) in &report.not_judged {
            text.count(&name.replace('_', " "), &grouped(*count));
        }
    }
    text.title("How it was made");
    let zone = report.zone.other_than_utc().unwrap_or("UTC");
    for regime in &report.regimes {
        let changed = if regime.changed.is_empty() {
            String::new()
        } else {
            format!(", changed: {}", regime.changed.join(", "))
        };
        text.paragraph(&format!(
            "From {} to {} {zone}: {} attempts{changed}.",
            report.zone.hour(&regime.from),
            report.zone.hour(&regime.last),
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
