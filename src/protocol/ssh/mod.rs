//! SSH (RFC 4253): banners and key exchange in clear, logins inferred from lengths after it.

mod lengths;
mod logins;

use md5::{Digest, Md5};

use crate::model::marks::{Mark, MarkKind, hex};
use crate::model::progress::{Counter, Reading};
use crate::model::stream::{Chunk, Side};
use crate::protocol::messages::{Feed, Message, Messages, Size};
use crate::protocol::ssh::lengths::{Offer, Sealing};
use crate::protocol::ssh::logins::Logins;
use crate::protocol::{Opening, Parser, ProtocolRow, Recognition, Sink};

/// Its row of the table.
pub const ROW: ProtocolRow =
    ProtocolRow { name: "ssh", recognise, start, counter: Some(Counter::FlowsSsh), oddities: &[] };

/// Beginning of every banner (RFC 4253 §4.2).
const BANNER: &[u8] = b"SSH-";
/// Longest banner, line end included, and the longest line that a server may send before it.
const LINE_MAX_BYTES: usize = 255;
/// Longest packet that everybody must take (RFC 4253 §6.1); key exchange stays far below it.
const PACKET_MAX_BYTES: usize = 35_000;
/// Bytes kept of the algorithms offered: those of today have 2 KiB.
const OFFER_MAX_BYTES: usize = 8 << 10;
/// Length, padding length, message number.
const HEADER_BYTES: usize = 6;

/// Message numbers (RFC 4250 §4.1.2).
mod number {
    pub const KEXINIT: u8 = 20;
    pub const NEWKEYS: u8 = 21;
}

/// Either side may speak first.
fn recognise(opening: &Opening<'_>) -> Recognition {
    let is_banner = |bytes: &[u8]| bytes.starts_with(BANNER) && bytes.get(4).is_some_and(u8::is_ascii_digit);
    if is_banner(opening.client) || is_banner(opening.server) {
        return Recognition::Yes;
    }
    let may_become = |bytes: &[u8]| bytes.len() <= BANNER.len() && BANNER.starts_with(bytes);
    let told = if opening.client.is_empty() { opening.server } else { opening.client };
    if may_become(told) { Recognition::More } else { Recognition::No }
}

fn start() -> Box<dyn Parser> {
    Box::new(Ssh::default())
}

/// How far one side is.
#[derive(Clone, Copy, Debug, Default, Eq, PartialEq)]
enum Stage {
    #[default]
    Banner,
    Packets,
    Sealed,
}

/// One direction.
#[derive(Debug, Default)]
struct Direction {
    stage: Stage,
    messages: Messages,
    offer: Option<Box<Offer>>,
}

/// One conversation.
#[derive(Debug, Default)]
struct Ssh {
    client: Direction,
    server: Direction,
    logins: Option<Logins>,
}

impl Ssh {
    const fn direction(&mut self, side: Side) -> &mut Direction {
        match side {
            Side::Client => &mut self.client,
            Side::Server => &mut self.server,
        }
    }

    fn message(&mut self, from: Side, message: Message<'_>, sink: &mut dyn Sink) {
        match self.direction(from).stage {
            Stage::Banner => self.banner(from, message, sink),
            Stage::Packets => self.packet(from, message, sink),
            Stage::Sealed => {}
        }
    }

    fn banner(&mut self, from: Side, message: Message<'_>, sink: &mut dyn Sink) {
        let line = message.bytes.trim_ascii_end();
        if !line.starts_with(BANNER) {
            return;
        }
        if from == Side::Client {
            sink.mark(Mark { kind: MarkKind::Agent, value: line });
            sink.text(&message.at, "banner", line);
        }
        let direction = self.direction(from);
        // SSH 1 has other packets.
        if line.starts_with(b"SSH-2.") || line.starts_with(b"SSH-1.99") {
            direction.stage = Stage::Packets;
        } else {
            direction.messages.lose();
        }
    }

