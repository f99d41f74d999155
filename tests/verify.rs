//! `gatewatch verify`: a folder as a replay leaves it holds; whatever is changed in it is named.

#![allow(
    clippy::expect_used,
    clippy::indexing_slicing,
    clippy::panic,
    clippy::print_stderr,
    clippy::unwrap_used,
    reason = "a test stops at the first surprise and says what it skips"
)]

use std::fs;
use std::path::{Path, PathBuf};
use std::sync::OnceLock;

#[allow(dead_code, reason = "shared by all tests")]
mod support;

use support::generator::frames::Link;
use support::generator::plan::Plan;
use support::sensor::{Desk, Ended, capture, files, gatewatch};

const PLAN: &str = r#"
seed = 23
from = [2026, 9]
trend = [1, 2]
home = "CN"
[[site]]
name = "www.town.example"
v4 = "203.0.113.10"
v6 = "2001:db8:2::10"
weight = 1
[attempts]
CN = 8
DE = 30
US = 60
[kinds]
sqli = 1
traversal = 1
xss = 1
[noise]
benign = 20
forged_syns = 10
forged_requests = 6
[shape]
keep_alive_percent = 30
pipelined_percent = 40
ipv6_percent = 15
retransmitted_percent = 10
reordered_percent = 30
"#;

fn desk() -> &'static Desk {
    static DESK: OnceLock<Desk> = OnceLock::new();
    DESK.get_or_init(|| {
        let plan = Plan::parse(PLAN).expect("the plan");
        let desk = Desk::of(&plan);
        let months = desk.write("months.pcap", &capture(&plan, Link::Ethernet));
        desk.replay("out", &[&months], b"").good();
        desk
    })
}

fn verify(folder: &Path) -> Ended {
    gatewatch(&["verify", &folder.display().to_string()], b"")
}

/// A copy of the folder, to be harmed.
fn copy(name: &str) -> PathBuf {
    let copy = desk().path(name);
    fs::create_dir_all(&copy).unwrap();
    for file in files(&desk().path("out")) {
        fs::copy(&file, copy.join(file.file_name().unwrap())).unwrap();
    }
    copy
}

fn first(folder: &Path, prefix: &str, ending: &str) -> PathBuf {
    let found = files(folder).into_iter().find(|path| {
        let name = path.file_name().unwrap().to_string_lossy().into_owned();
        name.starts_with(prefix) && name.ends_with(ending)
    });
    found.unwrap_or_else(|| panic!("no {prefix}*{ending}"))
}

fn name(path: &Path) -> String {
    path.file_name().unwrap().to_string_lossy().into_owned()
}

/// The folder must be refused, and the complaint must hold each of `told`.
fn assert_wrong(folder: &Path, told: &[&str]) {
    let ended = verify(folder);
    assert_eq!(ended.code, Some(65), "{ended:?}");
    for part in told {
        assert!(ended.stdout.contains(part), "{part} in {}", ended.stdout);
    }
}

#[test]
fn what_a_replay_leaves_holds() {
    let ended = verify(&desk().path("out")).good();
    assert!(
        ended.stdout.contains("reconciled: ") && ended.stdout.contains(" 104 events"),
        "{}",
        ended.stdout
    );
    assert!(!ended.stdout.contains("not checked"), "{}", ended.stdout);
}

#[test]
fn compressed_events_and_a_folder_without_its_store_are_checked_as_far_as_they_go() {
    let folder = copy("compressed");
    let events = first(&folder, "events-", ".jsonl");
    fs::write(
        events.with_extension("jsonl.zst"),
        zstd::encode_all(fs::read(&events).unwrap().as_slice(), 3).unwrap(),
    )
    .unwrap();
    fs::remove_file(&events).unwrap();
    verify(&folder).good();
    fs::remove_file(folder.join("gatewatch.sqlite")).unwrap();
    assert!(verify(&folder).good().stdout.contains("the store is not here"));
}

#[test]
fn a_changed_report_is_named() {
    let folder = copy("report");
    let report = first(&folder, "report-2026-10", ".json");
    let text = fs::read_to_string(&report).unwrap();
    fs::write(&report, text.replacen("\"attempts\": ", "\"attempts\": 1", 1)).unwrap();
    assert_wrong(&folder, &[&name(&report), "the file was changed"]);
}

