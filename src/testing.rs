//! Frames for unit tests, built with pnet's packet builders. Compiled for tests only.

use std::net::{IpAddr, SocketAddr};

use pnet::packet::ipv4::MutableIpv4Packet;
use pnet::packet::ipv6::MutableIpv6Packet;
use pnet::packet::tcp::MutableTcpPacket;

use crate::decode::transport::flag;
use crate::model::attempt::{Attempt, AttemptId, Evidence, HttpFields, Judgement, Outcome, Transport};
use crate::model::class::{Class, ClassSet};
use crate::model::frame::{Frame, Link};
use crate::model::grade::Grade;
use crate::model::marks::Marks;
use crate::model::place::Sector;
use crate::model::time::Timestamp;
use crate::tally::CampaignId;
use crate::tally::event::Contribution;

/// What an attempt of a source that is nowhere at home adds to the tally.
pub fn contribution() -> Contribution {
    Contribution {
        sector: Sector::Located,
        label: None,
        headline: true,
        campaign: CampaignId(7),
        sessions: 1,
        incidents: 1,
    }
}

/// A TCP segment as an IP packet without a link header.
pub fn tcp(
    source: SocketAddr,
    destination: SocketAddr,
    flags: u8,
    numbers: (u32, u32),
    data: &[u8],
) -> Vec<u8> {
    let mut segment = vec![0_u8; 20 + data.len()];
    let mut header = MutableTcpPacket::new(&mut segment).unwrap();
    header.set_source(source.port());
    header.set_destination(destination.port());
    header.set_sequence(numbers.0);
    header.set_acknowledgement(numbers.1);
    header.set_data_offset(5);
    header.set_flags(flags);
    header.set_window(64_240);
    header.set_payload(data);
    ip(source.ip(), destination.ip(), 6, &segment)
}

/// A UDP datagram as an IP packet without a link header.
pub fn udp(source: SocketAddr, destination: SocketAddr, data: &[u8]) -> Vec<u8> {
    let length = (8 + data.len()) as u16;
    let ports = [source.port(), destination.port(), length, 0].map(u16::to_be_bytes).concat();
    ip(source.ip(), destination.ip(), 17, &[&ports, data].concat())
}

/// An ICMP message of the version of its addresses: type and code, the second word, what follows.
pub fn icmp(source: IpAddr, destination: IpAddr, kind: (u8, u8), word: u32, data: &[u8]) -> Vec<u8> {
    let protocol = if source.is_ipv4() { 1 } else { 58 };
    let message = [&[kind.0, kind.1, 0, 0], &word.to_be_bytes()[..], data].concat();
    ip(source, destination, protocol, &message)
}

/// An ICMP error of `router` about an IP packet, sent to the packet's sender.
pub fn quoting(router: IpAddr, kind: (u8, u8), packet: &[u8]) -> Vec<u8> {
    let sender = match router {
        IpAddr::V4(_) => IpAddr::from(*packet[12..].first_chunk::<4>().unwrap()),
        IpAddr::V6(_) => IpAddr::from(*packet[8..].first_chunk::<16>().unwrap()),
    };
    icmp(router, sender, kind, 0, packet)
}

/// An IP packet without options.
pub fn ip(source: IpAddr, destination: IpAddr, protocol: u8, payload: &[u8]) -> Vec<u8> {
    match (source, destination) {
        (IpAddr::V4(source), IpAddr::V4(destination)) => {
            let mut bytes = vec![0_u8; 20 + payload.len()];
            let total = bytes.len() as u16;
            let mut packet = MutableIpv4Packet::new(&mut bytes).unwrap();
            packet.set_version(4);
            packet.set_header_length(5);
            packet.set_total_length(total);
            packet.set_next_level_protocol(pnet::packet::ip::IpNextHeaderProtocol(protocol));
            packet.set_source(source);
            packet.set_destination(destination);
            packet.set_payload(payload);
            bytes
        }
        (IpAddr::V6(source), IpAddr::V6(destination)) => {
            let mut bytes = vec![0_u8; 40 + payload.len()];
            let mut packet = MutableIpv6Packet::new(&mut bytes).unwrap();
            packet.set_version(6);
            packet.set_payload_length(payload.len() as u16);
            packet.set_next_header(pnet::packet::ip::IpNextHeaderProtocol(protocol));
            packet.set_source(source);
            packet.set_destination(destination);
            packet.set_payload(payload);
            bytes
        }
        _ => panic!("two families"),
    }
}

