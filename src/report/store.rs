//! The durable store: SQLite in WAL mode. One snapshot is one transaction: all of it, once, or nothing.

pub mod closed;
pub mod opening;

mod remembered;
mod repaired;
mod unfinished;

use std::path::PathBuf;
use std::sync::Arc;

use rusqlite::{Connection, OptionalExtension, Transaction};

use crate::model::progress::CounterKind;
use crate::model::time::Hour;
use crate::report::provenance::Provenance;
use crate::report::rollup::{self, Keep};
use crate::report::source_rows::{self, Filled};
use crate::report::trend::months::Known;
use crate::report::writer::Mode;
use crate::report::{ReportError, distinct, incidents, insert, regimes};
use crate::tally::Snapshot;

/// Name of the store in the state folder.
pub const FILE_NAME: &str = "gatewatch.sqlite";
/// Identities are kept so long behind the newest one (contract §3).
pub(super) const IDENTITIES_KEPT_SECS: i64 = 35 * 86_400;
/// Identities kept at most, whatever their age: a flood of attempts must not fill the disk. Four million of them.
const IDENTITIES_MAX_BYTES: usize = 64 << 20;
/// Bytes of one identity in a batch: the id and its second.
pub(super) const IDENTITY_BYTES: usize = 16;

/// The store, open for writing (by the report thread alone) or reading.
#[derive(Debug)]
pub struct Store {
    connection: Connection,
    path: PathBuf,
    filled: Filled,
    sources_per_day: u64,
    /// Bytes of identities in it, once they were added up.
    identity_bytes: Option<usize>,
    /// Number of the way in which is counted now; 0 is not told.
    regime: i64,
    months: Known,
}

/// Something to call while work goes on. True: there is no more time for what can be done another day.
pub type Pulse = Arc<dyn Fn() -> bool + Send + Sync>;

/// Steps of SQLite's machine between two calls of a pulse: some milliseconds, but for a step that sorts.
const PULSE_STEPS: i32 = 100_000;

impl Store {
    /// Has `pulse` called again and again while a statement moves on; one that waits for a disk that hangs does not. The statement is
    /// given up where `pulse` says true.
    pub fn set_pulse(&mut self, pulse: Pulse) -> Result<(), ReportError> {
        let set = self.connection.progress_handler(PULSE_STEPS, Some(move || pulse()));
        set.map_err(|error| self.failed(error))
    }

    /// Whether the store has a table: one of an older format that is opened for reading may lack it.
    pub fn has_table(&self, name: &str) -> bool {
        let found = self.connection.query_row(
            "SELECT 1 FROM sqlite_master WHERE type = 'table' AND name = ?1",
            [name],
            |_| Ok(()),
        );
        found.is_ok()
    }

    fn failed(&self, error: rusqlite::Error) -> ReportError {
        ReportError::Store { error, path: self.path.clone() }
    }

    fn ask<T>(
        &self,
        sql: &str,
        read: impl FnOnce(&rusqlite::Row<'_>) -> rusqlite::Result<T>,
    ) -> Result<T, ReportError> {
        self.connection.query_row(sql, [], read).map_err(|error| self.failed(error))
    }

    /// The connection, for the queries of a summary.
    pub(crate) const fn connection(&self) -> &Connection {
        &self.connection
    }

    /// What is known of months without reading them again.
    pub(crate) const fn months(&self) -> &Known {
        &self.months
    }

    /// Wraps an error of a query on [`Self::connection`].
    pub(crate) fn wrap(&self) -> impl Fn(rusqlite::Error) -> ReportError + '_ {
        |error| self.failed(error)
    }

    /// Adds a snapshot, the lengths of the event files and extra counters, in one transaction. What a replay adds can be
    /// taken back until it has come to its end.
    pub fn add(
        &mut self,
        snapshot: &Snapshot,
        files: &[(String, u64)],
        extra: &[(Hour, &str, u64)],
        mode: Mode,
    ) -> Result<(), ReportError> {
        let path = self.path.clone();
        let failed = |error| ReportError::Store { error, path: path.clone() };
        self.months.forget(snapshot.rows.keys().map(|key| key.hour));
        let transaction = self.connection.transaction().map_err(failed)?;
        let (filled, max) = (&mut self.filled, self.sources_per_day);
        let before = filled.clone();
        let added = insert::all(&transaction, (snapshot, self.regime), files, extra)
            .and_then(|()| source_rows::add(&transaction, snapshot, filled, max))
            .and_then(|()| incidents::add(&transaction, snapshot))
            .and_then(|()| match mode {
                Mode::Live => insert::spans(&transaction, &snapshot.spans),
                Mode::Replay => insert::unfinished(&transaction, snapshot, extra),
            })
            .and_then(|()| forget_identities(&transaction, &mut self.identity_bytes, snapshot.ids.len()))
            .and_then(|()| transaction.commit());
        if added.is_err() {
            self.filled = before;
            self.identity_bytes = None;
        }
        added.map_err(failed)
    }

    /// What is added from now on is counted in this way.
    pub fn set_regime(&mut self, provenance: &Provenance) -> Result<(), ReportError> {
        self.regime = regimes::number(&self.connection, provenance).map_err(self.wrap())?;
        Ok(())
    }

    /// Rows of sources that a day takes before it only counts.
    pub const fn set_sources_per_day(&mut self, rows: u64) {
        self.sources_per_day = rows;
    }

