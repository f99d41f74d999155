//! Ordered bytes → requests and replies.
//!
//! Owns the parsers, one file or folder a protocol, and their per-conversation state. Hands borrowed views on
//! through a [`Sink`]. A parser names the forms that only an attacker sends (its oddities); whether they count, and what a
//! request or a text is worth, is judged in `detect`. Must not know: packets, sources, origins, files.

pub mod ber;
pub mod chargen;
pub mod cldap;
pub mod datagram;
pub mod dns;
pub mod found;
pub mod ftp;
pub mod greeting;
pub mod http;
pub mod imap;
pub mod lines;
pub mod memcached;
pub mod messages;
pub mod mysql;
pub mod ntp;
#[cfg(test)]
pub(crate) mod played;
pub mod pop3;
pub mod postgresql;
pub mod probe;
pub mod proxy;
pub mod rdp;
pub mod redis;
pub mod request;
pub mod sasl;
pub mod sip;
pub mod smb;
pub mod smtp;
pub mod snmp;
pub mod ssdp;
pub mod ssh;
pub mod telnet;
pub mod tls;
pub mod websocket;

use std::net::IpAddr;

use crate::model::marks::Mark;
use crate::model::progress::{Counter, Reading};
use crate::model::stream::{Chunk, Side};
use crate::model::time::Timestamp;
use crate::protocol::found::{Answered, At, Login, Oddity, Unmet};
use crate::protocol::proxy::{Named, Preface};
use crate::protocol::request::Request;

/// Bytes of both sides looked at before their protocol is given up as unknown.
const UNDECIDED_MAX_BYTES: usize = 1024;
/// Name of what no row recognises.
pub const UNKNOWN: &str = "unknown";

/// The first bytes of a conversation, as far as they have come.
#[derive(Clone, Copy, Debug, Default)]
pub struct Opening<'a> {
    /// Of the client.
    pub client: &'a [u8],
    /// Of the server. Both are empty until that side has spoken: in many protocols the server speaks first.
    pub server: &'a [u8],
    /// Port of the server: a hint where bytes are ambiguous, never a condition.
    pub port: u16,
}

/// What the first bytes of a conversation say of a protocol.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum Recognition {
    /// Not told yet. A row that never gets its answer gives way after a kilobyte.
    More,
    /// Another protocol.
    No,
    /// This protocol.
    Yes,
}

/// One protocol over ordered bytes. A new one is a file and a row.
#[derive(Debug)]
pub struct ProtocolRow {
    /// Name, as EVE's `app_proto` has it.
    pub name: &'static str,
    /// Looks at the first bytes of both sides, whatever the port.
    pub recognise: fn(&Opening<'_>) -> Recognition,
    /// Starts a parser.
    pub start: fn() -> Box<dyn Parser>,
    /// Counts the conversations of it.
    pub counter: Option<Counter>,
    /// The forms of it that only an attacker sends.
    pub oddities: &'static [&'static Oddity],
}

/// The protocol table, asked in this order.
pub const PROTOCOLS: &[ProtocolRow] = &[
    http::ROW,
    tls::ROW,
    dns::ROW,
    ssh::ROW,
    mysql::ROW,
    postgresql::ROW,
    smb::ROW,
    rdp::ROW,
    websocket::ROW,
    ftp::ROW,
    smtp::ROW,
    pop3::ROW,
    imap::ROW,
    telnet::ROW,
    redis::ROW,
    memcached::stream::ROW,
    sip::ROW,
    probe::ROW,
];

/// Where and when a request stood in its conversation.
#[derive(Clone, Copy, Debug, Default, Eq, PartialEq)]
pub struct RequestMeta {
    /// Number of the request in its conversation, from 0.
    pub index: u64,
    /// Offset of its first byte.
    pub offset: u64,
    /// Time of its first byte.
    pub time: Timestamp,
    /// Frames it came in, as far as they were told apart.
    pub frames: u16,
    /// The client that a PROXY protocol header named; believed of trusted proxies only.
    pub proxied: Option<IpAddr>,
}

/// The head of a reply.
#[derive(Clone, Copy, Debug)]
pub struct Reply<'a> {
    /// Status code.
    pub status: u16,
    /// Its `Location`, where it has one.
    pub location: Option<&'a [u8]>,
    /// What of the body came with the head.
    pub body_start: &'a [u8],
}

