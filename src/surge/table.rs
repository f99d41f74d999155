//! Counters of the current second by address and kind, in a table that never grows beyond its limit.

use std::hash::{Hash, Hasher};
use std::net::IpAddr;

use hashbrown::HashTable;

use crate::model::surge::SurgeKind;
use crate::surge::sketch::Sketch;

/// Packets of one second from which on sources and ports are told apart: fewer need no estimate, and most addresses never
/// send more.
const SKETCH_FROM: u64 = 32;
/// Seconds of which it is remembered whether they were flooded: longer than a SYN waits for its answer.
const REMEMBERED_SECONDS: i64 = 32;
/// Seconds of those, in which a source came, from which on it goes on and on: people ask for a page and read it.
const STEADY_SECONDS: u32 = 16;
/// Entries looked at to find one that can go.
const LOOKS: usize = 8;
/// Sources of a scan, its decoys included; a flood in forged names has many times more.
const SCAN_PORTS_MIN: u32 = 16;

/// What is counted.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub struct Key {
    /// The victim, or of what a handshake proves the source.
    pub address: IpAddr,
    /// What it is.
    pub kind: SurgeKind,
}

/// The address in one word: it is hashed for each packet, and in its own form it takes four steps.
pub(super) const fn word(address: IpAddr) -> u128 {
    match address {
        IpAddr::V4(v4) => v4.to_ipv6_mapped().to_bits(),
        IpAddr::V6(v6) => v6.to_bits(),
    }
}

impl Hash for Key {
    fn hash<H: Hasher>(&self, state: &mut H) {
        state.write_u128(word(self.address));
        self.kind.hash(state);
    }
}

/// The value that most packets name, if one does (Boyer and Moore, 1981).
#[derive(Clone, Copy, Debug)]
pub struct Vote<T> {
    value: Option<T>,
    lead: u32,
}

impl<T> Default for Vote<T> {
    fn default() -> Self {
        Self { value: None, lead: 0 }
    }
}

impl<T: Copy + Eq> Vote<T> {
    fn cast(&mut self, value: T) {
        if self.lead == 0 {
            self.value = Some(value);
        }
        if self.value == Some(value) {
            self.lead = self.lead.saturating_add(1);
        } else {
            self.lead -= 1;
        }
    }

    /// The value of three in four of `all`, at least.
    pub fn winner(&self, all: u64) -> Option<T> {
        self.value.filter(|_| u64::from(self.lead) * 2 >= all)
    }
}

/// What came of one kind to one address in one second.
#[derive(Debug, Default)]
pub struct Second {
    /// Packets.
    pub packets: u64,
    /// Bytes of them.
    pub bytes: u64,
    /// Packets that speak for honest traffic.
    pub completed: u64,
    /// Bytes of those.
    pub completed_bytes: u64,
    /// The port most of them name.
    pub port: Vote<u16>,
    /// The other end of most of them.
    pub peer: Vote<IpAddr>,
    /// Its port; of UDP alone.
    pub peer_port: Vote<u16>,
}

/// One address and kind.
#[derive(Debug)]
pub struct Entry {
    /// Whose.
    pub key: Key,
    hash: u64,
    /// The second that the counts are of.
    second: i64,
    /// The counts.
    pub counts: Second,
    /// Conversations held open now.
    pub held: u32,
    /// Bit n: the second `second - n` was flooded.
    flooded: u32,
    /// Bit n: something came in the second `second - n`.
    active: u32,
    sketch: Option<Box<Sketch>>,
}

/// Memory of one entry with its sketch, two words of the allocator, and its share of an index that may be half empty.
pub const ENTRY_BYTES: usize = size_of::<Entry>() + size_of::<Sketch>() + 16 + 2 * (size_of::<u32>() + 1);

/// A packet as it is counted.
#[derive(Clone, Copy, Debug)]
pub struct Hit {
    /// The other end.
    pub peer: IpAddr,
    /// The port it came from.
    pub peer_port: u16,
    /// The port it names.
    pub port: u16,
    /// Its bytes on the wire.
    pub bytes: u32,
}

impl Entry {
    fn new(key: Key, hash: u64, second: i64) -> Self {
        Self { key, hash, second, counts: Second::default(), held: 0, flooded: 0, active: 0, sketch: None }
    }

    /// Moves on to a second.
    fn reach(&mut self, second: i64) {
        if self.second != second {
            self.roll(second);
        }
    }

