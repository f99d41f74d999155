//! Numbers for monitoring in the text format of Prometheus, version 0.0.4: one table, and its exposition.
//!
//! Everything is read from the state as the status socket tells it, so that both always agree. `docs/metrics.md` holds the same
//! table; a test compares them.

pub mod serve;
mod table;

use std::fmt::Write;

use crate::app::metrics::table::{Kind, METRICS};
use crate::app::state::Status;
use crate::model::progress::COUNTERS;

/// The media type of the format.
pub const CONTENT_TYPE: &str = "text/plain; version=0.0.4; charset=utf-8";

/// The state as text: every metric with its help, type and samples.
pub fn exposition(status: &Status) -> String {
    let mut text = String::with_capacity(16 << 10);
    for metric in METRICS {
        head(&mut text, metric.name, metric.help, metric.kind);
        for (labels, value) in (metric.read)(status) {
            let labels: Vec<_> = metric.labels.iter().copied().zip(labels).collect();
            sample(&mut text, metric.name, &labels, value);
        }
    }
    for row in COUNTERS {
        let name = counter_name(row.name);
        head(&mut text, &name, row.help, Kind::Counter);
        let value = status.counters.get(row.name).copied().unwrap_or(0);
        sample(&mut text, &name, &[], value as f64);
    }
    text
}

/// The name of a counter of the packet path.
fn counter_name(name: &str) -> String {
    format!("gatewatch_{name}_total")
}

fn head(text: &mut String, name: &str, help: &str, kind: Kind) {
    // Writing to a String cannot fail.
    let _ = writeln!(text, "# HELP {name} {}\n# TYPE {name} {}", escaped(help, false), kind.name());
}

fn sample(text: &mut String, name: &str, labels: &[(&str, String)], value: f64) {
    let labels: Vec<String> =
        labels.iter().map(|(label, value)| format!("{label}=\"{}\"", escaped(value, true))).collect();
    let labels = if labels.is_empty() { String::new() } else { format!("{{{}}}", labels.join(",")) };
    let _ = writeln!(text, "{name}{labels} {value}");
}

/// As the format wants it: a backslash and a line feed, in a label's value a quotation mark too.
fn escaped(text: &str, in_label: bool) -> String {
    let text = text.replace('\\', "\\\\").replace('\n', "\\n");
    if in_label { text.replace('"', "\\\"") } else { text }
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use super::*;
    use crate::app::activity::ActivityRow;
    use crate::app::state::{InterfaceStatus, ThreadStatus};

    const DOCS: &str = include_str!("../../docs/metrics.md");

    #[test]
    fn the_table_and_its_document_are_the_same() {
        let ours = METRICS
            .iter()
            .map(|metric| {
                let labels = if metric.labels.is_empty() {
                    String::new()
                } else {
                    format!("`{}`", metric.labels.join("`, `"))
                };
                format!("| `{}` | {} | {labels} | {} |", metric.name, metric.kind.name(), metric.help)
            })
            .chain(COUNTERS.iter().map(|row| format!("| `{}` | {} |", counter_name(row.name), row.help)));
        let ours: Vec<String> = ours.collect();
        let theirs: Vec<&str> = DOCS.lines().filter(|line| line.starts_with("| `gatewatch_")).collect();
        assert_eq!(theirs, ours, "docs/metrics.md should have:\n{}", ours.join("\n"));
    }

    #[test]
    fn names_keep_the_conventions() {
        let mut names = BTreeSet::new();
        let counters = COUNTERS.iter().map(|row| (counter_name(row.name), Kind::Counter));
        for (name, kind) in METRICS.iter().map(|metric| (metric.name.to_owned(), metric.kind)).chain(counters)
        {
            assert!(name.starts_with("gatewatch_"), "{name}");
            assert!(
                name.bytes().all(|byte| byte.is_ascii_lowercase() || byte.is_ascii_digit() || byte == b'_')
            );
            assert_eq!(name.ends_with("_total"), kind == Kind::Counter, "{name}");
            for unit in ["_ms", "_mins", "_millis", "_kib", "_mib", "_mbits"] {
                assert!(!name.contains(unit), "{name}: base units");
            }
            assert!(names.insert(name.clone()), "{name} twice");
        }
    }

    #[test]
    fn every_sample_has_a_value_for_each_of_its_labels() {
        let row = ActivityRow { site: "a".into(), class: "b".into(), country: "c".into(), attempts: 1 };
        let mut status = Status { interfaces: vec![InterfaceStatus::default()], ..Status::default() };
        status.activity.rows.push(row);
        status.vitals.threads.push(ThreadStatus::default());
        for metric in METRICS {
            for (labels, _) in (metric.read)(&status) {
                assert_eq!(labels.len(), metric.labels.len(), "{}", metric.name);
            }
        }
    }

    #[test]
    fn hostile_names_stay_within_their_quotes() {
        let mut status = Status { version: "1\"\n\\".into(), ..Status::default() };
        status.activity.rows.push(ActivityRow {
            site: "a\"} 1\nx".into(),
            class: "web.sqli".into(),
            country: "US".into(),
            attempts: 2,
        });
        let text = exposition(&status);
        assert!(
            text.contains("gatewatch_attempts_total{class=\"web.sqli\",site=\"a\\\"} 1\\nx\"} 2\n"),
            "{text}"
        );
        assert!(text.contains("version=\"1\\\"\\n\\\\\""), "{text}");
        assert!(text.lines().all(|line| line.starts_with("# ") || line.starts_with("gatewatch_")));
    }
}
