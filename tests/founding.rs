//! The founding year the hard way: proxies, lies, copies, a dead tap, another database, other rules. Every report must say so,
//! and every count must be the one of an independent plain recount from the plan.

#![allow(
    clippy::expect_used,
    clippy::indexing_slicing,
    clippy::panic,
    clippy::print_stderr,
    clippy::unwrap_used,
    reason = "a test stops at the first surprise and says what it skips"
)]

use std::collections::BTreeSet;
use std::ffi::OsStr;
use std::fs;
use std::path::{Path, PathBuf};

use serde_json::Value;

#[allow(dead_code, reason = "shared by all tests")]
mod support;

use support::compare::{differences, micros, observed};
use support::generator::capture::write_slots;
use support::generator::expect::Expected;
use support::generator::frames::Link;
use support::generator::plan::Plan;
use support::generator::recount::{Attempt, Recount, View};
use support::sensor::{Desk, files, gatewatch};
use support::year::{OTHER_RULES, SECOND_DATABASE, Taken, Year, captures, taken, verify, year};

#[test]
fn the_plan_holds_every_hardship_in_numbers_that_prove_something() {
    let year = year();
    let attempts = &year.recount.attempts;
    let count = |is: &dyn Fn(&Attempt) -> bool| attempts.iter().filter(|attempt| is(attempt)).count();
    assert!(count(&|attempt| attempt.grade == "E3") > 2_000);
    assert!(count(&|attempt| attempt.grade == "X") > 100);
    assert!(count(&|attempt| attempt.grade == "E0") > 300);
    assert!(count(&|attempt| attempt.client.is_ipv6()) > 1_000);
    assert!(count(&|attempt| !attempt.begins_incident) > 700);
    assert!(count(&|attempt| !attempt.opens_session) > 300);
    assert!(count(&|attempt| attempt.country == "HK") > 100);
    let expected = Expected::of(&year.plan);
    assert!(expected.attempts_lost > 30 && expected.hours_lost == 24, "{expected:?}");
}

#[test]
fn every_count_of_every_report_is_the_one_of_the_plain_recount() {
    let year = year();
    let reports = &year.last().reports;
    let mut wrong = Vec::new();
    for (period, report) in reports {
        let list = differences(&year.recount, &year.watched, report);
        wrong.extend(list.into_iter().map(|text| format!("{period}: {text}")));
    }
    assert!(
        wrong.is_empty(),
        "{} differences, the first:\n{}",
        wrong.len(),
        wrong[..wrong.len().min(60)].join("\n")
    );
    let lengths = |length: usize| reports.keys().filter(|period| period.len() == length).count();
    // The day of the outage has no report.
    assert_eq!((lengths(4), lengths(7), lengths(10)), (1, 12, 365));
}

/// Both must hold the same lines, each once.
fn assert_same(found: &[String], wanted: &BTreeSet<String>) {
    let lines: BTreeSet<String> = found.iter().cloned().collect();
    let missing: Vec<_> = wanted.difference(&lines).take(20).collect();
    let surplus: Vec<_> = lines.difference(wanted).take(20).collect();
    assert!(missing.is_empty() && surplus.is_empty(), "missing: {missing:#?}\nsurplus: {surplus:#?}");
    assert_eq!(found.len(), wanted.len(), "a line is there twice");
}

#[test]
fn every_attempt_has_the_one_event_that_the_plan_foretells() {
    let year = year();
    let line = |event: &Value| {
        let time = micros(&event["timestamp"]).to_string();
        let at = |place: &str| event.pointer(place).and_then(Value::as_str).unwrap_or("-").to_owned();
        let places = ["/src_ip", "/gatewatch/class", "/gatewatch/site", "/gatewatch/grade"];
        let words = places.map(at).join(" ");
        format!("{time} {words} {}", at("/gatewatch/origin/country"))
    };
    let found: Vec<String> = year.desk.events("out").iter().map(line).collect();
    let wanted = year.recount.attempts.iter().map(|attempt| {
        let Attempt { time, client, class, site, grade, country, .. } = attempt;
        format!("{time} {client} {class} {site} {grade} {country}")
    });
    assert_same(&found, &wanted.collect());
}

