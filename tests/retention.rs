//! What expires, expires whole, is listed, and takes no count with it. Time is told to the writer, so a season passes at once.

#![allow(
    clippy::expect_used,
    clippy::indexing_slicing,
    clippy::panic,
    clippy::print_stderr,
    clippy::unwrap_used,
    reason = "a test stops at the first surprise and says what it skips"
)]

use std::collections::BTreeMap;
use std::fs;
use std::path::Path;

use gatewatch::config::Settings;
use gatewatch::model::period::Period;
use gatewatch::model::time::Timestamp;
use serde_json::Value;

#[allow(dead_code, reason = "shared by all tests")]
mod support;

use support::run::Run;
use support::sensor::{gatewatch, read_json};

fn settings(folder: &Path) -> Settings {
    let mut settings = support::run::settings(folder, folder);
    settings.report.keep_events_days = 30;
    settings.state.keep_hours_days = 40;
    settings.privacy.keep_addresses_days = 30;
    settings
}

fn begin(folder: &Path) -> Run {
    let run = Run::begin(&settings(folder));
    assert!(run.told.is_empty(), "{:?}", run.told);
    run
}

/// A client makes an attempt at some second after a noon.
fn attempt(run: &mut Run, client: &str, day: &str, second: i64) {
    run.attempt(client.parse().unwrap(), noon(day).plus_micros(second * 1_000_000));
}

fn noon(day: &str) -> Timestamp {
    format!("{day}T12").parse::<Period>().unwrap().start()
}

#[test]
fn a_season_later_addresses_and_events_are_gone_and_every_count_is_there() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path();
    let mut first = begin(path);
    for (second, client) in [(0, "73.10.20.30:4000"), (1, "73.10.20.31:4001"), (2, "93.193.4.5:4002")] {
        attempt(&mut first, client, "2026-08-03", second);
    }
    first.reach(noon("2026-08-03").plus_micros(40_000_000));
    first.writer.finish().unwrap();
    drop(first);
    assert!(path.join("events-2026-08-03.jsonl").exists());

    // A hundred days later the service runs again, over a midnight.
    let mut second = begin(path);
    let midnight = "2026-11-12".parse::<Period>().unwrap().start();
    for step in -2..4 {
        second.reach(midnight.plus_micros(step * 50_000_000));
    }
    second.writer.finish().unwrap();
    drop(second);

    assert!(!path.join("events-2026-08-03.jsonl").exists() && !path.join("sources-2026-08-03.csv").exists());
    let expired: BTreeMap<String, Value> = fs::read_to_string(path.join("expired.jsonl"))
        .unwrap()
        .lines()
        .map(|line| serde_json::from_str::<Value>(line).unwrap())
        .map(|line| (line["name"].as_str().unwrap().to_owned(), line))
        .collect();
    let manifest = read_json(&path.join("manifest-2026-08-03.json"));
    for name in ["events-2026-08-03.jsonl", "sources-2026-08-03.csv"] {
        let listed = manifest["files"].as_array().unwrap().iter().find(|file| file["name"] == name).unwrap();
        assert_eq!(expired[name]["sha256"], listed["sha256"], "{name}");
    }
    let store = rusqlite::Connection::open(path.join("gatewatch.sqlite")).unwrap();
    let addresses: i64 =
        store.query_row("SELECT count(*) FROM source_day WHERE source <> ''", [], |row| row.get(0)).unwrap();
    assert_eq!(addresses, 0);
    drop(store);

    let name = path.display().to_string();
    let asked =
        gatewatch(&["report", "--from-dir", &name, "--month", "2026-08", "--format", "json"], b"").good();
    let report: Value = serde_json::from_str(&asked.stdout).unwrap();
    assert_eq!((&report["totals"]["attempts"], &report["totals"]["sources"]), (&3.into(), &3.into()));
    assert_eq!(report["totals"]["estimates"], serde_json::json!(["sources"]));
    let prefixes: Vec<(&str, u64)> = report["origins"]
        .as_array()
        .unwrap()
        .iter()
        .filter(|row| row["kind"] == "prefix")
        .map(|row| (row["code"].as_str().unwrap(), row["attempts"].as_u64().unwrap()))
        .collect();
    assert_eq!(prefixes, [("73.10.20.0/24", 2), ("93.193.4.0/24", 1)]);
    // An hour of that day is not kept apart any more; its day is.
    let hour = ["report", "--from-dir", &name, "--from", "2026-08-03T12", "--to", "2026-08-03T12"];
    let refused = gatewatch(&hour, b"");
    assert_eq!(refused.code, Some(66), "{refused:?}");
    assert!(refused.complaint().contains("keeps only days"), "{}", refused.stderr);
    gatewatch(&["report", "--from-dir", &name, "--day", "2026-08-03"], b"").good();
    let verified = gatewatch(&["verify", &name], b"").good().stdout;
    assert!(verified.contains("has expired, as listed"), "{verified}");
}

/// `docs/upkeep.md`, "Backup" and "Restore": the store first, by its own means, while the writer goes on; then the reports.
#[test]
fn the_store_and_then_the_reports_copied_from_a_running_writer_are_a_backup() {
    let (folder, backup) = (tempfile::tempdir().unwrap(), tempfile::tempdir().unwrap());
    let mut run = begin(folder.path());
    attempt(&mut run, "73.10.20.30:4000", "2026-08-03", 0);
    run.reach(noon("2026-08-03").plus_micros(40_000_000));
    let store = rusqlite::Connection::open(folder.path().join("gatewatch.sqlite")).unwrap();
    store.execute("VACUUM INTO ?1", [backup.path().join("gatewatch.sqlite").to_str().unwrap()]).unwrap();
    drop(store);
    // What comes before the reports are copied is in them and not in the store: on the same day, and on the next.
    let later = |run: &mut Run| {
        attempt(run, "93.193.4.5:4002", "2026-08-03", 50);
        attempt(run, "93.193.4.6:4003", "2026-08-04", 0);
        run.reach(noon("2026-08-04").plus_micros(40_000_000));
    };
    later(&mut run);
    for path in support::sensor::files(folder.path()) {
        let name = path.file_name().unwrap().to_str().unwrap().to_owned();
        if !name.starts_with("gatewatch.sqlite") {
            fs::copy(&path, backup.path().join(name)).unwrap();
        }
    }
    drop(run);

    let name = backup.path().display().to_string();
    let attempts = || {
        let asked =
            gatewatch(&["report", "--from-dir", &name, "--month", "2026-08", "--format", "json"], b"").good();
        serde_json::from_str::<Value>(&asked.stdout).unwrap()["totals"]["attempts"].as_u64().unwrap()
    };
    assert_eq!(attempts(), 1, "what the store knew");
    let mut restored = Run::begin(&settings(backup.path()));
    let told = &restored.told;
    // Their lines tell the rest.
    assert!(
        told.iter().any(|told| told
            .contains("2 attempts of 2026-08-03 to 2026-08-04 were counted from their event lines")),
        "{told:?}"
    );
    assert_eq!(attempts(), 3);
    let midnight = "2026-08-05".parse::<Period>().unwrap().start();
    for step in -2..4 {
        restored.reach(midnight.plus_micros(step * 50_000_000));
    }
    restored.writer.finish().unwrap();
    drop(restored);
    assert_eq!(attempts(), 3);
    gatewatch(&["verify", &name], b"").good();
}
