//! What waits for an answer, the same time for all: found by its key, given up in the order in which it came.

use std::collections::hash_map::Entry;
use std::collections::{HashMap, VecDeque};
use std::hash::Hash;

use crate::model::time::Timestamp;

/// A list that holds so many at most.
#[derive(Debug)]
pub struct Waitlist<K, T> {
    /// Invariant: each key stands in `queue` exactly once.
    items: HashMap<K, T, ahash::RandomState>,
    queue: VecDeque<(Timestamp, K)>,
    items_max: usize,
}

impl<K: Copy + Eq + Hash, T> Waitlist<K, T> {
    /// An empty list.
    pub fn new(items_max: usize) -> Self {
        Self { items: HashMap::default(), queue: VecDeque::new(), items_max }
    }

    /// Whether none waits.
    pub fn is_empty(&self) -> bool {
        self.queue.is_empty()
    }

    /// Puts one at the end, unless its key is there.
    pub fn push(&mut self, key: K, due: Timestamp, item: T) {
        if let Entry::Vacant(place) = self.items.entry(key) {
            place.insert(item);
            self.queue.push_back((due, key));
        }
    }

    /// The one of a key.
    pub fn find(&mut self, key: &K) -> Option<&mut T> {
        self.items.get_mut(key)
    }

    /// Takes the oldest that is due, or that is one too many.
    pub fn take(&mut self, now: Timestamp) -> Option<(K, T)> {
        let (due, key) = *self.queue.front()?;
        if due > now && self.queue.len() <= self.items_max {
            return None;
        }
        self.queue.pop_front();
        Some((key, self.items.remove(&key)?))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_is_taken_once_when_it_is_due_or_one_too_many() {
        let mut list = Waitlist::new(3);
        for number in [1, 2, 2, 3] {
            list.push(number, Timestamp(number), number * 10);
        }
        *list.find(&2).unwrap() += 1;
        assert_eq!(list.take(Timestamp(0)), None);
        list.push(4, Timestamp(4), 40);
        assert_eq!((list.take(Timestamp(0)), list.take(Timestamp(0))), (Some((1, 10)), None));
        assert_eq!((list.take(Timestamp(3)), list.take(Timestamp(3))), (Some((2, 21)), Some((3, 30))));
        assert_eq!((list.take(Timestamp(3)), list.find(&3)), (None, None));
        assert!(!list.is_empty());
    }
}
