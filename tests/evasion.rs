//! One attack, sent in every way that hides it from a careless sensor: cut, reordered, repeated with other bytes,
//! fragmented, chunked, compressed, padded, encoded. Each client must come out as one attempt of the right class.

#![allow(
    clippy::expect_used,
    clippy::indexing_slicing,
    clippy::panic,
    clippy::print_stderr,
    clippy::unwrap_used,
    reason = "a test stops at the first surprise and says what it skips"
)]

use std::collections::BTreeMap;
use std::io::Write;
use std::net::{Ipv4Addr, SocketAddr};

#[allow(dead_code, reason = "shared by all tests")]
mod support;

use pnet::packet::ipv4::{self, Ipv4Packet, MutableIpv4Packet};
use support::generator::capture::CaptureWriter;
use support::generator::frames::Link;
use support::generator::plan::Plan;
use support::sensor::Desk;
use support::talk::{Part, SITE_ALONE, conversation, cut};

const ATTACK: &str = "GET /item?id=1%27%20UNION%20SELECT%20user,password%20FROM%20users--%20- HTTP/1.1\r\nHost: www.town.example\r\nUser-Agent: Mozilla/5.0\r\n\r\n";
const REPLY: &[u8] = b"HTTP/1.1 404 Not Found\r\nContent-Length: 0\r\n\r\n";

/// An IPv4 packet in fragments of `size` bytes of payload, a multiple of eight.
fn fragments(packet: &[u8], size: usize) -> Vec<Vec<u8>> {
    let whole = Ipv4Packet::new(packet).unwrap();
    let payload = &packet[20..];
    let count = payload.len().div_ceil(size);
    (0..count)
        .map(|index| {
            let part = &payload[index * size..payload.len().min((index + 1) * size)];
            let mut bytes = packet[..20].to_vec();
            bytes.extend_from_slice(part);
            let mut header = MutableIpv4Packet::new(&mut bytes).unwrap();
            header.set_total_length(20 + part.len() as u16);
            header.set_identification(whole.get_identification());
            header.set_flags(u8::from(index + 1 < count));
            header.set_fragment_offset((index * size / 8) as u16);
            let checksum = ipv4::checksum(&header.to_immutable());
            header.set_checksum(checksum);
            bytes
        })
        .collect()
}

fn gzip(bytes: &[u8]) -> Vec<u8> {
    let mut writer = flate2::write::GzEncoder::new(Vec::new(), flate2::Compression::default());
    writer.write_all(bytes).unwrap();
    writer.finish().unwrap()
}

fn post(fields: &str, body: &[u8]) -> Vec<u8> {
    let head =
        format!("POST /item HTTP/1.1\r\nHost: www.town.example\r\nUser-Agent: Mozilla/5.0\r\n{fields}\r\n");
    [head.as_bytes(), body].concat()
}

fn form(body: &[u8]) -> Vec<u8> {
    let fields =
        format!("Content-Type: application/x-www-form-urlencoded\r\nContent-Length: {}\r\n", body.len());
    post(&fields, body)
}

fn get(value: &str) -> Vec<u8> {
    format!("GET /item?id={value} HTTP/1.1\r\nHost: www.town.example\r\nUser-Agent: Mozilla/5.0\r\n\r\n")
        .into_bytes()
}

/// Every way, under way: its name, the class that must be told, the packets. Each has a client of its own.
#[derive(Default)]
struct Ways(Vec<(&'static str, &'static str, Vec<Vec<u8>>)>);

impl Ways {
    fn client(&self) -> SocketAddr {
        SocketAddr::new(Ipv4Addr::from(0x4928_0001 + self.0.len() as u32).into(), 40_000)
    }

    /// A way of cutting the attack.
    fn of_parts(&mut self, name: &'static str, parts: &[Part]) {
        self.0.push((name, "web.sqli", conversation(self.client(), parts, ATTACK.len(), REPLY)));
    }

