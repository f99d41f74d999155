//! Likely false alarms of a span: endpoints where a rule hits many clients that do nothing else and are served.

use rusqlite::params;
use serde::Serialize;

use crate::report::ReportError;
use crate::report::span::Span;
use crate::report::store::Store;

/// Otherwise clean clients in one day from which on an endpoint is listed.
const CLEAN_MIN: i64 = 10;
/// Endpoints listed.
const LISTED_MAX: i64 = 20;

/// An endpoint to look at.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct Doubtful {
    /// Site.
    pub site: String,
    /// Path of the requests.
    pub path: String,
    /// Where in the request the rule hits: `query:id`, `path`, …
    pub place: String,
    /// The rule.
    pub rule: String,
    /// Attempts counted there.
    pub attempts: u64,
    /// Most clients in one day that did nothing else.
    pub clean_sources: u64,
    /// The exception to paste into the settings, if they are none.
    pub exception: String,
}

/// The endpoints of a span, those with most clients first.
pub fn read(store: &Store, span: &Span, site: Option<&str>) -> Result<Vec<Doubtful>, ReportError> {
    if !store.has_table("endpoint_day") {
        return Ok(Vec::new());
    }
    let read = || -> rusqlite::Result<Vec<Doubtful>> {
        let mut statement = store.connection().prepare_cached(
            "SELECT site, path, place, rule, sum(attempts), max(clean_sources) FROM endpoint_day
             WHERE day >= ?1 AND day < ?2 AND (?3 IS NULL OR site = ?3) GROUP BY site, path, place, rule
             HAVING max(clean_sources) >= ?4 AND sum(answered) * 2 >= sum(attempts)
             ORDER BY max(clean_sources) DESC, sum(attempts) DESC, site, path, place, rule LIMIT ?5",
        )?;
        statement
            .query_map(params![span.from.0, span.to.0, site, CLEAN_MIN, LISTED_MAX], |row| {
                let text = |at| row.get::<_, String>(at);
                let (site, path, place, rule) = (text(0)?, text(1)?, text(2)?, text(3)?);
                Ok(Doubtful {
                    exception: exception(&site, &path, &place, &rule),
                    site,
                    path,
                    place,
                    rule,
                    attempts: row.get::<_, i64>(4)?.unsigned_abs(),
                    clean_sources: row.get::<_, i64>(5)?.unsigned_abs(),
                })
            })?
            .collect()
    };
    read().map_err(store.wrap())
}

/// The table of the settings that excepts it.
fn exception(site: &str, path: &str, place: &str, rule: &str) -> String {
    // TOML's basic strings take JSON's escapes.
    let quoted = |text: &str| serde_json::Value::from(text).to_string();
    let parameter =
        place.split_once(':').map_or_else(String::new, |(_, name)| format!("parameter = {}\n", quoted(name)));
    format!(
        "[[detect.exception]]\nsite = {}\npath = {}\n{parameter}rule = {}\n",
        quoted(site),
        quoted(path),
        quoted(rule)
    )
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_exception_is_one_that_the_settings_take() {
        let text = exception("www", "/a \"b\"\\c", "query:x", "sqli.union");
        let settings: crate::config::Settings = toml::from_str(&text).unwrap();
        let exception = &settings.detect.exception[0];
        assert_eq!(exception.path.as_deref(), Some("/a \"b\"\\c"));
        assert_eq!(exception.parameter.as_deref(), Some("x"));
        let settings: crate::config::Settings =
            toml::from_str(&super::exception("www", "/", "path", "lfi.climb")).unwrap();
        assert_eq!(settings.detect.exception[0].parameter, None);
    }
}
