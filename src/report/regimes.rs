//! What made the numbers when: each hour remembers the databases, detectors and settings that counted in it.

use std::collections::BTreeMap;

use rusqlite::{Connection, params};
use serde::Serialize;

use crate::model::period::{Period, PeriodKind};
use crate::model::time::Hour;
use crate::report::ReportError;
use crate::report::provenance::{Database, Provenance};
use crate::report::span::Span;
use crate::report::store::Store;

/// A stretch of time that was counted in one way.
#[derive(Clone, Debug)]
pub struct Regime {
    /// From when on, and how.
    pub way: Way,
    /// Last hour counted so.
    pub last: Hour,
    /// Attempts counted so.
    pub attempts: u64,
}

/// From when on was counted in which way.
#[derive(Clone, Debug)]
pub struct Way {
    /// First hour counted so.
    pub from: Hour,
    /// What made the numbers.
    pub provenance: Provenance,
}

/// `regimes[]`
#[derive(Clone, Debug, Serialize)]
pub struct RegimeRow {
    /// First hour counted so: `2012-06-30T14`.
    pub from: String,
    /// Last hour counted so.
    pub last: String,
    /// Attempts counted so.
    pub attempts: u64,
    /// What differs from the stretch before: `database`, `detectors`, `settings`, `version`.
    pub changed: Vec<&'static str>,
    /// Databases, the deciding one first.
    pub databases: Vec<Database>,
    /// Hash of the detection set.
    pub detector_set: String,
    /// Hash of the settings.
    pub config_hash: String,
    /// Version of gatewatch.
    pub version: String,
}

/// The number of a way of counting; a new one is remembered.
pub fn number(connection: &Connection, provenance: &Provenance) -> rusqlite::Result<i64> {
    let text = serde_json::to_string(provenance).unwrap_or_default();
    connection.prepare_cached("INSERT OR IGNORE INTO regime (provenance) VALUES (?1)")?.execute([&text])?;
    connection
        .prepare_cached("SELECT id FROM regime WHERE provenance = ?1")?
        .query_row([&text], |row| row.get(0))
}

/// Notes that an hour was counted so.
pub fn note(connection: &Connection, hour: Hour, regime: i64) -> rusqlite::Result<()> {
    if regime == 0 {
        return Ok(());
    }
    connection
        .prepare_cached("INSERT OR IGNORE INTO regime_hour VALUES (?1, ?2)")?
        .execute([hour.0, regime])?;
    Ok(())
}

/// The way that was noted last in a day.
pub fn noted_by(store: &Store, day: Period) -> Result<Option<i64>, ReportError> {
    store
        .connection()
        .query_row(
            "SELECT max(regime) FROM regime_hour WHERE hour >= ?1 AND hour < ?2",
            [day.first_hour().0, day.end_hour().0],
            |row| row.get(0),
        )
        .map_err(store.wrap())
}

/// The way that was noted last of all; 0 where none was.
pub fn last_noted(store: &Store) -> Result<i64, ReportError> {
    store
        .connection()
        .query_row(
            "SELECT coalesce((SELECT regime FROM regime_hour ORDER BY hour DESC, regime DESC LIMIT 1), 0)",
            [],
            |row| row.get(0),
        )
        .map_err(store.wrap())
}

/// The stretches of a span that were counted in one way each, in the order of their first hour. An hour in which the way
/// changed belongs to both.
pub fn read(store: &Store, span: &Span, site: Option<&str>) -> Result<Vec<Regime>, ReportError> {
    let read = || -> rusqlite::Result<Vec<Regime>> {
        stretches(&noted(store, span)?).into_iter().map(|stretch| described(store, &stretch, site)).collect()
    };
    read().map_err(store.wrap())
}

/// The same stretches without what was counted in them, for spans of which only the changes are asked.
pub fn ways(store: &Store, span: &Span) -> Result<Vec<Way>, ReportError> {
    let read = || -> rusqlite::Result<Vec<Way>> {
        let stretches = stretches(&noted(store, span)?).into_iter();
        stretches.map(|(regime, from, _)| Ok(Way { from, provenance: provenance(store, regime)? })).collect()
    };
    read().map_err(store.wrap())
}

fn noted(store: &Store, span: &Span) -> rusqlite::Result<BTreeMap<Hour, Vec<i64>>> {
    let mut hours = store.connection().prepare_cached(
        "SELECT hour, regime FROM regime_hour WHERE hour >= ?1 AND hour < ?2 ORDER BY hour, regime",
    )?;
    let mut noted: BTreeMap<Hour, Vec<i64>> = BTreeMap::new();
    let mut rows = hours.query([span.from.0, span.to.0])?;
    while let Some(row) = rows.next()? {
        noted.entry(Hour(row.get(0)?)).or_default().push(row.get(1)?);
    }
    Ok(noted)
}

