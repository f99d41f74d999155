//! The classifier: takes records in, adds them up, gives snapshots out. Pure: the thread around it lives in app.

mod count;
mod judge;

use crate::classify::behaviour::{Behaviours, Judged};
use crate::classify::client::Proxies;
use crate::classify::database::DatabaseInfo;
use crate::classify::doubt::Doubts;
use crate::classify::geo::Geo;
use crate::classify::incident::Incidents;
use crate::classify::lines::Lines;
use crate::classify::observed::Observed;
use crate::classify::privacy::Anonymiser;
use crate::classify::sector::Home;
use crate::classify::seen::Seen;
use crate::classify::site::{Fallback, Sites};
use crate::config::Settings;
use crate::model::attempt::AttemptId;
use crate::model::memory::Share;
use crate::model::place::PrefixLengths;
use crate::model::progress::Progress;
use crate::model::pseudonym::MonthKey;
use crate::model::time::Timestamp;
use crate::tally::event::Stage;
use crate::tally::{OpenIncident, Snapshot};

/// Event lines buffered between two snapshots of a live capture; beyond it they are shed and counted, never the counts.
const EVENTS_MAX: usize = 16_384;

/// What depends on the settings.
struct Rules {
    home: Home,
    sites: Sites,
    proxies: Proxies,
    prefixes: PrefixLengths,
}

/// Adds attempts up.
pub struct Classifier {
    rules: Rules,
    fallback: Fallback,
    geo: Geo,
    /// The memory limit.
    memory: usize,
    seen: Seen,
    incidents: Incidents,
    doubts: Doubts,
    lines: Lines,
    privacy: Anonymiser,
    /// How far each worker is.
    reached: Vec<Option<Timestamp>>,
    /// The time that was counted as observed.
    observed: Observed,
    /// Event lines buffered between two snapshots: in a replay all, for they wait for the reporter instead of being shed.
    events_max: usize,
    behaviours: Behaviours,
    /// Acts just judged: kept for its room.
    judged: Judged,
    delta: Snapshot,
}

impl Rules {
    fn new(settings: &Settings, fallback: &Fallback) -> Self {
        Self {
            home: Home::new(&settings.origin),
            sites: Sites::new(&settings.site, fallback.clone()),
            proxies: Proxies::new(&settings.origin),
            prefixes: settings.origin.prefixes(),
        }
    }
}

impl Classifier {
    /// A classifier of `workers` capture workers.
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
            geo: geo.within(Share::Origins.of(memory)),
            memory,
            seen: Seen::new(Share::Identities.of(memory)),
            incidents: Incidents::new(Share::Incidents.of(memory), settings.report.incident_gap_mins),
            doubts: Doubts::default(),
            lines: Lines::new(Share::Lines.of(memory), settings.report.incident_gap_mins),
            privacy: Anonymiser::new(
                settings.privacy.addresses,
                settings.origin.prefixes(),
                MonthKey { month: None, key: [0; 32] },
            ),
            reached: vec![None; workers],
            observed: Observed::default(),
            events_max: if keeps_events { usize::MAX } else { EVENTS_MAX },
            behaviours: Behaviours::new(Share::Behaviours.of(memory), settings),
            judged: Judged::default(),
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

    /// Takes the spans that earlier runs observed.
    pub fn preload_observed(&mut self, spans: impl IntoIterator<Item = (Timestamp, Timestamp)>) {
        for (from, to) in spans {
            self.observed.add(from, to);
        }
    }

    /// Takes the incidents that were open when an earlier run ended.
    pub fn preload_incidents(&mut self, open: Vec<OpenIncident>) {
        for incident in open {
            self.incidents.preload(incident);
        }
    }

    /// Takes the key of pseudonyms that the store keeps.
    pub fn set_month_key(&mut self, key: MonthKey) {
        self.privacy.set_key(key);
    }

    /// Replaces what is a site where the settings name none; a reload follows.
    pub fn take_fallback(&mut self, fallback: Fallback) {
        self.fallback = fallback;
    }

    /// Replaces what depends on the settings; counts, identities and open incidents stay.
    pub fn reload(&mut self, settings: &Settings, geo: Option<Geo>) {
        self.rules = Rules::new(settings, &self.fallback);
        self.privacy.reload(settings.privacy.addresses, self.rules.prefixes);
        self.incidents.set_gap(settings.report.incident_gap_mins);
        self.lines.set_gap(settings.report.incident_gap_mins);
        self.behaviours.reload(settings);
        if let Some(geo) = geo {
            self.geo = geo.within(Share::Origins.of(self.memory));
        }
    }

    /// The databases in use.
    pub fn databases(&self) -> Vec<DatabaseInfo> {
        self.geo.infos()
    }

    /// The end of the records: judges what was held for the order of time, closes every window, and every attempt gets its line.
    pub fn finish(&mut self) {
        while let Some(contact) = self.behaviours.last() {
            self.judge_one(&contact);
        }
        self.behaviours.finish(&mut self.judged);
        self.count_judged();
        let limit = self.events_max;
        // Where capture only pauses, incidents may go on.
        let stage = if limit == usize::MAX { Stage::End } else { Stage::Continues };
        self.lines.finish(stage, &mut |event| self.delta.add_event(event, limit));
    }

    /// Takes a worker's progress.
    pub fn progress(&mut self, worker: usize, progress: &Progress) {
        if let Some(reached) = self.reached.get_mut(worker) {
            // A clock that was set back is followed at once.
            let known = reached.filter(|_| !progress.stepped);
            *reached = Some(known.map_or(progress.now, |known| known.max(progress.now)));
        }
        if let Some((from, to)) = progress.observed {
            // Several interfaces watch the same time, and a clock that was set back shows some of it again.
            for (from, to) in self.observed.add(from, to) {
                self.delta.add_observed(from, to);
            }
        }
        if !progress.counters.is_empty() {
            self.delta.add_counters(progress.hour, &progress.counters);
        }
        for (server, counts) in &progress.served {
            let (site, _) = self.rules.sites.site(*server, None);
            let known = self.delta.conversations.entry((progress.hour, site)).or_default();
            for (known, more) in known.iter_mut().zip(counts) {
                *known += more;
            }
        }
        if let Some(slowest) = self.reached.iter().copied().collect::<Option<Vec<_>>>()
            && let Some(watermark) = slowest.into_iter().min()
        {
            self.delta.watermark = watermark;
            let limit = self.events_max;
            self.lines.advance(watermark, &mut |event| self.delta.add_event(event, limit));
        }
        self.judge();
    }

    /// Rows counted since the last snapshot.
    pub fn pending(&self) -> usize {
        self.delta.len()
    }

    /// Gives out what was counted since the last snapshot.
    pub fn take_snapshot(&mut self) -> Snapshot {
        let watermark = self.delta.watermark;
        let mut snapshot = std::mem::take(&mut self.delta);
        snapshot.untold = self.lines.untold();
        self.delta.watermark = watermark;
        snapshot
    }
}
