//! Acts that make an attack only by what their source did before and after: judged in the order of time, then counted.

use crate::classify::behaviour::Aim;
use crate::classify::classifier::Classifier;
use crate::classify::seen::Sighting;
use crate::model::contact::{Act, Contact, Surge};
use crate::model::grade::Grade;
use crate::model::place::SourceKey;
use crate::tally::Unjudged;

impl Classifier {
    /// Takes what became of a first contact or of a credential. What this run counted already is a copy.
    pub fn contact(&mut self, contact: &Contact) {
        if self.seen.look(contact.id, contact.time) != Sighting::Again {
            self.behaviours.push(contact.clone());
        }
        self.judge();
    }

    /// Takes one second of a flood.
    pub fn surge(&mut self, surge: &Surge) {
        self.behaviours.surge(surge, &mut self.judged);
        self.judge();
    }

    /// Judges the acts that all workers have passed. One worker alone is never behind itself.
    pub(super) fn judge(&mut self) {
        let reached = match self.reached.as_slice() {
            [one] => one.map_or(self.behaviours.newest(), |reached| reached.max(self.behaviours.newest())),
            _ => self.delta.watermark,
        };
        while let Some(contact) = self.behaviours.next(reached) {
            self.judge_one(&contact);
        }
        self.behaviours.progress(reached, &mut self.judged);
        self.count_judged();
    }

    pub(super) fn judge_one(&mut self, contact: &Contact) {
        let http = contact.http.as_deref();
        let (client, grade) = self.rules.proxies.attribute(contact.client.ip(), http, contact.grade);
        let (site, is_ours) = match contact.act {
            Act::Login(_) => {
                let host = http.and_then(|http| http.hostname.as_deref());
                self.rules.sites.site(contact.server, host)
            }
            Act::Touched(_) | Act::Unmet(_) => self.rules.sites.target(contact.server),
        };
        // What our own clients do not get elsewhere is no attack: a mail server asks block lists for names that are not there.
        if matches!(contact.act, Act::Unmet(_)) && !is_ours {
            return;
        }
        let aim = Aim {
            source: SourceKey::of(client),
            site,
            // What a proxy opens it opens for others; a credential that it passes on is the client's, where it names one.
            is_proxy: match contact.act {
                Act::Login(_) => grade == Grade::X,
                Act::Touched(_) | Act::Unmet(_) => self.rules.proxies.has(&contact.client.ip()),
            },
        };
        self.behaviours.contact(contact, &aim, &mut self.judged);
    }

    pub(super) fn count_judged(&mut self) {
        let sums = std::mem::take(&mut self.judged.sums);
        if sums != Unjudged::default() {
            // In the hour in which it is given up: its acts may lie a day back.
            self.delta.unjudged.entry(self.behaviours.newest().hour()).or_default().add(sums);
        }
        let mut attempts = std::mem::take(&mut self.judged.attempts);
        for attempt in attempts.drain(..) {
            self.attempt(attempt);
        }
        self.judged.attempts = attempts;
    }
}
