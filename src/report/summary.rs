//! A report: everything a period's files say, read from the store.

use std::collections::{BTreeMap, BTreeSet};

use crate::model::period::{Period, PeriodKind};
use crate::model::time::{Hour, MICROS_PER_SEC, Timestamp};
use crate::report::distinct::{self, Dimension, Distinct, has_unnamed};
use crate::report::dominance::Dominance;
use crate::report::provenance::{Database, Provenance};
use crate::report::rebuild::repair;
use crate::report::regimes::{Regime, Way};
use crate::report::rhythm::Rhythm;
use crate::report::shape::{
    Counts, Coverage, DEFINITION, Detectors, Headline, OriginRow, PeriodPart, Report, SCHEMA_VERSION,
    SecondOpinion, Step, TopCountry, Totals,
};
use crate::report::span::{Days, Span};
use crate::report::spread::Shares;
use crate::report::store::{Store, is_loss};
use crate::report::tables::Tables;
use crate::report::zone::Zone;
use crate::report::{
    ReportError, campaigns, dominance, doubtful, incidents, networks, query, reading, regimes, rhythm,
    rollup, sentence, spread, trend,
};

/// The loss of event lines: attempts that no line represents.
pub const EVENTS: &str = "events";
/// Of these, those whose lines the disk did not take.
pub const EVENTS_UNWRITTEN: &str = "events_unwritten";
/// Losses that are counted outside the packet path.
pub const OTHER_LOSSES: [&str; 5] =
    [EVENTS, EVENTS_UNWRITTEN, "late_attempts", "targets_shed", "windows_forgotten"];

/// Acts that were judged by source and found no attack: name in the report, counter in the store.
const NOT_JUDGED: [(&str, &str); 3] = [
    ("contacts", "not_judged_contacts"),
    ("flood_seconds", "not_judged_flood_seconds"),
    ("logins", "not_judged_logins"),
];

/// The counter behind a row of what was not judged.
pub fn not_judged_counter(name: &str) -> Option<&'static str> {
    NOT_JUDGED.iter().find(|(told, _)| *told == name).map(|(_, counter)| *counter)
}

/// Less of a step observed than this breaks a comparison with others.
pub const COVERED_MIN: f64 = 0.9;

/// Countries whose share is told with its interval, the largest: each is a bootstrap over all sources.
const INTERVALS_MAX: usize = 10;

/// Adds up the store for a span, for one site or all. `fallback` is what made the numbers where the store does not tell.
pub fn build(
    store: &Store,
    span: &Span,
    site: Option<&str>,
    fallback: &Provenance,
) -> Result<Report, ReportError> {
    let kept = rollup::finest(store.connection(), span).map_err(store.wrap())?;
    let refused = || ReportError::RolledUp { span: span.name.clone(), kept: kept.name() };
    let span = &span.told_by(kept).ok_or_else(refused)?;
    let asked = (store, span, site);
    let regimes = regimes::read(store, span, site)?;
    let provenance = regimes.last().map_or(fallback, |regime| &regime.way.provenance);
    let watch = query::watch(store, span)?;
    let mut counters = query::counters(store, span)?;
    let mut readings = reading::take(&mut counters);
    readings.retain(|row| site.is_none_or(|site| site == row.site));
    let mut tables = Tables::default();
    tables.rhythm = week(kept, span, &watch);
    query::each_row(store, span, site, |row| tables.add(row, span))?;
    let observed = watch.values().sum::<i64>() / MICROS_PER_SEC;
    let seconds = (span.to.0 - span.from.0) * 3_600;
    let declared = provenance.home_declared;
    let distinct = distinct::all(store, span, site)?;
    let rows = tables.rows(&distinct, declared);
    let headline = headline(span, &tables, &rows.countries, (seconds, observed), provenance);
    let mut report = Report {
        schema_version: SCHEMA_VERSION,
        gatewatch_version: provenance.version.clone(),
        period: period(span, (seconds, observed)),
        open: false,
        site: site.map(str::to_owned),
        definition: DEFINITION,
        totals: totals(asked, &tables, &distinct, &counters)?,
        headline,
        by_site: tables.by_site.parts(&rows.sites),
        sites: rows.sites,
        origins: rows.countries,
        sectors: rows.sectors,
        labels: rows.labels,
        classes: rows.classes,
        grades: rows.grades,
        units: tables.units.parts(),
        readings,
        series: series(asked, &tables.steps, &watch, &regimes)?,
        rhythm: tables.rhythm,
        trend: trend::read(asked, declared)?,
        incidents: incidents::read(store, span, site)?,
        campaigns: campaigns::read(store, span, site)?,
        regimes: regimes::rows(&regimes),
        losses: losses(&counters),
        not_judged: not_judged(&counters),
        counters: without_losses(counters),
        likely_false_alarms: doubtful::read(store, span, site)?,
        home: provenance.home.clone(),
        databases: databases(&regimes, fallback),
        detectors: Detectors { set_hash: provenance.detector_set.clone() },
        config_hash: provenance.config_hash.clone(),
        addresses: provenance.privacy.clone(),
        public_sources_min: None,
        merged: None,
        repairs: repair::of_span(store, span)?,
        corrects: None,
        previous_sha256: None,
        zone: Zone::default(),
    };
    spread_out(&mut report, asked, provenance)?;
    report.headline.database_age_days =
        regimes.last().and_then(|regime| regime.way.provenance.deciding()?.age_days(regime.last.end()));
    report.origins.extend(networks::read(store, span, site)?);
    report.headline.lower_bound = report.losses.iter().any(|(name, count)| *count > 0 && is_loss(name));
    report.headline.text = sentence::headline(&report, span);
    Ok(report)
}

