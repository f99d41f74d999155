//! Cost of one frame through decode, flow table and reassembly: a SYN of a source never seen (budget:
//! 150 ns), alone and with contacts and floods counted, and data of an open conversation.

#![allow(
    missing_docs,
    clippy::unwrap_used,
    clippy::panic,
    clippy::indexing_slicing,
    clippy::missing_panics_doc,
    clippy::print_stdout,
    reason = "a bench"
)]

mod support;

use std::sync::Arc;

use divan::counter::ItemsCount;
use divan::{AllocProfiler, Bencher};
use gatewatch::capture::Sink;
use gatewatch::config::Settings;
use gatewatch::decode::transport::Segment;
use gatewatch::decode::{Payload, decode};
use gatewatch::detect::Detector;
use gatewatch::handoff::{Outbox, WhenFull, channel};
use gatewatch::inspect::Inspector;
use gatewatch::inspect::detector_cell::DetectorCell;
use gatewatch::inspect::limits::limits;
use gatewatch::model::contact::{Contact, Touched};
use gatewatch::model::frame::{Frame, Link};
use gatewatch::model::progress::Counters;
use gatewatch::model::stream::{Chunk, Side};
use gatewatch::model::time::Timestamp;
use gatewatch::stream::datagrams::SLOT_BYTES;
use gatewatch::stream::table::{FLOW_BYTES, Limits, Table};
use gatewatch::stream::{Consumer, Stall, View};

/// Counts allocations: each bench tells how many there were, and a clean packet must cost none.
#[global_allocator]
static ALLOCATIONS: AllocProfiler = AllocProfiler::system();

fn main() {
    println!(
        "memory: {FLOW_BYTES} bytes a TCP conversation, {SLOT_BYTES} a UDP conversation, {} a contact on its way to the classifier",
        size_of::<Contact>()
    );
    divan::main();
}

/// Takes the bytes and does nothing with them.
struct Nobody;

