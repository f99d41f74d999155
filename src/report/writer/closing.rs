//! When periods are over: their files, their retention; and the files of those that are still open.

use std::fs;
use std::path::Path;
use std::time::Duration;

use crate::model::period::{Period, PeriodKind};
use crate::model::time::MICROS_PER_SEC;
use crate::report::names::stem;
use crate::report::rollup::Keep;
use crate::report::shape::Report;
use crate::report::store::closed::Closed;
use crate::report::writer::{Mode, Writer};
use crate::report::{ReportError, files, format, manifest, retention, sources, tally_files};

/// A period closes so long after its end: attempts are judged up to 30 s after their request.
const CLOSING_DELAY_MICROS: i64 = 60 * MICROS_PER_SEC;
/// Reports of open periods in which nothing was counted are written anew so much more seldom.
const QUIET_REFRESHES: i64 = 10;

/// A failure to write reports is followed by a pause: to build those of a year twice a second would only wear the host down.
const RETRY_MICROS: i64 = 10 * MICROS_PER_SEC;
/// The link to the sources of the last closed day.
const LATEST_SOURCES: &str = "latest-sources.csv";

/// Open reports take a twentieth of the time at most, however large the store.
const REST_TIMES: i64 = 20;

/// What came of settling.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum Settled {
    /// Everything that is due is written.
    Done,
    /// It failed a moment ago and is tried again later.
    Later,
}

impl Writer {
    /// Closes the periods that are over, and refreshes the open ones now and then. After a failure it waits before it tries again.
    pub fn settle(&mut self) -> Result<Settled, ReportError> {
        let pause = RETRY_MICROS.max(self.rest);
        if self.retry.is_some_and(|retry| (0..pause).contains(&retry.micros_since(self.clock.now()))) {
            return Ok(Settled::Later);
        }
        let settled = self.settle_now();
        self.retry = settled.is_err().then(|| self.clock.now().plus_micros(pause - 1));
        settled.map(|()| Settled::Done)
    }

    fn settle_now(&mut self) -> Result<(), ReportError> {
        let due: Vec<Period> = self
            .open
            .iter()
            .copied()
            .filter(|period| period.end().plus_micros(CLOSING_DELAY_MICROS) <= self.clock.now())
            .collect();
        if self.clock.may_close() && !due.is_empty() {
            self.write_held()?;
            self.close_all(due)?;
        }
        if self.setup.mode == Mode::Live && self.is_stale() && !self.clock.is_new() {
            self.write_held()?;
            self.refresh_open()?;
            self.refreshed = Some(self.clock.now());
            self.changed = false;
            self.shrink()?;
        }
        Ok(())
    }

    /// Notes how long the last `settle` took that did something: reports that take long are written more seldom.
    pub fn note_settling(&mut self, took: Duration) {
        if self.refreshed == Some(self.clock.now()) || self.retry.is_some() {
            self.rest = i64::try_from(took.as_micros()).unwrap_or(i64::MAX).saturating_mul(REST_TIMES);
        }
    }

    /// Whether the reports of open periods are to be written anew.
    fn is_stale(&self) -> bool {
        let every = i64::from(self.setup.settings.refresh_secs) * MICROS_PER_SEC;
        let every = if self.changed { every } else { every * QUIET_REFRESHES };
        self.refreshed.is_none_or(|last| self.clock.now().micros_since(last) >= every.max(self.rest))
    }

    /// The end: a replay closes everything, live capture leaves open periods open.
    pub fn finish(&mut self) -> Result<(), ReportError> {
        self.write_held()?;
        match self.setup.mode {
            Mode::Replay => self.close_all(self.open.iter().copied().collect()),
            // Of a large store they are written anew at the next start.
            Mode::Live => match self.refresh_open() {
                Err(error) if error.is_given_up() => Ok(()),
                refreshed => refreshed,
            },
        }
    }

    fn close_all(&mut self, mut periods: Vec<Period>) -> Result<(), ReportError> {
        if periods.is_empty() {
            return Ok(());
        }
        periods.sort_by_key(|period| (period.end(), period.kind()));
        let days = periods.iter().any(|period| period.kind() == PeriodKind::Day);
        let closed = periods.into_iter().try_for_each(|period| self.close(period));
        // On a full disk nothing closes before something old is gone.
        let tidied = if days { self.tidy() } else { Ok(()) };
        closed.and(tidied)?;
        files::sync_folder(&self.setup.settings.directory)?;
        self.shrink()
    }

