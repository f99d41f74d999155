use std::net::IpAddr;

use super::*;
use crate::decode::{Payload, decode, transport::flag};
use crate::model::frame::{Frame, Link};
use crate::model::time::Timestamp;
use crate::testing::{CLIENT, SERVER, ip, tcp, udp};

const SIX: (&str, &str) = ("[2001:db8::2]:40000", "[2001:db8::10]:80");

fn inner(v6: bool) -> Vec<u8> {
    let (client, server) = if v6 { SIX } else { (CLIENT, SERVER) };
    tcp(client.parse().unwrap(), server.parse().unwrap(), flag::ACK, (7, 9), b"data")
}

fn ends(v6: bool) -> (IpAddr, IpAddr) {
    if v6 {
        ("2001:db8:ffff::1".parse().unwrap(), "2001:db8:ffff::2".parse().unwrap())
    } else {
        ("192.0.2.1".parse().unwrap(), "192.0.2.2".parse().unwrap())
    }
}

fn frame(link: Link, bytes: &[u8]) -> Frame<'_> {
    Frame { time: Timestamp(0), bytes, length: bytes.len() as u32, link }
}

fn ether(kind: u16, rest: &[u8]) -> Vec<u8> {
    [&[2; 12][..], &kind.to_be_bytes(), rest].concat()
}

fn ether_of(packet: &[u8]) -> Vec<u8> {
    ether(if packet[0] >> 4 == 4 { 0x0800 } else { 0x86dd }, packet)
}

fn labels(depth: usize, inside: &[u8]) -> Vec<u8> {
    let mut bytes = [0, 1, 0, 64].repeat(depth - 1);
    bytes.extend([0, 1, 1, 64]);
    bytes.extend(inside);
    bytes
}

fn session(protocol: &[u8], inside: &[u8]) -> Vec<u8> {
    let ppp = [protocol, inside].concat();
    [&[0x11, 0, 0, 5][..], &(ppp.len() as u16).to_be_bytes(), &ppp].concat()
}

/// IP in GRE with flags, protocol and so many optional bytes.
fn in_gre(outer_v6: bool, flags: u16, protocol: u16, optional: usize, inside: &[u8]) -> Vec<u8> {
    let header = [flags.to_be_bytes(), protocol.to_be_bytes()].concat();
    ip(ends(outer_v6).0, ends(outer_v6).1, 47, &[&header[..], &vec![0; optional], inside].concat())
}

fn in_vxlan(inside: &[u8]) -> Vec<u8> {
    let payload = [&[8, 0, 0, 0, 0, 0, 42, 0][..], inside].concat();
    udp("192.0.2.1:50000".parse().unwrap(), "192.0.2.2:4789".parse().unwrap(), &payload)
}

