//! One TCP conversation, from SYN to FIN, as packets with times.

use std::net::{IpAddr, SocketAddr};

use pnet::packet::tcp::TcpFlags;

use super::frames::{Segment, ip_packet};
use super::payloads::Kind;
use super::plan::Shape;
use super::random::Random;

/// One request and its reply.
#[derive(Clone, Debug)]
pub struct Exchange {
    /// The request as sent.
    pub request: Vec<u8>,
    /// The reply.
    pub reply: Vec<u8>,
    /// What it is, if it is an attack.
    pub attack: Option<Kind>,
    /// The one class of such an attack.
    pub class: &'static str,
    /// Who is to be taken for its sender.
    pub sender: Sender,
}

/// Who is to be taken for the sender of a request.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum Sender {
    /// The peer is a trusted proxy that names this client.
    Named(IpAddr),
    /// The peer is a trusted proxy that names nobody.
    Nameless,
    /// The peer of the conversation.
    Peer,
}

/// How much of a conversation takes place.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum Course {
    /// The client speaks without a handshake and nobody answers: its address proves nothing.
    Blind,
    /// Handshake, requests, replies, end.
    Full,
    /// One SYN.
    LoneSyn,
}

/// A conversation.
#[derive(Clone, Debug)]
pub struct Conversation {
    /// Microseconds since 1970 of the first packet.
    pub start: u64,
    /// Who asks.
    pub client: SocketAddr,
    /// Who answers.
    pub server: SocketAddr,
    /// How much takes place.
    pub course: Course,
    /// Whether requests are sent without waiting for replies.
    pub pipelined: bool,
    /// Requests and replies in order.
    pub exchanges: Vec<Exchange>,
    /// Where its own randomness goes on.
    pub random: Random,
}

/// A packet with its time in microseconds.
pub type Timed = (u64, Vec<u8>);

/// Data bytes of a full segment on Ethernet over IPv6, which fit over IPv4 too.
const SEGMENT_BYTES: usize = 1_440;
/// Upper bound of a conversation's length. Twelve exchanges with a retransmission each stay far below.
pub const DURATION_MAX_MICROS: u64 = 30_000_000;

impl Conversation {
    /// Its packets in order of time.
    pub fn packets(&self, shape: &Shape) -> Vec<Timed> {
        self.talk(shape).packets
    }

    /// When the first byte of each request was captured.
    pub fn request_times(&self, shape: &Shape) -> Vec<u64> {
        self.talk(shape).begun
    }

    fn talk(&self, shape: &Shape) -> Talk<'_> {
        let mut talk = Talk::new(self);
        match self.course {
            Course::LoneSyn => talk.send(Side::Client, TcpFlags::SYN, &[]),
            Course::Blind => {
                talk.send(Side::Client, TcpFlags::SYN, &[]);
                talk.heard.client = talk.random.next() as u32;
                for exchange in &self.exchanges {
                    talk.wait(1_000, 90_000);
                    talk.begun.push(talk.time);
                    talk.data(Side::Client, &exchange.request);
                }
            }
            Course::Full => {
                talk.handshake();
                self.exchange(&mut talk, shape);
                talk.finish();
            }
        }
        talk
    }

    fn exchange(&self, talk: &mut Talk<'_>, shape: &Shape) {
        if self.pipelined {
            for exchange in &self.exchanges {
                talk.request(&exchange.request, shape);
            }
        }
        for exchange in &self.exchanges {
            if !self.pipelined {
                talk.wait(1_000, 400_000);
                talk.request(&exchange.request, shape);
            }
            talk.wait(300, 60_000);
            talk.data(Side::Server, &exchange.reply);
            talk.wait_round_trip();
            talk.send(Side::Client, TcpFlags::ACK, &[]);
        }
    }
}

#[derive(Clone, Copy)]
enum Side {
    Client,
    Server,
}

struct Pair {
    client: u32,
    server: u32,
}

impl Pair {
    const fn of(&mut self, side: Side) -> &mut u32 {
        match side {
            Side::Client => &mut self.client,
            Side::Server => &mut self.server,
        }
    }
}

/// A conversation under way.
struct Talk<'c> {
    conversation: &'c Conversation,
    random: Random,
    time: u64,
    round_trip: u64,
    /// Next sequence number of each side.
    next: Pair,
    /// What each side has heard of the other: its acknowledgement number.
    heard: Pair,
    number: u16,
    packets: Vec<Timed>,
    /// When the first byte of each request was captured.
    begun: Vec<u64>,
}

