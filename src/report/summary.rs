//! A report: everything a period's files say, read from the store.

use std::collections::{BTreeMap, BTreeSet};

use rusqlite::params;

use crate::model::class::Class;
use crate::model::grade::Grade;
use crate::model::period::{Period, PeriodKind};
use crate::model::place::Sector;
use crate::model::time::{Hour, MICROS_PER_SEC, Timestamp};
use crate::report::provenance::Provenance;
use crate::report::shape::{
    Counts, Coverage, DEFINITION, Detectors, Headline, OriginRow, PeriodPart, Report, Row, SCHEMA_VERSION,
    Step, TopCountry, Totals, grade_title, sector_title,
};
use crate::report::store::{Store, is_loss};
use crate::report::{ReportError, countries, doubtful, sentence};

/// What is reported on: whole hours from the first to before the last.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct Span {
    /// `2012-06`, or `2012-03_2012-05` for a range.
    pub name: String,
    /// Kind of the period; `None` for a range.
    pub kind: Option<PeriodKind>,
    /// First hour.
    pub from: Hour,
    /// First hour after.
    pub to: Hour,
    /// Calendar months in it, where it is made of whole ones.
    pub months: Option<u32>,
}

impl Span {
    /// One period.
    pub fn of(period: Period) -> Self {
        Self {
            name: period.to_string(),
            kind: Some(period.kind()),
            from: period.first_hour(),
            to: period.end_hour(),
            months: period.months(),
        }
    }

    /// From the first of one period to the last of another. A range of whole months has a monthly mean.
    pub fn between(first: Period, last: Period) -> Self {
        if first == last {
            return Self::of(first);
        }
        let (from, to) = (first.first_hour(), last.end_hour().max(first.end_hour()));
        let mut month = Period::containing(PeriodKind::Month, from.start());
        let mut months = (month.first_hour() == from).then_some(0_u32);
        while let Some(count) = months
            && month.first_hour() < to
        {
            months = (month.end_hour() <= to).then_some(count + 1);
            month = month.next();
        }
        Self { name: format!("{first}_{last}"), kind: None, from, to, months }
    }
}

/// Losses that are counted outside the packet path.
pub const OTHER_LOSSES: [&str; 3] = ["events_shed", "late_attempts", "events_lost"];

/// Adds up the store for a span, for one site or all.
pub fn build(
    store: &Store,
    span: &Span,
    site: Option<&str>,
    provenance: &Provenance,
) -> Result<Report, ReportError> {
    let sources = read_sources(store, span, site)?;
    let watch = read_watch(store, span)?;
    let counters = read_counters(store, span)?;
    let mut tables = Tables::default();
    let mut totals = Counts::default();
    each_row(store, span, site, |row| {
        totals.add(row.counts);
        tables.add(row, span);
    })?;
    let observed = watch.values().sum::<i64>() / MICROS_PER_SEC;
    let seconds = (span.to.0 - span.from.0) * 3_600;
    let declared = provenance.home_declared;
    let base = if declared { totals.overseas_attempts } else { tables.located };
    let origins = tables.origins(&sources, declared, base);
    let headline = headline(span, (&totals, &tables), &origins, (seconds, observed), provenance);
    let mut report = Report {
        schema_version: SCHEMA_VERSION,
        gatewatch_version: provenance.version.clone(),
        period: PeriodPart {
            name: span.name.clone(),
            kind: span.kind.map_or("range", PeriodKind::name),
            from: rfc3339(span.from.start()),
            to: rfc3339(span.to.start()),
            coverage: Coverage {
                seconds,
                seconds_observed: observed,
                share: share(observed.unsigned_abs(), seconds.unsigned_abs()),
            },
        },
        open: false,
        site: site.map(str::to_owned),
        definition: DEFINITION,
        totals: Totals {
            packets: counters.get("frames_received").copied().unwrap_or(0),
            attempts: totals.attempts,
            sessions: totals.sessions,
            incidents: totals.incidents,
            campaigns: None,
            sources: sources.total,
        },
        headline,
        sites: named(tables.sites, str::to_owned),
        origins,
        sectors: Sector::ALL
            .map(|sector| fixed_row(&mut tables.sectors, sector.name(), sector_title(sector)))
            .to_vec(),
        labels: named(tables.labels, str::to_owned),
        classes: named(tables.classes, |id| {
            Class::from_id(id).map_or(id, |class| class.row().title).to_owned()
        }),
        grades: Grade::ALL
            .map(|grade| fixed_row(&mut tables.grades, grade.name(), grade_title(grade)))
            .to_vec(),
        series: series(span, &tables.hours, &watch),
        losses: losses(&counters),
        counters: counters
            .into_iter()
            .filter(|(name, _)| !is_loss(name) && !OTHER_LOSSES.contains(&name.as_str()))
            .collect(),
        likely_false_alarms: doubtful::read(store, span, site)?,
        home: provenance.home.clone(),
        databases: provenance.databases.clone(),
        detectors: Detectors { set_hash: provenance.detector_set.clone() },
        config_hash: provenance.config_hash.clone(),
        corrects: None,
        previous_sha256: None,
    };
    report.headline.lower_bound = report.losses.iter().any(|(name, count)| *count > 0 && is_loss(name));
    report.headline.text = sentence::headline(&report, span);
    Ok(report)
}

