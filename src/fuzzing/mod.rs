//! Entry points for fuzzing: any bytes in, survival and a few laws out. Compiled for tests, and by the feature `fuzzing` for
//! `tests/fuzz`; a release holds none of it.
//!
//! Owns the one table of entries, which cargo-fuzz and the ordinary tests beside it walk. May use every room, as `app` does; no
//! room may use it. A parser that has a row in `PROTOCOLS` or `DATAGRAMS` has its entry by that.

#![allow(
    clippy::expect_used,
    clippy::indexing_slicing,
    clippy::panic,
    clippy::unwrap_used,
    reason = "an entry stops at the first surprise: that is what it is for"
)]

mod conversations;
mod files;
mod folders;
mod frames;
mod input;
mod reassembly;
#[cfg(test)]
pub(crate) mod seeds;
#[cfg(test)]
mod tests;

use crate::protocol::PROTOCOLS;
use crate::protocol::datagram::DATAGRAMS;

/// What an entry does with bytes.
type Run = Box<dyn Fn(&[u8]) + Send + Sync>;

/// One entry.
pub struct Entry {
    /// What it drives: `tcp.http`, `settings`.
    pub name: String,
    /// How dear a run is: an ordinary test makes fewer of the dear ones.
    pub cost: Cost,
    run: Run,
}

/// How dear a run is.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum Cost {
    /// Microseconds.
    Cheap,
    /// Writes a file, or tables of some megabytes.
    Dear,
    /// Makes a store.
    Dearest,
}

impl Entry {
    fn new(name: impl Into<String>, cost: Cost, run: impl Fn(&[u8]) + Send + Sync + 'static) -> Self {
        Self { name: name.into(), cost, run: Box::new(run) }
    }

    /// Runs it. Whatever the bytes are it comes back, in bounded time and memory; a law that is broken is a panic.
    pub fn run(&self, bytes: &[u8]) {
        (self.run)(bytes);
    }
}

/// An entry that is no protocol's: its name, how dear it is, what it does.
type Row = (&'static str, Cost, fn(&[u8]));

/// Every entry.
pub fn entries() -> Vec<Entry> {
    let streams = PROTOCOLS.iter().map(|row| {
        Entry::new(format!("tcp.{}", row.name), Cost::Cheap, |bytes| conversations::stream(row, bytes))
    });
    let datagrams = DATAGRAMS.iter().map(|row| {
        Entry::new(format!("udp.{}", row.name), Cost::Cheap, |bytes| conversations::datagrams(row, bytes))
    });
    let others: [Row; 24] = [
        ("conversation", Cost::Cheap, conversations::whole),
        ("judged", Cost::Cheap, conversations::judged),
        ("proxy", Cost::Cheap, conversations::proxy),
        ("forwarded", Cost::Cheap, conversations::forwarded),
        ("hello", Cost::Cheap, conversations::hello),
        ("dns-message", Cost::Cheap, conversations::dns_message),
        ("ber", Cost::Cheap, conversations::ber),
        ("link", Cost::Cheap, frames::link),
        ("packets", Cost::Dear, frames::packets),
        ("half", Cost::Cheap, reassembly::half),
        ("table", Cost::Cheap, reassembly::table),
        ("fragments", Cost::Cheap, reassembly::fragments),
        ("settings", Cost::Dear, files::settings),
        ("rules", Cost::Dear, files::rules),
        ("template", Cost::Cheap, files::template),
        ("lists", Cost::Cheap, files::lists),
        ("mmdb", Cost::Dear, files::mmdb),
        ("ranges", Cost::Cheap, files::ranges),
        ("capture", Cost::Dear, files::capture),
        ("status", Cost::Dear, files::status),
        ("store", Cost::Dearest, folders::store),
        ("merge", Cost::Dearest, folders::merge),
        ("verify", Cost::Dear, folders::verify),
        ("explain", Cost::Dear, folders::explain),
    ];
    let others = others.into_iter().map(|(name, cost, run)| Entry::new(name, cost, run));
    streams.chain(datagrams).chain(others).collect()
}
