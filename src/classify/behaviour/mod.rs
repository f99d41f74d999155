//! Acts that are attacks only in company: judged by source, over time.
//!
//! Four families, each a table of detectors: [`scan`], [`login`], [`flood`], [`unmet`]. An act that is judged
//! becomes an attempt and goes the way of every other; what is never judged is counted as that and forgotten.

pub mod act;
pub mod crowd;
pub mod flood;
pub mod list;
pub mod login;
pub mod order;
pub mod scan;
pub mod table;
pub mod unmet;

use std::sync::Arc;

use crate::classify::behaviour::flood::Floods;
use crate::classify::behaviour::login::Logins;
use crate::classify::behaviour::order::Order;
use crate::classify::behaviour::scan::Scans;
use crate::classify::behaviour::unmet::Unmets;
use crate::classify::seen::{Seen, Sighting};
use crate::config::Settings;
use crate::model::attempt::Attempt;
use crate::model::contact::{Act, Contact, Surge};
use crate::model::place::SourceKey;
use crate::model::time::{MICROS_PER_SEC, Timestamp};
use crate::tally::Unjudged;

/// What the classifier knows of an act.
#[derive(Clone, Debug)]
pub struct Aim {
    /// The source.
    pub source: SourceKey,
    /// The site.
    pub site: Arc<str>,
    /// Whether the peer is a trusted proxy: many clients are behind it, none of which it is.
    pub is_proxy: bool,
}

/// What became of acts.
#[derive(Debug, Default)]
pub struct Judged {
    /// Acts that count.
    pub attempts: Vec<Box<Attempt>>,
    /// Those that do not.
    pub sums: Unjudged,
}

/// The state machines of all sources.
#[derive(Debug)]
pub struct Behaviours {
    order: Order,
    /// Copies of acts: a second interface, a VLAN.
    copies: Seen,
    scans: Scans,
    logins: Logins,
    floods: Floods,
    unmets: Unmets,
    /// The latest time there was.
    newest: Timestamp,
}

impl Behaviours {
    /// Uses up to `memory_bytes`: half for scans, an eighth to tell copies, a sixteenth for what was not given, the rest for
    /// logins and floods.
    pub fn new(memory_bytes: usize, settings: &Settings) -> Self {
        let gap_micros = gap_micros(settings);
        Self {
            order: Order::default(),
            copies: Seen::new(memory_bytes / 8),
            scans: Scans::new(memory_bytes / 2, &settings.scan, gap_micros),
            logins: Logins::new(memory_bytes / 16 * 3, &settings.login, gap_micros),
            floods: Floods::new(memory_bytes / 8, &settings.flood),
            unmets: Unmets::new(memory_bytes / 16, &settings.scan, gap_micros),
            newest: Timestamp(i64::MIN),
        }
    }

    /// Takes new settings; windows and what was judged stay.
    pub fn reload(&mut self, settings: &Settings) {
        let gap_micros = gap_micros(settings);
        self.scans.reload(&settings.scan, gap_micros);
        self.logins.reload(&settings.login, gap_micros);
        self.unmets.reload(&settings.scan, gap_micros);
        self.floods.reload(&settings.flood);
    }

    /// Takes an act in, to be judged when all workers have passed it. A copy is not.
    pub fn push(&mut self, contact: Contact) {
        if self.copies.sight(contact.id, contact.time) == Sighting::New {
            self.newest = self.newest.max(contact.time);
            self.order.push(contact);
        }
    }

    /// The next act that can be judged; all workers have passed `reached`.
    pub fn next(&mut self, reached: Timestamp) -> Option<Contact> {
        self.order.pop(reached)
    }

    /// The next act, at the end.
    pub fn last(&mut self) -> Option<Contact> {
        self.order.drain()
    }

    /// The time of the latest act.
    pub const fn newest(&self) -> Timestamp {
        self.newest
    }

    /// Judges an act; adds to `out` what counts now.
    pub fn contact(&mut self, contact: &Contact, aim: &Aim, out: &mut Judged) {
        match contact.act {
            Act::Login(_) => self.logins.login(contact, aim, out),
            Act::Touched(touched) => self.scans.touched(contact, touched, aim, out),
            Act::Unmet(unmet) => self.unmets.unmet(contact, unmet, aim, out),
        }
    }

    /// Takes one second of a flood; it is judged when all workers have passed it.
    pub fn surge(&mut self, surge: &Surge, out: &mut Judged) {
        self.newest = self.newest.max(surge.time);
        self.floods.surge(surge, out);
    }

    /// All workers have passed `now`.
    pub fn progress(&mut self, now: Timestamp, out: &mut Judged) {
        self.logins.progress(now, out);
        self.floods.progress(now, out);
    }

    /// The end: windows that are open will not be judged.
    pub fn finish(&mut self, out: &mut Judged) {
        self.scans.finish(out);
        self.logins.finish(out);
        self.floods.finish(out);
        self.unmets.finish(out);
    }

    #[cfg(test)]
    fn bytes(&self) -> usize {
        self.scans.bytes() + self.logins.bytes() + self.floods.bytes() + self.unmets.bytes()
    }
}

fn gap_micros(settings: &Settings) -> i64 {
    i64::from(settings.report.incident_gap_mins) * 60 * MICROS_PER_SEC
}

#[cfg(test)]
mod tests;
