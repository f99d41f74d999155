//! What parsers find besides requests: credentials and their fate, forms that only an attacker sends.

use crate::model::attempt::Outcome;
use crate::model::class::Class;
use crate::model::stream::Chunk;
use crate::model::time::Timestamp;

/// Where and when something stood in its conversation. Its identity is made of it: name the first byte of the message, so that
/// the same message gives the same offset however it was cut into segments.
#[derive(Clone, Copy, Debug, Default, Eq, PartialEq)]
pub struct At {
    /// Offset of its first byte in what the client sends (the server, for what a server sends first).
    pub offset: u64,
    /// Time of its first byte.
    pub time: Timestamp,
    /// Frames it came in, as far as they were told apart; at least 1.
    pub frames: u16,
    /// Name of the protocol, as in its row. Parsers leave it empty: whoever drives them fills it in.
    pub app: &'static str,
}

impl At {
    /// The first byte of a chunk.
    pub const fn of(chunk: &Chunk<'_>) -> Self {
        Self { offset: chunk.offset, time: chunk.time, frames: 1, app: "" }
    }

    /// So many bytes later.
    #[must_use]
    pub const fn plus(self, bytes: usize) -> Self {
        Self { offset: self.offset.saturating_add(bytes as u64), ..self }
    }
}

/// A credential that was presented, told once the server's answer to it is known.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub struct Login<'a> {
    /// One of `auth.*`.
    pub class: Class,
    /// Account name, where it was seen in clear. Never the secret.
    pub account: Option<&'a [u8]>,
    /// Whether the server accepted it.
    pub accepted: bool,
    /// Whether this was inferred from lengths or shapes, not read from a reply.
    pub inferred: bool,
}

/// What the server's answer says of a message.
#[derive(Clone, Copy, Debug, Default, Eq, PartialEq)]
pub struct Answered {
    /// What became of it.
    pub outcome: Outcome,
    /// Whether the message was inferred from lengths, not read.
    pub inferred: bool,
}

/// Something that a client asked for and did not get: nothing by itself, an attack where one source asks for many.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum Unmet<'a> {
    /// A TLS handshake that was begun and not completed. What it asked for is in the conversation's marks.
    Handshake {
        /// Whether the server took the hello up.
        taken_up: bool,
    },
    /// A name that does not exist, in small letters.
    Name(&'a [u8]),
}

/// A form of message that no honest client sends: the message is an attempt of its class. Declared beside the parser that
/// knows the form, and listed in the protocol's row, so that it can be listed, disabled and hashed like any rule.
#[derive(Debug, PartialEq)]
pub struct Oddity {
    /// Stable rule id, `<protocol>.<form>`: `tls.heartbleed`.
    pub id: &'static str,
    /// Class it speaks for.
    pub class: Class,
    /// Certainty by itself, 0 to 1; an attempt from the sensitivity's threshold on (normal: 0.90).
    pub weight: f32,
    /// For people: what it is, with the CVE or RFC where there is one.
    pub title: &'static str,
}
