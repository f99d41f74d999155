//! The arrows between rooms are those of the table in ARCHITECTURE.md, and no others.

#![allow(
    clippy::expect_used,
    clippy::indexing_slicing,
    clippy::panic,
    clippy::print_stderr,
    reason = "a test stops at the first surprise and says what it skips"
)]

use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use std::path::{Path, PathBuf};

type Arrows = BTreeMap<String, BTreeSet<String>>;

/// The table of rooms: a room, what it owns, the rooms that it may use.
fn allowed() -> Arrows {
    let row = |line: &str| {
        let cells: Vec<String> = line.split('|').map(|cell| cell.trim().to_owned()).collect();
        let [_, room, _, uses, _] = cells.as_slice() else { return None };
        let room = room.strip_prefix('`')?.strip_suffix('`')?.to_owned();
        Some((room, uses.split_whitespace().map(|name| name.trim_matches('`').to_owned()).collect()))
    };
    include_str!("../ARCHITECTURE.md").lines().filter_map(row).collect()
}

fn root() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("src")
}

fn rust_files(folder: &Path, found: &mut Vec<PathBuf>) {
    for entry in fs::read_dir(folder).expect("a readable folder") {
        let path = entry.expect("an entry").path();
        if path.is_dir() {
            rust_files(&path, found);
        } else if path.extension().is_some_and(|ending| ending == "rs") {
            found.push(path);
        }
    }
}

/// The room of a file: the first part of its path below `src`.
fn room_of(file: &Path) -> String {
    let below = file.strip_prefix(root()).expect("below src");
    let first = below.components().next().expect("a name").as_os_str().to_string_lossy();
    first.trim_end_matches(".rs").to_owned()
}

/// The rooms that the production part of a file names, by `use` or in a path. Tests may reach anywhere.
fn named_rooms(text: &str) -> BTreeSet<String> {
    let code = text.split("#[cfg(test)]\nmod tests {").next().unwrap_or_default();
    let lines = code.lines().map(str::trim_start).filter(|line| !line.starts_with("//"));
    let mut rooms = BTreeSet::new();
    for line in lines {
        for after in line.split("crate::").skip(1) {
            match after.strip_prefix('{') {
                Some(group) => rooms.extend(group.split(',').map(|item| leading_name(item.trim()))),
                None => _ = rooms.insert(leading_name(after)),
            }
        }
    }
    rooms.remove("");
    rooms
}

fn leading_name(text: &str) -> String {
    text.chars().take_while(|letter| letter.is_ascii_lowercase() || *letter == '_').collect()
}

fn found() -> Arrows {
    let mut files = Vec::new();
    rust_files(&root(), &mut files);
    let mut arrows = Arrows::new();
    for file in files.iter().filter(|file| !file.ends_with("tests.rs")) {
        let room = room_of(file);
        // `testing` is compiled for unit tests alone, `fuzzing` for these and for tests/fuzz.
        if ["fuzzing", "lib", "main", "testing"].contains(&room.as_str()) {
            continue;
        }
        let text = fs::read_to_string(file).expect("source text");
        let mut rooms = named_rooms(&text);
        rooms.remove(&room);
        // What is compiled for tests alone no other build can use.
        rooms.remove("fuzzing");
        arrows.entry(room).or_default().extend(rooms);
    }
    arrows
}

#[test]
fn no_room_uses_another_that_the_table_does_not_allow() {
    let allowed = allowed();
    let mut wrong = Vec::new();
    for (room, uses) in found() {
        let Some(may) = allowed.get(&room) else {
            wrong.push(format!("room {room} is not in the table"));
            continue;
        };
        wrong.extend(uses.difference(may).map(|other| format!("{room} → {other}")));
    }
    assert!(wrong.is_empty(), "not allowed by ARCHITECTURE.md: {}", wrong.join(", "));
}

#[test]
fn the_table_names_rooms_that_exist_and_has_no_circle() {
    let allowed = allowed();
    let found = found();
    assert!(allowed.len() >= 10, "the table was read: {allowed:?}");
    for room in allowed.keys() {
        assert!(found.contains_key(room), "ARCHITECTURE.md names room {room}, which does not exist");
    }
    // Taking away rooms that use only rooms taken away before must take all away.
    let mut gone = BTreeSet::new();
    while let Some(next) = allowed.iter().find(|(room, uses)| !gone.contains(*room) && uses.is_subset(&gone))
    {
        gone.insert(next.0.clone());
    }
    let left: Vec<_> = allowed.keys().filter(|room| !gone.contains(*room)).collect();
    assert!(left.is_empty(), "these rooms use each other in a circle: {left:?}");
}

#[test]
fn every_room_opens_with_a_comment_that_says_what_it_is() {
    for room in allowed().keys() {
        let folder = root().join(room).join("mod.rs");
        let file = root().join(format!("{room}.rs"));
        let text = fs::read_to_string(&folder).or_else(|_| fs::read_to_string(&file)).expect("a room");
        assert!(text.starts_with("//! "), "room {room} does not say what it owns");
    }
}

#[test]
fn names_are_found_in_uses_groups_and_paths() {
    let text = "use crate::model::time::Hour;\nuse crate::{decode::link, stream};\nfn f() { crate::tally::x() }\n// crate::app\n#[cfg(test)]\nmod tests {\nuse crate::report::X;\n}";
    let rooms: Vec<String> = named_rooms(text).into_iter().collect();
    assert_eq!(rooms, ["decode", "model", "stream", "tally"]);
}
