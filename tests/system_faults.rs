//! Faults under the running daemon, and what the operator sees of each: a line of the log, the status, the report. Root and what
//! `system_live` needs; a part also strace, fsfreeze, loop devices, python3. What is not there is skipped.

#![allow(
    clippy::disallowed_methods,
    clippy::expect_used,
    clippy::indexing_slicing,
    clippy::panic,
    clippy::print_stderr,
    clippy::unwrap_used,
    reason = "a test stops at the first surprise, says what it skips, and may look at the clock"
)]

use std::fs;
use std::io::{Read, Write};
use std::os::unix::net::UnixStream;
use std::path::Path;
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

use serde_json::Value;

#[allow(dead_code, reason = "shared by all tests")]
mod support;

use support::bed::{Bed, obstacle};
use support::daemon::{Daemon, Home, refused};
use support::disk::Disk;
use support::sensor::{PATIENCE, run};

const SITE: &str = r#"
[origin]
home = ["CN"]
[[site]]
name = "www.town.example"
addresses = ["203.0.113.10"]
"#;
/// Small files, written at once: what is tried here is whether they are.
const REPORTS: &str = "formats = [\"json\"]\nperiods = [\"day\", \"year\"]\nkeep_free = \"0MiB\"\n";
const UNITED_STATES: &str = "73.10.20.30";

fn bed() -> Option<Bed> {
    if let Some(reason) = obstacle() {
        eprintln!("skipped: {reason}");
        return None;
    }
    Some(Bed::up())
}

fn has(tool: &str) -> bool {
    let found = Command::new("sh").args(["-c", &format!("command -v {tool}")]).output();
    let found = found.is_ok_and(|output| output.status.success());
    if !found {
        eprintln!("skipped: {tool} is not installed");
    }
    found
}

/// `GATEWATCH_LONG` is set: `make test-system`, which has the time.
fn is_long() -> bool {
    std::env::var_os("GATEWATCH_LONG").is_some()
}

/// Attacks that differ.
fn attacks(from: usize, count: usize) -> Vec<String> {
    let url = |n| format!("http://203.0.113.10/view?file=../../../../../../etc/passwd&n={n}");
    (from..from + count).map(url).collect()
}

fn home() -> Home {
    let home = Home::new("");
    settle(&home, SITE);
    home
}

/// Settings with small reports.
fn settle(home: &Home, further: &str) {
    home.settle("");
    let text = fs::read_to_string(home.settings()).unwrap();
    fs::write(home.settings(), text.replacen("[report]\n", &format!("[report]\n{REPORTS}"), 1) + further)
        .unwrap();
}

fn attempts(report: &Value) -> u64 {
    report["totals"]["attempts"].as_u64().expect("a total")
}

/// Attempts that lines stand for.
fn represented(home: &Home) -> u64 {
    home.events().iter().map(|event| event["gatewatch"]["represented"].as_u64().expect("a number")).sum()
}

/// Waits until something holds.
fn until(daemon: &mut Daemon, what: &str, mut holds: impl FnMut() -> bool) {
    let begin = Instant::now();
    while !holds() {
        assert!(begin.elapsed() < PATIENCE, "not in time: {what}");
        daemon.let_pass(Duration::from_millis(100));
    }
}

/// strace that lets system calls of a process fail on some files; it lets go when it goes out of scope.
struct Injected(Child);

impl Injected {
    fn into(daemon: &Daemon, files: &[&Path], fault: &str) -> Self {
        let mut strace = Command::new("strace");
        strace.args(["-f", "-p", &daemon.id().to_string()]);
        for file in files {
            strace.arg("-P").arg(file);
        }
        Self::attach(strace, fault)
    }

    /// The same for everything that one thread does.
    fn into_thread(daemon: &Daemon, name: &str, fault: &str) -> Self {
        let threads = fs::read_dir(format!("/proc/{}/task", daemon.id())).expect("its threads");
        let is_it = |thread: &std::path::PathBuf| {
            fs::read_to_string(thread.join("comm")).is_ok_and(|comm| comm.trim_end() == name)
        };
        let thread = threads.map(|thread| thread.unwrap().path()).find(is_it).expect("the thread");
        let mut strace = Command::new("strace");
        strace.arg("-p").arg(thread.file_name().expect("a number"));
        Self::attach(strace, fault)
    }

