//! A month counted by one database and recounted by another: exact numbers while the addresses are kept, and afterwards.

#![allow(
    clippy::expect_used,
    clippy::indexing_slicing,
    clippy::panic,
    clippy::print_stderr,
    clippy::unwrap_used,
    reason = "a test stops at the first surprise and says what it skips"
)]

use std::fmt::Write as _;
use std::fs;
use std::net::Ipv4Addr;
use std::path::Path;
use std::sync::OnceLock;

use rusqlite::Connection;
use serde_json::Value;

#[allow(dead_code, reason = "shared by all tests")]
mod support;

use support::generator::countries::SPACES;
use support::generator::frames::Link;
use support::generator::plan::Plan;
use support::sensor::{Desk, Ended, capture, files, gatewatch};

/// Sixty attempts in the headline, five of them from home, and three forged ones.
const PLAN: &str = r#"
seed = 11
from = [2026, 9]
trend = [1]
home = "CN"
[[site]]
name = "www.town.example"
v4 = "203.0.113.10"
v6 = "2001:db8:2::10"
weight = 1
[attempts]
CN = 5
DE = 7
KR = 11
US = 37
[kinds]
command = 1
sqli = 2
[noise]
benign = 10
forged_syns = 5
forged_requests = 3
[shape]
keep_alive_percent = 0
pipelined_percent = 0
ipv6_percent = 15
retransmitted_percent = 0
reordered_percent = 0
"#;

/// A month replayed with database A, and database B beside it.
struct Month {
    desk: Desk,
    /// Attempts of the source whose /24 database B puts into Canada but for a quarter that it is not in.
    canadian: u64,
    /// Attempts of the source whose /24 database B leaves in the United States but for the quarter it is in.
    mexican: u64,
    /// The first of the two.
    canadian_source: Ipv4Addr,
}

fn build(desk: &Desk, name: &str, date: &str, lines: &str) {
    let source = desk.write(&format!("{name}.csv"), lines.as_bytes());
    let output = desk.path(&format!("{name}.mmdb")).display().to_string();
    let source = source.display().to_string();
    gatewatch(&["geo", "build", &source, "-o", &output, "--date", date], b"").good();
}

fn network(address: Ipv4Addr, length: u32) -> String {
    let kept = address.to_bits() & (u32::MAX << (32 - length));
    format!("{}/{length}", Ipv4Addr::from_bits(kept))
}

fn month() -> &'static Month {
    static MONTH: OnceLock<Month> = OnceLock::new();
    MONTH.get_or_init(|| {
        let plan = Plan::parse(PLAN).expect("the plan");
        let desk = Desk::of(&plan);
        let lines = |codes: &dyn Fn(&str) -> Option<&'static str>| {
            SPACES.iter().fold(String::new(), |mut text, space| {
                if let Some(code) = codes(space.country) {
                    for network in space.networks() {
                        let _ = writeln!(text, "{network},{code}");
                    }
                }
                text
            })
        };
        build(&desk, "a", "2026-09-01", &lines(&|code| SPACES.iter().map(|space| space.country).find(|own| *own == code)));
        let database = desk.path("a.mmdb").display().to_string();
        let settings = plan.settings().replace("[origin]", &format!("[origin]\ndatabases = [{database:?}]"));
        fs::write(desk.settings(), settings).expect("settings written");
        let frames = desk.write("month.pcap", &capture(&plan, Link::Ethernet));
        desk.replay("out", &[&frames], b"").good();

        let store = Connection::open(desk.path("out/gatewatch.sqlite")).unwrap();
        let mut statement = store
            .prepare(
                "SELECT source, sum(attempts) FROM source_day WHERE headline AND place = 'US' AND source NOT LIKE '%:%'
                 GROUP BY source ORDER BY 2 DESC, 1 LIMIT 2",
            )
            .unwrap();
        let largest: Vec<(String, i64)> =
            statement.query_map([], |row| Ok((row.get(0)?, row.get(1)?))).unwrap().map(Result::unwrap).collect();
        let address = |at: usize| largest[at].0.parse::<Ipv4Addr>().unwrap();
        let attempts = |at: usize| largest[at].1.unsigned_abs();
        let (first, second) = (address(0), address(1));
        // The Koreans are unknown to B, Germany's addresses are Austrian, China's are Taiwanese.
        let mut b = lines(&|code| match code {
            "KR" => None,
            "DE" => Some("AT"),
            "CN" => Some("TW"),
            _ => SPACES.iter().map(|space| space.country).find(|own| *own == code),
        });
        let other_half = Ipv4Addr::from_bits(first.to_bits() ^ 128);
        let _ = writeln!(b, "{},CA\n{},CA\n{},MX", network(first, 25), network(other_half, 26), network(second, 26));
        build(&desk, "b", "2026-10-01", &b);
        Month { canadian: attempts(0), mexican: attempts(1), canadian_source: first, desk }
    })
}

