//! What earlier runs left for the next: identities, incidents, event files, hours, the key of pseudonyms.

use std::sync::Arc;

use rusqlite::params;

use crate::model::attempt::AttemptId;
use crate::model::class::Class;
use crate::model::place::SourceKey;
use crate::model::pseudonym::MonthKey;
use crate::model::time::{Hour, Timestamp};
use crate::report::store::{IDENTITY_BYTES, Store};
use crate::report::{ReportError, incidents};
use crate::tally::{CampaignId, OpenIncident};

/// Where the key of pseudonyms lies among the remembered values, and the month it is of.
const MONTH_KEY: &str = "month_key";
const MONTH_KEY_OF: &str = "month_key_of";

impl Store {
    /// The key of pseudonyms, made where there is none yet.
    pub fn month_key(&self) -> Result<MonthKey, ReportError> {
        if self.meta(MONTH_KEY)?.is_none() {
            self.connection
                .execute("INSERT INTO meta VALUES (?1, hex(randomblob(32)))", [MONTH_KEY])
                .map_err(self.wrap())?;
        }
        let key: Vec<u8> = self
            .connection
            .query_row("SELECT unhex(value) FROM meta WHERE key = ?1", [MONTH_KEY], |row| row.get(0))
            .map_err(self.wrap())?;
        let month = self.meta(MONTH_KEY_OF)?.and_then(|text| text.parse().ok());
        Ok(MonthKey { month, key: key.try_into().unwrap_or_default() })
    }

    /// The key of pseudonyms where there is one in use.
    pub fn known_month_key(&self) -> Option<MonthKey> {
        self.meta(MONTH_KEY_OF).ok().flatten()?;
        self.month_key().ok()
    }

    /// Replaces the key of pseudonyms; the one before is overwritten.
    pub fn set_month_key(&self, key: &MonthKey) -> Result<(), ReportError> {
        let Some(month) = key.month else { return Ok(()) };
        self.set_meta(MONTH_KEY_OF, &month.to_string())?;
        self.connection
            .execute("UPDATE meta SET value = hex(?2) WHERE key = ?1", params![MONTH_KEY, key.key])
            .map_err(self.wrap())?;
        Ok(())
    }

    /// The spans of time that were observed, in order.
    pub fn spans(&self) -> Result<Vec<(Timestamp, Timestamp)>, ReportError> {
        let read = || -> rusqlite::Result<Vec<(Timestamp, Timestamp)>> {
            let mut statement = self.connection.prepare("SELECT first, last FROM span ORDER BY first")?;
            statement.query_map([], |row| Ok((Timestamp(row.get(0)?), Timestamp(row.get(1)?))))?.collect()
        };
        read().map_err(self.wrap())
    }

    /// Incidents whose last attempt lies at most `gap_micros` before the newest of all.
    pub fn open_incidents(&self, gap_micros: i64) -> Result<Vec<OpenIncident>, ReportError> {
        let read = || -> rusqlite::Result<Vec<OpenIncident>> {
            // Of the two days that can hold them; with max() the other columns are those of the row that has it.
            let mut statement = self.connection.prepare(
                "SELECT source, class, site, max(last), campaign FROM source_day
                 WHERE day >= (SELECT max(day) FROM source_day) - 24 AND source <> ''
                 AND last >= (SELECT max(last) FROM source_day) - ?1 GROUP BY source, class, site",
            )?;
            let mut rows = statement.query([gap_micros])?;
            let mut found = Vec::new();
            while let Some(row) = rows.next()? {
                let (source, class): (String, String) = (row.get(0)?, row.get(1)?);
                let Some(source) = SourceKey::from_text(&source) else { continue };
                let Some(class) = Class::from_id(&class) else { continue };
                let campaign = CampaignId(row.get::<_, i64>(4)?.unsigned_abs());
                let site: Arc<str> = row.get::<_, String>(2)?.into();
                let last = Timestamp(row.get(3)?);
                let so_far = incidents::so_far(self, (source, class, &site), last)?;
                found.push(OpenIncident { source, class, site, last, campaign, so_far });
            }
            Ok(found)
        };
        read().map_err(self.wrap())
    }

    /// The event files and how much of each belongs to what was committed.
    pub fn event_files(&self) -> Result<Vec<(String, u64)>, ReportError> {
        let read = || -> rusqlite::Result<Vec<(String, u64)>> {
            let mut statement =
                self.connection.prepare("SELECT name, length FROM event_file ORDER BY name")?;
            statement.query_map([], |row| Ok((row.get(0)?, row.get::<_, i64>(1)?.unsigned_abs())))?.collect()
        };
        read().map_err(self.wrap())
    }

    /// Forgets an event file that was compressed or removed.
    pub fn forget_event_file(&self, name: &str) -> Result<(), ReportError> {
        self.connection.execute("DELETE FROM event_file WHERE name = ?1", [name]).map_err(self.wrap())?;
        Ok(())
    }

    /// The newest identities, `limit` at most, oldest first.
    pub fn identities(&self, limit: usize) -> Result<Vec<(AttemptId, i64)>, ReportError> {
        let read = || -> rusqlite::Result<Vec<(AttemptId, i64)>> {
            let mut statement = self.connection.prepare("SELECT ids FROM seen ORDER BY batch DESC")?;
            let mut rows = statement.query([])?;
            let mut found = Vec::new();
            while found.len() < limit
                && let Some(row) = rows.next()?
            {
                let blob: Vec<u8> = row.get(0)?;
                found.extend(blob.chunks_exact(IDENTITY_BYTES).rev().filter_map(|bytes| {
                    let (id, second) = bytes.split_first_chunk::<8>()?;
                    Some((AttemptId(u64::from_be_bytes(*id)), i64::from_be_bytes(second.try_into().ok()?)))
                }));
            }
            found.truncate(limit);
            found.reverse();
            Ok(found)
        };
        read().map_err(self.wrap())
    }

    /// Every hour that holds counts or was watched.
    pub fn hours(&self) -> Result<Vec<Hour>, ReportError> {
        self.hours_of("SELECT hour FROM watch UNION SELECT DISTINCT hour FROM tally ORDER BY 1")
    }

    /// Every hour that holds counts of attempts or of packets.
    pub fn busy_hours(&self) -> Result<Vec<Hour>, ReportError> {
        self.hours_of("SELECT DISTINCT hour FROM counter UNION SELECT DISTINCT hour FROM tally ORDER BY 1")
    }

    fn hours_of(&self, query: &str) -> Result<Vec<Hour>, ReportError> {
        let read = || -> rusqlite::Result<Vec<Hour>> {
            let mut statement = self.connection.prepare(query)?;
            statement.query_map([], |row| Ok(Hour(row.get(0)?)))?.collect()
        };
        read().map_err(self.wrap())
    }
}
