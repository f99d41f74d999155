//! Counting one attempt: who sent it, what it counts as, every row that it is in.

use std::net::IpAddr;
use std::sync::Arc;

use crate::classify::campaign;
use crate::classify::classifier::Classifier;
use crate::classify::incident::Placed;
use crate::classify::seen::Sighting;
use crate::model::attempt::Attempt;
use crate::model::class::{Class, Unit};
use crate::model::grade::Grade;
use crate::model::origin::Origin;
use crate::model::period::{Period, PeriodKind};
use crate::model::place::{Place, Sector, SourceKey, SourcePrefix};
use crate::model::time::Timestamp;
use crate::tally::event::{Contribution, Event, Stage};
use crate::tally::{
    CampaignId, FRAMES_MAX, FrameKey, IncidentKey, IncidentSoFar, IncidentSums, SourceDay, SourceSums, Sums,
    TallyKey,
};

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

impl Classifier {
    /// Counts one attempt.
    pub fn attempt(&mut self, mut attempt: Box<Attempt>) {
        let sighting = self.seen.sight(attempt.id, attempt.time);
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
        let so_far =
            (sighting != Sighting::Again).then(|| self.incidents.count(incident, attempt.time, sighting));
        if sighting != Sighting::New {
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
        if let Some(so_far) = so_far.flatten() {
            self.note_incident(class, &who, &counted, so_far);
        }
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
            contribution: Contribution {
                sector: who.sector,
                label: who.label.clone(),
                headline: counted.headline,
                campaign: counted.campaign,
                sessions: counted.sums.sessions,
                incidents: counted.sums.incidents,
            },
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

    /// Notes how far the incident has come that an attempt belongs to.
    fn note_incident(
        &mut self,
        class: Class,
        who: &Who,
        counted: &Counted,
        (so_far, last): (IncidentSoFar, Timestamp),
    ) {
        let key = IncidentKey {
            first: so_far.first,
            source: (!who.client.is_unspecified()).then(|| SourceKey::of(who.written)),
            class,
            site: Arc::clone(&counted.site),
        };
        let sums = IncidentSums {
            last,
            attempts: so_far.attempts,
            peak_per_minute: so_far.peak_per_minute,
            headline: counted.headline,
            place: who.origin.place,
            grade: who.grade,
        };
        self.delta.add_incident(key, sums);
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
}
