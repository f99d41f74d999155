//! Everything that knocks, generated packet by packet: scans, floods, guessed logins, and honest traffic that looks like them.
//! What is counted must be the generator's own numbers, to the unit.

#![allow(
    clippy::expect_used,
    clippy::indexing_slicing,
    clippy::panic,
    clippy::print_stderr,
    clippy::unwrap_used,
    reason = "a test stops at the first surprise and says what it skips"
)]

use std::net::{Ipv4Addr, SocketAddr};
use std::path::Path;

use pnet::packet::tcp::TcpFlags;
use serde_json::Value;

#[allow(dead_code, reason = "shared by all tests")]
mod support;

use support::generator::capture::CaptureWriter;
use support::generator::conversation::Timed;
use support::generator::frames::{Link, Segment, ip_packet};
use support::generator::plan::Plan;
use support::sensor::{Desk, gatewatch};
use support::talk::SITE_ALONE;

/// Monday, 5 October 2026, 09:00 UTC.
const BEGIN_SECS: u64 = 1_791_190_800;
const DAY: &str = "2026-10-05";
const SITE: &str = "203.0.113.10";
/// An address that the embedded database puts in the United States, and its neighbours.
const SCANNER: &str = "8.8.8.8";
const SECOND: u64 = 1_000_000;

/// Packets with their time in microseconds after the beginning.
#[derive(Default)]
struct Traffic(Vec<Timed>);

fn end(address: &str, port: u16) -> SocketAddr {
    SocketAddr::new(address.parse().expect("an address"), port)
}

impl Traffic {
    /// A segment: its time, its ends, sequence and acknowledgement number and flags, its data.
    fn tcp(
        &mut self,
        at: u64,
        (from, to): (SocketAddr, SocketAddr),
        (seq, ack, flags): (u32, u32, u8),
        data: &[u8],
    ) {
        let packet =
            ip_packet(&Segment { from, to, seq, ack, flags, number: (seq ^ at as u32) as u16, data });
        self.0.push((BEGIN_SECS * SECOND + at, packet));
    }

    /// A SYN, and the RST of a closed port.
    fn refused(&mut self, at: u64, client: SocketAddr, server: SocketAddr) {
        self.tcp(at, (client, server), (7_000, 0, TcpFlags::SYN), b"");
        self.tcp(at + 50, (server, client), (0, 7_001, TcpFlags::RST | TcpFlags::ACK), b"");
    }

    /// A SYN that nobody answers.
    fn silent(&mut self, at: u64, client: SocketAddr, server: SocketAddr) {
        self.tcp(at, (client, server), (7_000, 0, TcpFlags::SYN), b"");
    }

    /// A whole conversation: who speaks (true: the client), and what. A millisecond a packet.
    fn talk(&mut self, mut at: u64, client: SocketAddr, server: SocketAddr, lines: &[(bool, &str)]) {
        let (up, down) = ((client, server), (server, client));
        let (mut ours, mut theirs) = (1_000_u32, 9_000_u32);
        self.tcp(at, up, (ours, 0, TcpFlags::SYN), b"");
        self.tcp(at + 100, down, (theirs, ours + 1, TcpFlags::SYN | TcpFlags::ACK), b"");
        (ours, theirs) = (ours + 1, theirs + 1);
        self.tcp(at + 200, up, (ours, theirs, TcpFlags::ACK), b"");
        for (from_client, line) in lines {
            at += 1_000;
            let flags = TcpFlags::ACK | TcpFlags::PSH;
            if *from_client {
                self.tcp(at, up, (ours, theirs, flags), line.as_bytes());
                ours += line.len() as u32;
                self.tcp(at + 100, down, (theirs, ours, TcpFlags::ACK), b"");
            } else {
                self.tcp(at, down, (theirs, ours, flags), line.as_bytes());
                theirs += line.len() as u32;
                self.tcp(at + 100, up, (ours, theirs, TcpFlags::ACK), b"");
            }
        }
        at += 1_000;
        self.tcp(at, up, (ours, theirs, TcpFlags::FIN | TcpFlags::ACK), b"");
        self.tcp(at + 100, down, (theirs, ours + 1, TcpFlags::FIN | TcpFlags::ACK), b"");
        self.tcp(at + 200, up, (ours + 1, theirs + 1, TcpFlags::ACK), b"");
    }

    fn capture(mut self) -> Vec<u8> {
        self.0.sort_by_key(|timed| timed.0);
        let mut writer = CaptureWriter::begin(Vec::new(), Link::Ethernet).expect("memory");
        for timed in &self.0 {
            writer.write(timed).expect("memory");
        }
        writer.end().expect("memory")
    }
}

