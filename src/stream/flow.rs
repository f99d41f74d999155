//! One conversation: its two directions, who opened it, and what its packets prove of the origin.

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr};

use crate::decode::transport::{Datagram, Segment, flag};
use crate::model::contact::Touched;
use crate::model::grade::Grade;
use crate::model::stream::Side;
use crate::model::time::{MICROS_PER_SEC, Timestamp};
use crate::stream::half::Half;
use crate::stream::list::Links;
use crate::stream::{FlowRef, Stall, View};

/// The two ends of a conversation in an order that does not depend on who sends.
#[derive(Clone, Copy, Debug, Eq, Hash, PartialEq)]
pub struct Key {
    low: u128,
    high: u128,
    ports: u32,
    /// Whether it came in a tunnel that is not known: kept apart, so that nobody can write into a conversation that he is not
    /// part of, nor make his own look forged.
    forgeable: bool,
}

impl Key {
    /// The key of a datagram, and whether its sender is the lower end.
    pub fn of_datagram(datagram: &Datagram<'_>) -> (Self, bool) {
        let (key, sender_is_low) = Self::between(datagram.source, datagram.destination);
        (Self { forgeable: datagram.forgeable, ..key }, sender_is_low)
    }

    /// Whether anybody can have written the whole conversation.
    pub const fn is_forgeable(&self) -> bool {
        self.forgeable
    }

    /// The key of what goes from one end to the other, and whether the first is the lower end.
    pub fn between(source: SocketAddr, destination: SocketAddr) -> (Self, bool) {
        let source = (bits(source.ip()), source.port());
        let destination = (bits(destination.ip()), destination.port());
        let sender_is_low = source <= destination;
        let (low, high) = if sender_is_low { (source, destination) } else { (destination, source) };
        let ports = u32::from(low.1) << 16 | u32::from(high.1);
        (Self { low: low.0, high: high.0, ports, forgeable: false }, sender_is_low)
    }

    /// The lower and the higher end.
    pub fn ends(&self) -> (SocketAddr, SocketAddr) {
        let end = |bits: u128, port| {
            // The prefix of addresses that stand for IPv4 (RFC 4291 §2.5.5.2).
            let is_v4 = bits >> 32 == 0xffff;
            let address: IpAddr = if is_v4 {
                Ipv4Addr::from_bits(bits as u32).into()
            } else {
                Ipv6Addr::from_bits(bits).into()
            };
            SocketAddr::new(address, port)
        };
        (end(self.low, (self.ports >> 16) as u16), end(self.high, self.ports as u16))
    }
}

fn bits(address: IpAddr) -> u128 {
    match address {
        IpAddr::V4(v4) => v4.to_ipv6_mapped().to_bits(),
        IpAddr::V6(v6) => v6.to_bits(),
    }
}

/// How far a conversation is; each phase has a time-out of its own.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum Phase {
    /// The handshake is not complete: a SYN of a scan or flood must not stay long.
    Opening,
    /// Established, or picked up in the middle.
    Open,
    /// Reset, or ended by both sides: kept for stragglers.
    Closing,
}

impl Phase {
    /// Every phase.
    pub const ALL: [Self; 3] = [Self::Opening, Self::Open, Self::Closing];

    /// Packet time in its list after which a conversation is looked at again.
    pub const fn patience_micros(self) -> i64 {
        match self {
            Self::Opening => ANSWER_MICROS,
            Self::Open | Self::Closing => self.timeout_micros(),
        }
    }

    /// Packet time without a packet after which the conversation is forgotten.
    pub const fn timeout_micros(self) -> i64 {
        MICROS_PER_SEC
            * match self {
                // Above the longest pause of Linux between two SYNs (32 s). One that is not repeated is gone long before.
                Self::Opening => 40,
                // Above the keep-alive time-outs of the usual servers (5 to 75 s) and proxies (300 s).
                Self::Open => 600,
                Self::Closing => 10,
            }
    }
}

/// How long a SYN may be unanswered before this is told. Clients repeat it after 1, 3 and 7 seconds; an answer that takes longer is
/// of use to nobody, and what is told must be told within the reply time-out of attempts.
pub const ANSWER_MICROS: i64 = 10 * MICROS_PER_SEC;
/// How long a client's window may be shut before it holds its server up: above what a busy browser or a sleeping phone needs.
pub const STALL_MICROS: i64 = 10 * MICROS_PER_SEC;
/// How far behind its SYN a client may be where its answer to a SYN/ACK that was not captured is recognised.
const WENT_ON_MAX: u32 = 1 << 20;

