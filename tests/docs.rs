//! The documents name what there is: a detector, protocol or oddity that is added without a word in docs/detection.md fails here.

#![allow(
    clippy::indexing_slicing,
    clippy::panic,
    clippy::unwrap_used,
    reason = "a test stops at the first surprise"
)]

use gatewatch::classify::behaviour::list;
use gatewatch::config::Settings;
use gatewatch::protocol::PROTOCOLS;
use gatewatch::protocol::datagram::DATAGRAMS;

const DETECTION: &str = include_str!("../docs/detection.md");

/// The rows of tables that begin with such a name.
fn rows(name: &str) -> Vec<&'static str> {
    let start = format!("| `{name}` |");
    DETECTION.lines().filter(|line| line.starts_with(&start)).collect()
}

/// Every number in a table of settings, as it is written.
fn numbers(table: &toml::Value) -> Vec<String> {
    let values = table.as_table().unwrap().values();
    values.filter(|value| value.is_integer() || value.is_float()).map(ToString::to_string).collect()
}

fn holds_number(row: &str, number: &str) -> bool {
    let is_part = |letter: char| letter.is_ascii_digit() || letter == '.';
    row.split(|letter| !is_part(letter)).any(|word| word.trim_end_matches('.') == number)
}

#[test]
fn every_detector_that_judges_by_source_stands_with_its_defaults() {
    let settings = toml::Value::try_from(Settings::default()).unwrap();
    for detector in list::detectors(&Settings::default()) {
        let [row] = rows(detector.id)[..] else { panic!("one row of {} is wanted", detector.id) };
        for section in detector.sections {
            let (family, name) = section.split_once('.').unwrap();
            for number in numbers(&settings[family][name]) {
                assert!(holds_number(row, &number), "{section}: {number} is not in {row}");
            }
        }
        assert!(row.contains(detector.sections[0]), "{row}");
    }
    let steps = settings["scan"]["net_failures_min"].to_string();
    assert!(rows("scan.vertical").iter().any(|row| row.contains(&format!("{steps} steps"))));
}

#[test]
fn every_protocol_stands_with_its_oddities() {
    let streams = PROTOCOLS.iter().map(|row| (row.name, "TCP", row.oddities));
    let datagrams = DATAGRAMS.iter().map(|row| (row.name, "UDP", row.oddities));
    for (name, over, oddities) in streams.chain(datagrams) {
        let start = format!("| `{name}` | {over} |");
        let found: Vec<_> = DETECTION.lines().filter(|line| line.starts_with(&start)).collect();
        let [row] = found[..] else { panic!("one row {start} is wanted") };
        for oddity in oddities {
            assert!(row.contains(&format!("`{}`", oddity.id)), "{} is not in {row}", oddity.id);
        }
    }
}

#[test]
fn no_protocol_or_oddity_stands_there_that_is_none() {
    let section = DETECTION.split("## Protocols read").nth(1).unwrap().split("\n## ").next().unwrap();
    let oddities = PROTOCOLS.iter().flat_map(|row| row.oddities);
    let known: Vec<&str> =
        oddities.chain(DATAGRAMS.iter().flat_map(|row| row.oddities)).map(|it| it.id).collect();
    for row in section.lines().filter(|line| line.starts_with("| `")) {
        let names: Vec<&str> = row.split('`').skip(1).step_by(2).collect();
        let is_protocol = PROTOCOLS.iter().any(|row| row.name == names[0])
            || DATAGRAMS.iter().any(|row| row.name == names[0]);
        assert!(is_protocol, "{row}");
        for id in &names[1..] {
            assert!(known.contains(id), "{id} in {row}");
        }
    }
}