/// The week with what was observed of it, where the span is one at least and its hours are kept.
fn week(kept: PeriodKind, span: &Span, watch: &BTreeMap<Hour, i64>) -> Option<Rhythm> {
    if kept != PeriodKind::Hour || span.to.0 - span.from.0 < rhythm::HOURS_MIN {
        return None;
    }
    let mut week = Rhythm::default();
    for (hour, micros) in watch {
        week.add_observed(*hour, *micros);
    }
    Some(week)
}

fn period(span: &Span, (seconds, observed): (i64, i64)) -> PeriodPart {
    PeriodPart {
        name: span.name.clone(),
        kind: span.kind.map_or("range", PeriodKind::name),
        from: rfc3339(span.from.start()),
        to: rfc3339(span.to.start()),
        coverage: Coverage {
            seconds,
            seconds_observed: observed,
            share: share(observed.unsigned_abs(), seconds.unsigned_abs()),
        },
    }
}

fn totals(
    (store, span, _): (&Store, &Span, Option<&str>),
    tables: &Tables,
    distinct: &Distinct,
    counters: &BTreeMap<String, u64>,
) -> Result<Totals, ReportError> {
    let distinct = distinct.by(Dimension::Total);
    let unnamed = has_unnamed(store, span)?;
    let spilled = counters.get("sources_spilled").is_some_and(|count| *count > 0);
    let those = |units: &[(bool, &'static str)]| -> Vec<&'static str> {
        units.iter().filter_map(|(holds, unit)| holds.then_some(*unit)).collect()
    };
    Ok(Totals {
        packets: counters.get("frames_received").copied().unwrap_or(0),
        attempts: tables.totals.attempts,
        interval: None,
        sessions: tables.totals.sessions,
        incidents: tables.totals.incidents,
        campaigns: distinct.campaigns(""),
        sources: distinct.sources(""),
        lower_bounds: those(&[(unnamed, "campaigns"), (spilled, "sources")]),
        estimates: those(&[(distinct.estimated && distinct.sources("").is_some(), "sources")]),
    })
}

/// Every database that counted, the latest first; each once.
pub fn databases(regimes: &[Regime], fallback: &Provenance) -> Vec<Database> {
    let used = regimes.iter().rev().flat_map(|regime| &regime.way.provenance.databases);
    let mut found: Vec<Database> = Vec::new();
    for database in used {
        if !found.iter().any(|known| known.sha256 == database.sha256) {
            found.push(database.clone());
        }
    }
    if regimes.is_empty() { fallback.databases.clone() } else { found }
}

/// Fills in how far the numbers may be off, on whom they rest, and what they would be by chance.
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
    if !span.days().is_some_and(Days::are_whole) {
        // What sources sent is kept by days.
        return Ok(());
    }
    let declared = provenance.home_declared;
    let headline = &mut report.headline;
    let country = headline.top_country.as_ref().map(|top| top.code.clone());
    headline.dominance =
        dominance::read(store, span, site, (headline.attempts, country.as_deref(), declared))?;
    let shares = Shares::read(store, span, site, declared)?;
    if let (Some(top), Some(country)) = (&mut headline.top_country, &country) {
        top.interval = shares.interval(country);
        headline.agreement = dominance::agreement(store, span, site, (country, declared))?;
    }
    for row in report.origins.iter_mut().filter(|row| row.share.is_some()).take(INTERVALS_MAX) {
        row.interval = shares.interval(&row.code);
    }
    Ok(())
}

/// RFC 3339 without a fraction.
pub fn rfc3339(time: Timestamp) -> String {
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
    let is_not_judged = |name: &str| NOT_JUDGED.iter().any(|(_, counter)| *counter == name);
    let is_other = |name: &str| !is_loss(name) && !OTHER_LOSSES.contains(&name) && !is_not_judged(name);
    counters.into_iter().filter(|(name, _)| is_other(name)).collect()
}

/// What was watched and found no attack, zeros included.
fn not_judged(counters: &BTreeMap<String, u64>) -> BTreeMap<String, u64> {
    let count = |counter: &str| counters.get(counter).copied().unwrap_or(0);
    NOT_JUDGED.iter().map(|(name, counter)| ((*name).to_owned(), count(counter))).collect()
}

/// Every loss, zeros included, so that "nothing was lost" is said and not left out.
fn losses(counters: &BTreeMap<String, u64>) -> BTreeMap<String, u64> {
    let known = crate::model::progress::COUNTERS.iter().map(|row| row.name).filter(|name| is_loss(name));
    known
        .chain(OTHER_LOSSES)
        .map(|name| (name.to_owned(), counters.get(name).copied().unwrap_or(0)))
        .collect()
}

fn headline(
    span: &Span,
    tables: &Tables,
    origins: &[OriginRow],
    (seconds, observed): (i64, i64),
    provenance: &Provenance,
) -> Headline {
    let (declared, totals) = (provenance.home_declared, &tables.totals);
    let second = &tables.second;
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
        dominance: Dominance::default(),
        agreement: None,
        database_age_days: None,
        second_opinion: (second.headline > 0).then(|| SecondOpinion {
            compared: second.headline,
            disputed: second.headline_disputed,
            agreement: share(second.headline - second.headline_disputed, second.headline),
        }),
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

fn series(
    (store, span, site): (&Store, &Span, Option<&str>),
    counts: &BTreeMap<Hour, Counts>,
    watch: &BTreeMap<Hour, i64>,
    regimes: &[Regime],
) -> Result<Vec<Step>, ReportError> {
    let kind = span.step();
    let mut step = Period::containing(kind, span.from.start());
    let mut steps = Vec::new();
    while step.first_hour() < span.to {
        let micros: i64 = watch.range(step.first_hour()..step.end_hour()).map(|(_, micros)| *micros).sum();
        let distinct = distinct::total(store, &Span::of(step), site)?;
        let seconds_observed = micros / MICROS_PER_SEC;
        steps.push(Step {
            period: step.to_string(),
            seconds_observed,
            counts: counts.get(&step.first_hour()).copied().unwrap_or_default(),
            campaigns: distinct.campaigns(""),
            sources: distinct.sources(""),
            breaks: breaks(step, regimes.iter().map(|regime| &regime.way), seconds_observed),
        });
        step = step.next();
    }
    Ok(steps)
}

/// What keeps a period from being compared with others: what changed in it of how is counted, and how little was seen.
pub fn breaks<'w>(
    period: Period,
    ways: impl Iterator<Item = &'w Way> + Clone,
    seconds_observed: i64,
) -> Vec<&'static str> {
    let mut breaks = regimes::changes_in(ways, period);
    let seconds = (period.end_hour().0 - period.first_hour().0) * 3_600;
    if share(seconds_observed.unsigned_abs(), seconds.unsigned_abs()) < COVERED_MIN {
        breaks.push("coverage");
    }
    breaks
}
