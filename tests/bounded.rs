//! As many sources in an hour as somebody likes to forge: memory and store stay within their limits, every attempt is counted.

#![allow(
    clippy::expect_used,
    clippy::indexing_slicing,
    clippy::panic,
    clippy::print_stderr,
    clippy::unwrap_used,
    reason = "a test stops at the first surprise and says what it skips"
)]

use std::fs;
use std::net::Ipv4Addr;
use std::path::Path;
use std::process::Command;

use pnet::packet::tcp::TcpFlags;

#[allow(dead_code, reason = "shared by all tests")]
mod support;

use support::generator::capture::CaptureWriter;
use support::generator::conversation::{Conversation, Course, Exchange, Sender};
use support::generator::frames::{Link, Segment, ip_packet};
use support::generator::payloads::{self, Kind};
use support::generator::plan::Plan;
use support::generator::random::Random;
use support::sensor::{Desk, PATIENCE, gatewatch, run};
use support::talk::SITE_ALONE;

/// Sources of the large capture, each with one attempt; `GATEWATCH_SOURCES` sets another number (`make million`).
const MANY: u32 = 100_000;
/// Those of the small one.
const FEW: u32 = 2_000;
/// Rows of sources that a day may have.
const ROWS: u64 = 1_000;
/// Scanners whose windows all fit in the tables of 64 MiB.
const FEW_SCANNERS: u32 = 500;
/// Ports that each scanner tries.
const PORTS: u16 = 12;
const SETTINGS: &str = "
[report]
formats = [\"json\"]
periods = [\"day\"]
[memory]
limit = \"64MiB\"
[state]
limit = \"16MiB\"
sources_per_day = 1000
";

/// An hour of blind attack requests, each from an address of its own.
fn capture(sources: u32) -> Vec<u8> {
    let plan = Plan::parse(SITE_ALONE).expect("the plan");
    let mut writer = CaptureWriter::begin(Vec::new(), Link::Ethernet).expect("memory");
    let begin = 1_792_000_800_000_000_u64;
    for number in 0..sources {
        let mut random = Random::keyed(&[7, u64::from(number)]);
        let exchange = Exchange {
            request: payloads::attack(Kind::Sqli, "www.town.example", &mut random),
            reply: Vec::new(),
            attack: Some(Kind::Sqli),
            class: "web.sqli",
            sender: Sender::Peer,
        };
        let conversation = Conversation {
            start: begin + u64::from(number) * 3_400_000_000 / u64::from(sources),
            client: (Ipv4Addr::from_bits(0x4900_0000 + number * 7), 40_000).into(),
            server: (Ipv4Addr::new(203, 0, 113, 10), 80).into(),
            course: Course::Blind,
            pipelined: false,
            exchanges: vec![exchange],
            random,
        };
        // Together, so that the capture is in order of time.
        for (_, packet) in conversation.packets(&plan.shape) {
            writer.write(&(conversation.start, packet)).expect("memory");
        }
    }
    writer.end().expect("memory")
}

/// Sources that scan at once: a SYN of each to one port that nobody answers, then of each to the next.
fn scans(sources: u32) -> Vec<u8> {
    let mut writer = CaptureWriter::begin(Vec::new(), Link::Ethernet).expect("memory");
    let begin = 1_792_000_800_000_000_u64;
    for port in 0..PORTS {
        for number in 0..sources {
            let packet = ip_packet(&Segment {
                from: (Ipv4Addr::from_bits(0x4900_0000 + number * 7), 40_000 + port).into(),
                to: (Ipv4Addr::new(203, 0, 113, 10), 1_000 + port).into(),
                seq: number,
                ack: 0,
                flags: TcpFlags::SYN,
                number: number as u16,
                data: b"",
            });
            // 90 seconds a round: no flood, and a slow scan by each.
            let at =
                (u64::from(port) * u64::from(sources) + u64::from(number)) * 90_000_000 / u64::from(sources);
            writer.write(&(begin + at, packet)).expect("memory");
        }
    }
    writer.end().expect("memory")
}

/// Replays a capture; gives the peak of resident memory in MiB.
fn replay(desk: &Desk, output: &str, capture: &[u8]) -> u64 {
    let file = desk.write(&format!("{output}.pcap"), capture);
    let program = "import resource,subprocess,sys
code=subprocess.call(sys.argv[1:],stdout=subprocess.DEVNULL)
print(resource.getrusage(resource.RUSAGE_CHILDREN).ru_maxrss//1024)
sys.exit(code)";
    let mut command = Command::new("python3");
    command.args(["-c", program, env!("CARGO_BIN_EXE_gatewatch"), "-q", "replay", "-c"]);
    command.arg(desk.settings()).arg("-o").arg(desk.path(output)).arg(file);
    run(command, b"", PATIENCE).good().stdout.trim().parse().expect("a number")
}

fn store_bytes(folder: &Path) -> u64 {
    ["gatewatch.sqlite", "gatewatch.sqlite-wal"]
        .iter()
        .filter_map(|name| fs::metadata(folder.join(name)).ok())
        .map(|metadata| metadata.len())
        .sum()
}

#[test]
fn forged_sources_fill_neither_memory_nor_store_and_are_all_counted() {
    if Command::new("python3").arg("--version").output().is_err() {
        eprintln!("skipped: python3 is not installed");
        return;
    }
    let desk = Desk::of(&Plan::parse(SITE_ALONE).expect("the plan"));
    let settings = fs::read_to_string(desk.settings()).unwrap();
    fs::write(desk.settings(), format!("{settings}{SETTINGS}")).unwrap();
    let asked = std::env::var("GATEWATCH_SOURCES").ok().and_then(|text| text.parse().ok());
    let sent: u32 = asked.unwrap_or(MANY);
    let few = replay(&desk, "few", &capture(FEW));
    let many = replay(&desk, "many", &capture(sent));
    eprintln!("resident at most: {few} MiB with {FEW} sources, {many} MiB with {sent}");
    assert!(many < few + 64, "{few} MiB with {FEW} sources, {many} MiB with {sent}: the limit is 64 MiB");
    let report = desk.report("many", "2026-10-14");
    assert_eq!(report["totals"]["attempts"], sent);
    let sources = report["totals"]["sources"].as_u64().unwrap();
    assert!(sources.abs_diff(u64::from(sent)) * 20 < u64::from(sent), "{sources} sources");
    assert_eq!(report["totals"]["estimates"], serde_json::json!(["sources"]));
    assert_eq!(report["totals"]["lower_bounds"], serde_json::json!(["campaigns"]));
    let listed = fs::read_to_string(desk.path("many/sources-2026-10-14.csv")).unwrap();
    let rows: Vec<&str> = listed.lines().skip(1).collect();
    assert!(rows.len() as u64 <= ROWS + 20, "{} rows", rows.len());
    let attempts: u64 = rows.iter().map(|row| row.split(',').nth(6).unwrap().parse::<u64>().unwrap()).sum();
    assert_eq!(attempts, u64::from(sent));
    // The quota, and the log that a writer may have beside it.
    assert!(store_bytes(&desk.path("many")) < 20 << 20, "{} bytes", store_bytes(&desk.path("many")));
    gatewatch(&["verify", &desk.path("many").display().to_string()], b"").good();
}

#[test]
fn sources_that_scan_at_once_fill_no_table_beyond_its_limit_and_no_probe_vanishes() {
    if Command::new("python3").arg("--version").output().is_err() {
        eprintln!("skipped: python3 is not installed");
        return;
    }
    let desk = Desk::of(&Plan::parse(SITE_ALONE).expect("the plan"));
    let settings = fs::read_to_string(desk.settings()).unwrap();
    // Not a flood, however many there are: the tables of sources are tried here.
    let flood = "[flood.syn]\nenabled = false\n";
    fs::write(desk.settings(), format!("{settings}{SETTINGS}{flood}")).unwrap();
    let asked = std::env::var("GATEWATCH_SOURCES").ok().and_then(|text| text.parse().ok());
    let sent: u32 = asked.unwrap_or(MANY / 2);
    let few = replay(&desk, "few", &scans(FEW_SCANNERS));
    let many = replay(&desk, "many", &scans(sent));
    eprintln!("resident at most: {few} MiB with {FEW_SCANNERS} scanners, {many} MiB with {sent}");
    assert!(
        many < few + 64,
        "{few} MiB with {FEW_SCANNERS} scanners, {many} MiB with {sent}: the limit is 64 MiB"
    );
    let all = |report: &serde_json::Value| {
        let count = |place: &str| report.pointer(place).and_then(serde_json::Value::as_u64).unwrap_or(0);
        count("/totals/attempts") + count("/not_judged/contacts") + count("/counters/contacts_in_floods")
    };
    for (output, sources) in [("few", FEW_SCANNERS), ("many", sent)] {
        let report = desk.report(output, "2026-10-14");
        assert_eq!(
            all(&report),
            u64::from(sources) * u64::from(PORTS),
            "{output}: {} {} {}",
            report["totals"],
            report["not_judged"],
            report["counters"]
        );
    }
    assert_eq!(
        desk.report("few", "2026-10-14")["totals"]["attempts"],
        u64::from(FEW_SCANNERS) * u64::from(PORTS)
    );
    gatewatch(&["verify", &desk.path("many").display().to_string()], b"").good();
}
