//! How each of two periods was counted, and what of that differs.

use std::collections::BTreeSet;

use serde::Serialize;

use crate::model::period::PeriodKind;
use crate::model::time::MICROS_PER_SEC;
use crate::report::provenance::{Database, Provenance};
use crate::report::span::Span;
use crate::report::store::{Store, is_loss};
use crate::report::summary::{COVERED_MIN, share};
use crate::report::{ReportError, query, regimes, sentence};

/// A period and how it was counted.
#[derive(Clone, Debug, Serialize)]
pub struct Side {
    /// Its name.
    pub name: String,
    /// `day`, `month`, `year`
    pub kind: &'static str,
    /// Seconds in it.
    pub seconds: i64,
    /// Seconds observed.
    pub seconds_observed: i64,
    /// Observed part, 0 to 1.
    pub coverage: f64,
    /// Whether losses make its counts lower bounds.
    pub lower_bound: bool,
    /// Databases that counted, each once.
    pub databases: Vec<Database>,
    /// Detection sets that counted, by hash.
    pub detector_sets: Vec<String>,
    /// Declared home, as it was last.
    pub home: Vec<String>,
    /// Whether a home was declared throughout.
    #[serde(skip)]
    pub home_declared: bool,
    /// The first deciding databases, by hash: with two, the period is no whole.
    #[serde(skip)]
    deciding: BTreeSet<String>,
    #[serde(skip)]
    homes: BTreeSet<Vec<String>>,
}

/// What keeps two periods from being compared.
#[derive(Clone, Debug, Eq, PartialEq, Serialize)]
pub struct Obstacle {
    /// `coverage`, `database`, `detectors`, `home`
    pub id: &'static str,
    /// Whether only what depends on the country is concerned.
    pub of_origin: bool,
    /// In words.
    pub text: String,
}

impl Side {
    pub(super) fn read(store: &Store, span: &Span, fallback: &Provenance) -> Result<Self, ReportError> {
        let mut ways: Vec<Provenance> =
            regimes::ways(store, span)?.into_iter().map(|way| way.provenance).collect();
        if ways.is_empty() {
            ways.push(fallback.clone());
        }
        let watch = query::watch(store, span)?;
        let counters = query::counters(store, span)?;
        let observed = watch.values().sum::<i64>() / MICROS_PER_SEC;
        let seconds = (span.to.0 - span.from.0) * 3_600;
        let mut databases: Vec<Database> = Vec::new();
        for database in ways.iter().flat_map(|way| &way.databases) {
            if !databases.iter().any(|known| known.sha256 == database.sha256) {
                databases.push(database.clone());
            }
        }
        let sets: BTreeSet<String> = ways.iter().map(|way| way.detector_set.clone()).collect();
        Ok(Self {
            name: span.name.clone(),
            kind: span.kind.map_or("range", PeriodKind::name),
            seconds,
            seconds_observed: observed,
            coverage: share(observed.unsigned_abs(), seconds.unsigned_abs()),
            lower_bound: counters.iter().any(|(name, count)| *count > 0 && is_loss(name)),
            databases,
            detector_sets: sets.into_iter().collect(),
            home: ways.last().map(|way| way.home.clone()).unwrap_or_default(),
            home_declared: ways.iter().all(|way| way.home_declared),
            deciding: ways.iter().filter_map(|way| Some(way.deciding()?.sha256.clone())).collect(),
            homes: ways.into_iter().map(|way| way.home).collect(),
        })
    }
}

impl Side {
    /// The part of it that was observed, in per cent.
    pub(super) fn observed(&self) -> String {
        sentence::observed(self.seconds_observed, self.seconds)
    }
}

/// What differs between two periods, or within one of them.
pub(super) fn obstacles(sides: &[Side; 2]) -> Vec<Obstacle> {
    let [first, second] = sides;
    let mut found = Vec::new();
    if sides.iter().any(|side| side.coverage < COVERED_MIN) {
        let text = format!(
            "{} was observed for {} per cent of its time and {} for {}: what was not observed may have been otherwise",
            first.name,
            first.observed(),
            second.name,
            second.observed()
        );
        found.push(Obstacle { id: "coverage", of_origin: false, text });
    }
    let mut differing = |id, of_origin, differs: bool, what: &str| {
        if differs {
            let text =
                format!("{what} is not one and the same throughout {} and {}", first.name, second.name);
            found.push(Obstacle { id, of_origin, text });
        }
    };
    let sets = || sides.iter().flat_map(|side| &side.detector_sets).collect::<BTreeSet<_>>();
    let deciding = || sides.iter().flat_map(|side| &side.deciding).collect::<BTreeSet<_>>();
    let homes = || sides.iter().flat_map(|side| &side.homes).collect::<BTreeSet<_>>();
    differing("detectors", false, sets().len() > 1, "the detection set");
    differing("database", true, deciding().len() > 1, "the database that decides on countries");
    differing("home", true, homes().len() > 1, "what is declared home");
    found
}
