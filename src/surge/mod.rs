//! Floods, counted by victim and second.
//!
//! Owns counters of the current second: by victim for what anybody can forge, by source for what a completed handshake proves.
//! Hands on one [`Surge`] for each that reached its floor, and says which seconds were flooded, so that forged first contacts
//! fill no table behind it. What of it is an attack is judged in the classifier. Must not know: packets, protocols, settings.

mod sketch;
pub mod table;

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr};

use crate::model::contact::Surge;
use crate::model::surge::{Reflector, SurgeKind};
use crate::model::time::{MICROS_PER_SEC, Timestamp};
use crate::surge::table::{Counts, ENTRY_BYTES, Entry, Hit, Key};

/// Victims and kinds counted at once by one worker at most: more hosts than a gateway has that are busy at once.
const VICTIMS_MAX: usize = 4_096;
/// Sources and kinds counted at once by one worker at most. A source here has completed a handshake.
const SOURCES_MAX: usize = 8_192;
/// With fewer counters nothing would be left to choose from when one must go.
const ENTRIES_MIN: usize = 64;
/// Packets of a kind to one victim in one second that are told. Far below what hurts a host (500 SYN/s where defences are weakest),
/// and more than a busy site gets of the kinds that no honest client sends.
const VICTIM_FLOOR: u64 = 100;
/// Acts of one proven source in one second that are told: a browser opens six connections to a site at a time.
const SOURCE_FLOOR: u64 = 10;
/// Answers of one reflector in one second that are told where they amplify: requests for it are sent slowly, to stay unseen.
const REFLECTOR_FLOOR: u64 = 10;
/// Requests to one site in one second that are told, so that its average is known long before they are a flood.
const SITE_FLOOR: u64 = 20;
/// Bytes that a reflector sends for each it was asked with. Honest answers of DNS average three to five.
const AMPLIFICATION: u64 = 10;
/// Conversations of one source that are held open and told: one alone is a bad line.
const HELD_FLOOR: u32 = 2;
/// Conversations of one network that are held open and told. Those of one household or one bad cell are fewer.
const HELD_NETWORK_FLOOR: u32 = 10;
/// Seconds without a packet for which held conversations are told afterwards: a server asks a window that is shut once in two
/// minutes, at last (RFC 6298 §2.5 lets the pauses double up to a bound; Linux' is 120 s).
const CATCH_UP_SECONDS: i64 = 120;
/// Records of them at one time: what a pause costs is bounded whatever is held.
const CATCH_UP_MAX: usize = 16_384;
/// Sources whose datagrams come from one port and are large, asked for by nobody, from which on they are reflected: players of one
/// game and callers of one service are asked, too, and answer each other.
const REFLECTORS_MIN: u32 = 50;
/// Mean bytes of a frame of them: an answer that is no larger than a question is of no use to an attacker.
const REFLECTED_BYTES_MIN: u64 = 128;

/// Packets of a kind in one second that are a surge.
const fn floor(kind: SurgeKind) -> u64 {
    match kind {
        SurgeKind::Connect | SurgeKind::Http | SurgeKind::Tls => SOURCE_FLOOR,
        _ => VICTIM_FLOOR,
    }
}

/// Packets of a kind in one second from which on it is looked at when the second ends.
const fn attention(kind: SurgeKind) -> u64 {
    match kind {
        SurgeKind::HttpSite => SITE_FLOOR,
        SurgeKind::Reflect(_) => REFLECTOR_FLOOR,
        other => floor(other),
    }
}

/// The counters of one worker.
#[derive(Debug)]
pub struct Surges {
    victims: Counts,
    sources: Counts,
    second: Option<i64>,
    /// When that second began.
    begin: Timestamp,
}

impl Surges {
    /// Uses up to `memory_bytes`, a third of it for victims.
    pub fn new(memory_bytes: usize) -> Self {
        let counts = |bytes: usize, entries_max: usize| {
            Counts::new((bytes / ENTRY_BYTES).clamp(ENTRIES_MIN, entries_max))
        };
        Self {
            victims: counts(memory_bytes / 3, VICTIMS_MAX),
            sources: counts(memory_bytes / 3 * 2, SOURCES_MAX),
            second: None,
            begin: Timestamp::default(),
        }
    }

