//! The short commands of the built binary: explain, rules, check, lookup, man, completions.

#![allow(
    clippy::expect_used,
    clippy::indexing_slicing,
    clippy::panic,
    clippy::print_stderr,
    clippy::unwrap_used,
    reason = "a test stops at the first surprise and says what it skips"
)]

use std::fs;
use std::process::Command;
use std::sync::OnceLock;

#[allow(dead_code, reason = "shared by all tests")]
mod support;

use support::generator::frames::Link;
use support::generator::plan::Plan;
use support::sensor::{Desk, Ended, capture, gatewatch};

const PLAN: &str = r#"
seed = 5
from = [2026, 10]
trend = [1]
home = "CN"
[[site]]
name = "www.town.example"
v4 = "203.0.113.10"
v6 = "2001:db8:2::10"
weight = 1
[attempts]
DE = 4
US = 9
[kinds]
sqli = 1
traversal = 1
[noise]
benign = 20
forged_syns = 0
forged_requests = 0
[shape]
keep_alive_percent = 0
pipelined_percent = 0
ipv6_percent = 30
retransmitted_percent = 0
reordered_percent = 0
"#;

fn desk() -> &'static Desk {
    static DESK: OnceLock<Desk> = OnceLock::new();
    DESK.get_or_init(|| {
        let plan = Plan::parse(PLAN).expect("the plan");
        let desk = Desk::of(&plan);
        let month = desk.write("month.pcap", &capture(&plan, Link::Ethernet));
        desk.replay("out", &[&month], b"").good();
        desk
    })
}

fn explain(asked: &str) -> Ended {
    let out = desk().path("out").display().to_string();
    gatewatch(&["explain", "--from-dir", &out, asked], b"")
}

#[test]
fn an_event_and_an_address_are_explained_with_rule_place_and_excerpt() {
    let events = desk().events("out");
    assert_eq!(events.len(), 13);
    let event = &events[0];
    let (id, source) = (event["gatewatch"]["id"].as_str().unwrap(), event["src_ip"].as_str().unwrap());
    let evidence = &event["gatewatch"]["evidence"][0];
    let ended = explain(id).good();
    for part in [id, source, evidence["rule"].as_str().unwrap(), evidence["excerpt"].as_str().unwrap()] {
        assert!(ended.stdout.contains(part), "{part} in {}", ended.stdout);
    }
    assert_eq!(ended.stdout.matches("  event ").count(), 1);
    let of_source = events.iter().filter(|event| event["src_ip"] == source).count();
    assert_eq!(explain(source).good().stdout.matches("  event ").count(), of_source);
    let sixth = events.iter().find_map(|event| event["src_ip"].as_str().filter(|ip| ip.contains(':')));
    assert!(explain(sixth.expect("a source of IPv6")).good().stdout.contains("  event "));
}

#[test]
fn compressed_event_files_are_explained_too() {
    let desk = Desk::of(&Plan::parse(PLAN).expect("the plan"));
    let events = self::desk().events("out");
    let line = format!("{}\n", events[0]);
    desk.write("old/events-2026-10-01.jsonl.zst", &zstd::encode_all(line.as_bytes(), 3).unwrap());
    let folder = desk.path("old").display().to_string();
    let id = events[0]["gatewatch"]["id"].as_str().unwrap();
    let ended = gatewatch(&["explain", "--from-dir", &folder, id], b"").good();
    assert!(ended.stdout.contains(id), "{}", ended.stdout);
}

#[test]
fn what_was_never_counted_is_said_so() {
    for asked in ["192.0.2.200", "0123456789abcdef"] {
        let ended = explain(asked);
        assert_eq!(ended.code, Some(66), "{ended:?}");
        assert!(ended.complaint().contains(asked), "{}", ended.stderr);
    }
}

