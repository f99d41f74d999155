//! Several sensors' stores put together in one, for one report.
//!
//! Counts add up; an attempt that two sensors saw is taken out of one of them again, as far as event lines tell which row it
//! counts in. Where they do not (they have expired, or were shed) that is told, and by the identities that stores keep for 35
//! days how many attempts that are. The stores themselves are only read; the sum lives in a temporary file.

mod copy;
mod lines;
mod subtract;
mod twice;
mod ways;

use std::path::{Path, PathBuf};

use serde::Serialize;

use crate::model::period::Period;
use crate::model::time::MICROS_PER_SEC;
use crate::report::merge::twice::Found;
use crate::report::provenance::Provenance;
use crate::report::rebuild::repair;
use crate::report::shape::Report;
use crate::report::span::Span;
use crate::report::store::{FILE_NAME, Store};
use crate::report::{ReportError, query, summary, tally_files};

/// Folders put together at most: each is an open file, and is compared with every one before it.
pub const FOLDERS_MAX: usize = 64;

/// `merged`: what a report of several sensors rests on.
#[derive(Clone, Debug, Default, PartialEq, Serialize)]
pub struct Merged {
    /// The sensors, in the order in which they were named.
    pub sensors: Vec<Sensor>,
    /// Attempts that more than one of them saw: counted once.
    pub duplicates: u64,
    /// Attempts that more than one of them saw, by their identities, while no event line tells which row they count in: they
    /// count twice.
    pub counted_twice: u64,
    /// Where attempts have no event line while several sensors saw some: whether they are the same is not known, but for
    /// those whose identities are still kept.
    pub unchecked: Vec<Unchecked>,
    /// What differs between the sensors of how is counted: `database`, `detectors`, `settings`, `version`, `home`.
    pub differences: Vec<&'static str>,
    /// Whether distinct sources are a lower bound, because sketches are hashed by different keys.
    #[serde(skip)]
    pub sources_are_least: bool,
}

/// One sensor of a report.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct Sensor {
    /// Its name, or that of its folder.
    pub name: String,
    /// Attempts that it counted.
    pub attempts: u64,
    /// Seconds that it observed.
    pub seconds_observed: i64,
    /// Observed part of the span, 0 to 1. The coverage of the report is what every sensor observed.
    pub share: f64,
}

/// Attempts that could not be compared.
#[derive(Clone, Debug, Eq, PartialEq, Serialize)]
pub struct Unchecked {
    /// The day, or the month where days are not kept apart any more.
    pub period: String,
    /// The sensor.
    pub sensor: String,
    /// Its attempts without an event line.
    pub attempts: u64,
}

/// One sensor's store, open, with its event files beside it.
struct Member {
    name: String,
    folder: PathBuf,
    store: Store,
    provenance: Provenance,
}

/// Several stores as one.
pub struct Joined {
    store: Store,
    members: Vec<Member>,
    merged: Merged,
    provenance: Provenance,
}

impl Joined {
    /// Puts the stores of `folders` together for a span.
    pub fn of(folders: &[PathBuf], span: &Span) -> Result<Self, ReportError> {
        let members = folders.iter().map(|folder| Member::open(folder)).collect::<Result<Vec<_>, _>>()?;
        let store = Store::temporary()?;
        let provenance = ways::combined(members.iter().map(|member| &member.provenance));
        let sources_are_least = copy::all(&store, &members, span)?;
        let Found { duplicates, counted_twice, unchecked } = twice::take_out(&store, &members, span)?;
        copy::coarsen(&store, &members)?;
        let sensors =
            members.iter().map(|member| member.told(span)).collect::<Result<Vec<_>, ReportError>>()?;
        let differences = ways::differences(members.iter().map(|member| &member.provenance));
        let merged = Merged { sensors, duplicates, counted_twice, unchecked, differences, sources_are_least };
        Ok(Self { store, members, merged, provenance })
    }

    /// The report of the span that it was put together for.
    pub fn report(&self, span: &Span, site: Option<&str>) -> Result<Report, ReportError> {
        let mut report = summary::build(&self.store, span, site, &self.provenance)?;
        if self.merged.sources_are_least && !report.totals.lower_bounds.contains(&"sources") {
            report.totals.lower_bounds.push("sources");
        }
        for member in &self.members {
            report.repairs.extend(repair::of_span(&member.store, span)?);
        }
        // Scaled are numbers by the time observed. Here that is what every sensor observed, which is less than they counted in.
        report.headline.overseas_monthly_mean_normalised = None;
        for month in report.trend.iter_mut().flat_map(|trend| &mut trend.months) {
            month.normalised = None;
        }
        report.merged = Some(self.merged.clone());
        Ok(report)
    }

    /// Whether every sensor has closed a period.
    pub fn has_closed(&self, period: Period) -> bool {
        self.members.iter().all(|member| member.store.closed(period).is_ok_and(|closed| closed.is_some()))
    }
}

impl Member {
    fn open(folder: &Path) -> Result<Self, ReportError> {
        if !folder.join(FILE_NAME).exists() {
            return Err(ReportError::NoStore { folder: folder.to_owned() });
        }
        let store = Store::open_to_read(folder)?;
        let remembered = store.meta("provenance")?.and_then(|text| serde_json::from_str(&text).ok());
        let of_folder = || folder.file_name().map(|name| name.to_string_lossy().into_owned());
        let name = store.meta(tally_files::SENSOR)?.or_else(of_folder).unwrap_or_default();
        Ok(Self { name, folder: folder.to_owned(), provenance: remembered.unwrap_or_default(), store })
    }

    fn told(&self, span: &Span) -> Result<Sensor, ReportError> {
        let observed: i64 = query::watch(&self.store, span)?.values().sum::<i64>() / MICROS_PER_SEC;
        let seconds = (span.to.0 - span.from.0) * 3_600;
        let mut attempts = 0;
        query::each_row(&self.store, span, None, |row| attempts += row.counts.attempts)?;
        let share = summary::share(observed.unsigned_abs(), seconds.unsigned_abs());
        Ok(Sensor { name: self.name.clone(), attempts, seconds_observed: observed, share })
    }
}

/// What a report of several sensors must say of itself, a sentence each.
pub fn sentences(merged: &Merged) -> Vec<String> {
    let names: Vec<&str> = merged.sensors.iter().map(|sensor| sensor.name.as_str()).collect();
    let mut told = vec![
        format!("Put together from {} sensors: {}.", names.len(), names.join(", ")),
        format!("Seen by more than one of them and counted once: {} attempts.", merged.duplicates),
    ];
    if merged.counted_twice > 0 {
        told.push(format!(
            "Seen by more than one, but without an event line that tells which, so counted twice: {} attempts.",
            merged.counted_twice
        ));
    }
    if !merged.unchecked.is_empty() {
        let attempts: u64 = merged.unchecked.iter().map(|row| row.attempts).sum();
        let periods: std::collections::BTreeSet<&str> =
            merged.unchecked.iter().map(|row| row.period.as_str()).collect();
        let (first, last) = (periods.first().unwrap_or(&""), periods.last().unwrap_or(&""));
        told.push(format!(
            "Could not be compared, because their event lines are gone: {attempts} attempts in {} periods from {first} to {last}.",
            periods.len()
        ));
    }
    if !merged.differences.is_empty() {
        told.push(format!("The sensors do not count alike: {} differ.", merged.differences.join(", ")));
    }
    told
}
