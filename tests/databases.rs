//! Databases as they come: of every maker, damaged, hostile. Each is used or refused with a reason, in bounded time.
//!
//! MaxMind's own conformance databases are read from the folder that `GATEWATCH_MMDB_DIR` names, or from an archive beside
//! the project; without them that test says that it is skipped.

#![allow(
    clippy::disallowed_methods,
    clippy::expect_used,
    clippy::indexing_slicing,
    clippy::panic,
    clippy::print_stderr,
    clippy::unwrap_used,
    reason = "a test stops at the first surprise, says what it skips, and measures time"
)]

use std::cell::Cell;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};
use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::{Duration, Instant};

use gatewatch::classify::database::Database;
use gatewatch::classify::geo::Geo;
use gatewatch::model::origin::{Infrastructure, Origin};
use ipnet::IpNet;
use maxminddb::{Reader, WithinOptions};
use mmdb_writer::{IpVersion, RecordSize, Writer};
use proptest::prelude::*;
use serde_json::{Value, json};

/// What opening one database and asking it thousands of times may take in a debug build on a busy machine.
const ONE_FILE_MAX: Duration = Duration::from_secs(20);
/// Networks of a database that are asked for.
const NETWORKS_MAX: usize = 5_000;

fn words(count: u32) -> impl Iterator<Item = u32> {
    (0..count).map(|number| number.wrapping_mul(0x9e37_79b1).rotate_left(7) ^ number)
}

/// Addresses over all of both families.
fn addresses(count: u32) -> impl Iterator<Item = IpAddr> {
    words(count).flat_map(|word| {
        let wide = u128::from(word) << 96 | u128::from(word) << 31 | u128::from(word);
        [
            IpAddr::from(Ipv4Addr::from(word)),
            IpAddr::from(Ipv6Addr::from(wide)),
            IpAddr::from(Ipv6Addr::from(wide >> 3 | 1 << 125)),
            IpAddr::from(Ipv6Addr::from(u128::from(word))),
        ]
    })
}

/// The networks that a database lists, up to a limit, whatever its tree is like.
fn networks(bytes: &[u8]) -> Vec<IpAddr> {
    let all = WithinOptions::default().include_aliased_networks().include_networks_without_data();
    let Ok(reader) = Reader::from_source(bytes) else { return Vec::new() };
    let Ok(networks) = reader.networks(all) else { return Vec::new() };
    networks
        .take(NETWORKS_MAX)
        .filter_map(|network| network.ok()?.network().ok())
        .map(|network| network.ip())
        .collect()
}

/// Opens a database and asks it for all it has; gives its complaint, if it is refused.
fn exhaust(bytes: &[u8], name: &str) -> Option<String> {
    let started = Instant::now();
    let patience = || started.elapsed() < Duration::from_secs(5);
    let refused = match Database::from_bytes(bytes.to_vec(), name, &patience) {
        Ok(database) => {
            database.addresses(&patience);
            let mut geo = Geo::new(vec![database]);
            for address in networks(bytes).into_iter().chain(addresses(2_000)) {
                geo.look_up(address);
            }
            None
        }
        Err(complaint) => Some(complaint),
    };
    assert!(started.elapsed() < ONE_FILE_MAX, "{name} took {:?}", started.elapsed());
    refused
}

/// The folder with MaxMind's databases; the second value keeps an unpacked copy alive.
fn conformance() -> Result<(PathBuf, Option<tempfile::TempDir>), String> {
    if let Some(folder) = std::env::var_os("GATEWATCH_MMDB_DIR") {
        return Ok((PathBuf::from(folder), None));
    }
    let archive = Path::new(env!("CARGO_MANIFEST_DIR")).join("../shared/geo/maxmind-test.tar.zst");
    if !archive.exists() {
        return Err("no conformance databases; name their folder in GATEWATCH_MMDB_DIR".to_owned());
    }
    let folder = tempfile::tempdir().expect("a temporary folder");
    let unpacked =
        Command::new("tar").arg("--zstd").arg("-xf").arg(&archive).arg("-C").arg(folder.path()).status();
    match unpacked {
        Ok(status) if status.success() => Ok((folder.path().to_owned(), Some(folder))),
        _ => Err("tar cannot unpack the conformance databases".to_owned()),
    }
}

fn files(folder: &Path, found: &mut Vec<PathBuf>) {
    for entry in std::fs::read_dir(folder).expect("a readable folder") {
        let path = entry.expect("an entry").path();
        if path.is_dir() {
            files(&path, found);
        } else if path.extension().is_some_and(|ending| ending == "mmdb") {
            found.push(path);
        }
    }
}

