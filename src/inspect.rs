//! The packet path, in order: decode → stream → protocol → detect → hand-off.
//!
//! Owns one worker's flow table, its buffers and the attempts whose reply is awaited. No clock, no file, no log.

mod attempts;
mod consumer;
pub mod contacts;
pub mod datagrams;
pub mod detector_cell;
mod handing;
mod http_fields;
pub mod limits;
mod meter;
mod slow;
mod unmet;
mod waitlist;

use std::collections::{HashMap, VecDeque};
use std::net::SocketAddr;
use std::sync::Arc;

use crate::capture::{Lost, Sink};
use crate::decode::icmp::{Message, Quoted};
use crate::decode::tunnel::DEPTH_MAX;
use crate::decode::{self, Payload, link, transport};
use crate::detect::{Detector, Scratch};
use crate::handoff::{Outbox, Record};
use crate::inspect::attempts::Awaited;
use crate::inspect::contacts::Contacts;
use crate::inspect::detector_cell::DetectorCell;
use crate::inspect::limits::Limits;
use crate::model::attempt::Transport;
use crate::model::frame::Frame;
use crate::model::marks::Marks;
use crate::model::progress::{Counter, Counters, Progress, Reading};
use crate::model::surge::SurgeKind;
use crate::model::time::{Hour, MICROS_PER_SEC, Timestamp};
use crate::protocol::Conversation;
use crate::stream::FlowRef;
use crate::stream::datagrams::Datagrams;
use crate::stream::fragments::Fragments;
use crate::stream::table::Table;

/// An attempt is handed on so long after its request, reply or not.
pub const REPLY_TIMEOUT_MICROS: i64 = 30 * MICROS_PER_SEC;
/// Attempts of all conversations whose reply is awaited; at up to 2 KiB each 16 MiB.
const AWAITED_MAX: usize = 8_192;
/// Frames after which progress is told even within one hour.
const PROGRESS_FRAMES: u64 = 65_536;
/// Conversations forgotten for one tick at most.
const EXPIRED_PER_TICK: usize = 16_384;

/// What a worker keeps with each conversation.
#[derive(Debug, Default)]
pub struct FlowState {
    conversation: Conversation,
    awaited: Vec<Awaited>,
    /// Whether an attempt was seen in it: the first one opens the session.
    attacked: bool,
    marks: Marks,
    /// The request that is under way, where it took more than one segment.
    begun: Option<slow::Begun>,
    /// How its client holds it open, where it does.
    held_by: Option<SurgeKind>,
}

/// One worker's way of a frame from bytes to records.
pub struct Inspector {
    fragments: Fragments,
    table: Table<Path>,
    datagrams: Datagrams<Path>,
    path: Path,
    /// Counted on this side of the table since the last progress.
    counters: Counters,
    frames_untold: u64,
    /// Time as conversations count it: it never goes back and does not jump when the clock is set.
    now: Option<Timestamp>,
    hour: Hour,
    observed: Option<(Timestamp, Timestamp)>,
    /// Whether the clock was set since the last progress.
    stepped: bool,
    /// Microseconds down that make no whole second yet.
    down_micros: i64,
}

/// What the consumer side needs.
pub struct Path {
    detectors: Arc<DetectorCell>,
    detector: Arc<Detector>,
    scratch: Scratch,
    outbox: Outbox,
    counters: Counters,
    contacts: Contacts,
    /// What `now` is ahead of the clock, by the times that the clock was set back.
    skew_micros: i64,
    /// Conversations whose request may be slow, with the time to look at them, earliest first.
    slow: slow::Watch,
    /// How much was told of what clients did not get.
    unmet: unmet::Pace,
    /// Conversations that ended since the last progress, by the server's endpoint.
    served: HashMap<SocketAddr, [u64; Reading::ALL.len()], ahash::RandomState>,
    /// When each conversation with an awaited reply is due, earliest first.
    due: VecDeque<(Timestamp, FlowRef)>,
}