    fn roll(&mut self, second: i64) {
        let gone = second.saturating_sub(self.second);
        self.flooded |= u32::from(self.is_flood());
        self.active |= u32::from(self.counts.packets > 0);
        let remembered = |bits: u32| if (0..REMEMBERED_SECONDS).contains(&gone) { bits << gone } else { 0 };
        (self.flooded, self.active) = (remembered(self.flooded), remembered(self.active));
        let Second { port, peer, .. } = std::mem::take(&mut self.counts);
        if self.held > 0 {
            (self.counts.port, self.counts.peer) = (port, peer);
        }
        if let Some(sketch) = &mut self.sketch {
            **sketch = Sketch::default();
        }
        self.second = second;
    }

    /// Whether the packets of this second look like a scan: a handful of sources, each port a few times. Contacts tell of it.
    pub fn is_scan(&self) -> bool {
        let scans = matches!(self.key.kind, SurgeKind::Ack | SurgeKind::Syn | SurgeKind::Udp);
        let Some(sketch) = self.sketch.as_ref().filter(|_| scans) else { return false };
        let Some(sources) = sketch.is_of_few() else { return false };
        let ports = sketch.ports();
        // Each decoy probes each port, and a silent port is probed again.
        let probes = u64::from(ports) * u64::from(sources.max(1)) * 4;
        ports >= SCAN_PORTS_MIN && probes >= self.counts.packets
    }

    /// Whether it came in most of the last seconds.
    pub const fn is_steady(&self) -> bool {
        self.active.count_ones() >= STEADY_SECONDS
    }

    /// Whether this second is a flood, as far as it has gone: more than the floor that nothing honest explains.
    pub fn is_flood(&self) -> bool {
        let unexplained = self.counts.packets.saturating_sub(self.counts.completed);
        unexplained >= super::floor(self.key.kind) && !self.is_scan()
    }

    /// Distinct sources of this second; of few packets they are not told apart.
    pub fn sources(&self) -> u32 {
        let estimate = self.sketch.as_ref().map_or(0, |sketch| sketch.sources());
        u32::try_from(self.counts.packets).unwrap_or(u32::MAX).min(estimate.max(1))
    }

    /// How much it is worth to keep: what is flooded or held open must stay.
    fn worth(&self, second: i64) -> u64 {
        let quiet = second.saturating_sub(self.second);
        if self.held > 0 {
            return u64::MAX / 2 + u64::from(self.held);
        }
        match quiet {
            0 | 1 => self.counts.packets + (u64::from(self.flooded != 0) << 32),
            2..REMEMBERED_SECONDS => u64::from(self.flooded != 0) << 31,
            _ => 0,
        }
    }
}

/// All of one worker.
#[derive(Debug)]
pub struct Counts {
    index: HashTable<u32>,
    hasher: ahash::RandomState,
    entries: Vec<Entry>,
    entries_max: usize,
    hand: usize,
    /// The slot that was counted in last: in a flood it is that of the next packet as well.
    latest: u32,
    /// Entries that reached their floor in this second.
    busy: Vec<u32>,
    /// Entries that gave way to another before their time.
    pub evicted: u64,
}

impl Counts {
    /// An empty table of so many entries at most.
    pub fn new(entries_max: usize) -> Self {
        Self {
            index: HashTable::new(),
            hasher: ahash::RandomState::default(),
            // At once: a table that grew by doubling would take twice its room for a moment, and it is not large.
            entries: Vec::with_capacity(entries_max),
            entries_max,
            hand: 0,
            latest: 0,
            busy: Vec::new(),
            evicted: 0,
        }
    }

    /// Counts a packet; gives its entry.
    pub fn hit(&mut self, second: i64, key: Key, hit: Hit) -> Option<&Entry> {
        let slot = self.slot(second, key)?;
        let entry = self.entries.get_mut(slot as usize)?;
        let counts = &mut entry.counts;
        counts.packets += 1;
        counts.bytes += u64::from(hit.bytes);
        counts.port.cast(hit.port);
        counts.peer.cast(hit.peer);
        if key.kind == SurgeKind::Udp {
            counts.peer_port.cast(hit.peer_port);
        }
        if counts.packets == super::attention(key.kind) {
            self.busy.push(slot);
        }
        if counts.packets >= SKETCH_FROM || entry.sketch.is_some() {
            entry.sketch.get_or_insert_default().add(&self.hasher, hit.peer, hit.port);
        }
        Some(entry)
    }

    /// Counts what speaks for honest traffic, where the address is known.
    pub fn complete(&mut self, second: i64, key: Key, bytes: u32) {
        if let Some(slot) = self.find(key)
            && let Some(entry) = self.entries.get_mut(slot as usize)
        {
            entry.reach(second);
            entry.counts.completed += 1;
            entry.counts.completed_bytes += u64::from(bytes);
        }
    }

