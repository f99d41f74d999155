//! Checks a report folder by what lies in it: the hash of every report, the chain of each kind, the identities in each
//! report, the events and sources of each day, each period against the one it is part of, and the store where there is one.

mod manifests;
mod tallies;

use std::collections::{BTreeMap, BTreeSet, HashSet};
use std::fs::{self, File};
use std::io::{BufRead, BufReader, Read};
use std::path::{Path, PathBuf};

use serde_json::Value;

use crate::model::period::{Period, PeriodKind};
use crate::report::json::canonical_hash;
use crate::report::provenance::Provenance;
use crate::report::rebuild::repair::Cause;
use crate::report::span::Span;
use crate::report::store::{FILE_NAME, Store};
use crate::report::summary;
use crate::report::{ReportError, names};

/// Tables of a report whose rows sum to its total.
const TABLES: [&str; 6] = ["sites", "classes", "grades", "sectors", "series", "regimes"];
/// What the rows of origins can be of; those of each kind sum to the total.
const KINDS: [&str; 5] = ["country", "as", "prefix", "infrastructure", "registered"];
/// Complaints kept; one is enough to say no.
const COMPLAINTS_MAX: usize = 100;

/// What was checked, and what does not hold.
#[derive(Debug, Default)]
pub struct Checked {
    /// Reports read.
    pub reports: usize,
    /// Event lines read.
    pub events: u64,
    /// Source rows read.
    pub sources: u64,
    /// Files that are as their manifest says.
    pub files: u64,
    /// What could not be checked, and why.
    pub unchecked: Vec<String>,
    /// What does not hold, the first of each kind and file.
    pub wrong: Vec<String>,
}

impl Checked {
    fn complain(&mut self, text: String) {
        if self.wrong.len() < COMPLAINTS_MAX {
            self.wrong.push(text);
        }
    }
}

/// A closed report.
struct Closed {
    name: String,
    version: u32,
    json: Value,
}

/// Checks everything in a folder.
pub fn folder(folder: &Path) -> Result<Checked, ReportError> {
    let mut checked = Checked::default();
    let names = names(folder)?;
    let mut latest: BTreeMap<Period, Closed> = BTreeMap::new();
    let mut chains: BTreeMap<PeriodKind, Vec<(Period, String, Value)>> = BTreeMap::new();
    for name in &names {
        let Some((period, version)) = names::parse_report_name(name) else { continue };
        let Some(json) = read_report(&folder.join(name), name, &mut checked) else { continue };
        checked.reports += 1;
        check_identities(name, &json, &mut checked);
        chains.entry(period.kind()).or_default().push((period, name.clone(), json.clone()));
        if latest.get(&period).is_none_or(|known| known.version < version) {
            latest.insert(period, Closed { name: name.clone(), version, json });
        }
    }
    for reports in chains.values() {
        check_chain(reports, &mut checked);
    }
    check_parts(&latest, &mut checked);
    manifests::check(folder, &names, &mut checked);
    for (period, closed) in latest.iter().filter(|(period, _)| period.kind() == PeriodKind::Day) {
        check_events(folder, &names, *period, closed, &mut checked)?;
        check_sources(folder, &names, *period, closed, &mut checked);
        tallies::check(folder, *period, closed, &mut checked)?;
    }
    check_store(folder, &latest, &mut checked)?;
    Ok(checked)
}

fn names(folder: &Path) -> Result<BTreeSet<String>, ReportError> {
    let entries = fs::read_dir(folder).map_err(ReportError::file("read", folder))?;
    Ok(entries.filter_map(|entry| Some(entry.ok()?.file_name().to_string_lossy().into_owned())).collect())
}

fn read_report(path: &Path, name: &str, checked: &mut Checked) -> Option<Value> {
    let parsed = fs::read(path)
        .map_err(|error| error.to_string())
        .and_then(|bytes| serde_json::from_slice::<Value>(&bytes).map_err(|error| error.to_string()));
    let mut json = match parsed {
        Ok(json) => json,
        Err(error) => {
            checked.complain(format!("{name}: is no report: {error}"));
            return None;
        }
    };
    let told = json.as_object_mut().and_then(|object| object.remove("sha256"));
    let told = told.as_ref().and_then(Value::as_str).unwrap_or_default().to_owned();
    let found = canonical_hash(&json);
    if told != found {
        checked.complain(format!("{name}: its hash is {found}, it says {told}: the file was changed"));
    }
    if let Some(object) = json.as_object_mut() {
        object.insert("sha256".into(), told.into());
    }
    Some(json)
}

fn number(value: &Value, place: &str) -> u64 {
    value.pointer(place).and_then(Value::as_u64).unwrap_or(0)
}

