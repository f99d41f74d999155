//! The store brought in line with the event lines that lie beside it.
//!
//! A line says which row it counts in and how many attempts it stands for, so what the store has lost can be counted again: all
//! of it where the store was corrupt or is gone, the latest where it is behind (its write-ahead log was lost, the process was
//! killed between a line and its transaction). Of a corrupt store the days that can still be read are taken over first. Closed
//! files are only read. What was done, and what is gone for good, is remembered and told by every report that it concerns.

pub mod repair;

mod closed;
mod rows;
mod salvage;
mod told;

use std::collections::{BTreeMap, BTreeSet};
use std::path::Path;

use crate::config::privacy::Addresses;
use crate::model::period::{Period, PeriodKind};
use crate::model::place::PrefixLengths;
use crate::model::time::Hour;
use crate::report::event_lines::{self, EventFile};
use crate::report::provenance::Provenance;
use crate::report::rebuild::repair::{Cause, Repair, remember};
use crate::report::rebuild::rows::{Rows, Sum};
use crate::report::rebuild::salvage::Salvaged;
use crate::report::rebuild::told::Told;
use crate::report::rollup::Marks;
use crate::report::store::Store;
use crate::report::store::opening::Opened;
use crate::report::writer::{Mode, Setup};
use crate::report::{ReportError, regimes, tally_files};

/// Where it is remembered that a rebuild was begun; the value is where the corrupt store lies, if there is one.
pub const REBUILDING: &str = "rebuilding";

/// Tells of work that takes time.
pub type Watcher<'w> = &'w mut dyn FnMut(&str);

/// What a repair needs to know.
struct About<'a> {
    folder: &'a Path,
    mode: Mode,
    prefixes: PrefixLengths,
    /// Whether addresses are written as they are.
    open: bool,
    provenance: &'a Provenance,
}

/// Brings a store that was just opened in line with the event lines of the report folder. Gives what was done.
pub fn bring_in_line(
    opened: Opened,
    setup: &Setup,
    watcher: Watcher<'_>,
) -> Result<(Store, Option<Repair>), ReportError> {
    let Opened { mut store, is_new, aside, .. } = opened;
    let about = About {
        folder: &setup.settings.directory,
        mode: setup.mode,
        prefixes: setup.prefixes,
        open: setup.privacy.addresses == Addresses::Full,
        provenance: &setup.provenance,
    };
    let files = event_lines::files(about.folder)?;
    let repair = if is_new && (aside.is_some() || !files.is_empty()) {
        Some(rebuild(&mut store, aside.as_deref(), &files, &about, watcher)?)
    } else if setup.mode == Mode::Live {
        catch_up(&mut store, &files, &about)?
    } else {
        // What a replay that was killed did not count, it counts when it is run again.
        None
    };
    if let Some(repair) = &repair {
        remember(&store, repair)?;
    }
    store.forget_meta(REBUILDING)?;
    Ok((store, repair))
}

