//! Incidents: attempts of one source × class × site with gaps of at most the configured minutes, and the campaign each
//! belongs to.

use std::collections::HashMap;
use std::sync::Arc;

use crate::classify::seen::Sighting;
use crate::model::class::Class;
use crate::model::place::SourceKey;
use crate::model::time::{MICROS_PER_SEC, Timestamp};
use crate::tally::{Campaign, CampaignId, IncidentSoFar, OpenIncident};

/// Memory of one open incident in the maps.
const BYTES_PER_INCIDENT: usize = 152;

type Key = (SourceKey, Class, Arc<str>);

/// An incident that may go on.
#[derive(Clone, Copy, Debug)]
struct Open {
    first: Timestamp,
    last: Timestamp,
    campaign: CampaignId,
    attempts: u64,
    /// Up to here an earlier run has counted them.
    counted_until: Timestamp,
    /// The minute of the last attempt, and how many it has.
    minute: (i64, u64),
    peak_per_minute: u64,
}

impl Open {
    const fn at(time: Timestamp, campaign: CampaignId) -> Self {
        Self {
            first: time,
            last: time,
            campaign,
            attempts: 0,
            counted_until: Timestamp(i64::MIN),
            minute: (i64::MIN, 0),
            peak_per_minute: 0,
        }
    }
}

/// Where an attempt belongs.
#[derive(Clone, Debug, PartialEq)]
pub enum Placed {
    /// It begins an incident, of this campaign.
    Begins(Campaign),
    /// It goes on with one of this campaign.
    Continues(CampaignId),
}

/// Open incidents, bounded: two generations, the one not touched for longest forgotten. A forgotten incident that
/// goes on counts as a new one.
#[derive(Debug)]
pub struct Incidents {
    recent: HashMap<Key, Open, ahash::RandomState>,
    older: HashMap<Key, Open, ahash::RandomState>,
    generation_max: usize,
    gap_micros: i64,
}

impl Incidents {
    /// Uses up to `memory_bytes`; an incident ends after `gap_mins` without an attempt.
    pub fn new(memory_bytes: usize, gap_mins: u32) -> Self {
        Self {
            recent: HashMap::default(),
            older: HashMap::default(),
            generation_max: (memory_bytes / BYTES_PER_INCIDENT / 2).max(1_024),
            gap_micros: i64::from(gap_mins) * 60 * MICROS_PER_SEC,
        }
    }

    /// Changes the gap for attempts from now on.
    pub fn set_gap(&mut self, gap_mins: u32) {
        self.gap_micros = i64::from(gap_mins) * 60 * MICROS_PER_SEC;
    }

    /// Takes an incident that an earlier run left open.
    pub fn preload(&mut self, incident: OpenIncident) {
        let OpenIncident { source, class, site, last, campaign, so_far } = incident;
        let mut open = Open::at(last, campaign);
        if let Some(IncidentSoFar { first, attempts, peak_per_minute }) = so_far {
            open = Open { first, attempts, counted_until: last, peak_per_minute, ..open };
        }
        if self.recent.len() < self.generation_max {
            self.recent.insert((source, class, site), open);
        }
    }

    /// Places an attempt in its incident. `campaign` is asked only where one begins.
    pub fn place(
        &mut self,
        (source, class, site): (SourceKey, Class, &Arc<str>),
        time: Timestamp,
        campaign: impl FnOnce() -> Campaign,
    ) -> Placed {
        let key = (source, class, Arc::clone(site));
        if let Some(open) = self.recent.get_mut(&key)
            && is_near(time, open.last, self.gap_micros)
        {
            open.last = time.max(open.last);
            return Placed::Continues(open.campaign);
        }
        let known = self.older.remove(&key).filter(|open| is_near(time, open.last, self.gap_micros));
        let placed =
            known.map_or_else(|| Placed::Begins(campaign()), |open| Placed::Continues(open.campaign));
        if self.recent.len() >= self.generation_max {
            self.older = std::mem::take(&mut self.recent);
        }
        let campaign = match &placed {
            Placed::Begins(campaign) => campaign.id,
            Placed::Continues(id) => *id,
        };
        let mut open = known.unwrap_or(Open::at(time, campaign));
        open.last = open.last.max(time);
        self.recent.insert(key, open);
        placed
    }

