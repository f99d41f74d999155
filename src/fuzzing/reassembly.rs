//! Reassembly against a plain one: slow, by the byte, from what each side sent and nothing else.

use std::collections::{BTreeMap, BTreeSet, HashMap};
use std::net::{IpAddr, SocketAddr};

use crate::decode::network::Fragment;
use crate::decode::transport::{Segment, flag};
use crate::fuzzing::input::Input;
use crate::model::contact::Touched;
use crate::model::progress::Counters;
use crate::model::stream::{Chunk, Side};
use crate::model::time::Timestamp;
use crate::stream::fragments::Fragments;
use crate::stream::half::{Arrival, Half, Intake};
use crate::stream::table::{Limits, Table};
use crate::stream::{Consumer, Stall, View};

/// Segments of one input: what is held out of order then stays below the limit of pieces.
const SEGMENTS_MAX: usize = 200;
/// Bytes that may be held: more than an input brings.
const ROOM_BYTES: usize = 16 << 20;

/// A direction as one would write it on paper: bytes that wait by where they stand, the first copy of each.
#[derive(Default)]
struct Plain {
    told: Vec<u8>,
    waiting: BTreeMap<usize, u8>,
    conflicting: bool,
}

impl Plain {
    /// What comes before the next byte, or at it, is told at once; what comes later waits.
    fn take(&mut self, at: usize, bytes: &[u8]) {
        let next = self.told.len();
        if at <= next {
            let fresh = bytes.get(next - at..).unwrap_or_default();
            for (place, byte) in (next..).zip(fresh) {
                self.conflicting |= self.waiting.get(&place).is_some_and(|known| known != byte);
            }
            self.told.extend_from_slice(fresh);
        } else {
            for (place, byte) in (at..).zip(bytes) {
                self.conflicting |= self.waiting.get(&place).is_some_and(|known| known != byte);
                self.waiting.entry(place).or_insert(*byte);
            }
        }
        while let Some(byte) = self.waiting.remove(&self.told.len()) {
            self.told.push(byte);
        }
        self.waiting = self.waiting.split_off(&self.told.len());
    }
}

/// One direction: initial number, then segments by their offset. Its stream is the plain one's after every segment.
pub fn half(bytes: &[u8]) {
    let mut input = Input(bytes);
    let Some(initial) = input.double() else { return };
    let (mut half, mut counters) = (Half::default(), Counters::default());
    let (mut plain, mut told) = (Plain::default(), Vec::new());
    half.start(initial);
    for _ in 0..SEGMENTS_MAX {
        let (Some(at), Some(bytes)) = (input.word(), input.piece()) else { break };
        let sequence = initial.wrapping_add(1).wrapping_add(u32::from(at));
        let intake = Intake { time: Timestamp(0), room: ROOM_BYTES, counters: &mut counters };
        if let Arrival::Deliver(fresh) = half.arrive(sequence, bytes, intake) {
            told.extend_from_slice(fresh);
            half.advance(fresh.len());
        }
        while let Some((bytes, known, _)) = half.ready() {
            told.extend_from_slice(&bytes[known..]);
            half.advance(bytes.len() - known);
        }
        plain.take(usize::from(at), bytes);
        assert!(told == plain.told, "the stream is another");
        assert_eq!(half.held(), plain.waiting.len());
        assert_eq!(half.offset(), told.len() as u64);
        assert_eq!(half.take_conflicting(), std::mem::take(&mut plain.conflicting));
    }
}

/// Who sends, and where in its stream.
type Place = (SocketAddr, u32);

/// What both sides sent, every copy of every byte.
#[derive(Default)]
struct Sent {
    copies: HashMap<Place, BTreeSet<u8>>,
    /// Numbers of their SYN segments.
    initial: BTreeSet<u32>,
}

impl Sent {
    fn note(&mut self, segment: &Segment<'_>) {
        let mut at = segment.sequence;
        if segment.has(flag::SYN) {
            self.initial.insert(at);
            at = at.wrapping_add(1);
        }
        for byte in segment.payload {
            self.copies.entry((segment.source, at)).or_default().insert(*byte);
            at = at.wrapping_add(1);
        }
    }

    /// Whether a side sent these bytes at that offset, counted from a SYN or absolute.
    fn holds(&self, source: SocketAddr, offset: u64, bytes: &[u8]) -> bool {
        let from_syn = self.initial.iter().map(|initial| initial.wrapping_add(1));
        std::iter::once(0).chain(from_syn).any(|base| {
            let first = base.wrapping_add(offset as u32);
            (0_u32..).zip(bytes).all(|(number, byte)| {
                self.copies
                    .get(&(source, first.wrapping_add(number)))
                    .is_some_and(|copies| copies.contains(byte))
            })
        })
    }
}

/// Looks that each direction is told in order, without a hole that is not a gap, and holds nothing that nobody sent.
#[derive(Default)]
struct Listener {
    sent: Sent,
    open: usize,
}

impl Listener {
    fn go_on(next: &mut Option<u64>, at: u64, by: u64) {
        assert!(next.is_none_or(|next| next == at), "told from {at}, was at {next:?}");
        *next = Some(at + by);
    }
}

/// Where each side's next byte is to stand, and which have closed.
#[derive(Default)]
struct Told {
    next: [Option<u64>; 2],
    closed: [bool; 2],
    begun: bool,
}

impl Consumer for Listener {
    type State = Told;