/// Begins from nothing: what can be read of the old store, then the lines of all other days.
fn rebuild(
    store: &mut Store,
    aside: Option<&Path>,
    files: &[EventFile],
    about: &About<'_>,
    watcher: Watcher<'_>,
) -> Result<Repair, ReportError> {
    let kept_as = aside.map(|path| path.display().to_string());
    store.set_meta(REBUILDING, kept_as.as_deref().unwrap_or_default())?;
    let salvaged = match aside {
        Some(aside) => salvage::take(store, aside)?,
        None => Salvaged::default(),
    };
    store.note_event_files(&salvaged.lengths)?;
    closed::adopt(store, about.folder)?;
    tally_files::keep_boot(store, about.folder)?;
    let is_taken = |file: &EventFile| salvaged.days.contains(&file.day.first_hour().0);
    let mut days: BTreeMap<Period, Vec<&EventFile>> = BTreeMap::new();
    for file in files.iter().filter(|file| !is_taken(file)) {
        days.entry(file.day).or_default().push(file);
    }
    let mut gone = Gone::default();
    for (day, files) in &days {
        watcher(&format!("counting {day} again from {} event files", files.len()));
        gone.add(&recount_day(store, *day, files, about)?);
    }
    let taken: Vec<&EventFile> = files.iter().filter(|file| is_taken(file)).collect();
    if !salvaged.has_identities {
        note_identities(store, &taken, about)?;
    }
    let behind = count_tails(store, taken.iter().copied(), about)?;
    let recounted: BTreeSet<i64> = days.keys().map(|day| day.first_hour().0).collect();
    let gone_days = days_gone(store, &salvaged, &recounted, about.folder)?;
    gone.attempts += gone_days.values().sum::<u64>();
    let concerned = salvaged.days.iter().chain(&salvaged.torn).chain(&recounted).chain(gone_days.keys());
    let (first, last) = (concerned.clone().min(), concerned.max());
    let mut repair = Repair {
        at: store.dated(),
        cause: if aside.is_some() { Cause::Corrupt } else { Cause::Missing },
        kept_as,
        first: day_name(first),
        last: day_name(last),
        attempts: gone.sum.attempts + behind.attempts,
        days_taken_over: salvaged.days.len() as u64,
        days_recounted: days.len() as u64,
        days_gone: gone_days.len() as u64,
        attempts_gone: gone.attempts,
        gone: salvaged.gone.iter().map(|what| (*what).to_owned()).collect(),
    };
    repair.gone.extend(gone.told(!days.is_empty()));
    Ok(repair)
}

/// Days whose counts are gone, with the attempts that their closed reports tell.
fn days_gone(
    store: &Store,
    salvaged: &Salvaged,
    recounted: &BTreeSet<i64>,
    folder: &Path,
) -> Result<BTreeMap<i64, u64>, ReportError> {
    let by_month = Marks::read(store.connection()).map_err(store.wrap())?.days_from;
    let is_kept = |day: Period| {
        let month = Period::containing(PeriodKind::Month, day.start()).first_hour().0;
        let in_month = by_month.is_some_and(|from| day.first_hour() < from) && salvaged.days.contains(&month);
        in_month || salvaged.days.contains(&day.first_hour().0) || recounted.contains(&day.first_hour().0)
    };
    let torn = salvaged.torn.iter().map(|day| Period::containing(PeriodKind::Day, Hour(*day).start()));
    let days: BTreeSet<Period> = told::days(folder).into_iter().chain(torn).collect();
    let mut gone = BTreeMap::new();
    for day in days.into_iter().filter(|day| !is_kept(*day)) {
        let attempts = Told::of(folder, day).map_or(0, |told| told.attempts());
        // A day on which nothing was counted is not missed.
        if attempts > 0 {
            gone.insert(day.first_hour().0, attempts);
        }
    }
    Ok(gone)
}

/// What a day that is counted again cannot tell any more.
#[derive(Default)]
struct Gone {
    sum: Sum,
    /// Attempts of its report that no line stands for.
    attempts: u64,
    /// Days without a report, so that nothing tells how long was watched.
    days_unwatched: u64,
}

impl Gone {
    const fn add(&mut self, other: &Self) {
        self.sum.attempts += other.sum.attempts;
        self.sum.unreadable += other.sum.unreadable;
        self.attempts += other.attempts;
        self.days_unwatched += other.days_unwatched;
    }

    fn told(&self, any_day: bool) -> Vec<String> {
        let mut told = Vec::new();
        if self.sum.unreadable > 0 {
            told.push(format!("{} event lines that cannot be read", self.sum.unreadable));
        }
        if self.days_unwatched > 0 {
            told.push(format!(
                "how long was observed, losses and what was not judged, of {} days that have no report",
                self.days_unwatched
            ));
        }
        if any_day {
            told.push(
                "endpoints that are likely false alarms, and what clients of campaigns looked like".into(),
            );
            told.push(
                "scans, logins and floods that had no line yet, or were watched and not judged yet".into(),
            );
        }
        told
    }
}

