//! The server's side of RESP: where one reply ends and the next begins.

use crate::protocol::lines::{Feed, Lines, REPLY_MAX_BYTES};

/// Elements of one reply that are believed; beyond it, the stream is no RESP.
const ELEMENTS_MAX: u64 = 1 << 32;
/// Bytes kept of a reply's first line: its error's name is all that is read.
const FIRST_MAX_BYTES: usize = 32;

/// Counts replies. Each is a value; aggregates hold values in turn.
#[derive(Debug)]
pub struct Replies {
    lines: Lines,
    /// Values that have not come before the reply is whole; 0 between two.
    left: u64,
    first: [u8; FIRST_MAX_BYTES],
    /// Whether it makes no sense any more.
    is_senseless: bool,
}

impl Default for Replies {
    fn default() -> Self {
        Self { lines: Lines::new(REPLY_MAX_BYTES), left: 0, first: [0; FIRST_MAX_BYTES], is_senseless: false }
    }
}

impl Replies {
    /// Ordered bytes; `tell` takes the first line of each whole reply, padded with zeros.
    pub fn data(&mut self, mut feed: Feed<'_>, mut tell: impl FnMut(&[u8])) {
        while let Some(line) = self.lines.line(&mut feed).filter(|_| !self.is_senseless) {
            let Some((kind, rest)) = line.text.split_first() else { continue };
            let length = std::str::from_utf8(rest).ok().and_then(|digits| digits.parse::<i64>().ok());
            if self.left == 0 {
                self.left = 1;
                self.first = [0; FIRST_MAX_BYTES];
                for (kept, byte) in self.first.iter_mut().zip(line.text) {
                    *kept = *byte;
                }
            }
            let (elements, block) = match (kind, length) {
                (b'+' | b'-' | b':' | b'_' | b'#' | b',' | b'(', _) => (0, 0),
                // A string and its line end; length -1 stands for none.
                (b'$' | b'=' | b'!', Some(length)) => {
                    (0, u64::try_from(length).map_or(0, |length| length.saturating_add(2)))
                }
                (b'*' | b'~' | b'>', Some(count)) => (u64::try_from(count).unwrap_or(0), 0),
                (b'%', Some(pairs)) => (u64::try_from(pairs).unwrap_or(0).saturating_mul(2), 0),
                // Attributes stand before the value proper.
                (b'|', Some(pairs)) => {
                    (u64::try_from(pairs).unwrap_or(0).saturating_mul(2).saturating_add(1), 0)
                }
                _ => {
                    self.is_senseless = true;
                    return;
                }
            };
            self.lines.skip(block);
            self.left = (self.left - 1).saturating_add(elements);
            self.is_senseless = self.left > ELEMENTS_MAX;
            // A push answers no command.
            if self.left == 0 && self.first.first() != Some(&b'>') {
                tell(&self.first);
            }
        }
    }

    /// So many bytes are lost: replies are told apart no longer, since nothing marks where one begins.
    pub fn gap(&mut self, missing: u64) {
        self.lines.gap(missing);
        self.is_senseless = true;
    }

    /// Bytes held.
    pub const fn held(&self) -> usize {
        self.lines.held()
    }
}
