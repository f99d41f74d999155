//! What an operator sees of the running daemon, and does with it: metrics, health, threads, the log, reload, `--set`, and what becomes
//! of interfaces. The built binary in network namespaces. Needs root, iproute2, curl and python3; without them each test says
//! that it is skipped.

#![allow(
    clippy::expect_used,
    clippy::float_cmp,
    clippy::indexing_slicing,
    clippy::panic,
    clippy::print_stderr,
    clippy::unwrap_used,
    reason = "a test stops at the first surprise and says what it skips"
)]

use std::io::{BufRead, BufReader, Read, Write};
use std::os::unix::net::UnixStream;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::time::Duration;

use serde_json::Value;

#[allow(dead_code, reason = "shared by all tests")]
mod support;

use support::bed::{Bed, obstacle};
use support::daemon::{Daemon, Home};
use support::sensor::{PATIENCE, run};

const SITE: &str = r#"
[origin]
home = ["CN"]
[[site]]
name = "www.town.example"
addresses = ["203.0.113.10"]
"#;
const UNITED_STATES: &str = "73.10.20.30";
const GERMANY: &str = "93.193.4.5";
/// What is not there at once is looked for so often: 30 s at least, as a loaded machine is slow.
const LOOKS: u32 = 300;
const LOOK_EVERY: Duration = Duration::from_millis(100);

fn bed() -> Option<Bed> {
    if let Some(reason) = obstacle() {
        eprintln!("skipped: {reason}");
        return None;
    }
    Some(Bed::up())
}

fn attacks(first: usize, count: usize) -> Vec<String> {
    (first..first + count)
        .map(|n| format!("http://203.0.113.10/item?id=1%27%20UNION%20SELECT%20a,b%20FROM%20t--%20-&n={n}"))
        .collect()
}

fn await_that(what: &str, mut holds: impl FnMut() -> bool) {
    for _ in 0..LOOKS {
        if holds() {
            return;
        }
        std::thread::park_timeout(LOOK_EVERY);
    }
    panic!("not in time: {what}");
}

/// What a client of the metrics gets who sends `request`.
fn asked(home: &Home, request: &str) -> String {
    let mut stream = UnixStream::connect(home.path("metrics.sock")).expect("the metrics socket");
    stream.set_read_timeout(Some(Duration::from_secs(30))).unwrap();
    stream.write_all(request.as_bytes()).expect("asked");
    let mut answer = String::new();
    stream.read_to_string(&mut answer).expect("answered");
    answer
}

fn metrics(home: &Home) -> String {
    let answer = asked(home, "GET /metrics HTTP/1.1\r\nHost: localhost\r\n\r\n");
    let (head, body) = answer.split_once("\r\n\r\n").expect("a head");
    assert!(head.starts_with("HTTP/1.1 200 OK\r\n"), "{head}");
    assert!(head.contains("Content-Type: text/plain; version=0.0.4; charset=utf-8"), "{head}");
    body.to_owned()
}

/// The value of a sample, by its name with its labels.
fn value(text: &str, sample: &str) -> f64 {
    let line = text.lines().find_map(|line| line.strip_prefix(sample)?.strip_prefix(' '));
    line.unwrap_or_else(|| panic!("no {sample} in {text}")).parse().expect("a number")
}

fn status(home: &Home) -> Value {
    let mut command = Command::new(env!("CARGO_BIN_EXE_gatewatch"));
    command.args(["status", "--json", "-c"]).arg(home.settings());
    serde_json::from_str(&run(command, b"", PATIENCE).stdout).expect("a status")
}

fn row<'a>(report: &'a Value, table: &str, name: &str) -> &'a Value {
    let rows = report[table].as_array().expect("a table");
    let named =
        |row: &&Value| row.as_object().is_some_and(|fields| fields.values().any(|value| value == name));
    rows.iter().find(named).unwrap_or(&Value::Null)
}

fn ip(bed: &Bed, part: &str, words: &str) {
    let done = bed.command(part, "ip").args(words.split(' ')).status();
    assert!(done.expect("ip runs").success(), "{part}: ip {words}");
}

/// A parser that others wrote, below `target/` by `make test-packages`. Prints names, types and the number of samples.
const PARSER: &str = r"
import json, sys
from prometheus_client.parser import text_string_to_metric_families as read
print(json.dumps({family.name: [family.type, len(family.samples)] for family in read(sys.stdin.read())}))
";