impl Inspector {
    /// A worker that judges with `detectors` and hands on to `outbox`.
    pub fn new(limits: Limits, detectors: Arc<DetectorCell>, outbox: Outbox) -> Self {
        let detector = detectors.current();
        let path = Path {
            detectors,
            detector,
            scratch: Scratch::default(),
            outbox,
            counters: Counters::default(),
            slow: slow::Watch::new(limits.waiting_max_bytes / 2),
            unmet: unmet::Pace::default(),
            served: HashMap::default(),
            contacts: Contacts::new(limits.floods_max_bytes, limits.waiting_max_bytes / 2),
            skew_micros: 0,
            due: VecDeque::new(),
        };
        Self {
            fragments: Fragments::new(limits.fragments_max_bytes),
            table: Table::new(limits.streams),
            datagrams: Datagrams::new(limits.datagrams_max),
            path,
            counters: Counters::default(),
            frames_untold: 0,
            now: None,
            hour: Hour::default(),
            observed: None,
            stepped: false,
            down_micros: 0,
        }
    }

    /// The end of the input: judges what is half read, hands everything on. The classifier still reads, and nothing is
    /// captured any more that waiting for it could hold up.
    pub fn finish(&mut self) {
        self.path.outbox.wait_when_full();
        self.fragments.finish(&mut self.counters);
        self.table.finish(self.now.unwrap_or_default(), &mut self.path);
        self.datagrams.finish(self.now.unwrap_or_default(), &mut self.path);
        self.path.finish_contacts();
        match self.now {
            Some(now) => self.progress(now),
            None => self.heartbeat(),
        }
    }

    /// Moves time on; hours are told apart before the first frame of the next one is counted.
    fn advance(&mut self, time: Timestamp) -> Timestamp {
        let now = match self.now {
            Some(known) if time < known => {
                self.counters.count(Counter::TimeBackwards);
                known
            }
            _ => time,
        };
        let clock = self.path.by_clock(now);
        if self.now.is_none() {
            self.hour = clock.hour();
        }
        let in_hour = self.hour.start() <= clock && clock < self.hour.end();
        if !in_hour || self.frames_untold >= PROGRESS_FRAMES {
            self.progress(now);
        }
        self.now = Some(now);
        now
    }

    /// Hands on the attempts that have waited for long enough.
    fn settle(&mut self, now: Timestamp) {
        while let Some((due, flow)) = self.path.due.front().copied() {
            if due > now && self.path.due.len() <= AWAITED_MAX {
                break;
            }
            if due > now {
                self.path.counters.count(Counter::RequestsPending);
            }
            self.path.due.pop_front();
            let path = &mut self.path;
            self.table
                .visit(flow, now, |view, state| path.release(view, state, |awaited| awaited.due <= due));
        }
        while let Some(flow) = self.path.slow.take(now) {
            let path = &mut self.path;
            self.table.visit(flow, now, |view, state| path.look_again(view, state));
        }
    }

    /// Tells the classifier how far this worker is. What a full channel refuses is told the next time.
    fn progress(&mut self, now: Timestamp) {
        self.settle(now);
        // All of them: what is told from here on must not be older than what this report allows.
        self.datagrams.expire(now, usize::MAX, &mut self.path);
        self.table.expire(now, EXPIRED_PER_TICK, &mut self.path);
        self.path.contacts_at(now);
        self.counters.merge(&self.path.counters.take());
        let now = self.path.by_clock(now);
        let told = Progress {
            now,
            stepped: std::mem::take(&mut self.stepped),
            observed: self.observed.take(),
            hour: self.hour,
            counters: self.counters.take(),
            served: self.path.served.drain().collect(),
        };
        self.frames_untold = 0;
        self.hour = now.hour();
        if let Err(Record::Progress(kept)) = self.path.outbox.send(Record::Progress(Box::new(told))) {
            self.counters.merge(&kept.counters);
            self.observed = kept.observed;
            self.stepped = kept.stepped;
            self.path.served = kept.served.into_iter().collect();
        }
        self.path.detector = self.path.detectors.current();
    }

    /// What an ICMP error says of the first contact that it quotes.
    fn undelivered(&mut self, now: Timestamp, message: Message, quoted: Quoted) {
        let Some(how) = contacts::undelivered(message) else { return };
        if quoted.protocol == Transport::Udp.number() {
            self.datagrams.unreachable(now, message, &quoted, &mut self.path);
        } else if quoted.protocol == Transport::Tcp.number() {
            let syn = (quoted.source, quoted.destination, quoted.second_word);
            self.table.undelivered(now, syn, how, &mut self.path);
        }
    }

    /// Tells that this worker lives while nothing can be dated: what it counted is kept for the first hour that can.
    fn heartbeat(&self) {
        let told = Progress {
            now: Timestamp::default(),
            stepped: false,
            observed: None,
            hour: Hour::default(),
            counters: Counters::default(),
            served: Vec::new(),
        };
        // One that a full channel refuses is followed by the next.
        let _ = self.path.outbox.send(Record::Progress(Box::new(told)));
    }
}

