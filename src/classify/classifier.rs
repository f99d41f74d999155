//! The classifier: takes records in, adds them up, gives snapshots out. Pure: the thread around it lives in app.

use std::sync::Arc;

use ipnet::IpNet;

use crate::classify::client::attribute;
use crate::classify::doubt::Doubts;
use crate::classify::geo::{DatabaseInfo, Geo};
use crate::classify::incident::Incidents;
use crate::classify::sector::Home;
use crate::classify::seen::Seen;
use crate::classify::site::{Fallback, Sites};
use crate::config::Settings;
use crate::model::attempt::{Attempt, AttemptId};
use crate::model::grade::Grade;
use crate::model::origin::Origin;
use crate::model::period::{Period, PeriodKind};
use crate::model::place::{Place, Sector, SourceKey};
use crate::model::progress::Progress;
use crate::model::time::Timestamp;
use crate::tally::{Event, FRAMES_MAX, FrameKey, Snapshot, SourceDay, Sums, TallyKey};

/// Event lines buffered between two snapshots; beyond it they are shed and counted, never the counts.
const EVENTS_MAX: usize = 16_384;

/// What depends on the settings.
struct Rules {
    home: Home,
    sites: Sites,
    trusted: Vec<IpNet>,
}

/// Adds attempts up.
pub struct Classifier {
    rules: Rules,
    fallback: Fallback,
    geo: Geo,
    seen: Seen,
    incidents: Incidents,
    doubts: Doubts,
    /// How far each worker is.
    reached: Vec<Option<Timestamp>>,
    /// Up to where time was counted as observed.
    observed: Option<Timestamp>,
    /// Whether event lines wait for the reporter (replay) instead of being shed.
    keeps_events: bool,
    delta: Snapshot,
}

impl Rules {
    fn new(settings: &Settings, fallback: &Fallback) -> Self {
        Self {
            home: Home::new(&settings.origin),
            sites: Sites::new(&settings.site, fallback.clone()),
            trusted: settings.origin.trusted_proxies.iter().map(|network| network.0).collect(),
        }
    }
}

impl Classifier {
    /// A classifier of `workers` capture workers. Of the memory limit an eighth is for identities and a sixteenth
    /// for open incidents.
    pub fn new(
        settings: &Settings,
        geo: Geo,
        fallback: Fallback,
        workers: usize,
        keeps_events: bool,
    ) -> Self {
        let memory = usize::try_from(settings.memory.limit.0).unwrap_or(usize::MAX);
        Self {
            rules: Rules::new(settings, &fallback),
            fallback,
            geo,
            seen: Seen::new(memory / 8),
            incidents: Incidents::new(memory / 16, settings.report.incident_gap_mins),
            doubts: Doubts::default(),
            reached: vec![None; workers],
            observed: None,
            keeps_events,
            delta: Snapshot::default(),
        }
    }

    /// Identities that it can remember.
    pub const fn identities_max(&self) -> usize {
        self.seen.capacity()
    }

    /// Takes the identities of earlier runs, oldest first.
    pub fn preload(&mut self, ids: impl IntoIterator<Item = (AttemptId, i64)>) {
        for (id, second) in ids {
            self.seen.preload(id, second);
        }
    }

    /// Replaces what depends on the settings; counts, identities and open incidents stay.
    pub fn reload(&mut self, settings: &Settings, geo: Option<Geo>) {
        self.rules = Rules::new(settings, &self.fallback);
        self.incidents.set_gap(settings.report.incident_gap_mins);
        if let Some(geo) = geo {
            self.geo = geo;
        }
    }

    /// The databases in use.
    pub fn databases(&self) -> Vec<DatabaseInfo> {
        self.geo.infos()
    }

    /// Counts one attempt.
    pub fn attempt(&mut self, attempt: Box<Attempt>) {
        let is_new = self.seen.is_new(attempt.id, attempt.time);
        let forwarded = attempt.http.as_ref().and_then(|http| http.forwarded.as_deref());
        let (client, grade) = attribute(&self.rules.trusted, attempt.client.ip(), forwarded, attempt.grade);
        let source = SourceKey::of(client);
        let origin = if grade == Grade::X {
            Arc::new(Origin::of_place(Place::Proxy))
        } else {
            self.geo.origin(source)
        };
        let sector = self.rules.home.sector(client, origin.place, grade);
        let (label, label_counts) = self.rules.home.label(client);
        let host = attempt.http.as_ref().and_then(|http| http.hostname.as_deref());
        let (site, site_counts) = self.rules.sites.site(attempt.server, host);
        let class = attempt.judgement.class;
        // A copy counts nothing, but the incident that it belongs to goes on: an earlier run may have counted it.
        let begins = self.incidents.begins(source, class, &site, attempt.time);
        if !is_new {
            self.delta.duplicates += 1;
            return;
        }
        self.delta.ids.push((attempt.id, attempt.time.secs()));
        let sums =
            Sums { attempts: 1, sessions: u64::from(attempt.opens_session), incidents: u64::from(begins) };
        let headline = class.in_headline() && site_counts && label_counts && grade.is_proven();
        let key = TallyKey {
            hour: attempt.time.hour(),
            site: Arc::clone(&site),
            class,
            grade,
            place: origin.place,
            sector,
            label,
            headline,
        };
        let day = SourceDay {
            day: Period::containing(PeriodKind::Day, attempt.time),
            source,
            place: origin.place,
            asn: origin.asn,
            grade,
            class,
            site: Arc::clone(&site),
            headline,
        };
        let frames = attempt.frames.clamp(1, FRAMES_MAX);
        let frames = FrameKey { hour: key.hour, site: Arc::clone(&site), frames };
        self.delta.add_frames(frames, headline, sector == Sector::Overseas);
        self.doubts.note(&attempt, source, &site, &mut self.delta);
        self.delta.add_row(key, sums);
        self.delta.add_source(day, attempt.time, sums);
        if self.keeps_events || self.delta.events.len() < EVENTS_MAX {
            self.delta.events.push(Event { attempt, client, grade, site, origin: Origin::clone(&origin) });
        } else {
            self.delta.events_shed += 1;
        }
    }

    /// Takes a worker's progress.
    pub fn progress(&mut self, worker: usize, progress: &Progress) {
        if let Some(reached) = self.reached.get_mut(worker) {
            *reached = Some(reached.map_or(progress.now, |known| known.max(progress.now)));
        }
        if let Some((from, to)) = progress.observed {
            // Several interfaces watch the same time: only what lies beyond the known end is new.
            let from = self.observed.map_or(from, |known| known.max(from));
            if from < to {
                self.delta.add_observed(from, to);
                self.observed = Some(to);
            }
        }
        self.delta.add_counters(progress.hour, &progress.counters);
        if let Some(slowest) = self.reached.iter().copied().collect::<Option<Vec<_>>>()
            && let Some(watermark) = slowest.into_iter().min()
        {
            self.delta.watermark = self.delta.watermark.max(watermark);
        }
    }

    /// Rows counted since the last snapshot.
    pub fn pending(&self) -> usize {
        self.delta.len()
    }

    /// Gives out what was counted since the last snapshot.
    pub fn take_snapshot(&mut self) -> Snapshot {
        let watermark = self.delta.watermark;
        let snapshot = std::mem::take(&mut self.delta);
        self.delta.watermark = watermark;
        snapshot
    }
}
