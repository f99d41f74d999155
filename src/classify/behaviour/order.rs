//! Acts in the order in which they happened, whichever worker saw them.
//!
//! Workers are not in step: what one saw first may arrive last. An act is held until every worker has passed it by
//! [`HOLD_MICROS`], or until there are too many. What is judged does then not depend on the number of workers.

use std::cmp::{Ordering, Reverse};
use std::collections::BinaryHeap;

use crate::model::contact::Contact;
use crate::model::time::{MICROS_PER_SEC, Timestamp};

/// How far workers may be apart. Batches of the kernel are handed over within a fraction of that.
pub const HOLD_MICROS: i64 = 2 * MICROS_PER_SEC;
/// Acts that are held at a time: some 600 KB. With more the oldest go first, so a flood of them shortens the hold.
const HELD_MAX: usize = 4_096;

#[derive(Debug)]
struct Held(Contact);

impl Held {
    const fn key(&self) -> (Timestamp, u64) {
        (self.0.time, self.0.id.0)
    }
}

impl PartialEq for Held {
    fn eq(&self, other: &Self) -> bool {
        self.key() == other.key()
    }
}

impl Eq for Held {}

impl PartialOrd for Held {
    fn partial_cmp(&self, other: &Self) -> Option<Ordering> {
        Some(self.cmp(other))
    }
}

impl Ord for Held {
    fn cmp(&self, other: &Self) -> Ordering {
        self.key().cmp(&other.key())
    }
}

/// Acts that are held.
#[derive(Debug, Default)]
pub struct Order {
    held: BinaryHeap<Reverse<Held>>,
}

impl Order {
    /// Takes an act.
    pub fn push(&mut self, contact: Contact) {
        self.held.push(Reverse(Held(contact)));
    }

    /// The oldest act, if every worker has passed `reached` and it lies far enough behind that, or if too many are held.
    pub fn pop(&mut self, reached: Timestamp) -> Option<Contact> {
        let oldest = self.held.peek()?;
        let is_due = reached.micros_since(oldest.0.0.time) >= HOLD_MICROS;
        if is_due || self.held.len() > HELD_MAX { self.drain() } else { None }
    }

    /// The oldest act.
    pub fn drain(&mut self) -> Option<Contact> {
        self.held.pop().map(|held| held.0.0)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::classify::behaviour::tests::touched;
    use crate::model::contact::Touched;

    fn at(secs: i64) -> Contact {
        Contact {
            time: Timestamp::from_parts(secs, 0),
            ..touched("192.0.2.1:1", "203.0.113.1:1", 0, Touched::Silent)
        }
    }

    #[test]
    fn acts_leave_in_the_order_of_their_times_once_all_workers_have_passed_them() {
        let mut order = Order::default();
        for secs in [5, 3, 4, 9] {
            order.push(at(secs));
        }
        let reached = Timestamp::from_parts(7, 0);
        let left: Vec<i64> = std::iter::from_fn(|| order.pop(reached)).map(|act| act.time.secs()).collect();
        assert_eq!(left, [3, 4, 5]);
        assert_eq!(order.drain().map(|act| act.time.secs()), Some(9));
    }

    #[test]
    fn too_many_are_not_held() {
        let mut order = Order::default();
        for secs in 0..5_000 {
            order.push(at(secs));
        }
        let left = std::iter::from_fn(|| order.pop(Timestamp(0))).count();
        assert_eq!(left, 5_000 - HELD_MAX);
    }
}
