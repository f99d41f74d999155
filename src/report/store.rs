//! The durable store: SQLite in WAL mode. One snapshot is one transaction: all of it, once, or nothing.

use std::path::{Path, PathBuf};

use rusqlite::{Connection, OpenFlags, OptionalExtension, Transaction, params};

use crate::model::attempt::AttemptId;
use crate::model::class::Class;
use crate::model::period::{Period, PeriodKind};
use crate::model::place::SourceKey;
use crate::model::progress::CounterKind;
use crate::model::pseudonym::MonthKey;
use crate::model::time::{Hour, Timestamp};
use crate::report::provenance::Provenance;
use crate::report::rollup::{self, Keep};
use crate::report::schema::{FORMAT, MIGRATIONS};
use crate::report::source_rows::{self, Filled};
use crate::report::trend::months::Known;
use crate::report::writer::Mode;
use crate::report::{ReportError, insert, networks, regimes, summary};
use crate::tally::{CampaignId, OpenIncident, Snapshot};

/// Name of the store in the state folder.
pub const FILE_NAME: &str = "gatewatch.sqlite";
/// How long another process (a report being printed) is waited for.
const BUSY_MAX: std::time::Duration = std::time::Duration::from_secs(5);
/// Identities are kept so long behind the newest one (contract §3).
pub(super) const IDENTITIES_KEPT_SECS: i64 = 35 * 86_400;
/// Rows of sources a day where no setting says otherwise.
const SOURCES_PER_DAY: u64 = 100_000;
/// Where the key of pseudonyms lies among the remembered values, and the month it is of.
const MONTH_KEY: &str = "month_key";
const MONTH_KEY_OF: &str = "month_key_of";
/// What the keys of counted capture files begin with.
const INPUT: &str = "input:";
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

/// A report that was closed.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct Closed {
    /// 1 for the first, 2 for its first correction, …
    pub version: u32,
    /// SHA-256 of its JSON.
    pub sha256: String,
}

impl Store {
    /// Opens or makes the store of a state folder. One that SQLite calls corrupt is moved aside, said aloud in the
    /// second value, and a new one begun: the daemon must go on counting.
    pub fn open(folder: &Path) -> Result<(Self, Option<String>), ReportError> {
        crate::report::files::make_folder(folder)?;
        let path = folder.join(FILE_NAME);
        match Self::open_file(&path) {
            Err(ReportError::Store { error, .. }) if is_corrupt(&error) => {
                let aside = quarantine(&path)?;
                let told = format!(
                    "store {} was corrupt ({error}) and is kept as {}; counting begins anew",
                    path.display(),
                    aside.display()
                );
                Ok((Self::open_file(&path)?, Some(told)))
            }
            other => Ok((other?, None)),
        }
    }

    fn of(connection: Connection, path: PathBuf) -> Self {
        Self {
            connection,
            path,
            filled: Filled::default(),
            sources_per_day: SOURCES_PER_DAY,
            identity_bytes: None,
            regime: 0,
            months: Known::default(),
        }
    }

