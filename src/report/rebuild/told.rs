//! What the reports of a day tell that its event lines do not: how long was watched, what was counted beside attempts, what
//! made the numbers.

use std::collections::BTreeSet;
use std::fs;
use std::path::Path;

use rusqlite::params;
use serde_json::Value;

use crate::model::period::{Period, PeriodKind};
use crate::model::progress::Reading;
use crate::model::time::{Hour, MICROS_PER_SEC};
use crate::report::names::{parse_report_name, stem};
use crate::report::provenance::Provenance;
use crate::report::store::Store;
use crate::report::{ReportError, reading, regimes, summary};

/// The days that have a closed report in the folder.
pub fn days(folder: &Path) -> BTreeSet<Period> {
    let Ok(entries) = fs::read_dir(folder) else { return BTreeSet::new() };
    let names = entries.filter_map(|entry| entry.ok()?.file_name().into_string().ok());
    let periods = names.filter_map(|name| parse_report_name(&name)).map(|(period, _)| period);
    periods.filter(|period| period.kind() == PeriodKind::Day).collect()
}

/// The last report of a day that lies in the folder: closed, or as it was while the day was open.
pub struct Told(Value);

impl Told {
    /// None where there is none that can be read.
    pub fn of(folder: &Path, day: Period) -> Option<Self> {
        let names = fs::read_dir(folder).ok()?.filter_map(|entry| entry.ok()?.file_name().into_string().ok());
        let versions = names.filter_map(|name| parse_report_name(&name));
        let latest = versions.filter(|(period, _)| *period == day).map(|(_, version)| version).max();
        let name = latest.map_or_else(
            || format!("report-{day}.open.json"),
            |version| format!("{}.json", stem(day, version)),
        );
        serde_json::from_slice(&fs::read(folder.join(name)).ok()?).ok().map(Self)
    }

    /// Attempts that it counts.
    pub fn attempts(&self) -> u64 {
        self.0.pointer("/totals/attempts").and_then(Value::as_u64).unwrap_or(0)
    }

    /// Notes how long each hour was watched, and the counters of the day, in its first hour.
    pub fn note_watch(&self, store: &Store, day: Period) -> Result<(), ReportError> {
        let note = || -> rusqlite::Result<()> {
            let transaction = store.connection().unchecked_transaction()?;
            let mut watch = transaction.prepare("INSERT OR IGNORE INTO watch VALUES (?1, ?2)")?;
            for (hour, seconds) in self.hours() {
                watch.execute(params![hour.0, seconds * MICROS_PER_SEC])?;
            }
            let mut counter = transaction.prepare("INSERT OR IGNORE INTO counter VALUES (?1, ?2, ?3)")?;
            for (name, value) in self.counters() {
                counter.execute(params![day.first_hour().0, name, value.cast_signed()])?;
            }
            drop((watch, counter));
            transaction.commit()
        };
        note().map_err(store.wrap())
    }

    fn hours(&self) -> Vec<(Hour, i64)> {
        let steps = self.0.get("series").and_then(Value::as_array).into_iter().flatten();
        steps
            .filter_map(|step| {
                let period: Period = step.get("period")?.as_str()?.parse().ok()?;
                let seconds = step.get("seconds_observed")?.as_i64()?;
                (period.kind() == PeriodKind::Hour && seconds > 0).then(|| (period.first_hour(), seconds))
            })
            .collect()
    }

    /// All counters but those of event lines that were not written: what had none is not counted any more.
    fn counters(&self) -> Vec<(String, u64)> {
        let members = |place: &str| {
            let members = self.0.get(place).and_then(Value::as_object).into_iter().flatten();
            members
                .filter_map(|(name, value)| Some((name.clone(), value.as_u64().filter(|value| *value > 0)?)))
        };
        let mut found: Vec<(String, u64)> = members("counters").chain(members("losses")).collect();
        found.retain(|(name, _)| name != summary::EVENTS && name != summary::EVENTS_UNWRITTEN);
        found.extend(
            members("not_judged")
                .filter_map(|(name, value)| Some((summary::not_judged_counter(&name)?.to_owned(), value))),
        );
        for row in self.0.get("readings").and_then(Value::as_array).into_iter().flatten() {
            let Some(site) = row.get("site").and_then(Value::as_str) else { continue };
            for kind in Reading::ALL {
                if let Some(value) = row.get(kind.name()).and_then(Value::as_u64).filter(|value| *value > 0) {
                    found.push((reading::counter(kind, site), value));
                }
            }
        }
        found
    }

    /// What made its numbers, as far as it says; `now` is what counts today, and lends what is the same.
    pub fn provenance(&self, now: &Provenance) -> Option<Provenance> {
        let text = |place: &str| self.0.pointer(place).and_then(Value::as_str).map(str::to_owned);
        let read = |place: &str| self.0.pointer(place).cloned();
        let then = Provenance {
            databases: serde_json::from_value(read("/databases")?).ok()?,
            detector_set: text("/detectors/set_hash")?,
            config_hash: text("/config_hash")?,
            version: text("/gatewatch_version")?,
            home: serde_json::from_value(read("/home")?).ok()?,
            home_declared: !self.0.pointer("/headline/overseas_attempts")?.is_null(),
            addresses: std::collections::BTreeMap::new(),
            privacy: text("/addresses")?,
            sites: serde_json::from_value(read("/headline/sites")?).ok()?,
        };
        let same = regimes::changes(&then, now).is_empty() && then.home == now.home;
        Some(if same { now.clone() } else { then })
    }
}
