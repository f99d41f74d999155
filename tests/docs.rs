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

#[test]
fn every_file_of_tests_is_told_of() {
    let told = include_str!("../docs/testing.md");
    let paths = std::fs::read_dir("tests").unwrap().map(|entry| entry.unwrap().path());
    for path in paths.filter(|path| path.extension().is_some_and(|ending| ending == "rs")) {
        assert!(
            told.contains(&format!("`{}`", path.display())),
            "{} is not in docs/testing.md",
            path.display()
        );
    }
}

/// The anchor of a heading, as GitHub makes it.
fn anchor(heading: &str) -> String {
    let kept = heading
        .to_lowercase()
        .chars()
        .filter(|letter| letter.is_alphanumeric() || " -_".contains(*letter))
        .collect::<String>();
    kept.replace(' ', "-")
}

fn anchors(text: &str) -> Vec<String> {
    let headings = text.lines().filter_map(|line| line.strip_prefix('#'));
    headings.map(|line| anchor(line.trim_start_matches('#').trim())).collect()
}

#[test]
fn links_between_documents_lead_somewhere() {
    let root = std::path::Path::new(env!("CARGO_MANIFEST_DIR"));
    let mut links = 0;
    let documents = std::fs::read_dir(root.join("docs")).unwrap().map(|entry| entry.unwrap().path());
    let documents =
        documents.chain(["README.md", "SECURITY.md", "ARCHITECTURE.md"].map(|name| root.join(name)));
    for document in documents.filter(|path| path.extension().is_some_and(|ending| ending == "md")) {
        let text = std::fs::read_to_string(&document).unwrap();
        for link in text.split("](").skip(1).filter_map(|rest| rest.split(')').next()) {
            if link.contains("://") {
                continue;
            }
            links += 1;
            let (file, place) = link.split_once('#').unwrap_or((link, ""));
            let target = if file.is_empty() { document.clone() } else { document.with_file_name(file) };
            let target = document.parent().unwrap().join(target);
            if target.is_dir() && place.is_empty() {
                continue;
            }
            let found = std::fs::read_to_string(&target);
            let found = found.unwrap_or_else(|_| panic!("{}: {link} leads nowhere", document.display()));
            let has_place = place.is_empty() || anchors(&found).iter().any(|anchor| anchor == place);
            assert!(has_place, "{}: {link}: no such heading", document.display());
        }
    }
    assert!(links > 30, "{links} links were read");
}

#[test]
fn the_contents_of_the_operators_documents_name_every_part() {
    for text in [
        include_str!("../docs/operating.md"),
        include_str!("../docs/placing.md"),
        include_str!("../docs/upkeep.md"),
    ] {
        let headings: Vec<&str> = text.lines().filter_map(|line| line.strip_prefix("## ")).collect();
        let listed: Vec<&str> = text
            .lines()
            .filter_map(|line| line.strip_prefix("- ["))
            .filter_map(|line| line.split_once("](#"))
            .map(|(name, _)| name)
            .collect();
        assert_eq!(listed, headings);
    }
}
