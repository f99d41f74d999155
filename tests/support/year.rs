//! The founding year the hard way, replayed in stages into one folder: databases and rules change, the tap was dead for a day.

use std::collections::BTreeMap;
use std::fs;
use std::net::IpAddr;
use std::path::{Path, PathBuf};
use std::sync::OnceLock;

use gatewatch::classify::geo::hex;
use ipnet::IpNet;
use serde_json::Value;
use sha2::{Digest, Sha256};

use super::generator::capture::CaptureWriter;
use super::generator::countries::SPACES;
use super::generator::frames::Link;
use super::generator::payloads::Kind;
use super::generator::plan::Plan;
use super::generator::recount::{Recount, View};
use super::generator::schedule::{Schedule, Slot};
use super::sensor::{Desk, files, gatewatch, read_json};

/// First month, from 0, that is counted by the second database.
pub const SECOND_DATABASE: usize = 6;
/// First month, from 0, that is judged by other rules.
pub const OTHER_RULES: usize = 9;

/// Where the second database differs from the first.
const MOVED: [(&str, &str); 5] = [
    ("36.104.0.0/13", "HK"),
    ("73.16.0.0/12", "CA"),
    ("93.192.0.0/13", "NL"),
    ("175.192.0.0/13", "CN"),
    ("2607:fff9:4000::/38", "MX"),
];

/// A rule of the operator's own, for a part of the site that no visitor knows.
const OWN_RULE: &str = r#"
[[rule]]
id = "own.intern"
class = "web.sensitive"
weight = 0.95
title = "Back office from outside"
on = ["path"]
lits = ["/intern/"]
regex = '/intern/\w+/(?:export|list)'
"#;

/// What one scanner calls itself ("; Nmap Scripting Engine") looks like a command, too.
const EXCEPTION: &str = "[[detect.exception]]\nrule = \"rce.command\"\nparameter = \"user-agent\"\n";

/// The report of each period, in its latest version, and everything in the folder by name and content.
#[derive(Debug)]
pub struct Taken {
    /// By period.
    pub reports: BTreeMap<String, Value>,
    /// By name; the store is left out.
    pub files: BTreeMap<String, String>,
}

/// The year, replayed in stages into one folder.
#[derive(Debug)]
pub struct Year {
    /// Its plan.
    pub plan: Plan,
    /// Where all of it lies; the reports in `out`.
    pub desk: Desk,
    /// What must come out.
    pub recount: Recount,
    /// Microseconds from the first to the last packet of each capture file.
    pub watched: Vec<(u64, u64)>,
    /// Hashes of both databases.
    pub databases: [String; 2],
    /// The capture files.
    pub captures: Vec<PathBuf>,
    /// The folder after each stage.
    pub stages: Vec<Taken>,
}

fn second(address: IpAddr) -> Option<&'static str> {
    let moved = MOVED.iter().find(|(network, _)| network.parse::<IpNet>().unwrap().contains(&address));
    moved.map(|(_, country)| *country)
}

fn country(address: IpAddr, slot: Slot) -> String {
    let first = SPACES.iter().find(|space| space.holds(address)).map(|space| space.country);
    let later = second(address).filter(|_| slot.month >= SECOND_DATABASE);
    later.or(first).expect("the plan's addresses are known").to_owned()
}

fn knows(kind: Kind, slot: Slot) -> bool {
    match kind {
        Kind::Local => slot.month >= OTHER_RULES,
        Kind::Scanner => slot.month < OTHER_RULES,
        _ => true,
    }
}

/// Builds both databases from ranges; gives back their hashes.
fn databases(desk: &Desk) -> [String; 2] {
    let first: Vec<String> = SPACES
        .iter()
        .flat_map(|space| space.networks().map(|network| [network, space.country.to_owned()].join(",")))
        .collect();
    let moved = MOVED.map(|(network, country)| [network, country].join(","));
    let (first, moved) = (first.join("\n"), moved.join("\n"));
    let build = |name: &str, date: &str, rows: &str| {
        let source = desk.write(&format!("{name}.csv"), rows.as_bytes());
        let output = desk.path(&format!("{name}.mmdb"));
        let paths = [source.display().to_string(), output.display().to_string()];
        gatewatch(&["geo", "build", &paths[0], "-o", &paths[1], "--date", date], b"").good();
        hex(&Sha256::digest(fs::read(output).unwrap()))
    };
    [build("first", "2012-01-01", &first), build("second", "2012-07-01", &format!("{first}\n{moved}"))]
}