    fn open_file(path: &Path) -> Result<Self, ReportError> {
        let failed = |error| ReportError::Store { error, path: path.to_owned() };
        let connection = Connection::open(path).map_err(failed)?;
        let prepare = || -> rusqlite::Result<i64> {
            networks::register(&connection)?;
            connection.busy_timeout(BUSY_MAX)?;
            // Of use only before the first table is made.
            connection.pragma_update(None, "auto_vacuum", "INCREMENTAL")?;
            connection.pragma_update(None, "journal_mode", "WAL")?;
            // FULL: a commit is on the disk when it returns; at one a second that is affordable.
            connection.pragma_update(None, "synchronous", "FULL")?;
            connection.pragma_update(None, "cache_size", -4_096)?;
            // What is removed, an address or an old key, is overwritten.
            connection.pragma_update(None, "secure_delete", "FAST")?;
            connection.set_prepared_statement_cache_capacity(128);
            let found = connection.query_row("PRAGMA user_version", [], |row| row.get(0))?;
            for step in MIGRATIONS.iter().skip(usize::try_from(found).unwrap_or(usize::MAX)) {
                connection.execute_batch(&format!("BEGIN IMMEDIATE; {step} COMMIT;"))?;
            }
            connection.query_row("SELECT count(*) FROM tally WHERE hour < 0", [], |_| Ok(()))?;
            Ok(found)
        };
        let found = prepare().map_err(failed)?;
        if found > FORMAT {
            return Err(ReportError::TooNew { found, known: FORMAT, path: path.to_owned() });
        }
        Ok(Self::of(connection, path.to_owned()))
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

    /// Opens an existing store for reading. One that a killed process left with an unfinished log has to be recovered by
    /// whoever reads it first, which needs to write.
    pub fn open_to_read(folder: &Path) -> Result<Self, ReportError> {
        let reading = OpenFlags::SQLITE_OPEN_READ_ONLY | OpenFlags::SQLITE_OPEN_NO_MUTEX;
        let recovering = OpenFlags::SQLITE_OPEN_READ_WRITE | OpenFlags::SQLITE_OPEN_NO_MUTEX;
        match Self::open_existing(folder, reading) {
            Err(ReportError::Store { error, .. })
                if error.sqlite_error_code() == Some(rusqlite::ErrorCode::ReadOnly) =>
            {
                Self::open_existing(folder, recovering)
            }
            other => other,
        }
    }

    fn open_existing(folder: &Path, flags: OpenFlags) -> Result<Self, ReportError> {
        let path = folder.join(FILE_NAME);
        let connection = Connection::open_with_flags(&path, flags)
            .map_err(|error| ReportError::Store { error, path: path.clone() })?;
        let store = Self::of(connection, path);
        store.connection.busy_timeout(BUSY_MAX).map_err(store.wrap())?;
        networks::register(&store.connection).map_err(store.wrap())?;
        let found: i64 = store.ask("PRAGMA user_version", |row| row.get(0))?;
        if found > FORMAT {
            return Err(ReportError::TooNew { found, known: FORMAT, path: store.path });
        }
        if found > 0 && found < FORMAT {
            // Its tables are not those that are asked for; who reads it first brings it up to date.
            return Self::open_file(&store.path);
        }
        // The version is in the first page; whether the log can be read shows only in a table. A process that was killed
        // at once has left none.
        if found > 0 {
            store.ask("SELECT count(*) FROM meta", |_| Ok(()))?;
        }
        Ok(store)
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

    /// Takes back the coverage and the counters of a replay that did not come to its end: it will be replayed again, and
    /// unlike attempts they have no identity by which a second time would be seen.
    pub fn undo_unfinished(&mut self) -> Result<(), ReportError> {
        let path = self.path.clone();
        let undo = |connection: &mut Connection| -> rusqlite::Result<()> {
            let transaction = connection.transaction()?;
            transaction.execute_batch(
                "UPDATE watch SET observed_micros = max(0, observed_micros - (
                     SELECT value FROM unfinished WHERE unfinished.hour = watch.hour AND name = ''))
                 WHERE hour IN (SELECT hour FROM unfinished WHERE name = '');
                 UPDATE counter SET value = max(0, value - (
                     SELECT value FROM unfinished WHERE unfinished.hour = counter.hour AND unfinished.name = counter.name))
                 WHERE (hour, name) IN (SELECT hour, name FROM unfinished);
                 DELETE FROM unfinished;",
            )?;
            transaction.commit()
        };
        undo(&mut self.connection).map_err(|error| ReportError::Store { error, path })
    }

    /// What waited for its event line when an earlier run was killed has none: it is counted as shed.
    pub fn shed_untold(&mut self) -> Result<(), ReportError> {
        let path = self.path.clone();
        let shed = |connection: &mut Connection| -> rusqlite::Result<()> {
            let transaction = connection.transaction()?;
            transaction.execute(
                "INSERT INTO counter SELECT hour, ?1, attempts FROM untold WHERE true
                 ON CONFLICT DO UPDATE SET value = value + excluded.value",
                [summary::EVENTS],
            )?;
            transaction.execute("DELETE FROM untold", [])?;
            transaction.commit()
        };
        shed(&mut self.connection).map_err(|error| ReportError::Store { error, path })
    }

