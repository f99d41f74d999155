//! The classifier: takes records in, adds them up, gives snapshots out. Pure: the thread around it lives in app.

use std::net::IpAddr;
use std::sync::Arc;

use crate::classify::behaviour::{Aim, Behaviours, Judged};
use crate::classify::campaign;
use crate::classify::client::Proxies;
use crate::classify::database::DatabaseInfo;
use crate::classify::doubt::Doubts;
use crate::classify::geo::Geo;
use crate::classify::incident::{Incidents, Placed};
use crate::classify::lines::Lines;
use crate::classify::observed::Observed;
use crate::classify::privacy::Anonymiser;
use crate::classify::sector::Home;
use crate::classify::seen::{Seen, Sighting};
use crate::classify::site::{Fallback, Sites};
use crate::config::Settings;
use crate::model::attempt::{Attempt, AttemptId};
use crate::model::class::Unit;
use crate::model::contact::{Act, Contact, Surge};
use crate::model::grade::Grade;
use crate::model::origin::Origin;
use crate::model::period::{Period, PeriodKind};
use crate::model::place::{Place, PrefixLengths, Sector, SourceKey, SourcePrefix};
use crate::model::progress::Progress;
use crate::model::pseudonym::MonthKey;
use crate::model::time::Timestamp;
use crate::tally::{
    CampaignId, Event, FRAMES_MAX, FrameKey, OpenIncident, Snapshot, SourceDay, SourceSums, Stage, Sums,
    TallyKey, Unjudged,
};

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

/// Who sent an attempt.
struct Who {
    client: IpAddr,
    /// The client as it is written.
    written: IpAddr,
    grade: Grade,
    source: SourceKey,
    origin: Arc<Origin>,
    sector: Sector,
    label: Option<Arc<str>>,
    /// Whether attempts with that label count in the headline.
    label_counts: bool,
}

/// What an attempt counts as.
struct Counted {
    sums: Sums,
    site: Arc<str>,
    headline: bool,
    campaign: CampaignId,
}

impl Rules {
    fn new(settings: &Settings, fallback: &Fallback) -> Self {
        Self {
            home: Home::new(&settings.origin),
            sites: Sites::new(&settings.site, fallback.clone()),
            proxies: Proxies::new(&settings.origin),
            prefixes: (settings.origin.prefix_v4, settings.origin.prefix_v6),
        }
    }
}

impl Classifier {
    /// A classifier of `workers` capture workers. Of the memory limit an eighth is for identities, another for what
    /// sources did, a sixteenth for open incidents, another for origins, and a half of one for the lines of incidents.
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
            geo: geo.within(memory / 16),
            memory,
            seen: Seen::new(memory / 8),
            incidents: Incidents::new(memory / 16, settings.report.incident_gap_mins),
            doubts: Doubts::default(),
            lines: Lines::new(memory / 32, settings.report.incident_gap_mins),
            privacy: Anonymiser::new(
                settings.privacy.addresses,
                (settings.origin.prefix_v4, settings.origin.prefix_v6),
                MonthKey { month: None, key: [0; 32] },
            ),
            reached: vec![None; workers],
            observed: Observed::default(),
            events_max: if keeps_events { usize::MAX } else { EVENTS_MAX },
            behaviours: Behaviours::new(memory / 8, settings),
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

    /// Replaces what depends on the settings; counts, identities and open incidents stay.
    pub fn reload(&mut self, settings: &Settings, geo: Option<Geo>) {
        self.rules = Rules::new(settings, &self.fallback);
        self.privacy.reload(settings.privacy.addresses, self.rules.prefixes);
        self.incidents.set_gap(settings.report.incident_gap_mins);
        self.lines.set_gap(settings.report.incident_gap_mins);
        self.behaviours.reload(settings);
        if let Some(geo) = geo {
            self.geo = geo.within(self.memory / 16);
        }
    }

