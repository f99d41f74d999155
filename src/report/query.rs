//! What a summary reads of the store.

use std::collections::BTreeMap;

use rusqlite::params;

use crate::model::place::Sector;
use crate::model::time::Hour;
use crate::report::ReportError;
use crate::report::shape::Counts;
use crate::report::span::Span;
use crate::report::store::Store;

/// A row of the tally.
#[derive(Debug, Default)]
pub struct StoreRow {
    pub hour: Hour,
    pub site: String,
    pub class: String,
    pub grade: String,
    pub place: String,
    pub sector: String,
    pub label: String,
    pub counts: Counts,
    /// Attempts that a second database was asked of and knew, and those it puts elsewhere.
    pub second: Second,
}

/// What two databases make of the same attempts.
#[derive(Clone, Copy, Debug, Default)]
pub struct Second {
    /// Attempts that both know.
    pub compared: u64,
    /// Of these, those in the headline.
    pub headline: u64,
    /// Those they disagree on.
    pub disputed: u64,
    /// Of these, those in the headline.
    pub headline_disputed: u64,
}

impl Second {
    /// Adds `other`.
    pub const fn add(&mut self, other: Self) {
        self.compared += other.compared;
        self.headline += other.headline;
        self.disputed += other.disputed;
        self.headline_disputed += other.headline_disputed;
    }
}

/// Goes through the tally row by row: a year of them need not fit in memory.
pub fn each_row(
    store: &Store,
    span: &Span,
    site: Option<&str>,
    mut take: impl FnMut(&StoreRow),
) -> Result<(), ReportError> {
    let overseas = Sector::Overseas.name();
    let mut read = || -> rusqlite::Result<()> {
        let mut statement = store.connection().prepare_cached(
            "SELECT hour, site, class, grade, place, sector, label, headline, attempts, sessions, incidents, compared, disputed
             FROM tally WHERE hour >= ?1 AND hour < ?2 AND (?3 IS NULL OR site = ?3)",
        )?;
        let mut rows = statement.query(params![span.from.0, span.to.0, site])?;
        while let Some(row) = rows.next()? {
            let count = |at| row.get::<_, i64>(at).map(i64::unsigned_abs);
            let sector: String = row.get(5)?;
            let headline: bool = row.get(7)?;
            let attempts = count(8)?;
            let counts = Counts {
                attempts,
                headline_attempts: if headline { attempts } else { 0 },
                overseas_attempts: if headline && sector == overseas { attempts } else { 0 },
                sessions: count(9)?,
                incidents: count(10)?,
            };
            let (compared, disputed) = (count(11)?, count(12)?);
            let of_headline = |part: u64| if headline { part } else { 0 };
            take(&StoreRow {
                second: Second {
                    compared,
                    headline: of_headline(compared),
                    disputed,
                    headline_disputed: of_headline(disputed),
                },
                hour: Hour(row.get(0)?),
                site: row.get(1)?,
                class: row.get(2)?,
                grade: row.get(3)?,
                place: row.get(4)?,
                sector,
                label: row.get(6)?,
                counts,
            });
        }
        Ok(())
    };
    read().map_err(store.wrap())
}

pub fn watch(store: &Store, span: &Span) -> Result<BTreeMap<Hour, i64>, ReportError> {
    let read = || -> rusqlite::Result<BTreeMap<Hour, i64>> {
        let mut statement = store
            .connection()
            .prepare_cached("SELECT hour, observed_micros FROM watch WHERE hour >= ?1 AND hour < ?2")?;
        statement.query_map([span.from.0, span.to.0], |row| Ok((Hour(row.get(0)?), row.get(1)?)))?.collect()
    };
    read().map_err(store.wrap())
}

pub fn counters(store: &Store, span: &Span) -> Result<BTreeMap<String, u64>, ReportError> {
    let read = || -> rusqlite::Result<BTreeMap<String, u64>> {
        let mut statement = store.connection().prepare_cached(
            "SELECT name, sum(value) FROM counter WHERE hour >= ?1 AND hour < ?2 GROUP BY name",
        )?;
        statement
            .query_map([span.from.0, span.to.0], |row| {
                Ok((row.get(0)?, row.get::<_, i64>(1)?.unsigned_abs()))
            })?
            .collect()
    };
    read().map_err(store.wrap())
}
