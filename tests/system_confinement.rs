//! What the running binary has given up, as the kernel tells it, and that what it needs still works.
//! Needs root, iproute2, curl and python3 for the daemon; without them that part says that it is skipped.

#![allow(
    clippy::expect_used,
    clippy::indexing_slicing,
    clippy::panic,
    clippy::print_stderr,
    clippy::unwrap_used,
    reason = "a test stops at the first surprise and says what it skips"
)]

use std::io::Write;
use std::path::Path;
use std::process::{Command, Stdio};
use std::time::Duration;

#[allow(dead_code, reason = "shared by all tests")]
mod support;

use support::bed::{Bed, obstacle};
use support::daemon::{Daemon, Home};
use support::generator::frames::Link;
use support::generator::plan::Plan;
use support::sensor::{Desk, capture};

const SITE: &str = "[[site]]\nname = \"www.town.example\"\naddresses = [\"203.0.113.10\"]\n";
const ALL_OPEN: &str = "[confinement]\ncapabilities = false\nfiles = false\nsystem_calls = false\n";
/// `CAP_NET_RAW` alone, and nothing, as /proc shows a set of capabilities.
const NET_RAW: &str = "0000000000002000";
const NONE: &str = "0000000000000000";
const OWN_RULE: &str = r#"
[[rule]]
id = "own.marker"
class = "web.scan"
weight = 0.97
title = "Marker"
on = ["path"]
lits = ["/marker/"]
regex = "^/marker/"
fires = ["GET /marker/x"]
quiet = ["GET /x"]
"#;
/// Looks at a process that has just been started, for 30 s at most: a loaded machine is slow.
const LOOKS: u32 = 300;
const LOOK_EVERY: Duration = Duration::from_millis(100);

fn bed() -> Option<Bed> {
    if let Some(reason) = obstacle() {
        eprintln!("skipped: {reason}");
        return None;
    }
    Some(Bed::up())
}

/// `/proc/…/status` of every thread.
fn threads(process: u32) -> Vec<String> {
    let tasks = std::fs::read_dir(format!("/proc/{process}/task")).expect("a running process");
    let status = |task: std::io::Result<std::fs::DirEntry>| {
        std::fs::read_to_string(task.ok()?.path().join("status")).ok()
    };
    tasks.filter_map(status).collect()
}

fn field<'a>(status: &'a str, name: &str) -> &'a str {
    let line = status.lines().find_map(|line| line.strip_prefix(name)?.strip_prefix(":\t"));
    line.unwrap_or_else(|| panic!("no {name} in {status}"))
}

/// Fails unless the thread has given up everything but a resting `kept`.
fn assert_confined(status: &str, kept: &str) {
    for (name, wanted) in [
        ("CapEff", NONE),
        ("CapInh", NONE),
        ("CapAmb", NONE),
        ("CapPrm", kept),
        ("CapBnd", kept),
        ("NoNewPrivs", "1"),
        ("Seccomp", "2"),
    ] {
        assert_eq!(field(status, name), wanted, "{name} in {status}");
    }
}

/// Landlock asks for a kernel that has it.
fn has_landlock(lines: &str) -> bool {
    lines.contains("confinement files: Landlock,")
}

fn rule_file(folder: &Path) -> String {
    let path = folder.join("own.toml");
    std::fs::write(&path, OWN_RULE).expect("a file written");
    format!("[detect]\nrules = [{:?}]\n", path.display().to_string())
}

#[test]
fn every_thread_of_the_daemon_holds_one_resting_capability_and_says_so() {
    let Some(bed) = bed() else { return };
    let home = Home::new(SITE);
    let daemon = Daemon::start(&bed, &home, "wan0");
    let threads = threads(daemon.id());
    assert!(threads.len() >= 4, "capture, classify, report, control: {threads:?}");
    for thread in &threads {
        assert_confined(thread, NET_RAW);
    }
    let said = home.status().good().stdout;
    for part in ["capabilities: CAP_NET_RAW rests", "files: ", "system_calls: seccomp, "] {
        assert!(said.contains(&format!("confinement {part}")), "{part} in {said}");
    }
    daemon.stop().good();
}

#[test]
fn a_file_outside_of_the_folders_named_at_the_start_cannot_be_read() {
    let Some(bed) = bed() else { return };
    let elsewhere = tempfile::tempdir().expect("a temporary folder");
    let rules = rule_file(elsewhere.path());
    for (confinement, taken) in [("", false), ("[confinement]\nfiles = false\n", true)] {
        let home = Home::new(&format!("{SITE}{confinement}"));
        let mut daemon = Daemon::start(&bed, &home, "wan0");
        if !taken && !has_landlock(&home.status().good().stdout) {
            eprintln!("skipped: this kernel has no Landlock, or one older than 6.10");
            return;
        }
        home.settle(&format!("{rules}{SITE}{confinement}"));
        daemon.signal("HUP");
        if taken {
            daemon.await_log("settings, rules and databases are reloaded");
        } else {
            let complaint = daemon.await_log("reload failed");
            assert!(complaint.contains("own.toml"), "{complaint}");
            assert!(complaint.to_ascii_lowercase().contains("permission denied"), "{complaint}");
        }
        daemon.stop().good();
    }
}

#[test]
fn each_part_can_be_left_open_for_debugging() {
    let Some(bed) = bed() else { return };
    let home = Home::new(&format!("{SITE}{ALL_OPEN}"));
    let daemon = Daemon::start(&bed, &home, "wan0");
    for thread in threads(daemon.id()) {
        assert_ne!(field(&thread, "CapEff"), NONE);
        assert_eq!((field(&thread, "NoNewPrivs"), field(&thread, "Seccomp")), ("0", "0"));
    }
    let said = home.status().good().stdout;
    assert_eq!(said.matches("left open by confinement.").count(), 3, "{said}");
    daemon.stop().good();
}

#[test]
fn a_replay_holds_nothing_and_reads_its_input() {
    let desk = Desk::of(&Plan::named("demo").expect("a plan"));
    let mut command = Command::new(env!("CARGO_BIN_EXE_gatewatch"));
    command.arg("replay").arg("-c").arg(desk.settings()).arg("-o").arg(desk.path("reports")).arg("-");
    command.stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::piped());
    let mut child = command.spawn().expect("the binary runs");
    // It waits for its input meanwhile.
    let confined = (0..LOOKS).find_map(|_| {
        let status = std::fs::read_to_string(format!("/proc/{}/status", child.id())).ok()?;
        if field(&status, "Seccomp_filters") == "3" {
            return Some(status);
        }
        std::thread::park_timeout(LOOK_EVERY);
        None
    });
    let status = confined.expect("three filters in time");
    assert_eq!((field(&status, "CapEff"), field(&status, "CapPrm")), (NONE, NONE));
    assert_eq!(field(&status, "NoNewPrivs"), "1");
    let bytes = capture(&Plan::named("demo").expect("a plan"), Link::Ethernet);
    child.stdin.take().expect("piped").write_all(&bytes).expect("input taken");
    let ended = child.wait_with_output().expect("it ends");
    assert!(ended.status.success(), "{}", String::from_utf8_lossy(&ended.stderr));
    assert!(!String::from_utf8_lossy(&ended.stdout).is_empty(), "the sentence");
}
