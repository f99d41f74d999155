//! Incidents: attempts of one source × class × site with gaps of at most the configured minutes, and the campaign each
//! belongs to.

use std::collections::HashMap;
use std::sync::Arc;

use crate::model::class::Class;
use crate::model::place::SourceKey;
use crate::model::time::{MICROS_PER_SEC, Timestamp};
use crate::tally::{Campaign, CampaignId, OpenIncident};

/// Memory of one open incident in the maps.
const BYTES_PER_INCIDENT: usize = 112;

type Key = (SourceKey, Class, Arc<str>);

/// An incident that may go on.
#[derive(Clone, Copy, Debug)]
struct Open {
    last: Timestamp,
    campaign: CampaignId,
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
    pub fn preload(&mut self, OpenIncident { source, class, site, last, campaign }: OpenIncident) {
        if self.recent.len() < self.generation_max {
            self.recent.insert((source, class, site), Open { last, campaign });
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
        let last = known.map_or(time, |open| open.last.max(time));
        self.recent.insert(key, Open { last, campaign });
        placed
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
}
