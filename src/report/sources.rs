//! `sources-<day>.csv`: one row a source, class, grade and site.

use std::path::Path;

use rusqlite::params;

use crate::model::period::{Period, PeriodKind};
use crate::model::time::Timestamp;
use crate::report::csv::Table;
use crate::report::store::Store;
use crate::report::{ReportError, files};

/// The header that the contract fixes.
const HEADER: [&str; 10] =
    ["src", "country", "asn", "grade", "class", "site", "attempts", "incidents", "first_seen", "last_seen"];

/// Writes the file of a day and gives its name; a day without sources gets none.
pub fn write(store: &Store, folder: &Path, day: Period) -> Result<Option<String>, ReportError> {
    debug_assert_eq!(day.kind(), PeriodKind::Day);
    let mut table = Table::new(&HEADER);
    let read = |table: &mut Table| -> rusqlite::Result<usize> {
        let mut statement = store.connection().prepare_cached(
            "SELECT source, place, asn, grade, class, site, sum(attempts), sum(incidents), min(first), max(last)
             FROM source_day WHERE day = ?1 GROUP BY source, place, asn, grade, class, site
             ORDER BY sum(attempts) DESC, source, class, site, grade",
        )?;
        let mut rows = statement.query(params![day.first_hour().0])?;
        let mut count = 0;
        while let Some(row) = rows.next()? {
            let asn: i64 = row.get(2)?;
            let time = |at| row.get(at).map(|micros| Timestamp(micros).to_string());
            table.row(&[
                row.get::<_, String>(0)?,
                row.get::<_, String>(1)?,
                if asn < 0 { String::new() } else { asn.to_string() },
                row.get::<_, String>(3)?,
                row.get::<_, String>(4)?,
                row.get::<_, String>(5)?,
                row.get::<_, i64>(6)?.to_string(),
                row.get::<_, i64>(7)?.to_string(),
                time(8)?,
                time(9)?,
            ]);
            count += 1;
        }
        Ok(count)
    };
    if read(&mut table).map_err(store.wrap())? == 0 {
        return Ok(None);
    }
    let name = format!("sources-{day}.csv");
    files::write_whole(folder, &name, table.into_text().as_bytes())?;
    Ok(Some(name))
}
