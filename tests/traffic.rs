//! The generator keeps its word: what it writes is what its plan stands for.

#![allow(
    clippy::expect_used,
    clippy::indexing_slicing,
    clippy::panic,
    clippy::unwrap_used,
    reason = "a test stops at the first surprise"
)]

use std::collections::{BTreeMap, HashSet};

use gatewatch::classify::database::Database;
use gatewatch::classify::geo::Geo;

#[allow(dead_code, reason = "shared by all tests")]
mod support;

use support::generator::conversation::{Course, DURATION_MAX_MICROS};
use support::generator::countries::SPACES;
use support::generator::expect::Expected;
use support::generator::frames::Link;
use support::generator::plan::{Plan, apportion};
use support::generator::schedule::Schedule;
use support::sensor::capture;

#[test]
fn the_founding_year_is_the_one_of_the_sentence() {
    let year = Expected::of(&Plan::named("2012").expect("a built-in plan"));
    assert_eq!((year.overseas, year.countries["US"], year.months.len()), (1_728_000, 1_086_912, 12));
    assert_eq!(year.overseas_by_month.iter().sum::<u64>(), 1_728_000);
    assert!(year.overseas_by_month.is_sorted(), "a rising trend: {:?}", year.overseas_by_month);
    let small = Expected::of(&Plan::named("2012-small").expect("a built-in plan"));
    assert_eq!((small.overseas, small.countries["US"]), (36_000, 22_644));
    assert_eq!(small.top, ("US".to_owned(), 0.629));
}

#[test]
fn the_conversations_are_those_of_the_plan() {
    let plan = Plan::named("demo").expect("a built-in plan");
    let expected = Expected::of(&plan);
    let mut schedule = Schedule::of(&plan);
    let mut countries: BTreeMap<String, u64> = BTreeMap::new();
    let (mut benign, mut blind, mut syns) = (0, 0, 0);
    for slot in schedule.slots() {
        for conversation in schedule.conversations(slot) {
            let attacks =
                conversation.exchanges.iter().filter(|exchange| exchange.attack.is_some()).count() as u64;
            match conversation.course {
                Course::LoneSyn => syns += 1,
                Course::Blind => blind += attacks,
                Course::Full if attacks == 0 => benign += conversation.exchanges.len() as u64,
                Course::Full => {
                    let home = SPACES.iter().find(|space| space.holds(conversation.client.ip()));
                    *countries.entry(home.expect("a known country").country.to_owned()).or_default() +=
                        attacks;
                }
            }
        }
    }
    assert_eq!(countries, expected.countries);
    assert_eq!((benign, blind, syns), (expected.benign, expected.not_provable, expected.forged_syns));
}

#[test]
fn hours_are_whole_packets_are_in_order_and_no_conversation_is_another() {
    let plan = Plan::named("demo").expect("a built-in plan");
    let mut schedule = Schedule::of(&plan);
    let mut last = 0;
    let mut openings = HashSet::new();
    for slot in schedule.slots().take(72) {
        for conversation in schedule.conversations(slot) {
            let packets = conversation.packets(&plan.shape);
            assert!(packets.last().expect("packets").0 - conversation.start < DURATION_MAX_MICROS);
            assert!(openings.insert(packets[0].1.clone()), "one SYN for each conversation");
        }
    }
    let mut schedule = Schedule::of(&plan);
    for slot in schedule.slots().take(72) {
        let start = schedule.months()[slot.month].start * 1_000_000 + slot.hour * 3_600_000_000;
        for (time, _) in schedule.packets(slot) {
            assert!(time >= last && (start..start + 3_600_000_000).contains(&time));
            last = time;
        }
    }
}

#[test]
fn a_capture_is_the_same_every_time() {
    let mut plan = Plan::named("demo").expect("a built-in plan");
    plan.attempts.retain(|code, _| code == "SE");
    (plan.noise.benign, plan.noise.forged_syns) = (10, 10);
    assert_eq!(capture(&plan, Link::Ethernet), capture(&plan, Link::Ethernet));
}

#[test]
fn parts_sum_to_the_whole() {
    for total in [0, 1, 7, 1_000, 1_728_000] {
        for weights in [vec![1], vec![1, 1, 1], vec![62, 68, 137], vec![0, 3, 0]] {
            assert_eq!(apportion(total, &weights).iter().sum::<u64>(), total);
        }
    }
}

#[test]
fn sources_are_where_the_embedded_database_puts_them() {
    let database = Database::embedded().expect("the embedded database");
    let mut geo = Geo::new(vec![database]);
    for space in SPACES {
        for (rank, six) in (0..20).flat_map(|rank| [(rank, false), (rank, true)]) {
            let address = space.source(rank, six);
            assert_eq!(geo.look_up(address).place.code(), space.country, "{address}");
        }
    }
}
