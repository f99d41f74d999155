//! The built binary on a gateway's interface, with a real web server and real visitors, in network
//! namespaces. Needs root, iproute2, curl and python3; without them each test says that it is skipped.

#![allow(
    clippy::disallowed_methods,
    clippy::expect_used,
    clippy::indexing_slicing,
    clippy::panic,
    clippy::print_stderr,
    clippy::unwrap_used,
    reason = "a test stops at the first surprise, says what it skips, and may look at the clock"
)]

use std::collections::BTreeSet;
use std::path::PathBuf;
use std::process::Command;
use std::time::{Duration, Instant};

use serde_json::Value;

#[allow(dead_code, reason = "shared by all tests")]
mod support;

use support::bed::{Bed, obstacle};
use support::daemon::{Daemon, Home, refused};
use support::sensor::run;

const SITE: &str = r#"
[origin]
home = ["CN"]
[[site]]
name = "www.town.example"
addresses = ["203.0.113.10", "2001:db8:2::10"]
"#;

/// Addresses of two overseas countries and of home, as the embedded database has them.
const UNITED_STATES: &str = "73.10.20.30";
const UNITED_STATES_SIX: &str = "2607:fff9:4000::1234";
const GERMANY: &str = "93.193.4.5";
const CHINA: &str = "36.97.8.9";

fn bed() -> Option<Bed> {
    if let Some(reason) = obstacle() {
        eprintln!("skipped: {reason}");
        return None;
    }
    Some(Bed::up())
}

/// `count` different attacks against the server at `host`.
fn attacks(host: &str, count: usize) -> Vec<String> {
    const TARGETS: [&str; 5] = [
        ".env?",
        "item?id=1%27%20UNION%20SELECT%20user,password%20FROM%20users--%20-",
        "view?file=../../../../../../etc/passwd",
        "search?q=%3Cscript%3Ealert(1)%3C/script%3E",
        "ping?host=127.0.0.1;cat%20/etc/passwd",
    ];
    (0..count).map(|index| format!("http://{host}/{}&n={index}", TARGETS[index % TARGETS.len()])).collect()
}

fn pages(host: &str, count: usize) -> Vec<String> {
    (0..count)
        .map(|index| format!("http://{host}/README.md?page={index}&q=the+union+of+select+towns"))
        .collect()
}

fn attempts(report: &Value, table: &str, name: &str) -> u64 {
    let rows = report[table].as_array().expect("a table");
    let named =
        |row: &&Value| row.as_object().is_some_and(|fields| fields.values().any(|value| value == name));
    rows.iter().find(named).and_then(|row| row["attempts"].as_u64()).unwrap_or(0)
}

fn total(report: &Value) -> u64 {
    report["totals"]["attempts"].as_u64().expect("a total")
}

#[test]
fn what_curl_sent_is_what_the_report_counts() {
    let Some(mut bed) = bed() else { return };
    let home = Home::new(SITE);
    let daemon = Daemon::start(&bed, &home, "wan0");
    bed.ask(UNITED_STATES, &attacks("203.0.113.10", 12));
    bed.ask(GERMANY, &attacks("203.0.113.10", 5));
    bed.ask(CHINA, &attacks("203.0.113.10", 3));
    bed.ask(UNITED_STATES_SIX, &attacks("[2001:db8:2::10]", 4));
    bed.ask(GERMANY, &pages("203.0.113.10", 20));
    // A forwarding header from a peer that nobody trusts changes nothing.
    bed.ask_with(GERMANY, &attacks("203.0.113.10", 2), &["-H", "X-Forwarded-For: 36.97.1.1"]);
    let ended = daemon.stop().good();
    let report = home.report();
    assert_eq!(total(&report), 26, "log: {}", ended.stderr);
    assert_eq!(report["headline"]["overseas_attempts"], 23);
    for (code, count) in [("US", 16), ("DE", 7), ("CN", 3)] {
        assert_eq!(attempts(&report, "origins", code), count, "{code}");
    }
    assert_eq!(attempts(&report, "sites", "www.town.example"), 26);
    let events = home.events();
    assert_eq!(events.len(), 26);
    assert!(
        events.iter().all(|event| event["gatewatch"]["grade"] == "E2"),
        "full conversations: {events:#?}"
    );
    assert!(events.iter().all(|event| event["http"]["status"] == 404), "the server's answer: {events:#?}");
}

