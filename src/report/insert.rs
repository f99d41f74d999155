//! A snapshot → rows of the store, inside one transaction.

use rusqlite::{Transaction, params};

use crate::model::progress::Counter;
use crate::model::time::{Hour, Timestamp};
use crate::report::regimes;
use crate::report::store::{IDENTITIES_KEPT_SECS, IDENTITY_BYTES};
use crate::tally::{HourWatch, Snapshot};

/// Campaigns that are described; of more than so many only the numbers are told apart. Two descriptions of 120 bytes each
/// make 25 MB of it.
const CAMPAIGNS_MAX: i64 = 100_000;

/// Adds a snapshot, counted in the way of number `regime`, but for its sources; the lengths of the event files and extra
/// counters.
pub fn all(
    transaction: &Transaction<'_>,
    (snapshot, regime): (&Snapshot, i64),
    files: &[(String, u64)],
    extra: &[(Hour, &str, u64)],
) -> rusqlite::Result<()> {
    tallies(transaction, snapshot, regime)?;
    campaigns(transaction, snapshot)?;
    endpoints(transaction, snapshot)?;
    frames(transaction, snapshot)?;
    let mut observed = transaction.prepare_cached(
        "INSERT INTO watch VALUES (?1, ?2) ON CONFLICT DO UPDATE SET observed_micros = min(observed_micros + excluded.observed_micros, 3600000000)",
    )?;
    let mut counter = transaction.prepare_cached(
        "INSERT INTO counter VALUES (?1, ?2, ?3) ON CONFLICT DO UPDATE SET value = value + excluded.value",
    )?;
    let packets = |watch: &HourWatch| watch.counters.value(Counter::FramesReceived) > 0;
    for hour in snapshot.rows.keys().map(|key| key.hour) {
        regimes::note(transaction, hour, regime)?;
    }
    for (hour, watch) in &snapshot.watch {
        if packets(watch) {
            regimes::note(transaction, *hour, regime)?;
        }
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
    untold(transaction, snapshot)?;
    identities(transaction, snapshot)
}

/// What waits for its event line is known as a whole: the last word counts.
fn untold(transaction: &Transaction<'_>, snapshot: &Snapshot) -> rusqlite::Result<()> {
    transaction.prepare_cached("DELETE FROM untold")?.execute([])?;
    let mut statement = transaction.prepare_cached("INSERT INTO untold VALUES (?1, ?2)")?;
    for (hour, attempts) in &snapshot.untold {
        statement.execute(params![hour.0, attempts.cast_signed()])?;
    }
    Ok(())
}

fn tallies(transaction: &Transaction<'_>, snapshot: &Snapshot, regime: i64) -> rusqlite::Result<()> {
    let mut statement = transaction.prepare_cached(
        "INSERT INTO tally VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8, ?9, ?10, ?11, ?12, ?13, ?14) ON CONFLICT DO UPDATE SET
         attempts = attempts + excluded.attempts, sessions = sessions + excluded.sessions,
         incidents = incidents + excluded.incidents, compared = compared + excluded.compared,
         disputed = disputed + excluded.disputed",
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
            regime,
            sums.attempts.cast_signed(),
            sums.sessions.cast_signed(),
            sums.incidents.cast_signed(),
            sums.compared.cast_signed(),
            sums.disputed.cast_signed(),
        ])?;
    }
    Ok(())
}

fn campaigns(transaction: &Transaction<'_>, snapshot: &Snapshot) -> rusqlite::Result<()> {
    let mut statement = transaction.prepare_cached(
        "INSERT OR IGNORE INTO campaign SELECT ?1, ?2, ?3, ?4, ?5
         WHERE (SELECT count(*) FROM (SELECT 1 FROM campaign LIMIT ?6)) < ?6",
    )?;
    for campaign in snapshot.campaigns.values() {
        statement.execute(params![
            campaign.id.0.cast_signed(),
            campaign.class.id(),
            campaign.rule,
            campaign.client,
            campaign.payload,
            CAMPAIGNS_MAX,
        ])?;
    }
    let mut statement = transaction.prepare_cached("INSERT OR REPLACE INTO system VALUES (?1, ?2)")?;
    for (asn, org) in &snapshot.systems {
        statement.execute(params![asn, org])?;
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

/// Notes spans of observed time, each put together with those that it touches.
pub fn spans(transaction: &Transaction<'_>, spans: &[(Timestamp, Timestamp)]) -> rusqlite::Result<()> {
    for (from, to) in spans {
        let (first, last): (Option<i64>, Option<i64>) = transaction
            .prepare_cached("SELECT min(first), max(last) FROM span WHERE first <= ?2 AND last >= ?1")?
            .query_row([from.0, to.0], |row| Ok((row.get(0)?, row.get(1)?)))?;
        transaction
            .prepare_cached("DELETE FROM span WHERE first <= ?2 AND last >= ?1")?
            .execute([from.0, to.0])?;
        let (first, last) = (first.unwrap_or(from.0).min(from.0), last.unwrap_or(to.0).max(to.0));
        transaction.prepare_cached("INSERT INTO span VALUES (?1, ?2)")?.execute([first, last])?;
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