    /// Notes that a conversation is held open.
    pub fn hold(&mut self, second: i64, key: Key, hit: Hit) {
        if let Some(slot) = self.slot(second, key)
            && let Some(entry) = self.entries.get_mut(slot as usize)
        {
            entry.held = entry.held.saturating_add(1);
            entry.counts.port.cast(hit.port);
            entry.counts.peer.cast(hit.peer);
        }
    }

    /// Notes that one is held open no more.
    pub fn release(&mut self, key: Key) {
        if let Some(slot) = self.find(key)
            && let Some(entry) = self.entries.get_mut(slot as usize)
        {
            entry.held = entry.held.saturating_sub(1);
        }
    }

    /// Gives the entries that reached their floor in a second, once.
    pub fn ended(&mut self, second: i64, mut each: impl FnMut(&Entry)) {
        for slot in self.busy.drain(..) {
            if let Some(entry) = self.entries.get(slot as usize)
                && entry.second == second
            {
                each(entry);
            }
        }
    }

    /// Gives the entries of which conversations are held open.
    pub fn held(&self) -> impl Iterator<Item = &Entry> {
        self.entries.iter().filter(|entry| entry.held > 0)
    }

    /// Whether a second was flooded, or the one before or after it.
    pub fn is_flooded(&self, key: Key, second: i64) -> bool {
        let Some(entry) = self.find(key).and_then(|slot| self.entries.get(slot as usize)) else {
            return false;
        };
        let gone = entry.second.saturating_sub(second);
        if !(-1..=REMEMBERED_SECONDS).contains(&gone) {
            return false;
        }
        // Three bits around that second, of which the lowest of all is the second that still goes on.
        let around = u64::from(entry.flooded & !1) << 2 >> (gone + 1) & 0b111;
        around != 0 || gone <= 1 && entry.is_flood()
    }

    fn find(&self, key: Key) -> Option<u32> {
        if self.has(self.latest, key) {
            return Some(self.latest);
        }
        self.index.find(self.hasher.hash_one(key), |slot| self.has(*slot, key)).copied()
    }

    fn has(&self, slot: u32, key: Key) -> bool {
        self.entries.get(slot as usize).is_some_and(|entry| entry.key == key)
    }

    /// The slot of a key in this second, a new one where there is none.
    fn slot(&mut self, second: i64, key: Key) -> Option<u32> {
        if !self.has(self.latest, key) {
            self.latest = self.slot_anew(second, key)?;
        }
        self.entries.get_mut(self.latest as usize)?.reach(second);
        Some(self.latest)
    }

    fn slot_anew(&mut self, second: i64, key: Key) -> Option<u32> {
        let hash = self.hasher.hash_one(key);
        if let Some(slot) = self.index.find(hash, |slot| self.has(*slot, key)).copied() {
            return Some(slot);
        }
        let fresh = Entry::new(key, hash, second);
        let slot = if self.entries.len() < self.entries_max {
            self.entries.push(fresh);
            self.entries.len() as u32 - 1
        } else {
            let slot = self.make_room(second)?;
            *self.entries.get_mut(slot as usize)? = fresh;
            slot
        };
        let Self { index, entries, .. } = self;
        index.insert_unique(hash, slot, |slot| entries.get(*slot as usize).map_or(0, |entry| entry.hash));
        Some(slot)
    }

    /// Takes out the least of the next few entries. What reached its floor in this second stays until it was told.
    fn make_room(&mut self, second: i64) -> Option<u32> {
        let mut least: Option<(u64, usize)> = None;
        for _ in 0..LOOKS {
            self.hand = (self.hand + 1) % self.entries.len().max(1);
            let Some(entry) = self.entries.get(self.hand) else { continue };
            let worth = entry.worth(second);
            let told = entry.second != second || entry.counts.packets < super::attention(entry.key.kind);
            if told && least.is_none_or(|(least, _)| worth < least) {
                least = Some((worth, self.hand));
            }
            if worth <= 1 {
                break;
            }
        }
        self.evicted += 1;
        let (_, slot) = least?;
        let hash = self.entries.get(slot)?.hash;
        let slot = slot as u32;
        if let Ok(entry) = self.index.find_entry(hash, |other| *other == slot) {
            entry.remove();
        }
        Some(slot)
    }

    /// Entries in it.
    #[cfg(test)]
    pub const fn size(&self) -> usize {
        self.entries.len()
    }
}
