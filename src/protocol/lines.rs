//! What the text protocols share: a bounded reader of lines and counted blocks, replies with a number, commands whose reply is
//! outstanding.
//!
//! A line that came in one piece is handed on where it stands; only what a segment's end cut is copied.

use std::collections::VecDeque;

use crate::model::stream::Chunk;
use crate::protocol::found::At;

/// Bytes kept of a client's line. RFC 5321 §4.5.3.1 allows 512, RFC 4954 §4 12,288 for an authentication response that no password
/// fills; droppers typed into a shell need some hundreds.
pub const LINE_MAX_BYTES: usize = 8 << 10;
/// Bytes kept of a server's line: its code and first words are all that is read.
pub const REPLY_MAX_BYTES: usize = 1 << 10;
/// Capacity that a reader may keep between two lines.
const KEPT_BYTES: usize = 256;
/// Commands whose reply may be outstanding. Clients pipeline some dozens at most; one that sends more is told no fate.
const OUTSTANDING_MAX: usize = 64;
/// Bytes kept of an account name: RFC 5321 allows 64 for the local part and 255 for the domain, nobody has more than half of it.
const ACCOUNT_MAX_BYTES: usize = 128;

/// The bytes of one chunk that are not read yet.
#[derive(Clone, Copy, Debug)]
pub struct Feed<'c> {
    bytes: &'c [u8],
    at: At,
}

impl<'c> Feed<'c> {
    /// All of a chunk.
    pub const fn of(chunk: &Chunk<'c>) -> Self {
        Self { bytes: chunk.bytes, at: At::of(chunk) }
    }

    /// Takes the first `length` bytes out, and says where they stood.
    fn take(&mut self, length: usize) -> (&'c [u8], At) {
        let (taken, rest) = self.bytes.split_at_checked(length).unwrap_or((self.bytes, &[]));
        let at = self.at;
        self.at = at.plus(taken.len());
        self.bytes = rest;
        (taken, at)
    }
}

/// A line without its end, or a counted block.
#[derive(Clone, Copy, Debug)]
pub struct Line<'a> {
    /// Its text, as far as it is kept.
    pub text: &'a [u8],
    /// Where and when its first byte came.
    pub at: At,
}

/// A block of bytes whose length was told.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
enum Block {
    /// None: lines are read.
    None,
    /// So many bytes to be handed on as one piece.
    Kept(u64),
    /// So many bytes to be passed over.
    Skipped(u64),
}

/// Cuts one direction into lines.
#[derive(Debug)]
pub struct Lines {
    /// The line whose end has not come. Invariant: at most `max_bytes`.
    held: Vec<u8>,
    at: At,
    max_bytes: usize,
    block: Block,
    /// Whether bytes are missing: the next line end is waited for.
    is_lost: bool,
    /// Whether what is held was handed on.
    is_spent: bool,
}

impl Lines {
    /// A reader that keeps so much of a line.
    pub const fn new(max_bytes: usize) -> Self {
        let at = At { offset: 0, time: crate::model::time::Timestamp(0), frames: 0, app: "" };
        Self { held: Vec::new(), at, max_bytes, block: Block::None, is_lost: false, is_spent: false }
    }

