//! One direction of a TCP conversation: sequence numbers in, ordered bytes out.

use std::collections::VecDeque;

use crate::model::progress::{Counter, Counters};
use crate::model::time::Timestamp;

/// How far ahead of the expected byte a segment may lie. Larger than any window seen in practice;
/// beyond it a sequence number is noise.
const AHEAD_MAX: u32 = 8 << 20;
/// Bytes that one direction may hold out of order.
const WAITING_MAX_BYTES: usize = 512 << 10;
/// Segments that one direction may hold out of order: bounds the work of inserting one-byte segments.
const WAITING_MAX_SEGMENTS: usize = 512;

/// A segment that waits for the bytes before it.
#[derive(Debug)]
pub struct Waiting {
    sequence: u32,
    bytes: Box<[u8]>,
    time: Timestamp,
}

/// What one direction has seen.
#[derive(Debug, Default)]
#[expect(clippy::struct_excessive_bools, reason = "four independent facts of one direction")]
pub struct Half {
    /// The sequence number of the SYN, where it was seen.
    pub initial: Option<u32>,
    /// The first byte of data that could be captured.
    first: u32,
    /// The next byte expected. Invariant: everything before it was delivered or is a declared gap.
    next: u32,
    /// Whether `next` means anything.
    started: bool,
    /// The highest acknowledgement of these bytes by the other end.
    acknowledged: Option<u32>,
    /// Whether the other end acknowledged data of this direction that was captured.
    answered: bool,
    /// The sequence number after the last byte, where a FIN told it.
    end: Option<u32>,
    /// When the other end first acknowledged bytes that are still missing here.
    missing_since: Option<Timestamp>,
    /// Out-of-order segments by sequence number, without overlap.
    #[expect(
        clippy::box_collection,
        reason = "empty in nearly every conversation: one word instead of four"
    )]
    waiting: Option<Box<VecDeque<Waiting>>>,
    /// Bytes in `waiting`.
    held: usize,
    /// Delivered or skipped bytes since the SYN (or since the absolute number it was picked up at).
    offset: u64,
    /// Whether two copies of the same bytes differed.
    conflicting: bool,
    /// Whether the consumer was told that it ended.
    told: bool,
}

/// What an arriving segment needs to know of the world around it.
#[derive(Debug)]
pub struct Intake<'a> {
    /// When it was captured.
    pub time: Timestamp,
    /// Bytes that may still be held by all conversations together.
    pub room: usize,
    /// Where its fate is counted.
    pub counters: &'a mut Counters,
}

/// What to do with a segment's bytes.
#[derive(Debug, PartialEq)]
pub enum Arrival<'a> {
    /// They are next: deliver them.
    Deliver(&'a [u8]),
    /// They were kept, or dropped and counted.
    Nothing,
}

/// `a - b` in sequence space: negative when `a` is behind.
#[expect(
    clippy::cast_possible_wrap,
    reason = "sequence numbers compare by the sign of their difference (RFC 9293 §3.4)"
)]
const fn distance(a: u32, b: u32) -> i32 {
    a.wrapping_sub(b) as i32
}

impl Half {
    /// Takes the SYN's number: data begins after it.
    pub const fn start(&mut self, initial: u32) {
        self.initial = Some(initial);
        self.first = initial.wrapping_add(1);
        self.next = self.first;
        self.started = true;
        self.offset = 0;
    }

    /// Takes up a conversation in the middle, at its first captured byte.
    pub fn pick_up(&mut self, sequence: u32) {
        if !self.started {
            self.first = sequence;
            self.next = sequence;
            self.started = true;
            self.offset = u64::from(sequence);
        }
    }

    /// Whether anything of this direction was seen.
    pub const fn is_started(&self) -> bool {
        self.started
    }

    /// The next byte expected.
    pub const fn next(&self) -> u32 {
        self.next
    }

    /// Where the next byte stands in the stream.
    pub const fn offset(&self) -> u64 {
        self.offset
    }

    /// Bytes held out of order.
    pub const fn held(&self) -> usize {
        self.held
    }

    /// Whether two copies of the same bytes differed since this was last asked.
    pub fn take_conflicting(&mut self) -> bool {
        std::mem::take(&mut self.conflicting)
    }

    /// Whether the other end acknowledged data of this direction that was captured.
    pub const fn is_answered(&self) -> bool {
        self.answered
    }

    /// Whether the other end acknowledged the SYN.
    pub fn is_syn_acknowledged(&self) -> bool {
        match (self.initial, self.acknowledged) {
            (Some(initial), Some(ack)) => distance(ack, initial) > 0,
            _ => false,
        }
    }

    /// Whether it ended in order.
    pub fn is_closed(&self) -> bool {
        self.end == Some(self.next)
    }

