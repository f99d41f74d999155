//! DNS over UDP and TCP (RFC 1035, RFC 7766): what is asked, which names do not exist, and what became of a zone transfer.

pub mod message;

use crate::model::attempt::Outcome;
use crate::model::class::Class;
use crate::model::stream::{Chunk, Side};
use crate::protocol::datagram::{DatagramRow, Message};
use crate::protocol::dns::message::{
    CHAOS, NAME_MAX_BYTES, NO_SUCH_NAME, Query, Read, Response, kind, read, response, written,
};
use crate::protocol::found::{Answered, At, Oddity, Unmet};
use crate::protocol::messages::{Feed, Messages, Size};
use crate::protocol::{Opening, Parser, ProtocolRow, Recognition, Sink};

/// Bytes kept of one query over TCP: header, question and the records that tell of size and signature.
const QUERY_MAX_BYTES: usize = 1024;
/// Bytes read of one response over TCP: its length, its header, the name that was asked for.
const RESPONSE_BYTES: usize = 2 + 12 + NAME_MAX_BYTES + 1;
/// A client that takes so much over UDP and asks for everything asks for somebody else: resolvers have kept to 1,232 since 2020.
const LARGE_BYTES: u16 = 4_096;

/// A transfer without a signature. Secondaries do that too: their operators know them, and except them (`client`) or sign.
pub static AXFR: Oddity = Oddity {
    id: "dns.axfr",
    class: Class::ExploitService,
    weight: 0.95,
    title: "Zone transfer asked for without a signature (AXFR, RFC 5936)",
};
/// Hardly ever anything but a secondary that has the zone already: suspicious, not counted.
pub static IXFR: Oddity = Oddity {
    id: "dns.ixfr",
    class: Class::ExploitService,
    weight: 0.5,
    title: "Changes of a zone asked for without a signature (IXFR, RFC 1995)",
};
/// One such query is a probe for an amplifier (`scan.service`); the flood that follows is counted by its volume.
pub static ANY: Oddity = Oddity {
    id: "dns.any_amplification",
    class: Class::ScanService,
    weight: 0.92,
    title: "Query of type ANY for the root or with room for a large answer, over UDP: a probe for an amplifier",
};
/// Version numbers are asked for by people who look for old ones. `hostname.bind` and `id.server` are asked by monitoring.
pub static VERSION: Oddity = Oddity {
    id: "dns.version_bind",
    class: Class::ScanService,
    weight: 0.92,
    title: "Version of a name server asked for (CHAOS TXT version.bind)",
};

const ODDITIES: &[&Oddity] = &[&AXFR, &IXFR, &ANY, &VERSION];

/// Over TCP.
pub const ROW: ProtocolRow =
    ProtocolRow { name: "dns", recognise: recognise_stream, start, counter: None, oddities: ODDITIES };

/// Over UDP. Its oddities stand in the row above.
pub const DATAGRAM_ROW: DatagramRow = DatagramRow {
    name: "dns",
    recognise: |message| match message.from {
        Side::Client => matches!(read(message.bytes), Read::Query(_)),
        Side::Server => message.port == 53 && message::may_be_response(message.bytes),
    },
    read: read_datagram,
    reflector_port: Some(53),
    oddities: &[],
};

/// How a query came.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
enum Over {
    Stream,
    Udp,
}

fn read_datagram(message: &Message<'_>, _: &mut u64, sink: &mut dyn Sink) {
    if message.from == Side::Server {
        if let Some(response) = response(message.bytes) {
            tell_missing(&message.at, &response, sink);
        }
    } else if let Read::Query(query) = read(message.bytes) {
        judge(&message.at, &query, Over::Udp, sink);
    }
}

