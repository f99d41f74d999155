//! Ordered bytes → requests and replies.
//!
//! Owns the parsers, one file a protocol, and their per-conversation state. Hands borrowed views on to
//! detection. Must not know: packets, attacks, origins, files.

pub mod request;