    /// True once, when it has ended in order.
    pub fn closes(&mut self) -> bool {
        let closes = self.is_closed() && !self.told;
        self.told |= closes;
        closes
    }

    /// Takes a FIN that stands after the byte before `end`.
    pub fn finish(&mut self, end: u32) {
        if self.started && self.end.is_none() && distance(end, self.next) >= 0 {
            self.end = Some(end);
        }
    }

    /// Whether a reset at `sequence` would be obeyed by its receiver (RFC 5961 §3: exactly the next byte).
    pub const fn accepts_reset(&self, sequence: u32) -> bool {
        !self.started || sequence == self.next
    }

    /// Takes a segment's bytes.
    pub fn arrive<'a>(&mut self, sequence: u32, bytes: &'a [u8], mut intake: Intake<'_>) -> Arrival<'a> {
        if bytes.is_empty() {
            return Arrival::Nothing;
        }
        let ahead = distance(sequence, self.next);
        if ahead > 0 {
            self.keep(sequence, bytes, &mut intake);
            return Arrival::Nothing;
        }
        let known = ahead.unsigned_abs() as usize;
        if known > 0 {
            intake.counters.count(Counter::SegmentsRetransmitted);
        }
        match bytes.get(known..) {
            Some(fresh) if !fresh.is_empty() => {
                if self.differs_from_kept(fresh) {
                    self.conflicting = true;
                    intake.counters.count(Counter::SegmentsConflicting);
                }
                Arrival::Deliver(fresh)
            }
            _ => Arrival::Nothing,
        }
    }

    /// Whether bytes that are next say something else than copies that were kept of them. They stand all the same: receivers take what
    /// they can hand on at once, and only what is left of what they kept.
    fn differs_from_kept(&self, fresh: &[u8]) -> bool {
        let kept = self.waiting.iter().flat_map(|waiting| waiting.iter());
        // What waits lies ahead of what is next.
        kept.map(|other| (other.sequence.wrapping_sub(self.next) as usize, &other.bytes))
            .take_while(|(ahead, _)| *ahead < fresh.len())
            .any(|(ahead, known)| fresh.iter().skip(ahead).zip(known).any(|(new, old)| new != old))
    }

    /// Notes that `count` bytes were delivered, or skipped as a gap.
    pub const fn advance(&mut self, count: usize) {
        self.next = self.next.wrapping_add(count as u32);
        self.offset = self.offset.saturating_add(count as u64);
        self.missing_since = None;
    }

    /// Keeps an out-of-order segment; where copies overlap the first one stands.
    fn keep(&mut self, sequence: u32, bytes: &[u8], intake: &mut Intake<'_>) {
        let ahead = sequence.wrapping_sub(self.next);
        let waiting = self.waiting.get_or_insert_default();
        let limit = WAITING_MAX_BYTES.min(self.held.saturating_add(intake.room));
        if ahead > AHEAD_MAX || waiting.len() >= WAITING_MAX_SEGMENTS || self.held + bytes.len() > limit {
            intake.counters.count(Counter::SegmentsRefused);
            return;
        }
        let mut at = sequence;
        let mut rest = bytes;
        let mut index = waiting.partition_point(|other| distance(other.end(), at) <= 0);
        while !rest.is_empty() {
            let Some(other) = waiting.get(index) else { break };
            let ahead = distance(other.sequence, at);
            let free = usize::try_from(ahead).unwrap_or(0);
            if free >= rest.len() {
                break;
            }
            if free > 0 {
                let (piece, tail) = rest.split_at(free);
                self.held += piece.len();
                waiting.insert(index, Waiting { sequence: at, bytes: piece.into(), time: intake.time });
                at = at.wrapping_add(free as u32);
                rest = tail;
                index += 1;
            } else {
                let inside = ahead.unsigned_abs() as usize;
                let known = other.bytes.get(inside..).unwrap_or_default();
                let shared = known.len().min(rest.len());
                if known.get(..shared) != rest.get(..shared) {
                    self.conflicting = true;
                    intake.counters.count(Counter::SegmentsConflicting);
                } else if shared == rest.len() {
                    intake.counters.count(Counter::SegmentsRetransmitted);
                }
                at = at.wrapping_add(shared as u32);
                rest = rest.get(shared..).unwrap_or_default();
                index += 1;
            }
        }
        if !rest.is_empty() {
            self.held += rest.len();
            waiting.insert(index, Waiting { sequence: at, bytes: rest.into(), time: intake.time });
        }
    }