/// RFC 3339 without a fraction.
fn rfc3339(time: Timestamp) -> String {
    time.to_jiff().strftime("%Y-%m-%dT%H:%M:%SZ").to_string()
}

/// `part / whole` to six decimals.
pub fn share(part: u64, whole: u64) -> f64 {
    if whole == 0 {
        return 0.0;
    }
    (part as f64 / whole as f64 * 1e6).round() / 1e6
}

struct StoreRow {
    hour: Hour,
    site: String,
    class: String,
    grade: String,
    place: String,
    sector: String,
    label: String,
    counts: Counts,
}

/// Goes through the tally row by row: a year of them need not fit in memory.
fn each_row(
    store: &Store,
    span: &Span,
    site: Option<&str>,
    mut take: impl FnMut(&StoreRow),
) -> Result<(), ReportError> {
    let overseas = Sector::Overseas.name();
    let mut read = || -> rusqlite::Result<()> {
        let mut statement = store.connection().prepare_cached(
            "SELECT hour, site, class, grade, place, sector, label, headline, attempts, sessions, incidents
             FROM tally WHERE hour >= ?1 AND hour < ?2 AND (?3 IS NULL OR site = ?3)",
        )?;
        let mut rows = statement.query(params![span.from.0, span.to.0, site])?;
        while let Some(row) = rows.next()? {
            let count = |at| row.get::<_, i64>(at).map(i64::unsigned_abs);
            let sector: String = row.get(5)?;
            let headline: bool = row.get(7)?;
            let attempts = count(8)?;
            let counts = Counts {
                attempts,
                headline_attempts: if headline { attempts } else { 0 },
                overseas_attempts: if headline && sector == overseas { attempts } else { 0 },
                sessions: count(9)?,
                incidents: count(10)?,
            };
            take(&StoreRow {
                hour: Hour(row.get(0)?),
                site: row.get(1)?,
                class: row.get(2)?,
                grade: row.get(3)?,
                place: row.get(4)?,
                sector,
                label: row.get(6)?,
                counts,
            });
        }
        Ok(())
    };
    read().map_err(store.wrap())
}

#[derive(Default)]
struct Sources {
    total: Option<u64>,
    by_place: BTreeMap<String, u64>,
}

/// Distinct sources; days are the finest step that is kept of them.
fn read_sources(store: &Store, span: &Span, site: Option<&str>) -> Result<Sources, ReportError> {
    if span.kind == Some(PeriodKind::Hour) {
        return Ok(Sources::default());
    }
    let read = || -> rusqlite::Result<Sources> {
        let mut statement = store.connection().prepare_cached(
            "SELECT place, count(DISTINCT source) FROM source_day
             WHERE day >= ?1 AND day < ?2 AND (?3 IS NULL OR site = ?3) GROUP BY place",
        )?;
        let by_place: BTreeMap<String, u64> = statement
            .query_map(params![span.from.0, span.to.0, site], |row| {
                Ok((row.get(0)?, row.get::<_, i64>(1)?.unsigned_abs()))
            })?
            .collect::<Result<_, _>>()?;
        let total = store.connection().query_row(
            "SELECT count(DISTINCT source) FROM source_day WHERE day >= ?1 AND day < ?2 AND (?3 IS NULL OR site = ?3)",
            params![span.from.0, span.to.0, site],
            |row| row.get::<_, i64>(0),
        )?;
        Ok(Sources { total: Some(total.unsigned_abs()), by_place })
    };
    read().map_err(store.wrap())
}