    /// Ends the seconds before `now`: gives what surged in them. Call it before anything is counted at that time.
    pub fn turn(&mut self, now: Timestamp, surged: impl FnMut(Surge)) {
        if !self.is_in(now) {
            self.turn_to(now.secs(), surged);
        }
    }

    /// Whether a time lies in the second that is counted. Asked for each packet: without the division that tells which second it is.
    pub fn is_in(&self, now: Timestamp) -> bool {
        self.second.is_some() && (0..MICROS_PER_SEC).contains(&now.0.wrapping_sub(self.begin.0))
    }

    fn second_of(&self, now: Timestamp) -> i64 {
        match self.second {
            Some(second) if self.is_in(now) => second,
            _ => now.secs(),
        }
    }

    fn turn_to(&mut self, second: i64, mut surged: impl FnMut(Surge)) {
        self.begin = begin_of(second);
        let Some(ended) = self.second.replace(second) else { return };
        self.victims.ended(ended, |entry| {
            if let Some(surge) = of_victim(ended, entry) {
                surged(surge);
            }
        });
        self.sources.ended(ended, |entry| surged(of_source(ended, entry, entry.counts.packets)));
        let pause = usize::try_from(second.saturating_sub(ended).clamp(1, CATCH_UP_SECONDS)).unwrap_or(1);
        let mut left = if pause > 1 { CATCH_UP_MAX } else { SOURCES_MAX };
        for entry in self.sources.held().filter(|entry| entry.held >= held_floor(entry.key.kind)) {
            let told = pause.min(left);
            left -= told;
            for second in (ended..).take(told) {
                surged(of_source(second, entry, u64::from(entry.held)));
            }
        }
    }

    /// Ends the last second: the end of the input.
    pub fn finish(&mut self, surged: impl FnMut(Surge)) {
        if let Some(second) = self.second {
            self.turn(Timestamp::from_parts(second.saturating_add(1), 0), surged);
        }
    }

    /// Counts a packet that anybody can have sent: the address of `key` is the victim's.
    pub fn packet(&mut self, now: Timestamp, key: Key, hit: Hit) {
        self.victims.hit(self.second_of(now), key, hit);
    }

    /// Counts what speaks for honest traffic of a victim: a handshake, a packet of its own.
    pub fn answered(&mut self, now: Timestamp, key: Key, bytes: u32) {
        self.victims.complete(self.second_of(now), key, bytes);
    }

    /// Counts a connection, request or hello of a source that a handshake proves.
    pub fn request(&mut self, now: Timestamp, kind: SurgeKind, source: IpAddr, server: SocketAddr) {
        let entry = self.sources.hit(now.secs(), Key { address: source, kind }, at(server));
        if kind == SurgeKind::Http {
            let is_steady = entry.is_some_and(Entry::is_steady);
            let site = Key { address: server.ip(), kind: SurgeKind::HttpSite };
            self.victims.hit(now.secs(), site, Hit { peer: source, ..at(server) });
            if !is_steady {
                self.victims.complete(now.secs(), site, 0);
            }
        }
    }

    /// Notes that a conversation of a proven source is held open (`slow_*`). Each call wants one of [`Surges::release`].
    pub fn hold(&mut self, now: Timestamp, kind: SurgeKind, source: IpAddr, server: SocketAddr) {
        self.sources.hold(now.secs(), Key { address: source, kind }, at(server));
        self.sources.hold(now.secs(), network_of(source), at(server));
    }

    /// Notes that it goes on, or has ended.
    pub fn release(&mut self, kind: SurgeKind, source: IpAddr) {
        self.sources.release(Key { address: source, kind });
        self.sources.release(network_of(source));
    }

    /// Whether a kind flooded a victim in the second of `time`, the one before or the one after. Asked within half a minute.
    pub fn is_flooded(&self, time: Timestamp, victim: IpAddr, kind: SurgeKind) -> bool {
        self.victims.is_flooded(Key { address: victim, kind }, time.secs())
    }

    /// Takes the number of counters that gave way to others before their time.
    pub fn take_evicted(&mut self) -> u64 {
        std::mem::take(&mut self.victims.evicted) + std::mem::take(&mut self.sources.evicted)
    }
}

