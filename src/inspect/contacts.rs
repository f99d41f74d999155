//! First contacts and floods on the packet path: what became of each SYN and ping, which segments are probes, what surges.
//!
//! A flood in forged names must not buy a record for each packet: what floods a victim is told as a surge, and its contacts that
//! no handshake proves are not told at all.

use std::collections::HashMap;
use std::net::{IpAddr, SocketAddr};

use sha2::Digest;

use crate::decode::icmp::{Icmp, Message, Unreachable};
use crate::decode::transport::{Segment, flag};
use crate::handoff::Record;
use crate::inspect::Path;
use crate::inspect::attempts::{endpoints, first_word, flow_id, readable};
use crate::inspect::waitlist::Waitlist;
use crate::model::attempt::{AttemptId, Transport};
use crate::model::contact::{Act, Contact, Touched};
use crate::model::grade::Grade;
use crate::model::marks::Marks;
use crate::model::progress::Counter;
use crate::model::surge::SurgeKind;
use crate::model::time::Timestamp;
use crate::stream::View;
use crate::stream::flow::{ANSWER_MICROS, Key};
use crate::surge::Surges;

/// Pings whose reply is awaited, and bare acknowledgements that may be probes, at most: what a scan of 400 a second has
/// outstanding.
const WAITING_MAX: usize = 4_096;
/// Memory of a ping and a probe that wait, each in a map that may be half empty and in a queue; and of the pair of a probe.
const WAITING_BYTES: usize = 2 * (size_of::<((IpAddr, IpAddr, u16), Ping)>() + size_of::<(Key, Probe)>())
    + 2 * size_of::<((IpAddr, IpAddr), Lone)>()
    + 2 * (size_of::<(Timestamp, (IpAddr, IpAddr, u16))>() + size_of::<(Timestamp, Key)>());
/// Probes that open nothing, told by one worker in one second: they cost a sender one packet each.
const STEALTH_MAX: u32 = 1_000;
/// Ports of one host that one sender acknowledges out of the blue, unanswered, before this is called a scan. A client whose
/// conversations began before the capture names one port, or two.
const LONE_PORTS_MIN: u32 = 4;

/// What a worker keeps of contacts.
pub struct Contacts {
    /// The counters of floods.
    pub surges: Surges,
    pings: Waitlist<(IpAddr, IpAddr, u16), Ping>,
    probes: Waitlist<Key, Probe>,
    /// Bare acknowledgements that wait, by sender and receiver.
    lone: HashMap<(IpAddr, IpAddr), Lone, ahash::RandomState>,
    /// The second in which probes were told last, and how many.
    stealth: (i64, u32),
    /// Bytes on the wire of the frame in hand.
    pub frame_bytes: u32,
}

/// A ping.
#[derive(Clone, Copy, Debug)]
struct Ping {
    first: Timestamp,
    last: Timestamp,
    /// Sequence number of the first.
    number: u16,
    told: bool,
}

/// A bare acknowledgement of nothing known.
#[derive(Clone, Copy, Debug)]
struct Probe {
    time: Timestamp,
    client: SocketAddr,
    server: SocketAddr,
    numbers: (u32, u32),
    flags: u8,
    /// Whether it is known what it was.
    settled: bool,
}

#[derive(Clone, Copy, Debug, Default)]
struct Lone {
    waiting: u32,
    /// Bit n: a port was named whose remainder by 64 is n.
    ports: u64,
}

impl Contacts {
    /// Uses up to so many bytes for floods, and up to so many for what waits.
    pub fn new(floods_bytes: usize, waiting_bytes: usize) -> Self {
        let waiting_max = (waiting_bytes / WAITING_BYTES).min(WAITING_MAX);
        Self {
            surges: Surges::new(floods_bytes),
            pings: Waitlist::new(waiting_max),
            probes: Waitlist::new(waiting_max),
            lone: HashMap::default(),
            stealth: (0, 0),
            frame_bytes: 0,
        }
    }
}

/// What an ICMP error says of the packet that it quotes.
pub const fn undelivered(message: Message) -> Option<Touched> {
    match message {
        Message::Unreachable(Unreachable::Port | Unreachable::Protocol) => Some(Touched::Refused),
        Message::Unreachable(Unreachable::Network) => Some(Touched::Unrouted),
        Message::Unreachable(_) => Some(Touched::Unreachable),
        Message::EchoReply(_) | Message::EchoRequest(_) | Message::Other { .. } => None,
    }
}

/// A first contact, not yet named.
struct Touch<'a> {
    time: Timestamp,
    ends: (SocketAddr, SocketAddr),
    transport: Transport,
    /// What tells it from another between the same ends.
    numbers: &'a [u32],
    frames: u16,
}

impl Path {
    /// Moves the contacts on to a time: tells what surged before it, gives up what was not answered.
    pub fn contacts_at(&mut self, now: Timestamp) {
        self.turn(now);
        self.settle_contacts(now);
        let evicted = self.contacts.surges.take_evicted();
        self.counters.add(Counter::FloodCountersEvicted, evicted);
    }

