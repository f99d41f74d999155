//! The files for programs, read by programs that know nothing of gatewatch: schemas by jsonschema, CSV and tally files by
//! `DuckDB`. Both are installed below `target/` by `make test-packages`; without them these tests skip.

#![allow(
    clippy::expect_used,
    clippy::indexing_slicing,
    clippy::panic,
    clippy::print_stderr,
    clippy::unwrap_used,
    reason = "a test stops at the first surprise and says what it skips"
)]

use std::fs;
use std::net::Ipv4Addr;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::sync::Arc;

use gatewatch::config::Settings;
use gatewatch::model::class::Class;
use gatewatch::model::grade::Grade;
use gatewatch::model::period::{Period, PeriodKind};
use gatewatch::model::place::{Place, Sector, SourceKey, SourcePrefix};
use gatewatch::model::time::Timestamp;
use gatewatch::report::provenance::Provenance;
use gatewatch::report::writer::{Mode, Setup, Writer};
use gatewatch::tally::{
    Campaign, CampaignId, Endpoint, EndpointSums, FrameKey, IncidentKey, IncidentSums, Snapshot, SourceDay,
    SourceSums, Sums, TallyKey,
};
use serde_json::{Value, json};

#[allow(dead_code, reason = "shared by all tests")]
mod support;

use support::generator::frames::Link;
use support::generator::plan::Plan;
use support::sensor::{Desk, PATIENCE, capture, files, read_json, run};

/// A month of few attempts.
const PLAN: &str = r#"
seed = 12
from = [2026, 9]
trend = [1]
home = "CN"
[[site]]
name = "www.town.example"
v4 = "203.0.113.10"
v6 = "2001:db8:2::10"
weight = 1
[attempts]
CN = 9
DE = 20
US = 60
[kinds]
command = 1
sqli = 2
traversal = 1
[noise]
benign = 60
forged_syns = 20
forged_requests = 3
[shape]
keep_alive_percent = 30
pipelined_percent = 40
ipv6_percent = 15
retransmitted_percent = 10
reordered_percent = 30
"#;
const ROOT: &str = env!("CARGO_MANIFEST_DIR");

/// Runs `analysts.py`; none where its tools are not installed.
fn analysts(arguments: &[&str]) -> Option<String> {
    let python = Path::new(ROOT).join("target/analysts/bin/python");
    let ready = Command::new(&python).args(["-c", "import duckdb, jsonschema"]).output();
    if !ready.is_ok_and(|output| output.status.success()) {
        eprintln!(
            "skipped: {} has no duckdb and jsonschema; make test-packages installs them",
            python.display()
        );
        return None;
    }
    let mut command = Command::new(python);
    command.arg(Path::new(ROOT).join("tests/support/analysts.py")).args(arguments);
    Some(run(command, b"", PATIENCE).good().stdout.trim().to_owned())
}

fn validated(schema: &str, files: &[PathBuf]) -> Option<u64> {
    let schema = format!("{ROOT}/docs/schema/{schema}.schema.json");
    let names: Vec<String> = files.iter().map(|path| path.display().to_string()).collect();
    let arguments: Vec<&str> =
        ["validate", &schema].into_iter().chain(names.iter().map(String::as_str)).collect();
    Some(analysts(&arguments)?.parse().expect("a number"))
}

/// The same of compressed files.
fn validated_unpacked(schema: &str, files: &[PathBuf]) -> Option<u64> {
    let folder = tempfile::tempdir().unwrap();
    let unpacked = files.iter().enumerate().map(|(number, path)| {
        let target = folder.path().join(format!("{number}.jsonl"));
        fs::write(&target, zstd::decode_all(fs::File::open(path).unwrap()).unwrap()).unwrap();
        target
    });
    validated(schema, &unpacked.collect::<Vec<_>>())
}

/// The tally files of a folder.
fn tallies(folder: &Path) -> Vec<PathBuf> {
    let mut found = vec![folder.join("tally")];
    while let Some(at) = found.iter().position(|path| path.is_dir()) {
        let below = fs::read_dir(found.swap_remove(at)).unwrap();
        found.extend(below.map(|entry| entry.unwrap().path()));
    }
    found.sort();
    found
}

fn named(folder: &Path, start: &str, end: &str) -> Vec<PathBuf> {
    let matches = |path: &PathBuf| {
        let name = path.file_name().unwrap().to_string_lossy().into_owned();
        name.starts_with(start) && name.ends_with(end)
    };
    files(folder).into_iter().filter(matches).collect()
}

/// Texts as an attacker would have them, and the longest that come.
fn hostile() -> Vec<String> {
    vec![
        "<script>alert(1)</script>".into(),
        "=HYPERLINK(\"http://192.0.2.1\";\"x\")".into(),
        "a,b\"c\"\r\nd;e\tf\u{1b}[2J\u{0}g".into(),
        "\u{202e}gnp.exe \u{2066}x".into(),
        "';DROP TABLE rows;--".into(),
        " blank around ".into(),
        "x".repeat(64 << 10),
    ]
}

