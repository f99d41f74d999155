//! The packet path, in order: decode → stream → protocol → detect → hand-off.
//!
//! Owns one worker's flow table, its buffers and the attempts whose reply is awaited. No clock, no file, no log.

mod attempts;
pub mod contacts;
pub mod datagrams;
mod meter;
mod slow;
mod waitlist;

use std::collections::{HashMap, VecDeque};
use std::net::SocketAddr;
use std::sync::Arc;

use crate::capture::{Lost, Sink};
use crate::decode::icmp::{Message, Quoted};
use crate::decode::transport::Segment;
use crate::decode::tunnel::DEPTH_MAX;
use crate::decode::{self, Payload, link, transport};
use crate::detect::{Detector, Scratch};
use crate::handoff::{Outbox, Record};
use crate::inspect::attempts::{Awaited, Held, Judge};
use crate::inspect::contacts::Contacts;
use crate::model::attempt::{Attempt, AttemptId, Transport};
use crate::model::contact::{Contact, Touched};
use crate::model::frame::Frame;
use crate::model::grade::Grade;
use crate::model::marks::Marks;
use crate::model::progress::{Counter, Counters, Progress, Reading};
use crate::model::stream::{Chunk, Side};
use crate::model::surge::SurgeKind;
use crate::model::time::{Hour, MICROS_PER_SEC, Timestamp};
use crate::protocol::{self, Conversation};
use crate::stream::datagrams::{Datagrams, SLOT_BYTES};
use crate::stream::fragments::Fragments;
use crate::stream::table::{self, FLOW_BYTES, Table};
use crate::stream::{Consumer, FlowRef, Stall, View};

/// An attempt is handed on so long after its request, reply or not.
pub const REPLY_TIMEOUT_MICROS: i64 = 30 * MICROS_PER_SEC;
/// Attempts of all conversations whose reply is awaited; at up to 2 KiB each 16 MiB.
const AWAITED_MAX: usize = 8_192;
/// Servers told apart between two reports of progress.
const SERVERS_MAX: usize = 1_024;
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

/// A detector that can be replaced while workers run: each looks for a new one when it tells its progress.
#[derive(Debug)]
pub struct DetectorCell(std::sync::RwLock<Arc<Detector>>);

impl DetectorCell {
    /// Holds a detector.
    pub const fn new(detector: Arc<Detector>) -> Self {
        Self(std::sync::RwLock::new(detector))
    }

    /// The one in use.
    pub fn current(&self) -> Arc<Detector> {
        self.0.read().unwrap_or_else(std::sync::PoisonError::into_inner).clone()
    }

    /// Puts another in its place.
    pub fn replace(&self, detector: Arc<Detector>) {
        *self.0.write().unwrap_or_else(std::sync::PoisonError::into_inner) = detector;
    }
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
    /// Conversations that ended since the last progress, by the server's endpoint.
    served: HashMap<SocketAddr, [u64; Reading::ALL.len()], ahash::RandomState>,
    /// When each conversation with an awaited reply is due, earliest first.
    due: VecDeque<(Timestamp, FlowRef)>,
}

/// Limits of a worker's tables.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub struct Limits {
    /// UDP conversations at once.
    pub datagrams_max: usize,
    /// Of TCP conversations.
    pub streams: table::Limits,
}

