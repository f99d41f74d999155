//! The tally by what one attempt is: a request, a login, a probed port, a second of a flood. Numbers of one unit are never added
//! to those of another but in the total of attempts; within each unit the rows of every table sum to its total.

use std::collections::BTreeMap;

use serde::Serialize;

use crate::model::class::{Class, Unit};
use crate::report::countries;
use crate::report::query::StoreRow;
use crate::report::shape::{Counts, add_to, grade_title};

/// What is told of one unit.
#[derive(Clone, Debug, Serialize)]
pub struct UnitPart {
    /// `request`, `login`, `probe`, `flood_second`.
    pub id: &'static str,
    /// What one attempt is.
    pub title: &'static str,
    /// Its counts.
    #[serde(flatten)]
    pub counts: Counts,
    /// By class.
    pub classes: Vec<UnitRow>,
    /// By site.
    pub sites: Vec<UnitRow>,
    /// By country.
    pub origins: Vec<UnitRow>,
    /// By grade.
    pub grades: Vec<UnitRow>,
}

/// A row of one unit.
#[derive(Clone, Debug, Serialize)]
pub struct UnitRow {
    /// Id: class, site, country code, grade.
    pub id: String,
    /// Title for people.
    pub title: String,
    /// Its counts.
    #[serde(flatten)]
    pub counts: Counts,
}

/// Sums by unit.
#[derive(Debug, Default)]
pub struct Units([Sums; Unit::ALL.len()]);

#[derive(Debug, Default)]
struct Sums {
    counts: Counts,
    classes: BTreeMap<String, Counts>,
    sites: BTreeMap<String, Counts>,
    origins: BTreeMap<String, Counts>,
    grades: BTreeMap<String, Counts>,
}

impl Units {
    /// Adds a row of the tally. A class that this version does not know counts as one of requests.
    pub fn add(&mut self, row: &StoreRow) {
        let unit = Class::from_id(&row.class).map_or(Unit::Request, |class| class.row().unit);
        let Some(sums) = self.0.get_mut(unit as usize) else { return };
        sums.counts.add(row.counts);
        for (table, key) in [
            (&mut sums.classes, &row.class),
            (&mut sums.sites, &row.site),
            (&mut sums.origins, &row.place),
            (&mut sums.grades, &row.grade),
        ] {
            add_to(table, key, row.counts);
        }
    }

    /// What is told, a part a unit, empty ones too.
    pub fn parts(self) -> Vec<UnitPart> {
        let class_title = |id: &str| Class::from_id(id).map_or(id, |class| class.row().title).to_owned();
        let grade = |id: &str| {
            crate::model::grade::Grade::from_name(id)
                .map_or_else(|| id.to_owned(), |grade| grade_title(grade).to_owned())
        };
        Unit::ALL
            .into_iter()
            .zip(self.0)
            .map(|(unit, sums)| UnitPart {
                id: unit.name(),
                title: unit.title(),
                counts: sums.counts,
                classes: rows(sums.classes, class_title),
                sites: rows(sums.sites, str::to_owned),
                origins: rows(sums.origins, |code| countries::name(code).to_owned()),
                grades: rows(sums.grades, grade),
            })
            .collect()
    }
}

/// The rows of a table, the largest first.
fn rows(table: BTreeMap<String, Counts>, title: impl Fn(&str) -> String) -> Vec<UnitRow> {
    let mut rows: Vec<UnitRow> =
        table.into_iter().map(|(id, counts)| UnitRow { title: title(&id), id, counts }).collect();
    rows.sort_by(|a, b| (b.counts.attempts, &a.id).cmp(&(a.counts.attempts, &b.id)));
    rows
}

impl UnitPart {
    /// Whether it is counted apart from the headline: scans and floods.
    pub fn is_apart(&self) -> bool {
        [Unit::FloodSecond, Unit::Probe].iter().any(|unit| unit.name() == self.id)
    }

    /// The table whose rows do not sum to the total of the unit, if any.
    pub fn unreconciled(&self) -> Option<(&'static str, u64)> {
        let sum = |rows: &[UnitRow]| rows.iter().map(|row| row.counts.attempts).sum::<u64>();
        let tables = [
            ("classes", &self.classes),
            ("sites", &self.sites),
            ("origins", &self.origins),
            ("grades", &self.grades),
        ];
        tables
            .into_iter()
            .map(|(name, rows)| (name, sum(rows)))
            .find(|(_, total)| *total != self.counts.attempts)
    }

    /// Puts the countries that are not `kept` together in one row.
    pub fn fold_origins(&mut self, code: &str, kept: impl Fn(&str) -> bool) {
        let mut small = UnitRow { id: code.to_owned(), title: code.to_owned(), counts: Counts::default() };
        self.origins.retain(|row| {
            let stays = kept(&row.id);
            if !stays {
                small.counts.add(row.counts);
            }
            stays
        });
        if small.counts != Counts::default() {
            self.origins.push(small);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn part() -> UnitPart {
        let mut units = Units::default();
        for (class, place, attempts) in
            [("scan.port", "US", 9), ("scan.sweep", "VA", 2), ("scan.port", "LI", 1), ("web.xss", "US", 5)]
        {
            let counts = Counts { attempts, ..Counts::default() };
            units.add(&StoreRow {
                class: class.into(),
                place: place.into(),
                site: "s".into(),
                grade: "E0".into(),
                counts,
                ..StoreRow::default()
            });
        }
        units.parts().remove(Unit::Probe as usize)
    }

    #[test]
    fn a_unit_holds_its_classes_alone_and_its_tables_sum() {
        let part = part();
        assert_eq!((part.id, part.counts.attempts), ("probe", 12));
        let classes: Vec<_> = part.classes.iter().map(|row| (row.id.as_str(), row.counts.attempts)).collect();
        assert_eq!(classes, [("scan.port", 10), ("scan.sweep", 2)]);
        assert_eq!(part.unreconciled(), None);
    }

    #[test]
    fn folded_countries_keep_the_sum_and_a_lost_row_is_named() {
        let mut part = part();
        part.fold_origins("small", |code| code == "US");
        let origins: Vec<_> = part.origins.iter().map(|row| (row.id.as_str(), row.counts.attempts)).collect();
        assert_eq!(origins, [("US", 9), ("small", 3)]);
        assert_eq!(part.unreconciled(), None);
        part.sites.clear();
        assert_eq!(part.unreconciled(), Some(("sites", 0)));
    }
}
