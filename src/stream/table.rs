//! The flow table: finds the conversation of a segment, keeps the table within its limits.

mod opening;
mod step;

use std::net::{IpAddr, SocketAddr};

use hashbrown::HashTable;

use crate::decode::transport::{Segment, flag};
use crate::model::contact::Touched;
use crate::model::progress::{Counter, Counters};
use crate::model::stream::Side;
use crate::model::time::Timestamp;
use crate::stream::flow::{Flow, Phase};
use crate::stream::list::{Linked, Links, List};
use crate::stream::table::opening::opener;
use crate::stream::table::step::{Step, tell};
use crate::stream::{Consumer, FlowRef};

/// Conversations forgotten for one segment at most, so that a silence is not paid for by one packet.
const EXPIRED_PER_SEGMENT: usize = 64;
/// Memory of one slot with its share of the index; for dividing the limit. A test holds it.
pub const FLOW_BYTES: usize = 480;
/// Emptied conversations whose memory the next ones take: as many as one segment forgets at most.
const SPARE_MAX: usize = EXPIRED_PER_SEGMENT;

/// Limits of the table.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub struct Limits {
    /// Conversations at once.
    pub flows_max: usize,
    /// Bytes that all conversations may hold together (out-of-order segments, parser buffers).
    pub held_max_bytes: usize,
}

struct Slots<S>(Vec<Option<Box<Flow<S>>>>);

impl<S: Default> Linked for Slots<S> {
    fn links(&mut self, slot: u32) -> Option<&mut Links> {
        self.flow(slot).map(|flow| &mut flow.links)
    }
}

impl<S: Default> Slots<S> {
    fn flow(&mut self, slot: u32) -> Option<&mut Flow<S>> {
        self.0.get_mut(slot as usize)?.as_deref_mut()
    }

    fn is_between(&self, slot: u32, (ends, forgeable): ((SocketAddr, SocketAddr), bool)) -> bool {
        let flow = self.0.get(slot as usize).and_then(Option::as_deref);
        flow.is_some_and(|flow| flow.forgeable == forgeable && flow.is_between(ends))
    }
}

/// A slot in the index. With its hash, so that neither a look-up in vain nor the growth of the index touches a conversation: they
/// are in no cache.
#[derive(Clone, Copy)]
struct Indexed {
    hash: u32,
    slot: u32,
}

/// Fills the word that the index takes its place and its tag from.
const fn spread(hash: u32) -> u64 {
    (hash as u64) << 32 | hash as u64
}

/// All conversations of one worker.
pub struct Table<C: Consumer> {
    limits: Limits,
    /// Slots by the hash of their key: most look-ups end in it.
    index: HashTable<Indexed>,
    hasher: ahash::RandomState,
    slots: Slots<C::State>,
    free: Vec<u32>,
    /// Memory of conversations that were forgotten and held nothing: at a flood each is a new one at once.
    spare: Vec<Box<Flow<C::State>>>,
    lists: [List; Phase::ALL.len()],
    /// Invariant: no conversation is to be looked at before this time. Saves each segment the way to the oldest of each list, which
    /// are in no cache.
    quiet_until: Timestamp,
    held: usize,
    opened: u64,
}

impl<C: Consumer> Table<C> {
    /// An empty table. The hash is keyed anew at each start, so that nobody can aim at one bucket.
    pub fn new(limits: Limits) -> Self {
        Self {
            limits,
            index: HashTable::new(),
            hasher: ahash::RandomState::default(),
            slots: Slots(Vec::new()),
            free: Vec::new(),
            spare: Vec::new(),
            lists: [List::default(); Phase::ALL.len()],
            quiet_until: Timestamp(i64::MAX),
            held: 0,
            opened: 0,
        }
    }

    /// Conversations in it.
    pub fn len(&self) -> usize {
        self.index.len()
    }

    /// Whether it holds none.
    pub fn is_empty(&self) -> bool {
        self.index.is_empty()
    }

    /// Takes a segment through its conversation.
    pub fn segment(
        &mut self,
        now: Timestamp,
        segment: &Segment<'_>,
        consumer: &mut C,
        counters: &mut Counters,
    ) {
        self.expire(now, EXPIRED_PER_SEGMENT, consumer);
        let found = self.slot_of(now, segment, consumer, counters);
        let Some(slot) = found else { return };
        let Some(flow) = self.slots.flow(slot) else { return };
        let mut step = Step { flow, slot, now, consumer, counters, room: 0 };
        step.room = self.limits.held_max_bytes.saturating_sub(self.held);
        let before = step.flow.held;
        let phase_before = step.flow.phase;
        step.take(segment);
        let flow = step.flow;
        flow.held = flow.from_client.held() + flow.from_server.held() + C::held(&flow.state);
        flow.last = now;
        let (held, phase) = (flow.held, flow.phase);
        self.held = (self.held + held).saturating_sub(before);
        // An unfinished handshake keeps its place: nothing but its answer moves the time when it is told that there was none.
        if (phase_before, phase) != (Phase::Opening, Phase::Opening) {
            self.relist(slot, (phase_before, phase), now);
        }
    }

