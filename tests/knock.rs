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

use std::net::{Ipv4Addr, SocketAddr, SocketAddrV4};
use std::path::Path;

use pnet::packet::tcp::TcpFlags;
use serde_json::Value;

#[allow(dead_code, reason = "shared by all tests")]
mod support;

use support::generator::capture::CaptureWriter;
use support::generator::conversation::Timed;
use support::generator::frames::{Link, Segment, datagram, icmp_message, ip_packet, ipv4_packet};
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
    fn talk<L: AsRef<[u8]>>(
        &mut self,
        mut at: u64,
        client: SocketAddr,
        server: SocketAddr,
        lines: &[(bool, L)],
    ) {
        let (up, down) = ((client, server), (server, client));
        let (mut ours, mut theirs) = (1_000_u32, 9_000_u32);
        self.tcp(at, up, (ours, 0, TcpFlags::SYN), b"");
        self.tcp(at + 100, down, (theirs, ours + 1, TcpFlags::SYN | TcpFlags::ACK), b"");
        (ours, theirs) = (ours + 1, theirs + 1);
        self.tcp(at + 200, up, (ours, theirs, TcpFlags::ACK), b"");
        for (from_client, line) in lines {
            let line = line.as_ref();
            at += 1_000;
            let flags = TcpFlags::ACK | TcpFlags::PSH;
            if *from_client {
                self.tcp(at, up, (ours, theirs, flags), line);
                ours += line.len() as u32;
                self.tcp(at + 100, down, (theirs, ours, TcpFlags::ACK), b"");
            } else {
                self.tcp(at, down, (theirs, ours, flags), line);
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
        traffic.talk(
            u64::from(number) * SECOND,
            proxy,
            end(SITE, 80),
            &[(true, guess.as_str()), (false, refused)],
        );
        // Twenty other people, one mistake each, through the same proxy.
        let person = post(&format!("9.9.9.{number}"), &format!("person{number}"));
        let proxy = end("203.0.113.200", 44_000 + number);
        traffic.talk(
            u64::from(number) * SECOND,
            proxy,
            end(SITE, 80),
            &[(true, person.as_str()), (false, refused)],
        );
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
    assert!(events.iter().all(|event| event["src_ip"] == "0.0.0.0"), "{:?}", events.first());
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
        assert!(events.iter().all(|event| event["src_ip"] == "0.0.0.0"), "{:?}", events.first());
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
        traffic.talk(
            at,
            end(SCANNER, 20_000 + number),
            end(SITE, 80),
            &[(true, request.as_str()), (false, page)],
        );
    }
    for number in 0..200_u16 {
        traffic.refused(u64::from(number) * 300_000, end("9.9.9.9", 21_000 + number), end(SITE, 8_080));
        traffic.silent(u64::from(number) * 300_000, end("1.1.1.1", 22_000 + number), end("203.0.113.77", 25));
    }
    let (report, events) = replayed(&desk(), traffic);
    assert_eq!(report["totals"]["attempts"], 0, "{:?}", events.first());
}

fn behind_long(list: &[u8]) -> Vec<u8> {
    [&(list.len() as u16).to_be_bytes(), list].concat()
}

/// A TLS client hello that asks for a name and offers so many ciphers.
fn client_hello(name: &str, ciphers: u16) -> Vec<u8> {
    let offered: Vec<u8> = (0..ciphers).flat_map(|number| (0xc000 + number).to_be_bytes()).collect();
    let server_name = behind_long(&[&[0][..], &behind_long(name.as_bytes())].concat());
    let extensions = [&[0, 0][..], &behind_long(&server_name)].concat();
    let body =
        [&[3, 3][..], &[7; 32], &[0], &behind_long(&offered), &[1, 0], &behind_long(&extensions)].concat();
    let message = [&[1, 0][..], &behind_long(&body)].concat();
    [&[22, 3, 1][..], &behind_long(&message)].concat()
}

/// A fatal alert.
fn alert(reason: u8) -> Vec<u8> {
    vec![21, 3, 3, 0, 2, 2, reason]
}

#[test]
fn names_and_ciphers_tried_out_are_probes_and_clients_that_fail_twice_are_silent() {
    let mut traffic = Traffic::default();
    let tls = end(SITE, 443);
    for number in 0..25_u16 {
        let at = u64::from(number) * 10 * SECOND;
        let asked = client_hello(&format!("host{number}.town.example"), 12);
        traffic.talk(at, end(SCANNER, 40_000 + number), tls, &[(true, asked), (false, alert(112))]);
        // Another tries one cipher more each time, within five minutes.
        let asked = client_hello("www.town.example", 1 + number);
        traffic.talk(at, end("8.8.4.4", 41_000 + number), tls, &[(true, asked), (false, alert(40))]);
        // A program that is too old asks again and again, another steps down once.
        let asked = client_hello("www.town.example", 9);
        traffic.talk(at, end("9.9.9.9", 42_000 + number), tls, &[(true, asked), (false, alert(70))]);
    }
    for number in 0..2_u16 {
        let asked = client_hello("www.town.example", 20 + number);
        traffic.talk(SECOND, end("1.1.1.1", 43_000 + number), tls, &[(true, asked), (false, alert(40))]);
    }
    let (report, events) = replayed(&desk(), traffic);
    assert_eq!(attempts(&report, "scan.service"), 50);
    assert_eq!(report["totals"]["attempts"], 50);
    assert_eq!(report["not_judged"]["contacts"], 27);
    for (source, rule) in [(SCANNER, "scan.tls_names"), ("8.8.4.4", "scan.tls_handshakes")] {
        let lines: Vec<&Value> = events.iter().filter(|event| event["src_ip"] == source).collect();
        assert!(!lines.is_empty() && lines.iter().all(|line| line["gatewatch"]["inferred"] == true));
        assert!(lines.iter().all(|line| line["gatewatch"]["evidence"][0]["rule"] == rule), "{lines:?}");
        assert!(lines[0]["gatewatch"]["client"]["ja4"].is_string(), "{lines:?}");
    }
}

#[test]
fn a_flood_of_hellos_is_counted_by_the_second_and_inferred() {
    let mut traffic = Traffic::default();
    for number in 0..900_u16 {
        let asked = client_hello("www.town.example", 12);
        // Sixty a second for fifteen seconds.
        let at = u64::from(number) * SECOND / 60;
        traffic.talk(at, end(SCANNER, 10_000 + number), end(SITE, 443), &[(true, asked)]);
    }
    let (report, events) = replayed(&desk(), traffic);
    assert_eq!((attempts(&report, "dos.app"), attempts(&report, "scan.service")), (15, 0));
    assert!(events.iter().all(|event| event["gatewatch"]["inferred"] == true && event["dest_ip"] == SITE));
}

/// A DNS message over TCP about a name: flags, code and records in its answer.
fn dns(name: &str, kind: u8, (flags, code, answers): (u8, u8, u8)) -> Vec<u8> {
    let mut message = vec![0x12, 0x34, flags, code, 0, 1, 0, answers, 0, 0, 0, 0];
    for label in name.split('.') {
        message.push(label.len() as u8);
        message.extend(label.as_bytes());
    }
    message.extend([0, 0, kind, 0, 1]);
    behind_long(&message)
}

#[test]
fn enumeration_of_a_zone_is_counted_and_a_transfer_says_what_became_of_it() {
    const AXFR: u8 = 252;
    let mut traffic = Traffic::default();
    let server = end(SITE, 53);
    let (given, refused, missing) = ((0x84, 0, 9), (0x84, 5, 0), (0x84, 3, 0));
    for number in 0..60_u16 {
        let name = format!("guess{number}.town.example");
        let lines = [(true, dns(&name, 1, (1, 0, 0))), (false, dns(&name, 1, missing))];
        traffic.talk(u64::from(number) * SECOND / 2, end(SCANNER, 40_000 + number), server, &lines);
        // A client whose settings are wrong, a mail server that asks a list.
        let lines =
            [(true, dns("old.town.example", 1, (1, 0, 0))), (false, dns("old.town.example", 1, missing))];
        traffic.talk(u64::from(number) * SECOND / 2, end("9.9.9.9", 41_000 + number), server, &lines);
    }
    for (client, answer) in [("8.8.4.4", given), ("1.1.1.1", refused)] {
        let lines =
            [(true, dns("town.example", AXFR, (0, 0, 0))), (false, dns("town.example", AXFR, answer))];
        traffic.talk(SECOND, end(client, 50_000), server, &lines);
    }
    let (report, events) = replayed(&desk(), traffic);
    assert_eq!((attempts(&report, "scan.service"), attempts(&report, "exploit.service")), (60, 2));
    assert_eq!(report["not_judged"]["contacts"], 60);
    let outcome = |client: &str| {
        let line = events.iter().find(|event| event["src_ip"] == client).expect("a line");
        line["gatewatch"]["outcome"].clone()
    };
    assert_eq!((outcome("8.8.4.4"), outcome("1.1.1.1")), ("likely_success".into(), "refused".into()));
    assert!(events.iter().all(|event| event["src_ip"] != "9.9.9.9"));
}

#[test]
fn guesses_at_logins_carry_the_marks_of_their_program_into_their_campaign() {
    let guess = |number: u32, agent: &str| {
        format!(
            "REGISTER sip:town.example SIP/2.0\r\nVia: SIP/2.0/TCP 198.51.100.7\r\nf: <sip:100@town.example>;tag=a\r\n\
             To: <sip:100@town.example>\r\nCall-ID: abc\r\nCSeq: {number} REGISTER\r\nUser-Agent: {agent}\r\n\
             Authorization: Digest username=\"100\", response=\"0\"\r\nContent-Length: 0\r\n\r\n"
        )
    };
    let refusal = |number: u32| {
        format!(
            "SIP/2.0 403 No\r\nFrom: <sip:100@town.example>;tag=a\r\nt: <sip:100@town.example>\r\ni: abc\r\n\
             CSeq: {number} REGISTER\r\nl: 0\r\n\r\n"
        )
    };
    let mut traffic = Traffic::default();
    for (client, agent) in [(SCANNER, "dialler 7"), ("8.8.4.4", "dialler 7"), ("9.9.9.9", "ringer")] {
        let lines: Vec<(bool, String)> =
            (1..=20).flat_map(|number| [(true, guess(number, agent)), (false, refusal(number))]).collect();
        traffic.talk(SECOND, end(client, 40_000), end(SITE, 5_060), &lines);
    }
    let (report, events) = replayed(&desk(), traffic);
    assert_eq!(attempts(&report, "auth.voip"), 60);
    assert_eq!(row(&report, "classes", "auth.voip")["campaigns"], 2, "two programs, three sources");
    let agents: Vec<&Value> = events.iter().map(|event| &event["gatewatch"]["client"]["agent"]).collect();
    assert!(agents.iter().all(|agent| agent.as_str().is_some()), "{agents:?}");
}

fn v4(address: &str, port: u16) -> SocketAddrV4 {
    SocketAddrV4::new(address.parse().expect("an address"), port)
}

/// An address that is another each time, and a port.
fn forged(number: u64) -> SocketAddrV4 {
    let random = (number as u32 + 1).wrapping_mul(0x9e37_79b1);
    SocketAddrV4::new(Ipv4Addr::from_bits(0x1000_0000 | random >> 3), random as u16 | 1_024)
}

/// What a rate of packets is, by number and place in the second.
type Packet = fn(u64) -> Vec<u8>;

impl Traffic {
    /// So many packets a second for two seconds that begin in the middle of one.
    fn two_seconds(per_second: u64, packet: Packet) -> Self {
        let packets = (0..per_second * 2)
            .map(|number| (BEGIN_SECS * SECOND + SECOND / 2 + number * SECOND / per_second, packet(number)));
        Self(packets.collect())
    }
}

fn segment(from: SocketAddrV4, to: SocketAddrV4, flags: u8, number: u64) -> Vec<u8> {
    let (seq, ack) = (number as u32 * 7, if flags & TcpFlags::ACK == 0 { 0 } else { number as u32 * 5 + 1 });
    let (from, to) = (SocketAddr::V4(from), SocketAddr::V4(to));
    ip_packet(&Segment { from, to, seq, ack, flags, number: number as u16, data: b"" })
}

/// A DNS message about a name in a zone: a question, or an answer of so many bytes.
fn about_a_name(answer_bytes: usize) -> Vec<u8> {
    let (flags, answers) = if answer_bytes > 0 { (0x84, 1) } else { (1, 0) };
    let mut message = vec![0x12, 0x34, flags, 0, 0, 1, 0, answers, 0, 0, 0, 0];
    message.extend(b"\x04town\x07example\x00\x00\x10\x00\x01");
    message.resize(message.len().max(answer_bytes), 0);
    message
}

#[test]
fn floods_of_two_seconds_are_told() {
    let floods: [(&str, u64, Packet, &str); 8] = [
        ("syn", 900, |n| segment(forged(n), v4(SITE, 80), TcpFlags::SYN, n), "dos.volume"),
        ("ack", 2_500, |n| segment(forged(n), v4(SITE, 80), TcpFlags::ACK, n), "dos.volume"),
        ("rst", 2_500, |n| segment(forged(n), v4(SITE, 80), TcpFlags::RST, n), "dos.volume"),
        ("udp", 1_500, |n| datagram((forged(n), v4(SITE, 9_999)), n as u16, &[7; 64]), "dos.volume"),
        (
            "ping",
            700,
            |n| icmp_message((*forged(n).ip(), *v4(SITE, 0).ip()), (8, 0), (n as u32, &[7; 56])),
            "dos.volume",
        ),
        (
            "smurf",
            700,
            |n| {
                icmp_message(
                    (Ipv4Addr::new(8, 8, 4, n as u8), *v4(SITE, 0).ip()),
                    (0, 0),
                    (n as u32, &[7; 56]),
                )
            },
            "dos.volume",
        ),
        (
            "reflected",
            400,
            |n| {
                datagram(
                    (SocketAddrV4::new(*forged(n).ip(), 53), v4(SITE, 4_444)),
                    n as u16,
                    &about_a_name(900),
                )
            },
            "dos.reflect",
        ),
        (
            "half open",
            1_500,
            |n| {
                segment(
                    SocketAddrV4::new(*forged(n).ip(), 80),
                    v4(SITE, 4_444),
                    TcpFlags::SYN | TcpFlags::ACK,
                    n,
                )
            },
            "dos.reflect",
        ),
    ];
    for (name, per_second, packet, class) in floods {
        let (report, events) = replayed(&desk(), Traffic::two_seconds(per_second, packet));
        let seconds = attempts(&report, class);
        assert!((1..=3).contains(&seconds), "{name}: {seconds} seconds");
        assert_eq!(report["totals"]["attempts"], seconds, "{name}: and nothing else");
        assert!(events.iter().all(|event| event["src_ip"] == "0.0.0.0"), "{name}: {:?}", events.first());
    }
}

#[test]
fn as_much_honest_traffic_in_two_seconds_is_silent() {
    let honest: [(&str, u64, Packet); 4] = [
        // A film over RTP, of which the listener says nothing.
        ("film", 2_000, |n| datagram((v4("9.9.9.9", 5_004), v4(SITE, 5_004)), n as u16, &[7; 1_200])),
        // Callers that are answered.
        ("callers", 3_000, |n| match n % 2 {
            0 => datagram((forged(n), v4(SITE, 9_999)), n as u16, &[7; 64]),
            _ => datagram((v4(SITE, 9_999), forged(n - 1)), n as u16, &[7; 64]),
        }),
        // Acknowledgements of one fast transfer that goes by another way.
        ("transfer", 3_000, |n| segment(v4("9.9.9.9", 40_000), v4(SITE, 80), TcpFlags::ACK, n)),
        // Answers that were asked for.
        ("resolver", 900, |n| {
            let (ours, server) =
                (v4(SITE, 1_024 + (n / 2) as u16), SocketAddrV4::new(*forged(n / 2).ip(), 53));
            match n % 2 {
                0 => datagram((ours, server), n as u16, &about_a_name(0)),
                _ => datagram((server, ours), n as u16, &about_a_name(900)),
            }
        }),
    ];
    for (name, per_second, packet) in honest {
        let (report, events) = replayed(&desk(), Traffic::two_seconds(per_second, packet));
        assert_eq!(report["totals"]["attempts"], 0, "{name}: {:?}", events.first());
    }
}

#[test]
fn a_server_that_answers_each_forged_query_once_is_a_reflector() {
    let mut traffic = Traffic::default();
    for number in 0..1_600_u64 {
        let (victim, server) = (v4("9.9.9.9", 1_024 + number as u16), v4(SITE, 53));
        let at = BEGIN_SECS * SECOND + number * SECOND / 400;
        traffic.0.push((at, datagram((victim, server), number as u16, &about_a_name(0))));
        traffic.0.push((at + 200, datagram((server, victim), number as u16, &about_a_name(1_200))));
    }
    let (report, events) = replayed(&desk(), traffic);
    assert_eq!(attempts(&report, "dos.reflect"), 4);
    assert!(events.iter().all(|event| event["dest_ip"] == SITE), "{:?}", events.first());
}

#[test]
fn scans_in_odd_forms_are_told() {
    let mut traffic = Traffic::default();
    let at = |number: u64| BEGIN_SECS * SECOND + number * 20_000;
    // Maimon's: FIN with ACK, which a closed port resets.
    for port in 1..=20_u16 {
        let (up, down) = ((end(SCANNER, 40_000), end(SITE, port)), (end(SITE, port), end(SCANNER, 40_000)));
        traffic.tcp(u64::from(port) * 20_000, up, (0, 77, TcpFlags::FIN | TcpFlags::ACK), b"");
        traffic.tcp(u64::from(port) * 20_000 + 50, down, (77, 0, TcpFlags::RST), b"");
    }
    // FIN, NULL and XMAS, one each.
    for (number, flags) in
        [TcpFlags::FIN, 0, TcpFlags::FIN | TcpFlags::PSH | TcpFlags::URG].iter().enumerate()
    {
        let port = 3_390 + number as u16;
        traffic.tcp(number as u64 * SECOND, (end("8.8.4.4", 40_000), end(SITE, port)), (9, 0, *flags), b"");
    }
    // The time of thirty hosts, and twelve echoes to a whole network.
    for host in 0..30_u8 {
        let ends = (Ipv4Addr::new(1, 1, 1, 1), Ipv4Addr::new(198, 18, 0, host));
        traffic.0.push((at(host.into()), icmp_message(ends, (13, 0), (u32::from(host) << 16, &[0; 12]))));
    }
    for host in [0_u8, 1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 255] {
        let ends = (Ipv4Addr::new(9, 9, 9, 9), Ipv4Addr::new(198, 18, 1, host));
        let word = u32::from(host) << 16;
        traffic.0.push((at(host.into()), icmp_message(ends, (8, 0), (word, b"ping"))));
        if !matches!(host, 0 | 255) {
            traffic.0.push((at(host.into()) + 50, icmp_message((ends.1, ends.0), (0, 0), (word, b"ping"))));
        }
    }
    let (report, events) = replayed(&desk(), traffic);
    assert_eq!((attempts(&report, "scan.port"), attempts(&report, "scan.sweep")), (20 + 3, 30 + 12));
    for (source, rule) in [
        (SCANNER, "scan.vertical"),
        ("8.8.4.4", "scan.stealth"),
        ("1.1.1.1", "scan.icmp_sweep"),
        ("9.9.9.9", "scan.icmp_sweep"),
    ] {
        let mut lines = events.iter().filter(|event| event["src_ip"] == source);
        assert!(lines.all(|line| line["gatewatch"]["evidence"][0]["rule"] == rule), "{source}");
    }
}

#[test]
fn a_broken_line_a_proxy_of_ones_own_and_http_2_are_silent() {
    let mut traffic = Traffic::default();
    // Nobody is found where there is no way: the router says so.
    for host in 1..=40_u8 {
        let target = SocketAddrV4::new(Ipv4Addr::new(198, 18, host, 7), 80);
        let syn = segment(v4("9.9.9.9", 40_000), target, TcpFlags::SYN, host.into());
        let told = icmp_message((Ipv4Addr::new(9, 9, 9, 1), Ipv4Addr::new(9, 9, 9, 9)), (3, 0), (0, &syn));
        let at = BEGIN_SECS * SECOND + u64::from(host) * SECOND;
        traffic.0.extend([(at, syn), (at + 100, told)]);
    }
    let connect = "CONNECT www.town.example:443 HTTP/1.1\r\nHost: www.town.example:443\r\n\r\n";
    let lines = [(true, connect), (false, "HTTP/1.1 200 OK\r\n\r\n")];
    traffic.talk(SECOND, end("10.1.2.3", 40_000), end("10.9.8.7", 8_080), &lines);
    let preface =
        [(true, "PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n\0\0\0\u{4}\0\0\0\0\0"), (false, "\0\0\0\u{4}\0\0\0\0\0")];
    traffic.talk(SECOND, end("1.1.1.1", 40_000), end(SITE, 80), &preface);
    let (report, events) = replayed(&desk(), traffic);
    assert_eq!(report["totals"]["attempts"], 0, "{:?}", events.first());
    // The same from outside is somebody who looks for an open proxy.
    let mut traffic = Traffic::default();
    traffic.talk(SECOND, end(SCANNER, 40_000), end(SITE, 80), &lines);
    assert_eq!(attempts(&replayed(&desk(), traffic).0, "web.proxyprobe"), 1);
}

#[test]
fn fragments_that_never_make_a_whole_are_a_flood() {
    let fragment: Packet = |n| {
        // More fragments follow, from the 800th byte on; the datagram is another each time.
        let mut packet = ipv4_packet((*forged(n).ip(), *v4(SITE, 0).ip()), 17, n as u16, &[7; 1_000]);
        packet[6..8].copy_from_slice(&0x2064_u16.to_be_bytes());
        packet[10..12].fill(0);
        let checksum = pnet::util::checksum(&packet[..20], 5);
        packet[10..12].copy_from_slice(&checksum.to_be_bytes());
        packet
    };
    let (report, _) = replayed(&desk(), Traffic::two_seconds(700, fragment));
    let seconds = attempts(&report, "dos.volume");
    assert!((1..=3).contains(&seconds), "{seconds} seconds");
}

/// The reflectors that are named most, with the beginning of what they answer.
const REFLECTORS: [(u16, &[u8]); 7] = [
    (19, b" !\"#$%&'()*+,-./"),
    (53, b"\x12\x34\x84\0\0\x01\0\x01\0\0\0\0\x04town\x07example\0\0\x10\0\x01"),
    (123, b"\xd7\0\x03\x2a\0\x06\0\x48"),
    (161, b"\x30\x82\x04\0\x02\x01\x01\x04\x06public\xa2"),
    (389, b"\x30\x84\0\0\x04\0\x02\x01\x01\x64"),
    (1_900, b"HTTP/1.1 200 OK\r\nST: upnp:rootdevice\r\n"),
    (11_211, b"\0\0\0\0\0\x01\0\0STAT pid 1\r\n"),
];

#[test]
fn each_reflector_is_told_at_its_victim_and_where_it_is_ours() {
    let mut traffic = Traffic::default();
    for (number, (port, begins)) in REFLECTORS.iter().enumerate() {
        let mut answer = begins.to_vec();
        answer.resize(800, b'x');
        let (victim, ours) = (format!("203.0.113.{}", 20 + number), format!("203.0.113.{}", 40 + number));
        for count in 0..1_050_u64 {
            let at = BEGIN_SECS * SECOND + count * SECOND / 350;
            let servers = SocketAddrV4::new(*forged(count).ip(), *port);
            traffic.0.push((at, datagram((servers, v4(&victim, 80)), count as u16, &answer)));
            // A thousand questions in another's name, each answered once, or as often as no walk over a table is.
            let (forged, server) = (v4(&format!("9.9.9.{number}"), 1_024 + count as u16), v4(&ours, *port));
            traffic.0.push((at, datagram((forged, server), count as u16, b"a question of 20 byt")));
            let answers = if matches!(port, 161 | 11_211) { 4 } else { 1 };
            for again in 0..answers {
                let number = (count * 4 + again) as u16;
                traffic.0.push((at + 200, datagram((server, forged), number, &answer)));
            }
        }
    }
    // Each host is a site of its own where none is named.
    let desk = desk();
    std::fs::write(desk.settings(), "").expect("settings");
    let (_, events) = replayed(&desk, traffic);
    for (number, (port, _)) in REFLECTORS.iter().enumerate() {
        for (host, rule) in [(20 + number, "flood.reflection"), (40 + number, "flood.reflector")] {
            let host = format!("203.0.113.{host}");
            let told = events
                .iter()
                .find(|event| event["dest_ip"] == host && event["gatewatch"]["evidence"][0]["rule"] == rule);
            assert!(told.is_some(), "port {port}: {rule}");
        }
    }
}

#[test]
fn checksums_that_a_card_fills_in_later_and_segments_that_it_puts_together_hide_nothing() {
    let mut traffic = Traffic::default();
    traffic.talk(0, end(SCANNER, 41_000), end(SITE, 21), &ftp_refusals(12));
    let attack =
        "GET /?id=1%20UNION%20SELECT%20password%20FROM%20users-- HTTP/1.1\r\nHost: www.town.example\r\n\r\n";
    let super_frame = attack.repeat(700);
    assert!(super_frame.len() > 60_000);
    traffic.talk(SECOND, end("9.9.9.9", 41_000), end(SITE, 80), &[(true, super_frame.as_str())]);
    for (_, packet) in &mut traffic.0 {
        packet[10..12].fill(0);
        packet[36..38].copy_from_slice(b"\x12\x34");
    }
    let (report, _) = replayed(&desk(), traffic);
    assert_eq!((attempts(&report, "auth.ftp"), attempts(&report, "web.sqli")), (12, 700));
}
