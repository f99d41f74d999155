//! Fragments → datagrams, segments → ordered bytes of each direction.
//!
//! Owns the flow table, TCP reassembly and the table of UDP conversations: the only per-conversation memory
//! besides what a parser holds, and all of it bounded. Measures what grades an origin (handshake, two-way exchange). Hands ordered bytes,
//! gaps and ends to a [`Consumer`]. Must not know: what the bytes mean, origins, files.

pub mod datagrams;
pub mod flow;
pub mod fragments;
pub mod half;
pub mod list;
pub mod table;

use std::net::SocketAddr;

use crate::decode::transport::Segment;
use crate::model::contact::Touched;
use crate::model::grade::Grade;
use crate::model::stream::{Chunk, Side};
use crate::model::time::Timestamp;

/// Finds a conversation again later, if it is still the same one.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub struct FlowRef {
    pub(crate) slot: u32,
    pub(crate) number: u64,
}

/// What is known of a conversation at the moment of a call.
#[derive(Clone, Copy, Debug)]
pub struct View {
    /// To find it again.
    pub flow: FlowRef,
    /// Who opened it.
    pub client: SocketAddr,
    /// Who was asked.
    pub server: SocketAddr,
    /// Initial sequence numbers of client and server; zeros where the handshake was not seen.
    pub initial: (u32, u32),
    /// Initial sequence number of the client alone; 0 where its SYN was not seen.
    pub asked: u32,
    /// Time of its first segment.
    pub opened: Timestamp,
    /// Grade of origin evidence so far.
    pub grade: Grade,
    /// Whether anybody can have written all of it: it came in a tunnel that is not known.
    pub forgeable: bool,
    /// Whether only one direction was captured so far.
    pub one_sided: bool,
    /// Packet time of the call.
    pub now: Timestamp,
}

/// Whether a client lets its server send.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum Stall {
    /// Its window has been shut for [`flow::STALL_MICROS`].
    Begins,
    /// It is open again. At the end of a conversation this is not told.
    Ends,
}

/// Takes the ordered bytes. Calls for one conversation come in the order of its bytes.
pub trait Consumer {
    /// What the consumer keeps with each conversation.
    type State: Default;

    /// What became of the SYN that opened a conversation: once for each that began with one.
    fn touched(&mut self, view: &View, state: &mut Self::State, how: Touched);
    /// A segment, not a SYN alone, that belongs to no conversation known. It may open one (SYN/ACK, data) or none.
    fn stray(&mut self, now: Timestamp, segment: &Segment<'_>);
    /// The client stopped its server from sending, or lets it again.
    fn stalled(&mut self, view: &View, state: &mut Self::State, stall: Stall);
    /// Which end sends this, judged by the bytes alone; asked only where the handshake was not seen.
    fn sender_of(&self, bytes: &[u8]) -> Option<Side>;
    /// Bytes, in order, without repetition.
    fn data(&mut self, view: &View, state: &mut Self::State, from: Side, chunk: Chunk<'_>);
    /// So many bytes were sent and received, and never captured.
    fn gap(&mut self, view: &View, state: &mut Self::State, from: Side, missing: u64);
    /// The client acknowledged bytes of the server that it had not before.
    fn acknowledged(&mut self, view: &View, state: &mut Self::State);
    /// One direction has ended in order (FIN).
    fn closed(&mut self, view: &View, state: &mut Self::State, from: Side);
    /// The conversation is forgotten: last call.
    fn ended(&mut self, view: &View, state: &mut Self::State);
    /// Bytes of memory behind `state`.
    fn held(state: &Self::State) -> usize;
}

#[cfg(test)]
mod tests;
