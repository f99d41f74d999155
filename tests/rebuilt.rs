//! A store that is damaged in any way, lost, or behind its event lines: it is kept aside and rebuilt from them, to the unit;
//! what was closed stays as it is, the chain of hashes goes on, and all of it is said aloud.

#![allow(
    clippy::expect_used,
    clippy::indexing_slicing,
    clippy::panic,
    clippy::unwrap_used,
    reason = "a test stops at the first surprise"
)]

use std::fs;
use std::path::{Path, PathBuf};

use serde_json::{Value, json};

#[allow(dead_code, reason = "shared by all tests")]
mod support;

use support::generator::frames::Link;
use support::generator::plan::Plan;
use support::run::Run;
use support::sensor::{Desk, Ended, capture, files, gatewatch, read_json};

/// What the plan's month counts: the three countries and the forged requests.
const ATTEMPTS: u64 = 1_260;
const STORE: &str = "gatewatch.sqlite";

/// The small plan in a month of 2026, with attempts of its own.
fn plan(month: i8) -> Plan {
    let small = Plan::named("small").expect("the plan");
    Plan { from: (2026, month), seed: small.seed + u64::from(month.unsigned_abs()), ..small }
}

/// A way to harm the file of a store.
type Harm = fn(&Path);

/// Overwrites a part of a file with noise.
fn scribble(path: &Path, from: usize, length: usize) {
    let mut bytes = fs::read(path).unwrap();
    let end = (from + length).min(bytes.len());
    for (at, byte) in bytes[from.min(end)..end].iter_mut().enumerate() {
        *byte = (at * 37 + 11) as u8;
    }
    fs::write(path, bytes).unwrap();
}

/// First page of each table or index, as SQLite's own table of contents has it.
fn roots(path: &Path) -> Vec<(String, usize)> {
    let store = rusqlite::Connection::open(path).unwrap();
    let mut asked = store.prepare("SELECT name, rootpage FROM sqlite_master WHERE rootpage > 0").unwrap();
    let rows = asked.query_map([], |row| Ok((row.get(0)?, row.get::<_, u32>(1)? as usize))).unwrap();
    rows.map(Result::unwrap).collect()
}

fn tear(path: &Path, table: &str) {
    let page = roots(path).into_iter().find(|(name, _)| name == table).unwrap().1;
    scribble(path, (page - 1) * 4_096, 4_096);
}

const HARMS: [(&str, Harm); 7] = [
    ("header", |path| scribble(path, 0, 100)),
    ("middle", |path| {
        let pages = fs::metadata(path).unwrap().len() as usize / 4_096;
        scribble(path, pages * 2 / 5 * 4_096, pages / 5 * 4_096);
    }),
    ("tally", |path| tear(path, "tally")),
    ("sources", |path| tear(path, "source_day")),
    ("identities", |path| tear(path, "seen")),
    ("half", |path| {
        let length = fs::metadata(path).unwrap().len();
        fs::File::options().write(true).open(path).unwrap().set_len(length / 2 + 77).unwrap();
    }),
    ("gone", |path| fs::remove_file(path).unwrap()),
];

/// A month replayed, and a capture of the next one that opens the store again.
struct Stage {
    desk: Desk,
    month: PathBuf,
    next: PathBuf,
}

fn stage() -> Stage {
    let desk = Desk::of(&plan(10));
    let settings = fs::read_to_string(desk.settings()).unwrap();
    let report = "\n[report]\nformats = [\"json\", \"text\"]\nperiods = [\"day\", \"month\"]\n";
    fs::write(desk.settings(), format!("{settings}{report}")).unwrap();
    let month = desk.write("month.pcap", &capture(&plan(10), Link::Ethernet));
    let next = desk.write("next.pcap", &capture(&plan(11), Link::Ethernet));
    desk.replay("clean", &[&month], b"").good();
    Stage { desk, month, next }
}

