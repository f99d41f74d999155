//! The writer: records snapshots, closes periods. Pure of threads: the loop around it lives in app.
//!
//! Event lines are appended before the transaction that counts them, and the transaction notes how long each file
//! then is. What a crash left beyond that length was never counted and is cut off at the next start, so events and
//! tallies always agree.

use std::collections::BTreeSet;
use std::fs;
use std::path::{Path, PathBuf};

use crate::config::privacy::{Addresses, Privacy};
use crate::config::report::Report as Settings;
use crate::config::state::State;
use crate::model::attempt::AttemptId;
use crate::model::period::{Period, PeriodKind};
use crate::model::pseudonym::{KEY_KEPT_MICROS, MonthKey};
use crate::model::time::{Hour, MICROS_PER_SEC, Timestamp};
use crate::report::clock::Clock;
use crate::report::event_files::{EventFiles, Length};
use crate::report::format::{self, FormatRow};
use crate::report::names::stem;
use crate::report::provenance::Provenance;
use crate::report::rollup::Keep;
use crate::report::shape::Report;
use crate::report::span::Span;
use crate::report::store::{Closed, Store};
use crate::report::summary;
use crate::report::zone::Zone;
use crate::report::{ReportError, files, manifest, reading, retention, sources};
use crate::tally::{OpenIncident, Snapshot};

/// A period closes so long after its end: attempts are judged up to 30 s after their request.
const CLOSING_DELAY_MICROS: i64 = 60 * MICROS_PER_SEC;
/// Reports of open periods are written anew at most so often.
const REFRESH_MICROS: i64 = 60 * MICROS_PER_SEC;

/// Where the traffic comes from.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum Mode {
    /// An interface.
    Live,
    /// Files: nothing is compressed or removed, everything is closed at the end.
    Replay,
}

/// What a writer needs to know.
#[derive(Clone, Debug)]
pub struct Setup {
    /// `[state]`
    pub state: State,
    /// `[report]`
    pub settings: Settings,
    /// `[privacy]`
    pub privacy: Privacy,
    /// Where the traffic comes from.
    pub mode: Mode,
    /// What made the numbers.
    pub provenance: Provenance,
}

/// Records snapshots and writes files.
pub struct Writer {
    store: Store,
    setup: Setup,
    formats: Vec<&'static FormatRow>,
    kinds: Vec<PeriodKind>,
    /// Periods with counts that are not closed.
    open: BTreeSet<Period>,
    /// Periods closed by this run: what comes later for them counts as late.
    closed_now: BTreeSet<Period>,
    events: EventFiles,
    clock: Clock,
    refreshed: Option<Timestamp>,
    /// Spans that a replay observed: remembered when it has come to its end.
    spans: Vec<(Timestamp, Timestamp)>,
}

impl Writer {
    /// Opens the store and brings the event files in line with it. The second value tells of what was repaired.
    pub fn open(setup: Setup) -> Result<(Self, Vec<String>), ReportError> {
        files::make_folder(&setup.settings.directory)?;
        let (mut store, told) = Store::open(&setup.state.directory)?;
        store.undo_unfinished()?;
        store.shed_untold()?;
        store.set_sources_per_day(u64::from(setup.state.sources_per_day));
        store.set_meta("provenance", &serde_json::to_string(&setup.provenance).unwrap_or_default())?;
        store.set_regime(&setup.provenance)?;
        let (events, cut) = EventFiles::open(&setup.settings.directory, store.event_files()?)?;
        let mut writer = Self {
            events,
            formats: setup.settings.formats.iter().filter_map(|name| format::by_name(name)).collect(),
            kinds: PeriodKind::ALL
                .into_iter()
                // Days are always followed: events and sources are kept by day.
                .filter(|kind| {
                    *kind == PeriodKind::Day || setup.settings.periods.iter().any(|name| name == kind.name())
                })
                .collect(),
            store,
            setup,
            open: BTreeSet::new(),
            closed_now: BTreeSet::new(),
            clock: Clock::default(),
            refreshed: None,
            spans: Vec::new(),
        };
        let mut repaired: Vec<String> = told.into_iter().collect();
        repaired.extend(cut);
        let hours = match writer.setup.mode {
            Mode::Live => writer.store.hours()?,
            Mode::Replay => writer.store.busy_hours()?,
        };
        let kinds = writer.kinds.clone();
        let held: BTreeSet<Period> = hours
            .iter()
            .flat_map(|hour| kinds.iter().map(|kind| Period::containing(*kind, hour.start())))
            .collect();
        for period in held {
            // What an earlier run closed is only opened again by new counts, see `record`.
            if writer.store.closed(period)?.is_none() {
                writer.open.insert(period);
            }
        }
        Ok((writer, repaired))
    }

