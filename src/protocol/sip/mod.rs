//! SIP (RFC 3261) over TCP and UDP: registrations and calls that present a credential, and their fate; scanners by their own word.
//!
//! One reader of messages serves both. Its memory of a conversation is one word: the requests with credentials whose reply is
//! awaited, each as 16 bits of a hash.

mod message;

use crate::model::class::Class;
use crate::model::marks::{Mark, MarkKind};
use crate::model::stream::{Chunk, Side};
use crate::protocol::datagram::{DatagramRow, Message};
use crate::protocol::found::{At, Login, Oddity};
use crate::protocol::lines::mentions;
use crate::protocol::sip::message::{Head, Start};
use crate::protocol::{Opening, Parser, ProtocolRow, Recognition, Sink};

/// Its row of the table of streams.
pub const ROW: ProtocolRow =
    ProtocolRow { name: "sip", recognise: recognise_opening, start, counter: None, oddities: ODDITIES };
/// Its row of the table of datagrams; the oddities are listed once, above.
pub const DATAGRAM_ROW: DatagramRow =
    DatagramRow { name: "sip", recognise: recognise_message, read, reflector_port: None, oddities: &[] };

const ODDITIES: &[&Oddity] = &[&SCANNER, &PROBE];
const SCANNER: Oddity = Oddity {
    id: "sip.scanner",
    class: Class::ScanService,
    weight: 0.95,
    title: "Telephony client that calls itself by the name of a scanner",
};
/// The target that Nmap's service probe asks for.
const PROBE: Oddity = Oddity {
    id: "sip.probe",
    class: Class::ScanService,
    weight: 0.97,
    title: "Service probe of Nmap for SIP",
};

/// Names under which attack tools go about unless told otherwise; phones and gateways have others.
const SCANNERS: [&str; 8] = [
    "friendly-scanner",
    "friendly-request",
    "sipvicious",
    "sundayddr",
    "sip-scan",
    "iwar",
    "siparmyknife",
    "pplsip",
];
/// Methods of RFC 3261 and its extensions: a line begins with one of them or with the version.
const METHODS: [&str; 14] = [
    "ACK",
    "BYE",
    "CANCEL",
    "INFO",
    "INVITE",
    "MESSAGE",
    "NOTIFY",
    "OPTIONS",
    "PRACK",
    "PUBLISH",
    "REFER",
    "REGISTER",
    "SUBSCRIBE",
    "UPDATE",
];
const VERSION: &[u8] = b"SIP/2.0";
/// Bytes of a head that are waited for over TCP; requests over UDP are a third of it at most.
const HEAD_MAX_BYTES: usize = 8 << 10;

fn recognise_opening(opening: &Opening<'_>) -> Recognition {
    match (opening.client, opening.server) {
        ([], []) => Recognition::More,
        ([], bytes) | (bytes, _) => recognise(bytes),
    }
}

fn recognise_message(message: &Message<'_>) -> bool {
    recognise(message.bytes) == Recognition::Yes
}

/// Looks at a start line (RFC 3261 §7): `METHOD sip:… SIP/2.0` or `SIP/2.0 200 OK`.
fn recognise(bytes: &[u8]) -> Recognition {
    let bytes = bytes.trim_ascii_start();
    if bytes.starts_with(b"SIP/2.0 ") {
        return Recognition::Yes;
    }
    let word = bytes.split(|byte| *byte == b' ').next().unwrap_or_default();
    let is_whole = word.len() < bytes.len();
    let may_be = |whole: &[u8]| if is_whole { whole == word } else { whole.starts_with(word) };
    let may_be_version = !is_whole && VERSION.starts_with(word);
    if !may_be_version && !METHODS.iter().any(|method| may_be(method.as_bytes())) {
        return Recognition::No;
    }
    match memchr::memchr(b'\n', bytes) {
        Some(end) if bytes.get(..end).unwrap_or_default().trim_ascii_end().ends_with(VERSION) => {
            Recognition::Yes
        }
        None if bytes.len() < HEAD_MAX_BYTES => Recognition::More,
        _ => Recognition::No,
    }
}

fn start() -> Box<dyn Parser> {
    Box::new(Sip::default())
}

/// Reads one datagram.
fn read(message: &Message<'_>, memo: &mut u64, sink: &mut dyn Sink) {
    if let Some(head) = Head::read(message.bytes) {
        judge(&head, &message.at, memo, sink);
    }
}

