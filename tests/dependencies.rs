//! Every dependency has a licence and a source that `deny.toml` allows.

#![allow(
    clippy::expect_used,
    clippy::indexing_slicing,
    clippy::panic,
    clippy::print_stderr,
    reason = "a test stops at the first surprise and says what it skips"
)]

use std::collections::{BTreeMap, BTreeSet};
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
    assert!(
        !policy.licences.iter().any(|licence| licence.contains("GPL")),
        "none of the GNU licences is allowed"
    );
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

/// Names and versions of what `cargo` links for a package, by its own tree: normal dependencies and the features they are built with.
fn linked() -> Vec<String> {
    let output = Command::new(env!("CARGO"))
        .args([
            "tree",
            "--locked",
            "--edges",
            "normal",
            "--prefix",
            "none",
            "--target",
            "x86_64-unknown-linux-gnu",
        ])
        .current_dir(env!("CARGO_MANIFEST_DIR"))
        .output()
        .expect("cargo runs");
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    let text = String::from_utf8(output.stdout).expect("text");
    let lines = text.lines().map(|line| line.split_whitespace().take(2).collect::<Vec<_>>().join(" "));
    lines.collect::<BTreeSet<_>>().into_iter().collect()
}

/// Runs `tests/support/sbom.py`; none where there is no Python that knows TOML.
fn bill() -> Option<String> {
    let knows = Command::new("python3").args(["-c", "import tomllib"]).status();
    if !knows.is_ok_and(|status| status.success()) {
        eprintln!("skipped: no python3 (3.11)");
        return None;
    }
    let output = Command::new("python3")
        .arg(concat!(env!("CARGO_MANIFEST_DIR"), "/tests/support/sbom.py"))
        .env("CARGO", env!("CARGO"))
        .env("SOURCE_DATE_EPOCH", "1338508800")
        .output()
        .expect("python3 runs");
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    Some(String::from_utf8(output.stdout).expect("text"))
}

/// The fields that `CycloneDX` 1.5 requires, and those by which something is found in it.
#[test]
fn the_bill_of_materials_is_whole_and_twice_the_same() {
    let Some(text) = bill() else { return };
    assert_eq!(bill().as_ref(), Some(&text), "two runs, one bill");
    let bill: Value = serde_json::from_str(&text).expect("JSON");
    assert_eq!((bill["bomFormat"].as_str(), bill["specVersion"].as_str()), (Some("CycloneDX"), Some("1.5")));
    assert!(
        bill["serialNumber"]
            .as_str()
            .is_some_and(|serial| serial.starts_with("urn:uuid:") && serial.len() == 45)
    );
    assert_eq!(bill["metadata"]["timestamp"], "2012-06-01T00:00:00Z");
    let own = &bill["metadata"]["component"];
    assert_eq!(
        (own["name"].as_str(), own["version"].as_str()),
        (Some("gatewatch"), Some(env!("CARGO_PKG_VERSION")))
    );
    let components = bill["components"].as_array().expect("components");
    let allowed = policy().licences;
    let mut references: BTreeSet<&str> = BTreeSet::from([own["bom-ref"].as_str().expect("a reference")]);
    for component in components {
        let name = component["name"].as_str().expect("a name");
        assert!(["library", "data"].contains(&component["type"].as_str().expect("a type")), "{name}");
        assert!(references.insert(component["bom-ref"].as_str().expect("a reference")), "{name} once");
        if component["purl"].as_str().is_some_and(|purl| purl.starts_with("pkg:cargo/")) {
            let licence = component["licenses"][0]["expression"].as_str().expect("a licence");
            assert!(satisfied(licence, &allowed), "{name}: {licence}");
            let hash = component["hashes"][0]["content"].as_str().expect("a hash");
            assert!(hash.len() == 64 && hash.bytes().all(|digit| digit.is_ascii_hexdigit()), "{name}");
        }
    }
    for arrow in bill["dependencies"].as_array().expect("dependencies") {
        let to = arrow["dependsOn"].as_array().expect("a list").iter().chain([&arrow["ref"]]);
        to.for_each(|end| assert!(references.contains(end.as_str().expect("a reference")), "{end}"));
    }
    for name in ["sqlite", "zstd", "libpcap", "DB-IP Country Lite"] {
        assert!(components.iter().any(|component| component["name"] == name), "{name}");
    }
}