#[test]
fn rules_test_judges_a_capture_and_writes_nothing() {
    let month = desk().path("month.pcap").display().to_string();
    let ended = gatewatch(&["rules", "test", &month], b"").good();
    assert!(
        ended.stdout.contains("33 requests: 13 attacks, 0 suspicious, 0 excepted, 20 clean"),
        "{}",
        ended.stdout
    );
    assert_eq!(ended.stdout.lines().filter(|line| line.contains(" -> ")).count(), 13);
    let ended = gatewatch(&["rules", "test", "/nonexistent.pcap"], b"");
    assert_eq!(ended.code, Some(66), "{ended:?}");
}

#[test]
fn rules_list_names_every_rule_once_with_its_hash() {
    let ended = gatewatch(&["rules", "list"], b"").good();
    let mut ids: Vec<&str> = ended
        .stdout
        .lines()
        .filter(|line| !line.starts_with("set "))
        .map(|line| {
            let fields: Vec<&str> = line.split_whitespace().collect();
            assert_eq!(fields[3].len(), 16, "a hash in {line}");
            assert!(fields[1].contains('.'), "a class in {line}");
            fields[0]
        })
        .collect();
    let count = ids.len();
    ids.sort_unstable();
    ids.dedup();
    assert!(count > 100 && ids.len() == count);
}

#[test]
fn detectors_that_judge_by_source_are_listed_and_switched_by_their_tables() {
    let desk = desk();
    let list = |name: &str, text: &str| {
        let file = desk.write(name, text.as_bytes()).display().to_string();
        gatewatch(&["rules", "list", "-c", &file], b"")
    };
    let line = |ended: &Ended, id: &str| {
        let found = ended.stdout.lines().find(|line| line.split_whitespace().next() == Some(id));
        found.unwrap_or_else(|| panic!("{id} in {}", ended.stdout)).to_owned()
    };
    let plain = list("plain.toml", "").good();
    let off =
        list("off.toml", "[scan.vertical]\nenabled = false\n[flood.http]\nper_second_min = 500\n").good();
    for id in ["scan.vertical", "scan.distributed", "auth.guessing", "flood.syn"] {
        assert!(!line(&plain, id).contains("(disabled)"), "{id}");
    }
    assert!(line(&off, "scan.vertical").ends_with("(disabled)"));
    assert_ne!(line(&off, "flood.http"), line(&plain, "flood.http"));
    assert_eq!(line(&off, "flood.syn"), line(&plain, "flood.syn"));
    let set = |ended: &Ended| ended.stdout.lines().last().map(str::to_owned);
    assert_eq!(set(&off), set(&plain), "their settings are no part of the detection set");

    let refused = list("refused.toml", "[detect]\ndisable = [\"scan.vertical\"]\n");
    assert_eq!(refused.code, Some(78), "{refused:?}");
    assert!(refused.complaint().contains("[scan.vertical]"), "{}", refused.stderr);
}

#[test]
fn check_prints_what_is_in_effect_and_refuses_what_is_not_usable() {
    let desk = desk();
    let settings = desk.settings().display().to_string();
    let ended = gatewatch(&["check", "-c", &settings], b"").good();
    for part in
        ["[capture]", "snaplen", "www.town.example", "# detection set ", "# database DBIP-Country-Lite"]
    {
        assert!(ended.stdout.contains(part), "{part} in {}", ended.stdout);
    }
    for (name, text, told) in [
        ("unknown.toml", "[capture]\nsnaplenn = 1\n", "snaplenn"),
        ("range.toml", "[capture]\nsnaplen = 7\n", "96 to 262144"),
        ("type.toml", "[memory]\nlimit = true\n", "limit"),
        ("syntax.toml", "[capture\n", "line 1"),
        ("rule.toml", "[detect]\ndisable = [\"no.such\"]\n", "no.such"),
        ("home.toml", "[origin]\nhome = [\"China\"]\n", "China"),
        ("database.toml", "[origin]\ndatabases = [\"/nonexistent.mmdb\"]\n", "/nonexistent.mmdb"),
    ] {
        let path = desk.write(name, text.as_bytes()).display().to_string();
        let ended = gatewatch(&["check", "-c", &path], b"");
        assert_eq!(ended.code, Some(78), "{name}: {ended:?}");
        assert!(ended.stderr.contains(told), "{name}: {}", ended.stderr);
    }
    let broken =
        desk.write("rules.toml", b"[[rule]]\nid = \"x\"\nclass = \"web.xx\"\n").display().to_string();
    let text = format!("[detect]\nrules = [{broken:?}]\n");
    let path = desk.write("broken-rules.toml", text.as_bytes()).display().to_string();
    let ended = gatewatch(&["check", "-c", &path], b"");
    assert_eq!(ended.code, Some(78), "{ended:?}");
    assert!(ended.complaint().contains("rules.toml"), "{}", ended.stderr);
}

