//! A report: everything a period's files say, read from the store.

use std::collections::{BTreeMap, BTreeSet};

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
use crate::report::{ReportError, countries, doubtful, query, sentence, spread};

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
    let sources = query::sources(store, span, site)?;
    let watch = query::watch(store, span)?;
    let counters = query::counters(store, span)?;
    let mut tables = Tables::default();
    let mut totals = Counts::default();
    query::each_row(store, span, site, |row| {
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
            interval: None,
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
        counters: without_losses(counters),
        likely_false_alarms: doubtful::read(store, span, site)?,
        home: provenance.home.clone(),
        databases: provenance.databases.clone(),
        detectors: Detectors { set_hash: provenance.detector_set.clone() },
        config_hash: provenance.config_hash.clone(),
        corrects: None,
        previous_sha256: None,
    };
    spread_out(&mut report, (store, span, site), provenance)?;
    report.headline.lower_bound = report.losses.iter().any(|(name, count)| *count > 0 && is_loss(name));
    report.headline.text = sentence::headline(&report, span);
    Ok(report)
}

/// Fills in how far the numbers may be off, and what they would be by chance.
fn spread_out(
    report: &mut Report,
    (store, span, site): (&Store, &Span, Option<&str>),
    provenance: &Provenance,
) -> Result<(), ReportError> {
    for row in &mut report.origins {
        row.base_rate = provenance.base_rate(&row.code);
    }
    if let Some(high) = spread::high(store, span, site)? {
        let from = |low: u64, high: u64| Some([low, high.max(low)]);
        report.totals.interval = from(report.totals.attempts, high.attempts);
        report.headline.interval = match report.headline.overseas_attempts {
            Some(overseas) => from(overseas, high.overseas),
            None => from(report.headline.attempts, high.headline),
        };
    }
    if span.kind == Some(PeriodKind::Hour) {
        // Sources are kept by days.
        return Ok(());
    }
    report.headline.top_source = spread::top_source(store, span, site)?;
    if let Some(top) = &mut report.headline.top_country {
        let is_in_base = |code: &str| is_country(code) && !provenance.home.iter().any(|home| home == code);
        top.interval = spread::share_interval(store, span, site, (&top.code, &is_in_base))?;
    }
    Ok(())
}

/// Whether a place's code is that of a country.
fn is_country(code: &str) -> bool {
    code.len() == 2 && !["AP", "EU"].contains(&code)
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

fn without_losses(counters: BTreeMap<String, u64>) -> BTreeMap<String, u64> {
    let is_other = |name: &str| !is_loss(name) && !OTHER_LOSSES.contains(&name);
    counters.into_iter().filter(|(name, _)| is_other(name)).collect()
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
    fn add(&mut self, row: &query::StoreRow, span: &Span) {
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

    fn origins(&self, sources: &query::Sources, declared: bool, base: u64) -> Vec<OriginRow> {
        let mut rows: Vec<OriginRow> = self
            .places
            .iter()
            .map(|(code, counts)| {
                let is_country = is_country(code);
                let part = if declared { counts.overseas_attempts } else { counts.headline_attempts };
                OriginRow {
                    kind: "country",
                    code: code.clone(),
                    name: countries::name(code).to_owned(),
                    counts: *counts,
                    share: (is_country && base > 0 && part > 0).then(|| share(part, base)),
                    base_rate: None,
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
        interval: None,
        top_source: None,
        overseas_monthly_mean: mean.map(|mean| (mean * 1e3).round() / 1e3),
        overseas_monthly_mean_normalised: normalised,
        top_country: top.map(|row| TopCountry {
            code: row.code.clone(),
            name: row.name.clone(),
            attempts: part(row),
            share: row.share.unwrap_or(0.0),
            interval: None,
            base_rate: provenance.base_rate(&row.code),
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
