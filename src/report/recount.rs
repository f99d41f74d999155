//! A period counted anew by another database: what is kept of its sources, and what the numbers were and are. Where a source
//! is now is told from outside; this room knows no database.

mod print;

use std::collections::BTreeMap;

use rusqlite::params;
use serde::Serialize;

use crate::model::grade::Grade;
use crate::model::place::{Basis, Place, Sector};
use crate::report::provenance::Database;
use crate::report::shape::sector_title;
use crate::report::span::Span;
use crate::report::store::Store;
use crate::report::summary::share;
use crate::report::{ReportError, countries, rollup};

/// What is kept of a source and what it did in a day.
#[derive(Clone, Debug)]
pub struct KeptRow {
    /// Its key, a pseudonym of it, or empty.
    pub source: String,
    /// Its prefix, or empty.
    pub prefix: String,
    /// Where it was put.
    pub place: Place,
    /// Its row of the statement; none in rows of old stores.
    pub sector: Option<Sector>,
    /// How well its origin is proven.
    pub grade: Grade,
    /// Whether its attempts are in the headline.
    pub headline: bool,
    /// Its attempts.
    pub attempts: u64,
}

/// The span as its sources are kept: whole months where they were rolled up to months.
pub fn told(store: &Store, span: &Span) -> Result<Span, ReportError> {
    let kept = rollup::finest(store.connection(), span).map_err(store.wrap())?;
    span.told_by(kept).ok_or_else(|| ReportError::RolledUp { span: span.name.clone(), kept: kept.name() })
}

/// Hands over every row of sources of a span of whole days.
pub fn each_row(store: &Store, span: &Span, mut take: impl FnMut(KeptRow)) -> Result<(), ReportError> {
    let mut read = || -> rusqlite::Result<()> {
        let mut statement = store.connection().prepare_cached(
            "SELECT source, prefix, place, sector, grade, headline, attempts FROM source_day WHERE day >= ?1 AND day < ?2",
        )?;
        let mut rows = statement.query([span.from.0, span.to.0])?;
        while let Some(row) = rows.next()? {
            take(KeptRow {
                source: row.get(0)?,
                prefix: row.get(1)?,
                place: Place::from_code(&row.get::<_, String>(2)?),
                sector: Sector::from_name(&row.get::<_, String>(3)?),
                // A grade that this version does not know proves nothing.
                grade: Grade::from_name(&row.get::<_, String>(4)?).unwrap_or(Grade::E0),
                headline: row.get(5)?,
                attempts: row.get::<_, i64>(6)?.unsigned_abs(),
            });
        }
        Ok(())
    };
    read().map_err(store.wrap())
}

/// Attempts of the headline that the tally of a span holds, with or without a row of sources.
pub fn tallied(store: &Store, span: &Span) -> Result<u64, ReportError> {
    let sum = store.connection().query_row(
        "SELECT coalesce(sum(attempts), 0) FROM tally WHERE headline AND hour >= ?1 AND hour < ?2",
        params![span.from.0, span.to.0],
        |row| row.get::<_, i64>(0),
    );
    sum.map(i64::unsigned_abs).map_err(store.wrap())
}

/// Where a row is by each database.
#[derive(Clone, Copy, Debug)]
pub struct Moved {
    /// Row of the statement before.
    pub before: Sector,
    /// Place now.
    pub place: Place,
    /// Row of the statement now.
    pub sector: Sector,
    /// What the place rests on.
    pub basis: Basis,
}

/// Sums of a place.
#[derive(Clone, Copy, Debug, Default)]
struct Sums {
    before: u64,
    after: u64,
    moved_in: u64,
    moved_out: u64,
    /// Of these, in the base of shares: overseas, or located where no home is declared.
    base_before: u64,
    base_after: u64,
}

/// What was added up.
#[derive(Debug)]
pub struct Sum {
    declared: bool,
    places: BTreeMap<Place, Sums>,
    sectors: BTreeMap<Sector, (u64, u64)>,
    total: u64,
    by_prefix: u64,
    split: u64,
    kept: u64,
}

impl Sum {
    /// Nothing yet. `declared`: whether a home is, so that there is an overseas.
    pub const fn new(declared: bool) -> Self {
        Self {
            declared,
            places: BTreeMap::new(),
            sectors: BTreeMap::new(),
            total: 0,
            by_prefix: 0,
            split: 0,
            kept: 0,
        }
    }

    /// Adds a row.
    pub fn add(&mut self, row: &KeptRow, moved: Moved) {
        self.sectors.entry(moved.before).or_default().0 += row.attempts;
        self.sectors.entry(moved.sector).or_default().1 += row.attempts;
        if !row.headline {
            return;
        }
        let attempts = row.attempts;
        self.total += attempts;
        match moved.basis {
            Basis::Address => {}
            Basis::Nothing => self.kept += attempts,
            Basis::Prefix => self.by_prefix += attempts,
            Basis::SplitPrefix => {
                self.by_prefix += attempts;
                self.split += attempts;
            }
        }
        let differs = row.place != moved.place;
        let in_base = |sector| match sector {
            Sector::Overseas => attempts,
            Sector::Domestic | Sector::Located if !self.declared => attempts,
            _ => 0,
        };
        let (base_before, base_after) = (in_base(moved.before), in_base(moved.sector));
        let then = self.places.entry(row.place).or_default();
        then.before += attempts;
        then.moved_out += if differs { attempts } else { 0 };
        then.base_before += base_before;
        let now = self.places.entry(moved.place).or_default();
        now.after += attempts;
        now.moved_in += if differs { attempts } else { 0 };
        now.base_after += base_after;
    }

    /// Attempts added that are in the headline.
    pub const fn total(&self) -> u64 {
        self.total
    }
}