    /// Identities counted in earlier runs, oldest first.
    pub fn identities(&self, limit: usize) -> Result<Vec<(AttemptId, i64)>, ReportError> {
        self.store.identities(limit)
    }

    /// The spans of time that earlier runs observed.
    pub fn spans(&self) -> Result<Vec<(Timestamp, Timestamp)>, ReportError> {
        self.store.spans()
    }

    /// The incidents that may go on. Where addresses are not written nothing tells whose they are: they end with the run.
    pub fn open_incidents(&self) -> Result<Vec<OpenIncident>, ReportError> {
        if self.setup.privacy.addresses != Addresses::Full {
            return Ok(Vec::new());
        }
        self.store.open_incidents(i64::from(self.setup.settings.incident_gap_mins) * 60 * MICROS_PER_SEC)
    }

    /// The key of pseudonyms, for the classifier.
    pub fn month_key(&self) -> Result<MonthKey, ReportError> {
        self.store.month_key()
    }

    /// Moves the key of pseudonyms on, once the month it is of is over for good.
    fn turn_key(&self, begun: Option<Period>) -> Result<(), ReportError> {
        // A clock that was set forward by mistake must not destroy the keys of the months it passed over.
        let Some(begun) = begun.filter(|_| self.clock.may_remove()) else { return Ok(()) };
        let mut key = self.store.month_key()?;
        key.month = key.month.or(Some(begun));
        let now = key.at(self.clock.now().plus_micros(-KEY_KEPT_MICROS));
        if now == self.store.month_key()? { Ok(()) } else { self.store.set_month_key(&now) }
    }