fn recount(folder: &Path, database: &str, arguments: &[&str]) -> Ended {
    let month = month();
    let (settings, folder) = (month.desk.settings().display().to_string(), folder.display().to_string());
    let database = month.desk.path(database).display().to_string();
    let asked = ["recount", "-c", &settings, "--from-dir", &folder, "--geo", &database];
    gatewatch(&[&asked, arguments].concat(), b"")
}

fn json(folder: &Path, database: &str) -> Value {
    let ended = recount(folder, database, &["--month", "2026-09", "--format", "json"]).good();
    let json: Value = serde_json::from_str(&ended.stdout).expect("JSON");
    let sum = |column: &str| -> u64 {
        json["countries"].as_array().unwrap().iter().map(|row| row[column].as_u64().unwrap()).sum()
    };
    assert_eq!(json["total"], 60);
    assert_eq!((sum("before"), sum("after")), (60, 60), "{json:#}");
    assert_eq!((sum("moved_in"), sum("moved_out")), (moved(&json), moved(&json)), "{json:#}");
    let sectors = |column: &str| -> u64 {
        json["sectors"].as_array().unwrap().iter().map(|row| row[column].as_u64().unwrap()).sum()
    };
    assert_eq!((sectors("before"), sectors("after")), (63, 63));
    json
}

fn moved(json: &Value) -> u64 {
    json["moved"]["attempts"].as_u64().unwrap()
}

/// Attempts of a country before and after.
fn country(json: &Value, code: &str) -> (u64, u64) {
    let row = json["countries"].as_array().unwrap().iter().find(|row| row["code"] == code);
    row.map_or((0, 0), |row| (row["before"].as_u64().unwrap(), row["after"].as_u64().unwrap()))
}

fn sector(json: &Value, id: &str) -> (u64, u64) {
    let row = json["sectors"].as_array().unwrap().iter().find(|row| row["id"] == id).unwrap();
    (row["before"].as_u64().unwrap(), row["after"].as_u64().unwrap())
}

/// The month's folder once more, its store changed by `sql`.
fn changed(name: &str, sql: &str) -> std::path::PathBuf {
    let (from, to) = (month().desk.path("out"), month().desk.path(name));
    fs::create_dir_all(&to).unwrap();
    for file in files(&from).iter().filter(|file| file.display().to_string().contains("gatewatch.sqlite")) {
        fs::copy(file, to.join(file.file_name().unwrap())).unwrap();
    }
    Connection::open(to.join("gatewatch.sqlite")).unwrap().execute_batch(sql).unwrap();
    to
}

#[test]
fn the_same_database_moves_nothing() {
    let out = month().desk.path("out");
    let report = month().desk.report("out", "2026-09");
    for folder in [out, changed("gone-a", "UPDATE source_day SET source = ''")] {
        let json = json(&folder, "a.mmdb");
        assert_eq!(moved(&json), 0, "{json:#}");
        assert_eq!(json["before"], json["after"]);
        assert_eq!(json["before"]["overseas_attempts"], report["headline"]["overseas_attempts"]);
        assert_eq!(json["before"]["top_country"], report["headline"]["top_country"]["code"]);
        assert_eq!(json["before"]["top_share"], report["headline"]["top_country"]["share"]);
        assert_eq!(json["databases_before"][0]["sha256"], json["database_after"]["sha256"]);
        assert_eq!(json["in_split_prefixes"]["attempts"], 0);
        for row in report["sectors"].as_array().unwrap() {
            let attempts = row["attempts"].as_u64().unwrap();
            assert_eq!(sector(&json, row["id"].as_str().unwrap()), (attempts, attempts));
        }
    }
}

#[test]
fn another_database_moves_exactly_what_it_puts_elsewhere() {
    let month = month();
    let json = json(&month.desk.path("out"), "b.mmdb");
    let (canadian, mexican) = (month.canadian, month.mexican);
    assert!(canadian > mexican && mexican > 0);
    let american = 37 - canadian - mexican;
    for (code, attempts) in [
        ("US", (37, american)),
        ("CA", (0, canadian)),
        ("MX", (0, mexican)),
        ("KR", (11, 0)),
        ("unknown", (0, 11)),
        ("DE", (7, 0)),
        ("AT", (0, 7)),
        ("CN", (5, 0)),
        ("TW", (0, 5)),
    ] {
        assert_eq!(country(&json, code), attempts, "{code}");
    }
    assert_eq!(moved(&json), canadian + mexican + 11 + 7 + 5);
    assert_eq!(json["before"]["overseas_attempts"], 55);
    assert_eq!(
        json["after"]["overseas_attempts"],
        37 + 7 + 5,
        "what is unknown is not overseas, Taiwan is not home"
    );
    assert_eq!(sector(&json, "domestic"), (5, 0));
    assert_eq!(sector(&json, "not_provable"), (3, 3));
    assert_eq!(json["by_prefix"]["attempts"], 0);
    assert_eq!(json["after"]["top_country"], "US");
    let share = (american as f64 / 49.0 * 1e6).round() / 1e6;
    assert_eq!(json["after"]["top_share"], share);
    assert_eq!(json["database_after"]["build_date"], "2026-10-01T00:00:00Z");
    assert_eq!(json["databases_before"][0]["build_date"], "2026-09-01T00:00:00Z");
}

