//! Frames for the benches.

use std::net::{IpAddr, SocketAddr};

use pnet::packet::ip::IpNextHeaderProtocols;
use pnet::packet::ipv4::MutableIpv4Packet;
use pnet::packet::ipv6::MutableIpv6Packet;
use pnet::packet::tcp::MutableTcpPacket;

/// A TCP segment in an IP packet.
pub fn tcp(from: &str, to: &str, flags: u8, sequence: u32, data: &[u8]) -> Vec<u8> {
    let (from, to): (SocketAddr, SocketAddr) = (from.parse().unwrap(), to.parse().unwrap());
    let mut segment = vec![0; 20 + data.len()];
    let mut header = MutableTcpPacket::new(&mut segment).unwrap();
    header.set_source(from.port());
    header.set_destination(to.port());
    header.set_sequence(sequence);
    header.set_data_offset(5);
    header.set_flags(flags);
    header.set_payload(data);
    match (from.ip(), to.ip()) {
        (IpAddr::V4(from), IpAddr::V4(to)) => {
            let mut bytes = vec![0; 20 + segment.len()];
            let length = bytes.len() as u16;
            let mut packet = MutableIpv4Packet::new(&mut bytes).unwrap();
            packet.set_version(4);
            packet.set_header_length(5);
            packet.set_total_length(length);
            packet.set_next_level_protocol(IpNextHeaderProtocols::Tcp);
            packet.set_source(from);
            packet.set_destination(to);
            packet.set_payload(&segment);
            bytes
        }
        (IpAddr::V6(from), IpAddr::V6(to)) => {
            let mut bytes = vec![0; 40 + segment.len()];
            let mut packet = MutableIpv6Packet::new(&mut bytes).unwrap();
            packet.set_version(6);
            packet.set_payload_length(segment.len() as u16);
            packet.set_next_header(IpNextHeaderProtocols::Tcp);
            packet.set_source(from);
            packet.set_destination(to);
            packet.set_payload(&segment);
            bytes
        }
        _ => panic!("two families"),
    }
}

/// A UDP datagram in an IPv4 packet.
#[allow(dead_code, reason = "shared by all benches")]
pub fn udp(from: &str, to: &str, data: &[u8]) -> Vec<u8> {
    let mut bytes = tcp(from, to, 0, 0, data);
    // Eight bytes of header instead of twenty.
    bytes.drain(20..32);
    let (total, length) = (bytes.len() as u16, 8 + data.len() as u16);
    bytes[2..4].copy_from_slice(&total.to_be_bytes());
    bytes[9] = 17;
    let ends: [SocketAddr; 2] = [from.parse().unwrap(), to.parse().unwrap()];
    let words = [ends[0].port(), ends[1].port(), length, 0];
    for (at, word) in words.into_iter().enumerate() {
        bytes[20 + 2 * at..22 + 2 * at].copy_from_slice(&word.to_be_bytes());
    }
    bytes
}

/// An IP packet behind an Ethernet header with so many VLAN tags.
pub fn ethernet(tags: usize, packet: &[u8]) -> Vec<u8> {
    let six = packet.first().is_some_and(|byte| byte >> 4 == 6);
    let mut bytes = vec![2; 12];
    bytes.extend([0x81, 0, 0, 7].repeat(tags));
    bytes.extend(if six { [0x86, 0xdd] } else { [8, 0] });
    bytes.extend(packet);
    bytes
}