impl Consumer for Nobody {
    type State = ();
    fn touched(&mut self, _: &View, (): &mut (), how: Touched) {
        divan::black_box(how);
    }
    fn stray(&mut self, _: Timestamp, _: &Segment<'_>) {}
    fn stalled(&mut self, _: &View, (): &mut (), _: Stall) {}
    fn sender_of(&self, _: &[u8]) -> Option<Side> {
        None
    }
    fn data(&mut self, _: &View, (): &mut (), _: Side, chunk: Chunk<'_>) {
        divan::black_box(chunk.bytes);
    }
    fn gap(&mut self, _: &View, (): &mut (), _: Side, _: u64) {}
    fn acknowledged(&mut self, _: &View, (): &mut ()) {}
    fn closed(&mut self, _: &View, (): &mut (), _: Side) {}
    fn ended(&mut self, _: &View, (): &mut ()) {}
    fn held((): &()) -> usize {
        0
    }
}

/// Frames in one sample.
const FRAMES: usize = 10_000;

fn pass(table: &mut Table<Nobody>, counters: &mut Counters, time: i64, bytes: &[u8]) {
    let frame = Frame { time: Timestamp(time), bytes, length: bytes.len() as u32, link: Link::Ethernet };
    if let Payload::Tcp(segment) = decode(&frame).payload {
        table.segment(frame.time, &segment, &mut Nobody, counters);
    }
}

/// SYNs of sources never seen, into a table that is full: each one also forgets another.
#[divan::bench(args = [60_000])]
fn syn_of_a_new_source(bencher: Bencher<'_, '_>, flows_max: usize) {
    let mut table = Table::new(Limits { flows_max, held_max_bytes: 1 << 20 });
    let mut counters = Counters::default();
    let mut bytes = support::ethernet(0, &support::tcp("198.51.100.2:4000", "203.0.113.10:80", 2, 7, &[]));
    let mut number = 0_u32;
    let mut more = |frames: usize| {
        for _ in 0..frames {
            number = number.wrapping_add(1);
            bytes[26..30].copy_from_slice(&number.wrapping_mul(0x9e37_79b1).to_be_bytes());
            pass(&mut table, &mut counters, i64::from(number), &bytes);
        }
    };
    more(flows_max);
    bencher.counter(ItemsCount::new(FRAMES)).bench_local(|| more(FRAMES));
}

/// Conversations of the tables, as many as above.
const FLOWS: usize = 60_000;

/// A worker's whole packet path; whoever should read its records does not, so that each is built and refused.
fn inspector() -> Inspector {
    let detector = Detector::new(&Settings::default()).unwrap();
    let (sender, receiver) = channel(1);
    std::mem::forget(receiver);
    let outbox = Outbox::new(sender, 0, WhenFull::DropNewest);
    let mut limits = limits(128 << 20);
    limits.streams.flows_max = FLOWS;
    limits.datagrams_max = FLOWS;
    Inspector::new(limits, Arc::new(DetectorCell::new(Arc::new(detector))), outbox)
}

fn send(inspector: &mut Inspector, time: i64, bytes: &[u8]) {
    let length = bytes.len() as u32;
    inspector.frame(&Frame { time: Timestamp(time), bytes, length, link: Link::Ethernet });
}

/// The same SYNs on the whole path, as a flood of one victim: counted, and told by no contact.
#[divan::bench]
fn syn_of_a_flood_on_the_whole_path(bencher: Bencher<'_, '_>) {
    let mut inspector = inspector();
    let mut bytes = support::ethernet(0, &support::tcp("198.51.100.2:4000", "203.0.113.10:80", 2, 7, &[]));
    frames_that_differ(bencher, &mut inspector, &mut bytes, 26);
}

/// SYNs of one source to a host each, as a sweep: each is told as a contact when it is given up.
#[divan::bench]
fn syn_of_a_sweep_on_the_whole_path(bencher: Bencher<'_, '_>) {
    let mut inspector = inspector();
    let mut bytes = support::ethernet(0, &support::tcp("198.51.100.2:4000", "203.0.113.10:80", 2, 7, &[]));
    frames_that_differ(bencher, &mut inspector, &mut bytes, 30);
}

/// Datagrams of as many sources to one port that nobody answers. They are no text: that would be judged as one.
#[divan::bench]
fn udp_of_a_flood_on_the_whole_path(bencher: Bencher<'_, '_>) {
    let mut inspector = inspector();
    let mut bytes =
        support::ethernet(0, &support::udp("198.51.100.2:4000", "203.0.113.10:9999", &[0x81; 64]));
    frames_that_differ(bencher, &mut inspector, &mut bytes, 26);
}

/// Datagrams of 1,000 open conversations, both ways.
#[divan::bench]
fn udp_of_open_conversations_on_the_whole_path(bencher: Bencher<'_, '_>) {
    let mut inspector = inspector();
    let there = support::ethernet(0, &support::udp("10.0.0.2:4000", "203.0.113.10:9999", &[b'x'; 500]));
    let back = support::ethernet(0, &support::udp("203.0.113.10:9999", "10.0.0.2:4000", &[b'x'; 500]));
    let mut frames = [(there, 26), (back, 30)];
    let mut number = 0_u32;
    let mut more = || {
        for _ in 0..FRAMES {
            let (bytes, at) = &mut frames[number as usize % 2];
            bytes[*at..*at + 4].copy_from_slice(&(0x0a00_0000 | (number / 2 % 1_000)).to_be_bytes());
            number = number.wrapping_add(1);
            send(&mut inspector, i64::from(number), bytes);
        }
    };
    more();
    bencher.counter(ItemsCount::new(FRAMES)).bench_local(more);
}

/// Segments of 500 bytes of 1,000 conversations whose handshake was seen and whose protocol nobody knows.
#[divan::bench]
fn data_of_open_conversations_on_the_whole_path(bencher: Bencher<'_, '_>) {
    let mut inspector = inspector();
    let [client, server] = ["10.0.0.2:4000", "203.0.113.10:9999"];
    let mut syn = support::ethernet(0, &support::tcp(client, server, 2, 7, &[]));
    let mut answer = support::ethernet(0, &support::tcp(server, client, 0x12, 9, &[]));
    let mut data = support::ethernet(0, &support::tcp(client, server, 0x10, 8, &[b'x'; 500]));
    answer[42..46].copy_from_slice(&8_u32.to_be_bytes());
    data[42..46].copy_from_slice(&10_u32.to_be_bytes());
    for number in 0..1_000_u32 {
        let address = (0x0a00_0000 | number).to_be_bytes();
        syn[26..30].copy_from_slice(&address);
        answer[30..34].copy_from_slice(&address);
        send(&mut inspector, 0, &syn);
        send(&mut inspector, 0, &answer);
    }
    let mut number = 0_u32;
    let mut more = || {
        for _ in 0..FRAMES {
            data[26..30].copy_from_slice(&(0x0a00_0000 | (number % 1_000)).to_be_bytes());
            data[38..42].copy_from_slice(&(8 + number / 1_000 * 500).to_be_bytes());
            number = number.wrapping_add(1);
            send(&mut inspector, i64::from(number), &data);
        }
    };
    more();
    bencher.counter(ItemsCount::new(FRAMES)).bench_local(more);
}

/// Frames with another address at that place each, once the tables are full.
fn frames_that_differ(bencher: Bencher<'_, '_>, inspector: &mut Inspector, bytes: &mut [u8], at: usize) {
    let mut number = 0_u32;
    let mut more = |frames: usize| {
        for _ in 0..frames {
            number = number.wrapping_add(1);
            bytes[at..at + 4].copy_from_slice(&number.wrapping_mul(0x9e37_79b1).to_be_bytes());
            send(inspector, i64::from(number), bytes);
        }
    };
    more(FLOWS);
    bencher.counter(ItemsCount::new(FRAMES)).bench_local(|| more(FRAMES));
}

#[divan::bench(args = [1, 10_000])]
fn data_of_open_conversations(bencher: Bencher<'_, '_>, conversations: u32) {
    let mut table = Table::new(Limits { flows_max: 60_000, held_max_bytes: 1 << 20 });
    let mut counters = Counters::default();
    let data = vec![b'x'; 500];
    let mut bytes =
        support::ethernet(0, &support::tcp("198.51.100.2:4000", "203.0.113.10:80", 0x10, 0, &data));
    let mut sequence = 0_u32;
    bencher.counter(ItemsCount::new(FRAMES)).bench_local(|| {
        for at in 0..FRAMES as u32 {
            if at % conversations == 0 {
                sequence = sequence.wrapping_add(500);
            }
            let source = (at % conversations) | 0x0a00_0000;
            bytes[26..30].copy_from_slice(&source.to_be_bytes());
            bytes[38..42].copy_from_slice(&sequence.to_be_bytes());
            pass(&mut table, &mut counters, 0, &bytes);
        }
    });
}