    /// Compresses and removes what has grown old.
    fn tidy(&mut self) -> Result<(), ReportError> {
        if self.setup.mode == Mode::Replay || !self.clock.may_remove() {
            return Ok(());
        }
        let (tidied, failed) = retention::tidy(&self.setup.settings, self.clock.now())?;
        for gone in tidied.compressed.iter().chain(&tidied.removed) {
            self.events.forget(gone);
            self.store.forget_event_file(gone)?;
        }
        manifest::note_expired(&self.setup.settings.directory, &tidied.removed, self.clock.now())?;
        let state = &self.setup.state;
        let days = (self.setup.privacy.keep_addresses_days, state.keep_hours_days, state.keep_days_days);
        self.store.roll(Keep::days(self.clock.now(), days, state.keep_years))?;
        failed.map_or(Ok(()), Err)
    }

    fn close(&mut self, period: Period) -> Result<(), ReportError> {
        let before = self.store.closed(period)?;
        // Of a kind without reports the manifest alone tells how often it was closed.
        let version = self.store.closed_version(period)?.max(before.as_ref().map(|closed| closed.version));
        let version = version.unwrap_or(0) + 1;
        let directory = self.setup.settings.directory.clone();
        if period.kind() == PeriodKind::Day && self.setup.settings.events {
            if let Some(name) = sources::write(&self.store, &directory, period)? {
                files::link_latest(&directory, LATEST_SOURCES, &name);
            }
            self.events.close(period);
        }
        let mut closed = None;
        if self.setup.settings.periods.iter().any(|name| name == period.kind().name()) {
            let mut report = self.build(period)?;
            report.previous_sha256 = self.store.last_closed(period.kind().name())?;
            report.corrects = before.map(|closed| format!("{}.json", stem(period, closed.version)));
            let sealed = format::seal(&report);
            let stem = stem(period, version);
            let suffixes = self.write_report(&report, &sealed, &stem)?;
            self.link_report(period, &stem, &suffixes);
            if self.setup.mode == Mode::Live {
                remove_open(&directory, period);
            }
            closed = Some(Closed { version, sha256: format::hash_of(&sealed) });
        }
        if period.kind() == PeriodKind::Day && self.setup.settings.tallies {
            tally_files::write(&self.store, &self.setup.settings, period, version)?;
        }
        let manifest = manifest::write(&self.store, &directory, period, version)?;
        self.store.close(period, closed.as_ref(), &manifest)?;
        self.open.remove(&period);
        self.closed_now.insert(period);
        Ok(())
    }

    /// Keeps the store within its size.
    fn shrink(&mut self) -> Result<(), ReportError> {
        let today = Period::containing(PeriodKind::Day, self.clock.now()).first_hour();
        for given_up in self.store.shrink(self.setup.state.limit.0, today)? {
            tracing::warn!(target: "gatewatch::retry", given_up, "the store is larger than state.limit and was made smaller");
        }
        Ok(())
    }

    fn refresh_open(&mut self) -> Result<(), ReportError> {
        let configured = &self.setup.settings.periods;
        let periods: Vec<Period> = self
            .open
            .iter()
            .copied()
            .filter(|period| configured.iter().any(|name| name == period.kind().name()))
            .collect();
        for period in periods {
            let mut report = self.build(period)?;
            report.open = true;
            let sealed = format::seal(&report);
            self.write_report(&report, &sealed, &format!("report-{period}.open"))?;
        }
        files::sync_folder(&self.setup.settings.directory)
    }

    /// Points the links of that kind of period to a report, unless they point to a later one.
    fn link_report(&self, period: Period, stem: &str, suffixes: &[String]) {
        let directory = &self.setup.settings.directory;
        for suffix in suffixes {
            let link = format!("latest-{}{suffix}", period.kind().name());
            let known = fs::read_link(directory.join(&link)).ok();
            let known = known.and_then(|target| period_of(target.to_str()?));
            if known.is_none_or(|known| known <= period) {
                files::link_latest(directory, &link, &format!("{stem}{suffix}"));
            }
        }
    }

    /// Writes a report in every format; gives the ends of the names.
    fn write_report(
        &self,
        report: &Report,
        sealed: &serde_json::Value,
        stem: &str,
    ) -> Result<Vec<String>, ReportError> {
        let mut suffixes = Vec::new();
        for output in self.formats.iter().flat_map(|row| (row.write)(report, sealed)) {
            let name = format!("{stem}{}", output.suffix);
            files::write_whole(&self.setup.settings.directory, &name, output.content.as_bytes())?;
            suffixes.push(output.suffix);
        }
        Ok(suffixes)
    }
}

/// The period that a report's file is of.
fn period_of(name: &str) -> Option<Period> {
    name.strip_prefix("report-")?.split('.').next()?.parse().ok()
}

/// Removes the files of a period that were written while it was open.
fn remove_open(directory: &Path, period: Period) {
    let prefix = format!("report-{period}.open.");
    let Ok(entries) = fs::read_dir(directory) else { return };
    for entry in entries.flatten() {
        if entry.file_name().to_string_lossy().starts_with(&prefix) {
            // One that stays says by its name that it is not the last word.
            let _ = fs::remove_file(entry.path());
        }
    }
}
