//! Attempts taken out of every table that they count in.

use rusqlite::{Connection, params};

use crate::model::period::{Period, PeriodKind};
use crate::model::time::Hour;
use crate::report::merge::lines::TallyRow;

/// What was counted late stands in an hour behind its own, and what a store has rolled up in the first of its month.
const NEAR_HOURS: [i64; 2] = [-31 * 24, 48];

/// Attempts, sessions and incidents.
pub type Units = [u64; 3];

/// Takes attempts out of every table that they count in; tells how many of them were found.
pub fn take(connection: &Connection, row: &TallyRow, hour: Hour, units: Units) -> rusqlite::Result<u64> {
    let taken = from_tally(connection, row, hour, units)?;
    from_sources(connection, row, hour, units)?;
    from_frames(connection, row, hour, taken)?;
    Ok(taken)
}

fn from_tally(connection: &Connection, row: &TallyRow, hour: Hour, mut left: Units) -> rusqlite::Result<u64> {
    let [before, behind] = NEAR_HOURS;
    let mut near = connection.prepare_cached(
        "SELECT hour, regime, attempts, sessions, incidents FROM tally
         WHERE site = ?1 AND class = ?2 AND grade = ?3 AND place = ?4 AND sector = ?5 AND label = ?6 AND headline = ?7
         AND hour BETWEEN ?8 + ?9 AND ?8 + ?10 AND attempts > 0 ORDER BY abs(hour - ?8), hour, regime",
    )?;
    let mut change = connection.prepare_cached(
        "UPDATE tally SET attempts = attempts - ?10, sessions = sessions - ?11, incidents = incidents - ?12,
         compared = max(0, compared - ?10 * ?13), disputed = max(0, disputed - ?10 * ?14)
         WHERE hour = ?1 AND site = ?2 AND class = ?3 AND grade = ?4 AND place = ?5 AND sector = ?6 AND label = ?7
         AND headline = ?8 AND regime = ?9",
    )?;
    let rows: Vec<(i64, i64, [i64; 3])> = near
        .query_map(
            params![
                row.site,
                row.class,
                row.grade,
                row.place,
                row.sector,
                row.label,
                row.headline,
                hour.0,
                before,
                behind
            ],
            |found| Ok((found.get(0)?, found.get(1)?, [found.get(2)?, found.get(3)?, found.get(4)?])),
        )?
        .collect::<Result<_, _>>()?;
    let mut attempts = 0;
    for (at, regime, has) in rows {
        let [taken, sessions, incidents] = draw(&mut left, has.map(i64::unsigned_abs));
        attempts += taken;
        change.execute(params![
            at,
            row.site,
            row.class,
            row.grade,
            row.place,
            row.sector,
            row.label,
            row.headline,
            regime,
            signed(taken),
            signed(sessions),
            signed(incidents),
            row.compared,
            row.disputed
        ])?;
        if left == [0; 3] {
            break;
        }
    }
    Ok(attempts)
}

/// What a row that has so much gives of what is left to take.
fn draw(left: &mut Units, has: Units) -> Units {
    let mut taken = [0; 3];
    for ((taken, left), has) in taken.iter_mut().zip(left).zip(has) {
        *taken = has.min(*left);
        *left -= *taken;
    }
    taken
}

fn from_sources(
    connection: &Connection,
    row: &TallyRow,
    hour: Hour,
    mut left: Units,
) -> rusqlite::Result<()> {
    let day = Period::containing(PeriodKind::Day, hour.start()).first_hour();
    let [before, _] = NEAR_HOURS;
    // The row of the source in its campaign; where its addresses are gone, or the day had too many, that which holds it.
    let mut near = connection.prepare_cached(
        "SELECT day, source, prefix, asn, campaign, attempts, sessions, incidents FROM source_day
         WHERE day BETWEEN ?1 + ?2 AND ?1 + 24 AND source IN (?3, '') AND site = ?4 AND class = ?5 AND grade = ?6
         AND place = ?7 AND headline = ?8 AND sector = ?9 AND attempts > 0
         ORDER BY abs(day - ?1), source <> ?3, campaign <> ?10, prefix, asn",
    )?;
    let mut change = connection.prepare_cached(
        "UPDATE source_day SET attempts = attempts - ?12, sessions = sessions - ?13, incidents = incidents - ?14,
         disputed = max(0, disputed - ?12 * ?15)
         WHERE day = ?1 AND source = ?2 AND prefix = ?3 AND site = ?4 AND class = ?5 AND grade = ?6 AND place = ?7
         AND asn = ?8 AND headline = ?9 AND campaign = ?10 AND sector = ?11",
    )?;
    let rows: Vec<(i64, String, String, i64, i64, [i64; 3])> = near
        .query_map(
            params![
                day.0,
                before,
                row.source,
                row.site,
                row.class,
                row.grade,
                row.place,
                row.headline,
                row.sector,
                row.campaign
            ],
            |found| {
                let units = [found.get(5)?, found.get(6)?, found.get(7)?];
                Ok((found.get(0)?, found.get(1)?, found.get(2)?, found.get(3)?, found.get(4)?, units))
            },
        )?
        .collect::<Result<_, _>>()?;
    for (at, source, prefix, asn, campaign, has) in rows {
        let [attempts, sessions, incidents] = draw(&mut left, has.map(i64::unsigned_abs));
        change.execute(params![
            at,
            source,
            prefix,
            row.site,
            row.class,
            row.grade,
            row.place,
            asn,
            row.headline,
            campaign,
            row.sector,
            signed(attempts),
            signed(sessions),
            signed(incidents),
            row.disputed
        ])?;
        if left == [0; 3] {
            break;
        }
    }
    Ok(())
}

fn from_frames(connection: &Connection, row: &TallyRow, hour: Hour, attempts: u64) -> rusqlite::Result<()> {
    let [before, behind] = NEAR_HOURS;
    let mut near = connection.prepare_cached(
        "SELECT hour, frames, attempts FROM frames_hour
         WHERE site = ?1 AND hour BETWEEN ?2 + ?4 AND ?2 + ?5 AND attempts > 0
         AND (?6 = 0 OR headline > 0) AND (?7 = 0 OR overseas > 0)
         ORDER BY abs(hour - ?2), abs(frames - ?3), frames",
    )?;
    let overseas = row.is_overseas();
    let rows: Vec<(i64, i64, i64)> = near
        .query_map(params![row.site, hour.0, row.frames, before, behind, row.headline, overseas], |found| {
            Ok((found.get(0)?, found.get(1)?, found.get(2)?))
        })?
        .collect::<Result<_, _>>()?;
    let mut left = signed(attempts);
    for (at, frames, has) in rows {
        let taken = has.min(left);
        left -= taken;
        connection
            .prepare_cached(
                "UPDATE frames_hour SET attempts = attempts - ?4, headline = max(0, headline - ?4 * ?5),
                 overseas = max(0, overseas - ?4 * ?6) WHERE hour = ?1 AND site = ?2 AND frames = ?3",
            )?
            .execute(params![at, row.site, frames, taken, row.headline, overseas])?;
        if left == 0 {
            break;
        }
    }
    Ok(())
}

/// A count as SQLite has it.
fn signed(count: u64) -> i64 {
    i64::try_from(count).unwrap_or(i64::MAX)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_row_gives_no_more_than_it_has() {
        let mut left = [5, 1, 0];
        assert_eq!(draw(&mut left, [3, 4, 9]), [3, 1, 0]);
        assert_eq!(left, [2, 0, 0]);
    }
}
