//! Event lines → the rows that they count in, by way of snapshots as the classifier gives them.

use std::collections::{BTreeMap, HashMap};
use std::sync::Arc;

use crate::model::class::Class;
use crate::model::period::{Period, PeriodKind};
use crate::model::place::{PrefixLengths, Sector, SourceKey, SourcePrefix};
use crate::model::time::{Hour, MICROS_PER_DAY, Timestamp};
use crate::report::ReportError;
use crate::report::event_lines::{EventFile, Line};
use crate::report::store::Store;
use crate::report::writer::Mode;
use crate::tally::{
    Campaign, CampaignId, FRAMES_MAX, FrameKey, IncidentKey, IncidentSums, Snapshot, SourceDay, SourceSums,
    Sums, TallyKey,
};

/// Rows that are added in one transaction: some megabytes.
const ROWS_MAX: usize = 8_192;
/// Incidents that are followed at once: some 10 MB. Of more those that are met later have no row among the largest.
const OPEN_MAX: usize = 65_536;

/// Whose incident it is.
type Whose = (Option<SourceKey>, Class, Arc<str>);

/// What was counted.
#[derive(Clone, Copy, Debug, Default)]
pub struct Sum {
    /// Attempts.
    pub attempts: u64,
    /// Lines that could not be read.
    pub unreadable: u64,
    /// First and last hour that got counts.
    pub hours: Option<(Hour, Hour)>,
}

/// Counts lines in a store.
pub struct Rows<'s> {
    store: &'s mut Store,
    prefixes: PrefixLengths,
    /// Whether addresses are written as they are.
    open: bool,
    snapshot: Snapshot,
    /// Files, and how much of each is counted with the snapshot: a run may go from one day's file to the next.
    reached: BTreeMap<String, u64>,
    /// Attempts that the store has counted and whose line was not written yet: the next lines stand for them.
    untold: BTreeMap<Hour, u64>,
    incidents: HashMap<Whose, Open, ahash::RandomState>,
    /// Hour of the last line that counted in its own day.
    hour: Option<Hour>,
    sum: Sum,
}

/// An incident that may go on.
struct Open {
    first: Timestamp,
    sums: IncidentSums,
    minute: (i64, u64),
}

impl<'s> Rows<'s> {
    /// Counts in `store`; `open` says whether addresses are written as they are.
    pub fn new(store: &'s mut Store, prefixes: PrefixLengths, open: bool) -> Result<Self, ReportError> {
        let untold = store.untold()?;
        Ok(Self {
            store,
            prefixes,
            open,
            snapshot: Snapshot::default(),
            reached: BTreeMap::new(),
            untold,
            incidents: HashMap::default(),
            hour: None,
            sum: Sum::default(),
        })
    }

    /// What was counted so far.
    pub const fn sum(&self) -> Sum {
        self.sum
    }

    /// What is counted from now on was counted in the way of that number; 0 is not told.
    pub fn count_in(&mut self, regime: i64) -> Result<(), ReportError> {
        self.flush()?;
        self.store.use_regime(regime);
        Ok(())
    }

    /// A file begins.
    pub fn begin(&mut self) {
        self.hour = None;
        if let Some(newest) = self.incidents.values().map(|open| open.sums.last).max() {
            self.incidents.retain(|_, open| newest.micros_since(open.sums.last) <= MICROS_PER_DAY);
        }
    }

    /// Counts a line of a file, none where it cannot be read; the file is counted up to byte `at` then.
    pub fn take(&mut self, file: &EventFile, line: Option<&Line>, at: u64) -> Result<(), ReportError> {
        match line {
            Some(line) => self.count(line, file.day),
            None => self.sum.unreadable += 1,
        }
        if !file.is_compressed() {
            match self.reached.get_mut(&file.name) {
                Some(reached) => *reached = at,
                None => drop(self.reached.insert(file.name.clone(), at)),
            }
        }
        if self.snapshot.len() >= ROWS_MAX { self.flush() } else { Ok(()) }
    }

    /// Notes a line's identity alone: its attempt is counted.
    pub fn note_id(&mut self, line: &Line) -> Result<(), ReportError> {
        self.snapshot.add_id(line.id, line.time.secs());
        if self.snapshot.ids.len() >= ROWS_MAX { self.flush() } else { Ok(()) }
    }

    /// Brings what was taken to the store.
    pub fn flush(&mut self) -> Result<(), ReportError> {
        let mut snapshot = std::mem::take(&mut self.snapshot);
        let files: Vec<(String, u64)> = std::mem::take(&mut self.reached).into_iter().collect();
        if snapshot.is_empty() && files.is_empty() {
            return Ok(());
        }
        snapshot.untold.clone_from(&self.untold);
        self.store.add(&snapshot, &files, &[], Mode::Live)
    }