#[test]
fn without_sites_the_gateway_itself_is_the_site() {
    let Some(mut bed) = bed() else { return };
    bed.serve("gateway");
    let home = Home::new("[origin]\nhome = [\"CN\"]\n");
    let daemon = Daemon::start(&bed, &home, "wan0");
    bed.ask(UNITED_STATES, &attacks("198.51.100.1", 6));
    bed.ask(UNITED_STATES, &attacks("203.0.113.10", 4));
    daemon.stop().good();
    let report = home.report();
    assert_eq!(attempts(&report, "sites", "198.51.100.1"), 6);
    assert_eq!(attempts(&report, "sites", "(not a site)"), 4);
    assert_eq!(report["headline"]["overseas_attempts"], 6, "what is no site is outside the headline");
}

#[test]
fn an_idle_interface_neither_hangs_the_start_nor_the_end() {
    let Some(bed) = bed() else { return };
    let home = Home::new(SITE);
    let mut daemon = Daemon::start(&bed, &home, "lo");
    let status = home.status().good();
    assert!(status.stdout.contains("capturing"), "{}", status.stdout);
    daemon.let_pass(Duration::from_millis(1_500));
    daemon.stop().good();
    assert_eq!(total(&home.report()), 0);
    assert_ne!(home.status().code, Some(0), "nobody answers after the end");
}

#[test]
fn a_bad_file_at_reload_keeps_the_old_settings_and_a_good_one_is_taken() {
    let Some(mut bed) = bed() else { return };
    let home = Home::new(SITE);
    let mut daemon = Daemon::start(&bed, &home, "wan0");
    bed.ask(UNITED_STATES, &attacks("203.0.113.10", 3));
    home.settle("[capture]\nsnaplength = 9\n");
    daemon.signal("HUP");
    let complaint = daemon.await_log("snaplength");
    assert!(complaint.contains("gatewatch.toml"), "{complaint}");
    daemon.await_notification("READY=1");
    bed.ask(UNITED_STATES, &attacks("203.0.113.10", 4));
    home.settle(&SITE.replace("home = [\"CN\"]", "home = [\"CN\", \"DE\"]"));
    daemon.signal("HUP");
    daemon.await_notification("READY=1");
    bed.ask(GERMANY, &attacks("203.0.113.10", 2));
    daemon.stop().good();
    let report = home.report();
    assert_eq!(total(&report), 9);
    assert_eq!(attempts(&report, "sectors", "overseas"), 7);
    assert_eq!(attempts(&report, "sectors", "domestic"), 2, "Germany is home since the second reload");
}

/// A kill may cost the tallies of the last second and no more.
const SNAPSHOT_AGE_MAX: Duration = Duration::from_millis(2_500);

#[test]
fn kill_9_loses_at_most_a_second_and_nothing_is_counted_twice() {
    let Some(mut bed) = bed() else { return };
    let home = Home::new(SITE);
    let mut sent = 0;
    let mut safe = 0;
    for round in 0..3 {
        let mut daemon = Daemon::start(&bed, &home, "wan0");
        bed.ask(UNITED_STATES, &attacks("203.0.113.10", 10 + round));
        sent += 10 + round;
        safe += 10 + round;
        daemon.let_pass(SNAPSHOT_AGE_MAX);
        // These may or may not have reached the disk.
        bed.ask(GERMANY, &attacks("203.0.113.10", 5));
        sent += 5;
        daemon.kill();
    }
    let daemon = Daemon::start(&bed, &home, "wan0");
    bed.ask(CHINA, &attacks("203.0.113.10", 2));
    daemon.stop().good();
    let report = home.report();
    let counted = total(&report) as usize;
    assert!(counted <= sent + 2, "{counted} counted, {} sent: something was counted twice", sent + 2);
    assert!(counted >= safe + 2, "{counted} counted, {} were safe", safe + 2);
    assert_eq!(attempts(&report, "origins", "US") as usize, safe);
    assert_eq!(attempts(&report, "origins", "CN"), 2);
    let events = home.events();
    let ids: BTreeSet<&str> = events.iter().filter_map(|event| event["gatewatch"]["id"].as_str()).collect();
    assert_eq!((events.len(), ids.len()), (counted, counted), "events and tallies agree");
}

