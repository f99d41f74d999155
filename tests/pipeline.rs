//! The whole way through the built binary: capture files in, exact reports out.

#![allow(
    clippy::expect_used,
    clippy::indexing_slicing,
    clippy::panic,
    clippy::print_stderr,
    clippy::unwrap_used,
    reason = "a test stops at the first surprise and says what it skips"
)]

use std::collections::BTreeSet;
use std::fs;
use std::path::{Path, PathBuf};

use serde_json::Value;

#[allow(dead_code, reason = "shared by all tests")]
mod support;

use support::generator::capture::CaptureWriter;
use support::generator::expect::Expected;
use support::generator::frames::Link;
use support::generator::judge::differences;
use support::generator::plan::Plan;
use support::generator::schedule::Schedule;
use support::sensor::{Desk, Ended, capture, files, gatewatch};

/// A plan of a few hundred requests for tests that replay often.
const LITTLE: &str = r#"
seed = 7
from = [2026, 10]
trend = [1]
home = "CN"
[[site]]
name = "www.town.example"
v4 = "203.0.113.10"
v6 = "2001:db8:2::10"
weight = 1
[attempts]
CN = 23
DE = 31
KR = 40
US = 129
[kinds]
command = 1
sensitive = 1
sqli = 2
xss = 1
[noise]
benign = 80
forged_syns = 40
forged_requests = 12
[shape]
keep_alive_percent = 30
pipelined_percent = 40
ipv6_percent = 15
retransmitted_percent = 10
reordered_percent = 30
"#;

fn little() -> Plan {
    Plan::parse(LITTLE).expect("the little plan")
}

/// The row of a table that carries `name` in any of its fields.
fn row<'v>(report: &'v Value, table: &str, name: &str) -> &'v Value {
    let rows = report[table].as_array().unwrap_or_else(|| panic!("{table} is no list in {report:#}"));
    let named =
        |row: &&Value| row.as_object().is_some_and(|fields| fields.values().any(|value| value == name));
    rows.iter().find(named).unwrap_or_else(|| panic!("no row {name} in {table}: {:#}", report[table]))
}

fn attempts(report: &Value, table: &str, name: &str) -> u64 {
    row(report, table, name)["attempts"].as_u64().expect("a count")
}

fn sum(report: &Value, table: &str) -> u64 {
    let rows = report[table].as_array().unwrap_or_else(|| panic!("{table} is no list in {report:#}"));
    rows.iter().map(|row| row["attempts"].as_u64().expect("a count")).sum()
}

/// The law of the report: the rows of every table sum to the total.
fn assert_reconciles(report: &Value) {
    let total = report["totals"]["attempts"].as_u64().expect("a total");
    for table in ["sectors", "classes", "sites", "grades", "series"] {
        assert_eq!(sum(report, table), total, "{table} of {}", report["period"]);
    }
}

/// What two replays of the same packets must agree on.
fn counted(report: &Value) -> Value {
    let parts = ["totals", "headline", "sites", "origins", "sectors", "classes", "grades", "series"];
    parts
        .iter()
        .map(|part| ((*part).to_owned(), report[*part].clone()))
        .collect::<serde_json::Map<_, _>>()
        .into()
}

fn assert_plan(plan: &Plan, report: &Value) {
    let expected = Expected::of(plan);
    assert_eq!(differences(&expected, report), Vec::<String>::new());
    assert_eq!(attempts(report, "sectors", "overseas"), expected.overseas);
    assert_eq!(attempts(report, "sectors", "domestic"), expected.domestic);
    assert_eq!(attempts(report, "sectors", "not_provable"), expected.not_provable);
    for (code, count) in &expected.countries {
        // The attempts of a row count unproven ones too; its headline does not.
        assert_eq!(row(report, "origins", code)["headline_attempts"], *count, "{code}");
    }
    assert_reconciles(report);
}

#[test]
fn the_small_year_comes_out_exactly() {
    let plan = Plan::named("2012-small").expect("a built-in plan");
    let expected = Expected::of(&plan);
    let desk = Desk::of(&plan);
    let year = desk.write("2012.pcap", &capture(&plan, Link::Ethernet));
    let ended = desk.replay("out", &[&year], b"").good();
    let report = desk.report("out", "2012");
    assert_plan(&plan, &report);
    assert_eq!(report["headline"]["overseas_attempts"], 36_000);
    assert_eq!(row(&report, "origins", "US")["headline_attempts"], 22_644);
    let text = report["headline"]["text"].as_str().expect("a sentence");
    assert!(text.contains("3,000 times a month") && text.contains("62.9 per cent"), "{text}");
    assert!(ended.stdout.contains(text), "replay prints the sentence: {}", ended.stdout);
    for (month, overseas) in expected.months.iter().zip(&expected.overseas_by_month) {
        let report = desk.report("out", month);
        assert_eq!(report["headline"]["overseas_attempts"], *overseas, "{month}");
        assert_reconciles(&report);
    }
    let events = desk.events("out");
    assert_eq!(events.len() as u64, expected.overseas + expected.domestic + expected.not_provable);
    let ids: BTreeSet<&str> = events.iter().filter_map(|event| event["gatewatch"]["id"].as_str()).collect();
    assert_eq!(ids.len(), events.len(), "every attempt has an id of its own");
}