#[test]
fn check_tells_where_every_value_comes_from() {
    let desk = desk();
    let file = desk.write(
        "sources/gatewatch.toml",
        b"[capture]\nsnaplen = 1600\nfilter = \"tcp\"\n[[site]]\nname = \"a\"\n",
    );
    let drop_in = desk.write("sources/conf.d/10.toml", b"[[site]]\nname = \"b\"\nports = [80]\n");
    let (file, drop_in) = (file.display().to_string(), drop_in.display().to_string());
    let set = [
        "--set",
        "capture.snaplen=1700",
        "--set",
        "scan.slow.enabled = false",
        "-i",
        "wan0",
        "--home",
        "CN,DE",
    ];
    let ended = gatewatch(&[&["check", "-c", &file], &set[..]].concat(), b"").good();
    for line in [
        "snaplen = 1700  # command line (--set)".to_owned(),
        format!("filter = \"tcp\"  # {file}"),
        "interfaces = [\"wan0\"]  # command line (-i)".to_owned(),
        "home = [\"CN\", \"DE\"]  # command line (--home)".to_owned(),
        "promiscuous = false  # default".to_owned(),
        "enabled = false  # command line (--set)".to_owned(),
        format!("name = \"a\"  # {file}"),
        format!("name = \"b\"  # {drop_in}"),
        format!("ports = [80]  # {drop_in}"),
        "hosts = []  # default".to_owned(),
    ] {
        assert!(ended.stdout.lines().any(|printed| printed == line), "{line} in {}", ended.stdout);
    }
    let values = ended.stdout.lines().filter(|line| line.contains(" = ") && !line.starts_with('#'));
    for line in values {
        assert!(line.contains("  # "), "no source: {line}");
    }
}

#[test]
fn set_is_taken_wherever_settings_are_and_refused_with_a_reason() {
    let desk = desk();
    let settings = desk.settings().display().to_string();
    for (set, code, told) in [
        ("capture.snaplen", 64, "KEY=VALUE"),
        ("report.sensor=north", 64, "wants quotes"),
        ("capture.snaplenn=1", 78, "capture.snaplenn: unknown field `snaplenn`"),
        ("capture.snaplen=7", 78, "command line (--set): capture.snaplen: 7: 96 to 262144"),
        ("metrics.listen=\"0.0.0.0:9617\"", 78, "loopback"),
    ] {
        for command in ["check", "status", "run"] {
            let ended = gatewatch(&[command, "-c", &settings, "--set", set], b"");
            assert_eq!(ended.code, Some(code), "{command} {set}: {ended:?}");
            assert!(ended.complaint().contains(told), "{command} {set}: {}", ended.stderr);
        }
    }
    // A replay counts by it.
    let month = desk.path("month.pcap").display().to_string();
    let out = desk.path("set-out").display().to_string();
    let set = ["--set", "report.formats=[\"json\"]", "--set", "origin.home=[\"DE\"]"];
    gatewatch(&[&["replay", "-c", &settings, "-o", &out, &month], &set[..]].concat(), b"").good();
    let report = desk.report("set-out", "2026-10");
    assert_eq!(report["headline"]["overseas_attempts"], 9, "Germany is home");
    assert!(!desk.path("set-out/report-2026-10.txt").exists(), "json alone");
}