    fn attach(mut strace: Command, fault: &str) -> Self {
        strace.args(["-o", "/dev/null", "-e", fault]).stdout(Stdio::null()).stderr(Stdio::piped());
        let mut child = strace.spawn().expect("strace");
        // It says "attached" when it is.
        let mut said = [0; 64];
        let _ = child.stderr.as_mut().expect("piped").read(&mut said).expect("a word");
        Self(child)
    }
}

impl Drop for Injected {
    fn drop(&mut self) {
        let _ = Command::new("kill").args(["-INT", &self.0.id().to_string()]).status();
        let _ = self.0.wait();
    }
}

#[test]
fn tallies_that_the_disk_refuses_wait_and_are_written_when_it_takes_them() {
    if !has("strace") {
        return;
    }
    let Some(mut bed) = bed() else { return };
    let mut sent = 0;
    for fault in ["inject=fsync,fdatasync:error=EIO", "inject=pwrite64,write:error=ENOSPC"] {
        let home = home();
        let mut daemon = Daemon::start(&bed, &home, "wan0");
        bed.ask(UNITED_STATES, &attacks(sent, 5));
        daemon.let_pass(Duration::from_millis(1_500));
        let store = home.path("state/gatewatch.sqlite");
        let log = home.path("state/gatewatch.sqlite-wal");
        let injected = Injected::into(&daemon, &[&store, &log], fault);
        bed.ask(UNITED_STATES, &attacks(sent + 5, 7));
        daemon.await_log("cannot write; tallies are kept in memory and tried again");
        let status = home.status();
        assert_eq!(status.code, Some(74), "{status:?}");
        assert!(status.stdout.starts_with("not writing"), "{}", status.stdout);
        assert!(status.stdout.contains("trouble: store "), "{}", status.stdout);
        assert!(
            daemon.notifications_within("WATCHDOG=1", Duration::from_secs(2)) > 0,
            "it waits, and is not stuck"
        );
        drop(injected);
        daemon.await_log("writing works again");
        let told = home.status().good().stdout;
        assert!(told.starts_with("capturing"), "{told}");
        bed.ask(UNITED_STATES, &attacks(sent + 12, 3));
        daemon.stop().good();
        assert_eq!(attempts(&home.report()), 15, "{fault}");
        assert_eq!(represented(&home), 15, "{fault}: a line is written once");
        sent += 15;
    }
}

#[test]
fn a_log_folder_that_is_read_only_costs_lines_and_no_count_and_says_so() {
    let Some(mut bed) = bed() else { return };
    let home = home();
    let Some(disk) = Disk::in_memory(&home.path("reports"), "16m") else { return };
    let mut daemon = Daemon::start(&bed, &home, "wan0");
    bed.ask(UNITED_STATES, &attacks(0, 4));
    daemon.let_pass(Duration::from_millis(1_500));
    disk.remount("ro");
    bed.ask(UNITED_STATES, &attacks(4, 6));
    daemon.await_log("event lines cannot be written; attempts are counted on without them");
    daemon.let_pass(Duration::from_millis(1_500));
    let status = home.status().good();
    assert!(
        status.stdout.starts_with("degraded") && status.stdout.contains("Read-only file system"),
        "{}",
        status.stdout
    );
    disk.remount("rw");
    bed.ask(UNITED_STATES, &attacks(10, 2));
    daemon.await_log("writing works again");
    daemon.stop().good();
    let report = home.report();
    assert_eq!((attempts(&report), &report["losses"]["events_unwritten"]), (12, &6.into()));
    assert_eq!(represented(&home), 6);
}

#[test]
fn a_state_folder_that_cannot_be_written_is_refused_at_the_start_in_one_line() {
    let Some(bed) = bed() else { return };
    let home = home();
    let Some(disk) = Disk::in_memory(&home.path("state"), "1m") else { return };
    disk.remount("ro");
    let ended = refused(&bed, &home.settings(), "wan0");
    assert_eq!(ended.code, Some(73), "{}", ended.stderr);
    let said: Vec<&str> = ended.stderr.lines().filter(|line| line.starts_with("gatewatch:")).collect();
    assert!(said.len() == 1 && said[0].contains("gatewatch.sqlite"), "{}", ended.stderr);
}