/// Every way to carry the inner packet, with the frame that does.
fn ways(v6: bool) -> Vec<(&'static str, Link, Vec<u8>)> {
    let packet = inner(v6);
    let kind = if v6 { 0x86dd_u16 } else { 0x0800 };
    let inside_ip = if v6 { 41 } else { 4 };
    let ppp: &[u8] = if v6 { &[0, 0x57] } else { &[0, 0x21] };
    let with_control = [&[0; 4][..], &ether_of(&packet)].concat();
    let snap = [&[0, 52][..], &[0xaa, 0xaa, 3, 0, 0, 0], &kind.to_be_bytes(), &packet].concat();
    let tagged = [&[0, 7, 0x81, 0, 0, 8][..], &kind.to_be_bytes(), &packet].concat();
    let framed = [&[0xff, 3][..], ppp, &packet].concat();
    let cisco = [&[0x0f, 0][..], &kind.to_be_bytes(), &packet].concat();
    vec![
        ("mpls", Link::Ethernet, ether(0x8847, &labels(1, &packet))),
        ("mpls, 8 labels", Link::Ethernet, ether(0x8848, &labels(8, &packet))),
        ("pseudowire", Link::Ethernet, ether(0x8847, &labels(2, &ether_of(&packet)))),
        ("pseudowire, control word", Link::Ethernet, ether(0x8847, &labels(2, &with_control))),
        ("pppoe", Link::Ethernet, ether(0x8864, &session(ppp, &packet))),
        ("qinq", Link::Ethernet, ether(0x88a8, &tagged)),
        ("pppoe over mpls in ppp", Link::Ethernet, ether(0x8864, &session(&[2, 0x81], &labels(2, &packet)))),
        ("snap", Link::Ethernet, [&[2; 12][..], &snap].concat()),
        ("ppp", Link::Ppp, framed),
        ("ppp, compressed", Link::Ppp, [&ppp[1..], &packet].concat()),
        ("cisco hdlc", Link::CiscoHdlc, cisco.clone()),
        ("cisco hdlc as ppp", Link::Ppp, cisco),
        ("ip in ip", Link::RawIp, ip(ends(false).0, ends(false).1, inside_ip, &packet)),
        ("ip in ipv6", Link::RawIp, ip(ends(true).0, ends(true).1, inside_ip, &packet)),
        ("gre", Link::RawIp, in_gre(false, 0, kind, 0, &packet)),
        ("gre, checksum, key, number", Link::RawIp, in_gre(true, 0xb000, kind, 12, &packet)),
        ("gre, bridged", Link::RawIp, in_gre(false, 0x2000, 0x6558, 4, &ether_of(&packet))),
        ("gre, mpls", Link::RawIp, in_gre(false, 0, 0x8847, 0, &labels(1, &packet))),
        ("erspan 1", Link::RawIp, in_gre(false, 0, 0x88be, 0, &ether_of(&packet))),
        ("erspan 2", Link::RawIp, in_gre(false, 0x1000, 0x88be, 12, &ether_of(&packet))),
        ("pptp", Link::RawIp, in_gre(false, 0x3081, 0x880b, 12, &[&[0xff, 3][..], ppp, &packet].concat())),
        ("vxlan", Link::RawIp, in_vxlan(&ether_of(&packet))),
        ("vxlan in gre", Link::RawIp, in_gre(false, 0, 0x0800, 0, &in_vxlan(&ether_of(&packet)))),
    ]
}

#[test]
fn the_inner_packet_counts_however_it_is_carried() {
    for v6 in [false, true] {
        for (name, link, bytes) in ways(v6) {
            let decoded = decode(&frame(link, &bytes));
            let Payload::Tcp(segment) = decoded.payload else { panic!("{name}, v6 {v6}: {decoded:?}") };
            let expected = if v6 { SIX.0 } else { CLIENT };
            assert_eq!(segment.source, expected.parse().unwrap(), "{name}");
            assert_eq!((segment.payload, decoded.outcome), (&b"data"[..], Counter::FrameTcp), "{name}");
            // What a link carries cannot be sent from afar; what IP carries can.
            assert_eq!(decoded.tunnel.is_some(), link == Link::RawIp, "{name}");
            assert!(
                decoded.tunnel.is_none_or(|sender| [ends(false).0, ends(true).0].contains(&sender)),
                "{name}"
            );
        }
    }
}

#[test]
fn cut_anywhere_or_changed_a_frame_still_ends_in_one_outcome() {
    for (name, link, bytes) in ways(false).into_iter().chain(ways(true)) {
        for keep in 0..bytes.len() {
            let decoded = decode(&frame(link, &bytes[..keep]));
            if let Payload::Tcp(segment) = decoded.payload {
                assert!(segment.payload.len() < 4, "{name} cut at {keep} is whole");
            }
        }
        for at in 0..bytes.len() {
            let mut changed = bytes.clone();
            changed[at] ^= 0xff;
            decode(&frame(link, &changed));
        }
    }
}

#[test]
fn depth_is_bounded_for_every_kind_of_nesting() {
    let nested = |depth: usize, wrap: fn(&[u8]) -> Vec<u8>| {
        let mut bytes = inner(false);
        for _ in 0..depth {
            bytes = wrap(&bytes);
        }
        decode(&frame(Link::RawIp, &bytes)).outcome
    };
    let in_ip: fn(&[u8]) -> Vec<u8> = |packet| ip(ends(false).0, ends(false).1, 4, packet);
    let in_vx: fn(&[u8]) -> Vec<u8> = |packet| in_vxlan(&ether_of(packet));
    let most = usize::from(DEPTH_MAX);
    assert_eq!([nested(most, in_ip), nested(most, in_vx)], [Counter::FrameTcp; 2]);
    assert_eq!(nested(most + 1, in_ip), Counter::FrameOtherTransport);
    assert_eq!(nested(most + 1, in_vx), Counter::FrameUdp, "the innermost that is read is a datagram");
    assert_eq!(nested(500, in_ip), Counter::FrameOtherTransport);
    let mut wires = ether_of(&inner(false));
    for _ in 0..=most {
        wires = ether(0x8847, &labels(1, &[&[0; 4][..], &wires].concat()));
    }
    assert_eq!(decode(&frame(Link::Ethernet, &wires)).outcome, Counter::FrameOtherNetwork);
}

