//! Doubly linked lists through the slots of the flow table: one for each time-out, oldest first.
//!
//! All members of a list share one time-out, so the list is ordered by itself and expiry looks only at its head.

/// No slot.
pub const NONE: u32 = u32::MAX;

/// The links of a slot.
#[derive(Clone, Copy, Debug)]
pub struct Links {
    /// The slot that was touched before this one.
    pub older: u32,
    /// The slot that was touched after this one.
    pub newer: u32,
}

impl Default for Links {
    fn default() -> Self {
        Self { older: NONE, newer: NONE }
    }
}

/// Gives the links of a slot to change them.
pub trait Linked {
    /// The links of `slot`; `None` for a slot that does not exist.
    fn links(&mut self, slot: u32) -> Option<&mut Links>;
}

/// One list: its two ends.
#[derive(Clone, Copy, Debug)]
pub struct List {
    oldest: u32,
    newest: u32,
}

impl Default for List {
    fn default() -> Self {
        Self { oldest: NONE, newest: NONE }
    }
}

impl List {
    /// The member touched longest ago.
    pub fn oldest(&self) -> Option<u32> {
        (self.oldest != NONE).then_some(self.oldest)
    }

    /// Whether a slot is the member touched last.
    pub const fn is_newest(&self, slot: u32) -> bool {
        self.newest == slot
    }

    /// Appends a slot that is in no list.
    pub fn push(&mut self, slots: &mut impl Linked, slot: u32) {
        if let Some(links) = slots.links(slot) {
            *links = Links { older: self.newest, newer: NONE };
        }
        match slots.links(self.newest) {
            Some(links) => links.newer = slot,
            None => self.oldest = slot,
        }
        self.newest = slot;
    }

    /// Takes out a slot that is in this list.
    pub fn remove(&mut self, slots: &mut impl Linked, slot: u32) {
        let Some(Links { older, newer }) = slots.links(slot).map(std::mem::take) else { return };
        match slots.links(older) {
            Some(links) => links.newer = newer,
            None => self.oldest = newer,
        }
        match slots.links(newer) {
            Some(links) => links.older = older,
            None => self.newest = older,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    impl Linked for Vec<Links> {
        fn links(&mut self, slot: u32) -> Option<&mut Links> {
            self.get_mut(slot as usize)
        }
    }

    #[test]
    fn members_leave_in_the_order_they_came_and_from_the_middle() {
        let mut slots = vec![Links::default(); 4];
        let mut list = List::default();
        for slot in 0..4 {
            list.push(&mut slots, slot);
        }
        list.remove(&mut slots, 1);
        list.remove(&mut slots, 3);
        list.push(&mut slots, 1);
        let mut order = Vec::new();
        while let Some(slot) = list.oldest() {
            order.push(slot);
            list.remove(&mut slots, slot);
        }
        assert_eq!(order, [0, 2, 1]);
    }
}
