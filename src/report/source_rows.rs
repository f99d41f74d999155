//! Rows of sources, one a day, source and what it did: kept for so many sources a day, the rest in one remainder a country.

use std::collections::BTreeMap;

use rusqlite::{ToSql, Transaction};

use crate::model::origin::Infrastructure;
use crate::model::place::Country;
use crate::report::distinct::{Seen, Sketches};
use crate::tally::{CampaignId, Snapshot, SourceDay, SourceSums};

/// How many rows each day has, for the days that were written to.
#[derive(Clone, Debug, Default)]
pub struct Filled(BTreeMap<i64, u64>);

impl Filled {
    fn of<'f>(&'f mut self, transaction: &Transaction<'_>, day: i64) -> rusqlite::Result<&'f mut u64> {
        if !self.0.contains_key(&day) {
            // Days that are long over are not written to again.
            while self.0.len() > 8 {
                self.0.pop_first();
            }
            let rows = transaction
                .prepare_cached("SELECT count(*) FROM source_day WHERE day = ?1")?
                .query_row([day], |row| row.get::<_, i64>(0))?;
            self.0.insert(day, rows.unsigned_abs());
        }
        Ok(self.0.entry(day).or_default())
    }
}

const UPDATE: &str = "UPDATE source_day SET attempts = attempts + ?12, sessions = sessions + ?13,
     incidents = incidents + ?14, disputed = disputed + ?15, first = min(first, ?16), last = max(last, ?17),
     hours = hours | ?18
     WHERE day = ?1 AND source = ?2 AND prefix = ?3 AND site = ?4 AND class = ?5 AND grade = ?6 AND place = ?7 AND asn = ?8
     AND headline = ?9 AND campaign = ?10 AND sector = ?11";
const INSERT: &str = "INSERT INTO source_day (day, source, prefix, site, class, grade, place, asn, headline, campaign,
     sector, attempts, sessions, incidents, disputed, first, last, hours, registered, infrastructure)
     VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8, ?9, ?10, ?11, ?12, ?13, ?14, ?15, ?16, ?17, ?18, ?19, ?20)
     ON CONFLICT DO UPDATE SET attempts = attempts + excluded.attempts, sessions = sessions + excluded.sessions,
     incidents = incidents + excluded.incidents, disputed = disputed + excluded.disputed,
     first = min(first, excluded.first), last = max(last, excluded.last), hours = hours | excluded.hours";

/// Adds the rows of a snapshot; a day takes `max` rows and then only counts, by country.
pub fn add(
    transaction: &Transaction<'_>,
    snapshot: &Snapshot,
    filled: &mut Filled,
    max: u64,
) -> rusqlite::Result<()> {
    // In the order of the key, so that the tree is filled page by page.
    let mut rows: Vec<_> = snapshot.sources.iter().map(|(key, sums)| (key, texts(key), sums)).collect();
    rows.sort_by(|a, b| (a.0.day, &a.1).cmp(&(b.0.day, &b.1)));
    let mut over: Option<Sketches> = None;
    for (key, (source, prefix), sums) in rows {
        let row = Row { key, source: &source, prefix: &prefix, sums };
        if write(transaction, UPDATE, &row)? > 0 {
            continue;
        }
        let day = key.day.first_hour().0;
        let count = filled.of(transaction, day)?;
        if *count < max || source.is_empty() {
            *count += 1;
            write(transaction, INSERT, &row)?;
            continue;
        }
        let sketches = match &mut over {
            Some(sketches) => sketches,
            None => over.insert(Sketches::new(transaction)?),
        };
        sketches.note(&Seen {
            day,
            source: &source,
            site: &key.site,
            class: key.class.id(),
            grade: key.grade.name(),
            place: key.place.code(),
            sector: key.sector.name(),
        });
        let rest = SourceDay { source: None, asn: None, campaign: CampaignId(0), ..key.clone() };
        write(transaction, INSERT, &Row { key: &rest, source: "", prefix: "", sums })?;
    }
    over.map_or(Ok(()), |sketches| sketches.store(transaction))
}

/// Source and prefix; nothing for a remainder.
fn texts(key: &SourceDay) -> (String, String) {
    key.source.map_or_else(Default::default, |(source, prefix)| (source.to_string(), prefix.to_string()))
}

/// A row as it is written; a remainder has neither source nor prefix.
struct Row<'r> {
    key: &'r SourceDay,
    source: &'r str,
    prefix: &'r str,
    sums: &'r SourceSums,
}

