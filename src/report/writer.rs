//! The writer: records snapshots, closes periods. Pure of threads: the loop around it lives in app.
//!
//! Event lines are appended before the transaction that counts them, and the transaction notes how long each file
//! then is. What a crash left beyond that length was never counted and is cut off at the next start, so events and
//! tallies always agree.

pub mod closing;
mod late;
mod lines;

use std::collections::BTreeSet;
use std::path::PathBuf;

use crate::config::privacy::{Addresses, Privacy};
use crate::config::report::Report as Settings;
use crate::config::state::State;
use crate::model::attempt::AttemptId;
use crate::model::period::{Period, PeriodKind};
use crate::model::pseudonym::{KEY_KEPT_MICROS, MonthKey};
use crate::model::time::{MICROS_PER_SEC, Timestamp};
use crate::report::clock::Clock;
use crate::report::event_files::EventFiles;
use crate::report::format::{self, FormatRow};
use crate::report::names::stem;
use crate::report::provenance::Provenance;
use crate::report::shape::Report;
use crate::report::span::Span;
use crate::report::store::Store;
use crate::report::summary;
use crate::report::{ReportError, files, reading, tally_files};
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
    /// Why no event lines are written, while none are.
    stopped: Option<String>,
    /// After a failure to write reports: when it is tried again.
    retry: Option<Timestamp>,
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
        let mut repaired: Vec<String> = told.into_iter().collect();
        store.set_meta(tally_files::SENSOR, &tally_files::sensor(&setup.settings))?;
        repaired.extend(fleet_key(&store, &setup.settings)?);
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
            stopped: None,
            retry: None,
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
        self.store.set_meta(tally_files::SENSOR, &tally_files::sensor(&self.setup.settings))?;
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
        self.events.committed(lengths);
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
