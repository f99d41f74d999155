//! What can still be read of a damaged store, day by day: a torn page costs the days that it holds, not all others.

use std::collections::BTreeSet;
use std::path::Path;

use rusqlite::types::Value;
use rusqlite::{Connection, OpenFlags, OptionalExtension, params_from_iter};

use crate::report::ReportError;
use crate::report::schema::FORMAT;
use crate::report::store::Store;

/// Tables that are kept by time, and its column. The first two hold the same attempts.
const TIMED: [(&str, &str); 6] = [
    ("tally", "hour"),
    ("source_day", "day"),
    ("frames_hour", "hour"),
    ("incident", "hour"),
    ("endpoint_day", "day"),
    ("distinct_day", "day"),
];
/// The same of what was watched: of use for a day whose counts are gone, too.
const WATCHED: [(&str, &str); 3] = [("watch", "hour"), ("counter", "hour"), ("regime_hour", "hour")];
/// Tables without a time, and what is gone with each.
const WHOLE: [(&str, &str); 9] = [
    ("meta", "keys of pseudonyms and sketches, capture files counted by replay"),
    ("closed", ""),
    ("regime", "databases, rules and settings that counted"),
    ("campaign", "descriptions of campaigns"),
    ("system", ""),
    ("span", "moments that were observed"),
    ("unfinished", ""),
    ("untold", ""),
    ("seen", ""),
];
/// Days that a store may span: a century. Anything else is damage.
const DAYS_MAX: i64 = 36_525;

/// What was taken over.
#[derive(Debug, Default)]
pub struct Salvaged {
    /// First hours of the days whose counts are as they were.
    pub days: BTreeSet<i64>,
    /// First hours of the days whose counts could not be read.
    pub torn: BTreeSet<i64>,
    /// How much of each event file was counted, where that is known.
    pub lengths: Vec<(String, u64)>,
    /// What is gone, in words.
    pub gone: Vec<&'static str>,
    /// Whether identities were taken over.
    pub has_identities: bool,
}

/// Takes over what can be read of the store that was moved to `aside`. Nothing of one of another format.
pub fn take(store: &Store, aside: &Path) -> Result<Salvaged, ReportError> {
    let all_gone = || Salvaged {
        gone: WHOLE.iter().map(|(_, what)| *what).filter(|what| !what.is_empty()).collect(),
        ..Salvaged::default()
    };
    let Ok(old) = open(aside) else { return Ok(all_gone()) };
    let format = old.query_row("PRAGMA user_version", [], |row| row.get::<_, i64>(0));
    if format.ok() != Some(FORMAT) {
        return Ok(all_gone());
    }
    taken(store.connection(), &old).map_err(store.wrap())
}

/// Opens it, never to be written. A connection of its own: a statement that met a torn page while it filled a table of the new
/// store has left that malformed.
fn open(aside: &Path) -> rusqlite::Result<Connection> {
    let old = Connection::open_with_flags(
        aside,
        OpenFlags::SQLITE_OPEN_READ_ONLY | OpenFlags::SQLITE_OPEN_NO_MUTEX,
    )?;
    // Else one that was cut short is refused whole, though much of it can be read.
    old.pragma_update(None, "writable_schema", true)?;
    Ok(old)
}

fn taken(new: &Connection, old: &Connection) -> rusqlite::Result<Salvaged> {
    let mut found = Salvaged::default();
    new.execute_batch("BEGIN")?;
    for (table, what) in WHOLE {
        let is_whole = copied(new, old, table, "1")?;
        if !is_whole && !what.is_empty() {
            found.gone.push(what);
        }
        found.has_identities |= table == "seen" && is_whole;
    }
    let lengths = lengths(old);
    for day in days(old) {
        for (table, time) in WATCHED {
            copied(new, old, table, &within(time, day))?;
        }
        // Without the lengths nobody could tell which lines are counted.
        if lengths.is_some() && is_whole(new, old, day)? {
            found.days.insert(day);
        } else {
            found.torn.insert(day);
        }
    }
    // Numbers without a description: what they stand for is not known any more.
    new.execute(
        "INSERT OR IGNORE INTO regime SELECT regime, 'not known any more: ' || regime FROM
         (SELECT regime FROM regime_hour UNION SELECT regime FROM tally) WHERE regime > 0",
        [],
    )?;
    new.execute_batch("COMMIT")?;
    found.lengths = lengths.unwrap_or_default();
    Ok(found)
}