    /// A remembered value.
    pub fn meta(&self, key: &str) -> Result<Option<String>, ReportError> {
        self.connection
            .query_row("SELECT value FROM meta WHERE key = ?1", [key], |row| row.get(0))
            .optional()
            .map_err(self.wrap())
    }

    /// Remembers a value.
    pub fn set_meta(&self, key: &str, value: &str) -> Result<(), ReportError> {
        self.connection
            .execute(
                "INSERT INTO meta VALUES (?1, ?2) ON CONFLICT (key) DO UPDATE SET value = excluded.value",
                [key, value],
            )
            .map_err(self.wrap())?;
        Ok(())
    }

    /// A random name that is remembered once it was asked for.
    pub fn name_of_its_own(&self, key: &str) -> Result<String, ReportError> {
        if let Some(known) = self.meta(key)? {
            return Ok(known);
        }
        let name: String = self.ask("SELECT lower(hex(randomblob(4)))", |row| row.get(0))?;
        self.set_meta(key, &name)?;
        Ok(name)
    }

    /// Hashes sources by the key of a fleet from now on; false where the store keeps the one it has.
    pub fn set_sketch_key(&self, secret: &[u8]) -> Result<bool, ReportError> {
        distinct::key::set_key(&self.connection, secret).map_err(self.wrap())
    }

    /// Brings it down to what is to be kept of each level.
    pub fn roll(&mut self, keep: Keep) -> Result<(), ReportError> {
        let path = self.path.clone();
        rollup::roll(&mut self.connection, keep).map_err(|error| ReportError::Store { error, path })
    }

    /// Makes it smaller where it takes more than `max_bytes`; tells what was given up for it.
    pub fn shrink(&mut self, max_bytes: u64, today: Hour) -> Result<Vec<rollup::GivenUp>, ReportError> {
        let path = self.path.clone();
        self.filled = Filled::default();
        rollup::shrink(&mut self.connection, max_bytes, today)
            .map_err(|error| ReportError::Store { error, path })
    }
}

/// Keeps the identities within their limit, the oldest go first.
fn forget_identities(
    transaction: &Transaction<'_>,
    bytes: &mut Option<usize>,
    added: usize,
) -> rusqlite::Result<()> {
    let known = bytes.map_or(usize::MAX, |known| known + added * IDENTITY_BYTES);
    let mut now = known;
    if known > IDENTITIES_MAX_BYTES {
        // Those that grew too old are gone since they were added up.
        let sum: i64 =
            transaction.query_row("SELECT coalesce(sum(length(ids)), 0) FROM seen", [], |row| row.get(0))?;
        now = usize::try_from(sum).unwrap_or(0);
    }
    while now > IDENTITIES_MAX_BYTES {
        let (batch, length): (i64, i64) = transaction
            .prepare_cached("SELECT batch, length(ids) FROM seen ORDER BY batch LIMIT 1")?
            .query_row([], |row| Ok((row.get(0)?, row.get(1)?)))?;
        transaction.prepare_cached("DELETE FROM seen WHERE batch = ?1")?.execute([batch])?;
        now = now.saturating_sub(usize::try_from(length).unwrap_or(0).max(1));
    }
    *bytes = Some(now);
    Ok(())
}

/// The counters whose kind is loss, by name.
pub fn is_loss(name: &str) -> bool {
    crate::model::progress::COUNTERS.iter().any(|row| row.name == name && row.kind == CounterKind::Loss)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::model::attempt::AttemptId;

    #[test]
    fn work_that_takes_long_is_told_and_can_be_given_up() {
        use std::sync::atomic::{AtomicU32, Ordering};

        let folder = tempfile::tempdir().unwrap();
        let (mut store, _) = Store::open(folder.path()).unwrap();
        let long = "WITH RECURSIVE n(i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM n LIMIT 500000) SELECT count(*) FROM n";
        let count = |store: &Store| store.ask(long, |row| row.get::<_, i64>(0));
        let beats = Arc::new(AtomicU32::new(0));
        let counted = Arc::clone(&beats);
        let goes_on = move || {
            counted.fetch_add(1, Ordering::Relaxed);
            false
        };
        store.set_pulse(Arc::new(goes_on)).unwrap();
        assert_eq!(count(&store).unwrap(), 500_000);
        assert!(beats.load(Ordering::Relaxed) >= 3, "{beats:?}");
        store.set_pulse(Arc::new(|| true)).unwrap();
        let given_up = count(&store).unwrap_err();
        assert!(given_up.is_given_up() && !given_up.is_corrupt(), "{given_up}");
    }

    #[test]
    fn identities_come_back_newest_kept_and_oldest_first() {
        let folder = tempfile::tempdir().unwrap();
        let (mut store, told) = Store::open(folder.path()).unwrap();
        assert_eq!(told, None);
        for batch in 0..3_u64 {
            let ids = (0..2).map(|n| (AttemptId(batch * 10 + n), 1_000)).collect();
            store.add(&Snapshot { ids, ..Snapshot::default() }, &[], &[], Mode::Live).unwrap();
        }
        let ids: Vec<u64> = store.identities(3).unwrap().into_iter().map(|(id, _)| id.0).collect();
        assert_eq!(ids, [11, 20, 21]);
        let later =
            Snapshot { ids: vec![(AttemptId(99), 1_000 + IDENTITIES_KEPT_SECS + 1)], ..Snapshot::default() };
        store.add(&later, &[], &[], Mode::Live).unwrap();
        assert_eq!(store.identities(100).unwrap().len(), 1, "35 days behind the newest they are forgotten");
    }
}
