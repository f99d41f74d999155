//! Cost of one frame through decode, flow table and reassembly: a SYN of a source never seen (budget:
//! 150 ns), alone and with contacts and floods counted, and data of an open conversation.

#![allow(
    missing_docs,
    clippy::unwrap_used,
    clippy::panic,
    clippy::indexing_slicing,
    clippy::missing_panics_doc,
    reason = "a bench"
)]

mod support;

use std::sync::Arc;

use divan::Bencher;
use divan::counter::ItemsCount;
use gatewatch::capture::Sink;
use gatewatch::config::Settings;
use gatewatch::decode::transport::Segment;
use gatewatch::decode::{Payload, decode};
use gatewatch::detect::Detector;
use gatewatch::handoff::{Outbox, WhenFull, channel};
use gatewatch::inspect::detector_cell::DetectorCell;
use gatewatch::inspect::{Inspector, limits};
use gatewatch::model::contact::Touched;
use gatewatch::model::frame::{Frame, Link};
use gatewatch::model::progress::Counters;
use gatewatch::model::stream::{Chunk, Side};
use gatewatch::model::time::Timestamp;
use gatewatch::stream::table::{FLOW_BYTES, Limits, Table};
use gatewatch::stream::{Consumer, Stall, View};

fn main() {
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
    let mut source = 0_u32;
    bencher.counter(ItemsCount::new(FRAMES)).bench_local(|| {
        for _ in 0..FRAMES {
            source = source.wrapping_add(0x9e37_79b1);
            bytes[26..30].copy_from_slice(&source.to_be_bytes());
            pass(&mut table, &mut counters, i64::from(source >> 20), &bytes);
        }
    });
}

/// A worker's whole packet path; whoever should read its records does not, so that each is built and refused.
fn inspector() -> Inspector {
    let detector = Detector::new(&Settings::default()).unwrap();
    let (sender, receiver) = channel(1);
    std::mem::forget(receiver);
    let outbox = Outbox::new(sender, 0, WhenFull::DropNewest);
    // As many conversations as above: a quarter of the limit is theirs.
    let memory = 60_000 * 4 * FLOW_BYTES;
    Inspector::new(limits(memory), Arc::new(DetectorCell::new(Arc::new(detector))), outbox)
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
    let mut number = 0_u32;
    bencher.counter(ItemsCount::new(FRAMES)).bench_local(|| {
        for _ in 0..FRAMES {
            number = number.wrapping_add(1);
            bytes[26..30].copy_from_slice(&number.wrapping_mul(0x9e37_79b1).to_be_bytes());
            send(&mut inspector, i64::from(number), &bytes);
        }
    });
}

/// SYNs of one source to a host each, as a sweep: each is told as a contact when it is given up.
#[divan::bench]
fn syn_of_a_sweep_on_the_whole_path(bencher: Bencher<'_, '_>) {
    let mut inspector = inspector();
    let mut bytes = support::ethernet(0, &support::tcp("198.51.100.2:4000", "203.0.113.10:80", 2, 7, &[]));
    let mut number = 0_u32;
    bencher.counter(ItemsCount::new(FRAMES)).bench_local(|| {
        for _ in 0..FRAMES {
            number = number.wrapping_add(1);
            bytes[30..34].copy_from_slice(&number.wrapping_mul(0x9e37_79b1).to_be_bytes());
            send(&mut inspector, i64::from(number), &bytes);
        }
    });
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
