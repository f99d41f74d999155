//! Cost of one frame from its first byte to the transport header.

#![allow(
    missing_docs,
    clippy::unwrap_used,
    clippy::panic,
    clippy::indexing_slicing,
    clippy::missing_panics_doc,
    reason = "a bench"
)]

mod support;

use divan::Bencher;
use divan::counter::ItemsCount;
use gatewatch::decode::decode;
use gatewatch::model::frame::{Frame, Link};
use gatewatch::model::time::Timestamp;

fn main() {
    divan::main();
}

/// Frames decoded in one sample.
const FRAMES: usize = 1_000;

#[divan::bench(args = ["syn", "syn ipv6", "data 1400", "vlan"])]
fn frame(bencher: Bencher<'_, '_>, kind: &str) {
    let client = if kind == "syn ipv6" { "[2001:db8::1]:4000" } else { "198.51.100.2:4000" };
    let server = if kind == "syn ipv6" { "[2001:db8::2]:80" } else { "203.0.113.10:80" };
    let data = if kind == "data 1400" { vec![b'x'; 1_400] } else { Vec::new() };
    let tags = usize::from(kind == "vlan");
    let bytes = support::ethernet(tags, &support::tcp(client, server, 2, 7, &data));
    let frame = Frame { time: Timestamp(0), bytes: &bytes, length: bytes.len() as u32, link: Link::Ethernet };
    bencher.counter(ItemsCount::new(FRAMES)).bench(|| {
        for _ in 0..FRAMES {
            divan::black_box(decode(divan::black_box(&frame)));
        }
    });
}
