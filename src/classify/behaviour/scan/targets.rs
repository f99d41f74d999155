//! The targets of a source that was judged: each counts once. A bit for each port, so that a scan of all 65,535 ports of a
//! host takes a thousand words.

use std::cmp::Ordering;
use std::collections::{HashMap, VecDeque};
use std::net::IpAddr;

use crate::classify::behaviour::scan::probe::Probe;
use crate::model::class::Class;

/// Targets by which the shape of a scan is told while it goes on: a tool that scans some hosts at a time turns from one to
/// the other within them.
const RECENT: usize = 64;
/// Bytes of a block in the map: key, bits and a byte of the table, twice because tables double.
pub const BLOCK_BYTES: usize = 34;

/// What became of a target.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum Noted {
    /// It was there.
    Known,
    /// It is a new one.
    New,
    /// There is no room for it.
    Shed,
}

/// The targets of one source.
#[derive(Debug, Default)]
pub struct Targets {
    blocks: HashMap<u64, u64, ahash::RandomState>,
    recent: VecDeque<(IpAddr, u16)>,
}

impl Targets {
    /// Notes a target; of at most `blocks_max` blocks.
    pub fn note(&mut self, probe: &Probe, hasher: &ahash::RandomState, blocks_max: usize) -> Noted {
        let (block, bit) = probe.block(hasher);
        if self.blocks.len() >= blocks_max && !self.blocks.contains_key(&block) {
            return Noted::Shed;
        }
        let bits = self.blocks.entry(block).or_default();
        if *bits & bit != 0 {
            return Noted::Known;
        }
        *bits |= bit;
        if self.recent.len() >= RECENT {
            self.recent.pop_front();
        }
        self.recent.push_back((probe.server, probe.port));
        Noted::New
    }

    /// Whether the newest target goes on with a port scan or with a sweep; `judged` where neither is plain.
    pub fn shape(&self, judged: Class) -> Class {
        let Some((server, port)) = self.recent.back() else { return judged };
        let of_host = self.recent.iter().filter(|(other, _)| other == server).count();
        let of_port = self.recent.iter().filter(|(_, other)| other == port).count();
        match of_host.cmp(&of_port) {
            Ordering::Less => Class::ScanSweep,
            Ordering::Equal => judged,
            Ordering::Greater => Class::ScanPort,
        }
    }

    /// Bytes that it holds.
    pub fn held(&self) -> usize {
        self.blocks.len() * BLOCK_BYTES + self.recent.capacity() * size_of::<(IpAddr, u16)>()
    }
}
