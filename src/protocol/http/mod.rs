//! HTTP/1.x (RFC 9112): requests and replies, pipelined, chunked, malformed ones judged and not dropped.

mod content;
mod framing;
mod head;
mod replies;
mod requests;

use std::collections::VecDeque;

use crate::model::stream::{Chunk, Side};
use crate::protocol::http::replies::Replies;
use crate::protocol::http::requests::Requests;
use crate::protocol::{Next, Opening, Parser, ProtocolRow, Recognition, Sink, Unfinished, websocket};

/// Its row of the table.
pub const ROW: ProtocolRow =
    ProtocolRow { name: "http", recognise: recognise_opening, start, counter: None, oddities: &[] };

/// Bytes of a request's or reply's head. Servers refuse more than 8 to 64 KiB.
pub const HEAD_MAX_BYTES: usize = 64 << 10;
/// Bytes of a body that are kept and judged.
pub const BODY_MAX_BYTES: usize = 128 << 10;
/// Bytes of a reply's body that are handed on after its head.
pub const BODY_TOLD_BYTES: usize = 64 << 10;
/// Requests whose reply may be outstanding. Browsers pipeline none; tools a few dozen.
const OUTSTANDING_MAX: usize = 128;
/// Longest method that is looked for before the first space.
const METHOD_MAX_BYTES: usize = 32;
/// Bytes of a target within which a line of another protocol ends: less than are waited for before a conversation is given up.
const FOREIGN_LINE_MAX_BYTES: usize = 512;

/// Methods of RFC 9110, of RFC 4918 (`WebDAV`) and what scanners send; after one of these a malformed line is HTTP still.
const METHODS: &[&[u8]] = &[
    b"GET",
    b"POST",
    b"HEAD",
    b"PUT",
    b"DELETE",
    b"OPTIONS",
    b"PATCH",
    b"TRACE",
    b"CONNECT",
    b"PROPFIND",
    b"PROPPATCH",
    b"MKCOL",
    b"COPY",
    b"MOVE",
    b"LOCK",
    b"UNLOCK",
    b"SEARCH",
    b"REPORT",
    b"TRACK",
    b"DEBUG",
    b"PURGE",
    b"LINK",
    b"UNLINK",
    b"BIND",
    b"ACL",
    b"MERGE",
    b"CHECKOUT",
    b"M-SEARCH",
    b"NOTIFY",
];

/// The client speaks first.
fn recognise_opening(opening: &Opening<'_>) -> Recognition {
    if opening.client.is_empty() { Recognition::More } else { recognise(opening.client) }
}

/// Looks at the first bytes of a client.
pub fn recognise(bytes: &[u8]) -> Recognition {
    let start = bytes.iter().take_while(|byte| matches!(byte, b'\r' | b'\n')).count();
    let bytes = bytes.get(start..).unwrap_or_default();
    let head = bytes.get(..bytes.len().min(METHOD_MAX_BYTES)).unwrap_or_default();
    let Some(end) = memchr::memchr(b' ', head) else {
        let open = head.len() < METHOD_MAX_BYTES && head.iter().all(|byte| is_token(*byte));
        return if open { Recognition::More } else { Recognition::No };
    };
    let (method, rest) = bytes.split_at_checked(end).unwrap_or_default();
    if method.is_empty() || !method.iter().all(|byte| is_token(*byte)) {
        return Recognition::No;
    }
    let target = rest.trim_ascii_start();
    // So does NATS begin, with an object.
    if method == b"CONNECT" && target.starts_with(b"{") {
        return Recognition::No;
    }
    // The same words open a SIP or RTSP request: OPTIONS waits for the line that tells.
    if [&b"sip:"[..], b"sips:", b"rtsp:"].iter().any(|scheme| target.starts_with(scheme)) {
        return Recognition::No;
    }
    if [&b"OPTIONS"[..], b"NOTIFY"].contains(&method) && target.len() < FOREIGN_LINE_MAX_BYTES {
        match memchr::memchr(b'\n', target) {
            None => return Recognition::More,
            Some(end) => {
                let line = target.get(..end).unwrap_or_default().trim_ascii_end();
                if [&b" SIP/2.0"[..], b" RTSP/1.0"].iter().any(|version| line.ends_with(version)) {
                    return Recognition::No;
                }
            }
        }
    }
    if METHODS.contains(&method) {
        return Recognition::Yes;
    }
    match memchr::memchr(b'\n', target) {
        Some(end) if memchr::memmem::find(target.get(..end).unwrap_or_default(), b" HTTP/").is_some() => {
            Recognition::Yes
        }
        None if target.is_empty() || target.starts_with(b"/") || target.starts_with(b"http") => {
            Recognition::More
        }
        _ => Recognition::No,
    }
}

/// A byte of a token (RFC 9110 §5.6.2).
fn is_token(byte: u8) -> bool {
    byte.is_ascii_alphanumeric() || b"!#$%&'*+-.^_`|~".contains(&byte)
}

/// Starts the parser of one conversation.
fn start() -> Box<dyn Parser> {
    Box::new(Http::default())
}

/// What a reply must know of its request.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
enum Asked {
    Connect,
    Head,
    Other,
    /// An upgrade to WebSocket.
    WebSocket,
}

/// Requests whose reply was not seen, oldest first.
#[derive(Debug, Default)]
struct Outstanding {
    asked: VecDeque<(u64, Asked)>,
    /// Whether bytes were lost, so that replies can no longer be told apart.
    unsynced: bool,
}

impl Outstanding {
    fn push(&mut self, index: u64, asked: Asked) {
        if self.asked.len() < OUTSTANDING_MAX {
            self.asked.push_back((index, asked));
        } else {
            self.lose();
        }
    }

    fn lose(&mut self) {
        self.unsynced = true;
        self.asked.clear();
    }
}

#[derive(Debug, Default)]
struct Http {
    requests: Requests,
    replies: Replies,
    outstanding: Outstanding,
}

impl Parser for Http {
    fn data(&mut self, from: Side, chunk: &Chunk<'_>, sink: &mut dyn Sink) {
        match from {
            Side::Client => self.requests.data(chunk, &mut self.outstanding, sink),
            Side::Server => {
                let switched = self.replies.data(chunk, (&mut self.outstanding, &mut self.requests), sink);
                if switched {
                    self.requests.pass_on();
                }
            }
        }
    }

    fn gap(&mut self, from: Side, missing: u64, sink: &mut dyn Sink) {
        match from {
            Side::Client => self.requests.gap(missing, &mut self.outstanding, sink),
            Side::Server => self.replies.gap(missing, &mut self.outstanding),
        }
    }

    fn closed(&mut self, from: Side, sink: &mut dyn Sink) {
        if from == Side::Client {
            self.requests.finish(sink);
        }
    }

    fn unfinished(&self) -> Option<Unfinished> {
        if self.requests.in_body() {
            return Some(Unfinished::Body);
        }
        self.requests.unfinished_head().map(|_| Unfinished::Head)
    }

    fn held(&self) -> usize {
        self.requests.held() + self.replies.held()
    }

    fn next(&self) -> Option<Next> {
        self.replies.is_websocket().then_some(Next::Named(websocket::ROW.name))
    }
}

#[cfg(test)]
mod tests;
