//! Cost of an origin in the embedded database. Budgets: 30 ns for a source seen lately, 400 ns for a new one.

#![allow(
    missing_docs,
    clippy::unwrap_used,
    clippy::panic,
    clippy::indexing_slicing,
    clippy::missing_panics_doc,
    reason = "a bench"
)]

use std::fmt::Write;
use std::net::{IpAddr, Ipv4Addr};

use divan::Bencher;
use divan::counter::ItemsCount;
use gatewatch::classify::database::Database;
use gatewatch::classify::geo::Geo;
use gatewatch::classify::infrastructure::Lists;
use gatewatch::model::origin::Infrastructure;
use gatewatch::model::place::SourceKey;

fn main() {
    divan::main();
}

/// Look-ups in one sample.
const LOOK_UPS: u32 = 10_000;

fn geo() -> Geo {
    Geo::new(vec![Database::embedded().unwrap()])
}

/// Two databases, and a million networks in a list.
fn full() -> Geo {
    let mut lists = Lists::default();
    let mut text = String::new();
    for number in 0..1_000_000 {
        let _ = writeln!(text, "{}", address(number));
    }
    lists.add(Infrastructure::Tor, &text).unwrap();
    Geo::new(vec![Database::embedded().unwrap(), Database::embedded().unwrap()]).with_lists(lists.sorted())
}

/// Addresses spread over all of IPv4.
fn address(number: u32) -> IpAddr {
    Ipv4Addr::from(number.wrapping_mul(0x9e37_79b1)).into()
}

#[divan::bench(args = [100, 10_000])]
fn hot(bencher: Bencher<'_, '_>, sources: u32) {
    let mut geo = geo();
    let keys: Vec<SourceKey> = (0..sources).map(|number| SourceKey::of(address(number))).collect();
    bencher.counter(ItemsCount::new(LOOK_UPS)).bench_local(|| {
        for key in keys.iter().cycle().take(LOOK_UPS as usize) {
            divan::black_box(geo.origin(divan::black_box(*key)));
        }
    });
}

/// With the embedded database alone, and with a second opinion and a full list.
#[divan::bench(args = ["alone", "full"])]
fn cold(bencher: Bencher<'_, '_>, with: &str) {
    let mut geo = if with == "full" { full() } else { geo() };
    let mut number = 0;
    bencher.counter(ItemsCount::new(LOOK_UPS)).bench_local(|| {
        for _ in 0..LOOK_UPS {
            number += 1;
            divan::black_box(geo.origin(SourceKey::of(address(number))));
        }
    });
}