fn sum(report: &Value, table: &str) -> u64 {
    let rows = report.get(table).and_then(Value::as_array);
    rows.into_iter().flatten().map(|row| number(row, "/attempts")).sum()
}

/// Σ of every table = total.
fn check_identities(name: &str, report: &Value, checked: &mut Checked) {
    let total = number(report, "/totals/attempts");
    let mut check = |table: &str, found: u64| {
        if found != total {
            checked.complain(format!("{name}: {table} add up to {found} attempts, the total is {total}"));
        }
    };
    // A report of an earlier version has no regimes.
    for table in TABLES.into_iter().filter(|table| report.get(table).is_some()) {
        check(table, sum(report, table));
    }
    let origins: Vec<&Value> =
        report.get("origins").and_then(Value::as_array).into_iter().flatten().collect();
    for kind in KINDS {
        let rows: Vec<&&Value> =
            origins.iter().filter(|row| row.get("kind").is_some_and(|of| of == kind)).collect();
        // Of hours only countries are told; of a month without an attempt nothing.
        if kind == "country" || !rows.is_empty() {
            check(&format!("origins by {kind}"), rows.into_iter().map(|row| number(row, "/attempts")).sum());
        }
    }
}

/// Each report names the hash of the one before it of its kind; corrections are links as well.
fn check_chain(reports: &[(Period, String, Value)], checked: &mut Checked) {
    let text = |report: &Value, name: &str| report.get(name).and_then(Value::as_str).map(str::to_owned);
    let known: HashSet<String> = reports.iter().filter_map(|(.., report)| text(report, "sha256")).collect();
    let first = reports.iter().map(|(period, ..)| *period).min();
    let mut followed = HashSet::new();
    for (period, name, report) in reports {
        let Some(before) = text(report, "previous_sha256") else {
            if !followed.insert(String::new()) {
                checked.complain(format!("{name}: is a second beginning of its chain"));
            }
            continue;
        };
        if !followed.insert(before.clone()) {
            checked.complain(format!("{name}: follows {before}, as another report does"));
        }
        // The one before the first may have expired.
        if !known.contains(&before) && Some(*period) != first {
            checked.complain(format!(
                "{name}: follows {before}, which no report here has: one is missing or was changed"
            ));
        }
    }
}

/// A month's series holds its days, a year's its months: each must say what the part's own report says.
fn check_parts(latest: &BTreeMap<Period, Closed>, checked: &mut Checked) {
    for closed in latest.values() {
        let steps = closed.json.get("series").and_then(Value::as_array);
        for step in steps.into_iter().flatten() {
            let period: Option<Period> =
                step.get("period").and_then(Value::as_str).and_then(|name| name.parse().ok());
            let Some(part) = period.and_then(|period| latest.get(&period)) else { continue };
            let (here, there) = (number(step, "/attempts"), number(&part.json, "/totals/attempts"));
            if here != there && part.name != closed.name {
                checked.complain(format!(
                    "{}: counts {here} attempts in {}, {} counts {there}",
                    closed.name,
                    step.get("period").and_then(Value::as_str).unwrap_or_default(),
                    part.name
                ));
            }
        }
    }
}

/// The event lines of a day, all parts of it.
fn check_events(
    folder: &Path,
    names: &BTreeSet<String>,
    day: Period,
    closed: &Closed,
    checked: &mut Checked,
) -> Result<(), ReportError> {
    let prefix = format!("events-{day}.");
    let parts: Vec<&String> = names.iter().filter(|name| name.starts_with(&prefix)).collect();
    let total = number(&closed.json, "/totals/attempts");
    if parts.is_empty() {
        if total > 0 {
            checked.unchecked.push(format!("{}: its events are not here", closed.name));
        }
        return Ok(());
    }
    let mut represented = 0;
    let mut tables: [BTreeMap<String, u64>; 3] = Default::default();
    let mut ids = HashSet::new();
    for name in parts {
        let path = folder.join(name);
        let mut number_of_line = 0_u64;
        for line in lines(&path)? {
            number_of_line += 1;
            let line = line.map_err(ReportError::file("read", &path))?;
            let Ok(event) = serde_json::from_str::<Value>(&line) else {
                checked.complain(format!("{name} line {number_of_line}: is no event"));
                continue;
            };
            let text =
                |place: &str| event.pointer(place).and_then(Value::as_str).unwrap_or_default().to_owned();
            if !ids.insert(text("/gatewatch/id")) {
                checked.complain(format!(
                    "{name} line {number_of_line}: repeats event {}",
                    text("/gatewatch/id")
                ));
            }
            let count = number(&event, "/gatewatch/represented");
            represented += count;
            for (table, place) in
                tables.iter_mut().zip(["/gatewatch/class", "/gatewatch/site", "/gatewatch/grade"])
            {
                *table.entry(text(place)).or_default() += count;
            }
            checked.events += 1;
        }
    }
    let shed = number(&closed.json, "/losses/events");
    if shed > 0 {
        checked.unchecked.push(format!("{}: {shed} attempts have no event line, as it says", closed.name));
        return Ok(());
    }
    if represented != total {
        checked.complain(format!(
            "{}: counts {total} attempts, the events of the day {represented}",
            closed.name
        ));
    }
    for (name, found) in ["classes", "sites", "grades"].into_iter().zip(&tables) {
        compare_rows(closed, name, found, checked);
    }
    Ok(())
}

