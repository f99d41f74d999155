//! Inputs that mean something, from the project's own scenarios: what the tests of parsers play, the shipped files, the golden
//! ones, and conversations written packet by packet. `GATEWATCH_SEEDS` names a folder that the tests of a run leave theirs in,
//! one folder an entry, for cargo-fuzz.

use std::path::PathBuf;

use serde_json::Value;
use sha2::{Digest, Sha256};

use crate::app::activity::{Activity, ActivityRow, IncidentNow};
use crate::app::state::Status;
use crate::fuzzing::input::Folder;
use crate::model::stream::Side;
use crate::protocol::UNKNOWN;
use crate::protocol::played::{Act, OPENINGS};
use crate::report::store::{FILE_NAME, Store};
use crate::testing::{CLIENT, SERVER, Script, icmp, quoting, tcp, udp};

const EVENT: &str = include_str!("../../tests/golden/event.json");
const REPORT: &str = include_str!("../../tests/golden/report.json");
const SOURCES: &str = include_str!("../../tests/golden/sources.csv");
const SETTINGS: [&str; 4] = [
    include_str!("../../config/gatewatch.toml"),
    include_str!("../../config/examples/home-gateway.toml"),
    include_str!("../../config/examples/mirror-port.toml"),
    include_str!("../../config/examples/two-sites-behind-proxy.toml"),
];
const RULES: [&str; 2] =
    [include_str!("../../config/rules/services.toml"), include_str!("../../config/rules/probes.toml")];
const TEMPLATES: [&str; 2] =
    [include_str!("../../config/statement/en.toml"), include_str!("../../config/statement/zh.toml")];

/// Leaves an input of an entry where they are collected.
pub fn keep(entry: &str, bytes: &[u8]) {
    let Some(folder) = std::env::var_os("GATEWATCH_SEEDS").map(PathBuf::from) else { return };
    let folder = folder.join(entry);
    std::fs::create_dir_all(&folder).unwrap();
    let name = crate::classify::geo::hex(&Sha256::digest(bytes)[..8]);
    std::fs::write(folder.join(name), bytes).unwrap();
}

/// Leaves a dialogue that a test plays, for its parser and for those that take any.
pub fn keep_dialogue(app: Option<&str>, acts: &[Act], port: u16) {
    if std::env::var_os("GATEWATCH_SEEDS").is_none() {
        return;
    }
    let bytes = dialogue(acts, port);
    for entry in ["conversation", "judged"] {
        keep(entry, &bytes);
    }
    // What no protocol takes has no parser.
    if let Some(app) = app.filter(|app| *app != UNKNOWN) {
        keep(&format!("tcp.{app}"), &bytes);
    }
}

/// Leaves the dialogue of a test that knows no gaps.
pub fn keep_talk(app: Option<&str>, talk: &[(Side, &[u8])], port: u16) {
    let act = |(side, bytes): &(Side, &[u8])| match side {
        Side::Client => Act::Ask(bytes.to_vec()),
        Side::Server => Act::Answer(bytes.to_vec()),
    };
    keep_dialogue(app, &talk.iter().map(act).collect::<Vec<_>>(), port);
}

/// Leaves a datagram that a test has read.
pub fn keep_datagram(row: &str, bytes: &[u8], port: u16) {
    keep(&format!("udp.{row}"), &datagram(bytes, port));
}

fn datagram(bytes: &[u8], port: u16) -> Vec<u8> {
    [&port.to_be_bytes()[..], &said(Side::Client, bytes)].concat()
}

/// A number of two bytes, and so many bytes.
fn piece(bytes: &[u8]) -> Vec<u8> {
    [&(bytes.len() as u16).to_be_bytes()[..], bytes].concat()
}

fn said(side: Side, bytes: &[u8]) -> Vec<u8> {
    let pieces = bytes.chunks(0xffff).map(|bytes| [vec![side as u8], piece(bytes)].concat());
    pieces.collect::<Vec<_>>().concat()
}