    /// The databases in use.
    pub fn databases(&self) -> Vec<DatabaseInfo> {
        self.geo.infos()
    }

    /// Counts one attempt.
    pub fn attempt(&mut self, mut attempt: Box<Attempt>) {
        let is_new = self.seen.sight(attempt.id, attempt.time) == Sighting::New;
        let who = self.who(&attempt);
        let host = attempt.http.as_ref().and_then(|http| http.hostname.as_deref());
        let class = attempt.judgement.class;
        let (site, site_counts) = match class.row().unit {
            Unit::FloodSecond | Unit::Probe => self.rules.sites.target(attempt.server),
            Unit::Login | Unit::Request => self.rules.sites.site(attempt.server, host),
        };
        // A copy counts nothing, but the incident that it belongs to goes on: an earlier run may have counted it.
        let incident = (who.source, class, &site);
        let placed = self.incidents.place(incident, attempt.time, || campaign::of(&attempt));
        if !is_new {
            self.delta.duplicates += 1;
            return;
        }
        self.delta.add_id(attempt.id, attempt.time.secs());
        let stage = if matches!(placed, Placed::Begins(_)) { Stage::Begin } else { Stage::Continues };
        let counted = Counted {
            headline: class.in_headline() && site_counts && who.label_counts && who.grade.is_proven(),
            sums: Sums {
                attempts: 1,
                sessions: u64::from(attempt.opens_session),
                incidents: u64::from(matches!(placed, Placed::Begins(_))),
                compared: u64::from(who.origin.second.is_some()),
                disputed: u64::from(who.origin.is_disputed()),
            },
            site: Arc::clone(&site),
            campaign: self.noted(placed),
        };
        self.add(&attempt, &who, &counted);
        self.doubts.note(&attempt, who.source, &site, &mut self.delta);
        self.delta.pseudonym_month = self.privacy.month();
        let mut origin = Origin::clone(&who.origin);
        self.privacy.hide(&mut attempt, who.client, &mut origin);
        let event = Event {
            attempt,
            client: who.written,
            hidden: !self.privacy.is_open(),
            grade: who.grade,
            site: Arc::clone(&site),
            origin,
            represented: 1,
            incident: None,
        };
        let limit = self.events_max;
        let mut tell = |event| self.delta.add_event(event, limit);
        if class.is_web() {
            tell(event);
        } else {
            self.lines.note((who.source, class, site, who.grade), stage, event, &mut tell);
        }
    }

    /// Who sent it, from where, proven how well.
    fn who(&mut self, attempt: &Attempt) -> Who {
        let (client, grade) =
            self.rules.proxies.attribute(attempt.client.ip(), attempt.http.as_ref(), attempt.grade);
        let source = SourceKey::of(client);
        let origin = match grade {
            Grade::X => Arc::new(Origin::of_place(Place::Proxy)),
            // Nobody in particular: a flood from forged addresses.
            _ if client.is_unspecified() => Arc::new(Origin::of_place(Place::Unknown)),
            _ => self.geo.origin(source),
        };
        let sector = self.rules.home.sector(client, origin.place, grade);
        let (label, label_counts) = self.rules.home.label(client);
        let written = self.privacy.written(client, attempt.time);
        Who { client, written, grade, source, origin, sector, label, label_counts }
    }

    /// The campaign of an incident; one that begins is described in the snapshot.
    fn noted(&mut self, placed: Placed) -> CampaignId {
        match placed {
            Placed::Begins(campaign) => {
                let id = campaign.id;
                self.delta.add_campaign(campaign);
                id
            }
            Placed::Continues(id) => id,
        }
    }

