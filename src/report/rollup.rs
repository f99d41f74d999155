//! What the store keeps, and how finely: addresses, then prefixes; hours, then days, then months. Nothing is dropped before the
//! last of its levels has passed: it is added up.

use rusqlite::{Connection, OptionalExtension, Transaction, params};

use crate::model::period::{Period, PeriodKind};
use crate::model::time::{Hour, MICROS_PER_DAY, Timestamp};
use crate::report::distinct::{self, Seen, Sketches};
use crate::report::incidents;
use crate::report::span::Span;

/// Remembered first hour that is still kept by the hour.
const BY_HOUR_FROM: &str = "by_hour_from";
/// Remembered first hour that is still kept by the day.
const BY_DAY_FROM: &str = "by_day_from";
/// Days rolled up at a time when the store has to shrink.
const SHRINK_DAYS: i64 = 31;

/// From which hour on what is kept.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub struct Keep {
    /// Source addresses; before it only their prefixes.
    pub addresses_from: Hour,
    /// Tallies by the hour; before it by the day.
    pub hours_from: Hour,
    /// Tallies by the day; before it by the month.
    pub days_from: Hour,
    /// Tallies at all.
    pub months_from: Hour,
}

impl Keep {
    /// What so many days of each level leave at `now`.
    pub fn days(now: Timestamp, (addresses, hours, days): (u32, u32, u32), years: u16) -> Self {
        let from = |kind, count: u32| {
            let then = now.plus_micros(-i64::from(count) * MICROS_PER_DAY);
            Period::containing(kind, then).first_hour()
        };
        Self {
            addresses_from: from(PeriodKind::Day, addresses),
            hours_from: from(PeriodKind::Day, hours),
            days_from: from(PeriodKind::Month, days),
            months_from: from(PeriodKind::Month, u32::from(years) * 366),
        }
    }
}

/// The day and the month that an hour lies in, as SQL: its first hour.
const DAY: &str = "hour - ((hour % 24) + 24) % 24";
const MONTH: &str = "CAST(strftime('%s', hour * 3600, 'unixepoch', 'start of month') AS INTEGER) / 3600";

