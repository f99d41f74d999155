//! Distinct sources of any span: counted exactly while every address is kept, else by sketches that merge.
//!
//! A sketch is a `HyperLogLog` of 4,096 registers (Apache `DataSketches`; standard error 1.6 per cent, exact for up to some
//! hundred sources) over a keyed hash of the source, so that it tells nobody whether an address is in it. Days have sketches
//! once their addresses are gone, or more sources came than rows are kept for.

pub mod key;

mod exact;

use std::collections::BTreeMap;

use datasketches::hll::{HllSketch, HllType, HllUnion};
use rusqlite::{Connection, params};

use crate::report::ReportError;
use crate::report::distinct::key::{hash_key, word};
use crate::report::span::{Days, Span};
use crate::report::store::Store;

/// Binary logarithm of the registers.
const REGISTERS_LOG2: u8 = 12;
/// What a sketch is, for who merges it.
pub const KIND: &str = "datasketches hll, lg_k 12";

/// What sources are told apart by.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum Dimension {
    /// Class of the attempts.
    Class,
    /// Grade.
    Grade,
    /// Country, or another code of a place.
    Place,
    /// Row of the statement.
    Sector,
    /// Site.
    Site,
    /// All together.
    Total,
}

impl Dimension {
    /// Every dimension.
    pub const ALL: [Self; 6] = [Self::Class, Self::Grade, Self::Place, Self::Sector, Self::Site, Self::Total];

    /// The name in the store and in tally files.
    pub const fn name(self) -> &'static str {
        match self {
            Self::Class => "class",
            Self::Grade => "grade",
            Self::Place => "place",
            Self::Sector => "sector",
            Self::Site => "site",
            Self::Total => "total",
        }
    }

    /// The expression of the store that it groups by.
    pub const fn column(self) -> &'static str {
        match self {
            Self::Class => "class",
            Self::Grade => "grade",
            Self::Place => "place",
            Self::Sector => "sector",
            Self::Site => "site",
            Self::Total => "''",
        }
    }
}

/// One source's row, as far as it matters here.
#[derive(Clone, Copy, Debug)]
pub struct Seen<'a> {
    /// First hour of the day.
    pub day: i64,
    /// The source key as text.
    pub source: &'a str,
    /// Site.
    pub site: &'a str,
    /// Class.
    pub class: &'a str,
    /// Grade.
    pub grade: &'a str,
    /// Code of the place.
    pub place: &'a str,
    /// Row of the statement.
    pub sector: &'a str,
}

impl Seen<'_> {
    const fn key(&self, dimension: Dimension) -> &str {
        match dimension {
            Dimension::Class => self.class,
            Dimension::Grade => self.grade,
            Dimension::Place => self.place,
            Dimension::Sector => self.sector,
            Dimension::Site => self.site,
            Dimension::Total => "",
        }
    }
}

/// Sketches being filled, by day, dimension and key.
pub struct Sketches {
    hash_key: [u8; 32],
    open: Open,
}

impl Sketches {
    /// None yet; makes the key of the store where it has none.
    pub fn new(connection: &Connection) -> rusqlite::Result<Self> {
        Ok(Self { hash_key: hash_key(connection)?, open: Open::new() })
    }

    /// Notes a source.
    pub fn note(&mut self, seen: &Seen<'_>) {
        let word = word(&self.hash_key, seen.source);
        for dimension in Dimension::ALL {
            let key = (seen.day, dimension.name(), seen.key(dimension).to_owned());
            if let Some(union) = open(&mut self.open, key) {
                union.update_value(word);
            }
        }
    }

    /// Adds them to those of the store.
    pub fn store(mut self, connection: &Connection) -> rusqlite::Result<()> {
        let mut known = connection.prepare_cached(
            "SELECT sketch FROM distinct_day WHERE day = ?1 AND dimension = ?2 AND key = ?3",
        )?;
        let mut write = connection.prepare_cached(
            "INSERT INTO distinct_day VALUES (?1, ?2, ?3, ?4)
             ON CONFLICT DO UPDATE SET sketch = excluded.sketch",
        )?;
        for ((day, dimension, key), union) in &mut self.open {
            let mut rows = known.query(params![day, dimension, key])?;
            if let Some(row) = rows.next()? {
                merge(union, &row.get::<_, Vec<u8>>(0)?);
            }
            drop(rows);
            write.execute(params![day, dimension, key, union.to_sketch(HllType::Hll4).serialize()])?;
        }
        Ok(())
    }
}