    /// Puts a conversation at the end of the list of its phase.
    fn relist(&mut self, slot: u32, (before, after): (Phase, Phase), now: Timestamp) {
        // The newest of its list stays where it is: so it is with each segment of a conversation that has the line to itself.
        let newest = self.lists.get(before as usize).is_some_and(|list| list.is_newest(slot));
        if before != after || !newest {
            if let Some(list) = self.lists.get_mut(before as usize) {
                list.remove(&mut self.slots, slot);
            }
            self.enlist(slot, after);
        }
        if let Some(flow) = self.slots.flow(slot) {
            flow.listed = now;
        }
        self.look_at(now, after);
    }

    /// Puts a conversation that is in no list at the end of one.
    fn enlist(&mut self, slot: u32, phase: Phase) {
        if let Some(list) = self.lists.get_mut(phase as usize) {
            list.push(&mut self.slots, slot);
        }
    }

    /// Notes that a conversation of a phase was listed.
    fn look_at(&mut self, listed: Timestamp, phase: Phase) {
        self.quiet_until = self.quiet_until.min(listed.plus_micros(phase.patience_micros()));
    }

    /// Takes an ICMP error that quotes a SYN, by its ends and sequence number.
    pub fn undelivered(
        &mut self,
        now: Timestamp,
        (client, server, sequence): (SocketAddr, SocketAddr, u32),
        how: Touched,
        consumer: &mut C,
    ) {
        let hash = self.hash(client, server);
        if let Some(slot) = self.find((client, server), false, hash)
            && let Some(flow) = self.slots.flow(slot)
            && flow.client == client
            && flow.fate() == Some(Touched::Silent)
            && flow.from_client.initial == Some(sequence)
        {
            tell(flow, slot, (now, how), consumer);
        }
    }

    /// Forgets conversations that were silent for longer than their phase allows, `limit` at most.
    pub fn expire(&mut self, now: Timestamp, limit: usize, consumer: &mut C) {
        if now < self.quiet_until {
            return;
        }
        let mut left = limit;
        // Lowered again by whatever is still listed.
        self.quiet_until = Timestamp(i64::MAX);
        for phase in Phase::ALL {
            while let Some(slot) = self.lists.get(phase as usize).and_then(List::oldest) {
                let Some(flow) = self.slots.flow(slot) else { break };
                let listed = flow.listed;
                if left == 0 || now.micros_since(listed) < phase.patience_micros() {
                    self.look_at(listed, phase);
                    break;
                }
                if phase == Phase::Opening && flow.is_trying(now) {
                    if let Some(fate) = flow.fate() {
                        tell(flow, slot, (now, fate), consumer);
                    }
                    self.relist(slot, (phase, phase), now);
                } else {
                    self.forget(slot, now, consumer);
                }
                left -= 1;
            }
        }
    }

    /// Forgets every conversation: the end of the input.
    pub fn finish(&mut self, now: Timestamp, consumer: &mut C) {
        for phase in Phase::ALL {
            while let Some(slot) = self.lists.get(phase as usize).and_then(List::oldest) {
                self.forget(slot, now, consumer);
            }
        }
    }

    /// Calls `act` with the conversation `reference` means, if it still exists.
    pub fn visit(
        &mut self,
        reference: FlowRef,
        now: Timestamp,
        act: impl FnOnce(&crate::stream::View, &mut C::State),
    ) {
        if let Some(flow) = self.slots.flow(reference.slot)
            && flow.number == reference.number
        {
            let view = flow.view(reference.slot, now);
            act(&view, &mut flow.state);
        }
    }

    /// The same whichever end sends: of two keyed hashes the sum. Cheaper than to order the ends first, and nobody who does not
    /// know the key can choose two sums to be equal.
    fn hash(&self, source: SocketAddr, destination: SocketAddr) -> u32 {
        self.hash_of(source).wrapping_add(self.hash_of(destination)) as u32
    }

