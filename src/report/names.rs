//! Names of the files in a report folder.

use crate::model::period::Period;

/// `report-2012-06`, or `report-2012-06.c2` for the first correction.
pub fn stem(period: Period, version: u32) -> String {
    if version <= 1 { format!("report-{period}") } else { format!("report-{period}.c{version}") }
}

/// The period and version of a closed report's JSON file, by its name.
pub fn parse_report_name(name: &str) -> Option<(Period, u32)> {
    parse_name("report", name)
}

/// The period and version of a JSON file of that kind.
pub fn parse_name(kind: &str, name: &str) -> Option<(Period, u32)> {
    let middle = name.strip_prefix(kind)?.strip_prefix('-')?.strip_suffix(".json")?;
    match middle.split_once('.') {
        Some((period, version)) => Some((period.parse().ok()?, version.strip_prefix('c')?.parse().ok()?)),
        None => Some((middle.parse().ok()?, 1)),
    }
}

/// `events-2012-06-30.jsonl`, then `events-2012-06-30.2.jsonl`.
pub fn event_name(day: Period, part: u32) -> String {
    if part <= 1 { format!("events-{day}.jsonl") } else { format!("events-{day}.{part}.jsonl") }
}

/// Day and part of an events file, by its name.
pub fn parse_event_name(name: &str) -> Option<(Period, u32)> {
    let middle = name.strip_prefix("events-")?.strip_suffix(".jsonl")?;
    match middle.split_once('.') {
        Some((day, part)) => Some((day.parse().ok()?, part.parse().ok()?)),
        None => Some((middle.parse().ok()?, 1)),
    }
}
