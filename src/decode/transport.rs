//! TCP (RFC 9293) and UDP (RFC 768).

use std::net::{IpAddr, SocketAddr};

use pnet::packet::udp::UdpPacket;

use crate::decode::network::Packet;
use crate::decode::tunnel::{Carried, VXLAN_PORT};
use crate::decode::{Decoded, Payload, icmp, link, network, tunnel};
use crate::model::progress::Counter;

/// TCP flags of interest.
pub mod flag {
    /// No more data from the sender.
    pub const FIN: u8 = 0x01;
    /// Synchronise sequence numbers.
    pub const SYN: u8 = 0x02;
    /// Reset.
    pub const RST: u8 = 0x04;
    /// The acknowledgement number is valid.
    pub const ACK: u8 = 0x10;
}

/// A TCP segment.
#[derive(Clone, Copy, Debug)]
pub struct Segment<'a> {
    /// Sender.
    pub source: SocketAddr,
    /// Receiver.
    pub destination: SocketAddr,
    /// Sequence number of the first byte (of the SYN where there is one).
    pub sequence: u32,
    /// Acknowledgement number; valid with [`flag::ACK`].
    pub acknowledgement: u32,
    /// Flags.
    pub flags: u8,
    /// Window that the sender offers, not scaled: zero is zero however it is scaled.
    pub window: u16,
    /// Data.
    pub payload: &'a [u8],
    /// Whether anybody can have written all of it, both ends and the numbers: it came in a tunnel that is not known.
    pub forgeable: bool,
}

impl Segment<'_> {
    /// Whether a flag is set.
    pub const fn has(&self, flag: u8) -> bool {
        self.flags & flag != 0
    }
}

/// A UDP datagram.
#[derive(Clone, Copy, Debug)]
pub struct Datagram<'a> {
    /// Sender.
    pub source: SocketAddr,
    /// Receiver.
    pub destination: SocketAddr,
    /// Identification of the IP packet; 0 where it has none (IPv6 without a fragment header).
    pub identification: u32,
    /// Data.
    pub payload: &'a [u8],
    /// As that of a [`Segment`].
    pub forgeable: bool,
}

/// Reads the transport of a whole IP packet, or what it carries inside at most `depth` tunnels.
pub fn decode<'a>(packet: &Packet<'a>, depth: u8) -> Result<Decoded<'a>, Counter> {
    match (packet.protocol, packet.addresses.0) {
        (6, _) => tcp(packet),
        (17, _) => udp(packet, depth),
        (4 | 41, _) => {
            let version = packet.payload.first().ok_or(Counter::FrameCut)? >> 4;
            if version != if packet.protocol == 4 { 4 } else { 6 } {
                return Err(Counter::FrameMalformed);
            }
            carried(packet, Carried::Ip(packet.payload), depth)
        }
        (47, _) => carried(packet, tunnel::gre(packet.payload)?, depth),
        (1, IpAddr::V4(_)) | (58, IpAddr::V6(_)) => icmp::decode(packet),
        // Of the other version's ICMP nothing is said by any RFC.
        (1 | 58, _) => Ok(Decoded::only(Counter::FrameIcmp)),
        _ => Ok(Decoded::only(Counter::FrameOtherTransport)),
    }
}

/// What a tunnel carries; of several the outermost names its sender. Beyond the last depth that is followed, it is a transport
/// that is not read.
fn carried<'a>(outer: &Packet<'_>, carried: Carried<'a>, depth: u8) -> Result<Decoded<'a>, Counter> {
    let depth = depth.checked_sub(1).ok_or(Counter::FrameOtherTransport)?;
    let inside = match carried {
        Carried::Ethernet(frame) => network::decode(link::ethernet(frame, depth)?, depth)?,
        Carried::Ip(packet) => network::decode(packet, depth)?,
    };
    Ok(Decoded { tunnel: Some(outer.addresses.0), ..inside })
}

// Checksums are not judged: with offload the sender's own frames are captured before they are filled in.
fn tcp<'a>(packet: &Packet<'a>) -> Result<Decoded<'a>, Counter> {
    let (header, _) = packet.payload.split_first_chunk::<20>().ok_or(Counter::FrameCut)?;
    let [from_0, from_1, to_0, to_1, numbers @ .., offset, flags, window_0, window_1, _, _, _, _] = *header;
    let [seq_0, seq_1, seq_2, seq_3, ack_0, ack_1, ack_2, ack_3] = numbers;
    let header_len = usize::from(offset >> 4) * 4;
    if header_len < header.len() {
        return Err(Counter::FrameMalformed);
    }
    let Some(payload) = packet.payload.get(header_len..) else {
        return Err(if packet.cut { Counter::FrameCut } else { Counter::FrameMalformed });
    };
    Ok(Decoded {
        outcome: Counter::FrameTcp,
        payload: Payload::Tcp(Segment {
            source: SocketAddr::new(packet.addresses.0, u16::from_be_bytes([from_0, from_1])),
            destination: SocketAddr::new(packet.addresses.1, u16::from_be_bytes([to_0, to_1])),
            sequence: u32::from_be_bytes([seq_0, seq_1, seq_2, seq_3]),
            acknowledgement: u32::from_be_bytes([ack_0, ack_1, ack_2, ack_3]),
            flags,
            window: u16::from_be_bytes([window_0, window_1]),
            payload,
            forgeable: false,
        }),
        tunnel: None,
    })
}

fn udp<'a>(packet: &Packet<'a>, depth: u8) -> Result<Decoded<'a>, Counter> {
    let header = UdpPacket::new(packet.payload).ok_or(Counter::FrameCut)?;
    let payload = packet.payload.get(UdpPacket::minimum_packet_size()..).ok_or(Counter::FrameCut)?;
    // Anybody can send anything to this port: what holds no readable packet stays a datagram.
    if header.get_destination() == VXLAN_PORT
        && let Some(frame) = tunnel::vxlan(payload)
        && let Ok(decoded) = carried(packet, Carried::Ethernet(frame), depth)
    {
        return Ok(decoded);
    }
    Ok(Decoded {
        outcome: Counter::FrameUdp,
        payload: Payload::Udp(Datagram {
            source: SocketAddr::new(packet.addresses.0, header.get_source()),
            destination: SocketAddr::new(packet.addresses.1, header.get_destination()),
            identification: packet.identification,
            payload,
            forgeable: false,
        }),
        tunnel: None,
    })
}
