//! Counting: what is kept between two snapshots, and the snapshot itself.
//!
//! Owns the tally's keys and sums. Pure: no clock, no file, no thread. Must not know: packets, formats.

pub mod event;

mod adding;

use std::collections::{BTreeMap, HashMap};
use std::sync::Arc;

use crate::model::attempt::AttemptId;
use crate::model::class::Class;
use crate::model::grade::Grade;
use crate::model::origin::Infrastructure;
use crate::model::period::Period;
use crate::model::place::{Country, Place, Sector, SourceKey, SourcePrefix};
use crate::model::progress::{Counters, Reading};
use crate::model::time::{Hour, Timestamp};
use crate::tally::event::Event;

/// The finest row that is kept for good.
#[derive(Clone, Debug, Eq, Hash, Ord, PartialEq, PartialOrd)]
pub struct TallyKey {
    /// Hour of the attempt's first byte.
    pub hour: Hour,
    /// Name of the site.
    pub site: Arc<str>,
    /// Primary class.
    pub class: Class,
    /// Grade of origin evidence.
    pub grade: Grade,
    /// Where the source is.
    pub place: Place,
    /// The row of the statement it falls in.
    pub sector: Sector,
    /// The operator's label for the source's network.
    pub label: Option<Arc<str>>,
    /// Whether it counts in the headline (class, site, label, grade).
    pub headline: bool,
}

/// What is added up in each row.
#[derive(Clone, Copy, Debug, Default, Eq, PartialEq)]
pub struct Sums {
    /// Attempts.
    pub attempts: u64,
    /// Conversations whose first attempt this row holds.
    pub sessions: u64,
    /// Incidents that began with an attempt of this row.
    pub incidents: u64,
    /// Of the attempts, those whose country a second database was asked for and knew.
    pub compared: u64,
    /// Of these, those that it puts elsewhere.
    pub disputed: u64,
}

impl Sums {
    /// Adds `other`.
    pub const fn add(&mut self, other: Self) {
        self.attempts = self.attempts.saturating_add(other.attempts);
        self.sessions = self.sessions.saturating_add(other.sessions);
        self.incidents = self.incidents.saturating_add(other.incidents);
        self.compared = self.compared.saturating_add(other.compared);
        self.disputed = self.disputed.saturating_add(other.disputed);
    }
}

/// An incident that may go on: its source, class and site, its last attempt, its campaign.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct OpenIncident {
    /// The source.
    pub source: SourceKey,
    /// Class of its attempts.
    pub class: Class,
    /// Site.
    pub site: Arc<str>,
    /// Time of the last attempt.
    pub last: Timestamp,
    /// Campaign.
    pub campaign: CampaignId,
    /// How far it had come, where that was kept.
    pub so_far: Option<IncidentSoFar>,
}

/// How far an incident has come.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub struct IncidentSoFar {
    /// Time of the attempt that began it.
    pub first: Timestamp,
    /// Attempts.
    pub attempts: u64,
    /// Attempts of its busiest minute.
    pub peak_per_minute: u64,
}

/// Which incident.
#[derive(Clone, Debug, Eq, Hash, Ord, PartialEq, PartialOrd)]
pub struct IncidentKey {
    /// Time of the attempt that began it.
    pub first: Timestamp,
    /// Its source as it is written; none for nobody in particular.
    pub source: Option<SourceKey>,
    /// Class.
    pub class: Class,
    /// Site.
    pub site: Arc<str>,
}

/// What is known of an incident: the whole of it, not what was added since the last snapshot.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub struct IncidentSums {
    /// Time of its last attempt.
    pub last: Timestamp,
    /// Attempts.
    pub attempts: u64,
    /// Attempts of its busiest minute.
    pub peak_per_minute: u64,
    /// Whether attempts of it are in the headline.
    pub headline: bool,
    /// Where its source is.
    pub place: Place,
    /// How well that is proven: of those of its attempts since the last snapshot that are proven the last one's, else the last
    /// one's.
    pub grade: Grade,
}

/// Number of a campaign: a hash of what its attempts have in common. 0 is none.
#[derive(Clone, Copy, Debug, Default, Eq, Hash, Ord, PartialEq, PartialOrd)]
pub struct CampaignId(pub u64);