fn parsed(text: &str) -> Option<Value> {
    let python = Path::new(env!("CARGO_MANIFEST_DIR")).join("target/analysts/bin/python");
    let mut probe = Command::new(&python);
    if !probe.args(["-c", "import prometheus_client"]).output().is_ok_and(|ended| ended.status.success()) {
        eprintln!("skipped: prometheus_client is not there (make test-packages)");
        return None;
    }
    let mut command = Command::new(python);
    command.args(["-c", PARSER]);
    Some(serde_json::from_str(&run(command, text.as_bytes(), PATIENCE).good().stdout).expect("JSON"))
}

#[test]
fn metrics_are_told_at_both_doors_and_agree_with_the_status() {
    let Some(mut bed) = bed() else { return };
    let home = Home::new(&format!("[metrics]\nlisten = \"127.0.0.1:9617\"\n{SITE}"));
    let mut daemon = Daemon::start(&bed, &home, "wan0");
    bed.ask(UNITED_STATES, &attacks(0, 5));
    daemon.await_log(
        "incident started: source=73.10.20.30 class=web.sqli site=\"www.town.example\" country=US grade=E2",
    );
    let of_site = "gatewatch_attempts_total{class=\"web.sqli\",site=\"www.town.example\"}";
    // Counters of the packet path are told by themselves, twice a second.
    let counters = "gatewatch_requests_attack_total 5\n";
    await_that("5 attempts", || {
        let text = metrics(&home);
        text.contains(&format!("{of_site} 5\n")) && text.contains(counters)
    });

    let text = metrics(&home);
    assert_eq!(value(&text, "gatewatch_country_attempts_total{country=\"US\"}"), 5.0);
    assert_eq!(value(&text, "gatewatch_incidents_open"), 1.0);
    assert_eq!(value(&text, "gatewatch_interface_mtu_bytes{interface=\"wan0\"}"), 1_500.0);
    assert_eq!(value(&text, "gatewatch_up"), 1.0);
    assert_eq!(value(&text, "gatewatch_state{state=\"capturing\"}"), 1.0);
    for thread in ["capture-wan0", "classify", "report", "control"] {
        let age = value(&text, &format!("gatewatch_thread_heartbeat_age_seconds{{thread=\"{thread}\"}}"));
        assert!((0.0..15.0).contains(&age), "{thread}: {age}");
    }
    assert!(value(&text, "gatewatch_memory_resident_bytes") > 1e6);
    assert_eq!(value(&text, "gatewatch_memory_limit_bytes"), f64::from(128 << 20));
    await_that("tallies follow the clock", || {
        let text = metrics(&home);
        text.contains("\ngatewatch_tallies_lag_seconds ")
            && value(&text, "gatewatch_tallies_lag_seconds") < 30.0
    });
    assert!(text.contains("gatewatch_database_build_timestamp_seconds{database=\"DBIP-Country-Lite"));

    let told = status(&home);
    assert_eq!((&told["state"], &told["vitals"]["healthy"]), (&Value::from("capturing"), &Value::from(true)));
    assert_eq!(told["schema_version"], 3);
    assert!(home.status().good().stdout.contains("last sign of life: capture-wan0 "));

    // The port is open on the loopback alone.
    let curl = |part: &str, host: &str| {
        let mut curl = bed.command(part, "curl");
        curl.args(["-s", "--max-time", "10", &format!("http://{host}:9617/metrics")]);
        run(curl, b"", PATIENCE)
    };
    assert!(
        curl("gateway", "127.0.0.1").good().stdout.contains("# TYPE gatewatch_up gauge\ngatewatch_up 1\n")
    );
    assert_eq!(curl("client", "198.51.100.1").code, Some(7), "refused");

    if let Some(families) = parsed(&text) {
        assert_eq!(families["gatewatch_up"], serde_json::json!(["gauge", 1]));
        // The parser leaves the ending of a counter out of its name.
        assert_eq!(families["gatewatch_frames_received"], serde_json::json!(["counter", 1]));
        assert_eq!(families["gatewatch_attempts"], serde_json::json!(["counter", 1]));
        let declared = text.lines().filter(|line| line.starts_with("# TYPE ")).count();
        assert_eq!(families.as_object().unwrap().len(), declared, "every family is read");
    }
    daemon.stop().good();
    assert!(!home.path("metrics.sock").exists(), "taken away at the end");
}