#[test]
fn the_bill_of_materials_lists_what_cargo_links_and_nothing_else() {
    let Some(text) = bill() else { return };
    let bill: Value = serde_json::from_str(&text).expect("JSON");
    let cargo =
        bill["components"].as_array().expect("components").iter().filter(|component| {
            component["purl"].as_str().is_some_and(|purl| purl.starts_with("pkg:cargo/"))
        });
    let listed: BTreeSet<String> = cargo
        .map(|component| {
            format!("{} v{}", component["name"].as_str().unwrap(), component["version"].as_str().unwrap())
        })
        .collect();
    let linked: BTreeSet<String> =
        linked().into_iter().filter(|name| !name.is_empty() && !name.starts_with("gatewatch ")).collect();
    assert!(linked.len() > 100, "{} packages", linked.len());
    assert_eq!(listed, linked);
}

/// `deny.toml`, `[bans]`.
#[test]
fn no_version_is_a_wildcard_and_what_is_there_twice_is_known() {
    let manifest: toml::Table = include_str!("../Cargo.toml").parse().expect("TOML");
    for section in ["dependencies", "dev-dependencies"] {
        for (name, wanted) in manifest[section].as_table().expect("a table") {
            let version = wanted.as_str().or_else(|| wanted.get("version").and_then(toml::Value::as_str));
            let version = version.unwrap_or_else(|| panic!("{name} has no version"));
            assert!(
                !version.contains('*') && version.starts_with(|letter: char| letter.is_ascii_digit()),
                "{name} = {version:?}"
            );
        }
    }
    let deny: toml::Table = include_str!("../deny.toml").parse().expect("TOML");
    let known: BTreeSet<String> = deny["bans"]["skip"]
        .as_array()
        .expect("a list")
        .iter()
        .map(|skip| skip["crate"].as_str().expect("a name").replace('@', " v"))
        .collect();
    let mut versions: BTreeMap<String, Vec<String>> = BTreeMap::new();
    for package in linked() {
        let name = package.split(' ').next().unwrap_or_default().to_owned();
        versions.entry(name).or_default().push(package);
    }
    let twice: BTreeSet<String> = versions
        .into_values()
        .filter(|versions| versions.len() > 1)
        .flat_map(|versions| versions[..versions.len() - 1].to_vec())
        .collect();
    assert_eq!(twice, known, "the older of two versions of a crate, and those that deny.toml lets pass");
}

fn sources(folder: &std::path::Path, text: &mut String) {
    for entry in std::fs::read_dir(folder).expect("a folder") {
        let path = entry.expect("an entry").path();
        if path.is_dir() {
            sources(&path, text);
        } else if path.extension().is_some_and(|ending| ending == "rs") {
            text.push_str(&std::fs::read_to_string(&path).expect("text"));
        }
    }
}

#[test]
fn every_dependency_is_used_and_says_what_for() {
    let text = include_str!("../Cargo.toml");
    let manifest: toml::Table = text.parse().expect("TOML");
    let mut code = String::new();
    sources(&std::path::Path::new(env!("CARGO_MANIFEST_DIR")).join("src"), &mut code);
    for name in manifest["dependencies"].as_table().expect("a table").keys() {
        // The one package whose library has another name.
        let library = if name == "md-5" { "md5".to_owned() } else { name.replace('-', "_") };
        let uses = [format!("use {library}::"), format!("{library}::"), format!("use {library}")];
        assert!(uses.iter().any(|part| code.contains(part)), "{name} is not used in src");
        let line = text.lines().find(|line| line.starts_with(&format!("{name} = "))).expect("a line");
        assert!(line.contains(" # "), "{name} says no reason in Cargo.toml");
    }
}
