//! One conversation with a web server, packet by packet as a test wants it.

use std::net::SocketAddr;

use pnet::packet::tcp::TcpFlags;

use super::generator::frames::{Segment, ip_packet};

/// A plan of one site, for its settings: the conversations are the test's own.
pub const SITE_ALONE: &str = r#"
seed = 1
from = [2026, 10]
trend = [1]
home = "CN"
[[site]]
name = "www.town.example"
v4 = "203.0.113.10"
v6 = "2001:db8:2::10"
weight = 1
[attempts]
US = 1
[kinds]
sqli = 1
[noise]
benign = 0
forged_syns = 0
forged_requests = 0
[shape]
keep_alive_percent = 0
pipelined_percent = 0
ipv6_percent = 0
retransmitted_percent = 0
reordered_percent = 0
"#;

/// The site of the plan, for clients of each family.
const SERVER: &str = "203.0.113.10:80";
const SERVER_SIX: &str = "[2001:db8:2::10]:80";

/// A part of the client's stream: where it begins, and its bytes.
pub type Part = (usize, Vec<u8>);

fn segment((from, to): (SocketAddr, SocketAddr), (seq, ack): (u32, u32), flags: u8, data: &[u8]) -> Vec<u8> {
    ip_packet(&Segment { from, to, seq, ack, flags, number: seq as u16, data })
}

/// A whole conversation in which the client sends `parts` in this order; `length` is that of its stream.
pub fn conversation(client: SocketAddr, parts: &[Part], length: usize, reply: &[u8]) -> Vec<Vec<u8>> {
    let server: SocketAddr = if client.is_ipv6() { SERVER_SIX } else { SERVER }.parse().unwrap();
    let (ours, theirs) = (1_000_u32, 9_000_u32);
    let (up, down) = ((client, server), (server, client));
    let (end, last) = (ours + 1 + length as u32, theirs + 1 + reply.len() as u32);
    let mut packets = vec![
        segment(up, (ours, 0), TcpFlags::SYN, b""),
        segment(down, (theirs, ours + 1), TcpFlags::SYN | TcpFlags::ACK, b""),
        segment(up, (ours + 1, theirs + 1), TcpFlags::ACK, b""),
    ];
    packets.extend(parts.iter().map(|(at, bytes)| {
        segment(up, (ours + 1 + *at as u32, theirs + 1), TcpFlags::ACK | TcpFlags::PSH, bytes)
    }));
    packets.extend([
        segment(down, (theirs + 1, end), TcpFlags::ACK | TcpFlags::PSH, reply),
        segment(up, (end, last), TcpFlags::ACK | TcpFlags::FIN, b""),
        segment(down, (last, end + 1), TcpFlags::ACK | TcpFlags::FIN, b""),
        segment(up, (end + 1, last + 1), TcpFlags::ACK, b""),
    ]);
    packets
}

/// The stream in pieces of `size` bytes, in order.
pub fn cut(stream: &[u8], size: usize) -> Vec<Part> {
    stream.chunks(size).enumerate().map(|(index, bytes)| (index * size, bytes.to_vec())).collect()
}
