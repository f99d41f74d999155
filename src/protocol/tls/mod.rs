//! TLS (RFC 8446, RFC 5246): what is said in clear before encryption begins, and the shape of what follows.
//!
//! Reads the hello messages, the fatal alerts of the server, whether the handshake was completed, and heartbeats (RFC 6520).

pub mod fingerprint;
pub mod hello;

mod heartbeat;

use crate::model::attempt::Outcome;
use crate::model::class::Class;
use crate::model::marks::{Mark, MarkKind};
use crate::model::progress::{Counter, Reading};
use crate::model::stream::{Chunk, Side};
use crate::protocol::found::{At, Oddity, Unmet};
use crate::protocol::messages::{Feed, Message, Messages, Size};
use crate::protocol::tls::heartbeat::{Claim, Heartbeats};
use crate::protocol::tls::hello::{ClientHello, OldHello, old_hello, server_version};
use crate::protocol::{Opening, Parser, ProtocolRow, Recognition, Sink};

/// Its row of the table.
pub const ROW: ProtocolRow = ProtocolRow {
    name: "tls",
    recognise,
    start,
    counter: Some(Counter::FlowsTls),
    oddities: &[&heartbeat::HEARTBLEED, &heartbeat::HEARTBLEED_HIDDEN, &EXPORT_PROBE],
};

/// `SSLv2` was forbidden by RFC 6176, its export ciphers were broken by design: programs that still speak offer neither.
static EXPORT_PROBE: Oddity = Oddity {
    id: "tls.sslv2",
    class: Class::ExploitService,
    weight: 0.9,
    title: "SSL 2.0 hello that offers export ciphers (DROWN, CVE-2016-0800)",
};

/// Bytes of a client hello: those of browsers with post-quantum key shares have 2 KiB.
const HELLO_MAX_BYTES: usize = 16 << 10;
/// Longest record: 2^14 bytes and 2,048 of expansion (RFC 5246 §6.2.3).
const RECORD_MAX_BYTES: usize = (16 << 10) + 2_048;
/// Bytes of a hello of SSL 2.0 with more ciphers than it ever had.
const OLD_MAX_BYTES: usize = 1_024;
/// Header of a record.
const HEADER_BYTES: usize = 5;
/// An encrypted alert of TLS 1.3: two bytes, the content type, a tag of 16. A client's Finished is longer.
const ALERT_SEALED_BYTES: usize = 19;

/// TLS 1.3.
const TLS_1_3: u16 = 0x0304;

/// Alerts by which a client says that it does not trust the server: certificates that are bad, unsupported, revoked, expired,
/// unknown or of an unknown authority (RFC 8446 §6.2). A program that tries out what a server can do looks at no certificate.
const DECLINES: [u8; 6] = [42, 43, 44, 45, 46, 48];

/// Content types of records.
mod content {
    pub const CHANGE: u8 = 20;
    pub const ALERT: u8 = 21;
    pub const HANDSHAKE: u8 = 22;
    pub const DATA: u8 = 23;
    pub const HEARTBEAT: u8 = 24;
}

/// Types of handshake messages that tell which side sends them.
const OF_CLIENT: [u8; 2] = [1, 16];
/// Server hello, certificate, key exchange, request, done.
const OF_SERVER: [u8; 5] = [2, 11, 12, 13, 14];

/// A record that holds a handshake message (RFC 8446 §5.1), or a hello of SSL 2.0.
fn recognise(opening: &Opening<'_>) -> Recognition {
    match (opening.client, opening.server) {
        ([], []) => Recognition::More,
        ([], server) => begins_with(server, &OF_SERVER),
        (client, _) => match old_hello(client) {
            OldHello::No => begins_with(client, &OF_CLIENT),
            OldHello::Part => Recognition::More,
            OldHello::Is { .. } => Recognition::Yes,
        },
    }
}

fn begins_with(bytes: &[u8], types: &[u8]) -> Recognition {
    match bytes {
        [content::HANDSHAKE, 3, minor, _, _, first, ..] if *minor <= 4 && types.contains(first) => {
            Recognition::Yes
        }
        [] | [content::HANDSHAKE] | [content::HANDSHAKE, 3] => Recognition::More,
        [content::HANDSHAKE, 3, minor, rest @ ..] if *minor <= 4 && rest.len() < 3 => Recognition::More,
        _ => Recognition::No,
    }
}

fn start() -> Box<dyn Parser> {
    Box::new(Tls::default())
}

/// One direction.
#[derive(Debug, Default)]
struct Direction {
    records: Messages,
    /// The first handshake message, while it is gathered from records.
    hello: Vec<u8>,
    is_hello_read: bool,
    /// Whether this side has changed to encryption.
    is_sealed: bool,
}

