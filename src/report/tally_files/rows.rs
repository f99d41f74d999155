//! The lines of a tally file.

use rusqlite::{Row as StoreRow, params};
use serde::Serialize;

use base64::Engine;
use base64::engine::general_purpose::STANDARD;

use crate::model::class::Class;
use crate::model::period::Period;
use crate::model::time::{Hour, MICROS_PER_SEC};
use crate::report::distinct::{self, Dimension};
use crate::report::provenance::Provenance;
use crate::report::span::Span;
use crate::report::store::{Store, is_loss};
use crate::report::summary::rfc3339;
use crate::report::tally_files::SCHEMA;
use crate::report::{ReportError, query, regimes, summary};

/// Which file it is.
pub struct Named<'n> {
    pub sensor: &'n str,
    pub boot: &'n str,
    pub seq: u32,
    pub day: Period,
}

impl Named<'_> {
    /// The file's name without its ending. Names of a sensor sort by time.
    pub fn file(&self) -> String {
        format!("{}-{}-{:04}", self.day, self.boot, self.seq)
    }
}

/// What one line tells.
#[derive(Serialize)]
#[serde(rename_all = "snake_case", tag = "kind")]
enum Row {
    Header(Box<Header>),
    Regime(Regime),
    Hour {
        hour: String,
        seconds_observed: i64,
    },
    Counter {
        counter: String,
        count: u64,
        loss: bool,
    },
    Tally(Tally),
    Network(Network),
    #[serde(rename = "sources")]
    Distinct(Distinct),
}

#[derive(Serialize)]
struct Header {
    schema: &'static str,
    boot: String,
    seq: u32,
    /// The file of the same day that this one takes the place of.
    replaces: Option<String>,
    from: String,
    to: String,
    seconds: i64,
    seconds_observed: i64,
    packets: u64,
    attempts: u64,
    addresses: String,
    home: Vec<String>,
    sketch: &'static str,
    sketch_key: String,
    #[serde(flatten)]
    made: Made,
}

/// What made the numbers.
#[derive(Serialize)]
struct Made {
    databases: Vec<crate::report::provenance::Database>,
    detector_set: String,
    config_hash: String,
    version: String,
}

#[derive(Serialize)]
struct Regime {
    regime: i64,
    #[serde(flatten)]
    made: Made,
}

#[derive(Serialize)]
struct Sums {
    attempts: u64,
    sessions: u64,
    incidents: u64,
    disputed: u64,
}

/// What every row of attempts is told by.
#[derive(Serialize)]
struct Keys {
    site: String,
    class: String,
    unit: &'static str,
    grade: String,
    place: String,
    sector: String,
    headline: bool,
}

#[derive(Serialize)]
struct Tally {
    hour: String,
    regime: i64,
    label: Option<String>,
    #[serde(flatten)]
    keys: Keys,
    #[serde(flatten)]
    sums: Sums,
    compared: u64,
}

#[derive(Serialize)]
struct Network {
    prefix: Option<String>,
    asn: Option<i64>,
    as_org: Option<String>,
    infrastructure: Option<String>,
    registered_country: Option<String>,
    #[serde(flatten)]
    keys: Keys,
    #[serde(flatten)]
    sums: Sums,
    sources: u64,
}

#[derive(Serialize)]
struct Distinct {
    dimension: &'static str,
    key: String,
    sources: u64,
    estimated: bool,
    sketch: String,
}

/// One line: which file and line of it, so that a row which comes twice can be told, and the row.
#[derive(Serialize)]
struct Numbered<'l> {
    sensor: &'l str,
    file: &'l str,
    line: usize,
    #[serde(flatten)]
    row: Row,
}

/// The lines of a file.
pub struct Lines;

