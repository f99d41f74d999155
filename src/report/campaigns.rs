//! Campaigns of a span: incidents that share a fingerprint.

use rusqlite::params;
use serde::Serialize;

use crate::model::time::Timestamp;
use crate::report::ReportError;
use crate::report::span::{Days, Span};
use crate::report::store::Store;

/// Campaigns printed.
const ROWS_MAX: i64 = 20;

/// One campaign.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct CampaignRow {
    /// Its number, 16 hexadecimal digits.
    pub id: String,
    /// Class of the attempts that begin its incidents.
    pub class: String,
    /// Their first rule.
    pub rule: String,
    /// What the clients say they are, numbers left out.
    pub client: String,
    /// What they send, numbers left out.
    pub payload: String,
    /// Attempts of its incidents.
    pub attempts: u64,
    /// Those in the headline.
    pub headline_attempts: u64,
    /// Its part of all attempts, 0 to 1.
    pub share: f64,
    /// Its incidents.
    pub incidents: u64,
    /// Distinct sources, at least.
    pub sources: u64,
    /// Distinct countries.
    pub countries: u64,
    /// Distinct sites.
    pub sites: u64,
    /// First attempt, RFC 3339.
    pub first_seen: String,
    /// Last attempt, RFC 3339.
    pub last_seen: String,
}

/// The largest campaigns of a span.
pub fn read(store: &Store, span: &Span, site: Option<&str>) -> Result<Vec<CampaignRow>, ReportError> {
    if !span.days().is_some_and(Days::are_whole) {
        return Ok(Vec::new());
    }
    let read = || -> rusqlite::Result<Vec<CampaignRow>> {
        let mut statement = store.connection().prepare_cached(
            "SELECT campaign, coalesce(c.class, ''), coalesce(rule, ''), coalesce(client, ''), coalesce(payload, ''),
             sum(attempts) AS attempts, sum(attempts * headline), sum(incidents),
             count(DISTINCT nullif(source, '')), count(DISTINCT place), count(DISTINCT site),
             min(first), max(last), sum(sum(attempts)) OVER ()
             FROM source_day LEFT JOIN campaign c ON c.id = campaign
             WHERE day >= ?1 AND day < ?2 AND (?3 IS NULL OR site = ?3) GROUP BY campaign
             ORDER BY campaign = 0, attempts DESC, campaign LIMIT ?4",
        )?;
        let rows = statement.query_map(params![span.from.0, span.to.0, site, ROWS_MAX], |row| {
            let count = |at| row.get::<_, i64>(at).map(i64::unsigned_abs);
            let time = |at| row.get(at).map(|micros| Timestamp(micros).to_string());
            let attempts = count(5)?;
            Ok(CampaignRow {
                id: format!("{:016x}", count(0)?),
                class: row.get(1)?,
                rule: row.get(2)?,
                client: row.get(3)?,
                payload: row.get(4)?,
                attempts,
                headline_attempts: count(6)?,
                share: crate::report::summary::share(attempts, count(13)?),
                incidents: count(7)?,
                sources: count(8)?,
                countries: count(9)?,
                sites: count(10)?,
                first_seen: time(11)?,
                last_seen: time(12)?,
            })
        })?;
        // Attempts whose campaign was not kept (an old store, a day with too many sources) are no campaign.
        rows.filter(|row| row.as_ref().map_or(true, |row| row.id.bytes().any(|digit| digit != b'0')))
            .collect()
    };
    read().map_err(store.wrap())
}