fn read_watch(store: &Store, span: &Span) -> Result<BTreeMap<Hour, i64>, ReportError> {
    let read = || -> rusqlite::Result<BTreeMap<Hour, i64>> {
        let mut statement = store
            .connection()
            .prepare_cached("SELECT hour, observed_micros FROM watch WHERE hour >= ?1 AND hour < ?2")?;
        statement.query_map([span.from.0, span.to.0], |row| Ok((Hour(row.get(0)?), row.get(1)?)))?.collect()
    };
    read().map_err(store.wrap())
}

fn read_counters(store: &Store, span: &Span) -> Result<BTreeMap<String, u64>, ReportError> {
    let read = || -> rusqlite::Result<BTreeMap<String, u64>> {
        let mut statement = store.connection().prepare_cached(
            "SELECT name, sum(value) FROM counter WHERE hour >= ?1 AND hour < ?2 GROUP BY name",
        )?;
        statement
            .query_map([span.from.0, span.to.0], |row| {
                Ok((row.get(0)?, row.get::<_, i64>(1)?.unsigned_abs()))
            })?
            .collect()
    };
    read().map_err(store.wrap())
}

/// Every loss, zeros included, so that "nothing was lost" is said and not left out.
fn losses(counters: &BTreeMap<String, u64>) -> BTreeMap<String, u64> {
    let known = crate::model::progress::COUNTERS.iter().map(|row| row.name).filter(|name| is_loss(name));
    known
        .chain(OTHER_LOSSES)
        .map(|name| (name.to_owned(), counters.get(name).copied().unwrap_or(0)))
        .collect()
}

#[derive(Default)]
struct Tables {
    sites: BTreeMap<String, Counts>,
    classes: BTreeMap<String, Counts>,
    grades: BTreeMap<String, Counts>,
    sectors: BTreeMap<String, Counts>,
    labels: BTreeMap<String, Counts>,
    places: BTreeMap<String, Counts>,
    hours: BTreeMap<Hour, Counts>,
    /// Sites that count in the headline.
    headline_sites: BTreeSet<String>,
    /// Headline attempts located in any country.
    located: u64,
}

impl Tables {
    fn add(&mut self, row: &StoreRow, span: &Span) {
        let step = match step_kind(span) {
            PeriodKind::Hour => row.hour,
            kind => Period::containing(kind, row.hour.start()).first_hour(),
        };
        self.hours.entry(step).or_default().add(row.counts);
        for (table, key) in [
            (&mut self.sites, &row.site),
            (&mut self.classes, &row.class),
            (&mut self.grades, &row.grade),
            (&mut self.sectors, &row.sector),
            (&mut self.places, &row.place),
        ] {
            table.entry(key.clone()).or_default().add(row.counts);
        }
        if !row.label.is_empty() {
            self.labels.entry(row.label.clone()).or_default().add(row.counts);
        }
        if row.counts.headline_attempts > 0 {
            self.headline_sites.insert(row.site.clone());
            if [Sector::Overseas.name(), Sector::Domestic.name(), Sector::Located.name()]
                .contains(&row.sector.as_str())
            {
                self.located += row.counts.headline_attempts;
            }
        }
    }

