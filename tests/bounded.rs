//! As many sources in an hour as somebody likes to forge: memory and store stay within their limits, every attempt is counted.

#![allow(
    clippy::expect_used,
    clippy::indexing_slicing,
    clippy::panic,
    clippy::print_stderr,
    clippy::unwrap_used,
    reason = "a test stops at the first surprise and says what it skips"
)]

use std::fs;
use std::path::Path;
use std::process::Command;
use std::time::Duration;

#[allow(dead_code, reason = "shared by all tests")]
mod support;

use support::generator::plan::Plan;
use support::many::{crowd, forged, scans};
use support::run::Run;
use support::sensor::{Desk, PATIENCE, gatewatch, read_json, run};
use support::talk::SITE_ALONE;

/// Sources of the large capture, each with one attempt; `GATEWATCH_SOURCES` sets another number (`make million`).
const MANY: u32 = 100_000;
/// Those of the small one.
const FEW: u32 = 2_000;
/// Rows of sources that a day may have.
const ROWS: u64 = 1_000;
/// Scanners whose windows all fit in the tables of 64 MiB.
const FEW_SCANNERS: u32 = 500;
/// Ports that each scanner tries.
const PORTS: u16 = 12;
/// What the process takes beside `memory.limit`: docs/operating.md, "Sizing".
const BESIDE_MIB: u64 = 48;
const SETTINGS: &str = "
[report]
formats = [\"json\"]
periods = [\"day\"]
[memory]
limit = \"64MiB\"
[state]
limit = \"16MiB\"
sources_per_day = 1000
";

/// Replays a capture; gives the peak of resident memory in MiB.
fn replay(desk: &Desk, output: &str, capture: &[u8]) -> u64 {
    let file = desk.write(&format!("{output}.pcap"), capture);
    let program = "import resource,subprocess,sys
code=subprocess.call(sys.argv[1:],stdout=subprocess.DEVNULL)
print(resource.getrusage(resource.RUSAGE_CHILDREN).ru_maxrss//1024)
sys.exit(code)";
    let mut command = Command::new("python3");
    command.args(["-c", program, env!("CARGO_BIN_EXE_gatewatch"), "-q", "replay", "-c"]);
    command.arg(desk.settings()).arg("-o").arg(desk.path(output)).arg(file);
    run(command, b"", PATIENCE).good().stdout.trim().parse().expect("a number")
}

fn store_bytes(folder: &Path) -> u64 {
    ["gatewatch.sqlite", "gatewatch.sqlite-wal"]
        .iter()
        .filter_map(|name| fs::metadata(folder.join(name)).ok())
        .map(|metadata| metadata.len())
        .sum()
}

#[test]
fn forged_sources_fill_neither_memory_nor_store_and_are_all_counted() {
    if Command::new("python3").arg("--version").output().is_err() {
        eprintln!("skipped: python3 is not installed");
        return;
    }
    let desk = Desk::of(&Plan::parse(SITE_ALONE).expect("the plan"));
    let settings = fs::read_to_string(desk.settings()).unwrap();
    fs::write(desk.settings(), format!("{settings}{SETTINGS}")).unwrap();
    let asked = std::env::var("GATEWATCH_SOURCES").ok().and_then(|text| text.parse().ok());
    let sent: u32 = asked.unwrap_or(MANY);
    let few = replay(&desk, "few", &forged(FEW));
    let many = replay(&desk, "many", &forged(sent));
    eprintln!("resident at most: {few} MiB with {FEW} sources, {many} MiB with {sent}");
    assert!(many < few + 64, "{few} MiB with {FEW} sources, {many} MiB with {sent}: the limit is 64 MiB");
    let report = desk.report("many", "2026-10-14");
    assert_eq!(report["totals"]["attempts"], sent);
    let sources = report["totals"]["sources"].as_u64().unwrap();
    assert!(sources.abs_diff(u64::from(sent)) * 20 < u64::from(sent), "{sources} sources");
    assert_eq!(report["totals"]["estimates"], serde_json::json!(["sources"]));
    assert_eq!(report["totals"]["lower_bounds"], serde_json::json!(["campaigns"]));
    let listed = fs::read_to_string(desk.path("many/sources-2026-10-14.csv")).unwrap();
    let rows: Vec<&str> = listed.lines().skip(1).collect();
    assert!(rows.len() as u64 <= ROWS + 20, "{} rows", rows.len());
    let attempts: u64 = rows.iter().map(|row| row.split(',').nth(6).unwrap().parse::<u64>().unwrap()).sum();
    assert_eq!(attempts, u64::from(sent));
    // The quota, and the log that a writer may have beside it.
    assert!(store_bytes(&desk.path("many")) < 20 << 20, "{} bytes", store_bytes(&desk.path("many")));
    gatewatch(&["verify", &desk.path("many").display().to_string()], b"").good();
}

#[test]
fn sources_that_scan_at_once_fill_no_table_beyond_its_limit_and_no_probe_vanishes() {
    if Command::new("python3").arg("--version").output().is_err() {
        eprintln!("skipped: python3 is not installed");
        return;
    }
    let desk = Desk::of(&Plan::parse(SITE_ALONE).expect("the plan"));
    let settings = fs::read_to_string(desk.settings()).unwrap();
    // Not a flood, however many there are: the tables of sources are tried here.
    let flood = "[flood.syn]\nenabled = false\n";
    fs::write(desk.settings(), format!("{settings}{SETTINGS}{flood}")).unwrap();
    let asked = std::env::var("GATEWATCH_SOURCES").ok().and_then(|text| text.parse().ok());
    let sent: u32 = asked.unwrap_or(MANY / 2);
    let few = replay(&desk, "few", &scans(FEW_SCANNERS, PORTS));
    let many = replay(&desk, "many", &scans(sent, PORTS));
    eprintln!("resident at most: {few} MiB with {FEW_SCANNERS} scanners, {many} MiB with {sent}");
    assert!(
        many < few + 64,
        "{few} MiB with {FEW_SCANNERS} scanners, {many} MiB with {sent}: the limit is 64 MiB"
    );
    let all = |report: &serde_json::Value| {
        let count = |place: &str| report.pointer(place).and_then(serde_json::Value::as_u64).unwrap_or(0);
        count("/totals/attempts") + count("/not_judged/contacts") + count("/counters/contacts_in_floods")
    };
    for (output, sources) in [("few", FEW_SCANNERS), ("many", sent)] {
        let report = desk.report(output, "2026-10-14");
        assert_eq!(
            all(&report),
            u64::from(sources) * u64::from(PORTS),
            "{output}: {} {} {}",
            report["totals"],
            report["not_judged"],
            report["counters"]
        );
    }
    assert_eq!(
        desk.report("few", "2026-10-14")["totals"]["attempts"],
        u64::from(FEW_SCANNERS) * u64::from(PORTS)
    );
    gatewatch(&["verify", &desk.path("many").display().to_string()], b"").good();
}

#[test]
fn the_settings_for_a_small_gateway_hold_what_they_promise() {
    if Command::new("python3").arg("--version").output().is_err() {
        eprintln!("skipped: python3 is not installed");
        return;
    }
    let example = Path::new(env!("CARGO_MANIFEST_DIR")).join("config/examples/small-gateway.toml");
    let desk = Desk::of(&Plan::parse(SITE_ALONE).expect("the plan"));
    let settings = fs::read_to_string(example).unwrap();
    assert!(settings.contains("limit = \"64MiB\""), "the profile of 64 MiB");
    fs::write(desk.settings(), format!("{settings}[flood.syn]\nenabled = false\n")).unwrap();
    let asked = std::env::var("GATEWATCH_SOURCES").ok().and_then(|text| text.parse().ok());
    let sent: u32 = asked.unwrap_or(MANY / 10);
    let peak = replay(&desk, "scans", &scans(sent, PORTS));
    eprintln!("resident at most: {peak} MiB with {sent} scanners at memory.limit = 64 MiB");
    assert!(peak <= 64 + BESIDE_MIB, "{peak} MiB");
    let report = desk.report("scans", "2026-10-14");
    let count = |place: &str| report.pointer(place).and_then(serde_json::Value::as_u64).unwrap_or(0);
    let all =
        count("/totals/attempts") + count("/not_judged/contacts") + count("/counters/contacts_in_floods");
    assert_eq!(all, u64::from(sent) * u64::from(PORTS), "every probe is an attempt or not judged");
    gatewatch(&["verify", &desk.path("scans").display().to_string()], b"").good();
}

/// What the contract allows for a million active sources and a quarter million conversations, in bytes.
const BUDGET_BYTES: u64 = 256_000_000;

#[test]
fn a_crowd_of_sources_and_conversations_stays_within_the_budget_of_memory() {
    if Command::new("python3").arg("--version").output().is_err() {
        eprintln!("skipped: python3 is not installed");
        return;
    }
    let asked = std::env::var("GATEWATCH_SOURCES").ok().and_then(|text| text.parse().ok());
    let sources: u32 = asked.unwrap_or(MANY / 10);
    let crowd = crowd(sources);
    for limit in [32, 64, 128] {
        let desk = Desk::of(&Plan::parse(SITE_ALONE).expect("the plan"));
        let settings = fs::read_to_string(desk.settings()).unwrap();
        let further = format!("[report]\nformats = [\"json\"]\n[memory]\nlimit = \"{limit}MiB\"\n");
        fs::write(desk.settings(), settings + &further).unwrap();
        let peak = replay(&desk, "crowd", &crowd);
        eprintln!(
            "memory.limit {limit} MiB: {peak} MiB resident with {sources} sources and {} conversations",
            sources / 4
        );
        assert!(peak <= limit + BESIDE_MIB && peak << 20 <= BUDGET_BYTES, "{peak} MiB at {limit} MiB");
    }
}

#[test]
fn open_reports_that_take_long_are_written_more_seldom() {
    let folder = tempfile::tempdir().unwrap();
    let mut settings = support::run::settings(folder.path(), folder.path());
    settings.report.refresh_secs = 10;
    let mut sensor = Run::begin(&settings);
    // Seconds in which the report of the day was written anew, and took so long.
    let mut written = |took: Duration| -> Vec<u64> {
        let mut seconds = Vec::new();
        for second in 0..120 {
            sensor.second(1).unwrap();
            let path = folder.path().join("report-2026-11-25.open.json");
            if path.exists() && read_json(&path)["totals"]["attempts"] == sensor.attempts {
                sensor.writer.note_settling(took);
                seconds.push(second);
            }
        }
        seconds
    };
    let soon = written(Duration::from_millis(1));
    assert!((11..=13).contains(&soon.len()), "every ten seconds: {soon:?}");
    // The first of them comes by the earlier rest.
    let seldom = written(Duration::from_secs(3));
    assert!((2..=3).contains(&seldom.len()), "once a minute: {seldom:?}");
}
