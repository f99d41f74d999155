//! A report for the public: no address, no text that an attacker wrote, no row that rests on a few sources.

use crate::report::by_site;
use crate::report::shape::{OriginRow, Report};

/// Code of the row that small ones are put together in.
const SMALL: &str = "small";

/// Takes out of a report what the public must not be told. Rows of fewer than `sources_min` sources, or of sources that are not
/// told, are one row; sums stay.
pub fn redact(report: &mut Report, sources_min: u64) {
    report.public_sources_min = Some(sources_min);
    report.origins.retain(|row| row.kind != "prefix");
    for kind in ["country", "as", "infrastructure", "registered"] {
        fold_small(&mut report.origins, kind, sources_min);
    }
    let countries: Vec<String> =
        report.origins.iter().filter(|row| row.kind == "country").map(|row| row.code.clone()).collect();
    for unit in &mut report.units {
        unit.fold_origins(SMALL, |code| countries.iter().any(|kept| kept == code));
    }
    by_site::fold_origins(&mut report.by_site, SMALL, |code| countries.iter().any(|kept| kept == code));
    let is_small = |sources: Option<u64>| sources.is_none_or(|sources| sources < sources_min);
    let headline = &mut report.headline;
    let small_top = headline
        .top_country
        .as_ref()
        .is_some_and(|top| !report.origins.iter().any(|row| row.kind == "country" && row.code == top.code));
    if small_top {
        headline.top_country = None;
        headline.agreement = None;
    }
    headline.dominance.source = headline.dominance.source.take().map(|mut top| {
        top.id = "withheld".into();
        top.name = "withheld".into();
        top
    });
    headline.dominance.system = headline
        .dominance
        .system
        .take()
        .filter(|top| report.origins.iter().any(|row| row.kind == "as" && row.code == top.id));
    report.campaigns.retain(|row| !is_small(Some(row.sources)));
    for row in &mut report.campaigns {
        row.client.clear();
        row.payload.clear();
    }
    for row in &mut report.incidents {
        row.source.clear();
        if !countries.contains(&row.place) {
            row.place = SMALL.into();
        }
    }
    report.likely_false_alarms.clear();
}

fn fold_small(origins: &mut Vec<OriginRow>, kind: &'static str, sources_min: u64) {
    let is_small =
        |row: &OriginRow| row.kind == kind && row.sources.is_none_or(|sources| sources < sources_min);
    let mut folded: Option<OriginRow> = None;
    for row in origins.iter().filter(|row| is_small(row)) {
        match &mut folded {
            None => {
                folded = Some(OriginRow {
                    code: SMALL.into(),
                    name: format!("Fewer than {sources_min} sources each"),
                    share: None,
                    interval: None,
                    base_rate: None,
                    campaigns: None,
                    sources: None,
                    disputed: None,
                    ..row.clone()
                });
            }
            Some(sum) => sum.counts.add(row.counts),
        }
    }
    origins.retain(|row| !is_small(row));
    origins.extend(folded);
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::report::shape::Counts;

    #[test]
    fn rows_of_a_few_sources_are_one_row_and_the_sum_stays() {
        let row = |kind, code: &str, attempts, sources| OriginRow {
            kind,
            code: code.into(),
            name: code.into(),
            counts: Counts { attempts, ..Counts::default() },
            share: Some(0.5),
            interval: None,
            base_rate: None,
            campaigns: None,
            sources,
            disputed: None,
        };
        let mut origins = vec![
            row("country", "US", 50, Some(9)),
            row("country", "LI", 3, Some(1)),
            row("country", "VA", 4, Some(2)),
            row("country", "unknown", 5, None),
            row("as", "AS1", 62, Some(1)),
        ];
        fold_small(&mut origins, "country", 5);
        let rows: Vec<(&str, &str, u64)> =
            origins.iter().map(|row| (row.kind, row.code.as_str(), row.counts.attempts)).collect();
        assert_eq!(rows, [("country", "US", 50), ("as", "AS1", 62), ("country", "small", 12)]);
    }
}
