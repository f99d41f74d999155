//! `gatewatch explain`: why something was counted, from the event files.

use std::collections::BTreeMap;
use std::fmt::Write as _;
use std::fs::File;
use std::io::{BufRead, BufReader, Read};
use std::net::IpAddr;
use std::path::{Path, PathBuf};
use std::process::ExitCode;

use serde_json::Value;

use crate::app::commands::say;
use crate::detect::{Detector, RuleInfo};
use crate::exit::Fatal;
use crate::model::pseudonym::MonthKey;
use crate::report::text::lines::safe;

/// Attempts told in full; the others are counted.
const TOLD_MAX: usize = 50;
/// Longest line that is read of an event file: ours are a few kilobytes.
const LINE_MAX_BYTES: u64 = 1 << 20;

/// What is asked for.
enum Question<'a> {
    /// The address, and what may be written in its place.
    Address(Vec<IpAddr>),
    Event(&'a str),
}

/// Prints every attempt of an address, or the one with an id, with its evidence.
///
/// With the key of pseudonyms an address is found under those of the months that have a key.
pub fn run(
    folder: &Path,
    asked: &str,
    detector: &Detector,
    key: Option<&MonthKey>,
) -> Result<ExitCode, Fatal> {
    let question =
        asked.parse().map_or(Question::Event(asked), |address| Question::Address(names(address, key)));
    let wanted: Vec<String> = match &question {
        Question::Address(addresses) => addresses.iter().map(IpAddr::to_string).collect(),
        Question::Event(id) => vec![(*id).to_owned()],
    };
    let rules: BTreeMap<String, RuleInfo> = detector.rules().map(|rule| (rule.id.clone(), rule)).collect();
    let files = event_files(folder)?;
    let mut found = 0;
    for path in &files {
        let mut reader = BufReader::new(open(path)?);
        let mut line = String::new();
        loop {
            line.clear();
            let read = (&mut reader)
                .take(LINE_MAX_BYTES)
                .read_line(&mut line)
                .map_err(|error| Fatal::Io(format!("{}: cannot be read: {error}", path.display())))?;
            if read == 0 {
                break;
            }
            // Only a line that names it somewhere is worth parsing.
            if !wanted.iter().any(|text| line.contains(text)) {
                continue;
            }
            let Ok(event) = serde_json::from_str::<Value>(&line) else { continue };
            if answers(&event, &question) {
                found += 1;
                if found <= TOLD_MAX {
                    say(&told(&event, &rules))?;
                }
            }
        }
    }
    if found == 0 {
        return Err(Fatal::NoInput(format!(
            "{asked}: no event of it in the {} event files of {}; events older than report.keep_events_days are removed",
            files.len(),
            folder.display()
        )));
    }
    if found > TOLD_MAX {
        say(&format!("… and {} more\n", found - TOLD_MAX))?;
    }
    Ok(ExitCode::SUCCESS)
}

/// An address, and its pseudonyms of the month that the key is of and the one after.
fn names(address: IpAddr, key: Option<&MonthKey>) -> Vec<IpAddr> {
    let mut names = vec![address];
    if let Some((key, month)) = key.and_then(|key| Some((key, key.month?))) {
        names.extend([key.address(address), key.at(month.next().start()).address(address)]);
    }
    names
}

/// The event files, oldest first.
fn event_files(folder: &Path) -> Result<Vec<PathBuf>, Fatal> {
    let entries = std::fs::read_dir(folder)
        .map_err(|error| Fatal::NoInput(format!("{}: cannot be read: {error}", folder.display())))?;
    let is_events = |path: &PathBuf| {
        let name = path.file_name().map(|name| name.to_string_lossy().into_owned()).unwrap_or_default();
        name.starts_with("events-") && name.contains(".jsonl")
    };
    let mut files: Vec<PathBuf> =
        entries.filter_map(|entry| Some(entry.ok()?.path())).filter(is_events).collect();
    files.sort();
    Ok(files)
}

fn open(path: &Path) -> Result<Box<dyn Read>, Fatal> {
    let failed = |error: std::io::Error| Fatal::Io(format!("{}: cannot be read: {error}", path.display()));
    let file = File::open(path).map_err(failed)?;
    if path.extension().is_some_and(|ending| ending == "zst") {
        return Ok(Box::new(zstd::Decoder::new(file).map_err(failed)?));
    }
    Ok(Box::new(file))
}

fn answers(event: &Value, question: &Question<'_>) -> bool {
    match question {
        Question::Event(id) => event.pointer("/gatewatch/id").and_then(Value::as_str) == Some(id),
        Question::Address(addresses) => ["/src_ip", "/gatewatch/peer_ip"].iter().any(|field| {
            let text = event.pointer(field).and_then(Value::as_str);
            text.and_then(|text| text.parse().ok()).is_some_and(|found| addresses.contains(&found))
        }),
    }
}

/// An event for people. Attackers wrote some of it: nothing in it moves the reader's terminal.
pub(crate) fn told(event: &Value, rules: &BTreeMap<String, RuleInfo>) -> String {
    let text = |place: &str| match event.pointer(place) {
        Some(Value::String(text)) => safe(text),
        None | Some(Value::Null) => "-".to_owned(),
        Some(other) => safe(&other.to_string()),
    };
    let mut lines = format!(
        "{}  event {}\n  {} attempt against {} from {} ({}), grade {}, score {}, {}\n",
        text("/timestamp"),
        text("/gatewatch/id"),
        text("/gatewatch/class"),
        text("/gatewatch/site"),
        text("/src_ip"),
        text("/gatewatch/origin/country"),
        text("/gatewatch/grade"),
        text("/gatewatch/score"),
        text("/gatewatch/outcome"),
    );
    if event.get("http").is_some_and(Value::is_object) {
        let _ = writeln!(
            lines,
            "  {} {} on {}, answered {}",
            text("/http/http_method"),
            text("/http/url"),
            text("/http/hostname"),
            text("/http/status"),
        );
    }
    let count = event.pointer("/gatewatch/evidence").and_then(Value::as_array).map_or(0, Vec::len);
    for at in 0..count {
        let part = |name: &str| text(&format!("/gatewatch/evidence/{at}/{name}"));
        let id = part("rule");
        let title = rules.get(&id).map_or("(a rule of another set)", |rule| rule.title.as_str());
        let _ = writeln!(lines, "  because of {id} ({title}) in {}:", part("where"));
        let _ = writeln!(lines, "      {}", part("excerpt"));
    }
    lines.push('\n');
    lines
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_an_attacker_wrote_moves_no_terminal() {
        let event = serde_json::json!({
            "http": {"http_method": "G\u{7}", "url": "/\u{1b}[2J\u{202e}\n  because of", "hostname": "a\u{9b}", "status": "\u{1b}c"},
            "gatewatch": {"site": "\u{1b}]0;x", "evidence": [{"rule": "\u{1b}", "where": "\r", "excerpt": "\u{8}"}]},
        });
        let told = told(&event, &BTreeMap::new());
        assert!(!told.chars().any(|letter| letter.is_control() && letter != '\n'), "{told:?}");
        assert!(told.contains("/·[2J··  because of on a·") && told.lines().count() == 6, "{told}");
    }
}