/// How far the handshake is.
#[derive(Clone, Copy, Debug, Default, Eq, PartialEq)]
enum Stage {
    #[default]
    Before,
    /// The client's hello was seen.
    Begun,
    Complete,
    /// Begun in the form of SSL 2.0, which is not followed.
    Old,
}

/// One conversation. Other protocols that change to TLS inside their own frames hold one, too.
#[derive(Debug, Default)]
pub struct Tls {
    client: Direction,
    server: Direction,
    /// The version that the server chose.
    version: u16,
    stage: Stage,
    /// Where the client's hello stood.
    begun: At,
    /// Whether the client gave up because of what the server showed.
    is_declined: bool,
    has_gap: bool,
    /// Whether application data was seen.
    is_used: bool,
    heartbeats: Heartbeats,
    claim: Option<Claim>,
    /// Lengths of records of application data, of both sides, where they are wanted.
    data_bytes: Option<[u64; 2]>,
}

impl Tls {
    /// One that sums up application data, too.
    pub fn summing() -> Self {
        Self { data_bytes: Some([0; 2]), ..Self::default() }
    }

    /// Bytes of application data so far, of the client and of the server.
    pub fn data_bytes(&self) -> [u64; 2] {
        self.data_bytes.unwrap_or_default()
    }

    const fn direction(&mut self, side: Side) -> &mut Direction {
        match side {
            Side::Client => &mut self.client,
            Side::Server => &mut self.server,
        }
    }

    fn record(&mut self, from: Side, message: Message<'_>, sink: &mut dyn Sink) {
        let Some((header, body)) = message.bytes.split_first_chunk::<HEADER_BYTES>() else { return };
        let length = record_length(*header);
        match header[0] {
            content::HANDSHAKE => self.handshake(from, message.at, body, sink),
            content::CHANGE => self.change(from),
            content::ALERT => self.alert(from, body, sink),
            content::DATA => self.sealed(from, length),
            content::HEARTBEAT => self.heartbeat(from, message, length, sink),
            first if first & 0x80 != 0 => self.old(message, sink),
            _ => {}
        }
    }

    fn sealed(&mut self, from: Side, length: usize) {
        self.is_used = true;
        if from == Side::Client && length > ALERT_SEALED_BYTES {
            self.stage = Stage::Complete;
        } else if from == Side::Client && self.stage == Stage::Begun {
            self.is_declined = true;
        }
        if let Some([client, server]) = &mut self.data_bytes {
            *(if from == Side::Client { client } else { server }) += length as u64;
        }
    }

    /// Gathers the first handshake message of each side, which may be spread over records.
    fn handshake(&mut self, from: Side, at: At, body: &[u8], sink: &mut dyn Sink) {
        let direction = self.direction(from);
        if direction.is_hello_read || direction.is_sealed {
            return;
        }
        let room = HELLO_MAX_BYTES.saturating_sub(direction.hello.len());
        direction.hello.extend_from_slice(body.get(..body.len().min(room)).unwrap_or_default());
        let Some(length) = handshake_length(&direction.hello) else { return };
        if direction.hello.len() < length.min(HELLO_MAX_BYTES) {
            return;
        }
        direction.is_hello_read = true;
        let hello = std::mem::take(&mut direction.hello);
        match (from, hello.split_first_chunk::<4>()) {
            (Side::Client, Some(([1, ..], body))) => {
                (self.stage, self.begun) = (Stage::Begun, at);
                tell(at, body, sink);
            }
            (Side::Server, Some(([2, ..], body))) => self.version = server_version(body).unwrap_or_default(),
            _ => {}
        }
    }

    /// A side changes to encryption. In TLS 1.3 the message is an empty form and proves nothing (RFC 8446 §D.4).
    fn change(&mut self, from: Side) {
        self.direction(from).is_sealed = true;
        if self.version < TLS_1_3 && self.client.is_sealed && self.server.is_sealed {
            self.stage = Stage::Complete;
        }
    }

    /// An alert in clear: level 2 is fatal (RFC 5246 §7.2).
    fn alert(&mut self, from: Side, body: &[u8], sink: &mut dyn Sink) {
        match (from, body) {
            (Side::Server, [2, _]) if !self.server.is_sealed => {
                sink.count(Counter::TlsAlerts);
                self.tell_claim(Outcome::Refused, sink);
            }
            (Side::Client, [2, reason]) if !self.client.is_sealed && DECLINES.contains(reason) => {
                self.is_declined = true;
            }
            _ => {}
        }
    }

