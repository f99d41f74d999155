//! Where a body ends (RFC 9112 §6).

use crate::protocol::http::head::{Head, ends_chunked, number};
use crate::protocol::request::Defects;

/// Digits of a chunk size: 2^60 bytes are more than any body; longer ones try to overflow somebody.
const CHUNK_DIGITS_MAX: u8 = 15;
/// Bytes of chunk extensions and trailer lines passed over in one body.
const TRAILER_MAX_BYTES: usize = 16 << 10;

/// How much of a body is still to come.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum Framing {
    /// Chunked: what comes next.
    Chunked(Chunked),
    /// So many bytes.
    Length(u64),
    /// All until the end of the conversation.
    UntilClose,
}

/// What comes next in a chunked body.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub struct Chunked {
    step: Step,
    /// Bytes left of a chunk, or the size read so far.
    size: u64,
    digits: u8,
    /// Extension and trailer bytes passed over.
    passed: usize,
}

#[derive(Clone, Copy, Debug, Eq, PartialEq)]
enum Step {
    Size,
    Extension,
    Data,
    AfterData,
    Trailer { empty_so_far: bool },
}

/// What feeding bytes to a body gave.
#[derive(Debug, PartialEq)]
pub enum Fed<'a> {
    /// These bytes are body; `rest` is unread.
    Body { data: &'a [u8], rest: &'a [u8] },
    /// The body is complete; `rest` belongs to the next message.
    Done { rest: &'a [u8] },
    /// The framing is broken: where the body ends is unknown.
    Broken,
    /// All bytes were framing; more are needed.
    More,
}

impl Framing {
    /// A chunked body from its first byte.
    pub const fn chunked() -> Self {
        Self::Chunked(Chunked { step: Step::Size, size: 0, digits: 0, passed: 0 })
    }

    /// The framing of a request's body, and what is wrong with it. Where fields contradict each other the
    /// chunked reading is followed, as RFC 9112 §6.3 has it.
    pub fn of_request(head: &Head<'_>) -> (Self, Defects) {
        let mut defects = Defects::default();
        let mut encodings = head.values("transfer-encoding");
        let encoding = encodings.next();
        if let Some(encoding) = encoding
            && (encodings.next().is_some() || !encoding.eq_ignore_ascii_case(b"chunked"))
        {
            defects.insert(Defects::TRANSFER_ENCODING);
        }
        let mut lengths = head.values("content-length");
        let length = lengths.next();
        if let Some(first) = length
            && (number(first).is_none() || lengths.any(|other| other != first))
        {
            defects.insert(Defects::CONTENT_LENGTH);
        }
        if encoding.is_some() && length.is_some() {
            defects.insert(Defects::LENGTH_AND_ENCODING);
        }
        let framing = match encoding {
            Some(encoding) if ends_chunked(encoding) => Self::chunked(),
            _ => Self::Length(length.and_then(number).unwrap_or(0)),
        };
        (framing, defects)
    }

    /// Whether nothing is to come.
    pub const fn is_empty(self) -> bool {
        matches!(self, Self::Length(0))
    }

    /// Takes the next bytes. `bytes` is not empty.
    pub fn feed<'a>(&mut self, bytes: &'a [u8]) -> Fed<'a> {
        match self {
            Self::UntilClose => Fed::Body { data: bytes, rest: &[] },
            Self::Length(left) => {
                if *left == 0 {
                    return Fed::Done { rest: bytes };
                }
                let take = usize::try_from(*left).unwrap_or(usize::MAX).min(bytes.len());
                *left -= take as u64;
                let (data, rest) = bytes.split_at_checked(take).unwrap_or((bytes, &[]));
                Fed::Body { data, rest }
            }
            Self::Chunked(chunked) => chunked.feed(bytes),
        }
    }

    /// Passes over `missing` lost bytes of body, if it is certain that they all belong to it.
    pub fn skip(&mut self, missing: u64) -> bool {
        match self {
            Self::UntilClose => true,
            Self::Length(left) if *left >= missing => {
                *left -= missing;
                true
            }
            Self::Chunked(chunked) if chunked.step == Step::Data && chunked.size >= missing => {
                chunked.size -= missing;
                true
            }
            _ => false,
        }
    }
}

impl Chunked {
    fn feed<'a>(&mut self, bytes: &'a [u8]) -> Fed<'a> {
        let mut rest = bytes;
        while let Some((&byte, after)) = rest.split_first() {
            match self.step {
                Step::Data if self.size > 0 => {
                    let take = usize::try_from(self.size).unwrap_or(usize::MAX).min(rest.len());
                    self.size -= take as u64;
                    let (data, rest) = rest.split_at_checked(take).unwrap_or((rest, &[]));
                    return Fed::Body { data, rest };
                }
                Step::Data => {
                    self.step = Step::AfterData;
                    continue;
                }
                Step::AfterData if byte == b'\n' => {
                    *self = Self { step: Step::Size, digits: 0, size: 0, ..*self }
                }
                Step::AfterData if byte == b'\r' => {}
                Step::AfterData => return Fed::Broken,
                Step::Size | Step::Extension => {
                    if !self.size_line(byte) {
                        return Fed::Broken;
                    }
                }
                Step::Trailer { empty_so_far } => {
                    self.passed += 1;
                    match byte {
                        b'\n' if empty_so_far => return Fed::Done { rest: after },
                        b'\n' => self.step = Step::Trailer { empty_so_far: true },
                        b'\r' => {}
                        _ => self.step = Step::Trailer { empty_so_far: false },
                    }
                    if self.passed > TRAILER_MAX_BYTES {
                        return Fed::Broken;
                    }
                }
            }
            rest = after;
        }
        Fed::More
    }

    /// Takes one byte of a size line; false where it is none.
    fn size_line(&mut self, byte: u8) -> bool {
        match (self.step, byte) {
            (_, b'\n') if self.digits > 0 => {
                self.step = if self.size == 0 { Step::Trailer { empty_so_far: true } } else { Step::Data };
                true
            }
            (Step::Size, _) if byte.is_ascii_hexdigit() => {
                self.digits += 1;
                self.size = self.size << 4 | u64::from(char::from(byte).to_digit(16).unwrap_or(0));
                self.digits <= CHUNK_DIGITS_MAX
            }
            (Step::Size, b';' | b' ' | b'\t' | b'\r') if self.digits > 0 => {
                self.step = Step::Extension;
                true
            }
            (Step::Extension, _) => {
                self.passed += 1;
                self.passed <= TRAILER_MAX_BYTES
            }
            _ => false,
        }
    }
}
