//! The whole packet path over the traffic of a plan: decode → stream → protocol → detect → hand-off, one worker.

#![allow(clippy::expect_used, reason = "a bench")]

use std::sync::Arc;

use divan::Bencher;
use divan::counter::{BytesCount, ItemsCount};
use gatewatch::capture::Sink;
use gatewatch::config::Settings;
use gatewatch::detect::Detector;
use gatewatch::handoff::{Outbox, WhenFull, channel};
use gatewatch::inspect::Inspector;
use gatewatch::inspect::detector_cell::DetectorCell;
use gatewatch::inspect::limits::limits;
use gatewatch::model::frame::{Frame, Link};
use gatewatch::model::time::Timestamp;

#[allow(dead_code, reason = "shared with the tests")]
#[path = "../tests/support/generator/mod.rs"]
mod generator;

use generator::plan::Plan;
use generator::schedule::Schedule;

fn main() {
    divan::main();
}

/// The packets of the demo month whose streams `keep` leaves in the plan.
fn packets(keep: impl FnOnce(&mut Plan)) -> Vec<(u64, Vec<u8>)> {
    let mut plan = Plan::named("demo").expect("a built-in plan");
    keep(&mut plan);
    let mut schedule = Schedule::of(&plan);
    let slots: Vec<_> = schedule.slots().collect();
    slots.into_iter().flat_map(|slot| schedule.packets(slot)).collect()
}

fn inspect(bencher: Bencher<'_, '_>, packets: &[(u64, Vec<u8>)]) {
    let detector = Detector::new(&Settings::default()).expect("the built-in rules compile");
    let detector = Arc::new(DetectorCell::new(Arc::new(detector)));
    let bytes: usize = packets.iter().map(|(_, packet)| packet.len()).sum();
    bencher
        .counter(ItemsCount::new(packets.len()))
        .counter(BytesCount::new(bytes))
        .with_inputs(|| {
            // Room for every record: what is measured is the path, not the reader at its end.
            let (sender, receiver) = channel(packets.len());
            let outbox = Outbox::new(sender, 0, WhenFull::DropNewest);
            (Inspector::new(limits(128 << 20), detector.clone(), outbox), receiver)
        })
        .bench_local_values(|(mut inspector, receiver)| {
            for (time, bytes) in packets {
                let (time, length) = (Timestamp(time.cast_signed()), bytes.len() as u32);
                inspector.frame(&Frame { time, bytes, length, link: Link::RawIp });
            }
            inspector.finish();
            (inspector, receiver)
        });
}

#[divan::bench(sample_count = 20)]
fn month_of_attacks_and_visitors(bencher: Bencher<'_, '_>) {
    inspect(bencher, &packets(|_| {}));
}

#[divan::bench(sample_count = 20)]
fn visitors_alone(bencher: Bencher<'_, '_>) {
    inspect(
        bencher,
        &packets(|plan| {
            plan.attempts.clear();
            (plan.noise.forged_requests, plan.noise.forged_syns) = (0, 0);
        }),
    );
}

#[divan::bench(sample_count = 20)]
fn forged_syns_alone(bencher: Bencher<'_, '_>) {
    inspect(
        bencher,
        &packets(|plan| {
            plan.attempts.clear();
            (plan.noise.benign, plan.noise.forged_requests, plan.noise.forged_syns) = (0, 0, 100_000);
        }),
    );
}
