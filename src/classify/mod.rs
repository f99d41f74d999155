//! Attempt → client, origin, site, tally. One thread.
//!
//! Owns everything keyed by *source*, so that a count never depends on the number of workers: the databases,
//! the trusted proxies, the site table, identities already counted, open incidents. Hands snapshots on.
//! Must not know: packets, report formats, threads.

pub mod behaviour;
pub mod campaign;
pub mod classifier;
pub mod client;
pub mod database;
pub mod doubt;
pub mod geo;
pub mod incident;
pub mod infrastructure;
pub mod lines;
pub mod observed;
pub mod packed;
pub mod privacy;
pub mod record;
pub mod relocate;
pub mod search;
pub mod sector;
pub mod seen;
pub mod site;
