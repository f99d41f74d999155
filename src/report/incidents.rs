//! The largest incidents of a span: who, against what, from when to when, how fast.
//!
//! Of each day so many are kept as tell what was large: the fuller the day, the larger an incident must be to have a row. A scan
//! from a million addresses leaves some thousand rows, and still the largest of them.

use std::collections::BTreeMap;
use std::collections::btree_map::Entry;

use rusqlite::{Connection, OptionalExtension, Transaction, params};
use serde::Serialize;

use crate::model::class::Class;
use crate::model::place::SourceKey;
use crate::model::time::{Hour, Timestamp};
use crate::report::ReportError;
use crate::report::span::Span;
use crate::report::store::Store;
use crate::tally::{IncidentSoFar, IncidentSums, Snapshot};

/// Incidents printed of each kind: in the headline, and apart from it.
const ROWS_MAX: i64 = 20;
/// With each so many rows of a day an incident needs ten times the attempts to get one.
const ROWS_PER_STEP: u32 = 1_000;
/// Microseconds within which two sensors see the same attempt.
const SAME_MICROS: i64 = 2_000_000;
/// What becomes of an incident that is known already, from another store.
pub const SAME: &str = "last = max(last, excluded.last), attempts = max(attempts, excluded.attempts),
     peak = max(peak, excluded.peak), headline = max(headline, excluded.headline)";
/// Rows kept of a day that is only told by itself any more.
pub const OLD_ROWS_MAX: i64 = 50;

/// One incident.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct IncidentRow {
    /// Its source as it is written; empty where that is not told or not kept.
    pub source: String,
    /// Where the source is: a code of `origins`.
    pub place: String,
    /// Class of its attempts.
    pub class: String,
    /// Site.
    pub site: String,
    /// Whether attempts of it are in the headline.
    pub headline: bool,
    /// First attempt, RFC 3339.
    pub first_seen: String,
    /// Last attempt, RFC 3339.
    pub last_seen: String,
    /// From the first to the last, in seconds.
    pub seconds: i64,
    /// Its attempts.
    pub attempts: u64,
    /// Attempts of its busiest minute.
    pub peak_per_minute: u64,
}

/// Writes what is known of the incidents of a snapshot; what is known of one is the whole of it, not what was added.
pub fn add(transaction: &Transaction<'_>, snapshot: &Snapshot) -> rusqlite::Result<()> {
    let mut incidents: Vec<_> = snapshot.incidents.iter().collect();
    // The largest first: where the day is nearly full it is they that get the rows.
    incidents.sort_by(|a, b| b.1.attempts.cmp(&a.1.attempts).then_with(|| a.0.cmp(b.0)));
    let mut update = transaction.prepare_cached(
        "UPDATE incident SET last = max(last, ?6), attempts = max(attempts, ?7), peak = max(peak, ?8), headline = max(headline, ?9)
         WHERE hour = ?1 AND first = ?2 AND source = ?3 AND class = ?4 AND site = ?5",
    )?;
    let mut insert = transaction.prepare_cached(
        "INSERT INTO incident (hour, first, source, class, site, last, attempts, peak, headline, place)
         VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8, ?9, ?10)",
    )?;
    let mut filled = BTreeMap::new();
    for (key, sums) in incidents {
        let (hour, class) = (key.first.hour(), key.class.id());
        let source = key.source.map_or_else(String::new, |source| source.to_string());
        let (last, attempts, peak) =
            (sums.last.0, sums.attempts.cast_signed(), sums.peak_per_minute.cast_signed());
        let known =
            params![hour.0, key.first.0, source, class, key.site, last, attempts, peak, sums.headline];
        if update.execute(known)? > 0 {
            continue;
        }
        let rows = rows_of_day(transaction, hour, &mut filled)?;
        if is_large(sums, *rows) {
            *rows += 1;
            let row = params![
                hour.0,
                key.first.0,
                source,
                class,
                key.site,
                last,
                attempts,
                peak,
                sums.headline,
                sums.place.code()
            ];
            insert.execute(row)?;
        }
    }
    Ok(())
}

/// Whether an incident gets a row in a day that has so many already.
fn is_large(sums: &IncidentSums, rows: u32) -> bool {
    10_u64.checked_pow(rows / ROWS_PER_STEP).is_some_and(|least| sums.attempts >= least)
}

fn rows_of_day<'f>(
    transaction: &Transaction<'_>,
    hour: Hour,
    filled: &'f mut BTreeMap<i64, u32>,
) -> rusqlite::Result<&'f mut u32> {
    let day = hour.0.div_euclid(24) * 24;
    match filled.entry(day) {
        Entry::Occupied(known) => Ok(known.into_mut()),
        Entry::Vacant(free) => {
            let rows = transaction
                .prepare_cached("SELECT count(*) FROM incident WHERE hour >= ?1 AND hour < ?1 + 24")?
                .query_row([day], |row| row.get(0))?;
            Ok(free.insert(rows))
        }
    }
}

