//! What was counted since the start, as the status socket tells it: rows of site, class and country, and the incidents under way.

use std::collections::{BTreeMap, HashMap};

use serde::{Deserialize, Serialize};

use crate::model::class::Class;
use crate::model::place::{Place, SourceKey};
use crate::model::time::{MICROS_PER_SEC, Timestamp};
use crate::tally::Snapshot;

/// Rows told: the answer stays far below what a client reads. What is beyond them is one row without names.
const ROWS_MAX: usize = 1_024;
/// Incidents remembered.
const INCIDENTS_MAX: usize = 1_024;
/// Incidents told, those with the latest attempts.
const INCIDENTS_TOLD: usize = 50;
/// An incident without an attempt for so long is over, as with the default of `report.incident_gap_mins`.
const GAP_MICROS: i64 = 30 * 60 * MICROS_PER_SEC;
/// Letters of a site's name.
const NAME_LETTERS_MAX: usize = 64;

/// What the status tells of attempts.
#[derive(Clone, Debug, Default, Deserialize, Eq, PartialEq, Serialize)]
#[serde(default)]
pub struct Activity {
    /// Attempts since the start, by site, class and country.
    pub rows: Vec<ActivityRow>,
    /// Incidents under way, the latest first; at most 50.
    pub incidents: Vec<IncidentNow>,
}

/// Attempts since the start.
#[derive(Clone, Debug, Default, Deserialize, Eq, PartialEq, Serialize)]
#[serde(default)]
pub struct ActivityRow {
    /// Site; `…` where there were too many rows.
    pub site: String,
    /// Class id.
    pub class: String,
    /// Country code, or another place code.
    pub country: String,
    /// Attempts.
    pub attempts: u64,
}

/// An incident under way.
#[derive(Clone, Debug, Default, Deserialize, Eq, PartialEq, Serialize)]
#[serde(default)]
pub struct IncidentNow {
    /// The source, as it is written.
    pub source: String,
    /// Its country.
    pub country: String,
    /// Class id.
    pub class: String,
    /// Site.
    pub site: String,
    /// Attempts since the start of the daemon.
    pub attempts: u64,
    /// First of them, RFC 3339.
    pub first: String,
    /// Last of them, RFC 3339.
    pub last: String,
}

/// Adds snapshots up. Bounded whatever is sent.
#[derive(Debug, Default)]
pub struct Tracker {
    rows: HashMap<(String, Class, Place), u64>,
    others: u64,
    incidents: HashMap<(SourceKey, Class, String), Seen>,
    now: Timestamp,
    shed: Shed,
}

/// What was shed behind the packet path: of each kind the name in metrics, and how many.
#[derive(Debug, Default)]
struct Shed {
    events: u64,
    identities: u64,
    sources: u64,
    targets: u64,
    windows: u64,
}

#[derive(Debug)]
struct Seen {
    place: Place,
    attempts: u64,
    first: Timestamp,
    last: Timestamp,
}

impl Tracker {
    /// Adds what was counted since the snapshot before.
    pub fn take(&mut self, snapshot: &Snapshot) {
        self.now = self.now.max(snapshot.watermark);
        self.shed.take(snapshot);
        for (key, sums) in &snapshot.rows {
            let row = (name(&key.site), key.class, key.place);
            if self.rows.len() < ROWS_MAX || self.rows.contains_key(&row) {
                *self.rows.entry(row).or_default() += sums.attempts;
            } else {
                self.others += sums.attempts;
            }
        }
        for (day, sums) in &snapshot.sources {
            let Some((source, _)) = day.source else { continue };
            let key = (source, day.class, name(&day.site));
            if self.incidents.len() >= INCIDENTS_MAX && !self.incidents.contains_key(&key) {
                self.forget();
            }
            let (first, last) = sums.seen;
            let seen =
                self.incidents.entry(key).or_insert(Seen { place: day.place, attempts: 0, first, last });
            if first.micros_since(seen.last) > GAP_MICROS {
                (seen.first, seen.attempts) = (first, 0);
            }
            seen.attempts += sums.sums.attempts;
            seen.last = seen.last.max(last);
        }
    }

    /// Makes room: what is over goes, else the half with the oldest attempts.
    fn forget(&mut self) {
        let now = self.now;
        self.incidents.retain(|_, seen| now.micros_since(seen.last) <= GAP_MICROS);
        if self.incidents.len() < INCIDENTS_MAX {
            return;
        }
        let mut times: Vec<Timestamp> = self.incidents.values().map(|seen| seen.last).collect();
        times.sort_unstable();
        let Some(middle) = times.get(times.len() / 2).copied() else { return };
        self.incidents.retain(|_, seen| seen.last > middle);
    }

    /// Incidents under way.
    pub fn under_way(&self) -> u64 {
        self.incidents.values().filter(|seen| self.now.micros_since(seen.last) <= GAP_MICROS).count() as u64
    }

    /// What was shed since the start, by what it is.
    pub fn shed(&self) -> BTreeMap<String, u64> {
        let Shed { events, identities, sources, targets, windows } = self.shed;
        [
            ("event_lines", events),
            ("identities", identities),
            ("source_rows", sources),
            ("probed_targets", targets),
            ("windows", windows),
        ]
        .map(|(name, count)| (name.to_owned(), count))
        .into()
    }

