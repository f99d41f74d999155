//! Kill -9 at random moments: a replay that is killed again and again and then run to its end must have counted
//! exactly what one undisturbed run counts, and its folder must verify.

#![allow(
    clippy::expect_used,
    clippy::indexing_slicing,
    clippy::panic,
    clippy::print_stderr,
    clippy::unwrap_used,
    clippy::disallowed_methods,
    reason = "a test stops at the first surprise, says what it skips, and may look at the clock"
)]

use std::process::{Command, Stdio};
use std::time::{Duration, Instant};

use serde_json::Value;

#[allow(dead_code, reason = "shared by all tests")]
mod support;

use support::generator::frames::Link;
use support::generator::plan::Plan;
use support::sensor::{Desk, capture, gatewatch};

/// Kills in all.
const KILLS: u32 = 200;
/// Kills of one folder before it is left alone.
const KILLS_OF_ONE: u32 = 5;
const PERIOD: &str = "2026-10";

const PLAN: &str = r#"
seed = 31
from = [2026, 10]
trend = [1]
home = "CN"
[[site]]
name = "www.town.example"
v4 = "203.0.113.10"
v6 = "2001:db8:2::10"
weight = 1
[attempts]
CN = 100
DE = 300
US = 800
[kinds]
command = 1
sqli = 2
traversal = 1
xss = 1
[noise]
benign = 300
forged_syns = 100
forged_requests = 60
[shape]
keep_alive_percent = 30
pipelined_percent = 40
ipv6_percent = 15
retransmitted_percent = 10
reordered_percent = 30
"#;

/// What must be the same however often it was killed.
fn counted(report: &Value) -> Value {
    let parts = [
        "period",
        "totals",
        "headline",
        "sites",
        "origins",
        "sectors",
        "classes",
        "grades",
        "series",
        "losses",
        "incidents",
    ];
    parts
        .iter()
        .map(|part| ((*part).to_owned(), report[*part].clone()))
        .collect::<serde_json::Map<_, _>>()
        .into()
}

#[test]
fn killed_at_any_moment_nothing_is_counted_twice_and_nothing_is_lost() {
    let desk = Desk::of(&Plan::parse(PLAN).expect("the plan"));
    let settings = std::fs::read_to_string(desk.settings()).unwrap();
    std::fs::write(
        desk.settings(),
        format!("{settings}\n[report]\nformats = [\"json\"]\nperiods = [\"day\", \"month\"]\n"),
    )
    .unwrap();
    let month = desk.write("month.pcap", &capture(&Plan::parse(PLAN).expect("the plan"), Link::Ethernet));
    // What a start costs (rules, databases) is not worth killing.
    let begin = Instant::now();
    gatewatch(&["rules", "list"], b"").good();
    let start = begin.elapsed();
    let begin = Instant::now();
    desk.replay("clean", &[&month], b"").good();
    let work = begin.elapsed().saturating_sub(start).max(Duration::from_millis(50));
    let clean = desk.report("clean", PERIOD);
    assert_eq!(clean["totals"]["attempts"], 1_260);

    let mut random = 0x9e37_79b9_7f4a_7c15_u64;
    let mut killed = 0;
    for round in 0..KILLS / KILLS_OF_ONE {
        let out = format!("round-{round}");
        for _ in 0..KILLS_OF_ONE {
            random = random.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
            let part = f64::from((random >> 40) as u32) / f64::from(1_u32 << 24);
            let after = start.mul_f64(0.8) + work.mul_f64(part);
            let mut child = Command::new(env!("CARGO_BIN_EXE_gatewatch"))
                .args(["-q", "replay", "-c"])
                .arg(desk.settings())
                .arg("-o")
                .arg(desk.path(&out))
                .arg(&month)
                .stdout(Stdio::null())
                .stderr(Stdio::null())
                .spawn()
                .expect("a replay");
            std::thread::park_timeout(after);
            killed += u32::from(child.try_wait().expect("asked").is_none());
            child.kill().expect("killed");
            child.wait().expect("waited");
        }
        desk.replay(&out, &[&month], b"").good();
        let report = latest(&desk, &out);
        assert_eq!(counted(&report), counted(&clean), "round {round}");
        assert_eq!(desk.events(&out).len(), 1_260, "round {round}");
        let folder = desk.path(&out).display().to_string();
        gatewatch(&["verify", &folder], b"").good();
    }
    assert!(killed > KILLS / 2, "only {killed} runs were still under way when they were killed");
}

/// The report of the month, or its last correction.
fn latest(desk: &Desk, out: &str) -> Value {
    let versions = (2..10).rev().map(|version| format!("{PERIOD}.c{version}"));
    let name = versions
        .chain([PERIOD.to_owned()])
        .find(|name| desk.path(out).join(format!("report-{name}.json")).exists());
    desk.report(out, &name.expect("a report"))
}