/// What is known of the SYN that opened a conversation.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum Opening {
    /// No answer to it was captured.
    Asked,
    /// What became of it was told.
    Told,
    /// It was not seen.
    Unseen,
    /// The client went on as one does who was answered, although no answer was captured.
    WentOn,
}

/// Whether the client lets the server send.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
enum Window {
    Open,
    Shut(Timestamp),
    Told,
}

/// One conversation.
#[derive(Debug)]
pub struct Flow<S> {
    /// Links of its time-out list.
    pub links: Links,
    /// Hash of its two ends, to find it in the index without computing it anew.
    pub hash: u32,
    /// Number, unique in this run.
    pub number: u64,
    /// Whether it came in a tunnel that is not known: kept apart, so that nobody can write into a conversation that he is not
    /// part of, nor make his own look forged.
    pub forgeable: bool,
    /// Who opened it.
    pub client: SocketAddr,
    /// Who was asked.
    pub server: SocketAddr,
    /// What the client sends.
    pub from_client: Half,
    /// What the server sends.
    pub from_server: Half,
    /// How far it is.
    pub phase: Phase,
    /// Time of its first packet.
    pub opened: Timestamp,
    /// When it was put at the end of its time-out list.
    pub listed: Timestamp,
    /// Time of its last packet.
    pub last: Timestamp,
    /// What is known of its SYN.
    pub opening: Opening,
    window: Window,
    /// Whether the three-way handshake was seen with the right acknowledgements.
    pub handshake: bool,
    /// The only side that a segment was captured of, while it is the only one.
    pub only: Option<Side>,
    /// Initial number of a SYN that would open a new conversation on these ports, until the server agrees.
    pub reopening: Option<u32>,
    /// What the consumer keeps.
    pub state: S,
    /// Bytes behind `state` and in the halves, as accounted.
    pub held: usize,
}

impl<S: Default> Flow<S> {
    /// A conversation that begins with `segment`, sent by `sender`. Of a client's SYN its half is begun as well.
    #[inline]
    pub fn new(hash: u32, (number, now): (u64, Timestamp), segment: &Segment<'_>, sender: Side) -> Self {
        let is_asked = segment.has(flag::SYN) && sender == Side::Client;
        let mut from_client = Half::default();
        if is_asked {
            from_client.start(segment.sequence);
        }
        let (client, server) = match sender {
            Side::Client => (segment.source, segment.destination),
            Side::Server => (segment.destination, segment.source),
        };
        Self {
            links: Links::default(),
            hash,
            number,
            forgeable: segment.forgeable,
            client,
            server,
            from_client,
            from_server: Half::default(),
            phase: if segment.has(flag::SYN) { Phase::Opening } else { Phase::Open },
            opened: now,
            listed: now,
            last: now,
            opening: if is_asked { Opening::Asked } else { Opening::Unseen },
            window: Window::Open,
            handshake: false,
            only: Some(sender),
            reopening: None,
            state: S::default(),
            held: 0,
        }
    }

    /// Whether it is the conversation of two ends, whichever of them opened it.
    pub fn is_between(&self, (source, destination): (SocketAddr, SocketAddr)) -> bool {
        (self.client == source && self.server == destination)
            || (self.client == destination && self.server == source)
    }

    /// Which end sent a segment.
    pub fn sender_of(&self, segment: &Segment<'_>) -> Side {
        if segment.source == self.client { Side::Client } else { Side::Server }
    }

    /// What that side sends.
    pub const fn half(&mut self, side: Side) -> &mut Half {
        match side {
            Side::Client => &mut self.from_client,
            Side::Server => &mut self.from_server,
        }
    }

    /// Notes that a segment of that side was captured.
    pub fn hear(&mut self, side: Side) {
        self.only = self.only.filter(|only| *only == side);
    }

    /// What its packets prove of the client's address so far.
    ///
    /// E1 needs our SYN/ACK acknowledged with the right number: a blind forger would have to guess 32 bits
    /// (RFC 6528). E2 needs bytes of the server acknowledged by the client; in a conversation picked up in
    /// the middle, both directions acknowledged. Everything else is E0, one direction alone as well, and whatever a tunnel
    /// carries that anybody can send: all of its numbers are of one hand.
    pub const fn grade(&self) -> Grade {
        if self.forgeable {
            return Grade::E0;
        }
        let heard_both = self.from_client.is_answered() && self.from_server.is_answered();
        if self.from_server.is_answered() && (self.handshake || heard_both) {
            Grade::E2
        } else if self.handshake {
            Grade::E1
        } else {
            Grade::E0
        }
    }

