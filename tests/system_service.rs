//! The service as an operator installs it, under a real systemd, in the gateway of a bed: the unit's
//! hardening, start, reload, watchdog, kill, reboot, a lost interface, and that the counts survive it all.
//! Needs root, iproute2, curl, python3, make and systemd-container; without them each test says that it is skipped.

#![allow(
    clippy::expect_used,
    clippy::indexing_slicing,
    clippy::panic,
    clippy::print_stderr,
    clippy::unwrap_used,
    reason = "a test stops at the first surprise and says what it skips"
)]

use std::path::Path;
use std::process::Command;

use serde_json::Value;

#[allow(dead_code, reason = "shared by all tests")]
mod support;

use support::bed::Bed;
use support::container::{Container, obstacle};
use support::sensor::{PATIENCE, run};

/// Highest exposure that `systemd-analyze security` may give the unit, times ten.
const EXPOSURE_MAX: &str = "--threshold=15";
/// `CAP_NET_RAW` alone, as /proc shows a set of capabilities.
const NET_RAW: &str = "0000000000002000";
const SETTINGS: &str = "/etc/gatewatch/conf.d/50-test.toml";
const SITE: &str = r#"
[capture]
interfaces = ["wan0"]
[origin]
home = ["CN"]
[[site]]
name = "www.town.example"
addresses = ["203.0.113.10"]
"#;
/// What strace does to every write that must reach the disk: a minute of waiting before it.
const SLOW_DISK: &str = "inject=fsync,fdatasync:delay_enter=60000000";
const UNITED_STATES: &str = "73.10.20.30";
const GERMANY: &str = "93.193.4.5";

/// A machine with the service enabled and started.
fn machine() -> Option<(Container, Bed)> {
    if let Some(reason) = obstacle() {
        eprintln!("skipped: {reason}");
        return None;
    }
    let bed = Bed::up();
    let container = Container::boot(&bed);
    container.told(&["systemd-sysusers"]);
    container.told(&["systemd-tmpfiles", "--create", "gatewatch.conf"]);
    container.write(SETTINGS, SITE);
    container.told(&["systemctl", "enable", "--quiet", "--now", "gatewatch"]);
    Some((container, bed))
}

fn attacks(first: usize, count: usize) -> Vec<String> {
    (first..first + count)
        .map(|n| {
            format!("http://203.0.113.10/item?id=1%27%20UNION%20SELECT%20a,b%20FROM%20users--%20-&n={n}")
        })
        .collect()
}

/// Attempts of the current year in the store, as `gatewatch report` prints them for the site.
fn counted(container: &Container) -> u64 {
    let year = container.told(&["date", "-u", "+%Y"]);
    let ended = container.exec(&["gatewatch", "report", "--year", &year, "--format", "json"]);
    let report: Value = serde_json::from_str(&ended.stdout).unwrap_or(Value::Null);
    report["totals"]["attempts"].as_u64().unwrap_or(0)
}

