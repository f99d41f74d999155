//! Values in which nothing was found, remembered byte for byte: visitors send the same fields with every request.
//!
//! Only a speed-up. A value that is remembered is compared whole, so a verdict never depends on what came before.

use crate::detect::value::ValueKind;

/// Values remembered.
const SLOTS: usize = 2_048;
/// Longest value remembered.
const VALUE_MAX_BYTES: usize = 191;

#[derive(Clone, Copy)]
struct Slot {
    /// Hash of kind, name and value.
    place: u64,
    length: u8,
    bytes: [u8; VALUE_MAX_BYTES],
}

/// The memory of one worker: some 400 KiB, taken at the first value.
#[derive(Default)]
pub struct Clean {
    slots: Vec<Slot>,
    hasher: ahash::RandomState,
    /// The detection set that found nothing.
    set: u64,
}

impl std::fmt::Debug for Clean {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Clean").field("slots", &self.slots.len()).finish_non_exhaustive()
    }
}

impl Clean {
    /// Forgets everything where another detection set is in use.
    pub fn begin(&mut self, set: u64) {
        if self.set != set {
            self.set = set;
            self.slots.clear();
        }
    }

    /// The place of a value in the memory; none for those that are not remembered.
    pub fn place(&self, kind: ValueKind, name: &[u8], value: &[u8]) -> Option<Place> {
        (value.len() <= VALUE_MAX_BYTES).then(|| {
            let hash = self.hasher.hash_one((kind as u8, name, value));
            // The value is compared whole, kind and name by 53 further bits of a hash that nobody outside can aim at.
            Place { place: hash, slot: hash as usize % SLOTS }
        })
    }

    /// Whether nothing is in it.
    pub fn holds(&self, place: Place, value: &[u8]) -> bool {
        self.slots.get(place.slot).is_some_and(|slot| {
            slot.place == place.place && slot.bytes.get(..usize::from(slot.length)) == Some(value)
        })
    }

    /// Remembers a value in which nothing was found.
    pub fn remember(&mut self, place: Place, value: &[u8]) {
        if self.slots.is_empty() {
            self.slots.resize(SLOTS, Slot { place: 0, length: 0, bytes: [0; VALUE_MAX_BYTES] });
        }
        if let Some(slot) = self.slots.get_mut(place.slot)
            && let Some(bytes) = slot.bytes.get_mut(..value.len())
        {
            bytes.copy_from_slice(value);
            slot.place = place.place;
            slot.length = value.len() as u8;
        }
    }
}

/// Where a value would be remembered.
#[derive(Clone, Copy, Debug)]
pub struct Place {
    place: u64,
    slot: usize,
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_value_is_known_at_its_place_alone_and_until_the_set_changes() {
        let mut clean = Clean::default();
        clean.begin(1);
        let value = b"an ordinary value";
        let place = clean.place(ValueKind::Query, b"q", value).unwrap();
        assert!(!clean.holds(place, value));
        clean.remember(place, value);
        assert!(clean.holds(place, value));
        assert!(!clean.holds(place, b"another old value"));
        let elsewhere = clean.place(ValueKind::Query, b"other", value).unwrap();
        assert!(!clean.holds(elsewhere, value));
        clean.begin(2);
        assert!(!clean.holds(place, value));
        assert!(clean.place(ValueKind::Query, b"q", &[b'x'; 192]).is_none());
    }
}