#[test]
fn sigusr1_begins_a_new_part_and_another_rotation_does_no_harm() {
    let Some(mut bed) = bed() else { return };
    let home = Home::new(SITE);
    let mut daemon = Daemon::start(&bed, &home, "wan0");
    bed.ask(UNITED_STATES, &attacks("203.0.113.10", 3));
    daemon.let_pass(SNAPSHOT_AGE_MAX);
    daemon.signal("USR1");
    daemon.await_log("starting a new part of the events file");
    bed.ask(GERMANY, &attacks("203.0.113.10", 2));
    daemon.let_pass(SNAPSHOT_AGE_MAX);
    let reports = home.path("reports");
    let newest = std::fs::read_link(reports.join("latest-events.jsonl")).expect("a link to the newest part");
    assert!(newest.to_string_lossy().ends_with(".2.jsonl"), "{newest:?}");
    // What logrotate does when somebody sets it upon this folder.
    let moved = home.path("moved.jsonl");
    std::fs::rename(reports.join(&newest), &moved).expect("moved away");
    bed.ask(CHINA, &attacks("203.0.113.10", 1));
    daemon.await_log("was shortened or moved away by something else");
    daemon.stop().good();
    let lines = std::fs::read_to_string(moved).expect("the part").lines().count();
    assert_eq!((lines, home.events().len()), (2, 3 + 1), "each line once, wherever it lies");
    assert_eq!(total(&home.report()), 6);
}

#[test]
fn a_refused_start_is_one_clear_line_and_the_right_code() {
    let Some(bed) = bed() else { return };
    let home = Home::new(SITE);
    let absent = refused(&bed, &home.settings(), "nosuch0");
    assert_eq!(absent.code, Some(66), "{}", absent.stderr);
    assert!(absent.stderr.contains("nosuch0") && absent.stderr.contains("wan0"), "{}", absent.stderr);
    home.settle("[capture]\nfilter = \"tcp port eighty and\"\n");
    let filter = refused(&bed, &home.settings(), "wan0");
    assert_eq!(filter.code, Some(78), "{}", filter.stderr);
    assert!(filter.stderr.contains("capture.filter"), "{}", filter.stderr);
    home.settle(SITE);
    let mut bare = bed.command("gateway", "setpriv");
    bare.args(["--bounding-set", "-net_raw,-net_admin", "--inh-caps", "-net_raw,-net_admin"]);
    bare.arg(env!("CARGO_BIN_EXE_gatewatch")).args(["run", "-i", "wan0", "-c"]).arg(home.settings());
    let bare = run(bare, b"", Duration::from_secs(30));
    assert_eq!(bare.code, Some(77), "{}", bare.stderr);
    assert!(bare.stderr.to_ascii_lowercase().contains("cap_net_raw"), "{}", bare.stderr);
}

#[test]
fn an_interface_that_vanishes_is_waited_for_and_captured_again() {
    let Some(mut bed) = bed() else { return };
    let home = Home::new(SITE);
    let mut daemon = Daemon::start(&bed, &home, "wan0");
    bed.ask(UNITED_STATES, &attacks("203.0.113.10", 5));
    bed.cut_wan();
    daemon.await_log("wan0 is gone");
    daemon.await_notification("STATUS=blind on wan0");
    let status = home.status();
    assert_eq!(status.code, Some(69), "not capturing: {}", status.stdout);
    assert!(status.stdout.contains("trouble: interface wan0 is gone"), "{}", status.stdout);
    bed.mend_wan();
    daemon.await_log("watched again");
    daemon.await_notification("STATUS=capturing on wan0");
    assert!(home.status().good().stdout.starts_with("capturing"));
    bed.ask(GERMANY, &attacks("203.0.113.10", 3));
    let ended = daemon.stop().good();
    assert_eq!(ended.stderr.matches("wan0 is gone").count(), 1, "once per change: {}", ended.stderr);
    let mut command = Command::new(env!("CARGO_BIN_EXE_gatewatch"));
    let out: PathBuf = home.path("year.json");
    let year = home.report()["period"]["from"].as_str().expect("a beginning")[..4].to_owned();
    command
        .args(["report", "--format", "json", "--year", &year, "-o"])
        .arg(&out)
        .arg("-c")
        .arg(home.settings());
    run(command, b"", Duration::from_secs(30)).good();
    assert_eq!(total(&support::sensor::read_json(&out)), 8);
}

/// What `ip` does to a link of the bed.
fn link(bed: &Bed, part: &str, words: &[&str]) {
    let done = bed.command(part, "ip").args(["link", "set"]).args(words).status();
    assert!(done.expect("ip runs").success(), "{part}: {words:?}");
}

