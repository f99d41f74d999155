//! The records that cross the channel besides attempts: what became of a first contact or of a presented credential,
//! and the count of one second of a flood. Owned and bounded, like [`crate::model::attempt::Attempt`].

use std::net::{IpAddr, SocketAddr};
use std::num::NonZeroU32;

use crate::model::attempt::{AttemptId, HttpFields, Transport};
use crate::model::class::Class;
use crate::model::grade::Grade;
use crate::model::marks::Marks;
use crate::model::surge::SurgeKind;
use crate::model::time::Timestamp;

/// One act that is an attack only in company: it is judged by source, in the classifier.
#[derive(Clone, Debug, PartialEq)]
pub struct Contact {
    /// Identity, made as that of an attempt: the same act seen twice counts once.
    pub id: AttemptId,
    /// Time of the act's first byte.
    pub time: Timestamp,
    /// Who acted.
    pub client: SocketAddr,
    /// Upon whom. Port 0 for ICMP.
    pub server: SocketAddr,
    /// Transport.
    pub transport: Transport,
    /// Application protocol as EVE names it, where one was recognised.
    pub app_proto: Option<&'static str>,
    /// Number of the conversation.
    pub flow_id: u64,
    /// Grade measured from the conversation.
    pub grade: Grade,
    /// Frames that had to arrive for it to be seen; at least 1.
    pub frames: u16,
    /// What it was.
    pub act: Act,
    /// The request that presented a credential, where it was one of HTTP: who is behind a proxy and which site was meant.
    pub http: Option<Box<HttpFields>>,
    /// Marks of its client, as far as the conversation had shown them; none of a first contact.
    pub marks: Marks,
}

/// What a contact was, and what became of it.
#[derive(Clone, Copy, Debug, PartialEq)]
pub enum Act {
    /// A first contact of source, destination and port.
    Touched(Touched),
    /// A credential was presented.
    Login(Login),
    /// Something was asked for and not given.
    Unmet(Unmet),
}

/// The answer to a first contact. Negative answers are what scans are judged by.
#[derive(Clone, Copy, Debug, Eq, Hash, PartialEq)]
pub enum Touched {
    /// The server answered: a completed handshake, a reply datagram.
    Answered,
    /// RST, or ICMP port unreachable.
    Refused,
    /// ICMP host or administratively unreachable.
    Unreachable,
    /// ICMP network unreachable: there is no way from whoever asks, which says nothing of the target.
    Unrouted,
    /// Nothing came back in time.
    Silent,
    /// A segment that no honest host sends first: FIN, NULL, XMAS, a bare ACK; its TCP flags.
    Stealth(u8),
}

/// A credential and its fate.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Login {
    /// Class of the protocol it was presented in: one of `auth.*`.
    pub class: Class,
    /// Whether the server accepted it.
    pub accepted: bool,
    /// Keyed hash of the account name, where it was seen in clear; the name itself is not kept.
    pub account: Option<NameHash>,
    /// Whether this was inferred from lengths and times, not read from a reply.
    pub inferred: bool,
}

/// Keyed hash of a name, by which it is told from others. In two halves: an act stands in every record that crosses the channel,
/// and a whole word would be aligned as one.
#[derive(Clone, Copy, Debug, Eq, Hash, Ord, PartialEq, PartialOrd)]
pub struct NameHash(NonZeroU32, u32);

impl NameHash {
    /// Of a hash.
    pub fn new(hash: u64) -> Self {
        let high = NonZeroU32::new((hash >> 32) as u32).unwrap_or(NonZeroU32::MIN);
        Self(high, hash as u32)
    }

    /// As a number.
    pub fn number(self) -> u64 {
        u64::from(self.0.get()) << 32 | u64::from(self.1)
    }
}

/// Something that was asked for and not given: many different ones are what enumeration and probing consist of.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub struct Unmet {
    /// What kind of thing.
    pub topic: Topic,
    /// Keyed hash of the name that was asked for and is not there, where one was.
    pub name: Option<NameHash>,
    /// Keyed hash of the form of the question, where forms differ: of a handshake the JA4.
    pub form: u32,
}

/// What is asked for.
#[derive(Clone, Copy, Debug, Eq, Hash, PartialEq)]
pub enum Topic {
    /// A name of a zone, which the zone's own server says does not exist.
    DnsName,
    /// A TLS handshake, which was begun and not completed.
    TlsHandshake,
}

impl Topic {
    /// Whether it is judged by lengths and ends of what is encrypted, not read from an answer.
    pub const fn is_inferred(self) -> bool {
        matches!(self, Self::TlsHandshake)
    }
}

/// What speaks for honest traffic is less than one part of so many where nothing explains a second.
const BARE_PART: u64 = 50;

/// One second of a flood upon one victim, sent instead of contacts so that forged sources fill no table.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Surge {
    /// Begin of the second.
    pub time: Timestamp,
    /// The victim; of a kind `reflector_*` the server that is abused.
    pub victim: IpAddr,
    /// Its port, where the flood aims at one; else 0.
    pub port: u16,
    /// What floods; its class and transport follow from it.
    pub kind: SurgeKind,
    /// Packets of it in this second; of a kind that is held, the conversations held at its end.
    pub packets: u64,
    /// Bytes of them on the wire.
    pub bytes: u64,
    /// What speaks for honest traffic: of `syn` the handshakes completed, of `udp` and `icmp` the packets that the victim sent
    /// itself, of reflected answers the queries for them that were seen.
    pub completed: u64,
    /// Estimate of distinct source addresses in this second; where it is about `packets`, they are forged.
    pub sources: u32,
    /// The source, where a completed handshake proves it; else the origin is not provable.
    pub source: Option<IpAddr>,
}

impl Surge {
    /// Whether hardly anything speaks for honest traffic.
    pub const fn is_bare(&self) -> bool {
        is_bare(self.packets, self.completed)
    }
}

/// Whether of so many packets of a second hardly any speaks for honest traffic.
pub const fn is_bare(packets: u64, completed: u64) -> bool {
    completed.saturating_mul(BARE_PART) < packets
}