/// Judges one message, whoever sent it: a server may call its client too.
fn judge(head: &Head<'_>, at: &At, memo: &mut u64, sink: &mut dyn Sink) {
    match head.start {
        Start::Request { method, target } => {
            if let Some(agent) = head.field("user-agent", None) {
                sink.mark(Mark { kind: MarkKind::Agent, value: agent });
                if SCANNERS.iter().any(|name| mentions(agent, name)) {
                    sink.oddity(at, &SCANNER, agent);
                }
            }
            if target == b"sip:nm" {
                sink.oddity(at, &PROBE, target);
            }
            for (name, short, field) in [("from", b'f', "header:from"), ("to", b't', "header:to")] {
                if let Some(text) = head.field(name, Some(short)) {
                    sink.text(at, field, text);
                }
            }
            let presents =
                ["authorization", "proxy-authorization"].iter().any(|name| head.field(name, None).is_some());
            if presents && matches!(method, b"REGISTER" | b"INVITE") {
                remember(memo, head.transaction());
            }
        }
        // 1xx is no answer yet.
        Start::Reply(code) if code >= 200 && forget(memo, head.transaction()) => {
            let accepted = code < 300;
            if accepted || matches!(code, 401 | 403 | 407) {
                sink.login(
                    at,
                    &Login { class: Class::AuthVoip, account: head.account(), accepted, inferred: false },
                );
            }
        }
        Start::Reply(_) => {}
    }
}

/// Notes a transaction among the four that fit; the oldest gives way. A request sent twice is one.
const fn remember(memo: &mut u64, transaction: u16) {
    if !forget_one(*memo, transaction).1 {
        *memo = *memo << 16 | transaction as u64;
    }
}

/// Whether that transaction was noted; then it is no longer: replies are sent twice too.
const fn forget(memo: &mut u64, transaction: u16) -> bool {
    let (left, was_noted) = forget_one(*memo, transaction);
    *memo = left;
    was_noted
}

/// The memory without that transaction, and whether it was in it.
const fn forget_one(memo: u64, transaction: u16) -> (u64, bool) {
    let mut place = 0;
    while place < 64 {
        if (memo >> place) as u16 == transaction {
            return (memo & !(0xffff << place), true);
        }
        place += 16;
    }
    (memo, false)
}

/// A conversation over TCP.
#[derive(Debug, Default)]
struct Sip {
    sides: [Framing; 2],
    memo: u64,
}

/// Cuts one direction into messages (RFC 3261 §18.3).
#[derive(Debug, Default)]
struct Framing {
    /// The head that has not come whole.
    held: Vec<u8>,
    at: At,
    /// Bytes of a body that are passed over.
    body: u64,
    /// Whether the next head cannot be found any more.
    is_lost: bool,
}

impl Parser for Sip {
    fn data(&mut self, from: Side, chunk: &Chunk<'_>, sink: &mut dyn Sink) {
        let Self { sides: [client, server], memo } = self;
        let side = if from == Side::Client { client } else { server };
        let (mut rest, mut at) = (chunk.bytes, At::of(chunk));
        if !side.held.is_empty() {
            side.at.frames = side.at.frames.saturating_add(1);
        }
        while !rest.is_empty() && !side.is_lost {
            let taken = side.take(rest, at, memo, sink).max(1);
            rest = rest.get(taken..).unwrap_or_default();
            at = at.plus(taken);
        }
    }

    fn gap(&mut self, from: Side, _: u64, _: &mut dyn Sink) {
        let [client, server] = &mut self.sides;
        let side = if from == Side::Client { client } else { server };
        *side = Framing { is_lost: true, ..Framing::default() };
    }

    fn closed(&mut self, _: Side, _: &mut dyn Sink) {}

    fn held(&self) -> usize {
        size_of::<Self>() + self.sides.iter().map(|side| side.held.capacity()).sum::<usize>()
    }
}