    /// A hello of SSL 2.0 stands in no record. What follows one is not read.
    fn old(&mut self, message: Message<'_>, sink: &mut dyn Sink) {
        self.stage = Stage::Old;
        sink.count(Counter::TlsHellos);
        if matches!(old_hello(message.bytes), OldHello::Is { version: 2, offers_export: true }) {
            sink.oddity(&message.at, &EXPORT_PROBE, b"");
        }
    }
}

impl Parser for Tls {
    fn reading(&self) -> Reading {
        Reading::Hidden
    }

    fn data(&mut self, from: Side, chunk: &Chunk<'_>, sink: &mut dyn Sink) {
        let is_read = self.stage == Stage::Complete && self.version >= TLS_1_3 && self.data_bytes.is_none();
        if self.stage == Stage::Old || is_read {
            return;
        }
        let mut feed = Feed::of(chunk);
        let mut records = std::mem::take(&mut self.direction(from).records);
        while let Some(message) = records.pull(&mut feed, record_size) {
            self.record(from, message, sink);
        }
        self.direction(from).records = records;
    }

    fn gap(&mut self, from: Side, missing: u64, _: &mut dyn Sink) {
        self.has_gap = true;
        let direction = self.direction(from);
        direction.records.gap(missing);
        if direction.records.is_lost() {
            direction.hello = Vec::new();
        }
    }

    fn closed(&mut self, from: Side, sink: &mut dyn Sink) {
        if from == Side::Server {
            self.tell_claim(Outcome::Attempted, sink);
            self.tell_first(sink);
        }
        // The client's end comes last or with the server's: told once.
        if from == Side::Server && self.stage == Stage::Begun && !self.has_gap {
            sink.count(Counter::TlsUnfinished);
            self.stage = Stage::Before;
            if !self.is_declined {
                sink.unmet(&self.begun, Unmet::Handshake { taken_up: self.version != 0 });
            }
        }
    }

    fn held(&self) -> usize {
        let of = |direction: &Direction| direction.records.held() + direction.hello.capacity();
        size_of::<Self>() + of(&self.client) + of(&self.server)
    }
}

/// Hands on what a client hello says.
fn tell(at: At, body: &[u8], sink: &mut dyn Sink) {
    sink.count(Counter::TlsHellos);
    let Some(hello) = ClientHello::read(body) else { return };
    sink.mark(Mark { kind: MarkKind::Ja3, value: fingerprint::ja3(&hello).as_bytes() });
    sink.mark(Mark { kind: MarkKind::Ja4, value: fingerprint::ja4(&hello).as_bytes() });
    if let Some(name) = hello.server_name {
        sink.mark(Mark { kind: MarkKind::ServerName, value: &name.to_ascii_lowercase() });
        // A host name holds nothing else (RFC 952); what does may be aimed at whoever logs it.
        if !name.iter().all(|byte| byte.is_ascii_alphanumeric() || b"-._".contains(byte)) {
            sink.text(&at, "server_name", name);
        }
    }
}

/// Length of a record's body.
const fn record_length(header: [u8; HEADER_BYTES]) -> usize {
    u16::from_be_bytes([header[3], header[4]]) as usize
}

/// Length of the handshake message that begins here, with its header.
fn handshake_length(bytes: &[u8]) -> Option<usize> {
    let [_, high, middle, low] = bytes.first_chunk::<4>()?;
    Some(4 + u32::from_be_bytes([0, *high, *middle, *low]) as usize)
}

/// Type, version, length (RFC 8446 §5.1). Of what is encrypted nothing but the length is wanted.
fn record_size(bytes: &[u8]) -> Size {
    match old_hello(bytes) {
        OldHello::Is { .. } => return Size::Whole { length: OLD_MAX_BYTES, wanted: bytes.len() },
        OldHello::Part => return Size::More,
        OldHello::No => {}
    }
    let Some(header) = bytes.first_chunk::<HEADER_BYTES>() else {
        return match bytes {
            [kind, ..] if !(content::CHANGE..=content::HEARTBEAT).contains(kind) => Size::Broken,
            [_, major, ..] if *major != 3 => Size::Broken,
            _ => Size::More,
        };
    };
    let length = record_length(*header);
    let is_record = (content::CHANGE..=content::HEARTBEAT).contains(&header[0]) && header[1] == 3;
    if !is_record || length > RECORD_MAX_BYTES {
        return Size::Broken;
    }
    let wanted = match header[0] {
        content::HANDSHAKE => HEADER_BYTES + length,
        content::ALERT | content::HEARTBEAT => HEADER_BYTES + 3,
        _ => HEADER_BYTES,
    };
    Size::Whole { length: HEADER_BYTES + length, wanted }
}

#[cfg(test)]
mod tests;