/// Forgets addresses before `addresses_from`, all but the largest of each day before `hours_from`, and all before `months_from`.
pub fn roll(
    transaction: &Transaction<'_>,
    addresses_from: Hour,
    hours_from: Hour,
    months_from: Hour,
) -> rusqlite::Result<()> {
    transaction.execute(
        "UPDATE OR REPLACE incident SET source = '' WHERE hour < ?1 AND source <> ''",
        [addresses_from.0],
    )?;
    transaction.execute(
        "DELETE FROM incident WHERE (hour, first, source, class, site) IN (
             SELECT hour, first, source, class, site FROM (
                 SELECT *, row_number() OVER (PARTITION BY hour / 24 ORDER BY attempts DESC) AS place_of_day
                 FROM incident WHERE hour < ?1)
             WHERE place_of_day > ?2)",
        [hours_from.0, OLD_ROWS_MAX],
    )?;
    transaction.execute("DELETE FROM incident WHERE hour < ?1", [months_from.0])?;
    Ok(())
}

/// Of what two sensors saw of one incident the larger part stays: it had that many attempts at least.
pub fn meet(connection: &Connection) -> rusqlite::Result<()> {
    connection.execute(
        "DELETE FROM incident WHERE source <> '' AND EXISTS (
             SELECT 1 FROM incident AS other
             WHERE other.hour BETWEEN incident.hour - 1 AND incident.hour + 1
             AND other.first BETWEEN incident.first - ?1 AND incident.first + ?1
             AND other.source = incident.source AND other.class = incident.class AND other.site = incident.site
             AND (other.attempts, -other.first) > (incident.attempts, -incident.first))",
        [SAME_MICROS],
    )?;
    Ok(())
}

/// How far an incident had come whose last attempt was at `last`.
pub fn so_far(
    store: &Store,
    (source, class, site): (SourceKey, Class, &str),
    last: Timestamp,
) -> rusqlite::Result<Option<IncidentSoFar>> {
    let mut statement = store.connection().prepare_cached(
        "SELECT first, attempts, peak FROM incident
         WHERE hour > ?1 - 48 AND hour <= ?1 AND source = ?2 AND class = ?3 AND site = ?4 AND last = ?5",
    )?;
    let found =
        statement.query_row(params![last.hour().0, source.to_string(), class.id(), site, last.0], |row| {
            let count = |at| row.get::<_, i64>(at).map(i64::unsigned_abs);
            Ok(IncidentSoFar {
                first: Timestamp(row.get(0)?),
                attempts: count(1)?,
                peak_per_minute: count(2)?,
            })
        });
    found.optional()
}