#[test]
fn every_conformance_database_is_used_or_refused_with_a_reason() {
    let (folder, _alive) = match conformance() {
        Ok(found) => found,
        Err(reason) => return eprintln!("skipped: {reason}"),
    };
    let mut all = Vec::new();
    files(&folder, &mut all);
    assert!(all.len() >= 50, "{} databases in {}", all.len(), folder.display());
    let mut used = Vec::new();
    for path in &all {
        let name = path.file_name().unwrap().to_string_lossy().into_owned();
        match exhaust(&std::fs::read(path).unwrap(), &name) {
            None => used.push(name),
            Some(complaint) => assert!(complaint.len() > 20, "{name}: {complaint:?}"),
        }
    }
    // Those with countries, systems or kinds of network, and no others.
    for family in ["Country", "City", "Enterprise", "ASN", "ISP", "Anonymous", "IP-Risk"] {
        let of_family = |name: &&String| name.contains(family);
        let expected = all.iter().filter(|path| {
            let name = path.file_name().unwrap().to_string_lossy();
            // Its tree is said to be larger than the file.
            name.contains(family) && !name.contains("Invalid-Node-Count")
        });
        assert_eq!(used.iter().filter(of_family).count(), expected.count(), "{family}: {used:#?}");
    }
    for other in [
        "Domain",
        "Residential-Proxy",
        "Connection-Type",
        "DensityIncome",
        "MaxMind-DB-test",
        "metadata",
        "libmaxminddb-oversized",
    ] {
        assert!(!used.iter().any(|name| name.contains(other)), "{other}: {used:#?}");
    }
    known_answers(&folder);
}

fn open(path: &Path) -> Database {
    Database::open(path, &|| true).unwrap_or_else(|error| panic!("{error}"))
}

fn known_answers(folder: &Path) {
    let data = folder.join("test-data");
    let ask = |file: &str, address: &str| -> Origin {
        Geo::new(vec![open(&data.join(file))]).look_up(address.parse().unwrap())
    };
    let country = ask("GeoIP2-Country-Test.mmdb", "81.2.69.142");
    assert_eq!((country.place.code(), country.continent), ("GB", Some(*b"EU")));
    assert_eq!(country.registered.unwrap().to_string(), "US");
    let six = ask("GeoLite2-City-Test.mmdb", "2001:218::1");
    assert_eq!(
        (six.place.code(), six.prefix.map(|prefix| prefix.to_string()).as_deref()),
        ("JP", Some("2001:218::/32"))
    );
    let system = ask("GeoLite2-ASN-Test.mmdb", "1.128.0.1");
    assert_eq!((system.asn, system.as_org.as_deref()), (Some(1_221), Some("Telstra Pty Ltd")));
    let enterprise = ask("GeoIP2-Enterprise-Test.mmdb", "74.209.24.1");
    assert_eq!(enterprise.place.code(), "US");
    assert_eq!(
        (enterprise.asn, enterprise.infrastructure.map(Infrastructure::name)),
        (Some(14_671), Some("eyeball"))
    );
    for (address, class) in [
        ("1.2.0.1", Some("vpn")),
        ("65.4.3.2", Some("tor")),
        ("71.160.223.1", Some("hosting")),
        ("186.30.236.1", Some("vpn")),
    ] {
        let origin = ask("GeoIP2-Anonymous-IP-Test.mmdb", address);
        assert_eq!(origin.infrastructure.map(Infrastructure::name), class, "{address}");
        assert_eq!(origin.place.code(), "unknown");
    }
    // Two databases and one of kinds, as an operator has them.
    let three = ["GeoLite2-Country-Test.mmdb", "GeoIP2-City-Test.mmdb", "GeoIP2-Anonymous-IP-Test.mmdb"];
    let mut geo = Geo::new(three.iter().map(|file| open(&data.join(file))).collect());
    assert_eq!(geo.look_up("81.2.69.142".parse().unwrap()).second.unwrap().code(), "GB");
}

