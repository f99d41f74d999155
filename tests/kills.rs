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

use std::path::Path;
use std::process::{Command, Stdio};
use std::time::{Duration, Instant};

use serde_json::Value;

#[allow(dead_code, reason = "shared by all tests")]
mod support;

use support::generator::frames::Link;
use support::generator::plan::Plan;
use support::generator::random::Random;
use support::sensor::{Desk, capture, gatewatch};

/// Kills in all; `GATEWATCH_KILLS` sets another number (`make test-system`).
const KILLS: u32 = 200;
/// Kills of one folder before it is left alone.
const KILLS_OF_ONE: u32 = 5;
/// Folders that are killed in at a time: the machine of CI has two cores.
const LANES: u32 = 2;
const PERIOD: &str = "2026-10";

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
    let plan = Plan::named("small").expect("the plan");
    let desk = Desk::of(&plan);
    let settings = std::fs::read_to_string(desk.settings()).unwrap();
    std::fs::write(
        desk.settings(),
        format!("{settings}\n[report]\nformats = [\"json\"]\nperiods = [\"day\", \"month\"]\n"),
    )
    .unwrap();
    let month = desk.write("month.pcap", &capture(&plan, Link::Ethernet));
    // What a start costs (rules, databases) is not worth killing. The fastest of three: one that the machine held up would
    // have most runs come to their end before they are killed.
    let fastest = |act: &dyn Fn(u32)| {
        let times = (0..3).map(|turn| {
            let begin = Instant::now();
            act(turn);
            begin.elapsed()
        });
        times.min().unwrap_or_default()
    };
    let start = fastest(&|_| {
        gatewatch(&["rules", "list"], b"").good();
    });
    let whole = fastest(&|turn| {
        desk.replay(&format!("clean{turn}"), &[&month], b"").good();
    });
    let work = whole.saturating_sub(start).max(Duration::from_millis(50));
    let clean = desk.report("clean0", PERIOD);
    assert_eq!(clean["totals"]["attempts"], 1_260);

    let asked = std::env::var("GATEWATCH_KILLS").ok().and_then(|text| text.parse().ok());
    let kills: u32 = asked.unwrap_or(KILLS);
    let killing = Kills { desk: &desk, month: &month, clean: &clean, start, work };
    // Folders know nothing of each other: each lane kills in its own.
    let killed: u32 = std::thread::scope(|scope| {
        let lanes: Vec<_> = (0..LANES)
            .map(|lane| {
                let killing = &killing;
                scope.spawn(move || {
                    (0..kills / KILLS_OF_ONE)
                        .filter(|round| round % LANES == lane)
                        .map(|round| killing.round(round))
                        .sum::<u32>()
                })
            })
            .collect();
        lanes.into_iter().map(|lane| lane.join().expect("a lane that came to its end")).sum()
    });
    assert!(killed > kills / 2, "only {killed} runs were still under way when they were killed");
}

/// What is killed, when, and what must come of it.
struct Kills<'a> {
    desk: &'a Desk,
    month: &'a Path,
    clean: &'a Value,
    /// How long a run takes until it begins with the capture.
    start: Duration,
    /// How long it then takes.
    work: Duration,
}

impl Kills<'_> {
    /// Some kills of one folder, then a run to its end. Gives the runs that were still under way when they were killed.
    fn round(&self, round: u32) -> u32 {
        let desk = self.desk;
        let out = format!("round-{round}");
        let mut random = Random::keyed(&[u64::from(round)]);
        let mut killed = 0;
        for _ in 0..KILLS_OF_ONE {
            let part = random.below(1_000) as f64 / 1_000.0;
            let mut child = Command::new(env!("CARGO_BIN_EXE_gatewatch"))
                .args(["-q", "replay", "-c"])
                .arg(desk.settings())
                .arg("-o")
                .arg(desk.path(&out))
                .arg(self.month)
                .stdout(Stdio::null())
                .stderr(Stdio::null())
                .spawn()
                .expect("a replay");
            std::thread::park_timeout(self.start.mul_f64(0.8) + self.work.mul_f64(part));
            killed += u32::from(child.try_wait().expect("asked").is_none());
            child.kill().expect("killed");
            child.wait().expect("waited");
        }
        desk.replay(&out, &[self.month], b"").good();
        let report = latest(desk, &out);
        assert_eq!(counted(&report), counted(self.clean), "round {round}");
        assert_eq!(desk.events(&out).len(), 1_260, "round {round}");
        let folder = desk.path(&out).display().to_string();
        gatewatch(&["verify", &folder], b"").good();
        killed
    }
}

/// The report of the month, or its last correction.
fn latest(desk: &Desk, out: &str) -> Value {
    let versions = (2..10).rev().map(|version| format!("{PERIOD}.c{version}"));
    let name = versions
        .chain([PERIOD.to_owned()])
        .find(|name| desk.path(out).join(format!("report-{name}.json")).exists());
    desk.report(out, &name.expect("a report"))
}
