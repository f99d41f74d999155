//! The server's direction: the status of each request. Bodies are passed over.

use crate::model::progress::Counter;
use crate::model::stream::Chunk;
use crate::protocol::http::framing::{Fed, Framing};
use crate::protocol::http::head::{ReplyHead, end_of_head, reply};
use crate::protocol::http::requests::Requests;
use crate::protocol::http::{Asked, BODY_TOLD_BYTES, HEAD_MAX_BYTES, Outstanding};
use crate::protocol::{Reply, Sink};

const BEGINNING: &[u8] = b"HTTP/1.";

#[derive(Clone, Copy, Debug, Default, Eq, PartialEq)]
enum State {
    #[default]
    Head,
    Body(Framing),
    Lost,
    Opaque,
    /// No longer HTTP, but WebSocket.
    WebSocket,
}

/// The replies of one conversation.
#[derive(Debug, Default)]
pub struct Replies {
    state: State,
    buffer: Vec<u8>,
    /// The request that the current body answers, and how much of the body is still handed on.
    told: Option<(u64, usize)>,
}

impl Replies {
    /// Ordered bytes of the server. True where the conversation ceases to be HTTP.
    pub fn data(
        &mut self,
        chunk: &Chunk<'_>,
        (outstanding, requests): (&mut Outstanding, &mut Requests),
        sink: &mut dyn Sink,
    ) -> bool {
        let mut rest = chunk.bytes;
        while !rest.is_empty() {
            rest = match self.state {
                State::Lost if rest.starts_with(BEGINNING) => {
                    self.state = State::Head;
                    rest
                }
                State::Lost | State::Opaque | State::WebSocket => return false,
                State::Body(mut framing) => {
                    let rest = match framing.feed(rest) {
                        Fed::Body { data, rest } => {
                            self.tell(data, sink);
                            rest
                        }
                        Fed::Done { rest } => {
                            framing = Framing::Length(0);
                            rest
                        }
                        Fed::Broken => {
                            self.state = State::Lost;
                            return false;
                        }
                        Fed::More => &[],
                    };
                    self.state = if framing.is_empty() { State::Head } else { State::Body(framing) };
                    rest
                }
                State::Head => match self.head(rest) {
                    Some((head, rest)) => {
                        if self.answer(head, rest, (outstanding, requests), sink) {
                            return true;
                        }
                        rest
                    }
                    None => return false,
                },
            };
        }
        false
    }

    /// Reads on in a head; gives it back once it is complete, with what follows.
    fn head<'a>(&mut self, bytes: &'a [u8]) -> Option<(ReplyHead, &'a [u8])> {
        let known = self.buffer.len();
        let (end, head) = if known == 0 {
            let end = end_of_head(bytes, 0);
            (end, end.and_then(|end| reply(bytes.get(..end)?)))
        } else {
            self.buffer.extend_from_slice(bytes.get(..bytes.len().min(HEAD_MAX_BYTES)).unwrap_or_default());
            let end = end_of_head(&self.buffer, known);
            (end, end.and_then(|end| reply(self.buffer.get(..end)?)))
        };
        match (end, head) {
            (Some(end), Some(head)) => {
                self.buffer = Vec::new();
                return Some((head, bytes.get(end.saturating_sub(known)..).unwrap_or_default()));
            }
            (Some(_), None) => self.lose(),
            (None, _) => {
                if known == 0 {
                    self.buffer
                        .extend_from_slice(bytes.get(..bytes.len().min(HEAD_MAX_BYTES)).unwrap_or_default());
                }
                let start = self.buffer.get(..self.buffer.len().min(BEGINNING.len())).unwrap_or_default();
                if !BEGINNING.starts_with(start) || self.buffer.len() >= HEAD_MAX_BYTES {
                    self.lose();
                }
            }
        }
        None
    }

    /// Ties a reply to its request. True where the conversation ceases to be HTTP.
    fn answer(
        &mut self,
        head: ReplyHead,
        rest: &[u8],
        (outstanding, requests): (&mut Outstanding, &mut Requests),
        sink: &mut dyn Sink,
    ) -> bool {
        if (100..200).contains(&head.status) && head.status != 101 {
            return false;
        }
        sink.count(Counter::HttpReplies);
        // A reply to a request that is not complete (400, 408, 413): what came of it is judged now.
        let mut unfinished = if outstanding.asked.is_empty() { requests.unfinished_head() } else { None };
        let is_early = outstanding.asked.is_empty() || outstanding.asked.len() == 1 && requests.in_body();
        // Of too few bytes to be a request nothing was told that could be answered.
        if is_early && !requests.finish(sink) {
            unfinished = None;
        }
        let request = outstanding.asked.pop_front().or(unfinished.map(|index| (index, Asked::Other)));
        let asked = request.map_or(Asked::Other, |(_, asked)| asked);
        self.told = None;
        if let Some((index, _)) = request
            && !outstanding.unsynced
        {
            self.told = Some((index, BODY_TOLD_BYTES));
            let location = head.location.sent();
            sink.reply(index, &Reply { status: head.status, location, body_start: rest });
        }
        let switched = head.status == 101 || asked == Asked::Connect && (200..300).contains(&head.status);
        self.state = if head.status == 101 && asked == Asked::WebSocket {
            State::WebSocket
        } else if switched {
            State::Opaque
        } else if asked == Asked::Head || matches!(head.status, 204 | 304) {
            State::Head
        } else if head.chunked {
            State::Body(Framing::chunked())
        } else {
            match head.length {
                Some(0) => State::Head,
                Some(length) => State::Body(Framing::Length(length)),
                None => State::Body(Framing::UntilClose),
            }
        };
        switched
    }

    /// Hands on the beginning of a body.
    fn tell(&mut self, data: &[u8], sink: &mut dyn Sink) {
        let Some((index, left)) = &mut self.told else { return };
        let part = data.get(..data.len().min(*left)).unwrap_or_default();
        *left -= part.len();
        sink.reply_body(*index, part);
        if *left == 0 {
            self.told = None;
        }
    }

    /// Bytes of the server are lost.
    pub fn gap(&mut self, missing: u64, outstanding: &mut Outstanding) {
        match self.state {
            State::Opaque | State::WebSocket => return,
            State::Body(mut framing) => {
                if framing.skip(missing) {
                    self.state = if framing.is_empty() { State::Head } else { State::Body(framing) };
                    return;
                }
            }
            State::Head | State::Lost => {}
        }
        outstanding.lose();
        self.lose();
    }

    /// Whether WebSocket follows.
    pub fn is_websocket(&self) -> bool {
        self.state == State::WebSocket
    }

    /// Bytes held.
    pub fn held(&self) -> usize {
        self.buffer.capacity()
    }

    fn lose(&mut self) {
        self.buffer = Vec::new();
        self.state = State::Lost;
    }
}