/// Divides what a worker may use of the memory limit between its tables.
pub const fn limits(memory_bytes: usize) -> Limits {
    Limits {
        datagrams_max: memory_bytes / 8 / SLOT_BYTES,
        streams: table::Limits { flows_max: memory_bytes / 4 / FLOW_BYTES, held_max_bytes: memory_bytes / 4 },
    }
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
            slow: slow::Watch::new(),
            served: HashMap::default(),
            contacts: Contacts::default(),
            skew_micros: 0,
            due: VecDeque::new(),
        };
        Self {
            fragments: Fragments::default(),
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
        let hour = self.path.by_clock(now).hour();
        if self.now.is_none() {
            self.hour = hour;
        }
        if hour != self.hour || self.frames_untold >= PROGRESS_FRAMES {
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
        while let Some((due, flow)) = self.path.slow.front().copied() {
            if due > now {
                break;
            }
            self.path.slow.pop_front();
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
        let decoded = decode::decode(frame);
        self.counters.count(decoded.outcome);
        let mut tunnel = decoded.tunnel;
        self.path.meter(now, &decoded.payload, frame.length);
        let payload = match decoded.payload {
            Payload::Fragment(fragment) => self
                .fragments
                .add(now, &fragment, &mut self.counters)
                .and_then(|packet| transport::decode(&packet, DEPTH_MAX).ok())
                .map_or(Payload::Other, |whole| {
                    tunnel = tunnel.or(whole.tunnel);
                    whole.payload
                }),
            whole => whole,
        };
        let payload = self.path.weighed(payload, tunnel);
        if matches!(decoded.payload, Payload::Fragment(_)) {
            self.path.meter(now, &payload, frame.length);
        }
        match payload {
            Payload::Tcp(segment) => {
                self.table.segment(now, &segment, &mut self.path, &mut self.counters);
                let is_due = self.path.due.front().is_some_and(|(due, _)| *due <= now)
                    || self.path.slow.front().is_some_and(|(due, _)| *due <= now);
                if is_due || self.path.due.len() > AWAITED_MAX {
                    self.settle(now);
                }
            }
            Payload::Udp(datagram) => {
                if datagrams::is_between_two(&datagram) && !link::is_to_all(frame.link, frame.bytes) {
                    self.datagrams.datagram(now, &datagram, &mut self.path, &mut self.counters);
                }
            }
            Payload::Icmp(icmp) => {
                self.path.ping(now, &icmp);
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

    /// Hands on the awaited attempts of a conversation that `is_ready` picks.
    fn release(&mut self, view: &View, state: &mut FlowState, is_ready: impl Fn(&Awaited) -> bool) {
        for awaited in state.awaited.extract_if(.., |awaited| is_ready(awaited)) {
            self.emit(awaited.held, view);
        }
    }

    /// Hands on a record with what its conversation proves by now.
    fn emit(&mut self, held: Held, view: &View) {
        match held {
            Held::Attempt(mut attempt) => {
                attempt.grade = view.grade;
                attempt.one_sided = view.one_sided;
                if view.one_sided {
                    self.counters.count(Counter::AttemptsOneSided);
                }
                self.send(Record::Attempt(attempt), Counter::ChannelDrops);
            }
            // Without a reply nothing became of it.
            Held::Credential(_) => {}
            Held::Contact(contact, times) => {
                for number in 0..u64::from(times) {
                    // Several credentials of one message differ by their number in it.
                    let id = AttemptId(contact.id.0.wrapping_add(number));
                    let contact = Contact { id, grade: view.grade, ..contact.clone() };
                    self.send(Record::Contact(contact), Counter::ContactDrops);
                }
            }
        }
    }

    /// Notes that a conversation with a server has ended.
    fn serve(&mut self, server: SocketAddr, reading: Reading) {
        if self.served.len() >= SERVERS_MAX && !self.served.contains_key(&server) {
            return self.counters.count(Counter::ServersUnlisted);
        }
        if let Some(count) = self.served.entry(server).or_default().get_mut(reading as usize) {
            *count += 1;
        }
    }

    /// Sends a record; one that a full channel refuses is counted as lost.
    fn send(&mut self, record: Record, lost: Counter) {
        if self.outbox.send(record).is_err() {
            self.counters.count(lost);
        }
    }

    /// Runs `act` with a judge of this conversation's requests, then hands on what is ready.
    fn with_judge(
        &mut self,
        view: &View,
        state: &mut FlowState,
        act: impl FnOnce(&mut Conversation, &mut Judge<'_>),
    ) {
        let FlowState { conversation, awaited, attacked, marks, .. } = state;
        let mut judge = Judge { path: self, view, awaited, attacked, marks };
        act(conversation, &mut judge);
    }
}

impl Consumer for Path {
    type State = FlowState;

    fn touched(&mut self, view: &View, _: &mut FlowState, how: Touched) {
        self.opened(view, how);
    }

    fn stray(&mut self, now: Timestamp, segment: &Segment<'_>) {
        self.stray_segment(now, segment);
    }

    fn stalled(&mut self, view: &View, state: &mut FlowState, stall: Stall) {
        match stall {
            Stall::Begins => self.holds(view, state, SurgeKind::SlowRead),
            Stall::Ends => self.goes_on(view, state),
        }
    }

    fn sender_of(&self, bytes: &[u8]) -> Option<Side> {
        protocol::sender_of(bytes)
    }

    fn data(&mut self, view: &View, state: &mut FlowState, from: Side, chunk: Chunk<'_>) {
        self.with_judge(view, state, |conversation, judge| {
            conversation.data(from, &chunk, view.server.port(), judge);
        });
        if from == Side::Client {
            self.pace(view, state, chunk.bytes.len());
        }
        if view.grade >= Grade::E2 && !state.awaited.is_empty() {
            self.release(view, state, |awaited| awaited.replied);
        }
    }

    fn gap(&mut self, view: &View, state: &mut FlowState, from: Side, missing: u64) {
        self.with_judge(view, state, |conversation, judge| conversation.gap(from, missing, judge));
    }

    fn acknowledged(&mut self, view: &View, state: &mut FlowState) {
        // The reply's head tells the outcome, its acknowledgement by the client the grade.
        if view.grade >= Grade::E2 && !state.awaited.is_empty() {
            self.release(view, state, |awaited| awaited.replied);
        }
    }

    fn closed(&mut self, view: &View, state: &mut FlowState, from: Side) {
        self.with_judge(view, state, |conversation, judge| conversation.closed(from, judge));
    }

    fn ended(&mut self, view: &View, state: &mut FlowState) {
        self.with_judge(view, state, |conversation, judge| {
            conversation.closed(Side::Client, judge);
            conversation.closed(Side::Server, judge);
        });
        self.release(view, state, |_| true);
        if view.grade >= Grade::E1
            && let Some(reading) = state.conversation.reading()
        {
            self.serve(view.server, reading);
        }
        self.goes_on(view, state);
    }

    fn held(state: &FlowState) -> usize {
        state.conversation.held() + state.awaited.len() * size_of::<Attempt>() + state.marks.held()
    }
}

#[cfg(test)]
mod tests;