    /// A way of sending it in fragments.
    fn of_fragments(&mut self, name: &'static str, act: impl Fn(&[u8]) -> Vec<Vec<u8>>) {
        let whole = conversation(self.client(), &cut(ATTACK.as_bytes(), 4_096), ATTACK.len(), REPLY);
        let packets = whole
            .iter()
            .flat_map(|packet| if packet.len() > 100 { act(packet) } else { vec![packet.clone()] })
            .collect();
        self.0.push((name, "web.sqli", packets));
    }

    /// A request of another form.
    fn of_request(&mut self, name: &'static str, class: &'static str, stream: &[u8]) {
        self.0.push((name, class, conversation(self.client(), &cut(stream, 1_460), stream.len(), REPLY)));
    }
}

fn cut_and_repeated(ways: &mut Ways) {
    let stream = ATTACK.as_bytes();
    ways.of_parts("in one piece", &cut(stream, 4_096));
    ways.of_parts("byte by byte", &cut(stream, 1));
    let mut parts = cut(stream, 7);
    parts.reverse();
    ways.of_parts("in sevens, last first", &parts);
    let twice: Vec<Part> = cut(stream, 10).into_iter().flat_map(|part| [part.clone(), part]).collect();
    ways.of_parts("every segment twice", &twice);
    let overlapping: Vec<Part> =
        (0..stream.len()).step_by(5).map(|at| (at, stream[at..stream.len().min(at + 12)].to_vec())).collect();
    ways.of_parts("overlapping alike", &overlapping);
    // The copy that comes second differs: servers that keep the first copy see the attack.
    let mut parts = cut(stream, 16);
    let fakes: Vec<Part> = parts.iter().skip(1).map(|(at, bytes)| (*at, vec![b'x'; bytes.len()])).collect();
    let first = parts.remove(0);
    parts.extend(fakes);
    parts.push(first);
    ways.of_parts("overlapping otherwise, real first", &parts);
    ways.of_fragments("IP fragments", |packet| fragments(packet, 24));
    ways.of_fragments("IP fragments of eight bytes, last first", |packet| {
        let mut parts = fragments(packet, 8);
        parts.reverse();
        parts
    });
}

fn in_bodies(ways: &mut Ways) {
    let injection = b"id=1%27+UNION+SELECT+user,password+FROM+users--+-";
    let padded = [b"pad=".as_slice(), &b"A".repeat(70_000), b"&", injection].concat();
    let mut chunked: Vec<u8> = injection.chunks(3).fold(Vec::new(), |mut all, chunk| {
        all.extend_from_slice(format!("{:x};ext=1\r\n", chunk.len()).as_bytes());
        all.extend_from_slice(chunk);
        all.extend_from_slice(b"\r\n");
        all
    });
    chunked.extend_from_slice(b"0\r\n\r\n");
    let coded = gzip(injection);
    let of_form = "Content-Type: application/x-www-form-urlencoded\r\n";
    ways.of_request("form", "web.sqli", &form(injection));
    ways.of_request("form behind 70 kB of padding", "web.sqli", &form(&padded));
    let request = post(&format!("{of_form}Transfer-Encoding: chunked\r\n"), &chunked);
    ways.of_request("chunked", "web.sqli", &request);
    let fields = format!("{of_form}Content-Encoding: gzip\r\nContent-Length: {}\r\n", coded.len());
    ways.of_request("gzip", "web.sqli", &post(&fields, &coded));
    let request = post("Content-Length: 6\r\nTransfer-Encoding: chunked\r\n", b"0\r\n\r\nG");
    ways.of_request("length and encoding", "web.smuggle", &request);
    for (name, kind, body) in [
        (
            "JSON",
            "application/json",
            r#"{"a":{"b":["1\u0027 \u0055NION \u0053ELECT user,password FROM users-- -"]}}"#,
        ),
        (
            "GraphQL",
            "application/json",
            r#"{"query":"query { user(id: \"1' UNION SELECT user,password FROM users-- -\") { name } }"}"#,
        ),
        (
            "multipart",
            "multipart/form-data; boundary=X",
            "--X\r\nContent-Disposition: form-data; name=\"id\"\r\n\r\n1' UNION SELECT user,password FROM users-- -\r\n--X--\r\n",
        ),
        (
            "XML",
            "text/xml",
            "<?xml version=\"1.0\"?><q><id>1&#39; UNION SELECT user,password FROM users-- -</id></q>",
        ),
    ] {
        let fields = format!("Content-Type: {kind}\r\nContent-Length: {}\r\n", body.len());
        ways.of_request(name, "web.sqli", &post(&fields, body.as_bytes()));
    }
}

