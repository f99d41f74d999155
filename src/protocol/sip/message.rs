//! The head of one SIP message (RFC 3261 §7), read where it stands.

use crate::protocol::lines::numbered;

/// Fields of a head that are looked at; requests have some twenty.
const FIELDS_MAX: usize = 128;

/// The first line.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum Start<'a> {
    /// `METHOD target SIP/2.0`
    Request {
        /// Its method; they are written in capitals.
        method: &'a [u8],
        /// Whom it is for.
        target: &'a [u8],
    },
    /// `SIP/2.0 code reason`
    Reply(u16),
}

/// A head: its first line, and its fields as lines.
#[derive(Clone, Copy, Debug)]
pub struct Head<'a> {
    /// Its first line.
    pub start: Start<'a>,
    fields: &'a [u8],
}

impl<'a> Head<'a> {
    /// Reads a message from its beginning; what follows the head is ignored.
    pub fn read(bytes: &'a [u8]) -> Option<Self> {
        let bytes = bytes.trim_ascii_start();
        let end = memchr::memchr(b'\n', bytes)?;
        let (line, fields) = bytes.split_at_checked(end)?;
        let line = line.trim_ascii_end();
        let start = if let Some(status) = line.strip_prefix(b"SIP/2.0 ") {
            Start::Reply(numbered(status)?.0)
        } else {
            let mut words = line.split(|byte| *byte == b' ');
            let (method, target) = (words.next()?, words.next()?);
            (words.next()? == b"SIP/2.0").then_some(Start::Request { method, target })?
        };
        Some(Self { start, fields: fields.get(1..)? })
    }

    /// The value of the first field of that name (or of its short form, §7.3.3).
    pub fn field(&self, name: &str, short: Option<u8>) -> Option<&'a [u8]> {
        self.fields
            .split(|byte| *byte == b'\n')
            .take(FIELDS_MAX)
            .take_while(|line| !line.trim_ascii().is_empty())
            .find_map(|line| {
                let (given, value) = line.split_at_checked(memchr::memchr(b':', line)?)?;
                let given = given.trim_ascii();
                let is_short =
                    matches!((given, short), ([letter], Some(short)) if letter.eq_ignore_ascii_case(&short));
                (is_short || given.eq_ignore_ascii_case(name.as_bytes()))
                    .then(|| value.get(1..).unwrap_or_default().trim_ascii())
            })
    }

    /// The length of the body.
    pub fn length(&self) -> u64 {
        let text = self.field("content-length", Some(b'l')).and_then(|text| std::str::from_utf8(text).ok());
        text.and_then(|text| text.parse().ok()).unwrap_or(0)
    }

    /// Tells transactions of a conversation apart: `CSeq` and `Call-ID`, which a reply repeats (§8.2.6.2). Never 0.
    pub fn transaction(&self) -> u16 {
        let parts = [self.field("cseq", None), self.field("call-id", Some(b'i'))];
        // FNV-1a: short, and whoever makes two collide only hides one of his own guesses.
        let bytes = parts.iter().flat_map(|part| part.unwrap_or_default());
        let hash =
            bytes.fold(0x811c_9dc5_u32, |hash, byte| (hash ^ u32::from(*byte)).wrapping_mul(0x0100_0193));
        ((hash >> 16) as u16 ^ hash as u16).max(1)
    }

    /// The user in `To` (of a registration) or `From`: `"x" <sip:100@example.org>;tag=…`.
    pub fn account(&self) -> Option<&'a [u8]> {
        [("to", b't'), ("from", b'f')].into_iter().find_map(|(name, short)| {
            let value = self.field(name, Some(short))?;
            let start = memchr::memmem::find(value, b"sip:")
                .map(|at| at + 4)
                .or_else(|| memchr::memmem::find(value, b"sips:").map(|at| at + 5))?;
            let rest = value.get(start..)?;
            rest.get(..memchr::memchr(b'@', rest)?)
        })
    }
}
