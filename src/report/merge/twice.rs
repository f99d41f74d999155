//! Attempts that several sensors saw, taken out of all but one.
//!
//! A web request has a line of its own: one with the same identity within two seconds is the same request. Of every other class
//! a line stands for many attempts of an incident: incidents of one source, class, site and grade that begin within two seconds
//! of each other are one, and of each hour the larger count stays. What the identities in the stores tell beyond that is said.

use std::collections::BTreeMap;

use rusqlite::{Connection, OptionalExtension, params};

use crate::model::period::{Period, PeriodKind};
use crate::model::time::{Hour, MICROS_PER_SEC};
use crate::report::event_lines::Line;
use crate::report::merge::lines::{self, TallyRow};
use crate::report::merge::subtract::{Units, take};
use crate::report::merge::{Member, Unchecked};
use crate::report::rollup::Marks;
use crate::report::span::Span;
use crate::report::store::Store;
use crate::report::{ReportError, query};

/// Two sightings of one identity are the same attempt within so many seconds (contract §3, reading "Identity").
const SAME_SECS: i64 = 2;

/// What was found.
#[derive(Debug, Default)]
pub struct Found {
    /// Attempts that were taken out.
    pub duplicates: u64,
    /// Attempts that are the same by their identity, and were not.
    pub counted_twice: u64,
    /// Attempts without a line.
    pub unchecked: Vec<Unchecked>,
}

const TABLES: &str = "
CREATE TEMP TABLE met (id INTEGER NOT NULL, second INTEGER NOT NULL, member INTEGER NOT NULL);
CREATE INDEX temp.met_id ON met (id);
CREATE TEMP TABLE met_incident (
    whose TEXT NOT NULL, first INTEGER NOT NULL, member INTEGER NOT NULL, hour INTEGER NOT NULL, attempts INTEGER NOT NULL,
    sessions INTEGER NOT NULL, incidents INTEGER NOT NULL, row TEXT NOT NULL,
    PRIMARY KEY (whose, first, member, hour)) WITHOUT ROWID;
";

/// Takes out what was seen by several members.
pub fn take_out(sum: &Store, members: &[Member], span: &Span) -> Result<Found, ReportError> {
    let connection = sum.connection();
    connection.execute_batch(TABLES).map_err(sum.wrap())?;
    let transaction = connection.unchecked_transaction().map_err(sum.wrap())?;
    let mut found = Found::default();
    let mut told = Vec::new();
    for (number, member) in members.iter().enumerate() {
        // Both are far below 2^63.
        let number = i64::try_from(number).unwrap_or(i64::MAX);
        let mut by_period: BTreeMap<Period, u64> = BTreeMap::new();
        let marks = Marks::read(member.store.connection()).map_err(member.store.wrap())?;
        lines::each(&member.folder, span, |line| {
            *by_period.entry(period(marks, line.time.hour())).or_default() += line.attempts;
            found.duplicates += meet(connection, number, line).map_err(sum.wrap())?;
            Ok(())
        })?;
        found.duplicates += meet_incidents(connection, number).map_err(sum.wrap())?;
        told.push(by_period);
    }
    let empty = "DELETE FROM tally WHERE attempts = 0 AND sessions = 0 AND incidents = 0;
                 DELETE FROM source_day WHERE attempts = 0 AND sessions = 0 AND incidents = 0;";
    transaction.execute_batch(empty).map_err(sum.wrap())?;
    transaction.commit().map_err(sum.wrap())?;
    found.unchecked = unchecked(members, span, &told)?;
    found.counted_twice = same_by_identity(members, span)?.saturating_sub(found.duplicates);
    Ok(found)
}

/// The finest period that a store tells of an hour, from days on.
fn period(marks: Marks, hour: Hour) -> Period {
    let kind =
        if marks.days_from.is_some_and(|from| hour < from) { PeriodKind::Month } else { PeriodKind::Day };
    Period::containing(kind, hour.start())
}

