//! What could be read: for each site its conversations in clear, encrypted, and of unknown protocols, and what an encrypted one
//! hides.
//!
//! Kept as counters named after the site, so that everything that holds for counters (roll-up, a replay that was cut off) holds
//! for them.

use std::collections::BTreeMap;

use serde::Serialize;

use crate::model::class::{CLASSES, Sight};
use crate::model::progress::Reading;
use crate::model::time::Hour;
use crate::report::summary::share;
use crate::tally::Snapshot;

/// What the names of these counters begin with.
const PREFIX: &str = "conversations:";

/// A site, and how much of what it was sent could be read.
#[derive(Clone, Debug, Serialize)]
pub struct ReadingRow {
    /// Site.
    pub site: String,
    /// Conversations in clear.
    pub clear: u64,
    /// Encrypted conversations.
    pub hidden: u64,
    /// Conversations of protocols that are not known.
    pub unknown: u64,
    /// Part of the conversations that could be inspected, 0 to 1.
    pub inspectable_share: f64,
    /// Classes that encryption hides there; empty where nothing was encrypted.
    pub hidden_classes: Vec<&'static str>,
    /// Classes that are seen in spite of it by lengths, times and handshakes alone.
    pub inferred_classes: Vec<&'static str>,
}

/// The counters of a snapshot: hour, name, value.
pub fn counters(snapshot: &Snapshot) -> Vec<(Hour, String, u64)> {
    let mut found = Vec::new();
    for ((hour, site), counts) in &snapshot.conversations {
        for (reading, count) in Reading::ALL.into_iter().zip(counts) {
            found.push((*hour, counter(reading, site), *count));
        }
    }
    found
}

/// The name of a site's counter of a kind.
pub fn counter(reading: Reading, site: &str) -> String {
    format!("{PREFIX}{}:{site}", reading.name())
}

/// Takes these counters out of all that a span has, and makes a row of each site; sites with most conversations first.
pub fn take(counters: &mut BTreeMap<String, u64>) -> Vec<ReadingRow> {
    let mut sites: BTreeMap<String, [u64; Reading::ALL.len()]> = BTreeMap::new();
    counters.retain(|name, value| {
        let Some((reading, site)) = name.strip_prefix(PREFIX).and_then(|rest| rest.split_once(':')) else {
            return true;
        };
        let counts = sites.entry(site.to_owned()).or_default();
        for (known, count) in Reading::ALL.into_iter().zip(counts) {
            if known.name() == reading {
                *count += *value;
            }
        }
        false
    });
    let mut rows: Vec<ReadingRow> = sites.into_iter().map(|(site, counts)| row(site, counts)).collect();
    rows.sort_by(|a, b| (total(b), &a.site).cmp(&(total(a), &b.site)));
    rows
}

const fn total(row: &ReadingRow) -> u64 {
    row.clear + row.hidden + row.unknown
}

fn row(site: String, [clear, hidden, unknown]: [u64; Reading::ALL.len()]) -> ReadingRow {
    let of_sight = |sight: Sight| -> Vec<&'static str> {
        let rows = CLASSES.iter().filter(|row| hidden > 0 && row.class.through_encryption() == sight);
        rows.map(|row| row.id).collect()
    };
    ReadingRow {
        site,
        clear,
        hidden,
        unknown,
        inspectable_share: share(clear, clear + hidden + unknown),
        hidden_classes: of_sight(Sight::Hidden),
        inferred_classes: of_sight(Sight::Inferred),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_kept_by_counters_comes_back_as_rows() {
        let mut snapshot = Snapshot::default();
        snapshot.conversations.insert((Hour(1), "a: b".into()), [3, 1, 0]);
        snapshot.conversations.insert((Hour(2), "a: b".into()), [0, 4, 0]);
        snapshot.conversations.insert((Hour(2), "c".into()), [1, 0, 1]);
        let mut stored: BTreeMap<String, u64> = BTreeMap::new();
        for (_, name, value) in counters(&snapshot) {
            *stored.entry(name).or_default() += value;
        }
        stored.insert("frames_tcp".into(), 7);
        let rows = take(&mut stored);
        assert_eq!(stored.len(), 1, "other counters stay");
        assert_eq!((rows[0].site.as_str(), rows[0].clear, rows[0].hidden), ("a: b", 3, 5));
        assert!((rows[0].inspectable_share - 0.375).abs() < 1e-9);
        assert!(rows[0].hidden_classes.contains(&"web.sqli"));
        assert!(rows[0].inferred_classes.contains(&"auth.ssh"));
        assert_eq!((rows[1].unknown, rows[1].hidden_classes.len()), (1, 0));
    }
}