/// Records in the shapes of the three makers.
fn shapes() -> Vec<Value> {
    vec![
        json!({"country": {"iso_code": "DE", "names": {"en": "Germany", "de": "Deutschland"}}, "continent": {"code": "EU"},
            "registered_country": {"iso_code": "NL"}, "location": {"latitude": 51.5, "longitude": -0.1},
            "traits": {"user_type": "hosting", "autonomous_system_number": 64500, "is_anonymous": true}}),
        json!({"country_code": "JP", "continent_code": "AS", "asn": "AS64501", "as_name": "Example", "as_type": "isp"}),
        json!({"hosting": "true", "proxy": "", "tor": "", "vpn": "", "relay": "", "service": ""}),
        json!({"autonomous_system_number": 64502, "autonomous_system_organization": "Beispiel"}),
        json!({"country": "FR", "asn": {"asn": "AS64503", "name": "Exemple", "type": "hosting"}, "list": [1, 2, {"a": []}]}),
    ]
}

fn database(version: IpVersion, size: RecordSize) -> Vec<u8> {
    let mut writer = Writer::builder("Test-Everything").ip_version(version).record_size(size).build();
    for (number, value) in shapes().iter().enumerate() {
        // With holes, or the writer would join them.
        for third in 0..20 {
            writer
                .insert(format!("9.{number}.{}.0/24", third * 2 + 1).parse::<IpNet>().unwrap(), value)
                .unwrap();
        }
        if version == IpVersion::V6 {
            writer.insert(format!("2a00:{number}::/32").parse::<IpNet>().unwrap(), value).unwrap();
            writer.insert(format!("2a00:ff:{number}::1/128").parse::<IpNet>().unwrap(), value).unwrap();
        }
    }
    writer.to_bytes().unwrap()
}

#[test]
fn every_record_size_and_family_tells_the_same() {
    for size in [RecordSize::Bits24, RecordSize::Bits28, RecordSize::Bits32] {
        for version in [IpVersion::V4, IpVersion::V6] {
            let database = Database::from_bytes(database(version, size), "test", &|| true).unwrap();
            let tells = database.tells();
            assert!(tells.countries && tells.systems && tells.infrastructure);
            assert_eq!(database.addresses(&|| true)["DE"], 20 * 256);
            let mut geo = Geo::new(vec![database]);
            let mut ask = |address: &str| {
                let origin = geo.look_up(address.parse().unwrap());
                let class = origin.infrastructure.map(Infrastructure::name);
                (
                    origin.place.code().to_owned(),
                    origin.asn,
                    class,
                    origin.prefix.map(|prefix| prefix.to_string()),
                )
            };
            let prefix = |text: &str| Some(text.to_owned());
            assert_eq!(ask("9.0.3.1"), ("DE".into(), Some(64_500), Some("hosting"), prefix("9.0.3.0/24")));
            assert_eq!(ask("9.1.3.1"), ("JP".into(), Some(64_501), Some("eyeball"), prefix("9.1.3.0/24")));
            assert_eq!(ask("9.4.3.1"), ("FR".into(), Some(64_503), Some("hosting"), prefix("9.4.3.0/24")));
            assert_eq!(ask("9.3.3.1"), ("unknown".into(), Some(64_502), None, None));
            let six = if version == IpVersion::V6 {
                ("JP".into(), Some(64_501), Some("eyeball"), prefix("2a00:1::/32"))
            } else {
                // A database of IPv4 alone knows none of IPv6; that is no error.
                ("unknown".into(), None, None, None)
            };
            assert_eq!(ask("2a00:1::5"), six);
            assert_eq!(geo.errors(), 0);
        }
    }
}