/// Distinct sources and campaigns by the keys of a dimension.
#[derive(Debug, Default)]
pub struct Told {
    sources: Option<BTreeMap<String, u64>>,
    campaigns: Option<BTreeMap<String, u64>>,
    /// Whether sources are estimates.
    pub estimated: bool,
}

impl Told {
    /// Distinct sources of a key; none where they are not told.
    pub fn sources(&self, key: &str) -> Option<u64> {
        Some(self.sources.as_ref()?.get(key).copied().unwrap_or(0))
    }

    /// Distinct campaigns of a key.
    pub fn campaigns(&self, key: &str) -> Option<u64> {
        Some(self.campaigns.as_ref()?.get(key).copied().unwrap_or(0))
    }
}

/// What is distinct in a span, by every dimension.
#[derive(Debug, Default)]
pub struct Distinct(Vec<Told>);

/// Of a dimension that was not asked for nothing is told.
const UNTOLD: &Told = &Told { sources: None, campaigns: None, estimated: false };

impl Distinct {
    /// By one dimension.
    pub fn by(&self, dimension: Dimension) -> &Told {
        let at = Dimension::ALL.iter().position(|known| *known == dimension);
        at.and_then(|at| self.0.get(at)).unwrap_or(UNTOLD)
    }
}

/// Counts what is distinct in a span, by every dimension. Nothing is told of spans that cut days apart, but for hours of a single
/// day; of hours, and of other dimensions of a single site, nothing of sources whose addresses are gone: sketches are kept by day and
/// dimension.
pub fn all(store: &Store, span: &Span, site: Option<&str>) -> Result<Distinct, ReportError> {
    told(store, span, site, &Dimension::ALL).map(Distinct)
}

/// The same, of all together.
pub fn total(store: &Store, span: &Span, site: Option<&str>) -> Result<Told, ReportError> {
    Ok(told(store, span, site, &[Dimension::Total])?.pop().unwrap_or_default())
}

fn told(
    store: &Store,
    span: &Span,
    site: Option<&str>,
    dimensions: &[Dimension],
) -> Result<Vec<Told>, ReportError> {
    let Some(days) = span.days() else { return Ok(Vec::new()) };
    let connection = store.connection();
    let read = || -> rusqlite::Result<Vec<Told>> {
        let estimated = is_estimated(connection, days)?;
        let counted = exact::count(connection, (days, site), dimensions)?;
        let counted = counted.sources.into_iter().zip(counted.campaigns).zip(dimensions);
        counted
            .map(|((exact, campaigns), dimension)| {
                let sources = if estimated {
                    sketched_sources(connection, (days, site), *dimension)?
                } else {
                    Some(exact)
                };
                Ok(Told { sources, campaigns: Some(campaigns), estimated })
            })
            .collect()
    };
    read().map_err(store.wrap())
}

/// Estimates, where sketches tell.
fn sketched_sources(
    connection: &Connection,
    (days, site): (Days, Option<&str>),
    dimension: Dimension,
) -> rusqlite::Result<Option<BTreeMap<String, u64>>> {
    let by = |dimension| estimate(connection, (days.from, days.to), dimension);
    Ok(match (site, dimension) {
        _ if !days.are_whole() => None,
        (None, _) => Some(by(dimension)?),
        (Some(site), Dimension::Total) => {
            let own = by(Dimension::Site)?.into_iter().filter(|(key, _)| key == site);
            Some(own.map(|(_, sources)| (String::new(), sources)).collect())
        }
        (Some(_), _) => None,
    })
}

