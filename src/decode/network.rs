//! IPv4 (RFC 791) and IPv6 (RFC 8200), v4 and v6 in one file over one address type.

use std::net::IpAddr;

use pnet::packet::ipv6::Ipv6Packet;

use crate::decode::cursor::Cursor;
use crate::decode::{Decoded, Payload, transport};
use crate::model::progress::Counter;

/// Extension headers followed in one packet. RFC 8200 §4.1 names seven; a longer chain is hostile.
const EXTENSIONS_MAX: usize = 8;

/// An IP packet that is whole: what the transport needs of it.
#[derive(Clone, Copy, Debug)]
pub struct Packet<'a> {
    /// Source and destination address.
    pub addresses: (IpAddr, IpAddr),
    /// Identification of IPv4 or of a fragment header; 0 where there is none.
    pub identification: u32,
    /// Protocol number of the transport.
    pub protocol: u8,
    /// The transport header and what follows, without link padding.
    pub payload: &'a [u8],
    /// Whether the capture holds less than the packet.
    pub cut: bool,
}

/// A part of an IP datagram.
#[derive(Clone, Copy, Debug)]
pub struct Fragment<'a> {
    /// Source and destination address.
    pub addresses: (IpAddr, IpAddr),
    /// Identification: 16 bits in IPv4, 32 in IPv6.
    pub id: u32,
    /// Protocol number of the transport, as this fragment names it.
    pub protocol: u8,
    /// Where its payload begins in the datagram's.
    pub offset: u16,
    /// Whether others follow it.
    pub more: bool,
    /// Its part of the payload.
    pub payload: &'a [u8],
}

/// A whole packet, or a part of one.
enum Part<'a> {
    Whole(Packet<'a>),
    Fragment(Fragment<'a>),
}

/// Reads an IP packet and its transport, inside at most `depth` tunnels more. `Err` is the outcome of one that cannot be followed.
pub fn decode(bytes: &[u8], depth: u8) -> Result<Decoded<'_>, Counter> {
    let part = match bytes.first().ok_or(Counter::FrameCut)? >> 4 {
        4 => ipv4(bytes)?,
        6 => ipv6(bytes)?,
        _ => return Err(Counter::FrameMalformed),
    };
    match part {
        Part::Whole(packet) => transport::decode(&packet, depth),
        Part::Fragment(fragment) => Ok(Decoded {
            outcome: Counter::FrameFragment,
            payload: Payload::Fragment(fragment),
            tunnel: None,
        }),
    }
}

fn ipv4(bytes: &[u8]) -> Result<Part<'_>, Counter> {
    // One look at its length for all of them: this is read of nearly every frame.
    let (header, _) = bytes.split_first_chunk::<20>().ok_or(Counter::FrameCut)?;
    let [version, _, total_0, total_1, id_0, id_1, place_0, place_1, _, protocol, _, _, ends @ ..] = *header;
    let [from_0, from_1, from_2, from_3, to_0, to_1, to_2, to_3] = ends;
    let header_len = usize::from(version & 0x0f) * 4;
    if header_len < header.len() {
        return Err(Counter::FrameMalformed);
    }
    let rest = bytes.get(header_len..).ok_or(Counter::FrameCut)?;
    // A total length of zero is what segmentation offload leaves behind: the capture knows better.
    let (payload, cut) = match usize::from(u16::from_be_bytes([total_0, total_1])) {
        0 => (rest, false),
        total if total < header_len => return Err(Counter::FrameMalformed),
        total => within(rest, total - header_len),
    };
    let addresses = ([from_0, from_1, from_2, from_3].into(), [to_0, to_1, to_2, to_3].into());
    let identification = u16::from_be_bytes([id_0, id_1]).into();
    // Three flags, the last of which says that others follow, and thirteen bits in units of eight bytes.
    let place = u16::from_be_bytes([place_0, place_1]);
    let more = place & 0x2000 != 0;
    if place & 0x3fff != 0 {
        if cut {
            return Err(Counter::FrameCut);
        }
        return Ok(Part::Fragment(Fragment {
            addresses,
            id: identification,
            protocol,
            offset: place << 3,
            more,
            payload,
        }));
    }
    Ok(Part::Whole(Packet { addresses, identification, protocol, payload, cut }))
}

fn ipv6(bytes: &[u8]) -> Result<Part<'_>, Counter> {
    let header = Ipv6Packet::new(bytes).ok_or(Counter::FrameCut)?;
    let rest = bytes.get(Ipv6Packet::minimum_packet_size()..).ok_or(Counter::FrameCut)?;
    // Zero is a jumbogram (RFC 2675) or offload: the capture knows better.
    let (payload, cut) = match usize::from(header.get_payload_length()) {
        0 => (rest, false),
        length => within(rest, length),
    };
    let addresses = (header.get_source().into(), header.get_destination().into());
    let (protocol, payload, place) = after_extensions(header.get_next_header().0, payload)?;
    let Some((id, offset, more)) = place else {
        return Ok(Part::Whole(Packet { addresses, identification: 0, protocol, payload, cut }));
    };
    if cut {
        return Err(Counter::FrameCut);
    }
    Ok(Part::Fragment(Fragment { addresses, id, protocol, offset, more, payload }))
}

/// Identification, offset in bytes, and whether more fragments follow.
pub type Place = (u32, u16, bool);

/// Walks the extension headers to the transport.
pub fn after_extensions(mut protocol: u8, payload: &[u8]) -> Result<(u8, &[u8], Option<Place>), Counter> {
    let mut at = Cursor::new(payload);
    for _ in 0..EXTENSIONS_MAX {
        let length = match protocol {
            // Hop-by-hop, routing, destination options, mobility, HIP, shim6: eight-byte units after the first.
            0 | 43 | 60 | 135 | 139 | 140 => |units: u8| (usize::from(units) + 1) * 8,
            // Authentication header (RFC 4302): four-byte units, less two.
            51 => |units: u8| (usize::from(units) + 2) * 4,
            44 => {
                let fragment = at.take(8).ok_or(Counter::FrameCut)?;
                let mut fields = Cursor::new(fragment);
                let next = fields.u8().ok_or(Counter::FrameCut)?;
                fields.u8();
                let place = fields.u16().ok_or(Counter::FrameCut)?;
                // An atomic fragment (RFC 6946) is the whole packet.
                if place & 0xfff9 != 0 {
                    let id = fields.u32().ok_or(Counter::FrameCut)?;
                    return Ok((next, at.rest(), Some((id, place & 0xfff8, place & 1 != 0))));
                }
                protocol = next;
                continue;
            }
            _ => return Ok((protocol, at.rest(), None)),
        };
        let mut fields = at;
        let next = fields.u8().ok_or(Counter::FrameCut)?;
        let units = fields.u8().ok_or(Counter::FrameCut)?;
        at.take(length(units)).ok_or(Counter::FrameCut)?;
        protocol = next;
    }
    Err(Counter::FrameMalformed)
}

/// The first `length` bytes, or all there are and the word that some are missing.
fn within(bytes: &[u8], length: usize) -> (&[u8], bool) {
    bytes.get(..length).map_or((bytes, true), |whole| (whole, false))
}
