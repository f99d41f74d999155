//! Each site by itself: which classes it was sent, and from where.

use std::collections::BTreeMap;

use serde::Serialize;

use crate::model::class::Class;
use crate::report::countries;
use crate::report::query::StoreRow;
use crate::report::shape::{Counts, Row, add_to};
use crate::report::units::UnitRow;

/// Countries told of each site; the rest is one row, so that every site sums to its total.
const ORIGINS_MAX: usize = 5;
/// Code of that row.
const OTHERS: &str = "others";

/// One site by itself.
#[derive(Clone, Debug, Serialize)]
pub struct SitePart {
    /// Its name.
    pub site: String,
    /// By class.
    pub classes: Vec<UnitRow>,
    /// By country, the largest.
    pub origins: Vec<UnitRow>,
}

/// Sums by site.
#[derive(Debug, Default)]
pub struct BySite(BTreeMap<String, Sums>);

#[derive(Debug, Default)]
struct Sums {
    classes: BTreeMap<String, Counts>,
    origins: BTreeMap<String, Counts>,
}

impl BySite {
    /// Adds a row of the tally.
    pub fn add(&mut self, row: &StoreRow) {
        if !self.0.contains_key(&row.site) {
            self.0.insert(row.site.clone(), Sums::default());
        }
        let Some(sums) = self.0.get_mut(&row.site) else { return };
        for (table, key) in [(&mut sums.classes, &row.class), (&mut sums.origins, &row.place)] {
            add_to(table, key, row.counts);
        }
    }

    /// What is told, a part a site, in the order of `sites`.
    pub fn parts(mut self, sites: &[Row]) -> Vec<SitePart> {
        let class_title = |id: &str| Class::from_id(id).map_or(id, |class| class.row().title).to_owned();
        let part = |row: &Row| {
            let sums = self.0.remove(&row.id)?;
            Some(SitePart {
                site: row.id.clone(),
                classes: rows(sums.classes, class_title),
                origins: shortened(rows(sums.origins, |code| countries::name(code).to_owned())),
            })
        };
        sites.iter().filter_map(part).collect()
    }
}

/// The rows of a table: those with most in the headline first, then the largest.
fn rows(table: BTreeMap<String, Counts>, title: impl Fn(&str) -> String) -> Vec<UnitRow> {
    let mut rows: Vec<UnitRow> =
        table.into_iter().map(|(id, counts)| UnitRow { title: title(&id), id, counts }).collect();
    let size = |row: &UnitRow| (row.counts.headline_attempts, row.counts.attempts);
    rows.sort_by(|a, b| size(b).cmp(&size(a)).then_with(|| a.id.cmp(&b.id)));
    rows
}

fn shortened(mut rows: Vec<UnitRow>) -> Vec<UnitRow> {
    if rows.len() <= ORIGINS_MAX + 1 {
        return rows;
    }
    let mut others = UnitRow { id: OTHERS.into(), title: "All others".into(), counts: Counts::default() };
    for row in rows.drain(ORIGINS_MAX..) {
        others.counts.add(row.counts);
    }
    rows.push(others);
    rows
}

impl SitePart {
    /// The table whose rows do not sum to the attempts of the site, if any.
    pub fn unreconciled(&self, total: u64) -> Option<(&'static str, u64)> {
        let sum = |rows: &[UnitRow]| rows.iter().map(|row| row.counts.attempts).sum::<u64>();
        [("classes", sum(&self.classes)), ("origins", sum(&self.origins))]
            .into_iter()
            .find(|(_, sum)| *sum != total)
    }
}

/// Puts the countries that are not `kept` together in one row, as a report for the public does.
pub fn fold_origins(parts: &mut [SitePart], code: &str, kept: impl Fn(&str) -> bool) {
    for part in parts {
        let mut small = UnitRow { id: code.to_owned(), title: code.to_owned(), counts: Counts::default() };
        part.origins.retain(|row| {
            let stays = row.id == OTHERS || kept(&row.id);
            if !stays {
                small.counts.add(row.counts);
            }
            stays
        });
        if small.counts != Counts::default() {
            part.origins.push(small);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn parts() -> Vec<SitePart> {
        let mut by_site = BySite::default();
        for (at, place) in ["AT", "BE", "CH", "DE", "ES", "FR", "GB"].into_iter().enumerate() {
            for (site, class) in [("a", "web.sqli"), ("b", "web.xss")] {
                let attempts = at as u64 + 1;
                let counts = Counts { attempts, headline_attempts: attempts, ..Counts::default() };
                by_site.add(&StoreRow {
                    site: site.into(),
                    class: class.into(),
                    place: place.into(),
                    counts,
                    ..StoreRow::default()
                });
            }
        }
        let row = |id: &str| Row {
            id: id.into(),
            title: id.into(),
            counts: Counts::default(),
            campaigns: None,
            sources: None,
        };
        by_site.parts(&[row("b"), row("a"), row("without attempts")])
    }

    #[test]
    fn each_site_sums_to_its_total_by_class_and_by_origin() {
        let parts = parts();
        assert_eq!(parts.iter().map(|part| part.site.as_str()).collect::<Vec<_>>(), ["b", "a"]);
        for part in &parts {
            assert_eq!(part.unreconciled(28), None, "{part:?}");
            assert_eq!(part.classes.len(), 1);
        }
        let origins: Vec<_> =
            parts[0].origins.iter().map(|row| (row.id.as_str(), row.counts.attempts)).collect();
        assert_eq!(origins, [("GB", 7), ("FR", 6), ("ES", 5), ("DE", 4), ("CH", 3), (OTHERS, 3)]);
    }

    #[test]
    fn a_lost_row_is_named() {
        let mut parts = parts();
        parts[0].classes.clear();
        assert_eq!(parts[0].unreconciled(28), Some(("classes", 0)));
    }

    #[test]
    fn small_countries_are_one_row_and_the_sum_stays() {
        let mut parts = parts();
        fold_origins(&mut parts, "small", |code| code == "GB");
        assert_eq!(parts[0].unreconciled(28), None);
        let codes: Vec<_> = parts[0].origins.iter().map(|row| row.id.as_str()).collect();
        assert_eq!(codes, ["GB", OTHERS, "small"]);
    }
}