#[test]
fn prefixes_stand_for_addresses_that_are_gone() {
    let month = month();
    let json = json(&changed("gone", "UPDATE source_day SET source = ''"), "b.mmdb");
    let (canadian, mexican) = (month.canadian, month.mexican);
    // Both prefixes are split: three quarters of the one are in Canada, three of the other in the United States.
    assert_eq!(country(&json, "US"), (37, 37 - canadian));
    assert_eq!((country(&json, "CA"), country(&json, "MX")), ((0, canadian), (0, 0)));
    assert_eq!(country(&json, "AT"), (0, 7));
    assert_eq!(json["by_prefix"]["attempts"], 60);
    assert_eq!(json["in_split_prefixes"]["attempts"], canadian + mexican);
    assert_eq!(json["not_recountable"]["attempts"], 0);
}

#[test]
fn a_remainder_without_a_prefix_stays_where_it_was() {
    let json = json(
        &changed("rest", "UPDATE source_day SET source = '', prefix = '' WHERE place IN ('KR', 'CN')"),
        "b.mmdb",
    );
    assert_eq!(json["not_recountable"]["attempts"], 16);
    assert_eq!((country(&json, "KR"), country(&json, "CN")), ((11, 11), (5, 5)));
    assert_eq!(sector(&json, "domestic"), (5, 5));
}

#[test]
fn a_pseudonym_is_looked_up_by_its_prefix() {
    let source = month().canadian_source;
    let sql = format!("UPDATE source_day SET source = 'fd12:3456:789a:bcde::/64' WHERE source = '{source}'");
    let json = json(&changed("pseudonym", &sql), "b.mmdb");
    assert_eq!(country(&json, "CA"), (0, month().canadian));
    assert_eq!(country(&json, "private"), (0, 0));
    assert_eq!(json["in_split_prefixes"]["attempts"], month().canadian);
}

#[test]
fn the_text_says_the_same_in_72_columns() {
    let month = month();
    let folder = changed("text", "UPDATE source_day SET source = ''");
    let text = recount(&folder, "b.mmdb", &["--month", "2026-09"]).good().stdout;
    let words = text.split_whitespace().collect::<Vec<_>>().join(" ");
    for told in [
        "gatewatch recount of 2026-09".to_owned(),
        "Before: 55 attempts from overseas; 67.3 per cent came from the United States.".to_owned(),
        "60 attempts (100.0 per cent) were looked up by the prefix of their source".to_owned(),
        format!("{} attempts (", month.canadian + month.mexican),
        "are in prefixes that the database splits".to_owned(),
    ] {
        assert!(words.contains(&told), "{told:?} is not in {text}");
    }
    // A hash is a word of its own and longer than what is left of a line, but not than a line.
    assert!(text.lines().all(|line| line.chars().count() <= 72), "{text}");
    let file = month.desk.path("recount.txt");
    recount(&folder, "b.mmdb", &["--month", "2026-09", "-o", &file.display().to_string()]).good();
    assert_eq!(fs::read_to_string(file).unwrap(), text);
    let day = recount(&folder, "b.mmdb", &["--year", "2026", "--format", "json"]).good().stdout;
    assert_eq!(serde_json::from_str::<Value>(&day).unwrap()["total"], 60);
}

#[test]
fn what_cannot_be_recounted_is_refused_with_the_reason() {
    let out = month().desk.path("out");
    for (database, arguments, code, told) in [
        ("b.mmdb", &[][..], 64, "--month 2012-06"),
        ("b.mmdb", &["--month", "2026"], 64, "another kind of period"),
        ("b.mmdb", &["--month", "2026-09", "--format", "html"], 64, "text, json"),
        ("c.mmdb", &["--month", "2026-09"], 66, "is no file"),
        ("b.csv", &["--month", "2026-09"], 65, "MaxMind"),
        ("b.mmdb", &["--month", "2026-08"], 66, "no attempt"),
    ] {
        let ended = recount(&out, database, arguments);
        assert_eq!(ended.code, Some(code), "{arguments:?}: {ended:?}");
        assert!(ended.complaint().contains(told), "{arguments:?}: {}", ended.stderr);
    }
}
