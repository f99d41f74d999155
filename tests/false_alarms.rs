//! Living with false alarms: an endpoint where one rule hits many honest clients is listed with the exception to paste,
//! and the exception, pasted, takes its requests out of the attempts and into a counter of their own.

#![allow(
    clippy::expect_used,
    clippy::indexing_slicing,
    clippy::panic,
    clippy::print_stderr,
    clippy::unwrap_used,
    reason = "a test stops at the first surprise and says what it skips"
)]

use std::net::{Ipv4Addr, SocketAddr};

#[allow(dead_code, reason = "shared by all tests")]
mod support;

use support::generator::capture::CaptureWriter;
use support::generator::frames::Link;
use support::generator::plan::Plan;
use support::sensor::{Desk, gatewatch};
use support::talk::{SITE_ALONE, conversation, cut};

const SERVED: &[u8] = b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok";
const REFUSED: &[u8] = b"HTTP/1.1 403 Forbidden\r\nContent-Length: 0\r\n\r\n";

/// Twelve people save the same kind of page, three scanners try two things each.
fn capture() -> Vec<u8> {
    let mut writer = CaptureWriter::begin(Vec::new(), Link::Ethernet).expect("memory");
    let mut time = 1_790_900_000_000_000_u64;
    let mut talk = |client: u32, port: u16, target: &str, reply: &[u8]| {
        let stream =
            format!("GET {target} HTTP/1.1\r\nHost: www.town.example\r\nUser-Agent: Mozilla/5.0\r\n\r\n");
        let client = SocketAddr::new(Ipv4Addr::from(0x4928_0000 + client).into(), port);
        for packet in conversation(client, &cut(stream.as_bytes(), 1_460), stream.len(), reply) {
            time += 1_000;
            writer.write(&(time, packet)).expect("memory");
        }
    };
    for person in 1..=12 {
        talk(person, 40_000, "/save?text=SELECT+name,town+FROM+people+WHERE+id=5", SERVED);
    }
    for scanner in 100..103 {
        talk(scanner, 40_000, "/save?text=SELECT+name,town+FROM+people+WHERE+id=5", SERVED);
        talk(scanner, 40_001, "/view?file=../../../../etc/passwd", REFUSED);
    }
    writer.end().expect("memory")
}

#[test]
fn an_endpoint_of_honest_clients_is_listed_and_its_exception_works() {
    let desk = Desk::of(&Plan::parse(SITE_ALONE).expect("the plan"));
    let file = desk.write("day.pcap", &capture());
    desk.replay("out", &[&file], b"").good();
    let report = desk.report("out", "2026-10");
    assert_eq!(report["totals"]["attempts"], 18);
    let listed = report["likely_false_alarms"].as_array().expect("a list");
    assert_eq!(listed.len(), 1, "{listed:#?}");
    assert_eq!(listed[0]["path"], "/save");
    assert_eq!(listed[0]["place"], "query:text");
    assert_eq!(listed[0]["clean_sources"], 12);
    let exception = listed[0]["exception"].as_str().expect("a text");
    let out = desk.path("out").display().to_string();
    let text = gatewatch(&["report", "--from-dir", &out, "--month", "2026-10"], b"").good().stdout;
    assert!(text.contains("[[detect.exception]]") && text.contains("rule = \"sqli.select\""), "{text}");

    let settings = std::fs::read_to_string(desk.settings()).unwrap();
    std::fs::write(desk.settings(), format!("{settings}\n{exception}")).unwrap();
    desk.replay("again", &[&file], b"").good();
    let report = desk.report("again", "2026-10");
    assert_eq!(report["totals"]["attempts"], 3, "the traversals stay");
    assert_eq!(report["counters"]["requests_excepted"], 15, "and the excepted are told");
    assert_eq!(report["likely_false_alarms"].as_array().map(Vec::len), Some(0));
}