    fn count(&mut self, line: &Line, day: Period) {
        // What came after its own day was closed stands in the file of the day that it counts in.
        let late = Period::containing(PeriodKind::Day, line.time) != day;
        let hour = if late { self.hour.unwrap_or(day.first_hour()) } else { line.time.hour() };
        if !late {
            self.hour = Some(hour);
        }
        self.follow(line);
        let attempts = line.attempts - self.told_now(line, hour);
        if attempts == 0 {
            return;
        }
        let in_part = attempts < line.attempts;
        let within = |units: u64| if in_part { units.min(attempts) } else { units };
        let sums = Sums {
            attempts,
            sessions: within(line.sessions),
            incidents: within(line.incidents),
            compared: if line.second.0 { attempts } else { 0 },
            disputed: if line.second.1 { attempts } else { 0 },
        };
        self.sum.attempts += attempts;
        let (first, last) = self.sum.hours.unwrap_or((hour, hour));
        self.sum.hours = Some((first.min(hour), last.max(hour)));
        self.snapshot.add_id(line.id, line.time.secs());
        self.add(line, (hour, day), sums);
    }

    /// Attempts of a line that the store has counted already: they waited for it.
    fn told_now(&mut self, line: &Line, hour: Hour) -> u64 {
        if line.incident.is_none() {
            return 0;
        }
        let mut told = 0;
        for (_, waiting) in self.untold.range_mut(..=hour).rev() {
            let now = (*waiting).min(line.attempts - told);
            *waiting -= now;
            told += now;
        }
        self.untold.retain(|_, waiting| *waiting > 0);
        told
    }

    /// Every row that the attempts of a line are in.
    fn add(&mut self, line: &Line, (hour, day): (Hour, Period), sums: Sums) {
        let Line { site, class, grade, place, sector, headline, .. } = line.clone();
        let overseas = headline && sector == Sector::Overseas;
        let snapshot = &mut self.snapshot;
        if let Some((asn, Some(org))) = &line.system {
            snapshot.add_system(*asn, org);
        }
        let frames = FrameKey { hour, site: Arc::clone(&site), frames: line.frames.clamp(1, FRAMES_MAX) };
        let entry = snapshot.frames.entry(frames).or_default();
        entry.attempts += sums.attempts;
        entry.headline += if headline { sums.attempts } else { 0 };
        entry.overseas += if overseas { sums.attempts } else { 0 };
        if line.incidents > 0 && line.campaign != CampaignId(0) {
            // What its client and payload looked like stands in no line.
            snapshot.add_campaign(Campaign {
                id: line.campaign,
                class,
                rule: Arc::clone(&line.rule),
                client: "".into(),
                payload: "".into(),
            });
        }
        let prefix = |source: std::net::IpAddr| match line.prefix {
            // Of a source that is not written only the network is known.
            Some(network) if !self.open => SourcePrefix::of(network.addr(), self.prefixes),
            _ => SourcePrefix::of(source, self.prefixes),
        };
        let of_source = SourceDay {
            day,
            source: line.source.map(|source| (SourceKey::of(source), prefix(source))),
            place,
            asn: line.system.as_ref().map(|(asn, _)| *asn),
            grade,
            class,
            site: Arc::clone(&site),
            headline,
            campaign: line.campaign,
            sector,
        };
        let begun = line.incident.filter(|_| line.incidents > 0).map_or(line.time, |(first, ..)| first);
        let seen = SourceSums {
            sums,
            seen: (begun.min(line.time), line.time),
            registered: line.registered,
            infrastructure: line.infrastructure,
            ..SourceSums::at(line.time)
        };
        snapshot.add_source(of_source, &seen);
        let label = line.label.clone();
        snapshot.add_row(TallyKey { hour, site, class, grade, place, sector, label, headline }, sums);
    }

    /// Follows the incident that a line belongs to. One whose begin was not met has no row: how large it was is not known.
    fn follow(&mut self, line: &Line) {
        let source = line.source.map(SourceKey::of);
        let whose = (source, line.class, Arc::clone(&line.site));
        let (first, last, peak) = line.incident.unwrap_or((line.time, line.time, 0));
        if line.incidents > 0 && (self.incidents.len() < OPEN_MAX || self.incidents.contains_key(&whose)) {
            let sums = IncidentSums {
                last,
                attempts: 0,
                peak_per_minute: 0,
                headline: line.headline,
                place: line.place,
                grade: line.grade,
            };
            self.incidents.insert(whose.clone(), Open { first, sums, minute: (0, 0) });
        }
        let Some(open) = self.incidents.get_mut(&whose) else { return };
        open.sums.attempts += line.attempts;
        open.sums.last = open.sums.last.max(last);
        open.sums.headline |= line.headline;
        let minute = line.time.secs().div_euclid(60);
        if minute > open.minute.0 {
            open.minute = (minute, 0);
        }
        if minute == open.minute.0 && line.incident.is_none() {
            open.minute.1 += line.attempts;
        }
        open.sums.peak_per_minute = open.sums.peak_per_minute.max(open.minute.1).max(peak);
        let key = IncidentKey { first: open.first, source, class: line.class, site: whose.2 };
        self.snapshot.add_incident(key, open.sums);
    }
}