    fn hash_of(&self, end: SocketAddr) -> u64 {
        match end.ip() {
            IpAddr::V4(v4) => self.hasher.hash_one(u64::from(v4.to_bits()) << 16 | u64::from(end.port())),
            IpAddr::V6(v6) => self.hasher.hash_one((v6.to_bits(), end.port())),
        }
    }

    /// The slot of the conversation of two ends. What came in a tunnel that is not known is one of its own.
    fn find(&self, ends: (SocketAddr, SocketAddr), forgeable: bool, hash: u32) -> Option<u32> {
        let is = |place: &Indexed| place.hash == hash && self.slots.is_between(place.slot, (ends, forgeable));
        self.index.find(spread(hash), is).map(|place| place.slot)
    }

    /// The slot of the segment's conversation, opening one where there is none.
    fn slot_of(
        &mut self,
        now: Timestamp,
        segment: &Segment<'_>,
        consumer: &mut C,
        counters: &mut Counters,
    ) -> Option<u32> {
        let ends = (segment.source, segment.destination);
        let hash = self.hash(ends.0, ends.1);
        if let Some(slot) = self.find(ends, segment.forgeable, hash) {
            let flow = self.slots.flow(slot)?;
            let silent = now.micros_since(flow.last);
            let stale = silent >= flow.phase.timeout_micros();
            if !stale && !flow.is_reopened_by(segment, silent) {
                return Some(slot);
            }
            self.forget(slot, now, consumer);
        }
        if segment.flags & (flag::SYN | flag::ACK) != flag::SYN || segment.has(flag::FIN | flag::RST) {
            consumer.stray(now, segment);
        }
        let sender = opener(segment, consumer)?;
        if self.index.len() >= self.limits.flows_max {
            self.evict(now, consumer);
            counters.count(Counter::FlowsEvicted);
        }
        counters.count(Counter::FlowsOpened);
        if !segment.has(flag::SYN) {
            counters.count(Counter::FlowsMidstream);
        }
        let slot = self.open(now, hash, segment, sender);
        // Of a SYN that carries nothing all is known: it has no way to go through its conversation.
        let is_bare = sender == Side::Client && segment.has(flag::SYN) && segment.payload.is_empty();
        (!is_bare).then_some(slot)
    }

    /// Makes the conversation that a segment opens.
    fn open(&mut self, now: Timestamp, hash: u32, segment: &Segment<'_>, sender: Side) -> u32 {
        self.opened += 1;
        let number = self.opened;
        // Made in two places, so that it is made where it stays instead of being copied there.
        let flow = match self.spare.pop() {
            Some(mut spare) => {
                *spare = Flow::new(hash, (number, now), segment, sender);
                spare
            }
            None => Box::new(Flow::new(hash, (number, now), segment, sender)),
        };
        let phase = flow.phase;
        let slot = if let Some(slot) = self.free.pop() {
            if let Some(place) = self.slots.0.get_mut(slot as usize) {
                *place = Some(flow);
            }
            slot
        } else {
            self.slots.0.push(Some(flow));
            self.slots.0.len() as u32 - 1
        };
        let place = Indexed { hash, slot };
        self.index.insert_unique(spread(hash), place, |place| spread(place.hash));
        self.enlist(slot, phase);
        self.look_at(now, phase);
        slot
    }

    /// Makes room: the conversation whose loss costs least goes first (unfinished handshakes, then ended
    /// ones, then the one silent for longest).
    fn evict(&mut self, now: Timestamp, consumer: &mut C) {
        let victim = [Phase::Opening, Phase::Closing, Phase::Open]
            .into_iter()
            .find_map(|phase| self.lists.get(phase as usize).and_then(List::oldest));
        if let Some(slot) = victim {
            self.forget(slot, now, consumer);
        }
    }

    fn forget(&mut self, slot: u32, now: Timestamp, consumer: &mut C) {
        let Some(phase) = self.slots.flow(slot).map(|flow| flow.phase) else { return };
        if let Some(list) = self.lists.get_mut(phase as usize) {
            list.remove(&mut self.slots, slot);
        }
        if let Some(mut flow) = self.slots.0.get_mut(slot as usize).and_then(Option::take) {
            let view = flow.view(slot, now);
            if let Some(fate) = flow.fate() {
                consumer.touched(&view, &mut flow.state, fate);
            }
            consumer.ended(&view, &mut flow.state);
            if let Ok(entry) = self.index.find_entry(spread(flow.hash), |other| other.slot == slot) {
                entry.remove();
            }
            self.held = self.held.saturating_sub(flow.held);
            self.free.push(slot);
            if flow.held == 0 && self.spare.len() < SPARE_MAX {
                self.spare.push(flow);
            }
        }
    }
}