/// A line of a member: an attempt that an earlier one saw is taken out; of an incident is noted what each saw.
fn meet(connection: &Connection, member: i64, line: &Line) -> rusqlite::Result<u64> {
    let row = TallyRow::of(line);
    let id = line.id.0.cast_signed();
    let Some((first, ..)) = line.incident else {
        let known: bool = connection
            .prepare_cached(
                "SELECT EXISTS (SELECT 1 FROM met WHERE id = ?1 AND member <> ?2 AND abs(second - ?3) <= ?4)",
            )?
            .query_row(params![id, member, line.time.secs(), SAME_SECS], |row| row.get(0))?;
        if known {
            return take(connection, &row, line.time.hour(), [line.attempts, line.sessions, line.incidents]);
        }
        connection.prepare_cached("INSERT INTO met VALUES (?1, ?2, ?3)")?.execute([
            id,
            line.time.secs(),
            member,
        ])?;
        return Ok(0);
    };
    connection
        .prepare_cached(
            "INSERT INTO met_incident VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8) ON CONFLICT DO UPDATE SET
             attempts = attempts + excluded.attempts, sessions = sessions + excluded.sessions,
             incidents = incidents + excluded.incidents",
        )?
        .execute(params![
            row.whose(),
            first.0,
            member,
            line.time.hour().0,
            line.attempts.cast_signed(),
            line.sessions.cast_signed(),
            line.incidents.cast_signed(),
            serde_json::to_string(&row).unwrap_or_default(),
        ])?;
    Ok(0)
}

/// An incident as a member saw it: by hour.
type Seen = BTreeMap<i64, (Units, TallyRow)>;

/// Takes out of each incident of a member what an earlier one saw of it.
fn meet_incidents(connection: &Connection, member: i64) -> rusqlite::Result<u64> {
    let incidents: Vec<(String, i64)> = connection
        .prepare_cached("SELECT DISTINCT whose, first FROM met_incident WHERE member = ?1")?
        .query_map([member], |row| Ok((row.get(0)?, row.get(1)?)))?
        .collect::<Result<_, _>>()?;
    let mut duplicates = 0;
    for (whose, first) in incidents {
        // Of several earlier members the one that saw most of it.
        let best: Option<(i64, i64)> = connection
            .prepare_cached(
                "SELECT member, first FROM met_incident
                 WHERE whose = ?1 AND first BETWEEN ?2 - ?4 AND ?2 + ?4 AND member < ?3
                 GROUP BY member, first ORDER BY sum(attempts) DESC LIMIT 1",
            )?
            .query_row(params![whose, first, member, SAME_SECS * MICROS_PER_SEC], |row| {
                Ok((row.get(0)?, row.get(1)?))
            })
            .optional()?;
        let Some((earlier, earlier_first)) = best else { continue };
        let before = seen(connection, (&whose, earlier_first, earlier))?;
        let now = seen(connection, (&whose, first, member))?;
        for (hour, row, units) in both(&before, &now) {
            duplicates += take(connection, row, Hour(hour), units)?;
        }
    }
    Ok(duplicates)
}

fn seen(connection: &Connection, (whose, first, member): (&str, i64, i64)) -> rusqlite::Result<Seen> {
    let mut statement = connection.prepare_cached(
        "SELECT hour, attempts, sessions, incidents, row FROM met_incident
         WHERE whose = ?1 AND first = ?2 AND member = ?3",
    )?;
    let mut rows = statement.query(params![whose, first, member])?;
    let mut seen = Seen::new();
    while let Some(row) = rows.next()? {
        let count = |at| row.get::<_, i64>(at).map(i64::unsigned_abs);
        let text: String = row.get(4)?;
        if let Ok(of_tally) = serde_json::from_str(&text) {
            seen.insert(row.get(0)?, ([count(1)?, count(2)?, count(3)?], of_tally));
        }
    }
    Ok(seen)
}

/// What both saw, by the hour in which the second one did. Lines come once a minute, so what one told in an hour the other may
/// have told in the next: where an hour has less than the first saw, the rest is looked for in the others.
fn both<'n>(before: &Seen, now: &'n Seen) -> Vec<(i64, &'n TallyRow, Units)> {
    let all = |seen: &Seen, unit: usize| seen.values().filter_map(|(units, _)| units.get(unit)).sum::<u64>();
    let mut left: Units = [0, 1, 2].map(|unit| all(before, unit).min(all(now, unit)));
    let mut taken: BTreeMap<i64, Units> = BTreeMap::new();
    let least = |hour: &i64, unit: usize| {
        before.get(hour).and_then(|(units, _)| units.get(unit)).copied().unwrap_or(0)
    };
    for in_same_hour in [true, false] {
        for (hour, (units, _)) in now {
            let taken = taken.entry(*hour).or_default();
            for (unit, ((taken, left), seen)) in taken.iter_mut().zip(&mut left).zip(units).enumerate() {
                let most = if in_same_hour { least(hour, unit) } else { u64::MAX };
                let more = most.min(*left).min(seen.saturating_sub(*taken));
                *taken += more;
                *left -= more;
            }
        }
    }
    now.iter()
        .filter_map(|(hour, (_, row))| Some((*hour, row, *taken.get(hour)?)))
        .filter(|(.., units)| units.iter().any(|count| *count > 0))
        .collect()
}