fn noon(day: u8) -> Timestamp {
    format!("2026-09-{day:02}T12").parse::<Period>().unwrap().start()
}

/// An incident as it stands.
fn so_far(last: Timestamp, attempts: u64, place: Place) -> IncidentSums {
    IncidentSums { last, attempts, peak_per_minute: attempts, headline: true, grade: Grade::E2, place }
}

/// Attempts of a day, one row a hostile text.
fn snapshot(day: u8, count: u64) -> Snapshot {
    let time = noon(day);
    let mut snapshot = Snapshot { watermark: time, ..Snapshot::default() };
    let sums = Sums { attempts: count, sessions: count, incidents: 1, ..Sums::default() };
    for (number, text) in hostile().into_iter().enumerate() {
        let number = number as u8;
        let text: Arc<str> = text.into();
        let address = Ipv4Addr::new(8, 8, number, day).into();
        let place = Place::from_code(if number.is_multiple_of(2) { "US" } else { "DE" });
        let key = TallyKey {
            hour: time.hour(),
            site: Arc::clone(&text),
            class: Class::WebSqli,
            grade: Grade::E2,
            place,
            sector: Sector::Located,
            label: Some(Arc::clone(&text)),
            headline: true,
        };
        snapshot.add_row(key, sums);
        let campaign = CampaignId(u64::from(number) + 1);
        let key = SourceDay {
            day: Period::containing(PeriodKind::Day, time),
            source: Some((SourceKey::of(address), SourcePrefix::of(address, (24, 48)))),
            place,
            asn: Some(64_500 + u32::from(number)),
            grade: Grade::E2,
            class: Class::WebSqli,
            site: Arc::clone(&text),
            headline: true,
            campaign,
            sector: Sector::Located,
        };
        snapshot.add_source(key, &SourceSums { sums, ..SourceSums::at(time) });
        let incident = IncidentKey {
            first: time,
            source: Some(SourceKey::of(address)),
            class: Class::WebSqli,
            site: Arc::clone(&text),
        };
        snapshot.add_incident(incident, so_far(time, count, place));
        snapshot.add_system(64_500 + u32::from(number), &text);
        let (rule, client, payload) = (Arc::clone(&text), (&*text).into(), (&*text).into());
        snapshot.add_campaign(Campaign { id: campaign, class: Class::WebSqli, rule, client, payload });
        snapshot.add_endpoint(
            Endpoint {
                day: Period::containing(PeriodKind::Day, time),
                site: Arc::clone(&text),
                path: (&*text).into(),
                place: (&*text).into(),
                rule: Arc::clone(&text),
            },
            EndpointSums { attempts: count, answered: count, clean_sources: 50 },
        );
        for _ in 0..count {
            snapshot.add_frames(
                FrameKey { hour: time.hour(), site: Arc::clone(&text), frames: 1 },
                true,
                false,
            );
        }
    }
    snapshot.add_observed(time.hour().start(), time.hour().end());
    snapshot
}

/// Records snapshots as a replay would, and closes everything.
fn recorded(folder: &Path, snapshots: impl IntoIterator<Item = Snapshot>) {
    recorded_as(folder, snapshots, |_| {});
}

fn recorded_as(
    folder: &Path,
    snapshots: impl IntoIterator<Item = Snapshot>,
    change: impl FnOnce(&mut gatewatch::config::report::Report),
) {
    let mut settings = Settings::default();
    folder.clone_into(&mut settings.report.directory);
    folder.clone_into(&mut settings.state.directory);
    settings.report.periods = vec!["day".into(), "month".into()];
    "gw1".clone_into(&mut settings.report.sensor);
    change(&mut settings.report);
    let setup = Setup {
        state: settings.state.clone(),
        settings: settings.report.clone(),
        privacy: settings.privacy.clone(),
        mode: Mode::Replay,
        provenance: Provenance { privacy: "full".into(), ..Provenance::default() },
        prefixes: (24, 48),
    };
    let (mut writer, _) = Writer::open(setup).unwrap();
    for mut snapshot in snapshots {
        writer.record(&mut snapshot).unwrap();
    }
    writer.finish().unwrap();
    writer.finish_replay(std::iter::empty()).unwrap();
}

#[test]
fn what_is_written_is_as_the_published_schemas_say() {
    let golden = Path::new(ROOT).join("tests/golden");
    // Hashes are left out of the golden files.
    let neutral = tempfile::tempdir().unwrap();
    let report = fs::read_to_string(golden.join("report.json")).unwrap();
    let hash = "0".repeat(64);
    let report = ["sha256", "set_hash", "config_hash"]
        .iter()
        .fold(report, |text, name| text.replace(&format!("<{name}>"), &hash));
    fs::write(neutral.path().join("report.json"), report).unwrap();
    let Some(count) = validated("report", &[neutral.path().join("report.json")]) else { return };
    assert_eq!(count, 1);
    assert_eq!(validated("event", &[golden.join("event.json")]), Some(1));

    let hostile = tempfile::tempdir().unwrap();
    recorded(hostile.path(), [snapshot(1, 3)]);
    let reports = named(hostile.path(), "report-", ".json");
    assert_eq!(validated("report", &reports), Some(2));
    assert!(validated_unpacked("tally", &tallies(hostile.path())) > Some(20));
}

