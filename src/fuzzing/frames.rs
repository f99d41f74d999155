//! Frames: each link type by itself, and the whole packet path with its books.

use std::net::SocketAddr;
use std::sync::Arc;

use crate::capture::{Lost, Sink};
use crate::decode::{Payload, decode, link};
use crate::fuzzing::conversations::DETECTOR;
use crate::fuzzing::input::Input;
use crate::handoff::{Outbox, Record, WhenFull, channel};
use crate::inspect::Inspector;
use crate::inspect::detector_cell::DetectorCell;
use crate::inspect::limits::limits;
use crate::model::frame::{Frame, Link};
use crate::model::progress::{Counter, Counters};
use crate::model::time::Timestamp;

/// Every link type that decode tells apart, and one that it does not read.
pub const LINKS: [Link; 9] = [
    Link::Ethernet,
    Link::Null,
    Link::Loop,
    Link::RawIp,
    Link::Ppp,
    Link::CiscoHdlc,
    Link::LinuxSll,
    Link::LinuxSll2,
    Link::Unread(147),
];

/// Memory of the packet path: little, so that its limits are reached.
const MEMORY_BYTES: usize = 2 << 20;
/// Records that are waited for: few, so that some are dropped.
const RECORDS: usize = 256;

fn of_number(number: u8) -> Link {
    LINKS[usize::from(number) % LINKS.len()]
}

/// One frame: link type, bytes. What it carried lies in it.
pub fn link(bytes: &[u8]) {
    let mut input = Input(bytes);
    let Some(link) = input.byte().map(of_number) else { return };
    let bytes = input.0;
    let frame = Frame { time: Timestamp(0), bytes, length: bytes.len() as u32, link };
    let decoded = decode(&frame);
    let within = |part: &[u8]| {
        let (whole, part) = (bytes.as_ptr_range(), part.as_ptr_range());
        assert!(part.is_empty() || whole.start <= part.start && part.end <= whole.end);
    };
    let same_family = |ends: (SocketAddr, SocketAddr)| assert_eq!(ends.0.is_ipv4(), ends.1.is_ipv4());
    match decoded.payload {
        Payload::Tcp(segment) => {
            within(segment.payload);
            same_family((segment.source, segment.destination));
        }
        Payload::Udp(datagram) => same_family((datagram.source, datagram.destination)),
        Payload::Fragment(fragment) => within(fragment.payload),
        Payload::Icmp(_) | Payload::Other => {}
    }
    _ = link::is_to_all(link, bytes);
}

/// The packet path: link type, step of time, bytes, again and again. Every frame ends in exactly one outcome.
pub fn packets(bytes: &[u8]) {
    let mut input = Input(bytes);
    let (sender, receiver) = channel(RECORDS);
    let outbox = Outbox::new(sender, 0, WhenFull::DropNewest);
    let mut inspector =
        Inspector::new(limits(MEMORY_BYTES), Arc::new(DetectorCell::new(Arc::clone(&DETECTOR))), outbox);
    let (mut counters, mut frames, mut micros) = (Counters::default(), 0, 1_338_508_800_000_000_i64);
    let mut take = |record: Record| {
        if let Record::Progress(progress) = record {
            counters.merge(&progress.counters);
        }
    };
    while let (Some(kind), Some(step)) = (input.byte(), input.byte()) {
        let Some(bytes) = input.piece() else { break };
        // From a millisecond to two hours, now and then back.
        let way = 1_000_i64 << (step & 31).min(23);
        micros += if step & 0xe0 == 0xe0 { -way } else { way };
        let now = Timestamp(micros);
        match kind {
            0xf0 => inspector.tick(Some(now)),
            0xf1 => inspector.stepped(now),
            0xf2 => inspector.down(way),
            0xf3 => inspector.lost(Lost { kernel: 1, interface: 2, undated: 3 }),
            0xf4 => inspector.observed(now, Timestamp(micros + way)),
            _ => {
                let link = of_number(kind);
                inspector.frame(&Frame { time: now, bytes, length: bytes.len() as u32, link });
                frames += 1;
            }
        }
        receiver.try_iter().for_each(|(_, record)| take(record));
    }
    // The end waits for its reader.
    let reader = std::thread::spawn(move || receiver.iter().map(|(_, record)| record).collect::<Vec<_>>());
    inspector.finish();
    drop(inspector);
    reader.join().expect("a reader").into_iter().for_each(take);
    assert_eq!(counters.value(Counter::FramesReceived), frames);
    assert_eq!(counters.outcomes(), frames, "every frame has exactly one outcome: {counters:?}");
}