    /// Follows the handshake.
    pub fn shake(&mut self, segment: &Segment<'_>, side: Side) {
        if segment.has(flag::SYN) {
            let half = self.half(side);
            if !half.is_started() {
                half.start(segment.sequence);
            }
        }
        if side == Side::Client
            && !self.handshake
            && segment.has(flag::ACK)
            && !segment.has(flag::SYN | flag::RST)
            && self.from_client.is_syn_acknowledged()
            && self.from_server.initial.is_some_and(|initial| {
                // Exactly the next number, or later where the bare ACK was not captured.
                let ahead = segment.acknowledgement.wrapping_sub(initial);
                ahead >= 1 && ahead <= self.from_server.next().wrapping_sub(initial)
            })
        {
            self.handshake = true;
        }
        if side == Side::Client
            && self.opening == Opening::Asked
            && segment.has(flag::ACK)
            && !segment.has(flag::SYN | flag::RST)
            && let Some(asked) = self.from_client.initial
            && (1..=WENT_ON_MAX).contains(&segment.sequence.wrapping_sub(asked))
        {
            self.opening = Opening::WentOn;
        }
    }

    /// What has become of its SYN so far, if that is to be told still.
    pub const fn fate(&self) -> Option<Touched> {
        match self.opening {
            Opening::Asked if !self.from_server.is_started() => Some(Touched::Silent),
            Opening::Asked | Opening::WentOn => Some(Touched::Answered),
            Opening::Told | Opening::Unseen => None,
        }
    }

    /// What a segment that was just taken decides of it.
    pub fn decided(&self, segment: &Segment<'_>, side: Side) -> Option<Touched> {
        let fate = self.fate()?;
        if self.handshake {
            return Some(Touched::Answered);
        }
        match (fate, side, self.from_client.initial) {
            _ if !segment.has(flag::RST) => None,
            (Touched::Silent, Side::Server, Some(asked)) => {
                // RFC 9293 §3.10.7.3: a reset is believed that acknowledges the SYN, and what it carried.
                let ahead = segment.acknowledgement.wrapping_sub(asked);
                let sent = self.from_client.next().wrapping_sub(asked);
                (!segment.has(flag::ACK) || ahead <= sent).then_some(Touched::Refused)
            }
            // Half an opening: the answer was all that was wanted.
            (Touched::Answered, ..) => Some(Touched::Answered),
            _ => None,
        }
    }

    /// Whether its SYN or the answer to it was repeated, and so lately that it may be once more.
    pub const fn is_trying(&self, now: Timestamp) -> bool {
        let silent = now.micros_since(self.last);
        self.last.micros_since(self.opened) > 0 && silent < Phase::Opening.timeout_micros()
    }

    /// Follows the window that the client leaves open for its server.
    pub const fn stall(&mut self, segment: &Segment<'_>, side: Side, now: Timestamp) -> Option<Stall> {
        let counts = matches!(side, Side::Client) && matches!(self.phase, Phase::Open);
        if !counts || segment.has(flag::SYN | flag::RST | flag::FIN) || !segment.has(flag::ACK) {
            return None;
        }
        match (self.window, segment.window) {
            (Window::Open, 0) => self.window = Window::Shut(now),
            (Window::Shut(since), 0) if now.micros_since(since) >= STALL_MICROS => {
                self.window = Window::Told;
                return Some(Stall::Begins);
            }
            (Window::Told, 1..) => {
                self.window = Window::Open;
                return Some(Stall::Ends);
            }
            (Window::Shut(_), 1..) => self.window = Window::Open,
            _ => {}
        }
        None
    }

    /// What is told to a consumer.
    pub fn view(&self, slot: u32, now: Timestamp) -> View {
        let initial = match (self.from_client.initial, self.from_server.initial) {
            (Some(client), Some(server)) => (client, server),
            _ => (0, 0),
        };
        View {
            flow: FlowRef { slot, number: self.number },
            client: self.client,
            server: self.server,
            initial,
            asked: self.from_client.initial.unwrap_or_default(),
            opened: self.opened,
            grade: self.grade(),
            forgeable: self.forgeable,
            one_sided: self.only.is_some(),
            now,
        }
    }
}