/// A frame of a raw IP capture.
pub fn raw(micros: i64, bytes: &[u8]) -> Frame<'_> {
    Frame { time: Timestamp(micros), bytes, length: bytes.len() as u32, link: Link::RawIp }
}

/// Client of a test conversation.
pub const CLIENT: &str = "198.51.100.2:40000";
/// Server of a test conversation.
pub const SERVER: &str = "203.0.113.10:80";

/// A conversation that is written packet by packet, numbers kept by itself.
pub struct Script {
    client: SocketAddr,
    server: SocketAddr,
    next: (u32, u32),
    /// The packets so far.
    pub packets: Vec<Vec<u8>>,
}

impl Script {
    /// Between [`CLIENT`] and [`SERVER`], nothing sent yet.
    pub fn new() -> Self {
        Self::between(CLIENT, SERVER, (1_000, 9_000))
    }

    /// Between two endpoints with the given initial sequence numbers.
    pub fn between(client: &str, server: &str, next: (u32, u32)) -> Self {
        Self { client: client.parse().unwrap(), server: server.parse().unwrap(), next, packets: Vec::new() }
    }

    /// SYN, SYN/ACK, ACK.
    #[must_use]
    pub fn handshake(mut self) -> Self {
        self.push(true, flag::SYN, &[]);
        self.next.0 = self.next.0.wrapping_add(1);
        self.push(false, flag::SYN | flag::ACK, &[]);
        self.next.1 = self.next.1.wrapping_add(1);
        self.client_ack()
    }

    /// A bare acknowledgement of the client.
    #[must_use]
    pub fn client_ack(mut self) -> Self {
        self.push(true, flag::ACK, &[]);
        self
    }

    /// A bare acknowledgement of the server.
    #[must_use]
    pub fn server_ack(mut self) -> Self {
        self.push(false, flag::ACK, &[]);
        self
    }

    /// Data of the client in one segment.
    #[must_use]
    pub fn ask(mut self, data: &[u8]) -> Self {
        self.push(true, flag::ACK, data);
        self.next.0 = self.next.0.wrapping_add(data.len() as u32);
        self
    }

    /// Data of the server in one segment.
    #[must_use]
    pub fn answer(mut self, data: &[u8]) -> Self {
        self.push(false, flag::ACK, data);
        self.next.1 = self.next.1.wrapping_add(data.len() as u32);
        self
    }

    /// Data that the client sends and the capture misses.
    #[must_use]
    pub fn ask_unseen(mut self, data: &[u8]) -> Self {
        self.next.0 = self.next.0.wrapping_add(data.len() as u32);
        self
    }

    /// FIN of both sides.
    #[must_use]
    pub fn close(mut self) -> Self {
        self.push(true, flag::FIN | flag::ACK, &[]);
        self.next.0 = self.next.0.wrapping_add(1);
        self.push(false, flag::FIN | flag::ACK, &[]);
        self.next.1 = self.next.1.wrapping_add(1);
        self.client_ack()
    }

    fn push(&mut self, from_client: bool, flags: u8, data: &[u8]) {
        let packet = if from_client {
            tcp(self.client, self.server, flags, self.next, data)
        } else {
            tcp(self.server, self.client, flags, (self.next.1, self.next.0), data)
        };
        self.packets.push(packet);
    }
}

/// An attempt against a web site, with one piece of evidence.
pub fn attempt() -> Attempt {
    Attempt {
        id: AttemptId(1),
        time: Timestamp(0),
        client: "198.51.100.7:40000".parse().unwrap(),
        server: "203.0.113.10:80".parse().unwrap(),
        transport: Transport::Tcp,
        app_proto: "http",
        flow_id: 1,
        opens_session: true,
        grade: Grade::E2,
        one_sided: false,
        inferred: false,
        frames: 1,
        judgement: Judgement {
            class: Class::WebSqli,
            labels: ClassSet::default(),
            score: 0.95,
            evidence: vec![Evidence {
                rule: "sqli.union".into(),
                place: "query:id".into(),
                excerpt: "union select".into(),
            }],
        },
        outcome: Outcome::Attempted,
        marks: Marks::default(),
        http: Some(HttpFields {
            hostname: Some("www.example.org".into()),
            url: "/item?id=1".into(),
            method: "GET".into(),
            user_agent: None,
            status: Some(200),
            forwarded: None,
            forwarded_too: None,
            naming: Vec::new(),
        }),
    }
}
