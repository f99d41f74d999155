//! IP fragments → the transport's bytes (RFC 791 §3.2, RFC 8200 §4.5).
//!
//! Of bytes that come twice the first copy counts in IPv4, as in TCP reassembly; other content is counted. In IPv6 fragments must
//! not overlap (RFC 5722): a datagram in which they do is dropped whole, with all that comes of it later, as its receiver drops
//! it; an exact repetition alone is passed over (RFC 8200 §4.5). Whoever waits too long, or
//! sends too much, is forgotten: a datagram may keep its sender waiting, never the sensor.

use std::collections::HashMap;
use std::net::IpAddr;

use crate::decode::network::{Fragment, Packet};
use crate::model::progress::{Counter, Counters};
use crate::model::time::Timestamp;

/// Datagrams waited for at the same time.
const DATAGRAMS_MAX: usize = 1_024;
/// Bytes of all of them together.
const HELD_MAX_BYTES: usize = 2 << 20;
/// Fragments of one datagram. Ethernet needs 45 for the longest; tools that evade send more.
const FRAGMENTS_MAX: usize = 256;
/// How long the rest of a datagram is waited for (Linux: 30 s).
const PATIENCE_MICROS: i64 = 30_000_000;
/// Longest payload of a datagram.
const PAYLOAD_MAX_BYTES: usize = 65_535;

/// Source, destination, identification, and for IPv4 the protocol (RFC 791: part of the key).
type Key = (IpAddr, IpAddr, u32, u8);

#[derive(Debug)]
struct Datagram {
    first_seen: Timestamp,
    bytes: Vec<u8>,
    /// Byte ranges that have come, sorted, none touching another.
    spans: Vec<(u32, u32)>,
    /// Length of the payload, once the last fragment told it.
    length: Option<u32>,
    fragments: usize,
    /// Whether it was given up. It stays for as long as its fragments may come, so that the rest of them makes no other one.
    is_refused: bool,
}

/// The datagrams in the making, of one worker.
#[derive(Debug)]
pub struct Fragments {
    held_max: usize,
    waiting: HashMap<Key, Datagram, ahash::RandomState>,
    held: usize,
    /// No datagram in `waiting` is older than this.
    oldest: Timestamp,
    /// A datagram just completed, kept for as long as it is borrowed.
    whole: Vec<u8>,
}

impl Default for Fragments {
    fn default() -> Self {
        Self::new(HELD_MAX_BYTES)
    }
}

impl Fragments {
    /// None so far. Bytes beyond `memory_bytes` are not held.
    pub fn new(memory_bytes: usize) -> Self {
        Self {
            held_max: memory_bytes.min(HELD_MAX_BYTES),
            waiting: HashMap::default(),
            held: 0,
            oldest: Timestamp::default(),
            whole: Vec::new(),
        }
    }

    /// Takes a fragment in. Gives the whole packet once nothing of it is missing.
    pub fn add(
        &mut self,
        now: Timestamp,
        fragment: &Fragment<'_>,
        counters: &mut Counters,
    ) -> Option<Packet<'_>> {
        self.expire(now, counters);
        let is_v4 = fragment.addresses.0.is_ipv4();
        let key = (
            fragment.addresses.0,
            fragment.addresses.1,
            fragment.id,
            if is_v4 { fragment.protocol } else { 0 },
        );
        let end = usize::from(fragment.offset) + fragment.payload.len();
        let is_odd = fragment.more && !fragment.payload.len().is_multiple_of(8);
        if end > PAYLOAD_MAX_BYTES || is_odd || fragment.payload.is_empty() {
            counters.count(Counter::FragmentsDropped);
            return None;
        }
        if !self.waiting.contains_key(&key) {
            if self.waiting.len() >= DATAGRAMS_MAX || self.held >= self.held_max {
                counters.count(Counter::FragmentsDropped);
                return None;
            }
            if self.waiting.is_empty() {
                self.oldest = now;
            }
            let datagram = Datagram {
                first_seen: now,
                bytes: Vec::new(),
                spans: Vec::new(),
                length: None,
                fragments: 0,
                is_refused: false,
            };
            self.waiting.insert(key, datagram);
        }
        let datagram = self.waiting.get_mut(&key)?;
        let before = datagram.bytes.capacity();
        if datagram.is_refused || !datagram.take(fragment, is_v4, counters) {
            counters.add(Counter::FragmentsDropped, datagram.refuse());
            self.held = (self.held + datagram.bytes.capacity()).saturating_sub(before);
            return None;
        }
        let is_whole = datagram.is_whole();
        self.held = self.held + datagram.bytes.capacity() - before;
        if is_whole {
            let datagram = self.waiting.remove(&key)?;
            self.held -= datagram.bytes.capacity();
            counters.count(Counter::DatagramsReassembled);
            self.whole = datagram.bytes;
            return Some(Packet {
                addresses: fragment.addresses,
                identification: fragment.id,
                protocol: fragment.protocol,
                payload: &self.whole,
                cut: false,
            });
        }
        None
    }

    /// Forgets those that have waited for too long.
    pub fn expire(&mut self, now: Timestamp, counters: &mut Counters) {
        if self.waiting.is_empty() || now.micros_since(self.oldest) < PATIENCE_MICROS {
            return;
        }
        let mut held = 0;
        let mut oldest = now;
        self.waiting.retain(|_, datagram| {
            let stays = now.micros_since(datagram.first_seen) < PATIENCE_MICROS;
            if stays {
                held += datagram.bytes.capacity();
                oldest = oldest.min(datagram.first_seen);
            } else {
                counters.add(Counter::FragmentsDropped, datagram.fragments as u64);
            }
            stays
        });
        (self.held, self.oldest) = (held, oldest);
    }

    /// The end of the input: what is incomplete stays so.
    pub fn finish(&mut self, counters: &mut Counters) {
        for (_, datagram) in self.waiting.drain() {
            counters.add(Counter::FragmentsDropped, datagram.fragments as u64);
        }
        self.held = 0;
    }
}

