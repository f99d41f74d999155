//! Ordered bytes → requests and replies.
//!
//! Owns the parsers, one file or folder a protocol, and their per-conversation state. Hands borrowed views on
//! through a [`Sink`]. Must not know: packets, attacks, origins, files.

pub mod http;
pub mod proxy;
pub mod request;

use std::net::IpAddr;

use crate::model::progress::Counter;
use crate::model::stream::{Chunk, Side};
use crate::model::time::Timestamp;
use crate::protocol::proxy::{Named, Preface};
use crate::protocol::request::Request;

/// Bytes of a client looked at before its protocol is given up as unknown.
const UNDECIDED_MAX_BYTES: usize = 1024;

/// What the first bytes of a client say of a protocol.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum Recognition {
    /// Not told yet.
    More,
    /// Another protocol.
    No,
    /// This protocol.
    Yes,
}

/// One protocol. A new one is a file and a row.
#[derive(Debug)]
pub struct ProtocolRow {
    /// Name, as EVE's `app_proto` has it.
    pub name: &'static str,
    /// Looks at the first bytes of the client, whatever the port.
    pub recognise: fn(&[u8]) -> Recognition,
    /// Starts a parser; `None` where conversations of this protocol are only counted.
    pub start: Option<fn() -> Box<dyn Parser>>,
    /// Counts the conversations of it.
    pub counter: Option<Counter>,
}

/// The protocol table, asked in this order.
pub const PROTOCOLS: &[ProtocolRow] = &[
    ProtocolRow { name: "http", recognise: http::recognise, start: Some(http::start), counter: None },
    ProtocolRow { name: "tls", recognise: recognise_tls, start: None, counter: Some(Counter::FlowsTls) },
];

/// A TLS record that holds a handshake message (RFC 8446 §5.1): type 22, version 3.x.
fn recognise_tls(bytes: &[u8]) -> Recognition {
    match bytes {
        [22, 3, minor, ..] if *minor <= 4 => Recognition::Yes,
        [22] | [22, 3] => Recognition::More,
        _ => Recognition::No,
    }
}

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
    /// What of the body came with the head.
    pub body_start: &'a [u8],
}

/// Takes what parsers find.
pub trait Sink {
    /// A request, complete or as much of it as will ever come.
    fn request(&mut self, meta: &RequestMeta, request: &Request<'_>);
    /// The final reply to request number `index`.
    fn reply(&mut self, index: u64, reply: &Reply<'_>);
    /// Something to count.
    fn count(&mut self, counter: Counter);
}

/// The state of one conversation's protocol. Calls come in the order of the bytes.
pub trait Parser: std::fmt::Debug + Send {
    /// Ordered bytes of one side.
    fn data(&mut self, from: Side, chunk: &Chunk<'_>, sink: &mut dyn Sink);
    /// So many bytes of one side are lost.
    fn gap(&mut self, from: Side, missing: u64, sink: &mut dyn Sink);
    /// One side sends no more.
    fn closed(&mut self, from: Side, sink: &mut dyn Sink);
    /// Bytes held.
    fn held(&self) -> usize;
}

/// One conversation, whatever its protocol.
#[derive(Debug, Default)]
pub enum Conversation {
    /// The client has said too little so far.
    #[default]
    Fresh,
    /// The client's first bytes, not recognised yet.
    Undecided(Vec<u8>, RequestMeta),
    /// Not followed.
    Opaque,
    /// Parsed, with the client that a PROXY protocol header named.
    Parsed(Box<dyn Parser>, Option<IpAddr>),
}

impl Conversation {
    /// Ordered bytes of one side.
    pub fn data(&mut self, from: Side, chunk: &Chunk<'_>, sink: &mut dyn Sink) {
        match self {
            Self::Parsed(parser, client) => parser.data(from, chunk, &mut Named { sink, client: *client }),
            Self::Opaque => {}
            // What the server says first decides nothing that is parsed today.
            Self::Fresh | Self::Undecided(..) if from == Side::Server => {}
            Self::Fresh => self.decide(chunk, sink),
            Self::Undecided(bytes, meta) => {
                bytes.extend_from_slice(chunk.bytes);
                let (bytes, meta) = (std::mem::take(bytes), *meta);
                let whole = Chunk {
                    bytes: &bytes,
                    offset: meta.offset,
                    time: meta.time,
                    conflicting: chunk.conflicting,
                };
                self.decide(&whole, sink);
            }
        }
    }

    /// So many bytes of one side are lost.
    pub fn gap(&mut self, from: Side, missing: u64, sink: &mut dyn Sink) {
        match self {
            Self::Parsed(parser, client) => {
                parser.gap(from, missing, &mut Named { sink, client: *client });
            }
            Self::Undecided(..) if from == Side::Client => *self = Self::Fresh,
            _ => {}
        }
    }

    /// One side sends no more; for both sides at the conversation's end.
    pub fn closed(&mut self, from: Side, sink: &mut dyn Sink) {
        if let Self::Parsed(parser, client) = self {
            parser.closed(from, &mut Named { sink, client: *client });
        }
    }

    /// Bytes held.
    pub fn held(&self) -> usize {
        match self {
            Self::Fresh | Self::Opaque => 0,
            Self::Undecided(bytes, _) => bytes.capacity(),
            Self::Parsed(parser, _) => parser.held(),
        }
    }

    fn decide(&mut self, whole: &Chunk<'_>, sink: &mut dyn Sink) {
        let (passed, client, mut waits) = match proxy::preface(whole.bytes) {
            Preface::Is(length, client) => (length, client, true),
            Preface::More => (0, None, true),
            Preface::No => (0, None, false),
        };
        let first = &Chunk {
            bytes: whole.bytes.get(passed..).unwrap_or_default(),
            offset: whole.offset.saturating_add(passed as u64),
            ..*whole
        };
        for row in PROTOCOLS {
            match (row.recognise)(first.bytes) {
                Recognition::Yes => {
                    if let Some(counter) = row.counter {
                        sink.count(counter);
                    }
                    *self = match row.start {
                        Some(start) => {
                            let mut parser = start();
                            parser.data(Side::Client, first, &mut Named { sink, client });
                            Self::Parsed(parser, client)
                        }
                        None => Self::Opaque,
                    };
                    return;
                }
                Recognition::More => waits = true,
                Recognition::No => {}
            }
        }
        *self = if waits && whole.bytes.len() < UNDECIDED_MAX_BYTES {
            let meta = RequestMeta { offset: whole.offset, time: whole.time, ..RequestMeta::default() };
            Self::Undecided(whole.bytes.to_vec(), meta)
        } else {
            Self::Opaque
        };
    }
}

/// Which side sends such bytes, where they tell.
pub fn sender_of(bytes: &[u8]) -> Option<Side> {
    if bytes.starts_with(b"HTTP/1.") {
        return Some(Side::Server);
    }
    PROTOCOLS.iter().any(|row| (row.recognise)(bytes) == Recognition::Yes).then_some(Side::Client)
}