/// A value of a parameter, however it is encoded.
const ENCODED: &[(&str, &str, &str)] = &[
    ("double encoding", "web.sqli", "1%2527%2520UNION%2520SELECT%2520a,b%2520FROM%2520users--"),
    ("%u", "web.sqli", "1%u0027%u0020UNION%u0020SELECT%u0020a,b%u0020FROM%u0020users--"),
    ("full width", "web.sqli", "1%EF%BC%87%20%EF%BC%B5NION%20SELECT%20a,b%20FROM%20users--"),
    ("comments", "web.sqli", "1'/**/UnIoN/*x*/SeLeCt/**/a,b/**/FROM/**/users--"),
    ("versioned comments", "web.sqli", "1'/*!50000UNION*//*!50000SELECT*/a,b+from+users--"),
    ("NUL bytes", "web.sqli", "1%00'%00UNION%20SELECT%20a,b%20FROM%20users--"),
    ("overlong UTF-8", "web.lfi", "..%c0%af..%c0%af..%c0%afetc%c0%afpasswd"),
    ("slashes of all kinds", "web.lfi", "....//....\\\\..%5c../etc/passwd"),
    ("entities", "web.xss", "%26lt;script%26gt;alert(1)%26lt;/script%26gt;"),
    ("case and blanks", "web.xss", "%3CsCrIpT%0a%20src=//x.example%3E"),
    ("quotes in a word", "web.rce", "x;c'a't+/etc/hosts"),
    ("IFS", "web.rce", "x;cat$IFS/etc/hosts"),
    ("globs", "web.rce", "/???/c?t+/e??/h??ts"),
    ("base64", "web.sqli", "MScgVU5JT04gU0VMRUNUIGEsYiBGUk9NIHVzZXJzLS0gLQ=="),
    ("a parameter in two", "web.sqli", "1%27%20UNION&id=%20SELECT%20a,b%20FROM%20users--"),
];

fn ways() -> Vec<(&'static str, &'static str, Vec<Vec<u8>>)> {
    let mut ways = Ways::default();
    cut_and_repeated(&mut ways);
    in_bodies(&mut ways);
    for (name, class, value) in ENCODED {
        ways.of_request(name, class, &get(value));
    }
    ways.0
}

#[test]
fn every_way_of_hiding_an_attack_comes_out_as_one_attempt_of_its_class() {
    let desk = Desk::of(&Plan::parse(SITE_ALONE).expect("the plan"));
    let ways = ways();
    let mut writer = CaptureWriter::begin(Vec::new(), Link::Ethernet).expect("memory");
    let mut time = 1_792_000_000_000_000_u64;
    let mut expected = BTreeMap::new();
    for (name, class, packets) in &ways {
        let source = Ipv4Packet::new(&packets[0]).unwrap().get_source().to_string();
        expected.insert(source, (*name, *class));
        for packet in packets {
            time += 100;
            writer.write(&(time, packet.clone())).expect("memory");
        }
    }
    let file = desk.write("evasions.pcap", &writer.end().expect("memory"));
    desk.replay("out", &[&file], b"").good();
    let mut found: BTreeMap<String, Vec<String>> = BTreeMap::new();
    for event in desk.events("out") {
        let text = |value: &serde_json::Value| value.as_str().unwrap_or_default().to_owned();
        found.entry(text(&event["src_ip"])).or_default().push(text(&event["gatewatch"]["class"]));
    }
    let wrong: Vec<String> = expected
        .iter()
        .filter_map(|(source, (name, class))| {
            let told = found.get(source).cloned().unwrap_or_default();
            (told != [*class]).then(|| format!("{name}: {told:?}, not one {class}"))
        })
        .collect();
    assert!(wrong.is_empty(), "{wrong:#?}");
    assert_eq!(found.len(), ways.len());
}