#[test]
fn the_comparison_finds_a_single_unit() {
    let year = year();
    let mut recount = year.recount.clone();
    let moved = recount.attempts.iter_mut().find(|attempt| attempt.sector == "overseas").expect("one");
    moved.country = "ZZ".to_owned();
    let list = differences(&recount, &year.watched, year.report("2012"));
    assert!(list.iter().any(|text| text.contains("origins: no row ZZ, should have 1 attempts")), "{list:?}");
    recount.attempts.remove(0);
    let list = differences(&recount, &year.watched, year.report("2012"));
    assert!(list.iter().any(|text| text.starts_with("totals.attempts")), "{list:?}");
}

#[test]
fn the_day_without_a_tap_is_stated_and_not_made_up_for() {
    let year = year();
    let outage = year.plan.outage.as_ref().expect("an outage");
    let month = year.report("2012-05");
    let coverage = &month["period"]["coverage"];
    let (from, to) = (micros(&month["period"]["from"]), micros(&month["period"]["to"]));
    let missing = (to - from) / 1_000_000 - observed(&year.watched, from, to);
    assert!(missing >= outage.hours * 3_600, "{missing}");
    let told = coverage["seconds"].as_u64().unwrap() - coverage["seconds_observed"].as_u64().unwrap();
    assert_eq!(told, missing);
    assert!(coverage["share"].as_f64().is_some_and(|share| share < 0.97), "{coverage}");
    let day = format!("2012-05-{:02}", outage.day);
    let steps = month["series"].as_array().unwrap();
    let step = steps.iter().find(|step| step["period"] == day.as_str()).expect("the day has a step");
    assert_eq!((&step["seconds_observed"], &step["attempts"]), (&Value::from(0), &Value::from(0)));
    assert!(!year.last().reports.contains_key(&day), "nothing was captured, so nothing is reported");
    let text = &year.last().files["report-2012-05.txt"];
    assert!(text.contains("per\ncent)") || text.contains("per cent)"), "{text}");
    assert!(text.contains("of 2,678,400 seconds"), "{text}");
    assert!(year.report("2012")["period"]["coverage"]["share"].as_f64().is_some_and(|share| share < 1.0));
    let normalised = year.report("2012")["headline"]["overseas_monthly_mean_normalised"].as_f64().unwrap();
    assert!(normalised > year.report("2012")["headline"]["overseas_monthly_mean"].as_f64().unwrap());
}

#[test]
fn each_month_names_the_database_and_the_rules_that_made_it() {
    let year = year();
    let month = |number: usize| year.report(&format!("2012-{:02}", number + 1));
    let rules = |number: usize| month(number)["detectors"]["set_hash"].clone();
    for number in 0..12 {
        let database = &year.databases[usize::from(number >= SECOND_DATABASE)];
        assert_eq!(month(number)["databases"][0]["sha256"], database.as_str(), "month {number}");
        assert_eq!(rules(number) == rules(0), number < OTHER_RULES, "month {number}");
    }
}

