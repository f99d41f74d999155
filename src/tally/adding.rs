//! Adding to a snapshot, within its limits.

use std::sync::Arc;

use crate::model::attempt::AttemptId;
use crate::model::progress::Counters;
use crate::model::time::{Hour, Timestamp};
use crate::tally::event::Event;
use crate::tally::{
    Campaign, CampaignId, Endpoint, EndpointSums, FrameKey, IncidentKey, IncidentSums, Snapshot, SourceDay,
    SourceSums, Sums, TallyKey,
};

/// Rows of sources between two snapshots. The reporter takes a snapshot twice a second; only while it cannot write do so many
/// come together, and 65,536 rows are some 20 MB.
const SOURCES_MAX: usize = 65_536;
/// Identities between two snapshots: 16 MB.
const IDS_MAX: usize = 1 << 20;
/// Incidents between two snapshots: 8 MB at most.
const INCIDENTS_MAX: usize = 65_536;
/// Campaigns described between two snapshots: 4 MB at most.
const CAMPAIGNS_MAX: usize = 8_192;
/// Names of autonomous systems between two snapshots; more are not in use (some 80,000 are routed).
const SYSTEMS_MAX: usize = 131_072;

impl Snapshot {
    /// Adds one attempt's counts to its row.
    pub fn add_row(&mut self, key: TallyKey, sums: Sums) {
        self.rows.entry(key).or_default().add(sums);
    }

    /// Adds to a source's row and widens its span. Where there are too many rows, to the remainder of its country.
    pub fn add_source(&mut self, key: SourceDay, sums: &SourceSums) {
        let key = if self.sources.len() < SOURCES_MAX || self.sources.contains_key(&key) {
            key
        } else {
            self.sources_spilled = self.sources_spilled.saturating_add(sums.sums.attempts);
            SourceDay { source: None, asn: None, campaign: CampaignId(0), ..key }
        };
        self.sources.entry(key).or_insert(SourceSums::at(sums.seen.0)).add(sums);
    }

    /// Notes an identity, with the second of its attempt. Of too many the later ones are not kept for the next run.
    pub fn add_id(&mut self, id: AttemptId, second: i64) {
        if self.ids.len() < IDS_MAX {
            self.ids.push((id, second));
        } else {
            self.ids_shed += 1;
        }
    }

    /// Adds an event line; those beyond `limit` are shed and counted.
    pub fn add_event(&mut self, event: Event, limit: usize) {
        if self.events.len() < limit {
            self.events.push(event);
        } else {
            self.events_shed = self.events_shed.saturating_add(event.represented);
        }
    }

    /// Notes how far an incident has come. Of too many, those that are met again later are.
    pub fn add_incident(&mut self, key: IncidentKey, sums: IncidentSums) {
        if self.incidents.len() < INCIDENTS_MAX || self.incidents.contains_key(&key) {
            let known = self.incidents.entry(key).or_insert(sums);
            let grade =
                if known.grade.is_proven() && !sums.grade.is_proven() { known.grade } else { sums.grade };
            *known = IncidentSums { headline: known.headline || sums.headline, grade, ..sums };
        }
    }

    /// Describes a campaign; of too many only the number is known.
    pub fn add_campaign(&mut self, campaign: Campaign) {
        if self.campaigns.len() < CAMPAIGNS_MAX {
            self.campaigns.insert(campaign.id, campaign);
        }
    }

    /// Notes the name of an autonomous system.
    pub fn add_system(&mut self, asn: u32, org: &Arc<str>) {
        if self.systems.len() < SYSTEMS_MAX {
            self.systems.entry(asn).or_insert_with(|| Arc::clone(org));
        }
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
        match self.spans.last_mut() {
            Some((_, last)) if *last == from => *last = to,
            _ => self.spans.push((from, to)),
        }
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

    /// Whether it holds nothing but coverage and counters: no attempt came, and no line was written or shed.
    pub fn is_quiet(&self) -> bool {
        let lists_nothing = self.rows.is_empty()
            && self.sources.is_empty()
            && self.events.is_empty()
            && self.endpoints.is_empty()
            && self.frames.is_empty()
            && self.incidents.is_empty()
            && self.campaigns.is_empty()
            && self.systems.is_empty()
            && self.ids.is_empty();
        let counts = [self.ids_shed, self.sources_spilled, self.events_shed, self.late, self.duplicates];
        lists_nothing && counts.iter().all(|count| *count == 0)
    }

    /// Adds a quiet one that came before it.
    pub fn add_quiet(&mut self, earlier: Self) {
        for (hour, watch) in earlier.watch {
            let entry = self.watch.entry(hour).or_default();
            entry.observed_micros = entry.observed_micros.saturating_add(watch.observed_micros);
            entry.counters.merge(&watch.counters);
        }
        for (key, counts) in earlier.conversations {
            let entry = self.conversations.entry(key).or_default();
            for (known, more) in entry.iter_mut().zip(counts) {
                *known += more;
            }
        }
        for (hour, unjudged) in earlier.unjudged {
            self.unjudged.entry(hour).or_default().add(unjudged);
        }
        let later = std::mem::replace(&mut self.spans, earlier.spans);
        for (from, to) in later {
            match self.spans.last_mut() {
                Some((_, last)) if *last == from => *last = to,
                _ => self.spans.push((from, to)),
            }
        }
        self.pseudonym_month = earlier.pseudonym_month.or(self.pseudonym_month);
    }

    /// Rows it holds: the measure of its size.
    pub fn len(&self) -> usize {
        self.rows.len()
            + self.sources.len()
            + self.events.len()
            + self.watch.len()
            + self.endpoints.len()
            + self.frames.len()
            + self.incidents.len()
            + self.campaigns.len()
            + self.systems.len()
    }

    /// Whether nothing was counted.
    pub fn is_empty(&self) -> bool {
        self.len() == 0
            && self.ids.is_empty()
            && self.events_shed == 0
            && self.duplicates == 0
            && self.unjudged.is_empty()
    }
}