/// Settings with a database, and with the operator's rule in the place of the one for scanners or not.
fn settings(plan: &Plan, desk: &Desk, database: &str, other_rules: bool) -> String {
    let path = desk.path(&format!("{database}.mmdb"));
    let origin = format!("[origin]\ndatabases = [{:?}]", path.display().to_string());
    // The other formats are made of the JSON: tests/reports.rs holds them to it.
    let report = "\n[report]\nformats = [\"json\", \"text\"]\n";
    let mut text = plan.settings().replacen("[origin]", &origin, 1) + report;
    if other_rules {
        let rules = desk.write("own.toml", OWN_RULE.as_bytes()).display().to_string();
        text = format!("{text}\n[detect]\ndisable = [\"scan.agent\"]\nrules = [{rules:?}]\n{EXCEPTION}");
    }
    text
}

/// The captured hours of a plan in files: a file ends at an outage and at each of the months `cuts`.
pub fn captures(plan: &Plan, desk: &Desk, cuts: &[usize]) -> (Vec<PathBuf>, Vec<(u64, u64)>) {
    let parts = plan.parts();
    let mut schedule = Schedule::of(plan);
    let mut writers: BTreeMap<(usize, usize), CaptureWriter<Vec<u8>>> = BTreeMap::new();
    for slot in schedule.slots() {
        let packets = schedule.captured(slot);
        let Some(part) = parts.iter().position(|part| part.contains(&slot)) else { continue };
        let cut = cuts.iter().filter(|month| slot.month >= **month).count();
        let writer = writers
            .entry((cut, part))
            .or_insert_with(|| CaptureWriter::begin(Vec::new(), Link::Ethernet).expect("memory"));
        for packet in &packets {
            writer.write_captured(packet).expect("memory");
        }
    }
    let finish = |(number, writer): (usize, CaptureWriter<Vec<u8>>)| {
        let watched = writer.watched().expect("packets");
        (desk.write(&format!("{number}.pcap"), &writer.end().expect("memory")), watched)
    };
    writers.into_values().enumerate().map(finish).unzip()
}

/// The period and version of a closed report, by its file's name.
fn closed(name: &str) -> Option<(&str, u32)> {
    let middle = name.strip_prefix("report-")?.strip_suffix(".json")?;
    match middle.split_once(".c") {
        Some((period, version)) => Some((period, version.parse().ok()?)),
        None => Some((middle, 1)),
    }
}

/// What lies in a folder.
pub fn taken(folder: &Path) -> Taken {
    let mut latest: BTreeMap<String, (u32, Value)> = BTreeMap::new();
    let mut contents = BTreeMap::new();
    for path in files(folder) {
        let name = path.file_name().unwrap().to_string_lossy().into_owned();
        if name.contains("sqlite") {
            continue;
        }
        if let Some((period, version)) = closed(&name)
            && latest.get(period).is_none_or(|(known, _)| *known < version)
        {
            latest.insert(period.to_owned(), (version, read_json(&path)));
        }
        contents.insert(name, fs::read_to_string(&path).unwrap());
    }
    let reports = latest.into_iter().map(|(period, (_, report))| (period, report)).collect();
    Taken { reports, files: contents }
}

/// The year, replayed once a test run.
pub fn year() -> &'static Year {
    static YEAR: OnceLock<Year> = OnceLock::new();
    YEAR.get_or_init(|| {
        let plan = Plan::named("2012-hard-small").expect("a built-in plan");
        let desk = Desk::of(&plan);
        let databases = databases(&desk);
        let recount = Recount::of(&plan, &View { country: &country, knows: &knows });
        let (captures, watched) = captures(&plan, &desk, &[SECOND_DATABASE, OTHER_RULES]);
        let stages = [
            (&captures[..2], settings(&plan, &desk, "first", false)),
            (&captures[2..3], settings(&plan, &desk, "second", false)),
            (&captures[3..], settings(&plan, &desk, "second", true)),
            // Everything again: nothing may change.
            (&captures[..], settings(&plan, &desk, "second", true)),
        ];
        let stages = stages.into_iter().map(|(inputs, settings)| {
            fs::write(desk.settings(), settings).unwrap();
            let inputs: Vec<&Path> = inputs.iter().map(PathBuf::as_path).collect();
            desk.replay("out", &inputs, b"").good();
            verify(&desk.path("out"));
            taken(&desk.path("out"))
        });
        let stages = stages.collect();
        Year { plan, desk, recount, watched, databases, captures, stages }
    })
}

/// `gatewatch verify` must find nothing.
pub fn verify(folder: &Path) {
    let told = gatewatch(&["verify", &folder.display().to_string()], b"").good().stdout;
    assert!(told.contains("reconciled: "), "{told}");
}

impl Year {
    /// The folder at the end.
    pub fn last(&self) -> &Taken {
        self.stages.last().unwrap()
    }

    /// The latest report of a period.
    pub fn report(&self, period: &str) -> &Value {
        self.last().reports.get(period).unwrap_or_else(|| panic!("no report of {period}"))
    }
}
