//! Link layers: from a frame's first byte to its IP packet.

use pnet::packet::ethernet::{EtherTypes, EthernetPacket};
use pnet::packet::vlan::VlanPacket;

use crate::decode::cursor::Cursor;
use crate::decode::tunnel::{self, Carried, DEPTH_MAX};
use crate::model::frame::Link;
use crate::model::progress::Counter;

/// VLAN tags followed in one frame. Three are seen on provider edges; more is an attempt to confuse.
const VLAN_TAGS_MAX: usize = 3;

/// The IP packet inside a frame, or the outcome of a frame that has none.
pub fn network_of(link: Link, bytes: &[u8]) -> Result<&[u8], Counter> {
    match link {
        Link::CiscoHdlc => cooked(bytes, 2, 4),
        Link::Ethernet => ethernet(bytes, DEPTH_MAX),
        // Cisco's framing is captured under the number of PPP as well: its address is 0x0f or 0x8f, no protocol number.
        Link::Ppp if matches!(bytes, [0x0f | 0x8f, 0, ..]) => cooked(bytes, 2, 4),
        Link::Ppp => within(tunnel::ppp(bytes)?, DEPTH_MAX),
        Link::RawIp => Ok(bytes),
        Link::Null => family(bytes, u32::from_le_bytes).or_else(|_| family(bytes, u32::from_be_bytes)),
        Link::Loop => family(bytes, u32::from_be_bytes),
        Link::LinuxSll => cooked(bytes, 14, 16),
        Link::LinuxSll2 => cooked(bytes, 0, 20),
        Link::Unread(_) => Err(Counter::FrameLinkUnread),
    }
}

/// Whether a frame is for every station of its network: what goes to a subnet's broadcast address shows in no other way.
pub fn is_to_all(link: Link, bytes: &[u8]) -> bool {
    match link {
        Link::Ethernet => bytes.starts_with(&[0xff; 6]),
        // The packet type: 1 is broadcast.
        Link::LinuxSll => bytes.starts_with(&[0, 1]),
        Link::LinuxSll2 => bytes.get(10) == Some(&1),
        _ => false,
    }
}

/// The IP packet in an Ethernet frame that may carry so many others inside.
pub fn ethernet(bytes: &[u8], depth: u8) -> Result<&[u8], Counter> {
    let header = EthernetPacket::new(bytes).ok_or(Counter::FrameCut)?;
    let rest = bytes.get(EthernetPacket::minimum_packet_size()..).ok_or(Counter::FrameCut)?;
    ether_payload(header.get_ethertype().0, rest, depth)
}

fn within(carried: Carried<'_>, depth: u8) -> Result<&[u8], Counter> {
    match carried {
        Carried::Ethernet(frame) => ethernet(frame, depth.checked_sub(1).ok_or(Counter::FrameOtherNetwork)?),
        Carried::Ip(packet) => Ok(packet),
    }
}

/// Follows VLAN tags (802.1Q, 802.1ad and the older stacked types), `PPPoE` and MPLS to IP.
fn ether_payload(mut ethertype: u16, mut rest: &[u8], depth: u8) -> Result<&[u8], Counter> {
    for _ in 0..=VLAN_TAGS_MAX {
        match ethertype {
            t if t == EtherTypes::Ipv4.0 || t == EtherTypes::Ipv6.0 => return Ok(rest),
            0x8100 | 0x88a8 | 0x9100 | 0x9200 => {
                let tag = VlanPacket::new(rest).ok_or(Counter::FrameCut)?;
                ethertype = tag.get_ethertype().0;
                rest = rest.get(VlanPacket::minimum_packet_size()..).ok_or(Counter::FrameCut)?;
            }
            0x8847 | 0x8848 => return within(tunnel::mpls(rest)?, depth),
            0x8864 => return within(tunnel::pppoe(rest)?, depth),
            // A length (IEEE 802.3); the type stands behind the header of SNAP (RFC 1042).
            ..=1_500 => {
                let (snap, after) = rest.split_first_chunk::<8>().ok_or(Counter::FrameCut)?;
                let [0xaa, 0xaa, 3, 0, 0, 0, high, low] = *snap else {
                    return Err(Counter::FrameOtherNetwork);
                };
                (ethertype, rest) = (u16::from_be_bytes([high, low]), after);
            }
            _ => return Err(Counter::FrameOtherNetwork),
        }
    }
    Err(Counter::FrameOtherNetwork)
}