/// Whether some attempts of a span are in no campaign: it came from an old store, or a day had too many sources.
pub fn has_unnamed(store: &Store, span: &Span) -> Result<bool, ReportError> {
    let Some(days) = span.days() else { return Ok(false) };
    store
        .connection()
        .prepare_cached(
            "SELECT EXISTS (SELECT 1 FROM source_day WHERE day >= ?1 AND day < ?2 AND campaign = 0)",
        )
        .and_then(|mut statement| statement.query_row([days.from, days.to], |row| row.get(0)))
        .map_err(store.wrap())
}

/// Estimates by key of a dimension for the days from `from` to before `to`, the sketches of the store and the rows of sources
/// that are still kept taken together. `site` restricts the total only: sketches are not kept for pairs.
pub fn estimate(
    connection: &Connection,
    days: (i64, i64),
    dimension: Dimension,
) -> rusqlite::Result<BTreeMap<String, u64>> {
    let found = unions(connection, days, dimension)?;
    Ok(found.into_iter().map(|((_, _, key), union)| (key, rounded(&union))).collect())
}

/// The sources of a key of a dimension, as others can merge them.
#[derive(Debug)]
pub struct Sketched {
    /// The key.
    pub key: String,
    /// How many they are, by the sketch.
    pub sources: u64,
    /// The sketch, serialised as every `DataSketches` library reads it.
    pub sketch: Vec<u8>,
}

/// The sketches of a dimension for the days from `from` to before `to`.
pub fn sketched(
    connection: &Connection,
    days: (i64, i64),
    dimension: Dimension,
) -> rusqlite::Result<Vec<Sketched>> {
    let found = unions(connection, days, dimension)?;
    let sketched = found.into_iter().map(|((_, _, key), union)| Sketched {
        key,
        sources: rounded(&union),
        sketch: union.to_sketch(HllType::Hll4).serialize(),
    });
    Ok(sketched.collect())
}

#[expect(clippy::cast_sign_loss, reason = "an estimate is not below zero")]
fn rounded(union: &HllUnion) -> u64 {
    union.estimate().round() as u64
}

fn unions(connection: &Connection, (from, to): (i64, i64), dimension: Dimension) -> rusqlite::Result<Open> {
    let hash_key = hash_key(connection)?;
    let mut open_unions = Open::new();
    let mut statement = connection.prepare_cached(
        "SELECT key, sketch FROM distinct_day WHERE day >= ?1 AND day < ?2 AND dimension = ?3",
    )?;
    let mut rows = statement.query(params![from, to, dimension.name()])?;
    while let Some(row) = rows.next()? {
        if let Some(union) = open(&mut open_unions, (0, dimension.name(), row.get(0)?)) {
            merge(union, &row.get::<_, Vec<u8>>(1)?);
        }
    }
    let mut statement = connection.prepare_cached(&format!(
        "SELECT {}, source FROM source_day WHERE day >= ?1 AND day < ?2 AND {IS_SOURCE}",
        dimension.column()
    ))?;
    let mut rows = statement.query([from, to])?;
    while let Some(row) = rows.next()? {
        let source: String = row.get(1)?;
        if let Some(union) = open(&mut open_unions, (0, dimension.name(), row.get(0)?)) {
            union.update_value(word(&hash_key, &source));
        }
    }
    Ok(open_unions)
}

/// Whether a row is of one source: not of a prefix whose addresses are gone, not the remainder of a full day.
pub const IS_SOURCE: &str = "source <> ''";

/// Whether a span has days of which sources are only known by sketches.
fn is_estimated(connection: &Connection, Days { from, to, .. }: Days) -> rusqlite::Result<bool> {
    connection
        .prepare_cached("SELECT EXISTS (SELECT 1 FROM distinct_day WHERE day >= ?1 AND day < ?2)")?
        .query_row([from, to], |row| row.get(0))
}