#[test]
fn hostile_clients_of_the_metrics_do_no_harm() {
    let Some(bed) = bed() else { return };
    let home = Home::new(SITE);
    let daemon = Daemon::start(&bed, &home, "lo");
    let socket = home.path("metrics.sock");
    for (request, answer) in [
        ("\u{16}\u{3}\u{1}\r\n\r\n".to_owned(), "HTTP/1.1 400 "),
        ("GET / HTTP/1.1\r\n\r\n".to_owned(), "HTTP/1.1 404 "),
        ("DELETE /metrics HTTP/1.1\r\n\r\n".to_owned(), "HTTP/1.1 405 "),
        (format!("GET /metrics HTTP/1.1\r\nX: {}", "a".repeat(4_096)), "HTTP/1.1 431 "),
    ] {
        let told = asked(&home, &request);
        assert!(told.starts_with(answer), "{request:?}: {told}");
    }
    // Who says nothing, and who asks and does not read, is dropped; the status has a door of its own.
    let silent: Vec<UnixStream> = (0..6).map(|_| UnixStream::connect(&socket).unwrap()).collect();
    let deaf: Vec<UnixStream> = (0..6)
        .map(|_| {
            let mut stream = UnixStream::connect(&socket).unwrap();
            stream.write_all(b"GET /metrics HTTP/1.1\r\n\r\n").unwrap();
            stream
        })
        .collect();
    home.status().good();
    assert_eq!(value(&metrics(&home), "gatewatch_up"), 1.0, "served after them");
    drop((silent, deaf));
    let log = daemon.stop().good().stderr;
    assert!(!log.contains("metrics"), "nothing to log: {log}");
}

#[test]
fn who_cannot_write_is_not_healthy_and_recovers() {
    let Some(mut bed) = bed() else { return };
    let home = Home::new(SITE);
    let Some(disk) = Disk::mount(&home.path("state")) else { return };
    let mut daemon = Daemon::start(&bed, &home, "wan0");
    bed.ask(UNITED_STATES, &attacks(0, 1));
    await_that("a first write", || status(&home)["attempts"] == 1);
    let filler = disk.fill();
    daemon.await_notification("STATUS=not writing on wan0");
    let told = home.status();
    assert_eq!(told.code, Some(74), "{}", told.stdout);
    assert!(told.stdout.starts_with("not writing") && told.stdout.contains("trouble: "), "{}", told.stdout);
    let text = metrics(&home);
    assert_eq!(value(&text, "gatewatch_up"), 0.0);
    assert_eq!(value(&text, "gatewatch_state{state=\"not writing\"}"), 1.0);
    // To start it anew would lose what waits: the watchdog is fed.
    daemon.await_notification("WATCHDOG=1");
    daemon.await_notification("WATCHDOG=1");
    bed.ask(UNITED_STATES, &attacks(1, 3));
    std::fs::remove_file(filler).unwrap();
    daemon.await_notification("STATUS=capturing on wan0");
    home.status().good();
    daemon.stop().good();
    assert_eq!(home.report()["totals"]["attempts"], 4);
}

/// A small file system for the store.
struct Disk(PathBuf);

impl Disk {
    fn mount(folder: &Path) -> Option<Self> {
        let mut mount = Command::new("mount");
        mount.args(["-t", "tmpfs", "-o", "size=4m", "gatewatch-test"]).arg(folder);
        if mount.status().is_ok_and(|status| status.success()) {
            return Some(Self(folder.to_owned()));
        }
        eprintln!("skipped: no tmpfs can be mounted here");
        None
    }

    /// Takes all the room that is left.
    fn fill(&self) -> PathBuf {
        let path = self.0.join("filler");
        let mut file = std::fs::File::create(&path).unwrap();
        while file.write_all(&[0; 512]).is_ok() {}
        path
    }
}

impl Drop for Disk {
    fn drop(&mut self) {
        // Lazily: the daemon may still hold it.
        let _ = Command::new("umount").arg("-l").arg(&self.0).status();
    }
}

/// A server of FTP that refuses every password. It says when it listens.
const FTP_SERVER: &str = r#"
import socketserver
class Session(socketserver.StreamRequestHandler):
    def handle(self):
        self.wfile.write(b"220 ready\r\n")
        for line in self.rfile:
            word = line.split()[0].upper()
            self.wfile.write({b"USER": b"331 password\r\n", b"PASS": b"530 refused\r\n"}.get(word, b"221 bye\r\n"))
            if word == b"QUIT":
                return
socketserver.TCPServer.allow_reuse_address = True
with socketserver.ThreadingTCPServer(("203.0.113.10", 21), Session) as server:
    print("listening", flush=True)
    server.serve_forever()
"#;

/// Probes ports that are closed, and guesses passwords: from an address, so many ports from the first on, so many passwords.
const KNOCK: &str = r#"
import socket, sys
source, (first, ports, guesses) = sys.argv[1], map(int, sys.argv[2:])
for port in range(first, first + ports):
    with socket.socket() as probe:
        probe.settimeout(5)
        probe.bind((source, 0))
        assert probe.connect_ex(("203.0.113.10", port)) != 0, port