#[test]
fn a_replayed_month_is_as_the_schemas_say() {
    let plan = Plan::parse(PLAN).expect("the plan");
    let desk = Desk::of(&plan);
    let month = desk.write("month.pcap", &capture(&plan, Link::Ethernet));
    desk.replay("out", &[&month], b"").good();
    let out = desk.path("out");
    let reports = named(&out, "report-", ".json");
    let Some(count) = validated("report", &reports) else { return };
    assert_eq!(count, reports.len() as u64);
    let lines = desk.events("out").len() as u64;
    assert_eq!(validated("event", &named(&out, "events-", ".jsonl")), Some(lines));
    let files = tallies(&out);
    let days = named(&out, "sources-", ".csv").len();
    assert!(files.len() >= days && days > 20, "{} files, {days} days", files.len());
    assert!(validated_unpacked("tally", &files) > Some(100));
    assert!(gatewatch_verifies(&out), "and every sum holds");
}

fn gatewatch_verifies(folder: &Path) -> bool {
    support::sensor::gatewatch(&["verify", &folder.display().to_string()], b"")
        .good()
        .stdout
        .contains("reconciled")
}

#[test]
fn csv_read_by_others_has_the_numbers_and_texts_of_the_json() {
    let folder = tempfile::tempdir().unwrap();
    recorded(folder.path(), [snapshot(1, 3), snapshot(2, 4)]);
    let name = folder.path().display().to_string();
    for period in ["2026-09-01", "2026-09"] {
        let Some(tables) = analysts(&["csv", &name, period]) else { return };
        let written = named(folder.path(), &format!("report-{period}."), ".csv").len();
        assert_eq!(tables, written.to_string());
        assert!(written >= 15);
    }
}

#[test]
fn a_folder_of_tally_files_is_one_table_with_the_totals_of_the_report() {
    let folder = tempfile::tempdir().unwrap();
    recorded(folder.path(), [snapshot(1, 3), snapshot(2, 4)]);
    // A later run adds to the second day: its file comes a second time, whole.
    recorded(folder.path(), [snapshot(2, 5)]);
    let names: Vec<String> = tallies(folder.path())
        .iter()
        .map(|path| path.file_name().unwrap().to_string_lossy().into_owned())
        .collect();
    assert_eq!(names.len(), 3, "{names:?}");
    assert!(names[1].ends_with("-0001.jsonl.zst") && names[2].ends_with("-0002.jsonl.zst"), "{names:?}");
    // One file came twice, by another way.
    let files = tallies(folder.path());
    fs::copy(&files[0], files[0].with_file_name("again.jsonl.zst")).unwrap();
    let document = format!("{ROOT}/docs/files.md");
    let Some(told) = analysts(&["tally", &folder.path().display().to_string(), &document]) else { return };
    let told: Vec<Value> = serde_json::from_str(&told).expect("results");
    let each = hostile().len() as u64;
    let report = read_json(&folder.path().join("report-2026-09.c2.json"));
    assert_eq!(report["totals"]["attempts"], each * 12);
    let [by_country, observed, sites, systems, header, labels, total, headers] = &told[..] else {
        panic!("{} results", told.len())
    };
    assert_eq!(*by_country, json!([["2026-09", "US", "48"], ["2026-09", "DE", "36"]]));
    assert_eq!(observed[0][0], "gw1");
    let texts = |rows: &Value| -> Vec<String> {
        let mut texts: Vec<String> =
            rows.as_array().unwrap().iter().map(|row| row[0].as_str().unwrap().to_owned()).collect();
        texts.sort();
        texts
    };
    let mut expected = hostile();
    expected.sort();
    for rows in [sites, systems, labels] {
        assert_eq!(texts(rows), expected);
        assert!(rows.as_array().unwrap().iter().all(|row| row[1].as_u64() == Some(12)));
    }
    assert_eq!(*header, json!([[each * 12, 2]]));
    assert_eq!(*total, json!([["total", "", each], ["total", "", each]]));
    assert_eq!(
        *headers,
        json!([[4]]),
        "the first closing of the second day and the copy are there, and do no harm"
    );
}

#[test]
fn a_sensor_that_is_told_so_writes_no_tallies() {
    let folder = tempfile::tempdir().unwrap();
    recorded_as(folder.path(), [snapshot(1, 1)], |report| report.tallies = false);
    assert!(folder.path().join("report-2026-09-01.json").exists() && !folder.path().join("tally").exists());
}