#[test]
fn lookup_tells_the_origin_of_each_address() {
    let ended = gatewatch(&["lookup", "8.8.8.8", "192.168.1.1", "2001:200::1"], b"").good();
    let lines: Vec<&str> = ended.stdout.lines().collect();
    assert!(lines[0].contains("US") && lines[1].contains("private") && lines[2].contains("JP"), "{lines:?}");
    assert_eq!(gatewatch(&["lookup", "no-address"], b"").code, Some(64));
}

#[test]
fn manual_pages_and_completions_are_made() {
    let folder = desk().path("man");
    fs::create_dir_all(&folder).unwrap();
    gatewatch(&["man", &folder.display().to_string()], b"").good();
    let page = |name: &str| fs::read_to_string(folder.join(name)).unwrap_or_else(|_| panic!("a page {name}"));
    assert!(page("gatewatch-replay.8").contains("standard input"));
    let daemon = page("gatewatch.8");
    for part in ["gatewatch\\-report(8)", "EXIT STATUS", "SIGHUP", "gatewatch.toml(5)"] {
        assert!(daemon.contains(part), "{part} in {daemon}");
    }
    assert!(page("gatewatch.toml.5").contains("snaplen"));
    renders(&support::sensor::files(&folder));
    for shell in ["bash", "zsh", "fish"] {
        assert!(gatewatch(&["completions", shell], b"").good().stdout.contains("explain"), "{shell}");
    }
}

/// What `man -l` says against pages: nothing, by groff's own word.
fn renders(pages: &[std::path::PathBuf]) {
    assert!(pages.len() > 15, "{pages:?}");
    for page in pages {
        let asked =
            Command::new("groff").args(["-man", "-Tutf8", "-P-cbou", "-ww", "-K", "utf8"]).arg(page).output();
        let Ok(said) = asked else {
            eprintln!("skipped: no groff");
            return;
        };
        assert!(
            said.status.success() && said.stderr.is_empty(),
            "{}: {}",
            page.display(),
            String::from_utf8_lossy(&said.stderr)
        );
        assert!(String::from_utf8_lossy(&said.stdout).contains("SEE ALSO"), "{}", page.display());
    }
}

#[test]
fn every_example_of_settings_is_accepted_without_a_warning() {
    let folder = std::path::Path::new(env!("CARGO_MANIFEST_DIR")).join("config/examples");
    let examples = support::sensor::files(&folder);
    assert!(examples.len() >= 3, "{examples:?}");
    for example in examples {
        let ended = gatewatch(&["check".into(), "-c".into(), example.clone().into_os_string()], b"").good();
        assert_eq!(ended.stderr, "", "{}", example.display());
        let named = example.display().to_string();
        assert!(ended.stdout.contains(&named), "settings of {named} take effect: {}", ended.stdout);
        fits_the_unit(&example);
    }
}

/// Limit and ring leave a quarter of the unit's `MemoryMax` to databases, rules and the store's cache.
fn fits_the_unit(example: &std::path::Path) {
    let unit = include_str!("../systemd/gatewatch.service");
    let most = unit.lines().find_map(|line| line.strip_prefix("MemoryMax=")).expect("a backstop");
    let most: gatewatch::config::size::Size = format!("{most}iB").parse().expect("a size");
    let settings: gatewatch::config::Settings =
        toml::from_str(&fs::read_to_string(example).unwrap()).unwrap();
    let held =
        settings.memory.limit.0 + settings.capture.buffer.0 * settings.capture.interfaces.len().max(1) as u64;
    assert!(held <= most.0 / 4 * 3, "{}: {held} bytes of {}", example.display(), most.0);
}

#[test]
fn the_version_tells_the_commit_the_machine_and_what_is_built_in() {
    let said = gatewatch(&["--version"], b"").good().stdout;
    for part in [env!("CARGO_PKG_VERSION"), "commit ", std::env::consts::ARCH, "+landlock", "+seccomp"] {
        assert!(said.contains(part), "{part} in {said}");
    }
}