    /// What is told.
    pub fn told(&self) -> Activity {
        let mut rows: Vec<ActivityRow> = self
            .rows
            .iter()
            .map(|((site, class, place), attempts)| ActivityRow {
                site: site.clone(),
                class: class.id().to_owned(),
                country: place.code().to_owned(),
                attempts: *attempts,
            })
            .collect();
        rows.sort_by(|a, b| (&a.site, &a.class, &a.country).cmp(&(&b.site, &b.class, &b.country)));
        if self.others > 0 {
            let others = || "…".to_owned();
            rows.push(ActivityRow {
                site: others(),
                class: others(),
                country: others(),
                attempts: self.others,
            });
        }
        let under_way = |seen: &Seen| self.now.micros_since(seen.last) <= GAP_MICROS;
        let mut incidents: Vec<_> = self.incidents.iter().filter(|(_, seen)| under_way(seen)).collect();
        incidents.sort_by(|(a, now), (b, then)| (then.last, *b).cmp(&(now.last, *a)));
        let told = |((source, class, site), seen): (&(SourceKey, Class, String), &Seen)| IncidentNow {
            source: source.to_string(),
            country: seen.place.code().to_owned(),
            class: class.id().to_owned(),
            site: site.clone(),
            attempts: seen.attempts,
            first: seen.first.to_string(),
            last: seen.last.to_string(),
        };
        Activity { rows, incidents: incidents.into_iter().take(INCIDENTS_TOLD).map(told).collect() }
    }
}

impl Shed {
    fn take(&mut self, snapshot: &Snapshot) {
        self.events += snapshot.events_shed;
        self.identities += snapshot.ids_shed;
        self.sources += snapshot.sources_spilled;
        for unjudged in snapshot.unjudged.values() {
            self.targets += unjudged.targets_shed;
            self.windows += unjudged.windows_forgotten;
        }
    }
}

fn name(site: &str) -> String {
    site.chars().take(NAME_LETTERS_MAX).collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::model::grade::Grade;
    use crate::model::period::{Period, PeriodKind};
    use crate::model::place::Sector;
    use crate::tally::{CampaignId, SourceDay, SourceSums, Sums, TallyKey};

    const NOON: Timestamp = Timestamp(1_341_057_600_000_000);

    fn at(secs: i64) -> Timestamp {
        NOON.plus_micros(secs * MICROS_PER_SEC)
    }

    /// A snapshot of one attempt on a site by a source.
    fn snapshot(site: &str, source: [u8; 4], time: Timestamp) -> Snapshot {
        let class = Class::from_id("web.sqli").unwrap();
        let sums = Sums { attempts: 1, ..Sums::default() };
        let mut snapshot = Snapshot { watermark: time, ..Snapshot::default() };
        let row = TallyKey {
            hour: time.hour(),
            site: site.into(),
            class,
            grade: Grade::E2,
            place: Place::from_code("US"),
            sector: Sector::Overseas,
            label: None,
            headline: true,
        };
        snapshot.add_row(row, sums);
        let address = std::net::IpAddr::from(source);
        let key = SourceKey::of(address);
        let day = SourceDay {
            day: Period::containing(PeriodKind::Day, time),
            source: Some((key, crate::model::place::SourcePrefix::of(address, (24, 48)))),
            place: Place::from_code("US"),
            asn: None,
            grade: Grade::E2,
            class,
            site: site.into(),
            headline: true,
            campaign: CampaignId(0),
            sector: Sector::Overseas,
        };
        snapshot.add_source(day, &SourceSums { sums, ..SourceSums::at(time) });
        snapshot
    }

    #[test]
    fn rows_add_up_and_an_incident_lasts_as_long_as_its_gaps_are_short() {
        let mut tracker = Tracker::default();
        for secs in [0, 60, 120] {
            tracker.take(&snapshot("a", [192, 0, 2, 7], at(secs)));
        }
        tracker.take(&snapshot("a", [192, 0, 2, 8], at(130)));
        let told = tracker.told();
        assert_eq!((told.rows.len(), told.rows[0].attempts, told.rows[0].country.as_str()), (1, 4, "US"));
        let [latest, first] = &told.incidents[..] else { panic!("{told:?}") };
        assert_eq!(
            (latest.source.as_str(), first.source.as_str(), first.attempts),
            ("192.0.2.8", "192.0.2.7", 3)
        );
        tracker.take(&snapshot("b", [192, 0, 2, 9], at(3_600)));
        assert_eq!(tracker.told().incidents.len(), 1, "the others are over");
        tracker.take(&snapshot("a", [192, 0, 2, 7], at(3_601)));
        assert_eq!(tracker.told().incidents[0].attempts, 1, "a new one");
    }

    #[test]
    fn a_crowd_is_bounded_and_no_attempt_is_missing() {
        let mut tracker = Tracker::default();
        let long = "x".repeat(10_000);
        for number in 0..3_000_u32 {
            let [_, a, b, c] = number.to_be_bytes();
            tracker.take(&snapshot(&format!("{number}{long}"), [10, a, b, c], at(i64::from(number) / 100)));
        }
        assert!(tracker.incidents.len() <= INCIDENTS_MAX && tracker.rows.len() == ROWS_MAX);
        let told = tracker.told();
        assert_eq!(told.rows.iter().map(|row| row.attempts).sum::<u64>(), 3_000);
        assert_eq!(told.incidents.len(), INCIDENTS_TOLD);
        assert!(serde_json::to_string(&told).unwrap().len() < 1 << 18, "a client reads 1 MiB");
    }

    #[test]
    fn an_older_status_without_activity_is_read() {
        let status: crate::app::state::Status = serde_json::from_str(
            r#"{"state":"capturing","version":"0.1.0","started":"","interfaces":[],"counters":{},"attempts":1,"written":null,
                "troubles":[],"databases":[],"detector_set":""}"#,
        )
        .unwrap();
        assert_eq!((status.schema_version, status.activity), (0, Activity::default()));
    }
}