/// Incidents that share a fingerprint: what they have in common.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct Campaign {
    /// Its number.
    pub id: CampaignId,
    /// Class of the attempts that begin its incidents.
    pub class: Class,
    /// Their first rule.
    pub rule: Arc<str>,
    /// What the client says it is, numbers left out.
    pub client: Box<str>,
    /// What it sends, numbers left out.
    pub payload: Box<str>,
}
/// One source's row of a day.
#[derive(Clone, Debug, Eq, Hash, Ord, PartialEq, PartialOrd)]
pub struct SourceDay {
    /// Day (a period of kind day).
    pub day: Period,
    /// The source and the prefix it is tallied by once addresses are gone; none for the remainder of too many.
    pub source: Option<(SourceKey, SourcePrefix)>,
    /// Where it is.
    pub place: Place,
    /// Its autonomous system, where a database tells.
    pub asn: Option<u32>,
    /// Grade.
    pub grade: Grade,
    /// Class.
    pub class: Class,
    /// Site.
    pub site: Arc<str>,
    /// Whether it counts in the headline.
    pub headline: bool,
    /// Campaign of the incident.
    pub campaign: CampaignId,
    /// The row of the statement it falls in.
    pub sector: Sector,
}

/// What is added up for a source's row.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub struct SourceSums {
    /// Counts.
    pub sums: Sums,
    /// First and last attempt.
    pub seen: (Timestamp, Timestamp),
    /// The hours of the day in which it acted, a bit each.
    pub hours: u32,
    /// The country that the address block is registered in.
    pub registered: Option<Country>,
    /// Infrastructure class of the source.
    pub infrastructure: Option<Infrastructure>,
}

impl SourceSums {
    /// One time of nothing.
    pub const fn at(time: Timestamp) -> Self {
        Self {
            sums: Sums { attempts: 0, sessions: 0, incidents: 0, compared: 0, disputed: 0 },
            seen: (time, time),
            hours: 1 << time.hour().0.rem_euclid(24),
            registered: None,
            infrastructure: None,
        }
    }

    /// Adds `other`.
    pub fn add(&mut self, other: &Self) {
        self.sums.add(other.sums);
        self.seen = (self.seen.0.min(other.seen.0), self.seen.1.max(other.seen.1));
        self.hours |= other.hours;
        self.registered = other.registered.or(self.registered);
        self.infrastructure = other.infrastructure.or(self.infrastructure);
    }
}

/// Where a rule hits: the path of a site, and the place in the request.
#[derive(Clone, Debug, Eq, Hash, PartialEq)]
pub struct Endpoint {
    /// Day (a period of kind day).
    pub day: Period,
    /// Site.
    pub site: Arc<str>,
    /// Path, cut.
    pub path: Box<str>,
    /// Place of the evidence.
    pub place: Box<str>,
    /// Rule.
    pub rule: Arc<str>,
}

/// What is added up for an endpoint.
#[derive(Clone, Copy, Debug, Default, Eq, PartialEq)]
pub struct EndpointSums {
    /// Attempts.
    pub attempts: u64,
    /// Those that were answered with success.
    pub answered: u64,
    /// Clients of the day so far that did nothing else: the latest word, not a sum.
    pub clean_sources: u64,
}

/// Attempts by the frames they came in: what an interval of a count with losses needs.
#[derive(Clone, Debug, Eq, Hash, PartialEq)]
pub struct FrameKey {
    /// Hour.
    pub hour: Hour,
    /// Site.
    pub site: Arc<str>,
    /// Frames of the request, at most [`FRAMES_MAX`].
    pub frames: u16,
}

/// More frames than that are counted as so many.
pub const FRAMES_MAX: u16 = 64;

/// How many attempts came in so many frames.
#[derive(Clone, Copy, Debug, Default, Eq, PartialEq)]
pub struct FrameSums {
    /// Attempts.
    pub attempts: u64,
    /// Those in the headline.
    pub headline: u64,
    /// Those from overseas, in the headline.
    pub overseas: u64,
}