/// The packets of a plan dealt out to `count` files, whole conversations or not.
fn dealt(desk: &Desk, plan: &Plan, count: usize) -> Vec<PathBuf> {
    let begin = |_| CaptureWriter::begin(Vec::new(), Link::Ethernet).expect("memory");
    let mut writers: Vec<_> = (0..count).map(begin).collect();
    let mut schedule = Schedule::of(plan);
    let mut number = 0;
    for slot in schedule.slots() {
        for packet in schedule.packets(slot) {
            writers[number % count].write(&packet).expect("memory");
            number += 1;
        }
    }
    let end = |(index, writer): (usize, CaptureWriter<Vec<u8>>)| {
        desk.write(&format!("part-{index}.pcap"), &writer.end().expect("memory"))
    };
    writers.into_iter().enumerate().map(end).collect()
}

#[test]
fn the_order_of_the_files_changes_nothing() {
    let plan = little();
    let desk = Desk::of(&plan);
    let parts = dealt(&desk, &plan, 3);
    let forward: Vec<&Path> = parts.iter().map(PathBuf::as_path).collect();
    let backward: Vec<&Path> = forward.iter().rev().copied().collect();
    desk.replay("forward", &forward, b"").good();
    desk.replay("backward", &backward, b"").good();
    let report = desk.report("forward", "2026-10");
    assert_plan(&plan, &report);
    assert_eq!(counted(&report), counted(&desk.report("backward", "2026-10")));
}

#[test]
fn compressed_files_folders_and_standard_input_give_the_same_report() {
    let plan = little();
    let desk = Desk::of(&plan);
    let bytes = capture(&plan, Link::Ethernet);
    let whole = desk.write("plain.pcap", &bytes);
    let mut gzip = flate2::write::GzEncoder::new(Vec::new(), flate2::Compression::fast());
    std::io::Write::write_all(&mut gzip, &bytes).expect("memory");
    let gzip = desk.write("small.pcap.gz", &gzip.finish().expect("memory"));
    let zstd = desk.write("small.pcap.zst", &zstd::encode_all(bytes.as_slice(), 1).expect("memory"));
    desk.write("folder/deep/one.pcap", &bytes);
    desk.write("folder/notes.txt", b"no capture");
    let folder = desk.path("folder");
    desk.replay("plain", &[&whole], b"").good();
    let wanted = counted(&desk.report("plain", "2026-10"));
    assert_plan(&plan, &desk.report("plain", "2026-10"));
    for (name, input) in [("gzip", &gzip), ("zstd", &zstd), ("folder", &folder)] {
        desk.replay(name, &[input], b"").good();
        assert_eq!(counted(&desk.report(name, "2026-10")), wanted, "{name}");
    }
    desk.replay("stdin", &[Path::new("-")], &bytes).good();
    assert_eq!(counted(&desk.report("stdin", "2026-10")), wanted, "standard input");
}

#[test]
fn every_link_type_gives_the_same_counts() {
    let plan = little();
    let desk = Desk::of(&plan);
    for (link, name, _) in Link::TABLE {
        let file = desk.write(&format!("{name}.pcap"), &capture(&plan, *link));
        desk.replay(name, &[&file], b"").good();
        assert_plan(&plan, &desk.report(name, "2026-10"));
    }
}

#[test]
fn replaying_a_file_twice_changes_nothing() {
    let plan = little();
    let desk = Desk::of(&plan);
    let file = desk.write("once.pcap", &capture(&plan, Link::Ethernet));
    desk.replay("out", &[&file], b"").good();
    let first = counted(&desk.report("out", "2026-10"));
    let events = desk.events("out").len();
    desk.replay("out", &[&file], b"").good();
    assert_eq!(counted(&desk.report("out", "2026-10")), first);
    assert_eq!(desk.events("out").len(), events);
    // The same packets under another name and in another wrapping are the same attempts.
    let copy = desk.write("copy.pcap", &capture(&plan, Link::Sll));
    desk.replay("out", &[&copy], b"").good();
    assert_eq!(counted(&desk.report("out", "2026-10"))["totals"]["attempts"], first["totals"]["attempts"]);
    assert_eq!(desk.events("out").len(), events);
}