/// Uncut, port, acts: as `Input::act` reads them.
fn dialogue(acts: &[Act], port: u16) -> Vec<u8> {
    let act = |act: &Act| match act {
        Act::Ask(bytes) => said(Side::Client, bytes),
        Act::Answer(bytes) => said(Side::Server, bytes),
        Act::Gap(side, missing) => [&[*side as u8 | 6 << 1][..], &(*missing as u16).to_be_bytes()].concat(),
    };
    let acts: Vec<Vec<u8>> = acts.iter().map(act).collect();
    [vec![0], port.to_be_bytes().to_vec(), acts.concat()].concat()
}

/// The inputs of an entry.
pub fn of(entry: &str) -> Vec<Vec<u8>> {
    if let Some(app) = entry.strip_prefix("tcp.") {
        return openings(Some(app));
    }
    if let Some(app) = entry.strip_prefix("udp.") {
        return datagrams(app);
    }
    match entry {
        "conversation" | "judged" => openings(None),
        "link" => links(),
        "packets" => vec![packets()],
        "half" | "table" | "fragments" => reassembly(entry),
        "mmdb" => vec![mmdb("198.51.100.0/24"), mmdb("2000::/3"), mmdb("0.0.0.0/1")],
        "capture" => captures(),
        "status" => vec![serde_json::to_vec(&answer()).unwrap()],
        "store" => vec![store()],
        _ => texts(entry),
    }
}

