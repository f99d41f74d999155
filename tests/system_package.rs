//! The Debian package under a real systemd: what it starts by itself, what it keeps, what it takes away.
//! `make test-deb` builds the package and names it in `GATEWATCH_DEB`; without that, or without root, iproute2, curl, python3 and
//! systemd-container, it says that it is skipped.

#![allow(
    clippy::expect_used,
    clippy::panic,
    clippy::print_stderr,
    clippy::unwrap_used,
    clippy::indexing_slicing,
    reason = "a test stops at the first surprise and says what it skips"
)]

use std::path::PathBuf;

use serde_json::Value;

#[allow(dead_code, reason = "shared by all tests")]
mod support;

use support::bed::Bed;
use support::container::{Container, obstacle};

const PACKAGE: &str = "/root/gatewatch.deb";
const SETTINGS: &str = "/etc/gatewatch/conf.d/50-test.toml";
const SITE: &str = "[capture]\ninterfaces = [\"wan0\"]\n[[site]]\nname = \"www.town.example\"\naddresses = [\"203.0.113.10\"]\n";

/// Contract §6.
const BINARY_MAX_BYTES: u64 = 12_000_000;

/// What belongs to a package besides the program and its units.
const SHIPPED: [&str; 8] = [
    "/usr/share/doc/gatewatch/changelog.Debian.gz",
    "/usr/share/doc/gatewatch/copyright",
    "/usr/share/doc/gatewatch/gatewatch.cdx.json",
    "/usr/share/doc/gatewatch/upkeep.md",
    "/usr/share/doc/gatewatch/examples/home-gateway.toml",
    "/usr/share/man/man5/gatewatch.toml.5.gz",
    "/usr/share/man/man8/gatewatch.8.gz",
    "/usr/share/man/man8/gatewatch-report.8.gz",
];

fn attacks(first: usize, count: usize) -> Vec<String> {
    (first..first + count)
        .map(|n| format!("http://203.0.113.10/item?id=1%27%20UNION%20SELECT%20a,b%20FROM%20users--&n={n}"))
        .collect()
}

/// Attempts of the current year in the store.
fn counted(container: &Container) -> u64 {
    let year = container.told(&["date", "-u", "+%Y"]);
    let ended = container.exec(&["gatewatch", "report", "--year", &year, "--format", "json"]);
    let report: Value = serde_json::from_str(&ended.stdout).unwrap_or(Value::Null);
    report["totals"]["attempts"].as_u64().unwrap_or(0)
}

fn exists(container: &Container, path: &str) -> bool {
    container.exec(&["test", "-e", path]).code == Some(0)
}

#[test]
fn the_package_starts_nothing_keeps_the_counts_on_upgrade_and_purges_them_on_purge() {
    let Some(package) = std::env::var_os("GATEWATCH_DEB").map(PathBuf::from) else {
        eprintln!("skipped: GATEWATCH_DEB names no package (make test-deb)");
        return;
    };
    if let Some(reason) = obstacle() {
        eprintln!("skipped: {reason}");
        return;
    }
    let mut bed = Bed::up();
    let container = Container::boot_with(&bed, &package, PACKAGE);
    container.told(&["dpkg", "--install", PACKAGE]);
    assert_eq!(container.property("ActiveState"), "inactive", "an operator starts it");
    assert_eq!(container.property("UnitFileState"), "disabled");

    let version = container.told(&["gatewatch", "--version"]);
    assert!(version.contains("commit ") && !version.contains("not recorded"), "{version}");
    // Only a release is small.
    if std::env::var("GATEWATCH_DEB_PROFILE").is_ok_and(|profile| profile == "release") {
        let bytes: u64 =
            container.told(&["stat", "-c", "%s", "/usr/bin/gatewatch"]).parse().expect("a number");
        eprintln!("the binary has {bytes} bytes");
        assert!(bytes <= BINARY_MAX_BYTES, "{bytes} bytes");
    }
    let copyright = container.told(&["cat", "/usr/share/doc/gatewatch/copyright"]);
    assert!(copyright.contains("IP Geolocation by DB-IP"), "{copyright}");
    let listed = container.told(&["dpkg", "--listfiles", "gatewatch"]);
    for shipped in SHIPPED {
        assert!(listed.lines().any(|line| line == shipped), "{shipped} in {listed}");
    }

    container.write(SETTINGS, SITE);
    container.told(&["systemctl", "start", "gatewatch"]);
    bed.ask("93.193.4.5", &attacks(0, 5));
    container.await_that("5 attempts in the store", || counted(&container) == 5);

    // Configured again, twice: nothing happens to what is there.
    for _ in 0..2 {
        container.told(&["/var/lib/dpkg/info/gatewatch.postinst", "configure"]);
    }
    assert_eq!((counted(&container), container.property("SubState").as_str()), (5, "running"));

    // An upgrade: what ran runs anew, with the settings and the counts of before.
    let process = container.property("MainPID");
    container.told(&["dpkg", "--install", PACKAGE]);
    assert_ne!(container.property("MainPID"), process);
    assert_eq!(container.property("SubState"), "running");
    bed.ask("93.193.4.5", &attacks(100, 3));
    container.await_that("8 attempts in the store", || counted(&container) == 8);

    container.told(&["dpkg", "--remove", "gatewatch"]);
    assert!(!exists(&container, "/usr/bin/gatewatch"));
    for kept in ["/var/lib/gatewatch", "/var/log/gatewatch", "/etc/gatewatch/gatewatch.toml", SETTINGS] {
        assert!(exists(&container, kept), "{kept} is kept");
    }
    container.told(&["dpkg", "--purge", "gatewatch"]);
    for gone in ["/var/lib/gatewatch", "/var/log/gatewatch", "/etc/gatewatch/gatewatch.toml"] {
        assert!(!exists(&container, gone), "{gone} is gone");
    }
    assert!(exists(&container, SETTINGS), "what the operator wrote is the operator's");
}
