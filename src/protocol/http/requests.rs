//! The client's direction.

use crate::model::progress::Counter;
use crate::model::stream::Chunk;
use crate::protocol::http::content;
use crate::protocol::http::framing::{Fed, Framing};
use crate::protocol::http::head::{Head, end_of_head, with_request};
use crate::protocol::http::{Asked, BODY_MAX_BYTES, HEAD_MAX_BYTES, Outstanding, recognise};
use crate::protocol::request::{Defects, Request};
use crate::protocol::{Recognition, RequestMeta, Sink};

/// Capacity that an emptied buffer may keep for the next request of its conversation.
const BUFFER_KEPT_BYTES: usize = 4 << 10;

/// How a client of HTTP/2 begins that knows its server (RFC 9113 §3.4): what follows looks like a request and is none.
const PREFACE: &[u8] = b"PRI * HTTP/2.";

#[derive(Clone, Copy, Debug, Default, Eq, PartialEq)]
enum State {
    /// A head is read, or about to begin.
    #[default]
    Head,
    /// A body is read; the request was judged already where `judged`.
    Body { framing: Framing, judged: bool },
    /// Bytes are missing or senseless: a request is waited for.
    Lost,
    /// No longer HTTP.
    Opaque,
}

/// The requests of one conversation.
#[derive(Debug, Default)]
pub struct Requests {
    state: State,
    /// Head and body of the request being read, where they did not come in one piece.
    buffer: Vec<u8>,
    /// Length of the head in `buffer`, once it is complete.
    head_len: usize,
    /// Bytes of `buffer` searched for the end of the head.
    searched: usize,
    meta: RequestMeta,
    defects: Defects,
    next_index: u64,
}

impl Requests {
    /// Ordered bytes of the client.
    pub fn data(&mut self, chunk: &Chunk<'_>, outstanding: &mut Outstanding, sink: &mut dyn Sink) {
        let mut rest = chunk.bytes;
        self.meta.frames = self.meta.frames.saturating_add(1);
        if chunk.conflicting {
            self.defects.insert(Defects::CONFLICTING_OVERLAP);
        }
        while !rest.is_empty() {
            rest = match self.state {
                State::Head => {
                    if self.buffer.is_empty() {
                        let at = rest.iter().take_while(|byte| matches!(byte, b'\r' | b'\n')).count();
                        rest = rest.get(at..).unwrap_or_default();
                        let passed = chunk.bytes.len() - rest.len();
                        self.meta.offset = chunk.offset.saturating_add(passed as u64);
                        self.meta.time = chunk.time;
                        self.meta.frames = 1;
                    }
                    self.head(rest, outstanding, sink)
                }
                State::Body { framing, judged } => self.body(rest, framing, judged, sink),
                State::Lost => {
                    if recognise(rest) != Recognition::Yes {
                        return;
                    }
                    self.reset();
                    rest
                }
                State::Opaque => return,
            };
        }
    }

