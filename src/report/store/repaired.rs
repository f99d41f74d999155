//! What bringing the store in line with event lines asks of it and notes.

use std::collections::{BTreeMap, BTreeSet};

use rusqlite::params;

use crate::model::period::Period;
use crate::model::time::Hour;
use crate::report::store::Store;
use crate::report::{ReportError, summary};

/// What the keys of files begin with whose end was counted without lines, and could not be cut off.
const CUT: &str = "cut:";

impl Store {
    /// Where it is.
    pub fn path(&self) -> &std::path::Path {
        &self.path
    }

    /// Whether it is in a temporary file.
    pub fn is_temporary(&self) -> bool {
        self.path.as_os_str().is_empty()
    }

    /// When its file was changed last, RFC 3339: how a repair is dated, before any packet tells the time.
    pub fn dated(&self) -> String {
        let changed = std::fs::metadata(&self.path).and_then(|file| file.modified()).ok();
        let changed = changed.and_then(|time| jiff::Timestamp::try_from(time).ok()).unwrap_or_default();
        changed.strftime("%Y-%m-%dT%H:%M:%SZ").to_string()
    }

    /// Attempts that waited for their line when it was written last, by hour.
    pub fn untold(&self) -> Result<BTreeMap<Hour, u64>, ReportError> {
        let read = || -> rusqlite::Result<BTreeMap<Hour, u64>> {
            let mut statement = self.connection.prepare("SELECT hour, attempts FROM untold")?;
            statement
                .query_map([], |row| Ok((Hour(row.get(0)?), row.get::<_, i64>(1)?.unsigned_abs())))?
                .collect()
        };
        read().map_err(self.wrap())
    }

    /// What is added from now on was counted in the way of that number.
    pub const fn use_regime(&mut self, regime: i64) {
        self.regime = regime;
    }

    /// Forgets a remembered value.
    pub fn forget_meta(&self, key: &str) -> Result<(), ReportError> {
        self.connection.execute("DELETE FROM meta WHERE key = ?1", [key]).map_err(self.wrap())?;
        Ok(())
    }

    /// The remembered values whose keys begin like that, in the order of the keys.
    pub fn metas(&self, prefix: &str) -> Result<Vec<String>, ReportError> {
        let read = || -> rusqlite::Result<Vec<String>> {
            let mut statement = self
                .connection
                .prepare("SELECT value FROM meta WHERE substr(key, 1, ?2) = ?1 ORDER BY key")?;
            statement
                .query_map(params![prefix, i64::try_from(prefix.len()).unwrap_or(i64::MAX)], |row| {
                    row.get(0)
                })?
                .collect()
        };
        read().map_err(self.wrap())
    }

    /// Notes how much of event files is counted.
    pub fn note_event_files(&self, lengths: &[(String, u64)]) -> Result<(), ReportError> {
        for (name, length) in lengths {
            self.connection
                .execute(
                    "INSERT OR REPLACE INTO event_file VALUES (?1, ?2)",
                    params![name, length.cast_signed()],
                )
                .map_err(self.wrap())?;
        }
        Ok(())
    }

    /// Whether it is known how long a day was watched.
    pub fn is_watched(&self, day: Period) -> Result<bool, ReportError> {
        self.connection
            .query_row(
                "SELECT EXISTS (SELECT 1 FROM watch WHERE hour >= ?1 AND hour < ?2)",
                [day.first_hour().0, day.end_hour().0],
                |row| row.get(0),
            )
            .map_err(self.wrap())
    }

    /// Forgets how many attempts of a day had no line, or waited for one: a day that is counted from its lines counts none of
    /// them.
    pub fn forget_lines_lost(&self, day: Period) -> Result<(), ReportError> {
        self.connection
            .execute(
                "DELETE FROM untold WHERE hour >= ?1 AND hour < ?2",
                [day.first_hour().0, day.end_hour().0],
            )
            .map_err(self.wrap())?;
        for name in [summary::EVENTS, summary::EVENTS_UNWRITTEN] {
            self.connection
                .execute(
                    "DELETE FROM counter WHERE hour >= ?1 AND hour < ?2 AND name = ?3",
                    params![day.first_hour().0, day.end_hour().0, name],
                )
                .map_err(self.wrap())?;
        }
        Ok(())
    }

    /// Notes that a file ends with lines whose attempts are counted as having none.
    pub fn note_to_cut(&self, name: &str) -> Result<(), ReportError> {
        self.set_meta(&format!("{CUT}{name}"), name)
    }

    /// Files that end with such lines.
    pub fn lines_to_cut(&self) -> Result<BTreeSet<String>, ReportError> {
        Ok(self.metas(CUT)?.into_iter().collect())
    }

    /// A file was cut to what is counted of it.
    pub fn forget_to_cut(&self, name: &str) -> Result<(), ReportError> {
        self.forget_meta(&format!("{CUT}{name}"))
    }
}