for number in range(guesses):
    with socket.create_connection(("203.0.113.10", 21), 10, (source, 0)) as session:
        lines = session.makefile("rb")
        lines.readline()
        for word in (b"USER admin", b"PASS secret%d" % number, b"QUIT"):
            session.sendall(word + b"\r\n")
            lines.readline()
"#;

/// Half of what is a scan and of what is guessing.
const PORTS: usize = 7;
const GUESSES: usize = 4;

fn knock(bed: &Bed, source: &str, first: usize) {
    let mut python = bed.command("client", "python3");
    python.args(["-c", KNOCK, source]).args([first, PORTS, GUESSES].map(|number| number.to_string()));
    run(python, b"", PATIENCE).good();
}

#[test]
fn a_reload_in_the_midst_of_a_scan_and_of_guessing_loses_nothing() {
    let Some(mut bed) = bed() else { return };
    let home = Home::new(SITE);
    let mut server = bed.command("server", "python3");
    let mut server =
        server.args(["-u", "-c", FTP_SERVER]).stdout(Stdio::piped()).spawn().expect("an FTP server");
    let mut line = String::new();
    BufReader::new(server.stdout.take().unwrap()).read_line(&mut line).unwrap();
    assert_eq!(line, "listening\n");
    // What the command line gives holds before and after.
    let mut daemon = Daemon::start_with(&bed, &home, "wan0", &["--set", "origin.home=[\"CN\", \"DE\"]"]);
    bed.own(GERMANY);
    // Each half is too little for a verdict: only what is remembered over the reloads makes it one.
    knock(&bed, GERMANY, 2_000);
    bed.ask(UNITED_STATES, &attacks(0, 3));

    home.settle("[capture]\nsnaplength = 9\n");
    daemon.signal("HUP");
    assert!(daemon.await_log("snaplength").contains("the old settings stay in effect"));
    daemon.await_notification("READY=1");
    home.settle(&format!("[memory]\nlimit = \"64MiB\"\n{SITE}"));
    std::fs::create_dir(home.path("conf.d")).unwrap();
    let drop_in = "[capture]\nsnaplen = 9000\n[report]\nincident_gap_mins = 40\n[state]\nkeep_years = 3\n";
    std::fs::write(home.path("conf.d/10.toml"), drop_in).unwrap();
    daemon.signal("HUP");
    let kept = daemon.await_log("take effect at the next start");
    assert!(kept.contains("\"capture.snaplen memory.limit\""), "key by key: {kept}");
    daemon.await_log("are reloaded");
    daemon.await_notification("READY=1");

    knock(&bed, GERMANY, 2_100);
    bed.ask(UNITED_STATES, &attacks(3, 2));
    let log = daemon.stop().good().stderr;
    server.kill().unwrap();
    server.wait().unwrap();
    let report = home.report();
    for (class, attempts) in [("web.sqli", 5), ("auth.ftp", 2 * GUESSES), ("scan.port", 2 * PORTS + 1)] {
        let row = row(&report, "classes", class);
        assert_eq!(
            (&row["attempts"], &row["incidents"]),
            (&attempts.into(), &1.into()),
            "{class}: {row}; {log}"
        );
    }
    // A port that is closed proves no source; the one that answered the scan does.
    assert_eq!(
        row(&report, "sectors", "domestic")["attempts"],
        2 * GUESSES + 1,
        "Germany is home by --set, still"
    );
    assert_eq!(row(&report, "sectors", "overseas")["attempts"], 5);
    for counter in ["kernel_drops", "channel_drops", "contact_drops"] {
        assert!(report["counters"][counter].is_null() || report["counters"][counter] == 0, "{counter}");
    }
}

#[test]
fn the_same_complaint_is_said_a_few_times_and_counted() {
    let Some(bed) = bed() else { return };
    let home = Home::new(SITE);
    let mut daemon = Daemon::start(&bed, &home, "lo");
    home.settle("[capture]\nsnaplength = 9\n");
    for _ in 0..12 {
        daemon.signal("HUP");
        daemon.await_notification("READY=1");
    }
    let log = daemon.stop().good().stderr;
    let said =
        log.lines().filter(|line| line.contains("reload failed") && !line.contains("left_out")).count();
    assert_eq!(said, 5, "{log}");
    let counted = log.lines().find(|line| line.contains("left_out=7")).expect("the count");
    assert!(
        counted.contains("said before, and left out since") && counted.contains("snaplength"),
        "{counted}"
    );
}