impl<'c> Talk<'c> {
    fn new(conversation: &'c Conversation) -> Self {
        let mut random = conversation.random.clone();
        let round_trip = random.between(4_000, 240_000);
        let next = Pair { client: random.next() as u32, server: random.next() as u32 };
        let number = random.next() as u16;
        let heard = Pair { client: 0, server: 0 };
        Self {
            conversation,
            random,
            time: conversation.start,
            round_trip,
            next,
            heard,
            number,
            packets: Vec::new(),
            begun: Vec::new(),
        }
    }

    fn handshake(&mut self) {
        self.send(Side::Client, TcpFlags::SYN, &[]);
        self.wait(80, 400);
        self.send(Side::Server, TcpFlags::SYN | TcpFlags::ACK, &[]);
        self.wait_round_trip();
        self.send(Side::Client, TcpFlags::ACK, &[]);
    }

    fn finish(&mut self) {
        self.wait(200, 900_000);
        if self.random.chance(5) {
            self.send(Side::Client, TcpFlags::RST | TcpFlags::ACK, &[]);
            return;
        }
        self.send(Side::Client, TcpFlags::FIN | TcpFlags::ACK, &[]);
        self.wait(100, 2_000);
        self.send(Side::Server, TcpFlags::FIN | TcpFlags::ACK, &[]);
        self.wait_round_trip();
        self.send(Side::Client, TcpFlags::ACK, &[]);
    }

    /// A request as the network may deliver it: in order, swapped, or partly twice; then the server's word.
    fn request(&mut self, bytes: &[u8], shape: &Shape) {
        let first = self.packets.len();
        self.data(Side::Client, bytes);
        let several = self.packets.len() - first > 1;
        let swapped = several && self.random.chance(shape.reordered_percent);
        if swapped {
            self.swap_times(first);
        }
        // Of two packets that changed places the first byte is in the later one.
        let opening = if swapped && self.packets.len() - first == 2 { first + 1 } else { first };
        self.begun.extend(self.packets.get(opening).map(|(time, _)| *time));
        if self.random.chance(shape.retransmitted_percent) {
            let again = first + self.random.below((self.packets.len() - first) as u64) as usize;
            let copy = self.packets.get(again).map(|(_, packet)| packet.clone()).unwrap_or_default();
            self.wait(200_000, 600_000);
            self.packets.push((self.time, copy));
        }
        self.wait(40, 300);
        self.send(Side::Server, TcpFlags::ACK, &[]);
    }

    /// The last two packets change places on their way.
    fn swap_times(&mut self, first: usize) {
        if let Some([.., before, last]) = self.packets.get_mut(first..) {
            std::mem::swap(&mut before.1, &mut last.1);
        }
    }

    fn data(&mut self, side: Side, bytes: &[u8]) {
        let mut left = bytes.chunks(SEGMENT_BYTES).peekable();
        while let Some(chunk) = left.next() {
            let push = if left.peek().is_none() { TcpFlags::PSH } else { 0 };
            self.send(side, TcpFlags::ACK | push, chunk);
            self.wait(10, 200);
        }
    }

    fn send(&mut self, side: Side, flags: u8, data: &[u8]) {
        let (from, to) = match side {
            Side::Client => (self.conversation.client, self.conversation.server),
            Side::Server => (self.conversation.server, self.conversation.client),
        };
        let seq = *self.next.of(side);
        let ack = if flags & TcpFlags::ACK == 0 { 0 } else { *self.heard.of(side) };
        self.number = self.number.wrapping_add(1);
        let segment = Segment { from, to, seq, ack, flags, number: self.number, data };
        self.packets.push((self.time, ip_packet(&segment)));
        let marks = u32::from(flags & (TcpFlags::SYN | TcpFlags::FIN) != 0);
        let next = seq.wrapping_add(data.len() as u32).wrapping_add(marks);
        *self.next.of(side) = next;
        match side {
            Side::Client => self.heard.server = next,
            Side::Server => self.heard.client = next,
        }
    }

    fn wait(&mut self, low: u64, high: u64) {
        self.time += self.random.between(low, high);
    }

    fn wait_round_trip(&mut self) {
        self.time += self.round_trip;
    }
}
