//! When periods are over: their files, their retention; and the files of those that are still open.

use std::fs;
use std::path::Path;

use crate::model::period::{Period, PeriodKind};
use crate::model::time::MICROS_PER_SEC;
use crate::report::names::stem;
use crate::report::rollup::Keep;
use crate::report::shape::Report;
use crate::report::span::Span;
use crate::report::store::closed::Closed;
use crate::report::writer::{Mode, Writer};
use crate::report::{ReportError, files, format, manifest, retention, sources, summary, tally_files};

/// A period closes so long after its end: attempts are judged up to 30 s after their request.
const CLOSING_DELAY_MICROS: i64 = 60 * MICROS_PER_SEC;
/// Reports of open periods are written anew at most so often.
const REFRESH_MICROS: i64 = 60 * MICROS_PER_SEC;

impl Writer {
    /// Closes the periods that are over, and refreshes the open ones now and then.
    pub fn settle(&mut self) -> Result<(), ReportError> {
        let due: Vec<Period> = self
            .open
            .iter()
            .copied()
            .filter(|period| period.end().plus_micros(CLOSING_DELAY_MICROS) <= self.clock.now())
            .collect();
        if self.clock.may_close() {
            self.close_all(due)?;
        }
        let stale = self.refreshed.is_none_or(|last| self.clock.now().micros_since(last) >= REFRESH_MICROS);
        if self.setup.mode == Mode::Live && stale && !self.clock.is_new() {
            self.refresh_open()?;
            self.refreshed = Some(self.clock.now());
            self.shrink()?;
        }
        Ok(())
    }

    /// The end: a replay closes everything, live capture leaves open periods open.
    pub fn finish(&mut self) -> Result<(), ReportError> {
        match self.setup.mode {
            Mode::Replay => self.close_all(self.open.iter().copied().collect()),
            Mode::Live => self.refresh_open(),
        }
    }

    fn close_all(&mut self, mut periods: Vec<Period>) -> Result<(), ReportError> {
        if periods.is_empty() {
            return Ok(());
        }
        periods.sort_by_key(|period| (period.end(), period.kind()));
        let mut days = false;
        for period in periods {
            self.close(period)?;
            days |= period.kind() == PeriodKind::Day;
        }
        files::sync_folder(&self.setup.settings.directory)?;
        self.shrink()?;
        if days && self.setup.mode == Mode::Live && self.clock.may_remove() {
            let tidied = retention::tidy(&self.setup.settings, self.clock.now())?;
            for gone in tidied.compressed.iter().chain(&tidied.removed) {
                self.events.forget(gone);
                self.store.forget_event_file(gone)?;
            }
            manifest::note_expired(&self.setup.settings.directory, &tidied.removed, self.clock.now())?;
            let state = &self.setup.state;
            let days = (self.setup.privacy.keep_addresses_days, state.keep_hours_days, state.keep_days_days);
            self.store.roll(Keep::days(self.clock.now(), days, state.keep_years))?;
        }
        Ok(())
    }

    fn close(&mut self, period: Period) -> Result<(), ReportError> {
        let before = self.store.closed(period)?;
        // Of a kind without reports the manifest alone tells how often it was closed.
        let version = self.store.closed_version(period)?.max(before.as_ref().map(|closed| closed.version));
        let version = version.unwrap_or(0) + 1;
        let directory = self.setup.settings.directory.clone();
        if period.kind() == PeriodKind::Day && self.setup.settings.events {
            sources::write(&self.store, &directory, period)?;
            self.events.close(period);
        }
        let mut closed = None;
        if self.setup.settings.periods.iter().any(|name| name == period.kind().name()) {
            let mut report = summary::build(&self.store, &Span::of(period), None, &self.setup.provenance)?;
            report.previous_sha256 = self.store.last_closed(period.kind().name())?;
            report.corrects = before.map(|closed| format!("{}.json", stem(period, closed.version)));
            let sealed = format::seal(&report);
            self.write_report(&report, &sealed, &stem(period, version))?;
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
            tracing::warn!(given_up, "the store is larger than state.limit and was made smaller");
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
            let mut report = summary::build(&self.store, &Span::of(period), None, &self.setup.provenance)?;
            report.open = true;
            let sealed = format::seal(&report);
            self.write_report(&report, &sealed, &format!("report-{period}.open"))?;
        }
        files::sync_folder(&self.setup.settings.directory)
    }

    fn write_report(
        &self,
        report: &Report,
        sealed: &serde_json::Value,
        stem: &str,
    ) -> Result<(), ReportError> {
        for row in &self.formats {
            for output in (row.write)(report, sealed) {
                files::write_whole(
                    &self.setup.settings.directory,
                    &format!("{stem}{}", output.suffix),
                    output.content.as_bytes(),
                )?;
            }
        }
        Ok(())
    }
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