#[test]
fn reports_are_whole_files_and_nothing_is_left_behind() {
    let plan = little();
    let desk = Desk::of(&plan);
    let file = desk.write("once.pcap", &capture(&plan, Link::Ethernet));
    desk.replay("out", &[&file], b"").good();
    let names: Vec<String> = files(&desk.path("out"))
        .iter()
        .map(|path| path.file_name().expect("a name").to_string_lossy().into_owned())
        .collect();
    for wanted in ["report-2026-10.json", "report-2026-10.txt", "report-2026.json", "report-2026-10-01.json"]
    {
        assert!(names.iter().any(|name| name == wanted), "{wanted} is missing from {names:?}");
    }
    assert!(!names.iter().any(|name| name.contains(".open.") || name.contains("tmp")), "{names:?}");
    let sources =
        fs::read_to_string(desk.path("out").join("sources-2026-10-01.csv")).expect("a sources file");
    assert!(sources.starts_with("src,country,asn,grade,class,site,attempts,incidents,first_seen,last_seen"));
}

#[test]
fn events_name_origin_evidence_and_reply() {
    let plan = little();
    let desk = Desk::of(&plan);
    let file = desk.write("once.pcap", &capture(&plan, Link::Ethernet));
    desk.replay("out", &[&file], b"").good();
    for event in desk.events("out") {
        assert_eq!(event["event_type"], "alert");
        let own = &event["gatewatch"];
        assert_eq!(own["class"], event["alert"]["category"]);
        assert_eq!(own["site"], "www.town.example");
        assert!(own["evidence"].as_array().is_some_and(|list| !list.is_empty()), "{event:#}");
        assert!(own["evidence"][0]["rule"].is_string(), "{event:#}");
        let country = own["origin"]["country"].as_str().unwrap_or_default();
        let (proven, status) = (own["grade"] == "E2", event["http"]["status"].as_u64());
        if proven {
            assert!(plan.attempts.contains_key(country), "{event:#}");
            assert!(matches!(status, Some(200 | 403 | 404)), "{event:#}");
        } else {
            assert_eq!((&own["grade"], status), (&Value::from("E0"), None), "{event:#}");
        }
    }
}

fn refused(desk: &Desk, name: &str, bytes: &[u8]) -> Ended {
    let file = desk.write(name, bytes);
    desk.replay("refused", &[&file], b"")
}

#[test]
fn unusable_input_is_one_clear_line_and_the_right_code() {
    let desk = Desk::of(&little());
    for (name, bytes) in [
        ("empty.pcap", b"".as_slice()),
        ("foreign.pcap", b"PK\x03\x04 this is an archive of something else entirely"),
        ("head.pcap", &[0xd4, 0xc3, 0xb2, 0xa1, 2, 0]),
        ("broken.pcap.gz", &[0x1f, 0x8b, 8, 0, 0, 0, 0, 0, 0, 3, 0xff, 0xff, 0xff]),
    ] {
        let ended = refused(&desk, name, bytes);
        assert_eq!(ended.code, Some(65), "{name}: {}", ended.stderr);
        assert!(ended.complaint().contains(name), "{name}: {}", ended.stderr);
    }
    let missing = desk.path("no-such.pcap");
    let ended = desk.replay("missing", &[&missing], b"");
    assert_eq!(ended.code, Some(66), "{}", ended.stderr);
    assert!(ended.complaint().contains("no-such.pcap"), "{}", ended.stderr);
}

#[test]
fn a_truncated_capture_counts_what_it_holds_and_says_where_it_ends() {
    let plan = little();
    let desk = Desk::of(&plan);
    let bytes = capture(&plan, Link::Ethernet);
    let ended = refused(&desk, "cut.pcap", &bytes[..bytes.len() * 2 / 3 + 5]);
    assert_eq!(ended.code, Some(65), "{}", ended.stderr);
    assert!(ended.complaint().contains("cut.pcap"), "{}", ended.stderr);
    let report = desk.report("refused", "2026-10");
    let total = report["totals"]["attempts"].as_u64().expect("a total");
    assert!(total > 100 && total < 235, "what was read is counted: {total}");
}

#[test]
fn a_capture_without_attacks_gives_a_report_that_says_so() {
    let mut plan = little();
    plan.attempts.clear();
    plan.noise.forged_requests = 0;
    let desk = Desk::of(&plan);
    let file = desk.write("quiet.pcap", &capture(&plan, Link::Ethernet));
    desk.replay("out", &[&file], b"").good();
    let report = desk.report("out", "2026-10");
    assert_eq!(report["totals"]["attempts"], 0);
    assert_eq!(report["headline"]["overseas_attempts"], 0);
    assert!(report["headline"]["text"].as_str().is_some_and(|text| !text.is_empty()));
}

#[test]
fn an_unwritable_folder_is_named() {
    let plan = little();
    let desk = Desk::of(&plan);
    let file = desk.write("once.pcap", &capture(&plan, Link::Ethernet));
    // A file where a folder should be: refused to root as well.
    desk.write("taken", b"");
    let ended = desk.replay("taken", &[&file], b"");
    assert_eq!(ended.code, Some(73), "{}", ended.stderr);
    assert!(ended.complaint().contains("taken"), "{}", ended.stderr);
}

#[test]
fn nothing_to_replay_is_a_usage_error() {
    assert_eq!(gatewatch(&["replay"], b"").code, Some(64));
}
