//! One direction's bytes, cut into messages whose first bytes tell their length.
//!
//! Most binary protocols are such: records, packets, frames behind a length. What comes whole in one chunk is lent out of it;
//! only a message that spans chunks is copied, and of it no more than its parser asks for.

use crate::model::stream::Chunk;
use crate::protocol::found::At;

/// Capacity that an emptied buffer may keep for the next message of its conversation.
const BUFFER_KEPT_BYTES: usize = 1 << 10;

/// What the first bytes of a message say of it.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum Size {
    /// No message of this protocol: nothing more can be told from this direction.
    Broken,
    /// Not told yet.
    More,
    /// Its length with its header, and how much of its beginning is wanted.
    Whole {
        /// Bytes on the wire.
        length: usize,
        /// Bytes at its beginning that are handed on at most; the rest is passed over.
        wanted: usize,
    },
}

/// One message, or the beginning of it that was wanted.
#[derive(Clone, Copy, Debug)]
pub struct Message<'a> {
    /// Its first byte.
    pub at: At,
    /// Its bytes.
    pub bytes: &'a [u8],
}

/// What is left of a chunk.
#[derive(Debug)]
pub struct Feed<'a> {
    at: At,
    rest: &'a [u8],
}

impl<'a> Feed<'a> {
    /// A whole chunk.
    pub const fn of(chunk: &Chunk<'a>) -> Self {
        Self { at: At::of(chunk), rest: chunk.bytes }
    }

    /// What is left, and where it stands.
    pub const fn left(&self) -> (At, &'a [u8]) {
        (self.at, self.rest)
    }

    fn take(&mut self, count: usize) -> &'a [u8] {
        let (taken, rest) = self.rest.split_at_checked(count).unwrap_or((self.rest, &[]));
        self.at = self.at.plus(taken.len());
        self.rest = rest;
        taken
    }
}

/// The state of one direction.
#[derive(Debug, Default)]
pub struct Messages {
    buffer: Vec<u8>,
    /// Where the message in `buffer` began.
    at: At,
    /// Bytes of a message handed on already that are still to come.
    passing: usize,
    /// Whether `buffer` was handed on.
    is_spent: bool,
    is_lost: bool,
}

impl Messages {
    /// The next message that is complete, or of which all is there that is wanted.
    pub fn pull<'a, 'c: 'a>(
        &'a mut self,
        feed: &mut Feed<'c>,
        size: impl Fn(&[u8]) -> Size,
    ) -> Option<Message<'a>> {
        self.settle();
        if self.is_lost {
            return None;
        }
        self.passing -= feed.take(self.passing).len();
        if feed.rest.is_empty() {
            return None;
        }
        if self.buffer.is_empty() {
            self.at = feed.at;
            let (length, wanted) = self.sized(size(feed.rest))?;
            if let Some(wanted) = wanted.filter(|wanted| *wanted <= feed.rest.len()) {
                self.passing = length - wanted;
                return Some(Message { at: self.at, bytes: feed.take(wanted) });
            }
        } else {
            self.at.frames = self.at.frames.saturating_add(1);
        }
        self.gather(feed, size)
    }

    /// So many bytes are lost. What follows is told still where the message that misses them was not wanted.
    pub fn gap(&mut self, missing: u64) {
        self.settle();
        match usize::try_from(missing).ok().and_then(|missing| self.passing.checked_sub(missing)) {
            Some(left) if self.buffer.is_empty() => self.passing = left,
            _ => self.lose(),
        }
    }

    /// Nothing more can be told from this direction.
    pub fn lose(&mut self) {
        *self = Self { is_lost: true, ..Self::default() };
    }

    /// Whether nothing more can be told from this direction.
    pub const fn is_lost(&self) -> bool {
        self.is_lost
    }

    /// Bytes held.
    pub const fn held(&self) -> usize {
        self.buffer.capacity()
    }

    /// Frees what was lent out at the call before.
    fn settle(&mut self) {
        if std::mem::take(&mut self.is_spent) {
            self.buffer.clear();
            self.buffer.shrink_to(BUFFER_KEPT_BYTES);
        }
    }

    /// Length and wanted bytes, the latter once they are known; nothing where this is no message.
    fn sized(&mut self, size: Size) -> Option<(usize, Option<usize>)> {
        match size {
            Size::Broken => {
                self.lose();
                None
            }
            Size::More => Some((0, None)),
            // A message of no bytes at all would never end.
            Size::Whole { length, wanted } => Some((length.max(1), Some(wanted.min(length).max(1)))),
        }
    }

    /// Adds the chunk to what is held; what belongs to the next message is given back.
    fn gather(&mut self, feed: &mut Feed<'_>, size: impl Fn(&[u8]) -> Size) -> Option<Message<'_>> {
        let known = self.buffer.len();
        self.buffer.extend_from_slice(feed.rest);
        let sized = size(&self.buffer);
        let (length, wanted) = self.sized(sized)?;
        let wanted = match wanted {
            Some(wanted) if wanted <= self.buffer.len() => wanted,
            _ => {
                feed.take(usize::MAX);
                return None;
            }
        };
        self.buffer.truncate(wanted);
        feed.take(wanted.saturating_sub(known));
        self.passing = length - wanted;
        self.is_spent = true;
        Some(Message { at: self.at, bytes: &self.buffer })
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::model::time::Timestamp;

    /// One byte of length, so many bytes; of the long ones four are wanted.
    fn size(bytes: &[u8]) -> Size {
        match bytes {
            [] => Size::More,
            [0, ..] => Size::Broken,
            [length, ..] => Size::Whole { length: usize::from(*length) + 1, wanted: 4 },
        }
    }

    fn cut(bytes: &[u8], piece: usize) -> Vec<(u64, Vec<u8>)> {
        let (mut messages, mut found) = (Messages::default(), Vec::new());
        for (number, bytes) in bytes.chunks(piece).enumerate() {
            let offset = (number * piece) as u64;
            let chunk = Chunk { bytes, offset, time: Timestamp(0), conflicting: false };
            let mut feed = Feed::of(&chunk);
            while let Some(message) = messages.pull(&mut feed, size) {
                found.push((message.at.offset, message.bytes.to_vec()));
            }
        }
        found
    }

    #[test]
    fn messages_are_the_same_however_they_are_cut() {
        let bytes = b"\x01a\x02bc\x09long gone\x03def\x00\x01x";
        let whole = cut(bytes, usize::MAX);
        assert_eq!(
            whole,
            [
                (0, b"\x01a".to_vec()),
                (2, b"\x02bc".to_vec()),
                (5, b"\x09lon".to_vec()),
                (15, b"\x03def".to_vec())
            ]
        );
        for piece in 1..bytes.len() {
            assert_eq!(cut(bytes, piece), whole, "in pieces of {piece}");
        }
    }

    #[test]
    fn a_gap_in_what_is_passed_over_loses_nothing_else() {
        let mut messages = Messages::default();
        let chunk = |bytes: &'static [u8]| Chunk { bytes, offset: 0, time: Timestamp(0), conflicting: false };
        assert!(messages.pull(&mut Feed::of(&chunk(b"\x09lon")), size).is_some());
        messages.gap(6);
        assert_eq!(
            messages.pull(&mut Feed::of(&chunk(b"\x01a")), size).map(|found| found.bytes.len()),
            Some(2)
        );
        messages.gap(1);
        assert!(messages.is_lost());
    }
}