fn copy(from: &Path, to: &Path) {
    fs::create_dir_all(to).unwrap();
    for entry in fs::read_dir(from).unwrap() {
        let path = entry.unwrap().path();
        let target = to.join(path.file_name().unwrap());
        if path.is_dir() {
            copy(&path, &target);
        } else if let Ok(link) = fs::read_link(&path) {
            std::os::unix::fs::symlink(link, target).unwrap();
        } else {
            fs::copy(&path, target).unwrap();
        }
    }
}

/// The month as the store has it now, whatever was closed.
fn asked(folder: &Path, format: &str) -> Ended {
    let folder = folder.display().to_string();
    gatewatch(&["report", "--month", "2026-10", "--format", format, "--from-dir", &folder], b"").good()
}

fn stored(folder: &Path) -> Value {
    serde_json::from_str(&asked(folder, "json").stdout).unwrap()
}

/// What event lines tell: every count, but for what is estimated of packets and time.
fn counted(report: &Value) -> Value {
    let totals = |unit: &str| report["totals"][unit].clone();
    let steps: Vec<Value> = report["series"]
        .as_array()
        .unwrap()
        .iter()
        .map(|step| json!([step["period"], step["attempts"]]))
        .collect();
    let countries: Vec<Value> = report["origins"]
        .as_array()
        .unwrap()
        .iter()
        .map(|row| json!([row["kind"], row["code"], row["attempts"], row["sources"], row["incidents"]]))
        .collect();
    json!([
        totals("attempts"),
        totals("sessions"),
        totals("incidents"),
        totals("campaigns"),
        totals("sources"),
        report["headline"]["overseas_attempts"],
        report["sites"],
        report["classes"],
        report["grades"],
        report["sectors"],
        report["incidents"],
        steps,
        countries
    ])
}

fn closed_files(folder: &Path) -> Vec<(PathBuf, Vec<u8>)> {
    let is_closed = |path: &PathBuf| {
        let name = path.file_name().unwrap().to_string_lossy().into_owned();
        path.is_file()
            && (name.starts_with("report-2026-10") || name.starts_with("manifest-2026-10"))
            && !name.contains(".open.")
    };
    files(folder).into_iter().filter(is_closed).map(|path| (path.clone(), fs::read(&path).unwrap())).collect()
}

#[test]
fn a_store_damaged_in_any_way_is_rebuilt_to_the_unit_and_says_so() {
    let Stage { desk, next, .. } = stage();
    let clean = stored(&desk.path("clean"));
    assert_eq!(clean["totals"]["attempts"], ATTEMPTS);
    assert!(clean.get("repairs").is_none(), "nothing was repaired");
    for (harm, act) in HARMS {
        let folder = desk.path(harm);
        copy(&desk.path("clean"), &folder);
        act(&folder.join(STORE));
        let before = closed_files(&folder);
        assert!(before.len() > 60, "{harm}: {}", before.len());
        let told = desk.replay(harm, &[&next], b"").good().stderr;
        let rebuilt = stored(&folder);
        assert_eq!(counted(&rebuilt), counted(&clean), "{harm}: {told}");
        let repairs = rebuilt["repairs"].as_array().unwrap_or_else(|| panic!("{harm}: {told}"));
        assert_eq!(repairs.len(), 1, "{harm}: {repairs:#?}");
        assert_eq!(repairs[0]["cause"], if harm == "gone" { "missing" } else { "corrupt" });
        assert_eq!(repairs[0]["attempts_gone"], 0, "{harm}");
        let days = |member: &str| repairs[0][member].as_u64().unwrap();
        assert!(days("days_taken_over") + days("days_recounted") >= 30, "{harm}: {repairs:#?}");
        assert_eq!(days("days_gone"), 0, "{harm}");
        let text = asked(&folder, "text").stdout.split_whitespace().collect::<Vec<_>>().join(" ");
        let sentence = if harm == "gone" {
            "The store was missing and rebuilt"
        } else {
            "The store was damaged and rebuilt"
        };
        assert!(text.contains(sentence) && told.contains(sentence), "{harm}: {text}\n{told}");
        let aside = folder.join("gatewatch.corrupt-1");
        assert_eq!(aside.exists(), harm != "gone", "{harm}: the damaged one is kept");
        for (path, content) in &before {
            assert_eq!(&fs::read(path).unwrap(), content, "{harm}: {} was closed", path.display());
        }
        // The chain of months goes on behind the report that was closed before.
        let link = read_json(&folder.join("report-2026-11.json"))["previous_sha256"].clone();
        assert_eq!(link, read_json(&folder.join("report-2026-10.json"))["sha256"], "{harm}");
        gatewatch(&["verify", &folder.display().to_string()], b"").good();
    }
}