#[test]
fn a_missing_a_repeated_and_a_broken_event_are_named() {
    let folder = copy("events");
    let events = first(&folder, "events-", ".jsonl");
    let text = fs::read_to_string(&events).unwrap();
    let day = name(&events).replace("events-", "report-").replace(".jsonl", ".json");
    let lines: Vec<&str> = text.lines().collect();
    fs::write(&events, lines[1..].join("\n") + "\n").unwrap();
    assert_wrong(&folder, &[&day, "the events of the day"]);
    fs::write(&events, format!("{text}{}\n", lines[0])).unwrap();
    assert_wrong(&folder, &[&format!("{} line {}", name(&events), lines.len() + 1), "repeats event"]);
    fs::write(&events, format!("{text}{{\n")).unwrap();
    assert_wrong(&folder, &["is no event"]);
}

#[test]
fn changed_sources_are_named() {
    let folder = copy("sources");
    let sources = first(&folder, "sources-", ".csv");
    let text = fs::read_to_string(&sources).unwrap();
    let last = text.trim_end().lines().last().unwrap().to_owned();
    fs::write(&sources, format!("{text}{last}\r\n")).unwrap();
    assert_wrong(&folder, &[&name(&sources)]);
}

#[test]
fn a_broken_chain_is_named() {
    let folder = copy("chain");
    let days: Vec<PathBuf> = files(&folder)
        .into_iter()
        .filter(|path| {
            name(path).starts_with("report-2026-09-")
                && path.extension().is_some_and(|ending| ending == "json")
        })
        .collect();
    fs::remove_file(&days[days.len() / 2]).unwrap();
    assert_wrong(&folder, &["which no report here has"]);
}

#[test]
fn a_changed_or_missing_file_of_a_manifest_is_named_unless_it_has_expired_as_listed() {
    let folder = copy("manifest");
    let text = first(&folder, "report-2026-10", ".txt");
    fs::write(&text, "nothing happened\n").unwrap();
    assert_wrong(&folder, &[&name(&text), "the file was changed"]);
    let folder = copy("expired");
    let events = first(&folder, "events-", ".jsonl");
    fs::remove_file(&events).unwrap();
    assert_wrong(&folder, &[&name(&events), "which is not here"]);
    let line = format!("{{\"name\":\"{}\",\"sha256\":null,\"removed\":\"x\"}}\n", name(&events));
    fs::write(folder.join("expired.jsonl"), line).unwrap();
    assert!(verify(&folder).good().stdout.contains("has expired, as listed"));
    let folder = copy("unlisted");
    let manifest = first(&folder, "manifest-2026-09-1", ".json");
    fs::remove_file(manifest).unwrap();
    assert_wrong(&folder, &["manifest-", "which no report here has"]);
}

#[test]
fn a_changed_tally_file_is_named_and_one_that_was_taken_elsewhere_is_not_wrong() {
    let folder = copy("tallies");
    assert!(verify(&folder).good().stdout.contains("tally files are not here"));
    // The file of the first day that has one, back in its place.
    let out = desk().path("out");
    let manifest = first(&out, "manifest-2026-09-0", ".json");
    let manifest: serde_json::Value = serde_json::from_slice(&fs::read(manifest).unwrap()).unwrap();
    let names = manifest["files"].as_array().unwrap().iter().map(|file| file["name"].as_str().unwrap());
    let tally = names.into_iter().find(|name| name.starts_with("tally/")).unwrap().to_owned() + ".zst";
    let text = zstd::decode_all(fs::File::open(out.join(&tally)).unwrap()).unwrap();
    let text = String::from_utf8(text).unwrap();
    fs::create_dir_all(folder.join(&tally).parent().unwrap()).unwrap();
    let write = |text: &str| {
        fs::write(folder.join(&tally), zstd::encode_all(text.as_bytes(), 3).unwrap()).unwrap();
    };
    write(&text);
    verify(&folder).good();
    write(&text.replacen("\"kind\":\"counter\"", "\"kind\":\"tally\",\"attempts\":1", 1));
    assert_wrong(&folder, &[&tally, "the file was changed"]);
    assert_wrong(&folder, &["rows tally of the tally files"]);
}

#[test]
fn a_changed_store_is_named() {
    let folder = copy("store");
    let store = rusqlite::Connection::open(folder.join("gatewatch.sqlite")).unwrap();
    store
        .execute("UPDATE tally SET attempts = attempts + 1 WHERE hour = (SELECT min(hour) FROM tally)", [])
        .unwrap();
    drop(store);
    assert_wrong(&folder, &["the store"]);
}

#[test]
fn a_folder_without_reports_is_refused() {
    let folder = desk().path("nothing");
    fs::create_dir_all(&folder).unwrap();
    assert_eq!(verify(&folder).code, Some(66));
    assert_eq!(verify(&folder.join("missing")).code, Some(66));
}