    /// Adds to every row that an attempt counts in.
    fn add(&mut self, attempt: &Attempt, who: &Who, counted: &Counted) {
        let Counted { sums, site, headline, campaign } = counted;
        let (class, headline) = (attempt.judgement.class, *headline);
        if let (Some(asn), Some(org)) = (who.origin.asn, &who.origin.as_org) {
            self.delta.add_system(asn, org);
        }
        let frames = FrameKey {
            hour: attempt.time.hour(),
            site: Arc::clone(site),
            frames: attempt.frames.clamp(1, FRAMES_MAX),
        };
        self.delta.add_frames(frames, headline, who.sector == Sector::Overseas);
        let row = TallyKey {
            hour: attempt.time.hour(),
            site: Arc::clone(site),
            class,
            grade: who.grade,
            place: who.origin.place,
            sector: who.sector,
            label: who.label.clone(),
            headline,
        };
        self.delta.add_row(row, *sums);
        let day = SourceDay {
            day: Period::containing(PeriodKind::Day, attempt.time),
            // What nobody in particular did is in the remainder of sources.
            source: (!who.client.is_unspecified())
                .then(|| (SourceKey::of(who.written), SourcePrefix::of(who.client, self.rules.prefixes))),
            place: who.origin.place,
            asn: who.origin.asn,
            grade: who.grade,
            class,
            site: Arc::clone(site),
            headline,
            campaign: *campaign,
            sector: who.sector,
        };
        let of_source = SourceSums {
            sums: *sums,
            registered: who.origin.registered,
            infrastructure: who.origin.infrastructure,
            ..SourceSums::at(attempt.time)
        };
        self.delta.add_source(day, &of_source);
    }

    /// Takes what became of a first contact or of a credential. What this run counted already is a copy.
    pub fn contact(&mut self, contact: &Contact) {
        if self.seen.look(contact.id, contact.time) != Sighting::Again {
            self.behaviours.push(contact.clone());
        }
        self.judge();
    }

    /// Takes one second of a flood.
    pub fn surge(&mut self, surge: &Surge) {
        self.behaviours.surge(surge, &mut self.judged);
        self.judge();
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

    /// Judges the acts that all workers have passed. One worker alone is never behind itself.
    fn judge(&mut self) {
        let reached = match self.reached.as_slice() {
            [one] => one.map_or(self.behaviours.newest(), |reached| reached.max(self.behaviours.newest())),
            _ => self.delta.watermark,
        };
        while let Some(contact) = self.behaviours.next(reached) {
            self.judge_one(&contact);
        }
        self.behaviours.progress(reached, &mut self.judged);
        self.count_judged();
    }

    fn judge_one(&mut self, contact: &Contact) {
        let http = contact.http.as_deref();
        let (client, grade) = self.rules.proxies.attribute(contact.client.ip(), http, contact.grade);
        let (site, is_ours) = match contact.act {
            Act::Login(_) => {
                let host = http.and_then(|http| http.hostname.as_deref());
                self.rules.sites.site(contact.server, host)
            }
            Act::Touched(_) | Act::Unmet(_) => self.rules.sites.target(contact.server),
        };
        // What our own clients do not get elsewhere is no attack: a mail server asks block lists for names that are not there.
        if matches!(contact.act, Act::Unmet(_)) && !is_ours {
            return;
        }
        let aim = Aim {
            source: SourceKey::of(client),
            site,
            // What a proxy opens it opens for others; a credential that it passes on is the client's, where it names one.
            is_proxy: match contact.act {
                Act::Login(_) => grade == Grade::X,
                Act::Touched(_) | Act::Unmet(_) => self.rules.proxies.has(&contact.client.ip()),
            },
        };
        self.behaviours.contact(contact, &aim, &mut self.judged);
    }

    fn count_judged(&mut self) {
        let sums = std::mem::take(&mut self.judged.sums);
        if sums != Unjudged::default() {
            // In the hour in which it is given up: its acts may lie a day back.
            self.delta.unjudged.entry(self.behaviours.newest().hour()).or_default().add(sums);
        }
        let mut attempts = std::mem::take(&mut self.judged.attempts);
        for attempt in attempts.drain(..) {
            self.attempt(attempt);
        }
        self.judged.attempts = attempts;
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