#[test]
fn a_disk_that_hangs_stops_the_watchdog_and_not_the_capture() {
    if !has("fsfreeze") {
        return;
    }
    let Some(mut bed) = bed() else { return };
    let home = home();
    let Some(mut disk) = Disk::in_file(&home.path("state"), &home.path("image")) else { return };
    let mut daemon = Daemon::start_watched(&bed, &home, "wan0", Duration::from_secs(6));
    bed.ask(UNITED_STATES, &attacks(0, 3));
    assert!(daemon.notifications_within("WATCHDOG=1", Duration::from_millis(2_500)) > 0, "all stages move");
    disk.freeze();
    bed.ask(UNITED_STATES, &attacks(3, 5));
    daemon.let_pass(Duration::from_millis(1_500));
    assert_eq!(
        daemon.notifications_within("WATCHDOG=1", Duration::from_secs(3)),
        0,
        "a stage hangs: it is not fed"
    );
    let status = home.status();
    assert_eq!(status.code, Some(69), "{status:?}");
    for told in ["stalled", "thread report gives no sign of life for ", "attempts 8"] {
        assert!(status.stdout.contains(told), "{told}: {}", status.stdout);
    }
    // A reload would have to pass by the stage that hangs: it is given up, and nothing else waits for it.
    daemon.signal("HUP");
    bed.ask(UNITED_STATES, &attacks(20, 3));
    daemon.await_log("nothing was changed: try again");
    bed.ask(UNITED_STATES, &attacks(30, 2));
    daemon.let_pass(Duration::from_millis(1_200));
    assert!(home.status().stdout.contains("attempts 13"), "{}", home.status().stdout);
    disk.thaw();
    assert!(
        daemon.notifications_within("WATCHDOG=1", Duration::from_secs(3)) > 0,
        "a short stall is survived"
    );
    assert!(home.status().good().stdout.starts_with("capturing"), "{}", home.status().stdout);
    bed.ask(UNITED_STATES, &attacks(8, 4));
    daemon.stop().good();
    assert_eq!(
        (attempts(&home.report()), represented(&home)),
        (17, 17),
        "snapshots have merged, nothing is lost"
    );
}

/// Connections to ports that nobody listens at: a first contact each.
const CONNECTS: &str = "import socket, sys
for number in range(int(sys.argv[1])):
    s = socket.socket()
    s.connect_ex(('203.0.113.10', 1024 + number % 60000))
    s.close()";

#[test]
fn a_full_channel_drops_the_newest_and_counts_them() {
    if !has("strace") {
        return;
    }
    let Some(mut bed) = bed() else { return };
    let home = home();
    // Scans only: a flood would be told by the second.
    let flood =
        "[flood.syn]\nenabled = false\n[flood.connect]\nenabled = false\n[flood.rst]\nenabled = false\n";
    let known =
        Command::new(env!("CARGO_BIN_EXE_gatewatch")).args(["check", "-c", "/dev/null"]).output().unwrap();
    let known = String::from_utf8_lossy(&known.stdout).into_owned();
    let flood: String = flood
        .split_inclusive("enabled = false\n")
        .filter(|part| known.contains(part.lines().next().unwrap_or_default().trim_matches(['[', ']'])))
        .collect();
    settle(&home, &format!("{flood}{SITE}"));
    let daemon = Daemon::start(&bed, &home, "wan0");
    bed.ask(UNITED_STATES, &attacks(0, 2));
    // The classifier is held up wherever it waits, for longer than all this takes.
    let held = Injected::into_thread(&daemon, "classify", "inject=futex:delay_enter=60000000");
    bed.ask(UNITED_STATES, &attacks(2, 2));
    let mut connects = bed.command("client", "python3");
    connects.args(["-c", CONNECTS, "12000"]);
    run(connects, b"", PATIENCE).good();
    drop(held);
    bed.ask(UNITED_STATES, &attacks(4, 3));
    daemon.stop().good();
    let report = home.report();
    let count = |place: &str| report.pointer(place).and_then(Value::as_u64).unwrap_or(0);
    let dropped = count("/losses/contact_drops");
    assert!(dropped > 0, "{:#?}", report["losses"]);
    let classes = report["classes"].as_array().unwrap().iter();
    let web = classes
        .filter(|row| row["id"] == "web.lfi")
        .map(|row| row["attempts"].as_u64().unwrap())
        .sum::<u64>();
    // Those that came before it was full are counted; those right after the thaw may still meet it full.
    assert!(web >= 4, "{:#?}", report["classes"]);
    assert_eq!(web + count("/losses/channel_drops"), 7, "{:#?}", report["losses"]);
    let told = count("/totals/attempts") - web + count("/not_judged/contacts") + dropped;
    // The seven requests are contacts, too: answered ones, which are told only where they were dropped.
    assert!(
        (12_000..=12_007).contains(&told),
        "{told}: each contact is an attempt, not judged, or dropped: {:#?}",
        report["losses"]
    );
}