/// Coverage and counters of one hour.
#[derive(Clone, Debug, Default, Eq, PartialEq)]
pub struct HourWatch {
    /// Microseconds observed.
    pub observed_micros: i64,
    /// Counters of the packet path.
    pub counters: Counters,
}

/// Acts that never made an attack, and what was lost while sources were watched.
#[derive(Clone, Copy, Debug, Default, Eq, PartialEq)]
pub struct Unjudged {
    /// First contacts without an answer, and what else was asked for and not given.
    pub contacts: u64,
    /// Refused logins.
    pub logins: u64,
    /// Seconds of much traffic.
    pub flood_seconds: u64,
    /// Windows that were given up because a table was full.
    pub windows_forgotten: u64,
    /// Probes that were not counted because too many targets of one source are remembered already.
    pub targets_shed: u64,
}

impl Unjudged {
    /// Adds `other`.
    pub const fn add(&mut self, other: Self) {
        self.contacts = self.contacts.saturating_add(other.contacts);
        self.logins = self.logins.saturating_add(other.logins);
        self.flood_seconds = self.flood_seconds.saturating_add(other.flood_seconds);
        self.windows_forgotten = self.windows_forgotten.saturating_add(other.windows_forgotten);
        self.targets_shed = self.targets_shed.saturating_add(other.targets_shed);
    }

    /// The counters of the store, each with its value.
    pub const fn counters(&self) -> [(&'static str, u64); 5] {
        [
            ("not_judged_contacts", self.contacts),
            ("not_judged_logins", self.logins),
            ("not_judged_flood_seconds", self.flood_seconds),
            ("windows_forgotten", self.windows_forgotten),
            ("targets_shed", self.targets_shed),
        ]
    }
}

/// Everything counted since the last snapshot. Snapshots add up: an unsent one merges into the next.
#[derive(Clone, Debug, Default)]
pub struct Snapshot {
    /// Tally rows.
    pub rows: HashMap<TallyKey, Sums>,
    /// Source rows.
    pub sources: HashMap<SourceDay, SourceSums>,
    /// Incidents that began or went on.
    pub incidents: HashMap<IncidentKey, IncidentSums>,
    /// Campaigns of incidents that began.
    pub campaigns: HashMap<CampaignId, Campaign>,
    /// Names of autonomous systems that were met.
    pub systems: HashMap<u32, Arc<str>>,
    /// Endpoints that many clean clients hit.
    pub endpoints: HashMap<Endpoint, EndpointSums>,
    /// Frames of attempts.
    pub frames: HashMap<FrameKey, FrameSums>,
    /// Conversations that ended, by how far they could be read, in the order of [`Reading::ALL`].
    pub conversations: HashMap<(Hour, Arc<str>), [u64; Reading::ALL.len()]>,
    /// Coverage.
    pub watch: HashMap<Hour, HourWatch>,
    /// Event lines in the order of their arrival.
    pub events: Vec<Event>,
    /// Identities counted, with the second of their attempt.
    pub ids: Vec<(AttemptId, i64)>,
    /// Spans of time that were observed and are in `watch`.
    pub spans: Vec<(Timestamp, Timestamp)>,
    /// Month that the key of pseudonyms began with.
    pub pseudonym_month: Option<Period>,
    /// Identities that were not kept: a second sighting in a later run would count again.
    pub ids_shed: u64,
    /// Attempts whose source is not known any more, because there were too many rows between two snapshots.
    pub sources_spilled: u64,
    /// Attempts that wait for their line, by hour: of all that was counted so far, not since the last snapshot.
    pub untold: BTreeMap<Hour, u64>,
    /// Attempts without an event line, shed since the last snapshot because reporting lagged behind.
    pub events_shed: u64,
    /// Attempts whose period was closed before they were judged; they count in the open one.
    pub late: u64,
    /// Attempts already counted once and recognised by their identity.
    pub duplicates: u64,
    /// Acts that were judged by source and found no attack.
    pub unjudged: BTreeMap<Hour, Unjudged>,
    /// Everything up to here is in this or an earlier snapshot, less the reply time-out.
    pub watermark: Timestamp,
}
