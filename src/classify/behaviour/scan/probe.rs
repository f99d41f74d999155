//! A first contact as it is kept while its source is not judged: half the size of the record that crossed the channel.

use std::net::{IpAddr, Ipv6Addr, SocketAddr};

use crate::model::attempt::{AttemptId, Transport};
use crate::model::contact::{Act, Contact, Touched};
use crate::model::grade::Grade;
use crate::model::marks::Marks;
use crate::model::place::SourceKey;
use crate::model::time::Timestamp;

/// One first contact.
#[derive(Clone, Copy, Debug)]
pub struct Probe {
    /// When.
    pub time: Timestamp,
    /// Whom.
    pub server: IpAddr,
    /// Its port; 0 for ICMP.
    pub port: u16,
    /// In what.
    pub transport: Transport,
    /// What became of it.
    pub touched: Touched,
    id: AttemptId,
    flow_id: u64,
    /// The half of an IPv6 address that the source's key leaves out.
    client_low: u64,
    client_port: u16,
    frames: u16,
    grade: Grade,
}

impl Probe {
    /// Of a contact.
    pub fn of(contact: &Contact, touched: Touched) -> Self {
        let client_low = match contact.client.ip() {
            IpAddr::V4(_) => 0,
            IpAddr::V6(v6) => v6.to_bits() as u64,
        };
        Self {
            time: contact.time,
            server: contact.server.ip(),
            port: contact.server.port(),
            transport: contact.transport,
            touched,
            id: contact.id,
            flow_id: contact.flow_id,
            client_low,
            client_port: contact.client.port(),
            frames: contact.frames,
            grade: contact.grade,
        }
    }

    /// The contact it was.
    pub fn contact(&self, source: SourceKey) -> Contact {
        let address = match source.address() {
            v4 @ IpAddr::V4(_) => v4,
            IpAddr::V6(v6) => Ipv6Addr::from_bits(v6.to_bits() | u128::from(self.client_low)).into(),
        };
        Contact {
            id: self.id,
            time: self.time,
            client: SocketAddr::new(address, self.client_port),
            server: SocketAddr::new(self.server, self.port),
            transport: self.transport,
            app_proto: None,
            flow_id: self.flow_id,
            grade: self.grade,
            frames: self.frames,
            act: Act::Touched(self.touched),
            http: None,
            marks: Marks::default(),
        }
    }

    /// Its place in the order of time; equal times are told apart by their identities.
    pub const fn order(&self) -> (Timestamp, u64) {
        (self.time, self.id.0)
    }

    /// Whether the target answered.
    pub const fn is_answered(&self) -> bool {
        matches!(self.touched, Touched::Answered)
    }

    /// Whether it is after the same target.
    pub fn is_same_target(&self, other: &Self) -> bool {
        (self.server, self.port, self.transport) == (other.server, other.port, other.transport)
    }

    /// Number of its target.
    pub fn target(&self, hasher: &ahash::RandomState) -> u64 {
        hasher.hash_one((self.server, self.port, self.transport))
    }

    /// Number of the 64 ports that its target is one of, and its bit among them.
    pub fn block(&self, hasher: &ahash::RandomState) -> (u64, u64) {
        (hasher.hash_one((self.server, self.port >> 6, self.transport)), 1 << (self.port & 63))
    }
}
