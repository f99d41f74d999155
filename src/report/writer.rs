//! The writer: records snapshots, closes periods. Pure of threads: the loop around it lives in app.
//!
//! Event lines are appended before the transaction that counts them, and the transaction notes how long each file
//! then is. What a crash left beyond that length was never counted and is cut off at the next start, so events and
//! tallies always agree.

pub mod closing;
mod late;
mod lines;
mod quiet;

use std::collections::BTreeSet;
use std::path::PathBuf;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use crate::config::privacy::{Addresses, Privacy};
use crate::config::report::Report as Settings;
use crate::config::state::State;
use crate::model::attempt::AttemptId;
use crate::model::period::{Period, PeriodKind};
use crate::model::place::PrefixLengths;
use crate::model::pseudonym::{KEY_KEPT_MICROS, MonthKey};
use crate::model::time::{MICROS_PER_SEC, Timestamp};
use crate::report::clock::Clock;
use crate::report::event_files::EventFiles;
use crate::report::format::{self, FormatRow};
use crate::report::names::stem;
use crate::report::provenance::Provenance;
use crate::report::rebuild::Watcher;
use crate::report::rebuild::repair::Repair;
use crate::report::shape::Report;
use crate::report::span::Span;
use crate::report::store::opening::Opened;
use crate::report::store::{Pulse, Store};
use crate::report::summary;
use crate::report::writer::quiet::Held;
use crate::report::zone::Zone;
use crate::report::{ReportError, files, reading, rebuild, tally_files};
use crate::tally::{OpenIncident, Snapshot};
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
    /// `origin.prefix_v4` and `origin.prefix_v6`.
    pub prefixes: PrefixLengths,
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
    /// Microseconds to be left between one refresh and the next.
    rest: i64,
    /// Called while the store works.
    pulse: Option<Pulse>,
    /// Whether it works for a report, which can be given up.
    building: Arc<AtomicBool>,
    /// Spans that a replay observed: remembered when it has come to its end.
    spans: Vec<(Timestamp, Timestamp)>,
    /// Why no event lines are written, while none are.
    stopped: Option<String>,
    /// Coverage and counters that wait for an attempt, or for long enough, to be written with.
    held: Held,
    /// Whether attempts were counted since the open reports were written.
    changed: bool,
    /// After a failure to write reports: when it is tried again.
    retry: Option<Timestamp>,
    /// What was counted again from event lines when the store was opened.
    repair: Option<Repair>,
}

impl Writer {
    /// Opens the store and brings it and the event files in line with each other. The second value tells of what was repaired.
    pub fn open(setup: Setup) -> Result<(Self, Vec<String>), ReportError> {
        Self::open_watched(setup, &mut |_| {})
    }

    /// The same; `watcher` is told of what takes time.
    pub fn open_watched(setup: Setup, watcher: Watcher<'_>) -> Result<(Self, Vec<String>), ReportError> {
        files::make_folder(&setup.settings.directory)?;
        Self::of(Store::open_whole(&setup.state.directory)?, setup, watcher)
    }

    /// Goes on with a new store in the place of one that turned out to be corrupt: it is moved aside and rebuilt. Gives what was
    /// done. After an error the next snapshot tries to open what is there by then.
    pub fn replace_store(
        &mut self,
        why: &ReportError,
        watcher: Watcher<'_>,
    ) -> Result<Vec<String>, ReportError> {
        // The lines of the snapshot that could not be counted come again with it.
        self.events.cut_uncounted()?;
        if self.store.is_temporary() {
            return self.go_on_with(Store::open_whole(&self.setup.state.directory)?, watcher);
        }
        let path = self.store.path().to_owned();
        // The corrupt one must be closed before it is moved.
        self.store = Store::temporary()?;
        self.go_on_with(Store::replace(&path, why)?, watcher)
    }

    fn go_on_with(&mut self, opened: Opened, watcher: Watcher<'_>) -> Result<Vec<String>, ReportError> {
        let (next, told) = Self::of(opened, self.setup.clone(), watcher)?;
        let before = std::mem::replace(self, next);
        self.clock = before.clock;
        self.held = before.held;
        self.stopped = before.stopped;
        self.changed = true;
        self.closed_now = before.closed_now;
        self.open.retain(|period| !self.closed_now.contains(period));
        self.repair = self.repair.take().or(before.repair);
        self.rest = before.rest;
        before.pulse.map_or(Ok(()), |pulse| self.set_pulse(pulse))?;
        Ok(told)
    }

    /// Has `pulse` called while the store works, as what is read for a report of a year may take long. Where it says true a report
    /// that is being made is given up, see [`ReportError::is_given_up`]; nothing else is.
    pub fn set_pulse(&mut self, pulse: Pulse) -> Result<(), ReportError> {
        self.pulse = Some(Arc::clone(&pulse));
        let building = Arc::clone(&self.building);
        self.store.set_pulse(Arc::new(move || pulse() && building.load(Ordering::Relaxed)))
    }

    /// The report of a period as it is now.
    fn build(&self, period: Period) -> Result<Report, ReportError> {
        self.building.store(true, Ordering::Relaxed);
        let built = summary::build(&self.store, &Span::of(period), None, &self.setup.provenance);
        self.building.store(false, Ordering::Relaxed);
        let mut report = built?;
        report.zone = Zone::of_setting(&self.setup.settings.time_zone);
        Ok(report)
    }

