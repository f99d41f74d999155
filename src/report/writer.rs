//! The writer: records snapshots, closes periods. Pure of threads: the loop around it lives in app.
//!
//! Event lines are appended before the transaction that counts them, and the transaction notes how long each file
//! then is. What a crash left beyond that length was never counted and is cut off at the next start, so events and
//! tallies always agree.

use std::collections::{BTreeMap, BTreeSet};
use std::fs::{self, File, OpenOptions};
use std::io::{Seek, SeekFrom, Write};
use std::path::{Path, PathBuf};

use crate::config::report::Report as Settings;
use crate::model::attempt::AttemptId;
use crate::model::period::{Period, PeriodKind};
use crate::model::time::{Hour, MICROS_PER_SEC, Timestamp};
use crate::report::format::{self, FormatRow};
use crate::report::provenance::Provenance;
use crate::report::shape::Report;
use crate::report::store::{Closed, Store};
use crate::report::summary::{self, Span};
use crate::report::{ReportError, events, files, retention, sources};
use crate::tally::Snapshot;

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
    /// Folder of the store.
    pub state: PathBuf,
    /// `[report]`
    pub settings: Settings,
    /// Years that tallies are kept.
    pub keep_years: u16,
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
    /// Lengths of the event files as committed.
    lengths: BTreeMap<String, u64>,
    /// The part of each day's events that is being written.
    parts: BTreeMap<Period, u32>,
    watermark: Timestamp,
    refreshed: Option<Timestamp>,
}

impl Writer {
    /// Opens the store and brings the event files in line with it. The second value tells of what was repaired.
    pub fn open(setup: Setup) -> Result<(Self, Vec<String>), ReportError> {
        files::make_folder(&setup.settings.directory)?;
        let (mut store, told) = Store::open(&setup.state)?;
        store.undo_unfinished()?;
        store.set_meta("provenance", &serde_json::to_string(&setup.provenance).unwrap_or_default())?;
        let mut writer = Self {
            lengths: store.event_files()?.into_iter().collect(),
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
            parts: BTreeMap::new(),
            watermark: Timestamp(i64::MIN),
            refreshed: None,
        };
        let mut repaired: Vec<String> = told.into_iter().collect();
        repaired.extend(writer.repair_events()?);
        let hours = match writer.setup.mode {
            Mode::Live => writer.store.hours()?,
            Mode::Replay => writer.store.busy_hours()?,
        };
        for hour in hours {
            writer.note_hour(hour)?;
        }
        Ok((writer, repaired))
    }

    /// Identities counted in earlier runs, oldest first.
    pub fn identities(&self, limit: usize) -> Result<Vec<(AttemptId, i64)>, ReportError> {
        self.store.identities(limit)
    }