/// Takes what parsers find.
pub trait Sink {
    /// A request, complete or as much of it as will ever come.
    fn request(&mut self, meta: &RequestMeta, request: &Request<'_>);
    /// The final reply to request number `index`.
    fn reply(&mut self, index: u64, reply: &Reply<'_>);
    /// More of the body of that reply, as long as its beginning is of interest: at most [`http::BODY_TOLD_BYTES`]. Of use
    /// to who waits for what a login page says.
    fn reply_body(&mut self, _index: u64, _bytes: &[u8]) {}
    /// Something to count.
    fn count(&mut self, counter: Counter);
    /// A credential and its fate.
    fn login(&mut self, at: &At, login: &Login<'_>);
    /// A message of a form that only an attacker sends. `excerpt` holds no credential.
    fn oddity(&mut self, at: &At, oddity: &'static Oddity, excerpt: &[u8]);
    /// The same, told once the server's answer is known.
    fn answered(&mut self, at: &At, oddity: &'static Oddity, excerpt: &[u8], _: Answered) {
        self.oddity(at, oddity, excerpt);
    }
    /// Something that the client asked for and did not get.
    fn unmet(&mut self, _: &At, _: Unmet<'_>) {}
    /// Text that a client sent where text is expected (a command line, a field), to be judged as an HTTP value is. `field` says
    /// where it stood: `command`, `user`, `header:to`. Never a secret.
    fn text(&mut self, at: &At, field: &'static str, text: &[u8]);
    /// A mark of the client's program or aim.
    fn mark(&mut self, mark: Mark<'_>);
}

/// What follows in a conversation whose protocol ends before it does.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum Next {
    /// The next bytes are recognised anew, as at the beginning (STARTTLS).
    Anew,
    /// The protocol of that name in the table (WebSocket, after an HTTP upgrade).
    Named(&'static str),
}

/// A part of a request.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum Unfinished {
    /// Its body.
    Body,
    /// Its head.
    Head,
}

/// The state of one conversation's protocol. Calls come in the order of the bytes.
pub trait Parser: std::fmt::Debug + Send {
    /// Ordered bytes of one side.
    fn data(&mut self, from: Side, chunk: &Chunk<'_>, sink: &mut dyn Sink);
    /// So many bytes of one side are lost.
    fn gap(&mut self, from: Side, missing: u64, sink: &mut dyn Sink);
    /// One side sends no more; for both sides at the conversation's end.
    fn closed(&mut self, from: Side, sink: &mut dyn Sink);
    /// Bytes held.
    fn held(&self) -> usize;
    /// Asked after each call of [`Parser::data`]: whether the protocol has ended here, and what follows.
    fn next(&self) -> Option<Next> {
        None
    }
    /// How far what is said can be read.
    fn reading(&self) -> Reading {
        Reading::Clear
    }
    /// The part of a request that the client has begun and not finished, in protocols whose servers wait for it.
    fn unfinished(&self) -> Option<Unfinished> {
        None
    }
}

/// The first bytes of a conversation that is not recognised yet, in the order in which they came.
#[derive(Debug, Default)]
pub struct Beginning {
    client: Vec<u8>,
    server: Vec<u8>,
    /// Side, length, offset, time, whether copies conflicted.
    pieces: Vec<(Side, usize, u64, Timestamp, bool)>,
    /// The client that a PROXY protocol header named.
    named: Option<IpAddr>,
    /// Bytes of the client before what is held: a PROXY protocol header.
    is_prefaced: bool,
}

/// One conversation, whatever its protocol.
#[derive(Debug, Default)]
pub enum Conversation {
    /// Nothing was said so far.
    #[default]
    Fresh,
    /// Not recognised yet.
    Undecided(Box<Beginning>),
    /// Not followed.
    Opaque,
    /// Parsed, with the client that a PROXY protocol header named.
    Parsed(Box<dyn Parser>, &'static ProtocolRow, Option<IpAddr>),
}

impl Conversation {
    /// Ordered bytes of one side of a conversation with that port of the server.
    pub fn data(&mut self, from: Side, chunk: &Chunk<'_>, port: u16, sink: &mut dyn Sink) {
        match self {
            Self::Parsed(parser, row, client) => {
                parser.data(from, chunk, &mut Named { sink, client: *client, app: row.name });
                if let Some(next) = parser.next() {
                    *self = Self::after(next, *client);
                }
            }
            Self::Opaque => {}
            Self::Fresh => self.begin(from, chunk, port, sink),
            Self::Undecided(beginning) => {
                beginning.add(from, chunk);
                let beginning = std::mem::take(beginning);
                self.decide(beginning, port, sink);
            }
        }
    }

    /// So many bytes of one side are lost.
    pub fn gap(&mut self, from: Side, missing: u64, sink: &mut dyn Sink) {
        match self {
            Self::Parsed(parser, row, client) => {
                parser.gap(from, missing, &mut Named { sink, client: *client, app: row.name });
            }
            Self::Undecided(_) if from == Side::Client => *self = Self::Fresh,
            _ => {}
        }
    }

    /// One side sends no more; for both sides at the conversation's end.
    pub fn closed(&mut self, from: Side, sink: &mut dyn Sink) {
        match self {
            Self::Parsed(parser, row, client) => {
                parser.closed(from, &mut Named { sink, client: *client, app: row.name });
            }
            Self::Undecided(beginning) if from == Side::Client => {
                beginning.tell(sink);
                *self = Self::Opaque;
            }
            _ => {}
        }
    }

    /// Bytes held.
    pub fn held(&self) -> usize {
        match self {
            Self::Fresh | Self::Opaque => 0,
            Self::Undecided(beginning) => beginning.held(),
            Self::Parsed(parser, ..) => parser.held(),
        }
    }

    /// Name of the protocol, once it is known.
    pub const fn app(&self) -> Option<&'static str> {
        match self {
            Self::Fresh | Self::Undecided(_) => None,
            Self::Opaque => Some(UNKNOWN),
            Self::Parsed(_, row, _) => Some(row.name),
        }
    }

    /// How far what is said can be read; none where the client has said nothing.
    pub fn reading(&self) -> Option<Reading> {
        match self {
            Self::Fresh | Self::Undecided(_) => None,
            Self::Opaque => Some(Reading::Unknown),
            Self::Parsed(parser, ..) => Some(parser.reading()),
        }
    }

    /// The part of a request that the client has begun and not finished.
    pub fn unfinished(&self) -> Option<Unfinished> {
        match self {
            Self::Parsed(parser, ..) => parser.unfinished(),
            Self::Fresh | Self::Opaque | Self::Undecided(_) => None,
        }
    }

    /// What follows a protocol that has ended.
    fn after(next: Next, client: Option<IpAddr>) -> Self {
        match next {
            Next::Anew => Self::Undecided(Box::new(Beginning {
                named: client,
                is_prefaced: true,
                ..Beginning::default()
            })),
            Next::Named(name) => match PROTOCOLS.iter().find(|row| row.name == name) {
                Some(row) => Self::Parsed((row.start)(), row, client),
                None => Self::Opaque,
            },
        }
    }

    /// The first bytes. What a client says at once and whole needs no copy.
    fn begin(&mut self, from: Side, chunk: &Chunk<'_>, port: u16, sink: &mut dyn Sink) {
        if from == Side::Client && proxy::preface(chunk.bytes) == Preface::No {
            let opening = Opening { client: chunk.bytes, server: &[], port };
            if let (Some(row), _) = recognised(&opening) {
                let mut parser = start(row, sink);
                parser.data(from, chunk, &mut Named { sink, client: None, app: row.name });
                *self = Self::Parsed(parser, row, None);
                return;
            }
        }
        let mut beginning = Box::new(Beginning::default());
        beginning.add(from, chunk);
        self.decide(beginning, port, sink);
    }

    fn decide(&mut self, mut beginning: Box<Beginning>, port: u16, sink: &mut dyn Sink) {
        let mut waits = beginning.client.is_empty();
        if !waits && !beginning.is_prefaced {
            match proxy::preface(&beginning.client) {
                Preface::Is(length, client) => {
                    beginning.pass_over(length);
                    (beginning.is_prefaced, beginning.named) = (true, client);
                    waits = beginning.client.is_empty();
                }
                Preface::More => waits = true,
                Preface::No => beginning.is_prefaced = true,
            }
        }
        let opening = Opening { client: &beginning.client, server: &beginning.server, port };
        let (row, more) = recognised(&opening);
        if let Some(row) = row.filter(|_| !opening.client.is_empty() || !opening.server.is_empty()) {
            let named = beginning.named;
            *self = Self::Parsed(start(row, sink), row, named);
            beginning.replay(|side, chunk| self.data(side, chunk, port, sink));
        } else if (waits || more) && beginning.client.len() + beginning.server.len() < UNDECIDED_MAX_BYTES {
            *self = Self::Undecided(beginning);
        } else {
            beginning.tell(sink);
            *self = Self::Opaque;
        }
    }
}

/// The row that recognises an opening, and whether any cannot tell yet.
fn recognised(opening: &Opening<'_>) -> (Option<&'static ProtocolRow>, bool) {
    let mut more = false;
    for row in PROTOCOLS {
        match (row.recognise)(opening) {
            Recognition::Yes => return (Some(row), false),
            Recognition::More => more = true,
            Recognition::No => {}
        }
    }
    (None, more)
}

fn start(row: &'static ProtocolRow, sink: &mut dyn Sink) -> Box<dyn Parser> {
    if let Some(counter) = row.counter {
        sink.count(counter);
    }
    (row.start)()
}

impl Beginning {
    fn add(&mut self, from: Side, chunk: &Chunk<'_>) {
        let held = match from {
            Side::Client => &mut self.client,
            Side::Server => &mut self.server,
        };
        held.extend_from_slice(chunk.bytes);
        self.pieces.push((from, chunk.bytes.len(), chunk.offset, chunk.time, chunk.conflicting));
    }

    /// Leaves out the first bytes of the client.
    fn pass_over(&mut self, length: usize) {
        self.client.drain(..length.min(self.client.len()));
        let mut left = length;
        for piece in self.pieces.iter_mut().filter(|piece| piece.0 == Side::Client) {
            let passed = left.min(piece.1);
            piece.1 -= passed;
            piece.2 = piece.2.saturating_add(passed as u64);
            left -= passed;
        }
        self.pieces.retain(|piece| piece.1 > 0);
    }

    /// Gives every piece again, in order.
    fn replay(&self, mut give: impl FnMut(Side, &Chunk<'_>)) {
        let (mut client, mut server) = (self.client.as_slice(), self.server.as_slice());
        for (side, length, offset, time, conflicting) in self.pieces.iter().copied() {
            let from = match side {
                Side::Client => &mut client,
                Side::Server => &mut server,
            };
            let (bytes, rest) = from.split_at_checked(length).unwrap_or_default();
            *from = rest;
            give(side, &Chunk { bytes, offset, time, conflicting });
        }
    }

    /// The first payload of a protocol that nothing recognises: it is judged as text.
    fn tell(&self, sink: &mut dyn Sink) {
        let Some((_, _, offset, time, _)) = self.pieces.iter().find(|piece| piece.0 == Side::Client) else {
            return;
        };
        let frames = self.pieces.iter().filter(|piece| piece.0 == Side::Client).count();
        let at = At {
            offset: *offset,
            time: *time,
            frames: u16::try_from(frames).unwrap_or(u16::MAX),
            app: UNKNOWN,
        };
        // Text protocols send passwords in a line of their own: nothing from there on may stand in an excerpt.
        let end =
            memchr::memmem::find(&self.client.to_ascii_lowercase(), b"\npass").unwrap_or(self.client.len());
        sink.text(&at, "payload", self.client.get(..end).unwrap_or_default());
    }

    fn held(&self) -> usize {
        size_of::<Self>()
            + self.client.capacity()
            + self.server.capacity()
            + self.pieces.capacity() * size_of::<(Side, usize, u64, Timestamp, bool)>()
    }
}

/// Which side sends such bytes, where they tell.
pub fn sender_of(bytes: &[u8]) -> Option<Side> {
    let says =
        |opening: &Opening<'_>| PROTOCOLS.iter().any(|row| (row.recognise)(opening) == Recognition::Yes);
    // Replies are told first: an HTTP reply is no request of any protocol.
    if bytes.starts_with(b"HTTP/1.") || says(&Opening { server: bytes, ..Opening::default() }) {
        return Some(Side::Server);
    }
    says(&Opening { client: bytes, ..Opening::default() }).then_some(Side::Client)
}

#[cfg(test)]
mod tests;