/// The site of the plan, on every port.
fn desk() -> Desk {
    let desk = Desk::of(&Plan::parse(SITE_ALONE).expect("the plan"));
    let settings = std::fs::read_to_string(desk.settings()).expect("settings");
    let of_ports = |line: &&str| !line.starts_with("ports");
    let every_port: Vec<&str> = settings.lines().filter(of_ports).collect();
    std::fs::write(desk.settings(), every_port.join("\n")).expect("settings");
    desk
}

/// Replays traffic; the day's report and the events. The folder verifies.
fn replayed(desk: &Desk, traffic: Traffic) -> (Value, Vec<Value>) {
    let path = desk.write("knock.pcap", &traffic.capture());
    replayed_file(desk, &path)
}

fn replayed_file(desk: &Desk, path: &Path) -> (Value, Vec<Value>) {
    desk.replay("out", &[path], b"").good();
    gatewatch(&["verify", &desk.path("out").display().to_string()], b"").good();
    (desk.report("out", DAY), desk.events("out"))
}

fn row<'r>(report: &'r Value, table: &str, id: &str) -> &'r Value {
    let rows = report[table].as_array().expect("a table");
    rows.iter().find(|row| row["id"] == id).unwrap_or(&Value::Null)
}

fn attempts(report: &Value, class: &str) -> u64 {
    row(report, "classes", class)["attempts"].as_u64().unwrap_or(0)
}

fn represented(events: &[Value], class: &str) -> u64 {
    let of_class = events.iter().filter(|event| event["gatewatch"]["class"] == class);
    of_class.map(|event| event["gatewatch"]["represented"].as_u64().expect("a number")).sum()
}

fn ftp_refusals(count: usize) -> Vec<(bool, &'static str)> {
    let mut lines = vec![(false, "220 FTP server ready\r\n")];
    for _ in 0..count {
        lines.extend([
            (true, "USER admin\r\n"),
            (false, "331 Password required\r\n"),
            (true, "PASS wrong\r\n"),
            (false, "530 Login incorrect\r\n"),
        ]);
    }
    lines
}

#[test]
fn a_scan_of_every_port_is_one_incident_and_a_handful_of_lines() {
    let mut traffic = Traffic::default();
    for port in 1..=65_535_u16 {
        // Every hundredth port is filtered: silent, and probed twice from another port.
        let at = u64::from(port) * 2_000;
        if port % 100 == 0 {
            traffic.silent(at, end(SCANNER, 40_001), end(SITE, port));
            traffic.silent(at + SECOND, end(SCANNER, 40_002), end(SITE, port));
        } else {
            traffic.refused(at, end(SCANNER, 40_001), end(SITE, port));
        }
    }
    let desk = desk();
    let (report, events) = replayed(&desk, traffic);
    assert_eq!(attempts(&report, "scan.port"), 65_535);
    let unit = row(&report, "units", "probe");
    assert_eq!((unit["attempts"].as_u64(), unit["incidents"].as_u64()), (Some(65_535), Some(1)));
    assert_eq!(report["headline"]["attempts"], 0, "scans are never added to the headline");
    assert_eq!(represented(&events, "scan.port"), 65_535);
    assert!(events.len() < 12, "{} lines", events.len());
    let last = events.last().expect("a line");
    assert_eq!(last["gatewatch"]["incident"]["attempts"], 65_535);
    assert_eq!(last["src_ip"], SCANNER);
    assert_eq!(last["gatewatch"]["grade"], "E0");
}

#[test]
fn replaying_a_scan_and_a_guesser_twice_changes_nothing() {
    let desk = desk();
    let mut traffic = Traffic::default();
    for port in 1..=300 {
        traffic.refused(u64::from(port) * 10_000, end(SCANNER, 40_001), end(SITE, port));
    }
    traffic.talk(9 * SECOND, end("9.9.9.9", 50_000), end(SITE, 21), &ftp_refusals(40));
    let path = desk.write("knock.pcap", &traffic.capture());
    let (first, events) = replayed_file(&desk, &path);
    assert_eq!((attempts(&first, "scan.port"), attempts(&first, "auth.ftp")), (300, 40));
    // The same packets in a file that is not known by its hash.
    let mut bytes = std::fs::read(&path).expect("read");
    bytes[8] ^= 1;
    let again = desk.write("again.pcap", &bytes);
    desk.replay("out", &[&again], b"").good();
    gatewatch(&["verify", &desk.path("out").display().to_string()], b"").good();
    assert_eq!(desk.events("out").len(), events.len());
    let latest = desk.path("out").join(format!("report-{DAY}.c2.json"));
    let report = if latest.exists() { support::sensor::read_json(&latest) } else { first };
    assert_eq!((attempts(&report, "scan.port"), attempts(&report, "auth.ftp")), (300, 40));
}

