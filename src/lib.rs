//! gatewatch: a network sensor daemon that counts attack requests per origin and defends the number.
//!
//! ```text
//! interface / pcap file
//!   → capture   frames with time stamps
//!   → decode    link, VLAN, IP, TCP/UDP/ICMP
//!   → stream    flow table, TCP reassembly
//!   → protocol  bytes → requests and replies
//!   → detect    request → evidence → verdict
//!   → handoff   bounded lock-free channel: records, never packets
//!   → classify  ONE thread: origin, site, tally
//!   → report    ONE thread: the store, rotated files
//! ```
//!
//! `ARCHITECTURE.md` holds the laws between the rooms; `tests/layers.rs` enforces them.

pub mod app;
pub mod capture;
pub mod classify;
pub mod cli;
pub mod config;
pub mod confine;
pub mod decode;
pub mod detect;
pub mod exit;
#[cfg(any(test, feature = "fuzzing"))]
pub mod fuzzing;
pub mod handoff;
pub mod inspect;
pub mod model;
pub mod protocol;
pub mod report;
pub mod stream;
pub mod surge;
pub mod tally;
#[cfg(test)]
mod testing;
