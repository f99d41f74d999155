//! ICMP (RFC 792) and `ICMPv6` (RFC 4443), one vocabulary for both.

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr};

use crate::decode::cursor::Cursor;
use crate::decode::network::{self, Packet};
use crate::decode::{Decoded, Payload};
use crate::model::progress::Counter;

/// Length of the header that every message has.
const HEADER_BYTES: usize = 8;
/// Transports whose first four bytes are two ports: TCP, UDP, DCCP, SCTP, UDP-Lite.
const WITH_PORTS: [u8; 5] = [6, 17, 33, 132, 136];

/// An ICMP message.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub struct Icmp<'a> {
    /// Sender: of an error any router, not only the host that was asked.
    pub source: IpAddr,
    /// Receiver: of an error whoever sent what is quoted, if the quotation is true.
    pub destination: IpAddr,
    /// What it says.
    pub message: Message,
    /// Of an error, the packet that it answers. Nothing proves that this was ever sent: look for it before it is believed.
    pub quoted: Option<Quoted>,
    /// What follows the header.
    pub payload: &'a [u8],
}

/// What an ICMP message says, the same for both versions.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum Message {
    /// Ping, or what asks in another form: for the time, for the address mask.
    EchoRequest(Echo),
    /// Its reply.
    EchoReply(Echo),
    /// A packet did not reach its destination.
    Unreachable(Unreachable),
    /// Anything else, other errors (too big, time exceeded, redirect) among it: they refuse nothing.
    Other {
        /// Type, as on the wire.
        kind: u8,
        /// Code, as on the wire.
        code: u8,
    },
}

/// The two numbers by which a ping finds its reply.
#[derive(Clone, Copy, Debug, Eq, Hash, PartialEq)]
pub struct Echo {
    /// Chosen by the sender for all its requests.
    pub identifier: u16,
    /// Number of the request.
    pub sequence: u16,
}

/// What could not be reached.
#[derive(Clone, Copy, Debug, Eq, Hash, PartialEq)]
pub enum Unreachable {
    /// The host is not there.
    Host,
    /// No way to the network.
    Network,
    /// Nobody listens on the port.
    Port,
    /// A filter on the way, or the host itself, says no.
    Prohibited,
    /// The host does not speak the transport protocol.
    Protocol,
}

/// The beginning of a packet, as an error quotes it: RFC 792 promises eight bytes of the transport.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub struct Quoted {
    /// Protocol number of the transport.
    pub protocol: u8,
    /// Its sender; port 0 where the transport has none.
    pub source: SocketAddr,
    /// Its receiver; port 0 where the transport has none.
    pub destination: SocketAddr,
    /// The four bytes that follow: the sequence number of TCP, identifier and sequence of a ping. 0 where they are missing.
    pub second_word: u32,
}

/// Reads the message of a whole IP packet.
pub fn decode<'a>(packet: &Packet<'a>) -> Result<Decoded<'a>, Counter> {
    let mut at = Cursor::new(packet.payload);
    let mut header = Cursor::new(at.take(HEADER_BYTES).ok_or(Counter::FrameCut)?);
    let (source, destination) = packet.addresses;
    let (Some(kind), Some(code), Some(_checksum)) = (header.u8(), header.u8(), header.u16()) else {
        return Err(Counter::FrameCut);
    };
    let (Some(identifier), Some(sequence)) = (header.u16(), header.u16()) else {
        return Err(Counter::FrameCut);
    };
    let echo = Echo { identifier, sequence };
    let is_v4 = source.is_ipv4();
    let message = if is_v4 { version_4(kind, code, echo) } else { version_6(kind, code, echo) };
    // RFC 792: unreachable, quench, redirect, time exceeded, parameter problem; RFC 4443 §2.1: all below 128. A redirect of
    // version 6 quotes in an option and refuses nothing.
    let is_error = if is_v4 { matches!(kind, 3..=5 | 11 | 12) } else { kind < 128 };
    let quoted = if is_error { quotation(at.rest()) } else { None };
    let icmp = Icmp { source, destination, message, quoted, payload: at.rest() };
    Ok(Decoded { outcome: Counter::FrameIcmp, payload: Payload::Icmp(icmp), tunnel: None })
}

