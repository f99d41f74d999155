//! Bytes as what an entry wants: numbers, pieces, acts of a conversation. Every input means something, so that no mutation is lost.

use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicU64, Ordering};

use crate::model::stream::Side;

/// What is left of the bytes.
pub struct Input<'a>(pub &'a [u8]);

impl<'a> Input<'a> {
    /// The next byte.
    pub fn byte(&mut self) -> Option<u8> {
        let (first, rest) = self.0.split_first()?;
        self.0 = rest;
        Some(*first)
    }

    /// The next two bytes as a number.
    pub fn word(&mut self) -> Option<u16> {
        Some(u16::from_be_bytes([self.byte()?, self.byte()?]))
    }

    /// The next four bytes as a number.
    pub fn double(&mut self) -> Option<u32> {
        Some(u32::from(self.word()?) << 16 | u32::from(self.word()?))
    }

    /// So many bytes, or what is left of them; a word tells how many.
    pub fn piece(&mut self) -> Option<&'a [u8]> {
        let length = usize::from(self.word()?).min(self.0.len());
        let (piece, rest) = self.0.split_at(length);
        self.0 = rest;
        Some(piece)
    }

    /// The next act of a conversation.
    pub fn act(&mut self) -> Option<Act<'a>> {
        let head = self.byte()?;
        let from = if head & 1 == 0 { Side::Client } else { Side::Server };
        Some(match head >> 1 & 7 {
            6 => Act::Gap(from, u64::from(self.word()?)),
            7 => Act::Closed(from),
            _ => Act::Said(from, self.piece()?, head & 0x80 != 0),
        })
    }
}

/// One act of a conversation.
#[derive(Clone, Copy, Debug)]
pub enum Act<'a> {
    /// A side has ended.
    Closed(Side),
    /// So many bytes are lost.
    Gap(Side, u64),
    /// Bytes, and whether copies of them conflicted.
    Said(Side, &'a [u8], bool),
}

/// How a conversation is cut: the first byte of an input. 0 is not at all.
pub fn cut_of(byte: u8) -> usize {
    if byte == 0 { usize::MAX } else { usize::from(byte) }
}

/// A folder that is gone with it.
pub struct Folder(PathBuf);

impl Folder {
    /// A new one, in memory where the system has such a place.
    pub fn new() -> Self {
        static MADE: AtomicU64 = AtomicU64::new(0);
        let memory = Path::new("/dev/shm");
        let below = if memory.is_dir() { memory.to_owned() } else { std::env::temp_dir() };
        let number = MADE.fetch_add(1, Ordering::Relaxed);
        let path = below.join(format!("gatewatch-fuzz-{}-{number}", std::process::id()));
        std::fs::create_dir_all(&path).expect("a folder");
        Self(path)
    }

    /// Where it is.
    pub fn path(&self) -> &Path {
        &self.0
    }

    /// A file in it.
    pub fn file(&self, name: &str, bytes: &[u8]) -> PathBuf {
        let path = self.0.join(name);
        std::fs::write(&path, bytes).expect("written");
        path
    }
}

impl Drop for Folder {
    fn drop(&mut self) {
        // A folder that stays costs the machine's memory, not the run.
        let _ = std::fs::remove_dir_all(&self.0);
    }
}
