//! Opening the store: a new one, one of an older format, a corrupt one, one that a killed process left.

use std::path::{Path, PathBuf};

use rusqlite::{Connection, OpenFlags};

use crate::report::schema::{FORMAT, MIGRATIONS};
use crate::report::source_rows::Filled;
use crate::report::store::{FILE_NAME, Store};
use crate::report::trend::months::Known;
use crate::report::{ReportError, networks};

/// How long another process (a report being printed) is waited for.
const BUSY_MAX: std::time::Duration = std::time::Duration::from_secs(5);
/// Rows of sources a day where no setting says otherwise.
const SOURCES_PER_DAY: u64 = 100_000;

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

    /// A store in a temporary file that is gone with it.
    pub fn temporary() -> Result<Self, ReportError> {
        // SQLite's own word for such a file.
        Self::open_file(Path::new(""))
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
}