#[test]
fn a_sweep_over_a_network_is_a_sweep() {
    let mut traffic = Traffic::default();
    for host in 1..=254_u8 {
        let target = SocketAddr::new(Ipv4Addr::new(198, 18, 0, host).into(), 445);
        traffic.silent(u64::from(host) * 20_000, end(SCANNER, 40_000 + u16::from(host)), target);
    }
    let (report, _) = replayed(&desk(), traffic);
    assert_eq!(attempts(&report, "scan.sweep"), 254);
    assert_eq!(attempts(&report, "scan.port"), 0);
}

#[test]
fn guessed_logins_count_from_the_first_and_a_person_who_mistypes_does_not() {
    let mut traffic = Traffic::default();
    for number in 0..10_u16 {
        traffic.talk(
            u64::from(number) * SECOND,
            end(SCANNER, 41_000 + number),
            end(SITE, 21),
            &ftp_refusals(4),
        );
    }
    let mut person = ftp_refusals(3);
    person.extend([
        (true, "USER admin\r\n"),
        (false, "331 Password required\r\n"),
        (true, "PASS right\r\n"),
        (false, "230 Logged in\r\n"),
    ]);
    traffic.talk(3 * SECOND, end("9.9.9.9", 42_000), end(SITE, 21), &person);
    let (report, events) = replayed(&desk(), traffic);
    assert_eq!(attempts(&report, "auth.ftp"), 40);
    assert_eq!(row(&report, "classes", "auth.ftp")["incidents"], 1);
    assert_eq!(report["headline"]["attempts"], 40, "a login is in the headline");
    assert_eq!(row(&report, "grades", "E2")["attempts"], 40);
    assert_eq!(represented(&events, "auth.ftp"), 40);
    assert!(events.iter().all(|event| event["src_ip"] == SCANNER));
}

#[test]
fn a_guesser_behind_a_trusted_proxy_is_told_apart_from_it_and_its_neighbours() {
    let desk = desk();
    let settings = std::fs::read_to_string(desk.settings()).expect("settings");
    let trusting = settings.replace("[origin]\n", "[origin]\ntrusted_proxies = [\"203.0.113.200\"]\n");
    std::fs::write(desk.settings(), &trusting).expect("settings");
    assert!(trusting.contains("trusted_proxies"), "{settings}");
    let post = |client: &str, account: &str| {
        let body = format!("username={account}&password=wrong");
        format!(
            "POST /login HTTP/1.1\r\nHost: www.town.example\r\nX-Forwarded-For: {client}\r\n\
             Content-Type: application/x-www-form-urlencoded\r\nContent-Length: {}\r\n\r\n{body}",
            body.len()
        )
    };
    let refused = "HTTP/1.1 401 Unauthorized\r\nContent-Length: 0\r\n\r\n";
    let mut traffic = Traffic::default();
    for number in 0..20_u16 {
        let guess = post(SCANNER, "admin");
        let proxy = end("203.0.113.200", 43_000 + number);
        traffic.talk(u64::from(number) * SECOND, proxy, end(SITE, 80), &[(true, &guess), (false, refused)]);
        // Twenty other people, one mistake each, through the same proxy.
        let person = post(&format!("9.9.9.{number}"), &format!("person{number}"));
        let proxy = end("203.0.113.200", 44_000 + number);
        traffic.talk(u64::from(number) * SECOND, proxy, end(SITE, 80), &[(true, &person), (false, refused)]);
    }
    let (report, events) = replayed(&desk, traffic);
    assert_eq!(attempts(&report, "auth.web"), 20);
    assert_eq!(row(&report, "grades", "E3")["attempts"], 20);
    assert!(events.iter().all(|event| event["src_ip"] == SCANNER), "{events:?}");
    assert!(events.iter().all(|event| event["gatewatch"]["peer_ip"] == "203.0.113.200"));
}

#[test]
fn a_flood_of_forged_sources_is_counted_by_the_second_and_names_nobody() {
    let mut traffic = Traffic::default();
    let mut random = 1_u32;
    for number in 0..60_000_u64 {
        random = random.wrapping_mul(1_664_525).wrapping_add(1_013_904_223);
        // 3,000 a second for 20 seconds, each from another address.
        let client =
            SocketAddr::new(Ipv4Addr::from(random | 0x0100_0000).into(), (random >> 16) as u16 | 1_024);
        traffic.tcp(number * 1_000 / 3, (client, end(SITE, 80)), (random, 0, TcpFlags::SYN), b"");
    }
    let (report, events) = replayed(&desk(), traffic);
    let unit = row(&report, "units", "flood_second");
    assert_eq!((unit["attempts"].as_u64(), unit["incidents"].as_u64()), (Some(20), Some(1)));
    assert_eq!(attempts(&report, "dos.volume"), 20);
    assert_eq!(row(&report, "units", "probe")["attempts"], 0, "nobody of them scans");
    assert_eq!(row(&report, "sectors", "not_provable")["attempts"], 20);
    assert_eq!(represented(&events, "dos.volume"), 20);
    assert!(events.iter().all(|event| event["src_ip"].is_null()), "{:?}", events.first());
}