    /// Tells all: the end of the input.
    pub fn finish_contacts(&mut self) {
        let Self { contacts, outbox, counters, .. } = self;
        contacts.surges.finish(|surge| {
            if outbox.send(Record::Surge(surge)).is_err() {
                counters.count(Counter::SurgeDrops);
            }
        });
        self.settle_contacts(Timestamp(i64::MAX));
    }

    /// Gives up what was not answered in time.
    fn settle_contacts(&mut self, now: Timestamp) {
        while let Some((key, ping)) = self.contacts.pings.take(now) {
            self.end_ping(key, ping, now);
        }
        while let Some((_, probe)) = self.contacts.probes.take(now) {
            self.end_probe(probe);
        }
    }

    /// What became of a SYN.
    pub fn opened(&mut self, view: &View, how: Touched) {
        if how == Touched::Answered && view.grade.is_proven() {
            self.answered(view.now, SurgeKind::Syn, view.server.ip());
            self.requested(view, SurgeKind::Connect);
        } else if self.is_in_flood(view.opened, view.server.ip(), SurgeKind::Syn) {
            return;
        }
        let act = Touch {
            time: view.opened,
            ends: (view.client, view.server),
            transport: Transport::Tcp,
            numbers: &[view.asked],
            frames: match how {
                Touched::Answered if view.grade.is_proven() => 3,
                Touched::Answered | Touched::Refused | Touched::Unreachable | Touched::Unrouted => 2,
                Touched::Silent | Touched::Stealth(_) => 1,
            },
        };
        // Of one that was answered the number is that of its attempts.
        let number = (how == Touched::Answered).then(|| flow_id(view));
        self.tell(&act, how, (view.grade, number));
    }

    fn tell(&mut self, act: &Touch<'_>, how: Touched, (grade, number): (Grade, Option<u64>)) {
        let (client, server) = act.ends;
        // Of the client's numbers alone: a sensor that missed the answer sees the same act.
        let mut hash = endpoints(client, server, act.transport);
        for word in act.numbers {
            hash.update(word.to_be_bytes());
        }
        hash.update(b"contact");
        let id = first_word(hash);
        let contact = Contact {
            id: AttemptId(id),
            time: self.by_clock(act.time),
            client,
            server,
            transport: act.transport,
            app_proto: None,
            flow_id: number.unwrap_or(readable(id)),
            grade,
            frames: act.frames,
            act: Act::Touched(how),
            http: None,
            marks: Marks::default(),
        };
        self.send(Record::Contact(contact), Counter::ContactDrops);
    }

    /// A segment of no conversation: part of a flood, a probe, or the rest of something honest.
    pub fn stray_segment(&mut self, now: Timestamp, segment: &Segment<'_>) {
        let kind = match (segment.has(flag::SYN), segment.has(flag::ACK), segment.has(flag::RST)) {
            (true, true, false) => SurgeKind::SynAck,
            (false, _, true) => SurgeKind::Rst,
            _ => SurgeKind::Ack,
        };
        self.hit(now, kind, (segment.source, segment.destination));
        if is_never_honest(segment) {
            let act = Touch {
                time: now,
                ends: (segment.source, segment.destination),
                transport: Transport::Tcp,
                numbers: &[segment.sequence, segment.acknowledgement],
                frames: 1,
            };
            self.stealth(&act, segment.flags);
        } else if !self.contacts.probes.is_empty() || is_lone(segment) {
            self.acknowledges(now, segment);
        }
    }

    fn stealth(&mut self, act: &Touch<'_>, flags: u8) {
        if self.is_in_flood(act.time, act.ends.1.ip(), SurgeKind::Ack) {
            return;
        }
        let second = act.time.secs();
        let (last, told) = &mut self.contacts.stealth;
        if *last != second {
            (*last, *told) = (second, 0);
        }
        *told += 1;
        if *told > STEALTH_MAX {
            self.counters.count(Counter::ContactsInFloods);
            return;
        }
        self.tell(act, Touched::Stealth(flags), (Grade::E0, None));
    }

    /// A segment that an honest conversation may have left: a bare acknowledgement waits for what the other end says.
    fn acknowledges(&mut self, now: Timestamp, segment: &Segment<'_>) {
        let (key, _) = Key::between(segment.source, segment.destination);
        if let Some(probe) = self.contacts.probes.find(&key) {
            // RFC 9293 §3.10.7.1: nobody is there, and the reset carries the number that was acknowledged.
            let nobody = segment.source == probe.server
                && segment.has(flag::RST)
                && segment.sequence == probe.numbers.1;
            if !std::mem::replace(&mut probe.settled, true) && nobody {
                let probe = *probe;
                self.tell_probe(&probe, 2);
            }
            return;
        }
        // A server that outlived its client acknowledges from a low port to a high one: no probe.
        let probes = is_lone(segment)
            && segment.payload.is_empty()
            && segment.source.port() >= segment.destination.port();
        if !probes {
            return;
        }
        let (client, server) = (segment.source, segment.destination);
        let numbers = (segment.sequence, segment.acknowledgement);
        let probe = Probe { time: now, client, server, numbers, flags: segment.flags, settled: false };
        let lone = self.contacts.lone.entry((client.ip(), server.ip())).or_default();
        lone.waiting += 1;
        lone.ports |= u64::from(segment.flags == flag::ACK) << (server.port() % 64);
        self.contacts.probes.push(key, now.plus_micros(ANSWER_MICROS), probe);
        self.settle_contacts(now);
    }