/// RFC 792, RFC 1122 §3.2.2.1, RFC 1812 §5.2.7.1.
const fn version_4(kind: u8, code: u8, echo: Echo) -> Message {
    let unreachable = match (kind, code) {
        // Timestamp and address mask carry the same two numbers (RFC 792, RFC 950) and ask whether somebody is there as well.
        (0 | 14 | 18, _) => return Message::EchoReply(echo),
        (8 | 13 | 17, _) => return Message::EchoRequest(echo),
        (3, 0 | 5 | 6 | 11) => Unreachable::Network,
        (3, 1 | 7 | 8 | 12) => Unreachable::Host,
        (3, 2) => Unreachable::Protocol,
        (3, 3) => Unreachable::Port,
        (3, 9 | 10 | 13..=15) => Unreachable::Prohibited,
        // Code 4 is path MTU discovery: the packet is too big, the host may be well.
        _ => return Message::Other { kind, code },
    };
    Message::Unreachable(unreachable)
}

/// RFC 4443 §3.1.
const fn version_6(kind: u8, code: u8, echo: Echo) -> Message {
    let unreachable = match (kind, code) {
        (128, _) => return Message::EchoRequest(echo),
        (129, _) => return Message::EchoReply(echo),
        (1, 0 | 2 | 7) => Unreachable::Network,
        (1, 1 | 5 | 6) => Unreachable::Prohibited,
        (1, 3) => Unreachable::Host,
        (1, 4) => Unreachable::Port,
        // An unknown next header (type 4, code 1) is how version 6 says protocol unreachable.
        (4, 1) => Unreachable::Protocol,
        _ => return Message::Other { kind, code },
    };
    Message::Unreachable(unreachable)
}

/// The packet that an error quotes. Its lengths are not judged: a quotation is cut by nature.
fn quotation(bytes: &[u8]) -> Option<Quoted> {
    let (addresses, protocol, transport) = match bytes.first()? >> 4 {
        4 => quoted_4(bytes)?,
        6 => quoted_6(bytes)?,
        _ => return None,
    };
    let mut at = Cursor::new(transport);
    let ports = (at.u16()?, at.u16()?);
    let ports = if WITH_PORTS.contains(&protocol) { ports } else { (0, 0) };
    Some(Quoted {
        protocol,
        source: SocketAddr::new(addresses.0, ports.0),
        destination: SocketAddr::new(addresses.1, ports.1),
        second_word: at.u32().unwrap_or(0),
    })
}

type Inner<'a> = ((IpAddr, IpAddr), u8, &'a [u8]);

fn quoted_4(bytes: &[u8]) -> Option<Inner<'_>> {
    let mut at = Cursor::new(bytes);
    let header_len = usize::from(at.u8()? & 0x0f) * 4;
    at.take(5)?;
    // Behind the first fragment there is no transport header.
    if at.u16()? & 0x1fff != 0 {
        return None;
    }
    at.u8()?;
    let protocol = at.u8()?;
    at.u16()?;
    let addresses = (Ipv4Addr::from_bits(at.u32()?).into(), Ipv4Addr::from_bits(at.u32()?).into());
    let transport = bytes.get(header_len.max(20)..)?;
    Some((addresses, protocol, transport))
}

