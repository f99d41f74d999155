//! Which incidents are told of, and when. Anybody can start incidents without end: so many are told in a minute, the others are
//! counted. Pure: time comes with the snapshots.

use std::collections::{HashMap, HashSet};
use std::sync::Arc;

use crate::config::report::Report;
use crate::model::class::Class;
use crate::model::time::{MICROS_PER_SEC, Timestamp};
use crate::tally::{IncidentKey, IncidentSums, OpenIncident, Snapshot};

/// Incidents followed to their end: at some 200 bytes 1.6 MB.
const OPEN_MAX: usize = 8_192;
/// Incidents told apart of those left out in a minute: a third of what a snapshot can bring, 1.6 MB.
const LEFT_OUT_MAX: usize = 20_000;
/// What a minute is.
const MINUTE_MICROS: i64 = 60 * MICROS_PER_SEC;
/// Of what an earlier run left open these are not known.
const UNKNOWN: &str = "unknown";

/// What is told.
#[derive(Clone, Debug, Eq, PartialEq)]
pub enum Notice {
    /// It went on no more.
    Ended(Incident),
    /// So many started in the last minute and were not told.
    LeftOut(u64),
    /// It began.
    Started(Incident),
}

/// An incident.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct Incident {
    /// The source as it is written: `privacy.addresses` holds here too.
    pub source: String,
    /// Class.
    pub class: Class,
    /// Site.
    pub site: Arc<str>,
    /// Code of its country, or another place.
    pub country: String,
    /// How well the source is proven.
    pub grade: String,
    /// Attempts so far.
    pub attempts: u64,
    /// First attempt.
    pub first: Timestamp,
    /// Last attempt.
    pub last: Timestamp,
}

/// Follows incidents.
#[derive(Debug)]
pub struct Notices {
    open: HashMap<IncidentKey, Incident, ahash::RandomState>,
    left_out: HashSet<IncidentKey, ahash::RandomState>,
    gap_micros: i64,
    per_minute: u32,
    /// Incidents that began earlier are not told of as if they began now.
    since: Timestamp,
    minute: Timestamp,
    told: u32,
}

impl Notices {
    /// Knows no incident; those that begin after `now` are told.
    pub fn new(settings: &Report, now: Timestamp) -> Self {
        let mut notices = Self {
            open: HashMap::default(),
            left_out: HashSet::default(),
            gap_micros: 0,
            per_minute: 0,
            since: now,
            minute: now,
            told: 0,
        };
        notices.reload(settings);
        notices
    }

    /// Takes new settings.
    pub fn reload(&mut self, settings: &Report) {
        self.gap_micros = i64::from(settings.incident_gap_mins) * MINUTE_MICROS;
        self.per_minute = settings.journal_per_minute;
    }

    /// Takes one that an earlier run told of.
    pub fn preload(&mut self, open: &OpenIncident) {
        let Some(so_far) = open.so_far.filter(|_| self.open.len() < OPEN_MAX) else { return };
        let key = IncidentKey {
            first: so_far.first,
            source: Some(open.source),
            class: open.class,
            site: Arc::clone(&open.site),
        };
        let incident = Incident {
            source: open.source.to_string(),
            class: open.class,
            site: Arc::clone(&open.site),
            country: UNKNOWN.to_owned(),
            grade: UNKNOWN.to_owned(),
            attempts: so_far.attempts,
            first: so_far.first,
            last: open.last,
        };
        self.open.insert(key, incident);
    }

    /// What is to be told of a snapshot.
    pub fn take(&mut self, snapshot: &Snapshot) -> Vec<Notice> {
        let now = snapshot.watermark;
        // A clock that was set back.
        self.since = self.since.min(now);
        let mut notices: Vec<Notice> = self.turn(now).into_iter().collect();
        let mut incidents: Vec<_> = snapshot.incidents.iter().collect();
        incidents.sort_by_key(|(key, _)| *key);
        for (key, sums) in incidents {
            notices.extend(self.follow(key, sums).map(Notice::Started));
        }
        notices.extend(self.ended(now).into_iter().map(Notice::Ended));
        notices
    }

    /// Begins another minute; tells what was left out in the last one.
    fn turn(&mut self, now: Timestamp) -> Option<Notice> {
        if now.micros_since(self.minute).abs() < MINUTE_MICROS {
            return None;
        }
        (self.minute, self.told) = (now, 0);
        let left_out = std::mem::take(&mut self.left_out).len();
        (left_out > 0).then_some(Notice::LeftOut(left_out as u64))
    }

    /// One that began or goes on; given back where its start is to be told. One that was left out and goes on in another minute
    /// is told then.
    fn follow(&mut self, key: &IncidentKey, sums: &IncidentSums) -> Option<Incident> {
        let incident = || Incident {
            source: key.source.map_or_else(|| UNKNOWN.to_owned(), |source| source.to_string()),
            class: key.class,
            site: Arc::clone(&key.site),
            country: sums.place.code().to_owned(),
            grade: sums.grade.name().to_owned(),
            attempts: sums.attempts,
            first: key.first,
            last: sums.last,
        };
        if let Some(known) = self.open.get_mut(key) {
            *known = incident();
            return None;
        }
        if key.first < self.since {
            return None;
        }
        if self.open.len() < OPEN_MAX && self.told < self.per_minute {
            self.told += 1;
            self.open.insert(key.clone(), incident());
            return Some(incident());
        }
        if self.left_out.len() < LEFT_OUT_MAX {
            self.left_out.insert(key.clone());
        }
        None
    }