/// Tells a name that does not exist. Only the zone's own server is believed: the clients of a resolver ask for what others
/// wrote. Numbers are what reverse and block lists are asked for, in which most names are missing.
fn tell_missing(at: &At, response: &Response<'_>, sink: &mut dyn Sink) {
    if response.code != NO_SUCH_NAME || !response.is_authoritative || response.labels.is_empty() {
        return;
    }
    let mut space = [0; NAME_MAX_BYTES];
    let length = written(response.labels, &mut space).len();
    // Resolvers mix capitals in, against forged answers.
    space.make_ascii_lowercase();
    let name = space.get(..length).unwrap_or_default();
    if !name.split(|byte| *byte == b'.').next().unwrap_or_default().iter().all(u8::is_ascii_digit) {
        sink.unmet(at, Unmet::Name(name));
    }
}

/// Tells what is odd of a query. A name of ordinary letters costs nothing more; others are judged as text, for whoever logs
/// them logs what they say.
fn judge(at: &At, query: &Query<'_>, over: Over, sink: &mut dyn Sink) -> Option<Transfer> {
    let mut space = [0; NAME_MAX_BYTES];
    let name = written(query.labels, &mut space);
    let mut transfer = None;
    match oddity(query, name, over) {
        Some(oddity) if over == Over::Stream && matches!(query.kind, kind::AXFR | kind::IXFR) => {
            transfer = Some(Transfer { at: *at, id: query.id, oddity, name: name.into() });
        }
        Some(oddity) => sink.oddity(at, oddity, name),
        None => {}
    }
    if !name.iter().all(|byte| byte.is_ascii_alphanumeric() || matches!(byte, b'-' | b'.' | b'_')) {
        sink.text(at, "qname", name);
    }
    transfer
}

/// A zone transfer whose answer is awaited.
#[derive(Debug)]
struct Transfer {
    at: At,
    /// Number of its query.
    id: [u8; 2],
    oddity: &'static Oddity,
    name: Box<[u8]>,
}

impl Transfer {
    fn tell(&self, outcome: Outcome, sink: &mut dyn Sink) {
        sink.answered(&self.at, self.oddity, &self.name, Answered { outcome, inferred: false });
    }
}

