//! The report folders of several sensors put together: what two of them saw counts once, to the unit, against one sensor that
//! saw everything.

#![allow(
    clippy::expect_used,
    clippy::indexing_slicing,
    clippy::panic,
    clippy::print_stderr,
    clippy::unwrap_used,
    reason = "a test stops at the first surprise and says what it skips"
)]

use std::collections::BTreeMap;
use std::fs;
use std::net::SocketAddr;

use pnet::packet::tcp::TcpFlags;
use serde_json::{Value, json};

#[allow(dead_code, reason = "shared by all tests")]
mod support;

use support::generator::capture::CaptureWriter;
use support::generator::conversation::Timed;
use support::generator::frames::{Link, Segment, ip_packet};
use support::generator::plan::Plan;
use support::generator::schedule::Schedule;
use support::sensor::{Desk, gatewatch};

const PERIOD: &str = "2026-10";
const PLAN: &str = r#"
seed = 78
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
DE = 60
US = 160
[kinds]
command = 1
sqli = 2
xss = 1
[noise]
benign = 60
forged_syns = 20
forged_requests = 2
[shape]
keep_alive_percent = 30
pipelined_percent = 40
ipv6_percent = 15
retransmitted_percent = 10
reordered_percent = 30
"#;
/// Ports that one source probes, one each 30 seconds over an hour's end: an incident told by several lines.
const PROBED: u64 = 60;

fn packets(plan: &Plan) -> Vec<Timed> {
    let mut schedule = Schedule::of(plan);
    let slots: Vec<_> = schedule.slots().collect();
    let mut packets: Vec<Timed> = slots.into_iter().flat_map(|slot| schedule.packets(slot)).collect();
    // 5 October 2026, 09:45 UTC, against the site.
    let begin = 1_791_193_500_000_000_u64;
    let site = |port| SocketAddr::new("203.0.113.10".parse().unwrap(), port);
    let client = SocketAddr::new("8.8.8.8".parse().unwrap(), 40_000);
    for number in 0..PROBED {
        let server = site(1_000 + number as u16);
        let segment = |from, to, flags, ack| {
            let seq = if ack == 0 { number as u32 * 1_000 + 7 } else { 0 };
            ip_packet(&Segment { from, to, seq, ack, flags, number: number as u16, data: b"" })
        };
        let at = begin + number * 30_000_000;
        packets.push((at, segment(client, server, TcpFlags::SYN, 0)));
        let ack = number as u32 * 1_000 + 8;
        packets.push((at + 900, segment(server, client, TcpFlags::RST | TcpFlags::ACK, ack)));
    }
    packets.sort_by_key(|(time, _)| *time);
    packets
}

fn ends(packet: &[u8]) -> (Vec<u8>, Vec<u8>) {
    let (from, to, tcp) = if packet[0] >> 4 == 4 {
        (&packet[12..16], &packet[16..20], &packet[20..])
    } else {
        (&packet[8..24], &packet[24..40], &packet[40..])
    };
    ([from, &tcp[..2]].concat(), [to, &tcp[2..4]].concat())
}

/// The end of a conversation that is not the site, address and port.
fn client(packet: &[u8]) -> Vec<u8> {
    let is_site =
        |end: &[u8]| end.starts_with(&[203, 0, 113]) || end.starts_with(&[0x20, 1, 0x0d, 0xb8, 0, 2]);
    let (from, to) = ends(packet);
    if is_site(&from) { to } else { from }
}

/// A number of a source below `of`, the same for all its conversations.
fn lot(packet: &[u8], of: u32) -> u32 {
    let client = client(packet);
    let source = &client[..client.len() - 2];
    let source = if source.len() == 16 { &source[..8] } else { source };
    source.iter().fold(7_u32, |sum, byte| sum.wrapping_mul(31).wrapping_add(u32::from(*byte))) % of
}

/// Captures of sensors, each replayed into a folder of its own.
struct Fleet {
    desk: Desk,
    settings: String,
    packets: Vec<Timed>,
}

impl Fleet {
    fn new() -> Self {
        let plan = Plan::parse(PLAN).expect("the plan");
        let desk = Desk::of(&plan);
        let settings = fs::read_to_string(desk.settings()).unwrap();
        Self { packets: packets(&plan), settings, desk }
    }

