//! Packets and link headers, built with pnet and with valid checksums.

use std::net::{IpAddr, Ipv4Addr, SocketAddr, SocketAddrV4};

use pnet::packet::ethernet::{EtherType, EtherTypes, MutableEthernetPacket};
use pnet::packet::ip::{IpNextHeaderProtocol, IpNextHeaderProtocols};
use pnet::packet::ipv4::{self, Ipv4Flags, MutableIpv4Packet};
use pnet::packet::ipv6::MutableIpv6Packet;
use pnet::packet::tcp::{self, MutableTcpPacket, TcpFlags, TcpOption};
use pnet::util::MacAddr;

/// One TCP segment.
#[derive(Clone, Copy, Debug)]
pub struct Segment<'a> {
    /// Sender.
    pub from: SocketAddr,
    /// Receiver.
    pub to: SocketAddr,
    /// Sequence number.
    pub seq: u32,
    /// Acknowledgement number; 0 without the flag.
    pub ack: u32,
    /// [`TcpFlags`].
    pub flags: u8,
    /// IPv4 identification.
    pub number: u16,
    /// Data.
    pub data: &'a [u8],
}

const IPV4_HEADER_BYTES: usize = 20;
const IPV6_HEADER_BYTES: usize = 40;
const TCP_HEADER_BYTES: usize = 20;
/// MSS (4), SACK permitted (2), no-operation (1), window scale (3), two no-operations that fill the word.
const SYN_OPTIONS_BYTES: usize = 12;

/// The IP packet that carries `segment`.
pub fn ip_packet(segment: &Segment<'_>) -> Vec<u8> {
    let options = if segment.flags & TcpFlags::SYN == 0 { 0 } else { SYN_OPTIONS_BYTES };
    let tcp_bytes = TCP_HEADER_BYTES + options + segment.data.len();
    match (segment.from.ip(), segment.to.ip()) {
        (IpAddr::V4(from), IpAddr::V4(to)) => {
            let mut packet = vec![0; IPV4_HEADER_BYTES + tcp_bytes];
            let (head, body) = packet.split_at_mut(IPV4_HEADER_BYTES);
            let mut tcp = write_tcp(body, segment, options);
            let checksum = tcp::ipv4_checksum(&tcp.to_immutable(), &from, &to);
            tcp.set_checksum(checksum);
            let mut ip = MutableIpv4Packet::new(head).expect("20 bytes hold an IPv4 header");
            ip.set_version(4);
            ip.set_header_length(5);
            ip.set_total_length((IPV4_HEADER_BYTES + tcp_bytes) as u16);
            ip.set_identification(segment.number);
            ip.set_flags(Ipv4Flags::DontFragment);
            ip.set_ttl(57);
            ip.set_next_level_protocol(IpNextHeaderProtocols::Tcp);
            ip.set_source(from);
            ip.set_destination(to);
            let checksum = ipv4::checksum(&ip.to_immutable());
            ip.set_checksum(checksum);
            packet
        }
        (IpAddr::V6(from), IpAddr::V6(to)) => {
            let mut packet = vec![0; IPV6_HEADER_BYTES + tcp_bytes];
            let (head, body) = packet.split_at_mut(IPV6_HEADER_BYTES);
            let mut tcp = write_tcp(body, segment, options);
            let checksum = tcp::ipv6_checksum(&tcp.to_immutable(), &from, &to);
            tcp.set_checksum(checksum);
            let mut ip = MutableIpv6Packet::new(head).expect("40 bytes hold an IPv6 header");
            ip.set_version(6);
            ip.set_payload_length(tcp_bytes as u16);
            ip.set_next_header(IpNextHeaderProtocols::Tcp);
            ip.set_hop_limit(57);
            ip.set_source(from);
            ip.set_destination(to);
            packet
        }
        _ => unreachable!("both ends of a conversation are of one family"),
    }
}

/// An IPv4 packet of any protocol.
pub fn ipv4_packet((from, to): (Ipv4Addr, Ipv4Addr), protocol: u8, number: u16, body: &[u8]) -> Vec<u8> {
    let mut packet = vec![0; IPV4_HEADER_BYTES];
    let mut ip = MutableIpv4Packet::new(&mut packet).expect("20 bytes hold an IPv4 header");
    ip.set_version(4);
    ip.set_header_length(5);
    ip.set_total_length((IPV4_HEADER_BYTES + body.len()) as u16);
    ip.set_identification(number);
    ip.set_ttl(57);
    ip.set_next_level_protocol(IpNextHeaderProtocol(protocol));
    ip.set_source(from);
    ip.set_destination(to);
    let checksum = ipv4::checksum(&ip.to_immutable());
    ip.set_checksum(checksum);
    packet.extend_from_slice(body);
    packet
}