#[test]
fn what_only_looks_like_a_tunnel_is_what_it_was() {
    let to_vxlan = |payload: &[u8]| {
        let bytes = udp("192.0.2.1:50000".parse().unwrap(), "192.0.2.2:4789".parse().unwrap(), payload);
        decode(&frame(Link::RawIp, &bytes)).outcome
    };
    assert_eq!(to_vxlan(b""), Counter::FrameUdp);
    assert_eq!(to_vxlan(b"\x08\0\0\0\0\0\x01\0"), Counter::FrameUdp, "no frame inside");
    assert_eq!(
        to_vxlan(&[&[8, 1, 0, 0, 0, 0, 1, 0][..], &ether_of(&inner(false))].concat()),
        Counter::FrameUdp
    );
    let keep_alive = in_gre(false, 0, 0, 0, b"");
    assert_eq!(decode(&frame(Link::RawIp, &keep_alive)).outcome, Counter::FrameOtherTransport);
    let spanning_tree = [&[1; 12][..], &[0, 38, 0x42, 0x42, 3], &[0; 35]].concat();
    let discovery = ether(0x8863, &[0x11, 9, 0, 0, 0, 0]);
    let echo = ether(0x8864, &session(&[0xc0, 0x21], &[9, 1, 0, 8]));
    for other in [spanning_tree, discovery, echo, ether(0x8847, &labels(9, &inner(false)))] {
        assert_eq!(decode(&frame(Link::Ethernet, &other)).outcome, Counter::FrameOtherNetwork);
    }
    let six_as_four = ip(ends(false).0, ends(false).1, 4, &inner(true));
    assert_eq!(decode(&frame(Link::RawIp, &six_as_four)).outcome, Counter::FrameMalformed);
}

#[test]
fn super_frames_of_offload_and_jumbograms_are_read_whole() {
    let data = vec![b'x'; 65_535 - 40];
    let (client, server) = (CLIENT.parse().unwrap(), SERVER.parse().unwrap());
    let bytes = ether_of(&tcp(client, server, flag::ACK, (1, 1), &data));
    let Payload::Tcp(segment) = decode(&frame(Link::Ethernet, &bytes)).payload else { panic!("no segment") };
    assert_eq!(segment.payload.len(), data.len());
    let (client, server) = (SIX.0.parse().unwrap(), SIX.1.parse().unwrap());
    let mut bytes = tcp(client, server, flag::ACK, (1, 1), b"");
    bytes[4..6].fill(0);
    bytes.extend(vec![b'x'; 180_000]);
    let Payload::Tcp(segment) = decode(&frame(Link::RawIp, &bytes)).payload else { panic!("no segment") };
    assert_eq!(segment.payload.len(), 180_000);
}

proptest::proptest! {
    #[test]
    fn any_bytes_in_any_carrier_end_in_one_outcome(
        bytes in proptest::collection::vec(0_u8..=255, 0..160),
        kind in proptest::sample::select(vec![0x8847_u16, 0x8864, 0x8100, 46, 0x0800, 0x86dd]),
        protocol in proptest::sample::select(vec![4_u8, 41, 47, 17]),
    ) {
        for (link, bytes) in [
            (Link::Ethernet, ether(kind, &bytes)),
            (Link::Ppp, bytes.clone()),
            (Link::CiscoHdlc, bytes.clone()),
            (Link::RawIp, ip(ends(false).0, ends(false).1, protocol, &bytes)),
            (Link::RawIp, in_gre(true, 0, 0x6558, 0, &bytes)),
            (Link::RawIp, in_vxlan(&bytes)),
        ] {
            let row = &crate::model::progress::COUNTERS[decode(&frame(link, &bytes)).outcome as usize];
            proptest::prop_assert_eq!(row.kind, crate::model::progress::CounterKind::Outcome);
        }
    }
}