impl Lines {
    /// All of them as text. None for a day that the store holds nothing of.
    pub fn of(store: &Store, named: &Named<'_>) -> Result<Option<String>, ReportError> {
        let span = Span::of(named.day);
        let watch = query::watch(store, &span)?;
        let counters = query::counters(store, &span)?;
        let tallies = tallies(store, &span)?;
        if watch.is_empty() && counters.is_empty() && tallies.is_empty() {
            return Ok(None);
        }
        let mut rows = vec![Row::Header(Box::new(header(store, named, &span)?))];
        for regime in known_regimes(store, &tallies)? {
            rows.push(Row::Regime(regime));
        }
        rows.extend(watch.into_iter().map(|(hour, micros)| Row::Hour {
            hour: rfc3339(hour.start()),
            seconds_observed: micros / MICROS_PER_SEC,
        }));
        rows.extend(counters.into_iter().map(|(counter, count)| Row::Counter {
            loss: is_loss(&counter) || summary::OTHER_LOSSES.contains(&counter.as_str()),
            counter,
            count,
        }));
        rows.extend(tallies.into_iter().map(Row::Tally));
        rows.extend(networks(store, &span)?.into_iter().map(Row::Network));
        rows.extend(sources(store, &span)?.into_iter().map(Row::Distinct));
        Ok(Some(text(named, rows)))
    }
}

fn text(named: &Named<'_>, rows: Vec<Row>) -> String {
    let file = named.file();
    let mut text = String::new();
    for (at, row) in rows.into_iter().enumerate() {
        let line = Numbered { sensor: named.sensor, file: &file, line: at + 1, row };
        // Only maps with text keys and whole numbers are in it, so this cannot fail; an empty line would show.
        text.push_str(&serde_json::to_string(&line).unwrap_or_default());
        text.push('\n');
    }
    text
}

fn header(store: &Store, named: &Named<'_>, span: &Span) -> Result<Header, ReportError> {
    let provenance = regimes::ways(store, span)?.pop().map(|way| way.provenance).unwrap_or_default();
    let read = || -> rusqlite::Result<(i64, i64, i64)> {
        let connection = store.connection();
        let one = |sql: &str| connection.query_row(sql, [span.from.0, span.to.0], |row| row.get(0));
        Ok((
            one("SELECT coalesce(sum(observed_micros), 0) FROM watch WHERE hour >= ?1 AND hour < ?2")?,
            one(
                "SELECT coalesce(sum(value), 0) FROM counter WHERE hour >= ?1 AND hour < ?2 AND name = 'frames_received'",
            )?,
            one("SELECT coalesce(sum(attempts), 0) FROM tally WHERE hour >= ?1 AND hour < ?2")?,
        ))
    };
    let (observed, packets, attempts) = read().map_err(store.wrap())?;
    let before = named.seq.checked_sub(1).filter(|before| *before > 0);
    Ok(Header {
        schema: SCHEMA,
        boot: named.boot.to_owned(),
        seq: named.seq,
        replaces: before.map(|seq| Named { seq, ..*named }.file()),
        from: rfc3339(span.from.start()),
        to: rfc3339(span.to.start()),
        seconds: (span.to.0 - span.from.0) * 3_600,
        seconds_observed: observed / MICROS_PER_SEC,
        packets: packets.unsigned_abs(),
        attempts: attempts.unsigned_abs(),
        addresses: provenance.privacy.clone(),
        home: provenance.home.clone(),
        sketch: distinct::KIND,
        sketch_key: distinct::key::key_name(store.connection()).map_err(store.wrap())?,
        made: made(provenance),
    })
}

fn made(provenance: Provenance) -> Made {
    Made {
        databases: provenance.databases,
        detector_set: provenance.detector_set,
        config_hash: provenance.config_hash,
        version: provenance.version,
    }
}

/// The ways of counting that the rows of the tally name.
fn known_regimes(store: &Store, tallies: &[Tally]) -> Result<Vec<Regime>, ReportError> {
    let mut numbers: Vec<i64> = tallies.iter().map(|row| row.regime).filter(|regime| *regime != 0).collect();
    numbers.sort_unstable();
    numbers.dedup();
    let read = numbers.into_iter().map(|regime| {
        let provenance = regimes::provenance(store, regime)?;
        Ok(Regime { regime, made: made(provenance) })
    });
    read.collect::<rusqlite::Result<_>>().map_err(store.wrap())
}

