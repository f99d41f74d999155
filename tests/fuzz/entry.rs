//! Drives the entry that `GATEWATCH_ENTRY` names with what libFuzzer makes up.

#![no_main]

use std::sync::LazyLock;

use gatewatch::fuzzing::{Entry, entries};
use libfuzzer_sys::fuzz_target;

static ENTRY: LazyLock<Entry> = LazyLock::new(|| {
    let named = std::env::var("GATEWATCH_ENTRY").unwrap_or_default();
    let names: Vec<String> = entries().into_iter().map(|entry| entry.name).collect();
    let found = entries().into_iter().find(|entry| entry.name == named);
    found.unwrap_or_else(|| panic!("GATEWATCH_ENTRY={named:?}: one of {} is wanted", names.join(", ")))
});

fuzz_target!(|bytes: &[u8]| ENTRY.run(bytes));