    fn touched(&mut self, _: &View, _: &mut Told, _: Touched) {}
    fn stray(&mut self, _: Timestamp, _: &Segment<'_>) {}
    fn stalled(&mut self, _: &View, _: &mut Told, _: Stall) {}
    fn sender_of(&self, bytes: &[u8]) -> Option<Side> {
        bytes.starts_with(b"S").then_some(Side::Server)
    }
    fn data(&mut self, view: &View, told: &mut Told, from: Side, chunk: Chunk<'_>) {
        self.open += usize::from(!std::mem::replace(&mut told.begun, true));
        let source = if from == Side::Client { view.client } else { view.server };
        assert!(!chunk.bytes.is_empty() && !told.closed[from as usize]);
        Self::go_on(&mut told.next[from as usize], chunk.offset, chunk.bytes.len() as u64);
        assert!(self.sent.holds(source, chunk.offset, chunk.bytes), "nobody sent this");
    }
    fn gap(&mut self, _: &View, told: &mut Told, from: Side, missing: u64) {
        assert!(missing > 0 && !told.closed[from as usize]);
        if let Some(next) = &mut told.next[from as usize] {
            *next += missing;
        }
    }
    fn acknowledged(&mut self, _: &View, _: &mut Told) {}
    fn closed(&mut self, _: &View, told: &mut Told, from: Side) {
        assert!(!std::mem::replace(&mut told.closed[from as usize], true), "closed twice");
    }
    fn ended(&mut self, _: &View, told: &mut Told) {
        self.open -= usize::from(told.begun);
    }
    fn held(_: &Told) -> usize {
        0
    }
}

/// The flow table: segments of two hosts by side, flags, numbers and step of time. Nothing is told that was not sent, nor
/// twice, nor out of order; every conversation that began ends.
pub fn table(bytes: &[u8]) {
    let mut input = Input(bytes);
    let limits = Limits { flows_max: 3, held_max_bytes: 4_096 };
    let (mut table, mut listener, mut counters) =
        (Table::new(limits), Listener::default(), Counters::default());
    let mut now = Timestamp(1);
    while let (Some(head), Some(flags)) = (input.byte(), input.byte()) {
        let (Some(at), Some(ack), Some(payload)) = (input.word(), input.word(), input.piece()) else { break };
        let port = 40_000 + u16::from(head >> 1 & 3);
        let client = SocketAddr::from(([198, 51, 100, 2], port));
        let server = SocketAddr::from(([203, 0, 113, 10], 80));
        let from_client = head & 1 == 0;
        let (source, destination) = if from_client { (client, server) } else { (server, client) };
        // Near the wrap of one side, in the middle of the other.
        let base = |is_client: bool| if is_client { u32::MAX - 0x4000 } else { 0x5000_0000 };
        let segment = Segment {
            source,
            destination,
            sequence: base(from_client).wrapping_add(u32::from(at)),
            acknowledgement: base(!from_client).wrapping_add(u32::from(ack)),
            flags,
            window: u16::from(head & 0x80 == 0),
            payload,
            forgeable: head & 0x40 != 0,
        };
        // From no time to two minutes.
        now = now.plus_micros(1_000 * i64::from(head >> 3 & 7).pow(6));
        listener.sent.note(&segment);
        table.segment(now, &segment, &mut listener, &mut counters);
        assert!(table.len() <= limits.flows_max);
    }
    table.finish(now, &mut listener);
    assert!(table.is_empty());
    assert_eq!(listener.open, 0);
}

/// What has come of a datagram.
#[derive(Default)]
struct Whole {
    bytes: BTreeMap<usize, u8>,
    length: Option<usize>,
    refused: bool,
}

impl Whole {
    /// Takes a part; the datagram where it is whole.
    fn take(&mut self, fragment: &Fragment<'_>) -> Option<Vec<u8>> {
        let start = usize::from(fragment.offset);
        let places = start..start + fragment.payload.len();
        if !fragment.more {
            self.length = Some(self.length.unwrap_or(places.end));
        }
        let overlaps = places.clone().any(|place| self.bytes.contains_key(&place));
        let repeats =
            places.clone().zip(fragment.payload).all(|(place, byte)| self.bytes.get(&place) == Some(byte));
        if self.refused || fragment.addresses.0.is_ipv6() && overlaps && !repeats {
            self.refused = true;
            return None;
        }
        for (place, byte) in places.zip(fragment.payload) {
            self.bytes.entry(place).or_insert(*byte);
        }
        (0..self.length?).map(|place| self.bytes.get(&place).copied()).collect()
    }
}

/// IP fragments: family, number, place, bytes. A datagram is whole when the plain one is, with its bytes.
pub fn fragments(bytes: &[u8]) {
    let mut input = Input(bytes);
    let (mut fragments, mut counters) = (Fragments::default(), Counters::default());
    let mut plain: HashMap<(bool, u32), Whole> = HashMap::new();
    for _ in 0..SEGMENTS_MAX {
        let (Some(head), Some(place), Some(payload)) = (input.byte(), input.word(), input.piece()) else {
            break;
        };
        let is_v6 = head & 1 != 0;
        let addresses: (IpAddr, IpAddr) = if is_v6 {
            ([0x20, 1, 0xd, 0xb8, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 1].into(), [9; 16].into())
        } else {
            ([198, 51, 100, 7].into(), [203, 0, 113, 10].into())
        };
        let (id, more, offset) = (u32::from(head >> 1 & 3), head & 0x80 != 0, place & 0xfff8);
        let fragment = Fragment { addresses, id, protocol: 17, offset, more, payload };
        let whole =
            fragments.add(Timestamp(0), &fragment, &mut counters).map(|packet| packet.payload.to_vec());
        let is_possible = !payload.is_empty()
            && usize::from(offset) + payload.len() <= 65_535
            && (!more || payload.len().is_multiple_of(8));
        let expected = if is_possible { plain.entry((is_v6, id)).or_default().take(&fragment) } else { None };
        assert!(whole == expected, "another datagram: {:?}", whole.map(|bytes| bytes.len()));
        if expected.is_some() {
            plain.remove(&(is_v6, id));
        }
    }
}