fn oddity(query: &Query<'_>, name: &[u8], over: Over) -> Option<&'static Oddity> {
    let is_large = query.takes_bytes.is_some_and(|bytes| bytes >= LARGE_BYTES);
    match query.kind {
        kind::AXFR if !query.signed => Some(&AXFR),
        kind::IXFR if !query.signed => Some(&IXFR),
        kind::ANY if over == Over::Udp && (is_large || query.labels.is_empty()) => Some(&ANY),
        kind::TXT | kind::ANY if query.class == CHAOS => {
            let asked = [&b"version.bind"[..], b"version.server", b"authors.bind"];
            asked.iter().any(|known| name.eq_ignore_ascii_case(known)).then_some(&VERSION)
        }
        _ => None,
    }
}

/// A length, then a message (RFC 1035 §4.2.2).
fn recognise_stream(opening: &Opening<'_>) -> Recognition {
    if opening.client.is_empty() {
        let is_response = opening.server.get(2..).is_some_and(message::may_be_response);
        let fits = matches!(opening.server, [high, low, rest @ ..] if usize::from(u16::from_be_bytes([*high, *low])) == rest.len());
        return if is_response && fits { Recognition::Yes } else { Recognition::No };
    }
    let (length, message) = match opening.client {
        [high, low, message @ ..] => (usize::from(u16::from_be_bytes([*high, *low])), message),
        // No query is as long as 4,096 bytes.
        [high] if *high < 16 => return Recognition::More,
        _ => return Recognition::No,
    };
    if !(17..4_096).contains(&length) {
        return Recognition::No;
    }
    let whole = message.get(..length);
    match read(whole.unwrap_or(message)) {
        Read::Query(_) => Recognition::Yes,
        Read::Cut if whole.is_none() => Recognition::More,
        Read::Cut | Read::Not => Recognition::No,
    }
}

fn start() -> Box<dyn Parser> {
    Box::<Dns>::default()
}

/// One conversation over TCP.
#[derive(Debug, Default)]
struct Dns {
    /// The length and the message in the making, at most [`QUERY_MAX_BYTES`].
    held: Vec<u8>,
    /// Bytes of a long message that are passed over.
    passed_over: usize,
    /// Where the message in the making begins, and the chunks it came in.
    begin: At,
    /// Whether bytes are lost, and with them where messages begin.
    lost: bool,
    /// What the server says.
    responses: Messages,
    transfer: Option<Transfer>,
}

impl Parser for Dns {
    fn data(&mut self, from: Side, chunk: &Chunk<'_>, sink: &mut dyn Sink) {
        if from == Side::Server {
            return self.answer(chunk, sink);
        }
        if self.lost {
            return;
        }
        let mut rest = chunk.bytes;
        let mut at = At::of(chunk);
        while !rest.is_empty() {
            let taken = self.take(rest, at, sink).clamp(1, rest.len());
            at = at.plus(taken);
            rest = rest.get(taken..).unwrap_or_default();
        }
        self.begin.frames = self.begin.frames.saturating_add(1);
    }

    fn gap(&mut self, from: Side, missing: u64, _: &mut dyn Sink) {
        match from {
            Side::Client => (self.lost, self.held) = (true, Vec::new()),
            Side::Server => self.responses.gap(missing),
        }
    }

    fn closed(&mut self, from: Side, sink: &mut dyn Sink) {
        if from == Side::Server
            && let Some(transfer) = self.transfer.take()
        {
            transfer.tell(Outcome::Attempted, sink);
        }
    }

    fn held(&self) -> usize {
        let name = self.transfer.as_ref().map_or(0, |transfer| transfer.name.len());
        size_of::<Self>() + self.held.capacity() + self.responses.held() + name
    }
}

impl Dns {
    /// Takes bytes up to the end of the message, and gives back how many.
    fn take(&mut self, bytes: &[u8], at: At, sink: &mut dyn Sink) -> usize {
        if self.passed_over > 0 {
            let passed = self.passed_over.min(bytes.len());
            self.passed_over -= passed;
            return passed;
        }
        if self.held.is_empty() {
            self.begin = at;
        }
        let length = match self.held.as_slice() {
            [] | [_] => {
                self.held.extend(bytes.first());
                return 1;
            }
            [high, low, ..] => usize::from(u16::from_be_bytes([*high, *low])),
        };
        let kept = length.min(QUERY_MAX_BYTES);
        let wanted = (kept + 2).saturating_sub(self.held.len());
        let taken = bytes.get(..wanted.min(bytes.len())).unwrap_or_default();
        self.held.extend_from_slice(taken);
        if self.held.len() == kept + 2 {
            if let Read::Query(query) = read(self.held.get(2..).unwrap_or_default())
                && let Some(transfer) = judge(&self.begin, &query, Over::Stream, sink)
                && let Some(before) = self.transfer.replace(transfer)
            {
                before.tell(Outcome::Attempted, sink);
            }
            self.passed_over = length - kept;
            self.held.clear();
        }
        taken.len()
    }

    /// Reads the beginning of each response: of a zone the first one tells whether it is given.
    fn answer(&mut self, chunk: &Chunk<'_>, sink: &mut dyn Sink) {
        let mut feed = Feed::of(chunk);
        while let Some(message) = self.responses.pull(&mut feed, response_size) {
            let Some(response) = response(message.bytes.get(2..).unwrap_or_default()) else { continue };
            tell_missing(&message.at, &response, sink);
            if let Some(transfer) = self.transfer.take_if(|transfer| transfer.id == response.id) {
                let outcome = match (response.code, response.answers) {
                    (0, 1..) => Outcome::LikelySuccess,
                    (0, 0) => Outcome::Attempted,
                    _ => Outcome::Refused,
                };
                transfer.tell(outcome, sink);
            }
        }
    }
}

/// A length, then the message; of it the header and the question are wanted.
fn response_size(bytes: &[u8]) -> Size {
    let [high, low, ..] = bytes else { return Size::More };
    let length = 2 + usize::from(u16::from_be_bytes([*high, *low]));
    Size::Whole { length, wanted: RESPONSE_BYTES.min(length) }
}

#[cfg(test)]
mod tests;