#[test]
fn the_unit_is_accepted_and_closes_everything_it_can() {
    let units = Path::new(env!("CARGO_MANIFEST_DIR")).join("systemd");
    if !Path::new("/usr/bin/systemd-analyze").exists() {
        eprintln!("skipped: systemd-analyze is not there (package systemd)");
        return;
    }
    for unit in ["gatewatch.service", "gatewatch@.service"] {
        let mut security = Command::new("systemd-analyze");
        security.args(["security", "--offline=true", EXPOSURE_MAX]).arg(units.join(unit));
        run(security, b"", PATIENCE).good();
    }
    let Some((container, _bed)) = machine() else { return };
    // It ends with 0 on settings it does not know: what it prints is what counts.
    let verified = container.exec(&["systemd-analyze", "verify", "gatewatch.service"]);
    assert_eq!((verified.code, verified.stderr.as_str()), (Some(0), ""), "{verified:?}");
    let process = container.property("MainPID");
    let status = container.told(&["cat", &format!("/proc/{process}/status")]);
    for wanted in [
        "CapEff:\t0000000000000000".to_owned(),
        format!("CapPrm:\t{NET_RAW}"),
        format!("CapBnd:\t{NET_RAW}"),
        "NoNewPrivs:\t1".to_owned(),
        "Seccomp:\t2".to_owned(),
    ] {
        assert!(status.contains(&wanted), "{wanted} in {status}");
    }
    let user = container.told(&["id", "-u", "gatewatch"]);
    assert!(status.contains(&format!("Uid:\t{user}\t{user}")), "{user} in {status}");
    assert_ne!(user, "0");
    let owners = container.told(&["stat", "-c", "%U %a", "/var/lib/gatewatch", "/var/log/gatewatch"]);
    assert_eq!(owners, "gatewatch 750\ngatewatch 750");
    // Who looks after the machine reads the reports and not the store; anybody else reads neither.
    let lists = |group: &str, folder: &str| {
        let nobody = ["setpriv", "--reuid", "nobody", "--regid", "nogroup", "--groups", group, "ls", folder];
        container.exec(&nobody).code == Some(0)
    };
    let reads =
        ["/var/log/gatewatch", "/var/lib/gatewatch"].map(|at| (lists("adm", at), lists("nogroup", at)));
    assert_eq!(reads, [(true, false), (false, false)]);
}

/// What a unit sets, without the comments.
fn lines_of(unit: &str) -> Vec<&str> {
    unit.lines().filter(|line| !line.is_empty() && !line.starts_with('#')).collect()
}

#[test]
fn the_template_is_the_unit_with_an_interface_and_folders_of_its_own() {
    let unit = include_str!("../systemd/gatewatch.service")
        .replace(": counts attack requests per origin", " on %i")
        .replace("gatewatch run\n", "gatewatch run --interface %i\n")
        .replace("Directory=gatewatch\n", "Directory=gatewatch/%i\n")
        .replace("ConfigurationDirectory=gatewatch/%i", "ConfigurationDirectory=gatewatch");
    assert_eq!(lines_of(include_str!("../systemd/gatewatch@.service")), lines_of(&unit));
}

#[test]
fn an_instance_of_the_template_captures_its_interface_into_folders_of_its_own() {
    let Some((container, mut bed)) = machine() else { return };
    container.told(&["systemctl", "disable", "--quiet", "--now", "gatewatch"]);
    container.told(&["systemctl", "start", "gatewatch@wan0"]);
    bed.ask(GERMANY, &attacks(0, 4));
    let year = container.told(&["date", "-u", "+%Y"]);
    let folder = "/var/lib/gatewatch/wan0";
    let asked = ["gatewatch", "report", "--year", &year, "--format", "json", "--from-dir", folder];
    container.await_that("4 attempts in the store of the instance", || {
        let report: Value = serde_json::from_str(&container.exec(&asked).stdout).unwrap_or(Value::Null);
        report["totals"]["attempts"] == 4
    });
    let status = ["gatewatch", "status", "--socket", "/run/gatewatch/wan0/gatewatch.sock"];
    assert!(container.told(&status).contains("interface wan0: capturing"));
}

