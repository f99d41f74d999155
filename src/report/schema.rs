//! The tables of the store, and what brings an older one up to date.

/// Format of the store; a newer one is refused, an older one brought up to date.
pub const FORMAT: i64 = 7;

const SCHEMA: &str = "
CREATE TABLE tally (
    hour INTEGER NOT NULL, site TEXT NOT NULL, class TEXT NOT NULL, grade TEXT NOT NULL, place TEXT NOT NULL,
    sector TEXT NOT NULL, label TEXT NOT NULL, headline INTEGER NOT NULL,
    attempts INTEGER NOT NULL, sessions INTEGER NOT NULL, incidents INTEGER NOT NULL,
    PRIMARY KEY (hour, site, class, grade, place, sector, label, headline)) WITHOUT ROWID;
CREATE TABLE source_day (
    day INTEGER NOT NULL, source TEXT NOT NULL, place TEXT NOT NULL, asn INTEGER NOT NULL, grade TEXT NOT NULL,
    class TEXT NOT NULL, site TEXT NOT NULL, headline INTEGER NOT NULL,
    attempts INTEGER NOT NULL, sessions INTEGER NOT NULL, incidents INTEGER NOT NULL,
    first INTEGER NOT NULL, last INTEGER NOT NULL,
    PRIMARY KEY (day, source, site, class, grade, place, asn, headline)) WITHOUT ROWID;
CREATE TABLE watch (hour INTEGER PRIMARY KEY, observed_micros INTEGER NOT NULL);
CREATE TABLE counter (
    hour INTEGER NOT NULL, name TEXT NOT NULL, value INTEGER NOT NULL, PRIMARY KEY (hour, name)) WITHOUT ROWID;
CREATE TABLE seen (batch INTEGER PRIMARY KEY, newest INTEGER NOT NULL, ids BLOB NOT NULL);
CREATE TABLE event_file (name TEXT PRIMARY KEY, length INTEGER NOT NULL) WITHOUT ROWID;
CREATE TABLE closed (
    period TEXT PRIMARY KEY, kind TEXT NOT NULL, version INTEGER NOT NULL, sequence INTEGER NOT NULL,
    sha256 TEXT NOT NULL) WITHOUT ROWID;
CREATE TABLE meta (key TEXT PRIMARY KEY, value TEXT NOT NULL) WITHOUT ROWID;
PRAGMA user_version = 1;
";

