//! The tally of a span, added up by everything that a report has a table of.

use std::collections::{BTreeMap, BTreeSet};

use crate::model::class::Class;
use crate::model::grade::Grade;
use crate::model::period::Period;
use crate::model::place::Sector;
use crate::model::time::Hour;
use crate::report::by_site::BySite;
use crate::report::countries;
use crate::report::distinct::{Dimension, Distinct, Told};
use crate::report::query::{Second, StoreRow};
use crate::report::rhythm::Rhythm;
use crate::report::shape::{Counts, OriginRow, Row, add_to, grade_title, sector_title};
use crate::report::span::Span;
use crate::report::summary::share;
use crate::report::units::Units;

/// Sums of a span.
#[derive(Default)]
pub struct Tables {
    pub totals: Counts,
    pub second: Second,
    pub units: Units,
    pub by_site: BySite,
    /// By hour of the week, where it is told.
    pub rhythm: Option<Rhythm>,
    sites: BTreeMap<String, Counts>,
    classes: BTreeMap<String, Counts>,
    grades: BTreeMap<String, Counts>,
    sectors: BTreeMap<String, Counts>,
    labels: BTreeMap<String, Counts>,
    places: BTreeMap<String, (Counts, Second)>,
    /// By the first hour of each step of the series.
    pub steps: BTreeMap<Hour, Counts>,
    /// Sites that count in the headline.
    pub headline_sites: BTreeSet<String>,
    /// Headline attempts located in any country.
    pub located: u64,
}

/// The rows of a report, by what they are of.
pub struct Rows {
    pub sites: Vec<Row>,
    pub classes: Vec<Row>,
    pub grades: Vec<Row>,
    pub sectors: Vec<Row>,
    pub labels: Vec<Row>,
    pub countries: Vec<OriginRow>,
}

impl Tables {
    /// Adds a row of the tally.
    pub fn add(&mut self, row: &StoreRow, span: &Span) {
        let step = Period::containing(span.step(), row.hour.start()).first_hour();
        self.totals.add(row.counts);
        self.second.add(row.second);
        self.units.add(row);
        self.by_site.add(row);
        if let Some(rhythm) = &mut self.rhythm {
            rhythm.add(row.hour, row.counts.headline_attempts);
        }
        self.steps.entry(step).or_default().add(row.counts);
        for (table, key) in [
            (&mut self.sites, &row.site),
            (&mut self.classes, &row.class),
            (&mut self.grades, &row.grade),
            (&mut self.sectors, &row.sector),
        ] {
            add_to(table, key, row.counts);
        }
        if !self.places.contains_key(&row.place) {
            self.places.insert(row.place.clone(), <(Counts, Second)>::default());
        }
        if let Some((counts, second)) = self.places.get_mut(&row.place) {
            counts.add(row.counts);
            second.add(row.second);
        }
        if !row.label.is_empty() {
            add_to(&mut self.labels, &row.label, row.counts);
        }
        if row.counts.headline_attempts > 0 {
            if !self.headline_sites.contains(&row.site) {
                self.headline_sites.insert(row.site.clone());
            }
            if [Sector::Overseas.name(), Sector::Domestic.name(), Sector::Located.name()]
                .contains(&row.sector.as_str())
            {
                self.located += row.counts.headline_attempts;
            }
        }
    }

    /// What the shares of countries are of: the overseas attempts, or where no home is declared all located ones.
    pub const fn base(&self, declared: bool) -> u64 {
        if declared { self.totals.overseas_attempts } else { self.located }
    }

    /// The rows, with what is distinct in each.
    pub fn rows(&mut self, distinct: &Distinct, declared: bool) -> Rows {
        let (grades, sectors) = (distinct.by(Dimension::Grade), distinct.by(Dimension::Sector));
        let class_title = |id: &str| Class::from_id(id).map_or(id, |class| class.row().title).to_owned();
        Rows {
            sites: named(std::mem::take(&mut self.sites), distinct.by(Dimension::Site), str::to_owned),
            classes: named(std::mem::take(&mut self.classes), distinct.by(Dimension::Class), class_title),
            grades: Grade::ALL
                .map(|grade| fixed(&self.grades, grades, (grade.name(), grade_title(grade))))
                .to_vec(),
            sectors: Sector::ALL
                .map(|sector| fixed(&self.sectors, sectors, (sector.name(), sector_title(sector))))
                .to_vec(),
            // Sources are not kept by label.
            labels: named(std::mem::take(&mut self.labels), &Told::default(), str::to_owned),
            countries: self.countries(distinct.by(Dimension::Place), declared),
        }
    }

    fn countries(&self, distinct: &Told, declared: bool) -> Vec<OriginRow> {
        let base = self.base(declared);
        let mut rows: Vec<OriginRow> = self
            .places
            .iter()
            .map(|(code, (counts, second))| {
                let part = if declared { counts.overseas_attempts } else { counts.headline_attempts };
                OriginRow {
                    kind: "country",
                    code: code.clone(),
                    name: countries::name(code).to_owned(),
                    counts: *counts,
                    share: (is_country(code) && base > 0 && part > 0).then(|| share(part, base)),
                    interval: None,
                    base_rate: None,
                    campaigns: distinct.campaigns(code),
                    sources: distinct.sources(code),
                    disputed: (self.second.compared > 0).then_some(second.disputed),
                }
            })
            .collect();
        rows.sort_by(|a, b| {
            (b.counts.overseas_attempts, b.counts.attempts, &a.code).cmp(&(
                a.counts.overseas_attempts,
                a.counts.attempts,
                &b.code,
            ))
        });
        rows
    }
}

/// Whether a place's code is that of a country.
fn is_country(code: &str) -> bool {
    code.len() == 2 && !["AP", "EU"].contains(&code)
}

/// Rows in the order of their attempts, then of their ids.
fn named(table: BTreeMap<String, Counts>, told: &Told, title: impl Fn(&str) -> String) -> Vec<Row> {
    let mut rows: Vec<Row> = table
        .into_iter()
        .map(|(id, counts)| Row {
            title: title(&id),
            counts,
            campaigns: told.campaigns(&id),
            sources: told.sources(&id),
            id,
        })
        .collect();
    rows.sort_by(|a, b| b.counts.attempts.cmp(&a.counts.attempts).then_with(|| a.id.cmp(&b.id)));
    rows
}

fn fixed(table: &BTreeMap<String, Counts>, told: &Told, (id, title): (&str, &str)) -> Row {
    Row {
        id: id.to_owned(),
        title: title.to_owned(),
        counts: table.get(id).copied().unwrap_or_default(),
        campaigns: told.campaigns(id),
        sources: told.sources(id),
    }
}
