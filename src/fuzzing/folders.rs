//! Folders that hold what something else wrote: the store, event lines, closed reports.

use std::collections::BTreeMap;
use std::sync::LazyLock;

use serde_json::Value;

use crate::app::explain;
use crate::detect::RuleInfo;
use crate::fuzzing::conversations::DETECTOR;
use crate::fuzzing::input::{Folder, Input};
use crate::report::merge::Joined;
use crate::report::provenance::Provenance;
use crate::report::span::Span;
use crate::report::store::{FILE_NAME, Store};
use crate::report::{manifest, summary, verify};

/// The day that the files are of.
const DAY: &str = "2026-09-01";

/// An empty store, to put beside the bytes.
static EMPTY: LazyLock<Vec<u8>> = LazyLock::new(|| {
    let folder = Folder::new();
    drop(Store::open(folder.path()).expect("a store"));
    std::fs::read(folder.path().join(FILE_NAME)).expect("a store")
});

fn day() -> Span {
    Span::of(DAY.parse().expect("a day"))
}

/// Prints what a store holds of the day and the year, if it opens.
fn told_by(store: &Store) {
    for span in [day(), Span::of("2026".parse().expect("a year"))] {
        _ = summary::build(store, &span, None, &Provenance::default());
    }
    _ = (store.identities(10), store.spans(), store.event_files(), store.open_incidents(1));
}

/// The store: read by a report, then opened by a daemon, which begins anew where it is corrupt.
pub fn store(bytes: &[u8]) {
    let folder = Folder::new();
    folder.file(FILE_NAME, bytes);
    if let Ok(store) = Store::open_to_read(folder.path()) {
        told_by(&store);
    }
    if let Ok((store, _)) = Store::open(folder.path()) {
        told_by(&store);
    }
}

/// The event lines of two sensors, put together.
pub fn merge(bytes: &[u8]) {
    let mut input = Input(bytes);
    let (Some(first), second) = (input.piece(), input.0) else { return };
    let folders = [first, second].map(|lines| {
        let folder = Folder::new();
        folder.file(FILE_NAME, &EMPTY);
        folder.file(&format!("events-{DAY}.jsonl"), lines);
        folder
    });
    let paths = folders.each_ref().map(|folder| folder.path().to_owned());
    if let Ok(joined) = Joined::of(&paths, &day()) {
        _ = joined.report(&day(), None);
    }
}

/// Files of a report folder, by what they are.
const NAMES: [&str; 8] = [
    "report-2026-09-01.json",
    "report-2026-09-01.c2.json",
    "report-2026-09.json",
    "manifest-2026-09-01.json",
    "events-2026-09-01.jsonl",
    "sources-2026-09-01.csv",
    "events-2026-09-01.2.jsonl.zst",
    manifest::EXPIRED,
];

/// Writes pieces as files of a report folder.
fn spread(bytes: &[u8], folder: &Folder) {
    let mut input = Input(bytes);
    while let (Some(which), Some(piece)) = (input.byte(), input.piece()) {
        folder.file(NAMES[usize::from(which) % NAMES.len()], piece);
    }
}

/// A report folder, as `verify` reads it.
pub fn verify(bytes: &[u8]) {
    let folder = Folder::new();
    spread(bytes, &folder);
    _ = verify::folder(folder.path());
}

/// Event lines, as `explain` prints them: nothing in them moves a terminal.
pub fn explain(bytes: &[u8]) {
    static RULES: LazyLock<BTreeMap<String, RuleInfo>> =
        LazyLock::new(|| DETECTOR.rules().map(|rule| (rule.id.clone(), rule)).collect());
    for line in bytes.split(|byte| *byte == b'\n') {
        let Ok(event) = serde_json::from_slice::<Value>(line) else { continue };
        let told = explain::told(&event, &RULES);
        assert!(!told.chars().any(|letter| letter.is_control() && letter != '\n'), "{told:?}");
    }
}