#[test]
fn an_interface_that_is_renamed_is_waited_for_by_its_name() {
    let Some(mut bed) = bed() else { return };
    let home = Home::new(SITE);
    let mut daemon = Daemon::start(&bed, &home, "wan0");
    bed.ask(UNITED_STATES, &attacks(0, 3));
    let rename = |from: &str, to: &str| {
        ip(&bed, "gateway", &format!("link set {from} down"));
        ip(&bed, "gateway", &format!("link set {from} name {to}"));
        ip(&bed, "gateway", &format!("link set {to} up"));
        ip(&bed, "gateway", "route add default via 198.51.100.2");
    };
    rename("wan0", "wan9");
    daemon.await_log("wan0 is gone");
    daemon.await_notification("STATUS=blind on wan0");
    assert_eq!(home.status().code, Some(69));
    rename("wan9", "wan0");
    daemon.await_log("watched again");
    daemon.await_notification("STATUS=capturing on wan0");
    bed.ask(GERMANY, &attacks(3, 2));
    let log = daemon.stop().good().stderr;
    assert_eq!(log.matches("wan0 is gone").count(), 1, "{log}");
    assert_eq!(home.report()["totals"]["attempts"], 5);
}

#[test]
fn a_bridge_member_is_captured_and_what_is_cut_is_said_and_counted() {
    let Some(mut bed) = bed() else { return };
    let home = Home::new(&format!("[capture]\nsnaplen = 1600\n{SITE}"));
    for words in [
        "link add br0 type bridge",
        "addr del 203.0.113.1/24 dev lan0",
        "link set lan0 master br0",
        "addr add 203.0.113.1/24 dev br0",
        "link set br0 up",
    ] {
        ip(&bed, "gateway", words);
    }
    let mut daemon = Daemon::start(&bed, &home, "lan0");
    bed.ask(UNITED_STATES, &attacks(0, 4));
    home.status().good();
    // Both ends, so that larger packets pass; the way to the client stays as it is.
    ip(&bed, "gateway", "link set lan0 mtu 9000");
    ip(&bed, "gateway", "link set br0 mtu 9000");
    ip(&bed, "server", "link set eth0 mtu 9000");
    let said = daemon.await_log("has another MTU");
    assert!(said.contains("mtu=9000"), "{said}");
    daemon.await_log("interface lan0 has an MTU of 9000, and capture.snaplen = 1600 cuts its longest frames");
    let told = home.status().good().stdout;
    assert!(
        told.starts_with("degraded") && told.contains("interface lan0: capturing, up, MTU 9000"),
        "{told}"
    );
    let mut ping = bed.command("gateway", "python3");
    let send = "import socket; socket.socket(socket.AF_INET, socket.SOCK_DGRAM).sendto(bytes(4000), ('203.0.113.10', 9))";
    ping.args(["-c", send]);
    run(ping, b"", PATIENCE).good();
    let cut = "gatewatch_frames_shortened_total";
    await_that("a frame is cut", || value(&metrics(&home), cut) >= 1.0);
    daemon.stop().good();
    let report = home.report();
    assert_eq!(report["totals"]["attempts"], 4);
    assert!(report["counters"]["frames_shortened"].as_u64() >= Some(1));
}

#[test]
fn a_vlan_is_captured_at_its_own_interface_and_at_the_one_below() {
    for interface in ["lan0", "lan0.7"] {
        let Some(mut bed) = bed() else { return };
        let probe = bed
            .command("gateway", "ip")
            .args("link add link lan0 name lan0.7 type vlan id 7".split(' '))
            .output();
        if !probe.is_ok_and(|made| made.status.success()) {
            eprintln!("skipped: this kernel has no VLANs (module 8021q)");
            return;
        }
        ip(&bed, "server", "link add link eth0 name eth0.7 type vlan id 7");
        for (part, words) in [
            ("gateway", "addr del 203.0.113.1/24 dev lan0"),
            ("gateway", "addr add 203.0.113.1/24 dev lan0.7"),
            ("gateway", "link set lan0.7 up"),
            ("server", "addr del 203.0.113.10/24 dev eth0"),
            ("server", "addr add 203.0.113.10/24 dev eth0.7"),
            ("server", "link set eth0.7 up"),
            ("server", "route add default via 203.0.113.1"),
        ] {
            ip(&bed, part, words);
        }
        let home = Home::new(SITE);
        let daemon = Daemon::start(&bed, &home, interface);
        bed.ask(UNITED_STATES, &attacks(0, 4));
        daemon.stop().good();
        assert_eq!(home.report()["totals"]["attempts"], 4, "{interface}");
    }
}