    /// The very end of a replay: what it counted stays, and its capture files, known by their hashes, count no more.
    pub fn finish_replay<'h>(&mut self, hashes: impl Iterator<Item = &'h str>) -> Result<(), ReportError> {
        self.store.finish_replay(hashes, &std::mem::take(&mut self.spans))
    }

    /// Takes new settings and provenance after a reload. The folders stay.
    pub fn reload(
        &mut self,
        settings: &crate::config::Settings,
        provenance: Provenance,
    ) -> Result<(), ReportError> {
        let directory = std::mem::take(&mut self.setup.settings.directory);
        self.setup.settings = Settings { directory, ..settings.report.clone() };
        self.setup.state = settings.state.clone();
        self.setup.privacy = settings.privacy.clone();
        self.store.set_sources_per_day(u64::from(settings.state.sources_per_day));
        self.formats = settings.report.formats.iter().filter_map(|name| format::by_name(name)).collect();
        self.store.set_meta("provenance", &serde_json::to_string(&provenance).unwrap_or_default())?;
        self.store.set_regime(&provenance)?;
        self.setup.provenance = provenance;
        Ok(())
    }

    /// Records a snapshot: all of it or nothing. On an error it may be given again.
    pub fn record(&mut self, snapshot: &mut Snapshot) -> Result<(), ReportError> {
        if self.clock.follow(snapshot.watermark, self.setup.mode) {
            self.refreshed = None;
        }
        self.reopen();
        self.move_late(snapshot);
        let lengths = if self.setup.settings.events { self.append_events(snapshot)? } else { Vec::new() };
        let hour = self.hour_of(snapshot);
        let unjudged = snapshot.unjudged.iter().flat_map(|(counted, sums)| {
            let counted = self.open_hour(*counted, hour);
            sums.counters().map(|(name, count)| (counted, name, count))
        });
        let conversations = reading::counters(snapshot);
        let mut extra = vec![
            (hour, summary::EVENTS, snapshot.events_shed),
            (hour, "late_attempts", snapshot.late),
            (hour, "duplicate_attempts", snapshot.duplicates),
            (hour, "sources_spilled", snapshot.sources_spilled),
            (hour, "identities_shed", snapshot.ids_shed),
        ];
        extra.extend(
            conversations
                .iter()
                .map(|(counted, name, value)| (self.open_hour(*counted, hour), name.as_str(), *value)),
        );
        for (counted, name, count) in unjudged {
            extra.push((counted, name, count));
        }
        self.store.add(snapshot, &lengths, &extra, self.setup.mode)?;
        // From here on it is counted: nothing may fail any more, or it would be given again.
        self.events.committed(lengths);
        if let Err(error) = self.turn_key(snapshot.pseudonym_month) {
            tracing::warn!(%error, "the key of pseudonyms could not be moved on; tried again with the next write");
        }
        if self.setup.mode == Mode::Replay {
            self.spans.append(&mut snapshot.spans);
        }
        // A capture file may claim to span decades: periods in which it holds no packet get no report of their own.
        let live = self.setup.mode == Mode::Live;
        let watched = snapshot.watch.iter().filter(|(_, watch)| live || !watch.counters.is_empty());
        let hours: BTreeSet<Hour> =
            snapshot.rows.keys().map(|key| key.hour).chain(watched.map(|(hour, _)| *hour)).collect();
        for hour in hours {
            self.note_hour(hour);
        }
        Ok(())
    }

    /// The hour that what has no time of its own is counted in. A replay's first snapshots may come before anything told how far
    /// time has gone: then it is that of the latest row.
    fn hour_of(&self, snapshot: &Snapshot) -> Hour {
        let now = self.clock.now().hour();
        let counted = snapshot.rows.keys().map(|key| key.hour).chain(snapshot.unjudged.keys().copied());
        counted.filter(|_| self.setup.mode == Mode::Replay).max().map_or(now, |latest| latest.max(now))
    }

    /// An hour, or where its period was closed by this run the one that counts late.
    fn open_hour(&self, hour: Hour, late: Hour) -> Hour {
        let closed = |kind: &PeriodKind| self.closed_now.contains(&Period::containing(*kind, hour.start()));
        if self.kinds.iter().any(closed) { late } else { hour }
    }

    /// Opens the periods again that the clock closed before it was set back into them: they close a second time as a
    /// correction, and the files of the first time stay as they are.
    fn reopen(&mut self) {
        for kind in &self.kinds {
            let period = Period::containing(*kind, self.clock.now());
            if self.closed_now.remove(&period) {
                self.open.insert(period);
                self.events.reopen(period);
            }
        }
    }

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

    /// Keeps the store within its size.
    fn shrink(&mut self) -> Result<(), ReportError> {
        let today = Period::containing(PeriodKind::Day, self.clock.now()).first_hour();
        for given_up in self.store.shrink(self.setup.state.limit.0, today)? {
            tracing::warn!(given_up, "the store is larger than state.limit and was made smaller");
        }
        Ok(())
    }

    /// Begins a new part of the events files.
    pub fn rotate(&mut self) {
        self.events.rotate();
    }

    /// The end: a replay closes everything, live capture leaves open periods open.
    pub fn finish(&mut self) -> Result<(), ReportError> {
        match self.setup.mode {
            Mode::Replay => self.close_all(self.open.iter().copied().collect()),
            Mode::Live => self.refresh_open(),
        }
    }

    /// The report of everything in the store that a period of the longest configured kind holds, for the last word of
    /// a run: the path of its text form, and the report.
    pub fn last_word(&self) -> Result<Option<(PathBuf, Report)>, ReportError> {
        let latest = self.store.hours()?.last().copied();
        let kind = self.kinds.last().copied().unwrap_or(PeriodKind::Day);
        let Some(period) = latest.map(|hour| Period::containing(kind, hour.start())) else { return Ok(None) };
        let report = summary::build(&self.store, &Span::of(period), None, &self.setup.provenance)?;
        let stem = match self.store.closed(period)? {
            Some(closed) => stem(period, closed.version),
            None => format!("report-{period}.open"),
        };
        Ok(Some((self.setup.settings.directory.join(format!("{stem}.txt")), report)))
    }

    /// Attempts whose period this run has closed count in the open one: a closed file never changes.
    fn move_late(&self, snapshot: &mut Snapshot) {
        if self.closed_now.is_empty() {
            return;
        }
        let is_closed = |hour: Hour| {
            self.kinds.iter().any(|kind| self.closed_now.contains(&Period::containing(*kind, hour.start())))
        };
        let now = self.clock.now().hour();
        let late: Vec<_> = snapshot.rows.keys().filter(|key| is_closed(key.hour)).cloned().collect();
        for key in late {
            if let Some(sums) = snapshot.rows.remove(&key) {
                snapshot.late += sums.attempts;
                snapshot.add_row(crate::tally::TallyKey { hour: now, ..key }, sums);
            }
        }
        let late: Vec<_> = snapshot.frames.keys().filter(|key| is_closed(key.hour)).cloned().collect();
        for key in late {
            if let Some(sums) = snapshot.frames.remove(&key) {
                let entry = snapshot.frames.entry(crate::tally::FrameKey { hour: now, ..key }).or_default();
                entry.attempts += sums.attempts;
                entry.headline += sums.headline;
                entry.overseas += sums.overseas;
            }
        }
        let today = Period::containing(PeriodKind::Day, self.clock.now());
        let late: Vec<_> =
            snapshot.sources.keys().filter(|key| self.closed_now.contains(&key.day)).cloned().collect();
        for key in late {
            if let Some(sums) = snapshot.sources.remove(&key) {
                snapshot.add_source(crate::tally::SourceDay { day: today, ..key }, &sums);
            }
        }
        let late: Vec<_> = snapshot.watch.keys().copied().filter(|hour| is_closed(*hour)).collect();
        for hour in late {
            if let Some(watch) = snapshot.watch.remove(&hour) {
                snapshot.add_counters(now, &watch.counters);
                let entry = snapshot.watch.entry(now).or_default();
                entry.observed_micros = entry.observed_micros.saturating_add(watch.observed_micros);
            }
        }
    }

    fn append_events(&mut self, snapshot: &Snapshot) -> Result<Vec<Length>, ReportError> {
        let today = Period::containing(PeriodKind::Day, self.clock.now());
        let closed = &self.closed_now;
        let part_max = self.setup.settings.events_part.0;
        self.events.append(&snapshot.events, part_max, (today, |day| closed.contains(&day)))
    }

    /// Opens the periods of an hour that was counted in, but for those that this run has closed.
    fn note_hour(&mut self, hour: Hour) {
        for kind in &self.kinds {
            let period = Period::containing(*kind, hour.start());
            if !self.closed_now.contains(&period) {
                self.open.insert(period);
            }
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
            report.zone = Zone::of_setting(&self.setup.settings.time_zone);
            report.previous_sha256 = self.store.last_closed(period.kind().name())?;
            report.corrects = before.map(|closed| format!("{}.json", stem(period, closed.version)));
            let sealed = format::seal(&report);
            self.write_report(&report, &sealed, &stem(period, version))?;
            if self.setup.mode == Mode::Live {
                remove_open(&directory, period);
            }
            closed = Some(Closed { version, sha256: format::hash_of(&sealed) });
        }
        let manifest = manifest::write(&self.store, &directory, period, version)?;
        self.store.close(period, closed.as_ref(), &manifest)?;
        self.open.remove(&period);
        self.closed_now.insert(period);
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
            report.zone = Zone::of_setting(&self.setup.settings.time_zone);
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
