//! What a run that did not come to its end left in the store, and what a replay notes when it has.

use rusqlite::Connection;

use crate::model::time::Timestamp;
use crate::report::store::Store;
use crate::report::{ReportError, insert, summary};

/// What the keys of counted capture files begin with.
const INPUT: &str = "input:";

impl Store {
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
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::model::time::Hour;
    use crate::report::writer::Mode;
    use crate::tally::Snapshot;

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
}
