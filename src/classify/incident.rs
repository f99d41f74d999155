//! Incidents: attempts of one source × class × site with gaps of at most the configured minutes.

use std::collections::HashMap;
use std::sync::Arc;

use crate::model::class::Class;
use crate::model::place::SourceKey;
use crate::model::time::{MICROS_PER_SEC, Timestamp};

/// Memory of one open incident in the maps.
const BYTES_PER_INCIDENT: usize = 96;

type Key = (SourceKey, Class, Arc<str>);

/// Open incidents, bounded: two generations, the one not touched for longest forgotten. A forgotten incident that
/// goes on counts as a new one.
#[derive(Debug)]
pub struct Incidents {
    recent: HashMap<Key, Timestamp, ahash::RandomState>,
    older: HashMap<Key, Timestamp, ahash::RandomState>,
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

    /// Whether an attempt begins an incident.
    pub fn begins(&mut self, source: SourceKey, class: Class, site: &Arc<str>, time: Timestamp) -> bool {
        let key = (source, class, Arc::clone(site));
        if let Some(last) = self.recent.get_mut(&key) {
            let begins = time.micros_since(*last) > self.gap_micros;
            *last = time.max(*last);
            return begins;
        }
        let begins = self.older.remove(&key).is_none_or(|last| time.micros_since(last) > self.gap_micros);
        if self.recent.len() >= self.generation_max {
            self.older = std::mem::take(&mut self.recent);
        }
        self.recent.insert(key, time);
        begins
    }
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
            incidents.begins(source, class, &site, Timestamp::from_parts(minutes * 60, 0))
        };
        assert!(at(0, Class::WebSqli));
        assert!(!at(30, Class::WebSqli));
        assert!(at(31, Class::WebXss), "another class");
        assert!(!at(60, Class::WebSqli));
        assert!(at(91, Class::WebSqli));
        assert!(!at(80, Class::WebSqli), "a late attempt belongs to the open incident");
    }
}