impl Datagram {
    /// Gives it up. The number of fragments lost by that, the one in hand included.
    fn refuse(&mut self) -> u64 {
        let lost = std::mem::take(&mut self.fragments) as u64 + 1;
        (self.bytes, self.spans, self.is_refused) = (Vec::new(), Vec::new(), true);
        lost
    }

    /// Takes the bytes of a fragment. False where the datagram cannot be believed any more.
    fn take(&mut self, fragment: &Fragment<'_>, is_v4: bool, counters: &mut Counters) -> bool {
        let start = u32::from(fragment.offset);
        let end = start + fragment.payload.len() as u32;
        if !fragment.more {
            if self.length.is_some_and(|length| length != end) {
                counters.count(Counter::FragmentsConflicting);
            }
            self.length = Some(self.length.unwrap_or(end));
        }
        if self.fragments >= FRAGMENTS_MAX {
            return false;
        }
        if !is_v4 && self.is_overlapped_by(fragment, (start, end)) {
            counters.count(Counter::FragmentsConflicting);
            return false;
        }
        self.fragments += 1;
        if self.bytes.len() < end as usize {
            self.bytes.resize(end as usize, 0);
        }
        let mut conflicts = false;
        let mut at = start;
        for (from, to) in self.spans.iter().copied().filter(|(from, to)| *to > start && *from < end) {
            copy(&mut self.bytes, fragment.payload, start, (at, from));
            let both = (from.max(at), to.min(end));
            conflicts |= part(&self.bytes, 0, both) != part(fragment.payload, start, both);
            at = at.max(to);
        }
        copy(&mut self.bytes, fragment.payload, start, (at, end));
        if conflicts {
            counters.count(Counter::FragmentsConflicting);
        }
        self.spans.push((start, end));
        self.spans.sort_unstable();
        let mut joined: Vec<(u32, u32)> = Vec::with_capacity(self.spans.len());
        for (from, to) in self.spans.drain(..) {
            match joined.last_mut() {
                Some((_, last)) if from <= *last => *last = (*last).max(to),
                _ => joined.push((from, to)),
            }
        }
        self.spans = joined;
        true
    }

    /// Whether a fragment overlaps what has come and is no repetition of it.
    fn is_overlapped_by(&self, fragment: &Fragment<'_>, (start, end): (u32, u32)) -> bool {
        let mut touching = self.spans.iter().filter(|(from, to)| *to > start && *from < end);
        let Some((from, to)) = touching.next() else { return false };
        let is_held = *from <= start && *to >= end;
        !is_held || part(&self.bytes, 0, (start, end)) != fragment.payload
    }

    /// Whether nothing is missing. What lies behind the end that the last fragment named is cut off.
    fn is_whole(&mut self) -> bool {
        let Some(length) = self.length else { return false };
        let whole = self.spans.first().is_some_and(|(from, to)| *from == 0 && *to >= length);
        if whole {
            self.bytes.truncate(length as usize);
        }
        whole
    }
}

/// The bytes `from..to` of a datagram in a buffer that begins at its byte `start`.
fn part(buffer: &[u8], start: u32, (from, to): (u32, u32)) -> &[u8] {
    let place = |at: u32| at.saturating_sub(start) as usize;
    buffer.get(place(from)..place(to)).unwrap_or_default()
}