    fn packet(&mut self, from: Side, message: Message<'_>, sink: &mut dyn Sink) {
        let Some(([_, _, _, _, _, kind], body)) = message.bytes.split_first_chunk::<HEADER_BYTES>() else {
            return;
        };
        match *kind {
            number::KEXINIT => {
                let offer = Offer::read(body);
                if let (Side::Client, Some(offer)) = (from, &offer) {
                    let hash = hex(&Md5::digest(offer.hassh().as_bytes()));
                    sink.mark(Mark { kind: MarkKind::Hassh, value: hash.as_bytes() });
                }
                self.direction(from).offer = offer.map(Box::new);
            }
            number::NEWKEYS => {
                self.direction(from).stage = Stage::Sealed;
                self.begin_logins();
            }
            _ => {}
        }
    }

    /// Both sides have changed to encryption: from now on lengths are all there is.
    fn begin_logins(&mut self) {
        if self.client.stage != Stage::Sealed || self.server.stage != Stage::Sealed {
            return;
        }
        if let (Some(client), Some(server)) = (self.client.offer.take(), self.server.offer.take()) {
            let asked = Sealing::agreed(&client, &server, Side::Client);
            let answered = Sealing::agreed(&client, &server, Side::Server);
            self.logins = asked.zip(answered).map(Logins::new);
        }
    }
}

impl Parser for Ssh {
    fn reading(&self) -> Reading {
        Reading::Hidden
    }

    fn data(&mut self, from: Side, chunk: &Chunk<'_>, sink: &mut dyn Sink) {
        let mut feed = Feed::of(chunk);
        if self.direction(from).stage != Stage::Sealed {
            let mut messages = std::mem::take(&mut self.direction(from).messages);
            // A banner ends the one form of message, new keys the other.
            loop {
                let stage = self.direction(from).stage;
                let Some(message) = messages.pull(&mut feed, |bytes| size(stage, bytes)) else { break };
                self.message(from, message, sink);
            }
            self.direction(from).messages = messages;
        }
        let (at, rest) = feed.left();
        if !rest.is_empty()
            && self.direction(from).stage == Stage::Sealed
            && let Some(logins) = &mut self.logins
        {
            logins.sealed(from, (at, rest.len()), sink);
        }
    }

    fn gap(&mut self, from: Side, missing: u64, _: &mut dyn Sink) {
        self.direction(from).messages.gap(missing);
        // Lengths with a hole prove nothing.
        self.logins = None;
        (self.client.offer, self.server.offer) = (None, None);
    }

    fn closed(&mut self, from: Side, sink: &mut dyn Sink) {
        if from == Side::Server
            && let Some(mut logins) = self.logins.take()
        {
            logins.finish(sink);
        }
    }

    fn held(&self) -> usize {
        let of = |direction: &Direction| {
            direction.messages.held() + direction.offer.as_ref().map_or(0, |offer| offer.held())
        };
        size_of::<Self>() + of(&self.client) + of(&self.server)
    }
}

/// A line up to the banner, then packets behind their length.
fn size(stage: Stage, bytes: &[u8]) -> Size {
    match stage {
        Stage::Banner => match memchr::memchr(b'\n', bytes) {
            Some(end) => Size::Whole { length: end + 1, wanted: LINE_MAX_BYTES },
            None if bytes.len() < LINE_MAX_BYTES => Size::More,
            None => Size::Broken,
        },
        Stage::Packets => {
            let Some([first, second, third, fourth, _, kind]) = bytes.first_chunk::<HEADER_BYTES>() else {
                return Size::More;
            };
            let length = 4 + u32::from_be_bytes([*first, *second, *third, *fourth]) as usize;
            if !(HEADER_BYTES..=PACKET_MAX_BYTES).contains(&length) {
                return Size::Broken;
            }
            let wanted = if *kind == number::KEXINIT { OFFER_MAX_BYTES } else { HEADER_BYTES };
            Size::Whole { length, wanted }
        }
        // What is sealed is no message any more: it is left to the lengths.
        Stage::Sealed => Size::More,
    }
}

#[cfg(test)]
mod tests;
