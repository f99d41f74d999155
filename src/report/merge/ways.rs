//! How several sensors count, as one way: regimes of a sum.

use std::collections::BTreeMap;

use sha2::{Digest, Sha256};

use crate::model::time::Hour;
use crate::report::json::hex;
use crate::report::merge::Member;
use crate::report::provenance::Provenance;
use crate::report::store::Store;
use crate::report::{ReportError, regimes};

/// The way of counting of each sensor, hour by hour, as one.
pub struct Ways {
    /// Number and first hour of the ways of each member.
    of_members: Vec<BTreeMap<Hour, i64>>,
    known: BTreeMap<Vec<i64>, i64>,
}

impl Ways {
    /// Reads when each member counted how.
    pub fn read(members: &[Member]) -> Result<Self, ReportError> {
        let of_members = members.iter().map(by_hour).collect::<Result<_, _>>()?;
        Ok(Self { of_members, known: BTreeMap::new() })
    }

    /// The number, in the sum, of the way in which an hour was counted by all of them together.
    pub fn at(&mut self, sum: &Store, members: &[Member], hour: Hour) -> Result<i64, ReportError> {
        let numbers: Vec<i64> = self
            .of_members
            .iter()
            .map(|ways| {
                // One that was not there yet, or is silent, counts as it will, or did.
                let then = ways.range(..=hour).next_back().or_else(|| ways.iter().next());
                then.map_or(0, |(_, regime)| *regime)
            })
            .collect();
        if let Some(known) = self.known.get(&numbers) {
            return Ok(*known);
        }
        let mut provenances = Vec::new();
        for (member, number) in members.iter().zip(&numbers).filter(|(_, number)| **number != 0) {
            provenances.push(regimes::provenance(&member.store, *number).map_err(member.store.wrap())?);
        }
        let number = if provenances.is_empty() {
            0
        } else {
            regimes::number(sum.connection(), &combined(provenances.iter())).map_err(sum.wrap())?
        };
        self.known.insert(numbers, number);
        Ok(number)
    }

    /// Every hour in which any member noted how it counted.
    pub fn hours(&self) -> Vec<Hour> {
        let mut hours: Vec<Hour> = self.of_members.iter().flat_map(|ways| ways.keys().copied()).collect();
        hours.sort_unstable();
        hours.dedup();
        hours
    }
}

/// The last way of each hour: one in which it changed counts as the new one.
fn by_hour(member: &Member) -> Result<BTreeMap<Hour, i64>, ReportError> {
    let read = || -> rusqlite::Result<BTreeMap<Hour, i64>> {
        let connection = member.store.connection();
        let mut statement =
            connection.prepare("SELECT hour, max(regime) FROM regime_hour GROUP BY hour ORDER BY hour")?;
        statement.query_map([], |row| Ok((Hour(row.get(0)?), row.get(1)?)))?.collect()
    };
    read().map_err(member.store.wrap())
}

/// What made the numbers of several sensors together: what they share as it is, what differs by a hash of all.
pub fn combined<'p>(members: impl Iterator<Item = &'p Provenance> + Clone) -> Provenance {
    let mut all = members.clone();
    let Some(first) = all.next() else { return Provenance::default() };
    let mut sum = first.clone();
    for other in all {
        for database in &other.databases {
            if !sum.databases.iter().any(|known| known.sha256 == database.sha256) {
                sum.databases.push(database.clone());
            }
        }
        sum.home.extend(other.home.iter().filter(|code| !first.home.contains(code)).cloned());
        sum.home_declared &= other.home_declared;
        sum.sites.extend(other.sites.iter().filter(|site| !first.sites.contains(site)).cloned());
        if sum.privacy != other.privacy {
            "mixed".clone_into(&mut sum.privacy);
        }
    }
    sum.home.sort();
    sum.home.dedup();
    sum.sites.sort();
    sum.sites.dedup();
    sum.detector_set = one_hash(members.clone().map(|way| way.detector_set.as_str()));
    sum.config_hash = one_hash(members.clone().map(|way| way.config_hash.as_str()));
    let mut versions: Vec<&str> = members.map(|way| way.version.as_str()).collect();
    versions.sort_unstable();
    versions.dedup();
    sum.version = versions.join("+");
    sum
}

/// The hash that all have, or one of all their hashes.
fn one_hash<'h>(hashes: impl Iterator<Item = &'h str>) -> String {
    let mut hashes: Vec<&str> = hashes.collect();
    hashes.sort_unstable();
    hashes.dedup();
    match hashes[..] {
        [one] => one.to_owned(),
        _ => hex(&Sha256::digest(hashes.join(" ").as_bytes())),
    }
}

/// What differs between sensors, each named once.
pub fn differences<'p>(members: impl Iterator<Item = &'p Provenance> + Clone) -> Vec<&'static str> {
    let mut found = Vec::new();
    let Some(first) = members.clone().next() else { return found };
    for other in members.skip(1) {
        let mut differ = regimes::changes(first, other);
        if (&first.home, first.home_declared) != (&other.home, other.home_declared) {
            differ.push("home");
        }
        found.extend(differ.into_iter().filter(|name| !found.contains(name)).collect::<Vec<_>>());
    }
    found
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_sensors_share_stays_and_what_differs_is_named() {
        let one = Provenance {
            detector_set: "d".into(),
            config_hash: "a".into(),
            version: "1".into(),
            home: vec!["CN".into()],
            home_declared: true,
            ..Provenance::default()
        };
        let other = Provenance { config_hash: "b".into(), ..one.clone() };
        let sum = combined([&one, &other].into_iter());
        assert_eq!((sum.detector_set.as_str(), sum.version.as_str(), sum.home.len()), ("d", "1", 1));
        assert_eq!(sum.config_hash.len(), 64);
        assert_eq!(sum, combined([&other, &one].into_iter()), "in any order");
        assert_eq!(combined([&one, &one].into_iter()), one);
        assert_eq!(differences([&one, &other].into_iter()), ["settings"]);
        let undeclared = Provenance { home: Vec::new(), home_declared: false, ..one.clone() };
        assert_eq!(differences([&one, &undeclared].into_iter()), ["home"]);
        assert!(!combined([&one, &undeclared].into_iter()).home_declared);
    }
}