/// The address family before the packet: 2 is IPv4 everywhere; IPv6 is 10, 24, 28 or 30 by system.
fn family(bytes: &[u8], order: fn([u8; 4]) -> u32) -> Result<&[u8], Counter> {
    let (head, rest) = bytes.split_first_chunk::<4>().ok_or(Counter::FrameCut)?;
    match order(*head) {
        2 | 10 | 24 | 28 | 30 => Ok(rest),
        _ => Err(Counter::FrameOtherNetwork),
    }
}

fn cooked(bytes: &[u8], protocol_at: usize, header_len: usize) -> Result<&[u8], Counter> {
    let mut at = Cursor::new(bytes.get(protocol_at..).ok_or(Counter::FrameCut)?);
    let ethertype = at.u16().ok_or(Counter::FrameCut)?;
    let rest = bytes.get(header_len..).ok_or(Counter::FrameCut)?;
    ether_payload(ethertype, rest, DEPTH_MAX)
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Twelve address bytes, then what follows.
    fn frame(rest: &[u8]) -> Vec<u8> {
        [&[0_u8; 12], rest].concat()
    }

    #[test]
    fn vlan_tags_are_followed_three_deep_and_no_further() {
        let tag = [0x81, 0, 0, 7];
        for depth in 0..=3 {
            let bytes = frame(&[tag.repeat(depth), vec![8, 0, b'x']].concat());
            assert_eq!(network_of(Link::Ethernet, &bytes), Ok(&b"x"[..]), "{depth} tags");
        }
        let bytes = frame(&[tag.repeat(4), vec![8, 0, b'x']].concat());
        assert_eq!(network_of(Link::Ethernet, &bytes), Err(Counter::FrameOtherNetwork));
    }

    #[test]
    fn arp_is_another_network_and_a_short_frame_is_cut() {
        assert_eq!(network_of(Link::Ethernet, &frame(&[8, 6, 0])), Err(Counter::FrameOtherNetwork));
        assert_eq!(network_of(Link::Ethernet, &[0; 13]), Err(Counter::FrameCut));
        assert_eq!(network_of(Link::Ethernet, &frame(&[0x81, 0, 1])), Err(Counter::FrameCut));
    }

    #[test]
    fn null_headers_are_read_in_either_byte_order() {
        assert_eq!(network_of(Link::Null, &[2, 0, 0, 0, b'x']), Ok(&b"x"[..]));
        assert_eq!(network_of(Link::Null, &[0, 0, 0, 30, b'x']), Ok(&b"x"[..]));
        assert_eq!(network_of(Link::Loop, &[0, 0, 0, 2, b'x']), Ok(&b"x"[..]));
        assert_eq!(network_of(Link::Loop, &[2, 0, 0, 0, b'x']), Err(Counter::FrameOtherNetwork));
    }

    #[test]
    fn cooked_headers_of_both_versions_lead_to_ip() {
        let mut sll = vec![0_u8; 14];
        sll.extend([8, 0, b'x']);
        assert_eq!(network_of(Link::LinuxSll, &sll), Ok(&b"x"[..]));
        let mut sll2 = vec![0x86, 0xdd];
        sll2.extend([0_u8; 18]);
        sll2.push(b'x');
        assert_eq!(network_of(Link::LinuxSll2, &sll2), Ok(&b"x"[..]));
    }

    #[test]
    fn a_broadcast_is_told_by_its_link() {
        assert!(is_to_all(Link::Ethernet, &[0xff; 14]) && !is_to_all(Link::Ethernet, &[1; 14]));
        assert!(is_to_all(Link::LinuxSll, &[0, 1, 0]) && !is_to_all(Link::LinuxSll, &[0, 0, 0]));
        let mut sll2 = [0; 20];
        assert!(!is_to_all(Link::LinuxSll2, &sll2));
        sll2[10] = 1;
        assert!(is_to_all(Link::LinuxSll2, &sll2) && !is_to_all(Link::RawIp, &[0xff; 20]));
    }

    #[test]
    fn link_types_that_are_not_read_are_counted_as_such() {
        assert_eq!(network_of(Link::from_number(127), &[0; 64]), Err(Counter::FrameLinkUnread));
    }
}