/// Writes a row; gives back how many rows were changed.
fn write(transaction: &Transaction<'_>, sql: &str, row: &Row<'_>) -> rusqlite::Result<usize> {
    let Row { key, source, prefix, sums } = row;
    let mut statement = transaction.prepare_cached(sql)?;
    let class = key.class.id();
    let registered = sums.registered.as_ref().map_or("", Country::code);
    let values: [&dyn ToSql; 20] = [
        &key.day.first_hour().0,
        source,
        prefix,
        &key.site,
        &class,
        &key.grade.name(),
        &key.place.code(),
        &key.asn.map_or(-1, i64::from),
        &key.headline,
        &key.campaign.0.cast_signed(),
        &key.sector.name(),
        &sums.sums.attempts.cast_signed(),
        &sums.sums.sessions.cast_signed(),
        &sums.sums.incidents.cast_signed(),
        &sums.sums.disputed.cast_signed(),
        &sums.seen.0.0,
        &sums.seen.1.0,
        &sums.hours,
        &registered,
        &sums.infrastructure.map_or("", Infrastructure::name),
    ];
    // An update names fewer of them.
    let named = statement.parameter_count();
    statement.execute(values.get(..named).unwrap_or(&values))
}

#[cfg(test)]
mod tests {
    use crate::model::class::Class;
    use crate::model::grade::Grade;
    use crate::model::period::{Period, PeriodKind};
    use crate::model::place::{Place, Sector, SourceKey, SourcePrefix};
    use crate::model::time::Timestamp;
    use crate::report::distinct::{self, Dimension};
    use crate::report::span::Span;
    use crate::report::store::Store;
    use crate::report::writer::Mode;
    use crate::tally::{CampaignId, Snapshot, SourceDay, SourceSums, Sums};

    fn add(snapshot: &mut Snapshot, number: u32) {
        let time = Timestamp::from_parts(1_340_000_000, 0);
        let address = std::net::Ipv4Addr::from_bits(0x0808_0000 + number).into();
        let key = SourceDay {
            day: Period::containing(PeriodKind::Day, time),
            source: Some((SourceKey::of(address), SourcePrefix::of(address, (24, 48)))),
            place: Place::from_code(if number.is_multiple_of(4) { "US" } else { "DE" }),
            asn: None,
            grade: Grade::E2,
            class: Class::WebSqli,
            site: "a".into(),
            headline: true,
            campaign: CampaignId(7),
            sector: Sector::Located,
        };
        snapshot.add_source(
            key,
            &SourceSums { sums: Sums { attempts: 1, ..Sums::default() }, ..SourceSums::at(time) },
        );
    }

    #[test]
    fn a_day_with_too_many_sources_is_counted_by_country_and_estimates_them() {
        let folder = tempfile::tempdir().unwrap();
        let (mut store, _) = Store::open(folder.path()).unwrap();
        store.set_sources_per_day(1_000);
        // Twice, so that rows that are there go on being added to.
        for _ in 0..2 {
            let mut snapshot = Snapshot::default();
            (0..20_000).for_each(|number| add(&mut snapshot, number));
            store.add(&snapshot, &[], &[], Mode::Live).unwrap();
        }
        let ask = |sql: &str| -> i64 { store.connection().query_row(sql, [], |row| row.get(0)).unwrap() };
        assert_eq!(ask("SELECT count(*) FROM source_day"), 1_002, "and a remainder of each country");
        assert_eq!(ask("SELECT sum(attempts) FROM source_day"), 40_000);
        assert_eq!(ask("SELECT sum(attempts) FROM source_day WHERE place = 'US'"), 10_000);
        let span = Span::of("2012-06-18".parse().unwrap());
        let distinct = distinct::all(&store, &span, None).unwrap();
        let (total, places) = (distinct.by(Dimension::Total), distinct.by(Dimension::Place));
        let near =
            |found: Option<u64>, truth: u64| found.is_some_and(|found| found.abs_diff(truth) * 20 < truth);
        assert!(total.estimated && near(total.sources(""), 20_000), "{:?}", total.sources(""));
        assert!(near(places.sources("US"), 5_000) && near(places.sources("DE"), 15_000));
    }

    #[test]
    fn a_snapshot_that_cannot_be_written_stays_within_its_size() {
        let mut snapshot = Snapshot::default();
        (0..70_000).for_each(|number| add(&mut snapshot, number));
        assert!(snapshot.sources.len() <= 65_538);
        assert_eq!(snapshot.sources.values().map(|sums| sums.sums.attempts).sum::<u64>(), 70_000);
        assert_eq!(snapshot.sources_spilled, 70_000 - 65_536);
    }
}