    fn of(
        mut opened: Opened,
        setup: Setup,
        watcher: Watcher<'_>,
    ) -> Result<(Self, Vec<String>), ReportError> {
        let mut repaired: Vec<String> = opened.told.iter().cloned().collect();
        opened.store.set_sources_per_day(u64::from(setup.state.sources_per_day));
        let (mut store, repair) = rebuild::bring_in_line(opened, &setup, watcher)?;
        repaired.extend(repair.as_ref().map(Repair::to_string));
        store.undo_unfinished()?;
        store.shed_untold()?;
        store.set_meta("provenance", &serde_json::to_string(&setup.provenance).unwrap_or_default())?;
        store.set_regime(&setup.provenance)?;
        store.set_meta(tally_files::SENSOR, &tally_files::sensor(&setup.settings))?;
        repaired.extend(fleet_key(&store, &setup.settings)?);
        let (events, cut) = EventFiles::open(&setup.settings.directory, store.event_files()?)?;
        for name in store.lines_to_cut()? {
            store.forget_to_cut(&name)?;
        }
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
            rest: 0,
            pulse: None,
            building: Arc::default(),
            spans: Vec::new(),
            stopped: None,
            held: Held::default(),
            changed: false,
            retry: None,
            repair,
        };
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
            // What an earlier run closed is only opened again by new counts, see `begin`: this run's, or those of one that was
            // killed before it had closed the period again.
            if !writer.store.is_closed(period)? || writer.store.is_reopened(period)? {
                writer.open.insert(period);
            }
        }
        Ok((writer, repaired))
    }

    /// Seconds of attempts that a kill may cost.
    pub const fn sync_secs(&self) -> u32 {
        self.setup.state.sync_secs
    }

    /// What was counted again from event lines when the store was opened.
    pub const fn repair(&self) -> Option<&Repair> {
        self.repair.as_ref()
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
        self.setup.prefixes = settings.origin.prefixes();
        self.store.set_sources_per_day(u64::from(settings.state.sources_per_day));
        self.formats = settings.report.formats.iter().filter_map(|name| format::by_name(name)).collect();
        self.store.set_meta("provenance", &serde_json::to_string(&provenance).unwrap_or_default())?;
        self.store.set_meta(tally_files::SENSOR, &tally_files::sensor(&self.setup.settings))?;
        self.store.set_regime(&provenance)?;
        self.setup.provenance = provenance;
        Ok(())
    }

    /// Records a snapshot: all of it or nothing. On an error it may be given again. One without attempts may be held back for a
    /// while: an idle gateway must not write all day.
    pub fn record(&mut self, snapshot: &mut Snapshot) -> Result<(), ReportError> {
        if self.store.is_temporary() {
            self.events.cut_uncounted()?;
            self.go_on_with(Store::open_whole(&self.setup.state.directory)?, &mut |_| {})?;
        }
        if self.clock.follow(snapshot.watermark, self.setup.mode) {
            self.refreshed = None;
        }
        if self.may_hold(snapshot)? {
            self.held.take(std::mem::take(snapshot));
            return Ok(());
        }
        self.changed |= !snapshot.is_quiet();
        snapshot.add_quiet(self.held.give());
        self.write(snapshot)
    }

    /// Writes a snapshot.
    fn write(&mut self, snapshot: &mut Snapshot) -> Result<(), ReportError> {
        self.reopen();
        self.move_late(snapshot);
        let lines::Appended { lengths, unwritten } = self.append_events(snapshot)?;
        let hour = self.hour_of(snapshot);
        let unjudged = snapshot.unjudged.iter().flat_map(|(counted, sums)| {
            let counted = self.open_hour(*counted, hour);
            sums.counters().map(|(name, count)| (counted, name, count))
        });
        let conversations = reading::counters(snapshot);
        let mut extra = vec![
            (hour, summary::EVENTS, snapshot.events_shed + unwritten),
            (hour, summary::EVENTS_UNWRITTEN, unwritten),
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
        let begun = self.begin(snapshot)?;
        self.store.add(snapshot, &lengths, &extra, self.setup.mode)?;
        // From here on it is counted: nothing may fail any more, or it would be given again.
        for name in self.events.committed(lengths) {
            self.store.forget_to_cut(&name)?;
        }
        if let Err(error) = self.turn_key(snapshot.pseudonym_month) {
            tracing::warn!(target: "gatewatch::retry", %error, "the key of pseudonyms could not be moved on; tried again with the next write");
        }
        if self.setup.mode == Mode::Replay {
            self.spans.append(&mut snapshot.spans);
        }
        self.open.extend(begun);
        Ok(())
    }

    /// Begins a new part of the events files.
    pub fn rotate(&mut self) {
        self.events.rotate();
    }

    /// The report of everything in the store that a period of the longest configured kind holds, for the last word of
    /// a run: the path of its text form, and the report. None where there is no time for it.
    pub fn last_word(&self) -> Result<Option<(PathBuf, Report)>, ReportError> {
        let latest = self.store.hours()?.last().copied();
        let kind = self.kinds.last().copied().unwrap_or(PeriodKind::Day);
        let Some(period) = latest.map(|hour| Period::containing(kind, hour.start())) else { return Ok(None) };
        let report = match self.build(period) {
            Err(error) if error.is_given_up() => return Ok(None),
            built => built?,
        };
        let stem = match self.store.closed(period)? {
            Some(closed) => stem(period, closed.version),
            None => format!("report-{period}.open"),
        };
        Ok(Some((self.setup.settings.directory.join(format!("{stem}.txt")), report)))
    }
}

/// Takes the key of the fleet for sketches; tells where it comes too late.
fn fleet_key(store: &Store, settings: &Settings) -> Result<Option<String>, ReportError> {
    let path = &settings.sketch_key_file;
    if path.as_os_str().is_empty() {
        return Ok(None);
    }
    let secret = std::fs::read(path).map_err(ReportError::file("read", path))?;
    let taken = store.set_sketch_key(secret.trim_ascii())?;
    Ok((!taken).then(|| {
        let path = path.display();
        format!("{path}: the store keeps sketches under another key already and goes on with that one")
    }))
}