/// Columns by which a table tells its rows apart, without the hour; the columns that add up.
type Summed = (&'static str, &'static str, &'static str);

const BY_HOUR: [Summed; 5] = [
    (
        "tally",
        "site, class, grade, place, sector, label, headline, regime",
        "sum(attempts), sum(sessions), sum(incidents), sum(compared), sum(disputed)",
    ),
    ("frames_hour", "site, frames", "sum(attempts), sum(headline), sum(overseas)"),
    ("watch", "", "sum(observed_micros)"),
    ("counter", "name", "sum(value)"),
    ("regime_hour", "regime", ""),
];

/// Brings a store down to what is to be kept; each level is a transaction of its own.
pub fn roll(connection: &mut Connection, keep: Keep) -> rusqlite::Result<()> {
    while let Some(day) = oldest_with_addresses(connection, keep.addresses_from)? {
        forget_addresses(connection, day)?;
    }
    let transaction = connection.transaction()?;
    coarsen(&transaction, BY_HOUR_FROM, keep.hours_from, DAY)?;
    transaction.commit()?;
    let transaction = connection.transaction()?;
    if coarsen(&transaction, BY_DAY_FROM, keep.days_from, MONTH)? {
        sources_to_months(&transaction, keep.days_from)?;
    }
    for (table, ..) in BY_HOUR {
        transaction.execute(&format!("DELETE FROM {table} WHERE hour < ?1"), [keep.months_from.0])?;
    }
    for table in ["source_day", "distinct_day"] {
        transaction.execute(&format!("DELETE FROM {table} WHERE day < ?1"), [keep.months_from.0])?;
    }
    incidents::roll(&transaction, keep.addresses_from, keep.hours_from, keep.months_from)?;
    transaction.execute("DELETE FROM endpoint_day WHERE day < ?1", [keep.hours_from.0])?;
    transaction.execute("DELETE FROM campaign WHERE id NOT IN (SELECT campaign FROM source_day)", [])?;
    transaction.commit()
}

/// Adds up the hours before `from`; whether there was anything to do.
fn coarsen(transaction: &Transaction<'_>, mark: &str, from: Hour, unit: &str) -> rusqlite::Result<bool> {
    if marked(transaction, mark)?.is_some_and(|known| known >= from) {
        return Ok(false);
    }
    for (table, keys, sums) in BY_HOUR {
        let columns = [keys, sums]
            .iter()
            .filter(|part| !part.is_empty())
            .fold(String::new(), |all, part| all + ", " + part);
        let group = if keys.is_empty() { String::new() } else { format!(", {keys}") };
        transaction.execute_batch(&format!(
            "CREATE TEMP TABLE rolled AS SELECT {unit} AS unit{columns} FROM {table} WHERE hour < {from} GROUP BY unit{group};
             DELETE FROM {table} WHERE hour < {from};
             INSERT INTO {table} SELECT * FROM rolled;
             DROP TABLE rolled;",
            from = from.0
        ))?;
    }
    transaction.execute(
        "INSERT INTO meta VALUES (?1, ?2) ON CONFLICT (key) DO UPDATE SET value = excluded.value",
        params![mark, from.0.to_string()],
    )?;
    Ok(true)
}

/// From which hours on a store tells hours, and days.
#[derive(Clone, Copy, Debug, Default, Eq, PartialEq)]
pub struct Marks {
    /// First hour that is kept by the hour; none where all are.
    pub hours_from: Option<Hour>,
    /// First hour that is kept by the day; none where all are.
    pub days_from: Option<Hour>,
}

impl Marks {
    /// Those of a store.
    pub fn read(connection: &Connection) -> rusqlite::Result<Self> {
        Ok(Self {
            hours_from: marked(connection, BY_HOUR_FROM)?,
            days_from: marked(connection, BY_DAY_FROM)?,
        })
    }
}

/// Adds up what is finer than the marks.
pub fn coarsen_to(connection: &Connection, marks: Marks) -> rusqlite::Result<()> {
    let transaction = connection.unchecked_transaction()?;
    if let Some(from) = marks.hours_from {
        coarsen(&transaction, BY_HOUR_FROM, from, DAY)?;
    }
    if let Some(from) = marks.days_from {
        coarsen(&transaction, BY_DAY_FROM, from, MONTH)?;
    }
    transaction.commit()
}

fn marked(connection: &Connection, mark: &str) -> rusqlite::Result<Option<Hour>> {
    let text: Option<String> = connection
        .prepare_cached("SELECT value FROM meta WHERE key = ?1")?
        .query_row([mark], |row| row.get(0))
        .optional()?;
    Ok(text.and_then(|text| text.parse().ok()).map(Hour))
}

/// The finest step in which a store can tell the beginning of a span.
pub fn finest(connection: &Connection, span: &Span) -> rusqlite::Result<PeriodKind> {
    let is_before = |mark| -> rusqlite::Result<bool> {
        Ok(marked(connection, mark)?.is_some_and(|from| span.from < from))
    };
    Ok(if is_before(BY_DAY_FROM)? {
        PeriodKind::Month
    } else if is_before(BY_HOUR_FROM)? {
        PeriodKind::Day
    } else {
        PeriodKind::Hour
    })
}

fn oldest_with_addresses(connection: &Connection, before: Hour) -> rusqlite::Result<Option<i64>> {
    connection
        .prepare_cached("SELECT min(day) FROM source_day WHERE day < ?1 AND source <> ''")?
        .query_row([before.0], |row| row.get(0))
}

const COLLAPSED: &str = "SELECT day, '', prefix, place, asn, grade, class, site, headline, campaign, sector,
     max(registered), max(infrastructure), 0, sum(attempts), sum(sessions), sum(incidents), sum(disputed), min(first), max(last)";
const COLLAPSED_BY: &str = "GROUP BY day, prefix, place, asn, grade, class, site, headline, campaign, sector";

/// Puts the sources of a day into sketches and adds them up by prefix.
fn forget_addresses(connection: &mut Connection, day: i64) -> rusqlite::Result<()> {
    let transaction = connection.transaction()?;
    let mut sketches = Sketches::new(&transaction)?;
    let mut statement = transaction.prepare_cached(
        "SELECT DISTINCT source, site, class, grade, place, sector FROM source_day WHERE day = ?1 AND source <> ''",
    )?;
    let mut rows = statement.query([day])?;
    while let Some(row) = rows.next()? {
        let text = |at| row.get::<_, String>(at);
        let [source, site, class, grade, place, sector] =
            [text(0)?, text(1)?, text(2)?, text(3)?, text(4)?, text(5)?];
        let seen = Seen {
            day,
            source: &source,
            site: &site,
            class: &class,
            grade: &grade,
            place: &place,
            sector: &sector,
        };
        sketches.note(&seen);
    }
    drop(rows);
    drop(statement);
    sketches.store(&transaction)?;
    transaction.execute_batch(&format!(
        "CREATE TEMP TABLE rolled AS {COLLAPSED} FROM source_day WHERE day = {day} {COLLAPSED_BY};
         DELETE FROM source_day WHERE day = {day};
         INSERT INTO source_day SELECT * FROM rolled;
         DROP TABLE rolled;"
    ))?;
    transaction.commit()
}

/// Rows of sources before `from`, whose addresses are gone, by months.
fn sources_to_months(transaction: &Transaction<'_>, from: Hour) -> rusqlite::Result<()> {
    let month = MONTH.replace("hour", "day");
    let collapsed = COLLAPSED.replacen("SELECT day", &format!("SELECT {month} AS day"), 1);
    let by = COLLAPSED_BY.replacen("GROUP BY day", "GROUP BY 1", 1);
    transaction.execute_batch(&format!(
        "CREATE TEMP TABLE rolled AS {collapsed} FROM source_day WHERE day < {from} {by};
         DELETE FROM source_day WHERE day < {from};
         INSERT INTO source_day SELECT * FROM rolled;
         DROP TABLE rolled;",
        from = from.0
    ))?;
    let mut statement =
        transaction.prepare("SELECT DISTINCT day FROM distinct_day WHERE day < ?1 ORDER BY day")?;
    let days: Vec<i64> = statement.query_map([from.0], |row| row.get(0))?.collect::<Result<_, _>>()?;
    let mut months: Vec<Period> = Vec::new();
    for day in days {
        let month = Period::containing(PeriodKind::Month, Hour(day).start());
        if months.last() != Some(&month) {
            months.push(month);
        }
    }
    for month in months {
        distinct::merge_days(transaction, (month.first_hour().0, month.end_hour().0))?;
    }
    Ok(())
}

/// What a step of [`shrink`] gave up, for the log.
pub type GivenUp = &'static str;

/// Makes a store that is larger than it may be smaller, by what is dispensable first: addresses of the oldest day, then the
/// oldest hours, then the oldest days, then prefixes. Of the day that is being written nothing is given up.
pub fn shrink(connection: &mut Connection, max_bytes: u64, today: Hour) -> rusqlite::Result<Vec<GivenUp>> {
    let mut given_up = Vec::new();
    while size(connection)? > max_bytes {
        let Some(step) = give_up(connection, today)? else { break };
        if given_up.last() != Some(&step) {
            given_up.push(step);
        }
        connection.execute_batch("PRAGMA incremental_vacuum")?;
    }
    Ok(given_up)
}

fn give_up(connection: &mut Connection, today: Hour) -> rusqlite::Result<Option<GivenUp>> {
    if let Some(day) = oldest_with_addresses(connection, today)? {
        forget_addresses(connection, day)?;
        return Ok(Some("addresses"));
    }
    for (mark, kind, unit, name) in
        [(BY_HOUR_FROM, PeriodKind::Day, DAY, "hours"), (BY_DAY_FROM, PeriodKind::Month, MONTH, "days")]
    {
        let oldest: Option<i64> = connection.query_row(
            &format!("SELECT min(hour) FROM tally WHERE hour <> {unit}"),
            [],
            |row| row.get(0),
        )?;
        let Some(oldest) = oldest else { continue };
        let then = Hour(oldest + SHRINK_DAYS * 24).start();
        let from = Period::containing(kind, then)
            .first_hour()
            .min(Period::containing(kind, today.start()).first_hour());
        if from.0 <= oldest {
            continue;
        }
        let transaction = connection.transaction()?;
        let done = coarsen(&transaction, mark, from, unit)?;
        if done && kind == PeriodKind::Month {
            sources_to_months(&transaction, from)?;
        }
        transaction.commit()?;
        if done {
            return Ok(Some(name));
        }
    }
    let dropped = without_prefixes(connection, today)?;
    Ok((dropped > 0).then_some("prefixes"))
}

fn without_prefixes(connection: &mut Connection, today: Hour) -> rusqlite::Result<i64> {
    let transaction = connection.transaction()?;
    let held: i64 = transaction.query_row(
        "SELECT count(*) FROM source_day WHERE day < ?1 AND (prefix <> '' OR campaign <> 0 OR asn <> -1)",
        [today.0],
        |row| row.get(0),
    )?;
    let collapsed = COLLAPSED.replacen("prefix, place, asn", "'', place, -1", 1).replacen(
        "campaign, sector",
        "0, sector",
        1,
    );
    transaction.execute_batch(&format!(
        "CREATE TEMP TABLE rolled AS {collapsed} FROM source_day WHERE day < {today}
             GROUP BY day, place, grade, class, site, headline, sector;
         DELETE FROM source_day WHERE day < {today};
         INSERT INTO source_day SELECT * FROM rolled;
         DROP TABLE rolled;",
        today = today.0
    ))?;
    transaction.commit()?;
    Ok(held)
}

/// Bytes of a store that are in use.
pub fn size(connection: &Connection) -> rusqlite::Result<u64> {
    let ask = |name: &str| connection.query_row(&format!("PRAGMA {name}"), [], |row| row.get::<_, i64>(0));
    let pages = ask("page_count")? - ask("freelist_count")?;
    Ok(pages.unsigned_abs() * ask("page_size")?.unsigned_abs())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::model::class::Class;
    use crate::model::grade::Grade;
    use crate::model::place::{Place, Sector, SourceKey, SourcePrefix};
    use crate::report::provenance::Provenance;
    use crate::report::shape::Report;
    use crate::report::store::Store;
    use crate::report::summary;
    use crate::report::writer::Mode;
    use crate::tally::{CampaignId, FrameKey, Snapshot, SourceDay, SourceSums, Sums, TallyKey};

    const DAYS: i64 = 120;

    /// Attempts of 40 addresses in 10 prefixes over 120 days from the first of January 2012.
    fn store(folder: &std::path::Path) -> Store {
        let (mut store, _) = Store::open(folder).unwrap();
        store.set_regime(&Provenance::default()).unwrap();
        let first = "2012-01-01".parse::<Period>().unwrap().first_hour().0;
        let mut snapshot = Snapshot::default();
        for number in 0..DAYS * 30 {
            let time = Hour(first + number * 24 / 30).start();
            let part = |of: i64| u8::try_from(number % of).unwrap();
            let address = std::net::Ipv4Addr::new(8, 8, part(10), part(4)).into();
            let place = Place::from_code(if number % 10 < 3 { "US" } else { "DE" });
            let site: std::sync::Arc<str> = "a".into();
            let sums = Sums { attempts: 1, sessions: 1, incidents: 1, ..Sums::default() };
            snapshot.add_row(
                TallyKey {
                    hour: time.hour(),
                    site: site.clone(),
                    class: Class::WebSqli,
                    grade: Grade::E2,
                    place,
                    sector: Sector::Located,
                    label: None,
                    headline: true,
                },
                sums,
            );
            snapshot.add_source(
                SourceDay {
                    day: Period::containing(PeriodKind::Day, time),
                    source: Some((SourceKey::of(address), SourcePrefix::of(address, (24, 48)))),
                    place,
                    asn: Some(1),
                    grade: Grade::E2,
                    class: Class::WebSqli,
                    site: site.clone(),
                    headline: true,
                    campaign: CampaignId(u64::from(part(5)) + 1),
                    sector: Sector::Located,
                },
                &SourceSums { sums, ..SourceSums::at(time) },
            );
            snapshot.add_frames(FrameKey { hour: time.hour(), site, frames: 1 }, true, false);
            snapshot.add_observed(time.hour().start(), time.hour().end());
        }
        store.add(&snapshot, &[], &[], Mode::Live).unwrap();
        store
    }

    fn year(store: &Store) -> Report {
        let report =
            summary::build(store, &Span::of("2012".parse().unwrap()), None, &Provenance::default()).unwrap();
        report.reconcile().unwrap();
        report
    }

    fn counted(report: &Report) -> serde_json::Value {
        let json = serde_json::to_value(report).unwrap();
        let part = |name: &str| json[name].clone();
        serde_json::json!([
            part("totals")["attempts"],
            part("totals")["sources"],
            part("totals")["campaigns"],
            part("totals")["interval"],
            part("sites"),
            part("classes"),
            part("period"),
            part("headline")["attempts"]
        ])
    }

    fn keep(addresses: &str, hours: &str, days: &str) -> Keep {
        let hour = |text: &str| text.parse::<Period>().unwrap().first_hour();
        Keep {
            addresses_from: hour(addresses),
            hours_from: hour(hours),
            days_from: hour(days),
            months_from: hour("2000-01"),
        }
    }

    #[test]
    fn every_level_keeps_the_counts_and_says_how_fine_it_is() {
        let folder = tempfile::tempdir().unwrap();
        let mut store = store(folder.path());
        let whole = year(&store);
        assert_eq!((whole.totals.sources, whole.totals.campaigns), (Some(20), Some(5)));
        store.roll(keep("2012-04-20", "2012-03-10", "2012-02-01")).unwrap();
        let rolled = year(&store);
        assert_eq!(counted(&rolled), counted(&whole), "sketches of so few sources are exact");
        assert_eq!(rolled.totals.estimates, ["sources"]);
        let prefixes = |report: &Report| -> Vec<(String, u64)> {
            let rows = report.origins.iter().filter(|row| row.kind == "prefix");
            rows.map(|row| (row.code.clone(), row.counts.attempts)).collect()
        };
        assert_eq!(prefixes(&rolled), prefixes(&whole));
        let ask = |name: &str| {
            let asked =
                summary::build(&store, &Span::of(name.parse().unwrap()), None, &Provenance::default());
            asked
                .map(|report| (report.totals.attempts, report.series.len()))
                .map_err(|error| error.to_string())
        };
        assert_eq!(ask("2012-01"), Ok((31 * 30, 1)), "one step: the month");
        assert_eq!(ask("2012-02"), Ok((29 * 30, 29)));
        assert_eq!(ask("2012-02-03"), Ok((30, 1)));
        assert_eq!(ask("2012-03-11"), Ok((30, 24)));
        assert!(ask("2012-01-05").unwrap_err().contains("keeps only months"));
        assert!(ask("2012-02-03T04").unwrap_err().contains("keeps only days"));
        store.roll(keep("2012-04-20", "2012-03-10", "2012-02-01")).unwrap();
        assert_eq!(counted(&year(&store)), counted(&whole), "once more changes nothing");
    }

    #[test]
    fn a_store_that_is_too_large_gives_up_everything_but_counts() {
        let folder = tempfile::tempdir().unwrap();
        let mut store = store(folder.path());
        let whole = year(&store);
        let today = "2012-04-30".parse::<Period>().unwrap().first_hour();
        let given_up = store.shrink(1, today).unwrap();
        assert_eq!(given_up, ["addresses", "hours", "days", "prefixes"]);
        let small = year(&store);
        assert_eq!(small.totals.attempts, whole.totals.attempts);
        assert_eq!(small.headline.attempts, whole.headline.attempts);
        assert_eq!(
            (small.totals.sources, small.totals.lower_bounds.as_slice()),
            (Some(20), &["campaigns"][..])
        );
        assert!(store.shrink(1, today).unwrap().is_empty(), "there is nothing left to give up");
    }
}
