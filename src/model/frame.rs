//! A captured frame: what capture hands to decode.

use crate::model::time::Timestamp;

/// One captured frame.
#[derive(Clone, Copy, Debug)]
pub struct Frame<'a> {
    /// When it was captured.
    pub time: Timestamp,
    /// The bytes kept of it.
    pub bytes: &'a [u8],
    /// Its length on the wire; more than `bytes` where the snap length cut it.
    pub length: u32,
    /// What its first byte is.
    pub link: Link,
}

/// A link type, after the numbers of <https://www.tcpdump.org/linktypes.html>.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum Link {
    /// 104: Cisco HDLC.
    CiscoHdlc,
    /// 1: Ethernet
    Ethernet,
    /// 0: BSD null, address family in the byte order of the writer.
    Null,
    /// 108: BSD loop, address family in network order.
    Loop,
    /// 9, 50: PPP, with or without the framing of HDLC.
    Ppp,
    /// 12, 14, 101, 228, 229: an IP packet without a link header.
    RawIp,
    /// 113: Linux cooked capture.
    LinuxSll,
    /// 276: Linux cooked capture, version 2.
    LinuxSll2,
    /// Any other: counted, never misread.
    Unread(i32),
}

impl Link {
    /// The link type of that number.
    pub const fn from_number(number: i32) -> Self {
        match number {
            0 => Self::Null,
            1 => Self::Ethernet,
            9 | 50 => Self::Ppp,
            12 | 14 | 101 | 228 | 229 => Self::RawIp,
            104 => Self::CiscoHdlc,
            108 => Self::Loop,
            113 => Self::LinuxSll,
            276 => Self::LinuxSll2,
            other => Self::Unread(other),
        }
    }
}
