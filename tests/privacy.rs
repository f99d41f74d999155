//! What is written of addresses: nothing that tells them, where the settings say so; and the counts stay.

#![allow(
    clippy::expect_used,
    clippy::indexing_slicing,
    clippy::panic,
    clippy::print_stderr,
    clippy::unwrap_used,
    reason = "a test stops at the first surprise and says what it skips"
)]

use std::collections::BTreeSet;
use std::fs;

use serde_json::Value;

#[allow(dead_code, reason = "shared by all tests")]
mod support;

use support::generator::frames::Link;
use support::generator::plan::Plan;
use support::sensor::{Desk, capture, files, gatewatch};

const PLAN: &str = r#"
seed = 77
from = [2026, 8]
trend = [1, 1]
home = "CN"
[[site]]
name = "www.town.example"
v4 = "203.0.113.10"
v6 = "2001:db8:2::10"
weight = 1
[attempts]
CN = 10
DE = 40
US = 60
[kinds]
sqli = 2
traversal = 1
[noise]
benign = 10
forged_syns = 5
forged_requests = 6
[shape]
keep_alive_percent = 30
pipelined_percent = 40
ipv6_percent = 20
retransmitted_percent = 5
reordered_percent = 10
"#;

/// Replays the two months with addresses written in that way.
fn replayed(desk: &Desk, addresses: &str) -> Value {
    let plan = Plan::parse(PLAN).expect("the plan");
    let months = desk.write("months.pcap", &capture(&plan, Link::Ethernet));
    fs::write(
        desk.settings(),
        format!(
            "{}\n[privacy]\naddresses = \"{addresses}\"\n",
            Plan::parse(PLAN).expect("the plan").settings()
        ),
    )
    .unwrap();
    desk.replay(addresses, &[&months], b"").good();
    desk.report(addresses, "2026")
}

fn sources(desk: &Desk, output: &str) -> BTreeSet<String> {
    desk.events(output).iter().map(|event| event["src_ip"].as_str().unwrap().to_owned()).collect()
}

#[test]
fn no_file_tells_an_address_and_every_count_stays() {
    let desk = Desk::of(&Plan::parse(PLAN).expect("the plan"));
    let full = replayed(&desk, "full");
    let clients = sources(&desk, "full");
    assert!(clients.len() > 20);
    let whole_of = |address: &str| address.ends_with(".0");
    for addresses in ["truncate", "pseudonym"] {
        let hidden = replayed(&desk, addresses);
        for part in ["classes", "grades", "sites", "sectors"] {
            let attempts = |report: &Value| -> Vec<(Value, Value, Value)> {
                let rows = report[part].as_array().unwrap().iter();
                rows.map(|row| (row["id"].clone(), row["attempts"].clone(), row["incidents"].clone()))
                    .collect()
            };
            assert_eq!(attempts(&hidden), attempts(&full), "{addresses} {part}");
        }
        assert_eq!(hidden["headline"]["overseas_attempts"], full["headline"]["overseas_attempts"]);
        assert_eq!(
            (hidden["addresses"].as_str(), full["addresses"].as_str()),
            (Some(addresses), Some("full"))
        );
        // Every file, the store among them: no client's address stands in any.
        for path in files(&desk.path(addresses)) {
            let bytes = fs::read(&path).unwrap();
            for client in clients.iter().filter(|client| !whole_of(client)) {
                // The /48 of an IPv6 address is a text that begins like it; the whole address must not be there.
                let found = memchr::memmem::find_iter(&bytes, client.as_bytes()).any(|at| {
                    let ends = bytes.get(at + client.len()).is_none_or(|next| !next.is_ascii_hexdigit());
                    let begins = at == 0 || !bytes[at - 1].is_ascii_digit();
                    ends && begins
                });
                assert!(!found, "{client} in {}", path.display());
            }
        }
        gatewatch(&["verify", &desk.path(addresses).display().to_string()], b"").good();
    }
}

#[test]
fn pseudonyms_tell_sources_apart_within_a_month_and_explain_finds_them() {
    let desk = Desk::of(&Plan::parse(PLAN).expect("the plan"));
    replayed(&desk, "full");
    replayed(&desk, "pseudonym");
    for month in ["2026-08", "2026-09"] {
        let count = |output: &str| desk.report(output, month)["totals"]["sources"].as_u64().unwrap();
        assert_eq!(count("pseudonym"), count("full"), "{month}");
    }
    let last = desk.events("full").last().unwrap().clone();
    let address = last["src_ip"].as_str().unwrap();
    let folder = desk.path("pseudonym").display().to_string();
    let told = gatewatch(&["explain", "--from-dir", &folder, address], b"").good().stdout;
    assert!(told.contains("attempt against www.town.example from fd"), "{told}");
    let event = desk.events("pseudonym").last().unwrap().clone();
    assert_eq!(event["community_id"], Value::Null, "it is a hash of the addresses");
}

#[test]
fn a_report_for_the_public_names_nobody() {
    let desk = Desk::of(&Plan::parse(PLAN).expect("the plan"));
    replayed(&desk, "full");
    let folder = desk.path("full").display().to_string();
    for format in ["json", "text", "html", "md"] {
        let arguments = ["report", "--from-dir", &folder, "--year", "2026", "--public", "--format", format];
        let told = gatewatch(&arguments, b"").good().stdout;
        for client in sources(&desk, "full") {
            assert!(!told.contains(&client), "{client} in {format}");
        }
        if format == "json" {
            let report: Value = serde_json::from_str(&told).unwrap();
            assert_eq!(report["public_sources_min"], 5);
            let rows = report["origins"].as_array().unwrap();
            let sum: u64 = rows
                .iter()
                .filter(|row| row["kind"] == "country")
                .map(|row| row["attempts"].as_u64().unwrap())
                .sum();
            assert_eq!(sum, report["totals"]["attempts"].as_u64().unwrap());
            assert!(rows.iter().all(|row| row["kind"] != "prefix"));
        }
    }
}