/// Attempts of each member that no line tells, in periods in which another member saw some.
fn unchecked(
    members: &[Member],
    span: &Span,
    told: &[BTreeMap<Period, u64>],
) -> Result<Vec<Unchecked>, ReportError> {
    let mut counted: Vec<BTreeMap<Period, u64>> = Vec::new();
    for member in members {
        let marks = Marks::read(member.store.connection()).map_err(member.store.wrap())?;
        let mut by_period: BTreeMap<Period, u64> = BTreeMap::new();
        query::each_row(&member.store, span, None, |row| {
            *by_period.entry(period(marks, row.hour)).or_default() += row.counts.attempts;
        })?;
        counted.push(by_period);
    }
    let overlaps = |period: Period, own: usize| {
        let others = counted.iter().enumerate().filter(|(number, _)| *number != own);
        others
            .flat_map(|(_, other)| other.keys())
            .any(|other| other.first_hour() < period.end_hour() && period.first_hour() < other.end_hour())
    };
    let mut found = Vec::new();
    for (number, (member, (counted, told))) in members.iter().zip(counted.iter().zip(told)).enumerate() {
        for (period, attempts) in counted {
            let missing = attempts.saturating_sub(told.get(period).copied().unwrap_or(0));
            if missing > 0 && overlaps(*period, number) {
                let sensor = member.name.clone();
                found.push(Unchecked { period: period.to_string(), sensor, attempts: missing });
            }
        }
    }
    found.sort_by(|a, b| (&a.period, &a.sensor).cmp(&(&b.period, &b.sensor)));
    Ok(found)
}

/// Attempts of each member that one before it saw as well, by the identities that their stores keep.
fn same_by_identity(members: &[Member], span: &Span) -> Result<u64, ReportError> {
    let mut before: Vec<(u64, i64)> = Vec::new();
    let mut same = 0;
    for member in members {
        let (from, to) = (span.from.start().secs(), span.to.start().secs());
        let known = member.store.identities(usize::MAX)?.into_iter();
        let own: Vec<(u64, i64)> = known
            .map(|(id, second)| (id.0, second))
            .filter(|(_, second)| (from..to).contains(second))
            .collect();
        let is_known = |(id, second): &(u64, i64)| {
            let first = before.partition_point(|known| *known < (*id, second.saturating_sub(SAME_SECS)));
            let found = before.get(first);
            found.is_some_and(|(known, then)| known == id && *then <= second.saturating_add(SAME_SECS))
        };
        let (again, new): (Vec<_>, Vec<_>) = own.into_iter().partition(is_known);
        same += again.len() as u64;
        before.extend(new);
        before.sort_unstable();
    }
    Ok(same)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn row() -> TallyRow {
        TallyRow {
            source: "192.0.2.1".into(),
            site: "s".into(),
            class: "scan.port".into(),
            grade: "E0".into(),
            place: "US".into(),
            sector: "located".into(),
            label: String::new(),
            headline: false,
            campaign: 1,
            frames: 1,
            compared: false,
            disputed: false,
        }
    }

    fn seen(hours: &[(i64, Units)]) -> Seen {
        hours.iter().map(|(hour, units)| (*hour, (*units, row()))).collect()
    }

    #[test]
    fn of_one_incident_the_smaller_count_goes_hour_by_hour() {
        let told = |before: &[(i64, Units)], now: &[(i64, Units)]| -> Vec<(i64, Units)> {
            let now = seen(now);
            both(&seen(before), &now).into_iter().map(|(hour, _, units)| (hour, units)).collect()
        };
        let whole = [(1, [5, 2, 1]), (2, [3, 0, 0])];
        assert_eq!(told(&whole, &whole), whole);
        assert_eq!(told(&whole, &[(1, [9, 9, 1]), (2, [1, 0, 0])]), [(1, [7, 2, 1]), (2, [1, 0, 0])]);
        // The second one told a minute later what the first told before the hour was full.
        assert_eq!(
            told(&[(1, [8, 0, 0])], &[(1, [5, 0, 0]), (2, [3, 0, 0])]),
            [(1, [5, 0, 0]), (2, [3, 0, 0])]
        );
        assert!(told(&[(1, [0, 0, 0])], &whole).is_empty());
    }
}