#[test]
fn counts_survive_reload_hang_kill_and_reboot() {
    let Some((container, mut bed)) = machine() else { return };
    assert_eq!(container.property("SubState"), "running");
    bed.ask(UNITED_STATES, &attacks(0, 7));
    container.await_that("7 attempts in the store", || counted(&container) == 7);

    // A bad file keeps the old settings and the process; a good one takes effect.
    let process = container.property("MainPID");
    container.write("/etc/gatewatch/conf.d/60-bad.toml", "[capture]\nsnaplen = 7\n");
    container.told(&["systemctl", "reload", "gatewatch"]);
    container.await_that("the bad settings are told", || {
        let journal = container.journal();
        journal.contains("60-bad.toml") && journal.contains("the old settings stay in effect")
    });
    container.write("/etc/gatewatch/conf.d/60-bad.toml", "[detect]\ndisable = [\"sqli.union\"]\n");
    container.told(&["systemctl", "reload", "gatewatch"]);
    container.await_that("the good settings are told", || container.journal().contains("are reloaded"));
    assert_eq!(container.property("MainPID"), process);
    container.told(&["rm", "/etc/gatewatch/conf.d/60-bad.toml"]);
    container.told(&["systemctl", "reload", "gatewatch"]);
    container.await_that("the settings are as before", || {
        container.journal().matches("are reloaded").count() == 2
    });

    // A process that hangs is restarted by the watchdog. What it had not stored is at most a second old.
    container.write(
        "/etc/systemd/system/gatewatch.service.d/fast.conf",
        "[Service]\nWatchdogSec=2s\nRestartSec=200ms\n",
    );
    container.told(&["systemctl", "daemon-reload"]);
    container.told(&["systemctl", "restart", "gatewatch"]);
    container.told(&["systemctl", "kill", "-s", "STOP", "gatewatch"]);
    container.await_property("NRestarts", "1");
    container.await_property("SubState", "running");
    bed.ask(GERMANY, &attacks(100, 5));
    container.await_that("12 attempts in the store", || counted(&container) == 12);

    // So is one of which a single stage hangs: here the one that writes, which waits for its disk for a minute.
    let mut restarts = 1;
    if Path::new("/usr/bin/strace").exists() {
        let process = container.property("MainPID");
        let slow = ["systemd-run", "--quiet", "--unit=slow-disk", "strace", "-f", "-o", "/dev/null"];
        container.told(&[&slow[..], &["-p", &process, "-e", SLOW_DISK]].concat());
        container.await_that("the watchdog is hungry", || {
            container.journal().matches("Watchdog timeout").count() == 2
        });
        // Whoever traces a process holds up its end too.
        container.told(&["systemctl", "kill", "-s", "KILL", "slow-disk"]);
        restarts += 1;
        container.await_property("NRestarts", &restarts.to_string());
        container.await_property("SubState", "running");
    } else {
        eprintln!("skipped: a single stage that hangs (package strace)");
    }

    container.told(&["systemctl", "kill", "-s", "KILL", "gatewatch"]);
    container.await_property("NRestarts", &(restarts + 1).to_string());
    container.await_property("SubState", "running");
    bed.ask(GERMANY, &attacks(200, 3));
    container.await_that("15 attempts in the store", || counted(&container) == 15);

    container.reboot();
    container.await_property("SubState", "running");
    bed.ask(UNITED_STATES, &attacks(300, 2));
    container.await_that("17 attempts in the store", || counted(&container) == 17);
    container.told(&["gatewatch", "status"]);

    container.told(&["systemctl", "stop", "gatewatch"]);
    assert_eq!(container.property("Result"), "success");
    let year = container.told(&["date", "-u", "+%Y"]);
    let report = container.told(&["cat", &format!("/var/log/gatewatch/report-{year}.open.txt")]);
    assert!(report.contains("17"), "{report}");
    assert_eq!(container.told(&["systemctl", "--failed", "--no-legend"]), "");
}

/// Kind of the message of an incident's start, as `docs/operating.md` has it.
const STARTED: &str = "MESSAGE_ID=06322dfe035f43ee99b8543b86b67787";
/// Opens the port of the metrics, as `docs/metrics.md` says.
const DROP_IN: &str = include_str!("../systemd/metrics-tcp.conf");