fn count(row: &StoreRow<'_>, at: usize) -> rusqlite::Result<u64> {
    row.get::<_, i64>(at).map(i64::unsigned_abs)
}

fn keys(row: &StoreRow<'_>, from: usize) -> rusqlite::Result<Keys> {
    let class: String = row.get(from + 1)?;
    Ok(Keys {
        site: row.get(from)?,
        unit: Class::from_id(&class).map_or("", |class| class.row().unit.name()),
        class,
        grade: row.get(from + 2)?,
        place: row.get(from + 3)?,
        sector: row.get(from + 4)?,
        headline: row.get(from + 5)?,
    })
}

fn sums(row: &StoreRow<'_>, from: usize) -> rusqlite::Result<Sums> {
    Ok(Sums {
        attempts: count(row, from)?,
        sessions: count(row, from + 1)?,
        incidents: count(row, from + 2)?,
        disputed: count(row, from + 3)?,
    })
}

fn told(text: String) -> Option<String> {
    (!text.is_empty()).then_some(text)
}

fn tallies(store: &Store, span: &Span) -> Result<Vec<Tally>, ReportError> {
    let read = || -> rusqlite::Result<Vec<Tally>> {
        let mut statement = store.connection().prepare_cached(
            "SELECT hour, regime, label, site, class, grade, place, sector, headline, attempts, sessions, incidents,
             disputed, compared FROM tally WHERE hour >= ?1 AND hour < ?2
             ORDER BY hour, site, class, grade, place, sector, label, headline, regime",
        )?;
        statement
            .query_map([span.from.0, span.to.0], |row| {
                Ok(Tally {
                    hour: rfc3339(Hour(row.get(0)?).start()),
                    regime: row.get(1)?,
                    label: told(row.get(2)?),
                    keys: keys(row, 3)?,
                    sums: sums(row, 9)?,
                    compared: count(row, 13)?,
                })
            })?
            .collect()
    };
    read().map_err(store.wrap())
}

fn networks(store: &Store, span: &Span) -> Result<Vec<Network>, ReportError> {
    let read = || -> rusqlite::Result<Vec<Network>> {
        let mut statement = store.connection().prepare_cached(
            "SELECT prefix, asn, coalesce(org, ''), max(infrastructure), max(registered),
             site, class, grade, place, sector, headline,
             sum(attempts), sum(sessions), sum(incidents), sum(disputed), count(DISTINCT nullif(source, ''))
             FROM source_day LEFT JOIN system USING (asn) WHERE day >= ?1 AND day < ?2
             GROUP BY prefix, asn, site, class, grade, place, sector, headline
             ORDER BY prefix, asn, site, class, grade, place, sector, headline",
        )?;
        statement
            .query_map(params![span.from.0, span.to.0], |row| {
                let asn: i64 = row.get(1)?;
                Ok(Network {
                    prefix: told(row.get(0)?),
                    asn: (asn >= 0).then_some(asn),
                    as_org: told(row.get(2)?),
                    infrastructure: told(row.get(3)?),
                    registered_country: told(row.get(4)?),
                    keys: keys(row, 5)?,
                    sums: sums(row, 11)?,
                    sources: count(row, 15)?,
                })
            })?
            .collect()
    };
    read().map_err(store.wrap())
}

fn sources(store: &Store, span: &Span) -> Result<Vec<Distinct>, ReportError> {
    let mut rows = Vec::new();
    let distinct = distinct::all(store, span, None)?;
    for dimension in Dimension::ALL {
        let exact = distinct.by(dimension);
        let sketched = distinct::sketched(store.connection(), (span.from.0, span.to.0), dimension)
            .map_err(store.wrap())?;
        rows.extend(sketched.into_iter().map(|found| Distinct {
            dimension: dimension.name(),
            sources: exact.sources(&found.key).unwrap_or(found.sources),
            estimated: exact.estimated,
            sketch: STANDARD.encode(found.sketch),
            key: found.key,
        }));
    }
    Ok(rows)
}