/// The largest incidents that touch a span, those in the headline first.
pub fn read(store: &Store, span: &Span, site: Option<&str>) -> Result<Vec<IncidentRow>, ReportError> {
    if !store.has_table("incident") {
        return Ok(Vec::new());
    }
    let read = || -> rusqlite::Result<Vec<IncidentRow>> {
        let mut statement = store.connection().prepare_cached(
            "SELECT source, place, class, site, headline, first, last, attempts, peak FROM (
                 SELECT *, row_number() OVER (
                     PARTITION BY headline ORDER BY attempts DESC, first, source, class, site) AS place_of_kind
                 FROM incident WHERE hour < ?2 AND last >= ?1 AND (?3 IS NULL OR site = ?3))
             WHERE place_of_kind <= ?4 ORDER BY headline DESC, place_of_kind",
        )?;
        let rows = statement.query_map(params![span.from.start().0, span.to.0, site, ROWS_MAX], |row| {
            let (first, last): (i64, i64) = (row.get(5)?, row.get(6)?);
            Ok(IncidentRow {
                source: row.get(0)?,
                place: row.get(1)?,
                class: row.get(2)?,
                site: row.get(3)?,
                headline: row.get(4)?,
                first_seen: Timestamp(first).to_string(),
                last_seen: Timestamp(last).to_string(),
                seconds: Timestamp(last).micros_since(Timestamp(first)) / crate::model::time::MICROS_PER_SEC,
                attempts: row.get::<_, i64>(7)?.unsigned_abs(),
                peak_per_minute: row.get::<_, i64>(8)?.unsigned_abs(),
            })
        })?;
        rows.collect()
    };
    read().map_err(store.wrap())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::model::place::Place;
    use crate::report::writer::Mode;
    use crate::tally::IncidentKey;

    const DAY: i64 = 15_000 * 24;

    fn snapshot(incidents: impl IntoIterator<Item = (u32, i64, u64)>) -> Snapshot {
        let mut snapshot = Snapshot::default();
        for (source, minute, attempts) in incidents {
            let first = Timestamp(Hour(DAY).start().0 + minute * 60_000_000);
            let source = Some(SourceKey::of(std::net::Ipv4Addr::from(0x0808_0000 + source).into()));
            let sums = IncidentSums {
                last: first.plus_micros(90_000_000),
                attempts,
                peak_per_minute: attempts.div_ceil(2),
                headline: attempts % 2 == 0,
                place: Place::from_code("DE"),
                grade: crate::model::grade::Grade::E2,
            };
            let key = IncidentKey { first, source, class: Class::WebSqli, site: "a".into() };
            snapshot.add_incident(key, sums);
        }
        snapshot
    }

    fn store() -> (tempfile::TempDir, Store) {
        let folder = tempfile::tempdir().unwrap();
        let (store, _) = Store::open(folder.path()).unwrap();
        (folder, store)
    }

    fn day() -> Span {
        Span { from: Hour(DAY), to: Hour(DAY + 24), ..Span::of("2011-01-26".parse().unwrap()) }
    }

    fn told(store: &Store) -> Vec<(String, u64, u64, i64)> {
        let rows = read(store, &day(), None).unwrap();
        rows.into_iter().map(|row| (row.source, row.attempts, row.peak_per_minute, row.seconds)).collect()
    }

    #[test]
    fn the_last_word_on_an_incident_counts_and_those_of_the_headline_come_first() {
        let (_folder, mut store) = store();
        for incidents in [[(1, 0, 4), (2, 5, 99)], [(1, 0, 8), (2, 5, 99)]] {
            store.add(&snapshot(incidents), &[], &[], Mode::Live).unwrap();
        }
        assert_eq!(told(&store), [("8.8.0.1".to_owned(), 8, 4, 90), ("8.8.0.2".to_owned(), 99, 50, 90)]);
        assert_eq!(read(&store, &day(), Some("b")).unwrap(), []);
        let source = SourceKey::from_text("8.8.0.1").unwrap();
        let first = Hour(DAY).start();
        let known = so_far(&store, (source, Class::WebSqli, "a"), first.plus_micros(90_000_000)).unwrap();
        assert_eq!(known, Some(IncidentSoFar { first, attempts: 8, peak_per_minute: 4 }));
    }

    #[test]
    fn what_two_sensors_saw_of_one_incident_is_one() {
        let (_folder, mut store) = store();
        let mut seen = snapshot([(1, 5, 10), (2, 5, 4), (1, 9, 2)]);
        // The clock of the other sensor is a second behind, and it missed two attempts.
        let (key, sums) = seen.incidents.iter().find(|(_, sums)| sums.attempts == 10).unwrap();
        let key = IncidentKey { first: key.first.plus_micros(-1_000_000), ..key.clone() };
        let sums = IncidentSums { attempts: 8, ..*sums };
        seen.add_incident(key, sums);
        store.add(&seen, &[], &[], Mode::Live).unwrap();
        meet(store.connection()).unwrap();
        assert_eq!(told(&store).iter().map(|row| row.1).collect::<Vec<_>>(), [10, 4, 2]);
    }

    #[test]
    fn an_incident_over_midnight_is_told_of_both_days() {
        let (_folder, mut store) = store();
        store.add(&snapshot([(1, -1, 2)]), &[], &[], Mode::Live).unwrap();
        assert_eq!(told(&store).len(), 1, "it began a minute before the day");
    }

    #[test]
    fn a_day_of_many_incidents_keeps_the_large_ones_within_a_limit() {
        let (_folder, mut store) = store();
        store.add(&snapshot((0..1_500).map(|source| (source, 1, 1))), &[], &[], Mode::Live).unwrap();
        store.add(&snapshot((0..3).map(|source| (90_000 + source, 2, 12))), &[], &[], Mode::Live).unwrap();
        let rows: i64 =
            store.connection().query_row("SELECT count(*) FROM incident", [], |row| row.get(0)).unwrap();
        assert_eq!(rows, 1_003);
        assert_eq!(told(&store).iter().take(4).map(|row| row.1).collect::<Vec<_>>(), [12, 12, 12, 1]);
    }

    #[test]
    fn addresses_go_first_then_small_incidents_then_all() {
        let (_folder, mut store) = store();
        store
            .add(&snapshot((0..60).map(|source| (source, i64::from(source), 1))), &[], &[], Mode::Live)
            .unwrap();
        let rolled = |marks: [i64; 3]| {
            let transaction = store.connection().unchecked_transaction().unwrap();
            let [addresses, hours, months] = marks.map(|hour| Hour(DAY + hour));
            roll(&transaction, addresses, hours, months).unwrap();
            transaction.commit().unwrap();
            let count =
                |sql: &str| store.connection().query_row(sql, [], |row| row.get::<_, i64>(0)).unwrap();
            (
                count("SELECT count(*) FROM incident"),
                count("SELECT count(*) FROM incident WHERE source <> ''"),
            )
        };
        assert_eq!(rolled([0, 0, 0]), (60, 60));
        assert_eq!(rolled([24, 0, 0]), (60, 0));
        assert_eq!(rolled([24, 24, 0]), (OLD_ROWS_MAX, 0));
        assert_eq!(rolled([24, 24, 24]), (0, 0));
    }
}