    fn origins(&self, sources: &Sources, declared: bool, base: u64) -> Vec<OriginRow> {
        let mut rows: Vec<OriginRow> = self
            .places
            .iter()
            .map(|(code, counts)| {
                let is_country = code.len() == 2 && !["AP", "EU"].contains(&code.as_str());
                let part = if declared { counts.overseas_attempts } else { counts.headline_attempts };
                OriginRow {
                    kind: "country",
                    code: code.clone(),
                    name: countries::name(code).to_owned(),
                    counts: *counts,
                    share: (is_country && base > 0 && part > 0).then(|| share(part, base)),
                    sources: sources.by_place.get(code).copied(),
                }
            })
            .collect();
        rows.sort_by(|a, b| {
            (b.counts.overseas_attempts, b.counts.attempts, &a.code).cmp(&(
                a.counts.overseas_attempts,
                a.counts.attempts,
                &b.code,
            ))
        });
        rows
    }
}

fn headline(
    span: &Span,
    (totals, tables): (&Counts, &Tables),
    origins: &[OriginRow],
    (seconds, observed): (i64, i64),
    provenance: &Provenance,
) -> Headline {
    let declared = provenance.home_declared;
    let overseas = declared.then_some(totals.overseas_attempts);
    let mean = span
        .months
        .filter(|months| *months > 0)
        .and_then(|months| Some(overseas? as f64 / f64::from(months)));
    let normalised = mean
        .filter(|_| observed > 0)
        .map(|mean| (mean * seconds as f64 / observed as f64 * 1e3).round() / 1e3);
    let part =
        |row: &OriginRow| if declared { row.counts.overseas_attempts } else { row.counts.headline_attempts };
    let top = origins.iter().filter(|row| row.share.is_some()).max_by(|a, b| {
        // Of equal countries the first by code.
        part(a).cmp(&part(b)).then_with(|| b.code.cmp(&a.code))
    });
    let mut sites: BTreeSet<String> = tables.headline_sites.clone();
    sites.extend(provenance.sites.iter().cloned());
    Headline {
        text: String::new(),
        unit: "attempt",
        classes: ["web.*", "auth.*", "exploit.*"],
        sites: sites.into_iter().collect(),
        attempts: totals.headline_attempts,
        overseas_attempts: overseas,
        overseas_monthly_mean: mean.map(|mean| (mean * 1e3).round() / 1e3),
        overseas_monthly_mean_normalised: normalised,
        top_country: top.map(|row| TopCountry {
            code: row.code.clone(),
            name: row.name.clone(),
            attempts: part(row),
            share: row.share.unwrap_or(0.0),
            interval: None,
        }),
        lower_bound: false,
    }
}

/// Rows in the order of their attempts, then of their ids.
fn named(table: BTreeMap<String, Counts>, title: impl Fn(&str) -> String) -> Vec<Row> {
    let mut rows: Vec<Row> =
        table.into_iter().map(|(id, counts)| Row { title: title(&id), id, counts }).collect();
    rows.sort_by(|a, b| b.counts.attempts.cmp(&a.counts.attempts).then_with(|| a.id.cmp(&b.id)));
    rows
}

fn fixed_row(table: &mut BTreeMap<String, Counts>, id: &str, title: &str) -> Row {
    Row { id: id.to_owned(), title: title.to_owned(), counts: table.remove(id).unwrap_or_default() }
}

/// What the series steps by.
fn step_kind(span: &Span) -> PeriodKind {
    match (span.kind, span.to.0 - span.from.0) {
        (Some(PeriodKind::Hour | PeriodKind::Day), _) => PeriodKind::Hour,
        (Some(PeriodKind::Month), _) => PeriodKind::Day,
        (None, hours) if hours <= 48 => PeriodKind::Hour,
        (None, hours) if hours <= 93 * 24 => PeriodKind::Day,
        _ => PeriodKind::Month,
    }
}

fn series(span: &Span, counts: &BTreeMap<Hour, Counts>, watch: &BTreeMap<Hour, i64>) -> Vec<Step> {
    let kind = step_kind(span);
    let mut step = Period::containing(kind, span.from.start());
    let mut steps = Vec::new();
    while step.first_hour() < span.to {
        let micros: i64 = watch.range(step.first_hour()..step.end_hour()).map(|(_, micros)| *micros).sum();
        steps.push(Step {
            period: step.to_string(),
            seconds_observed: micros / MICROS_PER_SEC,
            counts: counts.get(&step.first_hour()).copied().unwrap_or_default(),
        });
        step = step.next();
    }
    steps
}
