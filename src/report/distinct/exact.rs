//! Distinct sources and campaigns of a span by every dimension at once, counted to the unit in bounded memory.
//!
//! SQLite's `count(DISTINCT …)` makes a tree of texts for each dimension, which was most of what a report took. Here a pass over the rows
//! serves all dimensions. Where there may be more sources than are held at once, each pass takes the share of them whose hashes fall to
//! it, so memory does not grow with what attackers send, only the number of passes.

use std::collections::{BTreeMap, HashMap, HashSet};

use rusqlite::types::ValueRef;
use rusqlite::{Connection, Row, params};
use sha2::{Digest, Sha256};

use crate::report::distinct::Dimension;
use crate::report::span::Days;

/// Rows that one pass is for: each is one source at most, of some 50 bytes.
const ROWS_OF_PASS: i64 = 1 << 18;
/// Keys of a source that lie beside it; few sources have more.
const KEYS_BESIDE: usize = 8;
/// No key.
const FREE: u32 = u32::MAX;

/// How many are distinct, by key of a dimension.
pub type ByKey = BTreeMap<String, u64>;

/// What was counted, in the order of the dimensions that were asked for.
#[derive(Debug)]
pub struct Counted {
    pub sources: Vec<ByKey>,
    pub campaigns: Vec<ByKey>,
}

/// Counts what is distinct in the rows of these days, of one site or all.
pub fn count(
    connection: &Connection,
    (days, site): (Days, Option<&str>),
    dimensions: &[Dimension],
) -> rusqlite::Result<Counted> {
    let rows: i64 = connection
        .prepare_cached("SELECT count(*) FROM source_day WHERE day >= ?1 AND day < ?2")?
        .query_row([days.from, days.to], |row| row.get(0))?;
    let passes = u128::from(rows.max(1).unsigned_abs().div_ceil(ROWS_OF_PASS.unsigned_abs()));
    in_passes(connection, (days, site), dimensions, passes)
}

fn in_passes(
    connection: &Connection,
    (days, site): (Days, Option<&str>),
    dimensions: &[Dimension],
    passes: u128,
) -> rusqlite::Result<Counted> {
    let columns =
        ["source", "campaign"].into_iter().chain(dimensions.iter().map(|dimension| dimension.column()));
    let columns = columns.collect::<Vec<_>>().join(", ");
    let mut statement = connection.prepare_cached(&format!(
        "SELECT {columns} FROM source_day
         WHERE day >= ?1 AND day < ?2 AND (?3 = 0 OR hours & ?3) AND (?4 IS NULL OR site = ?4)"
    ))?;
    let mut keys = Keys::of(dimensions.len());
    let (mut sources, mut campaigns) = (Vec::new(), Vec::new());
    for pass in 0..passes {
        let (mut of_sources, mut of_campaigns) = (Pass::new(&mut sources), Pass::new(&mut campaigns));
        let mut rows = statement.query(params![days.from, days.to, days.hours, site])?;
        // Rows of a source lie together: its hash is not made again.
        let (mut source, mut hash) = (Vec::new(), 0);
        while let Some(row) = rows.next()? {
            let read = text(row, 0)?;
            if source != read {
                hash = hash_of(read);
                source.clear();
                source.extend_from_slice(read);
            }
            let campaign: i64 = row.get(1)?;
            let wanted = [
                (&mut of_sources, hash, !source.is_empty()),
                // Their identities are hashes already, so they are told apart by what they are.
                (&mut of_campaigns, u128::from(campaign.cast_unsigned()), campaign != 0),
            ];
            for (counting, what, is_one) in wanted {
                if !is_one || what % passes != pass {
                    continue;
                }
                for (at, of_dimension) in (2..).zip(&mut keys.0) {
                    counting.note(what, of_dimension.number(text(row, at)?, &mut keys.1));
                }
            }
        }
    }
    Ok(Counted { sources: keys.told(&sources), campaigns: keys.told(&campaigns) })
}

fn text<'r>(row: &'r Row<'_>, at: usize) -> rusqlite::Result<&'r [u8]> {
    Ok(match row.get_ref(at)? {
        ValueRef::Text(text) => text,
        _ => &[],
    })
}

/// Half of a SHA-256: no two sources share one, whoever chooses them.
fn hash_of(source: &[u8]) -> u128 {
    Sha256::digest(source).first_chunk::<16>().map_or(0, |bytes| u128::from_be_bytes(*bytes))
}

/// Keys of one dimension, numbered as they come.
#[derive(Default)]
struct Numbers(HashMap<Vec<u8>, u32, ahash::RandomState>);

