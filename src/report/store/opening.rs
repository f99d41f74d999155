//! Opening the store: a new one, one of an older format, a corrupt one, one that a killed process left.

use std::path::{Path, PathBuf};

use rusqlite::{Connection, OpenFlags};

use crate::report::rebuild::REBUILDING;
use crate::report::schema::{FORMAT, MIGRATIONS};
use crate::report::source_rows::Filled;
use crate::report::store::{FILE_NAME, Store};
use crate::report::trend::months::Known;
use crate::report::{ReportError, networks};

/// How long another process (a report being printed) is waited for.
const BUSY_MAX: std::time::Duration = std::time::Duration::from_secs(5);
/// Rows of sources a day where no setting says otherwise.
const SOURCES_PER_DAY: u64 = 100_000;

/// Bytes of a store up to which the whole of it is checked at the start: so many take a tenth of a second. Beyond that a torn page shows when it
/// is met.
const CHECKED_MAX_BYTES: u64 = 32 << 20;

/// A store that was opened for writing.
#[derive(Debug)]
pub struct Opened {
    /// The store.
    pub store: Store,
    /// Whether it holds nothing yet: it was made now, or the rebuilding of it did not come to its end.
    pub is_new: bool,
    /// Where the corrupt one lies that was in its place.
    pub aside: Option<PathBuf>,
    /// What was done about a corrupt one, in words.
    pub told: Option<String>,
}

impl Store {
    /// Opens or makes the store of a state folder.
    pub fn open(folder: &Path) -> Result<(Self, Option<String>), ReportError> {
        Self::open_whole(folder).map(|opened| (opened.store, opened.told))
    }

    /// Opens or makes the store of a state folder. One that SQLite calls corrupt is moved aside, and a new one begun: the daemon
    /// must go on counting.
    pub fn open_whole(folder: &Path) -> Result<Opened, ReportError> {
        crate::report::files::make_folder(folder)?;
        let path = folder.join(FILE_NAME);
        match Self::open_checked(&path) {
            Err(error) if error.is_corrupt() => Self::replace(&path, &error),
            opened => opened,
        }
    }

    /// Moves the store aside that was found to be corrupt while it was in use, and begins a new one. The store must not be in
    /// use any more.
    pub fn replace(path: &Path, why: &ReportError) -> Result<Opened, ReportError> {
        let aside = quarantine(path)?;
        let why = match why {
            ReportError::Store { error, .. } => error.to_string(),
            other => other.to_string(),
        };
        let told = format!("store {} was corrupt ({why}) and is kept as {}", path.display(), aside.display());
        Ok(Opened { store: Self::open_file(path)?.0, is_new: true, aside: Some(aside), told: Some(told) })
    }

    fn open_checked(path: &Path) -> Result<Opened, ReportError> {
        let (store, was_empty) = Self::open_file(path)?;
        let Some(begun) = store.meta(REBUILDING)? else {
            if !was_empty && std::fs::metadata(path).is_ok_and(|file| file.len() <= CHECKED_MAX_BYTES) {
                store.check()?;
            }
            return Ok(Opened { store, is_new: was_empty, aside: None, told: None });
        };
        // Cut off while it was rebuilt: once more from the beginning, or what is in it would count twice.
        drop(store);
        for ending in ["sqlite", "sqlite-wal", "sqlite-shm"] {
            let part = path.with_extension(ending);
            if part.exists() {
                std::fs::remove_file(&part).map_err(ReportError::file("removed", &part))?;
            }
        }
        let aside = Some(PathBuf::from(begun)).filter(|aside| aside.exists());
        let told = Some(format!("store {}: its rebuilding was cut off and is begun again", path.display()));
        Ok(Opened { store: Self::open_file(path)?.0, is_new: true, aside, told })
    }

    /// Reads every page of it.
    fn check(&self) -> Result<(), ReportError> {
        let found: String = self.ask("PRAGMA quick_check(1)", |row| row.get(0))?;
        if found == "ok" {
            return Ok(());
        }
        let code = rusqlite::ffi::Error::new(rusqlite::ffi::SQLITE_CORRUPT);
        Err(self.failed(rusqlite::Error::SqliteFailure(code, Some(found.replace('\n', " ")))))
    }

    /// A store in a temporary file that is gone with it.
    pub fn temporary() -> Result<Self, ReportError> {
        // SQLite's own word for such a file.
        Self::open_file(Path::new("")).map(|(store, _)| store)
    }

