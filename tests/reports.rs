//! Every report format against a golden file, and the ways to ask for a report.
//!
//! `UPDATE_GOLDEN=1 cargo test --test reports` writes the golden files anew; read the difference before it is committed.

#![allow(
    clippy::expect_used,
    clippy::indexing_slicing,
    clippy::panic,
    clippy::print_stderr,
    clippy::unwrap_used,
    reason = "a test stops at the first surprise and says what it skips"
)]

use std::fs;
use std::path::{Path, PathBuf};
use std::sync::OnceLock;

use serde_json::Value;

#[allow(dead_code, reason = "shared by all tests")]
mod support;

use support::generator::frames::Link;
use support::generator::plan::Plan;
use support::sensor::{Desk, Ended, capture, files, gatewatch, read_json};

/// A month of few attempts against two sites, so that a person can check the golden files.
const PLAN: &str = r#"
seed = 11
from = [2026, 9]
trend = [1]
home = "CN"
[[site]]
name = "www.town.example"
v4 = "203.0.113.10"
v6 = "2001:db8:2::10"
weight = 3
[[site]]
name = "files.town.example"
v4 = "203.0.113.11"
v6 = "2001:db8:2::11"
weight = 1
[attempts]
CN = 5
DE = 7
KR = 11
US = 37
[kinds]
command = 1
sensitive = 1
sqli = 2
traversal = 1
xss = 1
[noise]
benign = 40
forged_syns = 20
forged_requests = 3
[shape]
keep_alive_percent = 30
pipelined_percent = 40
ipv6_percent = 15
retransmitted_percent = 10
reordered_percent = 30
"#;
const PERIOD: &str = "2026-09";

/// The month, replayed once for all tests.
fn desk() -> &'static Desk {
    static DESK: OnceLock<Desk> = OnceLock::new();
    DESK.get_or_init(|| {
        let plan = Plan::parse(PLAN).expect("the plan");
        let desk = Desk::of(&plan);
        let month = desk.write("month.pcap", &capture(&plan, Link::Ethernet));
        desk.replay("out", &[&month], b"").good();
        desk
    })
}

fn out() -> PathBuf {
    desk().path("out")
}

/// `gatewatch report` from the store of the replay.
fn report(arguments: &[&str]) -> Ended {
    let out = out().display().to_string();
    gatewatch(&[&["report", "--from-dir", &out], arguments].concat(), b"")
}

/// What changes with every version or rule is named, not printed: the golden files hold what was counted.
fn neutral(text: &str) -> String {
    let json = read_json(&out().join(format!("report-{PERIOD}.json")));
    let folder = desk().path("").display().to_string();
    let mut text = text.replace(folder.trim_end_matches('/'), "<folder>");
    for (name, value) in [
        ("sha256", &json["sha256"]),
        ("set_hash", &json["detectors"]["set_hash"]),
        ("config_hash", &json["config_hash"]),
    ] {
        text = text.replace(value.as_str().expect("a hash"), &format!("<{name}>"));
    }
    let version = format!("gatewatch {}", env!("CARGO_PKG_VERSION"));
    text.replace(&version, "gatewatch <version>").replace(
        &format!("\"gatewatch_version\": \"{}\"", env!("CARGO_PKG_VERSION")),
        "\"gatewatch_version\": \"<version>\"",
    )
}

fn assert_golden(name: &str, text: &str) {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/golden").join(name);
    let text = neutral(text);
    if std::env::var_os("UPDATE_GOLDEN").is_some() {
        fs::create_dir_all(path.parent().expect("a folder")).expect("a folder");
        fs::write(&path, text).expect("a golden file written");
        return;
    }
    let golden = fs::read_to_string(&path).unwrap_or_default();
    let differing = golden.lines().zip(text.lines()).position(|(golden, now)| golden != now);
    assert!(
        golden == text,
        "{} differs from line {}:\n  golden: {}\n  now:    {}",
        path.display(),
        differing.map_or(golden.lines().count().min(text.lines().count()), |at| at) + 1,
        differing.and_then(|at| golden.lines().nth(at)).unwrap_or("(end)"),
        differing.and_then(|at| text.lines().nth(at)).unwrap_or("(end)"),
    );
}

