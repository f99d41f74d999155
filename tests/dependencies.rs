//! Every dependency has a licence and a source that `deny.toml` allows.

#![allow(
    clippy::expect_used,
    clippy::indexing_slicing,
    clippy::panic,
    clippy::print_stderr,
    reason = "a test stops at the first surprise and says what it skips"
)]

use std::process::Command;

use serde_json::Value;

struct Policy {
    licences: Vec<String>,
    registries: Vec<String>,
}

fn strings(table: &toml::Table, section: &str, key: &str) -> Vec<String> {
    let list = table[section][key].as_array().expect("a list");
    list.iter().map(|item| item.as_str().expect("a text").to_owned()).collect()
}

fn policy() -> Policy {
    let table: toml::Table = include_str!("../deny.toml").parse().expect("deny.toml is TOML");
    Policy {
        licences: strings(&table, "licenses", "allow"),
        registries: strings(&table, "sources", "allow-registry"),
    }
}

fn packages() -> Vec<Value> {
    let output = Command::new(env!("CARGO"))
        .args(["metadata", "--format-version", "1", "--locked"])
        .current_dir(env!("CARGO_MANIFEST_DIR"))
        .output()
        .expect("cargo runs");
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    let metadata: Value = serde_json::from_slice(&output.stdout).expect("metadata is JSON");
    metadata["packages"].as_array().expect("a list of packages").clone()
}

/// Whether an SPDX expression can be satisfied by the allowed licences. `WITH` only grants more, so the
/// exception is passed over; `/` is the old way to write OR.
fn satisfied(expression: &str, allowed: &[String]) -> bool {
    let spaced = expression.replace('(', " ( ").replace(')', " ) ").replace('/', " OR ");
    let words: Vec<&str> = spaced.split_whitespace().collect();
    let mut at = 0;
    let good = any_of(&words, &mut at, allowed);
    assert_eq!(at, words.len(), "{expression:?} is not an SPDX expression");
    good
}

fn any_of(words: &[&str], at: &mut usize, allowed: &[String]) -> bool {
    let mut good = all_of(words, at, allowed);
    while words.get(*at) == Some(&"OR") {
        *at += 1;
        good |= all_of(words, at, allowed);
    }
    good
}

fn all_of(words: &[&str], at: &mut usize, allowed: &[String]) -> bool {
    let mut good = one(words, at, allowed);
    while words.get(*at) == Some(&"AND") {
        *at += 1;
        good &= one(words, at, allowed);
    }
    good
}

fn one(words: &[&str], at: &mut usize, allowed: &[String]) -> bool {
    let word = words[*at];
    *at += 1;
    let good = if word == "(" {
        let inner = any_of(words, at, allowed);
        assert_eq!(words[*at], ")");
        *at += 1;
        inner
    } else {
        allowed.iter().any(|licence| licence == word)
    };
    if words.get(*at) == Some(&"WITH") {
        *at += 2;
    }
    good
}

#[test]
fn expressions_are_judged_by_what_they_allow() {
    let allowed = ["MIT".to_owned(), "ISC".to_owned()];
    for good in
        ["MIT", "GPL-3.0 OR MIT", "MIT/Apache-2.0", "(GPL-3.0 OR ISC) AND MIT", "MIT WITH some-exception"]
    {
        assert!(satisfied(good, &allowed), "{good}");
    }
    for bad in ["GPL-3.0", "MIT AND GPL-3.0", "(MIT OR ISC) AND GPL-3.0", "GPL-3.0 OR AGPL-3.0"] {
        assert!(!satisfied(bad, &allowed), "{bad}");
    }
}

#[test]
fn every_dependency_is_licensed_and_sourced_as_allowed() {
    let policy = policy();
    let packages = packages();
    assert!(packages.len() > 50, "{} packages: the whole graph was read", packages.len());
    for package in &packages {
        let name = &package["name"];
        let licence = package["license"].as_str().unwrap_or_default();
        assert!(satisfied(licence, &policy.licences), "{name}: licence {licence:?} is not in deny.toml");
        // No source: this crate itself.
        if let Some(source) = package["source"].as_str() {
            let registry = source.strip_prefix("registry+").unwrap_or(source);
            assert!(
                policy.registries.iter().any(|own| own == registry),
                "{name}: source {source} is not in deny.toml"
            );
        }
    }
}
