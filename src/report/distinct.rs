//! Distinct sources of any span: counted exactly while every address is kept, else by sketches that merge.
//!
//! A sketch is a `HyperLogLog` of 4,096 registers (Apache `DataSketches`; standard error 1.6 per cent, exact for up to some
//! hundred sources) over a keyed hash of the source, so that it tells nobody whether an address is in it. Days have sketches
//! once their addresses are gone, or more sources came than rows are kept for.

pub mod key;

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

/// Counts what is distinct in a span. Nothing is told of spans that cut days apart, but for hours of a single day; of hours, and
/// of other dimensions of a single site, nothing of sources whose addresses are gone: sketches are kept by day and dimension.
pub fn told(
    store: &Store,
    span: &Span,
    site: Option<&str>,
    dimension: Dimension,
) -> Result<Told, ReportError> {
    let Some(days) = span.days() else { return Ok(Told::default()) };
    let connection = store.connection();
    let read = || -> rusqlite::Result<Told> {
        let campaigns = Some(count(connection, (days, site, dimension), "nullif(campaign, 0)")?);
        if !is_estimated(connection, days)? {
            let sources = Some(count(connection, (days, site, dimension), "nullif(source, '')")?);
            return Ok(Told { sources, campaigns, estimated: false });
        }
        let sources = match (site, dimension) {
            _ if !days.are_whole() => None,
            (None, _) => Some(estimate(connection, (days.from, days.to), dimension)?),
            (Some(site), Dimension::Total) => {
                let by_site = estimate(connection, (days.from, days.to), Dimension::Site)?;
                Some(
                    by_site
                        .into_iter()
                        .filter(|(key, _)| key == site)
                        .map(|(_, n)| (String::new(), n))
                        .collect(),
                )
            }
            (Some(_), _) => None,
        };
        Ok(Told { sources, campaigns, estimated: true })
    };
    read().map_err(store.wrap())
}

fn count(
    connection: &Connection,
    (days, site, dimension): (Days, Option<&str>, Dimension),
    what: &str,
) -> rusqlite::Result<BTreeMap<String, u64>> {
    let mut statement = connection.prepare_cached(&format!(
        "SELECT {}, count(DISTINCT {what}) FROM source_day
         WHERE day >= ?1 AND day < ?2 AND (?3 = 0 OR hours & ?3) AND (?4 IS NULL OR site = ?4) GROUP BY 1",
        dimension.column()
    ))?;
    statement
        .query_map(params![days.from, days.to, days.hours, site], |row| {
            Ok((row.get(0)?, row.get::<_, i64>(1)?.unsigned_abs()))
        })?
        .collect()
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
        "SELECT DISTINCT {}, source FROM source_day WHERE day >= ?1 AND day < ?2 AND {IS_SOURCE}",
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