    /// The next line (or block asked for) that ends in the feed. Nothing where it does not: what is there is held.
    pub fn line<'a, 'c: 'a>(&'a mut self, feed: &mut Feed<'c>) -> Option<Line<'a>> {
        self.forget_spent();
        if let Block::Skipped(left) = self.block {
            let (passed, _) = feed.take(usize::try_from(left).unwrap_or(usize::MAX));
            let left = left - passed.len() as u64;
            self.block = if left == 0 { Block::None } else { Block::Skipped(left) };
        }
        if self.is_lost {
            let end = memchr::memchr(b'\n', feed.bytes);
            feed.take(end.map_or(usize::MAX, |end| end + 1));
            self.is_lost = end.is_none();
        }
        if feed.bytes.is_empty() {
            return None;
        }
        let end = match self.block {
            Block::Kept(left) => usize::try_from(left).ok().filter(|left| *left <= feed.bytes.len()),
            _ => memchr::memchr(b'\n', feed.bytes).map(|end| end + 1),
        };
        let (bytes, at) = feed.take(end.unwrap_or(usize::MAX));
        let was_open = !self.held.is_empty();
        if was_open || end.is_none() {
            self.hold(bytes, at);
        }
        if let (Block::Kept(left), None) = (self.block, end) {
            self.block = Block::Kept(left - bytes.len() as u64);
        }
        end?;
        let is_block = std::mem::replace(&mut self.block, Block::None) != Block::None;
        self.is_spent = was_open;
        let (whole, at) = if was_open { (self.held.as_slice(), self.at) } else { (bytes, at) };
        let text = if is_block { whole } else { without_end(whole) };
        Some(Line { text: text.get(..self.max_bytes).unwrap_or(text), at })
    }

    /// The next `length` bytes are one piece, whatever is in them.
    pub const fn expect_block(&mut self, length: u64) {
        if length > 0 {
            self.block = Block::Kept(length);
        }
    }

    /// The next `length` bytes are of no interest.
    pub const fn skip(&mut self, length: u64) {
        if length > 0 {
            self.block = Block::Skipped(length);
        }
    }

    /// So many bytes are lost: within a block they are passed over, elsewhere the rest of the line goes with them.
    pub fn gap(&mut self, missing: u64) {
        self.held = Vec::new();
        self.is_spent = false;
        match self.block {
            Block::Kept(left) | Block::Skipped(left) if missing <= left => {
                self.block = if missing == left { Block::None } else { Block::Skipped(left - missing) };
            }
            _ => {
                self.block = Block::None;
                self.is_lost = true;
            }
        }
    }

    /// Bytes held.
    pub const fn held(&self) -> usize {
        self.held.capacity()
    }

    fn hold(&mut self, bytes: &[u8], at: At) {
        if self.held.is_empty() {
            self.at = at;
        } else {
            self.at.frames = self.at.frames.saturating_add(1);
        }
        let room = self.max_bytes.saturating_sub(self.held.len());
        self.held.extend_from_slice(bytes.get(..room.min(bytes.len())).unwrap_or_default());
    }

    /// A line that was handed on is not kept: it may have been a password.
    fn forget_spent(&mut self) {
        if std::mem::take(&mut self.is_spent) {
            self.held.fill(0);
            self.held.clear();
            self.held.shrink_to(KEPT_BYTES);
        }
    }
}

fn without_end(line: &[u8]) -> &[u8] {
    let line = line.strip_suffix(b"\n").unwrap_or(line);
    line.strip_suffix(b"\r").unwrap_or(line)
}

/// The first word of a line and what follows it, without the spaces around.
pub fn split_word(text: &[u8]) -> (&[u8], &[u8]) {
    let text = text.trim_ascii();
    let end = text.iter().position(u8::is_ascii_whitespace).unwrap_or(text.len());
    let (word, rest) = text.split_at_checked(end).unwrap_or((text, &[]));
    (word, rest.trim_ascii_start())
}

/// Whether `word` is one of `words`, in any case.
pub fn is_one_of(word: &[u8], words: &[&str]) -> bool {
    words.iter().any(|wanted| word.eq_ignore_ascii_case(wanted.as_bytes()))
}

/// Whether `word` is the beginning of one of `words`, in any case: its rest may be on its way.
pub fn may_become(word: &[u8], words: &[&str]) -> bool {
    words
        .iter()
        .any(|whole| whole.as_bytes().get(..word.len()).is_some_and(|start| start.eq_ignore_ascii_case(word)))
}

/// Whether `text` begins with `start`, in any case.
pub fn begins(text: &[u8], start: &str) -> bool {
    text.get(..start.len()).is_some_and(|head| head.eq_ignore_ascii_case(start.as_bytes()))
}

