//! Memory at the documented minimum, held by the kernel: a control group that kills whoever takes more. Root and a memory
//! controller (cgroup v1 or v2), else it says that it is skipped. `GATEWATCH_SOURCES` sets another number of sources.

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
use std::process::Command;
use std::time::Duration;

#[allow(dead_code, reason = "shared by all tests")]
mod support;

use support::generator::plan::Plan;
use support::many::{forged, scans};
use support::sensor::{Desk, Ended, gatewatch, run};
use support::talk::SITE_ALONE;

/// What the process takes beside `memory.limit`: its text, rules, database and SQLite; docs/operating.md, "Sizing".
const BESIDE_MIB: u64 = 48;
/// Sources of an ordinary run.
const SOURCES: u32 = 10_000;
/// A million of them take some minutes in a group that has little room for the files it reads.
const PATIENCE: Duration = Duration::from_secs(1_800);

/// A group of one test, removed with it.
struct Group(PathBuf);

impl Group {
    /// None, with the reason printed, where the kernel has no memory controller for us.
    fn of(limit_mib: u64) -> Option<Self> {
        let name = format!("gatewatch-{}-{limit_mib}", std::process::id());
        let bytes = (limit_mib << 20).to_string();
        let kinds = [("/sys/fs/cgroup/memory", "memory.limit_in_bytes"), ("/sys/fs/cgroup", "memory.max")];
        for (root, file) in kinds {
            let group = Self(Path::new(root).join(&name));
            if fs::create_dir(&group.0).is_err() {
                continue;
            }
            if group.0.join(file).exists() && fs::write(group.0.join(file), &bytes).is_ok() {
                return Some(group);
            }
        }
        eprintln!("skipped: no memory controller that a group could be made in");
        None
    }

    /// Runs gatewatch in it.
    fn run(&self, arguments: &[String]) -> Ended {
        let mut command = Command::new("sh");
        command.args(["-c", "echo $$ > \"$0\"/cgroup.procs && exec \"$@\""]).arg(&self.0);
        command.arg(env!("CARGO_BIN_EXE_gatewatch")).args(arguments);
        run(command, b"", PATIENCE)
    }

    fn peak_mib(&self) -> u64 {
        let told = ["memory.max_usage_in_bytes", "memory.peak"];
        let text = told.iter().find_map(|file| fs::read_to_string(self.0.join(file)).ok());
        text.and_then(|text| text.trim().parse::<u64>().ok()).unwrap_or(0) >> 20
    }
}

impl Drop for Group {
    fn drop(&mut self) {
        // What was in it has ended; it may take a moment until the kernel knows.
        for _ in 0..50 {
            if fs::remove_dir(&self.0).is_ok() {
                return;
            }
            std::thread::park_timeout(Duration::from_millis(100));
        }
    }
}

#[test]
fn at_the_documented_minimum_no_number_of_sources_has_the_kernel_kill_it() {
    let asked = std::env::var("GATEWATCH_SOURCES").ok().and_then(|text| text.parse().ok());
    let long = std::env::var_os("GATEWATCH_LONG").map(|_| 1_000_000);
    let sources: u32 = asked.or(long).unwrap_or(SOURCES);
    for (limit, settings) in [(32, String::new()), (64, small_gateway())] {
        let Some(group) = Group::of(limit + BESIDE_MIB) else { return };
        let desk = Desk::of(&Plan::parse(SITE_ALONE).expect("the plan"));
        let text = if settings.is_empty() {
            let of_plan = fs::read_to_string(desk.settings()).unwrap();
            format!(
                "{of_plan}[report]\nformats = [\"json\"]\n[memory]\nlimit = \"{limit}MiB\"\n[state]\nsources_per_day = 1000\n"
            )
        } else {
            settings
        };
        fs::write(desk.settings(), text + "[flood.syn]\nenabled = false\n").unwrap();
        for (name, capture) in [("forged", forged(sources)), ("scans", scans(sources, 4))] {
            let file = desk.write(&format!("{name}.pcap"), &capture);
            let out = desk.path(name).display().to_string();
            let words = ["-q", "replay", "-c", &desk.settings().display().to_string(), "-o", &out];
            let mut arguments: Vec<String> = words.iter().map(|word| (*word).to_owned()).collect();
            arguments.push(file.display().to_string());
            let ended = group.run(&arguments);
            assert_eq!(ended.code, Some(0), "{limit} MiB and {BESIDE_MIB} beside, {name}: {}", ended.stderr);
            gatewatch(&["verify", &out], b"").good();
        }
        eprintln!(
            "memory.limit {limit} MiB, {sources} sources: at most {} of {} MiB in the group, page cache and all",
            group.peak_mib(),
            limit + BESIDE_MIB
        );
    }
}

/// The shipped settings for a small gateway, with the day closed.
fn small_gateway() -> String {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("config/examples/small-gateway.toml");
    fs::read_to_string(path).expect("the shipped settings")
}
