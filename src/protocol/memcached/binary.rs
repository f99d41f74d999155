//! The binary protocol of memcached: a header of 24 bytes, extras, key, value. Requests begin with 0x80, responses with 0x81.

use crate::model::attempt::Outcome;
use crate::model::class::Class;
use crate::model::stream::{Chunk, Side};
use crate::protocol::found::{Answered, At, Login};
use crate::protocol::lines::account_of;
use crate::protocol::memcached::stream::{DUMP, FLUSH, OVERFLOW, STATS};
use crate::protocol::messages::{Feed, Message, Messages, Size};
use crate::protocol::{Recognition, Sink};

/// First byte of a request and of a response.
const REQUEST: u8 = 0x80;
const RESPONSE: u8 = 0x81;
/// The header.
const HEADER_BYTES: usize = 24;
/// Longest key that a server takes.
const KEY_MAX_BYTES: u16 = 250;
/// Most extras that any command has.
const EXTRAS_MAX_BYTES: u8 = 24;
/// The last command that there is.
const COMMAND_MAX: u8 = 0x48;
/// Bytes read of one message: key and account name stand at its beginning.
const MESSAGE_MAX_BYTES: usize = 1_024;
/// Commands that are read.
mod command {
    pub const FLUSH: u8 = 0x08;
    pub const VERSION: u8 = 0x0b;
    pub const STAT: u8 = 0x10;
    pub const FLUSH_QUIETLY: u8 = 0x18;
    pub const AUTHENTICATE: u8 = 0x21;
}
/// Statuses of a response to a credential: accepted, refused.
const ACCEPTED: [u8; 2] = [0, 0];
const REFUSED: [u8; 2] = [0, 0x20];

/// The fields of a header that matter.
#[derive(Clone, Copy, Debug)]
struct Header {
    command: u8,
    key_bytes: u16,
    extras_bytes: u8,
    /// The status of a response.
    status: [u8; 2],
    body_bytes: u32,
}

impl Header {
    fn of(bytes: &[u8]) -> Option<Self> {
        let [_, command, k0, k1, extras, _, s0, s1, b0, b1, b2, b3, ..] =
            bytes.first_chunk::<HEADER_BYTES>()?;
        Some(Self {
            command: *command,
            key_bytes: u16::from_be_bytes([*k0, *k1]),
            extras_bytes: *extras,
            status: [*s0, *s1],
            body_bytes: u32::from_be_bytes([*b0, *b1, *b2, *b3]),
        })
    }
}

/// Whether a client's first bytes are a request. The type of data, which nobody ever used, is 0.
pub fn recognise(client: &[u8]) -> Recognition {
    let is = |at: usize, allowed: fn(u8) -> bool| client.get(at).is_none_or(|byte| allowed(*byte));
    let may_be = is(0, |first| first == REQUEST)
        && is(1, |command| command <= COMMAND_MAX)
        && is(2, |high| high == 0)
        && is(3, |low| u16::from(low) <= KEY_MAX_BYTES)
        && is(4, |extras| extras <= EXTRAS_MAX_BYTES)
        && is(5, |kind| kind == 0);
    match (may_be, client.len()) {
        (false, _) => Recognition::No,
        (true, ..HEADER_BYTES) => Recognition::More,
        (true, _) => Recognition::Yes,
    }
}

/// One conversation.
#[derive(Debug, Default)]
pub struct Binary {
    requests: Messages,
    responses: Messages,
    /// Whether anything was asked.
    has_asked: bool,
    /// Where a credential stood whose fate is not known, and its account.
    presented: Option<(At, Option<Box<[u8]>>)>,
}

impl Binary {
    /// Ordered bytes of one side.
    pub fn data(&mut self, from: Side, chunk: &Chunk<'_>, sink: &mut dyn Sink) {
        let mut feed = Feed::of(chunk);
        match from {
            Side::Client => {
                let mut requests = std::mem::take(&mut self.requests);
                while let Some(message) = requests.pull(&mut feed, |bytes| size(bytes, REQUEST)) {
                    self.request(message, sink);
                }
                self.requests = requests;
            }
            Side::Server => {
                while let Some(message) = self.responses.pull(&mut feed, |bytes| size(bytes, RESPONSE)) {
                    let Some(header) = Header::of(message.bytes) else { continue };
                    if header.command == command::AUTHENTICATE
                        && let Some((at, account)) = self.presented.take()
                        && matches!(header.status, ACCEPTED | REFUSED)
                    {
                        let accepted = header.status == ACCEPTED;
                        let account = account.as_deref();
                        sink.login(&at, &Login { class: Class::AuthDb, account, accepted, inferred: false });
                    }
                }
            }
        }
    }

    /// So many bytes of one side are lost.
    pub fn gap(&mut self, from: Side, missing: u64) {
        self.presented = None;
        match from {
            Side::Client => self.requests.gap(missing),
            Side::Server => self.responses.gap(missing),
        }
    }

    /// Bytes held.
    pub fn held(&self) -> usize {
        let account = self.presented.as_ref().and_then(|(_, account)| account.as_ref());
        self.requests.held() + self.responses.held() + account.map_or(0, |account| account.len())
    }

    fn request(&mut self, message: Message<'_>, sink: &mut dyn Sink) {
        let Some(header) = Header::of(message.bytes) else { return };
        let is_first = !std::mem::replace(&mut self.has_asked, true);
        let body = message.bytes.get(HEADER_BYTES..).unwrap_or_default();
        if header.body_bytes < u32::from(header.key_bytes) + u32::from(header.extras_bytes) {
            let attempted = Answered { outcome: Outcome::Attempted, inferred: false };
            return sink.answered(
                &message.at,
                &OVERFLOW,
                message.bytes.get(..12).unwrap_or_default(),
                attempted,
            );
        }
        let after = body.get(usize::from(header.extras_bytes)..).unwrap_or_default();
        let (key, value) = after.split_at_checked(usize::from(header.key_bytes)).unwrap_or((after, &[]));
        match header.command {
            command::FLUSH | command::FLUSH_QUIETLY => sink.oddity(&message.at, &FLUSH, b"flush"),
            command::STAT if key.starts_with(b"cachedump") => sink.oddity(&message.at, &DUMP, key),
            command::STAT | command::VERSION if is_first => sink.oddity(&message.at, &STATS, b"stat"),
            // Authority, NUL, account, NUL, password (RFC 4616).
            command::AUTHENTICATE if key == b"PLAIN" => {
                let account = value.split(|byte| *byte == 0).nth(1).and_then(account_of);
                self.presented = Some((message.at, account));
            }
            _ => {}
        }
    }
}

/// Header, then a body whose length it tells. Lengths that contradict each other are the attack: the message ends with its body.
fn size(bytes: &[u8], magic: u8) -> Size {
    match (bytes.first(), Header::of(bytes)) {
        (Some(first), _) if *first != magic => Size::Broken,
        (_, None) => Size::More,
        (_, Some(header)) => {
            let length =
                usize::try_from(header.body_bytes).unwrap_or(usize::MAX).saturating_add(HEADER_BYTES);
            Size::Whole { length, wanted: length.min(MESSAGE_MAX_BYTES) }
        }
    }
}
