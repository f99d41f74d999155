//! Origins finer than countries: autonomous systems, prefixes, infrastructure classes, registered countries.

use rusqlite::functions::FunctionFlags;
use rusqlite::{Connection, params};

use crate::model::origin::Infrastructure;
use crate::model::place::{PrefixLengths, SourcePrefix};
use crate::report::shape::{Counts, OriginRow};
use crate::report::span::{Days, Span};
use crate::report::store::Store;
use crate::report::{ReportError, countries};

/// Rows printed of each kind; the rest is one row, so that every kind sums to the total.
const ROWS_MAX: usize = 50;
/// Code of what no database tells.
pub const NOT_DETERMINED: &str = "not_determined";
/// Prefix lengths that the sources of a store without prefixes get.
const OLD_PREFIXES: PrefixLengths = (24, 48);

/// What sources are grouped by.
struct Kind {
    name: &'static str,
    /// The expression of the store that makes its code.
    code: &'static str,
    /// The one that makes its title.
    title: &'static str,
    /// The name of a code, where the store does not hold it.
    name_of: fn(&str) -> Option<&str>,
}

const KINDS: &[Kind] = &[
    Kind {
        name: "as",
        code: "CASE WHEN asn < 0 THEN '' ELSE 'AS' || asn END",
        title: "coalesce((SELECT org FROM system WHERE system.asn = source_day.asn), '')",
        name_of: |_| None,
    },
    Kind { name: "prefix", code: "prefix", title: "''", name_of: |_| None },
    Kind {
        name: "infrastructure",
        code: "infrastructure",
        title: "''",
        name_of: |code| Infrastructure::from_name(code).map(Infrastructure::title),
    },
    Kind { name: "registered", code: "registered", title: "''", name_of: |code| Some(countries::name(code)) },
];

/// Makes `prefix_of` known to SQLite, for the rows of old stores.
pub fn register(connection: &Connection) -> rusqlite::Result<()> {
    let flags = FunctionFlags::SQLITE_UTF8 | FunctionFlags::SQLITE_DETERMINISTIC;
    connection.create_scalar_function("prefix_of", 1, flags, |context| {
        let source = context.get::<String>(0)?;
        let address = source.strip_suffix("/64").unwrap_or(&source).parse();
        Ok(address.map_or(source, |address| SourcePrefix::of(address, OLD_PREFIXES).to_string()))
    })
}

/// Rows of every kind; each kind sums to the attempts of the span.
pub fn read(store: &Store, span: &Span, site: Option<&str>) -> Result<Vec<OriginRow>, ReportError> {
    let mut all = Vec::new();
    if !span.days().is_some_and(Days::are_whole) {
        return Ok(all);
    }
    for kind in KINDS {
        let rows = of_kind(store, span, site, kind).map_err(store.wrap())?;
        all.extend(shortened(rows));
    }
    Ok(all)
}

fn of_kind(store: &Store, span: &Span, site: Option<&str>, kind: &Kind) -> rusqlite::Result<Vec<OriginRow>> {
    let mut statement = store.connection().prepare_cached(&format!(
        "SELECT {} AS code, max({}), sum(attempts), sum(attempts * headline),
         sum(CASE WHEN headline AND sector = 'overseas' THEN attempts ELSE 0 END), sum(sessions), sum(incidents),
         count(DISTINCT nullif(source, '')), sum(disputed), count(DISTINCT nullif(campaign, 0)), min(source = '')
         FROM source_day
         WHERE day >= ?1 AND day < ?2 AND (?3 IS NULL OR site = ?3) GROUP BY code ORDER BY 3 DESC, 1",
        kind.code,
        kind.title,
    ))?;
    let rows = statement.query_map(params![span.from.0, span.to.0, site], |row| {
        let count = |at| row.get::<_, i64>(at).map(i64::unsigned_abs);
        let code: String = row.get(0)?;
        let (code, name) = if code.is_empty() {
            (NOT_DETERMINED.to_owned(), "Not determined".to_owned())
        } else {
            let stored: String = row.get(1)?;
            let name = (kind.name_of)(&code).map_or(stored, str::to_owned);
            (code, name)
        };
        Ok(OriginRow {
            kind: kind.name,
            code,
            name,
            counts: Counts {
                attempts: count(2)?,
                headline_attempts: count(3)?,
                overseas_attempts: count(4)?,
                sessions: count(5)?,
                incidents: count(6)?,
            },
            share: None,
            interval: None,
            base_rate: None,
            // Of a network whose addresses are gone nothing is told; of one that has some left, at least those.
            sources: (!row.get::<_, bool>(10)?).then_some(count(7)?),
            campaigns: Some(count(9)?),
            disputed: Some(count(8)?),
        })
    })?;
    rows.collect()
}

/// The largest rows, and one for all others; what is not determined keeps its row.
fn shortened(rows: Vec<OriginRow>) -> Vec<OriginRow> {
    let (mut kept, mut rest) = (Vec::new(), None::<OriginRow>);
    for row in rows {
        if kept.len() < ROWS_MAX || row.code == NOT_DETERMINED {
            kept.push(row);
            continue;
        }
        match &mut rest {
            None => rest = Some(OriginRow { code: "others".into(), name: "All others".into(), ..row }),
            Some(rest) => {
                rest.counts.add(row.counts);
                rest.campaigns = None;
                rest.sources = rest.sources.zip(row.sources).map(|(a, b)| a + b);
                rest.disputed = rest.disputed.zip(row.disputed).map(|(a, b)| a + b);
            }
        }
    }
    kept.extend(rest);
    kept
}
