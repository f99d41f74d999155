//! A table of what is known of sources, within a share of the memory: two generations, the one not touched for longest
//! forgotten.

use std::collections::HashMap;
use std::hash::Hash;

use crate::model::time::Timestamp;

/// What a table keeps must know its size.
pub trait Held {
    /// Bytes that it holds beside itself.
    fn held(&self) -> usize;
}

/// A row that had to go, or whose time was over.
pub type Forgotten<K, V> = HashMap<K, V, ahash::RandomState>;

/// A bounded table.
#[derive(Debug)]
pub struct Table<K, V> {
    recent: Forgotten<K, V>,
    older: Forgotten<K, V>,
    /// Bytes of the recent generation.
    bytes: usize,
    /// Bytes that one generation may have.
    generation_bytes: usize,
    /// When the recent generation began.
    since: Option<Timestamp>,
    /// How long a generation lasts at most.
    generation_micros: i64,
}

impl<K: Clone + Eq + Hash, V: Held> Table<K, V> {
    /// Bytes of a row; the tables of the standard library are filled to seven eighths at most, half of that after growth.
    const ROW_BYTES: usize = (size_of::<(K, V)>() + 1) * 2;

    /// Uses up to `memory_bytes`; what was not touched for twice `generation_micros` is forgotten.
    pub fn new(memory_bytes: usize, generation_micros: i64) -> Self {
        Self {
            recent: HashMap::default(),
            older: HashMap::default(),
            bytes: 0,
            generation_bytes: memory_bytes / 2,
            since: None,
            generation_micros,
        }
    }

    /// Whether a row is known.
    pub fn has(&self, key: &K) -> bool {
        self.recent.contains_key(key) || self.older.contains_key(key)
    }

    /// Makes room at `now` where that is needed: gives out the rows that go, and whether it was for want of memory.
    pub fn turn(&mut self, now: Timestamp) -> Option<(Forgotten<K, V>, bool)> {
        let since = *self.since.get_or_insert(now);
        let is_full = self.bytes >= self.generation_bytes;
        // A clock that was set back by more than a generation begins one, too.
        if !is_full && now.micros_since(since).saturating_abs() < self.generation_micros {
            return None;
        }
        self.since = Some(now);
        self.bytes = 0;
        let gone = std::mem::replace(&mut self.older, std::mem::take(&mut self.recent));
        Some((gone, is_full))
    }

    /// Works on a row, if there is one.
    pub fn known<T>(&mut self, key: &K, act: impl FnOnce(&mut V) -> T) -> Option<T> {
        if !self.recent.contains_key(key) {
            let (key, row) = self.older.remove_entry(key)?;
            self.insert(key, row);
        }
        let row = self.recent.get_mut(key)?;
        let before = row.held();
        let done = act(row);
        self.bytes = (self.bytes + row.held()).saturating_sub(before);
        Some(done)
    }

    /// Works on a row; makes one where there is none.
    pub fn entry<T>(&mut self, key: &K, new: impl FnOnce() -> V, act: impl FnOnce(&mut V) -> T) -> Option<T> {
        if !self.has(key) {
            self.insert(key.clone(), new());
        }
        self.known(key, act)
    }

    /// Takes every row out, the older ones first.
    pub fn take(&mut self) -> [Forgotten<K, V>; 2] {
        self.bytes = 0;
        [std::mem::take(&mut self.older), std::mem::take(&mut self.recent)]
    }

    /// Bytes of the recent generation.
    #[cfg(test)]
    pub fn bytes(&self) -> usize {
        self.bytes
    }

    /// Rows of both generations.
    #[cfg(test)]
    pub fn rows(&self) -> usize {
        self.recent.len() + self.older.len()
    }

    fn insert(&mut self, key: K, row: V) {
        self.bytes += Self::ROW_BYTES + row.held();
        self.recent.insert(key, row);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    impl Held for Vec<u8> {
        fn held(&self) -> usize {
            self.capacity()
        }
    }

    #[test]
    fn the_rows_not_touched_for_longest_go() {
        let mut table: Table<u32, Vec<u8>> = Table::new(20_000, i64::MAX);
        let mut gone = 0;
        for key in 0..1_000 {
            gone += table.turn(Timestamp(0)).map_or(0, |(rows, is_full)| {
                assert!(is_full);
                rows.len()
            });
            table.entry(&key, Vec::new, |row| row.extend([0; 100]));
            assert_eq!(table.known(&0, |row| row.len()), Some(100), "touched all the time");
            assert!(table.bytes() < 11_000);
        }
        assert_eq!(table.rows() + gone, 1_000);
        assert!(gone > 800 && !table.has(&1) && table.has(&999));
    }

    #[test]
    fn rows_go_when_their_time_is_over() {
        let mut table: Table<u32, Vec<u8>> = Table::new(1 << 20, 10);
        table.entry(&1, Vec::new, |_| ());
        assert!(table.turn(Timestamp(0)).is_none() && table.turn(Timestamp(9)).is_none());
        assert!(table.turn(Timestamp(10)).is_some_and(|(rows, is_full)| rows.is_empty() && !is_full));
        assert!(table.turn(Timestamp(20)).is_some_and(|(rows, _)| rows.len() == 1));
    }
}