#[test]
fn the_year_states_where_its_database_and_its_rules_changed() {
    let year = year();
    let report = year.report("2012");
    let Some(regimes) = report["regimes"].as_array() else {
        eprintln!("skipped: reports of this version have no regimes");
        return;
    };
    let wanted = [
        ("2012-01-01T", "2012-06-30T", None, 0),
        ("2012-07-01T", "2012-09-30T", Some("database"), 1),
        ("2012-10-01T", "2012-12-31T", Some("detectors"), 1),
    ];
    assert_eq!(regimes.len(), wanted.len(), "{regimes:#?}");
    for (regime, (from, last, changed, database)) in regimes.iter().zip(wanted) {
        let text = |name: &str| regime[name].as_str().unwrap_or_default();
        assert!(text("from").starts_with(from) && text("last").starts_with(last), "{regime:#}");
        assert_eq!(regime["databases"][0]["sha256"], year.databases[database].as_str());
        let told: Vec<&str> =
            regime["changed"].as_array().unwrap().iter().filter_map(Value::as_str).collect();
        assert_eq!(told.contains(&"database"), changed == Some("database"), "{regime:#}");
        assert_eq!(told.contains(&"detectors"), changed == Some("detectors"), "{regime:#}");
    }
    assert_ne!(regimes[1]["detector_set"], regimes[2]["detector_set"]);
    let breaks = |period: &str| {
        let steps = report["series"].as_array().unwrap();
        steps.iter().find(|step| step["period"] == period).unwrap()["breaks"].to_string()
    };
    assert!(breaks("2012-07").contains("database") && breaks("2012-10").contains("detectors"));
    for month in ["2012-02", "2012-08", "2012-11"] {
        assert_eq!(breaks(month), "[]", "{month}");
    }
}

#[test]
fn ranges_and_single_sites_are_counted_as_exactly() {
    let year = year();
    let folder = year.desk.path("out").display().to_string();
    let ask = |words: &[&str]| -> Value {
        let arguments = [&["report", "--from-dir", &folder, "--format", "json"], words].concat();
        serde_json::from_str(&gatewatch(&arguments, b"").good().stdout).expect("JSON")
    };
    // Over both changes and the outage, and over a month's end.
    for (from, to) in [("2012-05", "2012-11"), ("2012-09-20", "2012-10-10")] {
        let range = ask(&["--from", from, "--to", to]);
        assert_eq!(differences(&year.recount, &year.watched, &range), Vec::<String>::new(), "{from} to {to}");
    }
    for site in &year.plan.site {
        let mut recount = year.recount.clone();
        recount.attempts.retain(|attempt| attempt.site == site.name);
        let report = ask(&["--year", "2012", "--site", &site.name]);
        assert_eq!(differences(&recount, &year.watched, &report), Vec::<String>::new(), "{}", site.name);
    }
}

#[test]
fn what_was_closed_never_changes_and_a_correction_names_it() {
    let year = year();
    for pair in year.stages.windows(2) {
        // Links to what is latest follow it.
        for (name, content) in pair[0].files.iter().filter(|(name, _)| !name.starts_with("latest-")) {
            assert_eq!(pair[1].files.get(name), Some(content), "{name} was changed");
        }
    }
    let names: Vec<&str> = year
        .last()
        .files
        .keys()
        .map(String::as_str)
        .filter(|name| name.starts_with("report-") && name.contains(".c"))
        .collect();
    let grown = ["report-2012.c2.json", "report-2012.c2.txt", "report-2012.c3.json", "report-2012.c3.txt"];
    assert_eq!(names, grown, "only the year grew from stage to stage");
    assert_eq!(year.report("2012")["corrects"], "report-2012.c2.json");
}

#[test]
fn the_same_packets_again_change_nothing() {
    let year = year();
    let [.., before, after] = year.stages.as_slice() else { panic!("stages") };
    let names = |folder: &Taken| folder.files.keys().cloned().collect::<Vec<_>>();
    assert_eq!(names(before), names(after));
    let again = december_again(year);
    assert!(again.files.contains_key("report-2012-12.c2.json"), "the other file was read");
    for period in ["2012-12", "2012"] {
        let (first, second) = (year.report(period), &again.reports[period]);
        for table in ["sites", "classes", "grades", "sectors", "origins"] {
            assert_eq!(first[table], second[table], "{table} of {period}");
        }
        for unit in ["attempts", "sessions", "incidents", "sources"] {
            assert_eq!(first["totals"][unit], second["totals"][unit], "{unit} of {period}");
        }
        for member in ["attempts", "overseas_attempts", "top_country", "dominance", "text"] {
            assert_eq!(first["headline"][member], second["headline"][member], "{member} of {period}");
        }
    }
}