/// Whether `word` stands anywhere in `text`, in any case. For short texts.
pub fn mentions(text: &[u8], word: &str) -> bool {
    text.windows(word.len()).any(|window| window.eq_ignore_ascii_case(word.as_bytes()))
}

/// The first line, once its end has come.
pub fn first_line(bytes: &[u8]) -> Option<&[u8]> {
    memchr::memchr(b'\n', bytes).and_then(|end| bytes.get(..=end)).map(without_end)
}

/// An account name as it is kept.
pub fn account_of(name: &[u8]) -> Option<Box<[u8]>> {
    let name = name.trim_ascii();
    let kept = name.get(..name.len().min(ACCOUNT_MAX_BYTES)).unwrap_or_default();
    (!kept.is_empty()).then(|| kept.into())
}

/// Codes with which a server begins: ready, ready soon, not now, not for you.
const GREETINGS: [u16; 4] = [120, 220, 421, 554];

/// Replies of a number and a text (RFC 959 §4.2, RFC 5321 §4.2.1), of which some have several lines.
#[derive(Debug, Default)]
pub struct Replies {
    /// Code and offset of the reply whose last line has not come.
    open: Option<(u16, u64)>,
}

/// One whole reply.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub struct Numbered {
    /// Its code.
    pub code: u16,
    /// Whether it opens the conversation: it answers no command.
    pub is_greeting: bool,
}

impl Replies {
    /// The reply that ends with this line, if one does.
    pub fn read(&mut self, line: &Line<'_>) -> Option<Numbered> {
        let (code, more) = numbered(line.text)?;
        let (code, offset) = match self.open {
            // Within a reply of several lines only its own number with a space ends it.
            Some((open, offset)) if open == code && !more => (open, offset),
            Some(_) => return None,
            None if more => {
                self.open = Some((code, line.at.offset));
                return None;
            }
            None => (code, line.at.offset),
        };
        self.open = None;
        let is_greeting = offset == 0 && GREETINGS.contains(&code);
        Some(Numbered { code, is_greeting })
    }

    /// Bytes are missing.
    pub const fn gap(&mut self) {
        self.open = None;
    }
}

/// The code of a reply's line, and whether further lines follow.
pub fn numbered(text: &[u8]) -> Option<(u16, bool)> {
    let (digits, rest) = text.split_at_checked(3)?;
    if !digits.iter().all(u8::is_ascii_digit) || !matches!(rest.first(), None | Some(b' ' | b'-')) {
        return None;
    }
    let code = digits.iter().fold(0, |code, digit| code * 10 + u16::from(digit - b'0'));
    Some((code, rest.first() == Some(&b'-')))
}

/// Commands whose reply has not come, oldest first.
#[derive(Debug)]
pub struct Outstanding<T>(VecDeque<T>);

impl<T> Default for Outstanding<T> {
    fn default() -> Self {
        Self(VecDeque::new())
    }
}

impl<T> Outstanding<T> {
    /// One more. Beyond the limit all are forgotten: which reply answers which could not be told for sure.
    pub fn push(&mut self, asked: T) {
        if self.0.len() >= OUTSTANDING_MAX {
            self.0.clear();
        }
        self.0.push_back(asked);
    }

    /// The one that the next reply answers.
    pub fn front(&self) -> Option<&T> {
        self.0.front()
    }

    /// The latest one.
    pub fn back_mut(&mut self) -> Option<&mut T> {
        self.0.back_mut()
    }

    /// It was answered.
    pub fn pop(&mut self) -> Option<T> {
        self.0.pop_front()
    }

    /// Bytes are missing: nothing can be told of those.
    pub fn forget(&mut self) {
        self.0.clear();
    }