/// Of one protocol, or of all.
fn openings(app: Option<&str>) -> Vec<Vec<u8>> {
    let more: &[(&str, &[u8], &[u8])] = &[
        ("http", b"POST /a?x=1%27%20UNION%20SELECT%201-- HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n3\r\nabc\r\n0\r\n\r\nGET /b HTTP/1.1\r\n\r\n", b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nokHTTP/1.1 404 Not Found\r\n\r\n"),
        ("http", b"PROXY TCP4 198.51.100.7 203.0.113.10 4711 80\r\nGET /../../etc/passwd HTTP/1.0\r\n\r\n", b""),
        ("probe", b"HELP\r\n", b""),
        ("ftp", b"USER a\r\nPASS b\r\n", b"220 ProFTPD Server ready.\r\n331 a\r\n530 no\r\n"),
        ("imap", b"a1 LOGIN a b\r\n", b"* OK IMAP4rev1 ready\r\na1 NO no\r\n"),
        ("pop3", b"USER a\r\nPASS b\r\n", b"+OK ready <1.2@mx.example.org>\r\n+OK\r\n-ERR no\r\n"),
        ("websocket", b"\x81\x85\x01\x02\x03\x04igohn", b"\x81\x02ok"),
        ("smtp", b"EHLO a\r\nAUTH LOGIN\r\nYWRtaW4=\r\nYQ==\r\nSTARTTLS\r\n", b"220 a ESMTP\r\n250 a\r\n334 VXNlcm5hbWU6\r\n334 UGFzc3dvcmQ6\r\n535 no\r\n220 go\r\n"),
    ];
    let all = OPENINGS.iter().chain(more).filter(|(name, ..)| app.is_none_or(|app| app == *name));
    let played = all.map(|(_, client, server)| {
        dialogue(&[Act::Answer(server.to_vec()), Act::Ask(client.to_vec()), Act::Gap(Side::Client, 3)], 4_711)
    });
    played.collect()
}

/// What a client of each asks.
fn datagrams(app: &str) -> Vec<Vec<u8>> {
    let query = b"\x12\x34\x01\0\0\x01\0\0\0\0\0\0\x03www\x07example\x03org\0\0\xff\0\x01";
    let (bytes, port): (&[u8], u16) = match app {
        "ntp" => (b"\x17\0\x03\x2a\0\0\0\0", 123),
        "dns" => (query, 53),
        "ssdp" => (b"M-SEARCH * HTTP/1.1\r\nHost: 239.255.255.250:1900\r\nMan: \"ssdp:discover\"\r\nST: ssdp:all\r\n\r\n", 1_900),
        "memcached" => (b"\0\x01\0\0\0\x01\0\0stats\r\n", 11_211),
        "snmp" => (b"\x30\x26\x02\x01\x01\x04\x06public\xa5\x19\x02\x04\x71\xb4\xb5\x68\x02\x01\0\x02\x01\x7f\x30\x0b\x30\x09\x06\x05\x2b\x06\x01\x02\x01\x05\0", 161),
        "cldap" => (b"\x30\x25\x02\x01\x01\x63\x20\x04\0\x0a\x01\0\x0a\x01\0\x02\x01\0\x02\x01\0\x01\x01\0\x87\x0bobjectclass\x30\0", 389),
        "chargen" => (b"\x01", 19),
        "qotd" => (b"\r\n", 17),
        "sip" => (b"REGISTER sip:a SIP/2.0\r\nVia: SIP/2.0/UDP a\r\nTo: <sip:100@a>\r\nCSeq: 1 REGISTER\r\n\r\n", 5_060),
        _ => return Vec::new(),
    };
    vec![datagram(bytes, port)]
}

fn ends() -> (std::net::SocketAddr, std::net::SocketAddr) {
    (CLIENT.parse().unwrap(), SERVER.parse().unwrap())
}

/// One packet behind each link header.
fn links() -> Vec<Vec<u8>> {
    let (client, server) = ends();
    let packet = tcp(client, server, 2, (1, 0), b"x");
    let ethernet = [&[0_u8; 12][..], &[8, 0]].concat();
    let headers: [&[u8]; 9] = [
        &ethernet,
        &[2, 0, 0, 0],
        &[0, 0, 0, 2],
        &[],
        &[0xff, 3, 0, 0x21],
        &[0x0f, 0, 8, 0],
        &[0, 0, 0, 1, 0, 6, 0, 0, 0, 0, 0, 0, 0, 0, 8, 0],
        &[8, 0, 0, 0, 0, 0, 0, 1, 0, 1, 0, 6, 0, 0, 0, 0, 0, 0, 0, 0],
        &[0],
    ];
    (0_u8..).zip(headers).map(|(number, header)| [&[number], header, &packet].concat()).collect()
}

/// A conversation with an attack, errors, datagrams, a tick: raw IP packets, a second apart.
fn packets() -> Vec<u8> {
    let (client, server) = ends();
    let attack = b"GET /item?id=1%27%20UNION%20SELECT%20a,b%20FROM%20users-- HTTP/1.1\r\nHost: www.example.org\r\n\r\n";
    let script = Script::new().handshake().ask(attack).server_ack();
    let mut packets =
        script.answer(b"HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n").client_ack().close().packets;
    let asked = udp(client, server, b"\x12\x34\x01\0\0\x01\0\0\0\0\0\0\x01a\0\0\xff\0\x01");
    packets.push(quoting(server.ip(), (3, 3), &asked));
    packets.push(icmp(client.ip(), server.ip(), (8, 0), 1, b"abcd"));
    packets.push(asked);
    let told = packets.iter().map(|packet| [vec![3, 10], piece(packet)].concat());
    [told.collect::<Vec<_>>().concat(), vec![0xf0, 10, 0, 0]].concat()
}

fn reassembly(entry: &str) -> Vec<Vec<u8>> {
    let text = b"0123456789abcdef";
    let at = |place: usize, bytes: &[u8]| [&(place as u16).to_be_bytes()[..], &piece(bytes)].concat();
    let parts = [at(8, &text[8..]), at(4, b"4567XX"), at(0, &text[..8]), at(16, b"end")];
    match entry {
        "half" => vec![[&[0xff, 0xff, 0xff, 0xf8][..], &parts.concat()].concat()],
        "fragments" => [0, 1]
            .map(|family| {
                let part = |last: bool, part: &Vec<u8>| {
                    [vec![family | if last { 0 } else { 0x80 }], part.clone()].concat()
                };
                [part(false, &parts[0]), part(false, &parts[2]), part(true, &parts[3])].concat()
            })
            .to_vec(),
        _ => {
            let segment = |head: u8, flags: u8, (at, ack): (u16, u16), bytes: &[u8]| {
                [vec![head, flags], at.to_be_bytes().to_vec(), ack.to_be_bytes().to_vec(), piece(bytes)]
                    .concat()
            };
            let whole = [
                segment(0, 2, (0, 0), b""),
                segment(1, 0x12, (0, 1), b""),
                segment(8, 0x10, (1, 1), b""),
                segment(16, 0x18, (6, 1), &text[5..]),
                segment(0, 0x18, (1, 1), &text[..5]),
                segment(1, 0x10, (1, 17), b""),
                segment(1, 0x10, (1, 30), b""),
                segment(56, 0x11, (30, 1), b""),
                segment(1, 0x11, (1, 31), b""),
            ];
            vec![whole.concat()]
        }
    }
}

/// A database of one network.
fn mmdb(network: &str) -> Vec<u8> {
    let mut writer = mmdb_writer::Writer::new("Test-Country");
    let record = serde_json::json!({
        "country": {"iso_code": "DE"}, "continent": {"code": "EU"}, "autonomous_system_number": 64500,
    });
    writer.insert(network.parse::<ipnet::IpNet>().unwrap(), &record).unwrap();
    writer.to_bytes().unwrap()
}

/// A capture of [`packets`]' conversation: pcap in both byte orders, with nanoseconds, pcapng, and compressed.
fn captures() -> Vec<Vec<u8>> {
    let packets = Script::new().handshake().ask(b"GET / HTTP/1.1\r\n\r\n").close().packets;
    let pcap = |magic: u32, words: fn(u32) -> [u8; 4], halves: fn(u16) -> [u8; 2]| {
        let mut bytes = [words(magic).to_vec(), halves(2).to_vec(), halves(4).to_vec()].concat();
        bytes.extend([0, 0, 65_535, 101].map(words).concat());
        for (second, packet) in (0_u32..).zip(&packets) {
            let length = packet.len() as u32;
            bytes.extend([second, 7, length, length].map(words).concat());
            bytes.extend(packet);
        }
        bytes
    };
    let plain = pcap(0xa1b2_c3d4, u32::to_le_bytes, u16::to_le_bytes);
    let mut section =
        b"\x0a\x0d\x0d\x0a\x1c\0\0\0\x4d\x3c\x2b\x1a\x01\0\0\0\xff\xff\xff\xff\xff\xff\xff\xff\x1c\0\0\0"
            .to_vec();
    section.extend(b"\x01\0\0\0\x14\0\0\0\x65\0\0\0\xff\xff\0\0\x14\0\0\0");
    for packet in &packets {
        let padded = packet.len().next_multiple_of(4);
        let words = [6, 32 + padded as u32, 0, 0, 7, packet.len() as u32, packet.len() as u32];
        section.extend(words.map(u32::to_le_bytes).concat());
        section.extend(packet);
        section.extend(vec![0; padded - packet.len()]);
        section.extend((32 + padded as u32).to_le_bytes());
    }
    let mut gzip = flate2::write::GzEncoder::new(Vec::new(), flate2::Compression::fast());
    std::io::Write::write_all(&mut gzip, &plain).unwrap();
    vec![
        pcap(0xa1b2_c3d4, u32::to_be_bytes, u16::to_be_bytes),
        pcap(0xa1b2_3c4d, u32::to_le_bytes, u16::to_le_bytes),
        gzip.finish().unwrap(),
        zstd::bulk::compress(&plain, 1).unwrap(),
        plain,
        section,
    ]
}

/// What a daemon answers.
fn answer() -> Status {
    let row = ActivityRow {
        site: "a\u{1b}[2J".into(),
        class: "web.sqli".into(),
        country: "US".into(),
        attempts: 7,
    };
    let incident =
        IncidentNow { source: "192.0.2.7".into(), class: "web.sqli".into(), ..IncidentNow::default() };
    Status {
        state: "capturing".into(),
        started: "2012-06-30T12:00:00Z".into(),
        written: Some("2012-06-30T12:00:01Z".into()),
        counters: [("frames_received".to_owned(), 5), ("kernel_drops".to_owned(), 3)].into(),
        troubles: vec!["a\u{202e}b".into()],
        activity: Activity { rows: vec![row], incidents: vec![incident] },
        ..Status::default()
    }
}

/// A store with a row.
fn store() -> Vec<u8> {
    let folder = Folder::new();
    let (store, _) = Store::open(folder.path()).unwrap();
    let hour = "2026-09-01".parse::<crate::model::period::Period>().unwrap().first_hour().0;
    let row = format!(
        "INSERT INTO tally VALUES ({hour}, 'a', 'web.sqli', 'E2', 'US', 'overseas', '', 1, 1, 7, 0, 0, 0, 0);"
    );
    let watch = format!("INSERT INTO watch VALUES ({hour}, 3600000000);");
    store.connection().execute_batch(&(row + &watch)).unwrap();
    drop(store);
    std::fs::read(folder.path().join(FILE_NAME)).unwrap()
}

/// Inputs that people can read, but for lengths.
fn texts(entry: &str) -> Vec<Vec<u8>> {
    let pieces = |parts: &[&[u8]]| parts.iter().map(|part| piece(part)).collect::<Vec<_>>().concat();
    let line = EVENT.parse::<Value>().unwrap().to_string() + "\n";
    let file = |which: u8, bytes: &[u8]| [vec![which], piece(bytes)].concat();
    match entry {
        "proxy" => vec![
            b"PROXY TCP4 198.51.100.7 203.0.113.10 4711 80\r\nGET".to_vec(),
            b"\r\n\r\n\0\r\nQUIT\n\x21\x11\0\x0c\xc6\x33\x64\x07\xcb\0\x71\x0a\x12\x67\0\x50".to_vec(),
        ],
        "forwarded" => vec![pieces(&[b"1.1.1.1, 203.0.113.9", b"for=\"[2001:db8:cafe::17]:4711\";by=x", b"8.8.8.8"])],
        "hello" => vec![[&b"\x03\x03"[..], &[7; 32], b"\0\0\x04\x13\x01\xc0\x2f\x01\0\0\x1b\0\0\0\x0c\0\x0a\0\0\x07a.b.com\0\x2b\0\x03\x02\x03\x04\0\x17\0\0"].concat()],
        "dns-message" => vec![b"\x12\x34\x01\0\0\x01\0\0\0\0\0\0\x03www\x07example\x03org\0\0\x01\0\x01".to_vec()],
        "ber" => vec![b"\x30\x0a\x02\x01\x01\x04\x05abcde".to_vec()],
        "settings" => {
            let whole = SETTINGS.iter().map(|text| piece(text.as_bytes()));
            whole.chain([[pieces(&[SETTINGS[1].as_bytes()]), SETTINGS[3].as_bytes().to_vec()].concat()]).collect()
        }
        "rules" => RULES.map(|text| text.as_bytes().to_vec()).to_vec(),
        "template" => TEMPLATES.map(|text| text.as_bytes().to_vec()).to_vec(),
        "lists" => vec![[pieces(&[b"# exits\n198.51.100.7\n9.0.0.0/8 # all\n2a00:1450::/32\n"]), b"9.1.0.0/16\n9.1.2.3\n".to_vec()].concat()],
        "ranges" => vec![b"1.0.0.0,1.0.3.255,AU\n8.8.8.0/24,US\n\"2001:200::\",\"2001:200:ffff::\",JP\n".to_vec()],
        "merge" => vec![[pieces(&[line.as_bytes()]), line.as_bytes().to_vec()].concat()],
        "verify" => vec![[file(0, REPORT.as_bytes()), file(4, line.as_bytes()), file(5, SOURCES.as_bytes())].concat()],
        "explain" => vec![line.replace("GET", "\\u001b[2J").into_bytes(), line.into_bytes()],
        _ => Vec::new(),
    }
}
