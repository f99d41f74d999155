//! traffic: writes the capture of a plan to standard output.
//!
//! ```text
//! traffic [--plan 2012|2012-small|2012-hard|2012-hard-small|demo|FILE] [--link ethernet|null|raw|sll|sll2|vlan]
//! traffic [--plan …] --part N      only what was captured before (1) or after (2) the plan's outage
//! traffic [--plan …] --parts       the numbers of the parts
//! traffic [--plan …] --expect      the counts that must come out, as JSON
//! traffic [--plan …] --settings    the gatewatch.toml that names the plan's sites and home
//! traffic [--plan …] --judge FILE  compares a report's JSON with the plan; ends with 1 where they differ
//! ```

#![allow(
    clippy::expect_used,
    clippy::print_stdout,
    clippy::print_stderr,
    reason = "a tool of the tests, run by hand"
)]

#[allow(dead_code, reason = "the tests use the rest")]
mod generator;

use std::io::{BufWriter, ErrorKind, Write};
use std::process::ExitCode;

use generator::capture::{write_plan, write_slots};
use generator::expect::Expected;
use generator::frames::Link;
use generator::judge::differences;
use generator::plan::Plan;

enum Output {
    Capture(Link),
    Expected,
    Judgement(String),
    Part(usize),
    Parts,
    Settings,
}

fn main() -> ExitCode {
    match arguments().and_then(|(plan, output)| run(&plan, &output)) {
        Ok(()) => ExitCode::SUCCESS,
        Err(complaint) => {
            eprintln!("traffic: {complaint}");
            ExitCode::from(64)
        }
    }
}

fn arguments() -> Result<(Plan, Output), String> {
    let mut plan = "demo".to_owned();
    let mut output = Output::Capture(Link::Ethernet);
    let mut words = std::env::args().skip(1);
    while let Some(word) = words.next() {
        match word.as_str() {
            "--plan" => plan = words.next().ok_or("--plan needs a name")?,
            "--link" => output = Output::Capture(link(&words.next().unwrap_or_default())?),
            "--expect" => output = Output::Expected,
            "--judge" => output = Output::Judgement(words.next().ok_or("--judge needs a report")?),
            "--part" => {
                let number = words.next().and_then(|word| word.parse().ok());
                output = Output::Part(number.ok_or("--part needs a number")?);
            }
            "--parts" => output = Output::Parts,
            "--settings" => output = Output::Settings,
            other => {
                return Err(format!(
                    "{other:?} is not an option: --plan NAME, --link TYPE, --part N, --parts, --expect, --settings, --judge FILE"
                ));
            }
        }
    }
    Ok((Plan::named(&plan)?, output))
}

fn link(name: &str) -> Result<Link, String> {
    let names: Vec<&str> = Link::TABLE.iter().map(|row| row.1).collect();
    let row = Link::TABLE.iter().find(|row| row.1 == name);
    row.map(|row| row.0).ok_or_else(|| format!("{name:?} is not a link type: {}", names.join(", ")))
}

fn run(plan: &Plan, output: &Output) -> Result<(), String> {
    let out = BufWriter::with_capacity(1 << 20, std::io::stdout().lock());
    let written = match output {
        Output::Capture(link) => write_plan(plan, *link, out).map(drop),
        Output::Part(number) => {
            let part = plan.parts().into_iter().nth(number.wrapping_sub(1));
            let part = part.ok_or_else(|| format!("the plan has no part {number}"))?;
            write_slots(plan, Link::Ethernet, |slot| part.contains(&slot), out).map(drop)
        }
        Output::Parts => {
            let numbers: Vec<String> = (1..=plan.parts().len()).map(|number| number.to_string()).collect();
            print(out, &numbers.join(" "))
        }
        Output::Expected => {
            print(out, &serde_json::to_string_pretty(&Expected::of(plan)).unwrap_or_default())
        }
        Output::Judgement(file) => return judge(plan, file),
        Output::Settings => print(out, &plan.settings()),
    };
    match written {
        // The reader has seen enough.
        Err(error) if error.kind() == ErrorKind::BrokenPipe => Ok(()),
        other => other.map_err(|error| format!("standard output: {error}")),
    }
}

fn judge(plan: &Plan, file: &str) -> Result<(), String> {
    let text = std::fs::read_to_string(file).map_err(|error| format!("{file}: {error}"))?;
    let report: serde_json::Value =
        serde_json::from_str(&text).map_err(|error| format!("{file}: {error}"))?;
    let differences = differences(&Expected::of(plan), &report);
    if differences.is_empty() {
        println!(
            "{file} holds exactly what the plan holds: {}",
            report.pointer("/headline/text").unwrap_or(&serde_json::Value::Null)
        );
        return Ok(());
    }
    Err(format!("{file} differs from the plan:\n  {}", differences.join("\n  ")))
}

fn print(mut out: impl Write, text: &str) -> std::io::Result<()> {
    writeln!(out, "{text}")?;
    out.flush()
}
