//! Attempt → origin, site, tally. One thread.
//!
//! Owns everything keyed by *source*, so that a count never depends on the number of workers.
//! Hands snapshots to the reporter. Must not know: packets, report formats.