/// The rows of a table against what the events add up to.
fn compare_rows(closed: &Closed, table: &str, found: &BTreeMap<String, u64>, checked: &mut Checked) {
    let rows = closed.json.get(table).and_then(Value::as_array);
    for row in rows.into_iter().flatten() {
        let id = row.get("id").and_then(Value::as_str).unwrap_or_default();
        let (told, found) = (number(row, "/attempts"), found.get(id).copied().unwrap_or(0));
        if told != found {
            checked
                .complain(format!("{}: {table} {id} has {told} attempts, the events {found}", closed.name));
        }
    }
}

fn lines(path: &Path) -> Result<impl Iterator<Item = std::io::Result<String>>, ReportError> {
    let file = File::open(path).map_err(ReportError::file("read", path))?;
    let reader: Box<dyn Read> = match path.extension().and_then(std::ffi::OsStr::to_str) {
        Some("zst") => Box::new(zstd::Decoder::new(file).map_err(ReportError::file("read", path))?),
        // Something else rotated it.
        Some("gz") => Box::new(flate2::read::MultiGzDecoder::new(file)),
        _ => Box::new(file),
    };
    Ok(BufReader::new(reader).lines())
}

fn check_sources(
    folder: &Path,
    names: &BTreeSet<String>,
    day: Period,
    closed: &Closed,
    checked: &mut Checked,
) {
    let Some(name) = names.iter().find(|name| name.starts_with(&format!("sources-{day}.csv"))) else {
        return;
    };
    let path: PathBuf = folder.join(name);
    let Ok(file) = lines(&path) else {
        return checked.complain(format!("{name}: cannot be read"));
    };
    let text: String = file.map_while(Result::ok).map(|line| line + "\n").collect();
    let mut reader = csv::Reader::from_reader(text.as_bytes());
    let mut attempts = 0;
    for row in reader.records() {
        let count = row.ok().and_then(|row| row.get(6).and_then(|field| field.parse::<u64>().ok()));
        let Some(count) = count else {
            return checked.complain(format!("{name} row {}: is no row of sources", checked.sources + 1));
        };
        attempts += count;
        checked.sources += 1;
    }
    let total = number(&closed.json, "/totals/attempts");
    if attempts != total {
        checked.complain(format!("{}: counts {total} attempts, {name} {attempts}", closed.name));
    }
}

/// Each closed report against the store, where the folder holds one.
fn check_store(
    folder: &Path,
    latest: &BTreeMap<Period, Closed>,
    checked: &mut Checked,
) -> Result<(), ReportError> {
    if !folder.join(FILE_NAME).exists() {
        checked.unchecked.push("the store is not here: the reports are checked among themselves".into());
        return Ok(());
    }
    let store = Store::open_to_read(folder)?;
    for (period, closed) in latest {
        let report = match summary::build(&store, &Span::of(*period), None, &Provenance::default()) {
            Err(told @ ReportError::RolledUp { .. }) => {
                checked.unchecked.push(format!("{}: {told}", closed.name));
                continue;
            }
            built => built?,
        };
        if let Err(told) = report.reconcile() {
            checked.complain(format!("store, {period}: {told}"));
        }
        let rebuilt = report.repairs.last().filter(|repair| repair.cause != Cause::Behind);
        for (unit, stored) in [
            ("attempts", report.totals.attempts),
            ("sessions", report.totals.sessions),
            ("incidents", report.totals.incidents),
        ] {
            let told = number(&closed.json, &format!("/totals/{unit}"));
            if let Some(repair) = rebuilt.filter(|_| told != stored) {
                checked.unchecked.push(format!(
                    "{}: counts {told} {unit}; of these {stored} could be rebuilt from event lines on {}",
                    closed.name, repair.at
                ));
            } else if told != stored {
                checked.complain(format!("{}: counts {told} {unit}, the store {stored}", closed.name));
            }
        }
        let known = store.closed(*period)?;
        let told = closed.json.get("sha256").and_then(Value::as_str).unwrap_or_default();
        if known.is_some_and(|known| known.sha256 != told) {
            checked.complain(format!("{}: has another hash than the one the store noted", closed.name));
        }
    }
    Ok(())
}