    /// A sensor that sees the packets that `sees` picks.
    fn sensor(&self, name: &str, sees: impl Fn(&Timed) -> bool) {
        let mut writer = CaptureWriter::begin(Vec::new(), Link::Ethernet).expect("memory");
        for packet in self.packets.iter().filter(|packet| sees(packet)) {
            writer.write_as(Link::Ethernet, packet).expect("memory");
        }
        let capture = self.desk.write(&format!("{name}.pcap"), &writer.end().expect("memory"));
        let report = format!(
            "\n[report]\nsensor = \"{name}\"\nformats = [\"json\"]\nperiods = [\"day\", \"month\"]\n"
        );
        fs::write(self.desk.settings(), format!("{}{report}", self.settings)).unwrap();
        self.desk.replay(name, &[&capture], b"").good();
    }

    fn asked(&self, names: &[&str], format: &str) -> String {
        let mut arguments: Vec<String> =
            ["report", "--month", PERIOD, "--format", format].map(str::to_owned).to_vec();
        for name in names {
            arguments.extend(["--from-dir".to_owned(), self.desk.path(name).display().to_string()]);
        }
        gatewatch(&arguments, b"").good().stdout
    }

    fn report(&self, names: &[&str]) -> Value {
        serde_json::from_str(&self.asked(names, "json")).expect("a report")
    }
}

/// What must be as if one sensor had seen everything.
fn counted(report: &Value) -> Value {
    let mut counted = BTreeMap::new();
    for part in ["sites", "sectors", "classes", "grades", "origins", "units", "campaigns", "labels"] {
        counted.insert(part, report[part].clone());
    }
    for unit in ["attempts", "sessions", "incidents", "sources", "campaigns"] {
        counted.insert(unit, report["totals"][unit].clone());
    }
    for part in ["attempts", "overseas_attempts", "top_country", "dominance", "agreement"] {
        counted.insert(part, report["headline"][part].clone());
    }
    counted.insert("interval", report["totals"]["interval"].clone());
    let steps = report["series"].as_array().unwrap().iter();
    counted.insert("series", steps.map(|step| json!([step["period"], step["attempts"]])).collect());
    json!(counted)
}

fn assert_same(merged: &Value, whole: &Value, what: &str) {
    let (merged, whole) = (counted(merged), counted(whole));
    for (part, truth) in whole.as_object().unwrap() {
        assert_eq!(&merged[part], truth, "{what}: {part}");
    }
}

#[test]
fn what_several_sensors_saw_counts_once_and_the_rest_adds_up() {
    let fleet = Fleet::new();
    fleet.sensor("whole", |_| true);
    let whole = fleet.report(&["whole"]);
    let attempts = whole["totals"]["attempts"].as_u64().unwrap();
    assert!(attempts > 240 + PROBED / 2, "{attempts}");
    assert!(whole["merged"].is_null());

    // Two taps of one link.
    fleet.sensor("again", |_| true);
    let merged = fleet.report(&["whole", "again"]);
    assert_same(&merged, &whole, "two taps");
    let told = &merged["merged"];
    assert_eq!((&told["duplicates"], &told["counted_twice"]), (&json!(attempts), &json!(0)), "{told}");
    assert_eq!((&told["unchecked"], &told["differences"]), (&json!([]), &json!(["settings"])));
    assert_eq!(merged["period"]["coverage"], whole["period"]["coverage"], "both observed all of it");
    let scaled = "/headline/overseas_monthly_mean_normalised";
    assert!(whole.pointer(scaled).is_some_and(Value::is_number), "{:#}", whole["headline"]);
    assert!(merged.pointer(scaled).is_some_and(Value::is_null), "by what time, where each observed its own?");

    // Two links: no source is on both.
    fleet.sensor("left", |(_, packet)| lot(packet, 3) == 0);
    fleet.sensor("right", |(_, packet)| lot(packet, 3) != 0);
    let merged = fleet.report(&["left", "right"]);
    assert_same(&merged, &whole, "two links");
    assert_eq!(merged["merged"]["duplicates"], 0);

    // A third of the sources on either alone, a third on both.
    fleet.sensor("up", |(_, packet)| lot(packet, 3) < 2);
    fleet.sensor("down", |(_, packet)| lot(packet, 3) > 0);
    for order in [["up", "down"], ["down", "up"]] {
        let merged = fleet.report(&order);
        assert_same(&merged, &whole, "overlapping links");
        let [up, down] = [0, 1].map(|at| merged["merged"]["sensors"][at]["attempts"].as_u64().unwrap());
        assert_eq!(merged["merged"]["duplicates"], up + down - attempts);
    }
    assert_same(&fleet.report(&["left", "up", "down", "right"]), &whole, "four sensors");
    let text = fleet.asked(&["up", "down"], "text");
    assert!(text.contains("Put together from 2 sensors: up, down."), "{text}");
}