/// What brings a store of format N to N + 1, by N.
pub const MIGRATIONS: &[&str] = &[
    SCHEMA,
    "
CREATE TABLE endpoint_day (
    day INTEGER NOT NULL, site TEXT NOT NULL, path TEXT NOT NULL, place TEXT NOT NULL, rule TEXT NOT NULL,
    attempts INTEGER NOT NULL, answered INTEGER NOT NULL, clean_sources INTEGER NOT NULL,
    PRIMARY KEY (day, site, path, place, rule)) WITHOUT ROWID;
PRAGMA user_version = 2;
",
    "
CREATE TABLE frames_hour (
    hour INTEGER NOT NULL, site TEXT NOT NULL, frames INTEGER NOT NULL,
    attempts INTEGER NOT NULL, headline INTEGER NOT NULL, overseas INTEGER NOT NULL,
    PRIMARY KEY (hour, site, frames)) WITHOUT ROWID;
PRAGMA user_version = 3;
",
    "
CREATE TABLE unfinished (
    hour INTEGER NOT NULL, name TEXT NOT NULL, value INTEGER NOT NULL, PRIMARY KEY (hour, name)) WITHOUT ROWID;
PRAGMA user_version = 4;
",
    "
CREATE TABLE tally_new (
    hour INTEGER NOT NULL, site TEXT NOT NULL, class TEXT NOT NULL, grade TEXT NOT NULL, place TEXT NOT NULL,
    sector TEXT NOT NULL, label TEXT NOT NULL, headline INTEGER NOT NULL, regime INTEGER NOT NULL,
    attempts INTEGER NOT NULL, sessions INTEGER NOT NULL, incidents INTEGER NOT NULL,
    compared INTEGER NOT NULL, disputed INTEGER NOT NULL,
    PRIMARY KEY (hour, site, class, grade, place, sector, label, headline, regime)) WITHOUT ROWID;
INSERT INTO tally_new SELECT hour, site, class, grade, place, sector, label, headline, 0,
    attempts, sessions, incidents, 0, 0 FROM tally;
DROP TABLE tally;
ALTER TABLE tally_new RENAME TO tally;
CREATE TABLE source_new (
    day INTEGER NOT NULL, source TEXT NOT NULL, prefix TEXT NOT NULL, place TEXT NOT NULL, asn INTEGER NOT NULL,
    grade TEXT NOT NULL, class TEXT NOT NULL, site TEXT NOT NULL, headline INTEGER NOT NULL, campaign INTEGER NOT NULL,
    sector TEXT NOT NULL, registered TEXT NOT NULL, infrastructure TEXT NOT NULL, hours INTEGER NOT NULL,
    attempts INTEGER NOT NULL, sessions INTEGER NOT NULL, incidents INTEGER NOT NULL, disputed INTEGER NOT NULL,
    first INTEGER NOT NULL, last INTEGER NOT NULL,
    PRIMARY KEY (day, source, prefix, site, class, grade, place, asn, headline, campaign, sector)) WITHOUT ROWID;
INSERT INTO source_new SELECT day, source, prefix_of(source), place, asn, grade, class, site, headline, 0, '', '', '', 0,
    attempts, sessions, incidents, 0, first, last FROM source_day;
DROP TABLE source_day;
ALTER TABLE source_new RENAME TO source_day;
CREATE TABLE campaign (
    id INTEGER PRIMARY KEY, class TEXT NOT NULL, rule TEXT NOT NULL, client TEXT NOT NULL, payload TEXT NOT NULL);
CREATE TABLE system (asn INTEGER PRIMARY KEY, org TEXT NOT NULL);
CREATE INDEX seen_newest ON seen (newest);
CREATE TABLE distinct_day (
    day INTEGER NOT NULL, dimension TEXT NOT NULL, key TEXT NOT NULL, sketch BLOB NOT NULL,
    PRIMARY KEY (day, dimension, key)) WITHOUT ROWID;
CREATE TABLE span (first INTEGER PRIMARY KEY, last INTEGER NOT NULL);
CREATE TABLE regime (id INTEGER PRIMARY KEY, provenance TEXT NOT NULL UNIQUE);
CREATE TABLE regime_hour (
    hour INTEGER NOT NULL, regime INTEGER NOT NULL, PRIMARY KEY (hour, regime)) WITHOUT ROWID;
PRAGMA user_version = 5;
",
    // What waited for its event line when the process ended; the loss has the name of the contract.
    "
CREATE TABLE untold (hour INTEGER PRIMARY KEY, attempts INTEGER NOT NULL);
UPDATE counter SET name = 'events' WHERE name = 'events_shed';
PRAGMA user_version = 6;
",
    "
CREATE TABLE incident (
    hour INTEGER NOT NULL, first INTEGER NOT NULL, source TEXT NOT NULL, class TEXT NOT NULL, site TEXT NOT NULL,
    place TEXT NOT NULL, headline INTEGER NOT NULL, last INTEGER NOT NULL, attempts INTEGER NOT NULL, peak INTEGER NOT NULL,
    PRIMARY KEY (hour, first, source, class, site)) WITHOUT ROWID;
PRAGMA user_version = 7;
",
];

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_format_has_its_step() {
        assert_eq!(i64::try_from(MIGRATIONS.len()), Ok(FORMAT));
        for (before, step) in MIGRATIONS.iter().enumerate() {
            assert!(step.contains(&format!("PRAGMA user_version = {};", before + 1)), "{step}");
        }
    }

    #[test]
    fn an_old_store_keeps_its_rows() {
        let connection = rusqlite::Connection::open_in_memory().unwrap();
        crate::report::networks::register(&connection).unwrap();
        for step in &MIGRATIONS[..4] {
            connection.execute_batch(step).unwrap();
        }
        connection
            .execute_batch(
                "INSERT INTO source_day VALUES (0, '192.0.2.1', 'US', 5, 'E2', 'web.sqli', 'a', 1, 7, 2, 1, 10, 20)",
            )
            .unwrap();
        for step in &MIGRATIONS[4..] {
            connection.execute_batch(step).unwrap();
        }
        let row: (String, String, i64, i64) = connection
            .query_row("SELECT source, prefix, attempts, last FROM source_day", [], |row| {
                Ok((row.get(0)?, row.get(1)?, row.get(2)?, row.get(3)?))
            })
            .unwrap();
        assert_eq!(row, ("192.0.2.1".to_owned(), "192.0.2.0/24".to_owned(), 7, 20));
    }
}
