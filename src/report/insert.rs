//! A snapshot → rows of the store, inside one transaction.

use rusqlite::{Transaction, params};

use crate::model::time::Hour;
use crate::report::store::{IDENTITIES_KEPT_SECS, IDENTITY_BYTES};
use crate::tally::Snapshot;

/// Adds a snapshot, the lengths of the event files and extra counters.
pub fn all(
    transaction: &Transaction<'_>,
    snapshot: &Snapshot,
    files: &[(String, u64)],
    extra: &[(Hour, &str, u64)],
) -> rusqlite::Result<()> {
    tallies(transaction, snapshot)?;
    sources(transaction, snapshot)?;
    endpoints(transaction, snapshot)?;
    frames(transaction, snapshot)?;
    let mut observed = transaction.prepare_cached(
        "INSERT INTO watch VALUES (?1, ?2) ON CONFLICT DO UPDATE SET observed_micros = min(observed_micros + excluded.observed_micros, 3600000000)",
    )?;
    let mut counter = transaction.prepare_cached(
        "INSERT INTO counter VALUES (?1, ?2, ?3) ON CONFLICT DO UPDATE SET value = value + excluded.value",
    )?;
    for (hour, watch) in &snapshot.watch {
        observed.execute(params![hour.0, watch.observed_micros])?;
        for (row, value) in watch.counters.iter().filter(|(_, value)| *value > 0) {
            counter.execute(params![hour.0, row.name, value.cast_signed()])?;
        }
    }
    for (hour, name, value) in extra.iter().filter(|(_, _, value)| *value > 0) {
        counter.execute(params![hour.0, name, value.cast_signed()])?;
    }
    let mut file = transaction.prepare_cached(
        "INSERT INTO event_file VALUES (?1, ?2) ON CONFLICT DO UPDATE SET length = excluded.length",
    )?;
    for (name, length) in files {
        file.execute(params![name, length.cast_signed()])?;
    }
    identities(transaction, snapshot)
}

fn tallies(transaction: &Transaction<'_>, snapshot: &Snapshot) -> rusqlite::Result<()> {
    let mut statement = transaction.prepare_cached(
        "INSERT INTO tally VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8, ?9, ?10, ?11) ON CONFLICT DO UPDATE SET
         attempts = attempts + excluded.attempts, sessions = sessions + excluded.sessions,
         incidents = incidents + excluded.incidents",
    )?;
    for (key, sums) in &snapshot.rows {
        statement.execute(params![
            key.hour.0,
            key.site,
            key.class.id(),
            key.grade.name(),
            key.place.code(),
            key.sector.name(),
            key.label.as_deref().unwrap_or_default(),
            key.headline,
            sums.attempts.cast_signed(),
            sums.sessions.cast_signed(),
            sums.incidents.cast_signed(),
        ])?;
    }
    Ok(())
}

fn sources(transaction: &Transaction<'_>, snapshot: &Snapshot) -> rusqlite::Result<()> {
    let mut statement = transaction.prepare_cached(
        "INSERT INTO source_day VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8, ?9, ?10, ?11, ?12, ?13) ON CONFLICT DO UPDATE SET
         attempts = attempts + excluded.attempts, sessions = sessions + excluded.sessions,
         incidents = incidents + excluded.incidents, first = min(first, excluded.first), last = max(last, excluded.last)",
    )?;
    // In the order of the key, so that the tree is filled page by page.
    let mut rows: Vec<_> =
        snapshot.sources.iter().map(|(key, sums)| (key, key.source.to_string(), sums)).collect();
    rows.sort_by(|a, b| (a.0.day, &a.1).cmp(&(b.0.day, &b.1)));
    for (key, source, sums) in rows {
        statement.execute(params![
            key.day.first_hour().0,
            source,
            key.place.code(),
            key.asn.map_or(-1, i64::from),
            key.grade.name(),
            key.class.id(),
            key.site,
            key.headline,
            sums.sums.attempts.cast_signed(),
            sums.sums.sessions.cast_signed(),
            sums.sums.incidents.cast_signed(),
            sums.seen.0.0,
            sums.seen.1.0,
        ])?;
    }
    Ok(())
}

fn identities(transaction: &Transaction<'_>, snapshot: &Snapshot) -> rusqlite::Result<()> {
    let Some(newest) = snapshot.ids.iter().map(|(_, second)| *second).max() else { return Ok(()) };
    let mut blob = Vec::with_capacity(snapshot.ids.len() * IDENTITY_BYTES);
    for (id, second) in &snapshot.ids {
        blob.extend(id.0.to_be_bytes());
        blob.extend(second.to_be_bytes());
    }
    transaction
        .prepare_cached("INSERT INTO seen (newest, ids) VALUES (?1, ?2)")?
        .execute(params![newest, blob])?;
    transaction
        .prepare_cached("DELETE FROM seen WHERE newest < (SELECT max(newest) FROM seen) - ?1")?
        .execute([IDENTITIES_KEPT_SECS])?;
    Ok(())
}

fn endpoints(transaction: &Transaction<'_>, snapshot: &Snapshot) -> rusqlite::Result<()> {
    let mut statement = transaction.prepare_cached(
        "INSERT INTO endpoint_day VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8) ON CONFLICT DO UPDATE SET
         attempts = attempts + excluded.attempts, answered = answered + excluded.answered,
         clean_sources = excluded.clean_sources",
    )?;
    for (endpoint, sums) in &snapshot.endpoints {
        statement.execute(params![
            endpoint.day.first_hour().0,
            endpoint.site,
            endpoint.path,
            endpoint.place,
            endpoint.rule,
            sums.attempts.cast_signed(),
            sums.answered.cast_signed(),
            sums.clean_sources.cast_signed(),
        ])?;
    }
    Ok(())
}

fn frames(transaction: &Transaction<'_>, snapshot: &Snapshot) -> rusqlite::Result<()> {
    let mut statement = transaction.prepare_cached(
        "INSERT INTO frames_hour VALUES (?1, ?2, ?3, ?4, ?5, ?6) ON CONFLICT DO UPDATE SET
         attempts = attempts + excluded.attempts, headline = headline + excluded.headline,
         overseas = overseas + excluded.overseas",
    )?;
    for (key, sums) in &snapshot.frames {
        statement.execute(params![
            key.hour.0,
            key.site,
            key.frames,
            sums.attempts.cast_signed(),
            sums.headline.cast_signed(),
            sums.overseas.cast_signed(),
        ])?;
    }
    Ok(())
}

/// Notes what of a snapshot has no identity: observed time (without a name) and counters.
pub fn unfinished(
    transaction: &Transaction<'_>,
    snapshot: &Snapshot,
    extra: &[(Hour, &str, u64)],
) -> rusqlite::Result<()> {
    let mut statement = transaction.prepare_cached(
        "INSERT INTO unfinished VALUES (?1, ?2, ?3) ON CONFLICT DO UPDATE SET value = value + excluded.value",
    )?;
    for (hour, watch) in &snapshot.watch {
        statement.execute(params![hour.0, "", watch.observed_micros])?;
        for (row, value) in watch.counters.iter().filter(|(_, value)| *value > 0) {
            statement.execute(params![hour.0, row.name, value.cast_signed()])?;
        }
    }
    for (hour, name, value) in extra.iter().filter(|(_, _, value)| *value > 0) {
        statement.execute(params![hour.0, name, value.cast_signed()])?;
    }
    Ok(())
}