/// What a recount is of.
#[derive(Debug)]
pub struct About {
    /// Name of the period.
    pub period: String,
    /// Home countries.
    pub home: Vec<String>,
    /// Databases that counted, the latest first.
    pub databases_before: Vec<Database>,
    /// The database that counts now.
    pub database_after: Database,
    /// Attempts of the headline in the tally.
    pub tallied: u64,
}

/// A part of the attempts in the headline.
#[derive(Clone, Copy, Debug, Serialize)]
pub struct Part {
    /// Attempts.
    pub attempts: u64,
    /// Their part, 0 to 1.
    pub share: f64,
}

/// The figures of the headline's sentence.
#[derive(Clone, Debug, Serialize)]
pub struct Figures {
    /// Attempts from overseas; `null` where no home is declared.
    pub overseas_attempts: Option<u64>,
    /// Country with the largest share of them (of all located ones where no home is declared).
    pub top_country: Option<String>,
    /// Its attempts.
    pub top_attempts: u64,
    /// Its share, 0 to 1.
    pub top_share: f64,
}

/// A country, or another place.
#[derive(Clone, Debug, Serialize)]
pub struct CountryRow {
    /// Its code.
    pub code: String,
    /// Its name.
    pub name: String,
    /// Attempts in the headline before.
    pub before: u64,
    /// And now.
    pub after: u64,
    /// Attempts that came from another place.
    pub moved_in: u64,
    /// Attempts that went to another.
    pub moved_out: u64,
    /// Part of the base before, 0 to 1; `null` outside the base.
    pub share_before: Option<f64>,
    /// And now.
    pub share_after: Option<f64>,
}

/// A row of the statement.
#[derive(Clone, Debug, Serialize)]
pub struct SectorRow {
    /// Its id.
    pub id: &'static str,
    /// Its title.
    pub title: &'static str,
    /// Attempts before, in the headline or not.
    pub before: u64,
    /// And now.
    pub after: u64,
}

/// A recount.
#[derive(Clone, Debug, Serialize)]
pub struct Recount {
    /// The period.
    pub period: String,
    /// Home countries.
    pub home: Vec<String>,
    /// Databases that counted, the latest first.
    pub databases_before: Vec<Database>,
    /// The database that counts now.
    pub database_after: Database,
    /// Attempts in the headline that were recounted.
    pub total: u64,
    /// Attempts in the headline of which no row of sources is kept, so that they are in no row here.
    pub not_kept: u64,
    /// The sentence's figures before.
    pub before: Figures,
    /// And now.
    pub after: Figures,
    /// What the database alone moved to another place.
    pub moved: Part,
    /// What was looked up by the prefix, since the address is gone.
    pub by_prefix: Part,
    /// Of these, what lies in prefixes that the database splits.
    pub in_split_prefixes: Part,
    /// What keeps its place, since nothing to look up is kept.
    pub not_recountable: Part,
    /// By country; each column adds up to the total.
    pub countries: Vec<CountryRow>,
    /// By row of the statement, all attempts.
    pub sectors: Vec<SectorRow>,
}

/// The recount that rows added up to.
pub fn recount(sum: &Sum, about: About) -> Recount {
    let part = |attempts| Part { attempts, share: share(attempts, sum.total) };
    let base = |of: fn(&Sums) -> u64| sum.places.values().map(of).sum::<u64>();
    let (base_before, base_after) = (base(|sums| sums.base_before), base(|sums| sums.base_after));
    let part_of = |place: Place, count: u64, base: u64| {
        (matches!(place, Place::Country(_)) && base > 0 && count > 0).then(|| share(count, base))
    };
    let mut countries: Vec<CountryRow> = sum
        .places
        .iter()
        .map(|(place, sums)| CountryRow {
            code: place.code().to_owned(),
            name: countries::name(place.code()).to_owned(),
            before: sums.before,
            after: sums.after,
            moved_in: sums.moved_in,
            moved_out: sums.moved_out,
            share_before: part_of(*place, sums.base_before, base_before),
            share_after: part_of(*place, sums.base_after, base_after),
        })
        .collect();
    countries.sort_by(|a, b| (b.after, b.before, &a.code).cmp(&(a.after, a.before, &b.code)));
    Recount {
        period: about.period,
        home: about.home,
        databases_before: about.databases_before,
        database_after: about.database_after,
        total: sum.total,
        not_kept: about.tallied.saturating_sub(sum.total),
        before: figures(sum, base_before, |sums| sums.base_before),
        after: figures(sum, base_after, |sums| sums.base_after),
        moved: part(sum.places.values().map(|sums| sums.moved_out).sum()),
        by_prefix: part(sum.by_prefix),
        in_split_prefixes: part(sum.split),
        not_recountable: part(sum.kept),
        countries,
        sectors: Sector::ALL
            .map(|sector| {
                let (before, after) = sum.sectors.get(&sector).copied().unwrap_or_default();
                SectorRow { id: sector.name(), title: sector_title(sector), before, after }
            })
            .to_vec(),
    }
}

fn figures(sum: &Sum, base: u64, of: fn(&Sums) -> u64) -> Figures {
    let countries =
        sum.places.iter().filter(|(place, sums)| matches!(place, Place::Country(_)) && of(sums) > 0);
    // Of equal countries the first by code, as in a report.
    let top = countries.max_by(|a, b| of(a.1).cmp(&of(b.1)).then_with(|| b.0.cmp(a.0)));
    let top_attempts = top.map_or(0, |(_, sums)| of(sums));
    Figures {
        overseas_attempts: sum.declared.then_some(base),
        top_country: top.map(|(place, _)| place.code().to_owned()),
        top_attempts,
        top_share: share(top_attempts, base),
    }
}