/// Counts the lines of a day, whose report tells the rest.
fn recount_day(
    store: &mut Store,
    day: Period,
    files: &[&EventFile],
    about: &About<'_>,
) -> Result<Gone, ReportError> {
    let told = Told::of(about.folder, day);
    let is_watched = store.is_watched(day)?;
    if let Some(told) = told.as_ref().filter(|_| !is_watched) {
        told.note_watch(store, day)?;
    }
    store.forget_lines_lost(day)?;
    let way = if let Some(noted) = regimes::noted_by(store, day)? {
        noted
    } else {
        let then = told.as_ref().and_then(|told| told.provenance(about.provenance));
        let then = then.as_ref().unwrap_or(about.provenance);
        regimes::number(store.connection(), then).map_err(store.wrap())?
    };
    let mut rows = Rows::new(store, about.prefixes, about.open)?;
    rows.count_in(way)?;
    for file in files {
        rows.begin();
        event_lines::each(file, 0, |line, at| rows.take(file, line.as_ref(), at).map(|()| true))?;
    }
    rows.flush()?;
    let sum = rows.sum();
    let attempts = told.as_ref().map_or(0, |told| told.attempts().saturating_sub(sum.attempts));
    Ok(Gone { sum, attempts, days_unwatched: u64::from(told.is_none() && !is_watched) })
}

/// Counts what stands behind the committed length of event files, up to the first line that cannot be read.
fn count_tails<'f>(
    store: &mut Store,
    files: impl Iterator<Item = &'f EventFile>,
    about: &About<'_>,
) -> Result<Sum, ReportError> {
    if about.mode == Mode::Replay {
        return Ok(Sum::default());
    }
    let known: BTreeMap<String, u64> = store.event_files()?.into_iter().collect();
    let uncounted = store.lines_to_cut()?;
    let way = regimes::last_noted(store)?;
    let mut rows = Rows::new(store, about.prefixes, about.open)?;
    rows.count_in(way)?;
    for file in files.filter(|file| !file.is_compressed() && !uncounted.contains(&file.name)) {
        let from = known.get(&file.name).copied().unwrap_or(0);
        if file.bytes <= from {
            continue;
        }
        rows.begin();
        event_lines::each(file, from, |line, at| match line {
            Some(line) => rows.take(file, Some(&line), at).map(|()| true),
            None => Ok(false),
        })?;
    }
    rows.flush()?;
    Ok(rows.sum())
}

/// Counts what the store of a daemon does not know: the ends of its files, and later files.
fn catch_up(
    store: &mut Store,
    files: &[EventFile],
    about: &About<'_>,
) -> Result<Option<Repair>, ReportError> {
    closed::adopt(store, about.folder)?;
    let known: BTreeSet<String> = store.event_files()?.into_iter().map(|(name, _)| name).collect();
    let newest = store.hours()?.last().map(|hour| Period::containing(PeriodKind::Day, hour.start()));
    // An older file that the store does not know is one that somebody put there.
    let is_ours =
        |file: &&EventFile| known.contains(&file.name) || newest.is_none_or(|newest| file.day >= newest);
    let sum = count_tails(store, files.iter().filter(is_ours), about)?;
    let Some((first, last)) = sum.hours else { return Ok(None) };
    Ok(Some(Repair {
        at: store.dated(),
        cause: Cause::Behind,
        kept_as: None,
        first: day_name(Some(&first.0)),
        last: day_name(Some(&last.0)),
        attempts: sum.attempts,
        days_taken_over: 0,
        days_recounted: 0,
        days_gone: 0,
        attempts_gone: 0,
        gone: vec!["how long was observed meanwhile, and what was not judged".into()],
    }))
}

/// Notes the identities of what is counted already, so that it is not counted again.
fn note_identities(store: &mut Store, files: &[&EventFile], about: &About<'_>) -> Result<(), ReportError> {
    let known: BTreeMap<String, u64> = store.event_files()?.into_iter().collect();
    let mut rows = Rows::new(store, about.prefixes, about.open)?;
    for file in files {
        let end = if file.is_compressed() { u64::MAX } else { known.get(&file.name).copied().unwrap_or(0) };
        event_lines::each(file, 0, |line, at| match line {
            _ if at > end => Ok(false),
            Some(line) => rows.note_id(&line).map(|()| true),
            None => Ok(true),
        })?;
    }
    rows.flush()
}

fn day_name(hour: Option<&i64>) -> String {
    hour.map_or_else(String::new, |hour| Period::containing(PeriodKind::Day, Hour(*hour).start()).to_string())
}