#[test]
fn sensors_that_overlap_in_time_count_what_both_saw_once() {
    let fleet = Fleet::new();
    fleet.sensor("whole", |_| true);
    let whole = fleet.report(&["whole"]);
    // Whole conversations, by the time of their first packet: the first 20 days, and all from the tenth on.
    let day = 86_400_000_000;
    let begin = fleet.packets[0].0;
    let mut starts: BTreeMap<Vec<u8>, u64> = BTreeMap::new();
    for (time, packet) in &fleet.packets {
        let (from, to) = ends(packet);
        let both = if from < to { [from, to] } else { [to, from] };
        starts.entry(both.concat()).or_insert(*time);
    }
    let started = |packet: &[u8]| {
        let (from, to) = ends(packet);
        let both = if from < to { [from, to] } else { [to, from] };
        starts[&both.concat()]
    };
    fleet.sensor("early", |(_, packet)| started(packet) < begin + 20 * day);
    fleet.sensor("late", |(_, packet)| started(packet) >= begin + 10 * day);
    let merged = fleet.report(&["early", "late"]);
    for part in ["attempts", "sessions", "incidents", "sources", "campaigns"] {
        assert_eq!(merged["totals"][part], whole["totals"][part], "{part}");
    }
    for part in ["sites", "sectors", "classes", "grades", "origins"] {
        assert_eq!(merged[part], whole[part], "{part}");
    }
    let observed = |report: &Value| report["period"]["coverage"]["seconds_observed"].as_i64().unwrap();
    assert!(observed(&merged) < observed(&whole) / 2, "what one did not observe is a hole");
}

#[test]
fn where_event_lines_are_gone_the_report_says_what_it_could_not_compare() {
    let fleet = Fleet::new();
    fleet.sensor("one", |_| true);
    fleet.sensor("two", |_| true);
    let whole = fleet.report(&["one"]);
    let day = fleet.desk.path("two").join("report-2026-10-05.json");
    let of_day = support::sensor::read_json(&day)["totals"]["attempts"].as_u64().unwrap();
    assert!(of_day > 0);
    fs::remove_file(fleet.desk.path("two").join("events-2026-10-05.jsonl")).unwrap();
    let merged = fleet.report(&["one", "two"]);
    let attempts = whole["totals"]["attempts"].as_u64().unwrap();
    assert_eq!(merged["totals"]["attempts"], attempts + of_day, "what cannot be compared is not guessed");
    assert_eq!(
        merged["merged"]["unchecked"],
        json!([{"period": "2026-10-05", "sensor": "two", "attempts": of_day}])
    );
    assert_eq!(merged["merged"]["counted_twice"], of_day, "the identities tell how many they are");
    let text = fleet.asked(&["one", "two"], "text").split_whitespace().collect::<Vec<_>>().join(" ");
    assert!(text.contains("so counted twice") && text.contains("event lines are gone"), "{text}");
}

#[test]
fn a_folder_without_a_store_is_named() {
    let fleet = Fleet::new();
    fleet.sensor("one", |(_, packet)| lot(packet, 9) == 0);
    let empty = fleet.desk.path("empty");
    fs::create_dir_all(&empty).unwrap();
    let folders = [fleet.desk.path("one"), empty].map(|folder| folder.display().to_string());
    let ended =
        gatewatch(&["report", "--month", PERIOD, "--from-dir", &folders[0], "--from-dir", &folders[1]], b"");
    assert_eq!(ended.code, Some(66));
    assert!(ended.complaint().contains("empty: holds no gatewatch.sqlite"), "{}", ended.stderr);
}