#[test]
fn every_format_is_as_its_golden_file() {
    let wanted = format!("report-{PERIOD}");
    let mut kinds = Vec::new();
    for path in files(&out()) {
        let name = path.file_name().unwrap_or_default().to_string_lossy().into_owned();
        let Some(suffix) = name.strip_prefix(&wanted).filter(|suffix| suffix.starts_with('.')) else {
            continue;
        };
        assert_golden(&format!("report{suffix}"), &fs::read_to_string(&path).expect("a report"));
        kinds.push(suffix.rsplit('.').next().unwrap_or_default().to_owned());
    }
    for kind in ["json", "csv", "txt", "html"] {
        assert!(kinds.iter().any(|found| found == kind), "no {kind} among {kinds:?}");
    }
    assert_golden("report.md", &report(&["--month", PERIOD, "--format", "md"]).good().stdout);
}

#[test]
fn the_statement_is_as_its_golden_files_and_an_own_wording_is_checked() {
    for language in ["en", "zh"] {
        let arguments = ["--month", PERIOD, "--statement", "--language", language, "--format", "md"];
        assert_golden(&format!("statement.{language}.md"), &report(&arguments).good().stdout);
    }
    let english = include_str!("../config/statement/en.toml");
    let own = desk().path("own.toml");
    let said = |text: String| {
        fs::write(&own, text).unwrap();
        report(&["--month", PERIOD, "--statement", "--template", &own.display().to_string()])
    };
    let changed = said(english.replace("attacked from overseas", "set upon from afar")).good().stdout;
    assert!(changed.contains("set upon from afar"), "{changed}");
    let refused = said(english.replacen("    \"{counted}\",\n", "", 1));
    assert_eq!(refused.code, Some(65));
    assert!(refused.stderr.contains("strengths.press: misses the qualifier {counted}"), "{}", refused.stderr);
}

#[test]
fn a_comparison_tells_what_it_rests_on() {
    let days =
        |format: &str| report(&["--compare", "2026-09-10", "2026-09-20", "--format", format]).good().stdout;
    assert!(days("text").contains("2026-09-20 compared with 2026-09-10"), "{}", days("text"));
    let json: Value = serde_json::from_str(&days("json")).unwrap();
    for (at, day) in ["2026-09-10", "2026-09-20"].into_iter().enumerate() {
        let of_day: Value =
            serde_json::from_str(&report(&["--day", day, "--format", "json"]).good().stdout).unwrap();
        assert_eq!(json["totals"][0]["counts"][at], of_day["headline"]["attempts"], "{day}");
        assert_eq!(json["totals"][1]["counts"][at], of_day["headline"]["overseas_attempts"], "{day}");
    }
    assert_eq!(json["periods"][0]["detector_sets"].as_array().unwrap().len(), 1);
}

#[test]
fn sources_and_events_of_a_day_are_as_their_golden_files() {
    let day = |prefix: &str| {
        let found = files(&out())
            .into_iter()
            .find(|path| path.file_name().is_some_and(|name| name.to_string_lossy().starts_with(prefix)));
        fs::read_to_string(found.unwrap_or_else(|| panic!("no {prefix} file"))).expect("a file")
    };
    assert_golden("sources.csv", &day("sources-"));
    let first: Value = serde_json::from_str(day("events-").lines().next().expect("a line")).expect("JSON");
    assert_golden("event.json", &format!("{first:#}\n"));
}

#[test]
fn the_store_prints_what_the_closed_file_holds() {
    for (format, suffix) in [("json", "json"), ("text", "txt"), ("html", "html")] {
        let printed = report(&["--month", PERIOD, "--format", format]).good().stdout;
        let file = fs::read_to_string(out().join(format!("report-{PERIOD}.{suffix}"))).expect("a report");
        if format == "json" {
            let (printed, file): (Value, Value) =
                (serde_json::from_str(&printed).unwrap(), serde_json::from_str(&file).unwrap());
            for part in ["totals", "headline", "sites", "origins", "classes", "grades", "series", "losses"] {
                assert_eq!(printed[part], file[part], "{part}");
            }
        } else {
            let figures = |text: &str| text.lines().filter(|line| !line.contains("sha256")).count();
            assert_eq!(figures(&printed), figures(&file), "{format}");
        }
    }
}

