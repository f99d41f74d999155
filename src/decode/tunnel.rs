//! What carries packets inside packets: MPLS, PPP, GRE, VXLAN. The innermost addresses count, so that a conversation is the same
//! one inside a tunnel and outside.

use crate::decode::cursor::Cursor;
use crate::model::progress::Counter;

/// Encapsulations followed in one frame. Providers stack two (a pseudowire over a tunnel), overlays in clouds three; more is an
/// attempt to cost time.
pub const DEPTH_MAX: u8 = 4;
/// Labels of one MPLS stack. Traffic engineering with VPN and protection uses five; RFC 8662 speaks of more as too many to read.
const LABELS_MAX: usize = 8;
/// The port of VXLAN (RFC 7348 §5).
pub const VXLAN_PORT: u16 = 4_789;

/// What was inside.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum Carried<'a> {
    /// An Ethernet frame.
    Ethernet(&'a [u8]),
    /// An IP packet.
    Ip(&'a [u8]),
}

/// What an MPLS label stack carries (RFC 3032). Nothing in it says so: IP shows its version, a pseudowire either its control word
/// (RFC 4385) or, without one, a frame whose type and content agree.
pub fn mpls(bytes: &[u8]) -> Result<Carried<'_>, Counter> {
    let mut at = Cursor::new(bytes);
    for _ in 0..LABELS_MAX {
        let entry = at.u32().ok_or(Counter::FrameCut)?;
        let is_last = entry & 0x100 != 0;
        if !is_last {
            continue;
        }
        let inside = at.rest();
        if is_ethernet_with_ip(inside) {
            return Ok(Carried::Ethernet(inside));
        }
        return match inside.first().ok_or(Counter::FrameCut)? >> 4 {
            4 | 6 => Ok(Carried::Ip(inside)),
            0 if inside.get(4..).is_some_and(is_ethernet_with_ip) => {
                Ok(Carried::Ethernet(inside.get(4..).unwrap_or_default()))
            }
            _ => Err(Counter::FrameOtherNetwork),
        };
    }
    Err(Counter::FrameOtherNetwork)
}

/// Whether bytes are a frame of IP, behind VLAN tags or not, beyond doubt.
fn is_ethernet_with_ip(bytes: &[u8]) -> bool {
    let mut at = Cursor::new(bytes);
    if at.take(12).is_none() {
        return false;
    }
    for _ in 0..3 {
        match at.u16() {
            Some(0x8100 | 0x88a8) if at.take(2).is_some() => {}
            Some(0x0800) => return at.u8().is_some_and(|first| first >> 4 == 4 && first & 15 >= 5),
            Some(0x86dd) => return at.u8().is_some_and(|first| first >> 4 == 6),
            _ => return false,
        }
    }
    false
}

/// The payload of a `PPPoE` session (RFC 2516 §4), which is PPP.
pub fn pppoe(bytes: &[u8]) -> Result<Carried<'_>, Counter> {
    let mut at = Cursor::new(bytes);
    let (version, code) = (at.u8().ok_or(Counter::FrameCut)?, at.u8().ok_or(Counter::FrameCut)?);
    let _session = at.u16().ok_or(Counter::FrameCut)?;
    let length = usize::from(at.u16().ok_or(Counter::FrameCut)?);
    if version != 0x11 || code != 0 {
        return Err(Counter::FrameOtherNetwork);
    }
    // What the link pads is not payload; what the snap length cut shows further in.
    ppp(at.rest().get(..length).unwrap_or(at.rest()))
}

/// PPP (RFC 1661 §2), with or without the framing of RFC 1662, its protocol number in two bytes or compressed to one.
pub fn ppp(bytes: &[u8]) -> Result<Carried<'_>, Counter> {
    let mut at = Cursor::new(bytes.strip_prefix(&[0xff, 3]).unwrap_or(bytes));
    let first = at.u8().ok_or(Counter::FrameCut)?;
    let protocol = if first & 1 == 1 {
        u16::from(first)
    } else {
        u16::from_be_bytes([first, at.u8().ok_or(Counter::FrameCut)?])
    };
    match protocol {
        0x0021 | 0x0057 => Ok(Carried::Ip(at.rest())),
        0x0281 | 0x0283 => mpls(at.rest()),
        // Link control, authentication, compression.
        _ => Err(Counter::FrameOtherNetwork),
    }
}

/// What GRE carries (RFC 2784, RFC 2890; version 1 of PPTP, RFC 2637). What is no GRE or carries something else is a transport
/// that is not read.
pub fn gre(bytes: &[u8]) -> Result<Carried<'_>, Counter> {
    let mut at = Cursor::new(bytes);
    let flags = at.u16().ok_or(Counter::FrameCut)?;
    let protocol = at.u16().ok_or(Counter::FrameCut)?;
    let has = |flag: u16| flags & flag != 0;
    let version = flags & 7;
    // The source routes of RFC 1701 have not been seen since.
    if version > 1 || has(0x4000) {
        return Err(Counter::FrameOtherTransport);
    }
    let is_sequenced = has(0x1000);
    let words = [has(0x8000), has(0x2000), is_sequenced, version == 1 && has(0x0080)];
    let optional = words.into_iter().filter(|is_there| *is_there).count() * 4;
    at.take(optional).ok_or(Counter::FrameCut)?;
    match (version, protocol) {
        (0, 0x0800 | 0x86dd) => Ok(Carried::Ip(at.rest())),
        (0, 0x6558) => Ok(Carried::Ethernet(at.rest())),
        (0, 0x8847 | 0x8848) => mpls(at.rest()),
        // ERSPAN: type II is numbered and has a header of eight bytes, type I has neither.
        (0, 0x88be) => {
            at.take(if is_sequenced { 8 } else { 0 }).ok_or(Counter::FrameCut)?;
            Ok(Carried::Ethernet(at.rest()))
        }
        (1, 0x880b) if !at.rest().is_empty() => ppp(at.rest()),
        _ => Err(Counter::FrameOtherTransport),
    }
}

/// The Ethernet frame in a VXLAN datagram (RFC 7348 §5): the I flag alone, what is reserved zero.
pub fn vxlan(payload: &[u8]) -> Option<&[u8]> {
    match payload.split_first_chunk::<8>()? {
        ([8, 0, 0, 0, _, _, _, 0], frame) => Some(frame),
        _ => None,
    }
}

#[cfg(test)]
mod tests;
