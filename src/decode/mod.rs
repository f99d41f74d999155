//! Frame → borrowed segment.
//!
//! Owns the header formats from the link to the transport, tunnels among them. No state, no allocation, no logging: a bad frame
//! is a counter. Every frame ends in exactly one outcome. Must not know: flows, protocols, files.

pub mod cursor;
pub mod icmp;
pub mod link;
pub mod network;
pub mod transport;
pub mod tunnel;

use std::net::IpAddr;

use crate::decode::icmp::Icmp;
use crate::decode::network::Fragment;
use crate::decode::transport::{Datagram, Segment};
use crate::model::frame::Frame;
use crate::model::progress::Counter;

/// What a frame carried, where a later stage has use for it.
#[derive(Clone, Copy, Debug)]
pub enum Payload<'a> {
    /// A fragment of an IP datagram.
    Fragment(Fragment<'a>),
    /// An ICMP message.
    Icmp(Icmp<'a>),
    /// Nothing that is followed up.
    Other,
    /// A TCP segment.
    Tcp(Segment<'a>),
    /// A UDP datagram.
    Udp(Datagram<'a>),
}

/// The outcome of one frame: the counter it ends in, and its payload.
#[derive(Clone, Copy, Debug)]
pub struct Decoded<'a> {
    /// Exactly one outcome counter.
    pub outcome: Counter,
    /// What it carried.
    pub payload: Payload<'a>,
    /// Sender of the outermost packet where it carries others across networks: anybody can send such a packet to anybody.
    pub tunnel: Option<IpAddr>,
}

impl Decoded<'_> {
    /// A frame that carried nothing for later stages.
    pub const fn only(outcome: Counter) -> Self {
        Self { outcome, payload: Payload::Other, tunnel: None }
    }
}

/// Reads a frame from the link layer up.
pub fn decode<'a>(frame: &Frame<'a>) -> Decoded<'a> {
    match link::network_of(frame.link, frame.bytes) {
        Ok(packet) => network::decode(packet, tunnel::DEPTH_MAX).unwrap_or_else(Decoded::only),
        Err(outcome) => Decoded::only(outcome),
    }
}

#[cfg(test)]
mod tests;
