//! How much a headline rests on a few: its largest source, system and campaign, and whether other units tell the same story.

use rusqlite::{OptionalExtension, params};
use serde::Serialize;

use crate::report::ReportError;
use crate::report::span::Span;
use crate::report::store::Store;
use crate::report::summary::share;

/// Shares by different units that differ by more than this do not tell the same story.
const APART: f64 = 0.10;

/// The largest of its kind in the headline.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct Top {
    /// The source key, `AS64500`, or the number of a campaign.
    pub id: String,
    /// Its name, where it has one: country of a source, organisation of a system, first rule of a campaign.
    pub name: String,
    /// Its attempts in the headline.
    pub attempts: u64,
    /// Its part of all attempts in the headline, 0 to 1.
    pub share: f64,
}

/// The largest of each kind; none where nothing of the kind is known.
#[derive(Clone, Debug, Default, Serialize)]
pub struct Dominance {
    /// The source with most attempts.
    pub source: Option<Top>,
    /// The autonomous system.
    pub system: Option<Top>,
    /// The campaign.
    pub campaign: Option<Top>,
    /// The share of the top country without the attempts of the largest campaign.
    pub share_without_campaign: Option<f64>,
}

/// The share of the top country by each unit.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct Agreement {
    /// By attempts.
    pub attempts: f64,
    /// By incidents.
    pub incidents: f64,
    /// By distinct sources; none where some of their addresses are gone.
    pub sources: Option<f64>,
    /// Whether they lie within ten points of each other.
    pub agree: bool,
}

const SOURCE: &str = "SELECT source, max(place), sum(attempts) AS n FROM source_day
     WHERE headline AND source <> '' AND day >= ?1 AND day < ?2 AND (?3 IS NULL OR site = ?3)
     GROUP BY source ORDER BY n DESC, source LIMIT 1";
const SYSTEM: &str =
    "SELECT 'AS' || asn, coalesce((SELECT org FROM system s WHERE s.asn = d.asn), ''), sum(attempts) AS n
     FROM source_day d WHERE headline AND asn >= 0 AND day >= ?1 AND day < ?2 AND (?3 IS NULL OR site = ?3)
     GROUP BY asn ORDER BY n DESC, asn LIMIT 1";
const CAMPAIGN: &str = "SELECT printf('%016x', d.campaign), coalesce((SELECT rule FROM campaign c WHERE c.id = d.campaign), ''),
     sum(attempts) AS n
     FROM source_day d WHERE headline AND campaign <> 0 AND day >= ?1 AND day < ?2 AND (?3 IS NULL OR site = ?3)
     GROUP BY campaign ORDER BY n DESC, campaign LIMIT 1";

/// The largest of each kind among `all` attempts in the headline. The span is made of whole days.
pub fn read(
    store: &Store,
    span: &Span,
    site: Option<&str>,
    (all, country, declared): (u64, Option<&str>, bool),
) -> Result<Dominance, ReportError> {
    let top = |sql: &str| -> rusqlite::Result<Option<Top>> {
        let mut statement = store.connection().prepare_cached(sql)?;
        let found = statement.query_row(params![span.from.0, span.to.0, site], |row| {
            let attempts = row.get::<_, i64>(2)?.unsigned_abs();
            Ok(Top { id: row.get(0)?, name: row.get(1)?, attempts, share: share(attempts, all) })
        });
        found.optional()
    };
    let read = || -> rusqlite::Result<Dominance> {
        let campaign = top(CAMPAIGN)?;
        let share_without_campaign = match (&campaign, country) {
            (Some(campaign), Some(country)) => without(store, span, site, (&campaign.id, country, declared))?,
            _ => None,
        };
        Ok(Dominance { source: top(SOURCE)?, system: top(SYSTEM)?, campaign, share_without_campaign })
    };
    read().map_err(store.wrap())
}

/// Condition for the base of a share: overseas attempts, or all located ones where no home is declared.
pub const IN_BASE: &str =
    "headline AND (sector = 'overseas' OR ?4 = 0 AND sector IN ('domestic', 'located'))";

fn without(
    store: &Store,
    span: &Span,
    site: Option<&str>,
    (campaign, country, declared): (&str, &str, bool),
) -> rusqlite::Result<Option<f64>> {
    let mut statement = store.connection().prepare_cached(&format!(
        "SELECT coalesce(sum(CASE WHEN place = ?5 THEN attempts END), 0), coalesce(sum(attempts), 0) FROM source_day
         WHERE {IN_BASE} AND printf('%016x', campaign) <> ?6 AND day >= ?1 AND day < ?2 AND (?3 IS NULL OR site = ?3)"
    ))?;
    let (part, rest) = statement
        .query_row(params![span.from.0, span.to.0, site, declared, country, campaign], |row| {
            Ok((row.get::<_, i64>(0)?.unsigned_abs(), row.get::<_, i64>(1)?.unsigned_abs()))
        })?;
    Ok((rest > 0).then(|| share(part, rest)))
}

/// The share of `country` by attempts, incidents and sources.
pub fn agreement(
    store: &Store,
    span: &Span,
    site: Option<&str>,
    (country, declared): (&str, bool),
) -> Result<Option<Agreement>, ReportError> {
    let read = || -> rusqlite::Result<Option<Agreement>> {
        let mut statement = store.connection().prepare_cached(&format!(
            "SELECT coalesce(sum(attempts * here), 0), coalesce(sum(attempts), 0),
                 coalesce(sum(incidents * here), 0), coalesce(sum(incidents), 0),
                 count(DISTINCT CASE WHEN here THEN nullif(source, '') END), count(DISTINCT nullif(source, '')),
                 coalesce(max(source = ''), 0)
             FROM (SELECT *, place = ?5 AS here FROM source_day
                 WHERE {IN_BASE} AND day >= ?1 AND day < ?2 AND (?3 IS NULL OR site = ?3))"
        ))?;
        statement.query_row(params![span.from.0, span.to.0, site, declared, country], |row| {
            let count = |at| row.get::<_, i64>(at).map(i64::unsigned_abs);
            if count(1)? == 0 || count(3)? == 0 {
                return Ok(None);
            }
            let (attempts, incidents) = (share(count(0)?, count(1)?), share(count(2)?, count(3)?));
            let sources = if row.get::<_, bool>(6)? { None } else { Some(share(count(4)?, count(5)?)) };
            let all = [Some(attempts), Some(incidents), sources];
            let known = || all.iter().flatten().copied();
            let spread = known().fold(0.0, f64::max) - known().fold(1.0, f64::min);
            Ok(Some(Agreement { attempts, incidents, sources, agree: spread <= APART }))
        })
    };
    read().map_err(store.wrap())
}