impl Numbers {
    fn number(&mut self, key: &[u8], next: &mut u32) -> u32 {
        if let Some(number) = self.0.get(key) {
            return *number;
        }
        let number = *next;
        *next += 1;
        self.0.insert(key.to_owned(), number);
        number
    }
}

/// Keys of every dimension, and the next number: no two keys share one.
struct Keys(Vec<Numbers>, u32);

impl Keys {
    fn of(dimensions: usize) -> Self {
        Self((0..dimensions).map(|_| Numbers::default()).collect(), 0)
    }

    fn told(&self, counts: &[u64]) -> Vec<ByKey> {
        let count = |number: u32| counts.get(number as usize).copied().unwrap_or(0);
        let of_dimension = |numbers: &Numbers| {
            let told = |(key, number): (&Vec<u8>, &u32)| {
                let key = String::from_utf8_lossy(key).into_owned();
                (count(*number) > 0).then(|| (key, count(*number)))
            };
            numbers.0.iter().filter_map(told).collect()
        };
        self.0.iter().map(of_dimension).collect()
    }
}

/// What one pass has met: of each source, or campaign, the keys that it counts in already.
struct Pass<'c> {
    known: HashMap<u128, [u32; KEYS_BESIDE], ahash::RandomState>,
    /// Keys of those that have more.
    further: HashSet<(u128, u32), ahash::RandomState>,
    counts: &'c mut Vec<u64>,
}

impl<'c> Pass<'c> {
    fn new(counts: &'c mut Vec<u64>) -> Self {
        Self { known: HashMap::default(), further: HashSet::default(), counts }
    }

    fn note(&mut self, what: u128, key: u32) {
        let beside = self.known.entry(what).or_insert([FREE; KEYS_BESIDE]);
        let is_new = match beside.iter_mut().find(|slot| **slot == key || **slot == FREE) {
            Some(slot) => std::mem::replace(slot, key) == FREE,
            None => self.further.insert((what, key)),
        };
        if is_new {
            let at = key as usize;
            if self.counts.len() <= at {
                self.counts.resize(at + 1, 0);
            }
            if let Some(count) = self.counts.get_mut(at) {
                *count += 1;
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::report::distinct::tests::filled;

    /// What SQLite counts.
    fn plainly(
        connection: &Connection,
        (days, site): (Days, Option<&str>),
        (dimension, what): (Dimension, &str),
    ) -> ByKey {
        let mut statement = connection
            .prepare(&format!(
                "SELECT {}, count(DISTINCT {what}) AS n FROM source_day
                 WHERE day >= ?1 AND day < ?2 AND (?3 = 0 OR hours & ?3) AND (?4 IS NULL OR site = ?4)
                 GROUP BY 1 HAVING n > 0",
                dimension.column()
            ))
            .unwrap();
        let rows = statement.query_map(params![days.from, days.to, days.hours, site], |row| {
            Ok((row.get(0)?, row.get::<_, i64>(1)?.unsigned_abs()))
        });
        rows.unwrap().map(Result::unwrap).collect()
    }

    #[test]
    fn it_counts_what_sqlite_counts_in_one_pass_and_in_many() {
        let folder = tempfile::tempdir().unwrap();
        let store = filled(folder.path(), 4_000);
        let connection = store.connection();
        for days in [
            Days { from: 0, to: 24 * 9, hours: 0 },
            Days { from: 24, to: 72, hours: 0 },
            Days { from: 24, to: 48, hours: 0b1010_0000 },
        ] {
            for site in [None, Some("a"), Some("nowhere")] {
                for passes in [1, 2, 7] {
                    let found = in_passes(connection, (days, site), &Dimension::ALL, passes).unwrap();
                    let (sources, campaigns) = (found.sources.iter(), found.campaigns.iter());
                    for (dimension, (sources, campaigns)) in Dimension::ALL.iter().zip(sources.zip(campaigns))
                    {
                        let plain = |what| plainly(connection, (days, site), (*dimension, what));
                        assert_eq!(*sources, plain("nullif(source, '')"), "{dimension:?} {days:?} {site:?}");
                        assert_eq!(
                            *campaigns,
                            plain("nullif(campaign, 0)"),
                            "{dimension:?} {days:?} {site:?}"
                        );
                    }
                }
            }
        }
        let all =
            count(connection, (Days { from: 0, to: 24 * 9, hours: 0 }, None), &[Dimension::Class]).unwrap();
        assert!(all.sources[0].values().sum::<u64>() > 1_000, "the store holds something");
    }
}