    /// Notes that a replay has come to its end, and remembers the capture files it counted by their hashes: both or neither,
    /// or a file would be counted again without what was counted of it being taken back.
    pub fn finish_replay<'h>(
        &mut self,
        hashes: impl Iterator<Item = &'h str>,
        spans: &[(Timestamp, Timestamp)],
    ) -> Result<(), ReportError> {
        let path = self.path.clone();
        let finish = |connection: &mut Connection| -> rusqlite::Result<()> {
            let transaction = connection.transaction()?;
            transaction.execute("DELETE FROM unfinished", [])?;
            insert::spans(&transaction, spans)?;
            for hash in hashes {
                transaction
                    .execute("INSERT OR REPLACE INTO meta VALUES (?1, '')", [format!("{INPUT}{hash}")])?;
            }
            transaction.commit()
        };
        finish(&mut self.connection).map_err(|error| ReportError::Store { error, path })
    }

    /// Whether a capture file was counted whole, by its hash.
    pub fn has_counted(&self, hash: &str) -> bool {
        self.meta(&format!("{INPUT}{hash}")).ok().flatten().is_some()
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

    /// The key of pseudonyms, made where there is none yet.
    pub fn month_key(&self) -> Result<MonthKey, ReportError> {
        if self.meta(MONTH_KEY)?.is_none() {
            self.connection
                .execute("INSERT INTO meta VALUES (?1, hex(randomblob(32)))", [MONTH_KEY])
                .map_err(self.wrap())?;
        }
        let key: Vec<u8> = self
            .connection
            .query_row("SELECT unhex(value) FROM meta WHERE key = ?1", [MONTH_KEY], |row| row.get(0))
            .map_err(self.wrap())?;
        let month = self.meta(MONTH_KEY_OF)?.and_then(|text| text.parse().ok());
        Ok(MonthKey { month, key: key.try_into().unwrap_or_default() })
    }

    /// The key of pseudonyms where there is one in use.
    pub fn known_month_key(&self) -> Option<MonthKey> {
        self.meta(MONTH_KEY_OF).ok().flatten()?;
        self.month_key().ok()
    }

    /// Replaces the key of pseudonyms; the one before is overwritten.
    pub fn set_month_key(&self, key: &MonthKey) -> Result<(), ReportError> {
        let Some(month) = key.month else { return Ok(()) };
        self.set_meta(MONTH_KEY_OF, &month.to_string())?;
        self.connection
            .execute("UPDATE meta SET value = hex(?2) WHERE key = ?1", params![MONTH_KEY, key.key])
            .map_err(self.wrap())?;
        Ok(())
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

    /// The spans of time that were observed, in order.
    pub fn spans(&self) -> Result<Vec<(Timestamp, Timestamp)>, ReportError> {
        let read = || -> rusqlite::Result<Vec<(Timestamp, Timestamp)>> {
            let mut statement = self.connection.prepare("SELECT first, last FROM span ORDER BY first")?;
            statement.query_map([], |row| Ok((Timestamp(row.get(0)?), Timestamp(row.get(1)?))))?.collect()
        };
        read().map_err(self.wrap())
    }

    /// Incidents whose last attempt lies at most `gap_micros` before the newest of all.
    pub fn open_incidents(&self, gap_micros: i64) -> Result<Vec<OpenIncident>, ReportError> {
        let read = || -> rusqlite::Result<Vec<OpenIncident>> {
            // Of the two days that can hold them; with max() the other columns are those of the row that has it.
            let mut statement = self.connection.prepare(
                "SELECT source, class, site, max(last), campaign FROM source_day
                 WHERE day >= (SELECT max(day) FROM source_day) - 24 AND source <> ''
                 AND last >= (SELECT max(last) FROM source_day) - ?1 GROUP BY source, class, site",
            )?;
            let mut rows = statement.query([gap_micros])?;
            let mut found = Vec::new();
            while let Some(row) = rows.next()? {
                let (source, class): (String, String) = (row.get(0)?, row.get(1)?);
                let Some(source) = SourceKey::from_text(&source) else { continue };
                let Some(class) = Class::from_id(&class) else { continue };
                let site = row.get::<_, String>(2)?.into();
                let campaign = CampaignId(row.get::<_, i64>(4)?.unsigned_abs());
                found.push(OpenIncident { source, class, site, last: Timestamp(row.get(3)?), campaign });
            }
            Ok(found)
        };
        read().map_err(self.wrap())
    }

    /// The event files and how much of each belongs to what was committed.
    pub fn event_files(&self) -> Result<Vec<(String, u64)>, ReportError> {
        let read = || -> rusqlite::Result<Vec<(String, u64)>> {
            let mut statement =
                self.connection.prepare("SELECT name, length FROM event_file ORDER BY name")?;
            statement.query_map([], |row| Ok((row.get(0)?, row.get::<_, i64>(1)?.unsigned_abs())))?.collect()
        };
        read().map_err(self.wrap())
    }

    /// Forgets an event file that was compressed or removed.
    pub fn forget_event_file(&self, name: &str) -> Result<(), ReportError> {
        self.connection.execute("DELETE FROM event_file WHERE name = ?1", [name]).map_err(self.wrap())?;
        Ok(())
    }

    /// The newest identities, `limit` at most, oldest first.
    pub fn identities(&self, limit: usize) -> Result<Vec<(AttemptId, i64)>, ReportError> {
        let read = || -> rusqlite::Result<Vec<(AttemptId, i64)>> {
            let mut statement = self.connection.prepare("SELECT ids FROM seen ORDER BY batch DESC")?;
            let mut rows = statement.query([])?;
            let mut found = Vec::new();
            while found.len() < limit
                && let Some(row) = rows.next()?
            {
                let blob: Vec<u8> = row.get(0)?;
                found.extend(blob.chunks_exact(IDENTITY_BYTES).rev().filter_map(|bytes| {
                    let (id, second) = bytes.split_first_chunk::<8>()?;
                    Some((AttemptId(u64::from_be_bytes(*id)), i64::from_be_bytes(second.try_into().ok()?)))
                }));
            }
            found.truncate(limit);
            found.reverse();
            Ok(found)
        };
        read().map_err(self.wrap())
    }

    /// Every hour that holds counts or was watched.
    pub fn hours(&self) -> Result<Vec<Hour>, ReportError> {
        self.hours_of("SELECT hour FROM watch UNION SELECT DISTINCT hour FROM tally ORDER BY 1")
    }

    /// Every hour that holds counts of attempts or of packets.
    pub fn busy_hours(&self) -> Result<Vec<Hour>, ReportError> {
        self.hours_of("SELECT DISTINCT hour FROM counter UNION SELECT DISTINCT hour FROM tally ORDER BY 1")
    }

    fn hours_of(&self, query: &str) -> Result<Vec<Hour>, ReportError> {
        let read = || -> rusqlite::Result<Vec<Hour>> {
            let mut statement = self.connection.prepare(query)?;
            statement.query_map([], |row| Ok(Hour(row.get(0)?)))?.collect()
        };
        read().map_err(self.wrap())
    }

    /// A closed period, if it is closed.
    pub fn closed(&self, period: Period) -> Result<Option<Closed>, ReportError> {
        self.connection
            .query_row("SELECT version, sha256 FROM closed WHERE period = ?1", [period.to_string()], |row| {
                Ok(Closed { version: row.get(0)?, sha256: row.get(1)? })
            })
            .optional()
            .map_err(self.wrap())
    }

    /// The hash of the last period of that kind that was closed: the chain's last link.
    pub fn last_closed(&self, kind: &str) -> Result<Option<String>, ReportError> {
        self.connection
            .query_row(
                "SELECT sha256 FROM closed WHERE kind = ?1 ORDER BY sequence DESC LIMIT 1",
                [kind],
                |row| row.get(0),
            )
            .optional()
            .map_err(self.wrap())
    }

    /// The version that the manifest of a period was closed with last; every closed period has one, a report only where the
    /// settings ask for it.
    pub fn closed_version(&self, period: Period) -> Result<Option<u32>, ReportError> {
        self.connection
            .query_row("SELECT version FROM closed WHERE period = ?1", [manifest_name(period)], |row| {
                row.get(0)
            })
            .optional()
            .map_err(self.wrap())
    }

    /// Notes that a period was closed, with its report, where there is one, and its manifest: both or neither, or a manifest on
    /// the disk that nothing here knows of would be followed by a correction that continues the chain from before it.
    pub fn close(
        &mut self,
        period: Period,
        report: Option<&Closed>,
        manifest: &Closed,
    ) -> Result<(), ReportError> {
        let path = self.path.clone();
        let close = |connection: &mut Connection| -> rusqlite::Result<()> {
            let transaction = connection.transaction()?;
            if let Some(report) = report {
                close_named(&transaction, &period.to_string(), period.kind().name(), report)?;
            }
            close_named(&transaction, &manifest_name(period), &manifest_chain(period.kind()), manifest)?;
            transaction.commit()
        };
        close(&mut self.connection).map_err(|error| ReportError::Store { error, path })
    }

    /// The hash of the last manifest of that kind of period.
    pub fn last_manifest(&self, kind: PeriodKind) -> Result<Option<String>, ReportError> {
        self.last_closed(&manifest_chain(kind))
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

/// Names of manifests in the table of what was closed.
fn manifest_name(period: Period) -> String {
    format!("manifest-{period}")
}

/// The chain of manifests of a kind of period.
fn manifest_chain(kind: PeriodKind) -> String {
    format!("manifest-{}", kind.name())
}

/// Notes that something of a chain was closed.
fn close_named(connection: &Connection, name: &str, chain: &str, closed: &Closed) -> rusqlite::Result<usize> {
    connection.execute(
        "INSERT INTO closed SELECT ?1, ?2, ?3, coalesce(max(sequence), 0) + 1, ?4 FROM closed WHERE true
         ON CONFLICT (period) DO UPDATE SET version = excluded.version, sequence = excluded.sequence,
         sha256 = excluded.sha256",
        params![name, chain, closed.version, closed.sha256],
    )
}

fn is_corrupt(error: &rusqlite::Error) -> bool {
    matches!(
        error.sqlite_error_code(),
        Some(rusqlite::ErrorCode::DatabaseCorrupt | rusqlite::ErrorCode::NotADatabase)
    )
}

/// Moves a corrupt store and its companions aside, under a name that is free.
fn quarantine(path: &Path) -> Result<PathBuf, ReportError> {
    let aside = (1..1_000)
        .map(|number| path.with_extension(format!("corrupt-{number}")))
        .find(|candidate| !candidate.exists())
        .unwrap_or_else(|| path.with_extension("corrupt"));
    std::fs::rename(path, &aside).map_err(ReportError::file("moved aside", path))?;
    for ending in ["sqlite-wal", "sqlite-shm"] {
        let companion = path.with_extension(ending);
        if companion.exists() {
            std::fs::remove_file(&companion).map_err(ReportError::file("removed", &companion))?;
        }
    }
    Ok(aside)
}

/// The counters whose kind is loss, by name.
pub fn is_loss(name: &str) -> bool {
    crate::model::progress::COUNTERS.iter().any(|row| row.name == name && row.kind == CounterKind::Loss)
}

#[cfg(test)]
mod tests {
    use super::*;

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

    #[test]
    fn what_an_unfinished_replay_counted_without_identity_is_taken_back() {
        let folder = tempfile::tempdir().unwrap();
        let (mut store, _) = Store::open(folder.path()).unwrap();
        let mut snapshot = Snapshot::default();
        let mut counters = crate::model::progress::Counters::default();
        counters.add(crate::model::progress::Counter::FramesReceived, 7);
        snapshot.add_counters(Hour(3), &counters);
        snapshot.add_observed(Hour(3).start(), Hour(3).start().plus_micros(5_000_000));
        let told = |store: &Store| -> (i64, i64) {
            let one = |sql: &str| store.connection.query_row(sql, [], |row| row.get(0)).unwrap();
            (one("SELECT sum(observed_micros) FROM watch"), one("SELECT sum(value) FROM counter"))
        };
        store.add(&snapshot, &[], &[], Mode::Replay).unwrap();
        store.finish_replay(["abc"].into_iter(), &[]).unwrap();
        assert!(store.has_counted("abc") && !store.has_counted("abd"));
        store.add(&snapshot, &[], &[(Hour(3), "late_attempts", 2)], Mode::Replay).unwrap();
        assert_eq!(told(&store), (10_000_000, 16));
        store.undo_unfinished().unwrap();
        assert_eq!(told(&store), (5_000_000, 7));
        store.undo_unfinished().unwrap();
        assert_eq!(told(&store), (5_000_000, 7), "once is enough");
    }

    #[test]
    fn a_corrupt_store_is_kept_aside_and_said_aloud() {
        let folder = tempfile::tempdir().unwrap();
        std::fs::write(folder.path().join(FILE_NAME), vec![b'x'; 9_000]).unwrap();
        let (_, told) = Store::open(folder.path()).unwrap();
        assert!(told.unwrap().contains("corrupt-1"));
        assert!(folder.path().join("gatewatch.corrupt-1").exists());
    }

    #[test]
    fn a_store_of_the_first_format_is_brought_up_to_date_and_keeps_its_rows() {
        let folder = tempfile::tempdir().unwrap();
        let old = Connection::open(folder.path().join(FILE_NAME)).unwrap();
        old.execute_batch(MIGRATIONS[0]).unwrap();
        old.execute("INSERT INTO meta VALUES ('k', 'v')", []).unwrap();
        drop(old);
        assert!(
            Store::open_to_read(folder.path()).unwrap().has_table("endpoint_day"),
            "whoever reads it first"
        );
        let (store, told) = Store::open(folder.path()).unwrap();
        assert!(told.is_none() && store.has_table("endpoint_day"));
        assert_eq!(store.meta("k").unwrap().as_deref(), Some("v"));
    }

    #[test]
    fn a_newer_store_is_refused_and_left_alone() {
        let folder = tempfile::tempdir().unwrap();
        let (store, _) = Store::open(folder.path()).unwrap();
        store.connection.pragma_update(None, "user_version", 99).unwrap();
        drop(store);
        assert!(matches!(Store::open(folder.path()), Err(ReportError::TooNew { found: 99, .. })));
        assert!(matches!(Store::open_to_read(folder.path()), Err(ReportError::TooNew { .. })));
    }

    #[test]
    fn closed_periods_form_a_chain_of_their_kind() {
        let folder = tempfile::tempdir().unwrap();
        let (mut store, _) = Store::open(folder.path()).unwrap();
        let mut close = |period: &str, version, sha256: &str| {
            let report = Closed { version, sha256: sha256.into() };
            let manifest = Closed { version, sha256: format!("manifest of {sha256}") };
            store.close(period.parse().unwrap(), Some(&report), &manifest).unwrap();
        };
        close("2012-06-01", 1, "a");
        close("2012-06", 1, "m");
        close("2012-06-02", 1, "b");
        close("2012-06-01", 2, "c");
        assert_eq!(store.last_closed("day").unwrap().unwrap(), "c");
        assert_eq!(store.last_closed("month").unwrap().unwrap(), "m");
        assert_eq!(store.closed("2012-06-01".parse().unwrap()).unwrap().unwrap().version, 2);
        assert_eq!(store.closed_version("2012-06-01".parse().unwrap()).unwrap(), Some(2));
        assert_eq!(store.last_manifest(PeriodKind::Day).unwrap().unwrap(), "manifest of c");
    }

    #[test]
    fn a_period_is_closed_with_its_manifest_or_not_at_all() {
        let folder = tempfile::tempdir().unwrap();
        let (mut store, _) = Store::open(folder.path()).unwrap();
        let refuse = "CREATE TEMP TRIGGER refuse BEFORE INSERT ON closed WHEN new.period LIKE 'manifest-%'
                      BEGIN SELECT raise(ABORT, 'cut off here'); END";
        store.connection.execute_batch(refuse).unwrap();
        let day: Period = "2012-06-01".parse().unwrap();
        let closed = Closed { version: 1, sha256: "a".into() };
        assert!(store.close(day, Some(&closed), &closed).is_err());
        assert!(store.closed(day).unwrap().is_none() && store.last_closed("day").unwrap().is_none());
        store.connection.execute_batch("DROP TRIGGER refuse").unwrap();
        store.close(day, Some(&closed), &closed).unwrap();
        assert_eq!(store.closed_version(day).unwrap(), Some(1));
    }
}