impl Framing {
    /// Takes bytes of a body, of the space between messages, or up to the end of a head; gives back how many.
    fn take(&mut self, bytes: &[u8], at: At, memo: &mut u64, sink: &mut dyn Sink) -> usize {
        if self.body > 0 {
            let passed = usize::try_from(self.body).unwrap_or(usize::MAX).min(bytes.len());
            self.body -= passed as u64;
            return passed;
        }
        if self.held.is_empty() {
            // Clients keep connections alive with line ends (RFC 5626 §3.5.1).
            let space = bytes.iter().take_while(|byte| matches!(byte, b'\r' | b'\n')).count();
            if space > 0 {
                return space;
            }
            self.at = at;
        }
        let known = self.held.len();
        let room = HEAD_MAX_BYTES - known;
        self.held.extend_from_slice(bytes.get(..room.min(bytes.len())).unwrap_or_default());
        let latest = self.held.get(known.saturating_sub(3)..).unwrap_or_default();
        let Some(end) = memchr::memmem::find(latest, b"\r\n\r\n") else {
            self.is_lost = self.held.len() >= HEAD_MAX_BYTES;
            return bytes.len();
        };
        let end = known.saturating_sub(3) + end + 4;
        let mut whole = std::mem::take(&mut self.held);
        whole.truncate(end);
        match Head::read(&whole) {
            Some(head) => {
                self.body = head.length();
                judge(&head, &self.at, memo, sink);
            }
            None => self.is_lost = true,
        }
        end - known
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::model::time::Timestamp;
    use crate::protocol::played::{C, Heard, S, any_acts, survives, talk_all_ways};

    fn request(method: &str, sequence: u32, extra: &str) -> Vec<u8> {
        format!(
            "{method} sip:example.org SIP/2.0\r\nVia: SIP/2.0/UDP 198.51.100.7\r\nf: <sip:100@example.org>;tag=a\r\n\
             To: \"x\" <sip:100@example.org>\r\nCall-ID: abc\r\nCSeq: {sequence} {method}\r\n{extra}Content-Length: 4\r\n\r\nbody"
        )
        .into_bytes()
    }

    fn reply(code: u16, method: &str, sequence: u32) -> Vec<u8> {
        format!(
            "SIP/2.0 {code} Text\r\nFrom: <sip:100@example.org>;tag=a\r\nt: <sip:100@example.org>\r\ni: abc\r\n\
             CSeq: {sequence} {method}\r\nl: 0\r\n\r\n"
        )
        .into_bytes()
    }

    const CREDENTIAL: &str = "Authorization: Digest username=\"100\", response=\"0\"\r\n";

    fn guesses() -> Vec<(Side, Vec<u8>)> {
        vec![
            (C, request("REGISTER", 1, "User-Agent: phone 1.0\r\n")),
            (S, reply(401, "REGISTER", 1)),
            (C, request("REGISTER", 2, CREDENTIAL)),
            (S, reply(100, "REGISTER", 2)),
            (S, reply(401, "REGISTER", 2)),
            (C, request("REGISTER", 3, CREDENTIAL)),
            (C, request("REGISTER", 3, CREDENTIAL)),
            (S, reply(403, "REGISTER", 3)),
            (S, reply(403, "REGISTER", 3)),
            (C, request("REGISTER", 4, CREDENTIAL)),
            (S, reply(200, "REGISTER", 4)),
            (C, request("INVITE", 5, &CREDENTIAL.replace("Auth", "Proxy-Auth"))),
            (S, reply(407, "INVITE", 5)),
            (C, request("INVITE", 6, CREDENTIAL)),
            (S, reply(486, "INVITE", 6)),
        ]
    }

    fn wanted() -> Vec<(Class, String, bool)> {
        [false, false, true, false].map(|accepted| (Class::AuthVoip, "100".to_owned(), accepted)).to_vec()
    }

    #[test]
    fn presented_credentials_get_their_fate_over_tcp() {
        let said = guesses();
        let dialogue: Vec<_> = said.iter().map(|(side, bytes)| (*side, bytes.as_slice())).collect();
        let heard = talk_all_ways(&dialogue);
        assert_eq!((heard.app, heard.logins), (Some("sip"), wanted()));
        assert_eq!(heard.marks, [(MarkKind::Agent, "phone 1.0".into())]);
        assert!(heard.oddities.is_empty());
    }

    #[test]
    fn and_over_udp_with_one_word_of_memory() {
        let (mut heard, mut memo) = (Heard::default(), 0);
        for (number, (from, bytes)) in guesses().iter().enumerate() {
            let at = At { offset: number as u64, ..At::default() };
            let message = Message { from: *from, bytes, port: 5_060, at };
            assert!(recognise_message(&message));
            read(&message, &mut memo, &mut heard);
        }
        assert_eq!(heard.logins, wanted());
    }

    #[test]
    fn four_requests_may_be_outstanding() {
        let mut memo = 0;
        for transaction in 1..=5 {
            remember(&mut memo, transaction);
            remember(&mut memo, transaction);
        }
        assert_eq!(
            [1, 2, 3, 4, 5, 5].map(|it| forget(&mut memo, it)),
            [false, true, true, true, true, false]
        );
        assert_eq!(memo, 0);
    }

    #[test]
    fn scanners_are_told_by_their_own_word() {
        let heard = talk_all_ways(&[
            (C, &request("OPTIONS", 1, "User-Agent: friendly-scanner\r\n")),
            (C, b"OPTIONS sip:nm SIP/2.0\r\nCall-ID: 50000\r\nCSeq: 42 OPTIONS\r\nContent-Length: 0\r\n\r\n"),
        ]);
        assert_eq!(heard.odd(), [SCANNER.id, PROBE.id]);
    }

    #[test]
    fn other_first_lines_are_not_taken_for_sip() {
        for bytes in [
            &b"OPTIONS / HTTP/1.1\r\n"[..],
            b"INFO\r\n",
            b"SSH-2.0-x\r\n",
            b"OPTIONS / RTSP/1.0\r\n",
            b"\x01",
        ] {
            assert_eq!(recognise(bytes), Recognition::No, "{}", bytes.escape_ascii());
        }
    }

    proptest::proptest! {
        #[test]
        fn any_bytes_are_survived(acts in any_acts()) {
            let (asked, told) = (request("REGISTER", 2, CREDENTIAL), reply(401, "REGISTER", 2));
            survives(start(), &[&asked, &told, b"SIP/2.0 ", b"REGISTER a SIP/2.0\r\n"], &acts);
            let mut memo = 0;
            for (_, bytes, _) in &acts {
                let message = Message { from: C, bytes, port: 1, at: At { time: Timestamp(0), ..At::default() } };
                read(&message, &mut memo, &mut Heard::default());
            }
        }
    }
}
