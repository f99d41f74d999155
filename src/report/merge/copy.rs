//! The tables of several stores, added up in one.

use std::collections::BTreeMap;

use rusqlite::types::Value;
use rusqlite::{Connection, params, params_from_iter};

use crate::model::period::{Period, PeriodKind};
use crate::model::time::Hour;
use crate::report::merge::Member;
use crate::report::merge::ways::Ways;
use crate::report::rollup::{self, Marks};
use crate::report::span::Span;
use crate::report::store::Store;
use crate::report::{ReportError, distinct};

const ADD: &str = "attempts = attempts + excluded.attempts, sessions = sessions + excluded.sessions,
     incidents = incidents + excluded.incidents, disputed = disputed + excluded.disputed";

/// A table that adds up: its name, the column of its time, what is done where a row is there already, whether only the span
/// of the report is wanted. The trend looks back, but at tallies alone.
type Summed = (&'static str, &'static str, String, bool);

fn summed() -> [Summed; 7] {
    [
        ("tally", "hour", format!("{ADD}, compared = compared + excluded.compared"), false),
        (
            "frames_hour",
            "hour",
            "attempts = attempts + excluded.attempts, headline = headline + excluded.headline,
             overseas = overseas + excluded.overseas"
                .into(),
            true,
        ),
        ("counter", "hour", "value = value + excluded.value".into(), true),
        (
            "source_day",
            "day",
            format!(
                "{ADD}, first = min(first, excluded.first), last = max(last, excluded.last), hours = hours | excluded.hours"
            ),
            true,
        ),
        (
            "endpoint_day",
            "day",
            "attempts = attempts + excluded.attempts, answered = answered + excluded.answered,
             clean_sources = max(clean_sources, excluded.clean_sources)"
                .into(),
            true,
        ),
        ("incident", "hour", crate::report::incidents::SAME.into(), true),
        ("campaign", "", "id = id".into(), false),
    ]
}

/// Place of the regime among the columns of the tally.
const REGIME_AT: usize = 8;

/// Adds everything up. Whether distinct sources are a lower bound: sketches under different keys do not merge.
pub fn all(sum: &Store, members: &[Member], span: &Span) -> Result<bool, ReportError> {
    let mut ways = Ways::read(members)?;
    let transaction = sum.connection().unchecked_transaction().map_err(sum.wrap())?;
    for member in members {
        for table in summed() {
            copy(&transaction, (member, &table), span, |hour| ways.at(sum, members, hour))?;
        }
        copy(&transaction, (member, &("system", "", "org = excluded.org".into(), false)), span, |_| Ok(0))?;
    }
    for hour in ways.hours() {
        let regime = ways.at(sum, members, hour)?;
        crate::report::regimes::note(&transaction, hour, regime).map_err(sum.wrap())?;
    }
    crate::report::incidents::meet(&transaction).map_err(sum.wrap())?;
    let least = sketches(&transaction, members, span)?;
    transaction.commit().map_err(sum.wrap())?;
    watch(sum, members)?;
    Ok(least)
}

/// Copies the rows of a table. What fails is told of the member's store.
fn copy(
    sum: &Connection,
    (member, (table, time, there, in_span)): (&Member, &Summed),
    span: &Span,
    mut regime: impl FnMut(Hour) -> Result<i64, ReportError>,
) -> Result<(), ReportError> {
    let failed = member.store.wrap();
    let within = if *in_span {
        format!(" WHERE {time} >= {} AND {time} < {}", span.from.0, span.to.0)
    } else {
        String::new()
    };
    let mut read =
        member.store.connection().prepare(&format!("SELECT * FROM {table}{within}")).map_err(&failed)?;
    let columns = read.column_count();
    let places = vec!["?"; columns].join(", ");
    let mut write = sum
        .prepare(&format!("INSERT INTO {table} VALUES ({places}) ON CONFLICT DO UPDATE SET {there}"))
        .map_err(&failed)?;
    let mut rows = read.query([]).map_err(&failed)?;
    while let Some(row) = rows.next().map_err(&failed)? {
        let mut values: Vec<Value> =
            (0..columns).map(|at| row.get(at)).collect::<rusqlite::Result<_>>().map_err(&failed)?;
        if *table == "tally" {
            let hour = Hour(row.get(0).map_err(&failed)?);
            if let Some(value) = values.get_mut(REGIME_AT) {
                *value = Value::Integer(regime(hour)?);
            }
        }
        write.execute(params_from_iter(values)).map_err(&failed)?;
    }
    Ok(())
}