/// The network of a source by which slow conversations are counted, beside the source itself.
const fn network_of(source: IpAddr) -> Key {
    let address = match source {
        IpAddr::V4(v4) => IpAddr::V4(Ipv4Addr::from_bits(v4.to_bits() & (u32::MAX << 8))),
        IpAddr::V6(v6) => IpAddr::V6(Ipv6Addr::from_bits(v6.to_bits() & (u128::MAX << 80))),
    };
    Key { address, kind: SurgeKind::SlowNetwork }
}

/// Conversations held at a time from which on they are told.
const fn held_floor(kind: SurgeKind) -> u32 {
    if matches!(kind, SurgeKind::SlowNetwork) { HELD_NETWORK_FLOOR } else { HELD_FLOOR }
}

const fn at(server: SocketAddr) -> Hit {
    Hit { peer: server.ip(), peer_port: 0, port: server.port(), bytes: 0 }
}

const fn begin_of(second: i64) -> Timestamp {
    Timestamp(second.saturating_mul(MICROS_PER_SEC))
}

fn of_victim(second: i64, entry: &Entry) -> Option<Surge> {
    let counts = &entry.counts;
    let surge = Surge {
        time: begin_of(second),
        victim: entry.key.address,
        port: counts.port.winner(counts.packets).unwrap_or(0),
        kind: entry.key.kind,
        packets: counts.packets,
        bytes: counts.bytes,
        completed: counts.completed,
        sources: entry.sources(),
        source: None,
    };
    match entry.key.kind {
        SurgeKind::Reflect(protocol) => of_reflected(protocol, entry, surge),
        // Contacts tell of it.
        _ if entry.is_scan() => None,
        SurgeKind::Udp if is_reflected(entry, surge.sources) => {
            Some(Surge { kind: SurgeKind::ReflectUnknown, ..surge })
        }
        SurgeKind::Udp if is_forged(&surge) => Some(Surge { kind: SurgeKind::UdpForged, ..surge }),
        _ => Some(surge),
    }
}

/// Whether datagrams come from the servers of one protocol, whichever it is: many sources, one port, not that of the victim's end,
/// as it is between servers of one kind.
fn is_reflected(entry: &Entry, sources: u32) -> bool {
    let counts = &entry.counts;
    let Some(port) = counts.peer_port.winner(counts.packets) else { return false };
    sources >= REFLECTORS_MIN
        && port != 0
        && counts.port.winner(counts.packets) != Some(port)
        && Reflector::of_port(port).is_none()
        && counts.bytes >= counts.packets * REFLECTED_BYTES_MIN
}

/// Whether nearly each datagram has another sender, and the victim says nothing to any of them: callers of a service are answered,
/// and whoever only listens hears from the same ones again and again.
fn is_forged(surge: &Surge) -> bool {
    surge.is_bare() && u64::from(surge.sources) * 2 >= surge.packets
}

/// Answers from the port of a reflector: their receiver asked for them, or is their victim, or somebody here is made to send them.
fn of_reflected(protocol: Reflector, entry: &Entry, surge: Surge) -> Option<Surge> {
    let counts = &entry.counts;
    let amplified = counts.completed > 0 && counts.bytes >= counts.completed_bytes * AMPLIFICATION;
    // Where most come from one server and the questions pass by here, it is watched; a victim hears from many that are not.
    if let Some(server) = counts.peer.winner(counts.packets).filter(|_| amplified) {
        let kind = SurgeKind::Reflector(protocol);
        return Some(Surge { kind, victim: server, port: protocol.port(), ..surge });
    }
    (surge.packets.saturating_sub(surge.completed) >= VICTIM_FLOOR).then_some(surge)
}

fn of_source(second: i64, entry: &Entry, packets: u64) -> Surge {
    let counts = &entry.counts;
    Surge {
        time: begin_of(second),
        // Of several one of the most frequent: a source that attacks two sites at once is told at one of them.
        victim: counts.peer.winner(0).unwrap_or(entry.key.address),
        port: counts.port.winner(0).unwrap_or(0),
        kind: entry.key.kind,
        packets,
        bytes: counts.bytes,
        completed: 0,
        sources: 1,
        source: Some(entry.key.address),
    }
}

#[cfg(test)]
mod tests;