    /// Opens an existing store for reading. One that a killed process left with an unfinished log has to be recovered by
    /// whoever reads it first, which needs to write.
    pub fn open_to_read(folder: &Path) -> Result<Self, ReportError> {
        let reading = OpenFlags::SQLITE_OPEN_READ_ONLY | OpenFlags::SQLITE_OPEN_NO_MUTEX;
        let recovering = OpenFlags::SQLITE_OPEN_READ_WRITE | OpenFlags::SQLITE_OPEN_NO_MUTEX;
        match Self::open_existing(folder, reading) {
            Err(ReportError::Store { error, .. })
                if matches!(
                    error.sqlite_error_code(),
                    // The latter where a log is there and the index beside it is not.
                    Some(rusqlite::ErrorCode::ReadOnly | rusqlite::ErrorCode::CannotOpen)
                ) =>
            {
                Self::open_existing(folder, recovering)
            }
            other => other,
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

    /// Opens or makes the file; whether it had no table yet.
    fn open_file(path: &Path) -> Result<(Self, bool), ReportError> {
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
        Ok((Self::of(connection, path.to_owned()), found == 0))
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
            return Self::open_file(&store.path).map(|(store, _)| store);
        }
        // The version is in the first page; whether the log can be read shows only in a table. A process that was killed
        // at once has left none.
        if found > 0 {
            store.ask("SELECT count(*) FROM meta", |_| Ok(()))?;
        }
        Ok(store)
    }
}

/// Moves a corrupt store and its companions aside, under a name that is free.
fn quarantine(path: &Path) -> Result<PathBuf, ReportError> {
    let aside = (1..1_000)
        .map(|number| path.with_extension(format!("corrupt-{number}")))
        .find(|candidate| !candidate.exists())
        .unwrap_or_else(|| path.with_extension("corrupt"));
    std::fs::rename(path, &aside).map_err(ReportError::file("moved aside", path))?;
    let log = path.with_extension("sqlite-wal");
    if log.exists() {
        // Under the name by which SQLite finds it: the latest is in it.
        let mut name = aside.clone().into_os_string();
        name.push("-wal");
        std::fs::rename(&log, &name).map_err(ReportError::file("moved aside", &log))?;
    }
    let shared = path.with_extension("sqlite-shm");
    if shared.exists() {
        std::fs::remove_file(&shared).map_err(ReportError::file("removed", &shared))?;
    }
    Ok(aside)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_corrupt_store_is_kept_aside_and_said_aloud() {
        let folder = tempfile::tempdir().unwrap();
        std::fs::write(folder.path().join(FILE_NAME), vec![b'x'; 9_000]).unwrap();
        let (_, told) = Store::open(folder.path()).unwrap();
        assert!(told.unwrap().contains("corrupt-1"));
        assert!(folder.path().join("gatewatch.corrupt-1").exists());
    }

    #[test]
    fn a_store_of_every_older_format_is_brought_up_to_date_and_keeps_its_rows() {
        for format in 1..MIGRATIONS.len() {
            let folder = tempfile::tempdir().unwrap();
            let old = Connection::open(folder.path().join(FILE_NAME)).unwrap();
            networks::register(&old).unwrap();
            for step in &MIGRATIONS[..format] {
                old.execute_batch(step).unwrap();
            }
            // The fifth format told more of each attempt.
            let rows = if format < 5 {
                "INSERT INTO tally VALUES (9, 's', 'web.sqli', 'E2', 'US', 'located', '', 1, 7, 2, 1);
                 INSERT INTO source_day VALUES (0, '192.0.2.1', 'US', 5, 'E2', 'web.sqli', 's', 1, 7, 2, 1, 10, 20);"
            } else {
                "INSERT INTO tally VALUES (9, 's', 'web.sqli', 'E2', 'US', 'located', '', 1, 3, 7, 2, 1, 0, 0);
                 INSERT INTO source_day VALUES (0, '192.0.2.1', '192.0.2.0/24', 'US', 5, 'E2', 'web.sqli', 's', 1, 4,
                     'located', '', '', 1, 7, 2, 1, 0, 10, 20);"
            };
            old.execute_batch(rows).unwrap();
            old.execute_batch(
                "INSERT INTO meta VALUES ('k', 'v'); INSERT INTO counter VALUES (9, 'frames_received', 11);
                 INSERT INTO watch VALUES (9, 5); INSERT INTO closed VALUES ('2012-06-01', 'day', 1, 1, 'hash');",
            )
            .unwrap();
            drop(old);
            let first = Store::open_to_read(folder.path()).unwrap();
            assert!(first.has_table("incident"), "{format}: whoever reads it first");
            drop(first);
            let (store, told) = Store::open(folder.path()).unwrap();
            assert!(told.is_none(), "{format}: {told:?}");
            let one = |sql: &str| store.ask(sql, |row| row.get::<_, i64>(0)).unwrap();
            assert_eq!(one("PRAGMA user_version"), FORMAT, "{format}");
            assert_eq!(one("SELECT sum(attempts) FROM tally WHERE site = 's' AND hour = 9"), 7, "{format}");
            assert_eq!(
                one("SELECT sum(attempts) FROM source_day WHERE prefix = '192.0.2.0/24'"),
                7,
                "{format}"
            );
            assert_eq!(one("SELECT value FROM counter") + one("SELECT observed_micros FROM watch"), 16);
            assert_eq!(store.meta("k").unwrap().as_deref(), Some("v"), "{format}");
            assert_eq!(store.last_closed("day").unwrap().as_deref(), Some("hash"), "{format}");
        }
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
}