/// A UDP datagram over IPv4, without the checksum that it need not have (RFC 768).
pub fn datagram((from, to): (SocketAddrV4, SocketAddrV4), number: u16, data: &[u8]) -> Vec<u8> {
    let words = [from.port(), to.port(), 8 + data.len() as u16, 0];
    let header: Vec<u8> = words.into_iter().flat_map(u16::to_be_bytes).collect();
    ipv4_packet((*from.ip(), *to.ip()), 17, number, &[&header, data].concat())
}

/// An ICMP message over IPv4: type and code, the four bytes that depend on them, the rest.
pub fn icmp_message(
    ends: (Ipv4Addr, Ipv4Addr),
    (kind, code): (u8, u8),
    (word, rest): (u32, &[u8]),
) -> Vec<u8> {
    let with =
        |checksum: u16| [&[kind, code], &checksum.to_be_bytes()[..], &word.to_be_bytes(), rest].concat();
    let checksum = pnet::util::checksum(&with(0), 1);
    ipv4_packet(ends, 1, word as u16, &with(checksum))
}

fn write_tcp<'p>(bytes: &'p mut [u8], segment: &Segment<'_>, options: usize) -> MutableTcpPacket<'p> {
    let mut tcp = MutableTcpPacket::new(bytes).expect("20 bytes hold a TCP header");
    tcp.set_source(segment.from.port());
    tcp.set_destination(segment.to.port());
    tcp.set_sequence(segment.seq);
    tcp.set_acknowledgement(segment.ack);
    tcp.set_data_offset(((TCP_HEADER_BYTES + options) / 4) as u8);
    tcp.set_flags(segment.flags);
    tcp.set_window(64_240);
    if options > 0 {
        let list = [
            TcpOption::mss(1460),
            TcpOption::sack_perm(),
            TcpOption::nop(),
            TcpOption::wscale(7),
            TcpOption::nop(),
            TcpOption::nop(),
        ];
        tcp.set_options(&list);
    }
    tcp.set_payload(segment.data);
    tcp
}

/// How a capture frames its packets.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum Link {
    /// Ethernet
    Ethernet,
    /// BSD loopback: four bytes of address family
    Null,
    /// IP without a link header
    Raw,
    /// Linux cooked capture
    Sll,
    /// Linux cooked capture, version 2
    Sll2,
    /// Ethernet with an 802.1Q tag
    Vlan,
}

impl Link {
    /// Every link type with its name and its number in a capture file (tcpdump.org/linktypes.html).
    pub const TABLE: &[(Self, &str, u32)] = &[
        (Self::Ethernet, "ethernet", 1),
        (Self::Null, "null", 0),
        (Self::Raw, "raw", 101),
        (Self::Sll, "sll", 113),
        (Self::Sll2, "sll2", 276),
        (Self::Vlan, "vlan", 1),
    ];

    /// The number in a capture file.
    pub fn number(self) -> u32 {
        Self::TABLE.iter().find(|row| row.0 == self).map_or(1, |row| row.2)
    }

    /// The header in front of `packet`.
    pub fn header(self, packet: &[u8]) -> Vec<u8> {
        let six = packet.first().is_some_and(|byte| byte >> 4 == 6);
        let kind = if six { EtherTypes::Ipv6 } else { EtherTypes::Ipv4 };
        match self {
            Self::Ethernet => ethernet(kind, &[]),
            Self::Vlan => ethernet(EtherTypes::Vlan, &[&[0, 42], kind.0.to_be_bytes().as_slice()].concat()),
            Self::Raw => Vec::new(),
            // The families of macOS; other systems have others for IPv6.
            Self::Null => (if six { 30_u32 } else { 2 }).to_le_bytes().to_vec(),
            // Packet type "to us", ARPHRD_ETHER, an address of six bytes, the protocol.
            Self::Sll => {
                [&[0, 0, 0, 1, 0, 6, 2, 0, 0, 0, 0, 1, 0, 0], kind.0.to_be_bytes().as_slice()].concat()
            }
            // Protocol, reserved, interface 2, ARPHRD_ETHER, packet type, length and bytes of the address.
            Self::Sll2 => {
                [kind.0.to_be_bytes().as_slice(), &[0, 0, 0, 0, 0, 2, 0, 1, 0, 6, 2, 0, 0, 0, 0, 1, 0, 0]]
                    .concat()
            }
        }
    }
}

fn ethernet(kind: EtherType, behind: &[u8]) -> Vec<u8> {
    let mut bytes = vec![0; 14];
    let mut frame = MutableEthernetPacket::new(&mut bytes).expect("14 bytes hold an Ethernet header");
    frame.set_destination(MacAddr::new(2, 0, 0, 0, 0, 1));
    frame.set_source(MacAddr::new(2, 0, 0, 0, 0, 2));
    frame.set_ethertype(kind);
    bytes.extend_from_slice(behind);
    bytes
}
