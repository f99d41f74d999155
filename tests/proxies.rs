//! Clients behind proxies: named by the PROXY protocol or a forwarding header, believed of trusted peers only.

#![allow(
    clippy::expect_used,
    clippy::indexing_slicing,
    clippy::panic,
    clippy::print_stderr,
    clippy::unwrap_used,
    reason = "a test stops at the first surprise and says what it skips"
)]

use std::collections::BTreeMap;
use std::net::SocketAddr;

#[allow(dead_code, reason = "shared by all tests")]
mod support;

use support::generator::capture::CaptureWriter;
use support::generator::frames::Link;
use support::generator::plan::Plan;
use support::sensor::Desk;
use support::talk::{SITE_ALONE, conversation, cut};

const REPLY: &[u8] = b"HTTP/1.1 404 Not Found\r\nContent-Length: 0\r\n\r\n";
/// A proxy of the operator, and a stranger in Germany.
const TRUSTED: &str = "198.51.100.80";
const STRANGER: &str = "93.193.4.5";
/// Clients in the United States and Japan.
const UNITED_STATES: &str = "73.10.20.30";
const JAPAN: &str = "2001:200::17";

/// Peer, what precedes the request, fields of the request, and the client, country and grade that must come out.
type Case<'a> = (&'a str, Vec<u8>, &'a str, &'a str, &'a str, &'a str);

fn attack(number: usize, fields: &str) -> Vec<u8> {
    format!(
        "GET /item?n={number}&id=1%27%20UNION%20SELECT%20a,b%20FROM%20users--%20- HTTP/1.1\r\nHost: www.town.example\r\n{fields}\r\n"
    )
    .into_bytes()
}

fn v1(client: &str) -> Vec<u8> {
    let family = if client.contains(':') { "TCP6" } else { "TCP4" };
    format!("PROXY {family} {client} 203.0.113.10 4711 80\r\n").into_bytes()
}

fn v2(client: [u8; 4]) -> Vec<u8> {
    let mut bytes = b"\r\n\r\n\0\r\nQUIT\n\x21\x11\x00\x0c".to_vec();
    bytes.extend(client);
    bytes.extend([203, 0, 113, 10, 0x12, 0x67, 0, 80]);
    bytes
}

#[test]
fn only_trusted_proxies_move_an_attempt_to_another_country() {
    let forwarded = format!("X-Forwarded-For: 8.8.8.8, {UNITED_STATES}, {TRUSTED}\r\n");
    let rfc = format!("Forwarded: for=\"[{JAPAN}]:4711\"\r\n");
    let cases: Vec<Case<'_>> = vec![
        (TRUSTED, v1(UNITED_STATES), "", UNITED_STATES, "US", "E3"),
        (TRUSTED, v2([73, 10, 20, 30]), "", UNITED_STATES, "US", "E3"),
        (TRUSTED, v1(JAPAN), "", JAPAN, "JP", "E3"),
        (TRUSTED, Vec::new(), &forwarded, UNITED_STATES, "US", "E3"),
        (TRUSTED, Vec::new(), &rfc, JAPAN, "JP", "E3"),
        // The balancer names another trusted proxy, which names the client.
        (TRUSTED, v1("198.51.100.81"), &forwarded, UNITED_STATES, "US", "E3"),
        (TRUSTED, Vec::new(), "", TRUSTED, "proxy", "X"),
        (TRUSTED, b"PROXY UNKNOWN\r\n".to_vec(), "", TRUSTED, "proxy", "X"),
        (STRANGER, v1(UNITED_STATES), "", STRANGER, "DE", "E2"),
        (STRANGER, v2([73, 10, 20, 30]), "", STRANGER, "DE", "E2"),
        (STRANGER, Vec::new(), &forwarded, STRANGER, "DE", "E2"),
    ];
    let desk = Desk::of(&Plan::parse(SITE_ALONE).expect("the plan"));
    let settings = std::fs::read_to_string(desk.settings()).unwrap();
    let trusted = "trusted_proxies = [\"198.51.100.80/31\"]";
    std::fs::write(desk.settings(), settings.replacen("[origin]", &format!("[origin]\n{trusted}"), 1))
        .unwrap();
    let mut writer = CaptureWriter::begin(Vec::new(), Link::Ethernet).expect("memory");
    let mut time = 1_792_000_000_000_000_u64;
    for (number, (peer, preface, fields, ..)) in cases.iter().enumerate() {
        let client = SocketAddr::new(peer.parse().unwrap(), 40_000 + number as u16);
        let stream = [preface.clone(), attack(number, fields)].concat();
        // In small segments: a preface may come in parts.
        for packet in conversation(client, &cut(&stream, 9), stream.len(), REPLY) {
            time += 100;
            writer.write(&(time, packet)).expect("memory");
        }
    }
    let file = desk.write("proxies.pcap", &writer.end().expect("memory"));
    desk.replay("out", &[&file], b"").good();
    let mut found = BTreeMap::new();
    for event in desk.events("out") {
        let text =
            |place: &str| event.pointer(place).and_then(|value| value.as_str()).unwrap_or("-").to_owned();
        let url = text("/http/url");
        let number: usize = url.split("n=").nth(1).unwrap().split('&').next().unwrap().parse().unwrap();
        let seen = (text("/src_ip"), text("/gatewatch/origin/country"), text("/gatewatch/grade"));
        assert!(found.insert(number, seen).is_none(), "case {number} is counted twice");
    }
    for (number, (peer, _, fields, client, country, grade)) in cases.iter().enumerate() {
        let (source, place, measured) =
            found.get(&number).unwrap_or_else(|| panic!("case {number} is missed"));
        assert_eq!((source.as_str(), measured.as_str()), (*client, *grade), "case {number}: {peer} {fields}");
        if country.len() == 2 {
            assert_eq!(place, country, "case {number}");
        }
    }
    let report = desk.report("out", "2026-10");
    let sector = |id: &str| {
        let rows = report["sectors"].as_array().unwrap();
        rows.iter().find(|row| row["id"] == id).unwrap()["attempts"].as_u64().unwrap()
    };
    assert_eq!((sector("overseas"), sector("proxy")), (9, 2));
}
