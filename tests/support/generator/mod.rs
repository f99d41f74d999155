//! The traffic generator: a plan in, a capture and its expected counts out.
//!
//! Knows nothing of gatewatch; what it expects comes from the plan's numbers alone.

pub mod capture;
pub mod conversation;
pub mod countries;
pub mod expect;
pub mod frames;
pub mod judge;
pub mod payloads;
pub mod plan;
pub mod proxied;
pub mod random;
pub mod recount;
pub mod schedule;