/// What made the numbers of that way of counting.
pub fn provenance(store: &Store, regime: i64) -> rusqlite::Result<Provenance> {
    let text: String = store
        .connection()
        .prepare_cached("SELECT provenance FROM regime WHERE id = ?1")?
        .query_row([regime], |row| row.get(0))?;
    Ok(serde_json::from_str(&text).unwrap_or_default())
}

/// Number of a way of counting, first hour, last hour.
type Stretch = (i64, Hour, Hour);

fn stretches(noted: &BTreeMap<Hour, Vec<i64>>) -> Vec<Stretch> {
    let mut found: Vec<Stretch> = Vec::new();
    for (hour, regimes) in noted {
        let current = found.last().map(|(regime, ..)| *regime).filter(|regime| regimes.contains(regime));
        if let (Some(_), Some(stretch)) = (current, found.last_mut()) {
            stretch.2 = *hour;
        }
        for regime in regimes.iter().filter(|regime| Some(**regime) != current) {
            found.push((*regime, *hour, *hour));
        }
    }
    found
}

fn described(store: &Store, (regime, from, last): &Stretch, site: Option<&str>) -> rusqlite::Result<Regime> {
    let attempts = store
        .connection()
        .prepare_cached(
            "SELECT coalesce(sum(attempts), 0) FROM tally WHERE hour BETWEEN ?1 AND ?2 AND regime = ?3 AND (?4 IS NULL OR site = ?4)",
        )?
        .query_row(params![from.0, last.0, regime, site], |row| row.get::<_, i64>(0))?;
    let way = Way { from: *from, provenance: provenance(store, *regime)? };
    Ok(Regime { way, last: *last, attempts: attempts.unsigned_abs() })
}

/// What differs between two ways of counting.
pub fn changes(then: &Provenance, now: &Provenance) -> Vec<&'static str> {
    let hashes = |provenance: &Provenance| -> Vec<String> {
        provenance.databases.iter().map(|database| database.sha256.clone()).collect()
    };
    [
        ("database", hashes(then) != hashes(now)),
        ("detectors", then.detector_set != now.detector_set),
        ("settings", then.config_hash != now.config_hash),
        ("version", then.version != now.version),
    ]
    .into_iter()
    .filter_map(|(name, differs)| differs.then_some(name))
    .collect()
}

/// What changed of how is counted within a period, each named once.
pub fn changes_in<'w>(ways: impl Iterator<Item = &'w Way> + Clone, period: Period) -> Vec<&'static str> {
    let mut found: Vec<&'static str> = Vec::new();
    for (then, now) in ways.clone().zip(ways.skip(1)) {
        if period.contains(now.from) {
            let changed = changes(&then.provenance, &now.provenance);
            found.extend(changed.into_iter().filter(|name| !found.contains(name)).collect::<Vec<_>>());
        }
    }
    found
}

/// The rows of a report.
pub fn rows(regimes: &[Regime]) -> Vec<RegimeRow> {
    let before = std::iter::once(None).chain(regimes.iter().map(Some));
    before.zip(regimes).map(|(before, regime)| row(before, regime)).collect()
}

fn row(before: Option<&Regime>, regime: &Regime) -> RegimeRow {
    let now = &regime.way.provenance;
    let name = |hour: Hour| Period::containing(PeriodKind::Hour, hour.start()).to_string();
    RegimeRow {
        from: name(regime.way.from),
        last: name(regime.last),
        attempts: regime.attempts,
        changed: before.map_or_else(Vec::new, |before| changes(&before.way.provenance, now)),
        databases: now.databases.clone(),
        detector_set: now.detector_set.clone(),
        config_hash: now.config_hash.clone(),
        version: now.version.clone(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_way_that_comes_back_is_a_stretch_of_its_own() {
        let noted = [(1, vec![1]), (2, vec![1]), (3, vec![1, 2]), (5, vec![2]), (6, vec![1])];
        let noted = noted.into_iter().map(|(hour, regimes)| (Hour(hour), regimes)).collect();
        assert_eq!(stretches(&noted), [(1, Hour(1), Hour(3)), (2, Hour(3), Hour(5)), (1, Hour(6), Hour(6))]);
    }

    #[test]
    fn what_differs_is_named() {
        let then = Provenance { version: "1".into(), ..Provenance::default() };
        let now = Provenance { version: "2".into(), detector_set: "x".into(), ..Provenance::default() };
        assert_eq!(changes(&then, &now), ["detectors", "version"]);
        assert!(changes(&now, &now).is_empty());
    }
}
