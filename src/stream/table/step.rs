//! One segment's way through its conversation.

use crate::decode::transport::{Segment, flag};
use crate::model::contact::Touched;
use crate::model::progress::{Counter, Counters};
use crate::model::stream::{Chunk, Side};
use crate::model::time::{MICROS_PER_SEC, Timestamp};
use crate::stream::Consumer;
use crate::stream::flow::{Flow, Opening, Phase};
use crate::stream::half::{Arrival, Intake};

/// How long bytes may be missing after their receiver acknowledged them. Frames of one conversation change
/// places within milliseconds (several queues, a mirror port); a quarter of a second is no reordering.
const GAP_PATIENCE_MICROS: i64 = MICROS_PER_SEC / 4;

/// One segment's way through its conversation.
pub(super) struct Step<'a, C: Consumer> {
    pub(super) flow: &'a mut Flow<C::State>,
    pub(super) slot: u32,
    pub(super) now: Timestamp,
    pub(super) consumer: &'a mut C,
    pub(super) counters: &'a mut Counters,
    pub(super) room: usize,
}

impl<C: Consumer> Step<'_, C> {
    pub(super) fn take(&mut self, segment: &Segment<'_>) {
        let side = self.flow.sender_of(segment);
        let begin = segment.sequence.wrapping_add(u32::from(segment.has(flag::SYN)));
        let repeated_syn = segment.has(flag::SYN)
            && self.flow.half(side).initial.is_some_and(|initial| initial != segment.sequence);
        if repeated_syn {
            return;
        }
        self.flow.hear(side);
        self.flow.shake(segment, side);
        self.decide(segment, side);
        if !segment.payload.is_empty() {
            self.flow.half(side).pick_up(begin);
            self.data(side, begin, segment.payload);
        }
        if segment.has(flag::ACK) {
            self.acknowledgement(side, segment.acknowledgement);
            self.flow.shake(segment, side);
            self.decide(segment, side);
        }
        self.gaps();
        if segment.has(flag::FIN) {
            self.flow.half(side).finish(begin.wrapping_add(segment.payload.len() as u32));
        }
        self.settle(segment, side);
    }

    /// Tells what this segment decides of the SYN.
    fn decide(&mut self, segment: &Segment<'_>, side: Side) {
        if let Some(how) = self.flow.decided(segment, side) {
            tell(self.flow, self.slot, (self.now, how), self.consumer);
        }
    }

    fn data(&mut self, side: Side, sequence: u32, bytes: &[u8]) {
        let half = match side {
            Side::Client => &mut self.flow.from_client,
            Side::Server => &mut self.flow.from_server,
        };
        let was_closed = half.is_closed();
        let intake = Intake { time: self.now, room: self.room, counters: self.counters };
        match half.arrive(sequence, bytes, intake) {
            Arrival::Deliver(fresh) if !was_closed => {
                self.deliver(side, fresh, self.now);
                self.drain(side);
            }
            _ => {}
        }
    }

    fn deliver(&mut self, side: Side, bytes: &[u8], time: Timestamp) {
        let view = self.flow.view(self.slot, self.now);
        let half = self.flow.half(side);
        let chunk = Chunk { bytes, offset: half.offset(), time, conflicting: half.take_conflicting() };
        half.advance(bytes.len());
        self.consumer.data(&view, &mut self.flow.state, side, chunk);
    }

    fn drain(&mut self, side: Side) {
        while let Some((bytes, known, time)) = self.flow.half(side).ready() {
            self.deliver(side, bytes.get(known..).unwrap_or_default(), time);
        }
    }

    fn acknowledgement(&mut self, side: Side, number: u32) {
        let other = match side {
            Side::Client => Side::Server,
            Side::Server => Side::Client,
        };
        let fresh = self.flow.half(other).acknowledge(number, self.now, self.counters);
        if fresh && side == Side::Client {
            let view = self.flow.view(self.slot, self.now);
            self.consumer.acknowledged(&view, &mut self.flow.state);
        }
    }

    fn gaps(&mut self) {
        for side in [Side::Client, Side::Server] {
            while let Some(missing) = self.flow.half(side).lost(self.now, GAP_PATIENCE_MICROS) {
                self.counters.add(Counter::GapBytes, missing as u64);
                let view = self.flow.view(self.slot, self.now);
                self.flow.half(side).advance(missing);
                self.consumer.gap(&view, &mut self.flow.state, side, missing as u64);
                self.drain(side);
            }
        }
    }

    /// Moves the conversation to its next phase.
    fn settle(&mut self, segment: &Segment<'_>, side: Side) {
        for ending in [Side::Client, Side::Server] {
            if self.flow.half(ending).closes() {
                let view = self.flow.view(self.slot, self.now);
                self.consumer.closed(&view, &mut self.flow.state, ending);
            }
        }
        if let Some(stall) = self.flow.stall(segment, side, self.now) {
            let view = self.flow.view(self.slot, self.now);
            self.consumer.stalled(&view, &mut self.flow.state, stall);
        }
        let reset = segment.has(flag::RST) && self.flow.half(side).accepts_reset(segment.sequence);
        let ended = self.flow.from_client.is_closed() && self.flow.from_server.is_closed();
        if reset || ended {
            self.flow.phase = Phase::Closing;
        } else if self.flow.phase == Phase::Opening
            && (self.flow.handshake
                || self.flow.from_client.is_answered()
                || self.flow.from_server.is_answered())
        {
            self.flow.phase = Phase::Open;
        }
    }
}

/// Tells what became of a conversation's SYN. Once: there is nothing to tell after it.
pub(super) fn tell<C: Consumer>(
    flow: &mut Flow<C::State>,
    slot: u32,
    (now, how): (Timestamp, Touched),
    consumer: &mut C,
) {
    flow.opening = Opening::Told;
    let view = flow.view(slot, now);
    consumer.touched(&view, &mut flow.state, how);
}