/// Puts the sketches of the days from `from` to before `to` together in the first.
pub fn merge_days(connection: &Connection, (from, to): (i64, i64)) -> rusqlite::Result<()> {
    let mut sketches = Sketches::new(connection)?;
    for dimension in Dimension::ALL {
        let mut statement = connection.prepare_cached(
            "SELECT key, sketch FROM distinct_day WHERE day > ?1 AND day < ?2 AND dimension = ?3",
        )?;
        let mut rows = statement.query(params![from, to, dimension.name()])?;
        while let Some(row) = rows.next()? {
            if let Some(union) = open(&mut sketches.open, (from, dimension.name(), row.get(0)?)) {
                merge(union, &row.get::<_, Vec<u8>>(1)?);
            }
        }
    }
    sketches.store(connection)?;
    connection.execute("DELETE FROM distinct_day WHERE day > ?1 AND day < ?2", [from, to])?;
    Ok(())
}

/// Takes the sketches of another store, hashed by the same key, in.
pub fn absorb(into: &Connection, from: &Connection, (first, end): (i64, i64)) -> rusqlite::Result<()> {
    let mut sketches = Sketches::new(into)?;
    for dimension in Dimension::ALL {
        let mut statement = from.prepare_cached(
            "SELECT day, key, sketch FROM distinct_day WHERE day >= ?1 AND day < ?2 AND dimension = ?3",
        )?;
        let mut rows = statement.query(params![first, end, dimension.name()])?;
        while let Some(row) = rows.next()? {
            if let Some(union) = open(&mut sketches.open, (row.get(0)?, dimension.name(), row.get(1)?)) {
                merge(union, &row.get::<_, Vec<u8>>(2)?);
            }
        }
    }
    sketches.store(into)
}

type Open = BTreeMap<(i64, &'static str, String), HllUnion>;

/// The union of a key. None only if the library refused its size, which is fixed.
fn open<'u>(unions: &'u mut Open, key: (i64, &'static str, String)) -> Option<&'u mut HllUnion> {
    use std::collections::btree_map::Entry;
    match unions.entry(key) {
        Entry::Occupied(known) => Some(known.into_mut()),
        Entry::Vacant(free) => Some(free.insert(HllUnion::new(REGISTERS_LOG2).ok()?)),
    }
}

/// A sketch that cannot be read adds nothing: the estimate is then a lower bound.
fn merge(union: &mut HllUnion, bytes: &[u8]) {
    if let Ok(sketch) = HllSketch::deserialize(bytes) {
        union.update(&sketch);
    }
}

#[cfg(test)]
mod tests {
    use std::path::Path;

    use super::*;

    /// A store with so many rows of sources on nine days, of several sites, classes, places and campaigns.
    pub(super) fn filled(folder: &Path, rows: u32) -> Store {
        let (store, _) = Store::open(folder).unwrap();
        let connection = store.connection();
        let sql = "INSERT OR IGNORE INTO source_day VALUES (?1, ?2, '', ?3, -1, ?4, ?5, ?6, 0, ?7, ?8, '', '', ?9, 1, 1, 1, 0, 0, 0)";
        let mut write = connection.prepare(sql).unwrap();
        for row in 0..rows {
            let mixed = row.wrapping_mul(2_654_435_761) >> 7;
            let one_of = |choice: &[&'static str], by: u32| choice[(mixed / by) as usize % choice.len()];
            // A remainder without a source now and then; few sources have very many rows.
            let source = match mixed % 50 {
                0 => String::new(),
                1 => "192.0.2.1".to_owned(),
                _ => format!("198.51.{}.{}", mixed % 11, mixed / 11 % 200),
            };
            let classes = ["web.sqli", "web.xss", "web.lfi", "scan.port", "auth.guessing", "dos.app"];
            write
                .execute(params![
                    mixed % 9 * 24,
                    source,
                    one_of(&["US", "DE", "CN", "unknown"], 3),
                    one_of(&["E0", "E1", "E2"], 5),
                    one_of(&classes, 7),
                    one_of(&["a", "b", "c"], 11),
                    mixed / 13 % 40,
                    one_of(&["overseas", "located"], 17),
                    1_i64 << (mixed / 19 % 24),
                ])
                .unwrap();
        }
        drop(write);
        store
    }
}