    /// Counts an attempt that was placed in its incident; tells how far that has come, and its last attempt. Those that an
    /// earlier run counted are counted here as well where that run's count is not known: a replay that was killed and is
    /// done again comes to the same incidents.
    pub fn count(
        &mut self,
        (source, class, site): (SourceKey, Class, &Arc<str>),
        time: Timestamp,
        sighting: Sighting,
    ) -> Option<(IncidentSoFar, Timestamp)> {
        let open = self.recent.get_mut(&(source, class, Arc::clone(site)))?;
        let minute = time.secs().div_euclid(60);
        if minute > open.minute.0 {
            open.minute = (minute, 0);
        }
        if minute == open.minute.0 {
            open.minute.1 += 1;
            open.peak_per_minute = open.peak_per_minute.max(open.minute.1);
        }
        open.attempts += u64::from(sighting == Sighting::New || time > open.counted_until);
        let Open { first, last, attempts, peak_per_minute, .. } = *open;
        Some((IncidentSoFar { first, attempts, peak_per_minute }, last))
    }
}

/// Whether an attempt belongs to an incident whose last one is known. Later or earlier: a clock that was set back by a
/// year must not make one incident of all that follows.
const fn is_near(time: Timestamp, last: Timestamp, gap_micros: i64) -> bool {
    time.micros_since(last).saturating_abs() <= gap_micros
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_gap_longer_than_the_setting_begins_another_incident() {
        let mut incidents = Incidents::new(1 << 20, 30);
        let source = SourceKey::of("8.8.8.8".parse().unwrap());
        let site: Arc<str> = "a".into();
        let mut at = |minutes: i64, class| {
            let time = Timestamp::from_parts(minutes * 60, 0);
            let campaign = || crate::classify::campaign::of(&crate::testing::attempt());
            matches!(incidents.place((source, class, &site), time, campaign), Placed::Begins(_))
        };
        assert!(at(0, Class::WebSqli));
        assert!(!at(30, Class::WebSqli));
        assert!(at(31, Class::WebXss), "another class");
        assert!(!at(60, Class::WebSqli));
        assert!(at(91, Class::WebSqli));
        assert!(!at(80, Class::WebSqli), "a late attempt belongs to the open incident");
    }

    #[test]
    fn an_incident_knows_its_beginning_its_attempts_and_its_busiest_minute() {
        let mut incidents = Incidents::new(1 << 20, 30);
        let source = SourceKey::of("8.8.8.8".parse().unwrap());
        let site: Arc<str> = "a".into();
        let second = |secs| Timestamp::from_parts(secs, 0);
        let open = OpenIncident {
            source,
            class: Class::WebSqli,
            site: Arc::clone(&site),
            last: second(50),
            campaign: CampaignId(1),
            so_far: Some(IncidentSoFar { first: second(10), attempts: 5, peak_per_minute: 2 }),
        };
        incidents.preload(open);
        let mut told = Vec::new();
        let (earlier, new) = (Sighting::Earlier, Sighting::New);
        // What the earlier run counted up to its last attempt is in its count already.
        for (secs, sighting) in
            [(50, earlier), (60, new), (61, earlier), (62, new), (59, new), (180, new), (45, new)]
        {
            let key = (source, Class::WebSqli, &site);
            incidents.place(key, second(secs), || crate::classify::campaign::of(&crate::testing::attempt()));
            told.push(incidents.count(key, second(secs), sighting).unwrap());
        }
        let so_far =
            |attempts, peak_per_minute| IncidentSoFar { first: second(10), attempts, peak_per_minute };
        assert_eq!(
            told,
            [
                (so_far(5, 2), second(50)),
                (so_far(6, 2), second(60)),
                (so_far(7, 2), second(61)),
                (so_far(8, 3), second(62)),
                (so_far(9, 3), second(62)),
                (so_far(10, 3), second(180)),
                (so_far(11, 3), second(180)),
            ]
        );
    }
}