    /// The next kept segment that is due, cut to its fresh bytes.
    pub fn ready(&mut self) -> Option<(Box<[u8]>, usize, Timestamp)> {
        loop {
            let waiting = self.waiting.as_mut()?;
            let first = waiting.front()?;
            let ahead = distance(first.sequence, self.next);
            if ahead > 0 {
                return None;
            }
            let segment = waiting.pop_front()?;
            self.held = self.held.saturating_sub(segment.bytes.len());
            if waiting.is_empty() {
                self.waiting = None;
            }
            let known = ahead.unsigned_abs() as usize;
            if known < segment.bytes.len() {
                return Some((segment.bytes, known, segment.time));
            }
        }
    }

    /// Takes the other end's acknowledgement. True where it covers bytes not acknowledged before.
    pub fn acknowledge(&mut self, ack: u32, time: Timestamp, counters: &mut Counters) -> bool {
        if !self.started || distance(ack, self.next) > AHEAD_MAX.cast_signed() {
            return false;
        }
        let fresh = self.acknowledged.is_none_or(|known| distance(ack, known) > 0);
        if fresh {
            let covers_data = self.covers_data(ack);
            self.acknowledged = Some(ack);
            self.answered |= distance(ack, self.first) > 0 && distance(self.next, self.first) > 0;
            // Those of a SYN or FIN alone tell nothing of data that was lost: counted in, they would make losses look small.
            if covers_data {
                counters.count(Counter::AcksSeen);
            }
            // One past the end acknowledges the FIN, which is no data.
            if distance(ack, self.next) > 1 {
                self.missing_since = self.missing_since.or(Some(time));
                counters.count(Counter::AcksOfGaps);
            }
        }
        fresh
    }

    /// Whether an acknowledgement covers bytes of data that none before it covered.
    fn covers_data(&self, ack: u32) -> bool {
        let from = self.acknowledged.filter(|known| distance(*known, self.first) > 0).unwrap_or(self.first);
        let to = self.end.filter(|end| distance(ack, *end) > 0).unwrap_or(ack);
        distance(to, from) > 0
    }

    /// The bytes that are missing for good: the receiver has them, and they did not arrive here within
    /// `patience_micros` of its saying so.
    pub fn lost(&self, now: Timestamp, patience_micros: i64) -> Option<usize> {
        let since = self.missing_since?;
        if now.micros_since(since) < patience_micros {
            return None;
        }
        self.missing()
    }

    /// The bytes missing before the next kept segment or the acknowledged end.
    pub fn missing(&self) -> Option<usize> {
        let first = self.waiting.as_ref().and_then(|waiting| waiting.front()).map(|first| first.sequence);
        let ack = self.acknowledged.filter(|ack| distance(*ack, self.next) > 0);
        let end = match (first, ack) {
            (Some(first), Some(ack)) => Some(if distance(first, ack) < 0 { first } else { ack }),
            (None, Some(ack)) => Some(ack),
            (_, None) => None,
        }?;
        // Nothing is missing behind a FIN, whatever somebody sent or acknowledged there.
        let end = self.end.filter(|fin| distance(*fin, end) < 0).unwrap_or(end);
        usize::try_from(distance(end, self.next)).ok().filter(|missing| *missing > 0)
    }
}

