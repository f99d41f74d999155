//! Ordered bytes of a conversation: what reassembly hands to the parsers.

use crate::model::time::Timestamp;

/// An end of a conversation.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum Side {
    /// Who opened it.
    Client,
    /// Who was asked.
    Server,
}

/// Ordered bytes of one direction.
#[derive(Clone, Copy, Debug)]
pub struct Chunk<'a> {
    /// The bytes.
    pub bytes: &'a [u8],
    /// Where the first of them stands: bytes after the SYN, or the absolute sequence number where none was seen.
    pub offset: u64,
    /// When the frame that held them was captured.
    pub time: Timestamp,
    /// Whether copies with another content were seen of this direction's bytes.
    pub conflicting: bool,
}