#[test]
fn lookup_and_check_show_the_second_opinion_and_the_kind_of_network() {
    let folder = tempfile::tempdir().unwrap();
    let write = |name: &str, bytes: &[u8]| {
        let path = folder.path().join(name);
        std::fs::write(&path, bytes).unwrap();
        path
    };
    let mut writer = Writer::new("Other-Country");
    writer.insert("9.0.0.0/8".parse::<IpNet>().unwrap(), &json!({"country": {"iso_code": "AT"}})).unwrap();
    let second = write("second.mmdb", &writer.to_bytes().unwrap());
    let first = write("first.mmdb", &database(IpVersion::V6, RecordSize::Bits24));
    let list = write("scanners.txt", b"9.0.3.9 # an honest one\n");
    let text = |list: &Path| {
        format!(
            "[origin]\ndatabases = [{first:?}, {second:?}]\n[[origin.infrastructure]]\nclass = \"scanner\"\nfile = {list:?}\n"
        )
    };
    let settings = write("gatewatch.toml", text(&list).as_bytes());
    let run = |command: &str, addresses: &[&str]| {
        let mut process = Command::new(env!("CARGO_BIN_EXE_gatewatch"));
        process.arg(command).arg("-c").arg(&settings).args(addresses);
        let ended = process.output().unwrap();
        (
            ended.status.code(),
            String::from_utf8_lossy(&ended.stdout).into_owned() + &String::from_utf8_lossy(&ended.stderr),
        )
    };
    let (code, shown) = run("lookup", &["9.0.3.9", "9.0.3.10", "9.3.3.1", "10.0.0.1"]);
    assert_eq!(code, Some(0), "{shown}");
    let lines: Vec<&str> = shown.lines().collect();
    assert!(
        lines[0].contains("DE (Germany), second opinion AT") && lines[0].contains("network scanner"),
        "{shown}"
    );
    assert!(lines[1].contains("network hosting"), "{shown}");
    assert!(lines[2].contains("AT (Austria), ") && lines[2].contains("system AS64502 Beispiel"), "{shown}");
    assert!(!lines[2].contains("second opinion") && lines[2].contains("network not determined"), "{shown}");
    assert!(lines[3].contains("network bogon"), "{shown}");
    let (_, checked) = run("check", &[]);
    assert!(checked.contains("lists of 1 networks"), "{checked}");
    let broken = write("broken.txt", b"9.0.3.9\nnobody\n");
    std::fs::write(&settings, text(&broken)).unwrap();
    let (code, refused) = run("check", &[]);
    assert_eq!(code, Some(78), "{refused}");
    assert!(refused.contains("broken.txt: line 2: \"nobody\""), "{refused}");
}

/// A database whose every node has the next one on both sides: 2 to the power of 127 ways through it.
fn branching(last: impl Fn(u32) -> u32) -> Vec<u8> {
    let mut bytes = database(IpVersion::V6, RecordSize::Bits24);
    let nodes = Reader::from_source(bytes.clone()).unwrap().metadata().node_count;
    for node in 0..nodes {
        let next = if node == 126 { last(nodes) } else { (node + 1).min(nodes - 1) };
        let [_, record @ ..] = next.to_be_bytes();
        let at = node as usize * 6;
        bytes[at..at + 3].copy_from_slice(&record);
        bytes[at + 3..at + 6].copy_from_slice(&record);
    }
    bytes
}

#[test]
fn a_tree_without_end_is_left_in_time() {
    let empty = exhaust(&branching(|nodes| nodes), "empty");
    assert!(empty.unwrap().contains("tells neither"));
    // Every address leads to the same record: usable, but nothing can be counted through such a tree.
    let full = branching(|nodes| nodes + 16);
    assert_eq!(exhaust(&full, "full"), None);
    let database = Database::from_bytes(full, "full", &|| true).unwrap();
    assert!(database.addresses(&|| true).is_empty());
    assert!(exhaust(&branching(|_| 0), "circle").is_some());
}

/// Gives up after so many questions: the same on every machine.
fn impatient(questions: u32) -> impl Fn() -> bool {
    let asked = Cell::new(0);
    move || {
        asked.set(asked.get() + 1);
        asked.get() < questions
    }
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 400, ..ProptestConfig::default() })]

    #[test]
    fn any_damage_is_survived(
        six in any::<bool>(),
        size in 0_usize..3,
        changes in proptest::collection::vec((any::<prop::sample::Index>(), any::<u8>()), 0..24),
        run in (any::<prop::sample::Index>(), 0_usize..64, any::<u8>()),
        kept in proptest::option::weighted(0.3, any::<prop::sample::Index>()),
        near_the_end in any::<bool>(),
    ) {
        let version = if six { IpVersion::V6 } else { IpVersion::V4 };
        let mut bytes = database(version, [RecordSize::Bits24, RecordSize::Bits28, RecordSize::Bits32][size]);
        let length = bytes.len();
        // Half the cases damage the data and the metadata, which are small beside the tree.
        let at = |index: prop::sample::Index| {
            if near_the_end { length - 1 - index.index(length.min(900)) } else { index.index(length) }
        };
        for (index, value) in changes {
            bytes[at(index)] = value;
        }
        let from = at(run.0);
        let to = (from + run.1).min(length);
        bytes[from..to].fill(run.2);
        if let Some(kept) = kept {
            bytes.truncate(kept.index(length));
        }
        let asked = networks(&bytes);
        if let Ok(database) = Database::from_bytes(bytes, "damaged", &impatient(200)) {
            database.addresses(&impatient(200));
            let mut geo = Geo::new(vec![database]);
            for address in asked.into_iter().chain(addresses(100)) {
                geo.look_up(address);
            }
        }
    }
}