    /// Reads on in a head; gives back what follows it.
    fn head<'a>(&mut self, bytes: &'a [u8], outstanding: &mut Outstanding, sink: &mut dyn Sink) -> &'a [u8] {
        if self.buffer.is_empty() {
            if let Some(end) = end_of_head(bytes, 0) {
                let (head, rest) = bytes.split_at_checked(end).unwrap_or((bytes, &[]));
                return self.begin(head, rest, outstanding, sink);
            }
        } else {
            let known = self.buffer.len();
            let room = HEAD_MAX_BYTES.saturating_sub(known);
            self.buffer.extend_from_slice(bytes.get(..room.min(bytes.len())).unwrap_or_default());
            if let Some(end) = end_of_head(&self.buffer, self.searched) {
                let mut head = std::mem::take(&mut self.buffer);
                head.truncate(end);
                let rest = bytes.get(end.saturating_sub(known)..).unwrap_or_default();
                let after = self.begin(&head, rest, outstanding, sink);
                if self.buffer.capacity() == 0 {
                    head.clear();
                    head.shrink_to(BUFFER_KEPT_BYTES);
                    self.buffer = head;
                }
                return after;
            }
            self.searched = self.buffer.len();
            if self.buffer.len() < HEAD_MAX_BYTES {
                return &[];
            }
            self.number();
            self.cut(Defects::HEAD_TOO_LONG, sink);
            self.lose(outstanding);
            return &[];
        }
        self.buffer.extend_from_slice(bytes.get(..bytes.len().min(HEAD_MAX_BYTES)).unwrap_or_default());
        self.searched = self.buffer.len();
        &[]
    }

    /// A head is complete: judges the request at once where its body is here too, else goes on to the body.
    fn begin<'a>(
        &mut self,
        head: &[u8],
        rest: &'a [u8],
        outstanding: &mut Outstanding,
        sink: &mut dyn Sink,
    ) -> &'a [u8] {
        if head.starts_with(PREFACE) {
            self.pass_on();
            return &[];
        }
        self.number();
        let meta = self.meta;
        let known = self.defects;
        let left = with_request(head, |parsed| {
            let (framing, mut defects) = Framing::of_request(parsed);
            defects.insert(known);
            outstanding.push(meta.index, asked(parsed));
            match framing {
                Framing::Length(length) if length <= rest.len().min(BODY_MAX_BYTES) as u64 => {
                    let (body, after) = rest.split_at_checked(length as usize).unwrap_or((rest, &[]));
                    judge(&meta, parsed, body, defects, sink);
                    Ok(after)
                }
                framing => Err((framing, defects)),
            }
        });
        match left {
            Ok(after) => {
                self.defects = Defects::default();
                after
            }
            Err((framing, defects)) => {
                self.buffer.clear();
                self.buffer.extend_from_slice(head);
                self.head_len = head.len();
                self.defects = defects;
                self.state = State::Body { framing, judged: false };
                rest
            }
        }
    }

    /// Reads on in a body; gives back what follows.
    fn body<'a>(
        &mut self,
        bytes: &'a [u8],
        mut framing: Framing,
        mut judged: bool,
        sink: &mut dyn Sink,
    ) -> &'a [u8] {
        let fed = framing.feed(bytes);
        let rest = match fed {
            Fed::Body { data, rest } => {
                if !judged {
                    let kept = self.buffer.len() - self.head_len;
                    let room = BODY_MAX_BYTES.saturating_sub(kept);
                    self.buffer.extend_from_slice(data.get(..room.min(data.len())).unwrap_or_default());
                    if data.len() > room {
                        self.cut(Defects::BODY_CUT, sink);
                        judged = true;
                    }
                }
                rest
            }
            Fed::Done { rest } => {
                self.complete(judged, sink);
                return rest;
            }
            Fed::Broken => {
                if !judged {
                    self.cut(Defects::CHUNK, sink);
                }
                self.state = State::Lost;
                return &[];
            }
            Fed::More => &[],
        };
        if framing.is_empty() {
            self.complete(judged, sink);
        } else {
            self.state = State::Body { framing, judged };
        }
        rest
    }

    fn complete(&mut self, judged: bool, sink: &mut dyn Sink) {
        if !judged {
            self.judge_buffer(self.defects, sink);
        }
        self.reset();
    }

    /// Bytes of the client are lost.
    pub fn gap(&mut self, missing: u64, outstanding: &mut Outstanding, sink: &mut dyn Sink) {
        match self.state {
            State::Body { mut framing, judged } => {
                if !judged {
                    self.cut(Defects::BODY_CUT, sink);
                }
                if framing.skip(missing) {
                    self.state = State::Body { framing, judged: true };
                    if framing.is_empty() {
                        self.reset();
                    }
                } else {
                    self.lose(outstanding);
                }
            }
            State::Head => {
                self.finish(sink);
                self.lose(outstanding);
            }
            State::Lost | State::Opaque => outstanding.lose(),
        }
    }

    /// No more bytes will come, or the reply came first: judges what is there. True where a request was judged.
    pub fn finish(&mut self, sink: &mut dyn Sink) -> bool {
        match self.state {
            State::Head if recognise(&self.buffer) == Recognition::Yes => {
                self.number();
                self.cut(Defects::REQUEST_LINE, sink);
                self.state = State::Lost;
                true
            }
            State::Body { framing, judged: false } => {
                self.cut(Defects::BODY_CUT, sink);
                self.state = State::Body { framing, judged: true };
                true
            }
            _ => false,
        }
    }

    /// The request that is read is another one than those before.
    const fn number(&mut self) {
        self.meta.index = self.next_index;
        self.next_index += 1;
    }

    /// Whether the body of the latest request is being read.
    pub fn in_body(&self) -> bool {
        matches!(self.state, State::Body { .. })
    }

    /// The number of the request whose head is not complete, if one is being read.
    pub fn unfinished_head(&self) -> Option<u64> {
        (self.state == State::Head && !self.buffer.is_empty()).then_some(self.next_index)
    }

    /// The conversation is no longer HTTP.
    pub fn pass_on(&mut self) {
        self.reset();
        self.state = State::Opaque;
    }

    /// Bytes held.
    pub fn held(&self) -> usize {
        self.buffer.capacity()
    }

    fn cut(&mut self, defect: Defects, sink: &mut dyn Sink) {
        sink.count(Counter::HttpCut);
        let mut defects = self.defects;
        defects.insert(defect);
        self.judge_buffer(defects, sink);
        self.buffer = Vec::new();
        self.head_len = 0;
    }

    fn judge_buffer(&self, defects: Defects, sink: &mut dyn Sink) {
        let head_len = if self.head_len == 0 { self.buffer.len() } else { self.head_len };
        let (head, body) = self.buffer.split_at_checked(head_len).unwrap_or((&self.buffer, &[]));
        with_request(head, |parsed| judge(&self.meta, parsed, body, defects, sink));
    }

    fn lose(&mut self, outstanding: &mut Outstanding) {
        outstanding.lose();
        self.reset();
        self.state = State::Lost;
    }

    fn reset(&mut self) {
        self.state = State::Head;
        self.buffer.clear();
        self.buffer.shrink_to(BUFFER_KEPT_BYTES);
        self.head_len = 0;
        self.searched = 0;
        self.defects = Defects::default();
    }
}

fn asked(head: &Head<'_>) -> Asked {
    match head.method {
        b"HEAD" => Asked::Head,
        b"CONNECT" => Asked::Connect,
        b"GET" if head.values("upgrade").any(|value| value.eq_ignore_ascii_case(b"websocket")) => {
            Asked::WebSocket
        }
        _ => Asked::Other,
    }
}

fn judge(meta: &RequestMeta, head: &Head<'_>, body: &[u8], mut defects: Defects, sink: &mut dyn Sink) {
    defects.insert(head.defects);
    sink.count(Counter::HttpRequests);
    if !defects.is_empty() {
        sink.count(Counter::HttpMalformed);
    }
    let decoded = content::decoded(head, body);
    let body = decoded.as_deref().unwrap_or(body);
    let request = Request { method: head.method, target: head.target, headers: head.headers, body, defects };
    sink.request(meta, &request);
}
