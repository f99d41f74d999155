use super::*;
use crate::model::frame::Link;
use crate::model::progress::{CounterKind, Counters};
use crate::testing::{CLIENT, SERVER, ip, raw, tcp};

fn outcome(bytes: &[u8]) -> Counter {
    decode(&raw(0, bytes)).outcome
}

fn syn() -> Vec<u8> {
    tcp(CLIENT.parse().unwrap(), SERVER.parse().unwrap(), transport::flag::SYN, (7, 0), b"data")
}

#[test]
fn a_tcp_segment_is_read_behind_ipv4_options_and_link_padding() {
    let plain = syn();
    let mut bytes = plain[..20].to_vec();
    bytes[0] = 0x46;
    bytes[3] += 4;
    bytes.extend([1, 1, 1, 0]);
    bytes.extend(&plain[20..]);
    bytes.extend([0; 18]);
    let Payload::Tcp(segment) = decode(&raw(0, &bytes)).payload else { panic!("no segment") };
    assert_eq!((segment.payload, segment.sequence), (&b"data"[..], 7));
    assert_eq!((segment.source, segment.destination), (CLIENT.parse().unwrap(), SERVER.parse().unwrap()));
}

#[test]
fn ipv6_extension_headers_are_walked_and_a_loop_of_them_ends() {
    let source = "2001:db8::1".parse().unwrap();
    let destination = "2001:db8::2".parse().unwrap();
    let segment =
        &tcp("[2001:db8::1]:1".parse().unwrap(), "[2001:db8::2]:80".parse().unwrap(), 2, (1, 0), b"x")[40..];
    let hop_by_hop = [&[43, 0, 1, 4, 0, 0, 0, 0], &[51_u8, 0, 0, 0, 0, 0, 0, 0][..]].concat();
    let authentication = [6_u8, 1, 0, 0, 0, 0, 0, 1, 0, 0, 0, 1];
    let chain = [&hop_by_hop[..], &authentication, segment].concat();
    assert_eq!(outcome(&ip(source, destination, 0, &chain)), Counter::FrameTcp);
    let endless = [60_u8, 0, 0, 0, 0, 0, 0, 0].repeat(20);
    assert_eq!(outcome(&ip(source, destination, 60, &endless)), Counter::FrameMalformed);
    let atomic = [&[6_u8, 0, 0, 0, 0, 0, 0, 9][..], segment].concat();
    assert_eq!(outcome(&ip(source, destination, 44, &atomic)), Counter::FrameTcp);
    let first = [&[6_u8, 0, 0, 1, 0, 0, 0, 9][..], segment].concat();
    assert_eq!(outcome(&ip(source, destination, 44, &first)), Counter::FrameFragment);
}

#[test]
fn every_way_to_be_wrong_has_its_outcome() {
    let good = syn();
    let with = |at: usize, value: u8| {
        let mut bytes = good.clone();
        bytes[at] = value;
        outcome(&bytes)
    };
    assert_eq!(outcome(&good), Counter::FrameTcp);
    assert_eq!(outcome(&[]), Counter::FrameCut);
    assert_eq!(with(0, 0x55), Counter::FrameMalformed, "no IP version");
    assert_eq!(with(0, 0x44), Counter::FrameMalformed, "header length below 20");
    assert_eq!(with(0, 0x4f), Counter::FrameCut, "header length beyond the frame");
    assert_eq!(with(3, 19), Counter::FrameMalformed, "total length below the header");
    assert_eq!(with(6, 0x20), Counter::FrameFragment, "more fragments");
    assert_eq!(with(7, 1), Counter::FrameFragment, "a later fragment");
    assert_eq!(with(32, 0x40), Counter::FrameMalformed, "data offset below 5");
    assert_eq!(with(32, 0xf0), Counter::FrameMalformed, "data offset beyond the segment");
    assert_eq!(with(9, 17), Counter::FrameUdp);
    assert_eq!(with(9, 1), Counter::FrameIcmp);
    assert_eq!(with(9, 132), Counter::FrameOtherTransport);
    assert_eq!(outcome(&good[..30]), Counter::FrameCut);
    let mut offloaded = good.clone();
    offloaded[2..4].fill(0);
    assert_eq!(outcome(&offloaded), Counter::FrameTcp, "a total length of zero is offload");
}

proptest::proptest! {
    /// The law: every frame ends in exactly one outcome, so the outcomes sum to the frames.
    #[test]
    fn any_bytes_of_any_link_type_end_in_one_outcome(
        bytes in proptest::collection::vec(0_u8..=255, 0..200),
        number in proptest::sample::select(vec![0, 1, 12, 101, 108, 113, 127, 276, -1]),
    ) {
        let mut counters = Counters::default();
        let frame = Frame { time: crate::model::time::Timestamp(0), bytes: &bytes, length: 0, link: Link::from_number(number) };
        counters.count(decode(&frame).outcome);
        proptest::prop_assert_eq!(counters.outcomes(), 1);
    }

    #[test]
    fn any_change_to_a_good_packet_is_survived(at in 0_usize..44, value: u8, keep in 0_usize..=44) {
        let mut bytes = syn();
        bytes[at] = value;
        bytes.truncate(keep);
        let row = &crate::model::progress::COUNTERS[outcome(&bytes) as usize];
        proptest::prop_assert_eq!(row.kind, CounterKind::Outcome);
    }
}