#[test]
fn incidents_are_told_to_the_journal_and_metrics_over_tcp_where_a_drop_in_opens_it() {
    let Some((container, mut bed)) = machine() else { return };
    bed.ask(GERMANY, &attacks(0, 4));
    let journal = |format: &str| {
        container.exec(&["journalctl", "-u", "gatewatch", STARTED, "-o", format, "--no-pager"]).stdout
    };
    container.await_that("a start in the journal", || !journal("cat").is_empty());
    let told: Value = serde_json::from_str(journal("json").lines().next().unwrap()).unwrap();
    for (field, wanted) in [
        ("GATEWATCH_SOURCE", GERMANY),
        ("GATEWATCH_CLASS", "web.sqli"),
        ("GATEWATCH_SITE", "www.town.example"),
        ("GATEWATCH_COUNTRY", "DE"),
        ("GATEWATCH_GRADE", "E2"),
        ("PRIORITY", "5"),
        ("SYSLOG_IDENTIFIER", "gatewatch"),
        ("_SYSTEMD_UNIT", "gatewatch.service"),
    ] {
        assert_eq!(told[field], wanted, "{field} of {told}");
    }
    assert!(told["GATEWATCH_ATTEMPTS"].as_str().unwrap().parse::<u64>().unwrap() >= 1, "{told}");
    assert!(told["MESSAGE"].as_str().unwrap().starts_with("incident started: source=93.193.4.5 "), "{told}");
    assert_eq!(journal("cat").lines().count(), 1, "once, and no line beside it");

    // The unit closes TCP; what asks for it is told so, and captures all the same.
    let curl = ["curl", "-s", "--max-time", "10", "http://127.0.0.1:9617/metrics"];
    container.write("/etc/gatewatch/conf.d/60-metrics.toml", "[metrics]\nlisten = \"127.0.0.1:9617\"\n");
    container.told(&["systemctl", "restart", "gatewatch"]);
    container.await_that("the hint", || container.journal().contains("drop-in metrics-tcp.conf"));
    assert_ne!(container.exec(&curl).code, Some(0));
    container.write("/etc/systemd/system/gatewatch.service.d/metrics-tcp.conf", DROP_IN);
    container.told(&["systemctl", "daemon-reload"]);
    container.told(&["systemctl", "restart", "gatewatch"]);
    assert!(container.told(&curl).contains("\ngatewatch_up 1\n"));
    let status = container.told(&["gatewatch", "status"]);
    assert!(
        status.starts_with("capturing") && status.contains("confinement system_calls: seccomp"),
        "{status}"
    );
    // Its own loopback, and the socket beside that of the status; nobody else.
    let unix = ["curl", "-s", "--unix-socket", "/run/gatewatch/metrics.sock", "http://localhost/metrics"];
    assert!(container.told(&unix).contains("\ngatewatch_up 1\n"));
    bed.own("198.51.100.9");
    let mut outside = bed.command("client", "curl");
    outside.args(["-s", "--max-time", "10", "http://198.51.100.1:9617/metrics"]);
    assert_ne!(run(outside, b"", PATIENCE).code, Some(0));
}

#[test]
fn a_lost_interface_is_waited_for_and_bad_settings_are_not_retried() {
    let Some((container, mut bed)) = machine() else { return };
    container.write("/etc/systemd/system/gatewatch.service.d/fast.conf", "[Service]\nRestartSec=200ms\n");
    container.told(&["systemctl", "daemon-reload"]);
    // One that vanishes is opened again by the same process, with the privilege that it kept.
    let process = container.property("MainPID");
    bed.cut_wan();
    container.await_that("the device is gone", || container.journal().contains("wan0 is gone"));
    bed.mend_wan();
    container.await_that("it is back", || container.journal().contains("watched again"));
    bed.ask(UNITED_STATES, &attacks(0, 3));
    container.await_that("3 attempts in the store", || counted(&container) == 3);
    assert_eq!(container.property("MainPID"), process);

    // One that is not there yet at the start is waited for by starting again and again.
    container.told(&["systemctl", "stop", "gatewatch"]);
    bed.cut_wan();
    container.exec(&["systemctl", "start", "gatewatch"]);
    container.await_that("it tries again and again", || {
        container.property("NRestarts").parse::<u32>().is_ok_and(|restarts| restarts > 2)
    });
    bed.mend_wan();
    container.await_property("SubState", "running");
    container.told(&["systemctl", "stop", "gatewatch"]);

    container.write(SETTINGS, "[capture]\nsnaplen = \"long\"\n");
    assert_ne!(container.exec(&["systemctl", "start", "gatewatch"]).code, Some(0));
    assert_eq!(container.property("ExecMainStatus"), "78");
    assert_eq!(container.property("SubState"), "failed");
    let journal = container.journal();
    assert!(journal.contains("50-test.toml") && journal.contains("snaplen"), "{journal}");
}
