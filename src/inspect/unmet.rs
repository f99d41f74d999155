//! What clients asked for and did not get, on its way to the classifier: names become hashes, and a flood of them is cut short.

use crate::inspect::Path;
use crate::inspect::attempts::NAMES;
use crate::model::contact::{NameHash, Topic, Unmet};
use crate::model::marks::{MarkKind, Marks};
use crate::model::progress::Counter;
use crate::model::time::Timestamp;
use crate::protocol::found;

/// Unmet questions told by one worker in one second: they cost a sender one datagram each.
const TOLD_MAX: u32 = 1_000;

/// The second in which such were told last, and how many.
#[derive(Clone, Copy, Debug, Default)]
pub struct Pace {
    second: i64,
    told: u32,
}

impl Path {
    /// What is told of something unmet, if there is room for it in this second.
    pub fn unmet(&mut self, now: Timestamp, unmet: found::Unmet<'_>, marks: &Marks) -> Option<Unmet> {
        let pace = &mut self.unmet;
        if pace.second != now.secs() {
            *pace = Pace { second: now.secs(), told: 0 };
        }
        pace.told += 1;
        if pace.told > TOLD_MAX {
            self.counters.count(Counter::ContactsInFloods);
            return None;
        }
        Some(match unmet {
            found::Unmet::Handshake { taken_up } => {
                let form = marks.of(MarkKind::Ja4).map_or(0, |form| NAMES.hash_one(form) as u32);
                // Of a server that took the hello up nobody knows whether it serves the name.
                let name = marks
                    .of(MarkKind::ServerName)
                    .filter(|_| !taken_up)
                    .map(|name| NameHash::new(NAMES.hash_one(name)));
                Unmet { topic: Topic::TlsHandshake, name, form }
            }
            found::Unmet::Name(name) => {
                let name = Some(NameHash::new(NAMES.hash_one(name)));
                Unmet { topic: Topic::DnsName, name, form: 0 }
            }
        })
    }
}
