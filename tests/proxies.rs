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
/// A content network that names clients in a field of its own, as the settings of the test say.
const CDN: &str = "104.16.0.1";
const CDN_SIX: &str = "2606:4700::1";
const NAMING: &str = "
[[origin.proxy]]
networks = [\"104.16.0.0/13\", \"2606:4700::/32\"]
header = \"CF-Connecting-IP\"
";
/// Clients in the United States and Japan.
const UNITED_STATES: &str = "73.10.20.30";
const JAPAN: &str = "2001:200::17";

/// The hops of a chain of two trusted proxies, with something forged at its left.
const FORWARDED: &str = "X-Forwarded-For: 8.8.8.8, 73.10.20.30, 198.51.100.80\r\n";

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

fn cases() -> Vec<Case<'static>> {
    let none = Vec::new;
    vec![
        (TRUSTED, v1(UNITED_STATES), "", UNITED_STATES, "US", "E3"),
        (TRUSTED, v2([73, 10, 20, 30]), "", UNITED_STATES, "US", "E3"),
        (TRUSTED, v1(JAPAN), "", JAPAN, "JP", "E3"),
        (TRUSTED, none(), FORWARDED, UNITED_STATES, "US", "E3"),
        (TRUSTED, none(), "Forwarded: for=\"[2001:200::17]:4711\"\r\n", JAPAN, "JP", "E3"),
        // The balancer names another trusted proxy, which names the client.
        (TRUSTED, v1("198.51.100.81"), FORWARDED, UNITED_STATES, "US", "E3"),
        (TRUSTED, none(), "", TRUSTED, "proxy", "X"),
        (TRUSTED, b"PROXY UNKNOWN\r\n".to_vec(), "", TRUSTED, "proxy", "X"),
        (STRANGER, v1(UNITED_STATES), "", STRANGER, "DE", "E2"),
        (STRANGER, v2([73, 10, 20, 30]), "", STRANGER, "DE", "E2"),
        (STRANGER, none(), FORWARDED, STRANGER, "DE", "E2"),
        // Several lines are one list; what a client forges stands at its left.
        (
            TRUSTED,
            none(),
            "X-Forwarded-For: 8.8.8.8\r\nX-Forwarded-For: 73.10.20.30\r\n",
            UNITED_STATES,
            "US",
            "E3",
        ),
        (
            TRUSTED,
            none(),
            "X-Forwarded-For: 8.8.8.8, 2001:200::17\r\nAccept: */*\r\nx-forwarded-for: 198.51.100.81\r\n",
            JAPAN,
            "JP",
            "E3",
        ),
        (
            TRUSTED,
            none(),
            "Forwarded: for=8.8.8.8\r\nForwarded: for=73.10.20.30;proto=http\r\n",
            UNITED_STATES,
            "US",
            "E3",
        ),
        (
            TRUSTED,
            none(),
            "X-Forwarded-For: 73.10.20.30\r\nX-Forwarded-For: unknown\r\n",
            TRUSTED,
            "proxy",
            "X",
        ),
        // With both, which of them the proxy wrote cannot be known: they must agree.
        (
            TRUSTED,
            none(),
            "Forwarded: for=8.8.8.8\r\nX-Forwarded-For: 2001:200::17\r\n",
            TRUSTED,
            "proxy",
            "X",
        ),
        (
            TRUSTED,
            none(),
            "Forwarded: for=\"[2001:200::17]\"\r\nX-Forwarded-For: 1.1.1.1, 2001:200::17\r\n",
            JAPAN,
            "JP",
            "E3",
        ),
        // A naming proxy is believed in its own field only, and only with one address in it.
        (CDN, none(), "CF-Connecting-IP: 73.10.20.30\r\n", UNITED_STATES, "US", "E3"),
        (CDN, none(), "X-Forwarded-For: 8.8.8.8\r\ncf-connecting-ip: 2001:200::17\r\n", JAPAN, "JP", "E3"),
        (CDN_SIX, none(), "CF-Connecting-IP: 2001:200::17\r\n", JAPAN, "JP", "E3"),
        (CDN, none(), "X-Forwarded-For: 73.10.20.30\r\n", CDN, "proxy", "X"),
        (CDN, v1(UNITED_STATES), "", CDN, "proxy", "X"),
        (CDN, none(), "CF-Connecting-IP: 8.8.8.8, 73.10.20.30\r\n", CDN, "proxy", "X"),
        (CDN, none(), "CF-Connecting-IP: 8.8.8.8\r\nCF-Connecting-IP: 73.10.20.30\r\n", CDN, "proxy", "X"),
        (CDN_SIX, none(), "CF-Connecting-IP: a visitor\r\n", CDN_SIX, "proxy", "X"),
        (STRANGER, none(), "CF-Connecting-IP: 73.10.20.30\r\n", STRANGER, "DE", "E2"),
        (
            TRUSTED,
            none(),
            "CF-Connecting-IP: 8.8.8.8\r\nX-Forwarded-For: 73.10.20.30\r\n",
            UNITED_STATES,
            "US",
            "E3",
        ),
        // A balancer of ours tells that the content network asked.
        (TRUSTED, v1(CDN), "CF-Connecting-IP: 73.10.20.30\r\n", UNITED_STATES, "US", "E3"),
    ]
}

#[test]
fn only_trusted_proxies_move_an_attempt_to_another_country() {
    let cases = cases();
    let desk = Desk::of(&Plan::parse(SITE_ALONE).expect("the plan"));
    let settings = std::fs::read_to_string(desk.settings()).unwrap();
    let trusted = "trusted_proxies = [\"198.51.100.80/31\"]";
    std::fs::write(
        desk.settings(),
        settings.replacen("[origin]", &format!("[origin]\n{trusted}"), 1) + NAMING,
    )
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
        let peer = event.pointer("/gatewatch/peer_ip").and_then(|value| value.as_str());
        assert_eq!(peer, Some(cases[number].0).filter(|peer| *peer != text("/src_ip")), "case {number}");
        let seen = (text("/src_ip"), text("/gatewatch/origin/country"), text("/gatewatch/grade"));
        assert!(found.insert(number, seen).is_none(), "case {number} is counted twice");
    }
    for (number, (peer, _, fields, client, country, grade)) in cases.iter().enumerate() {
        let (source, place, measured) =
            found.get(&number).unwrap_or_else(|| panic!("case {number} is missed"));
        assert_eq!((source.as_str(), measured.as_str()), (*client, *grade), "case {number}: {peer} {fields}");
        assert_eq!(place, country, "case {number}");
    }
    let report = desk.report("out", "2026-10");
    let sector = |id: &str| {
        let rows = report["sectors"].as_array().unwrap();
        rows.iter().find(|row| row["id"] == id).unwrap()["attempts"].as_u64().unwrap()
    };
    let hidden = cases.iter().filter(|case| case.5 == "X").count() as u64;
    assert_eq!((sector("overseas"), sector("proxy")), (cases.len() as u64 - hidden, hidden));
}