/// Merges sketches of the span where all are hashed by one key.
fn sketches(sum: &Connection, members: &[Member], span: &Span) -> Result<bool, ReportError> {
    let Some(first) = members.first() else { return Ok(false) };
    let mut keys = Vec::new();
    let mut any = false;
    for member in members {
        let failed = member.store.wrap();
        keys.push(member.store.meta(distinct::key::KEY)?);
        any |= member
            .store
            .connection()
            .query_row(
                "SELECT EXISTS (SELECT 1 FROM distinct_day WHERE day >= ?1 AND day < ?2)",
                [span.from.0, span.to.0],
                |row| row.get::<_, bool>(0),
            )
            .map_err(failed)?;
    }
    if !any {
        return Ok(false);
    }
    let failed = first.store.wrap();
    if keys.windows(2).any(|pair| pair.first() != pair.last()) {
        return Ok(true);
    }
    if let Some(Some(key)) = keys.first() {
        sum.execute("INSERT OR REPLACE INTO meta VALUES (?1, ?2)", [distinct::key::KEY, key])
            .map_err(&failed)?;
    }
    for member in members {
        distinct::absorb(sum, member.store.connection(), (span.from.0, span.to.0))
            .map_err(member.store.wrap())?;
    }
    Ok(false)
}

/// The finest steps that every member keeps.
fn marks(members: &[Member]) -> Result<Marks, ReportError> {
    let mut coarsest = Marks::default();
    for member in members {
        let marks = Marks::read(member.store.connection()).map_err(member.store.wrap())?;
        coarsest.hours_from = coarsest.hours_from.max(marks.hours_from);
        coarsest.days_from = coarsest.days_from.max(marks.days_from);
    }
    Ok(coarsest)
}

/// Brings the sum to the finest steps that every member keeps.
pub fn coarsen(sum: &Store, members: &[Member]) -> Result<(), ReportError> {
    rollup::coarsen_to(sum.connection(), marks(members)?).map_err(sum.wrap())
}

/// Observed is what every sensor observed: a hole of one is a hole in the sum.
fn watch(sum: &Store, members: &[Member]) -> Result<(), ReportError> {
    let marks = marks(members)?;
    let step = |hour: Hour| {
        let kind = match hour {
            _ if marks.days_from.is_some_and(|from| hour < from) => PeriodKind::Month,
            _ if marks.hours_from.is_some_and(|from| hour < from) => PeriodKind::Day,
            _ => return hour,
        };
        Period::containing(kind, hour.start()).first_hour()
    };
    let mut least: Option<BTreeMap<Hour, i64>> = None;
    for member in members {
        let mut observed: BTreeMap<Hour, i64> = BTreeMap::new();
        let read = || -> rusqlite::Result<Vec<(i64, i64)>> {
            let mut statement =
                member.store.connection().prepare("SELECT hour, observed_micros FROM watch")?;
            statement.query_map([], |row| Ok((row.get(0)?, row.get(1)?)))?.collect()
        };
        for (hour, micros) in read().map_err(member.store.wrap())? {
            *observed.entry(step(Hour(hour))).or_default() += micros;
        }
        least = Some(match least {
            None => observed,
            Some(before) => before
                .into_iter()
                .filter_map(|(hour, micros)| Some((hour, micros.min(*observed.get(&hour)?))))
                .collect(),
        });
    }
    let write = || -> rusqlite::Result<()> {
        let transaction = sum.connection().unchecked_transaction()?;
        for (hour, micros) in least.into_iter().flatten() {
            transaction.execute("INSERT INTO watch VALUES (?1, ?2)", params![hour.0, micros])?;
        }
        transaction.commit()
    };
    write().map_err(sum.wrap())
}