/// A copy of the folder, into which the last month was replayed in another wrapping: another file, the same attempts.
fn december_again(year: &Year) -> Taken {
    let copy = tempfile::tempdir().unwrap();
    for file in files(&year.desk.path("out")) {
        fs::copy(&file, copy.path().join(file.file_name().unwrap())).unwrap();
    }
    let bytes = write_slots(&year.plan, Link::Sll2, |slot| slot.month == 11, Vec::new()).expect("memory");
    let (settings, out) = (year.desk.settings(), copy.path());
    let words = [OsStr::new("replay"), OsStr::new("-c"), settings.as_os_str(), OsStr::new("-o")];
    let arguments: Vec<&OsStr> = words.into_iter().chain([out.as_os_str(), OsStr::new("-")]).collect();
    gatewatch(&arguments, &bytes).good();
    verify(copy.path());
    taken(copy.path())
}

#[test]
fn time_watched_twice_is_observed_once() {
    let year = year();
    let again = december_again(year);
    for period in ["2012-12", "2012"] {
        let coverage = |report: &Value| report["period"]["coverage"].clone();
        assert_eq!(coverage(&again.reports[period]), coverage(year.report(period)), "{period}");
    }
}

#[test]
fn every_source_of_every_day_is_listed_with_its_counts() {
    let year = year();
    let mut found = Vec::new();
    for (name, text) in &year.last().files {
        let Some(day) = name.strip_prefix("sources-").and_then(|rest| rest.strip_suffix(".csv")) else {
            continue;
        };
        for line in text.lines().skip(1) {
            let fields: Vec<&str> = line.split(',').collect();
            let [source, country, _, grade, class, site, attempts, incidents, ..] = fields[..] else {
                panic!("{name}: {line}")
            };
            found.push([day, source, country, grade, class, site, attempts, incidents].join(" "));
        }
    }
    assert_same(&found, &year.recount.source_days());
}

/// A month of one country's bursts, cut in the middle into two files without a gap.
const CUT: &str = r#"
seed = 7
from = [2026, 10]
trend = [1]
home = "CN"
[[site]]
name = "www.town.example"
v4 = "203.0.113.10"
v6 = "2001:db8:2::10"
weight = 1
[attempts]
US = 8000
[kinds]
sqli = 1
[noise]
benign = 0
forged_syns = 0
forged_requests = 0
[shape]
keep_alive_percent = 30
pipelined_percent = 40
ipv6_percent = 15
retransmitted_percent = 10
reordered_percent = 30
burst_percent = 90
[outage]
month = 0
day = 10
hour = 3
hours = 0
"#;

/// The reports of the month of [`CUT`], and its recount: both files in one replay, or in two.
fn cut_month(in_turn: bool) -> (Taken, Recount, Vec<(u64, u64)>) {
    let plan = Plan::parse(CUT).expect("the plan");
    let desk = Desk::of(&plan);
    let view = View { country: &|_, _| "US".to_owned(), knows: &|_, _| true };
    let (captures, watched) = captures(&plan, &desk, &[]);
    let all: Vec<&Path> = captures.iter().map(PathBuf::as_path).collect();
    for inputs in if in_turn { all.chunks(1) } else { all.chunks(2) } {
        desk.replay("out", inputs, b"").good();
        verify(&desk.path("out"));
    }
    (taken(&desk.path("out")), Recount::of(&plan, &view), watched)
}

#[test]
fn two_files_in_one_replay_are_counted_as_one() {
    let (found, recount, watched) = cut_month(false);
    assert_eq!(differences(&recount, &watched, &found.reports["2026-10"]), Vec::<String>::new());
}

#[test]
fn an_incident_that_goes_on_in_the_next_replay_is_one() {
    let (found, recount, watched) = cut_month(true);
    assert_eq!(differences(&recount, &watched, &found.reports["2026-10"]), Vec::<String>::new());
}
