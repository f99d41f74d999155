//! Captures with as many sources as somebody likes to forge.

use std::net::{Ipv4Addr, SocketAddr};

use pnet::packet::tcp::TcpFlags;

use super::generator::capture::CaptureWriter;
use super::generator::conversation::{Conversation, Course, Exchange, Sender};
use super::generator::frames::{Link, Segment, ip_packet};
use super::generator::payloads::{self, Kind};
use super::generator::plan::Plan;
use super::generator::random::Random;
use super::talk::SITE_ALONE;

/// An hour of blind attack requests, each from an address of its own.
pub fn forged(sources: u32) -> Vec<u8> {
    let plan = Plan::parse(SITE_ALONE).expect("the plan");
    let mut writer = CaptureWriter::begin(Vec::new(), Link::Ethernet).expect("memory");
    let begin = 1_792_000_800_000_000_u64;
    for number in 0..sources {
        let mut random = Random::keyed(&[7, u64::from(number)]);
        let exchange = Exchange {
            request: payloads::attack(Kind::Sqli, "www.town.example", &mut random),
            reply: Vec::new(),
            attack: Some(Kind::Sqli),
            class: "web.sqli",
            sender: Sender::Peer,
        };
        let conversation = Conversation {
            start: begin + u64::from(number) * 3_400_000_000 / u64::from(sources),
            client: (Ipv4Addr::from_bits(0x4900_0000 + number * 7), 40_000).into(),
            server: (Ipv4Addr::new(203, 0, 113, 10), 80).into(),
            course: Course::Blind,
            pipelined: false,
            exchanges: vec![exchange],
            random,
        };
        // Together, so that the capture is in order of time.
        for (_, packet) in conversation.packets(&plan.shape) {
            writer.write(&(conversation.start, packet)).expect("memory");
        }
    }
    writer.end().expect("memory")
}

/// Sources that scan at once: a SYN of each to one port that nobody answers, then of each to the next.
pub fn scans(sources: u32, ports: u16) -> Vec<u8> {
    let mut writer = CaptureWriter::begin(Vec::new(), Link::Ethernet).expect("memory");
    let begin = 1_792_000_800_000_000_u64;
    for port in 0..ports {
        for number in 0..sources {
            let packet = ip_packet(&Segment {
                from: (Ipv4Addr::from_bits(0x4900_0000 + number * 7), 40_000 + port).into(),
                to: (Ipv4Addr::new(203, 0, 113, 10), 1_000 + port).into(),
                seq: number,
                ack: 0,
                flags: TcpFlags::SYN,
                number: number as u16,
                data: b"",
            });
            // 90 seconds a round: no flood, and a slow scan by each.
            let at =
                (u64::from(port) * u64::from(sources) + u64::from(number)) * 90_000_000 / u64::from(sources);
            writer.write(&(begin + at, packet)).expect("memory");
        }
    }
    writer.end().expect("memory")
}

/// Sources that knock once each, over fifty minutes; then a quarter as many that have a conversation under way, all within two
/// minutes and none of them at its end.
pub fn crowd(sources: u32) -> Vec<u8> {
    let mut writer = CaptureWriter::begin(Vec::new(), Link::Ethernet).expect("memory");
    let mut at = 1_792_000_800_000_000_u64;
    let site = |port: u16| SocketAddr::from((Ipv4Addr::new(203, 0, 113, 10), port));
    for number in 0..sources {
        let packet = ip_packet(&Segment {
            from: (Ipv4Addr::from_bits(0x4900_0000 + number * 7), 40_000).into(),
            to: site(1_000 + (number % 50_000) as u16),
            seq: number,
            ack: 0,
            flags: TcpFlags::SYN,
            number: number as u16,
            data: b"",
        });
        at += 3_000_000_000 / u64::from(sources);
        writer.write(&(at, packet)).expect("memory");
    }
    for number in 0..sources / 4 {
        let client = SocketAddr::from((
            Ipv4Addr::from_bits(0x5d00_0000 + number * 5),
            1_024 + (number % 60_000) as u16,
        ));
        let (server, first, reply) = (site(80), number * 3 + 1, number * 3 + 8);
        let request: &[u8] =
            b"GET /index.html?page=1 HTTP/1.1\r\nHost: www.town.example\r\nUser-Agent: x\r\n";
        for (from, to, seq, ack, flags, data) in [
            (client, server, first, 0, TcpFlags::SYN, &b""[..]),
            (server, client, reply - 1, first + 1, TcpFlags::SYN | TcpFlags::ACK, b""),
            (client, server, first + 1, reply, TcpFlags::ACK, b""),
            (client, server, first + 1, reply, TcpFlags::ACK | TcpFlags::PSH, request),
        ] {
            let packet = ip_packet(&Segment { from, to, seq, ack, flags, number: number as u16, data });
            writer.write(&(at, packet)).expect("memory");
        }
        at += 400;
    }
    writer.end().expect("memory")
}
