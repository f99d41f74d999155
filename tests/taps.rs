//! What a tap does to traffic: it shows frames twice, shows one direction only, begins late, loses some. What is counted
//! must be exact, or say how far it may be off.

#![allow(
    clippy::expect_used,
    clippy::indexing_slicing,
    clippy::panic,
    clippy::print_stderr,
    clippy::unwrap_used,
    reason = "a test stops at the first surprise and says what it skips"
)]

use serde_json::Value;

#[allow(dead_code, reason = "shared by all tests")]
mod support;

use support::generator::capture::CaptureWriter;
use support::generator::conversation::Timed;
use support::generator::frames::Link;
use support::generator::plan::Plan;
use support::generator::random::Random;
use support::generator::schedule::Schedule;
use support::sensor::{Desk, gatewatch};

const PERIOD: &str = "2026-10";
const PLAN: &str = r#"
seed = 77
from = [2026, 10]
trend = [1]
home = "CN"
[[site]]
name = "www.town.example"
v4 = "203.0.113.10"
v6 = "2001:db8:2::10"
weight = 1
[attempts]
CN = 20
DE = 40
US = 140
[kinds]
command = 1
sqli = 2
xss = 1
[noise]
benign = 100
forged_syns = 60
forged_requests = 0
[shape]
keep_alive_percent = 30
pipelined_percent = 40
ipv6_percent = 15
retransmitted_percent = 10
reordered_percent = 30
"#;
const ATTEMPTS: u64 = 200;

fn plan() -> Plan {
    Plan::parse(PLAN).expect("the plan")
}

fn packets(plan: &Plan) -> Vec<Timed> {
    let mut schedule = Schedule::of(plan);
    let slots: Vec<_> = schedule.slots().collect();
    slots.into_iter().flat_map(|slot| schedule.packets(slot)).collect()
}

/// A capture of packets, each behind a header of its own link.
fn written<'p>(packets: impl IntoIterator<Item = (Link, &'p Timed)>) -> Vec<u8> {
    let mut writer = CaptureWriter::begin(Vec::new(), Link::Ethernet).expect("memory");
    for (link, packet) in packets {
        writer.write_as(link, packet).expect("memory");
    }
    writer.end().expect("memory")
}

fn plain(packets: &[Timed]) -> Vec<u8> {
    written(packets.iter().map(|packet| (Link::Ethernet, packet)))
}

/// Replays a capture into an empty folder; gives the report of the month.
fn replayed(desk: &Desk, name: &str, capture: &[u8]) -> Value {
    let file = desk.write(&format!("{name}.pcap"), capture);
    desk.replay(name, &[&file], b"").good();
    desk.report(name, PERIOD)
}

/// What must be the same however often the packets were seen.
fn counted(report: &Value) -> Value {
    let parts = ["headline", "sites", "origins", "sectors", "classes", "grades"];
    let mut counted: serde_json::Map<_, _> =
        parts.iter().map(|part| ((*part).to_owned(), report[*part].clone())).collect();
    for unit in ["attempts", "sessions", "incidents", "sources", "interval"] {
        counted.insert(unit.to_owned(), report["totals"][unit].clone());
    }
    // By observed time, of which two captures that are a second apart have a second more.
    counted["headline"].as_object_mut().expect("an object").remove("overseas_monthly_mean_normalised");
    counted.into()
}

fn grade(report: &Value, id: &str) -> u64 {
    let rows = report["grades"].as_array().expect("a table");
    rows.iter().find(|row| row["id"] == id).and_then(|row| row["attempts"].as_u64()).expect("a row")
}

/// IP header length and the TCP header of a packet.
fn tcp(packet: &[u8]) -> &[u8] {
    if packet[0] >> 4 == 4 { &packet[20..] } else { &packet[40..] }
}

fn is_from_client(packet: &[u8]) -> bool {
    tcp(packet)[2..4] == [0, 80]
}

fn has_syn(packet: &[u8]) -> bool {
    tcp(packet)[13] & 2 != 0
}

fn has_data(packet: &[u8]) -> bool {
    let tcp = tcp(packet);
    tcp.len() > usize::from(tcp[12] >> 4) * 4
}

/// The same packets later (or earlier) by `by` microseconds.
fn moved(packets: &[Timed], by: i64) -> Vec<Timed> {
    packets.iter().map(|(time, packet)| (time.checked_add_signed(by).unwrap(), packet.clone())).collect()
}

#[test]
fn frames_seen_twice_in_one_capture_count_once() {
    let desk = Desk::of(&plan());
    let packets = packets(&plan());
    let once = counted(&replayed(&desk, "once", &plain(&packets)));
    assert_eq!(once["attempts"], ATTEMPTS);
    // A trunk port shows each frame with its tag and without.
    let tagged = packets.iter().flat_map(|packet| [(Link::Ethernet, packet), (Link::Vlan, packet)]);
    assert_eq!(counted(&replayed(&desk, "tagged", &written(tagged))), once);
    // Two interfaces of one gateway: a frame comes in at one and leaves by the other.
    for (name, delay) in [("at-once", 0), ("microseconds", 7), ("milliseconds", 4_000)] {
        let mut twice: Vec<Timed> = packets.iter().cloned().chain(moved(&packets, delay)).collect();
        twice.sort_by_key(|(time, _)| *time);
        assert_eq!(counted(&replayed(&desk, name, &plain(&twice))), once, "{name}");
    }
}