#[test]
fn identities_come_back_with_the_lines_so_that_a_capture_counts_once() {
    let Stage { desk, month, .. } = stage();
    let folder = desk.path("clean");
    let clean = stored(&folder);
    for harm in ["header", "gone"] {
        let act = HARMS.iter().find(|(name, _)| *name == harm).unwrap().1;
        act(&folder.join(STORE));
        // The new store knows no capture file by its hash.
        desk.replay("clean", &[&month], b"").good();
        assert_eq!(counted(&stored(&folder)), counted(&clean), "{harm}");
        gatewatch(&["verify", &folder.display().to_string()], b"").good();
    }
}

#[test]
fn a_day_without_lines_is_told_to_be_gone_and_its_closed_report_is_not_contradicted() {
    let Stage { desk, next, .. } = stage();
    let folder = desk.path("clean");
    let day = read_json(&folder.join("report-2026-10-05.json"))["totals"]["attempts"].as_u64().unwrap();
    assert!(day > 0);
    fs::remove_file(folder.join("events-2026-10-05.jsonl")).unwrap();
    scribble(&folder.join(STORE), 0, 100);
    desk.replay("clean", &[&next], b"").good();
    assert_eq!(stored(&folder)["totals"]["attempts"], ATTEMPTS - day);
    let verified = gatewatch(&["verify", &folder.display().to_string()], b"");
    let said = format!("{}{}", verified.stdout, verified.stderr);
    assert!(said.contains("report-2026-10-05.json") && said.contains("rebuilt"), "{said}");
    // A file of a manifest is missing: that alone is wrong.
    assert!(!said.contains(", the store "), "{said}");
    let repair = &stored(&folder)["repairs"][0];
    assert_eq!((&repair["days_gone"], &repair["attempts_gone"]), (&json!(1), &json!(day)));
}

#[test]
fn a_rebuilding_that_is_cut_off_begins_again_and_counts_nothing_twice() {
    let Stage { desk, next, .. } = stage();
    let folder = desk.path("clean");
    let clean = counted(&stored(&folder));
    scribble(&folder.join(STORE), 0, 100);
    desk.replay("clean", &[&next], b"").good();
    // As a kill in the midst of it leaves it: half of it is there, and it is not done.
    let store = rusqlite::Connection::open(folder.join(STORE)).unwrap();
    store
        .execute(
            "INSERT OR REPLACE INTO meta VALUES ('rebuilding', ?1)",
            [folder.join("gatewatch.corrupt-1").display().to_string()],
        )
        .unwrap();
    store.execute("DELETE FROM tally WHERE hour % 2 = 0", []).unwrap();
    drop(store);
    let third = desk.write("third.pcap", &capture(&plan(12), Link::Ethernet));
    let told = desk.replay("clean", &[&third], b"").good().stderr;
    assert!(told.contains("cut off and is begun again"), "{told}");
    assert_eq!(counted(&stored(&folder)), clean);
    gatewatch(&["verify", &folder.display().to_string()], b"").good();
}

/// A daemon's folders as they are at this moment, for another run to find.
fn as_it_is(from: &Path, to: &Path, without: &[&str]) {
    copy(from, to);
    for name in without {
        let path = to.join("state").join(name);
        if path.exists() {
            fs::remove_file(path).unwrap();
        }
    }
}

fn begin(reports: &Path, state: &Path) -> Run {
    Run::begin(&support::run::settings(reports, state))
}

