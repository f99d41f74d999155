use super::*;
use crate::model::time::Timestamp;

/// What came out of a conversation.
#[derive(Debug, Default)]
struct Heard {
    requests: usize,
    texts: Vec<(String, String, u64)>,
}

impl Sink for Heard {
    fn request(&mut self, _: &RequestMeta, _: &Request<'_>) {
        self.requests += 1;
    }
    fn reply(&mut self, _: u64, _: &Reply<'_>) {}
    fn count(&mut self, _: Counter) {}
    fn login(&mut self, _: &At, _: &Login<'_>) {}
    fn oddity(&mut self, _: &At, _: &'static Oddity, _: &[u8]) {}
    fn text(&mut self, at: &At, field: &'static str, text: &[u8]) {
        self.texts.push((format!("{}:{field}", at.app), String::from_utf8_lossy(text).into(), at.offset));
    }
    fn mark(&mut self, _: Mark<'_>) {}
}

fn play(dialogue: &[(Side, &[u8])]) -> (Conversation, Heard) {
    let (mut conversation, mut heard) = (Conversation::default(), Heard::default());
    let mut offsets = [0_u64; 2];
    for (side, bytes) in dialogue {
        let offset = &mut offsets[usize::from(*side == Side::Server)];
        let chunk = Chunk { bytes, offset: *offset, time: Timestamp(0), conflicting: false };
        *offset += bytes.len() as u64;
        conversation.data(*side, &chunk, 4_711, &mut heard);
    }
    (conversation, heard)
}

#[test]
fn what_nothing_recognises_is_judged_by_its_first_payload_once() {
    let long = [b'\x01'; 2_000];
    let (mut conversation, mut heard) = play(&[(Side::Client, b"\x01\x02hello"), (Side::Client, b" again")]);
    assert_eq!(heard.texts, [("unknown:payload".into(), "\x01\x02hello".into(), 0)]);
    assert_eq!(conversation.app(), Some(UNKNOWN));
    conversation.closed(Side::Client, &mut heard);
    assert_eq!(heard.texts.len(), 1);
    let (conversation, heard) = play(&[(Side::Client, &long)]);
    assert_eq!((heard.texts.len(), conversation.held()), (1, 0));
}

#[test]
fn a_password_in_a_payload_that_nothing_recognises_is_not_told() {
    let (mut conversation, mut heard) = play(&[(Side::Client, b"\x02USER ${jndi:x}\r\nPASS secret\r\n")]);
    conversation.closed(Side::Client, &mut heard);
    assert_eq!(heard.texts, [("unknown:payload".into(), "\u{2}USER ${jndi:x}\r".into(), 0)]);
}

#[test]
fn a_request_after_a_banner_and_in_pieces_is_recognised_still() {
    let (conversation, heard) =
        play(&[(Side::Server, b"hello\r\n"), (Side::Client, b"GE"), (Side::Client, b"T / HTTP/1.1\r\n\r\n")]);
    assert_eq!((conversation.app(), heard.requests), (Some("http"), 1));
}

#[test]
fn what_was_begun_and_never_recognised_is_told_at_the_end() {
    let (mut conversation, mut heard) = play(&[(Side::Client, b"GE")]);
    assert!(conversation.held() > 0 && heard.texts.is_empty());
    conversation.closed(Side::Client, &mut heard);
    assert_eq!(heard.texts[0].1, "GE");
}

#[test]
fn every_row_has_a_name_of_its_own() {
    let mut names: Vec<&str> = PROTOCOLS.iter().map(|row| row.name).collect();
    names.extend(
        datagram::DATAGRAMS
            .iter()
            .map(|row| row.name)
            .filter(|name| !["dns", "memcached", "sip"].contains(name)),
    );
    let count = names.len();
    names.sort_unstable();
    names.dedup();
    assert_eq!(names.len(), count);
}

/// Who speaks, and what.
type Line<'a> = (Side, &'a [u8]);

/// Openings of servers and clients, and the one protocol that must take each.
const OPENINGS: &[(&str, &[Line<'_>])] = &[
    ("http", &[(Side::Client, b"OPTIONS /sip:a HTTP/1.1\r\nHost: a\r\n\r\n")]),
    ("http", &[(Side::Client, b"OPTIONS * HTTP/1.0\r\n\r\n")]),
    ("http", &[(Side::Client, b"GET / HTTP/1.1\r\nHost: a\r\n\r\n")]),
    ("tls", &[(Side::Client, b"\x16\x03\x01\x02\x00\x01")]),
    ("ftp", &[(Side::Server, b"220 ProFTPD Server ready.\r\n")]),
    ("ftp", &[(Side::Server, b"220 ready\r\n"), (Side::Client, b"USER a\r\n")]),
    ("smtp", &[(Side::Server, b"220 mx.example.org ESMTP\r\n")]),
    ("smtp", &[(Side::Server, b"220-hello\r\n220 ready\r\n"), (Side::Client, b"HELO a\r\n")]),
    ("pop3", &[(Side::Server, b"+OK ready <1.2@mx.example.org>\r\n")]),
    ("pop3", &[(Side::Client, b"USER a\r\n"), (Side::Server, b"+OK\r\n")]),
    ("imap", &[(Side::Server, b"* OK IMAP4rev1 ready\r\n")]),
    ("imap", &[(Side::Client, b"a1 LOGIN a b\r\n"), (Side::Server, b"a1 NO\r\n")]),
    ("telnet", &[(Side::Server, b"\xff\xfd\x18")]),
    ("telnet", &[(Side::Server, b"\r\nUser Access Verification\r\n\r\nUsername: ")]),
    ("redis", &[(Side::Client, b"*1\r\n$4\r\nPING\r\n")]),
    ("redis", &[(Side::Client, b"AUTH a\r\n"), (Side::Server, b"+OK\r\n")]),
    ("redis", &[(Side::Client, b"INFO\r\n"), (Side::Server, b"$3000\r\n# Server\r\n")]),
    ("sip", &[(Side::Client, b"OPTIONS sip:a@example.org SIP/2.0\r\nVia: x\r\n")]),
    ("probe", &[(Side::Client, b"HELP\r\n")]),
];

#[test]
fn each_opening_is_taken_by_its_own_protocol_however_it_is_cut() {
    for (app, dialogue) in OPENINGS {
        for piece in [1, 2, 5, usize::MAX] {
            assert_eq!(played::talk(dialogue, 4_711, piece).app, Some(*app), "{dialogue:?} by {piece}");
        }
    }
}

#[test]
fn no_two_protocols_claim_one_opening() {
    for (app, dialogue) in OPENINGS {
        let said =
            |side| dialogue.iter().filter(|part| part.0 == side).flat_map(|part| part.1).copied().collect();
        let (client, server): (Vec<u8>, Vec<u8>) = (said(Side::Client), said(Side::Server));
        let opening = Opening { client: &client, server: &server, port: 4_711 };
        let claims: Vec<_> =
            PROTOCOLS.iter().filter(|row| (row.recognise)(&opening) == Recognition::Yes).collect();
        assert_eq!(claims.iter().map(|row| row.name).collect::<Vec<_>>(), [*app], "{dialogue:?}");
    }
}