    /// Those that ended. Where there are too many for a minute the others wait for the next.
    fn ended(&mut self, now: Timestamp) -> Vec<Incident> {
        let room = self.per_minute.saturating_sub(self.told) as usize;
        let over = |incident: &Incident| now.micros_since(incident.last) > self.gap_micros;
        let keys: Vec<IncidentKey> = self
            .open
            .iter()
            .filter(|(_, incident)| over(incident))
            .map(|(key, _)| key.clone())
            .take(room)
            .collect();
        let mut ended: Vec<Incident> = keys.iter().filter_map(|key| self.open.remove(key)).collect();
        ended.sort_by(|one, other| (one.last, &one.source).cmp(&(other.last, &other.source)));
        self.told = self.told.saturating_add(u32::try_from(ended.len()).unwrap_or(u32::MAX));
        ended
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::model::grade::Grade;
    use crate::model::place::{Place, SourceKey};
    use crate::tally::{CampaignId, IncidentSoFar};

    const START: i64 = 1_800_000_000;

    fn at(secs: i64) -> Timestamp {
        Timestamp::from_parts(START + secs, 0)
    }

    fn source(number: u32) -> SourceKey {
        SourceKey::of(std::net::Ipv4Addr::from(0x0808_0000 + number).into())
    }

    fn snapshot(now: i64, incidents: impl IntoIterator<Item = (u32, i64, i64, u64)>) -> Snapshot {
        let mut snapshot = Snapshot { watermark: at(now), ..Snapshot::default() };
        for (number, first, last, attempts) in incidents {
            let key = IncidentKey {
                first: at(first),
                source: Some(source(number)),
                class: Class::WebSqli,
                site: "a".into(),
            };
            let sums = IncidentSums {
                last: at(last),
                attempts,
                peak_per_minute: 1,
                headline: true,
                place: Place::from_code("US"),
                grade: Grade::E2,
            };
            snapshot.add_incident(key, sums);
        }
        snapshot
    }

    fn settings(per_minute: u32) -> Report {
        Report { incident_gap_mins: 1, journal_per_minute: per_minute, ..Report::default() }
    }

    #[test]
    fn an_incident_is_told_at_its_start_and_at_its_end_once() {
        let mut notices = Notices::new(&settings(10), at(0));
        let [Notice::Started(incident)] = &notices.take(&snapshot(2, [(1, 1, 1, 1)]))[..] else { panic!() };
        assert_eq!((incident.source.as_str(), incident.country.as_str()), ("8.8.0.1", "US"));
        assert_eq!(notices.take(&snapshot(30, [(1, 1, 30, 7)])), []);
        assert_eq!(notices.take(&snapshot(90, [])), [], "exactly the gap");
        let [Notice::Ended(incident)] = &notices.take(&snapshot(91, []))[..] else { panic!() };
        assert_eq!((incident.attempts, incident.last), (7, at(30)));
        assert_eq!(notices.take(&snapshot(200, [])), []);
    }

    #[test]
    fn what_an_earlier_run_told_of_is_not_begun_anew_and_its_end_is_told() {
        let mut notices = Notices::new(&settings(10), at(0));
        let open = OpenIncident {
            source: source(1),
            class: Class::WebSqli,
            site: "a".into(),
            last: at(-10),
            campaign: CampaignId(1),
            so_far: Some(IncidentSoFar { first: at(-20), attempts: 4, peak_per_minute: 4 }),
        };
        notices.preload(&open);
        notices.preload(&OpenIncident { source: source(2), ..open });
        assert_eq!(notices.take(&snapshot(5, [(1, -20, 5, 5), (3, -20, 5, 9)])), []);
        let ended = notices.take(&snapshot(100, []));
        let [Notice::Ended(unseen), Notice::Ended(seen)] = &ended[..] else { panic!("{ended:?}") };
        assert_eq!((unseen.attempts, unseen.grade.as_str()), (4, "unknown"));
        assert_eq!((seen.attempts, seen.grade.as_str()), (5, "E2"));
    }

    #[test]
    fn a_crowd_is_bounded_by_the_minute_and_counted() {
        let mut notices = Notices::new(&settings(10), at(0));
        let crowd = |now: i64| snapshot(now, (0..1_000).map(|number| (number, 1, now, 1)));
        assert_eq!(notices.take(&crowd(2)).len(), 10);
        assert_eq!(notices.take(&crowd(3)), [], "the same are left out");
        let next = notices.take(&crowd(61));
        assert_eq!(next[0], Notice::LeftOut(990));
        assert_eq!(next.len(), 11, "those that go on are told now: {next:?}");
        // All end at once; each minute tells of as many as it may.
        let (mut ended, mut minutes) = (0, 0);
        while ended < 20 {
            minutes += 1;
            let told = notices.take(&snapshot(200 + minutes * 60, []));
            let now = told.iter().filter(|notice| matches!(notice, Notice::Ended(_))).count();
            assert!((1..=10).contains(&now), "{told:?}");
            ended += now;
        }
        assert_eq!(minutes, 2);
    }

    #[test]
    fn more_than_can_be_followed_takes_no_more_memory() {
        let mut notices = Notices::new(&settings(u32::MAX), at(0));
        let told = notices.take(&snapshot(2, (0..60_000).map(|number| (number, 1, 1, 1))));
        assert_eq!(
            (told.len(), notices.open.len(), notices.left_out.len()),
            (OPEN_MAX, OPEN_MAX, LEFT_OUT_MAX)
        );
    }
}