    fn end_probe(&mut self, probe: Probe) {
        let pair = (probe.client.ip(), probe.server.ip());
        let Some(lone) = self.contacts.lone.get_mut(&pair) else { return };
        let many = lone.ports.count_ones() >= LONE_PORTS_MIN;
        lone.waiting -= 1;
        if lone.waiting == 0 {
            self.contacts.lone.remove(&pair);
        }
        // Alone it may be the rest of a conversation that began before the capture; an end is that whenever nobody contradicts.
        if many && !probe.settled && probe.flags == flag::ACK {
            self.tell_probe(&probe, 1);
        }
    }

    fn tell_probe(&mut self, probe: &Probe, frames: u16) {
        let act = Touch {
            time: probe.time,
            ends: (probe.client, probe.server),
            transport: Transport::Tcp,
            numbers: &[probe.numbers.0, probe.numbers.1],
            frames,
        };
        self.stealth(&act, probe.flags);
    }

    /// A ping, its reply, or an error that quotes it.
    pub fn ping(&mut self, now: Timestamp, icmp: &Icmp<'_>) {
        match (icmp.message, icmp.quoted) {
            (Message::EchoRequest(echo), _) if !icmp.destination.is_multicast() => {
                let key = (icmp.source, icmp.destination, echo.identifier);
                if let Some(ping) = self.contacts.pings.find(&key) {
                    ping.last = now;
                } else if !self.contacts.surges.is_flooded(
                    self.by_clock(now),
                    icmp.destination,
                    SurgeKind::Icmp,
                ) {
                    let ping = Ping { first: now, last: now, number: echo.sequence, told: false };
                    self.contacts.pings.push(key, now.plus_micros(ANSWER_MICROS), ping);
                }
            }
            (Message::EchoReply(echo), _) => {
                self.ping_fate((icmp.destination, icmp.source, echo.identifier), Touched::Answered);
            }
            (Message::Unreachable(why), Some(quoted)) if matches!(quoted.protocol, 1 | 58) => {
                let identifier = (quoted.second_word >> 16) as u16;
                let key = (quoted.source.ip(), quoted.destination.ip(), identifier);
                let is_unrouted = matches!(why, Unreachable::Network);
                self.ping_fate(key, if is_unrouted { Touched::Unrouted } else { Touched::Unreachable });
            }
            _ => return,
        }
        self.settle_contacts(now);
    }

    fn ping_fate(&mut self, key: (IpAddr, IpAddr, u16), how: Touched) {
        let Some(ping) = self.contacts.pings.find(&key) else { return };
        if !std::mem::replace(&mut ping.told, true) {
            let ping = *ping;
            self.tell_ping(key, ping, how);
        }
    }

    fn tell_ping(&mut self, (client, server, identifier): (IpAddr, IpAddr, u16), ping: Ping, how: Touched) {
        if self.is_in_flood(ping.first, server, SurgeKind::Icmp) {
            return;
        }
        let act = Touch {
            time: ping.first,
            ends: (SocketAddr::new(client, 0), SocketAddr::new(server, 0)),
            transport: Transport::Icmp,
            numbers: &[u32::from(identifier) << 16 | u32::from(ping.number)],
            frames: if how == Touched::Silent { 1 } else { 2 },
        };
        self.tell(&act, how, (Grade::E0, None));
    }

    /// A ping whose time is over. One that goes on stays, so that a monitor that never stops is one contact.
    fn end_ping(&mut self, key: (IpAddr, IpAddr, u16), ping: Ping, now: Timestamp) {
        if !ping.told {
            self.tell_ping(key, ping, Touched::Silent);
        }
        let idle = now.micros_since(ping.last);
        if ping.last > ping.first && idle < ANSWER_MICROS {
            let due = now.plus_micros(ANSWER_MICROS);
            self.contacts.pings.push(key, due, Ping { told: true, ..ping });
        }
    }
}

/// Whether it acknowledges and does nothing else, or ends as well (Maimon's scan): the rest of a conversation, or a probe.
const fn is_lone(segment: &Segment<'_>) -> bool {
    segment.flags == flag::ACK || segment.flags == flag::ACK | flag::FIN
}

/// Whether no stack sends such a segment to anybody: what is no SYN and no RST acknowledges, and a SYN ends nothing (RFC 9293
/// §3.10.7).
const fn is_never_honest(segment: &Segment<'_>) -> bool {
    let opens_and_ends = segment.has(flag::SYN) && segment.has(flag::FIN | flag::RST);
    opens_and_ends || !segment.has(flag::SYN | flag::ACK | flag::RST)
}

#[cfg(test)]
mod tests;
