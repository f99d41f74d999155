//! Counting: what is kept between two snapshots, and the snapshot itself.
//!
//! Owns the tally's keys and sums. Pure: no clock, no file, no thread. Must not know: packets, formats.

use std::collections::HashMap;
use std::sync::Arc;

use crate::model::attempt::AttemptId;
use crate::model::class::Class;
use crate::model::grade::Grade;
use crate::model::period::Period;
use crate::model::place::{Place, Sector, SourceKey};
use crate::model::progress::Counters;
use crate::model::time::{Hour, Timestamp};

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
}

impl Sums {
    /// Adds `other`.
    pub const fn add(&mut self, other: Self) {
        self.attempts = self.attempts.saturating_add(other.attempts);
        self.sessions = self.sessions.saturating_add(other.sessions);
        self.incidents = self.incidents.saturating_add(other.incidents);
    }
}

/// One source's row of a day.
#[derive(Clone, Debug, Eq, Hash, Ord, PartialEq, PartialOrd)]
pub struct SourceDay {
    /// Day (a period of kind day).
    pub day: Period,
    /// The source.
    pub source: SourceKey,
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
}

/// What is added up for a source's row.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub struct SourceSums {
    /// Counts.
    pub sums: Sums,
    /// First and last attempt.
    pub seen: (Timestamp, Timestamp),
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

/// One event line, already classified. Formatting is left to the report room.
#[derive(Clone, Debug, PartialEq)]
pub struct Event {
    /// The attempt as it crossed the channel.
    pub attempt: Box<crate::model::attempt::Attempt>,
    /// Its attributed client (the peer, unless a trusted proxy named another).
    pub client: std::net::IpAddr,
    /// Grade after the proxy headers were weighed.
    pub grade: Grade,
    /// Site name.
    pub site: Arc<str>,
    /// Origin.
    pub origin: crate::model::origin::Origin,
}

/// Everything counted since the last snapshot. Snapshots add up: an unsent one merges into the next.
#[derive(Clone, Debug, Default)]
pub struct Snapshot {
    /// Tally rows.
    pub rows: HashMap<TallyKey, Sums>,
    /// Source rows.
    pub sources: HashMap<SourceDay, SourceSums>,
    /// Endpoints that many clean clients hit.
    pub endpoints: HashMap<Endpoint, EndpointSums>,
    /// Frames of attempts.
    pub frames: HashMap<FrameKey, FrameSums>,
    /// Coverage.
    pub watch: HashMap<Hour, HourWatch>,
    /// Event lines in the order of their arrival.
    pub events: Vec<Event>,
    /// Identities counted, with the second of their attempt.
    pub ids: Vec<(AttemptId, i64)>,
    /// Event lines shed since the last snapshot because reporting lagged behind.
    pub events_shed: u64,
    /// Attempts whose period was closed before they were judged; they count in the open one.
    pub late: u64,
    /// Attempts already counted once and recognised by their identity.
    pub duplicates: u64,
    /// Everything up to here is in this or an earlier snapshot, less the reply time-out.
    pub watermark: Timestamp,
}

impl Snapshot {
    /// Adds one attempt's counts to its row.
    pub fn add_row(&mut self, key: TallyKey, sums: Sums) {
        self.rows.entry(key).or_default().add(sums);
    }

    /// Adds to a source's row and widens its span.
    pub fn add_source(&mut self, key: SourceDay, time: Timestamp, sums: Sums) {
        let entry =
            self.sources.entry(key).or_insert(SourceSums { sums: Sums::default(), seen: (time, time) });
        entry.sums.add(sums);
        entry.seen = (entry.seen.0.min(time), entry.seen.1.max(time));
    }

    /// Adds to an endpoint's row.
    pub fn add_endpoint(&mut self, key: Endpoint, sums: EndpointSums) {
        let entry = self.endpoints.entry(key).or_default();
        entry.attempts = entry.attempts.saturating_add(sums.attempts);
        entry.answered = entry.answered.saturating_add(sums.answered);
        entry.clean_sources = sums.clean_sources;
    }

    /// Adds an attempt by the frames it came in.
    pub fn add_frames(&mut self, key: FrameKey, headline: bool, overseas: bool) {
        let entry = self.frames.entry(key).or_default();
        entry.attempts += 1;
        entry.headline += u64::from(headline);
        entry.overseas += u64::from(headline && overseas);
    }

    /// Adds observed time, split at hours.
    pub fn add_observed(&mut self, from: Timestamp, to: Timestamp) {
        let mut at = from;
        while at < to {
            let end = at.hour().end().min(to);
            let watch = self.watch.entry(at.hour()).or_default();
            watch.observed_micros = watch.observed_micros.saturating_add(end.micros_since(at));
            at = end;
        }
    }

    /// Adds counters to an hour.
    pub fn add_counters(&mut self, hour: Hour, counters: &Counters) {
        self.watch.entry(hour).or_default().counters.merge(counters);
    }

    /// Rows it holds: the measure of its size.
    pub fn len(&self) -> usize {
        self.rows.len()
            + self.sources.len()
            + self.events.len()
            + self.watch.len()
            + self.endpoints.len()
            + self.frames.len()
    }

    /// Whether nothing was counted.
    pub fn is_empty(&self) -> bool {
        self.len() == 0 && self.ids.is_empty() && self.events_shed == 0 && self.duplicates == 0
    }
}