/// Copies the bytes `from..to` of a payload that begins at byte `start`.
fn copy(bytes: &mut [u8], payload: &[u8], start: u32, (from, to): (u32, u32)) {
    if from < to
        && let Some(target) = bytes.get_mut(from as usize..to as usize)
    {
        let source = part(payload, start, (from, to));
        if source.len() == target.len() {
            target.copy_from_slice(source);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn piece(offset: u16, more: bool, payload: &[u8]) -> Fragment<'_> {
        let addresses = ("198.51.100.7".parse().unwrap(), "203.0.113.10".parse().unwrap());
        Fragment { addresses, id: 7, protocol: 6, offset, more, payload }
    }

    fn together(parts: &[Fragment<'_>]) -> (Option<Vec<u8>>, Counters) {
        let (mut fragments, mut counters) = (Fragments::default(), Counters::default());
        let mut whole = None;
        for part in parts {
            if let Some(packet) = fragments.add(Timestamp(0), part, &mut counters) {
                whole = Some(packet.payload.to_vec());
            }
        }
        fragments.finish(&mut counters);
        (whole, counters)
    }

    #[test]
    fn parts_in_any_order_give_the_datagram_once() {
        let parts = [piece(0, true, b"01234567"), piece(8, true, b"89abcdef"), piece(16, false, b"xyz")];
        for order in [[0, 1, 2], [2, 1, 0], [1, 2, 0]] {
            let (whole, counters) = together(&order.map(|at| parts[at]));
            assert_eq!(whole.unwrap(), b"0123456789abcdefxyz");
            assert_eq!(counters.value(Counter::DatagramsReassembled), 1);
            assert_eq!(counters.value(Counter::FragmentsDropped), 0);
        }
    }

    #[test]
    fn of_overlapping_bytes_the_first_copy_counts_and_the_other_is_told() {
        let (whole, counters) = together(&[
            piece(0, true, b"01234567"),
            piece(0, true, b"0123XXXX89abcdef"),
            piece(16, false, b"end"),
        ]);
        assert_eq!(whole.unwrap(), b"0123456789abcdefend");
        assert_eq!(counters.value(Counter::FragmentsConflicting), 1);
    }

    #[test]
    fn in_ipv6_an_overlap_drops_the_datagram_and_an_exact_repetition_does_not() {
        let six = |offset, more, payload| {
            let addresses = ("2001:db8::1".parse().unwrap(), "2001:db8::2".parse().unwrap());
            Fragment { addresses, ..piece(offset, more, payload) }
        };
        let first = six(0, true, &b"0123456789abcdef"[..]);
        let (whole, counters) = together(&[first, first, six(8, true, b"89abcdef"), six(16, false, b"end")]);
        assert_eq!(whole.unwrap(), b"0123456789abcdefend");
        assert_eq!(counters.value(Counter::FragmentsDropped), 0);
        for overlap in
            [six(8, true, b"89abcdefXXXXXXXX"), six(8, true, b"89abcdeX"), six(0, true, b"0123456X")]
        {
            let parts = [first, overlap, six(16, false, b"end"), first, six(16, false, b"end")];
            let (whole, counters) = together(&parts);
            assert!(whole.is_none(), "nor is it put together from what comes later");
            assert_eq!(counters.value(Counter::FragmentsDropped), 5);
            assert_eq!(counters.value(Counter::FragmentsConflicting), 1);
        }
    }

    #[test]
    fn what_never_becomes_whole_is_counted_as_lost() {
        let (whole, counters) = together(&[piece(0, true, b"01234567"), piece(16, false, b"end")]);
        assert!(whole.is_none());
        assert_eq!(counters.value(Counter::FragmentsDropped), 2);
        let (mut fragments, mut counters) = (Fragments::default(), Counters::default());
        assert!(fragments.add(Timestamp(0), &piece(0, true, b"01234567"), &mut counters).is_none());
        fragments.expire(Timestamp(PATIENCE_MICROS), &mut counters);
        assert_eq!(counters.value(Counter::FragmentsDropped), 1);
        assert!(fragments.waiting.is_empty());
    }

    #[test]
    fn impossible_parts_are_refused() {
        for odd in [piece(65_528, true, b"0123456789abcdef"), piece(0, true, b"0123"), piece(0, false, b"")] {
            let (whole, counters) = together(&[odd]);
            assert!(whole.is_none());
            assert_eq!(counters.value(Counter::FragmentsDropped), 1);
        }
    }

    #[test]
    fn its_memory_is_bounded() {
        let (mut fragments, mut counters) = (Fragments::default(), Counters::default());
        let bytes = vec![0; 1_400];
        for id in 0..100_000 {
            let part = Fragment { id, ..piece(48_000, true, &bytes) };
            fragments.add(Timestamp(0), &part, &mut counters);
        }
        assert!(fragments.waiting.len() <= DATAGRAMS_MAX);
        assert!(fragments.held <= HELD_MAX_BYTES + 2 * PAYLOAD_MAX_BYTES, "{}", fragments.held);
    }

    proptest::proptest! {
        #[test]
        fn any_fragments_are_survived(
            parts in proptest::collection::vec((0_u16..200, proptest::bool::ANY, 0_usize..64), 0..40),
        ) {
            let bytes = [b'x'; 64];
            let (mut fragments, mut counters) = (Fragments::default(), Counters::default());
            for (units, more, length) in parts {
                let part = piece(units * 8, more, &bytes[..length]);
                fragments.add(Timestamp(0), &part, &mut counters);
            }
        }
    }
}