#[test]
fn two_captures_whose_clocks_differ_by_up_to_a_second_count_once() {
    let desk = Desk::of(&plan());
    let packets = packets(&plan());
    let first = desk.write("first.pcap", &plain(&packets));
    desk.replay("once", &[&first], b"").good();
    let once = counted(&desk.report("once", PERIOD));
    for (name, by) in [("late", 1_000_000), ("early", -1_000_000), ("little", 350_000), ("same", 1)] {
        let tagged = moved(&packets, by);
        let tagged = written(tagged.iter().map(|packet| (Link::Vlan, packet)));
        let second = desk.write(&format!("{name}.pcap"), &tagged);
        let together = format!("{name}-together");
        desk.replay(&together, &[&first, &second], b"").good();
        assert_eq!(counted(&desk.report(&together, PERIOD)), once, "{name}, merged");
        // One after the other: two sensors whose captures are read on two days.
        let apart = format!("{name}-apart");
        desk.replay(&apart, &[&first], b"").good();
        desk.replay(&apart, &[&second], b"").good();
        let corrected = format!("{PERIOD}.c2");
        assert_eq!(counted(&desk.report(&apart, &corrected)), once, "{name}, one after the other");
        assert_eq!(desk.events(&apart).len() as u64, ATTEMPTS, "{name}");
        let folder = desk.path(&apart).display().to_string();
        gatewatch(&["verify", &folder], b"").good();
    }
}

#[test]
fn one_direction_alone_is_e0_and_says_so() {
    let mut plan = plan();
    // Of a conversation that is picked up at the second segment of a request the first one is unknown.
    plan.shape.reordered_percent = 0;
    let desk = Desk::of(&plan);
    let packets = packets(&plan);
    let keep = |keep: fn(&[u8]) -> bool| {
        let kept: Vec<Timed> = packets.iter().filter(|(_, packet)| keep(packet)).cloned().collect();
        plain(&kept)
    };
    let client = replayed(&desk, "client", &keep(is_from_client));
    assert_eq!((grade(&client, "E0"), client["totals"]["attempts"].as_u64()), (ATTEMPTS, Some(ATTEMPTS)));
    assert_eq!(client["counters"]["attempts_one_sided"], ATTEMPTS);
    assert_eq!(client["headline"]["attempts"], 0, "not provable, so not in the headline");
    assert!(desk.events("client").iter().all(|event| event["gatewatch"]["one_sided"] == true));
    let server = replayed(&desk, "server", &keep(|packet| !is_from_client(packet)));
    assert_eq!(server["totals"]["attempts"], 0, "replies are no attempts");
    // Picked up after the handshake, both directions: what the client acknowledged proves where it is.
    let midway = replayed(&desk, "midway", &keep(|packet| !has_syn(packet)));
    assert_eq!(grade(&midway, "E2"), ATTEMPTS);
    assert_eq!(midway["counters"].get("attempts_one_sided"), None);
    assert!(desk.events("midway").iter().all(|event| event["gatewatch"].get("one_sided").is_none()));
    let whole = replayed(&desk, "whole", &plain(&packets));
    assert_eq!(grade(&whole, "E2"), ATTEMPTS, "and a flood of forged SYNs changes nothing");
    assert_eq!(whole["counters"].get("attempts_one_sided"), None);
}

/// Loses `percent` of the packets that `may_be_lost` picks.
fn with_losses(packets: &[Timed], percent: u64, seed: u64, may_be_lost: fn(&[u8]) -> bool) -> Vec<Timed> {
    let mut random = Random::keyed(&[seed, percent]);
    packets.iter().filter(|(_, packet)| !(may_be_lost(packet) && random.chance(percent))).cloned().collect()
}

#[test]
fn what_a_tap_lost_before_the_capture_shows_in_the_interval() {
    let mut plan = plan();
    for count in plan.attempts.values_mut() {
        *count *= 10;
    }
    plan.noise.benign *= 10;
    let truth = ATTEMPTS * 10;
    let desk = Desk::of(&plan);
    let settings = std::fs::read_to_string(desk.settings()).expect("settings");
    let settings =
        format!("{settings}\n[report]\nformats = [\"json\"]\nperiods = [\"month\"]\nevents = false\n");
    std::fs::write(desk.settings(), settings).expect("settings");
    let packets = packets(&plan);
    let mut misses = Vec::new();
    for percent in [1, 5, 10] {
        for seed in 1..=3 {
            for (kind, may_be_lost) in [("data", has_data as fn(&[u8]) -> bool), ("any", |_| true)] {
                let name = format!("{kind}-{percent}-{seed}");
                let report =
                    replayed(&desk, &name, &plain(&with_losses(&packets, percent, seed, may_be_lost)));
                let [low, high] =
                    [0, 1].map(|at| report["totals"]["interval"][at].as_u64().expect("an interval"));
                let attempts = report["totals"]["attempts"].as_u64().expect("a total");
                let (seen, gaps) = (&report["counters"]["acks_seen"], &report["counters"]["acks_of_gaps"]);
                eprintln!(
                    "{name}: {attempts} of {truth}, [{low}, {high}], {gaps} of {seen} acknowledgements"
                );
                assert_eq!(low, attempts);
                assert!(high < truth * 23 / 20, "{name}: an interval that says nothing: up to {high}");
                if !(low..=high).contains(&truth) {
                    misses.push(name);
                }
            }
        }
    }
    assert!(misses.is_empty(), "{truth} is not within: {misses:?}");
}