fn quoted_6(bytes: &[u8]) -> Option<Inner<'_>> {
    let mut at = Cursor::new(bytes);
    at.take(6)?;
    let next = at.u8()?;
    at.u8()?;
    let mut address = || Some(IpAddr::from(Ipv6Addr::from(*at.take(16)?.first_chunk::<16>()?)));
    let addresses = (address()?, address()?);
    let (protocol, transport, place) = network::after_extensions(next, at.rest()).ok()?;
    (place.is_none_or(|(_, offset, _)| offset == 0)).then_some((addresses, protocol, transport))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::decode::decode as frame;
    use crate::testing::{icmp, ip, quoting, raw, tcp, udp};

    fn read(bytes: &[u8]) -> Option<Icmp<'_>> {
        let decoded = frame(&raw(0, bytes));
        if let Payload::Icmp(icmp) = decoded.payload {
            assert_eq!(decoded.outcome, Counter::FrameIcmp);
            return Some(icmp);
        }
        None
    }

    fn addresses(v6: bool) -> (IpAddr, IpAddr) {
        if v6 {
            ("2001:db8::1".parse().unwrap(), "2001:db8::2".parse().unwrap())
        } else {
            ("198.51.100.1".parse().unwrap(), "203.0.113.2".parse().unwrap())
        }
    }

    #[test]
    fn a_ping_and_its_reply_carry_their_numbers_in_both_versions() {
        let echo = Echo { identifier: 0x1234, sequence: 7 };
        for (v6, request, reply) in [(false, 8, 0), (true, 128, 129)] {
            let (one, other) = addresses(v6);
            let request = icmp(one, other, (request, 0), 0x1234_0007, b"abc");
            let seen = read(&request).unwrap();
            assert_eq!((seen.message, seen.source), (Message::EchoRequest(echo), one));
            assert_eq!((seen.destination, seen.payload, seen.quoted), (other, &b"abc"[..], None));
            let reply = icmp(other, one, (reply, 0), 0x1234_0007, b"abc");
            assert_eq!(read(&reply).unwrap().message, Message::EchoReply(echo));
        }
    }

    #[test]
    fn every_code_says_what_was_not_reached() {
        let v4 = |code| version_4(3, code, Echo { identifier: 0, sequence: 0 });
        let v6 = |code| version_6(1, code, Echo { identifier: 0, sequence: 0 });
        let of = Message::Unreachable;
        assert_eq!(
            [v4(0), v4(1), v4(2)],
            [Unreachable::Network, Unreachable::Host, Unreachable::Protocol].map(of)
        );
        assert_eq!([v4(3), v4(13)], [Unreachable::Port, Unreachable::Prohibited].map(of));
        assert_eq!(v4(4), Message::Other { kind: 3, code: 4 }, "too big is not unreachable");
        assert_eq!(
            [v6(0), v6(1), v6(3)],
            [Unreachable::Network, Unreachable::Prohibited, Unreachable::Host].map(of)
        );
        assert_eq!(v6(4), Message::Unreachable(Unreachable::Port));
    }

    #[test]
    fn an_error_quotes_the_packet_it_answers() {
        for (client, server, kind) in [
            ("198.51.100.1:4000", "203.0.113.2:53", (3, 3)),
            ("[2001:db8::1]:4000", "[2001:db8::2]:53", (1, 4)),
        ] {
            let (client, server) = (client.parse().unwrap(), server.parse().unwrap());
            for (protocol, packet) in
                [(17, udp(client, server, b"asked")), (6, tcp(client, server, 2, (0x0102_0304, 0), b""))]
            {
                let error = quoting(server.ip(), kind, &packet);
                let quoted = read(&error).unwrap().quoted.unwrap();
                assert_eq!((quoted.protocol, quoted.source, quoted.destination), (protocol, client, server));
                if protocol == 6 {
                    assert_eq!(quoted.second_word, 0x0102_0304);
                }
            }
        }
        let ping = icmp(addresses(false).0, addresses(false).1, (8, 0), 0x0005_0006, b"");
        let error = quoting(addresses(false).1, (3, 1), &ping);
        let quoted = read(&error).unwrap().quoted.unwrap();
        assert_eq!((quoted.destination.port(), quoted.second_word), (0, 0x0005_0006));
    }

    #[test]
    fn a_quotation_of_a_later_fragment_names_no_ports_and_a_cut_one_nothing() {
        let (one, other) = addresses(false);
        let mut packet = udp(SocketAddr::new(one, 1), SocketAddr::new(other, 2), b"");
        let whole = quoting(other, (3, 3), &packet);
        for keep in 0..whole.len() {
            if let Some(icmp) = read(&whole[..keep]) {
                assert_eq!(icmp.quoted.is_some(), keep >= 20 + 8 + 20 + 4, "{keep}");
            }
        }
        packet[7] = 1;
        assert_eq!(read(&quoting(other, (3, 3), &packet)).unwrap().quoted, None);
    }

    #[test]
    fn a_message_of_the_other_version_is_counted_and_not_read() {
        let (one, other) = addresses(true);
        let decoded_bytes = ip(one, other, 1, &[8, 0, 0, 0, 0, 0, 0, 0]);
        assert!(read(&decoded_bytes).is_none());
        assert_eq!(frame(&raw(0, &decoded_bytes)).outcome, Counter::FrameIcmp);
    }

    proptest::proptest! {
        #[test]
        fn any_quotation_is_survived(bytes in proptest::collection::vec(0_u8..=255, 0..120)) {
            quotation(&bytes);
        }
    }
}