impl Waiting {
    const fn end(&self) -> u32 {
        self.sequence.wrapping_add(self.bytes.len() as u32)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const ROOM: usize = 1 << 20;

    /// Feeds segments and gives back the stream as delivered.
    fn reassemble(initial: u32, segments: &[(u32, &[u8])]) -> (Vec<u8>, Counters) {
        let mut half = Half::default();
        let mut counters = Counters::default();
        let mut out = Vec::new();
        half.start(initial);
        for (offset, bytes) in segments {
            let sequence = initial.wrapping_add(1).wrapping_add(*offset);
            if let Arrival::Deliver(fresh) = half.arrive(
                sequence,
                bytes,
                Intake { time: Timestamp(0), room: ROOM, counters: &mut counters },
            ) {
                out.extend_from_slice(fresh);
                half.advance(fresh.len());
            }
            while let Some((bytes, known, _)) = half.ready() {
                out.extend_from_slice(&bytes[known..]);
                half.advance(bytes.len() - known);
            }
        }
        assert_eq!(half.held(), half.waiting.as_ref().map_or(0, |w| w.iter().map(|s| s.bytes.len()).sum()));
        (out, counters)
    }

    #[test]
    fn segments_in_any_order_give_the_stream_once() {
        let segments: [(u32, &[u8]); 6] =
            [(6, b"gh"), (0, b"ab"), (4, b"ef"), (4, b"ef"), (2, b"cd"), (0, b"abcdefgh")];
        for initial in [0, 7, u32::MAX - 3, u32::MAX] {
            let (stream, counters) = reassemble(initial, &segments);
            assert_eq!(stream, b"abcdefgh");
            assert_eq!(counters.value(Counter::SegmentsRetransmitted), 2);
        }
    }

    #[test]
    fn overlapping_copies_keep_the_first_and_tell_of_a_difference() {
        let (stream, counters) = reassemble(1, &[(4, b"efgh"), (2, b"cdXXghij"), (0, b"ab")]);
        assert_eq!(stream, b"abcdefghij");
        assert_eq!(counters.value(Counter::SegmentsConflicting), 1);
    }

    #[test]
    fn a_segment_in_order_stands_before_what_was_kept_and_tells_of_a_difference() {
        let (stream, counters) = reassemble(1, &[(4, b"eXgh"), (0, b"abcdef"), (8, b"i")]);
        assert_eq!(stream, b"abcdefghi");
        assert_eq!(counters.value(Counter::SegmentsConflicting), 1);
        let (stream, counters) = reassemble(1, &[(4, b"efgh"), (0, b"abcdef")]);
        assert_eq!(stream, b"abcdefgh");
        assert_eq!(counters.value(Counter::SegmentsConflicting), 0);
    }

    #[test]
    fn what_waits_is_bounded() {
        let big = vec![b'x'; 60_000];
        let mut half = Half::default();
        let mut counters = Counters::default();
        half.start(0);
        for n in 1..30_u32 {
            half.arrive(
                1 + n * 60_000,
                &big,
                Intake { time: Timestamp(0), room: ROOM, counters: &mut counters },
            );
        }
        assert!(half.held() <= WAITING_MAX_BYTES);
        assert!(counters.value(Counter::SegmentsRefused) > 0);
        half.arrive(
            AHEAD_MAX + 100,
            b"far",
            Intake { time: Timestamp(0), room: ROOM, counters: &mut counters },
        );
        assert!(half.held() <= WAITING_MAX_BYTES);
    }

    #[test]
    fn nothing_is_missing_behind_the_end() {
        let (mut half, mut counters) = (Half::default(), Counters::default());
        half.start(0);
        let mut intake = |sequence, bytes| {
            half.arrive(sequence, bytes, Intake { time: Timestamp(0), room: ROOM, counters: &mut counters })
        };
        assert_eq!(intake(1, b"ab"), Arrival::Deliver(b"ab"));
        assert_eq!(intake(10, b"behind"), Arrival::Nothing);
        half.advance(2);
        half.finish(3);
        half.acknowledge(20, Timestamp(0), &mut counters);
        assert_eq!((half.closes(), half.missing()), (true, None));
    }

    #[test]
    fn bytes_the_receiver_has_and_we_have_not_are_a_gap_after_a_while() {
        let mut half = Half::default();
        let mut counters = Counters::default();
        half.start(0);
        half.arrive(11, b"later", Intake { time: Timestamp(0), room: ROOM, counters: &mut counters });
        assert!(half.acknowledge(16, Timestamp(0), &mut counters));
        assert_eq!(half.lost(Timestamp(10), 1_000), None);
        assert_eq!(half.lost(Timestamp(1_000), 1_000), Some(10));
        half.advance(10);
        assert!(half.ready().is_some());
    }

    #[test]
    fn only_acknowledgements_of_data_tell_a_share_of_losses() {
        let mut half = Half::default();
        let mut counters = Counters::default();
        half.start(0);
        assert!(half.acknowledge(1, Timestamp(0), &mut counters), "the SYN");
        assert_eq!(counters.value(Counter::AcksSeen), 0);
        half.arrive(1, b"data", Intake { time: Timestamp(0), room: ROOM, counters: &mut counters });
        half.advance(4);
        assert!(half.acknowledge(5, Timestamp(0), &mut counters));
        assert!(!half.acknowledge(5, Timestamp(0), &mut counters));
        half.finish(5);
        assert!(half.acknowledge(6, Timestamp(0), &mut counters), "the FIN");
        assert_eq!((counters.value(Counter::AcksSeen), counters.value(Counter::AcksOfGaps)), (1, 0));
    }

    proptest::proptest! {
        #[test]
        fn any_segmentation_gives_back_the_text(
            initial: u32,
            cuts in proptest::collection::vec((0_usize..200, 1_usize..40), 1..80),
        ) {
            let text: Vec<u8> = (0..200_u8).collect();
            let mut segments: Vec<(u32, &[u8])> = cuts
                .iter()
                .map(|(at, len)| (*at as u32, &text[*at..(at + len).min(200)]))
                .collect();
            segments.extend(text.chunks(7).enumerate().rev().map(|(n, bytes)| (n as u32 * 7, bytes)));
            let (stream, counters) = reassemble(initial, &segments);
            proptest::prop_assert_eq!(stream, text);
            proptest::prop_assert_eq!(counters.value(Counter::SegmentsConflicting), 0);
        }
    }
}
