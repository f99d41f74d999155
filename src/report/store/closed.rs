//! What was closed: reports and manifests, each a link of the chain of its kind.

use rusqlite::{Connection, OptionalExtension, params};

use crate::model::period::{Period, PeriodKind};
use crate::report::ReportError;
use crate::report::store::Store;

/// A report that was closed.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct Closed {
    /// 1 for the first, 2 for its first correction, …
    pub version: u32,
    /// SHA-256 of its JSON.
    pub sha256: String,
}

impl Store {
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
            transaction.execute("DELETE FROM meta WHERE key = ?1", [reopened_name(period)])?;
            transaction.commit()
        };
        close(&mut self.connection).map_err(|error| ReportError::Store { error, path })
    }

    /// Whether a period was closed, with a report or, where the settings ask for none, with its manifest alone.
    pub fn is_closed(&self, period: Period) -> Result<bool, ReportError> {
        Ok(self.closed_version(period)?.is_some() || self.closed(period)?.is_some())
    }

    /// Notes that a closed period is about to get more counts: it stays noted until it is closed again.
    pub fn note_reopened(&self, period: Period) -> Result<(), ReportError> {
        self.set_meta(&reopened_name(period), "")
    }

    /// Whether a closed period got counts since, and was not closed again.
    pub fn is_reopened(&self, period: Period) -> Result<bool, ReportError> {
        Ok(self.meta(&reopened_name(period))?.is_some())
    }

    /// The hash of the last manifest of that kind of period.
    pub fn last_manifest(&self, kind: PeriodKind) -> Result<Option<String>, ReportError> {
        self.last_closed(&manifest_chain(kind))
    }
}

/// Names of manifests in the table of what was closed.
fn manifest_name(period: Period) -> String {
    format!("manifest-{period}")
}

/// The key under which it is noted that a period is to be closed again.
fn reopened_name(period: Period) -> String {
    format!("reopened:{period}")
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

#[cfg(test)]
mod tests {
    use super::*;

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
