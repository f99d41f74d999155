//! What was counted again from event lines: remembered by the store, told by every report that it concerns.

use serde::{Deserialize, Serialize};

use crate::model::period::Period;
use crate::report::ReportError;
use crate::report::span::Span;
use crate::report::store::Store;

/// What the keys of remembered repairs begin with.
const REPAIR: &str = "repair:";

/// Why lines had to be counted again.
#[derive(Clone, Copy, Debug, Deserialize, Eq, PartialEq, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum Cause {
    /// The store did not know the latest lines.
    Behind,
    /// The store was damaged.
    Corrupt,
    /// There was no store, though there were event lines.
    Missing,
}

/// `repairs`: attempts that were counted again from event lines.
#[derive(Clone, Debug, Deserialize, PartialEq, Serialize)]
pub struct Repair {
    /// When, RFC 3339.
    pub at: String,
    /// Why.
    pub cause: Cause,
    /// Where the damaged store is kept.
    pub kept_as: Option<String>,
    /// First and last day that it concerns.
    pub first: String,
    /// See `first`.
    pub last: String,
    /// Attempts counted again.
    pub attempts: u64,
    /// Days whose counts are those of the damaged store: they could be read.
    pub days_taken_over: u64,
    /// Days that were counted again from event lines.
    pub days_recounted: u64,
    /// Days whose counts are gone: they could not be read, and have no event lines any more.
    pub days_gone: u64,
    /// Attempts that reports of these days tell, and no line: they are gone.
    pub attempts_gone: u64,
    /// What else is gone, each in words.
    pub gone: Vec<String>,
}

/// Remembers it.
pub fn remember(store: &Store, repair: &Repair) -> Result<(), ReportError> {
    let text = serde_json::to_string(repair).unwrap_or_default();
    // Two of one second: that of the later start holds for both.
    store.set_meta(&format!("{REPAIR}{}", repair.at), &text)
}

/// The repairs that concern a span, the latest last.
pub fn of_span(store: &Store, span: &Span) -> Result<Vec<Repair>, ReportError> {
    let all = store.metas(REPAIR)?;
    let all = all.iter().filter_map(|text| serde_json::from_str::<Repair>(text).ok());
    let touches = |repair: &Repair| {
        let day = |text: &str| text.parse::<Period>().ok();
        let (first, last) = (day(&repair.first), day(&repair.last));
        first.is_none_or(|day| day.first_hour() < span.to)
            && last.is_none_or(|day| day.end_hour() > span.from)
    };
    Ok(all.filter(touches).collect())
}

impl Repair {
    /// What a report must say of it, a sentence each.
    pub fn sentences(&self) -> Vec<String> {
        let Self { first, last, attempts, .. } = self;
        let when = self.at.split('T').next().unwrap_or_default();
        let days = if first == last { first.clone() } else { format!("{first} to {last}") };
        let mut told = vec![match self.cause {
            Cause::Behind => format!(
                "After a stop without warning {attempts} attempts of {days} were counted from their event lines ({when})."
            ),
            Cause::Corrupt => format!(
                "The store was damaged and rebuilt on {when} ({days}): {} days as they were, {} days from event lines ({attempts} \
                 attempts).",
                self.days_taken_over, self.days_recounted
            ),
            Cause::Missing => format!(
                "The store was missing and rebuilt on {when} from event lines ({days}, {attempts} attempts)."
            ),
        }];
        if self.attempts_gone > 0 {
            told.push(format!(
                "{} attempts that no event line stands for are not counted any more.",
                self.attempts_gone
            ));
        }
        if self.days_gone > 0 {
            told.push(format!(
                "Of {} days nothing could be rebuilt; the reports that were closed then hold.",
                self.days_gone
            ));
        }
        if !self.gone.is_empty() && self.cause != Cause::Behind {
            told.push(format!("Not known any more: {}.", self.gone.join("; ")));
        }
        told
    }
}

impl std::fmt::Display for Repair {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(&self.sentences().join(" "))?;
        match &self.kept_as {
            Some(kept) => write!(f, " The damaged one is kept as {kept}."),
            None => Ok(()),
        }
    }
}
