//! Databases and lists replaced under a running daemon, in network namespaces. Needs root, iproute2, curl and python3;
//! without them the test says that it is skipped.

#![allow(
    clippy::disallowed_methods,
    clippy::expect_used,
    clippy::indexing_slicing,
    clippy::panic,
    clippy::print_stderr,
    clippy::unwrap_used,
    reason = "a test stops at the first surprise, says what it skips, and makes databases that are old today"
)]

use std::collections::BTreeMap;
use std::path::Path;
use std::time::{Duration, SystemTime};

#[allow(dead_code, reason = "shared by all tests")]
mod support;

use support::bed::{Bed, obstacle};
use support::daemon::{Daemon, Home};

const CLIENT: &str = "73.10.20.30";

/// A database that puts the client's network into a country, with some more networks to fill it.
fn database(country: &str, age_days: u64, networks: u32) -> Vec<u8> {
    let built = SystemTime::now() - Duration::from_secs(age_days * 86_400);
    let mut writer = mmdb_writer::Writer::builder("Test-Country").build_epoch(built).build();
    let mut insert = |network: String| {
        let network: ipnet::IpNet = network.parse().unwrap();
        writer.insert(network, &serde_json::json!({"country": {"iso_code": country}})).unwrap();
    };
    insert("73.0.0.0/8".to_owned());
    for number in 0..networks {
        insert(format!("5.{}.{}.0/25", number / 256, number % 256));
    }
    writer.to_bytes().unwrap()
}

/// As geoipupdate does it: a new file takes the old one's name.
fn replace(path: &Path, bytes: &[u8]) {
    let new = path.with_extension("new");
    std::fs::write(&new, bytes).unwrap();
    std::fs::rename(&new, path).unwrap();
}

fn attack(bed: &mut Bed, stage: &str) {
    bed.ask(CLIENT, &[format!("http://203.0.113.10/.env?stage={stage}")]);
}

#[test]
fn a_replaced_database_or_list_is_used_without_a_restart_and_a_bad_one_is_not() {
    if let Some(reason) = obstacle() {
        eprintln!("skipped: {reason}");
        return;
    }
    let mut bed = Bed::up();
    let home = Home::new("");
    let (file, list) = (home.path("country.mmdb"), home.path("tor.txt"));
    std::fs::write(&file, database("FR", 100, 500)).unwrap();
    std::fs::write(&list, "192.88.1.1\n").unwrap();
    home.settle(&format!(
        "[origin]\ndatabases = [{file:?}]\n[[origin.infrastructure]]\nclass = \"tor\"\nfile = {list:?}\n"
    ));
    let mut daemon = Daemon::start(&bed, &home, "wan0");
    let old = daemon.await_log("days old");
    assert!(old.contains("Test-Country") && old.contains("100 days"), "{old}");
    assert!(home.status().good().stdout.contains("100 days old"));
    attack(&mut bed, "old");
    replace(&file, &database("BE", 1, 500));
    daemon.await_log("renewed");
    assert!(!home.status().good().stdout.contains("trouble"), "the new one is young and good");
    attack(&mut bed, "new");
    std::fs::write(&file, "garbage").unwrap();
    let refused = daemon.await_log("not taken");
    assert!(refused.contains("country.mmdb") && refused.contains("no MaxMind DB"), "{refused}");
    let status = home.status().good().stdout;
    assert!(status.contains("trouble") && status.contains("country.mmdb"), "{status}");
    attack(&mut bed, "garbage");
    replace(&file, &database("NL", 1, 50));
    let shrunk = daemon.await_log("less than half");
    assert!(shrunk.contains("stays in use"), "{shrunk}");
    attack(&mut bed, "shrunk");
    std::fs::write(&list, "192.88.1.1\n73.10.20.300\n").unwrap();
    replace(&file, &database("NL", 1, 600));
    let line = daemon.await_log("tor.txt");
    assert!(line.contains("line 2"), "{line}");
    std::fs::write(&list, "192.88.1.1\n73.10.20.0/24\n").unwrap();
    daemon.await_log("good again");
    attack(&mut bed, "list");
    std::fs::remove_file(&file).unwrap();
    daemon.await_log("not taken");
    attack(&mut bed, "gone");
    daemon.stop().good();
    let found: BTreeMap<String, (String, Option<String>)> = home
        .events()
        .iter()
        .map(|event| {
            let stage = event["http"]["url"].as_str().unwrap().split("stage=").nth(1).unwrap().to_owned();
            let origin = &event["gatewatch"]["origin"];
            let class = origin["infrastructure"].as_str().map(str::to_owned);
            (stage, (origin["country"].as_str().unwrap().to_owned(), class))
        })
        .collect();
    let expected = [
        ("old", "FR", None),
        ("new", "BE", None),
        ("garbage", "BE", None),
        ("shrunk", "BE", None),
        ("list", "NL", Some("tor")),
        ("gone", "NL", Some("tor")),
    ];
    for (stage, country, class) in expected {
        assert_eq!(found[stage], (country.to_owned(), class.map(str::to_owned)), "{stage}");
    }
}
