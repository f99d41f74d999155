//! What leaves the classifier of an address: all of it, its prefix, or a pseudonym. Counting itself knows the address; what is
//! written, in files and store alike, does not.

use std::net::IpAddr;

use crate::config::privacy::Addresses;
use crate::model::attempt::{Attempt, AttemptId};
use crate::model::origin::Origin;
use crate::model::period::{Period, PeriodKind};
use crate::model::place::{PrefixLengths, SourcePrefix};
use crate::model::pseudonym::{KEY_KEPT_MICROS, MonthKey};
use crate::model::time::Timestamp;

/// What stands in place of what was hidden.
const HIDDEN: &str = "…";
/// Header fields that name an address, by parts of their names.
const ADDRESS_FIELDS: [&str; 4] = ["forwarded", "client-ip", "real-ip", "connecting-ip"];

/// Takes out of attempts what could be traced back to an address.
#[derive(Debug)]
pub struct Anonymiser {
    addresses: Addresses,
    prefixes: PrefixLengths,
    /// The oldest key that is still at hand.
    base: MonthKey,
    /// The key of the month that was asked for last.
    recent: MonthKey,
}

impl Anonymiser {
    /// Writes `addresses`, prefixes of these lengths.
    pub fn new(addresses: Addresses, prefixes: PrefixLengths, key: MonthKey) -> Self {
        Self { addresses, prefixes, recent: key.clone(), base: key }
    }

    /// Takes new settings; the key stays.
    pub const fn reload(&mut self, addresses: Addresses, prefixes: PrefixLengths) {
        self.addresses = addresses;
        self.prefixes = prefixes;
    }

    /// Takes the key of an earlier run.
    pub fn set_key(&mut self, key: MonthKey) {
        self.recent = key.clone();
        self.base = key;
    }

    /// The month that the oldest key is of; none before the first attempt.
    pub const fn month(&self) -> Option<Period> {
        self.base.month
    }

    /// Whether addresses are written as they are.
    pub fn is_open(&self) -> bool {
        self.addresses == Addresses::Full
    }

    /// The client as it is written.
    pub fn written(&mut self, client: IpAddr, time: Timestamp) -> IpAddr {
        match self.addresses {
            Addresses::Full => client,
            Addresses::Truncate => SourcePrefix::of(client, self.prefixes).network().addr(),
            Addresses::Pseudonym => self.key(time).address(client),
        }
    }

    /// Hides `client` in an attempt of it, and whatever tells of the conversation's addresses.
    pub fn hide(&mut self, attempt: &mut Attempt, client: IpAddr, origin: &mut Origin) {
        if self.is_open() {
            return;
        }
        let written = self.written(client, attempt.time);
        if attempt.client.ip().to_canonical() == client.to_canonical() {
            attempt.client.set_ip(written);
        }
        let key = self.key(attempt.time);
        // Both are hashes of the addresses, which are few enough to be tried out.
        attempt.id = AttemptId(key.number(attempt.id.0));
        attempt.flow_id = key.number(attempt.flow_id) >> 11;
        if let Some(network) = &mut origin.prefix {
            let known = SourcePrefix::of(network.addr(), self.prefixes).network();
            if network.prefix_len() > known.prefix_len() {
                *network = known;
            }
        }
        let name = client.to_string();
        let clean = |text: &mut Box<str>| {
            if text.contains(&name) {
                *text = text.replace(&name, HIDDEN).into();
            }
        };
        for evidence in &mut attempt.judgement.evidence {
            let place = evidence.place.to_ascii_lowercase();
            if place.starts_with("header:") && ADDRESS_FIELDS.iter().any(|field| place.contains(field)) {
                evidence.excerpt = HIDDEN.into();
            }
            clean(&mut evidence.excerpt);
        }
        if let Some(http) = &mut attempt.http {
            http.forwarded = None;
            http.forwarded_too = None;
            clean(&mut http.url);
            http.user_agent.as_mut().map(clean);
        }
    }

    fn key(&mut self, time: Timestamp) -> &MonthKey {
        let wanted = Period::containing(PeriodKind::Month, time);
        if self.base.month.is_none() {
            self.base = self.base.at(time);
        }
        if self.recent.month != Some(wanted) {
            self.recent = self.base.at(time);
            self.base = self.base.at(time.plus_micros(-KEY_KEPT_MICROS));
        }
        &self.recent
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::model::place::Place;
    use crate::testing;

    fn anonymiser(addresses: Addresses) -> Anonymiser {
        Anonymiser::new(addresses, (24, 48), MonthKey { month: None, key: [3; 32] })
    }

    #[test]
    fn nothing_of_an_attempt_tells_the_address() {
        for addresses in [Addresses::Truncate, Addresses::Pseudonym] {
            let mut attempt = testing::attempt();
            let client = attempt.client.ip();
            let name = client.to_string();
            attempt.judgement.evidence[0].excerpt = format!("x={name}").into();
            let mut again = attempt.judgement.evidence[0].clone();
            again.place = "header:x-forwarded-for".into();
            attempt.judgement.evidence.push(again);
            if let Some(http) = &mut attempt.http {
                http.url = format!("/?ip={name}").into();
                http.forwarded = Some(name.clone().into());
            }
            let before = (attempt.id, attempt.flow_id);
            let mut origin =
                Origin { prefix: format!("{name}/32").parse().ok(), ..Origin::of_place(Place::Unknown) };
            anonymiser(addresses).hide(&mut attempt, client, &mut origin);
            let told = format!("{attempt:?} {origin:?}");
            assert!(!told.contains(&name), "{told}");
            assert_ne!((attempt.id, attempt.flow_id), before);
        }
    }

    #[test]
    fn late_attempts_have_the_pseudonym_of_their_month() {
        let mut hides = anonymiser(Addresses::Pseudonym);
        let at = |text: &str| text.parse::<Period>().unwrap().start();
        let june = at("2012-07-01").plus_micros(-1);
        let client = "192.0.2.1".parse().unwrap();
        let before = hides.written(client, june);
        let after = hides.written(client, at("2012-07-01"));
        assert_ne!(before, after);
        assert_eq!(hides.written(client, june), before);
        hides.written(client, at("2012-08-09"));
        assert_ne!(hides.written(client, june), before, "that key is destroyed");
        assert_eq!(hides.month().unwrap().to_string(), "2012-08");
    }
}