/// Damages the store of a running daemon from outside.
const TEAR: &str = "import sqlite3, sys
store = sqlite3.connect(sys.argv[1], isolation_level=None, timeout=20)
store.execute('PRAGMA wal_checkpoint(TRUNCATE)')
page = store.execute(\"SELECT rootpage FROM sqlite_master WHERE name = 'tally'\").fetchone()[0]
store.execute(\"INSERT INTO meta VALUES ('other', 'process')\")
store.close()
with open(sys.argv[1], 'r+b') as file:
    file.seek((page - 1) * 4096)
    file.write(b'Z' * 4096)";

#[test]
fn a_store_torn_under_the_running_daemon_is_rebuilt_without_a_restart() {
    let Some(mut bed) = bed() else { return };
    let home = home();
    let mut daemon = Daemon::start(&bed, &home, "wan0");
    bed.ask(UNITED_STATES, &attacks(0, 9));
    until(&mut daemon, "lines", || represented(&home) == 9);
    daemon.let_pass(Duration::from_secs(1));
    let mut tear = Command::new("python3");
    tear.args(["-c", TEAR]).arg(home.path("state/gatewatch.sqlite"));
    run(tear, b"", PATIENCE).good();
    bed.ask(UNITED_STATES, &attacks(9, 4));
    daemon.await_log("the store is damaged; it is moved aside and rebuilt");
    daemon.await_log("The store was damaged and rebuilt");
    daemon.await_log("writing works again");
    bed.ask(UNITED_STATES, &attacks(13, 2));
    let status = home.status().good().stdout;
    assert!(status.contains("note: The store was damaged and rebuilt"), "{status}");
    daemon.stop().good();
    let report = home.report();
    assert_eq!((attempts(&report), represented(&home)), (15, 15));
    assert_eq!(report["repairs"][0]["cause"], "corrupt");
    assert!(home.path("state/gatewatch.corrupt-1").exists());
}

#[test]
fn killed_with_its_write_ahead_log_deleted_nothing_that_had_a_line_is_lost() {
    let Some(mut bed) = bed() else { return };
    let home = home();
    let mut daemon = Daemon::start(&bed, &home, "wan0");
    bed.ask(UNITED_STATES, &attacks(0, 11));
    until(&mut daemon, "lines", || represented(&home) == 11);
    daemon.kill();
    for ending in ["wal", "shm"] {
        let _ = fs::remove_file(home.path(&format!("state/gatewatch.sqlite-{ending}")));
    }
    let daemon = Daemon::start(&bed, &home, "wan0");
    bed.ask(UNITED_STATES, &attacks(11, 2));
    let ended = daemon.stop().good();
    let report = home.report();
    assert_eq!((attempts(&report), represented(&home)), (13, 13), "{}", ended.stderr);
    assert_eq!(report["repairs"][0]["attempts"], 11, "{}", ended.stderr);
}

/// Open descriptors: the least of some looks, as a file that is being read comes and goes.
fn descriptors(daemon: &mut Daemon) -> usize {
    let looks = (0..10).map(|_| {
        daemon.let_pass(Duration::from_millis(50));
        fs::read_dir(format!("/proc/{}/fd", daemon.id())).expect("its descriptors").count()
    });
    looks.min().expect("a look")
}

/// Resident memory in KiB.
fn resident(daemon: &Daemon) -> u64 {
    let status = fs::read_to_string(format!("/proc/{}/status", daemon.id())).expect("its status");
    let line = status.lines().find_map(|line| line.strip_prefix("VmRSS:")).expect("VmRSS");
    line.trim().trim_end_matches(" kB").parse().expect("a number")
}

#[test]
fn hostile_clients_of_the_status_socket_cost_neither_capture_nor_an_answer() {
    let Some(mut bed) = bed() else { return };
    let home = home();
    let mut daemon = Daemon::start(&bed, &home, "wan0");
    let before = descriptors(&mut daemon);
    let socket = home.path("gatewatch.sock");
    bed.ask(UNITED_STATES, &attacks(0, 3));
    // Some connect and never read; some send without end; some close one half at once.
    let mut idle = Vec::new();
    for number in 0..300 {
        let Ok(mut client) = UnixStream::connect(&socket) else { continue };
        client.set_write_timeout(Some(Duration::from_millis(50))).unwrap();
        match number % 3 {
            0 => {}
            1 => _ = client.write_all(&vec![0xff; 60_000]),
            _ => _ = client.shutdown(std::net::Shutdown::Both),
        }
        idle.push(client);
    }
    // Thousands come and go.
    for _ in 0..5_000 {
        drop(UnixStream::connect(&socket));
    }
    let during = descriptors(&mut daemon);
    assert!(during <= before + 16, "{before} descriptors, then {during}: few clients are served at once");
    bed.ask(UNITED_STATES, &attacks(3, 4));
    let status = home.status().good();
    assert!(status.stdout.starts_with("capturing"), "{}", status.stdout);
    drop(idle);
    daemon.stop().good();
    assert_eq!(attempts(&home.report()), 7);
}

#[test]
fn reload_after_reload_takes_no_memory_and_loses_nothing() {
    let Some(mut bed) = bed() else { return };
    let home = home();
    let mut daemon = Daemon::start(&bed, &home, "wan0");
    let reloads = if is_long() { 100 } else { 10 };
    let (mut sent, mut grown) = (0, (0, 0));
    // A slow scan goes on all the while: its window must outlive every reload.
    let probe = |bed: &Bed, port: usize| {
        let mut command = bed.command("client", "python3");
        let connect = "import socket, sys\nsocket.socket().connect_ex(('203.0.113.10', int(sys.argv[1])))";
        command.args(["-c", connect, &port.to_string()]);
        run(command, b"", PATIENCE).good();
    };
    for turn in 0..reloads {
        settle(&home, &SITE.replace("town", if turn % 2 == 0 { "city" } else { "town" }));
        daemon.signal("HUP");
        bed.ask(UNITED_STATES, &attacks(sent, 2));
        sent += 2;
        probe(&bed, 2_000 + turn);
        daemon.await_log("settings, rules and databases are reloaded");
        daemon.await_notification("READY=1");
        if turn == reloads / 2 {
            grown = (resident(&daemon), descriptors(&mut daemon));
        }
    }
    let after = (resident(&daemon), descriptors(&mut daemon));
    eprintln!(
        "{reloads} reloads: {} KiB and {} descriptors after half of them, {} and {} at the end",
        grown.0, grown.1, after.0, after.1
    );
    assert!(after.1 <= grown.1, "descriptors: {} and then {}", grown.1, after.1);
    // What one reload brings is some 26 MiB.
    assert!(after.0 < grown.0 + 16_384, "resident: {} KiB and then {} KiB", grown.0, after.0);
    daemon.stop().good();
    let report = home.report();
    let class = |id: &str| {
        let rows = report["classes"].as_array().unwrap();
        rows.iter().find(|row| row["id"] == id).map_or(0, |row| row["attempts"].as_u64().unwrap())
    };
    assert_eq!(class("web.lfi"), sent as u64, "no attempt is lost");
    assert_eq!(class("scan.port"), reloads as u64, "one window over all reloads: every probe counts");
    assert_eq!(represented(&home), attempts(&report), "lines and tallies agree");
    for (name, value) in report["losses"].as_object().unwrap() {
        assert_eq!(value, 0, "{name}: {:#?}", report["losses"]);
    }
    let sites = report["sites"].as_array().unwrap();
    assert_eq!(sites.len(), 2, "half of it under each name: {sites:#?}");
    let web = report["incidents"].as_array().unwrap().iter().filter(|row| row["class"] == "web.lfi").count();
    assert!(web <= 2, "an incident goes on over reloads, one under each name: {web}");
}
