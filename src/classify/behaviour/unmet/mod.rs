//! Questions without success: who tries out what there is. One is a fault; many different ones of one source at one site are a
//! probe, each of them an attempt.
//!
//! Judged by how many *different* things were asked for: a client with a fault asks for the same again and again.

pub mod rows;

use std::sync::Arc;

use crate::classify::behaviour::act::{self, Reason, span_text};
use crate::classify::behaviour::table::{Held, Table};
use crate::classify::behaviour::unmet::rows::UNMETS;
use crate::classify::behaviour::{Aim, Judged};
use crate::config::scan::Scan as Settings;
use crate::model::class::Class;
use crate::model::contact::{Act, Contact, Topic, Unmet};
use crate::model::place::SourceKey;
use crate::model::time::{MICROS_PER_DAY, MICROS_PER_SEC, Timestamp};

/// The class of all of them.
pub const CLASS: Class = Class::ScanService;
/// Questions that are kept of a source while it is not judged: the largest threshold is 48. Each has some 150 bytes.
const ACTS_MAX: usize = 64;

/// A detector of this family.
#[derive(Debug)]
pub struct UnmetRow {
    /// Stable id of the rule.
    pub id: &'static str,
    /// For people: what it sees.
    pub title: &'static str,
    /// Tables of the settings.
    pub sections: &'static [&'static str],
    /// What is asked for.
    pub topic: Topic,
    /// What tells one question from another, if it is one for this detector.
    pub target: fn(&Unmet) -> Option<u64>,
    /// Its limits.
    pub limits: fn(&Settings) -> Limits,
    /// For people: what was counted.
    pub what: &'static str,
}

/// When questions are a probe.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub struct Limits {
    /// Whether it is looked for.
    pub enabled: bool,
    /// Seconds that acts are seen together.
    pub window_secs: u32,
    /// Different ones that it takes.
    pub targets_min: u32,
}

/// Whose questions, about what, where.
type Key = (SourceKey, Topic, Arc<str>);

/// What is known of one source at one site.
#[derive(Debug, Default)]
struct Track {
    /// Not judged yet, in the order of time.
    acts: Vec<Contact>,
    /// Why it was judged, and the last act since.
    judged: Option<(Reason, Timestamp)>,
    /// Conversation of the last attempt.
    flow: Option<u64>,
}

impl Held for Track {
    fn held(&self) -> usize {
        let marks: usize = self.acts.iter().map(|act| act.marks.held()).sum();
        self.acts.capacity() * size_of::<Contact>() + marks
    }
}

/// The state machines of all sources that ask.
#[derive(Debug)]
pub struct Unmets {
    tracks: Table<Key, Track>,
    settings: Settings,
    gap_micros: i64,
}

impl Unmets {
    /// Uses up to `memory_bytes`.
    pub fn new(memory_bytes: usize, settings: &Settings, gap_micros: i64) -> Self {
        let tracks = Table::new(memory_bytes, MICROS_PER_DAY);
        Self { tracks, settings: settings.clone(), gap_micros }
    }

    /// Takes new settings; windows and what was judged stay.
    pub fn reload(&mut self, settings: &Settings, gap_micros: i64) {
        self.settings = settings.clone();
        self.gap_micros = gap_micros;
    }

    /// Takes a question that was not answered as it was meant.
    pub fn unmet(&mut self, act: &Contact, unmet: Unmet, aim: &Aim, out: &mut Judged) {
        // Everybody behind a proxy would be one who asks.
        if aim.is_proxy {
            return;
        }
        if let Some((gone, is_full)) = self.tracks.turn(act.time) {
            out.sums.windows_forgotten += if is_full { gone.len() as u64 } else { 0 };
            out.sums.contacts += gone.values().map(|track| track.acts.len() as u64).sum::<u64>();
        }
        let key = (aim.source, unmet.topic, Arc::clone(&aim.site));
        let Self { tracks, settings, gap_micros } = self;
        tracks.entry(&key, Track::default, |track| {
            if track.goes_on(act, *gap_micros, out) {
                return;
            }
            track.insert(act.clone(), out);
            let rows = UNMETS.iter().filter(|row| row.topic == unmet.topic);
            for row in rows {
                if track.convict(row, (row.limits)(settings), out) {
                    return;
                }
            }
        });
    }

    /// The end: what was not judged is counted as that.
    pub fn finish(&mut self, out: &mut Judged) {
        for (_, track) in self.tracks.take().into_iter().flatten() {
            out.sums.contacts += track.acts.len() as u64;
        }
    }

    #[cfg(test)]
    pub(super) fn bytes(&self) -> usize {
        self.tracks.bytes()
    }
}

impl Track {
    /// Keeps an act in its place; of too many, and of those a day old, the oldest go.
    fn insert(&mut self, act: Contact, out: &mut Judged) {
        let at = self.acts.partition_point(|known| (known.time, known.id.0) <= (act.time, act.id.0));
        self.acts.insert(at, act);
        let newest = self.acts.last().map_or_else(Timestamp::default, |last| last.time);
        let old = self.acts.partition_point(|known| newest.micros_since(known.time) > MICROS_PER_DAY);
        let over = self.acts.len().saturating_sub(ACTS_MAX).max(old);
        self.acts.drain(..over);
        out.sums.contacts += over as u64;
    }

    /// A source that was judged: the act counts at once.
    fn goes_on(&mut self, act: &Contact, gap_micros: i64, out: &mut Judged) -> bool {
        let Some((reason, last)) = &mut self.judged else { return false };
        if act.time.micros_since(*last).saturating_abs() > gap_micros {
            self.judged = None;
            return false;
        }
        *last = act.time.max(*last);
        let mut attempt = act::attempt(act, CLASS, reason);
        attempt.opens_session = self.flow.replace(act.flow_id) != Some(act.flow_id);
        out.attempts.push(attempt);
        true
    }

    /// Judges by one detector. Where it finds enough, what its window holds counts, and what came before does not.
    fn convict(&mut self, row: &UnmetRow, limits: Limits, out: &mut Judged) -> bool {
        let Some(newest) = self.acts.last().map(|act| act.time) else { return false };
        let opens = newest.plus_micros(-i64::from(limits.window_secs) * MICROS_PER_SEC);
        let members = self.acts.iter().filter(|act| act.time >= opens);
        let mut targets: Vec<u64> =
            members.clone().filter_map(|act| unmet_of(act).and_then(|unmet| (row.target)(&unmet))).collect();
        targets.sort_unstable();
        targets.dedup();
        if !limits.enabled || targets.len() < limits.targets_min as usize {
            return false;
        }
        let first = members.map(|act| act.time).min().unwrap_or(newest);
        let span = span_text(newest.micros_since(first));
        let excerpt = format!("{} {} in {span}", targets.len(), row.what);
        self.judged = Some((Reason { rule: row.id, excerpt: excerpt.into(), targets: None }, newest));
        for act in std::mem::take(&mut self.acts) {
            if act.time < opens {
                out.sums.contacts += 1;
            } else {
                self.goes_on(&act, i64::MAX, out);
            }
        }
        true
    }
}

const fn unmet_of(act: &Contact) -> Option<Unmet> {
    match act.act {
        Act::Unmet(unmet) => Some(unmet),
        Act::Login(_) | Act::Touched(_) => None,
    }
}

#[cfg(test)]
mod tests;