fn within(time: &str, day: i64) -> String {
    format!("{time} >= {day} AND {time} < {}", day + 24)
}

/// Copies rows, all of them or none; false where they cannot be read.
fn copied(new: &Connection, old: &Connection, table: &str, which: &str) -> rusqlite::Result<bool> {
    new.execute_batch("SAVEPOINT part")?;
    let whole = stream(new, old, table, which)?;
    if !whole {
        new.execute_batch("ROLLBACK TO part")?;
    }
    new.execute_batch("RELEASE part")?;
    Ok(whole)
}

/// Only what fails of the new store is an error.
fn stream(new: &Connection, old: &Connection, table: &str, which: &str) -> rusqlite::Result<bool> {
    let Ok(mut read) = old.prepare(&format!("SELECT * FROM {table} WHERE {which}")) else { return Ok(false) };
    let columns = read.column_count();
    let places = vec!["?"; columns].join(", ");
    let mut write = new.prepare_cached(&format!("INSERT OR IGNORE INTO {table} VALUES ({places})"))?;
    let Ok(mut rows) = read.query([]) else { return Ok(false) };
    loop {
        let row = match rows.next() {
            Ok(Some(row)) => row,
            Ok(None) => return Ok(true),
            Err(_) => return Ok(false),
        };
        let values: rusqlite::Result<Vec<Value>> = (0..columns).map(|at| row.get(at)).collect();
        let Ok(values) = values else { return Ok(false) };
        write.execute(params_from_iter(values))?;
    }
}

fn lengths(old: &Connection) -> Option<Vec<(String, u64)>> {
    let read = || -> rusqlite::Result<Vec<(String, u64)>> {
        let mut statement = old.prepare("SELECT name, length FROM event_file")?;
        statement.query_map([], |row| Ok((row.get(0)?, row.get::<_, i64>(1)?.unsigned_abs())))?.collect()
    };
    read().ok()
}

/// Every day that any table may hold.
fn days(old: &Connection) -> Vec<i64> {
    let ends = TIMED.iter().chain(&WATCHED).flat_map(|(table, time)| {
        ["min", "max"].map(|end| {
            let asked = format!("SELECT {end}({time}) FROM {table}");
            old.query_row(&asked, [], |row| row.get::<_, Option<i64>>(0)).ok().flatten()
        })
    });
    let ends: Vec<i64> = ends.flatten().map(|hour| hour.div_euclid(24) * 24).collect();
    let (Some(first), Some(last)) = (ends.iter().min(), ends.iter().max()) else { return Vec::new() };
    if last - first > DAYS_MAX * 24 {
        return Vec::new();
    }
    (*first..=*last).step_by(24).filter(|day| holds_anything(old, *day)).collect()
}

/// Whether a day has rows, or cannot be read.
fn holds_anything(old: &Connection, day: i64) -> bool {
    TIMED.iter().chain(&WATCHED).any(|(table, time)| {
        let asked = format!("SELECT 1 FROM {table} WHERE {} LIMIT 1", within(time, day));
        old.query_row(&asked, [], |_| Ok(())).optional() != Ok(None)
    })
}

/// Takes the counts of a day over if all of them can be read, and agree.
fn is_whole(new: &Connection, old: &Connection, day: i64) -> rusqlite::Result<bool> {
    new.execute_batch("SAVEPOINT day")?;
    let mut whole = true;
    for (table, time) in TIMED {
        whole = whole && copied(new, old, table, &within(time, day))?;
    }
    let sum = |table: &str, time: &str| {
        let asked = format!("SELECT coalesce(sum(attempts), 0) FROM {table} WHERE {}", within(time, day));
        new.query_row(&asked, [], |row| row.get::<_, i64>(0))
    };
    whole = whole && sum("tally", "hour")? == sum("source_day", "day")?;
    if !whole {
        new.execute_batch("ROLLBACK TO day")?;
    }
    new.execute_batch("RELEASE day")?;
    Ok(whole)
}