    /// The very end of a replay: what it counted stays, and its capture files, known by their hashes, count no more.
    pub fn finish_replay<'h>(&mut self, hashes: impl Iterator<Item = &'h str>) -> Result<(), ReportError> {
        self.store.finish_replay(hashes)
    }

    /// Takes new settings and provenance after a reload. The folders stay.
    pub fn reload(&mut self, settings: &Settings, provenance: Provenance) -> Result<(), ReportError> {
        let directory = std::mem::take(&mut self.setup.settings.directory);
        self.setup.settings = Settings { directory, ..settings.clone() };
        self.formats = settings.formats.iter().filter_map(|name| format::by_name(name)).collect();
        self.store.set_meta("provenance", &serde_json::to_string(&provenance).unwrap_or_default())?;
        self.setup.provenance = provenance;
        Ok(())
    }

    /// Records a snapshot: all of it or nothing. On an error it may be given again.
    pub fn record(&mut self, snapshot: &mut Snapshot) -> Result<(), ReportError> {
        self.watermark = self.watermark.max(snapshot.watermark);
        self.move_late(snapshot);
        let lengths = if self.setup.settings.events { self.append_events(snapshot)? } else { Vec::new() };
        let hour = self.watermark.hour();
        let extra = [
            (hour, "events_shed", snapshot.events_shed),
            (hour, "late_attempts", snapshot.late),
            (hour, "duplicate_attempts", snapshot.duplicates),
        ];
        self.store.add(snapshot, &lengths, &extra, self.setup.mode)?;
        self.lengths.extend(lengths);
        // A capture file may claim to span decades: periods in which it holds no packet get no report of their own.
        let live = self.setup.mode == Mode::Live;
        let watched = snapshot.watch.iter().filter(|(_, watch)| live || !watch.counters.is_empty());
        let hours: BTreeSet<Hour> =
            snapshot.rows.keys().map(|key| key.hour).chain(watched.map(|(hour, _)| *hour)).collect();
        for hour in hours {
            self.note_hour(hour)?;
        }
        Ok(())
    }

    /// Closes the periods that are over, and refreshes the open ones now and then.
    pub fn settle(&mut self) -> Result<(), ReportError> {
        let due: Vec<Period> = self
            .open
            .iter()
            .copied()
            .filter(|period| period.end().plus_micros(CLOSING_DELAY_MICROS) <= self.watermark)
            .collect();
        self.close_all(due)?;
        let stale = self.refreshed.is_none_or(|last| self.watermark.micros_since(last) >= REFRESH_MICROS);
        if self.setup.mode == Mode::Live && stale && self.watermark > Timestamp(i64::MIN) {
            self.refresh_open()?;
            self.refreshed = Some(self.watermark);
        }
        Ok(())
    }

    /// Begins a new part of the events files.
    pub fn rotate(&mut self) {
        for (day, part) in &mut self.parts {
            if self.lengths.get(&event_name(*day, *part)).is_some_and(|length| *length > 0) {
                *part += 1;
            }
        }
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
        let now = self.watermark.hour();
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
        let today = Period::containing(PeriodKind::Day, self.watermark);
        let late: Vec<_> =
            snapshot.sources.keys().filter(|key| self.closed_now.contains(&key.day)).cloned().collect();
        for key in late {
            if let Some(sums) = snapshot.sources.remove(&key) {
                snapshot.add_source(crate::tally::SourceDay { day: today, ..key }, sums.seen.0, sums.sums);
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

    /// Appends the event lines to the files of their days; gives back the files' new lengths.
    fn append_events(&mut self, snapshot: &Snapshot) -> Result<Vec<(String, u64)>, ReportError> {
        let mut days: BTreeMap<Period, String> = BTreeMap::new();
        for event in &snapshot.events {
            let mut day = Period::containing(PeriodKind::Day, event.attempt.time);
            if self.closed_now.contains(&day) {
                day = Period::containing(PeriodKind::Day, self.watermark);
            }
            days.entry(day).or_default().push_str(&events::line(event));
        }
        let mut lengths = Vec::new();
        for (day, lines) in days {
            let part = self.parts.entry(day).or_insert(1);
            let full = |part: u32| {
                self.lengths
                    .get(&event_name(day, part))
                    .is_some_and(|length| *length >= self.setup.settings.events_part.0)
            };
            while full(*part) {
                *part += 1;
            }
            let name = event_name(day, *part);
            let known = self.lengths.get(&name).copied().unwrap_or(0);
            let path = self.setup.settings.directory.join(&name);
            let append = || -> std::io::Result<()> {
                let mut file = OpenOptions::new().create(true).truncate(false).write(true).open(&path)?;
                // An attempt that failed half-way may have left bytes behind what was committed.
                file.set_len(known)?;
                file.seek(SeekFrom::Start(known))?;
                file.write_all(lines.as_bytes())?;
                if self.setup.mode == Mode::Live { file.sync_data() } else { Ok(()) }
            };
            append().map_err(ReportError::file("written", &path))?;
            lengths.push((name, known + lines.len() as u64));
        }
        Ok(lengths)
    }

    /// Cuts off event lines that no transaction counted; tells of files that are shorter than they should be.
    fn repair_events(&mut self) -> Result<Vec<String>, ReportError> {
        let mut told = Vec::new();
        let mut lengths = std::mem::take(&mut self.lengths);
        for (name, length) in &mut lengths {
            let path = self.setup.settings.directory.join(name.as_str());
            let Ok(found) = fs::metadata(&path).map(|metadata| metadata.len()) else { continue };
            if found > *length {
                let cut = File::options().write(true).open(&path).and_then(|file| file.set_len(*length));
                cut.map_err(ReportError::file("written", &path))?;
                told.push(format!(
                    "{}: {} bytes that were not counted are cut off",
                    path.display(),
                    found - *length
                ));
            } else if found < *length {
                told.push(format!(
                    "{}: {} bytes are missing; the tallies hold",
                    path.display(),
                    *length - found
                ));
                *length = found;
            }
        }
        for name in lengths.keys() {
            if let Some((day, part)) = parse_event_name(name) {
                let known = self.parts.entry(day).or_insert(part);
                *known = (*known).max(part);
            }
        }
        self.lengths = lengths;
        Ok(told)
    }

    fn note_hour(&mut self, hour: Hour) -> Result<(), ReportError> {
        for kind in self.kinds.clone() {
            let period = Period::containing(kind, hour.start());
            // A period that an earlier run closed is only opened again by new counts, see `record`.
            let first_look = self.watermark == Timestamp(i64::MIN);
            if self.open.contains(&period) || first_look && self.store.closed(period)?.is_some() {
                continue;
            }
            if !self.closed_now.contains(&period) {
                self.open.insert(period);
            }
        }
        Ok(())
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
        if days && self.setup.mode == Mode::Live {
            for gone in retention::tidy(&self.setup.settings, self.watermark)? {
                self.lengths.remove(&gone);
                self.store.forget_event_file(&gone)?;
            }
            let kept = u32::from(self.setup.keep_years) * 366;
            let day = crate::report::store::days_before(
                self.watermark,
                self.setup.settings.keep_events_days.max(366),
            );
            self.store.expire(day, crate::report::store::days_before(self.watermark, kept))?;
        }
        Ok(())
    }

    fn close(&mut self, period: Period) -> Result<(), ReportError> {
        let before = self.store.closed(period)?;
        let version = before.as_ref().map_or(1, |closed| closed.version + 1);
        let directory = self.setup.settings.directory.clone();
        if period.kind() == PeriodKind::Day && self.setup.settings.events {
            sources::write(&self.store, &directory, period)?;
            self.parts.remove(&period);
        }
        if self.setup.settings.periods.iter().any(|name| name == period.kind().name()) {
            let mut report = summary::build(&self.store, &Span::of(period), None, &self.setup.provenance)?;
            report.previous_sha256 = self.store.last_closed(period.kind().name())?;
            report.corrects = before.map(|closed| format!("{}.json", stem(period, closed.version)));
            let sealed = format::seal(&report);
            self.write_report(&report, &sealed, &stem(period, version))?;
            if self.setup.mode == Mode::Live {
                remove_open(&directory, period);
            }
            self.store.close(period, &Closed { version, sha256: format::hash_of(&sealed) })?;
        }
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

/// `report-2012-06`, or `report-2012-06.c2` for the first correction.
fn stem(period: Period, version: u32) -> String {
    if version <= 1 { format!("report-{period}") } else { format!("report-{period}.c{version}") }
}

/// The period and version of a closed report's JSON file, by its name.
pub fn parse_report_name(name: &str) -> Option<(Period, u32)> {
    let middle = name.strip_prefix("report-")?.strip_suffix(".json")?;
    match middle.split_once('.') {
        Some((period, version)) => Some((period.parse().ok()?, version.strip_prefix('c')?.parse().ok()?)),
        None => Some((middle.parse().ok()?, 1)),
    }
}

/// `events-2012-06-30.jsonl`, then `events-2012-06-30.2.jsonl`.
fn event_name(day: Period, part: u32) -> String {
    if part <= 1 { format!("events-{day}.jsonl") } else { format!("events-{day}.{part}.jsonl") }
}

fn parse_event_name(name: &str) -> Option<(Period, u32)> {
    let middle = name.strip_prefix("events-")?.strip_suffix(".jsonl")?;
    match middle.split_once('.') {
        Some((day, part)) => Some((day.parse().ok()?, part.parse().ok()?)),
        None => Some((middle.parse().ok()?, 1)),
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