#[test]
fn the_sites_of_a_month_add_up_to_it() {
    let whole: Value =
        serde_json::from_str(&report(&["--month", PERIOD, "--format", "json"]).good().stdout).unwrap();
    let mut sum = 0;
    for site in ["www.town.example", "files.town.example"] {
        let part = report(&["--month", PERIOD, "--site", site, "--format", "json"]).good().stdout;
        let part: Value = serde_json::from_str(&part).unwrap();
        assert_eq!(part["site"], site);
        let attempts = part["totals"]["attempts"].as_u64().unwrap();
        let row = whole["sites"].as_array().unwrap().iter().find(|row| row["id"] == site).unwrap();
        assert_eq!(row["attempts"], attempts);
        sum += attempts;
    }
    assert_eq!(sum, whole["totals"]["attempts"].as_u64().unwrap());
}

#[test]
fn a_range_is_the_sum_of_its_days() {
    let day = |from: &str, to: &str| -> u64 {
        let text = report(&["--from", from, "--to", to, "--format", "json"]).good().stdout;
        serde_json::from_str::<Value>(&text).unwrap()["totals"]["attempts"].as_u64().unwrap()
    };
    let halves = day("2026-09-01", "2026-09-14") + day("2026-09-15", "2026-09-30");
    assert_eq!(halves, day("2026-09", "2026-09"));
    assert_eq!(halves, 63, "60 attempts and 3 forged ones");
}

#[test]
fn the_hash_of_a_report_is_that_of_its_canonical_form() {
    let tool = std::process::Command::new("python3").arg("--version").output();
    if tool.is_err() {
        eprintln!("skipped: python3 is not installed");
        return;
    }
    // An independent reading of RFC 8785: sorted keys, no white space; the report's floats are short decimals.
    let program = "import json,hashlib,sys
r=json.load(open(sys.argv[1])); told=r.pop('sha256')
def norm(v):
    if isinstance(v,float) and v.is_integer(): return int(v)
    if isinstance(v,dict): return {k:norm(x) for k,x in v.items()}
    if isinstance(v,list): return [norm(x) for x in v]
    return v
t=json.dumps(norm(r),sort_keys=True,separators=(',',':'),ensure_ascii=False)
print(told==hashlib.sha256(t.encode()).hexdigest())";
    let mut command = std::process::Command::new("python3");
    command.args(["-c", program]).arg(out().join(format!("report-{PERIOD}.json")));
    let ended = support::sensor::run(command, b"", support::sensor::PATIENCE).good();
    assert_eq!(ended.stdout.trim(), "True", "{}", ended.stderr);
}

#[test]
fn questions_that_have_no_answer_are_refused_with_the_reason() {
    for (arguments, code, told) in [
        (&["--month", "2026-13"][..], 64, "--month"),
        (&["--month", "2026"], 64, "another kind of period"),
        (&["--year", "2026", "--format", "pdf"], 64, "json, csv, text, html, md"),
        (&["--from", "2026-09-02", "--to", "2026-09-01"], 64, "lies before"),
        (&[], 64, "--month 2012-06"),
        (&["--year", "2026", "--time-zone", "Asia/Atlantis"], 64, "--time-zone"),
        (&["--compare", "2026-09", "2026"], 64, "not of one kind"),
        (&["--compare", "2026-09", "2026-09"], 64, "compared with itself"),
        (&["--compare", "2026-09"], 64, "--compare"),
        (&["--compare", "2026-08", "2026-09", "--format", "html"], 64, "text, md, json, csv"),
        (&["--year", "2026", "--statement", "--format", "html"], 64, "text, md, json"),
        (&["--year", "2026", "--statement", "--language", "tlh"], 64, "en, zh"),
        (&["--year", "2026", "--statement", "--template", "/nowhere.toml"], 66, "/nowhere.toml"),
    ] {
        let ended = report(arguments);
        assert_eq!(ended.code, Some(code), "{arguments:?}: {ended:?}");
        assert!(ended.stderr.contains(told), "{arguments:?}: {}", ended.stderr);
    }
    let empty = desk().path("empty");
    fs::create_dir_all(&empty).unwrap();
    let ended = gatewatch(&["report", "--year", "2026", "--from-dir", &empty.display().to_string()], b"");
    assert_eq!(ended.code, Some(66));
    assert!(ended.complaint().contains("gatewatch.sqlite"), "{}", ended.stderr);
}