#[test]
fn time_while_the_interface_is_down_is_a_hole_and_the_status_says_so() {
    let Some(mut bed) = bed() else { return };
    let home = Home::new(SITE);
    let mut daemon = Daemon::start(&bed, &home, "wan0");
    bed.ask(UNITED_STATES, &attacks("203.0.113.10", 3));
    // First the carrier goes, as when a cable is pulled; then the interface is switched off.
    for (part, device) in [("client", "eth0"), ("gateway", "wan0")] {
        link(&bed, part, &[device, "down"]);
        daemon.await_log("is down or has no carrier");
        let status = home.status();
        assert_eq!(status.code, Some(69), "not capturing: {}", status.stdout);
        assert!(status.stdout.starts_with("blind"), "{}", status.stdout);
        assert!(status.stdout.contains("trouble: interface wan0 is down"), "{}", status.stdout);
        daemon.let_pass(Duration::from_millis(2_600));
        link(&bed, part, &[device, "up"]);
        daemon.await_log("watched again");
        assert!(home.status().good().stdout.starts_with("capturing"));
    }
    // The routes of the gateway went with its interface; its own address answers.
    bed.serve("gateway");
    bed.ask("198.51.100.2", &attacks("198.51.100.1", 2));
    daemon.let_pass(Duration::from_millis(1_200));
    let ended = daemon.stop().good();
    assert_eq!(
        ended.stderr.matches("is down or has no carrier").count(),
        2,
        "once per change: {}",
        ended.stderr
    );
    let report = home.report();
    assert_eq!(total(&report), 5);
    let down = report["counters"]["interface_down_seconds"].as_u64().expect("counted");
    assert!((5..60).contains(&down), "{down} s down");
    // The unit of the store is an hour; what was observed of it is the time since the start less the hole.
    let observed = report["period"]["coverage"]["seconds_observed"].as_u64().expect("observed");
    assert!(observed >= 1, "{observed} s observed");
}

#[test]
fn what_passes_two_captured_interfaces_counts_once() {
    for interface in ["any", "wan0"] {
        let Some(mut bed) = bed() else { return };
        let settings = if interface == "any" {
            SITE.to_owned()
        } else {
            // Both interfaces by their names: two capture threads, one classifier.
            format!("[capture]\ninterfaces = [\"lan0\", \"wan0\"]\n{SITE}")
        };
        let home = Home::new(&settings);
        let daemon = if interface == "any" {
            Daemon::start(&bed, &home, "any")
        } else {
            Daemon::start_as_set(&bed, &home)
        };
        bed.ask(UNITED_STATES, &attacks("203.0.113.10", 8));
        bed.ask(GERMANY, &attacks("203.0.113.10", 4));
        daemon.stop().good();
        let report = home.report();
        assert_eq!(total(&report), 12, "{interface}");
        let sent = report["totals"]["sessions"].as_u64().expect("sessions");
        assert_eq!(sent, 12, "{interface}: the server closes the connection after each 404");
        assert_eq!(home.events().len(), 12, "{interface}");
        assert!(home.events().iter().all(|event| event["gatewatch"]["grade"] == "E2"), "{interface}");
    }
}

#[test]
fn a_kill_shows_as_a_hole_in_the_observed_time() {
    let Some(mut bed) = bed() else { return };
    let home = Home::new(SITE);
    // On a busy machine everything takes longer: what may be claimed is measured, not planned.
    let (mut watched, mut lived) = (Duration::ZERO, Duration::ZERO);
    for _ in 0..3 {
        let begin = Instant::now();
        let mut daemon = Daemon::start(&bed, &home, "wan0");
        daemon.let_pass(SNAPSHOT_AGE_MAX);
        watched += SNAPSHOT_AGE_MAX;
        // Of a stretch without attempts up to half a minute is written late: with an attempt at once.
        bed.ask(UNITED_STATES, &attacks("203.0.113.10", 1));
        daemon.let_pass(SNAPSHOT_AGE_MAX);
        daemon.kill();
        lived += begin.elapsed();
        // Nobody watches now.
        std::thread::park_timeout(Duration::from_secs(3));
    }
    let begin = Instant::now();
    let daemon = Daemon::start(&bed, &home, "wan0");
    bed.ask(CHINA, &attacks("203.0.113.10", 2));
    daemon.stop().good();
    lived += begin.elapsed();
    let report = home.report();
    assert_eq!(total(&report), 5);
    let observed = report["period"]["coverage"]["seconds_observed"].as_u64().expect("observed");
    // Of each run at most the last second may be missing; of the nine seconds between them nothing may be claimed.
    assert!(observed + 3 >= watched.as_secs(), "{observed} s observed of {watched:?} and more");
    assert!(observed <= lived.as_secs() + 1, "{observed} s observed of {lived:?} lived");
}