    /// Bytes held.
    pub fn held(&self) -> usize {
        self.0.capacity() * size_of::<T>()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::model::time::Timestamp;

    fn read(lines: &mut Lines, pieces: &[&[u8]]) -> Vec<(String, u64, u16)> {
        let (mut found, mut offset) = (Vec::new(), 0);
        for (number, bytes) in (0..).zip(pieces) {
            let chunk = Chunk { bytes, offset, time: Timestamp(number), conflicting: false };
            offset += bytes.len() as u64;
            let mut feed = Feed::of(&chunk);
            while let Some(line) = lines.line(&mut feed) {
                found.push((String::from_utf8_lossy(line.text).into(), line.at.offset, line.at.frames));
            }
        }
        found
    }

    #[test]
    fn lines_end_at_lf_and_know_where_they_began() {
        let whole = b"USER a\r\nPASS b\n\r\nQUIT\r\nrest";
        let wanted = [("USER a", 0), ("PASS b", 8), ("", 15), ("QUIT", 17)];
        for cut in 0..whole.len() {
            let (head, tail) = whole.split_at(cut);
            let found = read(&mut Lines::new(64), &[head, tail]);
            let told: Vec<_> = found.iter().map(|(text, offset, _)| (text.as_str(), *offset)).collect();
            assert_eq!(told, wanted, "cut at {cut}");
        }
        assert_eq!(read(&mut Lines::new(64), &[b"a", b"b", b"c\n"]), [("abc".into(), 0, 3)]);
    }

    #[test]
    fn long_lines_are_cut_and_the_next_one_is_whole() {
        let long = [&[b'x'; 100][..], b"\nnext\n"].concat();
        for piece in [1, 7, 200] {
            let found = read(&mut Lines::new(16), &long.chunks(piece).collect::<Vec<_>>());
            assert_eq!(found[0].0, "x".repeat(16));
            assert_eq!((found[1].0.as_str(), found[1].1), ("next", 101));
        }
    }

    #[test]
    fn blocks_are_whole_whatever_is_in_them_and_may_be_passed_over() {
        let mut lines = Lines::new(16);
        assert_eq!(read(&mut lines, &[b"{3}\n"])[0].0, "{3}");
        lines.expect_block(4);
        let found = read(&mut lines, &[b"a", b"\nbc", b"d\n"]);
        assert_eq!(found.iter().map(|line| line.0.as_str()).collect::<Vec<_>>(), ["a\nbc", "d"]);
        lines.skip(5);
        assert_eq!(read(&mut lines, &[b"\n\n\n", b"\n\nok\n"])[0].0, "ok");
    }

    #[test]
    fn after_a_gap_the_next_line_is_waited_for() {
        let mut lines = Lines::new(16);
        assert!(read(&mut lines, &[b"half"]).is_empty());
        lines.gap(3);
        assert_eq!(lines.held(), 0);
        let found = read(&mut lines, &[b" of one\nwhole\n"]);
        assert_eq!(found.iter().map(|line| line.0.as_str()).collect::<Vec<_>>(), ["whole"]);
        lines.skip(10);
        lines.gap(4);
        assert_eq!(read(&mut lines, &[b"123456ok\n"])[0].0, "ok");
    }

    #[test]
    fn a_line_that_was_handed_on_is_kept_no_longer() {
        let mut lines = Lines::new(LINE_MAX_BYTES);
        let found = read(&mut lines, &[b"PASS ", &[b's'; 4_000], b"\n", b"x"]);
        assert_eq!(found.len(), 1);
        assert!(lines.held() <= KEPT_BYTES && !lines.held.contains(&b's'));
    }

    #[test]
    fn replies_of_several_lines_end_with_their_own_number() {
        let mut replies = Replies::default();
        let mut say = |text: &[u8], offset| {
            replies.read(&Line { text, at: At { offset, ..At::default() } }).map(|reply| reply.code)
        };
        assert_eq!(say(b"220-Welcome", 0), None);
        assert_eq!(say(b"530 inside", 13), None);
        assert_eq!(say(b"no number", 23), None);
        assert_eq!(say(b"220 ready", 34), Some(220));
        assert_eq!(say(b"331 go on", 44), Some(331));
        assert_eq!(say(b"5304 none", 44), None);
        assert_eq!(say(b"250", 44), Some(250));
    }
}