/// Attempts in the store of a run that goes on.
fn total(state: &Path) -> u64 {
    let store = rusqlite::Connection::open(state.join(STORE)).unwrap();
    let sum = store.query_row("SELECT sum(attempts) FROM tally", [], |row| row.get::<_, i64>(0)).unwrap();
    sum.unsigned_abs()
}

#[test]
fn a_write_ahead_log_that_was_lost_costs_no_attempt() {
    let folder = tempfile::tempdir().unwrap();
    let at = |name: &str, part: &str| folder.path().join(name).join(part);
    let mut run = begin(&at("first", "reports"), &at("first", "state"));
    for _ in 0..5 {
        run.second(30).unwrap();
    }
    // With its log nothing is behind: a kill costs nothing and tells nothing.
    as_it_is(&folder.path().join("first"), &folder.path().join("whole"), &[]);
    let again = begin(&at("whole", "reports"), &at("whole", "state"));
    assert!(again.told.is_empty(), "{:?}", again.told);
    assert_eq!(total(&at("whole", "state")), 150);
    // Without it the store is as of its last checkpoint; the lines have gone on.
    as_it_is(
        &folder.path().join("first"),
        &folder.path().join("lost"),
        &["gatewatch.sqlite-wal", "gatewatch.sqlite-shm"],
    );
    let mut again = begin(&at("lost", "reports"), &at("lost", "state"));
    assert!(again.told.iter().any(|told| told.contains("150 attempts")), "{:?}", again.told);
    (again.attempts, again.now) = (run.attempts, run.now);
    again.second(7).unwrap();
    again.close_day();
    assert_eq!(total(&at("lost", "state")), 157);
    let report = read_json(&at("lost", "reports").join("report-2026-11-25.json"));
    assert_eq!(report["totals"]["attempts"], 157);
    assert_eq!(report["repairs"][0]["attempts"], 150, "{:#?}", report["repairs"]);
    let lines = fs::read_to_string(at("lost", "reports").join("events-2026-11-25.jsonl")).unwrap();
    assert_eq!(lines.lines().count(), 157, "no line was cut off, none written twice");
    gatewatch(&["verify", &at("lost", "reports").display().to_string()], b"").good();
}

#[test]
fn a_store_damaged_while_it_is_in_use_is_replaced_and_counting_goes_on() {
    let folder = tempfile::tempdir().unwrap();
    let (reports, state) = (folder.path().join("reports"), folder.path().join("state"));
    let mut run = begin(&reports, &state);
    for _ in 0..5 {
        run.second(30).unwrap();
    }
    // Everything from the log to the file, then noise in the file; the change of another process makes the writer read it again.
    let other = rusqlite::Connection::open(state.join(STORE)).unwrap();
    other.query_row("PRAGMA wal_checkpoint(TRUNCATE)", [], |_| Ok(())).unwrap();
    let page = roots(&state.join(STORE)).into_iter().find(|(name, _)| name == "tally").unwrap().1;
    other.execute("INSERT INTO meta VALUES ('other', 'process')", []).unwrap();
    drop(other);
    overwrite(&state.join(STORE), (page - 1) * 4_096);
    let mut waiting = run.pass(20);
    let failed = run.writer.record(&mut waiting).unwrap_err();
    assert!(failed.is_corrupt(), "{failed}");
    let told = run.writer.replace_store(&failed, &mut |_| {}).unwrap().join(" ");
    assert!(told.contains("corrupt-1") && told.contains("150 attempts"), "{told}");
    run.writer.record(&mut waiting).unwrap();
    run.close_day();
    let report = read_json(&reports.join("report-2026-11-25.json"));
    assert_eq!(report["totals"]["attempts"], 170);
    gatewatch(&["verify", &reports.display().to_string()], b"").good();
}

/// Noise over a page of a file, in place: the file stays the one that is open.
fn overwrite(path: &Path, at: usize) {
    use std::os::unix::fs::FileExt;
    fs::File::options().write(true).open(path).unwrap().write_all_at(&[0x5a; 4_096], at as u64).unwrap();
}
