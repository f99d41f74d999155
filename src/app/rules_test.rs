//! `gatewatch rules test`: what the detection set makes of capture files, with the evidence, and without counting anything.

use std::collections::BTreeMap;
use std::fmt::Write as _;
use std::path::PathBuf;
use std::process::ExitCode;
use std::sync::Arc;
use std::sync::atomic::AtomicBool;

use crate::app::commands::say;
use crate::app::prepare;
use crate::capture::replay::{listed, replay};
use crate::config::Settings;
use crate::exit::Fatal;
use crate::handoff::{CHANNEL_RECORDS, Outbox, Record, WhenFull, channel};
use crate::inspect::Inspector;
use crate::inspect::detector_cell::DetectorCell;
use crate::inspect::limits::limits;
use crate::model::attempt::Attempt;
use crate::model::progress::{Counter, Counters};
use crate::report::text::lines::safe;

/// What was found in all files.
#[derive(Default)]
struct Found {
    /// Attempts in which each rule is evidence.
    rules: BTreeMap<Arc<str>, u64>,
    classes: BTreeMap<&'static str, u64>,
    counters: Counters,
}

/// Reads the files and prints every attempt as it is found, then how often each class and rule was.
pub fn run(settings: &Settings, inputs: &[PathBuf]) -> Result<ExitCode, Fatal> {
    let (paths, complaints) = listed(inputs);
    let detector = prepare::detector(settings)?;
    let (sender, records) = channel(CHANNEL_RECORDS);
    let memory = usize::try_from(settings.memory.limit.0).unwrap_or(usize::MAX);
    let outbox = Outbox::new(sender, 0, WhenFull::Wait);
    let mut inspector = Inspector::new(limits(memory), Arc::new(DetectorCell::new(detector)), outbox);
    let filter = settings.capture.filter.clone();
    let reader = std::thread::Builder::new()
        .name("replay".into())
        .spawn(move || {
            let replayed = replay(&paths, &filter, &mut inspector, &AtomicBool::new(false));
            inspector.finish();
            replayed
        })
        .map_err(|error| Fatal::Os(format!("cannot start a thread: {error}")))?;
    let mut found = Found::default();
    for (_, record) in records {
        match record {
            Record::Attempt(attempt) => {
                say(&described(&attempt))?;
                found.count(&attempt);
            }
            Record::Progress(progress) => found.counters.merge(&progress.counters),
            // Judged by source, over time: no verdict on one message.
            Record::Contact(_) | Record::Surge(_) => {}
        }
    }
    let replayed = reader.join().map_err(|_| Fatal::Bug("the replay thread panicked".into()))?;
    say(&found.summary())?;
    match complaints.into_iter().chain(replayed.complaints).next() {
        Some(complaint) if complaint.missing => {
            Err(Fatal::NoInput(format!("{} {}", complaint.path.display(), complaint.text)))
        }
        Some(complaint) => Err(Fatal::Unusable(format!("{} {}", complaint.path.display(), complaint.text))),
        None => Ok(ExitCode::SUCCESS),
    }
}

/// One attempt: a line for it, and one for each piece of evidence. What attackers wrote moves no terminal.
fn described(attempt: &Attempt) -> String {
    let judgement = &attempt.judgement;
    let http = attempt.http.as_ref();
    let status =
        http.and_then(|http| http.status).map_or_else(|| "-".to_owned(), |status| status.to_string());
    let mut text = format!(
        "{} {} -> {}  {} {:.3}  {} {}  {} {}\n",
        attempt.time,
        attempt.client,
        attempt.server,
        judgement.class.id(),
        judgement.score,
        status,
        attempt.outcome.name(),
        safe(http.map_or("", |http| &*http.method)),
        safe(http.map_or("", |http| &*http.url)),
    );
    for evidence in &judgement.evidence {
        let _ = writeln!(
            text,
            "    {:<24} {:<20} {}",
            evidence.rule,
            safe(&evidence.place),
            safe(&evidence.excerpt)
        );
    }
    text
}

impl Found {
    fn count(&mut self, attempt: &Attempt) {
        *self.classes.entry(attempt.judgement.class.id()).or_default() += 1;
        for evidence in &attempt.judgement.evidence {
            *self.rules.entry(Arc::clone(&evidence.rule)).or_default() += 1;
        }
    }

    fn summary(&self) -> String {
        let value = |counter| self.counters.value(counter);
        let mut text = format!(
            "\n{} requests: {} attacks, {} suspicious, {} excepted, {} clean\n",
            value(Counter::HttpRequests),
            value(Counter::RequestsAttack),
            value(Counter::RequestsSuspicious),
            value(Counter::RequestsExcepted),
            value(Counter::RequestsClean),
        );
        for (class, count) in &self.classes {
            let _ = writeln!(text, "{count:>9}  {class}");
        }
        for (rule, count) in &self.rules {
            let _ = writeln!(text, "{count:>9}  rule {rule}");
        }
        text
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_an_attacker_wrote_moves_no_terminal() {
        let mut attempt = crate::testing::attempt();
        let http = attempt.http.as_mut().unwrap();
        (http.method, http.url) = ("G\u{7}".into(), "/\u{1b}[2J\nx".into());
        attempt.judgement.evidence[0].excerpt = "\u{9b}2J\r".into();
        let told = described(&attempt);
        assert!(!told.chars().any(|letter| letter.is_control() && letter != '\n'), "{told:?}");
        assert!(told.contains("G· /·[2J·x") && told.lines().count() == 2, "{told}");
    }
}