impl Traffic {
    /// One request in a conversation of its own each 1.2 s for so long: what tells the sensor the habit of a site.
    fn quiet_site(&mut self, seconds: u64) {
        for number in 0..seconds * 5 / 6 {
            let client =
                SocketAddr::new(Ipv4Addr::new(9, 9, (number >> 6) as u8, number as u8).into(), 30_000);
            self.talk(number * 1_200_000, client, end(SITE, 80), &[(true, PAGE_REQUEST), (false, PAGE)]);
        }
    }
}

const PAGE_REQUEST: &str = "GET /page HTTP/1.1\r\nHost: www.town.example\r\n\r\n";
const PAGE: &str = "HTTP/1.1 200 OK\r\nContent-Length: 5\r\n\r\nhello";

#[test]
fn a_site_that_forty_machines_ask_on_and_on_is_flooded_and_one_that_a_crowd_visits_is_not() {
    let exchange = [(true, PAGE_REQUEST), (false, PAGE)];
    for (is_crowd, seconds) in [(false, 40), (true, 0)] {
        let mut traffic = Traffic::default();
        traffic.quiet_site(150);
        // 240 requests a second from 40 addresses, or from 240 that never come again.
        for second in 150..190_u64 {
            for number in 0..40_u64 {
                let net = if is_crowd { second as u8 } else { 0 };
                let client =
                    SocketAddr::new(Ipv4Addr::new(8, 8, net, number as u8).into(), 20_000 + second as u16);
                let at = second * SECOND + number * 20_000;
                traffic.talk(at, client, end(SITE, 80), &exchange.repeat(6));
            }
        }
        let (report, events) = replayed(&desk(), traffic);
        assert_eq!(attempts(&report, "dos.app"), seconds, "a crowd: {is_crowd}");
        assert_eq!(report["totals"]["attempts"], seconds, "and nothing else");
        assert!(events.iter().all(|event| event["src_ip"].is_null()), "{:?}", events.first());
    }
}

#[test]
fn slow_clients_of_one_network_are_told_together() {
    let mut traffic = Traffic::default();
    let begun = "GET / HTTP/1.1\r\nHost: a\r\nX-a: ";
    // Sixty neighbours, one unfinished head each, for 80 seconds.
    for number in 0..60_u8 {
        let (client, server) = (end(&format!("8.8.4.{number}"), 40_000), end(SITE, 80));
        let (up, down) = ((client, server), (server, client));
        let at = u64::from(number) * 1_000;
        traffic.tcp(at, up, (1_000, 0, TcpFlags::SYN), b"");
        traffic.tcp(at + 100, down, (9_000, 1_001, TcpFlags::SYN | TcpFlags::ACK), b"");
        traffic.tcp(at + 200, up, (1_001, 9_001, TcpFlags::ACK), begun.as_bytes());
        for step in 1..9_u64 {
            let seq = 1_001 + begun.len() as u32 + step as u32 - 1;
            traffic.tcp(at + step * 10 * SECOND, up, (seq, 9_001, TcpFlags::ACK), b"x");
        }
    }
    let (report, events) = replayed(&desk(), traffic);
    let told = attempts(&report, "dos.app");
    assert!((60..=71).contains(&told), "{told}: held from the tenth second to the end");
    assert!(events.iter().all(|event| event["src_ip"] == "8.8.4.0"), "{:?}", events.first());
}

#[test]
fn busy_honest_traffic_is_silent() {
    let mut traffic = Traffic::default();
    let page = "HTTP/1.1 200 OK\r\nContent-Length: 5\r\n\r\nhello";
    // A crowd behind one address, a monitor that finds its service down, a client that tries a dead host again and again.
    for number in 0..1_500_u16 {
        let request = format!("GET /page/{number} HTTP/1.1\r\nHost: www.town.example\r\n\r\n");
        let at = u64::from(number) * 40_000;
        traffic.talk(at, end(SCANNER, 20_000 + number), end(SITE, 80), &[(true, &request), (false, page)]);
    }
    for number in 0..200_u16 {
        traffic.refused(u64::from(number) * 300_000, end("9.9.9.9", 21_000 + number), end(SITE, 8_080));
        traffic.silent(u64::from(number) * 300_000, end("1.1.1.1", 22_000 + number), end("203.0.113.77", 25));
    }
    let (report, events) = replayed(&desk(), traffic);
    assert_eq!(report["totals"]["attempts"], 0, "{:?}", events.first());
}