impl Sink for Inspector {
    fn frame(&mut self, frame: &Frame<'_>) {
        let now = self.advance(frame.time.plus_micros(self.path.skew_micros));
        self.frames_untold += 1;
        self.counters.count(Counter::FramesReceived);
        self.counters.add(Counter::BytesReceived, u64::from(frame.length));
        if (frame.bytes.len() as u64) < u64::from(frame.length) {
            self.counters.count(Counter::FramesShortened);
        }
        let mut decoded = decode::decode(frame);
        self.counters.count(decoded.outcome);
        self.path.meter(now, &decoded.payload, frame.length);
        let mut whole = match &decoded.payload {
            Payload::Fragment(fragment) => self
                .fragments
                .add(now, fragment, &mut self.counters)
                .and_then(|packet| transport::decode(&packet, DEPTH_MAX).ok()),
            _ => None,
        };
        let tunnel = decoded.tunnel.or(whole.as_ref().and_then(|whole| whole.tunnel));
        if let Some(whole) = &whole {
            self.path.meter(now, &whole.payload, frame.length);
        }
        let payload = whole.as_mut().map_or(&mut decoded.payload, |whole| &mut whole.payload);
        if let Some(sender) = tunnel {
            self.path.weigh(payload, sender);
        }
        match &*payload {
            Payload::Tcp(segment) => {
                self.table.segment(now, segment, &mut self.path, &mut self.counters);
                let is_due =
                    self.path.due.front().is_some_and(|(due, _)| *due <= now) || self.path.slow.is_due(now);
                if is_due || self.path.due.len() > AWAITED_MAX {
                    self.settle(now);
                }
            }
            Payload::Udp(datagram) => {
                if datagrams::is_between_two(datagram) && !link::is_to_all(frame.link, frame.bytes) {
                    self.datagrams.datagram(now, datagram, &mut self.path, &mut self.counters);
                }
            }
            Payload::Icmp(icmp) => {
                self.path.ping(now, icmp);
                if let (message, Some(quoted)) = (icmp.message, icmp.quoted) {
                    self.undelivered(now, message, quoted);
                }
            }
            Payload::Fragment(_) | Payload::Other => {}
        }
    }

    fn observed(&mut self, from: Timestamp, to: Timestamp) {
        self.observed = Some(match self.observed {
            Some((first, last)) if last == from => (first, to),
            Some(other) => {
                // Not adjoining: tell the earlier span first.
                self.observed = Some(other);
                self.progress(self.now.unwrap_or(other.1));
                (from, to)
            }
            None => (from, to),
        });
    }

    fn down(&mut self, micros: i64) {
        let sum = self.down_micros.saturating_add(micros.max(0));
        self.counters.add(Counter::InterfaceDownSeconds, (sum / MICROS_PER_SEC).unsigned_abs());
        self.down_micros = sum % MICROS_PER_SEC;
    }

    fn lost(&mut self, lost: Lost) {
        self.counters.add(Counter::KernelDrops, lost.kernel);
        self.counters.add(Counter::InterfaceDrops, lost.interface);
        self.counters.add(Counter::ClockUnset, lost.undated);
    }

    fn stepped(&mut self, to: Timestamp) {
        let Some(now) = self.now else { return };
        // What was counted before the step belongs to the hour before it.
        self.progress(now);
        self.path.skew_micros = now.micros_since(to);
        self.hour = to.hour();
        self.stepped = true;
    }

    fn tick(&mut self, now: Option<Timestamp>) {
        let now = match (now, self.now) {
            (Some(now), known) => {
                let now = now.plus_micros(self.path.skew_micros);
                known.map_or(now, |known| known.max(now))
            }
            (None, Some(known)) => known,
            (None, None) => return self.heartbeat(),
        };
        if self.now.is_none() {
            self.hour = self.path.by_clock(now).hour();
        }
        self.now = Some(now);
        self.fragments.expire(now, &mut self.counters);
        self.progress(now);
    }
}

impl Path {
    /// What the clock shows at a time as conversations count it.
    const fn by_clock(&self, time: Timestamp) -> Timestamp {
        time.plus_micros(self.skew_micros.saturating_neg())
    }
}

#[cfg(test)]
mod tests;
